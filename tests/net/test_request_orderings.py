"""Every ordering of what may happen to one request, and what must hold after each of them.

A request's events come from the loop one at a time, so an ordering is a permutation. Each test
builds one: a request on the first of two nodes, then the events. After every one of them the
request has ended at most once; after the last, nothing of it is left.
"""

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import suppress
from math import inf

import pytest

from async_cassandra._net.errors import ConnectionLost
from async_cassandra._request.request import Request, State
from async_cassandra.exceptions import ConnectionError, QueryError, QueryTimeoutError
from tests.support.native_protocol import Opcode
from tests.support.peer_replies import ErrorCode
from tests.support.request_rig import INT_ROW, RequestRig, nodes, until, values
from tests.support.scripted_peer import Request as PeerRequest

pytestmark = pytest.mark.anyio


class Story:
    """One request and the events of its life, each a method."""

    def __init__(self, rig: RequestRig, request: Request) -> None:
        self.rig = rig
        self.request = request
        self.arrived: list[PeerRequest] = []
        self.was_lost = False

    async def collect(self) -> None:
        """Take what has arrived at the peers."""
        await self.rig.settle()
        for peer in self.rig.peers:
            while peer.waiting_requests:
                self.arrived.append(await peer.next_request())

    def _oldest(self) -> PeerRequest | None:
        for request in self.arrived:
            if not request.connection.closed.is_set():
                self.arrived.remove(request)
                return request
        return None

    async def _answered(self, request: PeerRequest) -> None:
        connection = request.connection
        await until(
            lambda: connection.closed.is_set() or request.stream_id not in connection.in_flight
        )
        await self.collect()

    async def reply(self) -> None:
        if (request := self._oldest()) is not None:
            if request.opcode is Opcode.PREPARE:
                request.reply_prepared(b"id", [("k", "int")], INT_ROW)
            else:
                request.reply_rows(INT_ROW, [(1,)])
            await self._answered(request)

    async def error(self) -> None:
        if (request := self._oldest()) is not None:
            request.reply_error(ErrorCode.OVERLOADED)
            await self._answered(request)

    async def unprepared(self) -> None:
        request = self._oldest()
        if request is not None:
            if request.opcode is Opcode.PREPARE:
                request.reply_error(ErrorCode.INVALID)
            else:
                request.reply_error(ErrorCode.UNPREPARED)
            await self._answered(request)

    async def attempt_limit(self) -> None:
        if self.request.state != State.DONE:
            self.rig.advance(3.001)
            await self.collect()

    async def deadline(self) -> None:
        self.rig.advance(10.1)
        await self.collect()

    async def cancel(self) -> None:
        self.request.cancel()
        await self.collect()

    async def lose_first(self) -> None:
        await self._lose(0)

    async def lose_second(self) -> None:
        await self._lose(1)

    async def _lose(self, index: int) -> None:
        pool = self.rig.pools[index]
        lost = pool.connections[0]
        lost.abort(ConnectionLost("cut by the test", pool.endpoint))
        self.arrived = [
            request for request in self.arrived if request.peer is not self.rig.peers[index]
        ]
        await until(lambda: pool.connections and pool.connections[0] is not lost)
        await self.collect()

    async def finish(self) -> None:
        """Answer whatever is still owed, and look at what is left."""
        for _ in range(20):
            await self.collect()
            if self.request.state == State.PAUSED:
                self.rig.advance(1.0)
                continue
            if not self.arrived:
                break
            for request in self.arrived:
                if request.opcode is Opcode.PREPARE:
                    request.reply_prepared(b"id", [("k", "int")], INT_ROW)
                else:
                    request.reply_rows(INT_ROW, [(1,)])
            self.arrived.clear()
        assert self.request.state == State.DONE
        assert self.request.done()
        with suppress(QueryError, ConnectionError, asyncio.CancelledError):
            self.request.result()
        await self.rig.check_quiet()


def orderings(events: tuple[str, ...], length: int) -> Iterator[tuple[str, ...]]:
    for size in range(1, length + 1):
        yield from itertools.permutations(events, size)


PLAIN = ("reply", "error", "attempt_limit", "deadline", "cancel", "lose_first", "lose_second")
PREPARED = ("unprepared", "reply", "attempt_limit", "deadline", "cancel", "lose_first")


@pytest.mark.parametrize("first", PLAIN)
async def test_every_ordering_of_a_read_ends_it_once_and_leaves_nothing(first: str) -> None:
    async with nodes(2) as rig:
        for rest in orderings(tuple(event for event in PLAIN if event != first), 2):
            story = Story(rig, rig.read())
            await story.collect()
            for event in (first, *rest):
                await getattr(story, event)()
            await story.finish()


@pytest.mark.parametrize("first", PLAIN)
async def test_every_ordering_of_a_write_sends_it_once(first: str) -> None:
    async with nodes(2) as rig:
        for rest in orderings(tuple(event for event in PLAIN if event != first), 2):
            story = Story(rig, rig.write())
            await story.collect()
            for event in (first, *rest):
                await getattr(story, event)()
            await story.finish()
            assert story.request.attempts == 1


@pytest.mark.parametrize("first", PREPARED)
async def test_every_ordering_of_an_unprepared_statement_ends_it_once(first: str) -> None:
    async with nodes(2) as rig:
        statement = await rig.prepare()
        for rest in orderings(tuple(event for event in PREPARED if event != first), 2):
            story = Story(rig, rig.execute(statement, [1]))
            await story.collect()
            for event in (first, *rest):
                await getattr(story, event)()
            await story.finish()


@pytest.mark.parametrize("ending", ["reply", "error", "deadline", "cancel", "lose_first"])
async def test_what_comes_after_the_end_changes_nothing(ending: str) -> None:
    async with nodes(2) as rig:
        for late in PLAIN:
            story = Story(rig, rig.write())
            await story.collect()
            await getattr(story, ending)()
            outcome = _outcome(story.request)
            assert outcome != "pending"
            await getattr(story, late)()
            assert _outcome(story.request) == outcome
            await story.finish()


def _outcome(request: Request) -> object:
    if not request.done():
        return "pending"
    if request.cancelled():
        return "cancelled"
    return request.exception() or request.response


async def test_losses_and_limits_before_the_flush_send_it_elsewhere() -> None:
    async with nodes(2) as rig:
        for events in orderings(("lose_first", "lose_second"), 2):
            request = rig.write()
            for event in events:
                index = ("lose_first", "lose_second").index(event)
                rig.connection(index).abort(ConnectionLost("cut by the test"))
            assert request.state in (State.WAITING, State.QUEUED)
            story = Story(rig, request)
            await until(lambda: all(pool.connections for pool in rig.pools))
            await story.collect()
            assert len(story.arrived) == 1
            await story.reply()
            assert values(request) == [1]
            await story.finish()


async def test_deadline_of_a_lost_write_is_moot() -> None:
    async with nodes(2) as rig:
        story = Story(rig, rig.write(timeout=inf))
        await story.collect()
        await story.deadline()
        assert not story.request.done()
        await story.lose_first()
        with pytest.raises(QueryError, match="may or may not have been executed"):
            story.request.result()
        await story.finish()


async def test_deadline_fails_with_the_node_and_the_level_it_waited_for() -> None:
    async with nodes(2) as rig:
        story = Story(rig, rig.write(timeout=2.0))
        await story.collect()
        await story.deadline()
        with pytest.raises(QueryTimeoutError, match=r"127\.0\.4\.1.*LOCAL_ONE") as caught:
            story.request.result()
        assert caught.value.attempts == 1
        assert caught.value.endpoint == rig.pools[0].endpoint
        await story.finish()
