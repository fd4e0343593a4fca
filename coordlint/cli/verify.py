"""The command `verify`: runs the models of designs under faults and shows the shortest way to every violation."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from coordlint.cli.shared import (
    PROFILES,
    TEXT_FORMATS,
    Failure,
    color,
    colored,
    hint,
    relative,
    report_crash,
    write,
    write_file,
)
from coordlint.report import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from coordlint.explore.verify import Settings
    from coordlint.run import Outcome

KINDS_OF_FAULTS = ("copy", "lose", "park", "overtake", "early", "crash", "publish")


@click.command()
@click.argument("paths", nargs=-1, metavar="[DESIGN…]")
@click.option("--faults", type=click.IntRange(0, 9), default=2, show_default=True, help="So many faults in one run.")
@click.option("--deep", is_flag=True, help="One fault more and ten times as many states.")
@click.option("--flow", metavar="NAME", help="Only this flow or workflow.")
@click.option("--without", multiple=True, type=click.Choice(KINDS_OF_FAULTS), help="Faults that do not happen.")
@click.option("--show", metavar="RUN", help="Tell one run instead: `happy`, or `fault: WORDS` of a fault in it.")
@click.option("--mermaid", is_flag=True, help="With --show: as a Mermaid sequence diagram.")
@click.option(
    "--export",
    type=(click.Choice(("promela",)), str),
    metavar="FORMAT DIR",
    help="Write a model of each flow and workflow into a folder of DIR; the FORMAT is promela.",
)
@click.option("--trail", multiple=True, metavar="FILE", help="Replay a run that an exported model has found.")
@click.option("--engine", type=click.Choice(("own", "spin")), default="own", show_default=True, help="Who searches.")
@click.option("--format", type=click.Choice(FORMATS), default="full", show_default=True, help="Form of the report.")
@click.option("--output", metavar="FILE", help="Write the report to FILE.")
@click.option("--profile", type=click.Choice(PROFILES), help="How much the design must say.  [default: default]")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 even if there are findings.")
@click.option("--quiet", "-q", is_flag=True, help="Leave the summary out.")
@color
def verify(
    paths: tuple[str, ...],
    faults: int,
    deep: bool,
    flow: str | None,
    without: tuple[str, ...],
    show: str | None,
    mermaid: bool,
    export: tuple[str, str] | None,
    trail: tuple[str, ...],
    engine: str,
    format: str,
    output: str | None,
    profile: str | None,
    exit_zero: bool,
    quiet: bool,
    color: str,
) -> int:
    """Run designs under faults.

    Every flow and workflow is explored with all it causes: copies, losses, late and early timers, crashes. Violations come
    with the fewest faults they need and the shortest way to them.

    Exit codes: 0 nothing to fail on, 1 findings, 2 the run could not be done.
    """
    from coordlint import run
    from coordlint.config import ConfigError
    from coordlint.explore.verify import Settings
    from coordlint.source import SourceError

    if engine != "own" and (format != "full" or output is not None):
        raise Failure("`--engine spin` tells what it finds as text only: leave `--format` and `--output` out")
    settings = Settings(
        faults=faults + deep,
        limit=2_000_000 if deep else 100_000,
        without=frozenset(without),
        flow=flow or "",
        progress=_progress(),
    )
    request = run.Request(paths=tuple(relative(path) for path in paths), profile=profile, verify=settings, baseline="")
    try:
        if show is not None or export is not None or trail or engine != "own":
            designs = run.designs(request)
            if show is not None:
                return _show(designs, settings, show, mermaid=mermaid)
            code = _spin(designs, settings, export[1] if export is not None else None, trail)
            return 0 if code == 1 and exit_zero else code
        outcome = run.run(request)
    except (SourceError, ConfigError) as error:
        raise Failure(str(error)) from None
    _end_progress()
    if flow is not None and not outcome.result.verdicts:
        raise Failure(f"there is no flow or workflow `{flow}` to verify")
    return _report(outcome, format, output, color=color, quiet=quiet, exit_zero=exit_zero)


def _report(outcome: Outcome, format: str, output: str | None, *, color: str, quiet: bool, exit_zero: bool) -> int:
    from coordlint.report import render

    result = outcome.result
    paint = colored(color) if output is None else color == "always"
    text = render(result, format, color=paint, quiet=quiet)
    verdicts = "".join(f"{one.scene}: {one.words} — {one.states:,} states\n" for one in result.verdicts)
    if format in TEXT_FORMATS:
        text = f"{text}\n{verdicts}" if text else verdicts
    elif not quiet:
        for line in verdicts.splitlines():
            hint(line)
    if output is None:
        write(text, utf8=format not in TEXT_FORMATS)
    else:
        write_file(output, text)
    for crash in result.crashes:
        report_crash(crash.rule.code, crash.error)
    if result.crashes:
        return 2
    return int(outcome.failed and not exit_zero)


# ------------------------------------------------------------------------------------------------ single runs


def _show(designs: object, settings: Settings, show: str, *, mermaid: bool) -> int:
    """Tell one run of each scene: the good one without faults, or the first in which the named fault happens."""
    from coordlint.design import load
    from coordlint.explore import sample, story
    from coordlint.explore.scene import scenes

    wanted = "" if show == "happy" else show.removeprefix("fault:").strip()
    if show != "happy" and not show.startswith("fault:"):
        raise click.UsageError("--show wants `happy` or `fault: WORDS`, for example `fault: crash at charge`")
    shown = False
    for path in designs:  # type: ignore[attr-defined]
        design = load(path)
        for scene in scenes(design.index):
            if settings.flow and scene.root.name != settings.flow:
                continue
            steps = sample.run(design.index, scene, wanted, settings)
            if not steps:
                hint(f"{scene.name} has no such run")
                continue
            shown = True
            end = steps[-1].text
            if mermaid:
                write(story.mermaid(steps, end))
            else:
                lines = [scene.name, *story.diagram(steps), *story.sentences(steps), ""]
                write("\n".join(lines) + "\n")
    return 0 if shown else 1


def _spin(designs: Sequence[str], settings: Settings, folder: str | None, trails: tuple[str, ...]) -> int:
    from coordlint.cli import spin

    if folder is not None:
        return spin.export(designs, settings, folder)
    if trails:
        return spin.trails(designs, settings, trails)
    return spin.main(designs, settings)


# ------------------------------------------------------------------------------------------------ progress


def _progress() -> Callable[[str], None] | None:
    """Tell about layers on a terminal, in one line that is written over."""
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        return None

    def say(text: str) -> None:
        click.echo(f"\r\x1b[K{text[:100]}", err=True, nl=False)

    return say


def _end_progress() -> None:
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        click.echo("\r\x1b[K", err=True, nl=False)
