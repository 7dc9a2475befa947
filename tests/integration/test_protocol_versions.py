"""Protocol versions 5 and 4, with and without compression, as the server sees them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from cassandra.cluster import ExecutionProfile

from async_cassandra import AsyncCassandraSession, AsyncCluster, StreamConfig
from async_cassandra.statements import BatchStatement
from tests.integration.conftest import NewTable

pytestmark = pytest.mark.anyio

VARIANTS: list[tuple[int, str | None]] = [(5, None), (5, "lz4"), (4, None), (4, "lz4")]
# Around the limits of a segment, compressible or not.
SIZES = [0, 1, 100, 4096, 65_535, 131_071, 131_072, 300_000]


@pytest.fixture(scope="module", params=VARIANTS, ids=str)
async def variant(
    anyio_backend: Any,
    settings: dict[str, Any],
    cassandra_keyspace: str,
    request: pytest.FixtureRequest,
) -> AsyncIterator[AsyncCassandraSession]:
    """A session on each protocol version, compressed or not."""
    version, compression = request.param
    cluster = AsyncCluster(**settings, protocol_version=version, compression=compression)
    async with cluster, cluster.connect(cassandra_keyspace) as session:
        yield session


@pytest.mark.parametrize(("version", "compression"), VARIANTS)
async def test_server_sees_version_and_compression(
    settings: dict[str, Any], version: int, compression: str | None
) -> None:
    cluster = AsyncCluster(**settings, protocol_version=version, compression=compression)
    async with cluster, cluster.connect() as session:
        rows = list(await session.execute("SELECT * FROM system_views.clients"))
        mine = [
            row
            for row in rows
            if row.protocol_version == version
            and dict(row.client_options or {}).get("COMPRESSION") == compression
            and row.driver_name == "async-cassandra"
        ]
        assert mine


async def test_large_values_pass_unchanged(
    variant: AsyncCassandraSession, new_table: NewTable
) -> None:
    table = await new_table("id int PRIMARY KEY, v blob")
    insert = await variant.prepare(f"INSERT INTO {table} (id, v) VALUES (?, ?)")
    select = await variant.prepare(f"SELECT v FROM {table} WHERE id = ?")
    noise = bytes((index * index * 7919 >> 5) & 0xFF for index in range(max(SIZES)))
    for key, size in enumerate(SIZES):
        for value in (b"a" * size, noise[:size]):
            await variant.execute(insert, (key, value))
            assert (await variant.execute(select, (key,))).one().v == value


async def test_statements_of_every_kind_pass(
    variant: AsyncCassandraSession, new_table: NewTable
) -> None:
    table = await new_table("p int, c int, v text, PRIMARY KEY (p, c)")
    insert = await variant.prepare(f"INSERT INTO {table} (p, c, v) VALUES (?, ?, ?)")
    await variant.execute(insert, (0, 0, "prepared"))
    await variant.execute(insert, {"p": 0, "c": 1})
    await variant.execute(f"INSERT INTO {table} (p, c, v) VALUES (?, ?, ?)", (0, 2, "marker"))
    await variant.execute(f"INSERT INTO {table} (p, c, v) VALUES (%s, %s, %s)", (0, 3, "format"))
    batch = BatchStatement()
    batch.add(insert, (0, 4, "batch"))
    batch.add(f"INSERT INTO {table} (p, c, v) VALUES (:p, :c, :v)", {"p": 0, "c": 5, "v": "named"})
    await variant.execute(batch)
    rows = await variant.execute(f"SELECT c, v FROM {table} WHERE p = ?", [0])
    assert [tuple(row) for row in rows] == [
        (0, "prepared"),
        (1, None),
        (2, "marker"),
        (3, "format"),
        (4, "batch"),
        (5, "named"),
    ]


async def test_pages_pass(variant: AsyncCassandraSession, new_table: NewTable) -> None:
    table = await new_table("p int, c int, v text, PRIMARY KEY (p, c)")
    insert = await variant.prepare(f"INSERT INTO {table} (p, c, v) VALUES (0, ?, ?)")
    for key in range(35):
        await variant.execute(insert, (key, "v" * key))
    select = await variant.prepare(f"SELECT c, v FROM {table}")
    select.fetch_size = 10
    assert [row.c for row in await variant.execute(select)] == list(range(35))
    stream = await variant.execute_stream(select, stream_config=StreamConfig(fetch_size=7))
    assert [(row.c, len(row.v)) async for row in stream] == [(key, key) for key in range(35)]


async def test_tracing_warnings_and_payload_pass(
    variant: AsyncCassandraSession, new_table: NewTable
) -> None:
    table = await new_table("id int PRIMARY KEY, v text")
    insert = f"INSERT INTO {table} (id, v) VALUES (?, ?)"
    result = await variant.execute(
        insert, (1, "v"), trace=True, custom_payload={"key": b"value", "none": b""}
    )
    trace = await result.get_query_trace()
    assert trace is not None
    assert trace.events
    batch = BatchStatement()
    for key in range(150):
        batch.add(insert, (key, "x" * 100))
    result = await variant.execute(batch)
    assert any("batch" in warning.lower() for warning in result.warnings)


async def test_keyspace_of_session_is_used(
    variant: AsyncCassandraSession, new_table: NewTable
) -> None:
    name = (await new_table("id int PRIMARY KEY")).partition(".")[2]
    await variant.execute(f"INSERT INTO {name} (id) VALUES (?)", [3])
    select = await variant.prepare(f"SELECT id FROM {name}")
    result = await variant.execute(select)
    assert result.one().id == 3
    assert result.warnings == []


async def test_implicit_version_is_five(settings: dict[str, Any]) -> None:
    async with AsyncCluster(**settings) as cluster, cluster.connect():
        assert cluster._cluster is not None
        assert cluster._cluster.protocol_version == 5


async def test_profile_of_its_own_works_on_every_version(
    settings: dict[str, Any], cassandra_keyspace: str
) -> None:
    for version in (4, 5):
        cluster = AsyncCluster(
            **settings,
            protocol_version=version,
            execution_profiles={"slow": ExecutionProfile(request_timeout=60)},
        )
        async with cluster, cluster.connect(cassandra_keyspace) as session:
            result = await session.execute(
                "SELECT cluster_name FROM system.local", execution_profile="slow"
            )
            assert result.one() is not None
