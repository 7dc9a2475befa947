"""What a session is made of, and how a statement of any kind becomes a request of it.

Prepared statements take the short way through :meth:`.build.RequestBuilder.prepared`; everything
else is brought to a message by :meth:`SessionCore.resolve`, which may have to prepare first.
"""

import asyncio
import os
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from cassandra.encoder import Encoder
from cassandra.pool import Host
from cassandra.query import BatchStatement as DriverBatchStatement
from cassandra.query import BatchType, SimpleStatement, bind_params
from cassandra.query import BoundStatement as DriverBoundStatement
from cassandra.query import PreparedStatement as DriverPreparedStatement

from async_cassandra._driver.cluster_names import EXEC_PROFILE_DEFAULT
from async_cassandra._driver.control_plane import ControlPlane, schema_event
from async_cassandra._driver.request_settings import checked_payload, checked_timeout
from async_cassandra._driver.types import PYTHON_TYPES
from async_cassandra._exec import faults
from async_cassandra._exec.agreement import wait_for_agreement
from async_cassandra._exec.budget import Budget
from async_cassandra._exec.build import CallOptions, RequestBuilder, seconds_of
from async_cassandra._exec.config import ClientOptions
from async_cassandra._exec.cql import (
    MarkerStyle,
    MixedMarkersError,
    Repetition,
    StatementInfo,
    analyze,
    describe,
)
from async_cassandra._exec.executor import Executor
from async_cassandra._exec.nodes import Nodes
from async_cassandra._exec.prepare import Preparer, run
from async_cassandra._exec.prepared import PreparedQuery
from async_cassandra._exec.records import record_type
from async_cassandra._exec.request import Request
from async_cassandra._exec.statements import (
    BatchStatement,
    BoundStatement,
    Parameters,
    Payload,
    PreparedStatement,
)
from async_cassandra._net.connection import NodeConnections
from async_cassandra._net.errors import ConnectFailed
from async_cassandra._net.handshake import ConnectOptions
from async_cassandra._net.heartbeat import Heartbeat, heartbeat_of
from async_cassandra._net.pool import NodePool
from async_cassandra._net.timers import TimerQueue
from async_cassandra._wire.binding import BoundValues
from async_cassandra._wire.codecs import CodecRegistry
from async_cassandra._wire.responses import Response, RowPlans, SchemaChange
from async_cassandra.exceptions import (
    ConfigurationError,
    ConnectionError,
    ParameterTypeError,
    ParameterValueError,
    StatementChangedError,
)

EXECUTE_AS = "ProxyExecute"

