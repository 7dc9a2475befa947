"""One request's life as a state machine, compiled.

Theory. Events come from the loop one at a time: a response, the loss of a connection, the request's
timer, a freed place, cancellation. Each finds the request in one state:

- ``NEW``: built, nothing kept anywhere.
- ``QUEUED``: no connection could take it; it is in the executor's :mod:`queue <.queue>`, bounded by ``max_queued``.
- ``WAITING``: one or more attempts are live; each holds a stream id on its connection, or waits for a PREPARE there.
- ``PAUSED``: no attempt is live; the timer starts the next one (a retry's backoff, which comes before another
  attempt on the same node, and before the plan is started over because every node refused for now).
- ``DONE``: it is answered, has failed or was given up; nothing refers to the request but its caller.

One timer serves the deadline and the next planned event (a further attempt, a retry). A further
attempt starts while the first is live, if the request is idempotent and another node can answer:
after the delay of the speculative policy, or when the attempt's limit is over. The first answer
wins; the others' stream ids are orphaned.

Retries and further attempts are paid from the cluster's :mod:`budget <.budget>`.

A retry policy is asked about every failure; what it wants sent again is, if it surely reached no replica or is
idempotent.
"""

from asyncio import CancelledError

cimport cython
from cpython.object cimport PyTypeObject
from libc.math cimport INFINITY
from libc.stdint cimport uint8_t

from async_cassandra._exec.queue cimport WaitQueue
from async_cassandra._exec.routes cimport Routes
from async_cassandra._wire.requests cimport Execute, Prepare, Statement
from async_cassandra._wire.responses cimport decode_response
from async_cassandra._wire.rows cimport ResultMetadata

from async_cassandra._net.errors import ConnectionLost
from async_cassandra._wire.errors import ProtocolError

cdef extern from "../_wire/pool.h":
    """
    POOL(request_pool)
    POOL(attempt_pool)
    """
    void request_pool_use(PyTypeObject* kind)
    void attempt_pool_use(PyTypeObject* kind)

cpdef enum State:
    NEW = 0
    QUEUED = 1
    WAITING = 2
    PAUSED = 3
    DONE = 4

DEF OP_RESULT = 0x08
DEF OP_PREPARE = 0x09
DEF OP_EXECUTE = 0x0A
DEF UNPREPARED = 0x2500

# The driver's RetryPolicy decisions.
DEF RETRY = 0
DEF RETHROW = 1
DEF IGNORE = 2
DEF RETRY_NEXT_HOST = 3

# A node that forgets a statement this often while it is being prepared is not going to keep it.
DEF MAX_PREPARES = 3
# Seconds until a further attempt is thought of again that the budget did not allow.
DEF HEDGE_PAUSE = 1.0
# Connections that one request may see die under it before it is blamed for that.
DEF MAX_LOSSES = 5
DEF MAX_LIVE_ATTEMPTS = 3
# How often a request starts its plan over because every node was overloaded or still starting.
DEF MAX_ROUNDS = 4
DEF OVERLOADED = 0x1001
DEF IS_BOOTSTRAPPING = 0x1002
# Error codes from here on blame the statement: no other node would answer differently.
DEF FIRST_STATEMENT_ERROR = 0x2000


cdef dict NO_QUERIES = {}
cdef object CANCELLED = CancelledError()


