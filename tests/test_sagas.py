"""The saga analyses against independent oracles: a token game for soundness, and an interpreter for what has to be undone."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from coordlint.analysis.isolation import Isolation
from coordlint.analysis.soundness import dead, endless, jumps
from coordlint.check import check, select_rules
from coordlint.design import Design, load
from coordlint.source import Source
from coordlint.system import Action, Process, System

SYSTEMS = Path(__file__).parent.parent / "fixtures" / "systems"


def read(text: str, profile: str = "default") -> Design:
    design = load("design.coord", stdin=Source("design.coord", text), profile=profile)
    assert [problem.message for problem in design.problems] == []
    return design


def found(text: str, profile: str = "default") -> list[str]:
    """The saga findings of a design as `CODE line`, in order."""
    design = read(text, profile)
    result = check(design, select_rules(select=["SAG"], profile=profile))
    assert result.crashes == ()
    return [f"{finding.code} {finding.primary.span.line}" for finding in result.findings]


# ------------------------------------------------------------------------------------------------ soundness: a token game


class Sketch:
    """A random workflow of steps, branches, loops and gotos."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.steps = 0

    def text(self) -> str:
        lines = ["service S", "workflow W in S {", *self.block(3), "}"]
        text = "\n".join(lines)
        return re.sub(r"goto \?", lambda _: f"goto s{self.random.randrange(max(1, self.steps))}", text)

    def block(self, depth: int) -> Iterator[str]:
        for _ in range(self.random.randint(1, 3)):
            kind = self.random.choices(
                ("step", "parallel", "either", "repeat", "goto", "fails"),
                (8, 3 * (depth > 0), 4 * (depth > 0), depth > 0, 1, 0.5),
            )[0]
            if kind == "step":
                yield f'step s{self.steps} acts "works"'
                self.steps += 1
            elif kind == "parallel":
                yield "parallel {"
                for _ in range(self.random.randint(1, 3)):
                    yield from ("branch {", *self.block(depth - 1), "}")
                yield "}"
            elif kind == "either":
                yield from ("either {", *self.block(depth - 1), "}")
                yield from ("or {", *self.block(depth - 1), "}") if self.random.random() < 0.8 else ("or { }",)
            elif kind == "repeat":
                yield from ("repeat {", *self.block(depth - 1), "}")
            else:
                yield "goto ?" if kind == "goto" and self.steps else "fails"


PARKED = -1


class TooLargeError(Exception):
    """More markings than the test wants to look at."""


class TokenGame:
    """All markings of a process: tokens lie on edges, a join takes one from each of its fork's branches, a failure ends all."""

    def __init__(self, system: System, process: Process) -> None:
        self.actions: dict[int, Action] = {number: system.actions[number] for number in process.actions}
        self.arriving: dict[int, list[tuple[int, int]]] = {}
        for action in self.actions.values():
            for position, edge in enumerate(action.edges):
                self.arriving.setdefault(edge.target, []).append((action.id, position))
        self.branches = {
            action.id: next(
                len(fork.edges) for fork in reversed(self.actions.values())
                if fork.kind == "fork" and fork.span == action.span and fork.id < action.id
            )
            for action in self.actions.values()
            if action.kind == "join"
        }  # fmt: skip
        self.start = process.start
        self.fired: set[int] = set()
        self.problems: set[str] = set()

    def play(self) -> None:
        first = frozenset((self.start, i) for i in range(len(self.actions[self.start].edges)))
        successors: dict[frozenset[tuple[int, int]], list[frozenset[tuple[int, int]]]] = {}
        pending = [first]
        self.fired.add(self.start)
        while pending:
            marking = pending.pop()
            if marking in successors:
                continue
            if len(successors) > 1000:
                raise TooLargeError
            successors[marking] = list(self.step(marking))
            if "unsafe" in self.problems:
                return
            pending += successors[marking]
        final = frozenset[tuple[int, int]]()
        leading, changed = {final}, True
        while changed:
            more = {m for m, targets in successors.items() if m not in leading and any(t in leading for t in targets)}
            changed = bool(more)
            leading |= more
        if set(successors) - leading:
            self.problems.add("no option to complete")

    def step(self, marking: frozenset[tuple[int, int]]) -> Iterator[frozenset[tuple[int, int]]]:
        for number in {
            self.actions[source].edges[position].target for source, position in marking if position != PARKED
        }:
            action = self.actions[number]
            here = [token for token in self.arriving[number] if token in marking]
            if action.kind == "join":
                if len(here) < len(self.arriving[number]) or len(here) != self.branches[number]:
                    continue
                taken = [here]
            else:
                taken = [[token] for token in here]
            for tokens in taken:
                self.fired.add(number)
                rest = marking - set(tokens)
                if action.kind == "failed":
                    yield frozenset()
                elif not action.edges and action.kind != "end":
                    yield rest | {(number, PARKED)}  # its join waits for a branch that never comes
                elif action.kind == "end":
                    if rest:
                        self.problems.add("improper completion")
                    yield rest
                elif action.kind == "fork":
                    yield self.put(rest, [(number, i) for i in range(len(action.edges))])
                else:
                    yield from (self.put(rest, [(number, i)]) for i in range(len(action.edges)))

    def put(self, rest: frozenset[tuple[int, int]], tokens: list[tuple[int, int]]) -> frozenset[tuple[int, int]]:
        if not rest.isdisjoint(tokens):
            self.problems.add("unsafe")
        return rest | set(tokens)

    def dead(self) -> set[int]:
        kinds = {"act", "fail", "fork", "loop"}
        steps = {
            n
            for n, one in self.actions.items()
            if one.kind in kinds or (one.kind, one.mode) in {("choice", ""), ("choice", "goto")}
        }
        return steps - self.fired


