"""Metrics three ways at once: in memory, for Prometheus, and in a collector of your own."""

import asyncio
import os
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest

from async_cassandra import (
    AsyncCluster,
    ConnectionMetrics,
    ConnectionMonitor,
    InMemoryMetricsCollector,
    MetricsCollector,
    MetricsMiddleware,
    PrometheusMetricsCollector,
    QueryError,
    QueryMetrics,
)

CONTACT_POINTS = os.environ.get("CASSANDRA_CONTACT_POINTS", "127.0.0.1").split(",")
PORT = int(os.environ.get("CASSANDRA_PORT", "9042"))
SLOW = 0.05


class SlowQueries(MetricsCollector):
    """Keeps what took longer than 50 ms."""

    def __init__(self) -> None:
        self.slow: list[QueryMetrics] = []

    async def record_query(self, metrics: QueryMetrics) -> None:
        if metrics.duration > SLOW:
            self.slow.append(metrics)

    async def record_connection_health(self, metrics: ConnectionMetrics) -> None:
        pass

    async def get_stats(self) -> dict[str, Any]:
        return {"slow": len(self.slow)}


async def main() -> None:
    registry = CollectorRegistry()
    memory, slow = InMemoryMetricsCollector(), SlowQueries()
    metrics = MetricsMiddleware([memory, PrometheusMetricsCollector(registry), slow])
    async with (
        AsyncCluster(CONTACT_POINTS, port=PORT, metrics=metrics) as cluster,
        cluster.connect() as session,
    ):
        read = await session.prepare("SELECT table_name FROM system_schema.tables LIMIT ?")
        await asyncio.gather(*(session.execute(read, (limit,)) for limit in range(1, 201)))
        try:
            await session.execute("SELECT no_such_column FROM system.local")
        except QueryError as error:
            print("As intended:", type(error).__name__)
        health = await ConnectionMonitor(session).get_cluster_metrics()
    for host in health.hosts:
        print(f"{host.address}: {host.status}, Cassandra {host.release_version}")
    figures = (await memory.get_stats())["query_performance"]
    print(f"{figures['total_queries']} requests, {figures['avg_duration_ms']:.1f} ms on average")
    print(f"{len(slow.slow)} took longer than {SLOW * 1000:.0f} ms")
    for line in generate_latest(registry).decode().splitlines():
        if line.startswith("cassandra_queries_total"):
            print(line)


asyncio.run(main())
