"""Words that the rules about mixed patterns share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Label

if TYPE_CHECKING:
    from coordlint.system import Action, Process


def who(process: Process) -> str:
    """How a sentence names who does something: the workflow, or the service."""
    return f"workflow `{process.workflow.name}`" if process.workflow is not None else f"`{process.service.name}`"


def asks(request: Action) -> str:
    """``calls `ShipGoods``` or ``sends `ShipGoods```."""
    return f"{request.kind}s `{request.message.name}`"


def request_label(request: Action) -> Label:
    """The place of a call or send, and who makes it."""
    return Label(request.span, f"{who(request.process)} {asks(request)}")


def publication_label(emit: Action) -> Label:
    """The place where an event is published, and who does it."""
    return Label(emit.span, f"{who(emit.process)} publishes it")
