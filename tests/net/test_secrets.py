"""Secrets get out by no failing path: in no log, error, cause, pickle, metric, span or repr."""

from __future__ import annotations

import inspect
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cassandra.auth import Authenticator, AuthProvider, PlainTextAuthProvider

from async_cassandra import AsyncCluster, ClientOptions, TlsOptions
from async_cassandra.exceptions import AsyncCassandraError
from async_cassandra.metrics import create_metrics_system
from async_cassandra.observers import SlowQueryLog
from async_cassandra.speculation import PercentileSpeculativeExecutionPolicy
from tests.support.native_protocol import Opcode
from tests.support.peer_replies import ErrorCode
from tests.support.scripted_peer import Automatic, Request, ScriptedPeer
from tests.support.secrets import SECRETS, Records, leaks, said_by, shown

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

secret_shapes = pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS.keys())


@pytest.fixture
def records() -> Any:
    with Records() as collected:
        yield collected


def visible(*things: object) -> list[str]:
    """What a debugger or a crash reporter shows of objects."""
    return [
        text for thing in things for text in (shown(thing), shown(getattr(thing, "__dict__", 0)))
    ]


async def failure_of(cluster: AsyncCluster) -> list[str]:
    """Connect to no avail; everything that can be seen of it."""
    told: list[str] = []
    try:
        await cluster.connect(timeout=10)
    except AsyncCassandraError as error:
        told += said_by(error)
    else:
        pytest.fail("connected")
    told += visible(cluster, cluster._control)
    await cluster.shutdown()
    return told + visible(cluster, cluster._control)


# Credentials


class Telling(Authenticator):
    """An authenticator that quotes its secret when a step of it fails."""

    def __init__(self, secret: str, failing: str, how: str) -> None:
        self.secret, self.failing, self.how = secret, failing, how

    def step(self, name: str, *seen: object) -> Any:
        secret = self.secret
        if name != self.failing:
            return b"\0user\0" + secret.encode("utf-8", "surrogateescape")
        if self.how == "raise":
            raise LookupError(f"no ticket for {secret} {seen}", secret)
        if self.how == "raise from":
            try:
                secret.encode("ascii")
                raise ValueError(secret)
            except ValueError as error:
                raise Exception({"password": secret}) from error
        if self.how == "group":
            raise ExceptionGroup(secret, [KeyError(secret)])
        return {"dict": {"password": secret}, "list": [secret], "text": f"{secret}\udcff"}[self.how]

    def initial_response(self) -> Any:
        return self.step("initial_response")

    def evaluate_challenge(self, challenge: bytes | None) -> Any:
        return self.step("evaluate_challenge", challenge)

    def on_authentication_success(self, token: bytes | None) -> None:
        self.step("on_authentication_success", token)


class TellingProvider(AuthProvider):
    """:param first: which connection's authenticator is the first one to fail"""

    def __init__(self, secret: str, failing: str, how: str, first: int = 0) -> None:
        self.secret, self.failing, self.how, self.first = secret, failing, how, first
        self.made = 0

    def new_authenticator(self, host: str) -> Authenticator:
        self.made += 1
        failing = self.failing if self.made > self.first else ""
        if failing == "new_authenticator":
            raise LookupError(self.secret)
        return Telling(self.secret, failing, self.how)


def challenging(secret: str) -> Callable[[Request], None]:
    """A peer that challenges with a secret once, and then lets in with another."""
    token = secret.encode("utf-8", "surrogateescape")
    challenged: set[object] = set()

    def answer(request: Request) -> None:
        if request.opcode is not Opcode.AUTH_RESPONSE:
            request.reply_void()
        elif request.connection in challenged:
            request.reply_auth_success(token.replace(b"\xe4", b""))
        else:
            challenged.add(request.connection)
            request.reply_auth_challenge(token)

    return answer


@asynccontextmanager
async def secure_peer() -> AsyncIterator[ScriptedPeer]:
    automatic = set(Automatic) - {Automatic.AUTHENTICATION}
    async with ScriptedPeer(password=("user", "other"), automatic=tuple(automatic)) as peer:
        yield peer


