"""What is sent again and what is not: idempotence, a policy of your own, writes that must not repeat."""

import asyncio
import os
from typing import Any
from uuid import uuid4

from cassandra import ConsistencyLevel, Unavailable
from cassandra.policies import RetryPolicy

from async_cassandra import AsyncCassandraSession, AsyncCluster, AsyncRetryPolicy
from async_cassandra.exceptions import CasWriteUnknown, QueryTimeoutError

CONTACT_POINTS = os.environ.get("CASSANDRA_CONTACT_POINTS", "127.0.0.1").split(",")
PORT = int(os.environ.get("CASSANDRA_PORT", "9042"))
SCHEMA = (
    "CREATE KEYSPACE IF NOT EXISTS retries WITH replication = "
    "{'class': 'SimpleStrategy', 'replication_factor': 1}",
    "CREATE TABLE IF NOT EXISTS retries.profiles (id int PRIMARY KEY, name text)",
    "CREATE TABLE IF NOT EXISTS retries.payments (id uuid PRIMARY KEY, cents int)",
)


class RatherOldThanNothing(AsyncRetryPolicy):
    """Reads from fewer replicas when too few live: only for data that may be a little old."""

    def on_unavailable(
        self,
        query: Any,
        consistency: int,
        required_replicas: int,
        alive_replicas: int,
        retry_num: int,
    ) -> tuple[int, int | None]:
        if retry_num > 0 or alive_replicas == 0:
            return RetryPolicy.RETHROW, None
        print(f"{required_replicas} replicas wanted, {alive_replicas} alive: reading from one")
        return RetryPolicy.RETRY, ConsistencyLevel.ONE


async def read_with_policy(session: AsyncCassandraSession) -> None:
    """The table has one replica and three are asked for."""
    await session.execute("INSERT INTO retries.profiles (id, name) VALUES (?, ?)", (1, "Ada"))
    read = await session.prepare("SELECT name FROM retries.profiles WHERE id = ?")
    read.consistency_level = ConsistencyLevel.THREE
    try:
        await session.execute(read, (1,))
    except Unavailable as error:
        print("Without the policy:", type(error).__name__)
    read.retry_policy = RatherOldThanNothing()
    print("With it:", (await session.execute(read, (1,))).one().name)


async def write_idempotently(session: AsyncCassandraSession) -> None:
    """The same row twice is the same row: the library may send this again when a node dies."""
    write = await session.prepare("INSERT INTO retries.profiles (id, name) VALUES (?, ?)")
    write.is_idempotent = True
    await session.execute(write, (2, "Grace"))


async def pay_once(session: AsyncCassandraSession, cents: int) -> bool:
    """A payment has an id of its own, so asking again after a lost answer cannot pay twice."""
    payment = uuid4()
    pay = await session.prepare(
        "INSERT INTO retries.payments (id, cents) VALUES (?, ?) IF NOT EXISTS"
    )
    for _ in range(5):
        try:
            result = await session.execute(pay, (payment, cents))
        except (CasWriteUnknown, QueryTimeoutError):
            continue
        # Not applied means that an earlier attempt of this very payment was.
        return bool(result.was_applied or result.one().id == payment)
    return False


async def main() -> None:
    async with AsyncCluster(CONTACT_POINTS, port=PORT) as cluster, cluster.connect() as session:
        for cql in SCHEMA:
            await session.execute(cql)
        await read_with_policy(session)
        await write_idempotently(session)
        print("Paid once:", await pay_once(session, 995))


asyncio.run(main())
