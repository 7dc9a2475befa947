"""One truth about the keyspace: what unqualified names mean, whatever happens to whoever changes it."""

import asyncio
import re
from collections.abc import Awaitable, Callable

import pytest

from async_cassandra.exceptions import AsyncCassandraError
from tests.model.world import Setup, World, model_world, turns

pytestmark = pytest.mark.anyio

versions = pytest.mark.parametrize("version", [5, 4])
forms = pytest.mark.parametrize("form", ["set_keyspace", "USE", "comment", "prepared"])


async def ask_everywhere(world: World) -> None:
    """Write and read by unqualified names, on every connection."""
    for _ in range(2 * world.setup.nodes * world.setup.connections):
        for form in ("plain", "?"):
            world.caller.write(form, "t", None, None, None)
            world.caller.read(form, "t", None, None, stream=False)
        await turns(3)
    await world.settle()


async def changes_and_ends(
    version: int, form: str, end: Callable[[World], Awaitable[None]]
) -> None:
    async with model_world(Setup(version, nodes=2, connections=2)) as world:
        world.caller.timeout = 0.05
        for delay in range(0, 16, 3):
            target = "b" if world.session.keyspace != "b" else "c"
            world.model.holds = "use"
            world.caller.change_keyspace(form, target)
            await turns(delay)
            await end(world)
            world.caller.timeout = None
            await world.settle()
            await ask_everywhere(world)
            world.caller.timeout = 0.05


@versions
@forms
async def test_cancelled_change_leaves_session_and_connections_agreed(
    version: int, form: str
) -> None:
    """K1"""

    async def cancel(world: World) -> None:
        call = world.caller.calls[-1]
        call.cancelled = True
        call.task.cancel()
        await turns(2)

    await changes_and_ends(version, form, cancel)


@versions
@pytest.mark.parametrize("form", ["USE", "comment"])
async def test_timed_out_change_leaves_session_and_connections_agreed(
    version: int, form: str
) -> None:
    """K1"""

    async def wait(world: World) -> None:
        await asyncio.wait([world.caller.calls[-1].task], timeout=1)

    await changes_and_ends(version, form, wait)


@versions
@forms
async def test_what_waits_runs_in_the_keyspace_of_its_call(version: int, form: str) -> None:
    """K2"""
    async with model_world(Setup(version, nodes=2, max_in_flight=1)) as world:
        caller = world.caller
        await ask_everywhere(world)
        world.model.holds = "all"
        for number in range(24):
            own = "a" if number % 3 == 0 else None
            caller.write(("plain", "%s", "?")[number % 3 - 1], "t", None, own, None)
        await turns(3)
        caller.change_keyspace(form, "b")
        await turns(3)
        for _ in range(8):
            caller.write("plain", "t", None, None, None)
        await world.settle()
        await ask_everywhere(world)


@versions
@forms
async def test_statement_prepared_during_a_change_is_prepared_where_it_is_cached(
    version: int, form: str
) -> None:
    """K3"""
    async with model_world(Setup(version, nodes=2)) as world:
        for target in ("b", "c", "a", "b", "a"):
            # One node has changed and the other has not, for as long as its answer waits.
            world.model.holds = "use"
            for turn in range(24):
                if turn == 4:
                    world.caller.change_keyspace(form, target)
                if turn in (12, 20) and world.model.held:
                    world.model.release(0)
                table = "twx"[turn % 3]
                world.caller.write("?", table, None, None, None)
                world.caller.read("?", table, None, None, stream=turn % 2 == 0)
                await turns(1)
            await world.settle()
            await ask_everywhere(world)


@versions
@pytest.mark.parametrize("form", ["plain", "%s", "?", "batch", "driver's batch"])
async def test_statement_with_another_keyspace_runs_there_or_is_refused(
    version: int, form: str
) -> None:
    """K4 and K5"""
    async with model_world(Setup(version), keyspace="b") as world:
        before = world.model.arrivals
        if "batch" in form:
            world.caller.batch(["plain", "plain"], "a", of_driver=form != "batch")
            world.caller.batch(["plain"], "b", of_driver=form != "batch")
        else:
            world.caller.write(form, "t", None, "a", None)
            world.caller.write(form, "t", None, "b", None)
        first = world.caller.calls[0]
        await world.settle()
        error = first.task.exception()
        if version == 4:
            assert error is not None
            assert re.search(r"\bv(ersion )?4\b", str(error))
            assert "keyspace" in str(error)
            assert world.model.arrivals - before <= 2
        else:
            assert error is None


@pytest.mark.parametrize("marked", [False, True])
@versions
async def test_batch_of_marked_strings_runs_in_its_keyspace(version: int, marked: bool) -> None:
    """K5, and its neighbours: strings that are prepared first"""
    async with model_world(Setup(version), keyspace="b") as world:
        form = "?" if marked else "plain"
        own = "a" if version == 5 else "b"
        for of_driver in (False, True):
            if not (of_driver and marked):
                world.caller.batch([form, "plain", form], own, of_driver=of_driver)
                world.caller.batch([form, "plain"], None, of_driver=of_driver)
        await world.settle()


async def test_statement_that_cannot_be_prepared_again_elsewhere_says_why() -> None:
    """K6"""
    async with model_world(Setup(4)) as world:
        world.caller.prepare("t", None, writes=True)
        await world.settle()
        world.caller.change_keyspace("set_keyspace", "b")
        await world.settle()
        world.model.forget(0)
        call = world.caller.execute_held(world.caller.held[0])
        await world.settle()
        error = call.task.exception()
        if error is not None:
            assert "schema changed" not in str(error)
            assert "keyspace" in str(error)


@versions
async def test_set_keyspace_as_the_answer_to_a_read_moves_nothing(version: int) -> None:
    """K7"""
    async with model_world(Setup(version)) as world:
        for form in ("plain", "?"):
            world.model.blunders = 1
            call = world.caller.read(form, "t", None, None, stream=False)
            await world.settle()
            assert isinstance(call.task.exception(), AsyncCassandraError)
            assert world.session.keyspace == "a"
            await ask_everywhere(world)
