cimport cython

from async_cassandra._wire.codec cimport Codec
from async_cassandra._wire.cqltypes cimport CqlType


@cython.final
cdef class CodecRegistry:
    cdef readonly object python_types
    cdef readonly dict user_types
    cdef dict codecs

    cpdef Codec codec(self, CqlType cql_type)
    cdef Codec build(self, CqlType cql_type)
