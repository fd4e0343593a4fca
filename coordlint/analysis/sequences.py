"""Sequences: an instance of a flow as it passes through the processes, for diagrams.

The happy path comes first. Every other path deviates from one that came before in exactly one place: another branch of a
choice, a call that fails, a limit that passes. So each declared failure is shown once, with all that it sets off.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from coordlint.analysis.play import Play
from coordlint.analysis.record import Item, Party, Turn
from coordlint.system import Workflow

if TYPE_CHECKING:
    from coordlint.analysis.flows import FlowView
    from coordlint.system import Goal, Message

Ending: TypeAlias = Literal["success", "failure", "open"]

TRIALS = 40
"""How many paths are tried to find one that reaches the goal."""

LIMIT = 24
"""How many paths of a flow are played; the rest is counted."""


class Path(NamedTuple):
    """One way through a flow.

    Attributes:
        title: what is special about it, in words with names in backticks.
        kind: happy, failure (something fails or runs out of time) or alternative.
        items: what happens, in order; the arrows are numbered.
        shared: how many of the first items are the same as in the path that it deviates from.
        parent: the index of that path; the happy path is its own.
        parties: who takes part, in order of appearance.
        ends: at the success goal, at the failure goal, or at neither.
        why: a clause about the end.
        undone: what its compensations do, in order.
        depth: messages on the longest causal chain.
    """

    title: str
    kind: Literal["happy", "failure", "alternative"]
    items: tuple[Item, ...]
    shared: int
    parent: int
    parties: tuple[Party, ...]
    ends: Ending
    why: str
    undone: tuple[str, ...]
    depth: int


class Sequences(NamedTuple):
    """The paths of a flow, the happy one first, and how many more there are."""

    paths: tuple[Path, ...]
    left_out: int

    @property
    def happy(self) -> Path:
        """The path on which nothing fails."""
        return self.paths[0]


def sequences(view: FlowView, *, limit: int = LIMIT) -> Sequences:
    """The paths of a flow. The cost grows with the part of the design that the flow touches, times the limit.

    Args:
        view: the flow.
        limit: how many paths to play.
    """
    preferred = _Preferences(view)
    preferred.chosen = _chosen(view, preferred)
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    pending: deque[tuple[Turn | None, dict[int, int], int]] = deque([(None, {}, 0)])
    while pending and len(found) < limit:
        turn, forced, parent = pending.popleft()
        play = Play(view, preferred, forced)
        play.run()
        path = _path(play, turn, found[parent] if found else None, parent)
        if found and path.items == found[parent].items:
            continue  # nobody could see a difference
        for next_turn in play.turns:
            key = (next_turn.action, next_turn.target)
            if key not in seen and next_turn.action not in forced:
                seen.add(key)
                pending.append((next_turn, {**forced, next_turn.action: next_turn.target}, len(found)))
        found.append(path)
    return Sequences(tuple(found), len(pending))


def _chosen(view: FlowView, preferred: _Preferences) -> dict[int, int]:
    """The other turns to take, none of them failing, if the path that seems best does not reach the goal."""
    seen: set[tuple[int, int]] = set()
    pending: deque[dict[int, int]] = deque([{}])
    for _ in range(TRIALS):
        if not pending:
            break
        chosen = pending.popleft()
        play = Play(view, preferred, chosen)
        play.run()
        if _ending(play)[0] == "success":
            return chosen
        for turn in play.turns:
            key = (turn.action, turn.target)
            if not turn.failing and key not in seen and turn.action not in chosen:
                seen.add(key)
                pending.append({**chosen, turn.action: turn.target})
    return {}


def _path(play: Play, turn: Turn | None, parent: Path | None, number: int) -> Path:
    items = tuple(play.items)
    ends, why = _ending(play)
    kind: Literal["happy", "failure", "alternative"] = "happy"
    if turn is not None:
        kind = "failure" if turn.failing or ends != "success" else "alternative"
    return Path(
        turn.title if turn else "happy path",
        kind,
        items,
        _shared(items, parent.items) if parent else 0,
        number,
        tuple(play.parties.values()),
        ends,
        why,
        tuple(play.undone),
        play.depth,
    )


def _shared(items: Sequence[Item], others: Sequence[Item]) -> int:
    for number, (one, other) in enumerate(zip(items, others, strict=False)):
        if one != other:
            return number
    return min(len(items), len(others))


def _ending(play: Play) -> tuple[Ending, str]:
    flow = play.view.flow
    for goal, ends in ((flow.success, "success"), (flow.failure, "failure")):
        reached = _met(goal, play) if goal is not None else []
        if reached:
            names = " and ".join(f"`{one.name}`" for one in reached)
            return ("success", f"reaches its goal {names}") if ends == "success" else ("failure", f"ends with {names}")
    if play.stuck:
        return "open", f"stops: {play.stuck}"
    return "open", "ends without a declared outcome" if flow.success else "ends; the flow declares no goal"


def _met(goal: Goal, play: Play) -> list[Message | Workflow]:
    """The targets that were reached, if they are enough for the goal."""
    targets: list[Message | Workflow] = [one if isinstance(one, Workflow) else one.message for one in goal.targets]
    reached = [one for one in targets if one in play.reached]
    return reached if len(reached) == len(targets) or (goal.mode == "any" and reached) else []


class _Preferences:
    """Which branch of a choice belongs to the happy path: the one that neither fails nor leads away from the goal."""

    def __init__(self, view: FlowView) -> None:
        self.chosen: dict[int, int] = {}
        self.actions = view.causality.system.actions
        self.to_success = _before(view, view.flow.success)
        self.to_failure = _before(view, view.flow.failure)

    def order(self, action: int) -> list[int]:
        """The positions of the edges of a choice, the most preferred first."""
        edges = self.actions[action].edges
        first = self.chosen.get(action)
        return sorted(
            range(len(edges)),
            key=lambda one: (edges[one].target != first, *self._rank(edges[one].target, edges[one].chance), one),
        )

    def _rank(self, target: int, chance: float | None) -> tuple[bool, bool, bool, bool, float]:
        return (
            self.fails(target),
            chance == 0,
            bool(self.to_success) and target not in self.to_success,
            target in self.to_failure,
            -(chance if chance is not None else 0.5),
        )

    def fails(self, target: int) -> bool:
        """Whether all that follows in the process without another failure is its own failure."""
        seen, stack = set(), [target]
        while stack:
            action = self.actions[stack.pop()]
            if action.id in seen or action.kind in {"fail", "failed"}:
                continue
            seen.add(action.id)
            if action.kind == "end":
                return False
            stack += [edge.target for edge in action.edges if edge.kind not in {"failure", "timeout", "compensate"}]
        return True


def _before(view: FlowView, goal: Goal | None) -> set[int]:
    """The plain causal nodes of the flow that lead to a goal."""
    found: set[int] = set()
    stack = list(_goal_nodes(view, goal)) if goal is not None else []
    while stack:
        node = stack.pop()
        if node not in found and node in view.nodes:
            found.add(node)
            stack += view.causality.predecessors[node]
    return found


def _goal_nodes(view: FlowView, goal: Goal) -> Iterator[int]:
    for target in goal.targets:
        if isinstance(target, Workflow):
            yield target.process.actions[-1]
        elif not target.message.phantom:
            yield view.causality.number(target.message)
