"""Counterexamples as people see them: what may be left out of a run, who could have sent what never came, and every form."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import jsonschema
import pytest
from explore_reference import Raw, State
from hypothesis import given, settings
from hypothesis import strategies as st
from project import Program
from test_formats import RESULT, checked_json, checked_sarif
from verify_designs import saga, text

from coordlint.check import Result, check, select_rules
from coordlint.design import Design, load
from coordlint.explore.compiler import compile_scene
from coordlint.explore.judge import Judge, Violation
from coordlint.explore.scene import Compiled, scenes
from coordlint.explore.search import Search
from coordlint.explore.space import Space
from coordlint.explore.story import Tale, _joined, tell_violation
from coordlint.explore.verify import Settings
from coordlint.finding import LOST, Effect, Finding, Label, Run, Step
from coordlint.report import drawing, render
from coordlint.report import page as pages
from coordlint.report.html import render as render_html
from coordlint.report.run_svg import draw
from coordlint.report.runs import (
    COLUMNS,
    LANES,
    NOTE,
    Diagram,
    closing,
    effect,
    effects,
    lines,
    mermaid,
    needs,
    participants,
    sentences,
)
from coordlint.report.runs import text as run_text
from coordlint.report.style import painter
from coordlint.rule import document, index
from coordlint.source import Source, Span

ROOT = Path(__file__).parent.parent
SYSTEMS = sorted((ROOT / "fixtures" / "systems").glob("*/*.coord"))
SMALL = ("ftgo", "eshop", "choreographed", "trip-booking-saga", "pitstop", "online-boutique", "serverlesspresso")
VERIFIED = [entry for entry in index() if entry.code.startswith("VER")]
BAD = {f"{entry.code}-{n}": one.text for entry in VERIFIED for n, one in enumerate(document(entry).bad, start=1)}
each_bad = pytest.mark.parametrize("name", BAD)
plain = painter(False)


@cache
def design_of(name: str) -> Design:
    if name in BAD:
        return load(f"{name}.coord", stdin=Source(f"{name}.coord", BAD[name]))
    if name.startswith("saga"):
        changes = {"saga": {}, "saga unfenced": {"fences": ""}, "saga forgetful": {"state": "state memory"},
                   "saga parallel": {"parallel": True, "idempotent": "not idempotent"}}[name]  # fmt: skip
        return saga(3, **changes)
    return load(str(next(path for path in SYSTEMS if path.stem == name)))


@cache
def result_of(name: str) -> Result:
    design = design_of(name)
    design.verify = Settings(limit=20_000)
    return check(design, select_rules(select=["VER"]))


def runs_of(name: str) -> list[Run]:
    return [finding.run for finding in result_of(name).findings if finding.run is not None]


class Case(NamedTuple):
    """A violation with all that its run was made from."""

    compiled: Compiled
    search: Search
    violation: Violation


@cache
def cases(name: str) -> tuple[Case, ...]:
    """The violations of a design, with unknown facts for and against it."""
    design, found = design_of(name), []
    for scene in scenes(design.index):
        for adverse in (frozenset[str](), None):
            compiled = compile_scene(design.index, scene, adverse)
            search = Search(Space(compiled.tables), 20_000)
            for _ in search.run(2 if adverse is not None else 1):
                pass
            found += [Case(compiled, search, one) for one in Judge(compiled, design.sagas).all(search)]
    return tuple(found)


ALL = [*BAD, *SMALL, "saga", "saga unfenced", "saga forgetful", "saga parallel"]
each_design = pytest.mark.parametrize("name", ALL)


# ------------------------------------------------------------------------------------------------ what is left out


class Replay:
    """A run on the reference engine, move by move: every move has to be possible where it happens."""

    def __init__(self, tale: Tale) -> None:
        self.tale = tale
        self.raw = Raw(tale.compiled.tables)
        self.state: State = self.raw.initial

    def step(self, number: int) -> None:
        move, tables = self.tale.events[number].move, self.raw.tables
        local = self.state[0][move.component]
        if move.kind < 0:
            acts = tables.components[move.component].acts[local]
            assert move.choice in acts
            if move.choice.when == "late":
                self.settle()
            target = self.raw.enter(self.state, move.component, move.choice.target)
            self.state = self.raw.send(target, move.choice.emits)
            return
        kind = tables.kinds[move.kind]
        if kind.queue < 0:
            assert self.state[1][move.kind] > 0, f"{kind.name} is not there"
        else:
            assert move.kind in self.state[2][kind.queue], f"{kind.name} is not there"
        rows = tables.rows(move.kind, local)
        if move.what in {*LOST, "omission", "drop"}:
            assert kind.loss == move.what or (move.what == "drop" and not rows)
            self.state = self.raw.consume(self.state, move.kind)
            return
        assert move.choice in rows
        state = self.raw.enter(self.state, move.component, move.choice.target)
        if move.what == "copy":
            assert kind.copies
        elif not move.choice.keep:
            state = self.raw.consume(state, move.kind)
        self.state = self.raw.send(state, move.choice.emits)

    def settle(self) -> None:
        """Before a timer that waits for rest: what is still in flight must not be able to change anything."""
        for _ in range(200):
            flight = [kind for kind, count in enumerate(self.state[1]) if count]
            flight += [kind for queue in self.state[2] for kind in queue[:1]]
            for kind in flight:
                one = self.raw.tables.kinds[kind]
                local = self.state[0][one.to]
                rows = self.raw.tables.rows(kind, local)
                if not rows and one.patient and self.raw.ever[kind][local]:
                    continue
                assert all(row.target == local for row in rows), f"{one.name} is still under way"
                self.state = self.raw.send(self.raw.consume(self.state, kind), rows[0].emits if rows else ())
                break
            else:
                return


def replay_all(tale: Tale, numbers: list[int]) -> Replay:
    replay = Replay(tale)
    for number in numbers:
        replay.step(number)
    return replay


@each_design
def test_what_is_left_of_a_run_is_a_run_and_the_rest_can_follow(name: str):
    for compiled, search, one in cases(name):
        ahead, cycle = _joined(search.space, one)
        path = (*ahead, *cycle)
        tale = Tale(compiled, search.space, path)
        kept = list(tale.relevant(one)) if not cycle else list(range(len(path)))
        assert kept == sorted(set(kept))
        if cycle:
            assert cycle[-1][1].target == cycle[0][0], "it is a cycle"
        replay = replay_all(tale, kept)
        if path and path[-1][1].choice is not None and path[-1][1].choice.error:
            assert replay.state[0][path[-1][1].component] == path[-1][1].choice.target, "the violation is still there"
        for number in sorted(set(range(len(path))) - set(kept)):
            replay.step(number)
        if path:
            assert replay.state[0] == search.space.locals(path[-1][1].target)


@each_design
def test_no_fault_is_left_out_and_every_number_fits(name: str):
    for compiled, search, one in cases(name):
        run = tell_violation(compiled, search.space, one)
        if run is None:
            assert one.code in {"B4", "B6", "B19", "B21"}
            continue
        assert sum(step.fault for step in run.steps) == one.faults == run.faults
        assert [step.number for step in run.steps] == list(range(1, len(run.steps) + 1))
        assert sum(step.bad for step in run.steps) == (0 if run.repeats_from else 1)
        for step in run.steps:
            assert 0 <= step.sent < step.number
            assert 0 <= step.copy_of < step.number
            first = run.steps[step.copy_of - 1]
            assert not step.copy_of or step.message in (first.message, "") or step.message in first.text
        assert 0 <= run.repeats_from <= len(run.steps)


@each_design
def test_what_is_done_in_the_end_is_seen_to_be_done(name: str):
    for run in runs_of(name):
        if run.property in {"B1", "B9", "B11", "B12", "B13", "B14", "B15", "B16"} and " done" in run.end:
            deeds = set(re.findall(r"`(\w+)`", run.end.partition(", and nobody")[0])) - {run.scene.split()[-1]}
            messages = {step.message for step in run.steps if not step.reply}
            named = {deed for deed in deeds if f"workflow `{deed}`" not in run.end}
            assert named <= messages, run.end


def test_steps_of_others_are_left_out():
    """Those that lead to a wrong deed are left out by the search itself; these are the others."""
    left = [run.left_out for name in ALL if name not in BAD for run in runs_of(name)]
    assert sum(number > 0 for number in left) >= 8


def test_the_steps_that_are_needed_cannot_be_left_out():
    """The reference replay notices if any one step but the last is missing from a run that ends in a wrong deed."""
    (case,) = [one for one in cases("VER010-1") if one.violation.code == "B10"][:1]
    tale = Tale(case.compiled, case.search.space, case.violation.path)
    kept = list(tale.relevant(case.violation))
    for missing in kept[:-1]:
        with pytest.raises(AssertionError):
            replay_all(tale, [number for number in kept if number != missing])


def test_a_copy_knows_its_original_and_a_late_message_its_beginning():
    (twice,) = runs_of("VER008-1")
    assert [(step.number, step.copy_of) for step in twice.steps if step.copy_of] == [(4, 2)]
    (late,) = runs_of("VER009-1")
    bad = next(step for step in late.steps if step.bad)
    assert (bad.message, bad.sent, bad.copy_of) == ("ReserveStock", 1, 0)
    assert "(sent in step 1)" in "\n".join(sentences(late.steps))


# ------------------------------------------------------------------------------------------------ ledgers

EXECUTES = {"done", "late", "twice", "hung"}
UNDOES = {"undone", "undone twice"}


@each_design
def test_a_run_counts_what_is_executed_and_undone(name: str):
    """Counted by the states before and after each move, and not from what the ledger in the end says."""
    for compiled, search, one in cases(name):
        run = tell_violation(compiled, search.space, one)
        if run is None or run.left_out:
            continue
        executed, undone = dict[tuple[int, int], int](), dict[tuple[int, int], int]()
        codes: dict[tuple[int, int], str] = {}
        ahead, cycle = _joined(search.space, one)
        for state, move in (*ahead, *cycle):
            part = compiled.parts.get(move.component)
            if part is None or move.choice is None:
                continue
            before, after = part.codes[search.space.local(state, move.component)], part.codes[move.choice.target]
            for number, (was, code) in enumerate(zip(before, after, strict=True)):
                if was != code and part.deeds[number].tracked:
                    key = (move.component, number)
                    codes[key] = code
                    executed[key] = executed.get(key, 0) + (code in EXECUTES)
                    undone[key] = undone.get(key, 0) + (code in UNDOES)
        ends = {entry.key: entry for entry in run.ends()}
        assert list(ends) == list(codes)
        for key, entry in ends.items():
            assert (entry.executed, entry.undone) == (executed[key], undone[key])
            assert (entry.state == "refused") == (codes[key] == "refused")
            assert (entry.state in {"cancelled", "overtaken", "late"}) == (codes[key] in {"fenced", "emptied", "late"})


@each_design
def test_a_step_says_what_its_ledger_says(name: str):
    for run in runs_of(name):
        for step in run.steps:
            for entry in step.ledger:
                told = re.search(
                    rf"`{re.escape(entry.action)}` (is done|is handled|takes effect|is refused)", step.text
                )
                if told is not None:
                    assert (told[1] == "is refused") == (entry.state == "refused"), step.text
                    assert entry.executed or entry.state == "refused"
                else:
                    assert entry.undone or entry.state in {"overtaken", "cancelled"}, step.text


def test_left_out_steps_are_not_in_the_ledger():
    runs = [run for name in SMALL for run in runs_of(name) if run.left_out]
    assert runs
    for run in runs:
        told = {(step.receiver, step.message) for step in run.steps}
        assert all((entry.by, entry.action) in told for entry in run.ends())


@pytest.mark.parametrize(
    ("name", "ends"),
    [
        ("VER008-1", "Inventory `ReserveStock` 2×"),
        ("VER009-1", "Inventory `ReserveStock` 1×, undone 0×"),
        ("VER010-1", "Inventory `ReserveStock` 1×, undone 2× · Payments `ChargeCard` refused"),
        ("VER012-1", "Inventory `ReserveStock` 1×, undone 1× · Payments `ChargeCard` 1×"),
        ("VER017-1", "Seats (1) `TakeSeat` 1× · Seats (2) `TakeSeat` 1×"),
        ("VER018-1", "Orders (1) `HoldOrder` 1× · Credit (2) `HoldCredit` 1×"),
    ],
)
def test_the_effects_in_the_end(name: str, ends: str):
    (run,) = runs_of(name)
    assert effects(run.ends()) == ends


TWO_WAYS = """
command Buy, Renew
event Changed
store Db
external service User { sends A.Buy  sends A.Renew }
service A { outbox
  handles Buy { idempotent by id  writes Db.a  emits Changed }
  handles Renew { idempotent by id  writes Db.b  emits Changed or fails Refused }
}
event Refused
command Pay
service B { outbox  on Changed { idempotent by id  writes Db.c  sends C.Pay } }
service C { handles Pay { not idempotent  acts "pays" } }
flow F { starts with Buy or Renew from User  succeeds with Pay }
"""


def test_occurrences_of_an_event_are_told_apart():
    design = load("two.coord", stdin=Source("two.coord", TWO_WAYS))
    design.verify = Settings(candidates=False)
    twice = next(told.run for told in design.verification.told if told.violation.code == "B7")
    assert twice is not None
    assert effects(twice.ends()) == (
        "A `Buy` 1×, `Renew` 1× · B `Changed` after Buy 1×, `Changed` after Renew 1× · C `Pay` 2×"
    )
    assert twice.end == "the effect of `Pay` is there twice: pays"


def test_a_compensation_that_comes_first_is_told_by_its_fence():
    entry = Effect("ReserveStock", "Inventory", 0, 0, "cancelled")
    assert effect(entry) == ("`ReserveStock`", "cancelled before it came")
    assert effect(entry._replace(state="overtaken")) == ("`ReserveStock`", "undone before it came")
    assert effect(entry._replace(executed=2, undone=1, state="done")) == ("`ReserveStock`", "2×, undone 1×")
    assert effect(entry._replace(executed=1, state="done", source="after Order")) == (
        "`ReserveStock` after Order",
        "1×",
    )


# ------------------------------------------------------------------------------------------------ what never came

WAITS = """
command Go, Work
event Done, Other, Never
external service User { sends Desk.Go }
service A { outbox  on Other { idempotent by id  acts "a"  emits Done } }
service B { outbox  handles Work { idempotent by id  acts "b"  emits Done or fails Never } }
service Desk { outbox }
workflow W in Desk { starts on Go  idempotent by id  state in Db  sends B.Work  awaits Done }
store Db
flow F { starts with Go from User  succeeds with W }
"""


def test_every_statement_that_could_have_sent_it_says_why_it_did_not():
    design = load("w.coord", stdin=Source("w.coord", WAITS))
    design.verify = Settings(candidates=False)
    (told,) = [told for told in design.verification.told if told.violation.code == "B2"]
    assert told.run is not None
    assert [(label.text, label.span.line) for label in told.run.unsent] == [
        ("`Done` of A: never reached: `Other` never came", 5),
        ("`Done` of B: not reached: in step 2 `Work` is refused", 6),
    ]
    assert (told.run.steps[-1].move, told.run.steps[-1].receiver) == ("rest", "Desk")


def test_what_was_sent_too_early_or_lost_is_told():
    texts = {name: " ".join(label.text for run in runs_of(name) for label in run.unsent) for name in BAD}
    assert "sent in step 2, but dropped, because nobody waited for it yet, in step 4" in texts["VER005-1"]
    assert "`OrderPlaced` was put into the dead-letter channel in step 2" in texts["VER016-1"]
    assert "came to nothing: in step 2 `OrderPlaced` takes effect" in texts["VER013-1"]


# ------------------------------------------------------------------------------------------------ text


@each_bad
def test_the_text_of_an_example(name: str, coordlint: Program, snapshot: Callable[[str, str], None]):
    Path("design.coord").write_text(BAD[name], encoding="utf-8")
    said = coordlint("verify", "design.coord")
    assert said.err == ""
    snapshot(f"verify/{name}.txt", said.out)


@each_design
def test_diagrams_are_narrow_and_plain(name: str):
    for run in runs_of(name):
        drawn = Diagram(run.steps)
        assert bool(drawn.names) == (0 < len(participants(run.steps)) <= LANES)
        for row, _, _ in drawn.rows(run.repeats_from) if drawn.names else ():
            assert row.isascii()
            assert len(row) <= COLUMNS
            assert re.sub(r"[\w ~?]", "", row).strip("|-.<>x!#*: ") == ""
        if drawn.names and drawn.wide <= 66:
            assert max(map(len, run_text(run.steps, plain, run.repeats_from))) <= COLUMNS + 8
        numbers = [number for line in lines(run.steps) for number in [step.number for step in line.steps]]
        assert numbers == [step.number for step in run.steps]


def test_the_readme_shows_what_the_program_says(coordlint: Program):
    Path("design.coord").write_text(BAD["VER008-1"], encoding="utf-8")
    out = coordlint("verify", "design.coord").out
    run = out[out.index("  = run:") : out.index("  |\n  = help")]
    assert f"```text\n{run}```" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_answers_are_drawn_from_the_called_to_the_caller():
    (run,) = runs_of("VER001-1")
    rows = [row for row, _, _ in Diagram(run.steps).rows()]
    assert re.search(r"\|--ReserveStock->\|", rows[1])
    assert re.search(r"\|<-----done------\|", rows[2])


def test_a_long_run_folds_calls_with_their_answers():
    long = next(
        run for name in SMALL for run in runs_of(name) if len(run.steps) > 12 and any(s.reply for s in run.steps)
    )
    folded = [line for line in lines(long.steps) if len(line.steps) == 2]
    assert folded
    for line in folded:
        asked, answered = line.steps
        assert (asked.sender, asked.receiver) == (answered.receiver, answered.sender)
        assert not any(step.fault or step.bad for step in line.steps)
    short = next(run for run in runs_of("VER001-1"))
    assert all(len(line.steps) == 1 for line in lines(short.steps))


def test_with_too_many_participants_there_are_only_numbered_lines():
    crowded = next(run for name in SMALL for run in runs_of(name) if len(participants(run.steps)) > LANES)
    found = run_text(crowded.steps, plain)
    numbers = [line.split()[0] for line in found if line.split()[0].replace("-", "").isdigit()]
    assert numbers == [line.number for line in lines(crowded.steps)]
    assert not any("|" in line for line in found)


@each_design
def test_no_line_of_a_run_is_wider_than_a_terminal(name: str):
    out = render(result_of(name), "full")
    for told in re.findall(r"^ *= run: .*\n((?: .*\n)*?) *\|?$", out, re.M):
        long = [line for line in told.splitlines() if len(line) > 120 and " " in line.strip()]
        assert not [line for line in long if max(map(len, line.split())) < 60]


def test_a_title_names_the_kinds_of_faults():
    (run,) = runs_of("VER008-1")
    assert needs(run) == "1 fault: a late answer"
    twice = run._replace(faults=2, steps=(*run.steps, run.steps[2]), left_out=3)
    assert needs(twice) == "2 faults: a late answer (2×), 3 unrelated steps left out"
    assert needs(run._replace(faults=0, steps=())) == "no fault"


def test_notes_of_mermaid_are_broken():
    (run,) = runs_of("VER017-1")
    text = mermaid(run, "VER017 broken-isolation: " + "long words " * 9)
    assert "  Note over p0,p4: VER017 broken-isolation#58; long words" in text
    for note in re.findall(r"Note over [^:]*: (.*)", text):
        assert all(len(re.sub(r"#\d+;", "?", line)) <= NOTE for line in note.split("<br/>"))


def test_colours_repeat_what_words_say():
    (run,) = runs_of("VER008-1")
    colored = "\n".join(run_text(run.steps, painter(True)))
    assert re.sub(r"\x1b\[[\d;]*m", "", colored) == "\n".join(run_text(run.steps, plain))
    assert "\x1b[1;31mBAD" in colored


# ------------------------------------------------------------------------------------------------ SVG and Mermaid


def svg_texts(svg: str) -> Iterator[tuple[str, float, float, float, float]]:
    """The texts of a drawing with the boxes they take: text, left, top, right, bottom."""

    def walk(
        element: ElementTree.Element, size: float, anchor: str, bold: bool
    ) -> Iterator[tuple[str, float, float, float, float]]:
        size = float(element.get("font-size", size))
        anchor = element.get("text-anchor", anchor)
        bold = element.get("font-weight", "600" if bold else "") == "600"
        if element.tag.endswith("}text"):
            shown = "".join(part.tail or "" for part in element) + (element.text or "")
            wide = drawing.width(shown, size) * (1.08 if bold else 1)
            x, y = float(element.get("x", 0)), float(element.get("y", 0))
            left = x - {"start": 0, "middle": wide / 2, "end": wide}[anchor]
            yield shown, left, y - 0.8 * size, left + wide, y + 0.2 * size
        for child in element:
            yield from walk(child, size, anchor, bold)

    yield from walk(ElementTree.fromstring(svg), 12, "start", False)


def assert_is_sound(svg: str) -> None:
    """No text of a drawing overlaps another one or is cut, and ids are unique."""
    root = ElementTree.fromstring(svg)
    _, _, wide, high = map(float, root.get("viewBox", "").split())
    texts = list(svg_texts(svg))
    for shown, left, top, right, bottom in texts:
        assert -1 <= left <= right <= wide + 1, f"{shown} is cut"
        assert -1 <= top <= bottom <= high + 1, f"{shown} is cut"
    for one, other in combinations(texts, 2):
        apart = one[3] <= other[1] + 1 or other[3] <= one[1] + 1 or one[4] <= other[2] + 1 or other[4] <= one[2] + 1
        assert apart, f"{one[0]!r} and {other[0]!r} overlap"
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert not [
        element.tag for element in root.iter() if element.tag.endswith(("script", "image", "use", "foreignObject"))
    ]


@each_design
def test_drawings_are_sound(name: str):
    for number, run in enumerate(runs_of(name)):
        svg = draw(run, title="t", prefix=f"r{number}", link=lambda span: f"#L{span.line}", standalone=True)
        assert_is_sound(svg)
        root = ElementTree.fromstring(svg)
        groups = {element.get("id"): element for element in root.iter() if element.get("id")}
        assert list(groups) == [f"r{number}-{step.number}" for step in run.steps]
        for line in lines(run.steps):
            step = line.step
            group = groups[f"r{number}-{step.number}"]
            assert group[0].tag.endswith("}title")
            assert (group[0].text or "").startswith(f"{step.number}. ")
            assert [a.get("href") for a in group.iter() if a.tag.endswith("}a")] == [f"#L{step.span.line}"]
            said = "".join(group.itertext())
            for entry in (entry for one in line.steps for entry in one.ledger):
                assert all(word.replace("`", "") in said for word in effect(entry))
            assert ("FAULT" in said) == step.fault
            assert ("BAD" in said) == step.bad, said


def test_an_overlap_would_be_noticed():
    svg = drawing.alone(
        drawing.svg(
            100, 40, [drawing.label("one two", 5, 20, 90), drawing.label("three", 30, 22, 60)], title="", about=""
        )
    )
    with pytest.raises(AssertionError, match="overlap"):
        assert_is_sound(svg)


@pytest.mark.parametrize("form", [("--format", "json"), ("--show", "VER008.1", "--as", "svg")], ids=["json", "svg"])
def test_equal_bytes_whatever_the_hash_seed(design: str, form: tuple[str, ...]):
    outs = []
    for seed in ("0", "1", "2"):
        command = [sys.executable, "-m", "coordlint", "verify", design, "--exit-zero", *form]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        outs.append(subprocess.run(command, capture_output=True, env=environment, check=True).stdout)
    assert outs[0]
    assert outs.count(outs[0]) == 3


def test_the_signs_of_a_drawing():
    lost, late, twice = (draw(runs_of(name)[0], title="t") for name in ("VER016-1", "VER009-1", "VER008-1"))
    assert "✕ never taken" in lost
    assert "l12 12m0 -12l-12 12" in lost
    assert 'stroke-dasharray="7 4"' in twice
    assert 'stroke-dasharray="7 4"' not in lost
    slanted = re.compile(r'd="M[\d.]+ [\d.]+L[\d.]+ [\d.]+"')
    assert slanted.search(late), "an overtaken message is slanted"
    assert not slanted.search(draw(runs_of("VER001-1")[0], title="t"))
    assert late.count("<rect") == 2, "the paper and the frame of the violation"


def test_one_drawing_and_one_mermaid_text(snapshot: Callable[[str, str], None]):
    (run,) = runs_of("VER009-1")
    snapshot("verify/VER009.svg", draw(run, title="VER009", standalone=True))
    snapshot("verify/VER009.mmd", mermaid(run))
    (run,) = runs_of("VER003-1")
    snapshot("verify/VER003.mmd", mermaid(run))


HOSTILE = st.one_of(
    st.sampled_from(["</svg><script>x</script>", "{{ 7 * 7 }}", "a;b\nend", "\u202eevil", "اسم", "訂單" * 30, "x" * 400, "`|`", "%%"]),
    st.text(min_size=1, max_size=30),
).filter(lambda name: name.strip())  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(sender=HOSTILE, receiver=HOSTILE, message=HOSTILE, said=HOSTILE)
def test_hostile_names_break_no_form(sender: str, receiver: str, message: str, said: str):
    span = Span(Source("d.coord", "event A"), 0, 5)
    ledger = (Effect(message, receiver, 2, 1, "done", sender), Effect(message, receiver, 0, 0, "refused", key=(0, 1)))
    steps = (
        Step(1, "copy", sender, receiver, message, said, span, True, 0, ledger=ledger),
        Step(2, "lose", receiver, sender, message, said, span, True, 0, sent=1),
        Step(3, "deliver", sender, receiver, message, said, span, False, 1, bad=True),
    )
    run = Run("B8", said, 2, steps=steps, end=said, repairs=(said,), unsent=(Label(span, said),))
    svg = draw(run, title=said, standalone=True)
    assert_is_sound(svg)
    text = mermaid(run, said)
    assert len(text.splitlines()) == 1 + len(participants(steps)) + 1 + 3 + (sender != receiver) * 0 + 3 + 1
    assert "<script" not in text
    for row, _, _ in Diagram(steps).rows():
        assert row.isascii()
        assert row.isprintable()
    one = Finding(primary=Label(span), message=said, run=run, code="VER008")
    for format in ("json", "sarif", "markdown", "full"):
        out = render(Result((one,), sources=(span.source,)), format)
        out.encode("utf-8")
        if format in {"markdown", "full"}:
            assert all(char.isprintable() or char in "\n\u00a0\u3000" for char in out)
    checked_json(render(Result((one,), sources=(span.source,)), "json"))


# ------------------------------------------------------------------------------------------------ machines


@each_bad
def test_machine_formats_are_valid(name: str):
    result = result_of(name)
    data = checked_json(render(result, "json"))
    assert data["verdicts"]
    log = checked_sarif(render(result, "sarif"))
    for finding, said, entry in zip(result.findings, data["findings"], log["runs"][0]["results"], strict=True):
        run = finding.run
        assert ("run" in said) == (run is not None)
        if run is None:
            continue
        assert said["run"]["needs"]["faults"] == run.faults
        assert [step["n"] for step in said["run"]["steps"]] == [step.number for step in run.steps]
        changed = [(entry["by"], entry["action"]) for step in said["run"]["steps"] for entry in step["ledger"]]
        assert list(dict.fromkeys(changed)) == [(entry["by"], entry["action"]) for entry in said["run"]["ends"]]
        locations = entry["codeFlows"][0]["threadFlows"][0]["locations"]
        essential = [number for number, one in enumerate(locations, 1) if one["importance"] == "essential"]
        assert essential == [step.number for step in run.steps if step.fault or step.bad]
        for step, location in zip(run.steps, locations, strict=True):
            state = {entry.action: effect(entry)[1] for entry in step.ledger}
            assert {key: value["text"] for key, value in location.get("state", {}).items()} == state
        levels = {step.receiver: one["nestingLevel"] for step, one in zip(run.steps, locations, strict=True)}
        assert len(set(levels.values())) == len(levels), "a level for each participant"
        assert run.end in entry["message"]["text"]


def test_the_schema_of_runs_can_say_no():
    data = json.loads(render(result_of("VER008-1"), "json"))
    data["findings"][0]["run"]["steps"][0]["move"] = "jump"
    with pytest.raises(jsonschema.ValidationError, match="jump"):
        jsonschema.validate(data, RESULT)


def test_markdown_folds_a_mermaid_diagram():
    text = render(result_of("VER008-1"), "markdown")
    fold = text[text.index("<details>") : text.index("</details>")]
    assert "\n```mermaid\nsequenceDiagram\n" in fold
    assert "end: the effect of `ReserveStock` is there twice" in fold


def test_all_closing_words_are_there():
    (run,) = runs_of("VER008-1")
    assert closing(run) == [
        "end: the effect of `ReserveStock` is there twice: it writes `StockDb.stock`",
        "effects: Inventory `ReserveStock` 2×",
        "repair (each re-verified): make `ReserveStock` idempotent · none of 3 other single changes helps",
    ]


# ------------------------------------------------------------------------------------------------ the command


@pytest.fixture
def design(coordlint: Program) -> str:
    Path("design.coord").write_text(text(3, idempotent="not idempotent", state="state memory"), encoding="utf-8")
    return "design.coord"


def test_a_counterexample_is_shown_by_its_rule_or_number(design: str, coordlint: Program):
    whole = coordlint("verify", design, "--show", "VER008")
    assert whole.code == 0
    assert whole.out.startswith("VER008.1 double-execution: `Do0` can be executed twice (needs 1 fault)\n")
    assert coordlint("verify", design, "--show", "double-execution").out == whole.out
    assert coordlint("verify", design, "--show", "ver008.1").out == whole.out
    svg = coordlint("verify", design, "--show", "VER008.1", "--as", "svg").out
    assert_is_sound(svg)
    assert 'href="design.coord#L' in svg
    assert coordlint("verify", design, "--show", "VER008", "--as", "svg", "--output", "x.svg").out == ""
    assert Path("x.svg").read_text(encoding="utf-8") == svg
    assert "sequenceDiagram" in coordlint("verify", design, "--show", "VER008", "--as", "mermaid").out


def test_a_wrong_name_of_a_run_is_answered_with_the_right_ones(design: str, coordlint: Program):
    assert "did you mean `VER008`?" in coordlint.complaint("verify", design, "--show", "VER009")
    assert "VER008.1" in coordlint.complaint("verify", design, "--show", "VER008.7")
    assert "`happy`" in coordlint.complaint("verify", design, "--show", "sunshine")
    assert "--as goes with --show" in coordlint.complaint("verify", design, "--as", "svg")
    assert "no flow or workflow `G`" in coordlint.complaint("verify", design, "--show", "happy", "--flow", "G")
    assert "fault: crash at charge" in coordlint.complaint("verify", design, "--show", "fault:")


def test_an_svg_holds_one_run(coordlint: Program):
    Path("design.coord").write_text(text(2) + text(2, name="b"), encoding="utf-8")
    said = coordlint.complaint("verify", "design.coord", "--show", "happy", "--as", "svg")
    assert "there are 2" in said
    assert coordlint("verify", "design.coord", "--show", "happy", "--as", "svg", "--flow", "Fb").out.startswith("<svg ")


def test_sample_runs_come_with_figures(design: str, coordlint: Program):
    happy = coordlint("verify", design, "--show", "happy").out
    assert happy.startswith("flow F without faults\n")
    assert re.search(
        r"^  states: [\d,]+ \([\d,]+ without faults, [\d,]+ with 1 fault, [\d,]+ with 2 faults\), complete for 2",
        happy,
        re.M,
    )
    assert re.search(r"^  never occurred: \d+ moves?$", happy, re.M)
    assert "FAULT" not in happy
    crash = coordlint("verify", design, "--show", "fault: host crash").out
    assert crash.count("FAULT") == 1
    assert "the host of workflow `W` crashes" in " ".join(re.sub(r"[|!]", " ", crash).split())
    said = coordlint("verify", design, "--show", "fault: earthquake")
    assert said.code == 1
    assert "flow F has no run with fault: earthquake" in said.err


def test_the_figures_are_those_of_the_search(coordlint: Program):
    told = saga(2)
    told.verify = Settings(candidates=False, thorough=True)
    (verdict,) = told.verification.verdicts
    assert sum(verdict.layers) == verdict.states
    assert len(verdict.layers) == 3
    never = {label.text for label in verdict.idle}
    assert "`Do0` is done" not in never
    assert "`Do0` is done after its compensation" not in {label.text for label in verdict.idle if "fence" in label.text}
    (cut,) = [v for v in [_limited()] if v.cut]
    assert cut.idle == ()


def _limited():
    told = saga(3)
    told.verify = Settings(limit=50, candidates=False)
    return told.verification.verdicts[0]


def test_progress_is_told_on_a_terminal_and_wiped(design: str):
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen(
        [sys.executable, "-m", "coordlint", "verify", design, "--exit-zero"],
        stdout=subprocess.PIPE,
        stderr=slave,
        env=environment,
    ) as process:
        os.close(slave)
        said = b""
        while True:
            try:
                chunk = os.read(master, 4096)
            except OSError:
                break
            if not chunk:
                break
            said += chunk
        out = io.TextIOWrapper(process.stdout).read() if process.stdout else ""
    os.close(master)
    lines = said.decode().split("\r\x1b[K")
    layers = [line for line in lines if line.startswith("flow F: complete for")]
    assert [line.split(",")[0] for line in layers[:3]] == [
        f"flow F: complete for {n} fault{'s' * (n != 1)}" for n in range(3)
    ]
    assert lines[-1] == ""
    assert "flow F: violated" in out


# ------------------------------------------------------------------------------------------------ the HTML report


def test_the_report_draws_runs_and_gives_verdicts(coordlint: Program):
    Path("design.coord").write_text(BAD["VER008-1"], encoding="utf-8")
    assert coordlint("report", "design.coord", "-o", "with.html").code == 0
    page = Path("with.html").read_text(encoding="utf-8")
    part = page[page.index('id="faults"') : page.index('id="things"')]
    assert "violated (needs 1 fault)" in part
    assert part.count('class="run"') == part.count('class="sequence"') == 1
    assert "Repairs, each verified" in part
    assert "the effect of <" in part
    assert 'id="at-0-9"' in part
    assert 'href="#at-0-9"' in part
    assert coordlint("report", "design.coord", "--no-verify", "-o", "without.html").code == 0
    without = Path("without.html").read_text(encoding="utf-8")
    assert "violated (needs 1 fault)" in without  # the short runs of a check
    assert "Repairs, each verified" not in without


def test_the_report_does_not_call_hidden_runs_good(coordlint: Program):
    Path("design.coord").write_text(BAD["VER008-1"], encoding="utf-8")
    assert coordlint("report", "design.coord", "--select", "EVT", "-o", "x.html").code == 0
    page = Path("x.html").read_text(encoding="utf-8")
    assert "violated (needs 1 fault)" in page
    assert "The runs are not drawn" in page
    assert "No run was found" not in page


def test_the_report_caps_what_it_draws(monkeypatch: pytest.MonkeyPatch):
    result = result_of("trip-booking-saga")
    told = [finding.run for finding in result.findings if finding.run is not None]
    first = sorted(told, key=lambda run: run.faults)[0]
    monkeypatch.setattr(pages, "MOST_STEPS", len(first.steps))
    html = render_html(design_of("trip-booking-saga"), result)
    assert html.count('class="run"') == 1
    assert f"{len(told) - 1} more runs not drawn here" in html
    data = json.loads(html.split('id="data">')[1].split("</script>")[0])
    assert sum("run" in finding for finding in data["findings"]) == 1