# Values that are written into a string as one literal each.
_SCALARS = frozenset(
    {bool, bytes, int, float, str, type(None), Decimal, UUID, date, datetime, time}
)
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
        self.keyspace: str | None = None
        self.unusable: ConnectionError | None = None
        self.is_inherited = False
        self.version: int = connect.protocol_version
        self.timers: TimerQueue = TimerQueue(self.loop)
        python_types = replace(PYTHON_TYPES, vectors=options.vectors)
        self.plans: RowPlans = RowPlans(CodecRegistry(python_types, dict(control.user_types)))
        self.executor: Executor = self._make_executor(budget)
        self.builder: RequestBuilder = self._make_builder()
        self.preparer: Preparer = Preparer(
            self.executor,
            self.builder,
            on_all_nodes=control.prepare_on_all_hosts,
            on_opened=control.reprepare_on_up,
        )
        self.nodes: Nodes = self._make_nodes(connect)
        self.heartbeat: Heartbeat = heartbeat_of(
            self.nodes.watched, options.idle_heartbeat_interval, control.idle_heartbeat_timeout
        )
        self.default_options: CallOptions = CallOptions(control.profile(EXEC_PROFILE_DEFAULT))
        self.max_trace_wait: float = 2.0
        self.timestamp_generator: Callable[[], int] | None = None
        self.uses_client_timestamps: bool = True
        self.encoder: Encoder = Encoder()
        self._keyspace_lock = asyncio.Lock()
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
        )
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
            on_opened=self.preparer.teach,
            on_user_type=self._on_user_type,
            on_schema_change=self.preparer.on_schema_change,
        )

    def choose_timestamps(self) -> None:
        """Have writes carry what the session's, else the cluster's generator gives, or nothing."""
        generator = self.timestamp_generator or self.control.timestamp_generator
        self.builder.timestamps = generator if self.uses_client_timestamps else None

    # Life

    async def start(self, keyspace: str | None) -> None:
        """Open the connections; returns when one node can take requests.

        :raises ConnectFailed: if no node can be reached, with the reason of one of them
        """
        self.keyspace = keyspace
        self.executor.keyspace = keyspace
        if keyspace is not None:
            self.control.router.want_keyspace(keyspace)
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
        self.preparer.close()
        await self.nodes.close()
        # Answers that came meanwhile may have begun a pause before a retry.
        self.executor.abandon(self.unusable)
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

    async def resolve(self, query: Any, parameters: Parameters, options: CallOptions) -> Request:
        """The request of any statement; may have to prepare first, within the same timeout.

        :raises TypeError: if ``query`` is no statement
        """
        started = self.loop.time()
        request = await self._request_of(query, parameters, options)
        request.spent = self.loop.time() - started
        return request

    async def _request_of(
        self, query: Any, parameters: Parameters, options: CallOptions
    ) -> Request:
        match query:
            case str():
                unmarked = SimpleStatement(query, is_idempotent=None)
                return await self._string(unmarked, query, parameters, options)
            case BoundStatement():
                _refuse_parameters(parameters)
                return self.builder.execute(
                    query, query.prepared_statement.prepared, query.bound, options
                )
            case DriverBoundStatement():
                _refuse_parameters(parameters)
                return await self._foreign_bound(query, options)
            case PreparedStatement():
                return await self._request_of(query.bind(parameters), None, options)
            case DriverPreparedStatement():
                statement = await self._adopt(query, options)
                bound = statement.prepared.bind(parameters)
                return self.builder.execute(query, statement.prepared, bound, options)
            case DriverBatchStatement():
                _refuse_parameters(parameters)
                return await self._batch(query, options)
            case SimpleStatement():
                return await self._string(query, query.query_string, parameters, options)
        raise TypeError(
            "query takes a str, SimpleStatement, PreparedStatement, BoundStatement or "
            f"BatchStatement, not {type(query).__name__}"
        )

    async def _string(
        self, statement: SimpleStatement, text: str, parameters: Parameters, options: CallOptions
    ) -> Request:
        info = _described(text)
        if parameters is None or (not parameters and info.markers not in _PREPARED_MARKERS):
            return self.builder.query(statement, text, info, options)
        if info.markers in _PREPARED_MARKERS:
            prepared, bound = await self._bound_string(
                statement.keyspace, text, parameters, options
            )
            return self.builder.execute(statement, prepared.prepared, bound, options)
        formatted = self._format(text, parameters, info)
        info = _formatted_info(info, parameters, formatted)
        return self.builder.query(statement, formatted, info, options)

    def _format(self, text: str, parameters: Parameters, info: StatementInfo) -> str:
        """Write the parameters into the string as the driver does for ``%s`` and ``%(name)s``."""
        if info.markers is MarkerStyle.NONE:
            raise ParameterValueError(
                f"parameters were given for a query without markers: {text[:200]}"
            )
        try:
            formatted: str = bind_params(text, parameters, self.encoder)
        except (TypeError, ValueError, KeyError) as error:
            raise ParameterValueError(
                f"the parameters do not fit the query's {info.markers.value} markers: {error}",
                error,
            ) from error
        return formatted

    async def _prepared_string(
        self, keyspace: str | None, text: str, options: CallOptions
    ) -> PreparedStatement:
        keyspace = keyspace or self.keyspace
        statement = self.preparer.cached(keyspace, text)
        if statement is None:
            plain = CallOptions(options.profile)
            plain.timeout = options.timeout
            statement = await self.preparer.for_string(keyspace, text, plain)
        return statement

    async def _bound_string(
        self, keyspace: str | None, text: str, parameters: Parameters, options: CallOptions
    ) -> tuple[PreparedStatement, BoundValues]:
        """A string's hidden statement and its encoded parameters.

        Another client may have created the table again with other types, and its schema event is
        still to come: what was prepared before is prepared once more before a parameter is refused.
        """
        known = self.preparer.cached(keyspace or self.keyspace, text)
        statement = known or await self._prepared_string(keyspace, text, options)
        try:
            return statement, statement.prepared.bind(parameters)
        except (ParameterTypeError, ParameterValueError) as error:
            is_miscounted = error.index < 0
            if known is None or is_miscounted or self.preparer.has_confirmed(known):
                raise
            self.preparer.forget(known)
        statement = await self._prepared_string(keyspace, text, options)
        return statement, statement.prepared.bind(parameters)

    async def _adopt(
        self, foreign: DriverPreparedStatement, options: CallOptions
    ) -> PreparedStatement:
        """Our counterpart of a statement that the driver prepared."""
        return await self._prepared_string(foreign.keyspace, foreign.query_string, options)

    async def _foreign_bound(self, bound: DriverBoundStatement, options: CallOptions) -> Request:
        statement = await self._adopt(bound.prepared_statement, options)
        values = statement.prepared.bind_plan.bind_encoded(bound.values)
        return self.builder.execute(bound, statement.prepared, values, options)

    async def _batch(self, batch: DriverBatchStatement, options: CallOptions) -> Request:
        entries: list[tuple[str | bytes, bytes]] = []
        queries: dict[bytes, PreparedQuery] = {}
        counts = batch.batch_type is BatchType.COUNTER
        repetition: int = Repetition.NEVER if counts else Repetition.HARMLESS
        keyspace = batch.keyspace if isinstance(batch, BatchStatement) else None
        deadline = self.loop.time() + seconds_of(options)
        for _, statement, values in batch._statements_and_parameters:
            if isinstance(statement, PreparedStatement):
                prepared, payload = statement.prepared, values.payload
            elif isinstance(statement, str) and not values:
                repetition = min(repetition, _described(statement).repetition)
                entries.append((statement, NO_VALUES))
                continue
            else:
                prepared, payload = await self._batched(
                    statement, values, keyspace, options, deadline
                )
            prepared_id = prepared.prepared_id
            if prepared_id not in queries:
                queries[prepared_id] = prepared
                repetition = min(repetition, prepared.repetition)
            entries.append((prepared_id, payload))
        request = self.builder.batch(batch, entries, queries, repetition, keyspace, options)
        if isinstance(batch, BatchStatement) and batch.routing_keyspace is not None:
            request.routing_keyspace = batch.routing_keyspace
        return request

    async def _batched(
        self,
        statement: Any,
        values: Any,
        keyspace: str | None,
        options: CallOptions,
        deadline: float,
    ) -> tuple[PreparedQuery, bytes]:
        """A batch entry's prepared query and encoded values."""
        if isinstance(statement, BoundStatement):
            return statement.prepared_statement.prepared, statement.bound.payload
        if isinstance(statement, DriverBoundStatement):
            left = self._left(options, deadline)
            adopted = (await self._adopt(statement.prepared_statement, left)).prepared
            return adopted, adopted.bind_plan.bind_encoded(statement.values).payload
        if isinstance(statement, bytes):
            prepared = self.preparer.known(statement)
            if prepared is None:
                raise ConfigurationError(
                    "a batch holds a statement of another session: prepare it with this one, "
                    "or use async_cassandra's BatchStatement"
                )
            return prepared, prepared.bind_plan.bind_encoded(values).payload
        left = self._left(options, deadline)
        hidden, bound = await self._bound_string(keyspace, statement, values, left)
        return hidden.prepared, bound.payload

    def _left(self, options: CallOptions, deadline: float) -> CallOptions:
        """Options that leave a PREPARE the time until ``deadline``."""
        left = CallOptions(options.profile)
        left.timeout = max(deadline - self.loop.time(), 0.001)
        return left

    # What follows a response

    async def follow_up(self, response: Response, coordinator: NodeConnections | None) -> None:
        """Do what the client has to after some results: a changed schema, a changed keyspace."""
        if response.schema_change is not None:
            await self._after_schema_change(response.schema_change, coordinator)
        elif response.keyspace is not None:
            await self.use_keyspace(response.keyspace)

    async def _after_schema_change(
        self, change: SchemaChange, coordinator: NodeConnections | None
    ) -> None:
        arguments = tuple(change.arguments or ())
        event = schema_event(
            change.change_type, change.target, change.keyspace, change.name, arguments
        )
        self.preparer.on_schema_change(event)
        if coordinator is not None and len(self.nodes.pools) > 1:
            await wait_for_agreement(self, coordinator, self.control.max_schema_agreement_wait)
        await self.control.after_schema_change(event)

    async def use_keyspace(self, keyspace: str) -> None:
        """Make ``keyspace``, exactly spelled, that of the session and all its connections.

        Cancellation: the change goes on, since some connections may have the keyspace already.

        :raises ~async_cassandra.exceptions.QueryError: if the server does not take it; nothing changed
        """
        change = self.loop.create_task(self._change_keyspace(keyspace))
        change.add_done_callback(_drop_error)
        await asyncio.shield(change)

    async def _change_keyspace(self, keyspace: str) -> None:
        async with self._keyspace_lock:
            try:
                await self.nodes.use_keyspace(keyspace)
            except ConnectFailed as error:
                raise faults.connect_fault(error) from error
            self.keyspace = keyspace
            self.executor.keyspace = keyspace
        self.control.router.want_keyspace(keyspace)

    async def prepare(
        self, query: str, options: CallOptions, keyspace: str | None = None
    ) -> PreparedStatement:
        """Prepare a statement for the user; its keyspace is the session's if it is not given."""
        return await self.preparer.prepare(keyspace or self.keyspace, query, options)

    async def select(self, query: str, node: NodeConnections | None = None) -> list[Any]:
        """The first page of what a query of the library's own finds, on ``node`` if given."""
        # The cluster's: what the application set on its session is for its own requests.
        options = CallOptions(self.control.profile())
        options.pinned = (node,) if node is not None else None
        request = self.builder.query(SimpleStatement(query), query, describe(query), options)
        request.as_tuples = False
        response = await run(request)
        return [] if response is None or response.page is None else list(response.page)


NO_VALUES = b"\x00\x00"


def _formatted_info(info: StatementInfo, values: Parameters, formatted: str) -> StatementInfo:
    """What a string says with its parameters written into it, where they can make a difference."""
    if info.repetition in (Repetition.READ, Repetition.NEVER):
        return info
    plain = values.values() if isinstance(values, Mapping) else values or ()
    if info.repetition is Repetition.HARMLESS and all(type(value) in _SCALARS for value in plain):
        return info
    return _described(formatted, analyze)


def _described(text: str, reader: Callable[[str], StatementInfo] = describe) -> StatementInfo:
    try:
        return reader(text)
    except MixedMarkersError as error:
        raise ParameterValueError(f"query: {error}", error) from error


def _refuse_parameters(parameters: Parameters) -> None:
    if parameters:
        raise ParameterValueError(
            "parameters: the statement has its values already; pass them to bind() or add()"
        )


def _drop_error(opened: "asyncio.Future[None]") -> None:
    if not opened.cancelled():
        opened.exception()


__all__ = ["SessionCore", "StatementChangedError"]
