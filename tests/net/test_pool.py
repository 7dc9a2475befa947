"""What keeps a node's connections open: handshake, pool, heartbeat and timers."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from async_cassandra._net.connection import Connection
from async_cassandra._net.errors import (
    AuthenticationRefused,
    ConnectFailed,
    ConnectionLost,
    KeyspaceRefused,
    VersionRefused,
)
from async_cassandra._net.handshake import ConnectOptions, open_connection
from async_cassandra._net.heartbeat import Heartbeat
from async_cassandra._request.waiting import TimerQueue, Waiting
from tests.support.native_protocol import Opcode
from tests.support.peer_replies import ErrorCode
from tests.support.request_rig import INT_ROW, Clock, RequestRig, until
from tests.support.scripted_peer import Automatic, ScriptedPeer

pytestmark = pytest.mark.anyio

HOST = "127.0.4.31"


@asynccontextmanager
async def rigged(**options: Any) -> AsyncIterator[tuple[ScriptedPeer, RequestRig]]:
    async with ScriptedPeer(host=HOST) as peer, RequestRig(peer, **options) as rig:
        yield peer, rig


# Handshake


async def opening(peer: ScriptedPeer, **options: Any) -> asyncio.Future[Any]:
    keyspace = options.pop("keyspace", None)
    settings = ConnectOptions(**options)
    opened = open_connection(peer.host, peer.port, settings, keyspace=keyspace)
    return asyncio.ensure_future(opened)


async def test_refused_port_names_the_node() -> None:
    async with ScriptedPeer(host=HOST) as peer:
        peer.refuse()
        with pytest.raises(ConnectFailed, match=rf"{HOST}:{peer.port}") as caught:
            await open_connection(peer.host, peer.port, ConnectOptions())
        assert isinstance(caught.value.__cause__, OSError)


async def test_version_that_the_server_lacks_is_named() -> None:
    async with ScriptedPeer(host=HOST, version=4) as peer:
        with pytest.raises(VersionRefused, match="version 5"):
            await open_connection(peer.host, peer.port, ConnectOptions())


async def test_compression_that_the_server_lacks_is_left_out() -> None:
    async with ScriptedPeer(host=HOST, compression=()) as peer:
        connection = await open_connection(
            peer.host,
            peer.port,
            ConnectOptions(compression=(bytes, lambda data, size: bytes(data))),
        )
        assert peer.connections[0].compression.value is None
        await connection.close()


async def test_authentication_without_provider_says_what_to_do() -> None:
    async with ScriptedPeer(host=HOST, password=("u", "p")) as peer:
        with pytest.raises(AuthenticationRefused, match="auth_provider"):
            await open_connection(peer.host, peer.port, ConnectOptions())
        await until(lambda: not peer.open_connections)


class Steps:
    """An authenticator whose steps can fail."""

    def __init__(self, failing: str = "") -> None:
        self.failing = failing
        self.seen: list[object] = []

    async def _step(self, name: str, seen: object) -> bytes:
        self.seen.append(seen)
        if name == self.failing:
            raise LookupError(f"{name} failed")
        return b"token"

    async def initial_response(self, server_authenticator: str) -> bytes | None:
        return await self._step("initial_response", server_authenticator)

    async def evaluate_challenge(self, challenge: bytes | None) -> bytes | None:
        return await self._step("evaluate_challenge", challenge)

    async def on_success(self, token: bytes | None) -> None:
        await self._step("on_success", token)

    def without_secrets(self, text: str) -> str:
        return text


@pytest.mark.parametrize("failing", ["", "initial_response", "evaluate_challenge", "on_success"])
async def test_authentication_dialogue_goes_step_by_step(failing: str) -> None:
    steps = Steps(failing)

    async def new_authenticator(host: object) -> Steps:
        return steps

    def answer(request: Any) -> None:
        if len(steps.seen) == 1:
            request.reply_auth_challenge(b"riddle")
        else:
            request.reply_auth_success(b"done")

    async with ScriptedPeer(host=HOST, password=("u", "p")) as peer:
        peer.automatic.discard(Automatic.AUTHENTICATION)
        peer.respond_with(answer)
        opened = await opening(peer, new_authenticator=new_authenticator)
        if failing:
            with pytest.raises(AuthenticationRefused, match=f"{failing} failed"):
                await opened
            await until(lambda: not peer.open_connections)
        else:
            await (await opened).close()
            assert steps.seen[1:] == [b"riddle", b"done"]


@pytest.mark.parametrize("step", [Automatic.OPTIONS, Automatic.STARTUP, Automatic.USE])
@pytest.mark.parametrize("end", ["error", "wrong opcode", "drop", "silence"])
async def test_handshake_that_fails_at_any_step_closes_the_connection(
    step: Automatic, end: str
) -> None:
    async with ScriptedPeer(host=HOST) as peer:
        peer.automatic.discard(step)
        opened = await opening(peer, keyspace="ks", connect_timeout=0.2 if end == "silence" else 5)
        request = await peer.next_request()
        if end == "error":
            request.reply_error(ErrorCode.SERVER, "not now")
        elif end == "wrong opcode":
            request.reply(Opcode.AUTH_SUCCESS, b"\xff\xff\xff\xff")
        elif end == "drop":
            request.drop()
        with pytest.raises(ConnectFailed):
            await opened
        await until(lambda: not peer.open_connections)


async def test_cancelled_handshake_closes_the_connection() -> None:
    async with ScriptedPeer(host=HOST) as peer:
        peer.automatic.discard(Automatic.STARTUP)
        opened = await opening(peer)
        await peer.next_request(Opcode.STARTUP)
        opened.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opened
        await until(lambda: not peer.open_connections)


async def test_refused_keyspace_is_told_apart() -> None:
    async with ScriptedPeer(host=HOST) as peer:
        peer.automatic.discard(Automatic.USE)
        opened = await opening(peer, keyspace='odd"name')
        request = await peer.next_request()
        assert request.query == 'USE "odd""name"'
        request.reply_error(ErrorCode.INVALID, "no such keyspace")
        with pytest.raises(KeyspaceRefused, match="no such keyspace"):
            await opened


# Pool


async def test_pool_keeps_its_size() -> None:
    async with rigged(size=3) as (peer, rig):
        await until(lambda: len(rig.pools[0].connections) == 3)
        for connection in list(rig.pools[0].connections)[:2]:
            connection.abort(ConnectionLost("cut"))
        await until(lambda: len(rig.pools[0].connections) == 3)
        await until(lambda: len(peer.open_connections) == 3)
        assert (rig.unreachable, rig.reachable) == ([], [])


async def test_least_busy_connection_is_picked() -> None:
    async with rigged(size=2) as (peer, rig):
        await until(lambda: len(rig.pools[0].connections) == 2)
        requests = [rig.write() for _ in range(4)]
        asked = [await peer.next_request() for _ in requests]
        assert [c.in_flight for c in rig.pools[0].connections] == [2, 2]
        await rig.check_quiet(*asked)


async def test_node_is_unreachable_only_without_any_connection() -> None:
    async with rigged(size=2) as (peer, rig):
        pool = rig.pools[0]
        await until(lambda: len(pool.connections) == 2)
        peer.refuse()
        pool.connections[0].abort(ConnectionLost("cut"))
        await until(lambda: pool.last_error is not None)
        assert rig.unreachable == []
        pool.connections[0].abort(ConnectionLost("cut"))
        await until(lambda: rig.unreachable)
        pool.wake()
        await peer.listen()
        await until(lambda: len(pool.connections) == 2)
        assert rig.reachable == [pool]
        assert not pool.is_unreachable


async def test_pool_that_closes_while_opening_leaves_nothing() -> None:
    async with rigged() as (peer, rig):
        peer.automatic.discard(Automatic.STARTUP)
        rig.connection().abort(ConnectionLost("cut"))
        await peer.next_request(Opcode.STARTUP)
        await rig.pools[0].close()
        await until(lambda: not peer.open_connections)


async def test_keyspace_changed_while_a_connection_opens_is_the_new_one() -> None:
    async with rigged() as (peer, rig):
        rig.pools[0].change_keyspace("first", at_once=False)
        await rig.pools[0].wait_renewed()
        peer.automatic.discard(Automatic.STARTUP)
        rig.connection().abort(ConnectionLost("cut"))
        startup = await peer.next_request(Opcode.STARTUP)
        rig.pools[0].change_keyspace("second", at_once=False)
        peer.accept_startup(startup)
        peer.accept_startup(await peer.next_request(Opcode.STARTUP))
        await until(lambda: rig.pools[0].connections)
        assert peer.open_connections[0].keyspace == "second"
        assert rig.connection().keyspace == "second"


# Heartbeat


async def test_silent_connection_is_suspect_then_aborted() -> None:
    async with rigged() as (peer, rig):
        beat = Heartbeat(lambda: rig.pools[0].connections, interval=0.02, timeout=0.2)
        silent = rig.connection()
        beat.start()
        try:
            request = rig.read()
            (await peer.next_request()).stall()
            await until(lambda: silent.suspect)
            await until(lambda: silent.closed)
            assert "answered nothing" in str(silent.error)
            (await peer.next_request()).reply_rows(INT_ROW, [(1,)])
            await request
        finally:
            beat.stop()


async def test_request_on_an_idle_connection_has_a_whole_beat_to_be_answered() -> None:
    async with rigged() as (peer, rig):
        peer.automatic.discard(Automatic.OPTIONS)
        connection = rig.connection()
        found: list[tuple[bool, bool]] = []

        def connections() -> list[Connection]:
            found.append((connection.in_flight > 0, connection.suspect))
            return [connection]

        beat = Heartbeat(connections, interval=0.005, timeout=5.0, idle_interval=0)
        beat.start()
        try:
            await until(lambda: len(found) > 2)
            request = rig.read()
            asked = await peer.next_request()
            await until(lambda: connection.suspect)
            (await peer.next_request(Opcode.OPTIONS)).reply_supported({})
            asked.reply_rows(INT_ROW, [(1,)])
            await request
        finally:
            beat.stop()
        assert [suspect for owes, suspect in found if owes][:2] == [False, False]


async def test_connection_outlives_a_loop_that_is_blocked_while_it_is_probed() -> None:
    async with rigged() as (peer, rig):
        beats = 0

        def block() -> None:
            blocked_until = time.monotonic() + 0.3
            while time.monotonic() < blocked_until:
                pass

        def connections() -> list[Connection]:
            nonlocal beats
            beats += 1
            if beats % 5 == 0:
                # In the turn of the beat: a probe has not left yet.
                asyncio.get_running_loop().call_soon(block)
            return rig.pools[0].connections

        beat = Heartbeat(connections, interval=0.02, timeout=0.2, idle_interval=0.02)
        beat.start()
        try:
            await until(lambda: beats > 40)
            assert len(peer.connections) == 1
        finally:
            beat.stop()


async def test_slow_request_on_a_live_connection_is_left_alone() -> None:
    async with rigged() as (peer, rig):
        beat = Heartbeat(lambda: rig.pools[0].connections, interval=0.01, timeout=1.0)
        beat.start()
        try:
            request = rig.write()
            asked = await peer.next_request()
            before = rig.connection().reads
            await until(lambda: rig.connection().reads >= before + 3)
            assert not rig.connection().closed
            asked.reply_void()
            await request
        finally:
            beat.stop()


async def test_idle_connection_is_probed() -> None:
    async with rigged() as (peer, rig):
        peer.automatic.discard(Automatic.OPTIONS)
        beat = Heartbeat(
            lambda: rig.pools[0].connections, interval=0.01, timeout=5.0, idle_interval=0.02
        )
        beat.start()
        try:
            probe = await peer.next_request(Opcode.OPTIONS)
            assert not rig.connection().suspect
            probe.reply_supported({})
        finally:
            beat.stop()


async def test_idle_connection_is_left_alone_with_an_interval_of_zero() -> None:
    async with rigged() as (_, rig):
        beats = 0

        def connections() -> list[Connection]:
            nonlocal beats
            beats += 1
            return rig.pools[0].connections

        beat = Heartbeat(connections, interval=0.005, idle_interval=0)
        beat.start()
        reads = rig.connection().reads
        await until(lambda: beats > 5)
        beat.stop()
        assert rig.connection().reads == reads
        assert rig.connection().in_flight == 0


# Timers


class CallbackTimer(Waiting):
    """Calls a function when it is due."""

    def __init__(self, callback: Callable[[], object]) -> None:
        self.callback = callback

    def on_due(self) -> int:
        self.callback()
        return 0


class Fired:
    """A queue on a clock of its own, and the names of the timers that were due."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.queue = TimerQueue(asyncio.get_running_loop(), self.clock)
        self.names: list[str] = []

    def start(self, name: str, delay: float) -> CallbackTimer:
        timer = CallbackTimer(lambda: self.names.append(name))
        self.queue.start(timer, delay, self.clock())
        return timer

    def at(self, seconds: float) -> list[str]:
        self.clock.now = 1000.0 + seconds
        self.names.clear()
        self.queue.fire()
        return sorted(self.names)


