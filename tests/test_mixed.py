"""What excludes each other, held against every way a small design can go, and the criteria and laws of the MIX rules."""

from __future__ import annotations

import itertools
from collections import Counter
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coordlint.check import check, select_rules
from coordlint.design import Design, load
from coordlint.finding import Finding, Severity
from coordlint.graph import causal_successors
from coordlint.source import Source

quick = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
CODES = [f"MIX40{number}" for number in range(1, 9)]


def read(text: str, profile: str = "default") -> Design:
    design = load("test.coord", stdin=Source("test.coord", text), profile=profile)
    assert [problem.message for problem in design.problems] == [], text
    return design


def findings(text: str, *codes: str, profile: str = "default") -> list[Finding]:
    result = check(read(text, profile), select_rules(select=codes, profile=profile))
    assert result.crashes == ()
    return [finding for finding in result.findings if finding.code in codes]


def severities(text: str, code: str) -> list[Severity | None]:
    return [finding.severity for finding in findings(text, code)]


# ------------------------------------------------------------------------------------------------ what excludes what

EVENTS, COMMANDS = 5, 3


def body(random: Random, depth: int, level: int, names: itertools.count[int], *, waits: bool = False) -> str:
    """Statements without loops: a message is only produced by what has a smaller number, so nothing leads back."""
    found = []
    later = [event for event in range(EVENTS) if event > level]
    commands = [command for command in range(COMMANDS) if command * 2 > level]
    for _ in range(random.randint(1, 3)):
        chance = random.random()
        if chance < 0.3 or depth == 0:
            found.append(f'acts "a{next(names)}"')
        elif chance < 0.45 and later:
            found.append(f"emits E{random.choice(later)}")
        elif chance < 0.6 and commands:
            verb, failing = random.choice([("sends", False), ("calls", False), ("calls", True)])
            block = f" {{ on failure {{ {body(random, depth - 1, level, names)} }} }}" if failing else ""
            found.append(f"{verb} S0.C{random.choice(commands)}{block}")
        elif chance < 0.75:
            blocks = [body(random, depth - 1, level, names, waits=waits) for _ in range(random.randint(2, 3))]
            found.append("either " + " or ".join(f"{{ {block} }}" for block in blocks))
        elif chance < 0.88:
            blocks = [body(random, depth - 1, level, names, waits=waits) for _ in range(2)]
            found.append("parallel { " + " ".join(f"branch {{ {block} }}" for block in blocks) + " }")
        elif chance < 0.93:
            found.append('fails "x"')
            break
        elif waits and later:
            found.append(f"awaits E{random.choice(later)}")
    return "\n".join(found) or "succeeds"


def random_design(random: Random) -> str:
    names = itertools.count()
    lines = [
        f"event {', '.join(f'E{event}' for event in range(EVENTS))}",
        f"command Go, {', '.join(f'C{command}' for command in range(COMMANDS))}",
        "external service X { sends O.Go }",
        "service S0 {",
        *(f"handles C{command} {{ {body(random, 1, command * 2, names)} }}" for command in range(COMMANDS)),
    ]
    for event in range(EVENTS):
        if random.random() < 0.8:
            other = f"E{random.randrange(event)} and " if event and random.random() < 0.3 else ""
            lines.append(f"on {other}E{event} {{ {body(random, 1, event, names)} }}")
    lines += ["}", "service O", f"workflow W in O {{ starts on Go {body(random, 2, -1, names, waits=True)}"]
    if random.random() < 0.5:
        lines.append(f"on failure {{ {body(random, 1, -1, names)} }}")
    return "\n".join([*lines, "}"])


