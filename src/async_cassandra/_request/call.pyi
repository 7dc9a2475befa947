from typing import Any, Self

from cassandra.cluster import ExecutionProfile
from cassandra.policies import LoadBalancingPolicy, RetryPolicy, SpeculativeExecutionPolicy

from async_cassandra._net.connection import NodeConnections
from async_cassandra._request.prepared import PreparedQuery

class CallOptions:
    trace: bool
    custom_payload: dict[str, bytes | None] | None
    timeout: float | None
    paging_state: bytes | None
    pinned: tuple[NodeConnections, ...] | None
    wants_all: bool
    is_stream: bool
    fetch_size: int | None
    row_factory: Any
    @property
    def profile(self) -> ExecutionProfile: ...
    def __new__(
        cls,
        profile: ExecutionProfile,
        *,
        timeout: float | None = None,
        pinned: tuple[NodeConnections, ...] | None = None,
    ) -> Self: ...

class Call:
    @property
    def options(self) -> CallOptions: ...
    @property
    def statement(self) -> Any: ...
    @property
    def prepared(self) -> PreparedQuery | None: ...
    @property
    def batched(self) -> dict[bytes, PreparedQuery]: ...
    @property
    def keyspace(self) -> str | None: ...
    @property
    def names_keyspace(self) -> bool: ...
    @property
    def routing_keyspace(self) -> str | None: ...
    @property
    def token(self) -> int: ...
    @property
    def has_token(self) -> bool: ...
    @property
    def load_balancing_policy(self) -> LoadBalancingPolicy: ...
    @property
    def idempotent(self) -> bool: ...
    @property
    def retry_policy(self) -> RetryPolicy: ...
    @property
    def speculative_policy(self) -> SpeculativeExecutionPolicy | None: ...
    @property
    def timeout(self) -> float: ...
    @property
    def row_factory(self) -> Any: ...
    @property
    def as_tuples(self) -> bool: ...
