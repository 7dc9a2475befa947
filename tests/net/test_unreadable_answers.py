"""Answers that came whole and cannot be read fail their own request, once, and nothing else."""

import asyncio
import random
from typing import Any

import cassandra
import pytest
from cassandra import connection as driver_connection
from cassandra import protocol
from cassandra.policies import ConstantSpeculativeExecutionPolicy, RetryPolicy

from async_cassandra import exceptions
from async_cassandra.exceptions import ConnectionBrokenError, ConnectionLostError
from tests.net.test_retry_gate import Decided
from tests.support.native_protocol import Opcode, Writer
from tests.support.peer_replies import ErrorCode, error_body, prepared_body, rows_body
from tests.support.request_rig import INT_ROW, RequestRig, nodes, nothing_more, until, values
from tests.support.scripted_peer import Request as PeerRequest

pytestmark = pytest.mark.anyio

LIST, INT, UDT = 0x0020, 0x0009, 0x0030


def rows_of(*type_codes: int) -> bytes:
    """A page without rows, of one column of any type."""
    out = Writer().write_int(2).write_int(1).write_int(1).write_string("ks").write_string("t")
    out.write_string("v")
    for code in type_codes:
        out.write_short(code)
    return out.write_int(0).getvalue()


ROWS = rows_body(INT_ROW, [(1,), (2,)])
BODIES: dict[str, tuple[int, bytes]] = {
    "nothing": (Opcode.RESULT, b""),
    "unknown kind": (Opcode.RESULT, Writer().write_int(99).getvalue()),
    "negative kind": (Opcode.RESULT, Writer().write_int(-1).getvalue()),
    "nested lists": (Opcode.RESULT, rows_of(*[LIST] * 70, INT)),
    "unknown type": (Opcode.RESULT, rows_of(0x7777)),
    "type cut off": (Opcode.RESULT, rows_of(LIST)[:-4]),
    "UDT without a name": (Opcode.RESULT, rows_of(UDT)),
    "rows without columns": (
        Opcode.RESULT,
        Writer().write_int(2).write_int(0).write_int(0).getvalue(),
    ),
    "no metadata": (Opcode.RESULT, rows_body(INT_ROW, [(1,)], metadata=False)),
    "rows cut off": (Opcode.RESULT, ROWS[:-3]),
    "metadata cut off": (Opcode.RESULT, ROWS[:13]),
    "prepared cut off": (Opcode.RESULT, prepared_body(5, b"id", INT_ROW)[:9]),
    "error cut off": (Opcode.ERROR, b"\0\0"),
    "error without its fields": (
        Opcode.ERROR,
        Writer().write_int(ErrorCode.UNAVAILABLE).write_string("x").getvalue(),
    ),
    "ready": (Opcode.READY, b""),
    "supported": (Opcode.SUPPORTED, Writer().write_string_multimap({}).getvalue()),
    "authenticate": (Opcode.AUTHENTICATE, Writer().write_string("a").getvalue()),
    "auth success": (Opcode.AUTH_SUCCESS, Writer().write_bytes(None).getvalue()),
    "event": (Opcode.EVENT, Writer().write_string("SCHEMA_CHANGE").getvalue()),
    "query": (Opcode.QUERY, b""),
    "no opcode": (0x7E, b""),
}


def answer(
    request: PeerRequest, opcode: int, body: bytes, flags: int = 0, stream_id: int | None = None
) -> None:
    connection: Any = request.connection
    connection.send(opcode, request.stream_id if stream_id is None else stream_id, body, flags)


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("is_idempotent", [True, False], ids=["idempotent", "not-idempotent"])
async def test_unreadable_answer_fails_its_request_once_and_the_connection_goes_on(
    name: str, is_idempotent: bool
) -> None:
    async with nodes(2) as rig:
        policy = Decided(RetryPolicy.RETRY)
        before, after = rig.write(), rig.write()
        request = rig.write(is_idempotent=is_idempotent, retry_policy=policy)
        asked = [await rig.peers[0].next_request() for _ in range(3)]
        asked[0].reply_void()
        answer(asked[2], *BODIES[name])
        with pytest.raises(exceptions.ProtocolError) as caught:
            await request
        asked[1].reply_void()
        await before
        await after
        check_error(rig, caught.value)
        assert ("may have been executed" in str(caught.value)) is not is_idempotent
        assert policy.asked == []
        assert len(rig.peers[0].connections) == 1
        await nothing_more(rig)
        await rig.check_quiet()


def check_error(rig: RequestRig, error: exceptions.ProtocolError) -> None:
    assert isinstance(error, cassandra.DriverException)
    assert isinstance(error, driver_connection.ProtocolError)
    # That is what a server says of a client's bytes, such as a paging token.
    assert not isinstance(error, protocol.ProtocolException)
    assert not isinstance(error, ConnectionLostError)
    assert (error.attempts, error.endpoint) == (1, rig.pools[0].endpoint)
    assert "is_idempotent" not in str(error)


