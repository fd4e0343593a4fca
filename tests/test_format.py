"""The formatter: the layout case by case, and for any design: nothing lost, the same tree, nothing left to do."""

from __future__ import annotations

import random
import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coordlint.format import LINE_LENGTH, FormatError, format_source
from coordlint.parse import grammar, parse
from coordlint.rule import document, index
from coordlint.source import Source, decode_source, read_source
from coordlint.syntax import Clause, Name, Quantity, Ref, Text, Word
from coordlint.tables import build
from coordlint.tokens import Token, cut

SYSTEMS = Path(__file__).parent.parent / "fixtures" / "systems"
HOUSE_LENGTH = 120
"""The systems are laid out for lines as long as those of the code: their tables of channels read better unbroken."""


def formatted(text: str, **options: int) -> str:
    return format_source(Source("shop.coord", text), **options)


# ------------------------------------------------------------------------------------------------ layout

CASES = {
    "one space within a clause, two between clauses": (
        "event   Placed@2   via orders{key   id id :uuid?   lines: Line []=[]\tstate:NEW|PAID}",
        "event Placed @2 via orders { key id  id: uuid?  lines: Line[] = []  state: NEW | PAID }\n",
    ),
    "a body on one line stays there if it fits": (
        "service A{handles B{reads D . t emits C or 5% fails \"x\"}}",
        'service A { handles B { reads D.t  emits C or 5% fails "x" } }\n',
    ),
    "a body over several lines stays so": (
        "service A {\nreplicas 2\n}",
        "service A {\n  replicas 2\n}\n",
    ),
    "one clause to a line, also when the author had two on it": (
        "service A { replicas 2 zones 3\n uses B }",
        "service A {\n  replicas 2\n  zones 3\n  uses B\n}\n",
    ),
    "declarations stand on lines of their own": (
        "service A service B { } service C {\n}",
        "service A\nservice B {}\nservice C {}\n",
    ),
    "a body that does not fit is broken": (
        f'service A {{ note "{"n" * 60}" replicas 2 handles B {{ writes Db.t  emits C }} }}',
        f'service A {{\n  note "{"n" * 60}"\n  replicas 2\n  handles B {{ writes Db.t  emits C }}\n}}\n',
    ),
    "only the bodies that do not fit are broken, from the outside": (
        f'service A {{ handles B {{ calls {"C" * 80} {{ timeout 2s  attempts 3 }} }} }}',
        f"service A {{\n  handles B {{\n    calls {'C' * 80} {{ timeout 2s  attempts 3 }}\n  }}\n}}\n",
    ),
    "a long list wraps behind a comma": (
        f"service A {{\n uses {'B' * 40}, {'C' * 40},\n {'D' * 40}, E }}",
        f"service A {{\n  uses {'B' * 40}, {'C' * 40},\n      {'D' * 40}, E\n}}\n",
    ),
    "a list that fits is joined": (
        "service A {\n uses B,\n C,\n D }",
        "service A {\n  uses B, C, D\n}\n",
    ),
    "a long trigger wraps before `or`, and its body is broken": (
        f"service A {{\n on {'B' * 40} or {'C' * 40} or {'D' * 40} via q {{ notifies }} }}",
        f"service A {{\n  on {'B' * 40} or {'C' * 40}\n      or {'D' * 40} via q {{\n    notifies\n  }}\n}}\n",
    ),
    "alternatives on one line": (
        'service A { handles B either 90% "x" {succeeds} or{fails} }',
        'service A { handles B either 90% "x" { succeeds } or { fails } }\n',
    ),
    "alternatives on a line each": (
        'service A {\n handles B {\n either "x" { } or "y" { fails }\n or "z" { succeeds } } }',
        'service A {\n  handles B {\n    either "x" {}\n    or "y" { fails }\n    or "z" { succeeds }\n  }\n}\n',
    ),
    "alternatives with bodies of several lines": (
        'service A {\n handles B {\n either "x" {\n emits C }\n or "y" { } } }',
        'service A {\n  handles B {\n    either "x" {\n      emits C\n    } or "y" {}\n  }\n}\n',
    ),
    "an attribute behind a call without braces moves to the line it belongs to": (
        "workflow W in A {\n step s calls A.B timeout 3s\n}",
        "workflow W in A {\n  step s calls A.B\n  timeout 3s\n}\n",
    ),
    "blank lines: one between groups, none at the ends of bodies and files": (
        "\n\nservice A {\n\n\n replicas 2\n\n\n\n zones 2\n\n}\n\n\nservice B\n\n\n",
        "service A {\n  replicas 2\n\n  zones 2\n}\n\nservice B\n",
    ),
    "comments: alone, behind a line, behind a brace, at the end of a body and of the file": (
        "# first\n\n//second\nservice A { # a\n # b\n\n\n replicas 2# c\n\n # d\n\n}   // e\n\n # last",
        "# first\n\n//second\nservice A {  # a\n  # b\n\n  replicas 2  # c\n\n  # d\n}  // e\n\n# last\n",
    ),
    "a comment in an empty body": (
        "service A { # a\n}\nservice B {\n # b\n}",
        "service A {  # a\n}\nservice B {\n  # b\n}\n",
    ),
    "a comment inside a clause": (
        "service A {\n uses B, # b\n # c\n C\n handles\n # why\n D emits E }",
        "service A {\n  uses B,  # b\n      # c\n      C\n  handles\n      # why\n      D emits E\n}\n",
    ),
    "a comment between a head and its brace goes on behind the brace": (
        "service A # a\n# b\n{\n replicas 2 }",
        "service A {  # a\n  # b\n  replicas 2\n}\n",
    ),
    "the brace stays below when both lines have a comment": (
        "service A # a\n{ # b\n replicas 2 }",
        "service A  # a\n{  # b\n  replicas 2\n}\n",
    ),
    "comments around the `or` of alternatives": (
        "service A { handles B either { # a\n fails } # b\n # c\n or # d\n { } }",
        "service A {\n  handles B either {  # a\n    fails\n  }  # b\n  # c\n  or {  # d\n  }\n}\n",
    ),
    "comments that stand below each other do so again": (
        "channel c {\n topic             # or: queue,\n                   # never both\n partitions 12\n"
        " ordered by id     # or: unordered\n\n redrive # once\n archive    # twice\n}",
        "channel c {\n  topic          # or: queue,\n                 # never both\n  partitions 12\n"
        "  ordered by id  # or: unordered\n\n  redrive  # once\n  archive  # twice\n}\n",
    ),
    "the line of an ignore comment is not broken": (
        f"service A {{ handles B {{ acts \"{'x' * 90}\"  emits C }} # coordlint: ignore[EVT201] why\n}}",
        f"service A {{ handles B {{ acts \"{'x' * 90}\"  emits C }}  # coordlint: ignore[EVT201] why\n}}\n",
    ),
    "nothing is joined to the line of an ignore comment": (
        "service A {\n uses B,\n C, D # coordlint: ignore[SPF101] why\n on X\n or Y { notifies }# coordlint:ignore[EVT201]\n}",
        "service A {\n  uses B,\n      C, D  # coordlint: ignore[SPF101] why\n"
        "  on X\n      or Y { notifies }  # coordlint:ignore[EVT201]\n}\n",
    ),
    "an ignore comment stays right above its declaration": (
        "service A { replicas 2 }\n    # coordlint: ignore[SPF101] why\nservice B {\n# coordlint: ignore[EVT201] why\n\temits C }",
        "service A { replicas 2 }\n# coordlint: ignore[SPF101] why\nservice B {\n  # coordlint: ignore[EVT201] why\n  emits C\n}\n",
    ),
    "strings stay as they are": (
        'service A {\n note """  a\n\n   b  """\n note "x  \\" # y"\n team "a  b" }',
        'service A {\n  note """  a\n\n   b  """\n  note "x  \\" # y"\n  team "a  b"\n}\n',
    ),
    "a comment alone": ("\n  # a  \n", "# a\n"),
    "nothing at all": (" \n\n", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_layout(case: str):
    before, after = CASES[case]
    assert formatted(before) == after
    assert formatted(after) == after


def test_the_line_length_can_be_chosen():
    line = "channel orders on Kafka { topic  delivery at-least-once }\n"
    assert formatted(line, line_length=57) == line
    assert formatted(line, line_length=56).count("\n") == 4


def test_a_comment_does_not_count_for_the_length_of_its_line():
    line = f"service A {{ replicas 2 }}  # {'x' * LINE_LENGTH}\n"
    assert formatted(line) == line


# ------------------------------------------------------------------------------------------------ files


def test_line_ends_become_those_of_most_lines():
    assert formatted("service A {\r\n  replicas 2 # a\r\n}\n") == "service A {\r\n  replicas 2  # a\r\n}\r\n"
    assert formatted("service A {\n  replicas 2 # a\r\n}\n") == "service A {\n  replicas 2  # a\n}\n"


def test_line_ends_inside_strings_belong_to_the_strings():
    text = 'service A {\n  note """a\r\nb\r\nc\r\n"""\n}\n'
    assert formatted(text) == text


def test_a_byte_order_mark_is_no_part_of_the_text():
    source = decode_source(b"\xef\xbb\xbfservice   A", "shop.coord")
    assert source.bom
    assert format_source(source) == "service A\n"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"service A\nservice B { replicas x }", "shop.coord:2:22: expected a count"),
        (b"service A {", "shop.coord:1:11: expected `}`"),
        (b'note "x', "shop.coord:1:1: "),
        (b"service A # \xff", "shop.coord:1:13: byte 0xff is not UTF-8"),
        (b"tags " + b"x" * 100_001, "shop.coord:1:1: the line is longer"),
    ],
)
def test_what_cannot_be_read_is_not_formatted(data: bytes, message: str):
    with pytest.raises(FormatError) as caught:
        format_source(decode_source(data, "shop.coord"))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_no_line_gets_too_long_to_be_read_again():
    text = "service A { handles B\n calls " + ".\n".join(["x" * 60_000] * 2) + "}"
    assert parse(Source("a", text)).problems == ()
    with pytest.raises(FormatError, match="a line would get longer than 100,000 characters"):
        formatted(text)


