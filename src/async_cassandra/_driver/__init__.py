"""The driver as control plane: the only package that touches the driver's internals."""

import async_cassandra._default_connection
import async_cassandra._library  # noqa: F401  finds the compiled modules
