"""A workflow on the page: the table of its steps, and the graph of steps and what undoes them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from coordlint.report.layout import Group
from coordlint.report.map import Line, Look, Sketch, Thing

if TYPE_CHECKING:
    from coordlint.design import Design
    from coordlint.system import Action, FactName, Step, Workflow


class StepRow(NamedTuple):
    """One step: what it is called, does, and says about failing; every cell is words with names in backticks."""

    name: str
    does: str
    kind: str
    retries: str
    timeout: str
    compensation: str
    isolation: str


def rows(design: Design, workflow: Workflow) -> list[StepRow]:
    """The steps of a workflow in their order."""
    kinds = {id(one.step): one.kind for one in design.sagas.saga(workflow.process).steps}
    return [
        StepRow(
            step.name or "—",
            _does(design, step) or "nothing of its own",
            kinds.get(id(step), ""),
            _first(design, step, "retries", "attempts", "backoff"),
            _first(design, step, "timeout", "deadline"),
            _compensation(design, step),
            _first(design, step, "isolation"),
        )
        for step in workflow.process.steps
    ]


def sketch_steps(design: Design, workflow: Workflow) -> Sketch:
    """The steps as a graph: solid from step to step, dashed to what undoes a step."""
    system = design.system
    steps = [step for step in workflow.process.steps if step.actions]
    owner = {number: i for i, step in enumerate(steps) for number in step.actions}
    things = [Thing("start", "point", "start", "", Look())]
    lines: list[Line] = []
    start, end = workflow.process.start, workflow.process.actions[-1]
    for target in _reached(design, [start], owner, end):
        lines.append(Line("start", target, "command", "filled"))
    saga = {id(one.step): one.kind for one in design.sagas.saga(workflow.process).steps}
    for i, step in enumerate(steps):
        does = _does(design, step).replace("`", "")
        name = step.name or does or "step"
        kind = saga.get(id(step), "")
        below = does if step.name else ""
        if kind in {"pivot", "retriable"}:
            below = f"{kind}: {below}" if below else kind
        things.append(Thing(f"s{i}", "pivot" if kind == "pivot" else "step", name, "", Look(below=below)))
        inside = set(step.actions)
        leaving = [
            edge.target
            for number in step.actions
            for edge in system.actions[number].edges
            if edge.target not in inside and edge.kind not in _ASIDE
        ]
        for target in _reached(design, leaving, owner, end, first=True):
            if target != f"s{i}":
                lines.append(Line(f"s{i}", target, "command", "filled"))
        undo = [system.actions[number] for number in step.compensation]
        text = ", ".join(_request(action) for action in undo if action.kind in {"call", "send", "emit"}).replace(
            "`", ""
        )
        if undo:
            things.append(Thing(f"u{i}", "undo", text or "compensation", "", Look(below="undoes " + name)))
            lines.append(Line(f"s{i}", f"u{i}", "undo", "open"))
    things.append(Thing("end", "point", "end", "", Look()))
    groups: tuple[Group, ...] = ()
    return Sketch(tuple(things), tuple(dict.fromkeys(lines)), groups, {})


_ASIDE = {"failure", "timeout", "compensate"}


def _reached(
    design: Design, numbers: list[int], owner: dict[int, int], end: int, *, first: bool = False
) -> Iterator[str]:
    """The steps, or the end, that control comes to next on the way on which nothing fails."""
    seen: set[int] = set()
    found: dict[str, None] = {}
    stack = list(reversed(numbers))
    while stack:
        number = stack.pop()
        if number in seen:
            continue
        seen.add(number)
        action = design.system.actions[number]
        if number in owner:
            found[f"s{owner[number]}"] = None
        elif number == end:
            found["end"] = None
        elif action.region == "main" and action.kind not in {"fail", "failed"}:
            stack += [edge.target for edge in reversed(action.edges) if edge.kind not in _ASIDE]
    yield from found


def _does(design: Design, step: Step) -> str:
    parts = []
    for number in step.actions:
        action = design.system.actions[number]
        if action.region == "main":
            text = _request(action)
            if text:
                parts.append(text)
    return ", ".join(dict.fromkeys(parts))


def _request(action: Action) -> str:
    verbs = {"call": "calls", "send": "sends", "emit": "emits"}
    if action.kind in verbs:
        use = action.use
        name = f"{use.service.name}.{use.message.name}" if use.service is not None else use.message.name
        return f"{verbs[action.kind]} `{name}`"
    if action.kind == "await":
        return "awaits " + " or ".join(f"`{use.message.name}`" for use in action.uses)
    if action.kind == "write":
        return "writes " + ", ".join(f"`{entity.text}`" for entity in action.entities)
    return f"acts: {action.text}" if action.kind == "act" else ""


def _first(design: Design, step: Step, *names: FactName) -> str:
    found: dict[str, None] = {}
    for name in names:
        fact = step.fact(name, design.system)
        if fact.unknown:
            for number in step.actions:
                fact = design.system.actions[number].fact(name)
                if not fact.unknown:
                    break
        if fact.text:
            found[fact.text] = None
    return ", ".join(found) or "not declared"


def _compensation(design: Design, step: Step) -> str:
    fact = step.fact("compensate", design.system)
    if fact.absent:
        return fact.text
    actions = [design.system.actions[number] for number in step.compensation]
    return ", ".join(filter(None, map(_request, actions))) or "none"
