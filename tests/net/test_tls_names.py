"""Which name a node's certificate must carry, on control and data connections alike."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from cassandra.policies import ConstantReconnectionPolicy

from async_cassandra import AsyncCassandraSession, AsyncCluster, TlsOptions, exceptions
from async_cassandra._driver.server_names import WrongServerName
from tests.net.test_control_plane import failed_handshakes
from tests.support.request_rig import INT_ROW, until
from tests.support.scripted_peer import ScriptedPeer
from tests.support.system_tables import Node

pytestmark = [pytest.mark.anyio, pytest.mark.promise(9)]

A, B = "127.0.4.31", "127.0.4.32"
NAME = "db.example"

Resolve = Callable[..., None]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture(autouse=True)
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """Give names their addresses."""
    known: dict[str, tuple[str, ...]] = {}
    genuine = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if str(host).endswith(".example") and host not in known:
            raise socket.gaierror(f"{host} is unknown")
        found = known.get(host, (host,))
        return [item for each in found for item in genuine(each, port, *args, **kwargs)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return lambda name, *addresses: known.update({name: addresses})


class TlsPeer(ScriptedPeer):
    """Has a certificate for some names; keeps those that clients send."""

    def __init__(self, authority: trustme.CA, *names: str, **options: Any) -> None:
        self.sent: list[str | None] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.certify(context, authority, *names)
        super().__init__(ssl_context=context, **options)
        self.respond_with(lambda request: request.reply_rows(INT_ROW, [(1,)]))

    def certify(self, context: ssl.SSLContext, authority: trustme.CA, *names: str) -> None:
        authority.issue_cert(*names).configure_cert(context)
        context.sni_callback = lambda connection, name, context: self.sent.append(name)


@asynccontextmanager
async def tls_nodes(
    authority: trustme.CA, certificates: dict[str, tuple[str, ...]]
) -> AsyncIterator[list[TlsPeer]]:
    """A peer for each address, on one port, each knowing the others."""
    async with AsyncExitStack() as stack:
        peers: list[TlsPeer] = []
        for index, (address, names) in enumerate(certificates.items()):
            port = peers[0].port if peers else 0
            peer = TlsPeer(authority, *names, host=address, port=port, tolerate_faults=True)
            peer.tables.node = Node(address, port, (index,))
            peers.append(await stack.enter_async_context(peer))
        for peer in peers:
            peer.tables.peers = [other.tables.node for other in peers if other is not peer]
        yield peers


@asynccontextmanager
async def connected(
    peers: list[TlsPeer], points: list[str], **options: Any
) -> AsyncIterator[AsyncCassandraSession]:
    settings = {"reconnection_policy": ConstantReconnectionPolicy(0.02, max_attempts=None)}
    async with (
        AsyncCluster(points, port=peers[0].port, **settings | options) as cluster,
        cluster.connect(timeout=10) as session,
    ):
        yield session


async def works(session: AsyncCassandraSession, *addresses: str) -> None:
    """Check that each node is asked over a connection of its own."""
    pools = session._core.nodes.pools
    await until(lambda: sum(pool.is_open for pool in pools.values()) == len(addresses))
    for address in addresses:
        assert (await session.execute("SELECT v FROM ks.t", host=address)).one().v == 1


async def refusal(peers: list[TlsPeer], points: list[str], **options: Any) -> Exception:
    with failed_handshakes(), pytest.raises(exceptions.ConnectionError) as failure:
        async with connected(peers, points, **options):
            pass
    assert isinstance(failure.value.cause, WrongServerName)
    return failure.value


async def test_name_of_the_contact_point_is_accepted_and_sent(
    authority: trustme.CA, ca_file: Path, resolve: Resolve
) -> None:
    resolve(NAME, A)
    async with (
        tls_nodes(authority, {A: (NAME,)}) as peers,
        connected(peers, [NAME], tls=ca_file) as session,
    ):
        await works(session, A)
    control, data = peers[0].sent
    assert control == data == NAME


@pytest.mark.parametrize("point", [NAME + ".", "DB.Example"])
async def test_name_may_end_in_a_dot_and_be_of_any_case(
    authority: trustme.CA, ca_file: Path, resolve: Resolve, point: str
) -> None:
    resolve(point, A)
    async with (
        tls_nodes(authority, {A: (NAME,)}) as peers,
        connected(peers, [point], tls=ca_file) as session,
    ):
        await works(session, A)


async def test_name_holds_for_every_address_it_has(
    authority: trustme.CA, ca_file: Path, resolve: Resolve
) -> None:
    resolve(NAME, A, B)
    async with (
        tls_nodes(authority, {A: (NAME,), B: (NAME,)}) as peers,
        connected(peers, [NAME, NAME], tls=ca_file) as session,
    ):
        await works(session, A, B)


async def test_certificate_for_another_name_is_refused_with_both(
    authority: trustme.CA, ca_file: Path, resolve: Resolve
) -> None:
    resolve(NAME, A)
    async with tls_nodes(authority, {A: ("other.example", B)}) as peers:
        error = await refusal(peers, [NAME], tls=ca_file)
        assert f"{A}:{peers[0].port}" in str(error)
    assert f"it is for other.example, {B}, and not for {NAME}. " in str(error)
    assert "TlsOptions(server_hostname=...)" in str(error)


async def test_address_that_the_dns_gave_proves_nothing(
    authority: trustme.CA, ca_file: Path, resolve: Resolve
) -> None:
    """Whoever answers the DNS may have a certificate for an address of their own."""
    resolve(NAME, A)
    async with tls_nodes(authority, {A: (A,)}) as peers:
        error = await refusal(peers, [NAME], tls=ca_file)
        assert f"it is for {A}, and not for {NAME}. " in str(error)
        by_address = TlsOptions(ca_file=ca_file, server_hostname=lambda address: address)
        async with connected(peers, [NAME], tls=by_address) as session:
            await works(session, A)


@pytest.mark.parametrize("certificate", [NAME, A])
@pytest.mark.parametrize("points", [[A, NAME], [NAME, A]])
async def test_name_and_address_that_were_both_given_are_both_accepted(
    authority: trustme.CA, ca_file: Path, resolve: Resolve, points: list[str], certificate: str
) -> None:
    resolve(NAME, A)
    with failed_handshakes():
        async with (
            tls_nodes(authority, {A: (certificate,)}) as peers,
            connected(peers, points, tls=ca_file) as session,
        ):
            await works(session, A)


async def test_context_of_the_applications_own_takes_the_address_too(
    authority: trustme.CA, ca_file: Path, resolve: Resolve
) -> None:
    """As in the driver, which checks the address only."""
    resolve(NAME, A)
    for certificate in (A, NAME):
        with failed_handshakes():
            async with (
                tls_nodes(authority, {A: (certificate,)}) as peers,
                connected(
                    peers, [NAME], ssl_context=ssl.create_default_context(cafile=ca_file)
                ) as session,
            ):
                await works(session, A)
    async with tls_nodes(authority, {A: ("other.example",)}) as peers:
        context = ssl.create_default_context(cafile=ca_file)
        assert f"not for {NAME} or {A}" in str(await refusal(peers, [NAME], ssl_context=context))


async def test_nodes_that_were_discovered_are_checked_by_their_address(
    authority: trustme.CA, ca_file: Path, resolve: Resolve
) -> None:
    resolve(NAME, A)
    async with (
        tls_nodes(authority, {A: (NAME,), B: (B,)}) as peers,
        connected(peers, [NAME], tls=ca_file) as session,
    ):
        await works(session, A, B)


async def test_name_does_not_hold_for_nodes_that_it_does_not_lead_to(
    authority: trustme.CA, ca_file: Path, resolve: Resolve, caplog: pytest.LogCaptureFixture
) -> None:
    resolve(NAME, A)
    with failed_handshakes():
        async with (
            tls_nodes(authority, {A: (NAME,), B: (NAME,)}) as peers,
            connected(peers, [NAME], tls=ca_file) as session,
        ):
            await until(lambda: f"it is for {NAME}, and not for {B}. " in caplog.text)
            assert [pool.is_open for pool in session._core.nodes.pools.values()].count(True) == 1


@pytest.mark.parametrize(
    "server_hostname",
    [NAME, {A: NAME, B: NAME}.get, lambda address: NAME if address == B else None],
)
async def test_tls_options_name_the_nodes(
    authority: trustme.CA, ca_file: Path, resolve: Resolve, server_hostname: Any
) -> None:
    resolve(NAME, A)
    options = TlsOptions(ca_file=ca_file, server_hostname=server_hostname)
    async with (
        tls_nodes(authority, {A: (NAME,), B: (NAME,)}) as peers,
        connected(peers, [NAME], tls=options) as session,
    ):
        await works(session, A, B)
    assert {name for peer in peers for name in peer.sent} == {NAME}


async def test_name_chosen_by_tls_options_is_the_only_one(
    authority: trustme.CA, ca_file: Path, resolve: Resolve
) -> None:
    resolve(NAME, A)
    options = TlsOptions(ca_file=ca_file, server_hostname="other.example")
    async with tls_nodes(authority, {A: (NAME, A)}) as peers:
        assert "not for other.example" in str(await refusal(peers, [NAME, A], tls=options))


async def test_function_that_fails_is_told(
    authority: trustme.CA, ca_file: Path, resolve: Resolve
) -> None:
    options = TlsOptions(ca_file=ca_file, server_hostname=dict[str, str]().__getitem__)
    async with tls_nodes(authority, {A: (A,)}) as peers:
        with pytest.raises(exceptions.ConnectionError, match=r"server_hostname failed.*KeyError"):
            async with connected(peers, [A], tls=options):
                pass


async def test_without_check_any_name_is_accepted_and_the_right_one_is_sent(
    authority: trustme.CA, ca_file: Path, resolve: Resolve
) -> None:
    resolve(NAME, A)
    options = TlsOptions(ca_file=ca_file, check_hostname=False)
    async with (
        tls_nodes(authority, {A: ("other.example",)}) as peers,
        connected(peers, [NAME], tls=options) as session,
    ):
        await works(session, A)
    assert peers[0].sent == [NAME, NAME]


async def test_address_that_a_name_gets_later_is_checked_by_that_name(
    authority: trustme.CA, ca_file: Path, resolve: Resolve
) -> None:
    resolve(NAME, A)
    async with (
        tls_nodes(authority, {A: (NAME,)}) as old,
        connected(old, [NAME], tls=ca_file) as session,
    ):
        await works(session, A)
        peer = TlsPeer(authority, NAME, host=B, port=old[0].port)
        async with peer:
            resolve(NAME, B)
            old[0].refuse()
            old[0].drop_connections()
            await until(lambda: len(session._core.nodes.pools) == 1 and bool(peer.connections))
            await until(
                lambda: [host.address for host in session._core.nodes.pools] == [B], seconds=10
            )
            await works(session, B)
