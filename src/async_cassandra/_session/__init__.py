"""The life of a session: its nodes, its keyspace, its schema agreement, its counters."""

import async_cassandra._library  # noqa: F401  finds the compiled modules
