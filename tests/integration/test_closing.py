"""Closing: nothing is left behind, and nothing waits for ever."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from async_cassandra import AsyncCassandraSession, AsyncCluster, ConnectionError
from async_cassandra.server import RunningServer
from async_cassandra.statements import BatchStatement
from tests.integration.conftest import Backend
from tests.support.cutting_proxy import CuttingProxy

pytestmark = [pytest.mark.anyio, pytest.mark.promise(7)]

QUERY = "SELECT cluster_name FROM system.local"
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def open_sockets() -> set[str]:
    """The sockets of this process."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(descriptor)
        except FileNotFoundError:
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found


def driver_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if "cassandra" in thread.name.lower()}


@needs_linux
async def test_shutdown_leaves_no_thread_task_or_socket(settings: dict[str, Any]) -> None:
    threads, tasks, sockets = threading.enumerate(), asyncio.all_tasks(), open_sockets()
    async with AsyncCluster(**settings) as cluster:
        async with cluster.connect() as first, cluster.connect("system") as second:
            await first.execute(QUERY)
            prepared = await second.prepare("SELECT * FROM local WHERE key = ?")
            await asyncio.gather(*(second.execute(prepared, ("local",)) for _ in range(50)))
            stream = await second.execute_stream("SELECT * FROM system_schema.columns")
            await anext(stream)
        assert len(threading.enumerate()) > len(threads)
    assert set(threading.enumerate()) <= set(threads)
    assert asyncio.all_tasks() <= tasks
    assert open_sockets() <= sockets


@needs_linux
async def test_session_close_leaves_no_data_connection(settings: dict[str, Any]) -> None:
    async with AsyncCluster(**settings) as cluster:
        await (await cluster.connect()).close()
        before = open_sockets()
        session = await cluster.connect()
        await session.execute(QUERY)
        assert len(open_sockets()) == len(before) + 1
        await session.close()
        assert open_sockets() == before
        assert not cluster.is_closed


@needs_linux
@pytest.mark.timeout(60)
async def test_connecting_and_closing_stays_flat(settings: dict[str, Any]) -> None:
    async def cycle() -> None:
        async with AsyncCluster(**settings) as cluster, cluster.connect("system") as session:
            await session.execute("SELECT * FROM local WHERE key = ?", ("local",))

    await cycle()
    gc.collect()
    threads, tasks, sockets = threading.active_count(), asyncio.all_tasks(), open_sockets()
    objects = count_of(AsyncCluster, AsyncCassandraSession)
    for _ in range(20):
        await cycle()
        assert threading.active_count() <= threads
        assert asyncio.all_tasks() <= tasks
        assert open_sockets() <= sockets
    gc.collect()
    assert count_of(AsyncCluster, AsyncCassandraSession) <= objects


def count_of(*kinds: type) -> int:
    return sum(isinstance(each, kinds) for each in gc.get_objects())


@pytest.fixture
async def closed_session(
    anyio_backend: Backend, settings: dict[str, Any]
) -> AsyncIterator[AsyncCassandraSession]:
    async with AsyncCluster(**settings) as cluster:
        session = await cluster.connect()
        await session.close()
        yield session


async def test_closed_session_refuses_everything_at_once(
    closed_session: AsyncCassandraSession,
) -> None:
    session = closed_session
    assert session.is_closed
    for action in (
        lambda: session.execute(QUERY),
        lambda: session.execute(QUERY, [1]),
        lambda: session.execute(QUERY, host="127.0.0.1"),
        lambda: session.execute_stream(QUERY),
        lambda: session.execute_batch(BatchStatement()),
        lambda: session.prepare(QUERY),
        lambda: session.set_keyspace("system"),
    ):
        with pytest.raises(ConnectionError, match="Session is closed"):
            await action()
    await session.close()
    await session.close()
    assert session.cluster.metadata is not None


async def test_result_outlives_its_session(settings: dict[str, Any]) -> None:
    async with AsyncCluster(**settings) as cluster, cluster.connect() as session:
        result = await session.execute("SELECT * FROM system_schema.tables")
    assert [row.table_name async for row in result]
    assert result.column_types


async def test_close_waits_for_requests_under_way(settings: dict[str, Any]) -> None:
    async with AsyncCluster(**settings) as cluster:
        session = await cluster.connect()
        under_way = [asyncio.create_task(session.execute(QUERY)) for _ in range(200)]
        await asyncio.sleep(0)
        await session.close()
        assert all(task.done() for task in under_way)
        assert all(task.result().one() for task in under_way)


async def test_close_fails_what_does_not_end(settings: dict[str, Any]) -> None:
    async with CuttingProxy(settings["contact_points"][0], settings["port"]) as proxy:
        cluster = AsyncCluster(**settings | {"contact_points": [proxy.host], "port": proxy.port})
        session = await cluster.connect()
        proxy.to_client.black_hole = True
        request = asyncio.create_task(session.execute(QUERY))
        await asyncio.sleep(0)
        await session.close(grace=0.05)
        with pytest.raises(ConnectionError):
            await request
        proxy.heal()
        await cluster.shutdown()


async def test_stream_of_closed_session_ends_with_error(settings: dict[str, Any]) -> None:
    async with AsyncCluster(**settings) as cluster:
        session = await cluster.connect()
        from async_cassandra import StreamConfig

        stream = await session.execute_stream(
            "SELECT * FROM system_schema.columns", stream_config=StreamConfig(fetch_size=1)
        )
        await session.close()
        with pytest.raises(ConnectionError):
            [row async for row in stream]


