"""Orphans: events that nobody publishes, events that nobody hears, and the near misses between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import combinations
from typing import NamedTuple

from coordlint.graph import Index
from coordlint.names import distance, is_near
from coordlint.system import Action, Channel, DeadLetter, Flow, Message, MessageUse, Process, Workflow


class Place(NamedTuple):
    """Where a process names a message: its trigger, an ``awaits``, or an ``emits`` (then ``action`` is given)."""

    process: Process
    use: MessageUse
    action: Action | None = None


class Unpublished(NamedTuple):
    """An event with subscribers and no publisher.

    Attributes:
        event: the event.
        places: where it is subscribed to, in model order.
        meant: the unheard event with nearly the same name, or None.
    """

    event: Message
    places: tuple[Place, ...]
    meant: Unheard | None = None


class Unheard(NamedTuple):
    """An event with publishers and no subscriber; ``places`` are the publications, in model order."""

    event: Message
    places: tuple[Place, ...]


class Orphans:
    """Both sides of every event, compared once.

    A publication is an ``emits``, ``fails`` or ``publishes``, a flow that starts with the event, or the word ``external`` at
    the event. A subscription is a trigger, a ``consumes`` or an ``awaits``; what is read from a dead-letter channel needs no
    publisher of its own.
    """

    def __init__(self, index: Index) -> None:
        self.index = index

    @cached_property
    def unpublished(self) -> tuple[Unpublished, ...]:
        """The events that are heard and never published, by name."""
        found = {event: places for event in self._events if (places := self._unpublished(event))}
        unheard = {event: Unheard(event, places) for event in self._events if (places := self._unheard(event))}
        meant = dict(_closest_pairs(tuple(found), tuple(unheard)))
        return tuple(
            Unpublished(event, places, unheard[meant[event]] if event in meant else None)
            for event, places in found.items()
        )

    @cached_property
    def unheard(self) -> tuple[Unheard, ...]:
        """The events that are published and never heard, by name; near misses of unpublished ones are left out."""
        misspelt = {one.meant.event for one in self.unpublished if one.meant is not None}
        return tuple(
            Unheard(event, places)
            for event in self._events
            if event not in misspelt and (places := self._unheard(event))
        )

    def uses(self, event: Message) -> Iterator[MessageUse]:
        """Every place of the design that names the event outside its declaration, in model order."""
        for process in self.index.system.processes:
            for trigger in process.triggers:
                yield from (use for use in trigger.uses if use.message is event)
            compensated = process.fact("compensates")
            if compensated.declared and compensated.value.message is event:
                yield compensated.value
        for action in self.index.system.actions:
            yield from (use for use in action.uses if use.message is event)
        for flow in self.index.system.flows.values():
            yield from (use for use in _named_by(flow) if use.message is event)

    @cached_property
    def _events(self) -> tuple[Message, ...]:
        return tuple(self.index.system.events())

    def _unpublished(self, event: Message) -> tuple[Place, ...]:
        if event.visibility == "external" or event in self._begun or self.index.emitters.get(event):
            return ()
        if event.channel in self.dead_letters:
            return ()
        places = [
            Place(process, use)
            for process in self.index.started.get(event, ())
            for trigger in process.triggers
            if trigger.via not in self.dead_letters
            for use in trigger.uses
            if use.message is event
        ]
        for action in self.index.awaiting.get(event, ()):
            places += [Place(action.process, use, action) for use in action.uses if use.message is event]
        return tuple(places)

    def _unheard(self, event: Message) -> tuple[Place, ...]:
        if next(self.index.consumers(event), None) is not None:
            return ()
        return tuple(Place(action.process, action.use, action) for action in self.index.emitters.get(event, ()))

    @cached_property
    def _begun(self) -> frozenset[Message]:
        """What flows start with comes from outside, or from whom the flow names."""
        flows = self.index.system.flows.values()
        return frozenset(start.message for flow in flows for start in flow.starts if not isinstance(start, Workflow))

    @cached_property
    def dead_letters(self) -> frozenset[Channel | None]:
        """The channels that the broker fills with what could not be handled."""
        system = self.index.system
        facts = [channel.fact("dead_letter") for channel in system.channels.values()]
        facts += [process.fact("dead_letter") for process in system.processes]
        return frozenset(fact.value.channel for fact in facts if isinstance(fact.value, DeadLetter))


def _named_by(flow: Flow) -> Iterator[MessageUse]:
    goals = [goal.targets for goal in (flow.success, flow.failure) if goal is not None]
    for target in [*flow.starts, *(target for targets in goals for target in targets)]:
        if not isinstance(target, Workflow):
            yield target
    for order in flow.orders:
        yield order.first
        yield order.then


def _closest_pairs(left: Sequence[Message], right: Sequence[Message]) -> Iterator[tuple[Message, Message]]:
    """Pairs of near names, the closest first, each message in one pair at most."""
    ranked = sorted(
        (distance(left[i].name.casefold(), right[j].name.casefold(), 2), left[i].name, right[j].name, i, j)
        for i, j in _near([one.name for one in left], [one.name for one in right])
    )
    taken: set[Message] = set()
    for *_, i, j in ranked:
        if left[i] not in taken and right[j] not in taken:
            taken |= {left[i], right[j]}
            yield left[i], right[j]


def _near(left: Sequence[str], right: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The index pairs of near names.

    Two names at most two edits apart become the same text when up to two letters are left out of each, so only names that
    meet in such a text are compared: O(n * L^2) for n names of L letters instead of O(n^2).
    """
    meet: dict[str, list[int]] = {}
    for j, name in enumerate(right if left else ()):
        for text in _shortened(name):
            meet.setdefault(text, []).append(j)
    for i, name in enumerate(left):
        for j in sorted({j for text in _shortened(name) for j in meet.get(text, ())}):
            if is_near(name, right[j]):
                yield i, j


def _shortened(name: str) -> set[str]:
    """The name with none, one and two of its letters left out, without regard to case; very long names only as they are."""
    name = name.casefold()
    found = {name}
    if len(name) <= _LONGEST_NAME:
        for i, j in combinations(range(len(name)), 2):
            found.add(name[:i] + name[i + 1 : j] + name[j + 1 :])
        found.update(name[:i] + name[i + 1 :] for i in range(len(name)))
    return found


_LONGEST_NAME = 64
