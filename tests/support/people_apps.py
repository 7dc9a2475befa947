"""One application of names in each web framework: a read, a stream, faults, and a way to close its session."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web
from fastapi import FastAPI

from async_cassandra import AsyncCassandraSession, AsyncCluster, StreamConfig
from async_cassandra.contrib.aiohttp import (
    SESSION,
    cassandra_context,
    error_middleware,
    health_routes,
    send_pages,
)
from async_cassandra.contrib.fastapi import (
    CassandraSession,
    PagesResponse,
    add_exception_handlers,
    cassandra_lifespan,
    health_router,
)
from tests.support.http_faults import FAULTS, READ, SCHEMA, WRITE


async def prepare(session: AsyncCassandraSession) -> None:
    await session.execute(SCHEMA)
    insert = await session.prepare(WRITE)
    for key in range(3):
        await session.execute(insert, (key, f"name {key}"))


def fastapi_people(new_cluster: Callable[[], AsyncCluster], keyspace: str) -> FastAPI:
    app = FastAPI(lifespan=cassandra_lifespan(new_cluster, keyspace, on_connected=prepare))
    add_exception_handlers(app, retry_after=1.5)
    app.include_router(health_router())

    @app.get("/people/{key}")
    async def read(key: int, session: CassandraSession) -> dict[str, Any]:
        result = await session.execute(READ, (key,))
        return {"name": result.one().name}

    @app.get("/stream")
    async def stream(session: CassandraSession) -> PagesResponse:
        rows = await session.execute_stream(
            "SELECT id, name FROM people", stream_config=StreamConfig(fetch_size=2)
        )
        return PagesResponse(rows, lambda page: b"".join(b'{"id": %d}\n' % row.id for row in page))

    @app.get("/faults/{name}")
    async def fault(name: str, session: CassandraSession) -> None:
        await FAULTS[name][0](session)

    @app.post("/close")
    async def close(session: CassandraSession) -> None:
        await session.close()

    return app


def aiohttp_people(new_cluster: Callable[[], AsyncCluster], keyspace: str) -> web.Application:
    app = web.Application(middlewares=[error_middleware(retry_after=1.5)])
    app.cleanup_ctx.append(cassandra_context(new_cluster, keyspace, on_connected=prepare))
    app.add_routes(health_routes())
    app.router.add_get("/people/{key}", read)
    app.router.add_get("/stream", stream)
    app.router.add_get("/broken", broken_stream)
    app.router.add_get("/faults/{name}", fault)
    app.router.add_post("/close", close)
    return app


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
