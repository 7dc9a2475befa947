"""Admission: how many may wait, and every way out of the queue."""

import asyncio
from contextlib import AbstractAsyncContextManager
from math import inf
from typing import Any

import pytest
from cassandra.policies import RetryPolicy

from async_cassandra import exceptions
from async_cassandra._net.errors import ConnectionLost
from async_cassandra._request.request import State
from tests.support.peer_replies import ErrorCode
from tests.support.request_rig import INT_ROW, InOrder, RequestRig, nodes, until, values

pytestmark = pytest.mark.anyio


def crowded(count: int = 1, **options: Any) -> AbstractAsyncContextManager[RequestRig]:
    """Peers whose one connection takes one request, and a queue for two."""
    return nodes(count, **{"max_in_flight": 1, "max_queued": 2} | options)


async def test_full_queue_refuses_at_once() -> None:
    async with crowded() as rig:
        live = rig.write()
        queued = [rig.write() for _ in range(2)]
        assert [request.state for request in queued] == [State.QUEUED] * 2
        refused = rig.write()
        with pytest.raises(exceptions.OverloadedError, match="max_queued"):
            refused.result()
        assert refused.attempts == 0
        for request in (live, *queued):
            (await rig.peers[0].next_request()).reply_void()
            await request
        await rig.check_quiet()


async def test_no_queue_refuses_whatever_finds_no_place() -> None:
    async with crowded(max_queued=0) as rig:
        live = rig.write()
        with pytest.raises(exceptions.OverloadedError):
            rig.write().result()
        (await rig.peers[0].next_request()).reply_void()
        await live


async def test_freed_place_goes_to_the_oldest() -> None:
    async with crowded(max_queued=10) as rig:
        texts = [f"SELECT v FROM t WHERE k = {k}" for k in range(6)]
        requests = [rig.query(text) for text in texts]
        for request in requests:
            request.start()
        for text in texts:
            asked = await rig.peers[0].next_request()
            assert asked.query == text
            asked.reply_void()
        await asyncio.gather(*requests)
        await rig.check_quiet()


async def test_queued_request_times_out_without_having_been_sent() -> None:
    async with crowded() as rig:
        live = rig.write(timeout=100.0)
        queued = rig.write(timeout=1.0)
        rig.advance(1.1)
        with pytest.raises(exceptions.QueryTimeoutError, match="free connection") as caught:
            queued.result()
        assert caught.value.attempts == 0
        (await rig.peers[0].next_request()).reply_void()
        await live
        await rig.check_quiet()


async def test_queued_request_that_is_cancelled_leaves_its_place_in_the_queue() -> None:
    async with crowded() as rig:
        live = rig.write()
        first, second = rig.write(), rig.write()
        first.cancel()
        third = rig.write()
        assert third.state == State.QUEUED
        for request in (live, second, third):
            (await rig.peers[0].next_request()).reply_void()
            await request
        await rig.check_quiet()


async def test_cancelled_live_request_frees_its_place_with_the_response() -> None:
    async with crowded() as rig:
        live = rig.write()
        asked = await rig.peers[0].next_request()
        live.cancel()
        queued = rig.write()
        assert queued.state == State.QUEUED
        asked.reply_void()
        (await rig.peers[0].next_request()).reply_void()
        await queued


async def test_abandoned_executor_fails_what_waits() -> None:
    async with crowded(2) as rig:
        over = exceptions.ConnectionError("over")
        backing_off = rig.read()
        for peer in rig.peers:
            (await peer.next_request()).reply_error(ErrorCode.OVERLOADED)
        await until(lambda: backing_off.state == State.PAUSED)
        live = [rig.read(timeout=inf) for _ in range(2)]
        queued = rig.write()
        rig.executor.fail_waiting(over)
        for request in (backing_off, queued):
            with pytest.raises(exceptions.ConnectionError, match="over"):
                request.result()
        for index, peer in enumerate(rig.peers):
            await peer.next_request()
            rig.connection(index).abort(ConnectionLost("the session closes"))
        for request in live:
            with pytest.raises(exceptions.ConnectionError, match="closed"):
                await request
        assert rig.executor.running == 0
        with pytest.raises(exceptions.ConnectionError, match="closed"):
            rig.read()


