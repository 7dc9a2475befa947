"""A synchronous CQL client of one connection: just enough to prepare and watch a server.

Native protocol version 4, one request at a time. It depends on nothing else of this package, so
that a test run can start a server without the compiled core or the driver.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import struct
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Self

from async_cassandra.server.errors import CqlError, ServerError

REQUEST_VERSION = 0x04
ERROR, STARTUP, READY, AUTHENTICATE, QUERY, RESULT = 0x00, 0x01, 0x02, 0x03, 0x07, 0x08
AUTH_RESPONSE, AUTH_SUCCESS = 0x0F, 0x10
CONSISTENCY_ONE = 0x0001
RESULT_ROWS = 0x0002
FLAG_WARNING = 0x08
HEADER = struct.Struct(">BBhBi")

type Value = str | int | bool | bytes | uuid.UUID | None
type Row = dict[str, Value]

_DECODERS: dict[int, Callable[[bytes], Value]] = {
    0x0001: bytes.decode,
    0x0002: lambda raw: int.from_bytes(raw, signed=True),
    0x0004: lambda raw: raw != b"\x00",
    0x0009: lambda raw: int.from_bytes(raw, signed=True),
    0x000C: lambda raw: uuid.UUID(bytes=raw),
    0x000D: bytes.decode,
    0x0010: lambda raw: str(ipaddress.ip_address(raw)),
}


class _Reader:
    """Reads the protocol's primitives from one message body."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.at = 0

    def take(self, size: int) -> bytes:
        end = self.at + size
        if size < 0 or end > len(self.body):
            raise ServerError("a node sent a message shorter than it says")
        taken = self.body[self.at : end]
        self.at = end
        return taken

    def short(self) -> int:
        return int.from_bytes(self.take(2))

    def integer(self) -> int:
        return int.from_bytes(self.take(4), signed=True)

    def string(self) -> str:
        return self.take(self.short()).decode()

    def value(self) -> bytes | None:
        size = self.integer()
        return None if size < 0 else self.take(size)

    def type_id(self) -> int:
        """Read a type option with all that is nested in it; return the outer type's id."""
        type_id = self.short()
        if type_id == 0x0000:
            self.string()
        elif type_id in (0x0020, 0x0022):
            self.type_id()
        elif type_id == 0x0021:
            self.type_id()
            self.type_id()
        elif type_id == 0x0030:
            self.string()
            self.string()
            for _ in range(self.short()):
                self.string()
                self.type_id()
        elif type_id == 0x0031:
            for _ in range(self.short()):
                self.type_id()
        return type_id


def _string(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(2) + raw


def _long_string(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(4) + raw


def _rows(reader: _Reader) -> list[Row]:
    flags, column_count = reader.integer(), reader.integer()
    if flags & 0x0002:
        reader.value()
    if flags & 0x0001:
        reader.string()
        reader.string()
    columns: list[tuple[str, Callable[[bytes], Value]]] = []
    for _ in range(column_count):
        if not flags & 0x0001:
            reader.string()
            reader.string()
        name = reader.string()
        columns.append((name, _DECODERS.get(reader.type_id(), bytes)))
    rows: list[Row] = []
    for _ in range(reader.integer()):
        row: Row = {}
        for name, decode in columns:
            raw = reader.value()
            row[name] = None if raw is None else decode(raw)
        rows.append(row)
    return rows


class CqlConnection:
    """One connection to one node. Not for use from several threads.

    :param username: with ``password`` the answer when the node asks for authentication
    :param ssl_context: use TLS with it; the node's name is checked against ``address`` if the context
        checks names
    :param timeout: seconds for connecting and for each request
    :raises OSError: if the node cannot be reached
    :raises ~async_cassandra.server.CqlError: if the node refuses the connection
    """

    def __init__(
        self,
        address: str,
        port: int,
        *,
        username: str | None = None,
        password: str | None = None,
        ssl_context: ssl.SSLContext | None = None,
        timeout: float = 10.0,
    ) -> None:
        self._socket: socket.socket = socket.create_connection((address, port), timeout)
        try:
            if ssl_context is not None:
                self._socket = ssl_context.wrap_socket(self._socket, server_hostname=address)
            self._open(username, password)
        except BaseException:
            self._socket.close()
            raise

    def _open(self, username: str | None, password: str | None) -> None:
        options = b"\x00\x01" + _string("CQL_VERSION") + _string("3.0.0")
        opcode, _ = self._request(STARTUP, options)
        if opcode != AUTHENTICATE:
            return
        if username is None or password is None:
            raise CqlError(0x0100, "the server asks for a username and a password")
        token = f"\0{username}\0{password}".encode()
        self._request(AUTH_RESPONSE, len(token).to_bytes(4) + token)

    def _receive(self, size: int) -> bytes:
        received = bytearray()
        while len(received) < size:
            chunk = self._socket.recv(size - len(received))
            if not chunk:
                raise ConnectionResetError("the node closed the connection")
            received += chunk
        return bytes(received)

    def _request(self, opcode: int, body: bytes) -> tuple[int, _Reader]:
        self._socket.sendall(HEADER.pack(REQUEST_VERSION, 0, 0, opcode, len(body)) + body)
        _, flags, _, answer, size = HEADER.unpack(self._receive(HEADER.size))
        reader = _Reader(self._receive(size))
        if flags & FLAG_WARNING:
            for _ in range(reader.short()):
                reader.string()
        if answer == ERROR:
            raise CqlError(reader.integer(), reader.string())
        return answer, reader

    def query(self, cql: str) -> list[Row]:
        """Run one statement at consistency ONE; return its rows, one page only.

        Values of the types text, ascii, int, bigint, boolean, uuid and inet are Python values,
        others bytes.

        :raises ~async_cassandra.server.CqlError: if the node refuses the statement
        """
        body = _long_string(cql) + CONSISTENCY_ONE.to_bytes(2) + b"\x00"
        opcode, reader = self._request(QUERY, body)
        if opcode == RESULT and reader.integer() == RESULT_ROWS:
            return _rows(reader)
        return []

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
