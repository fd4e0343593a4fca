"""Two runs that share data can get in each other's way: a lost update, a dirty read or a fuzzy read.

## Why

Sagas commit step by step, and other runs come in between. One then overwrites what another has written since it looked (lost
update), ends well with what another takes back (dirty read), or reads two states that were never there together (fuzzy read).
This rule runs two workflows that share an entity, or two runs of one, step by step in every order. `isolation by-value` keeps
nothing apart, `commutative`, `reread` and `version-file` make stale writes harmless, `pessimistic-view` keeps provisional
data from being read, and `semantic-lock` makes others wait.

## Bad

```coord
store BookingsDb
store SeatsDb
command Book, LookUpSeat, TakeSeat

external service Traveller { sends Bookings.Book }

service Seats {
  outbox
  handles LookUpSeat { idempotent by booking  reads SeatsDb.seats  succeeds or fails "sold out" }
  handles TakeSeat { idempotent by booking  writes SeatsDb.seats }
}
service Bookings { outbox }
workflow Booking in Bookings {
  starts on Book
  idempotent by booking
  state in BookingsDb
  step look calls Seats.LookUpSeat { timeout 2s  attempts 2  isolation by-value }
  step take calls Seats.TakeSeat { timeout 2s  attempts unlimited  isolation by-value } # VER017
}

flow Travel {
  starts with Book from Traveller
  succeeds with Booking
}
```

## Good

```coord
store BookingsDb
store SeatsDb
command Book, LookUpSeat, TakeSeat

external service Traveller { sends Bookings.Book }

service Seats {
  outbox
  handles LookUpSeat { idempotent by booking  reads SeatsDb.seats  succeeds or fails "sold out" }
  handles TakeSeat { idempotent by booking  writes SeatsDb.seats }
}
service Bookings { outbox }
workflow Booking in Bookings {
  starts on Book
  idempotent by booking
  state in BookingsDb
  step look calls Seats.LookUpSeat { timeout 2s  attempts 2  isolation by-value }
  step take calls Seats.TakeSeat { timeout 2s  attempts unlimited  isolation reread }
}

flow Travel {
  starts with Book from Traveller
  succeeds with Booking
}
```

## Exempt

A step that says nothing about `isolation` is taken for isolated where another one at the same entity says something; where
both are silent, the finding says what it assumes, as that of `isolation-anomaly` among the rules about sagas does. Two runs
of one workflow are compared only where it declares an `isolation` other than `semantic-lock` at data that no other workflow
touches: nothing else says that they meet.

## References

- Richardson, *Microservices Patterns*, chapter 4: lack of isolation, its anomalies and countermeasures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.rule import rule

from ._told import findings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.finding import Finding


@rule("VER017", "broken-isolation", "W/W/E", evidence="V")
def check(design: Design) -> Iterator[Finding]:
    """Report violations of the property B17."""
    yield from findings(design, "B17", "declare how the two runs are kept apart, with `isolation`")
