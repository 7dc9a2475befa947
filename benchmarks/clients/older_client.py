"""async-cassandra 0.0.1 from PyPI: the driver's callbacks behind the same public names."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar, Self

from cassandra.cluster import Cluster
from cassandra.query import BatchStatement, BatchType, PreparedStatement

from async_cassandra import AsyncCassandraSession, StreamConfig
from benchmarks.clients.base import Server
from benchmarks.clients.driver_client import new_cluster
from benchmarks.data import Statement

type Request = tuple[PreparedStatement, Sequence[Any]]


class BenchmarkClient:
    """One session of one cluster object; siblings share the cluster.

    Its session's ``close`` sleeps for five seconds: the driver's cluster is shut down instead.
    """

    decodes: ClassVar[bool] = True
    _cluster: Cluster

    async def open(self, server: Server) -> None:
        self._cluster = new_cluster(server)
        self._session = await AsyncCassandraSession.create(self._cluster)  # type: ignore[arg-type]
        self._owns_cluster = True
        self._prepared: dict[str, PreparedStatement] = {}

    async def sibling(self) -> Self:
        other = type(self)()
        other._cluster = self._cluster
        other._session = await AsyncCassandraSession.create(self._cluster)  # type: ignore[arg-type]
        other._owns_cluster = False
        other._prepared = self._prepared
        return other

    async def prepare(self, statement: Statement) -> None:
        self._prepared[statement.name] = await self._session.prepare(statement.cql)

    def request(self, statement: Statement, key: int) -> Request:
        return self._prepared[statement.name], statement.values(key)

    def batch_request(self, statement: Statement, keys: Sequence[int]) -> list[Request]:
        return [self.request(statement, key) for key in keys]

    async def read(self, request: Request) -> Sequence[Sequence[Any]]:
        return (await self._session.execute(*request)).rows

    async def write(self, request: Request) -> Sequence[Sequence[Any]]:
        return (await self._session.execute(*request)).rows

    async def batch(self, request: list[Request]) -> object:
        batch = BatchStatement(BatchType.UNLOGGED)
        for prepared, values in request:
            batch.add(prepared, values)
        return await self._session.execute_batch(batch)

    async def pages(
        self, statement: Statement, page_rows: int
    ) -> AsyncIterator[Sequence[Sequence[Any]]]:
        config = StreamConfig(fetch_size=page_rows)
        prepared = self._prepared[statement.name]
        stream = await self._session.execute_stream(prepared, stream_config=config)
        async for page in stream.pages():
            yield page

    async def close(self) -> None:
        if self._owns_cluster:
            await asyncio.to_thread(self._cluster.shutdown)
