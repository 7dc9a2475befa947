"""Watches the nodes of a cluster, and limits the requests in flight."""

import asyncio
import inspect
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from cassandra.metadata import Metadata
from cassandra.pool import Host
from cassandra.query import BatchStatement

from async_cassandra._closing import AsyncClosing
from async_cassandra._driver.counterparts import ASSIGNED_ON_SESSION, SESSION, DriverFace
from async_cassandra._results.records import RowT
from async_cassandra._session_settings import SESSION_ATTRIBUTES
from async_cassandra._statements.statements import AnyStatement, Parameters
from async_cassandra.cluster import AsyncCluster
from async_cassandra.exceptions import AsyncCassandraError, ConnectionError, OverloadedError
from async_cassandra.result import AsyncResultSet
from async_cassandra.session import AsyncCassandraSession
from async_cassandra.statements import PreparedStatement
from async_cassandra.streaming import AsyncStreamingResultSet, StreamConfig

__all__ = [
    "HOST_STATUS_DOWN",
    "HOST_STATUS_UNKNOWN",
    "HOST_STATUS_UP",
    "ClusterMetrics",
    "ConnectionMonitor",
    "HostMetrics",
    "RateLimitedSession",
    "create_monitored_session",
]

logger: logging.Logger = logging.getLogger(__name__)

HOST_STATUS_UP = "up"
HOST_STATUS_DOWN = "down"
HOST_STATUS_UNKNOWN = "unknown"

HEALTH_QUERY = "SELECT now() FROM system.local"
HEALTH_TIMEOUT = 5.0


@dataclass(slots=True)
class HostMetrics:
    """One node, as its last health check found it.

    :ivar status: ``up`` if it answered, ``down`` if the cluster considers it down, ``unknown`` if it
        should be up and did not answer
    :ivar connection_count: this session's open connections to it
    :ivar latency_ms: milliseconds from the check's request to its answer
    """

    address: str
    datacenter: str | None
    rack: str | None
    status: str
    release_version: str | None
    connection_count: int
    latency_ms: float | None = None
    last_error: str | None = None
    last_check: datetime | None = None


@dataclass(slots=True)
class ClusterMetrics:
    """Every node at one time.

    :ivar app_metrics: the monitor's own counts of its checks
    """

    timestamp: datetime
    cluster_name: str | None
    protocol_version: int
    hosts: list[HostMetrics]
    total_connections: int
    healthy_hosts: int
    unhealthy_hosts: int
    app_metrics: dict[str, Any] = field(default_factory=dict)


type Callback = Callable[[ClusterMetrics], Awaitable[None] | None]


