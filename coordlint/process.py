"""The processes of a system: handlers, workflows and what services do on their own, with their triggers and bodies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from coordlint import facts
from coordlint.lowering import Body, Names
from coordlint.syntax import Clause, Quantity, Ref
from coordlint.system import (
    Process,
    Service,
    Trigger,
    Workflow,
)


def lower(
    names: Names,
    services: Sequence[tuple[Clause, str, Service]],
    workflows: Sequence[tuple[Clause, str, Workflow]],
) -> None:
    """Give the system its processes and actions, in an order that does not depend on the order of declarations."""
    paths: dict[str, int] = {}

    def unique(path: str) -> str:
        paths[path] = paths.get(path, 0) + 1
        return path if paths[path] == 1 else f"{path} #{paths[path]}"

    for clause, prefix, service in sorted(services, key=lambda one: one[2].name):
        names.prefix = prefix
        bodies = [(_handler_name(one), one) for one in clause.children("handler")]
        for name, one in sorted(bodies, key=lambda body: (body[0], body[1].span.text)):
            _handler(names, service, one, name, unique(f"service {service.name} / {name}"))
        _own_acts(names, service, clause, unique)
        _contracts(names, service, unique)
    for clause, prefix, workflow in sorted(workflows, key=lambda one: one[2].name):
        names.prefix = prefix
        _workflow(names, workflow, clause, unique(f"workflow {workflow.name}"))


# ------------------------------------------------------------------------------------------------ processes


def _handler_name(clause: Clause) -> str:
    trigger = clause.values[0]
    assert isinstance(trigger, Clause)
    return " ".join(trigger.span.text.split())


def _handler(names: Names, service: Service, clause: Clause, name: str, path: str) -> None:
    head = clause.values[0]
    assert isinstance(head, Clause)
    via = clause.child("via")
    ref = via.first(Ref) if via else None
    channel = names.channel(ref) if ref else None
    process = Process(
        kind="handler",
        service=service,
        name=_short(head),
        path=path,
        place=head.span,
        span=clause.span,
        triggers=(_trigger(names, head)._replace(via=channel),),
        facts=facts.read(clause.children(), names, what=f"`{name}` of service `{service.name}`"),
    )
    body = Body(names, process)
    body.run(clause)


def _short(head: Clause) -> str:
    """The trigger without its limits: ``on Paid and Reserved``."""
    refs = [ref.text for ref in _refs(head)]
    if head.kind == "handles":
        return f"handles {' or '.join(refs)}"
    if head.kind == "on":
        inner = head.values[0]
        word = " and " if isinstance(inner, Clause) and inner.kind == "all_of" else " or "
        return f"on {word.join(refs)}"
    return " ".join(head.span.text.split())


def _refs(clause: Clause) -> tuple[Ref, ...]:
    inner = clause.values[0] if clause.values else None
    return inner.every(Ref) if isinstance(inner, Clause) else clause.every(Ref)


def _trigger(names: Names, head: Clause) -> Trigger:
    kind = head.kind
    if kind == "handles":
        return Trigger("command", head.span, tuple(names.command(ref, "handles") for ref in head.every(Ref)))
    if kind == "on_change":
        ref = head.first(Ref)
        assert ref is not None
        return Trigger("change", head.span, entity=names.entity(ref))
    if kind in {"every", "starts_every"}:
        period = head.first(Quantity)
        assert period is not None
        return Trigger("timer", head.span, every=facts.positive(period, names))
    expression = head.values[0]
    assert isinstance(expression, Clause)
    refs = expression.every(Ref)
    mode: Literal["any", "all"] = "all" if expression.kind == "all_of" else "any"
    within, by = facts.within(expression, names), facts.keys(expression)
    if kind == "starts_on":
        return Trigger("start", head.span, tuple(names.message(ref) for ref in refs), mode, within, by)
    return Trigger("event", head.span, tuple(names.event(ref, "on") for ref in refs), mode, within, by)


def _own_acts(names: Names, service: Service, clause: Clause, unique: Callable[[str], str]) -> None:
    for act in sorted(clause.children("sends", "calls", "outcomes"), key=lambda act: act.span.text):
        name = " ".join(act.head.text.split())
        process = Process(
            kind="own",
            service=service,
            name=name,
            path=unique(f"service {service.name} / {name}"),
            place=act.head,
            span=act.span,
            triggers=(Trigger("entry", act.head),),
        )
        body = Body(names, process)
        body.run(Clause("handler", act.span, act.head, (), (act,)))


def _contracts(names: Names, service: Service, unique: Callable[[str], str]) -> None:
    """``publishes`` and ``consumes``: facts without causality, as contract documents give them."""
    for use in sorted(service.publishes, key=lambda use: use.span.text):
        process = Process(
            kind="own", service=service, name=f"publishes {use.message.name}",
            path=unique(f"service {service.name} / publishes {use.message.name}"), place=use.span, span=use.span,
            triggers=(Trigger("entry", use.span),), contract=True,
        )  # fmt: skip
        body = Body(names, process)
        body.begin(use.span)
        body.add("emit", use.span, uses=(use,))
        body.finish(use.span)
    for use in sorted(service.consumes, key=lambda use: use.span.text):
        process = Process(
            kind="handler", service=service, name=f"consumes {use.message.name}",
            path=unique(f"service {service.name} / consumes {use.message.name}"), place=use.span, span=use.span,
            triggers=(Trigger("command" if use.message.kind != "event" else "event", use.span, (use,)),), contract=True,
        )  # fmt: skip
        body = Body(names, process)
        body.begin(use.span)
        body.finish(use.span)


def _workflow(names: Names, workflow: Workflow, clause: Clause, path: str) -> None:
    process = Process(
        kind="workflow",
        service=workflow.service,
        name=f"workflow {workflow.name}",
        path=path,
        place=workflow.place,
        span=workflow.span,
        triggers=tuple(_trigger(names, head) for head in clause.children("starts_on", "starts_every")),
        facts=workflow.facts,
        workflow=workflow,
    )
    workflow.process = process
    body = Body(names, process)
    body.run(clause)
