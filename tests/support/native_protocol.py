"""The native protocol's frames in plain Python: an independent check of the compiled core.

Written from the protocol's text, sharing nothing with ``async_cassandra._wire``.

Source: ``native_protocol_v4.spec`` and ``native_protocol_v5.spec``, sections 2
(framing) and 3 (notations).
"""

import enum
import struct
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

import lz4.block

__all__ = [
    "MAX_SEGMENT_PAYLOAD",
    "NO_FLAGS",
    "UNSET",
    "Compression",
    "Envelope",
    "EnvelopeReader",
    "Flag",
    "FrameError",
    "Opcode",
    "Reader",
    "SegmentReader",
    "Unset",
    "Value",
    "Writer",
    "crc24",
    "encode_envelope",
    "encode_segment",
    "split_payload",
]

MAX_SEGMENT_PAYLOAD = 128 * 1024 - 1
_CRC32_SEED = zlib.crc32(bytes.fromhex("fa2d55ca"))
_DIRECTION_BIT = 0x80


class FrameError(Exception):
    """The client sent bytes that the protocol does not allow."""


class Opcode(enum.IntEnum):
    """What an envelope carries."""

    ERROR = 0x00
    STARTUP = 0x01
    READY = 0x02
    AUTHENTICATE = 0x03
    OPTIONS = 0x05
    SUPPORTED = 0x06
    QUERY = 0x07
    RESULT = 0x08
    PREPARE = 0x09
    EXECUTE = 0x0A
    REGISTER = 0x0B
    EVENT = 0x0C
    BATCH = 0x0D
    AUTH_CHALLENGE = 0x0E
    AUTH_RESPONSE = 0x0F
    AUTH_SUCCESS = 0x10


class Flag(enum.IntFlag):
    """The flags of an envelope."""

    COMPRESSED = 0x01
    TRACING = 0x02
    CUSTOM_PAYLOAD = 0x04
    WARNING = 0x08
    USE_BETA = 0x10


NO_FLAGS = Flag(0)


class Compression(enum.Enum):
    """What STARTUP agreed on."""

    NONE = None
    LZ4 = "lz4"


class Unset(enum.Enum):
    """The type of :data:`UNSET`."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset.UNSET
Value = bytes | None | Unset


class Reader:
    """Reads the notations of section 3 from a body; all integers are big-endian."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def remaining(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        if size < 0 or size > self.remaining:
            raise FrameError(f"{size} bytes wanted at {self._at} of {len(self._data)}")
        self._at += size
        return self._data[self._at - size : self._at]

    def read_byte(self) -> int:
        return self.take(1)[0]

    def read_short(self) -> int:
        return int.from_bytes(self.take(2))

    def read_int(self) -> int:
        return int.from_bytes(self.take(4), signed=True)

    def read_unsigned_int(self) -> int:
        return int.from_bytes(self.take(4))

    def read_long(self) -> int:
        return int.from_bytes(self.take(8), signed=True)

    def read_string(self) -> str:
        return self.take(self.read_short()).decode()

    def read_long_string(self) -> str:
        return self.take(self.read_int()).decode()

    def read_string_list(self) -> list[str]:
        return [self.read_string() for _ in range(self.read_short())]

    def read_string_map(self) -> dict[str, str]:
        return {self.read_string(): self.read_string() for _ in range(self.read_short())}

    def read_bytes(self) -> bytes | None:
        size = self.read_int()
        return None if size < 0 else self.take(size)

    def read_short_bytes(self) -> bytes:
        return self.take(self.read_short())

    def read_bytes_map(self) -> dict[str, bytes | None]:
        return {self.read_string(): self.read_bytes() for _ in range(self.read_short())}

    def read_value(self) -> Value:
        size = self.read_int()
        if size == -1:
            return None
        if size == -2:
            return UNSET
        return self.take(size)

    def finish(self) -> None:
        """Check that the body ends here."""
        if self.remaining:
            raise FrameError(f"{self.remaining} bytes after the end of the body")


