"""What counts instructions and draws profiles: the replayed connection, and reading the reports."""

from __future__ import annotations

import asyncio
import struct

import pytest
from benchmarks import instructions
from benchmarks.flame import leaves
from benchmarks.floor import FloorConnection, Prepared, execute_request, segment
from benchmarks.replay import ReplayTransport, answers, requests_in

REQUEST = execute_request(Prepared(b"id", b"shape"), [bytes(4)])
BODY = struct.pack(">i", 2) + bytes(20)


def asked(*stream_ids: int) -> bytes:
    heads = (struct.pack(">BBh", 5, 0, stream_id) for stream_id in stream_ids)
    return segment(b"".join(head + REQUEST for head in heads))


def test_requests_of_all_segments_are_found() -> None:
    assert list(requests_in(asked(3, 1, 2) + asked(7))) == [3, 1, 2, 7]
    assert list(requests_in(b"")) == []


def test_answer_goes_to_each_request_in_segments_that_fit() -> None:
    assert list(requests_in(answers(asked(3, 1, 2), BODY))) == [3, 1, 2]
    large = answers(asked(1, 2, 3), bytes(60_000))
    assert list(requests_in(large)) == [1, 2, 3]
    assert len(large) > 2**17


@pytest.mark.anyio
async def test_replayed_connection_answers_with_the_body() -> None:
    connection = FloorConnection()
    connection._is_framed = True
    connection.connection_made(ReplayTransport(connection, BODY))
    for _ in range(2):
        bodies = await asyncio.gather(*(connection.send(REQUEST) for _ in range(5)))
        assert bodies == [BODY] * 5


def test_instructions_are_read_from_the_report() -> None:
    assert instructions.counted("==1== \n==1== I refs:        1,234,567\n") == 1_234_567
    with pytest.raises(instructions.CountError, match="no such tool"):
        instructions.counted("valgrind: no such tool\n")


def test_instructions_of_a_request_are_the_difference() -> None:
    fewer, more = instructions.requests_of(128)
    assert instructions.per_request(128, 1000, 1000 + 50 * (more - fewer)) == 50


@pytest.mark.parametrize("in_flight", instructions.LOADS)
def test_every_task_of_a_load_sends_several_requests_more(in_flight: int) -> None:
    fewer, more = instructions.requests_of(in_flight)
    assert fewer % in_flight == 0
    assert more % in_flight == 0
    assert more - fewer >= 4 * in_flight


@pytest.mark.anyio
async def test_replayed_connection_keeps_answers_while_reading_is_paused() -> None:
    connection = FloorConnection()
    connection._is_framed = True
    transport = ReplayTransport(connection, BODY)
    connection.connection_made(transport)
    transport.pause_reading()
    answer = connection.send(REQUEST)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not answer.done()
    transport.resume_reading()
    assert await answer == BODY


def test_leaves_are_the_innermost_functions_with_their_share() -> None:
    main, other = "thread (0x1): MainThread", "thread (0x2): reader"
    stacks = f"{main};run (a.py:1);send 6\n{main};run (a.py:1) 2\n{main};wait;send 2\n"
    stacks += f"{other};wait 90\n"
    assert leaves(stacks) == [("send", 0.8), ("run (a.py:1)", 0.2)]
    assert leaves("") == []
