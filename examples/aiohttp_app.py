"""A guest book with aiohttp: ``python examples/aiohttp_app.py``, then http://127.0.0.1:8080/entries

``curl -d '{"guest": "Ada", "text": "Lovely"}' localhost:8080/entries``; the list is streamed.
"""

import json
import os
from typing import Any
from uuid import uuid1

from aiohttp import web

from async_cassandra import AsyncCassandraSession, AsyncCluster, PreparedStatement, StreamConfig
from async_cassandra.contrib.aiohttp import (
    SESSION,
    cassandra_context,
    error_middleware,
    health_routes,
    send_pages,
)

KEYSPACE = "aiohttp_app"
TABLE = """CREATE TABLE IF NOT EXISTS guest_book (
    book text, id timeuuid, guest text, text text, PRIMARY KEY (book, id))
    WITH CLUSTERING ORDER BY (id DESC)"""
INSERT = web.AppKey("insert", PreparedStatement)
routes = web.RouteTableDef()


@routes.post("/entries")
async def add(request: web.Request) -> web.Response:
    try:
        entry = await request.json()
        guest, text = entry["guest"], entry["text"]
    except (ValueError, KeyError, TypeError):
        raise web.HTTPBadRequest(text='wanted: {"guest": "...", "text": "..."}') from None
    entry_id = uuid1()
    await request.app[SESSION].execute(request.app[INSERT], ("main", entry_id, guest, text))
    return web.json_response({"id": str(entry_id)}, status=201)


@routes.get("/entries")
async def entries(request: web.Request) -> web.StreamResponse:
    """Every entry, the latest first, a line of JSON each."""
    stream = await request.app[SESSION].execute_stream(
        "SELECT id, guest, text FROM guest_book WHERE book = ?",
        ("main",),
        stream_config=StreamConfig(fetch_size=500),
    )
    return await send_pages(request, stream, lines)


def lines(page: list[Any]) -> bytes:
    return b"".join(
        json.dumps({"id": str(row.id), "guest": row.guest, "text": row.text}).encode() + b"\n"
        for row in page
    )


def create_app(contact_points: list[str], port: int, **options: Any) -> web.Application:
    """:param options: further arguments of ``AsyncCluster``"""
    app = web.Application(middlewares=[error_middleware()])

    async def prepare(session: AsyncCassandraSession) -> None:
        await session.execute(
            f"CREATE KEYSPACE IF NOT EXISTS {KEYSPACE} WITH replication = "
            "{'class': 'SimpleStrategy', 'replication_factor': 1}"
        )
        await session.set_keyspace(KEYSPACE)
        await session.execute(TABLE)
        app[INSERT] = await session.prepare(
            "INSERT INTO guest_book (book, id, guest, text) VALUES (?, ?, ?, ?)"
        )

    def new_cluster() -> AsyncCluster:
        return AsyncCluster(contact_points, port=port, **options)

    app.cleanup_ctx.append(cassandra_context(new_cluster, on_connected=prepare))
    app.add_routes([*routes, *health_routes()])
    return app


if __name__ == "__main__":
    web.run_app(
        create_app(
            os.environ.get("CASSANDRA_CONTACT_POINTS", "127.0.0.1").split(","),
            int(os.environ.get("CASSANDRA_PORT", "9042")),
        ),
        host="127.0.0.1",
        port=8080,
    )
