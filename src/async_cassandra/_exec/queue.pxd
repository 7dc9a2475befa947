from async_cassandra._net.connection cimport NodeConnections
from async_cassandra._net.timers cimport Timer, TimerQueue


cdef class QueueEntry(Timer):
    cdef bint is_queued
    cdef double queued_at
    cdef readonly double queued_seconds

    cdef bint take_turn(self, double now) except -1
    cdef bint has_free_choice(self) except -1
    cdef int abandon(self, object error) except -1


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

    cdef int join(self, QueueEntry entry, double now) except -1
    cdef int leave(self, QueueEntry entry, double now) except -1
    cdef int serve(self) except -1
    cdef int on_available(self) except -1
    cdef bint has_place(self) except -1
    cdef int abandon(self, object error) except -1
    cdef list waiting(self)
