"""Where things stand in a drawing: the text Graphviz lays out and its answer, and a simpler layout of our own.

Graphviz itself is run by the command line (`coordlint.cli.graphviz`); nothing here leaves the process.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

Point: TypeAlias = tuple[float, float]
Engine: TypeAlias = Callable[[Sequence[str]], list[str | None]]
"""Lays out DOT texts; each answer is Graphviz' JSON, or None where it failed."""

TOO_LARGE = 400
"""Nodes, or four times as many edges, beyond which Graphviz takes too long."""


class Box(NamedTuple):
    """A thing to place, with its size in pixels and the group it stands in."""

    id: str
    wide: float
    high: float
    group: str = ""


class Group(NamedTuple):
    """A frame around boxes; it may stand inside another one. ``room`` is the width of its label in pixels."""

    id: str
    room: float
    parent: str = ""


class Graph(NamedTuple):
    """What is to be placed. Edges are pairs of ids of boxes."""

    boxes: tuple[Box, ...]
    edges: tuple[tuple[str, str], ...]
    groups: tuple[Group, ...] = ()


class Layout(NamedTuple):
    """Where everything stands, y downwards: centres of boxes, curves of edges (cubic Bézier points), frames (x, y, width, height)."""

    boxes: dict[str, Point]
    curves: list[list[Point]]
    frames: dict[str, tuple[float, float, float, float]]
    wide: float
    high: float


def place(graphs: Sequence[Graph], engine: Engine | None) -> list[Layout]:
    """Lay out several drawings: by the engine where it is there and succeeds, simply elsewhere."""
    answers: list[str | None] = [None] * len(graphs)
    if engine is not None:
        fit = [
            i for i, graph in enumerate(graphs) if len(graph.boxes) <= TOO_LARGE and len(graph.edges) <= 4 * TOO_LARGE
        ]
        for i, answer in zip(fit, engine([dot_text(graphs[i]) for i in fit]), strict=True):
            answers[i] = answer
    return [
        read_answer(graph, answer) if answer is not None else simple(graph)
        for graph, answer in zip(graphs, answers, strict=True)
    ]


# ------------------------------------------------------------------------------------------------ Graphviz


def dot_text(graph: Graph) -> str:
    """The graph for Graphviz; sizes are fixed, so that no font of the machine matters."""
    numbers = {box.id: i for i, box in enumerate(graph.boxes)}
    groups = {group.id: i for i, group in enumerate(graph.groups)}
    lines = [
        "digraph {",
        "graph [rankdir=LR, nodesep=0.22, ranksep=0.55, pad=0.1, splines=true, remincross=true]",
        'node [shape=box, fixedsize=true, label=""]',
        "edge [arrowhead=none]",
    ]

    def inside(parent: str, depth: int) -> None:
        for box in graph.boxes:
            if box.group == parent or (not parent and box.group not in groups):
                lines.append(f"n{numbers[box.id]} [width={box.wide / 72:.4f}, height={box.high / 72:.4f}]")
        for group in graph.groups if depth < 3 else ():
            if group.parent == parent:
                lines.append(f"subgraph cluster_{groups[group.id]} {{")
                cell = f'FIXEDSIZE="TRUE" WIDTH="{int(group.room) + 8}" HEIGHT="16"'
                lines.append(
                    f'graph [margin=10, labeljust=l, label=<<TABLE BORDER="0" {cell}><TR><TD></TD></TR></TABLE>>]'
                )
                inside(group.id, depth + 1)
                lines.append("}")

    inside("", 0)
    for i, (source, target) in enumerate(graph.edges):
        lines.append(f"n{numbers[source]} -> n{numbers[target]} [id=e{i}]")
    return "\n".join((*lines, "}")) + "\n"


def read_answer(graph: Graph, answer: str) -> Layout:
    """Graphviz' JSON as a layout."""
    data = json.loads(answer)
    left, bottom, right, top = (float(one) for one in data["bb"].split(","))

    def point(text: str) -> Point:
        x, y = text.split(",")[:2]
        return float(x) - left, top - float(y)

    boxes: dict[str, Point] = {}
    frames: dict[str, tuple[float, float, float, float]] = {}
    for one in data.get("objects", ()):
        name = one["name"]
        if name.startswith("cluster_") and "bb" in one:
            x1, y1, x2, y2 = (float(part) for part in one["bb"].split(","))
            frames[graph.groups[int(name[8:])].id] = (x1 - left, top - y2, x2 - x1, y2 - y1)
        elif "pos" in one:
            boxes[graph.boxes[int(name[1:])].id] = point(one["pos"])
    curves: list[list[Point]] = [[] for _ in graph.edges]
    for one in data.get("edges", ()):
        words = [word for word in one.get("pos", "").split() if word[0] not in "es"]
        curves[int(one["id"][1:])] = [point(word) for word in words]
    return Layout(boxes, curves, frames, right - left, top - bottom)


# ------------------------------------------------------------------------------------------------ our own

GAP, LANE, MARGIN, TALL = 18.0, 90.0, 16.0, 16


