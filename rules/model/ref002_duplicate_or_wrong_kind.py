"""A name is declared twice, or is used as something it is not.

## Why

An event states what happened and may have any number of listeners; a command asks one handler to act. Sending an event or
publishing a command mixes the two, and the reader no longer knows who decides. A name declared twice leaves open which of
the two declarations is meant.

## Bad

```coord
command ShipOrder

service Orders { emits ShipOrder } # REF002
service Shipping { handles ShipOrder { acts "hands the parcel over" } }
```

## Good

```coord
command ShipOrder

service Orders { sends Shipping.ShipOrder }
service Shipping { handles ShipOrder { acts "hands the parcel over" } }
```

## References

- NServiceBus, "Messages, events, and commands": the framework refuses to publish a command and to send an event.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.rule import rule

from ._problems import problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.finding import Finding


@rule("REF002", "duplicate-or-wrong-kind", "E/E/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """Hand on what resolving the names reported."""
    return problems(design, "REF002")
