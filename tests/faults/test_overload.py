"""Far more requests at once than can be sent."""

from __future__ import annotations

import asyncio
import time

import pytest

from async_cassandra import AsyncCassandraSession, AsyncCluster, ClientOptions
from async_cassandra.exceptions import OverloadedError
from async_cassandra.server import CassandraServer
from tests.faults.conftest import Report
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


class Lag:
    """The longest time that the loop did not come round, from now on."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._loop = asyncio.get_running_loop()
        self._last = time.perf_counter()
        self._handle = self._loop.call_soon(self._tick)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.seconds = max(self.seconds, now - self._last)
        self._last = now
        self._handle = self._loop.call_later(0.002, self._tick)

    def stop(self) -> float:
        self._handle.cancel()
        return self.seconds


async def flood(session: AsyncCassandraSession, query: object) -> tuple[list[object], float]:
    """Start all requests in one turn; gives their results and the lag after that turn."""

    async def read(number: int) -> None:
        await session.execute(query, (number,), timeout=60.0)  # type: ignore[arg-type]

    tasks = [asyncio.ensure_future(read(number)) for number in range(AT_ONCE)]
    await asyncio.sleep(0)
    lag = Lag()
    results: list[object] = list(await asyncio.gather(*tasks, return_exceptions=True))
    return results, lag.stop()


async def test_all_complete_that_the_queue_takes(
    nodes: CassandraServer, session: AsyncCassandraSession, keyspace: str, report: Report
) -> None:
    query = await session.prepare(f"SELECT value FROM {keyspace}.items WHERE id = ?")
    started = time.perf_counter()
    results, lag = await flood(session, query)
    seconds = time.perf_counter() - started
    report(f"{results.count(None)} of {AT_ONCE} in {seconds:.1f} s, lag {lag * 1000:.0f} ms")
    assert [result for result in results if result is not None] == []


async def test_excess_is_refused_at_once(
    nodes: CassandraServer, session: AsyncCassandraSession, keyspace: str, report: Report
) -> None:
    options = ClientOptions(max_in_flight=64, max_queued=1000)
    small = AsyncCluster(**cluster_options(nodes), client_options=options)
    async with small, small.connect() as bounded:
        async with asyncio.timeout(10):
            await asyncio.gather(*(p.wait_open() for p in bounded._core.nodes.pools.values()))
        query = await bounded.prepare(f"SELECT value FROM {keyspace}.items WHERE id = ?")
        results, lag = await flood(bounded, query)
    refused = [result for result in results if isinstance(result, OverloadedError)]
    completed = results.count(None)
    report(f"{completed} completed, {len(refused)} refused, lag {lag * 1000:.0f} ms")
    assert completed + len(refused) == AT_ONCE
    assert completed >= options.max_queued
