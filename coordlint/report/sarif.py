"""The report as SARIF 2.1.0, for code scanning services and editors."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from coordlint import __version__
from coordlint.finding import Label, Severity, severity_in
from coordlint.report.json import to_json
from coordlint.report.runs import closing, effect, sentence

if TYPE_CHECKING:
    from coordlint.check import Hidden, Result
    from coordlint.finding import Finding, Fix, Run, Step
    from coordlint.rule import Rule
    from coordlint.source import Span

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
ROOT = "%SRCROOT%"
"""The base of relative paths, by its customary name: the consumer knows where it checked the repository out."""

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "note", Severity.HINT: "note"}


def render(result: Result, *, color: bool = False, quiet: bool = False) -> str:
    """The report as SARIF; see `coordlint.report.render`."""
    return to_json(as_log(result))


def as_log(result: Result) -> dict[str, Any]:
    """The report as values of a SARIF log with one run."""
    indexes = {rule.code: number for number, rule in enumerate(result.rules)}
    state = {"baselineState": "new"} if result.compared else {}
    results = [{**_result(finding, indexes), **state} for finding in result.findings]
    results += [
        {**_suppressed(hidden, indexes), **_state(hidden, state)} for hidden in result.hidden if hidden.how != "off"
    ]
    run = {
        "tool": {
            "driver": {
                "name": "coordlint",
                "semanticVersion": __version__,
                "rules": [_rule(rule, result.profile) for rule in result.rules],
            }
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": not result.crashes,
                "toolExecutionNotifications": [
                    {
                        "level": "error",
                        "message": {"text": f"the rule {crash.rule.code} failed: {crash.error}"},
                        "associatedRule": {"id": crash.rule.code, "index": indexes[crash.rule.code]},
                    }
                    for crash in result.crashes
                ],
            }
        ],
        "artifacts": [{"location": _artifact(source.path)} for source in result.sources],
        "results": results,
        "properties": {"profile": result.profile},
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(rule: Rule, profile: str) -> dict[str, Any]:
    severity = severity_in(rule.levels, "default" if profile == "minimal" else profile)
    markdown = f"{rule.summary}\n\n{rule.doc.markdown}"
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.doc.why or rule.summary},
        "help": {"text": markdown, "markdown": markdown},
        "defaultConfiguration": {
            "enabled": severity is not None,
            "level": _LEVELS[severity] if severity else "none",
        },
        "properties": {"tags": ["coordination", rule.group], "evidence": rule.evidence, "levels": rule.levels},
    }


def _result(finding: Finding, indexes: dict[str, int]) -> dict[str, Any]:
    data: dict[str, Any] = {
        "ruleId": finding.code,
        "level": _LEVELS[finding.severity] if finding.severity else "none",
        "message": {"text": _message(finding)},
        "locations": [_location(finding.primary, subject=finding.subject)],
        "partialFingerprints": {"coordlint/v1": finding.fingerprint},
    }
    if finding.code in indexes:
        data["ruleIndex"] = indexes[finding.code]
    if finding.related:
        data["relatedLocations"] = [
            {"id": number, **_location(label)} for number, label in enumerate(finding.related, start=1)
        ]
        steps = [{"location": _location(label)} for label in (finding.primary, *finding.related)]
        data["codeFlows"] = [{"threadFlows": [{"locations": steps}]}]
    if finding.run is not None and finding.run.steps:
        data["codeFlows"] = [{"threadFlows": [{"locations": _steps(finding.run)}]}]
    if finding.fix:
        data["fixes"] = [_fix(finding.fix)]
    return data


def _steps(run: Run) -> list[dict[str, Any]]:
    """The steps of a counterexample: who acts is the nesting level; the faults and the violation are essential."""
    lanes = list(dict.fromkeys(step.receiver for step in run.steps))
    return [
        {
            "location": _location(Label(step.span, sentence(step, run.steps))),
            "executionOrder": step.number,
            "nestingLevel": lanes.index(step.receiver),
            "importance": "essential" if step.fault or step.bad else "important",
            **({"state": _changed(step)} if step.ledger else {}),
        }
        for step in run.steps
    ]


def _changed(step: Step) -> dict[str, dict[str, str]]:
    """What a step changes in the ledger: the action is the variable, what has become of it is the value."""
    return {name.replace("`", ""): {"text": state} for name, state in map(effect, step.ledger)}


def _state(hidden: Hidden, state: dict[str, str]) -> dict[str, str]:
    return {"baselineState": "unchanged"} if hidden.how == "in the baseline" else state


def _suppressed(hidden: Hidden, indexes: dict[str, int]) -> dict[str, Any]:
    suppression = {"kind": "inSource" if hidden.how == "ignored" else "external"}
    if hidden.reason:
        suppression["justification"] = hidden.reason
    return {**_result(hidden.finding, indexes), "suppressions": [suppression]}


def _message(finding: Finding) -> str:
    lines = [finding.message, *(closing(finding.run) if finding.run is not None else ()), *finding.notes]
    lines += [f"help: {finding.help}"] if finding.help else []
    lines += [f"silence: {finding.silence}"] if finding.silence else []
    return "\n".join(lines)


def _location(label: Label, subject: str = "") -> dict[str, Any]:
    data: dict[str, Any] = {
        "physicalLocation": {"artifactLocation": _artifact(label.span.source.path), "region": _region(label.span)}
    }
    if label.text:
        data["message"] = {"text": label.text}
    if subject:
        data["logicalLocations"] = [{"fullyQualifiedName": subject}]
    return data


def _region(span: Span) -> dict[str, int]:
    return {
        "startLine": span.line,
        "startColumn": span.column,
        "endLine": span.end_line,
        "endColumn": span.end_column,
    }


def _fix(fix: Fix) -> dict[str, Any]:
    changes: dict[str, list[dict[str, Any]]] = {}
    for edit in fix.edits:
        change = {"deletedRegion": _region(edit.span), "insertedContent": {"text": edit.text}}
        changes.setdefault(edit.span.source.path, []).append(change)
    return {
        "description": {"text": fix.title},
        "artifactChanges": [
            {"artifactLocation": _artifact(path), "replacements": replacements}
            for path, replacements in changes.items()
        ],
        "properties": {"safe": fix.safe},
    }


def _artifact(path: str) -> dict[str, str]:
    pure = PurePath(path)
    posix = pure.as_posix()
    try:
        data = posix.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        data = posix.encode("utf-8", "surrogatepass")
    if pure.is_absolute():
        return {"uri": "file://" + ("" if posix.startswith("/") else "/") + quote(data, safe="/:")}
    return {"uri": quote(data), "uriBaseId": ROOT}
