"""Connecting: every way to do it, and every way in which it fails."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import re
import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import cassandra
import pytest
from cassandra import ConsistencyLevel
from cassandra.cluster import Cluster, NoHostAvailable
from cassandra.policies import DCAwareRoundRobinPolicy
from cassandra.query import dict_factory

from async_cassandra import (
    AsyncCassandraError,
    AsyncCassandraSession,
    AsyncCluster,
    ConfigurationError,
    ConnectionError,
    TimeoutError,
)
from async_cassandra.server import RunningServer
from tests.support.cutting_proxy import CuttingProxy

pytestmark = [pytest.mark.anyio, pytest.mark.promise(7)]

CLUSTER_NAME = "SELECT cluster_name FROM system.local"


@pytest.fixture
async def own_cluster(settings: dict[str, Any]) -> AsyncIterator[AsyncCluster]:
    """A cluster that was not connected yet."""
    async with AsyncCluster(**settings) as cluster:
        yield cluster


@pytest.fixture
def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield listener.getsockname()[1]


async def test_first_program_runs(
    settings: dict[str, Any], session: AsyncCassandraSession, cassandra_keyspace: str
) -> None:
    await session.execute("CREATE TABLE IF NOT EXISTS big (id int PRIMARY KEY, v text)")
    for key in range(3):
        await session.execute("INSERT INTO big (id, v) VALUES (?, ?)", (key, f"v{key}"))
    cluster = AsyncCluster(**settings)
    first = await cluster.connect()
    result = await first.execute("SELECT * FROM system.local")
    assert result.one().cluster_name
    stream = await first.execute_stream(f"SELECT * FROM {cassandra_keyspace}.big")
    assert sorted([(row.id, row.v) async for row in stream]) == [(0, "v0"), (1, "v1"), (2, "v2")]
    await first.close()
    await cluster.shutdown()
    assert first.is_closed
    assert cluster.is_closed


async def test_connect_awaited_gives_open_session(own_cluster: AsyncCluster) -> None:
    session = await own_cluster.connect()
    assert isinstance(session, AsyncCassandraSession)
    assert not session.is_closed
    assert session.cluster is own_cluster
    assert (await session.execute(CLUSTER_NAME)).one() is not None


async def test_connect_entered_closes_session(own_cluster: AsyncCluster) -> None:
    async with own_cluster.connect() as session:
        assert (await session.execute(CLUSTER_NAME)).one() is not None
    assert session.is_closed
    assert not own_cluster.is_closed


async def test_connect_awaited_and_entered_closes_session(own_cluster: AsyncCluster) -> None:
    async with await own_cluster.connect() as session:
        assert (await session.execute(CLUSTER_NAME)).one() is not None
    assert session.is_closed


async def test_connect_as_task_gives_session(own_cluster: AsyncCluster) -> None:
    session = await asyncio.create_task(own_cluster.connect())
    assert (await session.execute(CLUSTER_NAME)).one() is not None


async def test_connect_in_gather_and_wait_for_gives_sessions(own_cluster: AsyncCluster) -> None:
    first, second = await asyncio.gather(own_cluster.connect(), own_cluster.connect())
    third = await asyncio.wait_for(own_cluster.connect(), 20)
    for session in (first, second, third):
        assert (await session.execute(CLUSTER_NAME)).one() is not None


async def test_connect_never_awaited_is_quiet(own_cluster: AsyncCluster) -> None:
    own_cluster.connect()


async def test_session_create_connects(own_cluster: AsyncCluster, cassandra_keyspace: str) -> None:
    session = await AsyncCassandraSession.create(own_cluster, cassandra_keyspace)
    assert session.keyspace == cassandra_keyspace


async def test_cluster_entered_shuts_down(settings: dict[str, Any]) -> None:
    async with AsyncCluster(**settings) as cluster:
        session = await cluster.connect()
    assert cluster.is_closed
    assert session.is_closed
    with pytest.raises(ConnectionError, match="Session is closed"):
        await session.execute(CLUSTER_NAME)
    with pytest.raises(ConnectionError, match="Cluster is closed"):
        await cluster.connect()


async def test_cluster_close_is_shutdown(settings: dict[str, Any]) -> None:
    cluster = AsyncCluster(**settings)
    await cluster.connect()
    await cluster.close()
    await cluster.close()
    await cluster.shutdown()
    assert cluster.is_closed


async def test_cluster_never_connected_shuts_down() -> None:
    cluster = AsyncCluster(["127.0.0.1"])
    await cluster.shutdown()
    assert cluster.is_closed


def test_cluster_built_without_loop_resolves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a name was resolved")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    cluster = AsyncCluster(["no-such-host.invalid"])
    assert cluster.metadata is None
    assert cluster._cluster is None
    assert not cluster.is_closed


def test_cluster_built_without_loop_connects_in_later_one(settings: dict[str, Any]) -> None:
    cluster = AsyncCluster(**settings)

    async def program() -> str:
        async with cluster, cluster.connect() as session:
            name: str = (await session.execute(CLUSTER_NAME)).one().cluster_name
            return name

    assert asyncio.run(program())


async def test_connect_gives_keyspace_to_session(
    own_cluster: AsyncCluster, cassandra_keyspace: str
) -> None:
    session = await own_cluster.connect(cassandra_keyspace)
    assert session.keyspace == cassandra_keyspace
    await session.execute("CREATE TABLE IF NOT EXISTS unqualified (id int PRIMARY KEY)")
    assert (await session.execute("SELECT * FROM unqualified")).one() is None


async def test_sessions_of_one_cluster_have_own_keyspaces(
    own_cluster: AsyncCluster, cassandra_keyspace: str
) -> None:
    async with (
        own_cluster.connect(cassandra_keyspace) as first,
        own_cluster.connect("system") as second,
        own_cluster.connect() as third,
    ):
        assert [first.keyspace, second.keyspace, third.keyspace] == [
            cassandra_keyspace,
            "system",
            None,
        ]
        assert (await second.execute("SELECT cluster_name FROM local")).one() is not None
        with pytest.raises(cassandra.InvalidRequest):
            await third.execute("SELECT cluster_name FROM local")
        await first.close()
        assert (await second.execute(CLUSTER_NAME)).one() is not None


async def test_cluster_metadata_is_drivers(
    own_cluster: AsyncCluster, cassandra_keyspace: str
) -> None:
    session = await own_cluster.connect()
    assert cassandra_keyspace in session.cluster.metadata.keyspaces  # type: ignore[union-attr]
    assert own_cluster.metadata is session.cluster.metadata
    assert isinstance(own_cluster._cluster, Cluster)
    assert own_cluster._cluster.metadata is own_cluster.metadata


async def test_create_with_auth_connects_where_none_is_wanted(
    cassandra_server: RunningServer,
) -> None:
    cluster = AsyncCluster.create_with_auth(
        cassandra_server.contact_points,
        cassandra_server.username or "anybody",
        cassandra_server.password or "anything",
        port=cassandra_server.port,
    )
    async with cluster, cluster.connect() as session:
        assert (await session.execute(CLUSTER_NAME)).one() is not None


async def test_connect_by_name_resolves_it(
    settings: dict[str, Any], cassandra_server: RunningServer
) -> None:
    if cassandra_server.contact_points != ["127.0.0.1"]:
        pytest.skip("the server is not at localhost")
    async with AsyncCluster(**settings | {"contact_points": ["localhost"]}) as cluster:
        session = await cluster.connect()
        assert (await session.execute(CLUSTER_NAME)).one() is not None


async def test_connect_passes_over_dead_contact_point(settings: dict[str, Any]) -> None:
    points = ["127.0.5.250", *settings["contact_points"]]
    async with AsyncCluster(**settings | {"contact_points": points}) as cluster:
        session = await cluster.connect()
        assert (await session.execute(CLUSTER_NAME)).one() is not None


async def test_connect_to_wrong_port_names_host_and_cause(unused_port: int) -> None:
    cluster = AsyncCluster(["127.0.0.1"], port=unused_port)
    with pytest.raises(ConnectionError, match=rf"127\.0\.0\.1.*{unused_port}.*refused") as failure:
        async with asyncio.timeout(10):
            await cluster.connect()
    assert isinstance(failure.value, AsyncCassandraError)
    assert isinstance(failure.value, builtins.ConnectionError)
    assert isinstance(failure.value, NoHostAvailable)
    assert failure.value.cause is not None
    assert failure.value.errors
    await cluster.shutdown()


async def test_connect_to_wrong_datacenter_names_hosts_and_theirs(settings: dict[str, Any]) -> None:
    policy = DCAwareRoundRobinPolicy(local_dc="no_such_dc")
    cluster = AsyncCluster(**settings | {"load_balancing_policy": policy})
    host = re.escape(settings["contact_points"][0])
    with pytest.raises(ConnectionError, match=rf"{host}.* in \w+.*local_dc"):
        async with asyncio.timeout(10):
            await cluster.connect()
    await cluster.shutdown()


async def test_connect_to_other_service_says_so() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as service:
        port = service.sockets[0].getsockname()[1]
        cluster = AsyncCluster(["127.0.0.1"], port=port)
        with pytest.raises(ConnectionError, match=rf":{port}.*not the native protocol"):
            async with asyncio.timeout(10):
                await cluster.connect()
        await cluster.shutdown()


async def test_failed_connect_is_told_in_one_line(
    unused_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = AsyncCluster(["127.0.0.1"], port=unused_port)
    with pytest.raises(ConnectionError) as failure:
        await cluster.connect()
    await cluster.shutdown()
    assert "\n" not in str(failure.value)
    logged = [record for record in caplog.records if "cassandra" in record.name]
    assert [record.getMessage() for record in logged if record.exc_info] == []


async def test_names_are_resolved_again_when_every_node_is_gone(
    settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one node moves to another address, of which only the name's server knows."""
    resolve = socket.getaddrinfo
    address = ["127.0.5.81"]

    def resolve_ours(host: Any, *args: Any, **kwargs: Any) -> Any:
        return resolve(address[0] if host == "moving.invalid" else host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve_ours)
    node = settings["contact_points"][0], settings["port"]
    async with contextlib.AsyncExitStack() as stack:
        async with CuttingProxy(*node, host="127.0.5.81") as before:
            moving = {"contact_points": ["moving.invalid"], "port": before.port}
            cluster = await stack.enter_async_context(AsyncCluster(**settings | moving))
            session = await stack.enter_async_context(cluster.connect())
            result = await session.execute(CLUSTER_NAME)
            assert result.coordinator == f"127.0.5.81:{before.port}"
        address[0] = "127.0.5.82"
        await stack.enter_async_context(CuttingProxy(*node, host=address[0], port=before.port))
        result = await session.execute(CLUSTER_NAME, timeout=15.0)
        assert result.coordinator == f"127.0.5.82:{before.port}"
        async with asyncio.timeout(10):
            while len(hosts := cluster._control.hosts()) > 1:
                await session.execute(CLUSTER_NAME)
        assert [host.endpoint.address for host in hosts] == [address[0]]


