"""Workflows and handlers that wait: a control-flow graph becomes a machine whose local states are the places where it rests.

A local state is (where, tries used, slow, what is to be undone, who asked). A failure undoes the completed steps in reverse
order, then runs `on failure`; the branches of a `parallel` are machines of their own that report to their parent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING

from coordlint.explore.scene import in_loops
from coordlint.explore.spots import MOST_LOCAL, Run, Spot, TooLargeError, turn
from coordlint.explore.tables import Act, Component, Row, reach
from coordlint.system import Action, Edge, Process, Step

if TYPE_CHECKING:
    from coordlint.explore.compiler import Compiler

TRIES = 3
"""So many attempts of a call are told apart: one slow peer is one fault however many of them it outlasts."""


class Thread:
    """One thread: a process, or a branch of one.

    Attributes:
        number: of its component.
        process: what it runs.
        spots: the local states, in the order of their numbers.
    """

    def __init__(self, compiler: Compiler, number: int, process: Process, parent: Thread | None = None) -> None:
        self.compiler = compiler
        self.number = number
        self.process = process
        self.parent = parent
        self.actions = compiler.system.actions
        self.entry = process.start
        self.join = -1
        self.depth: int = 1 if parent is None else parent.depth + 1
        self.fork = -1
        self.branches: dict[int, list[Thread]] = {}
        self.spots: list[Spot] = []
        self.numbers: dict[Spot, int] = {}
        self.looped = in_loops(process, compiler.system)
        self.steps: list[Step] = process.steps
        self.step_numbers = {id(step): n for n, step in enumerate(self.steps)}
        self.failed = process.actions[1] if len(process.actions) > 1 else -1
        self.on_failure = self._block_entry("failure")
        self.on_timeout = next((e.target for e in self.actions[process.start].edges if e.kind == "timeout"), None)

    def _block_entry(self, region: str) -> int | None:
        """Where the process's own block of that kind begins: lowered right after the `failed` action."""
        block: list[int] = []
        for number in self.process.actions[2:]:
            if self.actions[number].region != region:
                break
            block.append(number)
        targeted = {edge.target for number in block for edge in self.actions[number].edges}
        return next((number for number in block if number not in targeted), None)

    @property
    def name(self) -> str:
        """How messages name it."""
        workflow = self.process.workflow
        return f"workflow `{workflow.name}`" if workflow is not None else f"`{self.process.service.name}`"

    # -------------------------------------------------------------------------------------------- what holds everywhere

    @cached_property
    def _forgets(self) -> tuple[str, ...] | None:
        return self.compiler.forgets(self)

    @cached_property
    def _guarded(self) -> tuple[bool, tuple[str, ...]]:
        return self.compiler.guarded(self.process)

    @cached_property
    def _durability(self) -> str:
        return self.compiler.durability(self.process)

    @cached_property
    def _triggers(self) -> list[tuple[int, int]]:
        return self.compiler.triggers(self.process, self.number)

    # -------------------------------------------------------------------------------------------- machine

    def build(self, component: Component) -> None:
        """Fill the component: every local state that the machine can come to."""
        first = Spot(("idle", -1))
        self.spots.append(first)
        self.numbers[first] = 0
        done = 0
        while done < len(self.spots):
            spot = self.spots[done]
            rows: dict[int, list[Row]] = {}
            acts: list[Act] = []
            self._leave(spot, rows, acts)
            component.rows.append({kind: tuple(dict.fromkeys(group)) for kind, group in rows.items()})
            component.acts.append(tuple(acts))
            done += 1
            if len(self.spots) > MOST_LOCAL:
                raise TooLargeError(self.process.name)
        if self.process.fact("on_unexpected").value == "fail":
            self._refuse(component)

    def _refuse(self, component: Component) -> None:
        """`on unexpected fail`: a message that comes before it is awaited stops the process with an error."""
        awaited: dict[int, str] = {}
        for action in self.compiler.system.actions_of(self.process, "await"):
            for use in action.uses:
                awaited.update(dict.fromkeys(self.compiler.arrivals(use.message, self.number), use.message.name))
        ways = reach(component)
        broken = self.at(Spot(("broken", -1)))
        for local, rows in enumerate(component.rows):
            for kind, name in awaited.items():
                later = any(
                    kind in component.rows[other] for other in range(component.size) if ways[local] >> other & 1
                )
                if later and kind not in rows:
                    text = f"{self.name} fails on `{name}`, which it does not wait for yet"
                    note = self.compiler.note(text, self.process.fact("on_unexpected").span or self.process.place)
                    rows[kind] = (Row(broken, note=note, error=True),)
        component.rows.append({})
        component.acts.append(())

    def at(self, spot: Spot) -> int:
        """The number of a local state."""
        if spot not in self.numbers:
            self.numbers[spot] = len(self.spots)
            self.spots.append(spot)
        return self.numbers[spot]

    def _leave(self, spot: Spot, rows: dict[int, list[Row]], acts: list[Act]) -> None:
        kind, number = spot.where
        if kind in {"idle", "arm"} or (kind == "parked" and number == 0 and self.fork in self.looped):
            self._start(spot, rows)
            if kind != "parked":
                return
        if self.parent is None:
            self._again(spot, rows)
        if kind == "call":
            self._call(spot, self.actions[number], rows, acts)
        elif kind == "await":
            self._await(spot, self.actions[number], rows, acts)
        elif kind == "timer":
            for run in self._after(self.actions[number], ("next",), spot):
                self._act(
                    acts,
                    spot,
                    run,
                    "late",
                    0,
                    f"the wait of `{' '.join(self.actions[number].span.text.split())}` is over",
                    number,
                )
        elif kind == "fork":
            self._gather(spot, number, rows)
        elif kind == "undoing":
            self._undoing(spot, number, rows)
        if self.parent is not None and kind not in {"lost", "twice"}:
            self._ordered_back(spot, rows)
        if kind in {"call", "await", "fork"}:
            self._crash(spot, acts)
            self._overall(spot, acts)

    def _row(
        self, rows: dict[int, list[Row]], kind: int, run: Run, text: str, at: int, facts: tuple[str, ...] = ()
    ) -> None:
        target = self.at(run.spot)
        if run.rare:
            note = self.compiler.note(f"{text}; it goes on a way that the design expects in 0% of all cases",
                                      self.actions[at].span, facts, run.trail)  # fmt: skip
            rows.setdefault(kind, []).append(Row(target, run.emits, 1, False, note, fault="rare"))
            return
        note = self.compiler.note(text, self.actions[at].span, facts, run.trail)
        rows.setdefault(kind, []).append(Row(target, run.emits, 0, False, note, run.spot.where[0] == "twice"))
        forgets = self._forgets
        kept = run.emits if forgets is None else tuple(one for one in run.emits if self.compiler.stays_inside(one))
        if forgets is not None and kept != run.emits:
            lost = self.compiler.note(f"{self.name} saves its progress, crashes, and never sends what follows",
                                      self.actions[at].span, forgets, run.trail)  # fmt: skip
            rows[kind].append(Row(target, kept, 1, False, lost))

    def _act(
        self, acts: list[Act], spot: Spot, run: Run, when: str, price: int, text: str, at: int, depth: int = -1
    ) -> None:
        if run.rare:
            return  # one move is one fault at most: right behind a timer or a crash, a branch of 0% is not taken
        note = self.compiler.note(text, self.actions[at].span, (), run.trail)
        target = self.at(run.spot)
        depth = self.depth * 2 + 1 if depth < 0 else depth
        acts.append(Act(target, run.emits, when, price, depth, note))  # type: ignore[arg-type]

    def _start(self, spot: Spot, rows: dict[int, list[Row]]) -> None:
        compiler = self.compiler
        if self.parent is not None:
            for run in self._from(self.entry, spot._replace(where=("idle", -1))):
                self._row(rows, compiler.internal("go", self), run, "the branch begins", self.entry)
            return
        needed = compiler.joined(self.process)
        for kind, caller in self._triggers:
            key = compiler.trigger_of(kind)
            what = self._on(kind)
            seen = frozenset(spot.extra) | {key}
            if needed and not needed <= seen:
                target = Spot(("arm", -1), extra=tuple(sorted(seen)))
                self._row(
                    rows, kind, Run(target, (), ()), f"{self.name} has heard it and waits for the rest", self.entry
                )
                continue
            for run in self._from(self.entry, Spot(("idle", -1), caller=caller)):
                self._row(rows, kind, run, f"{self.name} starts{what}", self.entry)

    def _on(self, kind: int) -> str:
        """What a service starts to work on; a workflow says it by its name."""
        return f" on `{self.compiler.out.tables.kinds[kind].name}`" if self.process.kind != "workflow" else ""

    def _again(self, spot: Spot, rows: dict[int, list[Row]]) -> None:
        """Its trigger comes again while it runs, or after it has ended."""
        compiler = self.compiler
        guarded, facts = self._guarded
        for kind, caller in self._triggers:
            what = self._on(kind)
            if (
                not guarded
                and spot.where[0] != "twice"
                and not compiler.joined(self.process)
                and not compiler.is_repeated(kind)
            ):
                run = Run(spot._replace(where=("twice", -1)), (), ())
                self._row(rows, kind, run, f"{self.name} starts a second time{what}", self.entry, facts)
            elif spot.where[0] in {"done", "failed"} and self.process.kind != "workflow" and compiler.is_repeated(kind):
                for run in self._from(self.entry, Spot(("idle", -1), caller=caller)):
                    self._row(rows, kind, run, f"{self.name} starts for the next one", self.entry)
            elif spot.where[0] in {"done", "failed"} and caller >= 0:
                emits = compiler.reply(caller, ok=spot.where[0] == "done")
                self._row(rows, kind, Run(spot, emits, ()), f"{self.name} repeats its answer", self.entry)

    # -------------------------------------------------------------------------------------------- waits

    def _call(self, spot: Spot, action: Action, rows: dict[int, list[Row]], acts: list[Act]) -> None:
        compiler = self.compiler
        name = action.message.name
        ok, refused = compiler.answers(action)
        for run in self._after(action, ("ok", "next", "compensate"), spot):
            self._row(rows, ok, run, f"{self.name} learns that `{name}` is done", action.id)
        failure = [edge for edge in action.edges if edge.kind == "failure"]
        request = compiler.request(action)
        if failure:
            for run in self._fail(action, failure[0], spot):
                self._row(rows, refused, run, f"{self.name} learns that `{name}` was refused", action.id)
        else:
            again = Run(spot, request, (action.id,))
            text = f"`{name}` was refused, and there is no way back: {self.name} asks again"
            self._row(rows, refused, again, text, action.id)
        limit = _attempts(action)
        if not compiler.has_timer(action):
            if limit > 1 and action.message.channel is None and spot.used < TRIES:
                again = Run(spot._replace(used=spot.used + 1, slow=True), request, (action.id,))
                what = f"`{name}` fails technically, although it may have been done: {self.name} asks again"
                self._act(acts, spot, again, "early", 0 if spot.slow else 1, what, action.id)
            return
        timeout = [edge for edge in action.edges if edge.kind == "timeout"]
        unlimited = math.isinf(limit) or not timeout
        text = f"`{name}` is not answered in time"
        most = 2 if unlimited else TRIES
        if unlimited or spot.used < min(limit, most):
            used = min(spot.used + 1, most)
            late = Run(spot._replace(used=used), request, (action.id,))
            self._act(acts, spot, late, "late", 0, f"{text}: {self.name} asks again", action.id)
            if not (unlimited and spot.used >= most):
                early = Run(spot._replace(used=used, slow=True), request, (action.id,))
                what = f"{text} although it may have arrived: {self.name} asks again"
                self._act(acts, spot, early, "early", 0 if spot.slow else 1, what, action.id)
            return
        for run in self._fail(action, timeout[0], spot):
            self._act(acts, spot, run, "late", 0, f"{text}: {self.name} gives up", action.id)
            what = f"{text} although it may have arrived: {self.name} gives up"
            self._act(acts, spot, run, "early", 0 if spot.slow else 1, what, action.id)

    def _await(self, spot: Spot, action: Action, rows: dict[int, list[Row]], acts: list[Act]) -> None:
        arms = [self.actions[edge.target] for edge in action.edges] if action.kind == "choice" else [action]
        for arm in arms:
            if arm.kind == "await":
                for use in arm.uses:
                    for kind in self.compiler.arrivals(use.message, self.number):
                        for run in self._after(arm, ("next",), spot):
                            run = run._replace(trail=(arm.id, *run.trail))
                            self._row(rows, kind, run, f"{self.name} gets `{use.message.name}` and goes on", arm.id)
            elif arm.kind == "timer":
                text = f"the limit of the wait expires: `{' '.join(arm.span.text.split())}`"
                timeout = [edge for edge in arm.edges if edge.kind == "timeout"]
                runs = self._fail(arm, timeout[0], spot) if timeout else self._after(arm, ("next",), spot)
                for run in list(runs):
                    self._act(acts, spot, run, "late", 0, text, arm.id)
                    self._act(acts, spot, run, "early", 1, f"{text}, although an answer may be on its way", arm.id)

    def _crash(self, spot: Spot, acts: list[Act]) -> None:
        if self.process.kind != "workflow":
            self._begin_anew(spot, acts)
            return
        state = self._durability
        action = self.actions[spot.where[1]]
        if state == "store" and action.kind == "call":
            text = f"the host of {self.name} crashes; it comes back and repeats `{action.message.name}`"
            self._act(acts, spot, Run(spot, self.compiler.request(action), ()), "crash", 1, text, action.id)
        elif state == "memory":
            text = f"the host of {self.name} crashes, and with it all that {self.name} knew"
            note = self.compiler.note(text, self.process.fact("state").span or self.process.place,
                                      self.compiler.volatile(self.process))  # fmt: skip
            target = self.at(Spot(("lost", -1), caller=spot.caller))
            acts.append(Act(target, (), "crash", 1, 0, note))

    def _begin_anew(self, spot: Spot, acts: list[Act]) -> None:
        """A handler acknowledges its message at the end: if its host crashes before, the message comes again."""
        triggers = self._triggers
        if self.parent is not None or spot.where[0] == "fork" or self.compiler.joined(self.process):
            return
        if any(caller == spot.caller and self.compiler.redelivers(kind) for kind, caller in triggers):
            text = f"the host of {self.name} crashes; the message comes again, and it begins anew"
            for run in self._from(self.entry, Spot(("idle", -1), caller=spot.caller)):
                self._act(acts, spot, run, "crash", 1, text, self.entry)

    def _overall(self, spot: Spot, acts: list[Act]) -> None:
        """The limit of the whole workflow; it fires only where no inner limit can."""
        process = self.process
        action = self.actions[spot.where[1]]
        if not self.compiler.has_limit(process) or process.kind != "workflow" or self.parent is not None:
            return
        if action.region != "main" or any(act.when in {"late", "early"} for act in acts):
            return
        undo = spot.undo
        if action.step is not None and action.step.compensation and undo is not None:
            undo = (*undo, self.step_numbers[id(action.step)])
        if spot.where[0] == "fork" and undo is not None:
            undo = (*undo, -2 - action.id)
        away = spot._replace(undo=undo)
        if self.on_timeout is not None:
            runs = list(self._from(self.on_timeout, away))
        else:
            runs = list(self._undo(away, (), (), self.on_failure))
        for run in runs:
            text = f"the limit of {self.name} expires: `{process.fact('timeout').text or 'timeout'}`"
            self._act(acts, spot, run, "late", 0, text, action.id, depth=self.depth * 2)
            what = f"{text}, although an answer may be on its way"
            self._act(acts, spot, run, "early", 1, what, action.id, depth=self.depth * 2)

    # -------------------------------------------------------------------------------------------- control flow

    def _after(self, action: Action, kinds: tuple[str, ...], spot: Spot) -> Iterator[Run]:
        """Go on behind an action that is done."""
        for edge in action.edges:
            if edge.kind in kinds:
                yield from self._along(action, edge, _rested(spot), (), (), frozenset())

    def _from(self, number: int, spot: Spot) -> Iterator[Run]:
        yield from self._walk(number, _rested(spot), (), (), frozenset())

    def _along(
        self,
        action: Action,
        edge: Edge,
        spot: Spot,
        emits: tuple[int, ...],
        trail: tuple[int, ...],
        seen: frozenset[int],
    ) -> Iterator[Run]:
        turns = turn(action, edge, spot.turns)
        if turns is None:
            return
        if edge.chance == 0:
            usual = edge._replace(chance=None)
            yield from (
                one._replace(rare=True) for one in self._along(action, usual, spot, emits, trail, seen) if not one.rare
            )
            return
        if turns != spot.turns:
            spot, seen = spot._replace(turns=turns), frozenset()
        target = self.actions[edge.target]
        step = action.step
        if step is not None and target.step is not step and edge.kind in {"ok", "next", "branch", "exit", "body"}:
            if action.region in {"main", "timeout"}:
                spot = self._completed(step, spot)
            elif action.region == "compensation" and id(step) in self.step_numbers:
                yield from self._undo(spot, emits, trail, self.on_failure)
                return
        if edge.kind == "compensate" and action.region == "compensation":
            yield from self._undo(spot, emits, trail, self.on_failure)
            return
        yield from self._walk(edge.target, spot, emits, trail, seen)

    def _completed(self, step: Step, spot: Spot) -> Spot:
        if spot.undo is None or id(step) not in self.step_numbers:
            return spot
        if step.fact("pivot", self.compiler.system).declared:
            return spot._replace(undo=())
        number = self.step_numbers[id(step)]
        if step.compensation and number not in spot.undo:
            return spot._replace(undo=(*spot.undo, number))
        return spot

    def _walk(
        self, number: int, spot: Spot, emits: tuple[int, ...], trail: tuple[int, ...], seen: frozenset[int]
    ) -> Iterator[Run]:
        """From an action to the next rest: one run for each way that is free to choose."""
        action = self.actions[number]
        if number in seen:
            return
        seen |= {number}
        trail = (*trail, number)
        kind = action.kind
        if number == self.join:
            yield self._finish(spot, emits, trail, ok=True)
        elif kind in {"end", "failed"}:
            yield self._finish(spot, emits, trail, ok=kind == "end")
        elif kind == "call":
            yield Run(spot._replace(where=("call", number)), emits + self.compiler.request(action), trail)
        elif kind in {"await", "timer"} or (kind == "choice" and action.mode == "await"):
            yield Run(spot._replace(where=("timer" if kind == "timer" else "await", number)), emits, trail)
        elif kind == "fork" and action.region == "compensation":
            yield from self._undo(spot, emits, trail, self.on_failure)
        elif kind == "fork":
            going = tuple(self.compiler.internal("go", one) for one in self.branches[number])
            yield Run(spot._replace(where=("fork", number), extra=(0, 0)), emits + going, trail)
        elif kind == "fail":
            if action.edges:
                yield from self._fail_over(action, action.edges[0], spot, emits, trail)
        else:
            published = self.compiler.published(action) if kind == "emit" else [()]
            if kind == "send":
                emits = emits + self.compiler.request(action)
            elif kind in {"read", "write"}:
                emits = emits + self.compiler.touched(action, emits)
                emits = emits + (self.compiler.changed(action) if kind == "write" else ())
            for heard in published:
                for edge in action.edges:
                    if edge.kind != "timeout":
                        yield from self._along(action, edge, spot, emits + heard, trail, seen)

    def _finish(self, spot: Spot, emits: tuple[int, ...], trail: tuple[int, ...], *, ok: bool) -> Run:
        if self.parent is not None:
            where = ("parked", 0 if ok else 1)
            report = (self.compiler.internal("done" if ok else "bad", self),)
            return Run(Spot(where, undo=spot.undo), emits + report, trail)
        emits = emits + (self.compiler.reply(spot.caller, ok=ok) if spot.caller >= 0 else ())
        emits = emits + (self.compiler.reached(self.process) if ok else ())
        return Run(Spot(("done" if ok else "failed", -1), undo=None, caller=spot.caller), emits, trail)

    # -------------------------------------------------------------------------------------------- failure

    def _fail(self, action: Action, edge: Edge, spot: Spot) -> Iterator[Run]:
        yield from self._fail_over(action, edge, _rested(spot), (), ())

    def _fail_over(
        self, action: Action, edge: Edge, spot: Spot, emits: tuple[int, ...], trail: tuple[int, ...]
    ) -> Iterator[Run]:
        """A failure: an own block answers it, or everything completed is undone."""
        target = self.actions[edge.target]
        undoes = target.region == "compensation" or edge.target in {self.on_failure, self.failed}
        if not undoes or spot.undo is None:
            yield from self._walk(edge.target, spot, emits, trail, frozenset())
            return
        step = action.step
        if edge.kind == "timeout" and step is not None and edge.target in step.compensation:
            spot = spot._replace(undo=(*(spot.undo or ()), self.step_numbers[id(step)]))
        if self.parent is not None:
            yield self._finish(spot, emits, trail, ok=False)
            return
        last = None if edge.target == self.failed else self.on_failure
        yield from self._undo(spot, emits, trail, last)

    def _undo(self, spot: Spot, emits: tuple[int, ...], trail: tuple[int, ...], last: int | None) -> Iterator[Run]:
        """Undo the latest of what is left to undo; when nothing is left, end in failure."""
        spot = spot._replace(turns=())
        if not spot.undo:
            if self.parent is not None:
                report = (self.compiler.internal("undone", self),)
                yield Run(Spot(("parked", 2), undo=None), emits + report, trail)
                return
            end = last if last is not None and last >= 0 else self.failed
            yield from self._walk(end, spot._replace(undo=None), emits, trail, frozenset())
            return
        item = spot.undo[-1]
        rest = spot._replace(undo=spot.undo[:-1])
        if item < -1:
            fork = -2 - item
            orders = tuple(self.compiler.internal("undo", one) for one in self.branches[fork])
            yield Run(rest._replace(where=("undoing", fork), extra=(0,)), emits + orders, trail)
            return
        block = self.steps[item].compensation
        inside = {
            e.target for number in block for e in self.actions[number].edges if self.actions[number].region != "main"
        }
        entries = [number for number in block if number not in inside and self.actions[number].region == "compensation"]
        yield from self._walk(entries[0] if entries else block[0], rest, emits, trail, frozenset())

    # -------------------------------------------------------------------------------------------- branches

    def in_order(self, fork: int) -> bool:
        """Whether the reports of the branches can be heard in their order: all of them are waited for, whatever they say."""
        return self.actions[fork].mode not in {"any", "interrupting"}

    def _gather(self, spot: Spot, fork: int, rows: dict[int, list[Row]]) -> None:
        """The parent waits for its branches to report; if it needs all of them, it hears them in their order.

        A report that comes before its turn waits. That makes no difference to the end, but a branch can then be ordered back
        only after it has reported itself, so that the branches need not be interleaved.
        """
        arrived, failed = spot.extra
        branches = self.branches[fork]
        any_ = self.actions[fork].mode == "any"
        for branch in branches[arrived : arrived + 1] if self.in_order(fork) else branches:
            for report, bad in (("done", 0), ("bad", 1)):
                kind = self.compiler.internal(report, branch)
                count, failures = arrived + 1, failed + bad
                going_on = (any_ and not bad) or (
                    count == len(branches) and not (failures if not any_ else failures == count)
                )
                text = f"{self.name} hears that a branch is {'done' if not bad else 'failing'}"
                if going_on:
                    undo = None if spot.undo is None else (*(n for n in spot.undo if n != -2 - fork), -2 - fork)
                    join = self.actions[branch.join]
                    for run in self._after(join, ("next",), spot._replace(undo=undo, extra=())):
                        self._row(rows, kind, run, text, fork)
                elif count == len(branches) or (bad and self.actions[fork].mode == "interrupting"):
                    undo = () if spot.undo is None else spot.undo
                    away = _rested(spot)._replace(undo=(*undo, -2 - fork), extra=())
                    for run in self._undo(away, (), (), self.on_failure):
                        self._row(rows, kind, run, text, fork)
                else:
                    more = Run(spot._replace(extra=(count, failures)), (), ())
                    self._row(rows, kind, more, text, fork)

    def _undoing(self, spot: Spot, fork: int, rows: dict[int, list[Row]]) -> None:
        (undone,) = spot.extra
        branches = self.branches[fork]
        for branch in branches[undone : undone + 1]:
            kind = self.compiler.internal("undone", branch)
            text = f"{self.name} hears that a branch is undone"
            if undone + 1 < len(branches):
                self._row(rows, kind, Run(spot._replace(extra=(undone + 1,)), (), ()), text, fork)
            else:
                for run in self._undo(_rested(spot)._replace(extra=()), (), (), self.on_failure):
                    self._row(rows, kind, run, text, fork)

    def _ordered_back(self, spot: Spot, rows: dict[int, list[Row]]) -> None:
        """A branch is told to undo what it did, also in the midst of it."""
        if spot.where == ("parked", 2):
            return
        kind = self.compiler.internal("undo", self)
        undo = spot.undo or ()
        if spot.where[0] == "fork":
            undo = (*undo, -2 - spot.where[1])
        elif spot.where[0] in {"call", "await"}:
            step = self.actions[spot.where[1]].step
            if self.actions[spot.where[1]].region == "compensation":
                return
            if step is not None and step.compensation and self.step_numbers[id(step)] not in undo:
                undo = (*undo, self.step_numbers[id(step)])
        for run in self._undo(_rested(spot)._replace(undo=undo), (), (), None):
            self._row(rows, kind, run, "the branch is to undo what it did", self.entry)


def _rested(spot: Spot) -> Spot:
    """The state without what belongs to the wait that is over."""
    return Spot(spot.where, undo=spot.undo, caller=spot.caller, turns=spot.turns)


def _attempts(action: Action) -> float:
    """How often the call is made in all; one attempt unless more are declared, or the step is one that has to succeed."""
    attempts, retries = action.fact("attempts"), action.fact("retries")
    if attempts.declared:
        return float(attempts.value)
    if retries.declared:
        return float(retries.value) + 1
    return math.inf if action.fact("retriable").declared else 1.0
