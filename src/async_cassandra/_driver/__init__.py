"""The driver as control plane: the only package that touches the driver's internals."""

import async_cassandra._driver._compiled as _compiled  # type: ignore[import-not-found]
from async_cassandra._driver.default_connection import import_driver_cluster
from async_cassandra._libraries import LIBRARIES

LIBRARIES.add(_compiled)
import_driver_cluster()
