"""Statements of every kind, and what a call or a statement may ask for."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from typing import Any

import cassandra
import pytest
from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, ExecutionProfile
from cassandra.protocol import SyntaxException
from cassandra.query import (
    BoundStatement as DriverBoundStatement,
)
from cassandra.query import (
    PreparedStatement as DriverPreparedStatement,
)
from cassandra.query import (
    QueryTrace,
    SimpleStatement,
)

from async_cassandra import (
    AsyncCassandraSession,
    AsyncCluster,
    AsyncResultSet,
    ConfigurationError,
    QueryError,
    TimeoutError,
)
from async_cassandra.exceptions import QueryTimeoutError
from async_cassandra.statements import BatchStatement
from tests.integration.conftest import Backend, NewTable
from tests.support.cutting_proxy import CuttingProxy

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def table(session: AsyncCassandraSession, new_table: NewTable) -> str:
    """Ten rows in one partition and one in another."""
    name = await new_table("p int, c int, v text, PRIMARY KEY (p, c)")
    insert = await session.prepare(f"INSERT INTO {name} (p, c, v) VALUES (?, ?, ?)")
    for key in range(10):
        await session.execute(insert, (0, key, f"v{key}"))
    await session.execute(insert, (1, 0, "other"))
    return name


async def traced(result: AsyncResultSet) -> QueryTrace:
    trace = await result.get_query_trace()
    assert trace is not None
    return trace


async def traced_parameters(result: AsyncResultSet) -> dict[str, str]:
    """What the coordinator says of a request that was traced."""
    return dict((await traced(result)).parameters or {})


# Kinds of statement


async def test_string_is_executed(session: AsyncCassandraSession, table: str) -> None:
    result = await session.execute(f"SELECT v FROM {table} WHERE p = 0 AND c = 3")
    assert result.one().v == "v3"


async def test_simple_statement_is_executed(session: AsyncCassandraSession, table: str) -> None:
    statement = SimpleStatement(f"SELECT v FROM {table} WHERE p = 0 AND c = 3")
    assert (await session.execute(statement)).one().v == "v3"


@pytest.mark.parametrize(
    "parameters", [(0, 3), [0, 3], range(0, 6, 3)], ids=["tuple", "list", "range"]
)
async def test_prepared_statement_takes_positions(
    session: AsyncCassandraSession, table: str, parameters: Any
) -> None:
    statement = await session.prepare(f"SELECT v FROM {table} WHERE p = ? AND c = ?")
    assert isinstance(statement, DriverPreparedStatement)
    for result in (
        await session.execute(statement, parameters),
        await session.execute(statement.bind(parameters)),
    ):
        assert result.one().v == "v3"


async def test_prepared_statement_takes_names(session: AsyncCassandraSession, table: str) -> None:
    positional = await session.prepare(f"SELECT v FROM {table} WHERE p = ? AND c = ?")
    named = await session.prepare(f"SELECT v FROM {table} WHERE p = :part AND c = :row")
    assert (await session.execute(positional, {"p": 0, "c": 3})).one().v == "v3"
    assert (await session.execute(named, {"part": 0, "row": 3})).one().v == "v3"
    assert (await session.execute(named.bind({"part": 0, "row": 4}))).one().v == "v4"
    assert (await session.execute(named, (0, 5))).one().v == "v5"


async def test_name_used_twice_is_bound_twice(session: AsyncCassandraSession, table: str) -> None:
    query = f"SELECT count(*) FROM {table} WHERE p = :n AND c > :n"
    assert (await session.execute(query, {"n": 0})).one()[0] == 9


async def test_quoted_name_keeps_its_case(session: AsyncCassandraSession, table: str) -> None:
    query = f'SELECT v FROM {table} WHERE p = :"Part" AND c = :Row'
    assert (await session.execute(query, {"Part": 0, "row": 3})).one().v == "v3"


async def test_bound_statement_is_drivers(session: AsyncCassandraSession, table: str) -> None:
    statement = await session.prepare(f"SELECT v FROM {table} WHERE p = ? AND c = ?")
    bound = statement.bind((0, 3))
    assert isinstance(bound, DriverBoundStatement)
    assert bound.prepared_statement is statement
    assert bound.routing_key == (0).to_bytes(4)
    assert bound.values == [(0).to_bytes(4), (3).to_bytes(4)]


async def test_missing_parameters_are_unset(
    session: AsyncCassandraSession, new_table: NewTable
) -> None:
    table = await new_table("id int PRIMARY KEY, a text, b text")
    insert = await session.prepare(f"INSERT INTO {table} (id, a, b) VALUES (?, ?, ?)")
    await session.execute(insert, (1, "a", "b"))
    await session.execute(insert.bind((1, "A")))
    await session.execute(insert, {"id": 1, "a": "AA"})
    await session.execute(insert.bind({"id": 1}))
    await session.execute(f"INSERT INTO {table} (id, a, b) VALUES (:id, :a, :b)", {"id": 1})
    row = (await session.execute(f"SELECT * FROM {table}")).one()
    assert (row.a, row.b) == ("AA", "b")


async def test_statement_of_wrong_kind_is_refused(session: AsyncCassandraSession) -> None:
    query: Any
    for query in (None, 5, b"SELECT", object()):
        with pytest.raises(TypeError, match="query takes"):
            await session.execute(query)
    with pytest.raises(TypeError, match="query takes"):
        await session.prepare(SimpleStatement("SELECT"))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="batch_statement"):
        await session.execute_batch("SELECT")  # type: ignore[arg-type]


async def test_syntax_error_is_drivers_and_ours(session: AsyncCassandraSession) -> None:
    for action in (session.execute("SELEKT 1"), session.prepare("SELEKT ?")):
        with pytest.raises(SyntaxException) as failure:
            await action
        assert isinstance(failure.value, QueryError)
        assert isinstance(failure.value, cassandra.RequestExecutionException | Exception)
        assert "SELEKT" in str(failure.value)


async def test_missing_table_is_invalid_request(session: AsyncCassandraSession) -> None:
    for parameters in (None, [1]):
        with pytest.raises(cassandra.InvalidRequest, match="no_such_table") as failure:
            await session.execute("SELECT * FROM no_such_table WHERE id = ?", parameters)
        assert isinstance(failure.value, QueryError)


async def test_plain_drivers_prepared_statement_is_executed(
    session: AsyncCassandraSession, plain_session: Any, table: str
) -> None:
    query = f"SELECT v FROM {table} WHERE p = ? AND c = ?"
    foreign = await asyncio.to_thread(plain_session.prepare, query)
    assert (await session.execute(foreign, (0, 3))).one().v == "v3"
    assert (await session.execute(foreign.bind((0, 4)))).one().v == "v4"
    stream = await session.execute_stream(foreign, (0, 5))
    assert [row.v async for row in stream] == ["v5"]


async def test_prepared_statement_of_other_session_is_executed(
    cluster: AsyncCluster, session: AsyncCassandraSession, table: str
) -> None:
    statement = await session.prepare(f"SELECT v FROM {table} WHERE p = ? AND c = ?")
    async with cluster.connect() as other:
        assert (await other.execute(statement, (0, 3))).one().v == "v3"


async def test_prepared_statement_describes_itself(
    session: AsyncCassandraSession, plain_session: Any, table: str
) -> None:
    query = f"SELECT v, c FROM {table} WHERE p = ? AND c = ?"
    mine = await session.prepare(query)
    theirs = await asyncio.to_thread(plain_session.prepare, query)
    assert mine.query_string == theirs.query_string
    assert mine.query_id == theirs.query_id
    assert mine.result_metadata_id == theirs.result_metadata_id
    assert mine.column_metadata == theirs.column_metadata
    assert mine.routing_key_indexes == theirs.routing_key_indexes
    assert [tuple(column) for column in mine.result_metadata] == [
        tuple(column) for column in theirs.result_metadata
    ]


async def test_one_prepared_statement_serves_many_tasks(
    session: AsyncCassandraSession, table: str
) -> None:
    statement = await session.prepare(f"SELECT c FROM {table} WHERE p = ? AND c = ?")
    results = await asyncio.gather(
        *(session.execute(statement, (0, number % 10)) for number in range(500))
    )
    assert [result.one().c for result in results] == [number % 10 for number in range(500)]


# What a call or a statement asks for


@pytest.mark.parametrize("level", ["ONE", "LOCAL_ONE", "QUORUM", "LOCAL_QUORUM", "ALL"])
async def test_consistency_of_statement_is_asked_for(
    session: AsyncCassandraSession, table: str, level: str
) -> None:
    consistency = ConsistencyLevel.name_to_value[level]
    query = f"SELECT v FROM {table} WHERE p = 0 AND c = 0"
    statement = await session.prepare(query)
    statement.consistency_level = consistency
    simple = SimpleStatement(query, consistency_level=consistency)
    for each in (statement, simple, statement.bind(())):
        result = await session.execute(each, trace=True)
        parameters = await traced_parameters(result)
        assert parameters["consistency_level"] == level


async def test_consistency_of_profile_is_asked_for(settings: dict[str, Any], table: str) -> None:
    profile = ExecutionProfile(
        consistency_level=ConsistencyLevel.QUORUM,
        serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
    )
    async with (
        AsyncCluster(**settings, execution_profiles={"strict": profile}) as cluster,
        cluster.connect() as session,
    ):
        for each in ("strict", profile):
            result = await session.execute(
                f"SELECT v FROM {table} WHERE p = 0 AND c = 0", execution_profile=each, trace=True
            )
            parameters = await traced_parameters(result)
            assert parameters["consistency_level"] == "QUORUM"
            assert parameters["serial_consistency_level"] == "LOCAL_SERIAL"


async def test_serial_consistency_of_statement_is_asked_for(
    session: AsyncCassandraSession, table: str
) -> None:
    statement = SimpleStatement(
        f"INSERT INTO {table} (p, c, v) VALUES (9, 9, 'x') IF NOT EXISTS",
        serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL,
    )
    parameters = await traced_parameters(await session.execute(statement, trace=True))
    assert parameters["serial_consistency_level"] == "LOCAL_SERIAL"
    with pytest.raises(ValueError, match="serial"):
        SimpleStatement("x", serial_consistency_level=ConsistencyLevel.ONE)


async def test_unavailable_consistency_raises_unavailable(
    session: AsyncCassandraSession, table: str
) -> None:
    statement = SimpleStatement(
        f"SELECT v FROM {table} WHERE p = 0", consistency_level=ConsistencyLevel.THREE
    )
    with pytest.raises(cassandra.Unavailable) as failure:
        await session.execute(statement)
    assert isinstance(failure.value, QueryError)
    assert failure.value.required_replicas == 3
    assert failure.value.alive_replicas == 1
    assert failure.value.consistency == ConsistencyLevel.THREE
    assert failure.value.endpoint is not None


async def test_timestamp_of_client_is_used_and_grows(
    session: AsyncCassandraSession, new_table: NewTable
) -> None:
    table = await new_table("id int PRIMARY KEY, v int")
    insert = await session.prepare(f"INSERT INTO {table} (id, v) VALUES (?, ?)")
    for value in range(50):
        await session.execute(insert, (value, value))
    rows = await session.execute(f"SELECT id, WRITETIME(v) AS at FROM {table}")
    at = {row.id: row.at for row in rows}
    assert sorted(at, key=at.__getitem__) == list(range(50))


async def test_timestamp_generator_is_asked_once_per_call(
    settings: dict[str, Any], new_table: NewTable
) -> None:
    table = await new_table("id int PRIMARY KEY, v int")
    asked: list[int] = []

    def generator() -> int:
        asked.append(len(asked) + 1)
        return asked[-1]

    async with (
        AsyncCluster(**settings, timestamp_generator=generator) as cluster,
        cluster.connect() as session,
    ):
        insert = await session.prepare(f"INSERT INTO {table} (id, v) VALUES (?, ?)")
        asked.clear()
        await session.execute(insert, (1, 1))
        await session.execute(f"INSERT INTO {table} (id, v) VALUES (2, 2)")
        await session.execute(f"INSERT INTO {table} (id, v) VALUES (3, 3) USING TIMESTAMP 77")
        rows = await session.execute(f"SELECT id, WRITETIME(v) AS at FROM {table}")
    assert {row.id: row.at for row in rows} == {1: 1, 2: 2, 3: 77}
    assert asked == [1, 2, 3]


async def test_timestamps_of_server_are_used_without_generator(
    settings: dict[str, Any], new_table: NewTable
) -> None:
    table = await new_table("id int PRIMARY KEY, v int")
    async with (
        AsyncCluster(**settings, timestamp_generator=None) as cluster,
        cluster.connect() as session,
    ):
        await session.execute(f"INSERT INTO {table} (id, v) VALUES (1, 1)")
        assert (await session.execute(f"SELECT WRITETIME(v) FROM {table}")).one()[0] > 0


async def test_fetch_size_of_statement_bounds_pages(
    session: AsyncCassandraSession, table: str
) -> None:
    query = f"SELECT c FROM {table} WHERE p = 0"
    prepared = await session.prepare(query)
    prepared.fetch_size = 4
    for statement in (SimpleStatement(query, fetch_size=4), prepared, prepared.bind(())):
        page = await session.execute(statement, paging_state=b"")
        assert len(page) == 4
        assert page.has_more_pages
        assert len(await session.execute(statement)) == 10


async def test_fetch_size_none_reads_in_one_page(
    session: AsyncCassandraSession, table: str
) -> None:
    statement = SimpleStatement(f"SELECT c FROM {table} WHERE p = 0", fetch_size=None)
    page = await session.execute(statement, paging_state=b"")
    assert len(page) == 10
    assert not page.has_more_pages


@pytest.fixture
async def muffled(
    anyio_backend: Backend, settings: dict[str, Any]
) -> AsyncIterator[tuple[AsyncCassandraSession, CuttingProxy]]:
    """A session through a proxy that can keep the server's answers to itself."""
    profiles = {"hasty": ExecutionProfile(request_timeout=0.1)}
    async with CuttingProxy(settings["contact_points"][0], settings["port"]) as proxy:
        cluster = AsyncCluster(
            **settings | {"contact_points": [proxy.host], "port": proxy.port},
            execution_profiles=profiles,
        )
        async with cluster, cluster.connect() as session:
            yield session, proxy
            proxy.heal()


