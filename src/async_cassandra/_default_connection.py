"""Lets ``cassandra.cluster`` be imported where the driver finds no connection class for itself.

That module refuses its own import when libev, asyncore, gevent and eventlet are all missing, which
is so on Alpine, in builds from source and on Python 3.12 and later. This library brings its own
connection class, so a stand-in for the asyncore reactor is shown to that one import and taken away
again. Where the driver finds a class, nothing is touched. It happens when this module is imported.
"""

import importlib
import sys
from types import ModuleType
from typing import Any, Never

import cassandra
import cassandra.io
from cassandra.connection import Connection

__all__ = ["NoHostAvailable", "UserTypeDoesNotExist"]

_STAND_IN = "cassandra.io.asyncorereactor"


class NoDefaultConnection(Connection):
    """What a plain ``cassandra.cluster.Cluster()`` gets: an error that says so."""

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
    """Import ``cassandra.cluster``, with the stand-in if the driver would fail without."""
    if "cassandra.cluster" in sys.modules or _finds_own_class():
        return
    reactor = ModuleType(_STAND_IN)
    reactor.AsyncoreConnection = NoDefaultConnection  # type: ignore[attr-defined]
    sys.modules[_STAND_IN] = reactor
    try:
        importlib.import_module("cassandra.cluster")
    finally:
        sys.modules.pop(_STAND_IN, None)
        vars(cassandra.io).pop("asyncorereactor", None)


def _finds_own_class() -> bool:
    for name in ("cassandra.io.libevreactor", _STAND_IN):
        try:
            importlib.import_module(name)
        except (ImportError, cassandra.DependencyException):
            continue
        return True
    return False


_import_driver_cluster()

from cassandra.cluster import NoHostAvailable, UserTypeDoesNotExist  # noqa: E402