async def test_connect_to_unresolvable_name_names_it() -> None:
    cluster = AsyncCluster(["no-such-host.invalid"])
    with pytest.raises(ConnectionError, match=r"no-such-host\.invalid"):
        async with asyncio.timeout(15):
            await cluster.connect()
    await cluster.shutdown()


async def test_connect_to_silent_host_ends_with_timeout(silent_port: int) -> None:
    loop = asyncio.get_running_loop()
    cluster = AsyncCluster(["127.0.0.1"], port=silent_port)
    started = loop.time()
    with pytest.raises(TimeoutError, match=rf"127\.0\.0\.1.*{silent_port}") as failure:
        await cluster.connect(timeout=0.5)
    assert loop.time() - started < 5
    assert isinstance(failure.value, ConnectionError)
    assert isinstance(failure.value, builtins.TimeoutError)
    await cluster.shutdown()


async def test_connect_to_silent_host_names_control_timeout(silent_port: int) -> None:
    cluster = AsyncCluster(
        ["127.0.0.1"], port=silent_port, control_connection_timeout=0.2, connect_timeout=0.2
    )
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1"):
        async with asyncio.timeout(10):
            await cluster.connect()
    await cluster.shutdown()


async def test_connect_to_missing_keyspace_names_it(own_cluster: AsyncCluster) -> None:
    with pytest.raises(ConnectionError, match="int_no_such_keyspace"):
        await own_cluster.connect("int_no_such_keyspace")
    session = await own_cluster.connect()
    assert (await session.execute(CLUSTER_NAME)).one() is not None


