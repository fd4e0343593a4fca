"""The commands that answer questions about the rules: `rules` and `explain`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from coordlint.cli.shared import Failure, color, colored, split, write

if TYPE_CHECKING:
    from coordlint.rule import Entry


@click.command()
@click.argument("selectors", nargs=-1, metavar="[RULES]…")
@click.option("--format", type=click.Choice(("text", "json", "markdown")), default="text", show_default=True)
@color
def rules(selectors: tuple[str, ...], format: str, color: str) -> None:
    """List the rules, all of them or those that RULES (codes, beginnings of codes, names) name."""
    from coordlint.report.catalogue import render_json, render_markdown, render_table
    from coordlint.rule import UnknownRuleError, index

    entries = index()
    if selectors:
        try:
            wanted = {entry for selector in split(selectors) for entry in _matching(selector)}
        except UnknownRuleError as error:
            raise Failure(str(error)) from None
        entries = tuple(entry for entry in entries if entry in wanted)
    if format == "text":
        write(render_table(entries, color=colored(color)))
    else:
        write(render_json(entries) if format == "json" else render_markdown(entries), utf8=True)


@click.command()
@click.argument("rule")
@color
def explain(rule: str, color: str) -> None:
    """Explain a rule, named by its code or its name: why it matters, a bad and a good design, the exemptions."""
    from coordlint.report.catalogue import render_page
    from coordlint.rule import UnknownRuleError, document, find

    try:
        entry = find(rule)
    except UnknownRuleError as error:
        raise Failure(str(error)) from None
    write(render_page(entry, document(entry), color=colored(color)))


@click.command()
@click.option("--show", "what", flag_value="show", default="show", help="Print the settings that hold here.  [default]")
@click.option("--schema", "what", flag_value="schema", help="Print the JSON Schema of coordlint.toml.")
@click.argument("design", required=False)
@click.option("--config", metavar="FILE", help="The configuration file instead of the nearest.")
def config(what: str, design: str | None, config: str | None) -> None:
    """Show the configuration that holds in this folder, or for DESIGN, or the schema of all keys."""
    from coordlint import config as configuration
    from coordlint.report.json import to_json
    from coordlint.run import Request, settings

    try:
        if what == "schema":
            data: object = configuration.schema()
        else:
            data = settings(Request(paths=(design,) if design else (), config=config)).shown()
    except configuration.ConfigError as error:
        raise Failure(str(error)) from None
    write(to_json(data), utf8=True)


def _matching(selector: str) -> list[Entry]:
    from coordlint.rule import find, index

    matches = [entry for entry in index() if entry.code.startswith(selector.upper()) or entry.group == selector]
    return matches or [find(selector)]
