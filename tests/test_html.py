"""The HTML report: one file that needs nothing, sound markup, hostile names, equal bytes, sizes, and the drawings in it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from bench.generate import design as generated
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordlint.analysis.record import And, Arrow, Begin, Finish, Remark
from coordlint.analysis.sequences import sequences
from coordlint.check import Result, check, select_rules
from coordlint.cli import graphviz, run
from coordlint.cli.report import FAULTS, LIMIT, MANY
from coordlint.design import Design, load
from coordlint.explore.verify import Settings
from coordlint.report import drawing, map
from coordlint.report.html import SIMPLER, render
from coordlint.report.layout import Box, Graph, Group, place, simple
from coordlint.report.prose import markdown, words
from coordlint.report.sequence import draw
from coordlint.report.sequence_text import dot, mermaid
from coordlint.source import Source

ROOT = Path(__file__).parent.parent
SYSTEMS = sorted((ROOT / "fixtures" / "systems").glob("*/*.coord"))
each_system = pytest.mark.parametrize("path", SYSTEMS, ids=lambda path: path.stem)

VOID = {"meta", "br", "input", "link", "hr", "img"}


class Page(HTMLParser):
    """A page taken apart: elements with their attributes, text by element, and what is wrong with the nesting."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.stack: list[str] = []
        self.problems: list[str] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.close()
        self.problems += [f"{name} stays open" for name in self.stack]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.stack or self.stack.pop() != tag:
            self.problems.append(f"</{tag}> closes something else")

    def handle_data(self, data: str) -> None:
        (self.scripts if self.stack and self.stack[-1] in {"script", "style"} else self.text).append(data)

    def every(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def ids(self) -> list[str]:
        return [attrs["id"] or "" for _, attrs in self.elements if "id" in attrs]


def loaded(text: str, profile: str = "default") -> Design:
    return load("test.coord", stdin=Source("test.coord", text), profile=profile)


def verified(design: Design) -> Result:
    """What the command finds: its rules, and what goes wrong under faults."""
    design.verify = Settings(FAULTS, LIMIT, many=MANY)
    return check(design, select_rules(profile=design.profile))


def report(text: str) -> str:
    design = loaded(text)
    return render(design, check(design))


@cache
def page_of(path: Path) -> str:
    design = load(str(path.relative_to(ROOT)))
    return render(design, verified(design), engine=graphviz.engine)


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


# ------------------------------------------------------------------------------------------------ the page


@each_system
def test_the_page_is_sound(path: Path):
    page = Page(page_of(path))
    assert page.problems == []
    assert len(page.ids) == len(set(page.ids)), "ids are unique"
    assert [href for a in page.every("a") if (href := a["href"] or "")[:1] != "#" or href[1:] not in page.ids] == []
    assert len(page.every("h1")) == 1
    levels = [int(name[1]) for name, _ in page.elements if re.fullmatch(r"h[1-6]", name)]
    assert [b for a, b in pairwise(levels) if b > a + 1] == [], "no level of heading is skipped"
    assert {"main", "header", "nav", "footer"} <= {name for name, _ in page.elements}


@each_system
def test_nothing_is_requested(path: Path):
    text = page_of(path)
    page = Page(text)
    loading = {"src", "srcset", "xlink:href", "action", "poster", "background", "style", "formaction", "ping"}
    assert [(name, key) for name, attrs in page.elements for key in attrs if key in loading] == []
    assert {name for name, _ in page.elements} & {
        "link",
        "iframe",
        "img",
        "image",
        "object",
        "embed",
        "base",
        "use",
    } == set()
    for script in page.scripts[:1] + page.scripts[2:]:  # all but the data
        assert not re.search(r"https?:|@import|url\(|fetch\(|XMLHttp|import\(", script)
    assert [key for _, attrs in page.elements for key in attrs if key.startswith("on")] == []


@each_system
def test_everything_is_on_the_page(path: Path):
    design = load(str(path.relative_to(ROOT)))
    result = verified(design)
    page = Page(page_of(path))
    text = " ".join("".join(page.text).split())
    system = design.system
    for table in (
        system.services,
        system.workflows,
        system.messages,
        system.channels,
        system.stores,
        system.brokers,
        system.flows,
    ):
        for name in table:
            assert name in text
    shown = [attrs for attrs in page.every("article") if attrs.get("class") == "finding"]
    assert len(shown) == len(result.findings)
    assert [attrs["data-severity"] for attrs in shown].count("error") == sum(
        f.severity.label == "error" for f in result.findings
    )
    for rule in result.rules:
        assert rule.code in text
    for finding in result.findings:
        assert " ".join(finding.message.replace("`", "").split()) in text.replace("`", "")
        if finding.help:
            assert " ".join(finding.help.replace("`", "").split()) in text
    data = json.loads(page.scripts[1])
    assert [one["fingerprint"] for one in data["findings"]] == [finding.fingerprint for finding in result.findings]


def test_every_flow_has_its_paths_and_numbers():
    page = page_of(next(path for path in SYSTEMS if path.stem == "ftgo"))
    flow = page[page.index('id="flow-OrderPlacement"') :]
    flow = flow[: flow.index("</article>")]
    for text in ("orchestrated", "CancelCreateTicket", "OrderRejected", "happy path", "none declared", "as before"):
        assert text in flow
    assert flow.count('class="sequence"') == 4, "two of the four failures have the same consequences"
    assert flow.count("<tr>") == 1 + 5
    tradeoffs = page[page.index('id="tradeoffs"') : page.index('id="passed"')]
    assert tradeoffs.count("<details") == 6
    assert "survives no crash" in page
    assert "blast radius" in tradeoffs


def test_hidden_findings_stand_with_their_reasons():
    text = "external service A { sends B.Go }\ncommand Go\nevent Done\nservice B {\n"
    text += "  handles Go { emits Done }  # coordlint: ignore[EVT201] the data team reads <it>\n}\n"
    page = report(text)
    assert "the data team reads &lt;it&gt;" in page
    assert "1 finding not counted" in page


def test_what_could_not_be_read_is_said():
    page = report("service A {\nservice B\n")
    assert "could not be read whole" in page


def test_an_empty_design_has_a_page():
    page = Page(report(""))
    assert page.problems == []
    assert "No flow is declared" in " ".join(page.text)


def test_a_missing_extra_costs_one_sentence_and_the_map_stays():
    text = report("service A { sends B.Go }\ncommand Go\nservice B { handles Go }\n")
    assert text.count("coordlint[report]") == 1
    assert SIMPLER.split("`")[0] in text
    assert text.count('class="map"') == 1


def test_the_command_does_without_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(graphviz, "available", lambda: False)
    monkeypatch.setattr(graphviz, "engine", None)
    assert run(["report", str(SYSTEMS[0].relative_to(ROOT)), "-o", str(tmp_path / "plain.html")]) == 0
    text = (tmp_path / "plain.html").read_text(encoding="utf-8")
    assert text.count("coordlint[report]") == 1
    assert text.count('class="map"') >= 2


def test_the_command_writes_equal_bytes_whatever_the_hash_seed(tmp_path: Path):
    pages = []
    for seed in ("0", "1"):
        target = tmp_path / f"{seed}.html"
        environment = {**os.environ, "PYTHONHASHSEED": seed, "SOURCE_DATE_EPOCH": "1700000000"}
        command = [sys.executable, "-m", "coordlint", "report", "fixtures/systems/eshop/eshop.coord", "-o", str(target)]
        subprocess.run(command, check=True, capture_output=True, env=environment, cwd=ROOT)
        pages.append(target.read_bytes())
    assert pages[0] == pages[1]
    assert b"2023-11-14 22:13 UTC" in pages[0]


def test_the_command_complains_in_one_sentence(capfd: pytest.CaptureFixture[str], tmp_path: Path):
    assert run(["report", "nowhere.coord"]) == 2
    assert run(["report", str(ROOT / "fixtures")]) == 2
    assert "name one of them" in capfd.readouterr().err


# ------------------------------------------------------------------------------------------------ sizes


def test_a_hundred_services_fit_into_a_megabyte():
    design = loaded(generated(100))
    text = render(design, verified(design), engine=graphviz.engine)
    assert len(text.encode()) <= 1_000_000
    assert Page(text).problems == []
    assert "Map of contexts" in text
    faulty = loaded(generated(100).replace("idempotent by id  writes", "not idempotent  writes", 4))
    text = render(faulty, verified(faulty), engine=graphviz.engine)
    assert len(text.encode()) <= 1_000_000
    assert text.count("effects so far") == 2


@pytest.mark.slow
def test_a_thousand_services_take_half_a_minute(tmp_path: Path):
    source = tmp_path / "large.coord"
    source.write_text(generated(1000))
    start = time.monotonic()
    assert run(["report", str(source), "-o", str(tmp_path / "large.html")]) == 0
    assert time.monotonic() - start < 30


# ------------------------------------------------------------------------------------------------ hostile names

EVIL = st.one_of(
    st.sampled_from(
        [
            "</script><script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "\" onload='alert(1)' x=\"",
            "]]><!--",
            "&lt;&amp;#x3c;",
            "{{ 7*7 }}{% raw %}",
            "javascript:alert(1)",
            "`a` **b** [c](http://d)",
            "\u202eevil\u202c",
            "اسم خدمة",
            "👩\u200d👩\u200d👧 订单",
            "x" * 10_000,
            "; end\nparticipant z",
        ]
    ),
    st.text(min_size=1, max_size=40),
).filter(lambda text: not any(char in '\0\r\n\\"' or "\ud800" <= char <= "\udfff" for char in text))

SHAPE = """
system X "{0}"
broker "b{0}" {{ nodes 1 }}
channel "c{0}" on "b{0}"
event "e{0}" via "c{0}" {{ note "{0}" }}
command "k{0}"
store "s{0}" "{0}"
external service "x{0}" {{ calls "y{0}"."k{0}" }}
service "y{0}" "{0}" {{ handles "k{0}" {{ writes "s{0}"."r"  acts "{0}"  emits "e{0}" or fails "{0}" }} }}
service "z{0}" {{ on "e{0}" {{ calls "y{0}"."k{0}" }} }}
workflow "w{0}" in "z{0}" {{ starts on "e{0}"  step "t{0}" calls "y{0}"."k{0}" {{ compensate "y{0}"."k{0}" }} }}
flow "f{0}" {{ starts with "k{0}" from "x{0}"  succeeds with "e{0}" }}
"""


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=EVIL)
def test_hostile_names_are_inert(name: str):
    design = loaded(SHAPE.format(name))
    text = render(design, check(design), engine=None)
    page, plain = Page(text), Page(_plain_page())
    assert page.problems == []
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in plain.elements} | {
        "bdi",
        "ul",
        "li",
        "details",
        "summary",
        "ol",
        "pre",
    }
    known = {key for _, attrs in plain.elements for key in attrs}
    assert {key for _, attrs in page.elements for key in attrs} <= known | {
        "aria-label",
        "stroke-dasharray",
        "font-weight",
    }
    assert len(page.every("script")) == 2
    json.loads(page.scripts[1])
    assert not any("\u202a" <= char <= "\u202e" or "\u2066" <= char <= "\u2069" for char in text)
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))
    for view in design.flows:
        for path in sequences(view).paths:
            assert len(mermaid(path).splitlines()) == 1 + len(path.parties) + len(path.items)
            assert dot(path, name=name).count("\n") < 60


