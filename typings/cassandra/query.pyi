from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

def __getattr__(name: str) -> Any: ...

UNSET_VALUE: Any

def tuple_factory(colnames: Sequence[str], rows: Any) -> Any: ...
def named_tuple_factory(colnames: Sequence[str], rows: Any) -> Any: ...
def dict_factory(colnames: Sequence[str], rows: Any) -> Any: ...
def ordered_dict_factory(colnames: Sequence[str], rows: Any) -> Any: ...
def bind_params(query: str, params: Any, encoder: Any) -> str: ...

class Statement:
    retry_policy: Any
    consistency_level: int | None
    serial_consistency_level: int | None
    fetch_size: Any
    keyspace: str | None
    custom_payload: Mapping[str, bytes] | None
    is_idempotent: bool
    routing_key: Any
    def __init__(
        self,
        retry_policy: Any = None,
        consistency_level: int | None = None,
        routing_key: Any = None,
        serial_consistency_level: int | None = None,
        fetch_size: Any = ...,
        keyspace: str | None = None,
        custom_payload: Mapping[str, bytes] | None = None,
        is_idempotent: bool = False,
    ) -> None: ...

class SimpleStatement(Statement):
    def __init__(
        self,
        query_string: str,
        retry_policy: Any = None,
        consistency_level: int | None = None,
        routing_key: Any = None,
        serial_consistency_level: int | None = None,
        fetch_size: Any = ...,
        keyspace: str | None = None,
        custom_payload: Mapping[str, bytes] | None = None,
        is_idempotent: bool = False,
    ) -> None: ...
    @property
    def query_string(self) -> str: ...

class PreparedStatement:
    column_metadata: list[Any]
    query_id: bytes
    query_string: str
    result_metadata: Any
    result_metadata_id: bytes | None
    routing_key_indexes: Any
    column_encryption_policy: Any
    protocol_version: int
    keyspace: str | None
    retry_policy: Any
    consistency_level: int | None
    serial_consistency_level: int | None
    fetch_size: Any
    custom_payload: Mapping[str, bytes] | None
    is_idempotent: bool
    def __init__(
        self,
        column_metadata: Any,
        query_id: bytes,
        routing_key_indexes: Any,
        query: str,
        keyspace: str | None,
        protocol_version: int,
        result_metadata: Any,
        result_metadata_id: bytes | None,
        is_lwt: Any = ...,
        column_encryption_policy: Any = None,
    ) -> None: ...
    @classmethod
    def from_message(cls, *args: Any, **kwargs: Any) -> PreparedStatement: ...
    def bind(self, values: Any) -> BoundStatement: ...
    def is_routing_key_index(self, i: int) -> bool: ...

class BoundStatement(Statement):
    prepared_statement: PreparedStatement
    values: list[Any]
    raw_values: Any
    def __init__(
        self, prepared_statement: PreparedStatement, *args: Any, **kwargs: Any
    ) -> None: ...
    def bind(self, values: Any) -> BoundStatement: ...

class BatchType:
    LOGGED: BatchType
    UNLOGGED: BatchType
    COUNTER: BatchType
    name: str
    value: int

class BatchStatement(Statement):
    batch_type: BatchType
    _statements_and_parameters: list[tuple[bool, Any, Any]]
    _session: Any
    def __init__(self, batch_type: BatchType = ..., *args: Any, **kwargs: Any) -> None: ...
    def clear(self) -> None: ...
    def add(self, statement: Any, parameters: Any = None) -> BatchStatement: ...
    def add_all(self, statements: Iterable[Any], parameters: Iterable[Any]) -> None: ...
    def __len__(self) -> int: ...

class TraceUnavailable(Exception): ...

class TraceEvent:
    description: str | None
    datetime: datetime
    source: str | None
    source_elapsed: timedelta | None
    thread_name: str | None
    def __init__(
        self, description: Any, timeuuid: Any, source: Any, source_elapsed: Any, thread_name: Any
    ) -> None: ...

class QueryTrace:
    trace_id: UUID
    request_type: str | None
    duration: timedelta | None
    client: str | None
    coordinator: str | None
    started_at: datetime | None
    parameters: Mapping[str, str] | None
    events: list[TraceEvent] | None
    _session: Any
    def __init__(self, trace_id: UUID, session: Any) -> None: ...
    def populate(self, *args: Any, **kwargs: Any) -> None: ...

type RowFactory = Callable[[Sequence[str], Any], Any]
