import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from async_cassandra._collecting import sanitised
from async_cassandra.metrics import (
    ConnectionMetrics,
    InMemoryMetricsCollector,
    MetricsCollector,
    MetricsMiddleware,
    PrometheusMetricsCollector,
    QueryMetrics,
    create_metrics_system,
    query_hash,
)

pytestmark = pytest.mark.anyio

QUERIES = "cassandra_queries_total"
DONE = {"query_type": "simple", "success": "success"}


class FailingCollector(MetricsCollector):
    async def record_query(self, metrics: QueryMetrics) -> None:
        raise RuntimeError("the collector's disk is full")


def health(host: str) -> ConnectionMetrics:
    return ConnectionMetrics(host, True, datetime.now(UTC), 0.002)


async def test_get_stats_without_queries_has_every_key() -> None:
    stats = await InMemoryMetricsCollector().get_stats()
    assert stats == {
        "query_performance": {
            "total_queries": 0,
            "recent_queries_5min": 0,
            "avg_duration_ms": 0.0,
            "min_duration_ms": 0.0,
            "max_duration_ms": 0.0,
            "p50_duration_ms": 0.0,
            "p95_duration_ms": 0.0,
            "p99_duration_ms": 0.0,
            "p999_duration_ms": 0.0,
            "success_rate": 1.0,
            "queries_per_second": 0.0,
        },
        "error_summary": {},
        "top_queries": {},
        "connection_health": {},
    }


async def test_get_stats_summarises_the_last_five_minutes() -> None:
    collector = InMemoryMetricsCollector()
    old = datetime.now(UTC) - timedelta(minutes=6)
    await collector.record_query(QueryMetrics("a", 9.0, success=True, timestamp=old))
    await collector.record_query(QueryMetrics("a", 0.1, success=True))
    await collector.record_query(QueryMetrics("b", 0.3, success=False, error_type="ReadTimeout"))
    stats = await collector.get_stats()
    performance = stats["query_performance"]
    assert performance["total_queries"] == 3
    assert performance["recent_queries_5min"] == 2
    assert performance["avg_duration_ms"] == pytest.approx(200)
    assert performance["min_duration_ms"] == pytest.approx(100)
    assert performance["max_duration_ms"] == pytest.approx(300)
    assert performance["p50_duration_ms"] == pytest.approx(100, rel=1 / 31)
    assert performance["p99_duration_ms"] == pytest.approx(300, rel=1 / 31)
    assert performance["success_rate"] == 0.5
    assert performance["queries_per_second"] == pytest.approx(2 / 300)
    assert stats["error_summary"] == {"ReadTimeout": 1}
    assert stats["top_queries"] == {"a": 2, "b": 1}


async def test_get_stats_shows_the_latest_health_of_each_host() -> None:
    collector = InMemoryMetricsCollector()
    await collector.record_connection_health(health("10.0.0.1"))
    await collector.record_connection_health(
        ConnectionMetrics("10.0.0.1", False, datetime.now(UTC), 0.5, error_count=2, total_queries=7)
    )
    assert (await collector.get_stats())["connection_health"] == {
        "10.0.0.1": {
            "healthy": False,
            "response_time_ms": 500.0,
            "error_count": 2,
            "total_queries": 7,
        }
    }


async def test_in_memory_collector_memory_is_bounded() -> None:
    collector = InMemoryMetricsCollector(max_entries=10)
    for number in range(1000):
        query = QueryMetrics(str(number), 0.1, success=False, error_type=f"Error{number}")
        await collector.record_query(query)
        await collector.record_query(QueryMetrics("frequent", 0.1, success=True))
        await collector.record_connection_health(health(f"10.0.0.{number}"))
    assert len(collector.query_metrics) == 10
    assert len(collector.query_counts) <= 10
    assert len(collector.error_counts) <= 10
    assert len(collector.connection_metrics) == 10
    assert collector.query_counts["frequent"] == 1000


