"""Random rounds on a real node; after each of them all tables hold what their callers meant, and nothing else.

The plain driver is the other client, which changes the schema between the rounds, and the oracle,
which reads everything back. ``tests/model`` tries more, on nodes that it scripts.
"""

from __future__ import annotations

import asyncio
import os
import random
import struct
from collections.abc import AsyncIterator, Awaitable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from cassandra import InvalidRequest
from cassandra.query import BatchStatement as DriverBatchStatement
from cassandra.query import SimpleStatement

from async_cassandra import AsyncCassandraSession, AsyncCluster
from async_cassandra._session.config import ClientOptions
from async_cassandra.exceptions import (
    ParameterTypeError,
    ParameterValueError,
    StatementChangedError,
)
from async_cassandra.statements import BatchStatement, PreparedStatement
from tests.integration.conftest import Backend
from tests.model.caller import literal
from tests.model.schema import letters, value_of
from tests.support.request_rig import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

REPLICATION = "{'class': 'SimpleStrategy', 'replication_factor': 1}"
KINDS = ("int", "text", "float", "blob")
ROUNDS = 5
CALLS = 80
REFUSALS = (StatementChangedError, ParameterTypeError, ParameterValueError)


@dataclass(slots=True)
class Write:
    """One row that somebody means to write.

    :ivar places: keyspaces that may have been meant
    """

    key: int
    value: Any
    places: frozenset[str]
    outcome: str = "unknown"


@dataclass(slots=True)
class Held:
    statement: PreparedStatement
    keyspace: str
    kind: str


@dataclass
class Application:
    """Calls on one session, and what they mean."""

    session: AsyncCassandraSession
    plain: Any
    keyspaces: tuple[str, str]
    draw: random.Random
    kinds: dict[str, str] = field(default_factory=dict)
    held: list[Held] = field(default_factory=list)
    writes: dict[int, Write] = field(default_factory=dict)
    last_key: int = 0
    changing: list[str] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    heard: list[tuple[str, str]] = field(default_factory=list)

    # The control plane's events

    def on_schema_event(self, event: Mapping[str, Any], host: object) -> None:
        self.heard.append((event.get("change_type", ""), event.get("keyspace", "")))

    def ignore(self, *event: object) -> None:
        """Other events do not matter here."""

    on_up = on_down = on_add = on_remove = on_user_type = on_routing = on_schema_change = ignore

    # The other client

    async def ask(self, query: str, *, keyspace: str | None = None) -> list[Any]:
        if keyspace is not None:
            query = query.replace("{ks}", keyspace)
        return list(await asyncio.to_thread(self.plain.execute, query))

    async def recreate(self, keyspace: str, kind: str) -> None:
        """Create the table with another type, and prepare again what the application has prepared."""
        self.heard.clear()
        await self.ask("DROP TABLE IF EXISTS {ks}.t", keyspace=keyspace)
        await self.ask(f"CREATE TABLE {{ks}}.t (k int PRIMARY KEY, v {kind})", keyspace=keyspace)
        self.kinds[keyspace] = kind
        await asyncio.to_thread(self.prepare_elsewhere, keyspace)
        await until(lambda: ("CREATED", keyspace) in self.heard, 10)

    def prepare_elsewhere(self, keyspace: str) -> None:
        self.plain.set_keyspace(keyspace)
        self.plain.prepare(insert_text())

    # Calls

    def meant(self, own: str | None = None) -> frozenset[str]:
        if own is not None:
            return frozenset((own,))
        return frozenset({*self.changing, self.session.keyspace or ""})

    def write(self, places: frozenset[str], kind: str | None = None) -> Write:
        self.last_key += 1
        key = self.last_key
        kind = kind or self.kinds[min(places)]
        write = Write(key, value_of(kind, letters(key)), places)
        self.writes[key] = write
        return write

    def start(self, work: Awaitable[Any], writes: list[Write]) -> asyncio.Task[None]:
        async def run() -> None:
            try:
                await work
            except REFUSALS:
                outcome = "refused"
            except InvalidRequest:
                # A literal does not fit the other keyspace's column, which may have been meant too.
                assert all(len(write.places) > 1 for write in writes), f"{writes} ran elsewhere"
                outcome = "refused"
            else:
                outcome = "stored"
            for write in writes:
                write.outcome = outcome

        task = asyncio.Task(run(), loop=asyncio.get_running_loop(), eager_start=True)
        self.tasks.append(task)
        return task

    def call(self) -> None:
        """One call of any kind."""
        own = self.draw.choice((None, None, *self.keyspaces))
        form = self.draw.choice(("plain", "?", "?", "held", "held", "batch", "driver's batch"))
        if form == "held" and self.held:
            held = self.draw.choice(self.held)
            write = self.write(frozenset((held.keyspace,)), held.kind)
            values = (write.key, write.value)
            with suppress(*REFUSALS):
                self.start(self.session.execute(held.statement, values), [write])
            return
        writes = [self.write(self.meant(own)) for _ in range(3 if "batch" in form else 1)]
        if "batch" in form:
            self.start(self.session.execute(self.batch(form, writes, own)), writes)
            return
        marked = form == "?"
        text = insert_text() if marked else insert_text(writes[0])
        query = SimpleStatement(text, keyspace=own) if own is not None else text
        values = (writes[0].key, writes[0].value)
        self.start(self.session.execute(query, values if marked else None), writes)

    def batch(self, form: str, writes: list[Write], own: str | None) -> Any:
        batch: Any = BatchStatement() if form == "batch" else DriverBatchStatement()
        for number, write in enumerate(writes):
            if form == "batch" and number:
                batch.add(insert_text(), (write.key, write.value))
            else:
                batch.add(insert_text(write))
        batch.keyspace = own
        return batch

    def move(self) -> None:
        """Change the session's keyspace, and now and then give up on it."""
        target = self.draw.choice(self.keyspaces)
        work: Awaitable[Any] = (
            self.session.set_keyspace(target)
            if self.draw.random() < 0.5
            else self.session.execute(f"/* move */ USE {target}")
        )
        self.changing.append(target)
        task = self.start(work, [])
        if self.draw.random() < 0.5:
            asyncio.get_running_loop().call_later(self.draw.random() / 500, task.cancel)

    async def prepare(self) -> None:
        text = insert_text()
        statement = await self.session.prepare(text)
        keyspace = statement.keyspace or ""
        self.held.append(Held(statement, keyspace, self.kinds[keyspace]))

    async def round(self) -> None:
        for _ in range(CALLS):
            chance = self.draw.random()
            if chance < 0.05:
                self.move()
            elif chance < 0.1:
                self.start(self.prepare(), [])
            else:
                self.call()
            if self.tasks and self.draw.random() < 0.05:
                self.draw.choice(self.tasks).cancel()
            if self.draw.random() < 0.3:
                await asyncio.sleep(0)
        for task in self.tasks:
            with suppress(asyncio.CancelledError):
                await task
        self.tasks.clear()
        # What was given up may still come into force.
        await until(lambda: not self.session._core.executor.running)
        await self.session.set_keyspace(self.keyspaces[0])
        self.changing.clear()

    async def check(self) -> None:
        """Everything is where it was meant to be, as it was meant, and nothing else is there."""
        found: dict[int, list[tuple[str, Any]]] = {}
        for keyspace in self.keyspaces:
            for row in await self.ask("SELECT k, v FROM {ks}.t", keyspace=keyspace):
                found.setdefault(row.k, []).append((keyspace, row.v))
        for write in self.writes.values():
            there = found.pop(write.key, [])
            assert len(there) <= 1, f"{write} is in {there}"
            assert all(place in write.places and is_of(write, v) for place, v in there), (
                f"{write} is in {there}"
            )
            assert write.outcome != "stored" or there, f"{write} is nowhere"
            assert write.outcome != "refused" or not there, f"{write} is in {there}"
        assert not found


