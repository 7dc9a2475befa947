"""The driver's control connection on an asyncio transport: no libev, no asyncore, no reactor
thread.

The driver's threads encode and wait, the loop moves bytes, a reader thread of the bridge decodes.
Nothing of the driver's ``Connection`` is replaced but its sockets, what it takes for a whole
segment, and how it reads names; its handshake, its messages and its event handling stay.

A control connection owes nothing between two events, so only a probe tells a quiet cluster from a
network that swallows everything; the driver sends one after 30 s and waits for 30 s more.
"""

import asyncio
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar, Self

from cassandra.connection import (
    Connection,
    ConnectionException,
    ConnectionShutdown,
    EndPoint,
)
from cassandra.protocol import ErrorMessage, EventMessage, NotSupportedError, OptionsMessage
from cassandra.segment import CRC32_LENGTH, CrcException

from async_cassandra._driver.authentication import ProviderFailed
from async_cassandra._driver.bridge import Bridge, OrderedQueue
from async_cassandra._driver.control_messages import decode_message
from async_cassandra._driver.schema_changes import believed
from async_cassandra._driver.server_names import ServerNames
from async_cassandra.exceptions import ConfigurationError

log = logging.getLogger(__name__)


def _hide_bytes(record: logging.LogRecord) -> bool:
    """Keep out of the driver's records what arrived: it may be an authentication token, or data."""
    if isinstance(record.args, tuple) and any(isinstance(arg, bytes) for arg in record.args):
        record.args = tuple(
            f"{len(arg)} bytes" if isinstance(arg, bytes) else arg for arg in record.args
        )
    return True


logging.getLogger("cassandra.connection").addFilter(_hide_bytes)

Address = tuple[Any, ...]
"""One item of ``socket.getaddrinfo``: family, type, protocol, canonical name, address."""


@dataclass(frozen=True, slots=True)
class Probing:
    """When a control connection is asked whether it is there.

    :ivar interval: seconds of silence before a probe, above 0
    :ivar timeout: seconds without a byte after the probe, until the connection counts as lost
    """

    interval: float = 2.0
    timeout: float = 2.0


