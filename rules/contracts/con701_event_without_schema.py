"""An event that other services rely on does not say what it contains.

## Why

An event is a contract with services that its publisher may not even know. Without declared fields nobody can tell whether a
change breaks a consumer, consumers guess from samples, and one of the commonest complaints about event-driven systems is born:
nobody dares to touch the payload. A `public` event has readers outside the design as well and needs a version on top, so that
old and new ones can live side by side for a while.

## Bad

```coord
event OrderPlaced { order_id: uuid }
event OrderPaid { order_id: uuid }
event OrderShipped # CON701
service Orders {
  emits OrderPlaced
  emits OrderPaid
  emits OrderShipped
}
service Billing {
  on OrderPlaced or OrderPaid { notifies }
  on OrderShipped { notifies  uses-fields order_id }
}
```

## Good

```coord
event OrderPlaced { order_id: uuid }
event OrderPaid { order_id: uuid }
event OrderShipped {
  order_id: string
}
service Orders {
  emits OrderPlaced
  emits OrderPaid
  emits OrderShipped
}
service Billing {
  on OrderPlaced or OrderPaid { notifies }
  on OrderShipped { notifies  uses-fields order_id }
}
```

## Exempt

- Events that are `private` or `external`, and those that only their own service reads.
- Under the profile default the rule speaks only if most events of the design that others rely on have fields (or versions).
- A version is asked of `public` events only, and of all events under the profile production.

## References

- R. Laigner et al., "An Empirical Study on Challenges of Event Management in Microservice Architectures", 2024: schema
  modelling and evolution are among the challenges that developers meet most.
- AsyncAPI specification: a message has a payload schema.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Finding, Fix, Label
from coordlint.rule import rule
from coordlint.source import Edit, Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from coordlint.design import Design
    from coordlint.system import Message, Process


@rule("CON701", "event-without-schema", "I/W/E", evidence="A")
def check(design: Design) -> Iterator[Finding]:
    """One finding per event."""
    shared = {event: readers for event in design.system.events() if (readers := _relied_on(design, event)) is not None}
    fields_expected = design.strict or _most(shared, _has_fields)
    version_expected = design.strict or _most((e for e in shared if e.visibility == "public"), _has_version)
    for event, readers in shared.items():
        versioned = event.visibility == "public" or design.profile == "production"
        no_fields = fields_expected and not _has_fields(event)
        no_version = version_expected and versioned and not _has_version(event)
        if no_fields or no_version:
            yield _finding(event, readers, no_fields=no_fields, no_version=no_version)


def _relied_on(design: Design, event: Message) -> list[Process] | None:
    """The consumers in services that do not publish the event; None if nobody else is meant to rely on it."""
    if event.visibility not in {"public", "internal"} or not event.versions:
        return None
    publishers = {action.process.service for action in design.index.producers(event)}
    readers = [process for process in design.index.consumers(event) if process.service not in publishers]
    return readers if readers or event.visibility == "public" else None


def _most(events: Iterable[Message], has: Callable[[Message], bool]) -> bool:
    """Whether more than half of the events have it."""
    answers = [has(event) for event in events]
    return 2 * sum(answers) > len(answers)


def _has_fields(event: Message) -> bool:
    return any(version.fields for version in event.versions)


def _has_version(event: Message) -> bool:
    return any(version.number for version in event.versions)


def _finding(event: Message, readers: list[Process], *, no_fields: bool, no_version: bool) -> Finding:
    lacks = "fields or a version" if no_fields and no_version else "fields" if no_fields else "a version"
    services = list(dict.fromkeys(reader.service.name for reader in readers))
    who = f"`{services[0]}` reads it" if len(services) == 1 else f"{len(services)} services read it"
    if not readers:
        who = "it is public"
    return Finding(
        primary=Label(event.place, "what is in it?"),
        message=f"`{event.name}` does not declare {lacks}, though {who}",
        related=tuple(Label(reader.place, f"`{reader.service.name}` relies on it") for reader in readers[:3]),
        help="declare its fields: `field: type`" if no_fields else f"give it a version: `event {event.name} @1`",
        silence="fields, or `private` if it is nobody else's business" if no_fields else "a version",
        fix=_fix(event, readers) if no_fields and not no_version else None,
        subject=f"event {event.name}",
    )


def _fix(event: Message, readers: list[Process]) -> Fix | None:
    """The fields that the consumers name, to be completed by the author."""
    names: dict[str, None] = {}
    for reader in readers:
        for name in ("uses_fields", "idempotent", "ordered_by"):
            names.update(dict.fromkeys(reader.fact(name).value or ()))
    span = event.span
    if not names or span.text.rstrip().endswith("}") or len(event.versions) > 1 or not _alone(event):
        return None
    lines = "\n".join(f"  {name}: string" for name in names)
    return Fix("declare the fields that are used", (Edit(Span(span.source, span.end, span.end), f" {{\n{lines}\n}}"),))


def _alone(event: Message) -> bool:
    """Whether the declaration introduces this event only, in a `.coord` file."""
    return event.span.source.path.endswith(".coord") and "," not in event.span.text
