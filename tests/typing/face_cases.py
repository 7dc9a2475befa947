"""What a program sees of the public face, told to the type checker; nothing here runs.

A line that must not type-check says which error is expected: strict mode reports an expectation that is not met.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, assert_type
from uuid import UUID

from async_cassandra import (
    AsyncCassandraError,
    AsyncCassandraSession,
    AsyncCluster,
    AsyncResultSet,
    AsyncStreamingResultSet,
    BatchStatement,
    ConnectionMonitor,
    PreparedStatement,
    QueryError,
    RateLimitedSession,
    StreamConfig,
    create_monitored_session,
)
from async_cassandra.exceptions import QueryTimeoutError
from async_cassandra.monitoring import ClusterMetrics, HostMetrics
from async_cassandra.result import TraceHandle
from async_cassandra.statements import BoundStatement


async def connecting(cluster: AsyncCluster) -> None:
    assert_type(await cluster.connect(), AsyncCassandraSession)
    assert_type(await cluster.connect("ks", timeout=3), AsyncCassandraSession)
    async with cluster.connect() as session:
        assert_type(session, AsyncCassandraSession)
    async with await cluster.connect() as session:
        assert_type(session, AsyncCassandraSession)
    async with AsyncCluster(["127.0.0.1"]) as opened:
        assert_type(opened, AsyncCluster)
    assert_type(AsyncCluster.create_with_auth(["127.0.0.1"], "user", "password"), AsyncCluster)
    assert_type(await AsyncCassandraSession.create(cluster), AsyncCassandraSession)
    assert_type(cluster.is_closed, bool)
    assert_type(await cluster.shutdown(), None)


async def executing(session: AsyncCassandraSession) -> None:
    result = await session.execute("SELECT * FROM t WHERE k = ?", [1], timeout=1.5)
    assert_type(result, AsyncResultSet)
    assert_type(await session.execute("SELECT * FROM t WHERE k = :k", {"k": 1}), AsyncResultSet)
    prepared = await session.prepare("SELECT * FROM t WHERE k = ?")
    assert_type(prepared, PreparedStatement)
    assert_type(await session.execute(prepared, (1,)), AsyncResultSet)
    bound = prepared.bind((1,))
    assert_type(bound, BoundStatement)
    assert_type(await session.execute(bound, host="127.0.0.1"), AsyncResultSet)
    batch = BatchStatement().add("INSERT INTO t (k) VALUES (?)", (1,))
    assert_type(batch, BatchStatement)
    assert_type(await session.execute_batch(batch), AsyncResultSet)
    assert_type(session.keyspace, str | None)
    assert_type(session.cluster, AsyncCluster)
    assert_type(session.default_timeout, float | None)
    assert_type(session.default_consistency_level, int)
    assert_type(session.default_fetch_size, int | None)
    session.default_timeout = None
    session.exectue("a misspelt method")  # type: ignore[attr-defined]
    session.default_timout = 5  # type: ignore[attr-defined]


async def reading(result: AsyncResultSet) -> None:
    assert_type(result.rows, Sequence[Any])
    assert_type(result.all(), list[Any])
    assert_type(result[:2], list[Any])
    assert_type(len(result), int)
    assert_type(result.was_applied, bool)
    assert_type(result.column_names, list[str])
    assert_type(result.column_types, list[type[Any]])
    assert_type(result.paging_state, bytes | None)
    assert_type(result.has_more_pages, bool)
    assert_type(result.warnings, list[str])
    assert_type(result.custom_payload, dict[str, bytes | None] | None)
    assert_type(result.coordinator, str | None)
    trace = result.get_query_trace()
    assert_type(trace, TraceHandle)
    assert_type(trace.trace_id, UUID | None)
    for row in result:
        print(row.name, row[0], row["name"])
    async for row in result:
        print(row)


async def streaming(session: AsyncCassandraSession) -> None:
    config = StreamConfig(fetch_size=500, page_callback=lambda number, rows: None)
    stream = await session.execute_stream("SELECT * FROM t", stream_config=config)
    assert_type(stream, AsyncStreamingResultSet)
    async with stream as entered:
        assert_type(entered, AsyncStreamingResultSet)
        async for row in entered:
            print(row.name)
    pages = stream.pages()
    assert_type(pages, AsyncIterator[list[Any]])
    async for page in pages:
        assert_type(page, list[Any])
    assert_type(stream.page_number, int)
    assert_type(stream.paging_state, bytes | None)


async def monitoring(session: AsyncCassandraSession) -> None:
    limited = RateLimitedSession(session, max_concurrent=10)
    assert_type(await limited.execute("SELECT * FROM t"), AsyncResultSet)
    assert_type(await limited.execute_stream("SELECT * FROM t"), AsyncStreamingResultSet)
    assert_type(await limited.prepare("SELECT * FROM t"), PreparedStatement)
    metrics = await ConnectionMonitor(limited).get_cluster_metrics()
    assert_type(metrics, ClusterMetrics)
    assert_type(metrics.hosts, list[HostMetrics])
    opened, monitor = await create_monitored_session(["127.0.0.1"])
    assert_type(opened, AsyncCassandraSession | RateLimitedSession)
    assert_type(monitor, ConnectionMonitor)


async def failing(session: AsyncCassandraSession) -> None:
    try:
        await session.execute("SELECT * FROM t")
    except QueryTimeoutError as error:
        assert_type(error.endpoint, str | None)
        assert_type(error.attempts, int)
    except QueryError as error:
        assert_type(error.cause, BaseException | None)
    except (AsyncCassandraError, TimeoutError, ConnectionError):
        raise


async def misusing(cluster: AsyncCluster, session: AsyncCassandraSession) -> None:
    AsyncCluster("127.0.0.1", "9042")  # type: ignore[arg-type]
    AsyncCluster(protocol_version="5")  # type: ignore[arg-type]
    await session.execute(5)  # type: ignore[arg-type]
    await session.execute("SELECT * FROM t", 5)  # type: ignore[arg-type]
    await session.execute("SELECT * FROM t", timeout="5")  # type: ignore[arg-type]
    await session.execute("SELECT * FROM t", page_size=5)  # type: ignore[call-arg]
    await session.prepare(5)  # type: ignore[arg-type]
    await session.execute_batch("INSERT")  # type: ignore[arg-type]
    StreamConfig(fetch_size="5")  # type: ignore[arg-type]
    session.execute("SELECT * FROM t")  # type: ignore[unused-coroutine]
    session.keyspace = "other"  # type: ignore[misc]
    (await session.execute("SELECT * FROM t")).was_applied = True  # type: ignore[misc]
