"""Events: reachability and outcomes held against brute force on random designs, the laws of the EVT rules, and their corners."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from random import Random
from typing import NamedTuple

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from coordlint.analysis.orphans import _near
from coordlint.analysis.outcomes import contradictions, silent_ends
from coordlint.check import check, select_rules
from coordlint.design import Design, load
from coordlint.finding import Finding
from coordlint.names import is_near
from coordlint.source import Source
from coordlint.system import Action

quick = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))


def read(text: str, profile: str = "default") -> Design:
    return load("design.coord", stdin=Source("design.coord", textwrap.dedent(text)), profile=profile)


def findings(design: Design, *codes: str) -> list[Finding]:
    selection = select_rules(select=codes or ("EVT",), profile=design.profile)
    result = check(design, selection)
    assert result.crashes == ()
    return [finding for finding in result.findings if finding.code.startswith(codes or ("EVT",))]


def codes(text: str, profile: str = "default") -> Counter[str]:
    return Counter(finding.code for finding in findings(read(text, profile)))


def only(text: str, code: str, profile: str = "default") -> Finding:
    """The one finding of a design, which has that code."""
    found = findings(read(text, profile))
    assert [finding.code for finding in found] == [code], [finding.message for finding in found]
    return found[0]


# ------------------------------------------------------------------------------------------------ small random designs


class Statement(NamedTuple):
    """A statement: its kind, what it names, and its blocks. Every ``acts`` has a name of its own."""

    kind: str
    name: str = ""
    blocks: tuple[tuple[Statement, ...], ...] = ()


class Body(NamedTuple):
    """A handler: its service, what starts it (``on`` any or ``all`` of its messages, ``handles``, ``every``), and its statements."""

    service: str
    kind: str
    triggers: tuple[str, ...]
    statements: tuple[Statement, ...]


class Plan(NamedTuple):
    """A design as the test means it; what coordlint reads is its text. ``entries`` are emitted by somebody outside."""

    bodies: tuple[Body, ...]
    entries: tuple[str, ...]
    start: str
    goals: tuple[str, ...]
    all_goals: bool
    failure: str

    @property
    def text(self) -> str:
        lines = [f"event {name}" for name in EVENTS] + [f"command {name}" for name in COMMANDS]
        lines += [f"external service Outside {{ {' '.join(f'emits {one}' for one in self.entries)} }}"]
        for service in sorted({body.service for body in self.bodies}):
            lines.append(f"service {service} {{")
            for body in self.bodies:
                if body.service == service:
                    lines += [f"  {_trigger(body)} {{", *_lines(body.statements, "    "), "  }"]
            lines.append("}")
        goal = (" and " if self.all_goals else " or ").join(self.goals)
        lines += ["flow Journey {", f"  starts with {self.start}", f"  succeeds with {goal}"]
        lines += [f"  fails with {self.failure}", "}"]
        return "\n".join(lines) + "\n"


EVENTS = tuple(f"{word}Happened" for word in ("Alpha", "Bravo", "Charlie", "Delta", "Echelon"))
COMMANDS = ("Execute", "Finalise")


def _trigger(body: Body) -> str:
    if body.kind == "every":
        return "every 1h"
    if body.kind == "handles":
        return f"handles {body.triggers[0]}"
    return f"on {(' and ' if body.kind == 'all' else ' or ').join(body.triggers)}"


def _lines(statements: Iterable[Statement], indent: str) -> Iterator[str]:
    for one in statements:
        if one.kind == "either":
            first, second = one.blocks
            yield f"{indent}either {{"
            yield from _lines(first, indent + "  ")
            yield f"{indent}}} or {{"
            yield from _lines(second, indent + "  ")
            yield f"{indent}}}"
        elif one.kind == "parallel":
            yield f"{indent}parallel {{"
            for block in one.blocks:
                yield f"{indent}  branch {{"
                yield from _lines(block, indent + "    ")
                yield f"{indent}  }}"
            yield f"{indent}}}"
        elif one.kind == "acts":
            yield f'{indent}acts "{one.name}"'
        else:
            yield f"{indent}{one.kind} {one.name}".rstrip()


def _statements(
    random: Random, depth: int, names: Iterator[int], kinds: tuple[str, ...], events: tuple[str, ...] = EVENTS
) -> tuple[Statement, ...]:
    found = [Statement("acts", f"step {next(names)}")]
    for _ in range(random.randint(0, 2)):
        kind = random.choice([one for one in kinds if depth or one not in {"either", "parallel"}])
        if kind in {"either", "parallel"}:
            blocks = tuple(_statements(random, depth - 1, names, kinds, events) for _ in range(2))
            found.append(Statement(kind, "", blocks))
        elif kind == "fails":
            found.append(Statement("fails"))
            return tuple(found)
        else:
            found.append(Statement(kind, random.choice(events if kind in {"emits", "awaits"} else COMMANDS)))
        found.append(Statement("acts", f"step {next(names)}"))
    return tuple(found)


KINDS = ("emits", "emits", "emits", "calls", "sends", "awaits", "either", "parallel", "fails")


@st.composite
def plans(draw: st.DrawFn, kinds: tuple[str, ...] = KINDS, depth: int = 2) -> Plan:
    """Up to six handlers over five events and two commands, each command with one handler."""
    random = Random(draw(st.integers(0, 2**32)))
    names = itertools.count()
    bodies = [
        Body(f"S{i}", "handles", (command,), _statements(random, depth, names, kinds))
        for i, command in enumerate(COMMANDS)
    ]
    for number in range(random.randint(1, 4)):
        kind = random.choice(("any", "any", "any", "all", "every"))
        triggers = tuple(random.sample(EVENTS, random.choice((1, 1, 2)))) if kind != "every" else ()
        bodies.append(Body(f"S{number % 3}", kind, triggers, _statements(random, depth, names, kinds)))
    entries = tuple(random.sample(EVENTS, random.randint(0, 1)))
    goals = tuple(random.sample(EVENTS, random.choice((1, 1, 2))))
    failure = random.choice([event for event in EVENTS if event not in goals])
    return Plan(tuple(bodies), entries, random.choice(EVENTS), goals, random.random() < 0.5, failure)


@st.composite
def lively_plans(draw: st.DrawFn, kinds: tuple[str, ...], depth: int) -> Plan:
    """Plans in which each handler reacts to the start or to what a handler before it publishes, and the goals are published."""
    random = Random(draw(st.integers(0, 2**32)))
    names = itertools.count()
    start, *others = random.sample(EVENTS, len(EVENTS))
    known = [start]
    bodies = []
    for number in range(random.randint(2, 5)):
        triggers = tuple(dict.fromkeys(random.choices(known, k=random.choice((1, 1, 2)))))
        kind = random.choice(("any", "any", "any", "all"))
        body = Body(f"S{number % 4}", kind, triggers, _statements(random, depth, names, kinds, tuple(others)))
        known += [event for event in _published(body.statements) if event not in known]
        bodies.append(body)
    goal, failure = random.choice(known[1:] or others), random.choice(others)
    return Plan(tuple(bodies), (), start, (goal,), False, failure if failure != goal else start)


def _published(statements: Iterable[Statement]) -> Iterator[str]:
    for one in statements:
        if one.kind == "emits":
            yield one.name
        for block in one.blocks:
            yield from _published(block)


# ------------------------------------------------------------------------------------------------ the oracle: what can happen


class World:
    """Plays a plan by its text, over and over, until nothing new happens: entries fire as often as they like.

    Attributes:
        sent: the messages that can be sent.
        done: the ``acts`` that can be reached.
    """

    def __init__(self, plan: Plan, roots: Iterable[str], *, timers: bool) -> None:
        self.plan = plan
        self.sent = set(roots)
        self.done: set[str] = set()
        self.answered: set[str] = set()
        self.timers = timers
        before = None
        while before != (len(self.sent), len(self.done), len(self.answered)):
            before = (len(self.sent), len(self.done), len(self.answered))
            for body in plan.bodies:
                if self.starts(body) and self.play(body.statements) and body.kind == "handles":
                    self.answered.add(body.triggers[0])

    def starts(self, body: Body) -> bool:
        if body.kind == "every":
            return self.timers
        arrived = [trigger in self.sent for trigger in body.triggers]
        return all(arrived) if body.kind == "all" else any(arrived)

    def play(self, statements: Iterable[Statement]) -> bool:
        """Whether the end of the statements can be reached; what is reached on the way is noted."""
        for one in statements:
            if one.kind == "acts":
                self.done.add(one.name)
            elif one.kind in {"emits", "sends"}:
                self.sent.add(one.name)
            elif one.kind == "calls":
                self.sent.add(one.name)
                if one.name not in self.answered:
                    return False
            elif one.kind == "awaits":
                if one.name not in self.sent:
                    return False
            elif one.kind == "fails":
                return False
            else:
                ended = [self.play(block) for block in one.blocks]
                if not (all(ended) if one.kind == "parallel" else any(ended)):
                    return False
        return True

    @property
    def succeeds(self) -> bool:
        reached = [goal in self.sent for goal in self.plan.goals]
        return all(reached) if self.plan.all_goals else any(reached)


def acts(design: Design) -> dict[str, Action]:
    return {action.text: action for action in design.system.actions if action.kind == "act"}


@quick
@given(plans())
def test_what_is_live_is_what_a_play_of_the_design_reaches(plan: Plan) -> None:
    design = read(plan.text)
    world = World(plan, {*plan.entries, plan.start}, timers=True)
    live = {name for name, action in acts(design).items() if design.causality.is_live(action)}
    assert live == world.done


@quick
@given(plans())
def test_the_level_of_a_flow_is_the_fewest_entries_that_play_to_its_goal(plan: Plan) -> None:
    (view,) = read(plan.text).flows
    worlds = (
        World(plan, {plan.start}, timers=False),
        World(plan, {plan.start}, timers=True),
        World(plan, {plan.start, *plan.entries}, timers=True),
    )
    assert view.level == next((level for level, world in enumerate(worlds) if world.succeeds), None)


@quick
@given(plans())
def test_every_standstill_has_exactly_one_explanation(plan: Plan) -> None:
    design = read(plan.text)
    liveness, causality = design.liveness, design.causality
    dead = {process for process in design.system.processes if causality.done(process.start) not in causality.live}
    subscribers = [place.process for one in design.orphans.unpublished for place in one.places if place.action is None]
    told = [process for one in liveness.of_event.values() for process in one.processes]
    caused = [member.process for cause in liveness.causes for member in cause.members if member.action is None]
    follows = [one.process for cause in liveness.causes for one in cause.follows if one.action is None]
    assert dead <= {*subscribers, *told, *caused, *follows, *behind_dead_statements(design)}
    assert {*told, *caused, *follows} <= dead
    assert not [process for process, times in Counter([*told, *caused, *follows]).items() if times > 1]


def behind_dead_statements(design: Design) -> set[object]:
    """The processes that only wait for statements which control never reaches; SAG307 speaks of those statements."""
    shown = [cause.members for cause in design.liveness.causes]
    hidden = {number for number, group in enumerate(design.liveness._groups) if group not in shown}
    return {process for process, number in design.liveness._cause_of.items() if number in hidden}


@quick
@given(plans())
def test_publishing_what_is_missing_ends_every_standstill_that_it_is_said_to_explain(plan: Plan) -> None:
    design = read(plan.text)
    missing = {one.event.name for one in design.orphans.unpublished}
    assume(missing)
    repaired = read(plan.text.replace("external service Outside {", f"external service Outside {{ {_emits(missing)}"))
    live = {process.path for process in repaired.system.processes if repaired.causality.is_live(process.start)}
    live &= {
        process.path
        for process in repaired.system.processes
        if repaired.causality.done(process.start) in repaired.causality.live
    }
    for consequences in design.liveness.of_event.values():
        assert {process.path for process in consequences.processes} <= live
        for view in consequences.flows:
            assert repaired.flows[0].level is not None
            assert view.level is None or repaired.flows[0].level <= view.level
    assert "EVT202" not in {finding.code for finding in findings(repaired)}


def _emits(events: Iterable[str]) -> str:
    return " ".join(f"emits {event}" for event in sorted(events))


@quick
@given(plans())
def test_every_goal_out_of_reach_is_told_and_no_other(plan: Plan) -> None:
    design = read(plan.text)
    (view,) = design.flows
    liveness = design.liveness
    told = [one for consequences in liveness.of_event.values() for one in consequences.flows]
    told += [one for cause in liveness.causes for one in cause.flows]
    told += [one.view for one in liveness.unreached]
    hidden = [one for one, number in liveness._flows_by_cause if liveness._groups[number] not in shown_groups(design)]
    assert bool(told or hidden) == (view.level not in {0, 1})
    assert not (liveness.unreached and len(told) + len(hidden) > 1)


def shown_groups(design: Design) -> list[object]:
    return [cause.members for cause in design.liveness.causes]


# ------------------------------------------------------------------------------------------------ the oracle: single runs


def runs(plan: Plan) -> Iterator[tuple[dict[str, int], set[str], set[str]]]:
    """Every run of one instance from the start of the flow: the choices it made, what was sent, and what was done.

    A choice is named by its first ``acts``. Each handler runs once; a wait goes on when its message is sent in the same run.
    """
    choices = [one for body in plan.bodies for one in _choices(body.statements)]
    for picks in itertools.product((0, 1), repeat=len(choices)):
        chosen = {_first_act(choice): pick for choice, pick in zip(choices, picks, strict=True)}
        run = Run(plan, chosen)
        yield {name: pick for name, pick in chosen.items() if name in run.made}, run.sent, run.done


def _choices(statements: Iterable[Statement]) -> Iterator[Statement]:
    for one in statements:
        if one.kind == "either":
            yield one
        for block in one.blocks:
            yield from _choices(block)


def _first_act(choice: Statement) -> str:
    return choice.blocks[0][0].name


class Run(World):
    """A world in which every choice falls in one way only."""

    def __init__(self, plan: Plan, chosen: dict[str, int]) -> None:
        self.chosen = chosen
        self.made: set[str] = set()
        super().__init__(plan, {plan.start}, timers=False)

    def play(self, statements: Iterable[Statement]) -> bool:
        decided = []
        for one in statements:
            if one.kind == "either":
                # What follows a choice is played as part of the branch that it takes.
                name = _first_act(one)
                if not super().play(decided):
                    return False
                decided = []
                self.made.add(name)
                if not self.play(one.blocks[self.chosen[name]]):
                    return False
            else:
                decided.append(one)
        return super().play(decided)


FEW = ("emits", "emits", "emits", "sends", "calls", "either", "fails")


@quick
@given(lively_plans(("emits", "emits", "emits", "either"), depth=1))
def test_a_contradictory_outcome_is_one_run_with_both_goals(plan: Plan) -> None:
    design = read(plan.text)
    (view,) = design.flows
    assume(view.level in {None, 0})  # runs that a timer begins are not among the runs of the oracle
    found = contradictions(design.causality, view)
    both = any(Run.succeeds.fget(_ended(plan, sent)) and plan.failure in sent for _, sent, _ in runs(plan))  # type: ignore[attr-defined]
    if found:
        assert both


class Ended(NamedTuple):
    plan: Plan
    sent: set[str]


def _ended(plan: Plan, sent: set[str]) -> Ended:
    return Ended(plan, sent)


@quick
@given(plans(("emits", "emits", "sends", "calls"), depth=0))
def test_without_choices_both_goals_in_a_run_are_a_contradictory_outcome(plan: Plan) -> None:
    """Joined triggers end a path, so only designs without them are held against the oracle in this direction."""
    assume(all(body.kind != "all" or len(body.triggers) == 1 for body in plan.bodies))
    assume(not plan.all_goals or len(plan.goals) == 1)
    design = read(plan.text)
    ((_, sent, _),) = runs(plan)
    both = any(goal in sent for goal in plan.goals) and plan.failure in sent
    assert bool(contradictions(design.causality, design.flows[0])) == both


@quick
@given(lively_plans(("emits", "emits", "emits", "either"), depth=1))
def test_a_branch_without_an_outcome_is_one_in_which_every_run_ends_without_a_goal(plan: Plan) -> None:
    design = read(plan.text)
    (view,) = design.flows
    assume(view.level == 0 and plan.failure != plan.start)
    names = {action.id: name for name, action in acts(design).items()}
    for end in silent_ends(design.causality, view):
        branch = names[end.branch.id]
        for _, sent, done in runs(plan):
            if branch in done:
                assert plan.failure not in sent
                assert not Run.succeeds.fget(_ended(plan, sent))  # type: ignore[attr-defined]


@quick
@given(lively_plans(("emits", "emits", "emits", "either"), depth=1))
def test_a_handler_that_runs_per_branch_is_started_twice_in_one_run(plan: Plan) -> None:
    design = read(plan.text)
    for rerun in design.forks.reruns():
        holds = design.causality.graph.reached(design.flows[0].starts)
        if any(design.causality.entered(one) not in holds for one in (rerun.first, rerun.second)):
            continue  # runs that begin with a timer or outside are not among the runs of the oracle
        beside = [_act_before(design, one) for one in (rerun.first, rerun.second)]
        assert any(set(beside) <= done for _, _, done in runs(plan))


def _act_before(design: Design, emit: Action) -> str:
    """The ``acts`` that stands right before a statement of a generated body."""
    before = design.system.actions[emit.id - 1]
    assert before.kind == "act"
    return before.text


# ------------------------------------------------------------------------------------------------ laws


NAMES = (*EVENTS, *COMMANDS, "S0", "S1", "S2", "S3", "Outside", "Journey")


def renamed(text: str, names: dict[str, str]) -> str:
    return re.sub("|".join(sorted(names, key=len, reverse=True)), lambda match: names[match[0]], text)


@quick
@given(plans())
def test_renaming_renames_the_findings(plan: Plan) -> None:
    """With the order of the names kept, so that of several equal witnesses the same one is shown."""
    names = {name: f"{name}Renamed" for name in NAMES}
    before = [(f.code, f.severity, f.primary.span.line, renamed(f.message, names)) for f in findings(read(plan.text))]
    after = [(f.code, f.severity, f.primary.span.line, f.message) for f in findings(read(renamed(plan.text, names)))]
    assert sorted(before) == sorted(after)


@quick
@given(plans(), st.permutations(NAMES))
def test_no_finding_depends_on_the_order_of_names(plan: Plan, order: list[str]) -> None:
    words = (
        "Zulu",
        "Yankee",
        "Xray",
        "Whisky",
        "Victor",
        "Uniform",
        "Tango",
        "Sierra",
        "Romeo",
        "Quebec",
        "Papa",
        "Oscar",
        "Nov",
    )
    names = dict(zip(order, words, strict=True))
    text = plan.text
    assert Counter(f.code for f in findings(read(text))) == Counter(
        f.code for f in findings(read(renamed(text, names)))
    )


@quick
@given(plans(), st.randoms(use_true_random=False))
def test_no_finding_depends_on_the_order_of_declarations(plan: Plan, random: Random) -> None:
    blocks = plan.text.replace("\n}\n", "\n}\n\f").replace("\nexternal", "\n\fexternal").split("\f")
    head, *rest = blocks
    lines = head.splitlines(keepends=True)
    shuffled = [*lines, *rest]
    random.shuffle(shuffled)
    moved = "".join(shuffled)
    assert sorted(f.message for f in findings(read(moved))) == sorted(f.message for f in findings(read(plan.text)))


@quick
@given(plans(), plans())
def test_an_unrelated_flow_changes_nothing_elsewhere(plan: Plan, other: Plan) -> None:
    elsewhere = renamed(other.text, {name: f"Other{name}" for name in NAMES})
    apart = [f.message for text in (plan.text, elsewhere) for f in findings(read(text))]
    together = [f.message for f in findings(read(plan.text + elsewhere))]
    assert sorted(together) == sorted(apart)


@quick
@given(plans())
def test_a_stricter_profile_takes_no_finding_back(plan: Plan) -> None:
    found = [{(f.code, f.subject): f.severity for f in findings(read(plan.text, profile))} for profile in PROFILES]
    for mild, strict in itertools.pairwise(found):
        for key, severity in mild.items():
            assert severity is not None
            assert strict[key] is not None
            assert strict[key] >= severity


PROFILES = ("default", "strict", "production")


@quick
@given(plans())
def test_listening_to_everything_leaves_no_event_unheard_and_adds_nothing_else(plan: Plan) -> None:
    listener = f"service Zebra {{ on {' or '.join(EVENTS)} {{ projection }} }}\n"
    before = {(f.code, f.subject) for f in findings(read(plan.text))}
    after = {(f.code, f.subject) for f in findings(read(plan.text + listener))}
    assert not [code for code, _ in after if code == "EVT201"]
    # An event that nobody publishes may have had no subscriber before either.
    assert {key for key in after - before if key[0] != "EVT202"} == set()


@quick
@given(plans())
def test_declaring_handlers_idempotent_answers_every_rerun_and_adds_nothing(plan: Plan) -> None:
    text = plan.text
    idempotent = re.sub(r"^(  (on|handles|every) .* \{)$", r"\1 idempotent", text, flags=re.MULTILINE)
    assert idempotent.count("idempotent") == len(plan.bodies)
    before = {(f.code, f.subject) for f in findings(read(text))}
    after = {(f.code, f.subject) for f in findings(read(idempotent))}
    assert after <= before
    assert not [code for code, _ in after if code == "EVT209"]


letters = st.text(alphabet="abAB", min_size=4, max_size=9)


@settings(max_examples=200, deadline=None)
@given(st.lists(letters, max_size=12, unique=True), st.lists(letters, max_size=12, unique=True))
def test_near_names_are_found_as_by_comparing_all(left: list[str], right: list[str]) -> None:
    pairs = {(i, j) for i, one in enumerate(left) for j, other in enumerate(right) if is_near(one, other)}
    assert set(_near(left, right)) == pairs
