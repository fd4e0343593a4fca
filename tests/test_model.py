"""From syntax to model: names and what is wrong with them, facts, includes, and bodies as control-flow graphs."""

from __future__ import annotations

import math
import os
from collections import Counter
from pathlib import Path
from textwrap import dedent

import pytest

from coordlint import design as design_module
from coordlint.design import Design, load
from coordlint.finding import Finding
from coordlint.source import Source, SourceError
from coordlint.system import Action, Backoff, Compatibility, Guard, Process, System, Workflow
from coordlint.versions import in_range, version_key


def read(text: str) -> Design:
    return load("shop/shop.coord", stdin=Source("shop/shop.coord", dedent(text)))


def clean(text: str) -> System:
    """The model of a design without problems."""
    design = read(text)
    assert [f"{problem.code} {problem.message}" for problem in design.problems] == []
    return design.system


def shown(problem: Finding) -> str:
    """`CODE line:column message | help`, and where else to look."""
    span = problem.primary.span
    text = f"{problem.code} {span.line}:{span.column} {problem.message} | {problem.help}"
    return text + "".join(f" ({label.span.line}:{label.span.column})" for label in problem.related)


def problems(text: str) -> list[str]:
    return [shown(problem) for problem in read(text).problems]


# ------------------------------------------------------------------------------------------------ names

DECLARED = """
broker Kafka
channel orders on Kafka
store OrdersDb
event OrderPlaced via orders
command PlaceOrder
type Money { amount: decimal }
service Billing
flow Checkout { starts with PlaceOrder }
workflow Fulfil in Billing { starts on PlaceOrder  step pack acts "packs" }
"""
LINE = DECLARED.count("\n") + 1


@pytest.mark.parametrize(
    ("text", "column", "message", "meant"),
    [
        ("channel c on Kafak", 14, "there is no broker `Kafak`", "Kafka"),
        ("channel c on Rabbit", 14, "there is no broker `Rabbit`", ""),
        ("event E via order", 13, "there is no channel `order`", "orders"),
        ("channel c { dead-letter ordres after 3 }", 25, "there is no channel `ordres`", "orders"),
        ("service S { on OrderPlaced { dead-letter dlq } }", 42, "there is no channel `dlq`", ""),
        ("service S { on OrderPlaced via ordesr acts \"x\" }", 32, "there is no channel `ordesr`", "orders"),
        ("store T { owner Biling }", 17, "there is no service `Biling`", "Billing"),
        ("workflow W in billing { }", 15, "there is no service `billing`", "Billing"),
        ("flow F { starts with PlaceOrder from Nobody }", 38, "there is no service `Nobody`", ""),
        ("workflow W in Billing { state in OrderDb }", 34, "there is no store `OrderDb`", "OrdersDb"),
        ("service S { on OrderPlaced reads OrdersDB }", 34, "there is no store `OrdersDB`", "OrdersDb"),
        ("service S { on OrderPlaced writes OrdersBd.orders }", 35, "there is no store `OrdersBd`", "OrdersDb"),
        ("service S { on change of Nowhere.x acts \"x\" }", 26, "there is no store `Nowhere`", ""),
        ("service S { uses Kafca }", 18, "there is no store, broker, channel or service `Kafca`", "Kafka"),
        ("monitor M { watches Chekout }", 21, "there is no flow, service, workflow or channel `Chekout`", "Checkout"),
        ("service S { emits OrderPalced }", 19, "there is no message `OrderPalced`", "OrderPlaced"),
        ("service S { emits Nothing }", 19, "there is no message `Nothing`", ""),
        ("service S { on OrderPlacd acts \"x\" }", 16, "there is no message `OrderPlacd`", "OrderPlaced"),
        ("service S { handles PlaceOrdre acts \"x\" }", 21, "there is no message `PlaceOrdre`", "PlaceOrder"),
        ("service S { sends Billing.PlaceOder }", 27, "there is no message `PlaceOder`", "PlaceOrder"),
        ("service S { sends Biling.PlaceOrder }", 19, "there is no service `Biling`", "Billing"),
        ("service S { calls Some.Thing }", 19, "there is no message `Some.Thing`", ""),
        ("service S { emits OrderPlaced or fails Nope }", 40, "there is no message `Nope`", ""),
        ("service S { handles PlaceOrder { compensates PlaceOrdr } }", 46, "there is no message `PlaceOrdr`", "PlaceOrder"),
        ("service S { publishes OrderPlacedd }", 23, "there is no message `OrderPlacedd`", "OrderPlaced"),
        ("service S { consumes OrderPlaced, OrderPaced }", 35, "there is no message `OrderPaced`", "OrderPlaced"),
        ("workflow W in Billing { starts on Plaseorder }", 35, "there is no message `Plaseorder`", "PlaceOrder"),
        ("workflow W in Billing { awaits OrderPaced }", 32, "there is no message `OrderPaced`", "OrderPlaced"),
        ("flow F { succeeds with Fulfill }", 24, "there is no message or workflow `Fulfill`", "Fulfil"),
        ("flow F { fails with OrderPlace }", 21, "there is no message or workflow `OrderPlace`", "OrderPlaced"),
        ("flow F { order OrderPlaced before OrderSent }", 35, "there is no message `OrderSent`", ""),
        ("event E { total: Mony }", 18, "there is no type `Mony`", "Money"),
        ("event E { total: Price[] }", 18, "there is no type `Price`", ""),
        ("type T { total: Moneyy? }", 17, "there is no type `Moneyy`", "Money"),
        ("workflow W in Billing { step pack acts \"x\"  goto pakc }", 50, "there is no step `pakc` in workflow W", "pack"),
        ("workflow W in Billing { step pack acts \"x\"  goto send }", 50, "there is no step `send` in workflow W", ""),
    ],
)  # fmt: skip
def test_a_name_that_nobody_declares(text: str, column: int, message: str, meant: str):
    found = read(DECLARED + text).problems
    assert [problem.code for problem in found] == ["REF001"]
    problem = found[0]
    assert (problem.primary.span.line, problem.primary.span.column) == (LINE, column)
    assert problem.message == message
    assert (f"did you mean `{meant}`?" == problem.help) == bool(meant)
    if meant and "step" not in message:
        assert problem.fix
        assert problem.fix.safe
        edit = problem.fix.edits[0]
        mended = DECLARED + text
        mended = mended[: edit.span.start] + edit.text + mended[edit.span.end :]
        assert read(mended).problems == ()
        assert problem.related[0].span.text == meant


def test_the_meant_name_is_taken_so_that_one_misspelling_costs_one_finding():
    system = read(DECLARED + "service S { emits OrderPlacd  uses Kafkaa }").system
    assert system.services["S"].uses[0].target is system.brokers["Kafka"]
    emit = next(action for action in system.actions if action.kind == "emit")
    assert emit.message is system.messages["OrderPlaced"]


def test_near_misses_are_looked_for_within_reason():
    """Where a file is missing, thousands of names are."""
    count = 3000
    declared = "".join(f"event Declared{number:05}\n" for number in range(count))
    missing = "".join(f"service S{number} {{ emits Missing{number:05} }}\n" for number in range(count))
    design = read(declared + "service First { emits Declared0x007 }\n" + missing)
    assert len(design.problems) == count + 1
    assert design.problems[0].help == "did you mean `Declared00007`?"
    assert design.problems[-1].help == "declare it, or correct the name"


def test_a_phantom_stands_in_for_what_nobody_declares():
    system = read("service S { emits Nothing  uses Nowhere } service T { on Nothing reads Nowhere2.x }").system
    emit = next(action for action in system.actions if action.kind == "emit")
    assert emit.message.phantom
    assert emit.message is system.processes[-1].triggers[0].uses[0].message, "one phantom for one name"
    assert system.services["S"].uses[0].target.phantom
    assert "Nothing" not in system.messages


def test_a_quoted_name_is_mended_with_its_quotes():
    found = read('event "order placed"\nservice S { emits "order place" }').problems
    assert found[0].fix
    assert found[0].fix.edits[0].text == '"order placed"'


