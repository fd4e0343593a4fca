"""What a flow, workflow, handler or call may take in the worst case is more than the time it is given.

## Why

Timeouts, attempts and waits add up. If the sum is larger than the time that is given, the last attempts can never be used, or
the promise is broken whenever they are. Where the waits alone are longer, the promise cannot be kept at all, and the finding is
an error.

The worst case is a bound from below. A call counts with its attempts, each as long as its timeout (or the time of the called
handler, if all of that is known and shorter), and the backoff between them; parallel branches count by the longest, a `repeat up
to N` N times, alternative ways by the fastest; what is not declared counts nothing. Held against it are the `latency` and `within` of
a flow (up to its success goal), the `timeout` of a workflow, a handler or a step of several calls, and the `deadline` of a call, which has
to leave room for its last attempt.

## Bad

```coord
command PlaceOrder
command Charge
event OrderPlaced

external service Shopper { calls Orders.PlaceOrder }
service Orders {
  handles PlaceOrder {
    calls Bank.Charge { timeout 1s  attempts 3  backoff 100ms }
    emits OrderPlaced
  }
}
external service Bank { handles Charge succeeds }
service Mail {
  on OrderPlaced {
    notifies
    acts "mails the buyer"
  }
}

flow Ordering {
  starts with PlaceOrder from Shopper
  succeeds with OrderPlaced
  latency 2s # RES803
}
```

A trial of two weeks does not fit into ten days:

```coord
command StartTrial
event TrialEnded

external service Visitor { sends Trials.StartTrial }
service Trials
service Mail {
  on TrialEnded {
    notifies
    acts "asks how it was"
  }
}

workflow Trial in Trials {
  starts on StartTrial
  timeout 10d # RES803
  waits 14d
  emits TrialEnded
}
```

## Good

```coord
command PlaceOrder
command Charge
event OrderPlaced

external service Shopper { calls Orders.PlaceOrder }
service Orders {
  handles PlaceOrder {
    calls Bank.Charge { timeout 800ms  attempts 2  backoff 100ms }
    emits OrderPlaced
  }
}
external service Bank { handles Charge succeeds }
service Mail {
  on OrderPlaced {
    notifies
    acts "mails the buyer"
  }
}

flow Ordering {
  starts with PlaceOrder from Shopper
  succeeds with OrderPlaced
  latency 2s
}
```

## Exempt

- A call with `deadline propagate` is not counted: it ends with its caller.
- `attempts unlimited` counts once.
- The `timeout` of a handler that joins several events, as it bounds the wait for them.
- Whether a broker waits long enough for an acknowledgement is asked by DLV607, which of two nested timeouts is longer by RES802.

## References

- Google SRE book, chapter *Addressing Cascading Failures*: latency and deadlines.
- gRPC guides, *Deadlines*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.calls import Reason, shown
from coordlint.analysis.latency import Duration, backoff_duration, exceeds, seconds_text
from coordlint.finding import Finding, Label
from coordlint.rule import rule

from ._words import labels, span_of, target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.flows import FlowView
    from coordlint.design import Design
    from coordlint.system import Action, Fact, Process

_CANNOT = "E/E/E"


@rule("RES803", "worst-case-exceeds-budget", "W/W/E", evidence="Q")
def check(design: Design) -> Iterator[Finding]:
    """Flows, then workflows and handlers with their steps, then calls, each in model order."""
    for view in design.flows:
        yield from _flow(design, view)
    for process in design.system.processes:
        yield from _process(design, process)
        yield from _steps(design, process)
    for call in design.calls.callees:
        yield from _call(design, call)


def _flow(design: Design, view: FlowView) -> Iterator[Finding]:
    """The tighter of the two promises that the worst case breaks; both have one cause."""
    budgets = [fact for fact in (view.flow.fact("latency"), view.flow.fact("within")) if fact.declared]
    worst = design.latency.flow_duration(view) if budgets else None
    if worst is None:
        return
    broken = [fact for fact in budgets if exceeds(worst.seconds, fact.value)]
    if broken:
        budget = min(broken, key=lambda fact: float(fact.value))
        least = design.latency.least_flow_duration(view)
        what = f"flow `{view.flow.name}` has to reach its goal in {seconds_text(budget.value)}"
        yield _finding(what, worst, budget, least, f"flow {view.flow.name}")


def _process(design: Design, process: Process) -> Iterator[Finding]:
    budget = process.fact("timeout")
    if not budget.declared or any(trigger.mode == "all" for trigger in process.triggers):
        return
    worst = design.latency.unlimited_duration(process)
    if exceeds(worst.seconds, budget.value):
        what = f"{shown(process)} is given {seconds_text(budget.value)}"
        yield _finding(what, worst, budget, design.latency.least_duration(process), process.path)


def _steps(design: Design, process: Process) -> Iterator[Finding]:
    for step in process.steps:
        budget = step.facts.get("timeout")
        if budget is None or not budget.declared or not design.calls.is_unit(step):
            continue
        worst = design.latency.step_duration(step)
        if exceeds(worst.seconds, budget.value) and all(_is_call(design, number) for number in step.actions):
            reasons = [reason for number in step.actions for reason in _reasons(design, design.system.actions[number])]
            what = f"{step.label} of {shown(process)} is given {seconds_text(budget.value)}"
            yield _finding(what, worst, budget, 0.0, f"{process.path} / step {step.name}", reasons)


def _is_call(design: Design, number: int) -> bool:
    """Not a wait: the limit of an `awaits` in a step is the step's own."""
    return design.system.actions[number].kind not in {"await", "timer"}


