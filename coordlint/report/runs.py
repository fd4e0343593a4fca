"""Runs of a design's model as text: a diagram of who sends what to whom with numbered steps, or a Mermaid sequence diagram."""

from __future__ import annotations

import textwrap
from itertools import pairwise
from pathlib import PurePath
from typing import TYPE_CHECKING, NamedTuple

from coordlint.finding import LOST
from coordlint.report.drawing import shown
from coordlint.report.sequence_text import entity
from coordlint.report.style import count, one_line, width

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coordlint.finding import Effect, Run, Step
    from coordlint.report.style import Paint
    from coordlint.source import Span

LANES = 6
"""With more participants there is no diagram."""

GAP, WIDEST = 16, 26
"""Columns between two lanes: usually, and where a name asks for more."""

TAKEN_BY_NOBODY = LOST | {"drop"}
"""Moves by which a message comes to nothing."""

BESIDE = 66
"""A diagram of so many columns leaves room for its steps beside it."""

COLUMNS = 118
"""Columns of a line."""

FAULTS = {
    "copy": "a redelivery",
    "crash": "a crash of a host",
    "early": "a late answer",
    "forget": "a restart of the broker",
    "lose": "a lost message",
    "omission": "no answer",
    "overtake": "an overtaken message",
    "park": "a message set aside",
    "publish": "a crash before publishing",
    "rare": "an outcome of 0%",
}
"""The faults by the moves of steps, for titles."""

STATES = {
    "cancelled": "cancelled before it came",
    "overtaken": "undone before it came",
    "refused": "refused",
    "late": "1×, undone 0×",
}
"""What has become of an action where its numbers do not say it."""

NOTE = 48
"""Characters in a line of a note of Mermaid."""

LONG = 12
"""From so many steps on, a request and the answer right behind it are one line."""


class Line(NamedTuple):
    """One line of a diagram: a step, or a request together with its answer."""

    steps: tuple[Step, ...]

    @property
    def step(self) -> Step:
        """The step that is drawn."""
        return self.steps[0]

    @property
    def number(self) -> str:
        """Its number, or the numbers of both."""
        return "-".join(str(step.number) for step in self.steps)


def lines(steps: Sequence[Step]) -> list[Line]:
    """The steps of a run by lines; in a long run an undisturbed request and its answer share one."""
    found: list[Line] = []
    for step in steps:
        asked = found[-1].step if found and len(found[-1].steps) == 1 else None
        if (
            len(steps) > LONG
            and asked is not None
            and step.reply == "done"
            and (asked.sender, asked.receiver, asked.message) == (step.receiver, step.sender, step.message)
            and step.sent == asked.number
            and not asked.reply
            and not any(one.fault or one.bad or one.copy_of for one in (asked, step))
        ):
            found[-1] = Line((asked, step))
        else:
            found.append(Line((step,)))
    return found


def participants(steps: Sequence[Step]) -> list[str]:
    """Who takes part, in the order of appearance."""
    return list(dict.fromkeys(name for step in steps for name in (step.sender, step.receiver) if name))


def is_underway(step: Step, steps: Sequence[Step]) -> bool:
    """Whether a later message has arrived before its own, or a timer or crash came in between."""
    for one in steps:
        if step.message and step.sender and step.sent < one.number < step.number:
            if one.message and one.receiver == step.receiver and one.sent > step.sent and not one.copy_of:
                return True
            if not one.message and one.move != "rest" and one.receiver in {step.sender, step.receiver}:
                return True
    return False


def marks_of(step: Step) -> str:
    """The words that set a fault and the violation apart."""
    return " ".join(word for word, holds in (("FAULT", step.fault), ("BAD", step.bad)) if holds)


def effect(entry: Effect) -> tuple[str, str]:
    """An entry of a ledger: the action, and what has become of it, such as `2×, undone 1×`."""
    source = f" {entry.source}" if entry.source else ""
    numbers = f"{entry.executed}×" + (f", undone {entry.undone}×" if entry.undone else "")
    return f"`{entry.action}`{source}", STATES.get(entry.state, numbers)


def effects(entries: Sequence[Effect]) -> str:
    """Entries of a ledger in words, by those who execute the actions."""
    found: dict[str, list[str]] = {}
    for entry in entries:
        found.setdefault(entry.by, []).append(" ".join(effect(entry)))
    return " · ".join(f"{by} {', '.join(words)}" for by, words in found.items())


