from libc.stdint cimport uint64_t

from async_cassandra._wire.buffer cimport WriteBuffer


cdef int write_vint(WriteBuffer out, uint64_t value) except -1
cdef uint64_t read_vint(const unsigned char** at, const unsigned char* end) except? 1
