"""Reads an object's value for each field of a user-defined type, and whether a class accepts them."""

from collections.abc import Iterable, Mapping, Sequence
from inspect import Parameter, signature
from typing import Any

__all__ = ["field_values", "refused_fields"]


def field_values(value: Any, names: Sequence[str], what: object) -> list[Any]:
    """Return a value for each field, ``None`` for missing ones, since ALTER TYPE may have added them.

    Mappings and named tuples go by their names, other sequences by position, other objects by
    their attributes.

    :param what: the type, for errors
    :raises TypeError: if it has none of the fields
    :raises ValueError: if it has more than the fields
    """
    if isinstance(value, str | bytes | bytearray):
        raise TypeError(f"a {what} is required, not {type(value).__name__}")
    if isinstance(value, Mapping):
        unknown = [name for name in value if name not in names]
        if unknown:
            raise ValueError(f"{what} has no field {unknown[0]!r}")
        return [value.get(name) for name in names]
    known = getattr(type(value), "_fields", None)
    if isinstance(value, tuple) and known and all(name in names for name in known):
        return [getattr(value, name, None) for name in names]
    if hasattr(type(value), "__getitem__") and hasattr(type(value), "__len__"):
        if len(value) > len(names):
            raise ValueError(f"{what} has {len(names)} fields, got {len(value)}")
        return [value[index] if index < len(value) else None for index in range(len(names))]
    if names and not any(hasattr(value, name) for name in names):
        raise TypeError(f"a {what} is required, not {type(value).__name__}")
    return [getattr(value, name, None) for name in names]


def refused_fields(python_class: Any, fields: Iterable[str]) -> list[str]:
    """Return the fields that a class does not accept as keywords, such as those that ALTER TYPE has added."""
    try:
        taken = signature(python_class).parameters.values()
    except (TypeError, ValueError):
        return []
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in taken):
        return []
    positional = Parameter.POSITIONAL_ONLY, Parameter.VAR_POSITIONAL
    names = {parameter.name for parameter in taken if parameter.kind not in positional}
    return [name for name in fields if name not in names]
