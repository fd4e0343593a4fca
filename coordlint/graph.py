"""Views of the one system: an index of who produces and consumes what, and the causal graph as adjacency lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from coordlint.system import Action, EntityUse, Message, Process, Service, Store, System


class Index:
    """Who produces, consumes, calls, reads and writes what. Built in one pass over the actions; every list is in model order.

    Attributes:
        emitters: event -> the emit actions that publish it.
        senders: command or query -> the send and call actions that request it.
        started: message -> the processes that its arrival can start (handlers, workflow starts, contracts).
        awaiting: message -> the await actions it can satisfy.
        changed: (store, entity) -> the processes that react to its change; entity None for any entity.
        writers, readers: (store, entity) -> the actions; entity None when only the store is named.
        own: the processes nothing inside the design triggers, and those of timers.
    """

    def __init__(self, system: System) -> None:
        self.system = system
        self.emitters: dict[Message, list[Action]] = {}
        self.senders: dict[Message, list[Action]] = {}
        self.started: dict[Message, list[Process]] = {}
        self.awaiting: dict[Message, list[Action]] = {}
        self.changed: dict[tuple[Store, str | None], list[Process]] = {}
        self.writers: dict[tuple[Store, str | None], list[Action]] = {}
        self.readers: dict[tuple[Store, str | None], list[Action]] = {}
        for process in system.processes:
            for trigger in process.triggers:
                for use in trigger.uses:
                    _add_once(self.started.setdefault(use.message, []), process)
                if trigger.entity is not None:
                    key = (trigger.entity.store, trigger.entity.entity)
                    self.changed.setdefault(key, []).append(process)
        for action in system.actions:
            if action.kind == "emit":
                self.emitters.setdefault(action.message, []).append(action)
            elif action.kind in {"send", "call"}:
                self.senders.setdefault(action.message, []).append(action)
            elif action.kind == "await":
                for use in action.uses:
                    self.awaiting.setdefault(use.message, []).append(action)
            elif action.kind in {"read", "write"}:
                table = self.writers if action.kind == "write" else self.readers
                for entity in action.entities:
                    table.setdefault((entity.store, entity.entity), []).append(action)
        self._written = _by_store(self.writers)
        self._watched = _by_store(self.changed)

    def producers(self, message: Message) -> list[Action]:
        """The actions that publish, send or call the message."""
        emitted, sent = self.emitters.get(message, []), self.senders.get(message, [])
        return emitted + sent if emitted and sent else emitted or sent  # the wrong verb has its own finding (REF002)

    def consumers(self, message: Message) -> Iterator[Process]:
        """The processes that a message starts or continues, each once."""
        seen = set()
        for process in [*self.started.get(message, ()), *(action.process for action in self.awaiting.get(message, ()))]:
            if process not in seen:
                seen.add(process)
                yield process

    def handlers(self, message: Message) -> list[Process]:
        """The processes that answer a command or query: its handlers and the workflows it starts."""
        return self.started.get(message, [])

    def writes(self, entity: EntityUse) -> Iterator[Action]:
        """The writes that may change that entity; of a whole store, all writes to any part of it."""
        keys: list[tuple[Store, str | None]] = [(entity.store, None), (entity.store, entity.entity)]
        for key in keys if entity.entity is not None else self._written.get(entity.store, ()):
            yield from self.writers.get(key, ())

    def reacting(self, entity: EntityUse) -> Iterator[Process]:
        """The processes that a write of that entity triggers."""
        keys: list[tuple[Store, str | None]] = [(entity.store, entity.entity)]
        if entity.entity is not None:
            keys.append((entity.store, None))
            for key in keys:
                yield from self.changed.get(key, ())
        else:
            for key in self._watched.get(entity.store, ()):
                yield from self.changed[key]

    def polling(self, entity: EntityUse) -> Iterator[Process]:
        """The timer-driven processes that read that entity: what is written there reaches them with their next turn."""
        seen = set()
        for key in ((entity.store, entity.entity), (entity.store, None)):
            for reader in self.readers.get(key, ()):
                process = reader.process
                if process not in seen and any(trigger.kind == "timer" for trigger in process.triggers):
                    seen.add(process)
                    yield process

    def owner(self, message: Message) -> Service | None:
        """The service that handles a command, or the only one that publishes an event; None when there is not exactly one."""
        if message.kind == "event":
            services = {action.process.service for action in self.emitters.get(message, ())}
        else:
            services = {process.service for process in self.consumers(message)}
        return services.pop() if len(services) == 1 else None


def causal_successors(index: Index, *, returns: bool = False, polls: bool = False) -> list[list[int]]:
    """G_msg as adjacency lists: what may cause what, on actions and messages.

    Node ``i`` is ``system.actions[i]``; behind the actions come the messages in the order of ``system.messages``, see
    :func:`message_numbers`. Edges: control flow; a producing action to its message; a message to the start of the processes
    it triggers and to the awaits it satisfies; a write to the start of what reacts to the change.

    Args:
        index: the index of the system.
        returns: also the edges from a called process's end to what follows the call. They make paths complete and, since
            they forget which call returns where, some cycles spurious: leave them out when looking for loops.
        polls: also the edges from a write of an entity to the start of the timers (``every``) that read it.
    """
    system = index.system
    numbers = message_numbers(system)
    result: list[list[int]] = [[] for _ in range(len(system.actions) + len(numbers))]
    for action in system.actions:
        targets = result[action.id]
        targets += [edge.target for edge in action.edges]
        if action.kind in {"emit", "send", "call"} and action.message in numbers:
            targets.append(numbers[action.message])
        elif action.kind == "write":
            for entity in action.entities:
                targets += [process.start for process in index.reacting(entity)]
                if polls:
                    targets += [process.start for process in index.polling(entity)]
        if returns and action.kind == "call":
            after = [edge.target for edge in action.edges if edge.kind == "ok"]
            for callee in index.handlers(action.message):
                result[callee.actions[-1]] += after
    for message, number in numbers.items():
        result[number] += [process.start for process in index.started.get(message, ())]
        result[number] += [action.id for action in index.awaiting.get(message, ())]
    return result


def message_numbers(system: System) -> dict[Message, int]:
    """The node numbers of the declared messages in :func:`causal_successors`."""
    return {message: len(system.actions) + i for i, message in enumerate(system.messages.values())}


def _by_store(keys: Iterable[tuple[Store, str | None]]) -> dict[Store, list[tuple[Store, str | None]]]:
    found: dict[Store, list[tuple[Store, str | None]]] = {}
    for key in keys:
        found.setdefault(key[0], []).append(key)
    return found


def _add_once(processes: list[Process], process: Process) -> None:
    if not processes or processes[-1] is not process:
        processes.append(process)
