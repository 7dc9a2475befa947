"""Streams: rows and pages as they come, left at any point."""

from __future__ import annotations

import asyncio
import gc
import itertools
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cassandra
import pytest
from cassandra.query import SimpleStatement

from async_cassandra import (
    AsyncCassandraSession,
    AsyncCluster,
    ConfigurationError,
    StreamConfig,
    create_streaming_statement,
)
from async_cassandra.server import RunningServer
from async_cassandra.statements import BatchStatement, BatchType
from tests.integration.conftest import NewTable
from tests.support.request_rig import until

pytestmark = pytest.mark.anyio

ROWS = 500
EXPECTED = [(0, key, f"v{key}") for key in range(ROWS)]


@pytest.fixture(scope="module")
async def table(session: AsyncCassandraSession, new_table: NewTable) -> str:
    """One partition of rows in order."""
    name = await new_table("p int, c int, v text, PRIMARY KEY (p, c)")
    insert = await session.prepare(f"INSERT INTO {name} (p, c, v) VALUES (0, ?, ?)")
    await asyncio.gather(*(session.execute(insert, (key, f"v{key}")) for key in range(ROWS)))
    return name


def requests_under_way(session: AsyncCassandraSession) -> int:
    running: int = session._core.executor.running
    return running


@pytest.mark.parametrize("fetch_size", [1, 3, 100, 250, 499, 500, 501, 5000])
async def test_stream_gives_every_row_once(
    session: AsyncCassandraSession, table: str, fetch_size: int
) -> None:
    config = StreamConfig(fetch_size=fetch_size)
    prepared = await session.prepare(f"SELECT p, c, v FROM {table} WHERE p = ?")
    stream = await session.execute_stream(prepared, (0,), stream_config=config)
    assert [row async for row in stream] == EXPECTED
    assert stream.total_rows_fetched == ROWS
    assert stream.page_number >= -(-ROWS // fetch_size)
    assert not stream.has_more_pages
    assert [row async for row in stream] == []


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT p, c, v FROM {}",
        create_streaming_statement("SELECT p, c, v FROM {}", fetch_size=70),
        SimpleStatement("SELECT p, c, v FROM {}", fetch_size=70),
    ],
    ids=["string", "create_streaming_statement", "simple statement"],
)
async def test_stream_takes_statement_without_config(
    session: AsyncCassandraSession, table: str, statement: Any
) -> None:
    if isinstance(statement, SimpleStatement):
        statement = SimpleStatement(
            statement.query_string.format(table), fetch_size=statement.fetch_size
        )
        pages = 8
    else:
        statement = statement.format(table)
        pages = 1
    stream = await session.execute_stream(statement)
    assert [row async for row in stream] == EXPECTED
    assert stream.page_number == pages


def test_streaming_statement_has_its_options() -> None:
    statement = create_streaming_statement(
        "SELECT 1", fetch_size=7, consistency_level=cassandra.ConsistencyLevel.QUORUM
    )
    assert isinstance(statement, SimpleStatement)
    assert statement.fetch_size == 7
    assert statement.consistency_level == cassandra.ConsistencyLevel.QUORUM
    assert create_streaming_statement("SELECT 1").fetch_size == 1000


async def test_pages_are_given_whole(session: AsyncCassandraSession, table: str) -> None:
    stream = await session.execute_stream(
        f"SELECT p, c, v FROM {table}", stream_config=StreamConfig(fetch_size=150)
    )
    numbers = []
    pages = []
    async for page in stream.pages():
        pages.append(page)
        numbers.append(stream.page_number)
    assert [len(page) for page in pages] == [150, 150, 150, 50]
    assert numbers == [1, 2, 3, 4]
    assert list(itertools.chain(*pages)) == EXPECTED


async def test_pages_go_on_where_rows_stopped(session: AsyncCassandraSession, table: str) -> None:
    stream = await session.execute_stream(
        f"SELECT p, c, v FROM {table}", stream_config=StreamConfig(fetch_size=150)
    )
    first = [await anext(stream) for _ in range(10)]
    rest = [row async for page in stream.pages() for row in page]
    assert first + rest == EXPECTED


