from libc.stdint cimport int64_t

from async_cassandra._net.connection cimport Connection
from async_cassandra._request.prepared cimport PreparedQuery
from async_cassandra._wire.requests cimport Message


cdef class CallOptions:
    # The driver's resolved ExecutionProfile.
    cdef readonly object profile
    # Have the server trace it.
    cdef public bint trace
    # For a custom query handler of the server: str to bytes.
    cdef public dict custom_payload
    # Seconds for each page, infinite for no limit; None takes the profile's.
    cdef public object timeout
    # Where to go on; None for the first page.
    cdef public bytes paging_state
    # The only nodes to ask, in this order; None leaves the choice to the policy.
    cdef public tuple pinned
    # Whether the pages after the first are part of it.
    cdef public bint wants_all
    # Whether rows are read in their order, so that each page's lengths are checked as they are.
    cdef public bint is_stream
    # Rows for each page; None takes the statement's.
    cdef public object fetch_size
    # What is made of rows; None takes the profile's.
    cdef public object row_factory


cdef class Call:
    cdef readonly CallOptions options
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
    # Whether it may be applied twice.
    cdef readonly bint idempotent
    cdef readonly object retry_policy
    # None where no other node is to be asked too.
    cdef readonly object speculative_policy
    # Seconds for each page, infinite for no limit.
    cdef readonly double timeout
    cdef readonly object row_factory
    cdef readonly bint as_tuples

    cdef int name_keyspace(self, Message message, Connection connection) except -1
