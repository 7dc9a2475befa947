"""What Prometheus sees of sessions: counted in compiled code, turned into series when it asks."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from async_cassandra._collecting import (
    ConnectionMetrics,
    MetricsCollector,
    QueryMetrics,
    keep_latest,
)
from async_cassandra._session.core import SessionCore
from async_cassandra._session.request_stats import RequestStats

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric

logger: logging.Logger = logging.getLogger("async_cassandra.metrics")

BOUNDS = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
# Nodes come and go with addresses of their own: the last ones that were checked are kept.
MAX_HOSTS = 1000
KINDS = ((False, "simple"), (True, "prepared"))
OUTCOMES = ((False, "success"), (True, "failure"))
OWN_LABELS = frozenset({"query_type", "success", "host", "error_type", "reason", "le"})

# Name, help, and the attribute of RequestStats: these only ever grow.
COUNTERS = (
    ("cassandra_prepares_total", "Statements prepared", "prepares"),
    ("cassandra_attempts_total", "Attempts sent to nodes", "attempts"),
    ("cassandra_speculative_attempts_total", "Attempts beside a live one", "speculations"),
    ("cassandra_speculative_wins_total", "Requests that such an attempt won", "speculative_wins"),
    ("cassandra_queued_requests_total", "Requests that had to wait for a place", "queued"),
    ("cassandra_pages_total", "Pages received", "pages"),
    ("cassandra_rows_total", "Rows received", "rows"),
    ("cassandra_connections_opened_total", "Connections opened", "connections_opened"),
    ("cassandra_connections_lost_total", "Connections lost", "connections_lost"),
)


class PrometheusMetricsCollector(MetricsCollector):
    """Metrics for Prometheus; needs the extra ``async-cassandra[prometheus]``.

    The documentation lists the series. Any number of instances may share a registry, with equal or
    different labels; those with equal labels count together. If prometheus_client is missing, a
    warning is logged and nothing is recorded.
    """

    def __init__(
        self,
        registry: "CollectorRegistry | None" = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """:param registry: ``None`` for prometheus_client's own

        :param labels: constant labels of this instance's metrics, such as ``{"cluster": "east"}``
        """
        labels = dict(labels or {})
        if taken := labels.keys() & OWN_LABELS:
            raise ValueError(f"these metrics set the label {taken.pop()!r} themselves")
        self._series: _Series | None = None
        try:
            import prometheus_client
        except ImportError:
            logger.warning("prometheus_client is not installed: no metrics for Prometheus")
            return
        registry = prometheus_client.REGISTRY if registry is None else registry
        self._series = _shared_series(registry, labels)

    def stats_of(self, core: SessionCore) -> RequestStats | None:
        if self._series is None or (
            type(self).record_query is not PrometheusMetricsCollector.record_query
        ):
            return None
        self._series.cores.add(core)
        return self._series.stats

    async def record_query(self, metrics: QueryMetrics) -> None:
        if self._series is not None:
            self._series.stats.record(
                "prepared" in metrics.query_hash,
                time.monotonic(),
                metrics.duration,
                None if metrics.success else metrics.error_type or "unknown",
            )

    async def record_connection_health(self, metrics: ConnectionMetrics) -> None:
        if self._series is not None:
            keep_latest(self._series.health, metrics.host, metrics.is_healthy, MAX_HOSTS)

    async def get_stats(self) -> dict[str, Any]:
        """Return a note: the values are in the registry's own exposition."""
        if self._series is None:
            return {"error": "prometheus_client is not installed"}
        return {"message": "Metrics are exposed through the Prometheus registry"}