@pytest.mark.parametrize("size", [1, 7, 149, 150, 151, 256, 5000])
async def test_chunks_are_lists_of_so_many_rows(
    session: AsyncCassandraSession, table: str, size: int
) -> None:
    stream = await session.execute_stream(
        f"SELECT p, c, v FROM {table}", stream_config=StreamConfig(fetch_size=150)
    )
    chunks = [chunk async for chunk in stream.chunks(size)]
    pages = [EXPECTED[start : start + 150] for start in range(0, ROWS, 150)]
    assert chunks == [list(chunk) for page in pages for chunk in itertools.batched(page, size)]
    assert [chunk async for chunk in stream.chunks(size)] == []


@pytest.mark.parametrize("size", [3, 256, 300, 600])
async def test_chunk_of_a_page_larger_than_a_slice(
    session: AsyncCassandraSession, table: str, size: int
) -> None:
    stream = await session.execute_stream(f"SELECT p, c, v FROM {table}")
    chunks = [chunk async for chunk in stream.chunks(size)]
    assert chunks == [list(chunk) for chunk in itertools.batched(EXPECTED, size)]


async def test_each_way_of_reading_goes_on_where_the_last_one_stopped(
    session: AsyncCassandraSession, table: str
) -> None:
    stream = await session.execute_stream(
        f"SELECT p, c, v FROM {table}", stream_config=StreamConfig(fetch_size=300)
    )
    rows = [await anext(stream)]
    for size in (5, 290, 2, 100):
        rows += await anext(stream.chunks(size))
        rows.append(await anext(stream))
    rows += await anext(stream.pages())
    assert rows == EXPECTED


@pytest.mark.parametrize("size", [0, -1, 2.5, "7", None])
async def test_chunk_size_that_does_not_fit_is_refused(
    session: AsyncCassandraSession, table: str, size: Any
) -> None:
    stream = await session.execute_stream(f"SELECT p, c, v FROM {table}")
    with pytest.raises(ConfigurationError, match="size"):
        stream.chunks(size)
    assert [row async for row in stream] == EXPECTED


async def test_max_pages_ends_stream(session: AsyncCassandraSession, table: str) -> None:
    config = StreamConfig(fetch_size=100, max_pages=2)
    stream = await session.execute_stream(f"SELECT p, c, v FROM {table}", stream_config=config)
    assert [row async for row in stream] == EXPECTED[:200]
    assert stream.page_number == 2
    assert stream.total_rows_fetched == 200
    assert requests_under_way(session) == 0


async def test_page_callback_is_told_of_each_page(
    session: AsyncCassandraSession, table: str
) -> None:
    calls: list[tuple[int, int]] = []
    config = StreamConfig(
        fetch_size=200, page_callback=lambda number, rows: calls.append((number, rows))
    )
    stream = await session.execute_stream(f"SELECT p, c, v FROM {table}", stream_config=config)
    assert calls == [(1, 200)]
    assert len([row async for row in stream]) == ROWS
    assert calls == [(1, 200), (2, 200), (3, 100)]


async def test_page_callback_that_raises_reaches_reader(
    session: AsyncCassandraSession, table: str
) -> None:
    def callback(number: int, rows: int) -> None:
        if number == 2:
            raise LookupError("from the callback")

    config = StreamConfig(fetch_size=100, page_callback=callback)
    stream = await session.execute_stream(f"SELECT p, c, v FROM {table}", stream_config=config)
    with pytest.raises(LookupError):
        [row async for row in stream]
    await stream.close()
    assert requests_under_way(session) == 0


