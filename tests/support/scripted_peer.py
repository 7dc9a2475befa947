"""A server that speaks real frames and answers as the test says."""

import asyncio
import enum
import re
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Any, Self, Unpack

from tests.support.native_protocol import (
    Compression,
    Envelope,
    Flag,
    FrameError,
    Opcode,
    Writer,
)
from tests.support.peer_connection import PeerConnection
from tests.support.peer_replies import (
    Columns,
    ErrorCode,
    Extras,
    error_body,
    extras_prefix,
    prepared_body,
    rows_body,
    schema_change_event_body,
    schema_change_fields,
)
from tests.support.peer_requests import RequestBody, parse_request
from tests.support.system_tables import Node, SystemTables

__all__ = ["Automatic", "Request", "ScriptedPeer", "scripted_cluster"]

_USE = re.compile(r'\s*use\s+(?:"((?:[^"]|"")*)"|(\w+))\s*;?\s*', re.IGNORECASE)
_AUTHENTICATOR = "org.apache.cassandra.auth.PasswordAuthenticator"


class Automatic(enum.Enum):
    """What a peer answers by itself; the rest reaches the test."""

    OPTIONS = enum.auto()
    STARTUP = enum.auto()
    AUTHENTICATION = enum.auto()
    REGISTER = enum.auto()
    USE = enum.auto()
    SYSTEM_TABLES = enum.auto()


class Request(RequestBody):
    """One request, and the ways to answer it.

    Every ``reply_`` method takes ``warnings=``, ``custom_payload=`` and ``tracing_id=``.
    """

    def __init__(
        self, peer: "ScriptedPeer", connection: PeerConnection, envelope: Envelope
    ) -> None:
        super().__init__()
        self.peer = peer
        self.connection = connection
        self.version = envelope.version
        self.flags = envelope.flags
        self.stream_id = envelope.stream_id
        try:
            self.opcode = Opcode(envelope.opcode)
            parse_request(envelope, self)
        except ValueError as error:
            raise FrameError(str(error)) from error

    def __repr__(self) -> str:
        about = self.query if self.query is not None else self.prepared_id
        return f"<Request {self.opcode.name} stream {self.stream_id} {about!r}>"

    def reply(self, opcode: Opcode, body: bytes = b"", **extras: Unpack[Extras]) -> None:
        """Send any response."""
        flags, prefix = extras_prefix(extras)
        self.connection.send(opcode, self.stream_id, prefix + body, flags)

    def reply_void(self, **extras: Unpack[Extras]) -> None:
        self.reply(Opcode.RESULT, Writer().write_int(1).getvalue(), **extras)

    def reply_rows(
        self,
        columns: Columns,
        rows: Sequence[Sequence[Any]],
        *,
        paging_state: bytes | None = None,
        metadata: bool = True,
        new_metadata_id: bytes | None = None,
        table: tuple[str, str] | None = ("ks", "t"),
        **extras: Unpack[Extras],
    ) -> None:
        """Send rows; the parameters are those of :func:`~tests.support.peer_replies.rows_body`."""
        body = rows_body(
            columns,
            rows,
            paging_state=paging_state,
            metadata=metadata,
            new_metadata_id=new_metadata_id,
            table=table,
        )
        self.reply(Opcode.RESULT, body, **extras)

    def reply_prepared(
        self,
        prepared_id: bytes,
        columns: Columns = (),
        result_columns: Columns | None = None,
        *,
        pk_indexes: Sequence[int] = (),
        result_metadata_id: bytes = b"result-metadata",
        table: tuple[str, str] = ("ks", "t"),
        **extras: Unpack[Extras],
    ) -> None:
        """Answer a PREPARE; the parameters are those of ``prepared_body``."""
        body = prepared_body(
            self.version,
            prepared_id,
            columns,
            result_columns,
            pk_indexes=pk_indexes,
            result_metadata_id=result_metadata_id,
            table=table,
        )
        self.reply(Opcode.RESULT, body, **extras)

    def reply_set_keyspace(self, keyspace: str, **extras: Unpack[Extras]) -> None:
        self.connection.keyspace = keyspace
        self.reply(Opcode.RESULT, Writer().write_int(3).write_string(keyspace).getvalue(), **extras)

    def reply_schema_change(
        self,
        change: str,
        target: str,
        keyspace: str,
        name: str = "",
        arguments: Sequence[str] = (),
        **extras: Unpack[Extras],
    ) -> None:
        """Answer DDL; the parameters are those of ``schema_change_fields``."""
        fields = schema_change_fields(change, target, keyspace, name, arguments).getvalue()
        self.reply(Opcode.RESULT, Writer().write_int(5).raw(fields).getvalue(), **extras)

    def reply_error(self, code: int, message: str = "scripted", **fields: Any) -> None:
        """Send an ERROR.

        :param code: an :class:`~tests.support.peer_replies.ErrorCode`, which tells its fields
        """
        extras: Extras = {}
        for key in Extras.__optional_keys__ & fields.keys():
            extras[key] = fields.pop(key)  # type: ignore[literal-required]
        if code == ErrorCode.UNPREPARED:
            fields.setdefault("prepared_id", self.prepared_id or b"")
        self.reply(Opcode.ERROR, error_body(self.version, code, message, fields), **extras)

    def reply_supported(self, options: dict[str, Sequence[str]]) -> None:
        self.reply(Opcode.SUPPORTED, Writer().write_string_multimap(options).getvalue())

    def reply_ready(self) -> None:
        """Answer STARTUP or REGISTER; after STARTUP the agreed framing begins."""
        self.reply(Opcode.READY)
        if self.opcode is Opcode.STARTUP:
            self.connection.begin_framing()

    def reply_authenticate(self, authenticator: str = _AUTHENTICATOR) -> None:
        """Ask for authentication; the agreed framing begins."""
        self.reply(Opcode.AUTHENTICATE, Writer().write_string(authenticator).getvalue())
        self.connection.begin_framing()

    def reply_auth_challenge(self, token: bytes | None) -> None:
        self.reply(Opcode.AUTH_CHALLENGE, Writer().write_bytes(token).getvalue())

    def reply_auth_success(self, token: bytes | None = None) -> None:
        self.reply(Opcode.AUTH_SUCCESS, Writer().write_bytes(token).getvalue())

    def reply_raw(self, data: bytes) -> None:
        """Send bytes as they are, without envelope or segment."""
        self.connection.in_flight.discard(self.stream_id)
        self.connection.send_bytes(data)

    def drop(self) -> None:
        """Lose the connection instead of answering."""
        self.connection.drop()

    def stall(self) -> None:
        """Leave the connection open, but neither read nor write on it any more."""
        self.connection.stall()


