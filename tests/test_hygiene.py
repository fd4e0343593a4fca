"""What nothing uses, names that mislead, and attributes that belong to something else."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordlint.analysis.unused import unused
from coordlint.check import Result, check, select_rules
from coordlint.design import Design, load
from coordlint.finding import Finding
from coordlint.fix import apply_fixes
from coordlint.source import Source


def design(text: str, profile: str = "default", **options: object) -> Design:
    given = {"HYG951": options}
    return load("test.coord", stdin=Source("test.coord", text), profile=profile, options=given)


def run(text: str, *codes: str, profile: str = "default", **options: object) -> Result:
    result = check(design(text, profile, **options), select_rules(select=codes, profile=profile))
    assert result.crashes == ()
    return result


def findings(text: str, *codes: str, profile: str = "default", **options: object) -> list[Finding]:
    result = run(text, *codes, profile=profile, **options)
    assert [one.message for one in result.findings if one.code.startswith(("SYN", "REF001"))] == []
    return [finding for finding in result.findings if finding.code in codes]


def fixed(text: str, code: str) -> str:
    done = apply_fixes(run(text, code), lambda overlay: run(next(iter(overlay.values())).text, code), unsafe=True)
    return next((after.text for _, after in done.sources.values()), text)


# ------------------------------------------------------------------------------------------------ HYG952


USED = """
broker K
channel c on K { queue  dead-letter d }
channel d on K { queue }
channel v on K { queue }
store S1 { owner O }
store S2
store S3
type T { u: U[] }
type U { name: string }
event E via c { t: T? }
command C
service O
service A { uses S3  emits E }
service B { handles C { reads S1.x } on E via v { notifies } }
service F
workflow W in O { starts on C  state in S2 }
flow Way { starts with C from F  succeeds with W }
"""


def test_every_way_of_using_something() -> None:
    assert unused(design(USED).system) == []


@pytest.mark.parametrize(
    ("declaration", "name"),
    [
        ("broker X", "broker `X`"),
        ("channel X on K { topic }", "channel `X`"),
        ("store X { owner O }", "store `X`"),
        ("type X { t: T }", "type `X`"),
        ("event X via c { t: T }", "event `X`"),
        ("command X", "command `X`"),
        ("query X", "query `X`"),
        ('service X "of nothing" { replicas 2 }', "service `X`"),
        ("external service X", "service `X`"),
    ],
)
def test_everything_may_be_unused(declaration: str, name: str) -> None:
    (found,) = findings(USED + declaration, "HYG952")
    assert found.message == f"nothing uses {name}"
    assert fixed(USED + declaration + "\n", "HYG952") == USED


@pytest.mark.parametrize(
    "declaration",
    [
        "channel X { queue  tags planned }",
        "event X { deprecated }",
        "service X { uses K }",
        "service X { emits E }",
        "service X { consumes E }",
        "monitor M { watches c  uses X }\nstore X",
    ],
)
def test_what_is_no_leftover(declaration: str) -> None:
    assert findings(USED + declaration, "HYG952") == []


def test_what_only_an_unused_definition_needs_is_told_with_it() -> None:
    text = (
        USED
        + "broker X\nchannel Y on X { queue  dead-letter Z }\nchannel Z on X { queue }\nevent N via Y { p: P }\ntype P { q: Q }\ntype Q { p: P }\n"
    )
    (found,) = findings(text, "HYG952")
    assert found.message == "nothing uses event `N`"
    assert found.notes == ("then unused, too: type `P`, type `Q`, channel `Y`, channel `Z`, broker `X`",)
    assert fixed(text, "HYG952") == USED


def test_what_several_unused_definitions_need_goes_when_they_are_gone() -> None:
    text = USED + "channel Y on K { queue }\nevent N1 via Y\nevent N2 via Y\n"
    assert [one.message for one in findings(text, "HYG952")] == ["nothing uses event `N1`", "nothing uses event `N2`"]
    assert fixed(text, "HYG952") == USED


def test_definitions_that_only_know_each_other_are_one_finding() -> None:
    (found,) = findings(USED + "type P { q: Q }\ntype Q { p: P }", "HYG952")
    assert found.message == "nothing uses type `P`"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=5), st.sampled_from(["", " via c"]))
def test_names_of_a_list_are_taken_out_one_by_one(keep: list[bool], via: str) -> None:
    names = [f"N{i}" for i in range(len(keep))]
    users = "".join(f"service R{i} {{ on N{i} {{ notifies }} }}\n" for i, kept in enumerate(keep) if kept)
    left = [name for name, kept in zip(names, keep, strict=True) if kept]
    text = f"{USED}event {', '.join(names)}{via}\n{users}"
    expected = f"{USED}event {', '.join(left)}{via}\n{users}" if left else f"{USED}{users}"
    assert fixed(text, "HYG952") == expected


def test_a_removed_line_takes_its_comment_along_and_leaves_its_neighbours() -> None:
    assert fixed(USED + "  store X # old\n", "HYG952") == USED
    text = USED + "store X service Z { emits E }\n"
    assert fixed(text, "HYG952") == USED + " service Z { emits E }\n"


# ------------------------------------------------------------------------------------------------ HYG951


@pytest.mark.parametrize(
    ("declaration", "told"),
    [
        ("event OrderPlaced", False),
        ("event OrderPlacedEvent", False),
        ("event Packed", False),
        ("event OrderPaid", False),
        ('event "Orders.order_was_sent"', False),
        ("event StatusChangedToShipped", False),
        ("event ProcessPayment", True),
        ("event OrderEvent", True),
        ("event Feed", True),
        ("external event ProcessPayment", False),
        ("event Heartbeat { technical }", False),
        ("command PlaceOrder", False),
        ("command PlaceOrderCommand", False),
        ("command OrderPlaced", True),
        ("command MarkOrderAsPaid", False),
        ("command Proceed", False),
        ("query OrderPlaced", False),
    ],
)
def test_names_of_messages(declaration: str, told: bool) -> None:
    assert len(findings(declaration, "HYG951", profile="strict")) == told


def test_a_name_is_proposed_and_the_pattern_is_an_option() -> None:
    (found,) = findings("event ApplyPayment", "HYG951", profile="strict")
    assert "`PaymentApplied`" in found.help
    assert findings("event order-placed", "HYG951", profile="strict", event="[a-z-]+") == []
    (found,) = findings("event OrderPlaced", "HYG951", profile="strict", event="[a-z-]+")
    assert "`[a-z-]+`" in found.message
    assert [one.code for one in check(design("event ApplyPayment")).findings if one.code == "HYG951"] == []


# ------------------------------------------------------------------------------------------------ HYG954

FRAME = """
command Go, C
external service U {{ sends A.Go }}
service P {{ handles C succeeds }}
service A {{ {handler} }}
service S
workflow W in S {{ starts on C  {workflow} }}
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("handles Go { calls P.C timeout 2s }", "handles Go { calls P.C { timeout 2s } }"),
        ("handles Go { calls P.C timeout 2s attempts 3 }", "handles Go { calls P.C { timeout 2s attempts 3 } }"),
        ("handles Go { calls P.C no timeout }", "handles Go { calls P.C { no timeout } }"),
        ("handles Go { sends P.C timeout 2s }", "handles Go { sends P.C { timeout 2s } }"),
        ("handles Go { timeout 2s calls P.C }", ""),
        ("handles Go { calls P.C\n timeout 2s }", ""),
        ("handles Go { calls P.C { attempts 2 } timeout 2s }", ""),
        ("handles Go { calls P.C idempotent }", ""),
        ("handles Go { calls P.C idempotent timeout 2s }", ""),
    ],
)
def test_attributes_behind_calls_of_handlers(before: str, after: str) -> None:
    text = FRAME.format(handler=before, workflow="")
    assert len(findings(text, "HYG954")) == bool(after)
    assert fixed(text, "HYG954") == FRAME.format(handler=after or before, workflow="")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("step a calls P.C timeout 2s", "step a calls P.C { timeout 2s }"),
        ("step a calls P.C on failure { fails }", "step a calls P.C { on failure { fails } }"),
        (
            "step a calls P.C timeout 2s on failure {\n fails\n}",
            "step a calls P.C { timeout 2s on failure {\n fails\n} }",
        ),
        ("calls P.C timeout 2s", "calls P.C { timeout 2s }"),
        ("step a { calls P.C timeout 2s }", ""),  # the same either way
        ("step a { calls P.C timeout 2s calls P.C }", "step a { calls P.C { timeout 2s } calls P.C }"),
        ("step a { calls P.C } timeout 2s", ""),
        ("step a calls P.C { pivot } timeout 2s", ""),
        ("either { step a calls P.C } or { } timeout 2s", ""),
    ],
)
def test_attributes_behind_calls_of_workflows(before: str, after: str) -> None:
    text = FRAME.format(handler="handles Go succeeds", workflow=before)
    assert len(findings(text, "HYG954")) == bool(after)
    assert fixed(text, "HYG954") == FRAME.format(handler="handles Go succeeds", workflow=after or before)


def test_a_collision_with_the_right_attribute_is_repaired_with_it() -> None:
    text = FRAME.format(handler="handles Go succeeds", workflow="timeout 1h  step a calls P.C timeout 2s")
    assert "REF003" in {one.code for one in run(text, "HYG954").findings}
    assert run(fixed(text, "HYG954"), "HYG954").findings == ()
