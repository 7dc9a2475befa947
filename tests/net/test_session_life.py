"""A session on scripted nodes: opening, keyspaces, cancellation, closing, forks."""

import asyncio
import gc
import logging
import os
import signal
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from cassandra import InvalidRequest
from cassandra.auth import Authenticator, AuthProvider
from cassandra.policies import ConstantReconnectionPolicy

from async_cassandra import AsyncCassandraSession, AsyncCluster, exceptions
from async_cassandra._session.config import ClientOptions
from tests.support.native_protocol import Opcode
from tests.support.peer_replies import ErrorCode
from tests.support.recorder import Recorder
from tests.support.request_rig import INT_ROW, until
from tests.support.scripted_peer import Automatic, ScriptedPeer, scripted_cluster

pytestmark = pytest.mark.anyio

HOSTS = ["127.0.4.11", "127.0.4.12", "127.0.4.13"]
READ = "SELECT v FROM ks.t"


@asynccontextmanager
async def connected(
    count: int = 1,
    *,
    peer_options: dict[str, Any] | None = None,
    keyspace: str | None = None,
    **options: Any,
) -> AsyncIterator[tuple[list[ScriptedPeer], AsyncCassandraSession]]:
    async with (
        scripted_cluster(HOSTS[:count], **(peer_options or {})) as peers,
        AsyncCluster([HOSTS[0]], port=peers[0].port, **options) as cluster,
    ):
        yield peers, await cluster.connect(keyspace)


def pools(session: AsyncCassandraSession) -> list[Any]:
    return list(session._core.nodes.pools.values())


def data_connections(peer: ScriptedPeer) -> list[Any]:
    """Those that did not register for events."""
    return [connection for connection in peer.open_connections if not connection.event_types]


async def ask(peer: ScriptedPeer, session: AsyncCassandraSession, value: int = 1) -> None:
    """Check that the session works."""
    task = asyncio.ensure_future(session.execute(READ))
    (await peer.next_request()).reply_rows(INT_ROW, [(value,)])
    assert (await task).one().v == value


# Opening


async def test_session_opens_one_connection_per_node_and_answers() -> None:
    async with connected(3) as (peers, session):
        await until(lambda: all(pool.connections for pool in pools(session)))
        assert [len(data_connections(peer)) for peer in peers] == [1, 1, 1]
        for peer in peers:
            peer.respond_with(lambda request: request.reply_rows(INT_ROW, [(1,)]))
        results = [await session.execute(READ) for _ in range(6)]
        assert {result.coordinator for result in results} == {
            f"{peer.host}:{peer.port}" for peer in peers
        }


async def test_server_without_v5_is_spoken_to_without_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG):
        async with connected(peer_options={"version": 4}) as (peers, session):
            await ask(peers[0], session)
            assert data_connections(peers[0])[0].version == 4
    told = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.getMessage() for record in told if "cassandra" in record.name] == []


class Challenged(Authenticator):
    def __init__(self, threads: set[int]) -> None:
        self.threads = threads

    def initial_response(self) -> bytes:
        time.sleep(0.02)
        self.threads.add(threading.get_ident())
        return b"first"

    def evaluate_challenge(self, challenge: bytes) -> bytes:
        time.sleep(0.02)
        self.threads.add(threading.get_ident())
        return b"answer to " + challenge

    def on_authentication_success(self, token: bytes | None) -> None:
        self.threads.add(threading.get_ident())


class Provider(AuthProvider):
    """Needs a challenge, and blocks at every step."""

    def __init__(self) -> None:
        self.threads: set[int] = set()

    def new_authenticator(self, host: str) -> Challenged:
        return Challenged(self.threads)


def challenge(request: Any) -> None:
    if request.token == b"first":
        request.reply_auth_challenge(b"riddle")
    elif request.token == b"answer to riddle":
        request.reply_auth_success(b"welcome")
    else:
        request.reply_error(ErrorCode.BAD_CREDENTIALS, "wrong answer")


