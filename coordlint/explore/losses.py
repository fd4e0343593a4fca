"""How messages come to nothing although their channels deliver them: nobody answers, or the broker forgets."""

from __future__ import annotations

from coordlint.explore.conduct import Conduct, called
from coordlint.explore.scene import Scene
from coordlint.graph import Index
from coordlint.system import Action, Channel, Fact, Flow, Message, Process


class Losses(Conduct):
    """Says of each message whether that may happen to it."""

    index: Index
    scene: Scene
    members: set[Process]
    _causes: dict[Message, set[Message]]

    def omitted(self, action: Action) -> tuple[str, tuple[str, ...]]:
        """Whether whoever is asked over a channel may never answer (an omission failure, F. Cristian, 1991).

        The request gets there, but its handling fails each time, or nobody is there any more. A timer has an answer to that;
        where somebody says that there is none, it is a fault; where nobody says anything, it may be one.
        """
        process, root = action.process, self.scene.root
        if action.kind == "call":
            limits = [action.fact("timeout"), action.fact("deadline")]
            name, what = f"{process.path}|{action.message.name}|answered", f"the call of `{action.message.name}`"
            repair = f"a `timeout` on {what}"
        else:
            limits = self._limits_of_answer(action)
            if not limits:
                return "", ()
            name, what = f"{process.path}|limited", f"`{action.message.name}`"
            repair = f"a `timeout` for {called(process)}" if process.kind == "workflow" else ""
        limits = [*limits, process.fact("timeout")]
        if isinstance(root, Flow):
            limits += [Fact("declared")] if root.fact("within").declared else []
        if any(fact.declared or (fact.absent and fact.why) for fact in limits):
            return "", ()
        absent = next((fact for fact in limits if fact.absent), None)
        if absent is None and action.kind != "call":
            return "", ()  # SAG306 speaks of waits that say nothing of a limit
        known = Fact("absent", None, absent.span) if absent is not None else Fact()
        good = self.facts.good(known, name, f"{what} may stay without an answer", action.span, repair)
        return ("" if good else "omission"), ((name,) if absent is None else ())

    def _limits_of_answer(self, action: Action) -> list[Fact]:
        """What limits the wait for the answer to something sent; empty if no wait of its process is for an answer to it."""
        caused = self._caused(action.message)
        for wait in self.system.actions_of(action.process, "await"):
            if any(use.message in caused for use in wait.uses) and self._precedes(action.id, wait.id):
                return [wait.within, *([wait.step.fact("timeout", self.system)] if wait.step is not None else [])]
        return []

    def _caused(self, message: Message) -> set[Message]:
        """The events that a request leads to within the scene."""
        if message not in self._causes:
            found, todo = self._causes.setdefault(message, set()), [message]
            seen = {message}
            while todo:
                for process in self.index.started.get(todo.pop(), ()):
                    for action in (
                        self.system.actions_of(process, "emit", "send", "call") if process in self.members else ()
                    ):
                        if action.kind == "emit":
                            found.add(action.message)
                        if action.message not in seen:
                            seen.add(action.message)
                            todo.append(action.message)
        return self._causes[message]

    def _precedes(self, first: int, then: int) -> bool:
        """Whether an action of a process can come after another one."""
        return then in self._inside(first, -1)

    def forgotten(self, *channels: Channel | None) -> str:
        """Whether a message is gone when its broker restarts: one of the channels keeps it in memory only."""
        for channel in channels:
            volatile = channel.fact("in_memory") if channel is not None else Fact()
            if channel is not None and volatile.declared:
                name, text = f"channel {channel.name}|persistent", f"`{channel.name}` keeps its messages in memory"
                repair = f"keep the messages of `{channel.name}` on disk"
                if not self.facts.good(Fact("absent", None, volatile.span), name, text, channel.place, repair):
                    return "forget"
        return ""

    def _inside(self, entry: int, join: int) -> set[int]:
        seen, stack = {entry}, [entry]
        while stack:
            for edge in self.system.actions[stack.pop()].edges:
                if edge.target != join and edge.target not in seen:
                    seen.add(edge.target)
                    stack.append(edge.target)
        return seen
