"""The command `check`: its options, its reports, its fixes."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click

from coordlint.cli.shared import (
    PROFILES,
    SEVERITIES,
    STDIN,
    TEXT_FORMATS,
    Failure,
    Recorder,
    color,
    colored,
    diff_of,
    hint,
    marked,
    relative,
    replay,
    report_crash,
    split,
    write,
    write_file,
)
from coordlint.report import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import date

    from coordlint.check import Result
    from coordlint.finding import Severity
    from coordlint.fix import Fixed
    from coordlint.run import Outcome, Request
    from coordlint.source import Source


T = TypeVar("T")


class _Target(NamedTuple):
    """A report to write; without a file it goes to standard output."""

    format: str
    file: str | None


class _Check(click.Command):
    """A command that remembers which `--output` followed which `--format`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        values, _, order = self.make_parser(ctx).parse_args(list(args))
        rest = super().parse_args(ctx, args)
        ctx.obj = _targets(
            [(option.name, values[option.name].pop(0)) for option in order if option.name in ("format", "output")]
        )
        return rest


def selection_options(command: Callable[..., T]) -> Callable[..., T]:
    """The options that say which rules run, shared by every command that checks."""
    for option in reversed(
        (
            click.option("--select", multiple=True, metavar="RULES", help="Only these: codes, beginnings, names, ALL."),
            click.option(
                "--extend-select", multiple=True, metavar="RULES", help="These as well, even if they are off."
            ),
            click.option("--ignore", multiple=True, metavar="RULES", help="Leave these out."),
            click.option("--severity", multiple=True, metavar="RULE=LEVEL", help="error, warning, info, hint or off."),
            click.option(
                "--profile", type=click.Choice(PROFILES), help="How much the design must say.  [default: default]"
            ),
            click.option("--config", metavar="FILE", help="Use this configuration for every design."),
            click.option("--isolated", is_flag=True, help="Heed no configuration file."),
        )
    ):
        command = option(command)
    return command


@click.command(cls=_Check)
@click.argument("paths", nargs=-1, metavar="[PATHS…|-]")
@click.option("--format", multiple=True, type=click.Choice(FORMATS), help="Form of the report.  [default: full]")
@click.option("--output", multiple=True, metavar="FILE", help="Write the report of the --format before it to FILE.")
@selection_options
@click.option(
    "--fail-on",
    type=click.Choice(SEVERITIES),
    help="Exit with 1 from this severity on.  [default: error, in stricter profiles warning]",
)
@click.option("--fix", is_flag=True, help="Apply the safe fixes.")
@click.option("--unsafe-fixes", is_flag=True, help="With --fix or --diff: also those that change what a design means.")
@click.option("--diff", is_flag=True, help="Show what --fix would change, and change nothing.")
@click.option("--baseline", metavar="FILE", help="Findings in this file are known and not shown.")
@click.option("--error-stale-baseline", is_flag=True, help="Exit with 1 if the baseline has entries nothing matches.")
@click.option("--no-ignores", is_flag=True, help="Heed no ignore comments.")
@click.option("--stdin-filename", metavar="PATH", help="What `-` is called; includes are looked up beside it.")
@click.option("--statistics", is_flag=True, help="Count the findings of each rule instead of listing them.")
@click.option("--show-files", is_flag=True, help="List the designs that would be checked, and stop.")
@click.option("--watch", is_flag=True, help="Check again whenever a file changes, until interrupted.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 even if there are findings.")
@click.option("--quiet", "-q", is_flag=True, help="Leave the summary out.")
@click.option("--no-cache", is_flag=True, help="Check anew even if nothing has changed.")
@color
@click.pass_context
def check(ctx: click.Context, /, **options: object) -> int:
    """Check designs.

    A folder stands for every .coord file below it that no other of them includes; `-` is standard input. Without PATHS the
    designs of the configuration are checked, else the current folder.

    Exit codes: 0 nothing to fail on, 1 findings, 2 the run could not be done.
    """
    given = _Options(options, ctx.obj)
    given.validate()
    if given.flag("watch"):
        from coordlint.cli.watch import watch

        recorder = Recorder()
        return watch(given.paths, lambda: _run(given, recorder), inputs=lambda: recorder.inputs)
    if given.cacheable:
        return _run_cached(given)
    return _run(given)


