"""Connections in the application's event loop; knows nothing of the driver."""

import async_cassandra._net._compiled as _compiled  # type: ignore[import-not-found]
from async_cassandra._libraries import LIBRARIES

LIBRARIES.add(_compiled)
