"""The parser: held against Lark's own lexer, its recovery from syntax errors, and input that nobody should write."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lark import Lark
from lark.exceptions import UnexpectedInput

from coordlint import parse as parser
from coordlint.check import check
from coordlint.design import load
from coordlint.lalr import push
from coordlint.parse import grammar, parse
from coordlint.source import LONGEST_LINE, Source, Span, decode_source
from coordlint.syntax import Clause, Document, Name, Value
from coordlint.tables import grammar_text
from coordlint.tree import maker

ROOT = Path(__file__).parent.parent
SYSTEMS = sorted((ROOT / "fixtures" / "systems").rglob("*.coord"))
DESIGNS = {path.stem: path.read_text(encoding="utf-8") for path in SYSTEMS}
REFERENCE = re.findall(
    r"^```coord(?: \w+)?\n(.*?)^```$", (ROOT / "grammar" / "README.md").read_text(encoding="utf-8"), re.M | re.S
)
VALID = [*DESIGNS.values(), *REFERENCE]


def read(text: str) -> Document:
    return parse(Source("shop.coord", text))


# ------------------------------------------------------------------------------------------------ the grammar


@pytest.fixture
def conflicts(caplog):
    """Lark resolves a conflict silently; its debug log tells."""

    def build(text: str) -> list[str]:
        caplog.clear()
        with caplog.at_level(logging.DEBUG, logger="lark"):
            Lark(text, parser="lalr", maybe_placeholders=False, keep_all_tokens=True, debug=True)
        return [message for message in caplog.messages if "conflict" in message.lower()]

    return build


def test_the_grammar_has_no_conflict(conflicts):
    assert conflicts('start: a "x"?\na: "y" "x"?')
    assert conflicts(grammar_text()) == []


# ------------------------------------------------------------------------------------------------ the lexer


@cache
def lark() -> Lark:
    """The grammar with Lark's contextual lexer, which is slow and right."""
    return Lark(grammar_text(), parser="lalr", maybe_placeholders=False, keep_all_tokens=True)


def tokens_by_lark(text: str) -> list[tuple[str, str]] | None:
    """The terminals of a text with what they are in the text, or None if it is no design."""
    try:
        interactive = lark().parse_interactive(text)
        tokens = [(token.type, str(token)) for token in interactive.iter_parse()]
        interactive.feed_eof()
    except UnexpectedInput:
        return None
    return tokens


def tokens(text: str) -> list[tuple[str, str]] | None:
    source = Source("shop.coord", text)
    found, _ = parser.cut(source)
    reader = parser.Parser(source, found)
    reader.run()
    return None if reader.problems else [(token.type, token.text) for token in found]


class Larks:
    """Lark's callbacks: the nodes that our own parser makes, under Lark's hands."""

    source = Source("", "")

    def __getattr__(self, rule: str):
        if rule[0] == "_" or rule.isupper():
            raise AttributeError(rule)
        return lambda children: maker(self.source)(str(rule), children)


@cache
def building() -> tuple[Larks, Lark]:
    makes = Larks()
    options = {"parser": "lalr", "maybe_placeholders": False, "keep_all_tokens": True, "transformer": makes}
    return makes, Lark(grammar_text(), **options)


@pytest.mark.parametrize("text", VALID, ids=lambda text: text.split("\n")[0][:40])
def test_a_design_has_the_tree_that_lark_builds(text: str):
    source = Source("shop.coord", text)
    found, _ = parser.cut(source)
    parser.Parser(source, found).run()  # decides what each word is
    makes, lark = building()
    makes.source = source
    by_lark = lark.parse_interactive("")
    for token in found:
        by_lark.feed_token(token)
    assert parse(source).declarations == by_lark.feed_eof()


@pytest.mark.parametrize("text", VALID, ids=lambda text: text.split("\n")[0][:40])
def test_a_design_has_the_tokens_that_lark_finds(text: str):
    expected = tokens_by_lark(text)
    assert expected
    assert tokens(text) == expected


