"""An include that cannot be followed: the file is missing, includes itself in a circle, or lies outside the project.

## Why

A design is one root file and all it includes. When a part is missing, the names declared there are unknown, and what the
other rules say about the rest is incomplete.

## Bad

```coord
include "payments.coord" # SYN002

service Orders
```

## Good

```coord
service Orders
service Payments
```

## References

- The language reference in `grammar/README.md`, on includes: paths are relative to the including file and stay below the
  folder of the project.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.rule import rule

from ._problems import problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.finding import Finding


@rule("SYN002", "include-problem", "E/E/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """Hand on what following the includes reported."""
    return problems(design, "SYN002")
