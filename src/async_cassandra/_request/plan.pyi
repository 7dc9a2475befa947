from collections.abc import Callable, Iterable, Mapping
from typing import Self

from cassandra.pool import Host

from async_cassandra._driver.lookups import TokenRing
from async_cassandra._net.connection import NodeConnections

class Routes:
    def __new__(
        cls,
        local: tuple[NodeConnections, ...],
        others: tuple[NodeConnections, ...],
        rings: dict[str, TokenRing] | None,
        want_keyspace: Callable[[str], object],
        rotates: bool = False,
    ) -> Self: ...
    @property
    def nodes(self) -> tuple[NodeConnections, ...]: ...
    @property
    def local_count(self) -> int: ...
    @property
    def rings(self) -> dict[str, TokenRing] | None: ...
    @property
    def rotates(self) -> bool: ...

class PolicyPlan:
    def __new__(cls, hosts: Iterable[object], nodes: Mapping[Host, NodeConnections]) -> Self: ...

class Plan: ...