LITERALS = {
    "NAME": ("a", "Orders", "timeout", "or", "step", "x2", "x", "by-id", "_1", "order"),
    "STRING": ('"a b"', '"timeout"', '"a \\" b"', '"é # {"'),
    "FIELD": ("id", "timeout", '"a b"'),
    "BLOCK_STRING": ('"""a\n"b" }"""',),
    "DATE": ("2027-01-31",),
    "DURATION": ("2s", "1.5h", "500ms", "7d"),
    "RATE": ("50/s", "1.5/m"),
    "SIZE": ("256KB", "1B"),
    "PERCENT": ("99.9%", "5%"),
    "FACTOR": ("x2", "x1.5"),
    "VERSION": ("@2", "@1.2.0", "@1..2", "@2.."),
    "NUMBER": ("0.5", "-3", "1e9", "-1.5e-3"),
    "INT": ("3", "007"),
    "ARRAY": ("[]",),
    "OPTIONAL": ("?",),
    "_DOT": (".",), "_COMMA": (",",), "_COLON": (":",), "_EQUALS": ("=",), "_BAR": ("|",), "_LB": ("{",), "_RB": ("}",),
}  # fmt: skip
FINISHERS = (
    "_RB",
    "NAME",
    "INT",
    "DURATION",
    "PERCENT",
    "RATE",
    "SIZE",
    "STRING",
    "DATE",
    "_LB",
    "_COLON",
    "_OR",
    "_IN",
)
BLANKS = (" ", " ", " ", "\n", "\n  ", "\t", "\r\n", "  # a comment, { or so\n", " // another\n")


def words(terminal: str) -> tuple[str, ...]:
    return LITERALS.get(terminal) or grammar()[1].words_of[terminal]


@st.composite
def walks(draw: st.DrawFn) -> str:
    """A text along a random way through the parser's states, so that most of them are designs."""
    empty = parser.Parser(Source("", ""), [])
    stack = [empty.tables.first]
    parts: list[str] = []
    wanted = draw(st.integers(1, 60))
    while len(parts) < 3 * wanted + 200:
        accepted = sorted(one for one in empty.tables.steps[stack[-1]] if one.isupper() and empty.accepts(stack, one))
        if len(parts) >= 2 * wanted:
            if "$END" in accepted:
                return "".join(parts)
            terminal = next((one for one in FINISHERS if one in accepted), accepted[0])
        else:
            terminal = draw(st.sampled_from([one for one in accepted if one != "$END"]))
        assert push(empty.tables, stack, terminal)
        parts += [draw(st.sampled_from(words(terminal))), draw(st.sampled_from(BLANKS))]
    assume(False)
    return ""


LEXEMES = sorted({*(word for some in LITERALS.values() for word in some), *grammar()[1].keywords})
soups = st.lists(st.tuples(st.sampled_from(LEXEMES), st.sampled_from(BLANKS)), max_size=12).map(
    lambda parts: "".join(word + blank for word, blank in parts)
)


@settings(max_examples=150, deadline=None)
@given(walks())
def test_whatever_parses_has_the_tokens_that_lark_finds(text: str):
    assert tokens(text) == tokens_by_lark(text)


@settings(max_examples=300, deadline=None)
@given(soups)
def test_a_soup_is_a_design_only_if_lark_thinks_so(text: str):
    assert tokens(text) == tokens_by_lark(text)
    assert tokens(f"service A {{ handles B {{ {text} }} }}") == tokens_by_lark(
        f"service A {{ handles B {{ {text} }} }}"
    )


def test_a_factor_may_have_decimals():
    found = tokens("service A { calls { backoff 1s x1.5 up to 5s } }")
    assert found is not None
    assert ("FACTOR", "x1.5") in found
    for broken in ("x1.5%", "x1.5/s", "x1.5s", "x1.", "ax1.5"):
        assert tokens(f"service A {{ calls {{ backoff 1s {broken} }} }}") is None


def test_quotes_and_long_texts():
    document = read('service A { note "a \\"b\\" \\\\ \\n c" }\nservice B { note """\n  one\n  "two" } \n""" }')
    assert document.problems == ()
    notes = [declaration.body[0].title for declaration in document.declarations if declaration.body]
    assert notes == ['a "b" \\ \n c', 'one\n  "two" }']


def test_comments_are_kept():
    document = read('# one\nservice A { // two\n  replicas x # three\r\n}\nservice B { note "# none" } # four')
    assert [comment.text for comment in document.comments] == ["# one", "// two", "# three", "# four"]


def test_spans_lie_within_each_other():
    def inside(span: Span, clauses: tuple[Clause, ...]) -> Iterator[None]:
        end = span.start
        for clause in clauses:
            assert end <= clause.span.start <= clause.head.end <= clause.span.end <= span.end
            assert clause.span.source is span.source
            end = clause.span.end
            values: tuple[Value, ...] = clause.values
            assert all(clause.head.start <= value.span.start <= value.span.end <= clause.span.end for value in values)
            yield from inside(clause.span, clause.body or ())
            yield

    for text in VALID:
        document = read(text)
        assert sum(1 for _ in inside(document.source.span(), document.declarations)) > 0