@pytest.mark.parametrize("options", [{"timeout": 0.1}, {"execution_profile": "hasty"}], ids=str)
async def test_timeout_raises_timeout(
    muffled: tuple[AsyncCassandraSession, CuttingProxy], table: str, options: dict[str, Any]
) -> None:
    session, proxy = muffled
    insert = await session.prepare(f"INSERT INTO {table} (p, c, v) VALUES (2, 0, ?)")
    proxy.to_client.black_hole = True
    for query, parameters in ((f"SELECT * FROM {table}", None), (insert, ["x"])):
        with pytest.raises(QueryTimeoutError, match=r"0\.1 s") as failure:
            await session.execute(query, parameters, **options)
        assert isinstance(failure.value, TimeoutError)
        assert isinstance(failure.value, cassandra.OperationTimedOut)
        assert isinstance(failure.value, asyncio.TimeoutError)
        assert failure.value.last_host == f"{proxy.host}:{proxy.port}"
        assert failure.value.attempts == 1


async def test_cancelled_call_leaves_session_usable(
    muffled: tuple[AsyncCassandraSession, CuttingProxy], table: str
) -> None:
    session, proxy = muffled
    proxy.to_client.black_hole = True
    with pytest.raises(asyncio.TimeoutError):
        async with asyncio.timeout(0.1):
            await session.execute(f"SELECT * FROM {table}")
    assert session._core.executor.running == 0
    proxy.heal()
    proxy.reset()
    assert len(await session.execute(f"SELECT * FROM {table}", timeout=math.inf)) >= 11


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("timeout", 0),
        ("timeout", -1),
        ("timeout", "5"),
        ("timeout", math.nan),
        ("timeout", True),
        ("paging_state", "abc"),
        ("custom_payload", [1]),
        ("custom_payload", {"a": 1}),
        ("execution_profile", "no such profile"),
        ("host", "192.0.2.1"),
    ],
)
async def test_argument_that_does_not_fit_is_named(
    session: AsyncCassandraSession, argument: str, value: Any
) -> None:
    for method in (session.execute, session.execute_stream):
        with pytest.raises(ConfigurationError, match=argument.replace("_", ".")):
            await method("SELECT * FROM system.local", **{argument: value})


