"""A real Cassandra 5 on this machine, for development and tests.

``python -m async_cassandra.server`` is the command, :class:`CassandraServer` the same from Python,
``async_cassandra.server.pytest_plugin`` the fixtures. Needs the extra ``[server]``, and neither
Java, Maven nor Docker. Nothing in here is used by the client.
"""

from async_cassandra.server.cassandra_server import CassandraServer
from async_cassandra.server.errors import (
    CqlError,
    NoCassandraError,
    ServerError,
    ServerStartError,
)
from async_cassandra.server.node import Node
from async_cassandra.server.options import ServerOptions

__all__ = [
    "CassandraServer",
    "CqlError",
    "NoCassandraError",
    "Node",
    "ServerError",
    "ServerOptions",
    "ServerStartError",
]
