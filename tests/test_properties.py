"""What holds for every design: nothing crashes, names and order do not matter, and a stricter profile finds no less."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from strategies import WORDS, Plan, plans

from coordlint import parse as parser
from coordlint.check import Result, check
from coordlint.design import Design, load
from coordlint.finding import PROFILES, Finding
from coordlint.source import Source
from coordlint.system import System

ROOT = Path(__file__).parent.parent
DESIGNS = sorted((ROOT / "fixtures" / "systems").rglob("*.coord"))

EXAMPLES = os.environ.get("COORDLINT_EXAMPLES")
"""How many designs each property is tried on; the same ones each time unless it is set."""

usual = settings(
    max_examples=int(EXAMPLES or 40), derandomize=not EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck)
)


def read(text: str, profile: str = "default") -> Design:
    return load("random.coord", stdin=Source("random.coord", text), profile=profile)


def run(text: str, profile: str = "default") -> Result:
    result = check(read(text, profile))
    assert result.crashes == (), text
    return result


# ------------------------------------------------------------------------------------------------ nothing crashes


@usual
@given(plans(), st.sampled_from(PROFILES))
def test_every_design_can_be_checked(plan: Plan, profile: str):
    text = plan.text()
    design = read(text, profile)
    assert [f"{problem.code} {problem.message}" for problem in design.problems] == []
    is_well_formed(design.system)
    for finding in run(text, profile).findings:
        reads_well(finding, text)


def is_well_formed(system: System) -> None:
    for process in system.processes:
        actions = [system.actions[index] for index in process.actions]
        kinds = Counter(action.kind for action in actions)
        assert kinds["start"] == kinds["end"] == 1
        assert kinds["failed"] == (0 if process.contract else 1)
        assert actions[0].kind == "start"
        assert actions[-1].kind == "end"
        assert actions[-1].edges == []
        for action in actions:
            assert action.process is process
            assert {edge.target for edge in action.edges} <= set(process.actions)
        for step in process.steps:
            assert {*step.actions, *step.compensation} <= set(process.actions)
    assert [action.id for action in system.actions] == list(range(len(system.actions)))
    assert [index for process in system.processes for index in process.actions] == list(range(len(system.actions)))
    assert len({process.path for process in system.processes}) == len(system.processes)


def reads_well(finding: Finding, text: str) -> None:
    for label in (finding.primary, *finding.related):
        assert 0 <= label.span.start < label.span.end <= len(text)
    words = [finding.message, finding.help, finding.silence, *finding.notes, *(one.text for one in finding.related)]
    for word in words:
        assert word == word.strip()
        assert "\n" not in word
        assert not word.endswith(".")
        assert word.count("`") % 2 == 0, word
        assert not re.search(r"\b(None|True|False|nan|inf|Fact|Quantity|\w+_\w+)\b", re.sub(r"`[^`]*`", "", word)), word


@usual
@given(plans(), st.sampled_from(PROFILES), st.data())
def test_every_damaged_design_can_be_checked(plan: Plan, profile: str, data: st.DataObject):
    text = plan.text()
    for _ in range(data.draw(st.integers(1, 4))):
        found, _ = parser.cut(Source("", text))
        one, other = (found[data.draw(st.integers(0, len(found) - 1))] for _ in range(2))
        way = data.draw(st.sampled_from(["delete", "double", "overwrite"]))
        if way == "delete":
            text = text[: one.start] + text[one.end :]
        elif way == "double":
            text = f"{text[: one.end]} {text[one.start :]}"
        else:
            text = text[: one.start] + other.text + text[one.end :]
    run(text, profile)


# ------------------------------------------------------------------------------------------------ names and order


@usual
@given(plans(), st.randoms(use_true_random=False), st.sampled_from(PROFILES))
def test_neither_names_nor_the_order_of_declarations_matter(plan: Plan, random: Random, profile: str):
    names = list(WORDS)
    random.shuffle(names)
    result = run(plan.text(), profile)
    rearranged, renamed = run(plan.text(order=random), profile), run(plan.text(names=names), profile)
    assert said(result) == said(rearranged)
    assert codes(result) == codes(renamed)


def codes(result: Result) -> Counter[tuple[str, int | None]]:
    return Counter((finding.code, finding.severity) for finding in result.findings)


def said(result: Result) -> Counter[tuple[str, int | None, str]]:
    return Counter((finding.code, finding.severity, finding.message) for finding in result.findings)


# ------------------------------------------------------------------------------------------------ the same bytes

SCRIPT = """
import json, sys
from coordlint.check import check
from coordlint.design import load

