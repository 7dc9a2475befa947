"""Waits after a schema change until every node has it, and the driver's metadata too.

The statement's coordinator is asked, since it has the change already: a node that has not heard of it yet would see all
others at its own, old version and take that for agreement.
"""

import asyncio
from typing import Any

from async_cassandra._driver.control_plane import ControlPlane, schema_event
from async_cassandra._net.connection import NodeConnections
from async_cassandra._session.nodes import Nodes
from async_cassandra._session.queries import OwnQueries
from async_cassandra._statements.known import KnownQueries
from async_cassandra._wire.responses import Response
from async_cassandra.exceptions import AsyncCassandraError

_LOCAL = "SELECT schema_version FROM system.local WHERE key = 'local'"
_PEERS = "SELECT peer, rpc_address, schema_version FROM system.peers"
FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.2


class SchemaAgreement:
    """Waits for the nodes of one session to agree on its schema changes."""

    def __init__(
        self, control: ControlPlane, nodes: Nodes, known: KnownQueries, queries: OwnQueries
    ) -> None:
        self._control = control
        self._nodes = nodes
        self._known = known
        self._queries = queries

    async def follow(self, response: Response, coordinator: NodeConnections | None) -> None:
        """Do what the client must do after a result that reports a schema change."""
        change = response.schema_change
        if change is None:
            return
        arguments = tuple(change.arguments or ())
        event = schema_event(
            change.change_type, change.target, change.keyspace, change.name, arguments
        )
        self._known.on_schema_change(event, coordinator)
        if coordinator is not None and len(self._nodes.pools) > 1:
            await self.wait(coordinator, self._control.max_schema_agreement_wait)
        await self._control.after_schema_change(event)

    async def wait(self, coordinator: NodeConnections, max_wait: float) -> bool:
        """Return whether all connected nodes reached one schema version within ``max_wait`` seconds.

        A coordinator that is lost meanwhile counts as no.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + max_wait
        pause = FIRST_PAUSE
        while True:
            try:
                versions = await self._versions(coordinator)
            except AsyncCassandraError:
                return False
            if len(versions) == 1:
                return True
            if loop.time() + pause > deadline:
                return False
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)

    async def _versions(self, coordinator: NodeConnections) -> set[Any]:
        """Return the schema versions of the coordinator and of the peers that this session is connected to."""
        pools = self._nodes.pools
        connected = {host.endpoint.address for host, pool in pools.items() if pool.is_open}
        select = self._queries.select
        versions = {row.schema_version for row in await select(_LOCAL, coordinator)}
        for row in await select(_PEERS, coordinator):
            if connected & {row.rpc_address, row.peer}:
                versions.add(row.schema_version)
        return versions