def simple(graph: Graph) -> Layout:
    """A plain drawing in layers from left to right, one block for each outer group, the blocks below each other."""
    outer = {group.id: group.parent or group.id for group in graph.groups}
    blocks: dict[str, list[Box]] = {}
    for box in graph.boxes:
        blocks.setdefault(outer.get(box.group, box.group), []).append(box)
    known = {group.id: group for group in graph.groups}
    places: dict[str, Point] = {}
    frames: dict[str, tuple[float, float, float, float]] = {}
    y, wide = MARGIN, 0.0
    for name in sorted(blocks, key=lambda one: (not one, one)):
        framed = name in known
        edge = MARGIN if framed else 0.0
        head = 22.0 if framed else 0.0
        size = _layers(blocks[name], graph.edges, (MARGIN + edge, y + head + edge), places)
        if framed:
            frames[name] = (MARGIN, y, max(size[0] + 2 * edge, known[name].room + 24), size[1] + head + 2 * edge)
        wide = max(wide, size[0] + 2 * edge + 2 * MARGIN, known[name].room + 60 if framed else 0.0)
        y += size[1] + head + 2 * edge + 2 * MARGIN
    boxes = {box.id: box for box in graph.boxes}
    curves = [_curve(boxes[source], places[source], boxes[target], places[target]) for source, target in graph.edges]
    reach = max((x for curve in curves for x, _ in curve), default=0.0) + MARGIN
    return Layout(places, curves, frames, max(wide, reach), y)


def _layers(
    boxes: list[Box], edges: tuple[tuple[str, str], ...], corner: Point, places: dict[str, Point]
) -> tuple[float, float]:
    """Place the boxes of a block in columns; the size of the block."""
    columns = _columns([box.id for box in boxes], edges)
    by_id = {box.id: box for box in boxes}
    heights = [sum(by_id[one].high + GAP for one in column) - GAP for column in columns]
    high, x = max(heights), corner[0]
    for column, tall in zip(columns, heights, strict=True):
        wide = max(by_id[one].wide for one in column)
        y = corner[1] + (high - tall) / 2
        for one in column:
            places[one] = (x + wide / 2, y + by_id[one].high / 2)
            y += by_id[one].high + GAP
        x += wide + LANE
    return x - LANE - corner[0], high


def _columns(ids: list[str], edges: tuple[tuple[str, str], ...]) -> list[list[str]]:
    """The ids by the length of the longest way to them, cycles cut where they close; neighbours at equal heights."""
    inside = set(ids)
    ahead: dict[str, list[str]] = {one: [] for one in ids}
    for source, target in edges:
        if source in inside and target in inside and source != target and target not in ahead[source]:
            ahead[source].append(target)
    depth: dict[str, int] = {}
    for one in _topological(ids, ahead):
        depth.setdefault(one, 0)
        for target in ahead[one]:
            if depth.get(target, 0) <= depth[one]:
                depth[target] = depth[one] + 1
    layers: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    for one in ids:
        layers[depth[one]].append(one)
    near: dict[str, list[str]] = {one: list(targets) for one, targets in ahead.items()}
    for one, targets in ahead.items():
        for target in targets:
            near[target].append(one)
    for _ in range(6):
        height = {one: i / len(layer) for layer in layers for i, one in enumerate(layer)}
        for layer in layers:
            middle = {
                one: sum(height[n] for n in near[one]) / len(near[one]) if near[one] else height[one] for one in layer
            }
            layer.sort(key=lambda one: (middle[one], one))
    return [layer[i : i + TALL] for layer in layers if layer for i in range(0, len(layer), TALL)]


def _topological(ids: list[str], ahead: dict[str, list[str]]) -> list[str]:
    """An order in which edges point forward once the edges that close cycles are taken out of ``ahead``."""
    state: dict[str, int] = {}
    order: list[str] = []
    for root in ids:
        if root in state:
            continue
        stack = [(root, 0)]
        state[root] = 1
        while stack:
            one, position = stack.pop()
            targets = ahead[one]
            while position < len(targets) and state.get(targets[position]) is not None:
                if state[targets[position]] == 1:
                    del targets[position]
                else:
                    position += 1
            if position < len(targets):
                stack.append((one, position + 1))
                state[targets[position]] = 1
                stack.append((targets[position], 0))
            else:
                state[one] = 2
                order.append(one)
    return order[::-1]


def _curve(source: Box, start: Point, target: Box, end: Point) -> list[Point]:
    """From the side of one box to the side of the other that looks at it."""
    if end[0] - target.wide / 2 > start[0] + source.wide / 2:
        a, b = (start[0] + source.wide / 2, start[1]), (end[0] - target.wide / 2, end[1])
        bend = (b[0] - a[0]) / 2
        return [a, (a[0] + bend, a[1]), (b[0] - bend, b[1]), b]
    if end[0] + target.wide / 2 < start[0] - source.wide / 2:
        a, b = (start[0] - source.wide / 2, start[1] + 3), (end[0] + target.wide / 2, end[1] + 3)
        bend = (a[0] - b[0]) / 2
        return [a, (a[0] - bend, a[1] + 12), (b[0] + bend, b[1] + 12), b]
    a, b = (start[0] + source.wide / 2, start[1]), (end[0] + target.wide / 2, end[1])
    out = max(a[0], b[0]) + 36
    return [a, (out, a[1]), (out, b[1]), b]
