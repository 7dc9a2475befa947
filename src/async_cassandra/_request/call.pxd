from libc.stdint cimport int64_t

from async_cassandra._net.connection cimport Connection
from async_cassandra._request.prepared cimport PreparedQuery
from async_cassandra._wire.requests cimport Message


cdef class Call:
    # What the user gave, for the policies.
    cdef readonly object statement
    # The query behind an EXECUTE; those behind a batch's entries, by their ids.
    cdef readonly PreparedQuery prepared
    cdef readonly dict batched
    # What unqualified names mean, and whether its message has any: a prepared query says it with its id.
    cdef readonly str keyspace
    cdef readonly bint names_keyspace
    # Where the row is: for policies, and for the token's replicas.
    cdef readonly str routing_keyspace
    cdef readonly int64_t token
    cdef readonly bint has_token
    cdef readonly object load_balancing_policy
    # The only nodes to ask; None leaves the choice to the policy.
    cdef readonly tuple pinned
    # Whether it may be applied twice.
    cdef readonly bint idempotent
    cdef readonly object retry_policy
    # None where no other node is to be asked too.
    cdef readonly object speculative_policy
    # Seconds for each page, infinite for no limit.
    cdef readonly double timeout
    # Whether the pages after the first are part of it; whether they are read as a stream.
    cdef readonly bint wants_all
    cdef readonly bint is_stream
    cdef readonly object row_factory
    cdef readonly bint as_tuples

    cdef int name_keyspace(self, Message message, Connection connection) except -1