def test_the_nearest_name_does_not_depend_on_the_order_of_declarations():
    for text in ("event Order1, Order2", "event Order2, Order1"):
        assert problems(text + "\nservice S { emits Order3 }")[0].endswith("did you mean `Order1`? (1:7)") or (
            "did you mean `Order1`?" in problems(text + "\nservice S { emits Order3 }")[0]
        )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("service A service A", ["REF002 1:19 service `A` is declared twice | rename one of them, or remove it (1:9)"]),
        ("broker A channel A", ["REF002 1:18 channel `A` is declared twice | rename one of them, or remove it (1:8)"]),
        ("channel A store A", ["REF002 1:17 store `A` is declared twice | rename one of them, or remove it (1:9)"]),
        ("event A event A", ["REF002 1:15 message `A` is declared twice | rename one of them, or remove it (1:7)"]),
        ("event A, B, A", ["REF002 1:13 message `A` is declared twice | rename one of them, or remove it (1:7)"]),
        ("event A @2 event A @2", ["REF002 1:18 message `A@2` is declared twice | rename one of them, or remove it (1:7)"]),
        ("event A @1 event A @2 event A", []),
        ("event A command A @2", ["REF002 1:17 `A` is declared as event and as command | give one of them another name (1:7)"]),
        ("type A type A", ["REF002 1:13 type `A` is declared twice | rename one of them, or remove it (1:6)"]),
        ("flow A { } flow A { }", ["REF002 1:17 flow `A` is declared twice | rename one of them, or remove it (1:6)"]),
        ("service S workflow A in S { } workflow A in S { }",
         ["REF002 1:40 workflow `A` is declared twice | rename one of them, or remove it (1:20)"]),
        ("monitor A { } monitor A { }", ["REF002 1:23 monitor `A` is declared twice | rename one of them, or remove it (1:9)"]),
        ("system A system B", ["REF002 1:17 a second `system` is declared | rename one of them, or remove it (1:8)"]),
        ("context A { } context A { }", []),
        ("service A event A workflow A in A { } flow A { } type A monitor A { } channel A", []),
        ("event E { a: int  a: string }", ["REF002 1:19 field `a` is declared twice | remove one of them (1:11)"]),
        ("service S { replicas 2  replicas 2 }",
         ["REF002 1:25 service `S` says `replicas 2` twice | remove one of them (1:13)"]),
        ("service S workflow W in S { step a acts \"x\"  step a acts \"y\" }",
         ["REF002 1:51 workflow W has two steps `a` | rename one of them (1:34)"]),
        ("event A flow F { starts with A  starts with A }",
         ["REF002 1:33 flow `F` says `starts with` twice | join them with `or` or `and` (1:18)"]),
        ("event A flow F { succeeds with A  succeeds with A  fails with A  fails with A }",
         ["REF002 1:35 flow `F` says `succeeds with` twice | join them with `or` or `and` (1:18)",
          "REF002 1:66 flow `F` says `fails with` twice | join them with `or` or `and` (1:52)"]),
        ("command C service S { emits C }",
         ["REF002 1:29 `C` is a command, which nobody `emits` | an event is what has happened: `sends` or `calls` a command (1:9)"]),
        ("command C service S { on C acts \"x\" }",
         ["REF002 1:26 `C` is a command, which nobody `on` | `handles` takes a command (1:9)"]),
        ("event E service S { sends E }",
         ["REF002 1:27 `E` is an event, which nobody `sends` | `emits` publishes an event (1:7)"]),
        ("event E service S { calls E }",
         ["REF002 1:27 `E` is an event, which nobody `calls` | `emits` publishes an event (1:7)"]),
        ("event E service S { handles E acts \"x\" }",
         ["REF002 1:29 `E` is an event, which nobody `handles` | `on` reacts to an event (1:7)"]),
        ("query Q service S { handles Q { calls S.Q } }", []),
        ("command C service S { publishes C }",
         ["REF002 1:33 `C` is a command, which nobody `publishes` | an event is what has happened: `sends` or `calls` a command (1:9)"]),
        ("command C service S { consumes C }", []),
        ("store D channel c on D", ["REF002 1:22 `D` is a store, not a broker | name a broker (1:7)"]),
        ("broker K event E via K", ["REF002 1:22 `K` is a broker, not a channel | name a channel (1:8)"]),
        ("service S store D { owner D }", ["REF002 1:27 `D` is a store, not a service | name a service (1:17)"]),
    ],
)  # fmt: skip
def test_duplicates_and_wrong_kinds(text: str, expected: list[str]):
    assert problems(text) == expected


def test_the_second_of_a_duplicate_is_read_for_its_own_errors():
    text = "service A { replicas 2 } service A { replicas 0  emits Nothing }"
    assert [line.split(" ")[0] for line in problems(text)] == ["REF002", "REF003", "REF001"]
    assert read(text).system.services["A"].fact("replicas").value == 2


def test_a_service_before_the_dot():
    system = clean("""
        command Pay
        service Cards { handles Pay acts "charges" }
        service Cash  { handles Pay acts "takes" }
        service Shop  { sends Cash.Pay }
        store "Orders.Db"
        service Reader { every 1d reads "Orders.Db".lines, "Orders.Db" }
    """)
    send = next(action for action in system.actions if action.kind == "send")
    assert (send.message, send.use.service) == (system.messages["Pay"], system.services["Cash"])
    read_ = next(action for action in system.actions if action.kind == "read")
    assert [entity.text for entity in read_.entities] == ["Orders.Db.lines", "Orders.Db"]


def test_contexts_group_and_add_no_names():
    system = clean("""
        context Sales { team one  service Orders  context Promo { service Coupons } }
        context Sales { tags core  team one  event OrderPlaced }
        service Outside { on OrderPlaced acts "x" }
    """)
    assert {name: service.context for name, service in system.services.items()} == {
        "Coupons": "Promo",
        "Orders": "Sales",
        "Outside": "",
    }
    assert system.messages["OrderPlaced"].context == "Sales"
    assert system.contexts["Sales"].fact("team").value == "one"
    assert system.contexts["Sales"].fact("tags").value == ("core",)


def test_the_model_does_not_depend_on_the_order_of_declarations():
    parts = [part for part in DECLARED.split("\n") if part]
    forwards, backwards = clean("\n".join(parts)), clean("\n".join(reversed(parts)))
    for space in ("services", "messages", "channels", "stores", "brokers", "workflows", "flows", "types"):
        assert list(getattr(forwards, space)) == sorted(getattr(forwards, space))
        assert list(getattr(forwards, space)) == list(getattr(backwards, space))
    assert [process.path for process in forwards.processes] == [process.path for process in backwards.processes]


# ------------------------------------------------------------------------------------------------ versions


@pytest.mark.parametrize(
    ("number", "pin", "inside"),
    [
        ("1", "1", True), ("1.2", "1", True), ("1.2.0", "1.2", True), ("2", "1", False), ("10", "1", False),
        ("1", "1..2", True), ("2.9", "1..2", True), ("3", "1..2", False), ("0.9", "1..2", False), ("2", "1.5..2", True),
        ("1.4", "1.5..2", False), ("7", "2..", True), ("1", "2..", False), ("", "1", False), ("01", "1", True),
        ("1", "1.0", False),
    ],
)  # fmt: skip
def test_ranges(number: str, pin: str, inside: bool):
    assert in_range(number, pin) is inside


def test_versions_sort_by_number():
    numbers = ["1.10", "1.9", "", "2", "10", "1.9.1", "9" * 5000]
    assert sorted(numbers, key=version_key) == ["", "1.9", "1.9.1", "1.10", "2", "10", "9" * 5000]


def test_a_message_has_the_facts_of_its_newest_version():
    system = clean("""
        channel old channel new
        public event A "newest" @1.10 via new { size 2KB  b: int }
        event A "older" @1.9 via old { size 1KB  a: int }
        service S { on A @1..2 acts "x"  on A @1.9 { }  on A { } }
    """)
    message = system.messages["A"]
    assert [version.number for version in message.versions] == ["1.9", "1.10"]
    assert message.fact("size").value == 2048
    assert (message.title, message.visibility) == ("newest", "public")
    assert message.channel is system.channels["new"]
    assert [field.name for field in message.fields] == ["b"]
    assert [use.pin for process in system.processes for use in process.triggers[0].uses] == [None, "1..2", "1.9"]


@pytest.mark.parametrize(
    ("pin", "expected"),
    [
        ("@1", []),
        ("@1..3", []),
        ("@3", ["REF001 1:42 `A` has no version `@3` | declared is `@1`, `@2.5` (1:18)"]),
        ("@3..4", ["REF001 1:42 `A` has no version `@3..4` | declared is `@1`, `@2.5` (1:18)"]),
        ("@2..1", ["REF003 1:42 the version range `2..1` is empty | write `@1..2`"]),
    ],
)
def test_pinned_versions(pin: str, expected: list[str]):
    assert problems(f'event A @1 event A @2.5 service S {{ on   A {pin} acts "x" }}') == expected


# ------------------------------------------------------------------------------------------------ fields


