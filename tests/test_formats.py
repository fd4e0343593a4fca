"""The formats for machines against their schemas or documentation, and every format with hostile names."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
import xmlschema
from hypothesis import given
from project import CLEAN, MISSPELT, UNHEARD, UNRESOLVED, Program, read, write
from test_reports import FINDINGS, RULES, SHOP, everything, finding, hostile_findings, result

from coordlint.check import Hidden, Result
from coordlint.finding import Finding, Fix, Label, Severity
from coordlint.report import FORMATS, render
from coordlint.source import Edit, Source, Span

HERE = Path(__file__).parent
JUNIT = xmlschema.XMLSchema(HERE / "data/junit-10.xsd")
RESULT = json.loads((HERE.parent / "coordlint/schema/result.schema.json").read_text(encoding="utf-8"))
SARIF = json.loads((HERE / "data/sarif-2.1.0-rtm.5.json").read_text(encoding="utf-8"))
CATEGORIES = {"Bug Risk", "Clarity", "Compatibility", "Complexity", "Duplication", "Performance", "Security", "Style"}
"""Those of the Code Climate format."""


def checked_junit(text: str) -> ElementTree.Element:
    JUNIT.validate(text)
    return ElementTree.fromstring(text.encode())


def checked_checkstyle(text: str) -> ElementTree.Element:
    """The report if it is of the form that Checkstyle's own XMLLogger writes."""
    root = ElementTree.fromstring(text.encode())
    assert (root.tag, set(root.attrib)) == ("checkstyle", {"version"})
    for file in root:
        assert (file.tag, set(file.attrib)) == ("file", {"name"})
        for error in file:
            assert (error.tag, len(error)) == ("error", 0)
            assert set(error.attrib) == {"line", "column", "severity", "message", "source"}
            assert error.attrib["severity"] in ("error", "warning", "info", "ignore")
            assert int(error.attrib["line"]) >= 1
            assert int(error.attrib["column"]) >= 1
    return root


def checked_gitlab(text: str) -> list[dict[str, Any]]:
    """The report if it is as GitLab's documentation and the Code Climate specification want it."""
    issues: list[dict[str, Any]] = json.loads(text)
    for issue in issues:
        assert issue["type"] == "issue"
        for key in ("description", "check_name", "fingerprint"):
            assert isinstance(issue[key], str)
        assert "\n" not in issue["description"]
        assert set(issue["categories"]) <= CATEGORIES
        assert issue["categories"]
        assert issue["severity"] in ("info", "minor", "major", "critical", "blocker")
        assert not issue["location"]["path"].startswith("./")
        lines = issue["location"]["lines"]
        assert 1 <= lines["begin"] <= lines["end"]
    return issues


COMMAND = re.compile(r"::(error|warning|notice) ([^\n]*?)::([^\n]*)\n")


def checked_github(text: str) -> list[tuple[str, dict[str, str], str]]:
    """The commands as GitHub's runner takes them apart: kind, properties, message."""
    assert COMMAND.sub("", text) == ""
    found = []
    for kind, properties, message in COMMAND.findall(text):
        pairs = dict(pair.split("=", 1) for pair in properties.split(","))
        assert set(pairs) <= {"file", "line", "endLine", "col", "endColumn", "title"}
        assert not re.search(r"[:,\r\n]", "".join(pairs.values()))
        found.append((kind, {key: unescaped(value) for key, value in pairs.items()}, unescaped(message)))
    return found


def unescaped(text: str) -> str:
    for code, char in (("%0A", "\n"), ("%0D", "\r"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, char)
    return text


def checked_json(text: str) -> Any:
    data = json.loads(text)
    jsonschema.validate(data, RESULT)
    return data


def checked_sarif(text: str) -> Any:
    data = json.loads(text)
    jsonschema.validate(data, SARIF)
    return data


CHECKED = {
    "json": checked_json,
    "sarif": checked_sarif,
    "junit": checked_junit,
    "github": checked_github,
    "gitlab": checked_gitlab,
    "checkstyle": checked_checkstyle,
}
each_machine_format = pytest.mark.parametrize("format", CHECKED)


@each_machine_format
@pytest.mark.parametrize("run", [everything(), result(), Result((), RULES, (SHOP,), profile="minimal", compared=True)])
def test_a_report_is_as_its_readers_expect(format: str, run: Result):
    CHECKED[format](render(run, format))


def test_junit_counts_rules_as_tests():
    several = [*list(FINDINGS.values())[:3], finding(FINDINGS["tabs"].primary, severity=Severity.ERROR, code="SYN001")]
    root = checked_junit(render(result(*several), "junit"))
    [suite] = root
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "2", "0")
    cases = {case.get("name"): case for case in suite}
    failure = cases["REF001 unresolved-reference"].find("failure")
    assert failure is not None
    assert failure.get("message") == "event `OrderPlaced` is published but never consumed (and 1 more)"
    assert "designs/shop.coord:1:7: event `OrderPlaced`" in (failure.text or "")
    assert cases["REF001 unresolved-reference"].find("system-out") is not None
    assert len(cases["REF002 duplicate-or-wrong-kind"]) == 0


