from libc.stdint cimport uint64_t

from async_cassandra._watch.latencies cimport RecentHistogram
from async_cassandra._watch.observer cimport Observer
from async_cassandra._request.request cimport Request


cpdef Py_ssize_t parameter_count(Request request) except -1


cdef class RequestStats(Observer):
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

    cdef int time_one(self, bint is_prepared, double now, double seconds, error_type) except -1
    cdef int keep(self, Request request, double now, double seconds, error_type) except -1
    cdef object key_of(self, Request request)