def _reasons(design: Design, action: Action) -> list[Reason]:
    return design.latency.call_duration(action).reasons() if action.kind == "call" else []


def _call(design: Design, call: Action) -> Iterator[Finding]:
    """A deadline that has passed before the last attempt can begin."""
    governed = design.calls.governed(call)
    deadline, timeout, retry = governed.deadline, governed.timeout, governed.retry
    if not deadline.declared or deadline.value == "propagate" or not timeout.declared or retry.counted < 2:
        return
    backoff = governed.backoff.value if governed.backoff.declared else None
    answer = design.latency.answer_duration(call)
    attempt = min(timeout.value, answer.seconds) if answer.exact else timeout.value
    begins = (retry.counted - 1) * attempt + backoff_duration(retry.counted, backoff)
    if not exceeds(begins, deadline.value):
        return
    facts = (timeout, retry.fact, governed.backoff)
    yield Finding(
        primary=Label(span_of(deadline), f"over after {seconds_text(deadline.value)}"),
        message=(
            f"the call of `{target(call)}` ends after {seconds_text(deadline.value)}, "
            f"and its attempt {retry.counted} may only begin after {seconds_text(begins)}"
        ),
        related=tuple(Label(span_of(fact), "counts for every attempt") for fact in facts if fact.declared),
        help="try less often or for a shorter time, or give the call longer",
        silence="attempts that fit into the `deadline`",
        subject=f"{call.process.path} / calls {target(call)}",
    )


def _finding(
    what: str, worst: Duration, budget: Fact, least: float, subject: str, reasons: list[Reason] | None = None
) -> Finding:
    impossible = exceeds(least, budget.value)
    notes = [f"{worst.text} against {seconds_text(budget.value)}", *worst.notes]
    if impossible:
        notes.append(f"the waits alone take {seconds_text(least)}")
    return Finding(
        primary=Label(span_of(budget), f"the budget is {seconds_text(budget.value)}"),
        message=f"{what}, and "
        + (f"its waits alone take {seconds_text(least)}" if impossible else f"may take {worst.text}"),
        related=labels(reasons if reasons is not None else worst.reasons(), span_of(budget)),
        notes=tuple(notes),
        help="try less often or for a shorter time, do more in parallel, or give it longer",
        silence="times and attempts that fit into the budget",
        subject=subject,
        levels=_CANNOT if impossible else "",
    )
