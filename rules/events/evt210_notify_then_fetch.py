"""The consumers of an event all call its publisher back for the data that the event leaves out.

## Why

On the drawing the services are decoupled by an event; at run time each of them needs the publisher to be up, and right after
every event the publisher is called by all of them at once. The answer may also be newer than the event, so that the reaction
fits neither state. An event that carries what its consumers need makes the callback unnecessary; a command makes the coupling
honest.

Off in the default profile: an event may be thin on purpose, because its data are large, secret or must be fresh.

## Bad

```coord strict
event OrderPlaced { order_id: uuid }
query GetOrder
external service Shop { emits OrderPlaced }
external service Orders { handles GetOrder succeeds  emits OrderChanged }
event OrderChanged { order_id: uuid } # EVT210
service Mail {
  on OrderChanged {
    notifies
    calls Orders.GetOrder { timeout 2s }
  }
}
service Search {
  on OrderChanged or OrderPlaced {
    projection
    calls Orders.GetOrder { timeout 2s }
  }
}
```

## Good

```coord strict
event OrderPlaced { order_id: uuid }
event OrderChanged {
  order_id: uuid
  state: string
}
external service Shop { emits OrderPlaced }
external service Orders { emits OrderChanged }
service Mail {
  on OrderChanged { notifies }
}
service Search {
  on OrderChanged or OrderPlaced { projection }
}
```

## Exempt

- Callbacks that the consumer can do without: `optional`, or with a `fallback`.
- Commands to the publisher: only what the publisher merely reads or answers counts as fetching.
- Fewer consumers that call back than the option says.

The language has no words for a claim check or for withheld data; the option and `optional` stand in for them.

## Options

- `consumers`: how many services have to call back before it is reported (2).

## References

- M. Fowler, "What do you mean by event-driven?", 2017: event notification and event-carried state transfer.
- G. Hohpe, B. Woolf, *Enterprise Integration Patterns*, 2003, *Claim Check*: data that are left out on purpose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Finding, Label
from coordlint.rule import rule

from ._words import listed, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.system import Action, Message, Process, Service


@rule("EVT210", "notify-then-fetch", "–/I/W", evidence="O", options={"consumers": 2})
def check(design: Design) -> Iterator[Finding]:
    """One finding per event."""
    least = check.option(design, "consumers")
    for event in design.system.events():
        publisher = design.index.owner(event)
        if publisher is None or event.phantom:
            continue
        calls = [
            call for process in design.index.started.get(event, ()) for call in _callbacks(design, process, publisher)
        ]
        services = sorted({call.process.service.name for call in calls})
        if len(services) >= least:
            yield _finding(event, publisher, services, calls)


def _callbacks(design: Design, process: Process, publisher: Service) -> Iterator[Action]:
    """The calls by which a consumer fetches from the publisher and without which it cannot go on."""
    if process.service is publisher:
        return
    for call in design.system.actions_of(process, "call"):
        spared = call.fact("optional").declared or call.fact("fallback").declared
        if not spared and call.region == "main" and _fetches(design, call, publisher):
            yield call


def _fetches(design: Design, call: Action, publisher: Service) -> bool:
    handlers = [process for process in design.index.handlers(call.message) if process.service is publisher]
    if call.message.kind == "query":
        return bool(handlers) or call.use.service is publisher
    return bool(handlers) and not any(_works(design, process) for process in handlers)


def _works(design: Design, process: Process) -> bool:
    """A handler that does nothing but read is known to only answer; one without a body may do anything."""
    if next(design.system.actions_of(process, "read"), None) is None:
        return True
    return next(design.system.actions_of(process, "write", "act", "emit", "send", "call"), None) is not None


def _finding(event: Message, publisher: Service, services: list[str], calls: list[Action]) -> Finding:
    return Finding(
        primary=Label(event.place, "says too little for its consumers"),
        message=f"{listed(services)} react to `{event.name}` by calling its publisher `{publisher.name}` back",
        related=shown([Label(call.span, f"`{call.process.service.name}` calls back") for call in calls]),
        help="let the event carry what they fetch, or let them keep a copy of it",
        silence="`optional` or a `fallback` at the calls",
        subject=f"event {event.name}",
    )
