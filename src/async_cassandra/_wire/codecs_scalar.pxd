cdef double get_double(const unsigned char* at) noexcept nogil
cdef double get_float(const unsigned char* at) noexcept nogil
cdef int put_double(unsigned char* at, double value) noexcept nogil
cdef int put_float(unsigned char* at, double value) except -1
cdef object as_int(object value)
cdef str as_str(object value)
cdef double as_double(object value) except? -1