def ways(design: Design, root: int, limit: int = 2000) -> list[set[int]] | None:
    """What each way to settle all choices reaches from the root; None if there are too many."""
    actions, numbers = design.system.actions, design.causality.numbers
    messages = list(numbers)
    successors = causal_successors(design.index)
    possible, stack = {root}, [root]
    while stack:
        for target in successors[stack.pop()]:
            if target not in possible:
                possible.add(target)
                stack.append(target)
    choices = [
        (action.id, sorted({edge.target for edge in action.edges}))
        for action in actions
        if action.id in possible and action.kind != "fork" and len({edge.target for edge in action.edges}) > 1
    ]
    total = 1
    for _, targets in choices:
        total *= len(targets)
    if total > limit:
        return None

    def settled(settlement: dict[int, int]) -> set[int]:
        reached: set[int] = set()
        following = {root}
        while following != reached:
            reached = set(following)
            for node in reached:
                if node < len(actions):
                    action = actions[node]
                    if action.kind in {"emit", "send", "call"}:
                        following.add(numbers[action.message])
                    targets = [settlement[node]] if node in settlement else [edge.target for edge in action.edges]
                    following.update(target for target in targets if arrives(target, reached, settlement))
                else:
                    message = messages[node - len(actions)]
                    for process in design.index.started.get(message, ()):
                        joined = [use for trigger in process.triggers if trigger.mode == "all" for use in trigger.uses]
                        parts = {numbers[use.message] for use in joined} & possible
                        if parts <= reached:
                            following.add(process.start)
        return reached

    def arrives(target: int, reached: set[int], settlement: dict[int, int]) -> bool:
        if actions[target].kind != "join":
            return True
        sources = [one.id for one in actions if one.id in possible and any(edge.target == target for edge in one.edges)]
        return all(source in reached and settlement.get(source, target) == target for source in sources)

    nodes = [node for node, _ in choices]
    return [settled(dict(zip(nodes, picked, strict=True))) for picked in itertools.product(*(t for _, t in choices))]


def test_what_can_both_happen_agrees_with_every_way_to_settle_the_choices():
    asked: Counter[bool] = Counter()
    for seed in range(70):
        text = random_design(Random(seed))
        design = read(text)
        root = design.causality.number(design.system.messages["Go"])
        reached = ways(design, root)
        if reached is None:
            continue
        points = [action.id for action in design.system.actions if action.kind in {"act", "emit"}]
        for first, second in itertools.combinations(points, 2):
            expected = any(first in one and second in one for one in reached)
            asked[expected] += 1
            said = design.causality.can_both_happen(first, second, [root])
            assert said == expected, (
                f"{design.system.actions[first].span.text} {design.system.actions[second].span.text}\n{text}"
            )
    assert min(asked[True], asked[False]) > 1000


def both(statements: str, first: str, second: str, more: str = "") -> bool:
    """Whether a workflow of these statements can do both acts in one run."""
    design = read(
        f"command Go, Ask\nevent A, B, Ok, Bad\nexternal service X {{ sends O.Go }}\nservice O\n"
        f'service S {{ handles Ask {{ acts "asked"  emits Ok or fails Bad }} {more} }}\n'
        f"workflow W in O {{ starts on Go {statements} }}\n"
    )
    acts = {action.text: action.id for action in design.system.actions if action.kind == "act"}
    return design.causality.can_both_happen(
        acts[first], acts[second], [design.causality.number(design.system.messages["Go"])]
    )


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        ('either { acts "x" } or { acts "y" }', False),
        ('parallel { branch { acts "x" } branch { acts "y" } }', True),
        ('acts "x" acts "y"', True),
        ('repeat { either { acts "x" } or { acts "y" } }', True),
        ('for each thing { either { acts "x" } or { acts "y" } }', True),
        ('repeat { calls S.Ask { on failure { acts "x"  fails } } } acts "y"', False),
        ('repeat { either { acts "z" } or { acts "x"  fails } } acts "y"', False),
        ('sends S.Ask  awaits Ok  either { acts "x" } or { acts "y" }', False),
        ('sends S.Ask  awaits { on Ok { acts "x" } on Bad { acts "y" } }', False),
        ('parallel { branch { calls S.Ask } branch { acts "z" } } acts "x" on failure { acts "y" }', False),
        ('acts "x"  calls S.Ask  on failure { acts "y" }', True),
        ('calls S.Ask { on failure { acts "x" } } acts "y"', True),
        ('calls S.Ask { on failure { acts "x"  fails } } acts "y"', False),
        ('either { acts "x"  emits A } or { emits A }', True),
        ('either { acts "x"  emits B } or { emits A }', False),
        ('emits A  either { acts "x" } or { succeeds }', True),
        ('parallel { branch { emits A } branch { acts "z" } } either { acts "x" } or { emits B }', True),
    ],
)
def test_what_one_run_can_do(statements: str, expected: bool):
    more = 'on A { acts "y" } on B { }' if '"y"' not in statements else "on A { } on B { }"
    assert both(statements, "x", "y", more) == expected


