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
    # RowsFlags as received.
    cdef readonly int flags
    # None if the server left them out; their number is known all the same.
    cdef readonly tuple columns
    cdef readonly Py_ssize_t column_count
    # The token of the next page; None on the last one.
    cdef readonly bytes paging_state
    # What replaces the statement's; None if nothing changed.
    cdef readonly bytes new_metadata_id
    # Of a prepared statement's parameters: positions of the partition key's, else None.
    cdef readonly tuple partition_key_indexes

    cdef bint is_bare(self) noexcept


cdef ResultMetadata read_metadata(Cursor* cursor, ResultMetadata usual=*)
cdef ResultMetadata read_prepared_metadata(Cursor* cursor)

cdef tuple column_codecs(CodecRegistry registry, tuple columns)


@cython.final
cdef class RowPlan:
    # Of each column, at least one, what describes it and its codec.
    cdef readonly tuple columns
    cdef tuple codecs
    cdef Py_ssize_t column_count
    # A subclass of Row, or tuple.
    cdef readonly object row_type
    # What the layers above make of such rows, by keys of their own.
    cdef readonly dict readers
    # The bare metadata that most pages come with, kept to be used again; None before the first.
    cdef ResultMetadata usual
    # Whether no row can be part of a reference cycle.
    cdef bint atomic

    cdef object decode_row(
        self, bytes payload, Py_ssize_t* place, Py_ssize_t* column, PyObject* before, Py_ssize_t before_start
    )


@cython.final
@cython.no_gc
cdef class Page:
    # The body that the rows are in, and how to decode them.
    cdef readonly bytes payload
    cdef readonly RowPlan plan
    cdef readonly Py_ssize_t row_count
    # Where the first row begins in the payload; where each of two or more does, else NULL; of how many that is known.
    cdef Py_ssize_t start
    cdef uint32_t* offsets
    cdef Py_ssize_t known

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
    # The row that comes next.
    cdef readonly Py_ssize_t position

    cpdef list decode_next(self, Py_ssize_t limit)
