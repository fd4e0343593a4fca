"""The report for programs: JSON after the published schema `coordlint/schema/result.schema.json`.

The number `version` grows when a key changes its meaning or goes; new keys may come without notice.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from coordlint import __version__
from coordlint.source import printable_char

if TYPE_CHECKING:
    from coordlint.check import Result
    from coordlint.explore.verify import Verdict
    from coordlint.finding import Effect, Finding, Label, Run, Step
    from coordlint.source import Span

VERSION = 1


def render(result: Result, *, color: bool = False, quiet: bool = False) -> str:
    """The report as JSON; see `coordlint.report.render`."""
    return to_json(as_data(result))


def to_json(data: object) -> str:
    """Data as readable JSON that any encoder can write: lone surrogates become escapes such as `\\\\udc80`."""
    text = json.dumps(data, ensure_ascii=False, indent=2)
    return text.translate({code: "\\" + printable_char(chr(code)) for code in _surrogates(text)}) + "\n"


def as_data(result: Result) -> dict[str, Any]:
    """The report as values of JSON."""
    names = {rule.code: rule.name for rule in result.rules}
    return {
        "version": VERSION,
        "tool": {"name": "coordlint", "version": __version__},
        "profile": result.profile,
        "sources": [source.path for source in result.sources],
        "summary": {
            "counts": {severity.label: number for severity, number in result.counts.items()},
            "hidden": len(result.hidden),
            "rules_run": len(result.rules),
            "rules_off": result.off,
            "rules_deselected": result.deselected,
        },
        "rules": [
            {"code": rule.code, "name": rule.name, "group": rule.group, "levels": rule.levels, "summary": rule.summary}
            for rule in result.rules
        ],
        "findings": [_finding(finding, names) for finding in result.findings],
        "hidden": [
            {"how": hidden.how, "reason": hidden.reason, "finding": _finding(hidden.finding, names)}
            for hidden in result.hidden
        ],
        **({"verdicts": [_verdict(verdict) for verdict in result.verdicts]} if result.verdicts else {}),
        "crashes": [{"code": crash.rule.code, "error": _error(crash.error)} for crash in result.crashes],
    }


def _finding(finding: Finding, names: dict[str, str]) -> dict[str, Any]:
    fix = finding.fix
    return {
        "code": finding.code,
        "name": names.get(finding.code, ""),
        "severity": finding.severity.label if finding.severity else "off",
        "message": finding.message,
        "subject": finding.subject,
        "primary": _label(finding.primary),
        "related": [_label(label) for label in finding.related],
        "help": finding.help,
        "notes": list(finding.notes),
        "silence": finding.silence,
        **({"run": _run(finding.run)} if finding.run is not None else {}),
        "fix": fix
        and {
            "title": fix.title,
            "safe": fix.safe,
            "edits": [{**_place(edit.span), "text": edit.text} for edit in fix.edits],
        },
        "fingerprint": finding.fingerprint,
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "scene": verdict.scene,
        "verdict": verdict.words,
        "states": verdict.states,
        "complete_for": verdict.complete,
        "needs": verdict.violated,
        "proved": verdict.proved,
        "limit_reached": verdict.cut,
        "layers": list(verdict.layers),
        "never_occurred": [_label(label) for label in verdict.idle],
    }


def _run(run: Run) -> dict[str, Any]:
    return {
        "property": run.property,
        "scene": run.scene,
        "needs": {"faults": run.faults, "assumes": list(run.assumes)},
        "steps": [_step(step) for step in run.steps],
        "repeats_from": run.repeats_from or None,
        "unsent": [_label(label) for label in run.unsent],
        "end": run.end,
        "ends": [_effect(effect) for effect in run.ends()],
        "repairs": list(run.repairs),
        "tried": run.tried,
        "left_out": run.left_out,
        "bound": {"complete_for": run.complete},
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "n": step.number,
        "move": step.move,
        "from": step.sender,
        "to": step.receiver,
        "message": step.message,
        "reply": step.reply or None,
        "sent": step.sent or None,
        "copy_of": step.copy_of or None,
        "fault": step.fault,
        "bad": step.bad,
        "text": step.text,
        "ledger": [_effect(effect) for effect in step.ledger],
        "place": _place(step.span),
    }


def _effect(effect: Effect) -> dict[str, Any]:
    return {
        "action": effect.action,
        "by": effect.by,
        **({"occurrence": effect.source} if effect.source else {}),
        "executed": effect.executed,
        "undone": effect.undone,
        "state": effect.state,
    }


def _label(label: Label) -> dict[str, Any]:
    return {**_place(label.span), "text": label.text}


def _place(span: Span) -> dict[str, Any]:
    return {
        "path": span.source.path,
        "start": {"line": span.line, "column": span.column, "offset": span.start},
        "end": {"line": span.end_line, "column": span.end_column, "offset": span.end},
    }


def _error(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _surrogates(text: str) -> set[int]:
    return {ord(char) for char in text if "\ud800" <= char <= "\udfff"}
