"""Compiles a pair scene: the components of both runs side by side, and between them observers and locks of what they share.

Everything but the entity is there twice, as handlers work per key. A semantic lock is a component that requests pass on their
way to the handler: it lets the run that holds it pass and keeps the other waiting until the holder has ended, or refuses it if
the handler declares `fails`. Compensations always pass: they have to succeed, and may find that there is nothing to undo.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from coordlint.analysis.effects import Key, entity_text
from coordlint.explore.anomalies import ANOMALIES, START, WRONG, Anomaly, State, Touch, follow
from coordlint.explore.compiler import compile_scene
from coordlint.explore.half import Half, choices, lanes
from coordlint.explore.pairs import BY_VALUE, LOCK, declared
from coordlint.explore.scene import Compiled
from coordlint.explore.tables import Act, Component, Kind, Row, Rows, Tables

if TYPE_CHECKING:
    from coordlint.analysis.sagas import Sagas, SagaStep
    from coordlint.explore.pairs import Pair
    from coordlint.explore.parts import Part
    from coordlint.graph import Index


class Observer(NamedTuple):
    """An observer of the pair: what it looks for, at which entity, and which run (0 or 1) would be hurt."""

    anomaly: Anomaly
    entity: Key
    hurt: int


class Held(NamedTuple):
    """The state of a lock: who holds it (-1 for nobody), which runs have ended, and the requests that wait, in order."""

    holder: int = -1
    ended: tuple[bool, bool] = (False, False)
    waiting: tuple[int, ...] = ()


class Request(NamedTuple):
    """A kind by which a run asks a lock to let it pass.

    Attributes:
        run: 0 or 1.
        step: the step of the workflow.
        then: the kind that goes on when it is let pass.
        takes: the step takes the lock; otherwise it only heeds it.
        denied: the kind by which the handler learns that it has to refuse as the other run holds it; -1 if the request waits.
    """

    run: int
    step: SagaStep
    then: int
    takes: bool
    denied: int


@dataclass(slots=True)
class Coupled(Compiled):
    """A pair scene as tables.

    Attributes:
        halves: the two runs, each compiled alone.
        sizes: how many components each run has; the first run's come first, what both share last.
        owners: by kind: which run sends it.
        observers: by component number.
        locks: the entity and the states of each lock, by component number.
        requests: the requests to locks, by kind.
        gates: the first request to a lock for each kind that has to pass one.
        looks: the kinds of notes that only tell of reads.
        askers: for a request that is answered: the component that waits for the answer, and in which local states it does.
        declares: some step that touches a shared entity says how it is isolated.
        unknown: the steps that touch a shared entity and say nothing about isolation.
        mirror: what the other run's kinds and local states are called, if both run the same workflow.
    """

    halves: tuple[Compiled, ...] = ()
    sizes: tuple[int, int] = (0, 0)
    owners: list[int] = field(default_factory=list)
    observers: dict[int, Observer] = field(default_factory=dict)
    locks: dict[int, tuple[Key, list[Held]]] = field(default_factory=dict)
    requests: dict[int, Request] = field(default_factory=dict)
    gates: dict[int, int] = field(default_factory=dict)
    looks: set[int] = field(default_factory=set)
    askers: dict[int, tuple[int, frozenset[int]]] = field(default_factory=dict)
    declares: bool = False
    unknown: list[SagaStep] = field(default_factory=list)
    mirror: Mirror | None = None

    def keys(self) -> dict[int, tuple[object, ...]]:
        """What each kind of message stands for, whichever run it belongs to."""
        return {kind: (key[0], *key[2:]) for key, kind in self.kinds.items()}

    def part(self, component: int) -> Part | None:
        """The participant that a component of either run is, if it is one."""
        first = self.sizes[0]
        return self.halves[0].part(component) if component < first else self.halves[1].part(component - first)

    def blocked(self, shared: tuple[int, ...]) -> dict[int, tuple[int, int]]:
        """For each run that waits for a lock that the other one holds: the lock, and the request that waits.

        Args:
            shared: the local states of what both runs share.
        """
        found: dict[int, tuple[int, int]] = {}
        for number, (_, states) in self.locks.items():
            held = states[shared[number - sum(self.sizes)]]
            for kind in held.waiting:
                run = self.requests[kind].run
                if held.holder == 1 - run:
                    found.setdefault(run, (number, kind))
        return found


class Survey(NamedTuple):
    """What a run does.

    Attributes:
        touched: what it does to each entity, in one move.
        waits: the entities that each request of a participant touches.
        stops: the entities, with the step, that a workflow touches itself: by component, local state, kind, and place there.
    """

    touched: dict[Key, dict[tuple[Touch, ...], None]]
    waits: dict[int, tuple[Key, ...]]
    stops: dict[tuple[int, int, int, int], tuple[tuple[Key, int], ...]]


class Mirror(NamedTuple):
    """The swap of two runs of one workflow: by kind its twin; by shared component its twin and that one's local states."""

    kinds: tuple[int, ...]
    shared: tuple[tuple[int, tuple[int, ...]], ...]


