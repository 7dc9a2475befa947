from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from cassandra.pool import Host

def __getattr__(name: str) -> Any: ...

type Decision = tuple[int, int | None]

class HostDistance:
    IGNORED: int
    LOCAL_RACK: int
    LOCAL: int
    REMOTE: int

class HostStateListener:
    def on_up(self, host: Host) -> None: ...
    def on_down(self, host: Host) -> None: ...
    def on_add(self, host: Host) -> None: ...
    def on_remove(self, host: Host) -> None: ...

class LoadBalancingPolicy(HostStateListener):
    def distance(self, host: Host) -> int: ...
    def populate(self, cluster: Any, hosts: Iterable[Host]) -> None: ...
    def make_query_plan(
        self, working_keyspace: str | None = None, query: Any = None
    ) -> Iterable[Host]: ...
    def check_supported(self) -> None: ...

class RoundRobinPolicy(LoadBalancingPolicy):
    _live_hosts: Any

class DCAwareRoundRobinPolicy(LoadBalancingPolicy):
    local_dc: str
    used_hosts_per_remote_dc: int
    _dc_live_hosts: Any
    def __init__(self, local_dc: str = "", used_hosts_per_remote_dc: int = 0) -> None: ...

class TokenAwarePolicy(LoadBalancingPolicy):
    shuffle_replicas: bool
    def __init__(
        self, child_policy: LoadBalancingPolicy, shuffle_replicas: bool = False
    ) -> None: ...
    def __getattr__(self, name: str) -> Any: ...

class WhiteListRoundRobinPolicy(RoundRobinPolicy):
    def __init__(self, hosts: Sequence[str]) -> None: ...

class HostFilterPolicy(LoadBalancingPolicy):
    def __init__(
        self, child_policy: LoadBalancingPolicy, predicate: Callable[[Host], bool]
    ) -> None: ...

class WrapperPolicy(LoadBalancingPolicy):
    def __init__(self, child_policy: LoadBalancingPolicy) -> None: ...
    def __getattr__(self, name: str) -> Any: ...

class DefaultLoadBalancingPolicy(WrapperPolicy): ...

class ReconnectionPolicy:
    def new_schedule(self) -> Iterator[float]: ...

class ConstantReconnectionPolicy(ReconnectionPolicy):
    def __init__(self, delay: float, max_attempts: int | None = 64) -> None: ...

class ExponentialReconnectionPolicy(ReconnectionPolicy):
    def __init__(
        self, base_delay: float, max_delay: float, max_attempts: int | None = 64
    ) -> None: ...

class RetryPolicy:
    RETRY: int
    RETHROW: int
    IGNORE: int
    RETRY_NEXT_HOST: int
    def on_read_timeout(
        self,
        query: Any,
        consistency: int,
        required_responses: int,
        received_responses: int,
        data_retrieved: bool,
        retry_num: int,
    ) -> Decision: ...
    def on_write_timeout(
        self,
        query: Any,
        consistency: int,
        write_type: int | str,
        required_responses: int,
        received_responses: int,
        retry_num: int,
    ) -> Decision: ...
    def on_unavailable(
        self,
        query: Any,
        consistency: int,
        required_replicas: int,
        alive_replicas: int,
        retry_num: int,
    ) -> Decision: ...
    def on_request_error(
        self, query: Any, consistency: int | None, error: Exception, retry_num: int
    ) -> Decision: ...

class FallthroughRetryPolicy(RetryPolicy): ...
class NeverRetryPolicy(RetryPolicy): ...

class AddressTranslator:
    def translate(self, addr: str) -> str: ...

class SpeculativeExecutionPlan:
    def next_execution(self, host: Host) -> float: ...

class SpeculativeExecutionPolicy:
    def new_plan(self, keyspace: str | None, statement: Any) -> SpeculativeExecutionPlan: ...

class NoSpeculativeExecutionPolicy(SpeculativeExecutionPolicy): ...

class ConstantSpeculativeExecutionPolicy(SpeculativeExecutionPolicy):
    def __init__(self, delay: float, max_attempts: int) -> None: ...

class ConvictionPolicy:
    host: Any
    def __init__(self, host: Any) -> None: ...
    def add_failure(self, connection_exc: Any) -> Any: ...
    def reset(self) -> None: ...

class ColDesc(NamedTuple):
    ks: str
    table: str
    col: str

class ColumnEncryptionPolicy:
    def encrypt(self, coldesc: ColDesc, obj_bytes: bytes) -> bytes: ...
    def decrypt(self, coldesc: ColDesc, encrypted_bytes: bytes) -> bytes: ...
    def add_column(self, coldesc: ColDesc, key: bytes) -> None: ...
    def contains_column(self, coldesc: ColDesc) -> bool: ...
    def encode_and_encrypt(self, coldesc: ColDesc, obj: Any) -> bytes: ...
