"""What is sent: statements of every kind, and how each becomes a request."""

import async_cassandra._library  # noqa: F401  finds the compiled modules
