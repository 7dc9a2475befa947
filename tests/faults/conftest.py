"""Three nodes that all tests here share; each test finds them whole and may break them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from cassandra import ConsistencyLevel
from cassandra.query import SimpleStatement

from async_cassandra import AsyncCassandraSession, AsyncCluster
from async_cassandra.exceptions import QueryError
from async_cassandra.server import CassandraServer
from tests.faults.load import TABLES, Load
from tests.support.servers import cluster_options

REPLICATION = "{'class': 'SimpleStrategy', 'replication_factor': 3}"

type Report = Callable[[str], None]

LOOPS = [
    pytest.param(("asyncio", {"debug": True}), id="asyncio-debug", marks=pytest.mark.long_faults),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
]

_keyspaces = itertools.count(1)
_figures: list[str] = []


@pytest.fixture(scope="session", params=LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Run each test on uvloop, and on asyncio in debug mode where there is time."""
    backend: tuple[str, dict[str, bool]] = request.param
    return backend


@pytest.fixture(scope="session")
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


@pytest.fixture
async def keyspace(session: AsyncCassandraSession, nodes: CassandraServer) -> str:
    """The name of a keyspace with the load's tables, replicated to each node."""
    name = f"faults{next(_keyspaces)}"
    await session.execute(f"CREATE KEYSPACE {name} WITH replication = {REPLICATION}")
    for table in TABLES:
        await session.execute(table.format(name))
    return name


@pytest.fixture
async def load(session: AsyncCassandraSession, keyspace: str) -> Load:
    """A load through ``session``."""
    return await Load.prepare(session, keyspace)


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Show a figure at the end of the run."""
    return lambda figure: _figures.append(f"{request.node.name}: {figure}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _figures:
        terminalreporter.section("figures of the fault tests")
        for figure in _figures:
            terminalreporter.line(figure)


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