# ------------------------------------------------------------------------------------------------ any design


def tree(node: Any) -> Any:
    """A syntax node without its places."""
    match node:
        case Clause():
            body = None if node.body is None else tuple(map(tree, node.body))
            return (node.kind, tuple(map(tree, node.values)), body)
        case Quantity():
            return ("quantity", node.kind, node.value, node.text)
        case Name():
            return ("name", node.text, node.quoted)
        case Ref():
            return ("ref", tuple(map(tree, node.parts)), node.version)
        case Text() | Word():
            return (type(node).__name__, node.text)
    raise AssertionError(node)


def trees(text: str) -> list[Any]:
    parsed = parse(Source("a", text))
    assert parsed.problems == ()
    return [tree(clause) for clause in parsed.declarations]


def comments_in_place(text: str) -> list[tuple[str, int, bool]]:
    """Each comment with the number of tokens before it, and whether it stands behind one in its line.

    Comments between a head and its brace count as standing behind the brace.
    """
    tokens, comments = cut(Source("a", text))
    found = []
    for comment in comments:
        before = [token for token in tokens if token.end <= comment.start]
        count = len(before)
        if tokens[count : count + 1] and tokens[count].text == "{":
            count += 1
        line = text[text.rfind("\n", 0, comment.start) + 1 : comment.start]
        found.append((comment.text.rstrip(), count, bool(line.strip())))
    return found