def test_a_run_that_comes_back_to_its_root_is_over():
    text = """
    command Go
    event Bad
    external service X { sends O.Go  on Bad { sends O.Go } }
    service O
    workflow W in O { starts on Go  either { acts "x" } or { acts "y"  emits Bad } }
    """
    design = read(text)
    x, y = (action.id for action in design.system.actions if action.kind == "act")
    assert not design.causality.can_both_happen(x, y, [design.causality.number(design.system.messages["Go"])])


# ------------------------------------------------------------------------------------------------ dual triggers

SHOP = """
command PlaceOrder, TakePayment, Ship
event PaymentTaken, Shipped, Told, Refused
store Db
external service Shopper {{ sends Orders.PlaceOrder }}
service Orders {{ {orders} }}
service Payments {{ handles TakePayment {{ {payment} }} }}
service Shipping {{ handles Ship {{ {ship} }} {shipping} }}
service Mail {{ on Shipped {{ notifies }} on Told {{ notifies }} }}
workflow Fulfilment in Orders {{ starts on PlaceOrder {steps} }}
"""


def shop(
    steps: str = "calls Payments.TakePayment  calls Shipping.Ship",
    *,
    payment: str = 'acts "charges"  emits PaymentTaken',
    ship: str = 'acts "ships"  emits Shipped',
    shipping: str = 'on PaymentTaken { acts "ships"  emits Shipped }',
    orders: str = "",
) -> str:
    return SHOP.format(steps=steps, payment=payment, ship=ship, shipping=shipping, orders=orders)


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        (shop(), [Severity.ERROR]),
        (shop("calls Payments.TakePayment  sends Shipping.Ship"), [Severity.ERROR]),
        (shop("parallel { branch { calls Payments.TakePayment } branch { calls Shipping.Ship } }"), [Severity.ERROR]),
        # the event is published only after the command was handled: the same act again, or a later stage
        (shop("calls Shipping.Ship  calls Payments.TakePayment"), [Severity.ERROR]),
        (
            shop(
                "calls Shipping.Ship  calls Payments.TakePayment",
                ship="writes Db.rows  emits Shipped",
                shipping="on PaymentTaken { writes Db.rows  emits Shipped }",
            ),
            [],
        ),
        # one or the other
        (shop("either { calls Payments.TakePayment } or { calls Shipping.Ship }"), []),
        # not the same work: another outcome, or one that others publish, too
        (shop(shipping='on PaymentTaken { acts "labels"  emits Told }'), []),
        (shop(shipping='on PaymentTaken { acts "labels"  emits Shipped } every 1d { emits Shipped }'), []),
        # views and notices
        (shop(shipping="on PaymentTaken { projection  writes Db.view  emits Shipped }"), []),
        (shop(shipping='on PaymentTaken { notifies  acts "tells"  emits Shipped }'), []),
        # recognised as a repetition
        (
            shop(
                ship='idempotent by id  acts "ships"  emits Shipped',
                shipping='on PaymentTaken { idempotent by id  acts "ships"  emits Shipped }',
            ),
            [Severity.WARNING],
        ),
        # the same data, nothing announced: perhaps the same
        (shop(ship="writes Db.parcels", shipping="on PaymentTaken { writes Db.parcels }"), [Severity.WARNING]),
        (shop(ship="writes Db.parcels", shipping="on PaymentTaken { writes Db.labels }"), []),
        # the reaction commands it again
        (shop(shipping="", orders="on PaymentTaken { sends Shipping.Ship }"), [Severity.ERROR]),
        (
            shop(
                shipping="",
                orders="on PaymentTaken { sends Shipping.Ship }",
                ship='idempotent  acts "ships"  emits Shipped',
            ),
            [Severity.WARNING],
        ),
        # ... after it has been done: a later stage
        (shop("calls Shipping.Ship", shipping="", orders="on Shipped { sends Shipping.Ship after 1d }"), []),
    ],
)
def test_what_counts_as_a_dual_trigger(text: str, levels: list[Severity]):
    assert severities(text, "MIX401") == levels


def test_two_flows_may_use_one_operation():
    text = shop("calls Shipping.Ship", shipping='on PaymentTaken { acts "ships"  emits Shipped }', orders="")
    text += "external service Clerk { sends Payments.TakePayment }"
    assert findings(text, "MIX401") == []


