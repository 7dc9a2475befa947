"""Cancelled at every place where it can be cancelled, a call leaves nothing behind.

A call is driven by hand: at its n-th suspension its task is cancelled, before what it waits for is
done or in the very turn in which it is; for every n until it gets through. What goes on behind it, in
tasks of the library's own, is met at every turn of the loop instead.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from async_cassandra import AsyncCluster
from async_cassandra.statements import BatchStatement
from tests.model.caller import Call, Caller
from tests.model.world import HOSTS, Setup, World, model_world, turns
from tests.support.request_rig import until
from tests.support.scripted_peer import ScriptedPeer, scripted_cluster

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

versions = pytest.mark.parametrize("version", [5, 4])
moments = pytest.mark.parametrize("moment", ["waiting", "answered"])
MOST_TURNS = 60


class CancelledAt:
    """Awaits a coroutine and cancels its task at one suspension, 1 for the first.

    :param answered: cancel when what it waits for is done, before the task hears of it
    :ivar reached: whether there was such a suspension
    """

    def __init__(self, work: Coroutine[Any, Any, Any], place: int, *, answered: bool) -> None:
        self.work = work
        self.place = place
        self.answered = answered
        self.reached = False

    def __await__(self) -> Generator[Any, Any, Any]:
        task = asyncio.current_task()
        assert task is not None
        throw: BaseException | None = None
        for count in range(1, 10_000):
            try:
                waited = self.work.throw(throw) if throw is not None else self.work.send(None)
            except StopIteration as finished:
                return finished.value
            throw = None
            if count == self.place:
                self.reached = True
                if self.answered and waited is not None:
                    waited.add_done_callback(lambda _: task.cancel())
                else:
                    task.cancel()
            try:
                yield waited
            except BaseException as error:  # noqa: BLE001  it is the coroutine's
                throw = error
        raise AssertionError("it goes on for ever")


type Act = Callable[[Caller], Coroutine[Any, Any, Any]]


async def streamed(caller: Caller) -> None:
    meant = caller._intend(frozenset((caller.session.keyspace or "",)), "t", "stream", 0)
    rows = await caller.session.execute_stream("SELECT * FROM t WHERE k = ?", [meant.number])
    async with rows:
        async for _ in rows:
            pass


def of_session(name: str, *arguments: Any) -> Act:
    async def act(caller: Caller) -> None:
        await getattr(caller.session, name)(*arguments)

    return act


def read(text: str, *, marked: bool) -> Act:
    async def act(caller: Caller) -> None:
        meant = caller._intend(caller.keyspaces() | frozenset("abc"), "t", text, 0)
        if marked:
            await caller.session.execute(text, [meant.number])
        else:
            await caller.session.execute(text.replace("?", str(meant.number)))

    return act


async def batch(caller: Caller) -> None:
    batch = BatchStatement()
    places = frozenset("abc")
    for table, value in (("w", {"street": "ABCD", "number": 1}),) * 2:
        text = f"INSERT INTO {table} (k, u) VALUES (?, ?)"
        meant = caller._intend(places, table, text, 0, value)
        batch.add(text, [meant.number, value])
    await caller.session.execute(batch)


async def use_prepared(caller: Caller) -> None:
    await caller.session.execute(await caller.session.prepare("USE b"))


ACTS: dict[str, Act] = {
    "prepare": of_session("prepare", "SELECT * FROM t WHERE k = ?"),
    "execute": read("SELECT * FROM t WHERE k = ?", marked=False),
    "execute ?": read("SELECT * FROM t WHERE k = ?", marked=True),
    "stream": streamed,
    "batch": batch,
    "USE": of_session("execute", "USE b"),
    "USE in comments": of_session("execute", "/* x */ USE b -- y\n"),
    "USE prepared": use_prepared,
    "set_keyspace": of_session("set_keyspace", "b"),
}
acts = pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)


async def nothing_is_left(world: World) -> None:
    """The session and its connections agree, nothing is under way, and requests work."""
    # A change of keyspace that was cancelled may come into force while the first of these run.
    done = asyncio.ensure_future(turns(0))
    world.caller.changing.append(Call("cancelled", done, [], 0, 0, target="b"))
    world.caller.possible = {"a", "b"}
    for _ in range(2):
        for form in ("plain", "?"):
            world.caller.write("?", "w", None, None, None)
            world.caller.read(form, "w", None, None, stream=False)
        await world.settle()
        assert not world.caller.changing


async def start_afresh(world: World) -> None:
    """Have the nodes and the session forget strings, and go back to the first keyspace."""
    await world.session.set_keyspace("a")
    for index in range(len(world.peers)):
        world.model.forget(index)


@versions
@moments
@acts
async def test_call_cancelled_at_any_await_leaves_nothing(
    version: int, moment: str, act: Act
) -> None:
    async with model_world(Setup(version, nodes=2, connections=2)) as world:
        for place in range(1, 100):
            await start_afresh(world)
            driven = CancelledAt(act(world.caller), place, answered=moment == "answered")
            await ended(driven)
            await nothing_is_left(world)
            if not driven.reached:
                return
        raise AssertionError("it has more suspensions than one would think")


async def ended(driven: Awaitable[Any]) -> bool:
    """Let a call end; returns whether it was cancelled."""

    async def run() -> None:
        await driven

    task = asyncio.ensure_future(run())
    await asyncio.wait([task], timeout=5)
    assert task.done()
    if not task.cancelled():
        task.result()
    return task.cancelled()


@versions
@acts
async def test_call_cancelled_at_any_turn_leaves_nothing(version: int, act: Act) -> None:
    async with model_world(Setup(version, nodes=2)) as world:
        for count in range(MOST_TURNS):
            await start_afresh(world)
            task = asyncio.ensure_future(act(world.caller))
            await turns(count)
            done = task.done()
            task.cancel()
            await asyncio.wait([task], timeout=5)
            assert task.done()
            await nothing_is_left(world)
            if done:
                return
        # Waiting for both nodes may take more turns than that; a cancellation meets nothing else there.


# Opening and closing


@asynccontextmanager
async def nodes(version: int) -> AsyncIterator[list[ScriptedPeer]]:
    async with scripted_cluster(HOSTS[:2], version=version) as peers:
        yield peers


@versions
@moments
async def test_connect_cancelled_at_any_await_leaves_nothing(version: int, moment: str) -> None:
    async with nodes(version) as peers:
        threads = set(threading.enumerate())
        tasks = asyncio.all_tasks()

        def is_quiet() -> bool:
            opened = [known for peer in peers for known in peer.open_connections]
            left = {task for task in asyncio.all_tasks() - tasks if not task.done()}
            started = {thread for thread in threading.enumerate() if thread.is_alive()} - threads
            return not opened and not left and not started

        for place in range(1, 100):
            cluster = AsyncCluster(HOSTS[:2], port=peers[0].port, protocol_version=version)
            connecting = CancelledAt(connect(cluster), place, answered=moment == "answered")
            await ended(connecting)
            await cluster.shutdown()
            await until(is_quiet)
            if not connecting.reached:
                return
        raise AssertionError("it has more suspensions than one would think")


async def connect(cluster: AsyncCluster) -> None:
    session = await cluster.connect("a")
    assert session.keyspace == "a"


@versions
@moments
@pytest.mark.parametrize("grace", [0, 5])
async def test_close_cancelled_at_any_await_goes_on(version: int, moment: str, grace: int) -> None:
    for place in range(1, 100):
        async with model_world(Setup(version, nodes=2)) as world:
            world.caller.write("?", "t", None, None, None)
            world.caller.closing = True
            calls = [call.task for call in world.caller.calls]
            closing = CancelledAt(
                world.session.close(grace=grace), place, answered=moment == "answered"
            )
            await ended(closing)
            await asyncio.wait(calls, timeout=5)
            await until(lambda known=world: not known.data_connections())  # type: ignore[misc]
            await turns(3)
            world.model.check()
        if not closing.reached:
            return
    raise AssertionError("it has more suspensions than one would think")
