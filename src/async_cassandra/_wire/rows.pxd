cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport uint32_t

from async_cassandra._wire.buffer cimport Cursor
from async_cassandra._wire.codecs cimport CodecRegistry
from async_cassandra._wire.cqltypes cimport CqlType


@cython.final
cdef class Column:
    cdef readonly str keyspace
    cdef readonly str table
    cdef readonly str name
    cdef readonly CqlType type

    cdef tuple parts(self)


@cython.final
@cython.no_gc
cdef class ResultMetadata:
    cdef readonly int flags
    cdef readonly Py_ssize_t column_count
    cdef readonly tuple columns
    cdef readonly bytes paging_state
    cdef readonly bytes new_metadata_id
    cdef readonly tuple partition_key_indexes

    cdef bint is_bare(self) noexcept


cdef ResultMetadata read_metadata(Cursor* cursor, ResultMetadata usual=*)
cdef ResultMetadata read_prepared_metadata(Cursor* cursor)

cdef tuple column_codecs(CodecRegistry registry, tuple columns)


@cython.final
cdef class RowPlan:
    cdef readonly tuple columns
    cdef readonly object row_type
    cdef readonly dict readers
    cdef ResultMetadata usual
    cdef tuple codecs
    cdef Py_ssize_t column_count
    cdef bint atomic

    cdef object decode_row(
        self, bytes payload, Py_ssize_t* place, Py_ssize_t* column, PyObject* before, Py_ssize_t before_start
    )


@cython.final
@cython.no_gc
cdef class Page:
    cdef readonly bytes payload
    cdef readonly RowPlan plan
    cdef readonly Py_ssize_t row_count
    cdef Py_ssize_t start
    cdef Py_ssize_t known
    cdef uint32_t* offsets

    cdef int fill(self, bytes payload, Py_ssize_t offset, RowPlan plan, bint at_once) except -1
    cdef int check(self, Py_ssize_t stop) except -1
    cdef int note(self, Py_ssize_t row, Py_ssize_t place) except -1
    cdef Py_ssize_t row_start(self, Py_ssize_t row) noexcept
    cdef Py_ssize_t find_row(self, Py_ssize_t row) except -1
    cdef object row_at(self, Py_ssize_t row)
    cdef int append_rows(self, list rows, Py_ssize_t start, Py_ssize_t stop) except -1
    cdef object decode_error(self, Py_ssize_t row, Py_ssize_t column, error)
    cpdef list decode_slice(self, Py_ssize_t start, Py_ssize_t stop)


@cython.final
cdef class PageCursor:
    cdef readonly Page page
    cdef readonly Py_ssize_t position

    cpdef list decode_next(self, Py_ssize_t limit)
