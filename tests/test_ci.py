"""The texts for CI in the README: they parse, and their commands do what they promise."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from project import CLEAN, MISSPELT, read, write
from test_formats import checked_github, checked_gitlab, checked_junit, checked_sarif

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHAPTER = README.partition("\n## In CI and before a commit\n")[2].partition("\n## ")[0]
SNIPPETS = dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", CHAPTER, re.DOTALL))


def snippet(name: str) -> Any:
    return yaml.safe_load(SNIPPETS[name])


def commands(lines: list[str]) -> list[str]:
    """The calls of coordlint among the lines of a job."""
    found = [line.strip() for text in lines for line in text.splitlines() if line.strip().startswith("coordlint ")]
    assert found
    return found


def call(command: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a line of a job in a shell, with this checkout as the program."""
    line = re.sub(r"^coordlint\b", lambda _: f'"{sys.executable}" -m coordlint', command)
    return subprocess.run(line, shell=True, capture_output=True, text=True, check=False, env={**os.environ, **env})


def test_the_chapter_has_a_text_for_each_place():
    assert set(SNIPPETS) == {".github/workflows/coordlint.yml", ".gitlab-ci.yml", ".pre-commit-config.yaml"}
    assert CHAPTER.count("```yaml") == len(SNIPPETS)


@pytest.mark.parametrize(("text", "code", "findings"), [(CLEAN, 0, 0), (MISSPELT, 1, 1)])
def test_the_workflow_for_github(here: Path, text: str, code: int, findings: int):
    write("design.coord", text)
    steps = snippet(".github/workflows/coordlint.yml")["jobs"]["coordlint"]["steps"]
    [command] = commands([step["run"] for step in steps if "run" in step])
    done = call(command, GITHUB_STEP_SUMMARY=str(here / "summary.md"))
    assert (done.returncode, done.stderr) == (code, "")
    assert len(checked_github(done.stdout)) == findings
    [upload] = [step["with"]["sarif_file"] for step in steps if "upload-sarif" in step.get("uses", "")]
    assert len(checked_sarif(read(upload))["runs"][0]["results"]) == findings
    assert read("summary.md").startswith("## coordlint\n")


@pytest.mark.parametrize(("text", "code", "findings"), [(CLEAN, 0, 0), (MISSPELT, 1, 1)])
def test_the_job_for_gitlab(here: Path, text: str, code: int, findings: int):
    write("design.coord", text)
    job = snippet(".gitlab-ci.yml")["coordlint"]
    [command] = commands(job["script"])
    done = call(command)
    assert (done.returncode, done.stderr) == (code, "")
    reports = job["artifacts"]["reports"]
    assert len(checked_gitlab(read(reports["codequality"]))) == findings
    assert checked_junit(read(reports["junit"])).get("failures") == str(findings)


def test_the_configuration_for_precommit(here: Path):
    [repository] = snippet(".pre-commit-config.yaml")["repos"]
    hooks = {hook["id"]: hook for hook in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))}
    assert [hook["id"] for hook in repository["hooks"]] == list(hooks)
    write("design.coord", MISSPELT)
    assert call(hooks["coordlint"]["entry"]).returncode == 1
    assert call(hooks["coordlint-fmt"]["entry"] + " design.coord").returncode == 0
    write("design.coord", CLEAN)
    assert call(hooks["coordlint"]["entry"]).returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="there is no /dev/null")
def test_a_report_may_go_to_what_is_no_file(here: Path):
    write("design.coord", CLEAN)
    os.mkfifo("pipe")
    reader = subprocess.Popen(["cat", "pipe"], stdout=subprocess.PIPE, text=True)
    assert call("coordlint check --format json --output pipe").returncode == 0
    assert json.loads(reader.communicate(timeout=20)[0])["findings"] == []
    assert call("coordlint check --format json --output /dev/null").returncode == 0
    assert not Path("/dev/null").is_file()
