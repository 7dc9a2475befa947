"""Where requests go, on three nodes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from cassandra.cluster import EXEC_PROFILE_DEFAULT, ExecutionProfile
from cassandra.policies import (
    ConstantSpeculativeExecutionPolicy,
    DCAwareRoundRobinPolicy,
    LoadBalancingPolicy,
    RoundRobinPolicy,
    TokenAwarePolicy,
)
from cassandra.query import SimpleStatement

from async_cassandra import AsyncCassandraSession, AsyncCluster, AsyncResultSet, StreamConfig
from async_cassandra.server import CassandraServer
from async_cassandra.statements import BatchStatement
from tests.integration.conftest import Backend
from tests.support.request_rig import until
from tests.support.servers import cluster_options

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(60)]

NODES = 3
KEYS = 600
KEYSPACE = "routed"


@pytest.fixture(scope="module")
def anyio_backend() -> Backend:
    """One loop: three nodes take long to start, and it is not the loop that chooses among them."""
    return "asyncio", {"debug": True}


@pytest.fixture(scope="module")
async def routed(
    anyio_backend: Backend, three_nodes: CassandraServer
) -> AsyncIterator[AsyncCassandraSession]:
    """A session in a keyspace with one replica of each row."""
    cluster = AsyncCluster(**cluster_options(three_nodes))
    async with cluster, cluster.connect() as session:
        await session.execute(
            f"CREATE KEYSPACE {KEYSPACE} WITH replication = "
            "{'class': 'NetworkTopologyStrategy', 'replication_factor': 1}"
        )
        await session.set_keyspace(KEYSPACE)
        await session.execute("CREATE TABLE t (a int, b text, v int, PRIMARY KEY ((a, b)))")
        await session.execute("CREATE TABLE one (id int PRIMARY KEY, v int)")
        insert = await session.prepare("INSERT INTO t (a, b, v) VALUES (?, ?, ?)")
        await asyncio.gather(
            *(session.execute(insert, (key, f"k{key}", key)) for key in range(KEYS))
        )
        yield session


def replica_of(session: AsyncCassandraSession, routing_key: bytes) -> set[str]:
    metadata: Any = session.cluster.metadata
    return {
        f"{host.endpoint.address}:{host.endpoint.port}"
        for host in metadata.get_replicas(KEYSPACE, routing_key)
    }


async def share_on_replica(
    session: AsyncCassandraSession,
    request: Callable[[int], Any],
    routing_key: Callable[[int], bytes],
) -> float:
    """Which part of the requests was coordinated by a replica of its row."""
    # connect() returns with the first connection; a replica without one is passed over.
    nodes = session._core.nodes
    await until(lambda: sum(bool(pool.connections) for pool in nodes.pools.values()) == NODES, 30)
    # Nodes learn statements in the background, and one that is slow to answer is asked last.
    await until(lambda: not any(c.in_flight for c in nodes.connections()))
    results: list[AsyncResultSet] = await asyncio.gather(*(request(key) for key in range(KEYS)))
    hits = sum(
        result.coordinator in replica_of(session, routing_key(key))
        for key, result in enumerate(results)
    )
    return hits / KEYS


async def test_prepared_reads_and_writes_go_to_a_replica(routed: AsyncCassandraSession) -> None:
    select = await routed.prepare("SELECT v FROM t WHERE a = ? AND b = ?")
    insert = await routed.prepare("INSERT INTO t (v, b, a) VALUES (?, ?, ?)")

    def routing_key(key: int) -> bytes:
        found: bytes | None = select.bind((key, f"k{key}")).routing_key
        assert found is not None
        return found

    async def read(key: int) -> AsyncResultSet:
        result = await routed.execute(select, (key, f"k{key}"))
        assert result.one().v == key
        return result

    for request in (
        read,
        lambda key: routed.execute(select.bind((key, f"k{key}"))),
        lambda key: routed.execute(insert, (key, f"k{key}", key)),
        lambda key: routed.execute("SELECT v FROM t WHERE a = ? AND b = ?", (key, f"k{key}")),
    ):
        assert await share_on_replica(routed, request, routing_key) >= 0.99


async def test_token_is_as_drivers(routed: AsyncCassandraSession) -> None:
    select = await routed.prepare("SELECT v FROM t WHERE a = ? AND b = ?")
    stored = {row.a: row[1] for row in await routed.execute("SELECT a, token(a, b) FROM t")}
    for key in range(KEYS):
        assert select.bind((key, f"k{key}")).bound.token == stored[key]


async def test_single_key_goes_to_a_replica(routed: AsyncCassandraSession) -> None:
    select = await routed.prepare("SELECT v FROM one WHERE id = ?")
    share = await share_on_replica(
        routed, lambda key: routed.execute(select, (key,)), lambda key: key.to_bytes(4)
    )
    assert share >= 0.99


async def test_routing_key_of_simple_statement_is_followed(routed: AsyncCassandraSession) -> None:
    def request(key: int) -> Any:
        statement = SimpleStatement(
            f"SELECT v FROM one WHERE id = {key}", routing_key=key.to_bytes(4), keyspace=KEYSPACE
        )
        return routed.execute(statement)

    assert await share_on_replica(routed, request, lambda key: key.to_bytes(4)) >= 0.99


async def test_batch_goes_to_a_replica_of_its_first_statement(
    routed: AsyncCassandraSession,
) -> None:
    insert = await routed.prepare(f"INSERT INTO {KEYSPACE}.one (id, v) VALUES (?, ?)")

    def request(key: int) -> Any:
        batch = BatchStatement()
        batch.add(insert, (key, 1))
        batch.add("INSERT INTO one (id, v) VALUES (5000, 5000)")
        return routed.execute(batch)

    assert await share_on_replica(routed, request, lambda key: key.to_bytes(4)) >= 0.99


async def test_stream_stays_on_its_partitions_replica(routed: AsyncCassandraSession) -> None:
    select = await routed.prepare("SELECT v FROM one WHERE id = ?")
    for key in range(20):
        result = await routed.execute(select, (key,), paging_state=b"")
        assert result.coordinator in replica_of(routed, key.to_bytes(4))


async def test_requests_without_token_take_turns(routed: AsyncCassandraSession) -> None:
    results = await asyncio.gather(
        *(routed.execute("SELECT * FROM system.local") for _ in range(90))
    )
    shares = Counter(result.coordinator for result in results)
    assert len(shares) == 3
    assert min(shares.values()) >= 20


async def test_host_is_the_only_one_asked(routed: AsyncCassandraSession) -> None:
    metadata: Any = routed.cluster.metadata
    for host in metadata.all_hosts():
        address = f"{host.endpoint.address}:{host.endpoint.port}"
        for given in (host, host.endpoint.address, address):
            for _ in range(5):
                result = await routed.execute("SELECT host_id FROM system.local", host=given)
                assert result.coordinator == address
                assert result.one().host_id == host.host_id
        stream = await routed.execute_stream("SELECT host_id FROM system.local", host=host)
        assert [row.host_id async for row in stream] == [host.host_id]


@pytest.mark.parametrize(
    "policy",
    [
        RoundRobinPolicy(),
        DCAwareRoundRobinPolicy(local_dc="datacenter1"),
        TokenAwarePolicy(DCAwareRoundRobinPolicy(local_dc="datacenter1")),
        TokenAwarePolicy(RoundRobinPolicy()),
    ],
    ids=lambda policy: type(policy).__name__,
)
async def test_policy_of_profile_chooses(
    three_nodes: CassandraServer, routed: AsyncCassandraSession, policy: LoadBalancingPolicy
) -> None:
    profiles = {EXEC_PROFILE_DEFAULT: ExecutionProfile(load_balancing_policy=policy)}
    cluster = AsyncCluster(**cluster_options(three_nodes), execution_profiles=profiles)
    async with cluster, cluster.connect(KEYSPACE) as session:
        select = await session.prepare("SELECT v FROM one WHERE id = ?")
        control = session._core.control
        control.router.want_keyspace(KEYSPACE)
        await control.run(control.router.rebuild)
        share = await share_on_replica(
            session, lambda key: session.execute(select, (key,)), lambda key: key.to_bytes(4)
        )
        if isinstance(policy, TokenAwarePolicy):
            assert share >= 0.99
        else:
            assert 0.2 < share < 0.5


async def test_speculative_policy_asks_other_nodes_for_every_page(
    three_nodes: CassandraServer, routed: AsyncCassandraSession
) -> None:
    profile = ExecutionProfile(
        speculative_execution_policy=ConstantSpeculativeExecutionPolicy(0.0, 2)
    )
    options: dict[str, Any] = {"execution_profiles": {EXEC_PROFILE_DEFAULT: profile}}
    cluster = AsyncCluster(**cluster_options(three_nodes), **options)
    async with cluster, cluster.connect(KEYSPACE) as session:
        stream = await session.execute_stream(
            "SELECT a FROM t", stream_config=StreamConfig(fetch_size=20)
        )
        assert sorted([row.a async for row in stream]) == list(range(KEYS))
        assert session._core.executor.hedges >= KEYS // 20 / 2


async def test_session_connects_to_every_node(
    three_nodes: CassandraServer, routed: AsyncCassandraSession
) -> None:
    text = repr(routed)
    for node in three_nodes.nodes:
        assert f"{node.address}:{node.port}" in text
