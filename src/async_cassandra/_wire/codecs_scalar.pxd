cdef object read_big_integer(const unsigned char* at, Py_ssize_t size, bint is_signed)
cdef double get_double(const unsigned char* at) noexcept nogil
cdef double get_float(const unsigned char* at) noexcept nogil
cdef int put_double(unsigned char* at, double value) noexcept nogil
cdef int put_float(unsigned char* at, double value) except -1