def test_fields():
    system = clean("""
        type Line { sku: string }
        event E {
          a: uuid
          "b c": Line[]? = []
          d: NEW | PAID? = NEW
          e: int = 3
          f: decimal = -1.5e3
          g: text = "x y"
          h: Enum
        }
        type Enum
    """)
    fields = [
        (one.name, one.type, one.array, one.optional, one.default, one.symbols) for one in system.messages["E"].fields
    ]
    assert fields == [
        ("a", "uuid", False, False, None, ()),
        ("b c", "Line", True, True, "[]", ()),
        ("d", "enum", False, True, "NEW", ("NEW", "PAID")),
        ("e", "int", False, False, "3", ()),
        ("f", "decimal", False, False, "-1.5e3", ()),
        ("g", "text", False, False, '"x y"', ()),
        ("h", "Enum", False, False, None, ()),
    ]
    assert [field.name for field in system.types["Line"].fields] == ["sku"]


# ------------------------------------------------------------------------------------------------ impossible values

ABOVE_ZERO = "give a value above zero, or leave it out"


@pytest.mark.parametrize(
    ("text", "message", "help"),
    [
        *((f"service S {{ {line} }}", f"`{line}` cannot be", ABOVE_ZERO)
          for line in ("replicas 0", "zones 0", "capacity 0/s", "mttr 0s", "rto 0m", "retry-budget 0%", "availability 0%")),
        *((f"broker K {{ {line} }}", f"`{line}` cannot be", ABOVE_ZERO)
          for line in ("nodes 0", "replication 0", "min-insync 0", "capacity 0/h")),
        *((f"channel c {{ {line} }}", f"`{line}` cannot be", ABOVE_ZERO)
          for line in ("partitions 0", "retention 0d", "ack-timeout 0s", "dedup 0s", "max-message 0KB")),
        *((f"event E service S {{ on E {{ {line} }} }}", f"`{line}` cannot be", ABOVE_ZERO)
          for line in ("concurrency 0", "takes 0ms", "batch 0", "max-hops 0", "timeout 0s")),
        *((f"service S workflow W in S {{ {line} }}", f"`{line}` cannot be", ABOVE_ZERO)
          for line in ("timeout 0s", "max-inflight 0", "max-depth 0", "capacity 0/s")),
        *((f"flow F {{ {line} }}", f"`{line}` cannot be", ABOVE_ZERO)
          for line in ("within 0s", "rate 0/s", "latency 0s", "availability 0%")),
        ("event E { size 0B }", "`size 0B` cannot be", ABOVE_ZERO),
        ("store D { replicas 0 }", "`replicas 0` cannot be", ABOVE_ZERO),
        ("service S { calls { timeout 0s } }", "`timeout 0s` cannot be", ABOVE_ZERO),
        ("service S { calls { attempts 0 } }", "`0` cannot be here", "give a value above zero"),
        ("service S { calls { deadline 0s } }", "`0s` cannot be here", "give a value above zero"),
        ("channel c { dead-letter c after 0 }", "`0` cannot be here", "give a value above zero"),
        ("event E service S { every 0s emits E }", "`0s` cannot be here", "give a value above zero"),
        ("service S workflow W in S { starts every 0d }", "`0d` cannot be here", "give a value above zero"),
        ("service S workflow W in S { waits 0s }", "`0s` cannot be here", "give a value above zero"),
        ("command C service S { sends C after 0s }", "`0s` cannot be here", "give a value above zero"),
        ("event E service S workflow W in S { awaits E within 0s }", "`0s` cannot be here", "give a value above zero"),
        ("service S workflow W in S { awaits { within 0s { } } }", "`0s` cannot be here", "give a value above zero"),
        ("event A, B service S { on A and B within 0m acts \"x\" }", "`0m` cannot be here", "give a value above zero"),
        ("service S workflow W in S { repeat up to 0 { } }", "`0` cannot be here", "give a value above zero"),
        ("service S workflow W in S { for each x in parallel 0 { } }", "`0` cannot be here", "give a value above zero"),
        ("service S { availability 101% }", "`availability 101%` is above 100%", "give a percentage such as `99.9%`"),
        ("flow F { availability 100.1% }", "`availability 100.1%` is above 100%", "give a percentage such as `99.9%`"),
        ("flow F { availability 100% }", "flow `F` promises to be available 100% of the time",
         "promise what can be kept, such as `99.9%`"),
        ("event A service S { emits A or 101% fails }", "a chance of 101% is above 100%", "give at most 100% in all"),
        ("event A service S { 60% emits A or 50% fails }", "the chances add up to 110%",
         "exactly one outcome happens: give at most 100% in all"),
        ("event A service S { every 1d either 60% { emits A } or 40.5% { } }", "the chances add up to 100.5%",
         "exactly one outcome happens: give at most 100% in all"),
        ("service S { calls { backoff 2s up to 1s } }", "backoff begins at 2s and is capped below that", "raise the cap"),
        ("service S { calls { backoff 2s x0.5 } }", "a backoff factor of 0.5 makes each wait shorter",
         "give a factor of 1 or more"),
        ('service ""', "a service has an empty name", "write a name between the quotes"),
        ('event A, " "', "a message has an empty name", "write a name between the quotes"),
        ("event E { deprecated until 2027-02-30 }", "`2027-02-30` is no day of the calendar", "correct the date"),
        ("event E { migrating until 2027-13-01 }", "`2027-13-01` is no day of the calendar", "correct the date"),
        ("broker K { replication 2 min-insync 3 }", "broker `K` has `min-insync 3` but only `replication 2`",
         "ask for at most as many in-sync replicas as there are copies"),
        ("broker K { nodes 2 replication 3 }", "broker `K` has `replication 3` but only `nodes 2`",
         "a copy needs a node of its own"),
        ("service S { zones 3 replicas 2 }", "service `S` has `zones 3` but only `replicas 2`", "a replica stands in one zone"),
        ("service S { calls { attempts 3 retries 2 } }",
         "`calls` of service `S` has both `attempts 3` (in total) and `retries 2` (beyond the first)",
         "keep one of them; `retries 2` is `attempts 3`"),
        ("service S { replicas 2 replicas 3 }", "service `S` says both `replicas 2` and `replicas 3`", "keep the one that is true"),
        ("service S { outbox no outbox }", "service `S` says both `outbox` and `no outbox`", "keep the one that is true"),
        ("channel c { topic queue }", "channel `c` says both `topic` and `queue`", "keep the one that is true"),
        ("channel c { ordered unordered }", "channel `c` says both `ordered` and `unordered`", "keep the one that is true"),
        ("service S workflow W in S { timeout 5s no timeout }", "workflow `W` says both `timeout 5s` and `no timeout`",
         "keep the one that is true"),
        ("event E service S { on E { idempotent by a  not idempotent } }",
         "`on E` of service `S` says both `idempotent by a` and `not idempotent`", "keep the one that is true"),
        ("service S { replicas 99999999999999999999 }", "`replicas 99999999999999999999` is more than any system has",
         "correct the number"),
        ("service S { mttr " + "9" * 400 + "s }", "`mttr " + "9" * 37 + "…` is more than any system has", "correct the number"),
        ("service S { calls { attempts " + "9" * 400 + " } }", "`" + "9" * 37 + "…` is more than any system has",
         "correct the number"),
        ("service S { calls { backoff 1s x" + "9" * 20 + " } }", "`x" + "9" * 20 + "` is more than any system has",
         "correct the number"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be(text: str, message: str, help: str):
    found = read(text).problems
    assert [(problem.code, problem.message, problem.help) for problem in found] == [("REF003", message, help)]


@pytest.mark.parametrize(
    "text",
    [
        "event A service S { emits A or 0% fails }",
        "event A, B service S { 33.3% emits A or 33.3% emits B or 33.4% fails }",
        "service S { calls { retries 0  backoff 0s } }",
        "service S { availability 100%  retry-budget 200% }",
        "broker K { nodes 3 replication 3 min-insync 3 }",
        "service S { calls { no retries  attempts 1 } }",
        'service S { note "a" note "b" tags a tags b link "x" link "y" }',
        "event E { deprecated until 2028-02-29 }",
    ],
)
def test_a_value_that_may_be(text: str):
    assert problems(text) == []


def test_an_impossible_value_is_no_fact():
    """Nothing is computed with it, and nothing else is found fault with because of it."""
    system = read(
        "service S { replicas 0  zones 3  availability 120%  calls { attempts 0  retries 1  timeout 2s } }"
    ).system
    service = system.services["S"]
    assert service.fact("replicas").unknown
    assert service.fact("availability").unknown
    assert service.fact("zones").value == 3
    assert set(service.calls) == {"retries", "timeout"}


# ------------------------------------------------------------------------------------------------ facts

FACTS = {
    "broker K {{ {} }}": {
        "nodes 3": ("nodes", 3), "replication 2": ("replication", 2), "min-insync 2": ("min_insync", 2),
        "quorum": ("quorum", True), "availability 99.95%": ("availability", 0.9995), "capacity 120/m": ("capacity", 2),
    },
    "channel c {{ {} }}": {
        "topic": ("kind", "topic"), "queue": ("kind", "queue"), "partitions 12": ("partitions", 12),
        "ordered": ("ordering", "total"), "ordered by a, b": ("ordering", ("a", "b")), "unordered": ("ordering", None),
        "delivery at-least-once": ("delivery", "at-least-once"), "retention 7d": ("retention", 604800),
        "no dead-letter": ("dead_letter", None), "no dead-letter \"x\"": ("dead_letter", "x"),
        "ack-timeout 30s": ("ack_timeout", 30), "dedup 5m": ("dedup", 300), "max-message 1MB": ("max_message", 1048576),
        "redrive": ("redrive", True), "in-memory": ("in_memory", True), "archive": ("archive", True),
    },
    "store D {{ {} }}": {
        "replicas 2": ("replicas", 2), "failover manual": ("failover", "manual"), "in-memory": ("in_memory", True),
    },
    "event E {{ {} }}": {
        "key a, b": ("key", ("a", "b")), "compatible full transitive": ("compatible", Compatibility("full", True)),
        "compatible none": ("compatible", Compatibility("none", False)), "deprecated": ("deprecated", True),
        "deprecated until 2027-01-31": ("deprecated", "2027-01-31"), "migrating until 2027-01-31": ("migrating", "2027-01-31"),
        "size 40KB": ("size", 40960), "provisional": ("provisional", True), "terminal": ("terminal", True),
        "technical": ("technical", True), "scatter": ("scatter", True), "note \"x\"": ("note", "x"),
        "note \"\"\"x\n y\"\"\"": ("note", "x\n y"), "tags a, \"b c\"": ("tags", ("a", "b c")), "team t": ("team", "t"),
        "link \"https://x\"": ("link", "https://x"),
    },
    "service S {{ {} }}": {
        "replicas 3": ("replicas", 3), "zones 2": ("zones", 2), "mttr 10m": ("mttr", 600), "rto 1h": ("rto", 3600),
        "retry-budget 10%": ("retry_budget", 0.1), "outbox": ("outbox", True), "no outbox": ("outbox", None),
        "no outbox \"why\"": ("outbox", "why"),
    },
    "service S workflow W in S {{ {} }}": {
        "idempotent": ("idempotent", ()), "idempotent by a": ("idempotent", ("a",)), "not idempotent": ("idempotent", None),
        "state memory": ("state", "memory"), "timeout 1.5h": ("timeout", 5400), "no timeout \"x\"": ("timeout", "x"),
        "capacity 1/d": ("capacity", 1 / 86400), "max-inflight 500": ("max_inflight", 500), "max-depth 5": ("max_depth", 5),
        "recovery forward": ("recovery", "forward"), "on unexpected park": ("on_unexpected", "park"),
        "on failure { }": ("on_failure", True), "on timeout { }": ("on_timeout", True),
    },
    "event E channel d service S {{ on E {{ {} }} }}": {
        "re-emits": ("re_emits", True), "ordered by a": ("ordered_by", ("a",)), "resequences": ("resequences", True),
        "fences": ("fences", True), "concurrency 4": ("concurrency", 4), "takes 50ms": ("takes", 0.05),
        "batch 10": ("batch", 10), "attempts 5": ("attempts", 5), "timeout 2s": ("timeout", 2), "no timeout": ("timeout", None),
        "no dead-letter": ("dead_letter", None), "when \"a\"": ("when", Guard("a", None)),
        "when \"a\" until \"b\"": ("when", Guard("a", "b")), "max-hops 8": ("max_hops", 8), "if-changed": ("if_changed", True),
        "projection": ("projection", True), "notifies": ("notifies", True), "uses-fields a, b": ("uses_fields", ("a", "b")),
        "on unexpected fail": ("on_unexpected", "fail"), "no outbox": ("outbox", None),
    },
    "flow F {{ {} }}": {
        "style hybrid": ("style", "hybrid"), "criticality low": ("criticality", "low"), "within 24h": ("within", 86400),
        "no within": ("within", None), "rate 50/s": ("rate", 50), "availability 99%": ("availability", 0.99),
        "latency 250ms": ("latency", 0.25), "visibility required": ("visibility", True),
    },
    "service S {{ calls {{ {} }} }}": {
        "timeout 2s": ("timeout", 2), "attempts 3": ("attempts", 3), "attempts unlimited": ("attempts", math.inf),
        "retries 0": ("retries", 0), "backoff 200ms": ("backoff", Backoff(0.2, 1.0, None, False)),
        "backoff 1s x1.5 up to 5m jitter": ("backoff", Backoff(1, 1.5, 300, True)), "deadline 3s": ("deadline", 3),
        "deadline propagate": ("deadline", "propagate"), "breaker": ("breaker", True), "optional": ("optional", True),
        "fallback { }": ("fallback", True), "compensate { }": ("compensate", True), "pivot": ("pivot", True),
        "retriable": ("retriable", True), "irreversible": ("irreversible", True), "isolation reread": ("isolation", "reread"),
        "no timeout": ("timeout", None), "no retries": ("retries", None), "no backoff": ("backoff", None),
        "no breaker \"x\"": ("breaker", "x"), "no fallback": ("fallback", None), "no compensation": ("compensate", None),
    },
}  # fmt: skip
CASES = [(place, line, name, value) for place, lines in FACTS.items() for line, (name, value) in lines.items()]


@pytest.mark.parametrize(("place", "line", "name", "value"), CASES, ids=lambda case: str(case)[:40])
def test_facts_are_declared_absent_or_unknown(place: str, line: str, name: str, value: object):
    def fact_in(text: str):
        system = clean(text)
        if "calls {" in place:
            return system.services["S"].calls.get(name)
        if " on E " in place:
            return system.processes[0].facts.get(name)
        for space in (system.workflows, system.services, system.brokers, system.channels, system.stores, system.flows):
            if space:
                return next(iter(space.values())).facts.get(name)
        return system.messages["E"].facts.get(name)

    assert fact_in(place.format("")) is None
    fact = fact_in(place.format(line))
    assert fact is not None
    absent = line.startswith(("no ", "not ", "unordered"))
    assert (fact.declared, fact.absent, fact.unknown) == (not absent, absent, False)
    if absent:
        assert (fact.value, fact.why) == (None, value or "")
    else:
        assert fact.value == (pytest.approx(value) if isinstance(value, float) else value)
        assert (
            type(fact.value) is not float or not isinstance(value, int) or name not in {"nodes", "replicas", "attempts"}
        )
    assert fact.text.split() == line.split("{")[0].split() or fact.text == " ".join(line.split())


def test_facts_that_name_something():
    system = clean("""
        channel dlq channel c { dead-letter dlq after 5 by a }
        store D { owner S } service S command X, Y
        workflow W in S { state in D }
        service T { handles Y { compensates X  dead-letter dlq } }
    """)
    letter = system.channels["c"].fact("dead_letter").value
    assert (letter.channel, letter.after, letter.by) == (system.channels["dlq"], 5, ("a",))
    assert system.stores["D"].fact("owner").value is system.services["S"]
    assert system.workflows["W"].fact("state").value is system.stores["D"]
    handler = next(process for process in system.processes if process.kind == "handler")
    assert handler.fact("compensates").value.message is system.messages["X"]
    assert handler.fact("dead_letter").value.channel is system.channels["dlq"]


def test_a_fact_is_taken_from_the_nearest_place():
    system = clean("""
        command A, B, C
        service S {
          outbox
          calls { timeout 9s  no retries }
          handles A { calls B { timeout 1s }  calls C }
          handles B { no outbox  acts "x" }
        }
        workflow W in S {
          step one { timeout 5s  attempts 2  calls B { timeout 1s }  calls C }
          step two calls A { pivot }
        }
    """)
    calls = {(action.process.name, action.message.name): action for action in system.actions if action.kind == "call"}

    def timeout(process: str, message: str) -> tuple[float, str]:
        action = calls[process, message]
        return action.fact("timeout").value, action.own_fact("timeout").state

    assert timeout("handles A", "B") == (1, "declared")
    assert timeout("handles A", "C") == (9, "unknown")
    assert timeout("workflow W", "B") == (1, "declared")
    assert timeout("workflow W", "C") == (5, "unknown")
    assert timeout("workflow W", "A") == (9, "unknown")
    assert calls["workflow W", "B"].fact("attempts").value == 2
    assert calls["workflow W", "B"].fact("retries").absent
    assert calls["workflow W", "B"].fact("breaker").unknown
    handlers = {process.name: process for process in system.processes}
    assert handlers["handles A"].fact("outbox").declared
    assert handlers["handles B"].fact("outbox").absent
    assert handlers["handles A"].fact("idempotent").unknown
    steps = {step.name: step for step in handlers["workflow W"].steps}
    assert steps["one"].fact("attempts", system).value == 2
    assert steps["two"].fact("pivot", system).declared, "said on the step's call"
    assert steps["one"].fact("pivot", system).unknown


# ------------------------------------------------------------------------------------------------ flows, monitors, services


def test_flows():
    system = clean("""
        command Start event Done, Gone, Lost
        external service Shopper { sends Start }
        service S { handles Start emits Done }
        workflow W in S { awaits Done }
        flow F { starts with Start or W from Shopper  succeeds with Done or W  fails with Gone and Lost  order Start before Done }
        flow G { starts with W  succeeds with W }
    """)
    flow = system.flows["F"]
    workflow = system.workflows["W"]

    def names(targets) -> list[str]:
        return [target.name if isinstance(target, Workflow) else target.message.name for target in targets]

    assert names(flow.starts) == ["Start", "W"]
    assert flow.source is system.services["Shopper"]
    assert flow.success
    assert flow.failure
    assert (flow.success.mode, names(flow.success.targets)) == ("any", ["Done", "W"])
    assert (flow.failure.mode, names(flow.failure.targets)) == ("all", ["Gone", "Lost"])
    assert [(order.first.message.name, order.then.message.name) for order in flow.orders] == [("Start", "Done")]
    assert system.flows["G"].starts == (workflow,)


def test_monitors_and_services():
    system = clean("""
        broker K channel c on K store D event E, F
        service S { uses D, K, c, T } external service T { publishes E  consumes F }
        flow Fl { starts with E } workflow W in S { }
        monitor M { watches Fl, S, c, W  uses D }
    """)
    assert [use.target.name for use in system.services["S"].uses] == ["D", "K", "c", "T"]
    assert system.services["T"].external
    assert system.channels["c"].broker is system.brokers["K"]
    assert [one.name for one in system.monitors["M"].watches] == ["Fl", "S", "c", "W"]
    assert [use.target.name for use in system.monitors["M"].uses] == ["D"]
    contracts = {process.name: process for process in system.processes if process.contract}
    assert set(contracts) == {"publishes E", "consumes F"}
    assert contracts["publishes E"].triggers[0].kind == "entry"
    assert contracts["consumes F"].triggers[0].kind == "event"


# ------------------------------------------------------------------------------------------------ includes


@pytest.fixture
def project(tmp_path: Path, monkeypatch):
    """Write files and load the first of them; paths are shown relative to the folder."""

    def load_files(**files: str) -> Design:
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/").replace("up/", "../")
            path = path.with_suffix(".coord") if not path.suffix else path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text), encoding="utf-8")
        monkeypatch.chdir(tmp_path)
        return load(f"{next(iter(files))}.coord")

    return load_files


def located(design: Design) -> list[str]:
    return [f"{problem.primary.span.source.path} {shown(problem)}" for problem in design.problems]


def test_a_plain_include_joins_the_files(project):
    design = project(
        root='include "more/events.coord"\nservice S { emits OrderPlaced  emits Nope }',
        more__events='include "types.coord"\nevent OrderPlaced { total: Money  price: Monney }',
        more__types="type Money",
    )
    assert located(design) == [
        "more/events.coord REF001 2:42 there is no type `Monney` | did you mean `Money`? (1:6)",
        "root.coord REF001 2:38 there is no message `Nope` | declare it, or correct the name",
    ]
    related = design.problems[0].related[0].span
    assert related.source.path == os.path.join("more", "types.coord")
    assert [os.path.basename(source.path) for source in design.sources] == ["root.coord", "events.coord", "types.coord"]


def test_a_prefixed_include(project):
    design = project(
        root="""
            include "stock.coord" as Stock
            event Counted
            service S { on Stock.Counted emits Counted  sends Stock.Inventory.Reserve  uses Stock.Db  on Stock.Items.Moved { } }
        """,
        stock="""
            include "items.coord" as Items
            event Counted
            command Reserve
            store Db
            service Inventory { handles Reserve { writes Db.stock  emits Counted }  on Items.Moved { } }
        """,
        items="event Moved",
    )
    assert located(design) == []
    system = design.system
    assert set(system.messages) == {"Counted", "Stock.Counted", "Stock.Reserve", "Stock.Items.Moved"}
    assert set(system.services) == {"S", "Stock.Inventory"}
    emitted = {action.process.service.name: action.message.name for action in system.actions if action.kind == "emit"}
    assert emitted == {"S": "Counted", "Stock.Inventory": "Stock.Counted"}
    send = next(action for action in system.actions if action.kind == "send")
    assert (send.message.name, send.use.service) == ("Stock.Reserve", system.services["Stock.Inventory"])


def test_the_same_file_under_two_prefixes_is_two_parts(project):
    design = project(root='include "a.coord" as X\ninclude "a.coord" as Y\ninclude "a.coord"', a="event E")
    assert located(design) == []
    assert set(design.system.messages) == {"X.E", "Y.E", "E"}


def test_a_prefix_may_not_be_a_service_or_store(project):
    design = project(root='include "a.coord" as Stock\nservice Stock', a="event E")
    assert located(design) == [
        "root.coord REF002 2:9 the prefix `Stock` of an include is also the name of a service or store"
        " | give the include another prefix"
    ]


def test_a_misspelt_name_in_a_prefixed_file_has_its_near_miss(project):
    design = project(root='include "stock.coord" as Stock', stock="event Reserved\nservice S { emits Reservd }")
    assert located(design) == ["stock.coord REF001 2:19 there is no message `Reservd` | did you mean `Reserved`? (1:7)"]
    assert design.problems[0].fix
    assert design.problems[0].fix.edits[0].text == "Reserved"


def test_a_diamond_is_read_once(project):
    design = project(
        root='include "a.coord"\ninclude "b.coord"',
        a='include "shared.coord"\nservice A { emits E }',
        b='include "./x/../shared.coord"\nservice B { on E { } }',
        shared="event E",
    )
    assert located(design) == []
    assert len(design.sources) == 4


def test_a_circle_is_a_finding_and_the_rest_is_read(project):
    design = project(
        root='include "a.coord"\nevent R', a='include "b.coord"\nevent A', b='include "root.coord"\nevent B'
    )
    assert located(design) == [
        "b.coord SYN002 1:9 `root.coord` includes `a.coord` includes `b.coord` includes `root.coord`:"
        " the includes go in a circle | remove one of these includes"
    ]
    assert set(design.system.messages) == {"A", "B", "R"}
    design = project(root='include "root.coord" as Me')
    assert [problem.message for problem in design.problems] == [
        "`root.coord` includes `root.coord`: the includes go in a circle"
    ]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing.coord", "cannot read `missing.coord`: no such file or directory"),
        ("sub", "`sub` is not a `.coord` design"),
        ("notes.txt", "`notes.txt` is not a `.coord` design"),
        ("../outside.coord", "`../outside.coord` lies outside the project"),
        ("sub/../../outside.coord", "`sub/../../outside.coord` lies outside the project"),
        ("link.coord", "`link.coord` lies outside the project"),
        ("folder.coord", "cannot read `folder.coord`: it is a folder"),
    ],
)
def test_an_include_that_cannot_be_followed(tmp_path: Path, path: str, message: str):
    inside = tmp_path / "inside"
    (inside / "sub").mkdir(parents=True)
    (inside / "folder.coord").mkdir()
    (inside / "notes.txt").write_text("event E")
    (tmp_path / "outside.coord").write_text("event E")
    (inside / "link.coord").symlink_to(tmp_path / "outside.coord")
    (inside / "root.coord").write_text(f'event A\ncontext C {{ include "{path}" }}')
    design = load(str(inside / "root.coord"))
    shown = [(problem.code, problem.primary.span.line, problem.message) for problem in design.problems]
    expected = message.replace("`missing.coord`", f"`{inside / 'missing.coord'}`")
    expected = expected.replace("`folder.coord`", f"`{inside / 'folder.coord'}`")
    assert shown == [("SYN002", 2, expected)]
    assert set(design.system.messages) == {"A"}


