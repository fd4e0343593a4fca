"""Why a wait is in vain: every statement that could have sent what never came, and what kept it from being sent or arriving."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from coordlint.finding import LOST, Label, Step
from coordlint.system import Action, Message, Process

if TYPE_CHECKING:
    from coordlint.explore.story import Sent, Tale
    from coordlint.explore.threads import Thread
    from coordlint.explore.violation import Violation

WAITING = frozenset({"call", "await", "fork", "undoing", "arm"})
"""Where a thread rests that is stuck."""

FATES = {
    "lose": "lost",
    "park": "put into the dead-letter channel",
    "forget": "forgotten by its broker",
    "omission": "not answered",
    "drop": "dropped, because nobody waited for it yet,",
}
"""What became of a message that nobody took."""


class Absence:
    """The end of a run in which somebody waits in vain.

    Args:
        tale: the run, whose steps are numbered already.
        one: the violation.
    """

    def __init__(self, tale: Tale, one: Violation) -> None:
        self.tale = tale
        self.one = one
        self.system = tale.compiled.system
        self.state = tale.path[-1][1].target

    def rest(self, number: int) -> Step:
        """A last step that says who still waits when nothing happens any more."""
        compiled = self.tale.compiled
        for component, thread in self._waiting():
            text = f"nothing is under way any more, and {thread.name} still waits"
            return Step(number, "rest", "", self.tale.lane(component), "", text, self.one.place, False, 0, bad=True)
        last = self.tale.events[max(self.tale.numbers, default=-1)].move.component
        where = self.tale.lane(last)
        text = f"nothing is under way any more, and {compiled.scene.name} has not come to its end"
        return Step(number, "rest", "", where, "", text, self.one.place, False, 0, bad=True)

    def labels(self) -> Iterator[Label]:
        """Every statement that could have sent what is waited for in vain, and why it did not."""
        for component, thread in self._waiting():
            where, number = thread.spots[self.tale.space.local(self.state, component)].where
            action = self.system.actions[number] if number >= 0 else None
            rows = self.tale.compiled.tables.components[component].rows
            awaited = frozenset(rows[self.tale.space.local(self.state, component)])
            if where == "call" and action is not None:
                yield self._unanswered(action, awaited)
                continue
            if where not in {"await", "arm"}:
                continue
            arms = [action] if action is not None else []
            if action is not None and action.kind == "choice":
                arms = [self.system.actions[edge.target] for edge in action.edges]
            uses = [use for arm in arms for use in arm.uses] or list(thread.process.triggers[0].uses)
            for message in dict.fromkeys(use.message for use in uses):
                yield from self._unsent(message, awaited)

    def _waiting(self) -> Iterator[tuple[int, Thread]]:
        """The threads that wait in the end and that the violation is about."""
        for component, thread in self.tale.compiled.threads.items():
            where, number = thread.spots[self.tale.space.local(self.state, component)].where
            place = self.system.actions[number].span if number >= 0 else thread.process.place
            if where in WAITING and (self.one.code == "B21" or self.one.place in (place, thread.process.place)):
                yield component, thread

    def _unsent(self, message: Message, awaited: frozenset[int]) -> Iterator[Label]:
        statements = [action for action in self.tale.statements(message) if not action.process.contract]
        if not statements:
            yield Label(message.place, f"nobody sends `{message.name}`")
        for action in statements:
            why = self._why_not(action, awaited)
            yield Label(action.span, f"`{message.name}` of {action.process.service.name}: {why}")

    def _why_not(self, action: Action, awaited: frozenset[int]) -> str:
        """What kept a statement from sending, or what it sent from arriving."""
        own = [n for n in range(len(self.tale.events)) if self._is_of(n, action.process)]
        if not own:
            return f"never reached: {self._not_started(action.process)}"
        passed = [n for n in own if action.id in self.tale.trail(n)]
        if not passed:
            return f"not reached: {self._at(own[-1])}"
        for n in passed:
            for sent in self.tale.events[n].sends:
                if sent.kind in awaited:
                    return self._fate(sent, n)
        return f"came to nothing: {self._at(passed[-1])}"

    def _not_started(self, process: Process) -> str:
        """What became of the messages that start a process that has not run."""
        messages = [use.message for trigger in process.triggers for use in trigger.uses]
        for n, event in enumerate(self.tale.events):
            message = next((part for part in self.tale.key(event.move.kind) if part in messages), None)
            if isinstance(message, Message) and event.move.what in FATES and not self._is_of(n, process):
                return f"`{message.name}` was {FATES[event.move.what]}{self.tale.within(n)}"
        names = " or ".join(f"`{message.name}`" for message in dict.fromkeys(messages))
        return f"{names or 'what starts it'} never came"

    def _fate(self, sent: Sent, by: int) -> str:
        if sent.gone < 0:
            return f"sent{self.tale.within(by)}, where it could not change anything any more"
        move = self.tale.events[sent.gone].move
        return f"sent{self.tale.within(by)}, but {FATES.get(move.what, 'taken')}{self.tale.within(sent.gone)}"

    def _unanswered(self, action: Action, awaited: frozenset[int]) -> Label:
        """What became of a call that is not answered."""
        name = action.message.name
        for n, event in enumerate(self.tale.events):
            for sent in event.sends:
                if sent.kind in awaited and sent.gone >= 0 and self.tale.events[sent.gone].move.what in LOST:
                    return Label(action.span, f"the answer to `{name}` was lost{self.tale.within(sent.gone)}")
            key = self.tale.key(event.move.kind)
            if key[0] == "request" and key[1] == action.id:
                if event.move.what in LOST:
                    return Label(action.span, f"`{name}` was lost{self.tale.within(n)}, and nobody asks again")
                if event.move.what == "omission":
                    who = self.tale.lane(event.move.component)
                    return Label(
                        action.span, f"{who} never answers `{name}`{self.tale.within(n)}, and nobody asks again"
                    )
                if not any(sent.kind in awaited for sent in event.sends):
                    return Label(action.span, f"`{name}` was not answered: {self._at(n)}")
        asked = [sent for event in self.tale.events for sent in event.sends if self._asks(sent.kind, action)]
        crash = [n for n, event in enumerate(self.tale.events) if event.move.what == "publish"]
        if not asked and crash:
            return Label(action.span, f"`{name}` was never sent: {self._at(crash[-1])}")
        return Label(action.span, f"nobody answers `{name}`")

    def _asks(self, kind: int, action: Action) -> bool:
        """Whether a kind of message is the request of a call."""
        key = self.tale.key(kind)
        return key[0] == "request" and key[1] == action.id

    def _is_of(self, number: int, process: Process) -> bool:
        """Whether an event is a move of that process."""
        move = self.tale.events[number].move
        thread = self.tale.compiled.threads.get(move.component)
        if thread is not None:
            return thread.process is process
        choice = move.choice
        if choice is None or choice.note < 0:
            return False
        actions = self.system.actions
        trail = self.tale.trail(number)
        return self.tale.compiled.notes[choice.note].span == process.place or any(
            actions[n].process is process for n in trail
        )

    def _at(self, number: int) -> str:
        choice = self.tale.events[number].move.choice
        text = self.tale.compiled.notes[choice.note].text if choice is not None and choice.note >= 0 else "it was lost"
        where = self.tale.within(number)
        return f"{where.strip()} {text}" if where else text
