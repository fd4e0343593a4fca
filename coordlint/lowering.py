"""Statements become actions and edges: the lowering of one body to its control-flow graph.

What a failure does is made explicit here (section "What a failure does" of the language reference): every call has edges for
success, failure and timeout; a failure leads to the compensations of what is done already, latest first, then to ``on failure``;
after the pivot there is no way back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple, Protocol, cast

from coordlint import facts
from coordlint.source import Span
from coordlint.syntax import Clause, Name, Quantity, Ref, Text, Word
from coordlint.system import (
    Action,
    ActionKind,
    Edge,
    EdgeKind,
    EntityUse,
    Fact,
    MessageUse,
    Process,
    Region,
    Step,
    System,
)


class Names(facts.Names, Protocol):
    """What lowering needs from the resolver."""

    system: System
    prefix: str

    def event(self, ref: Ref, verb: str = "emits") -> MessageUse: ...
    def command(self, ref: Ref, verb: str) -> MessageUse: ...
    def failure_event(self, ref: Ref) -> MessageUse | None: ...
    def entity(self, ref: Ref) -> EntityUse: ...


_STATEMENTS = frozenset(
    "outcomes sends calls awaits waits reads writes acts step parallel either repeat for_each goto".split()
)


class _Exit(NamedTuple):
    """An edge that still lacks its target."""

    source: int
    kind: EdgeKind = "next"
    chance: float | None = None


class _Blocks(NamedTuple):
    """The entries of the blocks that answer a call's failure and timeout; None where there is none."""

    failure: int | None = None
    timeout: int | None = None


