"""Persistent sets (reduction R4): a few components may move first where nobody outside of them can interfere until they do."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from coordlint.explore.tables import Tables, bits, gathered, members


class Persistence:
    """Who can send to whom, from which local state on, and after hearing from whom.

    A group of components is persistent if no run of the others, in which the group does not move, sends it anything (P.
    Godefroid, Partial-order methods for the verification of concurrent systems, 1996). Late timers play no part in such runs:
    they wait until all that can be delivered is delivered, and the group has something to take. The set of what the others may
    do is taken as if messages were never used up.

    Args:
        tables: the scene.
        reach: by component and local state, the local states that can follow it.
        without: faults that do not happen.

    Attributes:
        centre: the component that all others answer to; while it can move, it can still send to each of them, and there is no
            need to look for a group. -1 if there is none.
        telling: the components that act by themselves, or whose sending depends on where they are.
    """

    def __init__(self, tables: Tables, reach: list[list[int]], without: frozenset[str] = frozenset()) -> None:
        self.tables = tables
        self.without = without
        count = len(tables.components)
        self.senders = [0] * len(tables.kinds)
        for number, component in enumerate(tables.components):
            emitted: set[int] = set()
            for rows in component.rows:
                for group in rows.values():
                    for row in group:
                        emitted.update(row.emits)
            emitted.update(kind for acts in component.acts for act in acts for kind in act.emits)
            for kind in emitted:
                self.senders[kind] |= 1 << number
        for kind in tables.initial:
            self.senders[kind] |= 1 << count
        # What several may send to at once without commuting: an observer hears in the order of sending, a queue keeps it.
        self.shared = bits(kind.to for kind in tables.kinds if kind.urgent)
        self.into: list[int] = []
        for one in tables.kinds:
            queue = 1 << (count + one.queue) if one.queue >= 0 else 0
            self.shared |= queue
            self.into.append(1 << one.to | queue)
        self.centre = self._middle()
        self._sends: list[dict[int, list[int]]] = [{}, {}]
        self._unasked: dict[tuple[int, int, bool], dict[int, bool]] = {}
        self._ever: dict[tuple[int, int, bool], bool] = {}
        self._reach = reach

    @cached_property
    def telling(self) -> list[int]:
        """The components that act by themselves, or whose sending depends on where they are."""
        return [
            number
            for number, one in enumerate(self.tables.components)
            if any(one.acts) or any(len(set(self._sent(number, calm))) > 1 for calm in (False, True))
        ]

    def _middle(self) -> int:
        """The component that all others answer to, as the services of one workflow do; -1 if there is none."""
        count = len(self.tables.components)
        to = [0] * (count + 1)
        for kind, one in enumerate(self.tables.kinds):
            for number in members(self.senders[kind]):
                to[number] |= 1 << one.to
        for number in range(count):
            others = ((1 << count) - 1) & ~(1 << number) & ~self.shared
            if not any(to[n] & others for n in range(count) if n != number):
                return number
        return -1

    def onward(self, component: int, before: int, after: int, kind: int) -> bool:
        """Whether a delivery gets on for good: so that nothing is put off for ever by deliveries like it.

        It takes its component to where it cannot come back from, or it uses up a message that only causes messages which are
        used up like it. Each such delivery makes the pair of (where everybody is, what is in flight) smaller in a well-founded
        order, whatever the others do in between.
        """
        return self._fading[kind] or not self._reach[component][after] >> before & 1

    @cached_property
    def _fading(self) -> list[bool]:
        """By kind: whether no run of deliveries that begins with it, and in which everybody could come back, goes on for ever."""
        kinds = range(len(self.tables.kinds))
        causes: list[set[int]] = [set() for _ in kinds]
        for number, component in enumerate(self.tables.components):
            for local, rows in enumerate(component.rows):
                for kind, group in rows.items():
                    for row in group:
                        if self._reach[number][row.target] >> local & 1:
                            causes[kind].update(row.emits)
        after = [sorted(one) for one in causes]
        behind = gathered(after, [1 << kind for kind in kinds])
        circling = bits(kind for kind in kinds if any(behind[one] >> kind & 1 for one in after[kind]))
        return [not behind[kind] & circling for kind in kinds]

    def group(
        self,
        locals_: tuple[int, ...],
        flight: Iterable[int],
        seeds: list[int],
        movable: list[int],
        *,
        calm: bool,
    ) -> int | None:
        """The smallest persistent group around one of the seeds, as a bit set; None if that is everybody who can move.

        Args:
            locals_: the local states; only those of `telling` and of those who have something to take matter.
            flight: the kinds in flight.
            seeds: the components that have something to take, free of charge.
            movable: the components that can move at all, ascending.
            calm: no more faults happen.
        """
        heard: dict[int, int] = {}
        for kind in flight:
            to = self.tables.kinds[kind].to
            heard[to] = heard.get(to, 0) | self.senders[kind]
        best: list[int] | None = None
        for seed in seeds:
            group = [seed]
            grew = True
            while grew and (best is None or len(group) < len(best)):
                grew = False
                inside = bits(group)
                for one in group:
                    inside |= self._sent(one, calm)[locals_[one]] & self.shared
                for one in movable:
                    if one not in group and self._reaches(one, inside, locals_, heard, calm):
                        group.append(one)
                        grew = True
                        break
            if len(group) < len(movable if best is None else best):
                best = group
        return bits(best) if best is not None else None

    def _reaches(self, start: int, group: int, locals_: tuple[int, ...], heard: dict[int, int], calm: bool) -> bool:
        """Whether something that a component does may make somebody outside of the group send to it."""
        seen = 1 << start
        todo = [start]
        everybody = (1 << len(locals_)) - 1
        while todo:
            one = todo.pop()
            sent = self._sent(one, calm)[locals_[one]]
            if sent & group & self.shared:
                return True
            for target in members(sent & group):
                if heard.get(one, 0) >> target & 1 or self._sends_unasked(one, locals_[one], target, calm):
                    return True
            new = sent & everybody & ~seen & ~group
            seen |= new
            todo += members(new)
        return False

    def _sent(self, component: int, calm: bool) -> list[int]:
        """The components and queues that a component may send to, from each local state on, as bit sets."""
        if component not in self._sends[calm]:
            self._sends[calm][component] = gathered(*self._graph(component, calm))
        return self._sends[calm][component]

    def _sends_unasked(self, component: int, local: int, target: int, calm: bool) -> bool:
        """Whether a component may send to another one without hearing from it first."""
        key = component, target, calm
        if component not in self.telling:  # it is not looked at where it is
            if key not in self._ever:
                everywhere = range(self.tables.components[component].size)
                direct = [self._steps(component, one, calm, asked_by=1 << target)[1] for one in everywhere]
                self._ever[key] = any(sent >> target & 1 for sent in direct)
            return self._ever[key]
        known = self._unasked.setdefault(key, {})
        if local not in known:
            seen, todo = {local: None}, [local]
            for one in todo:
                if known.get(one):
                    break
                if one in known:
                    continue
                after, sent = self._steps(component, one, calm, asked_by=1 << target)
                if sent >> target & 1:
                    known[one] = True
                    break
                new = [other for other in after if other not in seen]
                seen.update(dict.fromkeys(new))
                todo += new
            else:
                known.update(dict.fromkeys(seen, False))
            known.setdefault(local, True)
        return known[local]

    def _graph(self, component: int, calm: bool) -> tuple[list[list[int]], list[int]]:
        """The local states that follow each other, and to whom each of them sends."""
        found = [self._steps(component, local, calm) for local in range(self.tables.components[component].size)]
        return [after for after, _ in found], [sent for _, sent in found]

    def _steps(self, component: int, local: int, calm: bool, asked_by: int = 0) -> tuple[list[int], int]:
        """The local states that follow one, and to whom it sends; rows that only one asks for can be left out."""
        one = self.tables.components[component]
        targets: set[int] = set()
        emitted: set[int] = set()
        sent = 0
        for kind, group in one.rows[local].items():
            if not asked_by or self.senders[kind] & ~asked_by:
                for row in group:
                    if not (calm and row.price):
                        targets.add(row.target)
                        emitted.update(row.emits)
        for act in one.acts[local]:
            if act.when != "late" and act.when not in self.without and not (calm and act.price):
                targets.add(act.target)
                emitted.update(act.emits)
                sent |= self.shared & 1 << component  # an observer that acts by itself hears in the order of that, too
        for kind in emitted:
            sent |= self.into[kind]
        return sorted(targets), sent
