from libc.stdint cimport uint64_t


cdef class Allowance:
    # Tokens that each request earns, and each second.
    cdef readonly double ratio
    cdef readonly double per_second
    # How often a token was given out, and how often there was none.
    cdef readonly uint64_t granted
    cdef readonly uint64_t refused
    # Those in the bucket when they were last counted: at what time, after how many requests.
    cdef double tokens
    cdef double settled_at
    cdef uint64_t settled_requests

    cpdef bint take(self, uint64_t requests, double now) noexcept


cdef class Budget:
    cdef readonly Allowance retries
    cdef readonly Allowance hedges
    # So far, of all sessions.
    cdef uint64_t requests

    cdef void start(self, double now) noexcept
    cdef bint take_retry(self, double now) noexcept
    cdef bint take_hedge(self, double now) noexcept
