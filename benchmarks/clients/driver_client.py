"""The plain driver, or its fork of the same import name; callbacks cross into the loop."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

from cassandra.cluster import (
    EXEC_PROFILE_DEFAULT,
    Cluster,
    ExecutionProfile,
    Session,
)
from cassandra.policies import DCAwareRoundRobinPolicy, TokenAwarePolicy

from benchmarks.clients.base import Server
from benchmarks.clients.driver_statements import DriverStatements, Request, unlogged_batch
from benchmarks.data import Statement


def new_cluster(server: Server) -> Cluster:
    policy = TokenAwarePolicy(DCAwareRoundRobinPolicy(local_dc="datacenter1"))
    profiles = {EXEC_PROFILE_DEFAULT: ExecutionProfile(load_balancing_policy=policy)}
    return Cluster(
        list(server.contact_points),
        port=server.port,
        protocol_version=5,
        execution_profiles=profiles,
    )


class BenchmarkClient(DriverStatements):
    """One session of one cluster object; siblings share the cluster."""

    async def open(self, server: Server) -> None:
        self._loop = asyncio.get_running_loop()
        self._cluster = new_cluster(server)
        self._session: Session = await asyncio.to_thread(self._cluster.connect)
        self._owns_cluster = True
        self._prepared = {}

    async def sibling(self) -> Self:
        other = type(self)()
        other._loop = self._loop
        other._cluster = self._cluster
        other._session = await asyncio.to_thread(self._cluster.connect)
        other._owns_cluster = False
        other._prepared = self._prepared
        return other

    async def prepare(self, statement: Statement) -> None:
        prepared = await asyncio.to_thread(self._session.prepare, statement.cql)
        self._prepared[statement.name] = prepared

    async def _execute(self, statement: Any, values: Any = None) -> Any:
        future: asyncio.Future[Any] = self._loop.create_future()
        threadsafe = self._loop.call_soon_threadsafe
        self._session.execute_async(statement, values).add_callbacks(
            lambda result: threadsafe(_resolve, future, result),
            lambda error: threadsafe(_fail, future, error),
        )
        return await future

    async def read(self, request: Request) -> Sequence[Sequence[Any]]:
        statement, values = request
        rows: Sequence[Sequence[Any]] = await self._execute(statement, values)
        return rows

    async def write(self, request: Request) -> Sequence[Sequence[Any]]:
        statement, values = request
        return await self._execute(statement, values) or ()

    async def batch(self, request: list[Request]) -> object:
        return await self._execute(unlogged_batch(request))

    async def scan(
        self, statement: Statement, page_rows: int
    ) -> AsyncIterator[Sequence[Sequence[Any]]]:
        self._session.default_fetch_size = page_rows
        pages: asyncio.Queue[Any] = asyncio.Queue()
        threadsafe = self._loop.call_soon_threadsafe
        response = self._session.execute_async(self._prepared[statement.name])
        response.add_callbacks(
            lambda rows: threadsafe(pages.put_nowait, rows),
            lambda error: threadsafe(pages.put_nowait, error),
        )
        while True:
            rows = await pages.get()
            if isinstance(rows, BaseException):
                raise rows
            has_more_pages = response.has_more_pages
            if has_more_pages:
                response.start_fetching_next_page()
            yield rows
            if not has_more_pages:
                return

    async def close(self) -> None:
        end = self._cluster.shutdown if self._owns_cluster else self._session.shutdown
        await asyncio.to_thread(end)


def _resolve(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