@pytest.mark.parametrize(
    ("setting", "value"),
    [("fetch_size", 0), ("fetch_size", -5), ("fetch_size", "7"), ("max_pages", 0)],
)
def test_stream_config_that_does_not_fit_is_named(setting: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        StreamConfig(**{setting: value})


def test_stream_config_has_its_defaults() -> None:
    config = StreamConfig()
    assert config.fetch_size == 1000
    assert config.max_pages is None
    assert config.page_callback is None
    assert config.timeout_seconds is None
    assert StreamConfig(5, 2, None, 3.0).timeout_seconds == 3.0


async def test_error_of_first_page_is_raised_by_call(session: AsyncCassandraSession) -> None:
    with pytest.raises(cassandra.InvalidRequest):
        await session.execute_stream("SELECT * FROM no_such_table")


async def test_error_of_later_page_is_raised_by_reader(
    session: AsyncCassandraSession, new_table: NewTable
) -> None:
    table = await new_table("p int, c int, PRIMARY KEY (p, c)")
    insert = await session.prepare(f"INSERT INTO {table} (p, c) VALUES (0, ?)")
    for key in range(30):
        await session.execute(insert, (key,))
    stream = await session.execute_stream(
        f"SELECT * FROM {table}", stream_config=StreamConfig(fetch_size=5)
    )
    await session.execute(f"DROP TABLE {table}")
    rows = []
    with pytest.raises(cassandra.InvalidRequest):
        rows.extend([row async for row in stream])
    assert not rows
    assert [row async for row in stream] == []


async def test_stream_of_write_is_empty(
    session: AsyncCassandraSession, new_table: NewTable
) -> None:
    table = await new_table("id int PRIMARY KEY")
    stream = await session.execute_stream(f"INSERT INTO {table} (id) VALUES (1)")
    assert [row async for row in stream] == []
    empty = await session.execute_stream(f"SELECT * FROM {table} WHERE id = 77")
    assert [page async for page in empty.pages()] == []


async def test_empty_pages_are_passed_over(
    session: AsyncCassandraSession, new_table: NewTable
) -> None:
    """Deleted rows, and a last page that the server only then finds to be empty."""
    table = await new_table("p int, c int, v int, PRIMARY KEY (p, c)")
    insert = await session.prepare(f"INSERT INTO {table} (p, c, v) VALUES (?, ?, ?)")
    delete = await session.prepare(f"DELETE FROM {table} WHERE p = ? AND c = ?")
    expected = []
    for partition in range(12):
        for key in range(10):
            await session.execute(insert, (partition, key, key))
            if partition % 3 or key % 5:
                await session.execute(delete, (partition, key))
            else:
                expected.append((partition, key))
    for fetch_size in (1, 2, 4, 8):
        config = StreamConfig(fetch_size=fetch_size)
        for query in (f"SELECT p, c FROM {table}", f"SELECT p, c FROM {table} WHERE v >= 0"):
            if "v >=" in query:
                query += " ALLOW FILTERING"
            stream = await session.execute_stream(query, stream_config=config)
            assert sorted([tuple(row) async for row in stream]) == expected
            pages = await session.execute_stream(query, stream_config=config)
            sizes = [len(page) async for page in pages.pages()]
            assert 0 not in sizes
            assert sum(sizes) == len(expected)


async def test_stream_resumes_from_token(session: AsyncCassandraSession, table: str) -> None:
    query = f"SELECT p, c, v FROM {table}"
    config = StreamConfig(fetch_size=100, max_pages=1)
    rows: list[Any] = []
    token: bytes | None = None
    while True:
        stream = await session.execute_stream(query, stream_config=config, paging_state=token)
        rows += [row async for row in stream]
        token = stream.paging_state
        if token is None:
            break
    assert rows == EXPECTED


# Leaving


@pytest.mark.parametrize("rows_read", [0, 1, 99, 100, 101])
async def test_stream_left_early_leaks_nothing(
    session: AsyncCassandraSession, table: str, rows_read: int
) -> None:
    before = asyncio.all_tasks()
    stream = await session.execute_stream(
        f"SELECT p, c, v FROM {table}", stream_config=StreamConfig(fetch_size=100)
    )
    read = 0
    async for _ in stream:
        if read == rows_read:
            break
        read += 1
    del stream
    gc.collect()
    assert requests_under_way(session) == 0
    # The control connection may be reading a schema that another test has changed.
    await until(lambda: asyncio.all_tasks() <= before)
    assert len(await session.execute(f"SELECT p, c, v FROM {table}")) == ROWS


@pytest.mark.parametrize("way", ["close", "cancel", "async with", "exception"])
async def test_stream_is_ended(session: AsyncCassandraSession, table: str, way: str) -> None:
    config = StreamConfig(fetch_size=50)
    stream = await session.execute_stream(f"SELECT p, c, v FROM {table}", stream_config=config)
    assert await anext(stream) == EXPECTED[0]
    if way == "close":
        await stream.close()
        await stream.close()
    elif way == "cancel":
        await stream.cancel()
    elif way == "async with":
        async with stream as same:
            assert same is stream
            assert await anext(stream) == EXPECTED[1]
    else:
        with pytest.raises(LookupError):
            async with stream:
                raise LookupError
    assert requests_under_way(session) == 0
    assert [row async for row in stream] == []
    assert [page async for page in stream.pages()] == []


async def test_stream_of_cancelled_task_is_ended(
    session: AsyncCassandraSession, table: str
) -> None:
    stream = await session.execute_stream(
        f"SELECT p, c, v FROM {table}", stream_config=StreamConfig(fetch_size=1)
    )
    started = asyncio.Event()

    async def read() -> None:
        async for _ in stream:
            started.set()

    reading = asyncio.create_task(read())
    await started.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await stream.close()
    assert requests_under_way(session) == 0


async def test_cancelled_start_leaves_nothing(session: AsyncCassandraSession, table: str) -> None:
    starting = asyncio.create_task(session.execute_stream(f"SELECT * FROM {table}"))
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert requests_under_way(session) == 0


async def test_many_streams_share_one_statement(session: AsyncCassandraSession, table: str) -> None:
    prepared = await session.prepare(f"SELECT p, c, v FROM {table} WHERE p = ?")

    async def read(number: int) -> bool:
        config = StreamConfig(fetch_size=20 + number * 7)
        stream = await session.execute_stream(prepared, (0,), stream_config=config)
        return [row async for row in stream] == EXPECTED

    assert all(await asyncio.gather(*(read(number) for number in range(40))))


async def test_streams_are_left_at_random_beside_others(
    session: AsyncCassandraSession, table: str
) -> None:
    prepared = await session.prepare(f"SELECT p, c, v FROM {table} WHERE p = ?")

    async def read(number: int) -> None:
        config = StreamConfig(fetch_size=10 + number)
        stream = await session.execute_stream(prepared, (0,), stream_config=config)
        rows = []
        async for row in stream:
            rows.append(row)
            if len(rows) == number * 11:
                break
        await stream.close()
        assert rows == EXPECTED[: number * 11 or ROWS]

    await asyncio.gather(*(read(number) for number in range(40)))
    assert requests_under_way(session) == 0


async def test_stream_lets_other_tasks_run(session: AsyncCassandraSession, table: str) -> None:
    stream = await session.execute_stream(
        f"SELECT p, c, v FROM {table}", stream_config=StreamConfig(fetch_size=5000)
    )
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    rows = [row async for row in stream]
    counting.cancel()
    assert len(rows) == ROWS
    assert turns >= 2


# A million rows

PARTITIONS = 100
ROWS_OF_PARTITION = 10_000
BATCH = 250


@pytest.fixture(scope="session")
def million(cassandra_server: RunningServer, settings: dict[str, Any]) -> Iterator[str]:
    """A table of a million rows, filled once for both loops."""
    keyspace = f"t_million_{uuid.uuid4().hex[:8]}"
    cassandra_server.execute(
        f"CREATE KEYSPACE {keyspace} WITH replication = "
        "{'class': 'SimpleStrategy', 'replication_factor': 1}"
    )
    asyncio.run(fill(settings, f"{keyspace}.million"))
    yield f"{keyspace}.million"
    cassandra_server.execute(f"DROP KEYSPACE {keyspace}")


async def fill(settings: dict[str, Any], table: str) -> None:
    async with AsyncCluster(**settings) as cluster, cluster.connect() as session:
        await session.execute(f"CREATE TABLE {table} (p int, c int, v int, PRIMARY KEY (p, c))")
        insert = await session.prepare(f"INSERT INTO {table} (p, c, v) VALUES (?, ?, ?)")

        async def fill_partition(partition: int) -> None:
            for start in range(0, ROWS_OF_PARTITION, BATCH):
                batch = BatchStatement(BatchType.UNLOGGED)
                for key in range(start, start + BATCH):
                    batch.add(insert, (partition, key, partition * key))
                await session.execute(batch, timeout=60)

        for first in range(0, PARTITIONS, 10):
            await asyncio.gather(*map(fill_partition, range(first, first + 10)))


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_million_rows_stream_in_flat_memory(
    session: AsyncCassandraSession, million: str
) -> None:
    stream = await session.execute_stream(
        f"SELECT p, c, v FROM {million}", stream_config=StreamConfig(fetch_size=5000)
    )
    count = total = 0
    early = late = 0
    async for row in stream:
        count += 1
        total += row.v - row.p * row.c + row.c
        if count % 50_000 == 0:
            if count <= 200_000:
                early = max(early, resident_bytes())
            else:
                late = max(late, resident_bytes())
    assert count == PARTITIONS * ROWS_OF_PARTITION
    assert total == PARTITIONS * sum(range(ROWS_OF_PARTITION))
    assert late - early < 16 * 1024 * 1024
