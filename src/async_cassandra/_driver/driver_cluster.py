"""The driver's ``Cluster``, kept to what it is good at: contact points, topology, schema, up and
down, policies.

It opens no data connection. Where it would make a session with pools, it gets a
:class:`ClusterSession` that only reports. Everything here runs on the driver's threads or the
bridge's, never on the loop.
"""

import logging
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Protocol

from cassandra import DriverException, OperationTimedOut, ProtocolVersion
from cassandra.cluster import Cluster, ControlConnection, NoHostAvailable
from cassandra.connection import (
    ConnectionException,
    ConnectionShutdown,
    DefaultEndPoint,
    EndPoint,
)
from cassandra.policies import HostStateListener
from cassandra.pool import Host

from async_cassandra._driver.contract import leave_to_the_exit
from async_cassandra._driver.control_connection import DriverConnection, DriverConnections
from async_cassandra._driver.schema_changes import SchemaMetadata
from async_cassandra._driver.server_names import ServerNames
from async_cassandra.exceptions import UserTypeMissingError

log = logging.getLogger(__name__)

PROTOCOL_VERSIONS = (ProtocolVersion.V5, ProtocolVersion.V4)


class NoNodeAnswered(NoHostAvailable):
    """Every host of the plan failed, and so did what the contact points' names mean by now."""


def _is_news(record: logging.LogRecord) -> bool:
    """Whether to log: not with a traceback what whoever connects gets raised, in one line."""
    return record.exc_info is None or not isinstance(record.exc_info[1], NoNodeAnswered)


logging.getLogger("cassandra.cluster").addFilter(_is_news)


class ClusterEvents(Protocol):
    """What the cluster reports, on whichever thread it happened."""

    def host_changed(self, kind: str, host: Host) -> None: ...
    def topology_refreshed(self) -> None: ...
    def schema_changed(self, event: Mapping[str, Any], endpoint: EndPoint | None) -> None: ...
    def schema_refreshed(self, event: Mapping[str, Any]) -> None: ...
    def user_type_registered(self, keyspace: str, user_type: str, klass: type) -> None: ...


class ClusterSession:
    """What the cluster wants of a session, without pools: those are the loop's."""

    _initial_connect_futures: Sequence[Future[bool]] = ()
    _default_consistency_level: int | None = None

    def __init__(self, cluster: "DriverCluster", keyspace: str | None) -> None:
        self.cluster = cluster
        self.keyspace = keyspace
        self.is_shutdown = False
        self._connections: dict[Host, dict[int, int]] = {}

    def report_connections(self, host: Host, count: int, reporter: object) -> None:
        """Note a reporter's connections: with any, the cluster ignores rumours of its death."""
        # Replaced as a whole: the driver's threads read it.
        counts = {**self._connections.get(host, {}), id(reporter): count}
        self._connections[host] = {key: number for key, number in counts.items() if number}

    def add_or_renew_pool(self, host: Host, is_host_addition: bool) -> Future[bool]:
        """Done at once. With ``None`` the cluster would tell no listener that the host is up."""
        done: Future[bool] = Future()
        done.set_result(True)
        return done

    def remove_pool(self, host: Host) -> None:
        """Do nothing: the pool hears of it through the host's events."""

    def update_created_pools(self) -> set[Future[bool]]:
        return set()

    def get_pools(self) -> tuple[()]:
        return ()

    def get_pool_state(self) -> dict[Host, dict[str, int]]:
        return {
            host: {"open_count": sum(counts.values()), "shutdown": False, "in_flight": 0}
            for host, counts in self._connections.copy().items()
        }

    def on_down(self, host: Host) -> None:
        """Do nothing: the pool hears of it through the host's events."""

    def on_remove(self, host: Host) -> None:
        self._connections.pop(host, None)

    def user_type_registered(self, keyspace: str, user_type: str, klass: type) -> None:
        self.cluster.check_user_type(keyspace, user_type)
        self.cluster.events.user_type_registered(keyspace, user_type, klass)

    def shutdown(self) -> None:
        self.is_shutdown = True


