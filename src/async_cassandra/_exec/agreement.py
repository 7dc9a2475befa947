"""Waiting until every node has the schema that a statement made.

The statement's coordinator is asked, since it has the change already: a node that has not heard of it yet would see all
others at its own, old version and call that agreement.
"""

import asyncio
from typing import TYPE_CHECKING, Any

from async_cassandra.exceptions import AsyncCassandraError

if TYPE_CHECKING:
    from async_cassandra._exec.core import SessionCore
    from async_cassandra._net.connection import NodeConnections

_LOCAL = "SELECT schema_version FROM system.local WHERE key = 'local'"
_PEERS = "SELECT peer, rpc_address, schema_version FROM system.peers"
FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.2


async def wait_for_agreement(
    core: "SessionCore", coordinator: "NodeConnections", max_wait: float
) -> bool:
    """Whether all connected nodes came to one schema version within ``max_wait`` seconds.

    A coordinator that is lost meanwhile counts as no.
    """
    deadline = core.loop.time() + max_wait
    pause = FIRST_PAUSE
    while True:
        try:
            versions = await _versions(core, coordinator)
        except AsyncCassandraError:
            return False
        if len(versions) == 1:
            return True
        if core.loop.time() + pause > deadline:
            return False
        await asyncio.sleep(pause)
        pause = min(LONGEST_PAUSE, pause * 2)


async def _versions(core: "SessionCore", coordinator: "NodeConnections") -> set[Any]:
    """The schema versions of the coordinator and of the peers that this session is connected to."""
    connected = {host.endpoint.address for host, pool in core.nodes.pools.items() if pool.is_open}
    versions = {row.schema_version for row in await core.select(_LOCAL, coordinator)}
    for row in await core.select(_PEERS, coordinator):
        if connected & {row.rpc_address, row.peer}:
            versions.add(row.schema_version)
    return versions