def test_soundness_agrees_with_the_token_game():
    kinds: Counter[str] = Counter()
    for seed in range(600):
        text = Sketch(seed).text()
        design = load("design.coord", stdin=Source("design.coord", text))
        if design.problems:
            continue  # the only step is missing that a goto wants
        process = design.system.workflows["W"].process
        game = TokenGame(design.system, process)
        try:
            game.play()
        except TooLargeError:
            continue
        crossing = jumps(design.system, process)
        says = {
            "crossing": bool(crossing),
            "dead": bool(dead(design.system, process)),
            "endless": bool(endless(design.system, process)),
        }
        sound = not game.problems and not game.dead()
        assert sound == (not any(says.values())), f"{text}\n{game.problems} {game.dead()} {says}"
        kinds[", ".join(key for key, value in says.items() if value) or "sound"] += 1
    assert min(kinds[key] for key in ("sound", "crossing", "dead", "endless")) >= 10, kinds


# ------------------------------------------------------------------------------------------------ compensation: an interpreter


class Step(NamedTuple):
    """A step of a random saga."""

    name: str
    changes: bool
    fails: bool
    undone: bool
    pivot: bool = False


class Block(NamedTuple):
    """Statements in sequence, or branches of which all (`parallel`) or one (`either`) run."""

    kind: str
    parts: tuple[Step | Block, ...]


def sketch(seed: int) -> Block:
    """A random saga; a pivot stands in the main sequence only."""
    rng = random.Random(seed)
    names = iter(range(1000))

    def step(*, pivot: bool = False) -> Step:
        return Step(f"s{next(names)}", rng.random() < 0.7, rng.random() < 0.3, rng.random() < 0.4 and not pivot, pivot)

    def sequence(depth: int, *, top: bool) -> Block:
        parts: list[Step | Block] = []
        for _ in range(rng.randint(1, 3)):
            kind = rng.choices(("step", "parallel", "either"), (6, 2 * (depth > 0), 2 * (depth > 0)))[0]
            if kind == "step":
                parts.append(step())
            else:
                parts.append(Block(kind, tuple(sequence(depth - 1, top=False) for _ in range(2))))
        if top and rng.random() < 0.5:
            parts.insert(rng.randint(0, len(parts)), step(pivot=True))
        return Block("sequence", tuple(parts))

    return sequence(2, top=True)


def steps_of(block: Block) -> Iterator[Step]:
    for part in block.parts:
        if isinstance(part, Step):
            yield part
        else:
            yield from steps_of(part)


def written(block: Block) -> str:
    """The design of a saga: each step has a service, a command and an entity of its own."""
    lines = ["service O", "command Go", "store D", "external service X { sends O.Go }"]
    for step in steps_of(block):
        body = (f"writes D.{step.name}  " if step.changes else "reads D.nothing  ") + "succeeds"
        lines.append(f"command Do_{step.name}, Undo_{step.name}")
        lines.append(f"service P_{step.name} {{")
        lines.append(f"  handles Do_{step.name} {{ {body}{' or fails' if step.fails else ''} }}")
        lines.append(f"  handles Undo_{step.name} {{ compensates Do_{step.name}  writes D.{step.name} }}")
        lines.append("}")
    lines += ["workflow W in O {", "starts on Go", *statements(block), "}"]
    return "\n".join(lines)


def statements(block: Block) -> Iterator[str]:
    for part in block.parts:
        if isinstance(part, Step):
            words = [f"compensate Undo_{part.name}"] * part.undone + ["pivot"] * part.pivot
            yield f"step {part.name} calls Do_{part.name} {{ {'  '.join(words)} }}"
        elif part.kind == "parallel":
            yield "parallel {"
            for branch in part.parts:
                assert isinstance(branch, Block)
                yield from ("branch {", *statements(branch), "}")
            yield "}"
        else:
            first, second = part.parts
            assert isinstance(first, Block)
            assert isinstance(second, Block)
            yield from ("either {", *statements(first), "} or {", *statements(second), "}")


