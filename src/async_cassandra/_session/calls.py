"""Turns what the user passes to a call into the request that is sent."""

from collections.abc import Callable
from typing import Any

from cassandra.pool import Host
from cassandra.query import SimpleStatement

from async_cassandra._driver.cluster_names import EXEC_PROFILE_DEFAULT
from async_cassandra._driver.control_plane import ControlPlane
from async_cassandra._driver.request_settings import checked_payload, checked_timeout
from async_cassandra._net.pool import NodePool
from async_cassandra._request.call import CallOptions
from async_cassandra._request.request import Request
from async_cassandra._results.records import record_type
from async_cassandra._session.keyspace import SessionKeyspace
from async_cassandra._session.nodes import Nodes
from async_cassandra._statements.build import RequestBuilder, seconds_of
from async_cassandra._statements.prepare import Preparer
from async_cassandra._statements.resolver import Resolver, refuse_parameters
from async_cassandra._statements.statements import (
    Parameters,
    Payload,
    PreparedStatement,
    described,
)
from async_cassandra.exceptions import ConfigurationError

EXECUTE_AS = "ProxyExecute"


class Calls:
    """The calls of one session: their options, and the keyspace for their unqualified names.

    Concurrency: the loop's thread only.

    :ivar default_options: those of a call that sets none
    """

    def __init__(
        self,
        control: ControlPlane,
        builder: RequestBuilder,
        preparer: Preparer,
        resolver: Resolver,
        keyspaces: SessionKeyspace,
        nodes: Nodes,
    ) -> None:
        self._control = control
        self._builder = builder
        self._preparer = preparer
        self._resolver = resolver
        self._keyspaces = keyspaces
        self._nodes = nodes
        self._loop = builder.executor.loop
        self.default_options: CallOptions = CallOptions(control.profile(EXEC_PROFILE_DEFAULT))
        self.timestamp_generator: Callable[[], int] | None = None
        self.uses_client_timestamps: bool = True

    def choose_timestamps(self) -> None:
        """Make writes carry the timestamps of the session's generator, or else the cluster's, or none."""
        generator = self.timestamp_generator or self._control.timestamp_generator
        self._builder.timestamps = generator if self.uses_client_timestamps else None

    def options(
        self,
        *,
        trace: bool = False,
        custom_payload: Payload = None,
        timeout: float | None = None,
        execution_profile: object = EXEC_PROFILE_DEFAULT,
        paging_state: bytes | None = None,
        host: Host | str | None = None,
        execute_as: str | None = None,
        row: Any = None,
        is_stream: bool = False,
        fetch_size: int | None = None,
    ) -> CallOptions:
        """Check what one call asks for.

        :raises ~async_cassandra.exceptions.ConfigurationError: naming the argument that is not
            valid
        """
        if execution_profile is EXEC_PROFILE_DEFAULT:
            profile = self.default_options.profile
        else:
            profile = self._control.profile(execution_profile)
        if trace and trace is not True:
            raise ConfigurationError(
                f"trace takes True or False, not {trace!r}; set the type of rows with row=..."
            )
        options = CallOptions(
            profile, timeout=None if timeout is None else checked_timeout(timeout)
        )
        options.trace = trace
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
        if is_stream:
            options.is_stream = True
            options.wants_all = False
            options.fetch_size = fetch_size
        return options

    def _pinned(self, host: Host | str) -> tuple[NodePool, ...]:
        pinned = self._nodes.pinned(host)
        if not pinned:
            # A closed session connects to none, and that is what its user must hear.
            self._builder.executor.refuse()
            known = ", ".join(sorted(pool.endpoint for pool in self._nodes.pools.values()))
            raise ConfigurationError(f"host {host} is not one that this session uses ({known})")
        return pinned

    async def request(self, query: Any, parameters: Parameters, options: CallOptions) -> Request:
        """Build the request of any statement; may prepare it first, within the same timeout.

        :raises TypeError: if ``query`` is not a statement
        """
        started = self._loop.time()
        used_keyspace = _used_keyspace(query)
        if used_keyspace is not None:
            return await self._use(query, used_keyspace, parameters, options)
        keyspace = await self._keyspaces.enter(seconds_of(options))
        try:
            request = await self._resolver.request(query, parameters, keyspace, options)
        finally:
            self._keyspaces.leave()
        request.spent = self._loop.time() - started
        return request

    async def _use(
        self, query: Any, keyspace: str, parameters: Parameters, options: CallOptions
    ) -> Request:
        """Return the request of a USE, once the session has its keyspace."""
        refuse_parameters(parameters)
        for name, given in (
            ("host", options.pinned),
            ("trace", options.trace),
            ("custom_payload and execute_as", options.custom_payload),
            ("paging_state", not options.wants_all and not options.is_stream),
        ):
            if given:
                raise ConfigurationError(
                    f"{name}: USE changes the keyspace of the whole session, and does not accept it"
                )
        await self._keyspaces.change(keyspace, seconds_of(options))
        statement = SimpleStatement(_text_of(query))
        return self._builder.answered(statement, keyspace, options)

    async def prepare(
        self, query: str, options: CallOptions, keyspace: str | None = None
    ) -> PreparedStatement:
        """Prepare a statement for the user; its keyspace is the session's if it is not given."""
        current = await self._keyspaces.enter(seconds_of(options))
        try:
            return await self._preparer.statement(keyspace or current, query, options)
        finally:
            self._keyspaces.leave()


def _text_of(query: Any) -> str:
    """Return the CQL of one statement of any class; empty for a batch, or if it is not a statement."""
    statement = getattr(query, "prepared_statement", query)
    text = statement if isinstance(statement, str) else getattr(statement, "query_string", None)
    return text if isinstance(text, str) else ""


def _used_keyspace(query: Any) -> str | None:
    """Return the keyspace that a USE names, whatever its class; ``None`` for any other statement."""
    statement = getattr(query, "prepared_statement", query)
    if isinstance(statement, PreparedStatement):
        return statement.prepared.used_keyspace
    return described(_text_of(statement)).keyspace_change
