"""How long things last, what retries multiply, which load arrives where; and what the rules about resilience make of it."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TypeAlias

import networkx as nx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from coordlint.analysis.calls import strong_components
from coordlint.analysis.latency import attempts_duration, exceeds, seconds_text
from coordlint.analysis.load import backlog_drain, effective_attempts, expected_attempts, rate_text, utilisation
from coordlint.check import check, select_rules
from coordlint.design import Design, load
from coordlint.finding import Finding
from coordlint.source import Source
from coordlint.system import Backoff, Process

FAST = settings(max_examples=60, deadline=None)


def design(text: str, profile: str = "default") -> Design:
    found = load("test.coord", stdin=Source("test.coord", text), profile=profile)
    assert [problem.message for problem in found.problems] == []
    return found


def findings(text: str, *codes: str, profile: str = "default", **options: object) -> list[Finding]:
    given = dict.fromkeys(codes, options)
    built = load("test.coord", stdin=Source("test.coord", text), profile=profile, options=given)
    assert [problem.message for problem in built.problems] == []
    result = check(built, select_rules(select=codes, profile=profile))
    assert result.crashes == ()
    return [finding for finding in result.findings if finding.code in codes]


def severities(text: str, code: str, profile: str = "default", **options: object) -> list[str]:
    return [one.severity.label for one in findings(text, code, profile=profile, **options) if one.severity]


def process(built: Design, name: str) -> Process:
    return next(one for one in built.system.processes if one.name == name)


# ------------------------------------------------------------------------------------------------ F1: attempts


def test_the_published_example_of_a_call() -> None:
    assert attempts_duration(2, 4, Backoff(0.2, 2, None, False)) == pytest.approx(9.4)


@given(
    st.floats(0.01, 10),
    st.integers(1, 40),
    st.floats(0.01, 5),
    st.floats(1, 3),
    st.one_of(st.none(), st.floats(0.01, 100)),
)
def test_a_call_lasts_as_long_as_its_attempts_made_one_by_one(
    attempt: float, attempts: int, base: float, factor: float, cap: float | None
) -> None:
    clock = 0.0
    for number in range(1, attempts + 1):
        clock += attempt
        if number < attempts:
            wait = base * factor ** (number - 1)
            clock += min(wait, cap) if cap is not None else wait
    found = attempts_duration(attempt, attempts, Backoff(base, factor, cap, True))
    assert found == pytest.approx(clock)


def test_very_many_attempts_take_no_time_to_add_up() -> None:
    assert attempts_duration(0, 10**9, Backoff(1, 2, 10, False)) == pytest.approx(1 + 2 + 4 + 8 + 10 * (10**9 - 5))
    assert attempts_duration(0, 10**9, Backoff(1, 2, None, False)) == math.inf


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.6, "600ms"), (9.41, "9.41s"), (90, "1.5m"), (2400, "40m"), (5400, "1.5h"), (604800, "7d"), (3661, "3661s")],
)
def test_durations_read_as_the_language_writes_them(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text
    number = text.rstrip("dhms")
    unit = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}[text[len(number) :]]
    assert float(number) * unit == pytest.approx(seconds)


def test_rounding_is_no_excess() -> None:
    assert not exceeds(0.1 + 0.2, 0.3)
    assert exceeds(0.3001, 0.3)


CALL = """
command X, Y
service A {{ handles X {{ calls B.Y {{ {call} }} }} }}
service B {{ handles Y {{ {body} }} }}
external service U {{ calls A.X }}
"""


@pytest.mark.parametrize(
    ("call", "body", "seconds", "exact"),
    [
        ("", "", 0, False),
        ("timeout 2s", "", 2, True),
        ("timeout 2s  attempts 3  backoff 1s", "", 8, True),
        ("timeout 2s", "takes 50ms", 0.05, True),  # the answer is known and shorter
        ("timeout 2s", "takes 5s", 2, True),
        ("", "takes 50ms", 0.05, True),
        ("timeout 2s  retries 4  deadline 5s", "", 5, True),
        ("timeout 2s  retries 4  deadline propagate", "", 0, False),
        ("timeout 2s  attempts unlimited", "", 2, False),
        ("attempts 3", "takes 1s", 3, True),
    ],
)
def test_what_bounds_a_call(call: str, body: str, seconds: float, exact: bool) -> None:
    built = design(CALL.format(call=call, body=body))
    found = built.latency.call_duration(next(iter(built.system.actions_of(process(built, "handles X"), "call"))))
    assert (found.seconds, found.exact) == (pytest.approx(seconds), exact)


def test_what_a_step_governs_as_a_whole() -> None:
    built = design("""
    command Go, C
    service S
    external service P { handles C succeeds }
    external service U { sends S.Go }
    workflow W in S {
      starts on Go
      step one { calls P.C { timeout 1s } calls P.C { timeout 2s } attempts 2  backoff 3s }
      step two { calls P.C { timeout 9s } calls P.C { timeout 9s } timeout 5s }
      step three { calls P.C  timeout 4s  attempts 2 }
    }
    """)
    # (1 + 2) * 2 + 3, then 18 cut at 5, then one call that the step's facts govern directly
    assert built.latency.handler_duration(process(built, "workflow W")).seconds == pytest.approx(9 + 5 + 8)


def test_the_facts_behind_a_number_are_shown_from_the_outside_in() -> None:
    built = design("""
    query X, Y, Z
    service A { handles X { calls B.Y { timeout 9s  attempts 2 } } }
    service B { handles Y { takes 10ms  calls C.Z { timeout 1s } } }
    external service C { handles Z succeeds }
    external service U { calls A.X }
    """)
    found = built.latency.handler_duration(process(built, "handles X"))
    assert found.seconds == pytest.approx(2.02)
    assert [reason.span.text for reason in found.reasons()] == ["timeout 9s", "attempts 2", "takes 10ms", "timeout 1s"]


def test_calls_on_a_cycle_are_not_followed() -> None:
    built = design("""
    query X, Y
    service A { handles X { takes 1s  calls B.Y } }
    service B { handles Y { takes 2s  calls A.X } }
    external service U { calls A.X }
    """)
    assert built.latency.handler_duration(process(built, "handles X")).seconds == 1


# ------------------------------------------------------------------------------------------------ F2, F3: courses

Tree: TypeAlias = tuple  # type: ignore[type-arg]


def trees(depth: int = 3) -> st.SearchStrategy[Tree]:
    """Small bodies: statements, sequences, parallel and alternative branches, loops."""
    waits = st.tuples(st.just("wait"), st.integers(1, 50))
    calls = st.tuples(st.just("call"), st.integers(1, 50), st.integers(1, 3))
    if depth == 0:
        return st.one_of(waits, calls)
    inner = trees(depth - 1)
    some = st.lists(inner, min_size=2, max_size=2)
    return st.one_of(
        waits,
        calls,
        st.tuples(st.just("seq"), some),
        st.tuples(st.sampled_from(["all", "any"]), some),
        st.tuples(st.just("either"), some),
        st.tuples(st.just("or fail"), inner),
        st.tuples(st.just("repeat"), st.integers(1, 3), inner),
        st.tuples(st.just("each"), inner),
    )


def written(tree: Tree) -> str:
    kind, *rest = tree
    if kind == "wait":
        return f"waits {rest[0]}s"
    if kind == "call":
        return f"calls P.C {{ timeout {rest[0]}s  attempts {rest[1]} }}"
    if kind == "seq":
        return " ".join(written(one) for one in rest[0])
    if kind in {"all", "any"}:
        word = " any" if kind == "any" else ""
        return f"parallel{word} {{ " + " ".join(f"branch {{ {written(one)} }}" for one in rest[0]) + " }"
    if kind == "either":
        return "either " + " or ".join(f"{{ {written(one)} }}" for one in rest[0])
    if kind == "or fail":
        return f"either {{ {written(rest[0])} }} or {{ fails }}"
    if kind == "repeat":
        return f"repeat up to {rest[0]} {{ {written(rest[1])} }}"
    return f"for each one {{ {written(rest[0])} }}"


def runs(tree: Tree, *, worst: bool) -> Iterator[int | None]:
    """The duration of every run, None for one that fails; in the best case calls take no time and loops end early."""
    kind, *rest = tree
    if kind == "wait":
        yield rest[0]
    elif kind == "call":
        yield rest[0] * rest[1] if worst else 0
    elif kind == "either":
        for one in rest[0]:
            yield from runs(one, worst=worst)
    elif kind == "or fail":
        yield from runs(rest[0], worst=worst)
        yield None
    elif kind == "repeat":
        yield from combined([rest[1]] * (rest[0] if worst else 1), sum, worst=worst)
    elif kind == "each":
        yield from runs(rest[0], worst=worst)
        if not worst:
            yield 0
    else:
        how: Callable[[list[int]], int] = {"seq": sum, "all": max, "any": min}[kind]
        yield from combined(rest[0], how, worst=worst)


def combined(parts: list[Tree], how: Callable[[list[int]], int], *, worst: bool) -> Iterator[int | None]:
    found = [sorted(set(runs(one, worst=worst)), key=str) for one in parts]
    for choice in itertools.product(*found):
        yield None if None in choice else how([one for one in choice if one is not None])


WORKFLOW = """
command Go, C
service S
external service P {{ handles C succeeds }}
external service U {{ sends S.Go }}
workflow W in S {{ starts on Go  {body} }}
"""


def has(tree: Tree, kind: str) -> bool:
    parts = [one for one in tree[1:] if isinstance(one, tuple)] + [
        one for part in tree[1:] if isinstance(part, list) for one in part
    ]
    return tree[0] == kind or any(has(one, kind) for one in parts)


@FAST
@given(trees())
def test_the_critical_path_is_the_longest_of_all_runs(tree: Tree) -> None:
    # A failure in a race of branches ends the whole race: which runs then end well is another question.
    assume(not (has(tree, "any") and has(tree, "or fail")))
    built = design(WORKFLOW.format(body=written(tree)))
    workflow = process(built, "workflow W")
    for worst in (True, False):
        good = [one for one in runs(tree, worst=worst) if one is not None]
        expected = (max if worst else min)(good)
        found = built.latency.handler_duration(workflow).seconds if worst else built.latency.least_duration(workflow)
        assert found == expected, written(tree)


@FAST
@given(trees())
def test_the_terms_of_a_duration_add_up_to_it(tree: Tree) -> None:
    built = design(WORKFLOW.format(body=written(tree)))
    found = built.latency.handler_duration(process(built, "workflow W"))
    assert sum(term.seconds for term in found.terms) == found.seconds


def test_what_recovers_from_a_failure_takes_its_time_too() -> None:
    built = design("""
    query X, Y, Z
    service A {
      handles X {
        calls B.Y { timeout 2s  fallback { calls C.Z { timeout 1s } } }
      }
    }
    external service B { handles Y succeeds }
    external service C { handles Z succeeds }
    external service U { calls A.X }
    """)
    assert built.latency.handler_duration(process(built, "handles X")).seconds == 3


def test_compensations_are_no_part_of_a_good_course() -> None:
    built = design("""
    command Go, C, D
    service S
    external service P { handles C succeeds  handles D { compensates C } }
    external service U { sends S.Go }
    workflow W in S {
      starts on Go
      step one calls P.C { timeout 1s  compensate P.D { timeout 1h } }
      step two calls P.C { timeout 1s }
      on failure { waits 1d }
    }
    """)
    assert built.latency.handler_duration(process(built, "workflow W")).seconds == 2


def test_the_limit_of_a_wait_counts() -> None:
    built = design(WORKFLOW.format(body="awaits E within 1h  awaits { on E { waits 1m } within 2h { } }") + "event E")
    found = built.latency.handler_duration(process(built, "workflow W"))
    assert found.seconds == 3600 + 7200 + 60
    assert built.latency.least_duration(process(built, "workflow W")) == 60


FLOW = """
command Go
event E, F, G
external service U {{ sends A.Go }}
external service P {{ handles C succeeds }}
query C
service A {{ handles Go {{ calls P.C {{ timeout 1s }} emits E }} }}
service B {{ on E {{ calls P.C {{ timeout 10s }} emits F  calls P.C {{ timeout 1h }} }} }}
service D {{ {last} {{ calls P.C {{ timeout 100s }} emits G }} }}
flow Way {{ starts with Go from U  succeeds with G }}
"""


@pytest.mark.parametrize(
    ("last", "seconds"),
    [("on F", 111), ("on E and F", 111), ("on E or F", 101), ("on E", 101)],
)
def test_a_flow_takes_its_way_over_messages(last: str, seconds: float) -> None:
    built = design(FLOW.format(last=last))
    found = built.latency.flow_duration(built.flows[0])
    assert found is not None
    assert found.seconds == seconds
    assert sum(term.seconds for term in found.terms) == seconds


def test_the_goal_of_a_flow_may_lie_inside_a_call() -> None:
    built = design("""
    command Go, Do
    event Done
    external service U { calls A.Go }
    service A { handles Go { calls B.Do { timeout 9s } } }
    service B { handles Do { waits 2s  emits Done  waits 3s } }
    flow Way { starts with Go from U  succeeds with Done }
    """)
    found = built.latency.flow_duration(built.flows[0])
    assert found is not None
    assert (found.seconds, built.latency.least_flow_duration(built.flows[0])) == (2, 2)


def test_a_flow_that_does_not_reach_its_goal_takes_no_time() -> None:
    built = design(
        "command Go\nevent E, F\nservice A { handles Go emits E }\nflow Way { starts with Go  succeeds with F }"
    )
    assert built.latency.flow_duration(built.flows[0]) is None


# ------------------------------------------------------------------------------------------------ calls


@given(
    st.integers(1, 12).flatmap(lambda n: st.lists(st.lists(st.integers(0, n - 1), max_size=4), min_size=n, max_size=n))
)
def test_strong_components_are_those_of_networkx_in_order(successors: list[list[int]]) -> None:
    graph = nx.DiGraph((a, b) for a, targets in enumerate(successors) for b in targets)
    graph.add_nodes_from(range(len(successors)))
    found = strong_components(successors)
    groups: dict[int, set[int]] = {}
    for node, number in enumerate(found):
        groups.setdefault(number, set()).add(node)
    assert sorted(map(sorted, groups.values())) == sorted(map(sorted, nx.strongly_connected_components(graph)))
    assert all(found[a] >= found[b] for a, targets in enumerate(successors) for b in targets)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ("", True),
        ("optional", False),
        ("fallback { succeeds }", False),
        ("fallback { }", False),
        ('on failure { fails "no" }', False),
        ("on failure { }", False),
        ("on failure { waits 1s }", False),
        ("timeout 1s  on timeout { waits 1s }", True),  # a failure that is no timeout still ends the handler
    ],
)
def test_whose_failure_becomes_whose(attributes: str, expected: bool) -> None:
    built = design(CALL.format(call=attributes, body=""))
    call = next(built.system.actions_of(process(built, "handles X"), "call"))
    assert built.calls.propagates(call) is expected


def test_nothing_fails_for_good_behind_a_pivot() -> None:
    built = design(WORKFLOW.format(body="step a calls P.C  step b calls P.C { pivot }  step c calls P.C"))
    calls = list(built.system.actions_of(process(built, "workflow W"), "call"))
    assert [built.calls.propagates(call) for call in calls] == [True, True, False]
    assert [built.calls.is_retried_for_ever(call) for call in calls] == [False, False, True]


# ------------------------------------------------------------------------------------------------ F7: retries

LINKS = ("", "optional", "fallback { }", 'on failure { fails "no" }', "on failure { }")


def chain(links: list[tuple[int, str, bool]]) -> str:
    """Services that call each other in a row; each link with its attempts, what it does with a failure, and how it says so."""
    lines = [f"query {', '.join(f'Q{i}' for i in range(len(links) + 1))}", "external service U { calls S0.Q0 }"]
    for i, (attempts, failure, as_retries) in enumerate(links):
        said = f"retries {attempts - 1}" if as_retries else f"attempts {attempts}"
        lines.append(f"service S{i} {{ handles Q{i} {{ calls S{i + 1}.Q{i + 1} {{ {said}  {failure} }} }} }}")
    lines.append(f"service S{len(links)} {{ handles Q{len(links)} succeeds }}")
    return "\n".join(lines)


def simulated(links: list[tuple[int, str, bool]], entry: int) -> int:
    """How often the last service is asked for one request at the entry while it always fails."""
    asked: Counter[int] = Counter()

    def run(i: int) -> str:
        asked[i] += 1
        if i == len(links):
            return "failed"
        attempts, failure, _ = links[i]
        outcome = "failed"
        for _attempt in range(attempts):
            outcome = run(i + 1)
            if outcome != "failed":
                break  # what was answered is not asked again, a refusal neither
        if outcome == "good":
            return "good"
        return "refused" if "fails" in failure else "good" if failure else outcome

    run(entry)
    return asked[len(links)]


def factor(text: str, name: str) -> float:
    built = design(text)
    return built.load.retries.factor(process(built, name))


@FAST
@given(st.lists(st.tuples(st.integers(1, 4), st.sampled_from(LINKS), st.booleans()), min_size=1, max_size=4))
def test_retries_multiply_as_in_a_call_tree_that_fails(links: list[tuple[int, str, bool]]) -> None:
    expected = max(simulated(links, entry) for entry in range(len(links)))
    assert factor(chain(links), f"handles Q{len(links)}") == expected


@FAST
@given(
    st.lists(st.tuples(st.integers(1, 5), st.sampled_from(LINKS), st.booleans()), min_size=1, max_size=4),
    st.data(),
)
def test_fewer_attempts_never_amplify_more(links: list[tuple[int, str, bool]], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(links) - 1))
    fewer = data.draw(st.integers(1, links[at][0]))
    lowered = [*links[:at], (fewer, *links[at][1:]), *links[at + 1 :]]
    for i in range(len(links) + 1):
        assert factor(chain(lowered), f"handles Q{i}") <= factor(chain(links), f"handles Q{i}")


def test_three_retries_on_three_layers_and_three_attempts_on_five() -> None:
    assert factor(chain([(4, "", True)] * 3), "handles Q3") == 64
    assert factor(chain([(3, "", False)] * 5), "handles Q5") == 243


def test_the_worst_of_several_callers_counts() -> None:
    text = """
    query A, B, C, L
    external service U { calls S.A  calls S.B }
    service S {
      handles A { calls M.C { attempts 2 } }
      handles B { calls M.C { attempts 5 } }
    }
    service M { handles C { calls Z.L { attempts 3 } } }
    service Z { handles L succeeds }
    """
    assert factor(text, "handles L") == 15
    built = design(text)
    found = built.load.retries.amplification(process(built, "handles L"))
    assert [layer.factor for layer in found.layers] == [5, 3]
    assert [reason.span.text for layer in found.layers for reason in layer.reasons] == ["attempts 5", "attempts 3"]


def test_attempts_of_a_step_and_of_its_call_multiply() -> None:
    text = WORKFLOW.format(body="step a { calls P.C { attempts 3 } attempts 2 }").replace(
        "external service P", "service P"
    )
    assert factor(text, "handles C") == 6


def test_a_broker_delivers_again() -> None:
    text = """
    channel orders { queue  dead-letter dead after 5 }
    channel dead { queue }
    event E via orders
    query L
    service A { emits E }
    service B { on E { calls Z.L { attempts 3 } } }
    service Z { handles L succeeds }
    """
    assert (factor(text, "on E"), factor(text, "handles L")) == (5, 15)


def test_what_an_attempt_costs_on_average() -> None:
    assert expected_attempts(4, 1) == 4
    assert expected_attempts(4, 0.5) ** 3 == pytest.approx(6.59, abs=0.01)
    tries = sum(0.3**i for i in range(5))  # an attempt is made if all before it failed
    assert expected_attempts(5, 0.3) == pytest.approx(tries)


def test_budgets_and_breakers() -> None:
    assert effective_attempts(4, 0.1) == pytest.approx(1.1)
    assert effective_attempts(4, 5.0) == 4
    assert effective_attempts(4, breaker=True) == 1
    assert effective_attempts(math.inf) == 1


# ------------------------------------------------------------------------------------------------ F8 to F12: load


@given(st.floats(1, 100), st.floats(1.05, 3), st.floats(1, 1000))
def test_a_backlog_drains_as_fast_as_in_small_steps(arrival: float, ratio: float, outage: float) -> None:
    service = arrival * ratio
    found = backlog_drain(arrival, service, outage)
    backlog, clock, step = arrival * outage, 0.0, found / 1000
    while backlog > 1e-9 * arrival * outage and clock < 2 * found:
        backlog = max(0.0, backlog + arrival * step - service * step)
        clock += step
    assert clock == pytest.approx(found, rel=0.01)


def test_published_numbers_of_load() -> None:
    assert backlog_drain(80, 100, 600) == 2400
    assert backlog_drain(100, 100, 1) == math.inf
    assert backlog_drain(0, 100, 600) == 0
    assert utilisation(360, 10, 2000, 3) == pytest.approx(0.6)
    assert utilisation(360, 10, 2000, 2) == pytest.approx(0.9)
    assert utilisation(1, 1, 1, 0) == math.inf


@pytest.mark.parametrize(("rate", "text"), [(50, "50/s"), (0.5, "30/m"), (1 / 3600, "1/h"), (1 / 86400, "1/d")])
def test_rates_read_as_the_language_writes_them(rate: float, text: str) -> None:
    assert rate_text(rate) == text


def chances() -> st.SearchStrategy[Tree]:
    """Bodies of emits and choices, with all chances declared or none."""
    leaf = st.just(("emit",))
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.tuples(st.just("seq"), st.lists(inner, min_size=1, max_size=3)),
            st.tuples(st.just("either"), st.sampled_from([None, 20, 50]), st.lists(inner, min_size=2, max_size=2)),
            st.tuples(st.just("or fail"), st.sampled_from([None, 20]), inner),
            st.tuples(st.just("all"), st.lists(inner, min_size=2, max_size=2)),
            st.tuples(st.just("repeat"), st.just(3), inner),
            st.tuples(st.just("each"), inner),
        ),
        max_leaves=6,
    )


def numbered(tree: Tree, numbers: Iterator[int]) -> str:
    kind, *rest = tree
    if kind == "emit":
        return f"emits E{next(numbers)}"
    if kind == "seq":
        return " ".join(numbered(one, numbers) for one in rest[0])
    if kind == "all":
        return "parallel { " + " ".join(f"branch {{ {numbered(one, numbers)} }}" for one in rest[0]) + " }"
    if kind == "either":
        first, second = rest[1]
        said = ("", "") if rest[0] is None else (f"{rest[0]}%", f"{100 - rest[0]}%")
        return f"either {said[0]} {{ {numbered(first, numbers)} }} or {said[1]} {{ {numbered(second, numbers)} }}"
    if kind == "or fail":
        said = ("", "") if rest[0] is None else (f"{100 - rest[0]}%", f"{rest[0]}%")
        return f"either {said[0]} {{ {numbered(rest[1], numbers)} }} or {said[1]} {{ fails }}"
    if kind == "repeat":
        return f"repeat up to {rest[0]} {{ {numbered(rest[1], numbers)} }}"
    return f"for each one {{ {numbered(rest[0], numbers)} }}"


def expectations(
    tree: Tree, choose: Iterator[int], numbers: Iterator[int], chance: float, into: dict[int, float]
) -> float:
    """The mean number of each emit when undeclared choices are decided; returns the chance to get past the tree."""
    kind, *rest = tree
    if kind == "emit":
        into[next(numbers)] = chance
        return chance
    if kind == "seq":
        for one in rest[0]:
            chance = expectations(one, choose, numbers, chance, into)
        return chance
    if kind == "all":
        return min(expectations(one, choose, numbers, chance, into) for one in rest[0])
    if kind == "repeat":
        return expectations(rest[1], choose, numbers, chance, into)
    if kind == "each":
        expectations(rest[0], choose, numbers, 0.0, into)
        return chance
    first = (rest[0] if kind == "either" else 100 - rest[0]) / 100 if rest[0] is not None else float(next(choose))
    if kind == "either":
        past = expectations(rest[1][0], choose, numbers, chance * first, into)
        return past + expectations(rest[1][1], choose, numbers, chance * (1 - first), into)
    return expectations(rest[1], choose, numbers, chance * first, into)


def undeclared(tree: Tree) -> int:
    own = tree[0] in {"either", "or fail"} and tree[1] is None
    parts = [one for one in tree[1:] if isinstance(one, tuple)] + [
        one for part in tree[1:] if isinstance(part, list) for one in part
    ]
    return own + sum(undeclared(one) for one in parts)


@FAST
@given(chances())
def test_the_share_of_an_action_is_what_is_certain_of_its_mean(tree: Tree) -> None:
    # A branch that fails beside others ends them too, which the mean of a single branch does not know.
    assume(not (has(tree, "all") and has(tree, "or fail")))
    open_choices = undeclared(tree)
    assume(open_choices <= 6)
    body = numbered(tree, itertools.count())
    built = design(WORKFLOW.format(body=body) + "event " + ", ".join(f"E{i}" for i in range(body.count("emits"))))
    found = {
        int(a.message.name[1:]): built.load.share(a)
        for a in built.system.actions_of(process(built, "workflow W"), "emit")
    }
    means: list[dict[int, float]] = []
    for decided in itertools.product((0, 1), repeat=open_choices):
        into: dict[int, float] = {}
        expectations(tree, iter(decided), itertools.count(), 1.0, into)
        means.append(into)
    for number, share in found.items():
        least = min(mean[number] for mean in means)
        assert share <= least + 1e-9, body
        if not open_choices:
            assert share == pytest.approx(least), body


RATES = """
command Go
event E, F, G
external service U { sends A.Go }
service A { handles Go { emits E  emits F or 25% fails } }
service B { on E emits G }
service C { on E and F { notifies } }
service D { on F or G { notifies } }
flow One { starts with Go from U  succeeds with G  rate 100/s }
flow Two { starts with Go from U  succeeds with F  rate 80/s }
flow Three { starts with E  succeeds with G  rate 60/s }
"""


def test_rates_go_where_it_is_certain_and_count_an_instance_once() -> None:
    built = design(RATES)
    rates = {one.name: built.load.rate(one).per_second for one in built.system.messages.values()}
    assert rates == pytest.approx({"Go": 100, "E": 100, "F": 75, "G": 100})
    assert built.load.rate(process(built, "on E and F")).per_second == pytest.approx(75)
    assert built.load.rate(process(built, "on F or G")).per_second == pytest.approx(175)
    assert built.load.emissions(built.system.flows["One"]) == pytest.approx(1 + 0.75 + 1)
    said = [reason.span.text for reason in built.load.rate(process(built, "on E")).reasons]
    assert said == ["rate 100/s"]


def test_a_loop_of_events_is_counted_once_around() -> None:
    built = design("""
    command Go
    event E, F
    external service U { sends A.Go }
    service A { handles Go emits E }
    service B { on E emits F }
    service C { on F emits E }
    flow Way { starts with Go from U  succeeds with F  rate 10/s }
    """)
    assert built.load.rate(process(built, "on E")).per_second == 10
    assert built.load.rate(process(built, "on F")).per_second == 10
    assert built.load.emissions(built.system.flows["Way"]) == 3


def test_the_clock_starts_processes() -> None:
    built = design("event E\nservice A { every 10s emits E }\nservice B { on E { notifies } }")
    assert built.load.rate(process(built, "on E")).text == "6/m"


def test_lanes_of_a_consumer() -> None:
    built = design("""
    channel t { topic  partitions 12 }
    channel q { queue  partitions 2 }
    event E via t
    event F via q
    service A { emits E, F }
    service B {
      replicas 4
      on E { notifies  takes 50ms  concurrency 2 }
      on F { notifies  takes 100ms  concurrency 2 }
      on E or F { notifies  takes 1s }
    }
    """)
    lanes = {one.name: built.load.lanes(one).per_second for one in built.system.processes if one.kind == "handler"}
    assert lanes == {"on E": pytest.approx(160), "on F": pytest.approx(80), "on E or F": None}


# ------------------------------------------------------------------------------------------------ RES801

PROMISE = """
command Go, Do
event Done, Told
channel c {{ queue  delivery at-least-once  retention 7d }}
event Asked via c
external service U {{ calls A.Go }}
service A {{ availability 99.99%  handles Go {{ {body} }} }}
service B {{ availability 99%  {mttr}  handles Do succeeds  on Asked emits Told }}
service M {{ on Done or Told {{ notifies  acts "tells" }} }}
flow Way {{ starts with Go from U  succeeds with {goal}  availability 99.9%  {within} }}
"""


@pytest.mark.parametrize(
    ("body", "goal", "mttr", "within", "expected"),
    [
        ("calls B.Do emits Done", "Done", "", "", ["error"]),
        ("calls B.Do { optional } emits Done", "Done", "", "", []),
        ("calls B.Do { fallback { } } emits Done", "Done", "", "", []),
        ("emits Asked", "Told", "", "", []),  # accepted is promised, and the work waits
        ("emits Asked", "Told", "mttr 10m", "within 20m", ["error"]),  # 0.01 * e^-2 is too much
        ("emits Asked", "Told", "mttr 10m", "within 2h", []),
    ],
)
def test_a_promise_against_what_it_rests_on(body: str, goal: str, mttr: str, within: str, expected: list[str]) -> None:
    text = PROMISE.format(body=body, goal=goal, mttr=mttr, within=within)
    assert severities(text, "RES801") == expected


def test_a_promise_names_what_would_help_most() -> None:
    (found,) = findings(PROMISE.format(body="calls B.Do emits Done", goal="Done", mttr="", within=""), "RES801")
    assert "99.9%" in found.message
    assert "98.9901%" in found.message
    assert [label.span.text for label in found.related] == ["availability 99%", "availability 99.99%"]


def test_the_extra_nine_is_off_until_asked_for() -> None:
    text = PROMISE.format(body="emits Done", goal="Done", mttr="", within="").replace("99.99%", "99.95%")
    assert severities(text, "RES801") == []
    assert severities(text, "RES801", extra_nine=True) == ["info"]


# ------------------------------------------------------------------------------------------------ RES802

NESTED = """
query X, Y, Z
external service U {{ calls A.X }}
service A {{ {defaults} handles X {{ calls B.Y {{ {outer} }} }} }}
service B {{ handles Y {{ {own} {inner} }} }}
external service C {{ handles Z succeeds }}
"""


@pytest.mark.parametrize(
    ("outer", "inner", "own", "found"),
    [
        ("timeout 3s", "calls C.Z { timeout 2s  attempts 2 }", "", 1),
        ("timeout 4s", "calls C.Z { timeout 2s  attempts 2 }", "", 0),
        ("timeout 3s", "calls C.Z { timeout 2s } calls C.Z { timeout 2s }", "", 1),
        ("timeout 3s", "parallel { calls C.Z { timeout 2s } calls C.Z { timeout 2s } }", "", 0),
        ("timeout 3s", "calls C.Z { timeout 2s  attempts 2 }", "timeout 3s", 0),
        ("timeout 3s", "calls C.Z { timeout 2s  attempts 2  deadline propagate }", "", 0),
        ("timeout 3s  deadline propagate", "calls C.Z { timeout 2s  attempts 2 }", "", 0),
        ("deadline 3s", "calls C.Z { timeout 2s  attempts 2 }", "", 1),
        ("timeout 3s", "calls C.Z", "", 0),
        ("timeout 3s", "", "takes 4s", 1),
        ("", "calls C.Z { timeout 2s  attempts 2 }", "", 0),
    ],
)
def test_who_gives_up_first(outer: str, inner: str, own: str, found: int) -> None:
    assert len(findings(NESTED.format(defaults="", outer=outer, inner=inner, own=own), "RES802")) == found


@FAST
@given(st.integers(1, 30), st.integers(0, 30), st.integers(1, 10), st.integers(1, 3))
def test_a_longer_timeout_of_the_caller_never_adds_a_finding_there(
    first: int, more: int, inner: int, attempts: int
) -> None:
    def count(timeout: int) -> int:
        text = NESTED.format(
            defaults="",
            own="",
            outer=f"timeout {timeout}s",
            inner=f"calls C.Z {{ timeout {inner}s  attempts {attempts} }}",
        )
        return len(findings(text, "RES802"))

    assert count(first + more) <= count(first)


def test_one_limit_for_all_calls_is_one_finding_without_a_fix() -> None:
    text = """
    query X, Y1, Y2, Z
    external service U { calls A.X }
    service A { calls { timeout 1s } handles X { calls B.Y1  calls B.Y2 } }
    service B { handles Y1 { calls C.Z { timeout 2s } } handles Y2 { calls C.Z { timeout 3s } } }
    external service C { handles Z succeeds }
    """
    (found,) = findings(text, "RES802")
    assert "B.Y2" in found.message
    assert found.fix is None
    assert any("1 more call" in note for note in found.notes)


# ------------------------------------------------------------------------------------------------ RES803


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("timeout 5s  step a calls P.C { timeout 2s  attempts 3 }", ["warning"]),
        ("timeout 6s  step a calls P.C { timeout 2s  attempts 3 }", []),
        ("timeout 5s  step a calls P.C { attempts 3 }", []),  # nothing is known
        ("timeout 5s  step a calls P.C { timeout 2s  attempts unlimited  retriable }", []),
        ("timeout 5s  waits 6s", ["error"]),
        ("timeout 5s  either { waits 6s } or { }", ["warning"]),
        ("timeout 5s  repeat up to 3 { calls P.C { timeout 2s } }", ["warning"]),
        ("timeout 5s  repeat { calls P.C { timeout 2s } }", []),
        ("step a { calls P.C { timeout 4s } calls P.C { timeout 4s } timeout 5s }", ["warning"]),
        (
            "step a { calls P.C { timeout 2s  attempts 4  backoff 1s  deadline 8s } }",
            ["warning"],
        ),  # the 4th begins at 9 s
        ("step a { calls P.C { timeout 2s  attempts 4  backoff 1s  deadline 10s } }", []),
    ],
)
def test_budgets_of_workflows_steps_and_calls(body: str, expected: list[str]) -> None:
    assert severities(WORKFLOW.format(body=body), "RES803") == expected


@pytest.mark.parametrize(
    ("promise", "expected"),
    [
        ("latency 2s", ["warning"]),
        ("latency 2m", []),
        ("within 1m", ["warning"]),
        ("latency 2s  within 1m", ["warning"]),
        ("", []),
    ],
)
def test_budgets_of_flows(promise: str, expected: list[str]) -> None:
    text = FLOW.format(last="on F").replace("succeeds with G", f"succeeds with G  {promise}")
    assert severities(text, "RES803") == expected


def test_a_handler_has_a_budget_too() -> None:
    text = NESTED.format(defaults="", outer="", own="timeout 1s", inner="calls C.Z { timeout 2s }")
    assert severities(text, "RES803") == ["warning"]
    joined = """
    event E, F
    query Z
    service A { emits E, F }
    service B { on E and F { notifies  timeout 1s  calls C.Z { timeout 2s } } }
    external service C { handles Z succeeds }
    """
    assert severities(joined, "RES803") == []


# ------------------------------------------------------------------------------------------------ RES804


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        ([(4, "", True)] * 3, ["error"]),
        ([(3, "", False)] * 5, ["error"]),
        ([(4, "", False)] * 2, ["warning"]),
        ([(3, "", False)] * 2, []),
        ([(12, "", False)], []),  # one layer alone
        ([(80, "", False)], ["warning"]),
        ([(4, "", False), (4, "optional", False), (4, "", False)], ["warning"]),
        ([(4, "", False), (4, "", False), (4, "optional", False)], ["warning"]),
    ],
)
def test_where_amplification_begins(links: list[tuple[int, str, bool]], expected: list[str]) -> None:
    assert severities(chain(links), "RES804") == expected


def test_budgets_and_breakers_break_a_chain() -> None:
    text = chain([(4, "", False)] * 3)
    for i in range(3):
        assert severities(text.replace(f"service S{i} {{", f"service S{i} {{ retry-budget 10%"), "RES804") == [
            "warning"
        ]
    assert severities(text.replace("attempts 4", "attempts 4  breaker"), "RES804") == []


def test_a_chain_is_told_once_at_its_end() -> None:
    text = chain([(4, "", False)] * 4).replace(
        "service S4 { handles Q4 succeeds }", "query Q5\nservice S4 { handles Q4 succeeds  handles Q5 succeeds }"
    )
    text = text.replace("calls S4.Q4 { attempts 4   }", "calls S4.Q4 { attempts 4 }  calls S4.Q5 { attempts 4 }")
    (found,) = findings(text, "RES804")
    assert "256" in found.message
    assert [label.span.text for label in found.related[:3]] == ["attempts 4"] * 3
    assert any("1 more operation" in note for note in found.notes)


def test_thresholds_are_options() -> None:
    assert severities(chain([(2, "", False)] * 2), "RES804", warning=3) == ["warning"]
    assert severities(chain([(2, "", False)] * 2), "RES804", warning=3, error=4) == ["error"]


def test_endless_redelivery_of_a_channel_is_one_finding() -> None:
    text = """
    channel orders { topic  dead-letter dead after 2000 }
    channel dead { queue }
    event E via orders
    service A { emits E }
    service B { on E { notifies } }
    service C { on E { notifies } }
    """
    (found,) = findings(text, "RES804")
    assert found.severity is not None
    assert found.severity.label == "warning"
    assert "channel `orders`" in found.message
    assert len(found.related) == 2
    assert findings(text.replace("2000", "10"), "RES804") == []


# ------------------------------------------------------------------------------------------------ RES805

RETRIED = """
query X, Y
external service U {{ calls A.X }}
service A {{ {service} handles X {{ calls B.Y {{ {call} }} }} }}
service B {{ handles Y succeeds }}
"""


@pytest.mark.parametrize(
    ("service", "call", "profile", "expected"),
    [
        ("", "attempts 3", "default", []),
        ("", "attempts 3", "strict", ["warning"]),
        ("", "attempts 3  no backoff", "default", ["warning"]),
        ("", 'attempts 3  no backoff "a local socket"', "default", ["info"]),
        ("", 'attempts 3  no backoff "a local socket"', "production", ["info"]),
        ("", "attempts 1  no backoff", "strict", []),
        ("", "no retries", "strict", []),
        ("calls { retries 5  no backoff }", "", "default", ["warning"]),
        ("calls { retries 5  no backoff }", "no retries", "default", []),
        ("calls { retries 5  no backoff }", "backoff 1s jitter", "default", []),
        ("", "attempts unlimited  backoff 1s jitter", "default", ["warning"]),
        ("", "attempts unlimited  backoff 1s jitter  deadline 1m", "default", []),
        ("replicas 3", "attempts 3  backoff 1s", "default", ["info"]),
        ("replicas 1", "attempts 3  backoff 1s", "default", []),
        ("", "attempts 3  backoff 1s", "default", []),
        ("replicas 3", "attempts 3  backoff 1s jitter", "default", []),
    ],
)
def test_retry_policies(service: str, call: str, profile: str, expected: list[str]) -> None:
    assert severities(RETRIED.format(service=service, call=call), "RES805", profile) == expected


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("step a calls P.C { attempts unlimited  backoff 1s }", ["warning"]),
        ("step a calls P.C { attempts unlimited  backoff 1s  retriable }", []),
        ("step a calls P.C { pivot }  step b calls P.C { attempts unlimited  backoff 1s }", []),
        ("timeout 1h  step a calls P.C { attempts unlimited  backoff 1s }", []),
        ("step a calls P.C { compensate P.C { attempts unlimited  backoff 1s } }  fails", []),
        ("step a calls P.C { attempts unlimited  no backoff  retriable }", ["warning"]),
    ],
)
def test_what_may_be_tried_for_ever(step: str, expected: list[str]) -> None:
    assert severities(WORKFLOW.format(body=step), "RES805") == expected


def test_what_a_service_says_for_all_its_calls_is_one_finding() -> None:
    text = RETRIED.format(service="calls { retries 5  no backoff }", call="").replace(
        "handles X { calls B.Y {  } }", "handles X { calls B.Y  calls B.Y }"
    )
    (found,) = findings(text, "RES805")
    assert found.message.startswith("service `A` calls `B.Y` in 6 attempts")


def test_a_stricter_profile_finds_fault_with_the_same_subject() -> None:
    text = RETRIED.format(service="calls { retries 2 }", call="").replace(
        "handles X { calls B.Y {  } }", "handles X { calls B.Y  calls B.Z { no backoff } }"
    )
    text = text.replace("query X, Y", "query X, Y, Z").replace(
        "handles Y succeeds", "handles Y succeeds  handles Z succeeds"
    )
    for profile in ("default", "strict"):
        (found,) = findings(text, "RES805", profile=profile)
        assert found.subject == "service A"


# ------------------------------------------------------------------------------------------------ RES806

ORCHESTRATED = """
command Go, C
service S {{ {replicas} }}
external service P {{ handles C succeeds }}
external service U {{ sends S.Go }}
workflow W in S {{ starts on Go  {facts}  step a calls P.C  step b calls P.C  step c calls P.C  step d calls P.C }}
flow F {{ starts with Go from U  succeeds with W  {rate} }}
"""


@pytest.mark.parametrize(
    ("replicas", "facts", "rate", "expected"),
    [
        ("replicas 3", "capacity 2000/s", "rate 810/s", ["error"]),  # 1.35
        ("replicas 5", "capacity 2000/s", "rate 810/s", ["warning"]),  # 0.81
        ("replicas 6", "capacity 2000/s", "rate 810/s", []),  # 0.675, and 0.81 with one less
        ("replicas 2", "capacity 2000/s", "rate 220/s", ["warning"]),  # 0.55, and 1.1 with one less
        ("replicas 1", "capacity 2000/s", "rate 110/s", []),
        ("", "capacity 2000/s", "rate 810/s", []),
        ("replicas 3", "", "rate 810/s", []),
        ("replicas 3", "capacity 2000/s", "", []),
        ("", "max-inflight 10  waits 20s", "rate 1/s", ["error"]),
        ("", "max-inflight 30  waits 20s", "rate 1/s", []),
        ("", "max-inflight 10  either { waits 20s } or { }", "rate 1/s", []),
    ],
)
def test_load_of_an_orchestrator(replicas: str, facts: str, rate: str, expected: list[str]) -> None:
    assert severities(ORCHESTRATED.format(replicas=replicas, facts=facts, rate=rate), "RES806") == expected


def test_only_certain_steps_are_transitions() -> None:
    built = design(
        WORKFLOW.format(
            body="step a calls P.C  either { calls P.C } or { }  for each x { calls P.C }  either 50% { calls P.C } or { }"
        )
    )
    assert built.load.transitions(built.system.workflows["W"]) == pytest.approx(2 + 2 + 1)


# ------------------------------------------------------------------------------------------------ RES807, RES808

CONSUMED = """
channel c {{ {channel} }}
event E via c
command Go
external service U {{ calls A.Go }}
service A {{ handles Go {{ {sender} }} }}
service B {{ {service} on E {{ notifies  {handler} }} }}
flow F {{ starts with Go from U  succeeds with E  rate 300/s }}
"""


@pytest.mark.parametrize(
    ("channel", "sender", "service", "handler", "expected"),
    [
        ("topic  partitions 12", "emits E", "", "takes 50ms", ["error"]),  # 300 into 240
        ("topic  partitions 18", "emits E", "", "takes 50ms", ["warning"]),  # 300 into 360
        ("topic  partitions 24", "emits E", "", "takes 50ms", []),
        ("topic  partitions 12", "emits E", "", "takes 50ms  batch 10", []),
        ("topic  partitions 12", "emits E or fails", "", "takes 50ms", []),
        ("topic  partitions 12", "emits E or 10% fails", "", "takes 50ms", ["error"]),  # 270
        ("topic  partitions 12", "emits E or 50% fails", "", "takes 50ms", []),  # 150
        ("topic  partitions 99", "emits E", "replicas 2", "takes 50ms  concurrency 4", ["error"]),  # 300 into 160
        ("queue  partitions 2", "emits E", "replicas 10", "takes 50ms  concurrency 4", []),
        ("topic", "emits E", "replicas 2", "takes 50ms", []),
        ("topic  partitions 4", "emits E", "replicas 6", "", ["info"]),
        ("topic  partitions 4", "emits E", "replicas 4", "", []),
        ("topic  partitions 4", "emits E", "replicas 3  capacity 90/s", "", ["error"]),  # 300 into 270
        ("topic  partitions 4", "emits E", "replicas 3  capacity 200/s", "", []),
    ],
)
def test_load_of_a_consumer(channel: str, sender: str, service: str, handler: str, expected: list[str]) -> None:
    text = CONSUMED.format(channel=channel, sender=sender, service=service, handler=handler)
    assert severities(text, "RES807") == expected


def test_load_of_a_broker() -> None:
    text = CONSUMED.format(channel="topic", sender="emits E", service="", handler="").replace(
        "channel c", "channel c on K"
    )
    assert severities(text + "broker K { capacity 299/s }", "RES808") == ["error"]
    assert severities(text + "broker K { capacity 300/s }", "RES808") == []
    assert severities(text + "broker K", "RES808") == []


def test_thresholds_of_fan_out_are_an_opinion() -> None:
    consumers = "\n".join(f"service S{i} {{ on E {{ notifies }} }}" for i in range(21))
    text = "event E\nservice A { emits E }\n" + consumers
    assert severities(text, "RES808") == []
    assert severities(text, "RES808", "strict") == ["info"]
    assert severities(text.replace("event E", "event E { technical }"), "RES808", "strict") == []
    emits = (
        "command Go\nevent E\nexternal service U { sends A.Go }\nservice A { handles Go { emits E  emits E  emits E } }"
    )
    flow = f"{emits}\nflow F {{ starts with Go from U  succeeds with E }}"
    assert severities(flow, "RES808", "production", messages=2) == ["warning"]
    assert severities(flow, "RES808", "production", messages=3) == []


# ------------------------------------------------------------------------------------------------ RES809

WOBBLY = """
query X, Y, Z
external service U {{ calls A.X }}
service A {{ {service} handles X {{ {own} calls B.Y {{ {call} }} }} }}
service B {{ handles Y {{ {other} }} }}
external service C {{ handles Z succeeds }}
"""


@pytest.mark.parametrize(
    ("service", "own", "call", "other", "profile", "expected"),
    [
        ("", "", "", "", "default", []),
        ("", "", "", "", "strict", ["warning"]),
        ("", "", "", "calls C.Z { timeout 1s }", "default", ["info"]),
        ("", "", "optional", "calls C.Z { timeout 1s }", "default", []),
        ("", "timeout 3s", "", "calls C.Z { timeout 1s }", "default", []),
        ("", "", "no timeout", "", "default", ["warning"]),
        ("", "", 'no timeout "in the same process"', "", "default", ["info"]),
        ("calls { no timeout }", "", "", "", "default", ["warning"]),
        ("calls { no timeout }", "", "timeout 1s", "", "default", []),
        ("", "", "deadline 1s", "", "strict", []),
        ("", "", "deadline propagate", "", "strict", []),
    ],
)
def test_calls_without_a_limit(
    service: str, own: str, call: str, other: str, profile: str, expected: list[str]
) -> None:
    text = WOBBLY.format(service=service, own=own, call=call, other=other)
    assert severities(text, "RES809", profile) == expected


def test_a_call_of_oneself_and_of_outsiders_needs_no_limit() -> None:
    text = "query X, Y\nexternal service U { calls A.X { no timeout } }\nservice A { handles X calls A.Y { no timeout } handles Y succeeds }"
    assert findings(text, "RES809", profile="strict") == []


def test_what_sag306_says_is_not_said_again() -> None:
    whole = WORKFLOW.format(body="no timeout  step a calls P.C  step b calls P.C").replace(
        "external service P", "service P"
    )
    assert severities(whole, "RES809", "strict") == []
    assert severities(WORKFLOW.format(body="step a calls P.C"), "RES809", "strict") == []
    assert severities(WORKFLOW.format(body="step a calls P.C { no timeout }"), "RES809") == ["warning"]


def test_critical_flows_want_more_than_a_timeout() -> None:
    text = WOBBLY.format(service="", own="", call="timeout 1s", other="calls C.Z { timeout 1s  breaker }")
    flow = "flow F { starts with X from U  succeeds with Y  criticality high }"
    (found,) = findings(text + flow, "RES809")
    assert found.subject == "service A / handles X"
    assert findings(text + flow.replace("high", "normal"), "RES809") == []
    assert findings(text.replace("breaker", "") + flow, "RES809") == []


# ------------------------------------------------------------------------------------------------ RES810, RES811


def test_a_deep_chain_is_off_by_default_and_counts_services() -> None:
    text = chain([(1, "timeout 1s", False)] * 4)
    assert findings(text, "RES810")[0].severity is not None  # asked for by its code it speaks
    assert [one.code for one in check(design(text)).findings if one.code == "RES810"] == []
    (found,) = findings(text, "RES810", profile="strict")
    assert found.message.startswith("5 services")
    assert findings(text.replace("service S1 {", "service S1 { tags bff"), "RES810", profile="strict") == []
    assert findings(text, "RES810", profile="strict", depth=5) == []


def test_a_call_far_behind_an_event() -> None:
    text = """
    command Go
    query Q
    event E, F
    external service U { sends A.Go }
    service A { handles Go emits E }
    service B { on E emits F }
    service C { on F { calls D.Q { timeout 1s } } }
    service D { handles Q succeeds }
    """
    (found,) = findings(text, "RES810", profile="strict")
    assert "2 asynchronous hops" in found.message
    assert findings(text.replace("on F {", "on E {"), "RES810", profile="strict") == []
    assert findings(text.replace("timeout 1s", "optional"), "RES810", profile="strict") == []


COMPOSED = """
query P, A, B
command D
external service U {{ calls G.P }}
service G {{ handles P {{ {body} }} }}
service X {{ handles A succeeds  handles B succeeds  handles D succeeds }}
"""


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("calls X.A  calls X.B { breaker }", 1),
        ("parallel { calls X.A { breaker } calls X.B { breaker } }", 1),
        ("calls X.A  calls X.B { breaker  fallback { } }", 0),
        ("calls X.A  calls X.B { breaker  optional }", 0),
        ("calls X.A  calls X.B { breaker  on failure { } }", 0),
        ('calls X.A  calls X.B { breaker  no fallback "the price is the page" }', 0),
        ("calls X.B { breaker }", 0),
        ("calls X.A  calls X.D { breaker }", 0),
        ("calls X.A  calls X.B", 0),
    ],
)
def test_composed_answers(body: str, found: int) -> None:
    assert len(findings(COMPOSED.format(body=body), "RES811")) == found


# ------------------------------------------------------------------------------------------------ laws

SHOP = """
query X0, X1, X2, X3
external service U {{ calls {0}.X0 }}
service {0} {{ replicas 2  handles X0 {{ calls {1}.X1 {{ timeout 1s  attempts 5  backoff 1s }} }} }}
service {1} {{ handles X1 {{ calls {2}.X2 {{ timeout 2s  attempts 4  no backoff }} }} }}
service {2} {{ handles X2 {{ calls {3}.X3 {{ no timeout  attempts unlimited }} }} }}
service {3} {{ handles X3 succeeds }}
"""


@FAST
@given(st.permutations(["Alpha", "Beta", "Gamma", "Delta"]))
def test_other_names_say_the_same(names: list[str]) -> None:
    def told(order: list[str]) -> list[tuple[str, int, str]]:
        text = SHOP.format(*order)
        found = findings(text, "RES802", "RES804", "RES805", "RES809")
        return sorted((one.code, one.primary.span.line, str(one.severity)) for one in found)

    assert told(names) == told(["Alpha", "Beta", "Gamma", "Delta"])
    assert {code for code, _, _ in told(names)} == {"RES802", "RES804", "RES805", "RES809"}


@pytest.mark.parametrize("code", [f"RES{number}" for number in range(801, 812)])
def test_a_design_without_facts_is_left_alone(code: str) -> None:
    text = """
    command Go, C, D
    event E, F
    external service U { calls S.Go }
    service S
    service P { handles C { calls Q.D  emits E } }
    service Q { handles D succeeds  on E emits F }
    workflow W in S { starts on Go  step a calls P.C  awaits F  either { fails } or { step b calls Q.D } }
    flow Way { starts with Go from U  succeeds with W }
    """
    if code != "RES810":  # an opinion about structure, off unless asked for
        assert findings(text, code) == []
