cimport cython

from async_cassandra._wire.buffer cimport WriteBuffer
from async_cassandra._wire.cqltypes cimport CqlType


cdef extern from "Python.h":
    bint PyObject_GC_IsTracked(object instance)
    void PyObject_GC_Track(void* instance)
    void PyObject_GC_UnTrack(void* instance)


cdef int register(int code, object codec_class) except -1
cdef int register_scalar(
    int code, str name, str marshal_classes, object codec_class, object value_class, Py_ssize_t fixed_size=*
) except -1

cdef int refuse_masked(object value) except -1
cdef bint is_one_value(object value) except -1
cdef Py_ssize_t ordered_length(object value) except -1


# What is being filled has places without an item, and making the items may run any code.

cdef inline bint hide(object container) noexcept:
    """Keep a container from those who look for objects through ``gc``; return whether it was to be found."""
    cdef bint was_tracked = PyObject_GC_IsTracked(container)
    PyObject_GC_UnTrack(<void*>container)
    return was_tracked


cdef inline void show(object container, bint was_tracked) noexcept:
    if was_tracked:
        PyObject_GC_Track(<void*>container)


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
cdef Codec part_codec(tuple inner, Py_ssize_t index)


@cython.final
cdef class CodecRegistry:
    # The PythonTypes; (keyspace, name) of a user-defined type -> its registered class.
    cdef readonly object python_types
    cdef readonly dict user_types
    # Knows the columns that the client encrypts; None without such columns.
    cdef readonly object encryption
    # Of types; of encrypted columns, by all that their codec depends on.
    cdef dict codecs
    cdef dict encrypted

    cpdef Codec codec(self, CqlType cql_type)
    cpdef Codec column_codec(self, str keyspace, str table, str name, CqlType cql_type)
    cdef Codec parameter_codec(self, str keyspace, str table, str name, CqlType cql_type, bint is_marker)
    cdef Codec build(self, CqlType cql_type)
