"""A session of an application on model nodes, and what must be true whenever nothing is under way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from cassandra.policies import ConstantReconnectionPolicy, ConstantSpeculativeExecutionPolicy

from async_cassandra import AsyncCassandraSession, AsyncCluster
from async_cassandra._driver.cluster_names import EXEC_PROFILE_DEFAULT
from async_cassandra._session.config import ClientOptions
from async_cassandra.profiles import ExecutionProfile
from tests.model import intentions as found
from tests.model.caller import Caller
from tests.model.cluster import ModelCluster
from tests.model.knowledge import TURNS, after_turns
from tests.model.schema import Keyspace, Schema
from tests.support.peer_connection import PeerConnection
from tests.support.request_rig import until
from tests.support.scripted_peer import ScriptedPeer, scripted_cluster

__all__ = ["HOSTS", "KEYSPACES", "Setup", "World", "fresh_schema", "model_world", "turns"]

HOSTS = ["127.0.5.11", "127.0.5.12", "127.0.5.13"]
KEYSPACES = ("a", "b", "c")


@dataclass(frozen=True, slots=True)
class Setup:
    """How many nodes and connections, and what the client is told to do."""

    version: int = 5
    nodes: int = 1
    connections: int = 1
    max_in_flight: int = 128
    hedges: bool = False
    refresh_window: float = 0.0


def fresh_schema() -> Schema:
    """Three keyspaces with tables of the same names, the first column's type differing."""
    schema = Schema()
    for keyspace, kind in zip(KEYSPACES, ("int", "text", "int"), strict=True):
        schema.keyspaces[keyspace] = Keyspace()
        schema.create_type(keyspace, "addr", {"street": "text", "number": "int"})
        schema.create_type(keyspace, "person", {"name": "text", "home": "frozen<addr>"})
        schema.create_table(keyspace, "t", {"k": "int", "v": kind})
        schema.create_table(keyspace, "w", {"k": "int", "u": "frozen<addr>"})
        schema.create_table(keyspace, "x", {"k": "int", "us": "list<frozen<person>>"})
    return schema


async def turns(count: int) -> None:
    """Let the loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


@dataclass(slots=True)
class World:
    """Peers, their model, the application's session and its calls."""

    peers: list[ScriptedPeer]
    model: ModelCluster
    cluster: AsyncCluster
    session: AsyncCassandraSession
    caller: Caller
    setup: Setup
    baseline: set[asyncio.Task[Any]]

    def data_connections(self) -> list[PeerConnection]:
        """The servers' ends of those that carry requests."""
        return [
            connection
            for peer in self.peers
            for connection in peer.open_connections
            if not connection.event_types
        ]

    def pools(self) -> list[Any]:
        return list(self.session._core.nodes.pools.values())

    def are_all_open(self) -> bool:
        """Whether every node has all the connections that it should have."""
        wanted = self.setup.connections
        opened = [len(pool.connections) for pool in self.pools()]
        return len(opened) == self.setup.nodes and all(count == wanted for count in opened)

    def cut(self, index: int) -> None:
        """Lose one data connection."""
        connections = self.data_connections()
        if connections:
            self.model.disturb()
            connections[index % len(connections)].drop()

    async def everything_heard(self) -> None:
        """Wait until every event has got through, and what was sent before has arrived."""
        await until(self.model.knowledge.is_complete)
        passed = asyncio.get_running_loop().create_future()
        after_turns(TURNS + 1, lambda: passed.set_result(None))
        await passed

    async def settle(self) -> None:
        """Answer everything, let every call end, and check that nothing is left."""
        self.model.release_all()
        calls = [call.task for call in self.caller.calls if not call.task.done()]
        if calls:
            _, pending = await asyncio.wait(calls, timeout=15)
            if pending:
                labels = [call.label for call in self.caller.calls if call.task in pending]
                self._find(found.SomethingLeft, f"these never ended: {labels}")
                for task in pending:
                    task.cancel()
        self.caller.calls.clear()
        self.model.send_events()
        await turns(TURNS)
        self.model.check()
        await self.check_quiet()
        self.caller.changing.clear()
        self.model.check()

    def _find(self, kind: type[found.Finding], what: str) -> None:
        self.model.findings.append(kind(what))

    async def check_quiet(self) -> None:
        """Nothing is left of any call, and the session and all its connections agree."""
        try:
            await until(self._is_quiet, 8)
        except AssertionError:
            self._find(found.SomethingLeft, self._what_is_left())
        try:
            await until(self._agrees, 5)
        except AssertionError:
            there = [connection.keyspace for connection in self.data_connections()]
            said = f"the session is in {self.session.keyspace}, its connections are in {there}"
            self._find(found.KeyspacesDisagree, said)
        keyspace = self.session.keyspace or ""
        if keyspace not in self.caller.possible:
            self._find(found.KeyspacesDisagree, f"nobody chose {keyspace}")
        self.caller.possible = {keyspace}

    def _is_quiet(self) -> bool:
        core = self.session._core
        left = [task for task in self._tasks() if not task.done()]
        in_flight = sum(known.in_flight for pool in self.pools() for known in pool.connections)
        return not core.executor.running and not in_flight and not left and self.are_all_open()

    def _agrees(self) -> bool:
        there = {connection.keyspace for connection in self.data_connections()}
        return there == {self.session.keyspace} and self.are_all_open()

    def _tasks(self) -> set[asyncio.Task[Any]]:
        current = asyncio.current_task()
        return {task for task in asyncio.all_tasks() - self.baseline if task is not current}

    def _what_is_left(self) -> str:
        in_flight = [known.in_flight for pool in self.pools() for known in pool.connections]
        running = self.session._core.executor.running
        return f"running {running}, in flight {in_flight}, tasks {self._tasks()}"


@asynccontextmanager
async def model_world(setup: Setup, keyspace: str = "a") -> AsyncIterator[World]:
    """Nodes, a cluster and a session; leaving checks what the last :meth:`World.settle` did not."""
    profile: dict[str, Any] = {}
    if setup.hedges:
        hedging = ConstantSpeculativeExecutionPolicy(0.02, 2)
        profile["execution_profiles"] = {
            EXEC_PROFILE_DEFAULT: ExecutionProfile(speculative_execution_policy=hedging)
        }
    options = ClientOptions(
        connections_per_node=setup.connections,
        max_in_flight=setup.max_in_flight,
        hedge_budget=1e6,
        retry_budget=1e6,
        min_retries_per_second=1e9,
    )
    hosts = HOSTS[: setup.nodes]
    async with scripted_cluster(hosts, version=setup.version) as peers:
        model = ModelCluster(peers, fresh_schema())
        async with AsyncCluster(
            hosts,
            port=peers[0].port,
            protocol_version=setup.version,
            client_options=options,
            reconnection_policy=ConstantReconnectionPolicy(0.01, None),
            schema_event_refresh_window=setup.refresh_window,
            **profile,
        ) as cluster:
            session = await cluster.connect(keyspace)
            session._core.control.add_listener(model.knowledge)
            caller = Caller(session, model, setup.version, possible={keyspace})
            world = World(peers, model, cluster, session, caller, setup, set())
            await until(world.are_all_open)
            await turns(TURNS)
            world.baseline = asyncio.all_tasks()
            try:
                yield world
            finally:
                model.release_all()
