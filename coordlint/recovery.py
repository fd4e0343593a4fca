"""The recovery from syntax errors: every error of a declaration is reported, and what still makes sense of it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from coordlint import errors
from coordlint.errors import MAX_DEPTH, MAX_ERRORS
from coordlint.finding import Label
from coordlint.lalr import push
from coordlint.source import Span
from coordlint.tokens import Token

if TYPE_CHECKING:
    from coordlint.parse import Parser


class Recovery:
    """Reads one broken declaration: reports each error, and keeps the tokens of everything that still makes sense.

    It works like the parser, but on its states only. What does not fit is mended where the meaning is plain (a quote or a
    brace is missing, a keyword is misspelt); otherwise the clause around it is left out.
    """

    def __init__(self, parser: Parser, start: int) -> None:
        self.parser = parser
        self.tokens = parser.tokens
        self.start = start
        self.stack: list[int] = [parser.tables.first]
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
        if not push(self.parser.tables, self.stack, token.type):
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
            token.type = self.parser.terminal(index, self.parser.tables.steps[stack[-1]])

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
        push(self.parser.tables, self.stack, "_RB")
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
            if self._indentation(brace) < column or not push(self.parser.tables, stack, "_RB"):
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
        if push(self.parser.tables, stack, token.type):
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
            return not self.opened and self._is_between()
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
        choices = self.parser.tables.steps[self.stack[-1]]
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


class _Mark(NamedTuple):
    """A place to go back to: the token where a clause begins, and the parser's state there."""

    at: int
    stack: tuple[int, ...]
    opened: tuple[int, ...]
    kept: int
