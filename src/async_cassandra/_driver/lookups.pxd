from libc.stdint cimport int64_t


cdef class TokenRing:
    # Ends of the ranges, ascending, and how many; of each range the tuple of its replicas.
    cdef int64_t *tokens
    cdef Py_ssize_t size
    cdef tuple owners

    cdef int fill(self, list ordered) except -1
    cpdef tuple replicas(self, int64_t token)


# As the driver's ExecutionProfile has them; the last one is of this library: a bool, None for unsaid.
cdef class ProfileSettings:
    cdef public object load_balancing_policy
    cdef public object retry_policy
    cdef public object consistency_level
    cdef public object serial_consistency_level
    # Seconds; None for no limit.
    cdef public object request_timeout
    cdef public object row_factory
    cdef public object speculative_execution_policy
    cdef public object is_idempotent


cdef ProfileSettings copied_settings(profile)


cdef inline ProfileSettings settings_of(profile):
    """The settings as they are now: the profile itself where it is one of ours, else a copy of its attributes."""
    return <ProfileSettings>profile if isinstance(profile, ProfileSettings) else copied_settings(profile)
