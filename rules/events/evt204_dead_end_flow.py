"""A flow never reaches its goal, or ends in a branch without any outcome.

## Why

A choreography has no conductor, but it still has a job to finish, and somebody has to do the last step. Every service on the
way can be correct while the flow as a whole goes nowhere: nobody publishes the goal, a workflow can only fail, or one branch
of a decision just stops, and the instances that take it are neither done nor failed. No service notices, as each of them
has done its part.

A goal is out of reach when no entry of the design leads to it at all. When other entries lead to it, but not what the flow
starts with, that may be right (a person or a partner has to act in between) and is information: the design does not say what
makes them act. A branch counts as a dead end when an instance that takes it can reach neither goal nor failure goal any more;
a handler that ends beside the work of others is none.

## Bad

```coord
event OrderPlaced, OrderShipped
external service Shop { emits OrderPlaced }
service Warehouse {
  on OrderPlaced { acts "packs the parcel" }
}
flow Order {
  starts with OrderPlaced from Shop
  succeeds with OrderShipped # EVT204
}
```

```coord
event OrderPlaced, OrderShipped
external service Shop { emits OrderPlaced }
service Warehouse {
  on OrderPlaced {
    either "in stock" { emits OrderShipped }
    or "out of stock" { acts "puts the order aside" } # EVT204
  }
}
flow Order {
  starts with OrderPlaced from Shop
  succeeds with OrderShipped
}
```

```coord
event OrderPlaced, OrderShipped
command ShipOrder
external service Shop { emits OrderPlaced }
external service Packer { sends Warehouse.ShipOrder }
service Warehouse {
  on OrderPlaced { acts "prints a packing slip" }
  handles ShipOrder emits OrderShipped
}
flow Order {
  starts with OrderPlaced from Shop
  succeeds with OrderShipped # EVT204
}
```

## Good

```coord
event OrderPlaced, OrderShipped, OrderRejected
external service Shop { emits OrderPlaced }
service Warehouse {
  on OrderPlaced {
    either "in stock" { emits OrderShipped }
    or "out of stock" { fails OrderRejected }
  }
}
flow Order {
  starts with OrderPlaced from Shop
  succeeds with OrderShipped
  fails with OrderRejected
}
```

```coord
event OrderPlaced, OrderShipped
command PackOrder, ShipOrder
external service Shop { emits OrderPlaced }
external service Packer { handles PackOrder { sends Warehouse.ShipOrder } }
service Warehouse {
  on OrderPlaced { sends Packer.PackOrder }
  handles ShipOrder emits OrderShipped
}
flow Order {
  starts with OrderPlaced from Shop
  succeeds with OrderShipped
}
```

## Exempt

- A goal that is out of reach because of an event that nothing publishes (EVT202) or of a handler that never runs (EVT203) is a
  note of that finding.
- Flows that say nothing about their start or their goal.
- Branches that declare their failure (`fails`): EVT207 asks who learns of it. Choices of external services, and branches that
  `0%` rules out.

## References

- C. Richardson, *Microservices Patterns*, 2018, chapter 4: in a choreographed saga no single place shows the whole flow.
- W. van der Aalst, "The application of Petri nets to workflow management", 1998: the option to complete.
- bpmnlint, rule `no-implicit-end`: a branch that just stops, within one diagram.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.outcomes import silent_ends
from coordlint.finding import Claim, Finding, Label
from coordlint.rule import rule
from coordlint.system import Workflow

from ._words import called, goal_text, listed, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.liveness import Unreached
    from coordlint.analysis.outcomes import SilentEnd
    from coordlint.design import Design
    from coordlint.source import Span
    from coordlint.system import MessageUse, Process


@rule("EVT204", "dead-end-flow", "E/E/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """One finding per flow whose goal is not reached, and one per branch without an outcome."""
    for unreached in design.liveness.unreached:
        yield _distant(design, unreached) if unreached.distant else _unreachable(design, unreached)
    ends: dict[int, SilentEnd] = {}
    for view in design.flows:
        for end in silent_ends(design.causality, view):
            ends.setdefault(end.branch.id, end)
    for number in sorted(ends):
        yield _silent(ends[number])


def _unreachable(design: Design, one: Unreached) -> Finding:
    flow, goal = one.view.flow, goal_text(one.target)
    return Finding(
        primary=Label(_span(one), "never reached"),
        message=f"flow `{flow.name}` never reaches its goal {goal}: {_why(design, one.target)}",
        related=shown(_producers(design, one.target)),
        help=f"let what takes part in the flow end in {goal}, or name another goal",
        silence="a goal that the flow reaches",
        subject=f"flow {flow.name}",
        claim=Claim(("B2", "B21"), (flow.place,)),
    )


def _why(design: Design, target: MessageUse | Workflow) -> str:
    if isinstance(target, Workflow):
        return "the workflow never runs to a good end"
    if not design.index.producers(target.message):
        return "nothing publishes it" if target.message.kind == "event" else "nothing sends it"
    return "nothing that runs comes to the place where it is sent"


def _producers(design: Design, target: MessageUse | Workflow) -> list[Label]:
    if isinstance(target, Workflow):
        return [Label(target.place, "declared here")]
    return [Label(action.span, "comes from here") for action in design.index.producers(target.message)]


def _distant(design: Design, one: Unreached) -> Finding:
    flow, goal = one.view.flow, goal_text(one.target)
    others = _foreign_entries(design, one)
    through = f": only {listed(others)} {'leads' if len(others) == 1 else 'lead'} to it" if others else ""
    ends = [Label(process.place, "here ends what the flow starts") for process in _leaves(design, one)]
    return Finding(
        primary=Label(_span(one), "not reached from the start"),
        message=f"what flow `{flow.name}` starts with does not lead to its goal {goal}{through}",
        related=shown([*(Label(span, "leads to the goal") for span in others.values()), *ends]),
        help="say what makes somebody act there, such as a message to them, or name that entry at `starts with`, too",
        notes=("a step of a person or a partner may rightly stand in between; the design does not show it",),
        silence="the entry that leads to the goal, as a further start of the flow",
        subject=f"flow {flow.name}",
        levels="I/W/W",
        claim=Claim(("B2", "B21"), (flow.place,)),
    )


def _foreign_entries(design: Design, one: Unreached) -> dict[str, Span]:
    """What leads to the goal from elsewhere: what services do by themselves, and what other flows start with."""
    causality, target = design.causality, one.target
    goal = target.process.actions[-1] if isinstance(target, Workflow) else causality.number(target.message)
    before = causality.before((goal,))
    found = {
        f"{process.service.name} {process.name}": process.place
        for process in design.system.processes
        if process.start in before and any(trigger.kind == "entry" for trigger in process.triggers)
    }
    for view in design.flows:
        if view is not one.view and before.intersection(causality.starts_of(view.flow)):
            found.setdefault(view.flow.name, view.flow.place)
    return found


def _leaves(design: Design, one: Unreached) -> list[Process]:
    """The processes of the flow that change something and send nothing on."""
    system = design.system
    return [
        process
        for process in one.view.processes
        if next(system.actions_of(process, "write", "act"), None) is not None
        and next(system.actions_of(process, "emit", "send", "call", "succeed"), None) is None
        and not any(process.fact(name).declared for name in ("projection", "notifies"))
    ]


def _span(one: Unreached) -> Span:
    goal = one.view.flow.success
    assert goal is not None
    return goal.span if isinstance(one.target, Workflow) else one.target.span


def _silent(end: SilentEnd) -> Finding:
    flow, process = end.view.flow, end.branch.process
    assert flow.success is not None
    goal = listed(
        (_name(target) for target in flow.success.targets), word="and" if flow.success.mode == "all" else "or"
    )
    last = [Label(one.place, "the last to act") for one in end.last if one is not process]
    return Finding(
        primary=Label(end.branch.span, "ends without an outcome"),
        message=f"an instance of flow `{flow.name}` that takes this branch of {called(process)} never reaches {goal}",
        related=shown([Label(flow.success.span, "the goal"), *last]),
        help="let the branch lead to the goal, or let it end: `fails` with an event that is a failure goal of the flow",
        silence="`fails` in the branch",
        subject=f"flow {flow.name} / {process.path}",
        claim=Claim(("B2",), (flow.place,)),
        levels="W/W/E",
    )


def _name(target: MessageUse | Workflow) -> str:
    return target.name if isinstance(target, Workflow) else target.message.name