class ScriptedPeer:
    """A server on a loopback address whose answers the test decides.

    Leaving the context checks that clients sent only what the protocol allows: frames, checksums,
    whole bodies, no stream id twice in flight. Concurrency: the loop that entered the context.

    :param version: the highest protocol version it speaks, 4 or 5
    :param port: 0 takes a free one
    :param compression: what SUPPORTED offers; ``lz4`` is the only one that works
    :param password: user and password to ask for; ``None`` does not authenticate
    :param automatic: what it answers by itself; the set may be changed at any time
    :param tolerate_faults: leave malformed requests to the test, in :attr:`faults`
    :ivar tables: what it says about itself and its neighbours
    :ivar connections: all accepted ones, in order, closed ones included
    """

    def __init__(
        self,
        *,
        version: int = 5,
        host: str = "127.0.0.1",
        port: int = 0,
        compression: Sequence[str] = ("lz4",),
        password: tuple[str, str] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        automatic: Sequence[Automatic] = tuple(Automatic),
        tolerate_faults: bool = False,
    ) -> None:
        self.version = version
        self.host = host
        self.port = port
        self.compression = tuple(compression)
        self.password = password
        self.automatic = set(automatic)
        self.tolerate_faults = tolerate_faults
        self.tables = SystemTables(Node(host, port))
        self.connections: list[PeerConnection] = []
        self.faults: list[FrameError] = []
        self._ssl_context = ssl_context
        self._server: asyncio.Server | None = None
        self._requests: asyncio.Queue[Request] = asyncio.Queue()
        self._arrivals: asyncio.Queue[PeerConnection] = asyncio.Queue()
        self._responder: Callable[[Request], None] | None = None

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.refuse()
        for connection in self.connections:
            connection.drop()
        for connection in self.connections:
            await connection.closed.wait()
        if self.faults and exc_value is None and not self.tolerate_faults:
            raise ExceptionGroup("the client broke the protocol", self.faults)

    # Connections

    async def listen(self) -> None:
        """Accept connections, again after :meth:`refuse`."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: PeerConnection(self), self.host, self.port, ssl=self._ssl_context
        )
        self.port = self._server.sockets[0].getsockname()[1]
        node = self.tables.node
        self.tables.node = Node(
            node.address, self.port, node.tokens, node.datacenter, node.rack, node.host_id
        )

    def refuse(self) -> None:
        """Refuse new connections; the open ones stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    @property
    def open_connections(self) -> list[PeerConnection]:
        """Those that neither side has closed, oldest first."""
        return [connection for connection in self.connections if not connection.closed.is_set()]

    async def next_connection(self, seconds: float = 5.0) -> PeerConnection:
        """Wait for a client to connect; connections come in order, each once."""
        async with asyncio.timeout(seconds):
            return await self._arrivals.get()

    def drop_connections(self) -> None:
        """Lose all connections at once."""
        for connection in self.open_connections:
            connection.drop()

    def corrupt_next(self, offset: int = -1) -> None:
        """Flip one bit of the next write on the newest connection."""
        self.connections[-1].corrupt_next(offset)

    # Requests

    async def next_request(self, opcode: Opcode | None = None, *, seconds: float = 5.0) -> Request:
        """Wait for a request that is not answered automatically.

        :param opcode: the one that must come
        :param seconds: how long to wait
        :raises TimeoutError: if none comes
        """
        async with asyncio.timeout(seconds):
            request = await self._requests.get()
        if opcode is not None and request.opcode is not opcode:
            raise AssertionError(f"{opcode.name} expected, {request} came")
        return request

    @property
    def waiting_requests(self) -> int:
        """How many requests arrived that :meth:`next_request` did not return yet."""
        return self._requests.qsize()

    def respond_with(self, responder: Callable[[Request], None] | None) -> None:
        """Call a function with each request that is not answered automatically.

        :param responder: ``None`` gives them to :meth:`next_request` again
        """
        self._responder = responder

    # Events

    def push_status_change(self, change: str, address: str, port: int | None = None) -> None:
        """Push ``UP`` or ``DOWN`` to all that registered for it."""
        self._push_node_event("STATUS_CHANGE", change, address, port)

    def push_topology_change(self, change: str, address: str, port: int | None = None) -> None:
        """Push ``NEW_NODE`` or ``REMOVED_NODE`` to all that registered for it."""
        self._push_node_event("TOPOLOGY_CHANGE", change, address, port)

    def push_schema_change(self, change: str, target: str, keyspace: str, name: str = "") -> None:
        """Push a change of the schema to all that registered for it."""
        self._push("SCHEMA_CHANGE", schema_change_event_body(change, target, keyspace, name))

    def _push_node_event(self, event: str, change: str, address: str, port: int | None) -> None:
        body = Writer().write_string(event).write_string(change)
        self._push(event, body.write_inet(address, self.port if port is None else port).getvalue())

    def _push(self, event_type: str, body: bytes) -> None:
        for connection in self.open_connections:
            if event_type in connection.event_types:
                connection.send(Opcode.EVENT, -1, body)

    # What connections report

    def on_connection(self, connection: PeerConnection) -> None:
        self.connections.append(connection)
        self._arrivals.put_nowait(connection)

    def on_fault(self, connection: PeerConnection, error: FrameError) -> None:
        self.faults.append(error)

    def on_envelope(self, connection: PeerConnection, envelope: Envelope) -> None:
        if envelope.version > self.version:
            self._reject_version(connection, envelope)
            return
        connection.version = envelope.version
        if envelope.stream_id < 0 or envelope.stream_id in connection.in_flight:
            raise FrameError(f"stream id {envelope.stream_id} is negative or in flight")
        connection.in_flight.add(envelope.stream_id)
        request = Request(self, connection, envelope)
        if self._answer(request):
            return
        if self._responder is not None:
            self._responder(request)
        else:
            self._requests.put_nowait(request)

    def _reject_version(self, connection: PeerConnection, envelope: Envelope) -> None:
        """Answer in the own version and close, as servers without that version do."""
        message = (
            f"Invalid or unsupported protocol version ({envelope.version}); "
            f"supported versions are (3/v3, 4/v4)"
        )
        connection.version = self.version
        body = error_body(self.version, ErrorCode.PROTOCOL, message, {})
        connection.send(Opcode.ERROR, envelope.stream_id, body, Flag(0))
        connection.close()

    # Automatic answers

    def _answer(self, request: Request) -> bool:
        """Answer what is answered automatically."""
        match request.opcode:
            case Opcode.OPTIONS if Automatic.OPTIONS in self.automatic:
                request.reply_supported(self.supported_options())
            case Opcode.STARTUP if Automatic.STARTUP in self.automatic:
                self.accept_startup(request)
            case Opcode.AUTH_RESPONSE if Automatic.AUTHENTICATION in self.automatic:
                self._check_password(request)
            case Opcode.REGISTER:
                request.connection.event_types |= set(request.event_types)
                if Automatic.REGISTER not in self.automatic:
                    return False
                request.reply_ready()
            case Opcode.QUERY:
                return self._answer_query(request)
            case _:
                return False
        return True

    def supported_options(self) -> dict[str, Sequence[str]]:
        """Return what SUPPORTED says."""
        versions = [f"{version}/v{version}" for version in range(3, self.version + 1)]
        return {
            "CQL_VERSION": ["3.4.7"],
            "COMPRESSION": self.compression,
            "PROTOCOL_VERSIONS": versions,
        }

    def accept_startup(self, request: Request) -> None:
        """Agree on what a STARTUP asks for, and answer it."""
        request.connection.startup_options = request.startup_options
        wanted = request.startup_options.get("COMPRESSION")
        if wanted is not None and wanted not in self.compression:
            request.reply_error(ErrorCode.PROTOCOL, f"Unknown compression algorithm: {wanted}")
            return
        request.connection.agreed_compression = Compression(wanted)
        if self.password is None:
            request.reply_ready()
        else:
            request.reply_authenticate()

    def _check_password(self, request: Request) -> None:
        assert self.password is not None
        user, password = self.password
        if request.token == f"\0{user}\0{password}".encode():
            request.reply_auth_success()
        else:
            request.reply_error(
                ErrorCode.BAD_CREDENTIALS, "Provided username and/or password are incorrect"
            )

    def _answer_query(self, request: Request) -> bool:
        query = request.query or ""
        use = _USE.fullmatch(query)
        if use is not None:
            if Automatic.USE not in self.automatic:
                return False
            quoted, plain = use.groups()
            name = plain.lower() if quoted is None else quoted.replace('""', '"')
            request.reply_set_keyspace(name)
            return True
        answer = self.tables.answer(query)
        if answer is None or Automatic.SYSTEM_TABLES not in self.automatic:
            return False
        table = (answer.keyspace, answer.table)
        request.reply_rows(answer.columns, answer.rows, table=table)
        return True


@asynccontextmanager
async def scripted_cluster(
    addresses: Sequence[str], *, port: int = 0, **options: Any
) -> AsyncIterator[list[ScriptedPeer]]:
    """Run one peer per address, all on one port, each knowing the others; tokens are evenly spread.

    :param options: those of :class:`ScriptedPeer`
    """
    async with AsyncExitStack() as stack:
        peers: list[ScriptedPeer] = []
        for index, address in enumerate(addresses):
            peer = ScriptedPeer(host=address, port=port, **options)
            peer.tables.node = Node(address, port, (index * 2**64 // len(addresses) - 2**63,))
            peers.append(await stack.enter_async_context(peer))
            port = peer.port
        for peer in peers:
            peer.tables.peers = [other.tables.node for other in peers if other is not peer]
        yield peers