class ConnectionMonitor:
    """Checks each node of a session's cluster, once or at an interval.

    :ivar metrics: ``requests_sent``, ``requests_completed`` and ``requests_failed`` of the checks,
        ``last_health_check`` (ISO 8601 or ``None``), ``monitoring_started``
    """

    def __init__(self, session: "AsyncCassandraSession | RateLimitedSession") -> None:
        if isinstance(session, RateLimitedSession):
            session = session.session
        self.session: AsyncCassandraSession = session
        self.metrics: dict[str, Any] = {
            "requests_sent": 0,
            "requests_completed": 0,
            "requests_failed": 0,
            "last_health_check": None,
            "monitoring_started": datetime.now(UTC),
        }
        self._callbacks: list[Callback] = []
        self._checks: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._task: asyncio.Task[None] | None = None

    def add_callback(self, callback: Callback) -> None:
        """Call ``callback`` with each round's metrics; if it raises, that is logged.

        :param callback: a function or a coroutine function
        """
        self._callbacks.append(callback)

    async def check_host_health(self, host: Host) -> HostMetrics:
        """Ask this node, and no other, for its time.

        A node that the cluster considers down is not asked. An error is in ``last_error``, not
        raised.
        """
        found = HostMetrics(
            address=str(host.address),
            datacenter=host.datacenter,
            rack=host.rack,
            status=HOST_STATUS_DOWN if host.is_up is False else HOST_STATUS_UP,
            release_version=host.release_version,
            connection_count=0,
        )
        if found.status == HOST_STATUS_DOWN:
            await self._record(found, 0.0)
            return found
        await self._ask(host, found)
        found.connection_count = self._open_connections(host)
        found.last_check = datetime.now(UTC)
        return found

    async def _ask(self, host: Host, found: HostMetrics) -> None:
        self.metrics["requests_sent"] += 1
        start = asyncio.get_running_loop().time()
        try:
            await self.session.execute(HEALTH_QUERY, timeout=HEALTH_TIMEOUT, host=host)
        except AsyncCassandraError as error:
            self.metrics["requests_failed"] += 1
            self._failures[found.address] += 1
            found.status = HOST_STATUS_UNKNOWN
            found.last_error = str(error)
        else:
            self.metrics["requests_completed"] += 1
        taken = asyncio.get_running_loop().time() - start
        if found.last_error is None:
            found.latency_ms = taken * 1000
        self._checks[found.address] += 1
        await self._record(found, taken)

    async def _record(self, found: HostMetrics, taken: float) -> None:
        """Tell the session's collectors.

        :param taken: seconds until the answer; 0 if the host was not asked
        """
        if self.session._metrics is not None:
            await self.session._metrics.record_connection_metrics(
                found.address,
                found.status == HOST_STATUS_UP,
                taken,
                error_count=self._failures[found.address],
                total_queries=self._checks[found.address],
            )

    async def get_cluster_metrics(self) -> ClusterMetrics:
        """Ask every node at once."""
        metadata, version = self._known()
        hosts = await asyncio.gather(*map(self.check_host_health, metadata.all_hosts()))
        healthy = sum(host.status == HOST_STATUS_UP for host in hosts)
        return ClusterMetrics(
            timestamp=datetime.now(UTC),
            cluster_name=metadata.cluster_name,
            protocol_version=version,
            hosts=list(hosts),
            total_connections=sum(host.connection_count for host in hosts),
            healthy_hosts=healthy,
            unhealthy_hosts=len(hosts) - healthy,
            app_metrics=self.metrics.copy(),
        )

    async def warmup_connections(self) -> None:
        """Send one request to every node that is up; failures are logged."""
        checked = (await self.get_cluster_metrics()).hosts
        for host in checked:
            if host.last_error is not None:
                logger.warning("No answer from %s: %s", host.address, host.last_error)

    async def start_monitoring(self, interval: float = 60) -> None:
        """Check all nodes now and every ``interval`` seconds, until :meth:`stop_monitoring`.

        Does nothing if monitoring is already running.

        :param interval: seconds between the end of a round and the next, above 0
        """
        if interval <= 0:
            raise ValueError(f"interval must be above 0 seconds, not {interval}")
        if self._task is None or self._task.done():
            self.metrics["monitoring_started"] = datetime.now(UTC)
            self._task = asyncio.create_task(self._monitor(interval), name="cassandra monitor")

    async def stop_monitoring(self) -> None:
        """Stop, and wait until a running round is cancelled."""
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait([task])

    async def _monitor(self, interval: float) -> None:
        while not self.session.is_closed:
            try:
                await self._round()
            except Exception:
                logger.exception("A round of health checks failed")
            await asyncio.sleep(interval)

    async def _round(self) -> None:
        found = await self.get_cluster_metrics()
        self.metrics["last_health_check"] = found.timestamp.isoformat()
        if found.unhealthy_hosts:
            logger.warning(
                "%d of %d nodes are not healthy", found.unhealthy_hosts, len(found.hosts)
            )
        for callback in tuple(self._callbacks):
            try:
                result = callback(found)
                if inspect.isawaitable(result):
                    await result
            except Exception:
                logger.exception("Monitoring callback %r failed", callback)

    def get_connection_summary(self) -> dict[str, Any]:
        """Return what the cluster knows now, without asking any node.

        ``total_hosts``, ``up_hosts``, ``down_hosts``, ``protocol_version``,
        ``max_requests_per_connection``, ``total_connections``, ``note``.
        """
        metadata, version = self._known()
        hosts = list(metadata.all_hosts())
        up = sum(bool(host.is_up) for host in hosts)
        return {
            "total_hosts": len(hosts),
            "up_hosts": up,
            "down_hosts": len(hosts) - up,
            "protocol_version": version,
            "max_requests_per_connection": 32768,
            "total_connections": sum(map(self._open_connections, hosts)),
            "note": "Connections are this session's own; the control connection is not counted.",
        }

    def _open_connections(self, host: Host) -> int:
        node = self.session._node(host)
        return 0 if node is None else node.connections

    def _known(self) -> tuple[Metadata, int]:
        """What the driver knows of the cluster, and the protocol version."""
        metadata, version = self.session.cluster.metadata, self.session.cluster.protocol_version
        if metadata is None or version is None:
            raise ConnectionError("Cluster is closed")
        return metadata, version


