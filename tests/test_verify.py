"""What `verify` says about a correct saga and about each mutant of it, and how it says it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from verify_designs import saga, text

from coordlint.cli import run as coordlint
from coordlint.explore.verify import Settings, Verdict, Verification

STEPS = 12


def verified(settings: Settings | None = None, **changes: Any) -> Verification:
    design = saga(STEPS, **changes)
    assert [problem.message for problem in design.problems] == []
    return Verification(design.index, design.sagas, settings or Settings(candidates=False))


PUBLISHING = STEPS - 1
"""The twelve-step saga with everything a design can get right: behind its last step it publishes an event that others act on."""


@pytest.mark.parametrize("announced", [None, PUBLISHING], ids=["asking", "publishing"])
def test_a_correct_saga_of_twelve_steps_holds_for_any_number_of_faults(announced: int | None):
    verification = verified(Settings(), announced=announced)
    assert [verdict.words for verdict in verification.verdicts] == ["holds for any number of faults"]
    assert verification.told == []


@pytest.mark.parametrize("announced", [None, PUBLISHING], ids=["asking", "publishing"])
@pytest.mark.parametrize("at", [0, 5, STEPS - 1])
@pytest.mark.parametrize(
    ("changes", "code", "faults"),
    [
        ({"first": ""}, "B1", 0),
        ({"idempotent": "not idempotent"}, "B8", 1),
        ({"state": "state memory"}, "B14", 1),
        ({"timeout": "no timeout  no retries"}, "B2", 1),
    ],
    ids=["compensation", "idempotency", "durability", "timeout"],
)
def test_a_mutant_is_refuted_with_the_fewest_faults(
    changes: dict[str, str], code: str, faults: int, at: int, announced: int | None
):
    verification = verified(at=at, announced=announced, **changes)
    if "first" in changes and at == STEPS - 1:
        code, faults = "B11", 1  # nothing behind it can fail: only a step that timed out has to be undone
    assert {(told.violation.code, told.violation.faults) for told in verification.told} == {(code, faults)}
    (verdict,) = verification.verdicts
    assert verdict.violated == faults
    for told in verification.told:
        assert sum(step.fault for step in told.steps) == faults


@pytest.mark.parametrize("announced", [None, PUBLISHING], ids=["asking", "publishing"])
@pytest.mark.parametrize("at", [0, 5, STEPS - 1])
def test_a_saga_without_a_fence_may_hang_after_one_fault(at: int, announced: int | None):
    (told,) = verified(Settings(), fences="", at=at, announced=announced).told
    assert (told.violation.code, told.violation.faults) == ("B9", 1)
    assert [one.text for one in told.assumes] == [f"`Undo{at}` does not fence a late `Do{at}`"]
    assert told.repairs == (f"let `Undo{at}` fence a late `Do{at}`",)
    assert told.tried >= 1


def test_what_an_orchestrator_without_an_outbox_forgets_to_ask_it_asks_again():
    assert [verdict.words for verdict in verified(outbox="no outbox").verdicts] == ["holds for any number of faults"]


def test_without_an_outbox_and_a_limit_it_never_asks_again():
    (told,) = verified(outbox="no outbox", timeout="no timeout  no retries").told
    assert (told.violation.code, told.violation.faults) == ("B14", 1)


@pytest.mark.parametrize("others", ["outbox", "no outbox"])
@pytest.mark.parametrize("after", [0, 5, PUBLISHING])
def test_without_the_outbox_of_its_orchestrator_an_event_of_the_saga_is_lost(after: int, others: str):
    assert [one.words for one in verified(announced=after).verdicts] == ["holds for any number of faults"]
    (told,) = verified(announced=after, outbox="no outbox", others=others).told
    assert (told.violation.code, told.violation.faults) == ("B13", 1)
    assert told.repairs == ("an `outbox` for `Orders`",)


def test_a_repair_is_shown_only_if_it_was_tried():
    (told,) = [told for told in verified(idempotent="not idempotent").told if told.violation.code == "B8"]
    assert told.repairs == ("make `Do0` idempotent",)
    assert told.tried >= 1


def test_verdicts_always_say_their_bound():
    assert Verdict("s", 1, 2, 1, False, False).words == "violated (needs 1 fault)"
    assert Verdict("s", 1, 2, None, True, False).words == "holds for any number of faults"
    assert Verdict("s", 1, 2, None, False, False).words == "holds up to 2 faults"
    assert Verdict("s", 1, 1, None, False, True).words == "unknown beyond 1 fault (limit reached)"
    assert Verdict("s", 1, -1, None, False, True).words == "unknown (limit reached)"


def test_a_reached_limit_is_said():
    (verdict,) = verified(Settings(limit=500, candidates=False)).verdicts
    assert verdict.cut
    assert verdict.words.endswith("(limit reached)")


@pytest.fixture
def path(tmp_path: Path) -> str:
    file = tmp_path / "saga.coord"
    file.write_text(text(3, idempotent="not idempotent"), encoding="utf-8")
    return str(file)


def test_the_command_reports_runs(path: str, capfd: pytest.CaptureFixture[str]):
    assert coordlint(["verify", path]) == 1
    out = capfd.readouterr().out
    assert "error[VER008 double-execution]: `Do0` can be executed twice (needs 1 fault)" in out
    assert "FAULT" in out
    assert "repair (each re-verified): make `Do0` idempotent" in out
    assert "flow F: violated (needs 1 fault)" in out


def test_json_and_sarif_carry_the_steps(path: str, capfd: pytest.CaptureFixture[str]):
    coordlint(["verify", path, "--format", "json"])
    data = json.loads(capfd.readouterr().out)
    (finding,) = [one for one in data["findings"] if one["code"] == "VER008"]
    steps = finding["run"]["steps"]
    assert [step["n"] for step in steps] == list(range(1, len(steps) + 1))
    assert sum(step["fault"] for step in steps) == 1
    assert data["verdicts"][0]["needs"] == 1
    coordlint(["verify", path, "--format", "sarif"])
    (result,) = [r for r in json.loads(capfd.readouterr().out)["runs"][0]["results"] if r["ruleId"] == "VER008"]
    places = result["codeFlows"][0]["threadFlows"][0]["locations"]
    assert len(places) == len(steps)
    assert "essential" in {place["importance"] for place in places}


def test_a_good_run_and_a_run_with_a_fault_can_be_shown(path: str, capfd: pytest.CaptureFixture[str]):
    assert coordlint(["verify", path, "--show", "happy"]) == 0
    happy = capfd.readouterr().out
    assert "`Do2` is done" in happy
    assert "FAULT" not in happy
    assert coordlint(["verify", path, "--show", "fault: crash", "--as", "mermaid"]) == 0
    assert capfd.readouterr().out.startswith("%% flow F with fault: crash\nsequenceDiagram\n")


def test_a_fault_can_be_excluded(path: str, capfd: pytest.CaptureFixture[str]):
    assert coordlint(["verify", path, "--without", "early", "--without", "crash", "--without", "lose"]) == 0
    assert "holds up to 2 faults" in capfd.readouterr().out


def test_check_shows_what_one_fault_does_and_says_it_once(path: str, capfd: pytest.CaptureFixture[str]):
    coordlint(["check", path, "--no-cache", "--format", "json"])
    data = json.loads(capfd.readouterr().out)
    twice = [one for one in data["findings"] if "run" in one and one["run"]["property"] == "B8"]
    assert len(twice) == 1
    assert twice[0]["run"]["needs"]["faults"] == 1
    assert data["verdicts"][0]["needs"] == 1
