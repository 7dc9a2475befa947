"""Converts the values of CQL types to what a field's annotation names.

The driver's Python types stay if an annotation leaves room for them; its own classes for dates,
times, sets and maps become the standard ones if the annotation names those.
"""

import collections.abc
import datetime
from collections.abc import Callable
from enum import Enum
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    NewType,
    Protocol,
    TypeAliasType,
    Union,
    get_args,
    get_origin,
)

from cassandra.util import Date, OrderedMapSerializedKey, SortedSet, Time

from async_cassandra._driver.types import PYTHON_TYPES
from async_cassandra._wire.codecs import value_classes
from async_cassandra._wire.cqltypes import CqlType, TypeCode

type Conversion = Callable[[Any], Any]


class Nested(Protocol):
    """Makes the conversion of a user-defined type's value to a class; ``None`` if the class cannot hold one."""

    def __call__(self, cql_type: CqlType, kind: Any) -> Conversion | None: ...


_CLASSES: dict[int, Any] = {
    **value_classes(),
    **PYTHON_TYPES.classes,
    TypeCode.LIST: list,
    TypeCode.MAP: OrderedMapSerializedKey,
    TypeCode.SET: SortedSet,
}
_STANDARD: dict[tuple[int, Any], Conversion] = {
    (TypeCode.DATE, datetime.date): Date.date,
    (TypeCode.TIME, datetime.time): Time.time,
}
# Annotations that say so much of a value that a column's type fits them or does not.
_SCALARS = frozenset(_CLASSES.values()) | {datetime.date, datetime.time}
_CHECKED = _SCALARS | {dict, set, frozenset, tuple}
_ITEMS = (TypeCode.LIST, TypeCode.SET, TypeCode.VECTOR)
_BUILT = {list: list, tuple: tuple, set: set, frozenset: frozenset}
_ANY_ITEMS = {
    collections.abc.Collection: list,
    collections.abc.Iterable: list,
    collections.abc.Sequence: list,
    collections.abc.Set: set,
}


def bare(hint: Any) -> Any:
    """Return an annotation without what says nothing about the value's class; ``Any`` if it leaves a choice."""
    while True:
        origin = get_origin(hint)
        if origin is Annotated:
            hint = get_args(hint)[0]
        elif origin in (Union, UnionType):
            others = [choice for choice in get_args(hint) if choice is not NoneType]
            if len(others) != 1:
                return Any
            hint = others[0]
        elif isinstance(hint, NewType):
            hint = hint.__supertype__
        elif isinstance(hint, TypeAliasType):
            hint = hint.__value__
        else:
            return hint


def is_scalar(hint: Any) -> bool:
    """Whether an annotation describes one column's values."""
    hint = bare(hint)
    kind = get_origin(hint) or hint
    return kind in _CHECKED or (isinstance(kind, type) and issubclass(kind, Enum))


def name_of(kind: Any) -> str:
    """Return a type as messages write it."""
    return kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind)


def conversion(cql_type: CqlType, hint: Any, checks: bool, *, nested: Nested) -> Conversion | None:
    """Return the conversion of a value to what its annotation says; ``None`` if it stays as it is.

    :param checks: whether an annotation that the value cannot have is an error
    :raises TypeError: if so, without the names of column and field
    """
    hint = bare(hint)
    kind = get_origin(hint) or hint
    if cql_type.code in _ITEMS:
        found = _items(cql_type, kind, hint, checks, nested)
    elif cql_type.code == TypeCode.MAP:
        found = _mapping(cql_type, kind, hint, checks, nested)
    elif cql_type.code == TypeCode.TUPLE:
        found = _tuple(cql_type, kind, hint, checks, nested)
    elif cql_type.code == TypeCode.UDT:
        return nested(cql_type, kind)
    elif isinstance(kind, type) and issubclass(kind, Enum):
        return kind
    else:
        found = _STANDARD.get((cql_type.code, kind))
    if found is None and checks:
        _check(cql_type, kind)
    return found


def _check(cql_type: CqlType, kind: Any) -> None:
    given = _CLASSES.get(cql_type.code)
    if given is None or kind not in _CHECKED:
        return
    if not issubclass(given, kind) and not (kind is float and given is int):
        raise TypeError(f"{cql_type} gives {given.__name__}, not {kind.__name__}")


def _items(
    cql_type: CqlType, kind: Any, hint: Any, checks: bool, nested: Nested
) -> Conversion | None:
    arguments = get_args(hint)
    item = None
    if len(arguments) == 1 or (len(arguments) == 2 and arguments[1] is Ellipsis):
        item = conversion(cql_type.subtypes[0], arguments[0], checks, nested=nested)
    build: Any = _BUILT.get(kind)
    if item is None:
        # A list is one already, unless vectors are given as arrays.
        is_list = kind is list and cql_type.code == TypeCode.LIST
        return None if is_list else build
    build = build or _ANY_ITEMS.get(kind)
    return None if build is None else _each(build, item)


def _each(build: Callable[[Any], Any], item: Conversion) -> Conversion:
    return lambda values: build([None if value is None else item(value) for value in values])


def _mapping(
    cql_type: CqlType, kind: Any, hint: Any, checks: bool, nested: Nested
) -> Conversion | None:
    if kind is not dict and kind is not collections.abc.Mapping:
        return None
    key_hint, value_hint = get_args(hint) or (Any, Any)
    of_key = conversion(cql_type.subtypes[0], key_hint, checks, nested=nested) or _same
    of_value = conversion(cql_type.subtypes[1], value_hint, checks, nested=nested) or _same
    if of_key is of_value is _same:
        return dict if kind is dict else None
    return lambda values: {
        of_key(key): None if value is None else of_value(value) for key, value in values.items()
    }


def _same(value: Any) -> Any:
    return value


def _tuple(
    cql_type: CqlType, kind: Any, hint: Any, checks: bool, nested: Nested
) -> Conversion | None:
    arguments = get_args(hint)
    if kind is not tuple or not arguments:
        return None
    if arguments[-1] is Ellipsis:
        arguments = arguments[:1] * len(cql_type.subtypes)
    if len(arguments) != len(cql_type.subtypes):
        raise TypeError(f"{cql_type} has {len(cql_type.subtypes)} values, not {len(arguments)}")
    each = [
        conversion(subtype, argument, checks, nested=nested)
        for subtype, argument in zip(cql_type.subtypes, arguments, strict=True)
    ]
    if not any(each):
        return None
    return lambda values: tuple(
        value if convert is None or value is None else convert(value)
        for convert, value in zip(each, values, strict=True)
    )
