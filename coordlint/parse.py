"""Text to syntax: the lexer, the LALR(1) parser of ``grammar/coord.lark`` and the recovery from syntax errors.

Lark owns the grammar and the parse tables. The tokens are cut here: one regular expression finds words, literals and
punctuation, and the parser's state decides whether a word is a keyword or a name. That is what Lark's contextual lexer does
too (a test holds the two against each other), without compiling a pattern for each of a thousand states.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
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
    tokens, comments = cut(source)
    parser = _Parser(source, tokens)
    declarations = parser.run()
    problems += parser.problems
    problems.sort(key=lambda finding: finding.primary.span.start)
    return Document(source, declarations, comments, tuple(problems), frozenset(parser.lost))


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
    (?P<FACTOR>x\d+\.\d+(?![\w-]))
  | (?P<WORD>[A-Za-z_][A-Za-z0-9_-]*)
  | (?P<PUNCTUATION>\[\]|[{},.:=|?])
  | (?P<COMMENT>(?:\#|//)[^\n]*)
  | (?P<BLOCK_STRING>\"\"\"[\s\S]*?\"\"\")
  | (?P<STRING>(?!\"\"\")"(?:\\.|[^"\\\n])*")
  | (?P<UNCLOSED>"[^\n]*)
  | (?P<DATE>\d{4}-\d{2}-\d{2}(?![\w-]))
  | (?P<DURATION>\d+(?:\.\d+)?(?:ms|s|m|h|d)(?![\w-]))
  | (?P<RATE>\d+(?:\.\d+)?/(?:s|m|h|d)(?![\w-]))
  | (?P<SIZE>\d+(?:\.\d+)?(?:B|KB|MB|GB)(?![\w-]))
  | (?P<PERCENT>\d+(?:\.\d+)?%)
  | (?P<NUMBER>-?\d+(?:\.\d+(?:[eE][+-]?\d+)?|[eE][+-]?\d+)(?![\w-])|-\d+(?![\w-]))
  | (?P<INT>\d+(?![\w-]))
  | (?P<VERSION>@\d+(?:\.\d+)*(?:\.\.(?:\d+(?:\.\d+)*)?)?(?![\w-]))
  | (?P<SPACE>[ \t\r\n\f]+)
  | (?P<UNKNOWN>[\d@-][^\s{},"]*|[^\s{}]+?(?=[\s{}"\#]|[A-Za-z_]|$)|.)
    """,
    re.VERBOSE,
)
_FACTOR = re.compile(r"x\d+(?:\.\d+)?(?![\w-])")


def cut(source: Source) -> tuple[list[Token], tuple[Span, ...]]:
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


class _Mark(NamedTuple):
    """A place to go back to: the token where a clause begins, and the parser's state there."""

    at: int
    stack: tuple[int, ...]
    opened: tuple[int, ...]
    kept: int


