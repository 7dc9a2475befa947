"""Responses: golden bytes, the driver's decoder as oracle, and nothing but protocol errors for the rest."""

import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from cassandra import protocol as driver
from hypothesis import given
from hypothesis import strategies as st

from async_cassandra._driver.types import PYTHON_TYPES
from async_cassandra._wire.codecs import CodecRegistry
from async_cassandra._wire.errors import ProtocolError
from async_cassandra._wire.protocol import ErrorCode, ResultKind
from async_cassandra._wire.responses import Event, Response, RowPlans, decode, decode_pushed
from tests.support.native_protocol import Opcode, Writer
from tests.support.peer_replies import (
    Extras,
    error_body,
    extras_prefix,
    prepared_body,
    rows_body,
    schema_change_event_body,
    schema_change_fields,
)

versions = pytest.mark.parametrize("version", [4, 5])
COLUMNS = [("k", "int"), ("v", "text"), ("m", "map<text, int>")]
ROWS = [(1, "one", {"a": 1}), (2, None, None)]

names = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20)


def plans() -> RowPlans:
    return RowPlans(CodecRegistry(PYTHON_TYPES, {}))


def decoded(version: int, opcode: Opcode, body: bytes, flags: int = 0) -> Response:
    return decode(version, flags, opcode, body, None, plans())


def by_driver(version: int, opcode: Opcode, body: bytes, flags: int = 0) -> Any:
    return driver.ProtocolHandler.decode_message(version, {}, 0, flags, opcode, body, None, None)


# Golden bytes


def test_simple_responses_are_read_as_the_specification_says() -> None:
    assert decoded(5, Opcode.READY, b"").opcode == Opcode.READY
    assert decoded(5, Opcode.AUTHENTICATE, bytes.fromhex("0003 616263")).authenticator == "abc"
    assert decoded(5, Opcode.AUTH_CHALLENGE, bytes.fromhex("00000002 0102")).token == b"\1\2"
    assert decoded(5, Opcode.AUTH_SUCCESS, bytes.fromhex("ffffffff")).token is None
    supported = bytes.fromhex("0001 0001 61 0002 0001 62 0000")
    assert decoded(5, Opcode.SUPPORTED, supported).supported == {"a": ["b", ""]}


def test_results_are_read_as_the_specification_says() -> None:
    assert decoded(5, Opcode.RESULT, bytes.fromhex("00000001")).kind == ResultKind.VOID
    used = decoded(5, Opcode.RESULT, bytes.fromhex("00000003 0002 6b73"))
    assert (used.kind, used.keyspace) == (ResultKind.SET_KEYSPACE, "ks")
    rows = bytes.fromhex(
        "00000002 00000001 00000001 0002 6b73 0001 74 0001 76 0009 00000001 00000004 00000007"
    )
    response = decoded(5, Opcode.RESULT, rows)
    assert response.page is not None
    assert [row.v for row in response.page] == [7]


def test_tracing_warnings_and_payload_come_in_this_order() -> None:
    body = uuid.UUID(int=5).bytes + bytes.fromhex(
        "0001 0001 77  0001 0001 6b 00000001 76  00000001"
    )
    response = decoded(5, Opcode.RESULT, body, 0x0E)
    assert response.tracing_id == uuid.UUID(int=5).bytes
    assert response.warnings == ["w"]
    assert response.custom_payload == {"k": b"v"}
    assert response.kind == ResultKind.VOID


def test_more_than_the_specification_says_is_passed_over() -> None:
    for opcode, body in (
        (Opcode.RESULT, bytes.fromhex("00000001") + b"more"),
        (Opcode.READY, b"more"),
        (Opcode.ERROR, error_body(5, ErrorCode.UNAVAILABLE, "x", {}) + b"more"),
    ):
        assert decoded(5, opcode, body).opcode == opcode


# Against the driver


