from libc.stdint cimport uint64_t


cdef class Allowance:
    cdef readonly double ratio
    cdef readonly double per_second
    cdef readonly uint64_t granted
    cdef readonly uint64_t refused
    cdef double tokens
    cdef double settled_at
    cdef uint64_t settled_requests

    cpdef bint take(self, uint64_t requests, double now) noexcept


cdef class Budget:
    cdef readonly Allowance retries
    cdef readonly Allowance hedges
    cdef uint64_t requests

    cdef void start(self, double now) noexcept
    cdef bint take_retry(self, double now) noexcept
    cdef bint take_hedge(self, double now) noexcept
