"""Ignore comments: what they cover, which findings they hide, and what is wrong with the comments themselves (HYG953).

emits OrderPlaced        # coordlint: ignore[event-never-consumed] the data team listens
# coordlint: ignore[SPF101] until 2027-01-31: moves to the cluster in winter      (alone: covers what it stands above)
# coordlint: ignore-file[EVT201, EVT203] imported, looked at next week            (before the first declaration)
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from coordlint.finding import Finding, Fix, Label
from coordlint.names import closest
from coordlint.source import Edit, Span
from coordlint.syntax import Clause

if TYPE_CHECKING:
    from coordlint.syntax import Document

CODE = "HYG953"


class Selector(NamedTuple):
    """One rule named between the brackets: as written, where, and its code (None if no rule has that name)."""

    text: str
    span: Span
    code: str | None


class Ignore(NamedTuple):
    """One comment.

    Attributes:
        span: the comment, from its sign to the end of the reason.
        selectors: the rules it names.
        covers: the part of the file it speaks for; None when it is misplaced.
        reason: what stands behind the bracket, without the date.
        until: the last day on which it holds, or None.
        whole_file: an ``ignore-file``.
        problem: why the comment itself is no good, or an empty string.
        remedy: what to do about the problem.
    """

    span: Span
    selectors: tuple[Selector, ...]
    covers: Span | None
    reason: str
    until: date | None
    whole_file: bool
    problem: str = ""
    remedy: str = ""

    def expired(self, today: date | None) -> bool:
        """Whether its last day has passed."""
        return self.until is not None and today is not None and self.until < today


class Applied(NamedTuple):
    """What is left of the findings, what is ignored and why, and what is wrong with the comments."""

    kept: tuple[Finding, ...]
    ignored: tuple[tuple[Finding, str], ...]
    problems: tuple[Finding, ...]


_COMMENT = re.compile(
    r"(?:#|//|<!--)\s*coordlint:\s*(?P<word>[\w-]+)\s*(?:\[(?P<rules>[^\]]*)\])?\s*(?P<reason>.*?)\s*(?:(?<=[\s\]])(?:#|//)\s.*|-->\s*)?$"
)
_UNTIL = re.compile(r"until\s+(\d{4}-\d{2}-\d{2})\s*:?\s*(.*)", re.DOTALL)


def read(document: Document, codes: dict[str, str]) -> tuple[Ignore, ...]:
    """The ignore comments of a file, in order. ``codes`` gives a rule's code by its code or name, both in lower case."""
    clauses = sorted(_all_clauses(document.declarations), key=lambda clause: clause.span.start)
    starts = _first_on_lines(clauses)
    first = document.declarations[0].span.start if document.declarations else len(document.source.text)
    found = []
    for comment in document.comments:
        match = _COMMENT.match(comment.text)
        if match is not None:
            found.append(_ignore(comment, match, codes, starts, first))
    return tuple(found)


def apply(
    findings: Sequence[Finding],
    documents: Iterable[Document],
    codes: dict[str, str],
    ran: Collection[str],
    today: date | None,
    *,
    require_reason: bool = True,
    off: Iterable[Finding] = (),
) -> Applied:
    """Hide what the comments ignore, and judge the comments.

    That a comment hides nothing is only said of rules that ran.

    Args:
        findings: all findings of the run.
        documents: the files of the design.
        codes: rule codes by lower-case code or name.
        ran: the codes of the rules that ran.
        today: the day that ``until`` dates are held against; None if no ignore ends.
        require_reason: whether a comment without a reason is a problem.
        off: findings that the profile does not show: a comment that speaks of one is of use all the same.
    """
    ignores = [ignore for document in documents for ignore in read(document, codes)]
    by_source: dict[str, list[Ignore]] = {}  # by path: a file may be included twice, under different prefixes
    for ignore in ignores:
        by_source.setdefault(ignore.span.source.path, []).append(ignore)
    used: set[_Use] = set()
    kept: list[Finding] = []
    ignored: list[tuple[Finding, str]] = []
    for finding in findings:
        match = _match(finding, by_source.get(finding.primary.span.source.path, ()), today)
        if match is None:
            kept.append(finding)
        else:
            ignored.append((finding, match.reason))
            used.add(_use(match, finding.code))
    for finding in off:
        match = _match(finding, by_source.get(finding.primary.span.source.path, ()), today)
        if match is not None:
            used.add(_use(match, finding.code))
    problems = []
    for ignore in ignores:
        for problem in _problems(ignore, used, ran, today, require_reason=require_reason):
            match = _match(problem, by_source[problem.primary.span.source.path], today)
            if match is None:
                problems.append(problem)
            else:
                ignored.append((problem, match.reason))
    return Applied(tuple(kept), tuple(ignored), tuple(problems))


