"""The command `fmt`: what it writes where, and its exit codes."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from coordlint.cli import run

GOOD = "service A { replicas 2 }\n"
UGLY = "service A{replicas 2}"
BROKEN = "service A {\n  replicas two\n}\n"
WHY = "expected a count such as `3` after `replicas`, found `two`"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def files(here: Path) -> Path:
    (here / "sub").mkdir()
    (here / "good.coord").write_text(GOOD)
    (here / "sub" / "ugly.coord").write_text(UGLY)
    (here / "other.txt").write_text(UGLY)
    return here


def standard_input(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_it_formats_every_design_below_the_current_folder(files: Path, capfdbinary):
    assert run(["fmt"]) == 0
    assert (files / "sub" / "ugly.coord").read_text() == GOOD
    assert (files / "other.txt").read_text() == UGLY
    out, err = capfdbinary.readouterr()
    assert out == b""
    assert err == b"coordlint: formatted 1 file, 1 unchanged\n"


def test_an_included_file_is_formatted_too(files: Path):
    (files / "good.coord").write_text('include "sub/ugly.coord"\n')
    assert run(["fmt", "."]) == 0
    assert (files / "sub" / "ugly.coord").read_text() == GOOD


def test_files_are_formatted_whatever_they_are_called(files: Path):
    assert run(["fmt", "other.txt", "good.coord", "other.txt"]) == 0
    assert (files / "other.txt").read_text() == GOOD
    assert (files / "sub" / "ugly.coord").read_text() == UGLY


def test_a_formatted_file_is_not_written(files: Path):
    os.utime("good.coord", (0, 0))
    assert run(["fmt", "good.coord"]) == 0
    assert os.stat("good.coord").st_mtime == 0


def test_excluded_files_are_left_out(files: Path, capsys):
    (files / "coordlint.toml").write_text('exclude = ["sub/**"]\n')
    assert run(["fmt"]) == 0
    assert (files / "sub" / "ugly.coord").read_text() == UGLY
    assert capsys.readouterr().err == "coordlint: formatted 0 files, 1 unchanged\n"


def test_check_changes_nothing(files: Path, capfdbinary):
    assert run(["fmt", "--check", "good.coord"]) == 0
    assert capfdbinary.readouterr() == (b"", b"coordlint: 0 files would be formatted, 1 unchanged\n")
    assert run(["fmt", "--check"]) == 1
    out, err = capfdbinary.readouterr()
    assert out == b""
    name = os.path.join("sub", "ugly.coord")
    assert err.decode() == f"coordlint: would format {name}\ncoordlint: 1 file would be formatted, 1 unchanged\n"
    assert (files / "sub" / "ugly.coord").read_text() == UGLY


def test_the_diff_can_be_applied(files: Path, capfdbinary):
    before = b"\xef\xbb\xbfservice A{replicas 2}\r\n\r\n\r\nservice B{replicas 2}"
    Path("dos.coord").write_bytes(before)
    assert run(["fmt", "--diff", "dos.coord", "sub/ugly.coord", "good.coord"]) == 1
    out, err = capfdbinary.readouterr()
    assert err == b"coordlint: 2 files would be formatted, 1 unchanged\n"
    assert out.startswith(b"--- dos.coord\n+++ dos.coord\n@@ -1,4 +1,3 @@\n-\xef\xbb\xbfservice A{replicas 2}\r\n")
    assert b"\\ No newline at end of file\n" in out
    assert Path("dos.coord").read_bytes() == before
    subprocess.run(["git", "apply", "-p0", "--whitespace=nowarn"], input=out, check=True)
    expected = b"\xef\xbb\xbfservice A { replicas 2 }\r\n\r\nservice B { replicas 2 }\r\n"
    assert Path("dos.coord").read_bytes() == expected
    assert Path("sub/ugly.coord").read_text() == GOOD


def test_line_ends_byte_order_mark_and_permissions_are_kept(here: Path):
    Path("dos.coord").write_bytes(b"\xef\xbb\xbfservice A{\r\nreplicas 2}")
    os.chmod("dos.coord", 0o640)
    assert run(["fmt", "dos.coord"]) == 0
    assert Path("dos.coord").read_bytes() == b"\xef\xbb\xbfservice A {\r\n  replicas 2\r\n}\r\n"
    assert os.stat("dos.coord").st_mode & 0o777 == 0o640
    assert os.listdir(here) == ["dos.coord"], "no scratch file is left"


def test_a_link_stays_a_link(files: Path):
    os.symlink("sub/ugly.coord", "link.coord")
    assert run(["fmt", "link.coord"]) == 0
    assert os.path.islink("link.coord")
    assert (files / "sub" / "ugly.coord").read_text() == GOOD


def test_a_file_with_a_syntax_error_is_left_and_the_others_are_formatted(files: Path, capsys):
    Path("broken.coord").write_text(BROKEN)
    assert run(["fmt"]) == 2
    assert Path("broken.coord").read_text() == BROKEN
    assert (files / "sub" / "ugly.coord").read_text() == GOOD
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [
        f"coordlint: broken.coord:2:12: {WHY}",
        "coordlint: formatted 1 file, 1 unchanged, 1 left as it is",
    ]


@pytest.mark.parametrize("option", ["--check", "--diff"])
def test_a_syntax_error_outweighs_what_would_change(files: Path, option: str):
    Path("broken.coord").write_text(BROKEN)
    assert run(["fmt", option]) == 2


def test_a_file_that_cannot_be_written_is_reported(files: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert run(["fmt", "sub/ugly.coord"]) == 2
    assert (files / "sub" / "ugly.coord").read_text() == UGLY
    assert capsys.readouterr().err.splitlines()[0] == (
        f"coordlint: cannot write `{os.path.join('sub', 'ugly.coord')}`: permission denied"
    )


def test_a_path_that_is_not_there_is_reported_before_anything_is_done(files: Path, capsys):
    assert run(["fmt", "sub", "nowhere.coord"]) == 2
    assert (files / "sub" / "ugly.coord").read_text() == UGLY
    assert capsys.readouterr().err == "coordlint: cannot read `nowhere.coord`: no such file or folder\n"


def test_a_folder_without_designs_is_reported(here: Path, capsys):
    assert run(["fmt"]) == 2
    assert "no `.coord` file below `.`" in capsys.readouterr().err


def test_standard_input(capfdbinary, monkeypatch: pytest.MonkeyPatch):
    standard_input(monkeypatch, b'\xef\xbb\xbfservice A{note "\xc3\xa9"}\r\n')
    assert run(["fmt", "-"]) == 0
    assert capfdbinary.readouterr() == (b'\xef\xbb\xbfservice A { note "\xc3\xa9" }\r\n', b"")


@pytest.mark.parametrize(("data", "code"), [(GOOD, 0), (UGLY, 1)])
def test_check_of_standard_input_says_it_with_the_exit_code(data: str, code: int, capfdbinary, monkeypatch):
    standard_input(monkeypatch, data.encode())
    assert run(["fmt", "--check", "-"]) == code
    assert capfdbinary.readouterr() == (b"", b"")


def test_diff_of_standard_input(capfdbinary, monkeypatch: pytest.MonkeyPatch):
    standard_input(monkeypatch, UGLY.encode() + b"\n")
    assert run(["fmt", "--diff", "-", "--stdin-filename", "shop.coord"]) == 1
    out, _ = capfdbinary.readouterr()
    assert out.decode() == f"--- shop.coord\n+++ shop.coord\n@@ -1 +1 @@\n-{UGLY}\n+{GOOD}"


def test_a_syntax_error_in_standard_input(capfdbinary, monkeypatch: pytest.MonkeyPatch):
    standard_input(monkeypatch, BROKEN.encode())
    assert run(["fmt", "-", "--stdin-filename", "shop.coord"]) == 2
    out, err = capfdbinary.readouterr()
    assert out == b""
    assert err.decode() == f"coordlint: shop.coord:2:12: {WHY}\n"


def test_the_line_length_can_be_chosen(files: Path):
    Path("wide.coord").write_text(f'service A {{ note "{"x" * 50}" }}\n')
    assert run(["fmt", "--check", "wide.coord"]) == 0
    assert run(["fmt", "--check", "--line-length", "60", "wide.coord"]) == 1


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["-", "a.coord"], "must be the only path"),
        (["a.coord", "--stdin-filename", "b.coord"], "give `-` as the path"),
        (["--line-length", "3"], "--line-length"),
    ],
)
def test_options_that_make_no_sense(args: list[str], message: str, capsys):
    assert run(["fmt", *args]) == 2
    assert message in capsys.readouterr().err
