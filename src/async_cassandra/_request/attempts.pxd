cimport cython
from libc.stdint cimport uint64_t

from async_cassandra._net.connection cimport Connection, NodeConnections
from async_cassandra._request.flights cimport Preparing


@cython.no_gc
cdef class Sending(Preparing):
    cdef NodeConnections node
    cdef Connection connection
    # By the timers' clock.
    cdef double started
    # -1 while none is taken; and how often the connection had written when it was.
    cdef int stream_id
    cdef uint64_t flush_number
    # Whether its outcome still counts.
    cdef bint live
    cdef bint is_speculative
    # The live one that was sent after it.
    cdef Sending following

    cdef bint was_sent(self)
    cdef int give_up(self) except -1


cdef class Attempts:
    # The first of the live ones, which are a chain in the order of sending.
    cdef Sending live
    # Those that failed: (endpoint, start, end).
    cdef list failed
    cdef int count
    # Those that were started while another one was live.
    cdef int speculations

    cdef bint add(self, Sending attempt) noexcept
    cdef int fail(self, Sending attempt, double now) except -1
    cdef int give_up(self) except -1
    cdef int live_count(self) noexcept
    cdef int add_nodes(self, set nodes) except -1
    cdef int teach(self, object speculation, Sending answered, double now) except -1
    cdef list times(self, double now)
