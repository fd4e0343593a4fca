"""What reading and resolving a design already found; the rules of this group hand it on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.design import Design
    from coordlint.finding import Finding


def problems(design: Design, code: str) -> Iterator[Finding]:
    """The problems of the design that carry the code of a rule."""
    return (finding for finding in design.problems if finding.code == code)
