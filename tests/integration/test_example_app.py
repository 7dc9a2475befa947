"""The example application, over HTTP, on a real Cassandra."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from starlette.routing import Match, Route

from async_cassandra import AsyncCassandraSession
from async_cassandra.contrib.fastapi import health_router
from async_cassandra.server import RunningServer
from examples.fastapi_app import service, users
from examples.fastapi_app.app import create_app
from tests.support.example_app import example_app, new_user

pytestmark = pytest.mark.anyio

METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}


@pytest.fixture
async def client(
    anyio_backend: Any, cassandra_server: RunningServer, cassandra_keyspace: str
) -> AsyncIterator[aiohttp.ClientSession]:
    async with example_app(cassandra_server, cassandra_keyspace) as http:
        yield http
        async with http.get("/users/stream") as answer:
            left = [json.loads(line)["id"] async for line in answer.content]
        await asyncio.gather(*(http.delete(f"/users/{user}") for user in left))


async def created(client: aiohttp.ClientSession, number: int = 1) -> dict[str, Any]:
    async with client.post("/users", json=new_user(number)) as answer:
        assert answer.status == 201, await answer.text()
        user: dict[str, Any] = await answer.json()
        return user


async def test_user_is_created_read_replaced_patched_deleted(client: aiohttp.ClientSession) -> None:
    user = await created(client)
    path = f"/users/{user['id']}"
    async with client.get(path) as answer:
        assert (answer.status, await answer.json()) == (200, user)
        assert answer.headers["ETag"] == '"1"'
    replaced = {"email": "other@example.org", "name": "Other"}
    async with client.put(path, json=replaced) as answer:
        assert answer.status == 200
        assert await answer.json() == {**user, **replaced, "age": None, "version": 2}
    async with client.patch(path, json={"age": 7}) as answer:
        assert await answer.json() == {**user, **replaced, "age": 7, "version": 3}
    async with client.delete(path) as answer:
        assert (answer.status, await answer.text()) == (204, "")
    for method in ("GET", "DELETE"):
        async with client.request(method, path) as answer:
            assert answer.status == 404


async def test_address_belongs_to_one_user_at_a_time(client: aiohttp.ClientSession) -> None:
    first, second = await created(client, 1), await created(client, 2)
    async with client.post("/users", json=new_user(1)) as answer:
        assert answer.status == 409
    async with client.patch(f"/users/{second['id']}", json={"email": first["email"]}) as answer:
        assert answer.status == 409
    await client.delete(f"/users/{first['id']}")
    async with client.patch(f"/users/{second['id']}", json={"email": first["email"]}) as answer:
        assert answer.status == 200
    await created(client, 2)


async def test_of_changes_at_once_one_wins(client: aiohttp.ClientSession) -> None:
    user = await created(client)
    path = f"/users/{user['id']}"

    async def patch(age: int) -> int:
        async with client.patch(path, json={"age": age}, headers={"If-Match": '"1"'}) as answer:
            return answer.status

    assert sorted(await asyncio.gather(*map(patch, range(8)))) == [200] + [409] * 7
    async with client.get(path) as answer:
        assert (await answer.json())["version"] == 2
    async with client.delete(path, headers={"If-Match": "1"}) as answer:
        assert answer.status == 409


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/users", {"name": "No address"}),
        ("POST", "/users", {**new_user(1), "age": -1}),
        ("POST", "/users", {**new_user(1), "is_admin": True}),
        ("POST", "/users/batch", {"users": []}),
        ("POST", "/users/batch", {"users": [new_user(1), new_user(1)]}),
        ("PATCH", f"/users/{uuid4()}", {}),
        ("PATCH", f"/users/{uuid4()}", {"email": None}),
        ("GET", "/users/not-an-id", None),
        ("GET", "/users?size=0", None),
        ("GET", "/users?after=%25%25", None),
        ("GET", "/users?after=bm90IGEgdG9rZW4", None),
        ("GET", "/compare?requests=0", None),
    ],
)
async def test_bad_input_is_told_to_the_client(
    client: aiohttp.ClientSession, method: str, path: str, body: Any
) -> None:
    async with client.request(method, path, json=body) as answer:
        text = await answer.text()
        assert answer.status == 400, text
        assert "SELECT" not in text


async def test_unknown_user_is_not_found(client: aiohttp.ClientSession) -> None:
    for method, body in (("PUT", new_user(1)), ("PATCH", {"age": 1}), ("DELETE", None)):
        async with client.request(method, f"/users/{uuid4()}", json=body) as answer:
            assert answer.status == 404


async def test_batch_creates_all_or_none(client: aiohttp.ClientSession) -> None:
    async with client.post("/users/batch", json={"users": [*map(new_user, range(50))]}) as answer:
        assert answer.status == 201
        assert len({user["id"] for user in await answer.json()}) == 50
    async with client.post(
        "/users/batch", json={"users": [*map(new_user, range(49, 80))]}
    ) as answer:
        assert answer.status == 409
    async with client.get("/users", params={"size": 1000}) as answer:
        assert len((await answer.json())["users"]) == 50
    # The addresses of the refused batch are free again.
    async with client.post(
        "/users/batch", json={"users": [*map(new_user, range(50, 80))]}
    ) as answer:
        assert answer.status == 201


async def test_pages_and_streams_have_every_user_once(client: aiohttp.ClientSession) -> None:
    async with client.post("/users/batch", json={"users": [*map(new_user, range(100))]}) as answer:
        expected = sorted(user["id"] for user in await answer.json())
    listed, after, pages = [], None, 0
    while after is not None or pages == 0:
        params = {"size": "7"} | ({"after": after} if after is not None else {})
        async with client.get("/users", params=params) as answer:
            page = await answer.json()
        assert len(page["users"]) <= 7
        listed += [user["id"] for user in page["users"]]
        after, pages = page["next"], pages + 1
    assert sorted(listed) == expected
    assert pages >= 15
    async with client.get("/users/stream", params={"page_size": 7}) as answer:
        assert answer.content_type == "application/x-ndjson"
        assert sorted([json.loads(line)["id"] async for line in answer.content]) == expected
    async with client.get("/users/pages", params={"page_size": 7}) as answer:
        lines = [json.loads(line) async for line in answer.content]
    assert [line["page"] for line in lines] == [*range(1, len(lines) + 1)]
    assert sorted(user["id"] for line in lines for user in line["users"]) == expected


async def test_service_routes_answer(client: aiohttp.ClientSession) -> None:
    async with client.get("/health/ready") as answer:
        assert (answer.status, (await answer.json())["nodes_up"]) == (200, 1)
    async with client.get("/compare", params={"requests": 50}) as answer:
        assert (await answer.json())["requests"] == 50
    async with client.get("/metrics") as answer:
        text = await answer.text()
        assert "cassandra_query_duration_seconds_count" in text
    async with client.get("/stats") as answer:
        assert (await answer.json())["query_performance"]["total_queries"] >= 100
    async with client.get("/live/events") as answer:
        assert answer.content_type == "text/event-stream"
        line = await answer.content.readline()
        figures = json.loads(line.removeprefix(b"data: "))
        assert figures["latency_ms"].keys() == {"p50", "p95", "p99"}
        assert [node["up"] for node in figures["nodes"]] == [True]


@pytest.mark.timeout(60)
async def test_slow_reader_holds_back_cassandra(
    client: aiohttp.ClientSession, session: AsyncCassandraSession
) -> None:
    """While the client reads nothing, the application reads no more than fills the sockets."""
    await insert_large_users(session, 1500)
    reader, writer = await slow_stream(client)
    received = await reader.readuntil(b'"id"')
    # Each of these goes through the same application and the same Cassandra.
    for _ in range(100):
        async with client.get(f"/users/{uuid4()}") as other:
            assert other.status == 404
    assert 0 < await pages_streamed(client) < 20
    received += await reader.read()
    writer.close()
    await writer.wait_closed()
    assert received.count(b'"id"') == 1500
    assert await pages_streamed(client) >= 30
    await session.execute("TRUNCATE users")


@pytest.mark.timeout(60)
async def test_client_that_leaves_ends_its_stream(
    client: aiohttp.ClientSession, session: AsyncCassandraSession
) -> None:
    await insert_large_users(session, 1500)
    reader, writer = await slow_stream(client)
    await reader.readuntil(b'"id"')
    writer.transport.abort()
    for _ in range(100):
        async with client.get(f"/users/{uuid4()}") as other:
            assert other.status == 404
    assert 0 < await pages_streamed(client) < 20
    await session.execute("TRUNCATE users")


async def insert_large_users(session: AsyncCassandraSession, count: int) -> None:
    """Insert users of 20 kB each."""
    insert = await session.prepare(
        "INSERT INTO users (id, email, name, version, created) VALUES (?, ?, ?, 1, 0)"
    )
    name = "x" * 20_000
    for start in range(0, count, 100):
        numbers = range(start, start + 100)
        rows = [(uuid4(), f"large{number}@example.org", name) for number in numbers]
        await asyncio.gather(*(session.execute(insert, row) for row in rows))


async def slow_stream(
    client: aiohttp.ClientSession,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that buffers little, over which the application streams its users."""
    address = client._base_url
    assert address is not None
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    small.setblocking(False)
    await asyncio.get_running_loop().sock_connect(small, (address.host, address.port))
    reader, writer = await asyncio.open_connection(sock=small, limit=65536)
    writer.write(b"GET /users/stream?page_size=50 HTTP/1.0\r\nHost: localhost\r\n\r\n")
    return reader, writer


