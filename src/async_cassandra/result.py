"""What a request gives back: rows that decode when they are read, and what the server said about them."""

import asyncio
import bisect
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
from typing import Any, overload
from uuid import UUID

from cassandra.query import QueryTrace, dict_factory, named_tuple_factory, tuple_factory

from async_cassandra._driver.types import driver_type
from async_cassandra._net.connection import NodeConnections
from async_cassandra._wire.errors import ColumnDecodeError as WireDecodeError
from async_cassandra._wire.responses import Response
from async_cassandra._wire.rows import Page
from async_cassandra.exceptions import from_wire

__all__ = ["AsyncResultSet", "Rows", "TraceHandle"]

type FetchTrace = Callable[[UUID, float], Awaitable[QueryTrace | None]]
type RowFactory = Callable[[Sequence[str], Sequence[Any]], Any]


def wants_tuples(row_factory: RowFactory) -> bool:
    """Whether a row factory of the driver's kind is fed plain tuples; the default one is not, its rows come ready."""
    return row_factory is not named_tuple_factory


def _as_dict(names: Sequence[str]) -> Callable[[tuple[Any, ...]], dict[str, Any]]:
    return lambda row: dict(zip(names, row, strict=True))


class Rows(Sequence[Any]):
    """The rows of one or more pages; each decodes when it is asked for, the first time, and is kept.

    A value that Python cannot hold raises for its own row only.
    """

    __slots__ = ("_convert", "_kept", "_pages", "_starts")

    def __init__(self, pages: Sequence[Page], convert: Callable[[Any], Any] | None = None) -> None:
        self._pages = pages
        self._convert = convert
        self._starts: list[int] = []
        count = 0
        for page in pages:
            self._starts.append(count)
            count += len(page)
        self._kept: list[Any] = [None] * count

    def __len__(self) -> int:
        return len(self._kept)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        """
        :raises ~async_cassandra.exceptions.ColumnDecodeError: if a value of that row cannot be held by Python
        """
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self._kept)))]
        row = self._kept[index]
        if row is None:
            row = self._kept[index] = self._decode(index if index >= 0 else index + len(self._kept))
        return row

    def _decode(self, index: int) -> Any:
        page = bisect.bisect_right(self._starts, index) - 1
        # Empty pages share their start with the page behind them.
        while index - self._starts[page] >= len(self._pages[page]):
            page -= 1
        try:
            row = self._pages[page][index - self._starts[page]]
        except WireDecodeError as error:
            raise from_wire(error) from error.__cause__
        return row if self._convert is None else self._convert(row)

    def __iter__(self) -> Iterator[Any]:
        for index in range(len(self._kept)):
            yield self[index]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Rows | list):
            return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        if len(self) <= 20:
            return repr(list(self))
        return f"<Rows {list(self[:3])!r} and {len(self) - 3} more>"


class TraceHandle:
    """A request's trace, read from the server when it is awaited: ``await result.get_query_trace()``.

    :ivar trace_id: the server's id of it, ``None`` if the request was not traced
    """

    def __init__(self, trace_id: UUID | None, fetch: FetchTrace | None, max_wait: float) -> None:
        self.trace_id = trace_id
        self._fetch = fetch
        self._max_wait = max_wait

    def __await__(self) -> Generator[Any, None, QueryTrace | None]:
        return self._get().__await__()

    async def _get(self) -> QueryTrace | None:
        if self.trace_id is None or self._fetch is None:
            return None
        return await self._fetch(self.trace_id, self._max_wait)

    def __repr__(self) -> str:
        return f"<TraceHandle {self.trace_id}>"


