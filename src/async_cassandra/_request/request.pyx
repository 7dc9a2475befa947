"""One request's life as a state machine, compiled.

Theory. Events come from the loop one at a time: a response, the loss of a connection, the request's
timer, a freed place, cancellation. Each finds the request in one state:

- ``NEW``: built, nothing kept anywhere.
- ``QUEUED``: no connection could take it; it is in the executor's :mod:`queue <.waiting>`, bounded by ``max_queued``.
- ``WAITING``: one or more attempts are live; each holds a stream id on its connection, or waits for a PREPARE there.
- ``PAUSED``: no attempt is live; the timer starts the next one (a retry's backoff, which comes before another
  attempt on the same node, and before the plan is started over because every node refused for now).
- ``DONE``: nothing refers to the request but its caller.

A request has parts: the :mod:`call <.call>` that it is a page of, a :mod:`plan <.plan>` of the nodes to ask, the
attempts that it made, and its failures once there are any. It ends in one place, :meth:`Request.end`, with one of three
outcomes: answered, failed, cancelled. That gives up what it holds: its attempts, whose stream ids are orphaned until
the responses come, its timer, and its place in the queue and among those that run. Who awaits it is woken then.

One timer serves the deadline and the next planned event (a further attempt, a retry). A further
attempt starts while the first is live, if the request is idempotent and another node can answer:
after the delay of the speculative policy, or when the attempt's limit is over. The first answer
wins. Retries and further attempts are paid from the cluster's :mod:`budget <.budget>`.

A retry policy is asked about every failure; what it wants sent again is, if it surely reached no replica or is
idempotent.
"""

from asyncio import CancelledError

cimport cython
from cpython.object cimport PyTypeObject
from libc.math cimport INFINITY
from libc.stdint cimport uint8_t

from async_cassandra._request.awaited cimport ANSWERED, CANCELLED, FAILED, PENDING
from async_cassandra._request.attempts cimport AWAIT_OTHERS, FAIL, IGNORE, START_OVER
from async_cassandra._request.flights cimport CHANGED, LOST, PREPARED, REFUSED, UNREADABLE
from async_cassandra._request.plan cimport PolicyPlan, Routes, new_plan
from async_cassandra._request.waiting cimport FOUND_ALL_FULL, FOUND_NO_PLACE, LEFT_QUEUE, WaitQueue
from async_cassandra._wire.protocol cimport ErrorCode, Opcode
from async_cassandra._wire.requests cimport Execute, Query
from async_cassandra._wire.responses cimport decode_response
from async_cassandra._wire.rows cimport ResultMetadata

from async_cassandra._net.errors import ConnectionLost
from async_cassandra._request import faults
from async_cassandra._wire.errors import ProtocolError

cdef extern from "pool.h":
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


# A node that forgets a statement this often while it is being prepared is not going to keep it.
DEF MAX_PREPARES = 3
# Seconds until a further attempt is thought of again that the budget did not allow.
DEF HEDGE_PAUSE = 1.0
DEF MAX_LIVE_ATTEMPTS = 3
# How often a request starts its plan over because every node was overloaded or still starting.
DEF MAX_ROUNDS = 4


