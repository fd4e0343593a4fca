"""The examples in every rule's documentation are its tests.

In a *Bad* design, a comment with the rule's code at the end of a line asserts a finding of the rule whose primary label starts
on that line, and no rule may find anything else. A *Good* design is clean. Where a finding carries a fix, fixing *Bad*
gives one of the *Good* designs.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

from coordlint.check import Result, check, select_rules
from coordlint.design import load
from coordlint.explore.verify import Settings
from coordlint.finding import Finding
from coordlint.rule import Entry, Example, document, index
from coordlint.rule import load as load_rule

MARKER = re.compile(r"[ \t]*#[ \t]*([A-Z]{3}\d{3})[ \t]*$", re.MULTILINE)
REQUIRED = ("Why", "Bad", "Good")
SECTIONS = ("Why", "Bad", "Good", "Exempt", "Options", "References")


class Case(NamedTuple):
    """One example of one rule."""

    entry: Entry
    example: Example
    number: int

    def __str__(self) -> str:
        return f"{self.entry.code}-{self.number}"


ENTRIES = index()
BAD = [Case(entry, example, n) for entry in ENTRIES for n, example in enumerate(document(entry).bad, start=1)]
GOOD = [Case(entry, example, n) for entry in ENTRIES for n, example in enumerate(document(entry).good, start=1)]

each_rule = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.code)
each_bad = pytest.mark.parametrize("case", BAD, ids=str)
each_good = pytest.mark.parametrize("case", GOOD, ids=str)


def test_there_are_rules():
    assert ENTRIES


@each_rule
def test_the_documentation_is_complete(entry: Entry):
    doc = document(entry)
    titles = [title for title, _ in doc.sections]
    assert doc.summary.endswith("."), "the first line is one sentence"
    assert len(doc.summary) <= 140
    assert [title for title in REQUIRED if title not in titles] == []
    assert titles == [title for title in SECTIONS if title in titles], "sections stand in this order, each once"
    assert all(body for _, body in doc.sections)
    assert doc.bad, "Bad has a ```coord block"
    assert doc.good, "Good has a ```coord block"


@each_rule
def test_the_file_is_named_after_the_rule(entry: Entry):
    assert entry.path.stem == f"{entry.code.lower()}_{entry.name.replace('-', '_')}"


@each_rule
def test_options_are_documented(entry: Entry):
    options = load_rule(entry).options
    text = document(entry).options
    assert bool(options) == bool(text)
    assert [name for name in options if f"`{name}`" not in text] == []


def test_codes_and_names_are_unique():
    for words in ([entry.code for entry in ENTRIES], [entry.name for entry in ENTRIES]):
        assert [word for word, times in Counter(words).items() if times > 1] == []


def test_a_group_of_codes_has_one_folder():
    folders = {(entry.code[:3], entry.group) for entry in ENTRIES}
    assert len(folders) == len({letters for letters, _ in folders})


@each_bad
def test_a_bad_design_is_found_at_the_marked_lines_and_nothing_else(case: Case, tmp_path: Path):
    expected = Counter(
        (text.count("\n", 0, found.start()) + 1, found[1])
        for text in [case.example.text]
        for found in MARKER.finditer(text)
    )
    assert {code for _, code in expected} == {case.entry.code}
    found = Counter(
        (finding.primary.span.line, finding.code) for finding in run(case.example, tmp_path, case.entry.code).findings
    )
    assert found == expected


@each_good
def test_a_good_design_is_clean(case: Case, tmp_path: Path):
    findings = run(case.example, tmp_path, case.entry.code).findings
    assert [f"{finding.primary.span.line}: {finding.code} {finding.message}" for finding in findings] == []


@each_bad
def test_fixing_a_bad_design_gives_a_good_one(case: Case, tmp_path: Path):
    findings = [finding for finding in run(case.example, tmp_path, case.entry.code).findings if finding.fix]
    if findings:
        good = [example.text for example in document(case.entry).good]
        assert MARKER.sub("", fixed(case.example.text, findings)) in good


@each_bad
def test_a_finding_reads_as_the_house_style_wants(case: Case, tmp_path: Path):
    for finding in run(case.example, tmp_path, case.entry.code).findings:
        for text in (finding.message, finding.help, *(label.text for label in finding.related), finding.primary.text):
            assert not text.endswith((".", "!")), text
            assert "\n" not in text
            assert text == text.strip()
            assert text.count("`") % 2 == 0, text
            first = text.split(" ")[0]
            assert not (first[:1].isupper() and first[1:].islower()), f"lower case: {text}"
        assert finding.message
        # A syntax error says what was expected; more help would repeat it.
        assert finding.help or finding.code == "SYN001", "a finding says what to do"


def run(example: Example, folder: Path, codes: str = "") -> Result:
    path = folder / "example.coord"
    path.write_text(example.text, encoding="utf-8")
    if "VER" in codes:
        # What a run shows is judged alone: the static rules have examples of their own.
        design = load(str(path), profile=example.profile)
        design.verify = Settings()
        result = check(design, select_rules(select=["VER"], profile=example.profile))
    else:
        result = check(load(str(path), profile=example.profile))
    assert result.crashes == ()
    return result


def fixed(text: str, findings: list[Finding]) -> str:
    """The text after all the edits of the findings, which may not overlap."""
    edits = sorted(
        {edit for finding in findings if finding.fix for edit in finding.fix.edits}, key=lambda e: e.span.start
    )
    parts, done = [], 0
    for edit in edits:
        assert edit.span.start >= done, "edits overlap"
        parts += [text[done : edit.span.start], edit.text]
        done = edit.span.end
    return "".join((*parts, text[done:]))