@cache
def _plain_page() -> str:
    return report(SHAPE.format("name"))


# ------------------------------------------------------------------------------------------------ words


def test_names_in_messages_are_links():
    anchors = {"Orders": "service-Orders"}
    assert str(words("`Orders` fails `<b>`", lambda name: anchors.get(name, ""))) == (
        '<a href="#service-Orders"><code>Orders</code></a> fails <code>&lt;b&gt;</code>'
    )


def test_markdown_of_the_rules():
    text = "One `two` *three*\nfour\n\n- a\n  b\n- **c**\n\n```coord\nx < 1\n```\n\n| h |\n|---|\n| d |\n[l](http://u)"
    assert str(markdown(text)) == (
        "<p>One <code>two</code> <em>three</em> four</p><ul><li>a b</li><li><strong>c</strong></li></ul>"
        '<pre tabindex="0"><code>x &lt; 1</code></pre><table><tr><th>h</th></tr><tr><td>d</td></tr></table><p>l (http://u)</p>'
    )


def _contrast(one: str, other: str) -> float:
    """WCAG 2.1: (lighter + 0.05) / (darker + 0.05) of the relative luminances."""

    def luminance(color: str) -> float:
        parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    first, second = luminance(one), luminance(other)
    return (max(first, second) + 0.05) / (min(first, second) + 0.05)


