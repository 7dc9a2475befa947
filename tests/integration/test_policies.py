"""Retry policies, metrics and other parts of an application's own, on a real server."""

from __future__ import annotations

import asyncio
from typing import Any

import cassandra
import pytest
from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, ExecutionProfile
from cassandra.policies import (
    ConstantSpeculativeExecutionPolicy,
    FallthroughRetryPolicy,
    LoadBalancingPolicy,
    RetryPolicy,
    WhiteListRoundRobinPolicy,
)
from cassandra.query import SimpleStatement

from async_cassandra import (
    AsyncCassandraSession,
    AsyncCluster,
    AsyncRetryPolicy,
    ConfigurationError,
    ConnectionError,
    DefaultRetryPolicy,
    InMemoryMetricsCollector,
    MetricsMiddleware,
    QueryError,
    create_metrics_system,
)
from tests.integration.conftest import NewTable

pytestmark = pytest.mark.anyio

QUERY = "SELECT cluster_name FROM system.local"


@pytest.fixture(scope="module")
async def table(session: AsyncCassandraSession, new_table: NewTable) -> str:
    name = await new_table("id int PRIMARY KEY, v text")
    for key in range(5):
        await session.execute(f"INSERT INTO {name} (id, v) VALUES (?, ?)", (key, f"v{key}"))
    return name


def unavailable(table: str, **options: Any) -> SimpleStatement:
    """A statement for which one node is too few."""
    return SimpleStatement(
        f"SELECT v FROM {table} WHERE id = 1", consistency_level=ConsistencyLevel.THREE, **options
    )


class Recording(RetryPolicy):
    """Notes what it is asked, and gives one answer."""

    def __init__(self, *answer: Any) -> None:
        self.answer = answer
        self.questions: list[dict[str, Any]] = []

    def on_unavailable(self, query: Any, *rest: Any, **facts: Any) -> Any:
        self.questions.append({"query": query, **facts})
        return self.answer


async def test_retry_policy_of_cluster_is_asked(settings: dict[str, Any], table: str) -> None:
    policy = Recording(RetryPolicy.RETHROW, None)
    cluster = AsyncCluster(**settings, retry_policy=policy)
    async with cluster, cluster.connect() as session:
        statement = unavailable(table)
        with pytest.raises(cassandra.Unavailable):
            await session.execute(statement)
    assert policy.questions == [
        {
            "query": statement,
            "consistency": ConsistencyLevel.THREE,
            "required_replicas": 3,
            "alive_replicas": 1,
            "retry_num": 0,
        }
    ]


async def test_retry_policy_may_lower_consistency(
    session: AsyncCassandraSession, table: str
) -> None:
    policy = Recording(RetryPolicy.RETRY, ConsistencyLevel.ONE)
    result = await session.execute(unavailable(table, retry_policy=policy))
    assert result.one().v == "v1"
    assert len(policy.questions) == 1


async def test_retry_policy_may_ignore(session: AsyncCassandraSession, table: str) -> None:
    policy = Recording(RetryPolicy.IGNORE, None)
    result = await session.execute(unavailable(table, retry_policy=policy))
    assert result.one() is None
    assert result.all() == []


async def test_retry_policy_counts_retries(session: AsyncCassandraSession, table: str) -> None:
    class Twice(Recording):
        def on_unavailable(self, query: Any, *rest: Any, **facts: Any) -> Any:
            super().on_unavailable(query, **facts)
            return (self.RETRY if facts["retry_num"] < 2 else self.RETHROW), None

    policy = Twice()
    with pytest.raises(cassandra.Unavailable) as failure:
        await session.execute(unavailable(table, retry_policy=policy))
    assert [question["retry_num"] for question in policy.questions] == [0, 1, 2]
    attempts: Any = failure.value
    assert attempts.attempts == 3


async def test_timestamp_is_the_same_in_every_attempt(
    settings: dict[str, Any], new_table: NewTable
) -> None:
    table = await new_table("id int PRIMARY KEY, v text")
    asked: list[int] = []

    def generator() -> int:
        asked.append(1_000_000 + len(asked))
        return asked[-1]

    policy = Recording(RetryPolicy.RETRY, ConsistencyLevel.ONE)
    cluster = AsyncCluster(**settings, timestamp_generator=generator, retry_policy=policy)
    async with cluster, cluster.connect() as session:
        statement = SimpleStatement(
            f"INSERT INTO {table} (id, v) VALUES (1, 'x')",
            consistency_level=ConsistencyLevel.THREE,
        )
        await session.execute(statement)
        row = (await session.execute(f"SELECT WRITETIME(v) FROM {table} WHERE id = 1")).one()
    assert len(policy.questions) == 1
    assert asked == [1_000_000]
    assert row[0] == asked[0]


