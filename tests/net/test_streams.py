"""Streams page by page: what is fetched when, and what is left when the reader leaves."""

import asyncio
import gc
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cassandra import ReadTimeout

from async_cassandra import AsyncCassandraSession, AsyncCluster, StreamConfig, exceptions
from async_cassandra._wire.requests import Options
from tests.support.native_protocol import Opcode
from tests.support.peer_replies import ErrorCode, rows_body
from tests.support.request_rig import INT_ROW, until
from tests.support.scripted_peer import ScriptedPeer

pytestmark = pytest.mark.anyio

READ = "SELECT v FROM ks.t"


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[ScriptedPeer, AsyncCassandraSession]]:
    async with (
        ScriptedPeer(host="127.0.4.21") as peer,
        AsyncCluster([peer.host], port=peer.port) as cluster,
    ):
        yield peer, await cluster.connect()


def connection(session: AsyncCassandraSession) -> Any:
    (pool,) = session._core.nodes.pools.values()
    return pool.connections[0]


async def opened(
    peer: ScriptedPeer, session: AsyncCassandraSession, config: StreamConfig | None = None
) -> Any:
    """A stream whose first page has the rows 0 and 1, and whose second has been asked for."""
    opening = asyncio.ensure_future(session.execute_stream(READ, stream_config=config))
    request = await peer.next_request()
    request.reply_rows(INT_ROW, [(0,), (1,)], paging_state=b"1")
    return await opening


async def settled(session: AsyncCassandraSession) -> None:
    await connection(session).request(Options())


async def test_one_page_is_fetched_ahead_and_no_more() -> None:
    async with connected() as (peer, session):
        stream = await opened(peer, session, StreamConfig(fetch_size=2))
        ahead = await peer.next_request()
        assert (ahead.paging_state, ahead.page_size) == (b"1", 2)
        ahead.reply_rows(INT_ROW, [(2,), (3,)], paging_state=b"2")
        await settled(session)
        assert peer.waiting_requests == 0
        assert [(await anext(stream)).v for _ in range(3)] == [0, 1, 2]
        last = await peer.next_request()
        assert last.paging_state == b"2"
        last.reply_rows(INT_ROW, [(4,)])
        assert [row.v async for row in stream] == [3, 4]
        assert (stream.page_number, stream.total_rows_fetched) == (3, 5)


async def test_large_page_is_read_before_the_next_is_fetched() -> None:
    async with connected() as (peer, session):
        stream = await opened(peer, session, StreamConfig(fetch_size=2, max_prefetch_bytes=3))
        await settled(session)
        assert peer.waiting_requests == 0
        reading = asyncio.ensure_future(_all(stream))
        (await peer.next_request()).reply_rows(INT_ROW, [(2,)])
        assert await reading == [0, 1, 2]


async def test_warnings_of_every_page_come_with_the_rows_of_all() -> None:
    async with connected() as (peer, session):
        reading = asyncio.ensure_future(session.execute(READ))
        first = await peer.next_request()
        first.reply_rows(INT_ROW, [(0,)], paging_state=b"1", warnings=["slow"])
        second = await peer.next_request()
        second.reply_rows(INT_ROW, [(1,)], paging_state=b"2", warnings=["slow", "large"])
        (await peer.next_request()).reply_rows(INT_ROW, [(2,)])
        result = await reading
        assert [row.v for row in result] == [0, 1, 2]
        assert result.warnings == ["slow", "large"]


async def _all(stream: Any) -> list[int]:
    return [row.v async for row in stream]


async def test_empty_pages_are_passed_over() -> None:
    async with connected() as (peer, session):
        stream = await opened(peer, session)
        reading = asyncio.ensure_future(_all(stream))
        for state in (b"2", b"3", b"4"):
            (await peer.next_request()).reply_rows(INT_ROW, [], paging_state=state)
        (await peer.next_request()).reply_rows(INT_ROW, [(2,)])
        assert await reading == [0, 1, 2]


