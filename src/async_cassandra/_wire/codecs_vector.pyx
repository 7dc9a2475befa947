"""Codecs of vectors.

Source: ``VectorType`` of Cassandra; the protocol knows vectors as custom types only. What is announced is compared with
the bytes that are left before anything of that size is allocated.
"""

from array import array

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.float cimport PyFloat_FromDouble
from cpython.list cimport PyList_New, PyList_SET_ITEM
from cpython.ref cimport Py_INCREF
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from async_cassandra._wire.buffer cimport WriteBuffer, put_int, put_long, read_vint, reserve, write_raw, write_vint
from async_cassandra._wire.codecs cimport (
    Codec, hide, ordered_length, part_codec, raise_size, refuse_masked, register, show,
)
from async_cassandra._wire.codecs_scalar cimport as_double, get_double, get_float, put_float
from async_cassandra._wire.cqltypes cimport BIGINT, DOUBLE, FLOAT, INT, VECTOR, CqlType

from async_cassandra._wire.errors import ProtocolError

__all__ = ()

cdef extern from "Python.h":
    bint PyObject_CheckBuffer(object value)
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


# Of the ``array`` module, for the types that it has too.
cdef dict TYPECODES = {FLOAT: "f", DOUBLE: "d", INT: "i", BIGINT: "q"}

cdef class VectorCodec(Codec):
    """Layout: elements of a fixed size without lengths, others each after an [unsigned vint]."""

    cdef Codec element
    cdef Py_ssize_t dimension
    cdef Py_ssize_t element_size

    def __cinit__(self, CqlType cql_type not None, tuple inner not None, *_):
        self.element = part_codec(inner, 0)
        self.dimension = cql_type.dimension
        self.element_size = self.element.cql_type.fixed_size

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

    def __cinit__(self):
        self.atomic = True
        self.typecode = TYPECODES[self.element.cql_type.code]

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

    def __cinit__(self):
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


VECTORS = {"list": VectorCodec, "array": ArrayVectorCodec, "memoryview": ViewVectorCodec}


def vector_codec(CqlType cql_type not None, tuple inner not None, python_types not None):
    """The codec of a vector type; those of numbers become what ``python_types.vectors`` says."""
    is_numeric = part_codec(inner, 0).cql_type.code in TYPECODES
    return VECTORS[python_types.vectors if is_numeric else "list"](cql_type, inner)


register(VECTOR, vector_codec)