def sentence(step: Step, steps: Sequence[Step] = (), *, way: bool = True) -> str:
    """A step in words; faults and the violation are marked by a word, not by colour.

    Args:
        step: the step.
        steps: the run it belongs to.
        way: say who sends what to whom.
    """
    front = f"{marks_of(step)}: " if marks_of(step) else ""
    if way and step.message and step.sender:
        what = f" answer to `{step.message}`" if step.reply else f" `{step.message}`"
        to = step.receiver if step.receiver != step.sender else "itself"
        front += f"{step.sender} → {to}{what if f'`{step.message}`' not in step.text else ''}: "
    marks = []
    if step.copy_of:
        marks.append(f"the same as in step {step.copy_of}")
    elif is_underway(step, steps):
        marks.append(f"sent in step {step.sent}" if step.sent else "sent in the beginning")
    return f"{front}{step.text}" + (f" ({', '.join(marks)})" if marks else "")


def place(span: Span, steps: Sequence[Step]) -> str:
    """Where a statement of a run stands; by the name of its file if that is enough to tell it."""
    path = span.source.path
    paths = {path, *(one.span.source.path for one in steps)}
    if len(path) > 24 and len({PurePath(one).name for one in paths}) == len(paths):
        path = PurePath(path).name
    return f"{path}:{span.line}"


def needs(run: Run) -> str:
    """How many faults a run needs and which, and how much of it is not told."""
    kinds = [FAULTS[step.move] for step in run.steps if step.fault and step.move in FAULTS]
    which = [f"{kind} ({n}×)" if (n := kinds.count(kind)) > 1 else kind for kind in dict.fromkeys(kinds)]
    parts = [count(run.faults, "fault") + (f": {' and '.join(which)}" if which else "") if run.faults else "no fault"]
    if run.left_out:
        parts.append(f"{count(run.left_out, 'unrelated step')} left out")
    return ", ".join(parts)


def closing(run: Run) -> list[str]:
    """What there is to say behind the steps: who could have sent what never came, the damage, and the repairs."""
    found = []
    for label in run.unsent:
        found.append(f"missing: {label.text} ({place(label.span, run.steps)})")
    if run.end:
        found.append(f"end: {run.end}")
    if run.ends():
        found.append(f"effects: {effects(run.ends())}")
    if run.repairs and not run.assumes:
        rest = run.tried - len(run.repairs)
        others = f" · none of {rest} other single changes helps" if rest > 1 else ""
        found.append(f"repair (each re-verified): {' · '.join(run.repairs)}{others}")
    return found


def sentences(steps: Sequence[Step], repeats_from: int = 0) -> Iterator[str]:
    """One line for each step."""
    wide = max((len(line.number) for line in lines(steps)), default=0)
    for line in lines(steps):
        if repeats_from and line.step.number == repeats_from:
            yield " " * (wide + 2) + "from here it repeats:"
        text = "; ".join(sentence(step, steps, way=step is line.step) for step in line.steps)
        yield f"{line.number:>{wide}}  {one_line(text)}  ({one_line(place(line.step.span, steps))})"


def text(steps: Sequence[Step], paint: Paint, repeats_from: int = 0, columns: int = COLUMNS) -> list[str]:
    """The run: a diagram with its steps beside it, or below it where it is wide, or steps only if too many take part."""
    drawing = Diagram(steps)
    if drawing.names and drawing.wide <= BESIDE:
        return [drawing.head, *(_painted(line, paint) for line in drawing.beside(repeats_from, columns))]
    found = []
    if drawing.names:
        rows = drawing.rows(repeats_from)
        found = [drawing.head, *(f"{row:<{drawing.wide}} {number}{word}".rstrip() for row, number, word in rows)]
    wide = max((len(line.number) for line in lines(steps)), default=0)
    for line in sentences(steps, repeats_from):
        found += folded(line, wide + 2, columns)
    return [_painted(line, paint) for line in found]


def folded(line: str, indent: int = 0, columns: int = COLUMNS) -> list[str]:
    """A line in lines of at most so many columns, those behind the first one indented; names are never broken."""
    more = " " * indent
    return textwrap.wrap(line, columns, subsequent_indent=more, break_long_words=False, break_on_hyphens=False)


def _painted(line: str, paint: Paint) -> str:
    for word, style in (("FAULT", "warning"), ("BAD", "error")):
        line = line.replace(f" {word}", f" {paint(word, style)}", 1)
    return line