_Use = tuple[str, int, str]
"""A comment that hides a finding: its file, its place, and the code of the rule."""


def _use(ignore: Ignore, code: str) -> _Use:
    return ignore.span.source.path, ignore.span.start, code


def any_in(document: Document) -> bool:
    """Whether a file may hold ignore comments; cheap."""
    return "coordlint:" in document.source.text


# ------------------------------------------------------------------------------------------------ reading


def _ignore(
    comment: Span, match: re.Match[str], codes: dict[str, str], starts: dict[int, Clause], first: int
) -> Ignore:
    source = comment.source
    word = match["word"]
    reason, until, problem = match["reason"] or "", None, ""
    remedy = "move it above what it is about, or remove it"
    dated = _UNTIL.match(reason)
    if dated:
        reason = dated[2]
        try:
            until = date.fromisoformat(dated[1])
        except ValueError:
            problem, remedy = f"`{dated[1]}` is no day of the calendar", "write a date such as `until 2027-01-31`"
    selectors = tuple(_selectors(comment, match, codes))
    covers: Span | None
    line = comment.line
    line_start, line_end = source.line_bounds(line)
    if word == "ignore-file":
        covers = source.span() if comment.start < first else None
        if covers is None:
            problem = "`ignore-file` stands behind the first declaration, where it has no effect"
    elif source.text[line_start : comment.start].strip():
        covers = Span(source, line_start, line_end)
    else:
        covers = _below(source, line, starts)
        if covers is None:
            problem = "the comment stands above nothing that it could cover"
    if word not in {"ignore", "ignore-file"}:
        meant = closest(word, ("ignore", "ignore-file"))
        problem = f"`coordlint: {word}` means nothing" + (f", did you mean `{meant}`?" if meant else "")
        remedy = "write `ignore[rule-name] reason`, or remove it"
    elif match["rules"] is None or not selectors:
        problem = "the comment names no rule: write `ignore[rule-name] reason`"
        remedy = "name the rule, or remove the comment"
    return Ignore(
        comment, selectors, None if problem else covers, reason, until, word == "ignore-file", problem, remedy
    )


def _selectors(comment: Span, match: re.Match[str], codes: dict[str, str]) -> Iterator[Selector]:
    if not match["rules"]:
        return
    at = comment.start + match.start("rules")
    for part in re.finditer(r"[^,\s]+", match["rules"]):
        span = Span(comment.source, at + part.start(), at + part.end())
        yield Selector(part[0], span, codes.get(part[0].casefold()))


def _all_clauses(clauses: Iterable[Clause]) -> Iterator[Clause]:
    pending = list(clauses)
    while pending:
        clause = pending.pop()
        yield clause
        pending += [*(clause.body or ()), *clause.every(Clause)]


def _first_on_lines(clauses: Iterable[Clause]) -> dict[int, Clause]:
    """For each line the outermost clause that begins first on it."""
    starts: dict[int, Clause] = {}
    for clause in clauses:
        known = starts.get(clause.span.line)
        if known is None or (clause.span.start, -clause.span.end) < (known.span.start, -known.span.end):
            starts[clause.span.line] = clause
    return starts


