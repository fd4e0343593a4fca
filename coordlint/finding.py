"""A finding is a value: what a rule states about a design, where, how sure, and how to answer it."""

from __future__ import annotations

import os.path
import posixpath
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from coordlint.source import Edit, Span

PROFILES = ("default", "strict", "production")
"""The profiles in the order of a rule's severity triple."""

LEVEL_WORDS = ("error", "warning", "info", "hint")
"""The severities as users write them, the worst first."""


class Severity(IntEnum):
    """How much a finding matters; larger is worse."""

    HINT = 1
    INFO = 2
    WARNING = 3
    ERROR = 4

    @property
    def label(self) -> str:
        """The word for people and reports: `hint`, `info`, `warning` or `error`."""
        return self.name.lower()


class Label(NamedTuple):
    """A place in a source and what is to be seen there; the text may be empty."""

    span: Span
    text: str = ""


class Fix(NamedTuple):
    """Edits that answer a finding. A safe fix keeps the meaning; any other wants to be confirmed by the author."""

    title: str
    edits: tuple[Edit, ...]
    safe: bool = False


KINDS_OF_FAULTS = ("copy", "lose", "park", "forget", "omission", "overtake", "early", "crash", "publish", "rare")
"""The names of the faults that a run may have."""

LOST = frozenset({"lose", "park", "forget"})
"""The moves by which a message does not arrive."""


class Effect(NamedTuple):
    """What has become of an action so far in a run: one entry of a ledger.

    Attributes:
        action: the name of the command or event that asks for it.
        by: who executes it.
        executed: how often it was executed; 2 stands for more as well.
        undone: how often it was undone, likewise.
        state: `done`, `refused`, `undone`; `cancelled` if its compensation came first and a late one will be refused, `overtaken`
            if it came first and nothing remembers that, `late` if it was done behind such a compensation.
        source: what it follows or who asks for it, such as `after OrderPlaced`, where each makes an occurrence of its own.
        key: tells it apart from the other entries of the run.
    """

    action: str
    by: str
    executed: int
    undone: int
    state: str
    source: str = ""
    key: tuple[int, int] = (0, 0)


class Step(NamedTuple):
    """A step of a run.

    Attributes:
        number: from 1.
        move: deliver, drop, late, free, a kind of fault, or rest where nothing happens any more.
        sender, receiver: who takes part; the sender is empty where nobody is known.
        message: what is delivered; empty for a timer or a crash.
        text: one sentence.
        span: the statement.
        fault: whether it is one of the faults.
        copy_of: the step in which the same message came first, or that sent it first; 0 if this is the first one.
        reply: `done` or `refused` where the message is the answer to a call.
        sent: the step that sent the message; 0 if it was there from the beginning.
        bad: whether the property is violated here.
        ledger: the actions whose executions, compensations, refusals or cancellations this step changes, as they are behind it.
    """

    number: int
    move: str
    sender: str
    receiver: str
    message: str
    text: str
    span: Span
    fault: bool
    copy_of: int
    reply: str = ""
    sent: int = 0
    bad: bool = False
    ledger: tuple[Effect, ...] = ()


class Run(NamedTuple):
    """A counterexample: a run of the design's model in which a property does not hold.

    Attributes:
        property: `B1` to `B21`.
        scene: what was run, such as `flow Purchase`.
        faults: how many faults it needs.
        assumes: the unknown facts that it takes to be against the design, in words.
        steps: what happens.
        repeats_from: the number of the step from which on it repeats for ever, or 0.
        end: the damage in one sentence.
        repairs: the single changes that cure it; each was tried unless something is assumed.
        tried: how many changes were tried.
        complete: up to how many faults the search was complete; -1 if not even without any.
        unsent: the statements that could have sent what is waited for in vain, each with why it did not.
        left_out: how many steps are not told because the violation does not depend on them.
        outside: the participants that are not part of the design.
    """

    property: str
    scene: str
    faults: int
    assumes: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    repeats_from: int = 0
    end: str = ""
    repairs: tuple[str, ...] = ()
    tried: int = 0
    complete: int = -1
    unsent: tuple[Label, ...] = ()
    left_out: int = 0
    outside: tuple[str, ...] = ()

    def length(self) -> tuple[int, int]:
        """What makes one run better to show than another one: fewer faults, then fewer steps."""
        return self.faults, len(self.steps)

    def ends(self) -> tuple[Effect, ...]:
        """The ledger in the end: every action that a step of the run has changed, in the order in which they come up."""
        return tuple({effect.key: effect for step in self.steps for effect in step.ledger}.values())


class Gap(NamedTuple):
    """Something that a run never comes to: it rests, has come to some actions, and to none of certain others.

    Attributes:
        done: the actions it has come to, by number; empty if that does not matter.
        missing: the actions it never comes to; without the fault it would have. Empty if it is enough to come to `done`.
        by: the fault that decides it: `lost` (the message), `torn` (a crash between the two), or `any`, even none.
        rest: what is missing when everything rests, as a clause behind `nothing is under way any more, and …`.
        end: the damage in one sentence.
        message: the name of the message that is lost.
    """

    done: frozenset[int]
    missing: frozenset[int]
    by: Literal["lost", "torn", "any"]
    rest: str
    end: str
    message: str = ""


class Twice(NamedTuple):
    """Something that a handler does twice for one and the same message.

    Attributes:
        actions: what it does, by number.
        by: the fault: `copy` (a redelivery), or `torn` (a crash before it has published, and the redelivery that follows).
        end: the damage in one sentence.
        behind: what the crash keeps from happening the first time, by number.
    """

    actions: frozenset[int]
    by: Literal["copy", "torn"]
    end: str
    behind: frozenset[int] = frozenset()