async def test_connect_after_timeout_succeeds(own_cluster: AsyncCluster) -> None:
    with pytest.raises(TimeoutError):
        await own_cluster.connect(timeout=1e-6)
    session = await own_cluster.connect()
    assert (await session.execute(CLUSTER_NAME)).one() is not None


async def test_connect_given_up_leaves_others_connecting(own_cluster: AsyncCluster) -> None:
    patient = asyncio.create_task(own_cluster.connect())
    with pytest.raises(TimeoutError):
        await own_cluster.connect(timeout=1e-6)
    session = await patient
    assert (await session.execute(CLUSTER_NAME)).one() is not None


async def test_each_session_of_a_cluster_recovers_by_itself(settings: dict[str, Any]) -> None:
    async with CuttingProxy(settings["contact_points"][0], settings["port"]) as proxy:
        through = settings | {"contact_points": [proxy.host], "port": proxy.port}
        async with AsyncCluster(**through) as cluster:
            sessions = [await cluster.connect() for _ in range(3)]
            for _ in range(3):
                proxy.reset()
                results = await asyncio.gather(
                    *(session.execute(CLUSTER_NAME, timeout=15.0) for session in sessions)
                )
                assert all(result.one() for result in results)
            # One whose connection alone is lost, while the others' go on.
            (connection,) = sessions[1]._core.nodes.connections()
            assert connection.transport is not None
            connection.transport.abort()
            results = await asyncio.gather(*(s.execute(CLUSTER_NAME) for s in sessions))
            assert all(result.one() for result in results)
            assert connection not in sessions[1]._core.nodes.connections()


