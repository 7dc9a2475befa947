"""What a session is made of, and how a statement of any kind becomes a request of it.

Prepared statements take the short way through :meth:`.build.RequestBuilder.prepared`; everything
else is brought to a message by :meth:`SessionCore.resolve`, which may have to prepare first.
"""

import asyncio
import os
import secrets
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from cassandra.pool import Host
from cassandra.query import BatchStatement as DriverBatchStatement
from cassandra.query import BatchType, SimpleStatement
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
from async_cassandra._exec.keyspace import SessionKeyspace
from async_cassandra._exec.literals import LiteralEncoder, write_parameters
from async_cassandra._exec.nodes import Nodes
from async_cassandra._exec.prepare import Preparer, run
from async_cassandra._exec.prepared import PreparedQuery, other_keyspace
from async_cassandra._exec.records import record_type
from async_cassandra._exec.request import Request
from async_cassandra._exec.statements import (
    BatchStatement,
    BoundStatement,
    Parameters,
    Payload,
    PreparedId,
    PreparedStatement,
    has_types_of,
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

    async def resolve(self, query: Any, parameters: Parameters, options: CallOptions) -> Request:
        """The request of any statement; may have to prepare first, within the same timeout.

        :raises TypeError: if ``query`` is no statement
        """
        started = self.loop.time()
        used_keyspace = _used_keyspace(query)
        if used_keyspace is not None:
            return await self._use(query, used_keyspace, parameters, options)
        keyspace = await self.keyspaces.enter(seconds_of(options))
        try:
            request = await self._request_of(query, parameters, keyspace, options)
        finally:
            self.keyspaces.leave()
        request.spent = self.loop.time() - started
        return request

    async def _use(
        self, query: Any, keyspace: str, parameters: Parameters, options: CallOptions
    ) -> Request:
        """The request of a USE, once the session has its keyspace."""
        _refuse_parameters(parameters)
        for name, given in (
            ("host", options.pinned),
            ("trace", options.trace),
            ("custom_payload and execute_as", options.custom_payload),
            ("paging_state", not options.wants_all and not options.is_stream),
        ):
            if given:
                raise ConfigurationError(
                    f"{name}: USE changes the keyspace of the whole session, and takes none"
                )
        await self.keyspaces.change(keyspace, seconds_of(options))
        statement = SimpleStatement(_text_of(query))
        return self.builder.answered(statement, keyspace, options)

    async def _request_of(
        self, query: Any, parameters: Parameters, keyspace: str | None, options: CallOptions
    ) -> Request:
        match query:
            case str():
                unmarked = SimpleStatement(query, is_idempotent=None)
                return await self._string(unmarked, query, parameters, keyspace, options)
            case BoundStatement():
                _refuse_parameters(parameters)
                prepared, bound = query.prepared_statement.prepared, query.bound
                if not prepared.is_ready(self.plans):
                    prepared, bound = await self._own(prepared, bound, options)
                return self.builder.execute(query, prepared, bound, options)
            case DriverBoundStatement():
                _refuse_parameters(parameters)
                return await self._foreign_bound(query, keyspace, options)
            case PreparedStatement():
                # Its values are to be bound by the types that the server has.
                prepared = await self._own_query(query.prepared, options)
                bound = prepared.bind(parameters)
                return self.builder.execute(query, prepared, bound, options)
            case DriverPreparedStatement():
                statement = await self._adopt(query, keyspace, options)
                bound = statement.prepared.bind(parameters)
                return self.builder.execute(query, statement.prepared, bound, options)
            case DriverBatchStatement():
                _refuse_parameters(parameters)
                return await self._batch(query, keyspace, options)
            case SimpleStatement():
                return await self._string(
                    query, query.query_string, parameters, query.keyspace or keyspace, options
                )
        raise TypeError(
            "query takes a str, SimpleStatement, PreparedStatement, BoundStatement or "
            f"BatchStatement, not {type(query).__name__}"
        )

    async def _string(
        self,
        statement: SimpleStatement,
        text: str,
        parameters: Parameters,
        keyspace: str | None,
        options: CallOptions,
    ) -> Request:
        info = _described(text)
        if parameters is not None and info.markers in _PREPARED_MARKERS:
            prepared, bound = await self._bound_string(keyspace, text, parameters, options)
            return self.builder.execute(statement, prepared.prepared, bound, options)
        if parameters is not None:
            text, info = self._formatted(text, info, parameters)
        return self.builder.query(statement, text, info, keyspace, options)

    def _formatted(
        self, text: str, info: StatementInfo, parameters: Sequence[Any] | Mapping[str, Any]
    ) -> tuple[str, StatementInfo]:
        """A string with its parameters written into it, and what it says then."""
        formatted = write_parameters(text, parameters, info.markers, self.encoder)
        return formatted, formatted_info(info, parameters, formatted, self.encoder)

    async def _prepared_string(
        self, keyspace: str | None, text: str, options: CallOptions
    ) -> PreparedStatement:
        # Whether it was prepared when the session's keyspace was the same must make no difference.
        if keyspace not in (None, self.keyspace) and not self.executor.can_name_keyspaces:
            raise other_keyspace(text, keyspace, self.keyspace)
        statement = self.preparer.cached(keyspace, text)
        return statement or await self.preparer.for_string(keyspace, text, options)

    async def _bound_string(
        self, keyspace: str | None, text: str, parameters: Parameters, options: CallOptions
    ) -> tuple[PreparedStatement, BoundValues]:
        """A string's hidden statement and its encoded parameters.

        Another client may have created the table again with other types, and its schema event is
        still to come: what was prepared before is prepared once more before a parameter is refused.
        """
        known = self.preparer.cached(keyspace, text)
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

    async def _own_query(self, prepared: PreparedQuery, options: CallOptions) -> PreparedQuery:
        """This session's counterpart of a query, compared with what the server has.

        Of another session, the events that it hears would be that one's, and so would its classes for user-defined
        types, and its keys for columns.
        """
        if prepared.plans is not self.plans:
            own = await self._prepared_string(prepared.keyspace, prepared.query, options)
            prepared = own.prepared
        if not prepared.is_trusted:
            await self.preparer.confirm(prepared, options)
        return prepared

    async def _own(
        self, prepared: PreparedQuery, bound: BoundValues, options: CallOptions
    ) -> tuple[PreparedQuery, BoundValues]:
        """The same with values that were bound before."""
        own = await self._own_query(prepared, options)
        if own is prepared:
            return prepared, bound
        if own.bind_columns != prepared.bind_columns:
            raise StatementChangedError(
                "The schema changed since another session prepared this statement: its parameters have other "
                f"types now. Nothing was executed. Prepare it again: {prepared.query[:200]}"
            )
        return own, own.bind_encoded(bound.encoded_values())

    async def _adopt(
        self, foreign: DriverPreparedStatement, keyspace: str | None, options: CallOptions
    ) -> PreparedStatement:
        """Our counterpart of a statement that the driver prepared."""
        keyspace = foreign.keyspace or keyspace
        return await self._prepared_string(keyspace, foreign.query_string, options)

    async def _foreign_bound(
        self, bound: DriverBoundStatement, keyspace: str | None, options: CallOptions
    ) -> Request:
        prepared, values = await self._adopted(bound, keyspace, options)
        return self.builder.execute(bound, prepared, values, options)

    async def _adopted(
        self, bound: DriverBoundStatement, keyspace: str | None, options: CallOptions
    ) -> tuple[PreparedQuery, BoundValues]:
        """Our counterpart of a statement that the driver prepared, and the values that it has encoded."""
        foreign = bound.prepared_statement
        prepared = (await self._adopt(foreign, keyspace, options)).prepared
        if not has_types_of(foreign, prepared):
            raise StatementChangedError(
                "The schema changed since the driver prepared this statement: its parameters have other "
                f"types now. Nothing was executed. Prepare it again: {prepared.query[:200]}"
            )
        return prepared, prepared.bind_encoded(bound.values)

    async def _batch(
        self, batch: DriverBatchStatement, keyspace: str | None, options: CallOptions
    ) -> Request:
        entries: list[tuple[str | bytes, bytes]] = []
        queries: dict[bytes, PreparedQuery] = {}
        counts = batch.batch_type is BatchType.COUNTER
        repetition: int = Repetition.NEVER if counts else Repetition.HARMLESS
        keyspace = batch.keyspace or keyspace
        has_strings = False
        deadline = self.loop.time() + seconds_of(options)
        for _, statement, values in batch._statements_and_parameters:
            if isinstance(statement, PreparedStatement):
                prepared, bound = statement.prepared, values
                if not prepared.is_ready(self.plans):
                    left = self._left(options, deadline)
                    prepared, bound = await self._own(prepared, bound, left)
                payload = bound.payload
            elif isinstance(statement, str) and not (values and _is_to_prepare(statement)):
                info = _described(statement)
                if values:
                    statement, info = self._formatted(statement, info, values)
                repetition = min(repetition, info.repetition)
                entries.append((statement, NO_VALUES))
                has_strings = True
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
        request = self.builder.batch(
            batch, entries, queries, repetition, keyspace, has_strings, options
        )
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
        left = self._left(options, deadline)
        if isinstance(statement, BoundStatement):
            prepared, bound = await self._own(
                statement.prepared_statement.prepared, statement.bound, left
            )
            return prepared, bound.payload
        if isinstance(statement, DriverBoundStatement):
            prepared, bound = await self._adopted(statement, keyspace, left)
            return prepared, bound.payload
        if isinstance(statement, bytes):
            if not isinstance(statement, PreparedId):
                raise ConfigurationError(
                    "a batch holds a statement that the driver prepared, and only its id: prepare it "
                    "with this session, or use async_cassandra's BatchStatement"
                )
            encoded = statement.prepared.bind_encoded(values)
            prepared, bound = await self._own(statement.prepared, encoded, left)
            return prepared, bound.payload
        hidden, bound = await self._bound_string(keyspace, statement, values, left)
        return hidden.prepared, bound.payload

    def _left(self, options: CallOptions, deadline: float) -> CallOptions:
        """Options that leave a PREPARE the time until ``deadline``."""
        left = CallOptions(options.profile)
        left.timeout = max(deadline - self.loop.time(), 0.001)
        return left

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

    async def prepare(
        self, query: str, options: CallOptions, keyspace: str | None = None
    ) -> PreparedStatement:
        """Prepare a statement for the user; its keyspace is the session's if it is not given."""
        current = await self.keyspaces.enter(seconds_of(options))
        try:
            return await self.preparer.prepare(keyspace or current, query, options)
        finally:
            self.keyspaces.leave()

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


NO_VALUES = b"\x00\x00"


def formatted_info(
    info: StatementInfo,
    parameters: Sequence[Any] | Mapping[str, Any],
    formatted: str,
    encoder: LiteralEncoder,
) -> StatementInfo:
    """What a string says with its parameters written into it, where they can make a difference."""
    if not info.joins_text:
        if info.repetition in (Repetition.READ, Repetition.NEVER):
            return info
        plain = parameters.values() if isinstance(parameters, Mapping) else parameters
        if info.repetition is Repetition.HARMLESS and all(map(encoder.is_plain, plain)):
            return info
    return _described(formatted, analyze)


def _described(text: str, reader: Callable[[str], StatementInfo] = describe) -> StatementInfo:
    try:
        return reader(text)
    except MixedMarkersError as error:
        raise ParameterValueError(f"query: {error}", error) from error


def _text_of(query: Any) -> str:
    """The CQL of one statement of any class; empty for a batch, and for what is not a statement."""
    statement = getattr(query, "prepared_statement", query)
    text = statement if isinstance(statement, str) else getattr(statement, "query_string", None)
    return text if isinstance(text, str) else ""


def _used_keyspace(query: Any) -> str | None:
    """The keyspace that a USE names, whatever its class; ``None`` for any other statement."""
    statement = getattr(query, "prepared_statement", query)
    if isinstance(statement, PreparedStatement):
        return statement.prepared.used_keyspace
    return _described(_text_of(statement)).keyspace_change


def _is_to_prepare(text: str) -> bool:
    return _described(text).markers in _PREPARED_MARKERS


def _refuse_parameters(parameters: Parameters) -> None:
    if parameters:
        raise ParameterValueError(
            "parameters: the statement has its values already; pass them to bind() or add()"
        )


def _drop_error(opened: "asyncio.Future[None]") -> None:
    if not opened.cancelled():
        opened.exception()


__all__ = ["SessionCore", "StatementChangedError"]
