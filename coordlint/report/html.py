"""The report as one HTML page that needs nothing else: no request, and no script or style for its content."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

from coordlint import __version__
from coordlint.analysis.record import Arrow, Remark
from coordlint.analysis.views import Region, neighbourhood, part
from coordlint.report import map as maps
from coordlint.report import run_svg, runs, sequence
from coordlint.report.drawing import shown
from coordlint.report.json import as_data, to_json
from coordlint.report.layout import Engine, Layout, place
from coordlint.report.names import kind_of
from coordlint.report.page import SEVERITIES, Page
from coordlint.report.prose import markdown, safe, words
from coordlint.report.sections import sections
from coordlint.report.style import count
from coordlint.report.tradeoffs import CONCERNS, availability_text, latency_text
from coordlint.report.workflow import rows, sketch_steps

if TYPE_CHECKING:
    from markupsafe import Markup

    from coordlint.analysis.criticality import Critical
    from coordlint.analysis.sequences import Path
    from coordlint.check import Result
    from coordlint.design import Design
    from coordlint.report.map import Sketch
    from coordlint.report.page import Entry, FlowEntry

SIMPLER = "The maps are drawn in a plain layout: install the extra `coordlint[report]` for the layout of Graphviz."
FAILED = "Graphviz could not lay out every drawing: the others are drawn in a plain layout."


def render(design: Design, result: Result, *, engine: Engine | None = None, time: str = "") -> str:
    """The page.

    Args:
        design: what was analysed.
        result: what was found, after ignores and baseline.
        engine: lays out the maps; without one they are drawn in a plain layout, and the page says so.
        time: when it was made, as the page shall say it; left out if empty.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    page = Page(design, result)
    environment = Environment(
        loader=PackageLoader("coordlint", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    link = page.names.link
    environment.filters["words"] = lambda text: words(text, link)
    environment.filters["plain"] = lambda text: Markup(safe(text.replace("`", "")))
    environment.filters["t"] = lambda text: Markup(safe(text))
    environment.filters["markdown"] = markdown
    environment.filters["name"] = lambda text: Markup(safe(text) if text.isascii() else f"<bdi>{safe(text)}</bdi>")
    environment.filters["count"] = count
    environment.globals["needs"] = runs.needs
    environment.globals["effects"] = runs.effects
    environment.globals["place"] = runs.place
    environment.globals["kind_of"] = kind_of
    environment.globals["anchor"] = page.names.anchor
    environment.globals["merged"] = merged
    environment.globals["critical_words"] = critical_words
    loader = environment.loader
    assert loader is not None
    style, script = (loader.get_source(environment, f"report.{one}.jinja")[0] for one in ("css", "js"))
    text: str = environment.get_template("report.html.jinja").render(
        page=page,
        pictures=_Pictures(page, engine),
        groups=sections(page),
        concerns=CONCERNS,
        severities=SEVERITIES,
        data=Markup(_embedded(page)),
        style=Markup(style),
        script=Markup(script),
        time=time,
        version=__version__,
        rows=lambda workflow: rows(design, workflow),
        latency=lambda entry: latency_text(design, entry.view),
        availability=lambda entry, acceptance: availability_text(design, entry.view, acceptance=acceptance),
        style_of=lambda entry: design.handovers.style(entry.view),
    )
    return text


def _embedded(page: Page) -> str:
    """The result as JSON inside a script element: nothing in it can end the element. Only what is drawn has its run."""
    data = json.loads(to_json(as_data(page.result)))
    drawn = {(entry.finding.code, entry.finding.fingerprint) for entry in page.drawn if not page.large}
    for finding in (*data["findings"], *(one["finding"] for one in data["hidden"])):
        if (finding["code"], finding["fingerprint"]) not in drawn:
            finding.pop("run", None)
    for verdict in data.get("verdicts", ()) if page.large else ():
        verdict["never_occurred"] = []
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


class _Pictures:
    """The drawings of the page; all maps are laid out in one go."""

    def __init__(self, page: Page, engine: Engine | None) -> None:
        self.page = page
        self.failed = 0
        self._engine = engine
        workflows = list(page.design.system.workflows.values())
        self._sketches: dict[str, Sketch] = {}
        found = page.names.found
        if page.large:
            self._sketches["map"] = maps.sketch_regions(page.regions, page.region_looks)
            for number, region in enumerate(page.regions):
                self._sketches[f"region {number}"] = maps.sketch(neighbourhood(found, region.nodes), page.looks)
            for entry in page.flows:
                if self.home(entry) is None:
                    self._sketches[f"flow {entry.number}"] = maps.sketch(part(found, entry.nodes), page.looks)
        else:
            self._sketches["map"] = maps.sketch(found, page.looks)
        for workflow in workflows:
            self._sketches[f"workflow {workflow.name}"] = sketch_steps(page.design, workflow)
        keys = [key for key, sketch in self._sketches.items() if sketch.things]
        layouts = place([self._sketches[key].graph for key in keys], self._counting if engine is not None else None)
        self._layouts: dict[str, Layout] = dict(zip(keys, layouts, strict=True))

    def _counting(self, texts: Any) -> list[str | None]:
        assert self._engine is not None
        answers = self._engine(texts)
        self.failed = sum(answer is None for answer in answers)
        return answers

    @property
    def remark(self) -> str:
        """What there is to say about the layout; empty if Graphviz did all of it."""
        return SIMPLER if self._engine is None else FAILED if self.failed else ""

    def _paint(self, key: str, title: str, about: str, *, links: bool = True) -> Markup:
        from markupsafe import Markup

        if key not in self._layouts:
            return Markup("")
        return Markup(maps.paint(self._sketches[key], self._layouts[key], title=title, about=about, links=links))

    def map(self) -> Markup:
        """The system map."""
        found = self.page.names.found
        if self.page.large:
            return self._paint(
                "map", "Contexts", f"{count(len(self.page.regions), 'context')} with what goes between them"
            )
        about = f"{count(len(found.nodes), 'thing')} and {count(len(found.edges), 'connection')}; the table below lists them."
        return self._paint("map", "System map", about)

    def region(self, number: int, region: Region) -> Markup:
        """The map of one context and what it is connected to."""
        return self._paint(f"region {number}", f"Map of {region.name}", "")

    def brokers(self) -> Markup:
        """The brokers and their channels."""
        from markupsafe import Markup

        return Markup(maps.strip(self.page.brokers, self.page.looks, title="Brokers and channels"))

    def flow(self, entry: FlowEntry) -> Markup:
        """The map of what a flow touches; empty where the system map shows it."""
        return self._paint(f"flow {entry.number}", f"Map of flow {entry.view.flow.name}", "")

    def home(self, entry: FlowEntry) -> int | None:
        """The number of the context whose map is as good as a map of the flow: all that the flow touches, and little else."""
        if not self.page.large:
            return None
        touched = set(entry.nodes)
        number = next((self._region_of[one] for one in entry.nodes if one in self._region_of), None)
        if number is None:
            return None
        inside = {node.id for node in self.page.regions[number].nodes}
        return number if touched <= inside and len(inside) <= 2 * len(touched) else None

    @cached_property
    def _region_of(self) -> dict[str, int]:
        return {node.id: number for number, region in enumerate(self.page.regions) for node in region.nodes}

    def workflow(self, name: str) -> Markup:
        """The steps of a workflow."""
        return self._paint(f"workflow {name}", f"Steps of workflow {name}", "what undoes a step is dashed", links=False)

    def path(self, entry: FlowEntry, path: Path) -> Markup:
        """The sequence diagram of a path."""
        from markupsafe import Markup

        return Markup(sequence.draw(path, title=f"Flow {entry.view.flow.name}, {path.title}"))

    def run(self, entry: Entry) -> Markup:
        """The counterexample of a finding."""
        from markupsafe import Markup

        run = entry.finding.run
        assert run is not None
        title = f"{entry.finding.code}: {entry.finding.message}".replace("`", "")
        return Markup(run_svg.draw(run, title=title, link=self.page.statement, prefix=f"run-{entry.id}"))

    def told(self, entry: Entry) -> list[tuple[str, str, str, bool]]:
        """Its steps in words, each with the address of its statement, its place, and whether it repeats from there.

        In a large design the drawing has to do.
        """
        run = entry.finding.run
        assert run is not None
        return [
            (
                f"{line.number}. {'; '.join(runs.sentence(step, run.steps) for step in line.steps)}"
                + "".join(f" [{' '.join(runs.effect(one))}]" for step in line.steps for one in step.ledger),
                self.page.statement(line.step.span),
                runs.place(line.step.span, run.steps),
                line.step.number == run.repeats_from,
            )
            for line in runs.lines(run.steps)
            if not self.page.large
        ]

    def listed(self, path: Path) -> list[str]:
        """The same in words; in a large design only for the happy path."""
        if path.kind != "happy" and self.page.large:
            return []
        names = {party.key: shown(party.name) for party in path.parties}
        items, before = sequence.steps(path)
        texts = [sequence.sentence(item, names) for item in items]
        return [*([before] if before else []), *(text for text in texts if text)]


def merged(entry: FlowEntry) -> list[tuple[list[Path], Path]]:
    """The paths beside the happy one; those with the same consequences share a diagram."""
    found: dict[object, list[Path]] = {}
    for path in entry.found.paths[1:]:
        tail = tuple(
            item._replace(number=0) if isinstance(item, Arrow) else item
            for item in path.items[path.shared :]
            if isinstance(item, Arrow | Remark) and item.region != "main"
        )
        key = (path.kind, path.ends, path.why, tail) if tail else (path.title, path.shared, path.parent)
        found.setdefault(key, []).append(path)
    return [(paths, paths[-1]) for paths in found.values()]


def critical_words(one: Critical) -> str:
    """What a component survives, in words."""
    crashes = one.tolerance.crashes
    facts = ", ".join(f"`{fact.text}`" for fact in one.tolerance.facts if fact.text)
    if crashes is None:
        return "not declared"
    text = "survives no crash" if crashes == 0 else f"survives {count(int(crashes), 'crash', 'crashes')}"
    return f"{text}: {facts}" if facts else text
