"""Words that the rules of this group share."""

from __future__ import annotations

from collections.abc import Iterable

PLACES = 8
"""How many places a finding shows at most."""


def listed(names: Iterable[str], *, most: int = 4) -> str:
    """Names in a sentence, `A`, `B` and 4 more; those beyond ``most`` are only counted."""
    quoted = [f"`{name}`" for name in dict.fromkeys(names)]
    if len(quoted) > most:
        quoted = [*quoted[: most - 1], f"{len(quoted) - most + 1} more"]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} and {quoted[-1]}"
