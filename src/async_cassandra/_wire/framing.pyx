"""Envelopes and the segments that carry them, both ways, without any input or output.

A v5 connection carries segments (the specification's "frames"): a header with its CRC24, up to
131071 bytes of payload, the payload's CRC32. A self-contained segment holds whole envelopes; a
longer envelope is split over several. A v4 connection, and any connection before STARTUP is
answered, carries bare envelopes.

Source: native protocol v5, sections 2.1 to 2.4.
"""

import zlib

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from libc.limits cimport INT_MAX
from libc.string cimport memcpy

from async_cassandra._wire.buffer cimport get_int, get_short, put_int, put_short, reserve, write_raw
from async_cassandra._wire.protocol cimport RESPONSE, EnvelopeFlag, Opcode

from async_cassandra._wire.errors import ChecksumError, ProtocolError


cdef extern from "Python.h":
    object PyMemoryView_FromMemory(char* mem, Py_ssize_t size, int flags)
    int PyBUF_READ


cdef extern from "crc32.h":
    int CRC32_FAST_LEAST
    bint crc32_is_fast()
    uint32_t crc32_fast(uint32_t crc, const unsigned char* at, size_t size) noexcept nogil


DEF HEADER = 9
# All of the 17 bits that a segment's length has.
DEF MAX_PAYLOAD = 0x1FFFF
# A split envelope gets so much room at once, if it is as long, and then as much again as has arrived.
DEF FIRST_CLAIM = 1048576
DEF CRC24_INIT = 0x875060
DEF CRC24_POLY = 0x1974F0B

# The largest message a server takes or sends by default is 16 MiB (native_transport_max_frame_size); 256 MiB is the
# largest it can be set to be useful.
DEF MAX_ENVELOPE_BYTES = 268435456

cdef object zlib_crc32 = zlib.crc32
# Both sides feed these four bytes before the payload.
cdef uint32_t CRC32_INIT = zlib.crc32(b"\xfa\x2d\x55\xca")
cdef bint CRC32_IS_FAST = crc32_is_fast()

cdef uint32_t[256] CRC24_TABLE
cdef uint32_t[256] CRC32_TABLE


cdef void fill_crc24_table() noexcept:
    cdef uint32_t crc
    for byte in range(256):
        crc = <uint32_t>byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= CRC24_POLY
        CRC24_TABLE[byte] = crc


cdef void fill_crc32_table() noexcept:
    cdef uint32_t crc
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xEDB88320 if crc & 1 else 0)
        CRC32_TABLE[byte] = crc


fill_crc24_table()
fill_crc32_table()


cdef uint32_t crc24(const unsigned char* data, Py_ssize_t size) noexcept nogil:
    cdef uint32_t crc = CRC24_INIT
    cdef Py_ssize_t i
    for i in range(size):
        crc = ((crc << 8) & 0xFFFFFF) ^ CRC24_TABLE[((crc >> 16) ^ data[i]) & 0xFF]
    return crc


cdef inline uint32_t get_le(const unsigned char* at, int width) noexcept nogil:
    cdef uint32_t value = 0
    cdef int i
    for i in range(width):
        value |= <uint32_t>at[i] << (8 * i)
    return value


cdef inline unsigned long long get_le5(const unsigned char* at) noexcept nogil:
    return get_le(at, 4) | (<unsigned long long>at[4] << 32)


cdef inline void put_le(unsigned char* at, unsigned long long value, int width) noexcept nogil:
    cdef int i
    for i in range(width):
        at[i] = <unsigned char>(value >> (8 * i))


cdef inline object view(const unsigned char* at, Py_ssize_t size):
    return PyMemoryView_FromMemory(<char*>at, size, PyBUF_READ)


cdef uint32_t crc32_of(const unsigned char* at, Py_ssize_t size) except? 0:
    """The CRC32 of a payload: by blocks where the machine can, a few bytes by table, else by zlib."""
    cdef uint32_t crc = CRC32_INIT
    cdef Py_ssize_t i, whole = 0
    if size >= CRC32_FAST_LEAST:
        if not CRC32_IS_FAST:
            return <uint32_t>zlib_crc32(view(at, size), CRC32_INIT)
        whole = size & ~<Py_ssize_t>15
        crc = crc32_fast(crc, at, whole)
    crc = ~crc
    for i in range(whole, size):
        crc = (crc >> 8) ^ CRC32_TABLE[(crc ^ at[i]) & 0xFF]
    return ~crc


