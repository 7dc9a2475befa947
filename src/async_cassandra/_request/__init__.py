"""The life of one request, from admission to its end."""

import async_cassandra._library  # noqa: F401  finds the compiled modules
