"""Contracts between services: schema compatibility in all modes, and what the rules about contracts make of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordlint.analysis.compatibility import breaks, can_read, directions, promotable
from coordlint.check import check, select_rules
from coordlint.design import Design, load
from coordlint.finding import PROFILES, Finding
from coordlint.fix import apply_fixes
from coordlint.source import Source
from coordlint.system import Compatibility, Fact, Field, Message, Type, Version

quick = settings(max_examples=200, deadline=None)

SYSTEMS = sorted((Path(__file__).parent.parent / "fixtures" / "systems").glob("*/*.coord"))

MODES = [(mode, transitive) for mode in ("none", "backward", "forward", "full") for transitive in (False, True)][:1] + [
    (mode, transitive) for mode in ("backward", "forward", "full") for transitive in (False, True)
]
"""The seven modes of schema registries; `none` has nothing to be transitive about."""


def design(text: str, profile: str = "default", today: date | None = None) -> Design:
    found = load("test.coord", stdin=Source("test.coord", text), profile=profile, today=today)
    assert [problem.message for problem in found.problems] == []
    return found


def findings(text: str, *codes: str, profile: str = "default", today: date | None = None) -> list[Finding]:
    result = check(design(text, profile, today), select_rules(select=codes, profile=profile))
    assert result.crashes == ()
    return list(result.findings)


# ------------------------------------------------------------------------------------------------ the seven modes

CHANGES = {
    # what changes from @1 to @2, and which directions it breaks
    "add required": ("a: int", "a: int\nb: int", {"backward"}),
    "add optional": ("a: int", "a: int\nb: int?", set()),
    "add default": ("a: int", "a: int\nb: int = 0", set()),
    "delete required": ("a: int\nb: int", "a: int", {"forward"}),
    "delete optional": ("a: int\nb: int?", "a: int", set()),
    "delete default": ("a: int\nb: int = 0", "a: int", set()),
    "promote": ("a: int", "a: long", {"forward"}),
    "demote": ("a: long", "a: int", {"backward"}),
    "rename": ("a: int\nb: int", "a: int\nc: int", {"backward", "forward"}),
    "rename optional": ("a: int\nb: int?", "a: int\nc: int?", set()),
    "enum add": ("a: NEW | PAID", "a: NEW | PAID | SENT", {"forward"}),
    "enum add with default": ("a: NEW | PAID = NEW", "a: NEW | PAID | SENT = NEW", set()),
    "enum remove": ("a: NEW | PAID | SENT", "a: NEW | PAID", {"backward"}),
    "make required": ("a: int?", "a: int", {"backward"}),
    "make optional": ("a: int", "a: int?", {"forward"}),
    "make an array": ("a: int", "a: int[]", {"backward", "forward"}),
    "change the type": ("a: int", "a: date", {"backward", "forward"}),
}


def versions(mode: str, transitive: bool, *bodies: str) -> str:
    word = " transitive" if transitive else ""
    return "\n".join(
        f"event E @{number} {{\ncompatible {mode}{word}\n{body}\n}}" for number, body in enumerate(bodies, start=1)
    )


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("mode", "transitive"), MODES)
def test_every_mode_against_every_change(mode: str, transitive: bool, change: str) -> None:
    before, after, broken = CHANGES[change]
    built = design(versions(mode, transitive, before, after))
    promised = {"none": set(), "backward": {"backward"}, "forward": {"forward"}, "full": {"backward", "forward"}}[mode]
    found = {one.direction for one in breaks(built.system.messages["E"], built.system.types)}
    assert found == broken & promised


@pytest.mark.parametrize(("mode", "transitive"), MODES)
def test_only_transitive_modes_look_further_back(mode: str, transitive: bool) -> None:
    """Each step is allowed, and yet the last version and the first do not understand each other."""
    gradual = {
        "backward": ("a: int", "a: int\nb: int = 0", "a: int\nb: int"),
        "forward": ("a: int\nb: int", "a: int\nb: int = 0", "a: int"),
    }
    for direction, bodies in gradual.items():
        built = design(versions(mode, transitive, *bodies))
        found = [(one.older.number, one.newer.number, one.direction) for one in breaks(built.system.messages["E"], {})]
        promised = direction in directions(mode) and transitive
        assert found == ([("1", "3", direction)] if promised else [])


def test_the_promise_of_the_newest_version_covers_those_without_one() -> None:
    built = design("event E @1 { a: int }\nevent E @2 { b: int }\nevent E @3 { compatible backward  b: int }")
    assert [(one.older.number, one.newer.number) for one in breaks(built.system.messages["E"], {})] == [("1", "2")]


def test_a_version_may_promise_nothing() -> None:
    built = design(
        "event E @1 { a: int }\nevent E @2 { compatible none  b: int }\nevent E @3 { compatible full  b: int }"
    )
    assert list(breaks(built.system.messages["E"], {})) == []


def test_versions_on_channels_of_their_own_never_meet() -> None:
    two = "channel one\nchannel two\nevent E @1 via one { a: int }\nevent E @2 via two { compatible full  b: int }"
    assert findings(two, "CON702") == []
    assert findings(two.replace("via two", "via one"), "CON702") != []


def test_a_version_without_fields_says_nothing() -> None:
    assert findings("event E @1\nevent E @2 { compatible full  a: int }", "CON702") == []


def test_ten_comes_after_nine() -> None:
    text = "event E @9 { a: int }\nevent E @10 { compatible backward  a: int  b: int }"
    (found,) = findings(text, "CON702")
    assert "`E @10` cannot read what was written as `E @9`: `b`" in found.message


def test_nested_records_are_followed() -> None:
    text = """
    type Line { sku: string }
    type Line2 {
      sku: string
      price: Price
    }
    type Price { amount: int }
    event E @1 { lines: Line[] }
    event E @2 {
      compatible full
      lines: Line2[]
    }
    """
    (found,) = findings(text, "CON702")
    assert "`lines.price`" in found.message
    assert findings(text.replace("price: Price", "price: Price?"), "CON702") == []


def test_records_that_contain_themselves() -> None:
    text = """
    type Tree { value: int  children: Tree[] }
    type Tree2 { value: long  children: Tree2[] }
    event E @1 { root: Tree }
    event E @2 { compatible %s  root: Tree2 }
    """
    assert findings(text % "backward", "CON702") == []
    (found,) = findings(text % "forward", "CON702")
    assert "`root.value`" in found.message


def test_one_finding_per_version_names_all_that_breaks() -> None:
    text = "event E @1 { a: int }\nevent E @2 {\n compatible backward\n a: int\n b: int\n c: int\n}"
    (found,) = findings(text, "CON702")
    assert "`b`" in found.message
    assert any("`c`" in note for note in found.notes)
    assert found.fix is not None
    assert len(found.fix.edits) == 2


@pytest.mark.parametrize("body", ["b: int\n c: int\n d: Line", "d: Line\n c: int\n b: int"])
def test_the_order_of_fields_does_not_matter(body: str) -> None:
    types = "type Old { x: int }\ntype Line { x: int  a: int }\n"
    text = f"{types}event E @1 {{ a: int  d: Old }}\nevent E @2 {{\n compatible backward\n {body}\n}}"
    (found,) = findings(text, "CON702")
    assert [next(name for name in ("`b`", "`c`", "`d.a`") if name in one) for one in (found.message, *found.notes)] == [
        "`b`",
        "`c`",
        "`d.a`",
    ]


# ------------------------------------------------------------------------------------------------ reading what was written

LIMITS = {"byte": 2**7 - 1, "short": 2**15 - 1, "int": 2**31 - 1, "long": 2**63 - 1}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SCALARS = [
    "byte",
    "int",
    "long",
    "float",
    "double",
    "decimal",
    "number",
    "string",
    "uuid",
    "bytes",
    "boolean",
    "date",
    "any",
]


class UnreadableError(Exception):
    """The reader meets something it cannot read."""


def samples(field: Field, types: dict[str, Type]) -> list[Any]:
    """Values that together show everything a field of this type may hold."""
    if field.array:
        return [[], *([one] for one in samples(field._replace(array=False), types))]
    if field.type in types:
        return list(documents(types[field.type].fields, types))
    if field.symbols:
        return list(field.symbols)
    if field.type in LIMITS:
        return [LIMITS[field.type], -1]
    return {
        "float": [1.5, 3.0e38],
        "double": [1.0e300],
        "decimal": [Decimal("0.1")],
        "number": [Decimal("0.1"), 1.0e300, 2**70],
        "string": ["a text"],
        "uuid": ["00000000-0000-4000-8000-000000000000"],
        "bytes": [b"\xff"],
        "boolean": [True],
        "date": [date(2027, 1, 31)],
        "any": ["a text", 1, {}],
    }[field.type]


def documents(fields: Sequence[Field], types: dict[str, Type]) -> Iterator[dict[str, Any]]:
    """A writer: documents in which each field takes each of its values (or is left out) at least once."""
    usual = {field.name: samples(field, types)[0] for field in fields}
    yield usual
    for field in fields:
        for value in samples(field, types)[1:]:
            yield {**usual, field.name: value}
        if field.optional:
            yield {name: value for name, value in usual.items() if name != field.name}


def read(fields: Sequence[Field], document: dict[str, Any], types: dict[str, Type]) -> dict[str, Any]:
    """A reader: what it makes of a document; raises UnreadableError."""
    result = {}
    for field in fields:
        if field.name in document:
            result[field.name] = read_value(field, document[field.name], types)
        elif field.default is not None:
            result[field.name] = field.default
        elif not field.optional:
            raise UnreadableError(field.name)
    return result


def read_value(field: Field, value: Any, types: dict[str, Type]) -> Any:
    if field.array != isinstance(value, list) and field.type != "any":
        raise UnreadableError(field.name)
    if field.array and isinstance(value, list):
        return [read_value(field._replace(array=False), one, types) for one in value]
    if field.array:
        raise UnreadableError(field.name)
    if field.type in types:
        if not isinstance(value, dict):
            raise UnreadableError(field.name)
        return read(types[field.type].fields, value, types)
    if field.symbols:
        if value not in field.symbols and field.default is not None and isinstance(value, str) and value.isupper():
            return field.default
        if value not in field.symbols:
            raise UnreadableError(field.name)
        return value
    if not fits(field.type, value):
        raise UnreadableError(field.name)
    return value


def fits(type_: str, value: Any) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if type_ in LIMITS:
        return whole and value <= LIMITS[type_]
    if type_ == "float":
        return (whole and value <= LIMITS["long"]) or (isinstance(value, float) and value <= 3.4e38)
    if type_ == "double":
        return (whole and value <= LIMITS["long"]) or isinstance(value, float)
    if type_ == "decimal":
        return (whole and value <= LIMITS["long"]) or isinstance(value, Decimal)
    if type_ == "number":
        return whole or isinstance(value, float | Decimal)
    if type_ == "uuid":
        return isinstance(value, str) and UUID.fullmatch(value) is not None
    return {
        "string": isinstance(value, str),
        "bytes": isinstance(value, str | bytes),
        "boolean": isinstance(value, bool),
        "date": isinstance(value, date),
        "any": True,
    }[type_]


def reads_everything(reader: Sequence[Field], writer: Sequence[Field], types: dict[str, Type]) -> bool:
    for document in documents(writer, types):
        try:
            read(reader, document, types)
        except UnreadableError:
            return False
    return True


NOWHERE = Source("nowhere.coord", "").span()
SYMBOLS = ("NEW", "PAID", "SENT", "GONE")


def field(name: str, type_: str, *, array: bool = False, optional: bool = False, default: str | None = None) -> Field:
    return Field(name, type_, array, optional, default, (), NOWHERE)


def record(name: str, fields: tuple[Field, ...]) -> Type:
    return Type(name=name, place=NOWHERE, span=NOWHERE, fields=fields)


@st.composite
def field_lists(draw: st.DrawFn, types: Sequence[str] = ("Inner", "Other")) -> tuple[Field, ...]:
    names = draw(st.lists(st.sampled_from("abc"), unique=True, max_size=3))
    found = []
    for name in names:
        default = draw(st.sampled_from([None, None, "x"]))
        optional = draw(st.booleans())
        if draw(st.integers(0, 4)) == 0:
            symbols = tuple(draw(st.lists(st.sampled_from(SYMBOLS), unique=True, min_size=2, max_size=4)))
            found.append(Field(name, "enum", False, optional, default, symbols, NOWHERE))
        else:
            type_ = draw(st.sampled_from([*SCALARS, *types, *types, *types]))
            found.append(field(name, type_, array=draw(st.booleans()), optional=optional, default=default))
    return tuple(found)


@st.composite
def type_tables(draw: st.DrawFn) -> dict[str, Type]:
    return {name: record(name, draw(field_lists(types=()))) for name in ("Inner", "Other")}


@st.composite
def evolutions(draw: st.DrawFn) -> tuple[tuple[Field, ...], tuple[Field, ...]]:
    """Two field lists of which one is the other with one field changed, so that reading often just works or just fails."""
    before = draw(field_lists())
    other = draw(field_lists())
    if not before or not other:
        return before, other
    at = draw(st.integers(0, len(before) - 1))
    change = draw(st.sampled_from(["type", "optional", "default", "array", "symbols"]))
    new = other[0]
    changed = {
        "type": before[at]._replace(type=new.type, symbols=new.symbols, array=new.array),
        "optional": before[at]._replace(optional=not before[at].optional),
        "default": before[at]._replace(default=None if before[at].default else "x"),
        "array": before[at]._replace(array=not before[at].array and not before[at].symbols),
        "symbols": before[at]._replace(
            symbols=before[at].symbols[1:] if len(before[at].symbols) > 2 else before[at].symbols
        ),
    }[change]
    after = (*before[:at], changed, *before[at + 1 :])
    return before, after


@quick
@given(field_lists(), field_lists(), type_tables())
def test_can_read_is_what_a_reader_can_read(
    reader: tuple[Field, ...], writer: tuple[Field, ...], types: dict[str, Type]
) -> None:
    assert can_read(reader, writer, types) == reads_everything(reader, writer, types)


@quick
@given(evolutions(), type_tables())
def test_can_read_after_one_change(pair: tuple[tuple[Field, ...], tuple[Field, ...]], types: dict[str, Type]) -> None:
    for reader, writer in (pair, pair[::-1]):
        assert can_read(reader, writer, types) == reads_everything(reader, writer, types)


@quick
@given(st.lists(field_lists(), min_size=2, max_size=4), type_tables(), st.sampled_from(MODES))
def test_breaks_are_what_readers_of_the_mode_cannot_read(
    bodies: list[tuple[Field, ...]], types: dict[str, Type], promise: tuple[str, bool]
) -> None:
    mode, transitive = promise
    fact = Fact("declared", Compatibility(mode, transitive))
    numbered = tuple(
        Version(name="E", place=NOWHERE, span=NOWHERE, number=str(n), fields=body, facts={"compatible": fact})
        for n, body in enumerate(bodies, start=1)
    )
    message = Message(name="E", place=NOWHERE, span=NOWHERE, kind="event", versions=numbered)
    expected = set()
    for at, newer in enumerate(numbered):
        for older in numbered[:at] if transitive else numbered[max(at - 1, 0) : at]:
            if not older.fields or not newer.fields:
                continue
            if mode in {"backward", "full"} and not reads_everything(newer.fields, older.fields, types):
                expected.add((older.number, newer.number, "backward"))
            if mode in {"forward", "full"} and not reads_everything(older.fields, newer.fields, types):
                expected.add((older.number, newer.number, "forward"))
    found = [(one.older.number, one.newer.number, one.direction) for one in breaks(message, types)]
    assert set(found) == expected
    assert len(found) == len(expected)


@quick
@given(st.sampled_from(SCALARS), st.sampled_from(SCALARS), st.sampled_from(SCALARS))
def test_promotion_is_an_order(one: str, two: str, three: str) -> None:
    assert promotable(one, one)
    if promotable(one, two) and promotable(two, three):
        assert promotable(one, three)
    if one != two and promotable(one, two):
        assert not promotable(two, one)


def test_the_chain_of_numbers() -> None:
    chain = ["byte", "short", "int", "long", "float", "double", "number"]
    for position, narrow in enumerate(chain):
        for wide in chain[position:]:
            assert promotable(narrow, wide)
            assert narrow == wide or not promotable(wide, narrow)


# ------------------------------------------------------------------------------------------------ CON701

TWO_EVENTS = """
event A { id: uuid }
event B { id: uuid }
%s
service S { emits A  emits B  emits C }
service T { on A or B { notifies }  on C { notifies } }
"""


@pytest.mark.parametrize(
    ("declaration", "codes"),
    [
        ("event C", ["CON701"]),
        ("event C { id: uuid }", []),
        ("private event C", []),
        ("external event C", []),
    ],
)
def test_whose_schema_matters(declaration: str, codes: list[str]) -> None:
    assert [one.code for one in findings(TWO_EVENTS % declaration, "CON701")] == codes


def test_where_few_events_have_fields_nothing_is_asked() -> None:
    text = (
        "event A { id: uuid }\nevent B\nevent C\nservice S { emits A, B, C }\nservice T { on A or B or C { notifies } }"
    )
    assert findings(text, "CON701") == []
    assert len(findings(text, "CON701", profile="strict")) == 2
    assert len(findings(text, "CON701", profile="production")) == 3, "and a version of each"


# ------------------------------------------------------------------------------------------------ CON703


def test_a_field_missing_in_any_published_version_counts() -> None:
    text = """
    event E @1 { a: int }
    event E @2 { a: int  b: int }
    service S { emits E @1  emits E @2 }
    service T { on E @%s { notifies  uses-fields b } }
    """
    assert [one.message for one in findings(text % "1..2", "CON703")] == [
        "`on E` of `T` relies on `b`, which `E @1` does not have"
    ]
    assert findings(text % "2", "CON703") == []


def test_one_missing_field_is_one_finding_wherever_it_is_relied_on() -> None:
    text = """
    channel c { topic  ordered by order_id }
    event E via c { key order_id  id: uuid }
    service S { emits E }
    service T { on E { ordered by order_id  idempotent by order_id  notifies } }
    """
    (found,) = findings(text, "CON703")
    assert found.severity is not None
    assert found.severity.label == "error"
    assert len(found.related) == 4, "the message, and the three other places"


def test_the_misspelt_field_is_corrected_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "d.coord"
    path.write_text(
        "event E { key ordr_id  order_id: uuid }\nservice S { emits E }\n"
        "service T { on E { notifies  uses-fields ordr_id } }\n",
        encoding="utf-8",
    )

    def run(overlay: Any) -> Any:
        return check(load(str(path), overlay=overlay), select_rules(select=["CON703"]))

    fixed = apply_fixes(run({}), run)
    ((_, after),) = fixed.sources.values()
    assert after.text.count("ordr_id") == 0
    assert fixed.result.findings == ()


def test_a_default_answers_for_an_optional_field() -> None:
    text = "event E { a: int%s }\nservice S { emits E }\nservice T { on E { notifies  uses-fields a } }"
    assert [one.severity.label for one in findings(text % "?", "CON703") if one.severity] == ["warning"]
    assert findings(text % "? = 0", "CON703") == []


def test_a_message_without_fields_may_have_any() -> None:
    text = "event E { key id }\nservice S { emits E }\nservice T { on E { notifies  uses-fields a } }"
    assert findings(text, "CON703") == []


# ------------------------------------------------------------------------------------------------ CON704

PINNED = """
event E @1 { a: int }
event E @2 { %s  a: int  b: int? }
event E @3 { %s  a: int  b: int?  c: int? }
service S { emits E @%s }
service T { on E @%s { notifies } }
"""


@pytest.mark.parametrize(
    ("promise", "sent", "pin", "accepted"),
    [
        ("", "2", "1", False),
        ("", "2", "1..2", True),
        ("", "2", "2..", True),
        ("compatible forward", "2", "1", True),
        ("compatible backward", "2", "1", False),
        ("compatible full", "2", "1", True),
        ("compatible forward", "3", "1", False),
        ("compatible forward transitive", "3", "1", True),
        ("compatible backward", "1", "2", True),
        ("compatible backward", "1", "3", False),
        ("compatible backward transitive", "1", "3", True),
        ("compatible forward", "1", "2", False),
        ("compatible none", "2", "1", False),
        ("compatible full", "1..2", "2", True),
        ("", "1..2", "2", False),
    ],
)
def test_which_versions_a_consumer_can_take(promise: str, sent: str, pin: str, accepted: bool) -> None:
    found = findings(PINNED % (promise, promise, sent, pin), "CON704")
    assert (found == []) == accepted


def test_nobody_publishes_nothing_to_accept() -> None:
    text = "event E @1 { a: int }\nevent E @2 { a: int }\nservice T { on E @1 { notifies } }"
    assert findings(text, "CON704") == []


DEPRECATED = "event E @1 { deprecated%s  a: int }\nevent E @2 { a: int }\nservice S { emits E @%s }"


@pytest.mark.parametrize(
    ("end", "sent", "today", "count"),
    [
        (" until 2027-01-31", "1", date(2027, 2, 1), 1),
        (" until 2027-01-31", "1", date(2027, 1, 31), 0),
        (" until 2027-01-31", "2", date(2027, 2, 1), 0),
        (" until 2027-01-31", "1", None, 0),
        ("", "1", date(2027, 2, 1), 0),
    ],
)
def test_a_deprecated_version_ends_on_its_day(end: str, sent: str, today: date | None, count: int) -> None:
    assert len(findings(DEPRECATED % (end, sent), "CON704", today=today)) == count


# ------------------------------------------------------------------------------------------------ CON705, CON706

CONTEXTS = """
context A { private event E  service S { emits E } }
context %s { service T { on E { notifies } } }
"""


def test_private_is_private_to_the_context() -> None:
    assert len(findings(CONTEXTS % "B", "CON705")) == 1
    assert findings(CONTEXTS % "A", "CON705") == []
    assert findings((CONTEXTS % "B").replace("private ", ""), "CON705") == []


def test_the_context_of_a_private_event_may_be_that_of_its_publisher() -> None:
    text = "private event E\ncontext A { service S { emits E } }\ncontext B { service T { on E { notifies } } }"
    assert len(findings(text, "CON705")) == 1


def test_workflows_that_listen_in_are_left_to_another_rule() -> None:
    text = CONTEXTS % "B" + "context B { service U\nworkflow W in U { starts on E  waits 1s } }"
    (found,) = findings(text, "CON705")
    assert len(found.related) == 1


@pytest.mark.parametrize(("size", "limit", "count"), [("1MB", "1MB", 0), ("1025KB", "1MB", 1), ("1MB", "256KB", 1)])
def test_sizes_are_compared_in_bytes(size: str, limit: str, count: int) -> None:
    text = f"channel c {{ max-message {limit} }}\nevent E via c {{ size {size} }}"
    assert len(findings(text, "CON706")) == count


def test_the_queue_of_a_subscription_has_a_limit_too() -> None:
    text = """
    channel c { topic }
    channel q { queue  max-message 1KB }
    event E via c { size 2KB }
    service S { emits E }
    service T { on E via q { notifies } }
    """
    (found,) = findings(text, "CON706")
    assert found.message == "`E` has 2KB, but `q` carries at most 1KB"


# ------------------------------------------------------------------------------------------------ laws


@pytest.mark.parametrize("path", SYSTEMS, ids=lambda path: path.stem)
def test_stricter_profiles_find_the_same_and_more(path: Path) -> None:
    before: dict[tuple[str, str], int] = {}
    for profile in PROFILES:
        result = check(load(str(path), profile=profile), select_rules(select=["CON"], profile=profile))
        found = {(one.code, one.subject): int(one.severity or 0) for one in result.findings}
        assert before.keys() <= found.keys()
        assert all(found[key] >= level for key, level in before.items())
        before = found


@pytest.mark.parametrize("path", SYSTEMS, ids=lambda path: path.stem)
def test_the_order_of_declarations_does_not_matter(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    chunks = re.split(r"\n(?=[a-z]+ )", text)
    backwards = "\n".join(reversed([chunk for chunk in chunks if chunk.strip()]))
    assert sorted(one.message for one in findings(backwards, "CON", profile="strict")) == sorted(
        one.message for one in findings(text, "CON", profile="strict")
    )