class Body:
    """Lowers one process.

    ``exits`` are the open ends, ``undo`` is where a failure goes on from here, ``compensated`` is the compensation of the step
    that is being lowered, ``heads`` are the entries of detached blocks.
    """

    def __init__(self, names: Names, process: Process) -> None:
        self.names = names
        self.process = process
        self.actions = names.system.actions
        names.system.processes.append(process)
        self.exits: list[_Exit] = []
        self.undo: int | None = None
        self.region: Region = "main"
        self.step: Step | None = None
        self.blocks = _Blocks()
        self.compensated: int | None = None
        self.heads: list[int | None] = []
        self.entries: dict[str, int] = {}
        self.jumps: list[tuple[int, Name]] = []
        self.named: dict[str, Span] = {}

    # -------------------------------------------------------------------------------------------- frame

    def begin(self, span: Span) -> None:
        """The start action."""
        self.add("start", span)

    def finish(self, span: Span) -> None:
        """The end action."""
        self.add("end", span)

    def run(self, clause: Clause) -> None:
        """The whole body of a handler or workflow."""
        span = self.process.place
        self.begin(span)
        start = self.exits
        self.exits = []
        self.undo = self.add("failed", span)
        self.exits = []
        on_failure = self._block(clause, "on_failure", "failure")
        for exit in self.exits:
            self.connect(exit, self.undo)
        if on_failure is not None:
            self.undo = on_failure
        self.exits = []
        on_timeout = self._block(clause, "on_timeout", "timeout")
        if on_timeout is not None:
            self.connect(_Exit(self.process.start, "timeout"), on_timeout)
        for exit in self.exits:
            self.connect(exit, self._failed())
        self.exits = start
        self._statements(clause.children())
        self.finish(span)
        self._resolve_jumps()

    def add(
        self,
        kind: ActionKind,
        span: Span,
        *,
        uses: tuple[MessageUse, ...] = (),
        facts: dict[str, Fact] | None = None,
        next: EdgeKind = "next",
    ) -> int:
        """A new action behind all open ends; it becomes the only open end."""
        action = Action(
            id=len(self.actions),
            kind=kind,
            process=self.process,
            span=span,
            region=self.region,
            step=self.step,
            uses=uses,
        )
        if facts:
            action.facts = facts
        self.actions.append(action)
        self.process.actions.append(action.id)
        if self.step is not None and self.region == "main":
            self.step.actions.append(action.id)
        for exit in self.exits:
            self.connect(exit, action.id)
        self.exits = [_Exit(action.id, next)]
        return action.id

    def connect(self, exit: _Exit, target: int) -> None:
        """Close an open end; the one that opens a detached block only notes where the block begins."""
        if exit.source < 0:
            self.heads[-1 - exit.source] = target
            return
        self.actions[exit.source].edges.append(Edge(target, exit.kind, exit.chance))

    def _block(self, clause: Clause, kind: str, region: Region) -> int | None:
        """Lower that block of a body, detached; its id of entry, its open ends in ``exits`` (cleared if there is none)."""
        self.exits = []
        block = next(clause.children(kind), None)
        if block is None:
            return None
        entry = self._detached(block.children(), region)
        if entry is None:  # an empty block is an answer too: go on
            before, self.region = self.region, region
            entry = self.add("choice", block.head)
            self.region = before
        return entry

    def _detached(self, statements: Iterable[Clause], region: Region) -> int | None:
        """Lower statements that no open end leads to; the id of the first action, or None if there is none."""
        before, self.region = self.region, region
        self.heads.append(None)
        number = len(self.heads)
        self.exits = [_Exit(-number)]
        self._statements(statements)
        self.region = before
        entry = self.heads[number - 1]
        if entry is None:
            self.exits = []
        return entry

    def _resolve_jumps(self) -> None:
        for source, name in self.jumps:
            target = self.entries.get(name.text)
            if target is not None:
                self.connect(_Exit(source), target)
                continue
            from coordlint.names import closest

            meant = closest(name.text, sorted(self.entries))
            help = f"did you mean `{meant}`?" if meant else "name a step of this workflow"
            self.names.report("REF001", name.span, f"there is no step `{name.text}` in {self.process.name}", help)

    # -------------------------------------------------------------------------------------------- statements

    def _statements(self, clauses: Iterable[Clause]) -> None:
        for clause in clauses:
            if clause.kind in _STATEMENTS:
                getattr(self, f"_{clause.kind}")(clause)

    def _outcomes(self, clause: Clause) -> None:
        outcomes = [value for value in clause.values if isinstance(value, Clause)]
        if len(outcomes) == 1:
            self._outcome(outcomes[0])
            return
        chances = [facts.chance(outcome, self.names) for outcome in outcomes]
        self._check_chances(chances, clause)
        choice = self.add("choice", clause.span)
        exits: list[_Exit] = []
        for outcome, chance in zip(outcomes, chances, strict=True):
            self.exits = [_Exit(choice, "branch", chance)]
            self._outcome(outcome)
            exits += self.exits
        self.exits = exits

    def _check_chances(self, chances: list[float | None], clause: Clause) -> None:
        total = sum(chance for chance in chances if chance is not None)
        if total > 1 + 1e-9:
            text = f"the chances add up to {total * 100:g}%"
            self.names.report("REF003", clause.span, text, "exactly one outcome happens: give at most 100% in all")

    def _outcome(self, clause: Clause) -> None:
        if clause.kind in {"emits", "also"}:
            for ref in clause.every(Ref):
                self.add("emit", ref.span, uses=(self.names.event(ref),))
        elif clause.kind == "succeeds":
            self.add("succeed", clause.span)
        else:
            self._fails(clause)

    def _fails(self, clause: Clause) -> None:
        ref = clause.first(Ref)
        text = ""
        if ref is not None:
            use = self.names.failure_event(ref)
            if use is None:
                text = ref.text
            else:
                emit = self.add("emit", ref.span, uses=(use,))
                self.actions[emit].failure = True
        fail = self.add("fail", clause.span)
        self.actions[fail].text = text
        self._go_back(_Exit(fail, "failure"))
        self.exits = []

    def _go_back(self, exit: _Exit) -> None:
        """A failure: what is done already is undone, unless the pivot has passed."""
        target = self.undo if self.undo is not None else self._failed()
        self.connect(exit, target)

    def _failed(self) -> int:
        return next(i for i in self.process.actions if self.actions[i].kind == "failed")

    def _reads(self, clause: Clause) -> None:
        self._access("read", clause)

    def _writes(self, clause: Clause) -> None:
        self._access("write", clause)

    def _access(self, kind: Literal["read", "write"], clause: Clause) -> None:
        entities = tuple(self.names.entity(ref) for ref in clause.every(Ref))
        self.actions[self.add(kind, clause.span)].entities = entities

    def _acts(self, clause: Clause) -> None:
        text = clause.first(Text)
        self.actions[self.add("act", clause.span)].text = text.text if text else ""

    def _waits(self, clause: Clause) -> None:
        delay = clause.first(Quantity)
        assert delay is not None
        self.actions[self.add("timer", clause.span)].delay = facts.positive(delay, self.names)

    def _goto(self, clause: Clause) -> None:
        jump = self.add("choice", clause.span)
        self.actions[jump].mode = "goto"
        self.jumps.append((jump, clause.name))
        self.exits = []

    # -------------------------------------------------------------------------------------------- calls and steps

    def _sends(self, clause: Clause) -> None:
        after = clause.child("sends_after")
        delay = after.first(Quantity) if after else None
        action = self._interaction("send", clause, "sends")
        if delay is not None:
            self.actions[action].delay = facts.positive(delay, self.names)

    def _calls(self, clause: Clause) -> None:
        self._interaction("call", clause, "calls")

    def _interaction(self, kind: Literal["send", "call"], clause: Clause, verb: str) -> int:
        ref = clause.first(Ref)
        assert ref is not None
        outside = self.step
        if outside is None:
            self.step = Step(name="", span=clause.span, place=clause.head, process=self.process)
            if self.region == "main":
                self.process.steps.append(self.step)
        use = self.names.command(ref, verb)
        own = facts.read(clause.children(), self.names, what=f"the call of `{ref.text}`")
        incoming = self.exits
        compensated = self._compensation(clause)
        blocks, block_exits = self._answers(clause)
        self.exits = incoming
        action = self.add(kind, clause.head, uses=(use,), facts=own, next="ok" if kind == "call" else "next")
        if kind == "call":
            self._failure_edges(action, blocks, compensated if compensated is not None else self.compensated)
        self.exits += block_exits
        self._settle(compensated, own)
        self.step = outside
        return action

    def _answers(self, clause: Clause) -> tuple[_Blocks, list[_Exit]]:
        """The call's own failure and timeout blocks and fallback, or those of its step; and their open ends."""
        on_failure = self._block(clause, "on_failure", "failure")
        exits = self.exits
        fallback = self._block(clause, "fallback", "fallback")
        exits = exits + self.exits
        on_timeout = self._block(clause, "on_timeout", "timeout")
        exits = exits + self.exits
        self.exits = []
        failure = fallback if fallback is not None else on_failure
        return _Blocks(
            failure if failure is not None else self.blocks.failure,
            on_timeout if on_timeout is not None else (failure if failure is not None else self.blocks.timeout),
        ), exits

    def _failure_edges(self, action: int, blocks: _Blocks, compensated: int | None) -> None:
        optional = self.actions[action].fact("optional").declared
        undo = None if self.region == "compensation" else self.undo
        if blocks.failure is not None:
            self.connect(_Exit(action, "failure"), blocks.failure)
        elif optional:
            self.exits.append(_Exit(action, "failure"))
        elif undo is not None:
            self.connect(_Exit(action, "failure"), undo)
        if not self.actions[action].fact("timeout").declared:
            return
        if blocks.timeout is not None:
            self.connect(_Exit(action, "timeout"), blocks.timeout)
        elif optional:
            self.exits.append(_Exit(action, "timeout"))
        elif undo is not None:
            # What timed out may have happened: it is undone too.
            own = compensated if self.region == "main" else None
            self.connect(_Exit(action, "timeout"), own if own is not None else undo)

    def _compensation(self, clause: Clause) -> int | None:
        """Lower its ``compensate``, leading on to what was to be undone before; the id of its entry."""
        block = next(clause.children("compensate"), None)
        if block is None:
            return None
        ref = block.first(Ref)
        statements: Iterable[Clause] = block.children()
        if ref is not None:
            statements = (Clause("calls", block.span, ref.span, block.values, block.body),)
        first = len(self.actions)
        step, undo, blocks = self.step, self.undo, self.blocks
        self.blocks = _Blocks()
        entry = self._detached(statements, "compensation")
        if step is not None:
            step.compensation += range(first, len(self.actions))
        self.step, self.undo, self.blocks = step, undo, blocks
        if entry is not None:
            for exit in self.exits:
                self.connect(exit._replace(kind="compensate"), undo if undo is not None else self._failed())
        self.exits = []
        return entry

    def _settle(self, compensated: int | None, own: dict[str, Fact]) -> None:
        """What a failure from here on has to undo."""
        if self.region != "main":
            return
        if "pivot" in own:
            self.undo = None
        elif compensated is not None and self.undo is not None:
            self.undo = compensated

    def _step(self, clause: Clause) -> None:
        name = clause.name
        if name.text in self.named:
            text = f"{self.process.name} has two steps `{name.text}`"
            self.names.report("REF002", name.span, text, "rename one of them", self.named[name.text])
        self.named.setdefault(name.text, name.span)
        own = facts.read(clause.children(), self.names, what=f"step `{name.text}`")
        outside, outer_blocks, outer_compensated = self.step, self.blocks, self.compensated
        step = Step(name=name.text, span=clause.span, place=name.span, process=self.process, facts=own)
        self.step = step
        self.process.steps.append(step)
        incoming = self.exits
        compensated = self._compensation(clause)
        self.blocks, block_exits = self._answers(clause)
        self.compensated = compensated
        self.exits = incoming
        entry = len(self.actions)
        self._statements(clause.children())
        if len(self.actions) == entry:
            self.add("choice", name.span)  # a step without a statement still is a place to go to
        self.entries.setdefault(name.text, self._entry_of(step, entry))
        self.exits = self.exits + block_exits
        self.step, self.blocks, self.compensated = outside, outer_blocks, outer_compensated
        self._settle(compensated, own)

    def _entry_of(self, step: Step, default: int) -> int:
        return step.actions[0] if step.actions else default

    # -------------------------------------------------------------------------------------------- waits

    def _awaits(self, clause: Clause) -> None:
        by = facts.keys(clause)
        if clause.body is not None:
            self._await_arms(clause, by)
            return
        within = facts.within(clause, self.names)
        if within.unknown and self.step is not None:
            within = self.step.facts.get("timeout", within)
        choice = self.add("choice", clause.span) if within.declared else None
        if choice is not None:
            self.actions[choice].mode = "await"
            self.exits = [_Exit(choice, "branch")]
        self._await(clause, clause.every(Ref), within, by)
        after = self.exits
        if choice is not None:
            self.exits = [_Exit(choice, "branch")]
            timer = self.add("timer", within.span or clause.span)
            self.actions[timer].delay = within.value
            if self.blocks.timeout is not None:
                self.connect(_Exit(timer, "timeout"), self.blocks.timeout)
            elif self.compensated is not None and self.undo is not None and self.region == "main":
                # What was asked for may have happened: it is undone too.
                self.connect(_Exit(timer, "timeout"), self.compensated)
            else:
                self._go_back(_Exit(timer, "timeout"))
        self.exits = after

    def _await(self, clause: Clause, refs: tuple[Ref, ...], within: Fact, by: tuple[str, ...]) -> None:
        uses = tuple(self.names.message(ref) for ref in refs)
        action = self.actions[self.add("await", clause.head, uses=uses)]
        action.within, action.by = within, by

    def _await_arms(self, clause: Clause, by: tuple[str, ...]) -> None:
        arms = list(clause.children("arm", "arm_within"))
        limit = next((arm.first(Quantity) for arm in arms if arm.kind == "arm_within"), None)
        within = facts.declared(facts.positive(limit, self.names), limit.span) if limit else Fact()
        choice = self.add("choice", clause.head)
        self.actions[choice].mode = "await"
        exits: list[_Exit] = []
        undos: list[int | None] = []
        undo = self.undo
        for arm in arms:
            self.exits = [_Exit(choice, "branch")]
            self.undo = undo
            if arm.kind == "arm":
                self._await(arm, arm.every(Ref), within, by)
            else:
                timer = self.actions[self.add("timer", arm.head)]
                timer.delay = within.value
            self._statements(arm.children())
            if self.exits:
                exits += self.exits
                undos.append(self.undo)
        self.undo = undo
        self._merge_undo(undos, "choice")
        self.exits = exits

    # -------------------------------------------------------------------------------------------- branches and loops

    def _parallel(self, clause: Clause) -> None:
        word = clause.first(Word)
        fork = self.add("fork", clause.head)
        mode = word.text if word else "all"
        self.actions[fork].mode = mode
        branches = [one for one in clause.children() if one.kind != "note"]
        if not branches:
            return
        exits, undos = self._branches(
            (one.children() if one.kind == "branch" else (one,), _Exit(fork, "branch")) for one in branches
        )
        self._merge_undo(undos, "fork")
        # The join waits for every branch: behind one that never arrives there is nothing, unless the first one wins.
        self.exits = exits if mode == "any" or len(undos) == len(branches) else []
        join = self.add("join", clause.head)
        self.actions[join].mode = mode

    def _either(self, clause: Clause) -> None:
        choices = [value for value in clause.values if isinstance(value, Clause) and value.kind == "choice"]
        chances = [facts.chance(one, self.names) for one in choices]
        self._check_chances(chances, clause)
        choice = self.add("choice", clause.span)
        exits, undos = self._branches(
            (one.children(), _Exit(choice, "branch", chance)) for one, chance in zip(choices, chances, strict=True)
        )
        self._merge_undo(undos, "choice")
        self.exits = exits

    def _branches(self, branches: Iterable[tuple[Iterable[Clause], _Exit]]) -> tuple[list[_Exit], list[int | None]]:
        """Lower branches side by side: their open ends, and what each would have to undo."""
        exits: list[_Exit] = []
        undos: list[int | None] = []
        undo = self.undo
        for statements, entry in branches:
            self.exits = [entry]
            self.undo = undo
            self._statements(statements)
            if len(self.exits) > 1 and self.actions[entry.source].kind == "fork":
                # A join waits for each of its predecessors, so a branch has to arrive by one edge.
                merge = self.add("choice", self.actions[self.exits[0].source].span)
                self.actions[merge].mode = "merge"
            if self.exits:
                exits += self.exits
                undos.append(self.undo)
        self.undo = undo
        return exits, undos

    def _merge_undo(self, undos: list[int | None], kind: Literal["fork", "choice"]) -> None:
        """After branches: undo what each branch did, side by side (``fork``) or of the one that ran (``choice``)."""
        if None in undos:
            self.undo = None
            return
        heads = sorted(cast("set[int]", set(undos)))
        if kind == "fork":
            heads = [head for head in heads if head != self.undo]
        if not heads or heads == [self.undo]:
            return
        if len(heads) == 1:
            self.undo = heads[0]
            return
        exits, region, step = self.exits, self.region, self.step
        self.exits, self.region, self.step = [], "compensation", None
        merged = self.add(kind, self.process.place)
        for head in heads:
            self.connect(_Exit(merged, "compensate"), head)
        self.exits, self.region, self.step = exits, region, step
        self.undo = merged

    def _repeat(self, clause: Clause) -> None:
        limit = clause.child("repeat_limit")
        number = limit.first(Quantity) if limit else None
        loop = self.add("loop", clause.head, next="body")
        self.actions[loop].mode = "repeat"
        self.actions[loop].limit = facts.count(number, self.names) if number else None
        self._statements(clause.children())
        again = self.add("choice", clause.head, next="exit")
        self.actions[again].mode = "repeat"
        self.connect(_Exit(again, "body"), loop)

    def _for_each(self, clause: Clause) -> None:
        parallel = clause.child("in_parallel")
        number = parallel.first(Quantity) if parallel else None
        loop = self.add("loop", clause.head, next="body")
        self.actions[loop].mode = "for each in parallel" if parallel else "for each"
        self.actions[loop].limit = facts.count(number, self.names) if number else None
        self._statements(clause.children())
        for exit in self.exits:
            self.connect(exit, loop)
        self.exits = [_Exit(loop, "exit")]