class Run(NamedTuple):
    """One way through a saga: whether it went well, what was done, and whether the pivot has passed."""

    well: bool
    done: frozenset[Step]
    passed: bool


def runs(part: Step | Block, passed: bool) -> set[Run]:
    """All ways through, by the words of the language reference and without its graph."""
    if isinstance(part, Step):
        well = Run(True, frozenset((part,)), passed or part.pivot)
        return {well, Run(False, frozenset(), passed)} if part.fails and not passed else {well}
    if part.kind == "either":
        return {run for branch in part.parts for run in runs(branch, passed)}
    if part.kind == "parallel":
        first, second = (runs(branch, passed) for branch in part.parts)
        return {Run(a.well and b.well, a.done | b.done, passed) for a in first for b in second}
    found = {Run(True, frozenset(), passed)}
    for one in part.parts:
        found = {run for run in found if not run.well} | {
            Run(more.well, run.done | more.done, more.passed)
            for run in found
            if run.well
            for more in runs(one, run.passed)
        }
    return found


def left_undone(block: Block) -> set[str]:
    """The steps that some failing run leaves done, by the interpreter."""
    failing = [run for run in runs(block, False) if not run.well]
    return {step.name for run in failing for step in run.done if step.changes and not step.undone}


def gaps(text: str) -> set[str]:
    """The steps that a declared failure leaves done, by the analysis."""
    design = read(text)
    (saga,) = design.sagas.workflows
    return {gap.step.step.name for gap in design.sagas.gaps(saga) if gap.failure.sure}


def test_missing_compensations_agree_with_an_interpreter():
    sizes = Counter[int]()
    for seed in range(400):
        block = sketch(seed)
        expected = left_undone(block)
        assert gaps(written(block)) == expected, written(block)
        sizes[len(expected)] += 1
    assert sizes[0] >= 20
    assert sum(count for size, count in sizes.items() if size) >= 100


def test_a_compensation_never_adds_a_gap():
    for seed in range(40):
        block = sketch(seed)
        before = gaps(written(block))
        for step in steps_of(block):
            if not step.undone and not step.pivot:
                after = gaps(written(with_undo(block, step.name)))
                assert after <= before - {step.name}


def with_undo(block: Block, name: str) -> Block:
    parts = (
        part._replace(undone=part.undone or part.name == name) if isinstance(part, Step) else with_undo(part, name)
        for part in block.parts
    )
    return Block(block.kind, tuple(parts))


@pytest.mark.parametrize("profile", ["default", "production"])
@pytest.mark.parametrize("path", sorted(SYSTEMS.glob("*/*.coord")), ids=lambda path: path.stem)
def test_renaming_permutes_the_findings(path: Path, profile: str):
    text = path.read_text(encoding="utf-8")
    design = load(str(path))
    names = sorted({*design.system.services, *design.system.workflows, *design.system.stores, *design.system.messages})
    plain = [
        name for name in names if re.fullmatch(r"[A-Za-z_][\w-]*", name) and name not in {"car", "hotel", "flight"}
    ]
    new = {name: f"N{len(plain) - i}_{name}" for i, name in enumerate(plain)}
    pattern = re.compile(
        r"(?<![\w.-])(" + "|".join(sorted(map(re.escape, plain), key=len, reverse=True)) + r")(?![\w-])"
    )
    pattern_dotted = re.compile(
        r"(?<=\.)(" + "|".join(sorted(map(re.escape, plain), key=len, reverse=True)) + r")(?![\w-])"
    )
    lines = []
    for line in text.splitlines():
        quoted = re.split(r'("(?:\\.|[^"\\])*"|#.*$)', line)
        for i in range(0, len(quoted), 2):
            quoted[i] = pattern_dotted.sub(lambda m: new[m[1]], pattern.sub(lambda m: new[m[1]], quoted[i]))
        lines.append("".join(quoted))
    renamed = "\n".join(lines) + "\n"
    if load("design.coord", stdin=Source("design.coord", renamed)).problems:
        pytest.skip("a name of this design is a word of the language")
    assert places(renamed, profile) == places(text, profile)


def places(text: str, profile: str) -> Counter[tuple[str, frozenset[int]]]:
    """The saga findings by code and by the lines of all their labels, whichever of them comes first."""
    result = check(read(text, profile), select_rules(select=["SAG"], profile=profile))
    return Counter((f.code, frozenset(one.span.line for one in (f.primary, *f.related))) for f in result.findings)


# ------------------------------------------------------------------------------------------------ one criterion at a time

