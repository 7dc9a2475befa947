"""Three nodes that all tests here share; each test finds them whole and may break them."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from cassandra import ConsistencyLevel
from cassandra.query import SimpleStatement

from async_cassandra import AsyncCassandraSession, AsyncCluster
from async_cassandra.exceptions import QueryError
from async_cassandra.server import CassandraServer
from tests.faults.load import TABLES, Load
from tests.support.cutting_proxy import CuttingProxy
from tests.support.figures import Report as Report
from tests.support.proxied import ThroughProxies
from tests.support.servers import cluster_options

REPLICATION = "{'class': 'SimpleStrategy', 'replication_factor': 3}"

UVLOOP = "uvloop"
ASYNCIO = "asyncio-debug"
LOOPS = [
    pytest.param(("asyncio", {"use_uvloop": True}), id=UVLOOP),
    pytest.param(("asyncio", {"debug": True}), id=ASYNCIO),
]

_keyspaces = itertools.count(1)


@pytest.fixture(scope="session", params=LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """The loop of a test; see :func:`pytest_collection_modifyitems`."""
    backend: tuple[str, dict[str, bool]] = request.param
    return backend


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run each test once: on uvloop, the variants of a long one on both loops in turn.

    Whoever names a loop, with ``-k`` or in a test's id, gets the tests on it.
    """
    if any(
        loop in word for loop in (UVLOOP, ASYNCIO) for word in (config.option.keyword, *config.args)
    ):
        return
    variants: defaultdict[str, list[str]] = defaultdict(list)
    chosen = []
    for item in items:
        callspec = getattr(item, "callspec", None)
        if Path(__file__).parent not in item.path.parents or callspec is None:
            chosen.append(item)
            continue
        loop = ASYNCIO if ASYNCIO in callspec.id else UVLOOP
        wanted = UVLOOP
        if item.get_closest_marker("long_faults") is not None:
            seen = variants[item.nodeid.partition("[")[0]]
            variant = callspec.id.replace(loop, "")
            if variant not in seen:
                seen.append(variant)
            wanted = (UVLOOP, ASYNCIO)[seen.index(variant) % 2]
        if loop == wanted:
            chosen.append(item)
    items[:] = chosen


@pytest.fixture(scope="package")
def breakable_nodes() -> Iterator[CassandraServer]:
    """Three nodes that lose nothing they acknowledged, even when they are killed."""
    with CassandraServer(nodes=3, config={"commitlog_sync": "batch"}) as server:
        yield server


@pytest.fixture
async def nodes(
    anyio_backend: Any, breakable_nodes: CassandraServer
) -> AsyncIterator[CassandraServer]:
    """The three nodes, whole at the start and repaired at the end."""
    yield breakable_nodes
    for node in breakable_nodes.nodes:
        if node.state == "paused":
            breakable_nodes.resume(node)
        elif node.state == "stopped":
            await asyncio.to_thread(breakable_nodes.restart, node)
    async with (
        AsyncCluster(**cluster_options(breakable_nodes)) as cluster,
        cluster.connect() as session,
    ):
        await whole(session, breakable_nodes)


@pytest.fixture
async def session(nodes: CassandraServer) -> AsyncIterator[AsyncCassandraSession]:
    """A session with default settings."""
    async with AsyncCluster(**cluster_options(nodes)) as cluster, cluster.connect() as connected:
        yield connected


async def create_tables(session: AsyncCassandraSession, keyspace: str) -> str:
    """Create a keyspace with the load's tables, replicated to each node; gives its name."""
    await session.execute(
        f"CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {REPLICATION}"
    )
    for table in TABLES:
        await session.execute(table.format(keyspace))
    return keyspace


@pytest.fixture
async def keyspace(session: AsyncCassandraSession) -> str:
    """The keyspace of the load's tables; they are there for all tests, as each change takes seconds."""
    return await create_tables(session, "faults")


@pytest.fixture
async def fresh_keyspace(session: AsyncCassandraSession) -> str:
    """A keyspace with tables of whose latencies the servers know nothing."""
    return await create_tables(session, f"faults{next(_keyspaces)}")


@pytest.fixture
async def load(session: AsyncCassandraSession, keyspace: str) -> Load:
    """A load through ``session``."""
    return await Load.prepare(session, keyspace)


@pytest.fixture
async def proxies(nodes: CassandraServer) -> AsyncIterator[list[CuttingProxy]]:
    """A proxy before each node, each on an address of its own."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                CuttingProxy(node.address, node.port, host=f"127.0.9.{index + 1}")
            )
            for index, node in enumerate(nodes.nodes)
        ]


@pytest.fixture
def proxied_options(proxies: list[CuttingProxy]) -> dict[str, Any]:
    """The arguments by which a cluster reaches every node through its proxy only."""
    return {
        "contact_points": [proxies[0].host],
        "port": proxies[0].port,
        "endpoint_factory": ThroughProxies(proxies),
    }


async def whole(session: AsyncCassandraSession, server: CassandraServer) -> None:
    """Wait until each node serves and sees all others alive."""
    # RF 3 and ALL: answered only where the coordinator counts every node alive.
    query = SimpleStatement(
        "SELECT * FROM system_distributed.repair_history LIMIT 1",
        consistency_level=ConsistencyLevel.ALL,
        is_idempotent=True,
    )
    async with asyncio.timeout(60):
        for node in server.nodes:
            while True:
                try:
                    where = f"{node.address}:{node.port}"
                    await session.execute(query, host=where, timeout=5.0)
                    break
                except QueryError:
                    await asyncio.sleep(0.2)
