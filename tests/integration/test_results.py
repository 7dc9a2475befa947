"""What a request gives back."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Sequence
from typing import Any

import pytest
from cassandra.query import SimpleStatement

from async_cassandra import AsyncCassandraSession, AsyncResultSet, QueryError
from async_cassandra.statements import BatchStatement
from tests.integration.conftest import NewTable

pytestmark = pytest.mark.anyio

ROWS = 25


@pytest.fixture(scope="module")
async def table(session: AsyncCassandraSession, new_table: NewTable) -> str:
    """One partition of rows in order."""
    name = await new_table("p int, c int, v text, PRIMARY KEY (p, c)")
    insert = await session.prepare(f"INSERT INTO {name} (p, c, v) VALUES (0, ?, ?)")
    for key in range(ROWS):
        await session.execute(insert, (key, f"v{key}"))
    return name


@pytest.fixture(params=["one page", "many pages"])
async def result(
    session: AsyncCassandraSession, table: str, request: pytest.FixtureRequest
) -> AsyncResultSet:
    statement = SimpleStatement(
        f"SELECT p, c, v FROM {table}", fetch_size=1000 if request.param == "one page" else 4
    )
    return await session.execute(statement)


EXPECTED = [(0, key, f"v{key}") for key in range(ROWS)]


async def test_result_is_sized(result: AsyncResultSet) -> None:
    assert len(result) == ROWS
    assert len(result.rows) == ROWS
    assert result
    assert not result.has_more_pages
    assert result.paging_state is None


async def test_result_is_iterated_again_and_again(result: AsyncResultSet) -> None:
    for _ in range(2):
        assert list(result) == EXPECTED
        assert [row async for row in result] == EXPECTED
    async for row in result:
        assert row == EXPECTED[0]
        break
    assert [row async for row in result] == EXPECTED


async def test_result_is_indexed(result: AsyncResultSet) -> None:
    assert result[0] == result.one() == EXPECTED[0]
    assert result[-1] == EXPECTED[-1]
    assert result[7] == EXPECTED[7]
    assert result[3:6] == EXPECTED[3:6]
    assert result[::-5] == EXPECTED[::-5]
    assert result[-3:] == EXPECTED[-3:]
    for index in (ROWS, -ROWS - 1):
        with pytest.raises(IndexError):
            result[index]


async def test_rows_are_a_sequence(result: AsyncResultSet) -> None:
    assert result.rows == EXPECTED
    assert result.rows == result.all()
    assert isinstance(result.all(), list)
    assert isinstance(result.rows, Sequence)
    assert EXPECTED[3] in result.rows
    assert result.rows.index(EXPECTED[3]) == 3
    assert list(reversed(result.rows)) == EXPECTED[::-1]
    assert result.rows != EXPECTED[1:]


async def test_row_is_read_once(result: AsyncResultSet) -> None:
    assert result[5] is result[5]
    assert result.one() is result[0]


async def test_row_is_named_tuple_and_mapping_like(result: AsyncResultSet) -> None:
    row: Any = result[2]
    assert (row.p, row.c, row.v) == (0, 2, "v2")
    assert (row[0], row[-1], row[0:2]) == (0, "v2", (0, 2))
    assert (row["p"], row["c"], row["v"]) == (0, 2, "v2")
    p, c, v = row
    assert (p, c, v) == row == (0, 2, "v2")
    assert tuple in type(row).__mro__
    assert row._fields == ("p", "c", "v")
    assert row._asdict() == {"p": 0, "c": 2, "v": "v2"}
    assert row._replace(v="x") == (0, 2, "x")
    assert hash(row) == hash((0, 2, "v2"))
    assert "v='v2'" in repr(row)
    with pytest.raises(AttributeError):
        _ = row.nothing
    with pytest.raises(KeyError):
        row["nothing"]
    with pytest.raises(IndexError):
        row[3]


async def test_row_is_copied_and_pickled(result: AsyncResultSet) -> None:
    for duplicate in (pickle.loads(pickle.dumps(result[2])), copy.deepcopy(result[2])):
        assert duplicate == result[2]
        assert duplicate.v == "v2"
        assert duplicate["v"] == "v2"


async def test_row_is_as_plain_drivers(
    session: AsyncCassandraSession, plain_session: Any, table: str
) -> None:
    query = (
        f'SELECT p, c AS "Quoted Name", v AS "class", count(*), writetime(v), "v" AS "_x" '
        f"FROM {table} GROUP BY p, c LIMIT 3"
    )
    mine = (await session.execute(query)).one()
    theirs = await asyncio.to_thread(lambda: plain_session.execute(query).one())
    assert mine._fields == theirs._fields
    assert tuple(mine) == tuple(theirs)
    assert mine == theirs
    for field in theirs._fields:
        assert getattr(mine, field) == getattr(theirs, field)
    assert mine["Quoted Name"] == mine[1]
    assert mine["class"] == mine[2]


async def test_columns_are_as_plain_drivers(
    session: AsyncCassandraSession, plain_session: Any, table: str
) -> None:
    query = f'SELECT v AS "Mixed", p, count(*) FROM {table} GROUP BY p'
    for statement in (query, await session.prepare(query)):
        mine = await session.execute(statement)
        theirs = await asyncio.to_thread(plain_session.execute, query)
        assert mine.column_names == theirs.column_names == ["Mixed", "p", "count"]
        assert mine.column_types == list(theirs.column_types)


async def test_result_without_rows_is_empty(session: AsyncCassandraSession, table: str) -> None:
    select = await session.execute(f"SELECT p, v FROM {table} WHERE p = 77")
    write = await session.execute(f"INSERT INTO {table} (p, c, v) VALUES (99, 0, '')")
    for empty in (select, write):
        assert empty.one() is None
        assert empty.all() == []
        assert len(empty) == 0
        assert not empty
        assert [row async for row in empty] == list(empty) == []
        assert not empty.has_more_pages
        with pytest.raises(IndexError):
            empty[0]
    assert select.column_names == ["p", "v"]
    assert write.column_names == []
    assert write.column_types == []
    await session.execute(f"DELETE FROM {table} WHERE p = 99")


async def test_coordinator_is_named(session: AsyncCassandraSession, result: AsyncResultSet) -> None:
    assert result.coordinator in {
        f"{host.endpoint.address}:{host.endpoint.port}"
        for host in session.cluster.metadata.all_hosts()  # type: ignore[union-attr]
    }


async def test_warnings_of_server_are_given(session: AsyncCassandraSession, table: str) -> None:
    batch = BatchStatement()
    for key in range(120):
        batch.add(f"INSERT INTO {table} (p, c, v) VALUES (?, 0, ?)", (1000 + key, "x" * 100))
    result = await session.execute(batch)
    assert any("exceed" in warning for warning in result.warnings)
    assert (await session.execute(f"SELECT v FROM {table} LIMIT 1")).warnings == []
    for key in range(120):
        await session.execute(f"DELETE FROM {table} WHERE p = ?", (1000 + key,))


async def test_custom_payload_is_none_without_one(result: AsyncResultSet) -> None:
    assert result.custom_payload is None


async def test_repr_shows_rows(result: AsyncResultSet) -> None:
    assert str(ROWS) in repr(result)
    assert "v0" in repr(result.rows)


# Paging by tokens


@pytest.mark.parametrize("fetch_size", [1, 4, 5, 24, 25, 26, 5000])
@pytest.mark.parametrize("is_prepared", [False, True])
async def test_pages_follow_tokens(
    session: AsyncCassandraSession, table: str, fetch_size: int, is_prepared: bool
) -> None:
    query = f"SELECT p, c, v FROM {table} WHERE p = 0"
    statement: Any
    if is_prepared:
        statement = await session.prepare(query)
        statement.fetch_size = fetch_size
    else:
        statement = SimpleStatement(query, fetch_size=fetch_size)
    rows: list[Any] = []
    token: bytes | None = b""
    pages = 0
    while token is not None:
        page = await session.execute(statement, paging_state=token)
        assert len(page) <= fetch_size
        assert page.has_more_pages == (page.paging_state is not None)
        rows += page.all()
        token = page.paging_state
        pages += 1
    assert rows == EXPECTED
    assert pages >= -(-ROWS // fetch_size)


async def test_token_is_good_in_other_session(session: AsyncCassandraSession, table: str) -> None:
    statement = SimpleStatement(f"SELECT p, c, v FROM {table} WHERE p = 0", fetch_size=10)
    first = await session.execute(statement, paging_state=b"")
    assert first.all() == EXPECTED[:10]
    async with session.cluster.connect() as other:
        second = await other.execute(statement, paging_state=first.paging_state)
        assert second.all() == EXPECTED[10:20]
        stream = await other.execute_stream(statement, paging_state=first.paging_state)
        assert [row async for row in stream] == EXPECTED[10:]


async def test_token_that_is_none_is_refused(session: AsyncCassandraSession, table: str) -> None:
    with pytest.raises(QueryError):
        await session.execute(f"SELECT * FROM {table}", paging_state=b"\x01nonsense")
    assert (await session.execute(f"SELECT * FROM {table} LIMIT 1")).one() is not None


async def test_large_result_lets_other_tasks_run(
    session: AsyncCassandraSession, new_table: NewTable
) -> None:
    table = await new_table("p int, c int, PRIMARY KEY (p, c)")
    insert = await session.prepare(f"INSERT INTO {table} (p, c) VALUES (0, ?)")
    await asyncio.gather(*(session.execute(insert, (key,)) for key in range(3000)))
    result = await session.execute(SimpleStatement(f"SELECT * FROM {table}", fetch_size=5000))
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    rows = [row async for row in result]
    counting.cancel()
    assert len(rows) == 3000
    assert turns >= 5
