"""Who has written no attribute yet is told about structure only: the acceptance test of noise."""

from __future__ import annotations

from collections import Counter

import pytest

from coordlint.check import check
from coordlint.design import load
from coordlint.finding import Severity
from coordlint.source import Source

BARE = """
command PlaceOrder, ReserveStock, ReleaseStock, ChargeCard, RefundCard, ShipParcel
event OrderPlaced, OrderConfirmed, OrderRejected, ParcelShipped, PointsAdded

external service Shopper { sends Orders.PlaceOrder }
service Orders
service Stock {
  handles ReserveStock { writes StockDb.items  succeeds or fails "out of stock" }
  handles ReleaseStock { writes StockDb.items }
}
service Payments {
  handles ChargeCard { writes PaymentsDb.charges  succeeds or fails "declined" }
  handles RefundCard { writes PaymentsDb.charges }
}
service Shipping { handles ShipParcel { writes ShippingDb.parcels  emits ParcelShipped } }
service Mail { on OrderConfirmed or OrderRejected or ParcelShipped { notifies } }
service Loyalty { on OrderConfirmed { writes LoyaltyDb.points  emits PointsAdded } }
service Reports { on OrderPlaced or PointsAdded { projection  writes ReportsDb.rows } }
store StockDb
store PaymentsDb
store ShippingDb
store LoyaltyDb
store ReportsDb

workflow Checkout in Orders {
  starts on PlaceOrder
  emits OrderPlaced
  step reserve calls Stock.ReserveStock { compensate Stock.ReleaseStock }
  step charge calls Payments.ChargeCard { compensate Payments.RefundCard }
  step ship calls Shipping.ShipParcel
  emits OrderConfirmed
  on failure { emits OrderRejected }
}

flow Purchase {
  starts with PlaceOrder from Shopper
  succeeds with OrderConfirmed
  fails with OrderRejected
}
flow Delivery {
  starts with PlaceOrder from Shopper
  succeeds with ParcelShipped
}
"""

STRUCTURAL = ("SYN", "REF", "EVT", "MIX", "CYC", "SAG")


def findings(text: str):
    return check(load("bare.coord", stdin=Source("bare.coord", text))).findings


def test_a_design_without_attributes_hears_of_structure_and_unknown_redundancy_only() -> None:
    found = findings(BARE)
    others = [finding for finding in found if not finding.code.startswith(STRUCTURAL)]
    assert {finding.code for finding in others} <= {"SPF101"}
    assert all(finding.severity == Severity.INFO for finding in others)
    kinds = Counter(finding.message.split(" redundant ")[-1].split()[0].rstrip("s") for finding in others)
    assert max(kinds.values(), default=0) <= 1, kinds


def test_a_sound_design_without_attributes_has_nothing_above_information() -> None:
    assert [f"{f.code} {f.message}" for f in findings(BARE) if f.severity and f.severity > Severity.INFO] == []


@pytest.mark.parametrize(
    ("said", "instead", "code"),
    [
        ("  emits OrderPlaced\n", "", "EVT202"),
        (", PointsAdded\n", ", PointsAdded, Unheard\nexternal service Ghost { emits Unheard }\n", "EVT201"),
        ("handles RefundCard { writes PaymentsDb.charges }", "", "EVT205"),
        ("emits PointsAdded", "emits PointsAdded, OrderConfirmed", "CYC502"),
    ],
)
def test_structure_is_judged_all_the_same(said: str, instead: str, code: str) -> None:
    assert said in BARE
    assert code in {finding.code for finding in findings(BARE.replace(said, instead, 1))}
