"""Queries that the library makes for itself."""

from typing import Any

from cassandra.query import SimpleStatement, named_tuple_factory

from async_cassandra._cql.analysis import describe
from async_cassandra._driver.control_plane import ControlPlane
from async_cassandra._net.connection import NodeConnections
from async_cassandra._request.call import CallOptions
from async_cassandra._statements.build import RequestBuilder
from async_cassandra._statements.prepare import run


class OwnQueries:
    """Queries of the library's own, over a session's connections.

    They use the cluster's profile: what the application set on its session is for its own requests.
    """

    def __init__(self, control: ControlPlane, builder: RequestBuilder) -> None:
        self._control = control
        self._builder = builder

    async def select(self, query: str, node: NodeConnections | None = None) -> list[Any]:
        """Return the first page of a query's rows, from ``node`` if given."""
        options = CallOptions(self._control.profile(), pinned=None if node is None else (node,))
        options.row_factory = named_tuple_factory
        keyspace = self._builder.executor.keyspace
        statement = SimpleStatement(query)
        response = await run(
            self._builder.query(statement, query, describe(query), keyspace, options)
        )
        return [] if response is None or response.page is None else list(response.page)
