"""FastAPI on uvicorn and aiohttp's own server, a real HTTP client, a real Cassandra."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from fastapi import FastAPI

from async_cassandra import AsyncCluster, ClientOptions, StreamConfig
from async_cassandra.contrib.aiohttp import SESSION, send_pages
from async_cassandra.contrib.fastapi import CassandraSession
from tests.support.http_faults import FAULTS, SECRETS
from tests.support.http_servers import aiohttp_serving, uvicorn_serving
from tests.support.people_apps import aiohttp_people, fastapi_people

pytestmark = pytest.mark.anyio


@pytest.fixture
def new_cluster(settings: dict[str, Any]) -> Callable[[], AsyncCluster]:
    options = ClientOptions(max_in_flight=1, max_queued=2)
    return lambda: AsyncCluster(**settings, client_options=options)


@pytest.fixture(params=["fastapi", "aiohttp"])
async def client(
    request: pytest.FixtureRequest,
    new_cluster: Callable[[], AsyncCluster],
    cassandra_keyspace: str,
) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of the application, in each framework."""
    if request.param == "fastapi":
        serving = uvicorn_serving(fastapi_people(new_cluster, cassandra_keyspace))
    else:
        serving = aiohttp_serving(aiohttp_people(new_cluster, cassandra_keyspace))
    async with serving as address, aiohttp.ClientSession(address) as http:
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
        assert found["latency_ms"] > 0
    await client.post("/close")
    async with client.get("/health/ready") as answer:
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "1"
        assert (await answer.json())["status"] == "not ready"
    async with client.get("/health/live") as answer:
        assert (answer.status, await answer.json()) == (200, {"status": "alive"})


async def test_pages_are_streamed(client: aiohttp.ClientSession) -> None:
    async with client.get("/stream") as answer:
        assert answer.content_type == "application/x-ndjson"
        ids = [json.loads(line)["id"] async for line in answer.content]
    assert sorted(ids) == [0, 1, 2]


@pytest.mark.parametrize("client", ["aiohttp"], indirect=True)
async def test_fault_in_a_begun_response_cuts_it_short(client: aiohttp.ClientSession) -> None:
    async with client.get("/broken") as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()


async def test_client_that_leaves_a_stream_is_no_error(
    new_cluster: Callable[[], AsyncCluster],
    cassandra_keyspace: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    left = asyncio.Event()
    app = aiohttp_people(new_cluster, cassandra_keyspace)

    async def large(request: web.Request) -> web.StreamResponse:
        stream = await request.app[SESSION].execute_stream(
            "SELECT id FROM people", stream_config=StreamConfig(fetch_size=1)
        )
        try:
            return await send_pages(request, stream, lambda page: b"x" * 16_000_000)
        finally:
            left.set()

    app.router.add_get("/large", large)
    async with aiohttp_serving(app) as address, aiohttp.ClientSession(address) as http:
        async with http.get("/large") as answer:
            assert await answer.content.readany()
            answer.close()
        await left.wait()
    assert "Error handling request" not in caplog.text


async def test_lifespan_can_be_entered_again(
    new_cluster: Callable[[], AsyncCluster], cassandra_keyspace: str
) -> None:
    app = fastapi_people(new_cluster, cassandra_keyspace)
    for _ in range(2):
        async with (
            uvicorn_serving(app) as address,
            aiohttp.ClientSession(address) as http,
            http.get("/people/2") as answer,
        ):
            assert answer.status == 200


async def test_application_without_lifespan_says_so(anyio_backend: Any) -> None:
    app = FastAPI()

    @app.get("/")
    async def read(session: CassandraSession) -> None:
        raise AssertionError("no session can be here")

    async with (
        uvicorn_serving(app) as address,
        aiohttp.ClientSession(address) as http,
        http.get("/") as answer,
    ):
        assert answer.status == 500
