"""Connections that take no more requests: worn out by lost responses, or their node removed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from async_cassandra import AsyncCluster, exceptions
from async_cassandra._net.heartbeat import Heartbeat
from async_cassandra._request.request import State
from tests.support.request_rig import INT_ROW, RequestRig, until
from tests.support.scripted_peer import Automatic, ScriptedPeer, scripted_cluster

pytestmark = [pytest.mark.anyio, pytest.mark.promise(5)]

HOST = "127.0.4.41"


@asynccontextmanager
async def beating(
    *, interval: float = 0.01, silence: float = 60.0, **options: Any
) -> AsyncIterator[tuple[ScriptedPeer, RequestRig]]:
    """A peer whose connection may carry eight requests, and is watched."""
    async with (
        ScriptedPeer(host=HOST) as peer,
        RequestRig(peer, max_in_flight=8, **options) as rig,
    ):
        beat = Heartbeat(rig.pools[0].watched, interval=interval, timeout=silence)
        beat.start()
        try:
            yield peer, rig
        finally:
            beat.stop()


async def test_worn_connection_is_replaced_and_finishes_its_healthy_requests() -> None:
    async with beating() as (peer, rig):
        worn = rig.connection()
        healthy = rig.write(timeout=100.0)
        asked = await peer.next_request()
        lost = [rig.write(timeout=1.0) for _ in range(5)]
        lost_ids = {(await peer.next_request()).stream_id for _ in lost}
        rig.advance(1.1)
        for request in lost:
            assert isinstance(request.exception(), exceptions.QueryTimeoutError)
        await until(lambda: worn.draining and rig.pools[0].connections != [worn])
        assert worn.orphans == len(lost)
        other = rig.write(timeout=100.0)
        second = await peer.next_request()
        assert second.connection is not asked.connection
        second.reply_void()
        await other
        assert not worn.closed
        assert asked.stream_id not in lost_ids
        asked.reply_void()
        await healthy
        await until(lambda: worn.closed)
        assert rig.unreachable == []


async def test_id_whose_response_never_comes_is_not_used_again() -> None:
    async with beating() as (peer, rig):
        lost = [rig.write(timeout=1.0) for _ in range(4)]
        lost_ids = {(await peer.next_request()).stream_id for _ in lost}
        rig.advance(1.1)
        for _ in range(50):
            request = rig.write()
            asked = await peer.next_request()
            assert asked.stream_id not in lost_ids
            asked.reply_void()
            await request
        assert rig.connection().orphans == len(lost_ids)
        for request in lost:
            assert isinstance(request.exception(), exceptions.QueryTimeoutError)


async def test_connection_whose_cancelled_requests_are_answered_soon_is_kept() -> None:
    async with beating(interval=60.0) as (peer, rig):
        kept = rig.connection()
        for _ in range(20):
            requests = [rig.write() for _ in range(8)]
            asked = [await peer.next_request() for _ in requests]
            for request in requests:
                request.cancel()
            assert kept.orphans == 8
            assert kept.old_orphans() == 0
            for each in asked:
                each.reply_void()
            await rig.settle()
        assert rig.pools[0].connections == [kept]


async def test_worn_connection_closes_when_its_last_live_request_is_cancelled() -> None:
    async with beating() as (_, rig):
        worn = rig.connection()
        requests = [rig.write() for _ in range(8)]
        for request in requests[:7]:
            request.cancel()
        await until(lambda: worn.draining)
        assert not worn.closed
        requests[7].cancel()
        await until(lambda: worn.closed)


async def test_retiring_connection_that_hangs_is_ended_and_its_request_goes_on() -> None:
    async with beating(silence=0.2) as (peer, rig):
        worn = rig.connection()
        healthy = rig.read(timeout=100.0)
        await peer.next_request()
        lost = [rig.write() for _ in range(6)]
        for request in lost:
            await peer.next_request()
            request.cancel()
        await until(lambda: worn.draining)
        peer.automatic.discard(Automatic.OPTIONS)
        peer.connections[0].stall()
        await until(lambda: worn.closed)
        assert "answered nothing" in str(worn.error)
        (await peer.next_request()).reply_rows(INT_ROW, [(1,)])
        await healthy
        peer.connections[0].resume()


async def test_requests_on_a_removed_node_are_answered_and_no_more_go_there() -> None:
    hosts = ["127.0.4.42", "127.0.4.43"]
    async with (
        scripted_cluster(hosts) as peers,
        AsyncCluster([hosts[0]], port=peers[0].port) as cluster,
        cluster.connect() as session,
    ):
        nodes = session._core.nodes
        await asyncio.gather(*(pool.wait_open() for pool in nodes.pools.values()))
        endpoint = f"{hosts[1]}:{peers[1].port}"
        reading = asyncio.ensure_future(session.execute("SELECT v FROM ks.t", host=endpoint))
        asked = await peers[1].next_request()
        (pool,) = nodes.pinned(endpoint)
        (connection,) = pool.connections
        nodes.on_remove(pool.host)
        await until(lambda: connection.draining)
        assert connection in nodes.watched()
        for _ in range(4):
            other = asyncio.ensure_future(session.execute("SELECT v FROM ks.t"))
            (await peers[0].next_request()).reply_rows(INT_ROW, [(2,)])
            await other
        asked.reply_rows(INT_ROW, [(1,)])
        assert (await reading).one().v == 1
        await until(lambda: connection.closed)
        await until(lambda: connection not in nodes.watched())


async def test_removed_node_that_does_not_answer_closes_after_its_grace() -> None:
    async with beating() as (peer, rig):
        connection = rig.connection()
        request = rig.write(timeout=100.0)
        await peer.next_request()
        await rig.pools[0].retire(grace=0.05)
        assert connection.closed
        assert request.exception() is not None
        assert rig.pools[0].watched() == []
        assert request.state == State.DONE