class AsyncResultSet:
    """The result of one request.

    ``for`` and ``async for`` both work and start at the first row each time; ``async for`` lets other tasks run.

    :ivar paging_state: the token of the next page for ``execute(paging_state=…)``; ``None`` when all rows are here
    """

    __slots__ = ("_coordinator", "_fetch_trace", "_pages", "_response", "_row_factory", "_rows", "paging_state")

    def __init__(
        self,
        response: Response | None,
        pages: Sequence[Page],
        row_factory: RowFactory,
        coordinator: NodeConnections | None,
        paging_state: bytes | None = None,
        fetch_trace: FetchTrace | None = None,
    ) -> None:
        self._response = response
        self._pages = pages
        self._row_factory = row_factory
        self._rows: Any = None
        self._coordinator = coordinator
        self.paging_state = paging_state
        self._fetch_trace = fetch_trace

    @property
    def warnings(self) -> list[str]:
        """The server's words; an empty list for none."""
        return (self._response.warnings if self._response is not None else None) or []

    @property
    def custom_payload(self) -> dict[str, bytes | None] | None:
        """What a custom query handler of the server sent back."""
        return self._response.custom_payload if self._response is not None else None

    @property
    def coordinator(self) -> str | None:
        """The node that answered, as ``"address:port"``; of several pages, the last one's."""
        return self._coordinator.endpoint if self._coordinator is not None else None

    @property
    def column_names(self) -> tuple[str, ...]:
        """The columns' names as the server spells them; empty when the statement gives no rows."""
        return self._pages[0].plan.column_names if self._pages else ()

    @property
    def column_types(self) -> tuple[Any, ...]:
        """The columns' types, as the driver's classes."""
        if not self._pages:
            return ()
        return tuple(driver_type(column_type) for column_type in self._pages[0].plan.column_types)

    @property
    def has_more_pages(self) -> bool:
        """Whether there are rows after these; only with ``execute(paging_state=…)`` or a page limit."""
        return self.paging_state is not None

    @property
    def rows(self) -> Any:
        """All rows: a sequence that decodes on access, or what the ``row_factory`` of the profile makes of them."""
        if self._rows is None:
            self._rows = self._make_rows()
        return self._rows

    def _make_rows(self) -> Any:
        factory = self._row_factory
        if factory is named_tuple_factory or factory is tuple_factory:
            return Rows(self._pages)
        if factory is dict_factory:
            return Rows(self._pages, _as_dict(self.column_names))
        return factory(list(self.column_names), list(Rows(self._pages)))

    def one(self) -> Any:
        """The first row, ``None`` if there is none."""
        rows = self.rows
        return rows[0] if len(rows) else None

    def all(self) -> list[Any]:
        """All rows as a list."""
        return list(self.rows)

    @property
    def was_applied(self) -> bool:
        """Whether a lightweight transaction was applied; of a batch, all of it.

        :raises RuntimeError: if the statement had no IF condition
        """
        if "[applied]" not in self.column_names or not any(len(page) for page in self._pages):
            raise RuntimeError("was_applied: the statement had no IF condition")
        index = self.column_names.index("[applied]")
        first = next(page for page in self._pages if len(page))[0]
        return bool(first[index])

    def get_query_trace(self, max_wait: float = 2.0) -> TraceHandle:
        """The trace of a request that was executed with ``trace=True``; await it.

        :param max_wait: seconds to wait for the server to have written it
        """
        trace_id = self._response.tracing_id if self._response is not None else None
        return TraceHandle(None if trace_id is None else UUID(bytes=trace_id), self._fetch_trace, max_wait)

    def __len__(self) -> int:
        if self._rows is None:
            return sum(len(page) for page in self._pages)
        return len(self._rows)

    def __bool__(self) -> bool:
        return any(len(page) for page in self._pages)

    def __getitem__(self, index: int | slice) -> Any:
        return self.rows[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)

    async def __aiter__(self) -> AsyncIterator[Any]:
        for index, row in enumerate(self.rows):
            if index % 256 == 255:
                await asyncio.sleep(0)
            yield row

    def __repr__(self) -> str:
        more = ", more pages" if self.has_more_pages else ""
        return f"<AsyncResultSet {len(self)} rows from {self.coordinator}{more}>"
