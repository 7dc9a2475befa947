"""The session's nodes: a pool for each host that the policies use, and the routes over them.

Hosts come and go with the control plane's events; pools report what they find in return.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from cassandra.policies import HostDistance
from cassandra.pool import Host

from async_cassandra._driver.control_plane import ControlPlane
from async_cassandra._net.connection import Connection
from async_cassandra._net.errors import ConnectFailed, KeyspaceRefused
from async_cassandra._net.handshake import ConnectOptions
from async_cassandra._net.pool import NodePool
from async_cassandra._net.protocol import ConnectionProtocol
from async_cassandra._request.executor import Executor
from async_cassandra._request.plan import Routes

log = logging.getLogger("async_cassandra.connections")

# Seconds for the requests on a node that left the cluster to be answered.
REMOVAL_GRACE = 10.0


class Nodes:
    """Keeps a pool for each host in use, and the executor's routes up to date.

    Concurrency: the loop's thread only.

    :param size: connections per node, 1 or more
    :param on_back: called with the first connection to a node that had none: it may have restarted
    :param on_user_type: called when a class is registered for a user-defined type
    :param on_schema_change: called with a schema change and the node that reported it, and again
        with the change alone when the driver's metadata has it
    """

    def __init__(
        self,
        control: ControlPlane,
        executor: Executor,
        options: ConnectOptions,
        *,
        size: int,
        on_back: Callable[[ConnectionProtocol], None] | None,
        on_user_type: Callable[[str, str, type], None],
        on_schema_change: Callable[[Mapping[str, Any], NodePool | None], None],
    ) -> None:
        self._control = control
        self._executor = executor
        self._options = options
        self._size = size
        self._on_back = on_back
        self.on_user_type = on_user_type
        self._on_schema_change = on_schema_change
        self._keyspace: str | None = None
        self._closing: dict[NodePool, asyncio.Task[None]] = {}
        self.pools: dict[Host, NodePool] = {}

    def start(self, keyspace: str | None) -> None:
        """Open pools to every host that the policies use; listen for changes."""
        self._keyspace = keyspace
        for host in self._control.hosts():
            self._add(host)
        self._control.add_listener(self)
        self.on_routing()

    def connections(self) -> Iterator[Connection]:
        """Return every open connection."""
        for pool in self.pools.values():
            yield from pool.connections

    def pinned(self, host: Host | str) -> tuple[NodePool, ...]:
        """Return a host's pool, by ``Host``, ``"address"`` or ``"address:port"``; empty if none matches."""
        if isinstance(host, Host):
            return tuple(
                pool for known, pool in self.pools.items() if known.endpoint == host.endpoint
            )
        return tuple(
            pool
            for known, pool in self.pools.items()
            if host in (pool.endpoint, known.endpoint.address, known.address, str(known.endpoint))
        )

    def watched(self) -> list[Connection]:
        """Return every connection that may owe a response, including those of removed nodes."""
        pools = (*self.pools.values(), *self._closing)
        return [connection for pool in pools for connection in pool.watched()]

    async def open_with(self, keyspace: str) -> tuple[NodePool, ConnectionProtocol]:
        """Open a connection that uses ``keyspace``, to the first node that accepts one.

        :raises KeyspaceRefused: with the words of the first node asked
        :raises ConnectFailed: if no node can be reached, with the reason of one of them
        """
        failure = ConnectFailed(f"there is no node to ask for keyspace {keyspace!r}")
        for pool in sorted(self.pools.values(), key=lambda pool: not pool.is_open):
            try:
                connection = await pool.open_with(keyspace)
            except KeyspaceRefused:
                raise
            except ConnectFailed as error:
                failure = error
            else:
                return pool, connection
        raise failure

    def change_keyspace(
        self, first_pool: NodePool, connection: ConnectionProtocol, *, at_once: bool
    ) -> None:
        """Replace every connection by one that uses the keyspace of ``connection``, which is the first of them.

        :param at_once: send no more requests on the present ones, instead of until others are open
        """
        self._keyspace = connection.keyspace
        for pool in self.pools.values():
            pool.change_keyspace(connection.keyspace, at_once=at_once)
        if first_pool in self.pools.values():
            first_pool.take_in(connection)
        else:
            # Its node left the cluster in this very turn of the loop.
            connection.abort(ConnectFailed(f"{connection.endpoint} was removed"))

    async def wait_for_keyspace(self, seconds: float | None) -> None:
        """Wait until all connections have the keyspace, except to nodes that cannot be reached now.

        :param seconds: the longest wait; ``None`` for no limit
        """
        waits = [asyncio.ensure_future(pool.wait_renewed()) for pool in self.pools.values()]
        if waits:
            _, late = await asyncio.wait(waits, timeout=seconds)
            for wait in late:
                wait.cancel()

    async def close(self) -> None:
        """Close every pool."""
        self._control.remove_listener(self)
        pools = [*self.pools.values(), *self._closing]
        removals = list(self._closing.values())
        self.pools.clear()
        self._executor.nodes.clear()
        self._executor.routes.clear()
        for pool in pools:
            self._control.report_connections(pool.host, 0, by=self)
            await pool.close()
        await asyncio.gather(*removals)

    # The control plane's events

    def on_add(self, host: Host) -> None:
        self._add(host)
        self.on_routing()

    def on_up(self, host: Host) -> None:
        self._add(host)
        if host in self.pools:
            self.pools[host].wake()
        self.on_routing()
        if self._executor.observer is not None:
            self._executor.observer.on_node_up(_endpoint(host))

    def on_down(self, host: Host) -> None:
        self.on_routing()
        if self._executor.observer is not None:
            self._executor.observer.on_node_down(_endpoint(host))

    def on_remove(self, host: Host) -> None:
        pool = self.pools.pop(host, None)
        self._executor.nodes.pop(host, None)
        if pool is not None:
            task = self._executor.loop.create_task(pool.retire(REMOVAL_GRACE))
            self._closing[pool] = task
            task.add_done_callback(lambda done: self._closing.pop(pool))
        self.on_routing()

    def on_schema_event(self, event: Mapping[str, Any], host: Host | None) -> None:
        self._on_schema_change(event, None if host is None else self.pools.get(host))

    def on_schema_change(self, event: Mapping[str, Any]) -> None:
        self._on_schema_change(event, None)

    def on_routing(self) -> None:
        """Build the routes of every policy from the control plane's current view."""
        routes: dict[Any, Routes] = {}
        for profile in self._control.profiles():
            routing = self._control.router.routing(profile)
            if routing is None:
                continue
            local = tuple(self.pools[host] for host in routing.local if host in self.pools)
            remote = [self.pools[host] for host in routing.remote if host in self.pools]
            # Hosts that the driver holds for down come last rather than never: the pool may know
            # better.
            rest = [
                pool for pool in self.pools.values() if pool not in local and pool not in remote
            ]
            rings = {keyspace: ring.mapped(self.pools) for keyspace, ring in routing.rings.items()}
            routes[profile.load_balancing_policy] = Routes(
                local,
                (*remote, *rest),
                rings if routing.is_token_aware else None,
                self._control.router.want_keyspace,
                routing.rotates_replicas,
            )
        self._executor.routes.clear()
        self._executor.routes.update(routes)
        self._executor.on_available()

    # The pools' events

    def _add(self, host: Host) -> None:
        if host in self.pools or self._control.distance(host) == HostDistance.IGNORED:
            return
        options = self._control.options_for(host.endpoint, self._options)
        pool = NodePool(
            _endpoint(host),
            host,
            partial(self._control.open_connection, host.endpoint, options),
            turn=self._executor.wakeups,
            size=self._size,
            keyspace=self._keyspace,
            on_available=self._executor.on_available,
            on_unreachable=self._on_unreachable,
            on_reachable=self._on_reachable,
            on_opened=self._on_opened,
            on_lost=self._on_lost,
        )
        self.pools[host] = pool
        self._executor.nodes[host] = pool
        pool.start()

    def _on_unreachable(self, pool: NodePool, error: ConnectFailed) -> None:
        if not pool.is_unreachable:
            log.warning("%s; it is tried again", error)
        # The conviction policy may want to hear of several failures.
        if not pool.is_unreachable or pool.host.is_up is not False:
            self._control.report_unreachable(pool.host, error, by=self)

    def _on_reachable(self, pool: NodePool) -> None:
        log.info("connected to %s again", pool.endpoint)
        self._control.report_reachable(pool.host)

    def _on_opened(self, pool: NodePool, connection: ConnectionProtocol) -> None:
        self._control.report_connections(pool.host, len(pool.connections), by=self)
        if len(pool.connections) == 1 and self._on_back is not None:
            self._on_back(connection)
        if self._executor.observer is not None:
            self._executor.observer.on_connection_opened(pool.endpoint)

    def _on_lost(self, pool: NodePool, connection: Connection) -> None:
        log.info("%s; another one is opened", connection.error or "a connection ended")
        if self._executor.observer is not None:
            self._executor.observer.on_connection_lost(pool.endpoint, connection.error)


def _endpoint(host: Host) -> str:
    return f"{host.endpoint.address}:{host.endpoint.port}"
