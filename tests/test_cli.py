"""The command line: options, exit codes, and what it writes where."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coordlint import __version__
from coordlint.cli import run, wants_color
from coordlint.rule import Rule

CLEAN = (
    "external service Shopper { calls Orders.Ask }\nquery Ask\nservice Orders { replicas 3  handles Ask succeeds }\n"
)
BROKEN = CLEAN.replace("3", "three")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("FORCE_COLOR", "NO_COLOR", "COORDLINT_TRACEBACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def clean() -> str:
    Path("clean.coord").write_text(CLEAN)
    return "clean.coord"


@pytest.fixture
def broken() -> str:
    Path("broken.coord").write_text(BROKEN)
    return "broken.coord"


def complaint(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """What a run that cannot be done says: one line on standard error, exit code 2, nothing on standard output."""
    assert run(args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("coordlint: ")
    assert err.count("\n") == 1
    return err.removeprefix("coordlint: ").rstrip("\n")


# ------------------------------------------------------------------------------------------------ exit codes


def test_a_clean_design_exits_with_0(clean, capsys):
    assert run(["check", clean]) == 0
    assert "clean.coord: no findings" in capsys.readouterr().out


def test_an_error_exits_with_1(broken, capsys):
    assert run(["check", broken]) == 1
    assert "error[SYN001 syntax-error]" in capsys.readouterr().out


def test_exit_zero_is_for_those_who_only_look(broken):
    assert run(["check", broken, "--exit-zero"]) == 0


@pytest.mark.parametrize(
    ("level", "profile", "fail_on", "code"),
    [
        ("error", "default", None, 1),
        ("warning", "default", None, 0),
        ("warning", "strict", None, 1),
        ("warning", "production", None, 1),
        ("info", "strict", None, 0),
        ("warning", "default", "warning", 1),
        ("hint", "default", "hint", 1),
        ("warning", "strict", "error", 0),
        ("off", "strict", "hint", 0),
    ],
)
def test_the_threshold_follows_the_profile_unless_it_is_given(broken, level, profile, fail_on, code):
    options = ["--profile", profile, "--severity", f"SYN001={level}", *(["--fail-on", fail_on] if fail_on else [])]
    assert run(["check", broken, *options]) == code


def test_a_file_that_cannot_be_read_exits_with_2(capsys):
    assert complaint(capsys, "check", "missing.coord") == "cannot read `missing.coord`: no such file or folder"
    assert "no `.coord` file below `.`" in complaint(capsys, "check")


@pytest.mark.parametrize(
    ("args", "remedy"),
    [
        (["chekc"], "Did you mean 'check'?"),
        (["check", "--fromat", "json"], "Did you mean '--format'?"),
        (["check", "--format", "yaml"], "'full', 'concise', 'json', 'sarif'"),
        (["check", "--select", "REF01"], "there is no rule `REF01`: did you mean `REF001`"),
        (["check", "--ignore", "syntax-eror"], "did you mean `syntax-error`?"),
        (["check", "--severity", "REF001"], "RULE=LEVEL with one of error, warning, info, hint and off, not `REF001`"),
        (["check", "--severity", "REF001=bad"], "not `REF001=bad`"),
        (["check", "--format", "json", "--format", "sarif"], "give the others an --output each"),
        (["check", "--statistics", "--format", "json"], "--statistics goes with --format full or concise"),
        (["check", "-", "a.coord"], "must be the only path"),
        (["check", "--stdin-filename", "a.coord"], "give `-` as the path"),
        (["explain", "REF01"], "did you mean `REF001`"),
        (["explain"], "missing argument 'RULE' (see `coordlint explain --help`)"),
        (["rules", "XYZ"], "there is no rule `XYZ`"),
    ],
)
def test_a_usage_error_is_one_sentence_that_names_the_remedy(clean, capsys, args, remedy):
    assert remedy in complaint(capsys, *args)


def test_without_a_command_there_is_help(capsys):
    assert run([]) == 2
    assert "Commands:" in capsys.readouterr().err


def test_the_version(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"coordlint {__version__}\n"


# ------------------------------------------------------------------------------------------------ crashes


@pytest.fixture
def crashing_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(self: Rule, design: object) -> object:
        raise KeyError("orders")

    from coordlint.rule import find, load

    rule = load(find("REF001"))
    monkeypatch.setitem(rule.__dict__, "check", lambda design: check(rule, design))


def test_a_rule_that_fails_exits_with_2_and_hides_no_finding(broken, crashing_rule, capsys):
    assert run(["check", broken]) == 2
    out, err = capsys.readouterr()
    assert "error[SYN001" in out
    assert "1 failed" in out
    assert err.startswith("coordlint: rule REF001 failed (KeyError: 'orders'), the others ran: please report it")
    assert "Traceback" not in err


def test_the_traceback_is_there_for_a_report(broken, crashing_rule, capsys, monkeypatch):
    monkeypatch.setenv("COORDLINT_TRACEBACK", "1")
    assert run(["check", broken]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_any_other_crash_asks_for_a_report_too(clean, capsys, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise RecursionError("too deep")

    monkeypatch.setattr("coordlint.run.load", fail)
    assert "failed (RecursionError: too deep): please report it" in complaint(capsys, "check", clean)
    monkeypatch.setenv("COORDLINT_TRACEBACK", "1")
    with pytest.raises(RecursionError):
        run(["check", clean])


# ------------------------------------------------------------------------------------------------ paths and input


def test_the_current_folder_is_the_default(clean, broken, capsys):
    assert run(["check", "--format", "concise"]) == 1
    out = capsys.readouterr().out
    assert "broken.coord:3:27: error[SYN001 syntax-error]" in out
    assert "2 files: 1 error" in out


def test_a_path_below_the_current_folder_is_shown_relative_to_it(broken, here, capsys):
    run(["check", str(here / broken), "--format", "concise"])
    assert capsys.readouterr().out.startswith("broken.coord:3:")


def feed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_standard_input_has_a_name(monkeypatch, capsys):
    feed(monkeypatch, BROKEN.encode())
    assert run(["check", "-", "--stdin-filename", "designs/new.coord", "--format", "concise"]) == 1
    assert capsys.readouterr().out.startswith("designs/new.coord:3:27: error[SYN001")


def test_standard_input_without_a_name(monkeypatch, capsys):
    feed(monkeypatch, b"\xff\n")
    assert run(["check", "-", "--format", "concise"]) == 1
    assert "<stdin>:1:1: error[SYN001 syntax-error] byte 0xff is not UTF-8" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------ selection and output


def test_selectors_may_be_lists(broken, capsys):
    assert run(["check", broken, "--ignore", "REF, SYN001"]) == 0
    assert "4 left out" in capsys.readouterr().out


def test_the_last_severity_of_a_rule_counts(broken):
    assert run(["check", broken, "--severity", "SYN001=hint,SYN=error", "--severity", "SYN001=info"]) == 0


def test_quiet_leaves_the_summary_out(clean, broken, capsys):
    assert run(["check", "--quiet", clean]) == 0
    assert capsys.readouterr().out == ""


def test_statistics_count(broken, capsys):
    assert run(["check", broken, "--statistics"]) == 1
    assert capsys.readouterr().out == "1  error    SYN001 syntax-error\n"


def test_one_run_writes_several_reports(broken, capsys):
    args = [
        "--format",
        "sarif",
        "--output",
        "out.sarif",
        "--format",
        "concise",
        "--format",
        "json",
        "--output",
        "out.json",
    ]
    assert run(["check", broken, *args]) == 1
    assert capsys.readouterr().out.startswith("broken.coord:3:27: error")
    assert json.loads(Path("out.sarif").read_text())["version"] == "2.1.0"
    assert json.loads(Path("out.json").read_text())["version"] == 1


@pytest.mark.parametrize("args", [["--output", "out", "--format", "json"], ["--format", "json", "--output", "out"]])
def test_one_format_and_one_output_belong_together_in_any_order(broken, capsys, args):
    assert run(["check", broken, *args]) == 1
    assert capsys.readouterr().out == ""
    assert json.loads(Path("out").read_text())["findings"]


def test_an_output_without_a_format_is_the_full_report(broken, capsys):
    assert run(["check", broken, "--output", "out.txt", "--format", "json", "--output", "-"]) == 1
    assert "error[SYN001" in Path("out.txt").read_text()
    assert json.loads(capsys.readouterr().out)


def test_a_report_that_cannot_be_written(broken, capsys):
    message = complaint(capsys, "check", broken, "--output", "no/such/folder.txt")
    assert message == "cannot write `no/such/folder.txt`: no such file or directory"


def test_a_terminal_without_the_characters_gets_escapes(monkeypatch, broken):
    Path("é.coord").write_text("service Ö { replicas drei }", encoding="utf-8")
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", stream)
    run(["check", "é.coord", "--format", "concise"])
    assert stream.buffer.getvalue().startswith(b"\\xe9.coord:1:")


# ------------------------------------------------------------------------------------------------ colour


@pytest.mark.parametrize(
    ("when", "environ", "terminal", "expected"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"TERM": "dumb"}, True, False),
        ("auto", {"FORCE_COLOR": "1", "NO_COLOR": "1", "TERM": "dumb"}, False, True),
        ("auto", {"FORCE_COLOR": "0"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {"FORCE_COLOR": "1"}, True, False),
    ],
)
def test_colour_is_decided_in_one_order(when, environ, terminal, expected):
    assert wants_color(when, environ, terminal) is expected


def test_colour_can_be_had_and_refused(broken, capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    run(["check", broken])
    assert "\x1b[1;31merror" in capsys.readouterr().out
    run(["check", broken, "--color", "never"])
    assert "\x1b" not in capsys.readouterr().out
    run(["check", broken, "--output", "out.txt"])
    assert "\x1b" not in Path("out.txt").read_text()


# ------------------------------------------------------------------------------------------------ the catalogue


def test_the_list_of_rules(capsys):
    assert run(["rules"]) == 0
    out = capsys.readouterr().out
    assert "  REF001  unresolved-reference " in out
    assert "model\n" in out


def test_the_list_of_rules_as_json(capsys):
    assert run(["rules", "REF", "syntax-error", "--format", "json"]) == 0
    codes = [rule["code"] for rule in json.loads(capsys.readouterr().out)["rules"]]
    assert codes == ["REF001", "REF002", "REF003", "SYN001"]


@pytest.mark.parametrize("name", ["REF002", "ref002", "duplicate-or-wrong-kind"])
def test_a_rule_is_explained_by_code_and_name(name, capsys, snapshot):
    assert run(["explain", name]) == 0
    snapshot("explain.txt", capsys.readouterr().out)


# ------------------------------------------------------------------------------------------------ as a process


def program(*args: str, **more: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "coordlint", *args], capture_output=True, text=True, **more)


def test_it_runs_as_a_module(broken):
    done = program("check", broken)
    assert done.returncode == 1
    assert "error[SYN001" in done.stdout
    assert done.stderr == ""


def test_it_reads_a_pipe():
    done = program("check", "-", input=CLEAN)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(os.name == "nt", reason="pipes break in another way on Windows")
def test_a_reader_that_goes_away_is_no_error(here):
    Path("many.coord").write_text("".join(f"service S{n} {{ replicas x }}\n" for n in range(400)))
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "coordlint", "check", "many.coord"], stdout=write, stderr=subprocess.PIPE, check=False
    )
    os.close(write)
    assert done.stderr == b""
    assert done.returncode == 1


def test_the_same_bytes_whatever_the_hash_seed(broken):
    outs = {
        program("check", ".", "--format", form, env={**os.environ, "PYTHONHASHSEED": seed}).stdout
        for seed in ("0", "1", "2")
        for form in ("sarif",)
    }
    assert len(outs) == 1
