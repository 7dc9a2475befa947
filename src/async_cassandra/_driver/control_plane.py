"""The driver's cluster behind an asyncio face."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from cassandra.cluster import (
    EXEC_PROFILE_DEFAULT,
    Cluster,
    ExecutionProfile,
    default_lbp_factory,
)
from cassandra.connection import DefaultEndPoint, EndPoint
from cassandra.metadata import Metadata
from cassandra.policies import ExponentialReconnectionPolicy
from cassandra.pool import Host

from async_cassandra import exceptions
from async_cassandra._driver.authentication import BridgedAuthenticator, guarded
from async_cassandra._driver.bridge import STOP_TIMEOUT, Bridge
from async_cassandra._driver.cluster_settings import (
    IDLE_HEARTBEAT_INTERVAL,
    Settings,
    check,
    given,
    probing_of,
)
from async_cassandra._driver.column_encryption import ColumnEncryption
from async_cassandra._driver.connect_settings import (
    lz4_blocks,
    ssl_context_from_options,
    startup_options,
)
from async_cassandra._driver.contract import has_chosen_policy
from async_cassandra._driver.control_connection import DriverConnection, DriverConnections
from async_cassandra._driver.driver_cluster import ClusterSession, DriverCluster
from async_cassandra._driver.errors import connect_error
from async_cassandra._driver.execution_profile import QuickProfile
from async_cassandra._driver.request_settings import check_profile
from async_cassandra._driver.routing import Router
from async_cassandra._driver.schema_changes import schema_event as schema_event
from async_cassandra._driver.server_names import ServerNames
from async_cassandra._net.handshake import ByName, ConnectOptions, open_connection
from async_cassandra._net.protocol import ConnectionProtocol
from async_cassandra.exceptions import shown

log = logging.getLogger(__name__)


class Listener(Protocol):
    """A listener that is told of changes in the cluster, on the loop, in the order they were seen."""

    def on_up(self, host: Host) -> None: ...
    def on_down(self, host: Host) -> None: ...
    def on_add(self, host: Host) -> None: ...
    def on_remove(self, host: Host) -> None: ...

    def on_schema_event(self, event: Mapping[str, Any], host: Host | None) -> None:
        """Called when a node reports a change, which the driver's metadata does not have yet.

        :param event: as in :meth:`on_schema_change`; empty when events may have been missed
        """

    def on_schema_change(self, event: Mapping[str, Any]) -> None:
        """Called when the driver's metadata has the change.

        :param event: ``target_type``, ``change_type``, ``keyspace`` and ``table``, ``type``,
            ``function`` or ``aggregate``, as in the driver, widened by :func:`schema_event` if a
            name is in doubt; empty if the whole schema was read again
        """

    def on_user_type(self, keyspace: str, name: str, klass: type) -> None: ...

    def on_routing(self) -> None:
        """Called when :attr:`ControlPlane.router` has new routings: hosts, states or replicas changed."""


class ControlPlane:
    """Contact points, topology, schema, host states and policies of one cluster.

    Built without a loop, threads or name resolution; :meth:`start` binds the running loop.

    Concurrency: loop thread, unless stated otherwise.

    :param server_names: what certificates are checked against; ``None`` for the name in
        ``ssl_options``, and addresses
    :param cluster_settings: arguments of the driver's ``Cluster``. ``load_balancing_policy`` and
        ``default_retry_policy`` become the default execution profile's
    :raises ~async_cassandra.exceptions.ConfigurationError: if a setting is unknown, or two
        contradict each other
    """

    def __init__(self, *, server_names: ServerNames | None = None, **cluster_settings: Any) -> None:
        self._settings = _checked(cluster_settings)
        ssl_options = self._settings.get("ssl_options") or {}
        self._server_names = server_names or ServerNames(ssl_options.get("server_hostname"))
        self._compression = lz4_blocks(self._settings.get("compression"))
        policy = self._settings.get("column_encryption_policy")
        self.encryption = None if policy is None else ColumnEncryption(policy, self._columns_of)
        given_settings = given(cluster_settings)
        self.has_given_profiles: bool = bool(given_settings.get("execution_profiles"))
        self.prepare_on_all_hosts: bool = given_settings.get("prepare_on_all_hosts", True)
        self.reprepare_on_up: bool = given_settings.get("reprepare_on_up", True)
        interval: float | None = given_settings.get(
            "idle_heartbeat_interval", IDLE_HEARTBEAT_INTERVAL
        )
        self.idle_heartbeat_interval: float = interval or 0
        self.idle_heartbeat_timeout: float | None = given_settings.get("idle_heartbeat_timeout")
        self._listeners: list[Listener] = []
        self._user_types: dict[tuple[str, str], type] = {}
        self._cluster: DriverCluster | None = None
        self._session: ClusterSession | None = None
        self._router: Router | None = None
        self._bridge: Bridge | None = None
        self._connections: DriverConnections | None = None
        self._stopping: asyncio.Task[None] | None = None

    @property
    def contact_points(self) -> tuple[Any, ...]:
        return tuple(self._settings.get("contact_points") or ("127.0.0.1",))

    @property
    def port(self) -> int:
        return int(self._settings.get("port", 9042))

    def setting(self, name: str) -> object:
        """Return a setting of the driver's cluster as it was given, or else the driver's default."""
        return self._settings.get(name, getattr(Cluster, name, None))

    @property
    def cluster(self) -> DriverCluster | None:
        """The driver's cluster, ``None`` before :meth:`start`."""
        return self._cluster

    @property
    def metadata(self) -> Metadata | None:
        """The driver's view of topology and schema, ``None`` before :meth:`start`."""
        return None if self._cluster is None else self._cluster.metadata

    def _columns_of(self, keyspace: str, table: str) -> Mapping[str, str] | None:
        """The type of each column of a table, ``None`` if the table is not known."""
        known = None if self.metadata is None else self.metadata.keyspaces.get(keyspace)
        found = None if known is None else known.tables.get(table) or known.views.get(table)
        if found is None:
            return None
        return {name: column.cql_type for name, column in found.columns.items()}

    @property
    def ssl_context(self) -> ssl.SSLContext | None:
        """The context for every connection, made from ``ssl_options`` if only those were given."""
        context: ssl.SSLContext | None = self._settings.get("ssl_context")
        return context

    def connect_options(self) -> ConnectOptions:
        """Return how all connections are opened, once the cluster has started."""
        cluster = self._started_cluster
        return ConnectOptions(
            protocol_version=cluster.protocol_version,
            ssl_context=self.ssl_context,
            connect_by_name=self._by_name(self.ssl_context),
            compression=self._compression,
            connect_timeout=cluster.connect_timeout,
            startup=startup_options(self._settings),
            sockopts=tuple(map(tuple, cluster.sockopts or ())),
            new_authenticator=self.new_authenticator if cluster.auth_provider else None,
        )

    def options_for(self, endpoint: EndPoint, options: ConnectOptions) -> ConnectOptions:
        """Return how to connect to an endpoint, which may have TLS options of its own."""
        own = endpoint.ssl_options
        if not own or options.ssl_context is not None:
            return options
        context = ssl_context_from_options(own)
        return replace(options, ssl_context=context, connect_by_name=self._by_name(context))

    async def open_connection(
        self, endpoint: EndPoint, options: ConnectOptions, keyspace: str | None = None
    ) -> ConnectionProtocol:
        """Open a connection to a node; see :func:`~async_cassandra._net.handshake.open_connection`."""
        address, port = await self.address_of(endpoint)
        return await open_connection(address, port, options, host=endpoint, keyspace=keyspace)

    def _by_name(self, context: ssl.SSLContext | None) -> ByName | None:
        """Connects by a name that the node's certificate has; see :class:`ServerNames`."""
        if context is None:
            return None

        async def connect[T](endpoint: EndPoint, attempt: Callable[[str], Awaitable[T]]) -> T:
            return await self._server_names.connect(endpoint, context, attempt)

        return connect

    @property
    def user_types(self) -> Mapping[tuple[str, str], type]:
        """Registered classes by keyspace and name of the user-defined type."""
        return self._user_types

    @property
    def router(self) -> Router:
        if self._router is None:
            raise exceptions.ConnectionError("The cluster is not connected; await connect() first")
        return self._router

    async def start(self, timeout: float | None) -> None:  # noqa: ASYNC109  (it cleans up first)
        """Connect the control connection and read topology and schema.

        Cancellation: everything that was opened is closed. After a failure it may be called again.

        :param timeout: seconds for all contact points together; ``None`` for no limit
        :raises ~async_cassandra.exceptions.AuthenticationError: if a node refused the credentials
        :raises ~async_cassandra.exceptions.ConnectionError: if no contact point could be reached
        :raises ~async_cassandra.exceptions.ConnectTimeoutError: if it took longer
        :raises ~async_cassandra.exceptions.ConfigurationError: if the driver refuses a setting
        """
        self._warn_of_open_doors()
        self._bridge = Bridge(asyncio.get_running_loop(), self._on_loop_closed)
        self._connections = DriverConnections(
            self._bridge,
            self._open_for_driver,
            self._on_control_connection_lost,
            probing_of(self._settings),
        )
        self._stopping = None
        deadline = asyncio.timeout(timeout)
        try:
            async with deadline:
                await self._bridge.run(self._connect, self._bridge, self._connections)
        # Whatever the driver raises, and what policies and auth providers raise through it.
        except Exception as error:  # noqa: BLE001
            await self._give_up()
            if deadline.expired():
                raise self._connect_timeout(timeout) from None
            public = connect_error(
                error,
                self.contact_points,
                self.port,
                has_credentials="auth_provider" in self._settings,
            )
            raise public from public.cause
        except BaseException:
            await self._give_up()
            raise

    def _warn_of_open_doors(self) -> None:
        context = self.ssl_context
        if context is None:
            return
        if context.verify_mode is not ssl.CERT_REQUIRED:
            log.warning(
                "TLS without verification of certificates: anyone on the way to the servers can "
                "read and change what is sent"
            )
        elif not context.check_hostname:
            log.warning(
                "TLS without check of host names: any certificate from the trusted authorities is "
                "accepted for any server"
            )

    async def _give_up(self) -> None:
        """Forget a start that failed, so that the next one finds nothing left."""
        await self.stop()
        self._cluster = self._session = self._router = self._bridge = None

    async def stop(self) -> None:
        """Close the control connection and end all threads; can be called again.

        Cancellation: the work continues to its end.
        """
        if self._bridge is None:
            return
        if self._stopping is None:
            self._stopping = self._bridge.loop.create_task(self._stop(self._bridge))
        await asyncio.shield(self._stopping)

    def add_listener(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def remove_listener(self, listener: Listener) -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)

    def hosts(self) -> list[Host]:
        """Return all known hosts, up or not."""
        return [] if self._cluster is None else list(self._cluster.metadata.all_hosts())

    def distance(self, host: Host) -> int:
        """Return the ``HostDistance`` of the policy that is nearest to the host."""
        return int(self._started_cluster.profile_manager.distance(host))

    def profiles(self) -> list[ExecutionProfile]:
        """Return every execution profile."""
        return list(self._started_cluster.profile_manager.profiles.values())

    @property
    def timestamp_generator(self) -> Callable[[], int] | None:
        """A callable that returns microseconds since 1970; ``None`` leaves timestamps to the servers."""
        generator: Callable[[], int] | None = self._started_cluster.timestamp_generator
        return generator

    @property
    def max_schema_agreement_wait(self) -> float:
        """Seconds to wait for all nodes to agree after a schema change."""
        return float(self._started_cluster.max_schema_agreement_wait)

    def report_unreachable(self, host: Host, error: BaseException, *, by: object = None) -> None:
        """Report that no connection to the host can be opened.

        Listeners hear ``on_down`` unless another reporter has connections to it; the driver tries
        the host until it answers.

        :param by: the reporter, as in :meth:`report_connections`
        """
        self.report_connections(host, 0, by=by)
        self._started_bridge.submit(self._started_cluster.report_unreachable, host, error)

    def report_reachable(self, host: Host) -> None:
        """Report that a connection to the host was opened; listeners hear ``on_up`` if it was down."""
        if host.is_up is not True:
            self._started_bridge.submit(self._started_cluster.report_reachable, host)

    def report_connections(self, host: Host, count: int, *, by: object = None) -> None:
        """Report how many data connections the host has; while it has any, other nodes' reports do not mark it down.

        :param by: the reporter, if there are several pools of connections to the host
        """
        if self._session is not None:
            self._session.report_connections(host, count, by)

    async def after_schema_change(self, event: Mapping[str, Any]) -> bool:
        """Wait until all nodes agree on the schema and the driver's metadata has the change.

        Cancellation: the wait continues in the background.

        :param event: as in :meth:`Listener.on_schema_change`; see :func:`schema_event`
        :returns: whether they agreed within ``max_schema_agreement_wait`` seconds
        """
        control = self._started_cluster.control_connection
        # An event may have a key "function", which run() would take for its own.
        return bool(await self.run(partial(control.refresh_schema, **event)))

    async def new_authenticator(self, endpoint: EndPoint) -> BridgedAuthenticator | None:
        """Begin one connection's authentication, ``None`` without an ``auth_provider``."""
        provider = self._started_cluster.auth_provider
        if provider is None:
            return None
        authenticator = await self.run(guarded, provider.new_authenticator, endpoint.address)
        return BridgedAuthenticator(authenticator, self.run)

    async def address_of(self, endpoint: EndPoint) -> tuple[str, int]:
        """Return where to connect for a node: address and port, or the path of a Unix socket and 0.

        The application's own endpoints are asked each time, outside the loop.
        """
        if type(endpoint) is DefaultEndPoint:
            return endpoint.address, endpoint.port
        address, port = await self.run(endpoint.resolve)
        return address, port or 0

    def run[**P, T](
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Awaitable[T]:
        """Call a function that may block, on a bridge thread."""
        return self._started_bridge.run(function, *args, **kwargs)

    def profile(self, name_or_profile: object = EXEC_PROFILE_DEFAULT) -> ExecutionProfile:
        """Return the execution profile with that name, or the profile itself.

        :raises ~async_cassandra.exceptions.ConfigurationError: if it does not exist, or no
            request can be made from it
        """
        if isinstance(name_or_profile, ExecutionProfile):
            return self._usable(name_or_profile)
        profiles = self._started_cluster.profile_manager.profiles
        try:
            profile = profiles.get(name_or_profile)
        except TypeError:
            # It cannot be a key, so it is no name.
            profile = None
        if profile is None or hasattr(profile, "graph_options"):
            known = ", ".join(repr(name) for name in profiles if isinstance(name, str)) or "none"
            raise exceptions.ConfigurationError(
                f"There is no execution profile {shown(name_or_profile)}; the known names are: {known}. "
                "Pass it in AsyncCluster(execution_profiles=...)"
            )
        found: ExecutionProfile = profile
        return found

    def _usable(self, profile: ExecutionProfile) -> ExecutionProfile:
        """Return a profile that came with a call, with policies that know the cluster's hosts."""
        check_profile(profile)
        policy = profile.load_balancing_policy
        if any(known.load_balancing_policy is policy for known in self.profiles()):
            return profile
        if has_chosen_policy(profile):
            raise exceptions.ConfigurationError(
                "load_balancing_policy of execution_profile belongs to no profile of the cluster, "
                "so it does not know the hosts: pass the profile in AsyncCluster(execution_profiles=...)"
            )
        usable = copy(profile)
        usable.load_balancing_policy = self.profile().load_balancing_policy
        return usable

    def register_user_type(self, keyspace: str, name: str, klass: type) -> None:
        """Read values of a user-defined type as instances of the class, and write such instances.

        This applies from the next statement; the driver's events do not tell sessions.

        :raises cassandra.cluster.UserTypeDoesNotExist: if the schema is known and has no such type;
            before :meth:`start`, that raises it
        """
        if not callable(klass):
            raise exceptions.ConfigurationError(f"klass takes a class, not {shown(klass)}")
        if self._cluster is not None:
            self._cluster.check_user_type(keyspace, name)
            self._cluster.register_user_type(keyspace, name, klass)
        self._user_types[keyspace, name] = klass
        for listener in self._listeners:
            listener.on_user_type(keyspace, name, klass)

    # What the driver's threads call: ClusterEvents.

    def host_changed(self, kind: str, host: Host) -> None:
        if self._router is not None:
            self._router.rebuild_soon()
        self._post_event(kind, host)

    def topology_refreshed(self) -> None:
        if self._router is not None:
            self._router.rebuild_soon()

    def schema_changed(self, event: Mapping[str, Any], endpoint: EndPoint | None) -> None:
        host = None if self._cluster is None else self._cluster.metadata.get_host(endpoint)
        self._post_event("on_schema_event", event, host)

    def schema_refreshed(self, event: Mapping[str, Any]) -> None:
        if self._router is not None:
            self._router.rebuild_soon()
        self._post_event("on_schema_change", event)

    def user_type_registered(self, keyspace: str, user_type: str, klass: type) -> None:
        """Do nothing: :meth:`register_user_type` has told it, or the cluster repeats what is known."""

    @property
    def _started_cluster(self) -> DriverCluster:
        if self._cluster is None:
            raise exceptions.ConnectionError("The cluster is not connected; await connect() first")
        return self._cluster

    @property
    def _started_bridge(self) -> Bridge:
        if self._bridge is None:
            raise exceptions.ConnectionError("The cluster is not connected; await connect() first")
        return self._bridge

    def _post_event(self, name: str, *args: Any) -> None:
        if self._bridge is not None:
            self._bridge.post(self._tell_listeners, name, args)

    def _tell_listeners(self, name: str, args: tuple[Any, ...]) -> None:
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            # Each in its own turn: what one raises goes to the loop's handler and not to the next.
            loop.call_soon(getattr(listener, name), *args)

    async def _open_for_driver(self, endpoint: EndPoint) -> ConnectionProtocol:
        options = self.options_for(endpoint, self.connect_options())
        return await self.open_connection(endpoint, options)

    def _connect(self, bridge: Bridge, connections: DriverConnections) -> None:
        """Bridge thread."""
        cluster = DriverCluster(
            connections=connections,
            server_names=self._server_names,
            events=self,
            **self._settings,
        )
        for (keyspace, name), klass in self._user_types.items():
            cluster.note_user_type(keyspace, name, klass)
        if connections.is_closing:
            # stop() went by while names were being resolved.
            cluster.shutdown()
            return
        self._cluster = cluster
        self._session = cluster.connect()
        self._router = Router(cluster, bridge, self._on_rebuilt)
        self._router.rebuild()

    def _connect_timeout(self, timeout: float | None) -> exceptions.ConnectTimeoutError:
        points = ", ".join(map(str, self.contact_points))
        return exceptions.ConnectTimeoutError(
            f"No answer from {points} (port {self.port}) within {timeout} s. Check the addresses, "
            "the port and the firewalls between, or give connect() a longer timeout"
        )

    def _on_rebuilt(self) -> None:
        self._post_event("on_routing")

    def _on_control_connection_lost(self, connection: DriverConnection) -> None:
        """Bridge thread."""
        if self._cluster is not None:
            self._cluster.connection_lost(connection)

    def _on_loop_closed(self) -> None:
        """Bridge thread: nobody can await :meth:`stop` any more, so end the threads here."""
        log.warning("The event loop was closed before the cluster was; closing it now")
        if self._cluster is not None:
            self._cluster.shutdown()
        if self._bridge is not None:
            self._bridge.close_nowait()

    async def _stop(self, bridge: Bridge) -> None:
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                await self._close_cluster(bridge)
        except TimeoutError:
            log.warning("A blocking call did not return; leaving the driver's threads behind")
        await bridge.stop()

    async def _close_cluster(self, bridge: Bridge) -> None:
        assert self._connections is not None
        self._connections.close_all()
        if self._cluster is not None:
            await bridge.run(self._cluster.shutdown)
        await bridge.wait_started()


def _checked(settings: Mapping[str, Any]) -> Settings:
    """Complete the settings for the driver's cluster.

    :raises ~async_cassandra.exceptions.ConfigurationError: naming the one that is not valid
    """
    check(settings)
    checked = given(settings)
    if "contact_points" in checked:
        checked["contact_points"] = list(checked["contact_points"])
    checked.setdefault(
        "reconnection_policy",
        # The driver's own waits up to ten minutes, and gives up after 64 attempts.
        ExponentialReconnectionPolicy(base_delay=0.5, max_delay=10.0, max_attempts=None),
    )
    if "ssl_options" in checked and "ssl_context" not in checked:
        checked["ssl_context"] = ssl_context_from_options(checked["ssl_options"])
    # Statements are prepared by the sessions; the driver's cluster has none.
    checked.pop("prepare_on_all_hosts", None)
    checked.pop("reprepare_on_up", None)
    checked["execution_profiles"] = _profiles(checked)
    return checked


def _profiles(settings: dict[str, Any]) -> dict[Any, ExecutionProfile]:
    """Remove the policies from the settings: with them, the driver's cluster has no profiles."""
    policy = settings.pop("load_balancing_policy", None)
    retry_policy = settings.pop("default_retry_policy", None)
    profiles = dict(settings.pop("execution_profiles", {}))
    if EXEC_PROFILE_DEFAULT not in profiles:
        profiles[EXEC_PROFILE_DEFAULT] = QuickProfile(
            load_balancing_policy=policy or default_lbp_factory(), retry_policy=retry_policy
        )
    elif policy is not None or retry_policy is not None:
        name = "load_balancing_policy" if policy is not None else "retry_policy"
        raise exceptions.ConfigurationError(
            f"{name} and a default execution profile contradict each other: "
            "put the policy into the profile"
        )
    return profiles
