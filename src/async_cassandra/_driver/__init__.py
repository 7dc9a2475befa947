"""The driver as control plane: the only package that touches the driver's internals."""

from async_cassandra._driver.default_connection import import_driver_cluster
from async_cassandra._libraries import LIBRARIES

LIBRARIES.add(__name__)
import_driver_cluster()