class LoopControlConnection(ControlConnection):
    """The driver's, which notices loss and return of a node at once, and says what it read."""

    def __init__(self, cluster: "DriverCluster", *args: Any, **kwargs: Any) -> None:
        super().__init__(cluster, *args, **kwargs)
        self._attempt_lock = threading.Lock()
        self._is_attempting = False
        self._silent: EndPoint | None = None

    def pass_over(self, endpoint: EndPoint) -> None:
        """Leave a node that hangs out of the next attempt: it would take all of the connect timeout."""
        if len(self._cluster.metadata.all_hosts()) > 1:
            self._silent = endpoint

    def reconnect(self) -> None:
        """Start one attempt, unless one runs: connection and heartbeat both report a loss."""
        with self._attempt_lock:
            if self._is_shutdown or self._is_attempting or self._cluster.connections.is_closing:
                return
            self._is_attempting = True
        if self._submit(self._attempt) is None:
            self._is_attempting = False

    def _try_connect(self, host: Host) -> DriverConnection:
        if host.endpoint == self._silent:
            self._silent = None
            raise OperationTimedOut(f"{host.endpoint} was silent a moment ago", host.endpoint)
        connection: DriverConnection = super()._try_connect(host)
        return connection

    def _attempt(self) -> None:
        try:
            self._reconnect()
        finally:
            with self._attempt_lock:
                self._is_attempting = False
        self._reconnect_if_lost()

    def _reconnect_internal(self) -> DriverConnection:
        """Connect to the first host of the plan that answers.

        When none does, the contact points' names are resolved again: every node may have moved.
        """
        errors: dict[str, Exception] = {}
        for hosts in (self._cluster.plan(), self._cluster.resolve_again()):
            connection = self._first_connection(hosts, errors)
            if connection is not None:
                return connection
        raise NoNodeAnswered("No node answered", errors)

    def _first_connection(
        self, hosts: Iterable[Host], errors: dict[str, Exception]
    ) -> DriverConnection | None:
        for host in hosts:
            try:
                connection: DriverConnection = self._try_connect(host)
            # Auth providers and TLS contexts may raise anything.
            except Exception as error:  # noqa: BLE001
                log.debug("No control connection to %s: %r", host.endpoint, error)
                errors[str(host.endpoint)] = error
                if isinstance(error, ConnectionException):
                    self._cluster.signal_connection_failure(host, error, is_host_addition=False)
            else:
                return connection
            if self._is_shutdown:
                raise DriverException("The cluster was shut down meanwhile")
        return None

    def _set_new_connection(self, conn: DriverConnection) -> None:
        super()._set_new_connection(conn)
        self._silent = None
        handler = self._get_and_set_reconnection_handler(None)
        if handler:
            handler.cancel()
        # Events may have been missed since the one before was lost.
        self._cluster.events.schema_changed({}, conn.endpoint)
        host = self._cluster.metadata.get_host(conn.endpoint)
        if host and host.is_up is False:
            self._submit(self._cluster.on_up, host)
        self._reconnect_if_lost()

    def on_up(self, host: Host) -> None:
        # A waiting reconnection would sit out its delay although a node is there again.
        if self._reconnection_handler is not None:
            self.reconnect()

    def _reconnect_if_lost(self) -> None:
        # Lost before it became the connection, when nobody would have believed the report.
        connection = self._connection
        if connection is not None and (connection.is_closed or connection.is_defunct):
            self.reconnect()

    def _handle_schema_change(self, event: Mapping[str, Any]) -> None:
        # Told at once: the driver reads its metadata again after a delay, and only if it is to.
        connection = self._connection
        endpoint = None if connection is None else connection.endpoint
        self._cluster.events.schema_changed(event, endpoint)
        super()._handle_schema_change(event)

    def _refresh_schema(
        self,
        connection: DriverConnection,
        preloaded_results: Any = None,
        schema_agreement_wait: float | None = None,
        force: bool = False,
        **event: Any,
    ) -> bool | None:
        refreshed: bool | None = super()._refresh_schema(
            connection, preloaded_results, schema_agreement_wait, force, **event
        )
        if refreshed:
            self._cluster.events.schema_refreshed(event)
        return refreshed

    def _refresh_node_list_and_token_map(self, *args: Any, **kwargs: Any) -> None:
        super()._refresh_node_list_and_token_map(*args, **kwargs)
        self._cluster.events.topology_refreshed()


class HostEvents(HostStateListener):
    """The driver's listener interface, handed on as one call."""

    def __init__(self, host_changed: Callable[[str, Host], None]) -> None:
        self._host_changed = host_changed

    def on_up(self, host: Host) -> None:
        self._host_changed("on_up", host)

    def on_down(self, host: Host) -> None:
        self._host_changed("on_down", host)

    def on_add(self, host: Host) -> None:
        self._host_changed("on_add", host)

    def on_remove(self, host: Host) -> None:
        self._host_changed("on_remove", host)


