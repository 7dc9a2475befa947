"""Results: rows, what they are made into, traces."""

import async_cassandra._library  # noqa: F401  finds the compiled modules
