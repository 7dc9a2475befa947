"""Every public attribute of the driver's ``Session``: it does what it does there, or says what to do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cassandra import ConsistencyLevel, OperationTimedOut
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Session, UserTypeDoesNotExist
from cassandra.query import SimpleStatement, dict_factory, named_tuple_factory, tuple_factory
from cassandra.timestamps import MonotonicTimestampGenerator

from async_cassandra import (
    AsyncCassandraSession,
    AsyncCluster,
    ConfigurationError,
    ExecutionProfile,
    RateLimitedSession,
)
from async_cassandra._driver.counterparts import SESSION
from tests.support.native_protocol import Opcode
from tests.support.request_rig import INT_ROW, until
from tests.support.scripted_peer import Request, ScriptedPeer
from tests.support.system_tables import TableAnswer

pytestmark = pytest.mark.anyio

READ = "SELECT v FROM ks.t"
WRITE = "INSERT INTO ks.t (id) VALUES (1)"

type Proof = Callable[[ScriptedPeer, AsyncCassandraSession], Awaitable[None]]


@asynccontextmanager
async def connected(
    *, version: int = 5, **settings: Any
) -> AsyncIterator[tuple[ScriptedPeer, AsyncCassandraSession]]:
    async with (
        ScriptedPeer(version=version) as peer,
        AsyncCluster([peer.host], port=peer.port, **settings) as cluster,
        cluster.connect() as session,
    ):
        yield peer, session


async def asked(
    peer: ScriptedPeer, session: AsyncCassandraSession, query: Any = READ, **options: Any
) -> Request:
    """The request that a statement becomes."""
    task = asyncio.ensure_future(session.execute(query, **options))
    request = await peer.next_request()
    request.reply_rows(INT_ROW, [(1,)])
    await task
    return request


def refuses(session: AsyncCassandraSession, name: str, *values: object) -> None:
    before = getattr(session, name)
    for value in values:
        with pytest.raises(ConfigurationError, match=name):
            setattr(session, name, value)
    assert getattr(session, name) == before


# One proof for each attribute that a program sets.


async def default_timeout(peer: ScriptedPeer, session: AsyncCassandraSession) -> None:
    assert session.default_timeout == 10.0
    session.default_timeout = 0.05
    assert session.default_timeout == 0.05
    with pytest.raises(OperationTimedOut):
        await session.execute(READ)
    await peer.next_request()
    with pytest.raises(OperationTimedOut):
        await session.prepare(READ)
    await peer.next_request()
    session.default_timeout = None
    await asked(peer, session)
    refuses(session, "default_timeout", 0, -1, "5", True, float("nan"))


async def default_consistency_level(peer: ScriptedPeer, session: AsyncCassandraSession) -> None:
    assert session.default_consistency_level == ConsistencyLevel.LOCAL_ONE
    session.default_consistency_level = ConsistencyLevel.ALL
    assert (await asked(peer, session)).consistency == ConsistencyLevel.ALL
    assert (await asked(peer, session, timeout=5)).consistency == ConsistencyLevel.ALL
    own = SimpleStatement(READ, consistency_level=ConsistencyLevel.TWO)
    assert (await asked(peer, session, own)).consistency == ConsistencyLevel.TWO
    named = ExecutionProfile(consistency_level=ConsistencyLevel.THREE)
    request = await asked(peer, session, execution_profile=named)
    assert request.consistency == ConsistencyLevel.THREE
    refuses(session, "default_consistency_level", "QUORUM", 70000, 11, 1.5, None, True)


async def default_serial_consistency_level(
    peer: ScriptedPeer, session: AsyncCassandraSession
) -> None:
    assert session.default_serial_consistency_level is None
    session.default_serial_consistency_level = ConsistencyLevel.LOCAL_SERIAL
    request = await asked(peer, session, WRITE)
    assert request.serial_consistency == ConsistencyLevel.LOCAL_SERIAL
    session.default_serial_consistency_level = None
    assert (await asked(peer, session, WRITE)).serial_consistency is None
    refuses(session, "default_serial_consistency_level", ConsistencyLevel.ONE, "SERIAL", True)


async def default_fetch_size(peer: ScriptedPeer, session: AsyncCassandraSession) -> None:
    assert (session.default_fetch_size, (await asked(peer, session)).page_size) == (5000, 5000)
    session.default_fetch_size = 7
    assert (await asked(peer, session)).page_size == 7
    own = SimpleStatement(READ, fetch_size=3)
    assert (await asked(peer, session, own)).page_size == 3
    session.default_fetch_size = None
    assert (await asked(peer, session)).page_size is None
    assert session.default_fetch_size is None
    refuses(session, "default_fetch_size", -1, 2**31, "10", 1.5, True)


async def row_factory(peer: ScriptedPeer, session: AsyncCassandraSession) -> None:
    assert session.row_factory is named_tuple_factory
    peer.respond_with(lambda request: request.reply_rows(INT_ROW, [(1,)]))
    session.row_factory = dict_factory
    assert (await session.execute(READ)).one() == {"v": 1}
    assert [row async for row in await session.execute_stream(READ)] == [{"v": 1}]
    session.row_factory = tuple_factory
    assert type((await session.execute(READ)).one()) is tuple
    refuses(session, "row_factory", None, "dict")


async def use_client_timestamp(peer: ScriptedPeer, session: AsyncCassandraSession) -> None:
    assert session.use_client_timestamp is True
    assert (await asked(peer, session, WRITE)).timestamp is not None
    session.use_client_timestamp = False
    assert (await asked(peer, session, WRITE)).timestamp is None
    session.use_client_timestamp = True
    assert (await asked(peer, session, WRITE)).timestamp is not None
    refuses(session, "use_client_timestamp", 0, None, "no")


async def timestamp_generator(peer: ScriptedPeer, session: AsyncCassandraSession) -> None:
    session.timestamp_generator = lambda: 42
    assert (await asked(peer, session, WRITE)).timestamp == 42
    session.use_client_timestamp = False
    session.timestamp_generator = lambda: 43
    assert (await asked(peer, session, WRITE)).timestamp is None
    session.use_client_timestamp = True
    assert (await asked(peer, session, WRITE)).timestamp == 43
    session.timestamp_generator = None
    assert (await asked(peer, session, WRITE)).timestamp not in (None, 43)
    refuses(session, "timestamp_generator", 42, MonotonicTimestampGenerator)


async def max_trace_wait(peer: ScriptedPeer, session: AsyncCassandraSession) -> None:
    result = await session.execute("SELECT key FROM system.local")
    assert result.get_query_trace()._max_wait == session.max_trace_wait == 2.0
    session.max_trace_wait = 0.5
    assert result.get_query_trace()._max_wait == 0.5
    assert result.get_query_trace(7)._max_wait == 7
    refuses(session, "max_trace_wait", -1, "2", None)


async def client_protocol_handler(peer: ScriptedPeer, session: AsyncCassandraSession) -> None:
    unknown: Any = session
    with pytest.raises(ConfigurationError, match=r"client_protocol_handler cannot be set: "):
        unknown.client_protocol_handler = object()


async def keyspace(peer: ScriptedPeer, session: AsyncCassandraSession) -> None:
    unknown: Any = session
    with pytest.raises(ConfigurationError, match=r"await session.set_keyspace"):
        unknown.keyspace = "ks"
    await session.set_keyspace("ks")
    assert session.keyspace == "ks"


async def encoder(peer: ScriptedPeer, session: AsyncCassandraSession) -> None:
    # What it does is tested with the values.
    assert session._core.encoder is not None


def only_read(name: str) -> Proof:
    async def proof(peer: ScriptedPeer, session: AsyncCassandraSession) -> None:
        assert getattr(session, name) is not None
        with pytest.raises(AttributeError, match=name):
            setattr(session, name, object())

    return proof


async def session_id(peer: ScriptedPeer, session: AsyncCassandraSession) -> None:
    unknown: Any = session
    with pytest.raises(AttributeError, match="DataStax Enterprise"):
        unknown.session_id  # noqa: B018


PROOFS: dict[str, Proof] = {
    "client_protocol_handler": client_protocol_handler,
    "cluster": only_read("cluster"),
    "default_consistency_level": default_consistency_level,
    "default_fetch_size": default_fetch_size,
    "default_serial_consistency_level": default_serial_consistency_level,
    "default_timeout": default_timeout,
    "encoder": encoder,
    "hosts": only_read("hosts"),
    "is_shutdown": only_read("is_shutdown"),
    "keyspace": keyspace,
    "max_trace_wait": max_trace_wait,
    "row_factory": row_factory,
    "session_id": session_id,
    "timestamp_generator": timestamp_generator,
    "use_client_timestamp": use_client_timestamp,
}
PUBLIC = [name for name in dir(Session) if not name.startswith("_")]
# The protocol handler is a class, and what the rest of these are is told by its default.
ATTRIBUTES = [
    name
    for name in PUBLIC
    if name == "client_protocol_handler" or not callable(getattr(Session, name))
]


@pytest.mark.parametrize("name", ATTRIBUTES)
async def test_attribute_has_its_effect_or_is_refused(name: str) -> None:
    assert name in PROOFS, f"the driver's Session has an attribute {name}: prove what it does here"
    async with connected() as (peer, session):
        await PROOFS[name](peer, session)


@pytest.mark.parametrize("name", sorted(set(PUBLIC) - {"encoder"}))
async def test_member_of_the_drivers_session_is_here_or_says_what_to_do(name: str) -> None:
    async with connected() as (_, session):
        if hasattr(session, name):
            return
        with pytest.raises(AttributeError, match=name) as caught:
            getattr(session, name)
        assert SESSION[name] in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("default_timeout", 5.0),
        ("default_consistency_level", ConsistencyLevel.ALL),
        ("default_serial_consistency_level", ConsistencyLevel.SERIAL),
        ("row_factory", dict_factory),
    ],
)
async def test_default_is_refused_where_profiles_say_it(name: str, value: object) -> None:
    profile = ExecutionProfile(request_timeout=3.0)
    async with connected(execution_profiles={EXEC_PROFILE_DEFAULT: profile}) as (_, session):
        assert session.default_timeout == 3.0
        before = getattr(session, name)
        with pytest.raises(ValueError, match=f"{name} and execution_profiles contradict"):
            setattr(session, name, value)
        assert getattr(session, name) == before


async def test_defaults_are_a_sessions_own() -> None:
    async with connected() as (peer, session):
        other = await session.cluster.connect()
        session.default_consistency_level = ConsistencyLevel.ALL
        session.default_fetch_size = 3
        request = await asked(peer, other)
        assert (request.consistency, request.page_size) == (ConsistencyLevel.LOCAL_ONE, 5000)


async def test_default_holds_for_every_kind_of_request() -> None:
    async with connected() as (peer, session):
        task = asyncio.ensure_future(session.prepare("INSERT INTO ks.t (id) VALUES (?)"))
        (await peer.next_request()).reply_prepared(b"id", [("id", "int")])
        prepared = await task
        session.default_consistency_level = ConsistencyLevel.ALL
        seen: list[tuple[Opcode, int | None]] = []

        def note(request: Request) -> None:
            if request.opcode is Opcode.PREPARE:
                request.reply_prepared(b"other", [("id", "int")])
                return
            seen.append((request.opcode, request.consistency))
            request.reply_rows(INT_ROW, [(1,)])

        peer.respond_with(note)
        await session.execute(prepared, (1,))
        await session.execute(prepared.bind((1,)))
        await session.execute("INSERT INTO ks.u (id) VALUES (?)", (1,))
        await session.execute("INSERT INTO ks.u (id) VALUES (%s)", (1,))
        assert [level for _, level in seen] == [ConsistencyLevel.ALL] * 4


async def test_own_attribute_of_a_subclass_is_kept() -> None:
    class Mine(AsyncCassandraSession):
        client_protocol_handler: Any = None

    async with connected() as (_, session):
        mine = Mine._of(session.cluster, session._core, None)
        mine.client_protocol_handler = 5
        mine.label = "mine"  # type: ignore[attr-defined]
        assert (mine.client_protocol_handler, mine.label) == (5, "mine")  # type: ignore[attr-defined]


async def test_misspelt_attribute_is_an_attribute_error() -> None:
    async with connected() as (_, session):
        unknown: Any = session
        with pytest.raises(AttributeError, match="exectue"):
            unknown.exectue  # noqa: B018
        assert not hasattr(session, "__wrapped__")


async def test_limited_session_says_that_its_session_has_the_setting() -> None:
    async with connected() as (_, session):
        limited: Any = RateLimitedSession(session)
        for name in ("default_timeout", "row_factory", "client_protocol_handler"):
            with pytest.raises(ConfigurationError, match=rf"use \.session\.{name}"):
                setattr(limited, name, 5)
        with pytest.raises(AttributeError, match=r"\.session\.hosts"):
            limited.hosts  # noqa: B018


async def test_clone_of_a_profile_has_the_changes_and_the_policies() -> None:
    async with connected() as (peer, session):
        clone = session.execution_profile_clone_update(
            EXEC_PROFILE_DEFAULT, consistency_level=ConsistencyLevel.TWO
        )
        original = session.get_execution_profile()
        assert clone.load_balancing_policy is original.load_balancing_policy
        request = await asked(peer, session, execution_profile=clone)
        assert request.consistency == ConsistencyLevel.TWO
        assert (await asked(peer, session)).consistency == ConsistencyLevel.LOCAL_ONE
        with pytest.raises(ConfigurationError, match="no request_timout"):
            session.execution_profile_clone_update(EXEC_PROFILE_DEFAULT, request_timout=5)


async def test_prepare_takes_a_keyspace() -> None:
    async with connected() as (peer, session):
        task = asyncio.ensure_future(session.prepare("SELECT v FROM t", keyspace='"Other"'))
        request = await peer.next_request(Opcode.PREPARE)
        assert request.keyspace == "Other"
        request.reply_prepared(b"id")
        assert (await task).keyspace == "Other"
        wrong: Any = 5
        with pytest.raises(ConfigurationError, match="keyspace takes a name"):
            await session.prepare(READ, keyspace=wrong)


async def test_prepare_with_a_keyspace_is_refused_where_the_protocol_cannot_say_it() -> None:
    async with connected(version=4) as (peer, session):
        with pytest.raises(ConfigurationError, match=r"keyspace='other' needs protocol v5"):
            await session.prepare("SELECT v FROM t", keyspace="other")
        assert not peer.waiting_requests
        await session.set_keyspace("other")
        task = asyncio.ensure_future(session.prepare("SELECT v FROM t", keyspace="other"))
        (await peer.next_request(Opcode.PREPARE)).reply_prepared(b"id")
        await task


async def test_payload_takes_bytes_and_text_as_keys() -> None:
    async with connected() as (peer, session):
        mixed: Any = {b"k": b"v", "l": bytearray(b"w")}
        request = await asked(peer, session, custom_payload=mixed)
        assert request.custom_payload == {"k": b"v", "l": b"w"}
        keyed_by_bytes: Any = {b"k": b"v"}
        statement = SimpleStatement(READ, custom_payload=keyed_by_bytes)
        request = await asked(peer, session, statement, custom_payload={"k": b"x"})
        assert request.custom_payload == {"k": b"x"}
        for wrong in ({1: b"v"}, {b"\xff": b"v"}, {"k": "v"}, [("k", b"v")], {"\ud800": b"v"}):
            with pytest.raises(ConfigurationError, match="custom_payload"):
                await session.execute(READ, custom_payload=wrong)  # type: ignore[arg-type]


# Registered types


def with_type(peer: ScriptedPeer) -> None:
    peer.tables.add_keyspace("ks")
    key = ("system_schema", "types")
    peer.tables.answers[key] = TableAnswer(
        *key,
        [
            ("keyspace_name", "text"),
            ("type_name", "text"),
            ("field_names", "list<text>"),
            ("field_types", "list<text>"),
        ],
        [("ks", "address", ["street"], ["text"])],
    )


class Address:
    def __init__(self, street: str) -> None:
        self.street = street


async def test_missing_type_is_refused_once_the_schema_is_known() -> None:
    async with ScriptedPeer() as peer:
        with_type(peer)
        async with AsyncCluster([peer.host], port=peer.port) as cluster, cluster.connect():
            cluster.register_user_type("ks", "address", Address)
            for place in (("ks", "adress"), ("k", "address")):
                with pytest.raises(UserTypeDoesNotExist, match=place[1]) as caught:
                    cluster.register_user_type(*place, Address)
                assert isinstance(caught.value, ConfigurationError)
            assert set(cluster._control.user_types) == {("ks", "address")}
            wrong: Any = "Address"
            with pytest.raises(ConfigurationError, match="klass takes a class"):
                cluster.register_user_type("ks", "address", wrong)


async def test_missing_type_that_was_registered_before_is_refused_by_connect() -> None:
    async with ScriptedPeer() as peer:
        with_type(peer)
        async with AsyncCluster([peer.host], port=peer.port) as cluster:
            cluster.register_user_type("ks", "adress", Address)
            with pytest.raises(UserTypeDoesNotExist, match=r"'adress'.*there are: address"):
                await cluster.connect()


async def test_type_is_taken_as_given_where_the_schema_is_not_read() -> None:
    async with connected(schema_metadata_enabled=False) as (_, session):
        session.cluster.register_user_type("ks", "address", Address)
        await until(lambda: ("ks", "address") in session.cluster._control.user_types)
