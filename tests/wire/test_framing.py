"""Envelopes and segments: golden bytes, both ways against the driver's codec, hostile lengths."""

import functools
import io
import random
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import lz4.block
import pytest
from cassandra.connection import segment_codec_lz4
from cassandra.segment import CrcException, Segment, SegmentCodec
from hypothesis import given
from hypothesis import strategies as st

from async_cassandra._wire.errors import ProtocolError
from async_cassandra._wire.framing import EnvelopeList, FrameReader, FrameWriter, Framing
from tests.support.native_protocol import Compression, encode_segment

RESULT = 0x08
QUERY = 0x07
MAX_PAYLOAD = 131_071


def compress(data: memoryview | bytes) -> bytes:
    block: bytes = lz4.block.compress(data, store_size=False)
    return block


def decompress(data: memoryview | bytes, size: int) -> bytes:
    plain: bytes = lz4.block.decompress(data, uncompressed_size=size)
    return plain


FRAMINGS = [Framing.SEGMENTS, Framing.COMPRESSED_SEGMENTS]
framings = pytest.mark.parametrize("framing", FRAMINGS, ids=lambda framing: framing.name.lower())

Envelope = tuple[int, int, int, bytes]

envelopes = st.lists(
    st.tuples(
        st.sampled_from([0, 2, 4, 8]),
        st.integers(0, 32767),
        st.sampled_from([0x00, 0x02, 0x08]),
        st.one_of(
            st.binary(max_size=200),
            st.builds(
                lambda seed, size: (seed * (size // max(1, len(seed)) + 1))[:size],
                st.binary(min_size=1, max_size=64),
                st.integers(0, 300_000),
            ),
        ),
    ),
    min_size=1,
    max_size=6,
)


def writer(framing: Framing, version: int = 5) -> FrameWriter:
    made = FrameWriter(version, compress)
    made.framing = framing
    return made


def reader(framing: Framing, version: int = 5, **options: Any) -> FrameReader:
    made = FrameReader(version, decompress, **options)
    made.framing = framing
    return made


def envelope(body: bytes, stream_id: int = 1, opcode: int = RESULT, version: int = 0x85) -> bytes:
    return (
        bytes((version, 0))
        + stream_id.to_bytes(2)
        + bytes((opcode,))
        + len(body).to_bytes(4)
        + body
    )


def read(made: FrameReader, data: bytes) -> list[Envelope]:
    """Everything in ``data``, which must end with a whole frame."""
    sink = EnvelopeList()
    assert made.feed(data, sink) == len(data)
    return sink.envelopes


def driver_codec(framing: Framing) -> Any:
    return SegmentCodec() if framing is Framing.SEGMENTS else segment_codec_lz4


# Golden bytes, worked out by hand from sections 2.1, 2.2 and 2.4


def test_envelope_is_written_as_the_specification_says() -> None:
    made = writer(Framing.ENVELOPES)
    made.add(0x05, 0x0102, b"")
    made.add(QUERY, 3, b"body", flags=0x02)
    assert made.take() == bytes.fromhex("05 00 0102 05 00000000  05 02 0003 07 00000004") + b"body"
    assert made.take() == b""


def test_segment_is_written_as_the_specification_says() -> None:
    made = writer(Framing.SEGMENTS)
    made.add(0x05, 0, b"")
    data = made.take()
    # Nine bytes of payload, self-contained: 9 | 1 << 17, little-endian.
    assert data[:3] == bytes.fromhex("090002")
    assert data[6:15] == bytes.fromhex("05 00 0000 05 00000000")
    assert data == encode_segment(data[6:15], self_contained=True)


# Checksums go by blocks of 16 and 64 bytes where the machine can, and byte by byte behind those.
@pytest.mark.parametrize(
    "size", [*range(9, 210), 1023, 1024, 1025, *range(4090, 4105), 70_001, MAX_PAYLOAD]
)
def test_checksum_of_any_size_is_the_one_of_zlib(size: int) -> None:
    body = random.Random(size).randbytes(size - 9)
    made = writer(Framing.SEGMENTS)
    made.add(QUERY, 1, body)
    data = made.take()
    assert data == encode_segment(envelope(body, 1, QUERY, 0x05), self_contained=True)
    assert read(reader(Framing.SEGMENTS), answer_of(body)) == [(0, 1, RESULT, body)]
    damaged = bytearray(answer_of(body))
    damaged[6 + size // 2] ^= 0x10
    with pytest.raises(ProtocolError, match="CRC32 mismatch"):
        reader(Framing.SEGMENTS).feed(bytes(damaged), EnvelopeList())


def answer_of(body: bytes) -> bytes:
    return encode_segment(envelope(body), self_contained=True)


def test_compressed_segment_is_written_as_the_specification_says() -> None:
    made = writer(Framing.COMPRESSED_SEGMENTS)
    body = bytes(1000)
    made.add(QUERY, 0, body)
    data = made.take()
    header = int.from_bytes(data[:5], "little")
    stored, plain, whole = header & 0x1FFFF, header >> 17 & 0x1FFFF, header >> 34 & 1
    assert (plain, whole) == (1009, 1)
    assert decompress(data[8 : 8 + stored], plain) == envelope(body, 0, QUERY, 0x05)
    assert len(data) == 8 + stored + 4


def test_incompressible_payload_is_stored_as_it_is() -> None:
    made = writer(Framing.COMPRESSED_SEGMENTS)
    made.add(0x05, 0, b"")
    data = made.take()
    assert int.from_bytes(data[:5], "little") >> 17 & 0x1FFFF == 0
    assert data[8:17] == bytes.fromhex("05 00 0000 05 00000000")


def test_v4_body_is_compressed_behind_its_plain_length() -> None:
    made = writer(Framing.ENVELOPES, version=4)
    made.compressing = True
    made.add(QUERY, 0, bytes(1000))
    data = made.take()
    assert data[:5] == bytes.fromhex("04 01 0000 07")
    assert int.from_bytes(data[5:9]) == len(data) - 9
    assert int.from_bytes(data[9:13]) == 1000
    assert decompress(data[13:], 1000) == bytes(1000)


def test_small_v4_body_is_not_compressed() -> None:
    made = writer(Framing.ENVELOPES, version=4)
    made.compressing = True
    made.add(QUERY, 0, bytes(100))
    assert made.take()[1] == 0


# Against the driver's codec


@framings
@given(batch=envelopes)
def test_driver_reads_what_is_written(framing: Framing, batch: list[Envelope]) -> None:
    made = writer(framing)
    for flags, stream_id, opcode, body in batch:
        made.add(opcode, stream_id, body, flags)
    stream = io.BytesIO(made.take())
    codec = driver_codec(framing)
    payload = b""
    while stream.tell() < len(stream.getbuffer()):
        header = codec.decode_header(stream)
        segment = codec.decode(stream, header)
        assert len(segment.payload) <= MAX_PAYLOAD
        assert segment.is_self_contained == (header.is_self_contained)
        payload += segment.payload
    expected = b"".join(
        bytes((5, flags)) + stream_id.to_bytes(2) + bytes((opcode,)) + len(body).to_bytes(4) + body
        for flags, stream_id, opcode, body in batch
    )
    assert payload == expected


@framings
@given(batch=envelopes, data=st.data())
def test_what_the_driver_writes_is_read_in_any_pieces(
    framing: Framing, batch: list[Envelope], data: st.DataObject
) -> None:
    stream = io.BytesIO()
    codec = driver_codec(framing)
    for flags, stream_id, opcode, body in batch:
        header = bytes((0x85, flags)) + stream_id.to_bytes(2) + bytes((opcode,))
        codec.encode(stream, header + len(body).to_bytes(4) + body)
    frames = stream.getvalue()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(frames)), max_size=5)))
    made = reader(framing)
    sink = EnvelopeList()
    pending = b""
    for start, end in zip([0, *cuts], [*cuts, len(frames)], strict=True):
        pending += frames[start:end]
        pending = pending[made.feed(pending, sink) :]
    assert pending == b""
    assert sink.envelopes == batch


