"""Schema compatibility: whether data written with one version of a message can be read with another.

The reading model, which the tests pin with a small reader and writer: a writer writes every field that is not optional and
perhaps the optional ones; a reader ignores fields it does not know, takes the default of a field that is not there (or
nothing if the field is optional), reads a value whose type is narrower than its own, and replaces an enum symbol it does
not know by the field's default. Whatever else happens is a failure.

Modes, in the words of the Confluent Schema Registry documentation ("Schema Evolution and Compatibility") and of the schema
resolution in the Apache Avro specification: *backward* - the new version reads old data (upgrade consumers first);
*forward* - the old version reads new data (upgrade producers first); *full* - both; *transitive* - not only against the
version before, but against all before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from coordlint.resolve import BASIC_TYPES
from coordlint.system import UNKNOWN, Compatibility, Fact, Field, Message, Type, Version

Direction = Literal["backward", "forward"]


class Obstacle(NamedTuple):
    """Why one field cannot be read: its dotted path, the reason as a clause, and the field on both sides.

    ``reason`` completes the sentence "`path` ...". ``kind``: ``missing`` (the writer has no such field), ``optional`` (the
    writer may leave it out), ``type``, or ``symbols`` (of an enum).
    """

    path: str
    kind: Literal["missing", "optional", "type", "symbols"]
    reason: str
    reader: Field
    writer: Field | None


class Break(NamedTuple):
    """Two versions that break the declared mode: who cannot read what whom has written, and why."""

    older: Version
    newer: Version
    direction: Direction
    mode: Fact
    obstacles: tuple[Obstacle, ...]

    @property
    def reader(self) -> Version:
        """The version that cannot read."""
        return self.newer if self.direction == "backward" else self.older

    @property
    def writer(self) -> Version:
        """The version that is not understood."""
        return self.older if self.direction == "backward" else self.newer


def directions(mode: str) -> tuple[Direction, ...]:
    """What a mode demands: ``none``, ``backward``, ``forward`` or ``full``."""
    if mode == "full":
        return ("backward", "forward")
    return ("backward",) if mode == "backward" else ("forward",) if mode == "forward" else ()


def breaks(message: Message, types: Mapping[str, Type]) -> Iterator[Break]:
    """The pairs of successive versions (of all versions, if transitive) that break the mode the newer of them declares.

    A version without a mode of its own has that of the newest. Not compared are versions without fields, which say nothing,
    and versions on different channels, whose readers never meet each other's data.
    """
    for position, newer in enumerate(message.versions[1:], start=1):
        mode = mode_of(message, newer)
        if not mode.declared:
            continue
        value: Compatibility = mode.value
        earlier = message.versions[:position]
        for older in earlier if value.transitive else earlier[-1:]:
            if not older.fields or not newer.fields or _apart(older, newer):
                continue
            for direction in directions(value.mode):
                reader, writer = (newer, older) if direction == "backward" else (older, newer)
                found = obstacles(reader.fields, writer.fields, types, message.name)
                if found:
                    yield Break(older, newer, direction, mode, tuple(found))


def mode_of(message: Message, version: Version) -> Fact:
    """The ``compatible`` fact that governs a version: its own, else that of the message's newest version."""
    own = version.fact("compatible")
    return own if not own.unknown else message.versions[-1].fact("compatible") if message.versions else UNKNOWN


def can_read(reader: Sequence[Field], writer: Sequence[Field], types: Mapping[str, Type], scope: str = "") -> bool:
    """Whether every document of the writer's fields can be read with the reader's fields."""
    return not obstacles(reader, writer, types, scope)


def obstacles(
    reader: Sequence[Field], writer: Sequence[Field], types: Mapping[str, Type], scope: str = ""
) -> list[Obstacle]:
    """What keeps a reader from reading all that a writer writes, by path: the order of the fields does not matter.

    Nested record types are followed; two types that are the same declaration are readable by definition.

    Args:
        reader: the fields of the reading version.
        writer: the fields of the writing version.
        types: the declared record types by name.
        scope: the name of the message; its prefix, from a prefixed include, is tried for the types, too.
    """
    found: list[Obstacle] = []
    pending = [("", reader, writer)]
    seen: set[tuple[str, str]] = set()
    while pending:
        prefix, wanted, given = pending.pop()
        written = {field.name: field for field in given}
        for field in sorted(wanted, key=lambda one: one.name):
            path = f"{prefix}{field.name}"
            other = written.get(field.name)
            obstacle = _absence(path, field, other)
            if obstacle is None and other is not None:
                obstacle = _mismatch(path, field, other, types, scope)
            if obstacle is not None:
                found.append(obstacle)
            elif other is not None:
                pair = _records(field, other, types, scope)
                if pair is not None and (pair[0].name, pair[1].name) not in seen:
                    seen.add((pair[0].name, pair[1].name))
                    pending.append((f"{path}.", pair[0].fields, pair[1].fields))
    return sorted(found, key=lambda one: one.path)


