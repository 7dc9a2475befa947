"""Export a large table to CSV: rows stream through, memory stays flat, progress is shown.

``python examples/export_csv.py --rows 1000000 --output flights.csv``
"""

import argparse
import asyncio
import csv
import os
import sys
import time
from itertools import batched
from pathlib import Path
from typing import Any, TextIO

from async_cassandra import AsyncCassandraSession, AsyncCluster, StreamConfig

CONTACT_POINTS = os.environ.get("CASSANDRA_CONTACT_POINTS", "127.0.0.1").split(",")
PORT = int(os.environ.get("CASSANDRA_PORT", "9042"))
SCHEMA = (
    "CREATE KEYSPACE IF NOT EXISTS export_csv WITH replication = "
    "{'class': 'SimpleStrategy', 'replication_factor': 1}",
    """CREATE TABLE IF NOT EXISTS export_csv.measurements (
        sensor int, number int, value double, note text, PRIMARY KEY (sensor, number))""",
)
PER_SENSOR = 1000


async def fill(session: AsyncCassandraSession, rows: int) -> None:
    """Write rows where there are none yet."""
    for cql in SCHEMA:
        await session.execute(cql)
    insert = await session.prepare(
        "INSERT INTO export_csv.measurements (sensor, number, value, note) VALUES (?, ?, ?, ?)"
    )
    for numbers in batched(range(rows), 500):
        values = [(*divmod(n, PER_SENSOR), n / 7, f'row "{n}", as text') for n in numbers]
        await asyncio.gather(*(session.execute(insert, row) for row in values))


class Progress:
    """Shows pages and rows as Cassandra sends them."""

    def __init__(self) -> None:
        self.rows = 0
        self.start = time.perf_counter()

    def __call__(self, page: int, rows: int) -> None:
        self.rows += rows
        rate = self.rows / max(time.perf_counter() - self.start, 1e-9)
        print(f"\rpage {page}: {self.rows:,} rows, {rate:,.0f}/s", end="", file=sys.stderr)


async def export(session: AsyncCassandraSession, file: TextIO, page_size: int) -> int:
    """Write every row to ``file``; returns their number."""
    progress = Progress()
    config = StreamConfig(fetch_size=page_size, page_callback=progress)
    query = "SELECT sensor, number, value, note FROM export_csv.measurements"
    writer = csv.writer(file)
    async with await session.execute_stream(query, stream_config=config) as stream:
        writer.writerow(stream.column_names)
        async for page in stream.pages():
            # A disk may be slow: a thread waits for it, while the next page is on its way.
            await asyncio.to_thread(writer.writerows, page)
    print(file=sys.stderr)
    return progress.rows


async def main(arguments: Any) -> None:
    async with AsyncCluster(CONTACT_POINTS, port=PORT) as cluster, cluster.connect() as session:
        await fill(session, arguments.rows)
        file = await asyncio.to_thread(arguments.output.open, "w", newline="", encoding="utf-8")
        try:
            rows = await export(session, file, arguments.page_size)
        finally:
            await asyncio.to_thread(file.close)
    print(f"{rows:,} rows in {arguments.output}")


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--rows", type=int, default=20_000, help="to write first (default 20,000)")
parser.add_argument("--page-size", type=int, default=1000, help="rows per page (default 1,000)")
parser.add_argument("--output", type=Path, default=Path("measurements.csv"))
asyncio.run(main(parser.parse_args()))
