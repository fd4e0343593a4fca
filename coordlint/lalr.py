"""Drives the LALR(1) tables that Lark makes of the grammar, without Lark.

Lark checks the grammar and computes the tables. Reading a design with them takes a stack and a loop, and importing all of Lark
for that would cost a small check a third of its time. A test holds the trees against those of Lark's own parser.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from lark import Lark

END = "$END"


class Rule(NamedTuple):
    """A production: the name of its node, the length of its right side, and the nonterminal it reduces to.

    A ``spliced`` one (its name begins with an underscore) makes no node: its children go to whoever holds it.
    """

    node: str
    length: int
    origin: str
    spliced: bool


class Tables(NamedTuple):
    """Parse tables as plain values.

    Attributes:
        steps: for each state and symbol the state to go to, or the complement (``~n``) of the rule to reduce by.
        rules: the productions.
        first, last: the states before and after a whole text.
        patterns: the regular expression of each terminal.
    """

    steps: list[dict[str, int]]
    rules: list[Rule]
    first: int
    last: int
    patterns: dict[str, str]


class HasType(Protocol):
    """A token, as far as the parser is concerned."""

    type: str


def tables_of(lark: Lark) -> Tables:
    """The tables of a Lark parser (``parser="lalr"``) with one start rule."""
    from lark.parsers.lalr_analysis import Shift

    table = lark.parse_interactive("").parser_state.parse_conf.parse_table
    (first,), (last,) = table.start_states.values(), table.end_states.values()
    number: dict[Any, int] = {}
    rules: list[Rule] = []
    steps: list[dict[str, int]] = [{} for _ in range(len(table.states))]
    for state, symbols in table.states.items():
        for symbol, (action, argument) in symbols.items():
            if action is Shift:
                steps[state][symbol] = argument
                continue
            if argument not in number:
                number[argument] = len(rules)
                name = str(argument.origin.name)
                rules.append(Rule(argument.alias or name, len(argument.expansion), name, name.startswith("_")))
            steps[state][symbol] = ~number[argument]
    return Tables(steps, rules, first, last, {terminal.name: terminal.pattern.value for terminal in lark.terminals})


class Run:
    """One text on its way through the tables.

    Attributes:
        stack: the states, the current one last.
    """

    __slots__ = ("_make", "_values", "stack", "tables")

    def __init__(self, tables: Tables, make: Callable[[str, list[Any]], Any]) -> None:
        self.tables = tables
        self.stack = [tables.first]
        self._values: list[Any] = []
        self._make = make

    @property
    def choices(self) -> dict[str, int]:
        """The symbols that have a step in the current state: those that may follow, and some that only a reduction rules out."""
        return self.tables.steps[self.stack[-1]]

    def feed(self, token: HasType) -> bool:
        """Take a token; False, and the run is of no more use, if it may not stand here."""
        steps, rules, stack, values = self.tables.steps, self.tables.rules, self.stack, self._values
        symbol = token.type
        while True:
            step = steps[stack[-1]].get(symbol)
            if step is None:
                return False
            if step >= 0:
                stack.append(step)
                values.append(token)
                return True
            node, length, origin, spliced = rules[~step]
            children = values[-length:] if length else []
            if length:
                del values[-length:]
                del stack[-length:]
            values.append(_splice(children) if spliced else self._make(node, _flat(children)))
            stack.append(steps[stack[-1]][origin])

    def finish(self) -> Any:
        """The value of the whole text.

        Raises:
            ValueError: the text is not complete.
        """
        steps, rules, stack, values = self.tables.steps, self.tables.rules, self.stack, self._values
        while True:
            step = steps[stack[-1]].get(END)
            if step is None or step >= 0:
                raise ValueError("the text is not complete")
            node, length, origin, spliced = rules[~step]
            children = values[-length:] if length else []
            if length:
                del values[-length:]
                del stack[-length:]
            values.append(_splice(children) if spliced else self._make(node, _flat(children)))
            stack.append(steps[stack[-1]][origin])
            if stack[-1] == self.tables.last:
                return values[-1]


class _Spliced(list[Any]):
    """The children of a rule that makes no node."""


def _splice(children: list[Any]) -> _Spliced:
    # A list grows by its left end (`_items: _items item`): the first child is extended in place, so that it costs linear time.
    first = children[0] if children else None
    if type(first) is _Spliced:
        spliced, rest = first, children[1:]
    else:
        spliced, rest = _Spliced(), children
    for child in rest:
        if type(child) is _Spliced:
            spliced += child
        else:
            spliced.append(child)
    return spliced


def _flat(children: list[Any]) -> list[Any]:
    if not any(type(child) is _Spliced for child in children):
        return children
    flat: list[Any] = []
    for child in children:
        if type(child) is _Spliced:
            flat += child
        else:
            flat.append(child)
    return flat


def push(tables: Tables, stack: list[int], symbol: str) -> bool:
    """Advance a bare stack of states over a symbol, to try things out; False, and the stack is spoilt, if it may not follow."""
    steps, rules = tables.steps, tables.rules
    while True:
        step = steps[stack[-1]].get(symbol)
        if step is None:
            return False
        if step >= 0:
            stack.append(step)
            return True
        _, length, origin, _ = rules[~step]
        if length:
            del stack[-length:]
        stack.append(steps[stack[-1]][origin])
        if symbol == END and stack[-1] == tables.last:
            return True
