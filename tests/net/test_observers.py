"""What an observer is told, in which order."""

import asyncio
from typing import Any

import pytest

from async_cassandra._request.request import Request
from async_cassandra._session.request_stats import RequestStats
from async_cassandra._statements.prepare import run
from async_cassandra._watch.observer import Observer, Observers
from async_cassandra.speculation import PercentileSpeculativeExecutionPolicy
from tests.support.peer_replies import ErrorCode
from tests.support.recorder import Recorder
from tests.support.request_rig import INT_ROW, RequestRig, nodes

pytestmark = pytest.mark.anyio


def watched(rig: RequestRig) -> Recorder:
    recorder = Recorder()
    rig.executor.observer = Observers([recorder])
    return recorder


def endpoints(rig: RequestRig) -> list[str]:
    return [pool.endpoint for pool in rig.pools]


async def test_observer_is_told_of_a_request_that_succeeds() -> None:
    async with nodes() as rig:
        recorder = watched(rig)
        request = rig.read()
        asked = await rig.peers[0].next_request()
        rig.advance(0.25)
        asked.reply_rows(INT_ROW, [(1,)])
        await request
        assert recorder.events == ["started", f"sent {endpoints(rig)[0]}", "finished"]
        assert recorder.seconds == [pytest.approx(0.25)]
        assert (request.pages, request.row_count) == (1, 1)


async def test_observer_is_told_of_a_retry_on_another_node() -> None:
    async with nodes(2) as rig:
        recorder = watched(rig)
        first, second = endpoints(rig)
        request = rig.read()
        (await rig.peers[0].next_request()).reply_error(ErrorCode.OVERLOADED)
        while not rig.peers[1].waiting_requests:
            rig.advance(1.0)
            await rig.settle()
        (await rig.peers[1].next_request()).reply_rows(INT_ROW, [(1,)])
        await request
        assert recorder.events == [
            "started",
            f"sent {first}",
            f"failed {first} ServerError",
            "retried CoordinatorOverloadedError",
            f"sent {second}",
            "finished",
        ]


async def test_observer_is_told_of_a_speculative_attempt_that_wins() -> None:
    policy = PercentileSpeculativeExecutionPolicy(95.0, min_samples=5, warm_up_delay=0.1)
    async with nodes(2) as rig:
        stats = RequestStats()
        recorder = Recorder()
        rig.executor.observer = Observers([recorder, stats])
        first, second = endpoints(rig)
        request = rig.read(speculation=policy)
        late = await rig.peers[0].next_request()
        rig.advance(0.2)
        (await rig.peers[1].next_request()).reply_rows(INT_ROW, [(2,)])
        await request
        assert recorder.events == [
            "started",
            f"sent {first}",
            f"sent {second} speculative",
            "finished",
        ]
        assert (stats.attempts, stats.speculations, stats.speculative_wins) == (2, 1, 1)
        await rig.check_quiet(late)


async def test_observer_is_told_of_queued_refused_and_cancelled_requests() -> None:
    async with nodes(max_in_flight=1, max_queued=1) as rig:
        recorder = watched(rig)
        live, waiting, refused = rig.write(), rig.write(), rig.write()
        assert recorder.events[2:] == [
            "started",
            "queued",
            "started",
            "finished OverloadedError",
        ]
        assert refused.exception() is not None
        waiting.cancel()
        assert recorder.events[-1] == "finished CancelledError"
        live.cancel()
        assert recorder.events[-1] == "finished CancelledError"
        assert len(recorder.seconds) == 3
        (await rig.peers[0].next_request()).reply_void()
        await rig.check_quiet()


async def first_page(rig: RequestRig) -> Request:
    """A request of which the first of several pages has come."""
    first = rig.query("SELECT v FROM t")
    task = asyncio.ensure_future(run(first))
    (await rig.peers[0].next_request()).reply_rows(INT_ROW, [(1,)], paging_state=b"next")
    await task
    return first


async def test_pages_of_one_call_are_one_request() -> None:
    async with nodes() as rig:
        recorder = watched(rig)
        first = await first_page(rig)
        assert "finished" not in recorder.events
        rig.advance(1.0)
        second = first.next_page(b"next")
        task = asyncio.ensure_future(run(second))
        (await rig.peers[0].next_request()).reply_rows(INT_ROW, [(2,), (3,)])
        await task
        sent = f"sent {endpoints(rig)[0]}"
        assert recorder.events == ["started", sent, "page 1", sent, "finished"]
        assert recorder.seconds == [pytest.approx(1.0)]
        assert (second.pages, second.row_count) == (2, 3)
        await rig.check_quiet()


async def test_call_cancelled_between_pages_is_finished_once() -> None:
    async with nodes() as rig:
        recorder = watched(rig)
        first = await first_page(rig)
        first.cancel()
        first.cancel()
        assert recorder.events[2:] == ["finished CancelledError"]
        await rig.check_quiet()


class Broken(Observer):
    def __getattribute__(self, name: str) -> Any:
        if name.startswith("on_"):
            raise RuntimeError("the observer is out of order")
        return super().__getattribute__(name)


async def test_observer_that_fails_is_reported_once_and_fails_no_request(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with nodes() as rig:
        recorder = Recorder()
        rig.executor.observer = Observers([Broken(), recorder])
        request = rig.read()
        (await rig.peers[0].next_request()).reply_rows(INT_ROW, [(1,)])
        await request
        assert len(recorder.events) == 3
        assert len(caplog.records) == 1
        assert "the observer is out of order" in caplog.text


async def test_observers_are_told_nothing_while_disabled() -> None:
    async with nodes() as rig:
        recorder = Recorder()
        observers = Observers([recorder])
        observers.enabled = False
        rig.executor.observer = observers
        request = rig.read()
        (await rig.peers[0].next_request()).reply_rows(INT_ROW, [(1,)])
        await request
        assert recorder.events == []


async def test_observer_that_cancels_what_it_is_told_of_is_told_once() -> None:
    class Cancelling(Observer):
        told = 0

        def on_finished(
            self, request: Request, error: BaseException | None, seconds: float
        ) -> None:
            self.told += 1
            request.cancel()

    async with nodes() as rig:
        rig.executor.observer = observer = Cancelling()
        request = rig.read()
        (await rig.peers[0].next_request()).reply_rows(INT_ROW, [(1,)])
        with pytest.raises(asyncio.CancelledError):
            await request
        assert observer.told == 1
        await rig.check_quiet()
