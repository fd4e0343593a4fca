"""Statements that may be a remedy: written into the source and tried like a changed fact.

Only what has an obvious place is proposed: a compensation for a step, a limit for a wait, a failure that is awaited as well, a
dead-letter channel whose messages are put back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from coordlint.source import Edit, Span
from coordlint.system import Message, MessageUse

if TYPE_CHECKING:
    from coordlint.explore.scene import Compiled
    from coordlint.explore.violation import Violation
    from coordlint.graph import Index
    from coordlint.system import Action, Channel, Process, Step

LIMIT = "1h"
"""How long a wait may last that has no limit yet; runs know no durations, so any would do."""

_AWAITS = re.compile(r"awaits\s+(?P<messages>[^{}#\n]*?)(?P<within>\s+within\s+\S+)?(?P<by>\s+by\s+[^{}#\n]+)?\s*")
"""An `awaits` without a block."""


class Amendment(NamedTuple):
    """A change of the source: what it does, for people, and the edits."""

    text: str
    edits: tuple[Edit, ...]


def amendments(index: Index, compiled: Compiled, one: Violation) -> Iterator[Amendment]:
    """What could be written against a violation.

    Args:
        index: of the design's system.
        compiled: the scene in which it was found.
        one: the violation.
    """
    if one.code in {"B1", "B11"}:
        steps = [step for process in compiled.scene.processes for step in process.steps if step.place == one.place]
        for step in steps:
            if not step.compensation:
                yield from _compensations(index, step)
    elif one.code in {"B2", "B13"}:
        for process in compiled.scene.processes:
            for action in index.system.actions_of(process, "await"):
                if action.span == one.place:
                    yield from _heard(index, compiled, one, action)
                    yield from _limited(action)
    elif one.code == "B16":
        for channel in _set_aside(index, compiled, one):
            text = f"`redrive` for what `{channel.name}` sets aside"
            yield from _written(text, _inserted(channel.span, "redrive"))


def _written(text: str, *edits: Edit | None) -> Iterator[Amendment]:
    """The amendment, if each of its edits has a place."""
    known = [edit for edit in edits if edit is not None]
    if len(known) == len(edits):
        yield Amendment(text, tuple(known))


def _inserted(block: Span, clause: str) -> Edit | None:
    """The edit that puts a clause at the end of a declaration's block, which is added where there is none."""
    source = block.source
    if not source.path.endswith(".coord"):
        return None
    if source.text[block.start : block.end].endswith("}"):
        # A comment may stand in the last line of the block: the clause begins a line of its own.
        return Edit(Span(source, block.end - 1, block.end - 1), f"\n{clause}\n")
    return Edit(Span(source, block.end, block.end), f" {{ {clause} }}")


# ------------------------------------------------------------------------------------------------ compensations


def _compensations(index: Index, step: Step) -> Iterator[Amendment]:
    """Undo a step: by the handler that is there for it, or by a new one where the step is done."""
    system = index.system
    for request in (system.actions[number] for number in step.actions):
        if request.kind not in {"call", "send"} or request.region != "main":
            continue
        ref = _written_as(request)
        for done in index.started.get(request.message, ()):
            undoing = [p for p in system.processes if p.service is done.service and _undoes(p, request.message)]
            for process in undoing:
                for use in (use for trigger in process.triggers for use in trigger.uses):
                    name = _local(use.message)
                    text = f"`compensate` {_called(step)} with `{use.message.name}`"
                    yield from _written(text, _undone_by(step, request, ref, name))
            if not undoing:
                yield from _new_compensation(step, request, done, ref)


