"""Runs the selected rules over a design and makes one `Result`: stamped, sorted, counted, never printed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from coordlint.confirm import REFUTED, confirm
from coordlint.finding import PROFILES, Finding, Severity, fingerprint, severity_in
from coordlint.rule import Rule, UnknownRuleError, index, load

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import date

    from coordlint.design import Design
    from coordlint.explore.verify import Verdict
    from coordlint.rule import Entry
    from coordlint.source import Source

T = TypeVar("T")

PREREQUISITES = ("SYN", "REF")
"""Groups that no `select` narrows away: what the other rules say is worth little if the model has holes."""


class Hidden(NamedTuple):
    """A finding that is not shown, how it was hidden (such as `ignored`), and the reason somebody gave."""

    finding: Finding
    how: str
    reason: str = ""


class Crash(NamedTuple):
    """A rule that failed; the others ran all the same."""

    rule: Rule
    error: Exception


@dataclass(frozen=True, slots=True)
class Result:
    """What a run found.

    Attributes:
        findings: what is shown, sorted by file, position, code and message.
        rules: the rules that ran, in the order of their codes.
        sources: the files that were read, in the order of reading.
        profile: the profile of the run, `minimal` among them.
        hidden: findings that are not shown, and why.
        off: how many rules did not run because they are off under the profile.
        deselected: how many rules did not run because the user left them out.
        crashes: rules that failed.
        compared: whether the findings were held against a baseline.
        verdicts: what the runs of the model say about each scene: short ones in a check.
    """

    findings: tuple[Finding, ...] = ()
    rules: tuple[Rule, ...] = ()
    sources: tuple[Source, ...] = ()
    profile: str = "default"
    hidden: tuple[Hidden, ...] = ()
    off: int = 0
    deselected: int = 0
    crashes: tuple[Crash, ...] = ()
    compared: bool = False
    verdicts: tuple[Verdict, ...] = ()

    @property
    def counts(self) -> dict[Severity, int]:
        """How many findings of each severity are shown, the worst first."""
        found = Counter(finding.severity for finding in self.findings)
        return {severity: found[severity] for severity in sorted(Severity, reverse=True)}

    def rule(self, code: str) -> Rule | None:
        """The rule of a finding, if it ran."""
        return next((rule for rule in self.rules if rule.code == code), None)

    def fails(self, threshold: Severity) -> bool:
        """Whether a finding is shown that is at least as bad as the threshold."""
        return any(finding.severity is not None and finding.severity >= threshold for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Selection:
    """The rules of a run, each with the profile whose severities it has, and the severities the user decided.

    Make one with `select_rules()`.
    """

    rules: tuple[tuple[Rule, str], ...]
    profile: str = "default"
    severities: tuple[tuple[str, Severity | None], ...] = ()
    off: int = 0
    deselected: int = 0
    minimal: bool = False

    def severity(self, rule: Rule, finding: Finding, profile: str) -> Severity | None:
        """The severity of a finding; None where it is off."""
        natural = severity_in(finding.levels or rule.levels, profile)
        if natural is None or (self.minimal and natural < Severity.ERROR):
            return None
        decided, found = _most_specific(rule, self.severities)
        return decided if found else natural


def select_rules(
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    severities: Mapping[str, Severity | None] | None = None,
    profile: str = "default",
    minimal: bool = False,
) -> Selection:
    """Decide which rules run.

    A selector is a code, the beginning of a code, a name, or `ALL`. The more specific selector wins, and `ignore` wins over
    `select` where both are equally specific. A rule that is off under the profile runs if it is selected by its code or name.

    Args:
        select: the rules to run; all of them if empty.
        ignore: the rules to leave out.
        severities: severities by selector; None is off.
        profile: one of `PROFILES`.
        minimal: the profile `minimal`: report only what is an error in the profile `default`, whatever the user decided.

    Raises:
        UnknownRuleError: a selector matches no rule.
    """
    entries = index()
    decided = tuple((severities or {}).items())
    choices = [(group, True) for group in PREREQUISITES]
    choices += [(selector, True) for selector in select or ["ALL"]]
    choices += [(selector, False) for selector in ignore]
    for selector, _ in (*choices[len(PREREQUISITES) :], *decided):
        if selector.upper() != "ALL" and not any(_specificity(selector, entry) for entry in entries):
            raise UnknownRuleError(selector, [word for entry in entries for word in (entry.code, entry.name)])
    chosen: list[tuple[Rule, str]] = []
    off = deselected = 0
    for entry in entries:
        wanted, _ = _most_specific(entry, choices)
        severity, overridden = _most_specific(entry, decided)
        if not wanted or (overridden and severity is None):
            deselected += 1
            continue
        asked = [selector for selector, on in choices if on] + [selector for selector, _ in decided]
        named = any(_specificity(selector, entry) == _EXACT for selector in asked)
        levels_of = _profile_of(entry, profile, named=named)
        if levels_of is None:
            off += 1
        else:
            chosen.append((load(entry), levels_of))
    return Selection(tuple(chosen), profile, decided, off, deselected, minimal)


def check(
    design: Design,
    selection: Selection | None = None,
    *,
    today: date | None = None,
    ignores: bool = True,
    require_reason: bool = True,
    base: str = "",
) -> Result:
    """Run rules over a design, and heed the ignore comments in its files.

    Args:
        design: the design, loaded under the selection's profile.
        selection: the rules; those of the design's profile if left out.
        today: the day that the end of an ignore is held against; without it no ignore ends.
        ignores: whether ignore comments are heeded.
        require_reason: whether an ignore without a reason is a finding.
        base: the folder that fingerprints name files from, so that they do not depend on where the program runs.
    """
    selection = selection or select_rules(profile=design.profile)
    findings: list[Finding] = []
    hidden: list[Hidden] = []
    crashes: list[Crash] = []
    found: list[tuple[Rule, str, Finding]] = []
    for rule, profile in selection.rules:
        try:
            for finding in rule.check(design):
                found.append((rule, profile, finding))
        except Exception as error:  # a rule that fails must not hide what the others say
            crashes.append(Crash(rule, error))
    judged, failed = confirm(design, found)
    crashes += [Crash(rule, error) for rule, error in failed]
    for rule, profile, finding, refuted in judged:
        stamped = replace(finding, code=rule.code, severity=selection.severity(rule, finding, profile))
        if stamped.severity is None or refuted:
            hidden.append(Hidden(stamped, "off" if stamped.severity is None else REFUTED))
        else:
            findings.append(stamped)
    if ignores:
        findings = _heed(design, findings, hidden, selection, today, require_reason=require_reason)
    shown, hidden = _identified(findings, hidden, base)
    return Result(
        shown,
        tuple(rule for rule, _ in selection.rules),
        tuple(design.sources),
        "minimal" if selection.minimal else selection.profile,
        tuple(hidden),
        selection.off,
        selection.deselected,
        tuple(crashes),
        verdicts=tuple(design.verification.verdicts) if _was_run(design) else (),
    )


def _was_run(design: Design) -> bool:
    """Whether the design's model ran, or was to run."""
    return "verification" in design.__dict__ or getattr(design, "verify", None) is not None


