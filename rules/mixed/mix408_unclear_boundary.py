"""A flow has no clear boundary between what is commanded and what is reacted to.

## Why

Most systems orchestrate some parts and let others react, and that is good as long as it is clear where the one ends and the other
begins. It is clear where an event starts a workflow, where a workflow's last event leaves it, and where a step is only watched. It is
not where an event from the midst of a workflow sets off a reaction that the goal depends on: the workflow does not show that step, the
events do not show the order, and a failure on the way belongs to nobody. The finding lists each handover of the flow, clean or dirty,
and why.

A flow that says its `style` and follows another one misleads its readers in the same way.

## Bad

```coord
command PlaceOrder, TakePayment, Ship
event OrderPaid, GoodsPacked, OrderShipped

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Payments {
  handles TakePayment acts "charges the card"
}
service Packing {
  on OrderPaid {
    acts "packs the goods"
    emits GoodsPacked
  }
}
service Shipping {
  handles Ship {
    acts "ships the parcel"
    emits OrderShipped
  }
}

workflow Fulfilment in Orders {
  starts on PlaceOrder
  timeout 3d
  recovery forward
  calls Payments.TakePayment { pivot }
  emits OrderPaid
  awaits GoodsPacked
  calls Shipping.Ship
}

flow Ordering { # MIX408
  starts with PlaceOrder from Shopper
  succeeds with OrderShipped
}
```

## Good

The workflow commands it:

```coord
command PlaceOrder, TakePayment, Pack, Ship
event OrderShipped

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Payments {
  handles TakePayment acts "charges the card"
}
service Packing {
  handles Pack acts "packs the goods"
}
service Shipping {
  handles Ship {
    acts "ships the parcel"
    emits OrderShipped
  }
}

workflow Fulfilment in Orders {
  starts on PlaceOrder
  timeout 3d
  recovery forward
  calls Payments.TakePayment { pivot }
  calls Packing.Pack
  calls Shipping.Ship
}

flow Ordering {
  starts with PlaceOrder from Shopper
  succeeds with OrderShipped
}
```

Or it ends where the reactions begin:

```coord
command PlaceOrder, TakePayment
event OrderPaid, GoodsPacked, OrderShipped

external service Shopper { sends Orders.PlaceOrder }

service Orders
service Payments {
  handles TakePayment acts "charges the card"
}
service Packing {
  on OrderPaid {
    acts "packs the goods"
    emits GoodsPacked
  }
}
service Shipping {
  on GoodsPacked {
    acts "ships the parcel"
    emits OrderShipped
  }
}

workflow Checkout in Orders {
  starts on PlaceOrder
  timeout 3d
  recovery forward
  calls Payments.TakePayment { pivot }
  emits OrderPaid
}

flow Ordering {
  starts with PlaceOrder from Shopper
  succeeds with OrderShipped
}
```

## Exempt

- Clean handovers: an event starts a workflow, directly or by a handler in front of it; a workflow publishes when it has done its work; the
  goal does not need the reaction; the reaction stays within the publishing service or happens outside the design.
- Flows without a goal.
- `style hybrid`: no contradiction is looked for.

The language has no word for an agreed boundary; a `context` is one, but a reaction in another context that the goal needs
while the workflow runs is dirty all the same.

## References

- Ruecker, "Practical process automation", 2021, ch. 7: decide link by link.
- Ford, Richards, Sadalage, Dehghani, "Software architecture: the hard parts", 2021, ch. 11.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Finding, Label
from coordlint.rule import rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.flows import FlowView
    from coordlint.analysis.handovers import Contradiction, Handover
    from coordlint.design import Design

MOST = 8
"""How many handovers a finding lists."""


@rule("MIX408", "unclear-boundary", "I/W/W", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """Report each set of dirty handovers once, at the first flow that has it, and each contradicted style."""
    dirty: dict[tuple[Handover, ...], list[FlowView]] = {}
    for view in design.flows:
        if view.goal is None:
            continue
        found = tuple(one for one in design.handovers.of(view) if not one.clean)
        if found:
            dirty.setdefault(found, []).append(view)
        contradiction = design.handovers.contradiction(view)
        if contradiction is not None and not found:
            yield _contradicted(view, design.handovers.of(view), contradiction)
    for found, views in dirty.items():
        yield _half_way(views, design.handovers.of(views[0]), found)


def _half_way(views: list[FlowView], handovers: tuple[Handover, ...], dirty: tuple[Handover, ...]) -> Finding:
    first = dirty[0]
    more = f", and {len(dirty) - 1} more of this kind" if len(dirty) > 1 else ""
    verb = "leaves its" if len(views) == 1 else "leave their"
    labels = [Label(one.emit.span, f"`{one.event.name}` leaves the workflow here") for one in dirty]
    labels += [Label(one.target.place, f"the goal needs `{one.target.service.name}` to react") for one in dirty]
    return Finding(
        primary=Label(views[0].flow.place, "where does the workflow end?"),
        message=f"{_flows(views)} {verb} workflow with `{first.event.name}` half-way: {first.why}{more}",
        related=tuple(dict.fromkeys(labels)),
        notes=_listing(handovers),
        help=f"let the workflow command `{first.target.service.name}`, or let it end where the reactions begin",
        subject=f"flow {views[0].flow.name}",
    )


def _contradicted(view: FlowView, handovers: tuple[Handover, ...], contradiction: Contradiction) -> Finding:
    style = view.flow.fact("style")
    assert style.span is not None
    return Finding(
        primary=Label(view.flow.place, f"says `{style.text}`"),
        message=f"flow `{view.flow.name}` says `{style.text}`, but {contradiction.why}",
        related=(Label(style.span), Label(contradiction.process.place, contradiction.why)),
        notes=_listing(handovers),
        help="say the style that the flow follows, or move what contradicts it",
        silence="the `style` that the flow follows",
        subject=f"flow {view.flow.name}",
    )


def _flows(views: list[FlowView]) -> str:
    names = [f"`{view.flow.name}`" for view in views]
    if len(names) > 3:
        names = [*names[:2], f"{len(names) - 2} more"]
    return f"flow {names[0]}" if len(names) == 1 else f"flows {', '.join(names[:-1])} and {names[-1]}"


def _listing(handovers: tuple[Handover, ...]) -> tuple[str, ...]:
    # What is dirty comes first, so that a long list loses nothing that matters.
    ranked = sorted(handovers, key=lambda one: one.clean)
    lines = [
        f"{'clean' if one.clean else 'dirty'}: `{one.event.name}` to `{one.target.service.name}`, as {one.why}"
        for one in ranked
    ]
    shown = list(dict.fromkeys(lines))
    rest = len(shown) - MOST
    return (*shown[:MOST], *((f"{rest} more handovers are clean",) if rest > 0 else ()))
