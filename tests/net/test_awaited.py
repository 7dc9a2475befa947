"""A request as the future that tasks, and asyncio's own functions, wait for."""

import asyncio
import contextvars
import gc
import math
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import anyio
import pytest
import uvloop

from async_cassandra._request.call import Call
from async_cassandra._request.request import Request
from async_cassandra._wire.requests import Options
from async_cassandra.exceptions import QueryError
from async_cassandra.retry_policy import DefaultRetryPolicy
from tests.support.peer_replies import ErrorCode
from tests.support.request_rig import INT_ROW, InOrder, RequestRig, nodes, until, values

pytestmark = pytest.mark.anyio


async def answer(rig: RequestRig, count: int = 1) -> None:
    """Answer so many requests in one turn of the loop."""
    for request in [await rig.peers[0].next_request() for _ in range(count)]:
        request.reply_rows(INT_ROW, [(1,)])


async def test_those_that_end_in_one_turn_wake_in_their_order() -> None:
    async with nodes() as rig:
        woken: list[int] = []

        async def wait(number: int) -> None:
            await rig.read()
            woken.append(number)

        tasks = [asyncio.create_task(wait(number)) for number in range(300)]
        await answer(rig, 300)
        await asyncio.gather(*tasks)
        assert woken == list(range(300))
        await rig.check_quiet()


async def test_functions_of_asyncio_take_it_for_a_future() -> None:
    async with nodes() as rig:
        request = rig.read()
        assert asyncio.isfuture(request)
        assert asyncio.ensure_future(request) is request
        with pytest.raises(asyncio.InvalidStateError):
            request.result()
        with pytest.raises(asyncio.InvalidStateError):
            request.exception()
        waits = [
            asyncio.gather(request, rig.read()),
            asyncio.shield(request),
            asyncio.create_task(asyncio.wait([request])),
            asyncio.create_task(asyncio.wait_for(request, 5)),
        ]
        await asyncio.sleep(0)
        await answer(rig, 2)
        for wait in waits:
            await wait
        assert values(request) == [1]
        assert request.done()
        assert not request.cancelled()
        assert request.exception() is None
        assert not request.cancel()


async def test_the_first_await_starts_it() -> None:
    async with nodes() as rig:
        request = rig.query("SELECT v FROM t")

        async def wait() -> list[int]:
            await request
            return values(request)

        task = asyncio.create_task(wait())
        await answer(rig)
        assert await task == [1]
        assert await wait() == [1]
        await rig.check_quiet()


async def test_attributes_are_found_by_any_spelling_of_their_names() -> None:
    async with nodes() as rig:
        request = rig.read()
        blocking = "".join(["_asyncio_future_", "blocking"])
        assert getattr(request, "".join(["get_", "loop"]))() is asyncio.get_running_loop()
        assert request.get_loop() is asyncio.get_running_loop()
        assert getattr(request, blocking) is False
        setattr(request, blocking, True)
        assert request._asyncio_future_blocking
        request._asyncio_future_blocking = False
        assert getattr(request, blocking) is False
        request.spent = 0.5
        assert request.spent == 0.5
        with pytest.raises(AttributeError, match="no_such"):
            print(request.no_such)  # type: ignore[attr-defined]
        with pytest.raises(AttributeError, match="no_such"):
            request.no_such = 1  # type: ignore[attr-defined]
        await answer(rig)
        await request


async def test_nothing_of_those_that_ended_is_left_in_the_next() -> None:
    async with nodes() as rig:
        for _ in range(2):
            requests = [rig.read(timeout=5.0) for _ in range(300)]
            for request in requests:
                request.spent = 0.5
            await answer(rig, 300)
            await asyncio.gather(*requests)
            del request, requests
            for new in [Request(rig.executor, Options(), Call()) for _ in range(300)]:
                assert type(new) is Request
                assert gc.is_tracked(new)
                assert (new.state, new.spent, new.call.batched, new.timeout) == (
                    0,
                    0.0,
                    {},
                    math.inf,
                )
                left: list[Any] = [new.response, new.statement, new.errors, new.coordinator]
                assert left == [None] * 4
                assert not new.done()
        await rig.check_quiet()


async def test_any_number_of_tasks_may_await_it() -> None:
    async with nodes() as rig:
        request = rig.read()

        async def wait() -> list[int]:
            await request
            return values(request)

        tasks = [asyncio.create_task(wait()) for _ in range(5)]
        await asyncio.sleep(0)
        await answer(rig)
        assert await asyncio.gather(*tasks) == [[1]] * 5
        assert await wait() == [1]


async def test_each_waiter_of_a_failed_one_gets_the_error() -> None:
    async with nodes() as rig:
        request = rig.read()

        async def wait() -> None:
            await request

        tasks = [asyncio.create_task(wait()) for _ in range(3)]
        await asyncio.sleep(0)
        (await rig.peers[0].next_request()).reply_error(ErrorCode.INVALID)
        errors = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(error) for error in errors] == [type(request.exception())] * 3
        with pytest.raises(QueryError):
            await request
        with pytest.raises(QueryError):
            request.result()


async def test_the_traceback_of_an_error_ends_where_it_was_awaited() -> None:
    async with nodes() as rig:

        async def wait() -> None:
            await rig.read()

        task = asyncio.create_task(wait())
        (await rig.peers[0].next_request()).reply_error(ErrorCode.INVALID)
        with pytest.raises(QueryError) as caught:
            await task
        assert caught.traceback[-1].name == "wait"


