import asyncio
from collections.abc import AsyncIterator

import pytest

from async_cassandra.cluster import AsyncCluster
from async_cassandra.exceptions import ConnectionError
from async_cassandra.metrics import (
    InMemoryMetricsCollector,
    MetricsMiddleware,
    create_metrics_system,
)
from async_cassandra.monitoring import (
    HOST_STATUS_DOWN,
    HOST_STATUS_UP,
    ClusterMetrics,
    ConnectionMonitor,
    RateLimitedSession,
    create_monitored_session,
)
from async_cassandra.server import RunningServer
from async_cassandra.session import AsyncCassandraSession

pytestmark = pytest.mark.anyio

QUERY = "SELECT release_version FROM system.local"


@pytest.fixture
async def session(cassandra_server: RunningServer) -> AsyncIterator[AsyncCassandraSession]:
    async with (
        AsyncCluster(cassandra_server.contact_points, port=cassandra_server.port) as cluster,
        cluster.connect() as connected,
    ):
        yield connected


async def test_monitor_asks_every_host(session: AsyncCassandraSession) -> None:
    monitor = ConnectionMonitor(session)
    metrics = await monitor.get_cluster_metrics()
    assert metrics.unhealthy_hosts == 0
    assert metrics.healthy_hosts == len(metrics.hosts) == metrics.total_connections
    assert metrics.protocol_version == 5
    assert metrics.app_metrics["requests_completed"] == len(metrics.hosts)
    for host in metrics.hosts:
        assert host.status == HOST_STATUS_UP
        assert host.release_version is not None
        assert host.release_version.startswith("5.")
        assert host.latency_ms is not None
        assert host.latency_ms > 0
        assert host.last_error is None


async def test_metrics_show_a_host_that_is_held_down(cassandra_server: RunningServer) -> None:
    collector = InMemoryMetricsCollector()
    async with (
        AsyncCluster(
            cassandra_server.contact_points,
            port=cassandra_server.port,
            metrics=MetricsMiddleware([collector]),
        ) as cluster,
        cluster.connect() as session,
    ):
        monitor = ConnectionMonitor(session)
        await monitor.get_cluster_metrics()
        assert cluster.metadata is not None
        (host, *_) = cluster.metadata.all_hosts()
        assert collector.connection_metrics[str(host.address)].is_healthy
        host.set_down()
        assert (await monitor.check_host_health(host)).status == HOST_STATUS_DOWN
        assert not collector.connection_metrics[str(host.address)].is_healthy


async def test_monitor_reports_a_host_that_does_not_answer(
    session: AsyncCassandraSession,
) -> None:
    monitor = ConnectionMonitor(session)
    assert session.cluster.metadata is not None
    (host, *_) = session.cluster.metadata.all_hosts()
    await session.close()
    found = await monitor.check_host_health(host)
    assert found.status == "unknown"
    assert found.last_error == "Session is closed"
    assert found.latency_ms is None
    assert monitor.metrics["requests_failed"] == 1


async def test_monitor_summary_counts_hosts_and_connections(
    session: AsyncCassandraSession,
) -> None:
    summary = ConnectionMonitor(session).get_connection_summary()
    assert summary["up_hosts"] == summary["total_hosts"] == summary["total_connections"]
    assert summary["down_hosts"] == 0
    assert summary["protocol_version"] == 5
    assert summary["max_requests_per_connection"] == 32768


async def test_monitoring_calls_back_each_round_until_stopped(
    session: AsyncCassandraSession, caplog: pytest.LogCaptureFixture
) -> None:
    rounds: asyncio.Queue[ClusterMetrics] = asyncio.Queue()
    seen: list[int] = []

    def failing(metrics: ClusterMetrics) -> None:
        seen.append(metrics.healthy_hosts)
        raise RuntimeError("the pager is out of order")

    monitor = ConnectionMonitor(session)
    monitor.add_callback(failing)
    monitor.add_callback(rounds.put)
    await monitor.start_monitoring(interval=0.01)
    await monitor.start_monitoring(interval=0.01)
    first, second = await rounds.get(), await rounds.get()
    await monitor.stop_monitoring()
    assert first.timestamp < second.timestamp
    assert len(seen) >= 2
    assert "the pager is out of order" in caplog.text
    assert monitor.metrics["last_health_check"] is not None
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "cassandra monitor"]


