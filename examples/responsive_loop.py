"""What a scan does to the rest of an asyncio application: the plain driver beside async-cassandra.

A heartbeat stands for everything else that the application does: it should run every 5 ms. Its
worst delay is printed for a scan of the same table with each client. The plain driver's paging
blocks in ``for row in result`` at each page's end; here the loop goes on while a page is fetched.
"""

import asyncio
import os
import time

from cassandra.cluster import Cluster
from cassandra.query import SimpleStatement

from async_cassandra import AsyncCluster, StreamConfig

CONTACT_POINTS = os.environ.get("CASSANDRA_CONTACT_POINTS", "127.0.0.1").split(",")
PORT = int(os.environ.get("CASSANDRA_PORT", "9042"))
ROWS = 20_000
PAGE = 1000
SCAN = "SELECT k, v FROM responsive_loop.t"
SCHEMA = (
    "CREATE KEYSPACE IF NOT EXISTS responsive_loop WITH replication = "
    "{'class': 'SimpleStrategy', 'replication_factor': 1}",
    "CREATE TABLE IF NOT EXISTS responsive_loop.t (k int PRIMARY KEY, v text)",
)


class Heartbeat:
    """Beats every 5 ms; knows the longest delay in ms."""

    def __init__(self) -> None:
        self.worst_ms = 0.0

    async def beat(self) -> None:
        while True:
            expected = time.perf_counter() + 0.005
            await asyncio.sleep(0.005)
            self.worst_ms = max(self.worst_ms, (time.perf_counter() - expected) * 1000)


async def fill() -> None:
    async with AsyncCluster(CONTACT_POINTS, port=PORT) as cluster, cluster.connect() as session:
        for cql in SCHEMA:
            await session.execute(cql)
        insert = await session.prepare("INSERT INTO responsive_loop.t (k, v) VALUES (?, ?)")
        for start in range(0, ROWS, 500):
            keys = range(start, start + 500)
            await asyncio.gather(*(session.execute(insert, (key, "v" * 100)) for key in keys))


async def scan_blocking() -> int:
    cluster = Cluster(CONTACT_POINTS, port=PORT)
    session = await asyncio.to_thread(cluster.connect)
    count = 0
    for _ in session.execute(SimpleStatement(SCAN, fetch_size=PAGE)):  # blocks at each page's end
        count += 1
        if count % 100 == 0:
            await asyncio.sleep(0)
    await asyncio.to_thread(cluster.shutdown)
    return count


async def scan_streaming() -> int:
    count = 0
    config = StreamConfig(fetch_size=PAGE)
    async with (
        AsyncCluster(CONTACT_POINTS, port=PORT) as cluster,
        cluster.connect() as session,
        await session.execute_stream(SCAN, stream_config=config) as stream,
    ):
        async for _ in stream:
            count += 1
    return count


async def main() -> None:
    await fill()
    for name, scan in (("cassandra-driver", scan_blocking), ("async-cassandra", scan_streaming)):
        heartbeat = Heartbeat()
        beating = asyncio.create_task(heartbeat.beat())
        count = await scan()
        beating.cancel()
        worst = f"{heartbeat.worst_ms:.1f} ms"
        print(f"{name:>16}: {count:,} rows; the loop was held for {worst} at worst")


asyncio.run(main())
