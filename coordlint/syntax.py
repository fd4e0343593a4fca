"""The syntax of a design: frozen nodes with spans into the file they were read from.

Every construct of the language is one *clause*: a keyword with values and perhaps a body of further clauses. The kind of a
clause is the name of its rule in ``grammar/coord.lark``; a foreign format becomes the same clauses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, TypeAlias, TypeVar

from coordlint.finding import Finding
from coordlint.source import Source, Span


class Name(NamedTuple):
    """A declared or referenced name; ``quoted`` when it was written in double quotes."""

    text: str
    span: Span
    quoted: bool = False


class Ref(NamedTuple):
    """A reference, ``Inventory.ReserveStock @1..2``: the names between the dots and the pinned version, without ``@``."""

    parts: tuple[Name, ...]
    span: Span
    version: str | None = None

    @property
    def text(self) -> str:
        """The reference without its version, as one would say it."""
        return ".".join(part.text for part in self.parts)


class Quantity(NamedTuple):
    """A number with its unit. ``value`` is in seconds, per second, bytes, a ratio (99.9 % is 0.999) or a plain count."""

    kind: str
    value: float
    span: Span

    @property
    def text(self) -> str:
        """The quantity as it was written."""
        return self.span.text


class Word(NamedTuple):
    """A keyword that carries a value: ``auto``, ``public``, ``unlimited``, ``[]``."""

    text: str
    span: Span


class Text(NamedTuple):
    """A string between quotes, unescaped: a title, a note, a reason."""

    text: str
    span: Span


class Clause(NamedTuple):
    """One construct: its rule's name, its place, what stands before the body, and the body (``None`` without braces).

    ``span`` is the whole construct and ``head`` what stands before the body.
    """

    kind: str
    span: Span
    head: Span
    values: tuple[Value, ...]
    body: tuple[Clause, ...] | None = None

    def first(self, type_: type[V]) -> V | None:
        """The first value of that type, or ``None``."""
        for value in self.values:
            if isinstance(value, type_):
                return value
        return None

    def every(self, type_: type[V]) -> tuple[V, ...]:
        """All values of that type, in order."""
        return tuple(value for value in self.values if isinstance(value, type_))

    def child(self, kind: str) -> Clause | None:
        """The first clause of that kind among the values and in the body, or ``None``."""
        for value in self.values:
            if isinstance(value, Clause) and value.kind == kind:
                return value
        for clause in self.body or ():
            if clause.kind == kind:
                return clause
        return None

    def children(self, *kinds: str) -> Iterator[Clause]:
        """The body's clauses of those kinds, or all of them when no kind is named."""
        for clause in self.body or ():
            if not kinds or clause.kind in kinds:
                yield clause

    @property
    def name(self) -> Name:
        """The name that a declaration or step introduces."""
        found = self.first(Name)
        if found is None:
            raise LookupError(f"a `{self.kind}` has no name")
        return found

    @property
    def title(self) -> str:
        """The optional title string behind a declared name, or an empty string."""
        found = self.first(Text)
        return found.text if found else ""


Value: TypeAlias = Name | Ref | Quantity | Word | Text | Clause
V = TypeVar("V", Name, Ref, Quantity, Word, Text, Clause)


class Document(NamedTuple):
    """One parsed file: its intact declarations, its comments and the syntax errors that were found on the way.

    ``lost`` are names that a syntax error has taken with it: whoever refers to them is not to blame.
    """

    source: Source
    declarations: tuple[Clause, ...]
    comments: tuple[Span, ...] = ()
    problems: tuple[Finding, ...] = ()
    lost: frozenset[str] = frozenset()