cdef inline unsigned char* put_segment(unsigned char* at, const unsigned char* payload, Py_ssize_t size,
                                       bint self_contained) except NULL:
    """Write one uncompressed segment; return where the next one goes.

    Layout: little-endian 17 bits length, 1 bit self-contained, 6 bits padding, 24 bits CRC24; payload; CRC32.
    """
    put_le(at, <unsigned long long>size | (<unsigned long long>self_contained << 17), 3)
    put_le(at + 3, crc24(at, 3), 3)
    memcpy(at + 6, payload, size)
    put_le(at + 6 + size, crc32_of(payload, size), 4)
    return at + 10 + size


cdef class FrameWriter:
    """Collects the envelopes of one loop turn and hands them out as the bytes to send.

    :param version: protocol version, 4 or 5
    :param compress: LZ4 block compression without a size prefix, bytes-like to ``bytes``; ``None`` sends uncompressed
    """

    def __cinit__(self, uint8_t version, compress=None):
        self.pending = WriteBuffer()
        self.version = version
        self.framing = ENVELOPES
        self.compress = compress

    def __dealloc__(self):
        PyMem_Free(self.ends)

    def add(self, uint8_t opcode, int16_t stream_id, bytes body not None, uint8_t flags=0):
        """Append one envelope."""
        self.begin_envelope(flags, stream_id, opcode)
        write_raw(self.pending, PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
        self.end_envelope()

    def take(self):
        """Everything added since the last time, framed."""
        return self.take_frames()

    cdef int begin_envelope(self, uint8_t flags, int16_t stream_id, uint8_t opcode) except -1:
        self.envelope_start = self.pending.size
        cdef unsigned char* at = reserve(self.pending, HEADER)
        at[0] = self.version
        at[1] = flags
        put_short(at + 2, <unsigned short>stream_id)
        at[4] = opcode
        return 0

    cdef int end_envelope(self) except -1:
        cdef Py_ssize_t size = self.pending.size - self.envelope_start - HEADER
        if size > MAX_ENVELOPE_BYTES:
            raise ValueError(f"a request of {size} bytes is over the limit of {MAX_ENVELOPE_BYTES}")
        put_int(self.pending.data + self.envelope_start + 5, <uint32_t>size)
        if self.framing == ENVELOPES:
            if self.compressing and size > 512:
                self.compress_body()
            return 0
        return self.mark_end()

    cdef int mark_end(self) except -1:
        cdef Py_ssize_t* ends
        if self.end_count == self.end_capacity:
            ends = <Py_ssize_t*>PyMem_Realloc(self.ends, (self.end_capacity * 2 + 64) * sizeof(Py_ssize_t))
            if ends == NULL:
                raise MemoryError()
            self.ends = ends
            self.end_capacity = self.end_capacity * 2 + 64
        self.ends[self.end_count] = self.pending.size
        self.end_count += 1
        return 0

    cdef void abort_envelope(self) noexcept:
        """Drop the envelope that was begun, after an error while encoding its body."""
        self.pending.size = self.envelope_start

    cdef int compress_body(self) except -1:
        """Compress the last envelope's body in place.

        Layout: [int] uncompressed length, LZ4 block. Source: native protocol v4, section 5.
        """
        cdef unsigned char* header = self.pending.data + self.envelope_start
        cdef Py_ssize_t size = self.pending.size - self.envelope_start - HEADER
        cdef bytes block = self.compress(view(header + HEADER, size))
        if PyBytes_GET_SIZE(block) + 4 >= size:
            return 0
        header[1] |= EnvelopeFlag.COMPRESSED
        put_int(header + 5, <uint32_t>(PyBytes_GET_SIZE(block) + 4))
        put_int(header + HEADER, <uint32_t>size)
        self.pending.size = self.envelope_start + HEADER + 4
        return write_raw(self.pending, PyBytes_AS_STRING(block), PyBytes_GET_SIZE(block))

    cdef bytes take_frames(self):
        """Everything pending, framed, ready to write; the buffer is empty afterwards, also after an error."""
        try:
            if self.framing == SEGMENTS:
                return self.take_segments()
            if self.framing == COMPRESSED_SEGMENTS:
                return self.take_compressed_segments()
            return PyBytes_FromStringAndSize(<char*>self.pending.data, self.pending.size)
        finally:
            self.pending.size = self.end_count = 0

    cdef Py_ssize_t next_run(self, Py_ssize_t start, Py_ssize_t* index) noexcept:
        """Where the run of whole envelopes that begins at ``start`` and fits one segment ends.

        An envelope that fits none is a run of its own.
        """
        cdef Py_ssize_t end = self.ends[index[0]]
        index[0] += 1
        while index[0] < self.end_count and self.ends[index[0]] - start <= MAX_PAYLOAD:
            end = self.ends[index[0]]
            index[0] += 1
        return end

    cdef bytes take_segments(self):
        cdef Py_ssize_t start = 0, end, index = 0, size = self.pending.size, step
        # Two neighbouring runs hold more than one payload, and a split run adds one segment to its quotient.
        cdef Py_ssize_t bound = size + 10 * (3 * (size // MAX_PAYLOAD) + 4)
        if size <= MAX_PAYLOAD:
            bound = size + 10
        cdef bytes frames = PyBytes_FromStringAndSize(NULL, bound)
        cdef unsigned char* base = <unsigned char*>PyBytes_AS_STRING(frames)
        cdef unsigned char* at = base
        cdef bint whole
        while index < self.end_count:
            end = self.next_run(start, &index)
            whole = end - start <= MAX_PAYLOAD
            while start < end:
                step = min(end - start, MAX_PAYLOAD)
                at = put_segment(at, self.pending.data + start, step, whole)
                start += step
        return frames if at - base == bound else frames[:at - base]

    cdef bytes take_compressed_segments(self):
        """Do what :meth:`take_segments` does, in the LZ4 format.

        Layout: little-endian 17 bits compressed length, 17 bits uncompressed length (0: stored as it is), 1 bit
        self-contained, 5 bits padding, 24 bits CRC24; payload; CRC32 of what is stored.
        """
        cdef Py_ssize_t start = 0, end, index = 0, size
        cdef bint whole
        cdef WriteBuffer out = WriteBuffer()
        while index < self.end_count:
            end = self.next_run(start, &index)
            whole = end - start <= MAX_PAYLOAD
            while start < end:
                size = min(end - start, MAX_PAYLOAD)
                self.append_compressed(out, start, size, whole)
                start += size
        return bytes(out)

    cdef int append_compressed(self, WriteBuffer out, Py_ssize_t start, Py_ssize_t size, bint whole) except -1:
        cdef const unsigned char* payload = self.pending.data + start
        cdef bytes block = self.compress(view(payload, size))
        cdef Py_ssize_t stored = PyBytes_GET_SIZE(block)
        cdef Py_ssize_t plain = size
        if stored >= size:
            block = PyBytes_FromStringAndSize(<const char*>payload, size)
            stored = size
            plain = 0
        cdef unsigned char* at = reserve(out, 8)
        put_le(at, <unsigned long long>stored | (<unsigned long long>plain << 17)
               | (<unsigned long long>whole << 34), 5)
        put_le(at + 5, crc24(at, 5), 3)
        write_raw(out, PyBytes_AS_STRING(block), stored)
        put_le(reserve(out, 4), crc32_of(<const unsigned char*>PyBytes_AS_STRING(block), stored), 4)
        return 0


cdef class EnvelopeSink:
    """What a :class:`FrameReader` hands envelopes to; their bytes are valid during the call only."""

    cdef int on_envelope(self, uint8_t flags, int16_t stream_id, uint8_t opcode,
                         const unsigned char* body, Py_ssize_t size) except -1:
        raise NotImplementedError


cdef class EnvelopeList(EnvelopeSink):
    """Keeps envelopes as ``(flags, stream_id, opcode, body)``, for whoever has no connection to give them to."""

    cdef readonly list envelopes

    def __cinit__(self):
        self.envelopes = []

    cdef int on_envelope(self, uint8_t flags, int16_t stream_id, uint8_t opcode,
                         const unsigned char* body, Py_ssize_t size) except -1:
        self.envelopes.append((flags, stream_id, opcode, PyBytes_FromStringAndSize(<const char*>body, size)))
        return 0


cdef class FrameReader:
    """Finds envelopes in the bytes that arrive and checks every length and checksum on the way.

    :param version: protocol version that the peer's envelopes must carry, 4 or 5
    :param decompress: LZ4 block decompression, ``(bytes-like, uncompressed size) -> bytes``
    :param max_envelope_bytes: a longer envelope is a protocol error; memory grows only with bytes that have arrived

    :ivar whole: what the envelope that is being handed out lies in, if that may be kept as it is

    Theory. Reading stops when ``budget`` is used up, also inside a segment. That segment then counts as unread: the
    next call must bring the same bytes again, and goes on after the ``handed_out`` bytes of its payload.
    """

    def __cinit__(self, uint8_t version, decompress=None, Py_ssize_t max_envelope_bytes=MAX_ENVELOPE_BYTES):
        self.version = version
        self.framing = ENVELOPES
        self.decompress = decompress
        self.max_envelope_bytes = max_envelope_bytes
        self.split = WriteBuffer()

    def feed(self, data, EnvelopeSink sink not None, int most=INT_MAX):
        """Read whole frames from ``data``; return how many bytes were used.

        :param most: envelopes to hand to ``sink``, 1 or more; the bytes that were not used come again in the next call
        :raises ProtocolError: if the bytes violate the protocol; nothing after them can be trusted
        """
        cdef bytes block = bytes(data)
        return self.read(<const unsigned char*>PyBytes_AS_STRING(block), PyBytes_GET_SIZE(block), sink, most)

    cdef Py_ssize_t read(self, const unsigned char* data, Py_ssize_t size, EnvelopeSink sink, int most) except -1:
        """Hand whole envelopes to ``sink``, at most ``most`` of them; return how many bytes were used.

        After that ``budget`` is above 0 if nothing more can be handed out before further bytes arrive.
        """
        cdef Py_ssize_t used = 0, step
        self.budget = most
        while self.budget > 0:
            # An envelope can switch the framing: STARTUP's answer is the last unframed one.
            if self.framing == ENVELOPES:
                step = self.read_envelope(data + used, size - used, sink)
            else:
                step = self.read_segment(data + used, size - used, sink)
            if step == 0:
                break
            used += step
        return used

    cdef int check_header(self, const unsigned char* header) except -1:
        if header[0] != (self.version | RESPONSE):
            if header[4] == Opcode.ERROR and RESPONSE | 3 <= header[0] <= RESPONSE | 6 and self.framing == ENVELOPES:
                # A server without our version answers in its own, with the reason in an ERROR.
                return 0
            raise ProtocolError(
                f"expected a response of protocol version {self.version}, got version byte 0x{header[0]:02x}"
            )
        if <Py_ssize_t>get_int(header + 5) > self.max_envelope_bytes:
            raise ProtocolError(
                f"an envelope of {get_int(header + 5)} bytes is over the limit of {self.max_envelope_bytes}"
            )
        return 0

    cdef Py_ssize_t read_envelope(self, const unsigned char* data, Py_ssize_t size, EnvelopeSink sink) except -1:
        if size < HEADER:
            return 0
        self.check_header(data)
        cdef Py_ssize_t length = <Py_ssize_t>get_int(data + 5)
        if size - HEADER < length:
            return 0
        self.budget -= 1
        if data[1] & EnvelopeFlag.COMPRESSED and self.version < 5:
            self.emit_compressed(data, data + HEADER, length, sink)
        else:
            sink.on_envelope(data[1], <int16_t>get_short(data + 2), data[4], data + HEADER, length)
        return HEADER + length

    cdef int emit_compressed(self, const unsigned char* header, const unsigned char* body, Py_ssize_t size,
                             EnvelopeSink sink) except -1:
        if self.decompress is None:
            raise ProtocolError("a compressed envelope on a connection without compression")
        if size < 4:
            raise ProtocolError(f"a compressed body of {size} bytes has no room for its length")
        cdef Py_ssize_t plain_size = <Py_ssize_t>get_int(body)
        if plain_size > self.max_envelope_bytes:
            raise ProtocolError(f"an envelope of {plain_size} bytes is over the limit of {self.max_envelope_bytes}")
        cdef bytes plain = self.decompress_block(body + 4, size - 4, plain_size)
        return sink.on_envelope(header[1] & ~EnvelopeFlag.COMPRESSED, <int16_t>get_short(header + 2), header[4],
                                <const unsigned char*>PyBytes_AS_STRING(plain), plain_size)

    cdef bytes decompress_block(self, const unsigned char* data, Py_ssize_t size, Py_ssize_t plain_size):
        # LZ4 cannot expand more than 255-fold: an impossible claim is refused before its memory is asked for.
        if plain_size > 255 * size + 255:
            raise ProtocolError(f"{size} compressed bytes cannot hold the {plain_size} announced")
        try:
            plain = self.decompress(view(data, size), plain_size)
        except Exception as error:  # noqa: BLE001  the codec's own error class is not known here
            raise ProtocolError(f"a compressed payload of {size} bytes is not an LZ4 block: {error}") from error
        if len(plain) != plain_size:
            raise ProtocolError(f"a compressed payload gave {len(plain)} bytes, {plain_size} announced")
        return plain

    cdef Py_ssize_t read_segment(self, const unsigned char* data, Py_ssize_t size, EnvelopeSink sink) except -1:
        cdef int width = 3 if self.framing == SEGMENTS else 5
        cdef Py_ssize_t head = width + 3
        if size < head:
            return 0
        cdef bint checked = self.handed_out > 0
        if not checked and crc24(data, width) != get_le(data + width, 3):
            raise ChecksumError("CRC24 mismatch in a segment header: the bytes changed in transit")
        cdef unsigned long long header = get_le(data, 3) if width == 3 else get_le5(data)
        cdef Py_ssize_t stored = <Py_ssize_t>(header & MAX_PAYLOAD)
        cdef Py_ssize_t plain_size = 0
        cdef bint self_contained
        if width == 3:
            self_contained = (header >> 17) & 1
        else:
            plain_size = <Py_ssize_t>((header >> 17) & MAX_PAYLOAD)
            self_contained = (header >> 34) & 1
        if size < head + stored + 4:
            return 0
        if not checked and crc32_of(data + head, stored) != get_le(data + head + stored, 4):
            raise ChecksumError("CRC32 mismatch in a segment: the bytes changed in transit")
        cdef const unsigned char* payload = data + head
        cdef Py_ssize_t size_of_payload = stored
        if plain_size:
            if not checked:
                self.plain = self.decompress_block(data + head, stored, plain_size)
            payload = <const unsigned char*>PyBytes_AS_STRING(self.plain)
            size_of_payload = plain_size
        if not self.read_payload(self_contained, payload, size_of_payload, sink):
            return 0
        self.handed_out = 0
        self.plain = None
        return head + stored + 4

    cdef bint read_payload(self, bint self_contained, const unsigned char* data, Py_ssize_t size,
                           EnvelopeSink sink) except -1:
        """Hand out a segment's envelopes; return whether that was all of them."""
        cdef Py_ssize_t step
        if not self_contained:
            self.read_split(data, size, sink)
            return True
        if self.split.size:
            raise ProtocolError("a self-contained segment inside a split envelope")
        while self.handed_out < size:
            if self.budget <= 0:
                return False
            step = self.read_envelope(data + self.handed_out, size - self.handed_out, sink)
            if step == 0:
                raise ProtocolError(
                    f"{size - self.handed_out} bytes at the end of a self-contained segment are not an envelope")
            self.handed_out += step
        return True

    cdef int read_split(self, const unsigned char* data, Py_ssize_t size, EnvelopeSink sink) except -1:
        cdef WriteBuffer split = self.split
        write_raw(split, data, size)
        if split.size < HEADER:
            return 0
        self.check_header(split.data)
        cdef Py_ssize_t length = HEADER + <Py_ssize_t>get_int(split.data + 5)
        if split.size < length:
            return split.claim(min(length, max(FIRST_CLAIM, 2 * split.size)))
        if split.size > length:
            raise ProtocolError(f"{split.size - length} bytes after a split envelope's end")
        self.whole = split.detach()
        try:
            self.read_envelope(<const unsigned char*>PyBytes_AS_STRING(self.whole), length, sink)
        finally:
            self.whole = None
        return 0
