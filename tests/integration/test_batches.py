"""Batches of every kind, and lightweight transactions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import cassandra
import pytest
from cassandra import ConsistencyLevel
from cassandra.query import BatchStatement as DriverBatchStatement
from cassandra.query import BatchType, SimpleStatement

from async_cassandra import AsyncCassandraSession, AsyncCluster, ConfigurationError, QueryError
from async_cassandra.exceptions import ParameterValueError, StatementChangedError
from async_cassandra.server import RunningServer
from async_cassandra.statements import BatchStatement
from tests.integration.conftest import NewTable

pytestmark = pytest.mark.anyio

COLUMNS = "p int, c int, v text, PRIMARY KEY (p, c)"


@pytest.fixture(scope="module")
def other_keyspace(cassandra_server: RunningServer, cassandra_keyspace: str) -> Iterator[str]:
    name = f"{cassandra_keyspace}_2"
    replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    cassandra_server.execute(f"CREATE KEYSPACE {name} WITH replication = {replication}")
    yield name
    cassandra_server.execute(f"DROP KEYSPACE {name}")


async def rows_of(session: AsyncCassandraSession, table: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await session.execute(f"SELECT p, c, v FROM {table}")]


@pytest.mark.parametrize("batch_type", [BatchType.LOGGED, BatchType.UNLOGGED], ids=str)
@pytest.mark.parametrize("kind", [BatchStatement, DriverBatchStatement])
async def test_batch_executes_statements_of_every_kind(
    session: AsyncCassandraSession,
    new_table: NewTable,
    batch_type: BatchType,
    kind: type[DriverBatchStatement],
) -> None:
    table = await new_table(COLUMNS)
    insert = await session.prepare(f"INSERT INTO {table} (p, c, v) VALUES (?, ?, ?)")
    batch = kind(batch_type)
    batch.add(f"INSERT INTO {table} (p, c, v) VALUES (0, 0, 'string ?')")
    batch.add(f"INSERT INTO {table} (p, c, v) VALUES (%s, %s, %s)", (0, 1, "format"))
    batch.add(SimpleStatement(f"INSERT INTO {table} (p, c, v) VALUES (0, 2, 'simple')"))
    batch.add(
        SimpleStatement(f"INSERT INTO {table} (p, c, v) VALUES (%(p)s, %(c)s, %(v)s)"),
        {"p": 0, "c": 3, "v": "named format"},
    )
    batch.add(insert, (0, 4, "prepared"))
    batch.add(insert.bind((0, 5, "bound")))
    batch.add(insert.bind({"p": 0, "c": 6}))
    for execute in (session.execute, session.execute_batch):
        await execute(batch)
    assert await rows_of(session, table) == [
        (0, 0, "string ?"),
        (0, 1, "format"),
        (0, 2, "simple"),
        (0, 3, "named format"),
        (0, 4, "prepared"),
        (0, 5, "bound"),
        (0, 6, None),
    ]


async def test_batch_takes_strings_with_markers(
    session: AsyncCassandraSession, new_table: NewTable
) -> None:
    table = await new_table(COLUMNS)
    batch = BatchStatement()
    batch.add(f"INSERT INTO {table} (p, c, v) VALUES (?, ?, ?)", (0, 0, "positional"))
    batch.add(f"INSERT INTO {table} (p, c, v) VALUES (:p, :c, :v)", {"p": 0, "c": 1, "v": "named"})
    batch.add(SimpleStatement(f"INSERT INTO {table} (p, c, v) VALUES (?, ?, '?')"), [0, 2])
    await session.execute(batch)
    assert await rows_of(session, table) == [
        (0, 0, "positional"),
        (0, 1, "named"),
        (0, 2, "?"),
    ]


async def test_drivers_batch_takes_strings_with_markers(
    session: AsyncCassandraSession, new_table: NewTable
) -> None:
    """The driver's own class would write the values into the string, where there is nothing to write."""
    table = await new_table(COLUMNS)
    batch = DriverBatchStatement()
    with pytest.raises(TypeError):
        batch.add(f"INSERT INTO {table} (p, c, v) VALUES (?, ?, ?)", (0, 0, "positional"))


async def test_batch_of_drivers_statements_is_executed(
    session: AsyncCassandraSession, plain_session: Any, new_table: NewTable
) -> None:
    table = await new_table(COLUMNS)
    query = f"INSERT INTO {table} (p, c, v) VALUES (?, ?, ?)"
    foreign = await asyncio.to_thread(plain_session.prepare, query)
    await session.execute(foreign, (0, 9, "by itself"))
    batch = BatchStatement()
    batch.add(foreign, (0, 0, "prepared"))
    batch.add(foreign.bind((0, 5, "bound")))
    await session.execute(batch)
    assert [row[1] for row in await rows_of(session, table)] == [0, 5, 9]
    # The driver's own class keeps an id and bytes, which do not tell what types they are of.
    ids = DriverBatchStatement()
    ids.add(foreign, (0, 1, "prepared"))
    with pytest.raises(ConfigurationError, match="only its id"):
        await session.execute(ids)


