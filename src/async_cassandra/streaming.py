"""Results larger than memory: pages fetched ahead of the reader, rows decoded as they are read."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Generic, Self

from cassandra.query import SimpleStatement

from async_cassandra._closing import AsyncClosing
from async_cassandra._request.request import Request
from async_cassandra._results.records import RecordType, RowT_co
from async_cassandra._results.result_set import row_maker
from async_cassandra._statements.prepare import run
from async_cassandra._statements.statements import RowFactory
from async_cassandra._wire.errors import ColumnDecodeError as WireDecodeError
from async_cassandra._wire.errors import ProtocolError as WireProtocolError
from async_cassandra._wire.responses import Response
from async_cassandra._wire.rows import PageCursor, RowPlan
from async_cassandra.exceptions import ConfigurationError, from_wire, shown

__all__ = ["AsyncStreamingResultSet", "StreamConfig", "create_streaming_statement"]

# Rows decoded between two pauses for the loop: about half a millisecond of work.
SLICE = 256


@dataclass(slots=True)
class StreamConfig:
    """Settings for :meth:`AsyncCassandraSession.execute_stream`.

    :ivar fetch_size: rows per page, 1 or more
    :ivar max_pages: the most pages to read, 1 or more; ``None`` for all
    :ivar page_callback: called with each page's number, from 1, and its number of rows
    :ivar timeout_seconds: seconds for each page; ``None`` for the call's or the profile's
    :ivar max_prefetch_bytes: while a page larger than this is being read, the next one is not
        fetched
    """

    fetch_size: int = 1000
    max_pages: int | None = None
    page_callback: Callable[[int, int], object] | None = None
    timeout_seconds: float | None = None
    max_prefetch_bytes: int = 64 * 1024 * 1024

    def __post_init__(self) -> None:
        if not isinstance(self.fetch_size, int) or not 1 <= self.fetch_size < 2**31:
            raise ConfigurationError(
                f"fetch_size takes 1 to 2**31 - 1 rows, not {shown(self.fetch_size)}"
            )
        if self.max_pages is not None and self.max_pages < 1:
            raise ConfigurationError(
                f"max_pages takes 1 or more, or None, not {shown(self.max_pages)}"
            )


# Python 3.12's own syntax has no defaults.
class AsyncStreamingResultSet(AsyncClosing, Generic[RowT_co]):  # noqa: UP046
    """The rows of a query, page by page; holds the page being read and at most one more.

    With ``row=User`` it is an ``AsyncStreamingResultSet[User]``.

    ``async for row in stream`` reads rows, ``async for rows in stream.chunks(500)`` lists of that
    many, ``async for page in stream.pages()`` whole pages; each continues where the stream is.
    The order is the server's. Other callbacks run at least every 256 rows. Leaving early needs no
    clean-up; ``async with`` or :meth:`close` gives up the page under way at once.

    Concurrency: one reader. Cancellation: the page under way is given up, and the stream ends.

    :ivar page_number: pages read so far
    :ivar total_rows_fetched: rows in them
    """

    _request: Request
    _row_factory: RowFactory | RecordType
    _config: StreamConfig
    _buffer: list[RowT_co]
    _unmade: list[Any]
    _ahead: Request | None = None
    _next_state: bytes | None = None
    _cursor: PageCursor | None = None
    _position = 0
    _failure: Exception | None = None
    _over = False
    page_number: int = 0
    total_rows_fetched: int = 0

    def __init__(self) -> None:
        """Refused: a stream comes from a session, with its first page."""
        raise TypeError("get a stream from AsyncCassandraSession.execute_stream()")

    @classmethod
    def _of(cls, request: Request, response: Response | None, config: StreamConfig) -> Self:
        stream = cls.__new__(cls)
        stream._request = request
        stream._row_factory = request.call.row_factory
        stream._config = config
        stream._buffer = []
        stream._unmade = []
        stream._take(response)
        return stream

    @property
    def has_more_pages(self) -> bool:
        """Whether there are rows after the pages read so far, and ``max_pages`` allows them."""
        return self._next_state is not None and not self._over

    @property
    def paging_state(self) -> bytes | None:
        """The token of the page after those read so far, for ``paging_state=`` of another call."""
        return self._next_state

    @property
    def column_names(self) -> list[str]:
        """The columns' names as the server spells them."""
        return list(self._cursor.page.plan.column_names) if self._cursor is not None else []

    def _take(self, response: Response | None) -> None:
        """Make a response's page the current one and ask for the next."""
        if response is None or response.page is None:
            self._over = True
            return
        page = response.page
        if isinstance(self._row_factory, RecordType):
            self._row_factory.reader(page.plan)
        self._cursor = PageCursor(page)
        self._next_state = response.paging_state
        self.page_number += 1
        self.total_rows_fetched += len(page)
        if self._config.page_callback is not None:
            self._config.page_callback(self.page_number, len(page))
        if self._config.max_pages is not None and self.page_number >= self._config.max_pages:
            self._over = True
        elif self._next_state is not None and len(page.payload) <= self._config.max_prefetch_bytes:
            self._fetch_ahead()

    def _fetch_ahead(self) -> None:
        assert self._next_state is not None
        request = self._request.next_page(self._next_state)
        request.start()
        self._ahead = request

    async def _next_page(self) -> bool:
        """Read the next page and make it the current one; return whether there was one."""
        if self._over or self._next_state is None:
            return False
        if self._ahead is None:
            self._fetch_ahead()
        request = self._ahead
        assert request is not None
        try:
            response = await run(request)
        except BaseException:
            self._stop()
            raise
        self._ahead = None
        self._request = request
        self._take(response)
        # The turn of the loop that brought a large page is a long one already.
        await self._let_others_run()
        return True

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> RowT_co:
        """Return the next row; if the type given as ``row=`` raises, only that row is affected.

        :raises ~async_cassandra.exceptions.ColumnDecodeError: for a row that Python cannot hold;
            the next one follows
        :raises ~async_cassandra.exceptions.ProtocolError: for a row whose bytes are not valid for
            its columns' types; if a length is wrong, also for the rows that follow it in the page
        :raises ~async_cassandra.exceptions.QueryError: if the page could not be read
        """
        if self._position < len(self._buffer):
            self._position += 1
            return self._buffer[self._position - 1]
        while not self._fill(SLICE):
            if not await self._next_page():
                self._stop()
                raise StopAsyncIteration
        await self._let_others_run()
        self._position = 1
        return self._buffer[0]

    async def _let_others_run(self) -> None:
        """Let other callbacks run; cancelling the reader here ends the stream, as while it waits for a page."""
        try:
            await asyncio.sleep(0)
        except BaseException:
            self._stop()
            raise

    def _fill(self, limit: int) -> bool:
        """Decode up to ``limit`` rows of the current page into the buffer; return whether there were any."""
        self._buffer = []
        self._position = 0
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if self._cursor is None:
            return False
        rows, self._unmade = self._unmade, []
        try:
            rows = rows or self._cursor.decode_next(limit)
        except (WireDecodeError, WireProtocolError) as error:
            raise from_wire(error) from error.__cause__
        self._buffer = self._made(rows, self._cursor.page.plan)
        return bool(self._buffer)

    def _made(self, rows: list[Any], plan: RowPlan) -> list[Any]:
        """Return what the row factory makes of rows, up to one for which it raises; the next call starts there."""
        try:
            make = row_maker(self._row_factory, plan)
        except LookupError:
            assert not isinstance(self._row_factory, RecordType)
            return list(self._row_factory(list(plan.column_names), rows))
        if make is None:
            return rows
        made: list[Any] = []
        for index, row in enumerate(rows):
            try:
                made.append(make(row))
            except Exception:
                self._unmade = rows[index:] if made else rows[index + 1 :]
                if not made:
                    raise
                break
        return made

    def chunks(self, size: int = SLICE) -> AsyncIterator[list[RowT_co]]:
        """Yield lists of ``size`` rows; those at the end of a page, or before a row that raises, are shorter.

        This needs the least CPU: rows are decoded just before they are used, and no more of them
        are kept. An error is raised after the rows before it, as by :meth:`__anext__`; another
        call continues after the row that raised.

        :param size: the most rows in each list, 1 or more
        :raises ~async_cassandra.exceptions.ConfigurationError: if ``size`` is not
        """
        if not isinstance(size, int) or size < 1:
            raise ConfigurationError(f"size takes 1 row or more, not {shown(size)}")
        return self._chunks(size)

    def pages(self) -> AsyncIterator[list[RowT_co]]:
        """Yield each page as a list of its rows, skipping pages without rows.

        A page with a row that raises comes in parts, as in :meth:`chunks`.
        """
        return self._chunks(sys.maxsize)

    async def _chunks(self, size: int) -> AsyncIterator[list[RowT_co]]:
        while True:
            while rows := await self._gather(size):
                yield rows
            if not await self._next_page():
                self._stop()
                return

    async def _gather(self, size: int) -> list[RowT_co]:
        """Return up to ``size`` rows of the current page; none once it has been read."""
        rows = self._taken(size)
        while len(rows) < size:
            try:
                if not self._fill(min(size - len(rows), SLICE)):
                    break
            except Exception as failure:
                if not rows:
                    raise
                self._failure = failure
                break
            rows += self._taken(size - len(rows))
            await self._let_others_run()
        return rows

    def _taken(self, size: int) -> list[RowT_co]:
        """Take up to ``size`` rows out of the buffer."""
        rows = self._buffer[self._position : self._position + size]
        self._position += len(rows)
        return rows

    async def cancel(self) -> None:
        """Stop reading; the rest is not fetched."""
        self._stop()

    async def close(self) -> None:
        """Stop reading and release everything; can be called again."""
        self._stop()

    def _stop(self) -> None:
        self._over = True
        self._cursor = None
        self._buffer = []
        self._unmade = []
        self._position = 0
        self._failure = None
        self._give_back()

    def _give_back(self) -> None:
        """Give up the page under way."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead.cancel()

    def __del__(self) -> None:
        self._give_back()

    def __repr__(self) -> str:
        state = "over" if self._over else "open"
        read = f"pages={self.page_number} rows={self.total_rows_fetched}"
        return f"<AsyncStreamingResultSet {state} {read}>"


def create_streaming_statement(
    query: str, fetch_size: int = 1000, consistency_level: int | None = None
) -> SimpleStatement:
    """Build a simple statement with a page size.

    :param fetch_size: rows per page, 1 or more
    """
    return SimpleStatement(query, fetch_size=fetch_size, consistency_level=consistency_level)