class Writer:
    """Writes the notations of section 3."""

    def __init__(self) -> None:
        self._data = bytearray()

    def getvalue(self) -> bytes:
        return bytes(self._data)

    def raw(self, data: bytes) -> "Writer":
        self._data += data
        return self

    def write_byte(self, value: int) -> "Writer":
        return self.raw(struct.pack(">B", value))

    def write_short(self, value: int) -> "Writer":
        return self.raw(struct.pack(">H", value))

    def write_int(self, value: int) -> "Writer":
        return self.raw(struct.pack(">i", value))

    def write_string(self, value: str) -> "Writer":
        """Write UTF-8, or the bytes that a string decoded with "surrogateescape" stands for."""
        return self.write_short_bytes(value.encode(errors="surrogateescape"))

    def write_string_list(self, values: Sequence[str]) -> "Writer":
        self.write_short(len(values))
        for value in values:
            self.write_string(value)
        return self

    def write_string_multimap(self, values: Mapping[str, Sequence[str]]) -> "Writer":
        self.write_short(len(values))
        for key, items in values.items():
            self.write_string(key).write_string_list(items)
        return self

    def write_bytes(self, value: bytes | None) -> "Writer":
        return self.write_int(-1) if value is None else self.write_int(len(value)).raw(value)

    def write_short_bytes(self, value: bytes) -> "Writer":
        return self.write_short(len(value)).raw(value)

    def write_bytes_map(self, values: Mapping[str, bytes | None]) -> "Writer":
        self.write_short(len(values))
        for key, value in values.items():
            self.write_string(key).write_bytes(value)
        return self

    def write_inet_address(self, address: str) -> "Writer":
        packed = ip_address(address).packed
        return self.write_byte(len(packed)).raw(packed)

    def write_inet(self, address: str, port: int) -> "Writer":
        return self.write_inet_address(address).write_int(port)

    def write_uuid(self, value: uuid.UUID) -> "Writer":
        return self.raw(value.bytes)


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message on the wire, its body decompressed.

    :ivar version: the protocol version, without the direction bit
    :ivar flags: as sent
    """

    version: int
    flags: Flag
    stream_id: int
    opcode: int
    body: bytes


_HEADER = struct.Struct(">BBhBI")


def encode_envelope(
    version: int,
    opcode: int,
    stream_id: int,
    body: bytes,
    flags: Flag = NO_FLAGS,
    *,
    compression: Compression = Compression.NONE,
) -> bytes:
    """Encode a response, its body compressed when asked (v4 only: v5 compresses segments)."""
    if compression is Compression.LZ4 and body:
        flags |= Flag.COMPRESSED
        body = struct.pack(">I", len(body)) + lz4.block.compress(body, store_size=False)
    header = _HEADER.pack(version | _DIRECTION_BIT, flags, stream_id, opcode, len(body))
    return header + body


class EnvelopeReader:
    """Cuts a byte stream into the envelopes of requests."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def release(self) -> bytes:
        """Take the bytes not read yet."""
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    def next(self) -> Envelope | None:
        """Return the next whole envelope, if there is one."""
        if len(self._buffer) < _HEADER.size:
            return None
        version, flags, stream_id, opcode, size = _HEADER.unpack_from(self._buffer)
        if version & _DIRECTION_BIT:
            raise FrameError(f"a request with the version byte of a response: {version:#x}")
        end = _HEADER.size + size
        if len(self._buffer) < end:
            return None
        body = bytes(self._buffer[_HEADER.size : end])
        del self._buffer[:end]
        if flags & Flag.COMPRESSED:
            if version >= 5:
                raise FrameError("a compressed envelope within a v5 segment")
            body = _decompress(body[4:], int.from_bytes(body[:4]))
        return Envelope(version, Flag(flags), stream_id, opcode, body)


def crc24(data: bytes) -> int:
    """The checksum of a segment's header."""
    crc = 0x875060
    for byte in data:
        crc ^= byte << 16
        for _ in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= 0x1974F0B
    return crc


def _decompress(data: bytes, size: int) -> bytes:
    try:
        plain: bytes = lz4.block.decompress(data, uncompressed_size=size)
    except (lz4.block.LZ4BlockError, ValueError) as error:
        raise FrameError(f"LZ4: {error}") from error
    if len(plain) != size:
        raise FrameError(f"LZ4: {len(plain)} bytes instead of the announced {size}")
    return plain


def encode_segment(
    payload: bytes,
    *,
    self_contained: bool,
    compression: Compression = Compression.NONE,
) -> bytes:
    """Encode one v5 segment.

    Layout, little-endian: 17 bits of payload size, with LZ4 17 bits of plain size (0: stored
    plain), 1 bit "self-contained", padding to 3 or 5 bytes, CRC24 of these; the payload; its CRC32.
    """
    plain_size = len(payload)
    bits = 17
    if compression is Compression.LZ4:
        compressed = lz4.block.compress(payload, store_size=False)
        payload, plain_size = (
            (compressed, plain_size) if len(compressed) < plain_size else (payload, 0)
        )
        header = len(payload) | plain_size << 17
        bits = 34
    else:
        header = len(payload)
    header |= self_contained << bits
    packed = header.to_bytes(3 if bits == 17 else 5, "little")
    checksum = zlib.crc32(payload, _CRC32_SEED)
    return b"".join(
        (packed, crc24(packed).to_bytes(3, "little"), payload, checksum.to_bytes(4, "little"))
    )


def split_payload(data: bytes, size: int = MAX_SEGMENT_PAYLOAD) -> Iterable[bytes]:
    """Cut an envelope into the payloads of segments."""
    return (data[at : at + size] for at in range(0, len(data), size))


class SegmentReader:
    """Cuts a byte stream into v5 segments and yields their checked, plain payloads."""

    def __init__(self, compression: Compression) -> None:
        self._buffer = bytearray()
        self._compression = compression
        self._header_size = 3 if compression is Compression.NONE else 5

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def __iter__(self) -> Iterator[tuple[bytes, bool]]:
        """Yield payload and "self-contained" of each whole segment."""
        while len(self._buffer) >= self._header_size + 3:
            packed = bytes(self._buffer[: self._header_size])
            expected = self._buffer[self._header_size : self._header_size + 3]
            if crc24(packed) != int.from_bytes(expected, "little"):
                raise FrameError("CRC24 mismatch in a segment's header")
            header = int.from_bytes(packed, "little")
            size = header & 0x1FFFF
            start = self._header_size + 3
            end = start + size
            if len(self._buffer) < end + 4:
                return
            payload = bytes(self._buffer[start:end])
            if zlib.crc32(payload, _CRC32_SEED) != int.from_bytes(
                self._buffer[end : end + 4], "little"
            ):
                raise FrameError("CRC32 mismatch in a segment's payload")
            del self._buffer[: end + 4]
            yield self._plain(payload, header >> 17)

    def _plain(self, payload: bytes, rest: int) -> tuple[bytes, bool]:
        if self._compression is Compression.NONE:
            return payload, bool(rest & 1)
        plain_size = rest & 0x1FFFF
        self_contained = bool(rest >> 17 & 1)
        return (_decompress(payload, plain_size) if plain_size else payload), self_contained
