from libc.stdint cimport uint32_t, uint64_t


cdef enum:
    BUCKETS = 736


cdef int bucket_of(double seconds) noexcept
cdef double end_of(int bucket) noexcept


cdef class Latencies:
    cdef uint32_t current[BUCKETS]
    cdef uint32_t before[BUCKETS]
    cdef uint64_t current_count
    cdef uint64_t before_count
    cdef double turned_at
    cdef double computed_at
    cdef readonly double delay

    cdef int turn(self, double now) noexcept
    cdef int record(self, LatencyTracker tracker, double seconds, double now) except -1
    cdef double percentile(self, double share) noexcept


cdef class LatencyTracker:
    cdef readonly double share
    cdef readonly bint per_host
    cdef readonly Py_ssize_t min_samples
    cdef readonly double window
    cdef readonly double min_delay
    cdef readonly double max_delay
    cdef readonly double warm_up_delay
    cdef Latencies of_all
    cdef dict by_host

    cdef Latencies latencies(self, object host)


cdef class PercentilePlan:
    cdef LatencyTracker tracker
    cdef Py_ssize_t remaining

    cdef int record(self, object host, double seconds, double now) except -1
    cdef int record_superseded(self, object host, double waited, double now) except -1
