"""FastAPI: a session for the application's life, errors as HTTP answers, health routes.

::

    app = FastAPI(lifespan=cassandra_lifespan(lambda: AsyncCluster(["db"]), "shop"))
    add_exception_handlers(app)
    app.include_router(health_router())

    @app.get("/items/{item}")
    async def read(item: int, session: CassandraSession) -> dict[str, Any]: ...

Needs the extra ``async-cassandra[fastapi]``.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from async_cassandra.cluster import AsyncCluster
from async_cassandra.contrib.health import readiness
from async_cassandra.contrib.problems import BUSY, log_problem, problem_of, retry_after_header
from async_cassandra.exceptions import AsyncCassandraError
from async_cassandra.session import AsyncCassandraSession
from async_cassandra.streaming import AsyncStreamingResultSet

__all__ = [
    "CassandraSession",
    "PagesResponse",
    "add_exception_handlers",
    "cassandra_lifespan",
    "get_session",
    "health_router",
]

STATE = "cassandra_session"


def cassandra_lifespan(
    new_cluster: Callable[[], AsyncCluster],
    keyspace: str | None = None,
    *,
    on_connected: Callable[[AsyncCassandraSession], Awaitable[object]] | None = None,
) -> Callable[[FastAPI], AbstractAsyncContextManager[Mapping[str, Any]]]:
    """Make a lifespan: connect before the first request, close after the last one.

    The application does not start if Cassandra cannot be reached. A lifespan of your own can enter
    this one: ``async with cassandra_lifespan(...)(app) as state: ...; yield state``.

    :param new_cluster: makes the cluster; called at each start, on the server's event loop
    :param keyspace: the keyspace for unqualified names; ``None`` for none
    :param on_connected: awaited with the session before the first request, for example to prepare
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        async with new_cluster() as cluster, cluster.connect(keyspace) as session:
            if on_connected is not None:
                await on_connected(session)
            yield {STATE: session}

    return lifespan


def get_session(connection: HTTPConnection) -> AsyncCassandraSession:
    """Return the application's session; for ``Depends``, in HTTP and WebSocket routes.

    :raises RuntimeError: if the application has no :func:`cassandra_lifespan`
    """
    session = getattr(connection.state, STATE, None)
    if not isinstance(session, AsyncCassandraSession):
        raise RuntimeError("no session: give the application cassandra_lifespan() as its lifespan")
    return session


CassandraSession = Annotated[AsyncCassandraSession, Depends(get_session)]
"""The annotation for a parameter that receives the application's session."""


def add_exception_handlers(app: FastAPI, *, retry_after: float = 1.0) -> None:
    """Answer Cassandra's errors with 504, 503 with ``Retry-After``, or 400; any other is the server's 500.

    The answers are ``{"detail": ...}`` without CQL, values or nodes; the reason is logged.

    :param retry_after: seconds, rounded up to whole ones
    """

    async def answer(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        if problem is None or not isinstance(error, AsyncCassandraError):
            raise error
        log_problem(request.method, request.url.path, problem, error)
        return JSONResponse(
            {"detail": problem.detail},
            status_code=problem.status,
            headers=retry_after_header(problem, retry_after),
        )

    app.add_exception_handler(AsyncCassandraError, answer)


def health_router(
    prefix: str = "/health",
    *,
    timeout: float = 2.0,
    retry_after: float = 1.0,
) -> APIRouter:
    """Make routes for an orchestrator: ``/live`` says that the process runs, ``/ready`` that it can serve.

    ``/ready`` asks Cassandra, and answers 503 if that fails: take the process out of rotation,
    do not restart it.

    :param timeout: seconds for Cassandra's answer
    :param retry_after: seconds, in the 503
    """
    router = APIRouter(prefix=prefix, tags=["health"])

    @router.get("/live")
    async def live() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/ready", responses={503: {"description": "Cassandra does not answer"}})
    async def ready(session: CassandraSession) -> JSONResponse:
        found = await readiness(session, timeout)
        if found.ready:
            return JSONResponse(found.as_json())
        return JSONResponse(
            found.as_json(),
            status_code=BUSY.status,
            headers=retry_after_header(BUSY, retry_after),
        )

    return router


class PagesResponse(StreamingResponse):
    """A response with a stream's pages: the next is read only when the socket has accepted the last one.

    At most two pages are held, however slowly the client reads. When the client disconnects, the
    stream ends. An error after the first page cuts the response short, which HTTP clients report.
    """

    def __init__(
        self,
        stream: AsyncStreamingResultSet,
        encode: Callable[[list[Any]], bytes],
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str = "application/x-ndjson",
    ) -> None:
        """:param encode: makes the bytes of a page from its rows"""
        super().__init__(self._chunks(), status_code, headers, media_type)
        self._stream = stream
        self._encode = encode

    async def _chunks(self) -> AsyncIterator[bytes]:
        async for page in self._stream.pages():
            yield self._encode(page)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._stream:
            await super().__call__(scope, receive, send)
