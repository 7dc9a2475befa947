"""The data that all clients read and write: rows of five columns, found by their key."""

import struct
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

__all__ = ["POINT_ROWS", "READ", "SCAN", "SCAN_PAGE_ROWS", "SCAN_ROWS", "WRITE", "BenchmarkRow"]

KEYSPACE: Final = "async_cassandra_benchmark"
POINT_ROWS: Final = 20_000
SCAN_ROWS: Final = 100_000
SCAN_PAGE_ROWS: Final = 5_000
SCAN_BUCKET_ROWS: Final = 10_000

_COLUMNS: Final = "id, name, score, created, account"
READ: Final = f"SELECT {_COLUMNS} FROM {KEYSPACE}.point WHERE id = ?"
WRITE: Final = f"INSERT INTO {KEYSPACE}.point ({_COLUMNS}) VALUES (?, ?, ?, ?, ?)"
SCAN: Final = f"SELECT {_COLUMNS} FROM {KEYSPACE}.wide"
FILL: Final = f"INSERT INTO {KEYSPACE}.wide ({_COLUMNS}, bucket) VALUES (?, ?, ?, ?, ?, ?)"

SCHEMA: Final = (
    f"DROP KEYSPACE IF EXISTS {KEYSPACE}",
    f"CREATE KEYSPACE {KEYSPACE} WITH replication ="
    " {'class': 'SimpleStrategy', 'replication_factor': 1}",
    f"CREATE TABLE {KEYSPACE}.point (id int PRIMARY KEY, name text, score double,"
    " created timestamp, account uuid)",
    f"CREATE TABLE {KEYSPACE}.wide (bucket int, id int, name text, score double,"
    " created timestamp, account uuid, PRIMARY KEY (bucket, id))",
)

_FIRST: Final = datetime(2024, 1, 1, tzinfo=UTC)


class BenchmarkRow(NamedTuple):
    """One row as Python values."""

    id: int
    name: str
    score: float
    created: datetime
    account: uuid.UUID


def row_of(key: int) -> BenchmarkRow:
    """Return the row of a key."""
    return BenchmarkRow(
        key,
        f"customer number {key}",
        key / 7,
        _FIRST + timedelta(seconds=key),
        uuid.UUID(int=key << 64 | key),
    )


def encoded(row: BenchmarkRow) -> list[bytes]:
    """Return the values of a row as the protocol has them."""
    milliseconds = (row.created - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return [
        struct.pack(">i", row.id),
        row.name.encode(),
        struct.pack(">d", row.score),
        struct.pack(">q", milliseconds),
        row.account.bytes,
    ]


def keys() -> Iterator[int]:
    """Yield all keys again and again, in an order without locality."""
    key = 0
    while True:
        yield key
        key = (key + 7_919) % POINT_ROWS
