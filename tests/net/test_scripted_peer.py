"""The scripted peer against the driver's own codec: does it speak the protocol?"""

import asyncio
import io
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cassandra import (
    ConsistencyLevel,
    ReadFailure,
    ReadTimeout,
    Unavailable,
    WriteFailure,
    WriteTimeout,
)
from cassandra import protocol as driver
from cassandra.cluster import (
    EXEC_PROFILE_DEFAULT,
    Cluster,
    ExecutionProfile,
)
from cassandra.connection import (
    locally_supported_compressions,
)
from cassandra.policies import RoundRobinPolicy
from cassandra.query import BatchType
from cassandra.segment import (
    CrcException,
    SegmentCodec,
)

from tests.support.cql_values import UserType
from tests.support.native_protocol import UNSET, FrameError, Opcode
from tests.support.peer_replies import ErrorCode
from tests.support.scripted_peer import Automatic, ScriptedPeer, scripted_cluster

pytestmark = pytest.mark.anyio

PROTOCOLS = [(4, None), (4, "lz4"), (5, None), (5, "lz4")]
ONE = ConsistencyLevel.ONE


class CodecClient:
    """A client made of the driver's codec and a socket."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        version: int,
        compression: str | None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._version = version
        self._compressor: Any
        self._decompressor: Any
        self._compressor, self._decompressor = (
            locally_supported_compressions[compression] if compression else (None, None)
        )
        self._segments: Any = None
        self._pending = b""

    def begin_framing(self) -> None:
        if self._version >= 5:
            self._segments = SegmentCodec(self._compressor, self._decompressor)

    def send(self, message: Any, stream_id: int = 0) -> None:
        data = driver.ProtocolHandler.encode_message(
            message, stream_id, self._version, self._compressor, False
        )
        if self._segments is not None:
            buffer = io.BytesIO()
            self._segments.encode(buffer, data)
            data = buffer.getvalue()
        self._writer.write(data)

    def send_bytes(self, data: bytes) -> None:
        self._writer.write(data)

    async def receive(self) -> Any:
        """Decode the next envelope with the driver's decoder."""
        header = await self._take(9)
        stream_id = int.from_bytes(header[2:4], signed=True)
        body = await self._take(int.from_bytes(header[5:]))
        message = driver.ProtocolHandler.decode_message(
            header[0] & 0x7F, {}, stream_id, header[1], header[4], body, self._decompressor, None
        )
        message.protocol_version = header[0] & 0x7F
        return message

    async def ask(self, message: Any, stream_id: int = 0) -> Any:
        self.send(message, stream_id)
        return await self.receive()

    async def _take(self, size: int) -> bytes:
        if self._segments is None:
            return await self._reader.readexactly(size)
        while len(self._pending) < size:
            self._pending += await self._read_segment()
        data, self._pending = self._pending[:size], self._pending[size:]
        return data

    async def _read_segment(self) -> bytes:
        packed = await self._reader.readexactly(self._segments.header_length_with_crc)
        header = self._segments.decode_header(io.BytesIO(packed))
        payload = await self._reader.readexactly(header.payload_length + 4)
        segment: bytes = self._segments.decode(io.BytesIO(payload), header).payload
        return segment

    async def start(self, compression: str | None) -> Any:
        options = {"COMPRESSION": compression} if compression else {}
        compressor, self._compressor = self._compressor, None
        reply = await self.ask(driver.StartupMessage(cqlversion="3.4.5", options=options))
        self._compressor = compressor
        self.begin_framing()
        return reply


@asynccontextmanager
async def client_of(
    peer: ScriptedPeer, version: int = 5, compression: str | None = None, *, start: bool = True
) -> AsyncIterator[CodecClient]:
    reader, writer = await asyncio.open_connection(peer.host, peer.port)
    client = CodecClient(reader, writer, version, compression)
    try:
        if start:
            assert isinstance(await client.start(compression), driver.ReadyMessage)
        yield client
    finally:
        writer.close()


