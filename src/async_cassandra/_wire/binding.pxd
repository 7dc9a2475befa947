cimport cython
from libc.stdint cimport int64_t

from async_cassandra._wire.buffer cimport WriteBuffer


@cython.final
@cython.no_gc
cdef class BoundValues:
    # [short] count and the [value]s.
    cdef readonly bytes payload
    # What they were bound with; None for no values at all.
    cdef readonly BindPlan plan
    # The partition's Murmur3 token, if they tell it.
    cdef bint has_token
    cdef int64_t token_value


@cython.final
cdef class BindPlan:
    # A Column for each parameter, its codec, and how many there are, 0 to 65535.
    cdef readonly tuple columns
    cdef tuple codecs
    cdef Py_ssize_t count
    # Positions of the partition key's parameters, in its order; None if they are not all parameters.
    cdef readonly tuple partition_key_indexes
    # The value that leaves a column as it is.
    cdef readonly object unset

    cdef int write_values(self, WriteBuffer out, object values, bint partial) except -1
    cdef list in_order(self, object values)
    cdef list by_name(self, object values)
    cdef int check_names(self, object values, list missing) except -1
    cdef int write_value(self, WriteBuffer out, Py_ssize_t index, object value) except -1
    cdef object parameter_error(self, Py_ssize_t index, error, value)
    cdef BoundValues finish(self, WriteBuffer out)
    cdef bint find_token(
        self, const unsigned char* at, Py_ssize_t size, int64_t* token
    ) except -1
    cdef int check_encoded(self, Py_ssize_t index, object value) except -1
    cdef int check_count(self, Py_ssize_t count, bint partial=*) except -1
    cdef bint write_routing_key(self, WriteBuffer key, const unsigned char* at) except -1
    cdef bytes find_routing_key(self, bytes payload)
    cpdef BoundValues bind(self, values, bint partial=*)
    cpdef BoundValues bind_encoded(self, values)