# ------------------------------------------------------------------------------------------------ recovery


def outline(clauses: tuple[Clause, ...]) -> str:
    """What is left: `service A { replicas handler { outcomes } }`."""
    parts = []
    for clause in clauses:
        name = next((value.text for value in clause.values if isinstance(value, Name)), "")
        body = outline(clause.body) if clause.body else ""
        parts.append(f"{clause.kind}{f' {name}' if name else ''}{f' {{ {body} }}' if body else ''}")
    return " ".join(parts)


COUNT = "expected a count such as `3`"
SERVICE = "expected a line of the `service` body or `}`"
DECLARATION = "expected a declaration such as `service` or `event`"

ERRORS: dict[str, tuple[str, list[str], str]] = {
    # name: (text, [line:column `token` message | help], outline of what is left)
    "wrong value": (
        "service A { replicas three  zones 2 }",
        ["1:22 `three` " + COUNT + " after `replicas`, found `three`"],
        "service A { zones }",
    ),
    "several wrong values on one line": (
        "service A { replicas three zones two uses Db }",
        [
            "1:22 `three` " + COUNT + " after `replicas`, found `three`",
            "1:34 `two` " + COUNT + " after `zones`, found `two`",
        ],
        "service A { uses }",
    ),
    "several in one declaration, and in several": (
        "service A {\n  replicas x\n  zones y\n  uses Db\n}\nservice B {\n  zones z\n}\nservice C",
        [
            "2:12 `x` " + COUNT + " after `replicas`, found `x`",
            "3:9 `y` " + COUNT + " after `zones`, found `y`",
            "7:9 `z` " + COUNT + " after `zones`, found `z`",
        ],
        "service A { uses } service B service C",
    ),
    "missing value": (
        "service A { replicas zones 2 }",
        ["1:22 `zones` " + COUNT + " after `replicas`, found `zones`"],
        "service A { zones }",
    ),
    "missing value at the end of a line": (
        "service A {\n  replicas\n  zones 2\n}",
        ["3:3 `zones` " + COUNT + " after `replicas`, found `zones`"],
        "service A { zones }",
    ),
    "missing value before a brace": (
        "service A { handles X { emits } }\nservice B",
        ["1:31 `}` expected a name after `emits`, found `}`"],
        "service A { handler } service B",
    ),
    "missing units": (
        "service A { capacity 50 retry-budget 10 mttr 5 }\nevent E { size 5 }",
        [
            "1:22 `50` expected a rate such as `50/s` after `capacity`, found `50` | a number needs its unit here: `50/s`?",
            "1:38 `10` expected a percentage such as `99.9%` after `retry-budget`, found `10` | a number needs its unit here: `10%`?",
            "1:46 `5` expected a duration such as `2s` after `mttr`, found `5` | a number needs its unit here: `5s`?",
            "2:16 `5` expected a size such as `256KB` after `size`, found `5` | a number needs its unit here: `5KB`?",
        ],
        "service A message E",
    ),
    "missing unit of a chance": (
        "service A { emits B or 5 fails }",
        ["1:24 `5` expected a percentage such as `99.9%`, a name, `emits`, `fails` or `succeeds` after `or`, found `5`"
         " | a number needs its unit here: `5%`?"],
        "service A { outcomes outcomes }",
    ),
    "wrong unit": (
        "service A { mttr 5KB }",
        ["1:18 `5KB` expected a duration such as `2s` after `mttr`, found `5KB`"],
        "service A",
    ),
    "unknown unit": (
        "service A { mttr 5min  zones 2 }",
        ["1:18 `5min` expected a duration such as `2s` after `mttr`, found `5min`"],
        "service A { zones }",
    ),
    "decimals in a count": (
        "service A { replicas 1.5 }",
        ["1:22 `1.5` " + COUNT + " after `replicas`, found `1.5`"],
        "service A",
    ),
    "wrong word": (
        "store S { failover automatic  replicas 2 }",
        ["1:20 `automatic` expected `auto`, `manual` or `none` after `failover`, found `automatic`"],
        "store S { replicas }",
    ),
    "misspelt word": (
        "event E { compatible backwards  terminal }",
        ["1:22 `backwards` expected `backward`, `forward`, `full` or `none` after `compatible`, found `backwards`"
         " | did you mean `backward`?"],
        "message E { compatible terminal }",
    ),
    "misspelt attribute": (
        "service A { replicsa 3 }",
        [f"1:13 `replicsa` {SERVICE}, found `replicsa` | did you mean `replicas`?"],
        "service A { replicas }",
    ),
    "misspelt declaration": (
        "servcie A { replicas 3 }\nevnet E",
        [
            f"1:1 `servcie` {DECLARATION}, found `servcie` | did you mean `service`?",
            f"2:1 `evnet` {DECLARATION}, found `evnet` | did you mean `event`?",
        ],
        "service A { replicas } message E",
    ),
    "misspelt trigger": (
        "service A {\n  handels X { emits B }\n  on C emits D\n}",
        [f"2:3 `handels` {SERVICE}, found `handels` | did you mean `handles`?"],
        "service A { handler { outcomes } handler { outcomes } }",
    ),
    "misspelt context": (
        "contxt C {\n  service A\n  event E\n}",
        [f"1:1 `contxt` {DECLARATION}, found `contxt` | did you mean `context`?"],
        "context C { service A message E }",
    ),
    "misspelt, and wrong behind it": (
        "service A { replicsa three  zones 2 }",
        [f"1:13 `replicsa` {SERVICE}, found `replicsa` | did you mean `replicas`?"],
        "service A { zones }",
    ),
    "a keyword of another place": (
        "service A { timeout 3s  zones 2 }",
        [f"1:13 `timeout` {SERVICE}, found `timeout`"],
        "service A { zones }",
    ),
    "an unknown line each": (
        "service A {\n  foo three\n  bar 3 {\n    x\n  }\n  zones 2\n}",
        [f"2:3 `foo` {SERVICE}, found `foo`", f"3:3 `bar` {SERVICE}, found `bar`"],
        "service A { zones }",
    ),
    "unknown declarations": (
        "foo A { }\nbar B {\n  x\n}\nservice C",
        [f"1:1 `foo` {DECLARATION}, found `foo`", f"2:1 `bar` {DECLARATION}, found `bar`"],
        "service C",
    ),
    "missing brace before the next declaration": (
        "service A {\n  replicas 3\n\nservice B { zones 2 }\nevent E",
        ["4:1 `service` expected `}` to close `service` before `service` (1: opened here)"],
        "service A { replicas } service B { zones } message E",
    ),
    "missing brace of a handler": (
        "service A {\n  handles X {\n    emits B\n  handles Y { emits C }\n  replicas 3\n}\nservice D",
        ["4:3 `handles` expected `}` to close `handles` before `handles` (2: opened here)"],
        "service A { handler { outcomes } handler { outcomes } replicas } service D",
    ),
    "missing brace inside a context": (
        "context C {\n  service A { replicas 2\n  service B { zones 2 }\n  event E\n}\nservice D",
        ["3:3 `service` expected `}` to close `service` before `service` (2: opened here)"],
        "context C { service A { replicas } service B { zones } message E } service D",
    ),
    "two missing braces": (
        "service A {\n  handles X {\n    emits B\n\nservice C",
        [
            "5:1 `service` expected `}` to close `handles` before `service` (2: opened here)",
            "5:1 `service` expected `}` to close `service` before `service` (1: opened here)",
        ],
        "service A { handler { outcomes } } service C",
    ),
    "missing brace at the end of the file": (
        "service A {\n  replicas 3\n",
        ["2:12 `3` expected `}` to close `service` before the end of the file (1: opened here)"],
        "service A { replicas }",
    ),
    "missing braces at the end of the file": (
        "workflow W in A { either { emits B",
        [
            "1:34 `B` expected `}` to close `either` before the end of the file (1: opened here)",
            "1:34 `B` expected `}` to close `workflow` before the end of the file (1: opened here)",
        ],
        "workflow W",
    ),
    "nothing but an opening brace": (
        "service A {",
        ["1:11 `{` expected `}` to close `service` before the end of the file (1: opened here)"],
        "service A",
    ),
    "an early end": (
        "service A { zones 2 }\nservice B { replicas",
        ["2:13 `replicas` " + COUNT + " before the end of the file"],
        "service A { zones } service B",
    ),
    "an early end of a declaration": (
        "event E via",
        ["1:9 `via` expected a name before the end of the file"],
        "message E",
    ),
    "an early end of an either": (
        "workflow W in A { emits B  either { } or",
        ['1:39 `or` expected a percentage such as `99.9%`, a text in double quotes or `{` before the end of the file'],
        "workflow W { outcomes }",
    ),
    "an either with one branch": (
        "workflow W in A { either { emits B } emits C }",
        ["1:38 `emits` expected `or`, found `emits`"],
        "workflow W { outcomes }",
    ),
    "a closing brace too many": (
        "service A { replicas 3 } }\nservice B",
        ["1:26 `}` unmatched `}` | remove it, or open the body that it closes"],
        "service A { replicas } service B",
    ),
    "a closing brace too early": (
        "service A {\n  handles X { emits B } }\n  on C { emits D }\n}\nservice E",
        ["2:25 `}` unmatched `}` | remove it, or open the body that it closes"],
        "service A { handler { outcomes } handler { outcomes } } service E",
    ),
    "only closing braces": (
        "}}\nservice A",
        ["1:1 `}` unmatched `}` | remove it, or open the body that it closes",
         "1:2 `}` unmatched `}` | remove it, or open the body that it closes"],
        "service A",
    ),
    "a closing brace in an unfinished declaration": (
        "service A { } monitor\n}\nservice B { zones 2 }",
        [
            "2:1 `}` expected a name after `monitor`, found `}`",
            "2:1 `}` unmatched `}` | remove it, or open the body that it closes",
        ],
        "service A service B { zones }",
    ),
    "a body without a keyword": (
        "service A {\n  {\n  zones 2 }\n  replicas 3\n}\nservice B",
        [f"2:3 `{{` {SERVICE}, found `{{`"],
        "service A { replicas } service B",
    ),
    "a doubled brace": (
        "service A {{\n  zones 2\n}\nservice B",
        [f"1:12 `{{` {SERVICE}, found `{{`"],
        "service A { zones } service B",
    ),
    "a doubled brace at the end of the file": (
        "service A { { zones 2 }",
        [f"1:13 `{{` {SERVICE}, found `{{`"],
        "service A { zones }",
    ),
    "unclosed quote in a title": (
        'service A "takes orders\n{ replicas 3 }\nservice B',
        ['1:11 `"takes orders` the text `"takes orders` has no closing quote on its line'
         ' | end it with `"`, or write a longer one between `"""`'],
        "service A { replicas } service B",
    ),
    "unclosed quote that swallows a brace": (
        'service A { note "on hold }\nservice B',
        ['1:18 `"on hold }` the text `"on hold }` has no closing quote on its line'
         ' | end it with `"`, or write a longer one between `"""`'],
        "service A { note } service B",
    ),
    "unclosed quote where no text may stand": (
        'service A {\n  replicas "3\n  zones 2\n}',
        ['2:12 `"3` the text `"3` has no closing quote on its line | end it with `"`, or write a longer one between `"""`'],
        "service A { zones }",
    ),
    "unclosed long text": (
        'service A {\n  note """on hold\n  zones 2\n}\nservice B',
        ['2:8 `"""on hold` the text `"""on hold` has no closing `"""` | end it with three quotes'],
        "service A { note zones } service B",
    ),
    "unquoted text": (
        "service A { note this is on hold until then  }\nservice B",
        ["1:18 `this` expected a text in double quotes or a text in `\"\"\"` after `note`, found `this`"],
        "service A service B",
    ),
    "text instead of a name": (
        'service A { replicas "3" }',
        ['1:22 `"3"` expected a count such as `3` after `replicas`, found the text `"3"`'],
        "service A",
    ),
    "semicolons": (
        "service A { replicas 3; zones 2; }",
        [f"1:23 `;` {SERVICE} after `3`, found `;`", f"1:32 `;` {SERVICE} after `2`, found `;`"],
        "service A { replicas zones }",
    ),
    "a comma between declarations": (
        "service A, B\nservice C",
        [f"1:10 `,` {DECLARATION} after `A`, found `,`"],
        "service A service C",
    ),
    "a comma too many": (
        "service A { uses B, C,  zones 2 uses D }",
        [f"1:31 `2` {SERVICE} after `zones`, found `2`"],
        "service A { uses uses }",
    ),
    "fields": (
        "event E {\n  order_id uuid\n  total: decimal =\n  lines: Line[]\n  state: NEW |\n}\nevent F",
        [
            "2:3 `order_id` expected a field such as `order_id: uuid`, a line of the `event` body or `}`, found `order_id`",
            "4:8 `:` expected a field such as `order_id: uuid`, a line of the `event` body or `}` after `lines`, found `:`",
            "6:1 `}` expected a name after `|`, found `}`",
        ],
        "message E { field total } message F",
    ),
    "flow": (
        "flow F {\n  starts P\n  succeeds with A, B\n  fails B\n  order A B\n  within 1h\n}\nservice A",
        [
            "2:10 `P` expected `with` after `starts`, found `P`",
            "3:18 `,` expected a line of the `flow` body or `}` after `A`, found `,`",
            "4:9 `B` expected `with` after `fails`, found `B`",
            "5:11 `B` expected a version such as `@2`, `before` or `.` after `A`, found `B`",
        ],
        "flow F { succeeds_with within } service A",
    ),
    "workflow without a service": (
        "workflow W { step a calls X }\nservice B",
        ["1:12 `{` expected a text in double quotes or `in` after `W`, found `{`"],
        "service B",
    ),
    "handler without a statement": (
        "service A { handles X  zones 2 }\nservice B",
        ["1:24 `zones` expected a statement or `{` after `X`, found `zones`"],
        "service A { zones } service B",
    ),
    "inside nested bodies": (
        "workflow W in A {\n  step a calls X {\n    timeout 2\n    attempts 3 extra\n    compensate Y { attempts }\n  }\n"
        "  parallel {\n    branch { emits }\n    calls Z\n  }\n  emits E\n}\nservice A",
        [
            "3:13 `2` expected a duration such as `2s` after `timeout`, found `2` | a number needs its unit here: `2s`?",
            "4:16 `extra` expected a line of the `step` body or `}` after `3`, found `extra`",
            "5:29 `}` expected a count such as `3` or `unlimited` after `attempts`, found `}`",
            "8:20 `}` expected a name after `emits`, found `}`",
        ],
        "workflow W { step a { calls { attempts compensate } } parallel { branch calls } outcomes } service A",
    ),
    "a broken head, and a brace missing behind it": (
        "workflow W {\n  step a calls X {\n    timeout 2s\n\nservice B { zones 2 }\nservice C",
        ["1:12 `{` expected a text in double quotes or `in` after `W`, found `{`"],
        "service B { zones } service C",
    ),
    "a broken head inside a context": (
        "context C {\n  workflow W {\n    emits B\n  }\n  service D\n}\nservice E",
        ["2:14 `{` expected a text in double quotes or `in` after `W`, found `{`"],
        "context C { service D } service E",
    ),
    "a list with a body": (
        "event A, B via c { key x }\nservice D",
        [f"1:18 `{{` {DECLARATION} after `c`, found `{{`"],
        "messages A service D",
    ),
    "a stray word behind a declaration": (
        "service A { zones 2 } extra stuff\nservice B",
        [f"1:23 `extra` {DECLARATION}, found `extra`"],
        "service A { zones } service B",
    ),
    "something else entirely": (
        '{"services": [{"name": "orders"}]}',
        [f"1:1 `{{` {DECLARATION}, found `{{`"],
        "",
    ),
}  # fmt: skip