def _below(source: object, line: int, starts: dict[int, Clause]) -> Span | None:
    """What a comment alone on its line covers: the clause that begins on the next line that is not a comment."""
    from coordlint.source import Source

    assert isinstance(source, Source)
    for number in range(line + 1, source.line_count + 1):
        text = source.line(number).strip()
        if text.startswith(("#", "//")):
            continue
        clause = starts.get(number)
        return clause.span if clause is not None else None
    return None


# ------------------------------------------------------------------------------------------------ judging


def _match(finding: Finding, ignores: Iterable[Ignore], today: date | None) -> Ignore | None:
    """The narrowest comment that hides the finding."""
    span = finding.primary.span
    candidates = []
    for ignore in ignores:
        if ignore.covers is None or ignore.expired(today) or all(s.code != finding.code for s in ignore.selectors):
            continue
        if ignore.covers.start <= span.start < max(ignore.covers.end, ignore.covers.start + 1) or (
            span.start <= ignore.covers.start and ignore.covers.end <= span.end and not ignore.whole_file
        ):
            candidates.append(ignore)
    return min(
        candidates,
        key=lambda one: (one.covers.end - one.covers.start, one.span.start) if one.covers else (0, 0),
        default=None,
    )


def _problems(
    ignore: Ignore, used: set[_Use], ran: Collection[str], today: date | None, *, require_reason: bool
) -> Iterator[Finding]:
    if ignore.problem:
        yield _problem(ignore, ignore.span, ignore.problem, ignore.remedy, _removal(ignore))
        return
    for selector in ignore.selectors:
        if selector.code is None:
            yield _problem(
                ignore, selector.span, f"there is no rule `{selector.text}` to ignore",
                "`coordlint rules` lists the rules", _without(ignore, (selector,)),
            )  # fmt: skip
    if ignore.expired(today):
        text = f"the ignore ended on {ignore.until}"
        yield _problem(ignore, ignore.span, text, "answer the finding, or set a new date", _removal(ignore))
        return
    unused = tuple(
        selector
        for selector in ignore.selectors
        if selector.code is not None
        and selector.code in ran
        and selector.code != CODE
        and _use(ignore, selector.code) not in used
    )
    if unused:
        names = ", ".join(f"`{selector.text}`" for selector in unused)
        yield _problem(
            ignore, unused[0].span, f"nothing here is reported by {names}", "remove it", _without(ignore, unused)
        )
    elif require_reason and not ignore.reason:
        yield _problem(ignore, ignore.span, "the ignore gives no reason", "write the reason behind the bracket", None)


def _problem(ignore: Ignore, span: Span, message: str, help: str, fix: Fix | None) -> Finding:
    subject = f"ignore {', '.join(selector.text for selector in ignore.selectors)}"
    return Finding(code=CODE, primary=Label(span), message=message, help=help, fix=fix, subject=subject)


def _removal(ignore: Ignore) -> Fix:
    """Remove the comment, with its line if nothing else stands there."""
    source = ignore.span.source
    start, end = source.line_bounds(ignore.span.line)
    if not source.text[start : ignore.span.start].strip():
        following = source.text.find("\n", end)
        return Fix(
            "remove the comment", (Edit(Span(source, start, following + 1 if following >= 0 else end), ""),), safe=True
        )
    before = len(source.text[: ignore.span.start].rstrip(" \t"))
    return Fix("remove the comment", (Edit(Span(source, before, ignore.span.end), ""),), safe=True)


def _without(ignore: Ignore, gone: tuple[Selector, ...]) -> Fix:
    left = [selector.text for selector in ignore.selectors if selector not in gone]
    if not left:
        return _removal(ignore)
    first, last = ignore.selectors[0].span, ignore.selectors[-1].span
    names = ", ".join(f"`{selector.text}`" for selector in gone)
    return Fix(f"remove {names} from the comment", (Edit(first.to(last), ", ".join(left)),), safe=True)
