"""Several event loops in one process, each in a thread with a cluster of its own.

A session belongs to the loop that connected it. Another thread hands its work over with
``run_coroutine_threadsafe``; used directly, the session refuses.
"""

import asyncio
import os
import threading

from async_cassandra import AsyncCassandraSession, AsyncCluster, ConnectionError

CONTACT_POINTS = os.environ.get("CASSANDRA_CONTACT_POINTS", "127.0.0.1").split(",")
PORT = int(os.environ.get("CASSANDRA_PORT", "9042"))
LOOPS = 3
REQUESTS = 200


async def work(name: str) -> None:
    """What one loop does: its own cluster, its own session."""
    async with AsyncCluster(CONTACT_POINTS, port=PORT) as cluster, cluster.connect() as session:
        query = await session.prepare("SELECT release_version FROM system.local")
        results = await asyncio.gather(*(session.execute(query) for _ in range(REQUESTS)))
        print(f"{name}: {len(results)} answers")


class CassandraThread:
    """A loop in a thread that other threads may ask, in programs without a loop of their own."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self.loop = self._runner.get_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.cluster = AsyncCluster(CONTACT_POINTS, port=PORT)
        self.session: AsyncCassandraSession = self.ask(self._connect())

    async def _connect(self) -> AsyncCassandraSession:
        return await self.cluster.connect()

    def ask[T](self, coroutine: "asyncio._CoroutineLike[T]") -> T:
        """Run a coroutine on the loop and wait for it, in any other thread."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def close(self) -> None:
        self.ask(self.cluster.shutdown())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self._runner.close()


def main() -> None:
    threads = [
        threading.Thread(target=lambda name=f"loop {number}": asyncio.run(work(name)))
        for number in range(1, LOOPS + 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cassandra = CassandraThread()
    try:
        result = cassandra.ask(cassandra.session.execute("SELECT cluster_name FROM system.local"))
        print("From a thread without a loop:", result.one().cluster_name)
        try:
            asyncio.run(cassandra.session.execute("SELECT cluster_name FROM system.local"))
        except ConnectionError as error:
            print("On another loop:", error)
    finally:
        cassandra.close()


main()
