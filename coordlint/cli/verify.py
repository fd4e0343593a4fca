"""The command `verify`: runs the models of designs under faults and shows the shortest way to every violation."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from coordlint.cli.progress import Progress
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
    from collections.abc import Sequence

    from coordlint.explore.sample import Sample
    from coordlint.explore.verify import Settings
    from coordlint.finding import Run
    from coordlint.run import Outcome, Request
    from coordlint.source import Span

FORMS = ("text", "mermaid", "svg")
"""How a single run can be told."""

MOST_IDLE = 12
"""So many moves that never occurred are listed."""

KINDS_OF_FAULTS = ("copy", "lose", "park", "forget", "omission", "overtake", "early", "crash", "publish", "rare")
"""Those of `coordlint.finding`, which `--help` does not load."""


@click.command()
@click.argument("paths", nargs=-1, metavar="[DESIGN…]")
@click.option("--faults", type=click.IntRange(0, 9), default=2, show_default=True, help="So many faults in one run.")
@click.option("--deep", is_flag=True, help="One fault more and twenty times as many states.")
@click.option("--flow", metavar="NAME", help="Only this flow or workflow.")
@click.option("--without", multiple=True, type=click.Choice(KINDS_OF_FAULTS), help="Faults that do not happen.")
@click.option(
    "--show",
    metavar="RUN",
    help="Tell single runs instead of the report: `happy` for the good run of each scene, `fault: WORDS` for one with such "
    "a fault, or a finding's counterexample by its rule, such as VER008, or VER008.2 for its second finding.",
)
@click.option("--as", "form", type=click.Choice(FORMS), default="text", show_default=True, help="Form of --show.")
@click.option(
    "--export",
    type=(click.Choice(("promela",)), str),
    metavar="FORMAT DIR",
    help="Write a model of each flow, workflow and pair of workflows into a folder of DIR; the FORMAT is promela.",
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
    form: str,
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
    with the fewest faults they need and the shortest way to them: numbered steps with their places, FAULT where one happens,
    BAD where the property is violated, then the damage and the repairs that were tried and help.

    Examples: `coordlint verify shop.coord --show VER008 --as svg --output run.svg` draws a counterexample, `--show VER008.2 --as
    mermaid` writes the second one for a pull request, `--show happy` and `--show "fault: crash at charge"` tell sample runs.

    Exit codes: 0 nothing to fail on, 1 findings, 2 the run could not be done.
    """
    from coordlint import run
    from coordlint.config import ConfigError
    from coordlint.explore.verify import Settings
    from coordlint.source import SourceError

    if engine != "own" and (format != "full" or output is not None):
        raise Failure("`--engine spin` tells what it finds as text only: leave `--format` and `--output` out")
    progress = Progress()
    settings = Settings(
        faults=faults + deep,
        limit=2_000_000 if deep else 100_000,
        without=frozenset(without),
        flow=flow or "",
        progress=progress.say if progress.wanted else None,
    )
    request = run.Request(paths=tuple(relative(path) for path in paths), profile=profile, verify=settings, baseline="")
    if show is None and form != "text":
        raise click.UsageError("--as goes with --show, which names the run")
    try:
        if show is not None:
            told = _sampled(request, settings, show) if _is_sample(show) else _counterexamples(request, show)
            progress.end()
            return _show(told, form, output, color)
        if export is not None or trail or engine != "own":
            code = _spin(run.designs(request), settings, export[1] if export is not None else None, trail)
            return 0 if code == 1 and exit_zero else code
        outcome = run.run(request)
    except (SourceError, ConfigError) as error:
        raise Failure(str(error)) from None
    finally:
        progress.end()
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
        told = next((finding.code for finding in result.findings if finding.run is not None), "")
        if told and format == "full" and not quiet:
            text += f"Run the same with `--show {told} --as svg` for a drawing.\n"
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


class Shown(NamedTuple):
    """A run to be shown.

    Attributes:
        title: what it is.
        run: the run.
        figures: what the search of its scene has seen, line by line.
    """

    title: str
    run: Run
    figures: tuple[str, ...] = ()


def _is_sample(show: str) -> bool:
    return show == "happy" or show.startswith("fault:")


def _sampled(request: Request, settings: Settings, show: str) -> list[Shown]:
    """One run of each scene: the good one without faults, or the first in which the named fault happens."""
    from coordlint.design import load
    from coordlint.explore.sample import sample
    from coordlint.explore.scene import scenes
    from coordlint.run import designs

    fault = "" if show == "happy" else show.removeprefix("fault:").strip()
    if show != "happy" and not fault:
        raise click.UsageError("--show wants words behind `fault:`, for example `fault: crash at charge`")
    found = []
    chosen = [(design.index, scene) for design in map(load, designs(request)) for scene in scenes(design.index)]
    chosen = [(index, scene) for index, scene in chosen if settings.flow in {"", scene.root.name}]
    if settings.flow and not chosen:
        raise Failure(f"there is no flow or workflow `{settings.flow}` to verify")
    for index, scene in chosen:
        one = sample(index, scene, fault, settings)
        what = f"with {show}" if fault else "without faults"
        if one.run is None:
            hint(f"{scene.name} has no run {what} to an end" + ("" if fault else " at which all is well"))
            continue
        found.append(Shown(f"{scene.name} {what}", one.run, _figures(one)))
    return found