def shown(document: Document) -> list[str]:
    found = []
    for problem in document.problems:
        span = problem.primary.span
        assert problem.code == "SYN001"
        line = f"{span.line}:{span.column} `{span.text}` {problem.message}"
        line += f" | {problem.help}" if problem.help else ""
        line += "".join(f" ({label.span.line}: {label.text})" for label in problem.related)
        found.append(line)
    return found


@pytest.mark.parametrize("case", ERRORS)
def test_every_error_is_reported_where_it_is_and_the_rest_is_kept(case: str):
    text, expected, left = ERRORS[case]
    document = read(text)
    assert shown(document) == expected
    assert outline(document.declarations) == left


# ------------------------------------------------------------------------------------------------ damage


@st.composite
def damages(draw: st.DrawFn) -> tuple[str, str, int]:
    """A valid design, the same with one token deleted, doubled, or swapped with the next, and where the damage begins."""
    text = draw(st.sampled_from(list(DESIGNS.values())))
    found, _ = parser.cut(Source("", text))
    at = draw(st.integers(0, len(found) - 2))
    token, following = found[at], found[at + 1]
    way = draw(st.sampled_from(["delete", "double", "swap"]))
    if way == "delete":
        damaged = text[: token.start] + text[token.end :]
    elif way == "double":
        damaged = text[: token.end] + " " + text[token.start :]
    else:
        between = text[token.end : following.start]
        damaged = text[: token.start] + following.text + between + token.text + text[following.end :]
    return text, damaged, token.start


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(damages())
def test_one_damaged_token_costs_what_is_around_it(damage: tuple[str, str, int]):
    text, damaged, start = damage
    before, after = read(text), read(damaged)
    assert bool(after.problems) == (tokens_by_lark(damaged) is None)
    declarations = [declaration for declaration in before.declarations if declaration.span.end < start]
    # The declaration right before the damage may go on into it, as a list of names does.
    kept = max(0, len(declarations) - 1)
    assert [shape(one) for one in after.declarations[:kept]] == [shape(one) for one in declarations[:kept]]
    assert {one.name.text for one in declarations} <= {one.name.text for one in after.declarations}
    # Behind it, a declaration may be taken for a part of the damaged one; the next is read again.
    behind = [declaration for declaration in before.declarations if declaration.span.start > start][1:]
    if behind:
        assert [shape(one) for one in after.declarations[-len(behind) :]] == [shape(one) for one in behind]


