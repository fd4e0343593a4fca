"""Several services write the same data, or one reads the data of another past it.

## Why

Who writes an entity decides what may become of it, and only one service can decide that. Where two write the same rows, no event tells
of half of the changes, a rule that one of them checks is broken by the other, neither can change the schema alone, and one
database is the single point of failure of both. Shared persistence leads the catalogues of microservice smells. Across bounded contexts
it is an error: there the same rows also mean two things. Reading the tables of another service ties the reader to their
schema, which is information.

## Bad

```coord
command PlaceOrder, PayInvoice
external service Shopper {
  calls Orders.PlaceOrder
  calls Billing.PayInvoice
}

store OrdersDb { owner Orders }

service Orders {
  handles PlaceOrder writes OrdersDb.orders
}
service Billing {
  handles PayInvoice writes OrdersDb.orders # SPF105
}
```

## Good

```coord
command PlaceOrder, PayInvoice
event InvoicePaid
external service Shopper {
  calls Orders.PlaceOrder
  calls Billing.PayInvoice
}

store OrdersDb { owner Orders }
store BillingDb { owner Billing }

service Orders {
  handles PlaceOrder writes OrdersDb.orders
  on InvoicePaid {
    idempotent
    writes OrdersDb.orders
  }
}
service Billing {
  outbox
  handles PayInvoice {
    writes BillingDb.invoices
    emits InvoicePaid
  }
}
```

## Exempt

- Several services with entities of their own in one store: sharing a server is no sharing of data.
- A reaction to the changes of another's data (`on change of`): that is a contract with the data's owner.
- The store of a workflow engine: one that is named by `state in` and has no `owner`.

The declared `owner` of a store counts as a writer of all its entities. The language has no word for data that are shared on purpose:
ignore the finding with that reason.

## References

- D. Taibi, V. Lenarduzzi: On the definition of microservice bad smells, IEEE Software, 2018: shared persistence.
- D. Neri, J. Soldani, O. Zimmermann, A. Brogi: Design principles, architectural smells and refactorings for microservices, 2020.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from coordlint.finding import Finding, Label
from coordlint.rule import rule

from ._words import listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from coordlint.design import Design
    from coordlint.system import Action, EntityUse, Service, Store


@rule("SPF105", "shared-store", "W/W/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """One finding per store: on its shared writers, else on those who read past its owner."""
    engines = {process.fact("state").value for process in design.system.processes}
    writes, reads = _by_store(design.index.writers), _by_store(design.index.readers)
    for store in design.system.stores.values():
        if store.phantom or (store in engines and store.fact("owner").unknown):
            continue
        owner = store.fact("owner").value
        shared = _shared(writes.get(store, ()), owner)
        if shared:
            yield _shared_writers(store, shared, owner)
            continue
        strangers = _strangers(reads.get(store, ()), writes.get(store, ()), owner)
        if strangers:
            yield _foreign_readers(store, strangers, owner)


class _Access(NamedTuple):
    """One access to a store or an entity of it."""

    action: Action
    use: EntityUse

    @property
    def service(self) -> Service:
        return self.action.process.service


def _by_store(table: Mapping[tuple[Store, str | None], Sequence[Action]]) -> dict[Store, list[_Access]]:
    found: dict[Store, list[_Access]] = {}
    for (store, entity), actions in table.items():
        for action in actions:
            use = next(one for one in action.entities if one.store is store and one.entity == entity)
            found.setdefault(store, []).append(_Access(action, use))
    return {store: sorted(accesses, key=lambda one: one.action.id) for store, accesses in found.items()}


def _shared(writes: Sequence[_Access], owner: Service | None) -> list[_Access]:
    """The writes of what another service writes or owns, the owner's first."""
    writers = _writers(writes, owner)
    found = [write for write in writes if writers(write.use.entity) - {write.service}]
    return sorted(found, key=lambda one: (one.service is not owner, one.action.id))


def _strangers(reads: Sequence[_Access], writes: Sequence[_Access], owner: Service | None) -> list[_Access]:
    """The reads of what only other services write or own."""
    writers = _writers(writes, owner)
    return [read for read in reads if (others := writers(read.use.entity)) and read.service not in others]


def _by_service(accesses: Sequence[_Access]) -> list[_Access]:
    """The first access of each service."""
    found: dict[Service, _Access] = {}
    for access in accesses:
        found.setdefault(access.service, access)
    return list(found.values())


def _entities(accesses: Sequence[_Access]) -> str:
    return listed(list(dict.fromkeys(access.use.text for access in accesses)))


def _writers(writes: Sequence[_Access], owner: Service | None) -> Callable[[str | None], set[Service]]:
    """Who writes an entity; a write to the store as a whole may be to any, and the owner may write all."""
    by_entity: dict[str | None, set[Service]] = {}
    for write in writes:
        by_entity.setdefault(write.use.entity, set()).add(write.service)
    everywhere = by_entity.get(None, set()) | ({owner} if owner is not None else set())
    all_of_them = everywhere.union(*by_entity.values())
    return lambda entity: all_of_them if entity is None else everywhere | by_entity.get(entity, set())


def _shared_writers(store: Store, shared: Sequence[_Access], owner: Service | None) -> Finding:
    each = _by_service(shared)
    first, *others = each
    strangers = others if first.service is owner or owner is None else each
    if others:
        message = f"{listed([access.service.name for access in each])} write {_entities(shared)}"
    else:
        assert owner is not None, "a single writer shares the store with its owner"
        message = f"`{first.service.name}` writes {_entities(shared)}, which belongs to `{owner.name}`"
    services = [access.service for access in each] + ([owner] if owner is not None else [])
    contexts = sorted({service.context for service in services if service.context})
    return Finding(
        primary=Label(strangers[0].use.span, f"`{strangers[0].service.name}` writes here"),
        message=message + (f" across the contexts {listed(contexts)}" if len(contexts) > 1 else ""),
        related=_related(store, [one for one in each if one is not strangers[0]], "writes"),
        help="let one service write, and let the others ask it by a command or follow its events",
        silence="a single service that writes",
        subject=f"store {store.name}",
        levels="E/E/E" if len(contexts) > 1 else "",
    )


def _foreign_readers(store: Store, strangers: Sequence[_Access], owner: Service | None) -> Finding:
    first, *others = _by_service(strangers)
    names = [first.service.name, *(one.service.name for one in others)]
    whose = f"of `{owner.name}`" if owner is not None else "that only others write"
    return Finding(
        primary=Label(first.use.span, f"`{first.service.name}` reads here"),
        message=f"{listed(names)} {'read' if others else 'reads'} the data {_entities(strangers)} {whose}",
        related=_related(store, others, "reads"),
        help="ask the owner by a query, or keep a copy from its events (`projection`)",
        silence="`on change of` in place of the reading, or a query to the owner",
        subject=f"store {store.name}",
        levels="I/I/I",
    )


def _related(store: Store, accesses: Sequence[_Access], verb: str) -> tuple[Label, ...]:
    owner = store.fact("owner")
    return (
        *(Label(one.use.span, f"`{one.service.name}` {verb} here") for one in accesses[:6]),
        *((Label(owner.span, "its owner"),) if owner.span is not None else ()),
    )