def test_a_plain_caller_counts_as_well():
    text = """
    command Checkout, Create, Clear
    event Started
    store Db
    external service Shopper { calls Web.Checkout }
    service Web { handles Checkout { calls Orders.Create  calls Basket.Clear } }
    service Orders { handles Create { writes Db.orders  emits Started } }
    service Basket { handles Clear { writes Db.baskets } on Started { writes Db.baskets } }
    """
    (finding,) = findings(text, "MIX401")
    assert finding.severity is Severity.WARNING
    assert "`Web` calls `Clear`" in finding.message
    assert findings(text, "MIX403") == []


def test_a_workflow_that_starts_twice():
    text = """
    command Place, Open
    event Opened
    external service Shopper { calls Desk.Open }
    service Desk { handles Open { sends Orders.Place  emits Opened } }
    service Orders
    workflow W in Orders { starts on Place or Opened  acts "works" }
    """
    assert severities(text, "MIX401") == [Severity.ERROR]
    either = text.replace("sends Orders.Place  emits Opened", "either { sends Orders.Place } or { emits Opened }")
    assert findings(either, "MIX401") == []


# ------------------------------------------------------------------------------------------------ orchestrators


@pytest.mark.parametrize(
    ("payment", "steps", "count"),
    [
        ('acts "charges"  sends Shipping.Ship', "calls Payments.TakePayment  calls Shipping.Ship", 1),
        ('acts "charges"  sends Payments.Inner', "calls Payments.TakePayment  calls Shipping.Ship", 1),
        ('acts "charges"  sends Shipping.Ship', "calls Payments.TakePayment", 0),
        ('acts "charges"  sends Shipping.Ship', "either { calls Payments.TakePayment } or { calls Shipping.Ship }", 0),
        ('acts "charges"', "calls Payments.TakePayment  calls Shipping.Ship", 0),
    ],
)
def test_a_bypass(payment: str, steps: str, count: int):
    text = shop(steps, payment=payment, shipping="").replace("Ship\nevent", "Ship, Inner\nevent")
    text = text.replace("service Payments {", "service Payments { handles Inner { sends Shipping.Ship }")
    assert len(findings(text, "MIX402")) == count


def test_a_participant_that_only_asks_is_no_bypass():
    text = shop(payment='acts "charges"  calls Shipping.Ship', ship="reads Db.parcels", shipping="")
    assert findings(text, "MIX402") == []


RIVALS = """
command Place, Capture
event Placed, Scored, Approved
external service Shopper {{ sends Orders.Place }}
service Orders {{ {orders} }}
service Risk
service Payments {{ handles Capture {{ {capture} }} }}
workflow Checkout in Orders {{ starts on Placed  {checkout} }}
workflow Fraud in Risk {{ starts on {fraud}  calls Payments.Capture }}
"""


@pytest.mark.parametrize(
    ("orders", "capture", "checkout", "fraud", "levels"),
    [
        ("handles Place { emits Placed }", 'acts "charges"', "calls Payments.Capture", "Placed", [Severity.ERROR]),
        (
            "handles Place { emits Placed }",
            'idempotent  acts "charges"',
            "calls Payments.Capture",
            "Placed",
            [Severity.WARNING],
        ),
        (
            "handles Place { emits Placed, Scored }",
            'acts "charges"',
            "calls Payments.Capture",
            "Scored",
            [Severity.ERROR],
        ),
        ("handles Place { emits Placed or emits Scored }", 'acts "charges"', "calls Payments.Capture", "Scored", []),
        ("handles Place { emits Placed }", 'acts "charges"', "calls Payments.Capture  emits Approved", "Approved", []),
        ("handles Place { emits Placed }", 'notifies  acts "tells"', "calls Payments.Capture", "Placed", []),
        (
            "handles Place { emits Placed } every 1d { emits Scored }",
            'acts "charges"',
            "calls Payments.Capture",
            "Scored",
            [],
        ),
    ],
)
def test_rivals(orders: str, capture: str, checkout: str, fraud: str, levels: list[Severity]):
    text = RIVALS.format(orders=orders, capture=capture, checkout=checkout, fraud=fraud)
    assert severities(text, "MIX404") == levels