async def test_keyspace_of_statement_is_used(
    cluster: AsyncCluster, session: AsyncCassandraSession, table: str, cassandra_keyspace: str
) -> None:
    name = table.partition(".")[2]
    query = f"SELECT v FROM {name} WHERE p = 0 AND c = 3"
    async with cluster.connect("system") as elsewhere:
        statement = SimpleStatement(query, keyspace=cassandra_keyspace)
        assert (await elsewhere.execute(statement)).one().v == "v3"
        marked = SimpleStatement(
            f"SELECT v FROM {name} WHERE p = ? AND c = ?", keyspace=cassandra_keyspace
        )
        assert (await elsewhere.execute(marked, (0, 4))).one().v == "v4"
        with pytest.raises(cassandra.InvalidRequest):
            await elsewhere.execute(query)


async def test_routing_key_of_statement_is_taken(
    session: AsyncCassandraSession, table: str
) -> None:
    statement = SimpleStatement(
        f"SELECT v FROM {table} WHERE p = 0 AND c = 3", routing_key=(0).to_bytes(4)
    )
    assert (await session.execute(statement)).one().v == "v3"


async def test_custom_payload_is_taken(session: AsyncCassandraSession, table: str) -> None:
    statement = SimpleStatement(
        f"SELECT v FROM {table} WHERE p = 0 AND c = 3", custom_payload={"a": b"b"}
    )
    result = await session.execute(statement, custom_payload={"c": b"d"})
    assert result.one().v == "v3"
    assert result.custom_payload is None
    prepared = await session.prepare(f"SELECT v FROM {table}", custom_payload={"a": b"b"})
    assert (await session.execute(prepared, custom_payload={"a": b"b"})).one() is not None


