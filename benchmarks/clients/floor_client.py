"""The floor: frames encoded in advance, nothing decoded, nothing checked."""

import asyncio
import struct
from array import array
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Self

from benchmarks.clients.base import Server
from benchmarks.data import Statement
from benchmarks.floor import (
    FloorConnection,
    Prepared,
    Request,
    batch_request,
    execute_request,
    paging_state_of,
    row_count_of,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


class BenchmarkClient:
    """One connection to each contact point."""

    decodes: ClassVar[bool] = False

    async def open(self, server: Server) -> None:
        self._server = server
        self._connections = [
            await FloorConnection.open(address, server.port) for address in server.contact_points
        ]
        self._only = self._connections[0]
        self._prepared: dict[str, Prepared] = {}

    async def sibling(self) -> Self:
        other = type(self)()
        await other.open(self._server)
        return other

    async def prepare(self, statement: Statement) -> None:
        for connection in self._connections:
            self._prepared[statement.name] = await connection.prepare(statement.cql)

    def request(self, statement: Statement, key: int) -> tuple[FloorConnection, Request]:
        values = _encoded(statement, key)
        owners = self._server.owners
        connection = self._connections[owners[key]] if owners else self._only
        return connection, execute_request(self._prepared[statement.name], values)

    def batch_request(
        self, statement: Statement, keys: Sequence[int]
    ) -> tuple[FloorConnection, Request]:
        prepared = self._prepared[statement.name]
        return self._only, batch_request(prepared, [_encoded(statement, key) for key in keys])

    async def read(self, request: tuple[FloorConnection, Request]) -> Sequence[Sequence[Any]]:
        connection, frame = request
        await connection.send(frame)
        return ()

    write = read
    batch = read

    async def scan(
        self, statement: Statement, page_rows: int
    ) -> AsyncIterator[Sequence[Sequence[Any]]]:
        prepared = self._prepared[statement.name]
        paging_state: bytes | None = None
        while True:
            rows = await self._only.send(
                execute_request(prepared, (), page_size=page_rows, paging_state=paging_state)
            )
            yield [()] * row_count_of(rows)
            paging_state = paging_state_of(rows)
            if paging_state is None:
                return

    async def close(self) -> None:
        for connection in self._connections:
            connection.close()
        await asyncio.sleep(0)


def _encoded(statement: Statement, key: int) -> list[bytes]:
    values = statement.values(key)
    return [_encode(*pair) for pair in zip(statement.parameters, values, strict=True)]


def _encode(cql_type: str, value: Any) -> bytes:
    """Encode a value as the protocol has it (section 6 of its specification)."""
    match cql_type.partition("<")[0]:
        case "int":
            return struct.pack(">i", value)
        case "double":
            return struct.pack(">d", value)
        case "timestamp":
            return struct.pack(">q", (value - _EPOCH) // _MILLISECOND)
        case "uuid":
            return bytes(value.bytes)
        case "text":
            return bytes(value.encode())
        case "set":
            return _sequence([_encode("text", item) for item in sorted(value)])
        case "map":
            pairs = [(_encode("text", key), _encode("int", each)) for key, each in value.items()]
            return _sized(len(pairs)) + b"".join(_item(part) for pair in pairs for part in pair)
        case "list":
            return _sequence([_encode("double", item) for item in value])
        case "frozen":
            types = ("text", "int", "text")
            return b"".join(_item(_encode(*pair)) for pair in zip(types, value, strict=True))
        case "vector":
            swapped = array("f", value)
            swapped.byteswap()
            return swapped.tobytes()
    return bytes(value)


def _sized(size: int) -> bytes:
    return struct.pack(">i", size)


def _item(data: bytes) -> bytes:
    return _sized(len(data)) + data


def _sequence(items: Sequence[bytes]) -> bytes:
    return _sized(len(items)) + b"".join(map(_item, items))
