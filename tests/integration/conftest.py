"""A cluster, a session and tables on the real server; the plain driver as oracle."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from cassandra.auth import PlainTextAuthProvider

from async_cassandra import AsyncCassandraSession, AsyncCluster
from async_cassandra.server import RunningServer
from tests.support.servers import secure_server, three_nodes

__all__ = ["secure_server", "three_nodes"]

type NewTable = Callable[[str], Awaitable[str]]
type Backend = tuple[str, dict[str, bool]]

_numbers = itertools.count(1)


def settings_of(server: RunningServer) -> dict[str, Any]:
    """The arguments by which ``AsyncCluster`` and the driver's ``Cluster`` reach a server."""
    settings: dict[str, Any] = {"contact_points": server.contact_points, "port": server.port}
    if server.username is not None and server.password is not None:
        settings["auth_provider"] = PlainTextAuthProvider(server.username, server.password)
    context = server.ssl_context()
    if context is not None:
        settings["ssl_context"] = context
    return settings


@pytest.fixture(scope="session")
def settings(cassandra_server: RunningServer) -> dict[str, Any]:
    """The arguments by which a cluster reaches the server of the test run."""
    return settings_of(cassandra_server)


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
