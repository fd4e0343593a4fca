"""What makes two runs get in each other's way at an entity, as observers: small machines that hear each read, write and undo.

An observer belongs to one entity, one anomaly and one of the two runs, the one that is hurt. Source of the anomalies and
countermeasures: Richardson, *Microservices Patterns*, chapter 4.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Anomaly = Literal["overwritten", "overwriting", "dirty", "fuzzy"]

ANOMALIES: tuple[Anomaly, ...] = ("overwritten", "overwriting", "dirty", "fuzzy")
"""Two ways to lose an update: a write that relies on an old read, and an undo of an own write that is no longer the last one."""

NAMES = {"overwritten": "lost update", "overwriting": "lost update", "dirty": "dirty read", "fuzzy": "fuzzy read"}

WRONG = ("wrong",)
START = ("none",)

FRESHENING = frozenset({"reread", "version-file"})
"""A write that relies on an old read is refused, or reads again and is repeated; a refusal is an outcome of its own."""


class Touch(NamedTuple):
    """What a run does to an entity at a step.

    Attributes:
        what: `read`, `write`, `undo` (the compensation of the step has taken effect), or `end` (the run has ended well).
        step: the number of the step in its workflow; -1 for `end`.
        how: the isolation of the step, empty if it has none.
        undoable: the step has a compensation.
    """

    what: Literal["read", "write", "undo", "end"]
    step: int
    how: str = ""
    undoable: bool = False


State = tuple[str | int, ...]


def follow(anomaly: Anomaly, state: State, own: bool, touch: Touch) -> State:
    """The state of an observer after a touch.

    Args:
        anomaly: what it looks for.
        state: its state: a word, and the step that it remembers.
        own: the touch is by the run that would be hurt, not by the other one.
        touch: what is done.
    """
    if state == WRONG:
        return state
    rule = {"overwritten": _overwritten, "overwriting": _overwriting, "dirty": _dirty, "fuzzy": _fuzzy}[anomaly]
    return rule(state, own, touch)


def _overwritten(state: State, own: bool, touch: Touch) -> State:
    """The run writes on the strength of a read behind which the other has written."""
    if not own:
        return ("stale",) if state == ("fresh",) and touch.what in {"write", "undo"} else state
    if touch.what == "read":
        return ("fresh",)
    if touch.what == "write" and state == ("stale",) and touch.how != "commutative":
        return ("fresh",) if touch.how in FRESHENING else WRONG
    return state


def _overwriting(state: State, own: bool, touch: Touch) -> State:
    """The run undoes its write, and with it a later one of the other."""
    word = state[0]
    if own and touch.what == "write" and touch.undoable and word == "none":
        return ("mine",)
    if own and touch.what == "undo" and word != "none":
        careful = touch.how == "commutative" or touch.how in FRESHENING
        return WRONG if word == "theirs" and not careful else START
    if not own and touch.what == "write" and word != "none":
        return ("theirs", touch.step)
    if not own and touch.what == "undo" and state == ("theirs", touch.step):
        return ("mine",)
    return state


def _dirty(state: State, own: bool, touch: Touch) -> State:
    """The run ends well with what the other has written last and takes back, before or after that end."""
    word = state[0]
    if word in {"none", "lent"}:
        if touch.what == "write":
            lent = not own and touch.undoable and touch.how != "pessimistic-view"
            return ("lent", touch.step) if lent else START
        if touch.what == "undo":
            return START
        if own and touch.what == "read" and word == "lent" and touch.how not in {"reread", "pessimistic-view"}:
            return ("read", state[1])
    elif not own and touch.what == "undo" and word in {"read", "used"} and touch.step == state[1]:
        return ("taken back",) if word == "read" else WRONG
    elif own and touch.what == "end":
        return ("used", state[1]) if word == "read" else WRONG if word == "taken back" else state
    return state


def _fuzzy(state: State, own: bool, touch: Touch) -> State:
    """The run reads in two steps, and the other writes in between."""
    word = state[0]
    if not own:
        return ("changed", state[1]) if word == "read" and touch.what in {"write", "undo"} else state
    if touch.what != "read":
        return state
    if word == "changed" and touch.step != state[1] and touch.how not in FRESHENING:
        return WRONG
    return ("read", touch.step)
