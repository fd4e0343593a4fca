"""Text to tokens: words, literals and punctuation, cut by one regular expression.

Whether a word is a keyword or a name is for the parser's state to say. That is what Lark's contextual lexer does too (a test
holds the two against each other), without compiling a pattern for each of a thousand states.
"""

from __future__ import annotations

import re

from coordlint.source import Source, Span


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
FACTOR = re.compile(r"x\d+(?:\.\d+)?(?![\w-])")


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
