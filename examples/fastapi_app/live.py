"""What the application does right now: throughput, latencies, nodes, the loop's lag; as events."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Any

from async_cassandra import AsyncCassandraSession, ConnectionMetrics, MetricsCollector, QueryMetrics

INTERVAL = 1.0
LAG_PERIOD = 0.05
KEPT = 200_000


class LiveFigures(MetricsCollector):
    """Counts Cassandra requests, second by second; ``AsyncCluster(metrics=...)`` tells it of each."""

    def __init__(self) -> None:
        self.total = 0
        self.failed = 0
        self.pages = 0
        self.latest: dict[str, Any] = {}
        self._durations: deque[float] = deque(maxlen=KEPT)
        self._worst_lag = 0.0
        self._next = asyncio.Event()

    async def record_query(self, metrics: QueryMetrics) -> None:
        self.total += 1
        self.failed += not metrics.success
        self._durations.append(metrics.duration)

    def on_page(self, number: int, rows: int) -> None:
        """Count a page of a stream."""
        self.pages += 1

    async def record_connection_health(self, metrics: ConnectionMetrics) -> None:
        """Node states come from the cluster, which hears of them at once."""

    async def get_stats(self) -> dict[str, Any]:
        return self.latest

    async def watch(self, session: AsyncCassandraSession) -> None:
        """Measure until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._measure_lag())
            tasks.create_task(self._sum_up(session))

    async def _measure_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            planned = loop.time() + LAG_PERIOD
            await asyncio.sleep(LAG_PERIOD)
            self._worst_lag = max(self._worst_lag, loop.time() - planned)

    async def _sum_up(self, session: AsyncCassandraSession) -> None:
        loop = asyncio.get_running_loop()
        start, total = loop.time(), self.total
        while True:
            await asyncio.sleep(INTERVAL)
            now = loop.time()
            durations = sorted(self._durations)
            self._durations.clear()
            self.latest = {
                "requests_per_second": round((self.total - total) / (now - start), 1),
                "total": self.total,
                "failed": self.failed,
                "latency_ms": {
                    f"p{percent}": percentile_ms(durations, percent) for percent in (50, 95, 99)
                },
                "loop_lag_ms": round(self._worst_lag * 1000, 2),
                "nodes": list(nodes_of(session)),
            }
            start, total, self._worst_lag = now, self.total, 0.0
            self._next.set()
            self._next = asyncio.Event()

    async def events(self) -> AsyncIterator[bytes]:
        """The figures of each second, as server-sent events; the latest at once."""
        while True:
            if self.latest:
                yield b"data: %b\n\n" % json.dumps(self.latest).encode()
            await self._next.wait()


def percentile_ms(ordered: list[float], percent: int) -> float:
    """A percentile of ordered seconds, in milliseconds; 0 of none."""
    if not ordered:
        return 0.0
    return round(ordered[min(len(ordered) * percent // 100, len(ordered) - 1)] * 1000, 3)


def nodes_of(session: AsyncCassandraSession) -> Iterable[dict[str, Any]]:
    """Each node as the cluster knows it."""
    metadata = session.cluster.metadata
    for host in sorted(metadata.all_hosts() if metadata is not None else (), key=str):
        yield {
            "address": str(host.endpoint),
            "up": bool(host.is_up),
            "datacenter": host.datacenter,
            "version": host.release_version,
        }
