"""Scenes for single claims: flows side by side, the views that they build, and entries of no flow."""

from __future__ import annotations

from pathlib import Path

import pytest
from explore_reference import Explored

from coordlint.check import check
from coordlint.design import Design, load
from coordlint.explore.compiler import compile_scene
from coordlint.explore.joint import held, hold, successes
from coordlint.explore.overtaking import OVERTAKEN, overtaking
from coordlint.explore.scene import combined, scenes
from coordlint.explore.search import Search
from coordlint.explore.space import Space
from coordlint.explore.trials import Trial, Trials
from coordlint.explore.watch import FIRST_THEN, watched
from coordlint.finding import Claim, Finding, Overtaking, Run, Succession, Taking
from coordlint.source import Source

SYSTEMS = Path(__file__).parent.parent / "fixtures" / "systems"


def design(text: str) -> Design:
    loaded = load("design.coord", stdin=Source("design.coord", text))
    assert [problem.message for problem in loaded.problems] == []
    return loaded


def found(text: str, code: str) -> list[Finding]:
    return [finding for finding in check(design(text)).findings if finding.code == code]


def taken(run: Run | None) -> list[str]:
    """What each step of a run takes."""
    assert run is not None
    return [step.message for step in run.steps]


def trials(loaded: Design) -> Trials:
    return Trials(loaded.index, loaded.verification)


# ------------------------------------------------------------------------------------------------ sent first, taken last

POLICIES = """
channel opened { topic }
channel closed { topic }
store Books { owner Policies }
store Index { owner Search }
event PolicyOpened via opened { number: string }
event PolicyClosed via %s { number: string }
command Open, Close
external service Agent { calls Policies.Open  calls Policies.Close }
service Policies {
  outbox
  handles Open { idempotent  writes Books.policies  emits PolicyOpened }
  handles Close { idempotent  %s  emits PolicyClosed }
}
service Search {
  on PolicyOpened { projection  idempotent  ordered by number  writes Index.policies }
  on PolicyClosed { projection  idempotent  ordered by number  writes Index.policies %s }
}
flow Opening { starts with Open from Agent  succeeds with PolicyOpened }
flow Closing { starts with Close from Agent  succeeds with PolicyClosed }
"""

APART = POLICIES % ("closed", "reads Books.policies", "")


def test_what_is_sent_first_in_one_flow_is_taken_behind_what_another_flow_sends():
    (finding,) = found(APART, "DLV604")
    run = finding.run
    assert run is not None
    assert taken(run) == ["Open", "Close", "PolicyClosed", "PolicyOpened"]
    assert (run.faults, run.scene) == (0, "flow Opening and flow Closing")
    assert [step.bad for step in run.steps] == [False, False, False, True]
    assert "`PolicyClosed`, which was sent after it, has been taken before it" in run.steps[-1].text
    assert [step.sender for step in run.steps[:2]] == ["Agent", "Agent"]
    assert "`PolicyOpened` has the last word there" in run.end


def test_the_flow_that_reads_what_the_other_one_writes_comes_second():
    # By their names alone, `PolicyClosed` would be the first one.
    other = POLICIES.replace("handles Open { idempotent  writes Books.policies", "handles Open { idempotent  %s") % (
        "closed",
        "reads Books.policies",
        "writes Books.policies",
        "",
    )
    (finding,) = found(other, "DLV604")
    assert taken(finding.run) == ["Close", "Open", "PolicyOpened", "PolicyClosed"]


def test_a_view_that_is_read_is_named():
    text = APART.replace("writes Index.policies  }", "reads Index.policies }")
    assert text != APART
    (finding,) = found(text, "DLV604")
    assert finding.run is not None
    assert finding.run.end.endswith("`PolicyClosed` reads `Index.policies` without what it brings")


def test_what_restores_the_order_has_no_run():
    assert found(APART.replace("ordered by number", "ordered by number  resequences"), "DLV604") == []
    one = (POLICIES % ("opened", "reads Books.policies", "")).replace(
        "opened { topic }", "opened { topic  ordered by number }"
    )
    assert found(one, "DLV604") == []


def asked(loaded: Design, first: str, then: str, *, apart: bool = True) -> Trial | None:
    """What the runs say about the order of two messages, each taken by the only handler that says so."""
    one, other = (
        next(
            Taking(name, process.start)
            for process in loaded.system.processes
            if process.fact("ordered_by").declared
            for trigger in process.triggers
            if any(use.message.name == name for use in trigger.uses)
        )
        for name in (first, then)
    )
    return trials(loaded).of(Claim(overtaking=Overtaking(one, other, apart)))


