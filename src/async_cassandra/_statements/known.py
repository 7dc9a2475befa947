"""The queries that one session has prepared, and what schema changes do to them.

A schema change makes the queries that it may affect doubtful: before the next execution, each is
compared with what the node that reported the change says. If that node is not connected, or the nodes
do not agree yet, they are compared again after the driver's metadata refresh, which waits for agreement.
"""

import asyncio
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any
from weakref import WeakSet, WeakValueDictionary

from async_cassandra._cql.analysis import describe
from async_cassandra._net.connection import Connection, NodeConnections
from async_cassandra._net.errors import ConnectionLost
from async_cassandra._request.executor import Executor
from async_cassandra._request.prepared import PreparedQuery
from async_cassandra._request.schema_events import concerns
from async_cassandra._wire.responses import Prepared, Response

# Outstanding PREPAREs on a connection that is being taught what the session knows.
TEACHING_WINDOW = 16


class KnownQueries:
    """Every prepared query of one session that is still in use.

    Concurrency: the loop's thread only.

    :ivar changes: schema changes that were reported so far
    """

    def __init__(self, executor: Executor) -> None:
        self.changes = 0
        self._executor = executor
        self._by_id: WeakValueDictionary[bytes, PreparedQuery] = WeakValueDictionary()
        # Those too whose id another one has by now.
        self._all: WeakSet[PreparedQuery] = WeakSet()
        self._teaching: set[asyncio.Task[None]] = set()

    def learn(
        self, query: str, keyspace: str | None, answer: Prepared, node: NodeConnections
    ) -> PreparedQuery:
        """Return the session's query with the answer's id, if it still fits, or else a new one."""
        executor = self._executor
        known = self._by_id.get(answer.prepared_id)
        if known is not None and known.keyspace == keyspace:
            doubts = known.doubts
            if known.renew(answer, executor.flights.is_informed(node)) is None:
                known.trust(doubts)
                return known
        prepared = PreparedQuery(
            query, keyspace, answer, describe(query), executor.plans, executor.statement_mark
        )
        self._by_id[prepared.prepared_id] = prepared
        self._all.add(prepared)
        return prepared

    def on_schema_change(
        self, event: Mapping[str, Any], informed: NodeConnections | None = None
    ) -> None:
        """Doubt the queries that an event affects: their parameters may have other types now.

        :param event: as in :meth:`.control_plane.Listener.on_schema_change`
        :param informed: the node that reported it
        """
        self.changes += 1
        if informed is not None:
            self._executor.flights.informed = informed
        for prepared in list(self._all):
            columns = (*prepared.bind_columns, *prepared.shape.columns)
            if concerns(event, prepared.query, columns):
                prepared.doubt()

    # Teaching nodes

    def teach_others(self, prepared: PreparedQuery, node: NodeConnections) -> None:
        """Prepare a query, in the background, on every node but the one that has prepared it."""
        for pool in self._executor.nodes.values():
            if pool is not node and pool.connections:
                _teach_one(pool.connections[0], prepared)

    def teach(self, connection: Connection) -> None:
        """Prepare this session's queries in the background, on a node that may have restarted."""
        if self._by_id:
            task = self._executor.loop.create_task(
                _teach_all(connection, iter(list(self._by_id.values())))
            )
            self._teaching.add(task)
            task.add_done_callback(self._teaching.discard)

    def stop_teaching(self) -> None:
        """Stop preparing in the background."""
        for task in self._teaching:
            task.cancel()


async def _teach_all(connection: Connection, queries: Iterator[PreparedQuery]) -> None:
    while True:
        answers = [
            answer
            for prepared, _ in zip(queries, range(TEACHING_WINDOW), strict=False)
            if (answer := _teach_one(connection, prepared)) is not None
        ]
        if not answers:
            return
        await asyncio.wait(answers)


def _teach_one(connection: Connection, prepared: PreparedQuery) -> asyncio.Future[Response] | None:
    is_elsewhere = prepared.keyspace not in (None, connection.keyspace)
    if not connection.available or (is_elsewhere and connection.version < 5):
        return None
    try:
        answer = connection.request(prepared.message(connection.keyspace))
    except ConnectionLost:
        return None
    answer.add_done_callback(partial(_compare, prepared))
    return answer


def _compare(prepared: PreparedQuery, answer: asyncio.Future[Response]) -> None:
    """Compare the answer of a node that was taught a query, which accepts bytes of other types from then on."""
    if answer.cancelled() or answer.exception() is not None:
        return
    response = answer.result()
    if response.prepared is not None:
        prepared.renew(response.prepared, False)
