"""Statements that one session prepared and another one executes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from cassandra.query import BatchStatement as DriverBatchStatement

from async_cassandra import AsyncCassandraSession, AsyncCluster
from async_cassandra.exceptions import StatementChangedError
from async_cassandra.statements import BatchStatement, PreparedStatement
from tests.integration.conftest import NewTable


@pytest.fixture
async def another(
    settings: dict[str, Any], cassandra_keyspace: str
) -> AsyncIterator[AsyncCassandraSession]:
    """A session of another cluster, which is closed before the statement is executed."""
    async with AsyncCluster(**settings) as cluster:
        session = await cluster.connect(cassandra_keyspace)
        yield session
        await session.close()


def held(statement: PreparedStatement, values: tuple[Any, ...]) -> tuple[Any, ...]:
    return statement, values


def bound(statement: PreparedStatement, values: tuple[Any, ...]) -> tuple[Any, ...]:
    return (statement.bind(values),)


def in_batch(statement: PreparedStatement, values: tuple[Any, ...]) -> tuple[Any, ...]:
    batch = BatchStatement()
    batch.add(statement, values)
    return (batch,)


def bound_in_batch(statement: PreparedStatement, values: tuple[Any, ...]) -> tuple[Any, ...]:
    batch = BatchStatement()
    batch.add(statement.bind(values))
    return (batch,)


def in_drivers_batch(statement: PreparedStatement, values: tuple[Any, ...]) -> tuple[Any, ...]:
    batch = DriverBatchStatement()
    batch.add(statement, values)
    return (batch,)


WAYS = [held, bound, in_batch, bound_in_batch, in_drivers_batch]


@pytest.mark.parametrize("way", WAYS)
async def test_statement_of_another_session_is_compared_with_what_the_server_has(
    session: AsyncCassandraSession,
    another: AsyncCassandraSession,
    new_table: NewTable,
    way: Callable[..., tuple[Any, ...]],
) -> None:
    table = await new_table("k int PRIMARY KEY, v int")
    insert = await another.prepare(f"INSERT INTO {table} (k, v) VALUES (?, ?)")
    await session.execute(*way(insert, (1, 2)))
    assert [tuple(row) for row in await session.execute(f"SELECT k, v FROM {table}")] == [(1, 2)]
    old = way(insert, (1, 0x41424344))
    # Nobody tells the session that prepared it.
    await another.close()
    await session.execute(f"DROP TABLE {table}")
    await session.execute(f"CREATE TABLE {table} (k int PRIMARY KEY, v text)")
    # So that no node says that it has forgotten it.
    await session.execute(f"INSERT INTO {table} (k, v) VALUES (?, ?)", (9, "new"))
    for _ in range(2):
        if way is held:
            await session.execute(insert, (1, "bound by the new type"))
        else:
            with pytest.raises(StatementChangedError):
                await session.execute(*old)
    rows = {row.k: row.v for row in await session.execute(f"SELECT k, v FROM {table}")}
    assert rows == {9: "new"} | ({1: "bound by the new type"} if way is held else {})


async def test_rows_of_another_sessions_statement_have_this_ones_classes(
    session: AsyncCassandraSession,
    another: AsyncCassandraSession,
    new_table: NewTable,
    cassandra_keyspace: str,
) -> None:
    @dataclass
    class Point:
        x: int

    await session.execute("CREATE TYPE IF NOT EXISTS shared_point (x int)")
    table = await new_table("k int PRIMARY KEY, p frozen<shared_point>")
    session.cluster.register_user_type(cassandra_keyspace, "shared_point", Point)
    insert = await another.prepare(f"INSERT INTO {table} (k, p) VALUES (?, ?)")
    select = await another.prepare(f"SELECT p FROM {table}")
    await session.execute(insert, (1, Point(5)))
    result = await session.execute(select)
    row = result.one()
    assert row is not None
    assert row.p == Point(5)
