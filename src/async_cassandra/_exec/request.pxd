cimport cython

from async_cassandra._exec.attempts cimport Attempted, Sending
from async_cassandra._exec.executor cimport Executor
from async_cassandra._exec.prepared cimport PreparedQuery, ResultShape
from async_cassandra._net.connection cimport Connection, NodeConnections
from async_cassandra._wire.requests cimport Message
from async_cassandra._wire.responses cimport Response, ServerError
from async_cassandra._wire.rows cimport RowPlan


@cython.no_gc
cdef class Attempt(Sending):
    cdef Request request
    cdef ResultShape shape
    cdef list unchecked
    cdef int prepares

    cdef int check_next(self) except -1
    cdef int resend(self) except -1
    cdef int take_shape(self) except -1


cdef class Request(Attempted):
    cdef readonly Message message
    cdef public object statement
    cdef readonly PreparedQuery prepared
    cdef public str keyspace
    cdef public object retry_policy
    cdef public double timeout
    cdef public double spent
    cdef public tuple pinned
    cdef public object policy
    cdef public object speculative_policy
    cdef readonly Response response
    cdef readonly NodeConnections coordinator
    cdef public dict batched
    cdef public object row_factory
    cdef readonly dict errors
    cdef readonly double began
    cdef readonly Py_ssize_t row_count
    cdef double deadline
    cdef double next_event
    cdef double armed_for
    cdef NodeConnections retry_node
    cdef object failure
    cdef readonly int state
    cdef readonly int retries
    cdef readonly int pages
    cdef int losses
    cdef int rounds
    cdef public bint idempotent
    cdef public bint as_tuples
    cdef public bint wants_all
    cdef public bint is_stream
    cdef bint failed_otherwise
    cdef bint sent_once
    cdef public bint names_keyspace
    cdef bint relies_on_connection
    cdef bint holds_place
    cdef bint keeps_place

    cdef int fill(self, Executor executor, Message message, statement, PreparedQuery prepared) except -1
    cdef int begin(self) except -1
    cdef int end_with(self, Response response) except -1
    cdef int make_plan(self) except -1
    cdef int send_next(self) except -1
    cdef int send_to(self, Connection connection, double now) except -1
    cdef int go_on(self, bint from_the_start) except -1
    cdef int no_connection(self) except -1
    cdef int wait_in_queue(self) except -1
    cdef int leave_queue(self, double now) except -1
    cdef int arm(self, double now) except -1
    cdef int on_result(self, Attempt attempt, Response response) except -1
    cdef int on_server_error(self, Attempt attempt, Response response) except -1
    cdef PreparedQuery query_of(self, bytes prepared_id)
    cdef int on_unprepared(self, Attempt attempt, PreparedQuery prepared) except -1
    cdef int on_unreadable(self, Attempt attempt, object error, bint is_executed) except -1
    cdef int on_attempt_lost(self, Attempt attempt, object error, bint sent) except -1
    cdef int apply(self, Attempt attempt, object exception, int decision, object consistency, double delay,
                   bint is_statement_error=*) except -1
    cdef bint take_retry(self) noexcept
    cdef int pause(self, double delay) except -1
    cdef int plan_hedge(self, Attempt attempt, double now) except -1
    cdef list doubted(self)
    cdef int name_keyspace(self, Connection connection) except -1
    cdef int on_strange_keyspace(self, Attempt attempt, str keyspace) except -1
    cdef int rely(self) except -1
    cdef int rely_no_more(self) except -1
    cdef int count_retry(self, object error, double delay) except -1
    cdef int finish(self, object error) except -1
    cdef int give_up_place(self) except -1
    cdef int take_place(self, Request before) except -1
    cdef int fail(self, object exception) except -1


cdef Request new_request(Executor executor, Message message, statement, PreparedQuery prepared)