@framings
@given(batch=envelopes)
def test_own_frames_are_read_back(framing: Framing, batch: list[Envelope]) -> None:
    made = writer(framing, version=0x85)
    for flags, stream_id, opcode, body in batch:
        made.add(opcode, stream_id, body, flags)
    assert read(reader(framing), made.take()) == batch


@pytest.mark.parametrize("framing", list(Framing), ids=lambda framing: framing.name.lower())
@given(batches=st.lists(envelopes, min_size=1, max_size=3), most=st.integers(1, 4))
def test_reading_stops_after_so_many_and_goes_on_there(
    framing: Framing, batches: list[list[Envelope]], most: int
) -> None:
    made = writer(framing, version=0x85)
    data = b""
    for batch in batches:
        for flags, stream_id, opcode, body in batch:
            made.add(opcode, stream_id, body, flags)
        data += made.take()
    pieces = reader(framing)
    found: list[Envelope] = []
    while data:
        sink = EnvelopeList()
        data = data[pieces.feed(data, sink, most) :]
        assert len(sink.envelopes) <= most
        assert sink.envelopes or not data
        found += sink.envelopes
    assert found == [envelope for batch in batches for envelope in batch]


@framings
@given(body=st.binary(min_size=1, max_size=400), position=st.integers(0), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found_where_the_driver_finds_it(
    framing: Framing, body: bytes, position: int, bit: int
) -> None:
    made = writer(framing, version=0x85)
    made.add(RESULT, 1, body)
    frames = bytearray(made.take())
    frames[position % len(frames)] ^= 1 << bit
    with pytest.raises(ProtocolError):
        read(reader(framing), bytes(frames))
    stream, codec = io.BytesIO(frames), driver_codec(framing)
    with pytest.raises(CrcException):
        codec.decode(stream, codec.decode_header(stream))


@given(
    junk=st.binary(max_size=300),
    framing=st.sampled_from(list(Framing)),
    version=st.sampled_from([4, 5]),
)
def test_junk_raises_protocol_errors_only(junk: bytes, framing: Framing, version: int) -> None:
    sink = EnvelopeList()
    with suppress(ProtocolError):
        assert 0 <= reader(framing, version).feed(junk, sink) <= len(junk)


@given(
    body=st.binary(max_size=300),
    changes=st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=4),
)
def test_changed_payload_with_right_checksums_raises_protocol_errors_only(
    body: bytes, changes: list[tuple[int, int]]
) -> None:
    payload = bytearray(envelope(body) + envelope(body, 2))
    for position, value in changes:
        payload[position % len(payload)] = value
    for whole in (True, False):
        for compression in Compression:
            data = encode_segment(bytes(payload), self_contained=whole, compression=compression)
            framing = FRAMINGS[compression is Compression.LZ4]
            with suppress(ProtocolError):
                reader(framing).feed(data, EnvelopeList())


