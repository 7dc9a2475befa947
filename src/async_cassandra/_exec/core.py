"""What a session is made of."""

import asyncio
import os
import secrets
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from cassandra.pool import Host
from cassandra.query import SimpleStatement

from async_cassandra._driver.cluster_names import EXEC_PROFILE_DEFAULT
from async_cassandra._driver.control_plane import ControlPlane, schema_event
from async_cassandra._driver.request_settings import checked_payload, checked_timeout
from async_cassandra._driver.types import PYTHON_TYPES
from async_cassandra._exec import faults
from async_cassandra._exec.agreement import wait_for_agreement
from async_cassandra._exec.budget import Budget
from async_cassandra._exec.build import CallOptions, RequestBuilder
from async_cassandra._exec.config import ClientOptions
from async_cassandra._exec.cql import (
    MarkerStyle,
    describe,
)
from async_cassandra._exec.executor import Executor
from async_cassandra._exec.keyspace import SessionKeyspace
from async_cassandra._exec.literals import LiteralEncoder
from async_cassandra._exec.nodes import Nodes
from async_cassandra._exec.prepare import Preparer, run
from async_cassandra._exec.records import record_type
from async_cassandra._exec.resolver import Resolver
from async_cassandra._exec.statements import (
    Payload,
)
from async_cassandra._net.connection import NodeConnections
from async_cassandra._net.errors import ConnectFailed
from async_cassandra._net.handshake import ConnectOptions
from async_cassandra._net.heartbeat import Heartbeat, heartbeat_of
from async_cassandra._net.pool import NodePool
from async_cassandra._net.timers import TimerQueue
from async_cassandra._wire.codecs import CodecRegistry
from async_cassandra._wire.responses import Response, RowPlans, SchemaChange
from async_cassandra.exceptions import (
    ConfigurationError,
    ConnectionError,
    StatementChangedError,
)

EXECUTE_AS = "ProxyExecute"

