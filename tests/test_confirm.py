"""A check holds its findings against runs of the model: it confirms, sharpens and silences them, and says each thing once."""

from __future__ import annotations

from pathlib import Path

import pytest
from verify_designs import text

from coordlint import cache
from coordlint.check import Result, check, select_rules
from coordlint.cli import run as coordlint
from coordlint.confirm import REFUTED
from coordlint.design import Design, load
from coordlint.explore import verify
from coordlint.explore.memory import Memory, fingerprint
from coordlint.explore.trials import SHORT, Trials
from coordlint.explore.verify import Verification
from coordlint.finding import Claim, Finding
from coordlint.source import Source

ENTRY = "external service Shopper { sends Orders.Place }\n"


def design(text: str) -> Design:
    loaded = load("design.coord", stdin=Source("design.coord", text))
    assert [problem.message for problem in loaded.problems] == []
    return loaded


def found(result: Result, code: str) -> list[Finding]:
    return [finding for finding in result.findings if finding.code == code]


def hidden(result: Result) -> list[str]:
    return [one.finding.code for one in result.hidden if one.how == REFUTED]


TWICE = """
channel Wire { delivery at-least-once }
command Place
event Placed via Wire
store Books
external service Shopper { sends Orders.Place }
service Orders { outbox  handles Place { idempotent by id  writes Books.orders  emits Placed } }
service Stock { outbox  on Placed { not idempotent  writes Books.stock } }
flow F { starts with Place from Shopper  succeeds with Placed }
"""


def test_a_finding_gets_the_run_that_shows_it_and_is_not_reported_twice():
    result = check(design(TWICE))
    (finding,) = found(result, "DLV601")
    assert finding.run is not None
    assert sum(step.fault for step in finding.run.steps) == 1
    assert any(step.move == "copy" for step in finding.run.steps)
    assert finding.run.faults == 1
    assert found(result, "VER008") == []


def test_what_no_finding_states_is_reported_as_what_the_run_shows():
    loaded = design(TWICE)
    result = check(loaded, select_rules(ignore=["DLV601"]))
    (finding,) = found(result, "VER008")
    assert finding.run is not None
    assert sum(step.fault for step in finding.run.steps) == 1


def test_nothing_is_run_where_nobody_asks():
    loaded = design(TWICE)
    check(loaded, select_rules(select=["SPF"]))
    assert "verification" not in loaded.__dict__


LEG = """
store Books
command Place, Reserve
event Placed, Paid, Declined
external service Shopper { sends Orders.Place }
service Orders
service Stock { handles Reserve { idempotent  writes Books.stock  succeeds or fails "sold out" } }
service Bank { on Placed { idempotent  acts "charges the card"  emits Paid or fails Declined } }
service Desk { on Declined { notifies  acts "tells the customer" } }
service Delivery { on %s { idempotent  writes Books.parcels } }
workflow Checkout in Orders {
  starts on Place
  emits Placed
  step reserve calls Stock.Reserve
}
flow F { starts with Place from Shopper  succeeds with Checkout }
"""


def test_a_run_shows_a_reaction_that_outlives_its_workflow():
    (finding,) = found(check(design(LEG % "Paid")), "MIX405")
    assert finding.run is not None
    assert finding.run.steps[-1].bad
    assert not any(step.fault for step in finding.run.steps)
    assert finding.severity is not None
    assert finding.severity.label == "error"  # only a warning where no run is known


NEVER = (
    (LEG % "Both and Placed by order")
    .replace("event Placed", "event Both, Placed")
    .replace("service Desk", "service Joint { on Paid and Declined by order { emits Both } }\nservice Desk")
)
"""What `Delivery` waits for besides comes of two outcomes that exclude each other."""


def test_a_reaction_that_no_run_comes_to_is_silenced():
    result = check(design(NEVER))
    assert not [one for one in found(result, "MIX405") if "`Delivery`" in one.message]
    assert hidden(result) == ["MIX405", "SAG310"]


