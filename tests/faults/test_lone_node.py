"""The only node that a client uses, and the life of clusters around it."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cassandra.policies import WhiteListRoundRobinPolicy

from async_cassandra import AsyncCassandraSession, AsyncCluster
from async_cassandra.server import CassandraServer
from tests.faults.conftest import Report
from tests.support.servers import cluster_options

pytestmark = [pytest.mark.anyio, pytest.mark.promise(1)]

CYCLES = 100


def only(nodes: CassandraServer, index: int) -> dict[str, Any]:
    """The options of a cluster that knows one node and uses no other."""
    address = nodes.nodes[index].address
    return cluster_options(nodes) | {
        "contact_points": [address],
        "load_balancing_policy": WhiteListRoundRobinPolicy([address]),
    }


@pytest.fixture
async def lone(nodes: CassandraServer) -> AsyncIterator[AsyncCassandraSession]:
    """A session on the third node alone."""
    async with AsyncCluster(**only(nodes, 2)) as cluster, cluster.connect() as session:
        yield session


async def port_opens(address: str, port: int) -> float:
    """Wait until a port accepts connections; gives the loop's time."""
    while True:
        try:
            _, writer = await asyncio.open_connection(address, port)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        writer.close()
        return asyncio.get_running_loop().time()


@pytest.mark.timeout(180)
async def test_requests_wait_for_the_lone_node(
    nodes: CassandraServer, lone: AsyncCassandraSession, report: Report
) -> None:
    loop = asyncio.get_running_loop()
    query = "SELECT key FROM system.local"
    await asyncio.to_thread(nodes.kill, 2)
    waiting = [asyncio.ensure_future(lone.execute(query, timeout=170.0)) for _ in range(100)]
    restarting = asyncio.ensure_future(asyncio.to_thread(nodes.restart, 2))
    opened = await port_opens(nodes.nodes[2].address, nodes.nodes[2].port)
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    waited = loop.time() - opened
    await asyncio.gather(*waiting)
    await restarting
    report(f"first success {waited:.2f} s after the port opened, 100 of 100 requests")
    assert waited < 2.0


def descriptors() -> int:
    return len(os.listdir(Path("/dev/fd")))


@pytest.mark.promise(7)
@pytest.mark.timeout(120)
async def test_connecting_and_closing_leave_nothing(nodes: CassandraServer, report: Report) -> None:
    async def cycle() -> None:
        async with AsyncCluster(**cluster_options(nodes)) as cluster, cluster.connect() as session:
            await session.execute("SELECT key FROM system.local")

    await cycle()
    before = descriptors(), threading.active_count(), len(asyncio.all_tasks())
    for _ in range(CYCLES):
        await cycle()
    after = descriptors(), threading.active_count(), len(asyncio.all_tasks())
    report(f"{CYCLES} cycles: descriptors, threads, tasks {before} before, {after} after")
    assert after <= before