async def test_request_pinned_to_a_dead_node_holds_up_nobody() -> None:
    async with crowded(2, max_queued=500, max_in_flight=2) as rig:
        rig.peers[0].refuse()
        rig.peers[0].drop_connections()
        await until(lambda: not rig.pools[0].connections)
        stuck = [rig.read(pinned=[rig.pools[0]]) for _ in range(200)]
        assert {request.state for request in stuck} == {State.QUEUED}
        healthy = [rig.read(pinned=[rig.pools[1]]) for _ in range(5)]
        healthy += [rig.read() for _ in range(5)]
        for _ in healthy:
            (await rig.peers[1].next_request()).reply_rows(INT_ROW, [(1,)])
        await asyncio.gather(*healthy)
        for request in stuck:
            request.cancel()


async def test_many_free_places_are_taken_over_several_turns() -> None:
    async with crowded(max_queued=300, max_in_flight=300) as rig:
        rig.connection().pause_writing()
        requests = [rig.write() for _ in range(300)]
        assert rig.executor.queued == 300
        rig.connection().resume_writing()
        assert rig.executor.queued == 300 - 256
        await asyncio.sleep(0)
        assert rig.executor.queued == 0
        for _ in requests:
            (await rig.peers[0].next_request()).reply_void()
        await asyncio.gather(*requests)
        await rig.check_quiet()


async def test_policy_of_the_applications_own_is_not_asked_while_there_is_no_place() -> None:
    async with crowded(max_queued=1000) as rig:
        asked = 0

        class Counting(InOrder):
            def make_query_plan(self, *args: Any, **options: Any) -> list[Any]:
                nonlocal asked
                asked += 1
                return super().make_query_plan()

        policy = Counting(rig.policy.hosts)
        requests = [rig.write(policy=policy) for _ in range(50)]
        for _ in requests:
            (await rig.peers[0].next_request()).reply_void()
        await asyncio.gather(*requests)
        # Once when it starts, once when its turn comes.
        assert asked <= 2 * len(requests)


async def test_queue_moves_when_the_node_comes_back() -> None:
    async with crowded() as rig:
        rig.peers[0].refuse()
        rig.peers[0].drop_connections()
        await until(lambda: not rig.pools[0].connections)
        request = rig.write()
        assert request.state == State.QUEUED
        await until(lambda: rig.unreachable)
        await rig.peers[0].listen()
        rig.pools[0].wake()
        (await rig.peers[0].next_request()).reply_rows(INT_ROW, [(5,)])
        await request
        assert values(request) == [5]
        assert rig.reachable == [rig.pools[0]]


async def test_paused_transport_queues_until_it_resumes() -> None:
    async with crowded(max_in_flight=100) as rig:
        connection = rig.connection()
        connection.pause_writing()
        request = rig.write()
        assert request.state == State.QUEUED
        connection.resume_writing()
        assert request.state == State.WAITING
        (await rig.peers[0].next_request()).reply_void()
        await request


async def test_stalled_peer_pauses_and_goes_on() -> None:
    async with crowded(max_in_flight=100, max_queued=100) as rig:
        peer = rig.peers[0].connections[0]
        peer.stall()
        text = f"SELECT v FROM t WHERE k = '{'x' * 500_000}'"
        requests = [rig.query(text) for _ in range(20)]
        for request in requests:
            request.start()
        await until(lambda: rig.connection().paused)
        requests.append(rig.write())
        assert requests[-1].state == State.QUEUED
        peer.resume()
        for _ in requests:
            (await rig.peers[0].next_request()).reply_void()
        await asyncio.gather(*requests)
        await rig.check_quiet()


async def test_backoff_of_a_retry_is_a_pause_that_cancellation_ends() -> None:
    class Again(RetryPolicy):
        def on_request_error(self, *args: Any, **facts: Any) -> Any:
            return self.RETRY, None

    async with crowded() as rig:
        request = rig.read(retry_policy=Again())
        (await rig.peers[0].next_request()).reply_error(ErrorCode.OVERLOADED)
        await until(lambda: request.state == State.PAUSED)
        request.cancel()
        rig.advance(10.0)
        await rig.check_quiet()
        assert rig.peers[0].waiting_requests == 0
