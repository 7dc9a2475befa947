"""One connection: stream ids, frames as they may arrive, and every way it ends."""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import lz4.block
import pytest

from async_cassandra._net.connection import Connection
from async_cassandra._net.errors import ConnectionLost
from async_cassandra._net.handshake import ConnectOptions, open_connection
from async_cassandra._watch.observer import Observer, Observers
from async_cassandra._wire.requests import Options, Prepare, Query
from async_cassandra._wire.responses import Response
from tests.support.native_protocol import Compression, Opcode, encode_envelope, encode_segment
from tests.support.peer_replies import rows_body
from tests.support.request_rig import INT_ROW, RequestRig, nodes, until, values
from tests.support.scripted_peer import Request as PeerRequest
from tests.support.scripted_peer import ScriptedPeer, scripted_cluster

pytestmark = pytest.mark.anyio

HOST = "127.0.4.1"
LZ4 = (
    functools.partial(lz4.block.compress, store_size=False),
    lambda data, size: lz4.block.decompress(data, uncompressed_size=size),
)
FRAMINGS = [
    pytest.param(4, None, id="v4"),
    pytest.param(4, LZ4, id="v4-lz4"),
    pytest.param(5, None, id="v5"),
    pytest.param(5, LZ4, id="v5-lz4"),
]


@asynccontextmanager
async def connected(
    version: int = 5, compression: Any = None, **options: Any
) -> AsyncIterator[tuple[ScriptedPeer, Connection]]:
    async with ScriptedPeer(host=HOST) as peer:
        settings = ConnectOptions(protocol_version=version, compression=compression, **options)
        connection = await open_connection(peer.host, peer.port, settings)
        yield peer, connection
        await connection.close()


def ask(connection: Connection, query: str = "SELECT 1") -> asyncio.Future[Response]:
    return connection.request(Query(query))


async def answered(peer: ScriptedPeer, connection: Connection) -> None:
    """Check that a request goes through."""
    future = ask(connection)
    (await peer.next_request()).reply_void()
    await future


# Frames


@pytest.mark.parametrize(("version", "compression"), FRAMINGS)
async def test_requests_of_any_size_arrive_whole(version: int, compression: Any) -> None:
    async with connected(version, compression) as (peer, connection):
        for size in (1, 600, 131_000, 131_062, 131_071, 131_072, 300_000, 1_000_000):
            query = "".join(chr(ord("a") + (i * i + size) % 26) for i in range(size))
            future = ask(connection, query)
            request = await peer.next_request()
            assert request.query == query
            request.reply_void(warnings=[query[:60_000]])
            assert (await future).warnings == [query[:60_000]]


@pytest.mark.parametrize(("version", "compression"), FRAMINGS)
async def test_responses_of_any_size_arrive_whole(version: int, compression: Any) -> None:
    async with connected(version, compression) as (peer, connection):
        for size in (0, 1, 60_000, 131_040, 131_071, 131_072, 400_000, 1_000_000):
            future = connection.request(Options())
            peer.automatic.clear()
            request = await peer.next_request(Opcode.OPTIONS)
            words = ["y" * min(65_000, size - at) for at in range(0, size, 65_000)]
            request.reply_supported({"WORDS": words})
            peer.automatic.update(type(next(iter(ScriptedPeer().automatic))))
            assert (await future).supported == {"WORDS": words}


@pytest.mark.parametrize(("version", "compression"), FRAMINGS)
async def test_response_may_come_one_byte_at_a_time(version: int, compression: Any) -> None:
    async with connected(version, compression) as (peer, connection):
        peer.connections[0].max_segment_payload = 20
        peer.connections[0].trickle()
        futures = [ask(connection), ask(connection)]
        for index in range(2):
            (await peer.next_request()).reply_void(warnings=[f"warning {index} " * 10])
        for index, future in enumerate(futures):
            assert (await future).warnings == [f"warning {index} " * 10]


@pytest.mark.parametrize(("version", "compression"), FRAMINGS)
async def test_responses_that_come_together_are_handled_over_several_turns(
    version: int, compression: Any
) -> None:
    async with connected(version, compression) as (peer, connection):
        futures = [ask(connection) for _ in range(1000)]
        asked = [await peer.next_request() for _ in futures]
        with peer.connections[0].hold():
            for request in asked:
                request.reply_void()
        waiting = [1000]
        while waiting[-1]:
            await asyncio.sleep(0)
            waiting.append(connection.in_flight)
        # A turn may end with what was just read and begin the next with as many.
        assert max(before - after for before, after in pairwise(waiting)) <= 256
        assert all(future.done() for future in futures)
        await answered(peer, connection)


