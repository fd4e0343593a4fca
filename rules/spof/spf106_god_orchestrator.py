"""One orchestrator runs most of the flows and commands the services of many contexts and teams.

## Why

An orchestrator that knows every step of everything is where everybody has to change something: what happens after an order is then
decided by those who run the engine and no longer by those who know orders. It is also the hub through which all load passes.
A process belongs to the context that it serves, and an event at the end of one process may start the next one elsewhere. A platform
that merely *hosts* the processes of many teams is no such centre.

## Bad

```coord strict
command PlaceOrder, ReturnGoods, ChangeAddress, CloseAccount
command Charge, Ship, Register

external service Shopper {
  sends Central.PlaceOrder
  sends Central.ReturnGoods
  sends Central.ChangeAddress
  sends Central.CloseAccount
}

store CentralDb { replicas 2  failover auto }
service Central { # SPF106
  team platform
  replicas 2
}

workflow Buying in Central {
  starts on PlaceOrder
  idempotent
  state in CentralDb
  step pay calls Payments.Charge { timeout 2s  retriable }
}
workflow Returning in Central {
  starts on ReturnGoods
  idempotent
  state in CentralDb
  step collect calls Shipping.Ship { timeout 2s  retriable }
}
workflow Moving in Central {
  starts on ChangeAddress
  idempotent
  state in CentralDb
  step note calls Customers.Register { timeout 2s  retriable }
}
workflow Leaving in Central {
  starts on CloseAccount
  idempotent
  state in CentralDb
  step note calls Customers.Register { timeout 2s  retriable }
}

context Billing {
  service Payments {
    team billing
    replicas 2
    handles Charge { idempotent  acts "charges the card" }
  }
}
context Logistics {
  service Shipping {
    team logistics
    replicas 2
    handles Ship { idempotent  acts "sends a parcel" }
  }
}
context Relations {
  service Customers {
    team relations
    replicas 2
    handles Register { idempotent  acts "keeps the address" }
  }
}

flow Sale { starts with PlaceOrder from Shopper  succeeds with Buying }
flow Return { starts with ReturnGoods from Shopper  succeeds with Returning }
flow Move { starts with ChangeAddress from Shopper  succeeds with Moving }
flow Farewell { starts with CloseAccount from Shopper  succeeds with Leaving }
```

## Good

The same engine, with workflows that belong to those whose business they are:

```coord strict
command PlaceOrder, ReturnGoods, ChangeAddress, CloseAccount
command Charge, Ship, Register

external service Shopper {
  sends Central.PlaceOrder
  sends Central.ReturnGoods
  sends Central.ChangeAddress
  sends Central.CloseAccount
}

store CentralDb { replicas 2  failover auto }
service Central {
  team platform
  replicas 2
}

workflow Buying in Central {
  team billing
  starts on PlaceOrder
  idempotent
  state in CentralDb
  step pay calls Payments.Charge { timeout 2s  retriable }
}
workflow Returning in Central {
  team logistics
  starts on ReturnGoods
  idempotent
  state in CentralDb
  step collect calls Shipping.Ship { timeout 2s  retriable }
}
workflow Moving in Central {
  team relations
  starts on ChangeAddress
  idempotent
  state in CentralDb
  step note calls Customers.Register { timeout 2s  retriable }
}
workflow Leaving in Central {
  team relations
  starts on CloseAccount
  idempotent
  state in CentralDb
  step note calls Customers.Register { timeout 2s  retriable }
}

context Billing {
  service Payments {
    team billing
    replicas 2
    handles Charge { idempotent  acts "charges the card" }
  }
}
context Logistics {
  service Shipping {
    team logistics
    replicas 2
    handles Ship { idempotent  acts "sends a parcel" }
  }
}
context Relations {
  service Customers {
    team relations
    replicas 2
    handles Register { idempotent  acts "keeps the address" }
  }
}

flow Sale { starts with PlaceOrder from Shopper  succeeds with Buying }
flow Return { starts with ReturnGoods from Shopper  succeeds with Returning }
flow Move { starts with ChangeAddress from Shopper  succeeds with Moving }
flow Farewell { starts with CloseAccount from Shopper  succeeds with Leaving }
```

## Exempt

- Workflows of several teams (`team` in the workflow): then the service is an engine that they share, and no centre. Workflows that
  name no team belong to the team of the service.
- Designs that declare no contexts or no teams, which are too little to judge by.

## Options

- `flows` (4): from how many flows in the design the rule speaks.
- `share` (0.6): the share of these flows that run through the orchestrator.
- `contexts` (3) and `teams` (3): how many contexts and teams the commanded services belong to.

## References

- G. Hohpe, B. Woolf, Enterprise Integration Patterns, *Process Manager*: the hub may become a bottleneck.
- B. Ruecker: Practical Process Automation, 2021: process logic belongs to the service that owns the process.
- D. Taibi, V. Lenarduzzi, C. Pahl: Microservices anti-patterns: a taxonomy, 2019: ESB usage, mega-service.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Finding, Label
from coordlint.rule import rule

from ._words import listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coordlint.analysis.flows import FlowView
    from coordlint.design import Design
    from coordlint.system import Process, Service


@rule(
    "SPF106",
    "god-orchestrator",
    "–/I/W",
    evidence="O",
    options={"flows": 4, "share": 0.6, "contexts": 3, "teams": 3},
)
def check(design: Design) -> Iterator[Finding]:
    """One finding per service whose workflows, owned by one team, run most of the flows of many."""
    if len(design.flows) < check.option(design, "flows"):
        return
    workflows: dict[Service, list[Process]] = {}
    for workflow in design.system.workflows.values():
        workflows.setdefault(workflow.service, []).append(workflow.process)
    for service, processes in workflows.items():
        if service.phantom or len(_owners(processes)) > 1:
            continue
        flows = [view for view in design.flows if any(process.start in view.nodes for process in processes)]
        commanded = _commanded(design, service, processes)
        contexts = sorted({one.context for one in commanded if one.context})
        teams = sorted({one.fact("team").value for one in commanded if one.fact("team").declared})
        if (
            len(flows) >= check.option(design, "share") * len(design.flows)
            and len(contexts) >= check.option(design, "contexts")
            and len(teams) >= check.option(design, "teams")
        ):
            yield _finding(design, service, processes, flows, contexts, teams)


def _owners(processes: Sequence[Process]) -> set[str]:
    """The teams that the workflows belong to."""
    facts = [
        process.fact("team") if process.fact("team").declared else process.service.fact("team") for process in processes
    ]
    return {fact.value for fact in facts if fact.declared}


def _commanded(design: Design, service: Service, processes: Sequence[Process]) -> list[Service]:
    """The other services that the workflows call or send commands to, in model order."""
    found: dict[Service, None] = {}
    for process in processes:
        for action in design.system.actions_of(process, "call", "send"):
            handlers = [handler.service for handler in design.index.handlers(action.message)]
            found.update(dict.fromkeys(handlers or [one for one in (action.use.service,) if one is not None]))
    return [one for one in found if one is not service]


def _finding(
    design: Design,
    service: Service,
    processes: Sequence[Process],
    flows: Sequence[FlowView],
    contexts: Sequence[str],
    teams: Sequence[str],
) -> Finding:
    return Finding(
        primary=Label(service.place, "orchestrates them all"),
        message=(
            f"`{service.name}` runs {len(flows)} of {len(design.flows)} flows and commands services of "
            f"{len(contexts)} contexts and {len(teams)} teams"
        ),
        related=tuple(Label(process.place, "one of its workflows") for process in processes[:6]),
        help="give each process to the context that it serves, and let an event at its end start what follows elsewhere",
        notes=(
            f"flows: {listed([view.flow.name for view in flows], most=12)}",
            f"contexts: {listed(contexts, most=12)}",
            f"teams: {listed(teams, most=12)}",
        ),
        silence="`team NAME` in each workflow, if the service only hosts the processes of those teams",
        subject=f"service {service.name}",
    )
