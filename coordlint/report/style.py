"""Terminal colours, and text made safe and measured for a terminal."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from coordlint.source import printable, printable_char

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    Paint: TypeAlias = Callable[[str, str], str]

TAB = 4
"""Columns between tab stops."""

_CODES = {
    "error": "1;31",
    "warning": "1;33",
    "info": "1;34",
    "hint": "1;36",
    "related": "34",
    "gutter": "34",
    "strong": "1",
    "code": "36",
    "good": "32",
}


def painter(color: bool) -> Paint:
    """A function of text and style name; without colour it returns the text as it is."""
    return _painted if color else _plain


def one_line(text: str) -> str:
    """The text safe to print on one line: line breaks and runs of spaces become one space, control characters escapes."""
    return printable(" ".join(text.split()))


def cell(char: str, column: int) -> tuple[str, int]:
    """How a character of a source line is printed at a column counted from 0, and how many columns that takes."""
    if char == "\t":
        width = TAB - column % TAB
        return " " * width, width
    shown = printable_char(char)
    if shown != char:
        return shown, len(shown)
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return char, 0
    return char, 2 if unicodedata.east_asian_width(char) in "WF" else 1


def width(text: str) -> int:
    """Columns that a printable text takes in a terminal."""
    return len(text) if text.isascii() else sum(cell(char, 0)[1] for char in text)


def count(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun, such as `1 error` and `2 errors`."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def _painted(text: str, style: str) -> str:
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if style in _CODES and text else text


def _plain(text: str, style: str) -> str:
    return text
