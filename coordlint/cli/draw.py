"""The commands that draw: `graph` and `sequence`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from coordlint.cli.shared import Failure, hint, relative, write, write_file

if TYPE_CHECKING:
    from coordlint.design import Design


@click.command()
@click.argument("design", metavar="DESIGN")
@click.option(
    "--format", type=click.Choice(("dot", "mermaid", "svg", "graphml", "json")), default="dot", show_default=True
)
@click.option("--output", "-o", metavar="FILE", help="Write to FILE instead of standard output.")
def graph(design: str, format: str, output: str | None) -> None:
    """Write the landscape of DESIGN: who publishes, hears, sends, handles and keeps what."""
    from coordlint.analysis.landscape import landscape
    from coordlint.report.graph import render

    loaded = _load(design)
    found, name = landscape(loaded.index), loaded.system.name or "design"
    if format == "svg":
        from coordlint.cli import graphviz
        from coordlint.report.map import standalone

        engine = graphviz.engine if graphviz.available() else None
        if engine is None:
            hint("drawn in a plain layout: install the extra `coordlint[report]` for the layout of Graphviz")
        _put(standalone(found, title=name, engine=engine), output)
    else:
        _put(render(found, format, name=name), output)


@click.command()
@click.argument("design", metavar="DESIGN")
@click.argument("flow", metavar="[FLOW]", required=False)
@click.option("--format", type=click.Choice(("mermaid", "svg", "dot")), default="mermaid", show_default=True)
@click.option(
    "--path", "number", type=click.IntRange(0), default=0, metavar="N", help="The Nth path; 0 is the happy path."
)
@click.option("--list", "listed", is_flag=True, help="List the paths of the flow, and stop.")
@click.option("--output", "-o", metavar="FILE", help="Write to FILE instead of standard output.")
def sequence(design: str, flow: str | None, format: str, number: int, listed: bool, output: str | None) -> None:
    """Write FLOW of DESIGN as a sequence diagram; FLOW may be left out where there is only one.

    Beside the happy path there is one path for each way in which the flow can fail or go on differently.
    """
    from coordlint.analysis.sequences import sequences
    from coordlint.names import closest
    from coordlint.report.sequence import draw
    from coordlint.report.sequence_text import dot, mermaid

    loaded = _load(design)
    views = {view.flow.name: view for view in loaded.flows}
    if flow is None and len(views) == 1:
        flow = next(iter(views))
    if flow not in views:
        meant = closest(flow, sorted(views)) if flow is not None else None
        known = f"did you mean `{meant}`?" if meant else f"it has {', '.join(f'`{name}`' for name in views) or 'none'}"
        raise Failure(f"the design has no flow `{flow}`: {known}" if flow is not None else f"name a flow: {known}")
    paths = sequences(views[flow]).paths
    if listed:
        _put("".join(f"{i}  {path.title}: {path.why}\n" for i, path in enumerate(paths)), output)
        return
    if number >= len(paths):
        raise Failure(f"flow `{flow}` has the paths 0 to {len(paths) - 1}: see `--list`")
    path, title = paths[number], f"{flow}: {paths[number].title}"
    if format == "svg":
        text = draw(path, title=title, whole=True, standalone=True)
    else:
        text = dot(path, name=title) if format == "dot" else mermaid(path)
    _put(text, output)


def _load(design: str) -> Design:
    """The design, if it can be read whole."""
    from coordlint.config import ConfigError
    from coordlint.design import load
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
    return loaded


def _put(text: str, output: str | None) -> None:
    if output is None:
        write(text, utf8=True)
    else:
        write_file(output, text)
