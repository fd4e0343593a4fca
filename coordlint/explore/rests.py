"""Flows that come to rest short of their goals: as designed, or because of a fault that decides it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from coordlint.explore.obligations import listed
from coordlint.explore.parts import DONE, HUNG, LATE, REFUSED, STANDING, TWICE, TWICE_UNDONE, UNDONE
from coordlint.explore.scene import Compiled
from coordlint.explore.search import Search
from coordlint.explore.violation import Violation
from coordlint.source import Span
from coordlint.system import Flow, MessageUse, System

if TYPE_CHECKING:
    from coordlint.explore.space import Move
    from coordlint.explore.threads import Thread

MOST_LOOKED_AT = 10_000
"""In a scene of more states only single faults are blamed for a flow that comes to rest."""

_ALIKE = {TWICE: DONE, LATE: DONE, HUNG: UNDONE, TWICE_UNDONE: UNDONE}
"""How far a flow has come does not depend on how often something was done."""


class Rests:
    """The part of a judge that looks at flows."""

    compiled: Compiled
    system: System
    roots: dict[int, Thread]

    def _text(self, move: Move) -> str:
        if move.choice is None or move.choice.note < 0:
            return ""
        return self.compiled.notes[move.choice.note].text

    def _goals(self, locals_: tuple[int, ...]) -> frozenset[int] | None:
        """Which of its goals a flow has reached; None if it declares none."""
        if self.compiled.goals is None:
            return None
        number, sets = self.compiled.goals
        return sets[locals_[number]]

    def is_forsaken(self, locals_: tuple[int, ...], *, waited_for: bool = False) -> bool:
        """Whether a flow rests without success or failure, and nothing else says so: no process waits, fails or refuses.

        Args:
            locals_: how everything rests.
            waited_for: a handler may still wait for an answer.
        """
        flow = self.compiled.scene.root
        if not isinstance(flow, Flow) or flow.success is None or self.compiled.goals is None or self.has_ended(locals_):
            return False
        for number, thread in self.roots.items():
            where = thread.spots[locals_[number]].where[0]
            if where == "call" and waited_for and thread.process.kind != "workflow":
                continue
            if where == "failed" and thread.process.kind != "workflow" and not self._is_entry(thread):
                continue
            if where not in {"idle", "done"} or (where == "done" and thread.process.workflow in flow.success.targets):
                return False
        return not any(
            code == REFUSED and deed.message in self.compiled.scene.starts
            for number, part in self.compiled.parts.items()
            for deed, code in zip(part.deeds, part.codes[locals_[number]], strict=True)
        )

    def _is_entry(self, thread: Thread) -> bool:
        """Whether the scene begins with it, so that the caller is told."""
        uses = [use.message for trigger in thread.process.triggers for use in trigger.uses]
        return any(message in self.compiled.scene.starts for message in uses)

    def _rest(self, locals_: tuple[int, ...]) -> tuple[object, ...]:
        """How everything rests, in words that do not depend on the numbers of the local states."""
        compiled = self.compiled
        told: list[object] = []
        for number, local in enumerate(locals_):
            if number in compiled.threads:
                told.append(compiled.threads[number].spots[local].where)
            elif number in compiled.parts:
                told.append(tuple(_ALIKE.get(code, code) for code in compiled.parts[number].codes[local]))
        told += [part.states[locals_[part.number]] for part in compiled.gatherings]
        return tuple(told)

    def _calm_rests(self, search: Search) -> Iterator[tuple[int, ...]]:
        for state in search.terminals:
            if search.layers[state] == 0:
                locals_ = search.space.locals(state)
                if self.is_forsaken(locals_):
                    yield locals_

    def _at_rest(self, search: Search) -> Iterator[Violation]:
        """How a flow comes to rest short of its goals: as designed, or by a fault; one violation for each cause."""
        flow = self.compiled.scene.root
        if not isinstance(flow, Flow) or flow.success is None:
            return
        space = search.space
        waiting = {s for s in search.terminals if self.is_forsaken(space.locals(s), waited_for=True)}
        if not waiting:
            return  # whatever else goes wrong, a process says so
        ends = {True: waiting, False: {s for s in waiting if self.is_forsaken(space.locals(s))}}
        for state in search.terminals:
            if search.layers[state] == 0 and state in ends[False]:
                yield from self.by_design(flow, space.locals(state), tuple(search.path(state)))
        # A fault is to blame where a goal can be reached in front of it and none behind it.
        open_ = search.leading_to({state for state in search.free if self.has_ended(space.locals(state))})
        ways = {waited_for: search.leading_to(aims) for waited_for, aims in ends.items()}
        seen: set[tuple[str, int, int]] = set()
        blamed = 0
        for state, layer in search.layers.items():
            if (
                layer >= search.complete
                or (blamed and layer >= blamed)
                or (layer and len(search.layers) > MOST_LOOKED_AT)
            ):
                break
            moves = space.moves(state) if state in open_ else []
            anyway = {id(move.choice) for move in moves if not move.price and move.choice and move.target not in open_}
            for move in moves:
                if id(move.choice) in anyway:
                    continue
                key = (move.what, move.component, move.kind)
                waited_for = move.what == "publish" and move.component in self.compiled.parts
                if not move.price or key in seen or move.target in open_ or move.target not in ways[waited_for]:
                    continue
                seen.add(key)
                blamed = layer + 1
                path = (
                    *search.path(state), (state, move), *search.onwards(move.target, ends[waited_for], ways[waited_for])
                )  # fmt: skip
                yield self.forsaken(flow, layer + 1, move, path)

    def has_ended(self, locals_: tuple[int, ...]) -> bool:
        """Whether a flow has reached its success or one of its failures."""
        flow = self.compiled.scene.root
        reached = self._goals(locals_)
        if not isinstance(flow, Flow) or flow.success is None or reached is None:
            return False
        wanted = range(len(flow.success.targets))
        success = (all if flow.success.mode == "all" else any)(number in reached for number in wanted)
        return success or any(number >= len(wanted) for number in reached)

    def by_design(
        self, flow: Flow, locals_: tuple[int, ...], path: tuple[tuple[int, Move], ...]
    ) -> Iterator[Violation]:
        """Without a fault: a business failure that nobody announces, or that leaves something done."""
        if self._has_nothing_to_do(path):
            return
        deeds = [
            (deed, code, part.name)
            for number, part in self.compiled.parts.items()
            for deed, code in zip(part.deeds, part.codes[locals_[number]], strict=True)
            if deed.process is not None
        ]
        refused = [one for one in deeds if one[1] == REFUSED]
        for no, _, by in refused:
            left = [f"{deed.name} of {name}" for deed, code, name in deeds if code in STANDING and name != by]
            if left and flow.failure is None:
                text = f"flow {flow.name} can end without success and leave {listed(left)} done: {by} refuses {no.name}"
                damage = f"nobody announces the failure, and nobody undoes {listed(left)}"
                yield Violation("B1", f"flow {flow.name} {no.name}", 0, text, damage, no.span, path)
        if flow.failure is not None:
            waits = self._gatherings(locals_)
            text = f"flow {flow.name} can come to rest without success or failure"
            text += f": {refused[0][2]} refuses {refused[0][0].name}" if refused else ""
            damage = self._short_of(flow) + (f": {waits[0]}" if waits else "")
            last = next((deed.span for deed, _, _ in refused), flow.place)
            subject = f"flow {flow.name} {refused[0][0].name if refused else ''}".strip()
            yield Violation("B2", subject, 0, text, damage, last, path)

    def _has_nothing_to_do(self, path: tuple[tuple[int, Move], ...]) -> bool:
        """Whether a `for each` had no items on the way: then there was nothing to come to an end."""
        for _, move in path:
            trail = self.compiled.notes[move.choice.note].trail if move.choice and move.choice.note >= 0 else ()
            for number in trail:
                loop = self.system.actions[number]
                if loop.kind == "loop" and loop.mode != "repeat" and trail.count(number) == 1:
                    body = {edge.target for edge in loop.edges if edge.kind == "body"}
                    if not body & set(trail):
                        return True
        return False

    def forsaken(self, flow: Flow, faults: int, move: Move, path: tuple[tuple[int, Move], ...]) -> Violation:
        """A flow that comes to rest because of a fault, under the name of that fault."""
        name = self.compiled.tables.kinds[move.kind].name if move.kind >= 0 else ""
        code = {"publish": "B13", "park": "B16", "overtake": "B15", "crash": "B14"}.get(move.what, "B2")
        what = {
            "publish": f"the service crashes before `{name}` has all its consequences",
            "park": f"`{name}` is set aside",
            "lose": f"`{name}` is lost",
            "forget": f"the broker restarts, and `{name}` is gone",
            "omission": f"nobody answers `{name}`",
            "overtake": f"`{name}` comes too early",
        }.get(move.what, self._text(move))
        end = "without success or failure" if flow.failure is not None else "without success"
        text = f"flow {flow.name} can come to rest {end}: {what}"
        damage = f"{self._short_of(flow)}, and nobody is told"
        place = self._home(move.component)
        subject = f"flow {flow.name} {move.what} {self.compiled.tables.components[move.component].name} {name}"
        return Violation(code, subject, faults, text, damage, place, path)

    def _short_of(self, flow: Flow) -> str:
        """What a flow does not come to, in the words of the design."""
        ends = []
        for goal in (flow.success, flow.failure):
            if goal is not None:
                names = [f"`{t.message.name}`" if isinstance(t, MessageUse) else f"`{t.name}`" for t in goal.targets]
                ends.append(listed(names, any_=goal.mode != "all"))
        return f"flow {flow.name} {'comes neither to' if len(ends) > 1 else 'never comes to'} {' nor to '.join(ends)}"

    def _home(self, component: int) -> Span:
        """Where the process of a component stands."""
        if component in self.compiled.threads:
            return self.compiled.threads[component].process.place
        if component in self.compiled.parts:
            part = self.compiled.parts[component]
            return part.deeds[0].span if part.deeds else part.undoings[0].process.place
        return next((one.process.place for one in self.compiled.gatherings if one.number == component),
                    self.compiled.scene.place)  # fmt: skip

    def _gatherings(self, locals_: tuple[int, ...]) -> list[str]:
        found = []
        for part in self.compiled.gatherings:
            bits = part.states[locals_[part.number]]
            if any(bits) and not all(bits):
                names = [f"`{use.message.name}`" for use, bit in zip(part.uses, bits, strict=True) if not bit]
                found.append(f"{part.process.name} of {part.name} still waits for {listed(names)}")
        return found