def test_colours_are_legible_and_follow_the_scheme():
    style = (ROOT / "coordlint/report/report.css.jinja").read_text()
    schemes = [
        {name: value if len(value) == 7 else "#" + "".join(2 * char for char in value[1:]) for name, value in found}
        for found in (
            re.findall(r"--(\w+):(#[0-9a-f]{3,6})\b", block) for block in re.findall(r":root\{([^}]*)\}", style)[:2]
        )
    ]
    for scheme in schemes:
        for word in ("ink", "soft", "link", "command", "event", "undo", "bad", "warn"):
            for ground in ("paper", "panel"):
                assert _contrast(scheme[word], scheme[ground]) >= 4.5, (word, ground)
        for fill in ("service", "workflow", "eventfill", "commandfill", "store", "broker"):
            assert _contrast(scheme["ink"], scheme[fill]) >= 4.5
            assert _contrast(scheme["soft"], scheme[fill]) >= 4.5, fill
            assert _contrast(scheme["bad"], scheme[fill]) >= 4.5, fill
    used = {
        drawing.INK,
        drawing.SOFT,
        drawing.LINE,
        drawing.PAPER,
        drawing.COMMAND,
        drawing.EVENT,
        drawing.UNDO,
        drawing.BAD,
    }
    for color in {*used, *drawing.FILLS.values()}:
        assert f'[fill="{color}"]' in style, "every colour of the drawings has one in the dark scheme"


