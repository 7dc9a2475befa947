"""One client's requests answered from inside its process: the same work each time, no network.

usage: python -m benchmarks.replay CLIENT IN_FLIGHT REQUESTS SERVER

The client connects to a real Cassandra and reads a row, which is recorded. Then a transport that
answers every request with that row takes the place of its connection's. What the process executes
from there on depends on nothing outside of it, so that instructions can be counted.
"""

import asyncio
import gc
import json
import os
import struct
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from benchmarks.clients import ENTRANTS, FLOOR
from benchmarks.clients.base import Client, Server
from benchmarks.data import STATEMENTS
from benchmarks.floor import FloorConnection, execute_request, segment
from benchmarks.measure import use

if TYPE_CHECKING:  # the floor's environment does not have it
    from async_cassandra._net.connection import Connection

__all__ = ["ReplayTransport", "answers", "requests_in"]

KEY: Final = 7
WARM_UP: Final = 300

_HEADER: Final = struct.Struct(">BBhBI")
_SEGMENT_HEADER_SIZE: Final = 6
_CRC32_SIZE: Final = 4
_RESPONSE: Final = 0x85
_RESULT: Final = 0x08


def requests_in(data: bytes) -> Iterator[int]:
    """Yield the stream ids of the requests in self-contained segments."""
    at = 0
    while at < len(data):
        size = data[at] | data[at + 1] << 8 | (data[at + 2] & 1) << 16
        start = at + _SEGMENT_HEADER_SIZE
        at = start + size + _CRC32_SIZE
        while start < at - _CRC32_SIZE:
            _, _, stream_id, _, length = _HEADER.unpack_from(data, start)
            yield stream_id
            start += _HEADER.size + length


def answers(data: bytes, body: bytes) -> bytes:
    """Return the segments in which a server would answer those requests with a RESULT."""
    size = _HEADER.size + len(body)
    envelopes = [
        _HEADER.pack(_RESPONSE, 0, stream_id, _RESULT, len(body)) + body
        for stream_id in requests_in(data)
    ]
    count = (2**17 - 1) // size
    return b"".join(
        segment(b"".join(envelopes[at : at + count])) for at in range(0, len(envelopes), count)
    )


class ReplayTransport(asyncio.Transport):
    """Answers each request in the next turn of the loop.

    The answers to the same bytes are made once: a steady load costs it next to nothing.

    :param body: of the RESULT that answers every request
    """

    def __init__(self, protocol: "Connection | FloorConnection", body: bytes) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._body = body
        self._known: dict[bytes, bytes] = {}
        self._is_paused = False
        self._waiting: list[bytes] = []

    def write(self, data: Any) -> None:
        asked = bytes(data)
        if asked not in self._known:
            self._known[asked] = answers(asked, self._body)
        self._loop.call_soon(self._deliver, self._known[asked])

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        self._is_paused = False
        waiting, self._waiting = self._waiting, []
        for data in waiting:
            self._loop.call_soon(self._deliver, data)

    def _deliver(self, data: bytes) -> None:
        if self._is_paused:
            self._waiting.append(data)
            return
        if isinstance(self._protocol, FloorConnection):
            self._protocol.data_received(data)
            return
        at = 0
        while at < len(data):
            buffer = self._protocol.get_buffer(len(data) - at)
            part = data[at : at + len(buffer)]
            buffer[: len(part)] = part
            self._protocol.buffer_updated(len(part))
            at += len(part)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is buffered."""


def connection_of(client: Client) -> "Connection | FloorConnection":
    """Return the only data connection of the floor or of this library."""
    if not client.decodes:
        floor: FloorConnection = client._only  # type: ignore[attr-defined]
        return floor
    (pool,) = client._session._core.nodes.pools.values()  # type: ignore[attr-defined]
    (connection,) = pool.connections
    own: Connection = connection
    return own


async def recorded(server: Server) -> bytes:
    """Return the body of the RESULT with which the server answers a read."""
    connection = await FloorConnection.open(server.contact_points[0], server.port)
    prepared = await connection.prepare(STATEMENTS["read point"].cql)
    body = await connection.send(execute_request(prepared, [struct.pack(">i", KEY)]))
    connection.close()
    return body


async def run(name: str, in_flight: int, requests: int, server: Server) -> None:
    """Send so many requests, so many at a time, after some for warming up."""
    client = ENTRANTS[name].load()()
    await client.open(server)
    statement = STATEMENTS["read point"]
    await client.prepare(statement)
    request = client.request(statement, KEY)
    use(await client.read(request))
    connection = connection_of(client)
    connection.connection_made(ReplayTransport(connection, await recorded(server)))

    async def work(count: int) -> None:
        for _ in range(count):
            use(await client.read(request))

    for count in (max(WARM_UP, in_flight), requests):
        # What is there by now is not walked again: one full collection more or less would be the figure.
        gc.freeze()
        await asyncio.gather(*(work(count // in_flight) for _ in range(in_flight)))


def main() -> None:
    name, in_flight, requests, server = sys.argv[1:]
    assert name == FLOOR or ENTRANTS[name].is_this
    coroutine = run(name, int(in_flight), int(requests), Server(**json.loads(server)))
    asyncio.new_event_loop().run_until_complete(coroutine)
    sys.stdout.flush()
    # Ending in order would count, too, and nothing is left to be saved.
    os._exit(0)


if __name__ == "__main__":
    main()
