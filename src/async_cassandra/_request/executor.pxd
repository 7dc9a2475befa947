from libc.stdint cimport uint64_t

from async_cassandra._request.awaited cimport Wakeups
from async_cassandra._request.budget cimport Budget
from async_cassandra._watch.observer cimport Observer
from async_cassandra._request.flights cimport PrepareFlights
from async_cassandra._request.waiting cimport TimerQueue, WaitQueue
from async_cassandra._wire.responses cimport RowPlans


cdef class Executor:
    cdef readonly object loop
    cdef readonly Wakeups wakeups
    cdef readonly TimerQueue timers
    cdef readonly PrepareFlights flights
    cdef readonly RowPlans plans
    cdef readonly Budget budget
    # None if nobody watches.
    cdef public Observer observer
    # Host to its node's connections; load balancing policy to its Routes.
    cdef readonly dict nodes
    cdef readonly dict routes
    # Requests without a connection, and how many may be.
    cdef WaitQueue queue
    cdef public Py_ssize_t max_queued
    # Share of the timeout after which an idempotent request also asks another node.
    cdef public double attempt_fraction
    # What unqualified names mean from now on, and whether a request can name another keyspace.
    cdef public str keyspace
    cdef readonly bint can_name_keyspaces
    # What the text of each PREPARE ends with, beyond the statement.
    cdef public str statement_mark
    # Requests whose names mean what their connection's keyspace is; called when the last one ends.
    cdef Py_ssize_t relying
    cdef public object on_none_relying
    # Requests under way; called when the last one ends.
    cdef readonly Py_ssize_t running
    cdef public object on_idle
    # Further ones are refused; raises the reason, on another loop as well.
    cdef readonly bint closed
    cdef public object refuse
    # So far: page requests, repetitions, attempts beside a live one, and those that such a one made superfluous.
    cdef readonly uint64_t requests
    cdef readonly uint64_t retries
    cdef readonly uint64_t hedges
    cdef readonly uint64_t superseded

    cdef int release_keyspace(self) except -1
