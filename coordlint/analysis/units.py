"""Quantities to be written into a design: round values that are no smaller than what is needed, and sizes as text."""

from __future__ import annotations

import math

from coordlint.analysis.latency import SLACK, seconds_text

_STEPS = ((0.001, 1.0), (1.0, 600.0), (60.0, 36000.0), (3600.0, 864000.0), (86400.0, math.inf))
_SIZES = (("GB", 1024.0**3), ("MB", 1024.0**2), ("KB", 1024.0))


def at_least(seconds: float) -> str:
    """A round duration that is not shorter: of whole seconds up to ten minutes, of whole minutes up to ten hours, and so on."""
    step = next(step for step, limit in _STEPS if seconds <= limit)
    return seconds_text(math.ceil(seconds / step * (1 - SLACK)) * step)


def size_text(count: float) -> str:
    """A number of bytes as the language writes it, ``256KB``: the largest unit in which one decimal is exact."""
    for unit, factor in _SIZES:
        amount = count / factor
        if amount >= 1 and abs(amount - round(amount, 1)) <= SLACK * amount:
            return f"{round(amount, 1):g}{unit}"
    return f"{count:.10g}B"


def readable(seconds: float) -> str:
    """A duration for a sentence: as the language writes it or, where that is a long number, in two units (``14d 2m``)."""
    text = seconds_text(seconds)
    if seconds < 600 or not math.isfinite(seconds) or len(text) <= 5:
        return text
    size, unit = next((size, unit) for size, unit in ((86400, "d"), (3600, "h"), (60, "m")) if seconds >= size)
    whole, rest = divmod(seconds, size)
    return f"{whole:g}{unit} {seconds_text(rest)}" if rest > SLACK * seconds else f"{whole:g}{unit}"
