"""The attempts of one request: which are live, what became of the others, and what that teaches."""

from async_cassandra._exec.latencies cimport PercentilePlan


cdef class Sending(Preparing):
    """One sending of something to one node."""

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

    :ivar speculations: attempts that were started while another one was live
    :ivar speculation_won: whether one of those brought the result
    """

    cdef int add_attempt(self, Sending attempt) except -1:
        """Take in one that was sent just now."""
        attempt.live = True
        if self.live is None:
            self.live = [attempt]
        else:
            attempt.is_speculative = len(self.live) > 0
            self.speculations += attempt.is_speculative
            self.live.append(attempt)
        self.attempts += 1
        if self.executor.observer is not None:
            self.executor.observer.on_sent(self, attempt.node.endpoint, attempt.is_speculative)
        return 0

    cdef int end_attempt(self, Sending attempt, object error) except -1:
        """Take note of one that failed."""
        self.live.remove(attempt)
        if self.ended is None:
            self.ended = []
        self.ended.append((attempt.node.endpoint, attempt.started, self.executor.timers.now()))
        if self.executor.observer is not None:
            self.executor.observer.on_attempt_failed(self, attempt.node.endpoint, error)
        return 0

    cdef int win(self, Sending answered) except -1:
        """Take note of the one whose result counts; the others are superseded."""
        cdef Sending other
        self.speculation_won = answered.is_speculative
        if len(self.live) > 1:
            for other in self.live:
                self.executor.superseded += other.live
        return self.learn(answered)

    cdef int drop_attempts(self) except -1:
        cdef Sending attempt
        if self.live is not None:
            for attempt in self.live:
                attempt.release()
            self.live = None
        return 0

    cdef bint is_asking(self, NodeConnections node) noexcept:
        """Whether an attempt is live there."""
        cdef Sending attempt
        if self.live is None:
            return False
        for attempt in self.live:
            if attempt.node is node:
                return True
        return False

    cdef int learn(self, Sending answered) except -1:
        """Tell a policy that goes by latencies what the attempts took, or have waited in vain."""
        cdef Sending attempt
        cdef PercentilePlan plan
        cdef double now
        if self.speculation is None or type(self.speculation) is not PercentilePlan or self.live is None:
            return 0
        plan = <PercentilePlan>self.speculation
        now = self.executor.timers.now()
        for attempt in self.live:
            if attempt is answered or (attempt.live and answered is None):
                plan.record(attempt.node.host, now - attempt.started, now)
            elif attempt.live:
                plan.record_superseded(attempt.node.host, now - attempt.started, now)
        return 0

    def attempt_times(self):
        """Each attempt as ``(endpoint, start, end)``, live ones last; they end now. In the timers' seconds."""
        cdef Sending attempt
        cdef double now = self.executor.timers.now()
        return (self.ended or []) + [(attempt.node.endpoint, attempt.started, now) for attempt in self.live or ()]

    def queued_time(self):
        """Seconds spent waiting for a place."""
        if self.is_queued:
            return self.queued_seconds + self.executor.timers.now() - self.queued_at
        return self.queued_seconds

    def elapsed(self):
        """Seconds since it was admitted."""
        return self.executor.timers.now() - self.started
