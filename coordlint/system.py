"""The resolved model of a design: services, messages, channels, stores, workflows, flows, and the processes in them.

Names have become objects, attributes have become three-valued facts, bodies have become control-flow graphs. The model is
built once by ``resolve.py`` and ``process.py`` and never changed afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from coordlint.source import Span

FactName = Literal[
    # redundancy, capacity, time
    "availability", "capacity", "failover", "in_memory", "min_insync", "mttr", "nodes", "owner", "quorum", "replicas",
    "replication", "retry_budget", "rto", "zones",
    # channels
    "ack_timeout", "archive", "dead_letter", "dedup", "delivery", "kind", "max_message", "ordering", "partitions",
    "redrive", "retention",
    # messages
    "compatible", "deprecated", "key", "migrating", "provisional", "scatter", "size", "technical", "terminal",
    # handlers and workflows
    "batch", "compensates", "concurrency", "fences", "idempotent", "if_changed", "max_depth", "max_hops",
    "max_inflight", "notifies", "on_timeout", "on_unexpected", "ordered_by", "outbox", "projection", "re_emits", "recovery",
    "resequences", "state", "takes", "timeout", "uses_fields", "when",
    # calls and steps
    "attempts", "backoff", "breaker", "compensate", "deadline", "fallback", "irreversible", "isolation", "on_failure",
    "optional", "pivot", "retriable", "retries",
    # flows, and what every declaration may say
    "criticality", "latency", "rate", "style", "visibility", "within",
    "link", "note", "tags", "team",
]  # fmt: skip


class Fact(NamedTuple):
    """One attribute: declared with a value, declared absent (``no outbox``, ``not idempotent``), or unknown (left out).

    Units of ``value``: durations in seconds, rates per second, sizes in bytes, percentages as ratios.
    """

    state: Literal["declared", "absent", "unknown"] = "unknown"
    value: Any = None
    span: Span | None = None
    why: str = ""

    @property
    def declared(self) -> bool:
        """The author gave a value."""
        return self.state == "declared"

    @property
    def absent(self) -> bool:
        """The author said that there is none."""
        return self.state == "absent"

    @property
    def unknown(self) -> bool:
        """The author said nothing, which is never turned into a default."""
        return self.state == "unknown"

    @property
    def text(self) -> str:
        """The fact as it was written, for messages; empty if unknown."""
        return " ".join(self.span.text.split()) if self.span else ""


UNKNOWN = Fact()


@dataclass(slots=True, eq=False, kw_only=True)
class Element:
    """What every declared thing has: a name, where it stands, and its facts.

    Attributes:
        name: the declared name, with its prefix if it came from a prefixed include.
        place: the span of the name where it is declared.
        span: the whole declaration.
        facts: by name; use :meth:`fact`.
        context: the bounded context it is declared in, or an empty string.
        phantom: not declared, made up for an unresolved reference so that the rest of the design still makes sense.
    """

    name: str
    place: Span
    span: Span
    title: str = ""
    facts: Mapping[str, Fact] = field(default_factory=dict)
    context: str = ""
    phantom: bool = False

    def fact(self, name: FactName) -> Fact:
        """The fact of that name, or the unknown fact."""
        return self.facts.get(name, UNKNOWN)


class DeadLetter(NamedTuple):
    """The value of a ``dead-letter`` fact: where it goes, after how many deliveries, and whether per key."""

    channel: Channel
    after: int | None
    by: tuple[str, ...]


class Backoff(NamedTuple):
    """The value of a ``backoff`` fact: base and cap in seconds, the growth factor (1 = constant), and jitter."""

    base: float
    factor: float
    cap: float | None
    jitter: bool


class Guard(NamedTuple):
    """The value of a ``when`` fact."""

    when: str
    until: str | None


class Compatibility(NamedTuple):
    """The value of a ``compatible`` fact: none, backward, forward or full; transitive against all versions."""

    mode: str
    transitive: bool


@dataclass(slots=True, eq=False, kw_only=True)
class Broker(Element):
    """A message broker. Facts: nodes, replication, min_insync, quorum, availability, capacity."""

    uses: tuple[Use, ...] = ()


@dataclass(slots=True, eq=False, kw_only=True)
class Channel(Element):
    """A topic or queue. ``broker`` is None when the design does not say what it runs on."""

    broker: Broker | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class Store(Element):
    """A database or other keeper of entities. The fact ``owner`` holds a Service."""


class Field(NamedTuple):
    """A field of a message version or type. ``type`` is a type's name, or ``enum`` with ``symbols``."""

    name: str
    type: str
    array: bool
    optional: bool
    default: str | None
    symbols: tuple[str, ...]
    span: Span


