"""aiohttp: a session for the application's life, errors as HTTP answers, health routes.

::

    app = web.Application(middlewares=[error_middleware()])
    app.cleanup_ctx.append(cassandra_context(lambda: AsyncCluster(["db"]), "shop"))
    app.add_routes(health_routes())

    async def read(request: web.Request) -> web.Response:
        session = request.app[SESSION]

Needs the extra ``async-cassandra[aiohttp]``.
"""

import builtins
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from async_cassandra.cluster import AsyncCluster
from async_cassandra.contrib.health import readiness
from async_cassandra.contrib.problems import (
    BUSY,
    log_problem,
    problem_of,
    retry_after_header,
)
from async_cassandra.exceptions import AsyncCassandraError
from async_cassandra.session import AsyncCassandraSession
from async_cassandra.streaming import AsyncStreamingResultSet

__all__ = [
    "SESSION",
    "cassandra_context",
    "error_middleware",
    "health_routes",
    "send_pages",
]

SESSION: web.AppKey[AsyncCassandraSession] = web.AppKey("cassandra_session", AsyncCassandraSession)
"""Where the application keeps its session: ``request.app[SESSION]``."""


def cassandra_context(
    new_cluster: Callable[[], AsyncCluster],
    keyspace: str | None = None,
    *,
    on_connected: Callable[[AsyncCassandraSession], Awaitable[object]] | None = None,
) -> Callable[[web.Application], AsyncIterator[None]]:
    """Make a context for ``app.cleanup_ctx``: connect before the first request, close after the last one.

    The application does not start if Cassandra cannot be reached.

    :param new_cluster: makes the cluster; called at each start, on the server's event loop
    :param keyspace: the keyspace for unqualified names; ``None`` for none
    :param on_connected: awaited with the session before the first request, for example to prepare
    """

    async def context(app: web.Application) -> AsyncIterator[None]:
        async with new_cluster() as cluster, cluster.connect(keyspace) as session:
            if on_connected is not None:
                await on_connected(session)
            app[SESSION] = session
            yield

    return context


def error_middleware(*, retry_after: float = 1.0) -> Middleware:
    """Answer Cassandra's errors with 504, 503 with ``Retry-After``, or 400; any other is the server's 500.

    The answers are ``{"detail": ...}`` without CQL, values or nodes; the reason is logged.

    :param retry_after: seconds, rounded up to whole ones
    """

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except AsyncCassandraError as error:
            problem = problem_of(error)
            # Once a response has begun there is no other: the server cuts it short.
            if problem is None or request.writer.output_size:
                raise
            log_problem(request.method, request.path, problem, error)
            return web.json_response(
                {"detail": problem.detail},
                status=problem.status,
                headers=retry_after_header(problem, retry_after),
            )

    return answer


def health_routes(
    prefix: str = "/health", *, timeout: float = 2.0, retry_after: float = 1.0
) -> list[web.RouteDef]:
    """Make routes for an orchestrator: ``/live`` says that the process runs, ``/ready`` that it can serve.

    ``/ready`` asks Cassandra, and answers 503 if that fails: take the process out of rotation,
    do not restart it.

    :param timeout: seconds for Cassandra's answer
    :param retry_after: seconds, in the 503
    """

    async def live(request: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def ready(request: web.Request) -> web.Response:
        found = await readiness(request.config_dict[SESSION], timeout)
        if found.ready:
            return web.json_response(found.as_json())
        headers = retry_after_header(BUSY, retry_after)
        return web.json_response(found.as_json(), status=BUSY.status, headers=headers)

    return [web.get(f"{prefix}/live", live), web.get(f"{prefix}/ready", ready)]


async def send_pages(
    request: web.Request,
    stream: AsyncStreamingResultSet,
    encode: Callable[[list[Any]], bytes],
    *,
    content_type: str = "application/x-ndjson",
) -> web.StreamResponse:
    """Send a stream's pages as they arrive: the next is read only when the socket has accepted the last one.

    At most two pages are held, however slowly the client reads. When the client disconnects, the
    stream ends. An error after the first page cuts the response short, which HTTP clients report.

    :param encode: makes the bytes of a page from its rows
    """
    async with stream:
        response = web.StreamResponse(headers={"Content-Type": content_type})
        await response.prepare(request)
        async for page in stream.pages():
            body = encode(page)
            try:
                await response.write(body)
            except builtins.ConnectionError:
                # The client left, which is no error of the application's; aiohttp would log it as one.
                return response
        await response.write_eof()
        return response
