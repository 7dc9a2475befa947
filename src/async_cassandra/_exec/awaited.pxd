from async_cassandra._exec.routes cimport Routed


cdef class Awaited(Routed):
    cdef readonly object future
    cdef bint is_answered
    cdef bint has_failed

    cdef int answer(self, object result) except -1
    cdef int refuse(self, object exception) except -1
