"""Streams that no server sends: the connection ends, its requests fail or are answered, none hangs."""

import asyncio
import random

import pytest

from async_cassandra._net.connection import Connection
from async_cassandra._net.errors import ConnectionLost
from async_cassandra._net.handshake import ConnectOptions, open_connection
from async_cassandra._wire.requests import Query
from async_cassandra._wire.responses import Response
from tests.fuzz.corpus import corpus
from tests.fuzz.mutation import mutated
from tests.support.native_protocol import Opcode, encode_envelope, encode_segment, split_payload
from tests.support.scripted_peer import ScriptedPeer

pytestmark = [pytest.mark.anyio, pytest.mark.promise(8)]

HOST = "127.0.4.9"
CONNECTIONS = 25
RESPONSES = corpus()["responses"]


def framed(version: int, envelope: bytes) -> bytes:
    """With right checksums."""
    if version == 4:
        return envelope
    parts = list(split_payload(envelope))
    return b"".join(encode_segment(part, self_contained=len(parts) == 1) for part in parts)


def hostile(rng: random.Random, version: int, stream_ids: list[int]) -> bytes:
    """Answers to the requests, their bodies changed; then the whole stream, perhaps."""
    stream = b""
    for stream_id in stream_ids:
        given = mutated(rng, rng.choice(RESPONSES), RESPONSES)
        flags, opcode, body = given[1:2], given[2:3], given[3:]
        envelope = bytearray(encode_envelope(version, Opcode.RESULT, stream_id, body))
        envelope[1:2], envelope[4:5] = flags or b"\0", opcode or b"\0"
        stream += framed(version, bytes(envelope))
    return mutated(rng, stream, [stream]) if rng.random() < 0.5 else stream


async def meet(peer: ScriptedPeer, connection: Connection, rng: random.Random) -> None:
    """Send hostile bytes for requests in flight, then close: each request ends one way or the other."""
    futures = [connection.request(Query(f"SELECT {number}")) for number in range(4)]
    requests = [await peer.next_request() for _ in futures]
    sent_to = peer.connections[-1]
    ids = [request.stream_id for request in requests]
    data = hostile(rng, connection.version, [*ids, rng.choice([-1, 0, 77, 32767, *ids])])
    sent_to.send_bytes(data)
    sent_to.close()
    outcomes = await asyncio.gather(*futures, return_exceptions=True)
    for outcome in outcomes:
        assert isinstance(outcome, Response | ConnectionLost), (data.hex(), outcome)
    await connection.close()
    assert (connection.closed, connection.in_flight) == (True, 0)


@pytest.mark.parametrize("version", [4, 5])
async def test_hostile_streams_end_their_connection_only(version: int) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    async with ScriptedPeer(host=HOST) as peer:
        settings = ConnectOptions(protocol_version=version)
        for _ in range(CONNECTIONS):
            connection = await open_connection(peer.host, peer.port, settings)
            await meet(peer, connection, rng)