def test_odd_paths_are_outside_the_project():
    for path in ("/etc/passwd", "a\\0b.coord"):
        text = f'include "{path}"'.replace("\\0", "\0")
        assert [problem.code for problem in read(text).problems if problem.code != "SYN001"] == ["SYN002"]


def test_the_root_of_the_project_may_lie_above(tmp_path: Path):
    (tmp_path / "shared.coord").write_text("event E")
    (tmp_path / "team").mkdir()
    (tmp_path / "team" / "root.coord").write_text('include "../shared.coord"\nservice S { emits E }')
    assert [problem.code for problem in load(str(tmp_path / "team" / "root.coord")).problems] == ["SYN002", "REF001"]
    assert load(str(tmp_path / "team" / "root.coord"), root=str(tmp_path)).problems == ()


def test_a_root_that_cannot_be_read_raises(tmp_path: Path):
    with pytest.raises(SourceError, match="no such file"):
        load(str(tmp_path / "missing.coord"))


def test_syntax_errors_of_an_included_file_are_its_own(project):
    design = project(root='include "a.coord"\nservice S { on E { } }', a="event E\nservice T { replicas x }")
    assert located(design) == ["a.coord SYN001 2:22 expected a count such as `3` after `replicas`, found `x` | "]


def test_includes_may_be_many_and_deep(tmp_path: Path, monkeypatch):
    for number in range(2000):
        (tmp_path / f"f{number}.coord").write_text(f'include "f{number + 1}.coord"\nevent E{number}')
    (tmp_path / "f2000.coord").write_text("event Last")
    found = load(str(tmp_path / "f0.coord"))
    assert [shown(problem) for problem in found.problems] == [
        "SYN002 1:9 `f101.coord` is not read, the includes nest 100 files deep | include fewer files"
    ]
    # Two prefixes each time would be a billion files.
    monkeypatch.setattr(design_module, "MAX_FILES", 300)
    for number in range(30):
        (tmp_path / f"g{number}.coord").write_text(
            f'include "g{number + 1}.coord" as A include "g{number + 1}.coord" as B'
        )
    (tmp_path / "g30.coord").write_text("event Last")
    found = load(str(tmp_path / "g0.coord"))
    assert {problem.message.partition(", ")[2] for problem in found.problems} == {
        "the includes are more than 300 files"
    }


