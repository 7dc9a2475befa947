"""Which statements a change of the schema concerns."""

from collections.abc import Iterable, Mapping
from typing import Any

from async_cassandra._wire.cqltypes import CqlType, TypeCode
from async_cassandra._wire.rows import Column


def concerns(event: Mapping[str, Any], query: str, columns: Iterable[Column]) -> bool:
    """Whether a statement may mean something else after a change of the schema.

    :param event: as in :meth:`.control_plane.Listener.on_schema_change`
    :param columns: of the statement's parameters and result
    """
    keyspace = event.get("keyspace")
    target = event.get("target_type")
    if target in ("FUNCTION", "AGGREGATE"):
        # Neither parameters nor result tell which functions a statement calls.
        return event[target.lower()].name.lower() in query.lower()
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
    return any(column.keyspace == keyspace for column in columns)


def _is_made_of(cql_type: CqlType, keyspace: str | None, name: str) -> bool:
    """Whether a user-defined type is a part of another type, or is that type."""
    if (cql_type.code, cql_type.keyspace, cql_type.name) == (TypeCode.UDT, keyspace, name):
        return True
    return any(_is_made_of(part, keyspace, name) for part in cql_type.subtypes)
