"""Sources and spans: positions, lines, decoding, and text that would break a terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordlint.source import LONGEST_LINE, Source, SourceError, Span, decode_source, printable, read_source


def test_positions_count_lines_and_columns_from_one():
    source = Source("a.coord", "event A\n  event B\n")
    assert source.position(0) == (1, 1)
    assert source.position(7) == (1, 8)
    assert source.position(8) == (2, 1)
    assert source.position(10) == (2, 3)
    assert source.position(len(source.text)) == (3, 1)
    assert source.line_count == 3
    assert [source.line(number) for number in (1, 2, 3)] == ["event A", "  event B", ""]


def test_line_ends_of_windows_belong_to_no_line():
    source = Source("a.coord", "one\r\ntwo\r\n\r\nthree")
    assert [source.line(number) for number in range(1, 5)] == ["one", "two", "", "three"]
    assert source.position(source.text.index("three")) == (4, 1)


def test_there_is_no_line_outside_the_text():
    source = Source("a.coord", "one\n")
    with pytest.raises(IndexError):
        source.line(0)
    with pytest.raises(IndexError):
        source.line(3)


@given(st.text(alphabet="ab\n\r\t é"), st.data())
def test_position_and_offset_are_inverse(text, data):
    source = Source("a.coord", text)
    offset = data.draw(st.integers(0, len(text)))
    line, column = source.position(offset)
    assert line == text.count("\n", 0, offset) + 1
    start, end = source.line_bounds(line)
    assert source.offset(line, column) == min(offset, end)
    assert source.line(line) == text[start:end]
    assert "\n" not in source.line(line)


def test_spans_know_their_text_and_join():
    source = Source("a.coord", "event A\nevent B")
    first, second = Span(source, 6, 7), Span(source, 14, 15)
    both = second.to(first)
    assert (first.text, second.text) == ("A", "B")
    assert both.text == "A\nevent B"
    assert (both.line, both.column, both.end_line, both.end_column) == (1, 7, 2, 8)


def test_no_span_reaches_into_another_file():
    with pytest.raises(ValueError, match=r"a\.coord to b\.coord"):
        Source("a.coord", "x").span().to(Source("b.coord", "x").span())


def test_the_same_file_read_twice_is_two_sources():
    assert Source("a.coord", "x") != Source("a.coord", "x")
    assert len({Source("a.coord", "x"), Source("a.coord", "x")}) == 2


def test_a_byte_order_mark_is_no_text():
    source = decode_source(b"\xef\xbb\xbfevent A", "a.coord")
    assert source.text == "event A"
    assert source.bom
    assert not source.problems


def test_bytes_that_are_not_utf8_are_a_problem_at_their_place():
    source = decode_source("é".encode() + b"vent \xff A", "a.coord")
    assert source.problems == ((6, "byte 0xff is not UTF-8, save the file as UTF-8"),)
    assert source.text[6] == "\N{REPLACEMENT CHARACTER}"


def test_utf16_is_named_as_such():
    source = decode_source("event A".encode("utf-16"), "a.coord")
    assert source.text == "event A"
    assert source.problems == ((0, "the file is UTF-16, save it as UTF-8"),)


def test_a_nul_is_kept_and_reported():
    source = decode_source(b"event\0A", "a.coord")
    assert source.text == "event\0A"
    assert [offset for offset, _ in source.problems] == [5]


def test_an_endless_line_is_reported_at_its_start():
    text = "short\n" + "x" * (LONGEST_LINE + 1) + "\n"
    assert [offset for offset, _ in decode_source(text.encode(), "a.coord").problems] == [6]
    assert not decode_source(("x" * LONGEST_LINE + "\n" * 10).encode(), "a.coord").problems


@given(st.binary())
def test_no_bytes_break_reading(data):
    source = decode_source(data, "a.coord")
    assert all(0 <= offset <= len(source.text) for offset, _ in source.problems)


def test_files_are_read_under_the_name_the_user_knows(tmp_path: Path):
    (tmp_path / "a.coord").write_bytes(b"event A\r\n")
    source = read_source(tmp_path / "a.coord", "designs/a.coord")
    assert (source.path, source.text) == ("designs/a.coord", "event A\r\n")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("missing.coord", "no such file or directory"), ("folder", "it is a folder"), ("a\0b", "this is not a path")],
)
def test_an_unreadable_file_says_why_in_one_sentence(tmp_path: Path, name: str, reason: str):
    (tmp_path / "folder").mkdir()
    with pytest.raises(SourceError, match=reason) as failure:
        read_source(str(tmp_path / name), name)
    assert "\n" not in str(failure.value)
    assert "\0" not in str(failure.value)


@given(st.text() | st.text(alphabet=st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp"])))
def test_printable_text_moves_nothing_on_the_screen(text):
    shown = printable(text)
    shown.encode("utf-8")
    assert all(char.isprintable() or char in "\u200c\u200d\u00a0\u3000" for char in shown)


def test_printable_escapes_by_code():
    assert printable("a\x1b[31m\u202eb\ud800é日") == "a\\x1b[31m\\u202eb\\ud800é日"