@versions
@given(
    warnings=st.lists(st.text(max_size=30), max_size=3),
    payload=st.dictionaries(names, st.one_of(st.none(), st.binary(max_size=20)), max_size=3),
    traced=st.booleans(),
)
def test_extras_are_the_drivers(
    version: int, warnings: list[str], payload: Mapping[str, bytes | None], traced: bool
) -> None:
    extras: Extras = {"warnings": warnings, "custom_payload": payload}
    if traced:
        extras["tracing_id"] = uuid.UUID(int=1)
    flags, prefix = extras_prefix(extras)
    body = prefix + bytes.fromhex("00000001")
    ours = decoded(version, Opcode.RESULT, body, flags)
    theirs = by_driver(version, Opcode.RESULT, body, flags)
    assert ours.warnings == theirs.warnings
    assert ours.custom_payload == theirs.custom_payload
    assert ours.tracing_id == (theirs.trace_id.bytes if traced else None)


@versions
@pytest.mark.parametrize("paging_state", [None, b"next"])
def test_rows_are_the_drivers(version: int, paging_state: bytes | None) -> None:
    body = rows_body(COLUMNS, ROWS, paging_state=paging_state)
    ours = decoded(version, Opcode.RESULT, body)
    theirs = by_driver(version, Opcode.RESULT, body)
    assert ours.page is not None
    assert [tuple(row) for row in ours.page] == [tuple(row) for row in theirs.parsed_rows]
    assert list(ours.page.plan.column_names) == theirs.column_names
    assert ours.paging_state == theirs.paging_state


@versions
@pytest.mark.parametrize("result_columns", [None, COLUMNS])
def test_prepared_is_the_drivers(version: int, result_columns: Any) -> None:
    body = prepared_body(version, b"id", COLUMNS, result_columns, pk_indexes=[1, 0])
    ours = decoded(version, Opcode.RESULT, body).prepared
    theirs = by_driver(version, Opcode.RESULT, body)
    assert ours is not None
    assert ours.prepared_id == theirs.query_id
    assert ours.result_metadata_id == theirs.result_metadata_id
    assert ours.bind_metadata.partition_key_indexes == (1, 0) == tuple(theirs.pk_indexes)
    columns = ours.bind_metadata.columns
    assert columns is not None
    assert [(c.keyspace, c.table, c.name) for c in columns] == [c[:3] for c in theirs.bind_metadata]


@versions
@pytest.mark.parametrize(
    ("target", "name", "arguments"),
    [
        ("KEYSPACE", "", ()),
        ("TABLE", "t", ()),
        ("TYPE", "u", ()),
        ("FUNCTION", "f", ("int", "text")),
        ("AGGREGATE", "a", ()),
    ],
)
def test_schema_change_is_read_whole(
    version: int, target: str, name: str, arguments: tuple[str, ...]
) -> None:
    fields = schema_change_fields("CREATED", target, "ks", name, arguments).getvalue()
    change = decoded(version, Opcode.RESULT, b"\0\0\0\5" + fields).schema_change
    assert change is not None
    assert (change.change_type, change.target, change.keyspace) == ("CREATED", target, "ks")
    assert (change.name or "", tuple(change.arguments or ())) == (name, arguments)


FIELDS: dict[ErrorCode, dict[str, str]] = {
    ErrorCode.UNAVAILABLE: {
        "consistency": "consistency",
        "required_replicas": "required_replicas",
        "alive_replicas": "alive_replicas",
    },
    ErrorCode.READ_TIMEOUT: {
        "consistency": "consistency",
        "received_responses": "received_responses",
        "required_responses": "required_responses",
        "data_retrieved": "data_retrieved",
    },
    ErrorCode.WRITE_TIMEOUT: {
        "consistency": "consistency",
        "received_responses": "received_responses",
        "required_responses": "required_responses",
    },
    ErrorCode.READ_FAILURE: {
        "consistency": "consistency",
        "received_responses": "received_responses",
        "required_responses": "required_responses",
        "failures": "failures",
        "data_retrieved": "data_retrieved",
    },
    ErrorCode.WRITE_FAILURE: {
        "consistency": "consistency",
        "received_responses": "received_responses",
        "required_responses": "required_responses",
        "failures": "failures",
    },
    ErrorCode.FUNCTION_FAILURE: {
        "keyspace": "keyspace",
        "function": "function",
        "arg_types": "arg_types",
    },
    ErrorCode.ALREADY_EXISTS: {"keyspace": "keyspace", "table": "table"},
}


