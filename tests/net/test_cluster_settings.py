"""Every setting of the driver's ``Cluster``: it does what it does there, or it is refused by name."""

import asyncio
import inspect
import socket
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, ClassVar

import pytest
import trustme
from cassandra import ConsistencyLevel
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster
from cassandra.column_encryption.policies import AES256ColumnEncryptionPolicy
from cassandra.policies import (
    ConvictionPolicy,
    ReconnectionPolicy,
    RetryPolicy,
    RoundRobinPolicy,
    WhiteListRoundRobinPolicy,
)
from cassandra.pool import Host

from async_cassandra import (
    AsyncCassandraSession,
    AsyncCluster,
    ClientOptions,
    ConfigurationError,
    ExecutionProfile,
    exceptions,
)
from tests.support.endpoints import SECOND, Inside, NamedFactory
from tests.support.native_protocol import Opcode
from tests.support.peer_connection import PeerConnection
from tests.support.peer_replies import ErrorCode
from tests.support.request_rig import INT_ROW, until
from tests.support.scripted_peer import Automatic, Request, ScriptedPeer, scripted_cluster
from tests.support.system_tables import Node

pytestmark = pytest.mark.anyio

HOSTS = ["127.0.4.41", SECOND]
READ = "SELECT v FROM ks.t"
WRITE = "INSERT INTO ks.t (id) VALUES (1)"

type Proof = Callable[[], Awaitable[None]]


