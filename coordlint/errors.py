"""The words of syntax errors: what was found, what was expected, and the keyword that was probably meant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from coordlint.finding import Finding, Label
from coordlint.names import closest
from coordlint.source import Span

MAX_DEPTH = 100
"""Braces may nest this deep; a design that people write stays below ten."""

MAX_ERRORS = 100
"""After so many syntax errors the rest of the file is not reported: the cause is elsewhere by then."""

LITERALS = {
    "DURATION": "a duration such as `2s`",
    "RATE": "a rate such as `50/s`",
    "PERCENT": "a percentage such as `99.9%`",
    "SIZE": "a size such as `256KB`",
    "DATE": "a date such as `2027-01-31`",
    "INT": "a count such as `3`",
    "NUMBER": "a number such as `0.5`",
    "VERSION": "a version such as `@2`",
    "FACTOR": "a factor such as `x2`",
    "STRING": "a text in double quotes",
    "BLOCK_STRING": 'a text in `"""`',
    "FIELD": "a field such as `order_id: uuid`",
    "NAME": "a name",
}
_SIGNS = {
    "_LB": "`{`", "_RB": "`}`", "_COMMA": "`,`", "_DOT": "`.`", "_COLON": "`:`", "_EQUALS": "`=`", "_BAR": "`|`",
    "OPTIONAL": "`?`", "ARRAY": "`[]`",
}  # fmt: skip
_FEW = 6

UNMATCHED = ("unmatched `}`", "remove it, or open the body that it closes")
"""The message and the remedy for a closing brace too many."""

_KINDS = {
    "DURATION": "duration", "RATE": "rate", "PERCENT": "percentage", "SIZE": "size", "DATE": "date", "INT": "count",
    "NUMBER": "number", "VERSION": "version", "STRING": "text",
}  # fmt: skip


def syntax(span: Span, message: str, related: tuple[Label, ...] = (), help: str = "") -> Finding:
    """A ``SYN001`` finding."""
    return Finding(code="SYN001", primary=Label(span, ""), message=message, related=related, help=help)


def expected_words(expected: Iterable[str], words_of: Mapping[str, tuple[str, ...]], inside: str | None = None) -> str:
    """What may stand here, in words: ``a duration such as `2s```, ```auto`, `manual` or `none```, ``a line of a `service```."""
    names = set(expected) - {"$END"}
    literals = [words for name, words in LITERALS.items() if name in names]
    if "NAME" in names:
        literals = [words for words in literals if words != LITERALS["STRING"]]
    keywords = sorted({word for name in names for word in words_of.get(name, ())})
    signs = [_SIGNS[name] for name in _SIGNS if name in names]
    if len(keywords) > _FEW:
        if inside and "_RB" not in names:
            return _listed(["a statement", *(sign for sign in signs if sign == "`{`")])
        where = f"a line of the `{inside}` body" if inside else "a declaration such as `service` or `event`"
        return _listed(
            [*(words for words in literals if words == LITERALS["FIELD"]), where, *(s for s in signs if s == "`}`")]
        )
    return _listed([*literals, *(f"`{word}`" for word in keywords), *signs]) or "the end of the file"


def unexpected(
    *,
    found: str,
    kind: str,
    expected: frozenset[str],
    words_of: Mapping[str, tuple[str, ...]],
    previous: str | None,
    inside: str | None,
) -> tuple[str, str]:
    """The message and the remedy for a token that may not stand where it stands."""
    shown = found if len(found) <= 40 else found[:37] + "…"
    if kind == "UNCLOSED" and found.startswith('"""'):
        return f'the text `{shown}` has no closing `"""`', "end it with three quotes"
    if kind == "UNCLOSED":
        return (
            f"the text `{shown}` has no closing quote on its line",
            'end it with `"`, or write a longer one between `"""`',
        )
    if found == "}" and not inside and "_RB" not in expected and "$END" in expected:
        return UNMATCHED
    words = expected_words(expected, words_of, inside)
    after = f" after `{previous}`" if previous and previous not in "{}" and len(previous) <= 40 else ""
    meant = meant_keyword(found, kind, expected, words_of)
    help = f"did you mean `{meant}`?" if meant else _unit_hint(found, kind, expected)
    thing = _KINDS.get(kind)
    said = f"the {thing} `{shown}`" if thing and thing in words and kind != "STRING" else f"`{shown}`"
    if kind in {"STRING", "BLOCK_STRING"}:
        said = f"the text `{shown}`"
    return f"expected {words}{after}, found {said}", help


def meant_keyword(
    found: str, kind: str, expected: Iterable[str], words_of: Mapping[str, tuple[str, ...]]
) -> str | None:
    """The keyword that a word misspells, among those that may stand here, or None. A keyword misspells no other."""
    if kind != "WORD" or any(found in words for words in words_of.values()):
        return None
    return closest(found, sorted({word for name in expected for word in words_of.get(name, ())}))


def _unit_hint(found: str, kind: str, expected: frozenset[str]) -> str:
    """The remedy for a number without its unit."""
    if kind == "INT" and len(expected) <= _FEW + 2:
        for name, unit in (("DURATION", "s"), ("RATE", "/s"), ("PERCENT", "%"), ("SIZE", "KB")):
            if name in expected:
                return f"a number needs its unit here: `{found}{unit}`?"
    return ""


def _listed(things: list[str]) -> str:
    if len(things) <= 1:
        return "".join(things)
    return f"{', '.join(things[:-1])} or {things[-1]}"
