"""The session: where statements are executed."""

import asyncio
from typing import TYPE_CHECKING, Any, Self

from cassandra.encoder import Encoder
from cassandra.pool import Host
from cassandra.query import BatchStatement

from async_cassandra._closing import AsyncClosing
from async_cassandra._driver.cluster_names import EXEC_PROFILE_DEFAULT
from async_cassandra._request.call import CallOptions
from async_cassandra._request.request import Request
from async_cassandra._results.records import RowT
from async_cassandra._results.result_set import AsyncResultSet, result_of, whole_result
from async_cassandra._session.core import SessionCore
from async_cassandra._session.picture import NodeStats, SessionStats, node_of, picture_of
from async_cassandra._session_settings import SessionSettings
from async_cassandra._statements.build import seconds_of
from async_cassandra._statements.prepare import run
from async_cassandra._statements.statements import (
    AnyStatement,
    BoundStatement,
    Parameters,
    Payload,
    PreparedStatement,
)
from async_cassandra.exceptions import (
    SURROGATES,
    ConfigurationError,
    StatementChangedError,
    shown,
)
from async_cassandra.metrics import MetricsMiddleware
from async_cassandra.streaming import AsyncStreamingResultSet, StreamConfig

if TYPE_CHECKING:
    from async_cassandra.cluster import AsyncCluster

__all__ = ["AsyncCassandraSession", "AsyncSession"]

CLOSE_GRACE = 5.0


