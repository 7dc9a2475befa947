"""A cluster, a session and tables on the real server; the plain driver as oracle."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from async_cassandra import AsyncCassandraSession, AsyncCluster
from async_cassandra.server import RunningServer
from tests.support.servers import cluster_options, secure_server, three_nodes

__all__ = ["secure_server", "three_nodes"]

type NewTable = Callable[[str], Awaitable[str]]
type Backend = tuple[str, dict[str, bool]]

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def settings(cassandra_server: RunningServer) -> dict[str, Any]:
    """The arguments by which a cluster reaches the server of the test run."""
    return cluster_options(cassandra_server)


@pytest.fixture(scope="module")
async def cluster(anyio_backend: Backend, settings: dict[str, Any]) -> AsyncIterator[AsyncCluster]:
    """A cluster that the tests of a module share, on one loop."""
    async with AsyncCluster(**settings) as shared:
        yield shared


@pytest.fixture(scope="module")
async def session(
    cluster: AsyncCluster, cassandra_keyspace: str
) -> AsyncIterator[AsyncCassandraSession]:
    """A session in the module's keyspace."""
    async with cluster.connect(cassandra_keyspace) as shared:
        yield shared


@pytest.fixture(scope="module")
def new_table(session: AsyncCassandraSession, cassandra_keyspace: str) -> NewTable:
    """Create a table from its columns; gives its qualified name."""

    async def create(columns: str) -> str:
        name = f"{cassandra_keyspace}.t{next(_numbers)}"
        await session.execute(f"CREATE TABLE {name} ({columns})")
        return name

    return create


@pytest.fixture(scope="module")
def plain_session(settings: dict[str, Any], cassandra_keyspace: str) -> Iterator[Any]:
    """A session of the plain driver, with its own threads: the oracle, and the other client."""
    from cassandra.cluster import Cluster

    plain = Cluster(**settings, protocol_version=5)
    try:
        yield plain.connect(cassandra_keyspace)
    finally:
        plain.shutdown()
