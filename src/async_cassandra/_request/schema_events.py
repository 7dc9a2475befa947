"""Finds the statements that a schema change affects, and what it did to their parameters."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from async_cassandra._wire.cqltypes import CqlType, TypeCode
from async_cassandra._wire.rows import Column


def concerns(event: Mapping[str, Any], query: str, columns: Iterable[Column]) -> bool:
    """Whether a statement may mean something else after a schema change.

    :param event: as in :meth:`.control_plane.Listener.on_schema_change`
    :param columns: those of the statement's parameters and result
    """
    keyspace = event.get("keyspace")
    target = event.get("target_type")
    if target in ("FUNCTION", "AGGREGATE"):
        # Neither parameters nor result tell which functions a statement calls.
        return _spelled(event[target.lower()].name) in _spelled(query)
    if target not in ("KEYSPACE", "TABLE", "TYPE"):
        return True
    if event.get("change_type") == "CREATED":
        return False
    if target == "TYPE":
        return any(_is_made_of(column.type, keyspace, event["type"]) for column in columns)
    if target == "TABLE":
        return any(
            (column.keyspace, column.table) == (keyspace, event["table"]) for column in columns
        )
    # A function of the keyspace may be called from another one's statement, by its whole name.
    return _spelled(str(keyspace)) in _spelled(query) or any(
        column.keyspace == keyspace for column in columns
    )


def _spelled(text: str) -> str:
    return text.lower().replace('""', '"')


def _is_made_of(cql_type: CqlType, keyspace: str | None, name: str) -> bool:
    """Whether a user-defined type is part of another type, or is that type."""
    if (cql_type.code, cql_type.keyspace, cql_type.name) == (TypeCode.UDT, keyspace, name):
        return True
    return any(_is_made_of(part, keyspace, name) for part in cql_type.subtypes)


def have_grown(before: Sequence[Column], now: Sequence[Column]) -> bool:
    """Whether values that were encoded for parameters are right for the parameters as they are now.

    They are if the types are the same except for fields appended to user-defined types, at any depth: to the server,
    a value without the last fields is one in which they are null.
    """
    return len(before) == len(now) and all(
        _place(old) == _place(new) and _has_grown(old.type, new.type)
        for old, new in zip(before, now, strict=True)
    )


def _place(column: Column) -> tuple[str, str, str]:
    return column.keyspace, column.table, column.name


def _has_grown(before: CqlType, now: CqlType) -> bool:
    if before == now:
        return True
    if (before.code, before.name, before.keyspace, before.dimension) != (
        now.code,
        now.name,
        now.keyspace,
        now.dimension,
    ):
        return False
    count = len(before.subtypes)
    if before.code == TypeCode.UDT:
        if now.field_names[: len(before.field_names)] != before.field_names:
            return False
    elif len(now.subtypes) != count:
        return False
    return count > 0 and all(map(_has_grown, before.subtypes, now.subtypes))
