"""Text to syntax: the lexer, the LALR(1) parser of ``grammar/coord.lark`` and the recovery from syntax errors.

Lark owns the grammar and the parse tables. The tokens are cut here: one regular expression finds words, literals and
punctuation, and the parser's state decides whether a word is a keyword or a name. That is what Lark's contextual lexer does
too (a test holds the two against each other), without compiling a pattern for each of a thousand states.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from coordlint import errors, tables
from coordlint.finding import Finding, Label
from coordlint.source import LONGEST_LINE, Source, Span
from coordlint.syntax import Clause, Document, Name, Quantity, Ref, Text, Value, Word

if TYPE_CHECKING:
    from lark import Lark
    from lark.parsers.lalr_interactive_parser import InteractiveParser

MAX_DEPTH = 100
"""Braces may nest this deep; a design that people write stays below ten."""

MAX_ERRORS = 100
"""After so many syntax errors the rest of the file is not reported: the cause is elsewhere by then."""


def parse(source: Source) -> Document:
    """Parse one file, report every syntax error and keep the declarations that are intact.

    Never raises for bad input: an unreadable part becomes a ``SYN001`` finding at the token where it shows.
    """
    problems = [errors.syntax(Span(source, at, at + 1), text) for at, text in source.problems]
    if problems and _has_endless_line(source):
        return Document(source, (), (), tuple(problems))
    tokens, comments = _cut(source)
    parser = _Parser(source, tokens)
    declarations = parser.run()
    problems += parser.problems
    problems.sort(key=lambda finding: finding.primary.span.start)
    return Document(source, declarations, comments, tuple(problems))


def _has_endless_line(source: Source) -> bool:
    """Whether a line is too long to be a design: it is generated data, and cutting it would take the user's time."""
    return max((len(line) for line in source.text.split("\n")), default=0) > LONGEST_LINE


# ------------------------------------------------------------------------------------------------ tokens


class Token:
    """A piece of text; ``type`` is its terminal, decided by the parser's state for words."""

    __slots__ = ("end", "raw", "start", "text", "type")

    def __init__(self, type_: str, raw: str, text: str, start: int, end: int) -> None:
        self.type = type_
        self.raw = raw
        self.text = text
        self.start = start
        self.end = end


_PUNCTUATION = {
    "{": "_LB",
    "}": "_RB",
    ",": "_COMMA",
    ".": "_DOT",
    ":": "_COLON",
    "=": "_EQUALS",
    "|": "_BAR",
    "?": "OPTIONAL",
    "[]": "ARRAY",
}

_PATTERN = re.compile(
    r"""
    (?P<WORD>[A-Za-z_][A-Za-z0-9_-]*)
  | (?P<PUNCTUATION>\[\]|[{},.:=|?])
  | (?P<COMMENT>(?:\#|//)[^\n]*)
  | (?P<BLOCK_STRING>\"\"\"[\s\S]*?\"\"\")
  | (?P<STRING>"(?:\\.|[^"\\\n])*")
  | (?P<DATE>\d{4}-\d{2}-\d{2}(?![\w-]))
  | (?P<DURATION>\d+(?:\.\d+)?(?:ms|s|m|h|d)(?![\w-]))
  | (?P<RATE>\d+(?:\.\d+)?/(?:s|m|h|d)(?![\w-]))
  | (?P<SIZE>\d+(?:\.\d+)?(?:B|KB|MB|GB)(?![\w-]))
  | (?P<PERCENT>\d+(?:\.\d+)?%)
  | (?P<NUMBER>-?\d+(?:\.\d+(?:[eE][+-]?\d+)?|[eE][+-]?\d+)(?![\w-])|-\d+(?![\w-]))
  | (?P<INT>\d+(?![\w-]))
  | (?P<VERSION>@\d+(?:\.\d+)*(?:\.\.(?:\d+(?:\.\d+)*)?)?(?![\w-]))
  | (?P<SPACE>[ \t\r\n\f]+)
  | (?P<UNKNOWN>"[^\n]*|[\d@-][^\s{},"]*|[^\s{}]+?(?=[\s{}"\#]|[A-Za-z_]|$)|.)
    """,
    re.VERBOSE,
)
_FACTOR = re.compile(r"x\d+(?:\.\d+)?(?![\w-])")