# ------------------------------------------------------------------------------------------------ layouts

GRAPH = Graph(
    (Box("a", 80, 30, "g"), Box("b", 90, 30, "g"), Box("c", 70, 30, "h"), Box("d", 60, 30)),
    (("a", "b"), ("b", "c"), ("c", "a"), ("d", "d")),
    (Group("g", 40), Group("h", 40, "g")),
)


@pytest.mark.parametrize("engine", [None, graphviz.engine], ids=["our own", "graphviz"])
def test_boxes_do_not_overlap_and_stay_inside(engine):
    [layout] = place([GRAPH], engine)
    boxes = {box.id: box for box in GRAPH.boxes}
    assert layout.boxes.keys() == boxes.keys()
    for one, (x, y) in layout.boxes.items():
        assert 0 <= x - boxes[one].wide / 2 <= x + boxes[one].wide / 2 <= layout.wide + 20
        for other, (u, v) in layout.boxes.items():
            if one < other:
                apart = abs(x - u) >= (boxes[one].wide + boxes[other].wide) / 2 - 1 or abs(y - v) >= 29
                assert apart, (one, other)
    assert all(curve for curve in layout.curves)
    x, y, wide, high = layout.frames["g"]
    for one in "abc":
        u, v = layout.boxes[one]
        assert x <= u <= x + wide
        assert y <= v <= y + high


