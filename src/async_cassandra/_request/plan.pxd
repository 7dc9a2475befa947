from libc.stdint cimport int64_t

from async_cassandra._net.connection cimport Connection, NodeConnections
from async_cassandra._request.call cimport Call


cdef class PolicyPlan:
    # The policy's iterator; host to node; the nodes that were given already.
    cdef object hosts
    cdef dict nodes
    cdef set given
    # Hosts that may still be read.
    cdef Py_ssize_t unread

    cdef NodeConnections next_node(self)


cdef class Plan:
    # The nodes that have the row; then all, of which so many take turns, from one of them on.
    cdef tuple replicas
    cdef tuple others
    cdef Py_ssize_t local_count
    cdef Py_ssize_t other_start
    # The place of what comes next in each.
    cdef Py_ssize_t replica_index
    cdef Py_ssize_t other_index
    # What comes after them, or instead.
    cdef PolicyPlan policy_plan
    # Nodes that were passed over because they owe answers.
    cdef list suspects

    cdef NodeConnections next_node(self)
    cdef Connection next_connection(self, set left_out)


cdef Plan new_plan(tuple replicas, tuple others, PolicyPlan policy_plan)


cdef class Routes:
    # All, of which the first so many take turns.
    cdef readonly tuple nodes
    cdef readonly Py_ssize_t local_count
    # Keyspace to TokenRing, None if the policy does not look at tokens; called with a keyspace that has none yet.
    cdef readonly dict rings
    cdef object want_keyspace
    # Whether to start with another replica each time.
    cdef readonly bint rotates
    # Plans so far: each begins with another node.
    cdef Py_ssize_t plans

    cdef tuple replicas(self, str keyspace, int64_t token)
    cdef Plan plan(self, Call call)
