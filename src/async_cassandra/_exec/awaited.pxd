from async_cassandra._exec.routes cimport Routed


cdef class Awaited(Routed):
    cdef readonly object future
    cdef bint is_answered
