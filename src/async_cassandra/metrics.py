"""Count and time queries: in memory, for Prometheus, or in a collector of your own.

``AsyncCluster(metrics=create_metrics_system())`` records every query of its sessions.
"""

import logging
import re
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakKeyDictionary

from cassandra.query import (
    BatchStatement,
    BoundStatement,
    PreparedStatement,
    SimpleStatement,
    Statement,
)

if TYPE_CHECKING:
    import prometheus_client as prometheus
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

__all__ = [
    "ConnectionMetrics",
    "InMemoryMetricsCollector",
    "MetricsCollector",
    "MetricsMiddleware",
    "PrometheusMetricsCollector",
    "QueryMetrics",
    "create_metrics_system",
]

logger: logging.Logger = logging.getLogger(__name__)

RECENT = timedelta(minutes=5)
TOP_QUERIES = 10


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class QueryMetrics:
    """One finished query.

    :ivar query_hash: names queries that differ in literals only; starts with ``prepared`` when the
        query was a prepared statement
    :ivar duration: seconds
    :ivar error_type: class name of the error; ``None`` when the query succeeded
    :ivar timestamp: when it finished, with its time zone
    :ivar result_size: rows in the result
    """

    query_hash: str
    duration: float
    success: bool
    error_type: str | None = None
    timestamp: datetime = field(default_factory=_now)
    parameters_count: int = 0
    result_size: int = 0


@dataclass(slots=True)
class ConnectionMetrics:
    """What a health check of one host found.

    :ivar response_time: seconds
    """

    host: str
    is_healthy: bool
    last_check: datetime
    response_time: float
    error_count: int = 0
    total_queries: int = 0


class MetricsCollector:
    """Where measurements go; derive from it to send them elsewhere.

    Concurrency: called on the loop thread, in the order in which queries finish, while the query's
    caller waits: hand slow work to a task.
    """

    async def record_query(self, metrics: QueryMetrics) -> None:
        """Take one finished query."""
        raise NotImplementedError

    async def record_connection_health(self, metrics: ConnectionMetrics) -> None:
        """Take the result of one health check."""
        raise NotImplementedError

    async def get_stats(self) -> dict[str, Any]:
        """Return what was collected, as plain values."""
        raise NotImplementedError


