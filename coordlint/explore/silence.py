"""Processes that wait for ever: because somebody who was asked never answers, and with what they hold meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from coordlint.explore.absence import WAITING
from coordlint.explore.obligations import awaited, listed
from coordlint.explore.parts import STANDING
from coordlint.explore.scene import Compiled
from coordlint.explore.search import Search
from coordlint.explore.space import Move
from coordlint.explore.story import lane
from coordlint.explore.violation import FOR_AN_ANSWER, Violation
from coordlint.source import Span
from coordlint.system import Action, Step, System

if TYPE_CHECKING:
    from coordlint.explore.parts import Part
    from coordlint.explore.threads import Thread


class Silence:
    """The part of a judge that looks at waits without an end."""

    compiled: Compiled
    system: System
    roots: dict[int, Thread]
    deeds: dict[int, list[tuple[str, Step, Part, int]]]

    def _ledger(self, number: int, locals_: tuple[int, ...]) -> Iterator[tuple[str, Step, str, bool]]:
        for name, step, part, index in self.deeds[number]:
            undoable = bool(step.compensation) or any(index in one.of for one in part.undoings)
            yield name, step, part.codes[locals_[part.number]][index], undoable

    def holding(self, locals_: tuple[int, ...], place: Span, damage: str) -> tuple[tuple[Span, ...], str]:
        """The steps of a process that waits for ever, or is lost, whose effect is there, so that nobody undoes them.

        Returns:
            Their places; and the damage with them, unless it is that they are there.
        """
        found: dict[Span, str] = {}
        waits = False
        for number, thread in self.roots.items():
            where = thread.spots[locals_[number]].where[0]
            if where in WAITING | {"lost"} and _contains(thread.process.span, place):
                waits = where != "lost"
                for name, step, code, _ in self._ledger(number, locals_):
                    if code in STANDING and not step.fact("pivot", self.system).declared:
                        found.setdefault(step.place, name)
                for name, step in self._carried_out(thread, locals_):
                    found.setdefault(step.place, name)
        names = list(dict.fromkeys(found.values()))
        if waits and names:
            stay, them = ("stays", "it") if len(names) == 1 else ("stay", "them")
            damage += f", {listed(names)} {stay} done, and nobody goes on or undoes {them}"
        return tuple(found), damage

    def _carried_out(self, thread: Thread, locals_: tuple[int, ...]) -> Iterator[tuple[str, Step]]:
        """The steps without a compensation that another process has done for a workflow, from its beginning to its end."""
        done = [one for n, one in self.roots.items() if one.spots[locals_[n]].where[0] == "done" and self._changes(one)]
        asked = {use.message for one in done for trigger in one.process.triggers for use in trigger.uses}
        for step in thread.process.steps if thread.process.kind == "workflow" else ():
            for action in (self.system.actions[number] for number in step.actions):
                if action.kind in {"call", "send"} and action.message in asked and not step.compensation:
                    yield f"`{action.message.name}`", step

    def _changes(self, thread: Thread) -> bool:
        """Whether a process does anything itself, or has others do it."""
        actions = self.system.actions_of(thread.process, "write", "act", "call", "send")
        return any(action.kind in {"write", "act"} or action.message.kind == "command" for action in actions)

    # -------------------------------------------------------------------------------------------- silence

    def omitted(self, search: Search) -> set[int]:
        """The states on whose shortest way somebody who was asked does not answer: what follows is told as that wait."""
        found: set[int] = set()
        for state in search.layers:
            if state in search.silent or search.came.get(state) in found:
                found.add(state)
        return found

    def unanswered(self, search: Search) -> Iterator[Violation]:
        """Waits without a limit for somebody who never answers; each with the fewest faults."""
        space, seen = search.space, set[int]()
        aims, known = set(search.terminals), set(search.free)
        for state, layer in search.layers.items():
            if layer >= search.complete:
                break
            fan = space.fan(state)
            for difference, step in zip(space.faults(fan, state), fan.paid, strict=True):
                move = Move(step.price, step.what, step.kind, step.component, step.choice, state + difference)
                if move.what != "omission" or move.kind in seen or state + difference not in search.layers:
                    continue
                onwards = search.onwards(state + difference, aims, known)
                end = onwards[-1][1].target if onwards else state + difference
                waiting = self._waiting_for(move.kind, space.locals(end)) if end in aims else None
                if waiting is None:
                    continue
                seen.add(move.kind)
                thread, action = waiting
                who = lane(self.compiled, move.component)
                text = (
                    f"{thread.name} can wait for ever for {awaited(action, self.system.actions)}: `{who}` never answers"
                )
                held, damage = self.holding(space.locals(end), action.span, f"{thread.name} never ends")
                path = (*search.path(state), (state, move), *onwards)
                subject = f"{thread.name} waits {action.id}{FOR_AN_ANSWER}"
                yield Violation("B2", subject, layer + 1, text, damage, action.span, path, held=held)

    def _waiting_for(self, kind: int, locals_: tuple[int, ...]) -> tuple[Thread, Action] | None:
        """Who waits where in the end, of the process that has sent a request; nobody if it has come to its end."""
        key = self.compiled.keys()[kind]
        process = self.system.actions[int(str(key[1]))].process
        threads = [thread for thread in self.compiled.threads.values() if thread.process is process]
        if not any(
            thread.parent is None and thread.spots[locals_[n]].where[0] in WAITING
            for thread in threads
            for n in (thread.number,)
        ):
            return None
        for thread in threads:
            where, number = thread.spots[locals_[thread.number]].where
            if where in {"call", "await"}:
                return thread, self.system.actions[number]
        return None


def waits_once(found: list[Violation]) -> list[Violation]:
    """The violations without the waits for an answer that can last for ever anyway."""
    stuck = {one.place for one in found if one.code == "B2" and not one.subject.endswith(FOR_AN_ANSWER)}
    return [one for one in found if one.place not in stuck or not one.subject.endswith(FOR_AN_ANSWER)]


def _contains(outer: Span, inner: Span) -> bool:
    """Whether a place lies within another one."""
    return outer.source.path == inner.source.path and outer.start <= inner.start and inner.end <= outer.end
