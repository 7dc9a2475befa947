from libc.stdint cimport int16_t, uint8_t, uint32_t

from async_cassandra._wire.buffer cimport WriteBuffer

cpdef enum Framing:
    ENVELOPES = 0
    SEGMENTS = 1
    COMPRESSED_SEGMENTS = 2


cdef uint32_t crc24(const unsigned char* data, Py_ssize_t size) noexcept nogil


cdef class FrameWriter:
    # The envelopes that were not taken yet.
    cdef readonly WriteBuffer pending
    # Of the protocol, 4 or 5.
    cdef public uint8_t version
    cdef public Framing framing
    # Whether the bodies of bare envelopes are compressed; and what compresses a block, None for nothing.
    cdef public bint compressing
    cdef object compress
    # Where each pending envelope ends, in memory of its own; where the one begins that is being written.
    cdef Py_ssize_t* ends
    cdef Py_ssize_t end_count
    cdef Py_ssize_t end_capacity
    cdef Py_ssize_t envelope_start

    cdef int begin_envelope(self, uint8_t flags, int16_t stream_id, uint8_t opcode) except -1
    cdef int end_envelope(self) except -1
    cdef void abort_envelope(self) noexcept
    cdef int compress_body(self) except -1
    cdef int mark_end(self) except -1
    cdef bytes take_frames(self)
    cdef bytes take_segments(self)
    cdef bytes take_compressed_segments(self)
    cdef int append_compressed(self, WriteBuffer out, Py_ssize_t start, Py_ssize_t size, bint whole) except -1
    cdef Py_ssize_t next_run(self, Py_ssize_t start, Py_ssize_t* index) noexcept


cdef class EnvelopeSink:
    cdef int on_envelope(self, uint8_t flags, int16_t stream_id, uint8_t opcode,
                         const unsigned char* body, Py_ssize_t size) except -1


cdef class FrameReader:
    # Of the protocol, 4 or 5.
    cdef public uint8_t version
    cdef public Framing framing
    # What decompresses a block; None for nothing.
    cdef object decompress
    cdef Py_ssize_t max_envelope_bytes
    # What has come of an envelope that is split over segments; all of it while it is handed out, else None.
    cdef WriteBuffer split
    cdef bytes whole
    # Envelopes that may be handed out before the next call.
    cdef int budget
    # Of a segment in the middle of which that ran out: bytes of its payload that are done, and the payload if it had to
    # be decompressed.
    cdef Py_ssize_t handed_out
    cdef bytes plain

    cdef Py_ssize_t read(self, const unsigned char* data, Py_ssize_t size, EnvelopeSink sink, int most) except -1
    cdef Py_ssize_t read_envelope(self, const unsigned char* data, Py_ssize_t size, EnvelopeSink sink) except -1
    cdef Py_ssize_t read_segment(self, const unsigned char* data, Py_ssize_t size, EnvelopeSink sink) except -1
    cdef bint read_payload(self, bint self_contained, const unsigned char* data, Py_ssize_t size,
                           EnvelopeSink sink) except -1
    cdef int read_split(self, const unsigned char* data, Py_ssize_t size, EnvelopeSink sink) except -1
    cdef int check_header(self, const unsigned char* header) except -1
    cdef int emit_compressed(self, const unsigned char* header, const unsigned char* body, Py_ssize_t size,
                             EnvelopeSink sink) except -1
    cdef bytes decompress_block(self, const unsigned char* data, Py_ssize_t size, Py_ssize_t plain_size)
