cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t

from async_cassandra._wire.buffer cimport WriteBuffer


@cython.no_gc
cdef class Message:
    cdef readonly uint8_t opcode
    # Whether the server is to trace it.
    cdef public bint tracing
    # str -> bytes or None; None for no payload.
    cdef public dict custom_payload

    cdef uint8_t flags(self) noexcept
    cdef int write(self, WriteBuffer out, uint8_t version) except -1
    cdef int write_body(self, WriteBuffer out, uint8_t version) except -1


@cython.no_gc
cdef class Statement(Message):
    # The protocol's numbers; a serial consistency of 0 is left to the server.
    cdef public uint16_t consistency
    cdef public uint16_t serial_consistency
    # Microseconds since 1970; NO_TIMESTAMP leaves it to the server.
    cdef public int64_t timestamp
    # What unqualified names mean, sent on v5 only; None for the connection's.
    cdef public str keyspace

    cdef int write_tail(self, WriteBuffer out, uint8_t version) except -1
    cdef int tail_flags(self, uint8_t version) noexcept


@cython.no_gc
cdef class Query(Statement):
    # The CQL; None in an EXECUTE.
    cdef public str query
    # [short] count and the [value]s; None for no values.
    cdef public bytes values
    # Rows of a page, 0 for no paging; the token of the page that is asked for, None for the first one.
    cdef public int32_t page_size
    cdef public bytes paging_state
    # Whether the rows may come without a description of their columns.
    cdef public bint skip_metadata

    cdef int write_parameters(self, WriteBuffer out, uint8_t version) except -1


@cython.no_gc
cdef class Execute(Query):
    # The server's; the second on v5 only.
    cdef public bytes prepared_id
    cdef public bytes result_metadata_id


@cython.no_gc
cdef class Batch(Statement):
    # 0 logged, 1 unlogged, 2 counter.
    cdef public uint8_t batch_type
    # (CQL as str or prepared id as bytes, encoded values) pairs.
    cdef public list entries


@cython.no_gc
cdef class Prepare(Message):
    cdef public str query
    # What unqualified names mean, sent on v5 only; None for the connection's.
    cdef public str keyspace