def couple(
    index: Index,
    sagas: Sagas,
    pair: Pair,
    assumed: frozenset[int] | None = frozenset(),
    changed: Mapping[int, str] | None = None,
    focus: Collection[Observer] | None = None,
) -> Coupled:
    """The tables of a pair scene.

    What says nothing about its isolation is taken to be isolated somehow, and what says so is held to it. With assumptions it is
    the other way round: then only steps without a countermeasure are looked at, as the static rule does.

    Args:
        index: of the design's system.
        sagas: its orchestrations.
        pair: what to compile.
        assumed: the numbers of the steps (by their first action) that are taken to be isolated by nothing; None for all that
            say nothing.
        changed: the isolation of steps taken for another than is declared, by the same numbers: repairs that are tried.
        focus: only these observers; None for all. Two runs are mirror images only if both or none of a pair of twins is there.

    Raises:
        TooLargeError: a component has too many local states.
    """
    return Coupler(index, sagas, pair, assumed, changed or {}, focus).run()


class Coupler:
    """One compilation of a pair."""

    def __init__(
        self, index: Index, sagas: Sagas, pair: Pair, assumed: frozenset[int] | None, changed: Mapping[int, str],
        focus: Collection[Observer] | None,
    ) -> None:  # fmt: skip
        self.focus = focus
        self.index = index
        self.sagas = sagas
        self.pair = pair
        self.changed = changed
        self.assumed = assumed
        compiled = compile_scene(index, pair.scenes[0], stores=False)
        both = (compiled, compiled if pair.same else compile_scene(index, pair.scenes[1], stores=False))
        scene = pair.scenes[0]._replace(name=pair.name)
        self.out = Coupled(scene, compiled.facts, compiled.system, Tables(), halves=both)
        self.halves = [Half(self, number, half) for number, half in enumerate(both)]
        self._notes: dict[tuple[int, int, str], int] = {}
        self._offsets: list[int] = []
        self._states: dict[Observer, list[State]] = {}
        self._signals: list[dict[tuple[int, tuple[Touch, ...]], int]] = [{}, {}]
        self._gates: list[dict[int, int]] = [{}, {}]
        self._stops: list[dict[tuple[int, int, int, int], tuple[int, int]]] = [{}, {}]
        self._denials: list[dict[int, int]] = [{}, {}]
        self._endings: list[dict[int, int]] = [{}, {}]

    def isolation(self, step: SagaStep) -> str:
        """The isolation of a step, declared or tried."""
        return self.changed.get(step.step.actions[0], declared(step, self.sagas))

    def heard(self, run: int, touch: Touch) -> bool:
        """Whether a touch counts: see :func:`couple`."""
        if touch.what == "end":
            return True
        step = self.halves[run].saga.steps[touch.step]
        if self.assumed == frozenset():
            return bool(touch.how)
        if touch.how:
            return touch.how == BY_VALUE or step.step.actions[0] in self.changed
        return self.assumed is None or step.step.actions[0] in self.assumed

    # -------------------------------------------------------------------------------------------- all of it

    def run(self) -> Coupled:
        """Compile."""
        first, second = (half.compiled.tables for half in self.halves)
        base = (0, len(first.components))
        self.out.sizes = (len(first.components), len(second.components))
        found = [self._survey(half) for half in self.halves]
        observers = self._observers([one.touched for one in found])
        if self.focus is not None:
            observers = [observer for observer in observers if observer in self.focus]
        twins = all(one._replace(hurt=1 - one.hurt) in observers for one in observers)
        self._mirrors = self.pair.same and twins
        locked = self._locked()
        components = [
            Component(f"{name} ({n + 1})") for n, half in enumerate(self.halves) for name in lanes(half.compiled)
        ]
        shared = sum(self.out.sizes)
        for number, observer in enumerate(observers):
            components.append(Component(f"observer of {entity_text(observer.entity)}"))
            self.out.observers[shared + number] = observer
        for number, key in enumerate(locked):
            components.append(Component(f"lock of {entity_text(key)}"))
            self.out.locks[shared + len(observers) + number] = (key, [])
        tables = self.out.tables
        tables.components = components
        tables.queues = first.queues + second.queues
        for run, half in enumerate(self.halves):
            self._kinds(run, half, base[run], found[run], first.queues * run)
        for run, half in enumerate(self.halves):
            self._fill(run, half, base[run])
        tables.initial = tuple(
            self._sent(run, kind) for run, half in enumerate(self.halves) for kind in half.compiled.tables.initial
        )
        for number, observer in self.out.observers.items():
            self._observe(number, observer)
        for number, (_, states) in self.out.locks.items():
            self._lock(number, states)
        if self._mirrors:
            self.out.mirror = self._mirror()
        return self.out

    def _survey(self, half: Half) -> Survey:
        """What a run does to each entity, and which entities each request of a participant touches."""
        touched: dict[Key, dict[tuple[Touch, ...], None]] = {}
        waits: dict[int, dict[Key, None]] = {}
        stops: dict[tuple[int, int, int, int], tuple[tuple[Key, int], ...]] = {}
        for number, component in enumerate(half.compiled.tables.components):
            for local in range(component.size):
                for place, (kind, choice) in enumerate(choices(component, local)):
                    all_ = half.touches(number, local, kind, choice)
                    stop = [
                        (key, t.step) for key, ts in all_.items() for t in ts if t.how and t.what in {"read", "write"}
                    ]
                    if stop and number in half.compiled.threads:
                        stops[number, local, kind, place] = tuple(dict.fromkeys(stop))
                    for key, touches in all_.items():
                        touched.setdefault(key, {})[touches] = None
                        for touch in touches:
                            step = half.saga.steps[touch.step]
                            self.out.declares = self.out.declares or bool(touch.how)
                            if touch.what != "end" and not touch.how and step not in self.out.unknown:
                                self.out.unknown.append(step)
                        if number in half.compiled.parts and any(touch.how for touch in touches):
                            waits.setdefault(kind, {})[key] = None
        return Survey(touched, {kind: tuple(keys) for kind, keys in waits.items()}, stops)

    # -------------------------------------------------------------------------------------------- observers

    def _observers(self, touched: list[dict[Key, dict[tuple[Touch, ...], None]]]) -> list[Observer]:
        """The observers that something could alarm."""
        found = []
        for key in self.pair.shared:
            both = [[self._heard(run, touches) for touches in touched[run].get(key, ())] for run in (0, 1)]
            written = any(t.undoable and t.what == "write" for one in both for touches in one for t in touches)
            for anomaly in ANOMALIES:
                for hurt in (0, 1):
                    alphabet = [(run == hurt, touches) for run in (0, 1) for touches in both[run]]
                    states = _reached(anomaly, [self._provisional(anomaly, *one) for one in alphabet])
                    if WRONG in states and (written or self.assumed == frozenset()):
                        found.append(Observer(anomaly, key, hurt))
                        self._states[found[-1]] = states
        return found

    def _listens(self, observer: Observer, run: int, touches: tuple[Touch, ...]) -> bool:
        """Whether an observer can come to change by some touches."""
        own, touches = self._provisional(observer.anomaly, run == observer.hurt, touches)
        return any(_folded(observer.anomaly, state, own, touches) != state for state in self._states[observer])

    def _heard(self, run: int, touches: tuple[Touch, ...]) -> tuple[Touch, ...]:
        return tuple(touch for touch in touches if self.heard(run, touch))

    def _provisional(self, anomaly: Anomaly, own: bool, touches: tuple[Touch, ...]) -> tuple[bool, tuple[Touch, ...]]:
        """Where nothing is declared, only a write that may yet be undone makes two reads differ."""
        if anomaly == "fuzzy" and self.assumed != frozenset():
            touches = tuple(touch for touch in touches if own or touch.undoable)
        return own, touches

    def _observe(self, number: int, observer: Observer) -> None:
        component = self.out.tables.components[number]
        alphabet = {
            kind: self._provisional(observer.anomaly, run == observer.hurt, touches)
            for run in (0, 1)
            for (to, touches), kind in self._signals[run].items()
            if to == number
        }
        states: list[State] = [START]
        done = 0
        while done < len(states):
            rows: dict[int, tuple[Row, ...]] = {}
            for kind, (own, touches) in alphabet.items():
                state = _folded(observer.anomaly, states[done], own, touches)
                if state == states[done]:
                    continue
                if state not in states:
                    states.append(state)
                note = self._alarm(observer, states[done], own, touches) if state == WRONG else -1
                rows[kind] = (Row(states.index(state), note=note, error=state == WRONG),)
            component.rows.append(rows)
            component.acts.append(())
            done += 1

    def _alarm(self, observer: Observer, state: State, own: bool, touches: tuple[Touch, ...]) -> int:
        """The note at the wrong state points at the step that brings it about."""
        touch = next(
            touch for n, touch in enumerate(touches, 1) if _folded(observer.anomaly, state, own, touches[:n]) == WRONG
        )
        saga = self.pair.sagas[observer.hurt if own else 1 - observer.hurt]
        place = saga.steps[touch.step].place if touch.step >= 0 else saga.process.place
        return self.out.note(entity_text(observer.entity), place)

    # -------------------------------------------------------------------------------------------- locks

    def _locked(self) -> list[Key]:
        """The entities that a step of either run locks."""
        found: dict[Key, None] = {}
        for half in self.halves:
            for step in half.saga.steps:
                if self.isolation(step) == LOCK:
                    found.update((key, None) for key in step.effects.writes if key in self.pair.shared)
        return [key for key in self.pair.shared if key in found]

    def _lock(self, number: int, states: list[Held]) -> None:
        component = self.out.tables.components[number]
        asking = {
            kind: request for kind, request in self.out.requests.items() if self.out.tables.kinds[kind].to == number
        }
        endings = {kinds[number]: run for run, kinds in enumerate(self._endings) if number in kinds}
        states.append(Held())
        numbers = {states[0]: 0}
        done = 0

        def at(held: Held) -> int:
            if held not in numbers:
                numbers[held] = len(states)
                states.append(held)
            return numbers[held]

        entity = entity_text(self.out.locks[number][0])
        while done < len(states):
            held = states[done]
            rows: dict[int, tuple[Row, ...]] = {}
            for kind, request in asking.items():
                run, place = request.run, request.step.place
                who = f"case {run + 1}"
                if held.holder in {-1, run}:
                    takes = request.takes and not held.ended[run]  # nobody would give it back
                    after = held._replace(holder=run) if takes else held
                    text = f"{who}: {request.step.label} {'locks' if takes else 'finds no lock of'} `{entity}`"
                    rows[kind] = (Row(at(after), (request.then,), note=self._say(text, place)),)
                elif request.denied >= 0:
                    text = f"{who}: {request.step.label} finds `{entity}` locked by the other case"
                    rows[kind] = (Row(at(held), (request.denied,), note=self._say(text, place)),)
                elif held.ended[run]:
                    text = f"{who}: {request.step.label} finds `{entity}` locked, and nobody waits for it any more"
                    rows[kind] = (Row(at(held), (), note=self._say(text, place)),)
                else:
                    after = held._replace(waiting=tuple(sorted({*held.waiting, kind})))
                    held_by = f"case {held.holder + 1}"
                    text = f"{who}: {request.step.label} waits for the lock of `{entity}`, which {held_by} holds"
                    rows[kind] = (Row(at(after), (), note=self._say(text, place)),)
            for kind, run in endings.items():
                left = tuple(one for one in held.waiting if asking[one].run != run)
                ended = (held.ended[0] or run == 0, held.ended[1] or run == 1)
                if held.holder == run or held.holder < 0:
                    holder = 1 - run if any(asking[one].takes for one in left) else -1
                    rows[kind] = (Row(at(Held(holder, ended)), tuple(asking[one].then for one in left)),)
                else:
                    rows[kind] = (
                        Row(
                            at(Held(held.holder, ended, left)),
                        ),
                    )
            component.rows.append({kind: group for kind, group in rows.items() if group[0] != Row(done)})
            component.acts.append(())
            done += 1

    def _say(self, text: str, place: object) -> int:
        return self.out.note(text, place)  # type: ignore[arg-type]

    # -------------------------------------------------------------------------------------------- kinds

    def _kinds(self, run: int, half: Half, base: int, found: Survey, queues: int) -> None:
        """The kinds of one run: its own, the notes to observers, and the requests to locks."""
        touched, waits, stops = found
        tables = self.out.tables
        offset = len(tables.kinds)
        for key, kind in half.compiled.kinds.items():
            self.out.kinds[key[0], run, *key[1:]] = kind + offset
        for one in half.compiled.tables.kinds:
            queue = one.queue + queues if one.queue >= 0 else -1
            tables.kinds.append(one._replace(to=one.to + base, queue=queue))
        self._offsets.append(offset)
        for kind, key in half.kinds.items():
            ok = half.compiled.kinds.get(("ok", key[1])) if key[0] == "request" else None
            to = -1 if ok is None else half.compiled.tables.kinds[ok].to
            if to in half.compiled.threads:
                spots = half.compiled.threads[to].spots
                waiting = frozenset(n for n, spot in enumerate(spots) if spot.where == ("call", key[1]))
                self.out.askers[kind + offset] = (to + base, waiting)
        observers = list(self.out.observers.items())
        if run and self._mirrors:  # the twin of each comes at the same place
            twins = {observer: number for number, observer in observers}
            observers = [(twins[o._replace(hurt=1 - o.hurt)], o._replace(hurt=1 - o.hurt)) for _, o in observers]
        for number, observer in observers:
            for all_ in touched.get(observer.entity, ()):
                touches = self._heard(run, all_)
                if (number, touches) not in self._signals[run] and self._listens(observer, run, touches):
                    self._signals[run][number, touches] = self._add(Kind("note", number, urgent=True))
                    if all(touch.what == "read" for touch in touches):
                        self.out.looks.add(self._signals[run][number, touches])
        locks = {key: number for number, (key, _) in self.out.locks.items()}
        for kind, keys in waits.items():
            then = kind + offset
            plain = tables.kinds[then]
            keys = tuple(key for key in keys if key in locks)
            denied = self._denied(run, half, kind) if keys else -1
            for key in reversed(keys):
                request = self._request(half, kind, key, then, denied)
                if request is not None:
                    then = self._add(Kind(plain.name, locks[key], urgent=True))
                    self.out.requests[then] = request
            if then != kind + offset:  # what may happen on the way happens before the lock; behind it all is one move
                tables.kinds[then] = plain._replace(to=tables.kinds[then].to)
                tables.kinds[kind + offset] = Kind(plain.name, plain.to, urgent=True)
                self._gates[run][kind + offset] = then
        for where, entered in stops.items():
            then = go = self._add(Kind("go", where[0] + base, urgent=True)) if locks else -1
            for entity, number in reversed([one for one in entered if one[0] in locks]):
                step = half.saga.steps[number]
                takes = self.isolation(step) == LOCK and entity in step.effects.writes
                ask = self._add(Kind("lock", locks[entity], urgent=True))
                self.out.requests[ask] = Request(run, step, then, takes, -1)
                then = ask
            if then != go:
                self._stops[run][where] = (go, then)
        for number in self.out.locks:
            self._endings[run][number] = self._add(Kind("end", number, urgent=True))
        self.out.gates.update(self._gates[run])
        self.out.owners += [run] * (len(tables.kinds) - offset)

    def _add(self, kind: Kind) -> int:
        self.out.tables.kinds.append(kind)
        return len(self.out.tables.kinds) - 1

    def _request(self, half: Half, kind: int, key: Key, then: int, denied: int) -> Request | None:
        owner = half.served(kind)
        if owner is None or owner[1]:
            return None
        step = half.saga.steps[owner[0]]
        takes = self.isolation(step) == LOCK and key in step.effects.writes
        return Request(half.number, step, then, takes, denied)

    def _denied(self, run: int, half: Half, kind: int) -> int:
        """The kind by which a handler that declares `fails` is told to."""
        owner = half.served(kind)
        fails = any(True for process in half.handlers(kind) for _ in half.system.actions_of(process, "fail"))
        if owner is None or owner[1] or not fails or self._refusal(run, half, kind) < 0:
            return -1
        plain = self.out.tables.kinds[kind + self._offsets[run]]
        self._denials[run][kind] = self._add(Kind(plain.name, plain.to, urgent=True))
        return self._denials[run][kind]

    def _sent(self, run: int, kind: int) -> int:
        kind += self._offsets[run]
        return self._gates[run].get(kind, kind)

    # -------------------------------------------------------------------------------------------- rows

    def _fill(self, run: int, half: Half, base: int) -> None:
        offset = self._offsets[run]
        for number, component in enumerate(half.compiled.tables.components):
            into = self.out.tables.components[base + number]
            into.initial = component.initial
            asleep: list[Rows] = []
            for local in range(component.size):
                rows: dict[int, list[Row]] = {}
                acts: list[Act] = []
                for place, (kind, choice) in enumerate(choices(component, local)):
                    original = choice
                    choice = self._translated(run, half, number, local, kind, choice)
                    stop = self._stops[run].get((number, local, kind, place))
                    if stop is not None:  # it waits for the lock in a state of its own
                        go, ask = stop
                        asleep.append({go: (Row(choice.target, choice.emits, note=choice.note),)})
                        target = component.size + len(asleep) - 1
                        note = self._note(run, half, original.note, "comes to a lock")
                        choice = choice._replace(target=target, emits=(ask,), note=note)
                    if isinstance(choice, Row):
                        rows.setdefault(kind + offset, []).append(choice)
                    else:
                        acts.append(choice)
                for kind, denied in self._denials[run].items():
                    group = rows.get(kind + offset, [])
                    no = self._refusal(run, half, kind)
                    kinds = self.out.tables.kinds  # what is locked is not read either
                    rows[denied] = [
                        row._replace(emits=tuple(one for one in row.emits if not kinds[one].urgent))
                        for row in group
                        if no in row.emits and not row.price
                    ] or group
                into.rows.append({kind: tuple(group) for kind, group in rows.items() if group})
                into.acts.append(tuple(acts))
            into.rows += asleep
            into.acts += [()] * len(asleep)
            into.rows.append({})  # where it no longer matters, see `PairSpace`
            into.acts.append(())

    def _refusal(self, run: int, half: Half, kind: int) -> int:
        """The kind that tells the caller of a request that it is refused; -1 for a send, which nobody waits for."""
        no = half.compiled.kinds.get(("no", half.kinds[kind][1]))
        return -1 if no is None else no + self._offsets[run]

    def _translated(self, run: int, half: Half, number: int, local: int, kind: int, choice: Row | Act) -> Row | Act:
        touches = half.touches(number, local, kind, choice)
        emits = tuple(self._sent(run, one) for one in choice.emits)
        text = []
        for key, all_ in touches.items():
            heard = self._heard(run, all_)
            emits += tuple(
                self._signals[run][to, heard]
                for to, observer in self.out.observers.items()
                if observer.entity == key and (to, heard) in self._signals[run]
            )
            text += [f"{_DOES[touch.what]} `{entity_text(key)}`" for touch in all_ if touch.what in _DOES]
        if half.ends(number, local, choice):
            emits += tuple(self._endings[run].values())
        return choice._replace(emits=emits, note=self._note(run, half, choice.note, ", ".join(dict.fromkeys(text))))

    def _note(self, run: int, half: Half, number: int, does: str) -> int:
        if number < 0:
            return -1
        key = (run, number, does)
        if key not in self._notes:
            note = half.compiled.notes[number]
            text = f"case {run + 1}: {note.text}{' and ' if does else ''}{does}"
            self._notes[key] = self.out.note(text, note.span, note.facts, note.trail)
        return self._notes[key]

    # -------------------------------------------------------------------------------------------- symmetry

    def _mirror(self) -> Mirror:
        first = self._offsets[1]
        kinds = (*range(first, 2 * first), *range(first))
        shared: list[tuple[int, tuple[int, ...]]] = []
        twins = {observer: number for number, observer in self.out.observers.items()}
        for observer in self.out.observers.values():
            twin = twins[observer._replace(hurt=1 - observer.hurt)]
            shared.append((twin, self._paired(twins[observer], twin, kinds)))
        for number, (_, states) in self.out.locks.items():
            mapped = []
            for held in states:
                waiting = tuple(sorted(kinds[one] for one in held.waiting))
                holder = held.holder if held.holder < 0 else 1 - held.holder
                mapped.append(states.index(Held(holder, (held.ended[1], held.ended[0]), waiting)))
            shared.append((number, tuple(mapped)))
        return Mirror(kinds, tuple(shared))

    def _paired(self, one: int, twin: int, kinds: tuple[int, ...]) -> tuple[int, ...]:
        """Which local state of its twin each local state of an observer is: the one that the mirrored rows lead to."""
        found = {0: 0}
        todo = [0]
        components = self.out.tables.components
        while todo:
            local = todo.pop()
            for kind, (row,) in components[one].rows[local].items():
                (other,) = components[twin].rows[found[local]][kinds[kind]]
                if row.target not in found:
                    found[row.target] = other.target
                    todo.append(row.target)
        return tuple(found[local] for local in range(components[one].size))


_DOES = {"read": "reads", "write": "writes", "undo": "takes back what it wrote to"}


def _folded(anomaly: Anomaly, state: State, own: bool, touches: tuple[Touch, ...]) -> State:
    for touch in touches:
        state = follow(anomaly, state, own, touch)
    return state


def _reached(anomaly: Anomaly, alphabet: list[tuple[bool, tuple[Touch, ...]]]) -> list[State]:
    """The states that an observer can come to if anything may be heard at any time."""
    found: list[State] = [START]
    for before in found:
        for own, touches in alphabet:
            state = _folded(anomaly, before, own, touches)
            if state not in found:
                found.append(state)
    return found
