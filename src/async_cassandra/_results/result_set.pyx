"""The rows of a request's pages, decoded when they are asked for."""

from bisect import bisect_right
from collections.abc import Sequence
from types import GenericAlias

from cassandra.query import dict_factory, named_tuple_factory, tuple_factory

cimport cython
from cpython.object cimport PyTypeObject

from async_cassandra._request.request cimport Request
from async_cassandra._wire.responses cimport Response
from async_cassandra._wire.rows cimport Page, RowPlan

from async_cassandra._driver.types import driver_type
from async_cassandra._results.records import RecordType
from async_cassandra._results.tracing import TraceHandle
from async_cassandra._wire.errors import ColumnDecodeError, ProtocolError
from async_cassandra.exceptions import from_wire

cdef object NAMED_TUPLES = named_tuple_factory

# Rows between two looks at the loop.
DEF SLICE = 256


def row_maker(row_factory, RowPlan plan not None):
    """Return what makes a row from one plain tuple; ``None`` if the row is ready as decoded.

    :raises LookupError: for a factory that must see all rows at once
    :raises ~async_cassandra.exceptions.RowTypeError: if the columns are not the fields of a record type
    """
    if isinstance(row_factory, RecordType):
        return row_factory.reader(plan)
    if row_factory is named_tuple_factory or row_factory is tuple_factory:
        return None
    if row_factory is dict_factory:
        names = plan.column_names
        return lambda row: dict(zip(names, row))
    raise LookupError(row_factory)


@cython.freelist(256)
cdef class Rows:
    """The rows of one or more pages; each decodes when it is first asked for, and is kept.

    The page of a single row is released once that is decoded.

    A value that Python cannot hold raises for its own row only.

    :ivar row_factory: one that makes rows one by one; ``None`` leaves them as decoded
    """

    cdef int fill(self, Page page, tuple pages) except -1:
        """Take the first page, and all of them where there are more."""
        cdef Py_ssize_t count = page.row_count
        self.page = page
        if pages is not None:
            self.pages = pages
            self.starts = []
            count = 0
            for page in pages:
                self.starts.append(count)
                count += page.row_count
        self.size = count
        # One row, as most results have, needs no list.
        if count > 1:
            self.kept = [None] * count
        return 0

    def __len__(self):
        return self.size

    cdef object row(self, Py_ssize_t index):
        """Row ``index``, which is inside."""
        if self.kept is None:
            if self.page is not None:
                self.only = self.decode(0)
                self.page = self.pages = None
            return self.only
        row = self.kept[index]
        if row is None:
            row = self.decode(index)
            self.kept[index] = row
        return row

    cdef object decode(self, Py_ssize_t index):
        cdef Page page = self.page
        cdef Py_ssize_t number
        if self.starts is not None:
            # An empty page shares its start with the one behind it, which is the one found.
            number = bisect_right(self.starts, index) - 1
            index -= <Py_ssize_t>self.starts[number]
            page = <Page>self.pages[number]
        try:
            row = page.row_at(index)
        except (ColumnDecodeError, ProtocolError) as error:
            raise from_wire(error) from error.__cause__
        if self.row_factory is None:
            return row
        if page.plan is not self.plan:
            # The schema may have changed between two pages.
            self.convert = row_maker(self.row_factory, page.plan)
            self.plan = page.plan
        return row if self.convert is None else self.convert(row)

    def __getitem__(self, key):
        """
        :raises ~async_cassandra.exceptions.ColumnDecodeError: if Python cannot hold a value of that row
        """
        cdef Py_ssize_t index
        cdef Py_ssize_t count = self.size
        if isinstance(key, slice):
            return [self.row(index) for index in range(*key.indices(count))]
        index = key
        if index < 0:
            index += count
        if not 0 <= index < count:
            raise IndexError(f"no row {key}: the result has {count} rows")
        return self.row(index)

    def __iter__(self):
        cdef RowIterator iterator = RowIterator.__new__(RowIterator)
        iterator.rows = self
        return iterator

    def __contains__(self, value):
        return any(row == value for row in self)

    def __reversed__(self):
        cdef Py_ssize_t index
        for index in range(self.size - 1, -1, -1):
            yield self.row(index)

    def index(self, value, start=0, stop=None):
        """Where ``value`` first occurs."""
        return list(self).index(value, start, self.size if stop is None else stop)

    def count(self, value):
        """How often ``value`` occurs."""
        return list(self).count(value)

    def __eq__(self, other):
        if isinstance(other, (Rows, list)):
            return list(self) == list(other)
        return NotImplemented

    __hash__ = None

    def __repr__(self):
        if self.size <= 20:
            return repr(list(self))
        return f"<Rows {self[:3]!r} and {self.size - 3} more>"


