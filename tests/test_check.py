"""Running rules: selection, severities, order, fingerprints, crashes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from coordlint import check as engine
from coordlint.check import Hidden, Result, check, merge, select_rules
from coordlint.finding import Finding, Label, Severity
from coordlint.rule import Entry, Rule, UnknownRuleError
from coordlint.source import Source, Span

SOURCE = Source("shop.coord", "event A\nevent B\nevent C\n")
CATALOGUE = {
    "SYN001": ("syntax-error", "E/E/E"),
    "REF001": ("unresolved-reference", "E/E/E"),
    "EVT201": ("event-never-consumed", "W/W/E"),
    "EVT202": ("event-never-published", "E/E/E"),
    "EVT301": ("opinion", "–/I/W"),
    "HYG950": ("only-production", "–/–/W"),
}


def finding(word: str, message: str = "a fact", source: Source = SOURCE, **more) -> Finding:
    start = source.text.index(word)
    return Finding(primary=Label(Span(source, start, start + len(word))), message=message, **more)


@pytest.fixture
def checks(monkeypatch):
    """A catalogue of its own for the test: the checks by code, by default without findings."""
    checks = {code: lambda design: () for code in CATALOGUE}
    entries = tuple(
        Entry(code, name, "events", levels, "S", "A summary.", Path(code)) for code, (name, levels) in CATALOGUE.items()
    )
    loaded = {
        entry: Rule(
            entry.code, entry.name, "events", entry.levels, "S", lambda design, code=entry.code: checks[code](design)
        )
        for entry in entries
    }
    monkeypatch.setattr(engine, "index", lambda: entries)
    monkeypatch.setattr(engine, "load", loaded.__getitem__)
    return checks


def design(profile: str = "default"):
    return SimpleNamespace(profile=profile, sources=(SOURCE,), documents=())


def chosen(**arguments) -> list[str]:
    return [rule.code for rule, _ in select_rules(**arguments).rules]


ON = ["SYN001", "REF001", "EVT201", "EVT202"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, ON),
        ({"profile": "strict"}, [*ON, "EVT301"]),
        ({"profile": "production"}, list(CATALOGUE)),
        ({"select": ["EVT"]}, ON),
        ({"select": ["EVT201"]}, ["SYN001", "REF001", "EVT201"]),
        ({"select": ["event-never-published"]}, ["SYN001", "REF001", "EVT202"]),
        ({"select": ["evt202"]}, ["SYN001", "REF001", "EVT202"]),
        ({"ignore": ["EVT"]}, ["SYN001", "REF001"]),
        ({"ignore": ["EVT"], "select": ["ALL", "EVT201"]}, ["SYN001", "REF001", "EVT201"]),
        ({"ignore": ["EVT201"], "select": ["EVT"]}, ["SYN001", "REF001", "EVT202"]),
        ({"ignore": ["EVT201"], "select": ["EVT201"]}, ["SYN001", "REF001"]),
        ({"ignore": ["ALL"]}, ["SYN001", "REF001"]),
        ({"ignore": ["REF", "SYN001"], "select": ["EVT2"]}, ["EVT201", "EVT202"]),
        ({"select": ["ALL", "EVT301"]}, [*ON, "EVT301"]),
        ({"select": ["EVT3"]}, ["SYN001", "REF001"]),
        ({"select": ["ALL", "only-production"]}, [*ON, "HYG950"]),
        ({"severities": {"EVT301": Severity.ERROR}}, [*ON, "EVT301"]),
        ({"severities": {"EVT201": None}}, ["SYN001", "REF001", "EVT202"]),
    ],
)
def test_the_more_specific_selector_wins_then_ignore(checks, arguments, expected):
    assert chosen(**arguments) == expected


def test_what_did_not_run_is_counted(checks):
    selection = select_rules(ignore=["EVT201"])
    assert (selection.off, selection.deselected) == (2, 1)


@pytest.mark.parametrize("argument", ["select", "ignore", "severities"])
def test_an_unknown_selector_is_refused_with_the_nearest(checks, argument):
    value = {"EVT20": None, "EVT2001": None} if argument == "severities" else ["EVT20", "EVT2001"]
    with pytest.raises(UnknownRuleError, match="no rule `EVT2001`: did you mean `EVT201`"):
        select_rules(**{argument: value})


def test_findings_get_code_and_severity(checks):
    checks["EVT201"] = lambda design: [finding("A")]
    for profile, severity in (("default", Severity.WARNING), ("production", Severity.ERROR)):
        [found] = check(design(profile)).findings
        assert (found.code, found.severity) == ("EVT201", severity)


def test_levels_of_a_finding_win_over_those_of_the_rule(checks):
    checks["EVT201"] = lambda design: [finding("A", levels="I/E/–"), finding("B")]
    assert [found.severity for found in check(design()).findings] == [Severity.INFO, Severity.WARNING]
    result = check(design("production"))
    assert [found.severity for found in result.findings] == [Severity.ERROR]
    assert [(hidden.how, hidden.finding.primary.span.text) for hidden in result.hidden] == [("off", "A")]


def test_the_user_decides_last(checks):
    checks["EVT201"] = lambda design: [finding("A"), finding("B", levels="E/E/E")]
    selection = select_rules(severities={"ALL": Severity.INFO, "EVT": Severity.HINT})
    assert [found.severity for found in check(design(), selection).findings] == [Severity.HINT, Severity.HINT]


def test_a_rule_that_is_off_but_named_has_the_severity_of_the_next_profile(checks):
    checks["HYG950"] = lambda design: [finding("A")]
    assert not check(design()).findings
    [found] = check(design(), select_rules(select=["HYG950"])).findings
    assert found.severity == Severity.WARNING


def test_findings_are_sorted_by_place_code_and_message(checks):
    other = Source("a.coord", "event Z")
    checks["EVT202"] = lambda design: [finding("C"), finding("A", "z"), finding("A", "b")]
    checks["EVT201"] = lambda design: [finding("Z", source=other), finding("A", "x")]
    found = [
        (one.primary.span.source.path, one.primary.span.text, one.code, one.message) for one in check(design()).findings
    ]
    assert found == [
        ("a.coord", "Z", "EVT201", "a fact"),
        ("shop.coord", "A", "EVT201", "x"),
        ("shop.coord", "A", "EVT202", "b"),
        ("shop.coord", "A", "EVT202", "z"),
        ("shop.coord", "C", "EVT202", "a fact"),
    ]


def test_equal_findings_differ_by_ordinal_and_the_same_finding_counts_once(checks):
    checks["EVT201"] = lambda design: [
        finding("A", subject="event"),
        finding("B", subject="event"),
        finding("B", subject="event"),
    ]
    found = check(design()).findings
    assert [one.primary.span.text for one in found] == ["A", "B"]
    assert len({one.fingerprint for one in found}) == 2
    assert all(len(one.fingerprint) == 32 for one in found)


def test_a_rule_that_crashes_hides_nothing_of_the_others(checks):
    def crash(design):
        yield finding("A")
        raise KeyError("orders")

    checks["EVT201"] = crash
    checks["EVT202"] = lambda design: [finding("B")]
    result = check(design())
    assert [one.code for one in result.findings] == ["EVT201", "EVT202"]
    [failed] = result.crashes
    assert failed.rule.code == "EVT201"
    assert isinstance(failed.error, KeyError)


def test_a_result_counts_and_fails_by_severity():
    result = Result((finding("A", severity=Severity.WARNING), finding("B", severity=Severity.INFO)))
    assert list(result.counts.items()) == [
        (Severity.ERROR, 0),
        (Severity.WARNING, 1),
        (Severity.INFO, 1),
        (Severity.HINT, 0),
    ]
    assert result.fails(Severity.WARNING)
    assert not result.fails(Severity.ERROR)
    assert not Result().fails(Severity.HINT)


def test_designs_that_share_a_file_report_it_once(checks):
    checks["EVT201"] = lambda design: [finding("A", source=design.sources[-1])]
    shared = [Source("shared.coord", "event A") for _ in range(2)]
    results = [
        check(SimpleNamespace(profile="default", documents=(), sources=(Source(f"{n}.coord", ""), shared[n])))
        for n in range(2)
    ]
    merged = merge(results)
    assert len(merged.findings) == 1
    assert [source.path for source in merged.sources] == ["0.coord", "shared.coord", "1.coord"]
    assert merged.findings[0].fingerprint == results[0].findings[0].fingerprint


def test_merging_keeps_what_is_hidden():
    hidden = Hidden(finding("A"), "ignored", "known")
    merged = merge([Result(), replace(Result(), hidden=(hidden,))])
    assert merged.hidden == (hidden,)
    with pytest.raises(ValueError, match="nothing"):
        merge([])
