"""The command line: the only package that writes to the terminal, reads the environment and decides the exit code.

Everything but click is imported inside the commands, so that help and completion answer at once.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import TYPE_CHECKING

import click

from coordlint import __version__
from coordlint.cli.catalogue import config, explain, rules
from coordlint.cli.check import check
from coordlint.cli.draw import graph, sequence
from coordlint.cli.fmt import fmt
from coordlint.cli.project import baseline, completion, init
from coordlint.cli.report import report
from coordlint.cli.shared import complain, leave_pipe, one_sentence, wants_color
from coordlint.cli.verify import verify

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


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="coordlint", message="%(prog)s %(version)s")
def cli() -> None:
    """Check coordination designs: orchestration, choreography and the hybrids between them."""


for _command in (check, verify, fmt, rules, explain, config, init, baseline, graph, sequence, report, completion):
    cli.add_command(_command)