def test_what_is_only_sent_when_the_first_one_has_arrived_never_overtakes_it():
    text = APART.replace("external service Agent { calls Policies.Open  calls Policies.Close }",
                         "external service Agent { calls Policies.Open }").replace(
        "on PolicyOpened { projection  idempotent  ordered by number  writes Index.policies }",
        "on PolicyOpened { idempotent  ordered by number  writes Index.policies  sends Policies.Close }",
    ).replace("flow Closing { starts with Close from Agent  succeeds with PolicyClosed }", "")  # fmt: skip
    assert asked(design(text), "PolicyOpened", "PolicyClosed") is None


ONE = """
channel placed { topic }
channel paid { topic }
store Index { owner Search }
store Books { owner Orders }
event Placed via placed { number: string }
event Paid via paid { number: string }
command Place
external service Shopper { sends Orders.Place }
service Orders { outbox  handles Place { idempotent  writes Books.orders  emits Placed } }
service Bank { outbox  on Placed { idempotent  acts "takes the money"  emits Paid } }
service Search {
  on Placed { projection  idempotent  ordered by number  writes Index.orders }
  on Paid { projection  idempotent  ordered by number  writes Index.orders }
}
flow Buying { starts with Place from Shopper  succeeds with Paid }
"""


def test_one_flow_is_enough_where_both_are_sent_in_it():
    (finding,) = found(ONE, "DLV604")
    assert finding.run is not None
    assert finding.run.scene == "flow Buying"
    assert taken(finding.run) == ["Place", "Placed", "Paid", "Placed"]
    assert finding.run.faults == 0
    views = [step.receiver for step in finding.run.steps if step.receiver == "Search"]
    assert len(views) == 2


def test_what_follows_from_the_other_one_is_never_sent_before_it():
    assert asked(design(ONE), "Paid", "Placed", apart=False) is None


def test_the_order_in_which_things_are_declared_changes_nothing():
    lines = APART.strip().split("\nflow ")
    turned = "\nflow ".join((lines[0], *lines[:0:-1]))
    turned = turned.replace("event PolicyOpened via opened { number: string }\n", "")
    turned += "\nevent PolicyOpened via opened { number: string }\n"
    assert turned != APART
    (one,), (other,) = found(APART, "DLV604"), found(turned, "DLV604")
    assert one.run is not None
    assert other.run is not None
    assert [step.text for step in one.run.steps] == [step.text for step in other.run.steps]
    assert one.run.scene == other.run.scene


# ------------------------------------------------------------------------------------------------ asked for first, sent last

GARAGE = """
channel bus { topic }
store People { owner Customers }
store Jobs { owner Workshop }
store Bills { owner Invoices }
event Registered via bus { customer: string }
event Planned via bus { customer: string }
command Register, Plan, Enter, Book
external service Clerk { calls Desk.Enter  calls Desk.Book }
service Desk {
  handles Enter calls Customers.Register { timeout 2s }
  handles Book calls Workshop.Plan { timeout 2s }
}
service Customers { outbox  handles Register { idempotent  writes People.people  emits Registered } }
service Workshop { outbox  %s { idempotent  reads People.people  writes Jobs.jobs  emits Planned } }
service Invoices {
  on Registered { projection  idempotent  ordered by customer  writes Bills.people }
  on Planned { projection  idempotent  ordered by customer  writes Bills.jobs }
}
flow Registration { starts with Enter from Clerk  succeeds with Registered }
flow Planning { starts with Book from Clerk  succeeds with Planned }
"""


def test_two_publishers_on_one_channel_may_publish_in_the_other_order():
    (finding,) = found(GARAGE % "handles Plan", "DLV604")
    run = finding.run
    assert run is not None
    order = taken(run)
    assert order[:2] == ["Enter", "Book"]  # the customer is asked for first
    assert order[-1] == "Registered"
    # One channel keeps the order of publication: what is taken first is published first as well.
    assert order.index("Plan") < order.index("Register")
    assert order.index("Planned") < order.index("Registered")
    assert run.faults == 0
    assert run.end == "`Registered` is asked for first and taken last: `Invoices` handles `Planned` without it"


def test_a_publisher_that_follows_the_other_one_keeps_the_order():
    text = (GARAGE % "on Registered").replace(
        "flow Planning { starts with Book from Clerk  succeeds with Planned }", ""
    )
    text = text.replace("calls Desk.Book", "").replace("  handles Book calls Workshop.Plan { timeout 2s }\n", "")
    text = text.replace("command Register, Plan, Enter, Book", "command Register, Enter")
    assert found(text, "DLV604") == []
    assert asked(design(text), "Registered", "Planned", apart=False) is None


# ------------------------------------------------------------------------------------------------ failed by another entry

