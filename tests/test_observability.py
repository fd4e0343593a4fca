"""Whether somebody can tell where an instance is, and who sees what failed."""

from __future__ import annotations

import pytest

from coordlint.check import check, select_rules
from coordlint.design import load
from coordlint.finding import Finding
from coordlint.source import Source


def findings(text: str, *codes: str, profile: str = "default", **options: object) -> list[Finding]:
    given = dict.fromkeys(codes, options)
    built = load("test.coord", stdin=Source("test.coord", text), profile=profile, options=given)
    assert [problem.message for problem in built.problems] == []
    result = check(built, select_rules(select=codes, profile=profile))
    assert result.crashes == ()
    return [finding for finding in result.findings if finding.code in codes]


def severities(text: str, code: str, profile: str = "default", **options: object) -> list[str]:
    return [one.severity.label for one in findings(text, code, profile=profile, **options) if one.severity]


# ------------------------------------------------------------------------------------------------ OBS901

JOIN = """
event A {{ {a} }}
event B {{ {b} }}
service S {{ emits A, B }}
service T {{ on A and B {by} {{ notifies }} }}
"""


@pytest.mark.parametrize(
    ("a", "b", "by", "profile", "expected"),
    [
        ("", "", "", "default", []),  # nothing is said at all
        ("", "", "", "strict", ["error"]),
        ("key id  id: uuid", "", "", "default", ["warning"]),
        ("key id  id: uuid", "key id  id: uuid", "", "default", []),
        ("key id  id: uuid", "key other  other: uuid", "", "default", ["warning"]),
        ("id: uuid", "id: uuid", "by id", "default", []),
        ("id: uuid", "other: uuid", "by id", "default", ["error"]),
        ("id: uuid", "", "by id", "default", []),  # no fields are declared
        ("other: uuid", "other: uuid", "by id", "default", ["error"]),
    ],
)
def test_what_is_joined_is_matched(a: str, b: str, by: str, profile: str, expected: list[str]) -> None:
    assert severities(JOIN.format(a=a, b=b, by=by), "OBS901", profile) == expected


AWAIT = """
command Go, Do
event Told {{ {told} }}
event Keyed {{ key id  id: uuid }}
external service U {{ sends S.Go  emits Keyed }}
service S
service M {{ on Keyed {{ notifies }} }}
service P {{ {handler} emits Told }}
workflow W in S {{ starts on Go  {body} }}
"""


@pytest.mark.parametrize(
    ("handler", "told", "body", "expected"),
    [
        ("handles Do", "", "sends P.Do  awaits Told", []),  # the answer to its own command
        ("on Keyed", "", "sends P.Do  awaits Told", ["warning"]),
        ("on Keyed", "", "awaits Told by id", []),
        ("on Keyed", "other: uuid", "awaits Told by id", ["error"]),
        ("on Keyed", "", "awaits { on Told { } within 1m { } }", ["warning"]),
        ("on Keyed", "key id  id: uuid", "awaits Told", []),
    ],
)
def test_what_is_awaited_is_matched(handler: str, told: str, body: str, expected: list[str]) -> None:
    text = AWAIT.format(handler=handler, told=told, body=body)
    if handler.startswith("on"):
        text = text.replace("service M", "service Q { handles Do succeeds }\nservice M").replace("P.Do", "Q.Do")
    assert severities(text, "OBS901") == expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("key id  id: uuid", "total: decimal", ["warning"]),
        ("key id  id: uuid", "id: uuid  total: decimal", []),
        ("key id  id: uuid", "", []),
        ("key id  id: uuid", "key other  other: uuid", []),
        ("id: uuid", "total: decimal", []),
        ("key id  id: uuid", "technical  total: decimal", []),
    ],
)
def test_a_flow_carries_one_key(first: str, second: str, expected: list[str]) -> None:
    text = f"""
    command Go
    event A {{ {first} }}
    event B {{ {second} }}
    external service U {{ sends S.Go }}
    service S {{ handles Go emits A }}
    service T {{ on A emits B }}
    service V {{ on B {{ notifies }} }}
    flow F {{ starts with Go from U  succeeds with B }}
    """
    assert severities(text, "OBS901") == expected


# ------------------------------------------------------------------------------------------------ OBS902

CHAIN = """
channel c {{ topic }}
command Go
event A, B, C, D via c
external service U {{ calls S1.Go }}
service S1 {{ handles Go emits A }}
service S2 {{ on A emits B }}
service S3 {{ on B emits C }}
{fourth}
flow F {{ starts with Go from U  succeeds with D  {more} }}
service X {{ on D {{ notifies }} }}
{monitor}
"""
FOURTH = "service S4 { on C emits D }"
WORKFLOW = "service S4\nworkflow W in S4 { starts on C  emits D }"


