"""What a claim asks of the runs: what never happens, what happens twice for one message, and ends that exclude each other."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest
from test_confirm import actions, design, found, hidden, trials
from verify_designs import text

from coordlint.check import check
from coordlint.explore.compiler import compile_scene
from coordlint.explore.gaps import decides, left_open
from coordlint.explore.scene import scenes
from coordlint.explore.search import Search
from coordlint.explore.space import Space
from coordlint.explore.trials import SHORT, Trials
from coordlint.explore.verify import Verification
from coordlint.explore.watch import NEITHER, ONLY_FIRST, watched
from coordlint.finding import Claim, Finding, Gap, Twice

if TYPE_CHECKING:
    from typing import Literal

    from coordlint.design import Design
    from coordlint.explore.scene import Compiled
    from coordlint.explore.trials import Trial

    By = Literal["lost", "torn", "any"]


def only(loaded: Design, code: str) -> Finding:
    (finding,) = found(check(loaded), code)
    return finding


def statement(loaded: Design, words: str) -> frozenset[int]:
    """The statement of those words, such as `emits Placed`; none if they are empty."""
    verb, _, rest = words.partition(" ")
    kind = {"emits": "emit", "writes": "write", "acts": "act"}.get(verb, "")
    return frozenset(a.id for a in loaded.system.actions if a.kind == kind and rest in " ".join(a.span.text.split()))


def gap(loaded: Design, done: str, missing: str, by: By, message: str = "") -> Trial | None:
    """What the runs say about a gap between two statements."""
    asked = Gap(statement(loaded, done), statement(loaded, missing), by, "it is missing", "it never happens", message)
    return trials(loaded).of(Claim(gaps=(asked,)))


# ------------------------------------------------------------------------------------------------ a message that is given up

LOST = """
channel Wire { queue  delivery at-least-once  no dead-letter }
command Place
event Placed via Wire
event Again via Wire
store Books
external service Shopper { sends Orders.Place }
service Orders { outbox  handles Place { idempotent by id  writes Books.orders  emits Placed%s } }
service Baskets { on Placed%s { idempotent  attempts 1  writes Books.baskets } }
flow F { starts with Place from Shopper  succeeds with Placed }
"""


def test_what_a_lost_message_would_have_brought_about_never_happens():
    finding = only(design(LOST % ("", "")), "DLV602")
    assert finding.run is not None
    assert finding.run.faults == 1
    assert [step.move for step in finding.run.steps] == ["deliver", "lose", "rest"]
    assert finding.run.steps[-1].bad
    assert "`on Placed` of `Baskets` has never handled `Placed`" in finding.run.steps[-1].text
    assert finding.run.end == "what `on Placed` of `Baskets` does never happens: `writes Books.baskets`"


def test_what_another_message_brings_about_is_not_missing():
    assert only(design(LOST % (", Again", " or Again")), "DLV602").run is None


def test_what_may_stay_away_without_a_fault_is_not_blamed_on_one():
    loaded = design(LOST % (" or fails", ""))
    assert gap(loaded, "", "writes Books.baskets", "lost", "Placed") is not None  # once it is out, it would have come
    assert gap(loaded, "", "emits Placed", "any") is not None  # it need not come out at all
    assert gap(loaded, "", "emits Placed", "lost", "Placed") is None  # losing it afterwards does not decide that


# ------------------------------------------------------------------------------------------------ a crash between two effects

TORN = """
channel Wire { queue  delivery %s }
command Place
event Placed via Wire
event Paid via Wire
store Books
external service Shopper { sends Orders.Place }
service Orders { outbox  handles Place { idempotent by id  writes Books.orders  emits Placed } }
service Payments { %s  on Placed { %s } }
service Ledger { on Paid { idempotent  writes Books.ledger } }
flow F { starts with Place from Shopper  succeeds with Placed }
"""


TWICE = "not idempotent  writes Books.paid  emits Paid"


def test_what_does_not_come_again_after_the_crash_is_never_announced():
    finding = only(design(TORN % ("at-most-once", "no outbox", "idempotent  writes Books.paid  emits Paid")), "DLV603")
    assert finding.run is not None
    assert finding.run.faults == 1
    assert "publish" in [step.move for step in finding.run.steps]
    assert finding.run.end == "`writes Books.paid` is done, and `Paid` is never published"


def test_what_is_not_recognised_after_the_crash_is_done_twice():
    finding = only(design(TORN % ("at-least-once", "no outbox", TWICE)), "DLV603")
    assert finding.run is not None
    assert finding.run.faults == 1
    assert [step.move for step in finding.run.steps][-2:] == ["publish", "deliver"]
    assert finding.run.steps[-1].copy_of == finding.run.steps[-2].number
    assert finding.run.end == "`writes Books.paid` happens twice, and `emits Paid` only the second time"


def test_the_second_time_it_is_announced():
    ways = "either { writes Books.paid  emits Paid } or { writes Books.kept  emits Kept }"
    loaded = design(TORN % ("at-least-once", "no outbox", f"not idempotent  {ways}") + "event Kept via Wire\n")
    emit = statement(loaded, "emits Paid")
    told = trials(loaded).of(Claim(twice=(Twice(statement(loaded, "writes Books.paid"), "torn", "", emit),)))
    assert told is not None
    assert trials(loaded).of(Claim(twice=(Twice(statement(loaded, "writes Books.kept"), "torn", "", emit),))) is None


@pytest.mark.parametrize(
    ("delivery", "service", "handler", "torn"),
    [
        ("at-most-once", "no outbox", "idempotent  writes Books.paid  emits Paid", True),
        ("at-most-once", "outbox", "idempotent  writes Books.paid  emits Paid", False),
        ("at-least-once", "no outbox", "idempotent  re-emits  writes Books.paid  emits Paid", False),
        ("at-least-once", "no outbox", "idempotent  writes Books.paid  emits Paid", False),  # nobody says: open
    ],
)
def test_a_crash_leaves_a_gap_where_nothing_heals_it(delivery: str, service: str, handler: str, torn: bool):
    loaded = design(TORN % (delivery, service, handler))
    assert (gap(loaded, "writes Books.paid", "emits Paid", "torn") is not None) == torn


def test_what_is_recognised_is_not_announced_again_if_what_is_unknown_counts_as_absent():
    loaded = design(TORN % ("at-least-once", "no outbox", "idempotent  writes Books.paid  emits Paid"))
    asked = Gap(statement(loaded, "writes Books.paid"), statement(loaded, "emits Paid"), "torn", "", "")
    strict = Trials(loaded.index, Verification(loaded.index, loaded.sagas, SHORT._replace(strict=True)))
    trial = strict.of(Claim(gaps=(asked,)))
    assert trial is not None
    assert trial.faults == 1


@pytest.mark.parametrize(("delivery", "torn"), [("at-most-once", True), ("at-least-once", False)])
def test_what_is_announced_first_is_rolled_back_and_comes_again(delivery: str, torn: bool):
    loaded = design(TORN % (delivery, "no outbox", "idempotent  emits Paid  writes Books.paid"))
    assert (gap(loaded, "emits Paid", "writes Books.paid", "torn") is not None) == torn


CHANGED = """
command Place
event Told
store Books
external service Shopper { sends Orders.Place }
service Orders {
  handles Place { idempotent by id  writes Books.orders }
  on change of Books.orders { no outbox  %s }
}
service Journal { on Told { idempotent  writes Books.journal } }
flow F { starts with Place from Shopper  succeeds with Place }
"""


def test_what_is_announced_first_may_never_be_stored():
    finding = only(design(CHANGED % "emits Told  writes Books.sent"), "DLV603")
    assert finding.run is not None
    assert finding.run.faults == 1
    assert any("crashes behind `emits Told`, before `writes Books.sent`" in step.text for step in finding.run.steps)
    assert finding.run.end == "`Told` is out, and `writes Books.sent` never happens"


# ------------------------------------------------------------------------------------------------ announced too early

HASTY = """
command Place, Ask, Finish, Resume
event Finished, Left
store Books
external service Shopper { sends Desk.Place }
external service Clerk { handles Ask { sends Till.Finish } }
service Desk
service Till { no outbox  handles Finish { idempotent  writes Books.till  %s } }
service Board { on Finished or Left { notifies  acts "shows it" } }
workflow Order in Desk {
  starts on Place
  sends Clerk.Ask
  awaits { on Resume {} %s }
}
flow F { starts with Place from Shopper  succeeds with Order }
"""
LIMIT = "within 5m { emits Left }"


def test_what_is_announced_before_a_command_that_comes_too_late():
    finding = only(design(HASTY % ("emits Finished  sends Desk.Resume", LIMIT)), "DLV603")
    assert "before it knows whether anybody still waits for `Resume`" in finding.message
    assert finding.run is not None
    assert finding.run.faults == 1
    assert [step.move for step in finding.run.steps if step.fault] == ["early"]
    assert finding.run.end == "`Finished` is out, although nobody waits for `Resume` any more"


def test_who_waits_for_ever_is_never_too_late():
    loaded = design(HASTY % ("emits Finished  sends Desk.Resume", ""))
    (asked, *_) = only(loaded, "DLV603").claim.gaps  # type: ignore[union-attr]
    trial = trials(loaded).of(Claim(gaps=(asked,)))
    assert trial is None or "early" not in [step.move for step in trial.run.steps]  # type: ignore[union-attr]


def test_what_is_announced_behind_the_command_is_one_of_the_others():
    finding = only(design(HASTY % ("sends Desk.Resume  emits Finished", LIMIT)), "DLV603")
    assert "still waits" not in finding.message


# ------------------------------------------------------------------------------------------------ failures behind the goal

BEHIND = """
command Place
event Placed, Paid
store Books
external service Shopper { sends Orders.Place }
service Orders { handles Place { idempotent  writes Books.orders  emits Placed } }
service Stock { on %s { idempotent  writes Books.stock  succeeds or fails "sold out" } }
service Bank { on Placed { idempotent  acts "charges the card"  emits Paid or fails Declined } }
event Declined, Both
service Joint { on Paid and Declined by order { emits Both } }
service Desk { on Declined { notifies  acts "tells the customer" } }
flow F { starts with Place from Shopper  succeeds with Placed }
"""


def test_a_failure_behind_the_goal_is_shown():
    (finding,) = [one for one in found(check(design(BEHIND % "Placed")), "EVT207") if "Stock" in one.message]
    assert finding.run is not None
    assert finding.run.faults == 0
    assert [step.move for step in finding.run.steps] == ["deliver", "deliver", "rest"]
    assert finding.run.end == "`on Placed` of `Stock` has failed, and nothing follows from it"


def test_a_failure_that_no_run_comes_to_is_silenced():
    result = check(design(BEHIND % "Both"))
    assert not [one for one in found(result, "EVT207") if "Stock" in one.message]
    assert "EVT207" in hidden(result)


LATE = """
command Place
event A, B, Done
store Books
external service Shopper { sends Orders.Place }
service Orders { handles Place { idempotent  writes Books.orders  emits A, B } }
service Joint { on A and B within 10m by order { on timeout { fails "late" }  writes Books.joint  emits Done } }
service Mail { on Done { notifies  acts "mails it" } }
flow F { starts with Place from Shopper  succeeds with Done }
"""


def test_what_the_model_leaves_out_is_not_silenced():
    assert only(design(LATE), "EVT207").run is None


# ------------------------------------------------------------------------------------------------ ends that exclude each other

ENDS = """
command Place
event Begun, Rejected, Confirmed, Yes, No
external service Shopper { sends Orders.Place }
service Orders {
  handles Place { idempotent  acts "decides"  emits Yes or emits No }
  on %s emits Begun
  on Begun { emits Rejected  emits Confirmed }
}
service Mail { on Rejected or Confirmed or Yes or No { notifies  acts "mails it" } }
flow F { starts with Place from Shopper  succeeds with Confirmed  fails with Rejected }
"""


def test_a_run_that_ends_well_and_badly_is_shown():
    finding = only(design(ENDS % "Yes"), "EVT211")
    assert finding.run is not None
    assert finding.run.faults == 0
    assert finding.run.end == "flow `F` has come both to its goal `Confirmed` and to its failure goal `Rejected`"


def test_ends_that_no_run_comes_to_are_silenced():
    result = check(design(ENDS % "Yes and No by order"))
    assert not found(result, "EVT211")
    assert "EVT211" in hidden(result)


# ------------------------------------------------------------------------------------------------ twice for one message

LOOP = """
channel Wire { queue  delivery %s }
command Place
command Add via Wire
store Books
external service Shopper { sends Orders.Place }
service Orders { handles Place { idempotent  for each line { sends Stock.Add } } }
service Stock { handles Add { %s  writes Books.stock } }
flow F { starts with Place from Shopper  succeeds with Place }
"""


def test_a_copy_in_a_loop_is_no_further_turn():
    finding = only(design(LOOP % ("at-least-once", "not idempotent")), "DLV601")
    assert finding.run is not None
    assert finding.run.faults == 1
    copy, again = finding.run.steps[-2:]
    assert (copy.move, again.move) == ("copy", "deliver")
    assert again.copy_of == copy.number
    assert again.bad


@pytest.mark.parametrize(("delivery", "handler"), [("at-least-once", "idempotent"), ("at-most-once", "not idempotent")])
def test_what_is_recognised_or_never_comes_again_is_done_once(delivery: str, handler: str):
    loaded = design(LOOP % (delivery, handler))
    asked = Twice(actions(loaded, "Books.stock"), "copy", "twice")
    assert trials(loaded).of(Claim(twice=(asked,))) is None


BASKETS = """
command Checkout, Clear
event Started
store Books
external service Shopper { calls Web.Checkout }
service Web { handles Checkout { emits Started  calls Baskets.Clear } }
service Baskets {
  handles Clear writes Books.baskets
  on Started writes Books.baskets
}
flow F { starts with Checkout from Shopper  succeeds with Checkout }
"""


def test_two_triggers_are_shown_by_what_both_handlers_do():
    finding = only(design(BASKETS), "MIX401")
    assert finding.run is not None
    assert finding.run.faults == 0
    assert {step.message for step in finding.run.steps} >= {"Clear", "Started"}


# ------------------------------------------------------------------------------------------------ oracle

ENDLESS = """
channel Wire { queue  delivery at-most-once }
command Place, Ask
event Begun via Wire
event Echo
store Books
external service Shopper { sends Orders.Place }
service Orders { handles Place { idempotent  writes Books.orders  emits Begun } }
service Bank { on Begun { idempotent  %s } }
service Hall { on Echo { emits Echo } }
service Stock { on Begun { idempotent  writes Books.stock } }
flow F { starts with Place from Shopper  succeeds with Begun }
"""


def test_what_goes_round_for_ever_would_not_have_come_to_it_anyway():
    shown = gap(design(ENDLESS % "writes Books.bank"), "writes Books.orders", "writes Books.bank", "lost", "Begun")
    assert shown is not None
    storm = gap(
        design(ENDLESS % "emits Echo  writes Books.bank"), "writes Books.orders", "writes Books.bank", "lost", "Begun"
    )
    assert storm is None


DESIGNS = [
    ENDLESS % "emits Echo  writes Books.bank",
    LOST % ("", ""),
    LOST % (", Again", " or Again"),
    LOST % (" or fails", ""),
    TORN % ("at-most-once", "no outbox", "idempotent  writes Books.paid  emits Paid"),
    TORN % ("at-least-once", "no outbox", "idempotent  re-emits  writes Books.paid  emits Paid"),
    TORN % ("at-least-once", "no outbox", "idempotent  emits Paid  writes Books.paid"),
    TORN % ("at-least-once", "no outbox", TWICE),
    CHANGED % "emits Told  writes Books.sent",
    HASTY % ("emits Finished  sends Desk.Resume", LIMIT),
    BEHIND % "Placed",
    text(2, timeout="timeout 2s  attempts 2"),
    text(2, idempotent="not idempotent"),
]
WAYS: tuple[By, ...] = ("lost", "torn", "any")


@pytest.mark.parametrize("number", range(len(DESIGNS)))
def test_gaps_are_those_of_the_engine_without_reductions(number: int):
    """Whether there is a run with a gap, by the definition: over all states, with nothing left out."""
    loaded = design(DESIGNS[number])
    (scene,) = scenes(loaded.index)
    effects = [a for p in scene.processes for a in loaded.system.actions_of(p, "write", "act", "emit", "send", "start")]
    shown = 0
    for by, one, other in product(WAYS, effects, effects):
        if one is other:
            continue
        message = other.process.triggers[0].uses[0].message.name if other.process.triggers[0].uses else ""
        asked = Gap(frozenset((one.id,)), frozenset((other.id,)), by, "", "", message)
        whole = compile_scene(loaded.index, scene, open_=True)
        compiled, observer = watched(whole, asked.done, asked.missing, torn=by == "torn")
        search = Search(Space(compiled.tables))
        for _ in search.run(1):
            pass
        way = left_open(compiled, search, observer, asked)
        assert (way is not None) == _has_gap(compiled, observer, asked), asked
        shown += way is not None
        if way is not None:
            end = way.path[-1][1].target
            assert search.space.local(end, observer) == ONLY_FIRST
            assert not [move for move in search.space.moves(end) if not move.price]
    assert bool(shown) == ("Hall" not in DESIGNS[number])  # where messages go round for ever, nothing rests


def _has_gap(compiled: Compiled, observer: int, asked: Gap) -> bool:
    space = Space(compiled.tables, inert=False, persistent=False)
    open_ = ONLY_FIRST if asked.done else NEITHER

    def free(start: int) -> set[int]:
        seen, stack = {start}, [start]
        while stack:
            for move in space.moves(stack.pop()):
                if not move.price and move.target not in seen:
                    seen.add(move.target)
                    stack.append(move.target)
        return seen

    def rests_open(start: int) -> bool:
        return any(
            space.local(state, observer) == open_ and all(move.price for move in space.moves(state))
            for state in free(start)
        )

    if asked.by == "any" and rests_open(space.initial):
        return True
    for state in free(space.initial):
        faults = [move for move in space.moves(state) if move.price and decides(compiled, move, asked)]
        if faults and not rests_open(state) and any(rests_open(move.target) for move in faults):
            endless = any(all(any(not m.price for m in space.moves(t)) for t in free(s)) for s in free(state))
            if not endless:
                return True
    return False
