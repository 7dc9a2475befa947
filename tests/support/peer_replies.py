"""The bodies of responses, as a scripted peer writes them.

Source: ``native_protocol_v5.spec`` sections 4.2 and 8, and v4 where it differs.
"""

import enum
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from tests.support.cql_values import CqlTypeName, encode_value, write_type
from tests.support.native_protocol import Flag, Writer

__all__ = [
    "Columns",
    "ErrorCode",
    "Extras",
    "error_body",
    "extras_prefix",
    "prepared_body",
    "rows_body",
    "schema_change_event_body",
    "schema_change_fields",
]

Columns = Sequence[tuple[str, CqlTypeName]]

_GLOBAL_TABLE_SPEC = 0x01
_HAS_MORE_PAGES = 0x02
_NO_METADATA = 0x04
_METADATA_CHANGED = 0x08


class ErrorCode(enum.IntEnum):
    """The codes of an ERROR; the fields that :func:`error_body` takes for each follow it."""

    SERVER = 0x0000
    PROTOCOL = 0x000A
    BAD_CREDENTIALS = 0x0100
    UNAVAILABLE = 0x1000  # consistency, required, alive
    OVERLOADED = 0x1001
    IS_BOOTSTRAPPING = 0x1002
    TRUNCATE = 0x1003
    WRITE_TIMEOUT = 0x1100  # consistency, received, block_for, write_type, contentions
    READ_TIMEOUT = 0x1200  # consistency, received, block_for, data_present
    READ_FAILURE = 0x1300  # consistency, received, block_for, failures, data_present
    FUNCTION_FAILURE = 0x1400  # keyspace, function, argument_types
    WRITE_FAILURE = 0x1500  # consistency, received, block_for, failures, write_type
    CDC_WRITE_FAILURE = 0x1600
    CAS_WRITE_UNKNOWN = 0x1700  # consistency, received, block_for
    SYNTAX = 0x2000
    UNAUTHORIZED = 0x2100
    INVALID = 0x2200
    CONFIG = 0x2300
    ALREADY_EXISTS = 0x2400  # keyspace, table
    UNPREPARED = 0x2500  # prepared_id


class Extras(TypedDict, total=False):
    """What any response may carry before its body."""

    warnings: Sequence[str]
    custom_payload: Mapping[str, bytes | None]
    tracing_id: uuid.UUID


def extras_prefix(extras: Extras) -> tuple[Flag, bytes]:
    """Return the flags and bytes of tracing id, warnings and custom payload, in this order."""
    flags = Flag(0)
    out = Writer()
    if "tracing_id" in extras:
        flags |= Flag.TRACING
        out.write_uuid(extras["tracing_id"])
    if "warnings" in extras:
        flags |= Flag.WARNING
        out.write_string_list(extras["warnings"])
    if "custom_payload" in extras:
        flags |= Flag.CUSTOM_PAYLOAD
        out.write_bytes_map(extras["custom_payload"])
    return flags, out.getvalue()


def _write_columns(out: Writer, columns: Columns, table: tuple[str, str] | None) -> None:
    if table is not None:
        out.write_string(table[0]).write_string(table[1])
    for name, type_name in columns:
        if table is None:
            out.write_string("ks").write_string("t")
        out.write_string(name)
        write_type(out, type_name)


def rows_body(
    columns: Columns,
    rows: Sequence[Sequence[Any]],
    *,
    paging_state: bytes | None = None,
    metadata: bool = True,
    new_metadata_id: bytes | None = None,
    table: tuple[str, str] | None = ("ks", "t"),
) -> bytes:
    """Write a RESULT of kind Rows.

    :param metadata: false sends the No_metadata flag, as a request with skip_metadata allows
    :param new_metadata_id: sends the Metadata_changed flag (v5)
    :param table: keyspace and table of all columns; ``None`` repeats ``ks`` and ``t`` in each
    """
    out = Writer().write_int(2)
    flags = _GLOBAL_TABLE_SPEC if metadata and table is not None else 0
    flags |= 0 if metadata else _NO_METADATA
    flags |= _HAS_MORE_PAGES if paging_state is not None else 0
    flags |= _METADATA_CHANGED if new_metadata_id is not None else 0
    out.write_int(flags).write_int(len(columns))
    if paging_state is not None:
        out.write_bytes(paging_state)
    if new_metadata_id is not None:
        out.write_short_bytes(new_metadata_id)
    if metadata:
        _write_columns(out, columns, table)
    out.write_int(len(rows))
    for row in rows:
        for (_, type_name), value in zip(columns, row, strict=True):
            out.write_bytes(encode_value(type_name, value))
    return out.getvalue()


