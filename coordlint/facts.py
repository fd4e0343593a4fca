"""Attribute clauses become three-valued facts; values that cannot be are reported (REF003), repeated ones too (REF002)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from coordlint.source import Span
from coordlint.syntax import Clause, Name, Quantity, Ref, Text, Word
from coordlint.system import Backoff, Channel, Compatibility, DeadLetter, Fact, Guard, MessageUse, Service, Store


class Names(Protocol):
    """What the reader of facts needs from the resolver: references made objects, and problems reported."""

    def report(self, code: str, span: Span, message: str, help: str = "", other: Span | None = None) -> None: ...
    def channel(self, ref: Ref) -> Channel: ...
    def store(self, ref: Ref) -> Store: ...
    def service(self, ref: Ref) -> Service: ...
    def message(self, ref: Ref) -> MessageUse: ...


FLAGS = frozenset(
    "archive breaker fences if_changed in_memory irreversible notifies optional outbox pivot projection provisional quorum "
    "re_emits redrive resequences retriable scatter technical terminal visibility".split()
)
_COUNTS = frozenset(
    "batch concurrency max_depth max_hops max_inflight min_insync nodes partitions replicas replication zones".split()
)
_DURATIONS = frozenset("ack_timeout dedup latency mttr retention rto takes timeout within".split())
_AMOUNTS = frozenset("capacity max_message rate size".split())
_WORDS = frozenset("criticality delivery failover isolation on_unexpected recovery style".split())
_ABSENT = {
    "no_outbox": "outbox",
    "no_timeout": "timeout",
    "no_within": "within",
    "no_dead_letter": "dead_letter",
    "not_idempotent": "idempotent",
}
_ABSENT_WORDS = {
    "timeout": "timeout",
    "retries": "retries",
    "backoff": "backoff",
    "breaker": "breaker",
    "fallback": "fallback",
    "compensation": "compensate",
}
_BLOCKS = frozenset({"on_failure", "on_timeout", "fallback", "compensate"})
_REPEATABLE = frozenset({"note", "tags", "link"})

LARGEST = 1e15
"""No number of a design is meant to be larger. Below it counts are exact, and what is computed with them stays finite."""


class _Reading(NamedTuple):
    name: str
    fact: Fact


def read(clauses: Iterable[Clause], names: Names, *, what: str) -> dict[str, Fact]:
    """The facts that those clauses state; clauses of other kinds are passed over.

    ``what`` names the element in messages, for example ``service `Orders```.
    """
    facts: dict[str, Fact] = {}
    first: dict[str, Clause] = {}
    for clause in clauses:
        reading = _read(clause, names)
        if reading is None:
            continue
        name, fact = reading
        before = first.get(name)
        if before is not None and name not in _REPEATABLE:
            _report_again(clause, before, fact, facts[name], names, what)
            continue
        if before is not None and name == "tags":
            fact = fact._replace(value=(*facts[name].value, *fact.value))
        first.setdefault(name, clause)
        facts[name] = fact
    facts = {name: fact for name, fact in facts.items() if not fact.unknown}
    _check_together(facts, names, what)
    return facts


def _report_again(clause: Clause, before: Clause, fact: Fact, earlier: Fact, names: Names, what: str) -> None:
    said, again = _head(before), _head(clause)
    if fact.state != earlier.state or (fact.value != earlier.value and clause.kind not in _BLOCKS):
        message = f"{what} says both `{said}` and `{again}`"
        names.report("REF003", clause.span, message, "keep the one that is true", before.span)
    else:
        names.report("REF002", clause.span, f"{what} says `{again}` twice", "remove one of them", before.span)


def _head(clause: Clause) -> str:
    return " ".join(clause.head.text.split())


def _read(clause: Clause, names: Names) -> _Reading | None:
    kind = clause.kind
    if kind in FLAGS:
        return _Reading(kind, Fact("declared", True, clause.span))
    if kind in _COUNTS or kind in _DURATIONS or kind in _AMOUNTS or kind in {"availability", "retry_budget", "retries"}:
        return _Reading(kind, _quantity(clause, names))
    if kind in _WORDS:
        return _Reading(kind, Fact("declared", _word(clause), clause.span))
    if kind in _ABSENT:
        why = clause.first(Text)
        return _Reading(_ABSENT[kind], Fact("absent", None, clause.span, why.text if why else ""))
    if kind == "absent":
        why = clause.first(Text)
        return _Reading(_ABSENT_WORDS[_word(clause)], Fact("absent", None, clause.span, why.text if why else ""))
    if kind in _BLOCKS:
        return _Reading(kind, Fact("declared", True, clause.head))
    special = _SPECIAL.get(kind)
    return special(clause, names) if special else None


def _word(clause: Clause) -> str:
    word = clause.first(Word)
    return word.text if word else ""


def _number(clause: Clause) -> Quantity:
    number = clause.first(Quantity)
    assert number is not None, f"the grammar gives `{clause.kind}` a number"
    return number


def _quantity(clause: Clause, names: Names) -> Fact:
    number = _number(clause)
    said = f"`{clause.kind.replace('_', '-')} {_shown(number)}`"
    if number.value > LARGEST:
        names.report("REF003", clause.span, f"{said} is more than any system has", "correct the number")
        return Fact()
    if number.value == 0 and clause.kind != "retries":
        names.report("REF003", clause.span, f"{said} cannot be", "give a value above zero, or leave it out")
        return Fact()
    if clause.kind == "availability" and number.value > 1:
        names.report("REF003", clause.span, f"{said} is above 100%", "give a percentage such as `99.9%`")
        return Fact()
    is_count = clause.kind in _COUNTS or clause.kind == "retries"
    return Fact("declared", int(number.value) if is_count else number.value, clause.span)


def _shown(number: Quantity) -> str:
    text = number.text
    return text if len(text) <= 40 else f"{text[:37]}…"


def positive(quantity: Quantity, names: Names) -> float | None:
    """The value of a quantity that has to be above zero; None, and a REF003, if it is not or if it is beyond `LARGEST`."""
    if quantity.value <= 0:
        names.report("REF003", quantity.span, f"`{_shown(quantity)}` cannot be here", "give a value above zero")
        return None
    return _not_too_large(quantity, names)


def count(quantity: Quantity, names: Names) -> int | None:
    """Like :func:`positive`, as a whole number."""
    value = positive(quantity, names)
    return None if value is None else int(value)


def _not_too_large(quantity: Quantity, names: Names) -> float | None:
    if quantity.value > LARGEST:
        message = f"`{_shown(quantity)}` is more than any system has"
        names.report("REF003", quantity.span, message, "correct the number")
        return None
    return quantity.value


def chance(clause: Clause, names: Names) -> float | None:
    """The declared probability of an outcome or branch as a ratio; None if there is none, or an impossible one."""
    found = clause.child("chance")
    if found is None:
        return None
    percent = _number(found)
    if percent.value > 1:
        message = f"a chance of {_shown(percent)} is above 100%"
        names.report("REF003", percent.span, message, "give at most 100% in all")
        return None
    return percent.value


def keys(clause: Clause) -> tuple[str, ...]:
    """The field names of its ``by``, or none."""
    by = clause.child("by")
    return tuple(name.text for name in by.every(Name)) if by else ()


def within(clause: Clause, names: Names) -> Fact:
    """The fact of its ``within``, or the unknown fact."""
    found = clause.child("within")
    if found is None:
        return Fact()
    return declared(positive(_number(found), names), found.span)


def declared(value: float | str | None, span: Span) -> Fact:
    """The fact of that value; the unknown fact if it is None, because what was written cannot be."""
    return Fact() if value is None else Fact("declared", value, span)


# ------------------------------------------------------------------------------------------------ one by one


def _attempts(clause: Clause, names: Names) -> _Reading:
    number = clause.first(Quantity)
    if number is None:
        return _Reading("attempts", Fact("declared", math.inf, clause.span))
    return _Reading("attempts", declared(count(number, names), clause.span))


def _backoff(clause: Clause, names: Names) -> _Reading:
    base = _number(clause)
    first = _not_too_large(base, names)
    growth = next((quantity for quantity in clause.every(Quantity) if quantity.kind == "factor"), None)
    factor = _not_too_large(growth, names) if growth else 1.0
    cap_clause = clause.child("backoff_cap")
    cap = _not_too_large(_number(cap_clause), names) if cap_clause else None
    jitter = clause.first(Word) is not None
    if first is None or factor is None:
        return _Reading("backoff", Fact())
    if cap is not None and cap < first:
        names.report("REF003", clause.span, f"backoff begins at {base.text} and is capped below that", "raise the cap")
    if factor < 1:
        names.report(
            "REF003",
            clause.span,
            f"a backoff factor of {factor:g} makes each wait shorter",
            "give a factor of 1 or more",
        )
    return _Reading("backoff", Fact("declared", Backoff(first, factor, cap, jitter), clause.span))


def _deadline(clause: Clause, names: Names) -> _Reading:
    number = clause.first(Quantity)
    value = positive(number, names) if number else "propagate"
    return _Reading("deadline", declared(value, clause.span))


def _dead_letter(clause: Clause, names: Names) -> _Reading:
    ref = clause.first(Ref)
    assert ref is not None
    after = clause.first(Quantity)
    deliveries = count(after, names) if after else None
    value = DeadLetter(names.channel(ref), deliveries, keys(clause))
    return _Reading("dead_letter", Fact("declared", value, clause.span))


def _kind(clause: Clause, names: Names) -> _Reading:
    return _Reading("kind", Fact("declared", clause.kind, clause.span))


def _ordered(clause: Clause, names: Names) -> _Reading:
    return _Reading("ordering", Fact("declared", keys(clause) or "total", clause.span))


def _unordered(clause: Clause, names: Names) -> _Reading:
    return _Reading("ordering", Fact("absent", None, clause.span))


def _owner(clause: Clause, names: Names) -> _Reading:
    ref = clause.first(Ref)
    assert ref is not None
    return _Reading("owner", Fact("declared", names.service(ref), clause.span))


def _compatible(clause: Clause, names: Names) -> _Reading:
    words = [word.text for word in clause.every(Word)]
    return _Reading("compatible", Fact("declared", Compatibility(words[0], len(words) > 1), clause.span))


_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})")


def _dated(name: str) -> Callable[[Clause, Names], _Reading]:
    def read_dated(clause: Clause, names: Names) -> _Reading:
        from datetime import date

        word = clause.first(Word)
        if word is not None:
            match = _DATE.fullmatch(word.text)
            assert match is not None
            try:
                date(int(match.group(1)), int(match.group(2)), int(match.group(3)))
            except ValueError:
                names.report("REF003", word.span, f"`{word.text}` is no day of the calendar", "correct the date")
        return _Reading(name, Fact("declared", word.text if word else True, clause.span))

    return read_dated


def _idempotent(clause: Clause, names: Names) -> _Reading:
    return _Reading("idempotent", Fact("declared", keys(clause), clause.span))


def _ordered_by(clause: Clause, names: Names) -> _Reading:
    return _Reading("ordered_by", Fact("declared", keys(clause), clause.span))


def _names_of(name: str) -> Callable[[Clause, Names], _Reading]:
    def read_names(clause: Clause, names: Names) -> _Reading:
        return _Reading(name, Fact("declared", tuple(n.text for n in clause.every(Name)), clause.span))

    return read_names


def _state_in(clause: Clause, names: Names) -> _Reading:
    ref = clause.first(Ref)
    assert ref is not None
    return _Reading("state", Fact("declared", names.store(ref), clause.span))


def _state_memory(clause: Clause, names: Names) -> _Reading:
    return _Reading("state", Fact("declared", "memory", clause.span))


def _compensates(clause: Clause, names: Names) -> _Reading:
    ref = clause.first(Ref)
    assert ref is not None
    return _Reading("compensates", Fact("declared", names.message(ref), clause.span))


def _when(clause: Clause, names: Names) -> _Reading:
    texts = [text.text for text in clause.every(Text)]
    return _Reading("when", Fact("declared", Guard(texts[0], texts[1] if len(texts) > 1 else None), clause.span))


def _team(clause: Clause, names: Names) -> _Reading:
    return _Reading("team", Fact("declared", clause.name.text, clause.span))


def _texts(clause: Clause, names: Names) -> _Reading:
    text = clause.first(Text)
    return _Reading(clause.kind, Fact("declared", text.text if text else "", clause.span))


_SPECIAL: dict[str, Callable[[Clause, Names], _Reading]] = {
    "attempts": _attempts,
    "backoff": _backoff,
    "compatible": _compatible,
    "compensates": _compensates,
    "dead_letter": _dead_letter,
    "deadline": _deadline,
    "deprecated": _dated("deprecated"),
    "idempotent": _idempotent,
    "key": _names_of("key"),
    "link": _texts,
    "migrating": _dated("migrating"),
    "note": _texts,
    "ordered": _ordered,
    "ordered_by": _ordered_by,
    "owner": _owner,
    "queue": _kind,
    "state_in": _state_in,
    "state_memory": _state_memory,
    "tags": _names_of("tags"),
    "team": _team,
    "topic": _kind,
    "unordered": _unordered,
    "uses_fields": _names_of("uses_fields"),
    "when": _when,
}


# ------------------------------------------------------------------------------------------------ together


def _check_together(facts: dict[str, Fact], names: Names, what: str) -> None:
    """Values that are possible alone and impossible side by side."""

    def number(name: str) -> Any:
        fact = facts.get(name)
        return fact.value if fact is not None and fact.declared else None

    def compare(small: str, large: str, why: str) -> None:
        low, high = number(small), number(large)
        if low is not None and high is not None and low > high:
            span = facts[small].span
            assert span is not None
            message = f"{what} has `{facts[small].text}` but only `{facts[large].text}`"
            names.report("REF003", span, message, why, facts[large].span)

    compare("min_insync", "replication", "ask for at most as many in-sync replicas as there are copies")
    compare("replication", "nodes", "a copy needs a node of its own")
    compare("zones", "replicas", "a replica stands in one zone")
    attempts, retries = facts.get("attempts"), facts.get("retries")
    if attempts is not None and retries is not None and retries.declared:
        assert retries.span is not None
        total = f"attempts {retries.value + 1}"
        message = f"{what} has both `{attempts.text}` (in total) and `{retries.text}` (beyond the first)"
        names.report("REF003", retries.span, message, f"keep one of them; `{retries.text}` is `{total}`", attempts.span)