@pytest.mark.parametrize(("first", "second"), [("Payments.Capture", "Capture"), ("Capture", "Payments.Capture")])
def test_rivals_command_an_outsider_if_one_of_them_says_so(first: str, second: str):
    rivals = RIVALS.replace("service Payments", "external service Payments").replace("Payments.Capture", second)
    text = rivals.format(
        orders="handles Place { emits Placed }", capture="emits Scored", checkout=f"calls {first}", fraud="Placed"
    )
    assert severities(text, "MIX404") == [Severity.ERROR]


OVERHEARD = """
command Place, Pay
{visibility} event Paid
event Placed
store Db
external service Shopper {{ sends Orders.Place }}
{contexts}
service Web {{ handles Place {{ emits Placed }} }}
workflow W in Orders {{ starts on Placed  {steps} }}
"""
APART = "service Orders\nservice Payments {{ handles Pay {{ writes Db.rows {emits} }} {more} }}"


@pytest.mark.parametrize(
    ("visibility", "contexts", "steps", "count"),
    [
        ("private", APART.format(emits="emits Paid", more=""), "sends Payments.Pay  awaits Paid", 1),
        ("", APART.format(emits="emits Paid", more=""), "sends Payments.Pay  awaits Paid", 0),
        (
            "private",
            "context Shop { " + APART.format(emits="emits Paid", more="") + " }",
            "sends Payments.Pay  awaits Paid",
            0,
        ),
        # the participant acts of its own accord, moved by what moves the workflow
        ("", APART.format(emits="", more="on Placed { emits Paid }"), "sends Payments.Pay  awaits Paid", 1),
        ("public", APART.format(emits="", more="on Placed { emits Paid }"), "sends Payments.Pay  awaits Paid", 0),
        # a signal: something else moves it
        ("", APART.format(emits="", more="every 1d { emits Paid }"), "sends Payments.Pay  awaits Paid", 0),
        # no participant at all
        ("", APART.format(emits="", more="on Placed { emits Paid }"), "awaits Paid", 0),
    ],
)
def test_eavesdropping(visibility: str, contexts: str, steps: str, count: int):
    text = OVERHEARD.format(visibility=visibility, contexts=contexts, steps=steps).replace(
        "sends Orders.Place", "sends Web.Place"
    )
    assert len(findings(text, "MIX406")) == count


# ------------------------------------------------------------------------------------------------ reactions

RACE = """
command Place, Reserve
event Opened, Held
store Db
channel facts {{ topic  {channel} }}
external service Shopper {{ sends Orders.Place }}
service Orders
service Stock {{ on Opened {via} {{ {reaction} }} handles Reserve {via} {{ {reserve} }} }}
workflow W in Orders {{ starts on Place  {steps} }}
service View {{ on Held {{ projection }} }}
"""


@pytest.mark.parametrize(
    ("reaction", "reserve", "steps", "via", "count"),
    [
        ("writes Db.stock  emits Held", "writes Db.stock", "emits Opened  calls Stock.Reserve", "", 1),
        ("writes Db.stock  emits Held", "writes Db.shelf", "emits Opened  calls Stock.Reserve", "", 0),
        ("writes Db.stock  emits Held", "writes Db.stock", "emits Opened  awaits Held  calls Stock.Reserve", "", 0),
        ("writes Db.stock  emits Held", "writes Db.stock", "calls Stock.Reserve  emits Opened", "", 0),
        ("writes Db.stock  emits Held", "writes Db.stock", "either { emits Opened } or { calls Stock.Reserve }", "", 0),
        ("projection  writes Db.stock  emits Held", "writes Db.stock", "emits Opened  calls Stock.Reserve", "", 0),
        ('when "open"  writes Db.stock  emits Held', "writes Db.stock", "emits Opened  calls Stock.Reserve", "", 0),
        ("writes Db.stock  emits Held", "writes Db.stock", "emits Opened  calls Stock.Reserve", "via facts", 0),
    ],
)
def test_a_race(reaction: str, reserve: str, steps: str, via: str, count: int):
    channel = "ordered by id" if via else "unordered"
    text = RACE.format(reaction=reaction, reserve=reserve, steps=steps, via=via, channel=channel)
    assert len(findings(text, "MIX403")) == count


