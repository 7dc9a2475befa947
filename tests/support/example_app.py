"""The example application, served for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from async_cassandra.server import RunningServer
from examples.fastapi_app.app import Settings, create_app
from tests.support.http_servers import uvicorn_serving
from tests.support.servers import cluster_options

TIMEOUT = aiohttp.ClientTimeout(total=60)


@asynccontextmanager
async def example_app(
    server: RunningServer, keyspace: str, *, replication: int = 1, connections: int = 100
) -> AsyncIterator[aiohttp.ClientSession]:
    """Serve the application; gives a client that knows its address.

    :param connections: that the client may open at once
    """
    options = cluster_options(server)
    settings = Settings(
        tuple(options.pop("contact_points")), options.pop("port"), keyspace, replication, options
    )
    async with (
        uvicorn_serving(create_app(settings)) as address,
        aiohttp.ClientSession(
            address, timeout=TIMEOUT, connector=aiohttp.TCPConnector(limit=connections)
        ) as client,
    ):
        yield client


def new_user(number: int) -> dict[str, Any]:
    """What a client sends to create a user."""
    return {"email": f"user{number}@example.org", "name": f"User {number}", "age": number % 100}
