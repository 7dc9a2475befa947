"""What every test gets: two event loops, no blocking calls, no error left in the loop."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import pytest
from blockbuster import blockbuster_ctx

LOOPS = [pytest.param(("asyncio", {"debug": True}), id="asyncio-debug")]
if sys.platform != "win32":
    LOOPS.append(pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"))


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