# Sizes


@framings
@pytest.mark.parametrize("extra", [-10, -9, -8, -1, 0, 1, MAX_PAYLOAD - 9, MAX_PAYLOAD])
def test_sizes_around_the_largest_payload(framing: Framing, extra: int) -> None:
    made = writer(framing, version=0x85)
    bodies = [b"x" * 7, b"y" * (MAX_PAYLOAD + extra), b"z" * 7]
    for stream_id, body in enumerate(bodies):
        made.add(RESULT, stream_id, body)
    read_back = read(reader(framing), made.take())
    assert [body for _, _, _, body in read_back] == bodies


def test_full_segments_hold_as_many_envelopes_as_fit() -> None:
    made = writer(Framing.SEGMENTS)
    for stream_id in range(30):
        made.add(QUERY, stream_id, bytes(10_000))
    data = made.take()
    sizes = []
    while data:
        size = int.from_bytes(data[:3], "little") & 0x1FFFF
        sizes.append(size)
        data = data[6 + size + 4 :]
    assert sizes == [13 * 10_009, 13 * 10_009, 4 * 10_009]


@pytest.mark.parametrize(
    ("framing", "wrap"),
    [
        (Framing.ENVELOPES, lambda data: data),
        (Framing.SEGMENTS, functools.partial(encode_segment, self_contained=True)),
        (Framing.SEGMENTS, functools.partial(encode_segment, self_contained=False)),
    ],
)
@pytest.mark.parametrize("length", [2**31 - 1, 2**31, 2**32 - 1, 256 * 2**20 + 1])
def test_hostile_length_is_refused_without_memory(
    framing: Framing, wrap: Callable[[bytes], bytes], length: int
) -> None:
    data = wrap(bytes.fromhex("85 00 0001 08") + length.to_bytes(4) + bytes(100))
    made = reader(framing)
    tracemalloc.start()
    with pytest.raises(ProtocolError, match=f"{length} bytes is over the limit"):
        made.feed(data, EnvelopeList())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


