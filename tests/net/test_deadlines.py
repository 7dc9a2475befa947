"""Deadlines: what they cover, and what the error says of where the time went."""

import asyncio
import builtins
import pickle
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf
from typing import Any

import cassandra
import pytest
from cassandra.policies import RetryPolicy

import async_cassandra
from async_cassandra import AsyncCassandraSession, AsyncCluster, exceptions
from async_cassandra._request.request import State
from tests.support.native_protocol import Opcode
from tests.support.peer_replies import ErrorCode
from tests.support.request_rig import INT_ROW, nodes, until
from tests.support.scripted_peer import ScriptedPeer

pytestmark = [pytest.mark.anyio, pytest.mark.promise(6)]

HOSTS = ["127.0.4.51", "127.0.4.52", "127.0.4.53"]
READ = "SELECT v FROM ks.t WHERE k = ?"


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[ScriptedPeer, AsyncCassandraSession]]:
    async with (
        ScriptedPeer(host=HOSTS[0]) as peer,
        AsyncCluster([peer.host], port=peer.port) as cluster,
        cluster.connect() as session,
    ):
        yield peer, session


def late(request: Any) -> exceptions.QueryTimeoutError:
    error = request.exception()
    assert isinstance(error, exceptions.QueryTimeoutError)
    return error


async def test_error_is_what_each_name_for_it_catches_and_pickles() -> None:
    async with nodes() as rig:
        request = rig.write(timeout=2.0)
        await rig.peers[0].next_request()
        rig.advance(2.1)
        error = late(request)
    copy = pickle.loads(pickle.dumps(error))
    for each in (error, copy):
        assert isinstance(each, builtins.TimeoutError)
        assert isinstance(each, cassandra.OperationTimedOut)
        assert isinstance(each, async_cassandra.TimeoutError)
        assert each.attempts == 1
        assert each.wire_seconds == pytest.approx(2.1)
        assert each.node_seconds == {rig.pools[0].endpoint: pytest.approx(2.1)}
        assert (each.queued_seconds, each.prepare_seconds) == (0.0, 0.0)
        assert each.last_host == rig.pools[0].endpoint
    assert str(copy) == str(error)


async def test_time_in_the_queue_counts_and_is_told_from_that_on_the_wire() -> None:
    async with nodes(max_in_flight=1) as rig:
        first = rig.write(timeout=100.0)
        asked = await rig.peers[0].next_request()
        second = rig.write(timeout=3.0)
        rig.advance(1.0)
        assert second.state == State.QUEUED
        asked.reply_void()
        await first
        await rig.peers[0].next_request()
        rig.advance(2.1)
        error = late(second)
        assert error.queued_seconds == pytest.approx(1.0)
        assert error.wire_seconds == pytest.approx(2.1)
        assert "a free connection for 1.000 s" in str(error)


async def test_attempts_on_each_node_are_told_with_their_errors() -> None:
    async with nodes(3) as rig:
        request = rig.read(timeout=3.0)
        asked = await rig.peers[0].next_request()
        rig.clock.now += 0.5
        asked.reply_error(ErrorCode.OVERLOADED, "broken")
        await rig.peers[1].next_request()
        rig.advance(1.0)
        await rig.peers[2].next_request()
        rig.advance(1.6)
        error = late(request)
        first, second, third = (pool.endpoint for pool in rig.pools)
        assert error.attempts == 3
        assert error.node_seconds == {
            first: pytest.approx(0.5),
            second: pytest.approx(2.6),
            third: pytest.approx(1.6),
        }
        # Two of them were under way at once.
        assert error.wire_seconds == pytest.approx(3.1)
        assert list(error.errors) == [first]
        assert "broken" in str(error)


async def test_pause_before_a_repetition_is_within_the_deadline() -> None:
    class Later(RetryPolicy):
        def on_request_error(self, *args: Any, **facts: Any) -> Any:
            return self.RETRY, None, 2.0

    async with nodes() as rig:
        request = rig.read(timeout=3.0, retry_policy=Later())
        (await rig.peers[0].next_request()).reply_error(ErrorCode.OVERLOADED)
        await until(lambda: request.state == State.PAUSED)
        rig.advance(2.1)
        await rig.peers[0].next_request()
        rig.advance(1.0)
        assert late(request).attempts == 2
        assert late(request).wire_seconds == pytest.approx(1.0)


