cimport cython

from async_cassandra._wire.codec cimport Codec
from async_cassandra._wire.cqltypes cimport CqlType


@cython.final
cdef class CodecRegistry:
    cdef readonly object python_types
    cdef readonly dict user_types
    cdef readonly object encryption
    cdef dict codecs
    cdef dict encrypted

    cpdef Codec codec(self, CqlType cql_type)
    cpdef Codec column_codec(self, str keyspace, str table, str name, CqlType cql_type)
    cdef Codec parameter_codec(self, str keyspace, str table, str name, CqlType cql_type, bint is_marker)
    cdef Codec build(self, CqlType cql_type)
