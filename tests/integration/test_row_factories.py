"""Rows as the row factories of execution profiles make them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cassandra.cluster import EXEC_PROFILE_DEFAULT, ExecutionProfile
from cassandra.policies import RoundRobinPolicy
from cassandra.query import (
    dict_factory,
    named_tuple_factory,
    ordered_dict_factory,
    tuple_factory,
)

from async_cassandra import AsyncCassandraSession, AsyncCluster
from tests.integration.conftest import Backend, NewTable

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def table(session: AsyncCassandraSession, new_table: NewTable) -> str:
    name = await new_table("p int, c int, v text, PRIMARY KEY (p, c)")
    insert = await session.prepare(f"INSERT INTO {name} (p, c, v) VALUES (0, ?, ?)")
    for key in range(5):
        await session.execute(insert, (key, f"v{key}"))
    return name


@pytest.fixture
async def profiled(
    anyio_backend: Backend, settings: dict[str, Any]
) -> AsyncIterator[AsyncCassandraSession]:
    def listed(names: Any, rows: Any) -> list[str]:
        return ["/".join(map(str, row)) for row in rows]

    factories = {
        "named": named_tuple_factory,
        "tuple": tuple_factory,
        "dict": dict_factory,
        "ordered": ordered_dict_factory,
        "custom": listed,
    }
    profiles = {
        name: ExecutionProfile(row_factory=factory, load_balancing_policy=RoundRobinPolicy())
        for name, factory in factories.items()
    }
    async with (
        AsyncCluster(**settings, execution_profiles=profiles) as cluster,
        cluster.connect() as session,
    ):
        yield session


@pytest.mark.parametrize(
    ("profile", "kind", "expected"),
    [
        ("named", tuple, (0, 3, "v3")),
        ("tuple", tuple, (0, 3, "v3")),
        ("dict", dict, {"p": 0, "c": 3, "v": "v3"}),
        ("ordered", OrderedDict, OrderedDict(p=0, c=3, v="v3")),
        ("custom", str, "0/3/v3"),
    ],
)
async def test_row_factory_of_profile_makes_rows(
    profiled: AsyncCassandraSession, table: str, profile: str, kind: type, expected: Any
) -> None:
    query = f"SELECT p, c, v FROM {table} WHERE p = 0 AND c IN (3, 4)"
    prepared = await profiled.prepare(query)
    for statement in (query, prepared):
        result = await profiled.execute(statement, execution_profile=profile)
        assert result.one() == expected
        assert result[0] == expected
        assert isinstance(result.one(), kind)
        if profile == "tuple":
            assert type(result.one()) is tuple
        assert len(result) == len(result.all()) == 2
        assert [row async for row in result] == list(result) == list(result.rows)
        stream = await profiled.execute_stream(statement, execution_profile=profile)
        assert [row async for row in stream] == result.all()
        pages = await profiled.execute_stream(statement, execution_profile=profile)
        assert [page async for page in pages.pages()] == [result.all()]


async def test_row_factory_of_cluster_makes_rows(settings: dict[str, Any], table: str) -> None:
    profiles = {EXEC_PROFILE_DEFAULT: ExecutionProfile(row_factory=dict_factory)}
    cluster = AsyncCluster(**settings, execution_profiles=profiles)
    async with cluster, cluster.connect() as session:
        result = await session.execute(f"SELECT v FROM {table} WHERE p = 0 AND c = 3")
        assert result.one() == {"v": "v3"}
        stream = await session.execute_stream(f"SELECT v FROM {table} WHERE p = 0 AND c = 3")
        assert [row async for row in stream] == [{"v": "v3"}]
        lwt = await session.execute(
            f"UPDATE {table} SET v = 'v3' WHERE p = 0 AND c = 3 IF v = 'no'"
        )
        assert lwt.was_applied is False
        assert lwt.one() == {"[applied]": False, "v": "v3"}
