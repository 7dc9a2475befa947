"""The cluster: contact points and settings, and the sessions connected to it."""

import asyncio
import math
import os
import ssl
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from cassandra.auth import AuthProvider, PlainTextAuthProvider
from cassandra.connection import EndPoint
from cassandra.metadata import Metadata
from cassandra.policies import LoadBalancingPolicy, ReconnectionPolicy, RetryPolicy

from async_cassandra._closing import AsyncClosing
from async_cassandra._driver.cluster_names import EXEC_PROFILE_DEFAULT, Cluster
from async_cassandra._driver.cluster_settings import IDLE_HEARTBEAT_INTERVAL
from async_cassandra._driver.control_plane import ControlPlane
from async_cassandra._driver.counterparts import ASSIGNED_ON_CLUSTER, CLUSTER, DriverFace
from async_cassandra._driver.request_settings import checked_timeout
from async_cassandra._net.errors import ConnectFailed
from async_cassandra._net.handshake import ConnectOptions
from async_cassandra._request.budget import Budget
from async_cassandra._request.faults import connect_fault
from async_cassandra._session.config import ClientOptions
from async_cassandra._session.core import SessionCore
from async_cassandra._watch.observer import Observer, Observers
from async_cassandra.exceptions import (
    ConfigurationError,
    ConnectionError,
    ConnectTimeoutError,
    shown,
)
from async_cassandra.metrics import MetricsMiddleware
from async_cassandra.retry_policy import DefaultRetryPolicy
from async_cassandra.session import AsyncCassandraSession, exact_keyspace
from async_cassandra.tls import TlsOptions, chosen_context, chosen_names

__all__ = ["AsyncCluster", "ClientOptions"]

CONNECT_TIMEOUT = 30.0