async def test_host_is_asked_however_it_is_given(
    session: AsyncCassandraSession, cluster: AsyncCluster
) -> None:
    assert cluster.metadata is not None
    host = next(iter(cluster.metadata.all_hosts()))
    address, port = host.endpoint.address, host.endpoint.port
    for given in (host, address, f"{address}:{port}"):
        result = await session.execute("SELECT cluster_name FROM system.local", host=given)
        assert result.coordinator == f"{address}:{port}"


async def test_execute_as_passes(session: AsyncCassandraSession, table: str) -> None:
    result = await session.execute(f"SELECT v FROM {table}", execute_as="somebody")
    assert result.one() is not None


async def test_positional_arguments_keep_their_order(
    session: AsyncCassandraSession, table: str, cluster: AsyncCluster
) -> None:
    """As programs written for this name pass them."""
    result = await session.execute(
        f"SELECT v FROM {table} WHERE p = %s AND c = %s",
        (0, 3),
        False,
        {"key": b"value"},
        5.0,
        EXEC_PROFILE_DEFAULT,
        None,
        None,
        None,
    )
    assert result.one().v == "v3"


# Tracing


async def test_query_trace_is_awaited(
    session: AsyncCassandraSession, plain_session: Any, table: str
) -> None:
    query = f"SELECT v FROM {table} WHERE p = 0 AND c = 3"
    result = await session.execute(query, trace=True)
    handle = result.get_query_trace()
    trace = await traced(result)
    assert trace.trace_id == handle.trace_id
    assert trace.request_type == "Execute CQL3 query"
    assert (await traced_parameters(result))["query"] == query
    assert trace.duration is not None
    assert trace.duration.total_seconds() > 0

    def read() -> Any:
        plain = plain_session.execute(query, trace=True)
        return plain.get_query_trace()

    theirs = await asyncio.to_thread(read)
    assert type(trace) is type(theirs)
    assert type(trace.started_at) is type(theirs.started_at)
    assert type(trace.coordinator) is type(theirs.coordinator)
    assert trace.events
    assert theirs.events
    assert {type(event) for event in trace.events} == {type(event) for event in theirs.events}
    assert set(vars(theirs.events[0])) == set(vars(trace.events[0]))


async def test_query_trace_of_untraced_request_is_none(
    session: AsyncCassandraSession, table: str
) -> None:
    result = await session.execute(f"SELECT v FROM {table}")
    assert await result.get_query_trace() is None


async def test_query_trace_of_write_and_batch_is_there(
    session: AsyncCassandraSession, table: str
) -> None:
    batch = BatchStatement()
    batch.add(f"INSERT INTO {table} (p, c, v) VALUES (5, 5, 'x')")
    for result in (
        await session.execute(f"INSERT INTO {table} (p, c, v) VALUES (5, 5, 'y')", trace=True),
        await session.execute_batch(batch, trace=True),
    ):
        assert (await result.get_query_trace()) is not None
