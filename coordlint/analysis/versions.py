"""Versions of messages: which are published, which a consumer reads, and which it can read though it does not name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.compatibility import directions, mode_of
from coordlint.system import Action, Message, MessageUse, Version
from coordlint.versions import in_range, version_key

if TYPE_CHECKING:
    from coordlint.graph import Index


class Versions:
    """What is published of each message."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self._publications: dict[Message, dict[Version, list[Action]]] = {}

    def publications(self, message: Message) -> dict[Version, list[Action]]:
        """The versions that are published or sent, oldest first, with the actions that do so."""
        if message not in self._publications:
            found: dict[Version, list[Action]] = {}
            for action in self.index.producers(message):
                for version in named(action.use):
                    found.setdefault(version, []).append(action)
            self._publications[message] = {version: found[version] for version in message.versions if version in found}
        return self._publications[message]

    def arriving(self, use: MessageUse) -> tuple[Version, ...]:
        """The versions that reach a consumer: those published, as far as its pin allows; where nobody in the design
        publishes, those that the consumer names.
        """
        versions = tuple(self.publications(use.message)) or named(use)
        return tuple(version for version in versions if use.pin is None or in_range(version.number, use.pin))


def named(use: MessageUse) -> tuple[Version, ...]:
    """The declared versions that a use names: those its pin allows, or the newest where it has none."""
    versions = use.message.versions
    if use.pin is None:
        return versions[-1:]
    return tuple(version for version in versions if in_range(version.number, use.pin))


def is_readable(message: Message, pin: str, version: Version) -> bool:
    """Whether a consumer that accepts ``pin`` can read a version outside of it, by the compatibility the message promises.

    A newer version can be read if it promises to be readable by the one before it (forward), an older one if the oldest
    accepted promises to read the one before itself (backward); over more than one step the promise has to be transitive.
    """
    order = {one: position for position, one in enumerate(message.versions)}
    accepted = [one for one in message.versions if in_range(one.number, pin)]
    if not accepted:
        return False
    if version_key(version.number) > version_key(accepted[-1].number):
        promise, direction, steps = mode_of(message, version), "forward", order[version] - order[accepted[-1]]
    elif version_key(version.number) < version_key(accepted[0].number):
        promise, direction, steps = mode_of(message, accepted[0]), "backward", order[accepted[0]] - order[version]
    else:
        return False
    if not promise.declared or direction not in directions(promise.value.mode):
        return False
    return steps == 1 or bool(promise.value.transitive)


def shown(version: Version) -> str:
    """A version as it is declared, in backticks: ``OrderPlaced @2``, or ``OrderPlaced`` where it has no number."""
    return f"`{version.name} @{version.number}`" if version.number else f"`{version.name}`"
