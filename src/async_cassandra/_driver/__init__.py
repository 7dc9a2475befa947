"""The driver as control plane: the only package that touches the driver's internals."""

import async_cassandra._library  # noqa: F401  finds the compiled modules
from async_cassandra._driver.default_connection import import_driver_cluster

import_driver_cluster()