def _absence(path: str, reader: Field, writer: Field | None) -> Obstacle | None:
    """Whether the field may not be there and the reader has no answer to that."""
    if reader.optional or reader.default is not None or (writer is not None and not writer.optional):
        return None
    if writer is None:
        return Obstacle(path, "missing", "is required and has no default", reader, None)
    return Obstacle(path, "optional", "is required, but may be left out there", reader, writer)


def _mismatch(path: str, reader: Field, writer: Field, types: Mapping[str, Type], scope: str) -> Obstacle | None:
    if not reader.array and _canonical(reader.type) in _ANYTHING:
        return None
    if reader.array != writer.array:
        return _type_obstacle(path, reader, writer)
    if reader.type == writer.type == "enum" and reader.symbols and writer.symbols:
        unknown = [symbol for symbol in writer.symbols if symbol not in reader.symbols]
        if not unknown or reader.default is not None:
            return None
        listed = ", ".join(f"`{symbol}`" for symbol in unknown)
        return Obstacle(path, "symbols", f"does not know {listed}", reader, writer)
    if _readable(reader, writer, types, scope):
        return None
    return _type_obstacle(path, reader, writer)


def _type_obstacle(path: str, reader: Field, writer: Field) -> Obstacle:
    reason = f"is `{shown_type(reader)}`, which does not take `{shown_type(writer)}`"
    return Obstacle(path, "type", reason, reader, writer)


def _readable(reader: Field, writer: Field, types: Mapping[str, Type], scope: str) -> bool:
    wanted, given = find_type(reader.type, types, scope), find_type(writer.type, types, scope)
    if wanted is not None and given is not None:
        return True  # field by field, see _records
    if wanted is not None:
        return False
    name = _canonical(reader.type)
    if name in _ANYTHING:
        return True
    if given is not None:
        return name in _RECORDS
    return promotable(writer.type, reader.type)


def _records(reader: Field, writer: Field, types: Mapping[str, Type], scope: str) -> tuple[Type, Type] | None:
    """The two record types to be compared field by field; None when there are none or they are the same."""
    wanted, given = find_type(reader.type, types, scope), find_type(writer.type, types, scope)
    return (wanted, given) if wanted is not None and given is not None and wanted is not given else None


def find_type(name: str, types: Mapping[str, Type], scope: str = "") -> Type | None:
    """The declared record type that a field of a message names, or None; the message's prefixes are tried, innermost first."""
    parts = scope.split(".")[:-1]
    while parts:
        found = types.get(".".join((*parts, name)))
        if found is not None:
            return found
        parts.pop()
    return types.get(name)


def promotable(writer: str, reader: str) -> bool:
    """Whether every value of the writer's scalar type is one of the reader's: the same type, or a wider one.

    Numbers widen along byte, short, int, long, float, double, as in Avro's schema resolution; int and long also fit into a
    decimal; every number is a ``number``. What is written as text (uuid, uri, email, an enum's symbol) is a string, and a
    string is bytes.
    """
    start, goal = _canonical(writer), _canonical(reader)
    reached = {start}
    pending = [start]
    while pending:
        for wider in _WIDER.get(pending.pop(), ()):
            if wider not in reached:
                reached.add(wider)
                pending.append(wider)
    return goal in reached or goal in _ANYTHING


def shown_type(field: Field) -> str:
    """A field's type as it is declared: ``Line[]``, ``string?``, ``NEW | PAID``."""
    name = " | ".join(field.symbols) if field.symbols else field.type
    return f"{name}{'[]' if field.array else ''}{'?' if field.optional else ''}"


def _apart(older: Version, newer: Version) -> bool:
    return older.channel is not None and newer.channel is not None and older.channel is not newer.channel


def _canonical(name: str) -> str:
    folded = name.casefold()
    if folded not in BASIC_TYPES:
        return name  # a scalar of the author's own
    return _SAME.get(folded, folded)


_SAME = {
    "integer": "int",
    "boolean": "bool",
    "text": "string",
    "binary": "bytes",
    "url": "uri",
    "datetime": "timestamp",
    "instant": "timestamp",
    "object": "map",
}
_WIDER = {
    "byte": ("short",),
    "short": ("int",),
    "int": ("long",),
    "long": ("float", "decimal"),
    "float": ("double",),
    "double": ("number",),
    "decimal": ("number",),
    "uuid": ("string",),
    "uri": ("string",),
    "email": ("string",),
    "enum": ("string",),
    "string": ("bytes",),
}
_ANYTHING = frozenset({"any", "json"})
_RECORDS = frozenset({"map"})