def query(text: str = "SELECT a FROM t", **options: Any) -> Any:
    return driver.QueryMessage(text, ONE, **options)


@pytest.mark.parametrize(("version", "compression"), PROTOCOLS)
async def test_options_and_startup_are_answered(version: int, compression: str | None) -> None:
    async with (
        ScriptedPeer() as peer,
        client_of(peer, version, compression, start=False) as client,
    ):
        supported = await client.ask(driver.OptionsMessage(), 7)
        ready = await client.start(compression)
        again = await client.ask(driver.OptionsMessage(), 8)

    assert supported.stream_id == 7
    assert supported.options["COMPRESSION"] == ["lz4"]
    assert supported.options["PROTOCOL_VERSIONS"] == ["3/v3", "4/v4", "5/v5"]
    assert isinstance(ready, driver.ReadyMessage)
    assert isinstance(again, driver.SupportedMessage)


@pytest.mark.parametrize(("version", "compression"), PROTOCOLS)
async def test_query_is_parsed_and_its_rows_decode(version: int, compression: str | None) -> None:
    row_id = uuid.uuid4()
    address = UserType("ks", "address", (("street", "text"), ("zip", "int")))
    async with ScriptedPeer() as peer, client_of(peer, version, compression) as client:
        client.send(
            query(
                "SELECT * FROM t" * 50,
                serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
                fetch_size=100,
                paging_state=b"here",
                timestamp=2**40,
                keyspace="ks" if version >= 5 else None,
            ),
            stream_id=300,
        )
        request = await peer.next_request(Opcode.QUERY)
        request.reply_rows(
            [
                ("id", "uuid"),
                ("n", "int"),
                ("tags", "set<text>"),
                ("m", "map<text, frozen<list<bigint>>>"),
                ("t", "tuple<int, text>"),
                ("address", address),
                ("v", "vector<float, 2>"),
                ("big", "varint"),
            ],
            [
                (row_id, 1, ["a", "b"], {"k": [1, 2]}, (1, "x"), ("s", 5), [0.5, 1.5], -(2**70)),
                (row_id, None, None, {}, None, None, None, 0),
            ],
            paging_state=b"next",
        )
        reply = await client.receive()

    assert request.query == "SELECT * FROM t" * 50
    assert request.stream_id == 300
    assert (request.consistency, request.serial_consistency) == (1, 9)
    assert (request.page_size, request.paging_state) == (100, b"here")
    assert request.timestamp == 2**40
    assert request.keyspace == ("ks" if version >= 5 else None)
    assert reply.stream_id == 300
    assert reply.protocol_version == version
    assert reply.paging_state == b"next"
    assert reply.column_names == ["id", "n", "tags", "m", "t", "address", "v", "big"]
    first, second = reply.parsed_rows
    assert first[:2] == (row_id, 1)
    assert set(first[2]) == {"a", "b"}
    assert dict(first[3]) == {"k": [1, 2]}
    assert tuple(first[4]) == (1, "x")
    assert tuple(first[5]) == ("s", 5)
    assert first[6:] == ([0.5, 1.5], -(2**70))
    assert second[1] is None
    assert second[7] == 0


