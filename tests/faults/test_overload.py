"""Far more requests at once than can be sent."""

from __future__ import annotations

import asyncio
import gc
import os
import time
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from cassandra import ReadTimeout

from async_cassandra import AsyncCassandraSession, AsyncCluster, ClientOptions, PreparedStatement
from async_cassandra.exceptions import OverloadedError, QueryTimeoutError
from async_cassandra.server import CassandraServer
from tests.faults.conftest import Report
from tests.support.request_rig import until
from tests.support.servers import cluster_options

# Debug mode makes each of so many tasks expensive.
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.promise(4),
    pytest.mark.timeout(120),
    pytest.mark.parametrize(
        "anyio_backend",
        [
            pytest.param(("asyncio", {}), id="asyncio"),
            pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
        ],
        scope="session",
    ),
]

AT_ONCE = 50_000
LONGEST_TURN = 0.1
SCHEDULING = "/proc/thread-self/schedstat"


class Lag:
    """The longest time that the loop did not come round.

    Where the system tells, :attr:`seconds` leaves out how long other processes had the processor
    that the loop wanted: three nodes share it here. :attr:`wall_seconds` has it all.
    """

    def __init__(self) -> None:
        self.seconds = self.wall_seconds = self.collector_seconds = 0.0
        self._file = os.open(SCHEDULING, os.O_RDONLY) if os.path.exists(SCHEDULING) else None
        self._loop = asyncio.get_running_loop()
        self._last = time.perf_counter(), self._waited()
        self._handle = self._loop.call_soon(self._tick)
        gc.callbacks.append(self._on_collection)

    def _waited(self) -> float:
        """Seconds that this thread was ready to run and did not get a processor."""
        if self._file is None:
            return 0.0
        return int(os.pread(self._file, 100, 0).split()[1]) / 1e9

    def _tick(self) -> None:
        now, waited = time.perf_counter(), self._waited()
        wall = now - self._last[0]
        self.wall_seconds = max(self.wall_seconds, wall)
        self.seconds = max(self.seconds, wall - (waited - self._last[1]))
        self._last = now, waited
        self._handle = self._loop.call_later(0.002, self._tick)

    def _on_collection(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._collection = time.perf_counter()
        else:
            pause = time.perf_counter() - self._collection
            self.collector_seconds = max(self.collector_seconds, pause)

    def stop(self) -> None:
        self._handle.cancel()
        gc.callbacks.remove(self._on_collection)
        if self._file is not None:
            os.close(self._file)

    def __str__(self) -> str:
        return (
            f"longest turn {self.seconds * 1000:.0f} ms ({self.wall_seconds * 1000:.0f} ms with "
            f"other processes), longest collection {self.collector_seconds * 1000:.0f} ms"
        )


async def flood(
    send: Callable[[int], Awaitable[object]], count: int = AT_ONCE
) -> tuple[list[object], int, Lag]:
    """Start all requests in one turn.

    Gives their results, how many of them were done after that turn, and the lag from then on.
    """
    tasks = [asyncio.ensure_future(send(number)) for number in range(count)]
    everything = asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0)
    done = sum(task.done() for task in tasks)
    lag = Lag()
    try:
        results: list[object] = list(await everything)
    finally:
        lag.stop()
    return results, done, lag


@asynccontextmanager
async def bounded(
    nodes: CassandraServer, keyspace: str, options: ClientOptions
) -> AsyncIterator[tuple[AsyncCassandraSession, PreparedStatement]]:
    """A session with limits of its own, connected to every node, and a statement of it."""
    async with (
        AsyncCluster(**cluster_options(nodes), client_options=options) as cluster,
        cluster.connect() as session,
    ):
        async with asyncio.timeout(10):
            pools = session._core.nodes.pools.values()
            await asyncio.gather(*(pool.wait_open() for pool in pools))
        query = await session.prepare(f"SELECT value FROM {keyspace}.items WHERE id = ?")
        # The other nodes learn the statement in the background.
        await until(lambda: not any(c.in_flight for c in session._core.nodes.connections()), 10)
        yield session, query