async def test_challenge_is_answered_off_the_loop() -> None:
    provider = Provider()
    async with scripted_cluster(HOSTS[:1], password=("u", "p")) as peers:
        peers[0].automatic.discard(Automatic.AUTHENTICATION)
        peers[0].respond_with(challenge)
        async with AsyncCluster(HOSTS[:1], port=peers[0].port, auth_provider=provider) as cluster:
            session = await cluster.connect()
            peers[0].respond_with(None)
            await ask(peers[0], session)
    assert threading.get_ident() not in provider.threads


class Failing(Provider):
    """Works for the control connection, and fails after that."""

    fails = False

    def new_authenticator(self, host: str) -> Challenged:
        if self.fails:
            raise LookupError("no ticket")
        return super().new_authenticator(host)


async def test_provider_that_fails_later_is_asked_again() -> None:
    provider = Failing()
    async with scripted_cluster(HOSTS[:1], password=("u", "p")) as peers:
        peers[0].automatic.discard(Automatic.AUTHENTICATION)
        peers[0].respond_with(challenge)
        async with AsyncCluster(HOSTS[:1], port=peers[0].port, auth_provider=provider) as cluster:
            session = await cluster.connect()
            provider.fails = True
            data_connections(peers[0])[0].drop()
            await until(lambda: pools(session)[0].last_error is not None)
            assert "LookupError" in str(pools(session)[0].last_error)
            provider.fails = False
            await until(lambda: pools(session)[0].connections)
            peers[0].respond_with(None)
            await ask(peers[0], session)


async def test_lost_connection_is_reopened_at_once() -> None:
    async with connected() as (peers, session):
        for _ in range(3):
            lost = data_connections(peers[0])[0]
            lost.drop()
            await ask(peers[0], session)
            assert data_connections(peers[0])[0] is not lost


async def test_lost_control_connection_is_reopened_beside_the_requests() -> None:
    async with connected() as (peers, session):
        control = next(c for c in peers[0].open_connections if c.event_types)
        control.drop()
        await ask(peers[0], session)
        await until(
            lambda: any(c.event_types and c is not control for c in peers[0].open_connections)
        )


async def test_observer_is_told_of_connections_and_nodes() -> None:
    recorder = Recorder()
    reconnection = ConstantReconnectionPolicy(0.02, max_attempts=None)
    async with connected(2, observers=[recorder], reconnection_policy=reconnection) as (peers, _):
        first, second = (f"{peer.host}:{peer.port}" for peer in peers)
        await until(lambda: len(recorder.events) == 2)
        assert sorted(recorder.events) == [f"opened {first}", f"opened {second}"]
        recorder.events.clear()
        peers[1].refuse()
        data_connections(peers[1])[0].drop()
        await until(lambda: f"down {second}" in recorder.events)
        await peers[1].listen()
        await until(lambda: f"up {second}" in recorder.events)
        assert recorder.events[0].startswith(f"lost {second} Connection")
        assert sorted(recorder.events[1:]) == [
            f"down {second}",
            f"opened {second}",
            f"up {second}",
        ]
    assert len(recorder.events) == 4


# Keyspaces


async def test_keyspace_is_used_when_opening_and_on_change() -> None:
    async with connected(2, keyspace="First") as (peers, session):
        await until(lambda: all(pool.connections for pool in pools(session)))
        assert [c.keyspace for peer in peers for c in data_connections(peer)] == ["First"] * 2
        await session.set_keyspace('"Second"')
        assert [c.keyspace for peer in peers for c in data_connections(peer)] == ["Second"] * 2
        for peer in peers:
            data_connections(peer)[0].drop()
        await until(
            lambda: (
                all(pool.connections and not pool.connections[0].closed for pool in pools(session))
                and [c.keyspace for peer in peers for c in data_connections(peer)] == ["Second"] * 2
            )
        )


async def test_refused_keyspace_changes_nothing() -> None:
    async with connected(keyspace="good") as (peers, session):
        peers[0].automatic.discard(Automatic.USE)
        changing = asyncio.ensure_future(session.set_keyspace("bad"))
        (await peers[0].next_request()).reply_error(
            ErrorCode.INVALID, "Keyspace 'bad' does not exist"
        )
        with pytest.raises(InvalidRequest, match="bad") as caught:
            await changing
        assert isinstance(caught.value, exceptions.QueryError)
        assert session.keyspace == "good"
        peers[0].automatic.add(Automatic.USE)
        data_connections(peers[0])[0].drop()
        await ask(peers[0], session)
        assert data_connections(peers[0])[0].keyspace == "good"


