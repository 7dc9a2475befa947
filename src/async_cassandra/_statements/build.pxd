from libc.stdint cimport int64_t, uint8_t

from async_cassandra._driver.lookups cimport ProfileSettings
from async_cassandra._request.call cimport Call, CallOptions
from async_cassandra._request.executor cimport Executor
from async_cassandra._request.prepared cimport PreparedQuery
from async_cassandra._request.request cimport Request
from async_cassandra._statements.options cimport StatementOptions
from async_cassandra._wire.binding cimport BoundValues
from async_cassandra._wire.requests cimport Message, Query, Statement


cdef class RequestBuilder:
    cdef readonly Executor executor
    # The protocol's.
    cdef readonly uint8_t version
    # Rows for each page of statements that set none, 0 for no pages.
    cdef public int default_fetch_size
    # Gives microseconds since 1970; None leaves them to the servers. And the one given last.
    cdef public object timestamps
    cdef int64_t last_timestamp
    # Whether a write's CQL may show that it is idempotent.
    cdef public bint infers_idempotence

    cpdef Request execute(self, statement, PreparedQuery prepared, BoundValues bound, CallOptions options)
    cdef bint may_repeat(self, int repetition, StatementOptions own, ProfileSettings settings) except -1
    cdef int64_t next_timestamp(self) except? -1
    cdef int set_level(self, Statement message, StatementOptions own, ProfileSettings settings, bint is_read) except -1
    cdef int set_paging(self, Query message, StatementOptions own, CallOptions options) except -1
    cdef Call new_call(self, statement, CallOptions options, str keyspace, str text)
    cdef int set_routing(self, Call call, statement, str keyspace) except -1
    cdef Request request(self, Message message, Call call, StatementOptions own, ProfileSettings settings)
