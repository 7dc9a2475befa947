"""async-cassandra 0.0.1 from PyPI: the driver's callbacks behind the same public names."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from cassandra.cluster import Cluster

from async_cassandra import AsyncCassandraSession, StreamConfig
from benchmarks.clients.base import Server
from benchmarks.clients.driver_client import new_cluster
from benchmarks.clients.session_client import SessionClient
from benchmarks.data import Statement


class BenchmarkClient(SessionClient):
    """Its session's ``close`` sleeps for five seconds: the driver's cluster is shut down instead."""

    _cluster: Cluster

    def _new_cluster(self, server: Server) -> Cluster:
        return new_cluster(server)

    async def _connect(self) -> AsyncCassandraSession:
        return await AsyncCassandraSession.create(self._cluster)  # type: ignore[arg-type]

    async def scan(
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
