"""Two versions of a message break the compatibility that it promises.

## Why

Publishers and consumers are never upgraded at one moment, and old messages stay in channels and archives. `compatible` says who
must be able to read what:

| mode | promise | allowed | upgrade first |
|---|---|---|---|
| `backward` | the new version reads old data | remove fields, add optional ones | consumers |
| `forward` | the old version reads new data | add fields, remove optional ones | publishers |
| `full` | both | add and remove optional fields | in any order |
| `none` | nothing | everything | all at once |

A field with `?` or a default is optional. A type may change where the reader's one is wider (int, long, float, double, …). A
reader that does not know an enum symbol fails unless the field has a default, so that adding a symbol breaks forward and removing
one breaks backward. A rename is a removal and an addition. `transitive` demands the same against all earlier versions.

## Bad

```coord
event OrderPlaced @1 { order_id: uuid }
event OrderPlaced @2 {
  compatible backward
  order_id: uuid
  tax_id: string # CON702
}
service Orders { emits OrderPlaced @2 }
service Billing { on OrderPlaced @1..2 { notifies } }
```

```coord
event OrderPlaced @1 {
  order_id: uuid
  total: decimal
}
event OrderPlaced @2 { # CON702
  compatible forward
  order_id: uuid
}
service Orders { emits OrderPlaced @2 }
service Billing { on OrderPlaced @1..2 { notifies } }
```

## Good

```coord
event OrderPlaced @1 { order_id: uuid }
event OrderPlaced @2 {
  compatible backward
  order_id: uuid
  tax_id: string?
}
service Orders { emits OrderPlaced @2 }
service Billing { on OrderPlaced @1..2 { notifies } }
```

## Exempt

- A message without `compatible`, and versions of which one declares no fields.
- Versions on different channels: their readers never meet each other's data.

That a consumer knows a field by an old name (an alias) has no word in the language.

## References

- Confluent documentation, "Schema Evolution and Compatibility": the modes, their directions, and the order of upgrades.
- Apache Avro specification, "Schema Resolution": defaults, promotions, enum defaults.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from coordlint.analysis.compatibility import breaks, shown_type
from coordlint.analysis.versions import shown
from coordlint.finding import Finding, Fix, Label
from coordlint.rule import rule
from coordlint.source import Edit, Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.compatibility import Break, Obstacle
    from coordlint.design import Design
    from coordlint.system import Field, Message, Version


@rule("CON702", "incompatible-evolution", "E/E/E", evidence="D")
def check(design: Design) -> Iterator[Finding]:
    """One finding per version that breaks the promise."""
    for message in design.system.messages.values():
        if len(message.versions) < 2:
            continue
        by_newer: dict[Version, list[Break]] = {}
        for broken in breaks(message, design.system.types):
            by_newer.setdefault(broken.newer, []).append(broken)
        for newer, found in by_newer.items():
            yield _finding(message, newer, found)


def _finding(message: Message, newer: Version, found: list[Break]) -> Finding:
    pairs = [(broken, obstacle) for broken in found for obstacle in broken.obstacles]
    first, obstacle = pairs[0]
    sentences = list(dict.fromkeys(_sentence(*pair) for pair in pairs))
    promise = first.mode.span
    return Finding(
        primary=Label(_place(newer, first, obstacle), "breaks the promise"),
        message=sentences[0],
        related=(
            *((Label(promise, "the promise"),) if promise is not None else ()),
            Label(obstacle.reader.span, f"`{shown_type(obstacle.reader)}` for the reader"),
            *((Label(obstacle.writer.span, f"`{shown_type(obstacle.writer)}` as written"),) if obstacle.writer else ()),
            Label(first.older.place, f"{shown(first.older)} is declared here"),
        ),
        notes=tuple(sentences[1:]),
        help=_help(first, obstacle),
        silence="`compatible none`, or a channel of its own for the new version",
        fix=_fix(pairs),
        subject=f"{message.kind} {newer.name} @{newer.number}",
    )


def _sentence(broken: Break, obstacle: Obstacle) -> str:
    tense = "was" if broken.direction == "backward" else "is"
    what = f"{shown(broken.reader)} cannot read what {tense} written as {shown(broken.writer)}"
    return f"{what}: `{obstacle.path}` {obstacle.reason}"


def _place(newer: Version, broken: Break, obstacle: Obstacle) -> Span:
    """The field in the new version if it has one of its own there, else the version."""
    field = obstacle.reader if broken.direction == "backward" else obstacle.writer
    return field.span if field is not None and field in newer.fields else newer.place


def _help(broken: Break, obstacle: Obstacle) -> str:
    if obstacle.kind == "symbols":
        return "give the field of the reader a default for the symbols it does not know"
    if obstacle.kind == "type":
        return "keep the type, or add a field with the new one beside it"
    if broken.direction == "backward":
        return f"make it optional (`{obstacle.path}: {obstacle.reader.type}?`), or give it a default"
    return f"keep `{obstacle.path}`, or publish a version that no longer promises this on a channel of its own"


def _fix(pairs: list[tuple[Break, Obstacle]]) -> Fix | None:
    """Make the required fields of the new version optional, if that is all there is to mend."""
    edits: dict[Edit, None] = {}
    for broken, obstacle in pairs:
        optional = obstacle.kind in {"missing", "optional"} and broken.direction == "backward"
        edit = _optional(obstacle.reader) if optional else None
        if edit is None:
            return None
        edits[edit] = None
    return Fix("make the field optional" if len(edits) == 1 else "make the fields optional", tuple(edits))


def _optional(field: Field) -> Edit | None:
    """An edit that puts a ``?`` behind the type; None if the type does not follow the name in the source."""
    source, end = field.span.source, field.span.end
    found = re.compile(r"[ \t]*:[ \t]*").match(source.text, end)
    type_ = shown_type(field)
    if found is None or not source.text.startswith(type_, found.end()):
        return None
    at = found.end() + len(type_)
    return Edit(Span(source, at, at), "?")
