"""A network to one of three nodes that cuts, swallows, delays and spoils."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from async_cassandra import AsyncCassandraSession, AsyncCluster
from async_cassandra._net.pool import NodePool
from async_cassandra._net.protocol import ConnectionProtocol
from async_cassandra._wire.errors import ProtocolError
from async_cassandra.server import CassandraServer
from tests.faults.conftest import Report
from tests.faults.load import Kind, Load
from tests.support.cutting_proxy import CuttingProxy
from tests.support.proxied import ThroughProxies
from tests.support.servers import cluster_options

pytestmark = [pytest.mark.anyio, pytest.mark.promise(3), pytest.mark.timeout(90)]

SECONDS = [
    pytest.param(1.0, id="short"),
    pytest.param(60.0, id="long", marks=[pytest.mark.long_faults, pytest.mark.timeout(300)]),
]
BIG = b"\x00" * 65536
REQUESTS = 1000


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
        "endpoint_factory": ThroughProxies([proxy]),
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
    proxy.to_client.latency = proxy.to_server.latency = 0.2


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


FLIPS = [
    pytest.param(15, id="short"),
    pytest.param(100, id="long", marks=[pytest.mark.long_faults, pytest.mark.timeout(300)]),
]


@pytest.mark.parametrize("flips", FLIPS)
@pytest.mark.parametrize("way", ["requests", "responses"])
async def test_every_flipped_bit_is_caught(
    session: AsyncCassandraSession,
    keyspace: str,
    load: Load,
    proxy: CuttingProxy,
    report: Report,
    way: str,
    flips: int,
) -> None:
    """The load compares every value that it reads, then and there and at the end."""
    seed = random.randrange(2**32)
    places = random.Random(seed)
    pool = session._core.nodes.pinned(f"{proxy.host}:{proxy.port}")[0]
    lane = proxy.to_server if way == "requests" else proxy.to_client
    errors: list[object] = []

    async def flip_again_and_again() -> None:
        for _ in range(flips):
            connection = await connected(pool)
            lane.flip_bit(places.randrange(600), places.randrange(8))
            errors.append(await end_of(connection))
            assert lane.is_whole

    tally = await load.run(1.0, disturb=flip_again_and_again)
    caught = [error for error in errors if isinstance(error, ProtocolError)]
    report(
        f"seed {seed}: {flips} bits flipped, {len(errors)} connections closed for it, {len(caught)} "
        f"by the client; {tally}; {await load.check(tally, keyspace)}"
    )
    assert len(errors) == flips
    if way == "responses":
        assert caught == errors
        assert pool.protocol_errors == flips
    assert tally.idempotent_failures == []


async def soon(condition: Callable[[], object]) -> None:
    """Wait until ``condition()`` holds, ten seconds at most."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  a pool tells the executor alone
            await asyncio.sleep(0.001)


async def end_of(connection: ConnectionProtocol) -> object:
    """Why the connection is closed, once it is."""
    await soon(lambda: connection.closed)
    assert connection.error is not None
    return connection.error.__cause__


async def connected(pool: NodePool) -> ConnectionProtocol:
    """The pool's connection, once it has one."""
    await soon(lambda: pool.connections)
    (connection,) = pool.connections
    assert isinstance(connection, ConnectionProtocol)
    return connection


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(3.0, id="short"),
        pytest.param(60.0, id="long", marks=[pytest.mark.long_faults, pytest.mark.timeout(300)]),
    ],
)
async def test_list_append_through_cut_connections_is_never_applied_twice(
    proxies: list[CuttingProxy],
    proxied_options: dict[str, Any],
    keyspace: str,
    report: Report,
    seconds: float,
) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    cuts = 0

    async def cut_again_and_again() -> None:
        nonlocal cuts
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            proxy = chance.choice(proxies)
            lane = chance.choice([proxy.to_server, proxy.to_client])
            if chance.random() < 0.5:
                proxy.reset()
            else:
                lane.truncate_after = chance.randrange(400)
            cuts += 1
            await asyncio.sleep(0.02)
            lane.heal()
        for proxy in proxies:
            proxy.heal()

    async with AsyncCluster(**proxied_options) as cluster, cluster.connect() as session:
        load = await Load.prepare(session, keyspace)
        tally = await load.run(seconds, kinds=(Kind.APPEND,), disturb=cut_again_and_again)
        checked = await load.check(tally, keyspace)
    report(f"seed {seed}: {cuts} cuts; {tally}; {checked}")
    assert tally.succeeded(Kind.APPEND)
    assert tally.failures


async def read_with_payload(session: AsyncCassandraSession, where: str) -> None:
    """Send a big request that costs the server next to nothing."""
    await session.execute(
        "SELECT key FROM system.local WHERE key = 'local'",
        custom_payload={"ignored": BIG},
        host=where,
        timeout=30.0,
    )


async def test_reader_that_stops_makes_senders_wait(
    session: AsyncCassandraSession, proxy: CuttingProxy, report: Report
) -> None:
    where = f"{proxy.host}:{proxy.port}"
    connection = await connected(session._core.nodes.pinned(where)[0])
    assert connection.transport is not None
    proxy.to_server.bytes_per_second = 0
    sending = [asyncio.ensure_future(read_with_payload(session, where)) for _ in range(REQUESTS)]
    buffered = waiting = 0
    for _ in range(50):
        await asyncio.sleep(0.02)
        buffered = max(buffered, connection.transport.get_write_buffer_size())
        waiting = max(waiting, session._core.executor.queued)
    proxy.heal()
    await asyncio.gather(*sending)
    report(
        f"{REQUESTS * len(BIG) / 2**20:.0f} MiB to be sent: {buffered / 2**20:.1f} MiB buffered, "
        f"{waiting} of {REQUESTS} requests waited"
    )
    assert connection.max_in_flight > REQUESTS
    assert buffered < 3 * 2**20
    assert waiting > REQUESTS * 0.9


async def test_memory_stays_flat_behind_a_slow_reader(
    session: AsyncCassandraSession, proxy: CuttingProxy, report: Report
) -> None:
    where = f"{proxy.host}:{proxy.port}"
    loop = asyncio.get_running_loop()
    end = loop.time() + 6.0
    sent = 0

    async def send_on() -> None:
        nonlocal sent
        while loop.time() < end:
            await read_with_payload(session, where)
            sent += 1

    proxy.to_server.bytes_per_second = 8 * 2**20
    async with asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(send_on())
        await asyncio.sleep(2.0)
        early = resident_bytes()
        most = 0
        while loop.time() < end:
            await asyncio.sleep(0.05)
            most = max(most, resident_bytes())
    report(
        f"{sent * len(BIG) / 2**20:.0f} MiB sent in 6 s; after the first 2 s memory grew by "
        f"{(most - early) / 2**20:.1f} MiB"
    )
    assert most - early < 8 * 2**20


def resident_bytes() -> int:
    """Memory of this process: it runs the proxy and the test too."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
