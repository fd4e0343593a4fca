"""A handler or workflow can never run, or never gets past a wait.

## Why

Nothing that the design knows of leads there: it is dead coordination logic, or a trigger that nobody declared. Both matter.
Dead handlers are maintained and trusted, and a path from outside that is missing in the design is missing in every other
check of it, too. Handlers that only start each other, and a process that waits for what only comes after the wait, look alive
in any list of publishers and subscribers; only following the messages from the entries shows that they never begin.

Each finding names the first standstill; the handlers and flows that stand still because of it are its notes. It is an error
if a flow can never reach its goal because of it.

## Bad

```coord
event OrderPlaced
command CancelOrder
external service Shop { emits OrderPlaced }
store OrdersDb { owner Orders }
service Orders {
  on OrderPlaced { writes OrdersDb.orders }
  handles CancelOrder { writes OrdersDb.orders } # EVT203
}
```

```coord
command PlaceOrder
event OrderPlaced
service Desk {
  handles PlaceOrder emits OrderPlaced # EVT203
}
service Orders {
  on OrderPlaced { acts "files the order" }
}
```

## Good

```coord
event OrderPlaced
command CancelOrder
external service Shop {
  emits OrderPlaced
  sends Orders.CancelOrder
}
store OrdersDb { owner Orders }
service Orders {
  on OrderPlaced { writes OrdersDb.orders }
  handles CancelOrder { writes OrdersDb.orders }
}
```

## Exempt

- What stands still because of an event that nothing publishes: a note of EVT202.
- Statements that control never reaches within a running process: SAG307 names them.
- Blocks that answer a failure or undo a step, and what they call: the rules on sagas judge whether these can run.
- A handler that only reads or answers is reported as information: nothing is coordinated there.
- A design without any entry gets one piece of information instead: say what comes from outside, by an `external service`, an
  `external event`, a timer (`every`) or the start of a flow.

## References

- W. van der Aalst, "The application of Petri nets to workflow management", 1998: no dead transitions is one of the three
  conditions of soundness.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordlint.finding import Claim, Finding, Label
from coordlint.rule import rule

from ._words import called, listed, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordlint.analysis.liveness import Cause, Standstill
    from coordlint.design import Design
    from coordlint.system import Action, Message, Process, Trigger

MOST_NOTES = 5
"""How many consequences are told one by one."""

_WORK = ("write", "act", "emit", "send", "call", "await")


@rule("EVT203", "unreachable-handler", "W/W/E", evidence="S")
def check(design: Design) -> Iterator[Finding]:
    """One finding per cause, or one for a design that says nowhere how anything begins."""
    causes = design.liveness.causes
    if causes and design.liveness.without_entry:
        yield _without_entry(causes)
        return
    for cause in causes:
        yield _finding(design, cause)


def _without_entry(causes: tuple[Cause, ...]) -> Finding:
    first = min((cause.members[0].process for cause in causes), key=lambda one: _position(one))
    return Finding(
        primary=Label(first.place, "what leads here?"),
        message="the design does not say what sets it in motion, so no handler is known to run",
        help="declare the entries: an `external service` that sends, calls or emits, an `every`, or a flow with its start",
        silence="any entry",
        subject="design",
        levels="I/I/I",
    )


def _position(process: Process) -> tuple[str, int]:
    return process.place.source.path, process.place.start


def _finding(design: Design, cause: Cause) -> Finding:
    process, action = cause.members[0]
    levels = "E/E/E" if cause.flows else ""
    if not levels and _only_reads(design, cause):
        levels = "I/W/W"
    return Finding(
        primary=Label(process.place if action is None else action.span, _label(action)),
        message=_message(design, cause),
        related=shown([*_circle(cause), *_clues(design, cause.members[0])]),
        help=_help(cause.members[0]),
        notes=tuple(_notes(cause)),
        silence="an entry that leads there: an `external service` that sends or emits it, or a flow that starts with it",
        subject=process.path,
        levels=levels,
        claim=Claim(
            follows=(
                *(view.flow.place for view in cause.flows),
                *(one.process.span for one in (*cause.members, *cause.follows)),
            )
        ),
    )


def _message(design: Design, cause: Cause) -> str:
    process, action = cause.members[0]
    who = called(process)
    circle = ""
    if len(cause.members) > 1:
        others = " and ".join(called(one.process) for one in cause.members[1:3])
        verb = "start" if all(one.action is None for one in cause.members) else "wait for"
        circle = f"it and {others} only {verb} each other"
    if action is None:
        return f"{who} never runs: {circle or _why_not_started(design, process)}"
    if action.kind == "await":
        names = listed((use.message.name for use in action.uses), word="or")
        return f"{who} waits in vain for {names}: {circle or _why_not_sent(design, action)}"
    return f"{who} never gets past `{_text(action)}`, which can only end in failure"


def _text(action: Action) -> str:
    return " ".join(action.span.text.split())


def _why_not_started(design: Design, process: Process) -> str:
    if not process.triggers:
        return "nothing starts it"
    reasons = [_missing(design, trigger) for trigger in process.triggers]
    return next((reason for reason in reasons if reason), "what starts it never gets there")


def _missing(design: Design, trigger: Trigger) -> str:
    if trigger.entity is not None:
        return f"nothing that runs writes `{trigger.entity.text}`"
    silent = [use.message for use in trigger.uses if not design.index.producers(use.message)]
    if silent:
        return f"nothing {_verb(silent[0])} {listed((one.name for one in silent), word='or')}"
    return ""


def _verb(message: Message) -> str:
    return "publishes" if message.kind == "event" else "sends"


def _why_not_sent(design: Design, action: Action) -> str:
    producers = [one for use in action.uses for one in design.index.producers(use.message)]
    if not producers:
        return "nothing sends it" if action.uses[0].message.kind != "event" else "nothing publishes it"
    if all(one.process is action.process for one in producers):
        return "it only comes after this wait"
    return "what sends it never gets there"


def _label(action: Action | None) -> str:
    return "never runs" if action is None else "nothing leads on from here"


def _circle(cause: Cause) -> list[Label]:
    return [
        Label(one.process.place, "never runs either")
        if one.action is None
        else Label(one.action.span, "nothing leads on from here either")
        for one in cause.members[1:]
    ]


def _clues(design: Design, standstill: Standstill) -> list[Label]:
    """Where the message would come from."""
    process, action = standstill
    uses = [use for trigger in process.triggers for use in trigger.uses] if action is None else list(action.uses)
    return [
        Label(producer.span, f"`{use.message.name}` comes from here")
        for use in uses
        for producer in design.index.producers(use.message)
        if producer.process is not process or action is not None
    ]


def _help(standstill: Standstill) -> str:
    if standstill.action is None:
        return "declare what leads here, such as the `external service` that sends it, or remove the handler"
    return "let something that runs before send what is waited for, or remove the wait"


def _notes(cause: Cause) -> Iterator[str]:
    for view in cause.flows:
        yield f"because of it, flow `{view.flow.name}` never reaches its goal"
    for process, action in cause.follows[:MOST_NOTES]:
        yield f"because of it, {called(process)} never {'runs' if action is None else f'gets past `{_text(action)}`'}"
    if len(cause.follows) > MOST_NOTES:
        yield f"{len(cause.follows) - MOST_NOTES} more handlers and workflows stand still because of it"


def _only_reads(design: Design, cause: Cause) -> bool:
    process, action = cause.members[0]
    alone = len(cause.members) == 1 and not cause.follows and action is None
    return alone and next(design.system.actions_of(process, *_WORK), None) is None  # type: ignore[arg-type]
