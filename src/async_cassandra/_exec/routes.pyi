from collections.abc import Callable, Iterable, Mapping

from cassandra.pool import Host

from async_cassandra._driver.ring import TokenRing
from async_cassandra._exec.queue import QueueEntry
from async_cassandra._net.connection import NodeConnections

class Routes:
    def __init__(
        self,
        local: tuple[NodeConnections, ...],
        others: tuple[NodeConnections, ...],
        rings: dict[str, TokenRing] | None,
        want_keyspace: Callable[[str], object],
        rotates: bool = False,
    ) -> None: ...
    @property
    def nodes(self) -> tuple[NodeConnections, ...]: ...
    @property
    def local_count(self) -> int: ...
    @property
    def rings(self) -> dict[str, TokenRing] | None: ...
    @property
    def rotates(self) -> bool: ...

class PolicyPlan:
    def __init__(self, hosts: Iterable[object], nodes: Mapping[Host, NodeConnections]) -> None: ...

class Routed(QueueEntry):
    token: int
    has_token: bool
    routing_keyspace: str | None
