"""Read a row again and again, and serve the metrics of that for Prometheus.

http://127.0.0.1:8000/metrics has the series of alerts.yml and dashboard.json.
"""

import asyncio
import os

from prometheus_client import start_http_server

from async_cassandra import AsyncCluster, ConnectionMonitor, create_metrics_system
from async_cassandra.observers import SlowQueryLog

CONTACT_POINTS = os.environ.get("CASSANDRA_CONTACT_POINTS", "127.0.0.1").split(",")
PORT = int(os.environ.get("CASSANDRA_PORT", "9042"))
METRICS_PORT = int(os.environ.get("METRICS_PORT", "8000"))
READS = int(os.environ.get("READS", "100000"))


async def read() -> None:
    metrics = create_metrics_system("prometheus")
    slow = SlowQueryLog(0.5)
    async with (
        AsyncCluster(CONTACT_POINTS, port=PORT, metrics=metrics, observers=[slow]) as cluster,
        cluster.connect() as session,
    ):
        monitor = ConnectionMonitor(session)
        await monitor.start_monitoring(interval=15)
        statement = await session.prepare("SELECT * FROM system.local WHERE key = ?")
        for _ in range(READS):
            await session.execute(statement, ["local"])
        print(session.stats())
        await monitor.stop_monitoring()


def main() -> None:
    server, thread = start_http_server(METRICS_PORT, addr="127.0.0.1")
    try:
        asyncio.run(read())
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


main()
