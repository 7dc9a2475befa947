"""What has gone wrong with one request so far, and what it does next.

The retry policy is asked, idempotence and the budget are its gates: :mod:`.faults` has the rules.
"""

from async_cassandra._request import faults

from async_cassandra._wire.protocol cimport ErrorCode
from async_cassandra._wire.requests cimport Statement

# Connections that one request may see die under it before it is blamed for that.
DEF MAX_LOSSES = 5


# The driver's RetryPolicy decisions.
cdef enum Decision:
    DECIDED_RETRY = 0
    DECIDED_RETHROW = 1
    DECIDED_IGNORE = 2
    DECIDED_RETRY_NEXT_HOST = 3


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
