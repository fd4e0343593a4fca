"""An ignore comment gives no reason, has ended, names no rule, covers nothing, or hides nothing.

## Why

An ignore is a decision, and a decision without a reason or an end cannot be reviewed: it outlives the people who made it.
One that hides nothing any more says something false about the design. Teams that let such comments gather lose the findings
that come back later under the same comment.

A comment is only called useless if every rule it names has run.

## Bad

```coord
external service Scanner { emits ParcelScanned }
event ParcelScanned
event ParcelWeighed
service Hub {
  on ParcelScanned emits ParcelWeighed    # coordlint: ignore[event-never-consumed]   # HYG953
}
```

```coord
external service Scanner { emits ParcelScanned }
event ParcelScanned
service Hub {
  # coordlint: ignore[event-never-consumed] nobody listens yet   # HYG953
  on ParcelScanned { notifies }
}
```

## Good

```coord
external service Scanner { emits ParcelScanned }
event ParcelScanned
event ParcelWeighed
service Hub {
  on ParcelScanned emits ParcelWeighed    # coordlint: ignore[event-never-consumed] read by the scales vendor
}
```

```coord
external service Scanner { emits ParcelScanned }
event ParcelScanned
service Hub {
  on ParcelScanned { notifies }
}
```

## Exempt

With `require-reason = false` in the configuration a comment needs no reason. This rule can be ignored by its name like any
other.

## References

The linters ESLint, Ruff and Pyrefly report suppressions that are no longer needed.
"""

from __future__ import annotations

from collections.abc import Iterator

from coordlint.design import Design
from coordlint.finding import Finding
from coordlint.rule import rule


@rule("HYG953", "stale-or-bare-suppression", "W/W/W", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """The engine judges the comments when all other rules have run; see `coordlint.ignores`."""
    yield from ()
