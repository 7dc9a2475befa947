"""A node that dies under load, and comes back."""

from __future__ import annotations

import asyncio

import pytest

from async_cassandra import AsyncCassandraSession
from async_cassandra.server import CassandraServer
from tests.faults.conftest import Report, whole
from tests.faults.load import Load

pytestmark = [pytest.mark.anyio, pytest.mark.promise(1)]

LONG = [pytest.mark.long_faults, pytest.mark.timeout(400)]
PHASES = [
    pytest.param(3.0, 0.25, id="short", marks=pytest.mark.timeout(180)),
    *(pytest.param(60.0, 0.1, id=f"long-{run}", marks=LONG) for run in (1, 2, 3)),
]


@pytest.mark.parametrize(("seconds", "period"), PHASES)
async def test_kill_and_restart_fail_no_idempotent_request(
    nodes: CassandraServer,
    session: AsyncCassandraSession,
    keyspace: str,
    report: Report,
    seconds: float,
    period: float,
) -> None:
    load = await Load.prepare(session, keyspace, period=period)

    async def kill_and_restart() -> None:
        await asyncio.sleep(seconds / 3)
        await asyncio.to_thread(nodes.kill, 1)
        await asyncio.sleep(seconds / 3)
        await asyncio.to_thread(nodes.restart, 1)
        await asyncio.sleep(seconds / 3)

    tally = await load.run(seconds, disturb=kill_and_restart)
    await whole(session, nodes)
    report(f"{tally}; {await load.check(tally, keyspace)}")
    assert tally.idempotent_failures == []


@pytest.mark.long_faults
@pytest.mark.timeout(600)
@pytest.mark.parametrize("run", [1, 2, 3])
async def test_rolling_restart_fails_no_idempotent_request(
    nodes: CassandraServer,
    session: AsyncCassandraSession,
    keyspace: str,
    load: Load,
    report: Report,
    run: int,
) -> None:
    async def restart_each() -> None:
        for node in nodes.nodes:
            await asyncio.sleep(5)
            await asyncio.to_thread(nodes.restart, node)
            await whole(session, nodes)
        await asyncio.sleep(5)

    tally = await load.run(60.0, disturb=restart_each)
    report(f"{tally}; {await load.check(tally, keyspace)}")
    assert tally.idempotent_failures == []
