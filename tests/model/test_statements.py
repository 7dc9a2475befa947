"""Bytes are encoded for the types that the server has, and rows read by the shape that they came with."""

import asyncio
import time

import pytest

from async_cassandra.exceptions import StatementChangedError
from tests.model.caller import Caller, Held
from tests.model.world import Setup, World, model_world, turns
from tests.support.request_rig import until

pytestmark = pytest.mark.anyio

versions = pytest.mark.parametrize("version", [5, 4])
KINDS = ("int", "text", "float", "blob")


async def prepared(world: World, table: str = "t", *, writes: bool = True) -> Held:
    world.caller.prepare(table, None, writes=writes)
    await world.settle()
    return world.caller.held[-1]


def execute_each_way(caller: Caller, held: Held) -> None:
    """By its parameters, bound earlier, and as entries of batches of both classes."""
    caller.execute_held(held)
    for bound in caller.bound:
        caller.execute_bound(bound)
    caller.batch([held, *caller.bound, "plain"], None, of_driver=False)
    caller.batch([*caller.bound], None, of_driver=True)


@versions
@pytest.mark.parametrize("heard", [True, False])
async def test_statement_whose_types_changed_is_refused_every_time(
    version: int, heard: bool
) -> None:
    """P1"""
    async with model_world(Setup(version, nodes=2)) as world:
        for kind in KINDS[1:]:
            held = await prepared(world)
            world.caller.bound.clear()
            world.caller.bind(held)
            world.model.events = "now" if heard else "never"
            world.model.recreate("a", "t", {"v": kind})
            if heard:
                await world.everything_heard()
            for _ in range(3):
                execute_each_way(world.caller, held)
                await world.settle()
            fresh = await prepared(world)
            for _ in range(2):
                world.caller.execute_held(fresh)
                execute_each_way(world.caller, held)
                await world.settle()
            world.caller.bound.clear()


@versions
async def test_statement_that_another_client_prepared_again_is_refused(version: int) -> None:
    """P2"""
    async with model_world(Setup(version, nodes=2)) as world:
        for kind in KINDS[1:]:
            held = await prepared(world)
            world.caller.bound.clear()
            world.caller.bind(held)
            world.model.recreate("a", "t", {"v": kind})
            world.model.prepare_elsewhere(held.text, "a")
            await world.everything_heard()
            for _ in range(3):
                execute_each_way(world.caller, held)
                world.caller.write("?", "t", None, None, None)
                await world.settle()
            world.caller.bound.clear()


@versions
async def test_statement_is_refused_after_events_were_missed(version: int) -> None:
    """P2, where the events never came: a new control connection means that some were missed"""
    async with model_world(Setup(version)) as world:
        held = await prepared(world)
        world.model.events = "never"
        world.model.recreate("a", "t", {"v": "text"})
        world.model.prepare_elsewhere(held.text, "a")
        world.model.lose_control_connection()
        await until(lambda: any(c.event_types for c in world.peers[0].open_connections))
        await until(lambda: bool(world.model.knowledge.heard))
        for _ in range(2):
            execute_each_way(world.caller, held)
            await world.settle()


async def test_event_reaches_statements_long_before_the_metadata_is_read() -> None:
    """P2, with the driver's default window of two seconds before it reads the schema again"""
    async with model_world(Setup(refresh_window=2.0)) as world:
        held = await prepared(world)
        world.model.recreate("a", "t", {"v": "text"})
        world.model.prepare_elsewhere(held.text, "a")
        began = time.monotonic()
        refused = False
        while not refused and time.monotonic() - began < 1:
            call = world.caller.execute_held(held)
            await asyncio.wait([call.task])
            refused = isinstance(call.task.exception(), StatementChangedError)
        assert refused


@versions
@pytest.mark.parametrize("table", ["w", "x"])
async def test_appended_field_makes_no_error_and_is_written(version: int, table: str) -> None:
    """P3"""
    async with model_world(Setup(version, nodes=2)) as world:
        held = await prepared(world, table)
        reading = await prepared(world, table, writes=False)
        world.caller.bind(held)
        for number in range(3):
            for turn in range(40):
                if turn == 10:
                    world.model.change(
                        world.model.schema.add_field("a", "addr", f"added{number}", "int")
                    )
                world.caller.execute_held(held)
                world.caller.execute_held(reading)
                world.caller.write("?", table, None, None, None) if turn < 10 else None
                execute_each_way(world.caller, held)
                await turns(1)
            await world.settle()
            await world.everything_heard()
            held.kind = world.caller._kind("a", table)
            for _ in range(3):
                world.caller.execute_held(held)
                world.caller.write("?", table, None, None, None)
                await world.settle()
                world.caller.batch([held], None, of_driver=False)
                await world.settle()


@versions
async def test_row_is_read_by_the_shape_that_its_attempt_was_sent_with(version: int) -> None:
    """P4: the hedge is told UNPREPARED and learns another shape; then the first attempt answers"""
    async with model_world(Setup(version, nodes=2, hedges=True)) as world:
        model = world.model
        for kind in KINDS[1:]:
            reading = await prepared(world, writes=False)
            model.holds = "executed"
            call = world.caller.execute_held(reading)
            await until(lambda: bool(model.held))
            model.recreate("a", "t", {"v": kind, "w": "int"})
            await until(lambda known=call: len(model.held) == 2 or known.task.done())  # type: ignore[misc]
            if not call.task.done():
                model.release(0)
            await world.settle()


@versions
@pytest.mark.parametrize("delay", range(0, 12, 2))
async def test_closing_ends_nobody_elses_calls_by_cancelling(version: int, delay: int) -> None:
    """C1"""
    async with model_world(Setup(version, nodes=2)) as world:
        world.model.holds = "all"
        for table in "twx":
            world.caller.write("?", table, None, None, None)
            world.caller.read("?", table, None, None, stream=True)
            world.caller.batch(["?", "plain"], None, of_driver=False, table="t")
        await turns(delay)
        world.caller.closing = True
        await world.session.close(grace=0)
        world.model.release_all()
        tasks = [call.task for call in world.caller.calls]
        await asyncio.wait(tasks, timeout=5)
        await turns(3)
        assert all(task.done() for task in tasks)
        world.model.check()