class RateLimitedSession(DriverFace, AsyncClosing):
    """A session with at most ``max_concurrent`` requests in flight; further ones wait for a place.

    A stream holds a place until its first page arrives. A request's timeout starts after the wait.

    Cancellation: a cancelled wait gives up its place at once.
    """

    _counterparts: ClassVar[Mapping[str, str]] = {
        name: f"its session has it: use .session.{name}" for name in (*SESSION, *SESSION_ATTRIBUTES)
    }
    _assigned = ASSIGNED_ON_SESSION | SESSION_ATTRIBUTES

    def __init__(self, session: AsyncCassandraSession, max_concurrent: int = 1000) -> None:
        """:param max_concurrent: requests in flight, at least 1"""
        if max_concurrent < 1:
            raise ValueError(f"max_concurrent must be at least 1, not {max_concurrent}")
        self.session = session
        self.semaphore: asyncio.Semaphore = asyncio.Semaphore(max_concurrent)
        self.metrics: dict[str, int] = {
            "total_requests": 0,
            "active_requests": 0,
            "rejected_requests": 0,
        }

    async def execute(
        self,
        query: AnyStatement,
        parameters: Parameters = None,
        *,
        row: type[RowT] | None = None,
        **options: Any,
    ) -> AsyncResultSet[RowT]:
        """Execute as :meth:`AsyncCassandraSession.execute` does, once there is a place."""
        return await self._in_turn(self.session.execute, query, parameters, row=row, **options)

    async def execute_stream(
        self,
        query: AnyStatement,
        parameters: Parameters = None,
        stream_config: StreamConfig | None = None,
        *,
        row: type[RowT] | None = None,
        **options: Any,
    ) -> AsyncStreamingResultSet[RowT]:
        """Execute as :meth:`AsyncCassandraSession.execute_stream` does, holding a place until the first page."""
        return await self._in_turn(
            self.session.execute_stream, query, parameters, stream_config, row=row, **options
        )

    async def execute_batch(
        self, batch_statement: BatchStatement, **options: Any
    ) -> AsyncResultSet:
        """Execute as :meth:`AsyncCassandraSession.execute_batch` does, once there is a place."""
        return await self._in_turn(self.session.execute_batch, batch_statement, **options)

    async def prepare(self, query: str, **options: Any) -> PreparedStatement:
        """Prepare as :meth:`AsyncCassandraSession.prepare` does, which is not limited."""
        return await self.session.prepare(query, **options)

    async def close(self) -> None:
        """Close the session."""
        await self.session.close()

    @property
    def is_closed(self) -> bool:
        return self.session.is_closed

    def get_metrics(self) -> dict[str, int]:
        """Return ``total_requests``, ``active_requests`` and ``rejected_requests`` so far.

        A rejected request is one for which the session had no room (``OverloadedError``).
        """
        return self.metrics.copy()

    async def _in_turn[R](
        self, request: Callable[..., Awaitable[R]], *args: Any, **options: Any
    ) -> R:
        async with self.semaphore:
            self.metrics["total_requests"] += 1
            self.metrics["active_requests"] += 1
            try:
                return await request(*args, **options)
            except OverloadedError:
                self.metrics["rejected_requests"] += 1
                raise
            finally:
                self.metrics["active_requests"] -= 1


async def create_monitored_session(
    contact_points: Sequence[str],
    keyspace: str | None = None,
    max_concurrent: int | None = None,
    warmup: bool = True,
    **cluster_options: Any,
) -> tuple[AsyncCassandraSession | RateLimitedSession, ConnectionMonitor]:
    """Connect, and return the session with a monitor that has not been started.

    Closing the session also closes the cluster that was opened for it.

    :param max_concurrent: requests in flight; ``None`` sets no limit
    :param warmup: send a request to every node first
    :param cluster_options: further arguments of :class:`AsyncCluster`
    :raises ConnectionError: if no contact point can be reached
    """
    cluster = AsyncCluster(list(contact_points), **cluster_options)
    try:
        session = await cluster.connect(keyspace)
        monitor = ConnectionMonitor(session)
        if warmup:
            await monitor.warmup_connections()
    except BaseException:
        await cluster.shutdown()
        raise
    cluster._shut_down_with_session = True
    if max_concurrent is None:
        return session, monitor
    return RateLimitedSession(session, max_concurrent), monitor