async def test_responses_that_came_before_the_end_are_answers() -> None:
    async with connected() as (peer, connection):
        futures = [ask(connection) for _ in range(1000)]
        asked = [await peer.next_request() for _ in futures]
        with peer.connections[0].hold():
            for request in asked:
                request.reply_void()
        peer.drop_connections()
        await asyncio.wait(futures)
        assert [future.exception() for future in futures] == [None] * 1000


async def test_requests_of_one_turn_leave_in_one_segment() -> None:
    async with connected() as (peer, connection):
        flushes = connection.flushes
        futures = [ask(connection, f"SELECT {i}") for i in range(100)]
        requests = [await peer.next_request() for _ in futures]
        assert [request.query for request in requests] == [f"SELECT {i}" for i in range(100)]
        assert connection.flushes == flushes + 1
        with peer.connections[0].hold():
            for request in requests:
                request.reply_void()
        await asyncio.gather(*futures)


async def test_events_are_passed_over() -> None:
    async with connected() as (peer, connection):
        peer.connections[0].event_types = frozenset({"STATUS_CHANGE"})
        peer.push_status_change("DOWN", "127.0.4.9")
        await answered(peer, connection)


# What breaks a connection, and only that one

Break = Callable[[PeerRequest], None]


def unknown_stream(request: PeerRequest) -> None:
    request.connection.send(Opcode.RESULT, 77, b"\0\0\0\1")


def stream_out_of_range(request: PeerRequest) -> None:
    request.connection.send(Opcode.RESULT, 32767, b"\0\0\0\1")


def answered_twice(request: PeerRequest) -> None:
    with request.connection.hold():
        request.reply_void()
        request.reply_void()


def bad_crc32(request: PeerRequest) -> None:
    request.connection.corrupt_next()
    request.reply_void()


def bad_crc24(request: PeerRequest) -> None:
    request.connection.corrupt_next(4)
    request.reply_void()


def bad_header(request: PeerRequest) -> None:
    request.connection.corrupt_next(0)
    request.reply_void()


def truncated(request: PeerRequest) -> None:
    request.connection.truncate_next(11)
    request.reply_void()


def wrong_version(request: PeerRequest) -> None:
    envelope = encode_envelope(4, Opcode.RESULT, request.stream_id, b"\0\0\0\1")
    request.reply_raw(encode_segment(envelope, self_contained=True))


def request_direction(request: PeerRequest) -> None:
    envelope = bytearray(encode_envelope(5, Opcode.RESULT, request.stream_id, b"\0\0\0\1"))
    envelope[0] &= 0x7F
    request.reply_raw(encode_segment(bytes(envelope), self_contained=True))


def two_gigabytes(request: PeerRequest) -> None:
    header = bytes((0x85, 0, 0, request.stream_id, Opcode.RESULT)) + (2**31 - 1).to_bytes(4)
    request.reply_raw(encode_segment(header + b"\0" * 100, self_contained=False))


def half_an_envelope(request: PeerRequest) -> None:
    envelope = encode_envelope(5, Opcode.RESULT, request.stream_id, b"\0\0\0\1")
    request.reply_raw(encode_segment(envelope[:-1], self_contained=True))


def self_contained_within_split(request: PeerRequest) -> None:
    envelope = encode_envelope(5, Opcode.RESULT, request.stream_id, b"\0\0\0\1" * 50)
    request.reply_raw(
        encode_segment(envelope[:20], self_contained=False)
        + encode_segment(envelope, self_contained=True)
    )


def more_after_split(request: PeerRequest) -> None:
    envelope = encode_envelope(5, Opcode.RESULT, request.stream_id, b"\0\0\0\1")
    request.reply_raw(encode_segment(envelope + b"more", self_contained=False))


def empty_result(request: PeerRequest) -> None:
    request.reply(Opcode.RESULT, b"")


def unknown_kind(request: PeerRequest) -> None:
    request.reply(Opcode.RESULT, b"\0\0\0\x63")


def request_opcode(request: PeerRequest) -> None:
    request.reply(Opcode.QUERY, b"")


def rows_cut_short(request: PeerRequest) -> None:
    request.reply(Opcode.RESULT, rows_body(INT_ROW, [(1,)])[:12])


BREAKS = [
    unknown_stream,
    stream_out_of_range,
    answered_twice,
    bad_crc32,
    bad_crc24,
    bad_header,
    truncated,
    wrong_version,
    request_direction,
    two_gigabytes,
    half_an_envelope,
    self_contained_within_split,
    more_after_split,
]
UNREADABLE = [empty_result, unknown_kind, request_opcode, rows_cut_short]


