"""Every setting of the driver's statements and execution profiles, in what reaches the server."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from cassandra import ConsistencyLevel
from cassandra.cluster import (
    EXEC_PROFILE_GRAPH_DEFAULT,
    ContinuousPagingOptions,
    GraphExecutionProfile,
)
from cassandra.cluster import ExecutionProfile as DriverExecutionProfile
from cassandra.encoder import Encoder
from cassandra.policies import (
    ConstantSpeculativeExecutionPolicy,
    RetryPolicy,
    RoundRobinPolicy,
    WhiteListRoundRobinPolicy,
)
from cassandra.query import BatchStatement as DriverBatchStatement
from cassandra.query import BatchType, BoundStatement, SimpleStatement, dict_factory, tuple_factory

from async_cassandra import (
    AsyncCassandraSession,
    AsyncCluster,
    BatchStatement,
    ConfigurationError,
    ExecutionProfile,
)
from async_cassandra._wire.binding import token_of
from tests.support.peer_replies import ErrorCode
from tests.support.request_rig import INT_ROW, until
from tests.support.scripted_peer import Request, ScriptedPeer, scripted_cluster

pytestmark = pytest.mark.anyio

HOSTS = ["127.0.4.43", "127.0.4.44"]
READ = "SELECT v FROM ks.t"
WRITE = "INSERT INTO ks.t (id) VALUES (?)"
LEVELS = (ConsistencyLevel.ALL, ConsistencyLevel.LOCAL_SERIAL)
WRONG_LEVELS = ("QUORUM", 70000, 11, -1, 1.5, True, 2**70)
WRONG_SIZES = (2**31, "10", 1.5, -1, 2**70, True)


class Counting(RetryPolicy):
    def __init__(self) -> None:
        self.asked = 0

    def on_read_timeout(self, *args: Any, **kwargs: Any) -> tuple[int, int | None]:
        self.asked += 1
        return self.RETHROW, None

    on_write_timeout = on_read_timeout


@asynccontextmanager
async def connected(
    count: int = 1, **settings: Any
) -> AsyncIterator[tuple[list[ScriptedPeer], AsyncCassandraSession]]:
    async with (
        scripted_cluster(HOSTS[:count]) as peers,
        AsyncCluster([HOSTS[0]], port=peers[0].port, **settings) as cluster,
        cluster.connect() as session,
    ):
        await until(lambda: all(p.connections for p in session._core.nodes.pools.values()))
        yield peers, session


def answer_rows(request: Request) -> None:
    request.reply_rows(INT_ROW, [(1,)])


async def asked(
    peer: ScriptedPeer,
    session: AsyncCassandraSession,
    query: Any,
    answer: Callable[[Request], None] = answer_rows,
    **options: Any,
) -> Request:
    task = asyncio.ensure_future(session.execute(query, **options))
    request = await peer.next_request()
    answer(request)
    await asyncio.wait([task])
    if answer is answer_rows:
        task.result()
    else:
        assert task.exception() is not None
    return request


async def refused(session: AsyncCassandraSession, query: Any, name: str, **options: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        await session.execute(query, **options)


# Statements: each kind is made with one setting, and what the peer gets is looked at.

type Make = Callable[..., Any]


async def makers(peer: ScriptedPeer, session: AsyncCassandraSession) -> list[tuple[Make, bool]]:
    """How each kind of statement is made with settings, and whether it reads."""
    task = asyncio.ensure_future(session.prepare(WRITE))
    (await peer.next_request()).reply_prepared(b"id", [("id", "int")], pk_indexes=[0])
    prepared = await task

    def simple(**settings: Any) -> SimpleStatement:
        return SimpleStatement(READ, **settings)

    def bound(**settings: Any) -> Any:
        return type(prepared.bind((1,)))(prepared, **settings).bind((1,))

    def batch(kind: type[Any]) -> Make:
        def make(**settings: Any) -> Any:
            made = kind(**settings)
            made.add(SimpleStatement("INSERT INTO ks.t (id) VALUES (1)"))
            return made

        return make

    return [
        (simple, True),
        (bound, False),
        (batch(BatchStatement), False),
        (batch(DriverBatchStatement), False),
    ]


type Proof = Callable[[ScriptedPeer, AsyncCassandraSession, Make], Awaitable[None]]


async def retry_policy(peer: ScriptedPeer, session: AsyncCassandraSession, make: Make) -> None:
    policy = Counting()
    statement = make(retry_policy=policy)
    statement.is_idempotent = True

    def fail(request: Request) -> None:
        request.reply_error(
            ErrorCode.READ_TIMEOUT if request.query == READ else ErrorCode.WRITE_TIMEOUT
        )

    await asked(peer, session, statement, fail)
    assert policy.asked == 1


async def consistency_level(peer: ScriptedPeer, session: AsyncCassandraSession, make: Make) -> None:
    assert (await asked(peer, session, make(consistency_level=LEVELS[0]))).consistency == LEVELS[0]
    for wrong in WRONG_LEVELS:
        await refused(session, make(consistency_level=wrong), "consistency_level")


async def serial_consistency_level(
    peer: ScriptedPeer, session: AsyncCassandraSession, make: Make
) -> None:
    statement = make(serial_consistency_level=LEVELS[1])
    assert (await asked(peer, session, statement)).serial_consistency == LEVELS[1]
    for wrong in ("SERIAL", ConsistencyLevel.ONE, 8.0):
        with pytest.raises(ValueError, match="serial_consistency_level"):
            await session.execute(make(serial_consistency_level=wrong))


async def fetch_size(peer: ScriptedPeer, session: AsyncCassandraSession, make: Make) -> None:
    assert (await asked(peer, session, make(fetch_size=3))).page_size == 3
    assert (await asked(peer, session, make(fetch_size=None))).page_size is None
    assert (await asked(peer, session, make())).page_size == 5000
    for wrong in WRONG_SIZES:
        await refused(session, make(fetch_size=wrong), "fetch_size")


async def custom_payload(peer: ScriptedPeer, session: AsyncCassandraSession, make: Make) -> None:
    request = await asked(peer, session, make(custom_payload={"k": b"v", b"l": b"w"}))
    assert request.custom_payload == {"k": b"v", "l": b"w"}
    for wrong in ({"k": "v"}, {1: b"v"}, "k"):
        await refused(session, make(custom_payload=wrong), "custom_payload")


async def keyspace(peer: ScriptedPeer, session: AsyncCassandraSession, make: Make) -> None:
    request = await asked(peer, session, make(keyspace="other"))
    # A prepared statement's keyspace was said when it was prepared; here it is for routing.
    assert request.keyspace == ("other" if request.query else None)


async def routing_key(peer: ScriptedPeer, session: AsyncCassandraSession, make: Make) -> None:
    statement = make(routing_key=b"\x00\x00\x00\x07")
    options = session._core.calls.default_options
    request = await session._core.calls.request(statement, None, options)
    if isinstance(statement, SimpleStatement):
        assert request.call.token == token_of(b"\x00\x00\x00\x07")
        statement.routing_key = "seven"
        await refused(session, statement, "routing_key")
    else:
        assert statement.routing_key == b"\x00\x00\x00\x07"


async def is_idempotent(peer: ScriptedPeer, session: AsyncCassandraSession, make: Make) -> None:
    statement = make()
    for mark in (True, False):
        statement.is_idempotent = mark
        request = await session._core.calls.request(
            statement, None, session._core.calls.default_options
        )
        assert request.idempotent is (mark or statement.__class__ is SimpleStatement)


async def batch_type(peer: ScriptedPeer, session: AsyncCassandraSession, make: Make) -> None:
    for kind in BatchType.UNLOGGED, BatchType.LOGGED:
        assert (await asked(peer, session, make(batch_type=kind))).batch_type == kind.value


async def session_of_a_batch(
    peer: ScriptedPeer, session: AsyncCassandraSession, make: Make
) -> None:
    loud = Encoder()
    loud.mapping[str] = lambda text: f"'{text.upper()}'"
    batch = make(session=SimpleNamespace(encoder=loud))
    batch.add("INSERT INTO ks.t (id) VALUES (%s)", ("a",))
    request = await asked(peer, session, batch)
    assert [entry.query for entry in request.statements][-1] == "INSERT INTO ks.t (id) VALUES ('A')"


PROOFS: dict[str, Proof] = {
    "retry_policy": retry_policy,
    "consistency_level": consistency_level,
    "serial_consistency_level": serial_consistency_level,
    "fetch_size": fetch_size,
    "custom_payload": custom_payload,
    "keyspace": keyspace,
    "routing_key": routing_key,
    "is_idempotent": is_idempotent,
    "batch_type": batch_type,
    "session": session_of_a_batch,
}
CONTENT = {"self", "query_string", "prepared_statement"}
STATEMENTS = (SimpleStatement, BoundStatement, DriverBatchStatement)
SETTINGS = sorted(
    {name for kind in STATEMENTS for name in inspect.signature(kind).parameters} - CONTENT
)


@pytest.mark.parametrize("name", SETTINGS)
async def test_setting_of_a_statement_has_its_effect(name: str) -> None:
    assert name in PROOFS, f"the driver's statements have a setting {name}: prove what it does"
    async with connected() as (peers, session):
        kinds = [SimpleStatement, BoundStatement, DriverBatchStatement, DriverBatchStatement]
        proven = 0
        for kind, (make, _) in zip(kinds, await makers(peers[0], session), strict=True):
            if name in inspect.signature(kind).parameters or name == "is_idempotent":
                await PROOFS[name](peers[0], session, make)
                proven += 1
        assert proven


@pytest.mark.parametrize(
    ("name", "value", "seen"),
    [
        ("consistency_level", LEVELS[0], "consistency"),
        ("serial_consistency_level", LEVELS[1], "serial_consistency"),
        ("fetch_size", 3, "page_size"),
        ("custom_payload", {"k": b"v"}, "custom_payload"),
    ],
)
async def test_what_is_set_on_a_prepared_statement_holds_for_its_executions(
    name: str, value: object, seen: str
) -> None:
    async with connected() as (peers, session):
        task = asyncio.ensure_future(session.prepare(WRITE))
        (await peers[0].next_request()).reply_prepared(b"id", [("id", "int")])
        prepared = await task
        setattr(prepared, name, value)
        for query, parameters in ((prepared, (1,)), (prepared.bind((1,)), None)):
            request = await asked(peers[0], session, query, parameters=parameters)
            assert getattr(request, seen) == value
        setattr(prepared, name, "wrong")
        await refused(session, prepared, name, parameters=(1,))


# Execution profiles


async def profile_load_balancing_policy() -> None:
    profile = ExecutionProfile(load_balancing_policy=WhiteListRoundRobinPolicy([HOSTS[1]]))
    async with connected(2, execution_profiles={"p": profile}) as (peers, session):
        for peer in peers:
            peer.respond_with(answer_rows)
        results = [await session.execute(READ, execution_profile="p") for _ in range(4)]
        assert {result.coordinator for result in results} == {f"{HOSTS[1]}:{peers[1].port}"}


async def profile_retry_policy() -> None:
    policy = Counting()
    async with connected() as (peers, session):
        profile = ExecutionProfile(retry_policy=policy)
        await asked(
            peers[0],
            session,
            READ,
            lambda request: request.reply_error(ErrorCode.READ_TIMEOUT),
            execution_profile=profile,
        )
        assert policy.asked == 1


def profile_level(name: str, value: int, seen: str) -> Callable[[], Awaitable[None]]:
    async def proof() -> None:
        async with connected() as (peers, session):
            setting: Any = {name: value}
            for profile in (ExecutionProfile(**setting), DriverExecutionProfile(**setting)):
                request = await asked(peers[0], session, READ, execution_profile=profile)
                assert getattr(request, seen) == value
                for wrong in WRONG_LEVELS:
                    setattr(profile, name, wrong)
                    await refused(session, READ, name, execution_profile=profile)

    return proof


async def profile_request_timeout() -> None:
    async with connected() as (peers, session):
        profile = ExecutionProfile(request_timeout=0.05)
        with pytest.raises(TimeoutError):
            await session.execute(READ, execution_profile=profile)
        await peers[0].next_request()
        for wrong in (0, -1, "5", True, float("nan")):
            profile.request_timeout = wrong  # type: ignore[assignment]
            await refused(session, READ, "request_timeout", execution_profile=profile)


async def profile_row_factory() -> None:
    async with connected() as (peers, session):
        peers[0].respond_with(answer_rows)
        profile = ExecutionProfile(row_factory=dict_factory)
        assert (await session.execute(READ, execution_profile=profile)).one() == {"v": 1}
        profile.row_factory = 5
        await refused(session, READ, "row_factory", execution_profile=profile)


async def profile_speculative_execution_policy() -> None:
    profile = ExecutionProfile(
        speculative_execution_policy=ConstantSpeculativeExecutionPolicy(0.02, 1)
    )
    async with connected(2, execution_profiles={"p": profile}) as (peers, session):
        task = asyncio.ensure_future(session.execute(READ, execution_profile="p"))
        requests = [await peer.next_request() for peer in peers]
        answer_rows(requests[1])
        await task
        requests[0].reply_void()
    wrong = ExecutionProfile(speculative_execution_policy=5)
    with pytest.raises(ConfigurationError, match="speculative_execution_policy"):
        AsyncCluster(execution_profiles={"p": wrong})


async def profile_continuous_paging_options() -> None:
    profile = ExecutionProfile(continuous_paging_options=ContinuousPagingOptions())
    with pytest.raises(ConfigurationError, match=r"continuous_paging_options.*'p'"):
        AsyncCluster(execution_profiles={"p": profile})
    async with connected() as (_, session):
        await refused(session, READ, "continuous_paging_options", execution_profile=profile)


PROFILE_PROOFS: dict[str, Callable[[], Awaitable[None]]] = {
    "load_balancing_policy": profile_load_balancing_policy,
    "retry_policy": profile_retry_policy,
    "consistency_level": profile_level("consistency_level", LEVELS[0], "consistency"),
    "serial_consistency_level": profile_level(
        "serial_consistency_level", LEVELS[1], "serial_consistency"
    ),
    "request_timeout": profile_request_timeout,
    "row_factory": profile_row_factory,
    "speculative_execution_policy": profile_speculative_execution_policy,
    "continuous_paging_options": profile_continuous_paging_options,
}
FIELDS = sorted(set(inspect.signature(DriverExecutionProfile.__init__).parameters) - {"self"})


@pytest.mark.parametrize("name", FIELDS)
async def test_field_of_a_profile_has_its_effect_or_is_refused(name: str) -> None:
    assert name in PROFILE_PROOFS, f"the driver's profiles have a field {name}: prove what it does"
    await PROFILE_PROOFS[name]()


async def test_field_that_changes_later_counts_for_later_requests() -> None:
    profile = ExecutionProfile()
    plain = DriverExecutionProfile()
    async with connected(execution_profiles={"ours": profile, "theirs": plain}) as (peers, session):
        for name, changed in (("ours", profile), ("theirs", plain)):
            changed.consistency_level = LEVELS[0]
            changed.row_factory = tuple_factory
            request = await asked(peers[0], session, READ, execution_profile=name)
            assert request.consistency == LEVELS[0]
            changed.consistency_level = "ALL"  # type: ignore[assignment]
            await refused(session, READ, "consistency_level", execution_profile=name)


async def test_profile_that_knows_no_host_is_refused_rather_than_waited_for() -> None:
    async with connected() as (peers, session):
        profile = ExecutionProfile(load_balancing_policy=RoundRobinPolicy())
        await refused(session, READ, "load_balancing_policy", execution_profile=profile)
        assert not peers[0].waiting_requests


@pytest.mark.parametrize("profile", [GraphExecutionProfile(), EXEC_PROFILE_GRAPH_DEFAULT])
async def test_profile_for_graphs_is_refused(profile: object) -> None:
    async with connected() as (_, session):
        await refused(session, READ, "profile", execution_profile=profile)
    if isinstance(profile, GraphExecutionProfile):
        with pytest.raises(ConfigurationError, match="graphs"):
            AsyncCluster(execution_profiles={"g": profile})


@pytest.mark.parametrize("name", [["a", "list"], "missing", None, 5])
async def test_unknown_profile_is_refused(name: object) -> None:
    async with connected() as (_, session):
        await refused(session, READ, "no execution profile", execution_profile=name)
