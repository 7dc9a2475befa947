"""Requests as a scripted peer reads them.

Source: ``native_protocol_v5.spec`` section 4.1, and v4 where it differs.
"""

from dataclasses import dataclass, field

from tests.support.native_protocol import (
    Envelope,
    Flag,
    FrameError,
    Opcode,
    Reader,
    Value,
)

__all__ = ["BatchedStatement", "RequestBody", "parse_request"]

_VALUES = 0x01
_SKIP_METADATA = 0x02
_PAGE_SIZE = 0x04
_PAGING_STATE = 0x08
_SERIAL_CONSISTENCY = 0x10
_TIMESTAMP = 0x20
_NAMED_VALUES = 0x40
_KEYSPACE = 0x80
_NOW_IN_SECONDS = 0x100
_ALL_FLAGS = {4: 0x7F, 5: 0x1FF}
_BATCH_FLAGS = {4: _SERIAL_CONSISTENCY | _TIMESTAMP, 5: 0x1B0}


@dataclass(slots=True)
class BatchedStatement:
    """One statement of a BATCH: either ``query`` or ``prepared_id`` is set."""

    query: str | None
    prepared_id: bytes | None
    values: list[Value]


@dataclass(slots=True)
class RequestBody:
    """The parts of a request; what its opcode does not have stays at the default.

    :ivar values: undecoded; ``value_names`` has their names if they were sent by name
    :ivar timestamp: microseconds since the epoch
    :ivar batch_type: 0 logged, 1 unlogged, 2 counter
    """

    tracing: bool = False
    custom_payload: dict[str, bytes | None] = field(default_factory=dict)
    query: str | None = None
    prepared_id: bytes | None = None
    result_metadata_id: bytes | None = None
    consistency: int | None = None
    values: list[Value] = field(default_factory=list)
    value_names: list[str] = field(default_factory=list)
    skip_metadata: bool = False
    page_size: int | None = None
    paging_state: bytes | None = None
    serial_consistency: int | None = None
    timestamp: int | None = None
    keyspace: str | None = None
    now_in_seconds: int | None = None
    batch_type: int | None = None
    statements: list[BatchedStatement] = field(default_factory=list)
    startup_options: dict[str, str] = field(default_factory=dict)
    event_types: list[str] = field(default_factory=list)
    token: bytes | None = None


def parse_request(envelope: Envelope, body: RequestBody) -> None:
    """Parse a whole body.

    :raises FrameError: if it is not exactly what its opcode and version prescribe
    """
    body.tracing = bool(envelope.flags & Flag.TRACING)
    reader = Reader(envelope.body)
    if envelope.flags & Flag.CUSTOM_PAYLOAD:
        body.custom_payload = reader.read_bytes_map()
    version = envelope.version
    match envelope.opcode:
        case Opcode.OPTIONS:
            pass
        case Opcode.STARTUP:
            body.startup_options = reader.read_string_map()
        case Opcode.AUTH_RESPONSE:
            body.token = reader.read_bytes()
        case Opcode.REGISTER:
            body.event_types = reader.read_string_list()
        case Opcode.QUERY:
            body.query = reader.read_long_string()
            _read_parameters(reader, body, version)
        case Opcode.PREPARE:
            _read_prepare(reader, body, version)
        case Opcode.EXECUTE:
            body.prepared_id = reader.read_short_bytes()
            if version >= 5:
                body.result_metadata_id = reader.read_short_bytes()
            _read_parameters(reader, body, version)
        case Opcode.BATCH:
            _read_batch(reader, body, version)
        case _:
            raise FrameError(f"opcode {envelope.opcode:#x} is not a request's")
    reader.finish()


def _read_flags(reader: Reader, version: int, allowed: dict[int, int]) -> int:
    flags = reader.read_unsigned_int() if version >= 5 else reader.read_byte()
    unknown = flags & ~allowed[version]
    if unknown:
        raise FrameError(f"flags {unknown:#x} do not exist in version {version}")
    return flags


def _read_prepare(reader: Reader, body: RequestBody, version: int) -> None:
    body.query = reader.read_long_string()
    if version >= 5 and _read_flags(reader, version, {5: 0x01}):
        body.keyspace = reader.read_string()


def _read_parameters(reader: Reader, body: RequestBody, version: int) -> None:
    body.consistency = reader.read_short()
    flags = _read_flags(reader, version, _ALL_FLAGS)
    if flags & _VALUES:
        for _ in range(reader.read_short()):
            if flags & _NAMED_VALUES:
                body.value_names.append(reader.read_string())
            body.values.append(reader.read_value())
    body.skip_metadata = bool(flags & _SKIP_METADATA)
    if flags & _PAGE_SIZE:
        body.page_size = reader.read_int()
    if flags & _PAGING_STATE:
        body.paging_state = reader.read_bytes()
    _read_common_options(reader, body, flags)


def _read_common_options(reader: Reader, body: RequestBody, flags: int) -> None:
    """Read what QUERY, EXECUTE and BATCH end with."""
    if flags & _SERIAL_CONSISTENCY:
        body.serial_consistency = reader.read_short()
    if flags & _TIMESTAMP:
        body.timestamp = reader.read_long()
    if flags & _KEYSPACE:
        body.keyspace = reader.read_string()
    if flags & _NOW_IN_SECONDS:
        body.now_in_seconds = reader.read_int()


def _read_batch(reader: Reader, body: RequestBody, version: int) -> None:
    body.batch_type = reader.read_byte()
    for _ in range(reader.read_short()):
        kind = reader.read_byte()
        if kind not in (0, 1):
            raise FrameError(f"kind {kind} of a batched statement")
        query = reader.read_long_string() if kind == 0 else None
        prepared_id = reader.read_short_bytes() if kind == 1 else None
        values = [reader.read_value() for _ in range(reader.read_short())]
        body.statements.append(BatchedStatement(query, prepared_id, values))
    body.consistency = reader.read_short()
    _read_common_options(reader, body, _read_flags(reader, version, _BATCH_FLAGS))
