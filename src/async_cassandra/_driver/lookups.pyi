from collections.abc import Iterable, Mapping
from typing import Any, final

from cassandra.policies import LoadBalancingPolicy, RetryPolicy, SpeculativeExecutionPolicy

@final
class TokenRing:
    def __init__(self, ranges: Iterable[tuple[int, Iterable[Any]]]) -> None: ...
    def __len__(self) -> int: ...
    def replicas(self, token: int) -> tuple[Any, ...]: ...
    def mapped(self, others: Mapping[Any, Any]) -> TokenRing: ...

class ProfileSettings:
    load_balancing_policy: LoadBalancingPolicy
    retry_policy: RetryPolicy
    consistency_level: int
    serial_consistency_level: int | None
    request_timeout: float | None
    row_factory: Any
    speculative_execution_policy: SpeculativeExecutionPolicy
    is_idempotent: bool | None
