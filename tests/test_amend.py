"""Repairs that are statements: written into the source, read again, and shown only if the violation is gone and nothing new there."""

from __future__ import annotations

from pathlib import Path

import pytest
from verify_designs import text

from coordlint.design import Design, load
from coordlint.explore.verify import Settings, Told
from coordlint.source import Edit, Source, Span, edited, replaced


def designed(text: str) -> Design:
    design = load("d.coord", stdin=Source("d.coord", text))
    assert [problem.message for problem in design.problems] == []
    design.verify = Settings(candidates=False)
    return design


def told(text: str, code: str) -> list[Told]:
    return [one for one in designed(text).verification.told if one.violation.code == code]


def test_a_step_is_undone_by_the_handler_that_is_there_for_it():
    (one,) = told(text(3, first=""), "B1")
    assert one.repairs == ("`compensate` step `s0` with `Undo0`",)
    assert one.tried >= 1


NO_UNDO = text(3, first="").replace(
    "handles Undo0 { compensates Do0  idempotent by id  fences  writes StockDb.s0 }", ""
)
NO_UNDO = NO_UNDO.replace("Undo0, ", "")


@pytest.mark.parametrize("denied", ["", "no compensation"])
def test_a_step_that_nobody_can_undo_wants_a_new_command(denied: str):
    (one,) = told(NO_UNDO.replace("attempts 2  }", f"attempts 2  {denied} # a comment\n}}", 1), "B1")
    assert one.repairs == ("a command that undoes `Do0`, to `compensate` step `s0`",)


def test_what_others_declare_is_not_rewritten():
    """The participant stands in another file, where names may be other ones."""
    (one,) = told(
        NO_UNDO.replace("service P0", "external service P0").replace("outbox  handles Do0", "handles Do0"), "B1"
    )
    assert one.repairs == ()


WAITING = """
store Db
command Start, Ship
event Shipped, Refused
external service Shopper {{ sends Main.Start }}
service Main {{ outbox }}
service Hub {{ outbox  handles Ship {{ idempotent by id  writes Db.parcel  emits Shipped or fails{refused} }} }}
workflow W in Main {{
  starts on Start
  idempotent by id
  state in Db
  sends Hub.Ship
  {wait}
}}
flow F {{ starts with Start from Shopper  succeeds with W }}
"""


def waiting(wait: str = "awaits Shipped by id", refused: str = "") -> str:
    return WAITING.format(wait=wait, refused=refused)


def test_a_wait_for_what_never_comes_wants_a_limit():
    (one,) = told(waiting().replace("writes Db.parcel  ", ""), "B2")
    assert one.violation.faults == 0
    assert one.repairs == ("a limit for the wait: `awaits Shipped within …`",)


def test_a_failure_that_nobody_hears_is_awaited():
    (one,) = told(waiting(refused=" Refused"), "B2")
    assert one.repairs == ("await `Refused` as well, as a failure",)


def test_a_limit_that_leaves_something_done_is_no_repair():
    """The answer may only be late: behind the limit the process fails, and the parcel stays sent."""
    (one,) = told(waiting(), "B2")
    assert (one.repairs, one.tried) == ((), 1)


def test_a_wait_in_a_block_is_left_to_its_author():
    (one,) = told(waiting("awaits by id { on Shipped { } }"), "B2")
    assert one.repairs == ()


def test_what_is_set_aside_is_put_back():
    design = """
    broker Bus
    channel orders on Bus {{ delivery at-least-once  dead-letter orders-dead after 3{more} }}
    channel orders-dead on Bus {{ delivery at-least-once }}
    command Start
    event Ordered, Shipped via orders
    external service Shopper {{ sends Shop.Start }}
    store Db
    service Shop {{ outbox  handles Start {{ idempotent by id  writes Db.order  emits Ordered }} }}
    service Ship {{ outbox  on Ordered {{ idempotent by id  writes Db.parcel  emits Shipped }} }}
    flow F {{ starts with Start from Shopper  succeeds with Shipped }}
    """
    (one,) = told(design.format(more="").replace("event Ordered, Shipped", "event Shipped\nevent Ordered"), "B16")
    assert one.repairs == ("`redrive` for what `orders` sets aside",)
    assert (
        told(design.format(more="  redrive").replace("event Ordered, Shipped", "event Shipped\nevent Ordered"), "B16")
        == []
    )


# ------------------------------------------------------------------------------------------------ edits


def test_edits_keep_the_line_ends_of_the_text():
    assert replaced("a\r\nb\r\n", [(3, 4, "x\ny")]) == "a\r\nx\r\ny\r\n"
    assert replaced("a\nb\n", [(0, 0, "1\r\n"), (2, 3, "")]) == "1\na\n\n"


def test_only_the_edits_of_a_source_change_it():
    one, other = Source("a", "one two"), Source("b", "one two")
    edits = [Edit(Span(one, 4, 7), "three"), Edit(Span(one, 0, 0), "zero "), Edit(Span(other, 0, 3), "")]
    assert edited(one, edits).text == "zero one three"
    assert edited(Source("c", "one"), edits).text == "one"


def test_an_amended_design_is_read_without_the_disk(tmp_path: Path):
    (tmp_path / "part.coord").write_text("event Paid\nservice Shop { emits Paid }\n", encoding="utf-8")
    (tmp_path / "d.coord").write_text(
        'include "part.coord" as shop\nservice Mail { on shop.Paid { } }\n', encoding="utf-8"
    )
    design = load(str(tmp_path / "d.coord"))
    (tmp_path / "part.coord").unlink()
    part = design.sources[1]
    changed = design.amended([Edit(Span(part, 0, 0), "event Refused\n")])
    assert changed.problems == design.problems == ()
    assert set(changed.system.messages) == {"shop.Paid", "shop.Refused"}
    assert set(design.system.messages) == {"shop.Paid"}
    assert changed.documents[0] is design.documents[0]
