"""Keyspaces, tables and user-defined types as a server has them, and values whose bytes tell whose they are.

A column's type is kept as CQL text and resolved when it is needed, so that ``ALTER TYPE`` reaches
every table that uses the type, at any depth. Values are made of four letters: an ``int``, a
``text``, a ``float`` and a ``blob`` of the same letters are the same bytes, so that a server takes
one for another without a word, as a real one does.
"""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.cql_values import CqlTypeName, ListOf, UserType
from tests.support.native_protocol import FrameError, Reader

__all__ = ["Change", "Schema", "Table", "decode_value", "fits", "letters", "value_of"]

SCALARS = ("int", "text", "float", "blob", "bigint")
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the schema.

    :ivar number: 1 for the first of all changes
    :ivar target: TABLE or TYPE
    :ivar fits_before: whether bytes that were encoded before it still mean the same
    """

    number: int
    kind: str
    target: str
    keyspace: str
    name: str
    fits_before: bool


@dataclass(slots=True)
class Table:
    """A table; its first column, ``k``, is an int and the whole primary key.

    :ivar created: the number of the change that created it
    """

    keyspace: str
    name: str
    columns: dict[str, str]
    created: int = 0


@dataclass(slots=True)
class Keyspace:
    tables: dict[str, Table] = field(default_factory=dict)
    types: dict[str, dict[str, str]] = field(default_factory=dict)


class Schema:
    """What all nodes agree on.

    :ivar changes: all that happened, oldest first
    """

    def __init__(self) -> None:
        self.keyspaces: dict[str, Keyspace] = {}
        self.changes: list[Change] = []

    @property
    def number(self) -> int:
        """The number of the latest change."""
        return len(self.changes)

    def table(self, keyspace: str, name: str) -> Table | None:
        found = self.keyspaces.get(keyspace)
        return None if found is None else found.tables.get(name)

    def types_of(self, table: Table) -> dict[str, CqlTypeName]:
        """The columns with their types as they are now."""
        return {name: self.resolve(table.keyspace, spec) for name, spec in table.columns.items()}

    def resolve(self, keyspace: str, spec: str) -> CqlTypeName:
        if spec in SCALARS:
            return spec
        outer, _, rest = spec.partition("<")
        if outer == "list":
            return ListOf(self.resolve(keyspace, rest.removesuffix(">")))
        if outer == "frozen":
            return self.resolve(keyspace, rest.removesuffix(">"))
        fields = self.keyspaces[keyspace].types[spec]
        resolved = tuple((name, self.resolve(keyspace, part)) for name, part in fields.items())
        return UserType(keyspace, spec, resolved)

    def uses(self, table: Table, type_name: str) -> bool:
        """Whether a type is a part of one of the table's columns."""
        parts = self.types_of(table).values()
        return any(type_name in _user_types(part) for part in parts)

    # Changes

    def create_table(self, keyspace: str, name: str, columns: dict[str, str]) -> Change:
        table = Table(keyspace, name, dict(columns), self.number + 1)
        self.keyspaces[keyspace].tables[name] = table
        return self._changed("CREATED", "TABLE", keyspace, name, fits_before=False)

    def drop_table(self, keyspace: str, name: str) -> Change:
        del self.keyspaces[keyspace].tables[name]
        return self._changed("DROPPED", "TABLE", keyspace, name, fits_before=False)

    def add_column(self, keyspace: str, name: str, column: str, spec: str) -> Change:
        self.keyspaces[keyspace].tables[name].columns[column] = spec
        return self._changed("UPDATED", "TABLE", keyspace, name, fits_before=True)

    def create_type(self, keyspace: str, name: str, fields: dict[str, str]) -> Change:
        self.keyspaces[keyspace].types[name] = dict(fields)
        return self._changed("CREATED", "TYPE", keyspace, name, fits_before=True)

    def add_field(self, keyspace: str, name: str, added: str, spec: str) -> Change:
        self.keyspaces[keyspace].types[name][added] = spec
        return self._changed("UPDATED", "TYPE", keyspace, name, fits_before=True)

    def _changed(
        self, kind: str, target: str, keyspace: str, name: str, *, fits_before: bool
    ) -> Change:
        change = Change(self.number + 1, kind, target, keyspace, name, fits_before)
        self.changes.append(change)
        return change

    def changes_of(self, keyspace: str, table: str, since: int) -> Iterator[Change]:
        """What happened to a table, or to a type that it uses now, after change ``since``."""
        now = self.table(keyspace, table)
        for change in self.changes[since:]:
            if change.keyspace != keyspace:
                continue
            if change.target == "TABLE":
                concerned = change.name == table
            else:
                concerned = now is not None and self.uses(now, change.name)
            if concerned:
                yield change


