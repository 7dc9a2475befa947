"""Unsigned variable-length integers.

Layout: the leading one bits of the first byte count the bytes after it; the remaining bits are
the number, big-endian, in as few bytes as hold it.
Source: native protocol v5, section 3, ``[unsigned vint]``.
"""

from libc.stdint cimport uint64_t

from async_cassandra._wire.buffer cimport WriteBuffer, raise_truncated, reserve


cdef int write_vint(WriteBuffer out, uint64_t value) except -1:
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
