from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy


cdef class WriteBuffer:
    # A bytes object of its own, NULL for none, and where its bytes begin; those from ``size`` on are not written yet.
    cdef PyObject* block
    cdef unsigned char* data
    cdef readonly Py_ssize_t size
    cdef Py_ssize_t capacity

    cdef int grow(self, Py_ssize_t extra) except -1
    cdef int claim(self, Py_ssize_t capacity) except -1
    cdef bytes detach(self)


# The bytes that are still to be read, which somebody else keeps.
cdef struct Cursor:
    const unsigned char* at
    const unsigned char* end


cdef int raise_truncated(Py_ssize_t wanted, Py_ssize_t left) except -1


cdef inline void put_short(unsigned char* at, uint16_t value) noexcept nogil:
    at[0] = <unsigned char>(value >> 8)
    at[1] = <unsigned char>value


cdef inline void put_int(unsigned char* at, uint32_t value) noexcept nogil:
    at[0] = <unsigned char>(value >> 24)
    at[1] = <unsigned char>(value >> 16)
    at[2] = <unsigned char>(value >> 8)
    at[3] = <unsigned char>value


cdef inline void put_long(unsigned char* at, uint64_t value) noexcept nogil:
    put_int(at, <uint32_t>(value >> 32))
    put_int(at + 4, <uint32_t>value)


cdef inline uint16_t get_short(const unsigned char* at) noexcept nogil:
    return <uint16_t>((at[0] << 8) | at[1])


cdef inline uint32_t get_int(const unsigned char* at) noexcept nogil:
    return (<uint32_t>at[0] << 24) | (<uint32_t>at[1] << 16) | (<uint32_t>at[2] << 8) | at[3]


cdef inline uint64_t get_long(const unsigned char* at) noexcept nogil:
    return (<uint64_t>get_int(at) << 32) | get_int(at + 4)


# Appending. Each returns -1 with MemoryError or OverflowError set.

cdef inline unsigned char* reserve(WriteBuffer out, Py_ssize_t length) except NULL:
    """Claim ``length`` bytes at the end; valid until the next append."""
    if out.capacity - out.size < length:
        out.grow(length)
    cdef unsigned char* at = out.data + out.size
    out.size += length
    return at


cdef inline int write_byte(WriteBuffer out, uint8_t value) except -1:
    reserve(out, 1)[0] = value
    return 0


cdef inline int write_short(WriteBuffer out, uint16_t value) except -1:
    put_short(reserve(out, 2), value)
    return 0


cdef inline int write_int(WriteBuffer out, int32_t value) except -1:
    put_int(reserve(out, 4), <uint32_t>value)
    return 0


cdef inline int write_long(WriteBuffer out, int64_t value) except -1:
    put_long(reserve(out, 8), <uint64_t>value)
    return 0


cdef inline int write_raw(WriteBuffer out, const void* data, Py_ssize_t length) except -1:
    if length > 0:
        memcpy(reserve(out, length), data, length)
    return 0


cdef inline int write_short_bytes(WriteBuffer out, bytes value) except -1:
    """Append [short bytes]: a [short] length and the bytes."""
    if value is None:
        raise TypeError("[short bytes] cannot be null")
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value)
    if size > 0xFFFF:
        raise ValueError(f"[short bytes] hold at most 65535 bytes, got {size}")
    write_short(out, <uint16_t>size)
    return write_raw(out, PyBytes_AS_STRING(value), size)


# Reading. Every read checks what is left first and raises ProtocolError.

cdef inline const unsigned char* take(Cursor* cursor, Py_ssize_t length) except NULL:
    """Step over ``length`` bytes and return where they start."""
    cdef const unsigned char* at = cursor.at
    if length < 0 or cursor.end - at < length:
        raise_truncated(length, cursor.end - at)
    cursor.at = at + length
    return at


cdef inline uint8_t read_byte(Cursor* cursor) except? 255:
    return take(cursor, 1)[0]


cdef inline uint16_t read_short(Cursor* cursor) except? 65535:
    return get_short(take(cursor, 2))


cdef inline int32_t read_int(Cursor* cursor) except? -1:
    return <int32_t>get_int(take(cursor, 4))


cdef inline int64_t read_long(Cursor* cursor) except? -1:
    return <int64_t>get_long(take(cursor, 8))


cdef int write_string(WriteBuffer out, str value) except -1
cdef int write_long_string(WriteBuffer out, str value) except -1
cdef int write_bytes(WriteBuffer out, value) except -1
cdef int write_string_map(WriteBuffer out, dict value) except -1
cdef int write_bytes_map(WriteBuffer out, dict value) except -1
cdef int write_vint(WriteBuffer out, uint64_t value) except -1

cdef str decode_string(const unsigned char* at, Py_ssize_t size)
cdef str read_string(Cursor* cursor)
cdef object read_bytes(Cursor* cursor)
cdef bytes read_short_bytes(Cursor* cursor)
cdef list read_string_list(Cursor* cursor)
cdef dict read_string_multimap(Cursor* cursor)
cdef dict read_bytes_map(Cursor* cursor)
cdef uint64_t read_vint(const unsigned char** at, const unsigned char* end) except? 1