class _Options:
    """The options of one call."""

    def __init__(self, values: Mapping[str, object], targets: list[_Target]) -> None:
        self.values = values
        self.targets = targets
        self.paths = tuple(relative(path) for path in self._strings("paths"))

    def flag(self, name: str) -> bool:
        return bool(self.values[name])

    def text(self, name: str) -> str | None:
        value = self.values[name]
        return str(value) if value is not None else None

    def _strings(self, name: str) -> tuple[str, ...]:
        value = self.values[name]
        assert isinstance(value, tuple)
        return value

    def validate(self) -> None:
        """Combinations that make no sense; raises UsageError."""
        if self.flag("statistics") and any(target.format not in TEXT_FORMATS for target in self.targets):
            raise click.UsageError(f"--statistics goes with --format {' or '.join(TEXT_FORMATS)}")
        if self.flag("unsafe_fixes") and not (self.flag("fix") or self.flag("diff")):
            raise click.UsageError("--unsafe-fixes goes with --fix or --diff")
        if self.flag("isolated") and self.text("config"):
            raise click.UsageError("--isolated heeds no configuration, --config names one: give one of them")
        if STDIN in self.paths and len(self.paths) > 1:
            raise click.UsageError("`-` reads the design from standard input and must be the only path")
        if STDIN in self.paths and self.flag("watch"):
            raise click.UsageError("--watch needs files, `-` is standard input")
        if self.flag("watch") and (self.flag("fix") or self.flag("diff")):
            raise click.UsageError("--watch only looks: leave --fix and --diff out, or run them once")
        if self.text("stdin_filename") and STDIN not in self.paths:
            raise click.UsageError("--stdin-filename names what `-` reads: give `-` as the path")

    @property
    def cacheable(self) -> bool:
        """Whether the run only depends on files and writes nothing but reports."""
        changing = ("fix", "diff", "show_files", "no_cache")
        return STDIN not in self.paths and not any(self.flag(name) for name in changing)

    def request(self) -> Request:
        """What to check."""
        from coordlint.run import Request

        stdin = _standard_input(self.text("stdin_filename") or "<stdin>") if STDIN in self.paths else None
        return Request(
            paths=() if stdin else self.paths,
            stdin=stdin,
            select=tuple(split(self._strings("select"))),
            extend_select=tuple(split(self._strings("extend_select"))),
            ignore=tuple(split(self._strings("ignore"))),
            severities=severities(self._strings("severity")),
            profile=self.text("profile"),
            fail_on=self.text("fail_on"),
            config=self.text("config"),
            isolated=self.flag("isolated"),
            ignores=not self.flag("no_ignores"),
            baseline=self.text("baseline"),
            today=today(),
            remember=not self.flag("no_cache"),
        )


def _run_cached(options: _Options) -> int:
    """What an equal run said before, if nothing it looked at has changed; else a run that is remembered."""
    from coordlint import cache

    name = cache.key(
        os.getcwd(),
        sorted((key, str(value)) for key, value in options.values.items()),
        options.targets,
        colored(options.text("color") or "auto"),
        sys.stdout.encoding,
        str(today()),
    )
    entry = cache.lookup(name)
    if entry is None:
        began = cache.begin(options.paths or (".",))
        recorder = Recorder()
        with recorder:
            code = _run(options, recorder)
        if code != 2 and recorder.inputs:
            state = cache.snapshot(recorder.inputs, began)
            if state is not None:
                cache.store(name, cache.Entry(state, recorder.stdout, recorder.stderr, tuple(recorder.files), code))
        return code
    replay(entry.stdout, entry.stderr, entry.files)
    return entry.code


def _run(options: _Options, recorder: Recorder | None = None) -> int:
    """One run: check, fix if asked, report, and the exit code."""
    from coordlint import run
    from coordlint.baseline import BaselineError
    from coordlint.config import ConfigError
    from coordlint.rule import UnknownRuleError
    from coordlint.source import SourceError

    try:
        request = options.request()
        if options.flag("show_files"):
            write("".join(f"{path}\n" for path in run.designs(request)))
            return 0
        outcome = run.run(request)
        if recorder is not None:
            recorder.inputs = outcome.inputs
        if options.flag("fix") or options.flag("diff"):
            return _fix(request, outcome, options)
    except (UnknownRuleError, SourceError, ConfigError, BaselineError) as error:
        raise Failure(str(error)) from None
    for target in options.targets:
        _report(outcome.result, target, options)
    return _exit_code(outcome, options)


def _exit_code(outcome: Outcome, options: _Options) -> int:
    for crash in outcome.result.crashes:
        report_crash(crash.rule.code, crash.error)
    if outcome.result.crashes:
        return 2
    stale = _say_baseline(outcome, quiet=options.flag("quiet"))
    if options.flag("exit_zero"):
        return 0
    return int(outcome.failed or (stale and options.flag("error_stale_baseline")))


