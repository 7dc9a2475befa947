"""Codecs of collections, tuples, user-defined types and vectors.

Source: native protocol v5, section 6. Counts from the network are compared with the bytes that
are left before anything of that size is allocated.
"""

from array import array
from collections.abc import Mapping

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.float cimport PyFloat_FromDouble
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE, PyList_New, PyList_SET_ITEM
from cpython.object cimport PyObject_Call
from cpython.ref cimport Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE, PyTuple_New, PyTuple_SET_ITEM
from libc.stdint cimport int32_t, uint32_t, uint64_t
from libc.string cimport memcpy

from async_cassandra._wire.buffer cimport (
    Cursor, WriteBuffer, get_short, put_int, put_long, read_int, reserve, take, write_int,
    write_raw,
)
from async_cassandra._wire.codec cimport Codec, raise_size, refuse_masked, write_sized
from async_cassandra._wire.codecs_scalar cimport as_double, get_double, get_float, put_float
from async_cassandra._wire.cqltypes cimport BIGINT, DOUBLE, FLOAT, INT, CqlType
from async_cassandra._wire.vint cimport read_vint, write_vint

from async_cassandra._wire.errors import ProtocolError
from async_cassandra._wire.user_types import field_values, refused_fields

cdef extern from "Python.h":
    ctypedef object (*allocfunc)(PyTypeObject* kind, Py_ssize_t count)
    ctypedef struct PyTypeObject:
        allocfunc tp_alloc
    bint PyObject_CheckBuffer(object value)
    bint PyObject_GC_IsTracked(object instance)
    void PyObject_GC_Track(void* instance)
    void PyObject_GC_UnTrack(void* instance)
    int PyObject_GetBuffer(object value, Py_buffer* view, int flags) except -1
    void PyBuffer_Release(Py_buffer* view)
    int PyBUF_FORMAT
    int PyBUF_C_CONTIGUOUS


cdef extern from *:
    """
    #if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    #define AC_BIG_ENDIAN 1
    #else
    #define AC_BIG_ENDIAN 0
    #endif
    """
    bint AC_BIG_ENDIAN


# What is being filled has places without an item, and making the items may run any code.

cdef inline bint hide(object container) noexcept:
    """Keep a container from those who look for objects through ``gc``; return whether it was to be found."""
    cdef bint was_tracked = PyObject_GC_IsTracked(container)
    PyObject_GC_UnTrack(<void*>container)
    return was_tracked


cdef inline void show(object container, bint was_tracked) noexcept:
    if was_tracked:
        PyObject_GC_Track(<void*>container)


# Items with an [int] length each

cdef int raise_null(Codec codec, str what) except -1:
    raise ValueError(f"{codec.cql_type} cannot hold null, and {what} is None")


cdef bint is_one_value(object value) except -1:
    """Whether it is a text, bytes or a mapping, which has more than its keys."""
    # Not with a tuple of classes: Cython overlooks an error of the check then.
    return (
        isinstance(value, str) or isinstance(value, bytes) or isinstance(value, bytearray)
        or isinstance(value, Mapping)
    )


cdef Py_ssize_t ordered_length(object value) except -1:
    """The length of what has its items in an order that its user sees, as a set has not."""
    if type(value) is not list and type(value) is not tuple:
        refuse_masked(value)
        if is_one_value(value) or isinstance(value, set) or isinstance(value, frozenset):
            raise TypeError(f"a sequence is required, not {type(value).__name__}")
    return len(value)


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

    def __cinit__(self, CqlType cql_type not None, Codec element not None, *_):
        self.element = element

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

    def __cinit__(self, CqlType cql_type not None, Codec element not None, python_types not None):
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

    def __cinit__(
        self, CqlType cql_type not None, Codec key not None, Codec value not None, python_types not None
    ):
        self.key = key
        self.value = value
        self.make = python_types.ordered_map
        self.make_key = python_types.map_key(key.cql_type)

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

    def __cinit__(self, CqlType cql_type not None, tuple codecs not None, *_):
        for codec in codecs:
            (<Codec?>codec)
        self.codecs = codecs

    cdef Codec codec_at(self, Py_ssize_t index):
        return <Codec>PyTuple_GET_ITEM(self.codecs, index)

    cdef int write_field(self, WriteBuffer out, Py_ssize_t index, object item) except -1:
        if item is None:
            return write_int(out, -1)
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

    def __cinit__(
        self, CqlType cql_type not None, tuple codecs not None, python_types not None, python_class
    ):
        self.python_class = python_class
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


