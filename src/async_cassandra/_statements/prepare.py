"""Preparing statements: on request, for strings with markers, and again on nodes that forget them.

Each query is prepared once per session and keyspace, however many callers ask for it at the same time.
One node prepares it directly; the others do so in the background, and one that still does not know it
says so, which prepares it within the life of that request.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from functools import partial
from math import inf
from typing import Any
from weakref import WeakSet

from async_cassandra._net.connection import NodeConnections
from async_cassandra._request.call import CallOptions
from async_cassandra._request.executor import Executor
from async_cassandra._request.faults import prepare_timeout
from async_cassandra._request.prepared import PreparedQuery, other_keyspace
from async_cassandra._request.request import Request
from async_cassandra._statements.build import RequestBuilder, seconds_of
from async_cassandra._statements.known import KnownQueries
from async_cassandra._statements.statements import Parameters, PreparedStatement
from async_cassandra._wire.binding import BoundValues
from async_cassandra._wire.responses import Prepared, Response
from async_cassandra.exceptions import (
    ParameterTypeError,
    ParameterValueError,
    QueryError,
    QueryTimeoutError,
    SessionClosedError,
)

MAX_STATEMENTS = 1024

type Key = tuple[str | None, str]


class Preparer:
    """Prepares the statements of one session.

    Concurrency: the loop's thread only.

    :param on_all_nodes: prepare on every node, rather than on each when it is first asked
    """

    def __init__(
        self,
        executor: Executor,
        builder: RequestBuilder,
        known: KnownQueries,
        *,
        on_all_nodes: bool = True,
    ) -> None:
        self._on_all_nodes = on_all_nodes
        self._executor = executor
        self._builder = builder
        self._known = known
        # Those of strings, the ones used last at the end, and those whose types were asked for twice.
        self._hidden: OrderedDict[Key, PreparedQuery] = OrderedDict()
        self._confirmed: WeakSet[PreparedQuery] = WeakSet()
        self._flights: dict[Key | PreparedQuery, asyncio.Task[Any]] = {}

    async def statement(
        self, keyspace: str | None, query: str, options: CallOptions
    ) -> PreparedStatement:
        """Prepare ``query``, whose unqualified names mean ``keyspace``, for the user."""
        return PreparedStatement._of(
            await self._prepare(keyspace, query, options), self._builder.version
        )

    # Strings

    async def string(self, keyspace: str | None, query: str, options: CallOptions) -> PreparedQuery:
        """Prepare a query behind the scenes, unless that was done before.

        Callers with the same query share one PREPARE. It has the timeout of the caller that started
        it; each other one waits for its own, and starts another if the first one's was shorter.

        Cancellation: the PREPARE goes on for the other callers.
        """
        # Whether it was prepared when the session's keyspace was the same must make no difference.
        session_keyspace = self._executor.keyspace
        if keyspace not in (None, session_keyspace) and not self._executor.can_name_keyspaces:
            raise other_keyspace(query, keyspace, session_keyspace)
        key = (keyspace, query)
        known = self.hidden(keyspace, query)
        if known is not None:
            return known

        async def prepare(left: CallOptions) -> PreparedQuery:
            prepared = await self._prepare(keyspace, query, left)
            self._hidden[key] = prepared
            self._hidden.move_to_end(key)
            if len(self._hidden) > MAX_STATEMENTS:
                self._hidden.popitem(last=False)
            return prepared

        prepared: PreparedQuery = await self._shared(key, query, prepare, options)
        return prepared

    async def bound_string(
        self, keyspace: str | None, query: str, parameters: Parameters, options: CallOptions
    ) -> tuple[PreparedQuery, BoundValues]:
        """Return a string's query, prepared behind the scenes, and its encoded parameters.

        Another client may have created the table again with other types, with its schema event still
        to come: an earlier statement is prepared once more before a parameter is refused.
        """
        known = self.hidden(keyspace, query)
        prepared = known or await self.string(keyspace, query, options)
        plan = prepared.bind_plan
        try:
            return prepared, prepared.bind(parameters)
        except (ParameterTypeError, ParameterValueError) as error:
            is_miscounted = error.index < 0
            if known is None or is_miscounted or self._has_confirmed(known):
                raise
            for key in [key for key, hidden in self._hidden.items() if hidden is known]:
                del self._hidden[key]
            prepared = await self.string(keyspace, query, options)
            if prepared.bind_plan.columns == plan.columns:
                # They are not read again: reading may have changed them.
                raise
        return prepared, prepared.bind(parameters)

    def hidden(self, keyspace: str | None, query: str) -> PreparedQuery | None:
        """Return a string's query; ``None`` if it must be prepared, for the first time or again."""
        prepared = self._hidden.get((keyspace, query))
        if prepared is None or not prepared.is_trusted:
            return None
        self._hidden.move_to_end((keyspace, query))
        return prepared

    def _has_confirmed(self, prepared: PreparedQuery) -> bool:
        """Whether a string's parameter types have been asked for again; the first call says no, and notes it.

        So an application whose parameters never fit prepares each string at most twice.
        """
        if prepared in self._confirmed:
            return prepared in self._hidden.values()
        self._confirmed.add(prepared)
        return False

    # Statements that were prepared before

    async def own(self, prepared: PreparedQuery, options: CallOptions) -> PreparedQuery:
        """Return this session's counterpart of a query, compared with what the server has if that is in doubt.

        Another session's query would go by that session's events, classes for user-defined types and keys for
        columns.

        :raises ~async_cassandra.exceptions.StatementChangedError: if it no longer fits
        """
        if prepared.plans is not self._executor.plans:
            prepared = await self.string(prepared.keyspace, prepared.query, options)
        while not prepared.is_trusted:
            prepared.check()
            await self._shared(prepared, prepared.query, partial(self._compare, prepared), options)
        return prepared

    async def _compare(self, prepared: PreparedQuery, options: CallOptions) -> None:
        doubts = prepared.doubts
        session_keyspace = self._executor.keyspace
        keyspace = prepared.keyspace if self._executor.can_name_keyspaces else session_keyspace
        is_elsewhere = prepared.keyspace not in (None, keyspace)
        try:
            answer, node = await self._ask(prepared.query, keyspace, options)
        except QueryError as error:
            if is_elsewhere and error.attempts and not isinstance(error, QueryTimeoutError):
                raise other_keyspace(prepared.query, prepared.keyspace, keyspace) from error
            raise
        if is_elsewhere and answer.prepared_id != prepared.prepared_id:
            raise other_keyspace(prepared.query, prepared.keyspace, keyspace)
        change = prepared.renew(answer, self._executor.flights.is_informed(node))
        if change is not None:
            raise change
        prepared.trust(doubts)

    # Asking a node

    async def _prepare(
        self, keyspace: str | None, query: str, options: CallOptions
    ) -> PreparedQuery:
        changes = self._known.changes
        answer, node = await self._ask(query, keyspace, options)
        prepared = self._known.learn(query, keyspace, answer, node)
        if self._known.changes != changes:
            # The server may have answered before the change.
            prepared.doubt()
        if self._on_all_nodes:
            self._known.teach_others(prepared, node)
        return prepared

    async def _ask(
        self, query: str, keyspace: str | None, options: CallOptions
    ) -> tuple[Prepared, NodeConnections]:
        """Send a PREPARE, to the node that reported the last schema change if it is connected."""
        informed = self._executor.flights.informed
        if informed is not None and informed.connections:
            others = (node for node in self._executor.nodes.values() if node is not informed)
            options = CallOptions(
                options.profile, timeout=options.timeout, pinned=(informed, *others)
            )
        request = self._builder.prepare(query, keyspace, options)
        response = await run(request)
        if response is None or response.prepared is None or request.coordinator is None:
            raise QueryError("The retry policy ignores that the statement could not be prepared")
        return response.prepared, request.coordinator

    async def _shared(
        self,
        key: Key | PreparedQuery,
        query: str,
        start: Callable[[CallOptions], Coroutine[Any, Any, Any]],
        options: CallOptions,
    ) -> Any:
        """Return the result of one task that all callers with the same ``key`` share."""
        loop = self._executor.loop
        timeout = seconds_of(options)
        deadline = loop.time() + timeout
        left = timeout
        while True:
            flight = self._flights.get(key)
            is_own = flight is None
            if flight is None:
                plain = CallOptions(options.profile, timeout=max(left, 0.001))
                flight = loop.create_task(start(plain))
                self._flights[key] = flight
                flight.add_done_callback(partial(self._landed, key))
            # Its own has the same deadline, and can say where the time went.
            await asyncio.wait([flight], timeout=None if is_own or left == inf else max(left, 0.0))
            left = deadline - loop.time()
            if not flight.done():
                raise prepare_timeout(query, timeout)
            if flight.cancelled():
                raise SessionClosedError("Session is closed")
            if is_own or left <= 0 or not isinstance(flight.exception(), QueryTimeoutError):
                return flight.result()

    def _landed(self, key: Key | PreparedQuery, flight: asyncio.Task[Any]) -> None:
        del self._flights[key]
        if not flight.cancelled():
            flight.exception()

    async def close(self) -> None:
        """Wait for the tasks that callers share, once every connection is closed and has failed them."""
        flights = list(self._flights.values())
        if flights:
            await asyncio.wait(flights)


async def run(request: Request) -> Response | None:
    """Start a request unless it has started, and return its response; ``None`` if a policy ignores its failure.

    Cancellation: the request is given up; see :meth:`.request.Request.cancel`.
    """
    try:
        await request
    except BaseException:
        request.let_go()
        raise
    return request.response
