"""What the facts of a design make of a handler or workflow: what it recognises, keeps, fences and publishes safely."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from coordlint.explore.scene import Compiled, Facts
from coordlint.system import Action, Fact, Process, Store, System

if TYPE_CHECKING:
    from coordlint.explore.parts import Deed, Part
    from coordlint.explore.threads import Thread


class Conduct:
    """The answers to questions about single processes; each with the unknown facts it rests on."""

    system: System
    facts: Facts
    out: Compiled
    by_clients: set[int]

    def guarded(self, process: Process) -> tuple[bool, tuple[str, ...]]:
        """Whether a thread recognises its trigger when it comes again."""
        fact = process.fact("idempotent")
        name = f"{process.path}|idempotent"
        if any(trigger.kind in {"change", "timer"} for trigger in process.triggers):
            return True, ()
        if not fact.absent and process.kind != "workflow" and not changes_something(self.system, process):
            return True, ()
        good = self.facts.good(
            fact, name, f"{called(process)} does not recognise a repeated start", process.place,
            f"make {called(process)} idempotent",
        )  # fmt: skip
        return good, (name,) if fact.unknown else ()

    def deduplicates(self, deed: Deed) -> tuple[bool, tuple[str, ...]]:
        """Whether a handler recognises a message that comes again."""
        if deed.process is None:
            name = f"command {deed.message.name}|idempotent"
            return self.facts.good(Fact(), name, f"{deed.name} is not idempotent", deed.span), (name,)
        fact = deed.process.fact("idempotent")
        if fact.unknown and deed.process.fact("if_changed").declared:
            return True, ()
        name = f"{deed.process.path}|idempotent"
        text = f"`{deed.message.name}` is not idempotent"
        return self.facts.good(fact, name, text, deed.process.place, f"make `{deed.message.name}` idempotent"), (
            (name,) if fact.unknown else ()
        )

    def repeats(self, deed: Deed) -> tuple[bool, tuple[str, ...]]:
        """Whether a recognised repetition publishes its events again; behind an outbox they are safe and need not be."""
        if deed.process is None or self.publishes_safely(deed.process)[0]:
            return False, ()
        fact = deed.process.fact("re_emits")
        name = f"{deed.process.path}|re-emits"
        text = f"`{deed.message.name}` does not publish again what it has recognised"
        return self.facts.good(fact, name, text, deed.process.place, f"let `{deed.message.name}` re-emit"), (
            (name,) if fact.unknown else ()
        )

    def publishes_safely(self, process: Process | None) -> tuple[bool, tuple[str, ...]]:
        """Whether effects and publications commit together."""
        if process is None or process.service.external:
            return True, ()
        fact = process.fact("outbox")
        name = f"service {process.service.name}|outbox"
        text = f"`{process.service.name}` publishes without an outbox"
        good = self.facts.good(fact, name, text, process.service.place, f"an `outbox` for `{process.service.name}`")
        return good, (name,) if fact.unknown else ()

    def fences(self, part: Part, index: int) -> tuple[bool, tuple[str, ...]]:
        """Whether a compensation that came first makes the late action refuse."""
        for undoing in part.undoings:
            if index in undoing.of:
                fact = undoing.process.fact("fences")
                name = f"{undoing.process.path}|fences"
                done = part.deeds[index].message.name
                text = f"`{undoing.message.name}` does not fence a late `{done}`"
                good = self.facts.good(fact, name, text, undoing.process.place,
                                       f"let `{undoing.message.name}` fence a late `{done}`")  # fmt: skip
                return good, (name,) if fact.unknown else ()
        return True, ()

    def redelivers(self, kind: int) -> bool:
        """Whether a message whose handling crashed comes again: a broker sees to that, a client that asked directly need not."""
        return self.out.tables.kinds[kind].copies and kind not in self.by_clients

    def has_timer(self, action: Action) -> bool:
        """Whether the wait for the answer of a call ends by itself."""
        fact = action.fact("timeout")
        name = f"{action.process.path}|{action.message.name}|answered"
        return fact.declared or self.facts.changed.get(name, False)

    def has_limit(self, process: Process) -> bool:
        """Whether a workflow as a whole ends by itself."""
        return process.fact("timeout").declared or self.facts.changed.get(f"{process.path}|limited", False)

    def durability(self, process: Process) -> str:
        """Where a workflow keeps its state: ``store``, ``memory``, or empty if nobody says and nothing is assumed."""
        fact = process.fact("state")
        name = f"{process.path}|durable"
        volatile = isinstance(fact.value, Store) and fact.value.fact("in_memory").declared
        durable = fact.declared and fact.value != "memory" and not volatile
        known = Fact("declared" if durable else "absent", None, fact.span) if not fact.unknown else fact
        good = self.facts.good(known, name, f"{called(process)} keeps its state in memory", process.place,
                               f"keep the state of {called(process)} in a store")  # fmt: skip
        if not good:
            return "memory"
        return "store" if durable or name in self.facts.changed else ""

    def volatile(self, process: Process) -> tuple[str, ...]:
        """The unknown fact by which a workflow forgets."""
        return (f"{process.path}|durable",) if process.fact("state").unknown else ()

    def forgets(self, thread: Thread) -> tuple[str, ...] | None:
        """The facts by which a durable workflow may save its progress and never send what follows; None if it cannot."""
        process = thread.process
        if process.kind != "workflow" or self.durability(process) != "store":
            return None
        safe, why = self.publishes_safely(process)
        return None if safe else why


_OPPOSITE = {
    "=": "!=",
    "==": "!=",
    "is": "is not",
    "<": ">=",
    ">": "<=",
    "!=": "=",
    "is not": "is",
    ">=": "<",
    "<=": ">",
}
_COMPARED = re.compile(r"(?P<field>\S+)\s*(?P<how>is not|is|==|!=|<=|>=|=|<|>)\s*(?P<value>.+)")


def exclude(one: Process, other: Process) -> bool:
    """Whether the guards of two handlers complement each other: `g` and `not g`, or opposite comparisons of one field."""
    first, second = (process.fact("when") for process in (one, other))
    if not (first.declared and second.declared):
        return False
    words = [" ".join(fact.value.when.casefold().split()) for fact in (first, second)]
    if words[0] == f"not {words[1]}" or words[1] == f"not {words[0]}":
        return True
    compared = [_COMPARED.fullmatch(text) for text in words]
    if compared[0] is None or compared[1] is None:
        return False
    same = all(compared[0][name] == compared[1][name] for name in ("field", "value"))
    how = [{"==": "="}.get(match["how"], match["how"]) for match in compared if match is not None]
    return same and _OPPOSITE[how[0]] == how[1]


def called(process: Process) -> str:
    """How messages name a process."""
    if process.workflow is not None:
        return f"workflow `{process.workflow.name}`"
    return f"`{process.name}` of {process.service.name}"


def changes_something(system: System, process: Process) -> bool:
    """Whether executing a handler twice would matter: it writes, acts, or is a command whose body is left out."""
    actions = [system.actions[n] for n in process.actions]
    if process.fact("projection").declared or process.fact("notifies").declared:
        return process.fact("idempotent").absent
    if any(action.kind in {"write", "act"} and action.region != "compensation" for action in actions):
        return True
    command = process.command
    return (
        command is not None
        and command.kind == "command"
        and all(action.kind in {"start", "end", "failed", "succeed", "choice", "fail"} for action in actions)
    )
