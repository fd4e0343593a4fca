"""How the findings about runs are put: the fact, the faults it needs, the run step by step, the damage, the repairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Claim, Finding, Label

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.explore.verify import Told
    from coordlint.system import Action

CANDIDATE = "I/W/W"
"""What only happens if an unknown fact is against the design, or by an outcome of `0%`, is worth less."""


LONGEST = 60
"""Characters of a statement that is quoted."""

WITHOUT_FAULTS = frozenset({"B6", "B19", "B21"})
"""Properties that no fault brings about."""


def findings(design: Design, code: str, help: str) -> Iterator[Finding]:
    """The violations of a property as findings.

    Args:
        design: the design.
        code: the property, `B1` to `B21`.
        help: the remedy where no single change was found to be one.
    """
    for told in design.verification.of(code):
        yield _finding(told, help)


def _finding(told: Told, help: str) -> Finding:
    one = told.violation
    condition = f", if {' and '.join(assumption.text for assumption in told.assumes)}" if told.assumes else ""
    notes = []
    if told.run is None:
        notes.append(f"in the end: {one.damage}")
    if one.also:
        notes.append(f"also, for the same reason: {'; '.join(also.text for also in one.also)}")
    if told.assumes:
        notes.append(f"taken for true, as nobody says: {'; '.join(assumption.text for assumption in told.assumes)}")
    if told.supposes:
        notes.append(f"assuming that every branch and number of turns is possible: {_listed(told.supposes)}")
    return Finding(
        primary=Label(one.place),
        message=f"{one.text} ({told.needs}){condition}" if one.code not in WITHOUT_FAULTS else one.text,
        related=(
            *(Label(assumption.span, "nothing is said here") for assumption in told.assumes),
            *(Label(fact.span, "nothing is said here, which counts as absent") for fact in told.unsaid),
            *(Label(also.place, "here too") for also in one.also),
        ),
        help=" or ".join(told.repairs) if told.repairs else help,
        notes=tuple(notes),
        run=told.run,
        claim=Claim((one.code,), (one.place,)),
        subject=f"{told.scene.name} / {one.subject.replace('`', '')}",
        levels=CANDIDATE if told.assumes or any(step.move == "rare" for step in told.steps) else "",
    )


def _listed(actions: tuple[Action, ...]) -> str:
    """The choices of a run, each by the line it stands in and its first words."""
    words = [f"`{_shortened(' '.join(action.span.text.split()))}` in line {action.span.line}" for action in actions]
    return ", ".join(dict.fromkeys(words))


def _shortened(text: str) -> str:
    """A statement, or its first words with an ellipsis."""
    return text if len(text) <= LONGEST else text[:LONGEST].rsplit(" ", 1)[0] + " …"
