"""Everything the HTML report says, gathered from a design and its result before any markup is made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import unified_diff
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from coordlint.analysis.sequences import LIMIT, Sequences, sequences
from coordlint.analysis.views import LARGE, flow_nodes, regions
from coordlint.report.map import Look
from coordlint.report.names import Names, kind_of
from coordlint.report.snippet import excerpts
from coordlint.report.style import count, painter
from coordlint.report.tradeoffs import numbers
from coordlint.source import printable
from coordlint.system import Broker, Channel, Message, Service, Store, Workflow

if TYPE_CHECKING:
    from coordlint.analysis.criticality import Critical
    from coordlint.analysis.flows import FlowView
    from coordlint.analysis.views import Region
    from coordlint.check import Result
    from coordlint.design import Design
    from coordlint.finding import Finding, Fix
    from coordlint.rule import Rule
    from coordlint.source import Span
    from coordlint.system import Element

SEVERITIES = ("error", "warning", "info", "hint")

MOST_STEPS, FEW_STEPS = 400, 40
"""Runs of so many steps in all are drawn, fewer in a large design, so that the page stays small."""

MANY_FLOWS = 50
"""From so many flows on, fewer paths of each are drawn, so that the page stays readable."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A finding as the page shows it."""

    id: str
    finding: Finding
    severity: str
    excerpt: str
    diff: str
    elements: tuple[Element, ...]
    flows: tuple[int, ...]
    owner: str


class Statement(NamedTuple):
    """A source line that a run passes."""

    anchor: str
    number: int
    text: str


class RuleGroup(NamedTuple):
    """The findings of one rule; ``rule`` is None if it did not run in this result."""

    code: str
    rule: Rule | None
    entries: tuple[Entry, ...]
    worst: str


@dataclass(frozen=True)
class FlowEntry:
    """A flow as the page shows it."""

    number: int
    view: FlowView
    found: Sequences
    critical: tuple[Critical, ...]
    numbers: tuple[str, ...]
    nodes: tuple[str, ...]