# Vectors

# Of the ``array`` module, for the types that it has too.
cdef dict TYPECODES = {FLOAT: "f", DOUBLE: "d", INT: "i", BIGINT: "q"}

cdef class VectorCodec(Codec):
    """Layout: elements of a fixed size without lengths, others each after an [unsigned vint]."""

    cdef Codec element
    cdef Py_ssize_t dimension
    cdef Py_ssize_t element_size

    def __cinit__(self, CqlType cql_type not None, Codec element not None):
        self.element = element
        self.dimension = cql_type.dimension
        self.element_size = element.cql_type.fixed_size

    cdef int write(self, WriteBuffer out, object value) except -1:
        cdef Py_ssize_t written = 0
        if self.write_buffer(out, value):
            return 0
        self.check_count(ordered_length(value))
        for item in value:
            if written == self.dimension:
                raise ValueError(f"more than the {written} elements that len() reported")
            self.write_element(out, item)
            written += 1
        if written != self.dimension:
            raise ValueError(f"len() is {self.dimension}, but {written} elements came")
        return 0

    cdef int check_count(self, Py_ssize_t count) except -1:
        if count != self.dimension:
            raise ValueError(f"{self.cql_type} has {self.dimension} elements, got {count}")
        return 0

    cdef int check_size(self, Py_ssize_t size) except -1:
        if size != self.element_size * self.dimension:
            raise_size(self, size)
        return 0

    cdef int write_element(self, WriteBuffer out, object item) except -1:
        cdef WriteBuffer body
        if self.element_size < 0:
            body = WriteBuffer()
            self.element.write(body, item)
            write_vint(out, <uint64_t>body.size)
            return write_raw(out, body.data, body.size)
        if self.element.cql_type.code == FLOAT:
            number = as_double(item)
            return put_float(reserve(out, 4), number)
        return self.element.write(out, item)

    cdef bint write_buffer(self, WriteBuffer out, object value) except -1:
        """Append an array of the elements' own format; return false if it is not one."""
        cdef Py_buffer view
        cdef const char* format
        if self.element.cql_type.code not in TYPECODES:
            return False
        if type(value) is list or type(value) is tuple or not PyObject_CheckBuffer(value):
            return False
        refuse_masked(value)
        try:
            PyObject_GetBuffer(value, &view, PyBUF_FORMAT | PyBUF_C_CONTIGUOUS)
        except (BufferError, ValueError):
            return False
        try:
            format = view.format
            if format == NULL or view.ndim != 1 or view.itemsize != self.element_size:
                return False
            if not self.fits(format + (format[0] in (b"@", b"=", b"<", b">", b"!"))):
                return False
            self.check_count(view.shape[0])
            if format[0] in (b">", b"!"):
                write_raw(out, view.buf, view.len)
            elif AC_BIG_ENDIAN and format[0] == b"<":
                return False
            else:
                self.copy_swapped(out, <const unsigned char*>view.buf)
            return True
        finally:
            PyBuffer_Release(&view)

    cdef bint fits(self, const char* format):
        """Whether a format without its byte order is that of the elements, whose size it has."""
        cdef int code = self.element.cql_type.code
        if format[0] == 0 or format[1] != 0:
            return False
        if code == FLOAT:
            return format[0] == b"f"
        if code == DOUBLE:
            return format[0] == b"d"
        return format[0] in (b"i", b"l", b"q")

    cdef int copy_swapped(self, WriteBuffer out, const unsigned char* source) except -1:
        """Append native items, which need not be aligned, in the order of the network."""
        cdef Py_ssize_t index
        cdef uint32_t narrow
        cdef uint64_t wide
        cdef unsigned char* at = reserve(out, self.dimension * self.element_size)
        if self.element_size == 4:
            for index in range(self.dimension):
                memcpy(&narrow, source + 4 * index, 4)
                put_int(at + 4 * index, narrow)
        else:
            for index in range(self.dimension):
                memcpy(&wide, source + 8 * index, 8)
                put_long(at + 8 * index, wide)
        return 0

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        cdef const unsigned char* end = at + size
        if size == 0:
            return None
        if self.element_size < 0:
            return self.read_variable(at, end)
        self.check_size(size)
        cdef Py_ssize_t index
        cdef list items = PyList_New(self.dimension)
        cdef bint was_tracked = hide(items)
        cdef int code = self.element.cql_type.code
        for index in range(self.dimension):
            if code == FLOAT:
                item = PyFloat_FromDouble(get_float(at))
            elif code == DOUBLE:
                item = PyFloat_FromDouble(get_double(at))
            else:
                item = self.element.read(at, self.element_size)
            Py_INCREF(item)
            PyList_SET_ITEM(items, index, item)
            at += self.element_size
        show(items, was_tracked)
        return items

    cdef list read_variable(self, const unsigned char* at, const unsigned char* end):
        cdef uint64_t size
        cdef list items = []
        if self.dimension > end - at:
            raise_size(self, end - at)
        for _ in range(self.dimension):
            size = read_vint(&at, end)
            if size > <uint64_t>(end - at):
                raise ProtocolError(f"{size} bytes announced in {self.cql_type}, {end - at} left")
            items.append(self.element.read(at, <Py_ssize_t>size))
            at += <Py_ssize_t>size
        if at != end:
            raise ProtocolError(f"{end - at} bytes after a value of {self.cql_type}")
        return items


