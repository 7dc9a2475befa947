"""The driver's messages, with names read as any server may write them.

The driver takes each string for UTF-8, and gives a connection up for one that is not.
"""

import io
from typing import Any
from uuid import UUID

from cassandra import ProtocolVersion
from cassandra.protocol import (
    COMPRESSED_FLAG,
    CUSTOM_PAYLOAD_FLAG,
    TRACING_FLAG,
    WARNING_FLAG,
    ProtocolHandler,
    read_bytesmap,
    read_stringlist,
)


class Name(bytes):
    """A string's bytes: UTF-8, else Latin-1, as in ``_wire.buffer``."""

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        try:
            return super().decode(encoding, errors)
        except UnicodeDecodeError:
            return super().decode("latin-1")


class Body(io.BytesIO):
    """A message's body. What is read of it bit by bit may be names; rows are read at once."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        return data if size is None or size < 0 else Name(data)


def decode_message(
    protocol_version: int,
    user_type_map: Any,
    stream_id: int,
    flags: int,
    opcode: int,
    body: bytes,
    decompressor: Any,
    result_metadata: Any,
) -> Any:
    """The same as the driver's ``ProtocolHandler.decode_message``, in whose place it is called."""
    if flags & COMPRESSED_FLAG and not ProtocolVersion.has_checksumming_support(protocol_version):
        if decompressor is None:
            raise RuntimeError("a compressed message where no compression was agreed on")
        body = decompressor(body)
    reader = Body(body)
    trace_id = UUID(bytes=reader.read(16)) if flags & TRACING_FLAG else None
    warnings = read_stringlist(reader) if flags & WARNING_FLAG else None
    payload = read_bytesmap(reader) if flags & CUSTOM_PAYLOAD_FLAG else None
    message = ProtocolHandler.message_types_by_opcode[opcode].recv_body(
        reader,
        protocol_version,
        user_type_map,
        result_metadata,
        ProtocolHandler.column_encryption_policy,
    )
    message.stream_id, message.trace_id = stream_id, trace_id
    message.custom_payload, message.warnings = payload, warnings
    return message
