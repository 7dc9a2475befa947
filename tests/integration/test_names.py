"""Names beyond ASCII: Cassandra writes some of them as Latin-1, with "?" for what that lacks."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import cassandra
import pytest
from cassandra.metadata import SchemaParserV3

from async_cassandra import AsyncCassandraSession, AsyncCluster, QueryError
from tests.integration.conftest import Backend
from tests.integration.test_schema_changes import REPLICATION, SchemaListener
from tests.support.wire_names import as_cassandra_writes, as_read

pytestmark = pytest.mark.anyio

numbers = itertools.count()
NAMES = ["größe", "Ã¤", "名前", "😀", "a?b", 'q"q', "İ", "plain"]


@dataclass
class Two:
    """A session that changes the schema, and one of another cluster that watches."""

    changing: AsyncCassandraSession
    watching: AsyncCassandraSession
    listener: SchemaListener

    @property
    def clusters(self) -> list[AsyncCluster]:
        return [self.changing.cluster, self.watching.cluster]

    async def execute(self, cql: str) -> None:
        """Change the schema, and have it change nothing but the schema."""
        connections = [self.connections(session) for session in (self.changing, self.watching)]
        await self.changing.execute(cql)
        for session in (self.changing, self.watching):
            assert (await session.execute("SELECT key FROM system.local")).one().key == "local"
        assert connections == [
            self.connections(session) for session in (self.changing, self.watching)
        ]

    @staticmethod
    def connections(session: AsyncCassandraSession) -> list[Any]:
        control = session._core.control.cluster
        assert control is not None
        connection = control.control_connection._connection
        assert not connection.is_defunct
        return [connection, *session._core.nodes.connections()]

    async def see(self, condition: Callable[[Any], bool]) -> None:
        """The changing session's metadata is right at once, the other's after an event."""
        assert self.changing.cluster.metadata is not None
        assert condition(self.changing.cluster.metadata)
        while not condition(self.watching.cluster.metadata):
            await self.listener.changed()


@pytest.fixture(scope="module")
async def two(
    anyio_backend: Backend, settings: dict[str, Any], cassandra_keyspace: str
) -> AsyncIterator[Two]:
    options = settings | {"schema_event_refresh_window": 0}
    async with (
        AsyncCluster(**options) as first,
        AsyncCluster(**options) as second,
        first.connect(cassandra_keyspace) as changing,
        second.connect(cassandra_keyspace) as watching,
        SchemaListener(watching) as listener,
    ):
        yield Two(changing, watching, listener)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.mark.parametrize("name", NAMES)
async def test_type_of_any_name_is_created_altered_and_dropped(
    two: Two, cassandra_keyspace: str, name: str
) -> None:
    def fields(metadata: Any) -> list[str] | None:
        user_type = metadata.keyspaces[cassandra_keyspace].user_types.get(name)
        return None if user_type is None else list(user_type.field_names)

    await two.execute(f"CREATE TYPE {quoted(name)} (a int)")
    await two.see(lambda metadata: fields(metadata) == ["a"])
    await two.execute(f"ALTER TYPE {quoted(name)} ADD {quoted(name)} text")
    await two.see(lambda metadata: fields(metadata) == ["a", name])
    await two.execute(f"DROP TYPE {quoted(name)}")
    await two.see(lambda metadata: fields(metadata) is None)


def has_type(keyspace: str, name: str, metadata: Any) -> bool:
    return name in metadata.keyspaces[keyspace].user_types


async def test_types_whose_names_look_alike_on_the_wire_are_kept_apart(
    two: Two, cassandra_keyspace: str
) -> None:
    """Created by others while the second is told of names that are not theirs."""
    names = ["Ã¤", "ä", "名前", "前名", "??"]
    for name in names:
        await two.execute(f"CREATE TYPE {quoted(name)} (a int)")
    for name in reversed(names):
        await two.see(partial(has_type, cassandra_keyspace, name))
        await two.execute(f"DROP TYPE {quoted(name)}")
        await two.see(lambda metadata: not has_type(cassandra_keyspace, name, metadata))  # noqa: B023


@pytest.mark.parametrize("name", NAMES)
async def test_column_of_any_name_is_created_read_and_dropped(
    two: Two, cassandra_keyspace: str, name: str
) -> None:
    table, column = f"t{next(numbers)}", quoted(name)

    def columns(metadata: Any) -> set[str]:
        found = metadata.keyspaces[cassandra_keyspace].tables.get(table)
        return set() if found is None else set(found.columns)

    await two.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, {column} text)")
    await two.see(lambda metadata: columns(metadata) == {"id", name})
    insert = await two.changing.prepare(f"INSERT INTO {table} (id, {column}) VALUES (?, ?)")
    await two.changing.execute(insert, (1, name))
    for statement in (
        f"SELECT {column} FROM {table}",
        await two.watching.prepare(f"SELECT {column} FROM {table}"),
    ):
        result = await two.watching.execute(statement)
        assert result.column_names == [name]
        assert result.one()[name] == name
    await two.execute(f"ALTER TABLE {table} ADD {quoted(name + '2')} int")
    await two.see(lambda metadata: columns(metadata) == {"id", name, name + "2"})
    await two.execute(f"DROP TABLE {table}")
    await two.see(lambda metadata: columns(metadata) == set())


@pytest.mark.parametrize("name", NAMES)
async def test_function_of_any_name_over_a_type_of_any_name(
    two: Two, cassandra_keyspace: str, name: str
) -> None:
    number = next(numbers)
    table, unique = f"t{number}", f"{name}_{number}"
    cql_name = quoted(unique)

    def functions(metadata: Any) -> list[str]:
        found = metadata.keyspaces[cassandra_keyspace].functions.values()
        return [each.name for each in found if each.name == unique]

    await two.execute(f"CREATE TYPE {cql_name} (a int)")
    await two.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, v frozen<{cql_name}>)")
    await two.execute(
        f"CREATE FUNCTION {cql_name} (v {cql_name}) CALLED ON NULL INPUT RETURNS int "
        'LANGUAGE java AS $$ throw new RuntimeException("größe 名前"); $$'
    )
    await two.see(lambda metadata: functions(metadata) == [unique])
    await two.changing.execute(f"INSERT INTO {table} (id, v) VALUES (1, {{a: 1}})")
    with pytest.raises(cassandra.FunctionFailure, match="größe 名前") as failure:
        await two.execute(f"SELECT {cql_name}(v) FROM {table}")
    assert failure.value.keyspace == cassandra_keyspace
    assert failure.value.function == as_read(as_cassandra_writes(unique))
    assert unique in failure.value.arg_types[0].replace('""', '"')
    await two.execute(f"DROP FUNCTION {cql_name}")
    await two.see(lambda metadata: functions(metadata) == [])


@pytest.mark.parametrize("name", NAMES)
async def test_aggregate_of_any_name(two: Two, cassandra_keyspace: str, name: str) -> None:
    unique = f"{name}_{next(numbers)}"
    cql_name = quoted(unique)

    def aggregates(metadata: Any) -> list[str]:
        found = metadata.keyspaces[cassandra_keyspace].aggregates.values()
        return [each.name for each in found if each.name == unique]

    await two.execute(
        f"CREATE FUNCTION IF NOT EXISTS {quoted(name)} (a int, b int) CALLED ON NULL INPUT "
        "RETURNS int LANGUAGE java AS $$ return a + b; $$"
    )
    await two.execute(
        f"CREATE AGGREGATE {cql_name} (int) SFUNC {quoted(name)} STYPE int INITCOND 0"
    )
    await two.see(lambda metadata: aggregates(metadata) == [unique])
    await two.execute(f"DROP AGGREGATE {cql_name}")
    await two.see(lambda metadata: aggregates(metadata) == [])


@pytest.mark.parametrize("name", NAMES[:-1])
async def test_keyspaces_and_tables_have_plain_names_only(two: Two, name: str) -> None:
    for statement in (
        f"CREATE KEYSPACE {quoted(name)} WITH replication = {REPLICATION}",
        f"CREATE TABLE {quoted(name)} (id int PRIMARY KEY)",
    ):
        with pytest.raises(QueryError) as failure:
            await two.execute(statement)
        assert name in str(failure.value)


async def test_keyspace_is_read_whole_when_it_changes(two: Two) -> None:
    keyspace = f"names_{next(numbers)}"

    def replication(metadata: Any) -> str | None:
        found = metadata.keyspaces.get(keyspace)
        return None if found is None else found.replication_strategy.export_for_schema()

    await two.execute(f"CREATE KEYSPACE {keyspace} WITH replication = {REPLICATION}")
    await two.see(lambda metadata: "SimpleStrategy" in str(replication(metadata)))
    await two.execute(f"CREATE TABLE {keyspace}.t (id int PRIMARY KEY)")
    await two.execute(
        f"ALTER KEYSPACE {keyspace} WITH replication = "
        "{'class': 'NetworkTopologyStrategy', 'datacenter1': 1}"
    )
    await two.see(lambda metadata: "NetworkTopology" in str(replication(metadata)))
    for cluster in two.clusters:
        assert cluster.metadata is not None
        assert set(cluster.metadata.keyspaces[keyspace].tables) == {"t"}
    await two.execute(f"DROP KEYSPACE {keyspace}")
    await two.see(lambda metadata: replication(metadata) is None)


ARGUMENTS = [
    *("int", "varchar", "counter", "duration", "list<int>", "map<int, varchar>"),
    *("vector<float, 3>", "tuple<int, text>", "{udt}", "list<frozen<{udt}>>"),
    *("tuple<int, {udt}>", "map<text, frozen<list<frozen<{udt}>>>>"),
]


@pytest.fixture(scope="module")
async def alone(
    anyio_backend: Backend, settings: dict[str, Any], cassandra_keyspace: str
) -> AsyncIterator[AsyncCassandraSession]:
    """A session whose metadata follow its own changes only."""
    options = settings | {"schema_event_refresh_window": -1}
    async with AsyncCluster(**options) as cluster, cluster.connect(cassandra_keyspace) as session:
        yield session


@pytest.mark.parametrize("argument", ARGUMENTS)
async def test_function_and_aggregate_of_any_argument_come_and_go(
    alone: AsyncCassandraSession, two: Two, cassandra_keyspace: str, argument: str
) -> None:
    """Some types are written otherwise where they are stored than where they are told of."""
    number = next(numbers)
    await alone.execute(f"CREATE TYPE udt{number} (a int)")
    cql_type = argument.format(udt=f"udt{number}")

    def known(metadata: Any) -> tuple[list[str], list[str]]:
        keyspace = metadata.keyspaces[cassandra_keyspace]
        functions = [each.name for each in keyspace.functions.values()]
        aggregates = [each.name for each in keyspace.aggregates.values()]
        name = f"f{number}"
        return ([n for n in functions if n == name], [n for n in aggregates if n == name])

    async def see(functions: int, aggregates: int) -> None:
        wanted = [f"f{number}"] * functions, [f"f{number}"] * aggregates
        assert known(alone.cluster.metadata) == wanted
        while known(two.watching.cluster.metadata) != wanted:
            await two.listener.changed()

    await alone.execute(
        f"CREATE FUNCTION f{number} (s int, v {cql_type}) CALLED ON NULL INPUT RETURNS int "
        "LANGUAGE java AS $$ return 1; $$"
    )
    await see(1, 0)
    await alone.execute(
        f"CREATE FUNCTION f{number} (s int, v {cql_type}, w int) CALLED ON NULL INPUT RETURNS int "
        "LANGUAGE java AS $$ return 1; $$"
    )
    await see(2, 0)
    await alone.execute(
        f"CREATE AGGREGATE f{number} ({cql_type}) SFUNC f{number} STYPE int INITCOND 0"
    )
    await see(2, 1)
    await alone.execute(f"DROP AGGREGATE f{number} ({cql_type})")
    await see(2, 0)
    await alone.execute(f"DROP FUNCTION f{number} (int, {cql_type})")
    await see(1, 0)
    await alone.execute(f"DROP FUNCTION f{number} (int, {cql_type}, int)")
    await see(0, 0)


async def test_changes_side_by_side_are_all_seen(
    two: Two, cassandra_keyspace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names in doubt have a whole keyspace read again, while others' changes are read one by one."""
    metadata = two.changing.cluster.metadata
    assert metadata is not None
    read = SchemaParserV3.get_all_keyspaces

    def read_slowly(parser: Any) -> list[Any]:
        found = list(read(parser))
        time.sleep(0.05)
        return found

    monkeypatch.setattr(SchemaParserV3, "get_all_keyspaces", read_slowly)

    async def change(name: str) -> None:
        for _ in range(4):
            unique = f"{name}_{next(numbers)}"
            await two.changing.execute(f"CREATE TYPE {quoted(unique)} (a int)")
            for _ in range(50):
                # What others have read before may come meanwhile.
                assert has_type(cassandra_keyspace, unique, metadata), unique
                await asyncio.sleep(0.002)

    await asyncio.gather(*(change(name) for name in NAMES))