@asynccontextmanager
async def connected(
    count: int = 1, *, peer_options: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[tuple[list[ScriptedPeer], AsyncCassandraSession]]:
    async with (
        scripted_cluster(HOSTS[:count], **(peer_options or {})) as peers,
        AsyncCluster([HOSTS[0]], port=peers[0].port, **settings) as cluster,
        cluster.connect(timeout=15) as session,
    ):
        await until(
            lambda: (
                len(pools(session)) == count and all(pool.connections for pool in pools(session))
            )
        )
        yield peers, session


def pools(session: AsyncCassandraSession) -> list[Any]:
    return list(session._core.nodes.pools.values())


def driver_of(session: AsyncCassandraSession) -> Any:
    return session.cluster._cluster


def data_connections(peer: ScriptedPeer) -> list[PeerConnection]:
    return [c for c in peer.open_connections if not c.event_types and c.startup_options]


def control_connection(peer: ScriptedPeer) -> PeerConnection:
    return next(c for c in peer.open_connections if c.event_types)


def answer_rows(request: Request) -> None:
    request.reply_rows(INT_ROW, [(1,)])


def given(**settings: Any) -> AsyncCluster:
    """A cluster with settings that need not be of their types."""
    return AsyncCluster(**settings)


def refused(name: str, value: object, words: str) -> Proof:
    async def proof() -> None:
        with pytest.raises(ConfigurationError, match=f"(?s){name}.*{words}"):
            given(**{name: value})

    return proof


async def asked(peer: ScriptedPeer, session: AsyncCassandraSession, text: str = READ) -> Request:
    """The request that a statement becomes."""
    task = asyncio.ensure_future(session.execute(text))
    request = await peer.next_request()
    request.reply_rows(INT_ROW, [(1,)])
    await task
    return request


# One proof for each setting.


async def contact_points() -> None:
    async with ScriptedPeer(host=HOSTS[1]) as peer:
        for point in (peer.host, (peer.host, peer.port)):
            async with (
                AsyncCluster([point], port=peer.port) as cluster,
                cluster.connect() as session,
            ):
                await asked(peer, session)
    wrong: object
    for wrong in ("10.0.0.1", [None], [1], [""], [], {}, 5):
        await refused("contact_points", wrong, "(takes a|is neither a name)")()


async def port() -> None:
    async with connected() as (peers, session):
        await asked(peers[0], session)
    for wrong in (0, 65536, "9042", 9042.0, True):
        await refused("port", wrong, "takes 1 to 65535")()


async def compression() -> None:
    for given, offered in ((None, None), (False, None), (True, "lz4"), ("lz4", "lz4")):
        async with connected(compression=given) as (peers, _):
            for connection in (data_connections(peers[0])[0], control_connection(peers[0])):
                assert connection.startup_options.get("COMPRESSION") == offered
    await refused("compression", "snappy", "lz4")()


async def auth_provider() -> None:
    provider = PlainTextAuthProvider("u", "p")
    async with connected(peer_options={"password": ("u", "p")}, auth_provider=provider) as (
        peers,
        session,
    ):
        await asked(peers[0], session)
    await refused("auth_provider", True, "AuthProvider")()


async def load_balancing_policy() -> None:
    policy = WhiteListRoundRobinPolicy([HOSTS[1]])
    async with scripted_cluster(HOSTS) as peers:
        peers[1].respond_with(answer_rows)
        async with (
            AsyncCluster([HOSTS[1]], port=peers[0].port, load_balancing_policy=policy) as cluster,
            cluster.connect() as session,
        ):
            coordinators = {(await session.execute(READ)).coordinator for _ in range(4)}
            assert coordinators == {f"{HOSTS[1]}:{peers[1].port}"}
    await refused("load_balancing_policy", RoundRobinPolicy, "not its class")()


class CountedSchedules(ReconnectionPolicy):
    def __init__(self) -> None:
        self.schedules = 0

    def new_schedule(self) -> Iterator[float]:
        self.schedules += 1
        while True:
            yield 0.05


async def reconnection_policy() -> None:
    policy = CountedSchedules()
    async with connected(2, reconnection_policy=policy) as (peers, _):
        peers[1].refuse()
        peers[1].drop_connections()
        await until(lambda: policy.schedules)
    await refused("reconnection_policy", CountedSchedules, "not its class")()


class Counting(RetryPolicy):
    def __init__(self) -> None:
        self.asked = 0

    def on_read_timeout(self, *args: Any, **kwargs: Any) -> tuple[int, int | None]:
        self.asked += 1
        return self.RETRY, None


async def default_retry_policy() -> None:
    for name in ("default_retry_policy", "retry_policy"):
        policy = Counting()
        settings: Any = {name: policy}
        async with connected(**settings) as (peers, session):
            task = asyncio.ensure_future(session.execute(READ))
            (await peers[0].next_request()).reply_error(ErrorCode.READ_TIMEOUT)
            answer_rows(await peers[0].next_request())
            await task
            assert policy.asked == 1
    with pytest.raises(ConfigurationError, match="retry_policy and default_retry_policy"):
        AsyncCluster(retry_policy=RetryPolicy(), default_retry_policy=RetryPolicy())
    await refused("default_retry_policy", RetryPolicy, "not its class")()


class ThirdTime(ConvictionPolicy):
    failures: ClassVar[list[Host]] = []

    def add_failure(self, connection_exc: Exception) -> bool:
        self.failures.append(self.host)
        return self.failures.count(self.host) >= 3

    def reset(self) -> None: ...


async def conviction_policy_factory() -> None:
    ThirdTime.failures = []
    async with connected(2, conviction_policy_factory=ThirdTime) as (peers, session):
        (host,) = (host for host in session.hosts if host.address == HOSTS[1])
        peers[1].refuse()
        peers[1].drop_connections()
        await until(lambda: host.is_up is False)
        assert ThirdTime.failures.count(host) >= 3
    await refused("conviction_policy_factory", 5, "callable")()


async def metrics_enabled() -> None:
    await refused("metrics_enabled", True, "metrics=")()
    async with connected(metrics_enabled=False):
        pass


async def ssl_options() -> None:
    await over_tls(lambda path: {"ssl_options": {"ca_certs": path, "check_hostname": True}})
    await refused("ssl_options", {"password": "p"}, "has no password")()
    with pytest.raises(ConfigurationError, match=r"tls and ssl_options contradict"):
        AsyncCluster(tls=True, ssl_options={"ca_certs": "ca.pem"})


async def ssl_context() -> None:
    await over_tls(lambda path: {"ssl_context": ssl.create_default_context(cafile=path)})
    await refused("ssl_context", "ca.pem", "SSLContext")()


async def over_tls(settings: Callable[[str], dict[str, Any]]) -> None:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOSTS[0]).configure_cert(server)
    with authority.cert_pem.tempfile() as path:
        given = settings(path)
        async with connected(peer_options={"ssl_context": server}, **given) as (_, session):
            transport = pools(session)[0].connections[0].transport
            assert transport.get_extra_info("ssl_object") is not None


async def sockopts() -> None:
    given = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), [socket.IPPROTO_IP, socket.IP_TOS, 0x10]]
    async with connected(sockopts=given) as (_, session):
        control = driver_of(session).control_connection._connection.connection.transport
        for transport in (pools(session)[0].connections[0].transport, control):
            sock = transport.get_extra_info("socket")
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 0x10
    for wrong in ((1, 2, 3), [(1, 2)], [("a", 1, 1)], "x"):
        await refused("sockopts", wrong, "setsockopt")()
    with pytest.raises(exceptions.ConnectionError):
        async with connected(sockopts=[(socket.SOL_SOCKET, 99999, 1)]):
            pass


