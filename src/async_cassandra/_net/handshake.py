"""Opening a connection: TCP, TLS, OPTIONS, STARTUP, authentication, USE.

Theory. Until STARTUP is answered both sides send bare envelopes; from then on a v5 connection
speaks segments. The server answers a version that it does not speak with an ERROR in its own
version, which ends the attempt with :class:`VersionRefused`.
"""

import asyncio
import socket
import ssl as tls
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from async_cassandra._net.connection import Connection
from async_cassandra._net.errors import (
    AuthenticationRefused,
    ConnectFailed,
    ConnectionLost,
    KeyspaceRefused,
    VersionRefused,
)
from async_cassandra._net.protocol import ConnectionProtocol
from async_cassandra._wire.protocol import ErrorCode, Opcode
from async_cassandra._wire.requests import AuthResponse, Options, Query, Startup
from async_cassandra._wire.responses import Response


class Authenticator(Protocol):
    """One connection's authentication dialogue; each step may block and runs outside the loop."""

    async def initial_response(self, server_authenticator: str) -> bytes | None: ...

    async def evaluate_challenge(self, challenge: bytes | None) -> bytes | None: ...

    async def on_success(self, token: bytes | None) -> None: ...

    def without_secrets(self, text: str) -> str:
        """Return a server's words without what it was told."""


class ByName(Protocol):
    """Connects to a host, as the control plane knows it, by a name that its certificate has."""

    async def __call__[T](self, host: Any, attempt: Callable[[str], Awaitable[T]], /) -> T: ...


@dataclass(slots=True)
class ConnectOptions:
    """Settings for opening connections.

    :ivar connect_by_name: chooses the name for ``ssl_context``; ``None`` for the address
    :ivar compression: ``(compress, decompress)`` of LZ4 blocks, used if the server has it; ``None``
        for none
    :ivar max_in_flight: requests in flight per connection, 1 to 32767
    :ivar connect_timeout: seconds for opening one in all
    :ivar sockopts: arguments of ``socket.setsockopt``, set before connecting
    """

    protocol_version: int = 5
    ssl_context: tls.SSLContext | None = None
    connect_by_name: ByName | None = None
    compression: tuple[Callable[..., bytes], Callable[..., bytes]] | None = None
    max_in_flight: int = 2048
    connect_timeout: float = 5.0
    startup: dict[str, str] = field(default_factory=dict)
    new_authenticator: Callable[[Any], Awaitable[Authenticator | None]] | None = None
    local_address: tuple[str, int] | None = None
    sockopts: Sequence[tuple[Any, ...]] = ()


async def open_connection(
    address: str,
    port: int,
    options: ConnectOptions,
    *,
    host: object = None,
    keyspace: str | None = None,
) -> ConnectionProtocol:
    """Open a connection that is ready for requests.

    Cancellation: the half-open connection is aborted.

    :param address: IP address, host name, or the path of a Unix socket (``port`` 0)
    :param host: handed to ``options.new_authenticator``
    :param keyspace: the connection's keyspace, in the server's spelling
    :raises ConnectFailed: with the address and the cause, also after ``options.connect_timeout``
    """
    endpoint = f"{address}:{port}" if port else address
    try:
        async with asyncio.timeout(options.connect_timeout):
            return await _open(address, port, endpoint, options, host, keyspace)
    except ConnectFailed:
        raise
    except TimeoutError as error:
        raise ConnectFailed(
            f"connecting to {endpoint} took longer than {options.connect_timeout:g} s", endpoint
        ) from error
    except tls.SSLCertVerificationError as error:
        raise ConnectFailed(
            f"the TLS certificate of {endpoint} was refused: {error.verify_message}", endpoint
        ) from error
    except (OSError, ConnectionLost) as error:
        raise ConnectFailed(f"cannot connect to {endpoint}: {error}", endpoint) from error


async def _open(
    address: str,
    port: int,
    endpoint: str,
    options: ConnectOptions,
    host: object,
    keyspace: str | None,
) -> ConnectionProtocol:
    async def attempt(name: str) -> ConnectionProtocol:
        return await _connect(address, port, endpoint, options, name)

    if options.ssl_context is None or options.connect_by_name is None:
        connection = await attempt(address)
    else:
        connection = await options.connect_by_name(host, attempt)
    try:
        await _start(connection, options, host)
        if keyspace is not None:
            await use_keyspace(connection, keyspace)
    except BaseException as error:
        connection.abort(ConnectFailed(f"connecting to {endpoint} failed", endpoint), error)
        raise
    return connection


async def _connect(
    address: str, port: int, endpoint: str, options: ConnectOptions, name: str
) -> ConnectionProtocol:
    """Open TCP or the Unix socket, and TLS to a server with that name."""
    loop = asyncio.get_running_loop()

    def factory() -> ConnectionProtocol:
        return ConnectionProtocol(
            loop,
            endpoint,
            options.protocol_version,
            max_in_flight=options.max_in_flight,
            compression=options.compression,
        )

    tls_options: dict[str, Any] = {"ssl": options.ssl_context}
    if options.ssl_context is not None:
        tls_options["server_hostname"] = name
    if options.sockopts:
        sock = await _connected_socket(address, port, options)
        try:
            _, connection = await loop.create_connection(factory, sock=sock, **tls_options)
        except BaseException:
            sock.close()
            raise
        return connection
    if not port:
        _, connection = await loop.create_unix_connection(factory, address, **tls_options)
        return connection
    _, connection = await loop.create_connection(
        factory, address, port, local_addr=options.local_address, **tls_options
    )
    return connection