@cython.no_gc
cdef class Attempt(Sending):
    """One sending of a request to one node."""

    cdef int check_next(self) except -1:
        """Compare with the server's one of the queries that a change of the schema may concern."""
        cdef PreparedQuery prepared = <PreparedQuery>self.unchecked.pop()
        return self.request.executor.flights.join(self, self.connection, prepared)

    cdef int resend(self) except -1:
        """Send on its connection, which a statement was perhaps prepared on just now."""
        cdef Request request = self.request
        if request.prepared is not None:
            self.take_shape()
        elif request.names_keyspace:
            request.name_keyspace(self.connection)
        try:
            self.stream_id = self.connection.send(self, request.message)
        except ValueError as error:
            raise request.executor.faults.unsendable(request, error) from error
        self.flush_number = self.connection.flushes
        return 0

    cdef int take_shape(self) except -1:
        """Ask for rows of the shape that the statement has now: the answer without metadata has just that."""
        cdef ResultShape shape = self.request.prepared.shape
        cdef Execute message = <Execute>self.request.message
        self.shape = shape
        message.result_metadata_id = shape.metadata_id
        message.skip_metadata = shape.metadata_id is not None and len(shape.columns) > 0
        return 0

    cdef int on_response(self, Connection connection, uint8_t flags, uint8_t opcode,
                         const unsigned char* body, Py_ssize_t size) except -1:
        cdef Request request = self.request
        cdef Response response
        cdef RowPlan plan = None
        self.live = False
        self.stream_id = -1
        if request.state == DONE:
            return 0
        try:
            if self.shape is not None and len(self.shape.columns):
                plan = self.shape.plan(request.executor.plans, request.as_tuples)
            response = decode_response(connection.version, flags, opcode, body, size, plan, request.executor.plans,
                                       request.as_tuples, connection.reader.whole, not request.is_stream)
        except Exception as error:  # noqa: BLE001  the frame was whole, so it is this request's failure alone
            return request.on_unreadable(self, error, True)
        if opcode == OP_RESULT:
            return request.on_result(self, response)
        if response.error is None:
            error = ProtocolError(f"opcode 0x{opcode:02x} does not answer a request")
            return request.on_unreadable(self, error, True)
        return request.on_server_error(self, response)

    cdef int on_lost(self, Connection connection, object error) except -1:
        cdef bint sent = self.was_sent()
        self.live = False
        self.stream_id = -1
        if self.request.state == DONE:
            return 0
        return self.request.on_attempt_lost(self, error, sent)

    cdef int on_prepared(self, object change) except -1:
        if not self.live or self.request.state == DONE:
            return 0
        if change is not None:
            self.live = False
            return self.request.fail(change)
        try:
            return self.check_next() if self.unchecked else self.resend()
        except ConnectionLost as error:
            return self.on_prepare_lost(error)

    cdef int on_prepare_refused(self, Response response) except -1:
        if self.live and self.request.state != DONE:
            self.live = False
            self.request.on_server_error(self, response)
        return 0

    cdef int on_prepare_unreadable(self, object error) except -1:
        if self.live and self.request.state != DONE:
            self.live = False
            self.request.on_unreadable(self, error, False)
        return 0

    cdef int on_prepare_lost(self, object error) except -1:
        if self.live and self.request.state != DONE:
            self.live = False
            self.request.on_attempt_lost(self, error, False)
        return 0


cdef Request new_request(Executor executor, Message message, statement, PreparedQuery prepared):
    cdef Request request = Request.__new__(Request)
    request.fill(executor, message, statement, prepared)
    return request