def test_impossible_plain_length_is_refused_before_it_is_reserved() -> None:
    asked: list[int] = []

    def spy(data: memoryview, size: int) -> bytes:
        asked.append(size)
        return decompress(data, size)

    made = FrameReader(4, spy)
    body = (200 * 2**20).to_bytes(4) + compress(b"small")
    data = bytes.fromhex("84 01 0001 08") + len(body).to_bytes(4) + body
    with pytest.raises(ProtocolError, match="cannot hold"):
        made.feed(data, EnvelopeList())
    assert asked == []


@pytest.mark.parametrize(
    "body",
    [b"", b"\0\0\0", (5).to_bytes(4) + b"\xff\xff\xff\xff", (500).to_bytes(4) + compress(b"small")],
    ids=["empty", "no length", "no block", "other length"],
)
def test_compressed_v4_body_that_is_none_is_refused(body: bytes) -> None:
    data = bytes.fromhex("84 01 0001 08") + len(body).to_bytes(4) + body
    with pytest.raises(ProtocolError):
        reader(Framing.ENVELOPES, 4).feed(data, EnvelopeList())


def test_compressed_body_without_compression_is_refused() -> None:
    data = bytes.fromhex("84 01 0001 08 00000005") + bytes(5)
    with pytest.raises(ProtocolError, match="without compression"):
        FrameReader(4).feed(data, EnvelopeList())


def test_v4_body_is_decompressed() -> None:
    plain = b"abc" * 400
    body = len(plain).to_bytes(4) + compress(plain)
    data = bytes.fromhex("84 09 0001 08") + len(body).to_bytes(4) + body
    assert read(reader(Framing.ENVELOPES, 4), data) == [(0x08, 1, RESULT, plain)]


def test_compression_flag_means_nothing_on_v5() -> None:
    data = bytearray(envelope(b"plain"))
    data[1] = 0x01
    assert read(reader(Framing.SEGMENTS), encode_segment(bytes(data), self_contained=True)) == [
        (0x01, 1, RESULT, b"plain")
    ]


@pytest.mark.parametrize("version_byte", [0x05, 0x84, 0x04, 0x00, 0xFF])
def test_other_version_byte_is_refused(version_byte: int) -> None:
    data = envelope(b"", version=version_byte)
    for framing, frame in (
        (Framing.ENVELOPES, data),
        (Framing.SEGMENTS, encode_segment(data, self_contained=True)),
    ):
        with pytest.raises(ProtocolError, match="version"):
            reader(framing).feed(frame, EnvelopeList())


def test_error_in_a_servers_own_version_is_read_before_the_handshake() -> None:
    data = envelope(b"why", 0, 0x00, 0x84)
    assert read(reader(Framing.ENVELOPES), data) == [(0, 0, 0x00, b"why")]
    with pytest.raises(ProtocolError):
        reader(Framing.SEGMENTS).feed(encode_segment(data, self_contained=True), EnvelopeList())


@pytest.mark.parametrize("cut", range(1, 9))
def test_self_contained_segment_that_ends_within_a_header_is_refused(cut: int) -> None:
    data = encode_segment(envelope(b"") + envelope(b"")[:cut], self_contained=True)
    with pytest.raises(ProtocolError, match="not an envelope"):
        reader(Framing.SEGMENTS).feed(data, EnvelopeList())


def test_empty_segment_is_passed_over() -> None:
    data = encode_segment(b"", self_contained=True) + encode_segment(
        envelope(b"x"), self_contained=True
    )
    assert read(reader(Framing.SEGMENTS), data) == [(0, 1, RESULT, b"x")]


def test_split_envelope_may_be_cut_within_its_header() -> None:
    whole = envelope(b"x" * 50)
    data = b"".join(
        encode_segment(part, self_contained=False) for part in (whole[:4], whole[4:30], whole[30:])
    )
    assert read(reader(Framing.SEGMENTS), data) == [(0, 1, RESULT, b"x" * 50)]


def test_driver_and_peer_write_the_same_segments() -> None:
    stream = io.BytesIO()
    SegmentCodec().encode(stream, envelope(b"x" * 500))
    assert stream.getvalue() == encode_segment(envelope(b"x" * 500), self_contained=True)
    assert Segment.MAX_PAYLOAD_LENGTH == MAX_PAYLOAD
