"""The parts of a session, and how they start and end."""

import asyncio
import os
import secrets
import weakref
from dataclasses import replace

from async_cassandra._cql.literals import LiteralEncoder
from async_cassandra._driver.control_plane import ControlPlane
from async_cassandra._driver.types import PYTHON_TYPES
from async_cassandra._net.errors import ConnectFailed
from async_cassandra._net.handshake import ConnectOptions
from async_cassandra._net.heartbeat import Heartbeat, heartbeat_of
from async_cassandra._request.budget import Budget
from async_cassandra._request.executor import Executor
from async_cassandra._request.waiting import TimerQueue
from async_cassandra._results.tracing import TraceReader
from async_cassandra._session.agreement import SchemaAgreement
from async_cassandra._session.calls import Calls
from async_cassandra._session.config import ClientOptions
from async_cassandra._session.keyspace import SessionKeyspace
from async_cassandra._session.nodes import Nodes
from async_cassandra._session.queries import OwnQueries
from async_cassandra._session.user_types import UserTypes
from async_cassandra._statements.build import RequestBuilder
from async_cassandra._statements.known import KnownQueries
from async_cassandra._statements.prepare import Preparer
from async_cassandra._statements.resolver import Resolver
from async_cassandra._wire.codecs import CodecRegistry
from async_cassandra._wire.responses import RowPlans
from async_cassandra.exceptions import (
    ConnectionError,
)

_cores: "weakref.WeakSet[SessionCore]" = weakref.WeakSet()


def _after_fork() -> None:
    for core in list(_cores):
        core.is_inherited = True
        core.executor.close()
        core.unusable = ConnectionError(
            "This session was opened before the process was forked; its connections belong to the "
            "parent. Connect again in the child"
        )


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class SessionCore:
    """Connections, executor, statements and keyspace of one session.

    Concurrency: the thread of ``loop`` only.
    """

    def __init__(
        self,
        control: ControlPlane,
        connect: ConnectOptions,
        options: ClientOptions,
        budget: Budget | None = None,
    ) -> None:
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self.control = control
        self.options = options
        self.unusable: ConnectionError | None = None
        self.is_inherited = False
        self.version: int = connect.protocol_version
        self.timers: TimerQueue = TimerQueue(self.loop)
        python_types = replace(PYTHON_TYPES, vectors=options.vectors)
        self.plans: RowPlans = RowPlans(
            CodecRegistry(python_types, dict(control.user_types), control.encryption)
        )
        self.executor: Executor = self._make_executor(budget)
        self.builder: RequestBuilder = self._make_builder()
        self.known: KnownQueries = KnownQueries(self.executor)
        self.preparer: Preparer = Preparer(
            self.executor, self.builder, self.known, on_all_nodes=control.prepare_on_all_hosts
        )
        self.encoder: LiteralEncoder = LiteralEncoder()
        self.nodes: Nodes = self._make_nodes(connect)
        self.keyspaces: SessionKeyspace = SessionKeyspace(
            self.executor, self.nodes, lambda keyspace: control.router.want_keyspace(keyspace)
        )
        self.heartbeat: Heartbeat = heartbeat_of(
            self.nodes.watched, control.idle_heartbeat_interval, control.idle_heartbeat_timeout
        )
        queries = OwnQueries(control, self.builder)
        self.traces: TraceReader = TraceReader(queries.select)
        self.agreement: SchemaAgreement = SchemaAgreement(control, self.nodes, self.known, queries)
        self.calls: Calls = Calls(
            control,
            self.builder,
            self.preparer,
            Resolver(self.builder, self.preparer, self.encoder),
            self.keyspaces,
            self.nodes,
        )
        self._idle: asyncio.Future[None] | None = None
        _cores.add(self)

    def _make_executor(self, budget: Budget | None) -> Executor:
        executor = Executor(
            self.loop,
            self.timers,
            self.plans,
            max_queued=self.options.max_queued,
            budget=budget,
            can_name_keyspaces=self.version >= 5,
        )
        if self.options.private_statements:
            executor.statement_mark = f" /* {secrets.token_hex(8)} */"
        executor.refuse = self.check_usable
        return executor

    def _make_builder(self) -> RequestBuilder:
        return RequestBuilder(
            self.executor,
            self.version,
            default_fetch_size=self.options.fetch_size,
            timestamps=self.control.timestamp_generator,
            infers_idempotence=self.options.infer_idempotence,
        )

    def _make_nodes(self, connect: ConnectOptions) -> Nodes:
        user_types = UserTypes(self.control, self.plans.registry, self.encoder)
        return Nodes(
            self.control,
            self.executor,
            connect,
            size=self.options.connections_per_node,
            on_back=self.known.teach if self.control.reprepare_on_up else None,
            on_user_type=user_types.register,
            on_schema_change=self.known.on_schema_change,
        )

    @property
    def keyspace(self) -> str | None:
        """The keyspace for unqualified names, in the server's spelling; ``None`` for none."""
        return self.keyspaces.name

    # Life

    async def start(self, keyspace: str | None) -> None:
        """Open the connections; return when one node can take requests.

        :raises ConnectFailed: if no node can be reached, with the reason of one of them
        """
        self.keyspaces.start(keyspace)
        self.nodes.start(keyspace)
        self.heartbeat.start()
        waiting = {asyncio.ensure_future(pool.wait_open()) for pool in self.nodes.pools.values()}
        if not waiting:
            known = ", ".join(
                f"{host.endpoint} in {host.datacenter}" for host in self.control.hosts()
            )
            raise ConnectFailed(
                f"the load balancing policy uses none of the known hosts ({known}): "
                "check its local_dc and allowed hosts"
            )
        error: BaseException | None = None
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for opened in done:
                error = opened.exception()
                if error is None:
                    for other in waiting:
                        other.add_done_callback(_drop_error)
                    return
        assert error is not None
        raise error

    async def close(self, grace: float) -> None:
        """Refuse new requests and close the connections.

        :param grace: seconds to wait for requests under way, 0 or more; then they fail
        """
        if self.is_inherited:
            # Sockets and selector are shared with the parent, which goes on using them.
            return
        self.executor.close()
        self.unusable = self.unusable or ConnectionError("Session is closed")
        if self.executor.running and grace > 0:
            self._idle = self.loop.create_future()
            self.executor.on_idle = self._on_idle
            try:
                async with asyncio.timeout(grace):
                    await self._idle
            except TimeoutError:
                pass
        self.executor.fail_waiting(self.unusable)
        self.heartbeat.stop()
        self.known.stop_teaching()
        await self.keyspaces.close()
        await self.nodes.close()
        # Answers that came meanwhile may have begun a pause before a retry.
        self.executor.fail_waiting(self.unusable)
        await self.preparer.close()
        self.timers.close()

    def _on_idle(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def check_usable(self) -> None:
        """Refuse a request that this session cannot take.

        :raises ~async_cassandra.exceptions.ConnectionError: after close or fork, or on another loop
        """
        if self.unusable is not None:
            raise ConnectionError(str(self.unusable))
        if asyncio.get_running_loop() is not self.loop:
            raise ConnectionError(
                "This session belongs to another event loop: use it on the loop that connected it, "
                "or connect one session per loop"
            )


def _drop_error(opened: "asyncio.Future[None]") -> None:
    if not opened.cancelled():
        opened.exception()