async def cql_version() -> None:
    async with connected(cql_version="3.4.7") as (peers, _):
        assert data_connections(peers[0])[0].startup_options["CQL_VERSION"] == "3.4.7"
    with pytest.raises(exceptions.ConnectionError, match=r"9\.9\.9"):
        async with connected(cql_version="9.9.9"):
            pass
    await refused("cql_version", 3, "a version")()


async def protocol_version() -> None:
    for version in (5, 4):
        async with connected(protocol_version=version) as (peers, session):
            assert data_connections(peers[0])[0].version == version
            assert session.cluster.protocol_version == version
    for wrong in (3, 6, "5"):
        await refused("protocol_version", wrong, "5 or 4")()


async def executor_threads() -> None:
    async with connected(executor_threads=3) as (_, session):
        assert driver_of(session).executor._max_workers == 3
    for wrong in (0, 1.5, "2"):
        await refused("executor_threads", wrong, "1 or more")()


def disagree(peer: ScriptedPeer) -> None:
    """Have a node say that its neighbour is at another version of the schema."""
    answer = peer.tables.answer("SELECT * FROM system.peers")
    assert answer is not None
    column = [name for name, _ in answer.columns].index("schema_version")
    (row,) = answer.rows
    answer.rows = [(*row[:column], uuid.uuid4(), *row[column + 1 :])]
    peer.tables.answers["system", "peers"] = answer


async def max_schema_agreement_wait() -> None:
    async with connected(2, max_schema_agreement_wait=0.3) as (peers, session):
        disagree(peers[0])
        started = time.monotonic()
        task = asyncio.ensure_future(session.execute("CREATE KEYSPACE k", host=HOSTS[0]))
        (await peers[0].next_request()).reply_schema_change("CREATED", "KEYSPACE", "k")
        await task
        # The default is 10 s.
        assert 0.1 <= time.monotonic() - started < 8
    await refused("max_schema_agreement_wait", "10", "seconds")()


async def control_connection_timeout() -> None:
    async with ScriptedPeer() as peer:
        peer.automatic.discard(Automatic.SYSTEM_TABLES)
        cluster = AsyncCluster([peer.host], port=peer.port, control_connection_timeout=0.2)
        with pytest.raises(exceptions.ConnectionError) as caught:
            await cluster.connect(timeout=15)
        assert not isinstance(caught.value, TimeoutError)
    async with connected(control_connection_timeout=None) as (_, session):
        assert driver_of(session).control_connection_timeout is None
    await refused("control_connection_timeout", 0, "seconds above 0")()


async def idle_heartbeat_interval() -> None:
    either: list[dict[str, Any]] = [
        {"idle_heartbeat_interval": 0.05},
        {"client_options": ClientOptions(idle_heartbeat_interval=0.05)},
    ]
    for settings in either:
        async with connected(**settings) as (peers, _):
            peers[0].automatic.discard(Automatic.OPTIONS)
            probed: set[PeerConnection] = set()

            def probe(request: Request, probed: set[PeerConnection] = probed) -> None:
                assert request.opcode is Opcode.OPTIONS
                probed.add(request.connection)
                request.reply_supported(request.peer.supported_options())

            peers[0].respond_with(probe)
            (data,) = data_connections(peers[0])
            await until(partial(probed.__contains__, data))
    for off in (0, None):
        async with connected(idle_heartbeat_interval=off) as (_, session):
            assert session._core.heartbeat.idle_interval == 0
    for wrong in (-1, "30", float("nan"), True):
        await refused("idle_heartbeat_interval", wrong, "seconds, 0 or more")()


async def idle_heartbeat_timeout() -> None:
    async with connected(idle_heartbeat_interval=0.05, idle_heartbeat_timeout=0.05) as (peers, _):
        (data,) = data_connections(peers[0])
        data.stall()
        await until(lambda: any(c is not data for c in data_connections(peers[0])))
    await refused("idle_heartbeat_timeout", 0, "seconds above 0")()


def window_of(name: str) -> Proof:
    async def proof() -> None:
        settings: Any = {name: 0.25}
        async with connected(**settings) as (_, session):
            assert getattr(driver_of(session).control_connection, f"_{name}") == 0.25
        await refused(name, "2", "seconds")()

    return proof


