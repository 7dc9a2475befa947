from collections.abc import Buffer, Callable
from enum import IntEnum
from typing import Self

from async_cassandra._wire.buffer import WriteBuffer

class Framing(IntEnum):
    ENVELOPES = 0
    SEGMENTS = 1
    COMPRESSED_SEGMENTS = 2

class FrameWriter:
    version: int
    framing: Framing
    compressing: bool
    def __new__(
        cls, version: int, compress: Callable[[memoryview], bytes] | None = None
    ) -> Self: ...
    @property
    def pending(self) -> WriteBuffer: ...
    def add(self, opcode: int, stream_id: int, body: bytes, flags: int = 0) -> None: ...
    def take(self) -> bytes: ...

class EnvelopeSink: ...

class EnvelopeList(EnvelopeSink):
    def __new__(cls) -> Self: ...
    @property
    def envelopes(self) -> list[tuple[int, int, int, bytes]]: ...

class FrameReader:
    version: int
    framing: Framing
    def __new__(
        cls,
        version: int,
        decompress: Callable[[memoryview, int], bytes] | None = None,
        max_envelope_bytes: int = ...,
    ) -> Self: ...
    def feed(self, data: Buffer, sink: EnvelopeSink, most: int = 2147483647) -> int: ...
