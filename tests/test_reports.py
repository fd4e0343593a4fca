"""Reports of hand-built findings: the text as the user sees it, JSON and SARIF against their schemas."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordlint.check import Crash, Hidden, Result
from coordlint.finding import Finding, Fix, Label, Severity
from coordlint.report import FORMATS, render
from coordlint.report.full import render_statistics
from coordlint.report.style import cell
from coordlint.rule import find, load
from coordlint.source import Edit, Source, Span

HERE = Path(__file__).parent
RULES = tuple(load(find(code)) for code in ("REF001", "REF002", "SYN001"))
SHOP = Source(
    "designs/shop.coord",
    """\
event OrderPlaced via orders

service Orders "Takes orders" {
  handles PlaceOrder {
\twrites OrdersDb.orders\temits OrderPlaced
    calls Päyments.日本語Charge { timeout 2s  attempts 3 }
    acts "e\u0301crit"
  }
  on "evil\x1b[31m\u202e" { }
}
service Billing { on OrderPayed { acts "bills" } }
event A event B event C
""",
)
PARTS = Source("designs/parts.coord", "# parts\n\nevent OrderPayed\n")


def at(source: Source, text: str, label: str = "", nth: int = 0) -> Label:
    start = -1
    for _ in range(nth + 1):
        start = source.text.index(text, start + 1)
    return Label(Span(source, start, start + len(text)), label)


def between(source: Source, first: str, last: str, label: str = "") -> Label:
    start = source.text.index(first)
    return Label(Span(source, start, source.text.index(last, start) + len(last)), label)


def finding(
    primary: Label, *related: Label, message: str = "event `A` is a fact of this design", **more: Any
) -> Finding:
    more = {"code": "REF001", "severity": Severity.WARNING, "fingerprint": "0" * 32, **more}
    return Finding(primary=primary, message=message, related=related, **more)


def result(*findings: Finding, **more: Any) -> Result:
    return Result(findings, RULES, (SHOP,), **more)


FINDINGS = {
    "everything": finding(
        at(SHOP, "OrderPlaced", "published here"),
        at(SHOP, "service Billing", "consumes `OrderPayed`, did you mean this one?"),
        at(PARTS, "OrderPayed", "declared here"),
        message="event `OrderPlaced` is published but never consumed",
        help="consume it, or stop publishing it",
        notes=("path: `Web` → `Orders`\nthen nowhere", "rate: 50/s"),
        silence="`terminal` on the event",
        fix=Fix("rename `OrderPayed` to `OrderPlaced`", (Edit(at(PARTS, "OrderPayed").span, "OrderPlaced"),)),
        subject="event OrderPlaced",
    ),
    "no-labels": finding(at(SHOP, "OrderPlaced"), severity=Severity.HINT),
    "safe-fix": finding(
        at(SHOP, "OrderPlaced"), fix=Fix("drop it", (Edit(at(SHOP, "OrderPlaced").span, ""),), safe=True)
    ),
    "tabs": finding(at(SHOP, "emits OrderPlaced", "after a tab"), at(SHOP, "writes", "before it")),
    "wide-characters": finding(
        at(SHOP, "Charge", "behind wide characters"), at(SHOP, "calls", "the call"), at(SHOP, "2s", "the limit")
    ),
    "combining-character": finding(at(SHOP, "crit", "behind a combining accent")),
    "overlapping": finding(
        at(SHOP, "event B", "the second"), at(SHOP, "event A event B event C", "all"), at(SHOP, "event C", "the third")
    ),
    "same-place": finding(at(SHOP, "event A", "one"), at(SHOP, "event A", "two"), at(SHOP, "event", "three", 3)),
    "several-lines": finding(between(SHOP, "handles", "\n  }", "the handler")),
    "folded": finding(between(SHOP, "service Orders", "\n}", "the service"), at(SHOP, "emits", "inside it")),
    "nested": finding(
        between(SHOP, "handles", "\n  }", "the handler"), between(SHOP, "service Orders", "\n}", "the service")
    ),
    "crossing": finding(
        between(SHOP, "event OrderPlaced", "PlaceOrder {", "first"), between(SHOP, "service Orders", "2s", "second")
    ),
    "hostile": finding(
        at(SHOP, '"evil\x1b[31m\u202e"', "label \x1b[0m\u2066"),
        message="`\x07` rings\nand breaks",
        help="\ud800 alone",
    ),
    "end-of-file": finding(Label(Span(SHOP, len(SHOP.text), len(SHOP.text)), "a declaration was expected here")),
    "far-apart": finding(at(SHOP, "OrderPlaced", "here"), at(SHOP, "event C", "and there"), at(SHOP, "Takes", "near")),
}


@pytest.mark.parametrize("name", FINDINGS)
def test_full_report(name: str, snapshot):
    snapshot(f"full/{name}.txt", render(result(FINDINGS[name]), "full"))


def test_full_report_in_colour(snapshot):
    snapshot("full/everything-colour.txt", render(result(FINDINGS["everything"]), "full", color=True))


def test_colour_changes_nothing_but_colour():
    for one in FINDINGS.values():
        colored = render(result(one), "full", color=True)
        assert re.sub(r"\x1b\[[\d;]*m", "", colored) == render(result(one), "full")


def test_concise_report(snapshot):
    snapshot("concise.txt", render(result(*FINDINGS.values()), "concise"))


def test_statistics(snapshot):
    several = [*list(FINDINGS.values())[:2], replace(FINDINGS["tabs"], code="SYN001", severity=Severity.ERROR)]
    snapshot("statistics.txt", render_statistics(result(*several)))
    assert render_statistics(result()) == f"no findings from {len(RULES)} rules\n"


@pytest.mark.parametrize(
    ("run", "line"),
    [
        (result(), "designs/shop.coord: no findings (5 rules ran)"),
        (
            result(off=1, deselected=2),
            "designs/shop.coord: no findings (5 rules ran, 1 is off in the default profile, 2 left out)",
        ),
        (
            result(
                *list(FINDINGS.values())[:2],
                hidden=(
                    Hidden(FINDINGS["tabs"], "ignored", "known"),
                    Hidden(FINDINGS["tabs"], "in the baseline"),
                    Hidden(FINDINGS["tabs"], "in the baseline"),
                    Hidden(FINDINGS["tabs"], "off"),
                ),
            ),
            "designs/shop.coord: 1 warning, 1 hint "
            "(1 ignored; 2 in the baseline; 1 finding is off in the default profile; 5 rules ran)",
        ),
        (replace(result(), sources=(SHOP, PARTS)), "2 files: no findings (5 rules ran)"),
    ],
)
def test_the_summary_says_what_is_not_shown(run: Result, line: str):
    run = replace(run, rules=RULES[:1] * 5)
    assert line in render(run, "full")
    assert line in render(run, "concise")
    assert line not in render(run, "full", quiet=True)


def test_a_long_line_is_clipped_around_the_label():
    source = Source("long.coord", "x" * 5000 + " OrderPlaced " + "y" * 5000)
    text = render(result(finding(at(source, "OrderPlaced", "here"))), "full")
    excerpt, marks = text.splitlines()[3:5]
    assert len(excerpt) < 140
    assert excerpt.startswith("1 | ...x")
    assert excerpt.endswith("y...")
    assert excerpt.index("OrderPlaced") == marks.index("^^^^^^^^^^^ here")


def test_a_label_longer_than_the_line_shown_ends_with_it():
    source = Source("long.coord", "x" * 5000)
    text = render(result(finding(Label(source.span(10, 4000), "all of it"))), "full")
    assert max(map(len, text.splitlines())) < 150


words = st.text(alphabet=st.characters(codec="utf-8") | st.sampled_from("\t\r\n \ud800\u202e日é\u0301"), max_size=60)


@st.composite
def hostile_findings(draw: st.DrawFn) -> Finding:
    sources = [Source(draw(words.filter(bool)), draw(words)) for _ in range(2)]

    def label() -> Label:
        source = draw(st.sampled_from(sources))
        start = draw(st.integers(0, len(source.text)))
        return Label(Span(source, start, draw(st.integers(start, len(source.text)))), draw(words))

    labels = [label() for _ in range(draw(st.integers(1, 5)))]
    return finding(*labels, message=draw(words), help=draw(words), notes=(draw(words),), subject=draw(words))


@given(hostile_findings())
def test_nothing_in_a_design_breaks_a_report(one: Finding):
    run = result(one)
    for format in FORMATS:
        text = render(run, format)
        text.encode("utf-8")
        if format in ("json", "sarif", "gitlab"):
            json.loads(text)
        else:
            assert all(char.isprintable() or char in "\n\u200c\u200d\u00a0\u3000" for char in text)


@given(st.text(alphabet=st.sampled_from("ab\t日e\u0301"), min_size=1, max_size=40), st.data())
def test_the_mark_stands_under_what_it_marks(text: str, data: st.DataObject):
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    if not text[start:end].strip() or text[end - 1].isspace():
        return
    marks = render(result(finding(Label(Span(Source("a", text), start, end)))), "full").splitlines()[4]
    before = 0
    for char in text[:start]:
        before += cell(char, before)[1]
    covered = 0
    for char in text[start:end]:
        covered += cell(char, before + covered)[1]
    assert marks[4:] == " " * before + "^" * max(covered, 1)


def test_json_follows_the_published_schema():
    schema = json.loads((HERE.parent / "coordlint/schema/result.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    run = everything()
    data = json.loads(render(run, "json"))
    jsonschema.validate(data, closed(schema))
    assert data["version"] == 1
    assert data["findings"][0]["primary"]["start"] == {"line": 1, "column": 7, "offset": 6}
    assert data["findings"][0]["fix"]["edits"][0]["text"] == "OrderPlaced"
    assert data["summary"]["counts"] == {"error": 0, "warning": len(FINDINGS) - 1, "info": 0, "hint": 1}
    assert [hidden["how"] for hidden in data["hidden"]] == ["ignored", "in the baseline", "off"]
    assert data["crashes"] == [{"code": "REF001", "error": "KeyError: 'orders'"}]


def closed(schema: Any) -> Any:
    """The schema without room for keys that it does not describe."""
    if isinstance(schema, dict):
        more = {"additionalProperties": False} if "properties" in schema else {}
        return {**{key: closed(value) for key, value in schema.items()}, **more}
    return [closed(value) for value in schema] if isinstance(schema, list) else schema


def everything() -> Result:
    hidden = tuple(
        Hidden(one, how, "a reason" if how == "ignored" else "")
        for one, how in zip(FINDINGS.values(), ("ignored", "in the baseline", "off"), strict=False)
    )
    crashes = (Crash(RULES[0], KeyError("orders")),)
    return replace(result(*FINDINGS.values(), hidden=hidden, crashes=crashes), sources=(SHOP, PARTS))


@pytest.fixture(scope="module")
def sarif() -> Any:
    return json.loads(render(everything(), "sarif"))


def test_sarif_follows_the_official_schema(sarif: Any):
    schema = json.loads((HERE / "data/sarif-2.1.0-rtm.5.json").read_text(encoding="utf-8"))
    jsonschema.validate(sarif, schema)


def test_sarif_describes_the_rules(sarif: Any):
    [run] = sarif["runs"]
    for number, described in enumerate(run["tool"]["driver"]["rules"]):
        assert described["id"] == RULES[number].code
        assert "## Why" in described["help"]["markdown"]
        assert described["defaultConfiguration"]["level"] == "error"
    assert all(run["tool"]["driver"]["rules"][one["ruleIndex"]]["id"] == one["ruleId"] for one in run["results"])


def test_sarif_results_lead_through_the_labels(sarif: Any):
    [run] = sarif["runs"]
    assert run["columnKind"] == "unicodeCodePoints"
    first = run["results"][0]
    assert first["locations"][0]["logicalLocations"] == [{"fullyQualifiedName": "event OrderPlaced"}]
    steps = first["codeFlows"][0]["threadFlows"][0]["locations"]
    places = [step["location"]["physicalLocation"] for step in steps]
    assert [place["artifactLocation"]["uri"] for place in places] == [
        "designs/shop.coord",
        "designs/shop.coord",
        "designs/parts.coord",
    ]
    assert places[0]["region"] == {"startLine": 1, "startColumn": 7, "endLine": 1, "endColumn": 18}
    change = first["fixes"][0]["artifactChanges"][0]
    assert change["artifactLocation"]["uri"] == "designs/parts.coord"
    assert change["replacements"][0]["insertedContent"] == {"text": "OrderPlaced"}


def test_sarif_keeps_suppressed_findings_and_leaves_out_what_is_off(sarif: Any):
    [run] = sarif["runs"]
    suppressed = [one["suppressions"] for one in run["results"] if "suppressions" in one]
    assert suppressed == [[{"kind": "inSource", "justification": "a reason"}], [{"kind": "external"}]]
    assert len(run["results"]) == len(FINDINGS) + 2


def test_sarif_says_that_a_rule_failed(sarif: Any):
    [invocation] = sarif["runs"][0]["invocations"]
    assert invocation["executionSuccessful"] is False
    assert "REF001" in invocation["toolExecutionNotifications"][0]["message"]["text"]


def test_sarif_fingerprints_hold_no_line_numbers(sarif: Any):
    assert {one["partialFingerprints"]["coordlint/v1"] for one in sarif["runs"][0]["results"]} == {"0" * 32}


@pytest.mark.parametrize(
    ("path", "location"),
    [
        ("designs/a b#1.coord", {"uri": "designs/a%20b%231.coord", "uriBaseId": "%SRCROOT%"}),
        ("c:d.coord", {"uri": "c%3Ad.coord", "uriBaseId": "%SRCROOT%"}),
        ("é\udcff.coord", {"uri": "%C3%A9%FF.coord", "uriBaseId": "%SRCROOT%"}),
        ("/srv/a.coord", {"uri": "file:///srv/a.coord"}),
    ],
)
def test_sarif_paths_are_uris(path: str, location: dict[str, str]):
    source = Source(path, "event A")
    log = json.loads(render(replace(result(finding(at(source, "A"))), sources=(source,)), "sarif"))
    place = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == location
    assert log["runs"][0]["artifacts"] == [{"location": location}]


def test_an_unknown_format_is_refused():
    with pytest.raises(ValueError, match="yaml"):
        render(result(), "yaml")
