"""What a request gives back: rows that decode when they are read, and what came with them."""

import asyncio
from collections.abc import AsyncIterator, Generator
from typing import Any
from uuid import UUID

from cassandra.query import QueryTrace

from async_cassandra._exec.core import SessionCore
from async_cassandra._exec.records import RowT_co
from async_cassandra._exec.rows import ResultRows, Rows
from async_cassandra._exec.tracing import fetch_trace

__all__ = ["AsyncResultSet", "Rows", "TraceHandle"]

# Rows between two looks at the loop.
SLICE = 256


class AsyncResultSet(ResultRows[RowT_co]):
    """The result of one request; ``AsyncResultSet[User]`` where ``row=User`` was asked for.

    ``for`` and ``async for`` both work and start at the first row each time; ``async for`` lets
    other tasks run.

    :ivar paging_state: the token of the next page for ``execute(paging_state=…)``; ``None`` when
        all rows are here
    """

    __slots__ = ()

    async def __aiter__(self) -> AsyncIterator[RowT_co]:
        for index, row in enumerate(self.rows):
            if index % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            yield row

    def get_query_trace(self, max_wait: float = 2.0) -> "TraceHandle":
        """The trace of a request that was executed with ``trace=True``; await it.

        :param max_wait: seconds to wait for the server to have written it
        """
        trace_id = self.tracing_id
        return TraceHandle(None if trace_id is None else UUID(bytes=trace_id), self.core, max_wait)

    def __repr__(self) -> str:
        more = ", more pages" if self.has_more_pages else ""
        return f"<AsyncResultSet {len(self)} rows from {self.coordinator}{more}>"


class TraceHandle:
    """A request's trace, read from the server when this is awaited.

    :ivar trace_id: the server's id of it, ``None`` if the request was not traced
    """

    def __init__(self, trace_id: UUID | None, core: SessionCore, max_wait: float) -> None:
        self.trace_id = trace_id
        self._core = core
        self._max_wait = max_wait

    def __await__(self) -> Generator[Any, None, QueryTrace | None]:
        return self._get().__await__()

    async def _get(self) -> QueryTrace | None:
        if self.trace_id is None:
            return None
        return await fetch_trace(self._core, self.trace_id, self._max_wait)

    def __repr__(self) -> str:
        return f"<TraceHandle {self.trace_id}>"