class AsyncCluster(DriverFace, AsyncClosing):
    """A cluster to connect to.

    It can be created before any loop runs; it resolves no name and opens nothing until :meth:`connect`,
    which binds it to the running loop. Concurrency: that loop's thread only.

    :param contact_points: addresses or names of nodes through which to find the others; ``None`` for
        ``["127.0.0.1"]``
    :param port: the native transport's port on every node, 1 to 65535
    :param auth_provider: the driver's; it may block, since it is called outside the loop
    :param load_balancing_policy: for the default execution profile
    :param reconnection_policy: pauses between the driver's attempts to reach a node that is down
    :param retry_policy: for the default execution profile; ``None`` for :class:`DefaultRetryPolicy`
    :param ssl_context: turns TLS on with a context of your own
    :param protocol_version: 4 or 5; ``None`` for 5, or 4 if the server does not have 5
    :param executor_threads: threads of the driver's control plane, 1 or more
    :param max_schema_agreement_wait: seconds to wait for all nodes to agree after DDL
    :param control_connection_timeout: seconds for each request of the control connection; ``None``
        for no limit
    :param idle_heartbeat_interval: seconds without traffic after which a connection is probed; 0 or
        ``None`` for never
    :param schema_event_refresh_window: seconds over which reading the schema again is spread after a
        node told of a change; 0 for at once, below 0 for never
    :param topology_event_refresh_window: the same for nodes that come, go or move
    :param status_event_refresh_window: the same for nodes that go up or down
    :param compression: ``"lz4"`` (or ``True``) to compress what is sent and received, with the
        ``lz4`` extra
    :param tls: turns TLS on, with certificates and host names verified: ``True`` trusts the system's
        authorities, a path those in that PEM file, :class:`~async_cassandra.tls.TlsOptions` sets
        more; files are read at once
    :param client_options: limits and defaults for its sessions
    :param metrics: told of every request of its sessions
    :param observers: told of every event of its sessions: a
        :class:`~async_cassandra.observers.SlowQueryLog`, or one of your own
    :param kwargs: any other setting of the driver's ``Cluster``, ``execution_profiles`` and
        ``column_encryption_policy`` among them; one that would have no effect is refused
    :raises ~async_cassandra.exceptions.ConfigurationError: if a setting is not valid, naming it
    """

    _counterparts = CLUSTER
    _assigned = ASSIGNED_ON_CLUSTER

    def __init__(
        self,
        contact_points: Sequence[str | tuple[str, int] | EndPoint] | None = None,
        port: int = 9042,
        auth_provider: AuthProvider | None = None,
        load_balancing_policy: LoadBalancingPolicy | None = None,
        reconnection_policy: ReconnectionPolicy | None = None,
        retry_policy: RetryPolicy | None = None,
        ssl_context: ssl.SSLContext | None = None,
        protocol_version: int | None = None,
        executor_threads: int = 2,
        max_schema_agreement_wait: float = 10,
        control_connection_timeout: float | None = 2.0,
        idle_heartbeat_interval: float | None = IDLE_HEARTBEAT_INTERVAL,
        schema_event_refresh_window: float = 2.0,
        topology_event_refresh_window: float = 10.0,
        status_event_refresh_window: float = 2.0,
        *,
        compression: bool | str | None = None,
        tls: bool | str | os.PathLike[str] | TlsOptions | None = None,
        client_options: ClientOptions | None = None,
        metrics: MetricsMiddleware | None = None,
        observers: Sequence[Observer] = (),
        **kwargs: Any,
    ) -> None:
        self._options = _checked(client_options)
        self._budget = budget_of(self._options)
        self._metrics = _checked_metrics(metrics)
        self._observers = _checked_observers(observers)
        kwargs["default_retry_policy"] = _retry_policy(retry_policy, kwargs)
        self._control = ControlPlane(
            contact_points=contact_points,
            port=port,
            auth_provider=auth_provider,
            load_balancing_policy=load_balancing_policy,
            reconnection_policy=reconnection_policy,
            ssl_context=chosen_context(tls, ssl_context),
            server_names=chosen_names(tls, kwargs.get("ssl_options")),
            protocol_version=protocol_version,
            executor_threads=executor_threads,
            max_schema_agreement_wait=max_schema_agreement_wait,
            control_connection_timeout=control_connection_timeout,
            idle_heartbeat_interval=_agreed(self._options, idle_heartbeat_interval),
            compression=compression or False,
            schema_event_refresh_window=schema_event_refresh_window,
            topology_event_refresh_window=topology_event_refresh_window,
            status_event_refresh_window=status_event_refresh_window,
            **kwargs,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = os.getpid()
        self._starting: asyncio.Task[None] | None = None
        self._waiting_for_start = 0
        self._shutting_down: asyncio.Task[None] | None = None
        self._sessions: list[AsyncCassandraSession] = []
        self._shut_down_with_session = False

    def _has_no_effect(self, name: str, value: object) -> bool:
        # A subclass may keep for itself what it passed on.
        control = vars(self).get("_control")
        if control is None or control.setting(name) == value:
            return False
        return super()._has_no_effect(name, value)

    @classmethod
    def create_with_auth(
        cls, contact_points: Sequence[str], username: str, password: str, **kwargs: Any
    ) -> Self:
        """Create a cluster that logs in with a user name and a password."""
        provider = PlainTextAuthProvider(username=username, password=password)
        del password  # an error's traceback has its frames' variables
        return cls(contact_points, auth_provider=provider, **kwargs)

    @property
    def is_closed(self) -> bool:
        """Whether :meth:`shutdown` was called."""
        return self._shutting_down is not None

    @property
    def metadata(self) -> Metadata | None:
        """The driver's view of topology and schema; ``None`` before :meth:`connect`."""
        return self._control.metadata

    @property
    def protocol_version(self) -> int | None:
        """The native protocol version in use, 5 or 4; ``None`` before :meth:`connect`."""
        return None if self._cluster is None else int(self._cluster.protocol_version)

    @property
    def is_shutdown(self) -> bool:
        """The driver's name for :attr:`is_closed`."""
        return self.is_closed

    @property
    def _cluster(self) -> Cluster | None:
        """The driver's cluster once connected, which some programs use."""
        return self._control.cluster

    def __repr__(self) -> str:
        state = "not connected" if self._control.cluster is None else "connected"
        if self.is_closed:
            state = "closed"
        points = list(self._control.contact_points)
        return f"<AsyncCluster {points} port={self._control.port} {state}>"

    def connect(
        self,
        keyspace: str | None = None,
        timeout: float | None = None,
        *,
        metrics: MetricsMiddleware | None = None,
    ) -> "Connecting":
        """Open a session: ``await`` it, or enter it with ``async with``, which also closes it.

        Cancellation: whatever was opened is closed.

        :param keyspace: the keyspace for unqualified names, in the server's spelling; ``None`` for none
        :param timeout: seconds for the whole connect, above 0; ``None`` for 30
        :param metrics: told of every request of this session, instead of the cluster's
        :raises ~async_cassandra.exceptions.ConnectionError: naming the node and the reason
        :raises ~async_cassandra.exceptions.AuthenticationError: if the credentials were refused
        :raises ~async_cassandra.exceptions.ConnectTimeoutError: if it took longer; also
            ``TimeoutError``
        :raises ~async_cassandra.exceptions.ConfigurationError: if a setting is not valid
        """
        told = _checked_metrics(metrics) or self._metrics
        return Connecting(lambda: self._connect(keyspace, timeout, told))

    async def _connect(
        self,
        keyspace: str | None,
        timeout: float | None,  # noqa: ASYNC109  it is told in the exception
        metrics: MetricsMiddleware | None,
    ) -> AsyncCassandraSession:
        timeout = CONNECT_TIMEOUT if timeout is None else checked_timeout(timeout)
        exact = None if keyspace is None else exact_keyspace(keyspace)
        self._check_loop()
        try:
            async with asyncio.timeout(None if timeout == math.inf else timeout):
                await self._start()
                core = await self._open(exact, metrics)
        except ConnectTimeoutError:
            raise
        except TimeoutError as error:
            points = ", ".join(map(str, self._control.contact_points))
            raise ConnectTimeoutError(
                f"No session with {points} (port {self._control.port}) within {timeout:g} s. "
                "Check the addresses, the port and the firewalls between, "
                "or give connect() a longer timeout",
                error,
            ) from error
        session = AsyncCassandraSession._of(self, core, metrics)
        self._sessions.append(session)
        return session

    def _check_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self.is_closed:
            raise ConnectionError("Cluster is closed")
        if self._loop is None:
            self._loop = loop
            self._pid = os.getpid()
        elif self._loop is not loop:
            raise ConnectionError(
                "This cluster is connected on another event loop: use one AsyncCluster per loop"
            )

    async def _start(self) -> None:
        """Start the control plane once, however many callers connect at a time; the last to give up stops it."""
        while self._starting is not None and self._starting.cancelling():
            await asyncio.wait((self._starting,))
        if self._starting is None:
            self._starting = asyncio.get_running_loop().create_task(self._control.start(None))
            self._starting.add_done_callback(self._on_started)
        starting = self._starting
        self._waiting_for_start += 1
        try:
            await asyncio.shield(starting)
        except BaseException:
            task = asyncio.current_task()
            if starting.cancelled() and task is not None and not task.cancelling():
                raise ConnectionError("Cluster is closed") from None
            if self._waiting_for_start == 1 and not starting.done():
                starting.cancel()
                await asyncio.wait((starting,))
            raise
        finally:
            self._waiting_for_start -= 1

    def _on_started(self, starting: asyncio.Task[None]) -> None:
        if starting.cancelled() or starting.exception() is not None:
            self._starting = None

    async def _open(
        self,
        keyspace: str | None,
        metrics: MetricsMiddleware | None,
    ) -> SessionCore:
        core = SessionCore(self._control, self._connect_options(), self._options, self._budget)
        core.executor.observer = self._observer(core, metrics)
        try:
            await core.start(keyspace)
        except ConnectFailed as error:
            await core.close(0)
            raise connect_fault(error) from error
        except BaseException:
            await core.close(0)
            raise
        if self.is_closed:
            await core.close(0)
            raise ConnectionError("Cluster is closed")
        return core

    def _observer(self, core: SessionCore, metrics: MetricsMiddleware | None) -> Observer | None:
        """Return the observer of a session, ``None`` if nobody wants to know."""
        if metrics is not None and not self._observers:
            return metrics.observe(core)
        members: list[Observer] = list(self._observers)
        if metrics is not None:
            members.append(metrics.observe(core))
        return Observers(members) if members else None

    def _connect_options(self) -> ConnectOptions:
        options = self._control.connect_options()
        if self._options.throw_on_overload:
            options.startup["THROW_ON_OVERLOAD"] = "1"
        return replace(options, max_in_flight=self._options.max_in_flight)

    def register_user_type(self, keyspace: str, user_type: str, klass: type) -> None:
        """Read values of a user-defined type as instances of ``klass``, and write such instances.

        :param klass: a class that takes the type's fields as keyword arguments
        :raises cassandra.cluster.UserTypeDoesNotExist: if the known schema has no such type; before
            :meth:`connect`, that raises it; also ConfigurationError
        """
        self._control.register_user_type(keyspace, user_type, klass)

    async def _session_closed(self, session: AsyncCassandraSession) -> None:
        if session in self._sessions:
            self._sessions.remove(session)
        if self._shut_down_with_session and not self.is_closed:
            await self.shutdown()

    async def shutdown(self) -> None:
        """Close every session and the control connection, and end all threads; can be called again.

        Cancellation: the shutdown continues.
        """
        if self._shutting_down is None:
            self._shutting_down = asyncio.get_running_loop().create_task(self._shutdown())
        await asyncio.shield(self._shutting_down)

    async def _shutdown(self) -> None:
        if os.getpid() != self._pid:
            # After a fork, connections and threads are the parent's.
            return
        await asyncio.gather(*(session.close() for session in list(self._sessions)))
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        await self._control.stop()

    async def close(self) -> None:
        """Do the same as :meth:`shutdown`."""
        await self.shutdown()


class Connecting(Coroutine[Any, Any, AsyncCassandraSession]):
    """A session being opened: ``await`` it, or enter it with ``async with``, which closes it."""

    def __init__(self, connect: Callable[[], Coroutine[Any, Any, AsyncCassandraSession]]) -> None:
        self._connect = connect
        self._running: Coroutine[Any, Any, AsyncCassandraSession] | None = None
        self._session: AsyncCassandraSession | None = None

    def _coroutine(self) -> Coroutine[Any, Any, AsyncCassandraSession]:
        if self._running is None:
            self._running = self._connect()
        return self._running

    def __await__(self) -> Generator[Any, Any, AsyncCassandraSession]:
        return self._coroutine().__await__()

    def send(self, value: Any) -> Any:
        return self._coroutine().send(value)

    def throw(self, *args: Any) -> Any:
        return self._coroutine().throw(*args)

    def close(self) -> None:
        if self._running is not None:
            self._running.close()

    async def __aenter__(self) -> AsyncCassandraSession:
        self._session = await self
        return self._session

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()


def budget_of(options: ClientOptions) -> Budget:
    """Build the budget for what a cluster's sessions, taken together, may send beyond their requests."""
    return Budget(options.retry_budget, options.hedge_budget, options.min_retries_per_second)


def _checked(options: ClientOptions | None) -> ClientOptions:
    if options is None:
        return ClientOptions()
    if not isinstance(options, ClientOptions):
        raise ConfigurationError(f"client_options takes a ClientOptions, not {shown(options)}")
    return options


def _checked_metrics(metrics: MetricsMiddleware | None) -> MetricsMiddleware | None:
    if metrics is not None and not isinstance(metrics, MetricsMiddleware):
        raise ConfigurationError(
            f"metrics takes a MetricsMiddleware, such as create_metrics_system() returns, "
            f"not a {type(metrics).__name__}"
        )
    return metrics


def _checked_observers(observers: Sequence[Observer]) -> tuple[Observer, ...]:
    if isinstance(observers, Observer):
        raise ConfigurationError("observers takes a list: pass [observer]")
    for observer in observers:
        if not isinstance(observer, Observer):
            raise ConfigurationError(
                f"observers takes async_cassandra.observers.Observer objects, not {shown(observer)}"
            )
    return tuple(observers)


def _agreed(options: ClientOptions, interval: float | None) -> float | None:
    """The heartbeat's interval of the cluster, or of the options if the cluster's says nothing else."""
    chosen = options.idle_heartbeat_interval
    if chosen is None:
        return interval
    if interval is not IDLE_HEARTBEAT_INTERVAL and (interval or 0) != chosen:
        raise ConfigurationError(
            f"idle_heartbeat_interval={interval!r} of the cluster and "
            f"idle_heartbeat_interval={chosen!r} of its ClientOptions contradict each other: "
            "give one of them"
        )
    return chosen


def _retry_policy(policy: RetryPolicy | None, settings: Mapping[str, Any]) -> RetryPolicy | None:
    """Return the retry policy of the default execution profile, given by either of its names."""
    other: RetryPolicy | None = settings.get("default_retry_policy")
    if policy is not None and other is not None and policy is not other:
        raise ConfigurationError(
            "retry_policy and default_retry_policy are the same setting and contradict each other: "
            "give one of them"
        )
    chosen = policy if policy is not None else other
    profiles = settings.get("execution_profiles") or {}
    if chosen is None and EXEC_PROFILE_DEFAULT not in profiles:
        return DefaultRetryPolicy()
    return chosen