def shape(clause: Clause) -> tuple[str, str]:
    """A clause apart from its place."""
    return clause.kind, " ".join(clause.span.text.split())


@settings(max_examples=300, deadline=None)
@given(st.text(st.sampled_from(list('{}",.:#/ \n\r\tab@19%-\\?[]|=é\0\ud800')), max_size=60) | soups)
def test_any_text_is_read(text: str):
    document = read(text)
    for problem in document.problems:
        span = problem.primary.span
        assert 0 <= span.start < span.end <= len(text)
        assert problem.message
        assert span.line <= text.count("\n") + 1


@settings(max_examples=200, deadline=None)
@given(st.lists(soups, min_size=1, max_size=4))
def test_intact_declarations_around_any_damage_are_kept(parts: list[str]):
    """Each on lines of its own, as people write."""
    text = "service First { replicas 3 }\n"
    for number, part in enumerate(parts):
        text += f"service Damaged{number} {{\n  {' '.join(part.split())}\n}}\nservice Kept{number} {{\n  zones 2\n}}\n"
    kept = {declaration.name.text for declaration in read(text).declarations if declaration.kind == "service"}
    assert "First" in kept
    assert f"Kept{len(parts) - 1}" in kept


# ------------------------------------------------------------------------------------------------ hostile input