async def test_timers_are_never_early_and_hardly_late() -> None:
    fired = Fired()
    for delay in (0.0, 0.0004, 0.25, 1.0, 9.9994, 600.0):
        fired.start(str(delay), delay)
    assert fired.at(0.0) == ["0.0"]
    assert fired.at(0.00039) == []
    assert fired.at(0.0011) == ["0.0004"]
    assert fired.at(0.2499) == []
    assert fired.at(0.2501) == ["0.25"]
    assert fired.at(1.0) == ["1.0"]
    assert fired.at(9.999) == []
    assert fired.at(10.0) == ["9.9994"]
    assert fired.at(599.9) == []
    assert fired.at(600.7) == ["600.0"]
    assert len(fired.queue) == 0


async def test_stopped_timer_is_not_due_and_others_of_its_delay_are() -> None:
    fired = Fired()
    timers = [fired.start(name, 1.0) for name in "abc"]
    fired.queue.stop(timers[1])
    fired.queue.stop(timers[1])
    assert len(fired.queue) == 2
    assert fired.at(2.0) == ["a", "c"]


async def test_timer_that_starts_again_is_due_later() -> None:
    fired = Fired()
    timer = fired.start("a", 1.0)
    fired.clock.now += 0.5
    fired.queue.start(timer, 1.0, fired.clock())
    assert fired.at(1.2) == []
    assert fired.at(1.6) == ["a"]


