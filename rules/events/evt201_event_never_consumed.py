"""An event is published and nobody reacts to it.

## Why

Either a subscription is missing or misspelt, and a part of the work is never done, or the event is dead traffic that costs
its publisher a schema to keep. In a choreography nothing else tells: the publisher does not know its consumers, and a message
without a subscriber is dropped without an error.

A message that only the archive of its channel or a monitor sees is reported as information: they keep it, but do nothing.

## Bad

```coord
event OrderPlaced, OrderPacked
external service Shop { emits OrderPlaced }
service Warehouse {
  on OrderPlaced emits OrderPacked # EVT201
}
```

```coord
channel facts { topic  archive }
event OrderPlaced, OrderPacked via facts
external service Shop { emits OrderPlaced }
service Warehouse {
  on OrderPlaced emits OrderPacked # EVT201
}
```

## Good

```coord
event OrderPlaced, OrderPacked
external service Shop { emits OrderPlaced }
service Warehouse {
  on OrderPlaced emits OrderPacked
}
service Mail {
  on OrderPacked { notifies }
}
```

```coord
event OrderPlaced
public event OrderPacked
external service Shop { emits OrderPlaced }
service Warehouse {
  on OrderPlaced emits OrderPacked
}
```

## Exempt

- `public` and `external` events: others than this design listen.
- Events that say `terminal` (nobody has to react), `technical` or `deprecated`.
- The success goals of flows. A failure goal is exempt only if no handler has changed state before it that nothing undoes:
  somebody has to hear of that failure.
- An event with nearly the name of one that is awaited and never published: both are one finding of EVT202.
- An event of a `fails` that takes part in a flow: EVT207 speaks of it.

## References

- C. Richardson, *Microservices Patterns*, 2018, chapter 3: publishers and subscribers do not know each other.
- EventCatalog, linter rule `refs/orphan-messages`: the same question within a catalogue of events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Finding, Label
from coordlint.rule import rule
from coordlint.system import Workflow

from ._words import listed, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.orphans import Unheard
    from coordlint.design import Design
    from coordlint.system import Goal, Message


@rule("EVT201", "event-never-consumed", "W/W/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """One finding per event."""
    succeeded = {message for flow in design.system.flows.values() for message in _messages(flow.success)}
    failed = {message for flow in design.system.flows.values() for message in _messages(flow.failure)}
    for one in design.orphans.unheard:
        event = one.event
        if event.phantom or _is_excused(event) or event in succeeded or event in design.failures.unheard:
            continue
        left = design.failures.left_behind(event) if event in failed else ()
        if event in failed and not left:
            continue
        labels = [Label(action.span, f"stays as `{action.process.service.name}` left it") for action in left]
        yield _finding(design, one, labels)


def _finding(design: Design, one: Unheard, left: list[Label]) -> Finding:
    event = one.event
    first, *others = one.places
    publishers = listed(place.process.service.name for place in one.places)
    related = [Label(place.use.span, f"published by `{place.process.service.name}` too") for place in others]
    message = f"nobody reacts to `{event.name}`, which {publishers} {'publishes' if not _several(one) else 'publish'}"
    if left:
        message += ", though it fails a flow that has something to undo"
    witness = _witness(design, event)
    return Finding(
        primary=Label(first.use.span, "nobody listens"),
        message=message + (f"; only {witness} sees it" if witness else ""),
        related=(*shown(related), *shown(left)),
        help="let a service react to it; say `public` if others than this design do, `terminal` if nobody has to",
        silence=f"`public event {event.name}`, or `terminal` in its body",
        subject=f"event {event.name}",
        levels="I/I/I" if witness and not left else "",
    )


def _several(one: Unheard) -> bool:
    return len({place.process.service for place in one.places}) > 1


def _is_excused(event: Message) -> bool:
    if event.visibility in {"public", "external"}:
        return True
    return any(event.fact(name).declared for name in ("terminal", "technical", "deprecated"))


def _witness(design: Design, event: Message) -> str:
    """What sees every message of the event's channel without acting on it, in words."""
    if event.channel is None:
        return ""
    if event.channel.fact("archive").declared:
        return f"the archive of `{event.channel.name}`"
    watching = [name for name, monitor in design.system.monitors.items() if event.channel in monitor.watches]
    return f"the monitor `{watching[0]}`" if watching else ""


def _messages(goal: Goal | None) -> Iterator[Message]:
    for target in goal.targets if goal is not None else ():
        if not isinstance(target, Workflow):
            yield target.message
