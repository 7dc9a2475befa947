cimport cython
from libc.stdint cimport uint8_t

from async_cassandra._wire.codecs cimport CodecRegistry
from async_cassandra._wire.rows cimport Page, ResultMetadata, RowPlan


cdef class RowPlans:
    cdef readonly CodecRegistry registry
    # RowPlans by all that they depend on.
    cdef dict plans

    cdef RowPlan plan(self, tuple columns, bint as_tuples)


cdef class ServerError:
    # An ErrorCode, or one that this version does not know.
    cdef readonly int code
    # The server's text, which may quote values.
    cdef readonly str message
    # What the code adds, by name; empty for nothing.
    cdef readonly dict fields


cdef class SchemaChange:
    cdef readonly str change_type
    cdef readonly str target
    cdef readonly str keyspace
    # None where the target is a keyspace; the types of a function's or aggregate's arguments, else None.
    cdef readonly str name
    cdef readonly list arguments


cdef class Event:
    cdef readonly str kind
    cdef readonly str change_type
    cdef readonly bytes address
    cdef readonly int port
    cdef readonly SchemaChange schema_change


cdef class Prepared:
    # The server's; the second is None on v4.
    cdef readonly bytes prepared_id
    cdef readonly bytes result_metadata_id
    # Of the parameters, and of the rows.
    cdef readonly ResultMetadata bind_metadata
    cdef readonly ResultMetadata result_metadata


@cython.no_gc
cdef class Response:
    cdef readonly uint8_t opcode
    # The ResultKind of a RESULT, else 0. Whatever a response does not have is None.
    cdef readonly int kind
    # What any response may have: 16 bytes; texts for whoever wrote the query; str -> bytes or None.
    cdef readonly bytes tracing_id
    cdef readonly list warnings
    cdef readonly dict custom_payload
    # Of an ERROR.
    cdef readonly ServerError error
    # Of a RESULT, by its kind: rows, SET_KEYSPACE, SCHEMA_CHANGE, PREPARED.
    cdef readonly Page page
    cdef readonly ResultMetadata metadata
    cdef readonly str keyspace
    cdef readonly SchemaChange schema_change
    cdef readonly Prepared prepared
    # Of SUPPORTED: option -> its values.
    cdef readonly dict supported
    # The Java class that an AUTHENTICATE names; what AUTH_CHALLENGE and AUTH_SUCCESS say.
    cdef readonly str authenticator
    cdef readonly bytes token

    cdef inline bint has_all(self) noexcept:
        """Whether nothing follows from it: no further page, no changed schema."""
        if self.metadata is not None:
            return self.metadata.paging_state is None
        return self.schema_change is None


cdef Event decode_event(uint8_t flags, uint8_t opcode, const unsigned char* body, Py_ssize_t size)
cdef Response new_keyspace(str keyspace)
cdef Response decode_response(uint8_t version, uint8_t flags, uint8_t opcode, const unsigned char* body,
                              Py_ssize_t size, RowPlan plan, RowPlans plans, bint as_tuples, bytes whole=*,
                              bint at_once=*)
