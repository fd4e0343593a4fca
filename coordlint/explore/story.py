"""A run told to people: messages with identities, and the steps that matter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from coordlint.explore.absence import WAITING, Absence
from coordlint.explore.ledger import Ledgers
from coordlint.explore.scene import Compiled
from coordlint.explore.space import Move, Space
from coordlint.explore.tables import Act, Row
from coordlint.finding import Label, Run, Step
from coordlint.source import Span
from coordlint.system import Action, Message

if TYPE_CHECKING:
    from coordlint.explore.violation import Violation

FAULTS = {
    "copy": "a crash before the acknowledgement: the message will be delivered again",
    "lose": "{what} is lost",
    "park": "{what} ends in the dead-letter channel",
    "forget": "the broker restarts, and {what}, which it keeps in memory only, is gone",
    "omission": "{to} never answers {what}",
    "overtake": "the message overtakes another one of its channel",
}
"""What faults without a sentence of their own say."""

CASE = " ("
"""Where two instances run, what tells the lanes of one service apart begins with this."""

LOCK = "lock of "
"""A component of two instances that is a lock begins with this."""

INTERNAL = frozenset({"go", "done", "bad", "undo", "undone"})
"""Messages between a thread and its branches: they happen, but nobody sends them in the design."""


def tell(compiled: Compiled, space: Space, path: Iterable[tuple[int, Move]]) -> tuple[Step, ...]:
    """All steps of a run."""
    tale = Tale(compiled, space, path)
    return tale.steps(range(len(tale.events)))


def tell_violation(compiled: Compiled, space: Space, one: Violation) -> Run | None:
    """The run of a violation, without the steps it does not depend on; None if it has none."""
    ahead, cycle = _joined(space, one)
    tale = Tale(compiled, space, (*ahead, *cycle))
    if not tale.events:
        return None
    kept = range(len(tale.events)) if cycle else tale.relevant(one)
    steps = list(tale.steps(kept, tale.broken(one, kept)))
    left_out = sum(not event.hidden for event in tale.events) - len(steps)
    unsent: tuple[Label, ...] = ()
    if not cycle and not any(step.bad for step in steps):
        absence = Absence(tale, one)
        steps.append(absence.rest(len(steps) + 1))
        unsent = tuple(absence.labels())
    return Run(
        one.code,
        compiled.scene.name,
        one.faults,
        steps=tuple(steps),
        repeats_from=min((tale.numbers[n] for n in tale.numbers if n >= len(ahead)), default=0) if cycle else 0,
        end=one.damage,
        unsent=unsent,
        left_out=left_out,
        outside=tale.outside(steps),
    )


def _joined(space: Space, one: Violation) -> tuple[list[tuple[int, Move]], list[tuple[int, Move]]]:
    """The way to what repeats, and one turn of it, which begins where the way ends."""
    ahead, cycle = list(one.path), list(one.repeats)
    if not cycle:
        return ahead, cycle
    turn = {state: number for number, (state, _) in enumerate(cycle)}
    start = ahead[-1][1].target if ahead else space.initial
    came: dict[int, tuple[int, Move] | None] = {start: None}
    for state in (frontier := [start]):
        if state in turn:
            between: list[tuple[int, Move]] = []
            step = came[state]
            while step is not None:
                between.append(step)
                step = came[step[0]]
            return ahead + between[::-1], cycle[turn[state] :] + cycle[: turn[state]]
        for move in space.moves(state):
            if not move.price and move.target not in came:
                came[move.target] = (state, move)
                frontier.append(move.target)
    return ahead, cycle


def lane(compiled: Compiled, component: int) -> str:
    """Whose lifeline a component belongs to: its service, or nobody's."""
    if component in compiled.threads:
        return compiled.threads[component].process.service.name
    if component in compiled.parts:
        return compiled.parts[component].name.strip("`")
    return compiled.tables.components[component].name