STEPS = [
    ("new_authenticator", "raise"),
    *(
        (step, how)
        for step in ("initial_response", "evaluate_challenge")
        for how in ("raise", "raise from", "group", "dict", "list", "text")
    ),
    ("on_authentication_success", "raise"),
    ("on_authentication_success", "raise from"),
]


@pytest.mark.parametrize("first", [0, 1], ids=["control connection", "data connection"])
@pytest.mark.parametrize(("failing", "how"), STEPS)
@pytest.mark.parametrize(
    "secret", [SECRETS["plain"], SECRETS["from os.environ"]], ids=["plain", "raw"]
)
async def test_authenticator_that_fails_tells_nothing(
    secret: str, failing: str, how: str, first: int, records: Records
) -> None:
    async with secure_peer() as peer:
        peer.respond_with(challenging(secret))
        provider = TellingProvider(secret, failing, how, first)
        told = await failure_of(AsyncCluster([peer.host], port=peer.port, auth_provider=provider))
    assert any("auth_provider failed" in text and failing in text for text in told)
    assert leaks(told + records.texts, secret) == []


def echo(request: Request) -> None:
    told = (request.token or b"").decode("utf-8", "replace").rpartition("\0")[2]
    request.reply_error(ErrorCode.BAD_CREDENTIALS, f"user may not enter with '{told}'")


def overload(request: Request) -> None:
    told = (request.token or b"").decode("utf-8", "replace").rpartition("\0")[2]
    request.reply_error(ErrorCode.OVERLOADED, f"cannot take {told} now")


@pytest.mark.parametrize("answer", [echo, overload, Request.drop, Request.reply_void])
@secret_shapes
async def test_credentials_that_are_refused_are_told_to_nobody(
    secret: str, answer: Callable[[Request], None], records: Records
) -> None:
    async with secure_peer() as peer:
        peer.respond_with(answer)
        provider = PlainTextAuthProvider("user", secret)
        told = await failure_of(AsyncCluster([peer.host], port=peer.port, auth_provider=provider))
        made = AsyncCluster.create_with_auth([peer.host], "user", secret, port=peer.port)
        told += await failure_of(made)
    assert leaks(told + records.texts, secret) == []


async def test_password_of_another_encoding_is_named_not_shown() -> None:
    async with secure_peer() as peer:
        provider = PlainTextAuthProvider("user", SECRETS["from os.environ"])
        cluster = AsyncCluster([peer.host], port=peer.port, auth_provider=provider)
        with pytest.raises(AsyncCassandraError, match="cannot be encoded as UTF-8"):
            await cluster.connect()
        await cluster.shutdown()


# Settings of the wrong kind

WRONG: list[Callable[[str], object]] = [
    lambda secret: {"username": "user", "password": secret},
    lambda secret: [secret],
    lambda secret: (secret, secret),
    lambda secret: secret,
    lambda secret: f"cql://user:{secret}@db.example:9042/ks?password={secret}",
    lambda secret: secret.encode("utf-8", "surrogateescape"),
    lambda secret: {secret: secret},
    lambda secret: type("Settings", (), {"__repr__": lambda self: secret})(),
]


def settings_of(kind: Any) -> list[str]:
    names = inspect.signature(kind).parameters
    return [name for name in names if name not in ("self", "kwargs", "args")]


def driver_settings() -> list[str]:
    from async_cassandra._driver.cluster_names import Cluster

    return sorted({*settings_of(AsyncCluster), *settings_of(Cluster.__init__)})


def refused_port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"debug": True})], ids=["asyncio-debug"])
@pytest.mark.parametrize("name", driver_settings())
@pytest.mark.filterwarnings("ignore")
async def test_setting_of_the_wrong_kind_is_not_shown(name: str, records: Records) -> None:
    for wrong in WRONG:
        if name == "contact_points" and wrong in WRONG[1:3]:
            continue  # a name is shown, lest nobody knows which one has no address
        if name == "tls" and wrong in WRONG[3:5]:
            continue  # a path is shown
        told = await told_of_cluster({name: wrong(SECRETS["plain"])})
        assert leaks(told + records.texts, SECRETS["plain"]) == []