Sequence.register(Rows)


@cython.freelist(256)
cdef class RowIterator:
    """Iterates over rows in order."""

    def __iter__(self):
        return self

    def __next__(self):
        if self.rows is None or self.index == self.rows.size:
            raise StopIteration
        self.index += 1
        return self.rows.row(self.index - 1)


@cython.freelist(256)
cdef class SlicedRows:
    """Iterates over rows, letting other callbacks run between slices; after a row that raises, it continues.

    Its own ``__anext__`` returns it to be awaited: a row needs no coroutine.
    """

    def __aiter__(self):
        return self

    def __anext__(self):
        return self

    def __await__(self):
        return self

    def __iter__(self):
        return self

    def __next__(self):
        if self.count == SLICE:
            self.count = 0
            # What sleep(0) yields: the task goes on in the loop's next turn.
            return None
        self.count += 1
        try:
            row = next(self.rows)
        except StopIteration:
            raise StopAsyncIteration from None
        raise StopIteration(row)


@cython.freelist(256)
cdef class AsyncResultSet:
    """The result of one request; an ``AsyncResultSet[User]`` with ``row=User``.

    ``for`` and ``async for`` both work and start at the first row each time; ``async for`` lets
    other tasks run.

    :ivar paging_state: the token of the next page for ``execute(paging_state=…)``; ``None`` if
        there are no more rows
    """

    __class_getitem__ = classmethod(GenericAlias)

    def __init__(self):
        """Refused: a result comes from the request that it is the result of."""
        raise TypeError("get a result from AsyncCassandraSession.execute()")

    cdef int fill(self, Request request, Response response, traces) except -1:
        self.response = response
        if response is not None:
            self.page = response.page
        self.row_factory = request.call.row_factory
        self.node = request.coordinator
        self.traces = traces
        if self.row_factory is not NAMED_TUPLES:
            self.fit_columns()
        return 0

    cdef int fit_columns(self) except -1:
        """Check at once that the columns are the fields of the rows' type."""
        if self.page is not None and isinstance(self.row_factory, RecordType):
            self.row_factory.reader(self.page.plan)
        return 0

    cdef tuple all_pages(self):
        if self.pages is not None:
            return self.pages
        return () if self.page is None else (self.page,)

    cdef object make_rows(self):
        cdef Rows rows = Rows.__new__(Rows)
        if self.page is None:
            return rows
        rows.fill(self.page, self.pages)
        if self.row_factory is NAMED_TUPLES:
            return rows
        try:
            row_maker(self.row_factory, self.page.plan)
        except LookupError:
            return self.row_factory(list(self.column_names), list(rows))
        rows.row_factory = self.row_factory
        return rows

    cdef object all_rows(self):
        if self.made is None:
            self.made = self.make_rows()
        return self.made

    @property
    def rows(self):
        """All rows: a sequence that decodes on access, or whatever the profile's ``row_factory`` makes of them."""
        return self.all_rows()

    @property
    def column_names(self):
        """The columns' names as the server spells them, as a list; empty if the statement returns no rows."""
        return [] if self.page is None else list(self.page.plan.column_names)

    @property
    def column_types(self):
        """The columns' types, as a list of the driver's classes."""
        if self.page is None:
            return []
        return [driver_type(column_type) for column_type in self.page.plan.column_types]

    @property
    def has_more_pages(self):
        """Whether there are rows after these; only with ``execute(paging_state=…)``."""
        return self.paging_state is not None

    @property
    def warnings(self):
        """The server's warnings from all pages, each once; an empty list if there are none."""
        first = [] if self.response is None or self.response.warnings is None else self.response.warnings
        return first if not self.later_warnings else list(dict.fromkeys(first + self.later_warnings))

    @property
    def custom_payload(self):
        """What a custom query handler on the server sent back, or ``None``."""
        return None if self.response is None else self.response.custom_payload

    @property
    def coordinator(self):
        """The node that answered, as ``"address:port"``; for several pages, the last one's."""
        return None if self.node is None else self.node.endpoint

    @property
    def tracing_id(self):
        """The 16 bytes of the server's id for the request's trace; ``None`` if it was not traced."""
        return None if self.response is None else self.response.tracing_id

    def one(self):
        """Return the first row, ``None`` if there are no rows."""
        rows = self.all_rows()
        if type(rows) is Rows:
            return (<Rows>rows).row(0) if (<Rows>rows).size else None
        return rows[0] if len(rows) else None

    def all(self):
        """Return all rows as a list."""
        return list(self.all_rows())

    @property
    def was_applied(self):
        """Whether a lightweight transaction was applied; for a batch, all of it.

        :raises RuntimeError: if the statement had no IF condition
        """
        cdef Page page
        names = self.column_names
        if "[applied]" in names:
            for page in self.all_pages():
                if page.row_count:
                    return bool(page.row_at(0)[names.index("[applied]")])
        raise RuntimeError("was_applied: the statement had no IF condition")

    def __len__(self):
        cdef Page page
        cdef Py_ssize_t count = 0
        if self.made is not None:
            return len(self.made)
        for page in self.all_pages():
            count += page.row_count
        return count

    def __bool__(self):
        return len(self) > 0

    def __getitem__(self, key):
        return self.all_rows()[key]

    def __iter__(self):
        return iter(self.all_rows())

    def __aiter__(self):
        cdef SlicedRows rows = SlicedRows.__new__(SlicedRows)
        rows.rows = iter(self.all_rows())
        return rows

    def get_query_trace(self, max_wait=None):
        """Return the trace of a request that was executed with ``trace=True``; await it.

        :param max_wait: seconds to wait for the server to have written it; ``None`` takes the session's
            ``max_trace_wait``, 2 s
        """
        return TraceHandle._of(self.tracing_id, self.traces, max_wait)

    def __repr__(self):
        more = ", more pages" if self.has_more_pages else ""
        source = "" if self.node is None else f" from {self.coordinator}"
        return f"<AsyncResultSet {len(self)} rows{source}{more}>"