NUMBERS = ("0", "99999999999999999999", "9" * 400, "9" * 5000, "0" * 5000, "0." + "0" * 400 + "1")

HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n\t\r\n\f",
    "only comments": b"# one\n// two",
    "byte order mark": b"\xef\xbb\xbfservice A { replicas 3 }",
    "carriage returns": b"service A {\r\n  replicas 3 # three\r\n}\r\nservice B\r\n",
    "only carriage returns": b"service A {\r  replicas 3\r}\r",
    "not UTF-8": b"service Caf\xe9 { replicas 3 }\nservice B",
    "UTF-16": "service A { replicas 3 }".encode("utf-16"),
    "UTF-16 without a mark": "service A { replicas 3 }".encode("utf-16-le"),
    "NUL": b"service A\0 { }\nservice B\0\0",
    "lone surrogates": 'service A { note "\ud800" } \udfff'.encode("utf-8", "surrogatepass"),
    "a line of ten million characters": b"service A { replicas 3 } " * 400_000,
    "a word of ten million characters": b"x" * 10_000_000,
    "a text of ten million characters": b'service A { note "' + b"x" * 10_000_000 + b'" }',
    "an endless comment": b"# " + b"x" * 10_000_000 + b"\nservice A",
    "ten thousand braces": (b"context c {" * 100 + b"\n") * 100 + b"}" * 10_000 + b"\nservice A",
    "ten thousand braces on lines": b"context c {\n" * 10_000 + b"}\n" * 10_000,
    "ten thousand open braces": b"service A { handles X { " + b"parallel { " * 10_000,
    "ten thousand steps in each other": b"service A { handles X " + b"step a " * 10_000 + b" emits E }",
    "ten thousand quotes": b'"' * 10_001,
    "ten thousand dots": b"service A { uses " + b"a." * 10_000 + b"a }",
    "100,000 errors": b"service A { replicas x }\n" * 100_000,
    "100,000 errors in one declaration": b"service A {\n" + b"  replicas x\n" * 100_000 + b"}\n",
    "100,000 closing braces": b"}\n" * 100_000,
    "100,000 opening braces": b"{\n" * 100_000,
    "100,000 opening braces on a line": b"{" * 99_999,
    "100,000 lines of something else": b"<xml/>\n" * 100_000,
    "a long way to the error": b"service A { replicas 3 }\n" * 5_000 + b"x",
    "every control character": bytes(range(32)) + b'service "' + bytes(range(1, 10)) + b'" { }',
    **{
        f"{what} {number[:4]}… of {len(number)} digits": template.replace("N", number).encode()
        for number in NUMBERS
        for what, template in {
            "redundancy": "broker K { nodes N replication N min-insync N capacity N/m availability N% }"
            " store S { replicas N availability N% capacity N/s } service A { replicas N zones N mttr Nd rto Nh capacity N/s"
            " retry-budget N% availability N% }",
            "channels": "channel c { partitions N retention Nd dead-letter c after N max-message NGB dedup Nh ack-timeout Nms }"
            " event E via c { size NKB  a: int = N  b: float = N.5e9 }",
            "versions": "event E @N event E @N.N.N service A { on E @N..N { } on E @N.. { } on E @N { } }",
            "handlers": "command X service A { handles X { timeout Ns attempts N concurrency N takes Nd batch N max-hops N"
            " dead-letter c after N } every Nd { } } channel c",
            "calls": "command X service A { handles X { calls A.X { timeout Ns retries N backoff Ns xN up to Ns deadline Ns }"
            " calls A.X { timeout Ns attempts N backoff Ns } sends X after Nd waits Nm repeat up to N { calls A.X { attempts N } }"
            " for each a in parallel N { calls A.X } awaits E within Ns N% fails or N% succeeds"
            " either N% { waits Nd } or N% { } } } event E",
            "flows": "event E service A { emits E } workflow W in A { starts every Nd capacity N/s max-inflight N max-depth N"
            " timeout Nd awaits { on E { } within Ns { } } }"
            " flow F { starts with E succeeds with E within Nd rate N/s availability N% latency Ns }",
        }.items()
    },
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_input_gives_findings_and_no_traceback(name: str):
    source = decode_source(HOSTILE[name], "hostile.coord")
    result = check(load("hostile.coord", stdin=source, profile="production"))
    assert result.crashes == ()
    for finding in result.findings:
        assert finding.code != "SYN001" or len(finding.message) < 200