# ------------------------------------------------------------------------------------------------ triggers and processes


def test_triggers():
    system = clean("""
        command C, D event A, B channel q store St
        service S {
          handles C or D { }
          on A { }
          on A or B via q { }
          on A and B within 10m by x, y via q { }
          on change of St { }
          on change of St.rows { }
          every 1h { }
        }
        workflow W in S { starts on A and C within 5m by z  starts on B  starts every 1d }
        workflow V in S { }
    """)
    found = {
        (process.name, trigger.kind, tuple(use.message.name for use in trigger.uses), trigger.mode, trigger.within.value,
         trigger.by, trigger.via.name if trigger.via else None, trigger.entity.text if trigger.entity else None, trigger.every)
        for process in system.processes
        for trigger in process.triggers
    }  # fmt: skip
    assert found == {
        ("handles C or D", "command", ("C", "D"), "any", None, (), None, None, None),
        ("on A", "event", ("A",), "any", None, (), None, None, None),
        ("on A or B", "event", ("A", "B"), "any", None, (), "q", None, None),
        ("on A and B", "event", ("A", "B"), "all", 600, ("x", "y"), "q", None, None),
        ("on change of St", "change", (), "any", None, (), None, "St", None),
        ("on change of St.rows", "change", (), "any", None, (), None, "St.rows", None),
        ("every 1h", "timer", (), "any", None, (), None, None, 3600),
        ("workflow W", "start", ("A", "C"), "all", 300, ("z",), None, None, None),
        ("workflow W", "start", ("B",), "any", None, (), None, None, None),
        ("workflow W", "timer", (), "any", None, (), None, None, 86400),
    }
    assert system.workflows["V"].process.triggers == ()
    assert system.workflows["V"].process.kind == "workflow"


