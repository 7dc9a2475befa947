"""Codecs of collections, tuples and user-defined types.

Source: native protocol v5, section 6. Counts from the network are compared with the bytes that
are left before anything of that size is allocated.
"""

from cpython.bytes cimport PyBytes_FromStringAndSize
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE, PyList_New, PyList_SET_ITEM
from cpython.object cimport PyObject_Call
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE, PyTuple_New, PyTuple_SET_ITEM
from libc.stdint cimport int32_t

from async_cassandra._wire.buffer cimport Cursor, WriteBuffer, get_short, read_int, take, write_int
from async_cassandra._wire.codecs cimport (
    Codec, hide, is_one_value, ordered_length, part_codec, register, show, write_sized,
)
from async_cassandra._wire.cqltypes cimport COMPOSITE, LIST, MAP, SET, TUPLE, UDT, CqlType
from async_cassandra._wire.protocol cimport NULL_LENGTH

from async_cassandra._wire.errors import ProtocolError
from async_cassandra._wire.user_types import field_values, refused_fields

__all__ = ()

cdef extern from "Python.h":
    ctypedef object (*allocfunc)(PyTypeObject* kind, Py_ssize_t count)
    ctypedef struct PyTypeObject:
        allocfunc tp_alloc


# Items with an [int] length each

cdef int raise_null(Codec codec, str what) except -1:
    raise ValueError(f"{codec.cql_type} cannot hold null, and {what} is None")


cdef inline object read_item(Cursor* cursor, Codec codec):
    cdef Py_ssize_t size = read_int(cursor)
    if size < 0:
        return None
    return codec.read(take(cursor, size), size)


cdef Py_ssize_t read_count(Cursor* cursor, Codec codec, Py_ssize_t least) except -1:
    """Read a number of elements, each of which takes at least ``least`` bytes."""
    cdef Py_ssize_t count = read_int(cursor)
    if count < 0 or count > (cursor.end - cursor.at) // least:
        raise ProtocolError(
            f"{count} elements announced in {cursor.end - cursor.at} bytes of {codec.cql_type}"
        )
    return count


cdef int check_end(Cursor* cursor, Codec codec) except -1:
    if cursor.at != cursor.end:
        raise ProtocolError(f"{cursor.end - cursor.at} bytes after a value of {codec.cql_type}")
    return 0


cdef class ListCodec(Codec):
    """Layout: [int] count, then each element with its [int] length."""

    cdef Codec element

    def __cinit__(self, CqlType cql_type not None, tuple inner not None, *_):
        self.element = part_codec(inner, 0)

    cdef int write(self, WriteBuffer out, object value) except -1:
        cdef Py_ssize_t count, written = 0
        cdef Codec codec = self.element
        count = self.length_of(value)
        if count > 0x7FFFFFFF:
            raise ValueError(f"{self.cql_type} holds at most 2147483647 elements, got {count}")
        write_int(out, <int32_t>count)
        if type(value) is list:
            while written < PyList_GET_SIZE(value):
                # A reference of its own: what runs when it is written may take it out of the list.
                item = <object>PyList_GET_ITEM(value, written)
                self.write_item(out, codec, item, written)
                written += 1
        else:
            for item in value:
                self.write_item(out, codec, item, written)
                written += 1
        if written != count:
            raise ValueError(f"len() is {count}, but {written} elements came")
        return 0

    cdef Py_ssize_t length_of(self, object value) except -1:
        return ordered_length(value)

    cdef int write_item(self, WriteBuffer out, Codec codec, object item, Py_ssize_t index) except -1:
        if item is None:
            raise_null(self, f"element {index}")
        return write_sized(out, codec, item)

    cdef list read_items(self, const unsigned char* at, Py_ssize_t size):
        cdef Cursor cursor
        cdef Codec codec = self.element
        cdef Py_ssize_t index, count
        cdef list items
        cdef bint was_tracked
        cursor.at = at
        cursor.end = at + size
        count = read_count(&cursor, self, 4)
        items = PyList_New(count)
        was_tracked = hide(items)
        for index in range(count):
            item = read_item(&cursor, codec)
            Py_INCREF(item)
            PyList_SET_ITEM(items, index, item)
        show(items, was_tracked)
        check_end(&cursor, self)
        return items

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        if size == 0:
            return None
        return self.read_items(at, size)