cdef class ArrayVectorCodec(VectorCodec):
    """A vector of numbers as an ``array.array``."""

    cdef str typecode

    def __cinit__(self, CqlType cql_type not None, Codec element not None):
        self.atomic = True
        self.typecode = TYPECODES[element.cql_type.code]

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        if size == 0:
            return None
        self.check_size(size)
        items = array(self.typecode, PyBytes_FromStringAndSize(<const char*>at, size))
        if not AC_BIG_ENDIAN:
            items.byteswap()
        return items


cdef class ViewVectorCodec(VectorCodec):
    """A vector of numbers as a ``memoryview`` of the server's bytes, which it takes too."""

    def __cinit__(self, CqlType cql_type not None, Codec element not None):
        self.atomic = self.views = True

    cdef int write(self, WriteBuffer out, object value) except -1:
        if type(value) is memoryview and value.format == "B":
            data = bytes(value)
            if PyBytes_GET_SIZE(data) != self.element_size * self.dimension:
                raise ValueError(f"{self.cql_type} has no {PyBytes_GET_SIZE(data)} bytes")
            return write_raw(out, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        return VectorCodec.write(self, out, value)

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        return self.view(PyBytes_FromStringAndSize(<const char*>at, size), 0, size)

    cdef object view(self, bytes data, Py_ssize_t start, Py_ssize_t size):
        if size == 0:
            return None
        self.check_size(size)
        return memoryview(data)[start:start + size]


def vector_codec(CqlType cql_type not None, Codec element not None, str vectors not None):
    """The codec of a vector type; ``vectors`` is what those of numbers become: list, array or memoryview."""
    if element.cql_type.code not in TYPECODES or vectors == "list":
        return VectorCodec(cql_type, element)
    return ArrayVectorCodec(cql_type, element) if vectors == "array" else ViewVectorCodec(cql_type, element)
