"""What this library and async-cassandra 0.0.1 are asked alike, by the public names that both have."""

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from cassandra.query import BatchStatement

from async_cassandra import AsyncCassandraSession
from benchmarks.clients.base import Server
from benchmarks.clients.driver_statements import DriverStatements, Request, unlogged_batch
from benchmarks.data import Statement


class SessionClient(DriverStatements):
    """One session of one cluster object; siblings share the cluster; each library streams and closes as it can."""

    _batch_class: ClassVar[type[BatchStatement]] = BatchStatement
    _cluster: Any
    _session: AsyncCassandraSession
    _owns_cluster: bool

    def _new_cluster(self, server: Server) -> Any:
        raise NotImplementedError

    async def _connect(self) -> AsyncCassandraSession:
        raise NotImplementedError

    async def open(self, server: Server) -> None:
        self._cluster = self._new_cluster(server)
        self._session = await self._connect()
        self._owns_cluster = True
        self._prepared = {}

    async def sibling(self) -> Self:
        other = type(self)()
        other._cluster = self._cluster
        other._session = await self._connect()
        other._owns_cluster = False
        other._prepared = self._prepared
        return other

    async def prepare(self, statement: Statement) -> None:
        self._prepared[statement.name] = await self._session.prepare(statement.cql)

    async def read(self, request: Request) -> Sequence[Sequence[Any]]:
        statement, values = request
        return (await self._session.execute(statement, values)).rows

    write = read

    async def batch(self, request: list[Request]) -> object:
        return await self._session.execute_batch(unlogged_batch(request, self._batch_class))