@pytest.mark.parametrize("break_it", BREAKS, ids=lambda function: function.__name__)
async def test_broken_bytes_end_that_connection_only(break_it: Break) -> None:
    async with scripted_cluster([HOST, "127.0.4.2"]) as peers, RequestRig(*peers) as rig:
        healthy = rig.write(pinned=[rig.pools[1]])
        request = rig.read(pinned=[rig.pools[0]])
        lost = rig.connection()
        break_it(await peers[0].next_request())
        again = await next_try(peers[0], request)
        if again is not None:
            again.reply_void()
        await request
        await until(lambda: lost.closed and rig.pools[0].connections)
        assert isinstance(lost.error, ConnectionLost)
        assert not rig.connection(1).closed
        (await peers[1].next_request()).reply_void()
        await healthy
        await rig.check_quiet()


async def next_try(peer: ScriptedPeer, future: Any) -> PeerRequest | None:
    """The request as it is sent again; ``None`` if it was answered before the connection broke."""
    asked = asyncio.ensure_future(peer.next_request())
    await asyncio.wait({asked, future}, return_when=asyncio.FIRST_COMPLETED)
    if asked.done():
        return asked.result()
    asked.cancel()
    return None


@pytest.mark.parametrize("answer", UNREADABLE, ids=lambda function: function.__name__)
async def test_unreadable_answer_to_a_prepare_that_teaches_leaves_the_connection(
    answer: Break,
) -> None:
    async with connected() as (peer, connection):
        taught, other = connection.request(Prepare("SELECT v FROM t")), ask(connection)
        answer(await peer.next_request())
        (await peer.next_request()).reply_void()
        await other
        with pytest.raises(ConnectionLost, match="protocol error"):
            await taught
        assert not connection.closed


@pytest.mark.parametrize("break_it", BREAKS + UNREADABLE, ids=lambda function: function.__name__)
async def test_future_of_a_broken_response_gets_the_error(break_it: Break) -> None:
    async with connected() as (peer, connection):
        futures = [ask(connection), ask(connection)]
        await peer.next_request()
        break_it(await peer.next_request())
        done = await asyncio.gather(*futures, return_exceptions=True)
        assert isinstance(done[0], ConnectionLost)
        assert connection.closed
        with pytest.raises(ConnectionLost):
            ask(connection)


