"""The control plane against scripted peers: what a healthy server does not do."""

import asyncio
import ssl
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
import trustme
from cassandra.auth import Authenticator, AuthProvider, PlainTextAuthProvider
from cassandra.cluster import NoHostAvailable
from cassandra.policies import ConstantReconnectionPolicy
from cassandra.pool import Host

from async_cassandra import exceptions
from async_cassandra._driver.control_plane import ControlPlane, schema_event
from tests.support.native_protocol import Opcode, encode_segment
from tests.support.peer_connection import PeerConnection
from tests.support.peer_replies import ErrorCode
from tests.support.scripted_peer import Automatic, ScriptedPeer, scripted_cluster

pytestmark = pytest.mark.anyio

NEVER = 600.0
"""Seconds: a delay that no test waits for."""


class Events:
    """A listener that lets a test wait for what it is told."""

    def __init__(self) -> None:
        self._queues: dict[str, asyncio.Queue[tuple[Any, ...]]] = {}

    async def next(self, name: str, seconds: float = 5.0) -> tuple[Any, ...]:
        async with asyncio.timeout(seconds):
            return await self._queue(name).get()

    def on_up(self, host: Host) -> None:
        self._queue("up").put_nowait((host,))

    def on_down(self, host: Host) -> None:
        self._queue("down").put_nowait((host,))

    def on_add(self, host: Host) -> None:
        self._queue("add").put_nowait((host,))

    def on_remove(self, host: Host) -> None:
        self._queue("remove").put_nowait((host,))

    def on_schema_event(self, event: Mapping[str, Any], host: Host | None) -> None:
        self._queue("told").put_nowait((event.get("keyspace"),))

    def on_schema_change(self, event: Mapping[str, Any]) -> None:
        self._queue("schema").put_nowait((event,))

    def on_user_type(self, keyspace: str, name: str, klass: type) -> None:
        self._queue("user_type").put_nowait((keyspace, name, klass))

    def on_routing(self) -> None:
        self._queue("routing").put_nowait(())

    def _queue(self, name: str) -> asyncio.Queue[tuple[Any, ...]]:
        return self._queues.setdefault(name, asyncio.Queue())


def settings(peer: ScriptedPeer, **more: Any) -> dict[str, Any]:
    defaults = {
        "contact_points": [peer.host],
        "port": peer.port,
        "reconnection_policy": ConstantReconnectionPolicy(0.02, max_attempts=None),
        "status_event_refresh_window": 0,
        "topology_event_refresh_window": 0,
        "schema_event_refresh_window": 0,
    }
    return defaults | more


@asynccontextmanager
async def connected(
    peer: ScriptedPeer, listener: Events | None = None, **more: Any
) -> AsyncIterator[ControlPlane]:
    """A started control plane; leaving checks that no thread and no task stays."""
    threads, tasks = set(threading.enumerate()), asyncio.all_tasks()
    plane = ControlPlane(**settings(peer, **more))
    if listener is not None:
        plane.add_listener(listener)
    await plane.start(5)
    try:
        yield plane
    finally:
        await plane.stop()
        assert set(threading.enumerate()) <= threads
        assert asyncio.all_tasks() <= tasks


async def failure(
    peer: ScriptedPeer, *, seconds: float = 5, **more: Any
) -> exceptions.AsyncCassandraError:
    """How connecting fails; it leaves no thread and no task."""
    threads, tasks = set(threading.enumerate()), asyncio.all_tasks()
    plane = ControlPlane(**settings(peer, **more))
    with pytest.raises(exceptions.AsyncCassandraError) as raised:
        await plane.start(seconds)
    assert set(threading.enumerate()) <= threads
    assert asyncio.all_tasks() <= tasks
    return raised.value


async def registered(peer: ScriptedPeer) -> PeerConnection:
    """The next connection that asks for events: a control connection."""
    while True:
        connection = await peer.next_connection()
        async with asyncio.timeout(5):
            # A peer does not tell who registers.
            while not connection.event_types and not connection.closed.is_set():  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        if connection.event_types:
            return connection


async def test_start_reads_the_topology() -> None:
    addresses = ["127.0.31.1", "127.0.31.2", "127.0.31.3"]
    async with scripted_cluster(addresses) as peers, connected(peers[0]) as plane:
        assert sorted(host.address for host in plane.hosts()) == addresses
        assert all(host.is_up for host in plane.hosts())
        routing = plane.router.routing(plane.profile())
        assert routing is not None
        assert [host.address for host in routing.local] == addresses


