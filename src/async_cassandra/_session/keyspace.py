"""The keyspace for unqualified names in a session, and how it changes.

Theory. There is one truth, ``executor.keyspace``. From the call on, a request carries the keyspace of its names,
and is encoded against that of the connection it goes to. A connection has one keyspace for life, set while it is
opened: a server handles the requests of one connection concurrently, so a USE among them could overtake those sent
before it. A change therefore replaces connections:

1. A new connection is opened with the new keyspace. If the server refuses it, nothing has changed.
2. In one step of the loop it becomes the session's, and the pools start to replace their connections.

Protocol v5 lets a request name another keyspace than its connection's, so requests go on meanwhile on the old
connections. If that cannot be expressed (v4, and names that mean no keyspace at all), earlier calls are allowed to
finish first, later ones wait, and the old connections take no more requests from step 2 on.
"""

import asyncio
from collections.abc import Callable
from math import inf

from async_cassandra._net.errors import ConnectFailed
from async_cassandra._net.pool import NodePool
from async_cassandra._net.protocol import ConnectionProtocol
from async_cassandra._request import faults
from async_cassandra._request.executor import Executor
from async_cassandra._session.nodes import Nodes
from async_cassandra.exceptions import SessionClosedError


class SessionKeyspace:
    """One session's keyspace.

    Concurrency: the loop's thread only.

    :param want_keyspace: called with a keyspace whose requests will be routed by token
    """

    def __init__(
        self, executor: Executor, nodes: Nodes, want_keyspace: Callable[[str], None]
    ) -> None:
        self._executor = executor
        self._nodes = nodes
        self._want_keyspace = want_keyspace
        self._lock = asyncio.Lock()
        self._calls = 0
        self._settled: asyncio.Future[None] | None = None
        self._held: list[asyncio.Future[str | None]] | None = None
        self._changes: set[asyncio.Task[None]] = set()
        executor.on_none_relying = self._on_settled

    @property
    def name(self) -> str | None:
        """The session's keyspace, in the server's spelling; ``None`` for none."""
        return self._executor.keyspace

    def start(self, keyspace: str | None) -> None:
        """Start with a keyspace."""
        self._executor.keyspace = keyspace
        if keyspace is not None:
            self._want_keyspace(keyspace)

    # Calls that are about to become requests

    async def enter(self, seconds: float) -> str | None:
        """Begin a call and return the keyspace for its names; :meth:`leave` ends it.

        :param seconds: the longest wait for a change that holds calls back
        :raises ~async_cassandra.exceptions.QueryTimeoutError: if it took longer
        """
        if self._held is None:
            self._calls += 1
            return self._executor.keyspace
        place: asyncio.Future[str | None] = self._executor.loop.create_future()
        self._held.append(place)
        try:
            await asyncio.wait([place], timeout=None if seconds == inf else seconds)
            if not place.done():
                raise faults.held_timeout(seconds)
        except BaseException:
            if not place.cancel():
                self.leave()
            raise
        return place.result()

    def _let_in(self, held: list[asyncio.Future[str | None]]) -> None:
        """Count the calls that were held back, before another change can begin: they mean the present keyspace."""
        for place in held:
            if not place.done():
                self._calls += 1
                place.set_result(self.name)

    def leave(self) -> None:
        """End a call: it has become a request, or nothing."""
        self._calls -= 1
        self._on_settled()

    def _on_settled(self) -> None:
        if self._settled is not None and not self._settled.done() and self._is_settled():
            self._settled.set_result(None)

    def _is_settled(self) -> bool:
        return not self._calls and not self._executor.has_relying

    # The change

    async def change(self, keyspace: str, seconds: float) -> None:
        """Make ``keyspace``, in the server's spelling, that of the session and all its connections.

        Cancellation: the change continues, and happens as a whole or not at all.

        :param seconds: for the wait until it may happen and for asking the server, above 0
        :raises ~async_cassandra.exceptions.QueryError: if the server refuses it; nothing changed
        :raises ~async_cassandra.exceptions.QueryTimeoutError: if it took longer; nothing changed
        """
        change = self._executor.loop.create_task(self._change(keyspace, seconds))
        self._changes.add(change)
        change.add_done_callback(self._on_changed)
        await asyncio.wait([change])
        if change.cancelled():
            raise SessionClosedError("Session is closed")
        change.result()

    def _on_changed(self, change: asyncio.Task[None]) -> None:
        self._changes.discard(change)
        if not change.cancelled():
            change.exception()

    async def _change(self, keyspace: str, seconds: float) -> None:
        loop = self._executor.loop
        limit = asyncio.timeout(None if seconds == inf else seconds)
        try:
            async with limit, self._lock:
                if keyspace == self.name:
                    _, connection = await self._nodes.open_with(keyspace)
                    await connection.close()
                elif self.name is not None and self._executor.can_name_keyspaces:
                    self._commit(*await self._nodes.open_with(keyspace), at_once=False)
                else:
                    await self._change_alone(keyspace)
                # It is done: what is left of the time is for the connections.
                deadline = limit.when()
                limit.reschedule(None)
                left = None if deadline is None else max(deadline - loop.time(), 0.0)
                await self._nodes.wait_for_keyspace(left)
        except ConnectFailed as error:
            raise faults.connect_fault(error) from error
        except TimeoutError as error:
            raise faults.keyspace_timeout(keyspace, seconds) from error

    async def _change_alone(self, keyspace: str) -> None:
        """Change it once no request under way relies on its connection's, and hold back further ones."""
        loop = self._executor.loop
        held: list[asyncio.Future[str | None]] = []
        self._held = held
        try:
            while not self._is_settled():
                self._settled = loop.create_future()
                await self._settled
            self._commit(*await self._nodes.open_with(keyspace), at_once=True)
        finally:
            self._settled = self._held = None
            self._let_in(held)

    def _commit(self, pool: NodePool, connection: ConnectionProtocol, *, at_once: bool) -> None:
        keyspace = connection.keyspace
        assert keyspace is not None
        self._executor.keyspace = keyspace
        self._nodes.change_keyspace(pool, connection, at_once=at_once)
        self._want_keyspace(keyspace)

    async def close(self) -> None:
        """End changes that are under way."""
        changes = list(self._changes)
        for change in changes:
            change.cancel()
        if changes:
            await asyncio.wait(changes)