@pytest.mark.parametrize(("version", "compression"), PROTOCOLS)
async def test_prepare_and_execute_are_parsed(version: int, compression: str | None) -> None:
    async with ScriptedPeer() as peer, client_of(peer, version, compression) as client:
        client.send(driver.PrepareMessage("INSERT ?", keyspace="k" if version >= 5 else None))
        prepare = await peer.next_request(Opcode.PREPARE)
        prepare.reply_prepared(
            b"id", [("a", "int"), ("b", "text")], [("[applied]", "boolean")], pk_indexes=[1, 0]
        )
        prepared = await client.receive()
        client.send(
            driver.ExecuteMessage(
                b"id",
                [b"\0\0\0\1", None, driver._UNSET_VALUE],
                ONE,
                skip_meta=False,
                timestamp=9,
                result_metadata_id=b"result-metadata" if version >= 5 else None,
            )
        )
        execute = await peer.next_request(Opcode.EXECUTE)
        execute.reply_void()
        void = await client.receive()

    assert (prepare.query, prepare.keyspace) == ("INSERT ?", "k" if version >= 5 else None)
    assert prepared.query_id == b"id"
    assert prepared.pk_indexes == [1, 0]
    assert [column.name for column in prepared.bind_metadata] == ["a", "b"]
    assert [column[2] for column in prepared.column_metadata] == ["[applied]"]
    assert execute.prepared_id == b"id"
    assert execute.result_metadata_id == (b"result-metadata" if version >= 5 else None)
    assert execute.values == [b"\0\0\0\1", None, UNSET]
    assert execute.timestamp == 9
    assert void.kind == driver.RESULT_KIND_VOID


@pytest.mark.parametrize(("version", "compression"), PROTOCOLS)
async def test_batch_is_parsed(version: int, compression: str | None) -> None:
    statements = [(False, "INSERT 1", []), (True, b"id", [b"x", None])]
    async with ScriptedPeer() as peer, client_of(peer, version, compression) as client:
        client.send(driver.BatchMessage(BatchType.UNLOGGED, statements, ONE, timestamp=3))
        batch = await peer.next_request(Opcode.BATCH)
        batch.reply_void()
        await client.receive()

    assert batch.batch_type == 1
    assert batch.timestamp == 3
    assert [(s.query, s.prepared_id, s.values) for s in batch.statements] == [
        ("INSERT 1", None, []),
        (None, b"id", [b"x", None]),
    ]


@pytest.mark.parametrize(("version", "compression"), PROTOCOLS)
async def test_extras_precede_the_body(version: int, compression: str | None) -> None:
    tracing_id = uuid.uuid4()
    message = query()
    message.custom_payload = {"in": b"1"}
    message.tracing = True
    async with ScriptedPeer() as peer, client_of(peer, version, compression) as client:
        client.send(message)
        request = await peer.next_request()
        request.reply_rows(
            [("a", "int")],
            [(1,)],
            warnings=["careful"],
            custom_payload={"out": b"2"},
            tracing_id=tracing_id,
        )
        reply = await client.receive()

    assert request.custom_payload == {"in": b"1"}
    assert request.tracing
    assert reply.warnings == ["careful"]
    assert reply.custom_payload == {"out": b"2"}
    assert reply.trace_id == tracing_id
    assert list(reply.parsed_rows) == [(1,)]


@pytest.mark.parametrize(("version", "compression"), PROTOCOLS)
async def test_large_bodies_are_split_both_ways(version: int, compression: str | None) -> None:
    noise = uuid.uuid4().bytes * 40_000
    async with ScriptedPeer() as peer, client_of(peer, version, compression) as client:
        client.send(query("SELECT '" + "x" * 300_000 + "'"))
        request = await peer.next_request()
        request.reply_rows([("a", "blob")], [(noise,)])
        reply = await client.receive()

    assert len(request.query or "") == 300_009
    assert reply.parsed_rows[0] == (noise,)


@pytest.mark.parametrize("compression", [None, "lz4"])
async def test_small_segments_are_split_when_asked(compression: str | None) -> None:
    async with ScriptedPeer() as peer, client_of(peer, 5, compression) as client:
        peer.connections[0].max_segment_payload = 5
        client.send(query())
        (await peer.next_request()).reply_rows([("a", "int")], [(1,), (2,)])
        reply = await client.receive()

    assert list(reply.parsed_rows) == [(1,), (2,)]


