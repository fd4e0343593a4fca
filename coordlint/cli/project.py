"""The commands that set a project up: `init`, `baseline`, `completion`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from coordlint.cli.shared import Failure, hint, relative, write, write_file

if TYPE_CHECKING:
    from coordlint.run import Request

STARTER = "design.coord"
CONFIG = "coordlint.toml"
BASELINE = "coordlint-baseline.json"


@click.command()
@click.argument("folder", default=".", metavar="[FOLDER]")
@click.option("--force", is_flag=True, help="Overwrite files that are there already.")
def init(folder: str, force: bool) -> None:
    """Write a commented starter design and a configuration into FOLDER.

    The design checks clean: change it step by step, and see what coordlint says.
    """
    from importlib.resources import files

    texts = {name: files("coordlint.starter").joinpath(name).read_text(encoding="utf-8") for name in (STARTER, CONFIG)}
    taken = [name for name in texts if os.path.exists(os.path.join(folder, name))]
    if taken and not force:
        names = " and ".join(f"`{os.path.join(folder, name)}`" for name in taken)
        raise Failure(f"{names} {'are' if len(taken) > 1 else 'is'} there already: use --force to overwrite")
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise Failure(f"cannot make the folder `{folder}`: {(error.strerror or str(error)).lower()}") from None
    for name, text in texts.items():
        write_file(os.path.join(folder, name), text)
    shown = os.path.normpath(os.path.join(folder, STARTER))
    hint(f"wrote {shown} and {os.path.normpath(os.path.join(folder, CONFIG))}: run `coordlint check {shown}`")


@click.command()
@click.argument("paths", nargs=-1, metavar="[PATHS…]")
@click.option("--file", metavar="FILE", help=f"The baseline.  [default: the configured one, else {BASELINE}]")
@click.option("--update", is_flag=True, help="Make it anew from today's findings.")
@click.option("--prune", is_flag=True, help="Only remove the entries that nothing matches any more.")
@click.option("--profile", type=click.Choice(("minimal", "default", "strict", "production")), help="As in `check`.")
@click.option("--config", metavar="FILE", help="Use this configuration for every design.")
@click.option("--isolated", is_flag=True, help="Heed no configuration file.")
def baseline(
    paths: tuple[str, ...],
    file: str | None,
    update: bool,
    prune: bool,
    profile: str | None,
    config: str | None,
    isolated: bool,
) -> None:
    """Accept today's findings, so that only new ones are shown and fail a build.

    Writes the baseline that `coordlint check --baseline FILE` (or the key `baseline` of the configuration) reads. Findings are
    recognised by rule, file and place in the model, not by line.
    """
    from dataclasses import replace

    from coordlint import baseline as baselines
    from coordlint import run
    from coordlint.cli.check import today
    from coordlint.config import ConfigError
    from coordlint.rule import UnknownRuleError
    from coordlint.run import Request
    from coordlint.source import SourceError

    if update and prune:
        raise click.UsageError("--update makes the baseline anew, --prune only removes from it: give one of them")
    request = Request(
        paths=tuple(relative(path) for path in paths), profile=profile, config=config, isolated=isolated, today=today()
    )
    try:
        target = file or _configured(request) or BASELINE
        exists = os.path.exists(target)
        if exists and not (update or prune):
            raise Failure(f"there is a baseline `{target}` already: use --update to make it anew, or --prune")
        folder = os.path.dirname(os.path.abspath(target))
        outcome = run.run(replace(request, base=folder, baseline=target if prune else ""))
        if prune:
            [compared] = outcome.baselines
            entries = compared.baseline.entries
            kept = {key: entry for key, entry in entries.items() if key not in compared.stale}
            baselines.write(baselines.Baseline(kept), target)
            hint(f"removed {len(entries) - len(kept)} of {len(entries)} entries from {target}")
            return
        found = baselines.of(outcome.result.findings, folder)
        baselines.write(found, target)
    except (UnknownRuleError, SourceError, ConfigError, baselines.BaselineError) as error:
        raise Failure(str(error)) from None
    number = len(found.entries)
    hint(f"wrote {number} finding{'s' * (number != 1)} to {target}")
    if not _configured(request):
        hint(f'use it with `--baseline {target}`, or put `baseline = "{target}"` into {CONFIG}')


def _configured(request: Request) -> str | None:
    """The baseline that the configuration names, as a path from here."""
    from coordlint.run import settings

    config = settings(request)
    return os.path.relpath(config.root / config.baseline) if config.root is not None and config.baseline else None


@click.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print the completion script of SHELL.

    For bash: eval "$(coordlint completion bash)"
    """
    from click.shell_completion import get_completion_class

    from coordlint.cli import cli

    script = get_completion_class(shell)
    assert script is not None
    write(script(cli, {}, "coordlint", "_COORDLINT_COMPLETE").source() + "\n")
