"""Which two things can both happen in one run: a run takes one way at every choice and all ways at every fork."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from coordlint.graph import Index, causal_successors, message_numbers


class Exclusion:
    """Decides whether one run can reach two nodes of the plain causal graph.

    A run starts at one root. Control takes exactly one of an action's edges (a branch of a choice, the answer of a call),
    except that a fork takes all, and a join waits for all; beside that, what an action sends or changes takes its course, and
    every consumer of a message gets it. Where a run enters a process at its start, control decides which of its awaits are
    reached, not the messages that satisfy them. A choice that the process comes back to (a loop) may fall differently the
    next time; what happens after the run has come back to its root does not count.

    Method: first, every branch that one of the two nodes cannot do without closes the other branches of that choice. Then two
    nodes that no way joins are both reached iff the last node that every way to either of them has to pass (their nearest
    common dominator) is no choice, because then two ways lead from it that share nothing (Menger's theorem); if it is a
    choice, iff the same holds behind one of its branches. Exact for runs without loops and joins; loops and joins may only
    make it say *both* where the truth is subtler. A few passes over what leads to the two nodes.

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
        to_first, to_second = self._leading(first), self._leading(second)
        leading = to_first | to_second
        return any(self._from(root, first, second, leading) for root in sorted(to_first & to_second & set(roots)))

    def _from(self, root: int, first: int, second: int, leading: set[int]) -> bool:
        ways = _Ways(self, self._between(root, leading), root)
        if not _narrow(ways, first, second):
            return False
        return (
            first == second
            or second in ways.reached(first)
            or first in ways.reached(second)
            or _both(ways, root, first, second)
        )

    def _leading(self, node: int) -> set[int]:
        """The nodes from which that one can be reached."""
        seen, stack = {node}, [node]
        while stack:
            for source in self.predecessors[stack.pop()]:
                if source not in seen:
                    seen.add(source)
                    stack.append(source)
        return seen

    def _between(self, root: int, leading: set[int]) -> set[int]:
        """Those of the nodes that the root leads to."""
        seen, stack = {root}, [root]
        while stack:
            for target in self.successors[stack.pop()]:
                if target in leading and target not in seen:
                    seen.add(target)
                    stack.append(target)
        return seen


def _narrow(ways: _Ways, first: int, second: int) -> bool:
    """Close the branches beside those that one of the nodes cannot do without; False if that leaves no way to both."""
    while True:
        holds = ways.holds()
        if first not in holds or second not in holds:
            return False
        needed = ways.needed(first, holds) | ways.needed(second, holds)
        once = {(choice, branch) for choice, branch in needed if not ways.comes_again(choice)}
        if len({choice for choice, _ in once}) < len(once):
            return False
        closing = [(choice, branch) for choice, branch in sorted(once) if ways.out[choice] != [branch]]
        if not closing:
            return True
        for choice, branch in closing:
            ways.out[choice] = [branch]


def _both(ways: _Ways, entry: int, first: int, second: int) -> bool:
    """Whether two consistent ways lead from there to the two nodes, neither of which leads to the other."""
    pending, seen = [entry], {entry}
    while pending:
        parting = ways.parting(pending.pop(), first, second)
        if parting is None:
            continue
        if parting not in ways.choices:
            return True
        if _in_turn(ways, parting, first, second) or _in_turn(ways, parting, second, first):
            return True
        for target in ways.out[parting]:
            if target not in seen:
                seen.add(target)
                pending.append(target)
    return False


def _in_turn(ways: _Ways, choice: int, earlier: int, later: int) -> bool:
    """Whether the choice can lead to one node, come again, and then lead to the other."""
    branches = ways.out[choice]
    if not ways.comes_again(choice) or not any(later in ways.reached(branch) for branch in branches):
        return False
    once = ways.without_leaving(choice)
    for branch in branches:
        reached = once.reached(branch)
        if choice not in reached or earlier not in reached:
            continue
        if choice in once.reached(earlier) or _both(once, branch, earlier, choice):
            return True
    return False


class _Ways:
    """A part of the causal graph in which every node is either a choice or takes all its ways.

    An action that sends something and then has several ways to go on (a call and its answers) is split: the node itself takes
    all its ways, one of which leads to a node beyond the graph's numbers, which is the choice.

    Attributes:
        out: node -> where its ways lead, each once, none back to the root.
        choices: the nodes of which a run takes one way.
        joined: the nodes that wait for all that leads to them.
    """

    def __init__(self, exclusion: Exclusion, nodes: set[int], root: int) -> None:
        self.exclusion = exclusion
        self.root = root
        self.out: dict[int, list[int]] = {}
        self.choices: set[int] = set()
        self.joined: set[int] = set()
        for node in sorted(nodes):
            self._add(node, nodes)
        self._leave_awaits_to_control()

    def _add(self, node: int, nodes: set[int]) -> None:
        exclusion = self.exclusion
        found = list(dict.fromkeys(exclusion.successors[node]))
        found = [target for target in found if target in nodes and target != self.root]
        if node >= len(exclusion.actions):
            self.out[node] = found
            return
        action = exclusion.actions[node]
        controlled = {edge.target for edge in action.edges} if action.kind != "fork" else set()
        alternatives = [target for target in found if target in controlled]
        beside = [target for target in found if target not in controlled]
        if len(alternatives) > 1 and beside:
            split = exclusion.count + node
            self.out[node] = [*beside, split]
            self.out[split] = alternatives
            self.choices.add(split)
        else:
            self.out[node] = found
            if len(alternatives) > 1:
                self.choices.add(node)
        joins_messages = action.kind == "start" and any(trigger.mode == "all" for trigger in action.process.triggers)
        if joins_messages or (action.kind == "join" and action.mode != "any"):
            self.joined.add(node)

    def _leave_awaits_to_control(self) -> None:
        """In a process that the run starts, an await is reached by control; its message only lets it go on."""
        actions = self.exclusion.actions
        entered = self.reached(self.root)
        for node, targets in self.out.items():
            if len(actions) <= node < self.exclusion.count:
                self.out[node] = [
                    target
                    for target in targets
                    if actions[target].kind != "await" or actions[target].process.start not in entered
                ]

    def without_leaving(self, node: int) -> _Ways:
        """The same part without what comes after that node."""
        result = object.__new__(_Ways)
        result.exclusion, result.root = self.exclusion, self.root
        result.choices, result.joined = self.choices, self.joined
        result.out = {**self.out, node: []}
        return result

    def reached(self, entry: int) -> set[int]:
        """All nodes that the entry leads to, itself included."""
        seen = {entry}
        stack = [entry]
        while stack:
            for target in self.out.get(stack.pop(), ()):
                if target not in seen:
                    seen.add(target)
                    stack.append(target)
        return seen

    def comes_again(self, choice: int) -> bool:
        """Whether its process can come to the choice again after it has been made."""
        actions, count = self.exclusion.actions, self.exclusion.count
        process = actions[choice - count if choice >= count else choice].process
        seen: set[int] = set()
        stack = list(self.out[choice])
        while stack:
            node = stack.pop()
            if node == choice:
                return True
            inside = node >= count or (node < len(actions) and actions[node].process is process)
            if inside and node not in seen:
                seen.add(node)
                stack += self.out.get(node, ())
        return False

    def _sources(self, within: set[int]) -> dict[int, list[int]]:
        result: dict[int, list[int]] = {node: [] for node in within}
        for node in sorted(within):
            for target in self.out[node]:
                if target in within:
                    result[target].append(node)
        return result

    def holds(self) -> set[int]:
        """The nodes that some run from the root can reach, where a join waits for all that could reach it."""
        possible = self.reached(self.root)
        missing = {node: len(sources) for node, sources in self._sources(possible).items() if node in self.joined}
        found = {self.root}
        stack = [self.root]
        while stack:
            for target in self.out[stack.pop()]:
                if target in missing:
                    missing[target] -= 1
                if target not in found and missing.get(target, 0) <= 0:
                    found.add(target)
                    stack.append(target)
        return found

    def needed(self, node: int, holds: set[int]) -> set[tuple[int, int]]:
        """The branches (choice, target) that every run which reaches the node takes: a greatest fixpoint over bit masks."""
        sources = self._sources(holds)
        bits = {
            (choice, target): 1 << number
            for number, (choice, target) in enumerate(
                (choice, target) for choice in sorted(self.choices & holds) for target in self.out[choice]
            )
        }
        everything = (1 << len(bits)) - 1
        masks = {one: 0 if one == self.root else everything for one in holds}
        pending = deque(sorted(holds))
        waiting = set(pending)
        while pending:
            one = pending.popleft()
            waiting.discard(one)
            if one == self.root:
                continue
            mask = 0 if one in self.joined else everything
            for source in sources[one]:
                through = masks[source] | bits.get((source, one), 0)
                mask = mask | through if one in self.joined else mask & through
            if mask != masks[one]:
                masks[one] = mask
                for target in self.out[one]:
                    if target in holds and target not in waiting:
                        waiting.add(target)
                        pending.append(target)
        return {branch for branch, bit in bits.items() if masks[node] & bit}

    def parting(self, entry: int, first: int, second: int) -> int | None:
        """The last node that every way from the entry to either node passes; None if one of them cannot be reached."""
        order = self._order(entry)
        number = {node: place for place, node in enumerate(order)}
        if first not in number or second not in number:
            return None
        return _common(self._dominators(order, number), number, first, second)

    def _order(self, entry: int) -> list[int]:
        """The nodes that the entry leads to, in reverse postorder."""
        postorder: list[int] = []
        seen = {entry}
        stack: list[tuple[int, Iterator[int]]] = [(entry, iter(self.out[entry]))]
        while stack:
            node, targets = stack[-1]
            target = next((one for one in targets if one not in seen), None)
            if target is None:
                postorder.append(node)
                stack.pop()
            else:
                seen.add(target)
                stack.append((target, iter(self.out[target])))
        return postorder[::-1]

    def _dominators(self, order: list[int], number: dict[int, int]) -> dict[int, int]:
        """The immediate dominator of each node; that of the entry is itself.

        Source: Cooper, Harvey, Kennedy, "A simple, fast dominance algorithm", Rice University, 2001.
        """
        sources = self._sources(set(order))
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
