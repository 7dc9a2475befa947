"""One connection in the loop: the in-flight table, stream ids, writes coalesced per loop turn, reads decoded in place.

Theory. A request is encoded straight into the connection's pending buffer and its handler put into
the table under a stream id. The first request of a :mod:`turn <.turn>` asks for one flush, so all of that
turn leave in one segment with one write. What arrives is read into one buffer and parsed there;
each envelope's id finds its handler, whose id is free again before it runs. A turn of the loop
takes a bounded number of responses: if there are more, the transport pauses, and each of the
following turns takes as many until none is left.

A stream id is in one of three states: free; taken, its slot holds a handler; orphaned, its slot
holds an orphan mark, because the request was cancelled or timed out while its response may still
come. Only a response or the connection's end frees an id. The mark tells whether the id was
orphaned already when :mod:`.heartbeat` last counted.
"""

import asyncio

cimport cython
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.ref cimport Py_DECREF, Py_INCREF, Py_XDECREF
from libc.limits cimport INT_MAX
from libc.string cimport memmove, memset

from async_cassandra._net.turn cimport Turn
from async_cassandra._wire.framing cimport COMPRESSED_SEGMENTS, SEGMENTS
from async_cassandra._wire.protocol cimport Opcode
from async_cassandra._wire.responses cimport Response, RowPlans, decode_event, decode_response

from async_cassandra._net.errors import ConnectionLost
from async_cassandra._wire.errors import ProtocolError


cdef extern from "Python.h":
    object PyMemoryView_FromMemory(char* mem, Py_ssize_t size, int flags)
    int PyBUF_WRITE

DEF MAX_STREAM_IDS = 32768
# Room for several segments, so that their unfinished ends are seldom moved.
DEF INBOX_BYTES = 524288
DEF MIN_READ_BYTES = 65536
# Bytes that may wait for the peer, in the transport or encoded in this turn, before senders wait.
DEF HIGH_WATER_BYTES = 1048576
# Responses handled in one turn of the loop, some 2 ms of work with that of the tasks that wait for them. A thousand
# containers more in a turn would also start the garbage collector in each.
DEF RESPONSES_PER_TURN = 128


@cython.no_gc
cdef class ResponseHandler:
    """Whoever waits for one response; exactly one of the two is called, once."""

    cdef int on_response(self, Connection connection, uint8_t flags, uint8_t opcode,
                         const unsigned char* body, Py_ssize_t size) except -1:
        """Take the response; ``body`` is valid during the call only."""
        raise NotImplementedError

    cdef int on_lost(self, Connection connection, object error) except -1:
        """Take note that no response will come."""
        raise NotImplementedError


cdef class Orphan(ResponseHandler):
    """Marks an id whose request nobody waits for; drops the response."""

    cdef int on_response(self, Connection connection, uint8_t flags, uint8_t opcode,
                         const unsigned char* body, Py_ssize_t size) except -1:
        connection.orphans -= 1
        connection.late += 1
        return 0

    cdef int on_lost(self, Connection connection, object error) except -1:
        return 0


cdef Orphan ORPHAN = Orphan()
cdef Orphan OLD_ORPHAN = Orphan()


cdef class FutureHandler(ResponseHandler):
    """Gives a decoded response to a future; rows as tuples, unread.

    One that cannot be read ends the connection, whose state its request may have changed; only a PREPARE changes none.
    """

    cdef object future
    cdef RowPlans plans
    cdef bint is_prepare

    def __cinit__(self, future, RowPlans plans=None, bint is_prepare=False):
        self.future = future
        self.plans = plans
        self.is_prepare = is_prepare

    cdef int on_response(self, Connection connection, uint8_t flags, uint8_t opcode,
                         const unsigned char* body, Py_ssize_t size) except -1:
        cdef Response response
        try:
            response = decode_response(
                connection.version, flags, opcode, body, size, None, self.plans, True, None, False)
        except ProtocolError as error:
            self.on_lost(connection, ConnectionLost(
                f"protocol error from {connection.endpoint}: {error}", connection.endpoint))
            if not self.is_prepare:
                raise
            return 0
        if not self.future.done():
            self.future.set_result(response)
        return 0

    cdef int on_lost(self, Connection connection, object error) except -1:
        if not self.future.done():
            self.future.set_exception(error)
        return 0