@dataclass
class Page:
    """A design and its result, looked at from all sides the page shows."""

    design: Design
    result: Result
    names: Names = field(init=False)

    def __post_init__(self) -> None:
        self.names = Names(self.design)

    # -------------------------------------------------------------------------------------------- flows

    @cached_property
    def flows(self) -> list[FlowEntry]:
        """The flows by name."""
        limit = LIMIT if len(self.design.flows) <= MANY_FLOWS else 8
        entries = []
        for number, view in enumerate(self.design.flows):
            found = sequences(view, limit=limit)
            critical = tuple(self._criticals.get(view, ()))
            nodes = tuple(flow_nodes(view, self.names.anchors))
            entries.append(FlowEntry(number, view, found, critical, numbers(self.design, view, found), nodes))
        return entries

    @cached_property
    def _criticals(self) -> dict[FlowView, list[Critical]]:
        found: dict[FlowView, list[Critical]] = {}
        for critical in self.design.criticals:
            for view in critical.flows:
                found.setdefault(view, []).append(critical)
        return found

    @cached_property
    def flows_of(self) -> dict[str, list[int]]:
        """By anchor, the numbers of the flows that touch the thing."""
        found: dict[str, list[int]] = {}
        for entry in self.flows:
            anchors = dict.fromkeys(entry.nodes)
            anchors[self.names.anchor(entry.view.flow)] = None
            for anchor in entry.nodes:
                element = self._elements[anchor]
                if isinstance(element, Message) and element.channel is not None:
                    anchors[self.names.anchor(element.channel)] = None
                    anchors[self.names.anchor(element.channel.broker)] = None
            anchors.update((self.names.anchor(one.component), None) for one in entry.critical)
            for anchor in anchors:
                if anchor:
                    found.setdefault(anchor, []).append(entry.number)
        return found

    @cached_property
    def _elements(self) -> dict[str, Element]:
        return {anchor: element for element, anchor in self.names.anchors.items()}

    # -------------------------------------------------------------------------------------------- findings

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """The findings that are shown, in their order."""
        taken: Counter[str] = Counter()
        return tuple(self._entry(finding, taken) for finding in self.result.findings)

    def _entry(self, finding: Finding, taken: Counter[str]) -> Entry:
        base = f"{finding.code}-{finding.fingerprint[:6]}"
        taken[base] += 1
        elements = tuple(self.names.about(finding))
        flows: dict[int, None] = {}
        for element in elements:
            flows.update(dict.fromkeys(self.flows_of.get(self.names.anchor(element), ())))
        lines, _ = excerpts(finding, painter(False))
        return Entry(
            base if taken[base] == 1 else f"{base}-{taken[base]}",
            finding,
            finding.severity.label if finding.severity else "hint",
            "\n".join(lines),
            _diff(finding.fix) if finding.fix else "",
            elements,
            tuple(sorted(flows)),
            next(filter(None, map(self.owner, elements)), ""),
        )

    def owner(self, element: Element) -> str:
        """The team that an element belongs to, by its own word or that of its service or owner."""
        team = element.fact("team")
        if team.declared:
            return team.text.removeprefix("team ").strip()
        if isinstance(element, Workflow):
            return self.owner(element.service)
        owner = element.fact("owner").value if isinstance(element, Store) else None
        if isinstance(element, Message):
            owner = self.design.index.owner(element)
        return self.owner(owner) if isinstance(owner, Service) else ""

    @cached_property
    def groups(self) -> list[RuleGroup]:
        """The findings by rule: the worst rules first, then by code."""
        rules = {rule.code: rule for rule in self.result.rules}
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            found.setdefault(entry.finding.code, []).append(entry)
        groups = [
            RuleGroup(code, rules.get(code), tuple(entries), min((e.severity for e in entries), key=SEVERITIES.index))
            for code, entries in found.items()
        ]
        return sorted(groups, key=lambda group: (SEVERITIES.index(group.worst), group.code))

    @cached_property
    def passed(self) -> list[Rule]:
        """The rules that ran and found nothing."""
        broken = {group.code for group in self.groups} | {crash.rule.code for crash in self.result.crashes}
        return [rule for rule in self.result.rules if rule.code not in broken]

    @cached_property
    def by_element(self) -> dict[str, list[Entry]]:
        """The findings about each thing, by its anchor."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            for element in entry.elements:
                found.setdefault(self.names.anchor(element), []).append(entry)
        return found

    # -------------------------------------------------------------------------------------------- runs

    @cached_property
    def runs(self) -> list[Entry]:
        """The findings with a counterexample, the worst first, then those that need the fewest faults."""
        found = [entry for entry in self.entries if entry.finding.run is not None and entry.finding.run.steps]
        return sorted(found, key=lambda entry: (SEVERITIES.index(entry.severity), _faults(entry.finding)))

    @cached_property
    def drawn(self) -> list[Entry]:
        """The counterexamples that are drawn: the first one, and as many more as there is room for."""
        room = FEW_STEPS if self.large else MOST_STEPS
        found: list[Entry] = []
        for entry in self.runs:
            assert entry.finding.run is not None
            room -= len(entry.finding.run.steps)
            if found and room < 0:
                break
            found.append(entry)
        return found

    @cached_property
    def statements(self) -> dict[str, list[Statement]]:
        """The source lines that the drawn runs pass, by file."""
        found: dict[str, dict[int, Statement]] = {}
        for entry in self.drawn:
            run = entry.finding.run
            assert run is not None
            for span in (*(step.span for step in run.steps), *(label.span for label in run.unsent)):
                lines = found.setdefault(span.source.path, {})
                text = " ".join(span.source.line(span.line).split())
                lines[span.line] = Statement(f"at-{self._file(span)}-{span.line}", span.line, text[:200])
        return {path: [lines[number] for number in sorted(lines)] for path, lines in sorted(found.items())}

    def statement(self, span: Span) -> str:
        """The address of the statement of a run."""
        return f"#at-{self._file(span)}-{span.line}"

    def _file(self, span: Span) -> int:
        return [source.path for source in self.result.sources].index(span.source.path)

    # -------------------------------------------------------------------------------------------- verdict

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many findings there are of each severity, the worst first."""
        return {severity.label: number for severity, number in self.result.counts.items()}

    @property
    def verdict(self) -> str:
        """One sentence."""
        number = self.counts
        name = self.design.system.name
        subject = f"`{printable(name)}`" if name else "This design"
        if any(finding.code.startswith("SYN") for finding in self.result.findings):
            return f"{subject} could not be read whole, so this report is incomplete."
        if number["error"]:
            return f"{subject} cannot work as written: {count(number['error'], 'error')} to correct."
        if number["warning"]:
            return f"{subject} works as written, with {count(number['warning'], 'weak point')} to decide on."
        if number["info"] or number["hint"]:
            return f"{subject} has no known defect, and {count(number['info'] + number['hint'], 'remark')} to read."
        return f"{subject} has no finding under the {self.result.profile} profile."

    @property
    def analysed(self) -> str:
        """What there was to look at."""
        system = self.design.system
        parts = [
            count(len(table), noun)
            for table, noun in (
                (system.services, "service"), (system.workflows, "workflow"), (system.messages, "message"),
                (system.channels, "channel"), (system.stores, "store"), (system.brokers, "broker"), (system.flows, "flow"),
            )
            if table
        ]  # fmt: skip
        files = ", ".join(printable(source.path) for source in self.result.sources[:5])
        more = f" and {len(self.result.sources) - 5} more" if len(self.result.sources) > 5 else ""
        return f"{', '.join(parts) or 'Nothing'} in {files}{more}; {count(len(self.result.rules), 'rule')} ran under the {self.result.profile} profile."

    @cached_property
    def unseen(self) -> list[str]:
        """What the analysis could not see."""
        system, found = self.design.system, []
        own = [service for service in system.services.values() if not service.external and not service.phantom]
        calls = [action for action in system.actions if action.kind == "call" and action.region == "main"]
        for number, whole, text in (
            (
                sum(one.fact("replicas").unknown for one in own),
                len(own),
                "services do not say how many replicas they have",
            ),
            (
                sum(one.fact("availability").unknown for one in system.services.values()),
                len(system.services),
                "services declare no availability",
            ),
            (
                sum(one.fact("timeout").unknown for one in calls),
                len(calls),
                "calls do not say whether they have a timeout",
            ),
            (
                sum(view.flow.fact("rate").unknown for view in self.design.flows),
                len(self.design.flows),
                "flows declare no rate",
            ),
            (
                sum(view.flow.success is None for view in self.design.flows),
                len(self.design.flows),
                "flows declare no goal",
            ),
        ):
            if number:
                found.append(f"{number} of {whole} {text}; what is not declared is not guessed.")
        if not system.flows:
            found.append(
                "No flow is declared: criticality, latency and availability are told per flow and are missing here."
            )
        silent = sorted({process.service.name for process in system.processes if process.contract})
        if silent:
            names = ", ".join(f"`{name}`" for name in silent[:8]) + (" and others" if len(silent) > 8 else "")
            found.append(f"The insides of {names} are not described beyond what they publish and consume.")
        outside = sum(service.external for service in system.services.values())
        if outside:
            found.append(f"{count(outside, 'service')} outside the design: what happens inside them is not known.")
        if self.result.off:
            found.append(
                f"{count(self.result.off, 'rule')} off in the {self.result.profile} profile; `--profile production` asks for more facts."
            )
        if self.result.deselected:
            found.append(f"{count(self.result.deselected, 'rule')} left out by configuration.")
        for crash in self.result.crashes:
            found.append(f"Rule `{crash.rule.code}` failed and says nothing here.")
        missing = sum(entry.found.left_out for entry in self.flows)
        if missing:
            found.append(f"{count(missing, 'more path')} of flows not played.")
        if self.result.verdicts:
            found.append("The model is run, not the system: data, code, configuration and the real load are not seen.")
        else:
            found.append("The design is read, not run: data, code, configuration and the real load are not seen.")
        return found

    # -------------------------------------------------------------------------------------------- the map

    @property
    def large(self) -> bool:
        """Whether the map starts from the contexts."""
        return len(self.names.found.nodes) > LARGE

    @cached_property
    def regions(self) -> list[Region]:
        """The contexts, or what stands in for them, of a large design."""
        return regions(self.names.found)

    @cached_property
    def exposed(self) -> list[Critical]:
        """The single points of failure by declaration, the largest blast radius first."""
        return [one for one in self.design.criticals if one.tolerance.crashes == 0 and one.flows]

    @cached_property
    def looks(self) -> dict[str, Look]:
        """How the nodes of the map look, by anchor; brokers and channels by `broker NAME` and `channel NAME`."""
        radius = {self.names.anchor(one.component): one.blast_radius for one in self.exposed}
        found = {}
        for element, anchor in self.names.anchors.items():
            entries = self.by_element.get(anchor, ())
            worst = min((entry.severity for entry in entries), key=SEVERITIES.index, default="")
            below = f"via {element.channel.name}" if isinstance(element, Message) and element.channel else ""
            look = Look(
                f"#{anchor}", worst, len(entries), radius.get(anchor), tuple(self.flows_of.get(anchor, ())), below
            )
            found[anchor] = look
            if isinstance(element, Broker | Channel):
                found[f"{kind_of(element)} {element.name}"] = look
        return found

    @cached_property
    def region_looks(self) -> dict[str, Look]:
        """How the boxes of the contexts look, by their names."""
        found = {}
        for number, region in enumerate(self.regions):
            entries = {id(e): e for node in region.nodes for e in self.by_element.get(node.id, ())}
            worst = min((entry.severity for entry in entries.values()), key=SEVERITIES.index, default="")
            flows = sorted({flow for node in region.nodes for flow in self.flows_of.get(node.id, ())})
            found[region.name] = Look(f"#map-{number}", worst, len(entries), None, tuple(flows))
        return found

    @property
    def brokers(self) -> list[tuple[Broker | None, list[Channel]]]:
        """The brokers with their channels; the channels of no broker last."""
        channels: dict[Broker | None, list[Channel]] = {broker: [] for broker in self.design.system.brokers.values()}
        for channel in self.design.system.channels.values():
            channels.setdefault(channel.broker, []).append(channel)
        return sorted(channels.items(), key=lambda one: (one[0] is None, one[0].name if one[0] else ""))

    def options(self, what: str) -> Sequence[tuple[str, str]]:
        """The values that a filter offers, as value and words."""
        return list(self._options(what))

    def _options(self, what: str) -> Iterator[tuple[str, str]]:
        if what == "rule":
            for group in sorted(self.groups, key=lambda group: group.code):
                yield group.code, f"{group.code} {group.rule.name if group.rule else ''} ({len(group.entries)})"
        elif what == "flow":
            yield from ((str(entry.number), entry.view.flow.name) for entry in self.flows)
        elif what == "service":
            seen = {anchor for anchor in self.by_element if isinstance(self._elements[anchor], Service | Workflow)}
            yield from sorted((anchor, self._elements[anchor].name) for anchor in seen)
        elif what == "owner":
            yield from sorted({(entry.owner, entry.owner) for entry in self.entries if entry.owner})


def _faults(finding: Finding) -> int:
    return finding.run.faults if finding.run is not None else 0


def _diff(fix: Fix) -> str:
    """The edits of a fix as a diff of the lines they touch, without context."""
    parts = []
    by_source: dict[str, list[tuple[int, int, str]]] = {}
    sources = {}
    for edit in fix.edits:
        path = edit.span.source.path
        sources[path] = edit.span.source
        by_source.setdefault(path, []).append((edit.span.start, edit.span.end, edit.text))
    for path, edits in by_source.items():
        before = sources[path].text
        first = min(start for start, _, _ in edits)
        last = max(end for _, end, _ in edits)
        begin = before.rfind("\n", 0, first) + 1
        end = before.find("\n", last)
        end = len(before) if end < 0 else end
        after = before[begin:end]
        for start, stop, text in sorted(edits, reverse=True):
            after = after[: start - begin] + text + after[stop - begin :]
        for line in list(unified_diff(before[begin:end].split("\n"), after.split("\n"), n=0, lineterm=""))[2:]:
            if not line.startswith("@@"):
                parts.append(printable(line[:1]) + " " + "".join(c if c == "\t" else printable(c) for c in line[1:400]))
    return "\n".join(parts)
