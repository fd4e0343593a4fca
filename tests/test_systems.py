"""The ten public systems: their true defects are found and what only looks like one is left alone."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from coordlint.cli import run as coordlint

ROOT = Path(__file__).parent.parent


def _module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("systems", Path(__file__).parent / "systems.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


systems = _module()
PATHS = systems.expectations()


def test_all_ten_systems_are_there() -> None:
    assert len({path.parent for path in PATHS}) == 10


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name.removesuffix(".expect.toml"))
def test_nothing_clean_is_accused(path: Path) -> None:
    outcome = systems.judge(path)
    assert not [f"{clean['fact']} <- {systems._line(finding)}" for clean, finding in outcome.accused]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name.removesuffix(".expect.toml"))
def test_every_reason_is_given(path: Path) -> None:
    outcome = systems.judge(path)
    assert not [defect["id"] for defect in outcome.undetectable if not defect.get("reason")]
    assert not [f for f in outcome.findings if f.code.startswith(("REF", "SYN"))]


def test_recall_is_at_least_nine_in_ten() -> None:
    outcomes = [systems.judge(path) for path in PATHS]
    found = sum(len(one.found) for one in outcomes)
    missed = [f"{one.name} {defect['id']} {defect['codes']}" for one in outcomes for defect in one.missed]
    assert found >= 0.9 * (found + len(missed)), "\n".join(missed)


def test_the_readme_shows_the_table() -> None:
    table = "\n".join(systems.table([systems.judge(path) for path in PATHS]))
    assert table in (ROOT / "README.md").read_text(encoding="utf-8"), "run python tests/systems.py and paste its table"


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name.removesuffix(".expect.toml"))
def test_every_defect_of_behaviour_has_a_run(path: Path) -> None:
    outcome = systems.verify(path)
    assert not [f"{defect['id']} {defect.get('verified')}" for defect in outcome.missed]
    assert not [key for key, finding in outcome.found.items() if finding.run is None or not finding.run.steps]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name.removesuffix(".expect.toml"))
def test_no_run_accuses_what_is_clean(path: Path) -> None:
    outcome = systems.verify(path)
    assert not [f"{clean['fact']} <- {systems._line(finding)}" for clean, finding in outcome.accused]


def test_the_readme_shows_the_table_of_the_runs() -> None:
    table = "\n".join(systems.verified_table([systems.verify(path) for path in PATHS]))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert table in text, "run python tests/systems.py --verified and paste its table"


def test_the_readme_shows_a_finding_as_it_is(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    coordlint(["check", "fixtures/systems/ftgo/ftgo.coord", "--select", "MIX405", "--no-cache"])
    finding = capfd.readouterr().out.partition("\n\n")[0]
    assert f"```\n{finding}\n```" in (ROOT / "README.md").read_text(encoding="utf-8")
