"""This library, as its documentation says to use it."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from async_cassandra import AsyncCassandraSession, AsyncCluster, BatchStatement, StreamConfig
from benchmarks.clients.base import Server
from benchmarks.clients.session_client import SessionClient
from benchmarks.data import Statement
from benchmarks.workloads import READ_ROWS


class BenchmarkClient(SessionClient):
    """Builds its batches and leaves its streams as the documentation does."""

    _batch_class = BatchStatement
    _cluster: AsyncCluster

    def _new_cluster(self, server: Server) -> AsyncCluster:
        return AsyncCluster(list(server.contact_points), port=server.port)

    async def _connect(self) -> AsyncCassandraSession:
        return await self._cluster.connect()

    async def scan(
        self, statement: Statement, page_rows: int
    ) -> AsyncIterator[Sequence[Sequence[Any]]]:
        config = StreamConfig(fetch_size=page_rows)
        prepared = self._prepared[statement.name]
        async with await self._session.execute_stream(prepared, stream_config=config) as stream:
            async for rows in stream.chunks(READ_ROWS):
                yield rows

    async def close(self) -> None:
        await self._session.close()
        if self._owns_cluster:
            await self._cluster.shutdown()