@pytest.mark.parametrize("flags", [0x02, 0x04, 0x08, 0x0E])
async def test_flags_of_what_the_body_lacks_fail_the_request_only(flags: int) -> None:
    async with nodes() as rig:
        request = rig.write()
        answer(await rig.peers[0].next_request(), Opcode.RESULT, b"\0\0\0", flags)
        with pytest.raises(exceptions.ProtocolError) as caught:
            await request
        check_error(rig, caught.value)
        await rig.check_quiet()


async def test_damaged_bodies_never_touch_the_requests_beside_them() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    bodies = [ROWS, prepared_body(5, b"id", INT_ROW), rows_of(LIST, INT), b"\0\0\0\1"]
    bodies += [error_body(5, code, "why", {"prepared_id": b"x"}) for code in ErrorCode]
    async with nodes() as rig:
        for _ in range(100):
            damaged = bytearray(rng.choice(bodies))
            for _ in range(rng.randint(0, 3)):
                damaged[rng.randrange(len(damaged))] = rng.choice([0, 1, 0x7F, 0xFF])
            body = bytes(damaged[: rng.randint(0, len(damaged))])
            opcode = rng.choice([Opcode.RESULT, Opcode.ERROR])
            request, beside = rig.write(retry_policy=Decided(RetryPolicy.RETHROW)), rig.write()
            asked = [await rig.peers[0].next_request() for _ in range(2)]
            answer(asked[0], opcode, body)
            asked[1].reply_void()
            (outcome,) = await asyncio.gather(request, return_exceptions=True)
            assert not isinstance(outcome, ConnectionLostError), (opcode, body)
            await beside
        assert len(rig.peers[0].connections) == 1
        await rig.check_quiet()


async def test_other_attempt_can_still_bring_the_answer() -> None:
    async with nodes(2) as rig:
        request = rig.read(speculation=ConstantSpeculativeExecutionPolicy(0.1, 2))
        first = await rig.peers[0].next_request()
        rig.advance(0.101)
        second = await rig.peers[1].next_request()
        answer(first, *BODIES["unknown kind"])
        await rig.settle()
        second.reply_rows(INT_ROW, [(2,)])
        await request
        assert values(request) == [2]
        await rig.check_quiet()


async def test_two_unreadable_answers_fail_a_hedged_request() -> None:
    async with nodes(2) as rig:
        request = rig.read(speculation=ConstantSpeculativeExecutionPolicy(0.1, 2))
        asked = [await rig.peers[0].next_request()]
        rig.advance(0.101)
        asked.append(await rig.peers[1].next_request())
        for one in asked:
            answer(one, *BODIES["nested lists"])
        with pytest.raises(exceptions.ProtocolError):
            await request
        await nothing_more(rig)
        await rig.check_quiet()


@pytest.mark.parametrize(
    "name", ["nothing", "unknown kind", "ready", "error cut off", "prepared cut off"]
)
async def test_unreadable_answer_to_a_prepare_fails_who_waits_for_it(name: str) -> None:
    async with nodes() as rig:
        statement = await rig.prepare()
        waiting = [rig.execute(statement, (number,)) for number in range(2)]
        for _ in waiting:
            (await rig.peers[0].next_request()).reply_error(ErrorCode.UNPREPARED)
        beside = rig.write()
        prepare, other = [await rig.peers[0].next_request() for _ in range(2)]
        if prepare.opcode is not Opcode.PREPARE:
            prepare, other = other, prepare
        answer(prepare, *BODIES[name])
        for request in waiting:
            with pytest.raises(exceptions.ProtocolError) as caught:
                await request
            assert "may have been executed" not in str(caught.value)
        other.reply_void()
        await beside
        assert len(rig.peers[0].connections) == 1
        await rig.check_quiet()


# What does close the connection


def unknown_stream(request: PeerRequest) -> None:
    answer(request, Opcode.RESULT, b"\0\0\0\1", stream_id=999)


def damaged_segment(request: PeerRequest) -> None:
    request.reply_raw(b"\xff" * 64)


@pytest.mark.parametrize("break_it", [unknown_stream, damaged_segment])
async def test_broken_connection_is_said_as_what_it_is(break_it: Any) -> None:
    async with nodes() as rig:
        write = rig.write()
        break_it(await rig.peers[0].next_request())
        with pytest.raises(ConnectionBrokenError, match="mark it is_idempotent=True") as caught:
            await write
        assert isinstance(caught.value, exceptions.ProtocolError)
        assert isinstance(caught.value, driver_connection.ConnectionShutdown)
        await until(lambda: rig.pools[0].connections)
        read = rig.read(retry_policy=RetryPolicy())
        for _ in range(5):
            break_it(await rig.peers[0].next_request())
        with pytest.raises(ConnectionBrokenError, match="It was sent 5 times") as caught:
            await read
        assert "is_idempotent" not in str(caught.value)