async def _connected_socket(address: str, port: int, options: ConnectOptions) -> socket.socket:
    """Open a socket with ``options.sockopts``, connected to the first address that accepts it."""
    loop = asyncio.get_running_loop()
    places: list[tuple[Any, ...]] = [(socket.AF_UNIX, socket.SOCK_STREAM, 0, "", address)]
    if port:
        places = list(await loop.getaddrinfo(address, port, type=socket.SOCK_STREAM))
    failure = OSError(f"{address} has no address")
    for family, kind, proto, _, place in places:
        sock = socket.socket(family, kind, proto)
        try:
            sock.setblocking(False)
            for option in options.sockopts:
                _set_option(sock, option)
            if options.local_address is not None:
                sock.bind(options.local_address)
            await loop.sock_connect(sock, place)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _set_option(sock: socket.socket, option: tuple[Any, ...]) -> None:
    try:
        sock.setsockopt(*option)
    except (OSError, TypeError) as error:
        raise OSError(f"sockopts: setsockopt{tuple(option)!r} failed: {error}") from error


async def _start(connection: ConnectionProtocol, options: ConnectOptions, host: object) -> None:
    answer = await connection.request(Options())
    if answer.error is not None and answer.error.code == ErrorCode.PROTOCOL_ERROR:
        # OPTIONS has no body: its version is all that a server can find wrong with it.
        raise VersionRefused(
            f"{connection.endpoint} does not speak protocol version {connection.version}: "
            f"{answer.error.message}",
            connection.endpoint,
        )
    supported = _expect(connection, answer, Opcode.SUPPORTED).supported or {}
    connection.supported = supported
    versions = supported.get("CQL_VERSION", ["3.4.7"])
    startup = {"CQL_VERSION": versions[0]} | options.startup
    if startup["CQL_VERSION"] not in versions:
        raise ConnectFailed(
            f"{connection.endpoint} has no CQL {startup['CQL_VERSION']}, which cql_version asks "
            f"for; it has {', '.join(versions)}",
            connection.endpoint,
        )
    compressed = options.compression is not None and "lz4" in supported.get("COMPRESSION", ())
    if compressed:
        startup["COMPRESSION"] = "lz4"
    response = _expect(
        connection, await connection.request(Startup(startup)), Opcode.READY, Opcode.AUTHENTICATE
    )
    if connection.version >= 5:
        connection.use_segments(compressed)
    elif compressed:
        connection.use_compression()
    if response.opcode == Opcode.AUTHENTICATE:
        await _authenticate(connection, options, host, response.authenticator or "")


async def _authenticate(
    connection: ConnectionProtocol, options: ConnectOptions, host: object, server_authenticator: str
) -> None:
    authenticator = None
    if options.new_authenticator is not None:
        authenticator = await _provided(connection, options.new_authenticator(host))
    if authenticator is None:
        raise AuthenticationRefused(
            f"{connection.endpoint} requires authentication ({server_authenticator}): "
            "pass an auth_provider",
            connection.endpoint,
        )
    # Tokens are in no variable: an error's traceback has those of its frames.
    step = authenticator.initial_response(server_authenticator)
    while True:
        response = _expect(
            connection,
            await connection.request(AuthResponse(await _provided(connection, step))),
            Opcode.AUTH_CHALLENGE,
            Opcode.AUTH_SUCCESS,
            spoken=authenticator.without_secrets,
        )
        if response.opcode == Opcode.AUTH_SUCCESS:
            await _provided(connection, authenticator.on_success(response.token))
            return
        step = authenticator.evaluate_challenge(response.token)


async def _provided[T](connection: ConnectionProtocol, step: Awaitable[T]) -> T:
    """Run one step of the application's authenticator."""
    try:
        return await step
    except Exception as error:
        error.__traceback__ = None  # its frames have challenges and answers in variables
        raise AuthenticationRefused(
            f"cannot connect to {connection.endpoint}: {error}", connection.endpoint
        ) from error


def _expect(
    connection: Connection,
    response: Response,
    *opcodes: Opcode,
    spoken: Callable[[str], str] = str,
) -> Response:
    """Return ``response`` if it is one of ``opcodes``, or else raise what it means here.

    :param spoken: returns the server's words in a form that may be repeated
    """
    if response.opcode in opcodes:
        return response
    endpoint = connection.endpoint
    error = response.error
    if error is None:
        raise ConnectFailed(
            f"{endpoint} answered with opcode 0x{response.opcode:02x} during the handshake",
            endpoint,
        )
    if error.code == ErrorCode.BAD_CREDENTIALS:
        raise AuthenticationRefused(
            f"{endpoint} refused the credentials: {spoken(error.message)}", endpoint
        )
    raise ConnectFailed(
        f"{endpoint} refused the connection: {spoken(error.message)} (code 0x{error.code:04x})",
        endpoint,
    )


async def use_keyspace(connection: Connection, keyspace: str) -> None:
    """Make ``keyspace`` the connection's.

    :raises KeyspaceRefused: with the server's words, for example that it does not exist
    """
    quoted = keyspace.replace('"', '""')
    response = await connection.request(Query(f'USE "{quoted}"'))
    if response.error is not None:
        raise KeyspaceRefused(
            f"{connection.endpoint} refused keyspace {keyspace!r}: {response.error.message}",
            connection.endpoint,
        )
    _expect(connection, response, Opcode.RESULT)
    connection.keyspace = keyspace
