"""What Prometheus sees of sessions: counted in compiled code, turned into series when it asks."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet

from async_cassandra._collecting import (
    ConnectionMetrics,
    MetricsCollector,
    QueryMetrics,
    keep_latest,
)
from async_cassandra._session.core import SessionCore
from async_cassandra._session.counters import SERIES, Kind, Series
from async_cassandra._session.picture import SessionStats, picture_of
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


class PrometheusMetricsCollector(MetricsCollector):
    """Metrics for Prometheus; needs the extra ``async-cassandra[prometheus]``.

    The documentation lists the series. Any number of instances may share a registry, with equal or
    different labels; those with equal labels count together. If prometheus_client is missing, a
    warning is logged and nothing is recorded.
    """

    __module__ = "async_cassandra.metrics"

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
        self._series: _LabelledSeries | None = None
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


class _LabelledSeries:
    """All series with one set of constant labels."""

    def __init__(self, labels: Mapping[str, str]) -> None:
        self.names = tuple(labels)
        self.values = tuple(labels.values())
        self.stats = RequestStats()
        self.health: dict[str, bool] = {}
        self.cores: WeakSet[SessionCore] = WeakSet()

    def collect(self) -> "Iterator[Metric]":
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

        yield from self._queries()
        live = [core for core in list(self.cores) if core.unusable is None]
        pictures = [picture_of(core, with_latencies=False) for core in live]
        for series in SERIES:
            is_count = series.kind in (Kind.COUNT, Kind.COUNTS)
            family = (CounterMetricFamily if is_count else GaugeMetricFamily)(
                series.name, series.text, labels=[*self.names, *series.label.split()]
            )
            for value, figure in self._figures(series, pictures).items():
                family.add_metric([*self.values, *[value] * bool(series.label)], float(figure))
            yield family

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

    def _figures(self, series: Series, pictures: Sequence[SessionStats]) -> dict[str, float]:
        """What is known of a series by its label's value, which is empty where it has no label."""
        match series.kind:
            case Kind.COUNT:
                return {"": getattr(self.stats, series.attribute)}
            case Kind.COUNTS:
                return dict(getattr(self.stats, series.attribute))
            case Kind.REQUESTS:
                return {"": sum(getattr(picture, series.attribute) for picture in pictures)}
            case Kind.NODES:
                return _by_host(series.attribute, pictures)
            case Kind.CHECKS:
                return {host: float(healthy) for host, healthy in self.health.copy().items()}


def _by_host(attribute: str, pictures: Sequence[SessionStats]) -> dict[str, float]:
    """The sum over the sessions; of what is true or false, whether it is true for one."""
    found: dict[str, float] = {}
    for picture in pictures:
        for node in picture.nodes:
            figure, before = getattr(node, attribute), found.get(node.address, 0.0)
            is_flag = isinstance(figure, bool)
            found[node.address] = max(before, float(figure)) if is_flag else before + figure
    return found


class _SeriesOfRegistry:
    """Shows a registry all instances: each metric's name once, with every sample.

    A registry refuses a second metric with the same name, so it gets this one collector.
    """

    def __init__(self) -> None:
        self.by_labels: dict[tuple[tuple[str, str], ...], _LabelledSeries] = {}

    def describe(self) -> "Iterable[Metric]":
        return list(_LabelledSeries({}).collect())

    def collect(self) -> "Iterable[Metric]":
        families: dict[str, Metric] = {}
        for series in list(self.by_labels.values()):
            for family in series.collect():
                known = families.setdefault(family.name, family)
                if known is not family:
                    known.samples.extend(family.samples)
        return list(families.values())


_registered: "WeakKeyDictionary[CollectorRegistry, _SeriesOfRegistry]" = WeakKeyDictionary()


def _shared_series(registry: "CollectorRegistry", labels: Mapping[str, str]) -> _LabelledSeries:
    shared = _registered.get(registry)
    if shared is None:
        shared = _SeriesOfRegistry()
        registry.register(shared)
        _registered[registry] = shared
    key = tuple(sorted(labels.items()))
    if key not in shared.by_labels:
        shared.by_labels[key] = _LabelledSeries(labels)
    return shared.by_labels[key]
