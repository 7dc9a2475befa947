"""What a session is doing, for a person."""

from dataclasses import dataclass

from async_cassandra._session.core import SessionCore
from async_cassandra._session.request_stats import RequestStats
from async_cassandra._watch.latencies import Histogram
from async_cassandra._watch.observer import Observer, Observers

__all__ = ["NodeStats", "SessionStats"]


@dataclass(frozen=True, slots=True)
class NodeStats:
    """One node, as the session has it.

    :ivar in_flight: requests that wait for its response, orphaned ones included
    :ivar orphaned: of those, the ones that nobody waits for any more
    """

    endpoint: str
    datacenter: str | None
    connections: int
    in_flight: int
    orphaned: int


@dataclass(frozen=True, slots=True)
class SessionStats:
    """A session at one moment; ``str()`` of it is a few lines to read.

    :ivar requests: page requests so far
    :ivar in_flight: requests under way, those that wait for a place not included
    :ivar queued: requests that wait for a place
    :ivar retries: requests sent again so far
    :ivar speculative_attempts: attempts on another node while one was awaited, so far
    :ivar latency_ms: milliseconds by ``p50``, ``p95``, ``p99`` and ``max`` of all requests since the
        start; ``None`` for a session without metrics
    """

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


def session_stats(core: SessionCore) -> SessionStats:
    """Take the figures from where they are counted."""
    executor = core.executor
    nodes = []
    for host, pool in core.nodes.pools.items():
        watched = pool.watched()
        nodes.append(
            NodeStats(
                endpoint=pool.endpoint,
                datacenter=host.datacenter,
                connections=len(pool.connections),
                in_flight=sum(connection.in_flight for connection in watched),
                orphaned=sum(connection.orphans for connection in watched),
            )
        )
    return SessionStats(
        keyspace=core.keyspace,
        nodes=tuple(sorted(nodes, key=lambda node: node.endpoint)),
        requests=executor.requests,
        in_flight=executor.running - executor.queued,
        queued=executor.queued,
        retries=executor.retries,
        speculative_attempts=executor.hedges,
        latency_ms=_latencies(_durations(executor.observer)),
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
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    found = {name: durations.percentile(share) * 1000 for name, share in shares.items()}
    return {**found, "max": durations.largest * 1000}
