"""The bridge: results reach the loop, queued calls keep their order, and no thread stays."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from async_cassandra._driver.bridge import CALLERS, Bridge, BridgeClosed

pytestmark = pytest.mark.anyio


@pytest.fixture
async def bridge() -> AsyncIterator[Bridge]:
    bridge = Bridge(asyncio.get_running_loop())
    yield bridge
    await bridge.stop()
    assert not [thread for thread in threading.enumerate() if "async-cassandra" in thread.name]


async def test_run_gives_the_result_of_another_thread(bridge: Bridge) -> None:
    assert await bridge.run(threading.get_ident) != threading.get_ident()
    assert await bridge.run(lambda a, b: a + b, 1, b=2) == 3


async def test_run_raises_what_the_call_raises(bridge: Bridge) -> None:
    with pytest.raises(ZeroDivisionError):
        await bridge.run(lambda: 1 / 0)


async def test_run_raises_stop_iteration_as_an_error(bridge: Bridge) -> None:
    with pytest.raises(RuntimeError, match="StopIteration"):
        await bridge.run(next, iter(()))


async def test_run_drops_the_result_of_a_cancelled_call(bridge: Bridge) -> None:
    gate = threading.Event()
    future = bridge.run(gate.wait)
    future.cancel()
    gate.set()
    assert await bridge.run(lambda: "next") == "next"


async def test_calls_run_beside_each_other(bridge: Bridge) -> None:
    together = threading.Barrier(CALLERS)
    await asyncio.gather(*(bridge.run(together.wait, 5) for _ in range(CALLERS)))


async def test_calls_beyond_the_limit_wait(bridge: Bridge) -> None:
    gate = threading.Event()
    blocked = [bridge.run(gate.wait) for _ in range(CALLERS)]
    last = bridge.run(lambda: "late")
    gate.set()
    assert await last == "late"
    await asyncio.gather(*blocked)


async def test_queued_calls_keep_their_order(bridge: Bridge) -> None:
    seen: list[int] = []
    queue = bridge.call_queue()
    for number in range(1000):
        queue.put(seen.append, number)
    done = asyncio.Event()
    queue.put(bridge.post, done.set)
    await done.wait()
    assert seen == list(range(1000))


async def test_threads_wait_for_what_the_loop_does(bridge: Bridge) -> None:
    async def on_the_loop() -> int:
        await asyncio.sleep(0)
        return threading.get_ident()

    async def failing() -> None:
        raise LookupError("no such thing")

    assert await bridge.run(lambda: bridge.start(on_the_loop).result(5)) == threading.get_ident()
    with pytest.raises(LookupError):
        await bridge.run(lambda: bridge.start(failing).result(5))


async def test_what_was_started_is_waited_for_though_nobody_wants_its_result(
    bridge: Bridge,
) -> None:
    gate = asyncio.Event()
    ended: list[str] = []

    async def waiting() -> None:
        await gate.wait()
        ended.append("waiting")

    future = await bridge.run(bridge.start, waiting)
    assert future.cancel()
    gate.set()
    await bridge.wait_started()
    assert ended == ["waiting"]


async def test_queued_call_that_raises_does_not_stop_the_next(
    bridge: Bridge, caplog: pytest.LogCaptureFixture
) -> None:
    queue = bridge.call_queue()
    done = asyncio.Event()
    queue.put(lambda: 1 / 0)
    queue.put(bridge.post, done.set)
    await done.wait()
    assert "ZeroDivisionError" in caplog.text


async def test_stop_finishes_what_was_submitted(bridge: Bridge) -> None:
    seen: list[int] = []
    for number in range(100):
        bridge.submit(seen.append, number)
    await bridge.stop()
    assert sorted(seen) == list(range(100))


async def test_stopped_bridge_takes_nothing(bridge: Bridge) -> None:
    await bridge.stop()
    with pytest.raises(BridgeClosed):
        bridge.run(lambda: None)
    bridge.submit(pytest.fail)
    bridge.call_queue().put(pytest.fail)
    await bridge.stop()


def test_post_tells_that_the_loop_is_closed() -> None:
    loop = asyncio.new_event_loop()
    bridge = Bridge(loop)
    loop.close()
    assert bridge.post(print) is False


def test_nothing_is_started_on_a_closed_loop() -> None:
    loop = asyncio.new_event_loop()
    bridge = Bridge(loop)
    loop.close()
    with pytest.raises(BridgeClosed):
        bridge.start(bridge.stop)
