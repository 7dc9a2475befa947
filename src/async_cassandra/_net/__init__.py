"""Connections in the application's event loop; knows nothing of the driver."""

import async_cassandra._library  # noqa: F401  finds the compiled modules