@pytest.mark.parametrize(("version", "compression"), PROTOCOLS)
async def test_held_replies_leave_together_in_any_order(
    version: int, compression: str | None
) -> None:
    async with ScriptedPeer() as peer, client_of(peer, version, compression) as client:
        for stream_id in range(5):
            client.send(query(), stream_id)
        requests = [await peer.next_request() for _ in range(5)]
        with peer.connections[0].hold():
            for request in reversed(requests):
                request.reply_void()
        replies = [await client.receive() for _ in range(5)]

    assert [reply.stream_id for reply in replies] == [4, 3, 2, 1, 0]


@pytest.mark.parametrize(("version", "compression"), PROTOCOLS)
async def test_trickled_replies_arrive_whole(version: int, compression: str | None) -> None:
    async with ScriptedPeer() as peer, client_of(peer, version, compression) as client:
        peer.connections[0].trickle()
        client.send(query())
        (await peer.next_request()).reply_rows([("a", "int")], [(1,)])
        reply = await client.receive()
        peer.connections[0].stop_trickling()

    assert list(reply.parsed_rows) == [(1,)]


@pytest.mark.parametrize(
    ("code", "fields", "error", "facts"),
    [
        (
            ErrorCode.UNAVAILABLE,
            {"consistency": 4, "required": 2, "alive": 1},
            Unavailable,
            {"consistency": 4, "required_replicas": 2, "alive_replicas": 1},
        ),
        (
            ErrorCode.READ_TIMEOUT,
            {"consistency": 4, "received": 1, "block_for": 2, "data_present": True},
            ReadTimeout,
            {"received_responses": 1, "required_responses": 2, "data_retrieved": True},
        ),
        (
            ErrorCode.WRITE_TIMEOUT,
            {"received": 1, "block_for": 2, "write_type": "CAS", "contentions": 7},
            WriteTimeout,
            {"received_responses": 1, "required_responses": 2, "write_type": 5},
        ),
        (
            ErrorCode.READ_FAILURE,
            {"failures": {"127.0.0.1": 1, "::1": 2}, "data_present": False},
            ReadFailure,
            {"failures": 2, "data_retrieved": False},
        ),
        (
            ErrorCode.WRITE_FAILURE,
            {"failures": {"127.0.0.1": 1}, "write_type": "BATCH"},
            WriteFailure,
            {"failures": 1, "write_type": 1},
        ),
    ],
)
@pytest.mark.parametrize("version", [4, 5])
async def test_errors_carry_the_fields_of_their_code(
    version: int,
    code: ErrorCode,
    fields: dict[str, Any],
    error: type[Exception],
    facts: dict[str, Any],
) -> None:
    async with ScriptedPeer() as peer, client_of(peer, version) as client:
        client.send(query())
        (await peer.next_request()).reply_error(code, "oh", warnings=["w"], **fields)
        reply = await client.receive()

    raised = reply.to_exception()
    assert isinstance(raised, error)
    assert {name: getattr(raised, name) for name in facts} == facts
    assert reply.message == "oh"
    assert reply.warnings == ["w"]
    if version == 5 and code is ErrorCode.READ_FAILURE:
        assert getattr(raised, "error_code_map") == {"127.0.0.1": 1, "::1": 2}  # noqa: B009


@pytest.mark.parametrize("code", [code for code in ErrorCode if code < 0x1000 or code > 0x1500])
async def test_every_other_error_decodes(code: ErrorCode) -> None:
    async with ScriptedPeer() as peer, client_of(peer) as client:
        client.send(driver.ExecuteMessage(b"id", [], ONE, result_metadata_id=b"m"))
        (await peer.next_request()).reply_error(code)
        reply = await client.receive()

    assert reply.code == code
    if code is ErrorCode.UNPREPARED:
        assert reply.info == b"id"
    if code is ErrorCode.ALREADY_EXISTS:
        assert reply.info == {"keyspace": "ks", "table": "t"}


async def test_use_and_schema_change_are_answered() -> None:
    async with ScriptedPeer() as peer, client_of(peer) as client:
        used = await client.ask(query('USE "My""Ks"'))
        client.send(query("CREATE TABLE t"))
        (await peer.next_request()).reply_schema_change("CREATED", "TABLE", "ks", "t")
        changed = await client.receive()

    assert used.new_keyspace == peer.connections[0].keyspace == 'My"Ks'
    assert changed.schema_change_event["table"] == "t"


