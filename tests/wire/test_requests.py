"""Requests: golden bytes from the specification, and byte for byte what the driver sends."""

import io
from collections.abc import Sequence
from typing import Any

import pytest
from cassandra import protocol as driver
from cassandra.query import BatchType
from hypothesis import given
from hypothesis import strategies as st

from async_cassandra._wire.protocol import Opcode
from async_cassandra._wire.requests import (
    NO_TIMESTAMP,
    AuthResponse,
    Batch,
    Execute,
    Message,
    Options,
    Prepare,
    Query,
    Register,
    Startup,
)

versions = pytest.mark.parametrize("version", [4, 5])

texts = st.text(max_size=60).filter(lambda text: "\udc00" not in text)
names = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20)
short_bytes = st.binary(min_size=1, max_size=40)
values = st.lists(st.one_of(st.none(), st.binary(max_size=30)), max_size=5)
tails = st.fixed_dictionaries(
    {
        "consistency": st.integers(0, 10),
        "serial_consistency": st.sampled_from([0, 8, 9]),
        "timestamp": st.one_of(st.just(NO_TIMESTAMP), st.integers(0, 2**62)),
    }
)
pagings = st.fixed_dictionaries(
    {
        "page_size": st.integers(0, 2**31 - 1),
        "paging_state": st.one_of(st.none(), short_bytes),
    }
)


def section(items: Sequence[bytes | None]) -> bytes:
    """The encoded ``[short n][value]...`` section."""
    return len(items).to_bytes(2) + b"".join(
        b"\xff\xff\xff\xff" if item is None else len(item).to_bytes(4) + item for item in items
    )


def driver_body(message: Any, version: int) -> bytes:
    buffer = io.BytesIO()
    message.send_body(buffer, version)
    return buffer.getvalue()


def with_fields[M: Message](message: M, **fields: Any) -> M:
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def driver_tail(tail: dict[str, Any]) -> dict[str, Any]:
    timestamp = tail["timestamp"]
    return {
        "consistency_level": tail["consistency"],
        "serial_consistency_level": tail["serial_consistency"] or None,
        "timestamp": None if timestamp == NO_TIMESTAMP else timestamp,
    }


# Golden bytes


