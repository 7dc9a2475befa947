"""Requests on real connections to scripted peers, with a clock that the test moves.

What a session is made of below its public face, without the control plane: an executor, one pool
per peer, and the loop's timers on a clock of their own.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self

from cassandra.cluster import ExecutionProfile
from cassandra.connection import DefaultEndPoint
from cassandra.policies import (
    HostDistance,
    LoadBalancingPolicy,
    RetryPolicy,
    SimpleConvictionPolicy,
)
from cassandra.pool import Host
from cassandra.query import SimpleStatement

from async_cassandra._cql.analysis import analyze
from async_cassandra._driver.types import PYTHON_TYPES
from async_cassandra._net.connection import Connection
from async_cassandra._net.errors import ConnectFailed
from async_cassandra._net.handshake import ConnectOptions, open_connection
from async_cassandra._net.pool import NodePool
from async_cassandra._net.protocol import ConnectionProtocol
from async_cassandra._request.budget import Budget
from async_cassandra._request.call import CallOptions
from async_cassandra._request.executor import Executor
from async_cassandra._request.request import Request
from async_cassandra._request.waiting import TimerQueue
from async_cassandra._statements.build import RequestBuilder
from async_cassandra._statements.known import KnownQueries
from async_cassandra._statements.prepare import Preparer
from async_cassandra._statements.statements import PreparedStatement
from async_cassandra._wire.codecs import CodecRegistry
from async_cassandra._wire.requests import Options
from async_cassandra._wire.responses import RowPlans
from async_cassandra.retry_policy import DefaultRetryPolicy
from tests.support.native_protocol import Opcode
from tests.support.scripted_peer import Request as PeerRequest
from tests.support.scripted_peer import ScriptedPeer, scripted_cluster

__all__ = [
    "INT_ROW",
    "Clock",
    "InOrder",
    "RequestRig",
    "nodes",
    "nothing_more",
    "until",
    "values",
]

INT_ROW = [("v", "int")]
HOSTS = ("127.0.4.1", "127.0.4.2", "127.0.4.3")


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class InOrder(LoadBalancingPolicy):
    """A policy of the application's own: every host, in the order given."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        super().__init__()
        self.hosts = list(hosts)

    def distance(self, host: Host) -> Any:
        return HostDistance.LOCAL

    def make_query_plan(self, working_keyspace: str | None = None, query: Any = None) -> list[Host]:
        return list(self.hosts)


