"""Fixtures for tests that need a real Cassandra.

pytest loads this wherever the package is installed, so everything but the standard library and
pytest is imported only when a fixture is used.

``cassandra_server``
    The server of the test run: the one that ``CASSANDRA_CONTACT_POINTS`` (comma-separated) and
    ``CASSANDRA_PORT`` name, as ``CASSANDRA_USERNAME`` and ``CASSANDRA_PASSWORD`` if set, or else
    one that is started for the run and stopped after it. If none is available, the run ends
    with the reason.
``cassandra_keyspace``
    The name of a keyspace that the test module has for itself, dropped after its last test.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from async_cassandra.server.running import RunningServer

CONTACT_POINTS_VARIABLE = "CASSANDRA_CONTACT_POINTS"
NO_CASSANDRA_EXIT_CODE = pytest.ExitCode.INTERNAL_ERROR
KEYSPACE_NAME_SIZE = 48


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("cassandra", "the server that cassandra_server starts")
    group.addoption(
        "--cassandra-nodes",
        type=int,
        default=1,
        metavar="N",
        help="nodes, 1 to 3 (default 1)",
    )
    group.addoption(
        "--cassandra-heap",
        default="640M",
        metavar="SIZE",
        help="Java heap of a node (default 640M)",
    )
    group.addoption(
        "--cassandra-version",
        default=None,
        metavar="VERSION",
        help="version of Cassandra, as 5.0.6",
    )
    group.addoption(
        "--cassandra-config",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of cassandra.yaml; may be given several times",
    )


@pytest.fixture(scope="session")
def cassandra_server(request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    """Yield the Cassandra of the test run, started for it unless the environment names one."""
    from async_cassandra.server.errors import ServerError
    from async_cassandra.server.running import ExistingServer

    owned = None
    try:
        if os.environ.get(CONTACT_POINTS_VARIABLE):
            existing = ExistingServer.from_environment(os.environ)
            existing.check()
            yield existing
            return
        owned = _start_server(request)
    except ServerError as error:
        pytest.exit(f"no Cassandra for the tests: {error}", returncode=NO_CASSANDRA_EXIT_CODE)
    try:
        yield owned
    finally:
        owned.stop()


def _start_server(request: pytest.FixtureRequest) -> RunningServer:
    """Start the server that the options describe, telling of downloads on the terminal."""
    from async_cassandra.server import CassandraServer
    from async_cassandra.server.distribution import DEFAULT_VERSION
    from async_cassandra.server.options import parse_heap, parse_setting

    config = request.config
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    server = CassandraServer(
        nodes=config.getoption("--cassandra-nodes"),
        heap_mb=parse_heap(config.getoption("--cassandra-heap")),
        version=config.getoption("--cassandra-version") or DEFAULT_VERSION,
        config=dict(parse_setting(text) for text in config.getoption("--cassandra-config")),
        port=0,
        progress=reporter.write_line if reporter is not None else None,
    )
    server.start()
    return server


@pytest.fixture(scope="module")
def cassandra_keyspace(
    request: pytest.FixtureRequest, cassandra_server: RunningServer
) -> Iterator[str]:
    """Yield the name of a fresh keyspace for this test module, dropped after it."""
    words = re.sub(r"[^a-z0-9]+", "_", request.node.name.lower().removesuffix(".py")).strip("_")
    name = f"t_{words[-(KEYSPACE_NAME_SIZE - 11) :]}_{uuid.uuid4().hex[:8]}"
    replicas = len(cassandra_server.contact_points)
    cassandra_server.execute(
        f"CREATE KEYSPACE {name} WITH replication = "
        f"{{'class': 'SimpleStrategy', 'replication_factor': {replicas}}}"
    )
    yield name
    cassandra_server.execute(f"DROP KEYSPACE IF EXISTS {name}")
