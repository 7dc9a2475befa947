cimport cython
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t

from async_cassandra._wire.buffer cimport WriteBuffer


@cython.no_gc
cdef class Message:
    cdef readonly uint8_t opcode
    cdef public bint tracing
    cdef public dict custom_payload

    cdef uint8_t flags(self) noexcept
    cdef int write(self, WriteBuffer out, uint8_t version) except -1
    cdef int write_body(self, WriteBuffer out, uint8_t version) except -1


@cython.no_gc
cdef class Statement(Message):
    cdef public uint16_t consistency
    cdef public uint16_t serial_consistency
    cdef public int64_t timestamp
    cdef public str keyspace

    cdef int write_tail(self, WriteBuffer out, uint8_t version) except -1
    cdef int tail_flags(self, uint8_t version) noexcept


@cython.no_gc
cdef class Query(Statement):
    cdef public str query
    cdef public bytes values
    cdef public int32_t page_size
    cdef public bytes paging_state
    cdef public bint skip_metadata

    cdef int write_parameters(self, WriteBuffer out, uint8_t version) except -1


@cython.no_gc
cdef class Execute(Query):
    cdef public bytes prepared_id
    cdef public bytes result_metadata_id


@cython.no_gc
cdef class Batch(Statement):
    cdef public uint8_t batch_type
    cdef public list entries


@cython.no_gc
cdef class Prepare(Message):
    cdef public str query
    cdef public str keyspace
