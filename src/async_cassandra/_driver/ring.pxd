from libc.stdint cimport int64_t


cdef class TokenRing:
    cdef int64_t *tokens
    cdef Py_ssize_t size
    cdef tuple owners

    cdef int fill(self, list ordered) except -1
    cpdef tuple replicas(self, int64_t token)
