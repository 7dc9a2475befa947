from libc.stdint cimport uint32_t, uint64_t


cdef enum:
    BUCKETS = 736
    SLOTS = 11


cdef class Histogram:
    # How many in each bucket, and in all.
    cdef uint64_t buckets[BUCKETS]
    cdef readonly uint64_t count
    # Seconds: their sum, the least (infinite for none) and the most.
    cdef readonly double total
    cdef readonly double smallest
    cdef readonly double largest

    cdef int add(self, double seconds) noexcept
    cdef int clear(self) noexcept


cdef class RecentHistogram:
    # A Histogram for each half minute, in a ring; the half minute it is of, -1 for none, and how many failed in it.
    cdef list slots
    cdef long long turns[SLOTS]
    cdef uint64_t failures[SLOTS]

    cdef int add(self, double now, double seconds, bint failed) except -1


cdef class Latencies:
    # The two tables and how many each has.
    cdef uint32_t current[BUCKETS]
    cdef uint32_t before[BUCKETS]
    cdef uint64_t current_count
    cdef uint64_t before_count
    # When the current table began, and when the delay was made, by the caller's clock; negative for never.
    cdef double turned_at
    cdef double computed_at
    # Seconds; negative until there are enough samples.
    cdef readonly double delay

    cdef int turn(self, double now) noexcept
    cdef int record(self, LatencyTracker tracker, double seconds, double now) except -1
    cdef double percentile(self, double share) noexcept


cdef class LatencyTracker:
    # The settings of the policy, in seconds where they are times; see its docstring.
    cdef readonly double share
    cdef readonly bint per_host
    cdef readonly Py_ssize_t min_samples
    cdef readonly double window
    cdef readonly double min_delay
    cdef readonly double max_delay
    cdef readonly double warm_up_delay
    # Of all hosts together, or host -> its Latencies, the longest known first.
    cdef Latencies of_all
    cdef dict by_host

    cdef Latencies latencies(self, object host)


cdef class PercentilePlan:
    cdef LatencyTracker tracker
    # Further nodes that it may ask.
    cdef Py_ssize_t remaining

    cdef int record(self, object host, double seconds, double now) except -1
    cdef int record_superseded(self, object host, double waited, double now) except -1
