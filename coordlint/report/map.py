"""The map of a design as SVG: who publishes, hears, sends, handles and keeps what, with findings and single points of failure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from coordlint.report.drawing import (
    BAD,
    COMMAND,
    EVENT,
    FILLS,
    INK,
    LINE,
    PAPER,
    SOFT,
    UNDO,
    alone,
    element,
    head,
    label,
    number,
    shown,
    svg,
    width,
)
from coordlint.report.layout import Box, Graph, Group, place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from coordlint.analysis.landscape import Edge, Landscape, Node
    from coordlint.analysis.views import Region
    from coordlint.report.layout import Engine, Layout, Point
    from coordlint.system import Broker, Channel

BADGE_INK = "#1b1f25"
"""Dark also on a dark page, where the yellow of a warning stays yellow."""
LONGEST = 290
"""Pixels of a name before it is clipped."""


class Look(NamedTuple):
    """What a drawing says about a thing beside its name.

    Attributes:
        href: where its name leads to, or empty.
        severity: the worst of its findings, or empty.
        findings: how many there are.
        radius: the blast radius of a single point of failure (0 to 1), or None.
        flows: the numbers of the flows that touch it.
        below: a second line.
    """

    href: str = ""
    severity: str = ""
    findings: int = 0
    radius: float | None = None
    flows: tuple[int, ...] = ()
    below: str = ""


PLAIN = Look()


class Thing(NamedTuple):
    """A box to draw."""

    id: str
    kind: str
    name: str
    group: str
    look: Look

    @property
    def lines(self) -> list[str]:
        """What stands under the name."""
        found = [self.look.below] if self.look.below else []
        if self.look.radius is not None:
            found.append(f"single point of failure, {self.look.radius:.0%}")
        return found

    @property
    def box(self) -> Box:
        """Its size; that of a single point of failure grows with its blast radius."""
        scale = 1 + (0.7 * self.look.radius if self.look.radius is not None else 0.0)
        rooms = [
            min(1.1 * width(shown(self.name), 12), LONGEST),
            *(min(width(shown(one), 10), LONGEST) for one in self.lines),
        ]
        side = {"event": 30, "workflow": 30, "command": 28, "query": 28}.get(self.kind, 24)
        high = (36 if self.kind == "store" else 28) + 13 * len(self.lines)
        return Box(self.id, max(max(rooms) + side, 60) * scale, high * scale, self.group)


class Line(NamedTuple):
    """An edge to draw: ``style`` is command, event, data or need; ``tip`` is filled, open, round or none."""

    source: str
    target: str
    style: str
    tip: str
    text: str = ""
    flows: tuple[int, ...] = ()


class Sketch(NamedTuple):
    """All that a map shows, not yet placed."""

    things: tuple[Thing, ...]
    lines: tuple[Line, ...]
    groups: tuple[Group, ...]
    names: Mapping[str, str]

    @property
    def graph(self) -> Graph:
        """What is to be laid out."""
        edges = tuple((line.source, line.target) for line in self.lines)
        return Graph(tuple(thing.box for thing in self.things), edges, self.groups)


def sketch(found: Landscape, looks: Mapping[str, Look]) -> Sketch:
    """The landscape, or a part of it: contexts are frames, and so are services with workflows."""
    hosts = {node.inside for node in found.nodes if node.inside}
    here = {node.id: node for node in found.nodes}
    groups: dict[str, Group] = {}
    names: dict[str, str] = {}

    def group_of(node: Node) -> str:
        context = f"context:{node.context}" if node.context else ""
        if context and context not in groups:
            names[context] = node.context
            groups[context] = Group(context, min(width(shown(node.context), 12), LONGEST) + 8)
        host = node.id if node.id in hosts else node.inside if node.inside in here else ""
        if not host:
            return context
        key = f"host:{host}"
        if key not in groups:
            names[key] = ""
            groups[key] = Group(key, 8, f"context:{here[host].context}" if here[host].context else "")
            if groups[key].parent and groups[key].parent not in groups:
                group_of(here[host])
        return key

    things = tuple(
        Thing(node.id, node.kind, node.name, group_of(node), looks.get(node.id, PLAIN)) for node in found.nodes
    )
    lines = tuple(_line(edge, here, looks) for edge in found.edges)
    return Sketch(things, lines, tuple(groups.values()), names)


def sketch_regions(regions: Sequence[Region], looks: Mapping[str, Look]) -> Sketch:
    """The regions as boxes, with the numbers of commands and events between them."""
    things = []
    for region in regions:
        services = sum(node.kind in {"service", "external"} for node in region.nodes)
        below = f"{services} service{'s' * (services != 1)}, {len(region.nodes) - services} other"
        look = looks.get(region.name, PLAIN)._replace(below=below)
        things.append(Thing(region.name, "context", region.name, "", look))
    lines = [
        Line(region.name, target, style, "filled" if style == "command" else "open", str(count))
        for region in regions
        for style, table in (("command", region.commands), ("event", region.events))
        for target, count in table.items()
    ]
    return Sketch(tuple(things), tuple(lines), (), {})


def _line(edge: Edge, here: Mapping[str, Node], looks: Mapping[str, Look]) -> Line:
    event = "event" in (here[edge.source].kind, here[edge.target].kind)
    style = {"stores": "data", "needs": "need"}.get(
        edge.kind, "event" if event or edge.kind == "triggers" else "command"
    )
    tip = {"stores": "none", "needs": "open", "awaited": "round"}.get(
        edge.kind, "open" if style == "event" else "filled"
    )
    if edge.kind == "sends":
        tip = "none"  # the arrow's head stands at the handler
    elif edge.kind in {"publishes", "calls"}:
        tip = "none" if edge.kind == "publishes" else "double"
    ends = (looks.get(edge.source, PLAIN).flows, looks.get(edge.target, PLAIN).flows)
    return Line(edge.source, edge.target, style, tip, "", tuple(flow for flow in ends[0] if flow in set(ends[1])))


def standalone(found: Landscape, *, title: str, engine: Engine | None) -> str:
    """The landscape as an SVG document of its own."""
    drawn = sketch(found, {})
    return alone(paint(drawn, place([drawn.graph], engine)[0], title=title, about="", links=False))


def paint(sketch: Sketch, layout: Layout, *, title: str, about: str, links: bool = True) -> str:
    """The map as an SVG element.

    Args:
        sketch: what to draw.
        layout: where it stands.
        title: the name of the drawing.
        about: one sentence about it.
        links: whether names lead to sections of a page.
    """
    role = "group" if links else "img"
    parts = [element("rect", {"width": "100%", "height": "100%", "fill": PAPER})]
    groups = {group.id: group for group in sketch.groups}
    for key in sorted(layout.frames, key=lambda key: (bool(groups[key].parent), key)):
        x, y, wide, high = layout.frames[key]
        name = sketch.names.get(key, "")
        parts.append(
            element(
                "rect",
                {
                    "x": x,
                    "y": y,
                    "width": wide,
                    "height": high,
                    "rx": 8,
                    "fill": FILLS["context"] if name else "none",
                    "stroke": LINE,
                    "stroke-width": 1.2 if name else 1,
                    "stroke-dasharray": None if name else "1 3",
                },
            )
        )
        if name:
            parts.append(label(name, x + 10, y + 17, wide - 16, font_size=12, font_weight="700", fill=SOFT))
    parts += _edges(sketch.lines, layout.curves)
    things = (_thing(thing, *layout.boxes[thing.id], links=links) for thing in sketch.things)
    parts.append(element("g", _THINGS, "".join(things)))
    content = [parts[0], f'<g><g transform="translate(6 14)">{"".join(parts[1:])}</g></g>']
    return svg(layout.wide + 24, layout.high + 24, content, title=title, about=about, role=role, class_="map")


# ------------------------------------------------------------------------------------------------ pieces

_THINGS: dict[str, object] = {"text-anchor": "middle", "font-weight": "600"}

_STROKES = {
    "command": (COMMAND, None, 1.5),
    "event": (EVENT, "7 4", 1.5),
    "data": (LINE, "1 4", 1.4),
    "need": (LINE, "2 3", 1.4),
    "undo": (UNDO, "5 3", 1.4),
}


def _edges(lines: Sequence[Line], curves: Sequence[Sequence[Point]]) -> list[str]:
    """All edges, by look: first the lines, then their heads, then the numbers on them."""
    strokes: dict[str, list[str]] = {}
    tips: dict[tuple[str, bool], list[str]] = {}
    texts = []
    for line, points in zip(lines, curves, strict=True):
        if len(points) < 2:
            continue
        names = {"data-f": " ".join(map(str, line.flows))}
        rest = points[1:]
        d = f"M{_xy(points[0])}" + (
            "C" + " ".join(map(_xy, rest)) if len(rest) % 3 == 0 else "L" + " ".join(map(_xy, rest))
        )
        strokes.setdefault(line.style, []).append(element("path", {"d": d, **names}))
        for d in _tips(line, points):
            tips.setdefault((line.style, line.tip == "filled"), []).append(element("path", {"d": d, **names}))
        if line.text:
            x, y = _middle(points)
            texts.append(
                label(line.text, x, y - 3, 60, size=11, font_size=11, text_anchor="middle", fill=_STROKES[line.style][0],
                      stroke=PAPER, stroke_width=4, paint_order="stroke")
            )  # fmt: skip
    parts = []
    for style, paths in strokes.items():
        color, dash, thick = _STROKES[style]
        parts.append(element("g", {
            "fill": "none", "stroke": color, "stroke-width": thick, "stroke-dasharray": dash,
        }, "".join(paths)))  # fmt: skip
    for (style, filled), paths in tips.items():
        color = _STROKES[style][0]
        fill = {"fill": color if filled else PAPER}
        parts.append(element("g", {"stroke": color, "stroke-width": 1.3, **fill}, "".join(paths)))
    return [*parts, *texts]


def _tips(line: Line, points: Sequence[Point]) -> list[str]:
    """What stands at the ends: a filled or open head, a ring where something is waited for, two heads where an answer comes."""
    if line.tip == "none":
        return []
    if line.tip == "round":
        x, y = points[-1]
        return [f"M{number(x - 4)} {number(y)}a4 4 0 1 1 8 0a4 4 0 1 1 -8 0z"]
    ordered = list(reversed(points)) if line.tip == "double" else points
    end, before = ordered[-1], _before(ordered)
    angle = math.atan2(end[1] - before[1], end[0] - before[0])
    return [head(*end, angle, filled=line.tip == "filled")]


def _before(points: Sequence[Point]) -> Point:
    """A point a little before the end of a curve, for the direction in which it arrives."""
    end = points[-1]
    for point in reversed(points[:-1]):
        if abs(point[0] - end[0]) + abs(point[1] - end[1]) > 1:
            return point
    return points[0]


def _middle(points: Sequence[Point]) -> Point:
    if len(points) == 4:
        (ax, ay), (bx, by), (cx, cy), (dx, dy) = points
        return (ax + 3 * bx + 3 * cx + dx) / 8, (ay + 3 * by + 3 * cy + dy) / 8
    return points[len(points) // 2]


def _xy(point: Point) -> str:
    return f"{round(point[0])} {round(point[1])}"


def _thing(thing: Thing, x: float, y: float, *, links: bool) -> str:
    box, look = thing.box, thing.look
    x, y = round(x), round(y)
    left, top = round(x - box.wide / 2), round(y - box.high / 2)
    right, bottom = 2 * x - left, 2 * y - top
    content = _shape(thing, left, top, right, bottom)
    lines = thing.lines
    shift = {"store": 4, "event": 0}.get(thing.kind, 0)
    base = round(y + 4 - 6.5 * len(lines) + shift)
    middle = x - (4 if thing.kind == "event" else 0)
    content += label(thing.name, middle, base, LONGEST)
    for i, line in enumerate(lines):
        bad = look.radius is not None and i == len(lines) - 1
        fill = BAD if bad else SOFT
        y = base + 13 * (i + 1)
        content += label(line, middle, y, LONGEST, size=10, font_size=10, font_weight="400", fill=fill)
    if look.findings:
        content += badge(right + 2, top - 2, look.severity, look.findings)
    flows = " ".join(map(str, look.flows))
    if look.href and links:
        return element("a", {"data-f": flows, "href": look.href}, content)
    return element("g", {"data-f": flows}, content)


def badge(x: float, y: float, severity: str, count: int) -> str:
    """How many findings there are, on a shape for the worst: an octagon, a triangle, a circle."""
    wide = 16 + 6.5 * (len(str(count)) - 1)
    shape = {
        "error": f"M{number(x - wide / 2 + 4)} {number(y - 8)}h{number(wide - 8)}l4 4v8l-4 4h{number(8 - wide)}l-4 -4v-8z",
        "warning": f"M{number(x)} {number(y - 11)}L{number(x + wide / 2 + 5)} {number(y + 8)}H{number(x - wide / 2 - 5)}z",
    }.get(
        severity,
        f"M{number(x - wide / 2 + 8)} {number(y - 8)}h{number(wide - 16)}a8 8 0 0 1 0 16h{number(16 - wide)}a8 8 0 0 1 0 -16z",
    )
    fill = {"error": BAD, "warning": "#ffd24d", "info": "#cfe3fb"}.get(severity, "#e6e8eb")
    ink = PAPER if severity == "error" else BADGE_INK
    text = {
        "x": x,
        "y": y + (6 if severity == "warning" else 4),
        "font-size": 10,
        "font-weight": "700",
        "text-anchor": "middle",
    }
    mark = element("path", {"d": shape, "fill": fill, "stroke": INK}) + element(
        "text", {**text, "fill": ink}, str(count)
    )
    told = f"{count} finding{'s' * (count != 1)}, {'worst: ' * (count != 1)}{severity}"
    return element("g", {}, element("title", {}, told) + mark)


def _shape(thing: Thing, left: float, top: float, right: float, bottom: float) -> str:
    wide, high, kind = right - left, bottom - top, thing.kind
    spof = thing.look.radius is not None
    style: dict[str, object] = {
        "fill": FILLS[kind],
        "stroke": BAD if spof else UNDO if kind == "undo" else LINE,
        "stroke-width": 2.6 if spof or kind == "pivot" else None,
        "stroke-dasharray": "5 3" if kind in {"external", "query", "undo"} else None,
    }
    n = number
    if kind in {"service", "external", "context", "broker", "step", "pivot", "undo", "point"}:
        round = {"context": 3, "pivot": 0, "point": 14}.get(kind, 8)
        return element("rect", {"x": left, "y": top, "width": wide, "height": high, "rx": round, **style})
    if kind == "workflow":
        bars = f"M{n(left + 6)} {n(top)}v{n(high)}M{n(right - 6)} {n(top)}v{n(high)}"
        return element("rect", {"x": left, "y": top, "width": wide, "height": high, **style}) + element(
            "path", {"d": bars, "stroke": LINE}
        )
    if kind == "store":
        curve = f"M{n(left)} {n(top + 6)}a{n(wide / 2)} 6 0 0 1 {n(wide)} 0v{n(high - 12)}a{n(wide / 2)} 6 0 0 1 {n(-wide)} 0z"
        rim = f"M{n(left)} {n(top + 6)}a{n(wide / 2)} 6 0 0 0 {n(wide)} 0"
        return element("path", {"d": curve, **style}) + element("path", {"d": rim, "fill": "none", "stroke": LINE})
    if kind == "event":
        d = f"M{n(left)} {n(top)}H{n(right - 10)}L{n(right)} {n((top + bottom) / 2)}L{n(right - 10)} {n(bottom)}H{n(left)}z"
    else:
        d = f"M{n(left)} {n(top)}H{n(right - 9)}L{n(right)} {n(top + 9)}V{n(bottom)}H{n(left)}z"
    return element("path", {"d": d, **style})


def strip(brokers: Sequence[tuple[Broker | None, Sequence[Channel]]], looks: Mapping[str, Look], *, title: str) -> str:
    """The brokers with their channels, side by side and wrapped, as an SVG element; empty without any."""
    cells = []
    x = y = tall = reach = 0.0
    for broker, channels in brokers:
        look = looks.get(f"broker {broker.name}", PLAIN) if broker is not None else PLAIN
        name = broker.name if broker is not None else "no broker declared"
        thing = Thing("", "broker" if broker is not None else "outside", name, "", look)
        head_box = thing.box
        names = [(f"⇶ {channel.name}", looks.get(f"channel {channel.name}", PLAIN)) for channel in channels]
        columns = 1 if len(names) <= 8 else 2 if len(names) <= 24 else 3
        rows = math.ceil(len(names) / columns)
        room = max([min(width(shown(one), 11), LONGEST) for one, _ in names] or [0.0]) + 34
        wide = max(columns * room, head_box.wide) + 20
        high = head_box.high + 18 * rows + 24
        if x and x + wide > 1100:
            x, y, tall = 0.0, y + tall + 12, 0.0
        inner = element("rect", {
            "x": x, "y": y, "width": wide, "height": high, "rx": 8, "fill": FILLS["context"], "stroke": LINE,
        })  # fmt: skip
        inner += (
            element("g", _THINGS, _thing(thing, x + wide / 2, y + 10 + head_box.high / 2, links=True))
            if broker is not None
            else label(name, x + 10, y + 22, wide, font_size=12, fill=SOFT)
        )
        for i, (text, its) in enumerate(names):
            cx, cy = x + 10 + room * (i // rows), y + head_box.high + 32 + 18 * (i % rows)
            words = label(text, cx, cy, LONGEST, size=11, font_size=11, fill=INK)
            if its.findings:
                words += badge(cx + min(width(shown(text), 11), LONGEST) + 12, cy - 4, its.severity, its.findings)
            inner += element("a", {"href": its.href}, words) if its.href else words
        cells.append(inner)
        reach, tall = max(reach, x + wide), max(tall, high)
        x += wide + 12
    if not cells:
        return ""
    return svg(reach + 16, y + tall + 16, [
        element("rect", {"width": "100%", "height": "100%", "fill": PAPER}),
        f'<g transform="translate(8 10)">{"".join(cells)}</g>',
    ], title=title, about="", role="group", class_="map")  # fmt: skip
