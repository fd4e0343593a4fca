"""The command that draws: `graph`."""

from __future__ import annotations

import click

from coordlint.cli.shared import Failure, relative, write, write_file


@click.command()
@click.argument("design", metavar="DESIGN")
@click.option("--format", type=click.Choice(("dot", "mermaid", "graphml", "json")), default="dot", show_default=True)
@click.option("--output", "-o", metavar="FILE", help="Write to FILE instead of standard output.")
def graph(design: str, format: str, output: str | None) -> None:
    """Write the landscape of DESIGN: who publishes, hears, sends, handles and keeps what."""
    from coordlint.analysis.landscape import landscape
    from coordlint.config import ConfigError
    from coordlint.design import load
    from coordlint.report.graph import render
    from coordlint.run import Request, project_root, settings
    from coordlint.source import SourceError

    design = relative(design)
    try:
        loaded = load(design, root=project_root(design, settings(Request(paths=(design,)))))
    except (SourceError, ConfigError) as error:
        raise Failure(str(error)) from None
    broken = next((finding for finding in loaded.problems if finding.code.startswith("SYN")), None)
    if broken is not None:
        span = broken.primary.span
        raise Failure(
            f"{span.source.path}:{span.line}: {broken.message}: correct the design first, see `coordlint check`"
        )
    text = render(landscape(loaded.index), format, name=loaded.system.name or "design")
    if output is None:
        write(text, utf8=True)
    else:
        write_file(output, text)
