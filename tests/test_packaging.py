"""The package: its folders, its data, and an installed wheel at work."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAPPED = {"grammar": "coordlint.grammar", "rules": "coordlint.rules", "coordlint": "coordlint"}


def test_the_list_of_packages_is_that_of_the_folders():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = [
        ".".join((package, *path.parent.relative_to(ROOT / folder).parts))
        for folder, package in MAPPED.items()
        for path in (ROOT / folder).rglob("__init__.py")
    ]
    assert listed == sorted(folders)


def test_every_folder_with_code_is_a_package():
    for folder in MAPPED:
        for path in (ROOT / folder).rglob("*.py"):
            assert (path.parent / "__init__.py").exists(), f"{path.parent} has no __init__.py"


def test_the_ci_runs_what_the_readme_says():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    (command,) = re.findall(r"&& \.venv/bin/(python -m pytest[^\n]*)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert f"\n{command}\n" in script
    assert os.access(ROOT / ".ci/run", os.X_OK)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that the checkout stays clean."""
    folder = tmp_path_factory.mktemp("build")
    copy = folder / "copy"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    for name in MAPPED:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment with the wheel; it borrows the libraries of this one but not this checkout."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False)
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    [site] = folder.rglob("site-packages")
    command = [sys.executable, "-m", "pip", "--python", str(scripts / "python"), "install", "--no-deps", str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return scripts / "coordlint"


@pytest.mark.slow
def test_the_wheel_holds_code_and_data_and_nothing_else(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0] for name in names} == {"coordlint", wheel.name.split("-py3")[0] + ".dist-info"}
    for folder, package in MAPPED.items():
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".lark", ".jinja", ".typed") or path.name == "result.schema.json":
                inside = "/".join((*package.split("."), *path.relative_to(ROOT / folder).parts))
                assert inside in names


@pytest.mark.slow
def test_the_installed_program_works_from_another_folder(installed: Path, tmp_path: Path):
    (tmp_path / "shop.coord").write_text('service Orders { replicas 0 }\ninclude "missing.coord"\n')
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(installed), *args], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    done = run("check", "--format", "json")
    assert (done.returncode, done.stderr) == (1, "")
    data = json.loads(done.stdout)
    assert sorted(finding["code"] for finding in data["findings"]) == ["REF003", "SYN002"]
    assert run("explain", "REF001").returncode == 0
    where = [str(installed.with_name("python")), "-c", "import coordlint; print(coordlint.__file__)"]
    place = subprocess.run(where, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout
    assert installed.parent.parent in Path(place).parents
