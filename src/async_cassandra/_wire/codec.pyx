"""What every codec does: one CQL type's values to bytes and back."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE

from async_cassandra._wire.buffer cimport WriteBuffer, put_int, reserve
from async_cassandra._wire.cqltypes cimport CqlType

from async_cassandra._wire.errors import ProtocolError


cdef int refuse_masked(object value) except -1:
    """Refuse NumPy's arrays that have places without a value: what lies in their memory there is nobody's."""
    for base in type(value).__mro__:
        if base.__module__.startswith("numpy.ma"):
            raise TypeError("a masked array has places without a value: fill them first, with its filled()")
    return 0


cdef class Codec:
    """Encodes and decodes the values of one CQL type; stateless, shared by all plans.

    ``write`` appends a value's body without its length; it raises TypeError, ValueError or
    OverflowError, and may leave a part of the value behind. ``read`` never looks past ``size``
    bytes; it raises ProtocolError for bytes that are not a value of the type, and ValueError or
    OverflowError for a value that Python cannot hold.
    """

    def __cinit__(self, CqlType cql_type not None, *_):
        self.cql_type = cql_type

    cdef int write(self, WriteBuffer out, object value) except -1:
        raise TypeError(f"values of type {self.cql_type} cannot be sent")

    cdef object read(self, const unsigned char* at, Py_ssize_t size):
        raise ValueError(f"values of type {self.cql_type} cannot be read")

    cdef object view(self, bytes data, Py_ssize_t start, Py_ssize_t size):
        """As ``read``, of the ``size`` bytes of ``data`` from ``start`` on, all of which the value may keep."""
        return self.read(<const unsigned char*>PyBytes_AS_STRING(data) + start, size)

    cdef int check_encoded(self, object data) except -1:
        """Refuse a parameter's bytes that did not come from here and must not be sent."""
        return 0

    cdef str type_name(self):
        """What an error calls the values."""
        return str(self.cql_type)

    def encode(self, value):
        """Encode a value without its length.

        :raises TypeError: if its Python type does not fit
        :raises ValueError: if it is malformed
        :raises OverflowError: if it is out of range
        """
        cdef WriteBuffer out = WriteBuffer()
        self.write(out, value)
        return bytes(out)

    def decode(self, bytes data not None):
        """Decode a value's bytes; the empty value is ``None``, except for text and blobs.

        :raises ProtocolError: if the bytes are not a value of this type
        :raises ValueError: if Python cannot hold the value (or OverflowError)
        """
        return self.view(data, 0, PyBytes_GET_SIZE(data))

    def __repr__(self):
        return f"<{type(self).__name__} {self.cql_type}>"


cdef int raise_size(Codec codec, Py_ssize_t size) except -1:
    raise ProtocolError(f"{size} bytes are not a value of type {codec.cql_type}")


cdef object read_empty(Codec codec, Py_ssize_t size):
    """Read a value that has not its type's fixed size: the empty value is ``None``, any other is refused."""
    if size != 0:
        raise_size(codec, size)
    return None


cdef int write_sized(WriteBuffer out, Codec codec, object value) except -1:
    """Append a value with its [int] length before it."""
    cdef Py_ssize_t start = out.size
    reserve(out, 4)
    codec.write(out, value)
    cdef Py_ssize_t size = out.size - start - 4
    if size > 0x7FFFFFFF:
        raise ValueError(f"a value holds at most 2147483647 bytes, got {size}")
    put_int(out.data + start, <unsigned int>size)
    return 0
