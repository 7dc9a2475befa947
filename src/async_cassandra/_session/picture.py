"""What a session's nodes and requests look like at one moment.

``session.stats()``, Prometheus and the monitor of connections all show this picture.
"""

from dataclasses import dataclass

from cassandra.pool import Host

from async_cassandra._net.pool import NodePool
from async_cassandra._session.core import SessionCore
from async_cassandra._session.request_stats import RequestStats
from async_cassandra._watch.latencies import Histogram
from async_cassandra._watch.observer import Observer, Observers

SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True, slots=True)
class NodeStats:
    """One node, as the session sees it.

    :ivar endpoint: ``"address:port"`` that its connections go to
    :ivar address: the address alone
    :ivar connections: open ones
    :ivar in_flight: requests that wait for its response, orphaned ones included
    :ivar orphaned: how many of those nobody waits for any more
    :ivar is_open: whether a connection can take requests
    """

    __module__ = "async_cassandra.stats"

    endpoint: str
    datacenter: str | None
    connections: int
    in_flight: int
    orphaned: int
    address: str
    is_open: bool


@dataclass(frozen=True, slots=True)
class SessionStats:
    """A session at one moment; ``str()`` gives a few lines to read.

    :ivar requests: page requests so far
    :ivar in_flight: requests under way, not counting those that wait for a place
    :ivar queued: requests that wait for a place
    :ivar retries: requests sent again so far
    :ivar speculative_attempts: attempts so far on another node while one was awaited
    :ivar latency_ms: milliseconds by ``p50``, ``p95``, ``p99`` and ``max`` of all requests since the
        start; ``None`` for a session without metrics
    """

    __module__ = "async_cassandra.stats"

    keyspace: str | None
    nodes: tuple[NodeStats, ...]
    requests: int
    in_flight: int
    queued: int
    retries: int
    speculative_attempts: int
    latency_ms: dict[str, float] | None

    def __str__(self) -> str:
        lines = [
            f"keyspace {self.keyspace or '(none)'}: {self.requests:,} requests, "
            f"{self.in_flight:,} in flight, {self.queued:,} queued, {self.retries:,} retries, "
            f"{self.speculative_attempts:,} speculative attempts"
        ]
        if self.latency_ms is not None:
            taken = ", ".join(f"{name} {ms:.2f} ms" for name, ms in self.latency_ms.items())
            lines.append(f"latency: {taken}")
        lines += [
            f"{node.endpoint} ({node.datacenter}): {node.connections} connections, "
            f"{node.in_flight:,} in flight, {node.orphaned:,} orphaned"
            for node in self.nodes
        ]
        return "\n".join(lines)


def picture_of(core: SessionCore, *, with_latencies: bool = True) -> SessionStats:
    """Take the figures from where they are counted.

    :param with_latencies: without them it costs no merging of histograms
    """
    executor = core.executor
    # Prometheus may ask on a thread of its own, while nodes come and go.
    nodes = [_node(host, pool) for host, pool in list(core.nodes.pools.items())]
    return SessionStats(
        keyspace=core.keyspace,
        nodes=tuple(sorted(nodes, key=lambda node: node.endpoint)),
        requests=executor.requests,
        in_flight=executor.running - executor.queued,
        queued=executor.queued,
        retries=executor.retries,
        speculative_attempts=executor.hedges,
        latency_ms=_latencies(_durations(executor.observer)) if with_latencies else None,
    )


def node_of(core: SessionCore, host: Host) -> NodeStats | None:
    """Return one node's part of the picture; ``None`` if the session does not use it."""
    pool = core.nodes.pools.get(host)
    return None if pool is None else _node(host, pool)


def _node(host: Host, pool: NodePool) -> NodeStats:
    watched = pool.watched()
    return NodeStats(
        endpoint=pool.endpoint,
        datacenter=host.datacenter,
        connections=len(pool.connections),
        in_flight=sum(connection.in_flight for connection in watched),
        orphaned=sum(connection.orphans for connection in watched),
        address=str(host.address),
        is_open=pool.is_open,
    )


def _durations(observer: Observer | None) -> Histogram | None:
    if isinstance(observer, RequestStats):
        return observer.durations()
    if isinstance(observer, Observers):
        found = map(_durations, observer.members)
        return next((histogram for histogram in found if histogram is not None), None)
    return None


def _latencies(durations: Histogram | None) -> dict[str, float] | None:
    if durations is None:
        return None
    found = {name: durations.percentile(share) * 1000 for name, share in SHARES.items()}
    return {**found, "max": durations.largest * 1000}
