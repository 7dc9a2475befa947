"""A node that hangs: its connections stay open and nothing answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pytest
from cassandra.cluster import EXEC_PROFILE_DEFAULT, ExecutionProfile
from cassandra.policies import ConstantSpeculativeExecutionPolicy, SpeculativeExecutionPolicy

from async_cassandra import (
    AsyncCassandraSession,
    AsyncCluster,
    DefaultRetryPolicy,
    PercentileSpeculativeExecutionPolicy,
)
from async_cassandra.server import CassandraServer
from tests.faults.conftest import Report
from tests.faults.load import IDEMPOTENT, Kind, Load, Tally
from tests.support.request_rig import until
from tests.support.servers import cluster_options

pytestmark = [pytest.mark.anyio, pytest.mark.promise(2)]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to hang a node.

    :ivar seconds: how long
    :ivar period: seconds from one request of a worker to its next
    :ivar is_short: too short for a p99 to mean anything, or for the coordinators to find out by
        themselves whom to avoid
    """

    seconds: float
    period: float
    is_short: bool = False


HUNG = 1
# 64 workers send 256 requests a second, and 64 where the machine may have other work: three nodes and
# the client share what may be two cores.
LONG = [pytest.mark.long_faults, pytest.mark.timeout(300)]
PLANS = [
    pytest.param(Plan(4.0, 1.0, is_short=True), id="short", marks=pytest.mark.timeout(240)),
    *(pytest.param(Plan(60.0, 0.25), id=f"long-{run}", marks=LONG) for run in (1, 2, 3)),
]
# Servers look at a table's latencies every 5 s; before that, they take half of their timeout.
HEALTHY_SECONDS = 8.0
# What a policy learnt from servers that had just started is half a window away by then.
LEARNT_SECONDS = 40.0
# Nodes that do not keep up with the load when they are whole are given this long to warm up.
WARM_UP_SECONDS = 60
# When a coordinator asks a spare replica itself. Nothing else hides the hung replica behind it until
# its reads there time out after 5 s. By default it is a percentile of what the table's reads took.
SPECULATIVE_RETRY = "50ms"
# Fresh at each use: the policies learn.
POLICIES: dict[str, Callable[[], SpeculativeExecutionPolicy]] = {
    "constant": lambda: ConstantSpeculativeExecutionPolicy(0.02, 2),
    "percentile": lambda: PercentileSpeculativeExecutionPolicy(max_executions=2),
}


@pytest.fixture(params=list(POLICIES))
async def speculating(
    nodes: CassandraServer, request: pytest.FixtureRequest
) -> AsyncIterator[AsyncCassandraSession]:
    """A session whose profile asks another node, by the driver's policy and by ours."""
    profile = ExecutionProfile(
        retry_policy=DefaultRetryPolicy(),
        speculative_execution_policy=POLICIES[request.param](),
    )
    options = cluster_options(nodes) | {"execution_profiles": {EXEC_PROFILE_DEFAULT: profile}}
    async with AsyncCluster(**options) as cluster, cluster.connect() as session:
        yield session


@dataclass(frozen=True, slots=True)
class Hang:
    """A load during which a node hung; moments are seconds since the load began.

    :ivar back: seconds from its release until a request that could go anywhere was answered by it
    """

    tally: Tally
    began: float
    ended: float
    back: float

    @property
    def share(self) -> float:
        """Successes among what was planned from the hang's second second on; 0 to 1."""
        return self.tally.share(self.began + 1, self.ended)

    @property
    def healthy_p99(self) -> float:
        return self.tally.p99(Kind.READ, self.began - HEALTHY_SECONDS / 2, self.began)

    @property
    def p99(self) -> float:
        return self.tally.p99(Kind.READ, self.began, self.ended)

    def __str__(self) -> str:
        return (
            f"{self.tally}; {self.share:.1%} of the plan from the second second on, reads' p99 "
            f"{self.p99 * 1000:.1f} ms, {self.healthy_p99 * 1000:.1f} ms before; "
            f"back in {self.back:.2f} s"
        )


