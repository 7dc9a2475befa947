"""One accepted connection of a scripted peer: framing, and the ways to spoil it."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol, cast

from tests.support.native_protocol import (
    MAX_SEGMENT_PAYLOAD,
    NO_FLAGS,
    Compression,
    Envelope,
    EnvelopeReader,
    Flag,
    FrameError,
    Opcode,
    SegmentReader,
    encode_envelope,
    encode_segment,
    split_payload,
)

__all__ = ["ConnectionOwner", "PeerConnection"]


class ConnectionOwner(Protocol):
    """What a connection tells the peer that accepted it."""

    version: int

    def on_connection(self, connection: "PeerConnection") -> None: ...

    def on_envelope(self, connection: "PeerConnection", envelope: Envelope) -> None: ...

    def on_fault(self, connection: "PeerConnection", error: FrameError) -> None: ...


class PeerConnection(asyncio.Protocol):
    """The server's end of one connection.

    :ivar version: the client's protocol version, once it sent anything
    :ivar keyspace: what the last ``USE`` chose
    :ivar startup_options: what STARTUP said
    :ivar event_types: what REGISTER asked for
    :ivar in_flight: stream ids that are owed a response
    :ivar max_segment_payload: larger envelopes are split; lower it to split small ones
    :ivar received_bytes: all that arrived
    """

    def __init__(self, owner: ConnectionOwner) -> None:
        self._owner = owner
        self._transport: asyncio.Transport
        self._envelopes = EnvelopeReader()
        self._segments: SegmentReader | None = None
        self._held: list[bytes] | None = None
        self._spoil: deque[Callable[[bytes], bytes]] = deque()
        self._trickling: deque[int] | None = None
        self._stalled: list[bytes] | None = None
        self.version: int = owner.version
        self.compression = Compression.NONE
        self.agreed_compression = Compression.NONE
        self.keyspace: str | None = None
        self.startup_options: dict[str, str] = {}
        self.event_types: frozenset[str] = frozenset()
        self.in_flight: set[int] = set()
        self.max_segment_payload = MAX_SEGMENT_PAYLOAD
        self.received_bytes = 0
        self.closed = asyncio.Event()

    def __repr__(self) -> str:
        framing = "envelopes" if self._segments is None else "segments"
        return f"<PeerConnection v{self.version} {framing} in flight {sorted(self.in_flight)}>"

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses.
        self._transport = cast(asyncio.Transport, transport)
        self._owner.on_connection(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()

    def data_received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        try:
            if self._segments is None:
                self._envelopes.feed(data)
                self._deliver_envelopes()
            else:
                self._segments.feed(data)
                self._deliver_segments()
        except FrameError as error:
            self._owner.on_fault(self, error)
            self._transport.abort()

    def _deliver_envelopes(self) -> None:
        while (envelope := self._envelopes.next()) is not None:
            self._owner.on_envelope(self, envelope)
            if self._transport.is_closing():
                return

    def _deliver_segments(self) -> None:
        assert self._segments is not None
        for payload, self_contained in self._segments:
            self._envelopes.feed(payload)
            self._deliver_envelopes()
            if self_contained and (rest := self._envelopes.release()):
                raise FrameError(f"a self-contained segment ends within an envelope: {rest[:9]!r}")

    # The framing

    def begin_framing(self) -> None:
        """Use what STARTUP agreed on: segments from v5, compressed envelopes before."""
        self.compression = self.agreed_compression
        if self.version >= 5 and self._segments is None:
            self._segments = SegmentReader(self.compression)
            self._segments.feed(self._envelopes.release())

    def send(self, opcode: Opcode, stream_id: int, body: bytes, flags: Flag = NO_FLAGS) -> None:
        """Send one envelope in the connection's framing."""
        self.in_flight.discard(stream_id)
        compression = self.compression if self.version < 5 else Compression.NONE
        envelope = encode_envelope(
            self.version, opcode, stream_id, body, flags, compression=compression
        )
        if self._held is not None:
            self._held.append(envelope)
        else:
            self._send_envelopes([envelope])

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Send what is sent within in one write at the end, and in one segment if it fits."""
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            self._send_envelopes(held)

    def _send_envelopes(self, envelopes: list[bytes]) -> None:
        data = b"".join(envelopes)
        if self._segments is None:
            self.send_bytes(data)
        elif len(data) <= self.max_segment_payload:
            self.send_bytes(encode_segment(data, self_contained=True, compression=self.compression))
        else:
            self.send_bytes(b"".join(map(self._split, envelopes)))

    def _split(self, envelope: bytes) -> bytes:
        parts = list(split_payload(envelope, self.max_segment_payload))
        return b"".join(
            encode_segment(part, self_contained=len(parts) == 1, compression=self.compression)
            for part in parts
        )

    # The bytes, and what may happen to them

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are, spoiled as asked for."""
        if self._spoil:
            data = self._spoil.popleft()(data)
        if self._stalled is not None:
            self._stalled.append(data)
        elif self._trickling is not None:
            self._trickling.extend(data)
        elif not self._transport.is_closing():
            self._transport.write(data)

    def corrupt_next(self, offset: int = -1) -> None:
        """Flip one bit of the next write.

        :param offset: which byte, as an index into the write; the default is in a segment's CRC32
        """

        def corrupt(data: bytes) -> bytes:
            spoiled = bytearray(data)
            spoiled[offset] ^= 0x10
            return bytes(spoiled)

        self._spoil.append(corrupt)

    def truncate_next(self, size: int) -> None:
        """Send only the first bytes of the next write, and close the connection after them."""

        def truncate(data: bytes) -> bytes:
            asyncio.get_running_loop().call_soon(self._transport.close)
            return data[:size]

        self._spoil.append(truncate)

    def trickle(self) -> None:
        """Send one byte per turn of the loop from now on."""
        if self._trickling is None:
            self._trickling = deque()
            asyncio.get_running_loop().call_soon(self._send_one_byte)

    def _send_one_byte(self) -> None:
        if self._trickling is None or self._transport.is_closing():
            return
        if self._trickling:
            self._transport.write(bytes((self._trickling.popleft(),)))
        asyncio.get_running_loop().call_soon(self._send_one_byte)

    def stop_trickling(self) -> None:
        """Send what is left, and then as usual."""
        if self._trickling is not None:
            rest, self._trickling = bytes(self._trickling), None
            self.send_bytes(rest)

    def stall(self) -> None:
        """Neither read nor write from now on; the connection stays open."""
        if self._stalled is None:
            self._stalled = []
            self._transport.pause_reading()

    def resume(self) -> None:
        """End :meth:`stall`; what was held back is sent."""
        if self._stalled is not None:
            stalled, self._stalled = self._stalled, None
            if not self._transport.is_closing():
                self._transport.resume_reading()
                self._transport.write(b"".join(stalled))

    def drop(self) -> None:
        """Lose the connection at once, with a reset if the client has sent unread bytes."""
        self._transport.abort()

    def close(self) -> None:
        """Close the connection after what was sent."""
        self._transport.close()
