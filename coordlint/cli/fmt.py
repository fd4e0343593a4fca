"""The command `fmt`: formats designs in place, or says what it would change."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from coordlint.cli.shared import (
    STDIN,
    Failure,
    complain,
    diff_of,
    hint,
    marked,
    relative,
    write,
    write_file,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATHS…|-]")
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 if a file would change.")
@click.option("--diff", is_flag=True, help="Like --check, and show the changes.")
@click.option("--line-length", type=click.IntRange(min=40), metavar="N", help="Break longer lines.  [default: 120]")
@click.option("--stdin-filename", metavar="PATH", help="What `-` is called in messages.")
def fmt(paths: tuple[str, ...], check: bool, diff: bool, line_length: int | None, stdin_filename: str | None) -> int:
    """Format designs.

    A folder stands for every .coord file below it; `-` formats standard input to standard output. Without PATHS the current
    folder is formatted. A file with syntax errors is left as it is.

    Exit codes: 0 done, or nothing to do; 1 with --check or --diff if a file would change; 2 a file cannot be formatted.
    """
    from coordlint.config import ConfigError
    from coordlint.format import LINE_LENGTH
    from coordlint.source import SourceError

    length = line_length or LINE_LENGTH
    if STDIN in paths:
        if len(paths) > 1:
            raise click.UsageError("`-` reads the design from standard input and must be the only path")
        return _format_stream(stdin_filename or "<stdin>", length, check=check, diff=diff)
    if stdin_filename:
        raise click.UsageError("--stdin-filename names what `-` reads: give `-` as the path")
    try:
        files = _files(paths or (".",))
    except (SourceError, ConfigError) as error:
        raise Failure(str(error)) from None
    return _format_files(files, length, check=check, diff=diff)


def _files(paths: Sequence[str]) -> Sequence[str]:
    from coordlint.discover import find_files
    from coordlint.run import Request, excluded

    return find_files([relative(path) for path in paths], excluded(Request()))


def _format_stream(name: str, line_length: int, *, check: bool, diff: bool) -> int:
    from coordlint.format import FormatError, format_source
    from coordlint.source import decode_source, printable

    source = decode_source(sys.stdin.buffer.read(), name)
    try:
        text = format_source(source, line_length)
    except FormatError as error:
        return complain(printable(str(error)))
    if diff:
        write(diff_of(source, text), utf8=True)
    elif not check:
        write(marked(source, text), utf8=True)
    return int(text != source.text and (check or diff))


def _format_files(files: Sequence[str], line_length: int, *, check: bool, diff: bool) -> int:
    from coordlint.format import FormatError, format_source
    from coordlint.source import SourceError, printable, read_source

    changed = unchanged = failed = 0
    for path in files:
        try:
            source = read_source(path)
            text = format_source(source, line_length)
            if text == source.text:
                unchanged += 1
                continue
            if diff:
                write(diff_of(source, text), utf8=True)
            elif check:
                hint(f"would format {printable(path)}")
            else:
                write_file(path, marked(source, text))
            changed += 1
        except (SourceError, FormatError) as error:
            complain(printable(str(error)))
            failed += 1
        except Failure as error:
            complain(printable(error.message))
            failed += 1
    hint(_summary(changed, unchanged, failed, would=check or diff))
    return 2 if failed else int(bool(changed) and (check or diff))


def _summary(changed: int, unchanged: int, failed: int, *, would: bool) -> str:
    files = f"{changed} file{'s' * (changed != 1)}"
    said = [f"{files} would be formatted" if would else f"formatted {files}", f"{unchanged} unchanged"]
    if failed:
        said.append(f"{failed} left as {'it is' if failed == 1 else 'they are'}")
    return ", ".join(said)