class _Series:
    """All series with one set of constant labels."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.names = tuple(labels)
        self.values = tuple(labels.values())
        self.stats = RequestStats()
        self.health: dict[str, bool] = {}
        self.cores: WeakSet[SessionCore] = WeakSet()

    def collect(self) -> "Iterator[Metric]":
        yield from self._queries()
        yield from self._counters()
        yield from self._sessions()
        yield from self._hosts()

    def _queries(self) -> "Iterator[Metric]":
        from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily

        labels = [*self.names, "query_type", "success"]
        durations = HistogramMetricFamily(
            "cassandra_query_duration_seconds", "From a query's start to its result", labels=labels
        )
        totals = CounterMetricFamily("cassandra_queries_total", "Finished queries", labels=labels)
        for is_prepared, kind in KINDS:
            for failed, outcome in OUTCOMES:
                histogram = self.stats.histogram(is_prepared, failed)
                values = [*self.values, kind, outcome]
                counts = histogram.cumulative(BOUNDS)
                buckets = [(str(bound), n) for bound, n in zip(BOUNDS, counts, strict=True)]
                buckets.append(("+Inf", histogram.count))
                durations.add_metric(values, buckets, histogram.total)
                totals.add_metric(values, histogram.count)
        yield durations
        yield totals

    def _counters(self) -> "Iterator[Metric]":
        from prometheus_client.metrics_core import CounterMetricFamily

        for name, text, attribute in COUNTERS:
            counter = CounterMetricFamily(name, text, labels=self.names)
            counter.add_metric(self.values, getattr(self.stats, attribute))
            yield counter
        for name, text, label, found in (
            ("cassandra_errors_total", "Failed queries", "error_type", self.stats.errors),
            ("cassandra_retries_total", "Requests sent again", "reason", self.stats.retries),
        ):
            counter = CounterMetricFamily(name, text, labels=[*self.names, label])
            for reason, count in list(found.items()):
                counter.add_metric([*self.values, reason], count)
            yield counter

    def _sessions(self) -> "Iterator[Metric]":
        from prometheus_client.metrics_core import GaugeMetricFamily

        executors = [core.executor for core in list(self.cores) if core.unusable is None]
        waiting = sum(executor.queued for executor in executors)
        running = sum(executor.running for executor in executors)
        for name, text, value in (
            ("cassandra_requests_in_flight", "Requests sent and not finished", running - waiting),
            ("cassandra_requests_queued", "Requests that wait for a place", waiting),
        ):
            gauge = GaugeMetricFamily(name, text, labels=self.names)
            gauge.add_metric(self.values, value)
            yield gauge

    def _hosts(self) -> "Iterator[Metric]":
        from prometheus_client.metrics_core import GaugeMetricFamily

        open_ones: dict[str, int] = {}
        orphaned: dict[str, int] = {}
        up: dict[str, bool] = {}
        for core in list(self.cores):
            if core.unusable is not None:
                continue
            for host, pool in list(core.nodes.pools.items()):
                address = str(host.address)
                open_ones[address] = open_ones.get(address, 0) + len(pool.connections)
                orphans = sum(connection.orphans for connection in pool.watched())
                orphaned[address] = orphaned.get(address, 0) + orphans
                up[address] = up.get(address, False) or pool.is_open
        for name, text, found in (
            ("cassandra_connections", "Open connections", open_ones),
            ("cassandra_orphaned_stream_ids", "Ids whose late response is due", orphaned),
            ("cassandra_node_up", "Whether a session has a connection to it", up),
            ("cassandra_connection_healthy", "Whether it answered its last check", self.health),
        ):
            gauge = GaugeMetricFamily(name, text, labels=[*self.names, "host"])
            for address, value in list(found.items()):
                gauge.add_metric([*self.values, address], float(value))
            yield gauge


class _SeriesOfRegistry:
    """Shows a registry all instances: each metric's name once, with every sample.

    A registry refuses a second metric with the same name, so it gets this one collector.
    """

    def __init__(self) -> None:
        self.by_labels: dict[tuple[tuple[str, str], ...], _Series] = {}

    def describe(self) -> "Iterable[Metric]":
        return list(_Series({}).collect())

    def collect(self) -> "Iterable[Metric]":
        families: dict[str, Metric] = {}
        for series in list(self.by_labels.values()):
            for family in series.collect():
                known = families.setdefault(family.name, family)
                if known is not family:
                    known.samples.extend(family.samples)
        return list(families.values())


_registered: "WeakKeyDictionary[CollectorRegistry, _SeriesOfRegistry]" = WeakKeyDictionary()


def _shared_series(registry: "CollectorRegistry", labels: Mapping[str, str]) -> _Series:
    shared = _registered.get(registry)
    if shared is None:
        shared = _SeriesOfRegistry()
        registry.register(shared)
        _registered[registry] = shared
    key = tuple(sorted(labels.items()))
    if key not in shared.by_labels:
        shared.by_labels[key] = _Series(labels)
    return shared.by_labels[key]
