"""What a verification has done so far, in one line of the terminal."""

from __future__ import annotations

import os
import sys

import click


class Progress:
    """Tells on a terminal which layers are complete, in one line that is written over.

    Attributes:
        wanted: whether there is a terminal to tell it on.
    """

    def __init__(self) -> None:
        self.wanted = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._said = False

    def say(self, text: str) -> None:
        """Show the text instead of the last one."""
        click.echo(f"\r\x1b[K{text[:100]}", err=True, nl=False)
        self._said = True

    def end(self) -> None:
        """Wipe the line."""
        if self._said:
            click.echo("\r\x1b[K", err=True, nl=False)
            self._said = False
