"""Tells whether a process is alive, and whether its session reaches Cassandra."""

import asyncio
from dataclasses import dataclass
from typing import Any

from async_cassandra.exceptions import AsyncCassandraError
from async_cassandra.session import AsyncCassandraSession

__all__ = ["Readiness", "readiness"]

PROBE = "SELECT now() FROM system.local"


@dataclass(frozen=True, slots=True)
class Readiness:
    """The result of a probe.

    :ivar latency_ms: milliseconds until the answer; ``None`` without one
    :ivar nodes_up: nodes that the cluster considers up
    """

    ready: bool
    nodes_up: int
    nodes: int
    latency_ms: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return a plain dictionary."""
        return {
            "status": "ready" if self.ready else "not ready",
            "nodes_up": self.nodes_up,
            "nodes": self.nodes,
            "latency_ms": self.latency_ms,
        }


async def readiness(
    session: AsyncCassandraSession,
    timeout: float,  # noqa: ASYNC109  the session's own
) -> Readiness:
    """Ask any node for its time.

    :param timeout: seconds
    """
    metadata = session.cluster.metadata
    hosts = [] if metadata is None else list(metadata.all_hosts())
    up = sum(bool(host.is_up) for host in hosts)
    loop = asyncio.get_running_loop()
    start = loop.time()
    try:
        await session.execute(PROBE, timeout=timeout)
    except AsyncCassandraError:
        return Readiness(False, up, len(hosts))
    return Readiness(True, up, len(hosts), round((loop.time() - start) * 1000, 3))
