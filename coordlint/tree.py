"""Productions to syntax: any rule of the grammar becomes a clause, a handful becomes something smaller."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from coordlint.source import Source, Span
from coordlint.syntax import Clause, Name, Quantity, Ref, Text, Value, Word
from coordlint.tokens import Token


def maker(source: Source) -> Callable[[str, list[Any]], Any]:
    """What the parser calls to make a node of a rule's name and its children."""
    return partial(_make, source)


def _make(source: Source, rule: str, children: list[Any]) -> Any:
    special = _SPECIAL.get(rule)
    return special(source, children) if special is not None else _clause(source, sys.intern(rule), children)


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
    return Name(unescape(token.text) if quoted else token.text, Span(source, token.start, token.end), quoted)


def _ref(source: Source, children: list[Any]) -> Ref:
    return Ref(tuple(child for child in children if type(child) is Name), _span(source, children))


def _msg(source: Source, children: list[Any]) -> Ref:
    ref: Ref = children[0]
    if len(children) == 1:
        return ref
    return Ref(ref.parts, _span(source, children), children[1].text[1:])


def _text(source: Source, children: list[Any]) -> Text:
    token = children[0]
    return Text(unescape(token.text), Span(source, token.start, token.end))


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
        return Text(unescape(text), span)
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
        return Name(unescape(text) if text[0] == '"' else text, span, text[0] == '"')
    return Word(text, span)


_ESCAPE = re.compile(r"\\(.)")


def unescape(text: str) -> str:
    """What stands between the quotes of a string, its escapes resolved."""
    body = text[1:-1]
    return _ESCAPE.sub(lambda match: "\n" if match.group(1) == "n" else match.group(1), body) if "\\" in body else body
