"""A driver whose default reactor is asyncio's: it works, and that reactor is never started."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from async_cassandra.server import RunningServer

ROOT = Path(__file__).parents[2]
PROGRAM = """
import asyncio, json, sys, threading
from tests.support.asyncio_driver import install

settings = json.loads(sys.argv[1])
install(is_first=settings.pop("is_first"))

from async_cassandra import AsyncCluster
from cassandra.cluster import Cluster
from cassandra.io.asyncioreactor import AsyncioConnection

loops = []
new_event_loop = asyncio.new_event_loop


def noted():
    loops.append(new_event_loop())
    return loops[-1]


async def main():
    asyncio.new_event_loop = noted
    async with AsyncCluster(**settings) as cluster, cluster.connect() as session:
        one = (await session.execute("SELECT key FROM system.local")).one()
        print(one.key, len(await session.execute("SELECT * FROM system_schema.columns")) > 100)
        print("asyncio_thread" in [thread.name for thread in threading.enumerate()])
    print([thread.name for thread in threading.enumerate()])


asyncio.run(main())
print(Cluster.connection_class is AsyncioConnection, Cluster.__module__, "libevreactor" in sys.modules)
print(loops, AsyncioConnection._loop, AsyncioConnection._loop_thread)
"""


@pytest.mark.parametrize("is_first", [True, False], ids=["asyncio-first", "asyncio-last"])
def test_asyncio_driver_serves_and_its_reactor_is_not_started(
    cassandra_server: RunningServer, is_first: bool
) -> None:
    if cassandra_server.username is not None or cassandra_server.ssl_context() is not None:
        pytest.skip("the server of this run wants a password or TLS")
    settings = {"contact_points": cassandra_server.contact_points, "port": cassandra_server.port}
    given = json.dumps({**settings, "is_first": is_first})
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, given],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "local True",
        "False",
        "['MainThread']",
        "True cassandra.cluster False",
        "[] None None",
    ]