async def test_retry_policy_that_raises_fails_its_request(
    session: AsyncCassandraSession, table: str
) -> None:
    class Broken(RetryPolicy):
        def on_unavailable(self, *question: Any, **facts: Any) -> Any:
            raise LookupError("from the policy")

    with pytest.raises(LookupError):
        await session.execute(unavailable(table, retry_policy=Broken()))
    assert (await session.execute(QUERY)).one() is not None


@pytest.mark.parametrize(
    "policy", [AsyncRetryPolicy(), AsyncRetryPolicy(max_retries=1), FallthroughRetryPolicy(), None]
)
async def test_retry_policy_ends_with_the_servers_error(
    settings: dict[str, Any], table: str, policy: RetryPolicy | None
) -> None:
    cluster = AsyncCluster(**settings, retry_policy=policy)
    async with cluster, cluster.connect() as session:
        with pytest.raises(cassandra.Unavailable) as failure:
            await session.execute(unavailable(table))
        assert isinstance(failure.value, QueryError)
        assert (await session.execute(QUERY)).one() is not None


async def test_retry_policy_of_profile_is_asked(settings: dict[str, Any], table: str) -> None:
    policy = Recording(RetryPolicy.RETRY, ConsistencyLevel.ONE)
    profiles = {EXEC_PROFILE_DEFAULT: ExecutionProfile(retry_policy=policy)}
    cluster = AsyncCluster(**settings, execution_profiles=profiles)
    async with cluster, cluster.connect() as session:
        assert (await session.execute(unavailable(table))).one().v == "v1"
    assert len(policy.questions) == 1


async def test_load_balancing_policy_of_cluster_is_taken(settings: dict[str, Any]) -> None:
    points = settings["contact_points"]
    cluster = AsyncCluster(**settings, load_balancing_policy=WhiteListRoundRobinPolicy(points))
    async with cluster, cluster.connect() as session:
        assert (await session.execute(QUERY)).one() is not None


async def test_load_balancing_policy_without_hosts_is_told(settings: dict[str, Any]) -> None:
    policy = WhiteListRoundRobinPolicy(["127.0.5.251"])
    cluster = AsyncCluster(**settings, load_balancing_policy=policy)
    with pytest.raises(ConnectionError, match="load balancing policy"):
        await cluster.connect()
    await cluster.shutdown()


class OwnPolicy(LoadBalancingPolicy):
    """Not one of those that the library knows how to read: it is asked each time."""

    def __init__(self) -> None:
        super().__init__()
        self.hosts: set[Any] = set()
        self.asked: list[tuple[str | None, Any]] = []

    def populate(self, cluster: Any, hosts: Any) -> None:
        self.hosts = set(hosts)

    def distance(self, host: Any) -> int:
        return 0

    def make_query_plan(self, working_keyspace: Any = None, query: Any = None) -> Any:
        self.asked.append((working_keyspace, query))
        return list(self.hosts)

    def on_up(self, host: Any) -> None:
        self.hosts.add(host)

    def on_down(self, host: Any) -> None:
        self.hosts.discard(host)

    on_add, on_remove = on_up, on_down


async def test_own_load_balancing_policy_is_asked(settings: dict[str, Any], table: str) -> None:
    policy = OwnPolicy()
    cluster = AsyncCluster(**settings, load_balancing_policy=policy)
    async with cluster, cluster.connect() as session:
        statement = SimpleStatement(QUERY)
        await session.execute(statement)
        assert policy.asked[-1] == (None, statement)
        prepared = await session.prepare(f"SELECT v FROM {table} WHERE id = ?")
        bound: Any = prepared.bind((1,))
        assert (await session.execute(bound)).one().v == "v1"
        assert policy.asked[-1][0] == table.partition(".")[0]
        assert policy.asked[-1][1] is bound


async def test_speculative_policy_harms_nothing(settings: dict[str, Any], table: str) -> None:
    profile = ExecutionProfile(
        speculative_execution_policy=ConstantSpeculativeExecutionPolicy(0.0, 3)
    )
    cluster = AsyncCluster(**settings, execution_profiles={EXEC_PROFILE_DEFAULT: profile})
    async with cluster, cluster.connect() as session:
        select = await session.prepare(f"SELECT v FROM {table} WHERE id = ?")
        results = await asyncio.gather(*(session.execute(select, (1,)) for _ in range(50)))
        assert {result.one().v for result in results} == {"v1"}