@pytest.mark.parametrize("leave", ["break", "aclose", "cancel", "with", "forget"])
async def test_leaving_early_gives_the_page_under_way_back(leave: str) -> None:
    async with connected() as (peer, session):
        stream = await opened(peer, session)
        ahead = await peer.next_request()
        if leave == "with":
            async with stream:
                await anext(stream)
        elif leave == "break":
            async for _ in stream:
                break
            await stream.close()
        elif leave == "aclose":
            await stream.close()
        elif leave == "cancel":
            await stream.cancel()
        else:
            del stream
            gc.collect()
        assert session._core.executor.running == 0
        assert len(session._core.timers) == 0
        assert connection(session).orphans == 1
        ahead.reply_rows(INT_ROW, [(2,)], paging_state=b"2")
        await until(lambda: connection(session).in_flight == 0)
        await settled(session)
        assert peer.waiting_requests == 0


async def test_cancelled_reader_gives_the_page_under_way_back() -> None:
    async with connected() as (peer, session):
        stream = await opened(peer, session)
        reading = asyncio.ensure_future(_all(stream))
        await peer.next_request()
        await until(lambda: stream.total_rows_fetched == 2)
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert session._core.executor.running == 0


@pytest.mark.parametrize(
    "read",
    [
        anext,
        lambda stream: anext(stream.pages()),
        lambda stream: anext(stream.chunks(1)),
    ],
)
async def test_reader_cancelled_in_the_turn_that_it_gives_the_loop_ends_the_stream(
    read: Callable[[Any], Coroutine[Any, Any, object]],
) -> None:
    async with connected() as (peer, session):
        stream = await opened(peer, session)
        await peer.next_request()
        reading = asyncio.ensure_future(read(stream))
        await asyncio.sleep(0)
        assert not reading.done()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert session._core.executor.running == 0
        assert [row async for row in stream] == []


async def test_error_of_the_page_ahead_comes_after_the_rows_before_it() -> None:
    async with connected() as (peer, session):
        stream = await opened(peer, session)
        peer.respond_with(lambda request: request.reply_error(ErrorCode.READ_TIMEOUT))
        assert [(await anext(stream)).v for _ in range(2)] == [0, 1]
        with pytest.raises(ReadTimeout) as caught:
            await anext(stream)
        assert isinstance(caught.value, exceptions.QueryError)
        assert [row async for row in stream] == []


async def test_error_of_a_page_that_nobody_reads_is_nobodys() -> None:
    async with connected() as (peer, session):
        stream = await opened(peer, session)
        (await peer.next_request()).reply_error(ErrorCode.INVALID)
        await until(lambda: session._core.executor.running == 0)
        await stream.close()
        forgotten = await opened(peer, session)
        (await peer.next_request()).reply_error(ErrorCode.INVALID)
        await until(lambda: session._core.executor.running == 0)
        del forgotten
        gc.collect()


async def test_wrong_length_in_a_page_fails_the_rows_from_there_on_and_nothing_else() -> None:
    async with connected() as (peer, session):
        stream = await opened(peer, session)
        body = rows_body(INT_ROW, [(2,), (3,), (4,)], paging_state=b"2")
        (await peer.next_request()).reply(Opcode.RESULT, body[:-9])
        assert [(await anext(stream)).v for _ in range(3)] == [0, 1, 2]
        for row in (1, 2):
            with pytest.raises(
                exceptions.ProtocolError, match="4 bytes announced, 3 left"
            ) as caught:
                await anext(stream)
            assert ("row 1:" in str(caught.value)) == (row == 1)
        (await peer.next_request()).reply_rows(INT_ROW, [(5,)])
        assert await _all(stream) == [5]
        await settled(session)


@pytest.mark.parametrize("read", ["execute", "execute_stream"])
async def test_value_that_is_none_of_its_type_fails_its_row_only(read: str) -> None:
    async with connected() as (peer, session):
        reading = asyncio.ensure_future(getattr(session, read)(READ))
        body = rows_body(INT_ROW, [(0,), (1,)])
        wrong = body[:-16] + b"\0\0\0\3abc" + body[-8:]
        (await peer.next_request()).reply(Opcode.RESULT, wrong)
        rows = aiter(await reading)
        with pytest.raises(exceptions.ProtocolError, match=r"column 'v' \(int\) of row 0: 3 bytes"):
            await anext(rows)
        if read == "execute_stream":
            assert (await anext(rows)).v == 1


LISTS = [lambda stream: stream.pages(), lambda stream: stream.chunks(300)]


