"""The example application while one of its three nodes is dead."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter

import pytest

from async_cassandra.server import CassandraServer
from tests.support.example_app import example_app, new_user

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

CLIENTS = 32
# A write that is not idempotent may be lost with its node, which the client is told.
RETRY = {503, 504}


async def test_http_clients_read_on_while_a_node_dies_and_returns(nodes: CassandraServer) -> None:
    read: Counter[int] = Counter()
    created: Counter[int] = Counter()
    over = asyncio.Event()
    progress = asyncio.Semaphore(0)
    numbers = itertools.count(CLIENTS)
    async with example_app(nodes, "app_faults", replication=3) as http:
        async with http.post(
            "/users/batch", json={"users": [*map(new_user, range(CLIENTS))]}
        ) as answer:
            assert answer.status == 201
            paths = [f"/users/{user['id']}" for user in await answer.json()]

        async def reader(path: str) -> None:
            while not over.is_set():
                async with http.get(path) as answer:
                    read[answer.status] += 1
                    await answer.read()
                progress.release()

        async def writer() -> None:
            while not over.is_set():
                async with http.post("/users", json=new_user(next(numbers))) as answer:
                    created[answer.status] += 1
                    await answer.read()

        async with asyncio.TaskGroup() as clients:
            for path in paths:
                clients.create_task(reader(path))
            for _ in range(2):
                clients.create_task(writer())
            await asyncio.to_thread(nodes.kill, 2)
            async with http.get("/health/ready") as answer:
                assert answer.status == 200
            while not progress.locked():
                await progress.acquire()
            for _ in range(20 * CLIENTS):
                await progress.acquire()
            await asyncio.to_thread(nodes.restart, 2)
            over.set()
        assert set(read) == {200}
        assert created[201] > 0
        assert set(created) <= {201, *RETRY}
        async with http.get("/users/stream") as answer:
            stored = [line async for line in answer.content]
        assert len(stored) >= CLIENTS + created[201]
        assert len(stored) <= CLIENTS + created.total()