@versions
@pytest.mark.parametrize("code", FIELDS, ids=lambda code: code.name.lower())
def test_fields_of_an_error_are_the_drivers(version: int, code: ErrorCode) -> None:
    fields = {"consistency": 6, "received": 1, "block_for": 2, "required": 3, "alive": 1}
    body = error_body(version, code, "why", fields)
    ours = decoded(version, Opcode.ERROR, body).error
    theirs = by_driver(version, Opcode.ERROR, body)
    assert ours is not None
    assert (ours.code, ours.message) == (code, "why") == (theirs.code, theirs.message)
    for name, driver_name in FIELDS[code].items():
        assert ours.fields[name] == theirs.info[driver_name], name


def test_unprepared_names_the_id() -> None:
    body = error_body(5, ErrorCode.UNPREPARED, "why", {"prepared_id": b"id"})
    ours = decoded(5, Opcode.ERROR, body).error
    assert ours is not None
    assert ours.fields == {"query_id": b"id"} == {"query_id": by_driver(5, Opcode.ERROR, body).info}


def test_failure_reasons_are_by_address() -> None:
    failures = {"127.0.0.1": 1, "::1": 2}
    body = error_body(5, ErrorCode.READ_FAILURE, "why", {"failures": failures})
    ours = decoded(5, Opcode.ERROR, body).error
    assert ours is not None
    assert ours.fields["error_code_map"] == failures


# Hostile bodies


def bodies(version: int) -> list[tuple[Opcode, bytes]]:
    """One of each kind of response."""
    schema = schema_change_fields("CREATED", "FUNCTION", "ks", "f", ["int"]).getvalue()
    made = [
        (Opcode.READY, b""),
        (Opcode.AUTHENTICATE, Writer().write_string("class").getvalue()),
        (Opcode.SUPPORTED, Writer().write_string_multimap({"a": ["b"]}).getvalue()),
        (Opcode.AUTH_CHALLENGE, Writer().write_bytes(b"token").getvalue()),
        (Opcode.AUTH_SUCCESS, Writer().write_bytes(None).getvalue()),
        (Opcode.RESULT, bytes.fromhex("00000001")),
        (Opcode.RESULT, rows_body(COLUMNS, ROWS, paging_state=b"p", new_metadata_id=b"m")),
        (Opcode.RESULT, rows_body(COLUMNS, ROWS, table=None)),
        (Opcode.RESULT, bytes.fromhex("00000003 0002 6b73")),
        (Opcode.RESULT, prepared_body(version, b"id", COLUMNS, COLUMNS, pk_indexes=[0])),
        (Opcode.RESULT, b"\0\0\0\5" + schema),
    ]
    return made + [
        (Opcode.ERROR, error_body(version, code, "why", {"prepared_id": b"id"}))
        for code in ErrorCode
    ]


def read_all(version: int, opcode: int, body: bytes, flags: int = 0) -> None:
    """Decode a response and every row of it."""
    response = decode(version, flags, opcode, body, None, plans())
    if response.page is not None:
        list(response.page)


@versions
def test_body_cut_anywhere_raises_protocol_errors_only(version: int) -> None:
    for opcode, body in bodies(version):
        read_all(version, opcode, body)
        for size in range(len(body)):
            # An optional last part may be missing, as the contentions of a write timeout.
            with suppress(ProtocolError):
                read_all(version, opcode, body[:size])


