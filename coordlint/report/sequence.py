"""Sequence diagrams of the paths of a flow as SVG: commands solid, events dashed, what is undone and what fails marked in words."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from coordlint.analysis.record import And, Arrow, Begin, Finish, Remark
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
    Pen,
    alone,
    element,
    label,
    number,
    shown,
    svg,
    width,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from coordlint.analysis.record import Item, Party
    from coordlint.analysis.sequences import Path

SIZE = 12
"""Of the text, in pixels."""
LONGEST = 320
"""Pixels of a label before it is clipped."""
_ROWS = {"arrow": 34, "self": 40, "remark": 22, "begin": 28, "and": 18, "finish": 14}
_WORDS = {"compensation": "undo", "failure": "on failure", "timeout": "on timeout", "fallback": "fallback"}


def steps(path: Path, *, whole: bool = False) -> tuple[tuple[Item, ...], str]:
    """What a diagram shows of a path: all of it or, if it deviates late from another one, its own part from the last arrow on.

    Returns:
        The items, and a remark about what was left out, which may be empty.
    """
    if whole or path.shared < 4:
        return path.items, ""
    first = path.shared
    while first and not (isinstance(path.items[first - 1], Arrow) and _asks(path.items[first - 1])):
        first -= 1
    first = max(first - 1, 0)
    before = [item for item in path.items[:first] if isinstance(item, Arrow)]
    if len(before) < 2:
        return path.items, ""
    opened: list[Item] = []
    for item in path.items[:first]:
        if isinstance(item, Begin):
            opened.append(item)
        elif isinstance(item, Finish):
            opened = [one for one in opened if isinstance(one, Begin) and one.frame != item.frame]
    return (*opened, *path.items[first:]), f"1 to {max(item.number for item in before)} as before"


def sentence(item: Item, names: Mapping[str, str]) -> str:
    """One step in words, for lists beside the diagrams; empty for what only closes a frame."""
    if isinstance(item, Arrow):
        source, target = names[item.source], names[item.target]
        what = item.text
        word = _WORDS.get(item.region, "")
        front = f"{item.number}. " + (f"({word}) " if word else "")
        if item.kind == "reply":
            return f"{item.number}. {source} answers {target}" + (f": {what}" if what else "")
        verbs = {"call": "calls", "send": "sends to", "event": "publishes to", "change": "changes data heard by"}
        end = ", in vain" if item.failing else ""
        return f"{front}{source} {verbs[item.kind]} {target}: {what}{end}"
    if isinstance(item, Remark):
        return f"{names[item.party]} {item.text}"
    if isinstance(item, Begin):
        return f"({item.text})"
    return ""


def draw(path: Path, *, title: str, whole: bool = False, standalone: bool = False) -> str:
    """The diagram of a path as an SVG element.

    Args:
        path: what happens.
        title: the name of the drawing for those who do not see it.
        whole: draw also what the path shares with the one it deviates from.
        standalone: make a document of its own.
    """
    items, before = steps(path, whole=whole)
    used = {key for item in items for key in _keys(item)}
    parties = [party for party in path.parties if party.key in used]
    if not parties:
        parties = list(path.parties[:1])
    if not parties:
        return alone("") if standalone else ""
    drawing = _Drawing(parties, items, before).svg(title, path.why)
    return alone(drawing) if standalone else drawing


def _asks(item: Item) -> bool:
    return isinstance(item, Arrow) and item.kind != "reply"


def _keys(item: Item) -> tuple[str, ...]:
    if isinstance(item, Arrow):
        return item.source, item.target
    return (item.party,) if isinstance(item, Remark) else ()


class Frame(NamedTuple):
    """A frame around rows."""

    top: float
    left: float
    right: float
    bottom: float
    text: str
    dividers: tuple[float, ...]


class Lifelines:
    """The participants of a diagram side by side: their boxes, and columns so far apart that every label has its room.

    Args:
        parties: who takes part.
        left: pixels that stay free at the left.
    """

    def __init__(self, parties: Sequence[Party], left: float = 24) -> None:
        self.parties = parties
        self.left = left
        self.column = {party.key: number for number, party in enumerate(parties)}
        self.boxes = [
            2.0 * math.ceil(max(64.0, min(1.1 * width(shown(one.name), SIZE), 200) + 26, *self._host(one)) / 2)
            for one in parties
        ]
        self.high = 42 if any(party.host for party in parties) else 30
        self.x: list[float] = []

    def _host(self, party: Party) -> tuple[float, ...]:
        return (min(width(shown(f"in {party.host}"), 10), 180) + 22,) if party.host else (0.0,)

    def spread(self, needs: Iterable[tuple[int, int, float]]) -> None:
        """Place the columns, each need being two columns and the room that they need between them."""
        gaps = [(self.boxes[i] + self.boxes[i + 1]) / 2 + 18 for i in range(len(self.parties) - 1)]
        for left, right, room in sorted(needs, key=lambda one: (one[1] - one[0], one)):
            lack = room - sum(gaps[left:right])
            if right <= len(gaps) and lack > 0:
                gaps[right - 1] += lack
        self.x = [math.ceil(self.boxes[0] / 2) + float(self.left)]
        for gap in gaps:
            self.x.append(self.x[-1] + math.ceil(gap))

    def lifelines(self, top: float, bottom: float) -> str:
        """The dotted lines."""
        lines = "".join(f"M{number(x)} {number(top)}V{number(bottom)}" for x in self.x)
        return element("path", {"d": lines, "stroke": LINE, "stroke-dasharray": "2 4"})

    def heads(self, y: float) -> str:
        """The parties in a row: services solid, those outside dashed, workflows with bars at their sides."""
        looks: dict[str, list[str]] = {}
        words = []
        for party, x, wide in zip(self.parties, self.x, self.boxes, strict=True):
            left, high = x - wide / 2, self.high
            shape = f"M{number(left)} {number(y)}h{number(wide)}v{high}h{number(-wide)}z"
            if party.kind == "workflow":
                shape += f"M{number(left + 5)} {number(y)}v{high}M{number(left + wide - 5)} {number(y)}v{high}"
            looks.setdefault(party.kind, []).append(shape)
            middle = y + high / 2 + 4
            if party.host:
                words.append(
                    label(
                        f"in {party.host}",
                        x,
                        middle + 9,
                        wide - 16,
                        size=10,
                        font_size=10,
                        font_weight="400",
                    )
                )
                middle -= 6
            words.append(label(party.name, x, middle, 200, size=SIZE))
        shapes = [
            element("path", {
                "d": "".join(paths), "fill": FILLS[kind], "stroke": LINE,
                "stroke-dasharray": "5 3" if kind in {"external", "outside"} else None,
            })
            for kind, paths in looks.items()
        ]  # fmt: skip
        return "".join(shapes) + element("g", {"text-anchor": "middle", "font-weight": "600"}, "".join(words))


class _Drawing(Lifelines):
    """One diagram: columns first, then row by row."""

    def __init__(self, parties: Sequence[Party], items: Sequence[Item], before: str) -> None:
        super().__init__(parties)
        self.items = items
        self.before = before
        self.spread(self._needs())
        self.pen = Pen()
        self.right = self.x[-1] + self.boxes[-1] / 2

    def _needs(self) -> Iterator[tuple[int, int, float]]:
        for item in self.items:
            if isinstance(item, Remark):
                here = self.column[item.party]
                yield here, here + 1, self._room(item) + 26
            elif isinstance(item, Arrow):
                a, b = sorted((self.column[item.source], self.column[item.target]))
                yield a, max(b, a + 1), self._room(item) + (40 if a == b else 30)

    def _text(self, item: Arrow | Remark) -> str:
        word = _WORDS.get(item.region, "")
        if isinstance(item, Remark):
            return f"{word}: {item.text}" if word else item.text
        if item.kind == "reply":
            return item.text
        return f"{item.number} " + (f"{word}: " if word else "") + item.text

    def _room(self, item: Arrow | Remark) -> float:
        return min(width(shown(self._text(item)), SIZE if isinstance(item, Arrow) else 11) + 4, LONGEST)

    def svg(self, title: str, about: str) -> str:
        top = 8 + self.high
        y = top + 14.0
        frames: list[Frame] = []
        opened: list[tuple[Begin, float, list[float], list[float]]] = []
        if self.before:
            self.pen.words(f"({self.before})", 12, y + 4, 600, 11, SOFT, "start")
            self.right = max(self.right, 12 + width(self.before, 11) + 16)
            y += 22
        for item in self.items:
            if isinstance(item, Begin):
                opened.append((item, y, [], []))
                y += _ROWS["begin"]
            elif isinstance(item, And):
                if opened:
                    opened[-1][2].append(y + 4)
                y += _ROWS["and"]
            elif isinstance(item, Finish):
                if opened:
                    frames.append(self._frame(*opened.pop(), y + 4, opened))
                y += _ROWS["finish"]
            else:
                y, left, right = self._row(item, y)
                for _, _, _, extent in opened:
                    extent += (left, right)
                self.right = max(self.right, right)
        while opened:
            frames.append(self._frame(*opened.pop(), y, opened))
        bottom = y + 10
        parts = [element("rect", {"width": "100%", "height": "100%", "fill": PAPER})]
        parts += [framed(frame) for frame in sorted(frames, key=lambda one: (one.top, -one.right))]
        parts.append(self.lifelines(top, bottom))
        parts.append(self.heads(8))
        high = bottom + 8
        if bottom > 900:
            parts.append(self.heads(bottom))
            high = bottom + self.high + 8
        parts += self.pen.drawn()
        right = max([self.right, *(frame.right for frame in frames)])
        return svg(right + 20, high, parts, title=title, about=about, role="img", class_="sequence")

    def _frame(
        self,
        begin: Begin,
        top: float,
        dividers: list[float],
        extent: list[float],
        bottom: float,
        around: Sequence[object],
    ) -> Frame:
        indent = 5 * len(around)
        text = width(begin.text, 11) + 24
        left = min(extent, default=self.x[0]) - 16 + indent
        left = max(left, 4 + indent)
        right = max(max(extent, default=self.x[0]) + 16 - indent, left + text)
        return Frame(top, left, right, bottom, begin.text, tuple(dividers))

    def _row(self, item: Item, y: float) -> tuple[float, float, float]:
        """Draw one step; the next row, and how far it reaches to both sides."""
        assert isinstance(item, Arrow | Remark)
        color = self._color(item)
        pen = self.pen
        if isinstance(item, Remark):
            x = self.x[self.column[item.party]]
            sign = {"fail": "✕ ", "wait": "◷ "}.get(item.kind, "")
            room = min(self._room(item) + width(sign, 11), LONGEST + 20)
            pen.words(sign + self._text(item), x + 8, y + 8, room, 11, color, "start")
            pen.fill(f"M{number(x - 3)} {number(y + 4)}a3 3 0 1 1 6 0a3 3 0 1 1 -6 0z", color)
            return y + _ROWS["remark"], x, x + 8 + room
        start, end = self.x[self.column[item.source]], self.x[self.column[item.target]]
        dash = {"reply": "3 3", "event": "7 4", "change": "2 3"}.get(item.kind)
        thick = 1.0 if item.kind == "reply" else 1.6
        filled = item.kind == "call"
        if item.source == item.target:
            line = f"M{number(start)} {number(y + 10)}h26v14H{number(start + 2)}"
            head = tip(start + 1, y + 24, -1, filled=filled)
            pen.words(self._text(item), start + 32, y + 21, LONGEST, SIZE, color, "start")
            reach = (start, start + 32 + self._room(item))
            end_y, y = y + 24, y + _ROWS["self"]
        else:
            text = self._text(item)
            end_y = y + (20 if text else 8)
            direction = 1 if end > start else -1
            line = f"M{number(start)} {number(end_y)}H{number(end - 2 * direction)}"
            head = tip(end - direction, end_y, direction, filled=filled)
            if text:
                room = max(abs(end - start) - 20, 20)
                pen.words(text, (start + end) / 2, y + 13, room, SIZE, color, "middle")
            reach = (min(start, end), max(start, end))
            y += _ROWS["arrow"] if text else 20
        pen.stroke(line, color, thick, dash)
        if filled:
            pen.fill(head, color)
        else:
            pen.stroke(head, color, 1.4, None)
        if item.failing and item.kind != "reply":
            x = (start + end) / 2
            pen.stroke(f"M{number(x - 6)} {number(end_y - 6)}l12 12m0 -12l-12 12", BAD, 2.4, None)
        return y, *reach

    def _color(self, item: Arrow | Remark) -> str:
        if item.failing if isinstance(item, Arrow) else item.kind == "fail":
            return BAD
        if item.region == "compensation":
            return UNDO
        if isinstance(item, Remark):
            return SOFT
        if item.kind == "reply":
            return INK
        return EVENT if item.kind in {"event", "change"} else COMMAND


def tip(x: float, y: float, direction: int, *, filled: bool) -> str:
    """The head of a level arrow."""
    return f"M{number(x - 8 * direction)} {number(y - 4)}l{8 * direction} 4l{-8 * direction} 4" + (
        "z" if filled else ""
    )


def framed(frame: Frame) -> str:
    """A frame around rows, with its words in the corner."""
    lines = "".join(f"M{number(frame.left)} {number(y)}H{number(frame.right)}" for y in frame.dividers)
    rect = element(
        "rect",
        {
            "x": frame.left,
            "y": frame.top,
            "width": frame.right - frame.left,
            "height": frame.bottom - frame.top,
            "rx": 3,
            "fill": "none",
            "stroke": LINE,
        },
    )
    rule = element("path", {"d": lines, "stroke": LINE, "stroke-dasharray": "6 3"}) if lines else ""
    words = label(
        frame.text,
        frame.left + 8,
        frame.top + 14,
        400,
        size=11,
        font_size=11,
        fill=SOFT,
        font_style="italic",
    )
    return rect + rule + words
