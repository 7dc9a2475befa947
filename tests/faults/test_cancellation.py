"""Requests that nobody waits for any more."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from async_cassandra import AsyncCassandraSession, AsyncCluster, ClientOptions
from async_cassandra._exec.request import Attempt, Request
from async_cassandra.server import CassandraServer
from tests.faults.conftest import Report
from tests.support.servers import cluster_options

pytestmark = [pytest.mark.anyio, pytest.mark.promise(5), pytest.mark.timeout(120)]

CANCELLED = 10_000
AT_ONCE = 500


def left_over() -> int:
    """How many requests and attempts exist in this process."""
    gc.collect()
    return sum(isinstance(thing, Request | Attempt) for thing in gc.get_objects())


async def cancel_many(session: AsyncCassandraSession, query: Any) -> int:
    """Start requests and cancel them before their answers; gives how many were cancelled."""
    cancelled = number = 0
    while cancelled < CANCELLED:
        tasks = []
        for _ in range(AT_ONCE):
            number += 1
            tasks.append(asyncio.ensure_future(session.execute(query, (number,), timeout=30.0)))
        # Two turns: the requests start in the first, their frames leave in the second.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        # A gather() would be kept by the loop for a while, and with it what its tasks raised.
        await asyncio.wait(tasks)
        cancelled += sum(task.cancelled() for task in tasks)
    return cancelled


async def answered(session: AsyncCassandraSession) -> None:
    """Wait until no connection owes a response."""
    async with asyncio.timeout(30):
        while any(connection.in_flight for connection in session._core.nodes.connections()):
            await session.execute("SELECT key FROM system.local")


@pytest.mark.parametrize("max_in_flight", [2048], ids=["in-flight"])
async def test_cancelled_requests_leave_nothing(
    nodes: CassandraServer,
    session: AsyncCassandraSession,
    keyspace: str,
    report: Report,
    max_in_flight: int,
) -> None:
    options = ClientOptions(max_in_flight=max_in_flight)
    small = AsyncCluster(**cluster_options(nodes), client_options=options)
    async with small, small.connect() as bounded:
        query = await bounded.prepare(f"SELECT value FROM {keyspace}.items WHERE id = ?")
        core = bounded._core
        await answered(bounded)
        tasks, objects = asyncio.all_tasks(), left_over()
        cancelled = await cancel_many(bounded, query)
        await answered(bounded)
        assert (core.executor.running, core.executor.queued, len(core.timers)) == (0, 0, 0)
        assert [c.orphans for c in core.nodes.connections() if c.orphans] == []
        # Connections worn by orphaned ids are replaced; the last of them may still be closing.
        if closing := asyncio.all_tasks() - tasks:
            await asyncio.wait(closing, timeout=10)
        assert asyncio.all_tasks() - tasks == set()
        left = left_over() - objects
        report(f"{cancelled} cancelled, {left} requests and attempts left")
        assert left <= 0
        await bounded.execute(query, (1,))
