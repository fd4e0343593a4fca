"""The names of a design on a page: a stable anchor for each thing, links for its name, and the thing that a finding is about."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from coordlint.analysis.landscape import landscape
from coordlint.system import Broker, Channel, Context, Flow, Message, Monitor, Service, Store, Workflow

if TYPE_CHECKING:
    from coordlint.analysis.landscape import Landscape
    from coordlint.design import Design
    from coordlint.finding import Finding
    from coordlint.source import Span
    from coordlint.system import Element


class Names:
    """Anchors by element, by name, and by place in the sources.

    Attributes:
        found: the landscape, whose ids are anchors.
        anchors: by element; also for what is no node of the landscape.
    """

    def __init__(self, design: Design) -> None:
        self.design = design
        self.found: Landscape = landscape(design.index)
        self.anchors: dict[Element, str] = {node.element: node.id for node in self.found.nodes}
        system = design.system
        taken: dict[str, int] = {}
        groups: tuple[tuple[str, Mapping[str, Element]], ...] = (
            ("channel", system.channels), ("broker", system.brokers), ("flow", system.flows), ("monitor", system.monitors),
        )  # fmt: skip
        for word, elements in groups:
            for element in elements.values():
                letters = "".join(char if char.isascii() and char.isalnum() else "-" for char in element.name).strip(
                    "-"
                )
                base = f"{word}-{letters}"[:60].rstrip("-")
                taken[base] = taken.get(base, 0) + 1
                self.anchors[element] = base if taken[base] == 1 else f"{base}-{taken[base]}"
        self._by_name: dict[str, Element] = {}
        named: tuple[Mapping[str, Element], ...] = (
            system.flows, system.stores, system.channels, system.brokers, system.messages, system.workflows, system.services,
        )  # fmt: skip
        for group in named:
            for name, element in group.items():
                self._by_name[name] = element  # services win over channels of the same name
        self._places: dict[str, tuple[list[int], list[tuple[int, int, Element]]]] = {}
        self._index_places()

    def anchor(self, element: Element | None) -> str:
        """The id of the element's section, or an empty string."""
        return self.anchors.get(element, "") if element is not None else ""

    def link(self, text: str) -> str:
        """The anchor of what a name in a message stands for, such as `Orders.Place`, `workflow Checkout`, `OrdersDb.rows`."""
        element = self._by_name.get(text)
        if element is None and text.isprintable():
            for word in (
                "workflow ",
                "service ",
                "event ",
                "command ",
                "flow ",
                "store ",
                "handles ",
                "on ",
                "calls ",
                "emits ",
                "sends ",
            ):
                if text.startswith(word):
                    element = self._by_name.get(text[len(word) :].split(" ")[0])
                    break
            if element is None and "." in text:
                first, _, last = text.partition(".")
                element = self._by_name.get(last) or self._by_name.get(first)
        return self.anchor(element)

    def about(self, finding: Finding) -> list[Element]:
        """What a finding is about: what its subject names, and what is declared around its primary place."""
        found: dict[Element, None] = {}
        for one in (self._subject(finding.subject), self._around(finding.primary.span)):
            if one is not None and one in self.anchors:
                found[one] = None
        return list(found)

    def _subject(self, subject: str) -> Element | None:
        kind, _, name = subject.split(" / ")[0].partition(" ")
        system = self.design.system
        groups: dict[str, Mapping[str, Element]] = {
            "service": system.services, "workflow": system.workflows, "event": system.messages, "command": system.messages,
            "query": system.messages, "message": system.messages, "flow": system.flows, "store": system.stores,
            "channel": system.channels, "broker": system.brokers, "monitor": system.monitors,
        }  # fmt: skip
        return groups[kind].get(name) if kind in groups else None

    def _index_places(self) -> None:
        spans: dict[str, list[tuple[int, int, Element]]] = {}
        for element in self.anchors:
            if isinstance(element, Message):
                for version in element.versions:
                    spans.setdefault(version.span.source.path, []).append(
                        (version.span.start, version.span.end, element)
                    )
            elif not element.phantom:
                spans.setdefault(element.span.source.path, []).append((element.span.start, element.span.end, element))
        for path, found in spans.items():
            found.sort(key=lambda one: (one[0], -one[1]))
            self._places[path] = ([one[0] for one in found], found)

    def _around(self, span: Span) -> Element | None:
        starts, found = self._places.get(span.source.path, ([], []))
        for number in range(bisect_right(starts, span.start) - 1, max(-1, bisect_right(starts, span.start) - 8), -1):
            _, end, element = found[number]
            if span.start < end:
                return element
        return None


def kind_of(element: Element) -> str:
    """The word for what an element is."""
    if isinstance(element, Service):
        return "external service" if element.external else "service"
    if isinstance(element, Message):
        return element.kind
    words = ((Workflow, "workflow"), (Store, "store"), (Channel, "channel"), (Broker, "broker"), (Flow, "flow"))
    for kind, word in (*words, (Monitor, "monitor"), (Context, "context")):
        if isinstance(element, kind):
            return word
    return "declaration"


def facts_of(element: Element) -> Iterator[str]:
    """The declared facts of an element as they were written, in their order there."""
    facts = [fact for fact in element.facts.values() if fact.span is not None]
    for fact in sorted(facts, key=lambda fact: fact.span.start if fact.span else 0):
        text = fact.text
        if len(text) > 300:
            text = text[:300] + "…"
        yield text
