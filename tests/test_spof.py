"""Single points of failure and availability, held against brute force on random designs, and the laws of the SPF rules."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordlint.analysis.availability import availability_bound, k_of_n, with_slack
from coordlint.analysis.decisions import ALWAYS, NEVER, Decisions, TooLargeError
from coordlint.analysis.flows import FlowView
from coordlint.check import check, select_rules
from coordlint.design import Design, load
from coordlint.finding import Finding, Severity
from coordlint.source import Source

quick = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# ------------------------------------------------------------------------------------------------ small random designs


class Statement(NamedTuple):
    """A statement: its kind, what it names, and its blocks."""

    kind: str
    name: str = ""
    blocks: tuple[tuple[Statement, ...], ...] = ()


class Body(NamedTuple):
    """A handler or workflow: where it runs, what starts it (any or all of the messages), where it keeps its state."""

    service: str
    kind: str
    triggers: tuple[str, ...]
    statements: tuple[Statement, ...]
    state: str = ""


class Plan(NamedTuple):
    """A design as the test means it; what coordlint reads is its text.

    ``uses`` names what a service, and ``on`` the broker on which a message cannot do without.
    """

    services: tuple[str, ...]
    stores: tuple[str, ...]
    brokers: tuple[str, ...]
    uses: Mapping[str, tuple[str, ...]]
    on: Mapping[str, str]
    bodies: tuple[Body, ...]
    goals: tuple[str, ...]
    all_goals: bool
    facts: Mapping[str, str] = {}

    @property
    def components(self) -> tuple[str, ...]:
        return (*self.services, *self.stores, *self.brokers)

    @property
    def owners(self) -> dict[str, str]:
        return {body.triggers[0]: body.service for body in self.bodies if body.kind in {"handles", "workflow"}}

    def text(self) -> str:
        lines = [f"broker {name} {{ {self.facts.get(name, '')} }}" for name in self.brokers]
        lines += [f"store {name} {{ {self.facts.get(name, '')} }}" for name in self.stores]
        lines += [f"channel on-{name} on {name}" for name in self.brokers]
        events = sorted(name for name in self.messages if name.startswith("E"))
        for kind, names in (("event", events), ("command", sorted(self.owners))):
            lines += [f"{kind} {name}" + (f" via on-{self.on[name]}" if name in self.on else "") for name in names]
        lines.append(f"external service Outside {{ sends {self.owners['C0']}.C0 }}")
        for service in self.services:
            lines.append(f"service {service} {{ {self.facts.get(service, '')}")
            if self.uses.get(service):
                lines.append(f"uses {', '.join(self.uses[service])}")
            for body in self.bodies:
                if body.service == service and body.kind != "workflow":
                    joint = " and " if body.kind == "on all" else " or "
                    head = (
                        f"handles {body.triggers[0]}" if body.kind == "handles" else f"on {joint.join(body.triggers)}"
                    )
                    lines.append(f"{head} {{ {self._statements(body.statements)} }}")
            lines.append("}")
        for number, body in enumerate(self.bodies):
            if body.kind == "workflow":
                state = f"state in {body.state}" if body.state else ""
                lines.append(f"workflow W{number} in {body.service} {{ starts on {body.triggers[0]} {state}")
                lines.append(f"{self._statements(body.statements)} }}")
        goal = (" and " if self.all_goals else " or ").join(self.goals)
        lines.append(f"flow Main {{ starts with C0 from Outside  succeeds with {goal} }}")
        return "\n".join(lines) + "\n"

    @property
    def messages(self) -> set[str]:
        found = {*self.goals, *(name for body in self.bodies for name in body.triggers)}
        pending = [statement for body in self.bodies for statement in body.statements]
        while pending:
            statement = pending.pop()
            if statement.kind in {"emits", "emits or fails", "awaits"}:
                found.add(statement.name)
            pending += [inner for block in statement.blocks for inner in block]
        return found

    def _statements(self, statements: tuple[Statement, ...]) -> str:
        return "\n".join(self._statement(one) for one in statements)

    def _statement(self, one: Statement) -> str:
        blocks = [self._statements(block) for block in one.blocks]
        if one.kind in {"calls", "sends"}:
            return f"{one.kind} {self.owners[one.name]}.{one.name} {{ }}"
        if one.kind in {"optional", "fallback", "on failure"}:
            inner = "optional" if one.kind == "optional" else f"{one.kind} {{ {blocks[0]} }}"
            return f"calls {self.owners[one.name]}.{one.name} {{ {inner} }}"
        if one.kind == "emits or fails":
            return f"emits {one.name} or fails"
        if one.kind == "either":
            return f"either {{ {blocks[0]} }} or {{ {blocks[1]} }}"
        if one.kind in {"parallel", "parallel any"}:
            return f"{one.kind} {{ {' '.join(f'branch {{ {block} }}' for block in blocks)} }}"
        if one.kind in {"repeat", "for each item"}:
            return f"{one.kind} {{ {blocks[0]} }}"
        return f"{one.kind} {one.name}"


class Course(NamedTuple):
    """What can happen: the messages that arrive, and for each body (by number) that begins whether it ends."""

    delivered: frozenset[str]
    bodies: dict[int, bool]


def succeeds(plan: Plan, down: frozenset[str] = frozenset()) -> bool:
    """Whether the flow reaches its goal while these components are down."""
    reached = [goal in run(plan, down).delivered for goal in plan.goals]
    return all(reached) if plan.all_goals else any(reached)


def run(plan: Plan, down: frozenset[str] = frozenset()) -> Course:
    """What happens while some components are down, found by letting everything happen until nothing new does."""
    produced = {"C0"}
    begun: set[int] = set()
    ended: set[int] = set()

    def up(name: str, seen: frozenset[str] = frozenset()) -> bool:
        return name not in down and all(up(used, seen | {name}) for used in plan.uses.get(name, ()) if used not in seen)

    def delivered(message: str) -> bool:
        return message in produced and (message not in plan.on or up(plan.on[message]))

    def sequence(statements: tuple[Statement, ...]) -> bool:
        return all(step(one) for one in statements)

    def step(one: Statement) -> bool:
        if one.kind in {"emits", "emits or fails", "sends"}:
            produced.add(one.name)
            return True
        if one.kind in {"calls", "optional", "fallback", "on failure"}:
            produced.add(one.name)
            answered = any(n in ended for n, body in enumerate(plan.bodies) if one.name in body.triggers)
            # Both ways are open: the call may be answered, and it may fail.
            otherwise = one.kind == "optional" or (bool(one.blocks) and sequence(one.blocks[0]))
            return answered or otherwise
        if one.kind == "awaits":
            return delivered(one.name)
        if one.kind in {"reads", "writes"}:
            return up(one.name)
        results = [sequence(block) for block in one.blocks]
        if one.kind in {"either", "parallel any"}:
            return any(results)
        if one.kind == "for each item":
            return True  # there may be no item at all
        return all(results)

    before = None
    while before != (len(produced), len(begun), len(ended)):
        before = (len(produced), len(begun), len(ended))
        for number, body in enumerate(plan.bodies):
            there = [delivered(message) for message in body.triggers]
            triggered = all(there) if body.kind == "on all" else any(there)
            if triggered and up(body.service) and (not body.state or up(body.state)):
                begun.add(number)
                if sequence(body.statements):
                    ended.add(number)
    arrived = frozenset(message for message in produced if delivered(message))
    return Course(arrived, {number: number in ended for number in sorted(begun)})


def structural(plan: Plan) -> set[str]:
    """The components without each of which alone the goal is not reached."""
    return {name for name in plan.components if not succeeds(plan, frozenset({name}))}


def plan_of(seed: int) -> Plan:
    """A design of a few services in which the flow can succeed; the same one for the same seed."""
    dice = Random(seed)
    services = tuple(f"S{n}" for n in range(dice.randint(2, 5)))
    stores = tuple(f"D{n}" for n in range(dice.randint(0, 3)))
    brokers = tuple(f"B{n}" for n in range(dice.randint(0, 2)))
    commands = tuple(f"C{n}" for n in range(dice.randint(2, 5)))
    events = tuple(f"E{n}" for n in range(dice.randint(2, 5)))
    infrastructure = (*services, *stores, *brokers)
    uses = {
        name: tuple(one for one in (dice.choice(infrastructure),) if one != name)
        for name in services
        if dice.random() < 0.4
    }
    on = {message: dice.choice(brokers) for message in (*events, *commands) if brokers and dice.random() < 0.6}

    def block(depth: int) -> tuple[Statement, ...]:
        return tuple(statement(depth) for _ in range(dice.choice((1, 1, 2, 3))))

    def statement(depth: int) -> Statement:
        kinds = ["emits", "emits", "emits or fails", "awaits", "calls", "calls", "sends", "optional"]
        kinds += ["reads", "writes"] * bool(stores)
        if depth:  # alternatives are what makes the question hard
            kinds += ["fallback", "on failure", "either", "parallel any"] * 3
            kinds += ["parallel", "repeat", "for each item"]
        kind = dice.choice(kinds)
        if kind in {"emits", "emits or fails", "awaits"}:
            return Statement(kind, dice.choice(events))
        if kind in {"calls", "sends", "optional"}:
            return Statement(kind, dice.choice(commands))
        if kind in {"reads", "writes"}:
            return Statement(kind, dice.choice(stores))
        if kind in {"fallback", "on failure"}:
            return Statement(kind, dice.choice(commands), (block(depth - 1),))
        count = 1 if kind in {"repeat", "for each item"} else 2
        return Statement(kind, "", tuple(block(depth - 1) for _ in range(count)))

    bodies = []
    for command in commands:
        kind = dice.choice(("handles", "handles", "workflow"))
        state = dice.choice(("", *stores)) if kind == "workflow" else ""
        # The first one publishes something, so that something always succeeds.
        first = () if bodies else (Statement("emits", "E0"),)
        bodies.append(Body(dice.choice(services), kind, (command,), first + block(2), state))
    for _ in range(dice.randint(0, 4)):
        names = tuple(sorted({dice.choice(events), dice.choice(events)}))
        bodies.append(Body(dice.choice(services), dice.choice(("on any", "on all")), names, block(1)))
    plan = Plan(services, stores, brokers, uses, on, tuple(bodies), (), dice.random() < 0.5)
    # Those that do not come first are the interesting goals: they have the longer way.
    reached = sorted(run(plan).delivered & set(events), reverse=True)
    return plan._replace(goals=tuple(sorted(reached[: dice.randint(1, 2)])))


plans = st.integers(0, 2**32).map(plan_of)


def read(text: str, profile: str = "default") -> Design:
    design = load("random.coord", stdin=Source("random.coord", text), profile=profile)
    assert [finding.message for finding in design.problems] == []
    return design


def spof_findings(design: Design, *codes: str) -> list[Finding]:
    result = check(design, select_rules(select=list(codes or ("SPF",)), profile=design.profile))
    assert result.crashes == ()
    return list(result.findings)


def only_flow(design: Design) -> FlowView:
    (view,) = design.flows
    return view


# ------------------------------------------------------------------------------------------------ against brute force


@quick
@given(plans)
def test_structural_points_are_those_whose_single_removal_fails_the_goal(plan: Plan):
    view = only_flow(read(plan.text()))
    assert {component.name for component in view.critical} == structural(plan)


@quick
@given(plans)
def test_lost_services_are_those_that_can_do_nothing_any_more(plan: Plan):
    design = read(plan.text())
    before = run(plan).bodies
    for critical in design.criticals:
        after = run(plan, frozenset({critical.component.name})).bodies
        lost = {critical.component.name} & set(plan.services)
        for service in plan.services:
            parts = [number for number in before if plan.bodies[number].service == service]
            # What ends when all is up has to end, what only begins has to begin.
            kept = [number for number in parts if number in after and (after[number] or not before[number])]
            if parts and not kept:
                lost.add(service)
        assert {service.name for service in critical.lost} == lost


@quick
@given(plans, st.data())
def test_availability_is_the_sum_over_all_states(plan: Plan, data: st.DataObject):
    names = data.draw(st.lists(st.sampled_from(plan.components), min_size=1, max_size=6, unique=True))
    chances = {name: data.draw(st.sampled_from([0.5, 0.9, 0.99, 0.25])) for name in names}
    text = plan._replace(facts={name: f"availability {chance:.0%}" for name, chance in chances.items()}).text()
    expected = enumerated(plan, chances)
    bound = availability_bound(only_flow(read(text)))
    assert bound is not None
    assert bound.exact
    assert bound.value == pytest.approx(expected, abs=1e-12)
    gains = {one.component.name: one.gain for one in bound.contributors}
    for name in names:
        gain = enumerated(plan, {**chances, name: 1.0}) - expected
        assert gains.get(name, 0.0) == pytest.approx(gain, abs=1e-12)
    assert [one.gain for one in bound.contributors] == sorted(gains.values(), reverse=True)


@quick
@given(plans, st.data())
def test_without_room_for_cases_the_bound_is_above_the_exact_value(plan: Plan, data: st.DataObject):
    chances = {name: data.draw(st.sampled_from([0.5, 0.9])) for name in plan.components}
    text = plan._replace(facts={name: f"availability {chance:.0%}" for name, chance in chances.items()}).text()
    view = only_flow(read(text))
    exact, rough = availability_bound(view), availability_bound(view, states=2)
    assert exact is not None
    assert rough is not None
    assert rough.value >= exact.value - 1e-12
    assert rough.value == pytest.approx(math.prod(chances[name] for name in structural(plan)), abs=1e-12)
    assert exact.exact
    assert not rough.exact or rough.value == pytest.approx(exact.value, abs=1e-12)


def enumerated(plan: Plan, chances: Mapping[str, float]) -> float:
    """The availability of the goal, state by state."""
    total = []
    for states in itertools.product((True, False), repeat=len(chances)):
        down = frozenset(name for name, up in zip(chances, states, strict=True) if not up)
        weight = math.prod(chance if up else 1 - chance for chance, up in zip(chances.values(), states, strict=True))
        if weight and succeeds(plan, down):
            total.append(weight)
    return math.fsum(total)


def test_eighteen_components_are_taken_apart_exactly():
    """Nine pairs of alternatives in a row: no component is needed, and each pair fails only as a pair."""
    pairs = [(f"A{n}", f"B{n}") for n in range(9)]
    services = "".join(
        f"service {a} {{ availability 90%  handles Do{a} succeeds }}\n"
        f"service {b} {{ availability 80%  handles Do{b} succeeds }}\n"
        f"command Do{a}, Do{b}\n"
        for a, b in pairs
    )
    calls = "\n".join(f"calls {a}.Do{a} {{ fallback {{ calls {b}.Do{b} }} }}" for a, b in pairs)
    text = f"""
        {services}
        command Go
        event Done
        external service Outside {{ calls Front.Go }}
        service Front {{ handles Go {{ {calls}  emits Done }} }}
        flow Main {{ starts with Go from Outside  succeeds with Done }}
    """
    bound = availability_bound(only_flow(read(text)))
    assert bound is not None
    assert bound.exact
    assert bound.value == pytest.approx((1 - 0.1 * 0.2) ** 9, abs=1e-12)
    assert len(bound.contributors) == 18


# ------------------------------------------------------------------------------------------------ decision diagrams

FORMULAS = st.recursive(
    st.integers(0, 5),
    lambda inner: st.tuples(st.sampled_from(["and", "or"]), inner, inner),
    max_leaves=12,
)


def holds(formula: object, state: tuple[bool, ...]) -> bool:
    if isinstance(formula, int):
        return state[formula]
    assert isinstance(formula, tuple)
    word, left, right = formula
    if word == "and":
        return holds(left, state) and holds(right, state)
    return holds(left, state) or holds(right, state)


def built(formula: object, decisions: Decisions) -> int:
    if isinstance(formula, int):
        return decisions.variable(formula)
    assert isinstance(formula, tuple)
    word, left, right = formula
    parts = built(left, decisions), built(right, decisions)
    return decisions.both(*parts) if word == "and" else decisions.either(*parts)


@given(FORMULAS, st.lists(st.floats(0, 1), min_size=6, max_size=6))
def test_a_diagram_has_the_probability_of_its_formula(formula: object, chances: list[float]):
    expected = math.fsum(
        math.prod(chance if up else 1 - chance for chance, up in zip(chances, state, strict=True))
        for state in itertools.product((True, False), repeat=6)
        if holds(formula, state)
    )
    decisions = Decisions(1000)
    assert decisions.probability(built(formula, decisions), chances) == pytest.approx(expected, abs=1e-9)


@given(FORMULAS, FORMULAS)
def test_equal_conditions_have_one_node(left: object, right: object):
    decisions = Decisions(1000)
    same = all(holds(left, state) == holds(right, state) for state in itertools.product((True, False), repeat=6))
    assert (built(left, decisions) == built(right, decisions)) == same


def test_constants_decide_or_change_nothing():
    decisions = Decisions(10)
    one = decisions.variable(0)
    assert decisions.both(one, NEVER) == NEVER
    assert decisions.both(one, ALWAYS) == one
    assert decisions.either(one, NEVER) == one
    assert decisions.either(ALWAYS, one) == ALWAYS


def test_a_table_does_not_outgrow_its_limit():
    decisions = Decisions(3)
    decisions.variable(0)
    with pytest.raises(TooLargeError):
        decisions.variable(1)


# ------------------------------------------------------------------------------------------------ formulas


@pytest.mark.parametrize("n", range(1, 7))
def test_k_of_n_is_the_tail_of_the_binomial(n: int):
    for k in range(n + 1):
        expected = math.fsum(
            math.prod(0.9 if up else 0.1 for up in state)
            for state in itertools.product((True, False), repeat=n)
            if sum(state) >= k
        )
        assert k_of_n(0.9, n, k) == pytest.approx(expected, abs=1e-12)


def test_slack_forgives_an_outage_that_ends_in_time():
    assert with_slack(0.99, 30 * 60, 10 * 60) == pytest.approx(0.9995, abs=5e-6)
    assert with_slack(0.99, 0, 600) == pytest.approx(0.99)
    assert with_slack(0.99, -5, 600) == pytest.approx(0.99)


ASYNC = """
broker Kafka { availability 99.9% }
channel orders on Kafka { topic  CHANNEL }
event OrderPlaced, OrderShipped via orders
command PlaceOrder
external service Shopper { calls Orders.PlaceOrder }
service Orders { availability 99%  handles PlaceOrder emits OrderPlaced }
service Shipping { availability 90%  MTTR  on OrderPlaced { idempotent  emits OrderShipped } }
flow Ordering { starts with PlaceOrder from Shopper  succeeds with OrderShipped  WITHIN }
"""


def asynchronous(channel: str = "retention 7d", mttr: str = "", within: str = "") -> FlowView:
    return only_flow(read(ASYNC.replace("CHANNEL", channel).replace("MTTR", mttr).replace("WITHIN", within)))


def value(view: FlowView, *, acceptance: bool = False, duration: float = 0.0) -> float:
    bound = availability_bound(view, acceptance=acceptance, duration=duration)
    assert bound is not None
    return bound.value


def test_completion_counts_who_works_later():
    assert value(asynchronous()) == pytest.approx(0.999 * 0.99 * 0.9)


def test_acceptance_counts_who_is_needed_at_once():
    assert value(asynchronous(), acceptance=True) == pytest.approx(0.999 * 0.99)


def test_what_a_channel_loses_counts_for_acceptance_too():
    assert value(asynchronous("delivery at-most-once"), acceptance=True) == pytest.approx(0.999 * 0.99 * 0.9)


def test_a_deadline_forgives_short_outages_behind_a_durable_channel():
    patient = asynchronous(mttr="mttr 10m", within="within 30m")
    assert value(patient) == pytest.approx(0.999 * 0.99 * with_slack(0.9, 1800, 600))
    assert value(patient, duration=600) == pytest.approx(0.999 * 0.99 * with_slack(0.9, 1200, 600))


@pytest.mark.parametrize(
    ("channel", "mttr", "within"),
    [("in-memory", "mttr 10m", "within 30m"), ("retention 7d", "", "within 30m"), ("retention 7d", "mttr 10m", "")],
)
def test_nothing_is_forgiven_without_all_three_facts(channel: str, mttr: str, within: str):
    assert value(asynchronous(channel, mttr, within)) == pytest.approx(0.999 * 0.99 * 0.9)


def test_an_outbox_makes_the_broker_wait():
    text = ASYNC.replace("CHANNEL", "retention 7d").replace("MTTR", "").replace("WITHIN", "")
    view = only_flow(read(text.replace("service Orders {", "service Orders { outbox ")))
    assert value(view, acceptance=True) == pytest.approx(0.99)


def test_a_flow_without_a_reachable_goal_has_no_bound():
    view = only_flow(read("event A, B\nservice S { emits A }\nflow F { starts with A  succeeds with B }"))
    assert availability_bound(view) is None


# ------------------------------------------------------------------------------------------------ laws of SPF101


def exposed(design: Design) -> set[str]:
    """The components that SPF101 reports as known to be single and as cutting a flow, not only a branch of it."""
    findings = spof_findings(design, "SPF101")
    asks = ("nothing says how redundant", "only some of the goals")
    return {finding.subject for finding in findings if not any(words in finding.message for words in asks)}


def asked(design: Design) -> set[str]:
    """The components that SPF101 mentions at all, under a profile that asks for each of them by itself."""
    return {finding.subject for finding in spof_findings(design, "SPF101")}


def redundancies(plan: Plan, seed: int) -> dict[str, dict[str, object]]:
    """Redundancy facts for some of the components."""
    dice = Random(seed)
    facts: dict[str, dict[str, object]] = {}
    for name in plan.components:
        facts[name] = {}
        if dice.random() < 0.7:
            facts[name]["nodes" if name in plan.brokers else "replicas"] = dice.randint(1, 3)
        if name in plan.stores and dice.random() < 0.5:
            facts[name]["failover"] = dice.choice(("auto", "manual", "none"))
    return facts


def written(facts: Mapping[str, Mapping[str, object]]) -> dict[str, str]:
    return {name: "  ".join(f"{word} {value}" for word, value in found.items()) for name, found in facts.items()}


@quick
@given(plans, st.integers(0, 2**32), st.data())
def test_more_redundancy_adds_no_finding(plan: Plan, seed: int, data: st.DataObject):
    facts = redundancies(plan, seed)
    name = data.draw(st.sampled_from(plan.components))
    word = "nodes" if name in plan.brokers else "replicas"
    facts[name].setdefault(word, 1)
    more = {**facts, name: {**facts[name], word: int(str(facts[name][word])) + 1}}
    for profile in ("default", "strict", "production"):
        before = read(plan._replace(facts=written(facts)).text(), profile)
        after = read(plan._replace(facts=written(more)).text(), profile)
        assert exposed(after) <= exposed(before)
        if profile != "default":
            assert asked(after) <= asked(before)


@quick
@given(plans, st.integers(0, 2**32))
def test_findings_are_the_critical_components_without_a_second_unit(plan: Plan, seed: int):
    facts = redundancies(plan, seed)
    design = read(plan._replace(facts=written(facts)).text())
    kinds = {**dict.fromkeys(plan.services, "service"), **dict.fromkeys(plan.stores, "store")}
    expected = set()
    for name in structural(plan):
        found = facts[name]
        single = found.get("replicas") == 1 or found.get("nodes") == 1 or found.get("failover") in {"manual", "none"}
        if single:
            expected.add(f"{kinds.get(name, 'broker')} {name}")
    shared = {one.name for fate in design.shared_fates for one in fate.shared}
    assert exposed(design) <= expected
    assert {subject for subject in expected if subject.split()[1] not in shared} <= exposed(design)


@quick
@given(plans, st.integers(0, 2**32))
def test_renaming_permutes_the_findings(plan: Plan, seed: int):
    facts = redundancies(plan, seed)
    names = {name: f"X{len(plan.components) - n}-{name[0]}" for n, name in enumerate(plan.components)}
    renamed = Plan(
        tuple(names[one] for one in plan.services),
        tuple(names[one] for one in plan.stores),
        tuple(names[one] for one in plan.brokers),
        {names[one]: tuple(names[used] for used in all_used) for one, all_used in plan.uses.items()},
        {message: names[broker] for message, broker in plan.on.items()},
        tuple(
            body._replace(
                service=names[body.service],
                state=names.get(body.state, ""),
                statements=tuple(_renamed(one, names) for one in body.statements),
            )
            for body in plan.bodies
        ),
        plan.goals,
        plan.all_goals,
        {names[name]: text for name, text in written(facts).items()},
    )
    plain, other = read(plan._replace(facts=written(facts)).text()), read(renamed.text())
    radii = {names[one.component.name]: one.blast_radius for one in plain.criticals}
    assert {one.component.name: one.blast_radius for one in other.criticals} == pytest.approx(radii)
    assert {subject.split()[1] for subject in exposed(other)} == {names[one.split()[1]] for one in exposed(plain)}


def _renamed(statement: Statement, names: Mapping[str, str]) -> Statement:
    blocks = tuple(tuple(_renamed(one, names) for one in block) for block in statement.blocks)
    return Statement(statement.kind, names.get(statement.name, statement.name), blocks)


UNRELATED = """
command Elsewhere
event Otherwise
external service Stranger { calls Hermit.Elsewhere }
service Hermit { replicas 1  handles Elsewhere emits Otherwise }
flow Unrelated { starts with Elsewhere from Stranger  succeeds with Otherwise }
"""


@quick
@given(plans, st.integers(0, 2**32))
def test_an_unrelated_flow_changes_nothing_elsewhere(plan: Plan, seed: int):
    text = plan._replace(facts=written(redundancies(plan, seed))).text()
    assert exposed(read(text + UNRELATED)) - exposed(read(text)) == {"service Hermit"}
    assert exposed(read(text)) <= exposed(read(text + UNRELATED))


@quick
@given(plans, st.integers(0, 2**32))
def test_a_fallback_adds_no_point_of_failure(plan: Plan, seed: int):
    facts = written(redundancies(plan, seed))
    relaxed = plan._replace(
        bodies=tuple(body._replace(statements=tuple(_with_fallbacks(body.statements))) for body in plan.bodies)
    )
    assert structural(relaxed) <= structural(plan)
    before, after = read(plan._replace(facts=facts).text()), read(relaxed._replace(facts=facts).text())
    folded = {f"{kind} {one.name}" for fate in before.shared_fates for one in fate.shared for kind in KINDS}
    assert exposed(after) <= exposed(before) | folded


KINDS = ("service", "store", "broker")


def _with_fallbacks(statements: tuple[Statement, ...]) -> Iterator[Statement]:
    for one in statements:
        if one.kind == "calls":
            yield Statement("optional", one.name)
        else:
            yield one


@quick
@given(plans, st.integers(0, 2**32))
def test_profiles_only_get_stricter(plan: Plan, seed: int):
    text = plan._replace(facts=written(redundancies(plan, seed))).text()
    levels: list[dict[str, Severity]] = []
    for profile in ("default", "strict", "production"):
        findings = spof_findings(read(text, profile), "SPF101", "SPF102", "SPF104", "SPF105")
        found: dict[str, Severity] = {}
        for finding in findings:
            assert finding.severity is not None
            found[f"{finding.code} {finding.subject}"] = finding.severity
        levels.append(found)
    for milder, stricter in itertools.pairwise(levels):
        assert all(stricter[key] >= severity for key, severity in milder.items())


# ------------------------------------------------------------------------------------------------ golden designs


def test_a_choreography_reports_its_single_broker():
    design = read("""
        broker Rabbit { nodes 1 }
        channel bus on Rabbit { topic  delivery at-least-once }
        event Placed, Paid, Shipped via bus
        command Place
        external service Shopper { calls Orders.Place }
        service Orders { replicas 2  handles Place emits Placed }
        service Payments { replicas 2  on Placed emits Paid }
        service Shipping { replicas 2  on Paid emits Shipped }
        flow Ordering { starts with Place from Shopper  succeeds with Shipped  style choreographed }
    """)
    (finding,) = spof_findings(design)
    assert (finding.code, finding.subject, finding.severity) == ("SPF101", "broker Rabbit", Severity.ERROR)
    assert finding.message == (
        "flow `Ordering` has no orchestrator that could fail, but cannot succeed without broker `Rabbit`, which has `nodes 1`"
    )
    assert "blast radius 0.67: 100% of the flows by weight x 67% of the services" in finding.notes


STALL = """
broker Kafka { nodes 3  replication 3  min-insync 2 }
channel orders on Kafka { topic  RETENTION }
event OrderPlaced, OrderShipped via orders
command PlaceOrder
external service Shopper { calls Orders.PlaceOrder }
service Orders { replicas 2  handles PlaceOrder emits OrderPlaced }
service Shipping { replicas 1  RTO  on OrderPlaced { idempotent  emits OrderShipped } }
service Invoices { replicas 2  every 1d acts "sums up" }
flow Ordering { starts with PlaceOrder from Shopper  succeeds with OrderShipped  FLOW }
"""


@pytest.mark.parametrize(
    ("retention", "rto", "flow", "severity"),
    [
        ("", "", "", Severity.WARNING),
        ("retention 7d", "", "", Severity.WARNING),
        ("retention 1h", "rto 4h", "", Severity.WARNING),
        ("retention 7d  in-memory", "rto 4h", "", Severity.WARNING),
        ("retention 7d  delivery at-most-once", "rto 4h", "", Severity.WARNING),
        ("retention 7d", "rto 4h", "", Severity.INFO),
        ("retention 4h", "rto 4h", "", Severity.INFO),
        ("", "", "criticality low", Severity.INFO),
        ("retention 7d", "rto 4h", "criticality low", Severity.HINT),
        ("", "", "criticality critical", Severity.WARNING),
    ],
)
def test_a_delay_and_a_minor_flow_each_lower_the_severity(retention: str, rto: str, flow: str, severity: Severity):
    (finding,) = spof_findings(read(STALL.replace("RETENTION", retention).replace("RTO", rto).replace("FLOW", flow)))
    assert (finding.subject, finding.severity) == ("service Shipping", severity)
    stall = any(note.startswith("an outage is a stall") for note in finding.notes)
    assert stall == (bool(rto) and retention in {"retention 7d", "retention 4h"})


def test_a_service_that_is_called_does_not_stall():
    text = STALL.replace("RETENTION", "retention 7d").replace("RTO", "rto 4h  handles Ask succeeds").replace("FLOW", "")
    text = text.replace("command PlaceOrder", "command PlaceOrder, Ask")
    (finding,) = spof_findings(read(text.replace("emits OrderPlaced }", "{ calls Shipping.Ask  emits OrderPlaced } }")))
    assert finding.severity == Severity.ERROR
    assert finding.subject == "service Shipping"


SHOP = """
command Place
event Placed
external service Shopper { calls Orders.Place }
store Db { STORE }
service Orders { SERVICE  uses Db  handles Place { writes Db.orders  emits Placed } }
flow Ordering { starts with Place from Shopper  succeeds with Placed }
"""


def shop(
    store: str = "replicas 2  failover auto", service: str = "replicas 2", profile: str = "default"
) -> list[Finding]:
    return spof_findings(read(SHOP.replace("STORE", store).replace("SERVICE", service), profile), "SPF101")


@pytest.mark.parametrize(
    ("store", "reported"),
    [
        ("replicas 2  failover auto", False),
        ("failover auto", False),
        ("replicas 1", True),
        ("replicas 1  failover auto", True),
        ("replicas 3  failover manual", True),
        ("replicas 3  failover none", True),
        ("failover none", True),
    ],
)
def test_a_store_needs_a_replica_that_takes_over(store: str, reported: bool):
    assert [finding.subject for finding in shop(store)] == ["store Db"] * reported


def test_one_zone_is_one_unit_in_production():
    assert shop(service="replicas 3  zones 1", profile="strict") == []
    (finding,) = shop(service="replicas 3  zones 1", profile="production")
    assert finding.subject == "service Orders"
    assert finding.primary.span.text == "zones 1"
    assert shop(service="replicas 3  zones 2", profile="production") == []


def test_unknown_redundancy_is_asked_for_once_per_kind():
    text = SHOP + UNRELATED.replace("replicas 1", "")
    text = text.replace("STORE", "").replace("SERVICE", "")
    assert spof_findings(read(text)) == []  # the design does not speak of redundancy, and nothing carries two flows
    text += "event Placed2\nflow Again { starts with Place from Shopper  succeeds with Placed }\n"
    findings = spof_findings(read(text), "SPF101")
    assert [(one.subject, one.severity) for one in findings] == [
        ("store Db", Severity.INFO),
        ("service Orders", Severity.INFO),
    ]
    strict = spof_findings(read(text, "strict"), "SPF101")
    assert {(one.subject, one.severity) for one in strict} == {
        ("store Db", Severity.WARNING),
        ("service Orders", Severity.WARNING),
        ("service Hermit", Severity.WARNING),
    }


def test_who_speaks_of_redundancy_is_asked_for_the_rest():
    text = SHOP.replace("STORE", "").replace("SERVICE", "") + UNRELATED
    subjects = {one.subject: one.severity for one in spof_findings(read(text), "SPF101")}
    assert subjects == {"service Hermit": Severity.WARNING, "service Orders": Severity.INFO}


def test_an_availability_answers_for_the_redundancy():
    assert shop(store="availability 99.95%", service="availability 99.9%", profile="production") == []


def test_a_second_unit_is_reckoned_in_nines():
    (finding,) = shop(service="replicas 1  availability 99%")
    assert "`availability 99%` of one replica becomes 99.990000% with two that fail independently" in finding.notes


BRANCHES = """
command Place
event Placed, Quoted
external service Shopper { calls Front.Place }
service Front { replicas 2  handles Place { either { calls Orders.Take } or { calls Quotes.Give } } }
command Take, Give
service Orders { replicas 1  handles Take emits Placed }
service Quotes { replicas 2  handles Give emits Quoted }
flow Ordering { starts with Place from Shopper  succeeds with Placed or Quoted }
"""


def test_a_cut_branch_is_information_only():
    (finding,) = spof_findings(read(BRANCHES, "production"))
    assert (finding.subject, finding.severity) == ("service Orders", Severity.INFO)


def test_all_goals_make_a_branch_essential():
    text = BRANCHES.replace("Placed or Quoted", "Placed and Quoted")
    (finding,) = spof_findings(
        read(
            text.replace(
                "either { calls Orders.Take } or { calls Quotes.Give }", "calls Orders.Take  calls Quotes.Give"
            )
        )
    )
    assert (finding.subject, finding.severity) == ("service Orders", Severity.ERROR)


def test_the_source_of_a_flow_is_part_of_it():
    design = read("""
        event DayHasPassed, Billed
        service Clock { replicas 1  every 1d emits DayHasPassed }
        service Billing { replicas 2  on DayHasPassed emits Billed }
        flow Daily { starts with DayHasPassed from Clock  succeeds with Billed }
    """)
    (finding,) = spof_findings(design)
    assert finding.subject == "service Clock"
    assert "timer" in finding.help


def test_an_empty_fallback_is_an_answer():
    text = """
        command Show
        query Extra
        event Shown
        external service Reader { calls Page.Show }
        service Page { replicas 2  handles Show { calls Side.Extra { FALLBACK }  emits Shown } }
        service Side { replicas 1  handles Extra succeeds }
        flow Reading { starts with Show from Reader  succeeds with Shown }
    """
    assert [one.subject for one in spof_findings(read(text.replace("FALLBACK", "")))] == ["service Side"]
    assert spof_findings(read(text.replace("FALLBACK", 'fallback { note "an empty box" }'))) == []


# ------------------------------------------------------------------------------------------------ the other rules

EGRESS = """
command Pay, ByCard, ByAccount
event Paid
external service Shopper { calls Shop.Pay }
service Egress { EGRESS }
service Cards { replicas 2  uses Egress  handles ByCard acts "charges the card" }
service Accounts { replicas 2  uses LINE  handles ByAccount acts "debits the account" }
service Line { replicas 2 }
service Shop { replicas 2  SHOP  handles Pay { calls Cards.ByCard { fallback { calls Accounts.ByAccount } }  emits Paid } }
flow Purchase { starts with Pay from Shopper  succeeds with Paid }
"""


def egress(egress: str = "replicas 1", line: str = "Egress", shop: str = "", profile: str = "default") -> list[str]:
    design = read(EGRESS.replace("EGRESS", egress).replace("LINE", line).replace("SHOP", shop), profile)
    return [f"{finding.code} {finding.subject}" for finding in spof_findings(design)]


FATE = "SPF103 service Shop / handles Pay / calls ByCard"


def test_a_shared_fate_is_told_once():
    assert egress() == [FATE]
    assert egress(line="Line") == []


def test_a_shared_fate_with_redundancy_is_asked_for_in_production_only():
    assert egress("replicas 2") == []
    assert egress("replicas 2", profile="strict") == []
    assert egress("replicas 2", profile="production") == [FATE]


def test_what_the_caller_needs_anyway_is_its_own_point_of_failure():
    assert egress(shop="uses Egress") == ["SPF101 service Egress"]


BROKER = """
broker Kafka { BROKER }
channel bus on Kafka { topic  delivery at-least-once }
event Placed via bus
command Place
external service Shopper { calls Orders.Place }
service Orders { replicas 2  handles Place emits Placed }
flow Ordering { starts with Place from Shopper  succeeds with Placed  FLOW }
"""


@pytest.mark.parametrize(
    ("broker", "flow", "found"),
    [
        ("nodes 3  replication 3  min-insync 2", "", []),
        ("nodes 3  quorum", "", []),
        ("nodes 1", "", ["SPF101"]),
        ("nodes 1  replication 1  min-insync 1", "", ["SPF101"]),
        ("nodes 1  quorum", "", ["SPF101"]),
        ("nodes 3  replication 1", "", ["SPF101"]),
        ("nodes 3  replication 3  min-insync 3", "", ["SPF104"]),
        ("replication 2  min-insync 2", "", ["SPF104"]),
        ("nodes 2  quorum", "", ["SPF104"]),
        ("nodes 2", "", []),
        ("nodes 4  quorum", "", ["SPF104"]),
        ("nodes 5  quorum", "", []),
        ("nodes 3  replication 3  min-insync 3", "criticality low", ["SPF101"]),
    ],
)
def test_a_broker_is_reported_by_one_rule(broker: str, flow: str, found: list[str]):
    findings = spof_findings(read(BROKER.replace("BROKER", broker).replace("FLOW", flow)))
    assert [finding.code for finding in findings] == found


def test_writers_of_two_contexts_are_an_error():
    text = """
        context Sales { service Orders { handles Place writes Db.orders } }
        context Money { service Billing { handles Pay writes Db.orders } }
        store Db { owner Orders }
        command Place, Pay
    """
    (finding,) = spof_findings(read(text), "SPF105")
    assert finding.severity == Severity.ERROR
    (finding,) = spof_findings(read(text.replace("context Money", "context Sales")), "SPF105")
    assert finding.severity == Severity.WARNING
    assert (
        spof_findings(
            read(text.replace("Pay writes Db.orders", "Pay writes Db.bills").replace("{ owner Orders }", "")), "SPF105"
        )
        == []
    )


def test_reacting_to_changes_shares_no_store():
    text = """
        service Orders { handles Place writes Db.orders }
        service Search { REACT }
        store Db { owner Orders }
        store Index { owner Search }
        command Place
    """
    assert spof_findings(read(text.replace("REACT", "on change of Db.orders writes Index.orders")), "SPF105") == []
    (finding,) = spof_findings(
        read(text.replace("REACT", "every 1h { reads Db.orders  writes Index.orders }")), "SPF105"
    )
    assert finding.severity == Severity.INFO


WORKFLOW = """
command Go, One, Two
channel work { queue  delivery at-least-once }
external service Outside { sends Main.Go }
store Memory { in-memory }
store Disk
service Main { handles Local writes Memory.rows }
command Local
workflow Run in Main { starts on Go  IDEMPOTENT  STATE  BODY }
service Other { handles One { IDEMPOTENT acts "one" } handles Two { IDEMPOTENT  acts "two" } }
"""


def workflow(state: str, body: str, idempotent: str = "", *, redelivered: bool = False) -> list[str]:
    text = WORKFLOW.replace("STATE", state).replace("BODY", body).replace("IDEMPOTENT", idempotent)
    if redelivered:
        text = text.replace("command Go, One, Two", "command Go via work\ncommand One, Two")
    return [finding.message for finding in spof_findings(read(text), "SPF102")]


TWO = "calls Other.One  calls Other.Two"


@pytest.mark.parametrize(
    ("state", "body", "reported"),
    [
        ("state memory", TWO, True),
        ("state in Memory", TWO, True),
        ("state in Disk", TWO, False),
        ("", TWO, False),
        ("state memory", "calls Other.One", False),
        ("state memory", "either { calls Other.One } or { calls Other.Two }", False),
        ("state memory", "calls Other.One { compensate Other.Two }", True),
        ("state memory", "awaits Two", True),
        ("state memory", "waits 1h", True),
        ("state in Disk", "reads Memory.rows  calls Other.One", True),
        ("state in Disk", "reads Disk.rows  calls Other.One", False),
    ],
)
def test_a_workflow_has_to_remember(state: str, body: str, reported: bool):
    assert bool(workflow(state, body)) == reported


def test_what_is_run_again_from_the_start_need_not_remember():
    assert workflow("state memory", TWO, "idempotent", redelivered=True) == []
    assert workflow("state memory", TWO, "idempotent") != []
    assert workflow("state memory", TWO, redelivered=True) != []
    assert workflow("state memory", f"{TWO}  waits 1h", "idempotent", redelivered=True) != []


def test_what_projections_build_may_be_lost():
    text = WORKFLOW.replace("STATE", "state in Disk").replace("BODY", "reads Memory.rows").replace("IDEMPOTENT", "")
    text = text.replace("handles Local writes Memory.rows", "handles Local { projection  writes Memory.rows }")
    assert spof_findings(read(text), "SPF102") == []


def test_the_found_are_ordered_by_blast_radius(tmp_path: Path):
    path = tmp_path / "shop.coord"
    path.write_text(
        STALL.replace("RETENTION", "")
        .replace("RTO", "")
        .replace("FLOW", "")
        .replace("nodes 3  replication 3", "nodes 3  replication 2")
    )
    design = load(str(path))
    single = [one for one in design.criticals if one.tolerance.crashes == 0]
    assert [one.component.name for one in single] == ["Kafka", "Shipping"]
    assert [one.blast_radius for one in single] == sorted((one.blast_radius for one in single), reverse=True)
    assert all(0 <= one.blast_radius <= 1 for one in design.criticals)
