"""A call that its caller cannot do without has no time limit.

## Why

A call without a timeout waits as long as the other side likes. When that side hangs, each waiting request holds a thread, a connection
and a place in a queue of the caller, until the caller hangs as well and its callers after it. Many libraries and workflow engines
have no limit, or one of minutes or days, unless one is set.

Under the profile default the rule speaks where the design says `no timeout`, and of a call that says nothing only if other
calls of the design have a timeout. In a flow of high criticality a call with a timeout but without `breaker` and `fallback` is
worth an information, again if the design uses them elsewhere.

## Bad

```coord
query ShowCart, GetCart

external service Browser { calls Gateway.ShowCart }
service Gateway {
  handles ShowCart {
    calls Carts.GetCart { no timeout } # RES809
  }
}
service Carts { handles GetCart succeeds }
```

## Good

```coord
query ShowCart, GetCart

external service Browser { calls Gateway.ShowCart }
service Gateway {
  handles ShowCart {
    calls Carts.GetCart { timeout 500ms }
  }
}
service Carts { handles GetCart succeeds }
```

## Exempt

- An `optional` call, and a call of a service's own handler.
- A call with a `deadline`, in a step with a `timeout`, or in a handler or workflow with a `timeout` of its own.
- Calls of an external service, and the call of a compensation of which nothing is said.
- `no timeout "why"` is a decision and at most information.
- What a workflow awaits, what it asks of an external service, and a workflow that says `no timeout` for all its calls are SAG306's
  question. A workflow answers failures itself and needs no breaker.

## References

- D. Neri, J. Soldani, O. Zimmermann, A. Brogi: Design principles, architectural smells and refactorings for microservices, 2020:
  wobbly service interaction.
- gRPC guides, *Deadlines*: by default there is none.
- M. Nygard: Release It!, 2nd edition, *Timeouts*, *Circuit Breaker*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.calls import shown
from coordlint.finding import Claim, Finding, Label
from coordlint.rule import rule

from ._words import PLACES, is_own, listed, span_of, target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.source import Span
    from coordlint.system import Action, Fact, Process, Service


@rule("RES809", "wobbly-call", "I/W/E", evidence="A")
def check(design: Design) -> Iterator[Finding]:
    """One finding per handler or workflow; what a service says for all its calls is one finding of the service."""
    absent: dict[Span | Process, list[Action]] = {}
    unsaid: dict[Process | Service, list[Action]] = {}
    limits = {call: _limit(design, call) for call in design.calls.callees}
    said = any(fact.declared for fact in limits.values())
    speaking = {call.process for call, fact in limits.items() if call.region == "main" and _speaks(call, fact)}
    for call, fact in limits.items():
        if fact.declared or not _needs_limit(design, call):
            continue
        if _is_a_wait(design, call, fact, whole=call.process not in speaking):
            continue
        if fact.absent:
            absent.setdefault(call.process if is_own(call, fact) else span_of(fact), []).append(call)
        elif call.region != "compensation":
            owner = call.process.service if call.process.kind == "own" else call.process
            unsaid.setdefault(owner, []).append(call)
    for calls in (*absent.values(), *(unsaid.values() if said or design.strict else ())):
        yield _finding(calls, limits)
    yield from _unguarded(design)


def _limit(design: Design, call: Action) -> Fact:
    """The fact that bounds the call or says that nothing does; unknown if nothing is said."""
    governed = [design.calls.governed(call)]
    if call.step is not None and call.region == "main":
        governed.append(design.calls.step_governed(call.step))
    facts = [fact for one in governed for fact in (one.timeout, one.deadline)]
    return next((fact for fact in facts if fact.declared), next((fact for fact in facts if fact.absent), facts[0]))


def _needs_limit(design: Design, call: Action) -> bool:
    if call.process.service.external or call.message.phantom or call.fact("optional").declared:
        return False
    if call.process.fact("timeout").declared:
        return False
    answering = [process.service for process in design.calls.callees[call]]
    return not answering or any(service is not call.process.service for service in answering)


def _speaks(call: Action, fact: Fact) -> bool:
    return fact.declared or is_own(call, fact)


def _is_a_wait(design: Design, call: Action, fact: Fact, *, whole: bool) -> bool:
    """Whether SAG306 speaks of it: a workflow that has `no timeout` as a whole, or that waits for somebody outside."""
    if call.process.workflow is None or is_own(call, fact):
        return False
    if whole and call.process.fact("timeout").absent:
        return True
    answering = [process.service for process in design.calls.callees[call]]
    if not answering and call.use.service is not None:
        answering = [call.use.service]
    return fact.unknown and bool(answering) and all(service.external for service in answering)


def _finding(calls: list[Action], limits: dict[Action, Fact]) -> Finding:
    calls = sorted(calls, key=lambda call: call.region != "main")
    first, fact = calls[0], limits[calls[0]]
    processes = list(dict.fromkeys(call.process for call in calls))
    if len(processes) == 1:
        who, subject = shown(first.process), first.process.path
        related = [Label(call.span, "waits without a limit") for call in calls]
    else:
        who, subject = f"service `{first.process.service.name}`", f"service {first.process.service.name}"
        related = [
            Label(process.place, f"{shown(process)} waits for {listed(_targets(calls, process))}")
            for process in processes
        ]
    more = len(related) - PLACES
    word = "without a limit" if fact.absent else "and says nothing of a limit"
    levels = ""
    if fact.absent:
        levels = "I/I/I" if all(limits[call].why for call in calls) else "W/W/E"
    primary = span_of(fact) if fact.absent else first.span
    return Finding(
        primary=Label(primary, "waits for ever" if fact.absent else "how long?"),
        message=f"{who} waits for {listed(map(target, calls))} {word}",
        related=tuple(label for label in related if label.span != primary)[:PLACES],
        notes=(f"and {more} more",) if more > 0 else (),
        help="give the call a `timeout` that is longer than what it asks for may take",
        silence='`timeout D`, `optional`, or `no timeout "why"`',
        subject=subject,
        levels=levels,
        claim=Claim(("B2",), tuple(call.span for call in calls) if fact.absent else ()),
    )


def _targets(calls: list[Action], process: Process) -> Iterator[str]:
    return (target(call) for call in calls if call.process is process)


def _unguarded(design: Design) -> Iterator[Finding]:
    """Calls with a limit in critical flows that nothing stops from being made while the other side is down."""
    critical = [view for view in design.flows if view.flow.fact("criticality").value in {"high", "critical"}]
    guarded = any(_is_guarded(call) for call in design.calls.callees)
    if not critical or not (guarded or design.strict):
        return
    processes = dict.fromkeys(process for view in critical for process in view.processes if process.kind == "handler")
    for process in processes:
        calls = [
            call
            for call in design.system.actions_of(process, "call")
            if _limit(design, call).declared and _needs_limit(design, call) and not _is_guarded(call)
        ]
        if calls:
            yield Finding(
                primary=Label(calls[0].span, "a timeout only"),
                message=f"{shown(process)} calls {listed(map(target, calls))} in a critical flow without a breaker or fallback",
                related=tuple(Label(call.span, "a timeout only") for call in calls[1 : PLACES + 1]),
                help="add `breaker`, so that it is not called while it is down, or a `fallback`",
                silence='`no breaker "why"`',
                subject=process.path,
                levels="I/I/I",
            )


def _is_guarded(call: Action) -> bool:
    return any(call.fact(name).declared for name in ("breaker", "fallback", "optional")) or bool(
        call.fact("breaker").why
    )
