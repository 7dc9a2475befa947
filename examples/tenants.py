"""A keyspace for each tenant, one cluster for all: the same statements, no way into another's data.

A session in the tenant's keyspace executes unqualified names; sessions are opened on first use.
For thousands of tenants, prefer one session and qualified names: each session has connections.
"""

import asyncio
import os
import re
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from async_cassandra import AsyncCassandraSession, AsyncCluster

CONTACT_POINTS = os.environ.get("CASSANDRA_CONTACT_POINTS", "127.0.0.1").split(",")
PORT = int(os.environ.get("CASSANDRA_PORT", "9042"))
# A tenant's name becomes part of a CQL name, where no parameter can stand.
NAME = re.compile(r"[a-z][a-z0-9]{0,30}")


class Tenants:
    """Sessions by tenant; leaving the block closes them all."""

    def __init__(self, cluster: AsyncCluster, replication_factor: int = 1) -> None:
        self._cluster = cluster
        self._replication_factor = replication_factor
        self._opening: dict[str, asyncio.Task[AsyncCassandraSession]] = {}
        self._stack = AsyncExitStack()

    async def session(self, tenant: str) -> AsyncCassandraSession:
        """The tenant's session; opened once, however many ask at the same time.

        :raises ValueError: if the name is not one of a tenant
        """
        if NAME.fullmatch(tenant) is None:
            raise ValueError(f"not a tenant's name: {tenant!r}")
        if tenant not in self._opening:
            self._opening[tenant] = asyncio.create_task(self._open(f"tenant_{tenant}"))
        return await asyncio.shield(self._opening[tenant])

    async def _open(self, keyspace: str) -> AsyncCassandraSession:
        async with self._cluster.connect() as administration:
            await administration.execute(
                f"CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = "
                f"{{'class': 'SimpleStrategy', 'replication_factor': {self._replication_factor}}}"
            )
        session = await self._stack.enter_async_context(self._cluster.connect(keyspace))
        await session.execute("CREATE TABLE IF NOT EXISTS notes (id int PRIMARY KEY, text text)")
        return session

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()


async def serve(tenants: Tenants, tenant: str) -> None:
    """A request of a tenant: the statements know nothing of others."""
    session = await tenants.session(tenant)
    await session.execute("INSERT INTO notes (id, text) VALUES (?, ?)", (1, f"{tenant}'s note"))
    row = (await session.execute("SELECT text FROM notes WHERE id = ?", (1,))).one()
    print(f"{session.keyspace}: {row.text}")


async def main() -> None:
    async with AsyncCluster(CONTACT_POINTS, port=PORT) as cluster, Tenants(cluster) as tenants:
        for tenant in ("acme", "globex", "initech"):
            await serve(tenants, tenant)
        try:
            await serve(tenants, "x; DROP KEYSPACE tenant_acme")
        except ValueError as error:
            print("Refused:", error)


asyncio.run(main())
