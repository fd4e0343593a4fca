"""A declared failure that nobody hears of, or that ends neither in a goal nor in a failure goal of its flow.

## Why

In an orchestration a failure comes back to the one who asked. In a choreography nobody asked: a handler that reacts to an
event fails into the void unless it says so in an event, and that event helps only if somebody takes it up. This is where
responsibility gets lost: the payment stays taken, the reservation stays held, the customer waits.

A failure is lost when its event has no subscriber, when its subscribers lead to no end of the flow, or when it has no event
and the handler was started by an event, a timer or a `sends` that waits for no answer. A caller that passes a failure on is
asked in its turn.

## Bad

```coord
event OrderPlaced, OrderShipped
external service Shop { emits OrderPlaced }
service Warehouse {
  on OrderPlaced {
    emits OrderShipped or fails "out of stock" # EVT207
  }
}
flow Order {
  starts with OrderPlaced from Shop
  succeeds with OrderShipped
}
```

```coord
event OrderPlaced, OrderShipped, OutOfStock
external service Shop { emits OrderPlaced }
service Warehouse {
  on OrderPlaced {
    emits OrderShipped or fails OutOfStock # EVT207
  }
}
flow Order {
  starts with OrderPlaced from Shop
  succeeds with OrderShipped
}
```

```coord
event OrderPlaced, OrderShipped, OrderRejected, OutOfStock
external service Shop { emits OrderPlaced }
event OrderAccepted
service Risk {
  on OrderPlaced { emits OrderAccepted or fails OrderRejected }
}
service Orders {
  on OutOfStock { acts "puts the order aside" }
}
service Warehouse {
  on OrderAccepted {
    emits OrderShipped or fails OutOfStock # EVT207
  }
}
flow Order {
  starts with OrderPlaced from Shop
  succeeds with OrderShipped
  fails with OrderRejected
}
```

## Good

```coord
event OrderPlaced, OrderShipped, OutOfStock
external service Shop { emits OrderPlaced }
service Warehouse {
  on OrderPlaced {
    emits OrderShipped or fails OutOfStock
  }
}
service Mail {
  on OutOfStock { notifies }
}
flow Order {
  starts with OrderPlaced from Shop
  succeeds with OrderShipped
  fails with OutOfStock
}
```

## Exempt

- Failures of a call with a way to go on: `on failure`, `fallback`, `optional`, a compensation, a workflow's `on failure` that
  does something; and calls from outside, where the caller gets the answer.
- A failure whose branch sends or publishes something before the `fails`.
- A `sends` behind which the sender waits for a message: SAG306 and SAG307 judge that wait.
- Handlers whose message goes to a dead-letter channel when it fails, `projection` and `notifies` handlers, compensations, and
  outcomes of `0%`.
- Failure events that are `public`, `external`, `terminal` or `deprecated`, and failure goals of a flow if nothing has to be
  undone before them.
- Handlers that take part in no flow.

A run shows the failure and that nothing follows from it, also behind the goal of a flow; if no run comes to it, there is no
finding.

## References

- N. Ford, M. Richards, P. Sadalage, Z. Dehghani, *Software Architecture: The Hard Parts*, 2021, chapter 11: error handling is
  what choreography makes hard.
- C. Richardson, *Microservices Patterns*, 2018, chapter 4: every step that can fail needs an event for its failure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Claim, Finding, Gap, Label
from coordlint.rule import rule
from coordlint.system import Action, MessageUse

from ._words import called, listed, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.failures import LostFailure, Untold
    from coordlint.design import Design


@rule("EVT207", "unhandled-failure-outcome", "W/W/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """One finding per failure event, or per process that fails without telling anybody."""
    for lost in design.failures.lost:
        if lost.why == "untold":
            yield _untold(design, lost)
        elif lost.why == "unheard":
            yield _unheard(lost)
        else:
            yield _astray(design, lost)


def _untold(design: Design, lost: LostFailure) -> Finding:
    own = [fail for fail in lost.fails if fail.process is lost.process]
    if own:
        primary = Label(own[0].span, "nobody is told")
        message = f"nobody learns of it when {called(lost.process)} fails"
    else:
        primary = Label(lost.process.place, "nobody is told")
        message = f"nobody learns of it when {called(lost.process)} ends in failure"
    origins = [Label(fail.span, f"fails in {called(fail.process)}") for fail in lost.fails if fail.span != primary.span]
    return Finding(
        primary=primary,
        message=message,
        related=shown([*origins, *(_way(way) for way in lost.untold)]),
        help="publish the failure, `fails SomethingFailed`, and let a service react to it",
        silence="`fails` with an event that somebody hears, or a `dead-letter` channel for the message",
        subject=lost.process.path,
        claim=Claim(("B1", "B2"), (lost.process.place,), gaps=(_silent(lost, own),), flow=_flow(design, lost)),
    )


def _flow(design: Design, lost: LostFailure) -> str:
    """The flow to tell it in: rather one that counts as successful with what starts the process that fails."""
    started = {use.message for trigger in lost.process.triggers for use in trigger.uses}
    for view in design.flows:
        goals = view.flow.success.targets if view.flow.success is not None else ()
        if any(isinstance(goal, MessageUse) and goal.message in started for goal in goals):
            return view.flow.name
    return lost.view.flow.name


def _silent(lost: LostFailure, own: list[Action]) -> Gap:
    """The process has failed, and everything rests."""
    done = frozenset(fail.id for fail in own) if own else frozenset(lost.process.actions[1:2])
    return Gap(
        done,
        frozenset(),
        "any",
        f"nobody has learnt that {called(lost.process)} failed",
        f"{called(lost.process)} has failed, and nothing follows from it",
    )


def _way(way: Untold) -> Label:
    if isinstance(way.by, Action):
        return Label(way.by.span, "waits for no answer")
    return Label(way.by.span, "nobody waits for an answer here")


def _unheard(lost: LostFailure) -> Finding:
    assert lost.event is not None
    first, *others = lost.fails
    left = [Label(action.span, f"stays as `{action.process.service.name}` left it") for action in lost.left]
    return Finding(
        primary=Label(first.span, "nobody listens"),
        message=f"nobody reacts to `{lost.event.name}`, with which {called(first.process)} fails",
        related=shown([*(Label(fail.span, "fails with it, too") for fail in others), *left]),
        help=f"let the services that have something to undo or to tell react: `on {lost.event.name}`",
        silence="a subscriber, or `terminal` in the body of the event",
        subject=f"event {lost.event.name}",
        claim=Claim(("B1", "B2"), (first.process.place,), gaps=(_unheard_of(lost),), flow=lost.view.flow.name),
    )


def _unheard_of(lost: LostFailure) -> Gap:
    """The event of the failure is out, and everything rests."""
    assert lost.event is not None
    return Gap(
        frozenset(fail.id for fail in lost.fails),
        frozenset(),
        "any",
        f"nobody has taken up `{lost.event.name}`",
        f"`{lost.event.name}` has no consequence",
    )


def _astray(design: Design, lost: LostFailure) -> Finding:
    assert lost.event is not None
    flow = lost.view.flow
    assert flow.failure is not None
    ends = listed(
        (target.message.name if hasattr(target, "message") else target.name for target in flow.failure.targets),
        word="or",
    )
    reactions = [Label(process.place, "reacts to it") for process in design.index.consumers(lost.event)]
    return Finding(
        primary=Label(lost.fails[0].span, "leads to no end of the flow"),
        message=f"when {called(lost.process)} fails with `{lost.event.name}`, flow `{flow.name}` never comes to {ends}",
        related=shown([*reactions, Label(flow.failure.span, "the failure that the flow declares")]),
        help=f"let what reacts to it lead to {ends}, or name `{lost.event.name}` at `fails with`, too",
        silence=f"`{lost.event.name}` as a failure goal of the flow",
        subject=f"event {lost.event.name}",
        claim=Claim(("B1", "B2"), (flow.place, lost.process.place)),
    )
