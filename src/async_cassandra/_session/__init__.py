"""The life of a session: its nodes, its keyspace, its schema's agreement, what it counts."""

import async_cassandra._library  # noqa: F401  finds the compiled modules
