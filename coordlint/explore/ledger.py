"""What a run does to the ledgers of its participants: how often each action has been executed and undone, move by move."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.explore.parts import TALLY
from coordlint.finding import Effect

if TYPE_CHECKING:
    from coordlint.explore.parts import Deed
    from coordlint.explore.scene import Compiled


class Ledgers:
    """The ledgers of a scene along a run, which has to be followed from its beginning."""

    def __init__(self, compiled: Compiled) -> None:
        self.compiled = compiled
        self._codes: dict[int, tuple[str, ...]] = {}

    def follow(self, component: int, target: int, by: str) -> tuple[Effect, ...]:
        """The entries that a move of a component to that local state changes; none if the component is no participant.

        Args:
            component: its number.
            target: its local state behind the move.
            by: how people name it.
        """
        part = self.compiled.part(component)
        if part is None:
            return ()
        initial = self.compiled.tables.components[component].initial
        before = self._codes.get(component, part.codes[initial])
        after = self._codes[component] = part.codes[target]
        return tuple(
            Effect(deed.message.name, by, *TALLY[code], self._source(deed), (component, index))
            for index, (deed, was, code) in enumerate(zip(part.deeds, before, after, strict=True))
            if deed.tracked and code != was
        )

    def _source(self, deed: Deed) -> str:
        """What makes this another occurrence of the action: what it follows, or who sends it."""
        if deed.site < 0:
            return ""
        process = self.compiled.system.actions[deed.site].process
        names = [use.message.name for trigger in process.triggers for use in trigger.uses]
        if process.kind == "handler" and names:
            return f"after {' or '.join(dict.fromkeys(names))}"
        return f"from {process.name if process.kind == 'workflow' else process.service.name}"
