"""A name is used that no declaration introduces.

## Why

A misspelt name cuts a connection that the author believes in: the event goes nowhere, the monitor watches nothing. It comes
first because the other rules see the design without that connection. Where exactly one declared name of the right kind is
close, the finding names it and the fix takes it over.

## Bad

```coord
event OrderPlaced

service Web { emits OrderPlaced }
service Billing {
  on OrderPlacd { acts "writes the invoice" } # REF001
}
```

## Good

```coord
event OrderPlaced

service Web { emits OrderPlaced }
service Billing {
  on OrderPlaced { acts "writes the invoice" }
}
```

## Exempt

Nothing: what lies outside the design is declared with `external`, and from then on it is a name like any other.

## References

- Damerau, "A technique for computer detection and correction of spelling errors", CACM 7(3), 1964: the distance by which
  near names are found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.rule import rule

from ._problems import problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.finding import Finding


@rule("REF001", "unresolved-reference", "E/E/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """Hand on what resolving the names reported."""
    return problems(design, "REF001")