async def test_connect_during_shutdown_is_refused(settings: dict[str, Any]) -> None:
    cluster = AsyncCluster(**settings)
    connecting = [asyncio.create_task(cluster.connect()) for _ in range(3)]
    await asyncio.sleep(0)
    await cluster.shutdown()
    for outcome in await asyncio.gather(*connecting, return_exceptions=True):
        assert isinstance(outcome, ConnectionError)
        assert "closed" in str(outcome)


async def test_connect_again_once_server_listens(
    settings: dict[str, Any], unused_port: int
) -> None:
    point, port = settings["contact_points"][0], settings["port"]
    cluster = AsyncCluster(**settings | {"contact_points": ["127.0.0.1"], "port": unused_port})
    with pytest.raises(ConnectionError):
        await cluster.connect()
    assert cluster.metadata is None
    async with CuttingProxy(point, port, port=unused_port):
        session = await cluster.connect()
        assert (await session.execute(CLUSTER_NAME)).one() is not None
        await cluster.shutdown()


async def test_connect_cancelled_leaves_cluster_usable(own_cluster: AsyncCluster) -> None:
    connecting = asyncio.create_task(own_cluster.connect())
    await asyncio.sleep(0)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    session = await own_cluster.connect()
    assert (await session.execute(CLUSTER_NAME)).one() is not None


