"""A table whose rows this library cannot read, beside requests that have nothing to do with it."""

from __future__ import annotations

import asyncio

import pytest

from async_cassandra import AsyncCassandraSession
from async_cassandra.exceptions import ProtocolError
from tests.integration.conftest import NewTable

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

NESTED = "frozen<list<" * 70 + "int" + ">>" * 70


async def test_column_that_cannot_be_read_fails_its_own_requests_only(
    session: AsyncCassandraSession, new_table: NewTable
) -> None:
    nested = await new_table(f"k int PRIMARY KEY, v {NESTED}")
    plain = await new_table("k int PRIMARY KEY, v int")
    await session.execute(f"INSERT INTO {nested} (k) VALUES (1)")
    (pool,) = session._core.nodes.pools.values()
    (connection,) = pool.connections
    insert = await session.prepare(f"INSERT INTO {plain} (k, v) VALUES (?, ?)")
    writes = [session.execute(insert, (key, key)) for key in range(100)]
    broken = [
        session.execute(f"SELECT * FROM {nested}"),
        session.execute(f"SELECT * FROM {nested} WHERE k = ?", (1,)),
        session.prepare(f"SELECT v FROM {nested}"),
    ]
    outcomes = await asyncio.gather(*broken, *writes, return_exceptions=True)
    for outcome in outcomes[: len(broken)]:
        assert isinstance(outcome, ProtocolError)
        assert "nested" in str(outcome)
    assert not any(isinstance(outcome, Exception) for outcome in outcomes[len(broken) :])
    assert pool.connections == [connection]
    rows = await session.execute(f"SELECT k FROM {nested}")
    assert rows.one().k == 1
