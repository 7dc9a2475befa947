"""Any bytes in any place where a name or a text stands: no connection is lost for them."""

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from cassandra.auth import PlainTextAuthProvider

from async_cassandra import AsyncCassandraSession, AsyncCluster, QueryError
from tests.net.test_control_plane import Events
from tests.support.cql_values import UserType
from tests.support.native_protocol import Compression, Writer
from tests.support.peer_replies import ErrorCode
from tests.support.request_rig import INT_ROW
from tests.support.scripted_peer import Automatic, Request, ScriptedPeer
from tests.support.wire_names import anything, as_read

pytestmark = pytest.mark.anyio

HOST = "127.0.4.21"
ROUNDS = 40
WRITE = "INSERT INTO ks.t (v) VALUES (1)"
TARGETS = ("KEYSPACE", "TABLE", "TYPE", "FUNCTION", "AGGREGATE")
WITH_TEXTS: Mapping[ErrorCode, tuple[str, ...]] = {
    ErrorCode.FUNCTION_FAILURE: ("keyspace", "function"),
    ErrorCode.ALREADY_EXISTS: ("keyspace", "table"),
    ErrorCode.WRITE_TIMEOUT: ("write_type",),
    ErrorCode.WRITE_FAILURE: ("write_type",),
    ErrorCode.INVALID: (),
    ErrorCode.SYNTAX: (),
    ErrorCode.UNAUTHORIZED: (),
    ErrorCode.CONFIG: (),
    ErrorCode.SERVER: (),
}


@pytest.fixture
def rng() -> random.Random:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    return random.Random(seed)


@asynccontextmanager
async def connected(
    version: int, peer: ScriptedPeer | None = None, **options: Any
) -> AsyncIterator[tuple[ScriptedPeer, AsyncCassandraSession]]:
    """A session whose connections are the same ones at the end."""
    async with (
        peer or ScriptedPeer(host=HOST) as server,
        AsyncCluster(
            [HOST],
            port=server.port,
            protocol_version=version,
            schema_event_refresh_window=0,
            status_event_refresh_window=0,
            topology_event_refresh_window=0,
            **options,
        ) as cluster,
        cluster.connect() as session,
    ):
        before = list(server.connections)
        yield server, session
        assert server.open_connections == before == server.connections


def answering(peer: ScriptedPeer, reply: str, **what: Any) -> None:
    """Answer what comes with that method of the request."""
    peer.respond_with(lambda request: getattr(request, f"reply_{reply}")(**what))


# Data connections


@pytest.mark.parametrize("version", [4, 5])
async def test_rows_with_any_names(version: int, rng: random.Random) -> None:
    async with connected(version) as (peer, session):
        for _ in range(ROUNDS):
            ks, table, column, field, own, custom, warning, key = (anything(rng) for _ in range(8))
            columns = [
                (column, "int"),
                (anything(rng), UserType(ks, own, ((field, "int"), (field + "2", "text")))),
                (anything(rng), custom.replace("<", "")),
            ]
            what: dict[str, Any] = {"table": (ks, table)} if rng.random() < 0.5 else {}
            what |= {"columns": columns, "rows": [(5, (6, "seven"), b"\1")]}
            what |= {"warnings": [warning], "custom_payload": {key: b"p"}}
            answering(peer, "rows", **what)
            result = await session.execute(WRITE)
            row = result.one()
            assert row[0] == 5
            assert tuple(row[1]) == (6, "seven")
            assert result.column_names == [as_read(name) for name, _ in columns]
            assert result.warnings == [as_read(warning)]
            assert result.custom_payload == {as_read(key): b"p"}


@pytest.mark.parametrize("version", [4, 5])
async def test_statements_with_any_names(version: int, rng: random.Random) -> None:
    async with connected(version) as (peer, session):
        for number in range(ROUNDS):
            ks, table, parameter, column, own, field = (anything(rng) for _ in range(6))
            columns = [
                (parameter, "int"),
                (parameter + "2", UserType(ks, own, ((field, "int"), (field + "2", "int")))),
            ]
            result_columns = [(column, "int")]
            answering(
                peer,
                "prepared",
                prepared_id=b"%d" % number,
                columns=columns,
                result_columns=result_columns,
                table=(ks, table),
            )
            statement = await session.prepare(f"SELECT {number} WHERE k = ? AND u = ?")
            answering(peer, "rows", columns=result_columns, rows=[(7,)])
            row = (await session.execute(statement, (1, (2, 3)))).one()
            assert row[0] == row[as_read(column)] == 7