def merge(results: Sequence[Result]) -> Result:
    """One result of several designs checked in one run; a file that two of them include is reported once.

    Raises:
        ValueError: there is none.
    """
    if not results:
        raise ValueError("nothing was checked")
    if len(results) == 1:
        return results[0]
    sources = {source.path: source for result in results for source in result.sources}
    return replace(
        results[0],
        findings=tuple(_sorted(finding for result in results for finding in result.findings)),
        sources=tuple(sources.values()),
        hidden=tuple({_place(one.finding): one for result in results for one in result.hidden}.values()),
        compared=any(result.compared for result in results),
        crashes=tuple({crash.rule.code: crash for result in results for crash in result.crashes}.values()),
        verdicts=tuple(verdict for result in results for verdict in result.verdicts),
    )


_EXACT = 1000


def _heed(
    design: Design,
    findings: list[Finding],
    hidden: list[Hidden],
    selection: Selection,
    today: date | None,
    *,
    require_reason: bool,
) -> list[Finding]:
    """What the ignore comments leave of the findings, and what there is to say about the comments (HYG953)."""
    from coordlint import ignores

    documents = [document for document in design.documents if ignores.any_in(document)]
    if not documents:
        return findings
    codes = {word.casefold(): entry.code for entry in index() for word in (entry.code, entry.name)}
    judge = next(((rule, profile) for rule, profile in selection.rules if rule.code == ignores.CODE), None)
    applied = ignores.apply(
        findings,
        documents,
        codes,
        {rule.code for rule, _ in selection.rules},
        today,
        require_reason=require_reason,
        off=[one.finding for one in hidden],
    )
    kept = list(applied.kept)
    hidden += [Hidden(finding, "ignored", reason) for finding, reason in applied.ignored]
    if judge is not None:
        rule, profile = judge
        for problem in applied.problems:
            kept.append(replace(problem, code=rule.code, severity=selection.severity(rule, problem, profile)))
    return [finding for finding in kept if finding.severity is not None]


def _identified(
    findings: Iterable[Finding], hidden: Iterable[Hidden], base: str
) -> tuple[tuple[Finding, ...], list[Hidden]]:
    """The findings that are shown and those that are not, sorted, each once, with fingerprints.

    They are numbered together: hiding one of two equal findings must not turn the other one into it.
    """
    unseen = {_place(one.finding): one for one in hidden}
    seen: Counter[str] = Counter()
    shown, kept = [], []
    for finding in _sorted((*(one.finding for one in unseen.values()), *findings)):
        equal = fingerprint(finding, 0, base)
        identified = replace(finding, fingerprint=fingerprint(finding, seen[equal], base))
        seen[equal] += 1
        one = unseen.get(_place(finding))
        if one is None or one.finding is not finding:
            shown.append(identified)
        else:
            kept.append(one._replace(finding=identified))
    return tuple(shown), kept


def _sorted(findings: Iterable[Finding]) -> list[Finding]:
    unique = {_place(finding): finding for finding in findings}
    return [finding for _, finding in sorted(unique.items(), key=lambda item: item[0])]


def _place(finding: Finding) -> tuple[str, int, str, str, int]:
    span = finding.primary.span
    return span.source.path, span.start, finding.code, finding.message, span.end


def _specificity(selector: str, entry: Entry | Rule) -> int:
    """How closely a selector describes a rule; 0 if not at all."""
    upper = selector.upper()
    if upper == entry.code or selector.lower() == entry.name:
        return _EXACT
    if upper == "ALL":
        return 1
    return 1 + len(selector) if selector and entry.code.startswith(upper) else 0


def _most_specific(entry: Entry | Rule, choices: Sequence[tuple[str, T]]) -> tuple[T | None, bool]:
    best, value, found = 0, None, False
    for selector, choice in choices:
        specificity = _specificity(selector, entry)
        if specificity and specificity >= best:
            best, value, found = specificity, choice, True
    return value, found


def _profile_of(entry: Entry, profile: str, *, named: bool) -> str | None:
    """The profile whose severities a rule has: the run's or, for a rule named by the user, the next in which it is on."""
    for candidate in PROFILES[PROFILES.index(profile) :] if named else (profile,):
        if severity_in(entry.levels, candidate) is not None:
            return candidate
    return None