@pytest.mark.parametrize(
    ("setting", "policy"),
    [
        ("load_balancing_policy", WhiteListRoundRobinPolicy(["127.0.0.1"])),
        ("retry_policy", RetryPolicy()),
    ],
)
def test_policy_beside_its_profile_is_refused(setting: str, policy: Any) -> None:
    profiles = {EXEC_PROFILE_DEFAULT: ExecutionProfile()}
    options: dict[str, Any] = {setting: policy}
    with pytest.raises(ConfigurationError, match=setting):
        AsyncCluster(execution_profiles=profiles, **options)


async def test_default_retry_policy_is_ours_beside_named_profiles(settings: dict[str, Any]) -> None:
    cluster = AsyncCluster(**settings, execution_profiles={"named": ExecutionProfile()})
    async with cluster, cluster.connect() as session:
        policy = session._core.control.profile().retry_policy
        assert isinstance(policy, DefaultRetryPolicy)


# Metrics


def in_memory() -> tuple[MetricsMiddleware, InMemoryMetricsCollector]:
    collector = InMemoryMetricsCollector()
    return MetricsMiddleware([collector]), collector


@pytest.mark.parametrize("where", ["cluster", "connect"])
async def test_metrics_are_told_of_every_request(
    settings: dict[str, Any], table: str, where: str
) -> None:
    metrics, collector = in_memory()
    cluster = AsyncCluster(**settings, metrics=metrics if where == "cluster" else None)
    connecting = cluster.connect(metrics=metrics) if where == "connect" else cluster.connect()
    async with cluster, connecting as session:
        await session.execute(f"SELECT * FROM {table} WHERE id = ?", (1,))
        await session.execute(await session.prepare(f"SELECT * FROM {table}"))
        stream = await session.execute_stream(f"SELECT * FROM {table}")
        assert len([row async for row in stream]) == 5
        with pytest.raises(cassandra.InvalidRequest):
            await session.execute("SELECT * FROM no_such.table_at_all")
    recorded = list(collector.query_metrics)
    assert [each.success for each in recorded] == [True, True, True, False]
    assert [each.result_size for each in recorded] == [1, 5, 5, 0]
    assert [each.parameters_count for each in recorded] == [1, 0, 0, 0]
    assert all(each.duration > 0 for each in recorded)
    assert recorded[3].error_type is not None
    assert "Invalid" in recorded[3].error_type
    stats = await collector.get_stats()
    assert stats["query_performance"]["total_queries"] == 4
    assert stats["query_performance"]["success_rate"] == 0.75


async def test_metrics_of_batches_and_retries_are_one_each(
    settings: dict[str, Any], table: str
) -> None:
    from async_cassandra.statements import BatchStatement

    metrics, collector = in_memory()
    async with AsyncCluster(**settings, metrics=metrics) as cluster:
        session = await cluster.connect()
        batch = BatchStatement()
        batch.add(f"UPDATE {table} SET v = 'v1' WHERE id = ?", (1,))
        await session.execute_batch(batch)
        policy = Recording(RetryPolicy.RETRY, ConsistencyLevel.ONE)
        await session.execute(unavailable(table, retry_policy=policy))
    assert [each.success for each in collector.query_metrics] == [True, True]


async def test_disabled_metrics_are_not_told(settings: dict[str, Any]) -> None:
    metrics, collector = in_memory()
    async with AsyncCluster(**settings, metrics=metrics) as cluster:
        session = await cluster.connect()
        metrics.disable()
        await session.execute(QUERY)
        metrics.enable()
        await session.execute(QUERY)
    assert len(collector.query_metrics) == 1


async def test_metrics_of_cancelled_request_are_a_failure(settings: dict[str, Any]) -> None:
    metrics, collector = in_memory()
    async with AsyncCluster(**settings, metrics=metrics) as cluster:
        session = await cluster.connect()
        request = asyncio.create_task(session.execute(QUERY))
        await asyncio.sleep(0)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
    assert [each.error_type for each in collector.query_metrics] == ["CancelledError"]


async def test_metrics_system_is_wired(settings: dict[str, Any]) -> None:
    prometheus_client = pytest.importorskip("prometheus_client")
    before = sample(prometheus_client)
    metrics = create_metrics_system("memory", prometheus_enabled=True)
    async with AsyncCluster(**settings, metrics=metrics) as cluster, cluster.connect() as session:
        for _ in range(3):
            await session.execute(QUERY)
    assert sample(prometheus_client) == before + 3


def sample(prometheus_client: Any) -> float:
    value = prometheus_client.REGISTRY.get_sample_value(
        "cassandra_queries_total", {"query_type": "simple", "success": "success"}
    )
    return float(value or 0)