async def test_cancelled_change_of_keyspace_leaves_one_keyspace_everywhere() -> None:
    async with connected(2, keyspace="old") as (peers, session):
        await until(lambda: all(pool.connections for pool in pools(session)))
        for peer in peers:
            peer.automatic.discard(Automatic.USE)
        changing = asyncio.ensure_future(session.set_keyspace("new"))
        asked = asyncio.ensure_future(peers[0].next_request())
        other = asyncio.ensure_future(peers[1].next_request())
        await asyncio.wait({asked, other}, return_when=asyncio.FIRST_COMPLETED)
        changing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await changing
        for peer in peers:
            peer.automatic.add(Automatic.USE)
        for waiting in (asked, other):
            if waiting.done():
                waiting.result().reply_set_keyspace("new")
            else:
                waiting.cancel()
        await until(
            lambda: (
                {c.keyspace for peer in peers for c in data_connections(peer)} == {session.keyspace}
                and all(pool.connections for pool in pools(session))
            )
        )
        assert session.keyspace == "new"


# Cancellation


async def test_asyncio_timeout_gives_the_request_up() -> None:
    async with connected() as (peers, session):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await session.execute(READ)
        assert session._core.executor.running == 0
        (await peers[0].next_request()).reply_void()
        await until(lambda: pools(session)[0].connections[0].in_flight == 0)


async def test_failure_in_a_task_group_gives_the_others_up() -> None:
    async def fail() -> None:
        await peers[0].next_request()
        raise LookupError

    async def together() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(session.execute(READ))
            group.create_task(session.execute(READ))
            group.create_task(fail())

    async with connected() as (peers, session):
        with pytest.raises(ExceptionGroup) as caught:
            await together()
        assert caught.group_contains(LookupError)
        assert session._core.executor.running == 0
        assert len(session._core.timers) == 0


async def test_anyio_cancel_scope_gives_the_request_up() -> None:
    async with connected() as (peers, session):
        with anyio.move_on_after(0.02) as scope:
            await session.execute(READ)
        assert scope.cancelled_caught
        assert session._core.executor.running == 0
        await peers[0].next_request()


@pytest.mark.parametrize("method", ["execute", "execute_stream", "prepare"])
async def test_closed_coroutine_gives_the_request_up(method: str) -> None:
    async with connected() as (peers, session):
        calling = getattr(session, method)(READ)
        calling.send(None)
        request = await peers[0].next_request()
        calling.close()
        assert session._core.executor.running == 0
        assert len(session._core.timers) == 0
        connection = pools(session)[0].connections[0]
        assert connection.orphans == 1
        request.reply_void()
        await until(lambda: connection.in_flight == 0)


async def test_cancelled_while_its_string_is_prepared_leaves_the_others_theirs() -> None:
    async with connected() as (peers, session):
        query = "SELECT v FROM ks.t WHERE k = ?"
        first = asyncio.ensure_future(session.execute(query, [1]))
        second = asyncio.ensure_future(session.execute(query, [2]))
        prepare = await peers[0].next_request(Opcode.PREPARE)
        first.cancel()
        prepare.reply_prepared(b"id", [("k", "int")], INT_ROW)
        execute = await peers[0].next_request(Opcode.EXECUTE)
        assert execute.values == [b"\0\0\0\2"]
        execute.reply_rows(INT_ROW, [(5,)])
        assert (await second).one().v == 5
        assert first.cancelled()


# Using it wrong


async def test_use_from_another_loop_is_refused() -> None:
    async with connected() as (_, session):

        async def elsewhere() -> None:
            await session.execute(READ)

        with pytest.raises(exceptions.ConnectionError, match="another event loop"):
            await asyncio.to_thread(asyncio.run, elsewhere())


async def test_use_after_close_is_refused_at_once() -> None:
    async with connected() as (_, session):
        await session.close()
        for call in (
            session.execute(READ),
            session.execute_stream(READ),
            session.prepare(READ),
            session.set_keyspace("ks"),
        ):
            with pytest.raises(exceptions.ConnectionError, match="Session is closed"):
                await call
        assert session.is_closed
        await session.close()