@pytest.mark.parametrize(
    ("message", "opcode", "body"),
    [
        (Options(), Opcode.OPTIONS, ""),
        (
            Startup({"CQL_VERSION": "3.0.0"}),
            Opcode.STARTUP,
            "0001 000b 43514c5f56455253494f4e 0005 332e302e30",
        ),
        (AuthResponse(b"\0u\0p"), Opcode.AUTH_RESPONSE, "00000004 00750070"),
        (AuthResponse(None), Opcode.AUTH_RESPONSE, "ffffffff"),
        (Register(["UP", "ä"]), Opcode.REGISTER, "0002 0002 5550 0002 c3a4"),
        (Prepare("Q"), Opcode.PREPARE, "00000001 51 00000000"),
        (Prepare("Q", "ks"), Opcode.PREPARE, "00000001 51 00000001 0002 6b73"),
        (Query("Q"), Opcode.QUERY, "00000001 51 0001 00000000"),
        (
            with_fields(
                Query("Q"),
                consistency=6,
                values=section([b"\1", None]),
                page_size=100,
                paging_state=b"PS",
                serial_consistency=9,
                timestamp=-2,
                keyspace="ks",
            ),
            Opcode.QUERY,
            "00000001 51 0006 000000bd 0002 00000001 01 ffffffff 00000064 00000002 5053"
            " 0009 fffffffffffffffe 0002 6b73",
        ),
        (
            with_fields(Execute(), prepared_id=b"ID", result_metadata_id=b"RM", skip_metadata=True),
            Opcode.EXECUTE,
            "0002 4944 0002 524d 0001 00000002",
        ),
        (
            with_fields(
                Batch(),
                batch_type=1,
                entries=[("Q", section([])), (b"ID", section([b"v"]))],
                consistency=4,
                serial_consistency=8,
                timestamp=1,
                keyspace="ks",
            ),
            Opcode.BATCH,
            "01 0002 00 00000001 51 0000 01 0002 4944 0001 00000001 76 0004 000000b0"
            " 0008 0000000000000001 0002 6b73",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Message) else None,
)
def test_v5_body_is_what_the_specification_says(
    message: Message, opcode: Opcode, body: str
) -> None:
    assert message.opcode == opcode
    assert message.encode(5) == bytes.fromhex(body)


@pytest.mark.parametrize(
    ("message", "body"),
    [
        (Prepare("Q", "ks"), "00000001 51"),
        (with_fields(Query("Q"), keyspace="ks", page_size=5), "00000001 51 0001 04 00000005"),
        (
            with_fields(Execute(), prepared_id=b"ID", result_metadata_id=b"RM"),
            "0002 4944 0001 00",
        ),
        (with_fields(Batch(), keyspace="ks"), "00 0000 0001 00"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Message) else None,
)
def test_v4_body_has_byte_flags_and_neither_keyspace_nor_metadata_id(
    message: Message, body: str
) -> None:
    assert message.encode(4) == bytes.fromhex(body)


def test_custom_payload_comes_before_the_body() -> None:
    message = with_fields(Query("Q"), custom_payload={"k": b"v", "n": None})
    payload = bytes.fromhex("0002 0001 6b 00000001 76 0001 6e ffffffff")
    assert message.encode(5) == payload + Query("Q").encode(5)


# Against the driver


@versions
@given(options=st.dictionaries(names, names, max_size=4))
def test_startup_is_the_drivers(version: int, options: dict[str, str]) -> None:
    theirs = driver.StartupMessage(cqlversion="3.4.7", options=options)
    assert Startup({**options, "CQL_VERSION": "3.4.7"}).encode(version) == driver_body(
        theirs, version
    )


@versions
@given(token=st.binary(max_size=100))
def test_auth_response_is_the_drivers(version: int, token: bytes) -> None:
    assert AuthResponse(token).encode(version) == driver_body(
        driver.AuthResponseMessage(token), version
    )


@versions
@given(events=st.lists(names, max_size=4))
def test_register_is_the_drivers(version: int, events: list[str]) -> None:
    assert Register(events).encode(version) == driver_body(driver.RegisterMessage(events), version)


@versions
@given(query=texts, keyspace=st.one_of(st.none(), names))
def test_prepare_is_the_drivers(version: int, query: str, keyspace: str | None) -> None:
    if version == 4:
        keyspace = None
    theirs = driver.PrepareMessage(query, keyspace=keyspace)
    assert Prepare(query, keyspace).encode(version) == driver_body(theirs, version)


@versions
@given(query=texts, tail=tails, paging=pagings, keyspace=st.one_of(st.none(), names))
def test_query_is_the_drivers(
    version: int, query: str, tail: dict[str, Any], paging: dict[str, Any], keyspace: str | None
) -> None:
    if version == 4:
        keyspace = None
    theirs = driver.QueryMessage(
        query,
        fetch_size=paging["page_size"] or None,
        paging_state=paging["paging_state"],
        keyspace=keyspace,
        **driver_tail(tail),
    )
    ours = with_fields(Query(query), keyspace=keyspace, **tail, **paging)
    assert ours.encode(version) == driver_body(theirs, version)


@versions
@given(
    prepared_id=short_bytes,
    metadata_id=short_bytes,
    bound=values,
    tail=tails,
    paging=pagings,
)
def test_execute_is_the_drivers(
    version: int,
    prepared_id: bytes,
    metadata_id: bytes,
    bound: list[bytes | None],
    tail: dict[str, Any],
    paging: dict[str, Any],
) -> None:
    theirs = driver.ExecuteMessage(
        prepared_id,
        bound,
        fetch_size=paging["page_size"] or None,
        paging_state=paging["paging_state"],
        result_metadata_id=metadata_id,
        **driver_tail(tail),
    )
    ours = with_fields(
        Execute(),
        prepared_id=prepared_id,
        result_metadata_id=metadata_id,
        values=section(bound),
        **tail,
        **paging,
    )
    assert ours.encode(version) == driver_body(theirs, version)


@versions
@given(
    kind=st.sampled_from([BatchType.LOGGED, BatchType.UNLOGGED, BatchType.COUNTER]),
    entries=st.lists(st.tuples(st.one_of(texts, short_bytes), values), max_size=5),
    tail=tails,
    keyspace=st.one_of(st.none(), names),
)
def test_batch_is_the_drivers(
    version: int,
    kind: BatchType,
    entries: list[tuple[str | bytes, list[bytes | None]]],
    tail: dict[str, Any],
    keyspace: str | None,
) -> None:
    if version == 4:
        keyspace = None
    theirs = driver.BatchMessage(
        kind,
        [(isinstance(query, bytes), query, bound) for query, bound in entries],
        keyspace=keyspace,
        **driver_tail(tail),
    )
    ours = with_fields(
        Batch(),
        batch_type=kind.value,
        entries=[(query, section(bound)) for query, bound in entries],
        keyspace=keyspace,
        **tail,
    )
    assert ours.encode(version) == driver_body(theirs, version)


# Limits


def test_string_longer_than_its_length_field_is_refused() -> None:
    with pytest.raises(ValueError, match="65535"):
        Prepare("Q", "k" * 65_536).encode(5)
    with pytest.raises(ValueError, match="65535"):
        with_fields(Query("Q"), custom_payload={"k" * 65_536: b""}).encode(5)
    with pytest.raises(ValueError, match="65535"):
        with_fields(Execute(), prepared_id=b"i" * 65_536, result_metadata_id=b"").encode(5)


def test_lone_surrogate_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        Query("SELECT '\udc00'").encode(5)


def test_message_encodes_the_same_every_time() -> None:
    message = with_fields(Query("Q"), values=section([b"v"]), page_size=3)
    assert message.encode(5) == message.encode(5)
