"""Syntax to model: declarations become objects and every name finds what it means, or a REF finding says what is missing.

A reference that cannot be resolved keeps the model whole: the near miss is taken where there is exactly one, otherwise a
*phantom* stands in, which no other rule judges. So one misspelt name costs one finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple, TypeVar, cast

from coordlint import facts
from coordlint.finding import Finding
from coordlint.process import lower
from coordlint.references import References, prefixed
from coordlint.source import Span
from coordlint.syntax import Clause, Document, Name, Ref, Word
from coordlint.system import (
    Broker,
    Channel,
    Context,
    Element,
    Field,
    Flow,
    Goal,
    Message,
    MessageUse,
    Monitor,
    Order,
    Service,
    Store,
    System,
    Type,
    Use,
    Version,
    Workflow,
)
from coordlint.versions import version_key


class Part(NamedTuple):
    """One document of a design and the prefix its names get (empty for the root and for plain includes)."""

    document: Document
    prefix: str = ""


def resolve(parts: Sequence[Part]) -> tuple[System, tuple[Finding, ...]]:
    """The model of a design and what is wrong with its names and values (REF001, REF002, REF003).

    Never raises for a bad design. The model does not depend on the order of declarations.
    """
    resolver = _Resolver(parts)
    resolver.run()
    return resolver.system, tuple(resolver.problems)


BASIC_TYPES = frozenset(
    "string text uuid id int integer long short byte float double decimal number money boolean bool date time datetime timestamp "
    "instant duration bytes binary json object map any uri url email enum".split()
)

E_ = TypeVar("E_", bound=Element)

_SPACE_OF = {
    "broker": "broker, channel or store",
    "channel": "broker, channel or store",
    "store": "broker, channel or store",
    "type_decl": "type",
}
_WORDS = {"type_decl": "type"}


class _Declared(NamedTuple):
    clause: Clause
    prefix: str
    context: str


class _Resolver(References):
    """Reads the declarations into the growing system."""

    def __init__(self, parts: Sequence[Part]) -> None:
        super().__init__(name for part in parts for name in part.document.lost)
        self.parts = parts

    # -------------------------------------------------------------------------------------------- the run

    def run(self) -> None:
        declared = sorted(self._flatten(), key=lambda one: _order(one.clause))
        by_kind: dict[str, list[_Declared]] = {}
        for one in declared:
            by_kind.setdefault(one.clause.kind, []).append(one)
        self._check_duplicates(declared)
        system = self.system
        for one in by_kind.get("system", ()):
            system.name, system.title = one.clause.name.text, one.clause.title
        for one in by_kind.get("context", ()):
            self._context(one)
        # First the objects, so that facts and bodies may name each other in any order.
        shells: list[tuple[_Declared, Element]] = []
        for kind, type_, space in (
            ("broker", Broker, system.brokers),
            ("channel", Channel, system.channels),
            ("store", Store, system.stores),
            ("service", Service, system.services),
            ("type_decl", Type, system.types),
        ):
            for one in by_kind.get(kind, ()):
                shells.append((one, self._shell(one, type_, cast("dict[str, Element]", space))))
        self._messages([*by_kind.get("message", ()), *by_kind.get("messages", ())])
        self._check_prefixes()
        for one, element in shells:
            self._fill(one, element)
        self._message_facts()
        workflows = [(one, self._workflow(one)) for one in by_kind.get("workflow", ())]
        lower(self, [(one.clause, one.prefix, e) for one, e in shells if isinstance(e, Service)],
              [(one.clause, one.prefix, e) for one, e in workflows])  # fmt: skip
        for one in by_kind.get("flow", ()):
            self._flow(one)
        for one in by_kind.get("monitor", ()):
            self._monitor(one)
        _sort(system)

    def _flatten(self) -> Iterator[_Declared]:
        def inside(clauses: Iterable[Clause], prefix: str, context: str) -> Iterator[_Declared]:
            for clause in clauses:
                if clause.kind in _DECLARATIONS:
                    yield _Declared(clause, prefix, context)
                if clause.kind == "context":
                    yield from inside(clause.body or (), prefix, clause.name.text)

        for part in self.parts:
            yield from inside(part.document.declarations, part.prefix, "")

    def _check_duplicates(self, declared: list[_Declared]) -> None:
        seen: dict[tuple[str, str], Span] = {}
        for clause, prefix, _ in declared:
            if clause.kind in {"message", "messages"}:
                keys = [(f"message{_version(clause)}", name) for name in clause.every(Name)]
            elif clause.kind == "context":
                continue  # a context may be opened several times
            else:
                keys = [(_SPACE_OF.get(clause.kind, clause.kind), clause.name)]
            for space, name in keys:
                what = _WORDS.get(clause.kind, clause.kind.removesuffix("s"))
                if not name.text.strip():
                    self.report("REF003", name.span, f"a {what} has an empty name", "write a name between the quotes")
                    continue
                full = "" if clause.kind == "system" else prefixed(prefix, name.text)
                before = seen.setdefault((space, full), name.span)
                if before is not name.span:
                    message = (
                        f"{what} `{full}{_version(clause)}` is declared twice"
                        if full
                        else "a second `system` is declared"
                    )
                    self.report("REF002", name.span, message, "rename one of them, or remove it", before)

    def _check_prefixes(self) -> None:
        for part in self.parts:
            prefix = part.prefix
            if prefix and (prefix in self.system.services or prefix in self.system.stores):
                element = self.system.services.get(prefix) or self.system.stores[prefix]
                message = f"the prefix `{prefix}` of an include is also the name of a service or store"
                self.report("REF002", element.place, message, "give the include another prefix")

    # -------------------------------------------------------------------------------------------- declarations

    def _shell(self, one: _Declared, type_: type[E_], space: dict[str, E_]) -> E_:
        clause = one.clause
        name = prefixed(one.prefix, clause.name.text)
        element = type_(name=name, place=clause.name.span, span=clause.span, title=clause.title, context=one.context)
        if name in space:
            return element  # the second of a duplicate is read, for its own errors, and not used
        space[name] = element
        return element

    def _fill(self, one: _Declared, element: Element) -> None:
        clause = one.clause
        self.prefix = one.prefix
        element.facts = facts.read(
            clause.children(), self, what=f"{_WORDS.get(clause.kind, clause.kind)} `{element.name}`"
        )
        if isinstance(element, Broker):
            element.uses = self._uses(clause)
        elif isinstance(element, Channel):
            ref = clause.first(Ref)
            element.broker = self.broker(ref) if ref else None
        elif isinstance(element, Type):
            element.fields = self._fields(clause)
        elif isinstance(element, Service):
            word = clause.first(Word)
            element.external = word is not None
            element.uses = self._uses(clause)
            for defaults in clause.children("call_defaults"):
                element.calls = facts.read(defaults.children(), self, what=f"`calls` of service `{element.name}`")
            published = (ref for line in clause.children("publishes") for ref in line.every(Ref))
            element.publishes = tuple(self.event(ref, "publishes") for ref in published)
            consumed = (ref for line in clause.children("consumes") for ref in line.every(Ref))
            element.consumes = tuple(self.message(ref) for ref in consumed)

    def _uses(self, clause: Clause) -> tuple[Use, ...]:
        return tuple(Use(self.infrastructure(ref), ref.span) for c in clause.children("uses") for ref in c.every(Ref))

    def _context(self, one: _Declared) -> None:
        clause = one.clause
        name = clause.name.text
        self.prefix = one.prefix
        read = facts.read(clause.children(), self, what=f"context `{name}`")
        known = self.system.contexts.get(name)
        if known is None:
            self.system.contexts[name] = Context(
                name=name, place=clause.name.span, span=clause.span, title=clause.title, facts=read
            )
        else:
            known.facts = {**read, **known.facts}

    def _messages(self, declared: list[_Declared]) -> None:
        self.declared_messages: list[tuple[_Declared, Message, Version]] = []
        taken: set[tuple[str, str]] = set()
        for one in declared:
            clause = one.clause
            words = [word.text for word in clause.every(Word)]
            visibility = words[0] if words[0] in {"public", "private", "external"} else "internal"
            kind = words[0 if visibility == "internal" else 1]
            number = _version(clause)[1:]
            for declared_name in clause.every(Name):
                name = prefixed(one.prefix, declared_name.text)
                version = Version(
                    name=name,
                    place=declared_name.span,
                    span=clause.span,
                    title=clause.title,
                    number=number,
                    context=one.context,
                )
                message = self.system.messages.get(name)
                if message is None:
                    message = Message(
                        name=name,
                        place=declared_name.span,
                        span=clause.span,
                        kind=cast("Literal['event', 'command', 'query']", kind),
                        visibility=cast("Literal['public', 'private', 'external', 'internal']", visibility),
                        context=one.context,
                    )
                    self.system.messages[name] = message
                elif message.kind != kind:
                    text = f"`{name}` is declared as {message.kind} and as {kind}"
                    self.report("REF002", declared_name.span, text, "give one of them another name", message.place)
                    continue
                if (name, number) in taken:
                    continue
                taken.add((name, number))
                message.versions = tuple(sorted((*message.versions, version), key=lambda v: version_key(v.number)))
                if message.versions[-1] is version:
                    message.visibility = cast("Literal['public', 'private', 'external', 'internal']", visibility)
                self.declared_messages.append((one, message, version))

    def _message_facts(self) -> None:
        for one, _, version in self.declared_messages:
            clause = one.clause
            self.prefix = one.prefix
            at = f" @{version.number}" if version.number else ""
            version.facts = facts.read(clause.children(), self, what=f"`{version.name}`{at}")
            version.fields = self._fields(clause)
            via = clause.child("via")
            ref = via.first(Ref) if via else None
            version.channel = self.channel(ref) if ref else None
        for message in self.system.messages.values():
            newest = message.versions[-1]
            message.facts = newest.facts
            message.place, message.span, message.title = newest.place, newest.span, newest.title

    def _fields(self, clause: Clause) -> tuple[Field, ...]:
        found: dict[str, Field] = {}
        for line in clause.children("field"):
            name = line.name
            kind = next(value for value in line.values if isinstance(value, Clause) and value.kind.startswith("field_"))
            literal = line.child("literal")
            default = None
            if literal is not None:
                default = literal.span.text
            marks = {word.text for word in kind.every(Word)}
            if kind.kind == "field_enum":
                field = Field(
                    name.text, "enum", False, "?" in marks, default, tuple(n.text for n in kind.every(Name)), name.span
                )
            else:
                ref = kind.first(Ref)
                assert ref is not None
                self._check_type(ref)
                field = Field(name.text, ref.text, "[]" in marks, "?" in marks, default, (), name.span)
            if name.text in found:
                message = f"field `{name.text}` is declared twice"
                self.report("REF002", name.span, message, "remove one of them", found[name.text].span)
            else:
                found[name.text] = field
        return tuple(found.values())

    def _check_type(self, ref: Ref) -> None:
        """Only a capitalised name refers to a declared type; scalar names are the author's own."""
        name = ref.text
        if name in self.system.types or name.casefold() in BASIC_TYPES or not name[:1].isupper():
            return
        if prefixed(self.prefix, name) in self.system.types:
            return
        self.missing("type", ref, name, self.system.types)

    def _workflow(self, one: _Declared) -> Workflow:
        clause = one.clause
        self.prefix = one.prefix
        ref = clause.first(Ref)
        assert ref is not None
        workflow = Workflow(
            name=prefixed(one.prefix, clause.name.text),
            place=clause.name.span,
            span=clause.span,
            title=clause.title,
            context=one.context,
            service=self.service(ref),
        )
        workflow.facts = facts.read(clause.children(), self, what=f"workflow `{workflow.name}`")
        self.system.workflows.setdefault(workflow.name, workflow)
        return workflow

    def _flow(self, one: _Declared) -> None:
        clause = one.clause
        self.prefix = one.prefix
        name = prefixed(one.prefix, clause.name.text)
        flow = Flow(name=name, place=clause.name.span, span=clause.span, title=clause.title, context=one.context)
        flow.facts = facts.read(clause.children(), self, what=f"flow `{name}`")
        self._check_objective(flow)
        starts = list(clause.children("starts_with"))
        self._check_once(clause, "starts_with", "succeeds_with", "fails_with", what=f"flow `{name}`")
        if starts:
            source = starts[0].child("starts_from")
            from_ref = source.first(Ref) if source else None
            flow.source = self.service(from_ref) if from_ref else None
            flow.starts = tuple(self._target(ref) for ref in starts[0].every(Ref))
        flow.success = self._goal(clause.child("succeeds_with"))
        flow.failure = self._goal(clause.child("fails_with"))
        orders = []
        for order in clause.children("order"):
            first, then = order.every(Ref)
            orders.append(Order(self.message(first), self.message(then), order.span))
        flow.orders = tuple(orders)
        self.system.flows.setdefault(name, flow)

    def _check_objective(self, flow: Flow) -> None:
        objective = flow.fact("availability")
        if objective.declared and objective.value == 1:
            assert objective.span is not None
            message = f"flow `{flow.name}` promises to be available 100% of the time"
            self.report("REF003", objective.span, message, "promise what can be kept, such as `99.9%`")

    def _check_once(self, clause: Clause, *kinds: str, what: str) -> None:
        for kind in kinds:
            found = list(clause.children(kind))
            for again in found[1:]:
                words = kind.replace("_", " ")
                self.report(
                    "REF002", again.span, f"{what} says `{words}` twice", "join them with `or` or `and`", found[0].span
                )

    def _goal(self, clause: Clause | None) -> Goal | None:
        if clause is None:
            return None
        inner = next(value for value in clause.values if isinstance(value, Clause))
        mode: Literal["any", "all"] = "all" if inner.kind == "all_of" else "any"
        return Goal(mode, tuple(self._target(ref) for ref in inner.every(Ref)), clause.span)

    def _target(self, ref: Ref) -> MessageUse | Workflow:
        system = self.system
        found = self.find(ref, system.messages) or self.find(ref, system.workflows)
        if found is None and len(ref.parts) == 1:
            found = self.missing("message or workflow", ref, ref.text, {**system.workflows, **system.messages})
            if found is None:
                found = self._phantom(Message, ref, ref.text, kind="event")
        if isinstance(found, Workflow):
            return found
        return self._use(cast("Message", found), ref, None) if found is not None else self.message(ref)

    def _monitor(self, one: _Declared) -> None:
        clause = one.clause
        self.prefix = one.prefix
        name = prefixed(one.prefix, clause.name.text)
        monitor = Monitor(name=name, place=clause.name.span, span=clause.span, title=clause.title, context=one.context)
        monitor.facts = facts.read(clause.children(), self, what=f"monitor `{name}`")
        monitor.uses = self._uses(clause)
        watches: list[Flow | Service | Channel | Workflow] = []
        system = self.system
        for line in clause.children("watches"):
            for ref in line.every(Ref):
                found = self.find(ref, system.flows, system.services, system.workflows, system.channels)
                if found is None:
                    spaces = {**system.flows, **system.services, **system.workflows, **system.channels}
                    found = self.missing("flow, service, workflow or channel", ref, ref.text, spaces)
                if isinstance(found, Flow | Service | Channel | Workflow):
                    watches.append(found)
        monitor.watches = tuple(watches)
        system.monitors.setdefault(name, monitor)


_DECLARATIONS = frozenset(
    "system context broker channel store message messages type_decl service workflow flow monitor".split()
)


def _order(clause: Clause) -> tuple[str, int]:
    return clause.span.source.path, clause.span.start


def _version(clause: Clause) -> str:
    """``@2`` of a message declaration, or an empty string."""
    for word in clause.every(Word):
        if word.text[:1].isdigit():
            return f"@{word.text}"
    return ""


def _sort(system: System) -> None:
    """Every space by name, so that nothing depends on the order of declarations."""
    for space in (
        system.contexts, system.services, system.messages, system.types, system.brokers, system.channels, system.stores,
        system.workflows, system.flows, system.monitors,
    ):  # fmt: skip
        entries = sorted(cast("dict[str, Element]", space).items())
        space.clear()
        space.update(entries)  # type: ignore[arg-type]
