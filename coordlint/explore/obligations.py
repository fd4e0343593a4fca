"""What a workflow owes: the steps without which it cannot end well, and what it waits for, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.system import Action, Step

if TYPE_CHECKING:
    from coordlint.explore.threads import Thread


def mandatory(thread: Thread) -> set[Step]:
    """The steps without which a workflow cannot end well: all ways to its end lead through them."""
    if thread.process.kind != "workflow":
        return set()
    actions = thread.actions
    kinds = {"ok", "next", "branch", "body", "exit"}
    found: set[Step] = set()
    for step in thread.process.steps:
        own = {n for n in step.actions if actions[n].kind in {"call", "send"}}
        if own and not _passes(thread, thread.process.start, own, kinds):
            found.add(step)
    return found


def _passes(thread: Thread, start: int, without: set[int], kinds: set[str]) -> bool:
    """Whether the end can be reached without those actions; every branch of a fork has to be passed."""
    actions = thread.actions
    inside: set[int] = set()
    for fork, branches in _all_forks(thread):
        if actions[fork].mode != "any":
            for branch in branches:
                if not _reaches(thread, branch.entry, branch.join, without, kinds):
                    inside.add(fork)
    return _reaches(thread, start, thread.process.actions[-1], without | inside, kinds)


def _all_forks(thread: Thread) -> list[tuple[int, list[Thread]]]:
    found = list(thread.branches.items())
    for branches in thread.branches.values():
        for branch in branches:
            found += _all_forks(branch)
    return found


def _reaches(thread: Thread, start: int, end: int, without: set[int], kinds: set[str]) -> bool:
    actions = thread.actions
    seen, stack = {start}, [start]
    while stack:
        number = stack.pop()
        if number == end:
            return True
        for edge in actions[number].edges:
            target = edge.target
            failing = edge.kind in {"failure", "timeout"}
            block = failing and actions[target].region in {"failure", "timeout", "fallback"}
            skip = failing and actions[target].region == "main"
            if (block or skip or (edge.kind in kinds and number not in without)) and target not in seen:
                seen.add(target)
                stack.append(target)
    return False


def awaited(action: Action, actions: list[Action]) -> str:
    """What a process waits for at an action, in words."""
    if action.kind == "call":
        return f"the answer to `{action.message.name}`"
    if action.kind == "fork":
        return "its parallel branches"
    arms = [actions[edge.target] for edge in action.edges] if action.kind == "choice" else [action]
    return listed([f"`{use.message.name}`" for arm in arms for use in arm.uses], any_=True)


def listed(names: list[str], any_: bool = False) -> str:
    """Names in a row, each once, joined by *and* or, if any of them is enough, *or*."""
    names = list(dict.fromkeys(names))
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {'or' if any_ else 'and'} {names[-1]}"
