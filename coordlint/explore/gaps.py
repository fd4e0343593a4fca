"""What a run never comes to although it rests, and what a handler does twice for one message: the runs that show it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from coordlint.explore.space import Move, Step
from coordlint.explore.watch import AGAIN, NEITHER, ONLY_FIRST, sources

if TYPE_CHECKING:
    from coordlint.explore.scene import Compiled
    from coordlint.explore.search import Search
    from coordlint.finding import Gap, Twice
    from coordlint.system import Process

LOSSES = frozenset({"lose", "park"})

DECIDING = {"lost": LOSSES, "torn": frozenset({"publish"})}
"""The faults that can decide a gap where not any may; others need not be looked at."""


class Way(NamedTuple):
    """The moves to what was asked for, each with the state before it.

    Attributes:
        path: the moves.
        faults: how many of them are faults.
        refusals: how many of them end a process in failure before the fault, although nobody has asked for that.
    """

    path: tuple[tuple[int, Move], ...]
    faults: int
    refusals: int

    @property
    def length(self) -> tuple[int, int, int]:
        """What makes one better to show than another: fewer faults, then fewer refusals, then fewer moves."""
        return self.faults, self.refusals, len(self.path)


def left_open(compiled: Compiled, search: Search, observer: int, gap: Gap) -> Way | None:
    """A shortest run that rests with a gap.

    Where a fault has to decide it, every run without it would have come to what is missing, from the state in which it happens.

    Args:
        compiled: the scene with an observer of the two groups of the gap.
        search: of that scene, complete without faults at least.
        observer: its component.
        gap: what is asked.
    """
    space = search.space
    open_ = ONLY_FIRST if gap.done else NEITHER
    bad = {state for state in search.terminals if space.local(state, observer) == open_}
    if not bad or search.complete < 0:
        return None
    if gap.by == "any":
        calm = [
            _way(compiled, search.path(one), gap.done)
            for one in search.terminals
            if one in bad and not search.layers[one]
        ]
        if calm:
            return min(calm, key=lambda way: way.length)
    leading = search.leading_to(bad)
    endless = set(search.livelocks())
    # From these, a run need not come to what is missing even without the fault.
    doubtful = leading | search.leading_to(endless) if endless else leading
    found: dict[tuple[str, int, int], Way] = {}
    for state, move in _faults(search, lambda move: decides(compiled, move, gap)):
        key = (move.what, move.component, move.kind)
        if key in found or state in doubtful or move.target not in leading:
            continue
        onwards = search.onwards(move.target, bad, leading)
        found[key] = _way(compiled, (*search.path(state), (state, move), *onwards))
    return min(found.values(), key=lambda way: way.length, default=None)


def done_again(compiled: Compiled, search: Search, observer: int, twice: Twice) -> Way | None:
    """A shortest run in which a handler does the same twice for one message.

    That the message is the same one is certain: it is the only one of its kind, and is taken again at once. So the answer does
    not depend on how many messages of the kind a loop sends.

    Args:
        compiled: the scene with an observer that counts the actions.
        search: of that scene, complete without faults.
        observer: its component.
        twice: what is asked.
    """
    space = search.space
    if search.complete < 0:
        return None
    what = "copy" if twice.by == "copy" else "publish"
    late = {kind for kind, statements in sources(compiled).items() if not twice.behind.isdisjoint(statements)}

    def fits(move: Move | Step) -> bool:
        kept = move.what == what and (what == "copy" or getattr(move.choice, "keep", False))
        return kept and _does(compiled, move, twice.actions)

    for state, move in _faults(search, fits):
        if space.count(state, move.kind) != 1:
            continue
        if not _knows_no_repetition(compiled, move):
            continue
        if twice.behind and not (
            move.choice and late.isdisjoint(move.choice.emits) and _does(compiled, move, twice.behind)
        ):
            continue
        after = _settled(search, move)
        for again in space.moves(after[-1][1].target):
            same = again.what == "deliver" and again.kind == move.kind and _does(compiled, again, twice.actions)
            if same and (not twice.behind or _does(compiled, again, twice.behind)):
                rest = _settled(search, again)
                if space.local(rest[-1][1].target, observer) == AGAIN:
                    start = (*search.path(state), (state, move), *after[1:])
                    return _way(compiled, (*start, (after[-1][1].target, again), *rest[1:]))
    return None


def _way(compiled: Compiled, path: Iterable[tuple[int, Move]], wanted: frozenset[int] = frozenset()) -> Way:
    path = tuple(path)
    actions = compiled.system.actions
    fault = next((number for number, (_, move) in enumerate(path) if move.price), len(path))
    notes = [compiled.notes[move.choice.note] for _, move in path[:fault] if move.choice and move.choice.note >= 0]
    failing = [note for note in notes if any(actions[number].kind == "failed" for number in note.trail)]
    return Way(path, sum(move.price for _, move in path), sum(wanted.isdisjoint(note.trail) for note in failing))


def _faults(search: Search, wanted: Callable[[Move | Step], bool]) -> Iterator[tuple[int, Move]]:
    """The wanted faults that can happen first, each with the state in which it does, the nearest states first."""
    for state, layer in search.layers.items():
        if layer:
            break
        fan = search.space.fan(state)
        numbers = [number for number, step in enumerate(fan.paid) if wanted(step)]
        differences = search.space.faults(fan, state) if numbers else []
        for step, difference in ((fan.paid[number], differences[number]) for number in numbers):
            yield state, Move(step.price, step.what, step.kind, step.component, step.choice, state + difference)


def _settled(search: Search, move: Move) -> list[tuple[int, Move]]:
    """A move and what observers are told of at once, each move with the state before it."""
    found = [(-1, move)]
    kinds = search.space.tables.kinds
    while True:
        state = found[-1][1].target
        told = [one for one in search.space.moves(state, calm=True) if one.kind >= 0 and kinds[one.kind].urgent]
        if not told:
            return found
        found.append((state, told[0]))


def decides(compiled: Compiled, move: Move | Step, gap: Gap) -> bool:
    """Whether a fault is one of those that the gap comes from."""
    actions = compiled.system.actions
    if gap.by == "lost":
        takers = {actions[number].process for number in gap.missing}
        named = move.what in LOSSES and compiled.tables.kinds[move.kind].name == gap.message
        return named and not takers.isdisjoint(_processes(compiled, move.component))
    if gap.by == "torn":
        return move.what == "publish" and _does(compiled, move, gap.done)
    return True


def _does(compiled: Compiled, move: Move | Step, group: frozenset[int]) -> bool:
    """Whether a move comes to one of some actions."""
    return (
        move.choice is not None
        and move.choice.note >= 0
        and not group.isdisjoint(compiled.notes[move.choice.note].trail)
    )


def _processes(compiled: Compiled, component: int) -> set[Process]:
    """Whose component it is."""
    if component in compiled.threads:
        return {compiled.threads[component].process}
    if component in compiled.parts:
        part = compiled.parts[component]
        deeds = {deed.process for deed in part.deeds if deed.process is not None}
        return deeds | {undoing.process for undoing in part.undoings}
    return {one.process for one in compiled.gatherings if one.number == component}


def _knows_no_repetition(compiled: Compiled, move: Move) -> bool:
    """Whether what takes the message is known not to recognise it when it comes again, also where the ledger does not count it."""
    part = compiled.parts.get(move.component)
    if part is None:
        return False
    name = compiled.tables.kinds[move.kind].name
    deeds = [deed for deed in part.deeds if deed.message.name == name]
    return bool(deeds) and not any(part.compiler.deduplicates(deed)[0] for deed in deeds)
