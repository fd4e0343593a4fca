"""References: every name finds what it means, or a finding says what is missing and what was probably meant.

A reference that cannot be resolved keeps the model whole: the near miss is taken where there is one, otherwise a *phantom*
stands in, which no other rule judges. So one misspelt name costs one finding.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar, cast

from coordlint.finding import Finding, Fix, Label
from coordlint.names import closest
from coordlint.source import Edit, Span
from coordlint.syntax import Ref
from coordlint.system import Broker, Channel, Element, EntityUse, Message, MessageUse, Service, Store, System
from coordlint.versions import in_range, version_key

PATIENCE = 200_000
"""So many pairs of names are compared in a design to find what was meant; it takes a few seconds."""

E_ = TypeVar("E_", bound=Element)


class References:
    """Looks names up in a system that is still growing; the ``facts.Names`` of everything that reads clauses.

    Attributes:
        system: what is declared so far.
        problems: the findings, in the order of discovery.
        prefix: the prefix of the document that is being read.
    """

    def __init__(self, lost: Iterable[str]) -> None:
        self.system = System()
        self.problems: list[Finding] = []
        self.prefix = ""
        self.phantoms: dict[tuple[str, str], Element] = {}
        self.lost = frozenset(lost)
        self.patience = PATIENCE

    def report(
        self, code: str, span: Span, message: str, help: str = "", other: Span | None = None, fix: Fix | None = None
    ) -> None:
        """Add a finding; ``other`` is a second place that has to do with it."""
        related = (Label(other, "said here first"),) if other is not None else ()
        self.problems.append(
            Finding(
                code=code, primary=Label(span), message=message, help=help, related=related, fix=fix, subject=message
            )
        )

    def find(self, ref: Ref, *spaces: object) -> Element | None:
        for name in (prefixed(self.prefix, ref.text), ref.text):
            for space in cast("tuple[dict[str, Element], ...]", spaces):
                if name in space:
                    return space[name]
        return None

    def missing(self, what: str, ref: Ref, name: str, space: object, span: Span | None = None) -> Element | None:
        """Report a name that means nothing; the near miss, if there is one."""
        candidates = cast("dict[str, Element]", space)
        span = span or ref.span
        if name in self.lost or name.rpartition(".")[2] in self.lost:
            return None
        meant = self._nearest(prefixed(self.prefix, name), candidates) if self.prefix else None
        meant = meant or self._nearest(name, candidates)
        if meant is None:
            self.report("REF001", span, f"there is no {what} `{name}`", "declare it, or correct the name")
            return None
        near = meant.removeprefix(f"{self.prefix}.") if self.prefix else meant
        shown = near if _is_plain(near) else f'"{near}"'
        fix = Fix(f"rename `{name}` to `{near}`", (Edit(span, shown),), safe=True)
        self.report(
            "REF001", span, f"there is no {what} `{name}`", f"did you mean `{near}`?", candidates[meant].place, fix
        )
        return candidates[meant]

    def _nearest(self, name: str, candidates: dict[str, Element]) -> str | None:
        """The declared name that was probably meant. Where thousands are missing, a whole file is: nobody misspelt them."""
        self.patience -= len(candidates)
        return closest(name, candidates) if self.patience >= 0 else None

    def _phantom(self, type_: type[E_], ref: Ref, name: str, **more: Any) -> E_:
        key = (type_.__name__, name)
        if key not in self.phantoms:
            self.phantoms[key] = type_(name=name, place=ref.span, span=ref.span, phantom=True, **more)
        return cast("E_", self.phantoms[key])

    def _element(self, ref: Ref, what: str, type_: type[E_], space: dict[str, E_]) -> E_:
        found = self.find(ref, space)
        if found is None:
            others = (self.system.brokers, self.system.channels, self.system.stores, self.system.services)
            other = self.find(ref, *others)
            if other is not None:
                kind = type(other).__name__.lower()
                self.report(
                    "REF002", ref.span, f"`{ref.text}` is a {kind}, not a {what}", f"name a {what}", other.place
                )
                return self._phantom(type_, ref, ref.text)
            found = self.missing(what, ref, ref.text, space)
        return cast("E_", found) if found is not None else self._phantom(type_, ref, ref.text)

    def broker(self, ref: Ref) -> Broker:
        """The broker of that name."""
        return self._element(ref, "broker", Broker, self.system.brokers)

    def channel(self, ref: Ref) -> Channel:
        """The channel of that name."""
        return self._element(ref, "channel", Channel, self.system.channels)

    def store(self, ref: Ref) -> Store:
        """The store of that name."""
        return self._element(ref, "store", Store, self.system.stores)

    def service(self, ref: Ref) -> Service:
        """The service of that name."""
        return self._element(ref, "service", Service, self.system.services)

    def infrastructure(self, ref: Ref) -> Broker | Channel | Store | Service:
        system = self.system
        spaces = (system.stores, system.brokers, system.channels, system.services)
        found = self.find(ref, *spaces)
        if found is None:
            everything = {**system.stores, **system.brokers, **system.channels, **system.services}
            found = self.missing("store, broker, channel or service", ref, ref.text, everything)
        if isinstance(found, Broker | Channel | Store | Service):
            return found
        return self._phantom(Service, ref, ref.text, external=True)

    def entity(self, ref: Ref) -> EntityUse:
        """The store and entity of a ``reads``, ``writes`` or ``on change of``."""
        found = self.find(ref, self.system.stores)
        if isinstance(found, Store):
            return EntityUse(found, None, ref.span)
        if len(ref.parts) > 1:
            store_ref = Ref(ref.parts[:-1], ref.parts[0].span.to(ref.parts[-2].span))
            return EntityUse(self.store(store_ref), ref.parts[-1].text, ref.span)
        return EntityUse(self.store(ref), None, ref.span)

    def message(self, ref: Ref) -> MessageUse:
        """The message of that name, with the service before the dot."""
        system = self.system
        found = self.find(ref, system.messages)
        if found is not None:
            return self._use(cast("Message", found), ref, None)
        if len(ref.parts) > 1:
            owner = Ref(ref.parts[:-1], ref.parts[0].span.to(ref.parts[-2].span))
            last = Ref(ref.parts[-1:], ref.parts[-1].span)
            service = self.find(owner, system.services)
            # The command of a service from a prefixed include has the same prefix.
            beside = Ref((*ref.parts[:-2], ref.parts[-1]), ref.span)
            inner = self.find(beside, system.messages) or self.find(last, system.messages)
            if service is None and inner is None:
                self.report("REF001", ref.span, f"there is no message `{ref.text}`", "declare it, or correct the name")
                return self._use(self._phantom(Message, ref, ref.text, kind="command"), ref, None)
            if service is None:
                service = self.service(owner)
            if inner is None:
                inner = self.missing("message", last, last.text, system.messages)
            if inner is None:
                inner = self._phantom(Message, last, last.text, kind="command")
            return self._use(cast("Message", inner), ref, cast("Service", service))
        meant = self.missing("message", ref, ref.text, system.messages)
        message = cast("Message", meant) if meant is not None else self._phantom(Message, ref, ref.text, kind="event")
        return self._use(message, ref, None)

    def _use(self, message: Message, ref: Ref, service: Service | None) -> MessageUse:
        pin = ref.version
        if pin and not message.phantom:
            low, dots, high = pin.partition("..")
            if dots and high and version_key(high) < version_key(low):
                self.report("REF003", ref.span, f"the version range `{pin}` is empty", f"write `@{high}..{low}`")
            elif not any(in_range(version.number, pin) for version in message.versions):
                declared = ", ".join(f"`@{v.number}`" if v.number else "an unversioned one" for v in message.versions)
                text = f"`{message.name}` has no version `@{pin}`"
                self.report("REF001", ref.span, text, f"declared is {declared}", message.place)
        return MessageUse(message, ref.span, pin, service)

    def _role(self, ref: Ref, kinds: tuple[str, ...], verb: str, instead: str) -> MessageUse:
        use = self.message(ref)
        if not use.message.phantom and use.message.kind not in kinds:
            article = "an" if use.message.kind == "event" else "a"
            text = f"`{use.message.name}` is {article} {use.message.kind}, which nobody `{verb}`"
            self.report("REF002", ref.span, text, instead, use.message.place)
        return use

    def event(self, ref: Ref, verb: str = "emits") -> MessageUse:
        """An event that is published or reacted to."""
        instead = (
            "an event is what has happened: `sends` or `calls` a command"
            if verb != "on"
            else "`handles` takes a command"
        )
        return self._role(ref, ("event",), verb, instead)

    def command(self, ref: Ref, verb: str) -> MessageUse:
        """A command or query that is sent, called or handled."""
        instead = "`emits` publishes an event" if verb != "handles" else "`on` reacts to an event"
        return self._role(ref, ("command", "query"), verb, instead)

    def failure_event(self, ref: Ref) -> MessageUse | None:
        """The event of a ``fails X``; None when X is a quoted reason."""
        if (
            len(ref.parts) == 1
            and ref.parts[0].quoted
            and ref.version is None
            and self.find(ref, self.system.messages) is None
        ):
            return None
        return self.event(ref)


def prefixed(prefix: str, name: str) -> str:
    """A name as its include's prefix makes it."""
    return f"{prefix}.{name}" if prefix else name


def _is_plain(name: str) -> bool:
    return name.replace("-", "_").replace(".", "_").isidentifier() and name.isascii()