def ignored_lines(text: str) -> list[list[str]]:
    """The tokens of each line that ends with an ignore comment."""
    tokens, comments = cut(Source("a", text))
    found = []
    for comment in comments:
        start = text.rfind("\n", 0, comment.start) + 1
        line = [token.text for token in tokens if start <= token.start < comment.start]
        if "coordlint:" in comment.text and line:
            found.append(line[:-1] if line[-1] == "{" else line)  # the brace may have come from the next line
    return found


def blank_groups(text: str) -> list[int]:
    """The numbers of tokens before which blank lines separate clauses of one body."""
    source = Source("a", text)
    tokens, _ = cut(source)
    starts = {token.start: number for number, token in enumerate(tokens)}
    found = []
    pending: list[tuple[Clause, ...]] = [parse(source).declarations]
    while pending:
        body = pending.pop()
        for clause in body:
            number = starts[clause.span.start]
            gap = text[tokens[number - 1].end : clause.span.start] if number else ""
            if clause is not body[0] and re.search(r"\n[ \t\r]*\n", gap):
                found.append(number)
            pending += [clause.body or (), *([value] for value in clause.every(Clause))]  # type: ignore[list-item]
    return sorted(set(found))


def long_bodies(text: str) -> list[str]:
    """Lines that are too long and hold a body, those with an ignore comment left out."""
    lines: dict[int, list[Token]] = {}
    for token in cut(Source("a", text))[0]:
        lines.setdefault(text.rfind("\n", 0, token.start) + 1, []).append(token)
    return [
        " ".join(token.text for token in tokens)
        for start, tokens in lines.items()
        if tokens[-1].end - start > LINE_LENGTH
        and any(brace.text == "{" and inside.text != "}" for brace, inside in pairwise(tokens))
        and "coordlint:" not in text[start : text.find("\n", tokens[-1].end)]
    ]


