"""Plays one instance of a flow through the processes of a design, one decision after the other, and notes what is seen."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

from coordlint.analysis.latency import seconds_text
from coordlint.system import Action, Edge, Message, Process, Region, Service, Workflow

if TYPE_CHECKING:
    from coordlint.analysis.flows import FlowView

MOST_ITEMS = 400
"""A path longer than this is cut."""
MOST_RUNS = 2
"""How often one message starts one process in a path: cycles shall not be followed for ever."""

_ON = ("ok", "next", "exit", "compensate")
"""The edges by which a process goes on after a call that was answered."""

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


class Preferences(Protocol):
    """Which way a choice goes if nothing else is said."""

    def order(self, action: int) -> list[int]: ...
    def fails(self, target: int) -> bool: ...


@dataclass(eq=False)
class _Task:
    """A process under way."""

    process: Process
    party: str
    depth: int
    body: Generator[_Wait, Message | None, None] | None = None
    asked: tuple[int, str] | None = None
    outcome: Literal["", "ok", "failed"] = ""
    heard: int = 0
    loops: dict[int, int] = field(default_factory=dict)
    frames: list[int] = field(default_factory=list)
    resume: Message | None = None


class _Wait(NamedTuple):
    """What a task stands still for: one of these messages, or the end of another task."""

    messages: tuple[Message, ...] = ()
    child: _Task | None = None
    limited: bool = False


class _Sent(NamedTuple):
    message: Message
    party: str
    depth: int
    text: str
    region: Region


class Play:
    """One run. What has been seen is in ``items``, ``parties``, ``turns``, ``reached``, ``undone``, ``depth`` and ``stuck``.

    Args:
        view: the flow.
        preferred: which way choices go.
        forced: by action id, the target to go to when the action is come to for the first time.
    """

    def __init__(self, view: FlowView, preferred: Preferences, forced: dict[int, int]) -> None:
        self.view = view
        self.index = view.causality.index
        self.actions = view.causality.system.actions
        self.preferred = preferred
        self.forced = dict(forced)
        self.items: list[Item] = []
        self.parties: dict[str, Party] = {}
        self.turns: list[Turn] = []
        self.reached: set[Message | Workflow] = set()
        self.undone: list[str] = []
        self.depth = 0
        self.stuck = ""
        self._ready: deque[_Task] = deque()
        self._waiting: list[tuple[_Task, _Wait]] = []
        self._sent: list[_Sent] = []
        self._runs: dict[tuple[Process, str], int] = {}
        self._ran: set[Process] = set()
        self._joined: dict[Process, set[Message]] = {}
        self._written: list[Action] = []
        self._arrows = 0
        self._frames = 0

    def run(self) -> None:
        """Play the flow to its end."""
        self._start()
        while True:
            while self._ready:
                self._advance(self._ready.popleft())
            if self._is_done() or len(self.items) > MOST_ITEMS or not self._helped():
                break
        if not self._is_done() and self._waiting:
            task, wait = next(((one, its) for one, its in self._waiting if its.messages), self._waiting[0])
            names = " or ".join(f"`{message.name}`" for message in wait.messages)
            self.stuck = f"`{self.parties[task.party].name}` waits for {names or 'an answer'}"
        self.items = _nested(self.items)

    # -------------------------------------------------------------------------------------------- the start

    def _start(self) -> None:
        flow = self.view.flow
        if not flow.starts:
            return
        start = flow.starts[0]
        if isinstance(start, Workflow):
            self._remark(self._party(start.process), "info", f"{start.process.name} starts")
            self._begin(start.process, 0)
            return
        source = self._service(flow.source) if flow.source is not None else self._outside()
        asks = any(
            action.kind == "call" and action.process.service is flow.source
            for action in self.index.senders.get(start.message, ())
        )
        kind: ArrowKind = "event" if start.message.kind == "event" else "call" if asks else "send"
        self._deliver(start.message, source, 0, kind, "main", start.service)

    # -------------------------------------------------------------------------------------------- tasks

    def _begin(self, process: Process, depth: int, asked: tuple[int, str] | None = None, by: str = "") -> _Task | None:
        if self._runs.get((process, by), 0) >= MOST_RUNS:
            self._remark(self._party(process), "info", "and so on")
            return None
        self._runs[process, by] = self._runs.get((process, by), 0) + 1
        self._ran.add(process)
        self.depth = max(self.depth, depth)
        task = _Task(process, self._party(process), depth, asked=asked, heard=len(self._sent))
        task.body = self._body(task)
        self._ready.append(task)
        return task

    def _advance(self, task: _Task) -> None:
        """Run a task until it has to wait or ends; then whoever waits for it goes on."""
        assert task.body is not None
        resume, task.resume = task.resume, None
        try:
            wait = task.body.send(resume)
        except StopIteration:
            if task.asked is not None and task.outcome:
                number, party = task.asked
                self._reply(number, task.party, party, "failed" if task.outcome == "failed" else "", "main")
            for number, (other, its) in enumerate(self._waiting):
                if its.child is task:
                    del self._waiting[number]
                    self._ready.appendleft(other)
                    break
            return
        if wait.child is not None:
            child = wait.child
            self._waiting.append((task, wait))
            if child in self._ready:
                self._ready.remove(child)
                self._ready.appendleft(child)
        else:
            self._waiting.append((task, wait))

    def _body(self, task: _Task) -> Generator[_Wait, Message | None, None]:
        yield from self._walk(task, task.process.start, None)
        for frame in reversed(task.frames):
            self.items.append(Finish(frame))
        task.frames.clear()

    def _walk(self, task: _Task, node: int | None, until: int | None) -> Generator[_Wait, Message | None, bool]:
        """Follow a process; whether the action ``until`` was arrived at."""
        while node is not None and len(self.items) <= MOST_ITEMS:
            if node == until:
                return True
            node = yield from self._do(task, self.actions[node])
        return False

    def _do(self, task: _Task, action: Action) -> Generator[_Wait, Message | None, int | None]:
        kind = action.kind
        if kind == "end" or kind == "failed":
            task.outcome = "ok" if kind == "end" else "failed"
            if kind == "end" and task.process.workflow is not None:
                self.reached.add(task.process.workflow)
            return None
        if kind == "start":
            return self._at_start(task, action)
        if kind == "emit":
            self._note_undo(action)
            self._deliver(action.message, task.party, task.depth, "event", action.region)
        elif kind == "send":
            self._note_undo(action)
            self._deliver(action.message, task.party, task.depth, "send", action.region, action.use.service)
        elif kind == "call":
            return (yield from self._call(task, action))
        elif kind == "await" or (kind == "choice" and action.mode == "await"):
            return (yield from self._await(task, action, action.edges))
        elif kind == "choice" or kind == "loop":
            return self._choose(task, action)
        elif kind == "fork":
            return (yield from self._fork(task, action))
        elif kind == "timer":
            self._remark(
                task.party,
                "wait",
                f"waits {seconds_text(action.delay)}" if action.delay is not None else "waits",
                action.region,
            )
        elif kind == "write":
            self._write(task, action)
        elif kind == "act":
            self._remark(task.party, "act", action.text, action.region)
        elif kind == "fail":
            self._remark(task.party, "fail", f"fails: {action.text}" if action.text else "fails", action.region)
            self._leave_frames(task)
        return _next(action)

    def _at_start(self, task: _Task, action: Action) -> int | None:
        late = next((edge.target for edge in action.edges if edge.kind == "timeout"), None)
        if late is not None:
            limit = task.process.fact("timeout")
            text = f"`{_who(task.process)}` takes longer than its {limit.text or 'timeout'}"
            if self.forced.get(action.id) == late:
                del self.forced[action.id]
                self._remark(task.party, "wait", "its time runs out")
                return late
            self.turns.append(Turn(action.id, late, text, True))
        return next((edge.target for edge in action.edges if edge.kind != "timeout"), None)

    def _leave_frames(self, task: _Task) -> None:
        for frame in reversed(task.frames):
            self.items.append(Finish(frame))
        task.frames.clear()
        task.loops.clear()

    # -------------------------------------------------------------------------------------------- messages

    def _deliver(
        self,
        message: Message,
        party: str,
        depth: int,
        kind: ArrowKind,
        region: Region,
        service: Service | None = None,
    ) -> None:
        """Publish or send: whoever waits goes on, whoever it starts begins."""
        self.reached.add(message)
        self._sent.append(_Sent(message, party, depth, message.name, region))
        heard = False
        for task, wait in [one for one in self._waiting if message in one[1].messages]:
            self._waiting.remove((task, wait))
            task.resume = message
            task.heard = len(self._sent)
            task.depth = max(task.depth, depth + 1)
            self.depth = max(self.depth, task.depth)
            self._arrow(party, task.party, "event" if kind == "event" else "send", message.name, region)
            self._ready.append(task)
            heard = True
        for process in self._targets(message, service):
            self._arrow(party, self._party(process), kind, message.name, region)
            heard = True
            if self._complete(process, message):
                self._begin(process, depth + 1, (self._arrows, party) if kind == "call" else None, message.name)
        if not heard and service is not None:
            self._arrow(party, self._service(service), kind, message.name, region)
        elif not heard:
            verb = "publishes" if kind == "event" else "sends"
            self._remark(party, "event", f"{verb} {message.name}", region)

    def _targets(self, message: Message, service: Service | None) -> Iterator[Process]:
        for process in self.index.started.get(message, ()):
            if service is None or process.service is service or message.kind == "event":
                yield process

    def _complete(self, process: Process, message: Message) -> bool:
        """Whether the message is the last that the process needs to start."""
        trigger = next((one for one in process.triggers if any(use.message is message for use in one.uses)), None)
        if trigger is None or trigger.mode != "all":
            return True
        got = self._joined.setdefault(process, set())
        got.add(message)
        if all(use.message in got for use in trigger.uses):
            got.clear()
            return True
        self._remark(self._party(process), "wait", "waits for the rest")
        return False

    def _call(self, task: _Task, action: Action) -> Generator[_Wait, Message | None, int | None]:
        self._note_undo(action)
        name, service = action.message.name, action.use.service
        target = next(self._targets(action.message, service), None)
        self.reached.add(action.message)
        forced = self.forced.pop(action.id, None)
        before, party = self._arrows + 1, self._callee(action, target)
        if forced is not None:
            edge = next(one for one in action.edges if one.target == forced)
            late = edge.kind == "timeout"
            self._arrow(task.party, party, "call", name, action.region, failing=True)
            self._remark(task.party, "fail", "no answer in time" if late else "the call fails", action.region)
            self._leave_frames(task)
            return forced
        self._arrow(task.party, party, "call", name, action.region)
        self._call_turns(action, target, party)
        if target is None:
            self._reply(before, party, task.party, "", action.region)
            return _next(action, *_ON)
        child = self._begin(target, task.depth + 1, by=name)
        if child is not None:
            yield _Wait(child=child)
            task.depth = max(task.depth, child.depth)
        if child is None or child.outcome != "failed":
            self._reply(before, party, task.party, "", action.region)
            return _next(action, *_ON)
        self._reply(before, party, task.party, "failed", action.region)
        failing = next((edge.target for edge in action.edges if edge.kind == "failure"), None)
        if failing is None:
            self._remark(task.party, "fail", "nothing answers this failure", action.region)
            self.stuck = self.stuck or f"nothing answers the failure of `{name}`"
            return None
        self._leave_frames(task)
        return failing

    def _call_turns(self, action: Action, target: Process | None, party: str) -> None:
        """The ways in which a call fails that its handler does not speak of itself."""
        if action.region != "main" and action.region != "fallback":
            return
        refuses = target is not None and any(self.actions[one].kind == "fail" for one in target.actions)
        targets: dict[int, list[str]] = {}
        for edge in action.edges:
            if edge.kind in {"failure", "timeout"}:
                targets.setdefault(edge.target, []).append(edge.kind)
        for place, kinds in targets.items():
            if refuses and kinds == ["failure"]:
                continue
            words = " or ".join({"failure": "fails", "timeout": "times out"}[kind] for kind in dict.fromkeys(kinds))
            who = f"`{_who(action.process)}`'s call of `{self.parties[party].name}.{action.message.name}`"
            self.turns.append(Turn(action.id, place, f"{who} {words}", True))

    def _await(
        self, task: _Task, action: Action, edges: Iterable[Edge]
    ) -> Generator[_Wait, Message | None, int | None]:
        """Wait for one of the messages of an await, or of the arms of a choice between awaits."""
        arms: dict[Message, int | None] = {}
        timer: int | None = None
        if action.kind == "await":
            arms = dict.fromkeys((use.message for use in action.uses), _next(action))
        else:
            for edge in edges:
                arm = self.actions[edge.target]
                if arm.kind == "await":
                    for use in arm.uses:
                        arms.setdefault(use.message, _next(arm))
                elif timer is None:
                    timer = arm.id
        names = " or ".join(f"`{message.name}`" for message in arms)
        if timer is not None:
            if self.forced.get(action.id) == timer:
                del self.forced[action.id]
                self._leave_frames(task)
                return timer
            self.turns.append(Turn(action.id, timer, f"`{_who(task.process)}` waits for {names} in vain", True))
        for number in range(task.heard, len(self._sent)):
            sent = self._sent[number]
            if sent.message in arms:
                task.heard = number + 1
                self._arrow(sent.party, task.party, "event", sent.text, sent.region)
                return arms[sent.message]
        came = yield _Wait(tuple(arms), limited=timer is not None)
        if came is None:
            return timer
        return arms[came]

    # -------------------------------------------------------------------------------------------- control

    def _choose(self, task: _Task, action: Action) -> int | None:
        if action.kind == "loop" or action.mode == "repeat":
            return self._loop(task, action)
        if len(action.edges) < 2:
            return _next(action)
        order = self.preferred.order(action.id)
        target = self.forced.pop(action.id, None)
        if target is None:
            target = action.edges[order[0]].target
            for position in order[1:]:
                other = action.edges[position].target
                self.turns.append(
                    Turn(action.id, other, self._branch_title(action, other), self.preferred.fails(other))
                )
        return target

    def _branch_title(self, action: Action, target: int) -> str:
        first = self.actions[target]
        who = f"`{_who(action.process)}`"
        if first.kind == "fail":
            command = action.process.command
            if command is not None:
                who += f" refuses `{command.name}`"
            else:
                who += " fails"
            return who + (f": {first.text}" if first.text else "")
        if first.kind == "emit":
            return f"{who} publishes `{first.message.name}`"
        if first.kind in {"send", "call"}:
            return f"{who} {first.kind}s `{first.message.name}`"
        return f"{who} goes another way, at line {first.span.line}"

    def _loop(self, task: _Task, action: Action) -> int | None:
        body = next((edge.target for edge in action.edges if edge.kind == "body"), None)
        leave = next((edge.target for edge in action.edges if edge.kind == "exit"), None)
        if action.kind == "choice":  # the foot of a repeat
            head = body if body is not None else -1
            self._close(task, head)
            return leave
        if action.id in task.loops:
            self._close(task, action.id)
            return leave
        self._frames += 1
        task.loops[action.id] = self._frames
        task.frames.append(self._frames)
        limit = f", {action.limit} times at most" if action.limit is not None else ""
        self.items.append(Begin(self._frames, "loop", f"{action.mode}{limit}"))
        return body if body is not None else leave

    def _close(self, task: _Task, head: int) -> None:
        frame = task.loops.pop(head, None)
        if frame is not None:
            self.items.append(Finish(frame))
            task.frames.remove(frame)

    def _fork(self, task: _Task, action: Action) -> Generator[_Wait, Message | None, int | None]:
        joins = (self.actions[one] for one in task.process.actions if one > action.id)
        join = next((one.id for one in joins if one.kind == "join" and one.span == action.span), None)
        self._frames += 1
        frame = self._frames
        task.frames.append(frame)
        self.items.append(Begin(frame, "par", "the first one wins" if action.mode == "any" else "side by side"))
        for number, edge in enumerate(action.edges):
            if number:
                self.items.append(And(frame))
            arrived = yield from self._walk(task, edge.target, join)
            if not arrived and join is not None:
                return None  # a branch failed, and has led the process to its end
        if frame in task.frames:
            self.items.append(Finish(frame))
            task.frames.remove(frame)
        return _next(self.actions[join]) if join is not None else None

    # -------------------------------------------------------------------------------------------- data

    def _write(self, task: _Task, action: Action) -> None:
        self._note_undo(action)
        text = ", ".join(entity.text for entity in action.entities)
        self._remark(task.party, "write", f"writes {text}", action.region)
        self._written.append(action)
        for entity in action.entities:
            for process in dict.fromkeys(self.index.reacting(entity)):
                self._arrow(task.party, self._party(process), "change", f"change of {entity.text}", action.region)
                self._begin(process, task.depth + 1)

    def _note_undo(self, action: Action) -> None:
        if action.region == "compensation":
            if action.kind == "write":
                self.undone.append("writes " + ", ".join(entity.text for entity in action.entities))
            else:
                self.undone.append(action.message.name)

    # -------------------------------------------------------------------------------------------- standstill

    def _is_done(self) -> bool:
        flow = self.view.flow
        for goal in (flow.success, flow.failure):
            if goal is None:
                continue
            targets = [one if isinstance(one, Workflow) else one.message for one in goal.targets]
            met = [one in self.reached for one in targets]
            if (all(met) if goal.mode == "all" else any(met)) and met:
                return True
        return False

    def _helped(self) -> bool:
        """Nothing moves: the next turn of a poller, somebody outside, or a limit moves the flow on."""
        beyond = self.view.level != 0  # a flow whose start alone reaches the goal needs nobody else
        for action in self._written if beyond else ():
            for entity in action.entities:
                for process in self.index.polling(entity):
                    if process not in self._ran:
                        every = next((one.every for one in process.triggers if one.every is not None), None)
                        text = f"every {seconds_text(every)}" if every is not None else "its next turn"
                        self._remark(self._party(process), "wait", f"finds it ({text})")
                        self._begin(process, 0)
                        return True
        for _, wait in self._waiting if beyond else ():
            for message in wait.messages:
                if self._from_outside(message):
                    return True
        for task, wait in self._waiting:
            if wait.limited:
                self._waiting.remove((task, wait))
                self._ready.append(task)
                return True
        return False

    def _from_outside(self, message: Message) -> bool:
        """Whoever is outside the flow does the part that makes the message come."""
        for action in self.index.producers(message):
            process = action.process
            if process in self._ran or process.contract:
                continue
            if any(trigger.kind in {"entry", "timer"} for trigger in process.triggers):
                self._begin(process, 0)
                return True
            command = process.command
            if command is None:
                continue
            asking = [one.process for one in self.index.senders.get(command, ())]
            if all(any(trigger.kind == "entry" for trigger in one.triggers) for one in asking):
                source = self._party(asking[0]) if asking else self._outside()
                self._deliver(command, source, 0, "send", "main", process.service)
                return True
        if message.visibility == "external" and not self.index.producers(message):
            self._deliver(message, self._outside(), 0, "event", "main")
            return True
        return False

    # -------------------------------------------------------------------------------------------- what is seen

    def _party(self, process: Process) -> str:
        if process.workflow is None:
            return self._service(process.service)
        key = f"workflow {process.workflow.name}"
        self.parties.setdefault(key, Party(key, process.workflow.name, "workflow", process.service.name))
        return key

    def _service(self, service: Service) -> str:
        key = f"service {service.name}"
        self.parties.setdefault(key, Party(key, service.name, "external" if service.external else "service"))
        return key

    def _outside(self) -> str:
        self.parties.setdefault("outside", Party("outside", "outside", "outside"))
        return "outside"

    def _callee(self, action: Action, target: Process | None) -> str:
        if target is not None:
            return self._party(target)
        return self._service(action.use.service) if action.use.service is not None else self._outside()

    def _arrow(
        self, source: str, target: str, kind: ArrowKind, text: str, region: Region, *, failing: bool = False
    ) -> None:
        self._arrows += 1
        self.items.append(Arrow(self._arrows, source, target, kind, text, region, failing))

    def _reply(self, number: int, source: str, target: str, text: str, region: Region) -> None:
        self.items.append(Arrow(number, source, target, "reply", text, region, bool(text)))

    def _remark(self, party: str, kind: str, text: str, region: Region = "main") -> None:
        self.items.append(Remark(party, kind, text, region))


def _who(process: Process) -> str:
    return process.workflow.name if process.workflow is not None else process.service.name


def _next(action: Action, *kinds: str) -> int | None:
    for edge in action.edges:
        if edge.kind in (kinds or ("next", "ok", "exit", "branch", "failure", "compensate", "timeout")):
            return edge.target
    return None


def _nested(items: list[Item]) -> list[Item]:
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