LEG = """
command Place, Pay, Undo, Pack
event Opened, Rejected, Confirmed, Refused
store Db
external service Shopper {{ sends Orders.Place }}
service Orders
service Payments {{ handles Pay {{ acts "charges"  {outcome} }} }}
service Loyalty {{ {loyalty} handles Undo {{ compensates Opened  writes Db.points }} handles Pack {{ writes Db.points }} }}
workflow W in Orders {{ starts on Place  {steps} }}
service Log {{ on Rejected {{ projection }} on Confirmed {{ projection }} on Refused {{ projection }} }}
"""
REACTS = "on Opened { writes Db.points }"


@pytest.mark.parametrize(
    ("outcome", "loyalty", "steps", "count"),
    [
        ('succeeds or fails "no"', REACTS, "emits Opened  calls Payments.Pay", 1),
        # published by the handler of a step
        ("emits Opened", REACTS, 'calls Payments.Pay  fails "changed our mind"', 1),
        # nothing can fail any more, or nothing says what happens then
        ('succeeds or fails "no"', REACTS, "calls Payments.Pay  emits Opened", 0),
        ("succeeds", REACTS, "emits Opened  calls Payments.Pay", 0),
        ("succeeds", REACTS, "emits Opened  calls Payments.Pay { timeout 1s } on failure { emits Rejected }", 1),
        ('succeeds or 0% fails "no"', REACTS, "emits Opened  calls Payments.Pay", 0),
        # after the pivot
        ('succeeds or fails "no"', REACTS, "calls Payments.Pay { pivot } emits Opened  awaits Confirmed within 1d", 0),
        # undone: by the failure's event, by the failing step's event, by a command of the workflow
        (
            'succeeds or fails "no"',
            REACTS + " on Rejected { writes Db.points }",
            "emits Opened  calls Payments.Pay  on failure { emits Rejected }",
            0,
        ),
        (
            "succeeds or fails Refused",
            REACTS + " on Refused { writes Db.points }",
            "emits Opened  calls Payments.Pay",
            0,
        ),
        ('succeeds or fails "no"', REACTS, "emits Opened  calls Payments.Pay  on failure { calls Loyalty.Undo }", 0),
        # it hears of the failure and does something else
        (
            'succeeds or fails "no"',
            REACTS + " on Rejected { writes Db.complaints }",
            "emits Opened  calls Payments.Pay  on failure { emits Rejected }",
            1,
        ),
        # effects by command
        ('succeeds or fails "no"', "on Opened { sends Loyalty.Pack }", "emits Opened  calls Payments.Pay", 1),
        # views and notices
        ('succeeds or fails "no"', "on Opened { projection  writes Db.points }", "emits Opened  calls Payments.Pay", 0),
        ('succeeds or fails "no"', 'on Opened { notifies  acts "mails" }', "emits Opened  calls Payments.Pay", 0),
        ('succeeds or fails "no"', "on Opened { reads Db.points }", "emits Opened  calls Payments.Pay", 0),
    ],
)
def test_a_leg_that_nothing_undoes(outcome: str, loyalty: str, steps: str, count: int):
    text = LEG.format(outcome=outcome, loyalty=loyalty, steps=steps)
    assert len(findings(text, "MIX405")) == count


def test_a_provisional_event_is_known_to_be_one():
    text = LEG.format(outcome='succeeds or fails "no"', loyalty=REACTS, steps="emits Opened  calls Payments.Pay")
    text = text.replace("event Opened, ", "event Opened { provisional }\nevent ")
    assert findings(text, "MIX405") == []


ASKING = """
command Place
{visibility} event {name}
event Paid, Confirmed
external service Shopper {{ sends Orders.Place }}
service Orders {{ handles Place {{ emits {name} }} on Paid {{ emits Confirmed }} }}
service Payments {{ on {name} {{ acts "charges"  emits {answer} }} }}
{more}
flow F {{ starts with Place from Shopper  succeeds with {goal} }}
"""


