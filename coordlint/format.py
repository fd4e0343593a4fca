"""The formatter: it decides what stands between two tokens, and touches neither a token nor the order of anything.

The whole layout is a sequence of decisions about *gaps*, the white space and comments in front of each token: nothing, a
space, two spaces (between the clauses of a body on one line) or a new line. The syntax tree says where clauses begin and
which braces belong together. So every token and every comment survives by construction, and so does the meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from coordlint.parse import parse
from coordlint.source import LONGEST_LINE
from coordlint.syntax import Clause
from coordlint.tokens import cut

if TYPE_CHECKING:
    from coordlint.source import Source, Span
    from coordlint.tokens import Token

LINE_LENGTH = 120
"""A line ends before this column where it can be broken; a comment at its end does not count."""

INDENT = 2
HANGING = 4
"""A clause that goes on in the next line is indented by this, deeper than the body that may follow."""


class FormatError(Exception):
    """The file cannot be formatted; the text is one sentence that begins with the place."""


def format_source(source: Source, line_length: int = LINE_LENGTH) -> str:
    """The text of a design in the one layout of the language; formatting it again changes nothing.

    Line ends are those that most lines of the source have. Strings stay as they are, also the line ends in them. The byte
    order mark is no part of the text: whoever writes a file puts it back (see `Source.bom`).

    Args:
        source: the design.
        line_length: lines are broken to have at most so many characters.

    Raises:
        FormatError: the source has a syntax error, or would get a line that is too long to be read again.
    """
    document = parse(source)
    if document.problems:
        first = document.problems[0]
        line, column = source.position(first.primary.span.start)
        raise FormatError(f"{source.path}:{line}:{column}: {first.message}")
    tokens, comments = cut(source)
    shape = _Shape(source, tokens, comments, document.declarations)
    lines = _Layout(shape, line_length).lines()
    newline = _line_end(source, tokens)
    text = "".join(line + newline for line in lines)
    if len(text) > LONGEST_LINE and max(map(len, text.split("\n"))) > LONGEST_LINE:
        raise FormatError(f"{source.path}:1:1: a line would get longer than {LONGEST_LINE:,} characters")
    return text


def _line_end(source: Source, tokens: Sequence[Token]) -> str:
    """The line end of most lines; those inside strings do not count, they belong to the string."""
    inside = [token.text for token in tokens if "\n" in token.text]
    lines = source.text.count("\n") - sum(text.count("\n") for text in inside)
    dos = source.text.count("\r\n") - sum(text.count("\r\n") for text in inside)
    return "\r\n" if dos * 2 > lines else "\n"


# ------------------------------------------------------------------------------------------------ reading


class _Comment(NamedTuple):
    """A comment in a gap.

    Attributes:
        text: the comment with its sign.
        column: where it stands in its line, from 0.
        trailing: it stands behind a token in the same line.
        continues: it goes on with the trailing comment of the line before, right below it.
        blank: blank lines stand before it.
    """

    text: str
    column: int
    trailing: bool
    continues: bool
    blank: bool


_PINNING = re.compile(r"(?:#|//)\s*coordlint:")
_NO_SPACE_BEFORE = frozenset({",", ".", ":", "?"})
_BREAK_BEFORE = frozenset({"or", "and", "|"})


class _Shape:
    """What the source says about each gap. Lists are indexed by the token behind the gap.

    Attributes:
        match: for a brace, the index of the other one.
        clause_end: where a clause begins on its own in a body, the index of its last token; else -1.
        alternative: the token is the `or` between two branches of an `either`.
        breakable: a long line may be broken here.
        comments: the comments in the gap; a last entry holds those behind the last token.
        blank: blank lines stand right before the token.
        pinned: the gap lies in a line with an ignore comment, which covers what stands in this line: it is not broken.
        held: the token begins such a line, and nothing is joined to it.
        breaks: how many line breaks of the author stand in the tokens and gaps so far, those in empty braces left out.
        widths: the width of everything so far if it stood in one line.
    """

    def __init__(
        self, source: Source, tokens: Sequence[Token], comments: Sequence[Span], declarations: Sequence[Clause]
    ) -> None:
        count = len(tokens)
        self.source = source
        self.tokens = tokens
        self.comments: list[list[_Comment]] = [[] for _ in range(count + 1)]
        self.blank = [False] * (count + 1)
        self.clause_end = [-1] * count
        self.alternative = [False] * count
        self.breakable = [False] * count
        self.pinned = [False] * (count + 1)
        self.held = [False] * count
        self.match = _matches(tokens)
        self.newline = [
            index > 0 and source.text.find("\n", tokens[index - 1].end, token.start) >= 0
            for index, token in enumerate(tokens)
        ]
        self._read_tree(declarations)
        self._read_comments(comments)
        self._move_comments_into_bodies()
        self.spaces = [self._flat_gap(index) for index in range(count)]
        self.breaks: list[int] = []
        self.widths: list[int] = []
        breaks = width = 0
        for index, token in enumerate(tokens):
            breaks += self._is_broken(index) + ("\n" in token.text)
            width += len(self.spaces[index]) + len(token.text)
            self.breaks.append(breaks)
            self.widths.append(width)

    def width(self, first: int, last: int) -> int:
        """The width of those tokens in one line."""
        return self.widths[last] - self.widths[first] + len(self.tokens[first].text)

    def in_one_line(self, first: int, last: int) -> bool:
        """Whether the author wrote everything behind the first token, up to the last one, in its line."""
        return self.breaks[first] == self.breaks[last]

    def is_empty(self, brace: int) -> bool:
        """Whether nothing at all stands between an opening brace and its other one."""
        close = brace + 1
        return self.match[brace] == close and not self.comments[close] and not self.held[close]

    def _read_tree(self, declarations: Sequence[Clause]) -> None:
        tokens = self.tokens
        first_at = {token.start: index for index, token in enumerate(tokens)}
        last_at = {token.end: index for index, token in enumerate(tokens)}
        for index in range(1, len(tokens)):
            self.breakable[index] = tokens[index - 1].text == "," or tokens[index].text in _BREAK_BEFORE
        pending = [(clause, True) for clause in declarations]
        while pending:
            clause, on_its_own = pending.pop()
            last = last_at[clause.span.end]
            if on_its_own:
                self.clause_end[first_at[clause.span.start]] = last
            if clause.body:
                begin = first_at[clause.body[0].span.start]
                braced = tokens[last].text == "}" and self.match[last] < begin
                self.breakable[begin] |= not braced
                pending += [(child, braced) for child in clause.body]
            parts = clause.every(Clause)
            pending += [(part, False) for part in parts]
            if clause.kind == "either":
                for branch in parts[1:]:
                    self.alternative[first_at[branch.span.start] - 1] = True

    def _read_comments(self, comments: Sequence[Span]) -> None:
        text = self.source.text
        at = 0
        behind = 0
        for index in range(len(self.tokens) + 1):
            start = self.tokens[index].start if index < len(self.tokens) else len(text)
            above: _Comment | None = None
            line_indent = 0
            while at < len(comments) and comments[at].start < start:
                span = comments[at]
                breaks = text.count("\n", behind, span.start)
                before = text[text.rfind("\n", 0, span.start) + 1 : span.start].expandtabs()
                trailing = index > 0 and not breaks and above is None
                if trailing:
                    line_indent = len(before) - len(before.lstrip())
                continues = (
                    above is not None
                    and (above.trailing or above.continues)
                    and breaks == 1
                    and above.column == len(before)
                    and above.column > line_indent + INDENT
                )
                above = _Comment(span.text.rstrip(), len(before), trailing, continues, breaks > 1)
                self.comments[index].append(above)
                if trailing and _PINNING.match(above.text):
                    self._pin(index - 1)
                behind = span.end
                at += 1
            self.blank[index] = text.count("\n", behind, start) > 1
            if index < len(self.tokens):
                behind = self.tokens[index].end

    def _pin(self, index: int) -> None:
        """Keep the line that ends with that token as it is: its ignore comment covers just this line."""
        while "\n" not in self.tokens[index].text:
            if self.newline[index]:
                self.held[index] = True
            if self.newline[index] or index == 0:
                return
            self.pinned[index] = True
            index -= 1

    def _move_comments_into_bodies(self) -> None:
        """Let comments between a head and its brace follow the brace, unless they would share its line with another."""
        for index, token in enumerate(self.tokens):
            if token.text == "{" and self.comments[index] and not self.pinned[index + 1]:
                inside = self.comments[index + 1]
                if not (inside and inside[0].trailing):
                    inside[:0] = self.comments[index]
                    self.comments[index] = []

    def _flat_gap(self, index: int) -> str:
        """The white space before a token within a line."""
        before = self.tokens[index - 1].text if index else "{"
        text = self.tokens[index].text
        if before == "{":
            return "" if text == "}" or index == 0 else " "
        if text in _NO_SPACE_BEFORE or before == "." or (text == "[]" and before != "="):
            return ""
        return "  " if self.clause_end[index] >= 0 else " "

    def _is_broken(self, index: int) -> bool:
        if self.comments[index]:
            return True
        empty = index > 0 and self.tokens[index - 1].text == "{" and self.is_empty(index - 1)
        return self.newline[index] and not empty


def _matches(tokens: Sequence[Token]) -> list[int]:
    matches = [-1] * len(tokens)
    opened: list[int] = []
    for index, token in enumerate(tokens):
        if token.text == "{":
            opened.append(index)
        elif token.text == "}":
            matches[index] = opened.pop()
            matches[matches[index]] = index
    return matches


# ------------------------------------------------------------------------------------------------ deciding


class _Layout:
    """Walks over the tokens once and decides each gap.

    Attributes:
        flat_until: up to this token everything stays in the line.
        depth: how many bodies are open that stand on lines of their own.
        wrapped: the head of the clause has been broken.
        closed: the closing brace of the last body that stood on lines of its own.
    """

    def __init__(self, shape: _Shape, line_length: int) -> None:
        self.shape = shape
        self.line_length = line_length
        self.writer = _Writer()
        self.flat_until = -1
        self.depth = 0
        self.wrapped = False
        self.closed = -1
        self.open = [False] * len(shape.tokens)
        self.next_brace = _next_braces(shape.tokens)
        self.chunk_end = self._chunk_ends()

    def lines(self) -> Iterator[str]:
        """The lines of the formatted text."""
        for index, token in enumerate(self.shape.tokens):
            if self.shape.clause_end[index] >= 0:
                self._gap(index)
                self._begin_clause(index)
            elif token.text == "}":
                self._close(index)
            else:
                self._gap(index)
            if token.text == "{":
                self._open(index)
            self.writer.write(token.text)
        self._comments(len(self.shape.tokens), 0, blanks=True)
        return self.writer.finish()

    @property
    def indent(self) -> int:
        return INDENT * self.depth

    def _gap(self, index: int) -> None:
        """Write what stands before a token that is no closing brace."""
        shape = self.shape
        if index <= self.flat_until or shape.pinned[index]:
            self.writer.write(shape.spaces[index])
        elif shape.clause_end[index] >= 0:
            first = index == 0 or (shape.tokens[index - 1].text == "{")
            first = self._comments(index, self.indent, blanks=True) and first
            self.writer.newline(self.indent, blank=shape.blank[index] and not first)
        elif self._begins_line(index):
            self._comments(index, self.indent)
            self.writer.newline(self.indent)
            self.wrapped = False
        elif shape.comments[index] or shape.held[index] or self._wraps(index):
            self._comments(index, self.indent + HANGING)
            self.writer.newline(self.indent + HANGING)
            self.wrapped = True
        else:
            self.writer.write(shape.spaces[index])

    def _begins_line(self, index: int) -> bool:
        """Whether a token inside a clause begins a line like the clause itself."""
        shape = self.shape
        kept = bool(shape.comments[index]) or shape.held[index]
        if shape.alternative[index]:
            return kept or self.closed != index - 1
        return kept and shape.tokens[index].text == "{"

    def _wraps(self, index: int) -> bool:
        """Whether the line is broken here because what follows does not fit on it."""
        if not self.shape.breakable[index] or self.writer.column <= self.indent + HANGING:
            return False
        following = len(self.shape.spaces[index]) + self.shape.width(index, self.chunk_end[index])
        return self.writer.column + following > self.line_length

    def _begin_clause(self, index: int) -> None:
        """Keep a clause with its bodies on one line if the author did and it fits."""
        shape = self.shape
        self.wrapped = False
        end = shape.clause_end[index]
        brace = self.next_brace[index]
        if (
            end > self.flat_until
            and brace <= end
            and shape.in_one_line(brace, end)
            and not any(shape.comments[at] or shape.held[at] for at in range(index + 1, brace + 1))
            and self.writer.column + shape.width(index, end) <= self.line_length
        ):
            self.flat_until = end

    def _open(self, brace: int) -> None:
        """Decide on a body: it stays on its line if the author wrote it so and it fits."""
        shape = self.shape
        close = shape.match[brace]
        if close <= self.flat_until or shape.is_empty(brace):
            return
        fits = not self.wrapped and self.writer.column + shape.width(brace, close) <= self.line_length
        if shape.in_one_line(brace, close) and (fits or shape.pinned[close]):
            self.flat_until = close
        else:
            self.open[brace] = True
            self.depth += 1

    def _close(self, index: int) -> None:
        shape = self.shape
        if not self.open[shape.match[index]]:
            self.writer.write(shape.spaces[index])
            return
        self._comments(index, self.indent, blanks=True)
        self.depth -= 1
        self.closed = index
        if shape.pinned[index]:
            self.writer.write(shape.spaces[index])
        else:
            self.writer.newline(self.indent)

    def _comments(self, index: int, indent: int, *, blanks: bool = False) -> bool:
        """Write the comments of a gap; whether none of them stands on a line of its own."""
        first = index == 0 or self.shape.tokens[index - 1].text == "{"
        alone = True
        for comment in self.shape.comments[index]:
            if comment.trailing or comment.continues:
                self.writer.comment(comment)
            else:
                self.writer.newline(indent, blank=blanks and comment.blank and not (first and alone))
                self.writer.write(comment.text)
                alone = False
        return alone

    def _chunk_ends(self) -> list[int]:
        """For each token the last one that stands in its line in any case."""
        shape = self.shape
        count = len(shape.tokens)
        ends = list(range(count))
        for index in range(count - 2, -1, -1):
            after = index + 1
            may_break = (
                shape.breakable[after]
                or shape.comments[after]
                or shape.held[after]
                or shape.alternative[after]
                or shape.clause_end[after] >= 0
                or (shape.tokens[after].text == "}" and not shape.is_empty(index))
            )
            if shape.pinned[after] or not may_break:
                ends[index] = ends[after]
        return ends


def _next_braces(tokens: Sequence[Token]) -> list[int]:
    """For each token the index of the next opening brace from there, or the number of tokens."""
    found = [len(tokens)] * len(tokens)
    following = len(tokens)
    for index in range(len(tokens) - 1, -1, -1):
        following = index if tokens[index].text == "{" else following
        found[index] = following
    return found


# ------------------------------------------------------------------------------------------------ writing


class _Line(NamedTuple):
    """A line: what stands before its comment, and the comment with the column where the author had it."""

    code: str
    comment: _Comment | None = None


class _Writer:
    """Collects lines, and puts trailing comments that stood below each other below each other again."""

    def __init__(self) -> None:
        self.done: list[_Line] = []
        self.parts: list[str] = []
        self.column = 0
        self.trailing: _Comment | None = None

    def write(self, text: str) -> None:
        """Put text at the end of the line."""
        self.parts.append(text)
        _, newline, last = text.rpartition("\n")
        self.column = len(last) + (0 if newline else self.column)

    def newline(self, indent: int, *, blank: bool = False) -> None:
        """Begin a line, after a blank one if wanted."""
        if self.parts or self.trailing:
            self.done.append(_Line("".join(self.parts), self.trailing))
            if blank:
                self.done.append(_Line(""))
        self.parts = [" " * indent] if indent else []
        self.column = indent
        self.trailing = None

    def comment(self, comment: _Comment) -> None:
        """Put a comment behind the line, or below the comment behind the line before."""
        if comment.continues:
            self.newline(0)
        self.trailing = comment

    def finish(self) -> Iterator[str]:
        """All lines, with their comments."""
        self.newline(0)
        paragraph: list[_Line] = []
        for line in self.done:
            if line.code or line.comment:
                paragraph.append(line)
            else:
                yield from _aligned(paragraph)
                yield ""
                paragraph = []
        yield from _aligned(paragraph)


def _aligned(lines: Sequence[_Line]) -> Iterator[str]:
    """The lines of a paragraph; comments that shared a column share one, two spaces behind the longest of their lines."""
    columns: dict[int, int] = {}
    for line in lines:
        if line.comment:
            width = len(line.code) - line.code.rfind("\n") - 1
            columns[line.comment.column] = max(columns.get(line.comment.column, 0), width + 2)
    for line in lines:
        if line.comment is None:
            yield line.code
        else:
            width = len(line.code) - line.code.rfind("\n") - 1
            yield line.code + " " * (columns[line.comment.column] - width) + line.comment.text
