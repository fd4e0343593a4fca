"""A design: what was read, the model of it, and every analysis on demand. It is all that a rule receives."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from coordlint.finding import Finding, Label
from coordlint.parse import parse
from coordlint.resolve import Part, resolve
from coordlint.source import Edit, Source, SourceError, edited, read_source
from coordlint.syntax import Clause, Document, Name, Text

if TYPE_CHECKING:
    from datetime import date

    from coordlint.analysis.calls import Calls
    from coordlint.analysis.causality import Causality
    from coordlint.analysis.criticality import Critical, SharedFate
    from coordlint.analysis.cycles import Cycles
    from coordlint.analysis.delivery import Delivery
    from coordlint.analysis.failures import Failures
    from coordlint.analysis.flows import FlowView
    from coordlint.analysis.forks import Forks
    from coordlint.analysis.handovers import Handovers
    from coordlint.analysis.latency import Latency
    from coordlint.analysis.liveness import Liveness
    from coordlint.analysis.load import Load
    from coordlint.analysis.orphans import Orphans
    from coordlint.analysis.rollback import Rollbacks
    from coordlint.analysis.sagas import Sagas
    from coordlint.analysis.scopes import Scopes
    from coordlint.analysis.versions import Versions
    from coordlint.explore.trials import Trials
    from coordlint.explore.verify import Settings, Verification
    from coordlint.graph import Index
    from coordlint.system import System


class Design:
    """One root file with all it includes.

    Attributes:
        profile: default, strict or production.
        options: rule options by rule code, for example ``{"SPF106": {"flows": 5}}``.
        parts: the parsed files with the prefixes of their names, the root first.
        system: the resolved model.
        problems: syntax, include and reference findings (SYN and REF codes).
        today: the day that dates are held against; without it nothing is past.
        verify: how far a verification goes; None for the short runs of a check.
        remember: keep in the user's cache which scenes short runs found nothing in.
        inputs: the files that were looked at, those that are missing among them.
    """

    def __init__(
        self,
        parts: tuple[Part, ...],
        system: System,
        problems: tuple[Finding, ...],
        *,
        profile: str = "default",
        options: Mapping[str, Mapping[str, object]] | None = None,
        today: date | None = None,
        inputs: tuple[str, ...] = (),
    ) -> None:
        self.parts = parts
        self.system = system
        self.problems = problems
        self.profile = profile
        self.options = options or {}
        self.inputs = inputs
        self.today = today
        self.verify: Settings | None = None
        self.remember = False

    @property
    def documents(self) -> tuple[Document, ...]:
        """The parsed files, the root first."""
        return tuple(part.document for part in self.parts)

    @property
    def sources(self) -> tuple[Source, ...]:
        """The files that were read, the root first."""
        return tuple(document.source for document in self.documents)

    @property
    def strict(self) -> bool:
        """Whether what is unknown counts as absent (profiles strict and production)."""
        return self.profile != "default"

    # -------------------------------------------------------------------------------------------- analyses, on demand

    @cached_property
    def index(self) -> Index:
        """Who produces, consumes, calls, reads and writes what."""
        from coordlint.graph import Index

        return Index(self.system)

    @cached_property
    def causality(self) -> Causality:
        """What can happen after what, and depending on which components."""
        from coordlint.analysis.causality import Causality

        return Causality(self.index)

    @cached_property
    def delivery(self) -> Delivery:
        """How messages reach their handlers, how often, and what is lost on the way."""
        from coordlint.analysis.delivery import Delivery

        return Delivery(self.index, self.calls)

    @cached_property
    def versions(self) -> Versions:
        """Which versions of the messages are published."""
        from coordlint.analysis.versions import Versions

        return Versions(self.index)

    @cached_property
    def calls(self) -> Calls:
        """Which process calls which, and what governs each call."""
        from coordlint.analysis.calls import Calls

        return Calls(self.index)

    @cached_property
    def latency(self) -> Latency:
        """How long calls, handlers, workflows and flows may last."""
        from coordlint.analysis.latency import Latency

        return Latency(self.calls)

    @cached_property
    def load(self) -> Load:
        """What retries multiply, and the rates against what consumers and orchestrators can bear."""
        from coordlint.analysis.load import Load

        return Load(self.calls, self.delivery)

    @cached_property
    def cycles(self) -> Cycles:
        """What causes itself again, what depends on itself, and waits for their own end."""
        from coordlint.analysis.cycles import Cycles

        return Cycles(self.causality)

    @cached_property
    def flows(self) -> tuple[FlowView, ...]:
        """The declared flows, by name, seen through causality."""
        from coordlint.analysis.flows import FlowView

        return tuple(FlowView(self.causality, flow) for flow in self.system.flows.values())

    @cached_property
    def orphans(self) -> Orphans:
        """The events that nobody publishes or nobody hears."""
        from coordlint.analysis.orphans import Orphans

        return Orphans(self.index)

    @cached_property
    def liveness(self) -> Liveness:
        """What never runs, which goals are never reached, and why."""
        from coordlint.analysis.liveness import Liveness

        return Liveness(self.causality, self.orphans, self.flows)

    @cached_property
    def sagas(self) -> Sagas:
        """The orchestrations: what their steps change, how they fail, and what undoes them."""
        from coordlint.analysis.sagas import Sagas

        return Sagas(self.index)

    @cached_property
    def scopes(self) -> Scopes:
        """What workflows command and decide, and what reacts beside them."""
        from coordlint.analysis.scopes import Scopes

        return Scopes(self.causality, self.sagas)

    @cached_property
    def handovers(self) -> Handovers:
        """Where commanding turns into reacting and back, and the style of each flow."""
        from coordlint.analysis.handovers import Handovers

        return Handovers(self.scopes)

    @cached_property
    def failures(self) -> Failures:
        """The declared failures that nobody hears or that lead nowhere."""
        from coordlint.analysis.failures import Failures

        return Failures(self.causality, self.flows)

    @cached_property
    def forks(self) -> Forks:
        """What runs side by side and should not."""
        from coordlint.analysis.forks import Forks

        return Forks(self.causality, self.flows)

    @cached_property
    def rollbacks(self) -> Rollbacks:
        """The failures of flows after which something stays done."""
        from coordlint.analysis.rollback import Rollbacks

        return Rollbacks(self.causality, self.sagas, self.failures, self.flows)

    @cached_property
    def verification(self) -> Verification:
        """What every workflow and flow can come to under faults: as far as `verify` says, else with one at most."""
        from coordlint.explore.verify import Verification

        if self.verify is not None:
            settings = self.verify._replace(strict=self.verify.strict or self.strict)
            return Verification(self.index, self.sagas, settings, amended=self._amended)
        from coordlint.explore.memory import Memory
        from coordlint.explore.trials import SHORT

        settings = SHORT._replace(strict=self.strict)
        memory = Memory(os.path.realpath(self.sources[0].path), settings) if self.remember else None
        return Verification(self.index, self.sagas, settings, memory)

    def amended(self, edits: Sequence[Edit]) -> Design:
        """The design as it would be with some edits; its `problems` say whether they fit.

        Args:
            edits: of its sources, without overlaps.
        """
        parts = []
        for part in self.parts:
            source = edited(part.document.source, edits)
            same = source is part.document.source
            parts.append(part if same else part._replace(document=parse(source)))
        system, problems = resolve(parts)
        syntax = [finding for part in parts for finding in part.document.problems]
        return Design(
            tuple(parts), system, (*syntax, *problems), profile=self.profile, options=self.options, today=self.today
        )

    def _amended(self, edits: Sequence[Edit]) -> tuple[Index, Sagas] | None:
        changed = self.amended(edits)
        return (changed.index, changed.sagas) if len(changed.problems) <= len(self.problems) else None

    @cached_property
    def trials(self) -> Trials:
        """What short runs say about findings."""
        from coordlint.explore.trials import Trials

        return Trials(self.index, self.verification)

    @cached_property
    def criticals(self) -> tuple[Critical, ...]:
        """The components that flows cannot do without, the most exposed first."""
        from coordlint.analysis.criticality import criticals

        return criticals(self.causality, self.flows, zones=self.profile == "production")

    @cached_property
    def shared_fates(self) -> tuple[SharedFate, ...]:
        """The calls whose fallback fails together with them."""
        from coordlint.analysis.criticality import shared_fates

        return shared_fates(self.flows)


def load(
    path: str,
    *,
    profile: str = "default",
    stdin: Source | None = None,
    options: Mapping[str, Mapping[str, object]] | None = None,
    root: str | None = None,
    overlay: Mapping[str, Source] | None = None,
    today: date | None = None,
) -> Design:
    """Read a root file and everything it includes, and resolve the design.

    Args:
        path: the root file, as the user names it.
        profile: default, strict or production.
        stdin: the root's text when it does not come from the file.
        options: rule options by code.
        root: the project root that includes may not leave; the root file's folder if left out.
        overlay: texts to read instead of files, by real path, such as those of unsaved edits.
        today: the day that dates such as `deprecated until` are held against; without it nothing is past.

    Raises:
        SourceError: the root file cannot be read. Everything else wrong becomes a finding.
    """
    reader = _Reader(Path(root) if root is not None else Path(path).parent, overlay or {})
    source = stdin if stdin is not None else reader.source(Path(path), path)
    reader.read(source, Path(path), "", ())
    system, problems = resolve(reader.parts)
    syntax = [finding for part in reader.parts for finding in part.document.problems]
    return Design(
        tuple(reader.parts),
        system,
        (*syntax, *reader.problems, *problems),
        profile=profile,
        options=options,
        today=today,
        inputs=tuple(reader.inputs),
    )


MAX_DEPTH = 100
"""Files may include files this deep."""

MAX_FILES = 10_000
"""A design may consist of so many files; a file under another prefix is another one."""


class _Reader:
    """Follows includes."""

    def __init__(self, root: Path, overlay: Mapping[str, Source]) -> None:
        self.root = root
        self.overlay = overlay
        self.parts: list[Part] = []
        self.problems: list[Finding] = []
        self.inputs: list[str] = []
        self.read_already: dict[tuple[str, str], Path] = {}

    def source(self, path: Path, shown: str) -> Source:
        """The text of a file, or what stands in for it."""
        self.inputs.append(str(path))
        return self.overlay.get(str(_real(path))) or read_source(path, shown)

    def read(self, source: Source, path: Path, prefix: str, chain: tuple[Path, ...]) -> None:
        """Parse a file, then the files it includes."""
        here = _real(path)
        document = parse(source)
        self.parts.append(Part(document, prefix))
        for clause in _includes(document.declarations):
            self._include(clause, path, prefix, (*chain, here))

    def _include(self, clause: Clause, path: Path, prefix: str, chain: tuple[Path, ...]) -> None:
        text = clause.first(Text)
        assert text is not None
        name = clause.first(Name)
        inner = ".".join(part for part in (prefix, name.text if name else "") if part)
        target = path.parent / text.text
        real = _real(target) if "\0" not in text.text else Path()
        if "\0" in text.text or Path(text.text).is_absolute() or not real.is_relative_to(_real(self.root)):
            self._report(
                clause, f"`{text.text}` lies outside the project", "include files of the project by relative paths"
            )
            return
        if real in chain:
            names = " includes ".join(f"`{os.path.basename(one)}`" for one in (*chain[chain.index(real) :], real))
            self._report(clause, f"{names}: the includes go in a circle", "remove one of these includes")
            return
        key = (str(real), inner)
        if key in self.read_already:
            return  # a file that two others include is part of the design once
        self.read_already[key] = real
        if len(chain) > MAX_DEPTH or len(self.parts) >= MAX_FILES:
            limit = f"are more than {MAX_FILES:,} files" if len(chain) <= MAX_DEPTH else f"nest {MAX_DEPTH} files deep"
            self._report(clause, f"`{text.text}` is not read, the includes {limit}", "include fewer files")
            return
        if real.suffix != ".coord":
            self._report(clause, f"`{text.text}` is not a `.coord` design", "include `.coord` files")
            return
        try:
            source = self.source(target, os.path.normpath(os.path.join(os.path.dirname(str(path)), text.text)))
        except SourceError as error:
            self._report(clause, str(error), "correct the path, which is relative to this file")
            return
        self.read(source, target, inner, chain)

    def _report(self, clause: Clause, message: str, help: str) -> None:
        text = clause.first(Text)
        assert text is not None
        self.problems.append(
            Finding(code="SYN002", primary=Label(text.span), message=message, help=help, subject=message)
        )


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _includes(clauses: tuple[Clause, ...]) -> list[Clause]:
    found = []
    for clause in clauses:
        if clause.kind == "include":
            found.append(clause)
        elif clause.kind == "context":
            found += _includes(clause.body or ())
    return found