class Reactor:
    """What all connections of one cluster share: the bridge, and the list of those that are open.

    :param probing: of control connections; ``None`` for never
    :param server_names: what certificates are checked against
    :param on_lost: called on a thread of the bridge with a control connection that was lost
    :param on_loop_closed: called on a thread of the bridge, once, when the loop turns out to be
        closed while connections were open
    """

    def __init__(
        self,
        bridge: Bridge,
        on_lost: Callable[["LoopConnection"], None],
        on_loop_closed: Callable[[], None],
        probing: Probing | None = None,
        server_names: ServerNames | None = None,
    ) -> None:
        self.bridge = bridge
        self.server_names = server_names or ServerNames()
        self.probing = probing
        self.on_lost = on_lost
        self._on_loop_closed = on_loop_closed
        self.is_closing: bool = False
        self._open: set[LoopConnection] = set()
        self._lock = threading.Lock()
        self._openings: set[asyncio.Task[None]] = set()
        self._transports: set[FrameReceiver] = set()

    def add(self, connection: "LoopConnection") -> None:
        """:raises ConnectionShutdown: if no connection may be opened any more"""
        with self._lock:
            if self.is_closing:
                raise ConnectionShutdown("The cluster is being closed", connection.endpoint)
            self._open.add(connection)

    def discard(self, connection: "LoopConnection") -> None:
        with self._lock:
            self._open.discard(connection)

    def post(self, function: Callable[..., object], *args: Any) -> bool:
        """See :meth:`Bridge.post`; notes that the loop is closed. Any thread."""
        if self.bridge.post(function, *args):
            return True
        with self._lock:
            was_closing, self.is_closing = self.is_closing, True
        if not was_closing:
            self.bridge.submit(self._on_loop_closed)
        return False

    def close_all(self) -> None:
        """End all waits of the driver's threads. Blocking; any thread but the loop's."""
        with self._lock:
            self.is_closing = True
            connections = list(self._open)
        for connection in connections:
            connection.close()

    def start_opening(self, opening: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self.bridge.loop.create_task(opening)
        self._openings.add(task)
        task.add_done_callback(self._openings.discard)
        return task

    async def wait_closed(self) -> None:
        """Wait until the loop has let go of every socket."""
        await asyncio.gather(*self._openings, return_exceptions=True)
        while self._transports:
            await next(iter(self._transports)).closed.wait()

    def opened(self, receiver: "FrameReceiver") -> None:
        self._transports.add(receiver)

    def closed(self, receiver: "FrameReceiver") -> None:
        self._transports.discard(receiver)


class FrameReceiver(asyncio.Protocol):
    """Loop side of one connection: hands what arrives to the connection's queue.

    Until it is opened, TLS included, who opens it reports what goes wrong.
    """

    def __init__(self, connection: "LoopConnection") -> None:
        self._connection = connection
        self._is_opened = False
        self._error: Exception | None = None
        self._pulse: Pulse | None = None
        self.reads = 0
        self.closed: asyncio.Event = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connection.reactor.opened(self)

    def data_received(self, data: bytes) -> None:
        self.reads += 1
        self._connection.frames.put(self._connection.receive, data)

    def connection_lost(self, error: Exception | None) -> None:
        self._error = error
        self.let_go()
        if self._is_opened:
            self._report_loss()

    def on_opened(self) -> None:
        self._is_opened = True
        probing = self._connection.reactor.probing
        if self.closed.is_set():
            self._report_loss()
        elif probing is not None and self._connection.is_control_connection:
            self._pulse = Pulse(self._connection, self, probing)

    def let_go(self) -> None:
        if self._pulse is not None:
            self._pulse.stop()
        self._connection.reactor.closed(self)
        self.closed.set()

    def _report_loss(self) -> None:
        self._connection.frames.put(self._connection.on_connection_lost, self._error)


class Pulse:
    """Notices that a control connection has gone silent. Concurrency: loop thread.

    Beats are counted, not seconds: after a loop was blocked, what arrived meanwhile is read between
    two beats, while the seconds would be over already.
    """

    def __init__(
        self, connection: "LoopConnection", receiver: FrameReceiver, probing: Probing
    ) -> None:
        self._connection = connection
        self._receiver = receiver
        self._beat_seconds = min(probing.interval, probing.timeout) / 2
        self._beats_to_probe = max(1, round(probing.interval / self._beat_seconds))
        self._beats_to_loss = self._beats_to_probe + round(probing.timeout / self._beat_seconds)
        self._reads = receiver.reads
        self._silent_beats = 0
        self._handle: asyncio.TimerHandle = self._schedule()

    def stop(self) -> None:
        self._handle.cancel()

    def _schedule(self) -> asyncio.TimerHandle:
        loop = self._connection.reactor.bridge.loop
        return loop.call_later(self._beat_seconds, self._beat)

    def _beat(self) -> None:
        is_connected = self._connection.connected_event.is_set()
        if self._receiver.reads != self._reads or not is_connected:
            # The handshake has its own timeout, and no place for a probe.
            self._reads = self._receiver.reads
            self._silent_beats = 0
        else:
            self._silent_beats += 1
        if self._silent_beats == self._beats_to_loss:
            silence = self._silent_beats * self._beat_seconds
            self._connection.frames.put(self._connection.on_silence, silence)
            return
        if self._silent_beats == self._beats_to_probe:
            self._connection.frames.put(self._connection.send_probe)
        self._handle = self._schedule()


class LoopTimer:
    """A timer in the driver's sense; the callback runs on the loop."""

    def __init__(self, bridge: Bridge, timeout: float, callback: Callable[[], object]) -> None:
        self._bridge = bridge
        self._handle: asyncio.TimerHandle | None = None
        self._is_cancelled = False
        bridge.post(self._start, timeout, callback)

    def cancel(self) -> None:
        """Any thread."""
        self._is_cancelled = True
        self._bridge.post(self._cancel)

    def _start(self, timeout: float, callback: Callable[[], object]) -> None:
        if not self._is_cancelled:
            self._handle = self._bridge.loop.call_later(timeout, callback)

    def _cancel(self) -> None:
        if self._handle is not None:
            self._handle.cancel()


class LoopConnection(Connection):
    """A connection of the driver whose bytes go through the running loop.

    The class is used through :meth:`bound_to`: the driver only ever passes the class around, never
    an instance.
    """

    reactor: ClassVar[Reactor]

    @classmethod
    def bound_to(cls, reactor: Reactor) -> type[Self]:
        return type(cls.__name__, (cls,), {"reactor": reactor})

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.frames: OrderedQueue = self.reactor.bridge.frame_queue()
        self.was_silent = False
        self._transport: asyncio.Transport | None = None
        self._opening: asyncio.Task[None] | None = None
        self.reactor.add(self)
        try:
            addresses = self._get_socket_addresses()
        except OSError as error:
            self.reactor.discard(self)
            raise _unreachable(self.endpoint, error) from error
        if not self.reactor.post(self._start_opening, addresses):
            self.defunct(ConnectionShutdown("The event loop is closed", self.endpoint))

    @classmethod
    def initialize_reactor(cls) -> None:
        """Nothing to start: the loop runs already."""

    @classmethod
    def handle_fork(cls) -> None:
        """Nothing to clean: a fork has no loop of its parent."""

    @classmethod
    def create_timer(cls, timeout: float, callback: Callable[[], object]) -> LoopTimer:
        return LoopTimer(cls.reactor.bridge, timeout, callback)

    def push(self, data: bytes) -> None:
        if not self.reactor.post(self._write, data):
            error = ConnectionShutdown("The event loop is closed", self.endpoint)
            self.defunct(error)
            raise error

    def _handle_options_response(self, options_response: Any) -> None:
        """Say that the server has no such CQL; the driver says that its answer is wrong."""
        known = getattr(options_response, "cql_versions", None) or ()
        if self.cql_version and known and self.cql_version not in known:
            self.defunct(
                ConnectionException(
                    f"it has no CQL {self.cql_version}, which cql_version asks for, but "
                    f"{', '.join(known)}",
                    self.endpoint,
                )
            )
        else:
            super()._handle_options_response(options_response)

    def close(self) -> None:
        with self.lock:
            if self.is_closed:
                return
            self.is_closed = True
        self.reactor.discard(self)
        self.reactor.post(self._close_transport)
        if self.is_defunct:
            return
        error = ConnectionShutdown(f"The connection to {self.endpoint} was closed", self.endpoint)
        if not self.connected_event.is_set():
            # Who waits in factory() would take the connection for an open one.
            self.last_error = error
        self.error_all_requests(error)
        self.connected_event.set()

    def defunct(self, exc: BaseException) -> BaseException | None:
        if isinstance(exc, ProviderFailed):
            # The steps' frames have challenges and answers in variables.
            exc = exc.with_traceback(None)
        was_defunct = self.is_defunct or self.is_closed
        result: BaseException | None = super().defunct(exc)
        if self.is_control_connection and not was_defunct:
            self.reactor.bridge.submit(self.reactor.on_lost, self)
        return result

    def _handle_auth_response(self, auth_response: Any) -> None:
        if isinstance(auth_response, ErrorMessage):
            auth_response.message = self.authenticator.without_secrets(str(auth_response.message))
        super()._handle_auth_response(auth_response)

    def receive(self, data: bytes) -> None:
        """Reader thread: decode what arrived and run the callbacks that wait for it."""
        if self.is_closed or self.is_defunct:
            return
        self._iobuf.write(data)
        self.process_io_buffer()

    def _process_segment_buffer(self) -> None:
        """Wait for the whole segment.

        The driver drops what has arrived of a segment's header, and takes an LZ4 segment that is
        stored plain for two bytes shorter than it is.
        """
        if self._has_whole_segment():
            super()._process_segment_buffer()
        else:
            self._io_buffer._segment_consumed = False
            self._io_buffer.io_buffer.seek(0)

    def _has_whole_segment(self) -> bool:
        arrived, data = self._io_buffer.readable_io_bytes(), self._io_buffer.io_buffer
        size: int = self._segment_codec.header_length_with_crc
        if arrived < size:
            return False
        data.seek(0)
        try:
            header = self._segment_codec.decode_header(data)
        except CrcException:
            return True  # the driver ends the connection then
        finally:
            data.seek(arrived)
        whole: bool = arrived >= size + header.payload_length + CRC32_LENGTH
        return whole

    def send_msg(self, msg: Any, request_id: int, cb: Any, **options: Any) -> int:
        sent: int = super().send_msg(msg, request_id, cb, **{"decoder": decode_message, **options})
        return sent

    def process_msg(self, header: Any, body: bytes) -> None:
        if header.stream >= 0:
            super().process_msg(header, body)
            return
        self.msg_received = True
        try:
            event = decode_message(
                header.version,
                self.user_type_map,
                header.stream,
                header.flags,
                header.opcode,
                body,
                self.decompressor,
                None,
            )
        except NotSupportedError as error:
            log.debug("%s: %s", self.endpoint, error)
            return
        # The driver's decoders raise whatever they run into.
        except Exception as error:  # noqa: BLE001
            self.defunct(error)
            return
        if isinstance(event, EventMessage) and event.event_type == "SCHEMA_CHANGE":
            event.event_args = believed(event.event_args)
        self.handle_pushed(event)

    def on_connection_lost(self, error: Exception | None) -> None:
        """Reader thread, behind the last frame."""
        why = f": {error}" if error else " by the server"
        self.defunct(
            ConnectionShutdown(f"The connection to {self.endpoint} was closed{why}", self.endpoint)
        )

    def send_probe(self) -> None:
        """Reader thread: ask for anything at all."""
        with self.lock:
            if self.is_closed or self.is_defunct or self.in_flight >= self.max_request_id:
                return
            self.in_flight += 1
            request_id = self.get_request_id()
        try:
            self.send_msg(OptionsMessage(), request_id, self._on_probed)
        except ConnectionShutdown:
            log.debug("%s was closed before it was probed", self.endpoint)

    def _on_probed(self, response: object) -> None:
        with self.lock:
            self.in_flight -= 1

    def on_silence(self, seconds: float) -> None:
        """Reader thread: the probe was not answered."""
        self.was_silent = True
        self.defunct(
            ConnectionShutdown(
                f"{self.endpoint} has answered nothing for {seconds:g} s", self.endpoint
            )
        )

    def _start_opening(self, addresses: Sequence[Address]) -> None:
        if not self.is_closed:
            self._opening = self.reactor.start_opening(self._open(addresses))

    async def _open(self, addresses: Sequence[Address]) -> None:
        async def attempt(name: str | None) -> tuple[FrameReceiver, asyncio.Transport]:
            receiver = FrameReceiver(self)
            sock = await self._connect_any(addresses)
            return receiver, await self._start_transport(sock, receiver, name)

        names = self.reactor.server_names
        try:
            if self.ssl_context is None:
                receiver, transport = await attempt(None)
            else:
                receiver, transport = await names.connect(self.endpoint, self.ssl_context, attempt)
        # OSError and ssl.SSLError, and what a context of the application's may raise.
        except Exception as error:  # noqa: BLE001
            self.frames.put(self.defunct, _unreachable(self.endpoint, error))
            return
        self._transport = transport
        self.frames.put(self._send_options_message)
        receiver.on_opened()

    async def _connect_any(self, addresses: Sequence[Address]) -> socket.socket:
        failure: OSError | None = None
        for family, kind, proto, _, address in addresses:
            sock = socket.socket(family, kind, proto)
            try:
                sock.setblocking(False)
                for option in self.sockopts or ():
                    sock.setsockopt(*option)
                await self.reactor.bridge.loop.sock_connect(sock, address)
            except OSError as error:
                sock.close()
                failure = error
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise failure or OSError(f"{self.endpoint} has no address")

    async def _start_transport(
        self, sock: socket.socket, receiver: FrameReceiver, server_hostname: str | None
    ) -> asyncio.Transport:
        loop = self.reactor.bridge.loop
        transport, _ = await loop.create_connection(lambda: receiver, sock=sock)
        self._transport = transport
        if self.ssl_context is None:
            return transport
        try:
            secure = await loop.start_tls(
                transport,
                receiver,
                self.ssl_context,
                server_hostname=server_hostname,
                ssl_handshake_timeout=self.connect_timeout,
            )
        except BaseException:
            # A connection that ends during the handshake does not tell its protocol.
            transport.abort()
            receiver.let_go()
            raise
        if secure is None:
            receiver.let_go()
            raise ConnectionException("Closed during the TLS handshake", self.endpoint)
        return secure

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _close_transport(self) -> None:
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
        if self._transport is not None:
            # Not close(): a peer that is gone would keep what is unsent, and the socket, for ever.
            self._transport.abort()


def _unreachable(endpoint: EndPoint, error: Exception) -> ConnectionException:
    """The error in the class by which the driver takes the node for down."""
    wrapped = ConnectionException(str(error), endpoint)
    wrapped.__cause__ = error
    return wrapped


def ssl_context_from_options(options: Mapping[str, Any]) -> ssl.SSLContext:
    """What the driver makes of ``ssl_options`` without a context, and means to.

    It stores ``cert_reqs`` as the context's options: nothing is verified by ``PROTOCOL_TLS``, which
    its documents name, and what OpenSSL leaves out for safety is let in.

    :raises ~async_cassandra.exceptions.ConfigurationError: if they cannot be used
    """
    holder = SimpleNamespace(ssl_options=dict(options))
    try:
        context: ssl.SSLContext = Connection._build_ssl_context_from_options(holder)
        # SSLv3 is below the context's lowest version, and setting the option for it is deprecated.
        usual = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).options
        context.options = usual & ~ssl.OP_NO_SSLv3
        if options.get("cert_reqs") is not None:
            context.verify_mode = options["cert_reqs"]
    except (OSError, TypeError, ValueError) as error:
        raise ConfigurationError(f"ssl_options cannot be used: {error}", error) from error
    return context
