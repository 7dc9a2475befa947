"""Values of every type made of hostile objects, written and read: refused by a documented error, or right.

After each the same core still writes and reads what it should.
"""

import array
import datetime
import struct
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

from cassandra.util import Duration

from async_cassandra._driver.types import PYTHON_TYPES
from async_cassandra._wire.binding import BindPlan, token_of
from async_cassandra._wire.codecs import CodecRegistry
from async_cassandra._wire.cqltypes import CqlType, TypeCode, parse_class_name
from async_cassandra._wire.errors import ColumnDecodeError, ParameterError, ProtocolError
from async_cassandra._wire.rows import Column, Page, PageCursor, RowPlan
from tests.fuzz.hostile_objects import (
    BASES,
    Anything,
    Buffer,
    Point,
    Sprung,
    World,
    Zone,
    acting,
    hostile,
)
from tests.fuzz.hostile_values import Interruption, Source

__all__ = ["objects"]

_SCALARS = (
    "Int32Type", "LongType", "ShortType", "ByteType", "IntegerType", "BooleanType", "FloatType",
    "DoubleType", "DecimalType", "UTF8Type", "AsciiType", "BytesType", "TimestampType",
    "SimpleDateType", "TimeType", "DurationType", "UUIDType", "TimeUUIDType", "InetAddressType",
    "CounterColumnType",
)  # fmt: skip
_NESTED = (
    "ListType({0})", "SetType({0})", "MapType({0},{1})", "TupleType({0},{1})",
    "UserType(ks,75,61:{0},62:{1})", "UserType(ks,76,61:{0},62:{1})", "VectorType({0} , 2)",
)  # fmt: skip
_DEPTH = 3
# What no hostile object is part of, and its bytes.
_REFERENCE = BindPlan(
    [Column("ks", "t", name, parse_class_name(kind)) for name, kind in
     (("id", "Int32Type"), ("a", "ListType(Int32Type)"), ("b", "UserType(ks,75,61:Int32Type)"))],
    CodecRegistry(PYTHON_TYPES), [0],
)  # fmt: skip
_REFERENCE_VALUES = (7, [1, 2], (3,))
_REFERENCE_BYTES = bytes.fromhex(
    "0003 00000004 00000007 00000014 00000002 00000004 00000001 00000004 00000002"
    "00000008 00000004 00000003"
)
_ALLOWED = (ParameterError, Sprung, Interruption, MemoryError)
_ALLOWED_READING = (ColumnDecodeError, ProtocolError, StopIteration, *_ALLOWED[1:])


def draw_type_name(source: Source, depth: int = _DEPTH) -> str:
    chosen = source.byte() % (len(_SCALARS) + 2 * len(_NESTED))
    if chosen < len(_SCALARS) or depth == 0:
        return _SCALARS[chosen % len(_SCALARS)]
    inner = [draw_type_name(source, depth - 1) for _ in range(2)]
    return _NESTED[chosen % len(_NESTED)].format(*inner)


# Natural values


def natural(source: Source, cql_type: CqlType, world: World) -> Any:
    """A value that the type has, in one of the forms in which it may be given."""
    made = _SIMPLE.get(cql_type.code)
    if made is not None:
        return made(source, world)
    return _of_parts(source, cql_type, world)


def _blob(source: Source, world: World) -> Any:
    data = bytes([source.byte()] * (source.byte() % 9))
    grown = world.keep(bytearray(data))
    return (data, grown, world.keep(memoryview(data)), Buffer(grown))[source.byte() % 4]


def _number(source: Source, _: World) -> int:
    return source.byte() % 100


