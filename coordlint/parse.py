"""Text to syntax: the LALR(1) parser of ``grammar/coord.lark``, one top-level declaration at a time.

Lark owns the grammar and makes the parse tables; ``tokens.py`` cuts the text, ``lalr.py`` drives the tables, ``tree.py`` makes the
nodes, and ``recovery.py`` reads what has a syntax error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from coordlint import errors, tables
from coordlint.errors import MAX_DEPTH, MAX_ERRORS
from coordlint.finding import Finding, Label
from coordlint.lalr import END, Run, Tables, push
from coordlint.source import LONGEST_LINE, Source, Span
from coordlint.syntax import Clause, Document
from coordlint.tokens import FACTOR, Token, cut
from coordlint.tree import maker, unescape


def parse(source: Source) -> Document:
    """Parse one file, report every syntax error and keep the declarations that are intact.

    Never raises for bad input: an unreadable part becomes a ``SYN001`` finding at the token where it shows.
    """
    problems = [errors.syntax(Span(source, at, at + 1), text) for at, text in source.problems]
    if problems and _has_endless_line(source):
        return Document(source, (), (), tuple(problems))
    tokens, comments = cut(source)
    parser = Parser(source, tokens)
    declarations = parser.run()
    problems += parser.problems
    problems.sort(key=lambda finding: finding.primary.span.start)
    return Document(source, declarations, comments, tuple(problems), frozenset(parser.lost))


def _has_endless_line(source: Source) -> bool:
    """Whether a line is too long to be a design: it is generated data, and cutting it would take the user's time."""
    return max((len(line) for line in source.text.split("\n")), default=0) > LONGEST_LINE


class Terminals(NamedTuple):
    """What the lexer reads off the grammar: the keywords with the terminals each may be."""

    keywords: dict[str, tuple[str, ...]]
    words_of: dict[str, tuple[str, ...]]


_KEYWORD = re.compile(r"\(?((?:[a-z][a-z-]*\|?)+)\)?\(\?!\[\\w-\]\)")


@cache
def grammar() -> tuple[Tables, Terminals]:
    """The parse tables and the keywords of the grammar."""
    found = tables.load()
    words_of: dict[str, tuple[str, ...]] = {}
    keywords: dict[str, tuple[str, ...]] = {}
    for name, pattern in found.patterns.items():
        match = _KEYWORD.fullmatch(pattern)
        if match:
            words_of[name] = tuple(match.group(1).split("|"))
            for word in words_of[name]:
                keywords[word] = (*keywords.get(word, ()), name)
    return found, Terminals(keywords, words_of)


class Parser:
    """Feeds tokens, one top-level declaration at a time, so that an error costs one declaration at most.

    A declaration with an error is read again on the parser's states alone, without values: there it is cheap to try what
    makes sense of the text. What is kept of it is then parsed like any other declaration.
    """

    def __init__(self, source: Source, tokens: list[Token]) -> None:
        self.source = source
        self.tokens = tokens
        self.problems: list[Finding] = []
        self.lost: set[str] = set()
        self.tables, self.terminals = grammar()
        self.starters = frozenset(
            word
            for word, names in self.terminals.keywords.items()
            if any(name in self.tables.steps[self.tables.first] for name in names)
        )
        self.make = maker(source)

    def run(self) -> tuple[Clause, ...]:
        """All intact declarations of the file, and what is left of the others."""
        declarations: list[Clause] = []
        index = 0
        while index < len(self.tokens):
            if len(self.problems) >= MAX_ERRORS:
                rest = self.tokens[index]
                self._report(rest.start, rest.end, f"more than {MAX_ERRORS} syntax errors, the rest is not read")
                self.lost |= self._names_in(index, len(self.tokens), ())
                break
            run = Run(self.tables, self.make)
            stop = self._feed(run, index)
            if stop is not None:
                declarations += run.finish()
                index = stop
            else:
                from coordlint.recovery import Recovery

                kept, stop = Recovery(self, index).run()
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
                    names.add(unescape(token.text))
        return names

    def _feed(self, run: Run, start: int) -> int | None:
        """Feed the declaration that begins there; the index where the next one begins, or None at a syntax error."""
        tokens = self.tokens
        depth = 0
        for index in range(start, len(tokens)):
            token = tokens[index]
            if token.raw == "WORD" or token.raw == "STRING":
                token.type = self.terminal(index, run.choices)
            begins = depth == 0 and index > start and token.text in self.starters
            if begins and self.accepts(run.stack, END):
                return index
            if token.type == "_LB":
                depth += 1
                if depth > MAX_DEPTH:
                    return None
            elif token.type == "_RB":
                depth -= 1
            if not run.feed(token):
                return None
        return len(tokens) if self.accepts(run.stack, END) else None

    def _build(self, tokens: list[Token]) -> tuple[Clause, ...]:
        """The declarations of tokens that are known to fit."""
        run = Run(self.tables, self.make)
        for token in tokens:
            run.feed(token)
        declarations: tuple[Clause, ...] = run.finish()
        return declarations

    def terminal(self, index: int, choices: dict[str, int]) -> str:
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
        if "FACTOR" in choices and FACTOR.fullmatch(token.text):
            return "FACTOR"
        if "NAME" in choices or not named:
            return "NAME"
        return named[0]

    def accepts(self, stack: Sequence[int], terminal: str) -> bool:
        """Whether that terminal may stand next."""
        return terminal in self.tables.steps[stack[-1]] and push(self.tables, list(stack), terminal)

    def _report(self, start: int, end: int, message: str, related: tuple[Label, ...] = (), help: str = "") -> None:
        self.problems.append(errors.syntax(Span(self.source, start, end), message, related, help))
