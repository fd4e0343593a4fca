"""A service reacts to a private event of another bounded context.

## Why

A private event is an inner matter of its context: it is shaped like the tables behind it and changes with them. A consumer
elsewhere has tied itself to those inner workings, and the next refactoring breaks it without a warning, because nobody who
changes a private event thinks of anyone outside. What others may rely on is an event of its own, stable and published on
purpose.

## Bad

```coord
context Sales {
  private event OrderRowChanged { order_id: uuid } # CON705
  service Orders { emits OrderRowChanged }
}
context Logistics {
  service Shipping {
    on OrderRowChanged { notifies }
  }
}
```

## Good

```coord
context Sales {
  event OrderRowChanged { order_id: uuid }
  service Orders { emits OrderRowChanged }
}
context Logistics {
  service Shipping {
    on OrderRowChanged { notifies }
  }
}
```

## Exempt

- Consumers in the same context; services and events outside of any `context`.
- Workflows that start on such an event or await it: MIX406 speaks of them.

A translator between the contexts has no word in the language: let it be a service of the publishing context.

## References

- C. Richardson, Microservices Patterns: domain events inside a service, integration events between services.
- E. Evans, Domain-Driven Design, 2003: *Bounded Context*, *Anticorruption Layer*, *Published Language*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Finding, Fix, Label
from coordlint.rule import rule
from coordlint.source import Edit, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.system import Message, Process


@rule("CON705", "private-event-crosses-context", "W/W/E", evidence="D")
def check(design: Design) -> Iterator[Finding]:
    """One finding per event."""
    for event in design.system.events():
        home = event.context or _home(design, event)
        if event.visibility != "private" or not home:
            continue
        outside = [p for p in design.index.started.get(event, ()) if _is_outside(p, home)]
        if outside:
            yield _finding(event, home, outside)


def _home(design: Design, event: Message) -> str:
    """The context of the only service that publishes it, or an empty string."""
    owner = design.index.owner(event)
    return owner.context if owner is not None else ""


def _is_outside(process: Process, home: str) -> bool:
    return process.kind != "workflow" and process.service.context not in {"", home}


def _finding(event: Message, home: str, outside: list[Process]) -> Finding:
    first = outside[0].service
    return Finding(
        primary=Label(event.place, f"private to `{home}`"),
        message=f"`{first.name}` in `{first.context}` reacts to `{event.name}`, which is private to `{home}`",
        related=tuple(Label(p.place, f"`{p.service.name}` in `{p.service.context}`") for p in outside[:8]),
        help=f"publish an event for others to rely on, or make `{event.name}` one by leaving out `private`",
        silence="`public`, or no word for its visibility",
        fix=_fix(event),
        subject=f"event {event.name}",
    )


def _fix(event: Message) -> Fix | None:
    """Leave out ``private``, if the declaration begins with it."""
    span = event.span
    word = "private "
    if not span.text.startswith(word):
        return None
    return Fix("leave out `private`", (Edit(Span(span.source, span.start, span.start + len(word)), ""),))