cdef class Request(Attempted):
    """A request from admission to its end; see the module for its states.

    :param statement: what the user gave, for the policies
    :param prepared: the prepared query behind an EXECUTE, else ``None``
    :ivar spent: seconds of the timeout that went by before the request could start, for preparing its string
    """

    def __init__(self, Executor executor not None, Message message not None, statement=None,
                 PreparedQuery prepared=None):
        if self.executor is not None:
            raise TypeError("a request is made once")
        self.fill(executor, message, statement, prepared)

    cdef int fill(self, Executor executor, Message message, statement, PreparedQuery prepared) except -1:
        self.executor = executor
        self.message = message
        self.statement = statement
        self.prepared = prepared
        self.timeout = INFINITY
        self.wakeups = executor.wakeups
        self.batched = NO_QUERIES
        return 0

    def __repr__(self):
        return (f"<Request {State(self.state).name} attempts={self.attempts} retries={self.retries} "
                f"timeout={self.timeout:g}>")

    def start(self):
        """Admit the request before anyone awaits it; who does finds its answer in ``response``."""
        self.begin()

    def __await__(self):
        """Admit the request if nobody has, and wait for its end; see :class:`.awaited.Awaited`."""
        if self.state == NEW:
            self.begin()
        return self

    def cancel(self, msg=None):
        """Stop waiting: frees the place, the timer and every attempt; the stream ids stay taken until answered.

        :param msg: for the ``CancelledError`` of those who await it
        :return: whether it had not ended
        """
        if self.executor is None:
            return self.give_up(msg)
        if self.state != DONE or self.keeps_place:
            self.keeps_place = False
            self.finish(CANCELLED)
        return self.give_up(msg)

    def let_go(self):
        """Give it up if it has not ended; else drop the errors, once its own was raised.

        An error's traceback has the frames of those who awaited it, and they have the request: as a cycle, each
        failure would wait for the garbage collector, and thousands at once for a long collection.
        """
        if not self.cancel():
            self.error = self.failure = self.errors = None

    cdef int begin(self) except -1:
        cdef Executor executor = self.executor
        if not self.holds_place:
            if executor is None:
                raise TypeError("a request has an executor")
            if executor.closed:
                raise executor.faults.closed(self)
            executor.running += 1
            self.holds_place = True
        if self.names_keyspace:
            self.rely()
        self.started = executor.timers.now()
        self.deadline = self.started + self.timeout - self.spent
        self.next_event = INFINITY
        executor.requests += 1
        executor.budget.requests += 1
        if not self.pages:
            self.began = self.started
            if executor.observer is not None:
                executor.observer.on_started(self)
        try:
            if executor.queue.size and self.pinned is None:
                # Those that have waited longer go first.
                self.no_connection()
                executor.queue.serve()
            else:
                self.make_plan()
                self.send_next()
        except BaseException as error:
            self.finish(error)
            raise
        return 0

    cdef int end_with(self, Response response) except -1:
        """End it without having sent it."""
        self.response = response
        self.state = DONE
        return self.answer()

    # Where to send

    cdef int make_plan(self) except -1:
        """Start the plan over."""
        if self.pinned is not None:
            return self.follow(self.pinned)
        routes = <Routes>self.executor.routes.get(self.policy)
        if routes is None:
            return self.follow_plan(self.executor.ask_policy(self))
        return self.follow_routes(routes)

    cdef bint leaves_out(self, NodeConnections node) except -1:
        return (self.errors is not None and node.endpoint in self.errors) or self.is_asking(node)

    cdef int send_next(self) except -1:
        """Start an attempt on the next node that can take it, or wait for one."""
        cdef Connection connection = None
        if self.retry_node is not None:
            connection = self.retry_node.pick()
            self.retry_node = None
        if connection is None:
            connection = self.next_connection()
        if connection is None:
            return self.no_connection()
        return self.send_to(connection, self.executor.timers.now() if self.sent_once else self.started)

    cdef int send_to(self, Connection connection, double now) except -1:
        cdef Attempt attempt = Attempt.__new__(Attempt)
        attempt.request = self
        attempt.node = connection.node
        attempt.connection = connection
        attempt.stream_id = -1
        if self.prepared is None or not self.prepared.is_trusted:
            attempt.unchecked = self.doubted()
        if attempt.unchecked is None:
            attempt.resend()
        self.add_attempt(attempt)
        self.state = WAITING
        self.sent_once = True
        attempt.started = now
        self.next_event = INFINITY
        if self.idempotent and self.pinned is None:
            self.plan_hedge(attempt, now)
        self.arm(now)
        return 0 if attempt.unchecked is None else attempt.check_next()

    cdef int plan_hedge(self, Attempt attempt, double now) except -1:
        """Decide when another node is asked too, while this attempt is live."""
        cdef double delay
        if self.speculation is not None:
            delay = self.speculation.next_execution(attempt.node.host)
            if delay >= 0:
                self.next_event = now + delay
                return 0
        if len(self.executor.nodes) > 1 and self.live_count() < MAX_LIVE_ATTEMPTS and self.timeout != INFINITY:
            self.next_event = now + self.timeout * self.executor.attempt_fraction
        return 0

    cdef int go_on(self, bint from_the_start) except -1:
        """Start another attempt from within an event; what a policy raises there is the request's failure."""
        try:
            if from_the_start:
                self.make_plan()
            return self.send_next()
        except Exception as error:  # noqa: BLE001  an application's policy may raise anything
            return self.fail(error)

    cdef int no_connection(self) except -1:
        """No node of the plan can take the request now."""
        if self.live is not None:
            self.state = WAITING
            self.next_event = INFINITY
            return self.arm(self.executor.timers.now())
        if self.failure is not None:
            if self.failed_otherwise or self.rounds == MAX_ROUNDS:
                return self.fail(self.failure)
            self.rounds += 1
            self.errors = None
            return self.pause(self.executor.faults.backoff(self.rounds - 1))
        if self.executor.closed:
            return self.fail(self.executor.faults.closed(self))
        self.errors = None
        return self.wait_in_queue()

    # The queue

    cdef int wait_in_queue(self) except -1:
        cdef WaitQueue queue = self.executor.queue
        if self.is_queued:
            return 0
        if queue.size >= self.executor.max_queued:
            return self.fail(self.executor.faults.overloaded(self, queue.size))
        cdef double now = self.started if self.state == NEW else self.executor.timers.now()
        queue.join(self, now)
        self.state = QUEUED
        if self.executor.observer is not None:
            self.executor.observer.on_queued(self)
        self.next_event = INFINITY
        return self.arm(now)

    cdef bint has_free_choice(self) except -1:
        return self.pinned is None and self.policy in self.executor.routes

    cdef bint take_turn(self, double now) except -1:
        cdef Connection connection
        try:
            self.make_plan()
            connection = self.next_connection()
            if connection is None:
                return False
            self.leave_queue(now)
            self.send_to(connection, now)
        except Exception as error:  # noqa: BLE001  it is the request's failure, not the one's who freed the place
            self.fail(error)
        return True

    cdef int leave_queue(self, double now) except -1:
        self.state = NEW
        return self.executor.queue.leave(self, now)

    # Time

    cdef int arm(self, double now) except -1:
        cdef double due = self.next_event if self.next_event < self.deadline else self.deadline
        cdef double delay
        if due == self.armed_for and self.timer_list is not None:
            return 0
        self.armed_for = due
        if due != INFINITY:
            # The first deadline's delay is the timeout itself, which rounding errors would make many delays of.
            delay = due - now
            if now == self.started and due == self.deadline:
                delay = self.timeout
            return self.executor.timers.start(self, delay, now)
        self.executor.timers.stop(self)
        return 0

    cdef int on_due(self) except -1:
        cdef double now = self.executor.timers.now()
        if self.state == DONE:
            return 0
        if now >= self.deadline:
            self.learn(None)
            return self.fail(self.executor.faults.timeout(self))
        if now < self.next_event:
            return self.arm(now)
        self.next_event = INFINITY
        if self.state == WAITING:
            if not self.executor.budget.take_hedge(now):
                self.next_event = now + HEDGE_PAUSE
                return self.arm(now)
            self.executor.hedges += 1
        return self.go_on(self.state == PAUSED)

    # What comes back

    cdef int on_result(self, Attempt attempt, Response response) except -1:
        self.response = response
        self.coordinator = attempt.node
        cdef ResultMetadata metadata = response.metadata
        if response.keyspace is not None:
            return self.on_strange_keyspace(attempt, response.keyspace)
        self.win(attempt)
        if self.prepared is not None and metadata is not None and metadata.new_metadata_id is not None:
            self.prepared.reshape(metadata)
        self.keeps_place = self.wants_all and metadata is not None and metadata.paging_state is not None
        if response.page is not None:
            self.pages += 1
            self.row_count += response.page.row_count
        self.finish(None)
        return self.answer()

    cdef int on_server_error(self, Attempt attempt, Response response) except -1:
        cdef ServerError error = response.error
        cdef PreparedQuery prepared
        if error.code == UNPREPARED and attempt.prepares < MAX_PREPARES + len(self.batched):
            prepared = self.query_of(error.fields["query_id"])
            if prepared is not None:
                return self.on_unprepared(attempt, prepared)
        self.end_attempt(attempt, error)
        self.response = response
        if error.code != OVERLOADED and error.code != IS_BOOTSTRAPPING:
            self.failed_otherwise = True
        cdef int decision
        exception = self.executor.faults.server_fault(self, attempt.node, error)
        try:
            decision, consistency, delay = self.executor.faults.decide(self, attempt.node, error, exception)
        except Exception as failure:  # noqa: BLE001  an application's policy may raise anything: its request fails
            return self.fail(failure)
        return self.apply(attempt, exception, decision, consistency, delay, error.code >= FIRST_STATEMENT_ERROR)

    cdef PreparedQuery query_of(self, bytes prepared_id):
        """The query of this request that has ``prepared_id``; ``None`` if it sent no such id."""
        if self.prepared is not None and self.prepared.prepared_id == prepared_id:
            return self.prepared
        return self.batched.get(prepared_id)

    cdef int on_unprepared(self, Attempt attempt, PreparedQuery prepared) except -1:
        """Prepare on the attempt's connection, then send it again there: the server ran nothing."""
        attempt.prepares += 1
        attempt.live = True
        return self.executor.flights.join(attempt, attempt.connection, prepared)

    cdef list doubted(self):
        """Its queries that are to be compared with the server's before it is sent; ``None`` for none.

        :raises ~async_cassandra.exceptions.StatementChangedError: if one no longer fits
        """
        cdef PreparedQuery prepared = self.prepared
        cdef list found = None
        if prepared is not None:
            if prepared.is_trusted:
                return None
            prepared.check()
            return [prepared]
        for prepared in self.batched.values():
            if not prepared.is_trusted:
                prepared.check()
                found = [prepared] if found is None else [*found, prepared]
        return found

    # Its keyspace

    cdef int on_strange_keyspace(self, Attempt attempt, str keyspace) except -1:
        """Fail, and have the connection replaced: who knows what unqualified names mean there from now on."""
        exception = self.executor.faults.strange_keyspace(self, attempt.node, keyspace)
        self.end_attempt(attempt, exception)
        attempt.connection.distrust()
        return self.fail(exception)

    cdef int name_keyspace(self, Connection connection) except -1:
        """Have the message name the keyspace that its unqualified names mean, where that is not the connection's.

        Names that were given before the session had a keyspace mean none: the server took them, so they are qualified.

        :raises ~async_cassandra.exceptions.ConfigurationError: if the protocol cannot say it
        """
        cdef str keyspace = None
        if self.keyspace != connection.keyspace and self.keyspace is not None:
            if connection.version < 5:
                raise self.executor.faults.other_keyspace(self, connection.keyspace)
            keyspace = self.keyspace
        if self.message.opcode == OP_PREPARE:
            (<Prepare>self.message).keyspace = keyspace
        else:
            (<Statement>self.message).keyspace = keyspace
        return 0

    cdef int rely(self) except -1:
        """Be counted where only a connection's own keyspace can say what the names mean."""
        if self.keyspace is None or not self.executor.can_name_keyspaces:
            self.relies_on_connection = True
            self.executor.relying += 1
        return 0

    cdef int rely_no_more(self) except -1:
        self.relies_on_connection = False
        return self.executor.let_go_of_keyspace()

    cdef int on_unreadable(self, Attempt attempt, object error, bint is_executed) except -1:
        """Take note of an answer that came whole and cannot be read; asking again could bring the same."""
        self.end_attempt(attempt, error)
        self.failed_otherwise = True
        exception = self.executor.faults.unreadable(self, attempt.node, error, is_executed)
        return self.apply(attempt, exception, RETHROW, None, 0.0)

    cdef int on_attempt_lost(self, Attempt attempt, object error, bint sent) except -1:
        cdef object exception
        cdef int decision
        cdef double delay = 0
        self.end_attempt(attempt, error)
        if sent:
            self.losses += 1
            exception = self.executor.faults.lost(self, attempt.node, error)
            try:
                decision, _, delay = self.executor.faults.decide_lost(self, exception)
            except Exception as failure:  # noqa: BLE001  as above
                return self.fail(failure)
            if decision == RETHROW or decision == IGNORE:
                return self.apply(attempt, exception, decision, None, 0.0)
            if self.losses == MAX_LOSSES:
                return self.apply(attempt, exception, RETHROW, None, 0.0)
            # The first loss costs too, but is always made good: nobody works on the lost attempt any more.
            if self.live is None and not self.take_retry() and self.losses > 1:
                return self.fail(self.executor.faults.over_budget(exception))
        # The node is asked again once it has a connection, so the loss does not strike it from the plan.
        if self.live is not None:
            return 0
        self.count_retry(error, delay)
        self.errors = None
        return self.go_on(True) if delay <= 0 else self.pause(delay)

    cdef int apply(self, Attempt attempt, object exception, int decision, object consistency, double delay,
                   bint is_statement_error=False) except -1:
        """Carry out a retry decision for an attempt that failed."""
        if self.live is not None and not is_statement_error and decision != IGNORE:
            # Another attempt can still win.
            self.failure = exception
            return 0
        if decision == IGNORE:
            self.response = None
            self.coordinator = attempt.node
            self.finish(None)
            return self.answer()
        if decision == RETHROW:
            return self.fail(exception)
        if not self.take_retry():
            return self.fail(self.executor.faults.over_budget(exception))
        self.failure = exception
        self.count_retry(exception, delay)
        if consistency is not None:
            (<Statement>self.message).consistency = consistency
        if decision == RETRY:
            self.retry_node = attempt.node
        else:
            if self.errors is None:
                self.errors = {}
            self.errors[attempt.node.endpoint] = exception
        if delay <= 0:
            return self.go_on(decision == RETRY_NEXT_HOST)
        return self.pause(delay)

    cdef bint take_retry(self) noexcept:
        """Whether the cluster's budget has a retry left."""
        return self.executor.budget.take_retry(self.executor.timers.now())

    cdef int count_retry(self, object error, double delay) except -1:
        self.retries += 1
        self.executor.retries += 1
        if self.executor.observer is not None:
            self.executor.observer.on_retried(self, error, delay)
        return 0

    cdef int pause(self, double delay) except -1:
        """Send again after ``delay`` seconds, or fail now if the deadline comes before."""
        cdef double now = self.executor.timers.now()
        if now + delay >= self.deadline and self.failure is not None:
            return self.fail(self.failure)
        self.state = PAUSED
        self.next_event = now + delay
        return self.arm(now)

    # The end

    cdef int fail(self, object exception) except -1:
        self.finish(exception)
        return self.refuse(exception)

    cdef int finish(self, object error) except -1:
        if self.is_queued:
            self.leave_queue(self.executor.timers.now())
        self.state = DONE
        if self.relies_on_connection:
            self.rely_no_more()
        self.executor.timers.stop(self)
        if self.executor.observer is not None and not self.keeps_place:
            self.executor.observer.on_finished(self, error, self.executor.timers.now() - self.began)
        self.drop_attempts()
        return 0 if self.keeps_place else self.give_up_place()

    cdef int give_up_place(self) except -1:
        cdef bint held = self.holds_place
        self.holds_place = False
        return self.executor.free_place() if held else 0

    cdef int abandon(self, object error) except -1:
        if self.state == QUEUED or self.state == PAUSED:
            self.fail(error)
        return 0

    cdef int take_place(self, Request before) except -1:
        """Go on in the place that ``before`` kept for its next page, even while the executor closes."""
        self.holds_place = before.keeps_place
        before.keeps_place = False
        self.wants_all = before.wants_all
        if self.holds_place:
            self.began, self.pages, self.row_count = before.began, before.pages, before.row_count
            if self.executor.observer is not None:
                self.executor.observer.on_page(self, before)
        return 0


attempt_pool_use(<PyTypeObject*>Attempt)
request_pool_use(<PyTypeObject*>Request)
