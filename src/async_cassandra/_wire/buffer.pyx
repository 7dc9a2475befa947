"""Growable output and bounds-checked input in the notations of the native protocol.

Source: native protocol v5, section 3 (Notations); all integers are big-endian.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE, _PyBytes_Resize
from cpython.ref cimport Py_INCREF, Py_XDECREF
from cpython.unicode cimport PyUnicode_DecodeLatin1, PyUnicode_DecodeUTF8

from async_cassandra._wire.protocol cimport NULL_LENGTH

from async_cassandra._wire.errors import ProtocolError


cdef extern from "Python.h":
    const char* PyUnicode_AsUTF8AndSize(object value, Py_ssize_t* size) except NULL


cdef class WriteBuffer:
    """Bytes, appended in place; ``bytes(buffer)`` copies them out.

    They lie in a ``bytes`` object that nobody else has, which :meth:`detach` gives away.
    """

    def __dealloc__(self):
        Py_XDECREF(self.block)

    cdef int grow(self, Py_ssize_t extra) except -1:
        if extra < 0 or extra > PY_SSIZE_T_MAX - self.size:
            raise OverflowError(f"cannot append {extra} bytes to a buffer of {self.size}")
        return self.claim(max(self.size + extra, self.capacity * 2, 256))

    cdef int claim(self, Py_ssize_t capacity) except -1:
        """Have room for ``capacity`` bytes in all."""
        cdef bytes block
        if capacity <= self.capacity:
            return 0
        # Not _PyBytes_Resize, which drops the content where there is no memory.
        block = PyBytes_FromStringAndSize(NULL, capacity)
        if self.size:
            memcpy(PyBytes_AS_STRING(block), self.data, self.size)
        Py_XDECREF(self.block)
        Py_INCREF(block)
        self.block = <PyObject*>block
        self.data = <unsigned char*>PyBytes_AS_STRING(block)
        self.capacity = capacity
        return 0

    cdef bytes detach(self):
        """The content, without copying it; the buffer is empty afterwards."""
        cdef PyObject* block = self.block
        cdef Py_ssize_t size = self.size
        self.block = NULL
        self.data = NULL
        self.size = self.capacity = 0
        if block == NULL:
            return b""
        _PyBytes_Resize(&block, size)
        content = <bytes>block
        Py_XDECREF(block)
        return content

    def __len__(self):
        return self.size

    def __bytes__(self):
        return PyBytes_FromStringAndSize(<char*>self.data, self.size)

    def clear(self):
        """Drop the content, keep the memory."""
        self.size = 0


cdef extern from *:
    Py_ssize_t PY_SSIZE_T_MAX


cdef int raise_truncated(Py_ssize_t wanted, Py_ssize_t left) except -1:
    if wanted < 0:
        raise ProtocolError(f"a length of {wanted} is not allowed here")
    raise ProtocolError(f"{wanted} bytes announced, {left} left")


cdef int write_string(WriteBuffer out, str value) except -1:
    """Append a [string]: a [short] length and UTF-8."""
    cdef Py_ssize_t size
    cdef const char* data = PyUnicode_AsUTF8AndSize(value, &size)
    if size > 0xFFFF:
        raise ValueError(f"a [string] holds at most 65535 bytes, got {size}")
    write_short(out, <uint16_t>size)
    return write_raw(out, data, size)


cdef int write_long_string(WriteBuffer out, str value) except -1:
    """Append a [long string]: an [int] length and UTF-8."""
    cdef Py_ssize_t size
    cdef const char* data = PyUnicode_AsUTF8AndSize(value, &size)
    if size > 0x7FFFFFFF:
        raise ValueError(f"a [long string] holds at most 2147483647 bytes, got {size}")
    write_int(out, <int32_t>size)
    return write_raw(out, data, size)


cdef int write_bytes(WriteBuffer out, value) except -1:
    """Append [bytes]: an [int] length and the bytes, which is negative for ``None``."""
    if value is None:
        return write_int(out, NULL_LENGTH)
    cdef const unsigned char[::1] view
    cdef Py_ssize_t size
    if type(value) is bytes:
        size = PyBytes_GET_SIZE(value)
        if size > 0x7FFFFFFF:
            raise ValueError(f"[bytes] hold at most 2147483647 bytes, got {size}")
        write_int(out, <int32_t>size)
        return write_raw(out, PyBytes_AS_STRING(value), size)
    view = memoryview(value).cast("B")
    size = view.shape[0]
    if size > 0x7FFFFFFF:
        raise ValueError(f"[bytes] hold at most 2147483647 bytes, got {size}")
    write_int(out, <int32_t>size)
    if size:
        write_raw(out, &view[0], size)
    return 0


cdef int write_string_map(WriteBuffer out, dict value) except -1:
    """Append a [string map]."""
    if len(value) > 0xFFFF:
        raise ValueError(f"a [string map] holds at most 65535 entries, got {len(value)}")
    write_short(out, <uint16_t>len(value))
    for key, item in value.items():
        write_string(out, key)
        write_string(out, item)
    return 0


cdef int write_bytes_map(WriteBuffer out, dict value) except -1:
    """Append a [bytes map].

    Of exact ``bytes`` only: no other code may run while a request is being written.
    """
    if len(value) > 0xFFFF:
        raise ValueError(f"a [bytes map] holds at most 65535 entries, got {len(value)}")
    write_short(out, <uint16_t>len(value))
    for key, item in value.items():
        if item is not None and type(item) is not bytes:
            raise TypeError(f"a [bytes map] holds bytes, not {type(item).__name__}")
        write_string(out, key)
        write_bytes(out, item)
    return 0


cdef str decode_string(const unsigned char* at, Py_ssize_t size):
    """Decode UTF-8, else Latin-1, which any bytes are.

    Cassandra writes keyspaces and what SCHEMA_CHANGE, FUNCTION_FAILURE and ALREADY_EXISTS name as Latin-1, with "?"
    for what Latin-1 lacks (``CBUtil.writeAsciiString``).
    """
    try:
        return PyUnicode_DecodeUTF8(<const char*>at, size, NULL)
    except UnicodeDecodeError:
        return PyUnicode_DecodeLatin1(<const char*>at, size, NULL)


cdef str read_string(Cursor* cursor):
    """Read a [string]."""
    cdef Py_ssize_t size = read_short(cursor)
    return decode_string(take(cursor, size), size)


cdef object read_bytes(Cursor* cursor):
    """Read [bytes]; ``None`` for a negative length."""
    cdef Py_ssize_t size = read_int(cursor)
    if size < 0:
        return None
    return PyBytes_FromStringAndSize(<const char*>take(cursor, size), size)


cdef bytes read_short_bytes(Cursor* cursor):
    cdef Py_ssize_t size = read_short(cursor)
    return PyBytes_FromStringAndSize(<const char*>take(cursor, size), size)


cdef list read_string_list(Cursor* cursor):
    cdef Py_ssize_t count = read_short(cursor)
    return [read_string(cursor) for _ in range(count)]


cdef dict read_string_multimap(Cursor* cursor):
    cdef dict result = {}
    for _ in range(read_short(cursor)):
        key = read_string(cursor)
        result[key] = read_string_list(cursor)
    return result


cdef dict read_bytes_map(Cursor* cursor):
    cdef dict result = {}
    for _ in range(read_short(cursor)):
        key = read_string(cursor)
        result[key] = read_bytes(cursor)
    return result


# Unsigned variable-length integers. Layout: the leading one bits of the first byte count the bytes after it; the
# remaining bits are the number, big-endian, in as few bytes as hold it.

cdef int write_vint(WriteBuffer out, uint64_t value) except -1:
    """Append an [unsigned vint]."""
    cdef int extra = 0
    cdef int index
    cdef unsigned char* at
    while extra < 8 and value >> (7 * (extra + 1)):
        extra += 1
    at = reserve(out, extra + 1)
    for index in range(extra, 0, -1):
        at[index] = <unsigned char>value
        value >>= 8
    at[0] = <unsigned char>((0xFF00 >> extra) | value) if extra < 8 else 0xFF
    return 0


cdef uint64_t read_vint(const unsigned char** at, const unsigned char* end) except? 1:
    """Read an [unsigned vint] and step over it."""
    cdef int extra = 0
    cdef int index
    cdef unsigned char first
    cdef uint64_t value
    if at[0] >= end:
        raise_truncated(1, 0)
    first = at[0][0]
    while extra < 8 and first & (0x80 >> extra):
        extra += 1
    if end - at[0] <= extra:
        raise_truncated(extra + 1, end - at[0])
    value = first & (0xFF >> extra)
    for index in range(1, extra + 1):
        value = (value << 8) | at[0][index]
    at[0] += extra + 1
    return value
