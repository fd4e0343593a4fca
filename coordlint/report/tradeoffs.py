"""What each style of coordination costs and gives, beside what this design's own flows say about it in numbers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from coordlint.analysis.availability import availability_bound
from coordlint.report.style import count
from coordlint.system import Channel, Service, Workflow

if TYPE_CHECKING:
    from coordlint.analysis.flows import FlowView
    from coordlint.analysis.sequences import Sequences
    from coordlint.design import Design


class Concern(NamedTuple):
    """One row of the comparison: what to expect of each style, and the rules that look at it."""

    name: str
    orchestration: str
    choreography: str
    hybrid: str
    rules: str


CONCERNS = (
    Concern(
        "Where the flow lives",
        "one definition",
        "emerges from handlers",
        "one per context, public events between",
        "MIX408",
    ),
    Concern(
        "State of one instance",
        "ask the coordinator",
        "needs correlation and a tracker",
        "a coordinator per context",
        "OBS901 OBS902",
    ),
    Concern(
        "Errors and undoing",
        "central and ordered",
        "each service knows the events and how to undo",
        "central inside, failure events outside",
        "SAG301 SAG302 SAG303 SAG304 SAG305 EVT207 MIX405",
    ),
    Concern(
        "Concentration of failure", "the coordinator and its store", "the broker", "both, with smaller radius", "SPF101"
    ),
    Concern(
        "Ceiling of load",
        "transitions per second of the engine",
        "broker, consumers, partitions",
        "split",
        "RES806 RES807 RES808",
    ),
    Concern(
        "Latency",
        "an extra hop for each step, parallel work is easy",
        "fewer hops, long chains",
        "between the two",
        "RES803",
    ),
    Concern(
        "Coupling at run time",
        "participants have to answer the coordinator",
        "decoupled in time if channels are durable",
        "per context",
        "RES801",
    ),
    Concern(
        "Coupling of designs",
        "the coordinator knows the interfaces",
        "consumers know the schemas of producers; cycles are likely",
        "translated at the boundary",
        "CYC504 CON701",
    ),
    Concern("Adding a reaction", "change the coordinator", "add a subscriber", "subscribe to the end event", "EVT201"),
    Concern("Changing the sequence", "in one place", "in many services together", "in one context", "MIX408"),
    Concern("Order and consistency", "explicit", "only per key, if designed", "explicit inside", "DLV604 EVT208"),
    Concern("Autonomy of teams", "the process needs an owner", "high", "an owner per context", "SPF106"),
    Concern(
        "Typical use",
        "batches, approvals, money",
        "notices, analytics, telemetry",
        "a commercial core with reactors around it",
        "",
    ),
)
"""After the table of trade-offs of Ford, Richards, Sadalage and Dehghani (The Hard Parts) and Newman (Building Microservices)."""


def share(value: float) -> str:
    """A ratio as a percentage with as many digits as tell it from 100%."""
    if value >= 1:
        return "100%"
    for digits in range(1, 8):
        text = f"{value * 100:.{digits}f}"
        if not text.startswith("100"):
            return f"{text.rstrip('0').rstrip('.')}%"
    return "just below 100%"


def numbers(design: Design, view: FlowView, found: Sequences) -> tuple[str, ...]:
    """What the flow says about each of :data:`CONCERNS`, in their order."""
    own = [service for service in view.services if not service.external]
    workflows = list(dict.fromkeys(p.workflow for p in view.processes if p.workflow is not None))
    return (
        _place(design, view, found, own, workflows),
        _state(design, view, workflows),
        _errors(design, view, found),
        _concentration(design, view),
        _load(design, view, workflows),
        _latency(design, view, found),
        _run_time(design, view),
        _coupling(design, view),
        _reactions(design, view),
        _sequence(view, workflows),
        _order(design, view),
        _teams(own),
        f"this flow is {_styled(design, view)}",
    )


def _styled(design: Design, view: FlowView) -> str:
    said, seen = view.flow.fact("style").value, design.handovers.style(view)
    return f"{seen}, as it says" if said == seen else f"{seen}" + (f", and says {said}" if said else "")


def _place(design: Design, view: FlowView, found: Sequences, own: list[Service], workflows: list[Workflow]) -> str:
    decisions = sum(
        action.kind == "choice" and len(action.edges) > 1 and action.mode != "await"
        for action in view.actions(("choice",))
    )
    where = f"{count(len(workflows), 'workflow')} and " if workflows else ""
    handlers = sum(process.workflow is None and not process.service.external for process in view.processes)
    return (
        f"{where}{count(handlers, 'handler')} in {count(len(own), 'service')}; {count(decisions, 'decision')}; "
        f"{count(found.happy.depth, 'hop')} deep"
    )


def _state(design: Design, view: FlowView, workflows: list[Workflow]) -> str:
    known = []
    for workflow in workflows:
        state = workflow.fact("state")
        where = (
            "in memory" if state.value == "memory" else f"in `{state.value.name}`" if state.declared else "not declared"
        )
        known.append(f"`{workflow.name}` ({where})")
    watching = [
        m.name
        for m in design.system.monitors.values()
        if any(one is view.flow or one in workflows for one in m.watches)
    ]
    kept = "kept by " + ", ".join(known) if known else "kept by no coordinator"
    return kept + (
        f"; watched by {', '.join(f'`{name}`' for name in watching)}" if watching else "; no monitor watches it"
    )


def _errors(design: Design, view: FlowView, found: Sequences) -> str:
    steps = undone = 0
    for process in view.processes:
        if process.workflow is not None:
            for step in design.sagas.saga(process).steps:
                if design.sagas.needs_undo(step, unknown=True):
                    steps += 1
                    undone += step.compensation.declared
    failing = [path for path in found.paths if path.kind == "failure"]
    open_ends = sum(path.ends == "open" for path in failing)
    more = f" and {found.left_out} more" if found.left_out else ""
    text = f"{count(len(failing), 'way')}{more} to fail, {open_ends} of them without a declared outcome"
    return text + (f"; {undone} of {count(steps, 'step')} to undo have a compensation" if steps else "")


def _concentration(design: Design, view: FlowView) -> str:
    ranked = [one for one in design.criticals if any(flow is view for flow in one.flows)]
    exposed = [one for one in ranked if one.tolerance.crashes == 0]
    if not ranked:
        return "no component that it cannot do without" if view.level is not None else "its goal is not reached"
    names = ", ".join(f"`{one.component.name}` {one.blast_radius:.0%}" for one in exposed[:3])
    rest = f", and {len(exposed) - 3} more" if len(exposed) > 3 else ""
    tail = f": {names}{rest} (blast radius)" if exposed else ""
    return f"{count(len(ranked), 'component')} it cannot do without, {len(exposed)} without redundancy{tail}"


def _load(design: Design, view: FlowView, workflows: list[Workflow]) -> str:
    rate = view.flow.fact("rate")
    parts = [f"declared rate {rate.text.removeprefix('rate ')}" if rate.declared else "no rate declared"]
    for workflow in workflows:
        used = design.load.utilisation(workflow)
        parts.append(
            f"`{workflow.name}` uses {used.all:.0%} of its capacity"
            if used is not None
            else f"`{workflow.name}`: {design.load.transitions(workflow):g} transitions per instance"
        )
    parts.append(f"{design.load.emissions(view.flow):.4g} messages per instance at least")
    worst = max((design.load.retries.factor(process) for process in view.processes), default=1.0)
    parts.append(f"retries multiply a request by up to {worst:.4g}" if worst > 1 else "retries multiply nothing")
    return "; ".join(parts)


def latency_text(design: Design, view: FlowView) -> str:
    """The worst case as far as declared, in words."""
    found = design.latency.flow_duration(view)
    if found is None:
        if view.goal is None:
            return "unknown: it declares no goal"
        return (
            "unknown: its goal is not reached"
            if view.level is None
            else "unknown: a timer or somebody outside moves it on"
        )
    return f"{found.text} at least" if found.seconds else "unknown: no time is declared on its way"


def _latency(design: Design, view: FlowView, found: Sequences) -> str:
    parts = [f"worst case {latency_text(design, view)}", f"{count(found.happy.depth, 'hop')} in a row"]
    within = view.flow.fact("within")
    parts.append(f"promised: {within.text}" if within.declared else "no deadline declared")
    return "; ".join(parts)


def availability_text(design: Design, view: FlowView, *, acceptance: bool) -> str:
    """The availability bound in words."""
    bound = availability_bound(view, acceptance=acceptance, duration=design.latency.least_flow_duration(view))
    if bound is None:
        return "unknown: its goal is not reached"
    if not bound.contributors:
        return "unknown: no availability below 100% is declared on its way"
    return f"{share(bound.value)} at most"


def _run_time(design: Design, view: FlowView) -> str:
    kinds = Counter(action.kind for action in view.actions(("call", "send", "emit")))
    total = sum(kinds.values())
    waits = f"{kinds['call']} of {count(total, 'interaction')} wait for an answer" if total else "no interactions"
    accepted, completed = (availability_text(design, view, acceptance=one) for one in (True, False))
    return f"{waits}; availability of acceptance {accepted}, of completion {completed}"


def _coupling(design: Design, view: FlowView) -> str:
    pairs, crossing = set(), set()
    for action in view.actions(("emit", "send", "call")):
        for consumer in design.index.consumers(action.message):
            if consumer.service is not action.process.service:
                pairs.add((action.process.service.name, consumer.service.name))
                if consumer.service.context != action.process.service.context:
                    crossing.add((action.process.service.name, consumer.service.name))
    both = sum((b, a) in pairs for a, b in pairs) // 2
    text = f"{count(len(pairs), 'pair')} of services depend on each other's messages"
    text += f", {both} of them both ways" if both else ""
    return text + (f"; {len(crossing)} cross a context" if crossing else "")


def _reactions(design: Design, view: FlowView) -> str:
    heard: dict[str, int] = {}
    for action in view.actions(("emit",)):
        heard[action.message.name] = len(list(design.index.consumers(action.message)))
    alone = sum(number == 0 for number in heard.values())
    text = f"{count(len(heard), 'event')} to subscribe to"
    return text + (f"; {alone} of them without a consumer" if alone else "") if heard else "no event to subscribe to"


def _sequence(view: FlowView, workflows: list[Workflow]) -> str:
    bearing = {process.service.name for process in view.load_bearing if process.workflow is None}
    if workflows:
        return f"written down in {count(len(workflows), 'workflow')}; its goal needs handlers of {count(len(bearing), 'service')}"
    return f"spread over the handlers of {count(len(bearing), 'service')} that its goal needs"


def _order(design: Design, view: FlowView) -> str:
    reacting = [p for p in view.processes if any(t.kind == "event" for t in p.triggers) and p.workflow is None]
    ordered = sum(process.fact("ordered_by").declared for process in reacting)
    channels: dict[Channel, None] = {}
    for action in view.actions(("emit", "send")):
        if action.message.channel is not None:
            channels[action.message.channel] = None
    kept = sum(channel.fact("ordering").declared for channel in channels)
    declared = count(len(view.flow.orders), "declared order", "declared orders")
    return f"{declared}; {ordered} of {count(len(reacting), 'reaction')} ordered by a key; {kept} of {count(len(channels), 'channel')} keep order"


def _teams(own: list[Service]) -> str:
    teams = sorted(
        {service.fact("team").text.removeprefix("team ") for service in own if service.fact("team").declared}
    )
    contexts = sorted({service.context for service in own if service.context})
    parts = [f"{count(len(own), 'service')}"]
    parts.append(f"{count(len(teams), 'team')}: {', '.join(teams[:6])}" if teams else "no team declared")
    if contexts:
        parts.append(count(len(contexts), "context"))
    return "; ".join(parts)
