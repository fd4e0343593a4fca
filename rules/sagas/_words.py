"""How the findings about sagas name things."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.analysis.effects import entity_text
from coordlint.finding import Label

if TYPE_CHECKING:
    from coordlint.analysis.effects import Effects
    from coordlint.analysis.sagas import Failure, SagaStep
    from coordlint.system import Action, Fact, Process, Step


def whole(process: Process) -> str:
    """A process: ``workflow `Checkout```, ```handles PlaceOrder` of `Orders```."""
    if process.workflow is not None:
        return f"workflow `{process.workflow.name}`"
    return f"`{process.name}` of `{process.service.name}`"


def path(step: Step) -> str:
    """The model path of a step."""
    return f"{step.process.path} / {step.label.replace('`', '')}"


def when(failure: Failure) -> str:
    """A failure as a clause: ``when step `charge` fails``, or ``should step `ship` fail`` if nothing says that it can."""
    action = failure.action
    if action.step is not None:
        return f"when {action.step.label} fails" if failure.sure else f"should {action.step.label} fail"
    text = " ".join(action.span.text.split())
    if action.kind == "timer":
        return f"when `{text}` expires"
    return f"when it comes to `{text}`" if action.kind == "fail" else f"should `{text}` never end"


def effect(effects: Effects) -> str:
    """The first thing that effects change: ``writes `StockDb.stock```, or the text of an act in quotes."""
    if effects.acts:
        return f"{effects.acts[0].text}" if effects.acts[0].text else "acts"
    return next((f"writes `{entity_text(key)}`" for key in effects.writes), "changes state")


def stays(step: SagaStep) -> Label | None:
    """A label at what a step changes."""
    action = step.effects.shown
    return Label(action.span, f"{step.label} does this") if action is not None else None


def can_fail(cause: Action) -> Label:
    """A label at the ``fails`` that a failure goes back to, or at the action that may fail."""
    if cause.kind == "fail":
        return Label(cause.span, f"`{cause.process.service.name}` can fail here")
    return Label(cause.span, "this may fail")


def said(fact: Fact, text: str) -> tuple[Label, ...]:
    """A label at a declared fact; none where nothing is declared."""
    return (Label(fact.span, text),) if fact.span is not None else ()


def joined(texts: list[str]) -> str:
    """An enumeration: ``a, b and c``."""
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}"
