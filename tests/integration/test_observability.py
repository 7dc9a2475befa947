"""Metrics, traces and the slow-query log of requests on the real server."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client import CollectorRegistry

from async_cassandra import (
    AsyncCassandraSession,
    AsyncCluster,
    BatchStatement,
    ConnectionMonitor,
    InMemoryMetricsCollector,
    MetricsCollector,
    MetricsMiddleware,
    PrometheusMetricsCollector,
    QueryMetrics,
)
from async_cassandra.contrib.opentelemetry import OpenTelemetryObserver
from async_cassandra.exceptions import QueryError
from async_cassandra.observers import SlowQueryLog

pytestmark = pytest.mark.anyio

QUERY = "SELECT key FROM system.local"
PREPARED = "SELECT key FROM system.local WHERE key = ?"


@asynccontextmanager
async def observed(
    settings: dict[str, Any], **options: Any
) -> AsyncIterator[AsyncCassandraSession]:
    async with AsyncCluster(**settings, **options) as cluster, cluster.connect() as session:
        yield session


async def test_prometheus_shows_what_sessions_did_and_do(settings: dict[str, Any]) -> None:
    registry = CollectorRegistry()
    value = registry.get_sample_value
    metrics = MetricsMiddleware([PrometheusMetricsCollector(registry)])
    async with observed(settings, metrics=metrics) as session:
        statement = await session.prepare(PREPARED)
        await asyncio.gather(*(session.execute(statement, ["local"]) for _ in range(20)))
        with pytest.raises(QueryError):
            await session.execute("SELECT * FROM nowhere.t")
        await ConnectionMonitor(session).get_cluster_metrics()
        assert session.cluster.metadata is not None
        (host, *_) = session.cluster.metadata.all_hosts()
        prepared = {"query_type": "prepared", "success": "success"}
        assert value("cassandra_queries_total", prepared) == 20
        assert value("cassandra_query_duration_seconds_count", prepared) == 20
        assert value("cassandra_query_duration_seconds_bucket", {**prepared, "le": "30.0"}) == 20
        assert value("cassandra_errors_total", {"error_type": "InvalidRequestError"}) == 1
        assert value("cassandra_prepares_total") == 1
        assert value("cassandra_rows_total") == 20 + 1
        assert value("cassandra_requests_in_flight") == 0
        assert value("cassandra_requests_queued") == 0
        of_host = {"host": str(host.address)}
        assert value("cassandra_connections", of_host) == 1
        assert value("cassandra_orphaned_stream_ids", of_host) == 0
        assert value("cassandra_node_up", of_host) == 1
        assert value("cassandra_connection_healthy", of_host) == 1
    assert value("cassandra_connections", of_host) is None


async def test_pages_of_one_execute_are_one_query(
    settings: dict[str, Any], cassandra_keyspace: str
) -> None:
    collector = InMemoryMetricsCollector()
    async with observed(settings, metrics=MetricsMiddleware([collector])) as session:
        table = f"{cassandra_keyspace}.paged"
        await session.execute(f"CREATE TABLE IF NOT EXISTS {table} (k int PRIMARY KEY)")
        insert = await session.prepare(f"INSERT INTO {table} (k) VALUES (?)")
        await asyncio.gather(*(session.execute(insert, [k]) for k in range(50)))
        select = await session.prepare(f"SELECT k FROM {table}")
        select.fetch_size = 20
        counted = collector.request_stats
        finished, pages = counted.finished, counted.pages
        assert len(await session.execute(select)) == 50
        assert (counted.finished - finished, counted.pages - pages) == (1, 3)
        stats = session.stats()
    assert collector.query_metrics[-1].result_size == 50
    assert stats.latency_ms is not None
    assert 0 < stats.latency_ms["p50"] <= stats.latency_ms["p99"] <= stats.latency_ms["max"]
    assert "latency: p50" in str(stats)


class Waiting(MetricsCollector):
    """A collector of an application's own that waits for something."""

    def __init__(self) -> None:
        self.queries: asyncio.Queue[QueryMetrics] = asyncio.Queue()

    async def record_query(self, metrics: QueryMetrics) -> None:
        await asyncio.sleep(0)
        await self.queries.put(metrics)


async def test_own_collector_may_wait(settings: dict[str, Any]) -> None:
    collector = Waiting()
    async with observed(settings, metrics=MetricsMiddleware([collector])) as session:
        statement = await session.prepare(PREPARED)
        await session.execute(statement, ["local"])
        found = await collector.queries.get()
    assert (found.success, found.parameters_count, found.result_size) == (True, 1, 1)
    assert found.query_hash.startswith("prepared_")