# The driver's SortedSet looks at every item to place one that it cannot compare.
cdef Py_ssize_t MAX_SEARCHED = 500


cdef class SetCodec(ListCodec):
    """Written like a list; a SortedSet in Python.

    More than ``MAX_SEARCHED`` items without a total order stay in the server's.
    """

    cdef object make
    cdef object make_presorted

    def __cinit__(self, CqlType cql_type not None, tuple inner not None, python_types not None):
        self.make = python_types.sorted_set
        self.make_presorted = python_types.presorted_set

    cdef Py_ssize_t length_of(self, object value) except -1:
        if is_one_value(value):
            raise TypeError(f"a set or a sequence is required, not {type(value).__name__}")
        return len(value)

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        if size == 0:
            return None
        cdef list items = self.read_items(at, size)
        cdef bint ordered = self.element.ordered
        cdef Py_ssize_t index
        for item in items:
            ordered = ordered and item is not None
        if ordered:
            items.sort()
            for index in range(1, PyList_GET_SIZE(items)):
                if items[index - 1] == items[index]:
                    return self.make(items)
        elif PyList_GET_SIZE(items) <= MAX_SEARCHED:
            return self.make(items)
        return self.make_presorted(items)


cdef class MapCodec(Codec):
    """Layout: [int] count, then key and value, each with its [int] length."""

    cdef Codec key
    cdef Codec value
    cdef object make
    cdef object make_key

    def __cinit__(self, CqlType cql_type not None, tuple inner not None, python_types not None):
        self.key = part_codec(inner, 0)
        self.value = part_codec(inner, 1)
        self.make = python_types.ordered_map
        self.make_key = python_types.map_key(self.key.cql_type)

    cdef int write(self, WriteBuffer out, object value) except -1:
        cdef Py_ssize_t count, written = 0
        cdef Codec key_codec = self.key
        cdef Codec value_codec = self.value
        if not hasattr(value, "items"):
            raise TypeError(f"a mapping is required, not {type(value).__name__}")
        count = len(value)
        if count > 0x7FFFFFFF:
            raise ValueError(f"{self.cql_type} holds at most 2147483647 entries, got {count}")
        write_int(out, <int32_t>count)
        for key, item in value.items():
            if key is None:
                raise_null(self, "a key")
            if item is None:
                raise_null(self, f"the value of key {key!r}")
            write_sized(out, key_codec, key)
            write_sized(out, value_codec, item)
            written += 1
        if written != count:
            raise ValueError(f"len() is {count}, but {written} entries came")
        return 0

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        cdef Cursor cursor
        cdef Py_ssize_t index, length
        cdef const unsigned char* start
        cdef list items = []
        cdef dict positions = {}
        if size == 0:
            return None
        cursor.at = at
        cursor.end = at + size
        for index in range(read_count(&cursor, self, 8)):
            key = flat_key = None
            length = read_int(&cursor)
            if length >= 0:
                start = take(&cursor, length)
                flat_key = PyBytes_FromStringAndSize(<const char*>start, length)
                key = self.key.read(start, length)
            items.append((key, read_item(&cursor, self.value)))
            positions[flat_key] = index
        check_end(&cursor, self)
        return self.make(self.make_key, items, positions)


# Tuples and user-defined types

