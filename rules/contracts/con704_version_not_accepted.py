"""A consumer accepts versions of a message that are not the ones published.

## Why

A consumer that pins a version and a publisher that has moved on do not meet: the message is rejected or misread, and usually the
publisher is the last to know. Which versions a consumer can read besides those it names depends on what the message promises
(`compatible`). A version that is `deprecated until` a day is no longer to be published after that day, as its consumers were told
to be gone by then.

## Bad

```coord
event OrderPlaced @1 { order_id: uuid }
event OrderPlaced @2 { order: string }
service Orders { emits OrderPlaced @2 }
service Billing {
  on OrderPlaced @1 { notifies } # CON704
}
```

## Good

```coord
event OrderPlaced @1 { order_id: uuid }
event OrderPlaced @2 { order: string }
service Orders { emits OrderPlaced @2 }
service Billing {
  on OrderPlaced @1..2 { notifies }
}
```

The consumer need not name a version that the message promises to keep readable.

```coord
event OrderPlaced @1 { order_id: uuid }
event OrderPlaced @2 {
  compatible forward
  order_id: uuid
  note: string
}
service Orders { emits OrderPlaced @2 }
service Billing {
  on OrderPlaced @1 { notifies }
}
```

## Exempt

- A consumer that pins no version, and a message that nobody in the design publishes.
- A version that the message promises to keep readable (if it breaks that promise, CON702 says so).

That something in between translates the versions has no word in the language: let the translator be a service.

## References

- Confluent documentation, "Schema Evolution and Compatibility": which side has to be upgraded first.
- G. Young, "Versioning in an Event Sourced System", 2017.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.compatibility import can_read
from coordlint.analysis.versions import is_readable, named, shown
from coordlint.finding import Finding, Fix, Label
from coordlint.rule import rule
from coordlint.source import Edit
from coordlint.versions import in_range

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.delivery import Arrival
    from coordlint.design import Design
    from coordlint.system import Action, Message, Version


@rule("CON704", "version-not-accepted", "E/E/E", evidence="D")
def check(design: Design) -> Iterator[Finding]:
    """One finding per consumer and message, and one per version that is published after its end."""
    for arrival in design.delivery.arrivals:
        pin, message = arrival.use.pin, arrival.use.message
        if pin is None or not named(arrival.use):
            continue
        sent = design.versions.publications(message)
        foreign = [one for one in sent if not in_range(one.number, pin) and not is_readable(message, pin, one)]
        if foreign:
            yield _not_accepted(design, arrival, pin, foreign, sent)
    if design.today is not None:
        today = design.today.isoformat()
        for message in design.system.messages.values():
            for version in message.versions:
                end = version.fact("deprecated")
                if end.declared and isinstance(end.value, str) and end.value < today:
                    actions = design.versions.publications(message).get(version, [])
                    if actions:
                        yield _past(message, version, actions)


def _not_accepted(
    design: Design, arrival: Arrival, pin: str, foreign: list[Version], sent: dict[Version, list[Action]]
) -> Finding:
    message, process = arrival.use.message, arrival.process
    newest = foreign[-1]
    wider = _wider(arrival, [*named(arrival.use), *foreign])
    mode = _promise(design, arrival, newest)
    publishers = [
        Label(action.span, f"`{action.process.service.name}` publishes {shown(one)}")
        for one in foreign
        for action in sent[one]
    ]
    return Finding(
        primary=Label(arrival.use.span, f"accepts `@{pin}` only"),
        message=f"`{process.name}` of `{process.service.name}` accepts `{message.name} @{pin}`, but {shown(newest)} is published",
        related=(*publishers[:4], Label(newest.place, f"{shown(newest)} is declared here")),
        notes=(mode,) if mode else (),
        help=f"accept it: `@{wider}`" if wider else "accept the version that is published",
        silence=f"a pin that contains {shown(newest)}, or a `compatible` that keeps it readable",
        fix=_fix(arrival, pin, wider),
        subject=f"{process.path} / {message.name}",
    )


def _promise(design: Design, arrival: Arrival, version: Version) -> str:
    """Whether the message could promise what the consumer needs."""
    accepted = named(arrival.use)
    newer = arrival.use.message.versions.index(version) > arrival.use.message.versions.index(accepted[-1])
    reader = accepted[-1] if newer else accepted[0]
    if not reader.fields or not version.fields:
        return ""
    readable = can_read(reader.fields, version.fields, design.system.types, version.name)
    word = "forward" if newer else "backward"
    if readable:
        return f"by its fields it could be read: `compatible {word}` would promise so"
    return f"by its fields it cannot be read as {shown(reader)} either"


def _wider(arrival: Arrival, versions: list[Version]) -> str:
    """The range from the oldest to the newest of the versions; empty if one of them has no number."""
    order = [version.number for version in arrival.use.message.versions if version in versions]
    return f"{order[0]}..{order[-1]}" if all(order) else ""


def _fix(arrival: Arrival, pin: str, wider: str) -> Fix | None:
    text = arrival.use.span.text
    if not wider or not text.endswith(f"@{pin}"):
        return None
    return Fix(f"accept `@{wider}`", (Edit(arrival.use.span, f"{text[: -len(pin)]}{wider}"),))


def _past(message: Message, version: Version, actions: list[Action]) -> Finding:
    end = version.fact("deprecated")
    assert end.span is not None
    return Finding(
        primary=Label(actions[0].use.span, "still published"),
        message=f"{shown(version)} is published, though it was deprecated until {end.value}",
        related=(Label(end.span, "the day is past"), *(Label(action.span, "here, too") for action in actions[1:4])),
        help="publish the version that replaces it, or give its consumers more time",
        silence="a later day behind `deprecated until`",
        subject=f"{message.kind} {message.name} @{version.number}",
        levels="W/E/E",
    )
