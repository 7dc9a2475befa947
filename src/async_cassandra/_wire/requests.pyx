"""The messages that a client sends.

A message holds its parameters encoded and checked, so that writing it again for another attempt cannot fail or differ.
Nothing that it refers to refers to it, so the garbage collector need not look at those that wait for a response.

Source: native protocol v5, section 4.1 (v4 where it differs).
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyTypeObject
from libc.stdint cimport INT64_MIN

from async_cassandra._wire.buffer cimport (
    write_byte,
    write_bytes,
    write_bytes_map,
    write_int,
    write_long,
    write_long_string,
    write_raw,
    write_short,
    write_short_bytes,
    write_string,
    write_string_map,
)
from async_cassandra._wire.protocol cimport (
    CONSISTENCY_ONE, ENTRY_PREPARED_ID, ENTRY_QUERY, PREPARE_WITH_KEYSPACE, EnvelopeFlag, Opcode, QueryFlag,
)


cdef extern from "pool.h":
    """
    POOL(execute_pool)
    """
    void execute_pool_use(PyTypeObject* kind)


NO_TIMESTAMP = INT64_MIN


@cython.no_gc
cdef class Message:
    """One request; ``tracing`` and ``custom_payload`` are the envelope's options."""

    cdef uint8_t flags(self) noexcept:
        cdef uint8_t flags = EnvelopeFlag.TRACING if self.tracing else 0
        return flags if self.custom_payload is None else flags | EnvelopeFlag.CUSTOM_PAYLOAD

    cdef int write(self, WriteBuffer out, uint8_t version) except -1:
        """Append the envelope's body."""
        if self.custom_payload is not None:
            write_bytes_map(out, self.custom_payload)
        return self.write_body(out, version)

    cdef int write_body(self, WriteBuffer out, uint8_t version) except -1:
        raise NotImplementedError

    def encode(self, uint8_t version):
        """The envelope's body as ``bytes``."""
        cdef WriteBuffer out = WriteBuffer()
        self.write(out, version)
        return bytes(out)


@cython.no_gc
cdef class Options(Message):
    """Ask which options the server supports; also the heartbeat."""

    def __cinit__(self):
        self.opcode = Opcode.OPTIONS

    cdef int write_body(self, WriteBuffer out, uint8_t version) except -1:
        return 0


@cython.no_gc
cdef class Startup(Message):
    """Begin a connection with the given options (CQL_VERSION, COMPRESSION, ...)."""

    cdef dict options

    def __cinit__(self, dict options not None):
        self.opcode = Opcode.STARTUP
        self.options = options

    cdef int write_body(self, WriteBuffer out, uint8_t version) except -1:
        return write_string_map(out, self.options)


@cython.no_gc
cdef class AuthResponse(Message):
    """Answer an authentication challenge; ``token`` is the SASL mechanism's."""

    cdef bytes token

    def __cinit__(self, bytes token):
        self.opcode = Opcode.AUTH_RESPONSE
        self.token = token

    cdef int write_body(self, WriteBuffer out, uint8_t version) except -1:
        return write_bytes(out, self.token)


@cython.no_gc
cdef class Register(Message):
    """Subscribe to events: TOPOLOGY_CHANGE, STATUS_CHANGE, SCHEMA_CHANGE."""

    cdef list events

    def __cinit__(self, list events not None):
        self.opcode = Opcode.REGISTER
        self.events = events

    cdef int write_body(self, WriteBuffer out, uint8_t version) except -1:
        if len(self.events) > 0xFFFF:
            raise ValueError(f"a [string list] holds at most 65535 strings, got {len(self.events)}")
        write_short(out, <uint16_t>len(self.events))
        for event in self.events:
            write_string(out, event)
        return 0


@cython.no_gc
cdef class Prepare(Message):
    """Prepare ``query``; a ``keyspace`` is sent on v5 only, v4 takes the connection's."""

    def __cinit__(self, str query not None, str keyspace=None):
        self.opcode = Opcode.PREPARE
        self.query = query
        self.keyspace = keyspace

    cdef int write_body(self, WriteBuffer out, uint8_t version) except -1:
        write_long_string(out, self.query)
        if version < 5:
            return 0
        if self.keyspace is None:
            return write_int(out, 0)
        write_int(out, PREPARE_WITH_KEYSPACE)
        return write_string(out, self.keyspace)


