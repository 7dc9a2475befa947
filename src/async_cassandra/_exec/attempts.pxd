cimport cython
from libc.stdint cimport uint64_t

from async_cassandra._exec.awaited cimport Awaited
from async_cassandra._exec.executor cimport Executor
from async_cassandra._exec.prepared cimport Preparing
from async_cassandra._net.connection cimport Connection, NodeConnections


@cython.no_gc
cdef class Sending(Preparing):
    cdef readonly NodeConnections node
    cdef Connection connection
    cdef int stream_id
    cdef uint64_t flush_number
    cdef readonly double started
    cdef bint live
    cdef bint is_speculative
    cdef Sending following

    cdef bint was_sent(self)
    cdef int release(self) except -1


cdef class Attempted(Awaited):
    cdef readonly Executor executor
    cdef readonly double started
    cdef public object speculation
    cdef readonly int attempts
    cdef readonly int speculations
    cdef readonly bint speculation_won
    cdef Sending live
    cdef list ended

    cdef int add_attempt(self, Sending attempt) except -1
    cdef int end_attempt(self, Sending attempt, object error) except -1
    cdef int win(self, Sending answered) except -1
    cdef int drop_attempts(self) except -1
    cdef int live_count(self) noexcept
    cdef bint is_asking(self, NodeConnections node) noexcept
    cdef int learn(self, Sending answered) except -1
