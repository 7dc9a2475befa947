"""Ways to make a real Cassandra, or the client, refuse a request; and what HTTP should say of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from cassandra import ConsistencyLevel
from cassandra.query import SimpleStatement

from async_cassandra import AsyncCassandraSession

READ = "SELECT name FROM people WHERE id = ?"
WRITE = "INSERT INTO people (id, name) VALUES (?, ?)"
SCHEMA = "CREATE TABLE IF NOT EXISTS people (id int PRIMARY KEY, name text)"
# What no answer may show.
SECRETS = ("people", "SELECT", "INSERT", "127.0.0.1", "not a number")


async def late(session: AsyncCassandraSession) -> object:
    """So much to send that the deadline is over before."""
    query = "SELECT name FROM people WHERE name = ? ALLOW FILTERING"
    return await session.execute(query, ("x" * 8_000_000,), timeout=1e-6)


async def unavailable(session: AsyncCassandraSession) -> object:
    query = SimpleStatement(
        "SELECT name FROM people WHERE id = 1", consistency_level=ConsistencyLevel.THREE
    )
    return await session.execute(query)


async def overloaded(session: AsyncCassandraSession) -> object:
    """More requests than the session's one place and its queue without any."""
    statement = await session.prepare(READ)
    return await asyncio.gather(*(session.execute(statement, (key,)) for key in range(64)))


async def bad_type(session: AsyncCassandraSession) -> object:
    return await session.execute(WRITE, ("not a number", "Ada"))


async def bad_range(session: AsyncCassandraSession) -> object:
    return await session.execute(WRITE, (2**40, "Ada"))


async def refused(session: AsyncCassandraSession) -> object:
    return await session.execute("SELECT nothing_like_this FROM people")


async def bad_token(session: AsyncCassandraSession) -> object:
    return await session.execute("SELECT name FROM people", paging_state=b"not a token")


async def bad_syntax(session: AsyncCassandraSession) -> object:
    return await session.execute("SELEC name FROM people")


FAULTS: dict[str, tuple[Callable[[AsyncCassandraSession], Awaitable[Any]], int]] = {
    "late": (late, 504),
    "unavailable": (unavailable, 503),
    "overloaded": (overloaded, 503),
    "bad-type": (bad_type, 400),
    "bad-range": (bad_range, 400),
    "refused": (refused, 400),
    "bad-token": (bad_token, 400),
    "bad-syntax": (bad_syntax, 500),
}
