"""Preparing statements: on request, for strings with markers, and again where nodes forget.

Each query is prepared once per session and keyspace, however many ask for it at the same time. The
node that prepared it is asked directly; the others learn it in the background, and any that still
does not know it says so, which prepares it within the request's own life.

A change of the schema has what it may concern doubted: compared with what the node says that told of
the change, before it is executed again. Where the node is not connected, or nodes do not agree yet,
the driver's refresh of its metadata, which waits for their agreement, has it compared once more.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from math import inf
from typing import Any
from weakref import WeakSet, WeakValueDictionary

from async_cassandra._cql.analysis import describe
from async_cassandra._net.connection import Connection, NodeConnections
from async_cassandra._net.errors import ConnectionLost
from async_cassandra._request.executor import Executor
from async_cassandra._request.faults import prepare_timeout
from async_cassandra._request.prepared import PreparedQuery, other_keyspace
from async_cassandra._request.request import Request
from async_cassandra._request.schema_events import concerns
from async_cassandra._statements.build import CallOptions, RequestBuilder, seconds_of
from async_cassandra._statements.statements import PreparedStatement
from async_cassandra._wire.responses import Prepared, Response
from async_cassandra.exceptions import QueryError, QueryTimeoutError, SessionClosedError

MAX_STATEMENTS = 1024
# Outstanding PREPAREs on a connection that is being taught what the session knows.
TEACHING_WINDOW = 16

type Key = tuple[str | None, str]


class Preparer:
    """The prepared statements of one session.

    Concurrency: the loop's thread only.

    :param on_all_nodes: prepare on every node, rather than on each when it is first asked
    :param on_opened: prepare again on each connection that opens
    """

    def __init__(
        self,
        executor: Executor,
        builder: RequestBuilder,
        *,
        on_all_nodes: bool = True,
        on_opened: bool = True,
    ) -> None:
        self._on_all_nodes = on_all_nodes
        self._on_opened = on_opened
        self._executor = executor
        self._builder = builder
        self._cache: OrderedDict[Key, PreparedStatement] = OrderedDict()
        self._flights: dict[Key | PreparedQuery, asyncio.Task[Any]] = {}
        self._queries: WeakValueDictionary[bytes, PreparedQuery] = WeakValueDictionary()
        # Those too whose id another one has by now.
        self._all: WeakSet[PreparedQuery] = WeakSet()
        self._changes = 0
        self._confirmed: WeakSet[PreparedQuery] = WeakSet()
        self._teaching: set[asyncio.Task[None]] = set()

    def cached(self, keyspace: str | None, query: str) -> PreparedStatement | None:
        """The statement of a query that was prepared behind the scenes; ``None`` if it is to be prepared again."""
        statement = self._cache.get((keyspace, query))
        if statement is None or not statement.prepared.is_trusted:
            return None
        self._cache.move_to_end((keyspace, query))
        return statement

    async def for_string(
        self, keyspace: str | None, query: str, options: CallOptions
    ) -> PreparedStatement:
        """Prepare behind the scenes; callers with the same query share one PREPARE.

        It has the timeout of the caller that started it; each other one waits for its own, and
        starts another if the first one's was shorter.

        Cancellation: the PREPARE goes on for the other callers.
        """
        key = (keyspace, query)

        async def prepare(left: CallOptions) -> PreparedStatement:
            statement = await self.prepare(keyspace, query, left)
            self._cache[key] = statement
            self._cache.move_to_end(key)
            if len(self._cache) > MAX_STATEMENTS:
                self._cache.popitem(last=False)
            return statement

        statement: PreparedStatement = await self._shared(key, query, prepare, options)
        return statement

    async def confirm(self, prepared: PreparedQuery, options: CallOptions) -> None:
        """Compare a doubted query with what the server has now; callers share one PREPARE, as in :meth:`for_string`.

        :raises ~async_cassandra.exceptions.StatementChangedError: if it no longer fits
        """
        while not prepared.is_trusted:
            prepared.check()

            async def compare(left: CallOptions) -> None:
                await self._compare(prepared, left)

            await self._shared(prepared, prepared.query, compare, options)

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

    async def _shared(
        self,
        key: Key | PreparedQuery,
        query: str,
        start: Callable[[CallOptions], Coroutine[Any, Any, Any]],
        options: CallOptions,
    ) -> Any:
        """What one task for all callers with the same ``key`` comes to."""
        loop = self._executor.loop
        timeout = seconds_of(options)
        deadline = loop.time() + timeout
        left = timeout
        while True:
            flight = self._flights.get(key)
            is_own = flight is None
            if flight is None:
                plain = CallOptions(options.profile)
                plain.timeout = max(left, 0.001)
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

    async def prepare(
        self, keyspace: str | None, query: str, options: CallOptions
    ) -> PreparedStatement:
        """Prepare ``query``, whose unqualified names mean ``keyspace``."""
        changes = self._changes
        answer, node = await self._ask(query, keyspace, options)
        prepared = self._known_as(query, keyspace, answer, node)
        if self._changes != changes:
            # The server may have answered before the change.
            prepared.doubt()
        for pool in self._executor.nodes.values() if self._on_all_nodes else ():
            if pool is not node and pool.connections:
                self._teach_one(pool.connections[0], prepared)
        return PreparedStatement._of(prepared, self._builder.version)

    async def _ask(
        self, query: str, keyspace: str | None, options: CallOptions
    ) -> tuple[Prepared, NodeConnections]:
        """What a PREPARE gives, on the node that told of the last change of the schema if it can be asked."""
        informed = self._executor.flights.informed
        if informed is not None and informed.connections:
            others = (node for node in self._executor.nodes.values() if node is not informed)
            options = options.pinned_to((informed, *others))
        request = self._builder.prepare(query, keyspace, options)
        response = await run(request)
        if response is None or response.prepared is None or request.coordinator is None:
            raise QueryError("The retry policy ignores that the statement could not be prepared")
        return response.prepared, request.coordinator

    def _known_as(
        self, query: str, keyspace: str | None, answer: Prepared, node: NodeConnections
    ) -> PreparedQuery:
        """The query that the session has under the answer's id, if it still fits, else a new one."""
        known = self._queries.get(answer.prepared_id)
        if known is not None and known.keyspace == keyspace:
            doubts = known.doubts
            if known.renew(answer, self._executor.flights.is_informed(node)) is None:
                known.trust(doubts)
                return known
        executor = self._executor
        prepared = PreparedQuery(
            query, keyspace, answer, describe(query), executor.plans, executor.statement_mark
        )
        self._queries[prepared.prepared_id] = prepared
        self._all.add(prepared)
        return prepared

    def _teach_one(
        self, connection: Connection, prepared: PreparedQuery
    ) -> asyncio.Future[Response] | None:
        is_elsewhere = prepared.keyspace not in (None, connection.keyspace)
        if not connection.available or (is_elsewhere and connection.version < 5):
            return None
        try:
            answer = connection.request(prepared.message(connection.keyspace))
        except ConnectionLost:
            return None
        answer.add_done_callback(partial(_learn, prepared))
        return answer

    def teach(self, connection: Connection) -> None:
        """Prepare, in the background, what this session uses on a node that may have restarted."""
        if self._on_opened and self._queries:
            task = self._executor.loop.create_task(
                self._teach(connection, list(self._queries.values()))
            )
            self._teaching.add(task)
            task.add_done_callback(self._teaching.discard)

    async def _teach(self, connection: Connection, queries: list[PreparedQuery]) -> None:
        for start in range(0, len(queries), TEACHING_WINDOW):
            answers = [
                answer
                for prepared in queries[start : start + TEACHING_WINDOW]
                if (answer := self._teach_one(connection, prepared)) is not None
            ]
            if not answers:
                return
            await asyncio.wait(answers)

    def on_schema_change(
        self, event: Mapping[str, Any], informed: NodeConnections | None = None
    ) -> None:
        """Doubt the queries that it concerns: their parameters may have other types now.

        :param event: as in :meth:`.control_plane.Listener.on_schema_change`
        :param informed: the node that told of it
        """
        self._changes += 1
        if informed is not None:
            self._executor.flights.informed = informed
        for prepared in list(self._all):
            columns = (*prepared.bind_columns, *prepared.shape.columns)
            if concerns(event, prepared.query, columns):
                prepared.doubt()

    def forget(self, statement: PreparedStatement) -> None:
        """Forget a string's statement that no longer fits."""
        for key, known in list(self._cache.items()):
            if known is statement:
                del self._cache[key]

    def has_confirmed(self, statement: PreparedStatement) -> bool:
        """Whether a string's parameter types have been asked for once more; the first time, they are to be.

        An application whose parameters never fit thus prepares each string twice at most.
        """
        if statement.prepared in self._confirmed:
            return statement in self._cache.values()
        self._confirmed.add(statement.prepared)
        return False

    def stop_teaching(self) -> None:
        """Stop what goes on in the background."""
        for task in self._teaching:
            task.cancel()

    async def close(self) -> None:
        """Wait for what callers share, once every connection is closed and has failed it."""
        flights = list(self._flights.values())
        if flights:
            await asyncio.wait(flights)


async def run(request: Request) -> Response | None:
    """Start a request, if nobody has, and wait for its response; ``None`` if a retry policy ignores its failure.

    Cancellation: the request is given up; see :meth:`.request.Request.cancel`.
    """
    try:
        await request
    except BaseException:
        request.let_go()
        raise
    return request.response


def _learn(prepared: PreparedQuery, answer: asyncio.Future[Response]) -> None:
    """Compare what a node said that was taught a query: it takes bytes of other types from then on."""
    if answer.cancelled() or answer.exception() is not None:
        return
    response = answer.result()
    if response.prepared is not None:
        prepared.renew(response.prepared, False)
