"""Unused definitions: what nothing that happens in a design refers to, directly or through other definitions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple, TypeAlias

from coordlint.system import (
    Broker,
    Channel,
    DeadLetter,
    Element,
    Flow,
    Message,
    MessageUse,
    Service,
    Store,
    System,
    Type,
    Workflow,
)

Definition: TypeAlias = Message | Type | Channel | Broker | Store | Service


class Unused(NamedTuple):
    """A definition that nothing uses, and those that only it refers to (with those that only they refer to), by kind and name."""

    definition: Definition
    only_by_it: tuple[Definition, ...]


def unused(system: System) -> list[Unused]:
    """The unused definitions, by kind and name; one that another unused one refers to is told with that one.

    Used is what processes, flows, monitors and workflows name, what services use that do something themselves, and what those
    definitions refer to in turn: a message its channel and types, a channel its broker and its dead-letter channel, a store
    its owner. Linear in the design.
    """
    refers = {one: list(_referred(one, system)) for one in _definitions(system)}
    live = _closure(_roots(system), refers)
    dead = {one: [two for two in refers[one] if two not in live] for one in refers if one not in live}
    owners = _owners(_heads(dead), dead)
    behind: dict[Definition, list[Definition]] = {}
    for one in dead:
        owner = owners[one]
        if owner is not None:
            behind.setdefault(owner, []).append(one)
    return [
        Unused(head, tuple(one for one in behind[head] if one is not head))
        for head in dead
        if owners[head] is head and not head.phantom
    ]


def _owners(heads: list[Definition], dead: dict[Definition, list[Definition]]) -> dict[Definition, Definition | None]:
    """The one head from which each unused definition is reached; None where there are several."""
    owners: dict[Definition, Definition | None] = {head: head for head in heads}
    pending = list(heads)
    while pending:
        one = pending.pop()
        for two in dead[one]:
            before = owners.get(two, two)
            owner = owners[one]
            if two not in owners:
                owners[two] = owner
                pending.append(two)
            elif before is not owner and before is not None:
                owners[two] = None
                pending.append(two)
    return owners


def _definitions(system: System) -> Iterator[Definition]:
    for space in (
        system.messages,
        system.types,
        system.channels,
        system.brokers,
        system.stores,
        system.services,
    ):
        yield from space.values()


def _heads(dead: dict[Definition, list[Definition]]) -> list[Definition]:
    """Those that no other unused one refers to; of definitions that only refer to each other, the first."""
    referred = {two for one, others in dead.items() for two in others if two is not one}
    heads = [one for one in dead if one not in referred]
    covered = _closure(heads, dead)
    for one in dead:
        if one not in covered:
            heads.append(one)
            covered |= _closure([one], dead)
    return heads


def _closure(starts: Iterable[Definition], refers: dict[Definition, list[Definition]]) -> set[Definition]:
    found = set(starts)
    pending = list(found)
    while pending:
        for one in refers.get(pending.pop(), ()):
            if one not in found:
                found.add(one)
                pending.append(one)
    return found


def _referred(one: Definition, system: System) -> Iterator[Definition]:
    """What a definition refers to by itself."""
    if isinstance(one, Message):
        for version in one.versions:
            yield from (version.channel,) if version.channel is not None else ()
            yield from (system.types[field.type] for field in version.fields if field.type in system.types)
    elif isinstance(one, Type):
        yield from (system.types[field.type] for field in one.fields if field.type in system.types)
    elif isinstance(one, Channel):
        yield from (one.broker,) if one.broker is not None else ()
        yield from _dead_letter(one)
    elif isinstance(one, Store):
        owner = one.fact("owner").value
        yield from (owner,) if isinstance(owner, Service) else ()
    else:
        yield from (use.target for use in one.uses)


def _dead_letter(one: Element) -> Iterator[Channel]:
    value = one.fact("dead_letter").value
    if isinstance(value, DeadLetter):
        yield value.channel


def _roots(system: System) -> Iterator[Definition]:
    """What happens names: processes with their actions, flows, monitors, and what does something or uses something itself."""
    for process in system.processes:
        yield process.service
        for trigger in process.triggers:
            yield from (use.message for use in trigger.uses)
            yield from (trigger.via,) if trigger.via is not None else ()
            yield from (trigger.entity.store,) if trigger.entity is not None else ()
        compensated, state = process.fact("compensates").value, process.fact("state").value
        yield from (compensated.message,) if isinstance(compensated, MessageUse) else ()
        yield from (state,) if isinstance(state, Store) else ()
        yield from (target.channel for target in (process.fact("dead_letter").value,) if isinstance(target, DeadLetter))
    for action in system.actions:
        for use in action.uses:
            yield use.message
            yield from (use.service,) if use.service is not None else ()
        yield from (entity.store for entity in action.entities)
    for service in system.services.values():
        if service.uses:
            yield service
            yield from (use.target for use in service.uses)
    for flow in system.flows.values():
        yield from _named_by(flow)
    for monitor in system.monitors.values():
        yield from (one for one in monitor.watches if isinstance(one, Service | Channel))
        yield from (use.target for use in monitor.uses)


def _named_by(flow: Flow) -> Iterator[Definition]:
    goals = [goal.targets for goal in (flow.success, flow.failure) if goal is not None]
    for target in (*flow.starts, *(target for targets in goals for target in targets)):
        yield target.service if isinstance(target, Workflow) else target.message
    for order in flow.orders:
        yield from (order.first.message, order.then.message)
    if flow.source is not None:
        yield flow.source
