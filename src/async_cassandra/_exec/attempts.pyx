"""The attempts of one request: which are live, what became of the others, and what that teaches."""

cimport cython

from async_cassandra._exec.latencies cimport PercentilePlan


@cython.no_gc
cdef class Sending(Preparing):
    """One sending of something to one node.

    It and what was sent refer to each other as long as it is among the live ones. Until then the connection keeps
    it as well, which the garbage collector does not see: it could free neither.

    :ivar following: the live one that was sent after it
    """

    cdef bint was_sent(self):
        """Whether the frame may have left this process."""
        return self.connection.flushes != self.flush_number

    cdef int release(self) except -1:
        """Give up on the response, if one is awaited."""
        if self.live and self.stream_id >= 0:
            self.connection.orphan(self.stream_id)
        self.live = False
        return 0


cdef class Attempted(Awaited):
    """Something that is sent to one node after another, or to several at once.

    :ivar live: the first of those that are live, which are a chain in the order of sending
    :ivar speculations: attempts that were started while another one was live
    :ivar speculation_won: whether one of those brought the result
    """

    cdef int add_attempt(self, Sending attempt) except -1:
        """Take in one that was sent just now."""
        cdef Sending last = self.live
        attempt.live = True
        if last is None:
            self.live = attempt
        else:
            while last.following is not None:
                last = last.following
            last.following = attempt
            attempt.is_speculative = True
            self.speculations += 1
        self.attempts += 1
        if self.executor.observer is not None:
            self.executor.observer.on_sent(self, attempt.node.endpoint, attempt.is_speculative)
        return 0

    @cython.nonecheck(True)
    cdef int end_attempt(self, Sending attempt, object error) except -1:
        """Take note of one that failed."""
        cdef Sending before = self.live
        if before is attempt:
            self.live = attempt.following
        else:
            while before.following is not attempt:
                before = before.following
            before.following = attempt.following
        attempt.following = None
        if self.ended is None:
            self.ended = []
        self.ended.append((attempt.node.endpoint, attempt.started, self.executor.timers.now()))
        if self.executor.observer is not None:
            self.executor.observer.on_attempt_failed(self, attempt.node.endpoint, error)
        return 0

    cdef int win(self, Sending answered) except -1:
        """Take note of the one whose result counts; the others are superseded."""
        cdef Sending other = self.live
        self.speculation_won = answered.is_speculative
        while other is not None:
            self.executor.superseded += other.live
            other = other.following
        return self.learn(answered)

    cdef int drop_attempts(self) except -1:
        cdef Sending attempt
        while self.live is not None:
            attempt = self.live
            self.live = attempt.following
            attempt.following = None
            attempt.release()
        return 0

    cdef int live_count(self) noexcept:
        """How many attempts are live."""
        cdef int count = 0
        cdef Sending attempt = self.live
        while attempt is not None:
            count += 1
            attempt = attempt.following
        return count

    cdef bint is_asking(self, NodeConnections node) noexcept:
        """Whether an attempt is live there."""
        cdef Sending attempt = self.live
        while attempt is not None:
            if attempt.node is node:
                return True
            attempt = attempt.following
        return False

    cdef int learn(self, Sending answered) except -1:
        """Tell a policy that goes by latencies what the attempts took, or have waited in vain."""
        cdef Sending attempt = self.live
        cdef PercentilePlan plan
        cdef double now
        if self.speculation is None or type(self.speculation) is not PercentilePlan:
            return 0
        plan = <PercentilePlan>self.speculation
        now = self.executor.timers.now()
        while attempt is not None:
            if attempt is answered or (attempt.live and answered is None):
                plan.record(attempt.node.host, now - attempt.started, now)
            elif attempt.live:
                plan.record_superseded(attempt.node.host, now - attempt.started, now)
            attempt = attempt.following
        return 0

    @cython.nonecheck(True)
    def attempt_times(self):
        """Each attempt as ``(endpoint, start, end)``, live ones last; they end now. In the timers' seconds."""
        cdef Sending attempt = self.live
        cdef double now = self.executor.timers.now()
        cdef list times = list(self.ended or ())
        while attempt is not None:
            times.append((attempt.node.endpoint, attempt.started, now))
            attempt = attempt.following
        return times

    @cython.nonecheck(True)
    def queued_time(self):
        """Seconds spent waiting for a place."""
        if self.is_queued:
            return self.queued_seconds + self.executor.timers.now() - self.queued_at
        return self.queued_seconds

    @cython.nonecheck(True)
    def elapsed(self):
        """Seconds since it was admitted."""
        return self.executor.timers.now() - self.started