_SIMPLE: dict[int, Callable[[Source, World], Any]] = {
    TypeCode.BLOB: _blob,
    TypeCode.BOOLEAN: lambda source, _: bool(source.byte() & 1),
    TypeCode.FLOAT: lambda source, _: source.byte() / 8,
    TypeCode.DOUBLE: lambda source, _: source.byte() / 8,
    TypeCode.DECIMAL: lambda source, _: Decimal(source.number(2, signed=True)),
    TypeCode.TEXT: lambda source, _: "é" * (source.byte() % 9),
    TypeCode.ASCII: lambda source, _: "e" * (source.byte() % 9),
    TypeCode.TIMESTAMP: lambda source, _: datetime.datetime(
        2000, 1, 1 + source.byte() % 28, tzinfo=(None, Zone())[source.byte() & 1]
    ),
    TypeCode.DATE: lambda source, _: datetime.date(2000, 1, 1 + source.byte() % 28),
    TypeCode.TIME: lambda source, _: datetime.time(source.byte() % 24),
    TypeCode.DURATION: lambda source, _: Duration(source.byte(), source.byte(), source.byte()),
    TypeCode.UUID: lambda source, _: uuid.UUID(int=source.number(16)),
    TypeCode.TIMEUUID: lambda source, _: uuid.UUID(int=source.number(16)),
    TypeCode.INET: lambda source, _: f"127.0.0.{source.byte()}",
    **dict.fromkeys(
        (TypeCode.INT, TypeCode.BIGINT, TypeCode.SMALLINT, TypeCode.TINYINT, TypeCode.VARINT,
         TypeCode.COUNTER), _number,
    ),
}  # fmt: skip


def _of_parts(source: Source, cql_type: CqlType, world: World) -> Any:
    parts = cql_type.subtypes
    if cql_type.code == TypeCode.MAP:
        pairs = [
            (drawn(source, parts[0], world), drawn(source, parts[1], world))
            for _ in range(source.byte() % 4)
        ]
        made: dict[Any, Any] = world.keep({})
        for key, value in pairs:
            with suppress(TypeError, ValueError):
                made[key] = value
        return made
    if cql_type.code in (TypeCode.TUPLE, TypeCode.UDT):
        fields = [drawn(source, part, world) for part in parts]
        by_name = dict(zip(cql_type.field_names, fields, strict=False))
        form = source.byte() % (4 if by_name else 2)
        return (tuple(fields), world.keep(fields), world.keep(by_name), Fields(by_name))[form]
    count = cql_type.dimension or source.byte() % 5
    items = world.keep([drawn(source, parts[0], world) for _ in range(count)])
    if cql_type.code == TypeCode.VECTOR and source.byte() & 1:
        return _as_array(source, cql_type, world)
    return (items, tuple(items))[source.byte() & 1]


def _as_array(source: Source, cql_type: CqlType, world: World) -> Any:
    made = world.keep(array.array("fdiq"[source.byte() % 4], [1] * cql_type.dimension))
    return (made, world.keep(memoryview(made)), Buffer(made))[source.byte() % 3]


