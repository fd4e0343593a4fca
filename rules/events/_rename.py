"""The fix of a near miss: one of two names goes, with its declaration."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from coordlint.finding import Fix
from coordlint.source import Edit, Span

if TYPE_CHECKING:
    from coordlint.design import Design
    from coordlint.system import Message

_EVENT = re.compile(r"((public|private|external)\s+)?event\b")
"""How a declaration begins in the language; a foreign document has other words for it."""


def merge_names(design: Design, subscribed: Message, published: Message) -> Fix | None:
    """Rename the less used of two events to the other and remove its declaration; the published name wins a tie.

    None where a place cannot be edited: a pinned version, a name with the prefix of an include, a foreign document, several
    declared versions. The fix is safe if the declaration that goes says nothing that is lost with it.
    """
    uses = {event: list(design.orphans.uses(event)) for event in (subscribed, published)}
    wrong, right = subscribed, published
    if len(uses[subscribed]) > len(uses[published]):
        wrong, right = published, subscribed
    spans = [use.span for use in uses[wrong]]
    if any(use.pin for use in uses[wrong]) or len(wrong.versions) != 1 or not _is_plain(right.place, right.name):
        return None
    if not all(_is_plain(span, wrong.name) for span in [*spans, wrong.place]):
        return None
    if not all(_EVENT.match(event.span.text) for event in (wrong, right)):
        return None
    removal = _removal(design, wrong)
    if removal is None:
        return None
    edits = (*(Edit(span, right.place.text) for span in dict.fromkeys(spans)), removal)
    return Fix(f"rename `{wrong.name}` to `{right.name}`", edits, safe=_says_nothing(wrong, right))


def _is_plain(span: Span, name: str) -> bool:
    """Whether the name stands there in full, without the prefix of an include."""
    return span.text.strip('"') == name


def _says_nothing(wrong: Message, right: Message) -> bool:
    version = wrong.versions[0]
    return (
        not version.facts
        and not version.fields
        and not wrong.title
        and version.channel in {None, right.channel}
        and wrong.visibility in {"internal", right.visibility}
    )


def _removal(design: Design, message: Message) -> Edit | None:
    """The edit that takes a declaration away, with its line if nothing else stands there."""
    version = message.versions[0]
    span, text = version.span, version.span.source.text
    shared = any(
        other is not version and other.span == span for one in design.system.messages.values() for other in one.versions
    )
    if shared:
        return _removal_from_list(version.place, span)
    start, end = span.start, span.end
    line = text.rfind("\n", 0, start) + 1
    rest = re.compile(r"[ \t]*(\r?\n|$)").match(text, end)
    if rest and not text[line:start].strip():
        return Edit(Span(span.source, line, rest.end()), "")
    return Edit(span, "")


def _removal_from_list(name: Span, clause: Span) -> Edit | None:
    text = name.source.text
    behind = re.compile(r"[ \t]*,[ \t]*").match(text, name.end, clause.end)
    if behind:
        return Edit(Span(name.source, name.start, behind.end()), "")
    before = re.compile(r"[ \t]*,[ \t]*$").search(text, clause.start, name.start)
    return Edit(Span(name.source, before.start(), name.end), "") if before else None