@cython.no_gc
cdef class Attempt(Sending):
    """One sending of a request to one node.

    It and its request refer to each other as long as it is live. Until then the connection keeps it as well, which the
    garbage collector does not see: it could free neither.
    """

    cdef int check_next(self) except -1:
        """Compare with the server's one of the queries that a schema change may affect."""
        cdef PreparedQuery prepared = <PreparedQuery>self.unchecked.pop()
        return self.request.executor.flights.join(self, self.connection, prepared)

    cdef int send(self) except -1:
        """Send it, on a connection where its statement was perhaps prepared just now."""
        cdef Request request = self.request
        cdef Call call = request.call
        if call.prepared is not None:
            self.take_shape()
        elif call.names_keyspace:
            call.name_keyspace(request.message, self.connection)
        try:
            self.stream_id = self.connection.send(self, request.message)
        except ValueError as error:
            raise faults.unsendable(request, error) from error
        self.flush_number = self.connection.flushes
        return 0

    cdef int take_shape(self) except -1:
        """Ask for rows of the shape that the statement has now: the answer without metadata has just that."""
        cdef ResultShape shape = self.request.call.prepared.shape
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
                plan = self.shape.plan(request.executor.plans, request.call.as_tuples)
            response = decode_response(
                connection.version, flags, opcode, body, size, plan, request.executor.plans, request.call.as_tuples,
                connection.reader.whole, not request.call.options.is_stream)
        except Exception as error:  # noqa: BLE001  the frame was whole, so it is this request's failure alone
            return request.on_unreadable(self, error, True)
        if opcode == Opcode.RESULT:
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

    cdef int on_prepare_ended(self, int outcome, object reason) except -1:
        cdef Request request = self.request
        if not self.live or request.state == DONE:
            return 0
        if outcome == PREPARED:
            try:
                return self.check_next() if self.unchecked else self.send()
            except ConnectionLost as error:
                outcome, reason = LOST, error
        self.live = False
        if outcome == CHANGED:
            return request.end(FAILED, reason)
        if outcome == REFUSED:
            return request.on_server_error(self, <Response>reason)
        if outcome == UNREADABLE:
            return request.on_unreadable(self, reason, False)
        return request.on_attempt_lost(self, reason, False)


cdef Request new_request(Executor executor, Message message, Call call):
    cdef Request request = Request.__new__(Request)
    request.fill(executor, message, call)
    return request


