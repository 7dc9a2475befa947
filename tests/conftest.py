"""What every test gets: two event loops, no blocking calls, no error left in the loop."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import signal
import sys
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from blockbuster import blockbuster_ctx

from tests.support.figures import (  # noqa: F401  a fixture and hooks
    pytest_runtest_makereport,
    pytest_terminal_summary,
    report,
)

LOOPS = [pytest.param(("asyncio", {"debug": True}), id="asyncio-debug")]
if sys.platform != "win32":
    LOOPS.append(pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"))

# A shell has its background jobs ignore interrupts, and so would the programs that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

TIME_LIMIT = pytest.StashKey[float]()
# After its time limit an async test may take so long to clean up; then the process ends.
CLEAN_UP_SECONDS = 30.0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let async tests be ended by their own loop first, and by pytest-timeout's thread second.

    pytest-timeout's signal does not end a test while uvloop waits, nor the runner's task after it.
    """
    for item in items:
        if not inspect.iscoroutinefunction(getattr(item, "obj", None)):
            continue
        marker = item.get_closest_marker("timeout")
        limit = marker.args[0] if marker is not None else item.config.getoption("timeout")
        limit = float(item.config.getini("timeout") if limit is None else limit)
        if limit > 0:
            item.stash[TIME_LIMIT] = limit
            last = pytest.mark.timeout(limit + CLEAN_UP_SECONDS, method="thread")
            item.add_marker(last, append=False)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Cancel an async test when its time is over."""
    limit = pyfuncitem.stash.get(TIME_LIMIT, None)
    if limit is not None:
        test = pyfuncitem.obj

        @functools.wraps(test)
        async def limited(**fixtures: Any) -> None:
            async with asyncio.timeout(limit):
                await test(**fixtures)

        pyfuncitem.obj = limited
    return (yield)


@pytest.fixture(scope="session", params=LOOPS)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    """Run each async test on asyncio in debug mode and on uvloop."""
    backend: tuple[str, dict[str, bool]] = request.param
    return backend


@pytest.fixture(autouse=True)
def no_blocking_calls(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail an async test in which this library blocks the event loop."""
    if "anyio_backend" not in request.fixturenames:
        yield
        return
    with blockbuster_ctx("async_cassandra", excluded_modules=["async_cassandra.server"]):
        yield


class LoopErrors(logging.Handler):
    """Keeps what event loops report as errors."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture(autouse=True)
def no_loop_errors() -> Iterator[None]:
    """Fail a test whose event loop reported an error.

    anyio raises the exceptions that reach the loop's handler; this sees the reports that carry
    none, such as a task destroyed while pending.
    """
    errors = LoopErrors()
    logger = logging.getLogger("asyncio")
    logger.addHandler(errors)
    yield
    logger.removeHandler(errors)
    assert [record.getMessage() for record in errors.records] == []