async def test_events_reach_those_who_registered() -> None:
    async with ScriptedPeer() as peer, client_of(peer) as client, client_of(peer) as deaf:
        await client.ask(driver.RegisterMessage(["STATUS_CHANGE", "SCHEMA_CHANGE"]))
        peer.push_topology_change("NEW_NODE", "127.0.0.9")
        peer.push_status_change("DOWN", "127.0.0.9", 9042)
        peer.push_schema_change("DROPPED", "KEYSPACE", "ks")
        down, dropped = await client.receive(), await client.receive()
        unaffected = await deaf.ask(driver.OptionsMessage())

    assert down.stream_id == -1
    assert down.event_args == {"change_type": "DOWN", "address": ("127.0.0.9", 9042)}
    assert dropped.event_args["keyspace"] == "ks"
    assert isinstance(unaffected, driver.SupportedMessage)


@pytest.mark.parametrize(("password", "accepted"), [("secret", True), ("guess", False)])
async def test_password_is_checked_within_the_framing(password: str, accepted: bool) -> None:
    async with (
        ScriptedPeer(password=("cassandra", "secret")) as peer,
        client_of(peer, start=False) as client,
    ):
        challenge = await client.start(None)
        client.send(driver.AuthResponseMessage(f"\0cassandra\0{password}".encode()))
        if accepted:
            # The driver cannot decode the null token that real servers send.
            header = await client._take(13)
            assert header[4] == Opcode.AUTH_SUCCESS
        else:
            assert (await client.receive()).code == ErrorCode.BAD_CREDENTIALS

    assert challenge.authenticator.endswith("PasswordAuthenticator")


async def test_handshake_may_be_scripted() -> None:
    async with (
        ScriptedPeer(automatic=()) as peer,
        client_of(peer, start=False) as client,
    ):
        client.send(driver.OptionsMessage())
        (await peer.next_request(Opcode.OPTIONS)).reply_supported({"CQL_VERSION": ["3.4.7"]})
        await client.receive()
        client.send(driver.StartupMessage(cqlversion="3.4.5", options={}))
        startup = await peer.next_request(Opcode.STARTUP)
        startup.reply_authenticate("MyAuthenticator")
        authenticate = await client.receive()
        client.begin_framing()
        client.send(driver.AuthResponseMessage(b"one"))
        first = await peer.next_request(Opcode.AUTH_RESPONSE)
        first.reply_auth_challenge(b"and?")
        challenge = await client.receive()
        client.send(driver.AuthResponseMessage(b"two"))
        second = await peer.next_request(Opcode.AUTH_RESPONSE)
        second.reply_error(ErrorCode.SERVER, "no")
        error = await client.receive()

    assert startup.startup_options == {"CQL_VERSION": "3.4.5"}
    assert authenticate.authenticator == "MyAuthenticator"
    assert (first.token, second.token) == (b"one", b"two")
    assert challenge.challenge == b"and?"
    assert error.message == "no"


async def test_server_without_v5_answers_in_v4_and_closes() -> None:
    async with ScriptedPeer(version=4) as peer, client_of(peer, 5, start=False) as client:
        refused = await client.ask(driver.OptionsMessage())
        with pytest.raises(asyncio.IncompleteReadError):
            await client.receive()

    assert refused.protocol_version == 4
    assert refused.code == ErrorCode.PROTOCOL


async def test_corrupted_segment_fails_its_checksum() -> None:
    async with ScriptedPeer() as peer, client_of(peer) as client:
        peer.corrupt_next()
        client.send(query())
        (await peer.next_request()).reply_void()
        with pytest.raises(CrcException):
            await client.receive()