async def test_only_the_control_connection_is_opened() -> None:
    addresses = ["127.0.31.1", "127.0.31.2"]
    async with scripted_cluster(addresses) as peers, connected(peers[0]):
        assert [len(peer.connections) for peer in peers] == [1, 0]


async def test_lost_control_connection_is_reopened_at_once() -> None:
    async with (
        ScriptedPeer() as peer,
        connected(peer, reconnection_policy=ConstantReconnectionPolicy(NEVER)),
    ):
        (await registered(peer)).drop()
        await registered(peer)


async def test_corrupt_segment_replaces_the_control_connection() -> None:
    async with (
        ScriptedPeer() as peer,
        connected(peer, reconnection_policy=ConstantReconnectionPolicy(NEVER)),
    ):
        await registered(peer)
        peer.corrupt_next()
        peer.push_schema_change("CREATED", "KEYSPACE", "ks")
        await registered(peer)


def two_gigabytes(connection: PeerConnection) -> None:
    header = bytes((0x85, 0)) + (-1).to_bytes(2, signed=True) + bytes((Opcode.EVENT,))
    header += (2**31 - 1).to_bytes(4)
    connection.send_bytes(encode_segment(header + bytes(100), self_contained=False))


def cut_off(connection: PeerConnection) -> None:
    connection.send(Opcode.EVENT, -1, b"\0\x0dSTATUS_CHANGE\0\2UP\4")


def no_event(connection: PeerConnection) -> None:
    connection.send(Opcode.RESULT, -1, b"\0\0\0\1")


def nobody_asked(connection: PeerConnection) -> None:
    connection.send(Opcode.RESULT, 77, b"\0\0\0\1")


@pytest.mark.parametrize("push", [two_gigabytes, cut_off, no_event, nobody_asked])
async def test_control_connection_is_replaced_if_it_cannot_be_read(
    push: Callable[[PeerConnection], None],
) -> None:
    async with (
        ScriptedPeer() as peer,
        connected(peer, reconnection_policy=ConstantReconnectionPolicy(NEVER)),
    ):
        push(await registered(peer))
        await registered(peer)


async def test_events_are_told_in_order() -> None:
    events = Events()
    async with ScriptedPeer() as peer, connected(peer, events, schema_event_refresh_window=-1):
        assert await events.next("told") == (None,)
        for number in range(200):
            peer.push_schema_change("CREATED", "KEYSPACE", f"k{number}")
        told = [await events.next("told") for _ in range(200)]
        assert told == [(f"k{number}",) for number in range(200)]


async def test_lone_node_that_returns_is_found() -> None:
    events = Events()
    async with ScriptedPeer() as peer, connected(peer, events) as plane:
        connection = await registered(peer)
        peer.refuse()
        connection.drop()
        (host,) = await events.next("down")
        assert host.is_up is False
        await peer.listen()
        assert await events.next("up") == (host,)
        await registered(peer)
        assert host.is_up is True
        assert plane.hosts() == [host]


async def test_control_connection_moves_to_another_node() -> None:
    async with scripted_cluster(["127.0.31.1", "127.0.31.2"]) as peers, connected(peers[0]):
        connection = await registered(peers[0])
        peers[0].refuse()
        connection.drop()
        await registered(peers[1])


async def test_host_reported_unreachable_is_tried_until_it_answers() -> None:
    events = Events()
    async with (
        scripted_cluster(["127.0.31.1", "127.0.31.2"]) as peers,
        connected(peers[0], events) as plane,
    ):
        peers[1].refuse()
        (host,) = [h for h in plane.hosts() if h.address == "127.0.31.2"]
        plane.report_unreachable(host, OSError("refused"))
        assert await events.next("down") == (host,)
        await peers[1].listen()
        assert await events.next("up") == (host,)


async def test_host_reported_reachable_is_up_without_waiting() -> None:
    events = Events()
    async with scripted_cluster(["127.0.31.1", "127.0.31.2"]) as peers:
        policy = ConstantReconnectionPolicy(NEVER)
        async with connected(peers[0], events, reconnection_policy=policy) as plane:
            (host,) = [h for h in plane.hosts() if h.address == "127.0.31.2"]
            plane.report_unreachable(host, TimeoutError("nobody answers"))
            assert await events.next("down") == (host,)
            plane.report_reachable(host)
            assert await events.next("up") == (host,)


