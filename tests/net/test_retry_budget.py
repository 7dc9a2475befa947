"""Retries and further attempts within the cluster's budget."""

from typing import Any

import pytest
from cassandra.policies import ConstantSpeculativeExecutionPolicy, RetryPolicy

from async_cassandra import AsyncCluster, exceptions
from async_cassandra._net.errors import ConnectionLost
from async_cassandra._request.budget import Budget
from tests.support.peer_replies import ErrorCode
from tests.support.request_rig import INT_ROW, nodes, until
from tests.support.scripted_peer import ScriptedPeer

pytestmark = [pytest.mark.anyio, pytest.mark.promise(4)]

NOTHING = (0.0, 0.0, 0.0)


class Impatient(RetryPolicy):
    """Asks the same node again, at once and for ever."""

    def on_request_error(self, *args: Any, **facts: Any) -> Any:
        return self.RETRY, None, 0.0


async def test_storm_of_errors_adds_the_budgets_share_of_load_and_no_more() -> None:
    asked = 0

    def refuse(request: Any) -> None:
        nonlocal asked
        asked += 1
        request.reply_error(ErrorCode.OVERLOADED)

    budget = Budget(0.2, 0.5, 0.0)
    async with nodes(1, budget=budget) as rig:
        rig.peers[0].respond_with(refuse)
        requests = [rig.read(retry_policy=Impatient()) for _ in range(500)]
        for request in requests:
            with pytest.raises(exceptions.OverloadedError) as caught:
                await request
            assert "retry_budget" in caught.value.__notes__[0]
        assert asked == 600
        assert (rig.executor.retries, budget.retries.granted) == (100, 100)
        assert budget.retries.refused == 500
        await rig.check_quiet()


async def test_error_beyond_the_budget_is_the_servers_own() -> None:
    async with nodes(2, budget=Budget(*NOTHING)) as rig:
        request = rig.read()
        (await rig.peers[0].next_request()).reply_error(ErrorCode.READ_TIMEOUT, "too slow")
        with pytest.raises(exceptions.QueryError, match="too slow") as caught:
            await request
        assert (caught.value.attempts, rig.executor.retries) == (1, 0)
        await rig.check_quiet()


async def test_first_lost_connection_is_made_good_and_the_second_costs() -> None:
    async with nodes(1, budget=Budget(*NOTHING)) as rig:
        request = rig.read()
        (await rig.peers[0].next_request()).drop()
        (await rig.peers[0].next_request()).drop()
        with pytest.raises(exceptions.ConnectionError) as caught:
            await request
        assert caught.value.attempts == 2
        assert "retry_budget" in caught.value.__notes__[0]
        await until(lambda: rig.pools[0].connections)
        await rig.check_quiet()


async def test_request_that_was_never_sent_costs_nothing() -> None:
    budget = Budget(*NOTHING)
    async with nodes(2, budget=budget) as rig:
        request = rig.write()
        rig.connection(0).abort(ConnectionLost("cut before the flush"))
        (await rig.peers[1].next_request()).reply_void()
        await request
        assert (budget.retries.granted, budget.retries.refused) == (0, 0)


async def test_further_attempt_beyond_the_budget_waits_for_a_token() -> None:
    budget = Budget(0.2, 0.0, 0.3)
    speculation = ConstantSpeculativeExecutionPolicy(0.1, 2)
    async with nodes(2, budget=budget) as rig:
        for _ in range(3):
            spent = rig.read(speculation=speculation)
            first = await rig.peers[0].next_request()
            rig.advance(0.101)
            (await rig.peers[1].next_request()).reply_void()
            await spent
            first.reply_void()
        request = rig.read(speculation=speculation)
        first = await rig.peers[0].next_request()
        rig.advance(0.101)
        await rig.settle()
        assert rig.peers[1].waiting_requests == 0
        assert budget.hedges.refused == 1
        rig.advance(5.0)
        (await rig.peers[1].next_request()).reply_rows(INT_ROW, [(2,)])
        await request
        assert (rig.executor.hedges, budget.hedges.granted) == (4, 4)
        await rig.check_quiet(first)


async def test_sessions_of_a_cluster_share_its_budget() -> None:
    async with ScriptedPeer() as peer, AsyncCluster([peer.host], port=peer.port) as cluster:
        sessions = [await cluster.connect() for _ in range(2)]
        first, second = [session._core.executor.budget for session in sessions]
        assert first is second
        assert first.retries.ratio == 0.2
