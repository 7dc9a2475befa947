"""Connections of ``_net`` in the hands of the driver: its control connection, and those by which it
finds out that a node is there again.

They are opened, kept and read by the loop like any other; the driver's threads wait for what comes
of it, and turn what its parsers read into Python. Nothing of the driver's ``Connection`` is used
but what its ``Cluster`` asks of one.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from cassandra import AuthenticationFailed, OperationTimedOut
from cassandra.connection import (
    ConnectionException,
    ConnectionShutdown,
    EndPoint,
    ProtocolVersionUnsupported,
)
from cassandra.protocol import QueryMessage, RegisterMessage, ResultMessage

from async_cassandra._driver.authentication import ProviderFailed
from async_cassandra._driver.bridge import Bridge, BridgeClosed
from async_cassandra._driver.schema_changes import schema_event
from async_cassandra._driver.types import PYTHON_TYPES, format_inet
from async_cassandra._net.connection import Connection
from async_cassandra._net.errors import (
    AuthenticationRefused,
    ConnectionLost,
    ConnectionSilent,
    VersionRefused,
)
from async_cassandra._net.heartbeat import heartbeat_of
from async_cassandra._net.protocol import ConnectionProtocol
from async_cassandra._wire.codecs import CodecRegistry
from async_cassandra._wire.errors import ColumnDecodeError, ProtocolError
from async_cassandra._wire.requests import Message, Query, Register
from async_cassandra._wire.responses import Event, Response, RowPlans
from async_cassandra.exceptions._server import driver_error

log = logging.getLogger(__name__)

# Compiled code keeps the interpreter's lock while it decodes, and the loop waits for that.
ROWS_AT_ONCE = 200

type Watchers = Mapping[str, Callable[[dict[str, Any]], object]]


@dataclass(frozen=True, slots=True)
class Probing:
    """When a control connection is asked whether it is there.

    It owes nothing between two events, so only a probe tells a quiet cluster from a network that
    swallows everything; the driver sends one after 30 s and waits for 30 s more.

    :ivar interval: seconds of silence before a probe, above 0
    :ivar timeout: seconds without a byte after the probe, until the connection counts as lost
    """

    interval: float = 2.0
    timeout: float = 2.0


class Opener(Protocol):
    """Opens a connection to an endpoint, on the loop."""

    def __call__(self, endpoint: EndPoint, /) -> Awaitable[ConnectionProtocol]: ...


class DriverConnections:
    """All connections of one driver's cluster, and what they share.

    Built on the loop, which it probes the control connections from.

    :param on_lost: called on a thread of the bridge with a control connection that was lost
    :param probing: of control connections; ``None`` for never
    """

    def __init__(
        self,
        bridge: Bridge,
        open_connection: Opener,
        on_lost: Callable[["DriverConnection"], None],
        probing: Probing | None = None,
    ) -> None:
        self.bridge = bridge
        self.open_connection = open_connection
        self.on_lost = on_lost
        self.plans = RowPlans(CodecRegistry(PYTHON_TYPES))
        self.is_closing: bool = False
        self._open: set[DriverConnection] = set()
        self._lock = threading.Lock()
        self._heartbeat = None
        if probing is not None:
            self._heartbeat = heartbeat_of(self._watched, probing.interval, probing.timeout)
            self._heartbeat.start()

    def connect(
        self, endpoint: EndPoint, version: int, timeout: float, *, is_control_connection: bool
    ) -> "DriverConnection":
        """Open a connection. Blocking; any thread but the loop's.

        :raises ~cassandra.connection.ConnectionException: or what else the driver knows its reason by
        """
        connection = DriverConnection(self, endpoint, version, is_control_connection)
        with self._lock:
            if self.is_closing:
                raise ConnectionShutdown("The cluster is being closed", endpoint)
            self._open.add(connection)
        connection.open(timeout)
        return connection

    def discard(self, connection: "DriverConnection") -> None:
        with self._lock:
            self._open.discard(connection)

    def close_all(self) -> None:
        """End all waits of the driver's threads. Loop thread."""
        if self._heartbeat is not None:
            self._heartbeat.stop()
        with self._lock:
            self.is_closing = True
            connections = list(self._open)
        for connection in connections:
            connection.close()

    def _watched(self) -> Iterator[Connection]:
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            if connection.is_control_connection and connection.connection is not None:
                yield connection.connection


