"""A definition that nothing refers to.

## Why

What is defined and never used is either left over, and then it misleads whoever reads the design, or its use was forgotten or
misspelt. A topic that nobody publishes to, a command that nobody handles or sends and a service that nothing asks look like parts of
the system.

An event that is published and not heard, or heard and not published, is told by EVT201 and EVT202; one that is neither is
told here.

## Bad

```coord
broker Kafka
channel orders on Kafka { topic }
channel invoices on Kafka { topic } # HYG952
event OrderPlaced via orders

external service Shop { emits OrderPlaced }
service Mail {
  on OrderPlaced {
    notifies
    acts "mails the buyer"
  }
}
```

## Good

```coord
broker Kafka
channel orders on Kafka { topic }
event OrderPlaced via orders

external service Shop { emits OrderPlaced }
service Mail {
  on OrderPlaced {
    notifies
    acts "mails the buyer"
  }
}
```

## Exempt

- A definition with `tags planned`, and a message that is `deprecated`.
- A service that does or uses something itself: who never runs is EVT203's question.
- What another format declares (an included AsyncAPI document): it is written for others, too.
- What only an unused definition refers to is told with that one.
- A design that declares no behaviour yet, and one with syntax errors or unresolved names: what is missing may be the use.

## References

The linters of programming languages report unused imports and variables; EventCatalog's linter knows orphaned messages.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from coordlint.analysis.unused import unused
from coordlint.finding import Finding, Fix, Label
from coordlint.rule import rule
from coordlint.source import Edit, Span
from coordlint.system import Message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.unused import Definition, Unused
    from coordlint.design import Design

_LINE_BEFORE = re.compile(r"[ \t]*\Z")
_LINE_AFTER = re.compile(r"[ \t]*(?:(?:#|//)[^\n]*)?(?:\r?\n|\Z)")


@rule("HYG952", "unused-definition", "I/I/W", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """One finding per definition, those behind it in a note."""
    if not _says_what_happens(design):
        return
    found = [one for one in unused(design.system) if not _is_meant(one.definition)]
    removed: dict[Span, set[Span]] = {}
    for one in found:
        for definition in (one.definition, *one.only_by_it):
            for version in definition.versions if isinstance(definition, Message) else ():
                removed.setdefault(version.span, set()).add(version.place)
    for one in found:
        yield _finding(one, removed)


def _says_what_happens(design: Design) -> bool:
    """Whether there is behaviour at all, and no part of the design is missing or not understood."""
    if any(problem.code.startswith("SYN") or problem.code in {"REF001", "REF002"} for problem in design.problems):
        return False
    return bool(design.system.processes or design.system.flows)


def _is_meant(one: Definition) -> bool:
    if not one.place.source.path.endswith(".coord") and "." in one.place.source.path.rsplit("/", 1)[-1]:
        return True
    return "planned" in (one.fact("tags").value or ()) or one.fact("deprecated").declared


def _finding(one: Unused, removed: dict[Span, set[Span]]) -> Finding:
    name, kind = one.definition.name, _kind(one.definition)
    behind = ", ".join(f"{_kind(other)} `{other.name}`" for other in one.only_by_it)
    return Finding(
        primary=Label(one.definition.place, "never used"),
        message=f"nothing uses {kind} `{name}`",
        related=tuple(Label(other.place, f"only `{name}` refers to it") for other in one.only_by_it[:8]),
        notes=(f"then unused, too: {behind}",) if behind else (),
        help="remove it, or say where it is used",
        silence="`tags planned`",
        fix=_fix(one, removed),
        subject=f"{kind} {name}",
    )


def _kind(one: Definition) -> str:
    return one.kind if isinstance(one, Message) else type(one).__name__.lower()


def _fix(one: Unused, removed: dict[Span, set[Span]]) -> Fix:
    """Remove the declarations, or the name from a declaration of several messages."""
    edits: list[Edit] = []
    for definition in (one.definition, *one.only_by_it):
        if not isinstance(definition, Message):
            edits.append(Edit(_whole_lines(definition.span), ""))
            continue
        for version in definition.versions:
            names = list(_names(version.span, version.place))
            if len(names) < 2 or removed[version.span].issuperset(names):
                edits.append(Edit(_whole_lines(version.span), ""))
            else:
                edits.append(Edit(_of_list(names, names.index(version.place), removed[version.span]), ""))
    return Fix(f"remove `{one.definition.name}`", tuple(dict.fromkeys(edits)), safe=True)


_NAME = re.compile(r'"(?:\\.|[^"\\\n])*"|[A-Za-z_][A-Za-z0-9_-]*')
_COMMA = re.compile(r"\s*,\s*")


def _names(declaration: Span, one: Span) -> Iterator[Span]:
    """The names that a declaration of messages introduces, found around one of them."""
    text = declaration.source.text
    start = re.compile(r"(?:(?:public|private|external)\s+)?(?:event|command|query)\s+").match(text, declaration.start)
    at = start.end() if start else one.start
    while (name := _NAME.match(text, at)) is not None:
        yield Span(declaration.source, name.start(), name.end())
        comma = _COMMA.match(text, name.end(), declaration.end)
        if comma is None:
            return
        at = comma.end()


def _of_list(names: list[Span], at: int, removed: set[Span]) -> Span:
    """A name with the comma behind it; before it, if only removed names follow."""
    if all(name in removed for name in names[at:]):
        return Span(names[at].source, names[at - 1].end, names[at].end)
    return Span(names[at].source, names[at].start, names[at + 1].start)


def _whole_lines(span: Span) -> Span:
    """The span with its indentation, a comment behind it and the line end, if nothing else stands on its lines."""
    text = span.source.text
    before = _LINE_BEFORE.search(text, text.rfind("\n", 0, span.start) + 1, span.start)
    after = _LINE_AFTER.match(text, span.end)
    if before is None or after is None or before.start() != text.rfind("\n", 0, span.start) + 1:
        return span
    return Span(span.source, before.start(), after.end())
