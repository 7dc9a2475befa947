"""A server that takes so many requests a second and no more, by its own rate limiter."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cassandra.policies import FallthroughRetryPolicy, RetryPolicy
from cassandra.protocol import OverloadedErrorMessage

from async_cassandra import AsyncCassandraSession, AsyncCluster, ClientOptions
from async_cassandra.exceptions import OverloadedError
from async_cassandra.server import CassandraServer
from tests.support.figures import Report
from tests.support.servers import cluster_options

pytestmark = [pytest.mark.anyio, pytest.mark.promise(4), pytest.mark.timeout(60)]

PER_SECOND = 100
READ = "SELECT key FROM system.local WHERE key = 'local'"


@pytest.fixture(scope="module")
def limited_server() -> Iterator[CassandraServer]:
    """One node with a rate limit."""
    limits = {
        "native_transport_rate_limiting_enabled": True,
        "native_transport_max_requests_per_second": PER_SECOND,
    }
    with CassandraServer(port=0, config=limits) as server:
        yield server


@asynccontextmanager
async def connected(
    server: CassandraServer, *, throw_on_overload: bool, **more: Any
) -> AsyncIterator[AsyncCassandraSession]:
    options = ClientOptions(throw_on_overload=throw_on_overload, retry_budget=math.inf)
    settings = cluster_options(server) | {"client_options": options} | more
    async with AsyncCluster(**settings) as cluster, cluster.connect() as session:
        yield session


async def read_at_once(session: AsyncCassandraSession, count: int) -> list[Exception]:
    """Start so many reads in one turn of the loop; gives their errors."""
    reads = [session.execute(READ, timeout=20.0) for _ in range(count)]
    results = await asyncio.gather(*reads, return_exceptions=True)
    return [result for result in results if isinstance(result, Exception)]


class Persistent(RetryPolicy):
    """Asks the same node again and again, for as long as there is time."""

    def on_request_error(self, *args: Any, **facts: Any) -> Any:
        return self.RETRY, None


async def test_server_that_shall_throw_answers_with_the_overloaded_error(
    limited_server: CassandraServer, report: Report
) -> None:
    never = FallthroughRetryPolicy()
    async with connected(limited_server, throw_on_overload=True, retry_policy=never) as session:
        started = time.perf_counter()
        errors = await read_at_once(session, PER_SECOND * 10)
        seconds = time.perf_counter() - started
    report(f"{len(errors)} of {PER_SECOND * 10} refused in {seconds:.2f} s, at {PER_SECOND}/s")
    assert len(errors) >= PER_SECOND * (10 - 2 - seconds)
    for error in errors:
        assert isinstance(error, OverloadedError)
        assert isinstance(error, OverloadedErrorMessage)
        assert (error.endpoint, error.attempts) == (endpoint_of(limited_server), 1)


async def test_backoff_gets_through_what_the_server_refuses_at_first(
    limited_server: CassandraServer, report: Report
) -> None:
    patient = Persistent()
    async with connected(limited_server, throw_on_overload=True, retry_policy=patient) as session:
        assert await read_at_once(session, PER_SECOND * 3) == []
        retries = session._core.executor.retries
    report(f"{PER_SECOND * 3} of {PER_SECOND * 3} answered, {retries} retries")
    # Each would be refused hundreds of times a second without the pauses between.
    assert PER_SECOND // 2 < retries < PER_SECOND * 3 * 20


async def test_server_holds_back_by_itself_where_it_shall_not_throw(
    limited_server: CassandraServer, report: Report
) -> None:
    async with connected(limited_server, throw_on_overload=False) as session:
        started = time.perf_counter()
        assert await read_at_once(session, PER_SECOND * 4) == []
        seconds = time.perf_counter() - started
        report(f"{PER_SECOND * 4} of {PER_SECOND * 4} answered in {seconds:.1f} s, no retry")
        assert seconds > 2.0
        assert session._core.executor.retries == 0


def endpoint_of(server: CassandraServer) -> str:
    return f"{server.nodes[0].address}:{server.nodes[0].port}"
