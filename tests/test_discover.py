"""Finding the designs of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordlint.discover import find_designs
from coordlint.source import SourceError


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: str, text: str = "") -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, encoding="utf-8")


def test_a_folder_stands_for_the_files_below_it():
    for path in ("b.coord", "a.coord", "deep/er/c.coord", "notes.txt", ".hidden/d.coord", "node_modules/e.coord"):
        write(path)
    assert find_designs(["."]) == ("a.coord", "b.coord", "deep/er/c.coord")
    assert find_designs(["deep", "deep/er"]) == ("deep/er/c.coord",)


def test_a_file_that_another_includes_is_no_design_of_its_own():
    write("shop.coord", 'include "parts/payments.coord" include "stock.coord"')
    write("parts/payments.coord", '  include "../common.coord"')
    write("stock.coord")
    write("common.coord")
    write("alone.coord")
    assert find_designs(["."]) == ("alone.coord", "shop.coord")
    assert find_designs([".", "parts"]) == ("alone.coord", "shop.coord")


def test_a_file_that_is_named_is_a_design_whoever_includes_it():
    write("shop.coord", 'include "stock.coord"')
    write("stock.coord")
    assert find_designs(["shop.coord", "stock.coord"]) == ("shop.coord", "stock.coord")
    assert find_designs([".", "stock.coord"]) == ("shop.coord", "stock.coord")


def test_a_file_is_checked_on_its_own_if_its_includer_is_not_given():
    write("shop.coord", 'include "stock.coord"')
    write("stock.coord")
    assert find_designs(["stock.coord"]) == ("stock.coord",)


def test_files_that_include_each_other_have_one_root():
    write("a.coord", 'include "b.coord"')
    write("b.coord", 'include "c.coord"')
    write("c.coord", 'include "b.coord"')
    write("x.coord", 'include "y.coord"')
    write("y.coord", 'include "x.coord"')
    write("self.coord", 'include "self.coord"')
    assert find_designs(["."]) == ("a.coord", "self.coord", "x.coord")


@pytest.mark.parametrize(
    "text",
    [
        '# include "b.coord"',
        '// include "b.coord"',
        'system S { note "include \\"b.coord\\"" }',
        'system S { note """\ninclude "b.coord"\n""" }',
        'system S { link "http://x" note "y" } # include "b.coord"',
    ],
)
def test_comments_and_strings_include_nothing(text: str):
    write("a.coord", text)
    write("b.coord")
    assert find_designs(["."]) == ("a.coord", "b.coord")


def test_a_string_with_a_comment_sign_hides_no_include():
    write("a.coord", 'system S { link "https://example.org/#top" }\ninclude\n"b.coord"')
    write("b.coord")
    assert find_designs(["."]) == ("a.coord",)


def test_a_link_to_a_design_is_the_same_design():
    write("a.coord")
    Path("z.coord").symlink_to("a.coord")
    assert find_designs(["."]) == ("a.coord",)


def test_a_path_that_does_not_exist_is_an_error():
    with pytest.raises(SourceError, match=r"`missing\.coord`: no such file or folder"):
        find_designs(["missing.coord"])


def test_a_run_without_a_design_is_an_error():
    write("notes.txt")
    with pytest.raises(SourceError, match=r"no `\.coord` file below `\.`"):
        find_designs(["."])


def test_an_unreadable_file_is_left_to_the_run(here: Path):
    write("a.coord")
    Path("b.coord").symlink_to("missing")
    assert find_designs(["."]) == ("a.coord", "b.coord")
