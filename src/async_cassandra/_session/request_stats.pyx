"""What the requests of sessions came to, counted as they finish: about 0.3 µs for each."""

cimport cython
from cpython.time cimport monotonic
from libc.stdint cimport uint64_t

from async_cassandra._watch.latencies cimport Histogram, RecentHistogram
from async_cassandra._watch.observer cimport Observer
from async_cassandra._request.request cimport Request
from async_cassandra._wire.protocol cimport Opcode
from async_cassandra._wire.requests cimport Query

# An application's policies may raise exceptions of any class: further ones are counted together.
DEF MAX_REASONS = 100
# Queries counted by the object or text that they are, before they are counted by name.
DEF MAX_KEYS = 512
# Characters of a query that is kept to be named later; a longer one is named at once.
DEF LONGEST_KEY = 4096


cdef int count(dict counts, str reason) except -1:
    if reason not in counts and len(counts) >= MAX_REASONS:
        reason = "other"
    counts[reason] = counts.get(reason, 0) + 1
    return 0


@cython.nonecheck(True)
cpdef Py_ssize_t parameter_count(Request request) except -1:
    """How many values an EXECUTE sends; 0 for other requests."""
    cdef bytes values
    if request.message.opcode != Opcode.EXECUTE:
        return 0
    values = (<Query>request.message).values
    if values is None or len(values) < 2:
        return 0
    return (<Py_ssize_t><unsigned char>values[0] << 8) | <unsigned char>values[1]


cdef class RequestStats(Observer):
    """Counters and durations; a PREPARE counts as such only.

    :param records: a bounded deque that gets ``(key, end, seconds, error type, parameters, rows)`` of each request;
        ``None`` for none, and no counts by query. The end is the monotonic clock's. A key is a prepared query, a
        CQL string, or a tuple of a name
    :param name_of: the name of a CQL string
    :param on_full: called when ``query_counts`` has so many keys that they must be counted by name instead
    :ivar first: when the first request finished, by the monotonic clock; negative before
    """

    cdef readonly uint64_t started
    cdef readonly uint64_t finished
    cdef readonly uint64_t queued
    cdef readonly uint64_t prepares
    cdef readonly uint64_t attempts
    cdef readonly uint64_t speculations
    cdef readonly uint64_t speculative_wins
    cdef readonly uint64_t pages
    cdef readonly uint64_t rows
    cdef readonly uint64_t connections_opened
    cdef readonly uint64_t connections_lost
    cdef readonly dict errors
    cdef readonly dict retries
    cdef readonly dict query_counts
    cdef readonly RecentHistogram recent
    cdef readonly object records
    cdef readonly double first
    cdef list histograms
    cdef object name_of
    cdef object on_full

    def __init__(self, records=None, name_of=None, on_full=None):
        self.records = records
        self.name_of = name_of
        self.on_full = on_full

    def __cinit__(self, *_, **__):
        self.errors = {}
        self.retries = {}
        self.query_counts = {}
        self.recent = RecentHistogram()
        self.histograms = [Histogram(), Histogram(), Histogram(), Histogram()]
        self.first = -1.0

    def histogram(self, bint is_prepared, bint failed):
        """The durations of prepared or other requests that succeeded or failed."""
        return self.histograms[2 * is_prepared + failed]

    def durations(self):
        """The durations of all, of all time."""
        cdef Histogram merged = Histogram()
        for histogram in self.histograms:
            merged.merge(histogram)
        return merged

    cpdef on_started(self, request):
        self.started += 1

    cpdef on_queued(self, request):
        self.queued += 1

    cpdef on_sent(self, request, str endpoint, bint is_speculative):
        self.attempts += 1
        self.speculations += is_speculative

    cpdef on_retried(self, request, error, double delay):
        count(self.retries, type(error).__name__)

    cpdef on_finished(self, request, error, double seconds):
        cdef Request done = <Request?>request
        cdef double now
        cdef bint failed = error is not None
        self.finished += 1
        self.pages += done.pages
        self.rows += done.row_count
        self.speculative_wins += done.speculation_won and not failed
        if done.message is not None and done.message.opcode == Opcode.PREPARE:
            self.prepares += 1
            return
        now = monotonic()
        error_type = type(error).__name__ if failed else None
        self.time_one(done.call.prepared is not None, now, seconds, error_type)
        if self.records is not None:
            self.keep(done, now, seconds, error_type)

    cpdef on_connection_opened(self, str endpoint):
        self.connections_opened += 1

    cpdef on_connection_lost(self, str endpoint, error):
        self.connections_lost += 1

    def record(self, bint is_prepared, double now, double seconds, error_type):
        """Count a query that was measured elsewhere."""
        self.finished += 1
        self.time_one(is_prepared, now, seconds, error_type)

    cdef int time_one(self, bint is_prepared, double now, double seconds, error_type) except -1:
        cdef bint failed = error_type is not None
        if self.first < 0 or now < self.first:
            self.first = now
        (<Histogram>self.histograms[2 * is_prepared + failed]).add(seconds)
        self.recent.add(now, seconds, failed)
        if failed:
            count(self.errors, error_type)
        return 0

    cdef int keep(self, Request request, double now, double seconds, error_type) except -1:
        key = self.key_of(request)
        self.records.append((key, now, seconds, error_type, parameter_count(request), request.row_count))
        self.query_counts[key] = self.query_counts.get(key, 0) + 1
        if len(self.query_counts) > MAX_KEYS:
            self.on_full()
        return 0

    cdef object key_of(self, Request request):
        cdef str text
        if request.call.prepared is not None:
            return request.call.prepared
        if request.message.opcode != Opcode.QUERY:
            return "BATCH"
        text = (<Query>request.message).query
        return text if len(text) <= LONGEST_KEY else (self.name_of(text),)