def test_processes_have_paths_of_their_own():
    system = clean("""
        event A, B command C
        service S { on A emits B  on A emits B  sends S.C  sends S.C  handles C { } }
        workflow W in S { }
    """)
    paths = [process.path for process in system.processes]
    assert sorted(paths) == [
        "service S / handles C",
        "service S / on A",
        "service S / on A #2",
        "service S / sends S.C",
        "service S / sends S.C #2",
        "workflow W",
    ]
    assert Counter(process.kind for process in system.processes) == {"handler": 3, "own": 2, "workflow": 1}


# ------------------------------------------------------------------------------------------------ control flow

NAMES = """
command Do, P, Q, R, UndoP, UndoQ, UndoR
event A, B, C, E, F
store D
service S
service T {
  handles P succeeds
  handles Q succeeds
  handles R succeeds
  handles UndoP succeeds
  handles UndoQ succeeds
  handles UndoR succeeds
}
"""


def label(system: System, action: Action) -> str:
    words = {
        "emit": "emit", "call": "", "send": "send", "await": "await", "read": "read", "write": "write", "act": "act",
        "timer": "timer", "choice": "choice", "fork": "fork", "join": "join", "loop": "loop",
    }  # fmt: skip
    word = words.get(action.kind, action.kind)
    about = [use.message.name for use in action.uses] or [entity.text for entity in action.entities] or [action.text]
    if action.kind == "timer" and action.delay is not None:
        about = [f"{action.delay:g}s"]
    return " ".join(part for part in (word, *about) if part)


def graph(text: str, *, strip: bool = True) -> tuple[System, Process, dict[int, str]]:
    """The process of workflow W (or of the handler of Do in S), and labels for its actions, numbered where they are equal."""
    if "workflow" in text or "service" in text:
        system = clean(NAMES + text)
    else:
        system = clean(NAMES + f"workflow W in S {{ {text} }}")
    process = system.workflows["W"].process if system.workflows else next(
        process for process in system.processes if process.service.name == "S"
    )  # fmt: skip
    labels: dict[int, str] = {}
    seen: Counter[str] = Counter()
    for action in system.actions_of(process):
        base = label(system, action)
        seen[base] += 1
        labels[action.id] = base if seen[base] == 1 else f"{base} {seen[base]}"
    return system, process, labels


def edges(text: str) -> set[str]:
    """`call -ok-> end`; a plain arrow is `next`."""
    system, process, labels = graph(text)
    found = set()
    for action in system.actions_of(process):
        for edge in action.edges:
            kind = "" if edge.kind == "next" else edge.kind
            chance = f" {edge.chance:.0%}" if edge.chance is not None else ""
            arrow = f"-{kind}{chance}->" if kind or chance else "->"
            found.add(f"{labels[action.id]} {arrow} {labels[edge.target]}")
    return found


def lines(text: str) -> set[str]:
    return {line.strip() for line in text.strip().split("\n") if line.strip()}


