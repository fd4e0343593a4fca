"""An attribute behind a call without braces belongs to the body around it, and not to the call.

## Why

`calls Payments.Charge timeout 2s` reads as a call with a timeout. Without braces the language gives the attribute to what encloses the
call: the handler is given two seconds, and the call waits as long as it likes. Line breaks mean nothing to the parser, so only
the reader is misled.

## Bad

```coord
command PlaceOrder, Charge
external service Shopper { calls Orders.PlaceOrder }
service Orders {
  handles PlaceOrder {
    calls Bank.Charge timeout 2s # HYG954
  }
}
external service Bank { handles Charge succeeds }
```

## Good

```coord
command PlaceOrder, Charge
external service Shopper { calls Orders.PlaceOrder }
service Orders {
  handles PlaceOrder {
    calls Bank.Charge { timeout 2s }
  }
}
external service Bank { handles Charge succeeds }
```

## Exempt

- An attribute on a line of its own, or in front of the call.
- A step whose only statement is the call: there both mean the same.
- What a call cannot say (`idempotent`, `writes …`).

## References

The language reference, section *Triggers, statements, attributes*.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Finding, Fix, Label
from coordlint.rule import rule
from coordlint.source import Edit, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from coordlint.design import Design
    from coordlint.syntax import Clause

OF_CALLS = frozenset(
    "timeout attempts retries backoff deadline breaker optional fallback compensate pivot retriable irreversible isolation "
    "on_failure on_timeout absent no_timeout".split()
)
"""The clauses that may stand in the braces of a call."""


@rule("HYG954", "detached-attribute", "W/W/W", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """One finding per call with attributes right behind it on its line."""
    for document in design.documents:
        yield from _search(document.declarations)


def _search(clauses: Iterable[Clause]) -> Iterator[Finding]:
    pending = list(clauses)[::-1]
    while pending:
        clause = pending.pop()
        if clause.body is not None:
            pending += clause.body[::-1]
            if clause.kind in {"handler", "workflow", "step"}:
                yield from _in_body(clause)


def _in_body(owner: Clause) -> Iterator[Finding]:
    body = [clause for clause in owner.body or () if clause.kind != "note"]
    if owner.kind == "step" and sum(clause.kind not in OF_CALLS for clause in body) == 1:
        return
    for position, clause in enumerate(body):
        call = _bare_call(clause)
        behind: list[Clause] = []
        for other in body[position + 1 :] if call is not None else ():
            if other.kind not in OF_CALLS or other.span.line != (behind[-1] if behind else clause).span.end_line:
                break
            behind.append(other)
        if call is not None and behind:
            yield _finding(owner, call, behind)


def _bare_call(clause: Clause) -> Clause | None:
    """The call or send without braces that the clause is or ends in."""
    if clause.kind == "step" and clause.body and clause.body[-1].span.end == clause.span.end:
        clause = clause.body[-1]
    return clause if clause.kind in {"calls", "sends"} and clause.body is None else None


def _finding(owner: Clause, call: Clause, behind: list[Clause]) -> Finding:
    words = _text(behind[0].head.text if behind[0].body else behind[0].span.text)
    whole = f"`{_text(call.span.text)}`"
    braces = (
        Edit(Span(call.span.source, call.span.end, call.span.end), " {"),
        Edit(Span(call.span.source, behind[-1].span.end, behind[-1].span.end), " }"),
    )
    more = f" (and {len(behind) - 1} more)" if len(behind) > 1 else ""
    return Finding(
        primary=Label(behind[0].span if not behind[0].body else behind[0].head, f"of the {owner.kind}"),
        message=f"`{words}`{more} behind {whole} belongs to the {owner.kind} around it, not to the call",
        related=(Label(call.span, "has no attributes"),),
        help=f"put it into braces, {whole[:-1]} {{ … }}`, or on a line of its own",
        silence="a line break in front of the attribute",
        fix=Fix("add the braces", braces),
        subject=f"{owner.kind} {_text(owner.head.text)} / {_text(call.span.text)}",
    )


def _text(text: str) -> str:
    return " ".join(text.split())
