"""CQL types and values as bytes, in plain Python, for scripted replies.

Source: ``native_protocol_v5.spec``, sections 4.2.5.2 (``[option]``) and 5 (serialization formats).
"""

import struct
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

from tests.support.native_protocol import Writer

__all__ = ["CqlTypeName", "ListOf", "UserType", "encode_value", "write_type"]

_SIMPLE = {
    "ascii": 0x01,
    "bigint": 0x02,
    "blob": 0x03,
    "boolean": 0x04,
    "counter": 0x05,
    "decimal": 0x06,
    "double": 0x07,
    "float": 0x08,
    "int": 0x09,
    "timestamp": 0x0B,
    "uuid": 0x0C,
    "text": 0x0D,
    "varchar": 0x0D,
    "varint": 0x0E,
    "timeuuid": 0x0F,
    "inet": 0x10,
    "date": 0x11,
    "time": 0x12,
    "smallint": 0x13,
    "tinyint": 0x14,
    "duration": 0x15,
}
_MARSHAL = "org.apache.cassandra.db.marshal."
_MARSHAL_NAMES = {
    "float": "FloatType",
    "double": "DoubleType",
    "int": "Int32Type",
    "text": "UTF8Type",
}


@dataclass(frozen=True, slots=True)
class UserType:
    """A user-defined type; values are sequences in the order of its fields."""

    keyspace: str
    name: str
    fields: tuple[tuple[str, "CqlTypeName"], ...]


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list whose element type has no name that text could give."""

    element: "CqlTypeName"


CqlTypeName = str | UserType | ListOf


def write_type(out: Writer, name: CqlTypeName) -> None:
    """Write the ``[option]`` of a type.

    :param name: such as ``int``, ``map<text, frozen<list<int>>>``, or a marshal class name
    """
    if isinstance(name, UserType):
        out.write_short(0x30).write_string(name.keyspace).write_string(name.name).write_short(
            len(name.fields)
        )
        for field, field_type in name.fields:
            out.write_string(field)
            write_type(out, field_type)
        return
    if isinstance(name, ListOf):
        write_type(out.write_short(0x20), name.element)
        return
    outer, inner = _parse(name)
    if outer == "frozen":
        write_type(out, inner[0])
    elif outer in _SIMPLE:
        out.write_short(_SIMPLE[outer])
    elif outer in ("list", "map", "set"):
        out.write_short({"list": 0x20, "map": 0x21, "set": 0x22}[outer])
        for part in inner:
            write_type(out, part)
    elif outer == "tuple":
        out.write_short(0x31).write_short(len(inner))
        for part in inner:
            write_type(out, part)
    elif outer == "vector":
        element = _MARSHAL + _MARSHAL_NAMES[inner[0]]
        out.write_short(0x00).write_string(f"{_MARSHAL}VectorType({element} , {inner[1]})")
    else:
        out.write_short(0x00).write_string(name)


def _parse(name: str) -> tuple[str, list[str]]:
    """Split ``map<text, list<int>>`` into ``map`` and its arguments."""
    outer, bracket, rest = name.strip().partition("<")
    if not bracket:
        return outer, []
    return outer, list(_arguments(rest.removesuffix(">")))


def _arguments(text: str) -> Iterator[str]:
    depth = start = 0
    for at, character in enumerate(text):
        depth += (character == "<") - (character == ">")
        if character == "," and depth == 0:
            yield text[start:at].strip()
            start = at + 1
    yield text[start:].strip()


def _varint(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, signed=True)


def _timestamp(value: int | datetime) -> bytes:
    if isinstance(value, datetime):
        value = (value - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return struct.pack(">q", value)


def _packer(layout: str) -> Callable[[Any], bytes]:
    return lambda value: struct.pack(layout, value)


_ENCODERS: Mapping[str, Callable[[Any], bytes]] = {
    "ascii": str.encode,
    "text": str.encode,
    "varchar": str.encode,
    "bigint": _packer(">q"),
    "counter": _packer(">q"),
    "time": _packer(">q"),
    "boolean": _packer(">?"),
    "double": _packer(">d"),
    "float": _packer(">f"),
    "int": _packer(">i"),
    "smallint": _packer(">h"),
    "tinyint": _packer(">b"),
    "date": _packer(">I"),
    "timestamp": _timestamp,
    "uuid": lambda value: uuid.UUID(str(value)).bytes,
    "timeuuid": lambda value: uuid.UUID(str(value)).bytes,
    "inet": lambda value: ip_address(value).packed,
    "varint": _varint,
}


def encode_value(name: CqlTypeName, value: Any) -> bytes | None:
    """Encode a value of a type; ``bytes`` are taken as already encoded, whatever the type."""
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(name, UserType):
        return _sequence([field_type for _, field_type in name.fields], value)
    if isinstance(name, ListOf):
        return _collection([(name.element, item) for item in value], len(value))
    outer, inner = _parse(name)
    if outer == "frozen":
        return encode_value(inner[0], value)
    if outer == "tuple":
        return _sequence(inner, value)
    if outer in ("list", "set"):
        return _collection([(inner[0], item) for item in value], len(value))
    if outer == "map":
        parts = [
            (kind, part) for item in value.items() for kind, part in zip(inner, item, strict=True)
        ]
        return _collection(parts, len(value))
    if outer == "vector":
        return b"".join(_ENCODERS[inner[0]](item) for item in value)
    return _ENCODERS[outer](value)


def _sequence(types: Sequence[CqlTypeName], values: Sequence[Any]) -> bytes:
    out = Writer()
    for kind, value in zip(types, values, strict=False):
        out.write_bytes(encode_value(kind, value))
    return out.getvalue()


def _collection(parts: Sequence[tuple[CqlTypeName, Any]], count: int) -> bytes:
    out = Writer().write_int(count)
    for kind, value in parts:
        out.write_bytes(encode_value(kind, value))
    return out.getvalue()
