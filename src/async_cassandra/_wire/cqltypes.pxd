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
    cdef readonly int code
    cdef readonly str name
    cdef readonly tuple subtypes
    cdef readonly object keyspace
    cdef readonly tuple field_names
    cdef readonly Py_ssize_t dimension
    cdef readonly Py_ssize_t fixed_size
    cdef Py_hash_t hash_value


cdef CqlType read_type(Cursor* cursor)
cpdef CqlType parse_class_name(str class_name)
