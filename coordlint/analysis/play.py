"""Plays one instance of a flow through the processes of a design, one decision after the other, and notes what is seen."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING

from coordlint.analysis.latency import seconds_text
from coordlint.analysis.record import And, ArrowKind, Begin, Finish, Record, Turn, nested
from coordlint.analysis.tasks import Preferences, Sent, Task, Wait, actor, following
from coordlint.system import Action, Edge, Message, Process, Region, Service, Workflow

if TYPE_CHECKING:
    from coordlint.analysis.flows import FlowView

MOST_ITEMS = 400
"""A path longer than this is cut."""
MOST_RUNS = 2
"""How often one message starts one process in a path: cycles shall not be followed for ever."""

_ON = ("ok", "next", "exit", "compensate")
"""The edges by which a process goes on after a call that was answered."""

_START = -1
"""Stands for the start of the flow among the actions where a path can turn."""


class Play(Record):
    """One run. What has been seen is in ``items``, ``parties``, ``turns``, ``reached``, ``undone``, ``depth`` and ``stuck``.

    Args:
        view: the flow.
        preferred: which way choices go.
        forced: by action id, the target to go to when the action is come to for the first time.
    """

    def __init__(self, view: FlowView, preferred: Preferences, forced: dict[int, int]) -> None:
        super().__init__()
        self.view = view
        self.index = view.causality.index
        self.actions = view.causality.system.actions
        self.preferred = preferred
        self.forced = dict(forced)
        self.turns: list[Turn] = []
        self.reached: set[Message | Workflow] = set()
        self.undone: list[str] = []
        self.depth = 0
        self.stuck = ""
        self._ready: deque[Task] = deque()
        self._waiting: list[tuple[Task, Wait]] = []
        self._sent: list[Sent] = []
        self._runs: dict[tuple[Process, str], int] = {}
        self._ran: set[Process] = set()
        self._joined: dict[Process, set[Message]] = {}
        self._written: list[Action] = []

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
        self.items = nested(self.items)

    # -------------------------------------------------------------------------------------------- the start

    def _start(self) -> None:
        flow = self.view.flow
        if not flow.starts:
            return
        chosen = self.forced.pop(_START, self.preferred.chosen.get(_START, 0))
        start = flow.starts[chosen]
        for number, other in enumerate(flow.starts):
            if number != chosen:
                name = other.name if isinstance(other, Workflow) else other.message.name
                self.turns.append(Turn(_START, number, f"it starts with `{name}`", False))
        if isinstance(start, Workflow):
            self.remark(self.party(start.process), "info", f"{start.process.name} starts")
            self._begin(start.process, 0)
            return
        source = self.service(flow.source) if flow.source is not None else self.outside()
        asks = any(
            action.kind == "call" and action.process.service is flow.source
            for action in self.index.senders.get(start.message, ())
        )
        kind: ArrowKind = "event" if start.message.kind == "event" else "call" if asks else "send"
        self._deliver(start.message, source, 0, kind, "main", start.service)

    # -------------------------------------------------------------------------------------------- tasks

    def _begin(self, process: Process, depth: int, asked: tuple[int, str] | None = None, by: str = "") -> Task | None:
        if self._runs.get((process, by), 0) >= MOST_RUNS:
            self.remark(self.party(process), "info", "and so on")
            return None
        self._runs[process, by] = self._runs.get((process, by), 0) + 1
        self._ran.add(process)
        self.depth = max(self.depth, depth)
        task = Task(process, self.party(process), depth, asked=asked, heard=len(self._sent))
        task.body = self._body(task)
        self._ready.append(task)
        return task

    def _advance(self, task: Task) -> None:
        """Run a task until it has to wait or ends; then whoever waits for it goes on."""
        assert task.body is not None
        resume, task.resume = task.resume, None
        try:
            wait = task.body.send(resume)
        except StopIteration:
            if task.asked is not None and task.outcome:
                number, party = task.asked
                self.reply(number, task.party, party, "failed" if task.outcome == "failed" else "", "main")
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

    def _body(self, task: Task) -> Generator[Wait, Message | None, None]:
        yield from self._walk(task, task.process.start, None)
        for frame in reversed(task.frames):
            self.items.append(Finish(frame))
        task.frames.clear()

    def _walk(self, task: Task, node: int | None, until: int | None) -> Generator[Wait, Message | None, bool]:
        """Follow a process; whether the action ``until`` was arrived at."""
        while node is not None and len(self.items) <= MOST_ITEMS:
            if node == until:
                return True
            node = yield from self._do(task, self.actions[node])
        return False

    def _do(self, task: Task, action: Action) -> Generator[Wait, Message | None, int | None]:
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
            self.remark(
                task.party,
                "wait",
                f"waits {seconds_text(action.delay)}" if action.delay is not None else "waits",
                action.region,
            )
        elif kind == "write":
            self._write(task, action)
        elif kind == "act":
            self.remark(task.party, "act", action.text, action.region)
        elif kind == "fail":
            self.remark(task.party, "fail", f"fails: {action.text}" if action.text else "fails", action.region)
            self._leave_frames(task)
        return following(action)

    def _at_start(self, task: Task, action: Action) -> int | None:
        late = next((edge.target for edge in action.edges if edge.kind == "timeout"), None)
        if late is not None:
            limit = task.process.fact("timeout")
            text = f"`{actor(task.process)}` takes longer than its {limit.text or 'timeout'}"
            if self.forced.get(action.id) == late:
                del self.forced[action.id]
                self.remark(task.party, "wait", "its time runs out")
                return late
            self.turns.append(Turn(action.id, late, text, True))
        return next((edge.target for edge in action.edges if edge.kind != "timeout"), None)

    def _leave_frames(self, task: Task) -> None:
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
        self._sent.append(Sent(message, party, depth, message.name, region))
        heard = False
        for task, wait in [one for one in self._waiting if message in one[1].messages]:
            self._waiting.remove((task, wait))
            task.resume = message
            task.heard = len(self._sent)
            task.depth = max(task.depth, depth + 1)
            self.depth = max(self.depth, task.depth)
            self.arrow(party, task.party, "event" if kind == "event" else "send", message.name, region)
            self._ready.append(task)
            heard = True
        for process in self._targets(message, service):
            self.arrow(party, self.party(process), kind, message.name, region)
            heard = True
            if self._complete(process, message):
                self._begin(process, depth + 1, (self.arrows, party) if kind == "call" else None, message.name)
        if not heard and service is not None:
            self.arrow(party, self.service(service), kind, message.name, region)
        elif not heard:
            verb = "publishes" if kind == "event" else "sends"
            self.remark(party, "event", f"{verb} {message.name}", region)

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
        self.remark(self.party(process), "wait", "waits for the rest")
        return False

    def _call(self, task: Task, action: Action) -> Generator[Wait, Message | None, int | None]:
        self._note_undo(action)
        name, service = action.message.name, action.use.service
        target = next(self._targets(action.message, service), None)
        self.reached.add(action.message)
        forced = self.forced.pop(action.id, None)
        before, party = self.arrows + 1, self._callee(action, target)
        if forced is not None:
            edge = next(one for one in action.edges if one.target == forced)
            late = edge.kind == "timeout"
            self.arrow(task.party, party, "call", name, action.region, failing=True)
            self.remark(task.party, "fail", "no answer in time" if late else "the call fails", action.region)
            self._leave_frames(task)
            return forced
        self.arrow(task.party, party, "call", name, action.region)
        self._call_turns(action, target, party)
        if target is None:
            self.reply(before, party, task.party, "", action.region)
            return following(action, *_ON)
        child = self._begin(target, task.depth + 1, by=name)
        if child is not None:
            yield Wait(child=child)
            task.depth = max(task.depth, child.depth)
        if child is None or child.outcome != "failed":
            self.reply(before, party, task.party, "", action.region)
            return following(action, *_ON)
        self.reply(before, party, task.party, "failed", action.region)
        failing = next((edge.target for edge in action.edges if edge.kind == "failure"), None)
        if failing is None:
            self.remark(task.party, "fail", "nothing answers this failure", action.region)
            self.stuck = self.stuck or f"nothing answers the failure of `{name}`"
            return None
        self._leave_frames(task)
        return failing

    def _callee(self, action: Action, target: Process | None) -> str:
        if target is not None:
            return self.party(target)
        return self.service(action.use.service) if action.use.service is not None else self.outside()

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
            who = f"`{actor(action.process)}`'s call of `{self.parties[party].name}.{action.message.name}`"
            self.turns.append(Turn(action.id, place, f"{who} {words}", True))

    def _await(self, task: Task, action: Action, edges: Iterable[Edge]) -> Generator[Wait, Message | None, int | None]:
        """Wait for one of the messages of an await, or of the arms of a choice between awaits."""
        arms: dict[Message, int | None] = {}
        timer: int | None = None
        if action.kind == "await":
            arms = dict.fromkeys((use.message for use in action.uses), following(action))
        else:
            for edge in edges:
                arm = self.actions[edge.target]
                if arm.kind == "await":
                    for use in arm.uses:
                        arms.setdefault(use.message, following(arm))
                elif timer is None:
                    timer = arm.id
        names = " or ".join(f"`{message.name}`" for message in arms)
        if timer is not None:
            if self.forced.get(action.id) == timer:
                del self.forced[action.id]
                self._leave_frames(task)
                return timer
            self.turns.append(Turn(action.id, timer, f"`{actor(task.process)}` waits for {names} in vain", True))
        for number in range(task.heard, len(self._sent)):
            sent = self._sent[number]
            if sent.message in arms:
                task.heard = number + 1
                self.arrow(sent.party, task.party, "event", sent.text, sent.region)
                return arms[sent.message]
        came = yield Wait(tuple(arms), limited=timer is not None)
        if came is None:
            return timer
        return arms[came]

    # -------------------------------------------------------------------------------------------- control

    def _choose(self, task: Task, action: Action) -> int | None:
        if action.kind == "loop" or action.mode == "repeat":
            return self._loop(task, action)
        if len(action.edges) < 2:
            return following(action)
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
        who = f"`{actor(action.process)}`"
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

    def _loop(self, task: Task, action: Action) -> int | None:
        body = next((edge.target for edge in action.edges if edge.kind == "body"), None)
        leave = next((edge.target for edge in action.edges if edge.kind == "exit"), None)
        if action.kind == "choice":  # the foot of a repeat
            head = body if body is not None else -1
            self._close(task, head)
            return leave
        if action.id in task.loops:
            self._close(task, action.id)
            return leave
        self.frames += 1
        task.loops[action.id] = self.frames
        task.frames.append(self.frames)
        limit = f", {action.limit} times at most" if action.limit is not None else ""
        self.items.append(Begin(self.frames, "loop", f"{action.mode}{limit}"))
        return body if body is not None else leave

    def _close(self, task: Task, head: int) -> None:
        frame = task.loops.pop(head, None)
        if frame is not None:
            self.items.append(Finish(frame))
            task.frames.remove(frame)

    def _fork(self, task: Task, action: Action) -> Generator[Wait, Message | None, int | None]:
        joins = (self.actions[one] for one in task.process.actions if one > action.id)
        join = next((one.id for one in joins if one.kind == "join" and one.span == action.span), None)
        self.frames += 1
        frame = self.frames
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
        return following(self.actions[join]) if join is not None else None

    # -------------------------------------------------------------------------------------------- data

    def _write(self, task: Task, action: Action) -> None:
        self._note_undo(action)
        text = ", ".join(entity.text for entity in action.entities)
        self.remark(task.party, "write", f"writes {text}", action.region)
        self._written.append(action)
        for entity in action.entities:
            for process in dict.fromkeys(self.index.reacting(entity)):
                self.arrow(task.party, self.party(process), "change", f"change of {entity.text}", action.region)
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
                        self.remark(self.party(process), "wait", f"finds it ({text})")
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
                source = self.party(asking[0]) if asking else self.outside()
                self._deliver(command, source, 0, "send", "main", process.service)
                return True
        if message.visibility == "external" and not self.index.producers(message):
            self._deliver(message, self.outside(), 0, "event", "main")
            return True
        return False