def _figures(one: Sample) -> tuple[str, ...]:
    """The states by the number of faults they need, and what never occurred."""
    from coordlint.report.style import count

    words = ("without faults", "with 1 fault")
    layers = [f"{n:,} {words[i] if i < len(words) else f'with {i} faults'}" for i, n in enumerate(one.layers) if n]
    bound = f"complete for {one.complete} faults" if one.complete >= 0 else "not complete"
    lines = [f"states: {one.states:,} ({', '.join(layers)}), {bound}" + (", limit reached" if one.cut else "")]
    if one.cut:
        return tuple(lines)
    lines.append(f"never occurred: {count(len(one.idle), 'move')}")
    for label in one.idle[:MOST_IDLE]:
        lines.append(f"  {label.text} ({label.span.source.path}:{label.span.line})")
    if len(one.idle) > MOST_IDLE:
        lines.append(f"  and {len(one.idle) - MOST_IDLE} more, see --format json")
    return tuple(lines)


def _counterexamples(request: Request, show: str) -> list[Shown]:
    """The counterexamples of the findings of a rule, or one of them by its number."""
    from coordlint.names import closest
    from coordlint.run import run

    word, _, number = show.partition(".")
    result = run(request).result
    found: dict[str, list[Shown]] = {}
    for finding in result.findings:
        rule = result.rule(finding.code)
        if finding.run is not None:
            mine = found.setdefault(finding.code, [])
            title = f"{finding.code}.{len(mine) + 1} {rule.name if rule else ''}: {finding.message}"
            mine.append(Shown(title, finding.run))
    names = {rule.name: rule.code for rule in result.rules}
    mine = found.get(names.get(word.lower(), word.upper()), [])
    if mine and (not number or (number.isdigit() and 1 <= int(number) <= len(mine))):
        return [mine[int(number) - 1]] if number else mine
    known = [one.title.partition(" ")[0] for runs in found.values() for one in runs]
    if mine:
        raise Failure(f"`{word}` has {len(mine)} runs: name one of {', '.join(known)}")
    meant = closest(word.upper(), sorted(found))
    names_of = (
        f"did you mean `{meant}`?" if meant else f"there are {', '.join(known) or 'none'}, `happy`, and `fault: WORDS`"
    )
    raise Failure(f"there is no run `{show}`: {names_of}")


def _show(told: list[Shown], form: str, output: str | None, color: str) -> int:
    from coordlint.report import runs
    from coordlint.report.run_svg import draw
    from coordlint.report.style import one_line, painter

    if not told:
        return 1
    if form == "svg":
        if len(told) > 1:
            names = "; ".join(one.title for one in told[:8]) + ("; …" if len(told) > 8 else "")
            raise Failure(
                f"an SVG holds one run, and there are {len(told)}: name one, or a scene with --flow ({names})"
            )
        text = draw(told[0].run, title=told[0].title, link=_address, standalone=True)
    elif form == "mermaid":
        text = "\n".join(f"%% {one_line(one.title)}\n{runs.mermaid(one.run, one.title)}" for one in told)
    else:
        paint = painter(colored(color) if output is None else color == "always")
        lines = []
        for one in told:
            steps = [f"  {line}" for line in runs.text(one.run.steps, paint, one.run.repeats_from)]
            tail = [
                f"  {line}"
                for text in runs.closing(one.run)
                for line in runs.folded(one_line(text), text.index(": ") + 2)
            ]
            price = [f"  {runs.needs(one.run)}"] if one.run.property else []
            title = paint(one_line(one.title), "strong")
            lines += [title, *price, *steps, *tail, *(f"  {line}" for line in one.figures), ""]
        text = "\n".join(lines)
    if output is None:
        write(text, utf8=form != "text")
    else:
        write_file(output, text)
    return 0


def _address(span: Span) -> str:
    """The address of a line, as hosts of repositories understand it beside the design."""
    from urllib.parse import quote

    return f"{quote(span.source.path)}#L{span.line}"


def _spin(designs: Sequence[str], settings: Settings, folder: str | None, trails: tuple[str, ...]) -> int:
    from coordlint.cli import spin

    if folder is not None:
        return spin.export(designs, settings, folder)
    if trails:
        return spin.trails(designs, settings, trails)
    return spin.main(designs, settings)
