from async_cassandra._request.request cimport Request
from async_cassandra._net.connection cimport NodeConnections
from async_cassandra._wire.responses cimport Response
from async_cassandra._wire.rows cimport Page, RowPlan


cdef class Rows:
    cdef Page page
    cdef tuple pages
    cdef list starts
    cdef Py_ssize_t size
    cdef object only
    cdef list kept
    cdef object row_factory
    cdef RowPlan plan
    cdef object convert

    cdef int fill(self, Page page, tuple pages) except -1
    cdef object row(self, Py_ssize_t index)
    cdef object decode(self, Py_ssize_t index)


cdef class RowIterator:
    cdef Rows rows
    cdef Py_ssize_t index


cdef class SlicedRows:
    cdef object rows
    cdef Py_ssize_t count


cdef class AsyncResultSet:
    cdef Response response
    cdef Page page
    cdef tuple pages
    cdef object row_factory
    cdef object made
    cdef list later_warnings
    cdef NodeConnections node
    cdef readonly bytes paging_state
    cdef object traces

    cdef int fill(self, Request request, Response response, traces) except -1
    cdef int fit_columns(self) except -1
    cdef tuple all_pages(self)
    cdef object make_rows(self)
    cdef object all_rows(self)