def assert_formats_well(text: str) -> None:
    after = formatted(text)
    assert formatted(after) == after, "formatting again changes nothing"
    assert trees(after) == trees(text), "the tree is the same"
    assert [t.text for t in cut(Source("a", after))[0]] == [t.text for t in cut(Source("a", text))[0]]
    assert comments_in_place(after) == comments_in_place(text), "every comment where it was"
    assert ignored_lines(after) == ignored_lines(text), "an ignore comment covers what it covered"
    assert blank_groups(after) == blank_groups(text), "groups of clauses stay groups"
    assert long_bodies(after) == [], "a body on one line fits there"
    outside = _without_block_strings(after)
    assert outside == "" or re.search(r"\S\n\Z", outside)
    assert not after.startswith(("\n", " "))
    assert "\n\n\n" not in outside
    assert not re.search(r"\{\n\n|\n\n[ \t]*\}", outside), "no blank line at the ends of a body"
    assert not re.search(r"[ \t]\n", outside), "no white space at the end of a line"


def _without_block_strings(text: str) -> str:
    for token in cut(Source("a", text))[0]:
        if token.raw == "BLOCK_STRING":
            text = text.replace(token.text, '""', 1)
    return text.replace("\r\n", "\n")


DESIGNS = sorted(SYSTEMS.rglob("*.coord"))


@pytest.mark.parametrize("path", DESIGNS, ids=lambda path: path.name)
def test_the_systems(path: Path):
    assert_formats_well(read_source(path).text)


@pytest.mark.parametrize("path", DESIGNS, ids=lambda path: path.name)
def test_the_systems_are_kept_formatted(path: Path):
    source = read_source(path)
    assert format_source(source, HOUSE_LENGTH) == source.text, f"coordlint fmt --line-length {HOUSE_LENGTH} fixtures"


def test_the_examples_of_the_rules():
    documents = [document(entry) for entry in index()]
    texts = [example.text for doc in documents for example in (*doc.bad, *doc.good)]
    intact = [text for text in texts if not parse(Source("a", text)).problems]
    assert len(intact) > len(texts) * 0.9
    for text in intact:
        assert_formats_well(text)


@pytest.mark.parametrize("path", DESIGNS[:4], ids=lambda path: path.name)
@pytest.mark.parametrize("seed", [1, 2])
def test_the_systems_with_comments_and_line_breaks_everywhere(path: Path, seed: int):
    tokens, _ = cut(read_source(path))
    assert_formats_well(spread([(t.raw, t.text) for t in tokens], random.Random(seed)))


# The grammar itself is the strategy: a random derivation of each rule, with random white space and comments between tokens.

WORDS = ("A", "orders-dlq", "stock_1", "x", "Reserve", "A" * 45)
LITERALS = {
    "NAME": WORDS,
    "STRING": ('"a b"', '"# no \\" comment"', '"' + "s" * 50 + '"', '"é {"'),
    "BLOCK_STRING": ('"""one"""', '"""\n  two\n\n lines\n"""', '"""a\r\nb"""'),
    "FIELD": ("id", "on", '"a b"', "f" * 30),
    "DATE": ("2027-01-31",),
    "DURATION": ("500ms", "1.5h"),
    "RATE": ("50/s",),
    "SIZE": ("256KB",),
    "PERCENT": ("5%", "0.1%"),
    "FACTOR": ("x2", "x1.5"),
    "VERSION": ("@2", "@1..2", "@2.."),
    "NUMBER": ("-5", "1e3", "0.5"),
    "INT": ("3",),
}  # fmt: skip


