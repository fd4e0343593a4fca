"""Source excerpts with labels under them: several labels, several files, folded and clipped to what matters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from coordlint.report.style import cell, one_line
from coordlint.source import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from coordlint.finding import Finding, Label
    from coordlint.report.style import Paint
    from coordlint.source import Source

NEAR = 3
"""Labels at most this many lines apart share an excerpt."""
LONGEST = 120
"""Columns of source shown of one line."""
BEFORE = 40
"""Columns kept before the label when a longer line is clipped."""
UNFOLDED = 5
"""Lines up to which a label over several lines is shown whole."""


def excerpts(finding: Finding, paint: Paint) -> tuple[list[str], int]:
    """The lines of the excerpts of a finding, the primary label's first, and the width of the column of line numbers."""
    blocks = _blocks(finding)
    gutter = max(len(str(block.last_line)) for block in blocks)
    lines = []
    for number, block in enumerate(blocks):
        mark = block.marks[0] if number else next(mark for mark in block.marks if mark.primary)
        arrow = paint(" " * gutter + (":::" if number else "-->"), "gutter")
        if number:
            lines.append(paint(" " * gutter + " |", "gutter"))
        lines.append(f"{arrow} {printable(block.source.path)}:{mark.line}:{mark.column}")
        lines.append(paint(" " * gutter + " |", "gutter"))
        lines.extend(_draw(block, gutter, paint, finding.severity.label if finding.severity else "error"))
    return lines, gutter


class _Mark(NamedTuple):
    """A label with the lines and columns (from 1, end included) that it covers without surrounding white space."""

    text: str
    primary: bool
    line: int
    column: int
    last_line: int
    last_column: int
    order: int

    @property
    def many_lines(self) -> bool:
        return self.last_line > self.line


class _Block(NamedTuple):
    """Labels that share one excerpt, in source order."""

    source: Source
    marks: list[_Mark]

    @property
    def last_line(self) -> int:
        return max(mark.last_line for mark in self.marks)


def _blocks(finding: Finding) -> list[_Block]:
    labels = list(dict.fromkeys((finding.primary, *finding.related)))
    by_source: dict[Source, list[_Mark]] = {}
    for order, label in enumerate(labels):
        by_source.setdefault(label.span.source, []).append(_mark(label, order))
    blocks: list[_Block] = []
    for source, marks in by_source.items():
        marks.sort(key=lambda mark: (mark.line, mark.column, mark.order))
        block = _Block(source, [])
        for mark in marks:
            if block.marks and mark.line - block.last_line > NEAR:
                blocks.append(block)
                block = _Block(source, [])
            block.marks.append(mark)
        blocks.append(block)
    return sorted(blocks, key=lambda block: min(mark.order for mark in block.marks))


def _mark(label: Label, order: int) -> _Mark:
    span = label.span
    text = span.source.text
    start, end = max(span.start, 0), min(span.end, len(text))
    while end > start + 1 and text[end - 1].isspace():
        end -= 1
    while start < end - 1 and text[start] in "\r\n":
        start += 1
    line, column = span.source.position(start)
    last_line, last_column = span.source.position(max(end - 1, start))
    return _Mark(one_line(label.text), order == 0, line, column, last_line, last_column, order)


@dataclass(slots=True)
class _Row:
    """One line of output under construction: characters with their styles, by column."""

    cells: list[tuple[str, str]] = field(default_factory=list)

    def put(self, column: int, text: str, style: str = "") -> None:
        """Write over what stands at a column counted from 0."""
        while len(self.cells) < column:
            self.cells.append((" ", ""))
        self.cells[column : column + len(text)] = [(char, style) for char in text]

    def painted(self, paint: Paint) -> str:
        """The row with each run of one style painted."""
        while self.cells and self.cells[-1][0] == " ":
            self.cells.pop()
        parts, run, style = [], "", ""
        for char, its in self.cells:
            if its != style:
                parts.append(paint(run, style))
                run, style = "", its
            run += char
        return "".join((*parts, paint(run, style)))


class _Line(NamedTuple):
    """A source line as shown: its text, and the columns (from 0) at which its characters stand."""

    text: str
    first: int
    columns: list[int]

    def column(self, character: int) -> int:
        """The column at which a character, counted from 1 in the whole line, begins; clamped to what is shown."""
        return self.columns[min(max(character - 1 - self.first, 0), len(self.columns) - 1)]


