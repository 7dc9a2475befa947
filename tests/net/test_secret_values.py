"""Statements and values are repeated by no failing path: they may be secrets too."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import prometheus_client
import pytest
from cassandra.query import BatchStatement
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from async_cassandra import AsyncCluster
from async_cassandra._cql.redaction import without_values
from async_cassandra._wire.requests import Query
from async_cassandra.contrib.opentelemetry import OpenTelemetryObserver
from async_cassandra.exceptions import AsyncCassandraError, QueryError
from async_cassandra.metrics import (
    InMemoryMetricsCollector,
    MetricsMiddleware,
    PrometheusMetricsCollector,
)
from async_cassandra.observers import SlowQueryLog
from tests.support.native_protocol import Opcode
from tests.support.peer_replies import ErrorCode
from tests.support.scripted_peer import Request, ScriptedPeer
from tests.support.secrets import SECRETS, Records, leaks, said_by

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.fixture
def records() -> Any:
    with Records() as collected:
        yield collected


def role(secret: str) -> str:
    quoted = secret.replace("'", "''")
    return f"CREATE ROLE app WITH PASSWORD = '{quoted}' AND LOGIN = true"


STATEMENTS: list[Callable[[str], str]] = [
    role,
    lambda secret: role(secret) + " ANDX",
    lambda secret: f"ALTER ROLE app WITH password='{secret.replace("'", "''")}'",
    lambda secret: f"CREATE USER app WITH PASSWORD $${secret}$$ SUPERUSER",
    lambda secret: f"INSERT INTO ks.t (k, v) VALUES (1, '{secret.replace("'", "''")}')",
    lambda secret: f"SELECT * FROM ks.t WHERE k = '{secret.replace("'", "''")}' -- {secret}",
]
CODES = [
    ErrorCode.SYNTAX,
    ErrorCode.INVALID,
    ErrorCode.SERVER,
    ErrorCode.OVERLOADED,
    ErrorCode.UNAUTHORIZED,
    ErrorCode.CONFIG,
]


SENDABLE = [SECRETS[name] for name in ("plain", "quotes", "not ascii")]


class Watchers:
    """All that watches requests, and what it has seen."""

    def __init__(self) -> None:
        self.spans = InMemorySpanExporter()
        tracing = TracerProvider()
        tracing.add_span_processor(SimpleSpanProcessor(self.spans))
        self.reader = InMemoryMetricReader()
        self.registry = prometheus_client.CollectorRegistry()
        self.metrics = MetricsMiddleware(
            [InMemoryMetricsCollector(), PrometheusMetricsCollector(registry=self.registry)]
        )
        self.observers = [
            OpenTelemetryObserver(
                tracer_provider=tracing, meter_provider=MeterProvider([self.reader])
            ),
            SlowQueryLog(0.0),
        ]

    async def told(self) -> list[str]:
        told = [span.to_json() for span in self.spans.get_finished_spans()]
        told.append(str(self.reader.get_metrics_data()))
        told.append(prometheus_client.generate_latest(self.registry).decode())
        return told + [str(await one.get_stats()) for one in self.metrics.collectors]


@asynccontextmanager
async def watched_session(
    answer: Callable[[Request], None],
) -> AsyncIterator[tuple[Any, Watchers]]:
    watchers = Watchers()
    async with ScriptedPeer() as peer:
        peer.respond_with(answer)
        cluster = AsyncCluster(
            [peer.host],
            port=peer.port,
            observers=watchers.observers,
            metrics=watchers.metrics,
        )
        async with cluster, cluster.connect() as session:
            yield session, watchers


def quoting(code: int) -> Callable[[Request], None]:
    """A server that quotes the statement in its error, whole and the tokens of a syntax error."""

    def answer(request: Request) -> None:
        query = request.query or str(request.statements[0].query)
        words = query.split()
        text = f"line 1:39 no viable alternative (...{' '.join(words[3:])} [{words[-1]}]); {query}"
        request.reply_error(code, text)

    return answer


@pytest.mark.parametrize("code", CODES)
async def test_server_that_quotes_a_statement_is_not_repeated(code: int, records: Records) -> None:
    async with watched_session(quoting(code)) as (session, watchers):
        for secret, statement in itertools.product(SENDABLE, STATEMENTS):
            text, batch = statement(secret), BatchStatement()
            batch.add(text)
            told: list[str] = []
            for call, what in (
                (session.execute, text),
                (session.prepare, text),
                (session.execute, batch),
            ):
                with pytest.raises(QueryError) as failure:
                    await call(what)
                told += said_by(failure.value, frames=False)
            told += [*await watchers.told(), repr(session)]
            assert leaks(told + records.texts, secret) == []


def quoting_values(request: Request) -> None:
    if request.opcode is Opcode.PREPARE:
        request.reply_prepared(b"id", [("v", "varchar"), ("k", "int")])
        return
    told = [
        value.decode("utf-8", "replace")
        for value in (request.values or ())
        if isinstance(value, bytes)
    ]
    request.reply_error(ErrorCode.INVALID, f'cannot decode JSON {told} and "{told[0]}"')


async def test_server_that_quotes_values_is_not_repeated(records: Records) -> None:
    async with watched_session(quoting_values) as (session, watchers):
        for secret in (SECRETS["plain"], SECRETS["not ascii"]):
            with pytest.raises(QueryError) as failure:
                await session.execute("INSERT INTO ks.t (v, k) VALUES (?, ?)", (secret, 1))
            told = said_by(failure.value, frames=False)
            assert "cannot decode JSON" in str(failure.value)
            assert leaks(told + records.texts + await watchers.told(), secret) == []


@pytest.mark.parametrize("answer", [Request.drop, lambda request: None], ids=["lost", "late"])
async def test_statement_that_is_not_answered_is_not_shown(
    answer: Callable[[Request], None], records: Records
) -> None:
    async with watched_session(answer) as (session, watchers):
        for secret in SENDABLE:
            for call in (session.execute, session.prepare):
                with pytest.raises(AsyncCassandraError) as failure:
                    await call(role(secret), timeout=0.2)
                told = said_by(failure.value, frames=False) + await watchers.told()
                assert leaks(told + records.texts, secret) == []


async def test_text_that_cannot_be_sent_is_not_shown(records: Records) -> None:
    secret = SECRETS["from os.environ"]
    async with watched_session(quoting(ErrorCode.INVALID)) as (session, watchers):
        calls: list[Callable[[], Any]] = [
            lambda: session.execute(role(secret)),
            lambda: session.prepare(role(secret)),
            lambda: session.execute("SELECT 1", custom_payload={secret: b"x"}),
            lambda: session.execute("SELECT 1", custom_payload={"k": secret}),
            lambda: session.execute("SELECT 1", custom_payload=[secret]),
            lambda: session.execute("SELECT 1", timeout=secret),
            lambda: session.execute("SELECT 1", execution_profile={"password": secret}),
            lambda: session.execute("SELECT 1", paging_state=secret),
            lambda: session.execute("SELECT %s", (secret,)),
            lambda: session.execute("SELECT %(a)s", {"b": secret}),
            lambda: session.set_keyspace(secret),
            lambda: session.set_keyspace({"password": secret}),
        ]
        for call in calls:
            with pytest.raises((AsyncCassandraError, TypeError, KeyError)) as failure:
                await call()
            told = said_by(failure.value, frames=False) + await watchers.told()
            assert leaks(told + records.texts, secret) == []


CQL_TYPES = [
    "ascii",
    "varchar",
    "blob",
    "boolean",
    "int",
    "bigint",
    "smallint",
    "tinyint",
    "varint",
    "decimal",
    "float",
    "double",
    "date",
    "time",
    "timestamp",
    "duration",
    "uuid",
    "timeuuid",
    "inet",
    "counter",
]


class Quoting:
    """A value whose every method raises with the secret."""

    def __init__(self, secret: str) -> None:
        self.secret = secret

    def fail(self, *_: object) -> Any:
        raise ValueError(self.secret)

    __index__ = __int__ = __float__ = __len__ = __iter__ = __bytes__ = __repr__ = __bool__ = fail

    @property
    def days_from_epoch(self) -> Any:
        raise ValueError(self.secret)


def wrong_values(secret: str) -> list[object]:
    number = int.from_bytes(secret.encode("utf-8", "surrogateescape"))
    return [
        secret,
        secret.encode("utf-8", "surrogateescape"),
        {"password": secret},
        [secret],
        (secret, secret),
        {secret},
        number,
        Quoting(secret),
    ]


@pytest.mark.parametrize("cql_type", CQL_TYPES)
async def test_value_that_cannot_be_sent_is_not_shown(cql_type: str, records: Records) -> None:
    def prepare(request: Request) -> None:
        if request.opcode is Opcode.PREPARE:
            request.reply_prepared(b"id", [("v", cql_type)])
        else:
            request.reply_void()

    async with watched_session(prepare) as (session, _):
        prepared = await session.prepare("INSERT INTO ks.t (v) VALUES (?)")
        for secret in SECRETS.values():
            for value in wrong_values(secret):
                forms = (secret, str(value)) if isinstance(value, int) else (secret,)
                for values in ((value,), {"v": value}):
                    try:
                        prepared.bind(values)
                    except AsyncCassandraError as error:
                        told = said_by(error, frames=False)
                        assert leaks(told + records.texts, *forms) == []


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (
            "CREATE ROLE x WITH PASSWORD = 's3cr3t-horse-battery'",
            "no viable alternative at input 's3cr3t' (... PASSWORD = ['s3cr3t-horse-batter]...)",
        ),
        (
            "CREATE ROLE x WITH PASSWORD = -- c\n s3cr3t",
            "line 2:1 no viable alternative at input 's3cr3t' ([CREATE] s3cr3t...)",
        ),
        (
            "INSERT INTO t (k, v) VALUES (1 's3cr3t-horse-battery')",
            "line 1:31 mismatched input (... VALUES (1 ['s3cr3t-horse-batter]...)",
        ),
    ],
)
def test_beginning_of_a_value_that_a_server_quotes_is_hidden(query: str, words: str) -> None:
    assert "s3cr3t" not in without_values(words, Query(query), None)
