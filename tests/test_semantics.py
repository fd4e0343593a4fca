"""What each construct of the language and each fault means for a run: one small design for each row of the semantics.

A case says which properties are violated, each with the least number of faults, what the verdict is, and in which places the
workflow `W` can end, each with the least number of faults that lead there.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from coordlint.design import Design, load
from coordlint.explore.compiler import compile_scene
from coordlint.explore.scene import scenes
from coordlint.explore.search import Search
from coordlint.explore.space import Space
from coordlint.explore.verify import Settings, Verification
from coordlint.rule import document, index
from coordlint.source import Source

PROVED = "holds for any number of faults"
LOOPS = ", with loops of up to 2 turns"
HEAD = """
store Db
command Start, Do, Undo, Next
event Asked, Answered, Refused, Extra
external service Client { sends Own.Start }
service Own { outbox }
flow F { starts with Start from Client  succeeds with W }
"""
WORKFLOW = "workflow W in Own {{ starts on Start  idempotent by id  state in Db  {0} }}"
DO = "service P {{ outbox  handles Do {{ {0} }} }}"
SURE = "idempotent by id  writes Db.x"
MAY = "idempotent by id  writes Db.x  succeeds or fails"
CALL = "calls P.Do { timeout 1s  attempts unlimited }"


class Case(NamedTuple):
    """A design without its head, and what has to come of it: properties, verdict, ends of the workflow."""

    text: str
    violations: set[tuple[str, int]]
    verdict: str = ""
    ends: dict[str, int] | None = None


def w(body: str) -> str:
    return WORKFLOW.format(body)


def do(body: str) -> str:
    return DO.format(body)


CASES = {
    # ---- 2.3 the ledger of a handler
    "new: each declared outcome, free of charge": Case(
        w(CALL) + do(MAY), set(), PROVED, {"done": 0, "failed": 0}
    ),
    "done: recognised": Case(w(CALL) + do(SURE), set(), PROVED, {"done": 0}),
    "done: not recognised, done again after a slow answer": Case(
        w(CALL) + do("not idempotent  writes Db.x"), {("B8", 1)}, "violated (needs 1 fault)", {"done": 0}
    ),
    "refused: the refusal is repeated for ever where there is no way back": Case(
        w("step a { calls P.Do { timeout 1s  attempts unlimited } pivot }  step b calls Q.Next { timeout 1s  attempts unlimited }")
        + do(SURE) + "service Q { outbox  handles Next { idempotent by id  writes Db.y  succeeds or fails } }",
        {("B3", 0)}, "violated (needs 0 faults)",
    ),
    "undone: a fence refuses the late action": Case(
        w("step a calls P.Do { timeout 1s  compensate P.Undo { timeout 1s  attempts unlimited } }")
        + "service P { outbox  handles Do { idempotent by id  writes Db.x }"
        "  handles Undo { compensates Do  idempotent by id  fences  writes Db.x } }",
        set(), PROVED, {"done": 0, "failed": 1},
    ),
    "undone: without a fence it hangs": Case(
        w("step a calls P.Do { timeout 1s  compensate P.Undo { timeout 1s  attempts unlimited } }")
        + "service P { outbox  handles Do { idempotent by id  writes Db.x }"
        "  handles Undo { compensates Do  idempotent by id  writes Db.x } }",
        {("B9", 1)}, PROVED,
    ),
    "an undoing that is not idempotent": Case(
        w("step a calls P.Do { timeout 1s  compensate P.Undo { timeout 1s  attempts unlimited } }  fails")
        + "service P { outbox  handles Do { idempotent by id  writes Db.x }"
        "  handles Undo { compensates Do  not idempotent  fences  writes Db.x } }",
        {("B21", 0)},
    ),
    # ---- 2.4 constructs
    "a call without a limit may never be answered": Case(
        w("calls P.Do { no timeout }") + do(SURE), {("B2", 1)}, "violated (needs 1 fault)", {"done": 0, "call": 1}
    ),
    "a step that timed out is undone too": Case(
        w("step a calls P.Do { timeout 1s }") + do(SURE), {("B11", 1)}, "violated (needs 1 fault)", {"done": 0, "failed": 1}
    ),
    "`on timeout` decides instead": Case(
        w("step a calls P.Do { timeout 1s  on timeout { } }") + do(SURE), set(), PROVED, {"done": 0}
    ),
    "`optional` goes on": Case(w("calls P.Do { timeout 1s  optional }") + do(MAY), set(), PROVED, {"done": 0}),
    "`fallback` goes on": Case(w("calls P.Do { timeout 1s  fallback { } }") + do(MAY), set(), PROVED, {"done": 0}),
    "`emits A or fails B`: one row for each outcome": Case(
        w("emits Asked  awaits { on Answered { } on Refused { fails } }")
        + "service P { outbox  on Asked { idempotent by id  writes Db.x  emits Answered or fails Refused } }",
        set(), PROVED, {"done": 0, "failed": 0},
    ),
    "an outcome of 0% comes about by a fault": Case(
        w("emits Asked  awaits Answered")
        + "service P { outbox  on Asked { idempotent by id  writes Db.x  emits Answered or 0% fails Refused } }",
        {("B2", 1)}, "violated (needs 1 fault)", {"done": 0, "await": 1},
    ),
    "an await without an arm for the refusal": Case(
        w("emits Asked  awaits Answered")
        + "service P { outbox  on Asked { idempotent by id  writes Db.x  emits Answered or fails Refused } }",
        {("B2", 0)}, "violated (needs 0 faults)", {"done": 0, "await": 0},
    ),
    "`awaits … within D` that expires fails the workflow": Case(
        w("emits Asked  awaits Answered within 1m")
        + "service P { outbox  on Asked { idempotent by id  writes Db.x  emits Answered or fails Refused } }",
        set(), PROVED, {"done": 0, "failed": 0},
    ),
    "a join that waits for what was refused": Case(
        "workflow W in Own { starts on Answered and Extra  idempotent by id  state in Db }"
        "service P { outbox  handles Start { idempotent by id  writes Db.x  emits Answered, Extra or emits Answered } }",
        {("B2", 0)}, "violated (needs 0 faults)", {"done": 0, "arm": 0},
    ),
    "`either` is a free choice": Case(
        w("either { calls P.Do { timeout 1s  attempts unlimited } } or { fails }") + do(SURE),
        set(), PROVED, {"done": 0, "failed": 0},
    ),
    "`for each`: none, one or two": Case(
        w("for each thing { emits Extra }  " + CALL)
        + do(SURE) + "service Q { outbox  on Extra { not idempotent  acts \"once each\" } }",
        set(), PROVED + LOOPS, {"done": 0},
    ),
    "`repeat up to 1` has one turn": Case(
        w("repeat up to 1 { emits Asked  awaits Answered }")
        + "service P { outbox  on Asked { idempotent by id  emits Answered } }",
        set(), PROVED + LOOPS, {"done": 0},
    ),
    "`repeat` ends": Case(
        w("repeat { emits Asked  awaits Answered }")
        + "service P { outbox  on Asked { idempotent by id  emits Answered } }",
        set(), PROVED + LOOPS, {"done": 0},
    ),
    "`goto` jumps": Case(
        w("step a calls P.Do { timeout 1s  attempts unlimited }  either { } or { goto a }") + do(SURE),
        set(), PROVED, {"done": 0},
    ),
    "`parallel` waits for all": Case(
        w("parallel { calls P.Do { timeout 1s  attempts unlimited }  calls Q.Next { timeout 1s  attempts unlimited } }")
        + do(SURE) + "service Q { outbox  handles Next { idempotent by id  writes Db.y } }",
        set(), PROVED, {"done": 0},
    ),
    "`parallel`: a branch that is done is undone when another fails": Case(
        w("parallel { step a calls P.Do { timeout 1s  compensate P.Undo { timeout 1s  attempts unlimited } }"
          "  step b calls Q.Next { timeout 1s  attempts unlimited } }")
        + "service P { outbox  handles Do { idempotent by id  writes Db.x }"
        "  handles Undo { compensates Do  idempotent by id  fences  writes Db.x } }"
        "service Q { outbox  handles Next { idempotent by id  fails } }",
        {("B21", 0)},
    ),
    "`parallel`: a branch that gives up leaves the other one done": Case(
        w("parallel { step a calls P.Do { timeout 1s  compensate P.Undo { timeout 1s  attempts unlimited } }"
          "  step b calls Q.Next { timeout 1s  attempts unlimited } }")
        + "service P { outbox  handles Do { idempotent by id  writes Db.x }"
        "  handles Undo { compensates Do  idempotent by id  fences  writes Db.x } }"
        "service Q { outbox  handles Next { idempotent by id  writes Db.y  succeeds or fails } }",
        {("B1", 1)}, "violated (needs 1 fault)", {"done": 0, "failed": 0},
    ),
    "`parallel` without a way back for the one branch": Case(
        w("parallel { step a calls P.Do { timeout 1s  attempts unlimited }"
          "  step b calls Q.Next { timeout 1s  attempts unlimited } }")
        + do(SURE) + "service Q { outbox  handles Next { idempotent by id  writes Db.y  succeeds or fails } }",
        {("B1", 0)}, "violated (needs 0 faults)",
    ),
    "`parallel`: a failing branch waits for the others, which may wait for ever": Case(
        w("parallel { step a calls Q.Next { timeout 1s  attempts unlimited }  branch b { awaits Extra } }")
        + "external service X { on Asked { emits Extra } }"
        "service Q { outbox  handles Next { idempotent by id  writes Db.y  fails } }",
        {("B21", 0)},
    ),
    "`parallel interrupting`: a failing branch stops the others": Case(
        w("parallel interrupting { step a calls Q.Next { timeout 1s  attempts unlimited }"
          "  branch b { emits Asked  awaits Extra } }")
        + "service X { outbox  on Asked { idempotent by id  emits Extra or emits Answered } }"
        "service Q { outbox  handles Next { idempotent by id  writes Db.y  succeeds or fails } }",
        {("B2", 0)}, "violated (needs 0 faults)", {"done": 0, "failed": 0, "fork": 0},
    ),
    "`parallel` in a loop begins anew in each turn": Case(
        w("repeat { parallel { branch a { emits Asked  awaits Answered }  branch b { emits Extra  awaits Refused } } }")
        + "service P { outbox  on Asked { idempotent by id  emits Answered }  on Extra { idempotent by id  emits Refused } }",
        set(), PROVED + LOOPS, {"done": 0},
    ),
    "`parallel any`: the first one wins": Case(
        w("parallel any { calls P.Do { timeout 1s  attempts unlimited }  branch b { emits Asked  awaits Extra } }")
        + do(SURE) + "service X { outbox  on Asked { idempotent by id  emits Extra or emits Answered } }",
        set(), "", {"done": 0},
    ),
    "the workflow's own limit fires where no inner one can": Case(
        w("timeout 1h  emits Asked  awaits Answered")
        + "service P { outbox  on Asked { idempotent by id  writes Db.x  emits Answered or fails Refused } }",
        set(), PROVED, {"done": 0, "failed": 0},
    ),
    "an external event is owed": Case(
        "external event Told\n" + w("awaits Told"), set(), PROVED, {"done": 0}
    ),
    "`on unexpected park` keeps what comes early": Case(
        w("on unexpected park  emits Asked  awaits Answered  awaits Extra")
        + "service P { outbox  on Asked { idempotent by id  emits Answered, Extra } }",
        set(), "", {"done": 0},
    ),
    "`on unexpected drop` throws it away": Case(
        w("on unexpected drop  emits Asked  awaits Answered  awaits Extra")
        + "channel one { unordered }\nchannel other { unordered }\n"
        "event Answered2 via one\nservice P { outbox  on Asked { idempotent by id  emits Answered } }"
        "service Q { outbox  on Asked { idempotent by id  emits Extra } }",
        {("B5", 0)}, "violated (needs 0 faults)", {"done": 0, "await": 0},
    ),
    "`on unexpected fail` is an error": Case(
        w("on unexpected fail  emits Asked  awaits Answered  awaits Extra")
        + "service P { outbox  on Asked { idempotent by id  emits Answered } }"
        "service Q { outbox  on Asked { idempotent by id  emits Extra } }",
        {("B5", 0)}, "violated (needs 0 faults)", {"done": 0, "broken": 0},
    ),
    "guards that complement each other exclude each other": Case(
        w("emits Asked  awaits Answered")
        + "service P { outbox  on Asked { when \"total > 100\"  idempotent by id  emits Answered } }"
        "service Q { outbox  on Asked { when \"total <= 100\"  idempotent by id  writes Db.x } }",
        {("B2", 0)}, "violated (needs 0 faults)", {"done": 0, "await": 0},
    ),
    "guards about different fields do not": Case(
        w("emits Asked  awaits Answered")
        + "service P { outbox  on Asked { when \"total > 100\"  idempotent by id  emits Answered } }"
        "service Q { outbox  on Asked { when \"weight <= 100\"  idempotent by id  writes Db.x } }",
        set(), PROVED, {"done": 0},
    ),
    # ---- 2.5 moves and prices
    "T2: the broker delivers again": Case(
        "channel c { delivery at-least-once }\ncommand Go via c\n" + w("sends P.Go")
        + 'service P { outbox  handles Go { not idempotent  acts "once" } }',
        {("B8", 1)}, "violated (needs 1 fault)",
    ),
    "T2: not over a channel that delivers once": Case(
        "channel c { delivery exactly-once }\ncommand Go via c\n" + w("sends P.Go")
        + 'service P { outbox  handles Go { not idempotent  acts "once" } }',
        set(), PROVED,
    ),
    "T4: at most once": Case(
        "channel c { delivery at-most-once }\nevent Told via c\n" + w("emits Asked  awaits Told")
        + "service P { outbox  on Asked { idempotent by id  emits Told } }",
        {("B2", 1)}, "violated (needs 1 fault)", {"done": 0, "await": 1},
    ),
    "T4: given up and not kept": Case(
        "channel c { delivery at-least-once  no dead-letter }\nevent Told via c\n" + w("emits Told  awaits Answered")
        + "service P { outbox  on Told { attempts 3  idempotent by id  emits Answered } }",
        {("B2", 1)}, "violated (needs 1 fault)", {"done": 0, "await": 1},
    ),
    "T5: a late timer is free, inner before outer": Case(
        w("timeout 1h  emits Asked  awaits Answered within 1m  ")
        + "service P { outbox  on Asked { idempotent by id  writes Db.x  emits Answered or fails Refused } }",
        set(), PROVED, {"done": 0, "failed": 0},
    ),
    "T6: an early timer costs one fault, however many attempts it outlasts": Case(
        w("step a calls P.Do { timeout 1s  attempts 3 }") + do(SURE),
        {("B11", 1)}, "violated (needs 1 fault)", {"done": 0, "failed": 1},
    ),
    "T7: effects without publications": Case(
        "channel c { delivery at-least-once }\nevent Told via c\n" + w("emits Told  awaits Answered")
        + "service P { no outbox  on Told { idempotent by id  writes Db.x  emits Answered } }",
        {("B13", 1)}, PROVED, {"done": 0},  # a candidate: nobody says whether it re-emits
    ),
    "T7: what is recognised is published again": Case(
        "channel c { delivery at-least-once }\nevent Told via c\n" + w("emits Told  awaits Answered")
        + "service P { no outbox  on Told { idempotent by id  re-emits  writes Db.x  emits Answered } }",
        set(), PROVED, {"done": 0},
    ),
    "T7: behind an outbox there is no crash": Case(
        "channel c { delivery at-least-once }\nevent Told via c\n" + w("emits Told  awaits Answered")
        + "service P { outbox  on Told { idempotent by id  writes Db.x  emits Answered } }",
        set(), PROVED, {"done": 0},
    ),
    "T8: saved, and what follows is never sent": Case(
        "workflow W in Loose { starts on Start  idempotent by id  state in Db  emits Asked  awaits Answered }"
        "service Loose { no outbox }"
        "service P { outbox  on Asked { idempotent by id  writes Db.x  emits Answered } }",
        {("B14", 1)}, "violated (needs 1 fault)", {"done": 0, "await": 1},
    ),
    "T3: what one channel does not order may be overtaken": Case(
        "channel c { unordered }\nevent First, Second via c\n" + w("on unexpected drop  emits Asked  awaits First  awaits Second")
        + "service P { outbox  on Asked { idempotent by id  emits First  emits Second } }",
        {("B15", 0)}, "violated (needs 0 faults)", {"done": 0, "await": 0},
    ),
    "T3: an ordered channel keeps the order": Case(
        "channel c { ordered }\nevent First, Second via c\n" + w("on unexpected drop  emits Asked  awaits First  awaits Second")
        + "service P { outbox  on Asked { idempotent by id  emits First  emits Second } }",
        set(), "", {"done": 0},
    ),
    "T8: a workflow in memory": Case(
        "workflow W in Own { starts on Start  idempotent by id  state memory"
        "  step a calls P.Do { timeout 1s  attempts unlimited }  step b calls Q.Next { timeout 1s  attempts unlimited } }"
        + do(SURE) + "service Q { outbox  handles Next { idempotent by id  writes Db.y } }",
        {("B14", 1)}, "violated (needs 1 fault)", {"done": 0, "lost": 1},
    ),
    "T9: parked": Case(
        "channel dead { queue }\nchannel c { delivery at-least-once  dead-letter dead after 3 }\nevent Told via c\n"
        + w("emits Told  awaits Answered") + "service P { outbox  on Told { idempotent by id  emits Answered } }",
        {("B16", 1)}, "violated (needs 1 fault)", {"done": 0, "await": 1},
    ),
    "T9: parked and looked after": Case(
        "channel dead { queue }\nchannel c { delivery at-least-once  dead-letter dead after 3 }\nevent Told via c\n"
        "monitor M { watches dead }\n"
        + w("emits Told  awaits Answered") + "service P { outbox  on Told { idempotent by id  emits Answered } }",
        set(), PROVED, {"done": 0},
    ),
    "T10: the client may ask again": Case(
        "workflow W in Own { starts on Start  not idempotent  state in Db  " + CALL + " }" + do(SURE),
        {("B8", 1)}, "violated (needs 1 fault)",
    ),
}  # fmt: skip


def design_of(text: str, profile: str = "default") -> Design:
    design = load("case.coord", stdin=Source("case.coord", HEAD + text), profile=profile)
    assert [problem.message for problem in design.problems] == []
    return design


@pytest.mark.parametrize("name", CASES)
def test_a_row_of_the_semantics(name: str):
    case = CASES[name]
    design = design_of(case.text)
    verification = Verification(design.index, design.sagas, Settings())
    told = [one for one in verification.told if one.violation.code not in {"B6", "B19"}]
    assert {(one.violation.code, one.violation.faults) for one in told} == case.violations
    for one in told:
        assert sum(step.fault for step in one.steps) == one.violation.faults
    (verdict,) = verification.verdicts
    if case.verdict:
        assert verdict.words == case.verdict
    if case.ends is not None:
        assert ends(design) == case.ends


def ends(design: Design) -> dict[str, int]:
    """The places where the workflow can rest, each with the least number of faults."""
    (scene,) = scenes(design.index)
    compiled = compile_scene(design.index, scene)
    search = Search(Space(compiled.tables))
    assert list(search.run(2))
    (number,) = [n for n, one in compiled.threads.items() if one.parent is None and one.process.kind == "workflow"]
    found: dict[str, int] = {}
    for state in search.terminals:
        where = compiled.threads[number].spots[search.space.local(state, number)].where[0]
        found[where] = min(found.get(where, 9), search.layers[state])
    return found


# ------------------------------------------------------------------------------------------------ the examples of the rules

FAULTS = {
    "VER001": 0, "VER002": 0, "VER003": 0, "VER004": 0, "VER005": 0, "VER006": 0, "VER007": 0, "VER008": 1, "VER009": 1,
    "VER010": 1, "VER011": 1, "VER012": 1, "VER013": 1, "VER014": 1, "VER015": 0, "VER016": 1, "VER019": 0, "VER020": 0,
    "VER021": 0,
}  # fmt: skip
IN_OTHERS = {("VER002", 1): 1}
"""By rule and number of the example, from 0: where another bad example of a rule needs another number."""
ONLY_SEARCHED = {"VER015"}
"""Their cure is an order of messages, which proof mode forgets."""

EXAMPLES = {entry.code: document(entry) for entry in index() if entry.code in FAULTS}


@pytest.mark.parametrize("code", FAULTS)
def test_a_bad_example_needs_exactly_so_many_faults(code: str):
    for number, example in enumerate(EXAMPLES[code].bad):
        design = load("bad.coord", stdin=Source("bad.coord", example.text), profile=example.profile)
        told = Verification(design.index, design.sagas, Settings()).told
        assert {(f"VER{int(one.violation.code[1:]):03}", one.violation.faults) for one in told} == {
            (code, IN_OTHERS.get((code, number), FAULTS[code]))
        }


@pytest.mark.parametrize("code", FAULTS)
def test_a_good_example_holds(code: str):
    for example in EXAMPLES[code].good:
        design = load("good.coord", stdin=Source("good.coord", example.text), profile=example.profile)
        verification = Verification(design.index, design.sagas, Settings())
        assert verification.told == []
        words = {verdict.words for verdict in verification.verdicts}
        assert words == {"holds up to 2 faults" if code in ONLY_SEARCHED else PROVED}


# ------------------------------------------------------------------------------------------------ what nobody says

UNSAID = (
    "channel c { delivery at-least-once }\ncommand Go via c\n" + w("sends P.Go")
    + 'service P { outbox  handles Go { acts "once" } }'
)  # fmt: skip


def test_what_nobody_says_is_a_candidate_that_names_the_fact():
    design = design_of(UNSAID)
    (told,) = Verification(design.index, design.sagas, Settings()).told
    assert (told.violation.code, told.violation.faults) == ("B8", 1)
    assert [one.text for one in told.assumes] == ["`Go` is not idempotent"]
    assert told.repairs == ("make `Go` idempotent",)
    assert told.tried >= 1


@pytest.mark.parametrize("profile", ["strict", "production"])
def test_what_nobody_says_counts_as_absent_under_the_strict_profiles(profile: str):
    design = design_of(UNSAID, profile)
    (told,) = [one for one in design.verification.told if one.violation.code == "B8"]
    assert told.assumes == ()
    assert "`Go` is not idempotent" in [one.text for one in told.unsaid]
    (verdict,) = design.verification.verdicts
    assert verdict.violated == 1


def test_a_run_says_which_branches_it_takes_for_possible():
    design = design_of(w("either { } or { calls P.Do { no timeout } }") + do(SURE))
    (told,) = Verification(design.index, design.sagas, Settings()).told
    assert [action.kind for action in told.supposes] == ["choice"]


def test_waits_that_end_for_one_reason_are_one_finding():
    body = "step a calls P.Do { no timeout }  step b calls Q.Next { no timeout }"
    design = design_of(w(body) + do(SURE) + "service Q { outbox  handles Next { idempotent by id  writes Db.y } }")
    (told,) = Verification(design.index, design.sagas, Settings()).told
    assert "`Do`" in told.violation.text
    assert ["`Next`" in also.text for also in told.violation.also] == [True]
