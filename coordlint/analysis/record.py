"""What is seen of an instance of a flow: who takes part, and what happens between them in which order."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from coordlint.system import Process, Region, Service

ArrowKind: TypeAlias = Literal["call", "reply", "send", "event", "change"]


class Party(NamedTuple):
    """Who takes part. ``kind`` is service, external, workflow or outside."""

    key: str
    name: str
    kind: str
    host: str = ""


class Arrow(NamedTuple):
    """Something goes from one party to another; replies have the number of their call."""

    number: int
    source: str
    target: str
    kind: ArrowKind
    text: str
    region: Region = "main"
    failing: bool = False


class Remark(NamedTuple):
    """Something happens at one party: write, act, wait, fail, event (nobody hears it) or info."""

    party: str
    kind: str
    text: str
    region: Region = "main"


class Begin(NamedTuple):
    """A frame opens around what follows: ``par`` (side by side) or ``loop``. ``And`` divides a frame, ``Finish`` closes it."""

    frame: int
    kind: str
    text: str


class And(NamedTuple):
    """The next branch of a frame."""

    frame: int


class Finish(NamedTuple):
    """A frame closes."""

    frame: int


Item: TypeAlias = Arrow | Remark | Begin | And | Finish


class Turn(NamedTuple):
    """A place where the path could have gone another way: the action, the other target, and what that would mean."""

    action: int
    target: int
    title: str
    failing: bool


class Record:
    """Notes what happens.

    Attributes:
        items: what happened, in order.
        parties: who took part, by key, in order of appearance.
        arrows, frames: how many there are so far.
    """

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.parties: dict[str, Party] = {}
        self.arrows = 0
        self.frames = 0

    def party(self, process: Process) -> str:
        """The party that a process acts for."""
        if process.workflow is None:
            return self.service(process.service)
        key = f"workflow {process.workflow.name}"
        self.parties.setdefault(key, Party(key, process.workflow.name, "workflow", process.service.name))
        return key

    def service(self, service: Service) -> str:
        """The party of a service."""
        key = f"service {service.name}"
        self.parties.setdefault(key, Party(key, service.name, "external" if service.external else "service"))
        return key

    def outside(self) -> str:
        """The party of whoever is not part of the design."""
        self.parties.setdefault("outside", Party("outside", "outside", "outside"))
        return "outside"

    def arrow(
        self, source: str, target: str, kind: ArrowKind, text: str, region: Region, *, failing: bool = False
    ) -> None:
        """Something goes from party to party; it gets the next number."""
        self.arrows += 1
        self.items.append(Arrow(self.arrows, source, target, kind, text, region, failing))

    def reply(self, number: int, source: str, target: str, text: str, region: Region) -> None:
        """The answer to the call of that number."""
        self.items.append(Arrow(number, source, target, "reply", text, region, bool(text)))

    def remark(self, party: str, kind: str, text: str, region: Region = "main") -> None:
        """Something happens at a party."""
        self.items.append(Remark(party, kind, text, region))


def nested(items: list[Item]) -> list[Item]:
    """The items with frames that nest: a frame ends with the one around it, and one that was left open ends at the end."""
    result: list[Item] = []
    open_frames: list[int] = []
    for item in items:
        if isinstance(item, Begin):
            open_frames.append(item.frame)
        elif isinstance(item, Finish):
            if item.frame not in open_frames:
                continue
            while open_frames[-1] != item.frame:
                result.append(Finish(open_frames.pop()))
            open_frames.pop()
        elif isinstance(item, And):
            if item.frame not in open_frames:
                continue
            while open_frames[-1] != item.frame:
                result.append(Finish(open_frames.pop()))
        result.append(item)
    return [*result, *(Finish(frame) for frame in reversed(open_frames))]