async def connect_timeout() -> None:
    async with connected(connect_timeout=0.2) as (peers, session):
        peers[0].automatic.discard(Automatic.STARTUP)
        data_connections(peers[0])[0].drop()
        (pool,) = pools(session)
        await until(lambda: pool.last_error is not None)
        assert "took longer than 0.2 s" in str(pool.last_error)
        peers[0].automatic.add(Automatic.STARTUP)
    for wrong in (0, "5"):
        await refused("connect_timeout", wrong, "seconds above 0")()


async def schema_metadata_enabled() -> None:
    for enabled in (True, False):
        async with ScriptedPeer() as peer:
            peer.tables.add_keyspace("ks")
            async with (
                AsyncCluster(
                    [peer.host], port=peer.port, schema_metadata_enabled=enabled
                ) as cluster,
                cluster.connect() as session,
            ):
                assert cluster.metadata is not None
                assert ("ks" in cluster.metadata.keyspaces) is enabled
                await asked(peer, session)
    await refused("schema_metadata_enabled", 1, "True or False")()


async def token_metadata_enabled() -> None:
    for enabled in (True, False):
        async with connected(token_metadata_enabled=enabled) as (peers, session):
            assert driver_of(session).control_connection._token_meta_enabled is enabled
            await asked(peers[0], session)
    await refused("token_metadata_enabled", "no", "True or False")()


@asynccontextmanager
async def behind(**settings: Any) -> AsyncIterator[tuple[list[ScriptedPeer], list[str]]]:
    """Two nodes, of which the second is known by an address that leads nowhere."""
    async with scripted_cluster(HOSTS) as peers:
        peers[0].tables.peers = [Node("10.9.9.9", peers[1].port)]
        async with (
            AsyncCluster([HOSTS[0]], port=peers[0].port, **settings) as cluster,
            cluster.connect() as session,
        ):
            await until(lambda: data_connections(peers[1]))
            yield peers, [pool.endpoint for pool in pools(session)]


async def address_translator() -> None:
    async with behind(address_translator=Inside()) as (peers, endpoints):
        assert f"{HOSTS[1]}:{peers[1].port}" in endpoints
    await refused("address_translator", Inside, "not its class")()


async def endpoint_factory() -> None:
    async with behind(endpoint_factory=NamedFactory()) as (peers, endpoints):
        assert f"second:{peers[1].port}" in endpoints
    await refused("endpoint_factory", NamedFactory, "not its class")()


def has(found: list[str], count: int) -> bool:
    return len(found) == count


async def prepare_on_all_hosts() -> None:
    for everywhere, count in ((True, 2), (False, 1)):
        async with connected(2, prepare_on_all_hosts=everywhere) as (peers, session):
            prepared: list[str] = []

            def prepare(request: Request, prepared: list[str] = prepared) -> None:
                prepared.append(request.peer.host)
                request.reply_prepared(b"id", [("id", "int")])

            for peer in peers:
                peer.respond_with(prepare)
            await session.prepare("INSERT INTO ks.t (id) VALUES (?)")
            await until(partial(has, prepared, count))
            # What follows on the same connection comes behind what was prepared there.
            for peer in peers:
                peer.respond_with(answer_rows)
                await session.execute(READ, host=peer.host)
            assert len(set(prepared)) == count
    await refused("prepare_on_all_hosts", "no", "True or False")()


async def reprepare_on_up() -> None:
    for again in (True, False):
        async with connected(reprepare_on_up=again) as (peers, session):
            task = asyncio.ensure_future(session.prepare("INSERT INTO ks.t (id) VALUES (?)"))
            (await peers[0].next_request()).reply_prepared(b"id", [("id", "int")])
            kept = await task
            data_connections(peers[0])[0].drop()
            await until(partial(data_connections, peers[0]))
            opcodes: set[Opcode] = set()

            def note(request: Request, opcodes: set[Opcode] = opcodes) -> None:
                opcodes.add(request.opcode)
                if request.opcode is Opcode.PREPARE:
                    request.reply_prepared(b"id", [("id", "int")])
                else:
                    answer_rows(request)

            peers[0].respond_with(note)
            await session.execute(READ)
            await session.execute(READ)
            assert opcodes == ({Opcode.QUERY, Opcode.PREPARE} if again else {Opcode.QUERY})
            assert kept.query_id == b"id"
    await refused("reprepare_on_up", 0, "True or False")()