def test_graphviz_that_ends_leaves_the_other_drawings(monkeypatch: pytest.MonkeyPatch):
    calls = []

    def broken(texts):
        calls.append(list(texts))
        good = list(texts).index("bad") if "bad" in texts else len(texts)
        return [f"answer {text}" for text in texts[:good]], True

    monkeypatch.setattr(graphviz, "_run", broken)
    assert graphviz.engine(["a", "bad", "c"]) == ["answer a", None, "answer c"]
    assert calls == [["a", "bad", "c"], ["c"]]


def test_graphviz_that_stands_still_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(graphviz, "SECONDS", 0.001)
    assert graphviz.engine(["digraph { a -> b }", "digraph { c }"]) == [None, None]


def test_what_graphviz_cannot_read_becomes_a_plain_drawing():
    assert graphviz.engine(["digraph {", "digraph { a }"])[0] is None
    [layout] = place([GRAPH], lambda texts: [None for _ in texts])
    assert layout == simple(GRAPH)


def test_texts_are_clipped_to_their_room():
    assert drawing.clip("short", 12, 100) == "short"
    cut = drawing.clip("long " * 100, 12, 100)
    assert cut.endswith("…")
    assert drawing.width(cut, 12) <= 112


def test_a_single_point_of_failure_grows_with_its_radius():
    small = map.Thing("a", "service", "Name", "", map.Look(radius=0.1)).box
    large = map.Thing("a", "service", "Name", "", map.Look(radius=0.9)).box
    assert large.wide > small.wide
    assert large.high > small.high


# ------------------------------------------------------------------------------------------------ sequences

SAGA = """
external service Buyer { calls Shop.Buy }
command Buy, Reserve, Release, Pay
event Bought, Refused
service Shop
workflow Order in Shop {
  starts on Buy
  step reserve calls Stock.Reserve { compensate Stock.Release }
  step pay calls Bank.Pay { pivot  timeout 2s  on timeout { fails Refused } }
  emits Bought
  on failure { emits Refused }
}
service Stock { handles Reserve { writes Db.items  succeeds or fails "sold out" }  handles Release { writes Db.items } }
store Db
service Bank { handles Pay { succeeds or fails "no money" } }
service Mail { on Bought { acts "writes a letter" } }
flow Purchase { starts with Buy from Buyer  succeeds with Bought  fails with Refused }
"""


def paths_of(text: str):
    [view] = loaded(text).flows
    return sequences(view).paths


def arrows(path) -> list[str]:
    return [
        f"{i.source.split()[-1]} {i.kind} {i.target.split()[-1]} {i.text}".strip()
        for i in path.items
        if isinstance(i, Arrow)
    ]


def test_the_happy_path_goes_to_the_goal():
    happy = paths_of(SAGA)[0]
    assert arrows(happy) == [
        "Buyer call Order Buy",
        "Order call Stock Reserve",
        "Stock reply Order",
        "Order call Bank Pay",
        "Bank reply Order",
        "Order event Mail Bought",
        "Order reply Buyer",
    ]
    assert (happy.ends, happy.why, happy.undone) == ("success", "reaches its goal `Bought`", ())


def test_each_failure_is_a_path_with_what_it_undoes():
    found = {path.title: (path.ends, path.undone) for path in paths_of(SAGA)[1:]}
    assert found == {
        "`Stock` refuses `Reserve`: sold out": ("failure", ()),
        "`Bank` refuses `Pay`: no money": ("failure", ("Release",)),
        "`Order`'s call of `Bank.Pay` times out": ("failure", ("Release",)),
    }