class Sent:
    """A message under way.

    Attributes:
        by: who sent it.
        since: the event that sent it, or -1 if it was there from the beginning.
        after: the event that it takes for this one to be there: the same, or that which left a copy of it.
        first: the same message when it was sent for the first time, unless this is it.
        taken: the event that took it first, or -1.
        gone: the event after which it was not there any more, or -1.
    """

    __slots__ = ("after", "by", "first", "gone", "kind", "since", "taken")

    def __init__(self, kind: int, by: str, since: int, after: int, first: Sent | None = None) -> None:
        self.kind = kind
        self.by = by
        self.since = since
        self.after = after
        self.first = first
        self.taken = -1
        self.gone = -1


class Event:
    """A move of the run, what it takes, what it sends, and the earlier events it depends on."""

    __slots__ = ("changes", "hidden", "message", "move", "needs", "sends")

    def __init__(self, move: Move, message: Sent | None, *, changes: bool, hidden: bool) -> None:
        self.move = move
        self.message = message
        self.changes = changes
        self.hidden = hidden
        self.needs: set[int] = set()
        self.sends: list[Sent] = []


class Tale:
    """A run with identities: each delivery takes the oldest message of its kind, and a copy knows its original.

    Attributes:
        events: the moves in their order.
        numbers: of the visible events, once `steps` has been called.
    """

    def __init__(self, compiled: Compiled, space: Space, path: Iterable[tuple[int, Move]]) -> None:
        self.compiled = compiled
        self.space = space
        self.path = tuple(path)
        self.start = self.path[0][0] if self.path else space.initial
        self.events: list[Event] = []
        self.numbers: dict[int, int] = {}
        self._keys = compiled.keys()
        self._flight: dict[int, list[Sent]] = {}
        self._queues: dict[int, list[Sent]] = {}
        self._latest: dict[int, Sent] = {}
        changed: dict[int, int] = {}
        for kind in compiled.tables.initial:
            self._send(Sent(kind, self._origin(kind), -1, -1))
        for state, move in self.path:
            self._replay(state, move, changed)

    # -------------------------------------------------------------------------------------------- identities

    def _replay(self, state: int, move: Move, changed: dict[int, int]) -> None:
        compiled, number = self.compiled, len(self.events)
        kinds = compiled.tables.kinds
        before = self.space.local(state, move.component)
        choice = move.choice
        changes = choice is not None and choice.target != before
        message = None
        hidden = move.kind >= 0 and (kinds[move.kind].urgent or self._keys.get(move.kind, ("",))[0] in INTERNAL)
        if move.kind >= 0:
            waiting = self._flight.get(move.kind)
            message = waiting[0] if waiting else Sent(move.kind, "", -1, -1)
        event = Event(move, message, changes=changes, hidden=hidden)
        if move.component in changed:
            event.needs.add(changed[move.component])
        if message is not None:
            self._take(event, message, number)
        if changes:
            changed[move.component] = number
        again = self._asks_again(move, before)
        outside = move.kind >= 0 and kinds[move.kind].urgent  # an observer has let somebody outside ask
        for kind in choice.emits if choice is not None else ():
            first = self._latest.get(kind) if again else None
            by = self._origin(kind) if outside else lane(compiled, move.component)
            sent = Sent(kind, by, number, number, first)
            event.sends.append(sent)
            self._send(sent)
        self.events.append(event)

    def _send(self, sent: Sent) -> None:
        self._flight.setdefault(sent.kind, []).append(sent)
        self._latest[sent.kind] = sent
        queue = self.compiled.tables.kinds[sent.kind].queue
        if queue >= 0:
            self._queues.setdefault(queue, []).append(sent)

    def _take(self, event: Event, message: Sent, number: int) -> None:
        move = event.move
        if message.after >= 0:
            event.needs.add(message.after)
        queue = self._queues.get(self.compiled.tables.kinds[move.kind].queue, [])
        for ahead in queue:
            if ahead is message:
                break
            event.needs.add(ahead.gone if ahead.gone >= 0 else ahead.after)
        event.needs.discard(-1)
        message.taken = number
        if move.what == "copy" or (move.choice is not None and getattr(move.choice, "keep", False)):
            copy = Sent(message.kind, message.by, message.since, number, message.first or message)
            event.sends.append(copy)
            for line in (self._flight[message.kind], queue):
                if message in line:
                    line[line.index(message)] = copy
        else:
            message.gone = number
            if message in self._flight.get(message.kind, ()):
                self._flight[message.kind].remove(message)

    def _asks_again(self, move: Move, before: int) -> bool:
        """Whether a thread repeats what it waits for already."""
        thread = self.compiled.threads.get(move.component)
        if thread is None or move.choice is None:
            return False
        where = thread.spots[before].where
        return where[0] == "call" and thread.spots[move.choice.target].where == where

    def _origin(self, kind: int) -> str:
        """Who sends a message that is there from the beginning."""
        whole = self.compiled.scene
        message = next((part for part in self._keys.get(kind, ()) if isinstance(part, Message)), None)
        for scene in whole.joins or (whole,):
            source = getattr(scene.root, "source", None)
            if source is not None and (message is None or message in scene.starts):
                return str(source.name)
        names = [action.process.service.name for action in self.statements(message)] if message is not None else []
        return names[0] if names else ""

    def outside(self, steps: Iterable[Step]) -> tuple[str, ...]:
        """The participants that are no services of the design; locks are part of it."""
        locks = {component.name for component in self.compiled.tables.components if component.name.startswith(LOCK)}
        ends = (name for step in steps for name in (step.sender, step.receiver) if name not in locks)
        names = dict.fromkeys(name for name in ends if name)
        known = self.compiled.system.services
        services = {name: known.get(name.partition(CASE)[0]) for name in names}
        return tuple(name for name, one in services.items() if one is None or one.external or one.phantom)

    # -------------------------------------------------------------------------------------------- what matters

    def relevant(self, one: Violation) -> Sequence[int]:
        """The events in the causal past of a violation; all of them if there is any doubt.

        The rest could as well happen afterwards: that is tried, and has to lead to the same state.
        """
        everything = range(len(self.events))
        if not self.path or one.code in {"B3", "B4", "B21"}:
            return everything
        last = len(self.events) - 1
        move = self.events[last].move
        if move.choice is not None and move.choice.error:
            seeds = {last}
        else:
            targets = self._targets(one)
            if not targets:
                return everything
            seeds = {number for number, event in enumerate(self.events) if event.move.price}
            for component in targets:
                own = [n for n, event in enumerate(self.events) if event.move.component == component]
                seeds.update([n for n in own if self.events[n].changes][-1:])
                seeds.update(n for n in own if self.events[n].move.what == "drop")
            for component in self._could_send(targets):
                own = [n for n, event in enumerate(self.events) if event.move.component == component]
                seeds.update(own[-1:])
        seeds.update(number for number, event in enumerate(self.events) if event.move.price)
        return self.around(seeds)

    def around(self, seeds: set[int]) -> Sequence[int]:
        """Some events and their causal past; all events if there is any doubt that the rest could as well come afterwards."""
        everything = range(len(self.events))
        kept = self._past(seeds)
        rest = [number for number in everything if number not in kept]
        order = [*sorted(kept), *rest]
        if self._leads_to(order) != self.path[-1][1].target:
            return everything
        return sorted(kept)

    def _past(self, seeds: set[int]) -> set[int]:
        """The seeds and all they depend on; before a timer that waits for rest, everything sent has to have arrived."""
        kept: set[int] = set()
        todo = set(seeds)
        while todo:
            number = max(todo)
            todo.discard(number)
            if number in kept:
                continue
            kept.add(number)
            event = self.events[number]
            todo |= event.needs - kept
            for sent in event.sends:
                if sent.gone >= 0 and self.compiled.tables.kinds[sent.kind].urgent:
                    todo.add(sent.gone)
            late = [n for n in sorted(kept) if self.events[n].move.what == "late"]
            for sent in (sent for n in kept for sent in self.events[n].sends):
                if 0 <= sent.gone < max(late, default=-1) and sent.gone not in kept:
                    todo.add(sent.gone)
        return kept

    def _leads_to(self, order: Iterable[int]) -> int | None:
        """The state behind the events in another order; None if one of them is not possible in it."""
        state = self.start
        for number in order:
            wanted = self.events[number].move
            for move in self.space.moves(state):
                if (move.what, move.kind, move.component) == wanted[1:4] and move.choice is wanted.choice:
                    state = move.target
                    break
            else:
                return None
        return state

    def _targets(self, one: Violation) -> list[int]:
        """The components that a violation is about, by the place it points at."""
        compiled, system = self.compiled, self.compiled.system
        found: dict[int, None] = {}
        for number, thread in compiled.threads.items():
            process = thread.process
            steps = [step for step in process.steps if step.place == one.place]
            whole = process.place == one.place
            waits = not whole and any(system.actions[n].span == one.place for n in process.actions)
            if not (steps or waits or whole):
                continue
            found[number] = None
            if not waits:
                actions = [n for step in steps for n in step.actions] if steps else process.actions
                asked = {system.actions[n].message for n in actions if system.actions[n].kind in {"call", "send"}}
                for other, part in compiled.parts.items():
                    if any(deed.message in asked for deed in part.deeds):
                        found[other] = None
        return list(found)

    def _could_send(self, targets: Iterable[int]) -> list[int]:
        """The components that can send something that one of the targets, as it is in the end, waits for."""
        tables = self.compiled.tables
        state = self.path[-1][1].target
        awaited = {
            kind
            for component in targets
            if self._waits(component, state)
            for kind in tables.components[component].rows[self.space.local(state, component)]
        }
        found = []
        for number, component in enumerate(tables.components):
            choices: list[Row | Act] = [act for acts in component.acts for act in acts]
            choices += [row for rows in component.rows for group in rows.values() for row in group]
            if any(not awaited.isdisjoint(choice.emits) for choice in choices):
                found.append(number)
        return found

    def _waits(self, component: int, state: int) -> bool:
        thread = self.compiled.threads.get(component)
        return thread is not None and thread.spots[self.space.local(state, component)].where[0] in WAITING

    # -------------------------------------------------------------------------------------------- steps

    def steps(self, kept: Sequence[int], broken: int = -1) -> tuple[Step, ...]:
        """The visible events among the kept ones, numbered; in `broken` the property is violated."""
        self.numbers = {}
        found = []
        ledgers = Ledgers(self.compiled)
        for number in kept:
            if not self.events[number].hidden:
                self.numbers[number] = len(self.numbers) + 1
                step = self._step(number, bad=number == broken)
                move = self.events[number].move
                if move.choice is not None:
                    step = step._replace(ledger=ledgers.follow(move.component, move.choice.target, step.receiver))
                found.append(step)
        return tuple(found)

    def broken(self, one: Violation, kept: Sequence[int]) -> int:
        """The event in which the property is violated; -1 if it is violated because nothing happens any more."""
        last = len(self.events) - 1
        choice = self.events[last].move.choice
        number = -1
        if not one.repeats and choice is not None and choice.error:
            number = last
        elif not one.repeats and one.code == "B9":
            parts = {component for component in self._targets(one) if component in self.compiled.parts}
            own = [n for n in kept if self.events[n].move.component in parts and self.events[n].changes]
            number = own[-1] if own else -1
        elif not one.repeats:
            state = self.path[-1][1].target
            for component in self._targets(one):
                thread = self.compiled.threads.get(component)
                if thread is None or thread.parent is not None:
                    continue
                if self._waits(component, state):
                    return -1
                own = [n for n in kept if self.events[n].move.component == component and self.events[n].changes]
                number = own[-1] if own else -1
        return self.visible(number)

    def visible(self, number: int) -> int:
        """The event, or the nearest one before it that people see; -1 if there is none."""
        while number >= 0 and self.events[number].hidden:
            message = self.events[number].message
            number = message.after if message is not None else -1
        return number

    def _step(self, number: int, *, bad: bool) -> Step:
        event, compiled = self.events[number], self.compiled
        move, message = event.move, event.message
        note = compiled.notes[move.choice.note] if move.choice is not None and move.choice.note >= 0 else None
        name, reply = self._named(move.kind)
        span: Span = note.span if note is not None else self._statement(move.kind, message)
        what = f"the answer to `{name}`" if reply else f"`{name}`"
        text = note.text if note is not None else f"{what} is heard"
        if move.what == "drop":
            text = f"nothing takes {what} here: it is dropped"
        elif move.what in FAULTS:
            fault = FAULTS[move.what].format(what=what, to=lane(compiled, move.component))
            text = fault if note is None else f"{text}; {fault}"
        if bad and move.choice is not None:
            text = "; ".join((text, *self._heard(event)))
        sent = copy_of = 0
        if message is not None:
            sent = self.numbers.get(self.visible(message.since), 0)
            first = message.first
            while first is not None and first.first is not None:
                first = first.first
            if first is not None:
                seen = first.taken if 0 <= first.taken < number else first.since
                copy_of = self.numbers.get(self.visible(seen), 0)
        sender = message.by if message is not None else ""
        return Step(
            self.numbers[number], move.what, sender, lane(compiled, move.component), name, text, span,
            bool(move.price), copy_of, reply, sent, bad,
        )  # fmt: skip

    def _statement(self, kind: int, message: Sent | None) -> Span:
        """Where a message is sent; the scene, if it was there from the beginning."""
        actions = self.compiled.system.actions
        key = self._keys.get(kind, ("",))
        if key[0] in {"request", "ok", "no"} and isinstance(key[1], int) and key[1] >= 0:
            return actions[key[1]].span
        for number in self.trail(message.since) if message is not None and message.since >= 0 else ():
            if actions[number].kind in {"emit", "send", "call"} and actions[number].message in key:
                return actions[number].span
        return self.compiled.scene.place

    def _heard(self, event: Event) -> Iterator[str]:
        """What an observer has against what an event has sent."""
        for other in self.events:
            choice = other.move.choice
            if (
                choice is not None
                and choice.error
                and other.hidden
                and other.message in event.sends
                and choice.note >= 0
            ):
                yield self.compiled.notes[choice.note].text

    def _named(self, kind: int) -> tuple[str, str]:
        """The name of a message for people, and whether it is an answer: `done` or `refused`."""
        if kind < 0:
            return "", ""
        key = self._keys.get(kind, ("",))
        if key[0] in {"ok", "no"}:
            action = self.compiled.system.actions[int(str(key[1]))]
            return action.message.name, "done" if key[0] == "ok" else "refused"
        return self.compiled.tables.kinds[kind].name, ""

    def statements(self, message: Message | None) -> list[Action]:
        """Where a message is sent, outside of the scene as well."""
        return [
            action
            for action in self.compiled.system.actions
            if action.kind in {"emit", "send", "call"} and action.message is message
        ]

    def key(self, kind: int) -> tuple[object, ...]:
        """What a kind of message stands for; see `Compiled.kind`."""
        return self._keys.get(kind, ("",))

    def lane(self, component: int) -> str:
        """Whose lifeline a component belongs to."""
        return lane(self.compiled, component)

    def trail(self, number: int) -> tuple[int, ...]:
        """The actions that an event passes."""
        choice = self.events[number].move.choice
        return self.compiled.notes[choice.note].trail if choice is not None and choice.note >= 0 else ()

    def within(self, number: int) -> str:
        """The step that an event is told in, such as ` in step 3`; empty if it is not told."""
        found = self.numbers.get(self.visible(number), 0)
        return f" in step {found}" if found else ""
