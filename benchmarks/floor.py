"""The floor: what asyncio and the protocol cost when nothing is decoded.

A bare asyncio protocol sends EXECUTE frames encoded in advance, all frames of a turn of the loop in
one v5 segment and one write, and matches the responses by their stream ids only. It verifies no
checksum and has no deadlines, routing, retries or rows.
"""

import asyncio
import struct
import zlib
from collections.abc import Sequence
from typing import Final, NamedTuple, Self

__all__ = [
    "FloorConnection",
    "FloorError",
    "Prepared",
    "Request",
    "batch_request",
    "execute_request",
    "paging_state_of",
    "row_count_of",
    "segment",
]

MAX_SEGMENT_PAYLOAD: Final = 128 * 1024 - 1
STREAM_IDS: Final = 16 * 1024

_VERSION: Final = 5
_HEADER: Final = struct.Struct(">BBhBI")
_STREAM_ID: Final = struct.Struct(">h")
_LENGTH: Final = struct.Struct(">I")
_HEADER_SIZE: Final = _HEADER.size
_SEGMENT_HEADER_SIZE: Final = 6
_CRC32_SIZE: Final = 4
_CRC32_SEED: Final = zlib.crc32(b"\xfa\x2d\x55\xca")

_ERROR, _STARTUP, _PREPARE, _EXECUTE, _BATCH = 0x00, 0x01, 0x09, 0x0A, 0x0D
_UNLOGGED: Final = 1
_VALUES, _SKIP_METADATA, _PAGE_SIZE, _PAGING_STATE = 0x01, 0x02, 0x04, 0x08
_HAS_MORE_PAGES: Final = 0x02
_LOCAL_ONE: Final = 0x0A


class FloorError(Exception):
    """The server answered with an ERROR."""


class Prepared(NamedTuple):
    """What PREPARE returned."""

    prepared_id: bytes
    result_metadata_id: bytes


# All of an envelope but the four bytes that begin it and hold its stream id.
type Request = bytes


def _crc24_of_byte(byte: int) -> int:
    crc = byte << 16
    for _ in range(8):
        crc <<= 1
        if crc & 0x1000000:
            crc ^= 0x1974F0B
    return crc


_CRC24: Final = tuple(map(_crc24_of_byte, range(256)))
_HEADS: Final = tuple(
    struct.pack(">BBh", _VERSION, 0, stream_id) for stream_id in range(STREAM_IDS)
)


def segment(payload: bytes, *, is_self_contained: bool = True) -> bytes:
    header = len(payload) | is_self_contained << 17
    crc = 0x875060
    for byte in (header & 0xFF, header >> 8 & 0xFF, header >> 16):
        crc = (crc << 8 ^ _CRC24[crc >> 16 ^ byte]) & 0xFFFFFF
    checksum = zlib.crc32(payload, _CRC32_SEED)
    return b"".join(
        (struct.pack("<Q", header | crc << 24)[:6], payload, struct.pack("<I", checksum))
    )


