"""Monotone AND/OR graphs: what can be reached, and which nodes it cannot do without."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Set
from functools import cached_property


class _Holding(Set[int]):
    """The nodes that hold: the ground, which is shared, and what a question adds to it."""

    __slots__ = ("added", "ground")

    def __init__(self, ground: Set[int], added: Set[int]) -> None:
        self.ground = ground
        self.added = added

    def __contains__(self, node: object) -> bool:
        return node in self.added or node in self.ground

    def __iter__(self) -> Iterator[int]:
        yield from self.ground
        yield from self.added

    def __len__(self) -> int:
        return len(self.ground) + len(self.added)

    @classmethod
    def _from_iterable(cls, it: Iterable[int]) -> frozenset[int]:  # type: ignore[override]
        return frozenset(it)


class AndOr:
    """Nodes that hold when one of their inputs holds (OR) or when all do (AND).

    The truth of a graph is its least fixpoint over the given roots, so a cycle does not support itself. *Given* nodes (the
    components of a system) hold in every question unless they are taken out; what follows from them alone is computed once,
    so that a question costs the part of the graph that its roots reach and not the whole.
    """

    def __init__(self) -> None:
        self.outputs: list[list[int]] = []
        self.inputs: list[list[int]] = []
        self.conjunctive: list[bool] = []
        self.given: set[int] = set()

    def node(self, *, conjunctive: bool = False, given: bool = False) -> int:
        """A new node; ``given`` ones hold by themselves."""
        self.outputs.append([])
        self.inputs.append([])
        self.conjunctive.append(conjunctive)
        number = len(self.outputs) - 1
        if given:
            self.given.add(number)
        return number

    def edge(self, source: int, target: int) -> None:
        """``source`` is an input of ``target``; a repeated edge counts once."""
        self.outputs[source].append(target)
        self.inputs[target].append(source)

    @cached_property
    def ground(self) -> frozenset[int]:
        """The nodes that hold by the given ones alone. The graph must be complete when this is first asked."""
        return frozenset(self._order(self.given, (), ()))

    def reached(self, roots: Iterable[int], without: Collection[int] = ()) -> Set[int]:
        """The least fixpoint: the nodes that hold. Linear in the edges of what is reached.

        Args:
            roots: nodes that hold by themselves, beside the given ones.
            without: nodes that never hold, whatever their inputs say (failed components).
        """
        ground: Set[int] = self.ground
        if any(node in ground for node in without):
            ground = frozenset(self._order(self.given, (), without))
        return _Holding(ground, frozenset(self._order(roots, ground, without)))

    def _order(self, roots: Iterable[int], ground: Collection[int], without: Collection[int]) -> list[int]:
        """The nodes that hold beyond the ground, each after the inputs that made it hold."""
        banned = set(without)
        order = sorted(root for root in set(roots) if root not in banned and root not in ground)
        holds = set(order)
        missing: dict[int, int] = {}
        for node in order:
            for target in dict.fromkeys(self.outputs[node]):
                if target in holds or target in ground or target in banned:
                    continue
                if self.conjunctive[target]:
                    if target not in missing:
                        missing[target] = sum(1 for source in set(self.inputs[target]) if source not in ground)
                    missing[target] -= 1
                    if missing[target] > 0:
                        continue
                holds.add(target)
                order.append(target)
        return order

    def critical(self, roots: Iterable[int], components: Collection[int]) -> Needs:
        """For each node that holds (beyond the ground), the components without each of which alone it would not.

        The sets are the greatest fixpoint of: an OR node needs what all its reached inputs need, an AND node what any input
        needs, a component itself. Each component is the complement of reachability without it, so the result equals one
        removal per component; it costs a few passes over the reached part with one bit per component.
        """
        return Needs(self, set(roots), components)

    @cached_property
    def _ground_needs(self) -> dict[int, frozenset[int]]:
        """The given nodes that each node of the ground cannot do without."""
        needs: dict[int, frozenset[int]] = {node: frozenset((node,)) for node in self.given}
        for node in self._order(self.given, (), ()):
            if node in self.given:
                continue
            sources = [needs[source] for source in self.inputs[node] if source in needs]
            needs[node] = frozenset.union(*sources) if self.conjunctive[node] else frozenset.intersection(*sources)
        return needs


class Needs:
    """The result of :meth:`AndOr.critical`: a mapping from nodes to what they cannot do without."""

    def __init__(self, graph: AndOr, roots: set[int], components: Collection[int]) -> None:
        self.graph = graph
        wanted = components if isinstance(components, set | frozenset) else set(components)
        self.order = graph._order(roots, graph.ground, ())
        holds = set(self.order)
        self.bits: dict[int, int] = {}
        ground: dict[int, int] = {}

        def mask(nodes: Iterable[int]) -> int:
            result = 0
            for node in sorted(nodes):
                if node in wanted:
                    result |= 1 << self.bits.setdefault(node, len(self.bits))
            return result

        own = {node: mask((node,)) for node in self.order if node in wanted}
        sources_of: dict[int, list[int]] = {}
        for node in self.order:
            inside = []
            for source in graph.inputs[node]:
                if source in holds:
                    inside.append(source)
                elif source in graph.ground:
                    if source not in ground:
                        ground[source] = mask(graph._ground_needs[source])
                    inside.append(source)
            sources_of[node] = inside
        everything = (1 << len(self.bits)) - 1
        self.masks: dict[int, int] = dict.fromkeys(self.order, everything)
        self.masks.update(ground)
        pending = deque(self.order)
        waiting = set(self.order)
        while pending:
            node = pending.popleft()
            waiting.discard(node)
            needed = everything if not graph.conjunctive[node] else 0
            if node in roots:
                needed = 0
            elif graph.conjunctive[node]:
                for source in sources_of[node]:
                    needed |= self.masks[source]
            else:
                for source in sources_of[node]:
                    needed &= self.masks[source]
            needed |= own.get(node, 0)
            if needed != self.masks[node]:
                self.masks[node] = needed
                for target in graph.outputs[node]:
                    if target in holds and target not in waiting:
                        waiting.add(target)
                        pending.append(target)

    def __contains__(self, node: int) -> bool:
        return node in self.masks

    def of(self, node: int) -> list[int]:
        """The components that the node cannot do without, in ascending order; empty for a node that does not hold."""
        return self.expand(self.masks.get(node, 0))

    def mask(self, node: int) -> int:
        """The same as a bit mask, for combining; see :meth:`expand`."""
        return self.masks.get(node, 0)

    def expand(self, mask: int) -> list[int]:
        """The components of a mask, in ascending order."""
        return sorted(node for node, bit in self.bits.items() if mask >> bit & 1)
