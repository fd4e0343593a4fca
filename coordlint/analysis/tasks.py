"""Processes under way in a play of a flow: what each has come to, and what it waits for."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from coordlint.system import Action, Message, Process, Region


class Preferences(Protocol):
    """Which way a choice goes if nothing else is said; ``chosen`` is what was found to lead to the goal."""

    chosen: dict[int, int]

    def order(self, action: int) -> list[int]: ...
    def fails(self, target: int) -> bool: ...


@dataclass(eq=False)
class Task:
    """A process under way."""

    process: Process
    party: str
    depth: int
    body: Generator[Wait, Message | None, None] | None = None
    asked: tuple[int, str] | None = None
    outcome: Literal["", "ok", "failed"] = ""
    heard: int = 0
    loops: dict[int, int] = field(default_factory=dict)
    frames: list[int] = field(default_factory=list)
    resume: Message | None = None


class Wait(NamedTuple):
    """What a task stands still for: one of these messages, or the end of another task."""

    messages: tuple[Message, ...] = ()
    child: Task | None = None
    limited: bool = False


class Sent(NamedTuple):
    """A message that is on its way or has arrived, for those who begin to wait for it later."""

    message: Message
    party: str
    depth: int
    text: str
    region: Region


def actor(process: Process) -> str:
    """The name of who acts: the workflow, or the service."""
    return process.workflow.name if process.workflow is not None else process.service.name


def following(action: Action, *kinds: str) -> int | None:
    """Where control goes by the first edge of those kinds, or of any but those into loops."""
    for edge in action.edges:
        if edge.kind in (kinds or ("next", "ok", "exit", "branch", "failure", "compensate", "timeout")):
            return edge.target
    return None
