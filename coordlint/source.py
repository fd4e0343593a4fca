"""Source text and places in it: every node, label and edit points into a `Source` by character offsets."""

from __future__ import annotations

import os
import re
from bisect import bisect_right
from os import fspath, strerror
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike

LONGEST_LINE = 100_000
"""Characters that a line may have before it is reported as a problem of the file."""


class SourceError(Exception):
    """A file cannot be read; the text is one sentence for the user."""


class Source:
    """The text of one file and the path under which the user knows it.

    Two sources are equal only if they are the same object: the same file read twice may have changed in between.

    Attributes:
        path: the path as shown to the user.
        text: the decoded text, without a byte order mark and with its line ends as they are.
        problems: what is wrong with the file as text, as pairs of character offset and message.
        bom: whether the file began with a byte order mark, so that a rewriter can keep it.
    """

    __slots__ = ("_starts", "bom", "path", "problems", "text")

    def __init__(self, path: str, text: str, problems: tuple[tuple[int, str], ...] = (), *, bom: bool = False) -> None:
        self.path = path
        self.text = text
        self.problems = problems
        self.bom = bom
        self._starts: list[int] | None = None

    def __repr__(self) -> str:
        return f"Source({self.path!r}, {len(self.text)} characters)"

    @property
    def line_count(self) -> int:
        """How many lines the text has; an empty text has one."""
        return len(self._line_starts())

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of a character offset, both counted from 1; offsets outside the text are moved into it."""
        offset = min(max(offset, 0), len(self.text))
        starts = self._line_starts()
        line = bisect_right(starts, offset)
        return line, offset - starts[line - 1] + 1

    def offset(self, line: int, column: int) -> int:
        """The character offset of a line and column counted from 1; raises IndexError for a line that does not exist."""
        start, end = self.line_bounds(line)
        return min(start + max(column, 1) - 1, end)

    def line(self, number: int) -> str:
        """The text of a line counted from 1, without its line end; raises IndexError if there is no such line."""
        start, end = self.line_bounds(number)
        return self.text[start:end]

    def line_bounds(self, number: int) -> tuple[int, int]:
        """Start and end offset of a line counted from 1, without its line end."""
        starts = self._line_starts()
        if not 1 <= number <= len(starts):
            raise IndexError(f"{self.path} has no line {number}")
        start = starts[number - 1]
        if number == len(starts):
            return start, len(self.text)
        end = starts[number] - 1
        return start, end - 1 if end > start and self.text[end - 1] == "\r" else end

    def span(self, start: int = 0, end: int | None = None) -> Span:
        """A span of this source; the whole text without arguments."""
        return Span(self, start, len(self.text) if end is None else end)

    def _line_starts(self) -> list[int]:
        if self._starts is None:
            self._starts = [0, *(found.end() for found in re.finditer("\n", self.text))]
        return self._starts


class Span(NamedTuple):
    """The characters from `start` up to, and without, `end` of one source."""

    source: Source
    start: int
    end: int

    @property
    def line(self) -> int:
        """The line of the first character, counted from 1."""
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        """The column of the first character, counted from 1 in characters."""
        return self.source.position(self.start)[1]

    @property
    def end_line(self) -> int:
        """The line on which the span ends, counted from 1."""
        return self.source.position(self.end)[0]

    @property
    def end_column(self) -> int:
        """The column just behind the last character, counted from 1 in characters."""
        return self.source.position(self.end)[1]

    @property
    def text(self) -> str:
        """The characters of the span."""
        return self.source.text[self.start : self.end]

    def to(self, other: Span) -> Span:
        """The smallest span that covers both; raises ValueError if they lie in different sources."""
        if self.source is not other.source:
            raise ValueError(f"no span reaches from {self.source.path} to {other.source.path}")
        return Span(self.source, min(self.start, other.start), max(self.end, other.end))


class Edit(NamedTuple):
    """Replace the characters of a span by a text; an empty span inserts."""

    span: Span
    text: str


def replaced(text: str, changes: Iterable[tuple[int, int, str]]) -> str:
    """The text with changes, whose line ends become those of the text.

    Args:
        text: any text.
        changes: start, end and new text of each, in ascending order and without overlaps.
    """
    newline = "\r\n" if text.count("\r\n") * 2 > text.count("\n") else "\n"
    pieces = []
    at = 0
    for start, end, new in changes:
        pieces += [text[at:start], new.replace("\r\n", "\n").replace("\n", newline)]
        at = end
    return "".join((*pieces, text[at:]))


def edited(source: Source, edits: Iterable[Edit]) -> Source:
    """The source with the edits that concern it, which do not overlap."""
    own = sorted((edit.span.start, edit.span.end, edit.text) for edit in edits if edit.span.source is source)
    return Source(source.path, replaced(source.text, own), bom=source.bom) if own else source


def read_source(path: str | PathLike[str], shown: str | None = None) -> Source:
    """Read a file as a source.

    Args:
        path: where the file is.
        shown: the path under which the user knows it; `path` itself if left out.

    Raises:
        SourceError: the file cannot be read. Bytes that are no text do not raise: see `Source.problems`.
    """
    name = fspath(path) if shown is None else shown
    try:
        data = Path(path).read_bytes()
    except IsADirectoryError:
        raise SourceError(f"cannot read `{printable(name)}`: it is a folder") from None
    except OSError as error:
        reason = strerror(error.errno).lower() if error.errno else str(error)
        raise SourceError(f"cannot read `{printable(name)}`: {reason}") from None
    except ValueError:  # a NUL in the path
        raise SourceError(f"cannot read `{printable(name)}`: this is not a path") from None
    return decode_source(data, name)


def decode_source(data: bytes, path: str) -> Source:
    """Make a source of bytes, such as those of standard input; never raises, see `Source.problems`."""
    problems: list[tuple[int, str]] = []
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = data.decode("utf-16", errors="replace")
        problems.append((0, "the file is UTF-16, save it as UTF-8"))
        return Source(path, text, (*problems, *_text_problems(text)))
    bom = data.startswith(b"\xef\xbb\xbf")
    data = data[3:] if bom else data
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        text = data.decode("utf-8", errors="replace")
        offset = len(data[: error.start].decode("utf-8"))
        problems.append((offset, f"byte 0x{data[error.start]:02x} is not UTF-8, save the file as UTF-8"))
    return Source(path, text, (*problems, *_text_problems(text)), bom=bom)


def replace_file(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file in one step: nobody ever sees half of it. The permissions of an existing file are kept.

    What is no file, such as a pipe or `/dev/null`, is written to and stays what it is.

    Raises:
        OSError: the folder or the file must not be written, or the disk is full.
    """
    target = Path(os.path.realpath(path))
    import errno
    import tempfile

    if target.exists() and not os.access(target, os.W_OK):  # replacing it would go round its permissions
        raise PermissionError(errno.EACCES, strerror(errno.EACCES))
    if target.exists() and not target.is_file() and not target.is_dir():
        with open(target, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
        return
    handle, scratch = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        mode = target.stat().st_mode & 0o7777 if target.exists() else 0o666 & ~_umask()
        os.chmod(scratch, mode)
        os.replace(scratch, target)
    except BaseException:
        os.unlink(scratch)
        raise


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def printable(text: str) -> str:
    """The text with control characters, bidi overrides and lone surrogates escaped, so that no output can be broken by it."""
    return text if text.isprintable() else "".join(printable_char(char) for char in text)


def printable_char(char: str) -> str:
    """One character as it may be printed: itself, or an escape such as `\\x1b` or `\\u202e`."""
    if char.isprintable():
        return char
    code = ord(char)
    # Joiners belong to the writing of many languages and move nothing on the screen but their neighbours.
    if char in "\u200c\u200d\u00a0\u3000":
        return char
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _text_problems(text: str) -> list[tuple[int, str]]:
    problems = []
    nul = text.find("\0")
    if nul >= 0:
        problems.append((nul, "the file has a NUL character, which no design can mean"))
    if len(text) > LONGEST_LINE:
        for found in re.finditer(rf"(?m)^[^\n]{{{LONGEST_LINE + 1}}}", text):
            problems.append((found.start(), f"the line is longer than {LONGEST_LINE:,} characters"))
            break
    return problems
