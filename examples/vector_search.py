"""Search by meaning's poor cousin: texts as vectors, an SAI index, the nearest by ANN.

The vectors count letter triples, which finds words that look alike; with vectors from a language
model the statements stay the same.
"""

import asyncio
import math
import os
from zlib import crc32

from async_cassandra import AsyncCassandraSession, AsyncCluster

CONTACT_POINTS = os.environ.get("CASSANDRA_CONTACT_POINTS", "127.0.0.1").split(",")
PORT = int(os.environ.get("CASSANDRA_PORT", "9042"))
DIMENSIONS = 128
SCHEMA = (
    "CREATE KEYSPACE IF NOT EXISTS vector_search WITH replication = "
    "{'class': 'SimpleStrategy', 'replication_factor': 1}",
    f"""CREATE TABLE IF NOT EXISTS vector_search.articles (
        id int PRIMARY KEY, title text, embedding vector<float, {DIMENSIONS}>)""",
    """CREATE INDEX IF NOT EXISTS articles_by_embedding ON vector_search.articles (embedding)
        USING 'sai' WITH OPTIONS = {'similarity_function': 'cosine'}""",
)
TITLES = (
    "Repairing a bicycle tyre on the road",
    "Bicycles and tyres: what to buy",
    "Baking bread with sourdough",
    "Sourdough breads of Europe",
    "Partition keys in Cassandra",
    "How Cassandra partitions its data",
    "A short history of the event loop",
)


def embed(text: str) -> list[float]:
    """Count letter triples, hashed to a fixed number of places, to a vector of length 1."""
    counts = [0.0] * DIMENSIONS
    letters = f"  {text.lower()} "
    for start in range(len(letters) - 2):
        counts[crc32(letters[start : start + 3].encode()) % DIMENSIONS] += 1
    length = math.hypot(*counts)
    return [count / length for count in counts]


async def search(session: AsyncCassandraSession, text: str, limit: int) -> list[tuple[str, float]]:
    """The titles nearest to ``text``, with their similarity, 0 to 1."""
    nearest = await session.prepare(
        "SELECT title, similarity_cosine(embedding, ?) AS similarity FROM vector_search.articles "
        "ORDER BY embedding ANN OF ? LIMIT ?"
    )
    vector = embed(text)
    result = await session.execute(nearest, (vector, vector, limit))
    return [(row.title, row.similarity) for row in result]


async def main() -> None:
    async with AsyncCluster(CONTACT_POINTS, port=PORT) as cluster, cluster.connect() as session:
        for cql in SCHEMA:
            await session.execute(cql)
        insert = await session.prepare(
            "INSERT INTO vector_search.articles (id, title, embedding) VALUES (?, ?, ?)"
        )
        # One at a time: Cassandra 5.0 refuses writes to a vector index beyond some at once, fewer
        # where it has few processors ("outstanding pooled objects").
        for number, title in enumerate(TITLES):
            await session.execute(insert, (number, title, embed(title)))
        for words in ("bicycle tyres", "sourdough bread", "cassandra partitions"):
            print(f"{words}:")
            for title, similarity in await search(session, words, 2):
                print(f"  {similarity:.2f}  {title}")


asyncio.run(main())
