"""What the control connection makes of bytes, however they were cut on their way."""

from collections.abc import Iterator
from typing import Any

import pytest
from cassandra.connection import (
    Connection,
    CrcMismatchException,
    segment_codec_lz4,
    segment_codec_no_compression,
)

from async_cassandra._driver.control_connection import LoopConnection
from tests.support.native_protocol import (
    Compression,
    Opcode,
    encode_envelope,
    encode_segment,
    split_payload,
)

BODIES = [b"one", bytes(range(256)) * 520, b"", b"last"]


class Receiving(LoopConnection):
    """Keeps the messages that arrive; neither opened nor bound to a loop."""

    def __init__(self, *, compressed: bool) -> None:
        Connection.__init__(self)
        self.messages: list[tuple[int, bytes]] = []
        self.errors: list[BaseException] = []
        self._enable_checksumming()
        self._segment_codec = segment_codec_lz4 if compressed else segment_codec_no_compression

    def process_msg(self, header: Any, body: bytes) -> None:
        self.messages.append((header.stream, body))

    def defunct(self, exc: BaseException) -> None:
        self.errors.append(exc)


def envelope(stream_id: int, body: bytes) -> bytes:
    return encode_envelope(5, Opcode.RESULT, stream_id, body)


def sent(compression: Compression) -> bytes:
    """Return each body as a server sends it: one segment, or several for a large one."""
    data = b""
    for stream_id, body in enumerate(BODIES):
        parts = list(split_payload(envelope(stream_id, body)))
        for part in parts:
            whole = len(parts) == 1
            data += encode_segment(part, self_contained=whole, compression=compression)
    return data


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """Cut into pieces of ``size`` bytes, and after each 997th."""
    for start in range(0, len(data), 997):
        part = data[start : start + 997]
        while part:
            piece, part = part[:size], part[size:]
            yield piece


@pytest.mark.parametrize("compression", list(Compression), ids=lambda each: each.name.lower())
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 499, 997])
def test_messages_are_whole_however_their_bytes_were_cut(
    compression: Compression, size: int
) -> None:
    connection = Receiving(compressed=compression is Compression.LZ4)
    for piece in pieces(sent(compression), size):
        connection.receive(piece)
    assert connection.errors == []
    assert connection.messages == list(enumerate(BODIES))


def test_damaged_header_is_told() -> None:
    connection = Receiving(compressed=False)
    data = bytearray(sent(Compression.NONE))
    data[0] ^= 1
    connection.receive(bytes(data))
    assert [type(error) for error in connection.errors] == [CrcMismatchException]
    assert connection.messages == []


@pytest.mark.parametrize("size", range(1, 12))
def test_header_may_come_in_pieces(size: int) -> None:
    connection = Receiving(compressed=False)
    first = encode_segment(envelope(7, b"ab"), self_contained=True)
    second = encode_segment(envelope(9, b"cd"), self_contained=True)
    connection.receive(first + second[:size])
    connection.receive(second[size:])
    assert connection.messages == [(7, b"ab"), (9, b"cd")]
