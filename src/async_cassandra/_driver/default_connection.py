"""Lets ``cassandra.cluster`` be imported where the driver finds no connection class.

That module cannot be imported if libev, asyncore, gevent and eventlet are all missing, as
on Alpine, in builds from source and on Python 3.12 and later. This library brings its own
connection class, so that one import gets a stand-in for the asyncore reactor, which is then removed
again. Where the driver finds a class, nothing is changed.
"""

import importlib
import sys
from types import ModuleType
from typing import Any, Never

import cassandra
import cassandra.io
from cassandra.connection import Connection

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


def import_driver_cluster() -> ModuleType:
    """Import ``cassandra.cluster``, with the stand-in only if the driver would fail without it."""
    if "cassandra.cluster" in sys.modules or _finds_own_class():
        return importlib.import_module("cassandra.cluster")
    reactor = ModuleType(_STAND_IN)
    reactor.AsyncoreConnection = NoDefaultConnection  # type: ignore[attr-defined]
    sys.modules[_STAND_IN] = reactor
    try:
        return importlib.import_module("cassandra.cluster")
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
