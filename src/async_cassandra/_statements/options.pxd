from async_cassandra._request.prepared cimport PreparedQuery


cdef class StatementOptions:
    # Each as the driver's statements have it; None leaves it to the execution profile, FETCH_SIZE_UNSET too.
    cdef public object retry_policy
    cdef public object consistency_level
    cdef public object serial_consistency_level
    cdef public object fetch_size
    cdef public object custom_payload
    cdef public object is_idempotent
    # Whether False may mean that nothing was said, so that the profile's yes does not count.
    cdef bint takes_no_default


cdef class PreparedOptions(StatementOptions):
    cdef public PreparedQuery prepared


cdef StatementOptions copied_options(statement)


cdef inline StatementOptions options_of(statement):
    """The options of any statement: itself if it is one of these classes, else a copy of its attributes."""
    return <StatementOptions>statement if isinstance(statement, StatementOptions) else copied_options(statement)
