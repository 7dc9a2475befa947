"""The cutting proxy: each switch does what it says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from tests.support.cutting_proxy import CuttingProxy

pytestmark = pytest.mark.anyio

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Target:
    """A server that hands out its ends of connections."""

    def __init__(self) -> None:
        self.accepted: asyncio.Queue[Streams] = asyncio.Queue()
        self.writers: list[asyncio.StreamWriter] = []
        self.port = 0

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        self.accepted.put_nowait((reader, writer))


@asynccontextmanager
async def proxied() -> AsyncIterator[tuple[CuttingProxy, Streams, Streams]]:
    """Yield a proxy and the client's and server's streams of one connection through it."""
    target = Target()
    listener = await asyncio.start_server(target.accept, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    try:
        async with CuttingProxy("127.0.0.1", port) as proxy:
            client = await asyncio.open_connection(proxy.host, proxy.port)
            target.writers.append(client[1])
            server = await target.accepted.get()
            await proxy.wait_for_links(1)
            yield proxy, client, server
    finally:
        listener.close()
        for writer in target.writers:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def unused_port() -> int:
    """Return a port on which nothing listens."""
    listener = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port: int = listener.sockets[0].getsockname()[1]
    listener.close()
    return port


async def stays_silent(reader: asyncio.StreamReader) -> bool:
    """Whether nothing comes while a lot of turns of the loop pass."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0.05):
            await reader.read(1)
            return False
    return True


async def test_bytes_pass_unchanged_both_ways() -> None:
    async with proxied() as (proxy, (reader, writer), (server_reader, server_writer)):
        data = bytes(range(256)) * 2_000
        writer.write(data)
        assert await server_reader.readexactly(len(data)) == data
        server_writer.write(data)
        assert await reader.readexactly(len(data)) == data
        assert proxy.to_client.passed_bytes == proxy.to_server.passed_bytes == len(data)


async def test_end_of_stream_passes_in_one_direction() -> None:
    async with proxied() as (proxy, (reader, writer), (server_reader, server_writer)):
        writer.write(b"last")
        writer.write_eof()
        assert await server_reader.read() == b"last"
        server_writer.write(b"answer")
        assert await reader.readexactly(6) == b"answer"
        assert proxy.link_count == 1


async def test_reset_breaks_both_sides() -> None:
    async with proxied() as (proxy, (reader, _), (server_reader, _)):
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        with pytest.raises(ConnectionResetError):
            await server_reader.read(1)


async def test_half_open_connection_is_silent_for_the_client() -> None:
    async with proxied() as (proxy, (reader, writer), (server_reader, _)):
        proxy.half_open()
        with pytest.raises(ConnectionResetError):
            await server_reader.read(1)
        writer.write(b"anyone?")
        assert await stays_silent(reader)


async def test_black_hole_swallows_one_direction() -> None:
    async with proxied() as (proxy, (reader, writer), (server_reader, server_writer)):
        proxy.to_server.black_hole = True
        writer.write(b"lost")
        server_writer.write(b"heard")
        assert await reader.readexactly(5) == b"heard"
        assert await stays_silent(server_reader)
        proxy.heal()
        writer.write(b"found")
        assert await server_reader.readexactly(5) == b"found"


async def test_one_byte_at_a_time_arrives_whole() -> None:
    async with proxied() as (proxy, (_, writer), (server_reader, _)):
        proxy.to_server.one_byte_at_a_time = True
        writer.write(b"slowly" * 100)
        first = await server_reader.read(600)
        assert len(first) < 600
        assert first + await server_reader.readexactly(600 - len(first)) == b"slowly" * 100


async def test_latency_delays_without_reordering() -> None:
    async with proxied() as (proxy, (_, writer), (server_reader, _)):
        loop = asyncio.get_running_loop()
        proxy.to_server.latency = 0.05
        started = loop.time()
        writer.write(b"one")
        writer.write(b"two")
        assert await server_reader.readexactly(6) == b"onetwo"
        assert loop.time() - started >= 0.045


async def test_flipped_bit_is_where_asked() -> None:
    async with proxied() as (proxy, (_, writer), (server_reader, _)):
        writer.write(b"before")
        await server_reader.readexactly(6)
        proxy.to_server.flip_bit(2)
        writer.write(b"\0\0\0\0")
        assert await server_reader.readexactly(4) == b"\0\0\1\0"


async def test_truncated_stream_ends_after_its_last_byte() -> None:
    async with proxied() as (proxy, (reader, writer), (server_reader, _)):
        proxy.to_server.truncate_after = 3
        writer.write(b"truncated")
        assert await server_reader.read() == b"tru"
        assert await reader.read() == b""


async def test_slow_reader_makes_the_sender_wait() -> None:
    async with proxied() as (proxy, (_, writer), (server_reader, _)):
        proxy.to_server.bytes_per_second = 0
        writer.write(bytes(32 * 1024 * 1024))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(writer.drain(), 0.1)
        proxy.heal()
        await server_reader.readexactly(32 * 1024 * 1024)
        await writer.drain()


async def test_refused_connections_come_back_on_the_same_port() -> None:
    async with proxied() as (proxy, (_, writer), (server_reader, _)):
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(proxy.host, proxy.port)
        writer.write(b"still here")
        assert await server_reader.readexactly(10) == b"still here"
        await proxy.listen()
        _, again = await asyncio.open_connection(proxy.host, proxy.port)
        await proxy.wait_for_links(2)
        again.close()


async def test_client_is_reset_when_the_target_refuses() -> None:
    async with CuttingProxy("127.0.0.1", await unused_port()) as proxy:
        reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        writer.close()