SHOP = """
store Books { owner Orders }
event Placed, Paid, Refused, Cancelled
command Place, Cancel
external service Shopper { calls Orders.Place  calls Orders.Cancel }
service Orders {
  outbox
  handles Place { idempotent  writes Books.orders  emits Placed }
  handles Cancel { idempotent  writes Books.orders  emits Cancelled or fails "shipped" }
}
service Bank {
  outbox
  on Placed { idempotent  acts "takes the money"  emits Paid or fails Refused }
  %s
}
service Desk { on Paid or Refused or Cancelled { notifies  acts "tells the customer" } }
flow Buying { starts with Place from Shopper  succeeds with Paid  fails with Cancelled }
%s
"""
CANCELLING = "flow Cancelling { starts with Cancel from Shopper  succeeds with Cancelled }"


def test_what_another_flow_cancels_stays_done():
    (finding,) = [one for one in found(SHOP % ("", CANCELLING), "SAG310") if "`Cancelled`" in one.message]
    run = finding.run
    assert run is not None
    assert run.scene == "flow Buying and flow Cancelling"
    assert taken(run) == ["Place", "Placed", "Cancel"]
    assert run.faults == 0
    assert run.steps[1].text == "`Placed` is handled"
    assert run.end == 'nothing that follows `Cancelled` undoes what `Bank` did: "takes the money"'
    assert finding.severity is not None
    assert finding.severity.label == "error"


def test_what_is_undone_is_not_left():
    cured = SHOP % ('on Cancelled { compensates Placed  idempotent  acts "pays back" }', CANCELLING)
    assert not [one for one in found(cured, "SAG310") if "`Cancelled`" in one.message]


def test_what_no_flow_speaks_of_shows_the_run_and_leaves_the_severity():
    (finding,) = [one for one in found(SHOP % ("", ""), "SAG310") if "`Cancelled`" in one.message]
    assert finding.run is not None
    assert finding.run.scene == "flow Buying and entry Cancel"
    assert taken(finding.run) == ["Place", "Placed", "Cancel"]
    assert finding.severity is not None
    assert finding.severity.label == "warning"


def emits(loaded: Design, name: str) -> frozenset[int]:
    return frozenset(one.id for one in loaded.system.actions if one.kind == "emit" and one.message.name == name)


def acts(loaded: Design) -> frozenset[int]:
    return frozenset(one.id for one in loaded.system.actions if one.kind == "act" and one.text == "takes the money")


def test_an_order_that_no_run_has_is_left_open():
    loaded = design(SHOP % ("", CANCELLING))
    money, placed = acts(loaded), emits(loaded, "Placed")
    assert trials(loaded).of(Claim(foremost=Succession(placed, money, "Buying", ""))) is not None
    assert trials(loaded).of(Claim(foremost=Succession(money, placed, "Buying", ""))) is None


def test_what_is_refused_has_changed_nothing():
    loaded = design(SHOP % ("", CANCELLING))
    money, refused = acts(loaded), emits(loaded, "Refused")
    assert trials(loaded).of(Claim(both=(money, refused))) is not None
    assert trials(loaded).of(Claim(foremost=Succession(money, refused, "Buying", ""))) is None


# ------------------------------------------------------------------------------------------------ entries of no flow

OFFERS = """
store Books { owner Policies }
command Ask, Offer
query Price
external service Agent { calls Gate.Ask }
service Gate { handles Ask { calls Policies.Offer { timeout 2s } } }
service Policies { outbox  handles Offer { idempotent  calls Prices.Price { %s }  writes Books.offers } }
service Prices { handles Price succeeds }
"""


def test_a_handler_of_no_flow_waits_for_ever():
    (finding,) = found(OFFERS % "no timeout", "RES809")
    run = finding.run
    assert run is not None
    assert (run.property, run.scene, run.faults) == ("B2", "entry Ask", 1)
    assert taken(run) == ["Ask", "Offer", "Price", ""]
    assert run.steps[-1].bad
    assert run.end == "`Policies` never finishes `Offer`"


def test_with_a_limit_it_does_not():
    assert found(OFFERS % "timeout 1s", "RES809") == []
    loaded = design(OFFERS % "timeout 1s")
    places = tuple(one.span for one in loaded.system.actions if one.kind == "call")
    assert trials(loaded).of(Claim(("B2",), places)) is None


def test_the_scene_of_an_entry_reports_nothing_by_itself():
    loaded = design(OFFERS % "no timeout")
    codes = {finding.code for finding in check(loaded).findings}
    assert not {code for code in codes if code.startswith("VER")}
    assert [scene.name for scene in loaded.verification.searched] == []


PAYS = """
channel Wire { delivery at-least-once }
event Due via Wire
external service Clock { emits Due }
service Bank { on Due { not idempotent  acts "pays" } }
"""


