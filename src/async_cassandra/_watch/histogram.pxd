from libc.stdint cimport uint64_t

from async_cassandra._watch.latencies cimport BUCKETS

cdef enum:
    SLOTS = 11


cdef class Histogram:
    cdef uint64_t buckets[BUCKETS]
    cdef readonly uint64_t count
    cdef readonly double total
    cdef readonly double smallest
    cdef readonly double largest

    cdef int add(self, double seconds) noexcept
    cdef int clear(self) noexcept


cdef class RecentHistogram:
    cdef list slots
    cdef long long turns[SLOTS]
    cdef uint64_t failures[SLOTS]

    cdef int add(self, double now, double seconds, bint failed) except -1