class AsyncCassandraSession(SessionSettings, AsyncClosing):
    """Executes statements on a cluster, in the event loop that connected it.

    Get one from :meth:`AsyncCluster.connect`. Concurrency: any number of tasks of that loop at
    once.
    """

    _cluster: "AsyncCluster"
    _metrics: MetricsMiddleware | None
    _closing: asyncio.Task[None] | None = None

    def __init__(self) -> None:
        """Refused: a session comes from a cluster, connected."""
        raise TypeError("get a session from AsyncCluster.connect()")

    @classmethod
    def _of(
        cls, cluster: "AsyncCluster", core: SessionCore, metrics: MetricsMiddleware | None
    ) -> Self:
        session = cls.__new__(cls)
        session._cluster = cluster
        session._core = core
        session._metrics = metrics
        return session

    @classmethod
    async def create(
        cls, cluster: "AsyncCluster", keyspace: str | None = None
    ) -> "AsyncCassandraSession":
        """Connect; the same as ``await cluster.connect(keyspace)``."""
        return await cluster.connect(keyspace)

    @property
    def cluster(self) -> "AsyncCluster":
        """The cluster that opened this session."""
        return self._cluster

    @property
    def keyspace(self) -> str | None:
        """The keyspace for unqualified names, in the server's spelling; ``None`` for none."""
        return self._core.keyspace

    @property
    def encoder(self) -> Encoder:
        """The encoder that writes parameters into strings for ``%s``; its ``mapping`` may be changed.

        ``session.encoder.mapping[tuple] = session.encoder.cql_encode_tuple`` writes tuples as tuples,
        not as lists.
        """
        return self._core.encoder

    @encoder.setter
    def encoder(self, encoder: object) -> None:
        raise ConfigurationError("encoder cannot be replaced: change its mapping instead")

    @property
    def is_closed(self) -> bool:
        """Whether :meth:`close` was called, or the process was forked."""
        return self._core.unusable is not None

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "open"
        nodes = ", ".join(map(repr, self._core.nodes.pools.values()))
        return f"<{type(self).__name__} {state} keyspace={self.keyspace!r} nodes=[{nodes}]>"

    def stats(self) -> SessionStats:
        """Return what the session is doing and has done so far; ``print`` it to read it."""
        return picture_of(self._core)

    def _node(self, host: Host) -> NodeStats | None:
        """One node of :meth:`stats`; ``None`` if the session does not use it."""
        return node_of(self._core, host)

    async def execute(
        self,
        query: AnyStatement,
        parameters: Parameters = None,
        trace: bool = False,
        custom_payload: Payload = None,
        timeout: float | None = None,  # noqa: ASYNC109  it bounds each page, not the call
        execution_profile: object = EXEC_PROFILE_DEFAULT,
        paging_state: bytes | None = None,
        host: Host | str | None = None,
        execute_as: str | None = None,
        *,
        row: type[RowT] | None = None,
    ) -> AsyncResultSet[RowT]:
        """Execute a statement and return every row, or one page if ``paging_state`` is given.

        Parameters are bound by position (sequence) or name (mapping) to ``?`` and ``:name``. This works
        in strings too: they are prepared once behind the scenes. ``%s`` and ``%(name)s`` are written
        into the string, as the driver does.

        Cancellation: the request's place is free at once, its stream id once the server has
        answered; a write may have been applied.

        :param query: a string, or a simple, prepared, bound or batch statement
        :param trace: have the server trace it; see :meth:`AsyncResultSet.get_query_trace`
        :param custom_payload: for a custom query handler on the server
        :param timeout: seconds for each page, its retries included, above 0; ``None`` for the
            profile's timeout (10 s), ``math.inf`` for no limit
        :param execution_profile: its name or the object
        :param paging_state: the token of a page, from :attr:`AsyncResultSet.paging_state`; ``b""``
            for the first page
        :param host: the only node to ask, as the driver's ``Host``, ``"address"`` or
            ``"address:port"``
        :param execute_as: the role to execute as, if the server supports it
        :param row: the type of each row: a dataclass, pydantic model, msgspec Struct, attrs class,
            TypedDict or named tuple with the columns' names, ``dict``, ``tuple``, or the type of the
            only column
        :raises ~async_cassandra.exceptions.QueryError: what the server reports; also the driver's
            class for it
        :raises ~async_cassandra.exceptions.QueryTimeoutError: if the timeout has passed
        :raises ~async_cassandra.exceptions.OverloadedError: if too many requests are waiting already
        :raises ~async_cassandra.exceptions.RowTypeError: if the columns are not the fields of ``row``
        :raises ~async_cassandra.exceptions.ParameterTypeError: if a value's type does not fit
        :raises ~async_cassandra.exceptions.ParameterValueError: if a value is out of range, or
            there are too many
        :raises ~async_cassandra.exceptions.ConnectionError: if the session is closed or belongs to
            another loop
        """
        core = self._core
        if (
            timeout is None
            and paging_state is None
            and row is None
            and host is None
            and custom_payload is None
            and execute_as is None
            and execution_profile is EXEC_PROFILE_DEFAULT
            and not trace
        ):
            options = core.calls.default_options
        else:
            options = core.calls.options(
                trace=trace,
                custom_payload=custom_payload,
                timeout=timeout,
                execution_profile=execution_profile,
                paging_state=paging_state,
                host=host,
                execute_as=execute_as,
                row=row,
            )
        request = core.builder.prepared(query, parameters, options)
        if request is None:
            request = await core.calls.request(query, parameters, options)
        else:
            # They are encoded: a large value need not live as long as the request.
            parameters = None
        try:
            await request
        except StatementChangedError:
            request = await self._once_more(request, query, parameters, options)
        except BaseException:
            request.let_go()
            raise
        result = whole_result(request, core.traces)
        return await self._completed(request, options) if result is None else result

    async def _once_more(
        self, request: Request, query: AnyStatement, parameters: Parameters, options: CallOptions
    ) -> Request:
        """Execute strings again whose hidden prepared statements no longer fitted the schema.

        Nothing had been executed.
        """
        if isinstance(query, PreparedStatement | BoundStatement):
            await run(request)
            return request
        again = await self._core.calls.request(query, parameters, options)
        await run(again)
        return again

    async def _completed(self, request: Request, options: CallOptions) -> AsyncResultSet[Any]:
        """Act on the response, fetch the pages left, each with its own timeout, and return the result."""
        response = request.response
        assert response is not None
        if response.page is None:
            await self._core.agreement.follow(response, request.coordinator)
            return result_of(request, response, self._core.traces)
        pages = [response.page]
        warnings: list[str] = []
        next_state = response.paging_state
        while next_state is not None and options.wants_all:
            request = request.next_page(next_state)
            another = await run(request)
            if another is None or another.page is None:
                break
            pages.append(another.page)
            warnings += another.warnings or ()
            next_state = another.paging_state
        return result_of(request, response, self._core.traces, tuple(pages), next_state, warnings)

    async def execute_stream(
        self,
        query: AnyStatement,
        parameters: Parameters = None,
        stream_config: StreamConfig | None = None,
        trace: bool = False,
        custom_payload: Payload = None,
        timeout: float | None = None,  # noqa: ASYNC109  it bounds each page, not the call
        execution_profile: object = EXEC_PROFILE_DEFAULT,
        paging_state: bytes | None = None,
        host: Host | str | None = None,
        execute_as: str | None = None,
        *,
        row: type[RowT] | None = None,
    ) -> AsyncStreamingResultSet[RowT]:
        """Execute a statement and read its rows as a stream; return when the first page has arrived.

        Cancellation, and the parameters not listed here, are as in :meth:`execute`.

        :param stream_config: page size and limits; without one, the statement's ``fetch_size``
            applies
        :param timeout: seconds for each page; ``stream_config.timeout_seconds`` takes precedence
        :param paging_state: where to continue, from :attr:`AsyncStreamingResultSet.paging_state`
        :raises ~async_cassandra.exceptions.QueryError: as in :meth:`execute`, for the first page
        """
        core = self._core
        core.check_usable()
        config = stream_config if stream_config is not None else StreamConfig()
        if config.timeout_seconds is not None:
            timeout = config.timeout_seconds
        options = core.calls.options(
            trace=trace,
            custom_payload=custom_payload,
            timeout=timeout,
            execution_profile=execution_profile,
            paging_state=paging_state,
            host=host,
            execute_as=execute_as,
            row=row,
            is_stream=True,
            fetch_size=config.fetch_size if stream_config is not None else None,
        )
        request = core.builder.prepared(query, parameters, options)
        if request is None:
            request = await core.calls.request(query, parameters, options)
        response = await run(request)
        if response is not None and response.page is None:
            await core.agreement.follow(response, request.coordinator)
        return AsyncStreamingResultSet._of(request, response, config)

    async def execute_batch(
        self,
        batch_statement: BatchStatement,
        trace: bool = False,
        custom_payload: Payload = None,
        timeout: float | None = None,  # noqa: ASYNC109  it bounds the request
        execution_profile: object = EXEC_PROFILE_DEFAULT,
    ) -> AsyncResultSet:
        """Execute a batch; the same as passing it to :meth:`execute`.

        :raises TypeError: if it is not a batch
        """
        if not isinstance(batch_statement, BatchStatement):
            raise TypeError(
                f"batch_statement takes a BatchStatement, not {type(batch_statement).__name__}"
            )
        return await self.execute(
            batch_statement,
            trace=trace,
            custom_payload=custom_payload,
            timeout=timeout,
            execution_profile=execution_profile,
        )

    async def prepare(
        self,
        query: str,
        custom_payload: Payload = None,
        timeout: float | None = None,  # noqa: ASYNC109  it bounds the request
        *,
        keyspace: str | None = None,
    ) -> PreparedStatement:
        """Prepare a statement for the life of the session; it is prepared again on nodes that forget it.

        :param timeout: seconds, above 0; ``None`` for the profile's
        :param keyspace: the keyspace for unqualified names, in the server's spelling, with protocol v5;
            ``None`` for the session's
        :raises ~async_cassandra.exceptions.ConfigurationError: if, with protocol v4, the keyspace is not
            the session's
        :raises ~async_cassandra.exceptions.QueryError: if the server refuses it; also the driver's
            class
        """
        core = self._core
        core.check_usable()
        if not isinstance(query, str):
            raise TypeError(f"query takes a str, not {type(query).__name__}")
        options = core.calls.options(custom_payload=custom_payload, timeout=timeout)
        return await core.calls.prepare(query, options, self._own_keyspace(keyspace))

    def _own_keyspace(self, keyspace: str | None) -> str | None:
        """Return the keyspace of a statement, which protocol v4 cannot express."""
        if keyspace is None:
            return None
        name = exact_keyspace(keyspace)
        if self._core.version < 5 and name != self.keyspace:
            raise ConfigurationError(
                f"keyspace={keyspace!r} needs protocol v5, and this server has v4: qualify the "
                "names in the statement, or use a session with that keyspace"
            )
        return name

    async def set_keyspace(self, keyspace: str) -> None:
        """Make ``keyspace`` the one for unqualified names, on every connection.

        :param keyspace: in the server's spelling; quotes around it are removed
        :raises ~async_cassandra.exceptions.QueryError: if it does not exist
        """
        self._core.check_usable()
        core = self._core
        name = exact_keyspace(keyspace)
        await core.keyspaces.change(name, seconds_of(core.calls.default_options))

    async def close(self, *, grace: float = CLOSE_GRACE) -> None:
        """Refuse new requests, wait for those under way, close the connections; can be called again.

        Cancellation: the session goes on closing.

        :param grace: seconds to wait for requests under way, 0 or more; after that they fail with
            ConnectionError
        """
        if self._closing is None:
            self._closing = asyncio.get_running_loop().create_task(self._close(grace))
        await asyncio.shield(self._closing)

    async def _close(self, grace: float) -> None:
        await self._core.close(grace)
        await self._cluster._session_closed(self)


def exact_keyspace(keyspace: object) -> str:
    """Return a keyspace's name as the server spells it.

    :raises ~async_cassandra.exceptions.ConfigurationError: if it is not a name
    """
    if not isinstance(keyspace, str) or not keyspace:
        raise ConfigurationError(f"keyspace takes a name, not {shown(keyspace)}")
    return unquoted(keyspace)


def unquoted(name: str) -> str:
    """Return a name without the quotes that CQL may need around it.

    :raises ~async_cassandra.exceptions.ConfigurationError: if it is not valid text
    """
    if SURROGATES.search(name) is not None:
        raise ConfigurationError("the keyspace cannot be encoded as UTF-8")
    if len(name) > 1 and name.startswith('"') and name.endswith('"'):
        return name[1:-1].replace('""', '"')
    return name


AsyncSession = AsyncCassandraSession