def test_junit_tells_a_failed_rule_from_a_failed_design():
    root = checked_junit(render(everything(), "junit"))
    error = root.find("testsuite/testcase/error")
    assert error is not None
    assert (error.get("type"), root.get("errors")) == ("KeyError", "1")


def test_github_points_at_the_place():
    [(kind, place, message)] = checked_github(render(result(FINDINGS["everything"]), "github"))
    assert kind == "warning"
    assert place == {
        "file": "designs/shop.coord",
        "line": "1",
        "endLine": "1",
        "col": "7",
        "endColumn": "18",
        "title": "REF001 unresolved-reference",
    }
    assert message == "event `OrderPlaced` is published but never consumed\nhelp: consume it, or stop publishing it"
    [(_, place, _)] = checked_github(render(result(FINDINGS["several-lines"]), "github"))
    assert "col" not in place


def test_gitlab_knows_a_finding_by_its_fingerprint_and_severity():
    issues = checked_gitlab(render(everything(), "gitlab"))
    assert {issue["fingerprint"] for issue in issues} == {"0" * 32}
    assert [issue["severity"] for issue in issues[:2]] == ["major", "info"]
    assert issues[0]["location"] == {"path": "designs/shop.coord", "lines": {"begin": 1, "end": 1}}


def test_gitlab_fingerprints_are_unique(coordlint: Program):
    write("b.coord", UNRESOLVED)
    write("a.coord", 'include "b.coord"\n' + "".join(f"service S{n} {{ uses Nowhere }}\n" for n in range(3)))
    write("c.coord", 'include "b.coord"\n')
    issues = checked_gitlab(coordlint("check", "--format", "gitlab").out)
    assert len(issues) >= 4
    assert len({issue["fingerprint"] for issue in issues}) == len(issues)


def test_checkstyle_lists_clean_files_too(coordlint: Program):
    write("a.coord", CLEAN)
    write("b.coord", UNHEARD)
    root = checked_checkstyle(coordlint("check", "--format", "checkstyle").out)
    assert [(file.get("name"), len(file)) for file in root] == [("a.coord", 0), ("b.coord", 1)]
    assert root[1][0].get("source") == "coordlint.events.EVT201"


# ------------------------------------------------------------------------------------------------ what is written where


def test_all_formats_in_one_run(coordlint: Program):
    write("a.coord", MISSPELT)
    pairs = [word for format in FORMATS[1:] for word in ("--format", format, "--output", f"out.{format}")]
    said = coordlint("check", *pairs, "--format", "full")
    assert said.code == 1
    assert said.out.startswith("error[EVT202")
    assert said.err == ""
    for format in FORMATS[1:]:
        assert read(f"out.{format}") == coordlint("check", "--format", format).out
    for format, checked in CHECKED.items():
        checked(read(f"out.{format}"))


@each_machine_format
def test_standard_output_is_for_the_machine_alone(coordlint: Program, format: str):
    write("a.coord", UNRESOLVED)
    write("known.json", '{"version": 1, "findings": {"x": {"code": "EVT201", "path": "a.coord", "message": "m"}}}')
    said = coordlint("check", "--format", format, "--baseline", "known.json", "--color", "always")
    CHECKED[format](said.out)
    assert "1 of 1 gone" in said.err
    said = coordlint("check", "--format", format, "--fix")
    CHECKED[format](said.out)
    assert "applied 1 fix" in said.err
    assert "\x1b" not in said.out


def test_statistics_go_with_text_only(coordlint: Program):
    write("a.coord", UNHEARD)
    assert coordlint("check", "--statistics").out == "1  warning  EVT201 event-never-consumed\n"
    for format in CHECKED:
        assert "--statistics goes with" in coordlint.complaint("check", "--statistics", "--format", format)


