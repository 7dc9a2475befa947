from libc.stdint cimport int64_t

from async_cassandra._exec.queue cimport QueueEntry
from async_cassandra._net.connection cimport Connection, NodeConnections


cdef class Routes:
    cdef readonly tuple nodes
    cdef readonly Py_ssize_t local_count
    cdef readonly dict rings
    cdef readonly bint rotates
    cdef object want_keyspace
    cdef Py_ssize_t turn

    cdef tuple replicas(self, str keyspace, int64_t token)


cdef class PolicyPlan:
    cdef object hosts
    cdef dict nodes
    cdef set given
    cdef Py_ssize_t unread

    cdef NodeConnections next_node(self)


cdef class Routed(QueueEntry):
    cdef public int64_t token
    cdef public bint has_token
    cdef public str routing_keyspace
    cdef tuple replicas
    cdef tuple others
    cdef Py_ssize_t replica_index
    cdef Py_ssize_t other_index
    cdef Py_ssize_t other_start
    cdef Py_ssize_t local_count
    cdef list suspects
    cdef PolicyPlan plan

    cdef int follow(self, tuple nodes) except -1
    cdef int follow_plan(self, PolicyPlan plan) except -1
    cdef int follow_routes(self, Routes routes) except -1
    cdef NodeConnections next_node(self)
    cdef Connection next_connection(self)
    cdef bint leaves_out(self, NodeConnections node) except -1
