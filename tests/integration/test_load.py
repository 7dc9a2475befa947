"""Many requests at once: admission, cancellation, lost connections, and whose threads do what."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from async_cassandra import (
    AsyncCassandraSession,
    AsyncCluster,
    ClientOptions,
    OverloadedError,
    QueryError,
    StreamConfig,
)
from tests.integration.conftest import Backend, NewTable
from tests.support.cutting_proxy import CuttingProxy
from tests.support.request_rig import until

pytestmark = pytest.mark.anyio

QUERY = "SELECT cluster_name FROM system.local"
KEYS = 200


@pytest.fixture(scope="module")
async def table(session: AsyncCassandraSession, new_table: NewTable) -> str:
    """Rows whose sizes differ widely."""
    name = await new_table("id int PRIMARY KEY, size int, v blob")
    insert = await session.prepare(f"INSERT INTO {name} (id, size, v) VALUES (?, ?, ?)")
    for key in range(KEYS):
        await session.execute(insert, (key, key * 100, bytes([key]) * (key * 100)))
    return name


def in_flight(session: AsyncCassandraSession) -> int:
    """Stream ids in use on every connection."""
    return sum(
        connection.in_flight
        for pool in session._core.nodes.pools.values()
        for connection in pool.connections
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "lz4"},
        {"protocol_version": 4},
        {"protocol_version": 4, "compression": "lz4"},
        {"client_options": ClientOptions(connections_per_node=3)},
        {"client_options": ClientOptions(max_in_flight=7)},
    ],
    ids=str,
)
async def test_answers_of_many_requests_are_not_mixed_up(
    settings: dict[str, Any], table: str, options: dict[str, Any]
) -> None:
    async with AsyncCluster(**settings, **options) as cluster, cluster.connect() as session:
        select = await session.prepare(f"SELECT id, size, v FROM {table} WHERE id = ?")

        async def read(number: int) -> None:
            key = number * 7 % KEYS
            row = (await session.execute(select, (key,))).one()
            assert row == (key, key * 100, bytes([key]) * (key * 100))

        await asyncio.gather(*(read(number) for number in range(1500)))
        # A slow machine makes the heartbeat ask a connection too; its question is answered as well.
        await until(lambda: in_flight(session) == 0)


async def test_requests_past_the_queue_are_refused_at_once(settings: dict[str, Any]) -> None:
    options = ClientOptions(max_in_flight=2, max_queued=3)
    cluster = AsyncCluster(**settings, client_options=options)
    async with cluster, cluster.connect() as session:
        outcomes = await asyncio.gather(
            *(session.execute(QUERY) for _ in range(20)), return_exceptions=True
        )
        refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert len(refused) == 15
        assert all(isinstance(refusal, OverloadedError) for refusal in refused)
        assert all(isinstance(refusal, QueryError) for refusal in refused)
        assert (await session.execute(QUERY)).one() is not None


async def test_no_queue_refuses_what_finds_no_place(settings: dict[str, Any]) -> None:
    options = ClientOptions(max_in_flight=1, max_queued=0)
    cluster = AsyncCluster(**settings, client_options=options)
    async with cluster, cluster.connect() as session:
        outcomes = await asyncio.gather(
            *(session.execute(QUERY) for _ in range(3)), return_exceptions=True
        )
        assert [isinstance(outcome, OverloadedError) for outcome in outcomes] == [
            False,
            True,
            True,
        ]


async def test_cancelled_requests_give_their_places_back(
    settings: dict[str, Any], table: str
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    options = ClientOptions(max_in_flight=16)
    cluster = AsyncCluster(**settings, client_options=options)
    async with cluster, cluster.connect() as session:
        select = await session.prepare(f"SELECT id, v FROM {table} WHERE id = ?")

        async def read(key: int) -> int:
            found: int = (await session.execute(select, (key,))).one().id
            return found

        for _ in range(10):
            tasks = [asyncio.create_task(read(key)) for key in range(100)]
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            cancelled = set(chance.sample(range(100), 60))
            for number in cancelled:
                tasks[number].cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
            for number, outcome in enumerate(outcomes):
                if number in cancelled:
                    assert outcome == number or isinstance(outcome, asyncio.CancelledError)
                else:
                    assert outcome == number
        assert session._core.executor.running == 0
        while in_flight(session):
            await session.execute(QUERY)


@pytest.fixture
async def proxied(
    anyio_backend: Backend, settings: dict[str, Any]
) -> AsyncIterator[tuple[AsyncCassandraSession, CuttingProxy]]:
    """A session whose connections a proxy can cut."""
    async with CuttingProxy(settings["contact_points"][0], settings["port"]) as proxy:
        options = settings | {"contact_points": [proxy.host], "port": proxy.port}
        async with AsyncCluster(**options) as cluster, cluster.connect() as session:
            yield session, proxy


async def test_lost_connections_are_reopened_at_once(
    proxied: tuple[AsyncCassandraSession, CuttingProxy], table: str
) -> None:
    session, proxy = proxied
    select = await session.prepare(f"SELECT id FROM {table} WHERE id = ?")
    for _ in range(5):
        await proxy.wait_for_links(2)
        proxy.reset()
        rows = await asyncio.gather(*(session.execute(select, (key,)) for key in range(50)))
        assert [row.one().id for row in rows] == list(range(50))


async def test_reads_survive_connections_that_are_lost_under_them(
    proxied: tuple[AsyncCassandraSession, CuttingProxy], table: str
) -> None:
    session, proxy = proxied
    select = await session.prepare(f"SELECT id FROM {table} WHERE id = ?")
    reading = asyncio.gather(*(session.execute(select, (key % KEYS,)) for key in range(300)))
    await asyncio.sleep(0)
    proxy.reset()
    results = await reading
    assert [result.one().id for result in results] == [key % KEYS for key in range(300)]


async def test_stream_goes_on_after_connection_was_lost(
    proxied: tuple[AsyncCassandraSession, CuttingProxy], table: str
) -> None:
    session, proxy = proxied
    stream = await session.execute_stream(
        f"SELECT id FROM {table}", stream_config=StreamConfig(fetch_size=20)
    )
    seen = []
    async for row in stream:
        seen.append(row.id)
        if len(seen) % 50 == 0:
            proxy.reset()
    assert sorted(seen) == list(range(KEYS))


async def test_schema_is_refreshed_after_control_connection_was_lost(
    proxied: tuple[AsyncCassandraSession, CuttingProxy], cassandra_keyspace: str
) -> None:
    session, proxy = proxied
    await proxy.wait_for_links(2)
    proxy.reset()
    # A read finds its way over the new connection; a CREATE that was under way would not be repeated.
    await session.execute(QUERY)
    name = f"after_loss_{id(session)}"
    await session.execute(f"CREATE TABLE {cassandra_keyspace}.{name} (id int PRIMARY KEY)")
    assert session.cluster.metadata is not None
    assert name in session.cluster.metadata.keyspaces[cassandra_keyspace].tables


async def test_small_prefetch_bound_fetches_no_page_ahead(
    session: AsyncCassandraSession, table: str
) -> None:
    for bound, requests in ((0, 1), (64 * 1024 * 1024, 2)):
        before = session._core.executor.requests
        config = StreamConfig(fetch_size=10, max_prefetch_bytes=bound)
        stream = await session.execute_stream(f"SELECT id FROM {table}", stream_config=config)
        assert session._core.executor.requests == before + requests
        assert len([row async for row in stream]) == KEYS


# Threads


async def test_requests_take_no_thread(settings: dict[str, Any], table: str) -> None:
    async with AsyncCluster(**settings) as cluster, cluster.connect() as session:
        select = await session.prepare(f"SELECT id, v FROM {table} WHERE id = ?")
        threads = set(threading.enumerate())
        await asyncio.gather(*(session.execute(select, (key,)) for key in range(KEYS)))
        await session.execute(f"SELECT id FROM {table}")
        assert set(threading.enumerate()) == threads
        names = {type(thread).__module__ for thread in threads}
        assert not any("libev" in name or "asyncore" in name for name in names)
        assert "libevwrapper" not in {thread.name for thread in threads}


class RefusingExecutor(ThreadPoolExecutor):
    """What an application may have filled with work of its own."""

    def submit(self, *call: Any, **arguments: Any) -> Future[Any]:
        raise AssertionError("the loop's default executor was used")


async def use_everything(settings: dict[str, Any]) -> str:
    async with AsyncCluster(**settings) as cluster, cluster.connect("system") as session:
        prepared = await session.prepare("SELECT cluster_name FROM local WHERE key = ?")
        await session.execute("SELECT * FROM local WHERE key = ?", ("local",))
        stream = await session.execute_stream("SELECT * FROM system_schema.tables")
        assert [row async for row in stream]
        traced = await session.execute(QUERY, trace=True)
        assert await traced.get_query_trace() is not None
        name: str = (await session.execute(prepared, ("local",))).one().cluster_name
        return name


def uvloop_run(main: Coroutine[Any, Any, str]) -> str:
    uvloop = pytest.importorskip("uvloop")
    name: str = uvloop.run(main)
    return name


@pytest.mark.parametrize("run", [asyncio.run, uvloop_run])
def test_default_executor_is_not_used(
    settings: dict[str, Any], run: Callable[[Coroutine[Any, Any, str]], str]
) -> None:
    async def main() -> str:
        asyncio.get_running_loop().set_default_executor(RefusingExecutor())
        return await use_everything(settings)

    assert run(main())


def test_eager_tasks_change_nothing(settings: dict[str, Any]) -> None:
    async def main() -> str:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        names = await asyncio.gather(*(use_everything(settings) for _ in range(2)))
        assert names[0] == names[1]
        async with AsyncCluster(**settings) as cluster:
            session = await cluster.connect()
            requests = [asyncio.create_task(session.execute(QUERY)) for _ in range(50)]
            return str((await asyncio.gather(*requests))[-1].one().cluster_name)

    assert asyncio.run(main(), debug=True)


@pytest.mark.skipif(sys.platform == "win32", reason="selector loop only")
def test_loop_of_application_may_run_in_any_thread(settings: dict[str, Any]) -> None:
    names: list[str] = []
    thread = threading.Thread(target=lambda: names.append(asyncio.run(use_everything(settings))))
    thread.start()
    thread.join()
    assert names
