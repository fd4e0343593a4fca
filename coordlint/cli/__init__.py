"""The command line: the only package that writes to the terminal, reads the environment and decides the exit code.

Everything but click is imported inside the commands, so that help and completion answer at once.
"""

from __future__ import annotations

import gc
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import click

from coordlint import __version__
from coordlint.cli.shared import complain, leave_pipe, one_sentence, wants_color

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

__all__ = ["cli", "main", "run", "wants_color"]


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the program with the given arguments, or those of the process, and leave with its exit code."""
    # A run builds one model and ends: looking for garbage in it meanwhile takes half of the time and finds none.
    gc.disable()
    sys.exit(run(args))


def run(args: Sequence[str] | None = None) -> int:
    """Run the program and return the exit code: 0 clean, 1 findings, 2 the run could not be done."""
    try:
        code = cli.main(None if args is None else list(args), prog_name="coordlint", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return 2
    except click.ClickException as error:
        return complain(one_sentence(error))
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        leave_pipe()
        return 0
    except Exception as error:  # the last line of defence: a crash must not look like findings
        if os.environ.get("COORDLINT_TRACEBACK") == "1":
            raise
        return complain(
            f"coordlint failed ({type(error).__name__}: {error}): "
            "please report it together with what COORDLINT_TRACEBACK=1 shows"
        )
    return code or 0


COMMANDS = {
    "check": "check",
    "verify": "verify",
    "fmt": "fmt",
    "rules": "catalogue",
    "explain": "catalogue",
    "config": "catalogue",
    "init": "project",
    "baseline": "project",
    "graph": "draw",
    "sequence": "draw",
    "report": "report",
    "completion": "project",
}
"""The commands and the modules here that hold them; a command is imported when it is called or listed."""


class _Commands(click.Group):
    """The group of all commands, each of which costs nothing until it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            self.commands = {name: _load(name) for name in COMMANDS}  # click looks there for what was meant
            return None
        return _load(cmd_name)


def _load(name: str) -> click.Command:
    command: click.Command = getattr(import_module(f"coordlint.cli.{COMMANDS[name]}"), name)
    return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="coordlint", message="%(prog)s %(version)s")
def cli() -> None:
    """Check coordination designs: orchestration, choreography and the hybrids between them."""