cdef class Connection(EnvelopeSink):
    """A protocol of asyncio (buffered) whose subclass in :mod:`.protocol` adds the base that the loops ask for.

    Concurrency: the loop's thread only.

    :param loop: the loop that runs it
    :param endpoint: the peer as ``host:port``, for messages
    :param version: protocol version, 4 or 5
    :param max_in_flight: requests that may wait for a response at once, 1 to 32767: stream 0 stays the server's
    :param compression: ``(compress, decompress)`` of LZ4 blocks or ``None``
    :ivar keyspace: the keyspace for unqualified names on it; set while it is opened, and never changed later
    :ivar turn: of those connections whose requests wake the same tasks; at first one of its own
    :ivar on_event: called with each :class:`.Event`; they come only to whoever registers for them
    :ivar late: responses that came when nobody waited for them any more, and were dropped
    """

    def __cinit__(self, loop, str endpoint not None, uint8_t version, int max_in_flight=32767, compression=None):
        compress, decompress = compression if compression is not None else (None, None)
        self.loop = loop
        self.turn = Turn(loop)
        self.endpoint = endpoint
        self.version = version
        self.max_in_flight = max_in_flight
        self.reader = FrameReader(version, decompress)
        self.writer = FrameWriter(version, compress)
        self.closed_future = loop.create_future()
        self.flush_callback = self._flush
        self.read_callback = self._read_on
        self.inbox = <unsigned char*>PyMem_Malloc(INBOX_BYTES)
        if self.inbox == NULL:
            raise MemoryError()
        self.inbox_capacity = INBOX_BYTES

    def __dealloc__(self):
        cdef int i
        for i in range(self.next_id):
            Py_XDECREF(self.handlers[i])
        PyMem_Free(self.handlers)
        PyMem_Free(self.free_ids)
        PyMem_Free(self.inbox)

    def __repr__(self):
        state = "closed" if self.closed else "suspect" if self.suspect else "draining" if self.draining else "open"
        return f"<Connection {self.endpoint} v{self.version} {state} in_flight={self.in_flight} orphans={self.orphans}>"

    # Sending

    cdef bint is_available(self) noexcept:
        """Whether a request may be sent now."""
        return (not self.closed and not self.paused and not self.draining
                and self.in_flight < self.max_in_flight and self.writer.pending.size < HIGH_WATER_BYTES
                and (self.free_count > 0 or self.next_id < MAX_STREAM_IDS))

    @property
    def available(self):
        """Whether a request may be sent now."""
        return self.is_available()

    cdef int send(self, ResponseHandler handler, Message message) except -1:
        """Encode ``message`` and keep ``handler`` for its response; return the stream id.

        The frame leaves with all others of this loop turn. Nothing is sent or kept after an exception.
        """
        if self.closed:
            raise ConnectionLost(f"the connection to {self.endpoint} is closed", self.endpoint)
        cdef int stream_id = self.acquire_id()
        try:
            self.writer.begin_envelope(message.flags(), <int16_t>stream_id, message.opcode)
            message.write(self.writer.pending, self.version)
            self.writer.end_envelope()
        except BaseException:
            self.writer.abort_envelope()
            self.release_id(stream_id)
            raise
        Py_INCREF(handler)
        self.handlers[stream_id] = <PyObject*>handler
        self.in_flight += 1
        if not self.flush_scheduled:
            self.flush_scheduled = True
            self.turn.flush_at_end(self.flush_callback)
        return stream_id

    def request(self, Message message not None, RowPlans plans=None):
        """Send ``message``; return a future of its decoded :class:`Response`.

        Cancellation of the future leaves the stream id taken until the response comes.

        :param plans: how to decode rows; without it, none may come
        :raises ConnectionLost: if the connection is closed; the future too, if it is lost before the response, or the
            response cannot be read
        """
        future = self.loop.create_future()
        self.send(FutureHandler(future, plans, message.opcode == Opcode.PREPARE), message)
        return future

    def _flush(self):
        self.flush_scheduled = False
        if self.closed:
            return
        self.flushes += 1
        try:
            self.transport.write(self.writer.take_frames())
        except Exception as error:  # noqa: BLE001  whatever it is, half a frame may be out: the connection is over
            self.abort(ConnectionLost(f"writing to {self.endpoint} failed: {error}", self.endpoint), error)
        self.wake_senders()

    cdef int wake_senders(self) except -1:
        """Tell who found this connection full that it no longer is."""
        if self.starved and self.is_available():
            self.starved = False
            if self.on_available is not None:
                self.on_available()
        return 0

    cdef int acquire_id(self) except -1:
        if self.free_count:
            self.free_count -= 1
            return self.free_ids[self.free_count]
        if self.next_id == MAX_STREAM_IDS:
            raise ConnectionLost(f"all {MAX_STREAM_IDS - 1} stream ids to {self.endpoint} are in use", self.endpoint)
        if self.next_id == self.handler_capacity:
            self.grow_table()
        if self.next_id == 0:
            # A server reports on stream 0 what it cannot blame on a request, such as a wrong checksum.
            # No request may take that for its answer, so id 0 stays free and its slot empty.
            self.next_id = 1
        self.next_id += 1
        return self.next_id - 1

    cdef int grow_table(self) except -1:
        cdef int capacity = self.handler_capacity * 2 if self.handler_capacity else 128
        cdef PyObject** handlers = <PyObject**>PyMem_Realloc(self.handlers, capacity * sizeof(PyObject*))
        if handlers == NULL:
            raise MemoryError()
        self.handlers = handlers
        memset(handlers + self.handler_capacity, 0, (capacity - self.handler_capacity) * sizeof(PyObject*))
        cdef int16_t* free_ids = <int16_t*>PyMem_Realloc(self.free_ids, capacity * sizeof(int16_t))
        if free_ids == NULL:
            raise MemoryError()
        self.free_ids = free_ids
        self.handler_capacity = capacity
        return 0

    cdef void release_id(self, int stream_id) noexcept:
        self.free_ids[self.free_count] = <int16_t>stream_id
        self.free_count += 1

    cdef int orphan(self, int stream_id) except -1:
        """Let go of a request whose response may still come; its id stays taken until then."""
        cdef PyObject* handler = self.handlers[stream_id] if not self.closed else NULL
        if handler == NULL or handler == <PyObject*>ORPHAN or handler == <PyObject*>OLD_ORPHAN:
            return 0
        Py_INCREF(ORPHAN)
        self.handlers[stream_id] = <PyObject*>ORPHAN
        Py_DECREF(<object>handler)
        self.orphans += 1
        self.check_drained()
        return 0

    def old_orphans(self):
        """How many ids were orphaned at the call before and still are; makes those orphaned since count next time."""
        cdef int stream_id
        cdef int count = 0
        if self.closed:
            return 0
        for stream_id in range(self.next_id):
            if self.handlers[stream_id] == <PyObject*>OLD_ORPHAN:
                count += 1
            elif self.handlers[stream_id] == <PyObject*>ORPHAN:
                Py_INCREF(OLD_ORPHAN)
                self.handlers[stream_id] = <PyObject*>OLD_ORPHAN
                Py_DECREF(ORPHAN)
        return count

    cdef int distrust(self) except -1:
        """Take no more requests, and have another connection opened in its place."""
        self.draining = True
        if self.on_worn is not None:
            self.on_worn(self)
        return 0

    # Receiving

    def get_buffer(self, sizehint):
        """Where the loop shall read to (asyncio's buffered protocol): behind what has arrived."""
        # Where a handler is reading what has arrived, that must stay where it is.
        if self.inbox_capacity - self.inbox_end < MIN_READ_BYTES and not self.is_reading:
            self.make_room()
        if self.inbox_end == self.inbox_capacity:
            raise BufferError(f"no room for what {self.endpoint} sends while one of its answers is handled")
        return PyMemoryView_FromMemory(
            <char*>self.inbox + self.inbox_end, self.inbox_capacity - self.inbox_end, PyBUF_WRITE
        )

    cdef int make_room(self) except -1:
        """Have room for the next read behind what has arrived, which may move."""
        cdef Py_ssize_t capacity
        cdef unsigned char* inbox
        if self.inbox_start > 0:
            memmove(self.inbox, self.inbox + self.inbox_start, self.inbox_end - self.inbox_start)
            self.inbox_end -= self.inbox_start
            self.inbox_start = 0
        if self.inbox_capacity - self.inbox_end < MIN_READ_BYTES:
            capacity = self.inbox_capacity * 2
            inbox = <unsigned char*>PyMem_Realloc(self.inbox, capacity)
            if inbox == NULL:
                raise MemoryError()
            self.inbox = inbox
            self.inbox_capacity = capacity
        return 0

    def buffer_updated(self, Py_ssize_t nbytes):
        """Parse what has arrived (asyncio's buffered protocol)."""
        if nbytes < 0 or nbytes > self.inbox_capacity - self.inbox_end:
            raise ValueError(f"{nbytes} bytes cannot have come into {self.inbox_capacity - self.inbox_end}")
        self.inbox_end += nbytes
        self.reads += 1
        self.suspect = False
        if not self.has_backlog:
            self.read_some(RESPONSES_PER_TURN)

    cdef int read_some(self, int most) except -1:
        """Handle responses that have arrived, ``most`` of them now and the others in the turns that follow."""
        cdef Turn turn = self.turn
        cdef bint is_begin
        if self.closed:
            return 0
        is_begin = turn.begin()
        try:
            self.read_checked(most)
        finally:
            if is_begin:
                turn.end()
        return 0

    cdef int read_checked(self, int most) except -1:
        try:
            self.read_inbox(most)
        except ProtocolError as error:
            self.abort(ConnectionLost(f"protocol error from {self.endpoint}: {error}", self.endpoint), error)
        except Exception as error:  # noqa: BLE001  the stream cannot be trusted after a failure in the middle of it
            self.loop.call_exception_handler(
                {"message": f"a response from {self.endpoint} could not be handled", "exception": error}
            )
            self.abort(ConnectionLost(f"a response from {self.endpoint} could not be handled", self.endpoint), error)
        if self.reader.budget <= 0 and self.inbox_start < self.inbox_end and not self.closed:
            if not self.has_backlog:
                self.has_backlog = True
                self.transport.pause_reading()
            self.loop.call_soon(self.read_callback)
        elif self.has_backlog:
            self.has_backlog = False
            self.transport.resume_reading()
        return self.wake_senders()

    def _read_on(self):
        if self.has_backlog:
            self.read_some(RESPONSES_PER_TURN)

    cdef int read_inbox(self, int most) except -1:
        cdef Py_ssize_t end
        cdef unsigned char* inbox
        if self.is_reading:
            # A handler runs the loop: the read that called it goes on with what arrives meanwhile.
            return 0
        self.is_reading = True
        try:
            while True:
                end = self.inbox_end
                self.inbox_start += self.reader.read(self.inbox + self.inbox_start, end - self.inbox_start, self, most)
                if self.inbox_end == end or self.reader.budget <= 0:
                    break
        finally:
            self.is_reading = False
        if self.reader.budget <= 0 and self.inbox_start < self.inbox_end:
            return 0
        if self.inbox_start == self.inbox_end:
            self.inbox_start = self.inbox_end = 0
            if self.inbox_capacity > INBOX_BYTES:
                inbox = <unsigned char*>PyMem_Realloc(self.inbox, INBOX_BYTES)
                if inbox != NULL:
                    self.inbox = inbox
                    self.inbox_capacity = INBOX_BYTES
        return 0

    cdef int on_envelope(self, uint8_t flags, int16_t stream_id, uint8_t opcode,
                         const unsigned char* body, Py_ssize_t size) except -1:
        if self.closed:
            return 0
        if stream_id < 0:
            if self.on_event is not None:
                self.on_event(decode_event(flags, opcode, body, size))
            return 0
        if stream_id >= self.next_id or self.handlers[stream_id] == NULL:
            raise ProtocolError(f"a response on stream {stream_id}, which no request has")
        cdef ResponseHandler handler = <ResponseHandler>self.handlers[stream_id]
        self.handlers[stream_id] = NULL
        self.release_id(stream_id)
        self.in_flight -= 1
        Py_DECREF(handler)
        handler.on_response(self, flags, opcode, body, size)
        self.check_drained()
        return 0

    cdef void check_drained(self):
        if self.drained_future is not None and self.in_flight == self.orphans and not self.drained_future.done():
            self.drained_future.set_result(None)

    # Life

    def use_segments(self, bint compressed):
        """Frame everything from now on as v5 does after STARTUP was answered."""
        self.reader.framing = COMPRESSED_SEGMENTS if compressed else SEGMENTS
        self.writer.framing = self.reader.framing

    def use_compression(self):
        """Compress v4 envelopes from now on."""
        self.writer.compressing = True

    def connection_made(self, transport):
        """Take the transport (asyncio)."""
        self.transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)

    def eof_received(self):
        """Let the transport close (asyncio)."""
        return False

    def pause_writing(self):
        """Stop sending: the peer does not read (asyncio)."""
        self.paused = True
        self.starved = True

    def resume_writing(self):
        """Send again (asyncio)."""
        self.paused = False
        if self.starved and self.on_available is not None:
            self.starved = False
            self.on_available()

    def connection_lost(self, error):
        """Fail whatever waits (asyncio)."""
        if self.has_backlog:
            self.has_backlog = False
            self.read_some(INT_MAX)
        if error is None:
            lost = ConnectionLost(f"{self.endpoint} closed the connection", self.endpoint)
        else:
            lost = ConnectionLost(f"the connection to {self.endpoint} was lost: {error}", self.endpoint)
            lost.__cause__ = error
        self.finish(lost)
        if not self.closed_future.done():
            self.closed_future.set_result(None)

    def abort(self, error, cause=None):
        """End the connection now; what waits fails with ``error``."""
        error.__cause__ = cause
        self.finish(error)
        if self.transport is not None:
            self.transport.abort()

    def finish(self, error):
        """Mark the connection closed and fail every handler, once."""
        if self.closed:
            return
        self.closed = True
        self.error = error
        self.flush_callback = self.read_callback = None
        self.has_backlog = False
        self.fail_all(error)
        if self.drained_future is not None and not self.drained_future.done():
            self.drained_future.set_result(None)
        callback = self.on_closed
        self.on_closed = self.on_available = self.on_worn = self.on_event = None
        if callback is not None:
            callback(self)

    cdef int fail_all(self, object error) except -1:
        cdef int stream_id
        cdef ResponseHandler handler
        for stream_id in range(self.next_id):
            if self.handlers[stream_id] == NULL:
                continue
            handler = <ResponseHandler>self.handlers[stream_id]
            self.handlers[stream_id] = NULL
            self.in_flight -= 1
            try:
                handler.on_lost(self, error)
            except Exception as failure:  # noqa: BLE001  one handler's fault must not keep the others waiting
                self.loop.call_exception_handler({"message": "a lost request failed", "exception": failure})
            finally:
                Py_DECREF(handler)
        return 0

    async def drained(self):
        """Wait until no response is awaited by anyone; orphaned ids do not count."""
        if self.closed or self.in_flight == self.orphans:
            return
        if self.drained_future is None or self.drained_future.done():
            self.drained_future = self.loop.create_future()
        await asyncio.shield(self.drained_future)

    async def close(self, double patience=1.0):
        """Close the transport after what is buffered was written, and wait until it is closed.

        :param patience: seconds for the peer to take what is buffered; then the connection is aborted
        """
        if self.transport is None:
            return
        if not self.closed:
            self.draining = True
            if self.flush_scheduled:
                self._flush()
            self.transport.close()
        await asyncio.wait([self.closed_future], timeout=patience)
        if not self.closed_future.done():
            self.transport.abort()
        await asyncio.shield(self.closed_future)


cdef class NodeConnections:
    """The open connections to one node; :class:`.pool.NodePool` keeps them open."""

    def __cinit__(self, str endpoint not None, host=None, *args, **kwargs):
        self.endpoint = endpoint
        self.host = host
        self.connections = []

    cdef Connection pick(self):
        """An available connection with the fewest requests in flight, one that answers if there is one, or ``None``."""
        cdef Connection best = None
        cdef Connection connection
        for connection in self.connections:
            if not connection.is_available():
                connection.starved = True
            elif (best is None or (best.suspect and not connection.suspect)
                  or (best.suspect == connection.suspect and connection.in_flight < best.in_flight)):
                best = connection
        return best
