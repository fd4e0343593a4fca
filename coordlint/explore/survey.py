"""What a search has seen of a scene in figures, and what it has never seen happen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Label

if TYPE_CHECKING:
    from coordlint.explore.scene import Compiled
    from coordlint.explore.search import Search
    from coordlint.explore.tables import Act, Row


def survey(compiled: Compiled, search: Search) -> tuple[tuple[int, ...], tuple[Label, ...]]:
    """The figures of a search.

    Returns:
        How many states need 0, 1, … faults, and the moves that never occurred, by place and text; none if the search was
        cut short, or spared because of a proof. Only moves that change a local state count: messages that cannot change anything are not delivered at all.
    """
    counts = [0] * (max(search.layers.values(), default=0) + 1)
    for layer in search.layers.values():
        counts[layer] += 1
    if search.cut or search.spared:
        return tuple(counts), ()
    occurred = {choice.note for _, choice in search.fired.values()}
    seen = {(compiled.notes[note].text, compiled.notes[note].span) for note in occurred if note >= 0}
    idle: dict[tuple[str, int, str], Label] = {}
    for component in compiled.tables.components:
        for local, (rows, acts) in enumerate(zip(component.rows, component.acts, strict=True)):
            choices: list[Row | Act] = [row for group in rows.values() for row in group]
            for choice in (*choices, *acts):
                if choice.note < 0 or choice.target == local:
                    continue
                note = compiled.notes[choice.note]
                if (note.text, note.span) not in seen:
                    idle[note.span.source.path, note.span.start, note.text] = Label(note.span, note.text)
    return tuple(counts), tuple(label for _, label in sorted(idle.items()))
