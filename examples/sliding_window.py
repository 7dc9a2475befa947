"""Sensors write; a reader shows count, mean and 95th percentile of the last seconds, twice a second.

A partition holds one sensor's values of ten seconds, so none grows without bound, and a window is
in two partitions at the most. Each tick reads the whole window again: what arrived late is in it.
"""

import argparse
import asyncio
import os
import random
import statistics
import time
from typing import Any
from uuid import UUID

from cassandra.util import max_uuid_from_time, uuid_from_time

from async_cassandra import AsyncCassandraSession, AsyncCluster, PreparedStatement

CONTACT_POINTS = os.environ.get("CASSANDRA_CONTACT_POINTS", "127.0.0.1").split(",")
PORT = int(os.environ.get("CASSANDRA_PORT", "9042"))
SCHEMA = (
    "CREATE KEYSPACE IF NOT EXISTS sliding_window WITH replication = "
    "{'class': 'SimpleStrategy', 'replication_factor': 1}",
    """CREATE TABLE IF NOT EXISTS sliding_window.readings (
        sensor text, bucket bigint, at timeuuid, value double, PRIMARY KEY ((sensor, bucket), at))
        WITH default_time_to_live = 3600""",
)
INSERT = "INSERT INTO sliding_window.readings (sensor, bucket, at, value) VALUES (?, ?, ?, ?)"
SELECT = "SELECT at, value FROM sliding_window.readings WHERE sensor = ? AND bucket = ? AND at > ?"
BUCKET = 10.0
WINDOW = 5.0
TICK = 0.5


def bucket_of(seconds: float) -> int:
    return int(seconds // BUCKET)


class Window:
    """The last seconds of one sensor."""

    def __init__(
        self, session: AsyncCassandraSession, select: PreparedStatement, sensor: str
    ) -> None:
        self._session = session
        self._select = select
        self._sensor = sensor
        self.seen: set[UUID] = set()

    async def read(self) -> list[float]:
        """The values of the window that ends now."""
        now = time.time()
        begin = max_uuid_from_time(now - WINDOW)
        buckets = {bucket_of(now - WINDOW), bucket_of(now)}
        results = await asyncio.gather(
            *(self._session.execute(self._select, (self._sensor, b, begin)) for b in buckets)
        )
        rows = [row for result in results for row in result]
        self.seen.update(row.at for row in rows)
        return [row.value for row in rows]


async def sense(
    session: AsyncCassandraSession, insert: PreparedStatement, sensor: str, count: int
) -> None:
    """Write ``count`` readings, some 200 a second."""
    for _ in range(count):
        now = time.time()
        reading = (sensor, bucket_of(now), uuid_from_time(now), random.gauss(20, 2))
        await session.execute(insert, reading)
        await asyncio.sleep(0.005)


async def watch(windows: dict[str, Window]) -> None:
    """Print each window until cancelled."""
    while True:
        for sensor, window in windows.items():
            values = sorted(await window.read())
            if values:
                p95 = values[len(values) * 95 // 100]
                mean = statistics.fmean(values)
                print(f"{sensor}: {len(values):5} readings, mean {mean:.2f}, p95 {p95:.2f}")
        await asyncio.sleep(TICK)


async def main(arguments: Any) -> None:
    async with AsyncCluster(CONTACT_POINTS, port=PORT) as cluster, cluster.connect() as session:
        for cql in SCHEMA:
            await session.execute(cql)
        insert, select = await session.prepare(INSERT), await session.prepare(SELECT)
        run = f"{random.getrandbits(32):08x}"
        windows = {name: Window(session, select, name) for name in (f"north-{run}", f"south-{run}")}
        watching = asyncio.create_task(watch(windows))
        await asyncio.gather(
            *(sense(session, insert, sensor, arguments.readings) for sensor in windows)
        )
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        for window in windows.values():
            await window.read()
        seen = sum(len(window.seen) for window in windows.values())
    print(f"{seen} of {arguments.readings * len(windows)} readings were in a window")


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--readings", type=int, default=1000, help="of each sensor (default 1,000)")
asyncio.run(main(parser.parse_args()))
