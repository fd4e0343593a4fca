"""Faults of participants, brokers and stores: silence, restarts that empty what is in memory, and outcomes of 0%.

Each is shown with the fewest faults, is gone in the cured variant, and means the same to every engine.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from explore_reference import Explored

from coordlint import finding
from coordlint.check import check, select_rules
from coordlint.cli import run as coordlint
from coordlint.cli import verify
from coordlint.design import Design, load
from coordlint.explore.compiler import compile_scene
from coordlint.explore.proof import prove
from coordlint.explore.quotient import for_proof
from coordlint.explore.scene import scenes
from coordlint.explore.search import Search
from coordlint.explore.space import Space
from coordlint.explore.verify import Settings, Told, Verification
from coordlint.finding import Claim, Finding
from coordlint.source import Source


def design(text: str) -> Design:
    loaded = load("design.coord", stdin=Source("design.coord", text))
    assert [problem.message for problem in loaded.problems] == []
    return loaded


def verified(text: str, **settings: object) -> Verification:
    loaded = design(text)
    return Verification(loaded.index, loaded.sagas, Settings(**settings))  # type: ignore[arg-type]


def certain(verification: Verification) -> list[Told]:
    return [told for told in verification.told if not told.assumes]


def words(verification: Verification) -> list[str]:
    return [verdict.words for verdict in verification.verdicts]


def checked(text: str, code: str) -> list[Finding]:
    return list(check(design(text), select_rules(select=[code])).findings)


def only(told: list[Told], code: str, faults: int = 1) -> Told:
    (one,) = told
    assert (one.violation.code, one.violation.faults) == (code, faults)
    assert sum(step.fault for step in one.steps) == faults
    return one


HOLDS = ["holds for any number of faults"]

# ------------------------------------------------------------------------------------------------ silence

ASKED = """
channel Wire { delivery at-least-once  ordered }
store Books
command Place
command Reserve, Release, Charge via Wire
external service Shopper { sends Orders.Place }
service Orders { outbox }
service Stock {
  outbox
  handles Reserve { idempotent by id  writes Books.stock }
  handles Release { idempotent by id  fences  compensates Reserve  writes Books.stock }
}
service Bank { outbox  handles Charge { idempotent by id  acts "charges the card"  succeeds or fails "declined" } }
workflow W in Orders {
  starts on Place
  idempotent by id
  state in Books
  step reserve calls Stock.Reserve { timeout 2s  attempts 3  compensate Stock.Release { timeout 2s  attempts unlimited } }
  step charge calls Bank.Charge { no timeout }
}
flow F { starts with Place from Shopper  succeeds with W }
"""


def test_who_is_asked_over_a_channel_may_never_answer():
    told = only(certain(verified(ASKED)), "B2")
    assert told.violation.text == "workflow `W` can wait for ever for the answer to `Charge`: `Bank` never answers"
    assert told.violation.place.text == "calls Bank.Charge"
    (fault,) = [step for step in told.steps if step.fault]
    assert (fault.move, fault.text, fault.receiver) == ("omission", "Bank never answers `Charge`", "Bank")
    assert told.violation.damage == "workflow `W` never ends, `Reserve` stays done, and nobody goes on or undoes it"
    assert [label.text for label in told.run.unsent] == [
        f"Bank never answers `Charge` in step {fault.number}, and nobody asks again"
    ]


def test_a_timeout_that_was_tried_is_the_remedy():
    told = only(certain(verified(ASKED)), "B2")
    assert told.repairs == ("a `timeout` on the call of `Charge`",)
    assert (
        words(verified(ASKED.replace("Bank.Charge { no timeout }", "Bank.Charge { timeout 5s  attempts unlimited }")))
        == HOLDS
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{ no timeout }", '{ no timeout "a clerk calls the bank" }'),
        ("starts on Place\n  idempotent", "starts on Place\n  timeout 1h\n  idempotent"),
        ("succeeds with W }", "succeeds with W  within 1h }"),
        ("Bank.Charge { no timeout }", "Orders.Charge { no timeout }"),
    ],
    ids=["a reason", "a limit of the workflow", "a limit of the flow", "asks itself"],
)
def test_where_somebody_has_an_answer_to_silence_it_is_none(old: str, new: str):
    text = ASKED.replace(old, new)
    if "Orders.Charge" in new:
        text = text.replace("service Orders { outbox }\n", "").replace("service Bank {", "service Orders {")
    told = certain(verified(text))
    assert not [one for one in told if any(step.move == "omission" for step in one.steps)]


def test_where_nothing_is_said_silence_is_a_possibility():
    unsaid = verified(ASKED.replace(" { no timeout }", ""))
    assert certain(unsaid) == []
    (told,) = [one for one in unsaid.told if "never answers" in one.violation.text]
    assert [one.text for one in told.assumes] == ["the call of `Charge` may stay without an answer"]


def test_a_wait_that_says_nothing_of_a_limit_is_left_to_its_own_rule():
    unsaid = AWAITED.replace("  no timeout }", " }")
    assert words(verified(unsaid)) == HOLDS
    assert len(checked(unsaid, "SAG306")) == 1


AWAITED = """
channel Wire { delivery at-least-once  ordered }
store Books
command Place
command Pick via Wire
event Picked via Wire
external service Shopper { sends Orders.Place }
service Orders { outbox }
service Stock { outbox  handles Pick { idempotent by id  writes Books.stock  emits Picked } }
workflow W in Orders {
  starts on Place
  idempotent by id
  state in Books
  step pick { sends Stock.Pick  awaits Picked  no timeout }
}
flow F { starts with Place from Shopper  succeeds with W }
"""


def test_an_event_that_answers_what_was_sent_may_stay_away():
    told = only(certain(verified(AWAITED)), "B2")
    assert told.violation.text == "workflow `W` can wait for ever for `Picked`: `Stock` never answers"
    limited = certain(verified(AWAITED.replace("awaits Picked  no timeout", "awaits Picked within 1h")))
    assert {one.violation.code for one in limited} == {"B1"}  # it gives up although it is picked, and puts nothing back
    (waiting,) = checked(AWAITED, "SAG306")
    assert waiting.run is not None
    assert waiting.run.faults == 1


def test_what_nobody_was_asked_for_is_not_touched():
    """An event that another one leads to is no answer: a choreography has nobody who could fall silent."""
    text = AWAITED.replace("sends Stock.Pick  awaits", "emits Placed  awaits").replace("handles Pick", "on Placed")
    text = text.replace("command Pick via Wire", "event Placed via Wire")
    assert words(verified(text)) == HOLDS


def test_all_who_may_fall_silent_are_told_as_one():
    several = ASKED.replace("Stock.Reserve { timeout 2s  attempts 3 ", "Stock.Reserve { no timeout ")
    told = only(certain(verified(several)), "B2")
    assert "`Stock` never answers" in told.violation.text
    assert ["`Bank` never answers" in one.text for one in told.violation.also] == [True]


BESIDE = """
channel Wire { delivery at-least-once  ordered }
store Books
command Place
command Pick, Pay via Wire
event Placed, Picked via Wire
external service Shopper { sends Orders.Place }
service Orders { outbox }
service Sales { outbox }
service Bank { outbox  handles Pay { idempotent by id  acts "takes the payment" } }
service Stock { outbox  handles Pick { idempotent by id  writes Books.stock  emits Picked } }
workflow W in Orders {
  starts on Place
  idempotent by id
  state in Books
  emits Placed
  step pick { sends Stock.Pick  awaits Picked  no timeout }
}
workflow V in Sales {
  starts on Placed
  idempotent by id
  state in Books
  on unexpected park
  step pay calls Bank.Pay { timeout 2s  attempts unlimited  no compensation }
  step wait { awaits Picked within 1h }
}
flow F { starts with Place from Shopper  succeeds with W }
"""

RESCUED = (
    BESIDE.replace("Picked via Wire", "Picked, Gone via Wire")
    .replace("awaits Picked  no timeout", "awaits { on Picked { } on Gone { } }  no timeout")
    .replace("awaits Picked within 1h", "awaits Picked  no timeout")
    .replace(
        "service Sales { outbox }",
        "service Sales { outbox }\nservice Clerk { outbox  on Placed { idempotent by id  emits Gone } }",
    )
)
"""Whoever asked hears of something else and comes to its end; another workflow still waits for the answer."""

FORGETFUL = BESIDE.replace("awaits Picked within 1h", "awaits Picked  no timeout").replace(
    "store Books\n", "store Books { in-memory }\n"
)
"""With a crash behind the silence nobody waits for the answer any more, but the other workflow still does."""


def test_what_else_goes_wrong_behind_a_silence_is_told():
    told = certain(verified(BESIDE, without=frozenset({"early"})))
    assert {one.violation.text for one in told} == {
        "workflow `W` can wait for ever for `Picked`: `Stock` never answers",
        "workflow `V` can fail and leave `Pay` done",
    }
    assert all([step.move for step in one.steps if step.fault] == ["omission"] for one in told)


def test_who_waits_behind_a_silence_is_told_unless_somebody_waits_for_the_answer_itself():
    texts = {one.violation.text: one.violation.code for one in certain(verified(RESCUED))}
    assert texts == {
        "workflow `V` can wait for ever for `Picked`: `Stock` never answers": "B2",
        "workflow `W` can succeed although `Pick` is not done": "B1",
    }
    both = BESIDE.replace("awaits Picked within 1h", "awaits Picked  no timeout")
    told = only(certain(verified(both)), "B2")
    assert told.violation.text == "workflow `W` can wait for ever for `Picked`: `Stock` never answers"


# ------------------------------------------------------------------------------------------------ half done and stuck

TAKEN = """
channel Wire { delivery at-least-once  ordered }
store Books
command Place
command Pay, Ship via Wire
external service Shopper { sends Orders.Place }
service Orders { outbox }
service Bank { outbox  handles Pay { idempotent by id  acts "takes the payment" } }
service Post { outbox  handles Ship { idempotent by id  acts "ships" } }
workflow W in Orders {
  starts on Place
  idempotent by id
  state in Books
  step pay calls Bank.Pay { timeout 2s  attempts unlimited  no compensation }
  step ship calls Post.Ship { no timeout }
}
flow F { starts with Place from Shopper  succeeds with W }
"""


def test_a_saga_that_is_stuck_with_a_step_done_is_half_done():
    (found,) = checked(TAKEN, "SAG301")
    assert found.run is not None
    assert found.run.faults == 1
    assert found.run.end == "workflow `W` never ends, `Pay` stays done, and nobody goes on or undoes it"
    assert found.severity is not None
    assert found.severity.label == "warning"  # as without a run: nothing fails


def test_no_run_counts_for_a_step_that_is_not_done_at_its_end():
    loaded = design(TAKEN)
    (pay, ship) = (step.place for step in loaded.system.workflows["W"].process.steps)
    trial = loaded.trials.of(Claim(("B1",), (pay,), held=(pay,)))
    assert trial is not None
    assert (trial.word, trial.aside) == ("shown", True)
    assert loaded.trials.of(Claim(("B1",), (ship,), held=(ship,))) is None


# ------------------------------------------------------------------------------------------------ stores in memory

STORED = """
store Engine
store Rows { owner Orders  in-memory }
command Place, Begin, Charge
external service Shopper { sends Orders.Place }
service Orders {
  outbox
  handles Place { idempotent by id  writes Rows.orders  sends Orders.Begin }
}
service Bank { outbox  handles Charge { idempotent by id  acts "charges the card" } }
workflow W in Orders {
  starts on Begin
  idempotent by id
  state in Engine
  reads Rows.orders
  step charge calls Bank.Charge { timeout 2s  attempts unlimited }
}
flow F { starts with Place from Shopper  succeeds with W }
"""


def test_a_process_that_outlives_its_data_finds_nothing():
    told = only(certain(verified(STORED)), "B14")
    assert told.violation.text == "workflow `W` can look for `Rows.orders` and find nothing"
    assert told.violation.place.text == "reads Rows.orders"
    (fault,) = [step for step in told.steps if step.fault]
    assert (fault.move, fault.receiver) == ("crash", "Orders")
    assert fault.text == "Orders restarts, and `Rows`, which is in its memory, is empty"
    assert told.steps[-1].bad
    assert told.repairs == ("keep `Rows` on disk",)
    (found,) = checked(STORED, "SPF102")
    assert found.run is not None
    assert found.run.steps[-1].bad


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("owner Orders  in-memory", "owner Orders"),
        ("writes Rows.orders", "writes Rows.others"),
        ("handles Place { idempotent by id  writes", "handles Place { projection  idempotent by id  writes"),
        ("reads Rows.orders\n", "writes Rows.orders\n  reads Rows.orders\n"),
        ("  state in Engine\n", ""),
    ],
    ids=["on disk", "something else", "a projection", "written anew", "dies with it"],
)
def test_there_is_nothing_to_miss(old: str, new: str):
    assert "B14" not in [told.violation.code for told in certain(verified(STORED.replace(old, new)))]


def test_what_fails_has_written_nothing():
    refused = STORED.replace("sends Orders.Begin }", 'sends Orders.Begin  fails "no" }')
    assert not [told for told in certain(verified(refused)) if told.violation.code == "B14"]


def test_an_owner_that_is_another_service_restarts_by_itself():
    foreign = STORED.replace("owner Orders", "owner Bank").replace("  state in Engine\n", "")
    told = only(certain(verified(foreign)), "B14")
    assert [step.receiver for step in told.steps if step.fault] == ["Bank"]
    nobody = only(certain(verified(STORED.replace("owner Orders  ", "").replace("  state in Engine\n", ""))), "B14")
    assert [step.text for step in nobody.steps if step.fault] == ["`Rows` restarts, and what it kept in memory is gone"]


@pytest.mark.parametrize("text", [STORED.replace("  in-memory", ""), STORED.replace("reads Rows.orders\n", "")])
def test_without_such_a_store_there_is_not_a_state_more(text: str):
    loaded = design(text)
    (scene,) = scenes(loaded.index)
    with_, without = (compile_scene(loaded.index, scene, stores=stores).tables for stores in (True, False))
    assert with_ == without


# ------------------------------------------------------------------------------------------------ channels in memory

FORGOTTEN = """
channel Wire { delivery at-least-once  in-memory }
store Books
command Place
event Placed via Wire
event Shipped
external service Shopper { sends Orders.Place }
service Orders { outbox  handles Place { idempotent by id  writes Books.orders  emits Placed } }
service Post { outbox  on Placed { idempotent by id  writes Books.parcels  emits Shipped } }
flow F { starts with Place from Shopper  succeeds with Shipped }
"""


def test_a_broker_forgets_what_it_keeps_in_memory():
    told = only(certain(verified(FORGOTTEN)), "B2")
    assert told.violation.text == "flow F can come to rest without success: the broker restarts, and `Placed` is gone"
    assert told.repairs == ("keep the messages of `Wire` on disk",)
    assert words(verified(FORGOTTEN.replace("  in-memory", ""))) == HOLDS
    (found,) = checked(FORGOTTEN, "DLV605")
    assert found.run is not None
    assert [step.move for step in found.run.steps if step.fault] == ["forget"]


def test_what_is_forgotten_is_no_run_of_a_missing_dead_letter_channel():
    text = FORGOTTEN.replace("at-least-once  in-memory", "at-least-once  no dead-letter  in-memory")
    assert [found.run for found in checked(text, "DLV602")] == [None]


# ------------------------------------------------------------------------------------------------ outcomes of 0%

RARE = ASKED.replace("{ no timeout }", "{ timeout 5s  attempts unlimited }").replace(
    'succeeds or fails "declined"', 'succeeds or 0% fails "declined"'
)


def test_an_outcome_of_0_percent_is_a_fault():
    assert words(verified(RARE)) == HOLDS
    failing = RARE.replace("attempts 3", "attempts unlimited").replace(
        "fences  compensates Reserve  writes Books.stock", 'compensates Reserve  fails "not implemented"'
    )
    told = only(certain(verified(failing)), "B3")
    (fault,) = [step for step in told.steps if step.fault]
    assert fault.move == "rare"
    assert fault.text == "`Charge` is refused, although the design expects that in 0% of all cases"
    assert words(verified(failing, without=frozenset({"rare"}))) == ["holds up to 2 faults"]
    (found,) = checked(failing, "SAG304")
    assert found.run is not None
    assert (found.run.faults, found.run.repeats_from > 0) == (1, True)


def test_a_compensation_is_not_missing_where_only_0_percent_could_need_it():
    text = RARE.replace("attempts 3  compensate Stock.Release { timeout 2s  attempts unlimited }", "attempts unlimited")
    assert certain(verified(text)) == []


BRANCHING = """
store Books
command Place, Ask
event Odd
external service Shopper { sends Orders.Place }
service Orders { outbox }
service Bank { outbox  handles Ask { idempotent by id  acts "asks" } }
workflow W in Orders {
  starts on Place
  idempotent by id
  state in Books
  step ask calls Bank.Ask { timeout 2s  attempts unlimited }
  either 100% "as always" { }
  or 0% "never" { awaits Odd }
}
flow F { starts with Place from Shopper  succeeds with W }
"""


def test_a_branch_of_0_percent_is_a_fault():
    told = only(certain(verified(BRANCHING)), "B2")
    assert [step.move for step in told.steps if step.fault] == ["rare"]
    assert "0% of all cases" in next(step.text for step in told.steps if step.fault)


# ------------------------------------------------------------------------------------------------ all of them

DESIGNS = {
    "asked": ASKED,
    "awaited": AWAITED,
    "beside": BESIDE,
    "rescued": RESCUED,
    "forgetful": FORGETFUL,
    "taken": TAKEN,
    "stored": STORED,
    "forgotten": FORGOTTEN,
    "rare": RARE,
    "branching": BRANCHING,
}


@pytest.mark.parametrize("name", DESIGNS)
def test_the_engines_agree(name: str):
    loaded = design(DESIGNS[name])
    (scene,) = scenes(loaded.index)
    compiled = compile_scene(loaded.index, scene)
    tables = compiled.tables
    raw = Explored(tables, 2, limit=60_000)
    assert raw.complete
    for inert in (False, True):
        for persistent in (False, True):
            search = Search(Space(tables, inert=inert, persistent=persistent))
            assert list(search.run(2))
            ends: dict[tuple[int, ...], int] = {}
            for state in search.terminals:
                locals_ = search.space.locals(state)
                ends[locals_] = min(ends.get(locals_, 99), search.layers[state])
            assert ends == raw.terminals()
    proved, behind = prove(Space(tables)), for_proof(compiled)[1]
    assert proved.complete
    assert set(raw.terminals()) <= set(proved.ends)
    assert len(behind) == len(tables.components)


def test_the_command_line_knows_every_fault(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    assert verify.KINDS_OF_FAULTS == finding.KINDS_OF_FAULTS
    for name, fault in (("asked", "omission"), ("forgotten", "forget"), ("rare", "rare"), ("stored", "crash")):
        path = tmp_path / f"{name}.coord"
        path.write_text(DESIGNS[name], encoding="utf-8")
        coordlint(["verify", str(path), "--show", f"fault: {fault}"])
        assert "FAULT" in capfd.readouterr().out
        coordlint(["verify", str(path), "--show", f"fault: {fault}", "--as", "mermaid"])
        assert "sequenceDiagram" in capfd.readouterr().out
        without = coordlint(["verify", str(path), "--without", fault])
        assert without == 0, capfd.readouterr().out
        assert "violated" not in capfd.readouterr().out