async def test_queries_per_second_is_a_rate_since_the_first_query() -> None:
    collector = InMemoryMetricsCollector(max_entries=10)
    start = datetime.now(UTC) - timedelta(seconds=10)
    for number in range(20):
        when = start + timedelta(seconds=number / 2)
        await collector.record_query(QueryMetrics("a", 0.1, success=True, timestamp=when))
    performance = (await collector.get_stats())["query_performance"]
    assert performance["queries_per_second"] == pytest.approx(2, rel=0.2)


def test_in_memory_collector_needs_room_for_one() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        InMemoryMetricsCollector(max_entries=0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT * FROM t WHERE k = 1", "select *  from t\nwhere k = 22"),
        ("SELECT * FROM t WHERE k = 'a'", "SELECT * FROM t WHERE k = 'it''s'"),
        ("SELECT * FROM t WHERE k IN (1, 2)", "SELECT * FROM t WHERE k IN (?, ?, ?)"),
        ("SELECT * FROM t -- why", "SELECT * FROM /* now */ t"),
        ("SELECT * FROM t WHERE k = $$a'b$$", "SELECT * FROM t WHERE k = 0xcafe"),
    ],
)
def test_query_hash_is_equal_without_literals(one: str, other: str) -> None:
    assert query_hash(one) == query_hash(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT a FROM t", "SELECT b FROM t"),
        ('SELECT * FROM "Users"', 'SELECT * FROM "users"'),
        ("SELECT a1 FROM t", "SELECT a2 FROM t"),
    ],
)
def test_query_hash_tells_queries_apart(one: str, other: str) -> None:
    assert query_hash(one) != query_hash(other)


async def test_middleware_records_in_every_collector() -> None:
    collectors = [InMemoryMetricsCollector(), InMemoryMetricsCollector()]
    middleware = MetricsMiddleware(collectors)
    await middleware.record_query_metrics(
        "SELECT * FROM t WHERE k = ?", 0.25, True, parameters_count=1, result_size=3
    )
    await middleware.record_connection_metrics("10.0.0.1", True, 0.01)
    for collector in collectors:
        (query,) = collector.query_metrics
        assert (query.duration, query.success, query.error_type) == (0.25, True, None)
        assert (query.parameters_count, query.result_size) == (1, 3)
        assert query.timestamp.tzinfo is UTC
        assert collector.connection_metrics["10.0.0.1"].is_healthy


async def test_middleware_records_nothing_while_disabled() -> None:
    collector = InMemoryMetricsCollector()
    middleware = MetricsMiddleware([collector])
    middleware.disable()
    await middleware.record_query_metrics("SELECT 1", 0.1, True)
    await middleware.record_connection_metrics("10.0.0.1", True, 0.1)
    assert not collector.query_metrics
    assert not collector.connection_metrics
    middleware.enable()
    await middleware.record_query_metrics("SELECT 1", 0.1, True)
    assert len(collector.query_metrics) == 1


async def test_middleware_reports_a_failing_collector_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    collector = InMemoryMetricsCollector()
    middleware = MetricsMiddleware([FailingCollector(), collector])
    await middleware.record_query_metrics("SELECT 1", 0.1, True)
    await middleware.record_query_metrics("SELECT 1", 0.1, True)
    await middleware.record_connection_metrics("10.0.0.1", True, 0.1)
    assert len(collector.query_metrics) == 2
    assert len(caplog.records) == 1
    assert "the collector's disk is full" in caplog.text


async def test_prometheus_collector_counts_by_type_and_success() -> None:
    registry = CollectorRegistry()
    collector = PrometheusMetricsCollector(registry)
    await collector.record_query(QueryMetrics("a", 0.1, success=True))
    await collector.record_query(QueryMetrics("prepared_a", 0.2, success=False, error_type="Down"))
    await collector.record_connection_health(health("10.0.0.1"))
    failed = {"query_type": "prepared", "success": "failure"}
    assert registry.get_sample_value(QUERIES, DONE) == 1
    assert registry.get_sample_value(QUERIES, failed) == 1
    duration = registry.get_sample_value("cassandra_query_duration_seconds_sum", failed)
    assert duration == pytest.approx(0.2)
    assert registry.get_sample_value("cassandra_errors_total", {"error_type": "Down"}) == 1
    assert registry.get_sample_value("cassandra_connection_healthy", {"host": "10.0.0.1"}) == 1


