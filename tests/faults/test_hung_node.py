"""A node that hangs: its connections stay open and nothing answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from cassandra.cluster import EXEC_PROFILE_DEFAULT, ExecutionProfile
from cassandra.policies import ConstantSpeculativeExecutionPolicy

from async_cassandra import AsyncCassandraSession, AsyncCluster, DefaultRetryPolicy
from async_cassandra.server import CassandraServer
from tests.faults.conftest import Report
from tests.faults.load import IDEMPOTENT, Load, Tally
from tests.support.servers import cluster_options

pytestmark = pytest.mark.anyio

LONG = [pytest.mark.long_faults, pytest.mark.timeout(300)]
PHASES = [
    pytest.param(4.0, id="short", marks=pytest.mark.timeout(90)),
    *(pytest.param(60.0, id=f"long-{run}", marks=LONG) for run in (1, 2, 3)),
]
HEALTHY_SECONDS = 1.0
# Slow enough for three nodes on a small machine, whose coordinators ask the hung replica too.
PERIOD = 0.5


@pytest.fixture
async def speculating(nodes: CassandraServer) -> AsyncIterator[AsyncCassandraSession]:
    """A session whose profile asks another node after 50 ms."""
    profile = ExecutionProfile(
        retry_policy=DefaultRetryPolicy(),
        speculative_execution_policy=ConstantSpeculativeExecutionPolicy(0.05, 2),
    )
    options = cluster_options(nodes) | {"execution_profiles": {EXEC_PROFILE_DEFAULT: profile}}
    async with AsyncCluster(**options) as cluster, cluster.connect() as session:
        yield session


async def hang(nodes: CassandraServer, load: Load, seconds: float) -> tuple[Tally, float, float]:
    """Pause a node for so many seconds under load; gives when the hang began and ended, too."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    moments: list[float] = []

    async def pause_and_resume() -> None:
        await asyncio.sleep(HEALTHY_SECONDS)
        nodes.pause(1)
        moments.append(loop.time() - started)
        await asyncio.sleep(seconds)
        moments.append(loop.time() - started)
        nodes.resume(1)

    tally = await load.run(HEALTHY_SECONDS + seconds, IDEMPOTENT, disturb=pause_and_resume)
    return tally, moments[0], moments[1]


async def serves_again(session: AsyncCassandraSession, nodes: CassandraServer) -> float:
    """Seconds until the node that hung answers; the client has to find that out itself."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    where = f"{nodes.nodes[1].address}:{nodes.nodes[1].port}"
    await session.execute("SELECT key FROM system.local", host=where, timeout=10.0)
    return loop.time() - started


@pytest.mark.parametrize("seconds", PHASES)
async def test_hang_fails_no_idempotent_request(
    nodes: CassandraServer,
    session: AsyncCassandraSession,
    keyspace: str,
    report: Report,
    seconds: float,
) -> None:
    load = await Load.prepare(session, keyspace, period=PERIOD)
    tally, paused, resumed = await hang(nodes, load, seconds)
    back = await serves_again(session, nodes)
    share = tally.share(paused + 1, resumed)
    report(f"{tally}; {share:.1%} of the plan from the second second on, back in {back:.2f} s")
    assert tally.idempotent_failures == []
    assert share >= 0.95


@pytest.mark.parametrize("seconds", PHASES)
async def test_speculation_hides_a_hang(
    nodes: CassandraServer,
    speculating: AsyncCassandraSession,
    keyspace: str,
    report: Report,
    seconds: float,
) -> None:
    load = await Load.prepare(speculating, keyspace, period=PERIOD)
    tally, paused, resumed = await hang(nodes, load, seconds)
    back = await serves_again(speculating, nodes)
    share = tally.share(paused + 1, resumed)
    report(f"{tally}; {share:.1%} of the plan from the second second on, back in {back:.2f} s")
    assert tally.idempotent_failures == []
    assert share >= 0.95