async def test_connect_on_other_loop_is_refused(settings: dict[str, Any]) -> None:
    async with AsyncCluster(**settings) as cluster:
        session = await cluster.connect()

        async def elsewhere() -> None:
            with pytest.raises(ConnectionError, match="loop"):
                await cluster.connect()
            with pytest.raises(ConnectionError, match="loop"):
                await session.execute(CLUSTER_NAME)
            with pytest.raises(ConnectionError, match="loop"):
                await session.execute_stream(CLUSTER_NAME)
            with pytest.raises(ConnectionError, match="loop"):
                await session.prepare(CLUSTER_NAME)

        await asyncio.to_thread(asyncio.run, elsewhere())


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("port", 0),
        ("port", 70000),
        ("port", "9042"),
        ("protocol_version", 3),
        ("protocol_version", 6),
        ("compression", "snappy"),
        ("no_such_setting", 1),
    ],
)
def test_cluster_setting_that_does_not_fit_is_named(setting: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=setting):
        AsyncCluster(["127.0.0.1"], **{setting: value})


async def test_connect_many_at_once_shares_control_connection(settings: dict[str, Any]) -> None:
    async with AsyncCluster(**settings) as cluster:
        sessions = await asyncio.gather(*(cluster.connect() for _ in range(10)))
        results = await asyncio.gather(*(session.execute(CLUSTER_NAME) for session in sessions))
        assert all(result.one() for result in results)


async def test_session_repr_shows_state(own_cluster: AsyncCluster, cassandra_keyspace: str) -> None:
    assert "not connected" in repr(own_cluster)
    session = await own_cluster.connect(cassandra_keyspace)
    assert cassandra_keyspace in repr(session)
    assert "open" in repr(session)
    await session.close()
    assert "closed" in repr(session)


async def test_server_is_told_what_the_settings_say(settings: dict[str, Any]) -> None:
    told: dict[str, Any] = {
        "application_name": "shop",
        "application_version": "1.2",
        "client_id": uuid.uuid4(),
    }
    async with (
        AsyncCluster(**settings, **told, cql_version="3.4.7", no_compact=True) as cluster,
        cluster.connect() as session,
    ):
        clients = await session.execute("SELECT client_options FROM system_views.clients")
        options = [dict(client.client_options) for client in clients]
        both = [said for said in options if said.get("CLIENT_ID") == str(told["client_id"])]
        assert len(both) == 2, "the control connection and one for data"
        for said in both:
            assert (said["APPLICATION_NAME"], said["APPLICATION_VERSION"]) == ("shop", "1.2")
            assert (said["CQL_VERSION"], said["NO_COMPACT"]) == ("3.4.7", "true")
            assert said["DRIVER_NAME"] == "async-cassandra"


async def test_defaults_of_a_session_reach_a_real_server(
    session: AsyncCassandraSession, cassandra_keyspace: str
) -> None:
    own = await session.cluster.connect(cassandra_keyspace)
    await own.execute("CREATE TABLE IF NOT EXISTS defaults (id int PRIMARY KEY, v int)")
    own.default_serial_consistency_level = ConsistencyLevel.LOCAL_SERIAL
    own.default_consistency_level = ConsistencyLevel.ALL
    own.timestamp_generator = lambda: 42
    own.row_factory = dict_factory
    await own.execute("INSERT INTO defaults (id, v) VALUES (?, ?)", (1, 2))
    assert (await own.execute("SELECT id, writetime(v) AS at FROM defaults")).one() == {
        "id": 1,
        "at": 42,
    }
    applied = await own.execute("UPDATE defaults SET v = 3 WHERE id = 1 IF v = 2")
    assert applied.was_applied
    traced = await own.execute("SELECT v FROM defaults", trace=True)
    own.max_trace_wait = 10.0
    trace = await traced.get_query_trace()
    assert trace is not None
    assert trace.parameters is not None
    assert trace.parameters["consistency_level"] == "ALL"
    await own.close()
