"""A TCP proxy that cuts, delays and spoils what passes through it."""

import asyncio
import socket
import struct
from collections.abc import Coroutine
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

__all__ = ["CuttingProxy", "Lane", "Link"]

_CHUNK_BYTES = 16 * 1024
_CHUNKS_UNDER_WAY = 64
_BEGINNING_BYTES = 4096
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Lane:
    """What happens to the bytes of one direction, on all links.

    :ivar black_hole: read and discard them
    :ivar one_byte_at_a_time: write one byte per turn of the loop
    :ivar latency: seconds by which each byte is delayed
    :ivar bytes_per_second: read no faster, so that the sender's buffers fill; 0 does not read,
        ``None`` is as fast as possible
    :ivar truncate_after: close the link after so many more bytes
    :ivar passed_bytes: how many bytes were delivered so far
    """

    black_hole: bool = False
    one_byte_at_a_time: bool = False
    latency: float = 0.0
    bytes_per_second: float | None = None
    truncate_after: int | None = None
    passed_bytes: int = 0
    _flips: dict[int, int] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def flip_bit(self, offset: int = 0, bit: int = 0) -> None:
        """Flip a bit of the byte that comes ``offset`` bytes after those delivered so far.

        :param bit: 0 to 7
        """
        self._flips[self.passed_bytes + offset] = 1 << bit

    @property
    def is_whole(self) -> bool:
        """Whether no bit is to be flipped any more."""
        return not self._flips

    def heal(self) -> None:
        """End all that is set."""
        self.black_hole = self.one_byte_at_a_time = False
        self.latency = 0.0
        self.bytes_per_second = self.truncate_after = None
        self._flips.clear()
        self._changed.set()

    async def admit(self, size: int) -> None:
        """Wait as long as reading so many bytes takes."""
        while self.bytes_per_second == 0:
            self._changed.clear()
            await self._changed.wait()
        if self.bytes_per_second is not None:
            await asyncio.sleep(size / self.bytes_per_second)

    def treat(self, data: bytes) -> bytes:
        """Return what becomes of bytes that are about to be delivered."""
        if self.black_hole:
            return b""
        if self.truncate_after is not None:
            data = data[: self.truncate_after]
            self.truncate_after -= len(data)
        start, self.passed_bytes = self.passed_bytes, self.passed_bytes + len(data)
        hit = [at for at in self._flips if start <= at < self.passed_bytes]
        if not hit:
            return data
        spoiled = bytearray(data)
        for at in hit:
            spoiled[at - start] ^= self._flips.pop(at)
        return bytes(spoiled)


