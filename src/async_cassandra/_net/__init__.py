"""Connections in the application's event loop; knows nothing of the driver."""

from async_cassandra._libraries import LIBRARIES

LIBRARIES.add(__name__)