@pytest.mark.parametrize("version", [4, 5])
async def test_schema_changes_and_errors_with_any_texts(version: int, rng: random.Random) -> None:
    async with connected(version) as (peer, session):
        for _ in range(ROUNDS):
            texts = [anything(rng) for _ in range(5)]
            change, target = rng.choice([texts[0], "UPDATED"]), rng.choice([texts[1], *TARGETS])
            answering(
                peer,
                "schema_change",
                change=change,
                target=target,
                keyspace=texts[2],
                name=texts[3],
                arguments=texts[4:],
            )
            result = await session.execute(WRITE)
            assert result.all() == []
            code, message = rng.choice(list(WITH_TEXTS)), anything(rng)
            fields: dict[str, Any] = {name: anything(rng) for name in WITH_TEXTS[code]}
            if code is ErrorCode.FUNCTION_FAILURE:
                fields["argument_types"] = texts
            answering(peer, "error", code=code, message=message, **fields)
            with pytest.raises(QueryError) as failure:
                await session.execute(WRITE)
            assert as_read(message) in str(failure.value)


# Control connections, and how both kinds begin


@pytest.mark.parametrize("version", [4, 5])
async def test_events_with_any_texts(version: int, rng: random.Random) -> None:
    events = Events()
    async with connected(version) as (peer, session):
        session._core.control.add_listener(events)
        for _ in range(ROUNDS):
            change, target, ks, name = (anything(rng) for _ in range(4))
            change, target = rng.choice([change, "UPDATED"]), rng.choice([target, *TARGETS])
            peer.push_schema_change(change, target, ks, name)
            peer.push_status_change(anything(rng), HOST)
            peer.push_topology_change(anything(rng), HOST)
            for event_type in ("STATUS_CHANGE", "SCHEMA_CHANGE"):
                peer._push(event_type, Writer().write_string(anything(rng)).getvalue())
        # The one that is heard of comes after all of them.
        peer.tables.add_keyspace("heard_of")
        peer.push_schema_change("CREATED", "KEYSPACE", "heard_of")
        while (await events.next("schema"))[0].get("keyspace") != "heard_of":
            pass


@pytest.mark.parametrize("version", [4, 5])
async def test_handshake_and_system_tables_with_any_texts(version: int, rng: random.Random) -> None:
    provider = PlainTextAuthProvider("cassandra", "secret")
    for _ in range(5):
        odd = OddPeer(rng, host=HOST, password=("cassandra", "secret"))
        async with connected(version, odd, auth_provider=provider) as (peer, session):
            peer.respond_with(lambda request: request.reply_rows(INT_ROW, [(1,)]))
            assert (await session.execute("SELECT v FROM ks.t")).one().v == 1
            assert session.cluster.metadata is not None
            assert set(session.cluster.metadata.keyspaces) == {odd.keyspace}


class OddPeer(ScriptedPeer):
    """Speaks of itself in any bytes where it may."""

    def __init__(self, rng: random.Random, **options: Any) -> None:
        super().__init__(automatic=tuple(set(Automatic) - {Automatic.SYSTEM_TABLES}), **options)
        self.rng = rng
        self.keyspace = as_read(anything(rng))
        self.tables.add_keyspace(self.keyspace)
        self.respond_with(self._speak)

    def supported_options(self) -> dict[str, Any]:
        return super().supported_options() | {
            anything(self.rng): [anything(self.rng), anything(self.rng)]
        }

    def accept_startup(self, request: Request) -> None:
        request.connection.agreed_compression = Compression(
            request.startup_options.get("COMPRESSION")
        )
        request.reply_authenticate(anything(self.rng))

    def _speak(self, request: Request) -> None:
        answer = self.tables.answer(request.query or "")
        assert answer is not None
        odd = anything(self.rng)
        columns = [*answer.columns, (odd, "int")]
        request.reply_rows(
            columns,
            [(*row, 1) for row in answer.rows],
            table=(anything(self.rng), anything(self.rng)),
            warnings=[anything(self.rng)],
            custom_payload={anything(self.rng): b"p"},
        )