PARTS = """
store StockDb
store LedgerDb
command Place
command Reserve, Release, Charge, Refund, Ship, Recall, Mail, Note
query GetCharge
event Charged, Declined, Placed, Rejected
external service Shopper { sends Orders.Place }
service Inventory {
  handles Reserve { idempotent  writes StockDb.stock }
  handles Release { idempotent  compensates Reserve  writes StockDb.stock }
}
service Payments {
  handles Charge { idempotent  acts "charges"  succeeds or fails "declined" }
  handles Refund { idempotent  compensates Charge  acts "refunds" }
  handles GetCharge reads LedgerDb.charges
}
service Shipping {
  handles Ship { idempotent  acts "ships"  succeeds }
  handles Recall { idempotent  compensates Ship  acts "recalls" }
}
service Mailer { handles Mail { notifies  acts "mails" } }
service Ledger { handles Note writes LedgerDb.notes }
service Orders
"""


def workflow(body: str, more: str = "", profile: str = "default") -> list[str]:
    """The codes that a workflow with this body gets beside the usual participants."""
    text = f"workflow W in Orders {{\nstarts on Place\n{body}\n}}\n{PARTS}\n{more}"
    return [one.split()[0] for one in found(text, profile)]


RESERVE = "step reserve calls Reserve { compensate Release }"
CHARGE = "step charge calls Charge { pivot }"


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        (f"{RESERVE} {CHARGE} step ship calls Ship {{ retriable }}", []),
        ("step reserve calls Reserve step charge calls Charge", ["SAG301"]),
        ('step reserve calls Reserve { no compensation "kept for a retry" } step charge calls Charge', []),
        ("step reserve calls Reserve recovery forward step charge calls Charge", []),
        ("step reserve calls Reserve step charge calls Charge { on failure { calls Release } }", []),
        ("step reserve calls Reserve step charge calls Charge { on failure { calls Release  fails } }", []),
        ("step reserve calls Reserve step charge calls Charge on failure { calls Release }", []),
        ("step reserve calls Reserve step charge calls Charge on failure { calls Note }", ["SAG301"]),
        ("step reserve calls Reserve step charge calls Charge on failure { emits Rejected }", ["SAG301"]),
        ("step reserve calls Reserve step charge calls Charge { optional }", []),
        ("step reserve calls Reserve step charge calls Charge { fallback { calls Note } }", []),
        ("step mail calls Mail step charge calls Charge", []),
        ("step look calls GetCharge step charge calls Charge", []),
        ("either { step reserve calls Reserve } or { step charge calls Charge }", []),
        ("parallel { step reserve calls Reserve step charge calls Charge }", ["SAG301"]),
        (f"parallel {{ {RESERVE} {CHARGE} }}", []),
        ("for each line { step charge calls Charge }", ["SAG301"]),
        ('step charge calls Charge either "ok" { } or "not ok" { calls Refund  fails "no" }', []),
        ('step charge calls Charge either "ok" { } or "not ok" { calls Note  fails "no" }', ["SAG301"]),
        ("step ship calls Ship { no compensation } step reserve calls Reserve", ["SAG301"]),
        ("step ship calls Ship { no compensation } step reserve calls Reserve { retriable }", []),
        ("step ship calls Ship { no compensation } step reserve calls Reserve { attempts unlimited }", []),
    ],
)
def test_which_steps_need_a_compensation(body: str, codes: list[str]):
    assert workflow(body) == codes


def test_a_failure_that_is_only_possible_is_information():
    text = f"workflow W in Orders {{\nstarts on Place\nstep ship calls Ship\nstep reserve calls Reserve }}\n{PARTS}"
    (finding,) = check(read(text), select_rules(select=["SAG"])).findings
    assert (finding.code, finding.severity.label if finding.severity else "") == ("SAG301", "info")


def test_an_event_of_the_failure_block_can_undo():
    reaction = "service Stock { on Rejected { compensates Reserve  writes StockDb.stock } }"
    body = "step reserve calls Reserve step charge calls Charge on failure { emits Rejected }"
    assert workflow(body, reaction) == []


def test_never_failing_participants_do_not_count():
    more = 'command Never service Sure { handles Never { acts "works"  succeeds or 0% fails } }'
    assert workflow(
        "step reserve calls Reserve { compensate Release } step ship calls Ship step never calls Never", more
    ) == ["SAG301"]  # a candidate only: nothing is declared to fail
    assert (
        gaps(f"workflow W in Orders {{ starts on Place step ship calls Ship step never calls Never }}\n{PARTS}{more}")
        == set()
    )


def test_a_failure_is_passed_on_by_callers():
    more = "command Deep service Front { handles Deep { calls Charge } }"
    assert workflow("step ship calls Ship step deep calls Deep", more) == ["SAG301"]
    handled = "command Deep service Front { handles Deep { calls Charge { on failure { calls Note } } } }"
    text = "workflow W in Orders {{ starts on Place step ship calls Ship step deep calls Deep }}\n{}"
    assert gaps(text.format(PARTS + more)) == {"ship"}
    assert gaps(text.format(PARTS + handled)) == set()


