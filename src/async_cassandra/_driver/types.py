"""The driver's Python classes for CQL values, and its type classes for column descriptions."""

import ipaddress
import socket
from functools import lru_cache
from typing import Any

from cassandra import cqltypes
from cassandra.protocol import ResultMessage
from cassandra.query import UNSET_VALUE
from cassandra.util import Date, Duration, OrderedMapSerializedKey, SortedSet, Time

from async_cassandra._wire.cqltypes import CqlType, TypeCode
from async_cassandra._wire.python_types import PythonTypes

# Collections have the same layout since this version, older ones are not spoken.
_PROTOCOL_VERSION = 5
_PARAMETERIZED = (TypeCode.LIST, TypeCode.SET, TypeCode.MAP, TypeCode.TUPLE)


@lru_cache(maxsize=4096)
def driver_type(cql_type: CqlType) -> Any:
    """The driver's class for a CQL type, as its own result messages have it."""
    code = cql_type.code
    if code in (TypeCode.CUSTOM, TypeCode.COMPOSITE):
        return _custom_type(cql_type.name)
    subtypes = tuple(driver_type(subtype) for subtype in cql_type.subtypes)
    if code == TypeCode.UDT:
        return cqltypes.UserType.make_udt_class(
            cql_type.keyspace, cql_type.name, cql_type.field_names, subtypes
        )
    if code == TypeCode.VECTOR:
        return cqltypes.VectorType.apply_parameters((subtypes[0], cql_type.dimension), None)
    driver_class = ResultMessage.type_codes[code]
    if code in _PARAMETERIZED:
        return driver_class.apply_parameters(subtypes)
    return driver_class


def _custom_type(name: str) -> Any:
    """The driver's class for a server's class name; one for opaque bytes if it cannot read the name."""
    try:
        return cqltypes.lookup_casstype(name)
    except Exception:  # noqa: BLE001  its parser fails in any way, and names come from the server
        return cqltypes.mkUnrecognizedType(name)


def _presorted_set(items: list[Any]) -> Any:
    """A SortedSet around a list; its constructor would search the place of each item."""
    result = SortedSet.__new__(SortedSet)
    result._items = items
    return result


def _ordered_map(
    key_type: Any, pairs: list[tuple[Any, Any]], positions: dict[bytes | None, int]
) -> Any:
    """An OrderedMapSerializedKey around its two collections."""
    result = OrderedMapSerializedKey.__new__(OrderedMapSerializedKey)
    result.cass_key_type = key_type
    result.protocol_version = _PROTOCOL_VERSION
    result._items = pairs
    result._index = positions
    return result


def _user_tuple(cql_type: CqlType) -> type[tuple[Any, ...]] | None:
    user_type: Any = driver_type(cql_type)
    tuple_type: type[tuple[Any, ...]] | None = user_type.tuple_type
    return tuple_type


def _pack_inet(address: Any) -> bytes:
    if isinstance(address, (ipaddress.IPv4Address, ipaddress.IPv6Address)):
        return address.packed
    if not isinstance(address, str):
        raise TypeError(f"an address as a string is required, not {type(address).__name__}")
    try:
        if ":" in address:
            return socket.inet_pton(socket.AF_INET6, address)
        return socket.inet_aton(address)
    except OSError:
        pass
    raise ValueError("this text is no IP address")


def _format_inet(packed: bytes) -> str:
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, packed)


PYTHON_TYPES = PythonTypes(
    date=Date,
    time=Time,
    duration=Duration,
    sorted_set=SortedSet,
    presorted_set=_presorted_set,
    map_key=driver_type,
    ordered_map=_ordered_map,
    user_tuple=_user_tuple,
    pack_inet=_pack_inet,
    format_inet=_format_inet,
    unset=UNSET_VALUE,
)