def test_what_is_silenced_is_counted(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    path = tmp_path / "design.coord"
    path.write_text(NEVER, encoding="utf-8")
    coordlint(["check", str(path), "--no-cache"])
    assert f"2 {REFUTED}" in capfd.readouterr().out


# ------------------------------------------------------------------------------------------------ claims about two actions

CHOICE = """
store Books
command Place, Ask, Do
event Yes, No, Both
external service Shopper { sends Orders.Place }
service Orders
service Bank { handles Ask { idempotent  acts "asks"  emits Yes or emits No } }
service Stock {
  on Yes { idempotent  writes Books.a }
  on No { idempotent  writes Books.b }
  handles Do { idempotent  writes Books.c }
}
workflow W in Orders {
  starts on Place
  step ask calls Bank.Ask
  step do calls Stock.Do { on failure { emits Both } }
}
service Log { on Both { notifies  acts "writes it down" } }
flow F { starts with Place from Shopper  succeeds with W }
"""


def trials(loaded: Design) -> Trials:
    return Trials(loaded.index, loaded.verification)


def actions(loaded: Design, words: str) -> frozenset[int]:
    return frozenset(a.id for a in loaded.system.actions if words in " ".join(a.span.text.split()))


def test_two_outcomes_never_happen_in_one_run():
    loaded = design(CHOICE)
    trial = trials(loaded).of(Claim(both=(actions(loaded, "Books.a"), actions(loaded, "Books.b"))))
    assert trial is not None
    assert trial.word == "refuted"


def test_what_follows_an_outcome_happens_with_it():
    loaded = design(CHOICE)
    trial = trials(loaded).of(Claim(both=(actions(loaded, "Books.a"), actions(loaded, "Books.c"))))
    assert trial is not None
    assert (trial.word, trial.faults) == ("shown", 0)


def test_both_orders_are_shown_or_none():
    loaded = design(CHOICE)
    one, other = actions(loaded, "Books.a"), actions(loaded, "Books.c")
    shown = trials(loaded).of(Claim(both=(one, other), any_order=True))
    assert shown is not None
    assert shown.word == "shown"
    ordered = trials(loaded).of(Claim(both=(actions(loaded, "calls Bank.Ask"), other), any_order=True))
    assert ordered is not None
    assert ordered.word == "refuted"


def test_a_call_may_break_down_although_nobody_refuses_it():
    loaded = design(CHOICE)
    claim = Claim(both=(actions(loaded, "calls Stock.Do"), actions(loaded, "emits Both")))
    assert trials(loaded).of(claim) is None  # no run of the model, and yet not refuted


def test_nothing_is_refuted_beyond_the_limit(monkeypatch: pytest.MonkeyPatch):
    loaded = design(CHOICE)
    monkeypatch.setattr("coordlint.explore.trials.STATES", 3)
    assert trials(loaded).of(Claim(both=(actions(loaded, "Books.a"), actions(loaded, "Books.b")))) is None


def test_a_claim_about_actions_of_different_scenes_is_left_open():
    loaded = design(CHOICE + "command Other  service Far { handles Other { writes Books.d } }\n")
    assert trials(loaded).of(Claim(both=(actions(loaded, "Books.a"), actions(loaded, "Books.d")))) is None


# ------------------------------------------------------------------------------------------------ scenes are remembered


def verified(loaded: Design) -> tuple[Verification, int]:
    """The short runs with a memory, and how many scenes were searched."""
    searched = 0
    real = verify.Search

    class Counting(real):  # type: ignore[misc, valid-type]
        def run(self, faults: int) -> object:
            nonlocal searched
            searched += 1
            return super().run(faults)

    verify.Search = Counting  # type: ignore[misc]
    try:
        memory = Memory("design.coord", SHORT)
        return Verification(loaded.index, loaded.sagas, SHORT, memory), searched
    finally:
        verify.Search = real  # type: ignore[misc]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COORDLINT_CACHE_DIR", str(tmp_path / "kept"))


@pytest.mark.usefixtures("kept")
def test_an_unchanged_scene_is_not_searched_again():
    first, searched = verified(design(text(3)))
    assert searched == 1
    again, searched = verified(design("# a comment\n\n" + text(3)))
    assert searched == 0
    assert again.verdicts == first.verdicts
    _, searched = verified(design(text(3) + text(2, name="x")))
    assert searched == 1  # the new one only


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize(
    "changes",
    [
        {"idempotent": "not idempotent"},
        {"fences": ""},
        {"outbox": "no outbox"},
        {"state": "state memory"},
        {"timeout": "no timeout  no retries"},
        {"timeout": "timeout 2s  attempts 3"},
        {"first": ""},
        {"first": "no compensation"},
        {"parallel": True},
    ],
    ids=str,
)
def test_a_changed_fact_is_looked_at(changes: dict[str, str]):
    verified(design(text(3)))
    changed = design(text(3, **changes))
    again, searched = verified(changed)
    fresh = Verification(changed.index, changed.sagas, SHORT)
    assert again.verdicts == fresh.verdicts
    assert [one.violation for one in again.told] == [one.violation for one in fresh.told]
    known = {scene.name for scene in fresh.scenes()}
    assert searched == len(known)


@pytest.mark.usefixtures("kept")
def test_a_damaged_memory_is_made_anew(tmp_path: Path):
    verified(design(text(2)))
    (file,) = (tmp_path / "kept" / "scenes").iterdir()
    file.write_bytes(b"nonsense")
    _, searched = verified(design(text(2)))
    assert searched == 1
    _, searched = verified(design(text(2)))
    assert searched == 0


@pytest.mark.usefixtures("kept")
def test_without_a_cache_nothing_is_kept(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    path = tmp_path / "design.coord"
    path.write_text(text(2), encoding="utf-8")
    coordlint(["check", str(path), "--no-cache"])
    assert not (tmp_path / "kept" / "scenes").exists()
    coordlint(["check", str(path)])
    assert (tmp_path / "kept" / "scenes").exists()
    capfd.readouterr()


def test_layout_and_the_rest_of_the_design_do_not_change_a_scene():
    def hashes(whole: str) -> list[str]:
        loaded = design(whole)
        verification = Verification(loaded.index, loaded.sagas, SHORT)
        return [fingerprint(verify.compile_scene(loaded.index, scene), loaded.index) for scene in verification.scenes()]

    one = hashes(text(3))
    assert hashes("service Before\n" + text(3).replace("\n", "\n\n# x\n")) == one
    assert hashes(text(3).replace("attempts 2", "attempts 3")) != one
    assert cache.__doc__
