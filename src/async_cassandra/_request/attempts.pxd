cimport cython
from libc.stdint cimport uint64_t

from async_cassandra._net.connection cimport Connection, NodeConnections
from async_cassandra._request.budget cimport Budget
from async_cassandra._request.flights cimport Preparing
from async_cassandra._wire.requests cimport Message
from async_cassandra._wire.responses cimport ServerError


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

    cdef void add(self, Sending attempt) noexcept
    cdef int fail(self, Sending attempt, double now) except -1
    cdef int give_up(self) except -1
    cdef int live_count(self) noexcept
    cdef int add_nodes(self, set nodes) except -1
    cdef int teach(self, object speculation, Sending answered, double now) except -1
    cdef list times(self, double now)


# What a request does after a failure.
cdef enum Verdict:
    AWAIT_OTHERS  # another attempt is live and can still win
    FAIL  # with what failed last
    IGNORE  # as if it had been answered, without a response
    GO_ON  # with the same node, after a pause if there is a delay
    START_OVER  # with the first node of the plan that may be asked, likewise


cdef class Failures:
    # What the request fails with if no other attempt does better; None as long as only connections were lost.
    cdef object last
    # What an observer hears as the reason of the next attempt, and the seconds before that.
    cdef object cause
    cdef double delay
    # What nodes answered that are not to be asked again.
    cdef dict errors
    # The node that is to be asked once more.
    cdef NodeConnections retry_node
    # Whether any was not about a node's load.
    cdef bint has_others
    # Connections that were lost with an attempt on them.
    cdef int losses
    # How often the plan was started over because all nodes refused.
    cdef int rounds

    cdef int on_error(self, object request, Message message, Budget budget, double now, NodeConnections node,
                      ServerError error, bint has_live) except -1
    cdef int on_unreadable(self, object request, NodeConnections node, object error, bint is_executed,
                           bint has_live) except -1
    cdef int on_loss(self, object request, Budget budget, double now, NodeConnections node, object error, bint sent,
                     bint has_live) except -1
    cdef int fail(self, object exception) except -1