class Taking(NamedTuple):
    """A message as one process takes it.

    Attributes:
        message: its name.
        process: the process, by the number of its first action.
    """

    message: str
    process: int


class Overtaking(NamedTuple):
    """Two messages that one service takes and relies on in an order that nothing keeps.

    Attributes:
        one, other: the messages; which of them ought to come first is not said.
        apart: they travel over different channels, so that what is sent first may be taken last. Otherwise they come over one
            channel from different publishers, so that what is asked for first may be sent last.
    """

    one: Taking
    other: Taking
    apart: bool


class Succession(NamedTuple):
    """Something that happens, and something that happens after it.

    Attributes:
        first: actions, by number, of which one happens.
        then: those of which one happens after it.
        flow: in which flow the first happens; what happens after it may be asked for by another entry.
        end: the damage in one sentence.
    """

    first: frozenset[int]
    then: frozenset[int]
    flow: str
    end: str


class Claim(NamedTuple):
    """What a finding says will happen when the design runs, so that runs of its model can bear it out or refute it.

    Attributes:
        properties: the properties of the verification that say the same, such as `B1`.
        places: the statements it is about; a violation at one of them, or by a fault at one of them, is the same thing.
        messages: the messages whose faults on the way are the same thing.
        faults: the kinds of faults that are meant by this; any if it is empty.
        held: steps of which it says that they stay done; a run at whose end one of them is, and nobody undoes it, bears it out.
        both: two groups of actions, by number, of which it says that one run comes to both; a complete search without such a run
            refutes it.
        any_order: of `both`, it also says that either may be the first.
        end: of `both`, the damage in one sentence; `{done}` in it stands for what of the first group has happened.
        flow: the name of the flow whose runs are rather shown than those of others, of `both` and `gaps`.
        gaps: what it says that a run never comes to; the first of them that a run shows bears it out.
        twice: what it says that a handler does twice for one message; asked behind all others.
        foremost: what it speaks of first: a run that shows it is shown before all others. No search refutes it.
        overtaking: two messages of which it says that they may come in the wrong order, whoever asks for them. No search refutes
            it.
        follows: what stands still or never ends well because of it; no run needs to show that.
        levels: the severity triple of the finding once a run bears it out; empty if that changes nothing.
    """

    properties: tuple[str, ...] = ()
    places: tuple[Span, ...] = ()
    messages: frozenset[str] = frozenset()
    faults: frozenset[str] = frozenset()
    held: tuple[Span, ...] = ()
    both: tuple[frozenset[int], frozenset[int]] | None = None
    any_order: bool = False
    end: str = ""
    flow: str = ""
    gaps: tuple[Gap, ...] = ()
    twice: tuple[Twice, ...] = ()
    foremost: Succession | None = None
    overtaking: Overtaking | None = None
    follows: tuple[Span, ...] = ()
    levels: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fact about a design that a rule reports.

    Attributes:
        primary: the place to look at first.
        message: one sentence that states the fact, lower case, names in backticks, no full stop.
        related: further places, in the order in which they tell the story.
        help: the remedy.
        notes: the witness path, the numbers used, consequences that were folded into this finding.
        silence: the single declaration that would legitimately silence the finding.
        fix: edits that answer the finding.
        subject: the path in the model, such as `workflow Checkout / step charge`.
        run: a counterexample that was found by running the design's model.
        claim: what the model's runs can say about it.
        levels: a severity triple such as `I/W/E` that replaces the rule's for this finding; `–` is off.
        code: the rule's code; the engine fills it in.
        severity: how much it matters under the profile; the engine fills it in.
        fingerprint: the identity across runs; the engine fills it in, see `fingerprint()`.
    """

    primary: Label
    message: str
    related: tuple[Label, ...] = ()
    help: str = ""
    notes: tuple[str, ...] = ()
    silence: str = ""
    fix: Fix | None = None
    subject: str = ""
    run: Run | None = None
    claim: Claim | None = None
    levels: str = ""
    code: str = ""
    severity: Severity | None = None
    fingerprint: str = ""


def severity_in(levels: str, profile: str) -> Severity | None:
    """What a severity triple such as `W/W/E` says for a profile; None where it says off (`–`).

    Raises:
        ValueError: the triple or the profile does not exist.
    """
    parts = levels.split("/")
    if len(parts) != len(PROFILES) or profile not in PROFILES:
        raise ValueError(f"no severity in `{levels}` for the profile `{profile}`")
    letter = parts[PROFILES.index(profile)].strip()
    if letter in ("–", "-"):
        return None
    if letter not in _LETTERS:
        raise ValueError(f"`{letter}` in `{levels}` is none of E, W, I, H and –")
    return _LETTERS[letter]


def fingerprint(finding: Finding, ordinal: int, base: str = "") -> str:
    """An identity that survives edits elsewhere in the file: a hash of rule, file, model path and ordinal.

    Args:
        finding: the finding; its subject is used, or the text of its primary label if it has none.
        ordinal: its number among the findings that would otherwise be equal, in source order, from 0.
        base: the folder to name the file from; the current one if empty.
    """
    path = finding.primary.span.source.path
    if base:
        path = os.path.relpath(os.path.realpath(path), os.path.realpath(base))
    path = posixpath.normpath(path.replace("\\", "/"))
    subject = finding.subject or " ".join(finding.primary.span.text.split())
    facts = "\0".join((finding.code, path, subject, str(ordinal)))
    return sha256(facts.encode("utf-8", "surrogatepass")).hexdigest()[:32]


_LETTERS = {"E": Severity.ERROR, "W": Severity.WARNING, "I": Severity.INFO, "H": Severity.HINT}
