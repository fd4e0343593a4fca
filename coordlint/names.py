"""Near misses among names: the edit distance behind every "did you mean"."""

from __future__ import annotations

from collections.abc import Iterable


def distance(left: str, right: str, limit: int) -> int:
    """The Damerau-Levenshtein distance (optimal string alignment), or ``limit + 1`` when it is larger than ``limit``.

    Counts insertions, deletions, substitutions and swaps of neighbours; O(len(left) * len(right)).
    """
    if abs(len(left) - len(right)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        current = [i]
        for j, b in enumerate(right, 1):
            best = min(row[j] + 1, current[j - 1] + 1, row[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                best = min(best, before[j - 2] + 1)
            current.append(best)
        if min(current) > limit:
            return limit + 1
        before, row = row, current
    return row[-1]


def is_near(left: str, right: str) -> bool:
    """Whether two names are one name misspelt: equal but for case, or at most two edits apart and six letters long."""
    if left.casefold() == right.casefold():
        return True
    return min(len(left), len(right)) >= 6 and distance(left, right, 2) <= 2


def closest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate that was probably meant, or ``None``: two edits from six letters on, one from three, else only the case.

    Ties go to the alphabetically first, so that the answer does not depend on an order of declarations.
    """
    limit = 2 if len(name) >= 6 else 1 if len(name) >= 3 else 0
    folded = name.casefold()
    best: tuple[int, str] | None = None
    for candidate in candidates:
        if candidate == name or abs(len(candidate) - len(name)) > limit:
            continue
        apart = 0 if candidate.casefold() == folded else distance(folded, candidate.casefold(), limit)
        if apart <= limit and (best is None or (apart, candidate) < best):
            best = (apart, candidate)
    return best[1] if best else None
