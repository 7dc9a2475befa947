"""``row=``: results and streams as values of the application's types, from a real server."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict

import msgspec
import pydantic
import pytest

from async_cassandra import (
    AsyncCassandraSession,
    AsyncCluster,
    RateLimitedSession,
    StreamConfig,
    create_metrics_system,
)
from async_cassandra.exceptions import ColumnDecodeError, RowTypeError
from tests.integration.conftest import NewTable

pytestmark = pytest.mark.anyio


@dataclass(slots=True, frozen=True)
class Address:
    street: str
    since: datetime.date


@dataclass
class User:
    id: int
    name: str
    tags: set[str]
    joined: datetime.date
    address: Address | None = None


class Model(pydantic.BaseModel):
    id: int
    name: str
    tags: set[str]
    joined: datetime.date
    address: Address | None


class Struct(msgspec.Struct):
    id: int
    name: str
    tags: frozenset[str]
    joined: datetime.date
    address: Address | None


class Typed(TypedDict):
    id: int
    name: str
    tags: set[str]
    joined: datetime.date
    address: Address | None


class Tupled(NamedTuple):
    id: int
    name: str
    tags: set[str]
    joined: datetime.date
    address: Address | None


DAY = datetime.date(2024, 2, 29)
COUNT = 600


@pytest.fixture(scope="module")
async def table(
    session: AsyncCassandraSession, new_table: NewTable, cassandra_keyspace: str
) -> str:
    await session.execute(
        f"CREATE TYPE IF NOT EXISTS {cassandra_keyspace}.address (street text, since date)"
    )
    name = await new_table(
        "p int, id int, name text, tags set<text>, joined date, address address, seen timestamp, "
        "PRIMARY KEY (p, id)"
    )
    insert = await session.prepare(
        f"INSERT INTO {name} (p, id, name, tags, joined, address) VALUES (0, ?, ?, ?, ?, ?)"
    )
    for key in range(3):
        address = ("High Street", DAY) if key else None
        await session.execute(insert, (key, f"user {key}", {"a", "b"}, DAY, address))
    many = await session.prepare(f"INSERT INTO {name} (p, id, name) VALUES (1, ?, 'x')")
    for key in range(COUNT):
        await session.execute(many, (key,))
    return name


def expected(kind: Any, key: int) -> Any:
    address = Address("High Street", DAY) if key else None
    return kind(id=key, name=f"user {key}", tags={"a", "b"}, joined=DAY, address=address)


@pytest.mark.parametrize("kind", [User, Model, Struct, Typed, Tupled])
async def test_rows_are_of_the_type_asked_for(
    session: AsyncCassandraSession, table: str, kind: Any
) -> None:
    query = f"SELECT joined, id, name, tags, address FROM {table} WHERE p = 0"
    prepared = await session.prepare(query)
    rows = [expected(kind, key) for key in range(3)]
    for statement in (query, prepared, prepared.bind(())):
        result = await session.execute(statement, row=kind)
        assert (result.all(), result.one(), result[1:]) == (rows, rows[0], rows[1:])
        assert [row async for row in result] == list(result) == rows
        stream = await session.execute_stream(statement, row=kind)
        assert [row async for row in stream] == rows
    assert (await session.execute(prepared)).one().id == 0


async def test_scalar_is_the_only_column(session: AsyncCassandraSession, table: str) -> None:
    counted = await session.execute(f"SELECT count(*) FROM {table} WHERE p = 1", row=int)
    assert counted.one() == COUNT
    days = await session.execute(f"SELECT joined FROM {table} WHERE p = 0", row=datetime.date)
    assert days.all() == [DAY] * 3
    nothing = await session.execute(f"SELECT id FROM {table} WHERE p = 9", row=int)
    assert (nothing.one(), nothing.all()) == (None, [])


async def test_stream_makes_rows_over_pages(session: AsyncCassandraSession, table: str) -> None:
    config = StreamConfig(fetch_size=250)
    query = f"SELECT id, name FROM {table} WHERE p = 1"
    stream = await session.execute_stream(query, stream_config=config, row=tuple[int, str])
    assert [row async for row in stream] == [(key, "x") for key in range(COUNT)]
    paged = await session.execute_stream(query, stream_config=config, row=dict)
    assert [len(page) async for page in paged.pages()] == [250, 250, 100]


@pytest.mark.parametrize("columns", ["id, name, tags", "id, name, tags, joined, seen"])
async def test_mismatch_is_an_error_at_once(
    session: AsyncCassandraSession, table: str, columns: str
) -> None:
    query = f"SELECT {columns} FROM {table} WHERE p = 9"
    for execute in (session.execute, session.execute_stream):
        with pytest.raises(RowTypeError) as caught:
            await execute(query, row=User)
        missing = "seen" not in columns
        assert (caught.value.field, caught.value.column) == (
            ("joined", None) if missing else (None, "seen")
        )


async def test_row_that_its_type_refuses_is_the_only_one_lost(
    session: AsyncCassandraSession, table: str
) -> None:
    class Odd(pydantic.BaseModel):
        id: int

        @pydantic.field_validator("id")
        @classmethod
        def is_odd(cls, value: int) -> int:
            if value in (0, 300, COUNT - 1):
                raise ValueError("refused")
            return value

    query = f"SELECT id FROM {table} WHERE p = 1"
    stream = await session.execute_stream(query, row=Odd)
    read: list[int] = []
    refused = 0
    while True:
        try:
            read.append((await anext(stream)).id)
        except StopAsyncIteration:
            break
        except pydantic.ValidationError:
            refused += 1
    assert (refused, len(read)) == (3, COUNT - 3)
    assert read == sorted(read)
    result = await session.execute(query, row=Odd)
    with pytest.raises(pydantic.ValidationError):
        result[300]
    assert result[301] == Odd(id=301)


async def test_value_that_python_cannot_hold_raises_for_its_row(
    session: AsyncCassandraSession, table: str
) -> None:
    await session.execute(f"INSERT INTO {table} (p, id, seen) VALUES (2, 0, {10**16})")
    await session.execute(f"INSERT INTO {table} (p, id, seen) VALUES (2, 1, 0)")
    query = f"SELECT seen FROM {table} WHERE p = 2"
    result = await session.execute(query, row=datetime.datetime)
    with pytest.raises(ColumnDecodeError):
        result[0]
    assert result[1] == datetime.datetime(1970, 1, 1)


async def test_lightweight_transaction_is_read_as_a_type(
    session: AsyncCassandraSession, table: str
) -> None:
    @dataclass
    class Outcome:
        applied: bool
        name: str | None = None

    query = f"UPDATE {table} SET name = 'z' WHERE p = 0 AND id = 1 IF name = 'nobody'"
    result = await session.execute(query, row=Outcome)
    assert result.one() == Outcome(False, "user 1")
    assert result.was_applied is False


async def test_statement_without_rows_gives_none(
    session: AsyncCassandraSession, table: str
) -> None:
    result = await session.execute(f"DELETE FROM {table} WHERE p = 7", row=User)
    assert (result.one(), result.all()) == (None, [])


async def test_other_sessions_pass_the_type_on(settings: dict[str, Any], table: str) -> None:
    query = f"SELECT id FROM {table} WHERE p = 0"
    async with (
        AsyncCluster(**settings, metrics=create_metrics_system()) as cluster,
        cluster.connect() as measured,
    ):
        limited = RateLimitedSession(measured, max_concurrent=1)
        assert (await limited.execute(query, row=int)).all() == [0, 1, 2]
        stream = await limited.execute_stream(query, row=int)
        assert [key async for key in stream] == [0, 1, 2]
