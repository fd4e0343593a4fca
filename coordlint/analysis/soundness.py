"""Soundness of a process: no dead statement, always an end in reach, branches that meet again, every declared answer awaited.

The grammar nests ``parallel``, ``either`` and loops, so only ``goto`` can lead from one branch into another, and only a
participant's outcome that nobody awaits can leave a run stuck.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from coordlint.system import Action, Process, System

if TYPE_CHECKING:
    from coordlint.analysis.causality import Causality
    from coordlint.analysis.sagas import Sagas

SEARCH_LIMIT = 5000
"""How many causal nodes are searched for an answer before it counts as possible."""


class Enclosing(NamedTuple):
    """A block around an action: a branch of a fork (``fork`` and the number of its branch) or a loop (branch 0)."""

    head: Action
    branch: int

    @property
    def is_fork(self) -> bool:
        """A ``parallel`` of two branches or more; otherwise a loop."""
        return self.head.kind == "fork"

    @property
    def synchronises(self) -> bool:
        """Whether every branch has to arrive: not a race (``parallel any``) and not an ordinary loop."""
        return self.head.mode != "any" if self.is_fork else self.head.mode == "for each in parallel"


class Jump(NamedTuple):
    """A ``goto`` that leads across the border of a block whose branches have to meet: ``out`` of it, or into it."""

    goto: Action
    target: Action
    block: Action
    out: bool


class Outcome(NamedTuple):
    """An answer that leaves a wait stuck.

    Attributes:
        wait: the await without a limit.
        request: the ``sends`` it waits on.
        handler: the process that takes the request.
        end: the action of the handler with which it ends without the awaited answer: a ``fails``, or an ``emits``.
    """

    wait: Action
    request: Action
    handler: Process
    end: Action


# ------------------------------------------------------------------------------------------------ structure


def structure(system: System, process: Process) -> dict[int, tuple[Enclosing, ...]]:
    """The blocks around each action of a process, outermost first.

    Actions are numbered in the order of their statements, and a block lies between its head and the action behind it; an
    action of a failure or timeout block belongs where its step stands.
    """
    actions = system.actions
    result: dict[int, tuple[Enclosing, ...]] = {}
    open_blocks: list[tuple[Action, list[int], int]] = []
    detached = []
    for number in process.actions:
        action = actions[number]
        while open_blocks and number >= open_blocks[-1][2]:
            open_blocks.pop()
        around = tuple(
            Enclosing(head, max(0, bisect_right(entries, number) - 1))
            for head, entries, _ in open_blocks
            if action.region == "main" or head.region != "main"
        )
        result[number] = around
        if action.region != "main":
            detached.append(action)
        outer = open_blocks[-1][2] if open_blocks else process.actions[-1] + 1
        if action.kind == "fork" and any(edge.kind == "branch" for edge in action.edges):
            entries = sorted(edge.target for edge in action.edges)
            if len(entries) > 1:
                open_blocks.append((action, entries, _join_of(system, process, action)))
        elif action.kind == "loop":
            after = [edge.target for edge in action.edges if edge.kind == "exit" and edge.target > number]
            if action.mode == "repeat":
                after = [_again(system, process, action)]
            open_blocks.append((action, [number + 1], min(after, default=outer)))
    for action in detached:
        first = action.step.actions[0] if action.step is not None and action.step.actions else None
        if first is not None:
            result[action.id] = result[first] + result[action.id]
        elif action.mode == "goto":
            del result[action.id]  # the process has stopped by then: it begins anew
    return result


def _join_of(system: System, process: Process, fork: Action) -> int:
    """The join of a fork: the next one that stands at the same ``parallel``."""
    for number in range(fork.id + 1, process.actions[-1] + 1):
        action = system.actions[number]
        if action.kind == "join" and action.span == fork.span:
            return number
    return process.actions[-1]


def _again(system: System, process: Process, loop: Action) -> int:
    """The action behind the body of a ``repeat``, which decides whether it runs again."""
    for number in range(loop.id + 1, process.actions[-1] + 1):
        action = system.actions[number]
        if action.kind == "choice" and action.mode == "repeat" and action.span == loop.span:
            return number
    return process.actions[-1]


# ------------------------------------------------------------------------------------------------ one process


def dead(system: System, process: Process) -> list[Action]:
    """The first action of each stretch of statements that control never reaches, in order.

    A join is passed only if each branch of its fork can come to it; where a ``goto`` leaves a branch, that is the thing to say.
    """
    reached = _forward(system, (process.start,)) if jumps(system, process) else _passed(system, process)
    unreached = [
        number
        for number in process.actions
        if number not in reached and system.actions[number].region == "main" and _is_statement(system.actions[number])
    ]
    return [system.actions[group[0]] for group in _groups(system, unreached, process, reached)]


def endless(system: System, process: Process) -> list[Action]:
    """A ``goto`` of each set of statements that control can enter but never leave, in order.

    What has nothing behind it waits for a parallel branch that ends the process, and so ends, too.
    """
    before: dict[int, list[int]] = {}
    for number in process.actions:
        for edge in system.actions[number].edges:
            before.setdefault(edge.target, []).append(number)
    ends = {number for number in process.actions if not system.actions[number].edges}
    leaving, pending = set(ends), sorted(ends)
    while pending:
        for number in before.get(pending.pop(), ()):
            if number not in leaving:
                leaving.add(number)
                pending.append(number)
    reached = _forward(system, (process.start,))
    found = []
    for group in _groups(system, sorted(reached - leaving), process, reached):
        jumps = [number for number in group if system.actions[number].mode == "goto"]
        found.append(system.actions[(jumps or group)[-1]])
    return found


def jumps(system: System, process: Process) -> list[Jump]:
    """The reachable ``goto`` that break the synchronisation of parallel branches, in order.

    A token that leaves its branch never reaches the join, and one that enters a branch from outside waits at the join for
    branches that nobody started: an AND-split merged by an XOR, or an XOR-split joined by an AND. A race (``parallel any``)
    and a block of one branch wait for nobody, and one way that can only end in failure stops everybody.
    """
    gotos = [action for action in system.actions_of(process, "choice") if action.mode == "goto" and action.edges]
    if not gotos:
        return []
    blocks = structure(system, process)
    reached = _forward(system, (process.start,))
    found: list[Jump] = []
    failing: dict[int, list[Jump]] = {}
    for goto in gotos:
        target = goto.edges[0].target
        if goto.id not in reached or goto.id not in blocks or target not in blocks:
            continue
        here = [block for block in blocks[goto.id] if block.synchronises]
        there = [block for block in blocks[target] if block.synchronises]
        left = [block for block in here if block not in there]
        entered = [block for block in there if block not in here]
        if not left and not entered:
            continue
        jump = Jump(goto, system.actions[target], (left or entered)[0].head, bool(left))
        behind = _forward(system, (target,))
        if not left and not _waits_in(system, process, entered, behind, blocks):
            continue
        if (
            left
            and not entered
            and process.actions[-1] not in behind
            and not any(one.head.id in behind for one in left)
        ):
            failing.setdefault(left[0].head.id, []).append(jump)
            continue
        found.append(jump)
    found += (jump for several in failing.values() if len(several) > 1 for jump in several)
    return sorted(found, key=lambda jump: jump.goto.id)


def _waits_in(
    system: System,
    process: Process,
    entered: list[Enclosing],
    behind: set[int],
    blocks: dict[int, tuple[Enclosing, ...]],
) -> bool:
    """Whether control that entered those branches can come to where they wait for the others."""
    for block in entered:
        if not block.is_fork:
            return True
        if _join_of(system, process, block.head) in behind:
            return True
        if any(not system.actions[number].edges and block in blocks.get(number, ()) for number in behind):
            return True
    return False


def _is_statement(action: Action) -> bool:
    """Not one of the nodes that lowering adds behind statements."""
    return action.kind not in {"end", "failed", "join"} and action.mode not in {"merge"} and not _is_loop_end(action)


def _is_loop_end(action: Action) -> bool:
    return action.kind == "choice" and action.mode == "repeat"


def _forward(system: System, starts: Iterable[int]) -> set[int]:
    seen = set(starts)
    stack = sorted(seen)
    while stack:
        for edge in system.actions[stack.pop()].edges:
            if edge.target not in seen:
                seen.add(edge.target)
                stack.append(edge.target)
    return seen


def _passed(system: System, process: Process) -> set[int]:
    """The actions that control can reach when joins wait for all of their branches."""
    waiting = _waiting(system, process)
    seen = {process.start}
    stack = [process.start]
    while stack:
        number = stack.pop()
        for edge in system.actions[number].edges:
            missing = waiting.get(edge.target)
            if missing is not None:
                missing.discard(number)
            if edge.target not in seen and not missing:
                seen.add(edge.target)
                stack.append(edge.target)
    return seen


def _waiting(system: System, process: Process) -> dict[int, set[int]]:
    """For each join whose branches all have to arrive, the actions that it waits for; it has none if a branch never comes."""
    result: dict[int, set[int]] = {}
    for number in process.actions:
        for edge in system.actions[number].edges:
            target = system.actions[edge.target]
            if target.kind == "join" and target.mode != "any":
                result.setdefault(edge.target, set()).add(number)
    return result


def _groups(system: System, numbers: list[int], process: Process, reached: set[int]) -> list[list[int]]:
    """The numbers in groups that control connects (also over nodes that are no statements), each in order."""
    first, last = process.actions[0], process.actions[-1]
    wanted = set(numbers)
    parent = {number: number for number in range(first, last + 1)}

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for number in process.actions:
        for edge in system.actions[number].edges:
            inside = number in wanted or (number not in reached and not _is_statement(system.actions[number]))
            if inside and (edge.target in wanted or edge.target not in reached):
                parent[root(edge.target)] = root(number)
    groups: dict[int, list[int]] = {}
    for number in numbers:
        groups.setdefault(root(number), []).append(number)
    return sorted(groups.values())


# ------------------------------------------------------------------------------------------------ answers


def unanswered(causality: Causality, sagas: Sagas, wait: Action) -> list[Outcome]:
    """The declared outcomes of what an endless wait asked for that never lead back to it, in order.

    Args:
        wait: an ``awaits`` without any limit.
    """
    found: dict[tuple[int, int], Outcome] = {}
    answers = {wait.id, *sagas.rivals(wait)}
    for request in sagas.requests_of(wait):
        for handler in sagas.answering(request):
            if handler is wait.process or not _comes_back(causality, (handler.start,), answers):
                continue
            for end, target in _outcomes(sagas, handler):
                if not _comes_back(causality, (target,), answers):
                    found.setdefault((request.id, end.id), Outcome(wait, request, handler, end))
    return [found[key] for key in sorted(found)]


def _outcomes(sagas: Sagas, handler: Process) -> list[tuple[Action, int]]:
    """The alternatives of a handler that end in failure or announce something: what tells of it, and where it begins."""
    system = sagas.system
    doomed, reached = sagas.doomed(handler), sagas.reached(handler)
    found = []
    for number in handler.actions:
        action = system.actions[number]
        if number not in reached:
            continue
        if action.kind == "choice":
            targets = [edge.target for edge in action.edges if edge.chance != 0]
        elif action.kind == "call" and any(callee in sagas.failing for callee in sagas.answering(action)):
            targets = [edge.target for edge in action.edges if edge.kind == "failure"]
        else:
            continue
        for target in targets:
            if target in doomed:
                end = next((i for i in sorted(_forward(system, (target,))) if system.actions[i].kind == "fail"), number)
                found.append((system.actions[end], target))
            elif system.actions[target].kind == "emit":
                found.append((system.actions[target], target))
    return found


def _comes_back(causality: Causality, starts: Iterable[int], answers: set[int]) -> bool:
    """Whether one of the answers can follow; also true where the search has to give up."""
    queue = deque(starts)
    seen = set(queue)
    while queue:
        node = queue.popleft()
        if node in answers:
            return True
        for target in causality.successors[node]:
            if target not in seen:
                if len(seen) >= SEARCH_LIMIT:
                    return True
                seen.add(target)
                queue.append(target)
    return False
