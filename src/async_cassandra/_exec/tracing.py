"""Reading a request's trace from the server's tables, without blocking."""

import asyncio
from collections.abc import Generator
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from cassandra.query import QueryTrace, TraceEvent

from async_cassandra.exceptions import QueryTimeoutError

if TYPE_CHECKING:
    from async_cassandra._exec.core import SessionCore

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


class TraceHandle:
    """A request's trace, read from the server when this is awaited.

    :ivar trace_id: the server's id of it, ``None`` if the request was not traced
    """

    def __init__(self, trace_id: bytes | None, core: "SessionCore", max_wait: float) -> None:
        self.trace_id = None if trace_id is None else UUID(bytes=trace_id)
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


async def fetch_trace(core: "SessionCore", trace_id: UUID, max_wait: float) -> QueryTrace:
    """Read a trace once the server has finished writing it.

    :param max_wait: seconds to wait for that
    :raises ~async_cassandra.exceptions.QueryTimeoutError: if it is not finished by then
    """
    pause = FIRST_PAUSE
    deadline = core.loop.time() + max_wait
    while True:
        rows = await core.select(_SESSION.format(trace_id))
        if rows and rows[0].duration is not None and rows[0].started_at is not None:
            return _trace(trace_id, rows[0], await core.select(_EVENTS.format(trace_id)))
        if core.loop.time() + pause > deadline:
            raise QueryTimeoutError(
                f"trace {trace_id} was not complete after {max_wait:g} s; try again later"
            )
        await asyncio.sleep(pause)
        pause = min(LONGEST_PAUSE, pause * 2)


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
