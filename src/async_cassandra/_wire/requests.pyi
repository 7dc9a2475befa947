from typing import Self

NO_TIMESTAMP: int

class Message:
    tracing: bool
    custom_payload: dict[str, bytes | None] | None
    @property
    def opcode(self) -> int: ...
    def encode(self, version: int) -> bytes: ...

class Options(Message):
    def __new__(cls) -> Self: ...

class Startup(Message):
    def __new__(cls, options: dict[str, str]) -> Self: ...

class AuthResponse(Message):
    def __new__(cls, token: bytes | None) -> Self: ...

class Register(Message):
    def __new__(cls, events: list[str]) -> Self: ...

class Prepare(Message):
    query: str
    keyspace: str | None
    def __new__(cls, query: str, keyspace: str | None = None) -> Self: ...

class Statement(Message):
    consistency: int
    serial_consistency: int
    timestamp: int
    keyspace: str | None

class Query(Statement):
    query: str | None
    values: bytes | None
    page_size: int
    paging_state: bytes | None
    skip_metadata: bool
    def __init__(self, query: str | None = None) -> None: ...

class Execute(Query):
    prepared_id: bytes | None
    result_metadata_id: bytes | None

class Batch(Statement):
    batch_type: int
    entries: list[tuple[str | bytes, bytes]]
