from libc.stdint cimport int64_t


cdef int64_t murmur3_token(const unsigned char* data, Py_ssize_t size) noexcept nogil
