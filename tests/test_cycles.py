"""Cycles held against brute force on small random designs, loop gain against simulation, and the laws of the CYC rules."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import NamedTuple

import networkx as nx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordlint.analysis.circles import feedback_edges, shortest_cycle
from coordlint.analysis.cycles import Loop
from coordlint.analysis.emissions import emission
from coordlint.check import check, select_rules
from coordlint.design import Design, load
from coordlint.finding import Finding, Severity
from coordlint.source import Source

quick = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))


def read(text: str, profile: str = "default") -> Design:
    design = load("test.coord", stdin=Source("test.coord", text), profile=profile)
    assert [problem.message for problem in design.problems] == [], text
    return design


def findings(text: str, code: str, profile: str = "default") -> list[Finding]:
    result = check(read(text, profile), select_rules(select=[code], profile=profile))
    assert result.crashes == ()
    return [finding for finding in result.findings if finding.code == code]


def severities(text: str, code: str, profile: str = "default") -> list[Severity | None]:
    return [finding.severity for finding in findings(text, code, profile)]


# ------------------------------------------------------------------------------------------------ random reactions


class Hop(NamedTuple):
    """An event that a reaction publishes: always (1), with a declared chance in percent, or perhaps (None)."""

    event: int
    chance: int | None


class Reaction(NamedTuple):
    """A handler of the event of its own number, and what may end its loops."""

    hops: tuple[Hop, ...]
    breaker: str = ""
    external: bool = False

    @property
    def broken(self) -> bool:
        return self.external or (self.breaker != "" and self.breaker != 'when "a"')

    @property
    def guarded(self) -> bool:
        return self.breaker == 'when "a"'


BREAKERS = ("", "", "", "", "max-hops 4", "if-changed", 'when "a"', 'when "a" until "b"')


@st.composite
def reactions(draw: st.DrawFn) -> tuple[Reaction, ...]:
    count = draw(st.integers(1, 5))
    hop = st.builds(Hop, st.integers(0, count - 1), st.sampled_from([100, 100, None, 10, 30, 60, 90, 90, 90]))
    one = st.builds(
        Reaction,
        st.lists(hop, max_size=3).map(tuple),
        st.sampled_from(BREAKERS),
        st.sampled_from([False] * 7 + [True]),
    )
    return tuple(draw(one) for _ in range(count))


def text_of(plan: tuple[Reaction, ...], names: str = "ABCDE") -> str:
    lines = [f"event {', '.join(f'E{names[number]}' for number in range(len(plan)))}"]
    for number, reaction in enumerate(plan):
        body = [reaction.breaker]
        for hop in reaction.hops:
            emits = f"emits E{names[hop.event]}"
            if hop.chance is None:
                body.append(f"either {{ {emits} }} or {{ succeeds }}")
            else:
                body.append(emits if hop.chance == 100 else f"either {hop.chance}% {{ {emits} }} or {{ succeeds }}")
        outside = "external " if reaction.external else ""
        lines.append(f"{outside}service S{names[number]} {{ on E{names[number]} {{ {' '.join(body)} }} }}")
    lines.append(f"service Clock {{ every 1d {{ emits E{names[0]} }} }}")
    return "\n".join(lines)


def graph_of(plan: tuple[Reaction, ...], *, broken: bool = True, only_certain: bool = False) -> nx.DiGraph[int]:
    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(len(plan)))
    for number, reaction in enumerate(plan):
        for hop in reaction.hops:
            if (reaction.broken or plan[hop.event].broken) and not broken:
                continue
            if only_certain and (hop.chance != 100 or reaction.guarded):
                continue
            graph.add_edge(number, hop.event)
    return graph


def means(plan: tuple[Reaction, ...], nodes: set[int]) -> list[list[float]]:
    order = sorted(nodes)
    rows = [[0.0] * len(order) for _ in order]
    for row, number in enumerate(order):
        for hop in plan[number].hops:
            if hop.event in nodes:
                rows[row][order.index(hop.event)] += 1.0 if hop.chance is None else hop.chance / 100
    return rows


def dies_out(rows: list[list[float]]) -> bool:
    """Whether the powers of the matrix of means go to zero, by squaring it often."""
    for _ in range(30):
        size = range(len(rows))
        rows = [[min(1e6, sum(rows[i][k] * rows[k][j] for k in size)) for j in size] for i in size]
    return max(map(max, rows)) < 1e-3


def expected_verdict(plan: tuple[Reaction, ...], part: set[int]) -> str | None:
    """The worst of the unbroken parts of a strongly connected part, by simple cycles."""
    left = graph_of(plan, broken=False).subgraph(part)
    certain = graph_of(plan, broken=False, only_certain=True).subgraph(part)
    if not list(nx.simple_cycles(left)):
        return None
    if list(nx.simple_cycles(certain)):
        return "endless"
    known = [
        [hop for hop in reaction.hops if hop.chance is not None] if not reaction.guarded else [] for reaction in plan
    ]
    exact = tuple(reaction._replace(hops=tuple(hops)) for reaction, hops in zip(plan, known, strict=True))
    if any(not dies_out(means(exact, rest)) for rest in loops(graph_of(exact, broken=False).subgraph(part))):
        return "storm"
    return "fading" if all(dies_out(means(plan, rest)) for rest in loops(left)) else "guarded"


def loops(graph: nx.DiGraph[int]) -> list[set[int]]:
    """The strongly connected parts with a cycle."""
    parts = nx.strongly_connected_components(graph)
    return [part for part in parts if len(part) > 1 or any(graph.has_edge(node, node) for node in part)]


def test_loops_agree_with_the_simple_cycles_of_small_designs():
    seen: Counter[str | None] = Counter()

    @settings(quick, max_examples=300)
    @given(reactions())
    def agree(plan: tuple[Reaction, ...]) -> None:
        expected = {}
        whole = graph_of(plan)
        for part in nx.strongly_connected_components(whole):
            verdict = expected_verdict(plan, part)
            seen[verdict] += 1
            if verdict is not None:
                expected[frozenset(part)] = verdict
        found = {frozenset(numbers(loop)): loop for loop in read(text_of(plan)).cycles.feedback}
        assert {part: loop.verdict for part, loop in found.items()} == expected
        for part, loop in found.items():
            graph = graph_of(plan, broken=False, only_certain=loop.verdict == "endless").subgraph(part)
            way = [ord(hop.source.service.name[1]) - ord("A") for hop in loop.cycle]
            assert all(graph.has_edge(one, other) for one, other in itertools.pairwise([*way, way[0]]))
            if loop.verdict in {"endless", "fading"} and len(expected) == 1:
                assert len(way) >= min(map(len, nx.simple_cycles(graph)))
            if loop.verdict == "endless":
                assert len(way) == min(map(len, nx.simple_cycles(graph)))

    agree()
    assert all(seen[verdict] for verdict in (None, "endless", "guarded", "fading")), seen


def numbers(loop: Loop) -> Iterator[int]:
    return (ord(process.service.name[1]) - ord("A") for process in loop.processes)


@settings(quick, max_examples=60)
@given(reactions(), st.data())
def test_a_breaker_never_adds_a_finding(plan: tuple[Reaction, ...], data: st.DataObject):
    before = severities(text_of(plan), "CYC502")
    place = data.draw(st.integers(0, len(plan) - 1))
    breaker = data.draw(st.sampled_from(["max-hops 4", "if-changed", 'when "a" until "b"']))
    changed = list(plan)
    changed[place] = changed[place]._replace(breaker=breaker)
    after = severities(text_of(tuple(changed)), "CYC502")
    assert len(after) <= len(before)
    assert sorted(after, key=int, reverse=True) <= sorted(before, key=int, reverse=True)


@settings(quick, max_examples=60)
@given(reactions(), st.permutations("ABCDE"))
def test_names_do_not_matter(plan: tuple[Reaction, ...], names: list[str]):
    for code in ("CYC502", "CYC504"):
        before, after = severities(text_of(plan), code), severities(text_of(plan, "".join(names)), code)
        assert Counter(before) == Counter(after)


UNRELATED = """
command Other0
event Other1
store OtherDb
external service Other2 { sends Other3.Other0 }
service Other3 { handles Other0 { writes OtherDb.rows  emits Other1 } }
service Other4 { on Other1 { writes OtherDb.seen } }
flow Other5 { starts with Other0 from Other2  succeeds with Other1 }
"""


@settings(quick, max_examples=40)
@given(reactions())
def test_an_unrelated_flow_changes_nothing(plan: tuple[Reaction, ...]):
    text = text_of(plan)
    assert [f.message for f in findings(text + UNRELATED, "CYC502")] == [f.message for f in findings(text, "CYC502")]


# ------------------------------------------------------------------------------------------------ gain


def simulate(plan: tuple[Reaction, ...], start: int, random: Random) -> int:
    """How often the first process runs after one trigger."""
    runs, pending = 0, [start]
    while pending:
        number = pending.pop()
        runs += number == start
        for hop in plan[number].hops:
            if hop.chance is not None and random.random() < hop.chance / 100:
                pending.append(hop.event)
    return runs


FADING = (
    (Reaction((Hop(0, 60),)),),
    (Reaction((Hop(0, 30), Hop(0, 30))),),
    (Reaction((Hop(1, 60), Hop(1, 30))), Reaction((Hop(0, 60),))),
    (Reaction((Hop(1, 100),)), Reaction((Hop(2, 60), Hop(1, 10))), Reaction((Hop(0, 60), Hop(2, 30)))),
    (Reaction((Hop(1, 30), Hop(2, 30))), Reaction((Hop(0, 100),)), Reaction((Hop(0, 60), Hop(1, 30)))),
)


@pytest.mark.parametrize("plan", FADING)
def test_the_expected_runs_are_those_of_a_simulated_branching_process(plan: tuple[Reaction, ...]):
    (loop,) = read(text_of(plan)).cycles.feedback
    assert loop.verdict == "fading"
    start = ord(loop.cycle[0].source.service.name[1]) - ord("A")
    random, rounds = Random(7), 20_000
    runs = [simulate(plan, start, random) for _ in range(rounds)]
    mean = sum(runs) / rounds
    error = (sum((one - mean) ** 2 for one in runs) / rounds / rounds) ** 0.5
    assert abs(mean - loop.expected) < 5 * error


def test_the_gain_of_one_cycle_is_the_product_of_its_means():
    (loop,) = read(text_of((Reaction((Hop(1, 60), Hop(1, 30))), Reaction((Hop(0, 60),))))).cycles.feedback
    assert loop.gain == pytest.approx((0.6 + 0.3) * 0.6)
    assert loop.expected == pytest.approx(1 / (1 - 0.54))


def test_a_storm_that_no_number_bounds_is_told_without_one():
    text = """
    store Db
    external event Begun
    query Ask
    service X
    service Y {
      handles Ask { idempotent parallel { branch { writes Db.lines  calls X.Ask } } repeat up to 3 { } }
      on Begun { either 30% { } or { calls Y.Ask } }
    }
    workflow W in X { starts on Ask  step a { emits Begun } }
    """
    (finding,) = findings(text, "CYC503")
    assert finding.message.endswith("one instance of the workflow leads to more and more")


def test_a_gain_of_one_or_more_is_a_storm():
    storm = text_of((Reaction((Hop(0, 60), Hop(0, 60))),))
    (finding,) = findings(storm, "CYC502")
    assert finding.severity is Severity.ERROR
    assert "1.2" in finding.message
    (finding,) = findings(text_of((Reaction((Hop(0, 60),)),)), "CYC502")
    assert finding.severity is Severity.INFO
    assert "2.5" in finding.message


# ------------------------------------------------------------------------------------------------ emissions


class Node(NamedTuple):
    """A statement: emit, skip, fails, either, parallel, repeat; with its blocks and their chances or its limit."""

    kind: str
    blocks: tuple[tuple[Node, ...], ...] = ()
    chances: tuple[int | None, ...] = ()
    limit: int = 0


@st.composite
def bodies(draw: st.DrawFn, depth: int = 2) -> tuple[Node, ...]:
    found = []
    for _ in range(draw(st.integers(1, 3))):
        kinds = ["emit", "skip"] + (["either", "parallel", "repeat", "each"] if depth else [])
        kind = draw(st.sampled_from(kinds))
        if kind in {"emit", "skip"}:
            found.append(Node(kind))
        elif kind in {"repeat", "each"}:
            found.append(Node(kind, (draw(bodies(depth=0)),), (), draw(st.integers(2, 4))))
        else:
            count = draw(st.integers(2, 3))
            blocks = tuple(draw(bodies(depth=depth - 1)) for _ in range(count))
            chances = tuple(draw(st.sampled_from([None, 10, 20, 30])) for _ in range(count))
            found.append(Node(kind, blocks, chances if kind == "either" else ()))
    return tuple(found)


def body_text(nodes: tuple[Node, ...]) -> str:
    parts = []
    for node in nodes:
        blocks = [f"{{ {body_text(block)} }}" for block in node.blocks]
        if node.kind == "emit":
            parts.append("emits Found")
        elif node.kind == "skip":
            parts.append('acts "something"')
        elif node.kind == "repeat":
            parts.append(f"repeat up to {node.limit} {blocks[0]}")
        elif node.kind == "each":
            parts.append(f"for each thing {blocks[0]}")
        elif node.kind == "parallel":
            parts.append(f"parallel {{ {' '.join(f'branch {block}' for block in blocks)} }}")
        else:
            chanced = zip(node.chances, blocks, strict=True)
            parts.append(
                f"either {' or '.join(f'{chance}% {block}' if chance else block for chance, block in chanced)}"
            )
    return "\n".join(parts)


def most(nodes: tuple[Node, ...]) -> float:
    """The mean number of emissions, at most."""
    total = 0.0
    for node in nodes:
        inner = [most(block) for block in node.blocks]
        if node.kind == "emit":
            total += 1
        elif node.kind == "parallel":
            total += sum(inner)
        elif node.kind in {"repeat", "each"}:
            # Inside a loop only an upper bound is computed: all that stands there, in every round.
            rounds = node.limit if node.kind == "repeat" else float("inf")
            total += sum(one.kind == "emit" for one in node.blocks[0]) * rounds if inner[0] else 0
        elif node.kind == "either":
            chanced = [(chance, value) for chance, value in zip(node.chances, inner, strict=True) if chance]
            others = [value for chance, value in zip(node.chances, inner, strict=True) if not chance]
            rest = 1 - sum(chance for chance, _ in chanced) / 100
            total += sum(chance / 100 * value for chance, value in chanced if value)
            total += rest * max(others or inner)
    return total


def least(nodes: tuple[Node, ...]) -> float:
    """The mean number of emissions, at least; what stands in loops is not counted."""
    total = 0.0
    for node in nodes:
        inner = [least(block) for block in node.blocks]
        if node.kind == "emit":
            total += 1
        elif node.kind == "parallel":
            total += sum(inner)
        elif node.kind == "either":
            rest = 1 - sum(chance for chance in node.chances if chance) / 100
            total += sum(chance / 100 * value for chance, value in zip(node.chances, inner, strict=True) if chance)
            total += rest * min([v for c, v in zip(node.chances, inner, strict=True) if not c] or inner)
    return total


def always(nodes: tuple[Node, ...]) -> bool:
    """Whether every run emits."""
    for node in nodes:
        inner = [always(block) for block in node.blocks]
        if node.kind == "emit" or (node.kind in {"parallel", "repeat", "each"} and any(inner)):
            return True
        if node.kind == "either" and all(inner):
            return True
    return False


@settings(quick, max_examples=200)
@given(bodies())
def test_emissions_agree_with_the_statements(nodes: tuple[Node, ...]):
    design = read(f"event Found\nservice S {{ every 1d {{ {body_text(nodes)} }} }}\nservice T {{ on Found {{ }} }}")
    process = next(one for one in design.system.processes if one.service.name == "S")
    emits = list(design.system.actions_of(process, "emit"))
    found = emission(design.system, process, emits)
    assert found.most == pytest.approx(most(nodes))
    assert found.least == pytest.approx(max(least(nodes), 1.0) if always(nodes) else least(nodes))
    assert found.certain == always(nodes)


def test_a_call_that_fails_makes_no_way_out():
    text = """
    event Found
    command Ask
    service S { every 1d { calls T.Ask  emits Found } every 2d { calls T.Ask { on failure { emits Found } } } }
    service T { handles Ask { succeeds or fails "no" } }
    """
    design = read(text)
    sure, perhaps = (
        emission(design.system, process, list(design.system.actions_of(process, "emit")))
        for process in design.system.processes
        if process.service.name == "S"
    )
    assert sure == (1, 1, True)
    assert perhaps == (0, 1, False)


# ------------------------------------------------------------------------------------------------ shapes

edges = st.dictionaries(
    st.tuples(st.sampled_from("abcde"), st.sampled_from("abcde")).filter(lambda edge: edge[0] != edge[1]),
    st.integers(1, 3),
    min_size=1,
    max_size=9,
)


def is_acyclic(graph: dict[tuple[str, str], int], without: tuple[tuple[str, str], ...] = ()) -> bool:
    return nx.is_directed_acyclic_graph(nx.DiGraph([edge for edge in graph if edge not in without]))


@settings(quick, max_examples=80)
@given(edges)
def test_no_smaller_set_of_edges_breaks_the_circle(graph: dict[tuple[str, str], int]):
    found, exact = feedback_edges(graph)
    assert exact
    assert is_acyclic(graph, tuple(found))
    price = (len(found), sum(graph[edge] for edge in found))
    for size in range(len(found) + 1):
        for subset in itertools.combinations(graph, size):
            if is_acyclic(graph, subset):
                assert price <= (len(subset), sum(graph[edge] for edge in subset))
    heuristic, exact = feedback_edges(graph, exact_up_to=0)
    assert not exact
    assert is_acyclic(graph, tuple(heuristic))


@settings(quick, max_examples=80)
@given(edges)
def test_the_shortest_cycle_is_the_shortest(graph: dict[tuple[str, str], int]):
    successors: dict[object, list[object]] = {}
    for source, target in graph:
        successors.setdefault(source, []).append(target)
    cycles = list(nx.simple_cycles(nx.DiGraph(list(graph))))
    found = shortest_cycle(successors, graph)
    assert (found is None) == (not cycles)
    if found is not None:
        assert len(found) == min(map(len, cycles))
        assert all((one, other) in graph for one, other in itertools.pairwise([*found, found[0]]))


# ------------------------------------------------------------------------------------------------ loops, by hand

LOOP = "event A, B\nservice X {{ every 1d {{ emits A }} on A {{ {} }} }}\nservice Y {{ on B {{ {} }} }}\n"


@pytest.mark.parametrize(
    ("first", "second", "severity"),
    [
        ("emits B", "emits A", Severity.ERROR),
        ("emits B", "attempts 1  emits A", Severity.ERROR),
        ("emits B", "emits A, A", Severity.ERROR),
        ("emits B", "emits A or fails", Severity.WARNING),
        ("emits B", "emits A or 10% fails", Severity.INFO),
        ("emits B", 'when "a"  emits A', Severity.WARNING),
        ("emits B", "idempotent by id  emits A", Severity.WARNING),
        ("emits B", "idempotent by id  re-emits  emits A", Severity.ERROR),
        ("emits B", "idempotent  emits A", Severity.ERROR),
        ("emits B", "for each item { emits A }", Severity.ERROR),
        ("emits B", "either 10% { for each item { emits A } } or { }", Severity.WARNING),
        ("emits B", "either 10% { repeat up to 5 { emits A } } or { }", Severity.INFO),
        ("emits B", "either 0% { emits A } or { succeeds }", None),
        ("emits B", "max-hops 3  emits A", None),
        ("if-changed  emits B", "emits A", None),
        ("emits B", 'when "a" until "b"  emits A', None),
        ("emits B", "succeeds", None),
    ],
)
def test_how_a_loop_of_two_events_is_judged(first: str, second: str, severity: Severity | None):
    assert severities(LOOP.format(first, second), "CYC502") == ([] if severity is None else [severity])


def test_a_loop_that_an_outsider_decides_on_is_none():
    text = "event A, B\nservice X { every 1d { emits A } on A { emits B } }\nexternal service Y { on B { emits A } }"
    assert findings(text, "CYC502") == []


def test_a_join_with_something_from_elsewhere_sets_the_pace():
    text = "event A, B, C\nservice X {{ every 1d {{ emits A, C }} on A and {} {{ emits B }} }}\nservice Y {{ on B {{ emits {} }} }}"
    assert findings(text.format("C", "A"), "CYC502") == []
    assert len(findings(text.format("C", "A, C"), "CYC502")) == 1


def test_a_request_and_its_answer_in_a_repeat_is_no_loop():
    text = """
    command Ask
    event Answer, Go
    service X
    workflow W in X { starts every 1d  repeat { sends Y.Ask  awaits Answer } }
    service Y { handles Ask { emits Answer } }
    """
    assert findings(text, "CYC502") == findings(text, "CYC503") == []


def test_polling_is_no_loop():
    text = """
    event A
    store Db
    service X { every 1m { reads Db.rows  emits A } }
    service Y { on A { writes Db.rows } }
    """
    assert findings(text, "CYC502") == []


def test_a_change_closes_a_loop():
    text = """
    event A
    store Db
    service X { every 1d { emits A } on change of Db.rows { emits A } }
    service Y { on A { writes Db.rows } }
    """
    (finding,) = findings(text, "CYC502")
    assert "`change of Db.rows`" in finding.message


def test_a_delayed_command_to_itself_is_paced():
    text = "command Tick\nservice X { every 1d { sends X.Tick } handles Tick { sends X.Tick after 1h } }"
    assert severities(text, "CYC502") == [Severity.WARNING]


def test_two_loops_in_one_knot_are_one_finding():
    text = "event A, B, C\nservice X { every 1d { emits A } on A { emits B, C } on B { emits A } on C { emits A } }"
    (finding,) = findings(text, "CYC502")
    assert any("in the same knot" in note for note in finding.notes)


def test_a_loop_of_calls_alone_is_no_feedback():
    text = "query A, B\nservice X { every 1d { calls X.A } handles A { calls Y.B } }\nservice Y { handles B { calls X.A } }"
    assert findings(text, "CYC502") == []
    assert severities(text, "CYC501") == [Severity.ERROR]


@pytest.mark.parametrize(
    ("call", "levels"),
    [
        ("calls X.A", [Severity.ERROR]),
        ("calls X.A { optional }", [Severity.WARNING]),
        ("either { calls X.A } or { }", [Severity.WARNING]),
        ("max-hops 3  calls X.A", [Severity.WARNING]),
        ("calls Z.C { on failure { calls X.A } }", [Severity.WARNING]),
        ("sends X.A", []),
        ("calls Z.C", []),
    ],
)
def test_how_a_circle_of_calls_is_judged(call: str, levels: list[Severity]):
    text = f"""
    query A, B, C
    service X {{ every 1d {{ calls X.A }} handles A {{ calls Y.B }} }}
    service Y {{ handles B {{ {call} }} }}
    service Z {{ handles C {{ succeeds }} }}
    """
    assert severities(text, "CYC501") == levels


@pytest.mark.parametrize(
    ("attributes", "again", "levels"),
    [
        ("", "sends X.Go", [Severity.ERROR]),
        ("", "emits Done", [Severity.ERROR]),
        ("max-depth 3", "sends X.Go", []),
        ("", "sends X.Go after 1d", [Severity.WARNING]),
        ("", "either { sends X.Go } or { }", [Severity.WARNING]),
        ("", "calls Y.Work { on failure { sends X.Go } }", [Severity.WARNING]),
        ("", "calls Y.Work", []),
    ],
)
def test_how_a_workflow_that_starts_itself_is_judged(attributes: str, again: str, levels: list[Severity]):
    text = f"""
    command Go, Work
    event Done
    service X {{ every 1d {{ sends X.Go }} on Done {{ sends X.Go }} }}
    service Y {{ handles Work {{ succeeds or fails "no" }} }}
    workflow W in X {{ starts on Go  {attributes}  {again} }}
    """
    assert severities(text, "CYC503") == levels
    assert findings(text, "CYC502") == []


def test_a_child_that_answers_its_parent_is_no_recursion():
    text = """
    command Go, Child
    event Done
    service X { every 1d { sends X.Go } }
    service Y
    workflow Parent in X { starts on Go  sends Y.Child  awaits Done }
    workflow Child in Y { starts on Child  emits Done }
    """
    assert findings(text, "CYC503") == []


# ------------------------------------------------------------------------------------------------ dependencies


def test_a_circle_across_contexts_is_a_warning_and_names_what_to_give_up():
    text = """
    query A, B
    command C
    context One { service X { every 1d { calls Y.B  sends Y.C } handles A { succeeds } } }
    context Two { service Y { handles B { succeeds } handles C { succeeds } every 1d { calls X.A } } }
    """
    (finding,) = findings(text, "CYC504")
    assert finding.severity is Severity.WARNING
    assert any("`Y` -> `X`" in note and "smallest" in note for note in finding.notes)


def test_contexts_can_depend_on_each_other_without_their_services():
    text = """
    query A, B
    context One { service X { every 1d { calls Y.B } } service X2 { handles A { succeeds } } }
    context Two { service Y { handles B { succeeds } } service Y2 { every 1d { calls X2.A } } }
    """
    (finding,) = findings(text, "CYC504")
    assert finding.message == "contexts `One` and `Two` depend on each other"
    assert finding.severity is Severity.WARNING


@pytest.mark.parametrize(
    "back",
    [
        "on Told { writes Db.rows }",  # an event
        "every 1d { sends X.Answer }",  # an answer that a workflow waits for
    ],
)
def test_what_makes_no_circle_of_services(back: str):
    text = f"""
    command Do, Answer, Go
    event Told
    store Db
    service X {{ every 1d {{ sends X.Go  emits Told }} }}
    workflow W in X {{ starts on Go  calls Y.Do  awaits Answer }}
    service Y {{ handles Do {{ succeeds }} {back} }}
    service Z {{ on Told {{ }} }}
    """
    assert findings(text, "CYC504") == []


def test_outsiders_make_no_circle():
    text = """
    command Do, Ask
    external service Staff { handles Ask { calls X.Do } }
    service X { every 1d { sends Staff.Ask } handles Do { succeeds } }
    """
    assert findings(text, "CYC504") == []


def test_a_loop_is_not_reported_as_a_dependency_as_well():
    text = "query A, B\nservice X { every 1d { calls X.A } handles A { calls Y.B } }\nservice Y { handles B { calls X.A } }"
    assert findings(text, "CYC501")
    assert findings(text, "CYC504") == []


def test_uses_makes_a_service_depend():
    text = "query A\nservice X { uses Y  handles A { succeeds } }\nservice Y { every 1d { calls X.A } }"
    assert severities(text, "CYC504") == [Severity.INFO]


# ------------------------------------------------------------------------------------------------ dead letters

CHANNELS = """
broker B
channel one on B {{ queue  {one} }}
channel two on B {{ queue  {two} }}
channel parked on B {{ queue }}
event A via one
event C via two
service X {{ every 1d {{ emits A{also} }} }}
service Y {{ on A {{ {handler} }} {reader} }}
"""


@pytest.mark.parametrize(
    ("one", "two", "handler", "reader", "levels"),
    [
        ("dead-letter two after 5", "dead-letter one", "", "", [Severity.ERROR]),
        ("dead-letter two after 5", "dead-letter one after 3", "", "on C { }", [Severity.ERROR]),
        ("dead-letter two after 5", "dead-letter one", "", "on C { }", [Severity.WARNING]),
        ("dead-letter two", "dead-letter one", "", "", [Severity.WARNING]),
        ("dead-letter two after 5", "dead-letter one", "dead-letter parked after 9", "", []),
        ("dead-letter two after 5", "", "", "", []),
        ("dead-letter two after 5  redrive", "", "", "", []),
        ("dead-letter two  redrive", "", "", "", [Severity.WARNING]),
        ("dead-letter one after 5", "", "", "", [Severity.ERROR]),
    ],
)
def test_how_a_circle_of_dead_letters_is_judged(one: str, two: str, handler: str, reader: str, levels: list[Severity]):
    text = CHANNELS.format(one=one, two=two, handler=handler, reader=reader, also=", C" if reader else "")
    assert severities(text, "CYC505") == levels


@pytest.mark.parametrize("parked", ["Amber", "Zulu"])
def test_a_circle_that_ends_in_time_hides_none_that_does_not(parked: str):
    text = f"""
    channel {parked}
    channel Cobalt {{ dead-letter {parked} after 5  redrive }}
    event A via Cobalt
    service X {{ every 1d emits A  on A {{ dead-letter Cobalt after 3 }}  on A {{ succeeds }} }}
    """
    (finding,) = findings(text, "CYC505")
    assert finding.message == "what nobody can handle goes round for ever: `Cobalt` -> `Cobalt`"


# ------------------------------------------------------------------------------------------------ waits

WAIT = """
broker B
channel orders on B {{ topic  {orders} }}
channel answers on B {{ topic }}
event Placed via orders
event Paid via {answers}
command Pay {via}
service Web {{ every 1d {{ emits Placed }} }}
service X {{
  on Placed {{ {limit}  sends {payer}.Pay  awaits Paid within 1m }}
  {own}
}}
service Y {{ {other} }}
"""


@pytest.mark.parametrize(
    ("orders", "answers", "limit", "levels"),
    [
        ("ordered", "orders", "", [Severity.ERROR]),
        ("ordered by id", "orders", "", [Severity.ERROR]),
        ("partitions 1", "orders", "", [Severity.ERROR]),
        ("partitions 12", "orders", "", []),
        ("", "orders", "concurrency 1", [Severity.ERROR]),
        ("", "orders", "concurrency 8", [Severity.WARNING]),
        ("ordered", "answers", "concurrency 1", []),
    ],
)
def test_a_wait_behind_its_own_place(orders: str, answers: str, limit: str, levels: list[Severity]):
    text = WAIT.format(
        orders=orders, answers=answers, via="", limit=limit, payer="Y", own="", other="handles Pay { emits Paid }"
    )
    assert severities(text, "CYC506") == levels


def test_a_wait_for_work_that_stands_behind_it():
    queued = WAIT.format(
        orders="ordered", answers="answers", via="via orders", limit="", payer="X",
        own="handles Pay { emits Paid }", other="",
    )  # fmt: skip
    (finding,) = findings(queued, "CYC506")
    assert "all that leads to it" in finding.message
    elsewhere = queued.replace("service Y {  }", "service Y { every 1d { emits Paid } }")
    assert findings(elsewhere, "CYC506") == []


def test_a_workflow_holds_no_slot():
    text = """
    broker B
    channel orders on B { topic  ordered }
    event Placed, Paid via orders
    command Pay
    service Web { every 1d { emits Placed } }
    service X
    workflow W in X { starts on Placed  sends Y.Pay  awaits Paid within 1m }
    service Y { handles Pay { emits Paid } }
    """
    assert findings(text, "CYC506") == []