@pytest.mark.parametrize(
    ("labels", "value"),
    [(None, 2.0), ({}, 2.0), ({"cluster": "east"}, 1.0), ({"app": "shop", "zone": "b"}, 1.0)],
)
async def test_prometheus_collector_second_instance_does_not_clash(
    labels: Mapping[str, str] | None, value: float
) -> None:
    registry = CollectorRegistry()
    for collector in (
        PrometheusMetricsCollector(registry),
        PrometheusMetricsCollector(registry, labels=labels),
    ):
        await collector.record_query(QueryMetrics("a", 0.1, success=True))
    assert registry.get_sample_value(QUERIES, {**DONE, **(labels or {})}) == value
    assert generate_latest(registry).count(b"# TYPE cassandra_queries_total counter") == 1


async def test_prometheus_labels_are_bounded() -> None:
    registry = CollectorRegistry()
    collector = PrometheusMetricsCollector(registry)
    for number in range(1200):
        await collector.record_connection_health(health(f"10.0.{number // 256}.{number % 256}"))
        failed = QueryMetrics("a", 0.1, success=False, error_type=f"Error{number}")
        await collector.record_query(failed)
    found = generate_latest(registry).decode()
    assert found.count("cassandra_connection_healthy{") == 1000
    assert 'healthy{host="10.0.4.175"} 1.0' in found
    assert found.count("cassandra_errors_total{") == 101
    assert 'errors_total{error_type="other"} 1100.0' in found


def test_prometheus_collector_refuses_its_own_labels() -> None:
    with pytest.raises(ValueError, match="'host'"):
        PrometheusMetricsCollector(CollectorRegistry(), labels={"host": "a"})


async def test_prometheus_collector_without_the_package_records_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    collector = PrometheusMetricsCollector()
    await collector.record_query(QueryMetrics("a", 0.1, success=True))
    await collector.record_connection_health(health("10.0.0.1"))
    assert "prometheus_client is not installed" in caplog.text
    assert await collector.get_stats() == {"error": "prometheus_client is not installed"}


@pytest.mark.parametrize(
    ("arguments", "kinds"),
    [
        ({}, [InMemoryMetricsCollector]),
        ({"backend": "none"}, []),
        ({"backend": "prometheus"}, [PrometheusMetricsCollector]),
        (
            {"prometheus_enabled": True},
            [InMemoryMetricsCollector, PrometheusMetricsCollector],
        ),
    ],
)
def test_create_metrics_system_makes_the_named_collectors(
    arguments: dict[str, Any], kinds: list[type[MetricsCollector]]
) -> None:
    assert [type(each) for each in create_metrics_system(**arguments).collectors] == kinds


def test_create_metrics_system_refuses_an_unknown_backend() -> None:
    with pytest.raises(ValueError, match="backend must be memory, prometheus or none"):
        create_metrics_system(backend="statsd")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("SELECT * FROM t WHERE k = 'secret' AND v > 12", "SELECT * FROM t WHERE k = ? AND v > ?"),
        ("SELECT *\n FROM t WHERE k IN (1, 2, 3) -- a note", "SELECT * FROM t WHERE k IN (?)"),
        ('UPDATE "T" SET v = $$x$$ WHERE k = ?', 'UPDATE "T" SET v = ? WHERE k = ?'),
        ("INSERT INTO t (k) VALUES ('it''s open", "INSERT INTO t (k) VALUES (?"),
        ("SELECT $$never closed", "SELECT ?"),
    ],
)
def test_sanitised_text_has_no_literals(text: str, shown: str) -> None:
    assert sanitised(text) == shown
