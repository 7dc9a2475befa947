from collections.abc import Callable
from typing import Any, Self

from cassandra.query import BatchStatement as DriverBatchStatement
from cassandra.query import PreparedStatement as DriverPreparedStatement
from cassandra.query import Statement

from async_cassandra._cql.analysis import StatementInfo
from async_cassandra._request.call import CallOptions
from async_cassandra._request.executor import Executor
from async_cassandra._request.prepared import PreparedQuery
from async_cassandra._request.request import Request
from async_cassandra._statements.statements import Parameters
from async_cassandra._wire.binding import BoundValues

def seconds_of(options: CallOptions) -> float: ...

class RequestBuilder:
    default_fetch_size: int
    timestamps: Callable[[], int] | None
    infers_idempotence: bool
    def __new__(
        cls,
        executor: Executor,
        version: int,
        *,
        default_fetch_size: int = 5000,
        timestamps: Callable[[], int] | None = None,
        infers_idempotence: bool = False,
    ) -> Self: ...
    @property
    def executor(self) -> Executor: ...
    @property
    def version(self) -> int: ...
    # A query of any kind may be asked about; only this library's prepared statements are answered.
    def prepared(
        self, query: Any, parameters: Parameters, options: CallOptions
    ) -> Request | None: ...
    def execute(
        self,
        statement: Statement | DriverPreparedStatement,
        prepared: PreparedQuery,
        bound: BoundValues,
        options: CallOptions,
    ) -> Request: ...
    def query(
        self,
        statement: Statement,
        query: str,
        info: StatementInfo,
        keyspace: str | None,
        options: CallOptions,
    ) -> Request: ...
    def batch(
        self,
        statement: DriverBatchStatement,
        entries: list[tuple[str | bytes, bytes]],
        queries: dict[bytes, PreparedQuery],
        repetition: int,
        keyspace: str | None,
        has_strings: bool,
        options: CallOptions,
        *,
        routing_keyspace: str | None = None,
    ) -> Request: ...
    def prepare(self, query: str, keyspace: str | None, options: CallOptions) -> Request: ...
    def answered(self, statement: Statement, keyspace: str, options: CallOptions) -> Request: ...