class Diagram:
    """A sequence diagram in characters: lifelines from left to right, time downwards.

    Attributes:
        names: the participants; empty if they are too many to be drawn.
        wide: the columns it takes.
        head: the line with the names.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        self.steps = steps
        self.lines = lines(steps)
        names = [one_line(name) for name in participants(steps)]
        self.names = names if 0 < len(names) <= LANES else []
        self.middle: dict[str, int] = {}
        self._place()
        self.wide = 0
        self.head = ""
        if self.names:
            last = self.names[-1]
            self.wide = self.middle[last] + (len(_cut(last, WIDEST - 2)) + 1) // 2 + 1
            self.head = self._head()

    def _place(self) -> None:
        """Where the lifelines stand: so far apart that names and messages fit, as long as there is room."""
        order = {name: number for number, name in enumerate(self.names)}
        gaps = [GAP] * max(len(self.names) - 1, 0)
        for number, gap in enumerate(gaps):
            names = (width(self.names[number]) + width(self.names[number + 1])) // 2 + 2
            gaps[number] = max(gap, min(names, WIDEST))
        for line in self.lines:
            step = line.step
            ends = sorted(order.get(one_line(name), -1) for name in (step.sender, step.receiver))
            if 0 <= ends[0] < ends[1] and ends[1] - ends[0] == 1:
                gaps[ends[0]] = max(gaps[ends[0]], min(len(_label(line)) + 5, WIDEST))
        if sum(gaps) > (LANES - 1) * GAP:
            gaps = [GAP] * len(gaps)
        column = min(width(self.names[0]), WIDEST - 2) // 2 + 1 if self.names else 0
        for number, name in enumerate(self.names):
            self.middle[name] = column
            column += gaps[number] if number < len(gaps) else 0

    def _head(self) -> str:
        columns = list(self.middle.values())
        gaps = [WIDEST, *(after - before for before, after in pairwise(columns)), WIDEST]
        head = ""
        for number, name in enumerate(self.names):
            cut = _cut(name, min(gaps[number : number + 2]) - 2)
            start = max(columns[number] - len(cut) // 2, len(head) + bool(head))
            head += " " * (start - len(head)) + cut
        return head

    def rows(self, repeats_from: int = 0) -> Iterator[tuple[str, str, str]]:
        """Each line with its number and the word that marks it: a fault, the violation, or where it begins to repeat."""
        late = self._late()
        for line in self.lines:
            step = line.step
            if repeats_from and step.number == repeats_from:
                yield self._lifelines(":"), "", "from here it repeats:"
            word = marks_of(step)
            yield self._row(line), line.number, f" {word}" if word else ""
            for arriving in late.get(line.steps[-1].number, ()):
                yield self._stub(arriving), "", f"(on its way: arrives in step {arriving.number})"

    def beside(self, repeats_from: int = 0, columns: int = COLUMNS) -> Iterator[str]:
        """The diagram with the steps beside it."""
        wide = max(len(line.number) for line in self.lines)
        room = max(columns - self.wide - wide - 2, 40)
        by_number = {line.number: line for line in self.lines}
        indent = " " * (wide + 2)
        for row, number, word in self.rows(repeats_from):
            if not number:
                yield f"{row:<{self.wide}} {indent}{word}".rstrip()
                continue
            line = by_number[number]
            words = "; ".join(sentence(step, self.steps, way=False) for step in line.steps)
            marks = marks_of(line.step)
            words = words.replace(f"{marks}: ", f"{marks} ", 1) if marks else words
            wrapped = textwrap.wrap(one_line(words), room, break_long_words=False, break_on_hyphens=False) or [""]
            where = place(line.step.span, self.steps)
            if len(wrapped[-1]) + len(where) + 2 <= room:
                wrapped[-1] = f"{wrapped[-1]}{where:>{room - len(wrapped[-1])}}"
            else:
                wrapped.append(f"{where:>{room}}")
            yield f"{row:<{self.wide}} {number:>{wide}} {wrapped[0]}".rstrip()
            for more in wrapped[1:]:
                yield f"{self._lifelines('|'):<{self.wide}} {' ' * wide} {more}".rstrip()

    # -------------------------------------------------------------------------------------------- rows

    def _late(self) -> dict[int, list[Step]]:
        """By the step that sends them: the messages that arrive only after something else has happened to their ends."""
        found: dict[int, list[Step]] = {}
        for line in self.lines:
            step = line.step
            if step.sent and not step.copy_of and step.sender != step.receiver and is_underway(step, self.steps):
                found.setdefault(step.sent, []).append(step)
        return found

    def _lifelines(self, sign: str) -> str:
        row = [" "] * self.wide
        for column in self.middle.values():
            row[column] = sign
        return "".join(row)

    def _row(self, line: Line) -> str:
        step = line.step
        row = list(self._lifelines("|"))
        mark = "#" if step.bad else "!" if step.fault else "*"
        start, end = self.middle.get(one_line(step.sender), -1), self.middle[one_line(step.receiver)]
        if step.message and start >= 0 and start != end:
            self._arrow(row, start, end, line)
            if step.bad or (step.fault and step.move not in TAKEN_BY_NOBODY):
                row[end] = mark
        else:
            row[end] = mark
        return "".join(row)

    def _arrow(self, row: list[str], start: int, end: int, line: Line) -> None:
        step = line.step
        stroke = "." if step.copy_of else "-"
        low, high = min(start, end) + 1, max(start, end)
        row[low:high] = list(f"{_cut(_label(line), high - low - 2):{stroke}^{high - low}}")
        tip = high - 1 if end > start else low
        row[tip] = "x" if step.move in TAKEN_BY_NOBODY else ">" if end > start else "<"
        if len(line.steps) > 1:
            row[low if end > start else high - 1] = "<" if end > start else ">"

    def _stub(self, step: Step) -> str:
        """The beginning of an arrow whose message arrives later."""
        row = list(self._lifelines("|"))
        start, end = self.middle[one_line(step.sender)], self.middle[one_line(step.receiver)]
        name = f"-{_cut(_label(Line((step,))), abs(end - start) - 5)}- "
        if end > start:
            row[start + 1 : start + 1 + len(name)] = list(name)
        else:
            row[start - len(name) : start] = list(f" {name.strip()}")
        return "".join(row)


def _label(line: Line) -> str:
    step = line.step
    return step.reply or "".join(char if char.isascii() else "?" for char in one_line(step.message))


def _cut(name: str, room: int) -> str:
    """A name for the diagram, which is plain ASCII; what does not fit ends in a tilde."""
    name = "".join(char if char.isascii() else "?" for char in name)
    return name if len(name) <= room else name[: max(room - 1, 1)] + "~"


# ------------------------------------------------------------------------------------------------ Mermaid


def mermaid(run: Run, title: str = "") -> str:
    """The run as a Mermaid sequence diagram, for pull requests: copies dashed, what is lost ends in a cross.

    Args:
        run: what happens.
        title: a note above it.
    """
    names = {name: f"p{number}" for number, name in enumerate(participants(run.steps))}
    keys = list(names.values())
    ends = f"{keys[0]},{keys[-1]}" if len(keys) > 1 else "".join(keys)
    found = ["sequenceDiagram"]
    for name, key in names.items():
        found.append(f"  {'actor' if name in run.outside else 'participant'} {key} as {entity(name)}")
    if keys and title:
        found.append(f"  Note over {ends}: {_broken(title)}")
    indent = "  "
    for step in run.steps:
        if run.repeats_from and step.number == run.repeats_from:
            found.append("  loop for ever")
            indent = "    "
        to = names[step.receiver]
        drawn = bool(step.message and step.sender)
        if drawn:
            sign = "--x" if step.copy_of else "-x"
            if step.move not in TAKEN_BY_NOBODY:
                sign = "-->>" if step.copy_of or step.reply else "->>"
            again = f" (the same as in {step.copy_of})" if step.copy_of else ""
            label = f"{step.message} {step.reply}".rstrip()
            found.append(f"{indent}{names[step.sender]}{sign}{to}: {entity(f'{step.number} {label}{again}')}")
        if step.fault or step.bad or not drawn:
            word = f"{marks_of(step)} ".lstrip()
            number = "" if drawn else f"{step.number} "
            found.append(f"{indent}Note over {to}: {_broken(f'{number}{word}{step.text}')}")
    if run.repeats_from:
        found.append("  end")
    texts = [f"end - {run.end}"] if run.end else []
    texts += [f"effects - {effects(run.ends())}"] if run.ends() else []
    if keys and texts:
        found.append(f"  Note over {ends}: {'<br/>'.join(map(_broken, texts))}")
    return "\n".join(found) + "\n"


def _broken(text: str) -> str:
    """A note in short lines, as Mermaid breaks none."""
    plain = shown(text.replace("`", ""))
    return "<br/>".join(entity(line) for line in textwrap.wrap(plain, NOTE, break_on_hyphens=False)) or entity(plain)
