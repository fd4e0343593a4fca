"""Random designs without errors: every name is declared, every value is possible, and any construct may stand in them.

A design is generated with placeholders for its names and with its declarations in no order, so that a test can rename and
rearrange it and compare what is found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import combinations
from random import Random
from typing import NamedTuple

from hypothesis import strategies as st

from coordlint.names import is_near

WORDS = (
    "Amber Birch Cobalt Dune Ember Fjord Glacier Harbour Iris Juniper Kelp Lagoon Meadow Nectar Orchid Pebble Quartz Raven"
    " Saffron Tundra Umbra Violet Willow Xenon Yarrow Zephyr Alder Basalt Cypress Delta Estuary Falcon Granite Heather Indigo"
    " Jasmine Knoll Lichen Mangrove Nimbus Obsidian Prairie Quail Rapids Summit Thicket Ultramarine Valley Wren Yonder"
    " Acacia Bramble Canyon Driftwood Eclipse Fern Geyser Horizon Island Jade"
).split()
assert not any(is_near(left, right) for left, right in combinations(WORDS, 2)), "no name is another one misspelt"

_PLACEHOLDER = re.compile(r"\b[a-z]+\d+_\b")


class Part(NamedTuple):
    """A declaration: what stands before its body, the lines of the body in no order, then statements or fields in theirs."""

    head: str
    lines: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()


class Plan(NamedTuple):
    """A design without names and without an order."""

    parts: tuple[Part, ...]

    @property
    def placeholders(self) -> list[str]:
        """What stands for names, in order of appearance."""
        text = "\n".join("\n".join((part.head, *part.lines, *part.statements)) for part in self.parts)
        return list(dict.fromkeys(_PLACEHOLDER.findall(text)))

    def text(self, *, names: Sequence[str] = WORDS, order: Random | None = None) -> str:
        """The design, its placeholders replaced by these names in order; declarations and lines shuffled by ``order``."""
        parts = list(self.parts)
        if order is not None:
            order.shuffle(parts)
        blocks = []
        for part in parts:
            lines = list(part.lines)
            if order is not None:
                order.shuffle(lines)
            body = [*lines, *part.statements]
            blocks.append(part.head + (" {\n  " + "\n  ".join(body) + "\n}" if body else ""))
        named = dict(zip(self.placeholders, names, strict=False))
        return _PLACEHOLDER.sub(lambda found: named[found[0]], "\n".join(blocks)) + "\n"


class _World(NamedTuple):
    """The placeholders of each kind that statements may refer to."""

    brokers: list[str]
    channels: list[str]
    stores: list[str]
    events: list[str]
    commands: list[str]
    services: list[str]
    workflows: list[str]
    handled: dict[str, list[str]]


def _some(draw: st.DrawFn, things: Sequence[str], *, at_most: int = 3) -> list[str]:
    """A few of them, each once; none if there are none."""
    if not things:
        return []
    return draw(st.lists(st.sampled_from(list(things)), max_size=at_most, unique=True))


def _one(draw: st.DrawFn, things: Sequence[str]) -> str:
    return draw(st.sampled_from(list(things)))


def _maybe(draw: st.DrawFn, text: str | Callable[[], str], *, of: int = 3) -> list[str]:
    """The line, one time in ``of``."""
    if draw(st.integers(1, of)) < of:
        return []
    return [text() if callable(text) else text]


DURATIONS = ("50ms", "2s", "5s", "30s", "1m", "10m", "1h", "1d", "7d")
PERCENTS = ("90%", "99%", "99.9%", "99.99%")


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """A small design in which everything may occur and nothing is missing or impossible."""

    def numbered(word: str, low: int, high: int) -> list[str]:
        return [f"{word}{number}_" for number in range(draw(st.integers(low, high)))]

    world = _World(
        brokers=numbered("br", 0, 2),
        channels=numbered("ch", 0, 3),
        stores=numbered("st", 0, 3),
        events=numbered("ev", 1, 5),
        commands=numbered("co", 1, 5),
        services=numbered("se", 1, 4),
        workflows=numbered("wf", 0, 2),
        handled={},
    )
    for command in world.commands:
        world.handled[command] = _some(draw, world.services, at_most=2)
    parts = [
        *(_broker(draw, name, world) for name in world.brokers),
        *(_channel(draw, name, world) for name in world.channels),
        *(_store(draw, name, world) for name in world.stores),
        *(part for name in world.events for part in _message(draw, "event", name, world)),
        *(
            part
            for name in world.commands
            for part in _message(draw, _one(draw, ["command", "command", "query"]), name, world)
        ),
        *(_service(draw, name, world) for name in world.services),
        *(_workflow(draw, name, world) for name in world.workflows),
    ]
    flows = numbered("fl", 0, 2)
    parts += [_flow(draw, name, world) for name in flows]
    watched = [*flows, *world.channels, *world.services, *world.workflows]
    parts += [
        Part(f"monitor {name}", tuple(f"watches {one}" for one in _some(draw, watched)))
        for name in numbered("mo", 0, 1)
    ]  # fmt: skip
    parts = [
        part if part.lines or not part.head.startswith("monitor") else Part(f"{part.head} {{ }}") for part in parts
    ]
    return Plan(tuple(parts))


def designs() -> st.SearchStrategy[str]:
    """The text of a random design."""
    return plans().map(lambda plan: plan.text())


# ------------------------------------------------------------------------------------------------ declarations


def _common(draw: st.DrawFn) -> list[str]:
    return [*_maybe(draw, 'note "a note"', of=9), *_maybe(draw, lambda: f"team {_one(draw, ['red', 'blue'])}", of=6)]


def _broker(draw: st.DrawFn, name: str, world: _World) -> Part:
    nodes = draw(st.integers(1, 5))
    replication = draw(st.integers(1, nodes))
    return Part(
        f"broker {name}",
        (
            *_maybe(draw, f"nodes {nodes}", of=2),
            *_maybe(draw, f"replication {replication}"),
            *_maybe(draw, lambda: f"min-insync {draw(st.integers(1, replication))}"),
            *_maybe(draw, "quorum"),
            *_maybe(draw, lambda: f"availability {_one(draw, PERCENTS)}"),
            *_maybe(draw, lambda: f"capacity {draw(st.integers(1, 5000))}/s"),
            *(f"uses {store}" for store in _some(draw, world.stores, at_most=1)),
            *_common(draw),
        ),
    )


def _channel(draw: st.DrawFn, name: str, world: _World) -> Part:
    on = f" on {_one(draw, world.brokers)}" if world.brokers and draw(st.booleans()) else ""
    return Part(
        f"channel {name}{on}",
        (
            *_maybe(draw, lambda: _one(draw, ["topic", "queue"]), of=2),
            *_maybe(draw, lambda: f"partitions {draw(st.integers(1, 12))}"),
            *_maybe(draw, lambda: _one(draw, ["ordered", "unordered", "ordered by id", "ordered by other"])),
            *_maybe(draw, lambda: f"delivery {_one(draw, ['at-least-once', 'at-most-once', 'exactly-once'])}"),
            *_maybe(draw, lambda: f"retention {_one(draw, DURATIONS)}"),
            *_maybe(draw, lambda: _one(draw, [f"dead-letter {_one(draw, world.channels)} after 5", "no dead-letter"])),
            *_maybe(draw, lambda: f"ack-timeout {_one(draw, DURATIONS)}"),
            *_maybe(draw, lambda: f"dedup {_one(draw, DURATIONS)}"),
            *_maybe(draw, lambda: f"max-message {_one(draw, ['1KB', '1MB'])}"),
            *_maybe(draw, "redrive", of=5),
            *_maybe(draw, "in-memory", of=5),
            *_maybe(draw, "archive", of=5),
            *_common(draw),
        ),
    )


def _store(draw: st.DrawFn, name: str, world: _World) -> Part:
    return Part(
        f"store {name}",
        (
            *_maybe(draw, lambda: f"replicas {draw(st.integers(1, 3))}"),
            *_maybe(draw, lambda: f"failover {_one(draw, ['auto', 'manual', 'none'])}"),
            *_maybe(draw, lambda: f"availability {_one(draw, PERCENTS)}"),
            *_maybe(draw, lambda: f"owner {_one(draw, world.services)}"),
            *_maybe(draw, lambda: f"capacity {draw(st.integers(1, 900))}/s", of=6),
            *_maybe(draw, "in-memory", of=8),
        ),
    )


def _message(draw: st.DrawFn, kind: str, name: str, world: _World) -> list[Part]:
    """One declaration, or two versions."""
    before = _one(draw, ["", "", "", "", "public ", "private ", "external "])
    versions = draw(st.sampled_from([("",), ("",), ("",), (" @1",), (" @1", " @2")]))
    via = f" via {_one(draw, world.channels)}" if world.channels and draw(st.booleans()) else ""
    found = []
    for version in versions:
        fields = _some(draw, ("id: uuid", "other: int", "state: NEW | PAID", "text: string?", "items: string[] = []"))
        lines = [
            *_maybe(draw, "key id", of=2),
            *_maybe(draw, lambda: f"compatible {_one(draw, ['none', 'backward', 'full transitive'])}"),
            *_maybe(draw, "deprecated until 2027-01-31", of=8),
            *_maybe(draw, "migrating until 2027-01-31", of=8),
            *_maybe(draw, lambda: f"size {_one(draw, ['1KB', '2MB'])}", of=6),
            *(_maybe(draw, "provisional", of=6) if kind == "event" else _maybe(draw, "scatter", of=6)),
            *_maybe(draw, "terminal", of=6),
            *_maybe(draw, "technical", of=8),
        ]
        found.append(Part(f"{before}{kind} {name}{version}{via}", tuple(lines), tuple(fields)))
    return found


def _service(draw: st.DrawFn, name: str, world: _World) -> Part:
    external = "external " if draw(st.integers(1, 5)) == 5 else ""
    replicas = draw(st.integers(1, 4))
    lines = [
        *_maybe(draw, f"replicas {replicas}"),
        *_maybe(draw, lambda: f"zones {draw(st.integers(1, replicas))}"),
        *_maybe(draw, lambda: f"availability {_one(draw, PERCENTS)}"),
        *_maybe(draw, lambda: f"capacity {draw(st.integers(1, 500))}/s"),
        *_maybe(draw, lambda: f"mttr {_one(draw, DURATIONS)}", of=6),
        *_maybe(draw, lambda: f"rto {_one(draw, DURATIONS)}", of=6),
        *_maybe(draw, "retry-budget 10%", of=6),
        *_maybe(draw, lambda: _one(draw, ["outbox", "no outbox", 'no outbox "why"'])),
        *(
            f"uses {one}"
            for one in _some(draw, [*world.stores, *world.brokers, *world.channels, *world.services], at_most=2)
        ),
        *_maybe(draw, lambda: f"calls {{ {' '.join(_call_attributes(draw, world, 0, blocks=False))} }}"),
        *(f"publishes {one}" for one in _some(draw, world.events, at_most=1)),
        *(f"consumes {one}" for one in _some(draw, world.events, at_most=1)),
        *_common(draw),
    ]
    for command in world.commands:
        if name in world.handled[command]:
            lines.append(f"handles {command} {_handler(draw, world)}")
    for _ in range(draw(st.integers(0, 2))):
        lines.append(f"{_trigger(draw, world)} {_handler(draw, world)}")
    for _ in range(draw(st.integers(0, 1))):
        lines.append(_one(draw, [
            f"sends {_command(draw, world)}",
            f"calls {_command(draw, world)} {{ timeout 2s }}",
            f"emits {_one(draw, world.events)}",
        ]))  # fmt: skip
    return Part(f"{external}service {name}", tuple(lines))


def _trigger(draw: st.DrawFn, world: _World) -> str:
    events = draw(st.lists(st.sampled_from(world.events), min_size=1, max_size=3, unique=True))
    choices = [f"on {events[0]}", f"on {' or '.join(events)}", f"every {_one(draw, DURATIONS)}"]
    if len(events) > 1:
        choices.append(f"on {' and '.join(events)} within {_one(draw, DURATIONS)} by id")
    if world.stores:
        choices.append(f"on change of {_one(draw, world.stores)}.rows")
    via = f" via {_one(draw, world.channels)}" if world.channels and draw(st.integers(1, 5)) == 5 else ""
    return _one(draw, choices) + via


def _handler(draw: st.DrawFn, world: _World) -> str:
    lines = [
        *_maybe(
            draw, lambda: _one(draw, ["idempotent", "idempotent by id", "not idempotent", 'not idempotent "why"']), of=2
        ),
        *_maybe(draw, "re-emits", of=8),
        *_maybe(draw, "ordered by id", of=6),
        *_maybe(draw, "resequences", of=8),
        *_maybe(draw, lambda: _one(draw, ["outbox", "no outbox"]), of=6),
        *_maybe(draw, lambda: f"compensates {_one(draw, [*world.commands, *world.events])}", of=8),
        *_maybe(draw, "fences", of=9),
        *_maybe(draw, lambda: f"concurrency {draw(st.integers(1, 9))}", of=5),
        *_maybe(draw, lambda: f"takes {_one(draw, DURATIONS)}", of=4),
        *_maybe(draw, "batch 10", of=8),
        *_maybe(draw, lambda: f"attempts {draw(st.integers(1, 5))}", of=6),
        *_maybe(draw, lambda: f"timeout {_one(draw, DURATIONS)}", of=6),
        *_maybe(
            draw,
            lambda: f"dead-letter {_one(draw, world.channels)} after 3" if world.channels else "no dead-letter",
            of=6,
        ),
        *_maybe(draw, lambda: _one(draw, ['when "a"', 'when "a" until "b"']), of=6),
        *_maybe(draw, "max-hops 8", of=8),
        *_maybe(draw, "if-changed", of=8),
        *_maybe(draw, "projection", of=6),
        *_maybe(draw, "notifies", of=8),
        *_maybe(draw, "uses-fields id, other", of=8),
        *_maybe(draw, lambda: f"on unexpected {_one(draw, ['drop', 'park', 'fail'])}", of=8),
        *_statements(draw, world, 0, in_workflow=None),
    ]
    return "{ " + "  ".join(lines) + " }"


def _workflow(draw: st.DrawFn, name: str, world: _World) -> Part:
    messages = [*world.events, *world.commands]
    starts = draw(st.lists(st.sampled_from(messages), min_size=1, max_size=2, unique=True))
    lines = [
        *_maybe(
            draw,
            lambda: _one(draw, [f"starts on {' or '.join(starts)}", f"starts on {starts[0]}", "starts every 1d"]),
            of=1,
        ),
        *_maybe(draw, lambda: _one(draw, ["idempotent", "idempotent by id", "not idempotent"])),
        *_maybe(draw, lambda: f"state in {_one(draw, world.stores)}" if world.stores else "state memory", of=2),
        *_maybe(draw, lambda: _one(draw, [f"timeout {_one(draw, DURATIONS)}", "no timeout"]), of=2),
        *_maybe(draw, "capacity 100/s", of=6),
        *_maybe(draw, "max-inflight 50", of=6),
        *_maybe(draw, "max-depth 3", of=6),
        *_maybe(draw, lambda: f"recovery {_one(draw, ['backward', 'forward'])}", of=4),
        *_maybe(draw, "on unexpected park", of=6),
        *_maybe(draw, lambda: f"on failure {_block(draw, world, 1, name)}", of=2),
        *_maybe(draw, lambda: f"on timeout {_block(draw, world, 1, name)}", of=5),
    ]
    return Part(
        f"workflow {name} in {_one(draw, world.services)}",
        tuple(lines),
        tuple(_statements(draw, world, 0, in_workflow=name)),
    )


def _flow(draw: st.DrawFn, name: str, world: _World) -> Part:
    goals = [*world.events, *world.workflows]
    word = _one(draw, [" or ", " and "])
    lines = [
        f"starts with {_one(draw, [*world.commands, *world.events, *world.workflows])}"
        + (f" from {_one(draw, world.services)}" if draw(st.booleans()) else ""),
        f"succeeds with {word.join(draw(st.lists(st.sampled_from(goals), min_size=1, max_size=2, unique=True)))}",
        *_maybe(draw, lambda: f"fails with {_one(draw, goals)}", of=2),
        *_maybe(draw, lambda: f"style {_one(draw, ['orchestrated', 'choreographed', 'hybrid'])}"),
        *_maybe(draw, lambda: f"criticality {_one(draw, ['low', 'normal', 'high', 'critical'])}"),
        *_maybe(draw, lambda: _one(draw, [f"within {_one(draw, DURATIONS)}", "no within"])),
        *_maybe(draw, lambda: f"rate {draw(st.integers(1, 200))}/s"),
        *_maybe(draw, lambda: f"availability {_one(draw, PERCENTS)}"),
        *_maybe(draw, lambda: f"latency {_one(draw, DURATIONS)}"),
        *_maybe(draw, "visibility required", of=5),
        *_maybe(draw, lambda: f"order {_one(draw, world.events)} before {_one(draw, world.events)}", of=5),
    ]
    return Part(f"flow {name}", tuple(lines))


# ------------------------------------------------------------------------------------------------ statements


def _command(draw: st.DrawFn, world: _World) -> str:
    """A command as it is sent or called: with the service that handles it, or without."""
    command = _one(draw, world.commands)
    services = world.handled[command]
    return f"{_one(draw, services)}.{command}" if services and draw(st.integers(1, 4)) > 1 else command


def _block(draw: st.DrawFn, world: _World, depth: int, in_workflow: str | None) -> str:
    return "{ " + "  ".join(_statements(draw, world, depth, in_workflow=in_workflow, steps=False)) + " }"


def _statements(
    draw: st.DrawFn, world: _World, depth: int, *, in_workflow: str | None, steps: bool = True
) -> list[str]:
    """A few statements; steps with names of their own only at the top of a workflow."""
    most = max(1, 3 - depth)
    found = [_statement(draw, world, depth, in_workflow) for _ in range(draw(st.integers(0, most)))]
    if in_workflow and steps and depth == 0:
        for number in range(draw(st.integers(0, 3))):
            attributes = " ".join(_call_attributes(draw, world, 1, in_workflow=in_workflow))
            body = _one(draw, [
                f"calls {_command(draw, world)} {{ {attributes} }}",
                f"{{ {attributes} {_statement(draw, world, 1, in_workflow)} }}",
                f"{{ {attributes} sends {_command(draw, world)} awaits {_one(draw, world.events)} }}",
            ])  # fmt: skip
            found.append(f"step s{number} {body}")
    return found


def _statement(draw: st.DrawFn, world: _World, depth: int, in_workflow: str | None) -> str:
    event = _one(draw, world.events)
    other = _one(draw, world.events)
    command = _command(draw, world)
    kinds = ["emits", "emits", "outcomes", "sends", "calls", "calls", "acts"]
    if world.stores:
        kinds += ["reads", "writes"]
    if in_workflow is not None:
        kinds += ["awaits", "arms", "waits"]
    if depth < 2:
        kinds += ["parallel", "either", "repeat", "for each"]
    kind = _one(draw, kinds)

    def block() -> str:
        return _block(draw, world, depth + 1, in_workflow)

    if kind == "emits":
        return f"emits {event}"
    if kind == "outcomes":
        return _one(draw, [
            f"emits {event} or fails", f"90% emits {event} or 10% fails {other}", "succeeds or fails \"no\"", "succeeds",
            f"emits {event} or emits {other}", f"emits {event} or 5% succeeds",
        ])  # fmt: skip
    if kind == "sends":
        return f"sends {command}{_one(draw, ['', '', ' after 1h'])}"
    if kind == "calls":
        return f"calls {command} {{ {' '.join(_call_attributes(draw, world, depth + 1, in_workflow=in_workflow))} }}"
    if kind == "acts":
        return 'acts "does something"'
    if kind in {"reads", "writes"}:
        return f"{kind} {_one(draw, world.stores)}.{_one(draw, ['rows', 'lines'])}"
    if kind == "awaits":
        return f"awaits {event}{_one(draw, ['', ' within 1h', f' or {other} within 1d by id'])}"
    if kind == "arms":
        return f"awaits by id {{ on {event} {block()} within 1h {block()} }}"
    if kind == "waits":
        return f"waits {_one(draw, DURATIONS)}"
    if kind == "parallel":
        mode = _one(draw, ["", "", " any", " interrupting"])
        return f"parallel{mode} {{ branch {block()} branch {block()} }}"
    if kind == "either":
        return f"either {_one(draw, ['', '30% '])}{block()} or {block()}"
    if kind == "repeat":
        return f"repeat {_one(draw, ['', 'up to 3 '])}{block()}"
    return f"for each item {_one(draw, ['', 'in parallel ', 'in parallel 4 '])}{block()}"


def _call_attributes(
    draw: st.DrawFn, world: _World, depth: int, *, blocks: bool = True, in_workflow: str | None = None
) -> list[str]:
    found = [
        *_maybe(draw, lambda: _one(draw, [f"timeout {_one(draw, DURATIONS)}", "no timeout"]), of=2),
        *_maybe(draw, lambda: _one(draw, ["attempts 3", "retries 2", "attempts unlimited", "no retries"])),
        *_maybe(draw, lambda: _one(draw, ["backoff 1s", "backoff 1s x2 up to 1m jitter", "no backoff"])),
        *_maybe(draw, lambda: _one(draw, ["deadline 30s", "deadline propagate"]), of=6),
        *_maybe(draw, lambda: _one(draw, ["breaker", "no breaker"]), of=5),
    ]
    if not blocks:
        return found
    found += [
        *_maybe(draw, "optional", of=8),
        *_maybe(draw, "pivot", of=8),
        *_maybe(draw, "retriable", of=8),
        *_maybe(draw, "irreversible", of=9),
        *_maybe(draw, "isolation semantic-lock", of=9),
        *_maybe(draw, lambda: _one(draw, [f"compensate {_command(draw, world)}", "no compensation"])),
    ]
    if depth < 3:
        found += [
            *_maybe(draw, lambda: f"fallback {_block(draw, world, depth + 1, in_workflow)}", of=9),
            *_maybe(draw, lambda: f"on failure {_block(draw, world, depth + 1, in_workflow)}", of=8),
            *_maybe(draw, lambda: f"on timeout {_block(draw, world, depth + 1, in_workflow)}", of=8),
        ]
    return found