async def test_a_callback_is_called_in_its_context_and_once() -> None:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="none")
    async with nodes() as rig:
        seen: list[tuple[str, Request]] = []

        def callback(request: Request) -> None:
            seen.append((name.get(), request))

        def removed(request: Request) -> None:
            raise AssertionError("it was removed")

        request = rig.read()
        context = contextvars.copy_context()
        context.run(name.set, "given")
        request.add_done_callback(removed)
        request.add_done_callback(callback, context=context)
        request.add_done_callback(removed)
        token = name.set("current")
        request.add_done_callback(callback)
        name.reset(token)
        assert request.remove_done_callback(removed) == 2
        assert request.remove_done_callback(removed) == 0
        await answer(rig)
        await until(lambda: len(seen) == 2)
        request.add_done_callback(callback, context=context)
        await until(lambda: len(seen) == 3)
        assert seen == [("given", request), ("current", request), ("given", request)]


async def test_after_the_end_it_is_too_late_to_remove_a_callback() -> None:
    async with nodes() as rig:
        called: list[str] = []
        first, second = rig.read(), rig.read()

        def late(_: Request) -> None:
            called.append("late")

        def remove(_: Request) -> None:
            called.append(f"removed {second.remove_done_callback(late)}")

        first.add_done_callback(remove)
        second.add_done_callback(late)
        await answer(rig, 2)
        await until(lambda: len(called) == 2)
        assert called == ["removed 0", "late"]


async def test_what_a_callback_raises_goes_to_the_loop_and_stops_no_other() -> None:
    async with nodes() as rig:
        loop = asyncio.get_running_loop()
        reports: list[dict[str, Any]] = []
        handler = loop.get_exception_handler()
        loop.set_exception_handler(lambda _, report: reports.append(report))

        def fail(_: Request) -> None:
            raise ValueError("the callback's own")

        try:
            first, second = rig.read(), rig.read()
            first.add_done_callback(fail)
            await answer(rig, 2)
            await second
            await until(lambda: reports)
        finally:
            loop.set_exception_handler(handler)
        assert [type(report["exception"]) for report in reports] == [ValueError]


@pytest.mark.parametrize("message", [None, "why"])
async def test_cancellation_of_the_task_gives_the_request_up_at_once(message: str | None) -> None:
    async with nodes() as rig:
        request = rig.read()

        async def wait() -> None:
            await request

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        arrived = await rig.peers[0].next_request()
        task.cancel(message)
        assert request.cancelled()
        assert rig.executor.running == 0
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert caught.value.args == (() if message is None else (message,))
        with pytest.raises(asyncio.CancelledError):
            request.exception()
        await rig.check_quiet(arrived)


async def test_a_task_that_cancelled_itself_stops_at_the_await() -> None:
    async with nodes() as rig:

        async def cancel_itself() -> None:
            task = asyncio.current_task()
            assert task is not None
            request = rig.read()
            task.cancel()
            await request

        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(cancel_itself())
        await rig.check_quiet(await rig.peers[0].next_request())


async def test_eager_tasks_wait_for_it_too() -> None:
    async with nodes() as rig:
        loop = asyncio.get_running_loop()
        results: list[list[int]] = []

        async def wait() -> None:
            request = rig.read()
            await request
            results.append(values(request))

        tasks = [asyncio.Task(wait(), loop=loop, eager_start=True) for _ in range(3)]
        assert rig.executor.running == 3
        await answer(rig, 3)
        await asyncio.gather(*tasks)
        assert results == [[1]] * 3


async def test_scopes_of_anyio_and_timeouts_of_asyncio_end_it() -> None:
    async with nodes() as rig:
        with anyio.move_on_after(0.01) as scope:
            await rig.read()
        assert scope.cancelled_caught
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await rig.read()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(rig.read(), 0.01)
        await rig.check_quiet(*[await rig.peers[0].next_request() for _ in range(3)])


@pytest.mark.parametrize(
    "new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
def test_a_task_that_ends_the_loop_leaves_the_others_for_its_next_run(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def interrupt(rig: RequestRig) -> None:
        await rig.read()
        raise KeyboardInterrupt

    async def wait(rig: RequestRig) -> list[int]:
        request = rig.read()
        await request
        return values(request)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        rig_context = nodes()
        rig = runner.run(rig_context.__aenter__())

        async def begin() -> list[asyncio.Task[Any]]:
            tasks = [asyncio.create_task(wait(rig)), asyncio.create_task(interrupt(rig))]
            tasks += [asyncio.create_task(wait(rig)) for _ in range(3)]
            await asyncio.sleep(0)
            return tasks

        tasks = runner.run(begin())

        async def end_all() -> None:
            await answer(rig, 5)
            await asyncio.wait(tasks)

        with pytest.raises(KeyboardInterrupt):
            runner.run(end_all())
        with suppress(KeyboardInterrupt):
            tasks.pop(1).result()

        async def rest() -> list[list[int]]:
            return [await task for task in tasks]

        assert runner.run(rest()) == [[1]] * 4
        runner.run(rig_context.__aexit__(None, None, None))


def test_debug_mode_names_the_task_of_a_slow_step(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with nodes() as rig:

            async def slow_one() -> None:
                await rig.read()
                loop.slow_callback_duration = 0

            task = asyncio.create_task(slow_one())
            await answer(rig)
            await task
            loop.slow_callback_duration = 1

    with asyncio.Runner(debug=True) as runner:
        runner.run(main())
    assert any("slow_one" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize("part", ["retry_policy", "policy"])
async def test_request_that_its_own_policy_keeps_is_collected(part: str) -> None:
    async with nodes() as rig:
        policy: Any = DefaultRetryPolicy() if part == "retry_policy" else InOrder(rig.policy.hosts)
        policy.kept = request = rig.read(**{part: policy})
        await answer(rig)
        await request
        gone = weakref.ref(policy)
        del policy, request
        # What woke this task has it as long as the task runs.
        await asyncio.sleep(0)
        gc.collect()
        assert gone() is None
