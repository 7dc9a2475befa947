from collections.abc import Collection, Mapping, Sequence
from typing import Any

from async_cassandra._driver.column_encryption import ColumnEncryption
from async_cassandra._exec.cql import StatementInfo
from async_cassandra._net.connection import ResponseHandler
from async_cassandra._wire.binding import BindPlan, BoundValues
from async_cassandra._wire.requests import Prepare
from async_cassandra._wire.responses import Prepared, RowPlans
from async_cassandra._wire.rows import Column, ResultMetadata

class ResultShape:
    def __init__(self, metadata_id: bytes | None, columns: tuple[Column, ...] | None) -> None: ...
    @property
    def metadata_id(self) -> bytes | None: ...
    @property
    def columns(self) -> tuple[Column, ...]: ...

class PreparedQuery:
    shape: ResultShape
    def __init__(
        self,
        query: str,
        keyspace: str | None,
        prepared: Prepared,
        info: StatementInfo,
        plans: RowPlans,
    ) -> None: ...
    @property
    def query(self) -> str: ...
    @property
    def keyspace(self) -> str | None: ...
    @property
    def prepared_id(self) -> bytes: ...
    @property
    def bind_plan(self) -> BindPlan: ...
    @property
    def encryption(self) -> ColumnEncryption | None: ...
    def bind(self, values: Collection[Any] | Mapping[str, Any] | None) -> BoundValues: ...
    def bind_encoded(self, values: Sequence[Any]) -> BoundValues: ...
    @property
    def bind_columns(self) -> tuple[Column, ...]: ...
    @property
    def partition_key(self) -> tuple[int, ...]: ...
    @property
    def routing_keyspace(self) -> str | None: ...
    @property
    def is_read(self) -> bool: ...
    @property
    def repetition(self) -> int: ...
    def message(self, connection_keyspace: str | None) -> Prepare: ...
    def reshape(self, metadata: ResultMetadata) -> ResultShape: ...
    def renew(self, prepared: Prepared) -> str | None: ...

class StatementOptions:
    retry_policy: Any
    consistency_level: int | None
    serial_consistency_level: int | None
    fetch_size: Any
    custom_payload: Mapping[str, bytes] | None
    is_idempotent: bool | None

class PreparedOptions(StatementOptions):
    prepared: PreparedQuery

class OwnMark: ...
class Preparing(ResponseHandler): ...

class PrepareFlight(ResponseHandler):
    def __init__(
        self,
        prepared: PreparedQuery,
        flights: dict[tuple[int, bytes], PrepareFlight],
        key: tuple[int, bytes],
    ) -> None: ...

class PrepareFlights: ...
