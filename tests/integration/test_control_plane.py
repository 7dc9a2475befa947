"""The control plane alone on a real server."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cassandra.metadata import Murmur3Token
from cassandra.pool import Host

from async_cassandra._driver.control_plane import ControlPlane, schema_event
from async_cassandra.server.running import RunningServer
from tests.support.servers import cluster_options

pytestmark = pytest.mark.anyio


class Events:
    """A listener that lets a test wait for what it is told."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    async def until(self, name: str, argument: Any) -> None:
        async with asyncio.timeout(10):
            while await self.heard.get() != (name, argument):
                pass

    def on_up(self, host: Host) -> None:
        self.heard.put_nowait(("up", host))

    def on_down(self, host: Host) -> None:
        self.heard.put_nowait(("down", host))

    def on_add(self, host: Host) -> None:
        self.heard.put_nowait(("add", host))

    def on_remove(self, host: Host) -> None:
        self.heard.put_nowait(("remove", host))

    def on_schema_event(self, event: Mapping[str, Any], host: Host | None) -> None: ...

    def on_schema_change(self, event: Mapping[str, Any]) -> None:
        self.heard.put_nowait(("schema", event))

    def on_user_type(self, keyspace: str, name: str, klass: type) -> None:
        self.heard.put_nowait(("user_type", (keyspace, name, klass)))

    def on_routing(self) -> None:
        self.heard.put_nowait(("routing", None))


@asynccontextmanager
async def connected(server: RunningServer, **more: Any) -> AsyncIterator[ControlPlane]:
    """A started control plane; leaving checks that no thread and no task stays."""
    threads, tasks = set(threading.enumerate()), asyncio.all_tasks()
    plane = ControlPlane(**cluster_options(server), **more)
    await plane.start(20)
    try:
        yield plane
    finally:
        await plane.stop()
        assert set(threading.enumerate()) <= threads
        assert asyncio.all_tasks() <= tasks


@pytest.mark.parametrize("version", [None, 5, 4])
async def test_start_reads_topology_and_schema(
    cassandra_server: RunningServer, version: int | None
) -> None:
    async with connected(cassandra_server, protocol_version=version) as plane:
        assert plane.cluster is not None
        assert plane.metadata is not None
        assert plane.cluster.protocol_version == (version or 5)
        assert all(host.is_up and host.datacenter for host in plane.hosts())
        assert "peers_v2" in plane.metadata.keyspaces["system"].tables


async def test_start_and_stop_again_and_again(cassandra_server: RunningServer) -> None:
    for _ in range(5):
        async with connected(cassandra_server) as plane:
            assert plane.hosts()


async def test_stop_may_be_called_by_many(cassandra_server: RunningServer) -> None:
    plane = ControlPlane(**cluster_options(cassandra_server))
    await plane.stop()
    await plane.start(20)
    await asyncio.gather(plane.stop(), plane.stop())
    await plane.stop()


async def test_schema_changes_are_read_one_by_one(
    cassandra_server: RunningServer, cassandra_keyspace: str
) -> None:
    keyspace = cassandra_keyspace
    async with connected(cassandra_server, schema_event_refresh_window=-1) as plane:
        assert plane.metadata is not None

        async def change(cql: str, change_type: str, target: str, name: str) -> None:
            await plane.run(cassandra_server.execute, cql)
            event = schema_event(change_type, target, keyspace, name)
            assert await plane.after_schema_change(event)

        known = plane.metadata.keyspaces[keyspace]
        await change(f"CREATE TABLE {keyspace}.t (k int PRIMARY KEY)", "CREATED", "TABLE", "t")
        assert list(known.tables["t"].columns) == ["k"]
        await change(f"ALTER TABLE {keyspace}.t ADD v text", "UPDATED", "TABLE", "t")
        assert list(known.tables["t"].columns) == ["k", "v"]
        await change(f"CREATE TYPE {keyspace}.u (a int)", "CREATED", "TYPE", "u")
        assert known.user_types["u"].field_names == ["a"]
        await change(f"DROP TYPE {keyspace}.u", "DROPPED", "TYPE", "u")
        assert "u" not in known.user_types
        await change(f"DROP TABLE {keyspace}.t", "DROPPED", "TABLE", "t")
        assert "t" not in known.tables


async def test_changes_by_another_client_are_pushed(
    cassandra_server: RunningServer, cassandra_keyspace: str
) -> None:
    keyspace, events = cassandra_keyspace, Events()
    async with connected(cassandra_server, schema_event_refresh_window=0) as plane:
        plane.add_listener(events)
        assert plane.metadata is not None
        create = f"CREATE TABLE {keyspace}.pushed (k int PRIMARY KEY)"
        await plane.run(cassandra_server.execute, create)
        await events.until("schema", schema_event("CREATED", "TABLE", keyspace, "pushed"))
        assert "pushed" in plane.metadata.keyspaces[keyspace].tables
        await plane.run(cassandra_server.execute, f"DROP TABLE {keyspace}.pushed")
        await events.until("schema", schema_event("DROPPED", "TABLE", keyspace, "pushed"))
        assert "pushed" not in plane.metadata.keyspaces[keyspace].tables


async def test_replicas_are_those_of_the_driver(
    cassandra_server: RunningServer, cassandra_keyspace: str
) -> None:
    async with connected(cassandra_server) as plane:
        assert plane.metadata is not None
        plane.router.want_keyspace(cassandra_keyspace)
        await plane.run(plane.router.rebuild)
        routing = plane.router.routing(plane.profile())
        assert routing is not None
        ring = routing.rings[cassandra_keyspace]
        for key in (os.urandom(8) for _ in range(100)):
            token = Murmur3Token.from_key(key).value
            expected = plane.metadata.get_replicas(cassandra_keyspace, key)
            assert list(ring.replicas(token)) == list(expected)


async def test_host_reported_unreachable_comes_back(cassandra_server: RunningServer) -> None:
    events = Events()
    async with connected(cassandra_server) as plane:
        plane.add_listener(events)
        host = plane.hosts()[0]
        plane.report_unreachable(host, OSError("cable cut"))
        await events.until("down", host)
        # The first attempt of the default reconnection policy comes after half a second.
        await events.until("up", host)
        assert host.is_up


async def test_lost_control_connection_is_replaced_within_moments(
    cassandra_server: RunningServer,
) -> None:
    events = Events()
    async with connected(cassandra_server) as plane:
        plane.add_listener(events)
        assert plane.cluster is not None
        control = plane.cluster.control_connection
        lost = control._connection
        assert lost is not None
        lost.defunct(OSError("cable cut"))
        # A fresh control connection reads everything before it takes the place of the lost one.
        await events.until("schema", {})
        async with asyncio.timeout(5):
            while control._connection is lost:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        assert all(host.is_up for host in plane.hosts())


async def test_waiting_for_a_schema_does_not_hold_the_loop(
    cassandra_server: RunningServer, cassandra_keyspace: str
) -> None:
    async with connected(cassandra_server) as plane:
        everything = [plane.after_schema_change({}) for _ in range(8)]
        assert await asyncio.gather(*everything) == [True] * 8