async def test_routing_follows_a_host_down_and_up() -> None:
    events = Events()
    async with scripted_cluster(["127.0.31.1", "127.0.31.2"]) as peers:
        policy = ConstantReconnectionPolicy(NEVER)
        async with connected(peers[0], events, reconnection_policy=policy) as plane:
            (host,) = [h for h in plane.hosts() if h.address == "127.0.31.2"]

            def is_routed() -> bool:
                routing = plane.router.routing(plane.profile())
                return routing is not None and host in routing.local

            assert is_routed()
            plane.report_unreachable(host, OSError("refused"))
            while is_routed():
                await events.next("routing")
            plane.report_reachable(host)
            while not is_routed():
                await events.next("routing")


async def test_rumour_does_not_down_a_host_with_connections() -> None:
    events = Events()
    async with (
        scripted_cluster(["127.0.31.1", "127.0.31.2"]) as peers,
        connected(peers[0], events) as plane,
    ):
        first, second = sorted(plane.hosts())
        plane.report_connections(first, 1)
        peers[0].push_status_change("DOWN", first.address)
        peers[0].push_status_change("DOWN", second.address)
        assert await events.next("down") == (second,)
        assert first.is_up


async def test_host_is_reachable_while_one_pool_reaches_it() -> None:
    events = Events()
    async with (
        scripted_cluster(["127.0.31.1", "127.0.31.2"]) as peers,
        connected(peers[0], events) as plane,
    ):
        first, second = sorted(plane.hosts())
        plane.report_connections(first, 1, by="one pool")
        plane.report_connections(first, 1, by="the other")
        plane.report_unreachable(first, OSError("refused"), by="one pool")
        plane.report_unreachable(second, OSError("refused"))
        assert await events.next("down") == (second,)
        assert first.is_up
        plane.report_unreachable(first, OSError("refused"), by="the other")
        assert await events.next("down") == (first,)


async def test_events_of_the_server_reach_listeners() -> None:
    events = Events()
    async with (
        scripted_cluster(["127.0.31.1", "127.0.31.2"]) as peers,
        connected(peers[0], events) as plane,
    ):
        (host,) = [h for h in plane.hosts() if h.address == "127.0.31.2"]
        peers[1].refuse()
        peers[0].push_status_change("DOWN", host.address)
        assert await events.next("down") == (host,)
        peers[0].push_status_change("UP", host.address)
        assert await events.next("up") == (host,)
        node = peers[0].tables.peers.pop()
        peers[0].push_topology_change("REMOVED_NODE", host.address)
        assert await events.next("remove") == (host,)
        peers[0].tables.peers.append(node)
        peers[0].push_topology_change("NEW_NODE", host.address)
        while (await events.next("add"))[0].address != host.address:
            pass


async def test_schema_change_is_waited_for_and_read() -> None:
    events = Events()
    async with ScriptedPeer() as peer, connected(peer, events) as plane:
        assert plane.metadata is not None
        peer.tables.add_keyspace("fresh")
        event = schema_event("CREATED", "KEYSPACE", "fresh")
        assert await plane.after_schema_change(event)
        assert "fresh" in plane.metadata.keyspaces
        while (await events.next("schema"))[0] != event:
            pass


async def test_schema_disagreement_ends_after_its_limit() -> None:
    async with (
        scripted_cluster(["127.0.31.1", "127.0.31.2"]) as peers,
        connected(peers[0], max_schema_agreement_wait=0.1) as plane,
    ):
        other = "5ca1ab1e-0000-4000-8000-00000000dead"
        answer = peers[0].tables.answer("SELECT * FROM system.peers_v2")
        assert answer is not None
        column = [name for name, _ in answer.columns].index("schema_version")
        (row,) = answer.rows
        answer.rows = [(*row[:column], uuid.UUID(other), *row[column + 1 :])]
        peers[0].tables.answers["system", "peers_v2"] = answer
        assert not await plane.after_schema_change(schema_event("CREATED", "KEYSPACE", "ks"))


async def test_server_without_v5_is_spoken_to_in_v4(caplog: pytest.LogCaptureFixture) -> None:
    async with ScriptedPeer(version=4) as peer, connected(peer) as plane:
        assert plane.cluster is not None
        assert plane.cluster.protocol_version == 4
    assert "owngrad" not in caplog.text


