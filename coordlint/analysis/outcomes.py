"""Outcomes of flows: runs that end well and badly at once, and branches in which a run ends without any outcome."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from coordlint.analysis.causality import Causality
from coordlint.analysis.flows import FlowView
from coordlint.system import Action, Goal, MessageUse, Process, Workflow


class Contradiction(NamedTuple):
    """A point of a flow behind which both a success goal and a failure goal follow without a choice between them.

    ``to_success`` and ``to_failure`` are plain causal paths that begin at the point, goals included.
    """

    view: FlowView
    success: MessageUse | Workflow
    failure: MessageUse | Workflow
    to_success: tuple[int, ...]
    to_failure: tuple[int, ...]


def contradictions(causality: Causality, view: FlowView) -> list[Contradiction]:
    """The contradictory outcomes of a flow, one for each last common point of the two paths, in model order.

    *Without a choice* means: calls are answered well, messages arrive, and nothing on the way decides, waits for something
    else, or acts only under a guard. An ``either``, alternative outcomes, the arms of an ``awaits``, a failing call, a handler
    with ``when`` and a joined trigger end a path. Linear in the size of the flow for each pair of goals.
    """
    flow = view.flow
    if flow.success is None or flow.failure is None:
        return []
    within = {node for node in view.nodes if _happens(causality, view, node)}
    before = _reversed(causality, within)
    found: dict[int, Contradiction] = {}
    for success in _ends(causality, flow.success):
        well = _cones(before, success.values())
        for failure in _ends(causality, flow.failure):
            if set(success.values()) & set(failure.values()):
                continue
            both = well & _cones(before, failure.values())
            both &= within
            points = [node for node in sorted(both) if not any(after in both for after in certain(causality, node))]
            for node in points or sorted(both)[:1]:
                if node not in found:
                    (good, good_node), (bad, bad_node) = next(iter(success.items())), next(iter(failure.items()))
                    found[node] = Contradiction(
                        view,
                        good,
                        bad,
                        tuple(_path(causality, node, good_node, within)),
                        tuple(_path(causality, node, bad_node, within)),
                    )
    return [found[node] for node in sorted(found)]


def certain(causality: Causality, node: int) -> Iterator[int]:
    """The plain nodes that follow a node without a choice, see :func:`contradictions`."""
    system, index = causality.system, causality.index
    message = causality.message_at(node)
    if message is not None:
        for process in index.started.get(message, ()):
            if _acts_always(process) and any(
                trigger.mode == "any" and any(use.message is message for use in trigger.uses)
                for trigger in process.triggers
            ):
                yield process.start
        yield from (action.id for action in index.awaiting.get(message, ()))
        return
    action = system.actions[node]
    if action.kind in {"emit", "send", "call"} and not action.message.phantom:
        yield causality.number(action.message)
    elif action.kind == "write":
        for entity in action.entities:
            yield from (process.start for process in index.reacting(entity) if _acts_always(process))
    targets = dict.fromkeys(_onward(action))
    if (action.kind == "choice" and action.mode == "repeat") or (action.kind == "loop" and action.mode != "repeat"):
        targets = dict.fromkeys(edge.target for edge in action.edges if edge.kind == "exit")
    elif action.kind == "choice" and len(targets) > 1:
        return
    yield from (target for target in targets if system.actions[target].kind != "await")


class SilentEnd(NamedTuple):
    """A branch of a choice in which a run of the flow reaches neither goal nor failure goal.

    ``branch`` is the first action of the branch, ``last`` the processes in which what follows it ends, in model order.
    """

    view: FlowView
    choice: Action
    branch: Action
    last: tuple[Process, ...]


def silent_ends(causality: Causality, view: FlowView) -> list[SilentEnd]:
    """The branches of a flow that end without any outcome, in model order.

    A branch counts when no goal lies behind it and none is reached any more once the other branches of its choice are taken
    away, so an end beside the work of other services does not count. A branch that declares its failure (``fails``) does not
    count either, nor does the choice of somebody outside. One search of the flow, and one more for each branch in doubt.
    """
    if view.goal is None or view.level is None:
        return []
    return [
        SilentEnd(view, choice, branch, _last_processes(causality, branch.id))
        for choice, branch in _without_outcome(causality, view, list(_doubtful(causality, view)))
    ]


class _Doubt(NamedTuple):
    """A branch behind which no goal lies, and the entries of the other branches of its choice as AND/OR nodes."""

    choice: Action
    branch: Action
    others: frozenset[int]


def _doubtful(causality: Causality, view: FlowView) -> Iterator[_Doubt]:
    actions = causality.system.actions
    goals = {node for goal in (view.flow.success, view.flow.failure) if goal for node in _goal_nodes(causality, goal)}
    goalward = _backwards(causality.predecessors, goals & view.nodes, view.nodes)
    for node in sorted(view.nodes):
        if node >= len(actions) or actions[node].kind != "choice" or actions[node].mode not in {"", "await"}:
            continue
        choice = actions[node]
        if choice.process.service.external or choice.region == "compensation":
            continue
        targets = list(dict.fromkeys(edge.target for edge in choice.edges if edge.chance != 0))
        for target in targets if len(targets) > 1 else ():
            if target not in goalward and not _fails(causality, target):
                others = frozenset(causality.entered(other) for other in targets if other != target)
                yield _Doubt(choice, actions[target], others)


def _without_outcome(causality: Causality, view: FlowView, doubts: list[_Doubt]) -> Iterator[tuple[Action, Action]]:
    """Those of the branches that leave no way to a goal, as pairs of choice and branch.

    Where a choice has one other branch, the question is whether both goals need it, which one pass answers for all of them.
    """
    goals = [causality.goal_node(goal) for goal in (view.flow.success, view.flow.failure) if goal is not None]
    if not doubts or any(goal in causality.graph.ground for goal in goals):
        return
    needs = causality.graph.critical(view.roots, {node for doubt in doubts for node in doubt.others})
    needed = set.intersection(*(set(needs.of(goal)) for goal in goals if goal in needs))
    for doubt in doubts:
        if len(doubt.others) == 1:
            lost = doubt.others <= needed
        else:
            holds = causality.graph.reached(view.roots, doubt.others)
            lost = not any(goal in holds for goal in goals)
        if lost:
            yield doubt.choice, doubt.branch


def _fails(causality: Causality, start: int) -> bool:
    """Whether the branch declares a failure of its process, or is the end of a wait that fails it."""
    actions = causality.system.actions
    seen, stack = {start}, [start]
    while stack:
        action = actions[stack.pop()]
        if action.kind in {"fail", "failed"}:
            return True
        for target in _onward(action):
            if target not in seen:
                seen.add(target)
                stack.append(target)
    return False


def _last_processes(causality: Causality, start: int) -> tuple[Process, ...]:
    """The processes behind a branch that send nothing on."""
    actions = causality.system.actions
    behind = [actions[node].process for node in sorted(causality.after((start,))) if node < len(actions)]
    says = {
        action.process
        for node in causality.after((start,))
        if node < len(actions)
        for action in (actions[node],)
        if action.kind in {"emit", "send", "call"}
    }
    return tuple(process for process in dict.fromkeys(behind) if process not in says)


# ------------------------------------------------------------------------------------------------ goals and searches


def _onward(action: Action) -> Iterator[int]:
    """Where control goes from an action that works: not to the answers to a failed call or an expired process."""
    for edge in action.edges:
        if edge.kind not in _MISHAPS.get(action.kind, ()):
            yield edge.target


_MISHAPS = {"call": frozenset({"failure", "timeout"}), "start": frozenset({"timeout"})}


def _acts_always(process: Process) -> bool:
    return not (process.fact("when").declared or process.fact("if_changed").declared)


def _ends(causality: Causality, goal: Goal) -> Iterator[dict[MessageUse | Workflow, int]]:
    """The sets of targets that meet a goal: each alone, or all of them together."""
    targets = {target: node for target in goal.targets for node in _target_nodes(causality, target)}
    if goal.mode == "any":
        yield from ({target: node} for target, node in targets.items())
    elif len(targets) == len(goal.targets):
        yield targets


def _goal_nodes(causality: Causality, goal: Goal) -> Iterator[int]:
    for target in goal.targets:
        yield from _target_nodes(causality, target)


def _target_nodes(causality: Causality, target: MessageUse | Workflow) -> Iterator[int]:
    if isinstance(target, Workflow):
        yield target.process.actions[-1]
    elif not target.message.phantom:
        yield causality.number(target.message)


def _reversed(causality: Causality, within: set[int]) -> dict[int, list[int]]:
    result: dict[int, list[int]] = {}
    for node in sorted(within):
        for target in certain(causality, node):
            result.setdefault(target, []).append(node)
    return result


def _cones(before: dict[int, list[int]], nodes: Iterable[int]) -> set[int]:
    """The nodes from which every one of those nodes follows."""
    cones = []
    for node in nodes:
        seen, stack = {node}, [node]
        while stack:
            for source in before.get(stack.pop(), ()):
                if source not in seen:
                    seen.add(source)
                    stack.append(source)
        cones.append(seen)
    return set.intersection(*cones)


def _backwards(predecessors: list[list[int]], nodes: set[int], within: set[int]) -> set[int]:
    seen, stack = set(nodes), list(nodes)
    while stack:
        for source in predecessors[stack.pop()]:
            if source in within and source not in seen:
                seen.add(source)
                stack.append(source)
    return seen


def _happens(causality: Causality, view: FlowView, node: int) -> bool:
    """Whether the flow itself can come to the node."""
    message = causality.message_at(node)
    return (causality.entered(node) if message is None else causality.sent(message)) in view.holds


def _path(causality: Causality, source: int, target: int, within: set[int]) -> list[int]:
    """A shortest path of certain steps."""
    came = {source: source}
    queue = deque((source,))
    while queue:
        node = queue.popleft()
        if node == target:
            path = [node]
            while path[-1] != source:
                path.append(came[path[-1]])
            return path[::-1]
        for following in certain(causality, node):
            if following in within and following not in came:
                came[following] = node
                queue.append(following)
    return []
