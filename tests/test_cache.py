"""The result cache: a run where nothing changed says the same at no cost, and whatever changed is seen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from project import CLEAN, MISSPELT, UNHEARD, UNRESOLVED, Program, process, read, write

from coordlint import cache


@pytest.fixture
def folder(here: Path, cache_folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch) -> Path:
    """A cache of its own, with the parse tables of the session."""
    own = tmp_path_factory.mktemp("own")
    if not list(cache_folder.glob("grammar-*")):
        process("check", "-", input=CLEAN)
    for file in cache_folder.glob("grammar-*"):
        os.link(file, own / file.name)
    monkeypatch.setenv("COORDLINT_CACHE_DIR", str(own))
    return own


class Runs:
    """Runs of the program that tell whether they checked anything."""

    def __init__(self, program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
        self.program = program
        self.checked = 0
        from coordlint import run

        check = run.run

        def counting(*args: object, **more: object) -> object:
            self.checked += 1
            return check(*args, **more)  # type: ignore[arg-type]

        monkeypatch.setattr(run, "run", counting)

    def __call__(self, *args: str) -> tuple[bool, list[str]]:
        """Whether the run came from the cache, and the codes of its findings."""
        before = self.checked
        said = self.program.check(*args)
        return self.checked == before, said.codes


@pytest.fixture
def runs(coordlint: Program, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    return Runs(coordlint, monkeypatch)


COLD, WARM = False, True

# ------------------------------------------------------------------------------------------------ what a warm run costs


LOADED = """
import sys
from coordlint.cli import run
code = run(sys.argv[1:])
print(sorted(name for name in sys.modules if name.split(".")[0] in ("lark", "networkx", "jinja2")), file=sys.stderr)
print(sorted(name for name in sys.modules if name.startswith("coordlint.")), file=sys.stderr)
sys.exit(code)
"""


def loaded(*args: str) -> tuple[int, str, list[str], list[str]]:
    """Exit code, standard output, heavy libraries and own modules of a run in a process of its own."""
    done = subprocess.run([sys.executable, "-c", LOADED, *args], capture_output=True, text=True, check=False)
    *_, heavy, own = done.stderr.splitlines()
    return done.returncode, done.stdout, eval(heavy), eval(own)


@pytest.mark.parametrize("text", [CLEAN, MISSPELT])
@pytest.mark.parametrize("format", ["full", "json", "sarif"])
def test_a_warm_run_neither_parses_nor_imports_the_model(folder: Path, text: str, format: str):
    write("a.coord", text)
    cold = loaded("check", "--format", format)
    warm = loaded("check", "--format", format)
    assert warm[:2] == cold[:2]
    assert "coordlint.parse" in cold[3]
    assert warm[2] == []
    for module in ("parse", "system", "design", "graph", "check", "rule", "run", "config"):
        assert f"coordlint.{module}" not in warm[3]


def test_even_a_cold_run_does_not_import_lark_when_the_tables_are_there(folder: Path):
    write("a.coord", CLEAN)
    assert "lark" not in loaded("check")[2]


def test_a_warm_run_says_the_same_everywhere(coordlint: Program, runs: Runs):
    write("coordlint-baseline.json", '{"version": 1, "findings": {}}')
    write("a.coord", UNHEARD)
    args = ("check", "--format", "sarif", "--output", "out.sarif", "--baseline", "coordlint-baseline.json", "--fail-on", "warning")  # fmt: skip
    cold = coordlint(*args)
    report = read("out.sarif")
    Path("out.sarif").unlink()
    warm = coordlint(*args)
    assert runs.checked == 1
    assert warm == cold
    assert cold.code == 1
    assert "1 new" in warm.err
    assert read("out.sarif") == report


# ------------------------------------------------------------------------------------------------ every input counts


def change(text: str) -> Callable[[], object]:
    return lambda: write("a.coord", text)


def accept() -> None:
    process("baseline", "--update", "--file", "known.json")


@pytest.mark.parametrize(
    ("files", "args", "happens", "codes"),
    [
        pytest.param({}, [], change(UNRESOLVED), ["REF001"], id="edited design"),
        pytest.param({}, ["a.coord"], change(UNRESOLVED), ["REF001"], id="edited design by name"),
        pytest.param(
            {"a.coord": 'include "p/b.coord"', "p/b.coord": CLEAN},
            ["a.coord"],
            lambda: write("p/b.coord", UNRESOLVED),
            ["REF001"],
            id="edited include",
        ),
        pytest.param(
            {"a.coord": 'include "later.coord"\n' + CLEAN},
            [],
            lambda: write("later.coord", "system Shop\n"),
            [],
            id="a missing include appears",
        ),
        pytest.param(
            {"a.coord": 'include "b.coord"', "b.coord": CLEAN},
            ["a.coord"],
            lambda: Path("b.coord").unlink(),
            ["SYN002"],
            id="an include disappears",
        ),
        pytest.param({}, [], lambda: write("b.coord", UNRESOLVED), ["REF001"], id="new design in the folder"),
        pytest.param({}, ["."], lambda: write("sub/b.coord", UNRESOLVED), ["REF001"], id="new design below the folder"),
        pytest.param(
            {"coordlint.toml": ""}, [], lambda: write("b.coord", UNRESOLVED), ["REF001"], id="new design, configured"
        ),
        pytest.param(
            {"coordlint.toml": "designs = ['d']", "d/a.coord": CLEAN},
            [],
            lambda: write("d/b.coord", UNRESOLVED),
            ["REF001"],
            id="new design in a configured folder",
        ),
        pytest.param(
            {"a.coord": UNHEARD},
            [],
            lambda: write("coordlint.toml", "ignore = ['EVT201']"),
            [],
            id="configuration created",
        ),
        pytest.param(
            {"a.coord": UNHEARD},
            [],
            lambda: write("../coordlint.toml", "ignore = ['EVT201']"),
            [],
            id="configuration created above",
        ),
        pytest.param(
            {"a.coord": UNHEARD},
            [],
            lambda: write("pyproject.toml", "[tool.coordlint]\nignore = ['EVT201']"),
            [],
            id="project configured",
        ),
        pytest.param(
            {"a.coord": UNHEARD, "coordlint.toml": "extend = 'base.toml'", "base.toml": ""},
            [],
            lambda: write("base.toml", "ignore = ['EVT201']"),
            [],
            id="extended configuration changed",
        ),
        pytest.param(
            {"a.coord": UNHEARD, "my.toml": ""},
            ["--config", "my.toml"],
            lambda: write("my.toml", "ignore = ['EVT201']"),
            [],
            id="named configuration changed",
        ),
        pytest.param(
            {"sub/a.coord": UNHEARD},
            ["sub"],
            lambda: write("sub/coordlint.toml", "exclude = ['*']\n[[per-path]]\npaths=['**']\nignore=['EVT']"),
            None,
            id="nothing left to check",
        ),
        pytest.param(
            {"a.coord": UNHEARD, "known.json": '{"version": 1, "findings": {}}'},
            ["--baseline", "known.json"],
            accept,
            [],
            id="baseline changed",
        ),
    ],
)  # fmt: skip
def test_every_input_counts(here: Path, runs: Runs, monkeypatch, files, args, happens, codes):
    write("inner/a.coord", CLEAN)
    monkeypatch.chdir("inner")
    for name, text in files.items():
        write(name, text)
    if "d/a.coord" in files or "sub/a.coord" in files:
        Path("a.coord").unlink()
    first = runs(*args)
    assert first[0] is COLD
    assert runs(*args) == (WARM, first[1])
    happens()
    if codes is None:
        assert "no `.coord` file below" in runs.program.complaint("check", *args)
        return
    after = runs(*args)
    assert after[0] is COLD
    assert after[1] == codes
    assert after[1] != first[1]
    assert runs(*args) == (WARM, codes)


def test_a_changed_rule_counts(runs: Runs, monkeypatch: pytest.MonkeyPatch):
    write("a.coord", CLEAN)
    assert runs() == (COLD, [])
    assert runs() == (WARM, [])
    program = cache._program()
    name, size, time = program[-1]
    monkeypatch.setattr(cache, "_program", lambda: (*program[:-1], (name, size, time + 1)))
    assert runs() == (COLD, [])


def test_the_files_of_the_program_count_rules_and_grammar_among_them():
    names = {name for name, _, _ in cache._program()}
    assert {"evt201_event_never_consumed.py", "coord.lark", "check.py"} <= names


def test_colours_and_options_count(coordlint: Program, runs: Runs, monkeypatch: pytest.MonkeyPatch):
    write("a.coord", UNHEARD)
    assert "\x1b[" not in coordlint("check").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in coordlint("check").out
    assert "\x1b[" not in coordlint("check", "--color", "never").out
    assert coordlint("check", "--profile", "strict").code == 1
    assert coordlint("check", "--exit-zero", "--profile", "strict").code == 0
    assert runs.checked == 5


def test_the_day_counts(runs: Runs, monkeypatch: pytest.MonkeyPatch):
    write("a.coord", UNHEARD.replace("emits OrderPlaced }", "emits OrderPlaced } # coordlint: ignore[EVT201] until 2026-05-28: why"))  # fmt: skip
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1780000000")
    assert runs() == (COLD, [])
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(1780000000 + 86400))
    assert runs() == (COLD, ["EVT201", "HYG953"])


def test_a_file_that_changes_while_it_is_checked_is_checked_again(coordlint: Program, folder: Path, monkeypatch):
    from coordlint import run

    check = run.run

    def slow(*args: object) -> object:
        outcome = check(*args)  # type: ignore[arg-type]
        write("a.coord", UNRESOLVED)
        return outcome

    write("a.coord", CLEAN)
    with monkeypatch.context() as patch:
        patch.setattr(run, "run", slow)
        assert coordlint.check().codes == []
    assert coordlint.check().codes == ["REF001"]


def test_a_design_that_appears_while_others_are_checked_is_seen(coordlint: Program, folder: Path, monkeypatch):
    from coordlint import run

    check = run.run

    def slow(*args: object) -> object:
        outcome = check(*args)  # type: ignore[arg-type]
        write("b.coord", UNRESOLVED)
        return outcome

    write("a.coord", CLEAN)
    with monkeypatch.context() as patch:
        patch.setattr(run, "run", slow)
        assert coordlint.check().codes == []
    assert coordlint.check().codes == ["REF001"]


@pytest.mark.parametrize("args", [["--no-cache"], ["--diff"], ["--fix"], ["--show-files"]])
def test_what_is_never_remembered(coordlint: Program, folder: Path, args: list[str]):
    write("a.coord", CLEAN)
    coordlint("check", *args)
    assert not (folder / "results").exists()


def test_a_run_that_could_not_be_done_is_not_remembered(coordlint: Program, folder: Path):
    coordlint.complaint("check")
    write("a.coord", CLEAN)
    coordlint.complaint("check", "--output", "no/such/folder.txt")
    assert not (folder / "results").exists()


# ------------------------------------------------------------------------------------------------ damage


def entries(folder: Path) -> Iterator[Path]:
    return (folder / "results").iterdir()


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data[:40],
        lambda data: b"\0" * len(data),
        lambda data: data[:100] + bytes([data[100] ^ 1]) + data[101:],
        lambda data: b"<html>not found</html>",
        lambda data: cache.sealed(b"of another program"),
        lambda data: cache.sealed(b""),
    ],
)
def test_a_damaged_entry_is_made_anew_without_a_word(coordlint: Program, runs: Runs, folder: Path, damage):
    write("a.coord", UNHEARD)
    first = coordlint.check()
    [entry] = entries(folder)
    good = entry.read_bytes()
    entry.write_bytes(damage(good))
    assert coordlint.check() == first
    assert runs.checked == 2
    assert entry.read_bytes()[:32] == cache.sealed(entry.read_bytes()[32:])[:32]
    assert coordlint.check() == first
    assert runs.checked == 2


def test_damaged_tables_are_made_anew_without_a_word(coordlint: Program, folder: Path):
    [tables] = folder.glob("grammar-*")
    good = tables.read_bytes()
    tables.unlink()
    write("a.coord", CLEAN)
    for damage in (good[:-1], good[:50] + bytes([good[50] ^ 1]) + good[51:]):
        tables.write_bytes(damage)
        done = process("check", "--no-cache")
        assert (done.returncode, done.stderr) == (0, "")
        assert cache.unsealed(tables.read_bytes()) is not None
        assert "lark" not in loaded("check", "--no-cache")[2]


@pytest.mark.parametrize("kind", ["file", "below a file", "folder in the way"])
def test_a_cache_that_cannot_be_written_is_no_reason_to_complain(coordlint: Program, monkeypatch, kind: str):
    write("a.coord", UNHEARD)
    write("file", "")
    place = {"file": "file", "below a file": "file/cache", "folder in the way": "cache"}[kind]
    if kind == "folder in the way":
        write("cache/results", "no folder")
    monkeypatch.setenv("COORDLINT_CACHE_DIR", os.path.abspath(place))
    for _ in range(2):
        said = coordlint.check()
        assert (said.code, said.codes, said.err) == (0, ["EVT201"], "")


def test_the_cache_can_be_switched_off(coordlint: Program, monkeypatch):
    monkeypatch.setenv("COORDLINT_CACHE_DIR", "")
    monkeypatch.setenv("XDG_CACHE_HOME", os.path.abspath("xdg"))
    write("a.coord", CLEAN)
    assert coordlint("check").code == 0
    assert os.listdir() == ["a.coord"]
    monkeypatch.delenv("COORDLINT_CACHE_DIR")
    assert coordlint("check").code == 0
    assert os.listdir("xdg/coordlint/results")


def test_old_entries_go(coordlint: Program, folder: Path, monkeypatch):
    monkeypatch.setattr(cache, "KEPT", 3)
    write("a.coord", CLEAN)
    for number in range(6):
        coordlint("check", "--ignore", f"EVT20{number + 1}")
    assert len(list(entries(folder))) == 3


def test_runs_side_by_side_do_not_hurt_each_other(folder: Path):
    for number in range(3):
        write(f"{number}.coord", UNHEARD)
    calls = [
        subprocess.Popen(
            [sys.executable, "-m", "coordlint", "check", f"{number % 3}.coord", "--format", "json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(6)
    ]
    for number, call in enumerate(calls):
        out, err = call.communicate()
        assert (call.returncode, err) == (0, "")
        assert json.loads(out)["sources"] == [f"{number % 3}.coord"]
    assert all(not file.name.startswith(".") for file in entries(folder))
    for number in range(3):
        assert process("check", f"{number}.coord").returncode == 0


def test_the_tests_leave_the_cache_of_the_user_alone(cache_folder: Path):
    assert os.environ["COORDLINT_CACHE_DIR"] == str(cache_folder)
    assert cache.folder() == str(cache_folder)
