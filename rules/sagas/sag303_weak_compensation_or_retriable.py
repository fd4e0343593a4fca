"""A compensation or a retriable step may give up, or do its work twice.

## Why

Once a saga goes back, its compensations are all that stands between the failure and inconsistent data, and behind the pivot
the retriable steps are. Both can fail technically like any call. So they are repeated until they succeed, which needs
handlers that bear a repetition; and when they give up, somebody has to learn of it (Garcia-Molina and Salem ask for manual
intervention). A compensation that is tried once and then forgotten leaves half a saga that nobody knows about.

## Bad

```coord
store StockDb
command PlaceOrder
command ReserveStock, ReleaseStock, ChargeCard

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Inventory {
  handles ReserveStock { idempotent  writes StockDb.stock }
  handles ReleaseStock { idempotent  compensates ReserveStock  writes StockDb.stock }
}
service Payments {
  handles ChargeCard {
    acts "charges the card"
    succeeds or fails "card declined"
  }
}

workflow Checkout in Orders {
  starts on PlaceOrder
  step reserve calls Inventory.ReserveStock { compensate Inventory.ReleaseStock { no retries } } # SAG303
  step charge calls Payments.ChargeCard { pivot }
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
}
```

## Good

```coord
store StockDb
command PlaceOrder
command ReserveStock, ReleaseStock, ChargeCard

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Inventory {
  handles ReserveStock { idempotent  writes StockDb.stock }
  handles ReleaseStock { idempotent  compensates ReserveStock  writes StockDb.stock }
}
service Payments {
  handles ChargeCard {
    acts "charges the card"
    succeeds or fails "card declined"
  }
}

workflow Checkout in Orders {
  starts on PlaceOrder
  step reserve calls Inventory.ReserveStock { compensate Inventory.ReleaseStock { attempts unlimited  backoff 1s x2 up to 5m } }
  step charge calls Payments.ChargeCard { pivot }
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with Checkout
}
```

## Exempt

`attempts unlimited`; an `on failure` block at the compensation or the retriable step, which tells somebody; a command that
travels over a channel, which delivers it again (unless `at-most-once`); a compensation that can never run. If nothing is said
about repetitions, the default profile speaks only where another compensation of the design says something. A compensation
that cannot succeed at all is SAG304's.

## References

- Garcia-Molina, Salem, "Sagas", SIGMOD 1987, on compensations that fail.
- Ford, Richards, Sadalage, Dehghani, *Software Architecture: The Hard Parts*, on unfinished undoing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from coordlint.finding import Finding, Label
from coordlint.rule import rule
from coordlint.system import UNKNOWN

from ._words import joined, path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from coordlint.analysis.sagas import Saga, Sagas, SagaStep
    from coordlint.design import Design
    from coordlint.system import Action, Fact


class _Weakness(NamedTuple):
    """What is wrong, as the end of a sentence, where it is said, and how to mend it."""

    text: str
    label: Label | None
    help: str


@rule("SAG303", "weak-compensation-or-retriable", "W/W/E", evidence="DA")
def check(design: Design) -> Iterator[Finding]:
    """Report compensations and retriable steps that may give up or do harm when repeated."""
    judge = _Judge(design)
    for saga in design.sagas.all:
        for step in saga.steps:
            yield from judge.compensation(saga, step)
            if step.kind == "retriable":
                yield from judge.retriable(step)


class _Judge:
    def __init__(self, design: Design) -> None:
        self.design = design
        self.sagas: Sagas = design.sagas
        self.asks = design.strict or any(
            not _repetition(facts).unknown
            for saga in self.sagas.all
            for step in saga.steps
            for action in self.sagas.undoing(step)
            for facts in (action.facts,)
        )

    def compensation(self, saga: Saga, step: SagaStep) -> Iterator[Finding]:
        for action in self.sagas.undoing(step):
            if not self.sagas.can_run(saga, step, action) or self.cannot_succeed(action):
                continue
            said = {**action.process.service.calls, **action.facts}
            found = [*self.repeated(action), *self.given_up(action, said, self.asks), *self.refused(action)]
            if found:
                name = f"`{action.message.name}`"
                yield _finding(
                    found, action, f"{name}, which undoes {step.label},", f"{path(step.step)} / compensation"
                )

    def retriable(self, step: SagaStep) -> Iterator[Finding]:
        for action in step.requests:
            if action.kind != "call" or action.fact("optional").declared:
                continue
            facts = {**action.process.service.calls, **step.step.facts, **action.facts}
            found = [*self.repeated(action), *self.given_up(action, facts, False)]
            if found:
                yield _finding(found, action, f"{step.label}, which has to succeed,", path(step.step))

    def cannot_succeed(self, action: Action) -> bool:
        handlers = self.sagas.answering(action)
        return bool(handlers) and not any(self.sagas.can_succeed(handler) for handler in handlers)

    def repeated(self, action: Action) -> Iterator[_Weakness]:
        for handler in self.sagas.answering(action):
            fact = handler.fact("idempotent")
            if fact.absent and not fact.why:
                help = f"make `{handler.name}` of `{handler.service.name}` idempotent"
                yield _Weakness("is not idempotent", _label(fact, "said here"), help)

    def given_up(self, action: Action, facts: Mapping[str, Fact], asks: bool) -> Iterator[_Weakness]:
        """Finite repetitions, and nobody is told of the last one."""
        if action.kind != "call" or _is_answered(facts) or _is_redelivered(action):
            return
        fact = _repetition(facts)
        help = "repeat it with `attempts unlimited`, or say in an `on failure` block who takes over"
        if fact.unknown and asks:
            yield _Weakness("does not say how often it is tried", None, help)
        elif fact.absent and not fact.why:
            yield _Weakness("is tried only once", _label(fact, "said here"), help)
        elif fact.declared and fact.value != float("inf"):
            yield _Weakness("gives up at last and tells nobody", _label(fact, "said here"), help)

    def refused(self, action: Action) -> Iterator[_Weakness]:
        if _is_answered(action.facts):
            return
        for handler in self.sagas.answering(action):
            cause = self.sagas.failing.get(handler)
            if cause is not None:
                help = "say in an `on failure` block of the compensation who takes over"
                yield _Weakness("may refuse and tells nobody", Label(cause.span, "it may fail here"), help)


def _repetition(facts: Mapping[str, Fact]) -> Fact:
    attempts = facts.get("attempts", UNKNOWN)
    return attempts if not attempts.unknown else facts.get("retries", UNKNOWN)


def _is_answered(facts: Mapping[str, Fact]) -> bool:
    return any(facts.get(name, UNKNOWN).declared for name in ("on_failure", "fallback"))


def _is_redelivered(action: Action) -> bool:
    channel = action.message.channel
    return channel is not None and channel.fact("delivery").value != "at-most-once"


def _label(fact: Fact, text: str) -> Label | None:
    return Label(fact.span, text) if fact.span is not None else None


def _finding(found: list[_Weakness], action: Action, subject_text: str, subject: str) -> Finding:
    labels = [one.label for one in found if one.label is not None]
    related = [label for label in dict.fromkeys(labels) if label.span != action.span]
    return Finding(
        primary=Label(action.span),
        message=f"{subject_text} {joined(list(dict.fromkeys(one.text for one in found)))}",
        related=tuple(related),
        help=joined(list(dict.fromkeys(one.help for one in found))),
        silence="`attempts unlimited` and an idempotent handler, or an `on failure` block",
        subject=subject,
    )