def test_a_handler_that_orchestrates_is_read_like_a_workflow():
    handler = "service Front {{ handles Buy {{ calls Inventory.Reserve{} calls Payments.Charge }} }} command Buy"
    assert workflow("step ship calls Ship", handler.format("")) == ["SAG301"]
    assert workflow("step ship calls Ship", handler.format(" { compensate Release }")) == []
    lonely = "service Front { handles Buy { calls Inventory.Reserve calls Payments.GetCharge } } command Buy"
    assert workflow("step ship calls Ship", lonely) == []


def test_one_service_and_one_store_is_a_hint():
    more = "command Open, Close store BookDb service Books { handles Open writes BookDb.open "
    more += "handles Close { writes BookDb.closed  succeeds or fails } }"
    text = f"workflow W in Orders {{\nstarts on Place\nstep open calls Open\nstep close calls Close }}\n{PARTS}{more}"
    (finding,) = check(read(text), select_rules(select=["SAG301"])).findings
    assert finding.severity is not None
    assert finding.severity.label == "hint"


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        (f"{CHARGE} step ship calls Ship {{ pivot }}", ["SAG302"]),
        (f"either {{ {CHARGE} }} or {{ step ship calls Ship {{ pivot }} }}", []),
        (f"parallel {{ {CHARGE} step ship calls Ship {{ pivot }} }}", ["SAG302"]),
        ("step ship calls Ship { pivot } step charge calls Charge", ["SAG302"]),
        ("step ship calls Ship { pivot } step charge calls Charge { on failure { calls Note } }", []),
        ("step ship calls Ship { pivot } step charge calls Charge { on failure { fails } }", ["SAG302"]),
        ("step ship calls Ship { pivot } step charge calls Charge { optional }", []),
        ("step mail calls Mail { irreversible } step charge calls Charge { pivot }", ["SAG302"]),
        (
            'step mail calls Mail { irreversible  no compensation "a second mail" } step charge calls Charge { pivot }',
            [],
        ),
        (f"{CHARGE} step mail calls Mail {{ irreversible }}", []),
        (f"either {{ step mail calls Mail {{ irreversible }} }} or {{ {CHARGE} }}", []),
        (f"{CHARGE} step ship calls Ship {{ compensate Recall }}", ["SAG302"]),
    ],
)
def test_the_structure_around_the_pivot(body: str, codes: list[str]):
    assert workflow(body) == codes


@pytest.mark.parametrize(
    ("undo", "codes"),
    [
        ("compensate Release", []),
        ("compensate Release { no retries }", ["SAG303"]),
        ("compensate Release { attempts 3 }", ["SAG303"]),
        ("compensate Release { attempts unlimited }", []),
        ("compensate Release { attempts 3  on failure { calls Note } }", []),
        ('compensate Release { no retries "the job is repeated" }', []),
        ("compensate Weak", ["SAG303"]),
        ("compensate Moody", ["SAG303"]),
        ("compensate Moody { on failure { calls Note } }", []),
        ("compensate Queued { attempts 3 }", []),
        ("compensate Never", ["SAG304"]),
        ("compensate Reserve", ["SAG304"]),
        ("compensate Refund", ["SAG304"]),
        ("compensate Note", ["SAG304"]),
        ("compensate Other", ["SAG304"]),
        ("compensate Facade", []),
        ("compensate Bare", []),
        ("compensate { calls Release  calls Note }", []),
    ],
)
def test_compensations(undo: str, codes: list[str]):
    more = """
    broker B channel jobs on B command Queued via jobs
    command Weak, Moody, Never, Other, Facade, Bare
    service More {
      handles Weak { not idempotent  compensates Reserve  writes StockDb.stock }
      handles Moody { compensates Reserve  writes StockDb.stock  succeeds or fails }
      handles Never { compensates Reserve  fails "not implemented" }
      handles Facade { compensates Reserve  writes LedgerDb.jobs }
      handles Queued { compensates Reserve  writes StockDb.stock }
    }
    service Inventory2 { handles Other writes LedgerDb.others  handles Bare { } }
    """
    assert workflow(f"step reserve calls Reserve {{ {undo} }} {CHARGE}", more) == codes


def test_the_failure_block_of_a_compensation_runs_when_the_compensation_fails():
    body = f"step reserve calls Reserve {{ compensate Release {{ on failure {{ calls Note }} }} }} {CHARGE}"
    design = read(f"workflow W in Orders {{ starts on Place {body} }}\n{PARTS}")
    process = design.system.workflows["W"].process
    by_name = {a.message.name: a for a in design.system.actions_of(process, "call")}
    edges = {edge.kind: edge.target for edge in by_name["Release"].edges}
    assert edges["failure"] == by_name["Note"].id
    assert [edge.target for edge in by_name["Charge"].edges if edge.kind == "failure"] == [by_name["Release"].id]


