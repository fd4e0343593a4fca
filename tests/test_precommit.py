"""The hooks for pre-commit, used as a user would: from a clone of this repository, in a project of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from project import CLEAN, MISSPELT, read, write

ROOT = Path(__file__).parent.parent
PARTS = ("pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml", "coordlint", "grammar", "rules")
HOOKS = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def test_the_hooks_name_commands_that_exist():
    assert {hook["id"]: hook["entry"] for hook in HOOKS} == {
        "coordlint": "coordlint check",
        "coordlint-fmt": "coordlint fmt",
    }


def test_the_check_runs_once_for_the_whole_project():
    hook = HOOKS[0]
    assert hook["pass_filenames"] is False
    assert hook["require_serial"] is True


def git(*args: str, cwd: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    identity = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", *identity, *args], cwd=cwd, capture_output=True, text=True, check=check)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with what this one holds now, whether it is committed or not."""
    folder = tmp_path_factory.mktemp("clone")
    for name in PARTS:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder / name)
    git("init", "--quiet", cwd=folder)
    git("add", "--all", cwd=folder)
    git("commit", "--quiet", "--message", "all", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pre-commit keeps the environments it makes."""
    return tmp_path_factory.mktemp("home")


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def project(here: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A git repository in the current folder; returns what runs a command of pre-commit in it."""
    monkeypatch.setenv("PRE_COMMIT_HOME", str(home))
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    git("init", "--quiet", cwd=here)

    def pre_commit(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "pre_commit", *args], capture_output=True, text=True, check=False)

    return pre_commit


@needs_git
@pytest.mark.slow
def test_a_bad_design_blocks_the_commit_and_a_good_one_passes(here: Path, clone: Path, project: Run):
    revision = git("rev-parse", "HEAD", cwd=clone).stdout.strip()
    hooks = {"repos": [{"repo": str(clone), "rev": revision, "hooks": [{"id": hook["id"]} for hook in HOOKS]}]}
    write(".pre-commit-config.yaml", yaml.safe_dump(hooks))
    done = project("install")
    assert done.returncode == 0, done.stdout + done.stderr

    write("design.coord", MISSPELT)
    git("add", "--all", cwd=here)
    bad = git("commit", "--message", "bad", cwd=here, check=False)
    said = bad.stdout + bad.stderr
    assert bad.returncode != 0, said
    assert "error[EVT202 event-never-published]" in said
    assert git("rev-parse", "HEAD", cwd=here, check=False).returncode != 0

    write("design.coord", CLEAN)
    git("add", "--all", cwd=here)
    good = git("commit", "--message", "good", cwd=here, check=False)
    assert good.returncode == 0, good.stdout + good.stderr
    assert (good.stdout + good.stderr).count("Passed") == 2

    # What is about no design does not run the hook.
    write("notes.txt", "x")
    git("add", "--all", cwd=here)
    other = git("commit", "--message", "other", cwd=here)
    assert (other.stdout + other.stderr).count("Skipped") == 2


@needs_git
@pytest.mark.slow
def test_the_hooks_can_be_tried(here: Path, clone: Path, project: Run):
    untidy = CLEAN.replace("service Orders { handles", "service Orders{handles")
    write("design.coord", untidy)
    git("add", "--all", cwd=here)
    tried = project("try-repo", str(clone), "--all-files")
    assert tried.returncode == 1, tried.stdout + tried.stderr
    results = dict(re.findall(r"(?m)^(coordlint(?: fmt)?)\.+(Passed|Failed)$", tried.stdout))
    assert results == {"coordlint": "Passed", "coordlint fmt": "Failed"}
    assert "files were modified by this hook" in tried.stdout
    assert read("design.coord") == CLEAN
