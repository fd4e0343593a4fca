"""The reference engine: tuples and counters, no reduction, written for clarity. The fast engine is held against it for ever."""

from __future__ import annotations

import random
from collections import deque

from coordlint.explore.tables import Act, Component, Kind, Row, Tables

MOST = 7

State = tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, ...], ...]]


class Raw:
    """The moves of some tables, as section "moves and prices" of the semantics has them."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        locals_ = tuple(component.initial for component in tables.components)
        empty = (0,) * len(tables.kinds), ((),) * tables.queues
        self.initial = self.send((locals_, *empty), tables.initial)
        self.ever = [self.takes_ever(kind) for kind in range(len(tables.kinds))]

    def send(self, state: State, emits: tuple[int, ...]) -> State:
        locals_, counts, queues = state
        for kind in emits:
            queue = self.tables.kinds[kind].queue
            if queue < 0:
                counts = (*counts[:kind], min(counts[kind] + 1, MOST), *counts[kind + 1 :])
            elif queues[queue].count(kind) < MOST:
                queues = (*queues[:queue], (*queues[queue], kind), *queues[queue + 1 :])
        return locals_, counts, queues

    def consume(self, state: State, kind: int) -> State:
        locals_, counts, queues = state
        queue = self.tables.kinds[kind].queue
        if queue < 0:
            return locals_, (*counts[:kind], counts[kind] - 1, *counts[kind + 1 :]), queues
        content = list(queues[queue])
        content.remove(kind)
        return locals_, counts, (*queues[:queue], tuple(content), *queues[queue + 1 :])

    def enter(self, state: State, component: int, local: int) -> State:
        locals_, counts, queues = state
        return (*locals_[:component], local, *locals_[component + 1 :]), counts, queues

    def takes_ever(self, kind: int) -> list[bool]:
        """By local state of the consumer: whether it can come to take the kind."""
        component = self.tables.components[self.tables.kinds[kind].to]
        found = []
        for local in range(component.size):
            seen, todo = {local}, [local]
            while todo:
                one = todo.pop()
                targets = [row.target for rows in component.rows[one].values() for row in rows]
                for target in (*targets, *(act.target for act in component.acts[one])):
                    if target not in seen:
                        seen.add(target)
                        todo.append(target)
            found.append(any(kind in component.rows[one] for one in seen))
        return found

    def moves(self, state: State) -> list[tuple[int, State]]:
        locals_, counts, queues = state
        available = [(kind, True) for kind in range(len(counts)) if counts[kind]]
        for queue in queues:
            available += [(kind, n == 0) for n, kind in enumerate(dict.fromkeys(queue))]
        for kind, _ in available:
            if self.tables.kinds[kind].urgent:
                available = [(kind, True)]
                return self.deliveries(state, kind, head=True)
        found: list[tuple[int, State]] = []
        for kind, head in available:
            if head or self.tables.kinds[kind].overtakes:
                found += self.deliveries(state, kind, head=head)
        busy = any(price == 0 for price, _ in found)
        late: list[tuple[int, State]] = []
        for number, component in enumerate(self.tables.components):
            for act in component.acts[locals_[number]]:
                target = self.send(self.enter(state, number, act.target), act.emits)
                if act.when != "late":
                    found.append((act.price, target))
                elif not busy:
                    late.append((act.depth, target))
        deepest = max((depth for depth, _ in late), default=0)
        return found + [(0, target) for depth, target in late if depth == deepest]

    def deliveries(self, state: State, kind: int, *, head: bool) -> list[tuple[int, State]]:
        one = self.tables.kinds[kind]
        rows = self.tables.rows(kind, state[0][one.to])
        waits = not rows and one.patient and self.ever[kind][state[0][one.to]]
        if waits:
            return []
        found: list[tuple[int, State]] = []
        extra = 0 if head else 1
        for row in rows:
            if row.price and extra:
                continue
            entered = self.enter(state, one.to, row.target)
            left = entered if row.keep else self.consume(entered, kind)
            found.append((row.price + extra, self.send(left, row.emits)))
            if one.copies and not row.keep and not row.price and not extra:
                found.append((1, self.send(entered, row.emits)))
        if not rows:
            found.append((extra, self.consume(state, kind)))
        if one.loss and not extra:
            found.append((1, self.consume(state, kind)))
        return found


def budgeted(raw: Raw, faults: int, limit: int) -> int | None:
    """How many pairs of a state and a budget there are; None if there are more than the limit."""
    seen: set[tuple[State, int]] = {(raw.initial, faults)}
    todo = list(seen)
    while todo:
        state, budget = todo.pop()
        for price, target in raw.moves(state):
            following = (target, budget - price)
            if price <= budget and following not in seen:
                seen.add(following)
                todo.append(following)
        if len(seen) > limit:
            return None
    return len(seen)


class Explored:
    """All states within a number of faults: the layer of each, and what they rest in."""

    def __init__(self, tables: Tables, faults: int, limit: int = 20_000, raw: Raw | None = None) -> None:
        raw = raw or Raw(tables)
        self.layer: dict[State, int] = {raw.initial: 0}
        self.free: dict[State, list[State]] = {}
        queue = deque([raw.initial])
        self.complete = True
        while queue:
            state = queue.popleft()
            if state in self.free:
                continue
            if len(self.layer) > limit:
                self.complete = False
                return
            layer = self.layer[state]
            self.free[state] = []
            for price, target in raw.moves(state):
                if price == 0:
                    self.free[state].append(target)
                total = layer + price
                if total <= faults and total < self.layer.get(target, faults + 1):
                    self.layer[target] = total
                    self.free.pop(target, None)
                    (queue.append if price else queue.appendleft)(target)

    def terminals(self) -> dict[tuple[int, ...], int]:
        """The vectors of local states without a free move, with their least number of faults."""
        found: dict[tuple[int, ...], int] = {}
        for state, targets in self.free.items():
            if not targets:
                found[state[0]] = min(found.get(state[0], 99), self.layer[state])
        return found

    def locals(self) -> dict[tuple[int, int], int]:
        """The local states that are reached, with their least number of faults."""
        found: dict[tuple[int, int], int] = {}
        for state, layer in self.layer.items():
            for one in enumerate(state[0]):
                found[one] = min(found.get(one, 99), layer)
        return found

    def livelock(self) -> bool:
        """Whether some state leads to no end without a further fault."""
        before: dict[State, list[State]] = {}
        for state, targets in self.free.items():
            for target in targets:
                before.setdefault(target, []).append(state)
        todo = [state for state, targets in self.free.items() if not targets]
        ending = set(todo)
        while todo:
            for state in before.get(todo.pop(), ()):
                if state not in ending:
                    ending.add(state)
                    todo.append(state)
        return len(ending) < len(self.free)


def random_tables(seed: int, *, cyclic: bool = False, wide: bool = False) -> Tables:
    """A small random system; unless cyclic, kinds only cause kinds with higher numbers. Wide ones have more components."""
    rng, outcomes = random.Random(seed), random.Random(~seed)
    count = rng.randint(4, 6) if wide else rng.randint(1, 4)
    components = [Component(f"c{n}") for n in range(count)]
    queues = rng.randint(0, 1)
    owner = rng.randrange(count)
    kinds = []
    for n in range(rng.randint(5, 9) if wide else rng.randint(2, 6)):
        queued = bool(queues) and rng.random() < 0.4
        kinds.append(
            Kind(
                f"m{n}",
                owner if queued else rng.randrange(count),
                copies=rng.random() < 0.5,
                loss=rng.choice(["", "", "omission", "park"]),
                patient=rng.random() < 0.25,
                queue=0 if queued else -1,
                overtakes=queued and rng.random() < 0.4,
            )
        )
    if rng.random() < 0.3:  # an observer: it hears at once and says nothing
        components.append(Component("observer"))
        kinds += [Kind(f"u{n}", count, urgent=True) for n in range(2)]

    def emits(after: int) -> tuple[int, ...]:
        possible = list(range(len(kinds))) if cyclic else list(range(after + 1, len(kinds)))
        return tuple(rng.sample(possible, min(len(possible), rng.choice([0, 0, 1, 1, 2]))))

    if len(components) > count:
        first, then = len(kinds) - 2, len(kinds) - 1
        if seed % 2:  # what it has heard it may forget by itself, and then it hears something else
            components[count].rows += [{first: (Row(1),)}, {then: (Row(1),)}, {then: (Row(3),)}, {}]
            components[count].acts += [(), (Act(2, (), "crash", 1, 0, 2),), (), ()]
        else:
            components[count].rows += [{first: (Row(1),), then: (Row(2),)}, {}, {}]
            components[count].acts += [(), (), ()]
    for number, component in enumerate(components[:count]):
        size = rng.randint(1, 4)
        for local in range(size):
            rows = {}
            for kind, one in enumerate(kinds):
                if one.to == number and rng.random() < 0.7:
                    group = []
                    for _ in range(rng.choice([1, 1, 1, 2])):
                        lowest = 0 if cyclic else local
                        target = local if rng.random() < 0.3 else rng.randrange(lowest, size)
                        price = int(rng.random() < 0.15)
                        rare = (
                            bool(price) and outcomes.random() < 0.5
                        )  # an outcome of 0%, or a crash that leaves the message
                        group.append(
                            Row(target, emits(kind), price, bool(price) and not rare, len(group),
                                fault="rare" if rare else "publish")
                        )  # fmt: skip
                    if all(row.price for row in group):
                        group[0] = group[0]._replace(price=0, keep=False)
                    rows[kind] = tuple(group)
            acts = []
            if rng.random() < 0.3 and local + 1 < size:
                target, sent, depth = rng.randint(local + 1, size - 1), emits(-1), rng.randint(0, 1)
                acts.append(Act(target, sent, "late", 0, depth, 0))
                acts.append(Act(target, sent, "early", 1, depth, 1))
            if rng.random() < 0.15 and local + 1 < size:
                acts.append(Act(rng.randint(local + 1, size - 1), emits(-1), "crash", 1, 0, 2))
            if rng.random() < 0.1 and local + 1 < size:
                acts.append(Act(rng.randint(local + 1, size - 1), emits(-1), "free", 0, 0, 3))
            component.rows.append(rows)
            component.acts.append(tuple(acts))
    plain = [kind for kind, one in enumerate(kinds) if not one.urgent]
    initial = tuple(rng.sample(plain, rng.randint(1, min(3, len(plain)))))
    return Tables(components, kinds, initial, queues)
