"""Bounds what is sent beside a cluster's first attempts, so that trouble is never answered with more load.

Theory. A token bucket: each request earns a fraction of a token, each second a few more, and each retry or hedge
costs one. Tokens are forgotten exponentially, so that the bucket holds what the last ten seconds earned: a quiet
hour does not pay for a storm, and a client of any size has the same bound without being tuned. A request only
counts itself; the arithmetic is done when a token is asked for, which is seldom.
"""

from libc.math cimport INFINITY, NAN, exp, expm1, isnan

DEF WINDOW = 10.0


cdef class Allowance:
    """One bucket; it starts with what ten quiet seconds earn.

    :param ratio: tokens that each request earns, 0 or more; ``inf`` grants everything
    :param per_second: tokens that each second earns, 0 or more
    :ivar granted: tokens that were given out
    :ivar refused: how often there was none
    """

    def __cinit__(self, double ratio, double per_second):
        self.ratio = ratio
        self.per_second = per_second
        self.tokens = per_second * WINDOW
        self.settled_at = NAN

    def __repr__(self):
        return f"<Allowance tokens={self.tokens:.1f} granted={self.granted} refused={self.refused}>"

    cpdef bint take(self, uint64_t requests, double now) noexcept:
        """Whether there is a token; ``requests`` counts all so far, ``now`` is in seconds."""
        cdef double elapsed = now - self.settled_at
        cdef double earned = self.ratio * (requests - self.settled_requests)
        if self.ratio == INFINITY:
            self.granted += 1
            return True
        if isnan(elapsed) or elapsed <= 0:
            self.tokens += earned
        else:
            self.tokens *= exp(-elapsed / WINDOW)
            self.tokens += (earned / elapsed + self.per_second) * WINDOW * -expm1(-elapsed / WINDOW)
        self.settled_at = now
        self.settled_requests = requests
        if self.tokens < 1:
            self.refused += 1
            return False
        self.tokens -= 1
        self.granted += 1
        return True


cdef class Budget:
    """What the sessions of one cluster may send beside their requests.

    Concurrency: the loop's thread.

    :param retry_ratio: repetitions that each request earns, 0 or more
    :param hedge_ratio: attempts beside a live one that each request earns, 0 or more
    :param per_second: of either, that each second earns, 0 or more
    """

    def __cinit__(self, double retry_ratio=0.2, double hedge_ratio=0.5, double per_second=10.0):
        self.retries = Allowance(retry_ratio, per_second)
        self.hedges = Allowance(hedge_ratio, per_second)

    cdef void start(self, double now) noexcept:
        """Begin to earn, unless begun."""
        if isnan(self.retries.settled_at):
            self.retries.settled_at = self.hedges.settled_at = now

    cdef bint take_retry(self, double now) noexcept:
        """Whether a request may be repeated."""
        return self.retries.take(self.requests, now)

    cdef bint take_hedge(self, double now) noexcept:
        """Whether a request may ask another node while an attempt of it is live."""
        return self.hedges.take(self.requests, now)