@cache
def productions() -> dict[str, list[tuple[list[tuple[str, bool]], int]]]:
    """By rule, what it may become, and how deep the smallest text of each production nests."""
    rules: dict[str, list[list[tuple[str, bool]]]] = {}
    for rule in build().rules:
        rules.setdefault(rule.origin.name, []).append([(str(part.name), part.is_term) for part in rule.expansion])
    depths: dict[str, int] = {}
    for _ in rules:
        for name, expansions in rules.items():
            known = [
                1 + max((0 if term else depths.get(part, 10_000) for part, term in expansion), default=0)
                for expansion in expansions
            ]
            depths[name] = min(known)
    return {
        name: [
            (expansion, 1 + max((0 if term else depths[part] for part, term in expansion), default=0))
            for expansion in expansions
        ]
        for name, expansions in rules.items()
    }


def derived(source: random.Random, size: int) -> list[tuple[str, str]]:
    """The tokens of a random design, as kinds and texts."""
    words_of = grammar()[1].words_of
    patterns = grammar()[0].patterns
    tokens: list[tuple[str, str]] = []
    pending = [(source.choice(("_decl", "_decl", "service", "workflow")), False) for _ in range(source.randint(1, 3))]
    while pending:
        name, is_terminal = pending.pop()
        if is_terminal:
            texts = LITERALS.get(name) or words_of.get(name) or (patterns[name].replace("\\", ""),)
            tokens.append((name, source.choice(texts)))
            continue
        choices = productions()[name]
        if len(tokens) + len(pending) > size:
            least = min(depth for _, depth in choices)
            choices = [choice for choice in choices if choice[1] == least]
        pending += reversed(max(source.choice(choices)[0], source.choice(choices)[0], key=len))
    return tokens


GAPS = (
    " ", " ", " ", "  ", "\t", "\n", "\n", "\n    ", "\n\n", "\n\n\n  ", "\r\n", " # a\n", "# b  \n   ", " // c\n\n",
    "\n# d\n", "\n\n     # e\n\n", " # f\n          # g\n # h\n", " # coordlint: ignore[X] why\n", "\n# coordlint: ignore[Y]\n",
    " # i\r\n",
)  # fmt: skip


def spread(tokens: list[tuple[str, str]], source: random.Random) -> str:
    """A text of those tokens with anything that may stand between them."""
    parts = [source.choice(("", "", *GAPS))]
    for number, (kind, text) in enumerate(tokens):
        following = tokens[number + 1][1] if number + 1 < len(tokens) else ""
        parts.append(text)
        if following == ":" and kind != "_COLON":
            parts.append(source.choice(("", " ")))
        elif source.random() < 0.5:
            parts.append(" ")
        elif text in "{}" or following in ("{", "}", ",", ".") or text == ",":
            parts.append(source.choice(("", *GAPS)))
        else:
            parts.append(source.choice(GAPS))
    return "".join(parts)


@settings(max_examples=300, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(10, 150))
def test_any_design(source: random.Random, size: int):
    tokens = derived(source, size)
    text = spread(tokens, source)
    assert parse(Source("a", text)).problems == (), "the strategy makes designs only"
    assert_formats_well(text)


def test_the_strategy_reaches_every_rule_of_the_grammar():
    seen: set[str] = set()
    for seed in range(2_000):
        tokens = derived(random.Random(seed), 200)
        pending = list(parse(Source("a", " ".join(text for _, text in tokens))).declarations)
        while pending:
            clause = pending.pop()
            seen.add(clause.kind)
            pending += [*(clause.body or ()), *clause.every(Clause)]
    rules = {rule.alias or rule.origin.name for rule in build().rules}
    smaller = {"start", "name", "ref", "msg", "title", "why", "block", "call_body"}
    assert sorted(rule for rule in rules - smaller - seen if rule[0] != "_") == []


# ------------------------------------------------------------------------------------------------ extremes


def test_a_hundred_levels():
    text = "service A { handles B { " + "repeat {" * 98 + "}" * 98 + "}}"
    assert_formats_well(text)
    assert_formats_well(text.replace("{", "{\n"))
    assert_formats_well(text.replace("{", "{ # c\n"))


@pytest.mark.parametrize(
    "text",
    [
        "service A {" + " emits B" * 5_000 + "}",
        "service A {\n" + "# c\n" * 5_000 + "}",
        "service A { uses " + ", # c\n".join(["B"] * 5_000) + "}",
        "command " + ", ".join(["B"] * 5_000),
    ],
    ids=["clauses", "comments", "commented names", "names"],
)
def test_thousands_of_one_thing(text: str):
    after = formatted(text)
    assert after.count("\n") > 100
    assert formatted(after) == after