async def pages_streamed(client: aiohttp.ClientSession) -> int:
    async with client.get("/stats") as answer:
        pages: int = (await answer.json())["pages_streamed"]
        return pages


def test_routes_do_not_shadow_each_other() -> None:
    """A request for each route's path, with an id where it takes one, reaches that route."""
    routers = (health_router(), users.router, service.router)
    routes = [route for router in routers for route in router.routes if isinstance(route, Route)]
    assert {route.path for route in routes} == set(create_app().openapi()["paths"])
    for route in routes:
        path = route.path.replace("{user_id}", str(uuid4()))
        for method in (route.methods or set()) & METHODS:
            scope = {"type": "http", "method": method, "path": path, "headers": []}
            first = next(found for found in routes if found.matches(scope)[0] is Match.FULL)
            assert first is route, f"{method} {path} goes to {first.path}"


@pytest.mark.timeout(60)
def test_one_command_serves_until_interrupted(cassandra_server: RunningServer) -> None:
    environment = {
        **os.environ,
        "CASSANDRA_CONTACT_POINTS": ",".join(cassandra_server.contact_points),
        "CASSANDRA_PORT": str(cassandra_server.port),
    }
    with subprocess.Popen(
        [sys.executable, "-m", "examples.fastapi_app", "--port", "0"],
        cwd=Path(__file__).parents[2],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        shown = next(line for line in process.stderr if "running on" in line)
        address = re.search(r"http://[\d.:]+", shown)
        assert address is not None
        with urllib.request.urlopen(f"{address[0]}/health/ready") as answer:
            assert json.load(answer)["status"] == "ready"
        process.send_signal(signal.SIGINT)
        process.stderr.read()
        assert process.wait() in (0, -signal.SIGINT)


def test_image_is_built_from_files_that_exist() -> None:
    folder = Path(__file__).parents[2]
    recipe = (folder / "examples/fastapi_app/Dockerfile").read_text(encoding="utf-8")
    copied = [
        source
        for line in recipe.splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    ]
    sent = (folder / "examples/fastapi_app/Dockerfile.dockerignore").read_text(encoding="utf-8")
    wanted = {line[1:] for line in sent.splitlines() if line.startswith("!")}
    assert len(copied) >= 8
    assert [source for source in copied if not (folder / source).exists()] == []
    assert {source.partition("/")[0] for source in copied} == wanted
