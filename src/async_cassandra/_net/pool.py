"""One node's connections, kept open.

Theory. One task per pool opens what is missing: at once after a loss, then with growing pauses.
If it cannot open any, it says so through ``on_unreachable``; the first one that opens ends that. A
connection that answers nothing is probed and then aborted by :mod:`.heartbeat`; one that is worn
out by orphaned stream ids, or no longer has the session's keyspace, is replaced first and
closed when its live requests are done; it is watched until then.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

from async_cassandra._net.connection import Connection, NodeConnections
from async_cassandra._net.errors import ConnectFailed, KeyspaceRefused
from async_cassandra._net.protocol import ConnectionProtocol
from async_cassandra._net.turn import Turn
from async_cassandra._wire.errors import ProtocolError

FIRST_PAUSE = 0.05
# An application whose only node comes back is served within this and what a handshake takes.
LONGEST_PAUSE = 0.5

type Opener = Callable[[str | None], Awaitable[ConnectionProtocol]]


class NodePool(NodeConnections):
    """Keeps ``size`` connections to one node open.

    Concurrency: the loop's thread only.

    :param opener: opens one connection that uses the given keyspace
    :param turn: the turn of the loop, shared with the other nodes
    :param size: connections to keep, 1 or more
    :param on_available: called when a request may be sent that could not before
    :param on_unreachable: called with the error each time that opening failed while none is
        open
    :param on_reachable: called when a connection opens after that
    :param on_opened: called with each connection that opens
    :param on_lost: called with each open connection that ends, unless the pool closed it
    :ivar is_unreachable: whether ``on_unreachable`` was called since a connection was open
    :ivar protocol_errors: connections closed because their bytes could not be right
    """

    def __init__(
        self,
        endpoint: str,
        host: object,
        opener: Opener,
        *,
        turn: Turn,
        size: int = 1,
        keyspace: str | None = None,
        on_available: Callable[[], None],
        on_unreachable: Callable[["NodePool", ConnectFailed], None],
        on_reachable: Callable[["NodePool"], None],
        on_opened: Callable[["NodePool", ConnectionProtocol], None],
        on_lost: Callable[["NodePool", Connection], None],
    ) -> None:
        self._opener = opener
        self._turn = turn
        self._size = size
        self._keyspace = keyspace
        self._on_available = on_available
        self._on_unreachable = on_unreachable
        self._on_reachable = on_reachable
        self._on_opened = on_opened
        self._on_lost = on_lost
        self._wake = asyncio.Event()
        self._worn: set[Connection] = set()
        self._retiring: set[Connection] = set()
        self.is_unreachable = False
        self._renewed: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._closings: set[asyncio.Task[None]] = set()
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._closing = False
        self.last_error: ConnectFailed | None = None
        self.protocol_errors = 0

    def __repr__(self) -> str:
        return f"<NodePool {self.endpoint} {self.connections!r}>"

    @property
    def is_open(self) -> bool:
        """Whether at least one connection is open."""
        return bool(self.connections)

    def start(self) -> None:
        """Start to open connections, in the background."""
        self._task = asyncio.get_running_loop().create_task(
            self._keep_open(), name=f"connections to {self.endpoint}"
        )

    def watched(self) -> list[Connection]:
        """Return every connection that may owe a response: those in use, and those that are retiring."""
        return [*self.connections, *self._retiring]

    async def wait_open(self) -> None:
        """Wait for the first attempt to open a connection.

        :raises ConnectFailed: if that attempt failed; further ones follow
        """
        await asyncio.shield(self._first)

    def wake(self) -> None:
        """Try to open what is missing now rather than after the current pause."""
        self._wake.set()

    async def _keep_open(self) -> None:
        pause = 0.0
        while not self._closing:
            self._wake.clear()
            if len(self.connections) - len(self._worn) >= self._size:
                await self._wake.wait()
                pause = 0.0
                continue
            try:
                await self._open_one()
                pause = 0.0
            except ConnectFailed as error:
                self._note_failure(error)
                pause = min(LONGEST_PAUSE, max(FIRST_PAUSE, pause * 2))
                await self._rest(pause * random.uniform(0.75, 1.0))

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _open_one(self) -> None:
        connection = await self.open_with(self._keyspace)
        if connection.keyspace == self._keyspace:
            self.take_in(connection)
        else:
            connection.abort(ConnectFailed("the keyspace changed meanwhile", self.endpoint))

    async def open_with(self, keyspace: str | None) -> ConnectionProtocol:
        """Open a connection in addition to those that are kept.

        :raises ConnectFailed: if none can be opened
        :raises KeyspaceRefused: if the node refuses the keyspace
        """
        try:
            connection = await self._opener(keyspace)
        except ConnectFailed:
            raise
        # The authenticator is the application's, the answers are a server's.
        except Exception as error:
            raise ConnectFailed(
                f"cannot connect to {self.endpoint}: {error}", self.endpoint
            ) from error
        if connection.closed:
            raise ConnectFailed(f"{self.endpoint} closed the connection at once", self.endpoint)
        return connection

    def take_in(self, connection: ConnectionProtocol) -> None:
        """Keep a connection, in place of a worn one if there is one."""
        connection.node = self
        connection.turn = self._turn
        connection.on_closed = self._on_closed
        connection.on_available = self._on_available
        connection.on_worn = self._replace
        self.connections.append(connection)
        self.last_error = None
        if not self._first.done():
            self._first.set_result(None)
        if self.is_unreachable:
            self.is_unreachable = False
            self._on_reachable(self)
        self._on_opened(self, connection)
        self._on_available()
        if self._worn:
            self._retire(self._worn.pop())
        if all(kept.keyspace == self._keyspace for kept in self.connections):
            self._tell_renewed()

    def _tell_renewed(self) -> None:
        if self._renewed is not None and not self._renewed.done():
            self._renewed.set_result(None)

    def _note_failure(self, error: ConnectFailed) -> None:
        self._tell_renewed()
        if not self._first.done():
            self._first.set_exception(error)
            self._first.exception()
        self.last_error = error
        # A refused keyspace says nothing against the node.
        if self.connections or isinstance(error, KeyspaceRefused):
            return
        self._on_unreachable(self, error)
        self.is_unreachable = True

    def _on_closed(self, connection: Connection) -> None:
        if connection.error is not None and isinstance(connection.error.__cause__, ProtocolError):
            self.protocol_errors += 1
        self._retiring.discard(connection)
        self._worn.discard(connection)
        if connection in self.connections:
            self.connections.remove(connection)
            self._wake.set()
            self._on_lost(self, connection)

    def _replace(self, connection: Connection) -> None:
        """Open a fresh connection, then take the worn one out of use."""
        if connection in self.connections:
            self._worn.add(connection)
            self._wake.set()

    def _retire(self, connection: Connection) -> None:
        """Take a connection out of use; it closes when its last live request is done."""
        self.connections.remove(connection)
        self._worn.discard(connection)
        connection.draining = True
        self._retiring.add(connection)
        self._wake.set()
        closing = asyncio.get_running_loop().create_task(self._close_drained(connection))
        self._closings.add(closing)
        closing.add_done_callback(self._closings.discard)

    async def _close_drained(self, connection: Connection) -> None:
        await connection.drained()
        await connection.close()
        self._retiring.discard(connection)

    def change_keyspace(self, keyspace: str | None, *, at_once: bool) -> None:
        """Replace every connection by one that uses ``keyspace``.

        :param at_once: send no more requests on the present ones, instead of until others are open
        """
        self._keyspace = keyspace
        self._renewed = asyncio.get_running_loop().create_future()
        for connection in list(self.connections):
            if at_once:
                self._retire(connection)
            else:
                self._worn.add(connection)
        self._wake.set()

    async def wait_renewed(self) -> None:
        """Wait until every connection uses the keyspace, or one could not be opened."""
        if self._renewed is not None:
            await asyncio.shield(self._renewed)

    async def retire(self, grace: float) -> None:
        """Accept no more requests, and close the connections when those under way are done.

        :param grace: seconds after which they close anyway, 0 or more
        """
        await self._stop_opening()
        self._worn.clear()
        for connection in list(self.connections):
            self._retire(connection)
        if self._closings:
            await asyncio.wait(self._closings, timeout=grace)
        await self.close()

    async def _stop_opening(self) -> None:
        self._closing = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def close(self) -> None:
        """Close every connection, without waiting for responses."""
        await self._stop_opening()
        for closing in self._closings:
            closing.cancel()
        self._tell_renewed()
        if not self._first.done():
            self._first.cancel()
        connections = self.watched()
        self.connections.clear()
        self._retiring.clear()
        for connection in connections:
            connection.on_closed = connection.on_available = connection.on_worn = None
        await asyncio.gather(*(connection.close() for connection in connections))