class DriverConnection:
    """What the driver's ``Cluster``, ``ControlConnection`` and schema parsers use of a connection.

    Concurrency: any thread but the loop's may wait.

    :ivar connection: on the loop, once it is open
    :ivar is_defunct: whether it was lost, rather than closed
    :ivar was_silent: whether it was lost because nothing came
    """

    def __init__(
        self, shared: DriverConnections, endpoint: EndPoint, version: int, is_control: bool
    ) -> None:
        self.endpoint = endpoint
        self.protocol_version = version
        self.is_control_connection = is_control
        self.connection: ConnectionProtocol | None = None
        self.is_closed = self.is_defunct = self.was_silent = False
        self.last_error: BaseException | None = None
        self._shared = shared
        self._lock = threading.Lock()
        self._opening: asyncio.Task[None] | None = None
        self._watchers: Watchers = {}
        self._events = shared.bridge.call_queue()

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "defunct" if self.is_defunct else "open"
        return f"<DriverConnection {self.endpoint} {state}>"

    @staticmethod
    def initialize_reactor() -> None:
        """Do nothing: the loop runs already."""

    @property
    def _product_type(self) -> str | None:
        """What tells the driver that this is the DataStax cloud."""
        supported = {} if self.connection is None else self.connection.supported
        return next(iter(supported.get("PRODUCT_TYPE", ())), None)

    def open(self, timeout: float) -> None:
        """:raises ~cassandra.connection.ConnectionException: or what the driver knows its reason by"""
        try:
            self._wait(self._open, timeout)
        # What TLS contexts and endpoints of the application's raise, too.
        except Exception as error:  # noqa: BLE001
            failure = error
        else:
            return
        self.close()
        if isinstance(failure, OperationTimedOut) or isinstance(failure.__cause__, TimeoutError):
            raise OperationTimedOut(f"Timed out creating connection ({timeout:g} seconds)")
        # Not within the handler: the error's traceback would be part of it.
        raise _connect_failure(failure, self.endpoint, self.protocol_version)

    def register_watchers(
        self, watchers: Watchers, /, register_timeout: float | None = None
    ) -> None:
        """Have a function called for each kind of event, off the loop and in order."""
        self._watchers = watchers
        self.wait_for_response(RegisterMessage(event_list=list(watchers)), timeout=register_timeout)

    def control_conn_disposed(self) -> None:
        """Nobody wants the events any more."""
        self.is_control_connection = False
        self._watchers = {}

    def wait_for_response(
        self, message: Any, /, timeout: float | None = None, fail_on_error: bool = True
    ) -> Any:
        """See :meth:`wait_for_responses`."""
        return self.wait_for_responses(message, timeout=timeout, fail_on_error=fail_on_error)[0]

    def wait_for_responses(
        self, *messages: Any, timeout: float | None = None, fail_on_error: bool = True
    ) -> list[Any]:
        """Send the driver's messages, all at once, and wait for the driver's results.

        :param fail_on_error: raise the first error and count as lost; else the list has pairs of
            whether the request succeeded, and its result or error
        :raises ~cassandra.connection.ConnectionShutdown: if it is closed, or lost meanwhile
        :raises ~cassandra.OperationTimedOut: if not all answers came in time
        """
        if self.is_closed or self.is_defunct:
            raise ConnectionShutdown(f"Connection {self} is already closed", self.endpoint)
        requests = [_request(message) for message in messages]
        try:
            answers = self._wait(lambda: self._ask(requests), timeout)
        except ConnectionLost as lost:
            raise _shutdown(lost, self.endpoint) from lost
        results = [self._result(answer) for answer in answers]
        if not fail_on_error:
            return [(not isinstance(result, Exception), result) for result in results]
        for result in results:
            if isinstance(result, Exception):
                self.defunct(result)
                raise result
        return results

    def close(self) -> None:
        """End it, and whatever waits for it. Any thread."""
        with self._lock:
            if self.is_closed:
                return
            self.is_closed = True
        self._shared.discard(self)
        self._let_go()

    def defunct(self, error: BaseException, /) -> None:
        """Give it up, and tell who keeps a control connection open. Any thread."""
        with self._lock:
            if self.is_closed or self.is_defunct:
                return
            self.is_defunct = True
        self.last_error = error
        self.was_silent = isinstance(error.__cause__, ConnectionSilent)
        log.debug("%s: %s", self, error)
        self._shared.discard(self)
        self._let_go()
        if self.is_control_connection:
            self._shared.bridge.submit(self._shared.on_lost, self)

    def _let_go(self) -> None:
        try:
            self._shared.bridge.start(self._abort)
        except BridgeClosed:
            log.debug("%s: its socket went with the loop", self)

    def _wait[T](self, work: Callable[[], Coroutine[Any, Any, T]], timeout: float | None) -> T:
        """Wait for what the loop does.

        :raises ~cassandra.connection.ConnectionShutdown: if the connection is closed meanwhile
        :raises ~cassandra.OperationTimedOut: if it takes longer
        """
        try:
            return self._shared.bridge.start(work).result(timeout)
        except TimeoutError:
            raise OperationTimedOut from None
        except BridgeClosed:
            raise ConnectionShutdown(f"{self} ended", self.endpoint) from None

    def _result(self, answer: Response | BaseException) -> Any:
        """The driver's result, or the error that the driver expects."""
        if isinstance(answer, ConnectionLost):
            return _shutdown(answer, self.endpoint)
        if isinstance(answer, BaseException):
            return answer
        try:
            return driver_result(answer)
        except (ColumnDecodeError, ProtocolError) as error:
            return error

    def _tell(self, event: Event) -> None:
        """Off the loop, in order."""
        watcher = self._watchers.get(event.kind)
        change = event.schema_change
        if watcher is None:
            log.debug("%s: %r is of no interest", self, event)
        elif change is not None:
            names = tuple(change.arguments or ())
            watcher(
                schema_event(change.change_type, change.target, change.keyspace, change.name, names)
            )
        elif event.address is not None:
            address = format_inet(event.address), event.port
            watcher({"change_type": event.change_type, "address": address})

    # Loop thread

    async def _open(self) -> None:
        if self.is_closed:
            raise ConnectionShutdown("The cluster is being closed", self.endpoint)
        self._opening = asyncio.current_task()
        connection = await self._shared.open_connection(self.endpoint)
        self._opening = None
        self.connection = connection
        self.protocol_version = connection.version
        connection.on_event = lambda event: self._events.put(self._tell, event)
        connection.on_closed = self._on_closed
        if connection.closed:
            self._on_closed(connection)

    async def _ask(self, requests: Iterable[Message]) -> list[Response | BaseException]:
        connection, plans = self.connection, self._shared.plans
        assert connection is not None
        answers = [connection.request(request, plans) for request in requests]
        return await asyncio.gather(*answers, return_exceptions=True)

    def _on_closed(self, connection: Connection) -> None:
        assert isinstance(connection.error, ConnectionLost)
        self.defunct(_shutdown(connection.error, self.endpoint))

    async def _abort(self) -> None:
        if self._opening is not None:
            self._opening.cancel()
        if self.connection is not None:
            # Not only closed: a peer that is gone would keep what is unsent, and the socket.
            self.connection.abort(ConnectionLost(f"{self} was given up"))
            await self.connection.close(0)


