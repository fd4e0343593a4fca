"""What a search has found, held against the properties: one violation for each cause, with the fewest faults it needs.

The properties B1 to B21 are numbered as in the catalogue of the verification; rules of the group `verified` put them into words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from coordlint.explore.parts import HUNG, LATE, STANDING, TWICE, TWICE_UNDONE, UNDONE, Part
from coordlint.explore.scene import Compiled
from coordlint.explore.search import Search
from coordlint.source import Span
from coordlint.system import Action, Flow, MessageUse, Step

if TYPE_CHECKING:
    from coordlint.analysis.sagas import Sagas
    from coordlint.explore.space import Move, Space
    from coordlint.explore.threads import Thread


class Violation(NamedTuple):
    """A property that does not hold.

    Attributes:
        code: `B1` to `B21`.
        subject: what it is about, for people; findings about the same subject have the same cause.
        faults: the least number of faults it needs.
        text: the fact in one sentence.
        damage: what it means in the end, in one sentence.
        place: the statement to look at.
        path: the moves that lead to it, each with the state before it.
        repeats: the moves that repeat for ever behind it.
    """

    code: str
    subject: str
    faults: int
    text: str
    damage: str
    place: Span
    path: tuple[tuple[int, Move], ...] = ()
    repeats: tuple[tuple[int, Move], ...] = ()


ON_THE_WAY = frozenset({"B7", "B8", "B9", "B10"})
"""Properties of single states; what follows from their violation in the end is the same finding."""


class Judge:
    """Judges the states of one compiled scene."""

    space: Space

    def __init__(self, compiled: Compiled, sagas: Sagas) -> None:
        self.compiled = compiled
        self.system = compiled.system
        self.sagas = sagas
        self.roots = {n: thread for n, thread in compiled.threads.items() if thread.parent is None}
        self.mandatory = {n: _mandatory(thread) for n, thread in self.roots.items()}
        self.gaps = {n: self._gaps(thread) for n, thread in self.roots.items()}
        self.deeds = {n: list(self._deeds(thread)) for n, thread in self.roots.items()}

    def all(self, search: Search) -> list[Violation]:
        """Every violation, the fewest faults first, one for each subject."""
        self.space = search.space
        missing = self._unreachable(search)
        if missing is not None:
            return [missing]
        found = [*self._hits(search), *self._ends(search), *self._endless(search)]
        found.sort(key=lambda one: (one.faults, len(one.path), one.code, one.subject))
        kept: dict[tuple[str, bool], Violation] = {}
        for one in found:
            on_the_way = one.code in ON_THE_WAY
            if on_the_way or (one.subject, True) not in kept:
                kept.setdefault((one.subject, on_the_way), one)
        return [*kept.values(), *self._dead(search)]

    # -------------------------------------------------------------------------------------------- ends

    def _ends(self, search: Search) -> Iterator[Violation]:
        seen: set[tuple[str, str]] = set()
        for state in search.terminals:
            faults = search.layers[state]
            for code, subject, text, damage, place in self.wrong(search.space.locals(state)):
                if (code, subject) in seen:
                    continue
                seen.add((code, subject))
                path = search.path(state)
                code, text = self._cause(code, text, path)
                yield Violation(code, subject, faults, text, damage, place, tuple(path))

    def wrong(self, locals_: tuple[int, ...]) -> Iterator[tuple[str, str, str, str, Span]]:
        """What is wrong with a vector of local states in which everything rests: code, subject, text, damage, place."""
        resting = True
        for number, thread in self.roots.items():
            where, action = thread.spots[locals_[number]].where
            if where in {"call", "await", "fork", "undoing", "arm"}:
                if where == "arm" and not self._goal_missing(locals_):
                    continue
                resting = False
                yield self._stuck(thread, where, action)
            elif where == "lost":
                standing = [name for name, _, code, _ in self._ledger(number, locals_) if code in STANDING]
                if standing:
                    text = f"{thread.name} forgets what it has done when its host crashes"
                    damage = f"{_listed(standing)} stay done, and nobody goes on or undoes them"
                    yield "B14", thread.name, text, damage, thread.process.place
            elif where == "failed":
                yield from self._half_undone(number, thread, locals_)
            elif where == "done":
                yield from self._half_done(number, thread, locals_)
        if resting and not self.roots and self._goal_missing(locals_):
            root = self.compiled.scene.root
            if isinstance(root, Flow) and root.success and root.failure:
                waits = self._gatherings(locals_)
                text = f"flow {root.name} can come to rest without success or failure"
                damage = f"flow {root.name} never ends" + (f": {waits[0]}" if waits else "")
                yield "B2", f"flow {root.name}", text, damage, root.place

    def _stuck(self, thread: Thread, where: str, number: int) -> tuple[str, str, str, str, Span]:
        if number < 0:
            names = [f"`{use.message.name}`" for use in thread.process.triggers[0].uses]
            text = f"{thread.name} can wait for ever for all of {_listed(names)}"
            return "B2", f"{thread.name} start", text, f"{thread.name} never starts", thread.process.place
        action = self.system.actions[number]
        what = _awaited(action, self.system.actions)
        text = f"{thread.name} can wait for ever for {what}"
        return "B2", f"{thread.name} waits {number}", text, f"{thread.name} never ends", action.span

    def _half_undone(
        self, number: int, thread: Thread, locals_: tuple[int, ...]
    ) -> Iterator[tuple[str, str, str, str, Span]]:
        if thread.process.fact("recovery").value == "forward":
            return
        for name, step, code, undoable in self._ledger(number, locals_):
            if code not in STANDING:
                continue
            damage = f"{thread.name} has failed, but {name} is still done and nobody will undo it"
            if step.fact("irreversible", self.system).declared or step.fact("pivot", self.system).declared:
                text = f"{thread.name} can go back after {name}, which cannot be undone"
                yield "B12", name, text, damage, step.place
            elif code == LATE:
                text = f"{name} can take effect after its compensation found nothing to undo"
                yield "B9", name, text, damage, step.place
            elif undoable or step in self.gaps[number]:
                text = f"{thread.name} can fail and leave {name} done"
                yield "B1", name, text, damage, step.place

    def _half_done(
        self, number: int, thread: Thread, locals_: tuple[int, ...]
    ) -> Iterator[tuple[str, str, str, str, Span]]:
        for name, step, code, _ in self._ledger(number, locals_):
            if step in self.mandatory[number] and code not in STANDING:
                state = "undone" if code == UNDONE else "not done"
                text = f"{thread.name} can succeed although {name} is {state}"
                yield (
                    "B1",
                    f"{thread.name} {name} missing",
                    text,
                    f"{thread.name} counts as done without {name}",
                    step.place,
                )

    def _goal_missing(self, locals_: tuple[int, ...]) -> bool:
        if self.compiled.goals is None:
            return True
        number, _ = self.compiled.goals
        return locals_[number] == 0

    def _gatherings(self, locals_: tuple[int, ...]) -> list[str]:
        found = []
        for part in self.compiled.gatherings:
            bits = part.states[locals_[part.number]]
            if any(bits) and not all(bits):
                names = [f"`{use.message.name}`" for use, bit in zip(part.uses, bits, strict=True) if not bit]
                found.append(f"{part.process.name} of {part.name} still waits for {_listed(names)}")
        return found

    # -------------------------------------------------------------------------------------------- ledgers

    def _ledger(self, number: int, locals_: tuple[int, ...]) -> Iterator[tuple[str, Step, str, bool]]:
        for name, step, part, index in self.deeds[number]:
            undoable = bool(step.compensation) or any(index in one.of for one in part.undoings)
            yield name, step, part.codes[locals_[part.number]][index], undoable

    def _deeds(self, thread: Thread) -> Iterator[tuple[str, Step, Part, int]]:
        """What the steps of a thread have done by others: name, step, participant, and its place in the ledger."""
        if thread.process.kind != "workflow":
            return
        for step in thread.process.steps:
            for number in step.actions:
                action = self.system.actions[number]
                if action.kind not in {"call", "send"} or action.region != "main":
                    continue
                for part in self.compiled.parts.values():
                    for index, deed in enumerate(part.deeds):
                        if deed.message is action.message and deed.tracked:
                            yield deed.name, step, part, index

    def _gaps(self, thread: Thread) -> set[Step]:
        if thread.process.kind != "workflow":
            return set()
        saga = self.sagas.saga(thread.process)
        found = {gap.step.step for gap in self.sagas.gaps(saga) if not gap.step.compensation.why}
        return found | {one.step.step for one in self.sagas.expiries(saga) if not one.step.compensation.why}

    # -------------------------------------------------------------------------------------------- causes

    def _cause(self, code: str, text: str, path: list[tuple[int, Move]]) -> tuple[str, str]:
        """The name of the cause, after the faults on the shortest way."""
        if code not in {"B1", "B2"}:
            return code, text
        whats = [move.what for _, move in path]
        threads = self.compiled.threads
        if any(move.what == "publish" and move.component in threads for _, move in path):
            return "B14", text
        if "publish" in whats and "the answer to" not in text:
            return "B13", text
        if "crash" in whats and any(
            threads[move.component].spots[move.choice.target].where[0] == "lost"
            for _, move in path
            if move.what == "crash" and move.choice is not None and move.component in threads
        ):
            return "B14", text
        if "park" in whats:
            return "B16", text
        if "overtake" in whats:
            return "B15", text
        if "drop" in whats:
            return "B5", text
        given_up = any(move.what in {"early", "late"} and "gives up" in self._text(move) for _, move in path)
        return ("B11" if code == "B1" and given_up else code), text

    def _text(self, move: Move) -> str:
        if move.choice is None or move.choice.note < 0:
            return ""
        return self.compiled.notes[move.choice.note].text

    # -------------------------------------------------------------------------------------------- on the way

    def _hits(self, search: Search) -> Iterator[Violation]:
        for (component, local), hit in search.hits.items():
            path = tuple(search.way(hit))
            if component in self.compiled.parts:
                yield from self._wrong_deed(component, local, hit.layer, path)
            elif component in self.compiled.threads:
                thread = self.compiled.threads[component]
                code = "B8" if hit.layer else "B7"
                text = f"{thread.name} can be started twice for the same case"
                damage = f"two instances of {thread.name} work on the same case"
                yield Violation(code, thread.name, hit.layer, text, damage, thread.process.place, path)
            else:
                note = self.compiled.notes[hit.move.choice.note] if hit.move.choice is not None else None
                if note is not None:
                    damage = "the declared order is broken"
                    yield Violation(
                        "B20", note.text, hit.layer, f"{note.text}, against the declared order", damage, note.span, path
                    )

    def _wrong_deed(
        self, component: int, local: int, faults: int, path: tuple[tuple[int, Move], ...]
    ) -> Iterator[Violation]:
        part = self.compiled.parts[component]
        before = part.codes[self._before(path[-1], component)]
        for deed, code, was in zip(part.deeds, part.codes[local], before, strict=True):
            if code == was:
                continue
            if code == TWICE:
                text = f"{deed.name} can be executed twice"
                damage = f"the effect of {deed.name} is there twice"
                yield Violation("B8" if faults else "B7", deed.name, faults, text, damage, deed.span, path)
            elif code == HUNG:
                text = f"{deed.name} can be executed after its compensation"
                damage = f"{deed.name} is done again after it was undone, and nobody will undo it"
                yield Violation("B9", deed.name, faults, text, damage, deed.span, path)
            elif code == TWICE_UNDONE:
                text = f"{deed.name} can be undone twice"
                damage = f"the compensation of {deed.name} takes effect twice"
                yield Violation("B10", deed.name, faults, text, damage, deed.span, path)

    def _before(self, step: tuple[int, Move], component: int) -> int:
        return self.space.local(step[0], component)

    def _endless(self, search: Search) -> Iterator[Violation]:
        for kind in sorted(search.space.overflowed):
            name = self.compiled.tables.kinds[kind].name
            text = f"`{name}` can be sent without end"
            yield Violation(
                "B4", f"storm {name}", 0, text, f"ever more `{name}` are under way", self.compiled.scene.place
            )
        states = search.livelocks() if not search.cut else []
        if states:
            state = states[0]
            cycle = search.cycle(state)
            scene = self.compiled.scene
            if cycle and all(move.what == "deliver" and move.component in self.compiled.parts for _, move in cycle):
                names = list(dict.fromkeys(f"`{self.compiled.tables.kinds[move.kind].name}`" for _, move in cycle))
                text, damage, code = f"{_listed(names)} cause each other for ever", "messages go round for ever", "B4"
            else:
                text, damage, code = f"{scene.name} can go on for ever without coming to an end", "it never ends", "B3"
            own = [m for _, m in cycle if m.component in self.compiled.threads] or [m for _, m in cycle]
            noted = [m.choice.note for m in own if m.choice is not None and m.choice.note >= 0]
            place = self.compiled.notes[noted[0]].span if noted else scene.place
            path = tuple(search.path(state))
            yield Violation(
                code, f"{scene.name} endless", search.layers[state], text, damage, place, path, tuple(cycle)
            )

    # -------------------------------------------------------------------------------------------- what never happens

    def _unreachable(self, search: Search) -> Violation | None:
        scene = self.compiled.scene
        if search.complete < 0:
            return None
        calm = [state for state, layer in search.layers.items() if layer == 0]
        if isinstance(scene.root, Flow) and scene.root.success is not None and self.compiled.goals is not None:
            number, sets = self.compiled.goals
            goals = scene.root.success
            wanted = range(len(goals.targets))
            seen = [sets[search.space.local(state, number)] for state in calm]
            if any((all if goals.mode == "all" else any)(n in one for n in wanted) for one in seen):
                return None
            names = [f"`{t.message.name}`" if isinstance(t, MessageUse) else f"`{t.name}`" for t in goals.targets]
            text = f"{scene.name} cannot reach {_listed(names, goals.mode == 'any')} even if nothing goes wrong"
        elif isinstance(scene.root, Flow):
            return None
        else:
            thread = next((t for t in self.roots.values() if t.process.workflow is scene.root), None)
            if thread is None or any(
                thread.spots[search.space.local(state, thread.number)].where[0] == "done" for state in calm
            ):
                return None
            if thread.number not in set(self.roots) or not scene.starts:
                return None
            text = f"{scene.name} cannot succeed even if nothing goes wrong"
        ends = [state for state in search.terminals if search.layers[state] == 0]
        path = tuple(search.path(ends[0])) if ends else ()
        return Violation("B21", scene.name, 0, text, "the good end does not exist", scene.place, path)

    def _dead(self, search: Search) -> Iterator[Violation]:
        if search.complete < 2 or search.cut:
            return
        passed: set[int] = set()
        for _, choice in search.fired.values():
            if choice.note >= 0:
                passed.update(self.compiled.notes[choice.note].trail)
        for thread in self.roots.values():
            if thread.process.kind != "workflow" or thread.process.start not in passed:
                continue
            for number in thread.process.actions:
                action = self.system.actions[number]
                if action.kind in {"call", "send", "emit"} and number not in passed:
                    name = f"`{' '.join(action.span.text.split())}`"
                    text = (
                        f"{name} of {thread.name} is never reached, whatever goes wrong up to {search.complete} faults"
                    )
                    yield Violation("B19", f"{thread.name} dead {number}", 0, text, "it never runs", action.span)
                    break


def _mandatory(thread: Thread) -> set[Step]:
    """The steps without which a workflow cannot end well: all ways to its end lead through them."""
    if thread.process.kind != "workflow":
        return set()
    actions = thread.actions
    kinds = {"ok", "next", "branch", "body", "exit"}
    found: set[Step] = set()
    for step in thread.process.steps:
        own = {n for n in step.actions if actions[n].kind in {"call", "send"}}
        if own and not _passes(thread, thread.process.start, own, kinds):
            found.add(step)
    return found


def _passes(thread: Thread, start: int, without: set[int], kinds: set[str]) -> bool:
    """Whether the end can be reached without those actions; every branch of a fork has to be passed."""
    actions = thread.actions
    inside: set[int] = set()
    for fork, branches in _all_forks(thread):
        if actions[fork].mode != "any":
            for branch in branches:
                if not _reaches(thread, branch.entry, branch.join, without, kinds):
                    inside.add(fork)
    return _reaches(thread, start, thread.process.actions[-1], without | inside, kinds)


def _all_forks(thread: Thread) -> list[tuple[int, list[Thread]]]:
    found = list(thread.branches.items())
    for branches in thread.branches.values():
        for branch in branches:
            found += _all_forks(branch)
    return found


def _reaches(thread: Thread, start: int, end: int, without: set[int], kinds: set[str]) -> bool:
    actions = thread.actions
    if start in without:
        return False
    seen, stack = {start}, [start]
    while stack:
        number = stack.pop()
        if number == end:
            return True
        for edge in actions[number].edges:
            target = edge.target
            block = edge.kind in {"failure", "timeout"} and actions[target].region in {"failure", "timeout", "fallback"}
            skip = edge.kind in {"failure", "timeout"} and actions[target].region == "main"
            if (edge.kind in kinds or block or skip) and target not in seen and target not in without:
                seen.add(target)
                stack.append(target)
    return False


def _awaited(action: Action, actions: list[Action]) -> str:
    if action.kind == "call":
        return f"the answer to `{action.message.name}`"
    if action.kind == "fork":
        return "its parallel branches"
    arms = [actions[edge.target] for edge in action.edges] if action.kind == "choice" else [action]
    return _listed([f"`{use.message.name}`" for arm in arms for use in arm.uses], any_=True)


def _listed(names: list[str], any_: bool = False) -> str:
    names = list(dict.fromkeys(names))
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {'or' if any_ else 'and'} {names[-1]}"
