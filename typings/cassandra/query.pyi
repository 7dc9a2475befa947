from collections.abc import Iterable, Mapping, Sequence
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
    _routing_key: bytes | None
    retry_policy: Any
    consistency_level: int | None
    serial_consistency_level: int | None
    fetch_size: Any
    keyspace: str | None
    custom_payload: Mapping[str, bytes] | None
    is_idempotent: bool | None
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
        is_idempotent: bool | None = False,
    ) -> None: ...
    def _set_routing_key(self, key: bytes | Sequence[bytes] | None) -> None: ...

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
        is_idempotent: bool | None = False,
    ) -> None: ...
    @property
    def query_string(self) -> str: ...

class PreparedStatement:
    query_id: bytes
    query_string: str
    routing_key_indexes: Any
    column_encryption_policy: Any
    protocol_version: int
    keyspace: str | None
    retry_policy: Any
    consistency_level: int | None
    serial_consistency_level: int | None
    fetch_size: Any
    custom_payload: Mapping[str, bytes] | None
    is_idempotent: bool | None
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
    @property
    def column_metadata(self) -> list[Any]: ...
    @property
    def result_metadata(self) -> Any: ...
    @property
    def result_metadata_id(self) -> bytes | None: ...
    @classmethod
    def from_message(cls, *args: Any, **kwargs: Any) -> PreparedStatement: ...
    def bind(self, values: Any) -> BoundStatement: ...
    def is_routing_key_index(self, i: int) -> bool: ...

class BoundStatement(Statement):
    prepared_statement: PreparedStatement
    raw_values: Any
    def __init__(
        self,
        prepared_statement: PreparedStatement,
        retry_policy: Any = None,
        consistency_level: int | None = None,
        routing_key: Any = None,
        serial_consistency_level: int | None = None,
        fetch_size: Any = ...,
        keyspace: str | None = None,
        custom_payload: Mapping[str, bytes] | None = None,
    ) -> None: ...
    @property
    def values(self) -> list[Any]: ...
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
    def _update_state(self, statement: Any) -> None: ...
    def _update_custom_payload(self, statement: Any) -> None: ...
    def _add_statement_and_params(
        self, is_prepared: bool, statement: Any, parameters: Any
    ) -> None: ...

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
    events: tuple[TraceEvent, ...] | None
    _session: Any
    def __init__(self, trace_id: UUID, session: Any) -> None: ...
    def populate(self, *args: Any, **kwargs: Any) -> None: ...