def _request(message: Any) -> Message:
    """One of the driver's messages, as far as its control connection sends them.

    :raises TypeError: if it is another one
    """
    if isinstance(message, RegisterMessage):
        return Register(message.event_list)
    if not isinstance(message, QueryMessage):
        raise TypeError(f"a control connection sends no {type(message).__name__}")
    query = Query(message.query)
    query.consistency = message.consistency_level
    query.page_size = message.fetch_size or 0
    query.paging_state = message.paging_state
    return query


def driver_result(response: Response) -> Any:
    """Return the driver's object for a response to one of its messages: a result, or an exception.

    :raises ProtocolError: if the rows are not what their lengths say
    :raises ColumnDecodeError: if Python cannot hold one of the values
    """
    if response.error is not None:
        error = response.error
        return driver_error(error.code, error.message, error.fields)
    result = ResultMessage(response.kind)
    if response.page is not None:
        page = response.page
        result.column_names = list(page.plan.column_names)
        result.parsed_rows = []
        for start in range(0, len(page), ROWS_AT_ONCE):
            result.parsed_rows += page[start : start + ROWS_AT_ONCE]
        result.paging_state = response.paging_state
    return result


def _shutdown(lost: ConnectionLost, endpoint: EndPoint) -> ConnectionShutdown:
    error = ConnectionShutdown(str(lost), endpoint)
    error.__cause__ = lost
    return error


def _connect_failure(error: Exception, endpoint: EndPoint, version: int) -> Exception:
    """What the driver knows the failure by; it takes a node for down by a ``ConnectionException``."""
    cause = error.__cause__
    if isinstance(error, VersionRefused):
        unsupported: Exception = ProtocolVersionUnsupported(endpoint, version)
        return unsupported
    if isinstance(cause, ProviderFailed):
        return cause
    if isinstance(error, AuthenticationRefused):
        return AuthenticationFailed(str(error))
    if isinstance(error, ConnectionException):
        return error
    if isinstance(cause, ConnectionLost) and not isinstance(cause.__cause__, ProtocolError):
        return _shutdown(cause, endpoint)
    if isinstance(cause, ConnectionLost):
        cause = cause.__cause__
    failure = ConnectionException(str(cause or error), endpoint)
    failure.__cause__ = cause
    return failure
