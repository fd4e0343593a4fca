"""Which two things can both happen in one run: a run takes one way at every choice and all ways at every fork."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from coordlint.graph import Index, causal_successors, message_numbers


class Exclusion:
    """Decides whether one run can reach two nodes of the plain causal graph.

    A run starts at one root. Control takes exactly one of an action's edges (a branch of a choice, the answer of a call),
    except that a fork takes all; beside that, what an action sends or changes takes its course, and every consumer of a
    message gets it. Where a run enters a process at its start, control decides which of its awaits are reached, not the
    messages that satisfy them. A choice that the process comes back to (a loop) may fall differently the next time; what
    happens after the run has come back to its root does not count.

    Method: two nodes that no way joins are both reached by a run without loops iff the last node that every way to either
    of them has to pass (their nearest common dominator) is no choice, because then two ways lead from it that share nothing
    (Menger's theorem); if it is a choice, iff the same holds behind one of its branches. Polynomial; in practice a few
    passes over what leads to the two nodes.

    Source of the notion: conflict in event structures (Nielsen, Plotkin, Winskel, TCS 13, 1981).
    """

    def __init__(self, index: Index) -> None:
        self.actions = index.system.actions
        self.count = len(self.actions) + len(message_numbers(index.system))
        self.successors = causal_successors(index, polls=True)
        self.predecessors: list[list[int]] = [[] for _ in range(self.count)]
        for node, targets in enumerate(self.successors):
            for target in targets:
                self.predecessors[target].append(node)

    def can_both_happen(self, first: int, second: int, roots: Iterable[int]) -> bool:
        """Whether one run from one of the roots can reach both nodes.

        Args:
            first, second: plain nodes: action ids, and behind them the messages.
            roots: the plain nodes that runs start at.
        """
        return any(self._from(root, first, second) for root in sorted(set(roots)))

    def _from(self, root: int, first: int, second: int) -> bool:
        leading = self._leading(root, (first, second))
        if root not in leading:
            return False
        ways = _Ways(self, leading, root)
        reached = ways.reached(root)
        if first not in reached or second not in reached:
            return False
        if first == second or second in ways.reached(first) or first in ways.reached(second):
            return True
        return self._both(ways, root, first, second)

    def _leading(self, root: int, nodes: Iterable[int]) -> set[int]:
        """The nodes from which those can be reached before the run comes back to its root."""
        seen = set(nodes)
        stack = list(seen)
        while stack:
            node = stack.pop()
            if node != root:
                for source in self.predecessors[node]:
                    if source not in seen:
                        seen.add(source)
                        stack.append(source)
        return seen

    def _both(self, ways: _Ways, root: int, first: int, second: int) -> bool:
        """Whether two consistent ways lead from there to the two nodes, neither of which leads to the other."""
        pending, seen = [root], {root}
        while pending:
            parting = ways.parting(pending.pop(), first, second)
            if parting is None:
                continue
            if not ways.is_choice(parting):
                return True
            if self._both_in_turn(ways, parting, first, second) or self._both_in_turn(ways, parting, second, first):
                return True
            for target in ways.targets(parting):
                if target not in seen:
                    seen.add(target)
                    pending.append(target)
        return False

    def _both_in_turn(self, ways: _Ways, choice: int, earlier: int, later: int) -> bool:
        """Whether the choice can lead to one node, come again, and then lead to the other."""
        branches = ways.targets(choice)
        if not any(later in ways.reached(branch) for branch in branches):
            return False
        once = ways.without_leaving(choice)
        for branch in branches:
            reached = once.reached(branch)
            if choice in reached and earlier in reached:
                if choice in once.reached(earlier) or self._both(once, branch, earlier, choice):
                    return True
        return False


class _Ways:
    """A part of the causal graph in which every node is either a choice or takes all its ways.

    An action that sends something and then has several ways to go on (a call and its answers) is split: the node itself takes
    all its ways, one of which leads to a node beyond the graph's numbers, which is the choice.
    """

    def __init__(self, exclusion: Exclusion, nodes: set[int], root: int, final: Collection[int] = ()) -> None:
        self.exclusion = exclusion
        self.nodes = nodes
        self.root = root
        self.final = final
        self.entered: set[int] = set()
        everything = self.reached(root)
        self.entered = {node for node in everything if self._kind(node) == "start"}

    def without_leaving(self, node: int) -> _Ways:
        """The same part without what comes after that node."""
        return _Ways(self.exclusion, self.nodes, self.root, {*self.final, node})

    def _kind(self, node: int) -> str:
        return self.exclusion.actions[node].kind if node < len(self.exclusion.actions) else ""

    def is_choice(self, node: int) -> bool:
        """Whether a run takes only one of the ways from that node."""
        if node >= self.exclusion.count:
            return True
        if node >= len(self.exclusion.actions):
            return False
        return len(self._controlled(node)) > 1 and len(self._controlled(node)) == len(self.targets(node))

    def targets(self, node: int) -> list[int]:
        """Where the ways from a node lead, without those back to the root; each target once."""
        exclusion = self.exclusion
        if node in self.final:
            return []
        if node >= exclusion.count:
            return self._controlled(node - exclusion.count)
        found = [
            target
            for target in dict.fromkeys(exclusion.successors[node])
            if target in self.nodes and target != self.root
        ]
        if node >= len(exclusion.actions):
            return [target for target in found if not self._is_passed_by(target)]
        controlled = self._controlled(node)
        beside = [target for target in found if target not in controlled]
        if beside and len(controlled) > 1:
            return [*beside, exclusion.count + node]
        return found

    def _is_passed_by(self, node: int) -> bool:
        """Whether it is an await of a process that the run has started: its message comes, but control decides."""
        return self._kind(node) == "await" and self.exclusion.actions[node].process.start in self.entered

    def _controlled(self, node: int) -> list[int]:
        """The control edges of which a run takes one; empty for a fork."""
        action = self.exclusion.actions[node]
        if action.kind == "fork":
            return []
        targets = dict.fromkeys(edge.target for edge in action.edges)
        return [target for target in targets if target in self.nodes and target != self.root]

    def reached(self, entry: int) -> set[int]:
        """All nodes that the entry leads to, itself included."""
        return set(self._order(entry))

    def parting(self, entry: int, first: int, second: int) -> int | None:
        """The last node that every way from the entry to either node passes; None if one of them cannot be reached."""
        order = self._order(entry)
        number = {node: place for place, node in enumerate(order)}
        if first not in number or second not in number:
            return None
        return _common(self._dominators(order), number, first, second)

    def _order(self, entry: int) -> list[int]:
        """The nodes that the entry leads to, in reverse postorder."""
        postorder: list[int] = []
        seen = {entry}
        stack: list[tuple[int, Iterator[int]]] = [(entry, iter(self.targets(entry)))]
        while stack:
            node, targets = stack[-1]
            target = next((one for one in targets if one not in seen), None)
            if target is None:
                postorder.append(node)
                stack.pop()
            else:
                seen.add(target)
                stack.append((target, iter(self.targets(target))))
        return postorder[::-1]

    def _dominators(self, order: list[int]) -> dict[int, int]:
        """The immediate dominator of each node; that of the entry is itself.

        Source: Cooper, Harvey, Kennedy, "A simple, fast dominance algorithm", Rice University, 2001.
        """
        number = {node: place for place, node in enumerate(order)}
        sources: dict[int, list[int]] = {node: [] for node in order}
        for node in order:
            for target in self.targets(node):
                sources[target].append(node)
        above = {order[0]: order[0]}
        changed = True
        while changed:
            changed = False
            for node in order[1:]:
                known = [source for source in sources[node] if source in above]
                best = known[0]
                for source in known[1:]:
                    best = _common(above, number, best, source)
                if above.get(node) != best:
                    above[node] = best
                    changed = True
        return above


def _common(above: dict[int, int], number: dict[int, int], one: int, other: int) -> int:
    """The nearest node that dominates both."""
    while one != other:
        if number[one] < number[other]:
            other = above[other]
        else:
            one = above[one]
    return one
