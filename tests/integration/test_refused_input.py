"""Input that no request can carry: refused before it is sent, naming what does not fit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from async_cassandra import (
    AsyncCassandraSession,
    BatchStatement,
    ConfigurationError,
    QueryError,
)
from tests.integration.conftest import NewTable

pytestmark = pytest.mark.anyio

# Half of a pair: a str that has no encoding in UTF-8.
SURROGATE = "\ud800"
QUERY = "SELECT cluster_name FROM system.local"


async def execute_batch(session: AsyncCassandraSession) -> object:
    batch = BatchStatement()
    batch.add(f"INSERT INTO t (id, v) VALUES (1, '{SURROGATE}')")
    return await session.execute(batch)


NOT_TEXT: dict[str, Callable[[AsyncCassandraSession], Awaitable[object]]] = {
    "execute": lambda session: session.execute(f"SELECT '{SURROGATE}' FROM system.local"),
    "execute_stream": lambda s: s.execute_stream(f"SELECT '{SURROGATE}' FROM system.local"),
    "prepare": lambda session: session.prepare(f"SELECT '{SURROGATE}' FROM system.local"),
    "parameter": lambda session: session.execute("INSERT INTO t (v) VALUES (%s)", (SURROGATE,)),
    "batch": execute_batch,
}


@pytest.mark.parametrize("action", NOT_TEXT.values(), ids=NOT_TEXT)
async def test_query_that_is_no_text_is_refused(
    session: AsyncCassandraSession, action: Callable[[AsyncCassandraSession], Awaitable[object]]
) -> None:
    with pytest.raises(QueryError, match=r"cannot be sent.*surrogates not allowed") as failure:
        await action(session)
    assert isinstance(failure.value, ValueError)
    assert failure.value.attempts == 0
    assert (await session.execute(QUERY)).one() is not None
    assert session._core.executor.running == 0


async def test_keyspace_that_is_no_text_is_refused(session: AsyncCassandraSession) -> None:
    with pytest.raises(ConfigurationError, match="keyspace"):
        await session.set_keyspace(SURROGATE)


@pytest.mark.parametrize("key", [SURROGATE, "k" * 65536], ids=["surrogate", "too-long"])
async def test_payload_key_that_does_not_fit_is_refused(
    session: AsyncCassandraSession, key: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"custom_payload.*key"):
        await session.execute(QUERY, custom_payload={key: b""})


async def test_request_over_the_protocols_limit_is_refused(
    session: AsyncCassandraSession, new_table: NewTable
) -> None:
    table = await new_table("id int PRIMARY KEY, v blob")
    insert = await session.prepare(f"INSERT INTO {table} (id, v) VALUES (?, ?)")
    value: Any = bytes(256 * 1024 * 1024)
    with pytest.raises(QueryError, match="over the limit of 268435456") as failure:
        await session.execute(insert, (1, value))
    assert isinstance(failure.value, ValueError)
    assert (await session.execute(QUERY)).one() is not None
