from collections.abc import Buffer, Callable
from enum import IntFlag

from async_cassandra._wire.buffer import WriteBuffer

MAX_ENVELOPE_BYTES: int

class Framing(IntFlag):
    ENVELOPES = 0
    SEGMENTS = 1
    COMPRESSED_SEGMENTS = 2

class FrameWriter:
    version: int
    framing: Framing
    compressing: bool
    def __init__(
        self, version: int, compress: Callable[[memoryview], bytes] | None = None
    ) -> None: ...
    @property
    def pending(self) -> WriteBuffer: ...

class EnvelopeSink: ...

class EnvelopeList(EnvelopeSink):
    def __init__(self) -> None: ...
    @property
    def envelopes(self) -> list[tuple[int, int, int, bytes]]: ...

class FrameReader:
    version: int
    framing: Framing
    def __init__(
        self,
        version: int,
        decompress: Callable[[memoryview, int], bytes] | None = None,
        max_envelope_bytes: int = ...,
    ) -> None: ...
    def feed(self, data: Buffer, sink: EnvelopeSink) -> int: ...
