"""The command line: the only module that writes to the terminal, reads the environment and decides the exit code.

Everything but click is imported inside the commands, so that help and completion answer at once.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

import click

from coordlint import __version__
from coordlint.report import FORMATS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    from coordlint.check import Result, Selection
    from coordlint.finding import Severity
    from coordlint.rule import Entry
    from coordlint.source import Source

TEXT_FORMATS = ("full", "concise")
SEVERITIES = ("error", "warning", "info", "hint")
PROFILES = ("default", "strict", "production")
STDIN = "-"


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the program with the given arguments, or those of the process, and leave with its exit code."""
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
        return _complain(_one_sentence(error))
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        _leave_pipe()
        return 0
    except Exception as error:  # the last line of defence: a crash must not look like findings
        if os.environ.get("COORDLINT_TRACEBACK") == "1":
            raise
        return _complain(
            f"coordlint failed ({type(error).__name__}: {error}): "
            "please report it together with what COORDLINT_TRACEBACK=1 shows"
        )
    return code or 0


class _Failure(click.ClickException):
    """The run cannot be done; the message is one sentence that names the remedy."""

    exit_code = 2


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


_color = click.option(
    "--color",
    type=click.Choice(("auto", "always", "never")),
    default="auto",
    show_default=True,
    help="Colours; auto heeds FORCE_COLOR, NO_COLOR and TERM.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="coordlint", message="%(prog)s %(version)s")
def cli() -> None:
    """Check coordination designs: orchestration, choreography and the hybrids between them."""


@cli.command(cls=_Check)
@click.argument("paths", nargs=-1, metavar="[PATHS…|-]")
@click.option("--format", multiple=True, type=click.Choice(FORMATS), help="Form of the report.  [default: full]")
@click.option("--output", multiple=True, metavar="FILE", help="Write the report of the --format before it to FILE.")
@click.option(
    "--select", multiple=True, metavar="RULES", help="Run only these: codes, beginnings of codes, names, ALL."
)
@click.option(
    "--extend-select", multiple=True, metavar="RULES", help="Run these as well, even if the profile has them off."
)
@click.option("--ignore", multiple=True, metavar="RULES", help="Leave these out.")
@click.option("--severity", multiple=True, metavar="RULE=LEVEL", help="error, warning, info, hint or off for a rule.")
@click.option(
    "--fail-on",
    type=click.Choice(SEVERITIES),
    help="Exit with 1 from this severity on.  [default: error, in the other profiles warning]",
)
@click.option(
    "--profile", type=click.Choice(PROFILES), default="default", show_default=True, help="How much the design must say."
)
@click.option("--stdin-filename", metavar="PATH", help="What `-` is called; includes are looked up beside it.")
@click.option("--statistics", is_flag=True, help="Count the findings of each rule instead of listing them.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 even if there are findings.")
@click.option("--quiet", "-q", is_flag=True, help="Leave the summary out.")
@_color
@click.pass_context
def check(
    ctx: click.Context,
    paths: tuple[str, ...],
    format: tuple[str, ...],
    output: tuple[str, ...],
    select: tuple[str, ...],
    extend_select: tuple[str, ...],
    ignore: tuple[str, ...],
    severity: tuple[str, ...],
    fail_on: str | None,
    profile: str,
    stdin_filename: str | None,
    statistics: bool,
    exit_zero: bool,
    quiet: bool,
    color: str,
) -> int:
    """Check designs.

    A folder stands for every .coord file below it that no other of them includes; `-` is standard input. Without PATHS the
    current folder is checked.

    Exit codes: 0 nothing to fail on, 1 findings, 2 the run could not be done.
    """
    from coordlint.check import select_rules
    from coordlint.finding import Severity
    from coordlint.rule import UnknownRuleError
    from coordlint.source import SourceError

    targets: list[_Target] = ctx.obj
    if statistics and any(target.format not in TEXT_FORMATS for target in targets):
        raise click.UsageError(f"--statistics goes with --format {' or '.join(TEXT_FORMATS)}")
    try:
        selection = select_rules(
            select=(*(_split(select) or ["ALL"]), *_split(extend_select)),
            ignore=_split(ignore),
            severities=_severities(severity),
            profile=profile,
        )
        result = _check(paths or (".",), stdin_filename, selection)
    except (UnknownRuleError, SourceError) as error:
        raise _Failure(str(error)) from None
    for target in targets:
        _report(result, target, statistics=statistics, quiet=quiet, color=color)
    for crash in result.crashes:
        _report_crash(crash.rule.code, crash.error)
    if result.crashes:
        return 2
    threshold = Severity[(fail_on or ("error" if profile == "default" else "warning")).upper()]
    return int(result.fails(threshold) and not exit_zero)


@cli.command()
@click.argument("selectors", nargs=-1, metavar="[RULES]…")
@click.option("--format", type=click.Choice(("text", "json")), default="text", show_default=True)
@_color
def rules(selectors: tuple[str, ...], format: str, color: str) -> None:
    """List the rules, all of them or those that RULES (codes, beginnings of codes, names) name."""
    from coordlint.report.catalogue import render_json, render_table
    from coordlint.rule import UnknownRuleError, index

    entries = index()
    if selectors:
        try:
            wanted = {entry for selector in _split(selectors) for entry in _matching(selector)}
        except UnknownRuleError as error:
            raise _Failure(str(error)) from None
        entries = tuple(entry for entry in entries if entry in wanted)
    text = render_json(entries) if format == "json" else render_table(entries, color=_colored(color))
    _write(text, utf8=format == "json")


@cli.command()
@click.argument("rule")
@_color
def explain(rule: str, color: str) -> None:
    """Explain a rule, named by its code or its name: why it matters, a bad and a good design, the exemptions."""
    from coordlint.report.catalogue import render_page
    from coordlint.rule import UnknownRuleError, document, find

    try:
        entry = find(rule)
    except UnknownRuleError as error:
        raise _Failure(str(error)) from None
    _write(render_page(entry, document(entry), color=_colored(color)))


def wants_color(when: str, environ: Mapping[str, str], terminal: bool) -> bool:
    """Decide on colours: `--color`, then FORCE_COLOR, NO_COLOR, TERM=dumb, and last whether it is a terminal.

    Args:
        when: `always`, `never` or `auto`.
        environ: the environment; an empty variable counts as unset.
        terminal: whether the output goes to a terminal.
    """
    if when != "auto":
        return when == "always"
    if environ.get("FORCE_COLOR"):
        return environ["FORCE_COLOR"] not in ("0", "false")
    if environ.get("NO_COLOR") or environ.get("TERM") == "dumb":
        return False
    return terminal


def _check(paths: Sequence[str], stdin_filename: str | None, selection: Selection) -> Result:
    from coordlint.check import check as check_design
    from coordlint.check import merge
    from coordlint.design import load
    from coordlint.discover import find_designs

    if STDIN in paths:
        if len(paths) > 1:
            raise click.UsageError("`-` reads the design from standard input and must be the only path")
        source = _standard_input(stdin_filename or "<stdin>")
        return check_design(load(source.path, profile=selection.profile, stdin=source), selection)
    if stdin_filename:
        raise click.UsageError("--stdin-filename names what `-` reads: give `-` as the path")
    designs = find_designs([_relative(path) for path in paths])
    return merge([check_design(load(path, profile=selection.profile), selection) for path in designs])


def _standard_input(name: str) -> Source:
    from coordlint.source import decode_source

    return decode_source(sys.stdin.buffer.read(), name)


def _relative(path: str) -> str:
    """A path below the current folder without that folder: reports and fingerprints shall be the same on every machine."""
    here = os.getcwd() + os.sep
    return path.removeprefix(here) if path != here else "."


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


def _split(values: Sequence[str]) -> list[str]:
    return [part.strip() for value in values for part in value.split(",") if part.strip()]


def _severities(values: Sequence[str]) -> dict[str, Severity | None]:
    from coordlint.finding import Severity

    found: dict[str, Severity | None] = {}
    for value in _split(values):
        selector, _, level = value.partition("=")
        if not selector or level not in (*SEVERITIES, "off"):
            levels = ", ".join(SEVERITIES)
            raise click.UsageError(f"--severity wants RULE=LEVEL with one of {levels} and off, not `{value}`")
        found.pop(selector, None)  # the last one counts, also in order
        found[selector] = None if level == "off" else Severity[level.upper()]
    return found


def _matching(selector: str) -> list[Entry]:
    from coordlint.rule import find, index

    matches = [entry for entry in index() if entry.code.startswith(selector.upper()) or entry.group == selector]
    return matches or [find(selector)]


def _report(result: Result, target: _Target, *, statistics: bool, quiet: bool, color: str) -> None:
    from coordlint.report import render

    colored = _colored(color) if target.file is None else color == "always"
    if statistics:
        from coordlint.report.full import render_statistics

        text = render_statistics(result, color=colored)
    else:
        text = render(result, target.format, color=colored, quiet=quiet)
    if target.file is None:
        _write(text, utf8=target.format not in TEXT_FORMATS)
        return
    try:
        with open(target.file, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise _Failure(f"cannot write `{target.file}`: {reason}") from None


def _write(text: str, *, utf8: bool = False) -> None:
    """Write to standard output whatever its encoding; a reader that went away is no error."""
    encoding = "utf-8" if utf8 else sys.stdout.encoding or "utf-8"
    stream = sys.stdout.buffer
    try:
        stream.write(text.encode(encoding, "backslashreplace"))
        stream.flush()
    except BrokenPipeError:
        _leave_pipe()


def _leave_pipe() -> None:
    """Point standard output to nowhere, or Python complains about the broken pipe when it shuts down."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _colored(when: str) -> bool:
    return wants_color(when, os.environ, sys.stdout.isatty())


def _one_sentence(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split()).rstrip(".")
    if isinstance(error, click.UsageError):
        command = error.ctx.command_path if error.ctx else "coordlint"
        return f"{message[:1].lower()}{message[1:]} (see `{command} --help`)"
    return message


def _report_crash(code: str, error: Exception) -> None:
    if os.environ.get("COORDLINT_TRACEBACK") == "1":
        import traceback

        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    _complain(
        f"rule {code} failed ({type(error).__name__}: {error}), the others ran: "
        "please report it together with what COORDLINT_TRACEBACK=1 shows"
    )


def _complain(message: str) -> int:
    text = message.encode("utf-8", "backslashreplace").decode("utf-8")
    click.echo(f"coordlint: {text}", err=True)
    return 2
