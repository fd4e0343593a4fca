"""The sections of services, messages, channels, stores and brokers: where each stands between the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from coordlint.report.names import facts_of, kind_of
from coordlint.system import Broker, Channel, Message, Service, Store, Workflow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from coordlint.analysis.landscape import Node
    from coordlint.report.page import Entry, Page
    from coordlint.system import Action, Element, Process

_OUT = {
    "publishes": "publishes", "triggers": "triggers", "awaited": "awaited by", "sends": "sends", "calls": "calls",
    "handled": "handled by", "stores": "keeps data in", "needs": "needs",
}  # fmt: skip
_IN = {
    "publishes": "published by", "triggers": "reacts to", "awaited": "waits for", "sends": "sent by", "calls": "called by",
    "handled": "handles", "stores": "used by", "needs": "needed by",
}  # fmt: skip


class Row(NamedTuple):
    """A relation and the things it leads to."""

    word: str
    targets: tuple[tuple[str, str], ...]


class Section(NamedTuple):
    """A thing of the design: what comes in, what goes out, what it says of itself, what was found."""

    anchor: str
    kind: str
    name: str
    title: str
    context: str
    place: str
    owner: tuple[str, str]
    incoming: tuple[Row, ...]
    outgoing: tuple[Row, ...]
    facts: tuple[str, ...]
    entries: tuple[Entry, ...]
    flows: tuple[int, ...]
    processes: tuple[str, ...]


def sections(page: Page) -> list[tuple[str, list[Section]]]:
    """All things, in groups with a heading."""
    system = page.design.system
    related = _Relations(page)
    groups: list[tuple[str, Iterable[Element]]] = [
        ("Services", system.services.values()),
        ("Workflows", system.workflows.values()),
        ("Events", system.events()),
        ("Commands and queries", system.commands()),
        ("Channels", system.channels.values()),
        ("Brokers", system.brokers.values()),
        ("Stores", system.stores.values()),
        ("Monitors", system.monitors.values()),
    ]
    found = [
        (title, [related.section(one) for one in elements if one in page.names.anchors]) for title, elements in groups
    ]
    return [(title, one) for title, one in found if one]


class _Relations:
    """The edges of the landscape by both ends, and what channels and brokers carry."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.nodes: dict[str, Node] = {node.id: node for node in page.names.found.nodes}
        self.outgoing: dict[str, list[tuple[str, str]]] = {}
        self.incoming: dict[str, list[tuple[str, str]]] = {}
        for edge in page.names.found.edges:
            self.outgoing.setdefault(edge.source, []).append((_OUT[edge.kind], edge.target))
            self.incoming.setdefault(edge.target, []).append((_IN[edge.kind], edge.source))
        self.carried: dict[Channel, list[Message]] = {}
        for message in page.design.system.messages.values():
            if message.channel is not None:
                self.carried.setdefault(message.channel, []).append(message)
        self.processes: dict[Service, list[Process]] = {}
        for process in page.design.system.processes:
            if process.workflow is None:
                self.processes.setdefault(process.service, []).append(process)

        self.writers = self._users(page.design.index.writers)
        self.readers = self._users(page.design.index.readers)

    def _users(self, table: Mapping[tuple[Store, str | None], list[Action]]) -> dict[Store, dict[str, str]]:
        found: dict[Store, dict[str, str]] = {}
        for (store, _), actions in table.items():
            for action in actions:
                owner = action.process.workflow or action.process.service
                found.setdefault(store, {})[self.page.names.anchor(owner)] = owner.name
        return found

    def section(self, element: Element) -> Section:
        names = self.page.names
        anchor = names.anchors[element]
        span = element.place
        return Section(
            anchor,
            kind_of(element),
            element.name,
            element.title,
            element.context,
            f"{span.source.path}:{span.line}",
            self._owner(element),
            self._rows(self.incoming.get(anchor, ()), self._more(element, incoming=True)),
            self._rows(self.outgoing.get(anchor, ()), self._more(element, incoming=False)),
            tuple(facts_of(element)),
            tuple(self.page.by_element.get(anchor, ())),
            tuple(self.page.flows_of.get(anchor, ())),
            tuple(one.name for one in self.processes.get(element, ())) if isinstance(element, Service) else (),
        )

    def _owner(self, element: Element) -> tuple[str, str]:
        """What it belongs to, and the anchor of that."""
        names, index = self.page.names, self.page.design.index
        owner: Element | None = None
        if isinstance(element, Message):
            owner = index.owner(element)
        elif isinstance(element, Workflow):
            owner = element.service
        elif isinstance(element, Store):
            owner = element.fact("owner").value
        elif isinstance(element, Channel):
            owner = element.broker
        if owner is not None:
            return owner.name, names.anchor(owner)
        return self.page.owner(element), ""

    def _rows(self, pairs: Iterable[tuple[str, str]], more: Iterable[Row]) -> tuple[Row, ...]:
        found: dict[str, dict[str, str]] = {}
        for word, anchor in pairs:
            found.setdefault(word, {})[anchor] = self.nodes[anchor].name
        extra = tuple(more)
        if any(row.word in {"written by", "read by"} for row in extra):  # says more than that it is used
            exact = {anchor for row in extra for anchor, _ in row.targets}
            found["used by"] = {
                anchor: name for anchor, name in found.get("used by", {}).items() if anchor not in exact
            }
        return tuple(Row(word, tuple(targets.items())) for word, targets in sorted(found.items()) if targets) + extra

    def _more(self, element: Element, *, incoming: bool) -> Iterator[Row]:
        anchors = self.page.names.anchors
        if isinstance(element, Message) and element.channel is not None and not incoming:
            if element.channel in anchors:
                yield Row("goes over", ((anchors[element.channel], element.channel.name),))
        elif isinstance(element, Channel):
            messages = self.carried.get(element, ())
            if incoming and messages:
                yield Row("carries", tuple((anchors[one], one.name) for one in messages))
            elif not incoming and element.broker is not None and element.broker in anchors:
                yield Row("runs on", ((anchors[element.broker], element.broker.name),))
        elif isinstance(element, Broker) and incoming:
            channels = [one for one in self.page.design.system.channels.values() if one.broker is element]
            if channels:
                yield Row("runs", tuple((anchors[one], one.name) for one in channels))
        elif isinstance(element, Store):
            found = dict((self.writers if incoming else self.readers).get(element, {}))
            found.pop("", None)
            if found:
                yield Row("written by" if incoming else "read by", tuple(sorted(found.items())))