@pytest.mark.parametrize(
    ("name", "messages"),
    [
        ("empty", []),
        ("blank", []),
        ("only comments", []),
        ("byte order mark", []),
        ("carriage returns", []),
        ("not UTF-8", ["byte 0xe9 is not UTF-8, save the file as UTF-8", f"{DECLARATION} after `Caf`, found `\ufffd`"]),
        ("UTF-16", ["the file is UTF-16, save it as UTF-8"]),
        ("NUL", ["the file has a NUL character, which no design can mean", f"{DECLARATION} after `A`, found `\0`",
                 f"{DECLARATION} after `B`, found `\0\0`"]),
        ("a line of ten million characters", [f"the line is longer than {LONGEST_LINE:,} characters"]),
        ("a word of ten million characters", [f"the line is longer than {LONGEST_LINE:,} characters"]),
        ("ten thousand braces", ["braces nest deeper than 100 levels"]),
        ("ten thousand braces on lines", ["braces nest deeper than 100 levels"]),
        ("100,000 opening braces on a line", [f"{DECLARATION}, found `{{`"]),
        ("100,000 lines of something else", [f"{DECLARATION}, found `<`"]),
    ],
)  # fmt: skip
def test_hostile_input_is_named(name: str, messages: list[str]):
    document = parse(decode_source(HOSTILE[name], "hostile.coord"))
    assert [problem.message for problem in document.problems] == messages


