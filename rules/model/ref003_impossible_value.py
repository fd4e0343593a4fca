"""A value that cannot be, alone or together with another one of the same declaration.

## Why

No replicas at all, a probability above one, more in-sync replicas demanded than there are, a total of attempts beside a
number of retries: no system can be built like that, and the arithmetic of the other rules would make nonsense of it.

## Bad

```coord
broker Kafka {
  nodes 3
  replication 3
  min-insync 4 # REF003
}
```

## Good

```coord
broker Kafka {
  nodes 3
  replication 3
  min-insync 2
}
```

## References

- Apache Kafka documentation, `min.insync.replicas`: a producer that asks for all acknowledgements fails when fewer replicas
  than this are in sync.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.rule import rule

from ._problems import problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.finding import Finding


@rule("REF003", "impossible-value", "E/E/E", evidence="D")
def check(design: Design) -> Iterator[Finding]:
    """Hand on what reading the values reported."""
    return problems(design, "REF003")
