"""The Python classes that CQL values become where the standard library has none."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from async_cassandra._wire.cqltypes import CqlType


@dataclass(frozen=True, slots=True)
class PythonTypes:
    """Constructors of the values, set by the layer that knows the driver.

    :ivar classes: code of a scalar type -> the class of its values, made as its codec says
    :ivar sorted_set: from items in any order, possibly not comparable
    :ivar presorted_set: from a list of distinct items in ascending order, which it keeps
    :ivar map_key: what ``ordered_map`` needs to know of the keys' type
    :ivar ordered_map: from that, the (key, value) pairs, and each key's bytes -> index of its pair
    :ivar user_tuple: a user-defined type's named tuple; ``None`` if its name cannot have one
    :ivar pack_inet: an address as a string or ``ipaddress`` object -> its 4 or 16 bytes
    :ivar format_inet: 4 or 16 bytes -> the address as a string
    :ivar vectors: the class of vectors of numbers: ``"list"``, ``"array"`` or ``"memoryview"``
    :ivar unset: the parameter value that stands for "leave the column as it is"
    """

    classes: Mapping[int, Callable[..., Any]]
    sorted_set: Callable[[list[Any]], Any]
    presorted_set: Callable[[list[Any]], Any]
    map_key: Callable[[CqlType], Any]
    ordered_map: Callable[[Any, list[tuple[Any, Any]], dict[bytes | None, int]], Any]
    user_tuple: Callable[[CqlType], type[tuple[Any, ...]] | None]
    pack_inet: Callable[[Any], bytes]
    format_inet: Callable[[bytes], str]
    unset: Any
    vectors: str = "list"
