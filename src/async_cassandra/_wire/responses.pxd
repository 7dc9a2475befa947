cimport cython
from libc.stdint cimport uint8_t

from async_cassandra._wire.codecs cimport CodecRegistry
from async_cassandra._wire.rows cimport Page, ResultMetadata, RowPlan


cdef class RowPlans:
    cdef readonly CodecRegistry registry
    cdef dict plans

    cdef RowPlan plan(self, tuple columns, bint as_tuples)


cdef class ServerError:
    cdef readonly int code
    cdef readonly str message
    cdef readonly dict fields


cdef class SchemaChange:
    cdef readonly str change_type
    cdef readonly str target
    cdef readonly str keyspace
    cdef readonly str name
    cdef readonly list arguments


cdef class Event:
    cdef readonly str kind
    cdef readonly str change_type
    cdef readonly bytes address
    cdef readonly int port
    cdef readonly SchemaChange schema_change


cdef class Prepared:
    cdef readonly bytes prepared_id
    cdef readonly bytes result_metadata_id
    cdef readonly ResultMetadata bind_metadata
    cdef readonly ResultMetadata result_metadata


@cython.no_gc
cdef class Response:
    cdef readonly uint8_t opcode
    cdef readonly int kind
    cdef readonly bytes tracing_id
    cdef readonly list warnings
    cdef readonly dict custom_payload
    cdef readonly ServerError error
    cdef readonly Page page
    cdef readonly ResultMetadata metadata
    cdef readonly str keyspace
    cdef readonly SchemaChange schema_change
    cdef readonly Prepared prepared
    cdef readonly dict supported
    cdef readonly str authenticator
    cdef readonly bytes token

    cdef bint has_all(self) noexcept


cdef Event decode_event(uint8_t flags, uint8_t opcode, const unsigned char* body, Py_ssize_t size)
cdef Response new_keyspace(str keyspace)
cdef Response decode_response(uint8_t version, uint8_t flags, uint8_t opcode, const unsigned char* body,
                              Py_ssize_t size, RowPlan plan, RowPlans plans, bint as_tuples, bytes whole=*,
                              bint at_once=*)
