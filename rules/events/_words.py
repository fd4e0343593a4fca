"""Words that the rules of this group share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from coordlint.finding import Label
from coordlint.system import Workflow

if TYPE_CHECKING:
    from coordlint.system import MessageUse, Process

MOST_LABELS = 6
"""How many places of one kind a finding shows."""


def listed(names: Iterable[str], *, most: int = 3, word: str = "and") -> str:
    """Names in a sentence: ``A``, ``B`` and 4 more; those beyond ``most`` are only counted."""
    quoted = [f"`{name}`" for name in dict.fromkeys(names)]
    if len(quoted) > most:
        quoted = [*quoted[: most - 1], f"{len(quoted) - most + 1} more"]
        word = "and"
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} {word} {quoted[-1]}"


def called(process: Process) -> str:
    """A process as messages name it: workflow `Checkout`, or `on OrderPlaced` of `Shipping`."""
    if process.workflow is not None:
        return f"workflow `{process.workflow.name}`"
    return f"`{process.name}` of `{process.service.name}`"


def goal_text(target: MessageUse | Workflow) -> str:
    """A goal of a flow: workflow `Checkout` or `OrderShipped`."""
    return f"workflow `{target.name}`" if isinstance(target, Workflow) else f"`{target.message.name}`"


def shown(labels: Sequence[Label]) -> tuple[Label, ...]:
    """The first labels, the last of them with a count of those that are left out."""
    if len(labels) <= MOST_LABELS:
        return tuple(labels)
    last = labels[MOST_LABELS - 1]
    more = len(labels) - MOST_LABELS
    return (*labels[: MOST_LABELS - 1], Label(last.span, f"{last.text}; {more} more are not shown"))