async def _in_the_child(session: AsyncCassandraSession) -> int:
    """Use a session that belongs to the parent, and close it; 0 if that did what it should."""
    try:
        await session.execute(READ)
    except exceptions.ConnectionError as error:
        if "fork" not in str(error):
            return 2
    await session.close()
    await session.cluster.shutdown()
    return 0


async def test_use_after_fork_is_refused_and_harms_nobody() -> None:
    async with connected() as (peers, session):
        child = os.fork()
        if child == 0:
            signal.alarm(10)
            status = 1
            try:
                status = asyncio.run(_in_the_child(session))
            finally:
                os._exit(status)
        ended: Any = None

        def is_over() -> bool:
            nonlocal ended
            ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG)
            return ended is not None

        await until(is_over)
        assert (ended.si_code, ended.si_status) == (os.CLD_EXITED, 0)
        await ask(peers[0], session)


# Closing


async def test_close_waits_for_requests_under_way() -> None:
    async with connected() as (peers, session):
        task = asyncio.ensure_future(session.execute(READ))
        request = await peers[0].next_request()
        closing = asyncio.ensure_future(session.close())
        await until(lambda: session.is_closed)
        with pytest.raises(exceptions.ConnectionError):
            await session.execute(READ)
        assert not closing.done()
        request.reply_rows(INT_ROW, [(3,)])
        assert (await task).one().v == 3
        await closing


async def test_close_without_grace_fails_everything_at_once() -> None:
    options = ClientOptions(max_in_flight=2)
    async with connected(client_options=options) as (peers, session):
        reads = [asyncio.ensure_future(session.execute(READ, timeout=60)) for _ in range(5)]
        for _ in range(2):
            await peers[0].next_request()
        await session.close(grace=0)
        for error in await asyncio.gather(*reads, return_exceptions=True):
            assert isinstance(error, exceptions.ConnectionError)
        assert data_connections(peers[0]) == []


async def test_close_ends_the_pause_before_a_retry() -> None:
    async with connected(2) as (peers, session):
        await until(lambda: all(pool.connections for pool in pools(session)))
        for peer in peers:
            peer.respond_with(lambda request: request.reply_error(ErrorCode.IS_BOOTSTRAPPING))
        reads = [asyncio.ensure_future(session.execute(READ, timeout=60)) for _ in range(20)]
        await asyncio.sleep(0)
        await session.close(grace=0)
        for error in await asyncio.gather(*reads, return_exceptions=True):
            assert isinstance(error, exceptions.AsyncCassandraError)


async def test_cancelled_close_goes_on() -> None:
    async with connected() as (peers, session):
        task = asyncio.ensure_future(session.execute(READ))
        request = await peers[0].next_request()
        closing = asyncio.ensure_future(session.close())
        await until(lambda: session.is_closed)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        request.reply_rows(INT_ROW, [(1,)])
        await task
        await until(lambda: data_connections(peers[0]) == [])


async def test_nothing_is_left_after_shutdown() -> None:
    threads = set(threading.enumerate())
    tasks = asyncio.all_tasks()
    async with connected(2) as (peers, session):
        await ask_any(peers, session)
    assert [c for peer in peers for c in peer.open_connections] == []
    assert asyncio.all_tasks() - tasks == set()
    assert {t for t in threading.enumerate() if t.is_alive()} - threads == set()
    gc.collect()


async def ask_any(peers: list[ScriptedPeer], session: AsyncCassandraSession) -> None:
    for peer in peers:
        peer.respond_with(lambda request: request.reply_rows(INT_ROW, [(1,)]))
    assert (await session.execute(READ)).one().v == 1


async def test_failed_connect_leaves_nothing() -> None:
    tasks = asyncio.all_tasks()
    async with scripted_cluster(HOSTS[:1]) as peers:
        peers[0].automatic.discard(Automatic.USE)
        peers[0].respond_with(lambda request: request.reply_error(ErrorCode.INVALID, "no such"))
        async with AsyncCluster(HOSTS[:1], port=peers[0].port) as cluster:
            with pytest.raises(exceptions.ConnectionError, match="no such"):
                await cluster.connect("missing")
            assert data_connections(peers[0]) == []
    assert asyncio.all_tasks() - tasks == set()
