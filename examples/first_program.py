"""Connect, ask, stream, close."""

import asyncio
import os

from async_cassandra import AsyncCluster

CONTACT_POINTS = os.environ.get("CASSANDRA_CONTACT_POINTS", "127.0.0.1").split(",")
PORT = int(os.environ.get("CASSANDRA_PORT", "9042"))


async def main() -> None:
    async with (
        AsyncCluster(CONTACT_POINTS, port=PORT) as cluster,
        cluster.connect() as session,
    ):
        result = await session.execute("SELECT cluster_name, release_version FROM system.local")
        print("Connected to", result.one())
        stream = await session.execute_stream("SELECT table_name FROM system_schema.tables")
        async for row in stream:
            print(row.table_name)


asyncio.run(main())