@cython.no_gc
cdef class Statement(Message):
    """What QUERY, EXECUTE and BATCH have in common; ``serial_consistency`` 0 and ``NO_TIMESTAMP`` leave theirs out."""

    def __cinit__(self):
        self.consistency = CONSISTENCY_ONE
        self.timestamp = INT64_MIN

    cdef int write_tail(self, WriteBuffer out, uint8_t version) except -1:
        if self.serial_consistency:
            write_short(out, self.serial_consistency)
        if self.timestamp != INT64_MIN:
            write_long(out, self.timestamp)
        if self.keyspace is not None and version >= 5:
            write_string(out, self.keyspace)
        return 0

    cdef int tail_flags(self, uint8_t version) noexcept:
        cdef int flags = 0
        if self.serial_consistency:
            flags |= QueryFlag.WITH_SERIAL_CONSISTENCY
        if self.timestamp != INT64_MIN:
            flags |= QueryFlag.WITH_TIMESTAMP
        if self.keyspace is not None and version >= 5:
            flags |= QueryFlag.WITH_KEYSPACE
        return flags


cdef inline int write_flags(WriteBuffer out, int flags, uint8_t version) except -1:
    if version >= 5:
        return write_int(out, flags)
    return write_byte(out, <uint8_t>flags)


@cython.no_gc
cdef class Query(Statement):
    """Run a query string.

    ``values`` is the encoded ``[short n][value]...`` section or ``None``; ``page_size`` in rows, 0 for no paging.
    """

    def __cinit__(self):
        self.opcode = Opcode.QUERY

    def __init__(self, str query=None):
        self.query = query

    cdef int write_body(self, WriteBuffer out, uint8_t version) except -1:
        write_long_string(out, self.query)
        return self.write_parameters(out, version)

    cdef int write_parameters(self, WriteBuffer out, uint8_t version) except -1:
        cdef int flags = self.tail_flags(version)
        if self.values is not None:
            flags |= QueryFlag.WITH_VALUES
        if self.skip_metadata:
            flags |= QueryFlag.SKIP_METADATA
        if self.page_size > 0:
            flags |= QueryFlag.WITH_PAGE_SIZE
        if self.paging_state is not None:
            flags |= QueryFlag.WITH_PAGING_STATE
        write_short(out, self.consistency)
        write_flags(out, flags, version)
        if self.values is not None:
            write_raw(out, PyBytes_AS_STRING(self.values), PyBytes_GET_SIZE(self.values))
        if self.page_size > 0:
            write_int(out, self.page_size)
        if self.paging_state is not None:
            write_bytes(out, self.paging_state)
        return self.write_tail(out, version)


@cython.no_gc
cdef class Execute(Query):
    """Run a prepared statement; ``result_metadata_id`` is sent on v5."""

    def __cinit__(self):
        self.opcode = Opcode.EXECUTE

    cdef int write_body(self, WriteBuffer out, uint8_t version) except -1:
        write_short_bytes(out, self.prepared_id)
        if version >= 5:
            write_short_bytes(out, self.result_metadata_id)
        return self.write_parameters(out, version)


@cython.no_gc
cdef class Batch(Statement):
    """Run several modifications as one.

    ``entries`` are ``(query, values)`` with ``query`` a ``str`` or a prepared id as ``bytes`` and ``values`` an encoded
    ``[short n][value]...`` section; ``batch_type`` is 0 logged, 1 unlogged, 2 counter.
    """

    def __cinit__(self):
        self.opcode = Opcode.BATCH
        self.entries = []

    cdef int write_body(self, WriteBuffer out, uint8_t version) except -1:
        cdef bytes values
        if len(self.entries) > 0xFFFF:
            raise ValueError(f"a batch holds at most 65535 statements, got {len(self.entries)}")
        write_byte(out, self.batch_type)
        write_short(out, <uint16_t>len(self.entries))
        for entry in self.entries:
            query, values = <tuple?>entry
            if type(query) is str:
                write_byte(out, ENTRY_QUERY)
                write_long_string(out, query)
            else:
                write_byte(out, ENTRY_PREPARED_ID)
                write_short_bytes(out, query)
            if values is None:
                raise TypeError("a statement in a batch has values, if only none: 0 of them")
            write_raw(out, PyBytes_AS_STRING(values), PyBytes_GET_SIZE(values))
        write_short(out, self.consistency)
        write_flags(out, self.tail_flags(version), version)
        return self.write_tail(out, version)


execute_pool_use(<PyTypeObject*>Execute)