def _cut(source: Source) -> tuple[list[Token], tuple[Span, ...]]:
    """All tokens but white space, and the spans of the comments."""
    tokens: list[Token] = []
    comments: list[Span] = []
    for match in _PATTERN.finditer(source.text):
        raw = match.lastgroup or "UNKNOWN"
        if raw == "SPACE":
            continue
        start, end = match.span()
        text = match.group()
        if raw == "COMMENT":
            comments.append(Span(source, start, start + len(text.rstrip("\r"))))
            continue
        if raw == "WORD" and text[0] == "x" and text[1:2].isdigit() and source.text[end : end + 1] == ".":
            factor = _FACTOR.match(source.text, start)
            if factor and factor.end() > end:
                # `x1.5` is one factor where a factor may stand; a name never continues with a dot and a digit.
                tokens.append(Token("FACTOR", "FACTOR", factor.group(), start, factor.end()))
                continue
        if tokens and start < tokens[-1].end:
            continue  # the digits of a factor that was taken whole
        tokens.append(Token(_PUNCTUATION.get(text, raw), raw, text, start, end))
    return tokens, tuple(comments)


# ------------------------------------------------------------------------------------------------ grammar


class Terminals(NamedTuple):
    """What the lexer reads off the grammar: the keywords with the terminals each may be."""

    keywords: dict[str, tuple[str, ...]]
    words_of: dict[str, tuple[str, ...]]


_KEYWORD = re.compile(r"\(?((?:[a-z][a-z-]*\|?)+)\)?\(\?!\[\\w-\]\)")


@cache
def grammar() -> tuple[Lark, Terminals]:
    """The parser, its tables loaded from the user's cache or built, and the keywords of the grammar."""
    lark = tables.load(_Builder())
    words_of: dict[str, tuple[str, ...]] = {}
    keywords: dict[str, tuple[str, ...]] = {}
    for terminal in lark.terminals:
        match = _KEYWORD.fullmatch(terminal.pattern.value)
        if match:
            words_of[terminal.name] = tuple(match.group(1).split("|"))
            for word in words_of[terminal.name]:
                keywords[word] = (*keywords.get(word, ()), terminal.name)
    return lark, Terminals(keywords, words_of)


class _Builder:
    """Lark's callbacks: any rule becomes a clause, the handful below becomes something smaller."""

    def __init__(self) -> None:
        self.source = Source("", "")

    def __getattr__(self, rule: str) -> Callable[[list[Any]], Any]:
        if rule[0] == "_" or rule.isupper():
            raise AttributeError(rule)  # spliced rules and terminals keep Lark's own handling
        rule = sys.intern(str(rule))
        special = _SPECIAL.get(rule)
        if special is not None:
            return lambda children: special(self.source, children)
        return lambda children: _clause(self.source, rule, children)


def _span(source: Source, children: Sequence[Any]) -> Span:
    first, last = children[0], children[-1]
    start = first.start if isinstance(first, Token) else first.span.start
    end = last.end if isinstance(last, Token) else last.span.end
    return Span(source, start, end)


_BODIES = frozenset({"block", "call_body"})
_STATEMENTS_OF = frozenset({"handler", "step"})


def _clause(source: Source, kind: str, children: list[Any]) -> Clause:
    values: list[Value] = []
    body: list[Clause] | None = None
    span = _span(source, children)
    head_end = span.end
    target: list[Any] = values
    for child in children:
        if type(child) is Token:
            if child.type == "_LB":
                body = []
                target = body
                head_end = values[-1].span.end if values else child.start
                if not values and child is not children[0]:
                    head_end = _before(children, child)
            elif child.type[0] != "_":
                target.append(_value(source, child))
        elif type(child) is Clause and child.kind in _BODIES:
            body = list(child.body or ())
            head_end = max(values[-1].span.end if values else 0, _before(children, child))
        else:
            target.append(child)
    if kind in _STATEMENTS_OF and body is None and values and type(values[-1]) is Clause:
        last = values[-1]
        if kind == "step" or (len(values) > 1 and last.kind != "via"):
            values.pop()
            body = [last]
            head_end = values[-1].span.end
    return Clause(kind, span, Span(source, span.start, head_end), tuple(values), None if body is None else tuple(body))


def _before(children: list[Any], child: Any) -> int:
    """Where the piece before that child ends."""
    previous = children[children.index(child) - 1]
    return previous.end if type(previous) is Token else previous.span.end


def _name(source: Source, children: list[Any]) -> Name:
    token = children[0]
    quoted = token.type == "STRING"
    return Name(_unescape(token.text) if quoted else token.text, Span(source, token.start, token.end), quoted)