for path in json.load(sys.stdin):
    for profile in ("default", "production"):
        for finding in check(load(path, profile=profile)).findings:
            labels = [(one.span.start, one.span.end, one.text) for one in (finding.primary, *finding.related)]
            print(finding.code, finding.severity, labels, finding.message, finding.help, finding.notes, finding.silence,
                  finding.fix and (finding.fix.title, [(e.span.start, e.text) for e in finding.fix.edits]), finding.fingerprint)
"""


@pytest.fixture(scope="module")
def some_designs(tmp_path_factory) -> list[str]:
    texts: list[str] = []

    @settings(usual, max_examples=15, phases=[Phase.generate])
    @given(plans())
    def collect(plan: Plan) -> None:
        texts.append(plan.text())

    collect()
    folder = tmp_path_factory.mktemp("designs")
    paths = [str(path) for path in DESIGNS]
    for number, text in enumerate(texts):
        path = folder / f"random{number}.coord"
        path.write_text(text, encoding="utf-8")
        paths.append(str(path))
    return paths


def test_the_output_does_not_depend_on_the_hash_seed(some_designs: list[str]):
    def output(seed: str) -> bytes:
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            input=json.dumps(some_designs).encode(),
            env=environment,
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout

    first, second = output("1"), output("2")
    assert first
    assert first.splitlines() == second.splitlines()


# ------------------------------------------------------------------------------------------------ profiles


def worst(result: Result) -> dict[tuple[str, str], int]:
    """The worst severity by rule and subject."""
    found: dict[tuple[str, str], int] = {}
    for finding in result.findings:
        key = finding.code, finding.subject or finding.primary.span.text
        found[key] = max(found.get(key, 0), int(finding.severity or 0))
    return found


def weaker(text: str) -> list[str]:
    """Findings of a profile that a stricter one does not have, or takes more lightly.

    What a run shows is told by another rule where that one speaks of it, so for these the runs themselves are compared.
    """
    lenient = worst(run(text, PROFILES[0]))
    missing = []
    for profile in PROFILES[1:]:
        design = read(text, profile)
        strict = worst(check(design))
        shown = [one.violation for one in design.verification.told]
        places = [place for one in shown for place in (one.place, *(also.place for also in one.also))]
        runs = {(place.start, place.end) for place in places}
        spans = {(f.code, f.subject): f.primary.span for f in run(text).findings if f.code.startswith("VER")}
        told = {key for key, span in spans.items() if (span.start, span.end) in runs}
        cut = tuple(f"{verdict.scene} / " for verdict in design.verification.verdicts if verdict.cut)
        told |= {
            key for key in spans if key[1].startswith(cut)
        }  # a scene that has grown beyond the limit of short runs
        missing += [
            f"{profile}: {key}"
            for key, severity in lenient.items()
            if strict.get(key, 0) < severity and key not in told
        ]
    return missing


@usual
@given(plans())
def test_a_stricter_profile_finds_no_less(plan: Plan):
    assert weaker(plan.text()) == []


@pytest.mark.parametrize("path", DESIGNS, ids=lambda path: path.stem)
def test_a_stricter_profile_finds_no_less_in_a_system(path: Path):
    assert weaker(path.read_text(encoding="utf-8")) == []
