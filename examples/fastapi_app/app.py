"""The application: ``uvicorn --factory fastapi_app.app:create_app``."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CollectorRegistry

from async_cassandra import (
    AsyncCassandraSession,
    AsyncCluster,
    InMemoryMetricsCollector,
    MetricsMiddleware,
    PrometheusMetricsCollector,
)
from async_cassandra.contrib.fastapi import (
    add_exception_handlers,
    cassandra_lifespan,
    health_router,
)

from . import service, users
from .live import LiveFigures
from .store import Users


@dataclass(frozen=True, slots=True)
class Settings:
    """Where Cassandra is; :meth:`from_environment` reads it.

    :ivar replication: copies of each row, for a keyspace that is missing
    :ivar options: further arguments of ``AsyncCluster``
    """

    contact_points: tuple[str, ...] = ("127.0.0.1",)
    port: int = 9042
    keyspace: str = "fastapi_app"
    replication: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_environment(cls) -> "Settings":
        """CASSANDRA_CONTACT_POINTS, CASSANDRA_PORT, CASSANDRA_KEYSPACE, CASSANDRA_REPLICATION."""
        return cls(
            contact_points=tuple(
                os.environ.get("CASSANDRA_CONTACT_POINTS", "127.0.0.1").split(",")
            ),
            port=int(os.environ.get("CASSANDRA_PORT", "9042")),
            keyspace=os.environ.get("CASSANDRA_KEYSPACE", "fastapi_app"),
            replication=int(os.environ.get("CASSANDRA_REPLICATION", "1")),
        )


def create_app(settings: Settings | None = None) -> FastAPI:
    """Put the application together; it connects when it starts."""
    settings = Settings.from_environment() if settings is None else settings

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        async def prepare(session: AsyncCassandraSession) -> None:
            await use_keyspace(session, settings)
            app.state.users = await Users.open(session)
            app.state.watching = asyncio.create_task(app.state.figures.watch(session))

        connected = cassandra_lifespan(lambda: new_cluster(app, settings), on_connected=prepare)
        async with connected(app) as state:
            try:
                yield state
            finally:
                app.state.watching.cancel()
                await asyncio.wait([app.state.watching])

    app = FastAPI(title="Users in Cassandra", lifespan=lifespan)
    add_exception_handlers(app)
    app.add_exception_handler(RequestValidationError, bad_request)
    for kind, answer in users.ANSWERS.items():
        app.add_exception_handler(kind, answer)
    for router in (health_router(), users.router, service.router):
        app.include_router(router)
    return app


def new_cluster(app: FastAPI, settings: Settings) -> AsyncCluster:
    """A cluster whose metrics ``/metrics``, ``/stats`` and the live page show."""
    app.state.registry = CollectorRegistry()
    app.state.collector = InMemoryMetricsCollector()
    app.state.figures = LiveFigures()
    prometheus = PrometheusMetricsCollector(app.state.registry)
    return AsyncCluster(
        list(settings.contact_points),
        port=settings.port,
        metrics=MetricsMiddleware([app.state.collector, prometheus, app.state.figures]),
        **settings.options,
    )


async def use_keyspace(session: AsyncCassandraSession, settings: Settings) -> None:
    """Create the keyspace if it is missing, and use it."""
    await session.execute(
        f'CREATE KEYSPACE IF NOT EXISTS "{settings.keyspace}" WITH replication = '
        f"{{'class': 'NetworkTopologyStrategy', 'replication_factor': {settings.replication}}}"
    )
    await session.set_keyspace(settings.keyspace)


async def bad_request(request: Request, error: Exception) -> JSONResponse:
    """The answer to input that does not fit the models: 400, with the reasons."""
    assert isinstance(error, RequestValidationError)
    reasons = [{"where": part["loc"], "what": part["msg"]} for part in error.errors()]
    return JSONResponse(jsonable_encoder({"detail": reasons}), 400)
