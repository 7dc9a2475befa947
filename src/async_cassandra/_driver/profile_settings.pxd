cdef class ProfileSettings:
    cdef public object load_balancing_policy
    cdef public object retry_policy
    cdef public object consistency_level
    cdef public object serial_consistency_level
    cdef public object request_timeout
    cdef public object row_factory
    cdef public object speculative_execution_policy
    cdef public object is_idempotent


cdef ProfileSettings settings_of(profile)