def _ref(source: Source, children: list[Any]) -> Ref:
    return Ref(tuple(child for child in children if type(child) is Name), _span(source, children))


def _msg(source: Source, children: list[Any]) -> Ref:
    ref: Ref = children[0]
    if len(children) == 1:
        return ref
    return Ref(ref.parts, _span(source, children), children[1].text[1:])


def _text(source: Source, children: list[Any]) -> Text:
    token = children[0]
    return Text(_unescape(token.text), Span(source, token.start, token.end))


def _start(source: Source, children: list[Any]) -> tuple[Clause, ...]:
    return tuple(children)


_SPECIAL: dict[str, Callable[..., Any]] = {
    "name": _name,
    "ref": _ref,
    "msg": _msg,
    "title": _text,
    "why": _text,
    "start": _start,
}

_SCALE = {
    "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0,
    "B": 1.0, "KB": 1024.0, "MB": 1024.0**2, "GB": 1024.0**3,
}  # fmt: skip
_NUMBER = re.compile(r"[\d.]+")


def _value(source: Source, token: Token) -> Value:
    span = Span(source, token.start, token.end)
    kind = token.type
    text = token.text
    if kind == "STRING":
        return Text(_unescape(text), span)
    if kind == "BLOCK_STRING":
        return Text(text[3:-3].strip(), span)
    if kind in {"DURATION", "SIZE"}:
        digits = _NUMBER.match(text)
        assert digits
        return Quantity(kind.lower(), float(digits.group()) * _SCALE[text[digits.end() :]], span)
    if kind == "RATE":
        number, _, unit = text.partition("/")
        return Quantity("rate", float(number) / _SCALE[unit], span)
    if kind == "PERCENT":
        return Quantity("percent", float(text[:-1]) / 100, span)
    if kind == "FACTOR":
        return Quantity("factor", float(text[1:]), span)
    if kind in {"INT", "NUMBER"}:
        return Quantity("number", float(text), span)
    if kind == "VERSION":
        return Word(text[1:], span)
    if kind == "FIELD":
        return Name(_unescape(text) if text[0] == '"' else text, span, text[0] == '"')
    return Word(text, span)


_ESCAPE = re.compile(r"\\(.)")


def _unescape(text: str) -> str:
    body = text[1:-1]
    return _ESCAPE.sub(lambda match: "\n" if match.group(1) == "n" else match.group(1), body) if "\\" in body else body


# ------------------------------------------------------------------------------------------------ the parser


class _Failure(NamedTuple):
    """Where a run over a chunk stopped: the token's index, what was acceptable, and the open braces."""

    at: int
    expected: frozenset[str]
    opened: tuple[int, ...]


