"""The frameworks' own servers, on the test's loop, and what an HTTP client is told of them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from aiohttp import web

GRACE = 5


class StartedServer(uvicorn.Server):
    """uvicorn, which says when it listens."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.is_listening.set()


@asynccontextmanager
async def uvicorn_serving(app: Any) -> AsyncIterator[str]:
    """Serve an ASGI application; gives its address, as ``http://127.0.0.1:1234``.

    :raises RuntimeError: if the application did not start
    """
    listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
    config = uvicorn.Config(
        app,
        lifespan="on",
        log_level="warning",
        # Longer than the client keeps idle connections, or it writes into one that is being closed.
        timeout_keep_alive=60,
        timeout_graceful_shutdown=GRACE,
        ws="none",
    )
    server = StartedServer(config)
    serving = asyncio.create_task(server.serve([listening]))
    started = asyncio.create_task(server.is_listening.wait())
    try:
        await asyncio.wait((serving, started), return_when=asyncio.FIRST_COMPLETED)
        if not server.started:
            raise RuntimeError("the application did not start")
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        started.cancel()
        server.should_exit = True
        await serving
        listening.close()


@asynccontextmanager
async def aiohttp_serving(app: web.Application) -> AsyncIterator[str]:
    """Serve an aiohttp application; gives its address, as ``http://127.0.0.1:1234``."""
    runner = web.AppRunner(app, shutdown_timeout=GRACE)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