async def test_bytes_that_the_driver_encoded_for_other_types_are_refused(
    session: AsyncCassandraSession, plain_session: Any, new_table: NewTable
) -> None:
    table = await new_table(COLUMNS)
    query = f"INSERT INTO {table} (p, c, v) VALUES (?, ?, ?)"
    foreign = await asyncio.to_thread(plain_session.prepare, query)
    bound = foreign.bind((0, 0x41424344, "old"))
    await session.execute(f"DROP TABLE {table}")
    await session.execute(f"CREATE TABLE {table} (p int, c text, v text, PRIMARY KEY (p, c))")
    batch = BatchStatement()
    batch.add(bound)
    for statement in (bound, batch, bound):
        with pytest.raises(StatementChangedError):
            await session.execute(statement)
    assert await rows_of(session, table) == []


async def test_batch_of_drivers_statement_never_seen_is_executed(
    session: AsyncCassandraSession, plain_session: Any, new_table: NewTable
) -> None:
    table = await new_table(COLUMNS)
    query = f"INSERT INTO {table} (p, c, v) VALUES (?, ?, ?)"
    foreign = await asyncio.to_thread(plain_session.prepare, query)
    batch = BatchStatement()
    batch.add(foreign, (0, 0, "prepared"))
    batch.add(foreign.bind((0, 1, "bound")))
    await session.execute(batch)
    assert [row[1] for row in await rows_of(session, table)] == [0, 1]


async def test_batch_by_add_all_and_clear(
    session: AsyncCassandraSession, new_table: NewTable
) -> None:
    table = await new_table(COLUMNS)
    insert = await session.prepare(f"INSERT INTO {table} (p, c, v) VALUES (?, ?, ?)")
    batch = BatchStatement()
    batch.add_all([insert] * 3, [(0, key, "x") for key in range(3)])
    assert len(batch) == 3
    await session.execute(batch)
    batch.clear()
    assert len(batch) == 0
    batch.add(insert, (0, 7, "y"))
    await session.execute(batch)
    assert [row[1] for row in await rows_of(session, table)] == [0, 1, 2, 7]


async def test_empty_batch_is_executed(session: AsyncCassandraSession) -> None:
    assert (await session.execute(BatchStatement())).one() is None


async def test_counter_batch_counts(session: AsyncCassandraSession, new_table: NewTable) -> None:
    table = await new_table("id int PRIMARY KEY, v counter")
    update = await session.prepare(f"UPDATE {table} SET v = v + ? WHERE id = ?")
    batch = BatchStatement(BatchType.COUNTER)
    batch.add(update, (5, 1))
    batch.add(f"UPDATE {table} SET v = v + ? WHERE id = ?", (2, 1))
    batch.add(f"UPDATE {table} SET v = v + 1 WHERE id = 2")
    await session.execute(batch)
    rows = {row.id: row.v for row in await session.execute(f"SELECT * FROM {table}")}
    assert rows == {1: 7, 2: 1}


async def test_counter_in_logged_batch_is_refused(
    session: AsyncCassandraSession, new_table: NewTable
) -> None:
    table = await new_table("id int PRIMARY KEY, v counter")
    batch = BatchStatement()
    batch.add(f"UPDATE {table} SET v = v + 1 WHERE id = 2")
    with pytest.raises(cassandra.InvalidRequest):
        await session.execute(batch)


async def test_batch_options_are_asked_for(
    session: AsyncCassandraSession, new_table: NewTable
) -> None:
    table = await new_table(COLUMNS)
    batch = BatchStatement(
        consistency_level=ConsistencyLevel.QUORUM,
        serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
        custom_payload={"a": b"b"},
    )
    batch.add(f"INSERT INTO {table} (p, c, v) VALUES (0, 0, 'x')")
    result = await session.execute_batch(batch, trace=True, custom_payload={"c": b"d"}, timeout=5.0)
    trace = await result.get_query_trace()
    assert trace is not None
    assert trace.parameters is not None
    assert trace.parameters["consistency_level"] == "QUORUM"
    assert trace.parameters["serial_consistency_level"] == "LOCAL_SERIAL"


async def test_batch_has_one_timestamp(session: AsyncCassandraSession, new_table: NewTable) -> None:
    table = await new_table(COLUMNS)
    batch = BatchStatement()
    for key in range(3):
        batch.add(f"INSERT INTO {table} (p, c, v) VALUES (?, 0, 'x')", (key,))
    await session.execute(batch)
    rows = await session.execute(f"SELECT WRITETIME(v) AS at FROM {table}")
    assert len({row.at for row in rows}) == 1