class _Parser:
    """Feeds tokens, one top-level declaration at a time, so that an error costs one declaration at most.

    A declaration with an error is read again on the parser's states alone, without values: there it is cheap to try what
    makes sense of the text. What is kept of it is then parsed like any other declaration.
    """

    def __init__(self, source: Source, tokens: list[Token]) -> None:
        self.source = source
        self.tokens = tokens
        self.problems: list[Finding] = []
        self.lost: set[str] = set()
        self.lark, self.terminals = grammar()
        conf = self._fresh().parser_state.parse_conf
        self.states: dict[int, dict[str, Any]] = conf.parse_table.states
        self.first: int = conf.start_state
        self.last: int = conf.end_state
        self.starters = frozenset(
            word
            for word, names in self.terminals.keywords.items()
            if any(name in self.states[self.first] for name in names)
        )

    def run(self) -> tuple[Clause, ...]:
        """All intact declarations of the file, and what is left of the others."""
        self.lark_builder().source = self.source
        declarations: list[Clause] = []
        index = 0
        while index < len(self.tokens):
            if len(self.problems) >= MAX_ERRORS:
                rest = self.tokens[index]
                self._report(rest.start, rest.end, f"more than {MAX_ERRORS} syntax errors, the rest is not read")
                self.lost |= self._names_in(index, len(self.tokens), ())
                break
            parser = self._fresh()
            stop = self._feed(parser, index)
            if stop is not None:
                declarations += parser.feed_eof()
                index = stop
            else:
                kept, stop = _Recovery(self, index).run()
                declarations += self._build(kept)
                self.lost |= self._names_in(index, stop, kept)
                index = stop
        return tuple(declarations)

    def _names_in(self, start: int, stop: int, kept: Sequence[Token]) -> set[str]:
        """The names that left out tokens may have declared: what follows a keyword, and further names of a list."""
        known = {id(token) for token in kept}
        names = set()
        for index in range(start + 1, stop):
            token, before = self.tokens[index], self.tokens[index - 1]
            if id(token) not in known and (before.text in self.starters or before.text == ","):
                if token.raw == "WORD":
                    names.add(token.text)
                elif token.raw == "STRING":
                    names.add(_unescape(token.text))
        return names

    def lark_builder(self) -> _Builder:
        """The builder whose callbacks the parse tables hold."""
        builder = self.lark.options.transformer
        assert isinstance(builder, _Builder)
        return builder

    def _fresh(self) -> InteractiveParser:
        return self.lark.parse_interactive("")

    def _feed(self, parser: InteractiveParser, start: int) -> int | None:
        """Feed the declaration that begins there; the index where the next one begins, or None at a syntax error."""
        from lark.exceptions import UnexpectedToken

        tokens = self.tokens
        state = parser.parser_state
        states = self.states
        depth = 0
        for index in range(start, len(tokens)):
            token = tokens[index]
            choices = states[state.position]
            if token.raw == "WORD" or token.raw == "STRING":
                token.type = self.terminal(index, choices)
            begins = depth == 0 and index > start and token.text in self.starters
            if begins and self.accepts(state.state_stack, "$END"):
                return index
            if token.type not in choices:
                return None
            if token.type == "_LB":
                depth += 1
                if depth > MAX_DEPTH:
                    return None
            elif token.type == "_RB":
                depth -= 1
            try:
                state.feed_token(token)  # type: ignore[arg-type]
            except UnexpectedToken:
                return None  # LALR merges look-aheads: the state reduced before it saw that the token does not fit
        return len(tokens) if self.accepts(state.state_stack, "$END") else None

    def _build(self, tokens: list[Token]) -> tuple[Clause, ...]:
        """The declarations of tokens that are known to fit."""
        parser = self._fresh()
        for token in tokens:
            parser.feed_token(token)  # type: ignore[arg-type]
        declarations: tuple[Clause, ...] = parser.feed_eof()
        return declarations

    def terminal(self, index: int, choices: dict[str, Any]) -> str:
        """The terminal of a word or string in this state: field before keyword before factor before name."""
        token = self.tokens[index]
        if "FIELD" in choices and index + 1 < len(self.tokens):
            following = self.tokens[index + 1]
            if following.type == "_COLON" and not self.source.text[token.end : following.start].strip(" \t"):
                return "FIELD"
        if token.raw == "STRING":
            return "STRING"
        named = self.terminals.keywords.get(token.text, ())
        for name in named:
            if name in choices:
                return name
        if "FACTOR" in choices and _FACTOR.fullmatch(token.text):
            return "FACTOR"
        if "NAME" in choices or not named:
            return "NAME"
        return named[0]

    def push(self, stack: list[int], terminal: str) -> bool:
        """Advance a stack of parser states over a terminal; False, and the stack is spoilt, if it does not fit."""
        from lark.parsers.lalr_analysis import Shift

        while True:
            step = self.states[stack[-1]].get(terminal)
            if step is None:
                return False
            action, argument = step
            if action is Shift:
                stack.append(argument)
                return True
            if argument.expansion:
                del stack[-len(argument.expansion) :]
            stack.append(self.states[stack[-1]][argument.origin.name][1])
            if stack[-1] == self.last:
                return True

    def accepts(self, stack: Sequence[int], terminal: str) -> bool:
        """Whether that terminal may stand next."""
        return terminal in self.states[stack[-1]] and self.push(list(stack), terminal)

    def _report(self, start: int, end: int, message: str, related: tuple[Label, ...] = (), help: str = "") -> None:
        self.problems.append(errors.syntax(Span(self.source, start, end), message, related, help))


