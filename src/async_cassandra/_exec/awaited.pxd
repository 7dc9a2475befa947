from async_cassandra._exec.routes cimport Routed
from async_cassandra._net.turn cimport Turn


cdef class Wakeups(Turn):
    cdef list ended
    cdef object callback
    cdef object answered
    cdef object get_loop
    cdef bint is_scheduled
    cdef bint is_one_by_one

    cdef int add(self, Awaited ended) except -1
    cdef int schedule(self) except -1


cdef class Awaited(Routed):
    cdef public bint _asyncio_future_blocking
    cdef Wakeups wakeups
    cdef int outcome
    cdef object error
    cdef object callback
    cdef object context
    cdef list further

    cdef int answer(self) except -1
    cdef int refuse(self, object exception) except -1
    cdef bint give_up(self, object message) except -1
    cdef bint settle(self, int outcome, object error) except -1
    cdef int call_soon(self, object callback, object context) except -1
    cdef object ended_for(self, object callback)
    cdef int wake(self) except -1
