from async_cassandra._net.connection cimport NodeConnections
from async_cassandra._request.timers cimport FOUND_ALL_FULL, LEFT_QUEUE, TimerQueue, Waiting


cdef class WaitQueue:
    cdef readonly Py_ssize_t size
    cdef object entries
    cdef object loop
    cdef dict nodes
    cdef TimerQueue timers
    cdef object callback
    cdef bint is_blocked
    cdef bint serving
    cdef bint goes_on

    cdef int join(self, Waiting entry, double now) except -1
    cdef int leave(self, Waiting entry, double now) except -1
    cdef int serve(self) except -1
    cdef int on_available(self) except -1
    cdef bint has_place(self) except -1
    cdef list waiting(self)
