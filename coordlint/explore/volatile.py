"""Stores in memory: a restart of their owner takes away what was written, and a process that outlives it reads and finds nothing.

Data are not modelled, but whether there are any is: each such store is an observer that is told of reads and writes at once, as
far as the scene itself has written what it reads. A scene without such a store has not one state more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from coordlint.explore.conduct import called
from coordlint.explore.scene import is_atomic
from coordlint.explore.tables import Act, Component, Row, Rows
from coordlint.system import EntityUse, Fact, Service, Store

if TYPE_CHECKING:
    from coordlint.explore.compiler import Compiler
    from coordlint.system import Action, Process

EMPTY, WRITTEN, LOST = 0, 1, 2
"""What there is of an entity: nothing from this scene, what it has written, or what a restart has left of that."""


class Look(NamedTuple):
    """A place where something is read: the action, and which of the entities it is."""

    action: Action
    entity: str | None


class Volatile:
    """The stores in memory of a scene.

    Args:
        compiler: of the scene; its processes are known, and nothing is built yet.
    """

    def __init__(self, compiler: Compiler) -> None:
        self.compiler = compiler
        self.kinds: set[int] = set()
        self._told: dict[int, tuple[int, ...]] = {}
        self._writes: dict[int, int] = {}
        for store in compiler.system.stores.values():
            if store.fact("in_memory").declared:
                self._observe(store)

    def touched(self, action: Action, emits: tuple[int, ...]) -> tuple[int, ...]:
        """What observers hear of a read or write behind others in one move.

        Reads are heard before writes, so what is read behind a write of the same move is left out: it is there.
        """
        told = self._told.get(action.id, ())
        if not told or action.kind == "write":
            return tuple(kind for kind in told if kind not in emits)
        return tuple(kind for kind in told if self._writes[kind] not in emits)

    def wrote(self, kind: int) -> bool:
        """Whether a kind tells of a write."""
        return kind in self._writes.values()

    # -------------------------------------------------------------------------------------------- a store

    def _observe(self, store: Store) -> None:
        compiler = self.compiler
        looks, writes = self._looks(store), self._written(store)
        entities = list(dict.fromkeys(look.entity for look in looks))
        entities = [one for one in entities if any(_meets(one, entity) for _, entity in writes)]
        if not entities:
            return
        volatile = store.fact("in_memory")
        known = Fact("absent", None, volatile.span)
        name, text = f"store {store.name}|durable", f"`{store.name}` keeps its data in memory"
        if compiler.facts.good(known, name, text, store.place, f"keep `{store.name}` on disk"):
            return
        owner = store.fact("owner").value
        number = compiler.component(owner.name if isinstance(owner, Service) else store.name)
        heard: dict[int, Look] = {}
        for look in looks:
            if look.entity in entities:
                kind = compiler.out.kind(("read", look.action.id, look.entity), store.name, number, urgent=True)
                self._told[look.action.id] = (*self._told.get(look.action.id, ()), kind)
                heard[kind] = look
        kinds = [compiler.out.kind(("wrote", store, one), store.name, number, urgent=True) for one in entities]
        for action, entity in writes:
            met = tuple(kind for kind, one in zip(kinds, entities, strict=True) if _meets(one, entity))
            self._told[action.id] = tuple(dict.fromkeys((*self._told.get(action.id, ()), *met)))
        self._writes.update({kind: kinds[entities.index(look.entity)] for kind, look in heard.items()})
        self.kinds.update((*heard, *kinds))
        compiler.out.stores[number] = store
        self._build(compiler.out.tables.components[number], store, kinds, heard, entities)

    def _build(
        self,
        component: Component,
        store: Store,
        kinds: list[int],
        heard: dict[int, Look],
        entities: list[str | None],
    ) -> None:
        """One local state for what there is of each entity, and one for each read that finds nothing."""
        compiler = self.compiler
        owner = store.fact("owner").value
        text = f"`{store.name}` restarts, and what it kept in memory is gone"
        if isinstance(owner, Service):
            text = f"{owner.name} restarts, and `{store.name}`, which is in its memory, is empty"
        crash = compiler.note(text, store.fact("in_memory").span or store.place)
        states = [(EMPTY,) * len(kinds)]
        numbers = {states[0]: 0}

        def at(state: tuple[int, ...]) -> int:
            if state not in numbers:
                numbers[state] = len(states)
                states.append(state)
            return numbers[state]

        for number, state in enumerate(states):  # grows while it is gone through
            rows: Rows = {kind: (Row(number),) for kind in (*kinds, *heard)}
            for index, kind in enumerate(kinds):
                rows[kind] = (Row(at((*state[:index], WRITTEN, *state[index + 1 :]))),)
            component.rows.append(rows)
            gone = tuple(LOST if one == WRITTEN else one for one in state)
            component.acts.append((Act(at(gone), (), "crash", 1, 0, crash),) if gone != state else ())
        for kind, look in heard.items():
            what = f"`{store.name}.{look.entity}`" if look.entity else f"`{store.name}`"
            text = f"{called(look.action.process)} can look for {what} and find nothing"
            note = compiler.note(text, look.action.span, (), (look.action.id,))
            end = len(component.rows)
            for state, number in numbers.items():
                if state[entities.index(look.entity)] == LOST:
                    component.rows[number][kind] = (Row(end, note=note, error=True),)
            component.rows.append({one: (Row(end),) for one in (*kinds, *heard)})
            component.acts.append(())

    def _looks(self, store: Store) -> list[Look]:
        """Where processes read that a restart of the owner leaves alive."""
        owner = store.fact("owner").value
        found = []
        for process in self.compiler.scene.processes:
            if self._outlives(process, owner):
                for action in self.compiler.system.actions_of(process, "read"):
                    found += [Look(action, one.entity) for one in action.entities if one.store is store]
        return found

    def _outlives(self, process: Process, owner: object) -> bool:
        """Whether a process goes on where it was when a service restarts, and so does all of that service that could lead to it.

        A handler that runs in one move is not in the midst of anything; a workflow with its state in a store comes back.
        """
        compiler = self.compiler
        return process.service is not owner or all(
            one.kind == "workflow" and compiler.durability(one) == "store"
            for one in compiler.scene.processes
            if one.service is owner and not is_atomic(one, compiler.system)
        )

    def _written(self, store: Store) -> list[tuple[Action, str | None]]:
        """Where the scene writes; what a projection writes can be built again."""
        found = []
        for process in self.compiler.scene.processes:
            if not process.fact("projection").declared:
                for action in self.compiler.system.actions_of(process, "write"):
                    uses: list[EntityUse] = [one for one in action.entities if one.store is store]
                    found += [(action, one.entity) for one in uses]
        return found


def _meets(one: str | None, other: str | None) -> bool:
    """Whether two entities of a store may be the same; where only the store is named, it may be any."""
    return one is None or other is None or one == other
