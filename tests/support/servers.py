"""Servers that some tests need beside the one of the run, and how the library connects to any."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from cassandra.auth import PlainTextAuthProvider

from async_cassandra.server import CassandraServer, RunningServer


@pytest.fixture(scope="session")
def secure_server() -> Iterator[CassandraServer]:
    """One node that asks for a password and speaks TLS only."""
    with CassandraServer(port=0, auth=True, tls=True) as server:
        yield server


@pytest.fixture(scope="module")
def three_nodes() -> Iterator[CassandraServer]:
    """Three nodes for a module whose tests may break them, and repair what they broke."""
    with CassandraServer(nodes=3) as server:
        yield server


def cluster_options(server: RunningServer) -> dict[str, Any]:
    """The keyword arguments with which ``AsyncCluster`` and the driver's ``Cluster`` connect."""
    options: dict[str, Any] = {"contact_points": server.contact_points, "port": server.port}
    if server.username is not None and server.password is not None:
        options["auth_provider"] = PlainTextAuthProvider(server.username, server.password)
    if (context := server.ssl_context()) is not None:
        options["ssl_context"] = context
    return options
