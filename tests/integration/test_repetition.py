"""Writes applied twice on a real server: what is inferred to be harmless leaves what once does."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import Phase, given, seed, settings

from async_cassandra import AsyncCassandraSession, AsyncCluster, QueryError
from async_cassandra._cql.analysis import Repetition, analyze
from tests.integration.conftest import Backend
from tests.support.cql_writes import COUNTERS, TABLE, TYPE, WRITES, Write, spaced

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

BASELINE = (
    "INSERT INTO {table} (key, ttl, json, values, timestamp, l, s, m, i, f, a) VALUES ({key}, {row},"
    " 'x', 'y', 1, [7, 8, 9], {{1, 4}}, {{'a': 1}}, {{1: 'z'}}, [5], {{street: 's', zip: 1}})"
    " USING TIMESTAMP 1000"
)


@pytest.fixture(scope="module")
def written() -> list[Write]:
    """The same writes each time."""
    found: list[Write] = []

    @seed(20)
    @settings(max_examples=250, phases=[Phase.generate], database=None, deadline=None)
    @given(WRITES)
    def collect(write: Write) -> None:
        found.append(write)

    collect()
    return found


@pytest.fixture(scope="module")
async def frozen_clock(
    anyio_backend: Backend, settings: dict[str, Any], cassandra_keyspace: str
) -> AsyncIterator[AsyncCassandraSession]:
    """A session all whose writes have one timestamp, as the attempts of one request have."""
    cluster = AsyncCluster(**settings, timestamp_generator=lambda: 2000)
    async with cluster, cluster.connect(cassandra_keyspace) as session:
        yield session


@pytest.fixture(scope="module")
async def names(session: AsyncCassandraSession, cassandra_keyspace: str) -> dict[str, str]:
    """A table that is called like a keyword, and one of counters; both loops have the same."""
    table, counters = f"{cassandra_keyspace}.values", f"{cassandra_keyspace}.counters"
    await session.execute(f"CREATE TYPE IF NOT EXISTS {cassandra_keyspace}.address ({TYPE})")
    for name, columns in ((table, TABLE.format(type="address")), (counters, COUNTERS)):
        await session.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns})")
        await session.execute(f"TRUNCATE {name}")
    return {"table": table, "counters": counters}


async def state(session: AsyncCassandraSession, table: str, key: int) -> list[Any]:
    return (await session.execute(f"SELECT JSON * FROM {table} WHERE key = {key}")).all()


async def applied_again(session: AsyncCassandraSession, text: str) -> bool:
    """Whether a write that was taken once is refused now."""
    try:
        await session.execute(text)
    except QueryError:
        return True
    return False


async def test_write_that_is_inferred_to_be_harmless_leaves_the_same_twice(
    frozen_clock: AsyncCassandraSession,
    session: AsyncCassandraSession,
    names: dict[str, str],
    written: list[Write],
) -> None:
    outcomes: Counter[str] = Counter()
    for key, write in enumerate(written):
        text = spaced(write, names | {"key": str(key)}, key)
        table = names["counters" if write.counts else "table"]
        if not write.counts:
            for row in (1, 2):
                await session.execute(BASELINE.format(table=table, key=key, row=row))
        try:
            await frozen_clock.execute(text)
        except QueryError:
            outcomes["refused"] += 1
            continue
        once = await state(session, table, key)
        differs = await applied_again(frozen_clock, text) or (
            await state(session, table, key) != once
        )
        repetition = analyze(text).repetition
        assert not (differs and repetition is Repetition.HARMLESS), text
        assert not (differs and write.is_harmless), text
        assert differs or not write.counts, text
        outcomes[f"{repetition.name} {'differs' if differs else 'same'}"] += 1
    assert outcomes["HARMLESS same"] > 40, outcomes
    assert outcomes["UNKNOWN differs"] > 10, outcomes
    assert outcomes["NEVER differs"] > 10, outcomes


TAKEN = [
    *("count = count + 1", "count = count - 1", "count += 1", "count=count-1", "count = count -1"),
    *("count = count + (1)", "count = count 1", "count = count - -1", "count += ((1))"),
    *("count /* x */ += -- {1}\n 1", "COUNT = Count + 1", "count = count + abs((counter) -1)"),
]
COUNTS = [*TAKEN, "count += (bigint) 1", "count = count + 1 + 1", "count += system.abs(-1)"]


@pytest.mark.parametrize("assignment", COUNTS)
async def test_counter_is_recognized_where_the_server_adds_to_one(
    session: AsyncCassandraSession, names: dict[str, str], assignment: str
) -> None:
    key = 10_000 + COUNTS.index(assignment)
    text = f"UPDATE {names['counters']} SET {assignment} WHERE key = {key} AND ttl = 1"
    assert analyze(text).repetition is Repetition.NEVER
    is_refused = False
    try:
        await session.execute(text)
    except QueryError:
        is_refused = assignment not in TAKEN
    assert is_refused or await state(session, names["counters"], key)


@pytest.mark.parametrize("condition", ["1IF m['a'] = 1", "1IF EXISTS", "(1)IF EXISTS"])
async def test_condition_is_recognized_where_the_servers_lexer_finds_one(
    session: AsyncCassandraSession, names: dict[str, str], condition: str
) -> None:
    text = f"UPDATE {names['table']} SET timestamp = 5 WHERE key = 20000 AND ttl = {condition}"
    assert analyze(text).repetition is Repetition.NEVER
    assert not (await session.execute(text)).was_applied