def test_what_a_compensation_does_not_say_is_asked_where_another_one_says_it():
    two = "step ship calls Ship {{ compensate Recall {{ attempts unlimited }} }} step reserve calls Reserve {{ {} }} {}"
    assert workflow(two.format("compensate Release", CHARGE)) == ["SAG303"]
    assert workflow(f"{RESERVE} {CHARGE}", profile="strict") == ["SAG303"]


def test_retriable_steps_have_to_bear_it():
    weak = 'command Weak service More { handles Weak { not idempotent  acts "x" } }'
    assert workflow(f"{RESERVE} {CHARGE} step weak calls Weak {{ retriable }}", weak) == ["SAG303"]
    assert workflow(f"{RESERVE} {CHARGE} step ship calls Ship {{ attempts 3 }}") == ["SAG303"]
    assert workflow(f"{RESERVE} {CHARGE} step ship calls Ship {{ attempts 3  on failure {{ calls Note }} }}") == []


def test_a_compensation_that_cannot_run_is_left_alone():
    assert workflow("step reserve calls Reserve { compensate Release { no retries } }") == []


def test_a_read_has_nothing_to_undo():
    assert workflow(f"step look calls GetCharge {{ compensate Refund }} {CHARGE}") == ["SAG304"]


def test_two_steps_that_share_an_undo_of_the_same_key():
    more = "command First, Second, Undo store SeatDb service Seats { handles First writes SeatDb.a  handles Second writes SeatDb.a "
    more += "handles Undo { idempotent by order_id  writes SeatDb.a } }"
    body = (
        "idempotent by order_id step a calls First { compensate Undo } step b calls Second { compensate Undo } "
        + CHARGE
    )
    assert workflow(body, more) == ["SAG304"]
    exclusive = (
        "either { step a calls First { compensate Undo } } or { step b calls Second { compensate Undo } } " + CHARGE
    )
    assert workflow("idempotent by order_id " + exclusive, more) == []


@pytest.mark.parametrize(
    ("step", "codes"),
    [
        ("calls Charge { pivot  timeout 5s }", ["SAG305"]),
        ("calls Charge { pivot  timeout 5s  on timeout { calls GetCharge } }", []),
        ("calls Charge { pivot  timeout 5s  on timeout { calls GetCharge  fails } }", []),
        ("calls Charge { pivot  timeout 5s  on timeout { calls Refund  fails } }", []),
        ("calls Charge { pivot  timeout 5s  on timeout { fails } }", ["SAG305"]),
        ("calls Charge { pivot  timeout 5s  on failure { calls Note  fails } }", ["SAG305"]),
        ("calls Charge { pivot  timeout 5s  attempts unlimited }", []),
        ("calls Charge { compensate Refund  timeout 5s }", []),
        ("calls Charge { compensate Refund  timeout 5s  on timeout { fails } }", ["SAG305"]),
        ('calls Charge { timeout 5s  no compensation "settled by hand" }', []),
        ("calls GetCharge { timeout 5s }", []),
        ("{ calls Charge { timeout 5s } compensate Refund }", []),
        ("{ sends Charge  awaits Charged within 5m }", ["SAG305"]),
        ("{ sends Charge  awaits Charged within 5m  compensate Refund }", []),
        ("{ sends Charge  awaits { on Charged { } within 5m { calls GetCharge } } }", []),
        ("{ sends Charge  awaits { on Charged { } within 5m { fails } } }", ["SAG305"]),
    ],
)
def test_timeouts_leave_the_outcome_open(step: str, codes: list[str]):
    assert workflow(f"{RESERVE} step charge {step}") == codes


def test_a_lonely_step_may_time_out():
    assert workflow("step ship calls Ship { timeout 5s }") == []


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        ("awaits Charged", ["SAG306"]),
        ("awaits Charged within 5m", []),
        ("timeout 1h awaits Charged", []),
        ("no timeout awaits Charged", ["SAG306"]),
        ('no timeout "people take their time" awaits Charged', []),
        ("step wait { awaits Charged  timeout 5m }", []),
        ("awaits { on Charged { } on Declined { } }", ["SAG306"]),
        ("awaits { on Charged { } within 5m { } }", []),
        ("parallel any { awaits Charged waits 5m }", []),
        ("parallel { awaits Charged waits 5m }", ["SAG306"]),
        ("parallel any { branch { awaits Charged } branch { calls Note } }", ["SAG306"]),
        ("step pay calls Psp.Pay", ["SAG306"]),
        ("step pay calls Psp.Pay { timeout 5s }", []),
        ("no timeout step ship calls Ship", ["SAG306"]),
        ("no timeout step ship calls Ship { no timeout }", []),
        ("step ship calls Ship", []),
    ],
)
def test_waits(body: str, codes: list[str]):
    assert (
        workflow(body, 'command Pay external service Psp { handles Pay acts "pays"  emits Charged  emits Declined }')
        == codes
    )


