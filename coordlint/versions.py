"""Versions of messages: their order, and what a pinned version or range takes in."""

from __future__ import annotations


def version_key(number: str) -> tuple[tuple[int, str], ...]:
    """A version as a sort key: ``1.10`` comes after ``1.9``, an unversioned message before all."""
    # A number is compared by its length, then its digits: Python refuses to read one of thousands of digits.
    parts = (part.lstrip("0") for part in number.split(".")) if number else ()
    return tuple((len(part), part) for part in parts)


def in_range(number: str, pin: str) -> bool:
    """Whether a version is the pinned one or lies in the pinned range (``1..2``, ``2..``), both ends included.

    A shorter bound stands for all versions below it: ``1.2.0`` is in ``1`` and in ``1..2``.
    """
    low, dots, high = pin.partition("..")
    key = version_key(number)
    lowest = version_key(low)
    if not dots:
        return key[: len(lowest)] == lowest
    if key[: len(lowest)] < lowest:
        return False
    highest = version_key(high)
    return not high or key[: len(highest)] <= highest