@versions
@given(data=st.data(), flags=st.sampled_from([0, 2, 4, 8, 14]))
def test_changed_body_raises_protocol_errors_only(
    version: int, data: st.DataObject, flags: int
) -> None:
    opcode, body = data.draw(st.sampled_from(bodies(version)))
    changed = bytearray(body or b"\0")
    for _ in range(data.draw(st.integers(1, 3))):
        position = data.draw(st.integers(0, len(changed) - 1))
        changed[position] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, 0x21, 0x30]))
    with suppress(ProtocolError, ValueError):
        read_all(version, opcode, bytes(changed), flags)


@given(junk=st.binary(max_size=120), opcode=st.integers(0, 255), flags=st.integers(0, 15))
def test_junk_raises_protocol_errors_only(junk: bytes, opcode: int, flags: int) -> None:
    with suppress(ProtocolError):
        decode(5, flags, opcode, junk, None, plans())


@pytest.mark.parametrize(
    "body",
    [
        "00000002 00000001 7fffffff 0002 6b73 0001 74",
        "00000002 00000005 7fffffff",
        "00000002 00000001 00000001 0002 6b73 0001 74 0001 76 0009 7fffffff",
        "00000002 00000001 00000001 0002 6b73 0001 74 0001 76 0009 00000001 7fffffff",
        "00000002 00000003 00000001 7fffffff",
        "00000004 ffff",
        "00000005 ffff",
    ],
)
def test_hostile_counts_are_refused(body: str) -> None:
    with pytest.raises(ProtocolError):
        read_all(5, Opcode.RESULT, bytes.fromhex(body))


def test_nesting_without_end_is_refused() -> None:
    deep = bytes.fromhex("00000002 00000001 00000001 0002 6b73 0001 74 0001 76") + b"\0\x20" * 5000
    with pytest.raises(ProtocolError):
        read_all(5, Opcode.RESULT, deep)


def test_name_that_is_not_utf8_is_latin1() -> None:
    assert decoded(5, Opcode.RESULT, bytes.fromhex("00000003 0002 fffe")).keyspace == "ÿþ"
    assert decoded(5, Opcode.RESULT, bytes.fromhex("00000003 0002 c3a4")).keyspace == "ä"


def test_rows_for_a_request_that_has_none_are_refused() -> None:
    with pytest.raises(ProtocolError):
        decode(5, 0, Opcode.RESULT, rows_body(COLUMNS, ROWS))
    with pytest.raises(ProtocolError, match="without metadata"):
        decoded(5, Opcode.RESULT, rows_body(COLUMNS, ROWS, metadata=False))


def test_metadata_that_says_no_more_than_the_statement_did_is_shared() -> None:
    page = decoded(5, Opcode.RESULT, rows_body(COLUMNS, ROWS)).page
    assert page is not None
    bodies = [
        rows_body(COLUMNS, ROWS, metadata=False),
        rows_body(COLUMNS, ROWS, metadata=False, paging_state=b"p"),
        rows_body(COLUMNS, ROWS, metadata=False, new_metadata_id=b"m"),
        rows_body(COLUMNS, ROWS, metadata=False),
        rows_body(COLUMNS, ROWS),
    ]
    bare, more, changed, again, whole = [
        decode(5, 0, Opcode.RESULT, body, page.plan, plans()).metadata for body in bodies
    ]
    assert bare is not None
    assert bare is again
    assert (bare.column_count, bare.columns, bare.paging_state, bare.new_metadata_id) == (
        3,
        None,
        None,
        None,
    )
    assert more is not None
    assert (more.paging_state, more.has_more_pages) == (b"p", True)
    assert changed is not None
    assert changed.new_metadata_id == b"m"
    assert whole is not None
    assert whole.columns is not None
    with pytest.raises(ProtocolError, match="announced"):
        decode(5, 0, Opcode.RESULT, rows_body(COLUMNS[:2], [], metadata=False), page.plan, plans())