def _short_bytes(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def _value(data: bytes) -> bytes:
    return struct.pack(">i", len(data)) + data


class FloorConnection(asyncio.Protocol):
    """One connection on which requests may be in flight concurrently, up to :data:`STREAM_IDS`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.WriteTransport
        self._free = list(range(STREAM_IDS))
        self._futures: list[asyncio.Future[bytes] | None] = [None] * STREAM_IDS
        self._queued: list[bytes] = []
        self._queued_bytes = 0
        self._received = b""
        self._partial = bytearray()
        self._is_framed = False

    @classmethod
    async def open(cls, host: str, port: int) -> Self:
        """Connect and finish the handshake."""
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(cls, host, port)
        options = struct.pack(">H", 1) + _short_bytes(b"CQL_VERSION") + _short_bytes(b"3.0.0")
        await connection.send(_request(_STARTUP, options))
        connection._is_framed = True
        return connection

    def close(self) -> None:
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def send(self, request: Request) -> asyncio.Future[bytes]:
        """Queue a request for the end of the loop's turn; the future gets the response's body."""
        stream_id = self._free.pop()
        future: asyncio.Future[bytes] = self._loop.create_future()
        self._futures[stream_id] = future
        size = len(request) + 4
        if self._queued_bytes + size > MAX_SEGMENT_PAYLOAD:
            self._flush()
        if size > MAX_SEGMENT_PAYLOAD:
            self._send_large(_HEADS[stream_id] + request)
            return future
        if not self._queued:
            self._loop.call_soon(self._flush)
        self._queued += (_HEADS[stream_id], request)
        self._queued_bytes += size
        return future

    def _send_large(self, envelope: bytes) -> None:
        for start in range(0, len(envelope), MAX_SEGMENT_PAYLOAD):
            part = envelope[start : start + MAX_SEGMENT_PAYLOAD]
            self._transport.write(segment(part, is_self_contained=False))

    def _flush(self) -> None:
        if not self._queued:
            return
        payload = b"".join(self._queued)
        self._queued.clear()
        self._queued_bytes = 0
        self._transport.write(segment(payload) if self._is_framed else payload)

    def data_received(self, data: bytes) -> None:
        if self._received:
            data = self._received + data
        if not self._is_framed:
            self._received = self._take_envelopes(data, 0, len(data))
            return
        at, end = 0, len(data)
        while end - at >= _SEGMENT_HEADER_SIZE:
            size = data[at] | data[at + 1] << 8 | (data[at + 2] & 1) << 16
            start = at + _SEGMENT_HEADER_SIZE
            stop = start + size
            if stop + _CRC32_SIZE > end:
                break
            if data[at + 2] & 2:
                self._take_envelopes(data, start, stop)
            else:
                self._take_part(data[start:stop])
            at = stop + _CRC32_SIZE
        self._received = data[at:] if at < end else b""

    def _take_part(self, part: bytes) -> None:
        """Collect a large envelope, which comes alone, in several segments."""
        self._partial += part
        (length,) = _LENGTH.unpack_from(self._partial, 5)
        if len(self._partial) == _HEADER_SIZE + length:
            whole, self._partial = bytes(self._partial), bytearray()
            self._take_envelopes(whole, 0, len(whole))

    def _take_envelopes(self, data: bytes, at: int, end: int) -> bytes:
        """Resolve the futures of whole envelopes; return what is left."""
        while end - at >= _HEADER_SIZE:
            start = at + _HEADER_SIZE
            (length,) = _LENGTH.unpack_from(data, at + 5)
            if start + length > end:
                break
            (stream_id,) = _STREAM_ID.unpack_from(data, at + 2)
            future = self._futures[stream_id]
            self._futures[stream_id] = None
            self._free.append(stream_id)
            if future is not None and not future.done():
                body = data[start : start + length]
                if data[at + 4] == _ERROR:
                    future.set_exception(FloorError(body[6:].decode(errors="replace")))
                else:
                    future.set_result(body)
            at = start + length
        return data[at:end]

    async def prepare(self, text: str) -> Prepared:
        body = await self.send(_request(_PREPARE, _value(text.encode()) + bytes(4)))
        (id_size,) = struct.unpack_from(">H", body, 4)
        (metadata_size,) = struct.unpack_from(">H", body, 6 + id_size)
        start = 8 + id_size
        return Prepared(body[6 : 6 + id_size], body[start : start + metadata_size])


def _request(opcode: int, body: bytes) -> Request:
    return struct.pack(">BI", opcode, len(body)) + body


def execute_request(
    prepared: Prepared,
    values: Sequence[bytes],
    *,
    page_size: int | None = None,
    paging_state: bytes | None = None,
) -> Request:
    """Encode an EXECUTE at consistency LOCAL_ONE that skips the metadata."""
    flags = _VALUES | _SKIP_METADATA
    tail = b""
    if page_size is not None:
        flags |= _PAGE_SIZE
        tail += struct.pack(">i", page_size)
    if paging_state is not None:
        flags |= _PAGING_STATE
        tail += _value(paging_state)
    parts = (
        _short_bytes(prepared.prepared_id),
        _short_bytes(prepared.result_metadata_id),
        struct.pack(">HIH", _LOCAL_ONE, flags, len(values)),
        *map(_value, values),
        tail,
    )
    return _request(_EXECUTE, b"".join(parts))


def batch_request(prepared: Prepared, rows: Sequence[Sequence[bytes]]) -> Request:
    """Encode an unlogged BATCH of one statement at consistency LOCAL_ONE."""
    statement = b"\x01" + _short_bytes(prepared.prepared_id)
    parts = [struct.pack(">BH", _UNLOGGED, len(rows))]
    for values in rows:
        parts += (statement, struct.pack(">H", len(values)), *map(_value, values))
    parts.append(struct.pack(">HI", _LOCAL_ONE, 0))
    return _request(_BATCH, b"".join(parts))


def paging_state_of(rows: bytes) -> bytes | None:
    """Return the paging state of a RESULT of kind Rows, None on the last page."""
    flags, _, size = struct.unpack_from(">iii", rows, 4)
    return rows[16 : 16 + size] if flags & _HAS_MORE_PAGES else None


def row_count_of(rows: bytes) -> int:
    """Return how many rows a RESULT of kind Rows without metadata has."""
    flags, _ = struct.unpack_from(">ii", rows, 4)
    at = 12
    if flags & _HAS_MORE_PAGES:
        at += 4 + struct.unpack_from(">i", rows, at)[0]
    count: int = struct.unpack_from(">i", rows, at)[0]
    return count