async def test_explicit_version_is_not_lowered() -> None:
    async with ScriptedPeer(version=4) as peer:
        error = await failure(peer, protocol_version=5)
    assert isinstance(error, exceptions.ConnectionError)
    assert "v5" in str(error)


@pytest.mark.parametrize("compression", [True, False])
@pytest.mark.parametrize("version", [4, 5])
async def test_version_and_compression_work_together(version: int, compression: bool) -> None:
    async with (
        ScriptedPeer() as peer,
        connected(peer, protocol_version=version, compression=compression),
    ):
        assert (await registered(peer)).version == version


async def test_password_is_accepted() -> None:
    provider = PlainTextAuthProvider("cassandra", "secret")
    async with (
        ScriptedPeer(password=("cassandra", "secret")) as peer,
        connected(peer, auth_provider=provider) as plane,
    ):
        authenticator = await plane.new_authenticator(plane.hosts()[0].endpoint)
        assert authenticator is not None
        token = await authenticator.initial_response("PasswordAuthenticator")
        assert token == b"\0cassandra\0secret"


@pytest.mark.parametrize(
    ("provider", "words"),
    [
        (PlainTextAuthProvider("cassandra", "wrong"), "username and/or password are incorrect"),
        (None, "none were given"),
    ],
)
async def test_refused_credentials_name_node_and_reason(
    provider: AuthProvider | None, words: str
) -> None:
    async with ScriptedPeer(password=("cassandra", "secret")) as peer:
        error = await failure(peer, auth_provider=provider)
        endpoint = f"{peer.host}:{peer.port}"
    assert isinstance(error, exceptions.AuthenticationError)
    assert isinstance(error, NoHostAvailable)
    assert endpoint in str(error)
    assert words in str(error)


class BlockingAuthenticator(Authenticator):
    def __init__(self, gate: threading.Event) -> None:
        self._gate = gate

    def initial_response(self) -> bytes:
        self._gate.wait(5)
        return b"\0cassandra\0secret"


class BlockingAuthProvider(AuthProvider):
    """Asks another service first, which the loop must not feel."""

    def __init__(self) -> None:
        self.gate = threading.Event()

    def new_authenticator(self, host: str) -> Authenticator:
        self.gate.wait(5)
        return BlockingAuthenticator(self.gate)


async def test_auth_provider_may_block() -> None:
    provider = BlockingAuthProvider()
    async with ScriptedPeer(password=("cassandra", "secret")) as peer:
        asyncio.get_running_loop().call_later(0.01, provider.gate.set)
        async with connected(peer, auth_provider=provider) as plane:
            authenticator = await plane.new_authenticator(plane.hosts()[0].endpoint)
            assert authenticator is not None
            assert await authenticator.initial_response("any") == b"\0cassandra\0secret"


@contextmanager
def failed_handshakes() -> Iterator[None]:
    """Let the peer's side of a TLS handshake fail: asyncio reports that to the loop's handler."""
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()

    def on_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if not isinstance(context.get("exception"), (ssl.SSLError, ConnectionResetError)):
            assert handler is not None
            handler(loop, context)

    loop.set_exception_handler(on_error)
    yield
    loop.set_exception_handler(handler)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


def client_context(authority: trustme.CA, *, check_hostname: bool = True) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = check_hostname
    authority.configure_trust(context)
    return context


async def test_tls_checks_the_name(authority: trustme.CA) -> None:
    async with (
        ScriptedPeer(ssl_context=server_context(authority, "127.0.0.1")) as peer,
        connected(peer, ssl_context=client_context(authority)),
    ):
        pass


async def test_tls_takes_the_name_it_is_given(authority: trustme.CA) -> None:
    async with ScriptedPeer(ssl_context=server_context(authority, "db.example")) as peer:
        options = {"server_hostname": "db.example"}
        context = client_context(authority)
        async with connected(peer, ssl_context=context, ssl_options=options):
            pass


async def test_tls_without_name_check_takes_any_name(authority: trustme.CA) -> None:
    async with ScriptedPeer(ssl_context=server_context(authority, "db.example")) as peer:
        context = client_context(authority, check_hostname=False)
        async with connected(peer, ssl_context=context):
            pass


