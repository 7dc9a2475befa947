"""A network to one of three nodes that cuts, swallows, delays and spoils."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from cassandra.connection import DefaultEndPoint, DefaultEndPointFactory

from async_cassandra import AsyncCassandraSession, AsyncCluster
from async_cassandra.server import CassandraServer
from tests.faults.conftest import Report
from tests.faults.load import Load
from tests.support.cutting_proxy import CuttingProxy
from tests.support.servers import cluster_options

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]

SECONDS = [
    pytest.param(1.0, id="short"),
    pytest.param(60.0, id="long", marks=[pytest.mark.long_faults, pytest.mark.timeout(300)]),
]
BIG = b"\x00" * 65536


class ThroughProxy(DefaultEndPointFactory):  # type: ignore[misc]
    """Names the proxy wherever the cluster names the node behind it."""

    def __init__(self, proxy: CuttingProxy) -> None:
        super().__init__()
        self._proxy = proxy

    def create(self, row: dict[str, Any]) -> DefaultEndPoint:
        endpoint = super().create(row)
        if (endpoint.address, endpoint.port) == (self._proxy.target_host, self._proxy.target_port):
            return DefaultEndPoint(self._proxy.host, self._proxy.port)
        return endpoint


@pytest.fixture
async def proxy(nodes: CassandraServer) -> AsyncIterator[CuttingProxy]:
    """A proxy before the third node."""
    async with CuttingProxy(nodes.nodes[2].address, nodes.nodes[2].port) as before:
        yield before


@pytest.fixture
async def session(
    nodes: CassandraServer, proxy: CuttingProxy
) -> AsyncIterator[AsyncCassandraSession]:
    """A session that reaches the third node through the proxy."""
    options = cluster_options(nodes) | {
        "contact_points": [nodes.nodes[0].address],
        "endpoint_factory": ThroughProxy(proxy),
    }
    async with AsyncCluster(**options) as cluster, cluster.connect() as connected:
        await proxy.wait_for_links(1)
        yield connected


def reset(proxy: CuttingProxy) -> None:
    proxy.reset()


def half_open(proxy: CuttingProxy) -> None:
    proxy.half_open()


def swallow_requests(proxy: CuttingProxy) -> None:
    proxy.to_server.black_hole = True


def swallow_responses(proxy: CuttingProxy) -> None:
    proxy.to_client.black_hole = True


def one_byte_at_a_time(proxy: CuttingProxy) -> None:
    proxy.to_client.one_byte_at_a_time = proxy.to_server.one_byte_at_a_time = True


def delay(proxy: CuttingProxy) -> None:
    proxy.to_client.latency = proxy.to_server.latency = 0.1


def flip_in_requests(proxy: CuttingProxy) -> None:
    proxy.to_server.flip_bit(40)


def flip_in_responses(proxy: CuttingProxy) -> None:
    proxy.to_client.flip_bit(40)


def truncate_requests(proxy: CuttingProxy) -> None:
    proxy.to_server.truncate_after = 30


def truncate_responses(proxy: CuttingProxy) -> None:
    proxy.to_client.truncate_after = 30


# What breaks a connection is done again and again, as new connections come; the rest lasts.
FAULTS = [
    reset,
    half_open,
    swallow_requests,
    swallow_responses,
    one_byte_at_a_time,
    delay,
    flip_in_requests,
    flip_in_responses,
    truncate_requests,
    truncate_responses,
]
REPEATED = {
    reset,
    half_open,
    flip_in_requests,
    flip_in_responses,
    truncate_requests,
    truncate_responses,
}


@pytest.mark.parametrize("seconds", SECONDS)
@pytest.mark.parametrize("spoil", FAULTS, ids=lambda fault: fault.__name__)
async def test_fault_loses_and_repeats_nothing(
    session: AsyncCassandraSession,
    keyspace: str,
    load: Load,
    proxy: CuttingProxy,
    report: Report,
    spoil: Callable[[CuttingProxy], None],
    seconds: float,
) -> None:
    done = 0

    async def spoil_and_heal() -> None:
        nonlocal done
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while (left := end - loop.time()) > 0:
            spoil(proxy)
            done += 1
            await asyncio.sleep(min(left, 0.25) if spoil in REPEATED else left)
        proxy.heal()

    tally = await load.run(seconds + 0.5, disturb=spoil_and_heal)
    report(f"{done} times; {tally}; {await load.check(tally, keyspace)}")
    assert tally.idempotent_failures == []
    where = f"{proxy.host}:{proxy.port}"
    await session.execute("SELECT key FROM system.local", host=where, timeout=15.0)


async def test_slow_reader_bounds_what_is_buffered(
    session: AsyncCassandraSession, keyspace: str, proxy: CuttingProxy, report: Report
) -> None:
    await session.execute(
        f"CREATE TABLE IF NOT EXISTS {keyspace}.big (id int PRIMARY KEY, value blob)"
    )
    write = await session.prepare(f"INSERT INTO {keyspace}.big (id, value) VALUES (?, ?)")
    write.is_idempotent = True
    where = f"{proxy.host}:{proxy.port}"
    (connection,) = session._core.nodes.pinned(where)[0].connections
    assert connection.transport is not None
    proxy.to_server.bytes_per_second = 0
    writing = [
        asyncio.ensure_future(session.execute(write, (key, BIG), host=where, timeout=15.0))
        for key in range(1000)
    ]
    buffered = 0
    for _ in range(20):
        await asyncio.sleep(0.01)
        buffered = max(buffered, connection.transport.get_write_buffer_size())
    proxy.heal()
    await asyncio.gather(*writing)
    report(f"{buffered / 1024:.0f} KiB buffered at most, 64,000 KiB to be written")
    assert connection.max_in_flight > 1000
    assert buffered < 8 * 1024 * 1024