_PREPARED_MARKERS = frozenset({MarkerStyle.POSITIONAL, MarkerStyle.NAMED})

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
        self.preparer: Preparer = Preparer(
            self.executor,
            self.builder,
            on_all_nodes=control.prepare_on_all_hosts,
            on_opened=control.reprepare_on_up,
        )
        self.nodes: Nodes = self._make_nodes(connect)
        self.keyspaces: SessionKeyspace = SessionKeyspace(
            self.executor, self.nodes, lambda keyspace: control.router.want_keyspace(keyspace)
        )
        self.heartbeat: Heartbeat = heartbeat_of(
            self.nodes.watched, options.idle_heartbeat_interval, control.idle_heartbeat_timeout
        )
        self.default_options: CallOptions = CallOptions(control.profile(EXEC_PROFILE_DEFAULT))
        self.max_trace_wait: float = 2.0
        self.timestamp_generator: Callable[[], int] | None = None
        self.uses_client_timestamps: bool = True
        self.encoder: LiteralEncoder = LiteralEncoder()
        for (type_keyspace, name), klass in control.user_types.items():
            self.encoder.register(
                klass, f"{type_keyspace}.{name}", self._fields_of(type_keyspace, name)
            )
        self.resolver: Resolver = Resolver(
            self.builder, self.preparer, self.keyspaces, self.encoder
        )
        self._idle: asyncio.Future[None] | None = None
        _cores.add(self)

    def _make_executor(self, budget: Budget | None) -> Executor:
        executor = Executor(
            self.loop,
            self.timers,
            self.plans,
            faults,
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
        return Nodes(
            self.control,
            self.executor,
            connect,
            size=self.options.connections_per_node,
            on_back=self.preparer.teach,
            on_user_type=self._on_user_type,
            on_schema_change=self.preparer.on_schema_change,
        )

    @property
    def keyspace(self) -> str | None:
        """What unqualified names mean, exactly spelled; ``None`` for nothing."""
        return self.keyspaces.name

    def choose_timestamps(self) -> None:
        """Have writes carry what the session's, else the cluster's generator gives, or nothing."""
        generator = self.timestamp_generator or self.control.timestamp_generator
        self.builder.timestamps = generator if self.uses_client_timestamps else None

    # Life

    async def start(self, keyspace: str | None) -> None:
        """Open the connections; returns when one node can take requests.

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
        self.executor.abandon(self.unusable)
        self.heartbeat.stop()
        self.preparer.stop_teaching()
        await self.keyspaces.close()
        await self.nodes.close()
        # Answers that came meanwhile may have begun a pause before a retry.
        self.executor.abandon(self.unusable)
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

    def _on_user_type(self, keyspace: str, name: str, klass: type) -> None:
        self.plans.registry.register_user_type(keyspace, name, klass)
        self.encoder.register(klass, f"{keyspace}.{name}", self._fields_of(keyspace, name))

    def _fields_of(self, keyspace: str, name: str) -> Callable[[], Sequence[str]]:
        """A user-defined type's fields as the driver's metadata has them when they are asked for."""

        def read() -> Sequence[str]:
            metadata = self.control.metadata
            try:
                assert metadata is not None
                names: Sequence[str] = metadata.keyspaces[keyspace].user_types[name].field_names
            except KeyError:
                raise LookupError(f"the schema metadata has no type {keyspace}.{name}") from None
            return names

        return read

    # From what the user gives to a request

    def call_options(
        self,
        trace: bool,
        custom_payload: Payload,
        timeout: float | None,
        execution_profile: object,
        paging_state: bytes | None,
        host: Host | str | None,
        execute_as: str | None,
        row: Any = None,
    ) -> CallOptions:
        """Check what one call asks for.

        :raises ~async_cassandra.exceptions.ConfigurationError: naming the argument that does not
            fit
        """
        if execution_profile is EXEC_PROFILE_DEFAULT:
            profile = self.default_options.profile
        else:
            profile = self.control.profile(execution_profile)
        if trace and trace is not True:
            raise ConfigurationError(
                f"trace takes True or False, not {trace!r}; the type of rows is row=..."
            )
        options = CallOptions(profile)
        options.trace = trace
        if timeout is not None:
            options.timeout = checked_timeout(timeout)
        payload = None if custom_payload is None else checked_payload(custom_payload)
        if execute_as is not None:
            if not isinstance(execute_as, str):
                raise ConfigurationError(
                    f"execute_as takes a role's name, not {type(execute_as).__name__}"
                )
            payload = {**(payload or {}), EXECUTE_AS: execute_as.encode()}
        options.custom_payload = payload
        if paging_state is not None:
            if not isinstance(paging_state, bytes):
                raise ConfigurationError(
                    f"paging_state takes bytes, not {type(paging_state).__name__}"
                )
            options.paging_state = paging_state or None
            options.wants_all = False
        if host is not None:
            options.pinned = self._pinned(host)
        if row is not None:
            options.row_factory = record_type(row)
        return options

    def _pinned(self, host: Host | str) -> tuple[NodePool, ...]:
        pinned = self.nodes.pinned(host)
        if not pinned:
            # A closed session connects to none, and that is what its user must hear.
            self.check_usable()
            known = ", ".join(sorted(pool.endpoint for pool in self.nodes.pools.values()))
            raise ConfigurationError(f"host {host} is none that this session connects to ({known})")
        return pinned

    # What follows a response

    async def follow_up(self, response: Response, coordinator: NodeConnections | None) -> None:
        """Do what the client has to after a result that says that the schema has changed."""
        if response.schema_change is not None:
            await self._after_schema_change(response.schema_change, coordinator)

    async def _after_schema_change(
        self, change: SchemaChange, coordinator: NodeConnections | None
    ) -> None:
        arguments = tuple(change.arguments or ())
        event = schema_event(
            change.change_type, change.target, change.keyspace, change.name, arguments
        )
        self.preparer.on_schema_change(event, coordinator)
        if coordinator is not None and len(self.nodes.pools) > 1:
            await wait_for_agreement(self, coordinator, self.control.max_schema_agreement_wait)
        await self.control.after_schema_change(event)

    async def select(self, query: str, node: NodeConnections | None = None) -> list[Any]:
        """The first page of what a query of the library's own finds, on ``node`` if given."""
        # The cluster's: what the application set on its session is for its own requests.
        options = CallOptions(self.control.profile())
        options.pinned = (node,) if node is not None else None
        statement = SimpleStatement(query)
        request = self.builder.query(statement, query, describe(query), self.keyspace, options)
        request.as_tuples = False
        response = await run(request)
        return [] if response is None or response.page is None else list(response.page)


def _drop_error(opened: "asyncio.Future[None]") -> None:
    if not opened.cancelled():
        opened.exception()


__all__ = ["SessionCore", "StatementChangedError"]
