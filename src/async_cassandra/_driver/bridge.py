"""The only threads of this library, and the way between them and the loop.

The driver blocks: it resolves names, waits for what its connections answer, and calls
authenticators that may do anything. A few threads take that, and wait for what the loop does.

The threads are daemons: an application that ends without closing its cluster is not kept alive by
one.
"""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

log = logging.getLogger(__name__)

Job = Callable[[], None]

CALLERS = 32
STOP_TIMEOUT = 5.0
"""Seconds that ``stop`` waits for a call that does not return, such as an authenticator's."""


class BridgeClosed(RuntimeError):
    """The bridge takes no more work, because it was stopped or its loop was closed."""


class OrderedQueue:
    """Runs what is put on it one after the other, in order, on whichever thread is free."""

    def __init__(self, submit: Callable[[Job], None]) -> None:
        self._submit = submit
        self._jobs: deque[Job] = deque()
        self._lock = threading.Lock()
        self._running = False

    def put(self, function: Callable[..., object], *args: Any) -> None:
        """Run a function after those before it. Any thread. Dropped when the bridge is stopped."""
        with self._lock:
            self._jobs.append(lambda: _run_logged(function, *args))
            if self._running:
                return
            self._running = True
        try:
            self._submit(self._drain)
        except BridgeClosed:
            log.debug("Dropped %s: the bridge is closed", function)

    def _drain(self) -> None:
        while True:
            with self._lock:
                if not self._jobs:
                    self._running = False
                    return
                job = self._jobs.popleft()
            job()


class Bridge:
    """Blocking work for one event loop, on threads that start when there is work for them.

    :param loop: where results go
    :param on_loop_closed: called on a thread, once, when the loop turns out to be closed
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_loop_closed: Callable[[], object] = lambda: None,
    ) -> None:
        self.loop = loop
        self._on_loop_closed = on_loop_closed
        self._is_loop_closed = False
        self._tasks: set[asyncio.Task[Any]] = set()
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._closed = False

    def run[**P, T](
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]:
        """Call the function on a thread; what it returns or raises comes back in the future.

        Concurrency: loop thread. Cancellation: the call goes on, its result is dropped.

        :raises BridgeClosed: if stopped
        """
        future: asyncio.Future[T] = self.loop.create_future()

        def call() -> None:
            try:
                result = function(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001  (the task supervisor's edge)
                self.post(_set_exception, future, error)
            else:
                self.post(_set_result, future, result)

        self._submit(call)
        return future

    def submit(self, function: Callable[..., object], *args: Any) -> None:
        """Call the function on a thread, and log what it raises. Any thread. Dropped if stopped."""
        try:
            self._submit(lambda: _run_logged(function, *args))
        except BridgeClosed:
            log.debug("Dropped %s: the bridge is closed", function)

    def post(self, function: Callable[..., object], *args: Any) -> bool:
        """Call the function on the loop, soon. Any thread.

        :returns: whether there is still a loop to call it
        """
        try:
            self.loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            if not self._is_loop_closed:
                self._is_loop_closed = True
                self.submit(self._on_loop_closed)
            return False
        return True

    def start[T](self, work: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        """Run a coroutine on the loop. Any thread; to wait for the result, any but the loop's.

        Cancellation of the future: the coroutine goes on, its result is dropped.

        :raises BridgeClosed: if the loop is closed
        """
        future: Future[T] = Future()
        if not self.post(self._start, work, future):
            raise BridgeClosed("the event loop is closed")
        return future

    def _start[T](self, work: Callable[[], Coroutine[Any, Any, T]], future: Future[T]) -> None:
        def hand_over(task: asyncio.Task[T]) -> None:
            self._tasks.discard(task)
            error = BridgeClosed("cancelled") if task.cancelled() else task.exception()
            if not future.set_running_or_notify_cancel():
                return
            if error is None:
                future.set_result(task.result())
            else:
                future.set_exception(error)

        task = self.loop.create_task(work())
        self._tasks.add(task)
        task.add_done_callback(hand_over)

    async def wait_started(self) -> None:
        """Wait until what :meth:`start` has begun is done."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def call_queue(self) -> OrderedQueue:
        """Return a queue for calls that must not overlap."""
        return OrderedQueue(self._submit)

    def close_nowait(self) -> None:
        """Take no more work; the threads end after what they have. Any thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    async def stop(self) -> None:
        """End the threads, after the work they have; can be called again.

        A call that does not return within ``STOP_TIMEOUT`` is left to its daemon thread.
        """
        deadline = self.loop.time() + STOP_TIMEOUT
        self.close_nowait()
        while alive := [thread for thread in self._threads if thread.is_alive()]:
            if self.loop.time() > deadline:
                log.warning("A blocking call did not return; leaving %s behind", alive)
                return
            await asyncio.sleep(0.001)

    def _submit(self, job: Job) -> None:
        """:raises BridgeClosed: if closed"""
        with self._changed:
            if self._closed:
                raise BridgeClosed("the bridge is closed")
            self._jobs.append(job)
            if self._idle >= len(self._jobs) or len(self._threads) >= CALLERS:
                self._changed.notify()
            else:
                self._start_thread()

    def _start_thread(self) -> None:
        name = f"async-cassandra-caller-{len(self._threads)}"
        thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        while job := self._next_job():
            job()
            # A finished job would otherwise be kept alive, with all it holds, until the next one
            # comes.
            del job

    def _next_job(self) -> Job | None:
        with self._changed:
            while not self._jobs:
                if self._closed:
                    return None
                self._idle += 1
                self._changed.wait()
                self._idle -= 1
            return self._jobs.popleft()


def _run_logged(function: Callable[..., object], *args: Any) -> None:
    try:
        function(*args)
    except Exception:  # the task supervisor's edge: nobody waits for this call
        log.warning("%s failed", getattr(function, "__qualname__", function), exc_info=True)


def _set_result[T](future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _set_exception(future: asyncio.Future[Any], error: BaseException) -> None:
    if future.done():
        return
    if isinstance(error, StopIteration):
        # A future takes no StopIteration: it would end the awaiting coroutine.
        error = RuntimeError(f"raised {error!r}")
    future.set_exception(error)
