"""The attempts of one request: which are live, what became of the others, and what that teaches."""

cimport cython
from cpython.object cimport PyTypeObject

from async_cassandra._watch.latencies cimport PercentilePlan

cdef extern from "pool.h":
    """
    POOL(attempts_pool)
    """
    void attempts_pool_use(PyTypeObject* kind)


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

    cdef bint add(self, Sending attempt) noexcept:
        """Take in one that was sent just now; whether another one is live."""
        cdef Sending last = self.live
        attempt.live = True
        self.count += 1
        if last is None:
            self.live = attempt
            return False
        while last.following is not None:
            last = last.following
        last.following = attempt
        attempt.is_speculative = True
        self.speculations += 1
        return True

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


attempts_pool_use(<PyTypeObject*>Attempts)
