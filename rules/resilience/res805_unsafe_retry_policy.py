"""A call is tried again without a bound, without a wait in between, or by all replicas at the same moment.

## Why

Attempts without an end never leave a service that is down alone; attempts without a pause hit it exactly while it recovers. Both
have kept outages going long after their cause was gone. A wait that grows up to a cap gives it room, and jitter keeps the
replicas of a service from coming back all at once.

Nothing is said where the design does not speak of backoff; `no backoff` is a statement. Under the profiles strict and production an
unsaid backoff counts as none.

## Bad

```coord
query ShowCart, GetCart

external service Browser { calls Gateway.ShowCart }
service Gateway {
  handles ShowCart {
    calls Carts.GetCart { timeout 1s  attempts 4  no backoff } # RES805
  }
}
service Carts { handles GetCart succeeds }
```

```coord
query ShowCart, GetCart

external service Browser { calls Gateway.ShowCart }
service Gateway {
  handles ShowCart {
    calls Carts.GetCart { timeout 1s  attempts unlimited  backoff 200ms x2 up to 5s jitter } # RES805
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
    calls Carts.GetCart { timeout 1s  attempts 4  backoff 200ms x2 up to 5s jitter }
  }
}
service Carts { handles GetCart succeeds }
```

```coord
query ShowCart, GetCart

external service Browser { calls Gateway.ShowCart }
service Gateway {
  handles ShowCart {
    calls Carts.GetCart { timeout 1s  attempts 3  backoff 200ms x2 up to 5s jitter }
  }
}
service Carts { handles GetCart succeeds }
```

## Exempt

- `attempts unlimited` in a workflow on a `retriable` step, behind the pivot, or in a compensation: there it has to succeed in the
  end. Also with a `deadline`, or in a workflow with a `timeout`, which bound it.
- `no backoff "why"` is a decision and at most information.
- Calls of an external service: its policy is not ours.
- A backoff without `jitter` is only information, and only if the caller is declared to have several replicas.

`attempts` repeat technical failures and timeouts, never a `fails`, so that a retried business failure cannot be written. The language
has no word for the wait between two deliveries of a queue.

## References

- Azure Architecture Center, *Retry Storm antipattern*.
- M. Brooker: *Exponential Backoff And Jitter*, AWS Architecture Blog, 2015.
- Amazon Builders' Library, *Timeouts, retries, and backoff with jitter*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.calls import shown
from coordlint.finding import Finding, Fix, Label
from coordlint.rule import rule
from coordlint.source import Edit

from ._words import PLACES, is_own, listed, span_of, target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.calls import Governed
    from coordlint.design import Design
    from coordlint.source import Span
    from coordlint.system import Action

BACKOFF = "backoff 200ms x2 up to 5s jitter"


@rule("RES805", "unsafe-retry-policy", "W/W/E", evidence="D")
def check(design: Design) -> Iterator[Finding]:
    """One finding per declared number of attempts; what a service says for all its calls is one declaration."""
    found: dict[tuple[str, Span], list[Action]] = {}
    first: dict[Span, Action] = {}
    for call in design.system.actions:
        if call.kind not in {"call", "send"} or call.process.service.external:
            continue
        governed = design.calls.governed(call)
        if governed.retry.fact.span is not None:
            first.setdefault(governed.retry.fact.span, call)
        fault = _fault(design, call, governed)
        if fault:
            found.setdefault((fault, span_of(governed.retry.fact)), []).append(call)
    for (fault, span), calls in found.items():
        governed = design.calls.governed(calls[0])
        yield _FINDINGS[fault](calls, governed, _subject(first[span], governed))


def _fault(design: Design, call: Action, governed: Governed) -> str:
    if governed.retry.attempts <= 1:
        return ""
    if governed.retry.unlimited and call.kind == "call" and not _is_bounded(design, call, governed):
        return "unlimited"
    if governed.backoff.absent or (design.strict and governed.backoff.unknown):
        return "no wait"
    replicas = call.process.service.fact("replicas")
    if governed.backoff.declared and not governed.backoff.value.jitter and replicas.declared and replicas.value > 1:
        return "no jitter"
    return ""


def _is_bounded(design: Design, call: Action, governed: Governed) -> bool:
    """Whether it may go on until it succeeds, or something else ends it."""
    if design.calls.is_retried_for_ever(call) or governed.deadline.declared:
        return True
    return call.process.kind == "workflow" and call.process.fact("timeout").declared


def _unlimited(calls: list[Action], governed: Governed, subject: str) -> Finding:
    fact = governed.retry.fact
    fix = Fix("try three times", (Edit(span_of(fact), "attempts 3"),)) if fact.text == "attempts unlimited" else None
    return Finding(
        primary=Label(span_of(fact), "no end"),
        message=f"{_who(calls, governed)} {_what(calls)} again and again, and nothing bounds the attempts",
        related=_others(calls),
        help=f"bound them by a number or a `deadline`: `attempts 3  {BACKOFF}`",
        silence="`deadline D` at the call, or `retriable` on the step of a workflow",
        fix=fix if is_own(calls[0], fact) else None,
        subject=subject,
    )


def _no_wait(calls: list[Action], governed: Governed, subject: str) -> Finding:
    fact, backoff = governed.retry.fact, governed.backoff
    count = "any number of" if governed.retry.unlimited else f"{int(governed.retry.attempts)}"
    said = "without a wait between them" if backoff.absent else "and no wait between them is declared"
    fix = Fix(f"add `{BACKOFF}`", (Edit(span_of(backoff), BACKOFF),)) if backoff.absent else None
    related = (Label(span_of(backoff), "at once"),) if backoff.absent else ()
    return Finding(
        primary=Label(span_of(fact), f"{count} attempts"),
        message=f"{_who(calls, governed)} {_what(calls)} in {count} attempts {said}",
        related=(*related, *_others(calls)),
        help=f"wait longer from attempt to attempt: `{BACKOFF}`",
        silence='`backoff D`, or `no backoff "why"`',
        fix=fix,
        subject=subject,
        levels="I/I/I" if backoff.why else ("W/W/E" if backoff.absent else "–/W/E"),
    )


def _no_jitter(calls: list[Action], governed: Governed, subject: str) -> Finding:
    backoff, replicas = governed.backoff, calls[0].process.service.fact("replicas")
    clause = f"{backoff.text} jitter"
    return Finding(
        primary=Label(span_of(backoff), "the same waits everywhere"),
        message=f"{replicas.value} replicas of `{calls[0].process.service.name}` wait equally long before they try again",
        related=(Label(span_of(replicas), f"{replicas.value} replicas"), *_others(calls)),
        help=f"spread them: `{clause}`",
        silence="`jitter` in the `backoff`",
        fix=Fix("add `jitter`", (Edit(span_of(backoff), clause),)),
        subject=subject,
        levels="I/I/I",
    )


_FINDINGS = {"unlimited": _unlimited, "no wait": _no_wait, "no jitter": _no_jitter}


def _subject(call: Action, governed: Governed) -> str:
    """What says how often to try: the service, or the first call that it governs, be that one at fault in this profile or not."""
    if is_own(call, governed.retry.fact):
        return f"{call.process.path} / {_verb(call)} {target(call)}"
    return f"service {call.process.service.name}"


def _who(calls: list[Action], governed: Governed) -> str:
    if any(is_own(call, governed.retry.fact) for call in calls):
        return shown(calls[0].process)
    return f"service `{calls[0].process.service.name}`"


def _what(calls: list[Action]) -> str:
    return f"{_verb(calls[0])} {listed(target(call) for call in calls)}"


def _verb(call: Action) -> str:
    return "calls" if call.kind == "call" else "sends"


def _others(calls: list[Action]) -> tuple[Label, ...]:
    """The calls that are governed from elsewhere, as their own lines do not say so."""
    return tuple(Label(call.span, "tried again") for call in calls[:PLACES]) if len(calls) > 1 else ()
