"""A handler or a key relies on a field that the message does not have, or may not have.

## Why

What a consumer reads is its half of the contract. A field that no published version contains is a null dereference at the first
message, and one that is only sometimes there is the same at the worst moment: the dashboard groups by a login that is never
filled in. The same holds for keys, by which messages are partitioned, put in order, or recognised when they come twice.

`uses-fields` names what a handler cannot do without; what it can do without does not belong there.

## Bad

```coord
event OrderPlaced {
  order_id: uuid
  amount: decimal
}
service Orders { emits OrderPlaced }
service Billing {
  on OrderPlaced {
    notifies
    uses-fields order_id, ammount # CON703
  }
}
```

```coord
event PolicySold {
  number: string
  agent: string?
}
service Policies { emits PolicySold }
service Dashboard {
  on PolicySold {
    notifies
    uses-fields number, agent # CON703
  }
}
```

## Good

```coord
event OrderPlaced {
  order_id: uuid
  amount: decimal
}
service Orders { emits OrderPlaced }
service Billing {
  on OrderPlaced {
    notifies
    uses-fields order_id, amount
  }
}
```

## Exempt

- A message that declares no fields says nothing about them.
- For a handler, a version that nobody publishes or that its pin (`on OrderPlaced @2`) leaves out.
- An optional field with a default; a field that is optional in a key is let pass.

Fields by which parts are matched (`awaits … by`, joins) are judged by OBS901. That something in between fills the field in has
no word in the language.

## References

- I. Robinson, "Consumer-Driven Contracts: A Service Evolution Pattern", 2006.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from coordlint.analysis.versions import shown
from coordlint.finding import Finding, Fix, Label
from coordlint.names import closest
from coordlint.rule import rule
from coordlint.source import Edit, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.system import Fact, Field, Message, Version


class _Reading(NamedTuple):
    """Somebody relies on fields of a message: who, in words, the fact that says so, the fields, and the versions read."""

    who: str
    fact: Fact
    fields: tuple[str, ...]
    message: Message
    versions: tuple[Version, ...]
    subject: str
    key: bool


class _Lack(NamedTuple):
    """A field that is relied on, and the version that does not have it, or may leave it out."""

    reading: _Reading
    name: str
    version: Version
    field: Field | None


@rule("CON703", "reads-unprovided-field", "E/E/E", evidence="D")
def check(design: Design) -> Iterator[Finding]:
    """One finding per message and field, at the first place that relies on it."""
    found: dict[tuple[Message, str, bool], list[_Lack]] = {}
    for reading in (*_handlers(design), *_keys(design), *_channels(design)):
        for name in dict.fromkeys(reading.fields):
            lack = _lack(reading, name)
            if lack is not None:
                found.setdefault((reading.message, name, lack.field is None), []).append(lack)
    for lacks in found.values():
        yield _finding(lacks)


# ------------------------------------------------------------------------------------------------ who relies on what


def _handlers(design: Design) -> Iterator[_Reading]:
    for arrival in design.delivery.arrivals:
        process = arrival.process
        if not arrival.starts:
            continue
        versions = design.versions.arriving(arrival.use)
        for name in ("uses_fields", "idempotent", "ordered_by"):
            fact = process.fact(name)
            if fact.declared and fact.value:
                who = f"`{process.name}` of `{process.service.name}`"
                key = name != "uses_fields"
                yield _Reading(who, fact, fact.value, arrival.use.message, versions, process.path, key)


def _keys(design: Design) -> Iterator[_Reading]:
    for message in design.system.messages.values():
        for version in message.versions:
            fact = version.fact("key")
            if fact.declared:
                subject = f"{message.kind} {message.name}"
                yield _Reading(f"the key of `{message.name}`", fact, fact.value, message, (version,), subject, True)


def _channels(design: Design) -> Iterator[_Reading]:
    for message in design.system.messages.values():
        for version in message.versions:
            channel = version.channel
            if channel is None or channel.phantom:
                continue
            fact = channel.fact("ordering")
            if fact.declared and isinstance(fact.value, tuple):
                who = f"the order of `{channel.name}`"
                yield _Reading(who, fact, fact.value, message, (version,), f"channel {channel.name}", True)


# ------------------------------------------------------------------------------------------------ judging


def _lack(reading: _Reading, name: str) -> _Lack | None:
    """The first version that does not have the field, or may leave it out; None if each that says what it has has it."""
    for version in reading.versions:
        if not version.fields:
            continue
        field = next((field for field in version.fields if field.name == name), None)
        if field is None or (field.optional and field.default is None and not reading.key):
            return _Lack(reading, name, version, field)
    return None


def _finding(lacks: list[_Lack]) -> Finding:
    reading, name, version, field = lacks[0]
    others = [(_word(one.reading.fact, name), one.reading.who) for one in lacks[1:]]
    labels = dict.fromkeys(Label(span, f"{who} relies on it, too") for span, who in others)
    verb = "does not have" if field is None else "may leave out"
    where = Label(version.place, "has no such field") if field is None else Label(field.span, "optional")
    return Finding(
        primary=Label(_word(reading.fact, name), "relied on here"),
        message=f"{reading.who} relies on `{name}`, which {shown(version)} {verb}",
        related=(where, *list(labels)[:4]),
        help=_help(version, name, field),
        silence=f"a field `{name}`, or a `{reading.fact.text.split(' ')[0]}` without it",
        fix=_fix(lacks) if field is None else None,
        subject=f"{reading.subject} / {name}",
        levels="" if field is None else "W/E/E",
    )


def _help(version: Version, name: str, field: Field | None) -> str:
    if field is not None:
        return "publish it always, give it a default, or leave it out of `uses-fields`"
    meant = _meant(version, name)
    return f"did you mean `{meant}`?" if meant is not None else f"publish it: `{name}: TYPE`"


def _meant(version: Version, name: str) -> str | None:
    return closest(name, [field.name for field in version.fields])


def _fix(lacks: list[_Lack]) -> Fix | None:
    """Correct a misspelt name wherever it stands."""
    meant = _meant(lacks[0].version, lacks[0].name)
    spans = dict.fromkeys(_word(one.reading.fact, one.name) for one in lacks)
    whole = {one.reading.fact.span for one in lacks}
    if meant is None or any(span in whole for span in spans) or any(meant in one.reading.fields for one in lacks):
        return None
    edits = tuple(Edit(span, meant) for span in spans)
    return Fix(f"rename `{lacks[0].name}` to `{meant}`", edits, safe=True)


def _word(fact: Fact, name: str) -> Span:
    """Where the clause names the field; the clause itself if the name cannot be found in it."""
    assert fact.span is not None
    found = re.search(rf'(?<![\w-])"?{re.escape(name)}"?(?![\w-])', fact.span.text)
    if found is None:
        return fact.span
    start = fact.span.start + found.start()
    return Span(fact.span.source, start, start + len(found[0]))