def test_awaits_joins_and_frames():
    text = """
external service U { sends A.Go }
command Go, Left, Right
event L, R, Done
service A
workflow W in A { starts on Go  parallel { sends B.Left  sends C.Right }  awaits L and R within 5m  emits Done }
service B { handles Left { emits L } }
service C { handles Right { emits R } }
flow F { starts with Go from U  succeeds with Done }
""".replace("awaits L and R within 5m", "awaits L within 5m  awaits R within 5m")
    happy, *others = paths_of(text)
    assert happy.ends == "success"
    kinds = [type(item) for item in happy.items]
    assert kinds.count(Begin) == kinds.count(Finish) == 1
    assert And in kinds
    assert [path.title for path in others] == ["`W` waits for `L` in vain", "`W` waits for `R` in vain"]


def test_a_wait_for_nobody_is_told():
    text = "external service U { sends A.Go }\ncommand Go\nevent Never, Done\nservice A\n"
    text += "workflow W in A { starts on Go  awaits Never  emits Done }\nflow F { starts with Go from U  succeeds with Done }"
    [happy] = paths_of(text)
    assert (happy.ends, happy.why) == ("open", "stops: `W` waits for `Never`")


def test_a_cycle_of_events_ends():
    text = "external service U { sends A.Go }\ncommand Go\nevent Ping, Pong\nservice A { handles Go emits Ping  on Pong emits Ping }\n"
    text += "service B { on Ping emits Pong }\nflow F { starts with Go from U }"
    [happy] = paths_of(text)
    assert any(isinstance(item, Remark) and item.text == "and so on" for item in happy.items)
    assert len(happy.items) < 20


@each_system
def test_every_happy_path_ends_well(path: Path):
    design = load(str(path))
    assert design.flows
    for view in design.flows:
        assert view.level is not None
        assert sequences(view).happy.ends == "success", view.flow.name


def test_the_happy_path_avoids_what_waits_for_nobody():
    text = """
external service U { sends A.Go }
command Go
event Never, Done
service A
workflow W in A { starts on Go  either "held" { awaits Never } or "free" {}  emits Done }
flow F { starts with Go from U  succeeds with Done }
"""
    happy, held = paths_of(text)
    assert (happy.ends, held.ends) == ("success", "open")


def test_each_start_is_a_path():
    text = "external service U { sends A.Go  sends A.Run }\ncommand Go, Run\nevent Done\n"
    text += "service A { handles Go emits Done  handles Run emits Done }\nflow F { starts with Go or Run from U  succeeds with Done }"
    found = paths_of(text)
    assert [path.title for path in found] == ["happy path", "it starts with `Run`"]
    assert arrows(found[1]) == ["U send A Run"]


@each_system
def test_frames_nest_and_diagrams_are_xml(path: Path):
    for view in load(str(path)).flows:
        found = sequences(view)
        assert found.paths
        for one in found.paths:
            depth = 0
            for item in one.items:
                depth += isinstance(item, Begin) - isinstance(item, Finish)
                assert depth >= 0
            assert depth == 0
            ElementTree.fromstring(draw(one, title="t", standalone=True))


def test_the_commands_for_documents(capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path):
    source = tmp_path / "saga.coord"
    source.write_text(SAGA)
    for format, start in (("svg", b"<svg "), ("mermaid", b"sequenceDiagram"), ("dot", b"digraph ")):
        assert run(["sequence", str(source), "Purchase", "--format", format]) == 0
        assert capfdbinary.readouterr().out.startswith(start)
    assert run(["sequence", str(source), "--list"]) == 0
    assert capfdbinary.readouterr().out.splitlines()[0] == b"0  happy path: reaches its goal `Bought`"
    assert run(["graph", str(source), "--format", "svg"]) == 0
    ElementTree.fromstring(capfdbinary.readouterr().out)
    assert run(["sequence", str(source), "Purchas"]) == 2
    assert b"did you mean `Purchase`?" in capfdbinary.readouterr().err
    assert run(["sequence", str(source), "--path", "9"]) == 2