class Fields:
    """A user-defined type's value by attributes."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)


def drawn(source: Source, cql_type: CqlType, world: World) -> Any:
    """A value, as it is or as a trap."""
    value = natural(source, cql_type, world)
    form = source.byte() % 4
    if form == 1:
        return Anything(value)
    if form == 2 and type(value) in BASES:
        return as_trap(value, world)
    return value


def as_trap(value: Any, world: World) -> Any:
    """The value as an object of a subclass that is a trap."""
    kind: Any = hostile(type(value))  # type: ignore[arg-type]
    if isinstance(value, datetime.datetime):
        return kind(value.year, value.month, value.day, tzinfo=value.tzinfo)
    if isinstance(value, datetime.date):
        return kind(value.year, value.month, value.day)
    if isinstance(value, datetime.time):
        return kind(value.hour)
    if isinstance(value, uuid.UUID):
        return kind(int=value.int)
    if isinstance(value, Duration):
        return kind(value.months, value.days, value.nanoseconds)
    made = kind(value)
    return world.keep(made) if isinstance(made, list | dict | bytearray) else made


# The target


def objects(data: bytes) -> None:
    """Hostile values written, hostile classes read into."""
    source = Source(data)
    mode = source.byte()
    vectors = ("list", "array", "memoryview")[mode % 3]
    codecs = CodecRegistry(replace(PYTHON_TYPES, vectors=vectors), {("ks", "u"): Point})
    cql_type = parse_class_name(draw_type_name(source))
    world = World(source.sized(1))
    if mode & 4:
        read(source, codecs, cql_type, world)
    else:
        write(source, codecs, cql_type, world)
    check_reference()


def check_reference() -> None:
    assert _REFERENCE.bind(_REFERENCE_VALUES).payload == _REFERENCE_BYTES
    codec = CodecRegistry(PYTHON_TYPES).codec(
        parse_class_name("MapType(Int32Type,ListType(UTF8Type))")
    )
    value = {1: ["a"], 2: []}
    assert dict(codec.decode(codec.encode(value))) == value


def write(source: Source, codecs: CodecRegistry, cql_type: CqlType, world: World) -> None:
    columns = [Column("ks", "t", name, cql_type) for name in ("id", "a", "b")]
    plan = BindPlan(columns, codecs, ((0,), (1, 0), None)[source.byte() % 3])
    values = world.keep([drawn(source, cql_type, world) for _ in columns])
    by_name = world.keep(
        {column.name: value for column, value in zip(columns, values, strict=True)}
    )
    form = source.byte() % 6
    given = (values, tuple(values), by_name, Anything(values), hostile(list)(values), values)[form]
    world.again = [
        check_reference,
        lambda: plan.bind(given),
        lambda: codecs.register_user_type("ks", "u", None),
        lambda: codecs.codec(cql_type).encode(values[0]) if values else None,
        lambda: plan.bind_encoded([b"", None]),
    ]
    try:
        with acting(world):
            bound = plan.bind(given)
    except _ALLOWED:
        return
    encoded = bound.encoded_values()
    assert len(encoded) == len(columns)
    key = bound.routing_key
    assert bound.token == (None if key is None else token_of(key))
    assert plan.bind_encoded(encoded).payload == bound.payload


def read(source: Source, codecs: CodecRegistry, cql_type: CqlType, world: World) -> None:
    """Rows of the type, whose user-defined types become traps."""
    body = payload(source, cql_type)
    if body is None:
        return
    plan = RowPlan(
        [Column("ks", "t", name, cql_type) for name in ("id", "a")], codecs,
        ("row", "tuple")[source.byte() & 1],
    )  # fmt: skip
    page = Page(body, 0, plan, bool(source.byte() & 1))
    cursor = PageCursor(page)
    world.again = [
        check_reference,
        lambda: page[0],
        lambda: page[::-1],
        lambda: cursor.decode_next(2),
        lambda: next(cursor, None),
        lambda: codecs.register_user_type("ks", "u", (None, Point)[len(world.containers) & 1]),
        lambda: codecs.codec(cql_type).decode(body[8:12]),
    ]
    for step in reading(page, cursor):
        with suppress(*_ALLOWED_READING), acting(world):
            step()


def reading(page: Page, cursor: PageCursor) -> Iterator[Callable[[], object]]:
    for index in range(len(page)):
        yield lambda index=index: hash(repr(page[index]))  # type: ignore[misc]
    yield lambda: cursor.decode_next(3)
    yield lambda: list(cursor)
    yield lambda: page.decode_slice(0, 99)
    yield lambda: sorted(map(repr, page[:]))


def payload(source: Source, cql_type: CqlType) -> bytes | None:
    """The body of a page with values of the type; ``None`` if the input tells none."""
    plain = CodecRegistry(PYTHON_TYPES).codec(cql_type)
    cells = []
    rows = 1 + source.byte() % 4
    for _ in range(2 * rows):
        try:
            cell = plain.encode(Plain(source).value(cql_type))
        except (TypeError, ValueError, OverflowError, LookupError, AttributeError):
            return None
        cells.append(struct.pack(">i", len(cell)) + cell)
    return struct.pack(">i", rows) + b"".join(cells)


class Plain:
    """Natural values without traps."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.world = World(b"")

    def value(self, cql_type: CqlType) -> Any:
        parts = cql_type.subtypes
        if cql_type.code == TypeCode.MAP:
            keys = [self.value(parts[0]) for _ in range(self.source.byte() % 3)]
            return Pairs([(key, self.value(parts[1])) for key in keys])
        if cql_type.code in (TypeCode.TUPLE, TypeCode.UDT):
            return tuple(self.value(part) for part in parts)
        if parts:
            count = cql_type.dimension or self.source.byte() % 4
            return [self.value(parts[0]) for _ in range(count)]
        return natural(self.source, cql_type, self.world)


class Pairs:
    """A mapping whose keys need no hash."""

    def __init__(self, pairs: list[tuple[Any, Any]]) -> None:
        self._pairs = pairs

    def __len__(self) -> int:
        return len(self._pairs)

    def items(self) -> list[tuple[Any, Any]]:
        return self._pairs