@dataclass(slots=True, eq=False, kw_only=True)
class Version(Element):
    """One declared version of a message. ``number`` is ``""`` when none was given."""

    number: str
    fields: tuple[Field, ...] = ()
    channel: Channel | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class Message(Element):
    """An event, command or query with all its versions, oldest first; the facts are those of the newest.

    ``visibility`` is public, private, external (published or sent from outside) or internal (nothing said).
    """

    kind: Literal["event", "command", "query"]
    visibility: Literal["public", "private", "external", "internal"] = "internal"
    versions: tuple[Version, ...] = ()

    @property
    def channel(self) -> Channel | None:
        """The channel of the newest version, or None when it is not said."""
        return self.versions[-1].channel if self.versions else None

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields of the newest version."""
        return self.versions[-1].fields if self.versions else ()


@dataclass(slots=True, eq=False, kw_only=True)
class Type(Element):
    """A named record type."""

    fields: tuple[Field, ...] = ()


class MessageUse(NamedTuple):
    """A place where a message is named: ``pin`` is a version or range (``1..2``), ``service`` the one named before the dot."""

    message: Message
    span: Span
    pin: str | None = None
    service: Service | None = None


class EntityUse(NamedTuple):
    """A place where a store or one of its entities is read or written; ``entity`` is None for the whole store."""

    store: Store
    entity: str | None
    span: Span

    @property
    def text(self) -> str:
        """``OrdersDb.orders``, or the store's name."""
        return f"{self.store.name}.{self.entity}" if self.entity else self.store.name


class Use(NamedTuple):
    """A ``uses X``: what cannot be done without."""

    target: Broker | Channel | Store | Service
    span: Span


@dataclass(slots=True, eq=False, kw_only=True)
class Service(Element):
    """A service. ``calls`` holds what its calls do not say themselves (``calls { no timeout }``)."""

    external: bool = False
    uses: tuple[Use, ...] = ()
    calls: Mapping[str, Fact] = field(default_factory=dict)
    publishes: tuple[MessageUse, ...] = ()
    consumes: tuple[MessageUse, ...] = ()


@dataclass(slots=True, eq=False, kw_only=True)
class Workflow(Element):
    """An orchestrated process that runs in a service. Facts: state (a Store or ``"memory"``), timeout, recovery, …"""

    service: Service
    process: Process = field(init=False)


class Goal(NamedTuple):
    """What a flow ends with: any or all of the targets, each a message or a workflow."""

    mode: Literal["any", "all"]
    targets: tuple[MessageUse | Workflow, ...]
    span: Span


class Order(NamedTuple):
    """A declared ``order A before B``."""

    first: MessageUse
    then: MessageUse
    span: Span


@dataclass(slots=True, eq=False, kw_only=True)
class Flow(Element):
    """An end-to-end flow: how it starts, what counts as success and as failure, and what it promises."""

    starts: tuple[MessageUse | Workflow, ...] = ()
    source: Service | None = None
    success: Goal | None = None
    failure: Goal | None = None
    orders: tuple[Order, ...] = ()


@dataclass(slots=True, eq=False, kw_only=True)
class Monitor(Element):
    """What observes: ``watches`` flows, services, channels and workflows."""

    watches: tuple[Flow | Service | Channel | Workflow, ...] = ()
    uses: tuple[Use, ...] = ()