def values(request: Request) -> list[int]:
    """The column ``v`` of a request's rows."""
    request.result()
    response = request.response
    assert response is not None
    assert response.page is not None
    return [row.v for row in response.page]


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    """Let the loop turn until ``condition()`` holds.

    :param seconds: fail after them
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition():
        if loop.time() > deadline:
            raise AssertionError("it never came to that")
        await asyncio.sleep(0.001)


class RequestRig:
    """An executor with a pool to each peer; requests go to the peers in their order.

    :param size: connections per peer
    :ivar clock: the executor's time; :meth:`advance` moves it
    :ivar unreachable: what pools said of peers that they could not reach
    """

    def __init__(
        self,
        *peers: ScriptedPeer,
        version: int = 5,
        size: int = 1,
        max_in_flight: int = 2048,
        max_queued: int = 100_000,
        compression: Any = None,
        budget: Budget | None = None,
    ) -> None:
        self.peers = peers
        self.version = version
        self.clock = Clock()
        loop = asyncio.get_running_loop()
        self.timers = TimerQueue(loop, self.clock)
        self.plans = RowPlans(CodecRegistry(PYTHON_TYPES, {}))
        self.executor = Executor(
            loop, self.timers, self.plans, max_queued=max_queued, budget=budget
        )
        self.builder = RequestBuilder(self.executor, version)
        self.known = KnownQueries(self.executor)
        self.preparer = Preparer(self.executor, self.builder, self.known)
        self.options = ConnectOptions(
            protocol_version=version, max_in_flight=max_in_flight, compression=compression
        )
        self.unreachable: list[ConnectFailed] = []
        self.reachable: list[NodePool] = []
        self.pools = [self._pool(peer, size) for peer in peers]
        self.policy = InOrder([pool.host for pool in self.pools])

    def _pool(self, peer: ScriptedPeer, size: int) -> NodePool:
        host = Host(DefaultEndPoint(peer.host, peer.port), SimpleConvictionPolicy)

        async def opener(keyspace: str | None) -> ConnectionProtocol:
            return await open_connection(
                peer.host, peer.port, self.options, host=host, keyspace=keyspace
            )

        return NodePool(
            f"{peer.host}:{peer.port}",
            host,
            opener,
            turn=self.executor.wakeups,
            size=size,
            on_available=self.executor.on_available,
            on_unreachable=lambda pool, error: self.unreachable.append(error),
            on_reachable=self.reachable.append,
            on_opened=lambda pool, connection: None,
            on_lost=lambda pool, connection: None,
        )

    async def __aenter__(self) -> Self:
        for pool in self.pools:
            self.executor.nodes[pool.host] = pool
            pool.start()
        for pool in self.pools:
            await pool.wait_open()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.known.stop_teaching()
        for pool in self.pools:
            await pool.close()
        await self.preparer.close()
        self.timers.close()

    # Time

    def advance(self, seconds: float) -> None:
        """Let time pass and run what is due."""
        self.clock.now += seconds
        self.timers.fire()

    # Requests

    def call_options(
        self,
        *,
        timeout: float = 10.0,
        retry_policy: RetryPolicy | None = None,
        speculation: Any = None,
        pinned: Sequence[NodePool] | None = None,
        policy: LoadBalancingPolicy | None = None,
        **others: Any,
    ) -> CallOptions:
        profile = ExecutionProfile(
            load_balancing_policy=policy or self.policy,
            retry_policy=retry_policy or DefaultRetryPolicy(),
            speculative_execution_policy=speculation,
        )
        options = CallOptions(
            profile, timeout=timeout, pinned=None if pinned is None else tuple(pinned)
        )
        for name, value in others.items():
            setattr(options, name, value)
        return options

    def query(
        self,
        text: str,
        *,
        is_idempotent: bool = False,
        statement_options: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Request:
        """Build a request that runs a string."""
        statement = SimpleStatement(text, is_idempotent=is_idempotent, **(statement_options or {}))
        call = self.call_options(**options)
        return self.builder.query(statement, text, analyze(text), self.executor.keyspace, call)

    def read(self, **options: Any) -> Request:
        """Build and start an idempotent request."""
        return self._started(self.query("SELECT v FROM t", **options))

    def write(self, **options: Any) -> Request:
        """Build and start a request that must not be repeated, unless marked."""
        return self._started(self.query("UPDATE t SET v = v + [1] WHERE k = 0", **options))

    def execute(
        self, statement: PreparedStatement, values: Sequence[Any] = (), **options: Any
    ) -> Request:
        """Build and start a request that executes a prepared statement."""
        bound = statement.prepared.bind_plan.bind(values)
        call = self.call_options(**options)
        return self._started(self.builder.execute(statement, statement.prepared, bound, call))

    @staticmethod
    def _started(request: Request) -> Request:
        request.start()
        return request

    async def prepare(
        self, text: str = "SELECT v FROM t WHERE k = ?", *, prepared_id: bytes = b"id", **reply: Any
    ) -> PreparedStatement:
        """Prepare on every peer; they all give the same id."""
        task = asyncio.ensure_future(self.preparer.statement(None, text, self.call_options()))
        reply.setdefault("columns", [("k", "int")])
        reply.setdefault("result_columns", INT_ROW)
        first = await self.peers[0].next_request(Opcode.PREPARE)
        first.reply_prepared(prepared_id, **reply)
        statement = await task
        for peer in self.peers[1:]:
            (await peer.next_request(Opcode.PREPARE)).reply_prepared(prepared_id, **reply)
        return statement

    # What must hold

    def connection(self, index: int = 0) -> Connection:
        """A peer's first connection."""
        connection: Connection = self.pools[index].connections[0]
        return connection

    async def settle(self) -> None:
        """Wait until everything sent so far has arrived at the peers."""
        for pool in self.pools:
            for connection in list(pool.connections):
                if not connection.closed:
                    await connection.request(Options())

    async def check_quiet(self, *requests: PeerRequest) -> None:
        """Answer what the peers still owe, and check that nothing is left of any request."""
        for request in requests:
            request.reply_void()
        await self.settle()
        assert self.executor.running == 0
        assert self.executor.queued == 0
        assert len(self.timers) == 0
        for pool in self.pools:
            for connection in pool.connections:
                assert (connection.in_flight, connection.orphans) == (0, 0), connection


@asynccontextmanager
async def nodes(count: int = 1, **options: Any) -> AsyncIterator[RequestRig]:
    """A rig on so many scripted peers.

    :param count: 1 to 3
    :param options: as :class:`RequestRig` takes them
    """
    async with scripted_cluster(HOSTS[:count]) as peers, RequestRig(*peers, **options) as rig:
        yield rig


async def nothing_more(rig: RequestRig) -> None:
    """Check that no peer gets anything that it was not asked to answer yet."""
    await rig.settle()
    assert [peer.waiting_requests for peer in rig.peers] == [0] * len(rig.peers)
