cimport cython

from async_cassandra._wire.buffer cimport Cursor


cpdef enum TypeCode:
    CUSTOM = 0x0000
    ASCII = 0x0001
    BIGINT = 0x0002
    BLOB = 0x0003
    BOOLEAN = 0x0004
    COUNTER = 0x0005
    DECIMAL = 0x0006
    DOUBLE = 0x0007
    FLOAT = 0x0008
    INT = 0x0009
    TEXT = 0x000A
    TIMESTAMP = 0x000B
    UUID = 0x000C
    VARCHAR = 0x000D
    VARINT = 0x000E
    TIMEUUID = 0x000F
    INET = 0x0010
    DATE = 0x0011
    TIME = 0x0012
    SMALLINT = 0x0013
    TINYINT = 0x0014
    DURATION = 0x0015
    LIST = 0x0020
    MAP = 0x0021
    SET = 0x0022
    UDT = 0x0030
    TUPLE = 0x0031
    # Sent as custom types, by the name of their marshal class.
    VECTOR = 0x10001
    COMPOSITE = 0x10002


@cython.final
cdef class CqlType:
    # A TypeCode; the name in CQL, a user-defined type's own, or a custom type's class name.
    cdef readonly int code
    cdef readonly str name
    # Of the elements, of key and value, or of the fields.
    cdef readonly tuple subtypes
    # Of a user-defined type: a str, and a name for each field; else None and empty.
    cdef readonly object keyspace
    cdef readonly tuple field_names
    # Elements of a vector, else 0.
    cdef readonly Py_ssize_t dimension
    # Bytes of each value inside a vector; -1 if they differ, or if the vector has them before each.
    cdef readonly Py_ssize_t fixed_size
    cdef Py_hash_t hash_value


cdef int add_scalar(int code, str name, str marshal_classes, Py_ssize_t fixed_size) except -1
cdef CqlType read_type(Cursor* cursor)
cpdef CqlType parse_class_name(str class_name)
