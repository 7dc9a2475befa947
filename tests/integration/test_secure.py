"""Passwords and TLS, on a server that asks for both."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import pickle
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import cassandra
import pytest
import trustme
from cassandra.auth import (
    Authenticator,
    AuthProvider,
    PlainTextAuthenticator,
    PlainTextAuthProvider,
)
from cassandra.cluster import NoHostAvailable

from async_cassandra import (
    AsyncCassandraSession,
    AsyncCluster,
    AuthenticationError,
    ConnectionError,
    QueryError,
    TlsOptions,
)
from async_cassandra.server import CassandraServer
from tests.support.cutting_proxy import CuttingProxy
from tests.support.servers import cluster_options

pytestmark = [pytest.mark.anyio, pytest.mark.promise(9)]

ME = "SELECT username, ssl_enabled, driver_name, address, port FROM system_views.clients"
CLUSTER_NAME = "SELECT cluster_name FROM system.local"


@pytest.fixture
def options(secure_server: CassandraServer) -> dict[str, Any]:
    """What the server asks for; a test spoils one part of it."""
    return cluster_options(secure_server)


@pytest.fixture
async def proxied_address(secure_server: CassandraServer) -> AsyncIterator[str]:
    """An address that leads to the server and is not in its certificate."""
    node = secure_server.nodes[0]
    async with CuttingProxy(node.address, node.port, host="127.0.5.77", port=node.port) as proxy:
        yield proxy.host


async def connected_users(session: AsyncCassandraSession) -> set[tuple[str, bool]]:
    return {(row.username, row.ssl_enabled) for row in await session.execute(ME)}


async def test_tls_and_password_connect(options: dict[str, Any]) -> None:
    async with AsyncCluster(**options) as cluster, cluster.connect() as session:
        assert await connected_users(session) == {("cassandra", True)}


async def test_create_with_auth_connects(
    secure_server: CassandraServer, options: dict[str, Any]
) -> None:
    cluster = AsyncCluster.create_with_auth(
        secure_server.contact_points,
        "cassandra",
        "cassandra",
        port=options["port"],
        ssl_context=options["ssl_context"],
    )
    async with cluster, cluster.connect() as session:
        assert await connected_users(session) == {("cassandra", True)}


async def test_tls_by_name_checks_that_name(options: dict[str, Any]) -> None:
    assert options["ssl_context"].check_hostname
    if options["contact_points"] != ["127.0.0.1"]:
        options["contact_points"] = ["localhost"]
    async with AsyncCluster(**options) as cluster, cluster.connect() as session:
        assert (await session.execute(CLUSTER_NAME)).one() is not None


async def test_tls_by_one_argument_connects(
    secure_server: CassandraServer, options: dict[str, Any]
) -> None:
    del options["ssl_context"]
    for tls in (secure_server.ca_path, TlsOptions(ca_file=secure_server.ca_path)):
        async with AsyncCluster(**options, tls=tls) as cluster, cluster.connect() as session:
            assert await connected_users(session) == {("cassandra", True)}


async def test_tls_by_one_argument_refuses_other_authorities(options: dict[str, Any]) -> None:
    del options["ssl_context"]
    cluster = AsyncCluster(**options, tls=True)
    with pytest.raises(ConnectionError, match=r"127\.0\..*certificate was refused.*issuer"):
        async with asyncio.timeout(15):
            await cluster.connect()
    await cluster.shutdown()


async def test_tls_without_verification_connects_and_is_logged(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    del options["ssl_context"]
    cluster = AsyncCluster(**options, tls=TlsOptions(verify=False))
    async with cluster, cluster.connect() as session:
        assert await connected_users(session) == {("cassandra", True)}
    assert "without verification" in caplog.text


async def test_expired_certificate_is_refused() -> None:
    authority = trustme.CA()
    yesterday = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1", not_after=yesterday).configure_cert(server_side)
    client_side = ssl.create_default_context()
    authority.configure_trust(client_side)

    def shake_hands() -> None:
        with contextlib.suppress(OSError):
            while True:
                with listener.accept()[0] as client, contextlib.suppress(OSError):
                    server_side.wrap_socket(client, server_side=True).close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        serving = asyncio.create_task(asyncio.to_thread(shake_hands))
        cluster = AsyncCluster(["127.0.0.1"], port=port, ssl_context=client_side)
        with pytest.raises(ConnectionError, match=rf"127\.0\.0\.1:{port}.*expired") as failure:
            async with asyncio.timeout(15):
                await cluster.connect()
        assert "\n" not in str(failure.value)
        await cluster.shutdown()
        listener.shutdown(socket.SHUT_RDWR)
        await serving


SECRET = "correct-horse-battery"


async def test_credentials_are_told_to_nobody(
    secure_server: CassandraServer, options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    provider = PlainTextAuthProvider("cassandra", SECRET)
    cluster = AsyncCluster(**options | {"auth_provider": provider})
    with pytest.raises(AuthenticationError) as failure:
        await cluster.connect()
    error: BaseException | None = failure.value
    while error is not None:
        told += [str(error), repr(error), str(vars(error)), str(pickle.dumps(error))]
        error = error.__cause__
    told += [repr(cluster), str(vars(cluster.metadata)) if cluster.metadata else ""]
    await cluster.shutdown()
    secure_server.execute(
        f"CREATE ROLE IF NOT EXISTS keeper WITH PASSWORD = '{SECRET}' AND LOGIN = true"
    )
    provider = PlainTextAuthProvider("keeper", SECRET)
    entered = AsyncCluster(**options | {"auth_provider": provider})
    async with entered, entered.connect() as session:
        assert await connected_users(session) == {("keeper", True)}
        told += [repr(entered), repr(session), repr(session._core), repr(entered._control)]
    assert SECRET not in "\n".join(told)
    assert caplog.records
    assert SECRET not in caplog.text


async def test_tls_carries_large_values(options: dict[str, Any]) -> None:
    """Larger than TLS records and protocol segments."""
    async with AsyncCluster(**options) as cluster, cluster.connect() as session:
        text = "x" * 1_000_000
        row = (await session.execute(f"SELECT (text) '{text}' AS echo FROM system.local")).one()
        assert row.echo == text


@pytest.mark.parametrize(
    "provider", [PlainTextAuthProvider("cassandra", "wrong"), PlainTextAuthProvider("nobody", "x")]
)
async def test_wrong_password_is_refused(options: dict[str, Any], provider: AuthProvider) -> None:
    cluster = AsyncCluster(**options | {"auth_provider": provider})
    with pytest.raises(AuthenticationError, match=r"127\.0\..*credentials") as failure:
        async with asyncio.timeout(15):
            await cluster.connect()
    assert isinstance(failure.value, ConnectionError)
    assert isinstance(failure.value, cassandra.AuthenticationFailed)
    assert isinstance(failure.value, NoHostAvailable)
    assert failure.value.endpoint is not None
    assert "wrong" not in str(failure.value)
    await cluster.shutdown()


async def test_missing_password_is_refused(options: dict[str, Any]) -> None:
    del options["auth_provider"]
    cluster = AsyncCluster(**options)
    with pytest.raises(AuthenticationError, match="auth_provider"):
        async with asyncio.timeout(15):
            await cluster.connect()
    await cluster.shutdown()


async def test_certificate_of_other_authority_is_refused(options: dict[str, Any]) -> None:
    cluster = AsyncCluster(**options | {"ssl_context": ssl.create_default_context()})
    with pytest.raises(ConnectionError, match=r"127\.0\..*certificate") as failure:
        async with asyncio.timeout(15):
            await cluster.connect()
    assert isinstance(failure.value.cause, ssl.SSLCertVerificationError)
    await cluster.shutdown()


async def test_certificate_of_other_host_is_refused(
    options: dict[str, Any], proxied_address: str
) -> None:
    cluster = AsyncCluster(**options | {"contact_points": [proxied_address]})
    with pytest.raises(ConnectionError, match=r"127\.0\.5\.77.*certificate") as failure:
        async with asyncio.timeout(15):
            await cluster.connect()
    assert isinstance(failure.value.cause, ssl.SSLCertVerificationError)
    await cluster.shutdown()


@pytest.fixture
def resolve_to_proxy(
    monkeypatch: pytest.MonkeyPatch, proxied_address: str
) -> Callable[[str], None]:
    """Have a name lead to the proxied address, which is not in the certificate."""
    genuine = socket.getaddrinfo

    def resolve(name: str) -> None:
        def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
            return genuine(proxied_address if host == name else host, *args, **kwargs)

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return resolve


@pytest.mark.parametrize("by", ["tls", "ssl_context"])
async def test_name_connected_to_is_accepted_for_the_address_it_leads_to(
    secure_server: CassandraServer,
    options: dict[str, Any],
    resolve_to_proxy: Callable[[str], None],
    by: str,
) -> None:
    resolve_to_proxy("localhost")
    if by == "tls":
        del options["ssl_context"]
        options["tls"] = secure_server.ca_path
    async with (
        AsyncCluster(**options | {"contact_points": ["localhost"]}) as cluster,
        cluster.connect() as session,
    ):
        assert await connected_users(session) == {("cassandra", True)}
        assert [host.address for host in session._core.nodes.pools] == ["127.0.5.77"]


async def test_other_name_is_refused_saying_what_the_certificate_has(
    secure_server: CassandraServer,
    options: dict[str, Any],
    resolve_to_proxy: Callable[[str], None],
) -> None:
    resolve_to_proxy("db.example")
    del options["ssl_context"]
    options |= {"contact_points": ["db.example"], "tls": secure_server.ca_path}
    cluster = AsyncCluster(**options)
    with pytest.raises(ConnectionError, match=r"not for db\.example\. ") as failure:
        await cluster.connect()
    await cluster.shutdown()
    for name in ("localhost", secure_server.nodes[0].address, "TlsOptions(server_hostname"):
        assert name in str(failure.value)


async def test_server_hostname_of_tls_options_is_accepted(
    secure_server: CassandraServer, options: dict[str, Any], proxied_address: str
) -> None:
    del options["ssl_context"]
    tls = TlsOptions(ca_file=secure_server.ca_path, server_hostname="localhost")
    options |= {"contact_points": [proxied_address], "tls": tls}
    async with AsyncCluster(**options) as cluster, cluster.connect() as session:
        assert await connected_users(session) == {("cassandra", True)}


async def test_certificate_of_other_host_is_accepted_without_host_check(
    options: dict[str, Any], proxied_address: str
) -> None:
    options["ssl_context"].check_hostname = False
    cluster = AsyncCluster(**options | {"contact_points": [proxied_address]})
    async with cluster, cluster.connect() as session:
        assert (await session.execute(CLUSTER_NAME)).one() is not None


async def test_plain_connection_to_tls_server_is_told(options: dict[str, Any]) -> None:
    del options["ssl_context"]
    cluster = AsyncCluster(**options)
    with pytest.raises(ConnectionError, match=r"127\.0\..*TLS"):
        async with asyncio.timeout(20):
            await cluster.connect()
    await cluster.shutdown()


async def test_tls_connection_to_plain_server_is_told(settings: dict[str, Any]) -> None:
    if "ssl_context" in settings:
        pytest.skip("the server of this run speaks TLS")
    cluster = AsyncCluster(**settings | {"ssl_context": ssl.create_default_context()})
    with pytest.raises(ConnectionError, match="TLS"):
        async with asyncio.timeout(20):
            await cluster.connect()
    await cluster.shutdown()


# An AuthProvider may do anything, and take its time.


class SlowAuthenticator(Authenticator):
    """Waits, in the thread it is called on, until the test lets it go on."""

    def __init__(self, log: list[threading.Thread], wait: Callable[[], None]) -> None:
        self._log = log
        self._wait = wait
        self._password = PlainTextAuthenticator("cassandra", "cassandra")

    def initial_response(self) -> bytes:
        self._log.append(threading.current_thread())
        self._wait()
        self._password.server_authenticator_class = self.server_authenticator_class
        response: bytes = self._password.initial_response()
        return response

    def evaluate_challenge(self, challenge: bytes | None) -> bytes | None:
        response: bytes | None = self._password.evaluate_challenge(challenge)
        return response

    def on_authentication_success(self, token: bytes | None) -> None:
        self._log.append(threading.current_thread())


class SlowProvider(AuthProvider):
    """Blocks until the loop has shown that it runs on meanwhile."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.threads: list[threading.Thread] = []
        self._loop = loop

    def wait_for_loop(self) -> None:
        turned = threading.Event()
        self._loop.call_soon_threadsafe(turned.set)
        assert turned.wait(10), "the loop was blocked"

    def new_authenticator(self, host: str) -> Authenticator:
        self.threads.append(threading.current_thread())
        self.wait_for_loop()
        return SlowAuthenticator(self.threads, self.wait_for_loop)


