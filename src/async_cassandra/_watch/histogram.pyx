"""Durations counted in buckets, of all time and of the last five minutes.

The buckets are those of :mod:`.latencies`: a percentile is at most 1/32 above the truth, up to 134 s, in 6 kB.
"""

from libc.math cimport INFINITY, floor
from libc.string cimport memset

from async_cassandra._watch.latencies cimport bucket_of, end_of

# Ten whole slots and the one that is being filled: between 300 and 330 seconds.
DEF SLOT_SECONDS = 30.0


cdef class Histogram:
    """Durations in seconds.

    :ivar count: how many
    :ivar total: their sum
    :ivar smallest: exact; infinite while there are none
    :ivar largest: exact; 0 while there are none
    """

    def __cinit__(self):
        self.clear()

    cdef int clear(self) noexcept:
        memset(self.buckets, 0, sizeof(self.buckets))
        self.count = 0
        self.total = self.largest = 0.0
        self.smallest = INFINITY
        return 0

    cdef int add(self, double seconds) noexcept:
        self.buckets[bucket_of(seconds)] += 1
        self.count += 1
        self.total += seconds
        if seconds < self.smallest:
            self.smallest = seconds
        if seconds > self.largest:
            self.largest = seconds
        return 0

    def record(self, double seconds):
        """Count one."""
        self.add(seconds)

    def merge(self, Histogram other not None):
        """Count everything that ``other`` has."""
        cdef int bucket
        for bucket in range(BUCKETS):
            self.buckets[bucket] += other.buckets[bucket]
        self.count += other.count
        self.total += other.total
        self.smallest = min(self.smallest, other.smallest)
        self.largest = max(self.largest, other.largest)

    def percentile(self, double share):
        """Return the seconds that ``share`` of the durations do not exceed; 0 while there are none.

        :param share: 0 to 1
        """
        cdef double wanted = share * <double>self.count
        cdef uint64_t seen = 0
        cdef int bucket
        for bucket in range(BUCKETS):
            seen += self.buckets[bucket]
            if seen and <double>seen >= wanted:
                return min(end_of(bucket), self.largest)
        return 0.0

    def cumulative(self, bounds):
        """How many are within each of ``bounds``, which ascend, in seconds; a bucket counts where its end is."""
        cdef list counts = []
        cdef uint64_t seen = 0
        cdef int bucket = 0
        cdef double bound
        for bound in bounds:
            while bucket < BUCKETS and end_of(bucket) <= bound * (1 + 1e-9):
                seen += self.buckets[bucket]
                bucket += 1
            counts.append(seen)
        return counts


cdef class RecentHistogram:
    """Durations of the last five minutes, forgotten half a minute at a time."""

    def __cinit__(self):
        cdef int slot
        self.slots = [Histogram() for _ in range(SLOTS)]
        for slot in range(SLOTS):
            self.turns[slot] = -1

    cdef int add(self, double now, double seconds, bint failed) except -1:
        cdef long long turn = <long long>floor(now / SLOT_SECONDS)
        cdef int slot = <int>(turn % SLOTS)
        if turn < 0 or turn < self.turns[slot]:
            return 0
        cdef Histogram histogram = <Histogram>self.slots[slot]
        if turn != self.turns[slot]:
            histogram.clear()
            self.turns[slot] = turn
            self.failures[slot] = 0
        histogram.add(seconds)
        self.failures[slot] += failed
        return 0

    def record(self, double now, double seconds, bint failed):
        """Count one that ended at ``now``, of any clock whose seconds begin at 0 or later, always the same one."""
        self.add(now, seconds, failed)

    def summary(self, double now):
        """The histogram of what is recent at ``now``, and how many of them failed."""
        cdef Histogram recent = Histogram()
        cdef uint64_t failures = 0
        cdef long long turn = <long long>floor(now / SLOT_SECONDS)
        cdef int slot
        for slot in range(SLOTS):
            if turn - SLOTS < self.turns[slot] <= turn:
                recent.merge(<Histogram>self.slots[slot])
                failures += self.failures[slot]
        return recent, failures