def _say_baseline(outcome: Outcome, *, quiet: bool) -> bool:
    """Tell how the findings stand against the baseline; whether it has stale entries."""
    for path, base, known, new, stale in outcome.baselines:
        if not quiet:
            prune = f"; `coordlint baseline --prune --file {path}` removes them" if stale else ""
            hint(f"baseline {path}: {known} known, {new} new, {len(stale)} of {len(base.entries)} gone{prune}")
    return any(compared.stale for compared in outcome.baselines)


# ------------------------------------------------------------------------------------------------ fixes


def _fix(request: Request, outcome: Outcome, options: _Options) -> int:
    from dataclasses import replace

    from coordlint import run
    from coordlint.fix import apply_fixes

    outcomes = {id(outcome.result): outcome}

    def again(overlay: Mapping[str, Source]) -> Result:
        stdin = request.stdin
        if stdin is not None:
            stdin = overlay.get(os.path.realpath(stdin.path), stdin)
        found = run.run(replace(request, stdin=stdin), overlay)
        outcomes[id(found.result)] = found
        return found.result

    fixed = apply_fixes(outcome.result, again, unsafe=options.flag("unsafe_fixes"))
    if fixed.stopped:
        hint(f"stopped fixing: {fixed.stopped}")
    if options.flag("diff"):
        write(_diff(fixed), utf8=True)
        return int(bool(fixed.sources) and not options.flag("exit_zero"))
    if request.stdin is not None:
        _, after = fixed.sources.get(os.path.realpath(request.stdin.path), (None, request.stdin))
        write(marked(after, after.text), utf8=True)
    for path, (_, after) in fixed.sources.items():
        if request.stdin is None or path != os.path.realpath(request.stdin.path):
            write_file(after.path, marked(after, after.text))
    for target in options.targets:
        if request.stdin is None or target.file is not None:
            _report(fixed.result, target, options)
    if not options.flag("quiet"):
        files = len(fixed.sources)
        hint(f"applied {fixed.applied} fix{'es' * (fixed.applied != 1)} in {files} file{'s' * (files != 1)}")
    return _exit_code(outcomes[id(fixed.result)], options)


def _diff(fixed: Fixed) -> str:
    return "".join(diff_of(before, after.text) for before, after in fixed.sources.values())


# ------------------------------------------------------------------------------------------------ parts


def today() -> date:
    """The day on which ignores end: SOURCE_DATE_EPOCH if set, so that builds can be repeated, else today."""
    from datetime import UTC, date, datetime

    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    return datetime.fromtimestamp(int(epoch), UTC).date() if epoch.isdigit() else date.today()


def severities(values: Sequence[str]) -> dict[str, Severity | None]:
    """The values of `--severity`; raises UsageError."""
    from coordlint.finding import Severity

    found: dict[str, Severity | None] = {}
    for value in split(values):
        selector, _, level = value.partition("=")
        if not selector or level not in (*SEVERITIES, "off"):
            levels = ", ".join(SEVERITIES)
            raise click.UsageError(f"--severity wants RULE=LEVEL with one of {levels} and off, not `{value}`")
        found.pop(selector, None)  # the last one counts, also in order
        found[selector] = None if level == "off" else Severity[level.upper()]
    return found


def _standard_input(name: str) -> Source:
    from coordlint.source import decode_source

    return decode_source(sys.stdin.buffer.read(), name)


def _targets(options: list[tuple[str | None, str]]) -> list[_Target]:
    names = [name for name, _ in options]
    if sorted(map(str, names)) == ["format", "output"]:  # one of each: the order says nothing
        options = sorted(options, key=lambda option: str(option[0]))
    targets: list[_Target] = []
    pending: str | None = None
    for name, value in options:
        if name == "format":
            if pending:
                targets.append(_Target(pending, None))
            pending = value
        else:
            targets.append(_Target(pending or "full", None if value == "-" else value))
            pending = None
    if pending or not targets:
        targets.append(_Target(pending or "full", None))
    if sum(target.file is None for target in targets) > 1:
        raise click.UsageError("only one report can go to standard output: give the others an --output each")
    return targets


def _report(result: Result, target: _Target, options: _Options) -> None:
    from coordlint.report import render

    when = options.text("color") or "auto"
    paint = colored(when) if target.file is None else when == "always"
    if options.flag("statistics"):
        from coordlint.report.full import render_statistics

        text = render_statistics(result, color=paint)
    else:
        text = render(result, target.format, color=paint, quiet=options.flag("quiet"))
    if target.file is None:
        write(text, utf8=target.format not in TEXT_FORMATS)
    else:
        write_file(target.file, text)
