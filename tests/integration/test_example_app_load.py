"""The example application under many clients at once: every answer counted, nothing timed."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import aiohttp
import pytest

from async_cassandra.server import RunningServer
from tests.support.example_app import example_app, new_user

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240), pytest.mark.slow]

CLIENTS = 500


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    """The loop that a service under load would have."""
    return "asyncio", {"use_uvloop": True}


async def one_client(http: aiohttp.ClientSession, number: int) -> list[int]:
    """Create a user, try to create it again, read, change, list and read it once more."""
    statuses = []
    async with http.post("/users", json=new_user(number)) as answer:
        statuses.append(answer.status)
        user = await answer.json()
    async with http.post("/users", json=new_user(number)) as answer:
        statuses.append(answer.status)
    path = f"/users/{user['id']}"
    async with http.get(path) as answer:
        statuses.append(answer.status)
    async with http.patch(path, json={"age": 99}) as answer:
        statuses.append(answer.status)
    async with http.get("/users", params={"size": 10}) as answer:
        statuses.append(answer.status)
    async with http.get(path) as answer:
        statuses.append(answer.status)
        assert await answer.json() == {**user, "age": 99, "version": 2}
    return statuses


async def deleted(http: aiohttp.ClientSession, user: str) -> int:
    async with http.delete(f"/users/{user}") as answer:
        return answer.status


async def test_five_hundred_clients_get_what_is_theirs(
    cassandra_server: RunningServer, cassandra_keyspace: str, anyio_backend: Any
) -> None:
    app = example_app(cassandra_server, cassandra_keyspace, connections=CLIENTS)
    async with app as http:
        found = await asyncio.gather(*(one_client(http, number) for number in range(CLIENTS)))
        assert Counter(map(tuple, found)) == {(201, 409, 200, 200, 200, 200): CLIENTS}
        async with http.get("/users/stream") as answer:
            users = [json.loads(line) async for line in answer.content]
        assert sorted(user["email"] for user in users) == sorted(
            new_user(number)["email"] for number in range(CLIENTS)
        )
        assert {(user["age"], user["version"]) for user in users} == {(99, 2)}
        gone = await asyncio.gather(*(deleted(http, user["id"]) for user in users))
        assert gone == [204] * CLIENTS