@dataclass(slots=True, eq=False, kw_only=True)
class Context(Element):
    """A bounded context; declarations inside it carry its name."""


# ------------------------------------------------------------------------------------------------ processes

ActionKind = Literal[
    "start",  # the process begins: its trigger fired
    "emit",  # publishes `use`; `failure` marks the event of a `fails EVENT`
    "send",  # sends the command `use`, no answer awaited; `delay` in seconds
    "call",  # calls `use` and waits for the outcome: edges ok, failure, timeout
    "await",  # waits until any of `uses` arrives; entered by the edge of its alternatives' choice
    "timer",  # the `within` of an await, or a `waits`; `delay` in seconds
    "read", "write",  # of `entities`
    "act",  # an effect outside the design's data, `text` says which
    "choice",  # exactly one of its edges (an `either`, alternative outcomes, or the first arrival of an await)
    "fork", "join",  # all branches / all joined; a join with mode `any` goes on with the first
    "loop",  # the head of a repeat or for-each: edges `body` and `exit`; `limit` as declared
    "succeed",  # `succeeds`
    "fail",  # `fails`: the business failure begins here; its edge leads to what is undone
    "end",  # the process has done its work
    "failed",  # the process has ended in failure
]  # fmt: skip

EdgeKind = Literal["next", "ok", "failure", "timeout", "body", "exit", "branch", "compensate"]

Region = Literal["main", "failure", "timeout", "compensation", "fallback"]


class Edge(NamedTuple):
    """A control-flow edge to the action with that id; ``chance`` is a declared probability (a ratio)."""

    target: int
    kind: EdgeKind = "next"
    chance: float | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class Action:
    """One node of a process's control-flow graph.

    Attributes:
        id: its index in ``System.actions``.
        kind: see ``ActionKind``.
        process: the process it belongs to.
        span: where it stands.
        region: main, or the block it runs in: failure, timeout, compensation, fallback.
        step: the workflow step (explicit, or implied by a bare call) it belongs to.
        edges: where control goes next.
        facts: the attributes in the braces of a call, send or await (``by``, ``within`` are fields below).
    """

    id: int
    kind: ActionKind
    process: Process
    span: Span
    region: Region = "main"
    step: Step | None = None
    edges: list[Edge] = field(default_factory=list)
    facts: Mapping[str, Fact] = field(default_factory=dict)
    uses: tuple[MessageUse, ...] = ()
    entities: tuple[EntityUse, ...] = ()
    text: str = ""
    delay: float | None = None
    within: Fact = UNKNOWN
    by: tuple[str, ...] = ()
    mode: str = ""
    limit: int | None = None
    failure: bool = False

    @property
    def use(self) -> MessageUse:
        """The one message of an emit, send or call."""
        return self.uses[0]

    @property
    def message(self) -> Message:
        """The message of an emit, send or call."""
        return self.uses[0].message

    def own_fact(self, name: FactName) -> Fact:
        """What the action itself says."""
        return self.facts.get(name, UNKNOWN)

    def fact(self, name: FactName) -> Fact:
        """What governs this call: its own fact, else its step's, else what its service says for all calls."""
        own = self.facts.get(name)
        if own is None and self.step is not None:
            own = self.step.facts.get(name)
        if own is None:
            own = self.process.service.calls.get(name)
        return own or UNKNOWN


