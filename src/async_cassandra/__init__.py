"""The asyncio client for Apache Cassandra 5."""
