"""Counts and times queries: in memory, for Prometheus, or in a collector of your own.

``AsyncCluster(metrics=create_metrics_system())`` records every query of its sessions.
"""

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any, Literal
from weakref import WeakSet

from cassandra.query import (
    BatchStatement,
    BoundStatement,
    PreparedStatement,
    SimpleStatement,
    Statement,
)

from async_cassandra._collecting import (
    CACHED_TEXT,
    ConnectionMetrics,
    MetricsCollector,
    QueryMetrics,
    hash_of,
    keep_latest,
    now_with_zone,
)
from async_cassandra._prometheus import PrometheusMetricsCollector
from async_cassandra._request.prepared import PreparedQuery
from async_cassandra._request.request import Request
from async_cassandra._session.core import SessionCore
from async_cassandra._session.request_stats import RequestStats, parameter_count
from async_cassandra._watch.observer import Observer, Observers
from async_cassandra._wire.protocol import Opcode
from async_cassandra._wire.requests import Query
from async_cassandra.exceptions import shown

__all__ = [
    "ConnectionMetrics",
    "InMemoryMetricsCollector",
    "MetricsCollector",
    "MetricsMiddleware",
    "PrometheusMetricsCollector",
    "QueryMetrics",
    "create_metrics_system",
    "query_hash",
]

logger: logging.Logger = logging.getLogger(__name__)

RECENT_SECONDS = 300.0
TOP_QUERIES = 10
type Key = PreparedQuery | str | tuple[str]
type Record = tuple[Key, float, float, str | None, int, int]
PERCENTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999))


_cached_hash = lru_cache(maxsize=1024)(hash_of)


def query_hash(query: str | Statement | PreparedStatement) -> str:
    """Return a name for a query that is equal for queries that differ only in their literals.

    :return: 12 hexadecimal digits, after ``prepared_`` for a prepared statement
    """
    if isinstance(query, BoundStatement):
        query = query.prepared_statement
    if isinstance(query, PreparedStatement):
        return f"prepared_{_cached_hash(query.query_string)}"
    if isinstance(query, BatchStatement):
        return _cached_hash("BATCH")
    text = query.query_string if isinstance(query, SimpleStatement) else str(query)
    return _cached_hash(text) if len(text) <= CACHED_TEXT else hash_of(text)