async def test_cancelled_close_goes_on(settings: dict[str, Any]) -> None:
    cluster = AsyncCluster(**settings)
    session = await cluster.connect()
    for action in (session.close, cluster.shutdown):
        closing = asyncio.create_task(action())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        await action()
    assert not driver_threads()


async def test_concurrent_closes_are_one(settings: dict[str, Any]) -> None:
    cluster = AsyncCluster(**settings)
    session = await cluster.connect()
    await asyncio.gather(
        session.close(), session.close(), cluster.shutdown(), cluster.close(), session.close()
    )
    assert session.is_closed
    assert cluster.is_closed


async def test_cluster_survives_use_after_shutdown(settings: dict[str, Any]) -> None:
    cluster = AsyncCluster(**settings)
    await cluster.connect()
    await cluster.shutdown()
    assert cluster.metadata is not None
    with pytest.raises(ConnectionError, match="Cluster is closed"):
        await cluster.connect()


# Programs that end in other ways

PROGRAM = """
import asyncio, os, sys
from async_cassandra import AsyncCluster, ConnectionError

async def main():
    cluster = AsyncCluster({points!r}, port={port}, idle_heartbeat_interval=0.5)
    session = await cluster.connect()
    await session.execute("SELECT cluster_name FROM system.local")
    {middle}

{run}
print("end of program", flush=True)
"""


def run_program(
    server: RunningServer, middle: str = "pass", run: str = "asyncio.run(main())", *flags: str
) -> subprocess.CompletedProcess[str]:
    """Run a program that connects, in a process of its own."""
    if server.username is not None or server.ssl_context() is not None:
        pytest.skip("the server of this run wants a password or TLS")
    program = PROGRAM.format(
        points=server.contact_points,
        port=server.port,
        middle=textwrap.indent(textwrap.dedent(middle), "    ").strip(),
        run=textwrap.dedent(run),
    )
    return subprocess.run(
        [sys.executable, *flags, "-c", program], capture_output=True, text=True, timeout=20
    )


def test_program_that_never_closes_ends_quickly_and_quietly(
    cassandra_server: RunningServer,
) -> None:
    started = time.monotonic()
    ended = run_program(cassandra_server)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "end of program\n", "")
    assert time.monotonic() - started < 10


def test_program_that_never_closes_is_quiet_in_development_mode(
    cassandra_server: RunningServer,
) -> None:
    ended = run_program(cassandra_server, "pass", "asyncio.run(main())", "-X", "dev")
    assert ended.returncode == 0
    assert ended.stdout == "end of program\n"
    assert "never retrieved" not in ended.stderr
    assert "Traceback" not in ended.stderr


def test_program_on_uvloop_that_never_closes_ends_quickly_and_quietly(
    cassandra_server: RunningServer,
) -> None:
    pytest.importorskip("uvloop")
    ended = run_program(cassandra_server, "pass", "import uvloop\nuvloop.run(main())")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "end of program\n", "")


def test_program_that_fails_says_only_why(cassandra_server: RunningServer) -> None:
    ended = run_program(cassandra_server, "raise LookupError('on purpose')")
    assert ended.returncode == 1
    assert ended.stderr.rstrip().endswith("LookupError: on purpose")
    assert "never" not in ended.stderr


def test_program_that_is_interrupted_ends(cassandra_server: RunningServer) -> None:
    ended = run_program(cassandra_server, "import signal; signal.raise_signal(signal.SIGINT)")
    assert "KeyboardInterrupt" in ended.stderr
    assert ended.returncode != 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_session_in_forked_child_is_refused_at_once(cassandra_server: RunningServer) -> None:
    middle = """
    child = os.fork()
    if child == 0:
        try:
            await session.execute("SELECT cluster_name FROM system.local")
        except ConnectionError as error:
            os._exit(42 if "fork" in str(error) and session.is_closed else 1)
        os._exit(2)
    _, status = os.waitpid(child, 0)
    print("child", os.waitstatus_to_exitcode(status))
    result = await session.execute("SELECT cluster_name FROM system.local")
    print("parent", result.one() is not None)
    await cluster.shutdown()
    """
    ended = run_program(
        cassandra_server, middle, "asyncio.run(main())", "-W", "ignore::DeprecationWarning"
    )
    assert ended.stdout == "child 42\nparent True\nend of program\n", ended.stderr
    assert ended.stderr == ""


def test_every_loop_can_have_its_own_cluster(settings: dict[str, Any]) -> None:
    async def program() -> str:
        async with AsyncCluster(**settings) as cluster, cluster.connect() as session:
            name: str = (await session.execute(QUERY)).one().cluster_name
            return name

    names: list[str] = []
    threads = [
        threading.Thread(target=lambda: names.append(asyncio.run(program()))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(names) == 4
    assert asyncio.run(program()) == names[0]


def test_loop_that_ended_without_closing_leaves_no_thread(cassandra_server: RunningServer) -> None:
    """The driver's heartbeat finds out that the loop is gone, and its threads end."""
    run = """
        import threading, time
        asyncio.run(main())
        deadline = time.monotonic() + 12
        while threading.active_count() > 1 and time.monotonic() < deadline:
            time.sleep(0.05)
        print(threading.enumerate()[1:])
    """
    program = run_program(cassandra_server, "pass", run)
    assert program.stdout.startswith("[]"), program


def test_probe_of_sockets_sees_sockets() -> None:
    if sys.platform != "linux":
        pytest.skip("looks into /proc")
    before = open_sockets()
    with socket.socket():
        assert len(open_sockets()) == len(before) + 1
