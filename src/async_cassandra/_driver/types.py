"""The driver's Python classes for CQL values, and its type classes for column descriptions."""

import contextlib
import ipaddress
import socket
from functools import lru_cache
from typing import Any

from cassandra import cqltypes
from cassandra.protocol import ResultMessage
from cassandra.query import UNSET_VALUE
from cassandra.util import Date, Duration, SortedSet, Time

from async_cassandra._driver.contract import ordered_map, presorted_set
from async_cassandra._wire.cqltypes import CqlType, TypeCode, parse_class_name
from async_cassandra._wire.python_types import PythonTypes

_PARAMETERIZED = (TypeCode.LIST, TypeCode.SET, TypeCode.MAP, TypeCode.TUPLE)


@lru_cache(maxsize=4096)
def driver_type(cql_type: CqlType) -> Any:
    """Return the driver's class for a CQL type, as in its own result messages."""
    code = cql_type.code
    if code in (TypeCode.CUSTOM, TypeCode.COMPOSITE):
        return _custom_type(cql_type.name)
    subtypes = tuple(driver_type(subtype) for subtype in cql_type.subtypes)
    if code == TypeCode.UDT:
        return cqltypes.UserType.make_udt_class(
            cql_type.keyspace, _class_name(cql_type.name), cql_type.field_names, subtypes
        )
    if code == TypeCode.VECTOR:
        return cqltypes.VectorType.apply_parameters((subtypes[0], cql_type.dimension), None)
    driver_class = ResultMessage.type_codes[code]
    if code in _PARAMETERIZED:
        return driver_class.apply_parameters(subtypes)
    return driver_class


@lru_cache(maxsize=1024)
def cql_type_of(driver_class: Any) -> CqlType:
    """Return the CQL type for one of the driver's classes.

    :raises TypeError: if it is not one, or has no element types
    """
    if not isinstance(driver_class, type) or not issubclass(driver_class, cqltypes.CassandraType):
        raise TypeError(f"{driver_class!r} is not one of the driver's classes for CQL types")
    known = _nested_type(driver_class) or _plain_type(driver_class)
    if known is None:
        raise TypeError(f"values of the driver's type {driver_class.__name__} cannot be encoded")
    return known


def _nested_type(driver_class: Any) -> CqlType | None:
    if issubclass(driver_class, cqltypes.VectorType):
        size: int = driver_class.vector_size
        subtype = driver_class.subtype
        if subtype is None:
            return None
        return CqlType(TypeCode.VECTOR, "vector", (cql_type_of(subtype),), None, (), size)
    subtypes = tuple(cql_type_of(subtype) for subtype in driver_class.subtypes)
    if not subtypes:
        return None
    if issubclass(driver_class, cqltypes.FrozenType | cqltypes.ReversedType):
        return subtypes[0]
    if issubclass(driver_class, cqltypes.UserType):
        names = tuple(driver_class.fieldnames)
        return CqlType(TypeCode.UDT, driver_class.typename, subtypes, driver_class.keyspace, names)
    for code in _PARAMETERIZED:
        if issubclass(driver_class, ResultMessage.type_codes[code]):
            return CqlType(code, code.name.lower(), subtypes)
    return None


def _plain_type(driver_class: Any) -> CqlType | None:
    if driver_class is cqltypes.VarcharType:
        return parse_class_name("UTF8Type")
    name: str = driver_class.cassname
    # One that was derived from the driver's may encode otherwise.
    if getattr(cqltypes, name, None) is not driver_class:
        return None
    known = parse_class_name(name)
    return None if known.code == TypeCode.CUSTOM else known


def _custom_type(name: str) -> Any:
    """Return the driver's class for a server's class name; one for opaque bytes if it cannot read the name."""
    # Its parser fails in any way, and names come from the server: of "9" it makes a number.
    with contextlib.suppress(Exception):
        found = cqltypes.lookup_casstype(name)
        if isinstance(found, type):
            return found
    return cqltypes.mkUnrecognizedType(_class_name(name))


def _class_name(name: str) -> str:
    """Return a name from the server in a form that a Python class can have: without NUL."""
    return name.replace("\0", "\N{SYMBOL FOR NULL}")


class _MapKey:
    """The driver's class of a map's keys, for look-ups: what cannot be a key is not in the map."""

    def __init__(self, cql_type: CqlType) -> None:
        self.driver_type = driver_type(cql_type)

    def serialize(self, key: Any, protocol_version: int) -> Any:
        try:
            return self.driver_type.serialize(key, protocol_version)
        # The driver's codecs fail in any way.
        except Exception as error:
            raise KeyError(key) from error

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.driver_type, name)

    def __eq__(self, other: object) -> bool:
        return self.driver_type is getattr(other, "driver_type", other)

    def __hash__(self) -> int:
        return hash(self.driver_type)

    def __reduce__(self) -> tuple[Any, ...]:
        return _itself, (self.driver_type,)


def _itself(value: Any) -> Any:
    return value


def _user_tuple(cql_type: CqlType) -> type[tuple[Any, ...]] | None:
    user_type: Any = driver_type(cql_type)
    tuple_type: type[tuple[Any, ...]] | None = user_type.tuple_type
    return tuple_type


def _pack_inet(address: Any) -> bytes:
    if isinstance(address, ipaddress.IPv4Address | ipaddress.IPv6Address):
        if getattr(address, "scope_id", None) is not None:
            raise ValueError(f"{address} has a scope, which inet cannot hold")
        return address.packed
    if not isinstance(address, str):
        raise TypeError(f"an address as a string is required, not {type(address).__name__}")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.inet_pton(family, address)
    except OSError:
        pass
    raise ValueError("this text is not an IP address")


def format_inet(packed: bytes) -> str:
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, packed)


PYTHON_TYPES = PythonTypes(
    classes={TypeCode.DATE: Date, TypeCode.TIME: Time, TypeCode.DURATION: Duration},
    sorted_set=SortedSet,
    presorted_set=presorted_set,
    map_key=_MapKey,
    ordered_map=ordered_map,
    user_tuple=_user_tuple,
    pack_inet=_pack_inet,
    format_inet=format_inet,
    unset=UNSET_VALUE,
)
