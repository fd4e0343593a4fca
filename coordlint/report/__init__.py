"""Reports: every format is a pure function of a `Result`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coordlint.check import Result

FORMATS = ("full", "concise", "json", "sarif", "junit", "github", "gitlab", "checkstyle", "markdown")
"""The formats of `check`; each is a module here whose `render` makes the text."""


def render(result: Result, format: str, *, color: bool = False, quiet: bool = False) -> str:
    """The report of a run, ending in a line break unless it is empty.

    Args:
        result: the run.
        format: one of `FORMATS`.
        color: whether terminal colours may be used; formats for machines ignore it.
        quiet: leave the summary out; formats for machines ignore it.

    Raises:
        ValueError: the format does not exist.
    """
    if format not in FORMATS:
        raise ValueError(f"there is no format `{format}`")
    text: str = import_module(f"coordlint.report.{format}").render(result, color=color, quiet=quiet)
    return text