def _draw(block: _Block, gutter: int, paint: Paint, severity: str) -> Iterator[str]:
    tall = [mark for mark in block.marks if mark.many_lines]
    margin = 2 * len(tall)
    blank = " " * gutter + " |"
    previous = 0
    for number in _shown_lines(block):
        if previous and number > previous + 1:
            row = _Row()
            _draw_margin(row, tall, previous, severity, closed=0)
            yield f"{paint('...'.ljust(gutter + 2), 'gutter')} {row.painted(paint)}".rstrip()
        line = _line(block.source, number, _focus(block, number))
        row = _Row()
        _draw_margin(row, tall, number, severity)
        front = row.painted(paint) + " " * (margin - len(row.cells))
        yield f"{paint(f'{number:>{gutter}} |', 'gutter')} {front}{line.text}".rstrip()
        flat = [mark for mark in block.marks if not mark.many_lines and mark.line == number]
        for row in _underlines(flat, line, margin, severity):
            _draw_margin(row, tall, number, severity, closed=len(tall))
            yield f"{paint(blank, 'gutter')} {row.painted(paint)}".rstrip()
        for index, mark in reversed(list(enumerate(tall))):
            if mark.last_line == number:
                row = _ending(mark, 2 * index, margin + line.column(mark.last_column), severity)
                _draw_margin(row, tall, number, severity, closed=index)
                yield f"{paint(blank, 'gutter')} {row.painted(paint)}".rstrip()
        previous = number


def _shown_lines(block: _Block) -> list[int]:
    lines: set[int] = set()
    for mark in block.marks:
        if mark.last_line - mark.line < UNFOLDED:
            lines.update(range(mark.line, mark.last_line + 1))
        else:
            lines.update((mark.line, mark.last_line))
    lines |= {line + 1 for line in lines if line + 2 in lines}  # one skipped line takes no more room than its mark
    return sorted(lines)


def _focus(block: _Block, number: int) -> tuple[int, int]:
    """First and last character, from 1, of what matters most on a line."""
    here = [mark for mark in block.marks if number in (mark.line, mark.last_line)]
    if not here:
        return 1, 1
    mark = min(here, key=lambda mark: mark.order)
    start = mark.column if mark.line == number else mark.last_column
    return start, mark.last_column if mark.last_line == number else start


def _line(source: Source, number: int, focus: tuple[int, int]) -> _Line:
    start, end = source.line_bounds(number)
    first, room = 0, LONGEST
    # A character takes two columns at most as text and ten as an escape: a line this short may still need clipping.
    if end - start > LONGEST or sum(cell(char, 0)[1] for char in source.text[start:end]) > LONGEST:
        first = max(0, focus[0] - 1 - BEFORE) if focus[1] >= LONGEST - BEFORE else 0
    text, columns, column = ["..."] if first else [], [], 3 if first else 0
    for char in source.text[start + first : min(end, start + first + 2 * LONGEST)]:
        shown, cells = cell(char, column)
        if column + cells > room:
            break
        columns.append(column)
        text.append(shown)
        column += cells
    columns.append(column)
    if start + first + len(columns) - 1 < end:
        text.append("...")
    return _Line("".join(text), first, columns)


def _underlines(marks: Sequence[_Mark], line: _Line, margin: int, severity: str) -> Iterator[_Row]:
    """The rows under a line for the labels that lie on this line alone."""
    if not marks:
        return
    places = []
    row = _Row()
    for mark in sorted(marks, key=lambda mark: -mark.order):  # the primary label is drawn last, on top
        start = margin + line.column(mark.column)
        end = max(margin + line.column(mark.last_column + 1), start + 1)
        row.put(start, ("^" if mark.primary else "-") * (end - start), severity if mark.primary else "related")
        places.append((start, end, mark))
    pending = [place for place in places if place[2].text]
    widest = max(places, key=lambda place: (place[1], place[0], place[2].order == 0))
    if widest[2].text:
        row.put(widest[1] + 1, widest[2].text, severity if widest[2].primary else "related")
        pending.remove(widest)
    yield row
    pending.sort(key=lambda place: (place[0], -place[2].order))
    if pending:
        row = _Row()
        for start, _, mark in pending:
            row.put(start, "|", severity if mark.primary else "related")
        yield row
    while pending:
        start, _, mark = pending.pop()
        row = _Row()
        for left, _, other in pending:
            if left < start:
                row.put(left, "|", severity if other.primary else "related")
        row.put(start, mark.text, severity if mark.primary else "related")
        yield row


def _ending(mark: _Mark, start: int, end: int, severity: str) -> _Row:
    """The row that closes a label over several lines, from the column of its margin to its last character."""
    row, style = _Row(), severity if mark.primary else "related"
    row.put(start, "|" + "_" * (end - start - 1) + ("^" if mark.primary else "-"), style)
    if mark.text:
        row.put(end + 2, mark.text, style)
    return row


def _draw_margin(row: _Row, tall: Sequence[_Mark], number: int, severity: str, *, closed: int | None = None) -> None:
    """Draw the bars of labels over several lines beside a source line or, if `closed` is given, on a row below it.

    Labels that end on the line are drawn no more once they are closed: all from the number `closed` on.
    """
    for index, mark in enumerate(tall):
        ended = closed is not None and mark.last_line == number and index >= closed
        if mark.line <= number <= mark.last_line and not ended:
            sign = "/" if mark.line == number and closed is None else "|"
            row.put(2 * index, sign, severity if mark.primary else "related")