cdef class Request(Awaited):
    """A request from admission to its end; see the module for its states and parts."""

    def __init__(self, Executor executor not None, Message message not None, Call call not None):
        if self.executor is not None:
            raise TypeError("a request is made once")
        self.fill(executor, message, call)

    cdef int fill(self, Executor executor, Message message, Call call) except -1:
        self.executor = executor
        self.message = message
        self.call = call
        self.sent = Attempts.__new__(Attempts)
        self.wakeups = executor.wakeups
        if call.speculative_policy is not None:
            self.speculation = call.speculative_policy.new_plan(call.routing_keyspace, call.statement)
        return 0

    @cython.nonecheck(True)
    def __repr__(self):
        return (f"<Request {State(self.state).name} attempts={self.sent.count} retries={self.retries} "
                f"timeout={self.call.timeout:g}>")

    @property
    @cython.nonecheck(True)
    def statement(self):
        """What the user gave."""
        return self.call.statement

    @property
    @cython.nonecheck(True)
    def timeout(self):
        """Seconds for each page, infinite for no limit."""
        return self.call.timeout

    @property
    @cython.nonecheck(True)
    def idempotent(self):
        """Whether it may be applied twice."""
        return self.call.idempotent

    @cython.nonecheck(True)
    def elapsed(self):
        """Seconds since it was admitted."""
        return self.executor.timers.now() - self.started

    # Begin and end

    def start(self):
        """Admit the request before anyone awaits it; who does finds its answer in ``response``."""
        self.begin()

    def __await__(self):
        """Admit the request if nobody has, and wait for its end; see :class:`.awaited.Awaited`."""
        if self.state == NEW:
            self.begin()
        return self

    cdef int begin(self) except -1:
        cdef Executor executor = self.executor
        if not self.holds_place:
            if executor is None:
                raise TypeError("a request has an executor")
            if executor.closed:
                raise faults.closed(self)
            executor.running += 1
            self.holds_place = True
        if self.call.names_keyspace and (self.call.keyspace is None or not executor.can_name_keyspaces):
            self.relies_on_connection = True
            executor.relying += 1
        self.started = executor.timers.now()
        self.deadline = self.started + self.call.timeout - self.spent
        self.next_event = INFINITY
        executor.requests += 1
        executor.budget.requests += 1
        if not self.pages:
            self.began = self.started
            if executor.observer is not None:
                executor.observer.on_started(self)
        try:
            if executor.queue.size and self.call.options.pinned is None:
                # Those that have waited longer go first.
                self.no_connection()
                executor.queue.serve()
            else:
                self.make_plan()
                self.send_next()
        except BaseException as error:
            self.end(FAILED, error)
            raise
        return 0

    def cancel(self, msg=None):
        """Stop waiting: frees the place, the timer and every attempt; the stream ids stay taken until answered.

        :param msg: for the ``CancelledError`` of those who await it
        :return: whether it had not ended
        """
        cdef bint is_early = self.outcome == PENDING
        if not is_early and not self.keeps_place:
            return False
        error = CancelledError() if msg is None else CancelledError(msg)
        if self.state == DONE and not self.keeps_place:
            # An observer does it while the request ends.
            self.settle(CANCELLED, error)
        else:
            self.keeps_place = False
            self.end(CANCELLED, error)
        return is_early

    def let_go(self):
        """Cancel it if it has not ended; else drop the errors, once its own was raised.

        An error's traceback has the frames of those who awaited it, and they have the request: as a cycle, each
        failure would wait for the garbage collector, and thousands at once for a long collection.
        """
        if not self.cancel():
            self.error = None
            self.failures = None

    cdef int end(self, int outcome, object error) except -1:
        """End it: give up what it holds, and wake who awaits it.

        :param outcome: ``ANSWERED``, ``FAILED`` or ``CANCELLED``
        """
        cdef Executor executor = self.executor
        if executor is not None:
            if self.is_queued:
                self.leave_queue(executor.timers.now())
            self.state = DONE
            if self.relies_on_connection:
                self.relies_on_connection = False
                executor.release_keyspace()
            executor.timers.stop(self)
            if executor.observer is not None and not self.keeps_place:
                executor.observer.on_finished(self, error, executor.timers.now() - self.began)
            self.sent.give_up()
            if not self.keeps_place:
                self.release_place()
        self.settle(outcome, error)
        return 0

    cdef int end_with(self, Response response) except -1:
        """End it without having sent it."""
        self.response = response
        self.state = DONE
        self.settle(ANSWERED, None)
        return 0

    def fail_waiting(self, error):
        """Fail, unless an answer may still come."""
        if self.state == QUEUED or self.state == PAUSED:
            self.end(FAILED, error)

    cdef int release_place(self) except -1:
        cdef Executor executor = self.executor
        if self.holds_place:
            self.holds_place = False
            executor.running -= 1
            if executor.running == 0 and executor.on_idle is not None:
                executor.on_idle()
        return 0

    def next_page(self, bytes paging_state not None):
        """A request for the page after this one's."""
        cdef Query message = <Query?>self.message
        message.paging_state = paging_state
        cdef Request request = new_request(self.executor, message, self.call)
        request.take_place(self)
        return request

    cdef int take_place(self, Request before) except -1:
        """Go on in the place that ``before`` kept for its next page, even while the executor closes."""
        self.holds_place = before.keeps_place
        before.keeps_place = False
        if self.holds_place:
            self.began, self.pages, self.row_count = before.began, before.pages, before.row_count
            if self.executor.observer is not None:
                self.executor.observer.on_page(self, before)
        return 0

    # Where to send

    cdef int make_plan(self) except -1:
        """Start the plan over: the nodes that the call names, the policy's routes, or what a custom policy answers."""
        cdef Call call = self.call
        cdef Routes routes
        if call.options.pinned is not None:
            self.plan = new_plan((), call.options.pinned, None)
            return 0
        policy = call.load_balancing_policy
        routes = <Routes>self.executor.routes.get(policy)
        if routes is not None:
            self.plan = routes.plan(call)
            return 0
        hosts = policy.make_query_plan(call.routing_keyspace, call.statement)
        self.plan = new_plan((), (), PolicyPlan(hosts, self.executor.nodes))
        return 0

    cdef Connection next_connection(self):
        """The next connection of the plan that can take the request now."""
        if self.sent.live is None and self.failures is None:
            return self.plan.next_connection(None)
        return self.plan.next_connection(self.left_out())

    cdef set left_out(self):
        """The nodes that are not to be asked: they are being asked, or have answered with an error."""
        cdef set nodes = set()
        self.sent.add_nodes(nodes)
        if self.failures is not None and self.failures.errors is not None:
            nodes.update(self.failures.errors)
        return nodes

    cdef int send_next(self) except -1:
        """Start an attempt on the next node that can take it, or wait for one."""
        cdef Connection connection = None
        if self.failures is not None and self.failures.retry_node is not None:
            connection = self.failures.retry_node.pick()
            self.failures.retry_node = None
        if connection is None:
            connection = self.next_connection()
        if connection is None:
            return self.no_connection()
        return self.send_to(connection, self.executor.timers.now() if self.sent.count else self.started)

    cdef int send_to(self, Connection connection, double now) except -1:
        cdef Attempt attempt = Attempt.__new__(Attempt)
        attempt.request = self
        attempt.node = connection.node
        attempt.connection = connection
        attempt.stream_id = -1
        if self.call.prepared is None or not self.call.prepared.is_trusted:
            attempt.unchecked = self.doubted()
        if attempt.unchecked is None:
            attempt.send()
        self.add_attempt(attempt)
        self.state = WAITING
        attempt.started = now
        self.next_event = INFINITY
        if self.call.idempotent and self.call.options.pinned is None:
            self.plan_hedge(attempt, now)
        self.arm(now)
        return 0 if attempt.unchecked is None else attempt.check_next()

    cdef list doubted(self):
        """Return its queries that must be compared with the server's before it is sent; ``None`` for none.

        :raises ~async_cassandra.exceptions.StatementChangedError: if one no longer fits
        """
        cdef PreparedQuery prepared = self.call.prepared
        cdef list found = None
        if prepared is not None:
            if prepared.is_trusted:
                return None
            prepared.check()
            return [prepared]
        for prepared in self.call.batched.values():
            if not prepared.is_trusted:
                prepared.check()
                found = [prepared] if found is None else [*found, prepared]
        return found

    cdef int plan_hedge(self, Attempt attempt, double now) except -1:
        """Decide when another node is asked too, while this attempt is live."""
        cdef double delay
        if self.speculation is not None:
            delay = self.speculation.next_execution(attempt.node.host)
            if delay >= 0:
                self.next_event = now + delay
                return 0
        cdef double timeout = self.call.timeout
        if len(self.executor.nodes) > 1 and self.sent.live_count() < MAX_LIVE_ATTEMPTS and timeout != INFINITY:
            self.next_event = now + timeout * self.executor.attempt_fraction
        return 0

    cdef int go_on(self, bint from_the_start) except -1:
        """Start another attempt from within an event; what a policy raises there is the request's failure."""
        try:
            if from_the_start:
                self.make_plan()
            return self.send_next()
        except Exception as error:  # noqa: BLE001  an application's policy may raise anything
            return self.end(FAILED, error)

    cdef int no_connection(self) except -1:
        """No node of the plan can take the request now."""
        cdef Failures failures = self.failures
        if self.sent.live is not None:
            self.state = WAITING
            self.next_event = INFINITY
            return self.arm(self.executor.timers.now())
        if failures is not None and failures.last is not None:
            if failures.has_others or failures.rounds == MAX_ROUNDS:
                return self.end(FAILED, failures.last)
            failures.rounds += 1
            failures.errors = None
            return self.pause(faults.backoff(failures.rounds - 1))
        if self.executor.closed:
            return self.end(FAILED, faults.closed(self))
        if failures is not None:
            failures.errors = None
        return self.wait_in_queue()

    # The queue

    cdef int wait_in_queue(self) except -1:
        cdef WaitQueue queue = self.executor.queue
        if self.is_queued:
            return 0
        if queue.size >= self.executor.max_queued:
            return self.end(FAILED, faults.overloaded(self, queue.size))
        cdef double now = self.started if self.state == NEW else self.executor.timers.now()
        queue.join(self, now)
        self.state = QUEUED
        if self.executor.observer is not None:
            self.executor.observer.on_queued(self)
        self.next_event = INFINITY
        return self.arm(now)

    cdef int try_to_leave(self, double now) except -1:
        cdef Connection connection
        try:
            self.make_plan()
            connection = self.next_connection()
            if connection is None:
                if self.call.options.pinned is None and self.call.load_balancing_policy in self.executor.routes:
                    return FOUND_ALL_FULL
                return FOUND_NO_PLACE
            self.leave_queue(now)
            self.send_to(connection, now)
        except Exception as error:  # noqa: BLE001  it is the request's failure, not the one's who freed the place
            self.end(FAILED, error)
        return LEFT_QUEUE

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
                delay = self.call.timeout
            return self.executor.timers.start(self, delay, now)
        self.executor.timers.stop(self)
        return 0

    cdef int pause(self, double delay) except -1:
        """Send again after ``delay`` seconds, or fail now if the deadline comes before."""
        cdef double now = self.executor.timers.now()
        if now + delay >= self.deadline and self.failures is not None and self.failures.last is not None:
            return self.end(FAILED, self.failures.last)
        self.state = PAUSED
        self.next_event = now + delay
        return self.arm(now)

    cpdef int on_due(self) except -1:
        if self.executor is None or self.state == DONE:
            return 0
        cdef double now = self.executor.timers.now()
        if now >= self.deadline:
            self.sent.teach(self.speculation, None, now)
            return self.end(FAILED, faults.timeout(self))
        if now < self.next_event:
            return self.arm(now)
        self.next_event = INFINITY
        if self.state == WAITING:
            if not self.executor.budget.take_hedge(now):
                self.next_event = now + HEDGE_PAUSE
                return self.arm(now)
            self.executor.hedges += 1
        return self.go_on(self.state == PAUSED)

    @cython.nonecheck(True)
    def queued_time(self):
        """Seconds spent waiting for a place."""
        if self.is_queued:
            return self.queued_seconds + self.executor.timers.now() - self.queued_at
        return self.queued_seconds

    # The attempts

    cdef int add_attempt(self, Attempt attempt) except -1:
        """Take in one that was sent just now."""
        self.sent.add(attempt)
        if self.executor.observer is not None:
            self.executor.observer.on_sent(self, attempt.node.endpoint, attempt.is_speculative)
        return 0

    cdef Failures fail_attempt(self, Attempt attempt, object error):
        """Take note of one that failed."""
        self.sent.fail(attempt, self.executor.timers.now())
        if self.executor.observer is not None:
            self.executor.observer.on_attempt_failed(self, attempt.node.endpoint, error)
        if self.failures is None:
            self.failures = Failures.__new__(Failures)
        return self.failures

    @property
    @cython.nonecheck(True)
    def attempts(self):
        """How many there have been."""
        return self.sent.count

    @property
    @cython.nonecheck(True)
    def speculations(self):
        """How many of them were started while another one was live."""
        return self.sent.speculations

    @cython.nonecheck(True)
    def attempt_times(self):
        """Each attempt as ``(endpoint, start, end)``, live ones last; they end now. In the timers' seconds."""
        return self.sent.times(self.executor.timers.now())

    # What comes back

    cdef int on_result(self, Attempt attempt, Response response) except -1:
        cdef ResultMetadata metadata = response.metadata
        cdef PreparedQuery prepared = self.call.prepared
        self.response = response
        self.coordinator = attempt.node
        if response.keyspace is not None:
            return self.on_strange_keyspace(attempt, response.keyspace)
        self.speculation_won = attempt.is_speculative
        if self.sent.speculations:
            self.executor.superseded += self.sent.live_count() - 1
        if self.speculation is not None:
            self.sent.teach(self.speculation, attempt, self.executor.timers.now())
        if prepared is not None and metadata is not None and metadata.new_metadata_id is not None:
            prepared.reshape(metadata)
        self.keeps_place = self.call.options.wants_all and metadata is not None and metadata.paging_state is not None
        if response.page is not None:
            self.pages += 1
            self.row_count += response.page.row_count
        return self.end(ANSWERED, None)

    cdef int on_strange_keyspace(self, Attempt attempt, str keyspace) except -1:
        """Fail, and have the connection replaced: nobody knows its keyspace for unqualified names from now on."""
        exception = faults.strange_keyspace(self, attempt.node, keyspace)
        self.fail_attempt(attempt, exception)
        attempt.connection.distrust()
        return self.end(FAILED, exception)

    cdef int on_server_error(self, Attempt attempt, Response response) except -1:
        cdef Executor executor = self.executor
        cdef Failures failures
        cdef PreparedQuery prepared
        if response.error.code == ErrorCode.UNPREPARED and attempt.prepares < MAX_PREPARES + len(self.call.batched):
            prepared = self.query_of(response.error.fields["query_id"])
            if prepared is not None:
                # The server ran nothing: prepare there, then send again.
                attempt.prepares += 1
                attempt.live = True
                return executor.flights.join(attempt, attempt.connection, prepared)
        failures = self.fail_attempt(attempt, response.error)
        self.response = response
        return self.follow(attempt, failures.on_error(
            self, self.message, executor.budget, executor.timers.now(), attempt.node, response.error,
            self.sent.live is not None))

    cdef PreparedQuery query_of(self, bytes prepared_id):
        """The query of this request that has ``prepared_id``; ``None`` if it sent no such id."""
        cdef PreparedQuery prepared = self.call.prepared
        if prepared is not None and prepared.prepared_id == prepared_id:
            return prepared
        return self.call.batched.get(prepared_id)

    cdef int on_unreadable(self, Attempt attempt, object error, bint is_executed) except -1:
        """Note an answer that arrived complete but cannot be read."""
        cdef Failures failures = self.fail_attempt(attempt, error)
        return self.follow(attempt, failures.on_unreadable(
            self, attempt.node, error, is_executed, self.sent.live is not None))

    cdef int on_attempt_lost(self, Attempt attempt, object error, bint sent) except -1:
        cdef Failures failures = self.fail_attempt(attempt, error)
        return self.follow(attempt, failures.on_loss(
            self, self.executor.budget, self.executor.timers.now(), attempt.node, error, sent,
            self.sent.live is not None))

    # What follows from a failure

    cdef int follow(self, Attempt attempt, int verdict) except -1:
        """Carry out what was decided about an attempt that failed."""
        cdef Failures failures = self.failures
        if verdict == AWAIT_OTHERS:
            return 0
        if verdict == FAIL:
            return self.end(FAILED, failures.last)
        if verdict == IGNORE:
            self.response = None
            self.coordinator = attempt.node
            return self.end(ANSWERED, None)
        self.retries += 1
        self.executor.retries += 1
        if self.executor.observer is not None:
            self.executor.observer.on_retried(self, failures.cause, failures.delay)
        return self.pause(failures.delay) if failures.delay > 0 else self.go_on(verdict == START_OVER)

    @property
    def errors(self):
        """What nodes answered that are not to be asked again, by endpoint; ``None`` if there are none."""
        if self.failures is None or self.failures.errors is None:
            return None
        return {(<NodeConnections>node).endpoint: error for node, error in self.failures.errors.items()}


attempt_pool_use(<PyTypeObject*>Attempt)
request_pool_use(<PyTypeObject*>Request)
# Where a program imports it from.
(<PyTypeObject*>Request).tp_name = "async_cassandra.observers.Request"