class InMemoryMetricsCollector(MetricsCollector):
    """The latest queries and running counts, in bounded memory.

    :ivar connection_metrics: the latest health check of each host
    :ivar request_stats: counters of the sessions' requests
    """

    def __init__(self, max_entries: int = 10000) -> None:
        """:param max_entries: queries to keep, at least 1"""
        if max_entries < 1:
            raise ValueError(f"max_entries must be at least 1, not {max_entries}")
        self.max_entries = max_entries
        self.connection_metrics: dict[str, ConnectionMetrics] = {}
        self._latest: deque[Record | QueryMetrics] = deque(maxlen=max_entries)
        self._counts: Counter[str] = Counter()
        self.request_stats: RequestStats = RequestStats(self._latest, hash_of, self._name_queries)

    def stats_of(self, core: SessionCore) -> RequestStats | None:
        own = type(self).record_query is InMemoryMetricsCollector.record_query
        return self.request_stats if own else None

    @property
    def query_metrics(self) -> deque[QueryMetrics]:
        """The latest ``max_entries`` queries, oldest first."""
        latest = (
            each if isinstance(each, QueryMetrics) else _metrics_of(each)
            for each in list(self._latest)
        )
        return deque(latest, maxlen=self.max_entries)

    @property
    def query_counts(self) -> Counter[str]:
        """Queries by ``query_hash``; past ``max_entries`` hashes the rarest half is forgotten."""
        self._name_queries()
        return self._counts

    @property
    def error_counts(self) -> Counter[str]:
        """Failed queries by error type, the most frequent ones."""
        return Counter(dict(Counter(self.request_stats.errors).most_common(self.max_entries)))

    async def record_query(self, metrics: QueryMetrics) -> None:
        self._latest.append(metrics)
        self._count(self._counts, metrics.query_hash)
        ago = (now_with_zone() - metrics.timestamp).total_seconds()
        error_type = None if metrics.success else metrics.error_type or "unknown"
        is_prepared = metrics.query_hash.startswith("prepared")
        self.request_stats.record(is_prepared, time.monotonic() - ago, metrics.duration, error_type)

    def _name_queries(self) -> None:
        """Add up under each query's name what was counted by text or prepared query."""
        found = self.request_stats.query_counts
        for key, count in found.items():
            self._count(self._counts, _name_of(key), count)
        found.clear()

    async def record_connection_health(self, metrics: ConnectionMetrics) -> None:
        keep_latest(self.connection_metrics, metrics.host, metrics, self.max_entries)

    async def get_stats(self) -> dict[str, Any]:
        """Return the counts, and the durations of the last five minutes.

        ``query_performance`` (``total_queries``, ``recent_queries_5min``, ``avg_duration_ms``,
        ``min_duration_ms``, ``max_duration_ms``, ``p50_duration_ms`` and p95, p99, p999,
        ``success_rate`` from 0 to 1, ``queries_per_second``), ``error_summary``, ``top_queries``,
        ``connection_health``. Without recent queries the durations are 0 and the success rate is 1.
        Percentiles are at most 1/32 too high.
        """
        return {
            "query_performance": self._performance(time.monotonic()),
            "error_summary": dict(self.error_counts),
            "top_queries": dict(self.query_counts.most_common(TOP_QUERIES)),
            "connection_health": {
                host: {
                    "healthy": metrics.is_healthy,
                    "response_time_ms": metrics.response_time * 1000,
                    "error_count": metrics.error_count,
                    "total_queries": metrics.total_queries,
                }
                for host, metrics in self.connection_metrics.items()
            },
        }

    def _performance(self, now: float) -> dict[str, float]:
        stats = self.request_stats
        recent, failures = stats.recent.summary(now)
        count = recent.count
        seconds = min(max(now - stats.first, 1.0), RECENT_SECONDS)
        return {
            "total_queries": stats.finished - stats.prepares,
            "recent_queries_5min": count,
            "avg_duration_ms": recent.total / count * 1000 if count else 0.0,
            "min_duration_ms": recent.smallest * 1000 if count else 0.0,
            "max_duration_ms": recent.largest * 1000,
            **{f"{name}_duration_ms": recent.percentile(p) * 1000 for name, p in PERCENTILES},
            "success_rate": 1 - failures / count if count else 1.0,
            "queries_per_second": count / seconds,
        }

    def _count(self, counts: Counter[str], key: str, times: int = 1) -> None:
        counts[key] += times
        if len(counts) > self.max_entries:
            kept = counts.most_common(max(self.max_entries // 2, 1))
            counts.clear()
            counts.update(dict(kept))


def _name_of(key: Key) -> str:
    if isinstance(key, tuple):
        return key[0]
    if isinstance(key, str):
        return query_hash(key)
    return f"prepared_{query_hash(key.query)}"


def _metrics_of(record: Record) -> QueryMetrics:
    key, end, seconds, error_type, parameters_count, rows = record
    return QueryMetrics(
        query_hash=_name_of(key),
        duration=seconds,
        success=error_type is None,
        error_type=error_type,
        timestamp=now_with_zone() - timedelta(seconds=time.monotonic() - end),
        parameters_count=parameters_count,
        result_size=rows,
    )


class _CollectorObserver(Observer):
    """Tells an application's own collector of each query."""

    def __init__(self, middleware: "MetricsMiddleware", collector: MetricsCollector) -> None:
        self._middleware = middleware
        self._collector = collector
        self._running: set[asyncio.Task[None]] = set()

    def on_finished(self, request: Request, error: BaseException | None, seconds: float) -> None:
        if request.message.opcode == Opcode.PREPARE:
            return
        metrics = QueryMetrics(
            query_hash=_query_of(request),
            duration=seconds,
            success=error is None,
            error_type=None if error is None else type(error).__name__,
            parameters_count=parameter_count(request),
            result_size=request.row_count,
        )
        task = asyncio.Task(
            self._middleware.tell(self._collector, lambda each: each.record_query(metrics)),
            loop=asyncio.get_running_loop(),
            eager_start=True,
        )
        if not task.done():
            self._running.add(task)
            task.add_done_callback(self._running.discard)


def _query_of(request: Request) -> str:
    if request.call.prepared is not None:
        return _name_of(request.call.prepared)
    message = request.message
    return query_hash(message.query or "" if isinstance(message, Query) else "BATCH")


class MetricsMiddleware:
    """Passes a session's measurements to collectors.

    A collector that fails is reported once and never fails the query.
    """

    def __init__(self, collectors: Sequence[MetricsCollector]) -> None:
        self.collectors: list[MetricsCollector] = list(collectors)
        self._enabled = True
        self._reported: set[int] = set()
        self._observers: WeakSet[Observers] = WeakSet()

    @property
    def enabled(self) -> bool:
        return self._enabled

    def observe(self, core: SessionCore) -> Observers:
        """Build the observer that tells the collectors of a session's requests."""
        members: list[Observer] = []
        for collector in self.collectors:
            stats = collector.stats_of(core)
            members.append(_CollectorObserver(self, collector) if stats is None else stats)
        observers = Observers(members)
        observers.enabled = self._enabled
        self._observers.add(observers)
        return observers

    def enable(self) -> None:
        """Record from now on, which is the default."""
        self._switch(True)

    def disable(self) -> None:
        """Record nothing until :meth:`enable`."""
        self._switch(False)

    def _switch(self, enabled: bool) -> None:
        self._enabled = enabled
        for observers in self._observers:
            observers.enabled = enabled

    async def record_query_metrics(
        self,
        query: str | Statement | PreparedStatement,
        duration: float,
        success: bool,
        error_type: str | None = None,
        parameters_count: int = 0,
        result_size: int = 0,
    ) -> None:
        """Record one finished query.

        :param query: text or statement; its literals are not kept
        :param duration: seconds
        :param error_type: class name of the error
        :param result_size: rows in the result
        """
        if not self._enabled:
            return
        metrics = QueryMetrics(
            query_hash=query_hash(query),
            duration=duration,
            success=success,
            error_type=error_type,
            parameters_count=parameters_count,
            result_size=result_size,
        )
        await self._tell_all(lambda collector: collector.record_query(metrics))

    async def record_connection_metrics(
        self,
        host: str,
        is_healthy: bool,
        response_time: float,
        error_count: int = 0,
        total_queries: int = 0,
    ) -> None:
        """Record one health check.

        :param host: address
        :param response_time: seconds
        """
        if not self._enabled:
            return
        metrics = ConnectionMetrics(
            host=host,
            is_healthy=is_healthy,
            last_check=now_with_zone(),
            response_time=response_time,
            error_count=error_count,
            total_queries=total_queries,
        )
        await self._tell_all(lambda collector: collector.record_connection_health(metrics))

    async def _tell_all(self, record: Callable[[MetricsCollector], Awaitable[None]]) -> None:
        for collector in self.collectors:
            await self.tell(collector, record)

    async def tell(
        self, collector: MetricsCollector, record: Callable[[MetricsCollector], Awaitable[None]]
    ) -> None:
        """Let a collector record something; if it fails, that is reported once."""
        try:
            await record(collector)
        except Exception:
            if id(collector) not in self._reported:
                self._reported.add(id(collector))
                logger.warning(
                    "Metrics collector %r failed; reported once", collector, exc_info=True
                )


def create_metrics_system(
    backend: Literal["memory", "prometheus", "none"] | str = "memory",
    prometheus_enabled: bool = False,
) -> MetricsMiddleware:
    """Make the middleware that ``AsyncCluster(metrics=…)`` takes.

    :param backend: ``memory``, ``prometheus`` or ``none``
    :param prometheus_enabled: adds Prometheus to the backend
    :raises ValueError: if the backend is another one
    """
    if backend not in ("memory", "prometheus", "none"):
        raise ValueError(f"backend must be memory, prometheus or none, not {shown(backend)}")
    collectors: list[MetricsCollector] = []
    if backend == "memory":
        collectors.append(InMemoryMetricsCollector())
    if prometheus_enabled or backend == "prometheus":
        collectors.append(PrometheusMetricsCollector())
    return MetricsMiddleware(collectors)