async def test_monitoring_refuses_an_interval_of_zero(session: AsyncCassandraSession) -> None:
    with pytest.raises(ValueError, match="above 0"):
        await ConnectionMonitor(session).start_monitoring(interval=0)


async def test_rate_limited_session_bounds_the_requests_in_flight(
    session: AsyncCassandraSession,
) -> None:
    limited = RateLimitedSession(session, max_concurrent=3)
    requests = [asyncio.ensure_future(limited.execute(QUERY)) for _ in range(20)]
    most = 0
    while not all(request.done() for request in requests):
        most = max(most, limited.get_metrics()["active_requests"])
        await asyncio.wait(requests, return_when=asyncio.FIRST_COMPLETED, timeout=0)
    assert 1 <= most <= 3
    assert limited.get_metrics() == {
        "total_requests": 20,
        "active_requests": 0,
        "rejected_requests": 0,
    }
    assert all(request.result().one() is not None for request in requests)


async def test_rate_limited_session_runs_every_kind_of_request(
    session: AsyncCassandraSession, cassandra_keyspace: str
) -> None:
    from cassandra.query import BatchStatement

    limited = RateLimitedSession(session, max_concurrent=1)
    await limited.execute(
        f"CREATE TABLE IF NOT EXISTS {cassandra_keyspace}.t (k int PRIMARY KEY, v text)"
    )
    insert = await limited.prepare(f"INSERT INTO {cassandra_keyspace}.t (k, v) VALUES (?, ?)")
    batch = BatchStatement()
    batch.add(insert, (1, "a"))
    batch.add(insert, (2, "b"))
    await limited.execute_batch(batch)
    async with await limited.execute_stream(f"SELECT k, v FROM {cassandra_keyspace}.t") as stream:
        assert sorted([tuple(row) async for row in stream]) == [(1, "a"), (2, "b")]
    assert limited.get_metrics()["total_requests"] == 3


async def test_rate_limited_session_gives_a_cancelled_place_to_the_next(
    session: AsyncCassandraSession,
) -> None:
    limited = RateLimitedSession(session, max_concurrent=1)
    first = asyncio.ensure_future(limited.execute(QUERY))
    await asyncio.sleep(0)
    first.cancel()
    assert (await limited.execute(QUERY)).one() is not None
    assert limited.get_metrics()["active_requests"] == 0


@pytest.mark.parametrize("max_concurrent", [None, 5])
async def test_create_monitored_session_closes_the_cluster_it_opened(
    cassandra_server: RunningServer, max_concurrent: int | None
) -> None:
    session, monitor = await create_monitored_session(
        cassandra_server.contact_points,
        keyspace="system",
        max_concurrent=max_concurrent,
        port=cassandra_server.port,
    )
    assert monitor.metrics["requests_completed"] >= 1
    assert (await session.execute("SELECT key FROM local")).one() is not None
    await session.close()
    await session.close()
    assert session.is_closed
    assert monitor.session.cluster.is_closed
    with pytest.raises(ConnectionError, match="Session is closed"):
        await session.execute(QUERY)


async def test_cluster_metrics_record_what_its_sessions_run(
    cassandra_server: RunningServer,
) -> None:
    metrics = create_metrics_system()
    (collector,) = metrics.collectors
    assert isinstance(collector, InMemoryMetricsCollector)
    async with (
        AsyncCluster(
            cassandra_server.contact_points, port=cassandra_server.port, metrics=metrics
        ) as cluster,
        cluster.connect() as session,
    ):
        await session.execute(QUERY)
        prepared = await session.prepare("SELECT key FROM system.local WHERE key = ?")
        await session.execute(prepared, ["local"])
        with pytest.raises(Exception, match="nowhere"):
            await session.execute("SELECT * FROM nowhere.t")
    queries = list(collector.query_metrics)
    assert [query.success for query in queries] == [True, True, False]
    assert [query.parameters_count for query in queries] == [0, 1, 0]
    assert queries[0].result_size == 1
    assert queries[2].error_type == "InvalidRequestError"
    assert all(query.duration > 0 for query in queries)
