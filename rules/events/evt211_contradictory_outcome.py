"""One run of a flow comes to a success goal and to a failure goal.

## Why

Those who listen for the failure undo their part while those who listen for the success go on: the order is cancelled and
shipped. It happens where a cancellation resumes a process as if all were well, or where a branch announces a rejection and then
falls through to the normal end. Nothing on the way decides between the two, so this is no rare race; it is what the design says.

## Bad

```coord
command PlaceOrder
event OrderRejected, OrderConfirmed
external service Shop { calls Orders.PlaceOrder }
service Orders {
  handles PlaceOrder {
    either "in stock" { acts "reserves the goods" }
    or "out of stock" { emits OrderRejected } # EVT211
    emits OrderConfirmed
  }
}
service Mail {
  on OrderRejected or OrderConfirmed { notifies }
}
flow Order {
  starts with PlaceOrder from Shop
  succeeds with OrderConfirmed
  fails with OrderRejected
}
```

## Good

```coord
command PlaceOrder
event OrderRejected, OrderConfirmed
external service Shop { calls Orders.PlaceOrder }
service Orders {
  handles PlaceOrder {
    either "in stock" { acts "reserves the goods" }
    or "out of stock" { fails OrderRejected }
    emits OrderConfirmed
  }
}
service Mail {
  on OrderRejected or OrderConfirmed { notifies }
}
flow Order {
  starts with PlaceOrder from Shop
  succeeds with OrderConfirmed
  fails with OrderRejected
}
```

## Exempt

Whatever a choice separates: an `either`, alternative outcomes (`emits A or fails B`), the arms of an `awaits`, the failure of a
call, a handler with a `when` or `if-changed`. A wait for something that does not come from the same point, and a joined trigger,
end a path too.

A run shows both ends; if no run comes to both, there is no finding.

## References

- W. van der Aalst, "The application of Petri nets to workflow management", 1998: proper completion, a case ends once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.outcomes import contradictions
from coordlint.finding import Claim, Finding, Label
from coordlint.rule import rule
from coordlint.system import MessageUse

from ._words import goal_text, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coordlint.analysis.flows import FlowView
    from coordlint.analysis.outcomes import Contradiction
    from coordlint.design import Design
    from coordlint.source import Span
    from coordlint.system import Action, Workflow


@rule("EVT211", "contradictory-outcome", "E/E/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """One finding per last point that both outcomes have in common."""
    seen = set()
    for view in design.flows:
        for one in contradictions(design.causality, view):
            key = (one.to_success[0], one.success, one.failure)
            if key not in seen:
                seen.add(key)
                yield _finding(design, one)


def _finding(design: Design, one: Contradiction) -> Finding:
    causality, flow = design.causality, one.view.flow
    good, bad = goal_text(one.success), goal_text(one.failure)
    assert flow.success is not None
    assert flow.failure is not None
    point = one.to_success[0]
    labels = [Label(action.span, "then this follows") for action in _messages_of(design, one.to_success, point)]
    labels += [Label(action.span, "and this") for action in _messages_of(design, one.to_failure, point)]
    return Finding(
        primary=Label(_place(design, point), "leads to both outcomes"),
        message=f"one run of flow `{flow.name}` comes both to its goal {good} and to its failure goal {bad}",
        related=shown([*labels, Label(flow.success.span, "the goal"), Label(flow.failure.span, "the failure goal")]),
        help="decide between the two: let the branch that fails end with `fails`, or tell the process apart how it is resumed",
        notes=tuple(
            f"on the way to {goal}: {causality.describe(path)}"
            for goal, path in ((good, one.to_success), (bad, one.to_failure))
            if causality.describe(path)
        ),
        silence="a choice between the two outcomes",
        claim=Claim(
            both=(_comes_to(design, one.view, one.failure), _comes_to(design, one.view, one.success)),
            end=f"flow `{flow.name}` has come both to its goal {good} and to its failure goal {bad}",
            flow=flow.name,
        ),
        subject=f"flow {flow.name} / {_subject(design, point)}",
    )


def _comes_to(design: Design, view: FlowView, goal: MessageUse | Workflow) -> frozenset[int]:
    """The actions by which a flow comes to a goal."""
    if not isinstance(goal, MessageUse):
        return frozenset((goal.process.actions[-1],))
    if goal.message.kind != "event":
        handlers = design.index.started.get(goal.message, ())
        return frozenset(process.actions[-1] for process in handlers)
    return frozenset(one.id for one in design.index.producers(goal.message) if one.id in view.nodes)


def _messages_of(design: Design, path: Sequence[int], point: int) -> list[Action]:
    """What is sent on a path, the point itself left out."""
    actions = (design.system.actions[node] for node in path if node < len(design.system.actions) and node != point)
    return [action for action in actions if action.kind in {"emit", "send"}]


def _place(design: Design, node: int) -> Span:
    message = design.causality.message_at(node)
    if message is None:
        return design.system.actions[node].span
    producers = design.index.producers(message)
    return producers[0].span if producers else message.place


def _subject(design: Design, node: int) -> str:
    message = design.causality.message_at(node)
    return design.system.actions[node].process.path if message is None else f"{message.kind} {message.name}"
