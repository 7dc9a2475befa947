"""The control connection alone is lost: what the servers push is heard again within seconds."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from async_cassandra import AsyncCassandraSession, AsyncCluster
from async_cassandra._driver.control_plane import ControlPlane
from async_cassandra.server import CassandraServer
from async_cassandra.server.node import Node
from tests.faults.conftest import Report
from tests.support.cutting_proxy import CuttingProxy, Link
from tests.support.proxied import control_links

pytestmark = [pytest.mark.anyio, pytest.mark.promise(3), pytest.mark.timeout(120)]

WITHIN = 10.0
"""Seconds after which pushed events must be heard again, whatever happened to the connection."""


_tables = itertools.count(1)


def black_hole(link: Link) -> None:
    link.black_hole = True


CUTS = [
    pytest.param(Link.reset, id="reset"),
    pytest.param(Link.half_open, id="half-open"),
    pytest.param(black_hole, id="black-hole"),
]


async def heard(condition: Callable[[], object]) -> float:
    """Wait until ``condition()`` holds, after :data:`WITHIN` in vain; gives the seconds it took."""
    started = time.perf_counter()
    async with asyncio.timeout(WITHIN):
        while not condition():  # noqa: ASYNC110  the driver's metadata tells nobody
            await asyncio.sleep(0.01)
    return time.perf_counter() - started


@pytest.mark.parametrize("cut", CUTS)
async def test_schema_change_after_a_cut_is_seen(
    nodes: CassandraServer,
    session: AsyncCassandraSession,
    proxies: list[CuttingProxy],
    proxied_options: dict[str, Any],
    keyspace: str,
    report: Report,
    cut: Callable[[Link], None],
) -> None:
    table = f"t{next(_tables)}"
    query = f"SELECT * FROM {table} WHERE id = ?"
    await session.execute(f"CREATE TABLE {keyspace}.{table} (id int PRIMARY KEY, a int)")
    async with AsyncCluster(**proxied_options) as cluster, cluster.connect(keyspace) as cut_off:
        assert (await cut_off.execute(query, (1,))).column_names == ["id", "a"]
        cached = cut_off._core.preparer.hidden
        assert cached(keyspace, query) is not None
        (link,) = control_links(proxies)
        cut(link)
        await session.execute(f"ALTER TABLE {keyspace}.{table} ADD b text")

        after = await heard(lambda: "b" in columns(cut_off, keyspace, table))
        await heard(lambda: cached(keyspace, query) is None)
        assert link not in control_links(proxies)
        assert (await cut_off.execute(query, (1,))).column_names == ["id", "a", "b"]
        await session.execute(f"ALTER TABLE {keyspace}.{table} ADD c text")
        again = await heard(lambda: "c" in columns(cut_off, keyspace, table))
    report(f"seen {after:.1f} s after the cut, the next change {again:.1f} s after it was made")


def columns(session: AsyncCassandraSession, keyspace: str, table: str) -> list[str]:
    """The columns of the test's table, as the session's metadata has them."""
    assert session.cluster.metadata is not None
    return list(session.cluster.metadata.keyspaces[keyspace].tables[table].columns)


@asynccontextmanager
async def plane_without_pools(options: dict[str, Any]) -> AsyncIterator[ControlPlane]:
    """Nothing but a control connection, so that its events alone tell who is up."""
    plane = ControlPlane(**options)
    await plane.start(10)
    try:
        yield plane
    finally:
        await plane.stop()


def stop(node: Node) -> None:
    """End a node in order: it tells the others."""
    node.terminate()
    node.wait()


@pytest.mark.parametrize("cut", CUTS)
async def test_status_change_after_a_cut_is_seen(
    nodes: CassandraServer,
    proxies: list[CuttingProxy],
    proxied_options: dict[str, Any],
    report: Report,
    cut: Callable[[Link], None],
) -> None:
    async with plane_without_pools(proxied_options) as plane:
        (link,) = control_links(proxies)
        cut(link)
        back = await heard(lambda: [new for new in control_links(proxies) if new is not link])
        used = [
            proxy for proxy in proxies if any(link.is_control_connection for link in proxy.links)
        ]
        index = next(i for i, proxy in enumerate(proxies) if proxy not in used)
        (host,) = [h for h in plane.hosts() if h.endpoint.address == proxies[index].host]
        assert host.is_up
        await asyncio.to_thread(stop, nodes.nodes[index])
        down = await heard(lambda: host.is_up is False)
        await asyncio.to_thread(nodes.restart, index)
        up = await heard(lambda: host.is_up)
    report(f"connected again after {back:.1f} s; down seen after {down:.1f} s, up after {up:.1f} s")


async def test_node_that_hangs_loses_the_control_connection_to_another(
    nodes: CassandraServer,
    session: AsyncCassandraSession,
    proxies: list[CuttingProxy],
    proxied_options: dict[str, Any],
    keyspace: str,
    report: Report,
) -> None:
    table = f"t{next(_tables)}"
    async with AsyncCluster(**proxied_options) as cluster, cluster.connect(keyspace) as cut_off:
        (index,) = [at for at, proxy in enumerate(proxies) if control_links([proxy])]
        others = [proxy for proxy in proxies if proxy is not proxies[index]]
        nodes.pause(index)
        moved = await heard(lambda: control_links(others))
        nodes.resume(index)
        await session.execute(f"CREATE TABLE {keyspace}.{table} (id int PRIMARY KEY)")

        def is_known() -> bool:
            assert cut_off.cluster.metadata is not None
            return table in cut_off.cluster.metadata.keyspaces[keyspace].tables

        after = await heard(is_known)
    report(f"moved after {moved:.1f} s; a change after that was seen after {after:.1f} s")
