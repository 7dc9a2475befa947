"""A real Cassandra 5 on this machine, for development and tests.

``python -m async_cassandra.server`` is the command, :class:`CassandraServer` the same from Python,
``async_cassandra.server.pytest_plugin`` the fixtures. It needs the extra ``[server]``, but no
Java, Maven or Docker. The client uses nothing in here.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from async_cassandra.server.cassandra_server import CassandraServer
    from async_cassandra.server.errors import (
        CqlError,
        NoCassandraError,
        ServerError,
        ServerStartError,
    )
    from async_cassandra.server.node import Node
    from async_cassandra.server.options import ServerOptions
    from async_cassandra.server.running import ExistingServer, RunningServer

__all__ = [
    "CassandraServer",
    "CqlError",
    "ExistingServer",
    "NoCassandraError",
    "Node",
    "RunningServer",
    "ServerError",
    "ServerOptions",
    "ServerStartError",
]

# pytest imports this package to find its plugin, in every test run of every project that has it
# installed: what the names need is imported when they are first used.
_MODULES = {
    "CassandraServer": "cassandra_server",
    "CqlError": "errors",
    "ExistingServer": "running",
    "NoCassandraError": "errors",
    "Node": "node",
    "RunningServer": "running",
    "ServerError": "errors",
    "ServerOptions": "options",
    "ServerStartError": "errors",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