async def test_all_complete_that_the_queue_takes(
    nodes: CassandraServer, session: AsyncCassandraSession, keyspace: str, report: Report
) -> None:
    query = await session.prepare(f"SELECT value FROM {keyspace}.items WHERE id = ?")

    async def read(number: int) -> None:
        await session.execute(query, (number,), timeout=60.0)

    started = time.perf_counter()
    results, _, lag = await flood(read)
    seconds = time.perf_counter() - started
    report(f"{results.count(None)} of {AT_ONCE} in {seconds:.1f} s, {lag}")
    # Three nodes on one machine may themselves be too slow for some of so many.
    slow = [result for result in results if isinstance(result, ReadTimeout)]
    assert results.count(None) + len(slow) == AT_ONCE
    assert len(slow) < AT_ONCE // 100
    assert lag.seconds < LONGEST_TURN


async def test_excess_is_refused_at_once(
    nodes: CassandraServer, keyspace: str, report: Report
) -> None:
    options = ClientOptions(max_in_flight=64, max_queued=1000)
    async with bounded(nodes, keyspace, options) as (session, query):

        async def read(number: int) -> None:
            await session.execute(query, (number,), timeout=60.0)

        results, done, lag = await flood(read)
    refused = [result for result in results if isinstance(result, OverloadedError)]
    completed = results.count(None)
    report(f"{completed} completed, {len(refused)} refused, {lag}")
    assert completed == 3 * 64 + 1000
    assert len(refused) == done == AT_ONCE - completed
    assert lag.seconds < LONGEST_TURN


async def test_queue_that_times_out_at_once_lets_the_loop_turn(
    nodes: CassandraServer, keyspace: str, report: Report
) -> None:
    async with bounded(nodes, keyspace, ClientOptions(max_in_flight=1)) as (session, query):

        async def read(number: int) -> float | None:
            try:
                await session.execute(query, (number,), timeout=0.5)
            except QueryTimeoutError as error:
                return error.queued_seconds
            return None

        results, _, lag = await flood(read)
    late = [result for result in results if isinstance(result, float)]
    report(f"{results.count(None)} completed, {len(late)} timed out in the queue, {lag}")
    assert results.count(None) + len(late) == AT_ONCE
    assert len(late) > AT_ONCE // 2
    # One for each node was on the wire instead.
    assert late.count(0.0) <= 3
    assert lag.seconds < LONGEST_TURN


async def held(
    nodes: CassandraServer, keyspace: str, count: int, max_queued: int
) -> tuple[int, int]:
    """Bytes that the library holds while ``count`` requests are there, and how many are queued."""
    options = ClientOptions(max_in_flight=1, max_queued=max_queued)
    async with bounded(nodes, keyspace, options) as (session, query):

        async def read(number: int) -> None:
            with suppress(OverloadedError):
                await session.execute(query, (number,), timeout=60.0)

        tasks: list[Any] = []
        gc.collect()
        tracemalloc.start()
        try:
            tasks += [asyncio.ensure_future(read(number)) for number in range(count)]
            await asyncio.sleep(0)
            queued = session._core.executor.queued
            ours = tracemalloc.Filter(True, "*/async_cassandra/*")
            lines = tracemalloc.take_snapshot().filter_traces([ours]).statistics("filename")
        finally:
            tracemalloc.stop()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return sum(line.size for line in lines), queued


async def test_memory_is_bounded_by_the_queue_and_not_by_the_load(
    nodes: CassandraServer, keyspace: str, report: Report
) -> None:
    full, queued = await held(nodes, keyspace, 5_000, 4_000)
    assert queued == 4_000
    overloaded, queued = await held(nodes, keyspace, AT_ONCE, 4_000)
    assert queued == 4_000
    report(
        f"{full / queued:.0f} bytes for each queued request of {full / 1e6:.1f} MB; "
        f"{overloaded / 1e6:.1f} MB with ten times the load"
    )
    assert full / queued < 1500
    assert overloaded < full * 1.25
