"""A workflow forgets in a crash what it has done already, or what it needs to go on.

## Why

An orchestrator can lead a process forward or back only as long as it knows where the process stands. If that is kept in memory, a crash
between two steps leaves a charged card and an order that nobody ships: nothing remembers the first step, so nothing does the
second one or undoes the first. The log of a saga has to survive its coordinator.

The same holds for the data that the steps of a durable process read: if they are kept in memory, the process comes back
after a restart and finds its order gone.

## Bad

```coord
command PlaceOrder, Charge, Refund, Ship
external service Shopper { sends Orders.PlaceOrder }

store OrdersDb
service Orders { uses OrdersDb }

workflow Checkout in Orders {
  starts on PlaceOrder
  idempotent
  state memory # SPF102
  step charge calls Payments.Charge { compensate Payments.Refund }
  step ship calls Shipping.Ship { retriable }
}

service Payments {
  handles Charge { idempotent  acts "charges the card" }
  handles Refund { idempotent  fences  compensates Charge  acts "refunds the card" }
}
service Shipping {
  handles Ship { idempotent  acts "sends the parcel" }
}
```

```coord
command PlaceOrder, StartOrder, Charge
external service Shopper { sends Orders.PlaceOrder }

store Engine
store OrdersDb {
  owner Orders
  in-memory # SPF102
}

service Orders {
  handles PlaceOrder {
    idempotent
    writes OrdersDb.orders
    sends Orders.StartOrder
  }
}

workflow Order in Orders {
  starts on StartOrder
  idempotent
  state in Engine
  reads OrdersDb.orders
  step charge calls Payments.Charge { retriable }
}

service Payments {
  handles Charge { idempotent  acts "charges the card" }
}
```

## Good

```coord
command PlaceOrder, Charge, Refund, Ship
external service Shopper { sends Orders.PlaceOrder }

store OrdersDb
service Orders { uses OrdersDb }

workflow Checkout in Orders {
  starts on PlaceOrder
  idempotent
  state in OrdersDb
  step charge calls Payments.Charge { compensate Payments.Refund }
  step ship calls Shipping.Ship { retriable }
}

service Payments {
  handles Charge { idempotent  acts "charges the card" }
  handles Refund { idempotent  fences  compensates Charge  acts "refunds the card" }
}
service Shipping {
  handles Ship { idempotent  acts "sends the parcel" }
}
```

```coord
command PlaceOrder, StartOrder, Charge
external service Shopper { sends Orders.PlaceOrder }

store Engine
store OrdersDb {
  owner Orders
}

service Orders {
  handles PlaceOrder {
    idempotent
    writes OrdersDb.orders
    sends Orders.StartOrder
  }
}

workflow Order in Orders {
  starts on StartOrder
  idempotent
  state in Engine
  reads OrdersDb.orders
  step charge calls Payments.Charge { retriable }
}

service Payments {
  handles Charge { idempotent  acts "charges the card" }
}
```

## Exempt

- A workflow that changes at most one thing, waits for nothing and has nothing to undo: there is nothing to remember.
- An `idempotent` workflow whose start is delivered at least once and whose steps are all idempotent and wait for nothing: it is run again
  from the beginning. That the start is acknowledged only at its end is taken for granted, as the language has no word for it.
- Data in memory that only projections write: they can be built again.

Where nothing is said about the state of a workflow, the rule is silent.

## References

- H. Garcia-Molina, K. Salem: Sagas, 1987: the saga log.
- G. Hohpe, B. Woolf, Enterprise Integration Patterns, *Process Manager*: it keeps the state of the sequence.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.delivery import guards_itself, shown
from coordlint.finding import Claim, Finding, Fix, Label
from coordlint.rule import rule
from coordlint.source import Edit
from coordlint.system import Store

from ._words import listed, span_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.system import Action, Fact, Process


@rule("SPF102", "orchestrator-state-not-durable", "W/E/E", evidence="D")
def check(design: Design) -> Iterator[Finding]:
    """One finding per workflow with volatile state, and per volatile store that a durable one rests on."""
    kept = _kept(design)
    for workflow in design.system.workflows.values():
        process, state = workflow.process, workflow.process.fact("state")
        if not state.declared or (isinstance(state.value, Store) and state.value.phantom):
            continue
        if _is_volatile(state):
            if _has_something_to_remember(design, process) and not _is_run_again(design, process):
                yield _volatile_state(design, process, state)
        else:
            yield from _volatile_data(design, process, state, kept)


def _is_volatile(state: Fact) -> bool:
    return state.value == "memory" or (isinstance(state.value, Store) and state.value.fact("in_memory").declared)


# ------------------------------------------------------------------------------------------------ the state


def _has_something_to_remember(design: Design, process: Process) -> bool:
    return bool(_waits(design, process) or _undoing(process) or _second_effect(design, process))


def _waits(design: Design, process: Process) -> list[Action]:
    return [one for one in design.system.actions_of(process, "await", "timer") if one.region == "main"]


def _undoing(process: Process) -> bool:
    return any(step.compensation for step in process.steps)


def _second_effect(design: Design, process: Process) -> Action | None:
    """An effect that can follow another one in the same run: its crash window lies between the two."""
    actions = design.system.actions
    for first in _effects(design, process):
        seen = {first.id}
        pending = [edge.target for edge in first.edges if edge.kind not in {"failure", "timeout", "compensate"}]
        while pending:
            number = pending.pop()
            if number in seen:
                continue
            seen.add(number)
            if _is_effect(design, actions[number]):
                return actions[number]
            pending += [edge.target for edge in actions[number].edges if edge.kind not in {"failure", "timeout"}]
    return None


def _effects(design: Design, process: Process) -> list[Action]:
    return [one for one in design.system.actions_of(process) if one.region == "main" and _is_effect(design, one)]


def _is_effect(design: Design, action: Action) -> bool:
    """Whether the world is another one after it: data, the outside, a published event, a command that changes something."""
    if action.kind in {"write", "act", "emit"}:
        return True
    if action.kind not in {"send", "call"} or action.message.kind == "query":
        return False
    handlers = design.index.handlers(action.message)
    return not handlers or any(design.delivery.changes_state(handler) for handler in handlers)


def _is_run_again(design: Design, process: Process) -> bool:
    """Whether a redelivered start repeats the whole process without harm."""
    if (
        _waits(design, process)
        or not process.fact("idempotent").declared
        or not design.delivery.is_redelivered(process)
    ):
        return False
    requests = [one for one in _effects(design, process) if one.kind in {"send", "call"}]
    handlers = [design.index.handlers(one.message) for one in requests]
    return all(found and all(guards_itself(handler) for handler in found) for found in handlers)


def _volatile_state(design: Design, process: Process, state: Fact) -> Finding:
    effects, waits = _effects(design, process), _waits(design, process)
    effect = effects[0] if effects else None
    if effect is not None:
        lost = f"after `{shown(effect)}`, a crash leaves nothing that goes on or undoes it"
    else:
        lost = "a crash leaves nothing that still waits"
    where = "in memory" if state.value == "memory" else f"in `{state.value.name}`, which is in memory"
    related = [Label(effect.span, "done, and forgotten by a crash")] if effect is not None else []
    related += [Label(wait.span, "still waiting, and forgotten by a crash") for wait in waits[:1]]
    if isinstance(state.value, Store):
        related.append(Label(span_of(state.value.fact("in_memory")), "lost with the process that holds it"))
    undoing = [step.label for step in process.steps if step.compensation]
    return Finding(
        primary=Label(span_of(state), "lost in a crash"),
        message=f"`{_name(process)}` keeps its state {where}: {lost}",
        related=tuple(related),
        help="keep the state in a durable store: `state in STORE`",
        notes=(f"its compensations are lost with it: {', '.join(undoing[:6])}",) if undoing else (),
        silence="`state in STORE`",
        fix=_fix(design, process, state),
        subject=process.path,
        claim=Claim(("B14",), (process.place, *((process.workflow.place,) if process.workflow is not None else ()))),
    )


def _fix(design: Design, process: Process, state: Fact) -> Fix | None:
    """The one durable store that the orchestrator owns or uses."""
    service = process.service
    owned = [store for store in design.system.stores.values() if store.fact("owner").value is service]
    used = [use.target for use in service.uses if isinstance(use.target, Store)]
    found = [one for one in dict.fromkeys((*owned, *used)) if not one.phantom and not one.fact("in_memory").declared]
    if len(found) != 1 or "." in found[0].name:
        return None
    return Fix(f"keep the state in `{found[0].name}`", (Edit(span_of(state), f"state in {found[0].place.text}"),))


def _name(process: Process) -> str:
    return process.workflow.name if process.workflow is not None else process.name


# ------------------------------------------------------------------------------------------------ the data


def _volatile_data(
    design: Design, process: Process, state: Fact, kept: set[tuple[Store, str | None]]
) -> Iterator[Finding]:
    """What the process or its service's own handlers read on its behalf from stores that a restart empties."""
    reads: dict[Store, list[Action]] = {}
    for action in design.system.actions_of(process):
        for reader in _readers(design, action):
            for entity in reader.entities:
                if entity.store.fact("in_memory").declared and (entity.store, entity.entity) in kept:
                    reads.setdefault(entity.store, []).append(reader)
    for store in sorted(reads, key=lambda one: one.name):
        actions = list({action.id: action for action in reads[store]}.values())
        texts = list(dict.fromkeys(use.text for one in actions for use in one.entities if use.store is store))
        yield Finding(
            primary=Label(span_of(store.fact("in_memory")), "emptied by a restart"),
            message=(
                f"`{_name(process)}` keeps its state in `{state.value.name}` and survives a restart, but reads {listed(texts)}, "
                "which does not"
            ),
            related=(*(Label(one.span, "read here") for one in actions[:4]), Label(span_of(state), "durable")),
            help=f"keep the data of the process in a durable store too, or carry them in its messages instead of `{store.name}`",
            silence=f"`{store.name}` without `in-memory`",
            subject=f"{process.path} / store {store.name}",
            claim=Claim(("B14",), tuple(one.span for one in actions)),
        )


def _readers(design: Design, action: Action) -> Iterator[Action]:
    """The reads of an action: its own, or those of a handler of the same service that it calls."""
    if action.kind == "read":
        yield action
    elif action.kind == "call":
        for handler in design.index.handlers(action.message):
            if handler.service is action.process.service and handler is not action.process:
                yield from design.system.actions_of(handler, "read")


def _kept(design: Design) -> set[tuple[Store, str | None]]:
    """What something other than a projection writes, so that nothing builds it again; entity None for any part of a store."""
    found: set[tuple[Store, str | None]] = set()
    for (store, entity), actions in design.index.writers.items():
        if any(not action.process.fact("projection").declared for action in actions):
            found |= {(store, entity), (store, None)}
    return found
