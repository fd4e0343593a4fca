"""A process waits for somebody else, and nothing ever ends the wait.

## Why

Messages get lost, participants are retired, people go on holiday. A wait without a limit turns each of these into an instance
that stays open for ever, holds what its earlier steps have reserved, and is noticed by the customer first. The remedy is a
limit and a decision about what happens then, and one limit around the whole is enough: engines that keep their state for years
need no deadline for the workflow, but they do need one for each wait.

## Bad

```coord
command PlaceOrder
command AskForConfirmation
event OrderConfirmed

external service Shopper {
  sends Orders.PlaceOrder
  handles AskForConfirmation emits OrderConfirmed
}

service Orders

workflow Checkout in Orders {
  starts on PlaceOrder
  sends Shopper.AskForConfirmation
  awaits OrderConfirmed # SAG306
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
}
```

## Good

```coord
command PlaceOrder
command AskForConfirmation
event OrderConfirmed, OrderExpired

external service Shopper {
  sends Orders.PlaceOrder
  handles AskForConfirmation emits OrderConfirmed
}

service Orders
service Mailer {
  on OrderExpired { notifies  acts "tells the customer" }
}

workflow Checkout in Orders {
  starts on PlaceOrder
  sends Shopper.AskForConfirmation
  awaits {
    on OrderConfirmed { }
    within 2d { fails OrderExpired }
  }
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
  fails with OrderExpired
}
```

## Exempt

Any enclosing limit: `within` at the wait, `timeout` of the step, handler or workflow, a branch with a timer in a `parallel any`,
`within` of a flow that the process belongs to. `no timeout "why"` and `no within "why"` are decisions. Waits are `awaits`,
joined triggers, calls of external services in a workflow, workflows that say `no timeout`, and flows that say `no within`;
calls of the design's own services are RES809's.

## References

- AWS, Step Functions developer guide: "Use timeouts to avoid stuck executions".
- Temporal documentation on timeouts: limits belong to activities; a limit for the whole execution is rarely right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.waits import Wait, Waits
from coordlint.finding import Claim, Finding, Label
from coordlint.rule import rule

from ._words import joined, path, said, whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.flows import FlowView
    from coordlint.design import Design


PLACES = 8


@rule("SAG306", "wait-without-timeout", "W/W/E", evidence="SDA")
def check(design: Design) -> Iterator[Finding]:
    """Report waits without a limit, and flows that are declared to have none."""
    waits = list(Waits(design.sagas, design.flows).unlimited())
    for wait in waits:
        yield _waiting(wait)
    reported = {wait.process for wait in waits}
    for view in design.flows:
        absent = view.flow.fact("within")
        if absent.absent and not absent.why and reported.isdisjoint(view.processes):
            yield from _flow(design, view)


def _waiting(wait: Wait) -> Finding:
    process, action, trigger = wait.process, wait.action, wait.trigger
    where = whole(process)
    if wait.kind == "workflow":
        primary, subject = Label(process.place), process.path
        text = f"{where} has `no timeout`, and none of its calls has one"
        help = f"give each call a `timeout`, or {where} as a whole"
    elif trigger is not None:
        names = joined([f"`{use.message.name}`" for use in trigger.uses])
        primary, subject = Label(trigger.span), process.path
        text = f"{where} waits for all of {names}, and nothing ends the wait when one stays away"
        help = "add `within` to the joined trigger, and `on timeout` if something has to be done then"
    else:
        assert action is not None
        names = " or ".join(f"`{use.message.name}`" for use in action.uses)
        primary = Label(action.span)
        subject = f"{path(action.step) if action.step is not None else process.path} / {action.kind} {names}"
        verb = "waits for the answer to" if action.kind == "call" else "waits for"
        by = f"of `{action.use.service.name}` " if action.kind == "call" and action.use.service is not None else ""
        text = f"{where} {verb} {names} {by}without any limit"
        help = "add `timeout`" if action.kind == "call" else "add `within`, and say what happens then"
    return Finding(
        primary=primary,
        message=text,
        related=tuple(one for one in said(wait.absent, "no limit here") if one.span != primary.span),
        help=help,
        silence='`no timeout "why"`',
        subject=subject.replace("`", ""),
        claim=Claim(("B2",), (process.span if wait.kind == "workflow" else primary.span,)),
    )


def _flow(design: Design, view: FlowView) -> Iterator[Finding]:
    """A flow with `no within` that moves on by messages, so that it stops when one of them stays away."""
    hops = [
        process
        for process in view.processes
        if process in view.load_bearing and any(trigger.kind == "event" for trigger in process.triggers)
    ]
    absent = view.flow.fact("within")
    if hops and absent.span is not None:
        yield Finding(
            primary=Label(absent.span),
            message=f"flow `{view.flow.name}` has no limit, and it stops for good when one of its events stays away",
            related=tuple(Label(process.place, "waits for an event") for process in hops[:PLACES]),
            help="give the flow a `within`, and let a timer look for instances that exceed it",
            silence='`no within "why"`',
            subject=f"flow {view.flow.name}",
        )