def result_of(Request request not None, Response response, traces, tuple pages=None, bytes paging_state=None,
              list later_warnings=None):
    """Make the result of a request that is done.

    :param request: the last one that it took
    :param response: of the first page; ``None`` if a policy ignored the failure
    :param pages: those that have been read, in order; ``None`` for the response's own
    :param later_warnings: what came with the pages after the response's own
    :raises ~async_cassandra.exceptions.RowTypeError: if the columns are not the fields of ``row=``
    """
    cdef AsyncResultSet result = AsyncResultSet.__new__(AsyncResultSet)
    result.fill(request, response, traces)
    if pages is not None and len(pages) > 1:
        result.pages = pages
    result.paging_state = paging_state
    result.later_warnings = later_warnings
    return result


def whole_result(Request request not None, traces):
    """Return the result of a request that is done; ``None`` if there is more to do: a page, a schema change."""
    cdef Response response = request.response
    if response is not None and not response.has_all():
        return None
    cdef AsyncResultSet result = AsyncResultSet.__new__(AsyncResultSet)
    result.fill(request, response, traces)
    return result


# Where a program imports them from, for reprs, help() and tracebacks.
(<PyTypeObject*>AsyncResultSet).tp_name = "async_cassandra.result.AsyncResultSet"
(<PyTypeObject*>Rows).tp_name = "async_cassandra.result.Rows"
