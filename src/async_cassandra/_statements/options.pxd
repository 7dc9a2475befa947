from async_cassandra._request.prepared cimport PreparedQuery


cdef class StatementOptions:
    cdef public object retry_policy
    cdef public object consistency_level
    cdef public object serial_consistency_level
    cdef public object fetch_size
    cdef public object custom_payload
    cdef public object is_idempotent
    cdef bint takes_no_default


cdef class PreparedOptions(StatementOptions):
    cdef public PreparedQuery prepared


cdef StatementOptions options_of(statement)
