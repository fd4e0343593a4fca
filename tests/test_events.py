"""Events: reachability and outcomes held against brute force on random designs, the laws of the EVT rules, and their corners."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from coordlint.analysis.orphans import _near
from coordlint.analysis.outcomes import contradictions, silent_ends
from coordlint.check import check, select_rules
from coordlint.design import Design, load
from coordlint.finding import Finding, Severity
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
    assume(design.flows[0].level in {0, None})  # the oracle plays what the flow starts with, and no timers beside it
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


any_plans = st.one_of(plans(), lively_plans(KINDS, depth=1), lively_plans(("emits", "either"), depth=1))

NAMES = (*EVENTS, *COMMANDS, "S0", "S1", "S2", "S3", "Outside", "Journey")


def renamed(text: str, names: dict[str, str]) -> str:
    return re.sub("|".join(sorted(names, key=len, reverse=True)), lambda match: names[match[0]], text)


@quick
@given(any_plans)
def test_renaming_renames_the_findings(plan: Plan) -> None:
    """With the order of the names kept, so that of several equal witnesses the same one is shown."""
    names = {name: f"{name}Renamed" for name in NAMES}
    before = [(f.code, f.severity, f.primary.span.line, renamed(f.message, names)) for f in findings(read(plan.text))]
    after = [(f.code, f.severity, f.primary.span.line, f.message) for f in findings(read(renamed(plan.text, names)))]
    assert sorted(before) == sorted(after)


@quick
@given(any_plans, st.permutations(NAMES))
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
@given(any_plans, st.randoms(use_true_random=False))
def test_no_finding_depends_on_the_order_of_declarations(plan: Plan, random: Random) -> None:
    blocks = plan.text.replace("\n}\n", "\n}\n\f").replace("\nexternal", "\n\fexternal").split("\f")
    head, *rest = blocks
    lines = head.splitlines(keepends=True)
    shuffled = [*lines, *rest]
    random.shuffle(shuffled)
    moved = "".join(shuffled)
    assert sorted(f.message for f in findings(read(moved))) == sorted(f.message for f in findings(read(plan.text)))


@quick
@given(any_plans, any_plans)
def test_an_unrelated_flow_changes_nothing_elsewhere(plan: Plan, other: Plan) -> None:
    elsewhere = renamed(other.text, {name: f"Other{name}" for name in NAMES})
    apart = [f.message for text in (plan.text, elsewhere) for f in findings(read(text))]
    together = [f.message for f in findings(read(plan.text + elsewhere))]
    assert sorted(together) == sorted(apart)


@quick
@given(any_plans)
def test_a_stricter_profile_takes_no_finding_back(plan: Plan) -> None:
    found = [{(f.code, f.subject): f.severity for f in findings(read(plan.text, profile))} for profile in PROFILES]
    for mild, strict in itertools.pairwise(found):
        for key, severity in mild.items():
            assert severity is not None
            assert strict[key] is not None
            assert strict[key] >= severity


PROFILES = ("default", "strict", "production")


@quick
@given(any_plans)
def test_listening_to_everything_leaves_no_event_unheard_and_adds_nothing_else(plan: Plan) -> None:
    listener = f"service Zebra {{ on {' or '.join(EVENTS)} {{ projection }} }}\n"
    before = {(f.code, f.subject) for f in findings(read(plan.text))}
    after = {(f.code, f.subject) for f in findings(read(plan.text + listener))}
    assert not [code for code, _ in after if code == "EVT201"]
    # An event that nobody publishes may have had no subscriber before either.
    assert {key for key in after - before if key[0] != "EVT202"} == set()


@quick
@given(any_plans)
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


# ------------------------------------------------------------------------------------------------ orphans


SHOP = """
event OrderPlaced
external service Shop { emits OrderPlaced }
"""


def test_a_monitor_of_its_channel_makes_an_unheard_event_information() -> None:
    text = (
        SHOP
        + """
        channel facts { topic }
        event OrderPacked via facts
        service Warehouse { on OrderPlaced emits OrderPacked }
    """
    )
    assert only(text, "EVT201").severity == Severity.WARNING
    assert only(text + "monitor Watch { watches facts }", "EVT201").severity == Severity.INFO
    assert only(text.replace("{ topic }", "{ topic  archive }"), "EVT201", "production").severity == Severity.INFO


@pytest.mark.parametrize(
    "declaration",
    ["public event OrderPacked", "external event OrderPacked", "event OrderPacked { terminal }", "event OrderPacked { technical }",
     "event OrderPacked { deprecated until 2027-01-31 }"],
)  # fmt: skip
def test_an_event_may_say_that_nobody_here_has_to_react(declaration: str) -> None:
    assert codes(SHOP + declaration + "\nservice Warehouse { on OrderPlaced emits OrderPacked }") == {}


FAILING = """
event OrderPlaced, StockReserved, OrderShipped, OrderRejected
external service Shop {{ emits OrderPlaced }}
store StockDb {{ owner Stock }}
service Stock {{ on OrderPlaced {{ {effect}  emits StockReserved }} {undo} }}
service Shipping {{ on StockReserved {{ either {{ emits OrderShipped }} or {{ emits OrderRejected }} }} }}
flow Order {{ starts with OrderPlaced from Shop  succeeds with OrderShipped  fails with OrderRejected }}
"""


def test_a_failure_goal_needs_no_listener_if_nothing_has_to_be_undone() -> None:
    assert codes(FAILING.format(effect="reads StockDb.items", undo="")) == {}


def test_a_failure_goal_needs_a_listener_if_state_was_changed_before() -> None:
    found = only(FAILING.format(effect="writes StockDb.items", undo=""), "EVT201")
    assert "OrderRejected" in found.message
    assert any("StockDb.items" in label.span.text for label in found.related)


def test_a_failure_goal_that_somebody_compensates_has_its_listener() -> None:
    undo = "on OrderRejected { compensates OrderPlaced  writes StockDb.items }"
    assert codes(FAILING.format(effect="writes StockDb.items", undo=undo)) == {}


def test_what_a_workflow_commands_is_for_its_compensations() -> None:
    text = """
        event OrderRejected, OrderShipped
        command PlaceOrder, Reserve, Ship
        external service Shop { calls PlaceOrder }
        store StockDb { owner Stock }
        service Stock { handles Reserve writes StockDb.items }
        service Shipping { handles Ship { succeeds or fails "no truck" } }
        service Orders
        workflow Checkout in Orders {
          starts on PlaceOrder
          step reserve calls Reserve
          step ship calls Ship
          emits OrderShipped
          on failure { emits OrderRejected }
        }
        flow Order { starts with PlaceOrder from Shop  succeeds with OrderShipped  fails with OrderRejected }
    """
    assert codes(text) == {}


# ------------------------------------------------------------------------------------------------ near misses


NEAR = (
    SHOP
    + """
