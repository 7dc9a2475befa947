"""Preparing statements: on request, for strings with markers, and again where nodes forget.

Each query is prepared once per session and keyspace, however many ask for it at the same time. The
node that prepared it is asked directly; the others learn it in the background, and any that still
does not know it says so, which prepares it within the request's own life.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Mapping
from math import inf
from typing import Any
from weakref import WeakSet, WeakValueDictionary

from async_cassandra._exec.build import CallOptions, RequestBuilder, seconds_of
from async_cassandra._exec.cql import describe
from async_cassandra._exec.executor import Executor
from async_cassandra._exec.faults import prepare_timeout
from async_cassandra._exec.prepared import PreparedQuery
from async_cassandra._exec.request import Request
from async_cassandra._exec.schema_events import concerns
from async_cassandra._exec.statements import PreparedStatement
from async_cassandra._net.connection import Connection
from async_cassandra._net.errors import ConnectionLost
from async_cassandra._wire.responses import Prepared, Response
from async_cassandra.exceptions import QueryError, QueryTimeoutError

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
        self._flights: dict[Key, asyncio.Task[PreparedStatement]] = {}
        self._queries: WeakValueDictionary[bytes, PreparedQuery] = WeakValueDictionary()
        self._confirmed: WeakSet[PreparedQuery] = WeakSet()
        # A batch of the driver's class names a statement by its id alone.
        self._recent: deque[PreparedQuery] = deque(maxlen=MAX_STATEMENTS)
        self._teaching: set[asyncio.Task[None]] = set()

    def cached(self, keyspace: str | None, query: str) -> PreparedStatement | None:
        """The statement of a query that was prepared behind the scenes."""
        statement = self._cache.get((keyspace, query))
        if statement is not None:
            self._cache.move_to_end((keyspace, query))
        return statement

    def known(self, prepared_id: bytes) -> PreparedQuery | None:
        """The query that this session prepared under an id."""
        return self._queries.get(prepared_id)

    async def for_string(
        self, keyspace: str | None, query: str, options: CallOptions
    ) -> PreparedStatement:
        """Prepare behind the scenes; callers with the same query share one PREPARE.

        It has the timeout of the caller that started it; each other one waits for its own, and
        starts another if the first one's was shorter.

        Cancellation: the PREPARE goes on for the other callers.
        """
        loop = self._executor.loop
        timeout = seconds_of(options)
        deadline = loop.time() + timeout
        key = (keyspace, query)
        while (flight := self._flights.get(key)) is not None:
            left = deadline - loop.time()
            await asyncio.wait([flight], timeout=None if left == inf else max(left, 0.0))
            if not flight.done():
                raise prepare_timeout(query, timeout)
            if flight.cancelled() or not isinstance(flight.exception(), QueryTimeoutError):
                return flight.result()
        options.timeout = max(deadline - loop.time(), 0.001)
        flight = loop.create_task(self.prepare(keyspace, query, options))
        self._flights[key] = flight
        flight.add_done_callback(lambda done: self._landed(key, done))
        return await asyncio.shield(flight)

    def _landed(self, key: Key, flight: asyncio.Task[PreparedStatement]) -> None:
        del self._flights[key]
        if flight.cancelled() or flight.exception() is not None:
            return
        self._cache[key] = flight.result()
        if len(self._cache) > MAX_STATEMENTS:
            self._cache.popitem(last=False)

    async def prepare(
        self, keyspace: str | None, query: str, options: CallOptions
    ) -> PreparedStatement:
        """Prepare ``query``, whose unqualified names mean ``keyspace``."""
        request = self._builder.prepare(query, keyspace, options)
        response = await run(request)
        if response is None or response.prepared is None:
            raise QueryError("The retry policy ignores that the statement could not be prepared")
        prepared = self._known_as(query, keyspace, response.prepared)
        self._recent.append(prepared)
        for pool in self._executor.nodes.values() if self._on_all_nodes else ():
            if pool is not request.coordinator and pool.connections:
                self._teach_one(pool.connections[0], prepared)
        return PreparedStatement(prepared, self._builder.version)

    def _known_as(self, query: str, keyspace: str | None, answer: Prepared) -> PreparedQuery:
        """The query that the session has under the answer's id, if it still fits, else a new one."""
        known = self._queries.get(answer.prepared_id)
        if known is not None and known.keyspace == keyspace and known.renew(answer) is None:
            return known
        prepared = PreparedQuery(query, keyspace, answer, describe(query), self._executor.plans)
        self._queries[prepared.prepared_id] = prepared
        return prepared

    def _teach_one(
        self, connection: Connection, prepared: PreparedQuery
    ) -> asyncio.Future[Response] | None:
        if not connection.available:
            return None
        try:
            answer = connection.request(prepared.message(connection.keyspace))
        except ConnectionLost:
            return None
        answer.add_done_callback(_forget)
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

    def on_schema_change(self, event: Mapping[str, Any]) -> None:
        """Forget the strings that it concerns: their parameters may have other types now."""
        for key, statement in list(self._cache.items()):
            prepared = statement.prepared
            columns = (*prepared.bind_columns, *prepared.shape.columns)
            if concerns(event, prepared.query, columns):
                del self._cache[key]

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

    def close(self) -> None:
        """Stop what goes on in the background."""
        for task in [*self._teaching, *self._flights.values()]:
            task.cancel()


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


def _forget(answer: asyncio.Future[Response]) -> None:
    if not answer.cancelled():
        answer.exception()
