"""A command that nobody handles, that several services handle, or that is sent to a service which does not handle it.

## Why

A command asks somebody in particular to do something, so it has exactly one logical receiver. Without one the work is not
done, and a caller waits for an answer that cannot come. With two, the work is done twice, and no one decides which result
counts: what several services are to hear of is an event.

## Bad

```coord
command ShipOrder
event OrderPlaced
external service Shop { emits OrderPlaced }
service Orders {
  on OrderPlaced { sends ShipOrder } # EVT205
}
```

```coord
command ShipOrder # EVT205
event OrderPlaced
external service Shop { emits OrderPlaced }
service Orders {
  on OrderPlaced { sends ShipOrder }
}
service Parcels {
  handles ShipOrder { acts "sends a parcel" }
}
service Freight {
  handles ShipOrder { acts "sends a pallet" }
}
```

```coord
command ShipOrder
event OrderPlaced
external service Shop { emits OrderPlaced }
service Orders {
  on OrderPlaced { sends Freight.ShipOrder } # EVT205
}
service Parcels {
  handles ShipOrder { acts "sends a parcel" }
}
service Freight {
  on OrderPlaced { notifies }
}
```

## Good

```coord
command ShipOrder
event OrderPlaced
external service Shop { emits OrderPlaced }
service Orders {
  on OrderPlaced { sends Parcels.ShipOrder }
}
service Parcels {
  handles ShipOrder { acts "sends a parcel" }
}
service Freight {
  on OrderPlaced { notifies }
}
```

```coord
command ShipOrder
event OrderPlaced
external service Shop { emits OrderPlaced }
external service Parcels
service Orders {
  on OrderPlaced { sends Parcels.ShipOrder }
}
```

## Exempt

- Commands and queries sent to an `external service`: what it handles need not be declared.
- `scatter` commands: several services answer, and the sender puts the answers together.
- A command that starts a workflow, or that a workflow awaits, is handled by it.

## References

- G. Hohpe, B. Woolf, *Enterprise Integration Patterns*, 2003, *Command Message*, *Point-to-Point Channel*.
- NServiceBus documentation, "Messages, events, and commands": a command has one logical owner.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Finding, Fix, Label
from coordlint.rule import rule
from coordlint.source import Edit
from coordlint.system import Workflow

from ._words import listed, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.system import Message, MessageUse, Process, Service


@rule("EVT205", "command-receiver-count", "E/E/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """One finding per command that has too few or too many receivers, or per service that is asked wrongly."""
    started = _flow_starts(design)
    for command in design.system.commands():
        if command.phantom:
            continue
        handlers = [process for process in design.index.consumers(command) if not process.service.phantom]
        services = sorted({process.service for process in handlers}, key=lambda service: service.name)
        requests = [action.use for action in design.index.senders.get(command, ())] + started.get(command, [])
        if not handlers:
            if open_requests := [use for use in requests if not _goes_outside(use)]:
                yield _nobody(command, open_requests)
        elif len(services) > 1:
            if not command.fact("scatter").declared:
                yield _several(command, services, handlers)
        else:
            yield from _wrong_addressees(command, services[0], requests, handlers)


def _flow_starts(design: Design) -> dict[Message, list[MessageUse]]:
    found: dict[Message, list[MessageUse]] = {}
    for flow in design.system.flows.values():
        for start in flow.starts:
            if not isinstance(start, Workflow):
                found.setdefault(start.message, []).append(start)
    return found


def _goes_outside(use: MessageUse) -> bool:
    return use.service is not None and (use.service.external or use.service.phantom)


def _nobody(command: Message, requests: list[MessageUse]) -> Finding:
    first, *others = requests
    asked = f"`{first.service.name}` does not handle" if first.service is not None else "nobody handles"
    return Finding(
        primary=Label(first.span, "has no receiver"),
        message=f"{asked} the {command.kind} `{command.name}` that is sent to it"
        if first.service is not None
        else f"{asked} the {command.kind} `{command.name}`",
        related=shown([Label(use.span, "sent here, too") for use in others]),
        help=f"let a service say `handles {command.name}`, or send it to the `external service` that takes it",
        silence=f"`handles {command.name}` in a service, or an `external service` as the receiver",
        subject=f"{command.kind} {command.name}",
    )


def _several(command: Message, services: list[Service], handlers: list[Process]) -> Finding:
    return Finding(
        primary=Label(command.place, "has several receivers"),
        message=f"{listed(service.name for service in services)} all handle the {command.kind} `{command.name}`"
        if len(services) > 2
        else f"both {listed(service.name for service in services)} handle the {command.kind} `{command.name}`",
        related=shown([Label(process.place, f"handled by `{process.service.name}`") for process in handlers]),
        help="let one of them handle it and publish an event that the others react to",
        silence="`scatter` in its body, if all of them answer and the sender puts the answers together",
        subject=f"{command.kind} {command.name}",
    )


def _wrong_addressees(
    command: Message, service: Service, requests: list[MessageUse], handlers: list[Process]
) -> Iterator[Finding]:
    wrong: dict[Service, list[MessageUse]] = {}
    for use in requests:
        if use.service is not None and use.service is not service and not _goes_outside(use):
            wrong.setdefault(use.service, []).append(use)
    for asked in sorted(wrong, key=lambda one: one.name):
        first, *others = wrong[asked]
        yield Finding(
            primary=Label(first.span, f"`{asked.name}` does not handle it"),
            message=f"the {command.kind} `{command.name}` is sent to `{asked.name}`, but `{service.name}` handles it",
            related=shown(
                [
                    *(Label(use.span, "sent there, too") for use in others),
                    *(Label(process.place, "handled here") for process in handlers),
                ]
            ),
            help=f"send it to `{service.name}`",
            silence=f"`handles {command.name}` in service `{asked.name}`",
            fix=_redirect(wrong[asked], asked, service),
            subject=f"{command.kind} {command.name} / {asked.name}",
        )


def _redirect(uses: list[MessageUse], asked: Service, service: Service) -> Fix | None:
    """Put the other service before the dot, where it stands there by its plain name."""
    edits = []
    for use in uses:
        text = use.span.text
        if not text.startswith(f"{asked.name}.") or not service.name.replace("-", "_").isidentifier():
            return None
        edits.append(Edit(use.span, service.name + text.removeprefix(asked.name)))
    return Fix(f"send it to `{service.name}`", tuple(edits))
