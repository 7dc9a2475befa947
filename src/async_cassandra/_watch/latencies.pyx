"""What requests took, counted in bounded memory: of all time, of the last five minutes, and what the speculative
execution plan is made of.

Theory. A latency is counted in one of 736 buckets: whole microseconds up to 32, above that 32 buckets for each
doubling, up to 134 s. So a percentile is never more than 1/32 too high, and never too low. What is recent for the plan
is in two such tables: the current one, and the one before it, which is dropped when the current one is half a window
old and has enough samples.

An attempt that another one made superfluous counts with the delay, or with the time it had waited if that is less.
It would have taken longer: left out, each percentile would be that of the quick ones, and the delay would sink from
round to round. Counted with all that it had waited, the delay and then the other one's answer, each percentile would
be above the delay that it came from, and the delay would climb for as long as a node hangs.
"""

from libc.math cimport INFINITY, floor, frexp, isnan
from libc.string cimport memcpy, memset

DEF SUB_BUCKETS = 32
DEF LONGEST_US = 134217727
# Seconds between two looks at the buckets.
DEF RECOMPUTE_INTERVAL = 0.1
# Hosts that come and go under ever other addresses must not fill the memory.
DEF MAX_HOSTS = 1024
# Ten whole slots and the one that is being filled: between 300 and 330 seconds.
DEF SLOT_SECONDS = 30.0


cdef int bucket_of(double seconds) noexcept:
    cdef int exponent
    cdef uint32_t us = LONGEST_US
    if not seconds > 0 or isnan(seconds):
        us = 0
    elif seconds * 1e6 < LONGEST_US:
        us = <uint32_t>(seconds * 1e6)
    if us < SUB_BUCKETS:
        return us
    frexp(<double>us, &exponent)
    # us is in [2**(exponent - 1), 2**exponent); the 5 bits below its first one choose the bucket.
    return (exponent - 6) * SUB_BUCKETS + (us >> (exponent - 6))


cdef double end_of(int bucket) noexcept:
    """Seconds that everything in ``bucket`` is below."""
    cdef int shift
    if bucket < SUB_BUCKETS:
        return (bucket + 1) / 1e6
    shift = bucket // SUB_BUCKETS - 1
    return <double>((<uint64_t>(SUB_BUCKETS + bucket % SUB_BUCKETS + 1)) << shift) / 1e6


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


cdef class Latencies:
    """The recent latencies of one node or of all.

    :ivar delay: seconds that the tracker's percentile took; negative until there are enough samples
    """

    def __cinit__(self):
        self.delay = -1.0
        self.turned_at = self.computed_at = -1.0

    cdef int turn(self, double now) noexcept:
        memcpy(self.before, self.current, sizeof(self.current))
        memset(self.current, 0, sizeof(self.current))
        self.before_count = self.current_count
        self.current_count = 0
        self.turned_at = now
        return 0

    cdef int record(self, LatencyTracker tracker, double seconds, double now) except -1:
        if self.turned_at < 0:
            self.turned_at = now
        elif now - self.turned_at >= tracker.window / 2 and self.current_count >= <uint64_t>tracker.min_samples:
            self.turn(now)
        self.current[bucket_of(seconds)] += 1
        self.current_count += 1
        if self.delay >= 0 and now - self.computed_at < RECOMPUTE_INTERVAL:
            return 0
        if self.current_count + self.before_count >= <uint64_t>tracker.min_samples:
            self.computed_at = now
            self.delay = min(max(self.percentile(tracker.share), tracker.min_delay), tracker.max_delay)
        return 0

    cdef double percentile(self, double share) noexcept:
        """Seconds that ``share`` of the latencies are below."""
        cdef double above = <double>(self.current_count + self.before_count) * (1.0 - share)
        cdef double seen = 0
        cdef int bucket
        for bucket in range(BUCKETS - 1, -1, -1):
            seen += self.current[bucket] + self.before[bucket]
            if seen > above:
                return end_of(bucket)
        return 0.0


cdef class LatencyTracker:
    """The recent latencies that a policy decides by. Concurrency: any thread that holds the interpreter's lock.

    :param share: of latencies that are below the delay, above 0, below 1
    :param per_host: keep each host's latencies apart
    :param min_samples: latencies to know before a delay is made of them, 1 or more
    :param window: seconds after which a latency is forgotten, if there are enough younger ones
    :param min_delay: seconds, 0 or more
    :param max_delay: seconds
    :param warm_up_delay: seconds, while there are too few samples; negative for no speculation until then
    """

    def __cinit__(self, double share, *, bint per_host, Py_ssize_t min_samples, double window, double min_delay,
                  double max_delay, double warm_up_delay):
        self.share = share
        self.per_host = per_host
        self.min_samples = min_samples
        self.window = window
        self.min_delay = min_delay
        self.max_delay = max_delay
        self.warm_up_delay = warm_up_delay
        self.of_all = Latencies()
        self.by_host = {}

    cdef Latencies latencies(self, object host):
        cdef Latencies found
        if not self.per_host:
            return self.of_all
        found = <Latencies>self.by_host.get(host)
        if found is None:
            if len(self.by_host) == MAX_HOSTS:
                del self.by_host[next(iter(self.by_host))]
            found = self.by_host[host] = Latencies()
        return found

    def record(self, host, double seconds, double now):
        """Count an attempt on ``host`` that took or waited ``seconds``; ``now`` is any clock's, always the same one."""
        self.latencies(host).record(self, seconds, now)

    def delay(self, host):
        """Seconds after which a request to ``host`` is late; negative while too little is known."""
        cdef double delay = self.latencies(host).delay
        return delay if delay >= 0 else self.warm_up_delay


cdef class PercentilePlan:
    """The plan of one request, in the driver's ``SpeculativeExecutionPlan`` interface; the executor feeds it.

    :param remaining: further nodes that it may ask, 1 or more
    """

    def __cinit__(self, LatencyTracker tracker not None, Py_ssize_t remaining):
        self.tracker = tracker
        self.remaining = remaining

    def next_execution(self, host):
        """Seconds until a further node is asked, counted from an attempt on ``host``; negative for never."""
        cdef double delay
        if self.remaining <= 0:
            return -1.0
        delay = self.tracker.delay(host)
        if delay >= 0:
            self.remaining -= 1
        return delay

    cdef int record(self, object host, double seconds, double now) except -1:
        return self.tracker.latencies(host).record(self.tracker, seconds, now)

    cdef int record_superseded(self, object host, double waited, double now) except -1:
        """Count an attempt that nobody awaits any more, after ``waited`` seconds."""
        cdef Latencies latencies = self.tracker.latencies(host)
        cdef double seconds = waited
        if 0 <= latencies.delay <= waited:
            # The bucket that ends with the delay: the percentile of a thousand such is the delay again.
            seconds = latencies.delay - 0.5e-6
        return latencies.record(self.tracker, seconds, now)