async def execution_profiles() -> None:
    profiles = {"strict": ExecutionProfile(consistency_level=ConsistencyLevel.ALL)}
    async with connected(execution_profiles=profiles) as (peers, session):
        task = asyncio.ensure_future(session.execute(READ, execution_profile="strict"))
        request = await peers[0].next_request()
        answer_rows(request)
        await task
        assert request.consistency == ConsistencyLevel.ALL
    await refused("execution_profiles", {"a": {"request_timeout": 5}}, "ExecutionProfile")()
    await refused(
        "execution_profiles", [ExecutionProfile()], "a dict of names to ExecutionProfile"
    )()


async def timestamp_generator() -> None:
    async with connected(timestamp_generator=lambda: 42) as (peers, session):
        assert (await asked(peers[0], session, WRITE)).timestamp == 42
    await refused("timestamp_generator", 42, "callable")()


async def no_compact() -> None:
    async with connected(no_compact=True) as (peers, _):
        for connection in (data_connections(peers[0])[0], control_connection(peers[0])):
            assert connection.startup_options["NO_COMPACT"] == "true"
    await refused("no_compact", "yes", "True or False")()


def startup_says(name: str, value: object, option: str) -> Proof:
    async def proof() -> None:
        settings: Any = {name: value}
        async with connected(**settings) as (peers, _):
            assert data_connections(peers[0])[0].startup_options[option] == str(value)
        await refused(name, 5, "takes")()

    return proof


async def monitor_reporting_enabled() -> None:
    await refused("monitor_reporting_enabled", True, "DataStax Enterprise")()
    async with connected(monitor_reporting_enabled=False):
        pass


async def column_encryption_policy() -> None:
    # What it does is tested with the columns.
    policy = AES256ColumnEncryptionPolicy()
    async with connected(column_encryption_policy=policy) as (_, session):
        assert driver_of(session).column_encryption_policy is policy
    for wrong in (AES256ColumnEncryptionPolicy, object(), {}):
        await refused("column_encryption_policy", wrong, "")()


PROOFS: dict[str, Proof] = {
    "contact_points": contact_points,
    "port": port,
    "compression": compression,
    "auth_provider": auth_provider,
    "load_balancing_policy": load_balancing_policy,
    "reconnection_policy": reconnection_policy,
    "default_retry_policy": default_retry_policy,
    "conviction_policy_factory": conviction_policy_factory,
    "metrics_enabled": metrics_enabled,
    "connection_class": refused("connection_class", object, "this library's own"),
    "ssl_options": ssl_options,
    "sockopts": sockopts,
    "cql_version": cql_version,
    "protocol_version": protocol_version,
    "executor_threads": executor_threads,
    "max_schema_agreement_wait": max_schema_agreement_wait,
    "control_connection_timeout": control_connection_timeout,
    "idle_heartbeat_interval": idle_heartbeat_interval,
    "schema_event_refresh_window": window_of("schema_event_refresh_window"),
    "topology_event_refresh_window": window_of("topology_event_refresh_window"),
    "status_event_refresh_window": window_of("status_event_refresh_window"),
    "connect_timeout": connect_timeout,
    "schema_metadata_enabled": schema_metadata_enabled,
    "token_metadata_enabled": token_metadata_enabled,
    "address_translator": address_translator,
    "prepare_on_all_hosts": prepare_on_all_hosts,
    "reprepare_on_up": reprepare_on_up,
    "execution_profiles": execution_profiles,
    "allow_beta_protocol_version": refused("allow_beta_protocol_version", True, "5 and 4"),
    "timestamp_generator": timestamp_generator,
    "idle_heartbeat_timeout": idle_heartbeat_timeout,
    "no_compact": no_compact,
    "ssl_context": ssl_context,
    "endpoint_factory": endpoint_factory,
    "application_name": startup_says("application_name", "shop", "APPLICATION_NAME"),
    "application_version": startup_says("application_version", "1.2", "APPLICATION_VERSION"),
    "monitor_reporting_enabled": monitor_reporting_enabled,
    "monitor_reporting_interval": refused("monitor_reporting_interval", 30, "DataStax Enterprise"),
    "client_id": startup_says("client_id", uuid.UUID(int=7), "CLIENT_ID"),
    "cloud": refused("cloud", {"secure_connect_bundle": "b.zip"}, "TlsOptions"),
    "column_encryption_policy": column_encryption_policy,
}
SETTINGS = sorted(set(inspect.signature(Cluster.__init__).parameters) - {"self"})


@pytest.mark.parametrize("name", SETTINGS)
async def test_setting_has_its_effect_or_is_refused(name: str) -> None:
    assert name in PROOFS, f"the driver has a setting {name}: prove what it does here, or refuse it"
    await PROOFS[name]()
