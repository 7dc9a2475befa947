from libc.stdint cimport int64_t


cdef class Routes:
    cdef readonly tuple nodes
    cdef readonly Py_ssize_t local_count
    cdef readonly dict rings
    cdef readonly bint rotates
    cdef object want_keyspace
    cdef Py_ssize_t turn

    cdef tuple replicas(self, str keyspace, int64_t token)