@pytest.mark.parametrize("name", ["100,000 errors", "100,000 errors in one declaration", "100,000 closing braces"])  # fmt: skip
def test_errors_without_end_are_not_all_reported(name: str):
    document = parse(decode_source(HOSTILE[name], "hostile.coord"))
    assert len(document.problems) == parser.MAX_ERRORS + 1
    assert document.problems[-1].message == "more than 100 syntax errors, the rest is not read"


def test_braces_may_nest_a_hundred_deep():
    inner = parser.MAX_DEPTH - 2
    for opening, closing in (
        ("parallel { ", "} "),
        ("step a { ", "} "),
        ("repeat { ", "} "),
        ("for each x { ", "} "),
        ("either { ", "} or { } "),
        ("parallel { branch { ", "} } "),
        ("awaits { on E { ", "} } "),
        ("calls A.X { compensate { ", "} } "),
        ("calls A.X { fallback { ", "} } "),
        ("calls A.X { on failure { ", "} } "),
    ):
        levels = inner // opening.count("{")
        text = (
            "command X\nevent E\nservice A { handles X { " + opening * levels + "emits E " + closing * levels + "} }\n"
        )
        design = load("deep.coord", stdin=Source("deep.coord", text))
        assert [problem.code for problem in design.problems if problem.code == "SYN001"] == []
        assert check(design).crashes == ()


def test_names_of_unread_declarations_are_nobody_s_fault():
    """A declaration that a syntax error has taken with it leaves no unresolved names behind."""
    text = "workflow Lost { emits A }\nflow F { succeeds with Lost or Missing }\n"
    problems = load("lost.coord", stdin=Source("lost.coord", text)).problems
    assert [problem.code for problem in problems] == ["SYN001", "REF001"]
    assert "`Missing`" in problems[1].message
