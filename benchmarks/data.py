"""The tables, the statements and the rows that every client works on.

A table that is read is never written while anything is measured: what writes has a table like it in
another keyspace. So the server does the same for a read in every round. Rows are made from their
keys, so that each client's process can make them without talking to anybody. Only the standard
library is imported here: the clients run in environments of their own.
"""

import struct
import uuid
from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, Self

__all__ = [
    "KEYSPACE",
    "STATEMENTS",
    "TABLES",
    "WRITTEN_KEYSPACE",
    "Row",
    "Statement",
    "Table",
    "new_keys",
    "new_partitions",
    "schema",
]

type Row = tuple[Any, ...]

KEYSPACE: Final = "async_cassandra_benchmark"
WRITTEN_KEYSPACE: Final = "async_cassandra_benchmark_written"
FLIGHTS: Final = 336_776
PARTITION_ROWS: Final = 100
PARTITIONS: Final = 200
BATCH_ROWS: Final = 50
DIMENSIONS: Final = 1536
BLOB_BYTES: Final = 1024 * 1024

_FIRST: Final = datetime(2024, 1, 1, tzinfo=UTC)
_FLIGHT_COLUMNS: Final = {
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


class Address(NamedTuple):
    """A value of the user-defined type."""

    street: str
    number: int
    city: str


def point_row(key: int) -> Row:
    """Return a customer: five columns of five types."""
    return (
        key,
        f"customer number {key}",
        key / 7,
        _FIRST + timedelta(seconds=key),
        uuid.UUID(int=key << 64 | key),
    )


def partition_row(key: int) -> Row:
    """Return a customer of a partition: its bucket, then as :func:`point_row`."""
    return (key // PARTITION_ROWS, *point_row(key))


def rich_row(key: int) -> Row:
    """Return a row of collections and a user-defined type."""
    return (
        key,
        {f"tag {key % 7}", f"tag {7 + key % 5}", "customer"},
        {f"year {year}": key + year for year in range(5)},
        [key / 3, key / 5, key / 7, key / 11],
        Address(f"street {key}", key % 200, "Amsterdam"),
    )


def blob_row(key: int) -> Row:
    return key, struct.pack(">I", key) * (BLOB_BYTES // 4)


def vector_row(key: int) -> Row:
    return key, array("f", [(key + number) % 1000 / 8 for number in range(DIMENSIONS)])


@dataclass(frozen=True)
class Table:
    """A table of the benchmark.

    :ivar columns: name and CQL type, in the order of the rows
    :ivar key: the primary key, as CQL has it
    :ivar rows: how many rows are written before anything is measured
    :ivar row: makes the row of a key, None where the rows come from a file
    """

    name: str
    columns: dict[str, str]
    key: str
    rows: int
    row: Callable[[int], Row] | None
    keyspace: str = KEYSPACE

    @property
    def full_name(self) -> str:
        return f"{self.keyspace}.{self.name}"

    @property
    def create(self) -> str:
        columns = ", ".join(f"{name} {cql_type}" for name, cql_type in self.columns.items())
        columns = columns.replace("<address>", f"<{self.keyspace}.address>")
        return f"CREATE TABLE {self.full_name} ({columns}, PRIMARY KEY ({self.key}))"

    @property
    def insert(self) -> str:
        marks = ", ".join("?" * len(self.columns))
        return f"INSERT INTO {self.full_name} ({', '.join(self.columns)}) VALUES ({marks})"

    @property
    def partition_key(self) -> str:
        """The first column, for the tables whose rows are made."""
        return next(iter(self.columns))

    @property
    def select(self) -> str:
        return f"SELECT {', '.join(self.columns)} FROM {self.full_name}"

    @property
    def has_large_rows(self) -> bool:
        return self.row is blob_row

    @property
    def written(self) -> Self:
        """A table like this one, to be written while something is measured."""
        return replace(self, name=f"{self.name}_written", keyspace=WRITTEN_KEYSPACE)


_POINT_COLUMNS: Final = {
    "id": "int",
    "name": "text",
    "score": "double",
    "created": "timestamp",
    "account": "uuid",
}
_RICH_COLUMNS: Final = {
    "id": "int",
    "tags": "set<text>",
    "scores": "map<text, int>",
    "path": "list<double>",
    "home": "frozen<address>",
}
POINT: Final = Table("point", _POINT_COLUMNS, "id", 10_000, point_row)
CLUSTERED: Final = Table(
    "clustered",
    {"bucket": "int"} | _POINT_COLUMNS,
    "bucket, id",
    PARTITIONS * PARTITION_ROWS,
    partition_row,
)
RICH: Final = Table("rich", _RICH_COLUMNS, "id", 5_000, rich_row)
BLOB: Final = Table("large", {"id": "int", "content": "blob"}, "id", 32, blob_row)
VECTOR: Final = Table(
    "vectors", {"id": "int", "embedding": f"vector<float, {DIMENSIONS}>"}, "id", 1_000, vector_row
)
FLIGHT: Final = Table("flights", _FLIGHT_COLUMNS, "(carrier, flight), time_hour", FLIGHTS, None)
_MADE: Final = (POINT, CLUSTERED, RICH, BLOB, VECTOR)
_WRITTEN: Final = tuple(table.written for table in _MADE)
TABLES: Final = (*_MADE, FLIGHT, *_WRITTEN)


def schema(replication_factor: int = 1) -> tuple[str, ...]:
    """Return the CQL that makes two empty keyspaces with all tables.

    What is only read is not in the commit log, because the room that writes take there would have the
    server move these rows from memory to disk in the middle of a run.
    """
    replication = f"{{'class': 'SimpleStrategy', 'replication_factor': {replication_factor}}}"
    keyspaces = {KEYSPACE: "false", WRITTEN_KEYSPACE: "true"}
    return (
        *(f"DROP KEYSPACE IF EXISTS {name}" for name in keyspaces),
        *(
            f"CREATE KEYSPACE {name} WITH replication = {replication}"
            f" AND durable_writes = {is_durable}"
            for name, is_durable in keyspaces.items()
        ),
        *(f"CREATE TYPE {name}.address (street text, number int, city text)" for name in keyspaces),
        *(table.create for table in TABLES),
    )


@dataclass(frozen=True)
class Statement:
    """What a client prepares.

    :ivar parameters: the CQL type of each value
    :ivar columns: the names of the result's columns, in the order to use; empty without rows
    :ivar values: makes the values of a key
    """

    name: str
    table: Table
    cql: str
    parameters: tuple[str, ...]
    columns: tuple[str, ...]
    values: Callable[[int], Row]


def _read(table: Table) -> Statement:
    cql = f"{table.select} WHERE {table.partition_key} = ?"
    return Statement(f"read {table.name}", table, cql, ("int",), tuple(table.columns), _only_key)


def _write(table: Table) -> Statement:
    """Return the statement that writes into a table like this one."""
    assert table.row is not None
    written, parameters = table.written, tuple(table.columns.values())
    return Statement(f"write {table.name}", written, written.insert, parameters, (), table.row)


def new_keys(table: Table) -> range:
    """Return the keys of rows that nothing but the check of a client's writes writes."""
    return range(table.rows, table.rows + (8 if table.has_large_rows else BATCH_ROWS))


def new_partitions(table: Table) -> list[int]:
    """Return the partitions that those rows make up."""
    assert table.row is not None
    return sorted({table.row(key)[0] for key in new_keys(table)})


def _only_key(key: int) -> Row:
    return (key,)


# Cassandra puts the key first and sorts the rest of the row that was in the way by name.
_LWT: Final = Statement(
    "insert if not exists",
    POINT.written,
    f"{POINT.written.insert} IF NOT EXISTS",
    tuple(POINT.columns.values()),
    ("[applied]", "id", "account", "created", "name", "score"),
    point_row,
)
_SCAN: Final = Statement(
    "scan flights", FLIGHT, FLIGHT.select, (), tuple(FLIGHT.columns), lambda key: ()
)
STATEMENTS: Final = {
    statement.name: statement
    for statement in (
        *map(_read, (*_MADE, *_WRITTEN)),
        *map(_write, _MADE),
        _LWT,
        _SCAN,
    )
}
