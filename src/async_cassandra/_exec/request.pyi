from enum import IntEnum
from typing import Any

from cassandra.policies import (
    LoadBalancingPolicy,
    RetryPolicy,
    SpeculativeExecutionPolicy,
)
from cassandra.query import PreparedStatement, Statement

from async_cassandra._exec.attempts import Attempted, Sending
from async_cassandra._exec.executor import Executor
from async_cassandra._exec.prepared import PreparedQuery
from async_cassandra._exec.records import RecordType
from async_cassandra._exec.statements import RowFactory
from async_cassandra._net.connection import NodeConnections
from async_cassandra._wire.requests import Message
from async_cassandra._wire.responses import Response

class State(IntEnum):
    NEW = 0
    QUEUED = 1
    WAITING = 2
    PAUSED = 3
    DONE = 4

class Attempt(Sending): ...

class Request(Attempted):
    statement: Any
    idempotent: bool
    retry_policy: RetryPolicy
    timeout: float
    spent: float
    pinned: tuple[NodeConnections, ...] | None
    policy: LoadBalancingPolicy
    speculative_policy: SpeculativeExecutionPolicy | None
    batched: dict[bytes, PreparedQuery]
    as_tuples: bool
    wants_all: bool
    is_stream: bool
    keyspace: str | None
    names_keyspace: bool
    row_factory: RowFactory | RecordType
    def __init__(
        self,
        executor: Executor,
        message: Message,
        statement: Statement | PreparedStatement | None = None,
        prepared: PreparedQuery | None = None,
    ) -> None: ...
    @property
    def message(self) -> Message: ...
    @property
    def state(self) -> int: ...
    @property
    def prepared(self) -> PreparedQuery | None: ...
    @property
    def retries(self) -> int: ...
    @property
    def response(self) -> Response | None: ...
    @property
    def coordinator(self) -> NodeConnections | None: ...
    @property
    def errors(self) -> dict[str, Exception] | None: ...
    @property
    def began(self) -> float: ...
    @property
    def pages(self) -> int: ...
    @property
    def row_count(self) -> int: ...
    def start(self) -> None: ...
    def cancel(self, msg: object = None) -> bool: ...
    def let_go(self) -> None: ...
