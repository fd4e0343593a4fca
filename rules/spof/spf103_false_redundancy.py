"""A call and its fallback fail together, because both need the same component.

## Why

A fallback is a promise: if this does not answer, that will. The promise is void where both go through the same gateway, read
the same store or end in the same service, since what breaks the first way breaks the second one in the same moment. It is worse than
no fallback: it is paid for, hardly ever tested, and counted on.

## Bad

```coord
command Checkout, ChargeCard, ChargeAccount
event OrderPaid

external service Shopper { calls Shop.Checkout }
service Egress "The gateway to everything outside"
service CardPayments {
  uses Egress
  handles ChargeCard acts "charges the card"
}
service AccountPayments {
  uses Egress
  handles ChargeAccount acts "debits the account"
}

service Shop {
  handles Checkout {
    calls CardPayments.ChargeCard { fallback { calls AccountPayments.ChargeAccount } } # SPF103
    emits OrderPaid
  }
}

flow Purchase {
  starts with Checkout from Shopper
  succeeds with OrderPaid
}
```

## Good

```coord
command Checkout, ChargeCard, ChargeAccount
event OrderPaid

external service Shopper { calls Shop.Checkout }
service Egress "The gateway to the card network"
service BankLine "A line of its own to the bank"
service CardPayments {
  uses Egress
  handles ChargeCard acts "charges the card"
}
service AccountPayments {
  uses BankLine
  handles ChargeAccount acts "debits the account"
}

service Shop {
  handles Checkout {
    calls CardPayments.ChargeCard { fallback { calls AccountPayments.ChargeAccount } }
    emits OrderPaid
  }
}

flow Purchase {
  starts with Checkout from Shopper
  succeeds with OrderPaid
}
```

## Exempt

- What the calling service needs anyway, with or without the call.
- A shared component that survives a crash (`replicas 2`, `failover auto`, …), except under the profile production: it can still
  be misconfigured, overloaded or cut off as a whole.
- A fallback that answers from what it has (`fallback { succeeds }`) or that fails in its own words.

Judged are the calls on the paths of declared flows. Replicas in one zone are SPF101's question (`zones`).

## References

- J. Gabrielson: Avoiding fallback in distributed systems, Amazon Builders' Library.
- M. Nygard: Release It!, 2nd edition, 2018: common-mode failures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.criticality import tolerance
from coordlint.finding import Finding, Label
from coordlint.rule import rule
from coordlint.system import Service

from ._words import flows_text, kind_of, listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coordlint.analysis.causality import Component
    from coordlint.analysis.criticality import SharedFate
    from coordlint.design import Design
    from coordlint.source import Span


@rule("SPF103", "false-redundancy", "W/W/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """One finding per call whose fallback shares its fate."""
    for fate in design.shared_fates:
        exposed = [one for one in fate.shared if design.profile == "production" or not _is_redundant(one)]
        if exposed:
            yield _finding(fate, exposed)


def _is_redundant(component: Component) -> bool:
    crashes = tolerance(component).crashes
    return crashes is not None and crashes > 0


def _finding(fate: SharedFate, shared: Sequence[Component]) -> Finding:
    call = fate.call
    names = listed([component.name for component in shared])
    ours = [one for one in shared if not (isinstance(one, Service) and one.external)]
    return Finding(
        primary=Label(call.span, f"needs {names}"),
        message=f"the call of `{call.use.span.text}` and its fallback both need {names}, and so fail together",
        related=(
            Label(_fallback_span(fate), f"needs {names} too"),
            *(Label(one.place, "needed by both") for one in shared[:3]),
        ),
        help=f"give the fallback a way that does not need {names}",
        notes=(f"{flows_text(fate.flows)} {'counts' if len(fate.flows) == 1 else 'count'} on this fallback",),
        silence=f"`{_SPARE[kind_of(ours[0])]}` on `{ours[0].name}`" if ours else "",
        subject=f"{call.process.path} / calls {call.message.name}",
    )


_SPARE = {"service": "replicas 2", "store": "replicas 2  failover auto", "broker": "nodes 3"}


def _fallback_span(fate: SharedFate) -> Span:
    fact = fate.call.fact("fallback")
    return fact.span if fact.span is not None else fate.fallback.span