async def hang(
    nodes: CassandraServer,
    session: AsyncCassandraSession,
    keyspace: str,
    plan: Plan,
    *,
    healthy: float = HEALTHY_SECONDS,
) -> Hang:
    """Pause a node after ``healthy`` seconds of load; then wait until it serves again by itself."""
    loop = asyncio.get_running_loop()
    if plan.is_short:
        option = f"speculative_retry = '{SPECULATIVE_RETRY}'"
        await session.execute(f"ALTER TABLE {keyspace}.items WITH {option}")
    load = await Load.prepare(session, keyspace, period=plan.period)
    moments: list[float] = []
    started = loop.time()

    async def pause_and_resume() -> None:
        await asyncio.sleep(healthy)
        for _ in range(WARM_UP_SECONDS):
            if keeps_up(load.tally, loop.time() - started):
                break
            await asyncio.sleep(1.0)
        nodes.pause(HUNG)
        moments.append(loop.time())
        await asyncio.sleep(plan.seconds)
        moments.append(loop.time())
        nodes.resume(HUNG)
        await answers(session, nodes)
        moments.append(loop.time())

    tally = await load.run(healthy + plan.seconds, IDEMPOTENT, disturb=pause_and_resume)
    began, ended, back = moments
    return Hang(tally, began - started, ended - started, back - ended)


def keeps_up(tally: Tally, now: float) -> bool:
    """Whether the nodes did lately what was planned, and well within a worker's period."""
    start, end = now - HEALTHY_SECONDS / 2, now - tally.period
    return tally.share(start, end) > 0.99 and tally.p99(Kind.READ, start, end) < tally.period / 2


async def answers(session: AsyncCassandraSession, nodes: CassandraServer) -> None:
    """Return when the node that hung answers a request that may go to any node."""
    endpoint = f"{nodes.nodes[HUNG].address}:{nodes.nodes[HUNG].port}"
    async with asyncio.timeout(15):
        while (await session.execute("SELECT key FROM system.local")).coordinator != endpoint:
            pass


@pytest.mark.parametrize("plan", PLANS)
async def test_hang_fails_no_idempotent_request(
    nodes: CassandraServer,
    session: AsyncCassandraSession,
    fresh_keyspace: str,
    report: Report,
    plan: Plan,
) -> None:
    hung = await hang(nodes, session, fresh_keyspace, plan)
    report(str(hung))
    assert hung.tally.idempotent_failures == []
    assert hung.share >= 0.95


@pytest.mark.parametrize("plan", PLANS)
async def test_speculation_hides_a_hang(
    nodes: CassandraServer,
    speculating: AsyncCassandraSession,
    fresh_keyspace: str,
    report: Report,
    plan: Plan,
) -> None:
    healthy = HEALTHY_SECONDS if plan.is_short else LEARNT_SECONDS
    hung = await hang(nodes, speculating, fresh_keyspace, plan, healthy=healthy)
    executor = speculating._core.executor
    report(f"{hung}; {executor.hedges} speculative, {executor.superseded} attempts superseded")
    assert hung.tally.idempotent_failures == []
    assert hung.share >= 0.95
    assert plan.is_short or hung.p99 < 10 * hung.healthy_p99


@pytest.mark.timeout(90)
@pytest.mark.parametrize("speculating", ["constant"], indirect=True)
async def test_losing_attempts_are_counted_and_their_answers_dropped(
    nodes: CassandraServer,
    speculating: AsyncCassandraSession,
    keyspace: str,
    report: Report,
) -> None:
    load = await Load.prepare(speculating, keyspace)
    core = speculating._core

    def is_idle() -> bool:
        return all(connection.in_flight == 0 for connection in core.nodes.connections())

    def counted() -> tuple[int, int]:
        late = sum(connection.late for connection in core.nodes.connections())
        return core.executor.superseded, late

    await until(is_idle, seconds=15.0)
    before = counted()
    nodes.pause(HUNG)
    # Short of what it takes to give the connection up: each answer comes in the end.
    tally = await load.run(1.0, IDEMPOTENT)
    nodes.resume(HUNG)
    await until(is_idle, seconds=15.0)
    superseded, late = (now - then for now, then in zip(counted(), before, strict=True))
    figure = f"{superseded} attempts superseded, {late} late answers dropped"
    report(f"{figure}; {await load.check(tally, keyspace)}")
    assert tally.failures == []
    assert superseded == late > 0
