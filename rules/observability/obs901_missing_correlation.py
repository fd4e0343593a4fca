"""What belongs to one instance cannot be found again among the messages of all instances.

## Why

A process that waits for several messages, or for one in its midst, has to know which of them belong together. That is
what a correlation identifier is for: a field that is the same in all of them. Without it the payment of one customer meets the
reservation of another. And a flow of which only some messages carry the identifier cannot be followed by anybody.

A join or wait *by a field that a message does not have* cannot work and is an error. Where no field is named, the rule speaks under
the profile default only if the design correlates messages elsewhere (a `by`, or a `key`).

## Bad

```coord
event OrderPaid { payment_id: uuid }
event OrderReserved { order_id: uuid }
event OrderReady { order_id: uuid }

service Payments { emits OrderPaid }
service Inventory { emits OrderReserved }
service Shipping {
  on OrderPaid and OrderReserved within 10m by order_id { # OBS901
    emits OrderReady
  }
}
service Mail {
  on OrderReady {
    notifies
    acts "mails the buyer"
  }
}
```

```coord
event OrderPaid {
  key order_id
  order_id: uuid
}
event OrderReserved { order_id: uuid }
event OrderReady { order_id: uuid }

service Payments { emits OrderPaid }
service Inventory { emits OrderReserved }
service Shipping {
  on OrderPaid and OrderReserved within 10m { # OBS901
    emits OrderReady
  }
}
service Mail {
  on OrderReady {
    notifies
    acts "mails the buyer"
  }
}
```

## Good

```coord
event OrderPaid {
  key order_id
  order_id: uuid
}
event OrderReserved { order_id: uuid }
event OrderReady { order_id: uuid }

service Payments { emits OrderPaid }
service Inventory { emits OrderReserved }
service Shipping {
  on OrderPaid and OrderReserved within 10m by order_id {
    emits OrderReady
  }
}
service Mail {
  on OrderReady {
    notifies
    acts "mails the buyer"
  }
}
```

## Exempt

- Messages that declare no fields say nothing about them.
- Messages that all declare the same `key`: they are matched by it.
- The answer to a command that the process has sent itself: the engine matches it by its instance.
- `technical` events.

## References

- G. Hohpe, B. Woolf, Enterprise Integration Patterns, *Correlation Identifier*, *Aggregator*.
- S. Newman: Building Microservices, 2nd edition, O'Reilly 2021, on correlation in choreographed sagas.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from coordlint.analysis.calls import shown
from coordlint.finding import Finding, Fix, Label
from coordlint.rule import rule
from coordlint.source import Edit, Span

from ._words import PLACES, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.flows import FlowView
    from coordlint.design import Design
    from coordlint.system import Message, MessageUse, Process


class _Meeting(NamedTuple):
    """A place where messages have to be matched: a joined trigger or an await."""

    process: Process
    uses: tuple[MessageUse, ...]
    by: tuple[str, ...]
    span: Span
    verb: str


@rule("OBS901", "missing-correlation", "W/E/E", evidence="DA")
def check(design: Design) -> Iterator[Finding]:
    """Joins and waits, then flows."""
    meetings = list(_meetings(design))
    keyed = [message for message in design.system.messages.values() if message.fact("key").declared]
    spoken = design.strict or bool(keyed) or any(meeting.by for meeting in meetings)
    for meeting in meetings:
        if meeting.by:
            yield from _lacking(design, meeting)
        elif spoken and not _has_common_key(meeting) and not _is_answer(design, meeting):
            yield _unmatched(meeting)
    if keyed:
        for view in design.flows:
            yield from _mixed(view)


def _meetings(design: Design) -> Iterator[_Meeting]:
    for process in design.system.processes:
        for trigger in process.triggers:
            if trigger.mode == "all" and len(trigger.uses) > 1:
                yield _Meeting(process, trigger.uses, trigger.by, trigger.span, "joins")
        for action in design.system.actions_of(process, "await"):
            yield _Meeting(process, action.uses, action.by, action.span, "awaits")


def _lacking(design: Design, meeting: _Meeting) -> Iterator[Finding]:
    """A message that declares fields and not the one it is matched by."""
    for name in meeting.by:
        without = [use for use in meeting.uses if _lacks(design, use, name)]
        if not without:
            continue
        yield Finding(
            primary=Label(meeting.span, f"matched by `{name}`"),
            message=(
                f"{shown(meeting.process)} {meeting.verb} {listed(use.message.name for use in meeting.uses)} by "
                f"`{name}`, which {listed(use.message.name for use in without)} does not have"
            ),
            related=tuple(Label(use.message.place, f"no field `{name}`") for use in without)[:PLACES],
            help=f"add `{name}` to the message, or match by a field that all of them have",
            silence=f"a field `{name}` in each of the messages",
            subject=f"{meeting.process.path} / by {name}",
            levels="E/E/E",
        )


def _lacks(design: Design, use: MessageUse, name: str) -> bool:
    versions = design.versions.arriving(use)
    return any(version.fields and all(field.name != name for field in version.fields) for version in versions)


def _has_common_key(meeting: _Meeting) -> bool:
    keys = {use.message.fact("key").value for use in meeting.uses}
    return len(keys) == 1 and None not in keys


def _is_answer(design: Design, meeting: _Meeting) -> bool:
    """Whether each awaited event is published by who handles a command of this process, or is unknown to the design."""
    if meeting.verb != "awaits":
        return False
    asked = {action.message for action in design.system.actions_of(meeting.process, "send", "call")}
    for use in meeting.uses:
        producers = design.index.producers(use.message)
        if not use.message.phantom and not all(asked & _inputs(action.process) for action in producers):
            return False
    return True


def _inputs(process: Process) -> set[Message]:
    return {use.message for trigger in process.triggers for use in trigger.uses}


def _unmatched(meeting: _Meeting) -> Finding:
    names = listed(use.message.name for use in meeting.uses)
    key = _candidate(meeting)
    by = f"by {', '.join(key)}" if key else "by FIELD"
    return Finding(
        primary=Label(meeting.span, "of which instance?"),
        message=f"{shown(meeting.process)} {meeting.verb} {names} and does not say by which field they belong together",
        related=tuple(Label(use.message.place, _key_text(use.message)) for use in meeting.uses)[:PLACES],
        help=f"name the field that is the same in all of them: `{by}`",
        silence=f"`{by}`, or the same `key` at all of the messages",
        fix=_fix(meeting, key),
        subject=f"{meeting.process.path} / {meeting.verb} {', '.join(use.message.name for use in meeting.uses)}",
    )


def _key_text(message: Message) -> str:
    key = message.fact("key")
    return f"its key is `{', '.join(key.value)}`" if key.declared else "has no key"


def _candidate(meeting: _Meeting) -> tuple[str, ...]:
    """The one key that some of the messages declare and all of them have as fields; empty if there is none."""
    keys = {use.message.fact("key").value for use in meeting.uses} - {None}
    if len(keys) != 1:
        return ()
    key: tuple[str, ...] = keys.pop()
    fields = [{field.name for field in use.message.fields} for use in meeting.uses]
    return key if all(set(key) <= names for names in fields) else ()


def _fix(meeting: _Meeting, key: tuple[str, ...]) -> Fix | None:
    if not key or meeting.verb != "joins":
        return None
    clause = f"by {', '.join(key)}"
    end = Span(meeting.span.source, meeting.span.end, meeting.span.end)
    return Fix(f"match them `{clause}`", (Edit(end, f" {clause}"),))


def _mixed(view: FlowView) -> Iterator[Finding]:
    """A flow of several asynchronous hops of which some messages carry a key and others no field of that name."""
    published = {action.message: None for action in view.actions(("emit", "send"))}
    messages = [message for message in published if not message.phantom and not message.fact("technical").declared]
    keys = {name for message in messages for name in message.fact("key").value or ()}
    without = [
        message
        for message in messages
        if message.fields and message.fact("key").unknown and not keys & {field.name for field in message.fields}
    ]
    keyed = [message for message in messages if message.fact("key").declared]
    if len(messages) < 2 or not keyed or not without:
        return
    yield Finding(
        primary=Label(without[0].place, f"has none of `{', '.join(sorted(keys))}`"),
        message=f"{listed(message.name for message in without)} in flow `{view.flow.name}` cannot be matched with {listed(message.name for message in keyed)}",
        related=(
            *(Label(message.place, "has none of them, either") for message in without[1:PLACES]),
            Label(keyed[0].place, f"its key is `{', '.join(keyed[0].fact('key').value)}`"),
        ),
        help="carry the key of the flow in each of its messages",
        silence="a `key`, or a field of the same name as the key of the others",
        subject=f"flow {view.flow.name}",
        levels="W/W/E",
    )