@pytest.mark.parametrize("format", ["full", "concise", "markdown"])
def test_the_summary_announces_the_fixes(format: str):
    span = Span(SHOP, 0, 5)
    fixes = [Fix("x", (Edit(span, ""),), safe=safe) for safe in (True, True, False)]
    some = [finding(Label(span), fix=fix) for fix in fixes]
    assert ". 2 fixable with --fix, 1 more with --fix --unsafe-fixes\n" in render(result(*some), format)
    assert ". 2 fixable with --fix\n" in render(result(*some[:2]), format)
    assert ". 1 fixable with --fix --unsafe-fixes\n" in render(result(some[2]), format)
    assert "fixable" not in render(result(FINDINGS["tabs"]), format)


# ------------------------------------------------------------------------------------------------ hostile names

HOSTILE = (
    "\x00\x07\x1b[31m\r\n\t<script>&amp;\"']]>--></td>|`*_[x](y)::set-output::%0A,:\u202e\u2066\ufffe\ud800\u2028日é"
)
"""Control characters, markup of all kinds, commands, bidirectional overrides, what is no character, a lone surrogate."""


def hostile() -> Result:
    source = Source(f"designs/{HOSTILE}.coord", f"event A {HOSTILE}\nevent B")
    label = Label(Span(source, 0, 12), HOSTILE)
    one = finding(
        label,
        label,
        message=HOSTILE,
        help=HOSTILE,
        notes=(HOSTILE,),
        silence=HOSTILE,
        subject=HOSTILE,
        fix=Fix(HOSTILE, (Edit(label.span, HOSTILE),), safe=True),
    )
    hidden = (Hidden(one, "ignored", HOSTILE), Hidden(one, "in the baseline"))
    return Result((one, one), RULES, (source,), hidden=hidden)


@each_machine_format
def test_hostile_names_break_no_format(format: str):
    text = render(hostile(), format)
    text.encode("utf-8")
    CHECKED[format](text)


def test_hostile_names_arrive_in_json():
    data = json.loads(render(hostile(), "json"))
    said = HOSTILE.replace("\ud800", "\\ud800")  # many readers of JSON refuse a lone surrogate, even an escaped one
    assert data["findings"][0]["message"] == said
    assert data["hidden"][0]["reason"] == said
    assert data["sources"] == [f"designs/{said}.coord"]


def test_hostile_names_are_no_commands_for_github():
    assert len(checked_github(render(hostile(), "github"))) == 2


@pytest.mark.parametrize("format", ["full", "concise", "markdown", "github", "junit", "checkstyle"])
def test_hostile_names_move_nothing_on_a_screen(format: str):
    text = render(hostile(), format)
    assert all(char.isprintable() or char in "\n\u00a0\u3000" for char in text)


def test_hostile_names_stay_in_their_cells():
    text = render(hostile(), "markdown")
    rows = [line for line in text.splitlines() if line.startswith("| ⚠️")]
    assert len(rows) == 2
    for row in rows:
        assert len(re.findall(r"(?<!\\)\|", row)) == 4
    outside = re.sub(r"(?<!\\)(`+)(?:(?!\1).)*\1", "", text)
    assert "<script" not in outside
    assert set(re.findall(r"<[^>]*>", outside)) <= {"<br>", "<details>", "<summary>", "</summary>", "</details>"}


@given(hostile_findings())
def test_whatever_a_design_says_no_machine_format_breaks(one: Finding):
    run = result(one, hidden=(Hidden(one, "ignored", one.message),))
    for format in ("junit", "github", "gitlab", "checkstyle"):
        CHECKED[format](render(run, format))


def test_a_hostile_file_on_disk(coordlint: Program):
    write(
        "a\n<b>.coord",
        'system Shop "<script>\u202e"\nservice A { uses "\x1b[31m" }\n# coordlint: ignore[<x>] \u202e|\n',
    )
    for format, checked in CHECKED.items():
        said = coordlint("check", "--format", format)
        assert said.code == 1
        checked(said.out)
    for format in ("full", "concise", "markdown"):
        out = coordlint("check", "--format", format).out
        assert "\x1b" not in out
        assert "\u202e" not in out
    assert "a\\x0a<b>.coord" in coordlint("check", "--format", "concise").out