async def test_blocking_auth_provider_runs_off_the_loop(options: dict[str, Any]) -> None:
    provider = SlowProvider(asyncio.get_running_loop())
    cluster = AsyncCluster(**options | {"auth_provider": provider})
    async with cluster, cluster.connect() as session:
        assert await connected_users(session) == {("cassandra", True)}
    # A control connection and a data connection, three calls each.
    assert len(provider.threads) >= 6
    assert threading.current_thread() not in provider.threads


async def test_auth_provider_that_raises_is_told(options: dict[str, Any]) -> None:
    class BrokenProvider(AuthProvider):
        def new_authenticator(self, host: str) -> Authenticator:
            raise LookupError("no ticket in the cache")

    cluster = AsyncCluster(**options | {"auth_provider": BrokenProvider()})
    with pytest.raises(
        ConnectionError, match=r"new_authenticator raised LookupError \(test_secure\.py"
    ):
        async with asyncio.timeout(15):
            await cluster.connect()
    await cluster.shutdown()


async def test_role_without_permission_is_unauthorized(
    options: dict[str, Any], secure_server: CassandraServer
) -> None:
    secure_server.execute("CREATE ROLE IF NOT EXISTS reader WITH PASSWORD = 'r' AND LOGIN = true")
    cluster = AsyncCluster(**options | {"auth_provider": PlainTextAuthProvider("reader", "r")})
    async with cluster, cluster.connect() as session:
        with pytest.raises(cassandra.Unauthorized, match="superuser") as failure:
            await session.execute("CREATE ROLE boss WITH SUPERUSER = true")
    assert isinstance(failure.value, QueryError)


async def test_execute_as_is_sent_as_the_drivers_payload(options: dict[str, Any]) -> None:
    """Apache Cassandra ignores the key; what matters is that the request passes."""
    async with AsyncCluster(**options) as cluster, cluster.connect() as session:
        result = await session.execute(CLUSTER_NAME, execute_as="reader")
        assert result.one() is not None


def test_no_address_is_shared_with_the_proxy(secure_server: CassandraServer) -> None:
    """The proxy of these tests stands on an address that no certificate names."""
    with socket.socket() as probe:
        probe.bind(("127.0.5.77", 0))
    assert "127.0.5.77" not in secure_server.contact_points
