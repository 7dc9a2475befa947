from async_cassandra._net.connection cimport NodeConnections
from async_cassandra._request.timers cimport FOUND_ALL_FULL, LEFT_QUEUE, TimerQueue, Waiting


cdef class WaitQueue:
    # How many wait; the deque has some more, which have left since.
    cdef readonly Py_ssize_t size
    cdef object entries
    cdef object loop
    # Whose connections have the places, by host.
    cdef dict nodes
    cdef TimerQueue timers
    # No connection has a place, and none has said since that it has.
    cdef bint is_blocked
    # Those that wait are being served: now, or from the callback in the loop's next turn.
    cdef bint serving
    cdef bint goes_on
    cdef object callback

    cdef int join(self, Waiting entry, double now) except -1
    cdef int leave(self, Waiting entry, double now) except -1
    cdef int serve(self) except -1
    cdef int on_available(self) except -1
    cdef bint has_place(self) except -1
    cdef list waiting(self)