class _Recovery:
    """Reads one broken declaration: reports each error, and keeps the tokens of everything that still makes sense.

    It works like the parser, but on its states only. What does not fit is mended where the meaning is plain (a quote or a
    brace is missing, a keyword is misspelt); otherwise the clause around it is left out.
    """

    def __init__(self, parser: _Parser, start: int) -> None:
        self.parser = parser
        self.tokens = parser.tokens
        self.start = start
        self.stack: list[int] = [parser.first]
        self.opened: list[int] = []
        self.kept: list[Token] = []
        self.marks: list[_Mark] = [self._here(start)]
        self.closed: _Mark | None = None
        self.swallowed = 0

    def run(self) -> tuple[list[Token], int]:
        """The tokens of what is left of the declaration, and the index where the next one begins."""
        index = self.start
        while index < len(self.tokens) and not self._is_next_declaration(index):
            if len(self.parser.problems) >= MAX_ERRORS:
                return [], index
            if not self._step(index):
                index = self._mend(index)
            elif len(self.opened) > MAX_DEPTH:
                token = self.tokens[index]
                self._report(token, f"braces nest deeper than {MAX_DEPTH} levels")
                return [], self._behind()
            else:
                index += 1
        self._finish(index)
        return self.kept, index

    # -------------------------------------------------------------------------------------------- reading

    def _is_next_declaration(self, index: int) -> bool:
        begins = index > self.start and not self.opened and self.tokens[index].text in self.parser.starters
        return begins and self.parser.accepts(self.stack, "$END")

    def _step(self, index: int) -> bool:
        """Read a token; False if it does not fit."""
        token = self.tokens[index]
        self._decide(token, index, self.stack)
        if (token.raw != "PUNCTUATION" or self.tokens[index - 1].text == "{") and self._is_between():
            self.marks[-1] = self._here(index)
        before = self._here(index)
        if not self.parser.push(self.stack, token.type):
            self.stack = list(before.stack)
            return False
        self.kept.append(token)
        if token.type == "_LB":
            self.opened.append(index)
            self.marks.append(self._here(index + 1))
        elif token.type == "_RB":
            self.opened.pop()
            self.marks.pop()
            self.closed = None if self.opened else before
        return True

    def _decide(self, token: Token, index: int, stack: Sequence[int]) -> None:
        if token.raw == "WORD" or token.raw == "STRING":
            token.type = self.parser.terminal(index, self.parser.states[stack[-1]])

    def _is_between(self) -> bool:
        """Whether the clause before is complete."""
        return self.parser.accepts(self.stack, "_RB" if self.opened else "$END")

    def _here(self, index: int) -> _Mark:
        return _Mark(index, tuple(self.stack), tuple(self.opened), len(self.kept))

    def _go_back(self, mark: _Mark) -> None:
        """Forget everything since that mark."""
        self.stack = list(mark.stack)
        self.opened = list(mark.opened)
        del self.marks[len(self.opened) + 1 :]
        del self.kept[mark.kept :]
        self.closed = None

    def _close(self) -> bool:
        """Close the innermost body by a brace that is not in the text; False if its last clause is incomplete."""
        if not self.parser.accepts(self.stack, "_RB"):
            return False
        self.parser.push(self.stack, "_RB")
        end = self.kept[-1].end
        self.kept.append(Token("_RB", "PUNCTUATION", "}", end, end))
        self.opened.pop()
        self.marks.pop()
        return True

    def _finish(self, index: int) -> None:
        """The declaration ends here: a brace may be missing, or its last clause may be incomplete."""
        if self.opened and self.parser.accepts(self.stack, "_RB"):
            for brace in reversed(self.opened):
                self._report_missing_brace(brace, index)
        elif not self.parser.accepts(self.stack, "$END"):
            self._report_early_end(index)
            self._go_back(self.marks[-1])
        while self.opened:
            if not self._close():
                inner = self.marks[-1]
                self._go_back(inner if list(inner.stack) != self.stack else self.marks[-2])
        if not self.parser.accepts(self.stack, "$END"):
            self._go_back(self.marks[0])

    # -------------------------------------------------------------------------------------------- mending

    def _mend(self, index: int) -> int:
        """Report the token that does not fit, and find a way past it; the index to go on with."""
        token = self.tokens[index]
        if self._drop_extra_brace(index) or self._insert_braces(index):
            return index
        expected = self._expected()
        self._report_unexpected(index, expected)
        if token.raw == "UNCLOSED":
            token.raw, token.text = "STRING", '"' + token.text.strip('"') + '"'
            self.swallowed += token.text.count("}")
            if self._step(index):
                return index + 1
        elif self._respell(index, expected) or self._is_stray(index):
            return index + 1
        mark = self._here(index) if self._is_between() else self.marks[-1]
        self._go_back(mark)
        return self._next_clause(index, mark, "STRING" in expected and "NAME" not in expected)

    def _drop_extra_brace(self, index: int) -> bool:
        """Leave out the closing brace before this token, if the token belongs into the body that it closed."""
        closed = self.closed
        if closed is None or closed.at != index - 1 or self.opened or self.tokens[index].text == "}":
            return False
        if self._first_on_line(index) and self._column(index) <= self._column(self.start):
            return False
        if not self._begins_clause(index, closed.stack):
            return False
        marks = [*self.marks, closed]
        self._go_back(closed)
        self.marks = marks
        self._report(self.tokens[closed.at], *errors.UNMATCHED)
        return True

    def _insert_braces(self, index: int) -> bool:
        """Close the bodies that this line, by its indentation, stands outside of."""
        if not self._first_on_line(index):
            return False
        stack = list(self.stack)
        column = self._column(index)
        for count, brace in enumerate(reversed(self.opened), start=1):
            if self._indentation(brace) < column or not self.parser.push(stack, "_RB"):
                return False
            if self._begins_clause(index, stack):
                for _ in range(count):
                    self._report_missing_brace(self.opened[-1], index)
                    self._close()
                return True
        return False

    def _respell(self, index: int, expected: frozenset[str]) -> bool:
        """Read a misspelt keyword as the one that was meant, if the next token confirms it."""
        token = self.tokens[index]
        meant = errors.meant_keyword(token.text, token.raw, expected, self.parser.terminals.words_of)
        if meant is None or index + 1 >= len(self.tokens):
            return False
        written, token.text = token.text, meant
        stack = list(self.stack)
        self._decide(token, index, stack)
        if self.parser.push(stack, token.type):
            following = self.tokens[index + 1]
            self._decide(following, index + 1, stack)
            if self.parser.accepts(stack, following.type):
                return self._step(index)
        token.text = written
        return False

    def _is_stray(self, index: int) -> bool:
        """Whether leaving out this one sign is enough: a comma or semicolon between clauses, a brace too many."""
        token = self.tokens[index]
        if token.text == "}":
            return not self.opened
        if token.raw not in {"PUNCTUATION", "UNKNOWN"} or not self._is_between():
            return False
        if token.text == "{" and (not self.opened or self._closing(index) is not None):
            return False
        return self._begins_clause(index + 1, self.stack)

    def _next_clause(self, index: int, mark: _Mark, whole_line: bool) -> int:
        """Where to go on after the clause at the mark: at the next keyword, the end of its body, or its outer margin."""
        margin = self._indentation(mark.at)
        outer = self._indentation(self.opened[-1]) if self.opened else 0
        depth = 0
        candidate = index
        while candidate < len(self.tokens):
            text = self.tokens[candidate].text
            if depth == 0 and text == "}":
                return candidate
            first = self._first_on_line(candidate)
            at_margin = first and self._column(candidate) <= margin
            reachable = (depth == 0 and (first or not whole_line)) or at_margin
            if reachable and text != "}" and self._begins_clause(candidate, mark.stack):
                return candidate
            own_line = at_margin and (depth == 0 or self._column(candidate) <= outer)
            if own_line and candidate > index and self.tokens[candidate].raw == "WORD":
                return candidate  # the next error, or what follows after a body without its end
            closing = self._closing(candidate) if text == "{" and depth == 0 else None
            if closing is not None:
                candidate = closing
            else:
                depth += (text == "{") - (text == "}")
            candidate += 1
        return candidate

    def _closing(self, index: int) -> int | None:
        """The brace that closes the one at that index, unless the layout says that it closes another."""
        margin = self._indentation(index) - (1 if self.opened else 0)
        depth = 0
        for candidate in range(index, len(self.tokens)):
            text = self.tokens[candidate].text
            if candidate > index and text != "}" and self._is_left_of(margin, candidate):
                return None
            depth += (text == "{") - (text == "}")
            if depth == 0:
                return None if self._ends_body(candidate + 1) else candidate
        return None

    def _is_left_of(self, column: int, index: int) -> bool:
        """Whether a token begins a line, at that column or further left."""
        return self._first_on_line(index) and self._column(index) <= column

    def _ends_body(self, index: int) -> bool:
        """Whether the layout says that the innermost body has ended before that token."""
        if not self.opened:
            return False
        if index >= len(self.tokens):
            return True
        return self.tokens[index].text != "}" and self._is_left_of(self._indentation(self.opened[-1]), index)

    def _behind(self) -> int:
        """Where the next declaration begins, going by braces alone."""
        depth = 0
        for candidate in range(self.start, len(self.tokens)):
            text = self.tokens[candidate].text
            if depth == 0 and candidate > self.start and text in self.parser.starters:
                return candidate
            depth += (text == "{") - (text == "}")
        return len(self.tokens)

    def _begins_clause(self, index: int, stack: Sequence[int]) -> bool:
        """Whether a clause can begin with this token, or a body end, where the parser has that stack of states."""
        if index >= len(self.tokens):
            return True
        token = self.tokens[index]
        self._decide(token, index, stack)
        begins = token.type in self.parser.terminals.words_of or token.type in {"FIELD", "_RB"}
        return begins and self.parser.accepts(stack, token.type)

    # -------------------------------------------------------------------------------------------- layout

    def _first_on_line(self, index: int) -> bool:
        return index == 0 or "\n" in self.parser.source.text[self.tokens[index - 1].end : self.tokens[index].start]

    def _column(self, index: int) -> int:
        start = self.tokens[index].start
        return start - self.parser.source.text.rfind("\n", 0, start)

    def _indentation(self, index: int) -> int:
        """The column of the first token on the line of this one."""
        while not self._first_on_line(index):
            index -= 1
        return self._column(index)

    # -------------------------------------------------------------------------------------------- messages

    def _report(self, token: Token, message: str, help: str = "", related: tuple[Label, ...] = ()) -> None:
        span = Span(self.parser.source, token.start, token.end)
        self.parser.problems.append(errors.syntax(span, message, related, help))

    def _expected(self) -> frozenset[str]:
        """The terminals that may stand next."""
        choices = self.parser.states[self.stack[-1]]
        return frozenset(name for name in choices if name.isupper() and self.parser.accepts(self.stack, name))

    def _report_unexpected(self, index: int, expected: frozenset[str]) -> None:
        token = self.tokens[index]
        inside = self._opener(self.opened[-1]) if self.opened else None
        message, help = errors.unexpected(
            found=token.text,
            kind=token.raw,
            expected=expected,
            words_of=self.parser.terminals.words_of,
            previous=self.kept[-1].text if self.kept else None,
            inside=inside.text if inside else None,
        )
        self._report(token, message, help)

    def _report_missing_brace(self, brace: int, index: int) -> None:
        """A body is not closed; the token there, or the end of the file, shows it."""
        if self.swallowed:
            self.swallowed -= 1  # it stands in a text without a closing quote, which is reported already
            return
        opener = self._opener(brace)
        what = f"`{opener.text}`" if opener else "the body"
        at, before = self._end(index)
        token = self.tokens[brace]
        related = (Label(Span(self.parser.source, token.start, token.end), "opened here"),)
        self._report(at, f"expected `}}` to close {what} before {before}", "", related)

    def _report_early_end(self, index: int) -> None:
        words = errors.expected_words(self._expected(), self.parser.terminals.words_of)
        at, before = self._end(index)
        self._report(at, f"expected {words} before {before}")

    def _end(self, index: int) -> tuple[Token, str]:
        """The token that comes too early, with its words; the last one of the file if there is none."""
        if index < len(self.tokens):
            return self.tokens[index], f"`{self.tokens[index].text}`"
        return self.tokens[-1], "the end of the file"

    def _opener(self, brace: int) -> Token | None:
        """The keyword of the construct whose body that brace opens: the first word of its clause."""
        index = brace
        while index > self.start and not self._first_on_line(index) and self.tokens[index - 1].text not in "{}":
            index -= 1
        while index < brace and self.tokens[index].text in {"external", "public", "private"}:
            index += 1
        token = self.tokens[index]
        return token if token.raw == "WORD" else None
