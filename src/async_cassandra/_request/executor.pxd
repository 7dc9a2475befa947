from libc.stdint cimport uint64_t

from async_cassandra._request.awaited cimport Wakeups
from async_cassandra._request.budget cimport Budget
from async_cassandra._watch.observer cimport Observer
from async_cassandra._request.call cimport Call
from async_cassandra._request.flights cimport PrepareFlights
from async_cassandra._request.plan cimport Plan
from async_cassandra._request.queue cimport WaitQueue
from async_cassandra._request.timers cimport TimerQueue
from async_cassandra._wire.responses cimport RowPlans


cdef class Executor:
    cdef readonly object loop
    cdef readonly Wakeups wakeups
    cdef public object refuse
    cdef readonly TimerQueue timers
    cdef readonly dict nodes
    cdef readonly dict routes
    cdef readonly RowPlans plans
    cdef public str keyspace
    cdef readonly bint can_name_keyspaces
    cdef public str statement_mark
    cdef Py_ssize_t relying
    cdef public object on_none_relying
    cdef public Py_ssize_t max_queued
    cdef public double attempt_fraction
    cdef readonly Budget budget
    cdef public Observer observer
    cdef WaitQueue queue
    cdef readonly Py_ssize_t running
    cdef readonly bint closed
    cdef readonly uint64_t requests
    cdef readonly uint64_t retries
    cdef readonly uint64_t hedges
    cdef readonly uint64_t superseded
    cdef public object on_idle
    cdef readonly PrepareFlights flights

    cdef Plan plan(self, Call call)
    cdef int release_place(self) except -1
    cdef int release_keyspace(self) except -1