def test_joined_triggers_and_flows_wait_too():
    join = "service J {{ on Charged and Declined{} {{ notifies }} }}"
    assert workflow("step ship calls Ship", join.format("")) == ["SAG306"]
    assert workflow("step ship calls Ship", join.format(" within 5m by id")) == []
    flow = "event Start, Middle, Done external service E { emits Start } service A { on Start emits Middle } "
    flow += "service B { on Middle emits Done } flow F { starts with Start  succeeds with Done %s }"
    assert workflow("step ship calls Ship", flow % "no within") == ["SAG306"]
    assert workflow("step ship calls Ship", flow % 'no within "a hobby"') == []
    assert workflow("step ship calls Ship", flow % "within 1d") == []


def test_a_flow_with_a_limit_bounds_its_waits():
    flow = "flow F { starts with Place from Shopper  succeeds with W  within 1d }"
    assert workflow("sends Mail awaits Charged", flow) == []


ASK = 'command Ask event Yes, No service P { handles Ask { acts "decides" %s } }'


@pytest.mark.parametrize(
    ("outcomes", "wait", "codes"),
    [
        ("emits Yes or fails No", "awaits Yes", ["SAG306", "SAG307"]),
        ("emits Yes or fails No", "awaits Yes or No", ["SAG306"]),
        ("emits Yes or fails No", "awaits Yes within 1h", []),
        ("emits Yes or fails", "awaits Yes", ["SAG306", "SAG307"]),
        ("emits Yes or 0% fails", "awaits Yes", ["SAG306"]),
        ("emits Yes or emits No", "awaits Yes", ["SAG306", "SAG307"]),
        ("emits Yes", "awaits Yes", ["SAG306"]),
        ("either { emits Yes } or { sends Mail }", "awaits Yes", ["SAG306"]),
        ("calls Payments.Charge emits Yes", "awaits Yes", ["SAG306", "SAG307"]),
        ("calls Payments.Charge { on failure { emits No } } emits Yes", "awaits Yes or No", ["SAG306"]),
    ],
)
def test_answers_that_nobody_takes(outcomes: str, wait: str, codes: list[str]):
    assert workflow(f"sends P.Ask {wait}", ASK % outcomes) == codes


def test_a_race_may_be_left():
    body = 'parallel {} {{ branch {{ step a acts "a" goto last }} branch {{ step b acts "b" }} }} step last acts "c"'
    assert workflow(body.format("any")) == []
    assert workflow(body.format("")) == ["SAG307"]
    assert workflow(body.format("interrupting")) == ["SAG307"]


def test_parallel_items_may_not_be_left():
    body = 'for each line {} {{ step a acts "a" either {{ goto last }} or {{ }} }} step last acts "b"'
    assert workflow(body.format("in parallel")) == ["SAG307"]
    assert workflow(body.format("")) == []


def test_a_failure_block_may_go_back():
    body = "parallel { branch { step a calls Charge { on failure { waits 1m goto a } } } branch { step b calls Note } }"
    assert workflow(f"recovery forward {body}") == []
    out = "parallel { branch { step a calls Charge { on failure { goto last } } } branch { step b calls Note } } step last calls Note"
    assert workflow(f"recovery forward {out}") == ["SAG307"]


def test_isolation():
    def kinds(first: str, second: str) -> list[str]:
        text = f"command Other workflow W in Orders {{ starts on Place {first} }} workflow V in Orders {{ starts on Other {second} }}"
        return [anomaly.kind for anomaly in Isolation(read(text + PARTS).sagas).anomalies()]

    undoable = "step a calls Reserve { compensate Release }"
    locked = "step a calls Reserve { compensate Release  isolation semantic-lock }"
    assert kinds(undoable, undoable) == ["lost update"]
    assert kinds(undoable, "step b calls Reserve { retriable }") == ["lost update"]
    assert kinds(locked, undoable) == []
    assert kinds("step b calls Reserve", "step b calls Reserve") == []
    assert kinds(undoable, "step look reads StockDb.stock") == ["dirty read"]
    assert kinds(undoable, "step look reads StockDb.stock step again reads StockDb.stock") == [
        "dirty read",
        "fuzzy read",
    ]
    assert kinds(undoable, "step look reads LedgerDb.notes") == []


LOCKS = """
store A store B store C
command LockA, LockB, LockC
service L {{ handles LockA writes A.x  handles LockB writes B.x  handles LockC writes C.x }}
command Go1, Go2, Go3
service O
workflow One in O {{ starts on Go1 {0} }}
workflow Two in O {{ starts on Go2 {1} }}
workflow Three in O {{ starts on Go3 {2} }}
"""