@dataclass(slots=True, eq=False, kw_only=True)
class Step:
    """A unit of compensation: a named ``step``, or a bare call or send outside of one (``name`` is then empty).

    Attributes:
        facts: the attributes in the step's own braces.
        actions: ids of the actions of its own work (without compensation and failure blocks).
        compensation: the actions that undo it, in order; empty when none is declared.
    """

    name: str
    span: Span
    place: Span
    process: Process
    facts: Mapping[str, Fact] = field(default_factory=dict)
    actions: list[int] = field(default_factory=list)
    compensation: list[int] = field(default_factory=list)

    def fact(self, name: FactName, system: System) -> Fact:
        """The step's own fact, else that of one of its calls (``step s calls X { pivot }`` says it on the call)."""
        own = self.facts.get(name)
        if own is not None:
            return own
        for action in self.actions:
            found = system.actions[action].facts.get(name)
            if found is not None:
                return found
        return UNKNOWN

    @property
    def label(self) -> str:
        """How messages name it: ``step `reserve``` or the text of the bare call."""
        return f"step `{self.name}`" if self.name else f"`{' '.join(self.place.text.split())}`"


class Trigger(NamedTuple):
    """What starts a process.

    ``kind``: command, event, change (of ``entity``), timer (``every`` in seconds), start (a workflow's ``starts on``), or
    entry (nothing inside the design: a service's own act). ``mode`` is ``all`` for a join.
    """

    kind: Literal["command", "event", "change", "timer", "start", "entry"]
    span: Span
    uses: tuple[MessageUse, ...] = ()
    mode: Literal["any", "all"] = "any"
    within: Fact = UNKNOWN
    by: tuple[str, ...] = ()
    via: Channel | None = None
    entity: EntityUse | None = None
    every: float | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class Process:
    """A handler, a workflow, or something a service does on its own: a control-flow graph over ``System.actions``.

    Attributes:
        kind: handler, workflow or own.
        name: how messages name it: ``handles ReserveStock``, ``on OrderPlaced``, ``workflow Checkout``.
        path: its path in the model, ``service Inventory / handles ReserveStock``; unique in a system.
        place: the span to point at: the trigger of a handler, the name of a workflow.
        triggers: usually one; a workflow without a ``starts`` has none.
        actions: ids, ``actions[0]`` is the start.
        contract: comes from ``publishes`` or ``consumes``: a fact without causality.
    """

    kind: Literal["handler", "workflow", "own"]
    service: Service
    name: str
    path: str
    place: Span
    span: Span
    triggers: tuple[Trigger, ...] = ()
    facts: Mapping[str, Fact] = field(default_factory=dict)
    workflow: Workflow | None = None
    steps: list[Step] = field(default_factory=list)
    actions: list[int] = field(default_factory=list)
    contract: bool = False

    @property
    def start(self) -> int:
        """The id of the start action."""
        return self.actions[0]

    @property
    def command(self) -> Message | None:
        """The command or query it handles, or None."""
        for trigger in self.triggers:
            if trigger.kind == "command":
                return trigger.uses[0].message if trigger.uses else None
        return None

    def fact(self, name: FactName) -> Fact:
        """The handler's or workflow's own fact; ``outbox`` is inherited from the service."""
        own = self.facts.get(name)
        if own is None and name == "outbox":
            own = self.service.facts.get(name)
        return own or UNKNOWN


@dataclass(slots=True, eq=False, kw_only=True)
class System:
    """Everything a design declares, by name and in a deterministic order (sorted by name), and all processes and actions."""

    name: str = ""
    title: str = ""
    contexts: dict[str, Context] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    messages: dict[str, Message] = field(default_factory=dict)
    types: dict[str, Type] = field(default_factory=dict)
    brokers: dict[str, Broker] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    stores: dict[str, Store] = field(default_factory=dict)
    workflows: dict[str, Workflow] = field(default_factory=dict)
    flows: dict[str, Flow] = field(default_factory=dict)
    monitors: dict[str, Monitor] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)

    def actions_of(self, process: Process, *kinds: ActionKind) -> Iterator[Action]:
        """The actions of a process, of those kinds or all."""
        for index in process.actions:
            action = self.actions[index]
            if not kinds or action.kind in kinds:
                yield action

    def events(self) -> Iterator[Message]:
        """The declared events, by name."""
        return (message for message in self.messages.values() if message.kind == "event")

    def commands(self) -> Iterator[Message]:
        """The declared commands and queries, by name."""
        return (message for message in self.messages.values() if message.kind != "event")
