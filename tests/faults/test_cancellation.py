"""Requests that nobody waits for any more, in every state that a request can be in."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from math import inf
from typing import Any

import anyio
import pytest
from cassandra import ConsistencyLevel
from cassandra.policies import RetryPolicy
from cassandra.query import SimpleStatement

from async_cassandra import AsyncCassandraSession, AsyncCluster, ClientOptions, StreamConfig
from async_cassandra._request.request import Attempt, Request, State
from async_cassandra.server import CassandraServer
from tests.faults.conftest import Report
from tests.support.request_rig import until
from tests.support.servers import cluster_options

pytestmark = [pytest.mark.anyio, pytest.mark.promise(5), pytest.mark.timeout(180)]

CANCELLED = 10_000
AT_ONCE = 500
ROWS = 40

type Call = Coroutine[Any, Any, object]
type Ready = Callable[[], Awaitable[object]]


# Three ways to give up on many calls at once


class GivenUp(Exception):
    """Fails a task group."""


async def by_timeout(calls: list[Call], ready: Ready) -> None:
    timeouts: list[asyncio.Timeout] = []

    async def limited(call: Call) -> None:
        async with asyncio.timeout(None) as timeout:
            timeouts.append(timeout)
            await call

    tasks = [asyncio.ensure_future(limited(call)) for call in calls]
    await ready()
    for timeout in timeouts:
        timeout.reschedule(0.0)
    await asyncio.wait(tasks)
    assert {type(task.exception()) for task in tasks} <= {TimeoutError, type(None)}


async def by_task_group(calls: list[Call], ready: Ready) -> None:
    with contextlib.suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            for call in calls:
                group.create_task(call)
            await ready()
            raise GivenUp


async def by_cancel_scope(calls: list[Call], ready: Ready) -> None:
    async def wait_for(call: Call) -> None:
        await call

    async with anyio.create_task_group() as group:
        for call in calls:
            group.start_soon(wait_for, call)
        await ready()
        group.cancel_scope.cancel()


WAYS = {
    "timeout": by_timeout,
    "task group": by_task_group,
    "cancel scope": by_cancel_scope,
}


# The states


@dataclass(frozen=True, slots=True)
class Scene:
    """Where requests are cancelled.

    :ivar table: of :data:`ROWS` rows
    """

    session: AsyncCassandraSession
    table: str
    numbers: itertools.count[int]

    @property
    def core(self) -> Any:
        return self.session._core

    @property
    def requests(self) -> list[Request]:
        """Those that have a deadline now."""
        return [timer for timer in self.core.timers.running() if isinstance(timer, Request)]

    def count(self, state: State) -> int:
        return sum(request.state == state for request in self.requests)

    @property
    def flushes(self) -> int:
        return sum(connection.flushes for connection in self.core.nodes.connections())


class Case:
    """How to bring calls into a state.

    :cvar options: of the session
    """

    options = ClientOptions()

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    async def prepare(self) -> None:
        """Get ready, once."""
        self.read = await self.scene.session.prepare(
            f"SELECT value FROM {self.scene.table} WHERE id = ?"
        )

    def calls(self) -> list[Call]:
        execute = self.scene.session.execute
        return [
            execute(self.read, (next(self.scene.numbers),), timeout=60.0) for _ in range(AT_ONCE)
        ]

    async def reach(self) -> int:
        """Let the calls come to the state; gives how many are in it when they are cancelled."""
        raise NotImplementedError


class Queued(Case):
    options = ClientOptions(max_in_flight=8)

    async def reach(self) -> int:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return self.scene.count(State.QUEUED)


class BeforeSend(Case):
    async def reach(self) -> int:
        flushes = self.scene.flushes
        await asyncio.sleep(0)
        assert self.scene.flushes == flushes
        return self.scene.count(State.WAITING)


class InFlight(Case):
    async def reach(self) -> int:
        flushes = self.scene.flushes
        # Two turns: the requests start in the first, their frames leave in the second.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert self.scene.flushes > flushes
        return self.scene.count(State.WAITING)


class Preparing(Case):
    """Strings with markers that nobody has prepared; all of a round share one PREPARE."""

    def calls(self) -> list[Call]:
        limit = next(self.scene.numbers)
        text = f"SELECT value FROM {self.scene.table} WHERE id = ? LIMIT {limit}"
        return [self.scene.session.execute(text, (number,)) for number in range(AT_ONCE)]

    async def reach(self) -> int:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [type(request.message).__name__ for request in self.scene.requests] == ["Prepare"]
        return AT_ONCE


class Later(RetryPolicy):
    """Wants everything again in a while."""

    def on_unavailable(self, *args: Any, **facts: Any) -> Any:
        return self.RETRY, None, 30.0


class WaitingToRetry(Case):
    """A consistency that no node can reach, asked for with a patient policy."""

    options = ClientOptions(retry_budget=inf)

    def calls(self) -> list[Call]:
        statement = SimpleStatement(
            f"SELECT value FROM {self.scene.table} WHERE id = 1",
            consistency_level=ConsistencyLevel.THREE,
            retry_policy=Later(),
        )
        execute = self.scene.session.execute
        return [execute(statement, timeout=60.0) for _ in range(AT_ONCE)]

    async def reach(self) -> int:
        await until(lambda: self.scene.count(State.PAUSED) == AT_ONCE, 30.0)
        return AT_ONCE


class MidPage(Case):
    """Results of many pages, of which some have come."""

    options = ClientOptions(fetch_size=2)

    def calls(self) -> list[Call]:
        execute = self.scene.session.execute
        return [execute(self.read, timeout=60.0) for _ in range(AT_ONCE)]

    async def prepare(self) -> None:
        self.read = await self.scene.session.prepare(f"SELECT value FROM {self.scene.table}")

    @property
    def between_pages(self) -> int:
        return sum(getattr(each.message, "paging_state", None) is not None for each in self.live)

    @property
    def live(self) -> list[Request]:
        return [request for request in self.scene.requests if request.state == State.WAITING]

    async def reach(self) -> int:
        await until(lambda: self.between_pages > AT_ONCE // 2, 30.0)
        return self.between_pages


class Prefetching(MidPage):
    """Streams whose next page is on its way while the one before is being read."""

    def calls(self) -> list[Call]:
        return [self._stream() for _ in range(AT_ONCE)]

    async def _stream(self) -> None:
        opening = self.scene.session.execute_stream(
            self.read, stream_config=StreamConfig(fetch_size=2, timeout_seconds=60.0)
        )
        async with await opening as stream:
            self.reading += 1
            async for _ in stream:
                await asyncio.sleep(0.05)

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene)
        self.reading = 0

    async def reach(self) -> int:
        before = self.reading
        await until(lambda: self.reading - before > AT_ONCE // 4 and self.between_pages > 50, 30.0)
        return self.between_pages


CASES = [Queued, Preparing, BeforeSend, InFlight, WaitingToRetry, MidPage, Prefetching]
# A timeout that is over is noticed a turn later, when the frames have left.
PLAYED = [
    pytest.param(kind, way, id=f"{kind.__name__}-{name}")
    for kind in CASES
    for name, way in WAYS.items()
    if (kind, way) != (BeforeSend, by_timeout)
]


# What must not be left


def left_over() -> int:
    """How many requests and attempts exist in this process."""
    gc.collect()
    return sum(isinstance(thing, Request | Attempt) for thing in gc.get_objects())


@asynccontextmanager
async def scene(nodes: CassandraServer, options: ClientOptions) -> AsyncIterator[Scene]:
    """A session of its own, and a table with one replica of each row."""
    async with (
        AsyncCluster(**cluster_options(nodes), client_options=options) as cluster,
        cluster.connect() as session,
    ):
        pools = session._core.nodes.pools.values()
        await asyncio.gather(*(pool.wait_open() for pool in pools))
        await session.execute(
            "CREATE KEYSPACE IF NOT EXISTS cancelled "
            "WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}"
        )
        table = "cancelled.items"
        await session.execute(
            f"CREATE TABLE IF NOT EXISTS {table} (id bigint PRIMARY KEY, value text)"
        )
        for number in range(ROWS):
            await session.execute(
                f"INSERT INTO {table} (id, value) VALUES (?, ?)", (number, f"item {number}")
            )
        yield Scene(session, table, itertools.count(ROWS))


async def settle(scene: Scene) -> None:
    """Wait until no connection owes a response."""
    connections = scene.core.nodes.watched
    await until(lambda: not any(connection.in_flight for connection in connections()), 60.0)


async def cancel_rounds(case: Case, way: Callable[[list[Call], Ready], Awaitable[None]]) -> int:
    """Cancel until so many were in the state; gives how many."""
    cancelled = 0

    async def ready() -> None:
        nonlocal cancelled
        cancelled += await case.reach()

    while cancelled < CANCELLED:
        await way(case.calls(), ready)
        await settle(case.scene)
    return cancelled


@pytest.mark.parametrize(("kind", "way"), PLAYED)
async def test_cancelled_requests_leave_nothing(
    nodes: CassandraServer,
    report: Report,
    kind: type[Case],
    way: Callable[[list[Call], Ready], Awaitable[None]],
) -> None:
    async with scene(nodes, kind.options) as played:
        case = kind(played)
        await case.prepare()
        await settle(played)
        core = played.core
        tasks, objects = asyncio.all_tasks(), left_over()
        cancelled = await cancel_rounds(case, way)
        await until(lambda: asyncio.all_tasks() == tasks)
        assert (core.executor.running, core.executor.queued, len(core.timers)) == (0, 0, 0)
        assert [c.orphans for c in core.nodes.watched() if c.orphans] == []
        left = left_over() - objects
        report(f"{cancelled} cancelled, {left} requests and attempts left")
        assert left <= 0
        for number in range(ROWS):
            result = await played.session.execute(
                f"SELECT value FROM {played.table} WHERE id = ?", (number,)
            )
            assert result.one().value == f"item {number}"