async def told_of_cluster(settings: dict[str, Any]) -> list[str]:
    told: list[str] = []
    local: dict[str, Any] = {"contact_points": ["127.0.0.1"], "port": refused_port()}
    try:
        cluster = AsyncCluster(**(local | settings))
        told.append(repr(cluster))
        async with cluster, cluster.connect(timeout=5):
            pass
    except Exception as error:  # noqa: BLE001  what it is matters elsewhere
        told += said_by(error, frames=False)
    return told


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, name)
        for kind in (
            ClientOptions,
            TlsOptions,
            SlowQueryLog,
            PercentileSpeculativeExecutionPolicy,
            create_metrics_system,
        )
        for name in settings_of(kind)
        if not (
            kind is TlsOptions and name.endswith(("file", "hostname"))
        )  # paths, names are shown
    ],
)
def test_option_of_the_wrong_kind_is_not_shown(kind: Any, name: str) -> None:
    for wrong in WRONG:
        for secret in SECRETS.values():
            told: list[str] = []
            try:
                made = kind(**{name: wrong(secret)})
                told.append(repr(made))
                if kind is TlsOptions:
                    AsyncCluster(tls=made)
            except Exception as error:  # noqa: BLE001  what it is matters elsewhere
                told += said_by(error, frames=False)
            assert leaks(told, secret) == []


@pytest.mark.parametrize(
    "point",
    [
        "user:{}@db.example",
        "cql://user:{}@db.example:9042",
        "db.example?password={}",
        "db.example/{}",
        "db.example:{}",
        "db.example {}",
    ],
)
@secret_shapes
def test_contact_point_that_is_a_url_is_refused_and_not_shown(
    secret: str, point: str, records: Records
) -> None:
    text = point.format(secret)
    for points in ([text], text, ["127.0.0.1", text], [(text, 9042)], {text: 9042}):
        with pytest.raises(AsyncCassandraError, match="contact_points") as failure:
            AsyncCluster(points)  # type: ignore[arg-type]
        assert leaks(said_by(failure.value, frames=False) + records.texts, secret) == []


# TLS


@pytest.fixture
def encrypted_key(tmp_path: Path) -> tuple[Path, Path]:
    import trustme
    from cryptography.hazmat.primitives import serialization as pem

    certificate = trustme.CA().issue_cert("client")
    chain, key_file = tmp_path / "client.pem", tmp_path / "client.key"
    chain.write_bytes(certificate.cert_chain_pems[0].bytes())
    key = pem.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    encryption = pem.BestAvailableEncryption(b"another")
    key_file.write_bytes(key.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, encryption))
    return chain, key_file


@secret_shapes
async def test_key_password_is_told_to_nobody(
    secret: str, encrypted_key: tuple[Path, Path], records: Records
) -> None:
    chain, key = encrypted_key
    told: list[str] = []
    passwords: list[Any] = [
        secret,
        {"password": secret},
        [secret],
        secret.encode("utf-8", "replace"),
    ]
    for password in passwords:
        options = TlsOptions(certificate_file=chain, key_file=key, key_password=password)
        told += visible(options)
        for use in (options.context, lambda options=options: AsyncCluster(tls=options)):
            with pytest.raises(AsyncCassandraError) as failure:
                use()
            told += said_by(failure.value)
    assert leaks(told + records.texts, secret) == []


async def test_tls_failure_tells_no_secret_of_the_options(records: Records) -> None:
    secret = SECRETS["plain"]
    async with ScriptedPeer() as peer:
        options = {"check_hostname": False, "password": secret, "keyfile_password": secret}
        for more in ({"ssl_options": options}, {"ssl_context": ssl.create_default_context()}):
            try:
                cluster = AsyncCluster(
                    [peer.host],
                    port=peer.port,
                    auth_provider=PlainTextAuthProvider("user", secret),
                    **more,
                )
            except AsyncCassandraError as error:
                # The caller is among the frames, with all that it passed.
                told = said_by(error, frames=False)
            else:
                told = await failure_of(cluster)
            assert leaks(told + records.texts, secret) == []


def test_server_name_of_the_wrong_kind_is_not_shown() -> None:
    secret = SECRETS["plain"]
    for wrong in ({"password": secret}, [secret], secret.encode()):
        with pytest.raises(AsyncCassandraError, match="server_hostname") as failure:
            TlsOptions(server_hostname=wrong)  # type: ignore[arg-type]
        assert leaks(said_by(failure.value, frames=False), secret) == []
