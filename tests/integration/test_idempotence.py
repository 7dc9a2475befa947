"""What is sent again after a lost connection: decided by mark, profile and CQL, and then done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cassandra.cluster import EXEC_PROFILE_DEFAULT
from cassandra.cluster import ExecutionProfile as DriverExecutionProfile
from cassandra.query import BatchStatement as DriverBatchStatement
from cassandra.query import BatchType, SimpleStatement

from async_cassandra import (
    AsyncCassandraSession,
    AsyncCluster,
    AsyncRetryPolicy,
    BatchStatement,
    ClientOptions,
    ConnectionError,
    ExecutionProfile,
)
from tests.integration.conftest import NewTable
from tests.support.cutting_proxy import CuttingProxy
from tests.support.figures import Report
from tests.support.proxied import ThroughProxies

pytestmark = [pytest.mark.anyio, pytest.mark.promise(10), pytest.mark.timeout(60)]

INFER = [pytest.param(False, id="marked-only"), pytest.param(True, id="inferred")]
PROFILES: dict[Any, DriverExecutionProfile] = {
    EXEC_PROFILE_DEFAULT: ExecutionProfile(),
    "of the driver": DriverExecutionProfile(),
    "yes": ExecutionProfile(is_idempotent=True),
    "no": ExecutionProfile(is_idempotent=False),
}


@pytest.fixture(scope="module")
async def table(new_table: NewTable) -> str:
    return await new_table("k int PRIMARY KEY, v int, t timeuuid, l list<int>, f frozen<list<int>>")


@pytest.fixture(scope="module")
async def counters(new_table: NewTable) -> str:
    return await new_table("k int PRIMARY KEY, n counter")


@pytest.fixture(params=INFER)
async def deciding(
    request: pytest.FixtureRequest, anyio_backend: Any, settings: dict[str, Any]
) -> AsyncIterator[AsyncCassandraSession]:
    """A session with profiles of every default."""
    options = ClientOptions(infer_idempotence=request.param)
    cluster = AsyncCluster(**settings, execution_profiles=PROFILES, client_options=options)
    async with cluster, cluster.connect() as session:
        yield session


async def decided(
    session: AsyncCassandraSession,
    query: Any,
    parameters: Any = None,
    profile: object = EXEC_PROFILE_DEFAULT,
) -> bool:
    """Whether the session would send this again; it is not sent."""
    options = session._core.calls.options(execution_profile=profile)
    request = await session._core.calls.request(query, parameters, options)
    return request.idempotent


async def every_kind(session: AsyncCassandraSession, insert: str, mark: bool | None) -> list[Any]:
    """The same write as each kind of statement that can say ``mark``."""
    prepared = await session.prepare(insert)
    prepared.is_idempotent = mark
    batch = BatchStatement()
    batch.add(insert, (1, 1))
    batch.is_idempotent = mark
    simple = SimpleStatement(insert, is_idempotent=mark)
    every = [prepared, prepared.bind((1, 1)), batch, simple]
    return [*every, insert] if mark is None else every


async def decisions(session: AsyncCassandraSession, queries: list[Any], profile: object) -> Any:
    found = set()
    for query in queries:
        binds = isinstance(query, str) or hasattr(query, "query_string")
        found.add(await decided(session, query, (1, 1) if binds else None, profile))
    return found.pop() if len(found) == 1 else found


@pytest.mark.parametrize("profile", PROFILES)
async def test_mark_beats_profile_and_profile_beats_inference(
    deciding: AsyncCassandraSession, table: str, profile: object
) -> None:
    insert = f"INSERT INTO {table} (k, v) VALUES (?, ?)"
    infers = deciding._core.options.infer_idempotence
    unmarked = {"yes": True, "no": False}.get(str(profile), infers)
    said = [await every_kind(deciding, insert, mark) for mark in (None, True)]
    assert await decisions(deciding, said[0], profile) is unmarked
    assert await decisions(deciding, said[1], profile) is True
    own = [query for query in await every_kind(deciding, insert, False) if _is_ours(query)]
    assert len(own) == 3
    assert await decisions(deciding, own, profile) is False


def _is_ours(query: Any) -> bool:
    return not isinstance(query, SimpleStatement)


async def test_false_of_a_drivers_statement_is_never_overruled_by_a_profile(
    deciding: AsyncCassandraSession, table: str
) -> None:
    """It cannot be told from nothing said: what is inferred still counts."""
    infers = deciding._core.options.infer_idempotence
    simple = SimpleStatement(f"INSERT INTO {table} (k, v) VALUES (1, 1)")
    batch = DriverBatchStatement()
    batch.add(simple)
    for query in (simple, batch):
        for profile in ("yes", EXEC_PROFILE_DEFAULT):
            assert await decided(deciding, query, profile=profile) is infers
        assert not await decided(deciding, query, profile="no")


async def test_batch_that_says_nothing_is_what_its_statements_say(
    deciding: AsyncCassandraSession, table: str
) -> None:
    insert = await deciding.prepare(f"INSERT INTO {table} (k, v) VALUES (?, ?)")
    batch = BatchStatement()
    insert.is_idempotent = True
    batch.add(insert, (1, 1))
    assert await decided(deciding, batch)
    insert.is_idempotent = False
    batch.add(insert, (1, 1))
    assert not await decided(deciding, batch, profile="yes")
    batch.is_idempotent = True
    assert await decided(deciding, batch)


NEVER = [
    "INSERT INTO {0} (k) VALUES (1) IF NOT EXISTS",
    "UPDATE {1} SET n = n + 1 WHERE k = 1",
    "BEGIN COUNTER BATCH UPDATE {1} SET n = n + 1 WHERE k = 1 APPLY BATCH",
]


@pytest.mark.parametrize("query", NEVER)
async def test_nothing_overrules_what_the_cql_forbids(
    deciding: AsyncCassandraSession, table: str, counters: str, query: str
) -> None:
    text = query.format(table, counters)
    prepared = await deciding.prepare(text)
    prepared.is_idempotent = True
    for marked in (prepared, SimpleStatement(text, is_idempotent=True)):
        assert not await decided(deciding, marked, profile="yes")


async def test_nothing_overrules_a_counter_parameter_or_batch(
    deciding: AsyncCassandraSession, counters: str
) -> None:
    text = f"UPDATE {counters} SET n = n + ? WHERE k = ?"
    prepared = await deciding.prepare(text)
    prepared.is_idempotent = True
    assert not await decided(deciding, prepared, (1, 1), "yes")
    formatted = SimpleStatement(text.replace("?", "%s"), is_idempotent=True)
    assert not await decided(deciding, formatted, (1, 1), "yes")
    batch = BatchStatement(batch_type=BatchType.COUNTER)
    batch.add(prepared, (1, 1))
    batch.is_idempotent = True
    assert not await decided(deciding, batch)


LISTS = [
    ("INSERT INTO {} (k, l) VALUES (?, ?)", (1, [1])),
    ("INSERT INTO {} (k, l) VALUES (%s, %s)", (1, [1])),
    ("INSERT INTO {} (k, l) VALUES (1, [1])", None),
    ("UPDATE {} SET l = ? WHERE k = ?", ([1], 1)),
    ("UPDATE {} SET l = l + ? WHERE k = ?", ([1], 1)),
    ("INSERT INTO {} JSON ?", ('{"k": 1, "l": [1]}',)),
]


@pytest.mark.parametrize(("query", "parameters"), LISTS)
async def test_write_of_a_list_is_never_inferred(
    deciding: AsyncCassandraSession, table: str, query: str, parameters: Any
) -> None:
    assert not await decided(deciding, query.format(table), parameters)
    assert await decided(deciding, query.format(table), parameters, "yes")


async def test_list_that_is_written_again_at_the_same_time_grows(
    session: AsyncCassandraSession, table: str
) -> None:
    """Why that is never inferred."""
    for _ in range(2):
        await session.execute(
            f"INSERT INTO {table} (k, l, f) VALUES (77, [1, 2], [1, 2]) USING TIMESTAMP 1000"
        )
    row = (await session.execute(f"SELECT l, f FROM {table} WHERE k = 77")).one()
    assert (row.l, row.f) == ([1, 2, 1, 2], [1, 2])


async def test_values_written_into_a_string_count(
    deciding: AsyncCassandraSession, table: str
) -> None:
    infers = deciding._core.options.infer_idempotence
    query = f"INSERT INTO {table} (k, v) VALUES (%s, %s)"
    assert await decided(deciding, query, (1, 1)) is infers
    assert await decided(deciding, query.replace("%s", "%(a)s"), {"a": 1}) is infers
    assert await decided(deciding, f"UPDATE {table} SET m = %s WHERE k = 1", ({1: 2},)) is infers
    # The driver writes a tuple as a list.
    assert not await decided(deciding, f"UPDATE {table} SET l = %s WHERE k = 1", ((1, 2),))
    assert not await decided(deciding, f"UPDATE {table} SET l = l + %s WHERE k = 1", ([1],))


# Lost connections: each write is applied, its answer is swallowed, and the connection is cut.


@pytest.fixture(params=INFER)
async def cut(
    request: pytest.FixtureRequest, anyio_backend: Any, settings: dict[str, Any]
) -> AsyncIterator[tuple[AsyncCassandraSession, CuttingProxy]]:
    """A session that reaches the server through a proxy."""
    async with CuttingProxy(settings["contact_points"][0], settings["port"]) as proxy:
        through: dict[str, Any] = settings | {
            "contact_points": [proxy.host],
            "port": proxy.port,
            "endpoint_factory": ThroughProxies([proxy]),
            "client_options": ClientOptions(infer_idempotence=request.param),
            # It asks the statement, which must say what was decided.
            "retry_policy": AsyncRetryPolicy(),
        }
        async with AsyncCluster(**through) as cluster, cluster.connect() as session:
            yield session, proxy


async def applied_and_lost(
    cut: tuple[AsyncCassandraSession, CuttingProxy],
    direct: AsyncCassandraSession,
    write: Any,
    read: str,
) -> bool:
    """Whether a write was sent again after it had been applied and its answer was lost."""
    session, proxy = cut
    await session.execute("SELECT key FROM system.local", timeout=30.0)
    retries = session._core.executor.retries
    proxy.to_client.black_hole = True
    writing = asyncio.ensure_future(session.execute(write, timeout=30.0))
    while not (await direct.execute(read)).all():
        pass
    proxy.reset()
    proxy.heal()
    outcome = (await asyncio.gather(writing, return_exceptions=True))[0]
    sent_again = session._core.executor.retries - retries
    if isinstance(outcome, BaseException):
        assert isinstance(outcome, ConnectionError)
        assert "may or may not have been executed" in str(outcome)
    assert sent_again == (not isinstance(outcome, BaseException))
    return bool(sent_again)


async def test_lost_connection_sends_again_only_what_may_be(
    cut: tuple[AsyncCassandraSession, CuttingProxy],
    session: AsyncCassandraSession,
    new_table: NewTable,
    report: Report,
) -> None:
    table = await new_table("k int PRIMARY KEY, v int, t timeuuid, l list<int>")
    counters = await new_table("k int PRIMARY KEY, n counter")
    infers = cut[0]._core.options.infer_idempotence
    cases = [
        (table, f"INSERT INTO {table} (k, v) VALUES (0, 1)", None, infers),
        (table, f"INSERT INTO {table} (k, v) VALUES (1, 1)", True, True),
        (table, f"INSERT INTO {table} (k, t) VALUES (2, now())", None, False),
        (table, f"INSERT INTO {table} (k, l) VALUES (3, [1])", None, False),
        (table, f"UPDATE {table} SET l = l + [1] WHERE k = 4", None, False),
        (table, f"INSERT INTO {table} (k, v) VALUES (5, 1) IF NOT EXISTS", True, False),
        (counters, f"UPDATE {counters} SET n = n + 1 WHERE k = 6", True, False),
    ]
    again = 0
    for key, (name, text, mark, expected) in enumerate(cases):
        write = SimpleStatement(text, is_idempotent=mark)
        read = f"SELECT * FROM {name} WHERE k = {key}"
        assert await applied_and_lost(cut, session, write, read) is expected, text
        again += expected
        row = (await session.execute(read)).one()
        assert getattr(row, "l", None) in (None, [1])
        assert getattr(row, "n", 1) == 1
    report(f"{len(cases)} answers lost, {again} writes sent again, none applied twice")
