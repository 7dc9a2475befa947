"""Reading a request's trace from the server's tables, without blocking."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from datetime import timedelta
from typing import Any, Self
from uuid import UUID

from cassandra.query import QueryTrace, TraceEvent

from async_cassandra.exceptions import QueryTimeoutError

_SESSION = (
    "SELECT session_id, client, command, coordinator, duration, parameters, request, started_at "
    "FROM system_traces.sessions WHERE session_id = {}"
)
_EVENTS = (
    "SELECT activity, event_id, source, source_elapsed, thread "
    "FROM system_traces.events WHERE session_id = {}"
)
FIRST_PAUSE = 0.003
LONGEST_PAUSE = 0.1


class TraceReader:
    """Reads traces over a session's connections.

    :param select: gives the rows that a query finds
    :ivar max_wait: seconds to wait for the server to have written one
    """

    def __init__(self, select: Callable[[str], Awaitable[list[Any]]]) -> None:
        self._select = select
        self.max_wait: float = 2.0

    async def read(self, trace_id: UUID, max_wait: float) -> QueryTrace:
        """Read a trace once the server has finished writing it.

        :raises ~async_cassandra.exceptions.QueryTimeoutError: if that takes more than ``max_wait`` seconds
        """
        loop = asyncio.get_running_loop()
        pause = FIRST_PAUSE
        deadline = loop.time() + max_wait
        while True:
            rows = await self._select(_SESSION.format(trace_id))
            if rows and rows[0].duration is not None and rows[0].started_at is not None:
                return _trace(trace_id, rows[0], await self._select(_EVENTS.format(trace_id)))
            if loop.time() + pause > deadline:
                raise QueryTimeoutError(
                    f"trace {trace_id} was not complete after {max_wait:g} s; try again later"
                )
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)


class TraceHandle:
    """A request's trace, read from the server when this is awaited.

    :ivar trace_id: the server's id of it, ``None`` if the request was not traced
    """

    __module__ = "async_cassandra.result"

    trace_id: UUID | None
    _reader: TraceReader
    _max_wait: float

    def __init__(self) -> None:
        """Refused: it comes from the result of the traced request."""
        raise TypeError("get a trace from AsyncResultSet.get_query_trace()")

    @classmethod
    def _of(cls, trace_id: bytes | None, reader: TraceReader, max_wait: float | None) -> Self:
        handle = cls.__new__(cls)
        handle.trace_id = None if trace_id is None else UUID(bytes=trace_id)
        handle._reader = reader
        handle._max_wait = reader.max_wait if max_wait is None else max_wait
        return handle

    def __await__(self) -> Generator[Any, None, QueryTrace | None]:
        return self._get().__await__()

    async def _get(self) -> QueryTrace | None:
        if self.trace_id is None:
            return None
        return await self._reader.read(self.trace_id, self._max_wait)

    def __repr__(self) -> str:
        return f"<TraceHandle {self.trace_id}>"


def _trace(trace_id: UUID, session: Any, events: list[Any]) -> QueryTrace:
    trace = QueryTrace(trace_id, None)
    trace.request_type = session.request
    trace.duration = timedelta(microseconds=session.duration)
    trace.started_at = session.started_at
    trace.coordinator = session.coordinator
    trace.parameters = session.parameters
    trace.client = session.client
    trace.events = tuple(
        TraceEvent(event.activity, event.event_id, event.source, event.source_elapsed, event.thread)
        for event in events
    )
    return trace
