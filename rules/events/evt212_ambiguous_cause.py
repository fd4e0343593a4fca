"""What a process takes for the answer to its request may have another cause.

## Why

A process asks, waits, and goes on with the first message of the awaited name. If the same message is also published in the same
run for another reason, the process may go on with an answer to a question it never asked: it ships because somebody else's
payment check succeeded, while its own request is still on the way or has failed. The keys do not help when both messages carry
the same one; a key that is made with the request does.

## Bad

```coord
event OrderPlaced { order_id: uuid }
event CreditChecked { order_id: uuid }
command CheckCredit
external service Shop { emits OrderPlaced }
service Orders
workflow Checkout in Orders {
  starts on OrderPlaced
  sends Credit.CheckCredit
  awaits CreditChecked within 1h by order_id # EVT212
  acts "confirms the order"
}
service Credit {
  handles CheckCredit emits CreditChecked
}
service Fraud {
  on OrderPlaced { sends Credit.CheckCredit }
}
```

## Good

```coord
event OrderPlaced { order_id: uuid }
event CreditChecked { order_id: uuid }
event FraudChecked { order_id: uuid }
command CheckCredit
external service Shop { emits OrderPlaced }
service Orders
workflow Checkout in Orders {
  starts on OrderPlaced
  sends Credit.CheckCredit
  awaits CreditChecked within 1h by order_id
  acts "confirms the order"
}
service Credit {
  handles CheckCredit emits CreditChecked
}
service Fraud {
  on OrderPlaced emits FraudChecked
}
service Alarm {
  on FraudChecked { notifies }
}
```

## Exempt

- A `by` on a field that the messages which start the process do not carry, such as a request id: only the answer has it.
  Where no fields are declared, a `by` is taken to be one.
- Publications of another run: what other flows ask for carries other keys.
- Publications that come before the request, or that exclude it.
- A request whose answer is not awaited by name: `calls` gets its own answer.

## References

- G. Hohpe, B. Woolf, *Enterprise Integration Patterns*, 2003, *Correlation Identifier*: a request carries an id that its reply
  repeats.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Finding, Label
from coordlint.rule import rule

from ._words import called

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.forks import Ambiguous
    from coordlint.design import Design


@rule("EVT212", "ambiguous-cause", "W/W/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """One finding per awaited message."""
    for one in design.forks.ambiguous():
        yield _finding(design, one)


def _finding(design: Design, one: Ambiguous) -> Finding:
    causality, answer = design.causality, one.use.message.name
    path = causality.path([one.root], [one.other.id])
    way = causality.describe([*path, causality.number(one.use.message)])
    return Finding(
        primary=Label(one.use.span, "may be the answer to something else"),
        message=f"{called(one.process)} takes `{answer}` for the answer to `{one.request.message.name}`, but in the same run "
        f"{called(one.other.process)} publishes it for another reason",
        related=(
            Label(one.request.span, "the request that is meant"),
            Label(one.other.span, "the other cause"),
        ),
        help="correlate with an id that is made with the request, or give the other message another name",
        notes=(f"the other way: {way}",),
        silence="`by` a field that only the request brings in",
        subject=f"{one.process.path} / {answer}",
    )