async def test_batch_keyspace_is_that_of_its_statements(
    cluster: AsyncCluster, session: AsyncCassandraSession, new_table: NewTable
) -> None:
    table = await new_table(COLUMNS)
    keyspace, name = table.split(".")
    async with cluster.connect("system") as elsewhere:
        batch = BatchStatement()
        batch.add(
            SimpleStatement(f"INSERT INTO {name} (p, c, v) VALUES (0, 0, 'x')", keyspace=keyspace)
        )
        batch.add(
            SimpleStatement(f"INSERT INTO {name} (p, c, v) VALUES (?, ?, ?)", keyspace=keyspace),
            (0, 1, "y"),
        )
        await elsewhere.execute(batch)
    assert await rows_of(session, table) == [(0, 0, "x"), (0, 1, "y")]


async def test_batch_keyspace_is_not_that_of_bound_statements(
    cluster: AsyncCluster, session: AsyncCassandraSession, new_table: NewTable, other_keyspace: str
) -> None:
    table = await new_table(COLUMNS)
    name = table.partition(".")[2]
    await session.execute(f"CREATE TABLE {other_keyspace}.{name} ({COLUMNS})")
    elsewhere = await session.prepare(
        f"INSERT INTO {other_keyspace}.{name} (p, c, v) VALUES (?, ?, ?)"
    )
    batch = BatchStatement()
    batch.add(elsewhere, (0, 0, "elsewhere"))
    batch.add(f"INSERT INTO {name} (p, c, v) VALUES (0, 0, 'here')")
    batch.add(f"INSERT INTO {name} (p, c, v) VALUES (?, ?, ?)", (0, 1, "here too"))
    await session.execute(batch)
    assert await rows_of(session, table) == [(0, 0, "here"), (0, 1, "here too")]
    assert await rows_of(session, f"{other_keyspace}.{name}") == [(0, 0, "elsewhere")]


def test_batch_of_two_keyspaces_is_refused() -> None:
    batch = BatchStatement()
    batch.add(SimpleStatement("INSERT INTO t (id) VALUES (1)", keyspace="one"))
    with pytest.raises(ConfigurationError, match="'one', not 'two'"):
        batch.add(SimpleStatement("INSERT INTO t (id) VALUES (1)", keyspace="two"))
    assert len(batch) == 1


async def test_batch_that_does_not_fit_is_refused_before_sending(
    session: AsyncCassandraSession, new_table: NewTable
) -> None:
    table = await new_table(COLUMNS)
    insert = await session.prepare(f"INSERT INTO {table} (p, c, v) VALUES (?, ?, ?)")
    batch = BatchStatement()
    batch.add(insert, (0, 0, "x"))
    with pytest.raises(ParameterValueError, match="'c'"):
        batch.add(insert, (0, 2**31, "x"))
    assert len(batch) == 1
    batch.add(f"INSERT INTO {table} (p, c, v) VALUES (?, ?, ?)", (0, 2**31, "x"))
    with pytest.raises(ParameterValueError, match="'c'"):
        await session.execute(batch)
    assert await rows_of(session, table) == []


def test_batch_refuses_mixed_markers() -> None:
    batch = BatchStatement()
    with pytest.raises(ParameterValueError, match=r"\?.*:name"):
        batch.add("INSERT INTO t (id, v) VALUES (?, :v)", {"v": 1})
    assert len(batch) == 0


async def test_large_batch_is_refused_by_server_with_its_words(
    session: AsyncCassandraSession, new_table: NewTable
) -> None:
    table = await new_table(COLUMNS)
    insert = await session.prepare(f"INSERT INTO {table} (p, c, v) VALUES (?, ?, ?)")
    batch = BatchStatement(BatchType.UNLOGGED)
    for key in range(40):
        batch.add(insert, (key, 0, "x" * 2000))
    with pytest.raises(cassandra.InvalidRequest, match=r"[Bb]atch too large") as failure:
        await session.execute(batch)
    assert isinstance(failure.value, QueryError)


# Lightweight transactions


async def test_conditional_insert_tells_whether_it_was_applied(
    session: AsyncCassandraSession, new_table: NewTable
) -> None:
    table = await new_table(COLUMNS)
    query = f"INSERT INTO {table} (p, c, v) VALUES (?, ?, ?) IF NOT EXISTS"
    prepared = await session.prepare(query)
    statements: list[Any] = [query, prepared]
    for number, statement in enumerate(statements):
        first = await session.execute(statement, (number, 0, "first"))
        assert first.was_applied is True
        assert first.column_names == ["[applied]"]
        second = await session.execute(statement, (number, 0, "second"))
        assert second.was_applied is False
        row = second.one()
        assert (row["[applied]"], row.p, row.c, row.v) == (False, number, 0, "first")
        assert (await session.execute(statement, (number, 1, "x"))).was_applied is True


