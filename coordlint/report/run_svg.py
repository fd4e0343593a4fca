"""A run of a design's model as SVG: lifelines, time downwards, its steps in words beside them.

A slanted arrow was on its way for longer than others, a dashed one is the same message once more, a cross is a message that is
lost, a flash is a fault, and a frame is where the property is violated; colours only repeat that. At the right stands what each
step changes in the ledgers of the participants.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from coordlint.analysis.record import Party
from coordlint.report.drawing import (
    BAD,
    COMMAND,
    EVENT,
    INK,
    PAPER,
    SOFT,
    Pen,
    alone,
    element,
    escape,
    head,
    label,
    shown,
    svg,
    width,
)
from coordlint.report.drawing import number as rounded
from coordlint.report.runs import (
    TAKEN_BY_NOBODY,
    Line,
    closing,
    effect,
    is_underway,
    lines,
    needs,
    participants,
    place,
    sentence,
)
from coordlint.report.sequence import LONGEST, SIZE, Frame, Lifelines, framed

if TYPE_CHECKING:
    from coordlint.finding import Run, Step
    from coordlint.source import Span

SMALL = 11
"""The size of the words beside the lifelines."""

BESIDE = 330
"""Pixels for the words beside the lifelines."""

EFFECTS = 240
"""Pixels for what has been executed and undone, at most."""

SIDE = "effects so far"
"""The head of that column."""

MOST_LINES = 4
"""So many lines of words for one step; what does not fit is told when pointed at."""

SHORT = 0.8
"""How far the arrow of a message goes that nobody takes."""

LINE_HEIGHT = 15

BOLD = 1.12
"""How much wider bold words are."""


class Row(NamedTuple):
    """Where a step stands: its upper and lower edge, and the level of its arrow."""

    top: float
    bottom: float
    level: float


def draw(
    run: Run, *, title: str, link: Callable[[Span], str] | None = None, prefix: str = "run", standalone: bool = False
) -> str:
    """The diagram of a run as an SVG element; empty if there are no steps.

    Args:
        run: what happens.
        title: the name of the drawing for those who do not see it.
        link: the address of a statement; places are no links without it.
        prefix: begins the id of every step.
        standalone: make a document of its own, with its title and what there is to say in the end.
    """
    if not run.steps:
        return alone("") if standalone else ""
    drawing = _Drawing(run, link, prefix).svg(title, headed=standalone)
    return alone(drawing) if standalone else drawing


def wrapped(text: str, size: float, room: float, most: int) -> list[str]:
    """The words in lines of at most that many pixels; the last of the allowed lines takes what is left over."""
    lines: list[str] = []
    for word in shown(text).replace("`", "").split(" "):
        if lines and (len(lines) == most or width(f"{lines[-1]} {word}", size) <= room):
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


class _Drawing(Lifelines):
    """One diagram: columns first, then rows, then what is drawn in them."""

    def __init__(self, run: Run, link: Callable[[Span], str] | None, prefix: str) -> None:
        kinds = dict.fromkeys(run.outside, "external")
        names = participants(run.steps)
        super().__init__([Party(name, name, kinds.get(name, "service")) for name in names], left=44)
        self.run = run
        self.link = link
        self.prefix = prefix
        self.spread(self._need(step) for step in run.steps if self._is_drawn(step))
        loops = [self.x[self.column[step.receiver]] + 40 + self._room(step) for step in run.steps if self._loops(step)]
        self.words = (
            max(self.x[-1] + self.boxes[-1] / 2, *loops, 0) + 22 if loops else self.x[-1] + self.boxes[-1] / 2 + 22
        )
        self.lines = lines(run.steps)
        told = [text for line in self.lines for text in self._effects(line)]
        self.side = min(math.ceil(max(width(text, SMALL) for text in [SIDE, *told])) + 8, EFFECTS) if told else 0
        self.right = self.words + BESIDE + self.side
        self.rows: dict[int, Row] = {}
        self.under = Pen()

    # -------------------------------------------------------------------------------------------- columns and rows

    def _is_drawn(self, step: Step) -> bool:
        """Whether there is an arrow."""
        return bool(step.message and step.sender)

    def _loops(self, step: Step) -> bool:
        return self._is_drawn(step) and step.sender == step.receiver

    def _text(self, step: Step) -> str:
        return f"{step.message} {step.reply}".rstrip()

    def _room(self, step: Step) -> float:
        return min(width(shown(f"{self._text(step)}, done"), SIZE) + 4, LONGEST)

    def _need(self, step: Step) -> tuple[int, int, float]:
        a, b = sorted((self.column[step.sender], self.column[step.receiver]))
        if self._slants(step) and a != b:
            near = self.column[step.receiver]
            return (near, near + 1, self._room(step) + 30) if near == a else (near - 1, near, self._room(step) + 30)
        short = 1 / SHORT if step.move in TAKEN_BY_NOBODY else 1
        return a, max(b, a + 1), (self._room(step) + 34) * short if a != b else self._room(step) + 46

    def _slants(self, step: Step) -> bool:
        """Whether its message was on its way for longer than from the row before."""
        late = is_underway(step, self.run.steps) or (step.sent < step.copy_of)
        return self._is_drawn(step) and not self._loops(step) and late

    def _words(self, line: Line) -> list[str]:
        size = SMALL * (BOLD if line.step.fault or line.step.bad else 1)
        text = "; ".join(sentence(step, self.run.steps, way=False) for step in line.steps)
        return wrapped(text, size, BESIDE - 14, MOST_LINES)

    def _effects(self, line: Line) -> list[str]:
        """What a step changes in the ledgers; an entry too long for a line is told in two."""
        found = []
        for name, state in (effect(entry) for step in line.steps for entry in step.ledger):
            text = shown(f"{name} {state}".replace("`", ""))
            found += [text] if width(text, SMALL) <= EFFECTS - 8 else [shown(name.replace("`", "")), state]
        return found

    def _place_rows(self, y: float) -> float:
        """Give every step its row; the lower end of the last one."""
        for line in self.lines:
            step = line.step
            if step.number == self.run.repeats_from:
                y += 24
            told = max(len(self._words(line)) + 1, len(self._effects(line)))
            high = max(42 if self._loops(step) or self._slants(step) else 36, LINE_HEIGHT * told + 10)
            self.rows.update({one.number: Row(y, y + high, y + 23) for one in line.steps})
            y += high
        return y + (12 if self.run.repeats_from else 0)

    # -------------------------------------------------------------------------------------------- drawing

    def svg(self, title: str, *, headed: bool = False) -> str:
        says = wrapped(title, SIZE * BOLD, self.right - 40, 4) if headed else []
        price = needs(self.run) if says and (self.run.faults or self.run.left_out) else ""
        above = 8 + (LINE_HEIGHT + 1) * len(says) + (LINE_HEIGHT if price else 0) + (10 if says else 0)
        top = above + self.high
        bottom = self._place_rows(top + 12)
        closes_with = [text for text in closing(self.run) if headed and not text.startswith("effects:")]
        tail = [
            (line, text.startswith("end:"))
            for text in closes_with
            for line in wrapped(text, SMALL * (BOLD if text.startswith("end:") else 1), self.right - 40, 6)
        ]
        legend = wrapped(self._legend(), SMALL, self.right - 40, 3) if self._legend() else []
        high = bottom + 14 + LINE_HEIGHT * (len(tail) + len(legend)) + 6
        parts = [element("rect", {"width": "100%", "height": "100%", "fill": PAPER})]
        parts += [self._violation(step) for step in self.run.steps if step.bad]
        if self.run.repeats_from:
            first = self.rows[self.run.repeats_from].top - 22
            parts.append(framed(Frame(first, 6, self.right - 6, bottom - 4, "from here it repeats", ())))
        parts.append(self.lifelines(top, bottom + 2))
        parts.append(self.heads(above))
        for number, text in enumerate(says):
            level = 8 + SIZE + (LINE_HEIGHT + 1) * number
            parts.append(label(text, 12, level, (self.right - 24) / BOLD, size=SIZE, font_weight="600"))
        told = [self._step(line) for line in self.lines]
        parts += [*self.under.drawn(), *told]
        y = bottom + 14 + SMALL
        closes: list[str] = []
        if price:
            closes.append(self._line(price, 12, above - 14, self.right - 24, SOFT))
        if self.side:
            closes.append(self._line(SIDE, self.words + BESIDE, top - self.high / 2 + 4, self.side, SOFT))
        for line, strong in tail:
            closes.append(self._line(line, 12, y, self.right - 24, INK, font_weight="600" if strong else None))
            y += LINE_HEIGHT
        for line in legend:
            closes.append(self._line(line, 12, y, self.right - 24, SOFT))
            y += LINE_HEIGHT
        parts.append(_small(closes))
        about = f"{needs(self.run)}; {self.run.end}".replace("`", "")
        role = "group" if self.link is not None else "img"  # a picture holds no links
        return svg(self.right, high, parts, title=title, about=about, role=role, class_="sequence")

    def _line(self, text: str, x: float, y: float, room: float, color: str, **more: object) -> str:
        room /= BOLD if more.get("font_weight") else 1
        return label(text, x, y, room, size=SMALL, fill=color if color != INK else None, **more)

    def _legend(self) -> str:
        """What the signs that occur mean."""
        steps = self.run.steps
        found = []
        if any(self._slants(step) for step in steps):
            found.append("slanted: on its way while others went by")
        if any(step.copy_of and self._is_drawn(step) for step in steps):
            found.append("dashed: the same message once more")
        if any(step.move in TAKEN_BY_NOBODY for step in steps):
            found.append("✕ never taken")
        if any(step.fault for step in steps):
            found.append("flash: a fault")
        if any(step.bad for step in steps):
            found.append("framed: the step that goes wrong")
        return "; ".join(found)

    def _violation(self, step: Step) -> str:
        row = self.rows[step.number]
        return element("rect", {
            "x": 5, "y": row.top + 1, "width": self.right - 10, "height": row.bottom - row.top - 2, "rx": 4,
            "fill": "none", "stroke": BAD, "stroke-width": 2,
        })  # fmt: skip

    def _step(self, line: Line) -> str:
        step = line.step
        row, pen = self.rows[step.number], Pen()
        color = BAD if step.bad else EVENT if step.fault else INK if step.reply or not step.message else COMMAND
        x = self.x[self.column[step.receiver]]
        if self._loops(step):
            y = row.level - 8
            pen.stroke(f"M{rounded(x)} {rounded(y)}h26v14H{rounded(x + 2)}", color, 1.6, self._dash(step))
            pen.fill(head(x + 1, y + 14, math.pi, filled=True), color)
            pen.words(self._text(step), x + 32, y + 11, LONGEST, SIZE, color, "start")
            tip = row.level + 6
        elif self._is_drawn(step):
            self._arrow(line, row, pen, color)
            tip = row.level
        else:
            tip = row.level - 4
            pen.fill(f"M{rounded(x - 4)} {rounded(tip)}a4 4 0 1 1 8 0a4 4 0 1 1 -8 0z", color)
        if step.fault:
            lost = step.move in TAKEN_BY_NOBODY and self._is_drawn(step)
            pen.fill(_flash(self._reach(step)[0] + 6 if lost else x, tip), EVENT)
        words = [label(line.number, 23, row.level - 4, 40, size=SMALL, fill=SOFT, text_anchor="middle")]
        y = row.top + 15
        for text in self._words(line):
            strong = "600" if step.fault or step.bad else None
            words.append(self._line(text, self.words, y, BESIDE - 8, color if strong else INK, font_weight=strong))
            y += LINE_HEIGHT
        where = self._line(place(step.span, self.run.steps), self.words, y, BESIDE - 14, SOFT)
        address = self.link(step.span) if self.link is not None else ""
        words.append(element("a", {"href": address}, where) if address else where)
        for number, text in enumerate(self._effects(line)):
            y = row.top + 15 + LINE_HEIGHT * number
            words.append(self._line(text, self.words + BESIDE, y, self.side, BAD if step.bad else INK))
        said = "; ".join(f"{one.number}. {sentence(one, self.run.steps)}" for one in line.steps)
        title = element("title", {}, escape(shown(said.replace("`", ""))[:400]))
        more = [element("g", {"id": f"{self.prefix}-{one.number}"}) for one in line.steps[1:]]
        content = "".join((title, *more, *pen.drawn(), _small(words)))
        return element("g", {"id": f"{self.prefix}-{step.number}"}, content)

    def _dash(self, step: Step) -> str | None:
        return "7 4" if step.copy_of else None

    def _origin(self, step: Step) -> float:
        """The level at which the arrow of a step begins."""
        if not self._slants(step):
            return self.rows[step.number].level
        return self.rows[step.sent].level if step.sent else self.rows[self.run.steps[0].number].top - 4

    def _reach(self, step: Step) -> tuple[float, float]:
        """Where the arrow of a step ends; that of a lost message stops short."""
        start, end = self.x[self.column[step.sender]], self.x[self.column[step.receiver]]
        origin, level = self._origin(step), self.rows[step.number].level
        if step.move in TAKEN_BY_NOBODY:
            return start + (end - start) * SHORT, origin + (level - origin) * SHORT
        return end - (1 if end > start else -1), level

    def _arrow(self, drawn: Line, row: Row, pen: Pen, color: str) -> None:
        """An arrow between two lifelines: level, or slanted from where its message was sent; with a second head if answered."""
        step = drawn.step
        start, end = self.x[self.column[step.sender]], self.x[self.column[step.receiver]]
        direction = 1 if end > start else -1
        slants = self._slants(step)
        origin = self._origin(step)
        thick = 1.0 if step.reply else 1.6
        filled = not step.reply
        lost = step.move in TAKEN_BY_NOBODY
        reach, level = self._reach(step)
        angle = math.atan2(level - origin, reach - start)
        to = f"H{rounded(reach - direction)}" if level == origin else f"L{rounded(reach - direction)} {rounded(level)}"
        line = f"M{rounded(start)} {rounded(origin)}{to}"
        if len(drawn.steps) > 1:
            pen.stroke(head(start + direction, level, angle + math.pi, filled=False), color, 1.4, None)
        (self.under if slants else pen).stroke(line, color, thick, self._dash(step))  # no name is crossed out
        if lost:
            pen.stroke(f"M{rounded(reach - 6)} {rounded(level - 6)}l12 12m0 -12l-12 12", BAD, 2.4, None)
        elif filled:
            pen.fill(head(reach, level, angle, filled=True), color)
        else:
            pen.stroke(head(reach, level, angle, filled=False), color, 1.4, None)
        text = ", ".join((self._text(step), *(one.reply for one in drawn.steps[1:])))
        if slants:
            anchor = "end" if direction > 0 else "start"
            pen.words(text, end - 12 * direction, row.level + 13, self._room(step) + 8, SIZE, color, anchor)
        else:
            room = max(abs(reach - start) - 20, 20)
            pen.words(text, (start + reach) / 2, row.level - 7, room, SIZE, color, "middle")


def _small(words: list[str]) -> str:
    return element("g", {"font-size": SMALL}, "".join(words))


def _flash(x: float, y: float) -> str:
    """A flash of lightning beside a lifeline."""
    return f"M{rounded(x + 9)} {rounded(y - 10)}l-5 11h4l-3 9l9 -12h-4l4 -8z"