@dataclass(slots=True)
class _End:
    """One socket of a link."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def reset(self) -> None:
        if not self.writer.transport.is_closing():
            sock: socket.socket = self.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.writer.transport.abort()


class Link:
    """One proxied connection: two tasks a lane, a bounded queue between them.

    :ivar beginning: the first bytes that the client sent, at most 4 KiB
    :ivar black_hole: read and discard what either side sends, on this link alone
    """

    def __init__(self, client: _End, server: _End) -> None:
        self.client = client
        self.server = server
        self.is_half_open = False
        self.black_hole = False
        self.beginning = b""

    @property
    def is_control_connection(self) -> bool:
        """Whether the client has sent a REGISTER for events, uncompressed."""
        return b"TOPOLOGY_CHANGE" in self.beginning

    async def run(self, to_server: Lane, to_client: Lane) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                self._connect(group.create_task, to_server, self.client, self.server)
                self._connect(group.create_task, to_client, self.server, self.client)
        except* OSError:
            # One side is gone: the other learns it as it would without a proxy between.
            self.reset()
        finally:
            self.client.writer.close()
            self.server.writer.close()

    def _connect(self, start: Any, lane: Lane, source: _End, sink: _End) -> None:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_CHUNKS_UNDER_WAY)
        start(self._read(lane, source, queue))
        start(self._write(lane, sink, queue))

    async def _read(
        self, lane: Lane, source: _End, queue: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await lane.admit(0)
            data = await self._read_some(lane, source)
            if source is self.client and len(self.beginning) < _BEGINNING_BYTES:
                self.beginning += data[: _BEGINNING_BYTES - len(self.beginning)]
            await queue.put((loop.time() + lane.latency, data))
            if not data:
                return
            await lane.admit(len(data))

    async def _read_some(self, lane: Lane, source: _End) -> bytes:
        size = _CHUNK_BYTES
        if lane.bytes_per_second:
            size = max(1, min(size, int(lane.bytes_per_second / 20)))
        try:
            return await source.reader.read(size)
        except OSError:
            if self.is_half_open:
                return b""
            raise

    async def _write(
        self, lane: Lane, sink: _End, queue: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due, data = await queue.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            if not data:
                break
            if self.black_hole:
                continue
            await self._deliver(lane, sink, lane.treat(data))
            if lane.truncate_after == 0:
                self.close()
                return
        if not self.is_half_open and not sink.writer.transport.is_closing():
            sink.writer.write_eof()

    async def _deliver(self, lane: Lane, sink: _End, data: bytes) -> None:
        step = 1 if lane.one_byte_at_a_time else max(1, len(data))
        for at in range(0, len(data), step):
            if sink.writer.transport.is_closing():
                return
            sink.writer.write(data[at : at + step])
            await sink.writer.drain()
            if step == 1:
                await asyncio.sleep(0)

    def close(self) -> None:
        """Close both sides."""
        self.client.writer.close()
        self.server.writer.close()

    def reset(self) -> None:
        """Reset both sides."""
        self.client.reset()
        self.server.reset()

    def half_open(self) -> None:
        """Lose the server's side without a word to the client."""
        self.is_half_open = True
        self.server.reset()


class CuttingProxy:
    """Passes TCP connections on to a target, with switches to spoil them.

    Concurrency: the loop that entered the context. Memory: about a megabyte per link and direction.

    :param port: 0 takes a free one
    :ivar to_server: switches for what clients send
    :ivar to_client: switches for what the target sends
    """

    def __init__(
        self, target_host: str, target_port: int, *, host: str = "127.0.0.1", port: int = 0
    ) -> None:
        self.target_host = target_host
        self.target_port = target_port
        self.host = host
        self.port = port
        self.to_server = Lane()
        self.to_client = Lane()
        self._server: asyncio.Server | None = None
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Event()

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.refuse()
        for task in self._tasks:
            task.cancel()
        for link in self._links:
            link.reset()
        if self._tasks:
            await asyncio.wait(self._tasks)

    @property
    def link_count(self) -> int:
        """How many connections pass through now."""
        return len(self._links)

    @property
    def links(self) -> list[Link]:
        """The connections that pass through now."""
        return list(self._links)

    async def wait_for_links(self, count: int) -> None:
        """Wait until at least so many connections pass through."""
        while len(self._links) < count:
            self._arrived.clear()
            await self._arrived.wait()

    async def listen(self) -> None:
        """Accept connections, again after :meth:`refuse`."""
        self._server = await asyncio.start_server(self._accept, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Refuse new connections; the open ones stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def reset(self) -> None:
        """Reset all connections, both sides."""
        for link in tuple(self._links):
            link.reset()

    def half_open(self) -> None:
        """Lose the target's side of all connections without a word to their clients."""
        for link in self._links:
            link.half_open()

    def black_hole(self) -> None:
        """Discard everything in both directions from now on."""
        self.to_server.black_hole = self.to_client.black_hole = True

    def heal(self) -> None:
        """End all that is set in both directions."""
        self.to_server.heal()
        self.to_client.heal()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._start(self._serve(_End(reader, writer)))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: _End) -> None:
        try:
            server = _End(*await asyncio.open_connection(self.target_host, self.target_port))
        except OSError:
            client.reset()
            return
        link = Link(client, server)
        self._links.add(link)
        self._arrived.set()
        try:
            await link.run(self.to_server, self.to_client)
        finally:
            self._links.discard(link)