event OrderPacked { order_id: uuid }
{declaration}
service Warehouse {{ on OrderPlaced emits OrderPacked }}
service Mail {{ on OrderPakced {{ notifies }}  }}
service Parcels {{ {again} }}
"""
)


def near(declaration: str, again: str = "notes") -> str:
    return (
        NEAR.replace("{ order_id", "{{ order_id")
        .replace("uuid }", "uuid }}")
        .replace("{ emits OrderPlaced }", "{{ emits OrderPlaced }}")
        .format(declaration=declaration, again="" if again == "notes" else again)
    )


def test_a_near_miss_is_one_finding_with_a_fix_that_settles_it() -> None:
    design = read(near("event OrderPakced"))
    (found,) = findings(design)
    assert (found.code, found.fix is not None and found.fix.safe) == ("EVT202", True)
    text = applied(design, found)
    assert "Pakced" not in text
    assert codes(text) == {}


def test_a_declaration_that_says_something_is_not_given_up_without_asking() -> None:
    (found,) = findings(read(near("event OrderPakced { customer_id: uuid }")))
    assert found.fix is not None
    assert not found.fix.safe


def test_the_name_that_is_used_more_often_stays() -> None:
    design = read(near("event Other, OrderPakced", "on OrderPakced { notifies }  on Other { notifies }  emits Other"))
    (found,) = findings(design)
    assert found.fix is not None
    text = applied(design, found)
    assert text.count("OrderPakced") == 4
    assert "OrderPacked" not in text


def test_one_name_of_a_list_can_go() -> None:
    design = read(near("event Other, OrderPakced", "on Other { notifies }  emits Other"))
    (found,) = findings(design)
    text = applied(design, found)
    assert "event Other\n" in text
    assert codes(text) == {}


def test_a_pinned_subscription_is_not_renamed() -> None:
    text = near("event OrderPakced @2").replace("on OrderPakced", "on OrderPakced @2")
    assert only(text, "EVT202").fix is None


def test_names_that_are_far_apart_stay_two_findings() -> None:
    assert codes(near("event OrderPakced").replace("OrderPakced", "ParcelSent")) == {"EVT201": 1, "EVT202": 1}


def applied(design: Design, finding: Finding) -> str:
    assert finding.fix is not None
    text = design.sources[0].text
    for edit in sorted(finding.fix.edits, key=lambda edit: -edit.span.start):
        text = text[: edit.span.start] + edit.text + text[edit.span.end :]
    return text


def test_what_an_unpublished_event_stops_is_told_with_it() -> None:
    text = (
        SHOP
        + """
        event PaymentTaken, ParcelSent, OrderDone
        service Payments { on OrderPlaced { acts "takes the payment" } }
        service Shipping { on PaymentTaken emits ParcelSent }
        service Orders { on ParcelSent emits OrderDone }
        flow Order { starts with OrderPlaced from Shop  succeeds with OrderDone }
    """
    )
    found = only(text, "EVT202")
    assert found.notes == (
        "because of it, flow `Order` never reaches its goal",
        "because of it, `on ParcelSent` of `Orders` never runs",
    )


def test_what_comes_from_a_dead_letter_channel_needs_no_publisher() -> None:
    text = (
        SHOP
        + """
        channel orders { queue  dead-letter failed }
        channel failed { queue }
        event OrderFailed via failed
        service Desk { on OrderFailed { notifies } }
        service Orders { on OrderPlaced { acts "files the order" } }
    """
    )
    assert codes(text) == {}
    assert codes(text.replace("event OrderFailed via failed", "event OrderFailed")) == {"EVT202": 1}


def test_a_flow_may_start_with_an_event_from_outside() -> None:
    text = """
        event OrderPlaced, OrderFiled
        service Orders { on OrderPlaced emits OrderFiled }
        flow Order { starts with OrderPlaced  succeeds with OrderFiled }
    """
    assert codes(text) == {}


# ------------------------------------------------------------------------------------------------ standstills


def test_handlers_that_only_start_each_other_are_one_finding() -> None:
    text = (
        SHOP
        + """
        event A_done, B_done
        service Orders { on OrderPlaced { notifies } }
        service First { on A_done emits B_done }
        service Second { on B_done emits A_done }
    """
    )
    found = only(text, "EVT203")
    assert "only start each other" in found.message
    assert [label.text for label in found.related][:1] == ["never runs either"]


def test_a_wait_for_what_only_comes_after_it_is_a_standstill() -> None:
    text = """
        event OrderPlaced, OrderPaid
        command SendBill
        external service Shop { emits OrderPlaced }
        service Orders
        workflow Checkout in Orders {
          starts on OrderPlaced
          awaits OrderPaid within 1d
          sends Billing.SendBill
        }
        service Billing { handles SendBill emits OrderPaid }
    """
    found = only(text, "EVT203")
    assert "waits in vain for `OrderPaid`" in found.message
    assert "only wait for each other" in found.message


def test_a_goal_behind_a_dead_handler_makes_it_an_error_and_is_told_once() -> None:
    text = (
        SHOP
        + """
        event OrderShipped
        command ShipOrder
        service Orders { on OrderPlaced { acts "files the order" } }
        service Shipping { handles ShipOrder emits OrderShipped }
        flow Order { starts with OrderPlaced from Shop  succeeds with OrderShipped }
    """
    )
    found = only(text, "EVT203")
    assert found.severity == Severity.ERROR
    assert found.notes == ("because of it, flow `Order` never reaches its goal",)


def test_the_compensation_of_a_last_step_is_left_to_the_rules_on_sagas() -> None:
    text = """
        command BookTrip, BookFlight, CancelFlight
        external service Traveller { calls BookTrip }
        service trip
        service flight { handles BookFlight { acts "books" }  handles CancelFlight { compensates BookFlight  acts "cancels" } }
        workflow Trip in trip { starts on BookTrip  step flight calls BookFlight { compensate flight.CancelFlight } }
    """
    assert codes(text) == {}


def test_a_command_that_a_workflow_awaits_and_nobody_sends() -> None:
    text = """
        event OrderPlaced
        command ReleaseHold
        external service Shop { emits OrderPlaced }
        service Orders
        workflow Checkout in Orders { starts on OrderPlaced  awaits ReleaseHold within 1d  acts "ships" }
    """
    assert "nothing sends it" in only(text, "EVT203").message


def test_a_call_that_can_only_fail_matters_if_something_waits_behind_it() -> None:
    text = (
        SHOP
        + """
        command Look
        event OrderFiled
        service Stub { handles Look { fails "not built yet" } }
        service Orders { on OrderPlaced { calls Stub.Look  emits OrderFiled } }
        service Mail { on OrderFiled { acts "mails" } }
    """
    )
    found = only(text, "EVT203")
    assert "can only end in failure" in found.message
    assert found.notes == ("because of it, `on OrderFiled` of `Mail` never runs",)
    assert codes(text.replace("calls Stub.Look", "calls Stub.Look { fallback { } }")) == {}


def test_a_design_without_entries_gets_one_piece_of_information() -> None:
    text = "command A, B\nservice One { handles A writes Db.rows  handles B writes Db.rows }\nstore Db { owner One }"
    assert only(text, "EVT203", "production").severity == Severity.INFO


def test_a_handler_that_only_reads_is_information() -> None:
    text = (
        SHOP
        + "query Look\nstore Db { owner One }\nservice One { handles Look reads Db.rows  on OrderPlaced { notifies } }"
    )
    assert only(text, "EVT203").severity == Severity.INFO


# ------------------------------------------------------------------------------------------------ goals


def test_a_workflow_that_can_only_fail_is_no_goal() -> None:
    text = """
        command PlaceOrder, Charge
        external service Shop { calls PlaceOrder }
        service Orders
        service Bank { handles Charge { fails "closed" } }
        workflow Checkout in Orders { starts on PlaceOrder  step charge calls Charge }
        flow Order { starts with PlaceOrder from Shop  succeeds with Checkout }
    """
    assert codes(text)["EVT203"] + codes(text)["EVT204"] == 1


def test_of_a_goal_with_and_the_missing_half_is_named() -> None:
    text = (
        SHOP
        + """
        event OrderPaid, OrderShipped
        service Orders { on OrderPlaced emits OrderPaid }
        flow Order { starts with OrderPlaced from Shop  succeeds with OrderPaid and OrderShipped }
    """
    )
    found = only(text, "EVT204")
    assert "`OrderShipped`" in found.message
    assert codes(text.replace("OrderPaid and OrderShipped", "OrderPaid or OrderShipped")) == {}


def test_a_silent_branch_beside_the_work_of_others_is_no_dead_end() -> None:
    text = (
        SHOP
        + """
        event OrderShipped
        service Mail { on OrderPlaced { either "wants mail" { acts "mails" } or "does not" { } } }
        service Shipping { on OrderPlaced emits OrderShipped }
        flow Order { starts with OrderPlaced from Shop  succeeds with OrderShipped }
    """
    )
    assert codes(text) == {}


def test_a_silent_branch_of_a_called_handler_returns_to_its_caller() -> None:
    text = """
        event OrderShipped
        command PlaceOrder, Check
        external service Shop { calls PlaceOrder }
        service Orders { handles PlaceOrder { calls Check  emits OrderShipped } }
        service Risk { handles Check { either "known" { } or "new" { acts "asks the bureau" } } }
        flow Order { starts with PlaceOrder from Shop  succeeds with OrderShipped }
    """
    assert codes(text) == {}


def test_a_silent_branch_that_a_timer_ends_is_no_dead_end() -> None:
    text = """
        event OrderPlaced, OrderShipped, OrderExpired, Packed
        external service Shop { emits OrderPlaced }
        service Orders
        workflow Order in Orders {
          starts on OrderPlaced
          awaits { on Packed { emits OrderShipped } within 1d { emits OrderExpired } }
        }
        service Warehouse { on OrderPlaced { either "in stock" { emits Packed } or "not" { } } }
        flow Purchase { starts with OrderPlaced from Shop  succeeds with OrderShipped  fails with OrderExpired }
    """
    assert codes(text) == {}


def test_what_people_outside_decide_is_no_dead_end() -> None:
    text = """
        event OrderPlaced, OrderShipped
        command Confirm, Ship
        external service Shop { emits OrderPlaced  handles Confirm { either { sends Warehouse.Ship } or { } } }
        service Mail { on OrderPlaced { sends Shop.Confirm } }
        service Warehouse { handles Ship emits OrderShipped }
        flow Order { starts with OrderPlaced from Shop  succeeds with OrderShipped }
    """
    assert codes(text) == {}


# ------------------------------------------------------------------------------------------------ receivers and owners


RECEIVERS = """
event OrderPlaced
command Ship
external service Shop { emits OrderPlaced }
service Orders { on OrderPlaced { sends Ship } }
"""


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("", 1),
        ('service A { handles Ship { acts "a" } }', 0),
        ('service A { handles Ship { acts "a" }  handles Ship { when "big"  acts "b" } }', 0),
        ('service A { handles Ship { acts "a" } }  service B { handles Ship { acts "b" } }', 1),
        ('service A  workflow W in A { starts on Ship  acts "a" }', 0),
        ('service A  workflow W in A { starts on OrderPlaced  awaits Ship within 1d  acts "a" }', 0),
    ],
)
def test_a_command_has_one_receiving_service(more: str, expected: int) -> None:
    assert codes(RECEIVERS + more)["EVT205"] == expected


def test_several_receivers_may_answer_a_scattered_command() -> None:
    text = RECEIVERS + 'service A { handles Ship { acts "a" } }  service B { handles Ship { acts "b" } }'
    assert codes(text.replace("command Ship", "command Ship { scatter }")) == {}


def test_external_receivers_need_not_be_declared_in_full() -> None:
    assert codes(RECEIVERS.replace("sends Ship", "sends Courier.Ship") + "external service Courier") == {}


def test_what_a_flow_starts_with_has_a_receiver() -> None:
    text = (
        SHOP
        + """
        command Pay
        event Paid
        service Orders { on OrderPlaced emits Paid }
        flow Order { starts with OrderPlaced or Pay from Shop  succeeds with Paid }
    """
    )
    assert only(text, "EVT205").primary.span.text == "Pay"


def test_a_wrong_addressee_is_one_finding_with_a_fix() -> None:
    design = read(
        RECEIVERS.replace("sends Ship", "sends Mail.Ship") + 'service A { handles Ship { acts "a" } }  service Mail'
    )
    (found,) = findings(design)
    assert found.code == "EVT205"
    assert codes(applied(design, found)) == {}


def owned(declaration: str, publisher: str = "service Support") -> str:
    return f"""
        {declaration}
        event Complained
        command Cancel
        external service Buyer {{ sends Orders.Cancel  emits Complained }}
        service Orders {{ handles Cancel emits Cancelled }}
        {publisher} {{ on Complained emits Cancelled }}
        service Mail {{ on Cancelled {{ notifies }} }}
    """


def test_an_event_has_one_owner() -> None:
    assert codes(owned("event Cancelled")) == {"EVT206": 1}
    assert codes(owned("event Cancelled { technical }")) == {}
    assert codes(owned("event Cancelled", "external service Support")) == {}


def test_a_migration_has_an_end() -> None:
    text = owned("event Cancelled { migrating until 2027-01-31 }")
    assert codes(text) == {}
    design = read(text)
    design.today = date(2027, 2, 1)
    assert [found.code for found in findings(design)] == ["EVT206"]


# ------------------------------------------------------------------------------------------------ failures


def failing(fails: str, *, trigger: str = "on OrderPlaced", more: str = "", goal: str = "", before: str = "") -> str:
    return f"""
        event OrderPlaced, OrderShipped, OutOfStock, OrderRejected
        command Pack
        external service Shop {{ emits OrderPlaced }}
        service Warehouse {{ {trigger} {{ {before} emits OrderShipped or {fails} }} }}
        service Mail {{ on OrderShipped or OrderRejected {{ notifies }} }}
        service Orders {{ on OrderPlaced {{ acts "files the order"  emits OrderRejected or succeeds }} }}
        flow Order {{ starts with OrderPlaced from Shop  succeeds with OrderShipped {goal} }}
        {more}
    """


def test_a_failure_in_a_reaction_is_told_to_nobody() -> None:
    assert only(failing('fails "out of stock"'), "EVT207").primary.span.text == 'fails "out of stock"'
    assert codes(failing("0% fails")) == {}


def test_a_failed_message_may_be_kept_in_a_dead_letter_channel() -> None:
    channel = "channel failed { queue }"
    assert codes(failing("fails", before="dead-letter failed", more=channel)) == {}


def test_a_failure_that_is_announced_before_is_told() -> None:
    body = "either { emits OrderShipped } or { emits OrderRejected  fails }"
    text = failing("fails").replace("emits OrderShipped or fails", body)
    assert codes(text)["EVT207"] == 0


def test_a_failure_event_needs_a_subscriber() -> None:
    assert only(failing("fails OutOfStock"), "EVT207").message.startswith("nobody reacts to `OutOfStock`")
    listener = "service Desk { on OutOfStock { notifies } }"
    assert codes(failing("fails OutOfStock", more=listener)) == {}
    assert codes(failing("fails OutOfStock", goal="fails with OutOfStock")) == {}


def test_a_failure_event_has_to_lead_to_the_failure_goal_of_the_flow() -> None:
    silent = 'service Desk { on OutOfStock { acts "puts it aside" } }'
    text = failing("fails OutOfStock", goal="fails with OrderRejected", more=silent)
    assert "never comes to `OrderRejected`" in only(text, "EVT207").message
    speaking = "service Desk { on OutOfStock { emits OrderRejected } }"
    assert codes(failing("fails OutOfStock", goal="fails with OrderRejected", more=speaking))["EVT207"] == 0


def test_a_poller_may_carry_a_failure_on() -> None:
    text = failing(
        "fails OutOfStock",
        goal="fails with OrderRejected",
        more="store Db { owner Desk }  service Desk { on OutOfStock { writes Db.cases }  every 1m { reads Db.cases  emits OrderRejected } }",
    )
    assert codes(text)["EVT207"] == 0


CALLED = """
event OrderPlaced, OrderShipped
command Order, Pack, Start
external service Shop {{ {entry} }}
service Orders {{ {orders} }}
service Warehouse {{ handles Pack {{ acts "packs"  succeeds or fails "out of stock" }} }}
flow Purchase {{ starts with {start} from Shop  succeeds with OrderShipped }}
"""


@pytest.mark.parametrize(
    ("entry", "start", "orders", "expected"),
    [
        ("calls Order", "Order", "handles Order { calls Pack  emits OrderShipped }", 0),
        ("emits OrderPlaced", "OrderPlaced", "on OrderPlaced { calls Pack  emits OrderShipped }", 1),
        ("emits OrderPlaced", "OrderPlaced", "on OrderPlaced { calls Pack { optional }  emits OrderShipped }", 0),
        ("emits OrderPlaced", "OrderPlaced", "on OrderPlaced { calls Pack { fallback { } }  emits OrderShipped }", 0),
        ("emits OrderPlaced", "OrderPlaced", 'on OrderPlaced { calls Pack { on failure { acts "asks" } }  emits OrderShipped }', 0),
        ("emits OrderPlaced", "OrderPlaced", "on OrderPlaced { sends Pack  emits OrderShipped }", 1),
        ("emits OrderPlaced", "OrderPlaced", "on OrderPlaced { sends Orders.Order }  handles Order { calls Pack  emits OrderShipped }", 1),
        ("calls Order", "Order", "handles Order { calls Start }  handles Start { calls Pack  emits OrderShipped }", 0),
    ],
)  # fmt: skip
def test_a_failure_is_passed_on_until_somebody_answers_it(entry: str, start: str, orders: str, expected: int) -> None:
    assert codes(CALLED.format(entry=entry, start=start, orders=orders))["EVT207"] == expected


def test_a_workflow_that_fails_unasked_is_named_once_with_all_that_can_fail_in_it() -> None:
    text = """
        event OrderPlaced
        command Pack, Pay
        external service Shop { emits OrderPlaced }
        service Orders
        service Warehouse { handles Pack { acts "packs"  succeeds or fails "out of stock" } }
        service Bank { handles Pay { acts "pays"  succeeds or fails "declined" } }
        workflow Checkout in Orders { starts on OrderPlaced  step pack calls Pack  step pay calls Pay %s }
        flow Order { starts with OrderPlaced from Shop  succeeds with Checkout }
    """
    found = only(text % "", "EVT207")
    assert "workflow `Checkout`" in found.message
    assert sum("fails in" in label.text for label in found.related) == 2
    assert codes(text % 'on failure { acts "tells the buyer" }') == {}


def test_the_sender_that_waits_next_is_left_to_the_rules_on_waits() -> None:
    text = """
        event OrderPlaced, Packed
        command Pack
        external service Shop { emits OrderPlaced }
        service Orders
        service Warehouse { handles Pack { emits Packed or fails "out of stock" } }
        workflow Checkout in Orders { starts on OrderPlaced  sends Pack  awaits Packed within 1d }
        flow Order { starts with OrderPlaced from Shop  succeeds with Checkout }
    """
    assert codes(text) == {}


# ------------------------------------------------------------------------------------------------ orders


def ordered(payments: str, shipping: str, more: str = "") -> str:
    return f"""
        event OrderPlaced, Paid, Sent
        external service Shop {{ emits OrderPlaced }}
        service Payments {{ {payments} }}
        service Shipping {{ {shipping} }}
        flow Order {{ starts with OrderPlaced from Shop  succeeds with Sent  order Paid before Sent }}
        service Books {{ on Paid or Sent {{ projection }} }}
        {more}
    """


@pytest.mark.parametrize(
    ("payments", "shipping", "expected"),
    [
        ("on OrderPlaced emits Paid", "on OrderPlaced emits Sent", 1),
        ("on OrderPlaced emits Paid", "on Paid emits Sent", 0),
        ("on OrderPlaced emits Paid", 'on OrderPlaced emits Sent  on Paid { acts "notes it" }', 0),
        ("on Sent emits Paid", "on OrderPlaced emits Sent", 1),
        ("on OrderPlaced { emits Paid  emits Sent }", "on Paid { notifies }", 0),
        ("on OrderPlaced { emits Sent  emits Paid }", "on Paid { notifies }", 1),
        ("on OrderPlaced { either { emits Paid } or { emits Sent } }", "on OrderPlaced { notifies }", 0),
        ("on OrderPlaced { parallel { emits Paid  emits Sent } }", "on OrderPlaced { notifies }", 1),
    ],
)
def test_an_order_needs_a_cause(payments: str, shipping: str, expected: int) -> None:
    assert codes(ordered(payments, shipping))["EVT208"] == expected


def test_a_called_handler_is_done_before_its_caller_goes_on() -> None:
    text = """
        event Paid, Sent
        command Order, Pay
        external service Shop { calls Order }
        service Orders { handles Order { calls Pay  emits Sent } }
        service Payments { handles Pay emits Paid }
        service Books { on Paid or Sent { projection } }
        flow Purchase { starts with Order from Shop  succeeds with Sent  order Paid before Sent }
    """
    assert codes(text) == {}


def test_the_first_of_an_order_may_stay_outside_the_flow_or_come_after_its_start() -> None:
    outside = ordered(
        "on Bill { emits Paid }", "on OrderPlaced emits Sent", "external service Bank { emits Bill }  event Bill"
    )
    assert "never publishes the first" in only(outside, "EVT208").message
    start = ordered("on OrderPlaced emits Paid", "on Paid emits Sent").replace(
        "order Paid before Sent", "order Paid before OrderPlaced"
    )
    assert "starts with the second" in only(start, "EVT208").message


# ------------------------------------------------------------------------------------------------ forks


def forked(one: str, other: str, handler: str, declared: str = "event Paid, Reserved") -> str:
    return f"""
        event OrderPlaced
        {declared}
        external service Shop {{ emits OrderPlaced }}
        service Payments {{ {one} }}
        service Stock {{ {other} }}
        service Orders {{ {handler} }}
    """


CONFIRMS = 'on Paid or Reserved { acts "confirms" }'


@pytest.mark.parametrize(
    ("one", "other", "handler", "expected"),
    [
        ("on OrderPlaced emits Paid", "on OrderPlaced emits Reserved", CONFIRMS, 1),
        ("on OrderPlaced emits Paid", "on Paid emits Reserved", CONFIRMS, 0),
        ("on OrderPlaced { either { emits Paid } or { emits Reserved } }", "on OrderPlaced { notifies }", CONFIRMS, 0),
        ("on OrderPlaced { parallel { emits Paid  emits Reserved } }", "on OrderPlaced { notifies }", CONFIRMS, 1),
        (
            "on OrderPlaced emits Paid",
            "on OrderPlaced emits Reserved",
            'on Paid or Reserved { idempotent by id  acts "c" }',
            0,
        ),
        ("on OrderPlaced emits Paid", "on OrderPlaced emits Reserved", "on Paid or Reserved { notifies }", 0),
        (
            "on OrderPlaced emits Paid",
            "on OrderPlaced emits Reserved",
            'on Paid and Reserved within 1h by id { acts "c" }',
            0,
        ),
    ],
)
def test_a_fork_has_to_be_joined(one: str, other: str, handler: str, expected: int) -> None:
    assert codes(forked(one, other, handler))["EVT209"] == expected


def test_the_same_event_from_two_branches_starts_a_handler_twice() -> None:
    text = forked("on OrderPlaced emits Paid", "on OrderPlaced emits Paid", 'on Paid { acts "confirms" }', "event Paid")
    assert codes(text) == {"EVT206": 1, "EVT209": 1}
    assert codes(text.replace("event Paid", "event Paid { technical }")) == {}


@pytest.mark.parametrize("swapped", [False, True])
def test_every_publication_that_starts_a_handler_is_asked_about(swapped: bool) -> None:
    branches = " or ".join("{ emits Paid }" for _ in range(9))
    sides = (f"on OrderPlaced {{ either {branches} }}", "on OrderPlaced emits Reserved")
    assert codes(forked(*(reversed(sides) if swapped else sides), CONFIRMS))["EVT209"] == 1


def test_two_entries_are_no_fork() -> None:
    text = forked("on OrderPlaced emits Paid", "on Refilled emits Reserved", CONFIRMS, "event Paid, Reserved, Refilled")
    assert codes(text + "external service Supplier { emits Refilled }") == {}


# ------------------------------------------------------------------------------------------------ callbacks


def fetching(*calls: str) -> str:
    consumers = "\n".join(f"service C{i} {{ on Changed {{ notifies  {call} }} }}" for i, call in enumerate(calls))
    return f"""
        event Changed {{ id: uuid }}
        query Get
        command Touch
        external service Orders {{ emits Changed  handles Get succeeds  handles Touch {{ acts "x" }} }}
        {consumers}
    """


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        (("calls Orders.Get", "calls Orders.Get"), 1),
        (("calls Orders.Get", ""), 0),
        (("calls Orders.Get", "calls Orders.Get { optional }"), 0),
        (("calls Orders.Get", "calls Orders.Get { fallback { } }"), 0),
        (("calls Orders.Touch", "calls Orders.Touch"), 0),
    ],
)
def test_consumers_that_fetch_what_the_event_left_out(calls: tuple[str, ...], expected: int) -> None:
    assert codes(fetching(*calls), "strict")["EVT210"] == expected
    assert codes(fetching(*calls))["EVT210"] == 0


def test_how_many_consumers_have_to_fetch_is_an_option() -> None:
    design = read(fetching("calls Orders.Get", "calls Orders.Get"), "strict")
    design.options = {"EVT210": {"consumers": 3}}
    assert findings(design, "EVT210") == []


# ------------------------------------------------------------------------------------------------ outcomes


OUTCOME = """
event Confirmed, Rejected
command Order, Check
external service Shop {{ calls Order }}
service Orders {{ handles Order {{ {orders} }} }}
service Risk {{ handles Check {{ {risk} }} }}
service Mail {{ on Confirmed or Rejected {{ notifies }} }}
flow Purchase {{ starts with Order from Shop  succeeds with Confirmed  fails with Rejected }}
"""


@pytest.mark.parametrize(
    ("orders", "risk", "expected"),
    [
        ("calls Check  emits Confirmed", "emits Rejected", 1),
        ("calls Check  emits Confirmed", "succeeds or fails Rejected", 0),
        ("calls Check { on failure { } }  emits Confirmed", "succeeds or fails Rejected", 0),
        ("emits Rejected  calls Check", "emits Confirmed", 1),
        ("emits Rejected  calls Check", "succeeds or emits Confirmed", 0),
        ("parallel { emits Rejected  emits Confirmed }  calls Check", "succeeds", 1),
    ],
)
def test_an_outcome_excludes_the_other(orders: str, risk: str, expected: int) -> None:
    assert codes(OUTCOME.format(orders=orders, risk=risk))["EVT211"] == expected


def test_a_workflow_that_ends_well_after_it_has_announced_its_failure() -> None:
    text = """
        event OrderPlaced, Rejected
        command Pack
        external service Shop { emits OrderPlaced }
        service Orders
        service Warehouse { handles Pack { acts "packs"  succeeds or fails "out of stock" } }
        service Mail { on Rejected { notifies } }
        workflow Checkout in Orders { starts on OrderPlaced  step pack calls Pack { on failure { emits Rejected %s } } }
        flow Order { starts with OrderPlaced from Shop  succeeds with Checkout  fails with Rejected }
    """
    assert only(text % "", "EVT211").primary.span.text == "Rejected"
    assert codes(text % "fails") == {}


def test_a_second_try_after_a_rejection_is_a_decision() -> None:
    text = """
        event OrderPlaced, Confirmed, Rejected
        command Correct
        external service Shop { emits OrderPlaced  handles Correct { either { emits OrderPlaced } or { } } }
        service Orders { on OrderPlaced { emits Confirmed or emits Rejected }  on Rejected { sends Shop.Correct } }
        service Mail { on Confirmed { notifies } }
        flow Order { starts with OrderPlaced from Shop  succeeds with Confirmed  fails with Rejected }
    """
    assert codes(text)["EVT211"] == 0


def test_a_guarded_reaction_is_a_decision() -> None:
    text = """
        event OrderPlaced, Confirmed, Rejected
        external service Shop { emits OrderPlaced }
        service Orders { on OrderPlaced { emits Rejected }  on Rejected { %s emits Confirmed } }
        service Mail { on Confirmed { notifies } }
        flow Order { starts with OrderPlaced from Shop  succeeds with Confirmed  fails with Rejected }
    """
    assert codes(text % "")["EVT211"] == 1
    assert codes(text % 'when "it was a mistake"')["EVT211"] == 0


# ------------------------------------------------------------------------------------------------ answers


def asking(
    *, by: str = "by order_id", other: str = "on OrderPlaced { sends Check }", start: str = "{ order_id: uuid }"
) -> str:
    return f"""
        event OrderPlaced {start}
        event Checked {{ order_id: uuid }}
        event Started, Wanted
        command Check {{ order_id: uuid }}
        external service Shop {{ emits OrderPlaced  emits Wanted }}
        service Orders {{ on Wanted emits Started  on Started {{ notifies }} }}
        workflow Checkout in Orders {{
          starts on OrderPlaced
          sends Check
          awaits Checked within 1h {by}
          acts "confirms"
        }}
        service Credit {{ handles Check emits Checked }}
        service Fraud {{ {other} }}
    """


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, 1),
        ({"by": ""}, 1),
        ({"by": "by request_id"}, 0),
        ({"start": ""}, 0),
        ({"other": "on Wanted { sends Check }"}, 0),
        ({"other": "on Checked { notifies }"}, 0),
    ],
)
def test_an_answer_has_to_come_from_its_request(change: dict[str, str], expected: int) -> None:
    assert codes(asking(**change))["EVT212"] == expected


def test_a_joined_trigger_may_take_a_stranger_for_an_answer() -> None:
    text = """
        event OrderPlaced { order_id: uuid }
        event Charged { order_id: uuid }
        event Reserved { order_id: uuid }
        command Charge, Reserve
        external service Shop { emits OrderPlaced }
        service Orders {
          on OrderPlaced { sends Charge  sends Reserve }
          on Charged and Reserved within 1h by order_id { acts "confirms" }
        }
        service Payments { handles Charge emits Charged }
        service Stock { handles Reserve emits Reserved }
        %s
    """
    assert codes(text % "") == {}
    assert "`Charge`" in only(text % "service Club { on OrderPlaced { sends Charge } }", "EVT212").message


@pytest.mark.parametrize("renewed", ["Aged", "Renewed"])
def test_every_request_for_an_answer_is_asked_about(renewed: str) -> None:
    text = f"""
        event OrderPlaced, {renewed}
        event Charged, Reserved {{ order_id: uuid }}
        command Charge, Rebill, Refresh
        external service Shop {{ emits OrderPlaced  emits {renewed}  emits Reserved }}
        service Orders {{
          on OrderPlaced {{ sends Charge }}
          on {renewed} {{ sends Rebill }}
          on Charged and Reserved within 1h {{ acts "confirms" }}
        }}
        service Payments {{ handles Charge emits Charged  handles Rebill emits Charged  handles Refresh emits Charged }}
        service Club {{ on {renewed} {{ sends Refresh }} }}
    """
    assert "`Rebill`" in only(text, "EVT212").message