async def test_stats_say_what_a_session_is_doing(settings: dict[str, Any]) -> None:
    async with observed(settings) as session:
        await session.execute(QUERY)
        stats = session.stats()
    assert (stats.requests, stats.in_flight, stats.queued, stats.latency_ms) == (1, 0, 0, None)
    (node,) = stats.nodes
    assert (node.connections, node.in_flight, node.orphaned) == (1, 0, 0)
    assert f"{node.endpoint} ({node.datacenter}): 1 connections" in str(stats)


async def test_slow_query_log_hides_values(
    settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with observed(settings, observers=[SlowQueryLog(0)]) as session:
        await session.execute("SELECT key FROM system.local WHERE key = 'local'")
        statement = await session.prepare(PREPARED)
        await session.execute(statement, ["local"])
    shown = [record.getMessage() for record in caplog.records if "slow" in record.name]
    assert len(shown) == 3
    assert "SELECT system.local took" in shown[0]
    assert "1 rows in 1 pages, consistency LOCAL_ONE" in shown[0]
    assert shown[0].endswith("SELECT key FROM system.local WHERE key = ?")
    assert not [text for text in shown if "'local'" in text]


async def test_slow_query_log_shows_values_on_request(
    settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    log = SlowQueryLog(0, log_parameters=True, level=logging.INFO)
    async with observed(settings, observers=[log]) as session:
        await session.execute(PREPARED, ["local"])
        with pytest.raises(QueryError):
            await session.execute("SELECT * FROM nowhere.t WHERE k = 'x'")
    shown = [record.getMessage() for record in caplog.records if "slow" in record.name]
    assert shown[1].endswith("WHERE key = ? with ('local')")
    assert "failed with InvalidRequestError" in shown[2]
    assert shown[2].endswith("WHERE k = 'x'")


async def test_slow_query_log_leaves_quick_queries_out(
    settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with observed(settings, observers=[SlowQueryLog(3600)]) as session:
        await session.execute(QUERY)
    assert not [record for record in caplog.records if "slow" in record.name]


class Telemetry:
    """An SDK that keeps what it is given."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.reader = InMemoryMetricReader()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.observer = OpenTelemetryObserver(
            tracer_provider=self.tracers,
            meter_provider=MeterProvider([self.reader], shutdown_on_exit=False),
        )

    def spans(self, operation: str) -> list[ReadableSpan]:
        return [
            span
            for span in self.exporter.get_finished_spans()
            if span.attributes and span.attributes["db.operation.name"] == operation
        ]

    def points(self, name: str) -> list[Any]:
        data = self.reader.get_metrics_data()
        assert data is not None
        return [
            point
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]


async def test_span_has_what_the_conventions_want(settings: dict[str, Any]) -> None:
    telemetry = Telemetry()
    async with observed(settings, observers=[telemetry.observer]) as session:
        await session.execute("SELECT key FROM system.local WHERE key = 'local'")
        assert session.cluster.metadata is not None
        (host, *_) = session.cluster.metadata.all_hosts()
    (span,) = telemetry.spans("SELECT")
    assert span.name == "SELECT system.local"
    assert span.kind is SpanKind.CLIENT
    assert span.status.status_code is StatusCode.UNSET
    assert dict(span.attributes or {}) == {
        "db.system.name": "cassandra",
        "db.operation.name": "SELECT",
        "db.collection.name": "system.local",
        "db.query.summary": "SELECT system.local",
        "db.query.text": "SELECT key FROM system.local WHERE key = ?",
        "db.response.returned_rows": 1,
        "cassandra.consistency.level": "local_one",
        "cassandra.page.size": 5000,
        "cassandra.query.idempotent": True,
        "cassandra.coordinator.dc": host.datacenter,
        "cassandra.coordinator.id": str(host.host_id),
        "server.address": str(host.address),
        "server.port": settings["port"],
        "network.peer.address": str(host.address),
        "network.peer.port": settings["port"],
    }
    assert [event.name for event in span.events] == ["cassandra.attempt"]


async def test_spans_are_below_that_of_the_awaiting_task(settings: dict[str, Any]) -> None:
    telemetry = Telemetry()
    tracer = telemetry.tracers.get_tracer("test")

    async def work(session: AsyncCassandraSession, name: str) -> None:
        with tracer.start_as_current_span(name, attributes={"db.operation.name": "work"}):
            await asyncio.sleep(0)
            await session.execute(PREPARED, ["local"])

    async with observed(settings, observers=[telemetry.observer]) as session:
        await asyncio.gather(*(work(session, f"work {n}") for n in range(5)))
    parents = {span.context.span_id for span in telemetry.spans("work") if span.context}
    requests = telemetry.spans("SELECT")
    assert {span.parent.span_id for span in requests if span.parent} == parents
    assert len(requests) == len(parents) == 5
    (prepare,) = telemetry.spans("PREPARE")
    assert prepare.parent is not None
    assert prepare.parent.span_id in parents


async def test_span_of_a_failed_request_says_why(settings: dict[str, Any]) -> None:
    telemetry = Telemetry()
    async with observed(settings, observers=[telemetry.observer]) as session:
        with pytest.raises(QueryError):
            await session.execute("SELECT * FROM nowhere.t WHERE k = 'secret'")
    (span,) = telemetry.spans("SELECT")
    assert span.attributes is not None
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes["error.type"] == "InvalidRequestError"
    assert span.attributes["db.response.status_code"] == str(0x2200)
    assert [event.name for event in span.events] == [
        "cassandra.attempt",
        "cassandra.attempt.failed",
    ]
    assert "secret" not in str(span.attributes)
    assert span.attributes["network.peer.port"] == settings["port"]
    (point,) = telemetry.points("db.client.operation.duration")
    assert point.attributes["error.type"] == "InvalidRequestError"


async def test_pages_of_one_execute_are_one_span(
    settings: dict[str, Any], cassandra_keyspace: str
) -> None:
    telemetry = Telemetry()
    async with observed(settings, observers=[telemetry.observer]) as session:
        table = f"{cassandra_keyspace}.traced"
        await session.execute(f"CREATE TABLE IF NOT EXISTS {table} (k int PRIMARY KEY)")
        batch = BatchStatement()
        insert = await session.prepare(f"INSERT INTO {table} (k) VALUES (?)")
        for k in range(30):
            batch.add(insert, [k])
        await session.execute(batch)
        select = await session.prepare(f"SELECT k FROM {table}")
        select.fetch_size = 10
        await session.execute(select)
    summary = f"SELECT {table}"
    (span,) = [span for span in telemetry.spans("SELECT") if span.name == summary]
    names = [event.name for event in span.events]
    assert names.count("cassandra.page") >= 3
    assert names.count("cassandra.attempt") == names.count("cassandra.page") + 1
    assert span.attributes is not None
    assert span.attributes["db.response.returned_rows"] == 30
    (rows,) = [
        point
        for point in telemetry.points("db.client.response.returned_rows")
        if point.attributes["db.query.summary"] == summary
    ]
    assert (rows.count, rows.sum) == (1, 30)


async def test_batch_is_named_by_what_its_statements_share(
    settings: dict[str, Any], cassandra_keyspace: str
) -> None:
    telemetry = Telemetry()
    one, other = (f"{cassandra_keyspace}.batched_{n}" for n in range(2))
    insert = f"INSERT INTO {one} (k) VALUES (1)"
    batches: tuple[list[str], ...] = (
        [insert, insert],
        [insert, f"INSERT INTO {other} (k) VALUES (1)"],
        [insert, f"DELETE FROM {one} WHERE k = 1"],
        [insert],
        [],
    )
    async with observed(settings, observers=[telemetry.observer]) as session:
        for table in (one, other):
            await session.execute(f"CREATE TABLE IF NOT EXISTS {table} (k int PRIMARY KEY)")
        telemetry.exporter.clear()
        for queries in batches:
            batch = BatchStatement()
            for query in queries:
                batch.add(query)
            await session.execute_batch(batch)
    shown = []
    for span in telemetry.exporter.get_finished_spans():
        assert span.attributes is not None
        names = ("db.operation.name", "db.collection.name", "db.operation.batch.size")
        shown.append((span.name, *map(span.attributes.get, names)))
    assert shown == [
        (f"BATCH INSERT {one}", "BATCH INSERT", one, 2),
        ("BATCH", "BATCH INSERT", None, 2),
        ("BATCH", "BATCH", one, 2),
        (f"INSERT {one}", "INSERT", one, None),
        ("BATCH", "BATCH", None, 0),
    ]
