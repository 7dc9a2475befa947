from libc.stdint cimport uint64_t

from async_cassandra._exec.awaited cimport Wakeups
from async_cassandra._exec.budget cimport Budget
from async_cassandra._exec.observer cimport Observer
from async_cassandra._exec.prepared cimport PrepareFlights
from async_cassandra._exec.queue cimport WaitQueue
from async_cassandra._net.timers cimport TimerQueue
from async_cassandra._wire.responses cimport RowPlans


cdef class Executor:
    cdef readonly object loop
    cdef readonly Wakeups wakeups
    cdef public object refuse
    cdef readonly TimerQueue timers
    cdef readonly dict nodes
    cdef readonly dict routes
    cdef readonly RowPlans plans
    cdef public object faults
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

    cdef int free_place(self) except -1
    cdef int let_go_of_keyspace(self) except -1