def test_metadata_whose_paging_state_is_null_is_not_shared() -> None:
    page = decoded(5, Opcode.RESULT, rows_body(COLUMNS, ROWS)).page
    assert page is not None
    more = rows_body(COLUMNS, ROWS, metadata=False, paging_state=b"p")
    null = more.replace(bytes.fromhex("00000001 70"), bytes.fromhex("ffffffff"), 1)
    for body, paging_state in ((null, None), (more, b"p")):
        response = decode(5, 0, Opcode.RESULT, body, page.plan, plans())
        assert response.paging_state == paging_state
        assert response.page is not None
        assert len(response.page) == len(ROWS)


# Events


def node_event_body(kind: str, change: str, address: str) -> bytes:
    return Writer().write_string(kind).write_string(change).write_inet(address, 9042).getvalue()


def in_driver_words(event: Event) -> dict[str, Any]:
    if event.address is not None:
        address = PYTHON_TYPES.format_inet(event.address), event.port
        return {"change_type": event.change_type, "address": address}
    change = event.schema_change
    assert change is not None
    return {
        "change_type": change.change_type,
        "target_type": change.target,
        "keyspace": change.keyspace,
    } | ({} if change.name is None else {change.target.lower(): change.name})


@pytest.mark.parametrize("flags", [0, 14])
@pytest.mark.parametrize(
    "body",
    [
        node_event_body("STATUS_CHANGE", "UP", "10.0.0.1"),
        node_event_body("TOPOLOGY_CHANGE", "NEW_NODE", "fe80::1"),
        schema_change_event_body("CREATED", "KEYSPACE", "ks"),
        schema_change_event_body("UPDATED", "TABLE", "ks", "t"),
        schema_change_event_body("DROPPED", "TYPE", "ks", "größe"),
    ],
)
def test_event_is_what_the_driver_reads(body: bytes, flags: int) -> None:
    if flags:
        extras: Extras = {
            "warnings": ["w"],
            "custom_payload": {"a": b"1"},
            "tracing_id": uuid.UUID(int=7),
        }
        flags, prefix = extras_prefix(extras)
        body = prefix + body
    event = decode_pushed(flags, Opcode.EVENT, body)
    expected = by_driver(5, Opcode.EVENT, body, flags)
    assert event.kind == expected.event_type
    assert in_driver_words(event) == expected.event_args


def test_name_in_an_event_that_is_not_utf8_is_latin1() -> None:
    body = Writer().write_string("SCHEMA_CHANGE").write_string("CREATED").write_string("KEYSPACE")
    change = decode_pushed(0, Opcode.EVENT, body.getvalue() + b"\0\1\xfc").schema_change
    assert change is not None
    assert change.keyspace == "ü"


def test_event_of_an_unknown_kind_is_only_named() -> None:
    body = Writer().write_string("weather_change").write_string("RAIN").getvalue()
    event = decode_pushed(0, Opcode.EVENT, body)
    assert event.kind == "WEATHER_CHANGE"
    assert (event.change_type, event.address, event.schema_change) == (None, None, None)


@pytest.mark.parametrize("opcode", [Opcode.RESULT, Opcode.ERROR, 0x7E])
def test_what_is_pushed_and_no_event_is_refused(opcode: int) -> None:
    with pytest.raises(ProtocolError, match="events"):
        decode_pushed(0, opcode, b"\0\0\0\1")


@given(
    body=st.sampled_from(
        [
            node_event_body("STATUS_CHANGE", "UP", "::1"),
            schema_change_event_body("UPDATED", "TABLE", "ks", "t"),
        ]
    ),
    size=st.integers(0, 60),
    position=st.integers(0, 60),
    byte=st.integers(0, 255),
)
def test_changed_event_raises_protocol_errors_only(
    body: bytes, size: int, position: int, byte: int
) -> None:
    changed = bytearray(body[:size])
    if position < len(changed):
        changed[position] = byte
    with suppress(ProtocolError):
        decode_pushed(0, Opcode.EVENT, bytes(changed))
