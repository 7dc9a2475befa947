"""The attempts of one request: which are live, what became of the others, what that teaches, and what comes next.

The retry policy is asked about each failure; idempotence and the budget are its gates: :mod:`.faults` has the rules.
"""

cimport cython
from cpython.object cimport PyTypeObject

from async_cassandra._request import faults

from async_cassandra._watch.latencies cimport PercentilePlan
from async_cassandra._wire.protocol cimport ErrorCode
from async_cassandra._wire.requests cimport Statement

cdef extern from "pool.h":
    """
    POOL(attempts_pool)
    """
    void attempts_pool_use(PyTypeObject* kind)

# Connections that one request may see die under it before it is blamed for that.
DEF MAX_LOSSES = 5


# The driver's RetryPolicy decisions.
cdef enum Decision:
    DECIDED_RETRY = 0
    DECIDED_RETHROW = 1
    DECIDED_IGNORE = 2
    DECIDED_RETRY_NEXT_HOST = 3


@cython.no_gc
cdef class Sending(Preparing):
    """One sending of something to one node."""

    cdef bint was_sent(self):
        """Whether the frame may have left this process."""
        return self.connection.flushes != self.flush_number

    cdef int give_up(self) except -1:
        """Wait for the response no longer; its stream id stays taken until it comes."""
        if self.live and self.stream_id >= 0:
            self.connection.orphan(self.stream_id)
        self.live = False
        return 0


@cython.no_gc
cdef class Attempts:
    """What a request has sent so far."""

    cdef void add(self, Sending attempt) noexcept:
        """Take in one that was sent just now."""
        cdef Sending last = self.live
        attempt.live = True
        self.count += 1
        if last is None:
            self.live = attempt
            return
        while last.following is not None:
            last = last.following
        last.following = attempt
        attempt.is_speculative = True
        self.speculations += 1

    @cython.nonecheck(True)
    cdef int fail(self, Sending attempt, double now) except -1:
        """Take note that a live one failed."""
        cdef Sending before = self.live
        if before is attempt:
            self.live = attempt.following
        else:
            while before.following is not attempt:
                before = before.following
            before.following = attempt.following
        attempt.following = None
        if self.failed is None:
            self.failed = []
        self.failed.append((attempt.node.endpoint, attempt.started, now))
        return 0

    cdef int give_up(self) except -1:
        """Give up those that are live."""
        cdef Sending attempt
        while self.live is not None:
            attempt = self.live
            self.live = attempt.following
            attempt.following = None
            attempt.give_up()
        return 0

    cdef int live_count(self) noexcept:
        cdef int count = 0
        cdef Sending attempt = self.live
        while attempt is not None:
            count += 1
            attempt = attempt.following
        return count

    cdef int add_nodes(self, set nodes) except -1:
        """Add to ``nodes`` those that are being asked."""
        cdef Sending attempt = self.live
        while attempt is not None:
            nodes.add(attempt.node)
            attempt = attempt.following
        return 0

    cdef int teach(self, object speculation, Sending answered, double now) except -1:
        """Tell a plan that goes by latencies what the attempts took, or have waited in vain.

        :param answered: the one whose result counts; ``None`` if the time is over
        """
        cdef Sending attempt = self.live
        cdef PercentilePlan plan
        if type(speculation) is not PercentilePlan:
            return 0
        plan = <PercentilePlan>speculation
        while attempt is not None:
            if attempt is answered or (attempt.live and answered is None):
                plan.record(attempt.node.host, now - attempt.started, now)
            elif attempt.live:
                plan.record_superseded(attempt.node.host, now - attempt.started, now)
            attempt = attempt.following
        return 0

    cdef list times(self, double now):
        """Each as ``(endpoint, start, end)``, live ones last, which end ``now``."""
        cdef Sending attempt = self.live
        cdef list times = [] if self.failed is None else list(self.failed)
        while attempt is not None:
            times.append((attempt.node.endpoint, attempt.started, now))
            attempt = attempt.following
        return times


cdef class Failures:
    """A request has them from its first failure on."""

    cdef int fail(self, object exception) except -1:
        self.last = exception
        return FAIL

    cdef int on_error(self, object request, Message message, Budget budget, double now, NodeConnections node,
                      ServerError error, bint has_live) except -1:
        """Judge a server's ERROR.

        :param has_live: whether another attempt is live
        """
        cdef int decision
        cdef double delay
        if error.code != ErrorCode.OVERLOADED and error.code != ErrorCode.IS_BOOTSTRAPPING:
            self.has_others = True
        exception = faults.server_fault(request, node, error)
        try:
            decision, consistency, delay = faults.decide(request, node, error, exception)
        except Exception as failure:  # noqa: BLE001  an application's policy may raise anything: its request fails
            return self.fail(failure)
        # From SYNTAX_ERROR on, codes blame the statement: no other node would answer differently.
        if has_live and error.code < ErrorCode.SYNTAX_ERROR and decision != DECIDED_IGNORE:
            self.last = exception
            return AWAIT_OTHERS
        if decision == DECIDED_IGNORE:
            return IGNORE
        if decision == DECIDED_RETHROW:
            return self.fail(exception)
        if not budget.take_retry(now):
            return self.fail(faults.over_budget(exception))
        if consistency is not None:
            (<Statement>message).consistency = consistency
        self.last = self.cause = exception
        self.delay = delay
        if decision == DECIDED_RETRY:
            self.retry_node = node
            return GO_ON
        if self.errors is None:
            self.errors = {}
        self.errors[node] = exception
        return START_OVER

    cdef int on_unreadable(self, object request, NodeConnections node, object error, bint is_executed,
                           bint has_live) except -1:
        """Judge an answer that arrived complete but cannot be read: asking again could bring the same."""
        self.has_others = True
        self.last = faults.unreadable(request, node, error, is_executed)
        return AWAIT_OTHERS if has_live else FAIL

    cdef int on_loss(self, object request, Budget budget, double now, NodeConnections node, object error, bint sent,
                     bint has_live) except -1:
        """Judge the loss of a connection.

        The node is asked again once it has a connection, so that does not strike it from the plan.

        :param sent: whether the frame may have left this process
        """
        cdef int decision
        cdef double delay = 0
        if sent:
            self.losses += 1
            exception = faults.lost(request, node, error)
            try:
                decision, _, delay = faults.decide_lost(request, exception)
            except Exception as failure:  # noqa: BLE001  as above
                return self.fail(failure)
            if decision == DECIDED_IGNORE:
                return IGNORE
            if decision == DECIDED_RETHROW or self.losses == MAX_LOSSES:
                self.last = exception
                return AWAIT_OTHERS if has_live else FAIL
            # The first loss costs too, but is always made good: nobody works on the lost attempt any more.
            if not has_live and not budget.take_retry(now) and self.losses > 1:
                return self.fail(faults.over_budget(exception))
        if has_live:
            return AWAIT_OTHERS
        self.cause = error
        self.delay = delay
        self.errors = None
        return START_OVER


attempts_pool_use(<PyTypeObject*>Attempts)