@pytest.mark.parametrize(
    ("fourth", "more", "monitor", "profile", "expected"),
    [
        (FOURTH, "", "", "default", []),
        (FOURTH, "", "", "strict", ["warning"]),
        (FOURTH, "", "monitor M { watches X }", "default", ["info"]),
        (FOURTH, "", "monitor M { watches F }", "strict", []),
        (FOURTH, "", "monitor M { watches c }", "strict", []),
        (FOURTH, "visibility required", "", "default", ["error"]),
        (FOURTH, "visibility required", "monitor M { watches F }", "default", []),
        (WORKFLOW, "", "", "strict", []),
        (WORKFLOW, "visibility required", "", "default", ["error"]),
    ],
)
def test_a_long_way_is_watched(fourth: str, more: str, monitor: str, profile: str, expected: list[str]) -> None:
    text = CHAIN.format(fourth=fourth, more=more, monitor=monitor)
    assert severities(text, "OBS902", profile) == expected


def test_how_long_is_an_option() -> None:
    text = CHAIN.format(fourth=FOURTH, more="", monitor="")
    assert severities(text, "OBS902", "strict", hops=5) == []
    assert severities(text, "OBS902", "strict", services=5) == []
    (found,) = findings(text, "OBS902", profile="strict")
    assert found.notes == ("`A` -> `B` -> `C` -> `D`",)


def test_a_wholly_orchestrated_flow_is_visible() -> None:
    text = """
    command Go, Do
    external service U { sends S.Go }
    service S
    service P { handles Do succeeds }
    workflow W in S { starts on Go  step a calls P.Do  step b calls P.Do }
    flow F { starts with Go from U  succeeds with W  visibility required }
    """
    assert findings(text, "OBS902") == []


# ------------------------------------------------------------------------------------------------ OBS903, OBS904

WATCHED = """
broker K {{ {k} }}
channel c on K {{ topic }}
store D {{ {d} }}
event E via c
command Go
external service U {{ sends S.Go }}
service S {{ uses D  handles Go emits E }}
service T {{ on E {{ notifies }} }}
service Board {{ uses {uses} }}
workflow W in S {{ starts on E  state in D }}
flow F {{ starts with Go from U  succeeds with E }}
monitor M {{ watches {watches}  uses Board }}
"""


@pytest.mark.parametrize(
    ("k", "d", "uses", "watches", "found"),
    [
        ("", "", "D", "S", 0),  # the store is what the service uses, and not what is watched
        ("", "", "S", "S", 1),
        ("", "", "c", "c", 1),
        ("nodes 1", "", "K", "c", 1),
        ("nodes 3  replication 3  min-insync 2", "", "K", "c", 0),
        ("", "", "D", "W", 1),
        ("", "replicas 2  failover auto", "D", "W", 0),
        ("", "", "D", "F", 1),
        ("", "", "K", "F", 1),
        ("", "", "T", "F", 0),
    ],
)
def test_a_monitor_stands_apart(k: str, d: str, uses: str, watches: str, found: int) -> None:
    assert len(findings(WATCHED.format(k=k, d=d, uses=uses, watches=watches), "OBS903")) == found


SINK = """
channel c {{ queue  dead-letter dead after 3  {source} }}
channel dead {{ queue  {sink} }}
event E via c
event Lost via dead
service S {{ emits E }}
service T {{ on E {{ notifies }} }}
{more}
"""


@pytest.mark.parametrize(
    ("source", "sink", "more", "expected"),
    [
        ("", "", "", ["info"]),
        ("redrive", "", "", []),
        ("", "team night-shift", "", []),
        ("", "archive", "", []),
        ("", "", "monitor M { watches dead }", []),
        ("", "", "service V { on E via dead { notifies } }", []),
        ("", "dead-letter deader after 9", "channel deader { queue }  monitor M { watches deader }", []),
        ("", "dead-letter deader after 9", "channel deader { queue }", ["info"]),
    ],
)
def test_somebody_empties_the_dead_letters(source: str, sink: str, more: str, expected: list[str]) -> None:
    text = SINK.format(source=source, sink=sink, more=more)
    assert severities(text, "OBS904", "strict") == expected


def test_dead_letters_of_a_handler_count_too() -> None:
    text = """
    channel dead { queue }
    event E
    service S { emits E }
    service T { on E { notifies  dead-letter dead after 3 } }
    """
    (found,) = findings(text, "OBS904", profile="strict")
    assert "`on E`" in found.message