cdef class TupleCodec(Codec):
    """Layout: each field with its [int] length, -1 for null; trailing fields may be missing.

    Bytes after the last field belong to fields that this type does not know (ALTER TYPE ADD).
    """

    cdef tuple codecs

    def __cinit__(self, CqlType cql_type not None, tuple inner not None, *_):
        for codec in inner:
            (<Codec?>codec)
        self.codecs = inner

    cdef Codec codec_at(self, Py_ssize_t index):
        return <Codec>PyTuple_GET_ITEM(self.codecs, index)

    cdef int write_field(self, WriteBuffer out, Py_ssize_t index, object item) except -1:
        if item is None:
            return write_int(out, NULL_LENGTH)
        return write_sized(out, self.codec_at(index), item)

    cdef int write(self, WriteBuffer out, object value) except -1:
        cdef Py_ssize_t index = 0
        cdef Py_ssize_t most = PyTuple_GET_SIZE(self.codecs)
        self.check_count(ordered_length(value))
        for item in value:
            if index < most:
                self.write_field(out, index, item)
            index += 1
        return self.check_count(index)

    cdef int check_count(self, Py_ssize_t count) except -1:
        cdef Py_ssize_t most = PyTuple_GET_SIZE(self.codecs)
        if count < most:
            raise ValueError(
                f"{self.cql_type} has {most} elements, and element {count} is missing: None writes a null"
            )
        if count > most:
            raise ValueError(f"{self.cql_type} has {most} elements, got {count}")
        return 0

    cdef object fill(self, object row, const unsigned char* at, Py_ssize_t size):
        """Put the fields into ``row``, a tuple of their number without items."""
        cdef Cursor cursor
        cdef Py_ssize_t index
        cdef bint was_tracked = hide(row)
        cursor.at = at
        cursor.end = at + size
        for index in range(PyTuple_GET_SIZE(self.codecs)):
            item = None
            if cursor.at != cursor.end:
                item = read_item(&cursor, self.codec_at(index))
            Py_INCREF(item)
            PyTuple_SET_ITEM(row, index, item)
        show(row, was_tracked)
        return row

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        if size == 0:
            return None
        return self.fill(PyTuple_New(PyTuple_GET_SIZE(self.codecs)), at, size)


cdef class CompositeCodec(TupleCodec):
    """Layout: each element with its [short] length and an end-of-component byte; read only."""

    cdef int write(self, WriteBuffer out, object value) except -1:
        return Codec.write(self, out, value)

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        cdef Cursor cursor
        cdef Py_ssize_t index, length
        cdef const unsigned char* start
        cdef list items = []
        if size == 0:
            return None
        cursor.at = at
        cursor.end = at + size
        for index in range(PyTuple_GET_SIZE(self.codecs)):
            if cursor.at == cursor.end:
                break
            length = get_short(take(&cursor, 2))
            start = take(&cursor, length)
            take(&cursor, 1)
            items.append(self.codec_at(index).read(start, length))
        return tuple(items)


cdef class UserTypeCodec(TupleCodec):
    """A user-defined type: its registered class, else a named tuple, else a tuple."""

    cdef object python_class
    cdef object tuple_class

    def __cinit__(self, CqlType cql_type not None, tuple inner not None, python_types not None):
        self.tuple_class = python_types.user_tuple(cql_type)
        if self.tuple_class is not None and not issubclass(self.tuple_class, tuple):
            raise TypeError(f"{self.tuple_class!r} is not a tuple type")

    def register(self, python_class):
        """Decode to ``python_class(field=value, ...)`` from now on; ``None``: to named tuples."""
        self.python_class = python_class

    cdef int write(self, WriteBuffer out, object value) except -1:
        cdef Py_ssize_t index
        cdef list values = field_values(value, self.cql_type.field_names, self.cql_type)
        for index in range(PyTuple_GET_SIZE(self.codecs)):
            self.write_field(out, index, values[index])
        return 0

    cdef object make(self, tuple values):
        """An instance of the registered class."""
        fields = dict(zip(self.cql_type.field_names, values))
        try:
            return PyObject_Call(self.python_class, (), fields)
        except TypeError as error:
            refused = refused_fields(self.python_class, fields)
            if not refused:
                raise
            raise TypeError(
                f"{self.python_class.__qualname__}, registered for {self.cql_type}, "
                f"does not accept the field {', '.join(map(repr, refused))}: {error}"
            ) from error

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        cdef Py_ssize_t count = PyTuple_GET_SIZE(self.codecs)
        if size == 0:
            return None
        if self.python_class is not None:
            return self.make(self.fill(PyTuple_New(count), at, size))
        if self.tuple_class is None:
            return self.fill(PyTuple_New(count), at, size)
        cdef PyTypeObject* kind = <PyTypeObject*>self.tuple_class
        return self.fill(kind.tp_alloc(kind, count), at, size)


register(LIST, ListCodec)
register(SET, SetCodec)
register(MAP, MapCodec)
register(TUPLE, TupleCodec)
register(COMPOSITE, CompositeCodec)
register(UDT, UserTypeCodec)