async def test_timer_may_start_others_when_due() -> None:
    fired = Fired()
    fired.queue.start(CallbackTimer(lambda: fired.start("second", 0.5)), 0.5, fired.clock())
    assert fired.at(0.6) == []
    assert fired.at(1.2) == ["second"]


async def test_timer_that_raises_does_not_stop_the_others() -> None:
    fired = Fired()
    reported: list[Any] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda loop, context: reported.append(context))

    def fail() -> None:
        raise LookupError

    try:
        fired.queue.start(CallbackTimer(fail), 0.5, fired.clock())
        fired.start("after", 0.5)
        assert fired.at(1.0) == ["after"]
    finally:
        loop.set_exception_handler(before)
    assert [type(context["exception"]) for context in reported] == [LookupError]


async def test_many_timers_due_at_once_are_run_over_several_turns() -> None:
    fired = Fired()
    for number in range(1000):
        fired.start(str(number), 1.0)
    assert len(fired.at(1.5)) == 128
    turns = 0
    while len(fired.queue):
        turns += 1
        await asyncio.sleep(0)
    assert len(fired.names) == 1000
    assert turns >= 1000 // 128


async def test_closed_queue_runs_nothing() -> None:
    fired = Fired()
    fired.start("a", 0.001)
    assert len(fired.queue.running()) == 1
    fired.queue.close()
    assert fired.at(1.0) == []
    assert len(fired.queue) == 0


async def test_loop_runs_what_is_due() -> None:
    loop = asyncio.get_running_loop()
    queue = TimerQueue(loop)
    done = loop.create_future()
    started = loop.time()
    queue.start(CallbackTimer(lambda: done.set_result(None)), 0.02, started)
    await done
    assert loop.time() - started >= 0.019
    queue.close()
