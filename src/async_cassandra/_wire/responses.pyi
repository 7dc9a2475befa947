from enum import IntEnum
from typing import Any, Self

from async_cassandra._wire.codecs import CodecRegistry
from async_cassandra._wire.rows import Page, ResultMetadata, RowPlan

class ResultKind(IntEnum):
    NO_RESULT = 0
    VOID = 1
    ROWS = 2
    SET_KEYSPACE = 3
    PREPARED = 4
    SCHEMA_CHANGE = 5

class ErrorCode(IntEnum):
    SERVER_ERROR = 0x0000
    PROTOCOL_ERROR = 0x000A
    BAD_CREDENTIALS = 0x0100
    UNAVAILABLE = 0x1000
    OVERLOADED = 0x1001
    IS_BOOTSTRAPPING = 0x1002
    TRUNCATE_ERROR = 0x1003
    WRITE_TIMEOUT = 0x1100
    READ_TIMEOUT = 0x1200
    READ_FAILURE = 0x1300
    FUNCTION_FAILURE = 0x1400
    WRITE_FAILURE = 0x1500
    CDC_WRITE_FAILURE = 0x1600
    CAS_WRITE_UNKNOWN = 0x1700
    SYNTAX_ERROR = 0x2000
    UNAUTHORIZED = 0x2100
    INVALID = 0x2200
    CONFIG_ERROR = 0x2300
    ALREADY_EXISTS = 0x2400
    UNPREPARED = 0x2500

class RowPlans:
    def __new__(cls, registry: CodecRegistry) -> Self: ...
    @property
    def registry(self) -> CodecRegistry: ...

class ServerError:
    @property
    def code(self) -> int: ...
    @property
    def message(self) -> str: ...
    # Its code decides which fields there are and what each one holds.
    @property
    def fields(self) -> dict[str, Any]: ...

class SchemaChange:
    @property
    def change_type(self) -> str: ...
    @property
    def target(self) -> str: ...
    @property
    def keyspace(self) -> str: ...
    @property
    def name(self) -> str | None: ...
    @property
    def arguments(self) -> list[str] | None: ...

class Prepared:
    @property
    def prepared_id(self) -> bytes: ...
    @property
    def result_metadata_id(self) -> bytes | None: ...
    @property
    def bind_metadata(self) -> ResultMetadata: ...
    @property
    def result_metadata(self) -> ResultMetadata: ...

class Response:
    @property
    def opcode(self) -> int: ...
    @property
    def kind(self) -> int: ...
    @property
    def tracing_id(self) -> bytes | None: ...
    @property
    def warnings(self) -> list[str] | None: ...
    @property
    def custom_payload(self) -> dict[str, bytes | None] | None: ...
    @property
    def error(self) -> ServerError | None: ...
    @property
    def page(self) -> Page | None: ...
    @property
    def metadata(self) -> ResultMetadata | None: ...
    @property
    def paging_state(self) -> bytes | None: ...
    @property
    def keyspace(self) -> str | None: ...
    @property
    def schema_change(self) -> SchemaChange | None: ...
    @property
    def prepared(self) -> Prepared | None: ...
    @property
    def supported(self) -> dict[str, list[str]] | None: ...
    @property
    def authenticator(self) -> str | None: ...
    @property
    def token(self) -> bytes | None: ...

def decode(
    version: int,
    flags: int,
    opcode: int,
    body: bytes,
    plan: RowPlan | None = None,
    plans: RowPlans | None = None,
    as_tuples: bool = False,
) -> Response: ...
