"""Everything that an application, other clients, nodes and the network may do, in any order.

Each rule does one thing and lets the loop turn as often as it was told to, so that what it began is
still under way when the next one comes. Hypothesis makes a failing order as short as it can.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, nullcontext, suppress
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.model.caller import COLUMN, Caller
from tests.model.cluster import ModelCluster
from tests.model.schema import SCALARS
from tests.model.world import KEYSPACES, Setup, World, model_world, turns
from tests.support.request_rig import until

__all__ = ["ModelMachine", "machine_on"]

keyspaces = st.sampled_from(KEYSPACES)
homes = st.sampled_from((None, None, None, *KEYSPACES))
qualifiers = st.sampled_from((None, None, None, *KEYSPACES))
owns = st.sampled_from((None, None, None, "a", "b"))
tables = st.sampled_from(("t", "t", "w", "x"))
kinds = st.sampled_from(("int", "text", "float", "blob"))
waits = st.sampled_from((0, 0, 1, 2, 3, 5, 8, 20))
indexes = st.integers(0, 20)
setups = st.builds(
    Setup,
    version=st.sampled_from((5, 4)),
    nodes=st.integers(1, 3),
    connections=st.integers(1, 2),
    max_in_flight=st.sampled_from((128, 1, 2)),
    hedges=st.booleans(),
)


class ModelMachine(RuleBasedStateMachine):
    """One application on one model; see the module."""

    loop: ClassVar[str] = "asyncio"
    world: World

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=_loop_factory(self.loop))
        self.stack = AsyncExitStack()
        self.added = 0
        self.closes = False
        self.failed = False

    def run(self, work: Awaitable[Any]) -> Any:
        async def limited() -> Any:
            async with asyncio.timeout(60):
                return await work

        try:
            return self.runner.run(limited())
        except BaseException:
            self.failed = True
            raise

    def do(self, act: Callable[[], object], wait: int) -> None:
        """Do something within the loop, then let it turn."""

        async def acting() -> None:
            act()
            await turns(wait)

        self.run(acting())

    @property
    def caller(self) -> Caller:
        return self.world.caller

    @property
    def model(self) -> ModelCluster:
        return self.world.model

    @initialize(setup=setups, closes=st.booleans())
    def connect(self, setup: Setup, closes: bool) -> None:
        self.closes = closes
        self.world = self.run(self.stack.enter_async_context(model_world(setup)))
        self.run(self._prepare_all())

    async def _prepare_all(self) -> None:
        for table in COLUMN:
            for writes in (True, False):
                await asyncio.wait([self.caller.prepare(table, None, writes=writes).task])

    @invariant()
    def nothing_was_found(self) -> None:
        if hasattr(self, "world") and self.model.findings:
            self.failed = True
            self.model.check()

    # The application

    @rule(
        form=st.sampled_from(("?", "?", "plain", "%s")),
        table=tables,
        qualifier=qualifiers,
        own=owns,
        kind=st.none() | kinds,
        wait=waits,
    )
    def write(
        self, form: str, table: str, qualifier: str | None, own: str | None, kind: Any, wait: int
    ) -> None:
        if form != "?":
            table = "t"
        kind = kind if table == "t" else None
        self.do(lambda: self.caller.write(form, table, qualifier, own, kind), wait)

    @rule(
        form=st.sampled_from(("?", "plain")),
        table=tables,
        qualifier=qualifiers,
        own=owns,
        stream=st.booleans(),
        wait=waits,
    )
    def read(
        self, form: str, table: str, qualifier: str | None, own: str | None, stream: bool, wait: int
    ) -> None:
        self.do(lambda: self.caller.read(form, table, qualifier, own, stream=stream), wait)

    @rule(table=tables, qualifier=qualifiers, writes=st.booleans(), wait=waits)
    def prepare(self, table: str, qualifier: str | None, writes: bool, wait: int) -> None:
        self.do(lambda: self.caller.prepare(table, qualifier, writes=writes), wait)

    # What a rule draws must not depend on what came over a socket in time: without preconditions of that kind.

    @rule(index=indexes, stream=st.booleans(), repeatable=st.booleans(), wait=waits)
    def execute_held(self, index: int, stream: bool, repeatable: bool, wait: int) -> None:
        if not self.caller.held:
            return
        held = self.caller.held[index % len(self.caller.held)]
        stream = stream and not held.writes
        self.do(lambda: self.caller.execute_held(held, stream=stream, repeatable=repeatable), wait)

    @rule(index=indexes)
    def bind(self, index: int) -> None:
        if not self.caller.held:
            return
        held = self.caller.held[index % len(self.caller.held)]
        if held.writes:
            self.do(lambda: self.caller.bind(held), 0)

    @rule(index=indexes, wait=waits)
    def execute_bound(self, index: int, wait: int) -> None:
        if not self.caller.bound:
            return
        bound = self.caller.bound[index % len(self.caller.bound)]
        self.do(lambda: self.caller.execute_bound(bound), wait)

    @rule(
        entries=st.lists(st.sampled_from(("plain", "?")) | indexes, min_size=1, max_size=4),
        own=owns,
        of_driver=st.booleans(),
        wait=waits,
    )
    def batch(self, entries: list[Any], own: str | None, of_driver: bool, wait: int) -> None:
        holdings = [*self.caller.bound, *(held for held in self.caller.held if held.writes)]
        if of_driver:
            # The driver's class takes no strings with markers, and a bound statement's keyspace for its own.
            chosen: list[Any] = ["plain" for _ in entries]
        else:
            chosen = [
                holdings[entry % len(holdings)] if isinstance(entry, int) else entry
                for entry in entries
                if isinstance(entry, str) or holdings
            ]
        if chosen:
            self.do(lambda: self.caller.batch(chosen, own, of_driver=of_driver), wait)

    @rule(
        form=st.sampled_from(("set_keyspace", "USE", "comment", "prepared")),
        wanted=st.sampled_from((*KEYSPACES, "missing")),
        wait=waits,
    )
    def change_keyspace(self, form: str, wanted: str, wait: int) -> None:
        self.do(lambda: self.caller.change_keyspace(form, wanted), wait)

    @rule(index=indexes, wait=waits)
    def cancel(self, index: int, wait: int) -> None:
        def act() -> None:
            running = [call for call in self.caller.calls if not call.task.done()]
            if running:
                call = running[index % len(running)]
                call.cancelled = True
                call.task.cancel()

        self.do(act, wait)

    @rule(seconds=st.sampled_from((None, 0.01)))
    def be_in_a_hurry(self, seconds: float | None) -> None:
        self.caller.timeout = seconds

    @rule(keyspace=keyspaces, kind=kinds, wait=waits)
    def recreate_by_own(self, keyspace: str, kind: str, wait: int) -> None:
        async def act() -> None:
            drop = self.caller.define(f"DROP TABLE {keyspace}.t")
            await asyncio.wait([drop.task], timeout=0.2)
            self.caller.define(f"CREATE TABLE {keyspace}.t (k int PRIMARY KEY, v {kind})")
            await turns(wait)

        self.run(act())

    # Other clients

    @rule(keyspace=homes, kind=kinds, again=st.booleans(), wait=waits)
    def recreate(self, keyspace: str | None, kind: str, again: bool, wait: int) -> None:
        self.do(lambda: self._recreate(self._home(keyspace), kind, again=again), wait)

    def _home(self, keyspace: str | None) -> str:
        """The keyspace of what was prepared last, if none is named: most changes are to matter."""
        return keyspace or (self.caller.held[-1].keyspace if self.caller.held else "a")

    def _recreate(self, keyspace: str, kind: str, *, again: bool) -> None:
        self.model.recreate(keyspace, "t", {"v": kind})
        self._prepare_elsewhere(again=again)

    def _prepare_elsewhere(self, *, again: bool) -> None:
        for held in self.caller.held:
            if again:
                self.model.prepare_elsewhere(held.text, held.keyspace)

    @rule(keyspace=keyspaces, table=tables, kind=st.sampled_from(SCALARS), wait=waits)
    def add_column(self, keyspace: str, table: str, kind: str, wait: int) -> None:
        self.added += 1

        def act() -> None:
            if self.model.schema.table(keyspace, table) is not None:
                change = self.model.schema.add_column(keyspace, table, f"c{self.added}", kind)
                self.model.change(change)

        self.do(act, wait)

    @rule(keyspace=homes, kind=kinds, again=st.booleans(), wait=waits)
    def add_field(self, keyspace: str | None, kind: str, again: bool, wait: int) -> None:
        self.added += 1

        def act() -> None:
            home = self._home(keyspace)
            self.model.change(self.model.schema.add_field(home, "addr", f"f{self.added}", kind))
            self._prepare_elsewhere(again=again)

        self.do(act, wait)

    # Nodes and network

    @rule(mode=st.sampled_from(("all", "use", "executed")))
    def hold(self, mode: str) -> None:
        self.model.holds = mode

    @rule(index=indexes, wait=waits)
    def release(self, index: int, wait: int) -> None:
        if not self.model.held:
            return
        self.do(lambda: self.model.release(index), wait)

    @rule(wait=waits)
    def release_all(self, wait: int) -> None:
        self.do(self.model.release_all, wait)

    @rule(mode=st.sampled_from(("now", "late", "never")))
    def send_events(self, mode: str) -> None:
        self.do(self.model.send_events, 1)
        self.model.events = mode

    @rule()
    def hear_everything(self) -> None:
        self.run(self._within(1, self.model.knowledge.is_complete))
        self.do(lambda: None, 30)

    @rule(index=indexes, wait=waits)
    def forget(self, index: int, wait: int) -> None:
        self.do(lambda: self.model.forget(index), wait)

    @rule(index=indexes, wait=waits)
    def cut(self, index: int, wait: int) -> None:
        self.do(lambda: self.world.cut(index), wait)

    @rule(wait=waits)
    def lose_control_connection(self, wait: int) -> None:
        self.do(self.model.lose_control_connection, wait)

    @rule()
    def blunder(self) -> None:
        self.model.blunders = 1

    @rule(wait=waits)
    def turn(self, wait: int) -> None:
        self.do(lambda: None, wait)

    @precondition(lambda self: self.world.setup.hedges)
    @rule()
    def wait_for_a_hedge(self) -> None:
        arrived = self.model.arrivals
        self.run(self._within(0.03, lambda: self.model.arrivals > arrived))

    @precondition(lambda self: self.world.setup.hedges)
    @rule(index=indexes, kind=kinds, again=st.booleans())
    def hedge_across_a_change(self, index: int, kind: str, again: bool) -> None:
        """A read's first answer is held while its table changes; the hedge meets the other table."""

        async def act() -> None:
            reads = [held for held in self.caller.held if not held.writes and held.table == "t"]
            if not reads:
                return
            held = reads[index % len(reads)]
            self.model.release_all()
            self.model.holds = "executed"
            call = self.caller.execute_held(held)
            await self._within(0.1, lambda: bool(self.model.held))
            self._recreate(held.keyspace, kind, again=again)
            await self._within(0.1, lambda: len(self.model.held) > 1 or call.task.done())
            self.model.holds = ""
            self.model.release(0)
            await turns(5)

        self.run(act())

    async def _within(self, seconds: float, condition: Callable[[], bool]) -> None:
        with suppress(AssertionError):
            await until(condition, seconds)

    @rule()
    def settle(self) -> None:
        self.model.blunders = 0
        self.run(self.world.settle())

    # The end

    def teardown(self) -> None:
        failed = self.failed
        try:
            if hasattr(self, "world") and not failed:
                self.run(self._end())
        finally:
            # A finding is not to be hidden by what follows from it.
            with suppress(Exception) if failed else nullcontext():
                self.run(self.stack.aclose())
            self.runner.close()

    async def _end(self) -> None:
        if not self.closes:
            self.model.blunders = 0
            await self.world.settle()
            return
        self.caller.closing = True
        tasks = [call.task for call in self.caller.calls]
        await self.world.session.close(grace=0)
        self.model.release_all()
        if tasks:
            await asyncio.wait(tasks, timeout=10)
        await turns(3)
        assert all(task.done() for task in tasks)
        self.model.check()


def _loop_factory(loop: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if loop == "asyncio":
        return None
    import uvloop

    return uvloop.new_event_loop


def machine_on(loop: str) -> type[ModelMachine]:
    """The machine on loops of one kind, ``asyncio`` or ``uvloop``."""
    return type(ModelMachine.__name__, (ModelMachine,), {"loop": loop})