class DriverCluster(Cluster):
    """The driver's cluster on the loop's control connection.

    Blocking to build: it resolves the contact points.
    """

    protocol_version = ProtocolVersion.V5

    def __init__(
        self,
        *,
        connections: DriverConnections,
        server_names: ServerNames,
        events: ClusterEvents,
        **settings: Any,
    ) -> None:
        self.connections = connections
        self.events = events
        self._server_names = server_names
        super().__init__(connection_class=DriverConnection, reprepare_on_up=False, **settings)
        self.metadata = SchemaMetadata()
        self._note_server_names()
        self.control_connection = LoopControlConnection(
            self,
            self.control_connection_timeout,
            self.schema_event_refresh_window,
            self.topology_event_refresh_window,
            self.status_event_refresh_window,
            self.schema_metadata_enabled,
            self.token_metadata_enabled,
        )
        self.register_listener(HostEvents(events.host_changed))

    def connect(self, keyspace: str | None = None, wait_for_all_pools: bool = False) -> Any:
        session = super().connect(keyspace, wait_for_all_pools)
        # The driver would shut the cluster down at exit, and wait for a loop that runs no more; its
        # threads are daemons or end by themselves.
        leave_to_the_exit(self)
        return session

    def connection_factory(
        self, endpoint: EndPoint, is_control_connection: bool = False
    ) -> DriverConnection:
        return self.connections.connect(
            endpoint,
            self.protocol_version,
            self.connect_timeout,
            is_control_connection=is_control_connection,
        )

    def _make_connection_factory(self, host: Host) -> Callable[[], DriverConnection]:
        return partial(self.connection_factory, host.endpoint)

    def get_connection_holders(self) -> tuple[()]:
        """Return no connections; find out at each of the driver's heartbeats whether the loop is gone."""
        self.connections.bridge.post(lambda: None)
        return ()

    def protocol_downgrade(self, host_endpoint: Any, previous_version: int) -> None:
        """Fall back from v5 to v4 without the driver's warnings, unless the version was given."""
        if self._protocol_version_explicit:
            raise DriverException(
                f"{host_endpoint} does not speak native protocol v{previous_version}, "
                "which protocol_version asks for"
            )
        if previous_version <= PROTOCOL_VERSIONS[-1]:
            raise DriverException(
                f"{host_endpoint} speaks neither native protocol v5 nor v4; Cassandra 5 and 4 do"
            )
        log.debug("%s has no native protocol v%d", host_endpoint, previous_version)
        self.protocol_version = ProtocolVersion.get_lower_supported(previous_version)

    def connection_lost(self, connection: DriverConnection) -> None:
        """Reopen the control connection now, not at its next heartbeat."""
        if connection.was_silent:
            self.control_connection.pass_over(connection.endpoint)
        self.control_connection.return_connection(connection)

    def report_unreachable(self, host: Host, error: BaseException) -> None:
        """Mark the host down and start the driver's reconnection to it."""
        # As a lost connection: the conviction policy takes a time-out for no reason.
        self.signal_connection_failure(
            host, ConnectionShutdown(str(error), host.endpoint), is_host_addition=False
        )

    def report_reachable(self, host: Host) -> None:
        if host.is_up is not True:
            self.on_up(host)

    def plan(self) -> Iterator[Host]:
        """Yield the hosts in the order in which the default profile's policy would try them."""
        hosts: Iterator[Host] = self._default_load_balancing_policy.make_query_plan()
        return hosts

    def note_user_type(self, keyspace: str, user_type: str, klass: type) -> None:
        """Keep a class for a user-defined type, which its sessions are told of once there are any."""
        self._user_types[keyspace][user_type] = klass

    def check_user_type(self, keyspace: str, user_type: str) -> None:
        """Refuse a user-defined type that the schema, as far as it is known, does not have.

        :raises ~async_cassandra.exceptions.UserTypeMissingError: naming keyspace and type
        """
        if not self.schema_metadata_enabled:
            return
        metadata = self.metadata.keyspaces.get(keyspace)
        if metadata is None:
            raise UserTypeMissingError(
                f"keyspace {keyspace!r} does not exist, or is not known yet: register the class of "
                f"{user_type!r} once it does"
            )
        if user_type not in metadata.user_types:
            known = ", ".join(sorted(metadata.user_types)) or "none"
            raise UserTypeMissingError(
                f"keyspace {keyspace!r} has no user-defined type {user_type!r}, or it is not known "
                f"yet; there are: {known}"
            )

    def resolve_again(self) -> Iterator[Host]:
        """Add the hosts that the contact points' names mean by now; return those that are new."""
        for point in self.contact_points:
            if isinstance(point, EndPoint):
                continue
            name, port = point if isinstance(point, tuple) else (point, self.port)
            try:
                found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
            except OSError as error:
                log.debug("No address for %s: %s", name, error)
                continue
            for *_, address in found:
                self._server_names.add(name, str(address[0]))
                host, is_new = self.add_host(
                    DefaultEndPoint(address[0], address[1]), signal=True, refresh_nodes=False
                )
                if is_new:
                    yield host

    def _note_server_names(self) -> None:
        """Tell which address came of which contact point.

        By the driver's own record: to resolve again could give others.
        """
        found: Mapping[str, Any] = self._endpoint_map_for_insights
        for point, addresses in found.items():
            # A contact point that is an endpoint already has a string.
            for address in addresses if isinstance(addresses, list) else ():
                name, _, _ = point.rpartition(":")
                self._server_names.add(name, address.rpartition(":")[0])

    def _new_session(self, keyspace: str | None) -> ClusterSession:
        session = ClusterSession(self, keyspace)
        self._session_register_user_types(session)
        self.sessions.add(session)
        return session