def test_a_run_of_no_flow_leaves_the_severity():
    (finding,) = found(PAYS, "DLV601")
    assert finding.run is not None
    assert finding.run.faults == 1
    assert finding.severity is not None
    assert finding.severity.label == "warning"


def test_a_timer_of_no_flow_is_an_entry():
    text = PAYS.replace("external service Clock { emits Due }", "service Clock { every 1d { emits Due } }")
    (finding,) = found(text, "DLV601")
    assert finding.run is not None
    assert [(step.sender, step.receiver) for step in finding.run.steps] == [("Clock", "Bank"), ("Clock", "Bank")]


def test_nothing_is_made_where_no_claim_asks():
    loaded = design(PAYS.replace("not idempotent", "idempotent"))
    check(loaded)
    assert "trials" not in loaded.__dict__


# ------------------------------------------------------------------------------------------------ oracles


def joint(loaded: Design) -> tuple[object, ...]:
    """The scene of both flows with an observer: held back, not held back, and the observer with what it looks for."""
    first, second = list(scenes(loaded.index))[:2]
    order = {process: number for number, process in enumerate(loaded.system.processes)}
    views = frozenset(process for process in loaded.system.processes if process.fact("projection").declared)
    scene = combined(loaded.index, order, first, second, keep=views)
    starts = frozenset(first.starts), frozenset(second.starts)
    watching = [p for p in loaded.system.processes if p.fact("ordered_by").declared]
    if watching:
        one, other = ((p.triggers[0].uses[0].message, p) for p in watching)
        apart = one[0].channel is not other[0].channel
        ways = [
            overtaking(compile_scene(loaded.index, scene), one, other, starts[0], later, apart=apart)
            for later in (starts[1], frozenset())
        ]
        assert ways[0] is not None
        assert ways[1] is not None
        return ways[0][0], ways[1][0], ways[0][1], OVERTAKEN
    groups = acts(loaded), emits(loaded, "Cancelled")
    free, observer = watched(compile_scene(loaded.index, scene), *groups)
    free = successes(free, observer)
    return hold(free, observer, held(free, starts[1])), free, observer, FIRST_THEN


@pytest.mark.parametrize(
    "text", [APART, GARAGE % "handles Plan", SHOP % ("", CANCELLING)], ids=["apart", "source", "then"]
)
@pytest.mark.parametrize("held_back", [True, False])
def test_the_reference_engine_finds_it_with_as_many_faults(text: str, held_back: bool):
    back, free, observer, end = joint(design(text))
    tables = (back if held_back else free).tables
    seen = Explored(tables, 1, limit=200_000).locals()
    search = Search(Space(tables), aims=frozenset({(observer, end)}))
    assert list(search.run(1)) == []  # it stops in the layer in which it finds it
    whole = Search(Space(tables))
    list(whole.run(1))
    assert whole.complete == 1
    hit = search.hits[observer, end]
    assert hit.layer == whole.hits[observer, end].layer == seen[observer, end] == 0
    assert len(search.path(hit.before)) == len(whole.path(whole.hits[observer, end].before))
    assert search.complete == -1
    assert len(search.layers) <= len(whole.layers)


def test_a_run_that_is_held_back_is_one_of_the_scene():
    for text in (APART, SHOP % ("", CANCELLING)):
        back, free, observer, end = joint(design(text))
        search = Search(Space(back.tables), aims=frozenset({(observer, end)}))
        list(search.run(0))
        hit = search.hits[observer, end]
        moves = [move for _, move in (*search.path(hit.before), (hit.before, hit.move))]
        space = Space(free.tables, inert=False, persistent=False)
        state = space.initial
        for wanted in moves:
            target = wanted.choice.target if wanted.choice is not None else -1
            (state,) = {
                move.target
                for move in space.moves(state)
                if (move.what, move.kind, move.component) == wanted[1:4]
                and (move.choice.target if move.choice is not None else -1) == target
                and (move.choice.note if move.choice is not None else -1)
                == (wanted.choice.note if wanted.choice is not None else -1)
            }
        assert space.local(state, observer) == end


@pytest.mark.parametrize(
    ("system", "code", "scene"),
    [
        ("asc-lab-insurance", "DLV604", "flow PolicyDocument and flow PolicyTermination"),
        ("asc-lab-insurance", "RES809", "entry PostOffer"),
        ("pitstop", "DLV604", "flow CustomerRegistration and flow JobPlanning"),
        ("eshop", "SAG310", "flow OrderToPaid and flow OrderCancellation"),
        ("ftgo", "DLV604", "flow ConsumerRegistration and flow OrderPlacement"),
    ],
)
def test_real_systems(system: str, code: str, scene: str):
    result = check(load(str(SYSTEMS / system / f"{system}.coord")))
    assert scene in [one.run.scene for one in result.findings if one.code == code and one.run is not None]
