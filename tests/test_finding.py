"""Findings as values: severities by profile, and fingerprints that survive edits."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coordlint.finding import Finding, Label, Severity, fingerprint, severity_in
from coordlint.source import Source, Span


def finding_in(text: str, word: str, path: str = "shop.coord", subject: str = "") -> Finding:
    source = Source(path, text)
    start = text.index(word)
    span = Span(source, start, start + len(word))
    return Finding(primary=Label(span), message="a fact", code="EVT201", subject=subject)


def test_severities_are_ordered():
    assert Severity.HINT < Severity.INFO < Severity.WARNING < Severity.ERROR
    assert [severity.label for severity in Severity] == ["hint", "info", "warning", "error"]


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ("W/W/E", [Severity.WARNING, Severity.WARNING, Severity.ERROR]),
        ("–/I/H", [None, Severity.INFO, Severity.HINT]),
        ("-/I/W", [None, Severity.INFO, Severity.WARNING]),
    ],
)
def test_a_triple_gives_one_severity_for_each_profile(levels, expected):
    assert [severity_in(levels, profile) for profile in ("default", "strict", "production")] == expected


@pytest.mark.parametrize(("levels", "profile"), [("W/W", "default"), ("W/X/E", "strict"), ("W/W/E", "lenient")])
def test_a_triple_that_makes_no_sense_is_refused(levels, profile):
    with pytest.raises(ValueError, match="`"):
        severity_in(levels, profile)


def test_a_fingerprint_survives_edits_elsewhere():
    before = finding_in("event OrderPlaced", "OrderPlaced")
    after = finding_in("# a new line\n\nevent   OrderPlaced { }", "OrderPlaced")
    assert fingerprint(before, 0) == fingerprint(after, 0)


def test_a_fingerprint_tells_rule_file_subject_and_ordinal_apart():
    finding = finding_in("event A", "A", subject="event A")
    others = [
        fingerprint(replace(finding, code="EVT202"), 0),
        fingerprint(finding_in("event A", "A", path="other.coord", subject="event A"), 0),
        fingerprint(finding_in("event A", "A", subject="event B"), 0),
        fingerprint(finding, 1),
    ]
    assert len({fingerprint(finding, 0), *others}) == 5


def test_a_fingerprint_does_not_depend_on_how_the_path_is_written():
    paths = ["designs/a.coord", "./designs/a.coord", "designs\\a.coord"]
    assert len({fingerprint(finding_in("event A", "A", path=path), 0) for path in paths}) == 1


def test_a_fingerprint_is_the_same_on_every_machine():
    finding = finding_in("event A", "A", subject="event A")
    assert fingerprint(finding, 0) == "72d8450f0b1d99e39e9b5309e738e31c"


def test_a_subject_may_hold_any_text():
    assert fingerprint(finding_in("event A", "A", subject="event \ud800"), 0)
