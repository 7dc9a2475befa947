cimport cython
from cpython.object cimport PyObject
from libc.stdint cimport int16_t, uint8_t, uint64_t

from async_cassandra._net.turn cimport Turn
from async_cassandra._wire.framing cimport EnvelopeSink, FrameReader, FrameWriter
from async_cassandra._wire.requests cimport Message


@cython.no_gc
cdef class ResponseHandler:
    cdef int on_response(self, Connection connection, uint8_t flags, uint8_t opcode,
                         const unsigned char* body, Py_ssize_t size) except -1
    cdef int on_lost(self, Connection connection, object error) except -1


cdef class Connection(EnvelopeSink):
    cdef readonly object loop
    cdef readonly object transport
    cdef readonly str endpoint
    cdef readonly uint8_t version
    cdef readonly int in_flight
    cdef readonly int orphans
    cdef readonly int max_in_flight
    cdef readonly bint paused
    cdef readonly bint closed
    cdef public bint suspect
    cdef public bint draining
    cdef public str keyspace
    cdef public NodeConnections node
    cdef public Turn turn
    cdef readonly uint64_t flushes
    cdef readonly uint64_t reads
    cdef readonly uint64_t late
    cdef readonly object error
    cdef public object on_closed
    cdef public object on_available
    cdef public object on_worn
    cdef public object on_event
    cdef object closed_future
    cdef object drained_future
    cdef object flush_callback
    cdef bint flush_scheduled
    cdef object read_callback
    cdef bint has_backlog
    cdef FrameReader reader
    cdef FrameWriter writer
    cdef PyObject** handlers
    cdef int handler_capacity
    cdef int16_t* free_ids
    cdef int free_count
    cdef int next_id
    cdef unsigned char* inbox
    cdef Py_ssize_t inbox_start
    cdef Py_ssize_t inbox_end
    cdef Py_ssize_t inbox_capacity
    cdef bint starved
    cdef bint is_reading

    cdef bint is_available(self) noexcept
    cdef object rest_of_inbox(self)
    cdef int send(self, ResponseHandler handler, Message message) except -1
    cdef int orphan(self, int stream_id) except -1
    cdef int distrust(self) except -1
    cdef int wake_senders(self) except -1
    cdef int acquire_id(self) except -1
    cdef void check_drained(self)
    cdef int release(self, int stream_id) except -1
    cdef void release_id(self, int stream_id) noexcept
    cdef int grow_table(self) except -1
    cdef int read_some(self, int most) except -1
    cdef int read_checked(self, int most) except -1
    cdef int read_inbox(self, int most) except -1
    cdef int fail_all(self, object error) except -1


cdef class NodeConnections:
    cdef readonly str endpoint
    cdef readonly list connections
    cdef readonly object host

    cdef Connection pick(self)