def prepared_body(
    version: int,
    prepared_id: bytes,
    columns: Columns = (),
    result_columns: Columns | None = (),
    *,
    pk_indexes: Sequence[int] = (),
    result_metadata_id: bytes = b"result-metadata",
    table: tuple[str, str] = ("ks", "t"),
) -> bytes:
    """Write a RESULT of kind Prepared.

    :param result_columns: ``None`` sends the No_metadata flag, as for a statement without rows
    :param pk_indexes: for each partition key column, the index of the bind marker that gives it
    """
    out = Writer().write_int(4).write_short_bytes(prepared_id)
    if version >= 5:
        out.write_short_bytes(result_metadata_id)
    out.write_int(_GLOBAL_TABLE_SPEC if columns else 0).write_int(len(columns)).write_int(
        len(pk_indexes)
    )
    for index in pk_indexes:
        out.write_short(index)
    _write_columns(out, columns, table if columns else None)
    if not result_columns:
        out.write_int(_NO_METADATA).write_int(0)
    else:
        out.write_int(_GLOBAL_TABLE_SPEC).write_int(len(result_columns))
        _write_columns(out, result_columns, table)
    return out.getvalue()


def schema_change_fields(
    change: str, target: str, keyspace: str, name: str = "", arguments: Sequence[str] = ()
) -> Writer:
    """Write ``<change_type><target><options>``.

    :param change: CREATED, UPDATED or DROPPED
    :param target: KEYSPACE, TABLE, TYPE, FUNCTION or AGGREGATE
    """
    out = Writer().write_string(change).write_string(target).write_string(keyspace)
    if target != "KEYSPACE":
        out.write_string(name)
    if target in ("FUNCTION", "AGGREGATE"):
        out.write_string_list(arguments)
    return out


def schema_change_event_body(change: str, target: str, keyspace: str, name: str = "") -> bytes:
    """Write the body of an EVENT about the schema."""
    fields = schema_change_fields(change, target, keyspace, name).getvalue()
    return Writer().write_string("SCHEMA_CHANGE").raw(fields).getvalue()


def error_body(version: int, code: int, message: str, fields: Mapping[str, Any]) -> bytes:
    """Write an ERROR with the fields of its code; a field left out has a plausible value."""
    out = Writer().write_int(code).write_string(message)
    match code:
        case ErrorCode.UNAVAILABLE:
            out.write_short(fields.get("consistency", 1))
            out.write_int(fields.get("required", 1)).write_int(fields.get("alive", 0))
        case ErrorCode.READ_TIMEOUT:
            _write_responses(out, fields)
            out.write_byte(bool(fields.get("data_present", False)))
        case ErrorCode.WRITE_TIMEOUT:
            _write_responses(out, fields)
            out.write_string(fields.get("write_type", "SIMPLE"))
            if version >= 5 and fields.get("write_type") == "CAS":
                out.write_short(fields.get("contentions", 1))
        case ErrorCode.READ_FAILURE:
            _write_responses(out, fields)
            _write_failures(out, version, fields)
            out.write_byte(bool(fields.get("data_present", False)))
        case ErrorCode.WRITE_FAILURE:
            _write_responses(out, fields)
            _write_failures(out, version, fields)
            out.write_string(fields.get("write_type", "SIMPLE"))
        case ErrorCode.CAS_WRITE_UNKNOWN:
            _write_responses(out, fields)
        case ErrorCode.FUNCTION_FAILURE:
            out.write_string(fields.get("keyspace", "ks")).write_string(fields.get("function", "f"))
            out.write_string_list(fields.get("argument_types", ["int"]))
        case ErrorCode.ALREADY_EXISTS:
            out.write_string(fields.get("keyspace", "ks")).write_string(fields.get("table", "t"))
        case ErrorCode.UNPREPARED:
            out.write_short_bytes(fields["prepared_id"])
    return out.getvalue()


def _write_responses(out: Writer, fields: Mapping[str, Any]) -> None:
    out.write_short(fields.get("consistency", 1))
    out.write_int(fields.get("received", 0)).write_int(fields.get("block_for", 1))


def _write_failures(out: Writer, version: int, fields: Mapping[str, Any]) -> None:
    """Write the reason by endpoint (v5) or their number (v4)."""
    failures: Mapping[str, int] = fields.get("failures", {"127.0.0.1": 0})
    out.write_int(len(failures))
    if version >= 5:
        for address, reason in failures.items():
            out.write_inet_address(address).write_short(reason)
