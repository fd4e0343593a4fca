"""Retries on several layers multiply: one request becomes many at the end of the chain when it fails.

## Why

Each layer that tries again repeats all that lies below it. Three retries on each of three layers make 4 x 4 x 4 = 64 attempts
on the last service, three attempts on each of five layers 243, and that at the moment when it is overloaded already. Retries are
what keeps an outage going after its cause has gone. Try again at one layer, best the one that knows what the request is worth.

The factor is the product of the attempts along the worst chain of calls, times the deliveries of a message that the broker
repeats. It is a warning above 10 and an error from 64 on. A single layer is told from 64 on: a message that is delivered
2000 times before it is set aside.

## Bad

```coord
query ShowCart, GetCart, GetPrices
query ReadPrices

external service Browser { calls Gateway.ShowCart }
service Gateway {
  handles ShowCart {
    calls Carts.GetCart { retries 3 }
  }
}
service Carts {
  handles GetCart {
    calls Prices.GetPrices { retries 3 }
  }
}
service Prices {
  handles GetPrices {
    calls PriceTable.ReadPrices { retries 3 } # RES804
  }
}
service PriceTable { handles ReadPrices succeeds }
```

## Good

```coord
query ShowCart, GetCart, GetPrices
query ReadPrices

external service Browser { calls Gateway.ShowCart }
service Gateway {
  handles ShowCart {
    calls Carts.GetCart { retries 3 }
  }
}
service Carts {
  handles GetCart {
    calls Prices.GetPrices { no retries }
  }
}
service Prices {
  handles GetPrices {
    calls PriceTable.ReadPrices { no retries }
  }
}
service PriceTable { handles ReadPrices succeeds }
```

## Exempt

- A `retry-budget P` of the calling service leaves 1 + P attempts per request, a `breaker` one.
- A layer does not repeat what lies below it if the failure does not reach it: the call in between is `optional`, has a `fallback` or an
  `on failure` that goes on or answers with `fails`, or stands behind the pivot of a workflow.
- A message that starts a workflow is not delivered again when the workflow fails.
- `attempts unlimited` counts once, as no number is declared; RES805 asks what bounds it.

## Options

`warning` (10): the factor above which it is a warning. `error` (64): the factor from which it is an error.

## References

- Google SRE book, chapter *Addressing Cascading Failures*: 4 x 4 x 4 = 64 attempts; *Handling Overload*: retry budgets.
- Amazon Builders' Library, *Timeouts, retries, and backoff with jitter*: 3^5 = 243.
- L. Huang et al.: Metastable failures in the wild, OSDI 2022: retries as the sustaining loop.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from coordlint.analysis.calls import shown
from coordlint.analysis.load import Amplification, Layer, expected_attempts
from coordlint.finding import Finding, Fix, Label
from coordlint.rule import rule
from coordlint.source import Edit
from coordlint.system import Process

from ._words import PLACES, is_own, span_of, target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.source import Span
    from coordlint.system import Action, Fact, Service


@rule("RES804", "retry-amplification", "W/W/E", evidence="Q", options={"warning": 10, "error": 64})
def check(design: Design) -> Iterator[Finding]:
    """One finding per service at the end of a chain of layers, and one per declared number of a single layer."""
    retries = design.load.retries
    warning, error = check.option(design, "warning"), check.option(design, "error")
    amplified = [one for one in design.system.processes if retries.factor(one) > min(warning, error - 1)]
    # A chain that another one continues is part of that one; of the operations of a service the worst is told.
    chains = [process for process in amplified if retries.count(process) > 1]
    continued = {retries.above(process) for process in chains}
    by_service: dict[Service, list[Process]] = {}
    for process in chains:
        if process not in continued:
            by_service.setdefault(process.service, []).append(process)
    for ends in by_service.values():
        worst = max(ends, key=retries.factor)
        yield _finding(worst, retries.amplification(worst), len(ends) - 1, error)
    singles: dict[Span, tuple[Layer, list[Process]]] = {}
    for process in amplified:
        call = retries.last_call(process)
        if call is not None and retries.count(process) == 1 and retries.factor(process) >= error:
            for layer in retries.layers(call):
                singles.setdefault(layer.reasons[0].span, (layer, []))[1].append(process)
    for layer, processes in singles.values():
        yield _single_call(layer, processes)
    yield from _redelivery(design, error)


def _finding(process: Process, found: Amplification, others: int, error: float) -> Finding:
    inner = found.layers[-1]
    product = " x ".join(f"{layer.factor:g}" for layer in found.layers)
    half = math.prod(expected_attempts(math.ceil(layer.factor), 0.5) for layer in found.layers)
    notes = [
        f"{product} = {found.factor:g}, if every attempt fails",
        f"if every second attempt fails, it is {half:.1f} on average",
        *found.notes,
    ]
    if others:
        notes.append(
            f"the chain ends in {others} more operation{'s' if others > 1 else ''} of `{process.service.name}`"
        )
    first = inner.reasons[0]
    return Finding(
        primary=Label(first.span, first.text),
        message=(
            f"one request may run {shown(process)} {found.factor:g} times, as {len(found.layers)} layers try again"
        ),
        related=(
            *(Label(reason.span, reason.text) for layer in found.layers for reason in layer.reasons if reason != first),
            Label(process.place, f"runs up to {found.factor:g} times"),
        )[:PLACES],
        notes=tuple(notes),
        help="try again at one layer only, or bound the others by a `retry-budget`",
        silence="`no retries` at all layers but one, or a `retry-budget` of the services that try again",
        fix=_fix(found),
        subject=f"service {process.service.name}",
        levels="E/E/E" if found.factor >= error else "",
    )


def _fix(found: Amplification) -> Fix | None:
    """Leave the retries of the outermost layer."""
    edits = []
    for layer in found.layers[1:]:
        fact = _own_fact(layer.what) if not isinstance(layer.what, Process) else None
        if fact is None or fact != layer.reasons[0].span:
            return None
        edits.append(Edit(fact, "no retries"))
    return Fix("try again at the outermost layer only", tuple(edits))


def _own_fact(call: Action) -> Span | None:
    for name in ("attempts", "retries"):
        fact = call.facts.get(name)
        if fact is not None and is_own(call, fact):
            return fact.span
    return None


def _single_call(layer: Layer, processes: list[Process]) -> Finding:
    reason = layer.reasons[0]
    assert not isinstance(layer.what, Process)
    labels = [Label(one.place, f"runs up to {layer.factor:g} times") for one in processes]
    return Finding(
        primary=Label(reason.span, f"{layer.factor:g} times"),
        message=f"{shown(layer.process)} makes up to {layer.factor:g} attempts of `{target(layer.what)}`",
        related=tuple(labels[:PLACES]),
        help="make a few attempts with a growing wait between them, or bound them by a `retry-budget`",
        silence="a smaller number of attempts, or a `retry-budget`",
        subject=f"{layer.process.path} / calls {target(layer.what)}",
    )


def _redelivery(design: Design, error: float) -> Iterator[Finding]:
    """Channels and handlers that go on delivering what cannot be handled."""
    delivery = design.delivery
    for channel in design.system.channels.values():
        fact = channel.fact("dead_letter")
        consumers = list(dict.fromkeys(arrival.process for arrival in delivery.by_channel.get(channel, ())))
        if fact.declared and (fact.value.after or 0) >= error and consumers:
            yield _repeated(f"channel `{channel.name}`", fact, fact.value.after, consumers, f"channel {channel.name}")
    for process in design.system.processes:
        attempts, dead_letter = process.fact("attempts"), process.fact("dead_letter")
        if attempts.declared and error <= attempts.value < math.inf:
            yield _repeated(shown(process), attempts, attempts.value, [], process.path)
        elif dead_letter.declared and (dead_letter.value.after or 0) >= error:
            yield _repeated(shown(process), dead_letter, dead_letter.value.after, [], process.path)


def _repeated(who: str, fact: Fact, times: int, consumers: list[Process], subject: str) -> Finding:
    left = len(consumers) - PLACES
    return Finding(
        primary=Label(span_of(fact), f"{times} times"),
        message=f"{who} repeats a message that cannot be handled up to {times} times before it is set aside",
        related=tuple(Label(one.place, "handles it each time") for one in consumers[:PLACES]),
        notes=(f"and {left} more",) if left > 0 else (),
        help="set a message aside after a few deliveries, so that it does not keep its handler busy",
        silence="a smaller number of deliveries",
        subject=subject,
    )