async def test_conditional_update_and_delete_are_applied(
    session: AsyncCassandraSession, new_table: NewTable
) -> None:
    table = await new_table(COLUMNS)
    await session.execute(f"INSERT INTO {table} (p, c, v) VALUES (0, 0, 'a')")
    update = await session.prepare(f"UPDATE {table} SET v = ? WHERE p = 0 AND c = 0 IF v = ?")
    assert (await session.execute(update, ("b", "x"))).was_applied is False
    assert (await session.execute(update, ("b", "a"))).was_applied is True
    refused = await session.execute(update, ("c", "a"))
    assert refused.one().v == "b"
    delete = f"DELETE FROM {table} WHERE p = 0 AND c = 0 IF EXISTS"
    assert (await session.execute(delete)).was_applied is True
    assert (await session.execute(delete)).was_applied is False


@pytest.mark.parametrize("is_prepared", [False, True])
async def test_conditional_batch_tells_whether_it_was_applied(
    session: AsyncCassandraSession, new_table: NewTable, is_prepared: bool
) -> None:
    table = await new_table(COLUMNS)
    query = f"INSERT INTO {table} (p, c, v) VALUES (?, ?, ?) IF NOT EXISTS"
    insert: Any = await session.prepare(query) if is_prepared else query
    batch = BatchStatement()
    batch.add(insert, (0, 0, "a"))
    batch.add(insert, (0, 1, "b"))
    assert (await session.execute(batch)).was_applied is True
    again = BatchStatement()
    again.add(insert, (0, 1, "c"))
    again.add(insert, (0, 2, "d"))
    refused = await session.execute(again)
    assert refused.was_applied is False
    assert [row.c for row in refused] == [1]
    assert [row[1:] for row in await rows_of(session, table)] == [(0, "a"), (1, "b")]


async def test_was_applied_of_other_statement_raises(
    session: AsyncCassandraSession, new_table: NewTable
) -> None:
    table = await new_table(COLUMNS)
    for query in (
        f"INSERT INTO {table} (p, c, v) VALUES (0, 0, 'a')",
        f"SELECT * FROM {table}",
    ):
        with pytest.raises(RuntimeError, match="IF"):
            _ = (await session.execute(query)).was_applied


async def test_conditional_statement_decodes_right_after_others(
    session: AsyncCassandraSession, new_table: NewTable
) -> None:
    """Its result has other columns each time, which must not become those of the statement."""
    table = await new_table(COLUMNS)
    insert = await session.prepare(f"INSERT INTO {table} (p, c, v) VALUES (?, ?, ?) IF NOT EXISTS")

    async def insert_once(key: int) -> tuple[bool, bool]:
        first = await session.execute(insert, (key, 0, f"v{key}"))
        second = await session.execute(insert, (key, 0, "other"))
        assert second.one().v == f"v{key}"
        return first.was_applied, second.was_applied

    outcomes = await asyncio.gather(*(insert_once(key) for key in range(30)))
    assert outcomes == [(True, False)] * 30


async def test_batch_in_which_one_statement_has_a_keyspace_and_others_mean_the_sessions_is_refused(
    session: AsyncCassandraSession,
) -> None:
    batch = BatchStatement()
    batch.add(SimpleStatement("INSERT INTO t (k) VALUES (1)", keyspace="another"))
    batch.add("INSERT INTO t (k) VALUES (2)")
    with pytest.raises(ConfigurationError, match="'another', others mean the session's"):
        await session.execute(batch)
    batch.clear()
    assert batch.keyspace is None


async def test_statement_of_the_driver_means_the_keyspace_that_it_was_prepared_in(
    session: AsyncCassandraSession, plain_session: Any, new_table: NewTable
) -> None:
    table = await new_table(COLUMNS)
    other = f"{session.keyspace}_other"[-48:]
    await session.execute(
        f"CREATE KEYSPACE IF NOT EXISTS {other} WITH replication = "
        "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    )
    name = table.rpartition(".")[2]
    await session.execute(f"CREATE TABLE {other}.{name} ({COLUMNS})")
    query = f"INSERT INTO {name} (p, c, v) VALUES (?, ?, ?)"
    foreign = await asyncio.to_thread(plain_session.prepare, query, None, other)
    batch = BatchStatement()
    batch.add(foreign.bind((0, 3, "batch")))
    await session.execute(foreign, (0, 1, "held"))
    await session.execute(foreign.bind((0, 2, "bound")))
    await session.execute(batch)
    found = await session.execute(f"SELECT c FROM {other}.{name}")
    assert sorted(row.c for row in found) == [1, 2, 3]
    assert await rows_of(session, table) == []
    await session.execute(f"DROP KEYSPACE {other}")
