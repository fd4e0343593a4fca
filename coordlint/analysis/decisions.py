"""Decision diagrams: monotone conditions over independent components, and the exact probability that they hold."""

from __future__ import annotations

from collections.abc import Sequence

NEVER, ALWAYS = 0, 1
"""The two conditions that depend on nothing."""


class TooLargeError(Exception):
    """The diagram needs more nodes than it was allowed."""


class Decisions:
    """Reduced ordered binary decision diagrams with a common table of nodes.

    A condition is the number of its node; equal conditions have equal numbers. Taking a condition apart by one variable after
    the other is Shannon's expansion, and the table remembers each case that has been met before.

    Source: R. E. Bryant, Graph-based algorithms for Boolean function manipulation, IEEE Transactions on Computers, 1986.
    """

    def __init__(self, limit: int) -> None:
        """
        Args:
            limit: the most nodes the table may hold.
        """
        self.limit = limit
        self._nodes: list[tuple[int, int, int]] = [(-1, NEVER, NEVER), (-1, ALWAYS, ALWAYS)]
        self._numbers: dict[tuple[int, int, int], int] = {}
        self._both: dict[tuple[int, int], int] = {}
        self._either: dict[tuple[int, int], int] = {}

    def variable(self, number: int) -> int:
        """The condition that this variable holds; variables are taken apart in the order of their numbers."""
        return self._node(number, NEVER, ALWAYS)

    def both(self, first: int, second: int) -> int:
        """The conjunction of two conditions.

        Raises:
            TooLargeError: the table is full.
        """
        return self._combine(first, second, NEVER, ALWAYS, self._both)

    def either(self, first: int, second: int) -> int:
        """The disjunction of two conditions.

        Raises:
            TooLargeError: the table is full.
        """
        return self._combine(first, second, ALWAYS, NEVER, self._either)

    def probability(self, condition: int, chances: Sequence[float]) -> float:
        """The probability that the condition holds.

        Args:
            condition: the condition.
            chances: the probability of each variable (a ratio); the variables are independent.
        """
        return self._probabilities(self._below(condition), chances)[condition]

    def importances(self, condition: int, chances: Sequence[float]) -> list[float]:
        """How much the probability differs between each variable surely holding and surely failing.

        Source: Z. W. Birnbaum, On the importance of different components in a multicomponent system, 1969.
        """
        nodes = self._below(condition)
        values = self._probabilities(nodes, chances)
        result = [0.0] * len(chances)
        arrival = {condition: 1.0}
        for node in reversed(nodes):
            variable, low, high = self._nodes[node]
            here, chance = arrival.get(node, 0.0), chances[variable]
            result[variable] += here * (values[high] - values[low])
            arrival[low] = arrival.get(low, 0.0) + here * (1.0 - chance)
            arrival[high] = arrival.get(high, 0.0) + here * chance
        return result

    def _probabilities(self, nodes: Sequence[int], chances: Sequence[float]) -> dict[int, float]:
        result = {NEVER: 0.0, ALWAYS: 1.0}
        for node in nodes:
            variable, low, high = self._nodes[node]
            result[node] = (1.0 - chances[variable]) * result[low] + chances[variable] * result[high]
        return result

    def _below(self, condition: int) -> list[int]:
        """The nodes of a condition, each after its parts (it was made after them), without the two constants."""
        found = {condition}
        stack = [condition]
        while stack:
            for part in self._nodes[stack.pop()][1:]:
                if part not in found:
                    found.add(part)
                    stack.append(part)
        return sorted(found - {NEVER, ALWAYS})

    def _node(self, variable: int, low: int, high: int) -> int:
        if low == high:
            return low
        key = (variable, low, high)
        number = self._numbers.get(key)
        if number is None:
            if len(self._nodes) >= self.limit:
                raise TooLargeError
            number = len(self._nodes)
            self._nodes.append(key)
            self._numbers[key] = number
        return number

    def _combine(self, first: int, second: int, decides: int, neutral: int, known: dict[tuple[int, int], int]) -> int:
        """A conjunction or disjunction: one terminal decides it, the other changes nothing."""
        if first == second or second == neutral:
            return first
        if first == neutral:
            return second
        if decides in (first, second):
            return decides
        key = (first, second) if first < second else (second, first)
        if key in known:
            return known[key]
        one, other = self._nodes[first], self._nodes[second]
        variable = min(one[0], other[0])
        low = self._combine(
            one[1] if one[0] == variable else first,
            other[1] if other[0] == variable else second,
            decides,
            neutral,
            known,
        )
        high = self._combine(
            one[2] if one[0] == variable else first,
            other[2] if other[0] == variable else second,
            decides,
            neutral,
            known,
        )
        known[key] = self._node(variable, low, high)
        return known[key]
