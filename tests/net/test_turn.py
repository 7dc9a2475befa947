"""What a connection's read leaves for the end of its callback."""

import asyncio

import pytest

from async_cassandra._request.request import Request
from tests.support.request_rig import INT_ROW, nodes, values

pytestmark = pytest.mark.anyio


async def test_what_answered_tasks_send_is_written_before_the_loop_goes_on() -> None:
    async with nodes(2) as rig:
        loop = asyncio.get_running_loop()
        written: list[list[int]] = []

        def note_flushes() -> None:
            written.append([rig.connection(index).flushes for index in range(2)])

        async def work() -> list[Request]:
            await rig.read()
            note_flushes()
            loop.call_soon(note_flushes)
            requests = [rig.read(pinned=[pool]) for pool in rig.pools * 2]
            for request in requests:
                await request
            return requests

        task = asyncio.create_task(work())
        (await rig.peers[0].next_request()).reply_rows(INT_ROW, [(1,)])
        for peer in rig.peers * 2:
            (await peer.next_request()).reply_rows(INT_ROW, [(2,)])
        assert [values(request) for request in await task] == [[2]] * 4
        # In debug mode, tasks wake by handles of their own and the writes have one, too.
        writes = 0 if loop.get_debug() else 1
        before, after = written
        assert after == [count + writes for count in before]
        await rig.check_quiet()


async def test_a_request_that_ends_while_others_wake_wakes_its_task() -> None:
    async with nodes() as rig:

        async def wait(request: Request) -> None:
            await request

        other = rig.read()
        waiting = asyncio.create_task(wait(other))

        async def work() -> None:
            await rig.read()
            other.cancel()

        task = asyncio.create_task(work())
        late, answered = [await rig.peers[0].next_request() for _ in range(2)]
        answered.reply_rows(INT_ROW, [(1,)])
        await task
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await rig.check_quiet(late)