async def test_infinite_timeout_waits() -> None:
    async with nodes() as rig:
        request = rig.write(timeout=inf)
        asked = await rig.peers[0].next_request()
        assert len(rig.timers) == 0
        rig.advance(1e9)
        asked.reply_void()
        await request


async def test_each_page_has_its_own_deadline() -> None:
    async with connected() as (peer, session):
        reading = asyncio.ensure_future(session.execute("SELECT v FROM ks.t", timeout=0.4))
        asked = await peer.next_request()
        await until(lambda: session._core.executor.running == 1)
        first_deadline = session._core.loop.time() + 0.4
        await asyncio.sleep(0.1)
        asked.reply_rows(INT_ROW, [(1,)], paging_state=b"1")
        await peer.next_request()
        with pytest.raises(exceptions.QueryTimeoutError):
            await reading
        assert session._core.loop.time() >= first_deadline + 0.05


async def test_preparing_a_string_counts() -> None:
    async with connected() as (peer, session):
        reading = asyncio.ensure_future(session.execute(READ, (1,), timeout=0.4))
        asked = await peer.next_request(Opcode.PREPARE)
        await asyncio.wait([reading], timeout=0.21)
        asked.reply_prepared(b"id", columns=[("k", "int")], result_columns=INT_ROW)
        await peer.next_request(Opcode.EXECUTE)
        with pytest.raises(exceptions.QueryTimeoutError, match="to be prepared for") as caught:
            await reading
        assert caught.value.prepare_seconds >= 0.2
        assert caught.value.prepare_seconds + caught.value.wire_seconds < 0.8


async def test_unanswered_prepare_ends_with_the_deadline() -> None:
    async with connected() as (peer, session):
        reading = asyncio.ensure_future(session.execute(READ, (1,), timeout=0.1))
        await peer.next_request(Opcode.PREPARE)
        with pytest.raises(exceptions.QueryTimeoutError, match=HOSTS[0]):
            await reading


async def test_callers_that_share_a_prepare_each_keep_their_own_deadline() -> None:
    async with connected() as (peer, session):
        patient = asyncio.ensure_future(session.execute(READ, (1,), timeout=60.0))
        asked = await peer.next_request(Opcode.PREPARE)
        hurried = asyncio.ensure_future(session.execute(READ, (2,), timeout=0.1))
        with pytest.raises(exceptions.QueryTimeoutError, match="to be prepared"):
            await hurried
        asked.reply_prepared(b"id", columns=[("k", "int")], result_columns=INT_ROW)
        (await peer.next_request(Opcode.EXECUTE)).reply_rows(INT_ROW, [(1,)])
        assert (await patient).one().v == 1


async def test_patient_caller_prepares_again_after_a_hurried_one() -> None:
    async with connected() as (peer, session):
        hurried = asyncio.ensure_future(session.execute(READ, (1,), timeout=0.1))
        await peer.next_request(Opcode.PREPARE)
        patient = asyncio.ensure_future(session.execute(READ, (2,), timeout=60.0))
        with pytest.raises(exceptions.QueryTimeoutError):
            await hurried
        again = await peer.next_request(Opcode.PREPARE)
        again.reply_prepared(b"id", columns=[("k", "int")], result_columns=INT_ROW)
        (await peer.next_request(Opcode.EXECUTE)).reply_rows(INT_ROW, [(2,)])
        assert (await patient).one().v == 2


async def test_asyncio_timeout_bounds_a_whole_call() -> None:
    async with connected() as (peer, session):
        peer.respond_with(lambda request: request.reply_rows(INT_ROW, [(1,)], paging_state=b"more"))
        with pytest.raises(builtins.TimeoutError) as caught:
            async with asyncio.timeout(0.3):
                await session.execute("SELECT v FROM ks.t", timeout=inf)
        assert not isinstance(caught.value, exceptions.TimeoutError)
        await until(lambda: session._core.executor.running == 0)
