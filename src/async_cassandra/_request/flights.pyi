from typing import Self

from async_cassandra._net.connection import NodeConnections, ResponseHandler
from async_cassandra._request.prepared import PreparedQuery

class Preparing(ResponseHandler): ...

class PrepareFlight(ResponseHandler):
    def __new__(
        cls, prepared: PreparedQuery, flights: PrepareFlights, key: tuple[int, bytes]
    ) -> Self: ...

class PrepareFlights:
    informed: NodeConnections | None
    def is_informed(self, node: NodeConnections) -> bool: ...