class _Parser:
    """Feeds tokens, one top-level declaration at a time, so that an error costs one declaration at most."""

    def __init__(self, source: Source, tokens: list[Token]) -> None:
        self.source = source
        self.tokens = tokens
        self.problems: list[Finding] = []
        self.lark, self.terminals = grammar()
        self.starters = frozenset(
            word
            for word, names in self.terminals.keywords.items()
            if any(name in self._choices(self._fresh()) for name in names)
        )

    def run(self) -> tuple[Clause, ...]:
        """All intact declarations of the file."""
        self.lark_builder().source = self.source
        declarations: list[Clause] = []
        index = 0
        while index < len(self.tokens):
            if len(self.problems) >= MAX_ERRORS:
                rest = self.tokens[index]
                self._report(rest.start, rest.end, f"more than {MAX_ERRORS} syntax errors, the rest is not read")
                break
            parser = self._fresh()
            stop, failure = self._feed(parser, index, len(self.tokens), frozenset(), one=True)
            if failure is None:
                declarations += parser.feed_eof()
                index = stop
            else:
                recovered, index = self._recover(index)
                declarations += recovered
        return tuple(declarations)

    def lark_builder(self) -> _Builder:
        """The builder whose callbacks the parse tables hold."""
        builder = self.lark.options.transformer
        assert isinstance(builder, _Builder)
        return builder

    def _fresh(self) -> InteractiveParser:
        return self.lark.parse_interactive("")

    @staticmethod
    def _choices(parser: InteractiveParser) -> dict[str, Any]:
        choices: dict[str, Any] = parser.choices()
        return choices

    def _feed(
        self, parser: InteractiveParser, start: int, stop: int, dropped: frozenset[int], *, one: bool
    ) -> tuple[int, _Failure | None]:
        """Feed tokens ``start..stop``; with ``one``, stop where the next top-level declaration begins."""
        from lark.exceptions import UnexpectedToken

        tokens = self.tokens
        keywords = self.terminals.keywords
        state = parser.parser_state
        states = state.parse_conf.parse_table.states
        opened: list[int] = []
        for index in range(start, stop):
            if index in dropped:
                continue
            token = tokens[index]
            choices = states[state.position]
            if token.raw == "WORD" or token.raw == "STRING":
                token.type = self._terminal(index, choices, keywords)
            if one and index > start and not opened and token.text in self.starters and "$END" in choices:
                return index, None
            if token.type not in choices:
                return index, _Failure(index, frozenset(parser.accepts()), tuple(opened))
            if token.type == "_LB":
                opened.append(index)
                if len(opened) > MAX_DEPTH:
                    return index, _Failure(index, frozenset(), tuple(opened))
            elif token.type == "_RB" and opened:
                opened.pop()
            try:
                state.feed_token(token)  # type: ignore[arg-type]
            except UnexpectedToken:
                # LALR merges look-aheads: the state reduced before it saw that the token does not fit.
                return index, self._failure_before(start, index, dropped)
        expected = parser.accepts()
        if "$END" not in expected:
            return stop, _Failure(stop, frozenset(expected), tuple(opened))
        return stop, None

    def _failure_before(self, start: int, stop: int, dropped: frozenset[int]) -> _Failure:
        """The failure at token ``stop``, seen from the state before it."""
        parser = self._fresh()
        _, failure = self._feed(parser, start, stop, dropped, one=False)
        return failure or _Failure(stop, frozenset(parser.accepts()), ())

    def _terminal(self, index: int, choices: dict[str, Any], keywords: dict[str, tuple[str, ...]]) -> str:
        """The terminal of a word or string in this state: field before keyword before factor before name."""
        token = self.tokens[index]
        if "FIELD" in choices and index + 1 < len(self.tokens):
            following = self.tokens[index + 1]
            if following.type == "_COLON" and "\n" not in self.source.text[token.end : following.start]:
                return "FIELD"
        if token.raw == "STRING":
            return "STRING"
        named = keywords.get(token.text, ())
        for name in named:
            if name in choices:
                return name
        if "FACTOR" in choices and _FACTOR.fullmatch(token.text):
            return "FACTOR"
        if "NAME" in choices or not named:
            return "NAME"
        return named[0]

    # -------------------------------------------------------------------------------------------- recovery

    def _recover(self, start: int) -> tuple[list[Clause], int]:
        """Report every error of the declaration that begins at ``start``; return what is left of it, and where it ends."""
        stop = self._chunk_end(start)
        dropped: frozenset[int] = frozenset()
        attempts = max(3, min(200, 2_000_000 // (stop - start)))
        reached = start - 1
        while attempts > 0 and len(self.problems) < MAX_ERRORS:
            attempts -= 1
            parser = self._fresh()
            end, failure = self._feed(parser, start, stop, dropped, one=False)
            if failure is None:
                children: tuple[Clause, ...] = parser.feed_eof()
                return list(children), end
            self._report_failure(failure, start, stop)
            if not failure.expected:
                return [], stop
            if failure.at >= stop:
                return self._close(start, stop, dropped, failure), stop
            if failure.at <= reached:
                return [], stop
            reached = failure.at
            better = None
            for candidate in self._candidates(failure.at, start, stop):
                attempts -= 1
                _, again = self._feed(self._fresh(), start, stop, dropped | candidate, one=False)
                if again is None or again.at > failure.at:
                    better = candidate
                    break
            if better is None:
                return [], stop
            dropped |= better
        return [], stop

    def _close(self, start: int, stop: int, dropped: frozenset[int], failure: _Failure) -> list[Clause]:
        """What a declaration says whose closing braces are missing at its end."""
        parser = self._fresh()
        self._feed(parser, start, stop, dropped, one=False)
        end = self.tokens[stop - 1].end
        for _ in failure.opened:
            if "_RB" not in self._choices(parser):
                return []
            parser.feed_token(Token("_RB", "PUNCTUATION", "}", end, end))  # type: ignore[arg-type]
        if "$END" not in self._choices(parser):
            return []
        closed: tuple[Clause, ...] = parser.feed_eof()
        return list(closed)

    def _chunk_end(self, start: int) -> int:
        """The index where the next top-level declaration begins."""
        tokens = self.tokens
        depth = 0
        first_unindented = None
        at_margin = self._column(start) == 1
        for index in range(start, len(tokens)):
            token = tokens[index]
            begins = index > start and token.text in self.starters and self._first_on_line(index)
            if begins and depth <= 0:
                return index
            if begins and at_margin and first_unindented is None and self._column(index) == 1:
                first_unindented = index
            if token.text == "{":
                depth += 1
            elif token.text == "}":
                depth -= 1
                if depth < 0:
                    return max(index, start + 1)
        return first_unindented if depth > 0 and first_unindented is not None else len(tokens)

    def _candidates(self, index: int, start: int, stop: int) -> Iterator[frozenset[int]]:
        """What to leave out so that the parser gets past the failing token, the smallest first."""
        own = self._line(index, start, stop)
        if index > start and self._first_on_line(index):
            previous = self._line(index - 1, start, stop)
            if start not in previous:
                yield previous
            if own:
                yield own
                yield previous | own
        elif own:
            yield own
        yield frozenset((index,))

    def _line(self, index: int, start: int, stop: int) -> frozenset[int]:
        """The tokens around that one on its line and within its braces; a body that opens there goes with it."""
        tokens = self.tokens
        closing = tokens[index].text == "}"
        first = index
        while first > start and not self._first_on_line(first) and tokens[first - 1].text not in "{}":
            first -= 1
        last = index
        depth = 0
        while last < stop:
            text = tokens[last].text
            if depth == 0 and (text == "}" or (last > index and self._first_on_line(last))):
                break
            depth += (text == "{") - (text == "}")
            last += 1
        return frozenset(range(first, index if closing else last))

    def _first_on_line(self, index: int) -> bool:
        return index == 0 or "\n" in self.source.text[self.tokens[index - 1].end : self.tokens[index].start]

    def _column(self, index: int) -> int:
        start = self.tokens[index].start
        return start - self.source.text.rfind("\n", 0, start)

    # -------------------------------------------------------------------------------------------- messages

    def _report(self, start: int, end: int, message: str, related: tuple[Label, ...] = (), help: str = "") -> None:
        self.problems.append(errors.syntax(Span(self.source, start, end), message, related, help))

    def _report_failure(self, failure: _Failure, start: int, stop: int) -> None:
        tokens = self.tokens
        if not failure.expected:
            token = tokens[failure.at]
            self._report(token.start, token.end, f"braces nest deeper than {MAX_DEPTH} levels")
            return
        inside = self._opener(failure.opened[-1], start) if failure.opened else None
        if failure.at >= stop:
            self._report_open_end(failure, stop, inside)
            return
        token = tokens[failure.at]
        previous = tokens[failure.at - 1].text if failure.at > start else None
        message, help = errors.unexpected(
            found=token.text,
            kind=token.raw,
            expected=failure.expected,
            words_of=self.terminals.words_of,
            previous=previous,
            inside=inside.text if inside else None,
        )
        self._report(token.start, token.end, message, (), help)

    def _report_open_end(self, failure: _Failure, stop: int, inside: Token | None) -> None:
        """The declaration ends too early: a brace is missing, or its last clause is incomplete."""
        last = self.tokens[stop - 1]
        found = self.tokens[stop] if stop < len(self.tokens) else None
        before = f"`{found.text}`" if found else "the end of the file"
        at = found or last
        if failure.opened and "_RB" in failure.expected:
            brace = self.tokens[failure.opened[-1]]
            what = f"`{inside.text}`" if inside else "the body"
            related = (Label(Span(self.source, brace.start, brace.end), "opened here"),)
            self._report(at.start, at.end, f"expected `}}` to close {what} before {before}", related)
            return
        words = errors.expected_words(failure.expected, self.terminals.words_of)
        self._report(at.start, at.end, f"expected {words} before {before}")

    def _opener(self, brace: int, start: int) -> Token | None:
        """The keyword of the construct whose body that brace opens: the first word of its clause."""
        index = brace
        while index > start and not self._first_on_line(index) and self.tokens[index - 1].text not in "{}":
            index -= 1
        while index < brace and self.tokens[index].text in {"external", "public", "private"}:
            index += 1
        token = self.tokens[index]
        return token if token.raw == "WORD" else None
