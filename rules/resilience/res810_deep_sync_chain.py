"""Services wait for each other in a long chain of calls, or far behind an event.

## Why

In a chain of synchronous calls everybody waits for everybody: the chain is as slow as the sum of its links, as available as their
product, and needs all of them at the same moment. Beyond four services it is hard to give the links timeouts that nest. A synchronous
call deep in a chain of events is the same coupling where nobody expects it: when the called service is away, the events of
the whole chain wait.

## Bad

```coord strict
query A, B, C, D, E

external service Browser { calls Gateway.A }
service Gateway {
  handles A {
    calls Carts.B { timeout 5s }
  }
}
service Carts {
  handles B {
    calls Prices.C { timeout 4s }
  }
}
service Prices {
  handles C {
    calls Rates.D { timeout 3s }
  }
}
service Rates {
  handles D {
    calls Bank.E { timeout 2s } # RES810
  }
}
service Bank { handles E succeeds }
```

## Good

```coord strict
query A, B, C, D, E

external service Browser { calls Gateway.A }
service Gateway {
  tags gateway
  handles A {
    calls Carts.B { timeout 5s }
  }
}
service Carts {
  handles B {
    calls Prices.C { timeout 4s }
  }
}
service Prices {
  handles C {
    calls Rates.D { timeout 3s }
  }
}
service Rates {
  handles D {
    calls Bank.E { timeout 2s }
  }
}
service Bank { handles E succeeds }
```

## Exempt

- A service with `tags gateway` or `tags bff` does not count: it only hands on.
- The calls of workflows behind an event: calling is what an orchestrator does.
- `optional` calls behind an event, and calls on a cycle (CYC501).

## Options

`depth` (4): the services in a chain above which it is told. `hops` (2): the asynchronous hops from an entry from which a call of another
service is told.

## References

- B. Ruecker: Practical Process Automation, O'Reilly 2021: synchronous call chains.
- N. Ford, M. Richards, P. Sadalage, Z. Dehghani: Software Architecture: The Hard Parts, O'Reilly 2021, ch. 2: dynamic quantum coupling.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from coordlint.analysis.calls import shown
from coordlint.finding import Finding, Label
from coordlint.rule import rule
from coordlint.system import Workflow

from ._words import PLACES, listed, target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.system import Action, Process, Service

_TAGS = frozenset({"gateway", "bff"})


@rule("RES810", "deep-sync-chain", "–/I/W", evidence="O", options={"depth": 4, "hops": 2})
def check(design: Design) -> Iterator[Finding]:
    """One finding per service at the end of a deep chain, and one per handler that calls far behind an event."""
    yield from _chains(design, check.option(design, "depth"))
    yield from _behind_events(design, check.option(design, "hops"))


def _chains(design: Design, limit: int) -> Iterator[Finding]:
    depth: dict[Process, int] = {}
    came: dict[Process, Action] = {}
    for process in reversed(design.calls.order):
        if process not in depth:
            depth[process] = 0 if process.service.external else _counts(process.service)
        for call in design.system.actions_of(process, "call"):
            for callee in design.calls.followed(call):
                reached = depth[process] + (_counts(callee.service) if callee.service is not process.service else 0)
                if reached > depth.get(callee, 0):
                    depth[callee], came[callee] = reached, call
    continued = {call.process for process, call in came.items() if depth[process] > limit}
    ends: dict[Service, Process] = {}
    for process in design.system.processes:
        if depth[process] > limit and process not in continued:
            known = ends.get(process.service)
            if known is None or depth[process] > depth[known]:
                ends[process.service] = process
    for process in ends.values():
        yield _chain(process, came, depth[process])


def _counts(service: Service) -> int:
    return not _TAGS.intersection(service.fact("tags").value or ())


def _chain(process: Process, came: dict[Process, Action], depth: int) -> Finding:
    calls = []
    at = process
    while at in came:
        calls.append(came[at])
        at = came[at].process
    services = [call.process.service.name for call in reversed(calls) if not call.process.service.external]
    path = " -> ".join(f"`{name}`" for name in dict.fromkeys((*services, process.service.name)))
    return Finding(
        primary=Label(calls[0].span, "the last of the chain"),
        message=f"{depth} services wait for each other in one chain of calls that ends at `{process.service.name}`",
        related=tuple(Label(call.span, "waits, too") for call in calls[1 : PLACES + 1]),
        notes=(path,),
        help="answer from data of one's own, or hand work on by an event or `sends`",
        silence="`tags gateway` at a service that only hands on, or the option `depth` of this rule",
        subject=f"service {process.service.name}",
    )


def _behind_events(design: Design, limit: int) -> Iterator[Finding]:
    for process, hops in _hops(design).items():
        if hops < limit or process.kind != "handler" or process.service.external:
            continue
        calls = [call for call in design.system.actions_of(process, "call") if _leaves(design, call)]
        if calls:
            yield Finding(
                primary=Label(calls[0].span, "waits for the answer"),
                message=f"{shown(process)} is {hops} asynchronous hops from an entry and calls {listed(map(target, calls))}",
                related=(Label(process.place, f"{hops} hops behind an entry"),),
                help="let the event carry what is asked for, or keep a copy of it",
                silence="`optional` at the call, or the option `hops` of this rule",
                subject=process.path,
            )


def _leaves(design: Design, call: Action) -> bool:
    if call.fact("optional").declared or call.message.phantom:
        return False
    return any(process.service is not call.process.service for process in design.calls.callees[call])


def _hops(design: Design) -> dict[Process, int]:
    """The fewest asynchronous hops from an entry of the design to each process; a request from outside is none."""
    index = design.index
    found: dict[Process, int] = {}
    queue: deque[tuple[int, Process]] = deque()
    for process in design.system.processes:
        if any(trigger.kind in {"entry", "timer"} for trigger in process.triggers):
            queue.append((0, process))
    for message in design.system.messages.values():
        if message.visibility == "external":
            queue.extend((0, process) for process in index.started.get(message, ()))
    for flow in design.system.flows.values():
        for start in flow.starts:
            starting = [start.process] if isinstance(start, Workflow) else index.started.get(start.message, [])
            queue.extend((0, process) for process in starting)
    while queue:
        hops, process = queue.popleft()
        if process in found:
            continue
        found[process] = hops
        for action in design.system.actions_of(process, "emit", "send", "call", "write"):
            if action.kind == "write":
                reached = [one for entity in action.entities for one in index.reacting(entity)]
            else:
                reached = index.started.get(action.message, [])
            if action.kind == "call" or (process.kind == "own" and process.service.external):
                queue.extendleft((hops, one) for one in reversed(reached))
            else:
                queue.extend((hops + 1, one) for one in reached)
    return found
