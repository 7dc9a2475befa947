from typing import Any

from cassandra.policies import LoadBalancingPolicy, RetryPolicy, SpeculativeExecutionPolicy

class ProfileSettings:
    load_balancing_policy: LoadBalancingPolicy
    retry_policy: RetryPolicy
    consistency_level: int
    serial_consistency_level: int | None
    request_timeout: float | None
    row_factory: Any
    speculative_execution_policy: SpeculativeExecutionPolicy
    is_idempotent: bool | None
