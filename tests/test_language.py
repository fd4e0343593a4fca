"""The language reference and the grammar are true: their examples are designs, and between them they show everything."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from lark import Lark
from lark.exceptions import LarkError

from coordlint.design import Design, load
from coordlint.parse import grammar, parse
from coordlint.rule import index
from coordlint.source import Source
from coordlint.syntax import Clause, Name, Ref
from coordlint.tables import build, grammar_text

REFERENCE = Path(__file__).parent.parent / "grammar" / "README.md"


class Example(NamedTuple):
    """A fenced block of the reference: its line, whether it leaves declarations out, and its text."""

    line: int
    fragment: bool
    text: str

    def __str__(self) -> str:
        return f"line-{self.line}"


def examples() -> list[Example]:
    text = REFERENCE.read_text(encoding="utf-8")
    found = re.finditer(r"^```coord( fragment)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Example(text.count("\n", 0, one.start()) + 1, bool(one[1]), one[2]) for one in found]


EXAMPLES = examples()


def design(text: str) -> Design:
    return load("reference/example.coord", stdin=Source("reference/example.coord", text))


def clauses(design_clauses: tuple[Clause, ...]) -> list[Clause]:
    """All clauses, at every depth."""
    found = []
    pending = list(design_clauses)
    while pending:
        clause = pending.pop()
        found.append(clause)
        pending += [*(value for value in clause.values if isinstance(value, Clause)), *(clause.body or ())]
    return found


# ------------------------------------------------------------------------------------------------ the reference


def test_every_fence_is_known():
    fences = re.findall(r"^```(.*)$", REFERENCE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {fence for fence in fences if fence} == {"coord", "coord fragment"}
    assert len(fences) == 2 * len(EXAMPLES)


@pytest.mark.parametrize("example", EXAMPLES, ids=str)
def test_an_example_of_the_reference_is_a_design(example: Example):
    found = [
        f"{problem.code} {problem.message}"
        for problem in design(example.text).problems
        if problem.code == "SYN001" or not example.fragment
    ]
    assert found == []


def test_the_first_design_has_ten_lines():
    assert EXAMPLES[0].text.count("\n") <= 10


def test_the_reference_shows_every_construct():
    shown = {clause.kind for example in EXAMPLES for clause in clauses(parse(Source("", example.text)).declarations)}
    lark = build()
    rules = {rule.alias or rule.origin.name for rule in lark.rules}
    kinds = {rule for rule in rules if not rule.startswith("_")}
    # These are read into the values of other clauses.
    kinds -= {"start", "name", "ref", "msg", "title", "why", "block", "call_body"}
    assert kinds - shown == set()


def test_the_reference_names_every_keyword():
    """In an example, or in code within the text, such as the words that an attribute may be followed by."""
    text = REFERENCE.read_text(encoding="utf-8")
    code = [
        *(example.text for example in EXAMPLES),
        *re.findall(r"`[^`\n]+`", re.sub(r"```.*?```", "", text, flags=re.S)),
    ]
    words = {word for one in code for word in re.findall(r"[a-z][a-z-]*", one)}
    assert set(grammar()[1].keywords) - words == set()


def test_links_within_the_reference_lead_somewhere():
    text = REFERENCE.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]*)\)", text)) - anchors == set()
    files = [target for target in re.findall(r"\]\(([^)#]*)\)", text) if "://" not in target]
    assert [file for file in files if not (REFERENCE.parent / file).exists()] == []


# ------------------------------------------------------------------------------------------------ the grammar's comments


class Comment(NamedTuple):
    """An example beside or above a rule of the grammar."""

    rule: str
    text: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.text}"


def comments() -> list[Comment]:
    """Examples are parted by ` · `; three spaces end the example and begin an explanation; … stands for anything."""
    found = []
    above: list[str] = []
    for line in grammar_text().split("\n"):
        if line.startswith("//"):
            above.append(line.removeprefix("//").strip(" -"))
            continue
        rule = re.match(r"([a-z]\w*):", line)
        if rule:
            _, _, beside = line.partition(" // ")
            for text in [*above, beside]:
                parts = [re.split(r"\s{3,}", part.strip())[0].replace("…", "") for part in text.split(" · ")]
                found += [Comment(rule[1], part) for part in parts if part]
        above = []
    return found


COMMENTS = comments()


@cache
def every_rule() -> Lark:
    """The grammar with every rule as a possible start."""
    text = grammar_text()
    rules = re.findall(r"^([a-z]\w*):", text, re.MULTILINE)
    return Lark(text, parser="lalr", maybe_placeholders=False, keep_all_tokens=True, start=rules)


@pytest.mark.parametrize("comment", COMMENTS, ids=str)
def test_an_example_in_the_grammar_is_what_its_rule_reads(comment: Comment):
    try:
        every_rule().parse(comment.text, start=comment.rule)
    except LarkError as error:
        pytest.fail(str(error))


def test_most_rules_have_an_example():
    rules = set(re.findall(r"^([a-z]\w*):", grammar_text(), re.MULTILINE))
    without = rules - {comment.rule for comment in COMMENTS}
    assert without == {
        "start", "field_type", "field_enum", "literal", "watches", "starts_from", "block", "chance", "sends_after", "arm",
        "arm_within", "choice", "repeat_limit", "in_parallel", "call_body", "backoff_cap",
    }, "rules without an example are parts of one that has"  # fmt: skip


# ------------------------------------------------------------------------------------------------ keywords and names

KEYWORDS = sorted(grammar()[1].keywords)


@pytest.mark.parametrize("word", KEYWORDS)
def test_a_keyword_is_a_name_where_only_a_name_can_stand(word: str):
    text = f"""
    broker {word}b
    channel {word} on {word}b
    event {word} via {word} {{ key {word}  {word}: {word}  "{word}2": A | {word} }}
    command Do
    store {word}s {{ owner {word} }}
    service {word} {{
      team {word}
      tags {word}
      uses {word}s, {word}
      emits {word}
      handles Do {{ idempotent by {word}  writes {word}s.{word} }}
    }}
    workflow {word} in {word} {{
      starts on Do
      step {word} calls {word}.Do
      for each {word} {{ goto {word} }}
    }}
    flow {word} {{ starts with Do from {word}  order {word} before {word} }}
    """
    document = parse(Source("", text))
    assert [problem.message for problem in document.problems] == []
    names = {
        value.text for clause in clauses(document.declarations) for value in clause.values if isinstance(value, Name)
    }
    assert word in names


@pytest.mark.parametrize(
    ("text", "kind", "quoted"),
    [
        ("workflow W in S { on failure { } }", "on_failure", 'workflow W in S { awaits { on "failure" { } } }'),
        ("workflow W in S { on timeout { } }", "on_timeout", 'workflow W in S { awaits { on "timeout" { } } }'),
        (
            "workflow W in S { on unexpected drop }",
            "on_unexpected",
            'workflow W in S { awaits { on "unexpected" { } } }',
        ),
        ("service S { on change of D { } }", "on_change", 'service S { on "change" { } }'),
        ("service S { emits A or emits B }", "emits", 'service S { emits A or "emits" }'),
        ("service S { emits A or fails }", "fails", 'service S { emits A or "fails" }'),
        ("service S { emits A or succeeds }", "succeeds", 'service S { emits A or "succeeds" }'),
        ("workflow W in S { awaits by f { } }", "by", 'workflow W in S { awaits "by" }'),
    ],
)
def test_a_keyword_that_can_stand_there_is_one_unless_it_is_quoted(text: str, kind: str, quoted: str):
    def read(text: str) -> list[Clause]:
        document = parse(Source("", text))
        assert document.problems == ()
        return clauses(document.declarations)

    assert kind in {clause.kind for clause in read(text)}
    word = re.findall(r'"([^"]*)"', quoted)[-1]
    refs = [value for clause in read(quoted) for value in clause.values if isinstance(value, Ref)]
    assert word in {part.text for ref in refs for part in ref.parts if part.quoted}


@pytest.mark.parametrize("word", KEYWORDS)
def test_a_field_may_have_any_name(word: str):
    document = parse(Source("", f"event E {{ {word}: int  {word}2: string }} type T {{ {word} : int }}"))
    assert document.problems == ()
    assert [field.name.text for field in document.declarations[0].body or ()] == [word, f"{word}2"]
    assert [field.name.text for field in document.declarations[1].body or ()] == [word]


@pytest.mark.parametrize("word", KEYWORDS)
def test_keywords_have_borders(word: str):
    """`pivottimeout 5s` is a name that nobody declared, never two attributes."""
    document = parse(Source("", f"workflow W in S {{ {word}timeout 5s }}"))
    assert [problem.primary.span.text for problem in document.problems] == [f"{word}timeout"]


def test_the_ignores_of_the_reference_name_rules():
    named = [
        word.strip()
        for example in EXAMPLES
        for selectors in re.findall(r"ignore\[([^\]]*)\]", example.text)
        for word in selectors.split(",")
    ]
    assert named
    assert set(named) - {word for entry in index() for word in (entry.code, entry.name)} == set()
