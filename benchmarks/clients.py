"""The clients that are compared, each behind the same four operations."""

import asyncio
from typing import Any, Protocol

from cassandra.cluster import (
    EXEC_PROFILE_DEFAULT,
    Cluster,
    ExecutionProfile,
    ResponseFuture,
    Session,
)
from cassandra.policies import DCAwareRoundRobinPolicy, TokenAwarePolicy

from async_cassandra import AsyncCluster, StreamConfig
from benchmarks.floor import FloorConnection, execute_request, paging_state_of, row_count_of
from benchmarks.workload import (
    POINT_ROWS,
    READ,
    SCAN,
    SCAN_PAGE_ROWS,
    WRITE,
    encoded,
    row_of,
)

__all__ = ["CLIENTS", "Client"]


class Client(Protocol):
    """What a client must do; reads use every column of every row."""

    async def open(self, host: str, port: int) -> None: ...

    async def read(self, key: int) -> None: ...

    async def write(self, key: int) -> None: ...

    async def scan(self) -> int:
        """Read the whole wide table and return its number of rows."""
        ...

    async def close(self) -> None: ...


def use(row: Any) -> None:
    """Read every column, as an application does."""
    _ = row.id, row.name, row.score, row.created, row.account


class FloorClient:
    """Frames encoded in advance, nothing decoded."""

    async def open(self, host: str, port: int) -> None:
        self._connection = await FloorConnection.open(host, port)
        read, write, self._scan = [
            await self._connection.prepare(query) for query in (READ, WRITE, SCAN)
        ]
        values = [encoded(row_of(key)) for key in range(POINT_ROWS)]
        self._reads = [execute_request(read, row[:1]) for row in values]
        self._writes = [execute_request(write, row) for row in values]

    async def read(self, key: int) -> None:
        await self._connection.send(self._reads[key])

    async def write(self, key: int) -> None:
        await self._connection.send(self._writes[key])

    async def scan(self) -> int:
        count = 0
        paging_state: bytes | None = None
        while True:
            request = execute_request(
                self._scan, (), page_size=SCAN_PAGE_ROWS, paging_state=paging_state
            )
            rows = await self._connection.send(request)
            count += row_count_of(rows)
            paging_state = paging_state_of(rows)
            if paging_state is None:
                return count

    async def close(self) -> None:
        self._connection.close()


class LibraryClient:
    """This library, as its documentation says to use it."""

    async def open(self, host: str, port: int) -> None:
        self._cluster = AsyncCluster([host], port=port)
        self._session = await self._cluster.connect()
        self._read, self._write, self._scan = [
            await self._session.prepare(query) for query in (READ, WRITE, SCAN)
        ]
        self._stream_config = StreamConfig(fetch_size=SCAN_PAGE_ROWS)
        self._rows = [row_of(key) for key in range(POINT_ROWS)]

    async def read(self, key: int) -> None:
        result = await self._session.execute(self._read, (key,))
        use(result.one())

    async def write(self, key: int) -> None:
        await self._session.execute(self._write, self._rows[key])

    async def scan(self) -> int:
        count = 0
        async with await self._session.execute_stream(
            self._scan, stream_config=self._stream_config
        ) as stream:
            async for row in stream:
                use(row)
                count += 1
        return count

    async def close(self) -> None:
        await self._session.close()
        await self._cluster.shutdown()


class LibraryPagesClient(LibraryClient):
    """This library, its stream read page by page."""

    async def scan(self) -> int:
        count = 0
        async with await self._session.execute_stream(
            self._scan, stream_config=self._stream_config
        ) as stream:
            async for page in stream.pages():
                for row in page:
                    use(row)
                    count += 1
        return count


class DriverClient:
    """The plain driver; its callbacks cross into the loop by ``call_soon_threadsafe``."""

    _session: Session

    async def open(self, host: str, port: int) -> None:
        self._loop = asyncio.get_running_loop()
        policy = TokenAwarePolicy(DCAwareRoundRobinPolicy(local_dc="datacenter1"))
        profiles = {EXEC_PROFILE_DEFAULT: ExecutionProfile(load_balancing_policy=policy)}
        self._cluster = Cluster([host], port=port, protocol_version=5, execution_profiles=profiles)
        self._session = await asyncio.to_thread(self._cluster.connect)
        self._session.default_fetch_size = SCAN_PAGE_ROWS
        self._read, self._write, self._scan = [
            await asyncio.to_thread(self._session.prepare, query) for query in (READ, WRITE, SCAN)
        ]
        self._rows = [row_of(key) for key in range(POINT_ROWS)]

    def _resolve(self, future: asyncio.Future[Any], result: Any) -> None:
        if not future.done():
            future.set_result(result)

    def _fail(self, future: asyncio.Future[Any], error: BaseException) -> None:
        if not future.done():
            future.set_exception(error)

    async def _execute(self, statement: Any, parameters: Any) -> Any:
        future: asyncio.Future[Any] = self._loop.create_future()
        threadsafe = self._loop.call_soon_threadsafe
        self._session.execute_async(statement, parameters).add_callbacks(
            lambda result: threadsafe(self._resolve, future, result),
            lambda error: threadsafe(self._fail, future, error),
        )
        return await future

    async def read(self, key: int) -> None:
        rows = await self._execute(self._read, (key,))
        use(rows[0])

    async def write(self, key: int) -> None:
        await self._execute(self._write, self._rows[key])

    async def scan(self) -> int:
        pages: asyncio.Queue[Any] = asyncio.Queue()
        threadsafe = self._loop.call_soon_threadsafe
        response: ResponseFuture = self._session.execute_async(self._scan)
        response.add_callbacks(
            lambda rows: threadsafe(pages.put_nowait, rows),
            lambda error: threadsafe(pages.put_nowait, error),
        )
        count = 0
        while True:
            rows = await pages.get()
            if isinstance(rows, BaseException):
                raise rows
            has_more_pages = response.has_more_pages
            if has_more_pages:
                response.start_fetching_next_page()
            for row in rows:
                use(row)
                count += 1
            if not has_more_pages:
                return count

    async def close(self) -> None:
        await asyncio.to_thread(self._cluster.shutdown)


CLIENTS: dict[str, type[Client]] = {
    "floor": FloorClient,
    "async-cassandra": LibraryClient,
    "by page": LibraryPagesClient,
    "cassandra-driver": DriverClient,
}