@asynccontextmanager
async def with_bad_row(count: int, bad: int) -> AsyncIterator[Any]:
    """A stream of one page of so many rows, in which one row's value has a byte too few."""
    async with connected() as (peer, session):
        opening = asyncio.ensure_future(session.execute_stream(READ))
        body = rows_body(INT_ROW, [(key,) for key in range(count)])
        start = len(body) - 8 * (count - bad)
        wrong = body[:start] + b"\0\0\0\3abc" + body[start + 8 :]
        (await peer.next_request()).reply(Opcode.RESULT, wrong)
        yield await opening


async def values(lists: AsyncIterator[list[Any]]) -> list[list[int]]:
    return [[row.v for row in rows] async for rows in lists]


@pytest.mark.parametrize("read", LISTS)
@pytest.mark.parametrize("bad", [1, 255, 256, 257, 299])
async def test_rows_before_one_that_raises_are_given_first(
    read: Callable[[Any], AsyncIterator[list[Any]]], bad: int
) -> None:
    async with with_bad_row(301, bad) as stream:
        lists = read(stream)
        assert [row.v for row in await anext(lists)] == list(range(bad))
        with pytest.raises(exceptions.ProtocolError, match=f"row {bad}: 3 bytes"):
            await anext(lists)
        rest = await values(read(stream))
        assert list(itertools.chain(*rest)) == list(range(bad + 1, 301))


@pytest.mark.parametrize("read", LISTS)
async def test_first_row_that_raises_does_so_at_once(
    read: Callable[[Any], AsyncIterator[list[Any]]],
) -> None:
    async with with_bad_row(2, 0) as stream:
        with pytest.raises(exceptions.ProtocolError, match="row 0: 3 bytes"):
            await anext(read(stream))
        assert await values(read(stream)) == [[1]]


async def test_error_behind_a_chunk_is_raised_by_whatever_reads_next() -> None:
    async with with_bad_row(4, 2) as stream:
        assert [row.v for row in await anext(stream.chunks(3))] == [0, 1]
        with pytest.raises(exceptions.ProtocolError, match="row 2: 3 bytes"):
            await anext(stream)
        assert (await anext(stream)).v == 3


async def test_error_behind_a_chunk_ends_with_its_stream() -> None:
    async with with_bad_row(4, 2) as stream:
        assert [row.v for row in await anext(stream.chunks(3))] == [0, 1]
        await stream.close()
        assert [row async for row in stream] == []


async def test_page_limit_ends_the_stream_without_asking_for_more() -> None:
    async with connected() as (peer, session):
        stream = await opened(peer, session, StreamConfig(fetch_size=2, max_pages=1))
        assert await _all(stream) == [0, 1]
        await settled(session)
        assert peer.waiting_requests == 0
        assert stream.paging_state == b"1"


async def test_pages_are_yielded_whole() -> None:
    async with connected() as (peer, session):
        seen: list[tuple[int, int]] = []
        config = StreamConfig(fetch_size=2, page_callback=lambda *page: seen.append(page))
        stream = await opened(peer, session, config)

        async def read() -> list[list[int]]:
            return [[row.v for row in page] async for page in stream.pages()]

        reading = asyncio.ensure_future(read())
        (await peer.next_request()).reply_rows(INT_ROW, [(2,)])
        assert await reading == [[0, 1], [2]]
        assert seen == [(1, 2), (2, 1)]


async def test_lost_connection_between_pages_is_not_seen() -> None:
    async with connected() as (peer, session):
        stream = await opened(peer, session)
        (await peer.next_request()).drop()
        reading = asyncio.ensure_future(_all(stream))
        (await peer.next_request()).reply_rows(INT_ROW, [(2,)])
        assert await reading == [0, 1, 2]


async def test_many_streams_of_one_statement_do_not_mix() -> None:
    async with connected() as (peer, session):

        def answer(request: Any) -> None:
            start = int(request.paging_state or b"0")
            rows = [(start + i,) for i in range(10)]
            state = str(start + 10).encode() if start < 40 else None
            request.reply_rows(INT_ROW, rows, paging_state=state)

        peer.respond_with(answer)

        async def read() -> list[int]:
            return await _all(await session.execute_stream(READ))

        assert await asyncio.gather(*(read() for _ in range(20))) == [list(range(50))] * 20


async def test_closing_the_session_ends_a_stream_with_its_error() -> None:
    async with connected() as (peer, session):
        stream = await opened(peer, session)
        await peer.next_request()
        await session.close(grace=0)
        with pytest.raises(exceptions.ConnectionError):
            await _all(stream)
