"""Speculation by the percentile of what the executor saw requests take."""

from __future__ import annotations

from typing import Any

import pytest

from async_cassandra import PercentileSpeculativeExecutionPolicy
from tests.support.request_rig import INT_ROW, RequestRig, nodes, values

pytestmark = pytest.mark.anyio

USUAL = 0.02


def policy(**settings: Any) -> PercentileSpeculativeExecutionPolicy:
    return PercentileSpeculativeExecutionPolicy(95.0, **({"min_samples": 5} | settings))


async def take(rig: RequestRig, speculation: Any, seconds: float) -> None:
    """Run a read that the first node answers after ``seconds``."""
    request = rig.read(speculation=speculation)
    asked = await rig.peers[0].next_request()
    rig.advance(seconds)
    asked.reply_rows(INT_ROW, [(1,)])
    await request


async def test_request_slower_than_most_asks_another_node() -> None:
    speculation = policy()
    async with nodes(2) as rig:
        for _ in range(5):
            await take(rig, speculation, USUAL)
        assert speculation.delay() == pytest.approx(USUAL, rel=1 / 32)
        request = rig.read(speculation=speculation)
        late = await rig.peers[0].next_request()
        rig.advance(USUAL * 0.9)
        assert rig.executor.hedges == 0
        rig.advance(USUAL * 0.2)
        (await rig.peers[1].next_request()).reply_rows(INT_ROW, [(2,)])
        await request
        assert values(request) == [2]
        assert (rig.executor.hedges, rig.executor.superseded) == (1, 1)
        await rig.check_quiet(late)


async def test_nothing_is_speculated_before_there_are_samples() -> None:
    speculation = policy()
    async with nodes(2) as rig:
        for _ in range(4):
            await take(rig, speculation, USUAL)
        assert speculation.delay() is None
        await take(rig, speculation, 50 * USUAL)
        assert rig.executor.hedges == 0
        assert speculation.delay() is not None


@pytest.mark.parametrize("per_host", [False, True])
async def test_delay_neither_climbs_nor_sinks_while_a_node_hangs(per_host: bool) -> None:
    speculation = policy(per_host=per_host)
    async with nodes(2) as rig:
        for _ in range(5):
            await take(rig, speculation, USUAL)
        slow, quick = (pool.host for pool in rig.pools)
        delay = speculation.delay(slow)
        assert delay == pytest.approx(USUAL, rel=1 / 32)
        late = []
        for _ in range(20):
            request = rig.read(speculation=speculation)
            late.append(await rig.peers[0].next_request())
            rig.advance(USUAL * 1.5)
            answer = await rig.peers[1].next_request()
            rig.advance(USUAL * 0.5)
            answer.reply_rows(INT_ROW, [(2,)])
            await request
            rig.advance(0.1)
        assert speculation.delay(slow) == delay
        assert speculation.delay(quick) == (
            pytest.approx(USUAL / 2, rel=1 / 32) if per_host else delay
        )
        await rig.check_quiet(*late)


async def test_superseded_attempt_counts_with_what_it_waited_while_no_delay_is_known() -> None:
    speculation = policy(min_samples=2, warm_up_delay=0.2)
    async with nodes(2) as rig:
        request = rig.read(speculation=speculation)
        late = await rig.peers[0].next_request()
        rig.advance(0.25)
        answer = await rig.peers[1].next_request()
        rig.advance(0.05)
        answer.reply_rows(INT_ROW, [(2,)])
        await request
        assert speculation.delay() == pytest.approx(0.3, rel=1 / 32)
        await rig.check_quiet(late)


async def test_attempt_that_met_the_deadline_counts_too() -> None:
    speculation = policy(min_samples=1)
    async with nodes(2) as rig:
        request = rig.read(speculation=speculation, timeout=0.4)
        asked = [await rig.peers[0].next_request()]
        rig.advance(0.2)
        asked.append(await rig.peers[1].next_request())
        rig.advance(0.3)
        with pytest.raises(TimeoutError):
            await request
        assert speculation.delay() == pytest.approx(0.5, rel=1 / 32)
        await rig.check_quiet(*asked)


async def test_requests_that_must_not_be_repeated_teach_nothing() -> None:
    speculation = policy(min_samples=1)
    async with nodes(2) as rig:
        request = rig.write(speculation=speculation)
        asked = await rig.peers[0].next_request()
        rig.advance(USUAL)
        asked.reply_void()
        await request
        assert speculation.delay() is None