def _new_compensation(step: Step, request: Action, done: Process, ref: str) -> Iterator[Amendment]:
    service, message = done.service, request.message
    if service.external or service.span.source is not request.span.source:
        return  # it is declared elsewhere, perhaps under other names
    old = _local(message)
    name = f"Undo{old[:1].upper()}{old[1:]}"
    start = service.span.start
    handler = f"handles {name} {{ compensates {ref}  idempotent  fences }}"
    yield from _written(
        f"a command that undoes `{message.name}`, to `compensate` {_called(step)}",
        Edit(Span(service.span.source, start, start), f"command {name}\n"),
        _inserted(service.span, handler),
        _undone_by(step, request, ref, name),
    )


def _undone_by(step: Step, request: Action, ref: str, name: str) -> Edit | None:
    """The edit that names what undoes a step, in the place of a `no compensation`."""
    where, dot, _ = ref.rpartition(".")
    clause = f"compensate {where}{dot}{name} {{ timeout {LIMIT}  attempts unlimited }}"
    denied = [fact for fact in (step.facts.get("compensate"), request.facts.get("compensate")) if fact is not None]
    for fact in denied:
        if fact.absent and fact.span is not None:
            return Edit(fact.span, clause)
    return _inserted(step.span, clause)


def _undoes(process: Process, message: Message) -> bool:
    fact = process.fact("compensates")
    return fact.declared and (fact.value.message if isinstance(fact.value, MessageUse) else fact.value) is message


def _written_as(request: Action) -> str:
    """How a call or send names its message, with the service in front."""
    return request.use.span.text.partition("@")[0].strip()


def _local(message: Message) -> str:
    return message.name.rpartition(".")[2]


def _called(step: Step) -> str:
    return f"step `{step.name}`" if step.name else step.label


# ------------------------------------------------------------------------------------------------ waits


def _limited(action: Action) -> Iterator[Amendment]:
    """A limit for a wait that has none: then it fails."""
    if action.within.declared:
        return
    names = " or ".join(use.message.name for use in action.uses)
    found = _AWAITS.fullmatch(action.span.text)
    if found is not None:
        at = action.span.start + found.end("messages")
        yield from _written(
            f"a limit for the wait: `awaits {names} within …`",
            Edit(Span(action.span.source, at, at), f" within {LIMIT}"),
        )


def _heard(index: Index, compiled: Compiled, one: Violation, action: Action) -> Iterator[Amendment]:
    """The failures on the way that nobody in the scene hears: one of them ends the wait, and the process fails."""
    found = _AWAITS.fullmatch(action.span.text)
    if found is None:
        return
    members = set(compiled.scene.processes)
    published: dict[Message, None] = {}
    for _, move in one.path:
        if move.choice is not None and move.choice.note >= 0:
            trail = (index.system.actions[number] for number in compiled.notes[move.choice.note].trail)
            published.update({act.message: None for act in trail if act.kind == "emit" and act.failure})
    awaited = {
        use.message for process in members for act in index.system.actions_of(process, "await") for use in act.uses
    }
    for message in published:
        if message in awaited or any(process in members for process in index.started.get(message, ())):
            continue
        if message.span.source is not action.span.source:
            continue
        limit = f" {found['within'].strip()} {{ fails }}" if found["within"] else ""
        arms = f"on {found['messages']} {{ }} on {message.name} {{ fails }}{limit}"
        yield from _written(
            f"await `{message.name}` as well, as a failure",
            Edit(action.span, f"awaits{found['by'] or ''} {{ {arms} }}"),
        )


def _set_aside(index: Index, compiled: Compiled, one: Violation) -> list[Channel]:
    """The channels whose dead-letter channel takes a message on the way."""
    found: dict[Channel, None] = {}
    keys = compiled.keys()
    for kind in (move.kind for _, move in one.path if move.what == "park"):
        said = keys[kind][1]
        message = index.system.actions[said].message if isinstance(said, int) else said
        assert isinstance(message, Message)
        own = (t.via for process in index.started.get(message, ()) for t in process.triggers if t.via is not None)
        for channel in (*own, message.channel):
            if channel is not None and channel.fact("dead_letter").declared:
                found[channel] = None
    return list(found)
