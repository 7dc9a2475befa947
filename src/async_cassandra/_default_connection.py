"""Lets ``cassandra.cluster`` be imported where the driver finds no connection class.

That module refuses its own import when libev, asyncore, gevent and eventlet are all missing, which
is so on Alpine, in builds from source and on Python 3.12 and later. This library brings its own
connection class, so a stand-in for the asyncore reactor is shown to that import when it is tried
again, and taken away. Where the driver finds a class, of whichever reactor, nothing is touched. It
happens when this module is imported.
"""

import importlib
import sys
from contextlib import suppress
from types import ModuleType
from typing import Any, Never

import cassandra
import cassandra.io
from cassandra.connection import Connection

__all__ = ["NoHostAvailable", "UserTypeDoesNotExist"]

_STAND_IN = "cassandra.io.asyncorereactor"


class NoDefaultConnection(Connection):
    """The class that a plain ``cassandra.cluster.Cluster()`` gets: it raises an error that says so."""

    @classmethod
    def initialize_reactor(cls) -> None:
        cls._refuse()

    @classmethod
    def factory(cls, endpoint: Any, timeout: float, *args: Any, **kwargs: Any) -> Never:
        cls._refuse()

    @staticmethod
    def _refuse() -> Never:
        raise cassandra.DependencyException(
            "cassandra-driver has no connection class on this Python: install its libev extension, "
            "or pass connection_class to cassandra.cluster.Cluster. AsyncCluster needs neither."
        )


def _import_driver_cluster() -> None:
    """Import ``cassandra.cluster``, with the stand-in only if the driver fails without it."""
    with suppress(cassandra.DependencyException):
        importlib.import_module("cassandra.cluster")
        return
    reactor = ModuleType(_STAND_IN)
    reactor.AsyncoreConnection = NoDefaultConnection  # type: ignore[attr-defined]
    sys.modules[_STAND_IN] = reactor
    try:
        importlib.import_module("cassandra.cluster")
    finally:
        sys.modules.pop(_STAND_IN, None)
        vars(cassandra.io).pop("asyncorereactor", None)


_import_driver_cluster()

from cassandra.cluster import NoHostAvailable, UserTypeDoesNotExist  # noqa: E402
