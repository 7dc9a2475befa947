cimport cython

from async_cassandra._net.connection cimport Connection, NodeConnections
from async_cassandra._request.attempts cimport Attempts, Failures, Sending
from async_cassandra._request.awaited cimport Awaited
from async_cassandra._request.call cimport Call
from async_cassandra._request.executor cimport Executor
from async_cassandra._request.plan cimport Plan
from async_cassandra._request.prepared cimport PreparedQuery, ResultShape
from async_cassandra._wire.requests cimport Message
from async_cassandra._wire.responses cimport Response
from async_cassandra._wire.rows cimport RowPlan


@cython.no_gc
cdef class Attempt(Sending):
    cdef Request request
    # Of the rows that it asked for.
    cdef ResultShape shape
    # Queries that are to be compared with the server's before it is sent.
    cdef list unchecked
    # How often the node had forgotten a statement.
    cdef int prepares

    cdef int check_next(self) except -1
    cdef int send(self) except -1
    cdef int take_shape(self) except -1


cdef class Request(Awaited):
    cdef readonly Executor executor
    cdef readonly Call call
    cdef readonly Message message
    cdef readonly int state
    # Where it may go; None before it has been asked for.
    cdef Plan plan
    cdef Attempts sent
    # The speculative policy's plan, None without one; and whether a speculative attempt brought the result.
    cdef object speculation
    cdef readonly bint speculation_won
    # None as long as nothing has gone wrong.
    cdef Failures failures
    cdef readonly int retries
    # What it got, from whom.
    cdef readonly Response response
    cdef readonly NodeConnections coordinator
    # Seconds of the timeout that went by before it could start; the rest by the timers' clock.
    cdef public double spent
    cdef readonly double started
    cdef double deadline
    # When another attempt or the next one is due; infinite for never.
    cdef double next_event
    cdef double armed_for
    # Its part in a call: when that began, its pages and rows so far.
    cdef readonly double began
    cdef readonly int pages
    cdef readonly Py_ssize_t row_count
    # Whether it counts among those that run, and whether it leaves that to the next page.
    cdef bint holds_place
    cdef bint keeps_place
    # Whether it is counted among those whose names mean what their connection's keyspace is.
    cdef bint relies_on_connection

    cdef int fill(self, Executor executor, Message message, Call call) except -1
    cdef int begin(self) except -1
    cdef int end(self, int outcome, object error) except -1
    cdef int end_with(self, Response response) except -1
    cdef int release_place(self) except -1
    cdef int take_place(self, Request before) except -1
    cdef int make_plan(self) except -1
    cdef Connection next_connection(self)
    cdef set left_out(self)
    cdef int send_next(self) except -1
    cdef int send_to(self, Connection connection, double now) except -1
    cdef list doubted(self)
    cdef int plan_hedge(self, Attempt attempt, double now) except -1
    cdef int go_on(self, bint from_the_start) except -1
    cdef int no_connection(self) except -1
    cdef int wait_in_queue(self) except -1
    cdef int leave_queue(self, double now) except -1
    cdef int arm(self, double now) except -1
    cdef int pause(self, double delay) except -1
    cdef int add_attempt(self, Attempt attempt) except -1
    cdef Failures fail_attempt(self, Attempt attempt, object error)
    cdef int follow(self, Attempt attempt, int verdict) except -1
    cdef int on_result(self, Attempt attempt, Response response) except -1
    cdef int on_strange_keyspace(self, Attempt attempt, str keyspace) except -1
    cdef int on_server_error(self, Attempt attempt, Response response) except -1
    cdef PreparedQuery query_of(self, bytes prepared_id)
    cdef int on_unreadable(self, Attempt attempt, object error, bint is_executed) except -1
    cdef int on_attempt_lost(self, Attempt attempt, object error, bint sent) except -1


cdef Request new_request(Executor executor, Message message, Call call)
