"""Tokens of Cassandra's Murmur3Partitioner."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport int8_t, int64_t, uint64_t

cdef extern from "stdint.h":
    int64_t INT64_MIN
    int64_t INT64_MAX


cdef uint64_t C1 = 0x87C37B91114253D5ULL
cdef uint64_t C2 = 0x4CF5AD432745937FULL


cdef inline uint64_t rotate(uint64_t value, int bits) noexcept nogil:
    return (value << bits) | (value >> (64 - bits))


cdef inline uint64_t mix(uint64_t value) noexcept nogil:
    value ^= value >> 33
    value *= 0xFF51AFD7ED558CCDULL
    value ^= value >> 33
    value *= 0xC4CEB9FE1A85EC53ULL
    return value ^ (value >> 33)


cdef inline uint64_t little_endian(const unsigned char* at) noexcept nogil:
    cdef uint64_t value = 0
    cdef int index
    for index in range(7, -1, -1):
        value = (value << 8) | at[index]
    return value


cdef inline uint64_t tail(const unsigned char* at, Py_ssize_t size) noexcept nogil:
    """The last bytes, sign-extended one by one as Cassandra's Java does."""
    cdef uint64_t value = 0
    cdef Py_ssize_t index
    for index in range(size):
        value ^= <uint64_t><int64_t><int8_t>at[index] << (8 * index)
    return value


cdef int64_t murmur3_token(const unsigned char* data, Py_ssize_t size) noexcept nogil:
    """The token of a partition key: the first half of its 128 bit MurmurHash3.

    Source: ``Murmur3Partitioner.getToken`` and ``MurmurHash.hash3_x64_128`` of Cassandra: bytes of
    the tail are signed, and the lowest int64, which is not a token, becomes the highest.
    """
    cdef uint64_t h1 = 0, h2 = 0
    cdef const unsigned char* at = data
    cdef Py_ssize_t rest = size & 15
    cdef int64_t token
    for _ in range(size >> 4):
        h1 ^= rotate(little_endian(at) * C1, 31) * C2
        h1 = (rotate(h1, 27) + h2) * 5 + 0x52DCE729
        h2 ^= rotate(little_endian(at + 8) * C2, 33) * C1
        h2 = (rotate(h2, 31) + h1) * 5 + 0x38495AB5
        at += 16
    if rest > 8:
        h2 ^= rotate(tail(at + 8, rest - 8) * C2, 33) * C1
    h1 ^= rotate(tail(at, min(rest, 8)) * C1, 31) * C2
    h1 ^= <uint64_t>size
    h2 ^= <uint64_t>size
    h1 += h2
    h2 += h1
    h1 = mix(h1) + mix(h2)
    token = <int64_t>h1
    return INT64_MAX if token == INT64_MIN else token


def token_of(bytes routing_key not None):
    """The token of a serialized partition key, -2**63 + 1 to 2**63 - 1."""
    return murmur3_token(
        <const unsigned char*>PyBytes_AS_STRING(routing_key), PyBytes_GET_SIZE(routing_key)
    )