async def test_certificate_for_another_host_is_refused(authority: trustme.CA) -> None:
    with failed_handshakes():
        async with ScriptedPeer(ssl_context=server_context(authority, "db.example")) as peer:
            error = await failure(peer, ssl_context=client_context(authority))
    assert isinstance(error, exceptions.ConnectionError)
    assert isinstance(error.cause, ssl.SSLCertVerificationError)
    assert error.endpoint == f"127.0.0.1:{peer.port}"
    assert error.endpoint in str(error)


async def test_certificate_of_another_authority_is_refused(authority: trustme.CA) -> None:
    with failed_handshakes():
        async with ScriptedPeer(ssl_context=server_context(authority, "127.0.0.1")) as peer:
            error = await failure(peer, ssl_context=client_context(trustme.CA()))
    assert isinstance(error.cause, ssl.SSLCertVerificationError)
    assert "authority" in str(error)


async def test_tls_towards_a_plain_server_times_out_with_advice(authority: trustme.CA) -> None:
    silent = tuple(set(Automatic) - {Automatic.OPTIONS})
    async with ScriptedPeer(automatic=silent, tolerate_faults=True) as peer:
        error = await failure(peer, ssl_context=client_context(authority), connect_timeout=0.2)
    assert isinstance(error, exceptions.ConnectionError)
    assert f"127.0.0.1:{peer.port}" in str(error)


async def test_plain_towards_a_tls_server_fails_with_advice(authority: trustme.CA) -> None:
    with failed_handshakes():
        async with ScriptedPeer(ssl_context=server_context(authority, "127.0.0.1")) as peer:
            error = await failure(peer, connect_timeout=0.5)
    assert isinstance(error, exceptions.ConnectionError)
    assert "TLS" in str(error)


async def test_silent_server_ends_in_a_timeout() -> None:
    async with ScriptedPeer(automatic=()) as peer:
        error = await failure(peer, seconds=0.2)
        assert isinstance(error, exceptions.ConnectTimeoutError)
        assert peer.host in str(error)


async def test_cancelled_start_leaves_nothing() -> None:
    threads = set(threading.enumerate())
    async with ScriptedPeer(automatic=()) as peer:
        plane = ControlPlane(**settings(peer))
        start = asyncio.ensure_future(plane.start(None))
        await peer.next_request()
        start.cancel()
        with pytest.raises(asyncio.CancelledError):
            await start
        assert set(threading.enumerate()) <= threads


async def test_failed_start_can_be_repeated() -> None:
    async with ScriptedPeer() as peer:
        peer.refuse()
        plane = ControlPlane(**settings(peer))
        with pytest.raises(exceptions.ConnectionError):
            await plane.start(5)
        await peer.listen()
        await plane.start(5)
        assert plane.hosts()
        await plane.stop()


async def test_overloaded_server_at_start_is_named() -> None:
    automatic = tuple(set(Automatic) - {Automatic.STARTUP})
    async with ScriptedPeer(automatic=automatic) as peer:
        peer.respond_with(lambda request: request.reply_error(ErrorCode.OVERLOADED, "too busy"))
        error = await failure(peer)
    assert "too busy" in str(error)


async def test_stop_does_not_wait_for_the_reconnection() -> None:
    async with ScriptedPeer() as peer, connected(peer):
        connection = await registered(peer)
        peer.automatic.clear()
        connection.drop()
        await peer.next_connection()


async def test_stop_ends_a_wait_for_the_schema() -> None:
    async with ScriptedPeer() as peer:
        async with connected(peer) as plane:
            peer.automatic.discard(Automatic.SYSTEM_TABLES)
            waiting = asyncio.ensure_future(
                plane.after_schema_change(schema_event("CREATED", "KEYSPACE", "ks"))
            )
            await peer.next_request()
        assert await waiting is False


async def test_user_type_reaches_listeners_before_and_after_start() -> None:
    events = Events()
    async with ScriptedPeer() as peer:
        plane = ControlPlane(**settings(peer), schema_metadata_enabled=False)
        plane.add_listener(events)
        plane.register_user_type("ks", "early", dict)
        await plane.start(5)
        assert await events.next("user_type") == ("ks", "early", dict)
        plane.register_user_type("ks", "late", list)
        assert await events.next("user_type") == ("ks", "late", list)
        assert plane.user_types == {("ks", "early"): dict, ("ks", "late"): list}
        await plane.stop()
