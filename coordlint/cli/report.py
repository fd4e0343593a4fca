"""The command that writes the whole report of a design as one HTML page: `report`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from coordlint.cli.check import selection_options, severities, today
from coordlint.cli.progress import Progress
from coordlint.cli.shared import Failure, hint, relative, report_crash, split, write, write_file

if TYPE_CHECKING:
    from coordlint.run import Checked, Request

FAULTS, LIMIT, MANY = 2, 20_000, 10
"""How far the model is run for a report: so many faults and states; with many flows as `Settings.many` says."""


@click.command()
@click.argument("design", metavar="DESIGN")
@click.option("--output", "-o", metavar="FILE", help="Write to FILE instead of standard output.")
@selection_options
@click.option("--baseline", metavar="FILE", help="Findings in this file are known; the report lists them apart.")
@click.option("--no-ignores", is_flag=True, help="Heed no ignore comments.")
@click.option(
    "--verify/--no-verify",
    default=True,
    show_default=True,
    help=f"Run the model under at most {FAULTS} faults ({LIMIT:,} states for a flow); without it, as short as `check` does.",
)
def report(design: str, output: str | None, **options: object) -> None:
    """Write a report of DESIGN as one HTML page that needs nothing else.

    It shows the verdict, maps, flows as sequence diagrams, how the design goes wrong under faults, every service and message,
    the findings with their rules, and the trade-offs of the design in numbers. The page opens from disk, requests nothing, and reads without scripts and styles.
    """
    from coordlint.baseline import BaselineError
    from coordlint.cli import graphviz
    from coordlint.config import ConfigError
    from coordlint.report.html import render
    from coordlint.rule import UnknownRuleError
    from coordlint.source import SourceError

    progress = Progress()
    try:
        checked = _checked(_request(design, options, progress))
    except (UnknownRuleError, SourceError, ConfigError, BaselineError) as error:
        raise Failure(str(error)) from None
    finally:
        progress.end()
    for crash in checked.result.crashes:
        report_crash(crash.rule.code, crash.error)
    engine = graphviz.engine if graphviz.available() else None
    text = render(checked.design, checked.result, engine=engine, time=_time())
    if output is None:
        write(text, utf8=True)
    else:
        write_file(output, text)
        hint(f"wrote {output}")


def _request(design: str, options: dict[str, object], progress: Progress) -> Request:
    from coordlint.explore.verify import Settings
    from coordlint.run import Request

    verify = Settings(FAULTS, LIMIT, progress=progress.say if progress.wanted else None, many=MANY)

    def strings(name: str) -> tuple[str, ...]:
        value = options[name]
        assert isinstance(value, tuple)
        return value

    def text(name: str) -> str | None:
        value = options[name]
        return str(value) if value is not None else None

    return Request(
        paths=(relative(design),),
        select=tuple(split(strings("select"))),
        extend_select=tuple(split(strings("extend_select"))),
        ignore=tuple(split(strings("ignore"))),
        severities=severities(strings("severity")),
        profile=text("profile"),
        config=text("config"),
        isolated=bool(options["isolated"]),
        ignores=not options["no_ignores"],
        baseline=text("baseline"),
        today=today(),
        verify=verify if options["verify"] else None,
        beside=True,
    )


def _checked(request: Request) -> Checked:
    """The one design of the request, checked."""
    from coordlint.run import designs, run

    found = designs(request)
    if len(found) != 1:
        names = ", ".join(f"`{path}`" for path in found[:5]) or "none"
        raise Failure(f"a report is about one design, and there are {len(found)} ({names}): name one of them")
    return run(request).designs[0]


def _time() -> str:
    """The time of SOURCE_DATE_EPOCH; without it none is told, so that equal designs make equal pages."""
    from datetime import UTC, datetime

    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    return datetime.fromtimestamp(int(epoch), UTC).strftime("%Y-%m-%d %H:%M UTC") if epoch.isdigit() else ""
