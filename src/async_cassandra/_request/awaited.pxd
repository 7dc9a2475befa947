from async_cassandra._net.turn cimport Turn
from async_cassandra._request.waiting cimport Waiting


cdef class Wakeups(Turn):
    # Those that have ended and whose wake-ups are still to run; the callback runs them in the loop's next turn.
    cdef list ended
    cdef object callback
    cdef bint is_scheduled
    # Whether each has a handle of its own, as in the loop's debug mode.
    cdef bint is_one_by_one
    # A future of asyncio's that is done, for tasks; and what a request's ``get_loop`` is.
    cdef object answered
    cdef object get_loop

    cdef int add(self, Awaited ended) except -1
    cdef int schedule(self) except -1


# How something awaited has ended.
cdef enum Outcome:
    PENDING = 0
    ANSWERED = 1
    FAILED = 2
    CANCELLED = 3


cdef class Awaited(Waiting):
    # asyncio's mark of a future.
    cdef public bint _asyncio_future_blocking
    cdef Wakeups wakeups
    cdef int outcome
    cdef object error
    # The wake-up of the first who awaits it, in its context, and of any others.
    cdef object callback
    cdef object context
    cdef list further

    cdef bint settle(self, int outcome, object error) except -1
    cdef int call_soon(self, object callback, object context) except -1
    cdef object ended_for(self, object callback)
    cdef int wake(self) except -1