def locks(*orders: str) -> list[int]:
    """The lengths of the circles when workflows lock in these orders; `|` stands between exclusive, `&` between parallel locks."""

    def body(order: str) -> str:
        text = ""
        for part in order.split():
            branches = re.split(r"[|&]", part)
            steps = [
                " ".join(f"step l{c}{i} calls Lock{c} {{ isolation semantic-lock }}" for i, c in enumerate(b))
                for b in branches
            ]
            if "|" in part:
                text += f" either {{ {steps[0]} }} or {{ {steps[1].replace('step l', 'step m')} }}"
            elif "&" in part:
                text += f" parallel {{ branch {{ {steps[0]} }} branch {{ {steps[1]} }} }}"
            else:
                text += f" {steps[0]}"
        return text

    design = read(LOCKS.format(*(body(order) for order in (*orders, "", "")[:3])))
    return [len(circle) for circle in Isolation(design.sagas).inversions()]


@pytest.mark.parametrize(
    ("orders", "circles"),
    [
        (("AB", "AB"), []),
        (("AB", "BA"), [2]),
        (("AB", "BC", "CA"), [3]),
        (("AB", "BC", "AC"), []),
        (("AB|BA",), []),
        (("A&B",), [2]),
        (("ABC", "CA"), [2]),
    ],
)
def test_lock_orders(orders: tuple[str, ...], circles: list[int]):
    assert locks(*orders) == circles


# ------------------------------------------------------------------------------------------------ choreographed compensation

CHAIN = """
store SeatDb store BillDb
event Ordered, Seated, Billed, Refused
external service X {{ emits Ordered }}
service Seats {{ on Ordered {{ {seats} writes SeatDb.seats  emits Seated }} {hears} }}
service Bills {{ on Seated {{ {bills} }} }}
service Mailer {{ on Billed or Refused or Seated {{ notifies  acts "mails" }} }}
flow F {{ starts with Ordered from X  succeeds with Billed  {fails} }}
"""
REFUSES = "writes BillDb.bills  emits Billed or fails Refused"


@pytest.mark.parametrize(
    ("seats", "hears", "bills", "fails", "codes"),
    [
        ("", "", REFUSES, "fails with Refused", ["SAG310"]),
        ("", "", REFUSES, "", ["SAG310"]),
        ("", "", "writes BillDb.bills  emits Billed or 0% fails Refused", "fails with Refused", []),
        ("", "", "writes BillDb.bills  emits Billed", "", []),
        ("projection", "", REFUSES, "fails with Refused", []),
        ("", "on Refused writes SeatDb.seats", REFUSES, "fails with Refused", []),
        ("", "on Refused writes SeatDb.other", REFUSES, "fails with Refused", ["SAG310"]),
        ("", "on Refused { compensates Ordered  writes SeatDb.log }", REFUSES, "fails with Refused", []),
        ("", "on Refused { compensates Ordered  fails }", REFUSES, "fails with Refused", ["SAG310"]),
        ("", "on Refused { projection  writes SeatDb.seats }", REFUSES, "fails with Refused", ["SAG310"]),
    ],
)
def test_choreographed_compensation(seats: str, hears: str, bills: str, fails: str, codes: list[str]):
    text = CHAIN.format(seats=seats, hears=hears, bills=bills, fails=fails)
    assert [one.split()[0] for one in found(text)] == codes


def test_a_cancellation_from_outside_the_flow_counts():
    more = "command Cancel external service Y { sends Desk.Cancel } service Desk { handles Cancel emits Refused }"
    text = (
        CHAIN.format(seats="", hears="", bills="writes BillDb.bills  emits Billed", fails="fails with Refused") + more
    )
    (one,) = found(text)
    assert one.startswith("SAG310")
    design = read(text)
    (rollback,) = design.rollbacks.found
    assert [action.process.service.name for action in rollback.left] == ["Bills", "Seats"]


def test_what_happens_after_the_success_is_not_undone():
    more = "command Cancel external service Y { sends Desk.Cancel } service Desk { handles Cancel emits Refused } "
    more += "store LateDb service Late { on Billed writes LateDb.x }"
    design = read(
        CHAIN.format(seats="", hears="", bills="writes BillDb.bills  emits Billed", fails="fails with Refused") + more
    )
    (rollback,) = design.rollbacks.found
    assert "Late" not in [action.process.service.name for action in rollback.left]


def test_provisional_and_technical_events_and_batches_are_exempt():
    text = CHAIN.format(seats="", hears="", bills=REFUSES, fails="fails with Refused")
    for word in ("provisional", "technical"):
        marked = text.replace("event Ordered, Seated", f"event Ordered {{ {word} }}\nevent Seated")
        assert found(marked) == []
    assert found(text.replace("emits Seated }", "for each seat { emits Seated } }")) == []


def test_an_effect_on_the_failing_branch_is_none():
    bills = 'either "good" { emits Billed } or "bad" { writes BillDb.bad  fails Refused }'
    text = CHAIN.format(seats="notifies", hears="", bills=bills, fails="fails with Refused")
    assert found(text) == []