def insert_text(write: Write | None = None) -> str:
    values = "?, ?" if write is None else f"{write.key}, {literal(write.value)}"
    return f"INSERT INTO t (k, v) VALUES ({values})"


def is_of(write: Write, stored: Any) -> bool:
    """Whether a value is the one that was written."""
    given = write.value
    if len(write.places) > 1 and isinstance(stored, float) and isinstance(given, int):
        # Its value was made for the other keyspace's table; a float column takes a whole number.
        given = struct.unpack(">f", struct.pack(">f", given))[0]
    return type(stored) is type(given) and bool(stored == given)


@pytest.fixture
async def application(
    anyio_backend: Backend, settings: dict[str, Any], plain_session: Any, cassandra_keyspace: str
) -> AsyncIterator[Application]:
    seed = int(os.environ.get("MODEL_SEED", random.SystemRandom().randrange(2**32)))
    print(f"MODEL_SEED={seed}")
    keyspaces = (f"{cassandra_keyspace[:40]}_a", f"{cassandra_keyspace[:40]}_b")
    options = ClientOptions(max_in_flight=4, connections_per_node=2)
    async with (
        AsyncCluster(**settings, schema_event_refresh_window=0, client_options=options) as cluster,
        cluster.connect() as session,
    ):
        application = Application(session, plain_session, keyspaces, random.Random(seed))
        session._core.control.add_listener(application)
        for keyspace in keyspaces:
            await application.ask(f"CREATE KEYSPACE {keyspace} WITH replication = {REPLICATION}")
        try:
            yield application
        finally:
            for keyspace in keyspaces:
                await application.ask(f"DROP KEYSPACE {keyspace}")


async def test_every_row_is_where_its_writer_meant_it_to_be(application: Application) -> None:
    for number in range(ROUNDS):
        for place, keyspace in enumerate(application.keyspaces):
            kind = KINDS[(number + place) % len(KINDS)]
            if number % 2 == place or keyspace not in application.kinds:
                await application.recreate(keyspace, kind)
        await application.session.set_keyspace(application.keyspaces[number % 2])
        await application.prepare()
        await application.round()
        await application.check()
        for keyspace in application.keyspaces:
            await application.ask("TRUNCATE {ks}.t", keyspace=keyspace)
        # What was cancelled may arrive after its round.
        for write in application.writes.values():
            write.outcome = "unknown"
