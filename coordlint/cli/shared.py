"""What the commands share: output whatever the terminal, colours, one-sentence errors, exit codes."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from coordlint.source import Source

TEXT_FORMATS = ("full", "concise", "markdown")
SEVERITIES = ("error", "warning", "info", "hint")
PROFILES = ("minimal", "default", "strict", "production")
STDIN = "-"


class Failure(click.ClickException):
    """The run cannot be done; the message is one sentence that names the remedy."""

    exit_code = 2


color = click.option(
    "--color",
    type=click.Choice(("auto", "always", "never")),
    default="auto",
    show_default=True,
    help="Colours; auto heeds FORCE_COLOR, NO_COLOR and TERM.",
)


def wants_color(when: str, environ: Mapping[str, str], terminal: bool) -> bool:
    """Decide on colours: `--color`, then FORCE_COLOR, NO_COLOR, TERM=dumb, and last whether it is a terminal.

    Args:
        when: `always`, `never` or `auto`.
        environ: the environment; an empty variable counts as unset.
        terminal: whether the output goes to a terminal.
    """
    if when != "auto":
        return when == "always"
    if environ.get("FORCE_COLOR"):
        return environ["FORCE_COLOR"] not in ("0", "false")
    if environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return False
    return terminal


def relative(path: str) -> str:
    """A path below the current folder without that folder: reports and fingerprints shall be the same on every machine."""
    here = os.getcwd() + os.sep
    return path.removeprefix(here) if path != here else "."


def split(values: Sequence[str]) -> list[str]:
    """The parts of values that may be lists with commas."""
    return [part.strip() for value in values for part in value.split(",") if part.strip()]


class Recorder:
    """Keeps what is written while it is entered, so that an equal run can say it again.

    Attributes:
        inputs: what the run looked at; it sets them.
        stdout: what went to standard output.
        stderr: what went to standard error.
        files: the reports that were written, as path and text.
    """

    active: Recorder | None = None

    def __init__(self) -> None:
        self.inputs: tuple[str, ...] = ()
        self.stdout = b""
        self.stderr = b""
        self.files: list[tuple[str, str]] = []

    def __enter__(self) -> None:
        Recorder.active = self

    def __exit__(self, *_: object) -> None:
        Recorder.active = None


def replay(stdout: bytes, stderr: bytes, files: Sequence[tuple[str, str]]) -> None:
    """Say again what a run said."""
    for path, text in files:
        write_file(path, text)
    _emit(stdout)
    if stderr:
        click.echo(stderr.decode("utf-8"), err=True, nl=False)


def write(text: str, *, utf8: bool = False) -> None:
    """Write to standard output whatever its encoding; a reader that went away is no error."""
    data = text.encode("utf-8" if utf8 else sys.stdout.encoding or "utf-8", "backslashreplace")
    if Recorder.active is not None:
        Recorder.active.stdout += data
    _emit(data)


def _emit(data: bytes) -> None:
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        leave_pipe()


def leave_pipe() -> None:
    """Point standard output to nowhere, or Python complains about the broken pipe when it shuts down."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def colored(when: str) -> bool:
    """Whether standard output gets colours."""
    return wants_color(when, os.environ, sys.stdout.isatty())


def one_sentence(error: click.ClickException) -> str:
    """The error as one sentence; a wrong use names the help to look at."""
    message = " ".join(error.format_message().split()).rstrip(".")
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "coordlint"
        return f"{message[:1].lower()}{message[1:]} (see `{command} --help`)"
    return message


def report_crash(code: str, error: Exception) -> None:
    """Say that a rule failed, and what to do about it."""
    if os.environ.get("COORDLINT_TRACEBACK") == "1":
        import traceback

        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    complain(
        f"rule {code} failed ({type(error).__name__}: {error}), the others ran: "
        "please report it together with what COORDLINT_TRACEBACK=1 shows"
    )


def complain(message: str) -> int:
    """Say why the run cannot be done, on one line; returns its exit code."""
    click.echo(f"coordlint: {_one_line(message)}", err=True)
    return 2


def hint(message: str) -> None:
    """Say something beside the report: it goes to standard error, so that standard output stays clean for machines."""
    text = f"coordlint: {_one_line(message)}\n"
    if Recorder.active is not None:
        Recorder.active.stderr += text.encode("utf-8")
    click.echo(text, err=True, nl=False)


def _one_line(message: str) -> str:
    """The message without anything in a name that could break out of its line."""
    from coordlint.source import printable

    return printable(" ".join(message.split()))


def write_file(path: str, text: str) -> None:
    """Write a file whole or not at all; raises Failure with the reason."""
    from coordlint.source import replace_file

    if Recorder.active is not None:
        Recorder.active.files.append((path, text))
    try:
        replace_file(path, text)
    except OSError as error:
        raise Failure(f"cannot write `{path}`: {(error.strerror or str(error)).lower()}") from None


def marked(source: Source, text: str) -> str:
    """The text with the byte order mark that the source had."""
    return ("\ufeff" if source.bom else "") + text


def diff_of(source: Source, text: str) -> str:
    """A unified diff that `patch` can apply."""
    from difflib import unified_diff

    old, new = (marked(source, one).split("\n") for one in (source.text, text))
    parts = []
    for line in unified_diff(_ended(old), _ended(new), source.path, source.path):
        parts.append(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n")
    return "".join(parts)


def _ended(lines: list[str]) -> list[str]:
    """Lines with their ends; the last one has none, and is left out when it is empty."""
    ended = [f"{line}\n" for line in lines[:-1]]
    return [*ended, lines[-1]] if lines[-1] else ended