async def test_compressed_segment_of_nonsense_ends_the_connection() -> None:
    async with connected(compression=LZ4) as (peer, connection):
        future = ask(connection)
        request = await peer.next_request()
        good = encode_segment(
            encode_envelope(5, Opcode.RESULT, 0, bytes(1000)),
            self_contained=True,
            compression=Compression.LZ4,
        )
        request.connection.corrupt_next(len(good) // 2)
        request.reply_raw(good)
        with pytest.raises(ConnectionLost, match="protocol error"):
            await future


# Stream ids


async def test_ids_are_not_used_again_while_a_response_may_come() -> None:
    async with connected() as (peer, connection):
        futures = [ask(connection) for _ in range(10)]
        requests = [await peer.next_request() for _ in futures]
        assert len({request.stream_id for request in requests}) == 10
        for request in requests[::2]:
            request.reply_void()
        await asyncio.gather(*futures[::2])
        more = [ask(connection) for _ in range(10)]
        taken = {request.stream_id for request in requests[1::2]}
        for _ in more:
            request = await peer.next_request()
            assert request.stream_id not in taken
            request.reply_void()
        for request in requests[1::2]:
            request.reply_void()
        await asyncio.gather(*futures, *more)
        assert connection.in_flight == 0


async def test_cancelled_futures_keep_their_ids_until_the_response() -> None:
    async with connected() as (peer, connection):
        future = ask(connection)
        request = await peer.next_request()
        future.cancel()
        assert connection.in_flight == 1
        other = ask(connection)
        second = await peer.next_request()
        assert second.stream_id != request.stream_id
        request.reply_void()
        second.reply_void()
        await other
        await until(lambda: connection.in_flight == 0)


async def test_every_id_can_be_taken_and_one_more_is_refused() -> None:
    # With it, each of the futures keeps the lines that made it, which takes a minute.
    asyncio.get_running_loop().set_debug(False)
    async with connected(max_in_flight=32767) as (peer, connection):
        requests: list[PeerRequest] = []
        peer.respond_with(requests.append)
        futures = [ask(connection) for _ in range(32767)]
        assert not connection.available
        with pytest.raises(ConnectionLost, match="32767"):
            ask(connection)
        await until(lambda: len(requests) == 32767)
        assert {request.stream_id for request in requests} == set(range(1, 32768))
        peer.respond_with(lambda request: request.reply_void())
        with peer.connections[0].hold():
            for request in requests:
                request.reply_void()
        await asyncio.gather(*futures)
        assert connection.in_flight == 0
        await ask(connection)


async def test_late_responses_free_orphaned_ids() -> None:
    async with ScriptedPeer(host=HOST) as peer, RequestRig(peer, max_in_flight=8) as rig:
        requests = [rig.write(timeout=1.0) for _ in range(4)]
        asked = [await peer.next_request() for _ in requests]
        rig.advance(1.1)
        for request in requests:
            assert request.exception() is not None
        assert (rig.connection().in_flight, rig.connection().orphans) == (4, 4)
        await rig.check_quiet(*asked)


# Endings


async def test_close_sends_what_is_pending() -> None:
    async with ScriptedPeer(host=HOST) as peer:
        connection = await open_connection(peer.host, peer.port, ConnectOptions())
        future = ask(connection, "UPDATE t SET v = 1")
        await connection.close()
        assert (await peer.next_request()).query == "UPDATE t SET v = 1"
        with pytest.raises(ConnectionLost):
            await future
        await connection.close()


async def test_close_does_not_wait_for_a_peer_that_does_not_read() -> None:
    async with connected() as (peer, connection):
        peer.connections[0].stall()
        futures = [ask(connection, "x" * 1_000_000) for _ in range(20)]
        await until(lambda: connection.paused)
        await connection.close(0.01)
        done = await asyncio.gather(*futures, return_exceptions=True)
        assert {type(error) for error in done} == {ConnectionLost}


@pytest.mark.parametrize("end", ["drop", "close"])
async def test_peer_that_goes_fails_what_waits(end: str) -> None:
    async with connected() as (peer, connection):
        futures = [ask(connection) for _ in range(3)]
        for _ in futures:
            request = await peer.next_request()
        getattr(request.connection, end)()
        done = await asyncio.gather(*futures, return_exceptions=True)
        assert {type(error) for error in done} == {ConnectionLost}
        assert connection.in_flight == 0
        assert "closed" in repr(connection)


async def test_response_to_a_closed_connection_is_nobodys() -> None:
    async with connected() as (peer, connection):
        future = ask(connection)
        request = await peer.next_request()
        request.reply_void()
        connection.abort(ConnectionLost("cut by the test"))
        with pytest.raises(ConnectionLost, match="cut by the test"):
            await future
        await connection.close()


async def test_handlers_that_send_again_within_a_loss_get_the_error() -> None:
    async with connected() as (peer, connection):
        refused: list[Exception] = []

        def again(future: asyncio.Future[Response]) -> None:
            future.exception()
            try:
                ask(connection)
            except ConnectionLost as error:
                refused.append(error)

        future = ask(connection)
        future.add_done_callback(again)
        (await peer.next_request()).drop()
        with pytest.raises(ConnectionLost):
            await future
        await until(lambda: len(refused) == 1)


async def test_answers_that_come_while_one_is_handled_stay_apart_from_it() -> None:
    class Loop(Observer):
        """Gives the connection more bytes when a request ends, as a loop that runs within a callback does."""

        def on_finished(self, request: Any, error: Any, seconds: float) -> None:
            if more:
                data = more.pop()
                room = connection.get_buffer(-1)
                room[: len(data)] = data
                connection.buffer_updated(len(data))

    async with nodes(1) as rig:
        connection = rig.connection(0)
        rig.executor.observer = Observers([Loop()])
        more: list[bytes] = []
        requests = [rig.read() for _ in range(3)]
        asked = [await rig.peers[0].next_request() for _ in requests]
        for number in (2, 1):
            body = rows_body(INT_ROW, [(number,)])
            envelope = encode_envelope(5, Opcode.RESULT, asked[number].stream_id, body)
            more.append(encode_segment(envelope, self_contained=True))
        asked[0].reply_rows(INT_ROW, [(0,)])
        for request in requests:
            await request
        assert [values(request) for request in requests] == [[0], [1], [2]]


def test_more_bytes_than_there_is_room_for_are_refused() -> None:
    loop = asyncio.new_event_loop()
    connection = Connection(loop, "host:1", 5)
    for count in (-1, 2**40):
        with pytest.raises(ValueError, match="cannot have come"):
            connection.buffer_updated(count)
    loop.close()
