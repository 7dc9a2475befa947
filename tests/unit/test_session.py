"""What a session checks before anything is sent, against a peer that never sees a statement of it."""

import asyncio
import dataclasses
import inspect
import math
from typing import Any

import pytest

import async_cassandra
from async_cassandra import (
    AsyncCassandraSession,
    AsyncCluster,
    AsyncSession,
    ClientOptions,
    ConfigurationError,
    SlowQueryLog,
    StreamConfig,
    create_streaming_statement,
)
from async_cassandra.session import unquoted
from tests.support.scripted_peer import ScriptedPeer

PARAMETERS = {
    "execute": "query parameters trace custom_payload timeout execution_profile paging_state host "
    "execute_as row",
    "execute_stream": "query parameters stream_config trace custom_payload timeout "
    "execution_profile paging_state host execute_as row",
    "execute_batch": "batch_statement trace custom_payload timeout execution_profile",
    "prepare": "query custom_payload timeout keyspace",
    "set_keyspace": "keyspace",
}


@pytest.mark.parametrize("method", PARAMETERS)
def test_method_takes_the_documented_parameters(method: str) -> None:
    signature = inspect.signature(getattr(AsyncCassandraSession, method))
    assert list(signature.parameters)[1:] == PARAMETERS[method].split()


def test_session_has_a_short_name() -> None:
    assert AsyncSession is AsyncCassandraSession


@pytest.mark.parametrize(
    ("given", "meant"),
    [("ks", "ks"), ('"Mixed"', "Mixed"), ('"a""b"', 'a"b'), ('"', '"'), ("Mixed", "Mixed")],
)
def test_unquoted_takes_off_the_quotes_of_cql(given: str, meant: str) -> None:
    assert unquoted(given) == meant


@pytest.mark.parametrize("fetch_size", [0, -1, 2**31])
def test_stream_config_refuses_a_page_size(fetch_size: int) -> None:
    with pytest.raises(ConfigurationError, match="fetch_size"):
        StreamConfig(fetch_size=fetch_size)


def test_streaming_statement_has_page_size_and_consistency() -> None:
    statement = create_streaming_statement("SELECT * FROM t", 7, consistency_level=4)
    assert (statement.query_string, statement.fetch_size) == ("SELECT * FROM t", 7)
    assert statement.consistency_level == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_in_flight", 0), ("max_in_flight", 32768), ("max_queued", -1), ("retry_budget", -0.1)],
)
def test_client_options_name_the_option_they_refuse(name: str, value: int) -> None:
    with pytest.raises(ConfigurationError, match=name):
        ClientOptions(**{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("field", dataclasses.fields(ClientOptions), ids=lambda field: field.name)
@pytest.mark.parametrize(
    "value",
    ["10", None, [1], float("nan"), 10**400, object()],
    ids=["text", "None", "list", "nan", "huge", "object"],
)
def test_client_options_refuse_another_kind(
    field: dataclasses.Field[object], value: object
) -> None:
    options: dict[str, Any] = {field.name: value}
    if value is field.default:
        assert ClientOptions(**options) == ClientOptions()
        return
    with pytest.raises(ConfigurationError, match=field.name):
        ClientOptions(**options)
    if isinstance(field.default, int) and not isinstance(field.default, bool):
        for fraction in (1.5, 1.0, True):
            with pytest.raises(ConfigurationError, match=field.name):
                ClientOptions(**{field.name: fraction})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("observers", [5]),
        ("observers", SlowQueryLog()),
        ("metrics", 5),
        ("auth_provider", True),
        ("tls", 5),
    ],
)
def test_cluster_names_what_it_refuses(name: str, value: object) -> None:
    given: dict[str, Any] = {name: value}
    with pytest.raises(ConfigurationError, match=f"{name} takes"):
        AsyncCluster(**given)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("timeout", value) for value in ("5", 0, -1, True, float("nan"))),
        *(("keyspace", value) for value in (5, "", b"ks", "\ud800")),
        ("metrics", 5),
    ],
)
async def test_connect_names_what_it_refuses(name: str, value: object) -> None:
    given: dict[str, Any] = {name: value}
    async with ScriptedPeer() as peer, AsyncCluster([peer.host], port=peer.port) as cluster:
        with pytest.raises(ConfigurationError, match=name):
            await cluster.connect(**given)
        assert not peer.connections


@pytest.mark.anyio
async def test_connect_waits_for_ever_if_told_to() -> None:
    async with ScriptedPeer() as peer, AsyncCluster([peer.host], port=peer.port) as cluster:
        assert not (await cluster.connect(timeout=math.inf)).is_closed


def test_cluster_refuses_options_of_another_type() -> None:
    with pytest.raises(ConfigurationError, match="client_options takes a ClientOptions"):
        AsyncCluster(client_options={"fetch_size": 10})  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_execute_refuses_bad_arguments_by_name() -> None:
    async with (
        ScriptedPeer() as peer,
        AsyncCluster([peer.host], port=peer.port) as cluster,
        cluster.connect() as session,
    ):
        with pytest.raises(ConfigurationError, match="timeout"):
            await session.execute("SELECT 1", timeout=0)
        with pytest.raises(ConfigurationError, match="custom_payload"):
            await session.execute("SELECT 1", custom_payload={"key": 1})  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match=r"host 192\.0\.2\.1"):
            await session.execute("SELECT 1", host="192.0.2.1")
        with pytest.raises(ConfigurationError, match="trace takes"):
            await session.execute("SELECT 1", None, dict)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="execute_as"):
            await session.execute("SELECT 1", execute_as=5)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="execution profile"):
            await session.execute("SELECT 1", execution_profile="nope")
        with pytest.raises(TypeError, match="query takes"):
            await session.execute(42)  # type: ignore[arg-type]
        assert not peer.waiting_requests


@pytest.mark.anyio
async def test_execute_after_close_is_refused() -> None:
    async with (
        ScriptedPeer() as peer,
        AsyncCluster([peer.host], port=peer.port) as cluster,
    ):
        session = await cluster.connect()
        await session.close()
        assert session.is_closed
        with pytest.raises(async_cassandra.ConnectionError, match="Session is closed"):
            await session.execute("SELECT 1")
        await session.close()


def test_execute_on_another_loop_is_refused() -> None:
    async def connect() -> AsyncCassandraSession:
        async with ScriptedPeer() as peer, AsyncCluster([peer.host], port=peer.port) as cluster:
            return await cluster.connect()

    async def use(session: AsyncCassandraSession) -> None:
        with pytest.raises(async_cassandra.ConnectionError):
            await session.execute("SELECT 1")

    asyncio.run(use(asyncio.run(connect())))
