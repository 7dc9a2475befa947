"""aiohttp's server and client, a real Cassandra."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from async_cassandra import AsyncCassandraSession, AsyncCluster, ClientOptions, StreamConfig
from async_cassandra.contrib.aiohttp import (
    SESSION,
    cassandra_context,
    error_middleware,
    health_routes,
    send_pages,
)
from tests.support.http_faults import FAULTS, READ, SCHEMA, SECRETS, WRITE
from tests.support.http_servers import aiohttp_serving

pytestmark = pytest.mark.anyio


async def prepare(session: AsyncCassandraSession) -> None:
    await session.execute(SCHEMA)
    insert = await session.prepare(WRITE)
    for key in range(3):
        await session.execute(insert, (key, f"name {key}"))


async def read(request: web.Request) -> web.Response:
    result = await request.app[SESSION].execute(READ, (int(request.match_info["key"]),))
    return web.json_response({"name": result.one().name})


async def stream(request: web.Request) -> web.StreamResponse:
    rows = await request.app[SESSION].execute_stream(
        "SELECT id, name FROM people", stream_config=StreamConfig(fetch_size=2)
    )
    return await send_pages(
        request, rows, lambda page: b"".join(b'{"id": %d}\n' % row.id for row in page)
    )


async def broken_stream(request: web.Request) -> web.StreamResponse:
    """Fails as Cassandra does, when the response has begun."""
    rows = await request.app[SESSION].execute_stream(
        "SELECT id, name FROM people", stream_config=StreamConfig(fetch_size=1)
    )
    response = web.StreamResponse()
    await response.prepare(request)
    async for row in rows:
        await response.write(b"%d" % row.id)
        await FAULTS["late"][0](request.app[SESSION])
    return response


async def fault(request: web.Request) -> web.Response:
    await FAULTS[request.match_info["name"]][0](request.app[SESSION])
    return web.Response()


async def close(request: web.Request) -> web.Response:
    await request.app[SESSION].close()
    return web.Response()


@pytest.fixture
async def client(
    settings: dict[str, Any], cassandra_keyspace: str, anyio_backend: Any
) -> AsyncIterator[aiohttp.ClientSession]:
    options = ClientOptions(max_in_flight=1, max_queued=2)
    app = web.Application(middlewares=[error_middleware(retry_after=1.5)])
    app.cleanup_ctx.append(
        cassandra_context(
            lambda: AsyncCluster(**settings, client_options=options),
            cassandra_keyspace,
            on_connected=prepare,
        )
    )
    app.add_routes(health_routes())
    app.router.add_get("/people/{key}", read)
    app.router.add_get("/stream", stream)
    app.router.add_get("/broken", broken_stream)
    app.router.add_get("/faults/{name}", fault)
    app.router.add_post("/close", close)
    async with aiohttp_serving(app) as address, aiohttp.ClientSession(address) as http:
        yield http


async def test_session_serves_requests(client: aiohttp.ClientSession) -> None:
    async with client.get("/people/1") as answer:
        assert answer.status == 200
        assert await answer.json() == {"name": "name 1"}


@pytest.mark.parametrize("name", FAULTS)
async def test_errors_become_answers(client: aiohttp.ClientSession, name: str) -> None:
    status = FAULTS[name][1]
    async with client.get(f"/faults/{name}") as answer:
        text = await answer.text()
        assert (answer.status, text) == (status, text)
        assert answer.headers.get("Retry-After") == ("2" if status == 503 else None)
        # On a fault of the program the framework answers itself, in debug mode with the traceback.
        if status != 500:
            assert list(json.loads(text)) == ["detail"]
            assert not [secret for secret in SECRETS if secret in text]


async def test_health_routes_tell_alive_from_ready(client: aiohttp.ClientSession) -> None:
    async with client.get("/health/ready") as answer:
        found = await answer.json()
        assert answer.status == 200
        assert (found["status"], found["nodes_up"], found["nodes"]) == ("ready", 1, 1)
    await client.post("/close")
    async with client.get("/health/ready") as answer:
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "1"
    async with client.get("/health/live") as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "alive"})


async def test_pages_are_streamed(client: aiohttp.ClientSession) -> None:
    async with client.get("/stream") as answer:
        assert answer.content_type == "application/x-ndjson"
        ids = [json.loads(line)["id"] async for line in answer.content]
    assert sorted(ids) == [0, 1, 2]


async def test_fault_in_a_begun_response_cuts_it_short(client: aiohttp.ClientSession) -> None:
    async with client.get("/broken") as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
