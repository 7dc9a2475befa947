"""The example application while one of its three nodes is dead."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter

import aiohttp
import pytest

from async_cassandra.server import CassandraServer
from tests.faults.conftest import Report
from tests.support.example_app import example_app, new_user

pytestmark = [pytest.mark.anyio, pytest.mark.promise(1), pytest.mark.timeout(180)]

USERS = 32
# A write that is not idempotent may be lost with its node, which the client is told.
TOLD = {503, 504}


class Clients:
    """Readers and writers of the application, and the statuses that they got."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self.read: Counter[int] = Counter()
        self.created: Counter[int] = Counter()
        self.over = asyncio.Event()
        self._http = http
        self._numbers = itertools.count(USERS)
        self._progress = asyncio.Semaphore(0)

    async def prepare(self) -> list[str]:
        """Create users; gives their paths."""
        users = [*map(new_user, range(USERS))]
        async with self._http.post("/users/batch", json={"users": users}) as answer:
            assert answer.status == 201
            return [f"/users/{user['id']}" for user in await answer.json()]

    async def read_on(self, path: str) -> None:
        while not self.over.is_set():
            async with self._http.get(path) as answer:
                self.read[answer.status] += 1
                await answer.read()
            self._progress.release()

    async def create_on(self) -> None:
        while not self.over.is_set():
            user = new_user(next(self._numbers))
            async with self._http.post("/users", json=user) as answer:
                self.created[answer.status] += 1
                await answer.read()

    async def reads(self, count: int) -> None:
        """Wait for so many reads from now on."""
        while not self._progress.locked():
            await self._progress.acquire()
        for _ in range(count):
            await self._progress.acquire()


async def node_shown_down(http: aiohttp.ClientSession) -> None:
    """Wait until the live page is told of a dead node."""
    async with http.get("/live/events") as events:
        async for line in events.content:
            if b'"up": false' in line:
                return


async def test_http_clients_read_on_while_a_node_dies_and_returns(
    nodes: CassandraServer, report: Report
) -> None:
    async with example_app(nodes, "app_faults", replication=3) as http:
        clients = Clients(http)
        paths = await clients.prepare()
        async with asyncio.TaskGroup() as tasks:
            for path in paths:
                tasks.create_task(clients.read_on(path))
            for _ in range(2):
                tasks.create_task(clients.create_on())
            await asyncio.to_thread(nodes.kill, 2)
            await node_shown_down(http)
            async with http.get("/health/ready") as answer:
                assert answer.status == 200
            await clients.reads(20 * USERS)
            await asyncio.to_thread(nodes.restart, 2)
            clients.over.set()
        read, created = clients.read, clients.created
        report(f"{read.total():,} HTTP reads {dict(read)}, creations {dict(created)}")
        assert set(read) == {200}
        assert created[201] > 0
        assert set(created) <= {201, *TOLD}
        async with http.get("/users/stream") as answer:
            stored = len([line async for line in answer.content])
        assert USERS + created[201] <= stored <= USERS + created.total()