@pytest.mark.parametrize(
    ("visibility", "name", "answer", "more", "goal", "levels"),
    [
        ("", "OrderPlaced", "Paid", "", "Confirmed", [Severity.INFO]),
        ("", "PaymentNeeded", "Paid", "", "Confirmed", [Severity.WARNING]),
        ("", "Payment_requested", "Paid", "", "Confirmed", [Severity.WARNING]),
        ("", "UnneededItemsSold", "Paid", "", "Confirmed", [Severity.INFO]),
        ("public", "OrderPlaced", "Paid", "", "Confirmed", []),
        ("", "OrderPlaced", "Paid", "service Log { on OrderPlaced { projection } }", "Confirmed", []),
        ("", "OrderPlaced", "Paid", "", "OrderPlaced", []),
        (
            "",
            "OrderPlaced",
            "Done",
            "event Done\nservice Other { on Done { emits Paid } }",
            "Confirmed",
            [Severity.INFO],
        ),
    ],
)
def test_an_event_that_asks(visibility: str, name: str, answer: str, more: str, goal: str, levels: list[Severity]):
    text = ASKING.format(visibility=visibility, name=name, answer=answer, more=more, goal=goal)
    assert severities(text, "MIX407") == levels


# ------------------------------------------------------------------------------------------------ boundaries

BOUNDARY = """
command Place, Pay
event Paid, Packed, Placed, Shipped
store Db
external service Shopper {{ sends {entry} }}
service Web {{ {web} }}
service Orders
service Payments {{ handles Pay {{ {pay} }} }}
service Packing {{ {packing} }}
workflow W in Orders {{ {steps} }}
flow F {{ starts with Place from Shopper  succeeds with {goal}  {style} }}
"""


def boundary(
    steps: str,
    *,
    goal: str = "W",
    style: str = "",
    pay: str = "writes Db.payments",
    packing: str = "",
    web: str = "",
    entry: str = "Orders.Place",
) -> str:
    return BOUNDARY.format(steps=steps, goal=goal, style=style, pay=pay, packing=packing, web=web, entry=entry)


PACKS = 'on Paid { acts "packs"  emits Packed }'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (boundary("starts on Place  emits Paid  awaits Packed", packing=PACKS), "half-way"),
        (boundary("starts on Place  calls Payments.Pay  awaits Packed", pay="emits Paid", packing=PACKS), "half-way"),
        # the workflow has ended
        (boundary("starts on Place  calls Payments.Pay  emits Paid", goal="Packed", packing=PACKS), ""),
        # the goal does not need it
        (boundary("starts on Place  emits Paid  calls Payments.Pay", packing=PACKS), ""),
        # an event starts the workflow
        (boundary("starts on Placed  calls Payments.Pay", web="handles Place { emits Placed }", entry="Web.Place"), ""),
        # what the flow says of itself
        (boundary("starts on Place  calls Payments.Pay", style="style orchestrated"), ""),
        (boundary("starts on Place  calls Payments.Pay", style="style choreographed"), "style choreographed"),
        (
            boundary(
                "starts on Place  calls Payments.Pay  emits Paid",
                goal="Packed",
                packing=PACKS,
                style="style orchestrated",
            ),
            "style orchestrated",
        ),
        (
            boundary(
                "starts on Place  calls Payments.Pay  emits Paid", goal="Packed", packing=PACKS, style="style hybrid"
            ),
            "",
        ),
        (
            boundary(
                "starts on Placed  calls Payments.Pay",
                web="handles Place { emits Placed }",
                entry="Web.Place",
                style="style orchestrated",
            ),
            "",
        ),
    ],
)
def test_a_boundary(text: str, says: str):
    found = findings(text, "MIX408")
    assert bool(found) == bool(says)
    assert all(says in finding.message for finding in found)


def test_every_handover_is_listed_with_its_reason():
    text = boundary(
        "starts on Place  emits Paid  awaits Packed  emits Shipped",
        packing=PACKS + " on Shipped { projection  writes Db.view }",
    )
    (finding,) = findings(text, "MIX408")
    assert finding.notes == (
        "dirty: `Paid` to `Packing`, as the goal needs `Packing` to react while `W` is under way",
        "clean: `Shipped` to `Packing`, as `Packing` only builds a view",
    )


@pytest.mark.parametrize(
    ("text", "style"),
    [
        (boundary("starts on Place  calls Payments.Pay"), "orchestrated"),
        (boundary("starts on Place  calls Payments.Pay  emits Paid", goal="Packed", packing=PACKS), "hybrid"),
        (
            boundary(
                "starts every 1d  calls Payments.Pay",
                web="handles Place { emits Paid }",
                goal="Packed",
                packing=PACKS,
                entry="Web.Place",
            ),
            "choreographed",
        ),
        (
            boundary(
                "starts every 1d  calls Payments.Pay",
                web="handles Place { emits Shipped }",
                goal="Shipped",
                entry="Web.Place",
            ),
            "direct",
        ),
    ],
)
def test_the_style_of_a_flow(text: str, style: str):
    design = read(text)
    (view,) = design.flows
    assert design.handovers.style(view) == style