class InMemoryMetricsCollector(MetricsCollector):
    """The latest queries and running counts, in bounded memory.

    :ivar query_metrics: the latest ``max_entries`` queries, oldest first
    :ivar connection_metrics: the latest health check of each host
    :ivar error_counts: failed queries by error type
    :ivar query_counts: queries by ``query_hash``; past ``max_entries`` hashes the rarest half
        is forgotten
    """

    def __init__(self, max_entries: int = 10000) -> None:
        """:param max_entries: queries to keep, at least 1"""
        if max_entries < 1:
            raise ValueError(f"max_entries must be at least 1, not {max_entries}")
        self.max_entries = max_entries
        self.query_metrics: deque[QueryMetrics] = deque(maxlen=max_entries)
        self.connection_metrics: dict[str, ConnectionMetrics] = {}
        self.error_counts: Counter[str] = Counter()
        self.query_counts: Counter[str] = Counter()

    async def record_query(self, metrics: QueryMetrics) -> None:
        self.query_metrics.append(metrics)
        self._count(self.query_counts, metrics.query_hash)
        if not metrics.success and metrics.error_type:
            self._count(self.error_counts, metrics.error_type)

    async def record_connection_health(self, metrics: ConnectionMetrics) -> None:
        self.connection_metrics.pop(metrics.host, None)
        self.connection_metrics[metrics.host] = metrics
        if len(self.connection_metrics) > self.max_entries:
            del self.connection_metrics[next(iter(self.connection_metrics))]

    async def get_stats(self) -> dict[str, Any]:
        """Return the counts, and the durations of the last five minutes.

        ``query_performance`` (``total_queries``, ``recent_queries_5min``, ``avg_duration_ms``,
        ``min_duration_ms``, ``max_duration_ms``, ``success_rate`` from 0 to 1,
        ``queries_per_second``), ``error_summary``, ``top_queries``, ``connection_health``. Without
        recent queries the durations are 0 and the success rate is 1.
        """
        return {
            "query_performance": self._performance(_now()),
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

    def _performance(self, now: datetime) -> dict[str, float]:
        recent = [metrics for metrics in self.query_metrics if metrics.timestamp > now - RECENT]
        durations = [metrics.duration for metrics in recent] or [0.0]
        seconds = RECENT.total_seconds()
        if recent and len(recent) == self.max_entries:
            # Some recent queries may have been dropped: the rate is that of the ones that are left.
            seconds = max((now - recent[0].timestamp).total_seconds(), 0.001)
        return {
            "total_queries": len(self.query_metrics),
            "recent_queries_5min": len(recent),
            "avg_duration_ms": sum(durations) / len(durations) * 1000,
            "min_duration_ms": min(durations) * 1000,
            "max_duration_ms": max(durations) * 1000,
            "success_rate": sum(metrics.success for metrics in recent) / len(recent)
            if recent
            else 1.0,
            "queries_per_second": len(recent) / seconds,
        }

    def _count(self, counts: Counter[str], key: str) -> None:
        counts[key] += 1
        if len(counts) > self.max_entries:
            kept = counts.most_common(max(self.max_entries // 2, 1))
            counts.clear()
            counts.update(dict(kept))


class PrometheusMetricsCollector(MetricsCollector):
    """Metrics for Prometheus; needs the extra ``async-cassandra[prometheus]``.

    ``cassandra_query_duration_seconds`` and ``cassandra_queries_total`` (labels ``query_type``:
    ``prepared`` or ``simple``, ``success``: ``success`` or ``failure``),
    ``cassandra_connection_healthy`` (``host``), ``cassandra_errors_total`` (``error_type``). Any
    number of instances may share a registry, with equal or different labels. Where
    prometheus_client is missing, a warning is logged and nothing is recorded.
    """

    query_duration: "prometheus.Histogram | None" = None
    query_total: "prometheus.Counter | None" = None
    connection_health: "prometheus.Gauge | None" = None
    error_total: "prometheus.Counter | None" = None

    def __init__(
        self,
        registry: "CollectorRegistry | None" = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """:param registry: ``None`` takes prometheus_client's own

        :param labels: constant labels of this instance's metrics, such as ``{"cluster": "east"}``
        """
        self._labels = dict(labels or {})
        if taken := self._labels.keys() & {"query_type", "success", "host", "error_type"}:
            raise ValueError(f"these metrics set the label {taken.pop()!r} themselves")
        try:
            import prometheus_client
        except ImportError:
            logger.warning("prometheus_client is not installed: no metrics for Prometheus")
            return
        registry = prometheus_client.REGISTRY if registry is None else registry
        instruments = _shared_instruments(registry, self._labels)
        self.query_duration = instruments.query_duration
        self.query_total = instruments.query_total
        self.connection_health = instruments.connection_health
        self.error_total = instruments.error_total

    async def record_query(self, metrics: QueryMetrics) -> None:
        if self.query_duration is None or self.query_total is None or self.error_total is None:
            return
        labels = {
            **self._labels,
            "query_type": "prepared" if "prepared" in metrics.query_hash else "simple",
            "success": "success" if metrics.success else "failure",
        }
        self.query_duration.labels(**labels).observe(metrics.duration)
        self.query_total.labels(**labels).inc()
        if not metrics.success and metrics.error_type:
            self.error_total.labels(**self._labels, error_type=metrics.error_type).inc()

    async def record_connection_health(self, metrics: ConnectionMetrics) -> None:
        if self.connection_health is not None:
            health = self.connection_health.labels(**self._labels, host=metrics.host)
            health.set(1 if metrics.is_healthy else 0)

    async def get_stats(self) -> dict[str, Any]:
        """Return where the values are to be read: the registry's own exposition has them."""
        if self.query_total is None:
            return {"error": "prometheus_client is not installed"}
        return {"message": "Metrics are exposed through the Prometheus registry"}


class _Instruments:
    """The four metrics under one set of constant labels."""

    def __init__(self, label_names: Sequence[str]) -> None:
        import prometheus_client as prometheus

        query_labels = [*label_names, "query_type", "success"]
        self.query_duration = prometheus.Histogram(
            "cassandra_query_duration_seconds",
            "Time from a query's start to its result",
            query_labels,
            registry=None,
        )
        self.query_total = prometheus.Counter(
            "cassandra_queries_total", "Finished queries", query_labels, registry=None
        )
        self.connection_health = prometheus.Gauge(
            "cassandra_connection_healthy",
            "Whether the host answered its last health check",
            [*label_names, "host"],
            registry=None,
        )
        self.error_total = prometheus.Counter(
            "cassandra_errors_total", "Failed queries", [*label_names, "error_type"], registry=None
        )

    def collect(self) -> "Iterable[Metric]":
        for instrument in (
            self.query_duration,
            self.query_total,
            self.connection_health,
            self.error_total,
        ):
            yield from instrument.collect()


class _InstrumentsOfRegistry:
    """What a registry sees of all instances: each metric's name once, with every sample.

    A registry refuses a second metric of the same name, so the instruments themselves are not
    registered.
    """

    def __init__(self) -> None:
        self.by_labels: dict[tuple[tuple[str, str], ...], _Instruments] = {}

    def describe(self) -> "Iterable[Metric]":
        return list(_Instruments(()).collect())

    def collect(self) -> "Iterable[Metric]":
        families: dict[str, Metric] = {}
        for instruments in list(self.by_labels.values()):
            for family in instruments.collect():
                families.setdefault(family.name, family)
                if families[family.name] is not family:
                    families[family.name].samples.extend(family.samples)
        return list(families.values())


_registered: "WeakKeyDictionary[CollectorRegistry, _InstrumentsOfRegistry]" = WeakKeyDictionary()


def _shared_instruments(registry: "CollectorRegistry", labels: Mapping[str, str]) -> _Instruments:
    shared = _registered.get(registry)
    if shared is None:
        shared = _InstrumentsOfRegistry()
        registry.register(shared)
        _registered[registry] = shared
    key = tuple(sorted(labels.items()))
    if key not in shared.by_labels:
        shared.by_labels[key] = _Instruments(tuple(labels))
    return shared.by_labels[key]


class MetricsMiddleware:
    """Hands what a session measures to collectors.

    A collector that fails is reported once and never fails the query.
    """

    def __init__(self, collectors: Sequence[MetricsCollector]) -> None:
        self.collectors: list[MetricsCollector] = list(collectors)
        self._enabled = True
        self._reported: set[int] = set()

    @property
    def enabled(self) -> bool:
        return self._enabled

    def enable(self) -> None:
        """Record from now on, as at the start."""
        self._enabled = True

    def disable(self) -> None:
        """Record nothing until :meth:`enable`."""
        self._enabled = False

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
        await self._tell(lambda collector: collector.record_query(metrics))

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
            last_check=_now(),
            response_time=response_time,
            error_count=error_count,
            total_queries=total_queries,
        )
        await self._tell(lambda collector: collector.record_connection_health(metrics))

    async def _tell(self, record: Callable[[MetricsCollector], Awaitable[None]]) -> None:
        """Have every collector record something; one that fails is reported once."""
        for collector in self.collectors:
            try:
                await record(collector)
            except Exception:
                if id(collector) not in self._reported:
                    self._reported.add(id(collector))
                    logger.warning(
                        "Metrics collector %r failed; reported once", collector, exc_info=True
                    )


# Literals, quoted names, comments and white space; whatever is between them is upper-cased.
_PIECES = re.compile(
    r"""
      (?P<literal> '(?:[^']|'')*' | \$\$.*?\$\$
                 | \b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b | \b0[xX][0-9a-fA-F]*
                 | \b\d+(?:\.\d+)?(?:[eE][+-]?\d+)?\b | \?  )
    | (?P<quoted> "(?:[^"]|"")*" )
    | (?P<gap> \s+ | --[^\n]* | //[^\n]* | /\*.*?\*/ )
    """,
    re.VERBOSE | re.DOTALL,
)
_LISTS = re.compile(r"\?(?:\s*,\s*\?)+")
_CACHED_TEXT = 4096


def _replacement(match: re.Match[str]) -> str:
    if match["literal"]:
        return "?"
    return match["quoted"] or " "


def _hash(text: str) -> str:
    upper: list[str] = []
    end = 0
    for match in _PIECES.finditer(text):
        upper += (text[end : match.start()].upper(), _replacement(match))
        end = match.end()
    upper.append(text[end:].upper())
    normal = _LISTS.sub("?", " ".join("".join(upper).split()))
    return blake2b(normal.encode(), digest_size=6).hexdigest()


_cached_hash = lru_cache(maxsize=1024)(_hash)


def query_hash(query: str | Statement | PreparedStatement) -> str:
    """Name a query without its literals: equal for queries that differ in them only.

    :return: 12 hexadecimal digits, after ``prepared_`` for a prepared statement
    """
    if isinstance(query, BoundStatement):
        query = query.prepared_statement
    if isinstance(query, PreparedStatement):
        return f"prepared_{_cached_hash(query.query_string)}"
    if isinstance(query, BatchStatement):
        return _cached_hash("BATCH")
    text = query.query_string if isinstance(query, SimpleStatement) else str(query)
    return _cached_hash(text) if len(text) <= _CACHED_TEXT else _hash(text)


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
        raise ValueError(f"backend must be memory, prometheus or none, not {backend!r}")
    collectors: list[MetricsCollector] = []
    if backend == "memory":
        collectors.append(InMemoryMetricsCollector())
    if prometheus_enabled or backend == "prometheus":
        collectors.append(PrometheusMetricsCollector())
    return MetricsMiddleware(collectors)
