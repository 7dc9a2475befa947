"""What the control connection reads: our rows against the driver's, of the same bytes."""

from __future__ import annotations

from typing import Any

import cassandra
import pytest
from cassandra import protocol as driver

from async_cassandra._driver.control_connection import driver_result
from async_cassandra._driver.types import PYTHON_TYPES
from async_cassandra._wire.codecs import CodecRegistry
from async_cassandra._wire.errors import ColumnDecodeError
from async_cassandra._wire.requests import AuthResponse, Query, Startup
from async_cassandra._wire.responses import RowPlans, decode
from async_cassandra.server.running import RunningServer
from tests.fuzz.record import Peer

KEYSPACES = ("system", "system_schema", "system_virtual_schema")
TABLES = "SELECT keyspace_name, table_name FROM {}.tables"


def by_driver(version: int, flags: int, opcode: int, body: bytes) -> Any:
    return driver.ProtocolHandler.decode_message(version, {}, 0, flags, opcode, body, None, None)


@pytest.fixture(params=[5, 4], ids=["v5", "v4"])
def reader(request: pytest.FixtureRequest, cassandra_server: RunningServer) -> Any:
    """Read a table, by our codecs and by the driver's."""
    version: int = request.param
    server = cassandra_server
    if server.ssl_context() is not None:
        pytest.skip("the server of this run wants TLS")
    peer = Peer(server, version)
    peer.ask(Startup({"CQL_VERSION": "3.0.0"}))
    peer.use_segments()
    if server.username is not None:
        peer.ask(AuthResponse(f"\0{server.username}\0{server.password}".encode()))

    def read(query: str) -> tuple[Any, Any]:
        flags, _, opcode, body = peer.ask(Query(query))
        plans = RowPlans(CodecRegistry(PYTHON_TYPES))
        try:
            ours = driver_result(decode(version, flags, opcode, body, None, plans, True))
        except ColumnDecodeError:
            # Such as the time at which a column of the first versions was dropped.
            with pytest.raises(cassandra.DriverException, match="Failed decoding"):
                by_driver(version, flags, opcode, body)
            return None, None
        return ours, by_driver(version, flags, opcode, body)

    yield read
    peer.close()


def test_system_tables_are_read_as_by_the_driver(reader: Any) -> None:
    tables = [
        (keyspace, table)
        for schema in ("system_schema", "system_virtual_schema")
        for keyspace, table in reader(TABLES.format(schema))[0].parsed_rows
        if keyspace in KEYSPACES
    ]
    assert len(tables) > 30
    row_count = 0
    for keyspace, table in tables:
        ours, theirs = reader(f'SELECT * FROM {keyspace}."{table}"')
        if ours is None:
            continue
        assert list(ours.column_names) == list(theirs.column_names)
        rows = list(zip(ours.parsed_rows, theirs.parsed_rows, strict=True))
        for mine, other in rows:
            assert [*map(repr, mine)] == [*map(repr, other)], (keyspace, table)
            assert [*map(type, mine)] == [*map(type, other)]
        row_count += len(rows)
    assert row_count > 300


def test_error_is_the_drivers(reader: Any) -> None:
    ours, theirs = reader("SELECT * FROM system.no_such_table")
    expected = theirs.to_exception()
    assert type(ours) is type(expected)
    assert str(ours) == str(expected)


def test_answer_without_rows_is_the_drivers(reader: Any) -> None:
    ours, theirs = reader("USE system")
    assert ours.kind == theirs.kind == driver.RESULT_KIND_SET_KEYSPACE
    assert ours.parsed_rows is theirs.parsed_rows is None