CONTROL_FLOW = {
    "nothing": ("", "start -> end"),
    "emits": ("emits A, B", "start -> emit A\nemit A -> emit B\nemit B -> end"),
    "alternatives": (
        "emits A or emits B or succeeds or fails",
        """
        start -> choice
        choice -branch-> emit A
        choice -branch-> emit B
        choice -branch-> succeed
        choice -branch-> fail
        emit A -> end
        emit B -> end
        succeed -> end
        fail -failure-> failed
        """,
    ),
    "alternatives, short": (
        "emits A, B or C",
        """
        start -> choice
        choice -branch-> emit A
        emit A -> emit B
        emit B -> end
        choice -branch-> emit C
        emit C -> end
        """,
    ),
    "chances": (
        "90% emits A or 5% B or 5% fails",
        """
        start -> choice
        choice -branch 90%-> emit A
        choice -branch 5%-> emit B
        choice -branch 5%-> fail
        emit A -> end
        emit B -> end
        fail -failure-> failed
        """,
    ),
    "fails with an event": (
        "fails A",
        "start -> emit A\nemit A -> fail\nfail -failure-> failed",
    ),
    "fails for a reason": ('fails "no"', "start -> fail no\nfail no -failure-> failed"),
    "what follows a failure is never reached": (
        "fails emits A",
        "start -> fail\nfail -failure-> failed\nemit A -> end",
    ),
    "sends": ("sends T.P sends T.Q after 2s", "start -> send P\nsend P -> send Q\nsend Q -> end"),
    "calls": ("calls T.P", "start -> P\nP -ok-> end\nP -failure-> failed"),
    "a call with a timeout": (
        "calls T.P { timeout 2s }",
        "start -> P\nP -ok-> end\nP -failure-> failed\nP -timeout-> failed",
    ),
    "on failure of a call": (
        "calls T.P { timeout 2s  on failure { emits A } }",
        "start -> P\nP -ok-> end\nP -failure-> emit A\nP -timeout-> emit A\nemit A -> end",
    ),
    "on failure that fails": (
        "calls T.P { on failure { emits A  fails } }",
        "start -> P\nP -ok-> end\nP -failure-> emit A\nemit A -> fail\nfail -failure-> failed",
    ),
    "on timeout of a call": (
        "calls T.P { timeout 2s  on timeout { emits A } }",
        "start -> P\nP -ok-> end\nP -failure-> failed\nP -timeout-> emit A\nemit A -> end",
    ),
    "on failure and on timeout": (
        "calls T.P { timeout 2s  on failure { emits A }  on timeout { emits B } }",
        "start -> P\nP -ok-> end\nP -failure-> emit A\nP -timeout-> emit B\nemit A -> end\nemit B -> end",
    ),
    "fallback": (
        "calls T.P { timeout 2s  fallback { reads D.x } } emits A",
        "start -> P\nP -ok-> emit A\nP -failure-> read D.x\nP -timeout-> read D.x\nread D.x -> emit A\nemit A -> end",
    ),
    "optional": (
        "calls T.P { timeout 2s  optional } emits A",
        "start -> P\nP -ok-> emit A\nP -failure-> emit A\nP -timeout-> emit A\nemit A -> end",
    ),
    "an empty block is an answer": (
        "calls T.P { on failure { } } emits A",
        "start -> P\nP -ok-> emit A\nP -failure-> choice\nchoice -> emit A\nemit A -> end",
    ),
    "awaits": ("awaits E", "start -> await E\nawait E -> end"),
    "awaits one of several": ("awaits E or F", "start -> await E F\nawait E F -> end"),
    "awaits within": (
        "awaits E within 9s",
        """
        start -> choice
        choice -branch-> await E
        choice -branch-> timer 9s
        await E -> end
        timer 9s -timeout-> failed
        """,
    ),
    "awaits with arms": (
        "awaits by x { on E { emits A }  on F or C { }  within 9s { emits B } }",
        """
        start -> choice
        choice -branch-> await E
        await E -> emit A
        emit A -> end
        choice -branch-> await F C
        await F C -> end
        choice -branch-> timer 9s
        timer 9s -> emit B
        emit B -> end
        """,
    ),
    "an arm that fails": (
        "awaits { on E { }  on F { fails } } emits A",
        """
        start -> choice
        choice -branch-> await E
        await E -> emit A
        emit A -> end
        choice -branch-> await F
        await F -> fail
        fail -failure-> failed
        """,
    ),
    "waits": ("waits 14d", "start -> timer 1.2096e+06s\ntimer 1.2096e+06s -> end"),
    "reads, writes, acts": (
        'reads D  writes D.x, D.y  acts "waves"',
        "start -> read D\nread D -> write D.x D.y\nwrite D.x D.y -> act waves\nact waves -> end",
    ),
    "a step of one statement": ("step a emits A", "start -> emit A\nemit A -> end"),
    "a step of several": ("step a { emits A  emits B }", "start -> emit A\nemit A -> emit B\nemit B -> end"),
    "a step of none": ("step a { }", "start -> choice\nchoice -> end"),
    "on failure of a step": (
        "step a { on failure { emits A }  calls T.P  calls T.Q }",
        """
        start -> P
        P -ok-> Q
        P -failure-> emit A
        Q -ok-> end
        Q -failure-> emit A
        emit A -> end
        """,
    ),
    "a call's own block comes before that of its step": (
        "step a { on failure { emits A }  calls T.P { on failure { emits B } }  calls T.Q }",
        """
        start -> P
        P -ok-> Q
        P -failure-> emit B
        emit B -> Q
        Q -ok-> end
        Q -failure-> emit A
        emit A -> end
        """,
    ),
    "on timeout of a step": (
        "step a { timeout 9s  on timeout { emits A }  sends T.P  awaits E }",
        """
        start -> send P
        send P -> choice
        choice -branch-> await E
        await E -> end
        choice -branch-> timer 9s
        timer 9s -timeout-> emit A
        emit A -> end
        """,
    ),
    "parallel": (
        "parallel { emits A  calls T.P  branch both { emits B  emits C } }",
        """
        start -> fork
        fork -branch-> emit A
        fork -branch-> P
        fork -branch-> emit B
        P -failure-> failed
        emit B -> emit C
        emit A -> join
        P -ok-> join
        emit C -> join
        join -> end
        """,
    ),
    "a branch arrives at its join by one edge": (
        "parallel { emits A  emits B or C }",
        """
        start -> fork
        fork -branch-> emit A
        fork -branch-> choice
        choice -branch-> emit B
        choice -branch-> emit C
        emit B -> choice 2
        emit C -> choice 2
        choice 2 -> join
        emit A -> join
        join -> end
        """,
    ),
    "either": (
        'either 90% "good" { emits A } or { emits B  emits C } or "nothing" { }',
        """
        start -> choice
        choice -branch 90%-> emit A
        choice -branch-> emit B
        emit B -> emit C
        emit A -> end
        emit C -> end
        choice -branch-> end
        """,
    ),
    "a branch of an either that fails": (
        "either { emits A } or { fails } emits B",
        """
        start -> choice
        choice -branch-> emit A
        choice -branch-> fail
        fail -failure-> failed
        emit A -> emit B
        emit B -> end
        """,
    ),
    "repeat": (
        "repeat up to 3 { emits A } emits B",
        """
        start -> loop
        loop -body-> emit A
        emit A -> choice
        choice -body-> loop
        choice -exit-> emit B
        emit B -> end
        """,
    ),
    "for each": (
        "for each x { emits A } emits B",
        """
        start -> loop
        loop -body-> emit A
        emit A -> loop
        loop -exit-> emit B
        emit B -> end
        """,
    ),
    "goto": (
        "step a emits A  either { goto a } or { }",
        """
        start -> emit A
        emit A -> choice
        choice -branch-> choice 2
        choice 2 -> emit A
        choice -branch-> end
        """,
    ),
    "goto forwards": (
        "either { goto b } or { emits A } step b emits B",
        """
        start -> choice
        choice -branch-> choice 2
        choice 2 -> emit B
        choice -branch-> emit A
        emit A -> emit B
        emit B -> end
        """,
    ),
    # ---------------------------------------------------------------- failures of a whole process
    "on failure": (
        "calls T.P  on failure { emits A }",
        "start -> P\nP -ok-> end\nP -failure-> emit A\nemit A -> failed",
    ),
    "on failure that is empty": ("calls T.P  on failure { }", "start -> P\nP -ok-> end\nP -failure-> choice\nchoice -> failed"),
    "on timeout": (
        "timeout 9s  emits B  on timeout { emits A }",
        "start -> emit B\nemit B -> end\nstart -timeout-> emit A\nemit A -> failed",
    ),
    # ---------------------------------------------------------------- compensation
    "the latest is undone first": (
        """
        step p calls T.P { compensate T.UndoP }
        step q calls T.Q { compensate T.UndoQ }
        step r calls T.R
        on failure { emits A }
        """,
        """
        start -> P
        P -ok-> Q
        Q -ok-> R
        R -ok-> end
        R -failure-> UndoQ
        UndoQ -compensate-> UndoP
        UndoP -compensate-> emit A
        Q -failure-> UndoP
        P -failure-> emit A
        emit A -> failed
        """,
    ),
    "what timed out is undone too": (
        """
        step p calls T.P { timeout 1s  compensate T.UndoP }
        step q calls T.Q { timeout 1s  compensate T.UndoQ }
        """,
        """
        start -> P
        P -ok-> Q
        P -failure-> failed
        P -timeout-> UndoP
        Q -ok-> end
        Q -failure-> UndoP
        Q -timeout-> UndoQ
        UndoQ -compensate-> UndoP
        UndoP -compensate-> failed
        """,
    ),
    "unless its on timeout decides": (
        """
        step p calls T.P { timeout 1s  compensate T.UndoP  on timeout { calls T.R } }
        emits A
        """,
        """
        start -> P
        P -ok-> emit A
        P -failure-> failed
        P -timeout-> R
        R -ok-> emit A
        R -failure-> failed
        emit A -> end
        UndoP -compensate-> failed
        """,
    ),
    "a compensation of several statements": (
        "step p { calls T.P  compensate { calls T.UndoP  emits A } } fails",
        """
        start -> P
        P -ok-> fail
        P -failure-> failed
        fail -failure-> UndoP
        UndoP -ok-> emit A
        emit A -compensate-> failed
        """,
    ),
    "a compensation whose own failure is handled": (
        "step p calls T.P { compensate T.UndoP { on failure { emits A } } } fails",
        """
        start -> P
        P -ok-> fail
        P -failure-> failed
        fail -failure-> UndoP
        UndoP -compensate-> failed
        UndoP -failure-> emit A
        emit A -compensate-> failed
        """,
    ),
    "a step without a compensation is passed over": (
        "calls T.P { compensate T.UndoP } calls T.Q  calls T.R",
        """
        start -> P
        P -ok-> Q
        P -failure-> failed
        Q -ok-> R
        Q -failure-> UndoP
        R -ok-> end
        R -failure-> UndoP
        UndoP -compensate-> failed
        """,
    ),
    "a failure that is answered undoes nothing": (
        "calls T.P { compensate T.UndoP } calls T.Q { optional } calls T.R { on failure { emits A } }",
        """
        start -> P
        P -ok-> Q
        P -failure-> failed
        Q -ok-> R
        Q -failure-> R
        R -ok-> end
        R -failure-> emit A
        emit A -> end
        UndoP -compensate-> failed
        """,
    ),
    "a block that fails leads back": (
        "calls T.P { compensate T.UndoP } calls T.Q { on failure { fails } }",
        """
        start -> P
        P -ok-> Q
        P -failure-> failed
        Q -ok-> end
        Q -failure-> fail
        fail -failure-> UndoP
        UndoP -compensate-> failed
        """,
    ),
    "no way back after the pivot": (
        """
        calls T.P { compensate T.UndoP }
        calls T.Q { pivot  compensate T.UndoQ }
        calls T.R { timeout 1s  retriable }
        """,
        """
        start -> P
        P -ok-> Q
        P -failure-> failed
        Q -ok-> R
        Q -failure-> UndoP
        R -ok-> end
        UndoP -compensate-> failed
        UndoQ -compensate-> UndoP
        """,
    ),
    "branches are undone side by side": (
        """
        parallel { calls T.P { compensate T.UndoP }  calls T.Q { compensate T.UndoQ } }
        calls T.R
        """,
        """
        start -> fork
        fork -branch-> P
        fork -branch-> Q
        P -ok-> join
        Q -ok-> join
        P -failure-> failed
        Q -failure-> failed
        join -> R
        R -ok-> end
        R -failure-> fork 2
        fork 2 -compensate-> UndoP
        fork 2 -compensate-> UndoQ
        UndoP -compensate-> failed
        UndoQ -compensate-> failed
        """,
    ),
    "of an either, the branch that ran is undone": (
        """
        calls T.R { compensate T.UndoR }
        either { calls T.P { compensate T.UndoP } } or { calls T.Q { compensate T.UndoQ } } or { }
        fails
        """,
        """
        start -> R
        R -ok-> choice
        R -failure-> failed
        choice -branch-> P
        choice -branch-> Q
        choice -branch-> fail
        P -ok-> fail
        Q -ok-> fail
        P -failure-> UndoR
        Q -failure-> UndoR
        fail -failure-> choice 2
        choice 2 -compensate-> UndoP
        choice 2 -compensate-> UndoQ
        choice 2 -compensate-> UndoR
        UndoP -compensate-> UndoR
        UndoQ -compensate-> UndoR
        UndoR -compensate-> failed
        """,
    ),
    "of an awaits, the arm that ran is undone": (
        """
        awaits { on E { calls T.P { compensate T.UndoP } }  on F { } }
        fails
        """,
        """
        start -> choice
        choice -branch-> await E
        choice -branch-> await F
        await E -> P
        P -ok-> fail
        P -failure-> failed
        await F -> fail
        fail -failure-> choice 2
        choice 2 -compensate-> UndoP
        choice 2 -compensate-> failed
        UndoP -compensate-> failed
        """,
    ),
    "an awaits that expires leads back": (
        "calls T.P { compensate T.UndoP } awaits E within 9s",
        """
        start -> P
        P -ok-> choice
        P -failure-> failed
        choice -branch-> await E
        choice -branch-> timer 9s
        await E -> end
        timer 9s -timeout-> UndoP
        UndoP -compensate-> failed
        """,
    ),
    "a step that asks and waits is undone when the answer is late": (
        "step p { sends T.P  awaits E within 9s  compensate T.UndoP }",
        """
        start -> send P
        send P -> choice
        choice -branch-> await E
        choice -branch-> timer 9s
        await E -> end
        timer 9s -timeout-> UndoP
        UndoP -compensate-> failed
        """,
    ),
    "a step around a parallel": (
        "step both { parallel { calls T.P  calls T.Q }  compensate T.UndoP } fails",
        """
        start -> fork
        fork -branch-> P
        fork -branch-> Q
        P -ok-> join
        P -failure-> failed
        Q -ok-> join
        Q -failure-> failed
        join -> fail
        fail -failure-> UndoP
        UndoP -compensate-> failed
        """,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CONTROL_FLOW)
def test_control_flow(case: str):
    text, expected = CONTROL_FLOW[case]
    assert sorted(edges(text)) == sorted(lines(expected))


def test_a_handler_fails_and_undoes_like_a_workflow():
    text = """
        service X {
          handles Do { calls T.P { compensate T.UndoP }  emits A or fails "no" }
        }
    """
    system = clean(NAMES + text)
    process = next(process for process in system.processes if process.name == "handles Do")
    assert [action.kind for action in system.actions_of(process)] == [
        "start", "failed", "call", "call", "choice", "emit", "fail", "end",
    ]  # fmt: skip
    by_kind = {action.kind: action for action in system.actions_of(process) if action.kind != "call"}
    undo = system.actions[by_kind["fail"].edges[0].target]
    assert (undo.message.name, undo.region) == ("UndoP", "compensation")
    assert [edge.target for edge in undo.edges] == [by_kind["failed"].id]
    assert by_kind["fail"].text == "no"


def test_a_joined_trigger_that_expires():
    system = clean('event A, B, E service X { on A and B within 5m { timeout 5m  on timeout { emits E }  acts "x" } }')
    process = system.processes[0]
    start, timer = system.actions[process.start], next(system.actions_of(process, "emit"))
    assert [(edge.target, edge.kind) for edge in start.edges if edge.kind == "timeout"] == [(timer.id, "timeout")]
    assert timer.region == "timeout"


def test_regions_and_steps():
    system, process, labels = graph("""
        step p { calls T.P { timeout 1s  fallback { emits A } }  emits B  compensate { calls T.UndoP  emits C } }
        calls T.Q { on failure { emits E }  on timeout { emits F } }
        parallel { calls T.R { compensate T.UndoR } }
        on failure { sends T.P }
    """)
    regions = {labels[action.id]: action.region for action in system.actions_of(process)}
    assert regions == {
        "start": "main", "failed": "main", "P": "main", "emit A": "fallback", "emit B": "main", "UndoP": "compensation",
        "emit C": "compensation", "Q": "main", "emit E": "failure", "emit F": "timeout", "fork": "main", "R": "main",
        "UndoR": "compensation", "join": "main", "send P": "failure", "end": "main",
    }  # fmt: skip
    steps = [
        (step.label, [labels[one] for one in step.actions], [labels[one] for one in step.compensation])
        for step in process.steps
    ]
    assert steps == [
        ("step `p`", ["P", "emit B"], ["UndoP", "emit C"]),
        ("`calls T.Q`", ["Q"], []),
        ("`calls T.R`", ["R"], ["UndoR"]),
    ]
    fallback = next(action for action in system.actions_of(process) if labels[action.id] == "emit A")
    assert fallback.step is process.steps[0]


def test_what_actions_carry():
    system, process, labels = graph("""
        awaits E or F within 9s by x, y
        sends T.P after 2s
        repeat up to 4 { }
        for each item in parallel 3 { calls T.P }
        for each item { }
        parallel any { emits A }
        parallel interrupting { emits A }
        emits A or fails B
    """)
    actions = {labels[action.id]: action for action in system.actions_of(process)}
    awaited = actions["await E F"]
    assert ([use.message.name for use in awaited.uses], awaited.within.value, awaited.by) == (["E", "F"], 9, ("x", "y"))
    assert actions["choice"].mode == "await"
    assert actions["send P"].delay == 2
    assert [(one.mode, one.limit) for one in system.actions_of(process, "loop")] == [
        ("repeat", 4),
        ("for each in parallel", 3),
        ("for each", None),
    ]
    assert [one.mode for one in system.actions_of(process, "fork", "join")] == [
        "any",
        "any",
        "interrupting",
        "interrupting",
    ]
    assert [(one.message.name, one.failure) for one in system.actions_of(process, "emit")] == [
        ("A", False),
        ("A", False),
        ("A", False),
        ("B", True),
    ]


def test_what_a_service_does_on_its_own_and_contracts():
    system = clean("""
        event A, B command C
        service S { emits A or B  sends S.C  publishes A  consumes B  handles C { } }
    """)
    own = {process.name: process for process in system.processes if process.kind == "own"}
    assert set(own) == {"emits A or B", "sends S.C", "publishes A"}
    assert {process.triggers[0].kind for process in own.values()} == {"entry"}
    kinds = [action.kind for action in system.actions_of(own["emits A or B"])]
    assert kinds == ["start", "failed", "choice", "emit", "emit", "end"]
    consumes = next(process for process in system.processes if process.name == "consumes B")
    assert consumes.contract
    assert [action.kind for action in system.actions_of(consumes)] == ["start", "end"]