def _user_types(kind: CqlTypeName) -> set[str]:
    if isinstance(kind, ListOf):
        return _user_types(kind.element)
    if isinstance(kind, UserType):
        return {kind.name}.union(*(_user_types(part) for _, part in kind.fields))
    return set()


# Values


def letters(*about: object) -> str:
    """Four letters that tell what a value is about."""
    number = zlib.crc32(repr(about).encode())
    return "".join(_ALPHABET[number // 26**place % 26] for place in range(4))


def value_of(kind: CqlTypeName, word: str) -> Any:
    """The value of a type that is made of four letters."""
    if isinstance(kind, UserType):
        return {name: value_of(part, letters(word, name)) for name, part in kind.fields}
    if isinstance(kind, ListOf):
        return [value_of(kind.element, word)]
    data = word.encode()
    match kind:
        case "int":
            return int.from_bytes(data)
        case "bigint":
            return int.from_bytes(data * 2)
        case "float":
            return struct.unpack(">f", data)[0]
        case "blob":
            return data
    return word


def decode_value(kind: CqlTypeName, data: bytes | None) -> Any:
    """Read bytes as a type, as a server does.

    :raises ValueError: if a server refuses them
    """
    if data is None:
        return None
    if isinstance(kind, UserType):
        return _decode_fields(kind, data)
    if isinstance(kind, ListOf):
        return _decode_items(kind, data)
    sizes = {"int": 4, "float": 4, "bigint": 8}
    if len(data) != sizes.get(kind, len(data)):
        raise ValueError(f"Expected {sizes[kind]} byte long {kind} ({len(data)})")
    match kind:
        case "int" | "bigint":
            return int.from_bytes(data, signed=True)
        case "float":
            return struct.unpack(">f", data)[0]
        case "blob":
            return data
    return data.decode()


def _decode_fields(kind: UserType, data: bytes) -> dict[str, Any]:
    reader = Reader(data)
    value: dict[str, Any] = {}
    try:
        for name, part in kind.fields:
            value[name] = decode_value(part, reader.read_bytes()) if reader.remaining else None
        reader.finish()
    except FrameError as error:
        raise ValueError(f"Invalid bytes for {kind.name}: {error}") from error
    return value


def _decode_items(kind: ListOf, data: bytes) -> list[Any]:
    reader = Reader(data)
    try:
        items = [decode_value(kind.element, reader.read_bytes()) for _ in range(reader.read_int())]
        reader.finish()
    except FrameError as error:
        raise ValueError(f"Invalid bytes for a list: {error}") from error
    return items


def fits(kind: CqlTypeName, stored: Any, given: Any) -> bool:
    """Whether a stored value is the given one; fields that were not given are stored as null."""
    if isinstance(kind, UserType):
        if not isinstance(stored, dict) or not isinstance(given, dict):
            return False
        if not given.keys() <= stored.keys():
            return False
        parts = dict(kind.fields)
        return all(fits(parts[name], stored[name], given.get(name)) for name in stored)
    if isinstance(kind, ListOf):
        return (
            isinstance(stored, list)
            and isinstance(given, list)
            and len(stored) == len(given)
            and all(fits(kind.element, *pair) for pair in zip(stored, given, strict=True))
        )
    if kind == "float" and isinstance(given, int | float):
        return bool(stored == struct.unpack(">f", struct.pack(">f", given))[0])
    if isinstance(given, int | float) is not isinstance(stored, int | float):
        return False
    return bool(stored == given)


def plain(value: Any) -> Any:
    """A value that the library read, with named tuples as dictionaries."""
    if hasattr(value, "_asdict"):
        return {name: plain(part) for name, part in value._asdict().items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [plain(part) for part in value]
    return value
