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
    # None before the connection is made.
    cdef readonly object transport
    # The peer as host:port, for messages.
    cdef readonly str endpoint
    # Of the protocol, 4 or 5.
    cdef readonly uint8_t version
    # Stream ids that are taken, those among them that nobody waits for any more, and how many may be taken.
    cdef readonly int in_flight
    cdef readonly int orphans
    cdef readonly int max_in_flight
    # Whether the transport holds too much that the peer has not read.
    cdef readonly bint paused
    cdef readonly bint closed
    # Whether an answer is overdue, and whether it takes no more requests; the first ends with the next bytes that come.
    cdef public bint suspect
    cdef public bint draining
    # What unqualified names mean on it, for its life; None for nothing.
    cdef public str keyspace
    # Those to the same node, and what it shares with all whose requests wake the same tasks.
    cdef public NodeConnections node
    cdef public Turn turn
    # Writes and reads of the transport, and responses that came when nobody waited for them any more.
    cdef readonly uint64_t flushes
    cdef readonly uint64_t reads
    cdef readonly uint64_t late
    # Why it is closed; None before.
    cdef readonly object error
    # Called with it when it has closed; when it can take requests again, without arguments; with it when it should be
    # replaced. None for nobody.
    cdef public object on_closed
    cdef public object on_available
    cdef public object on_worn
    # Called with each event that the server sends.
    cdef public object on_event
    # Done when the transport has closed; done when nobody waits for a response, None as long as nobody asks for that.
    cdef object closed_future
    cdef object drained_future
    # Bound methods, made once, None when it has closed. Whether the first is due; whether the other has responses left.
    cdef object flush_callback
    cdef bint flush_scheduled
    cdef object read_callback
    cdef bint has_backlog
    cdef FrameReader reader
    cdef FrameWriter writer
    # Stream id -> its ResponseHandler, of which this holds a reference, NULL for none; how many ids there is room for.
    cdef PyObject** handlers
    cdef int handler_capacity
    # Ids that were given back, in memory for as many; the lowest one that was never taken.
    cdef int16_t* free_ids
    cdef int free_count
    cdef int next_id
    # What has arrived and is not read yet is from inbox_start to inbox_end.
    cdef unsigned char* inbox
    cdef Py_ssize_t inbox_start
    cdef Py_ssize_t inbox_end
    cdef Py_ssize_t inbox_capacity
    # Whether somebody found it full since it last was not.
    cdef bint starved
    # Whether a response is being handled.
    cdef bint is_reading

    cdef bint is_available(self) noexcept
    cdef int make_room(self) except -1
    cdef int send(self, ResponseHandler handler, Message message) except -1
    cdef int orphan(self, int stream_id) except -1
    cdef int distrust(self) except -1
    cdef int wake_senders(self) except -1
    cdef int acquire_id(self) except -1
    cdef void check_drained(self)
    cdef void release_id(self, int stream_id) noexcept
    cdef int grow_table(self) except -1
    cdef int read_some(self, int most) except -1
    cdef int read_checked(self, int most) except -1
    cdef int read_inbox(self, int most) except -1
    cdef int fail_all(self, object error) except -1


cdef class NodeConnections:
    cdef readonly str endpoint
    # The open ones.
    cdef readonly list connections
    # The driver's; None where there is none.
    cdef readonly object host

    cdef Connection pick(self)
