"""What a search has found, held against the properties: one violation for each cause, with the fewest faults it needs.

The properties B1 to B21 are numbered as in the catalogue of the verification; rules of the group `verified` put them into words.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING

from coordlint.analysis.effects import entity_text
from coordlint.explore.obligations import awaited, listed, mandatory
from coordlint.explore.parts import HUNG, LATE, STANDING, TWICE, TWICE_UNDONE, UNDONE, Deed, Part
from coordlint.explore.rests import Rests
from coordlint.explore.scene import Compiled
from coordlint.explore.search import Search
from coordlint.explore.silence import Silence, waits_once
from coordlint.explore.story import lane
from coordlint.explore.violation import Violation, folded, kept
from coordlint.source import Span
from coordlint.system import Action, Flow, Message, MessageUse, Step

if TYPE_CHECKING:
    from coordlint.analysis.sagas import Sagas
    from coordlint.explore.model import Numbered
    from coordlint.explore.space import Move, Space
    from coordlint.explore.tables import Act, Row
    from coordlint.explore.threads import Thread


class Judge(Rests, Silence):
    """Judges the states of one compiled scene."""

    space: Space

    def __init__(self, compiled: Compiled, sagas: Sagas, calm: frozenset[tuple[object, ...]] = frozenset()) -> None:
        self.compiled = compiled
        self.calm = calm
        self.explained = set()
        self.system = compiled.system
        self.sagas = sagas
        self.roots = {n: thread for n, thread in compiled.threads.items() if thread.parent is None}
        self.mandatory = {n: mandatory(thread) for n, thread in self.roots.items()}
        self.gaps = {n: self._gaps(thread) for n, thread in self.roots.items()}
        self.deeds = {n: list(self._deeds(thread)) for n, thread in self.roots.items()}
        self.asked = {place: calls for thread in self.roots.values() for place, calls in _inquiries(thread)}

    def all(self, search: Search) -> list[Violation]:
        """Every violation, the fewest faults first, one for each subject."""
        self.space = search.space
        missing = self._unreachable(search)
        if missing is not None:
            return [missing]
        self.calm = frozenset(self._rest(one) for one in self._calm_rests(search))
        self.explained.clear()
        silences = list(self.unanswered(search))
        ends = [*self._hits(search), *self._ends(search), *self._endless(search), *silences]
        told = folded(waits_once(kept([*ends, *self._at_rest(search)])))
        return [*told, *self._dead(search), *self._orphans(search, told)]

    # -------------------------------------------------------------------------------------------- ends

    def _ends(self, search: Search) -> Iterator[Violation]:
        """What is wrong where everything rests, except what is told as a wait for somebody who never answers."""
        seen: set[tuple[str, str]] = set()
        silent: dict[tuple[int, ...], bool] = {}
        for state in search.terminals:
            faults, locals_ = search.layers[state], search.space.locals(state)
            vain = silent.setdefault(locals_, state in search.silent and self.waits_in_vain(locals_))
            for code, subject, text, damage, place in self.ended(locals_):
                if (code, subject) in seen or (vain and code == "B2"):
                    continue
                path = search.path(state)
                if place in self.asked and self.inquires((move for _, move in path), self.asked[place]):
                    continue
                seen.add((code, subject))
                code, text = self.cause(code, text, path, subject)
                held, damage = self.holding(locals_, place, damage)
                yield Violation(code, subject, faults, text, damage, place, tuple(path), held=held)

    # -------------------------------------------------------------------------------------------- how processes end

    def wrong(self, locals_: tuple[int, ...]) -> Iterator[tuple[str, str, str, str, Span]]:
        """What is wrong with a vector of local states in which everything rests: code, subject, text, damage, place.

        The code is `rest` where a flow has come to no end of its own and no process says so.
        """
        yield from self.ended(locals_)
        if self.is_forsaken(locals_) and self._rest(locals_) not in self.calm:
            yield "rest", self.compiled.scene.name, "", "", self.compiled.scene.place

    def ended(self, locals_: tuple[int, ...]) -> Iterator[tuple[str, str, str, str, Span]]:
        """What is wrong with how the processes have ended, as in `wrong`; each is judged with one entry of its ledger alone."""
        for number, thread in self.roots.items():
            where, action = thread.spots[locals_[number]].where
            if where in {"call", "await", "fork", "undoing", "arm"}:
                if where == "arm" and self._goals(locals_) not in {None, frozenset()}:
                    continue
                yield self._stuck(thread, where, action)
            elif where == "lost":
                standing = [name for name, _, code, _ in self._ledger(number, locals_) if code in STANDING]
                if standing:
                    text = f"{thread.name} forgets what it has done when its host crashes"
                    many = len(standing) > 1
                    damage = f"{listed(standing)} {'stay' if many else 'stays'} done, and nobody goes on or undoes "
                    damage += "them" if many else "it"
                    yield "B14", thread.name, text, damage, thread.process.place
            elif where == "failed":
                yield from self._half_undone(number, thread, locals_)
            elif where == "done":
                yield from self._half_done(number, thread, locals_)

    def _stuck(self, thread: Thread, where: str, number: int) -> tuple[str, str, str, str, Span]:
        if number < 0:
            names = [f"`{use.message.name}`" for use in thread.process.triggers[0].uses]
            text = f"{thread.name} can wait for ever for all of {listed(names)}"
            return "B2", f"{thread.name} start", text, f"{thread.name} never starts", thread.process.place
        action = self.system.actions[number]
        what = awaited(action, self.system.actions)
        text = f"{thread.name} can wait for ever for {what}"
        return "B2", f"{thread.name} waits {number}", text, self._never_ends(thread), action.span

    def _doubled(self, thread: Thread) -> tuple[str, str]:
        """The fact and the damage of a second start."""
        names = [f"`{use.message.name}`" for trigger in thread.process.triggers for use in trigger.uses]
        if thread.process.kind == "workflow" or not names:
            text = f"{thread.name} can be started twice for the same case"
            return text, f"two instances of {thread.name} work on the same case"
        text = f"{thread.name} can handle {listed(names, any_=True)} twice for the same case"
        return text, f"what {thread.name} does on {listed(names, any_=True)} is done twice"

    def _never_ends(self, thread: Thread) -> str:
        """What it means that a process is stuck: a service has other work, so it is said what it does not finish."""
        names = [f"`{use.message.name}`" for trigger in thread.process.triggers for use in trigger.uses]
        if thread.process.kind == "workflow" or not names:
            return f"{thread.name} never ends"
        return f"{thread.name} never finishes {listed(names, any_=True)}"

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

    def inquires(self, moves: Iterable[Move | Numbered], inquiries: frozenset[int]) -> bool:
        """Whether the service was asked what had become of a step; its answer is data, which no table knows."""
        notes = self.compiled.notes
        return any(
            not inquiries.isdisjoint(notes[move.choice.note].trail)
            for move in moves
            if move.choice is not None and move.choice.note >= 0
        )

    # -------------------------------------------------------------------------------------------- ledgers

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

    def cause(self, code: str, text: str, path: list[tuple[int, Move]], subject: str) -> tuple[str, str]:
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
        if "omission" in whats and code == "B2":
            who = next(lane(self.compiled, move.component) for _, move in path if move.what == "omission")
            return code, f"{text}: `{who}` never answers"
        ended = (self._text(move) for _, move in path if move.what in {"early", "late"})
        given_up = any("gives up" in words and subject in words for words in ended)
        return ("B11" if code == "B1" and given_up else code), text

    # -------------------------------------------------------------------------------------------- on the way

    def _hits(self, search: Search) -> Iterator[Violation]:
        for (component, local), hit in search.hits.items():
            path = tuple(search.way(hit))
            if component in self.compiled.parts:
                yield from self._wrong_deed(component, local, hit.layer, path)
            elif component in self.compiled.threads:
                thread = self.compiled.threads[component]
                if thread.spots[local].where[0] == "broken":
                    text, damage = self._text(hit.move), f"{thread.name} stops with an error in the midst of its work"
                    yield Violation("B5", f"{thread.name} broken", hit.layer, text, damage, thread.process.place, path)
                    continue
                code = "B8" if hit.layer else "B7"
                text, damage = self._doubled(thread)
                yield Violation(code, f"{thread.name} twice", hit.layer, text, damage, thread.process.place, path)
            else:
                note = self.compiled.notes[hit.move.choice.note] if hit.move.choice is not None else None
                store = self.compiled.stores.get(component)
                if note is not None and store is not None:
                    damage = f"what was written to `{store.name}` is gone, and the process goes on without it"
                    yield Violation("B14", note.text, hit.layer, note.text, damage, note.span, path)
                elif note is not None:
                    damage = f"{self.compiled.scene.name} breaks its promise: {note.text}"
                    yield Violation(
                        "B20", note.text, hit.layer, f"{note.text}, against the declared order", damage, note.span, path
                    )

    def _wrong_deed(
        self, component: int, local: int, faults: int, path: tuple[tuple[int, Move], ...]
    ) -> Iterator[Violation]:
        part = self.compiled.parts[component]
        before = part.codes[self._before(path[-1], component)]
        for index, (deed, code, was) in enumerate(zip(part.deeds, part.codes[local], before, strict=True)):
            if code == was:
                continue
            if code == TWICE:
                by = f" by {deed.process.service.name}" if deed.process and deed.message.kind == "event" else ""
                text = f"{deed.name} can be executed twice{by}"
                damage = f"the effect of {deed.name} is there twice{self._deed_text(deed)}"
                yield Violation("B8" if faults else "B7", deed.name, faults, text, damage, deed.span, path)
            elif code == HUNG:
                text = f"{deed.name} can be executed after its compensation"
                damage = f"{deed.name} is done again after it was undone, and nobody will undo it"
                yield Violation("B9", deed.name, faults, text, damage, deed.span, path)
            elif code == TWICE_UNDONE:
                text = f"{deed.name} can be undone twice"
                undoing = listed([f"`{one.message.name}`" for one in part.undoings if index in one.of])
                damage = f"{undoing} takes effect twice for one {deed.name}"
                yield Violation("B10", deed.name, faults, text, damage, deed.span, path)

    def _deed_text(self, deed: Deed) -> str:
        """What an action does, in the words of the design: its acts or, without any, what it writes."""
        if deed.process is None:
            return ""
        texts = [action.text for action in self.system.actions_of(deed.process, "act") if action.text]
        writes = [one for action in self.system.actions_of(deed.process, "write") for one in action.entities]
        if not texts and writes:
            texts = [f"it writes {listed([f'`{entity_text((one.store, one.entity))}`' for one in writes])}"]
        return f": {listed(texts)}" if texts else ""

    def _before(self, step: tuple[int, Move], component: int) -> int:
        return self.space.local(step[0], component)

    def _endless(self, search: Search) -> Iterator[Violation]:
        for kind in sorted(search.space.overflowed):
            name = self.compiled.tables.kinds[kind].name
            text = f"`{name}` can be sent without end"
            yield Violation(
                "B4", f"storm {name}", 0, text, f"ever more `{name}` are under way", self.compiled.scene.place
            )
        seen: set[Span] = set()
        for state in search.traps() if not search.cut else []:
            cycle = search.cycle(state)
            scene = self.compiled.scene
            own = [m for _, m in cycle if m.component in self.compiled.threads] or [m for _, m in cycle]
            noted = [m.choice.note for m in own if m.choice is not None and m.choice.note >= 0]
            place = self.compiled.notes[noted[0]].span if noted else scene.place
            places = {self.compiled.notes[note].span for note in noted}
            if not seen.isdisjoint(places):
                continue
            seen |= places
            if cycle and all(move.what == "deliver" and move.component in self.compiled.parts for _, move in cycle):
                names = list(dict.fromkeys(f"`{self.compiled.tables.kinds[move.kind].name}`" for _, move in cycle))
                text, code = f"{listed(names)} cause each other for ever", "B4"
                damage = f"{listed(names)} {'go' if len(names) > 1 else 'goes'} round for ever"
            else:
                text, code = f"{scene.name} can go on for ever without coming to an end", "B3"
                asked = [self.compiled.tables.kinds[move.kind] for _, move in cycle if move.kind >= 0]
                names = list(dict.fromkeys(f"`{kind.name}`" for kind in asked if kind.to in self.compiled.parts))
                damage = f"{scene.name} never ends" + (f", and {listed(names)} comes again and again" if names else "")
            words = " ".join(place.text.split())
            path = tuple(search.path(state))
            yield Violation(
                code, f"{scene.name} endless {words}", search.layers[state], text, damage, place, path, tuple(cycle)
            )

    # -------------------------------------------------------------------------------------------- what never happens

    def _unreachable(self, search: Search) -> Violation | None:
        scene = self.compiled.scene
        if search.complete < 0:
            return None
        calm = [state for state, layer in search.layers.items() if layer == 0]
        damage = "the good end does not exist"
        if isinstance(scene.root, Flow) and scene.root.success is not None and self.compiled.goals is not None:
            number, sets = self.compiled.goals
            goals = scene.root.success
            wanted = range(len(goals.targets))
            seen = [sets[search.space.local(state, number)] for state in calm]
            if any((all if goals.mode == "all" else any)(n in one for n in wanted) for one in seen):
                return None
            names = [f"`{t.message.name}`" if isinstance(t, MessageUse) else f"`{t.name}`" for t in goals.targets]
            text = f"{scene.name} cannot reach {listed(names, goals.mode == 'any')} even if nothing goes wrong"
            silent = [
                f"`{t.message.name}`" for t in goals.targets if isinstance(t, MessageUse) and not self._is_sent(t)
            ]
            if silent:
                damage = f"nothing that follows from its start sends {listed(silent, any_=True)}"
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
        return Violation("B21", scene.name, 0, text, damage, scene.place, path)

    def _is_sent(self, use: MessageUse) -> bool:
        """Whether any process of the scene sends or publishes a message."""
        return any(
            action.message is use.message
            for process in self.compiled.scene.processes
            for action in self.system.actions_of(process, "emit", "send", "call")
        )

    def _dead(self, search: Search) -> Iterator[Violation]:
        if search.complete < 2 or search.cut:
            return
        for thread, action in self.unreached(choice for _, choice in search.fired.values()):
            name = f"`{' '.join(action.span.text.split())}`"
            text = f"{name} of {thread} is never reached, whatever goes wrong up to {search.complete} faults"
            yield Violation("B19", f"{thread} dead {action.id}", 0, text, "it never runs", action.span)

    def unreached(self, choices: Iterable[Row | Act]) -> Iterator[tuple[str, Action]]:
        """The first statement of each workflow that sends or awaits something and that none of the moves passes (B19)."""
        passed: set[int] = set()
        emitted: set[int] = set(self.compiled.tables.initial)
        for choice in choices:
            emitted.update(choice.emits)
            if choice.note >= 0:
                passed.update(self.compiled.notes[choice.note].trail)
        for thread in self.roots.values():
            if thread.process.kind != "workflow" or thread.process.start not in passed:
                continue
            waits = [one for one in self.system.actions_of(thread.process, "choice") if one.mode == "await"]
            arms = {edge.target for one in waits for edge in one.edges}
            for number in thread.process.actions:
                action = self.system.actions[number]
                arm = action.kind == "await" and number in arms
                if arm and any(kind in emitted for use in action.uses for kind in self._arrivals(use.message)):
                    continue  # it comes, but never in time: that is B6
                speaks = arm or action.kind in {"call", "send", "emit"}
                if speaks and number not in passed and not self._is_idle(action):
                    yield thread.name, action
                    break

    def _is_idle(self, action: Action) -> bool:
        """Whether it undoes a step in front of the pivot: where nothing behind that step fails, it rightly never runs."""
        saga = self.sagas.saga(action.process)
        for one in saga.steps:
            if action.id in one.step.compensation:
                return one.kind != "pivot" and not one.after_pivot
        return action.region == "compensation"

    def _orphans(self, search: Search, told: list[Violation]) -> Iterator[Violation]:
        if search.cut:
            return
        rows = [rows for component in self.compiled.tables.components for rows in component.rows]
        useful = {kind for one in rows for kind, group in one.items() if any(id(row) in search.fired for row in group)}
        yield from self.orphans((choice for _, choice in search.fired.values()), useful, told)

    def orphans(
        self, choices: Iterable[Row | Act], useful: Collection[int], told: Iterable[Violation]
    ) -> Iterator[Violation]:
        """Messages for a process that never make a difference to it, on any run (B6).

        Args:
            choices: the rows and acts that occur.
            useful: the kinds of messages that make a difference.
            told: what goes wrong otherwise; what is named there is no orphan for no reason.
        """
        tables = self.compiled.tables
        blamed = " ".join(f"{one.text} {one.damage}" for one in told if one.code != "B19")
        seen: set[tuple[str, int]] = set()
        emitted = {*tables.initial, *(kind for choice in choices for kind in choice.emits)}
        for key, number in self.compiled.kinds.items():
            kind = tables.kinds[number]
            thread = self.compiled.threads.get(kind.to)
            if key[0] != "arrival" or thread is None or number not in emitted or (kind.name, kind.to) in seen:
                continue
            if number in useful or f"`{kind.name}`" in blamed:
                continue
            seen.add((kind.name, kind.to))
            text = f"`{kind.name}` never makes a difference to {thread.name}: it always comes when nothing waits for it"
            yield Violation(
                "B6", f"{thread.name} orphan {kind.name}", 0, text, "it is dropped", self._awaits(thread, kind.name)
            )

    def _arrivals(self, message: Message) -> list[int]:
        """The kinds by which a message comes to those who await it."""
        return [number for key, number in self.compiled.kinds.items() if key[0] == "arrival" and key[1] is message]

    def _awaits(self, thread: Thread, name: str) -> Span:
        """Where a process waits for a message."""
        for action in self.system.actions_of(thread.process, "await"):
            if any(use.message.name == name for use in action.uses):
                return action.span
        return thread.process.place


def _inquiries(thread: Thread) -> Iterator[tuple[Span, frozenset[int]]]:
    """The steps that ask the same service again when their limit expires: their places, and the questions."""
    actions = thread.actions
    for step in thread.process.steps:
        services = {
            actions[n].use.service for n in step.actions if actions[n].kind == "call" and actions[n].region == "main"
        }
        calls = frozenset(
            n
            for n in thread.process.actions
            if actions[n].kind == "call"
            and actions[n].region == "timeout"
            and actions[n].step is step
            and actions[n].use.service in services
        )
        if calls:
            yield step.place, calls
