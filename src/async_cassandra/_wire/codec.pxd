from async_cassandra._wire.buffer cimport WriteBuffer
from async_cassandra._wire.cqltypes cimport CqlType


cdef int refuse_masked(object value) except -1


cdef class Codec:
    cdef readonly CqlType cql_type
    # The values cannot be part of a reference cycle.
    cdef bint atomic
    # ``<`` is a total order of the values.
    cdef bint ordered
    # Values are immutable and dearer to make than to compare: equal bytes may become one object.
    cdef bint shared
    # Values are views of the bytes that they come in, see ``view``.
    cdef bint views
    # The bytes of values that cannot be read are shown to nobody.
    cdef bint secret

    cdef int write(self, WriteBuffer out, object value) except -1
    cdef object read(self, const unsigned char* at, Py_ssize_t size)
    cdef object view(self, bytes data, Py_ssize_t start, Py_ssize_t size)
    cdef int check_encoded(self, object data) except -1
    cdef str type_name(self)


cdef int raise_size(Codec codec, Py_ssize_t size) except -1
cdef object read_empty(Codec codec, Py_ssize_t size)
cdef int write_sized(WriteBuffer out, Codec codec, object value) except -1