# ------------------------------------------------------------------------------------------------ laws

STATEMENTS = (
    "calls Payments.TakePayment", "calls Shipping.Ship", "sends Shipping.Ship", "emits Told", "awaits Shipped within 1d",
    'fails "no"', "either { calls Shipping.Ship } or { emits Told }",
    "parallel { branch { calls Payments.TakePayment } branch { emits Told } }",
)  # fmt: skip
BODIES = (
    'acts "works"  emits Shipped', "writes Db.rows", "writes Db.rows  emits Shipped", 'succeeds or fails "no"',
    "idempotent by id", "projection", "reads Db.rows", "sends Shipping.Ship", "emits PaymentTaken",
)  # fmt: skip
REACTIONS = ("on PaymentTaken {{ {} }}", "on Told {{ {} }}", "on Shipped {{ {} }}")


@st.composite
def shops(draw: st.DrawFn) -> str:
    def some(things: tuple[str, ...], least: int, most: int) -> str:
        return "  ".join(draw(st.lists(st.sampled_from(things), min_size=least, max_size=most, unique=True)))

    def reacting() -> str:
        forms = draw(st.lists(st.sampled_from(REACTIONS), min_size=1, max_size=2, unique=True))
        return "  ".join(form.format(some(BODIES, 1, 2)) for form in forms)

    payment = "  ".join(("emits PaymentTaken", some(BODIES[:-1], 0, 2)))
    text = shop(
        some(STATEMENTS, 2, 4), payment=payment, ship=some(BODIES, 1, 2), shipping=reacting(), orders=reacting()
    )
    return text + "flow F { starts with PlaceOrder from Shopper  succeeds with Shipped }\n"


NAMES = ("Orders", "Payments", "Shipping", "Mail", "Shopper", "Fulfilment")
OTHERS = ("Amber", "Birch", "Cobalt", "Dune", "Ember", "Fjord")


@settings(quick, max_examples=80)
@given(shops(), st.permutations(OTHERS))
def test_names_do_not_matter(text: str, others: list[str]):
    renamed = text
    for name, other in zip(NAMES, others, strict=True):
        renamed = renamed.replace(name, other)
    shape = Counter((finding.code, finding.severity) for finding in findings(text, *CODES))
    assert Counter((finding.code, finding.severity) for finding in findings(renamed, *CODES)) == shape


UNRELATED = """
command Other0, Other1
event Other2
store OtherDb
external service Other3 { sends Other4.Other0 }
service Other4
service Other5 { handles Other1 { writes OtherDb.rows  emits Other2 } on Other2 { projection  writes OtherDb.seen } }
workflow Other6 in Other4 { starts on Other0  calls Other5.Other1 }
flow Other7 { starts with Other0 from Other3  succeeds with Other6 }
"""


@settings(quick, max_examples=60)
@given(shops())
def test_an_unrelated_flow_changes_nothing(text: str):
    before = [(finding.code, finding.severity, finding.message) for finding in findings(text, *CODES)]
    assert [
        (finding.code, finding.severity, finding.message) for finding in findings(text + UNRELATED, *CODES)
    ] == before


def test_the_random_shops_are_worth_it():
    seen: Counter[str] = Counter()

    @settings(quick, max_examples=150, derandomize=True, database=None)
    @given(shops())
    def collect(text: str) -> None:
        seen.update(finding.code for finding in findings(text, *CODES))

    collect()
    assert {"MIX401", "MIX402", "MIX403", "MIX405", "MIX408"} <= seen.keys(), seen


@settings(quick, max_examples=60)
@given(shops())
def test_a_choice_instead_of_a_sequence_adds_no_conflict(text: str):
    """What excludes each other conflicts no more than what follows each other."""
    chosen = text.replace("starts on PlaceOrder ", "starts on PlaceOrder either { succeeds } or { ").replace(
        " }\nflow F", " } }\nflow F"
    )
    for code in ("MIX401", "MIX402", "MIX404"):
        assert len(findings(chosen, code)) <= len(findings(text, code))
