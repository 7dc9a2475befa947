from async_cassandra._request.request cimport Request
from async_cassandra._net.connection cimport NodeConnections
from async_cassandra._wire.responses cimport Response
from async_cassandra._wire.rows cimport Page, RowPlan


cdef class Rows:
    # The first page; all of them, and the index of each one's first row, where there are more.
    cdef Page page
    cdef tuple pages
    cdef list starts
    cdef Py_ssize_t size
    # Rows that were asked for: the only one, or one for each index.
    cdef object only
    cdef list kept
    # What makes a row of a tuple, and the plan that it was made for.
    cdef object row_factory
    cdef RowPlan plan
    cdef object convert

    cdef int fill(self, Page page, tuple pages) except -1
    cdef object row(self, Py_ssize_t index)
    cdef object decode(self, Py_ssize_t index)


cdef class RowIterator:
    cdef Rows rows
    # Of the row that comes next.
    cdef Py_ssize_t index


cdef class SlicedRows:
    cdef object rows
    # Rows since the loop last had its turn.
    cdef Py_ssize_t count


cdef class AsyncResultSet:
    # Of the first page; None if a policy ignored the failure.
    cdef Response response
    # The first page, None without rows; all of them, None if that is the only one.
    cdef Page page
    cdef tuple pages
    cdef readonly bytes paging_state
    cdef object row_factory
    # The rows, once they were asked for.
    cdef object made
    # What came with the pages after the first.
    cdef list later_warnings
    # That answered last.
    cdef NodeConnections node
    # Reads traces.
    cdef object traces

    cdef int fill(self, Request request, Response response, traces) except -1
    cdef int fit_columns(self) except -1
    cdef tuple all_pages(self)
    cdef object make_rows(self)
    cdef object all_rows(self)
