cimport cython
from cpython.time cimport monotonic

from async_cassandra._net.connection cimport NodeConnections


cdef class Waiting:
    # In a TimerQueue: when it is due, and its neighbours in the list of its delay.
    cdef double due
    cdef Waiting previous
    cdef Waiting next
    cdef TimerList timer_list
    # In a WaitQueue: since when, and how long in all.
    cdef bint is_queued
    cdef double queued_at
    cdef readonly double queued_seconds

    cpdef int on_due(self) except -1
    cdef int try_to_leave(self, double now) except -1


# What comes of trying to leave the queue.
cdef enum QueueExit:
    LEFT_QUEUE
    FOUND_NO_PLACE
    FOUND_ALL_FULL


cdef class TimerList:
    cdef double delay
    cdef Waiting head
    cdef Waiting tail

    cdef void unlink(self, Waiting timer) noexcept


@cython.final
cdef class TimerQueue:
    cdef object loop
    cdef object clock
    cdef dict lists
    # The list that was asked for last, and for which delay.
    cdef TimerList recent
    cdef double recent_delay
    # The loop's timer, when it fires, and its callback, which is None once the queue is closed.
    cdef object handle
    cdef double armed_for
    cdef object fire_callback
    cdef readonly Py_ssize_t size

    cdef inline double now(self) except? -1.0:
        return monotonic() if self.clock is None else self.clock()

    cdef TimerList list_of(self, double delay)
    cpdef int start(self, Waiting timer, double delay, double now) except -1
    cpdef void stop(self, Waiting timer) noexcept
    cdef int arm(self, double due) except -1
    cdef int fire_list(self, TimerList timers, double now, int budget) except -1


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
