"""Requests of any content: what is written is read back by the independent reader of the tests."""

from collections.abc import Callable

import lz4.block

from async_cassandra._wire import requests as wire
from async_cassandra._wire.framing import FrameWriter, Framing
from tests.fuzz.hostile_values import Source
from tests.support.native_protocol import Compression, Envelope, EnvelopeReader, SegmentReader

__all__ = ["requests"]

Encoded = tuple[int, int, int, bytes]

MOST_WRITTEN = 20_000_000


def compress(data: memoryview) -> bytes:
    block: bytes = lz4.block.compress(data, store_size=False)
    return block


def text(source: Source) -> str:
    """Any text; the last length of all makes it longer than a [string] can be."""
    size = source.byte()
    return source.take(size).decode("utf-8", "surrogateescape") * (1 if size < 255 else 300)


def optional(source: Source) -> bytes | None:
    return source.sized(1) if source.byte() & 1 else None


def statement(source: Source, made: wire.Statement) -> wire.Statement:
    made.consistency = source.number(2)
    made.serial_consistency = source.number(2) if source.byte() & 1 else 0
    made.timestamp = source.number(8, signed=True) if source.byte() & 1 else wire.NO_TIMESTAMP
    made.keyspace = text(source) if source.byte() & 1 else None
    return made


def query(source: Source, made: wire.Query) -> wire.Message:
    flags = source.byte()
    made.query = text(source) if flags & 0x20 else None
    made.values = optional(source)
    made.page_size = source.number(4, signed=True)
    made.paging_state = optional(source)
    made.skip_metadata = bool(flags & 4)
    if isinstance(made, wire.Execute):
        made.prepared_id = source.sized(1) * 300 if flags & 8 else None
        made.result_metadata_id = source.sized(1) * 300 if flags & 16 else None
    return statement(source, made)


def batch(source: Source) -> wire.Message:
    made = wire.Batch()
    made.batch_type = source.byte()
    for _ in range(source.byte() % 5):
        entry = text(source) if source.byte() & 1 else source.sized(1)
        made.entries.append((entry, optional(source)))  # type: ignore[arg-type]
    if source.byte() == 254 and len(made.entries) == 1:
        made.entries *= 70_000
    return statement(source, made)


def message(source: Source) -> wire.Message:
    pairs = {text(source): text(source) for _ in range(source.byte() % 3)}
    if source.byte() == 253 and not pairs:
        pairs |= dict.fromkeys(map(str, range(66_000)), "")
    kinds: tuple[Callable[[], wire.Message], ...] = (
        wire.Options,
        wire.Message,
        lambda: wire.Startup(pairs),
        lambda: wire.AuthResponse(optional(source)),
        lambda: wire.Register(list(pairs)[:2] * (1 + source.byte() * 300)),
        lambda: wire.Prepare(text(source), text(source) if source.byte() & 1 else None),
        lambda: query(source, wire.Query()),
        lambda: query(source, wire.Execute()),
        lambda: batch(source),
    )
    made = kinds[source.byte() % len(kinds)]()
    made.tracing = bool(source.byte() & 1)
    if source.byte() & 1:
        made.custom_payload = dict.fromkeys(pairs, b"value") | {"null": None}
    for name in dir(type(made)):
        if not name.startswith("_"):
            getattr(made, name)
    return made


def requests(data: bytes) -> None:
    """Messages encode or are refused; envelopes of any sizes come back out of their framing."""
    source = Source(data)
    mode = source.byte()
    version = 4 if mode & 1 else 5
    framing = (Framing.SEGMENTS, Framing.COMPRESSED_SEGMENTS)[mode >> 1 & 1]
    writer = FrameWriter(version, compress)
    writer.compressing = bool(mode & 2)
    writer.framing = framing if version == 5 else Framing.ENVELOPES
    added: list[Encoded] = []
    while source.remaining and len(writer.pending) < MOST_WRITTEN:
        try:
            body = message(source).encode(version)
        except (ValueError, TypeError, NotImplementedError):
            continue
        # Sizes around those of a segment.
        times = (1, 1, 1, 0x1FFFF // (len(body) + 9), 50)[source.byte() % 5]
        body *= times if 0 < len(body) * times < MOST_WRITTEN else 1
        flags, opcode = source.byte() & 0x0E, source.byte() & 0x0F
        writer.add(opcode, len(added), body, flags)
        added.append((flags, len(added), opcode, body))
    assert read_back(version, writer.framing, writer.take()) == added
    assert writer.take() == b""
    assert (len(writer.pending), writer.version, writer.compressing) == (0, version, bool(mode & 2))
    writer.pending.clear()


def read_back(version: int, framing: Framing, frames: bytes) -> list[Encoded]:
    envelopes = EnvelopeReader()
    if framing is Framing.ENVELOPES:
        envelopes.feed(frames)
    else:
        compressed = framing is Framing.COMPRESSED_SEGMENTS
        segments = SegmentReader(Compression.LZ4 if compressed else Compression.NONE)
        segments.feed(frames)
        for payload, _ in segments:
            envelopes.feed(payload)
    found: list[Encoded] = []
    envelope: Envelope | None
    while (envelope := envelopes.next()) is not None:
        assert envelope.version == version
        flags = envelope.flags & 0x0E
        found.append((flags, envelope.stream_id, envelope.opcode, envelope.body))
    assert envelopes.release() == b""
    return found
