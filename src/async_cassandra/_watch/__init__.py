"""Watching requests: who is told of them, and how long they take."""

import async_cassandra._library  # noqa: F401  finds the compiled modules
