"""Processes that wait for ever: because somebody who was asked never answers, and with what they hold meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from coordlint.explore.absence import WAITING
from coordlint.explore.obligations import awaited, listed
from coordlint.explore.parts import STANDING
from coordlint.explore.scene import Compiled
from coordlint.explore.search import Search
from coordlint.explore.space import Move
from coordlint.explore.story import lane
from coordlint.explore.violation import FOR_AN_ANSWER, Violation
from coordlint.source import Span
from coordlint.system import Process, Step, System

if TYPE_CHECKING:
    from coordlint.explore.parts import Part
    from coordlint.explore.threads import Thread


class Wait(NamedTuple):
    """A wait for an answer: the number of the thread, and the statement."""

    thread: int
    action: int


class Silence:
    """The part of a judge that looks at waits without an end."""

    compiled: Compiled
    system: System
    roots: dict[int, Thread]
    deeds: dict[int, list[tuple[str, Step, Part, int]]]
    explained: set[tuple[Process, Wait | None]]

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

    @cached_property
    def askers(self) -> dict[int, Process]:
        """By kind of request that somebody may never answer: the process that sends it."""
        keys = self.compiled.keys()
        kinds = [number for number, kind in enumerate(self.compiled.tables.kinds) if kind.loss == "omission"]
        return {number: self.system.actions[int(str(keys[number][1]))].process for number in kinds}

    def waiting(self, asker: Process, locals_: tuple[int, ...]) -> Wait | None:
        """Who waits where, of a process that has asked, where everything rests; nobody if it has come to its end."""
        threads = [thread for thread in self.compiled.threads.values() if thread.process is asker]
        if not any(one.parent is None and one.spots[locals_[one.number]].where[0] in WAITING for one in threads):
            return None
        for thread in threads:
            where, number = thread.spots[locals_[thread.number]].where
            if where in {"call", "await"}:
                return Wait(thread.number, number)
        return None

    def waits_in_vain(self, locals_: tuple[int, ...]) -> bool:
        """Whether a wait that is told as a silence lasts where everything rests: what else waits there is the same wait."""
        askers = dict.fromkeys(self.askers.values())
        return any((asker, self.waiting(asker, locals_)) in self.explained for asker in askers)

    def unanswered(self, search: Search) -> Iterator[Violation]:
        """Waits without a limit for somebody who never answers; for each request the one that needs the fewest faults."""
        if not self.askers:
            return
        space, known = search.space, set(search.free)
        aims = self.vain_ends((state, space.locals(state)) for state in search.terminals)
        ways = {one: search.leading_to(ends) for one, ends in aims.items()}
        best: dict[int, tuple[int, Wait, int, Move]] = {}
        for state, layer in search.layers.items() if aims else ():
            if layer >= search.complete:
                break
            fan = space.fan(state)
            for difference, step in zip(space.faults(fan, state), fan.paid, strict=True):
                if step.what != "omission" or (step.kind in best and best[step.kind][0] < layer):
                    continue
                for asker, wait in aims:
                    first = step.kind not in best or wait < best[step.kind][1]
                    if first and asker is self.askers[step.kind] and state + difference in ways[asker, wait]:
                        move = Move(step.price, step.what, step.kind, step.component, step.choice, state + difference)
                        best[step.kind] = layer, wait, state, move
        for kind, (layer, wait, state, move) in best.items():
            way = self.askers[kind], wait
            onwards = search.onwards(move.target, aims[way], known)
            path = (*search.path(state), (state, move), *onwards)
            yield self.vain(wait, layer + 1, path, move.component, space.locals(path[-1][1].target))

    def vain_ends(self, ends: Iterable[tuple[int, tuple[int, ...]]]) -> dict[tuple[Process, Wait], set[int]]:
        """Where those who may get no answer wait for ever, by process and wait, from the states of rest with their local states."""
        found: dict[tuple[Process, Wait], set[int]] = {}
        for state, locals_ in ends:
            for asker in dict.fromkeys(self.askers.values()):
                wait = self.waiting(asker, locals_)
                if wait is not None:
                    found.setdefault((asker, wait), set()).add(state)
        return found

    def vain(
        self, wait: Wait, faults: int, path: tuple[tuple[int, Move], ...], asked: int, locals_: tuple[int, ...]
    ) -> Violation:
        """A wait that lasts for ever.

        Args:
            wait: who waits where.
            faults: how many it takes.
            path: a run that leads there.
            asked: the component that does not answer.
            locals_: how everything rests behind it.
        """
        thread, action = self.compiled.threads[wait.thread], self.system.actions[wait.action]
        self.explained.add((thread.process, wait))
        who = lane(self.compiled, asked)
        text = f"{thread.name} can wait for ever for {awaited(action, self.system.actions)}: `{who}` never answers"
        held, damage = self.holding(locals_, action.span, f"{thread.name} never ends")
        subject = f"{thread.name} waits {action.id}{FOR_AN_ANSWER}"
        return Violation("B2", subject, faults, text, damage, action.span, path, held=held)


def waits_once(found: list[Violation]) -> list[Violation]:
    """The violations without the waits for an answer that can last for ever anyway."""
    stuck = {one.place for one in found if one.code == "B2" and not one.subject.endswith(FOR_AN_ANSWER)}
    return [one for one in found if one.place not in stuck or not one.subject.endswith(FOR_AN_ANSWER)]


def _contains(outer: Span, inner: Span) -> bool:
    """Whether a place lies within another one."""
    return outer.source.path == inner.source.path and outer.start <= inner.start and inner.end <= outer.end