async def test_truncated_reply_ends_the_connection() -> None:
    async with ScriptedPeer() as peer, client_of(peer) as client:
        client.send(query())
        request = await peer.next_request()
        request.connection.truncate_next(10)
        request.reply_void()
        with pytest.raises(asyncio.IncompleteReadError) as caught:
            await client.receive()

    assert len(caught.value.partial) == 4


async def test_dropped_connection_ends_at_once() -> None:
    async with ScriptedPeer() as peer, client_of(peer) as client:
        client.send(query())
        (await peer.next_request()).drop()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await client.receive()
        assert peer.open_connections == []


async def test_stalled_connection_goes_on_after_resume() -> None:
    async with ScriptedPeer() as peer, client_of(peer) as client:
        client.send(query(), 1)
        first = await peer.next_request()
        first.stall()
        client.send(query(), 2)
        first.reply_void()
        assert first.connection.in_flight == set()
        first.connection.resume()
        assert (await client.receive()).stream_id == 1
        (await peer.next_request()).reply_void()
        assert (await client.receive()).stream_id == 2


async def test_responder_answers_what_is_not_automatic() -> None:
    async with ScriptedPeer() as peer, client_of(peer) as client:
        peer.respond_with(lambda request: request.reply_void())
        reply = await client.ask(query())

    assert reply.kind == driver.RESULT_KIND_VOID


async def test_refused_connections_come_back_on_the_same_port() -> None:
    async with ScriptedPeer() as peer:
        port = peer.port
        peer.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(peer.host, port)
        await peer.listen()
        async with client_of(peer) as client:
            await client.ask(driver.OptionsMessage())
        assert peer.port == port


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (bytes(20), "CRC24"),
        (bytes.fromhex("850000000500000000"), "CRC24"),
    ],
)
async def test_malformed_request_is_a_fault(data: bytes, reason: str) -> None:
    async def send_it() -> None:
        async with ScriptedPeer() as peer, client_of(peer) as client:
            client.send_bytes(data)
            await peer.connections[0].closed.wait()

    with pytest.raises(ExceptionGroup) as caught:
        await send_it()
    assert caught.group_contains(FrameError, match=reason)


async def test_reused_stream_id_is_a_fault() -> None:
    async with ScriptedPeer(tolerate_faults=True) as peer, client_of(peer) as client:
        client.send(query(), 3)
        client.send(query(), 3)
        await peer.connections[0].closed.wait()

    assert "stream id 3" in str(peer.faults[0])


async def test_peer_leaves_alone_what_is_not_automatic() -> None:
    async with ScriptedPeer() as peer, client_of(peer) as client:
        peer.automatic -= {Automatic.USE, Automatic.SYSTEM_TABLES}
        client.send(query("USE ks"), 1)
        client.send(query("SELECT * FROM system.local"), 2)
        assert (await peer.next_request()).query == "USE ks"
        assert (await peer.next_request()).query == "SELECT * FROM system.local"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address")
@pytest.mark.parametrize("version", [4, 5])
async def test_driver_learns_the_cluster_from_the_peers(version: int) -> None:
    async with scripted_cluster(["127.0.9.1", "127.0.9.2", "127.0.9.3"]) as peers:
        peers[0].tables.add_keyspace("shop")
        profile = ExecutionProfile(load_balancing_policy=RoundRobinPolicy())
        cluster = Cluster(
            [peers[0].host],
            port=peers[0].port,
            protocol_version=version,
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        )
        try:
            await asyncio.to_thread(cluster.connect)
            hosts = cluster.metadata.all_hosts()
            ring = cluster.metadata.token_map.ring
            keyspaces = set(cluster.metadata.keyspaces)
        finally:
            await asyncio.to_thread(cluster.shutdown)

    assert {host.address for host in hosts} == {peer.host for peer in peers}
    assert {host.release_version for host in hosts} == {"5.0.4"}
    assert [token.value for token in ring] == sorted(peer.tables.node.tokens[0] for peer in peers)
    assert keyspaces == {"shop"}
