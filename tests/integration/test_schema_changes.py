"""DDL and USE, and schema changes by others while statements are in use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import cassandra
import pytest
from cassandra.metadata import TableMetadata
from cassandra.pool import Host
from cassandra.query import BatchStatement as DriverBatchStatement

from async_cassandra import AsyncCassandraSession, AsyncCluster, QueryError
from async_cassandra.exceptions import (
    ConfigurationError,
    ParameterTypeError,
    ParameterValueError,
    StatementChangedError,
)
from async_cassandra.statements import BatchStatement
from tests.integration.conftest import Backend, NewTable

pytestmark = pytest.mark.anyio

WORKERS = 32
REPLICATION = "{'class': 'SimpleStrategy', 'replication_factor': 1}"


def table_metadata(cluster: AsyncCluster, table: str) -> TableMetadata | None:
    keyspace, name = table.split(".")
    assert cluster.metadata is not None
    found: TableMetadata | None = cluster.metadata.keyspaces[keyspace].tables.get(name)
    return found


@pytest.fixture
async def own_session(
    anyio_backend: Backend, settings: dict[str, Any], cassandra_keyspace: str
) -> AsyncIterator[AsyncCassandraSession]:
    """A session whose keyspace the test may change; it hears of others' changes at once."""
    async with (
        AsyncCluster(**settings, schema_event_refresh_window=0) as cluster,
        cluster.connect(cassandra_keyspace) as session,
    ):
        yield session


class SchemaListener:
    """Waits until the driver's metadata has a change."""

    def __init__(self, session: AsyncCassandraSession) -> None:
        self._control = session._core.control
        self._changed = asyncio.Event()

    async def __aenter__(self) -> SchemaListener:
        self._control.add_listener(self)
        return self

    async def __aexit__(self, *raised: object) -> None:
        self._control.remove_listener(self)

    async def changed(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    def on_schema_event(self, event: Mapping[str, Any], host: Host | None) -> None: ...

    def on_schema_change(self, event: Mapping[str, Any]) -> None:
        self._changed.set()

    def ignore(self, *event: object) -> None:
        """Other events do not matter here."""

    on_up = on_down = on_add = on_remove = on_user_type = on_routing = ignore


# DDL


async def test_metadata_has_table_at_once(
    session: AsyncCassandraSession, cluster: AsyncCluster, new_table: NewTable
) -> None:
    table = await new_table("id int PRIMARY KEY, v text")
    created = table_metadata(cluster, table)
    assert created is not None
    assert list(created.columns) == ["id", "v"]
    await session.execute(f"ALTER TABLE {table} ADD added list<int>")
    altered = table_metadata(cluster, table)
    assert altered is not None
    assert "added" in altered.columns
    await session.execute(f"DROP TABLE {table}")
    assert table_metadata(cluster, table) is None


async def test_metadata_has_everything_else_at_once(
    session: AsyncCassandraSession, cluster: AsyncCluster, new_table: NewTable
) -> None:
    table = await new_table("id int PRIMARY KEY, v text")
    keyspace, name = table.split(".")
    assert cluster.metadata is not None
    await session.execute(f"CREATE TYPE {keyspace}.{name}_type (a int)")
    await session.execute(f"CREATE INDEX {name}_index ON {table} (v)")
    await session.execute(
        f"CREATE FUNCTION {keyspace}.{name}_f (a int) RETURNS NULL ON NULL INPUT "
        "RETURNS int LANGUAGE java AS $$ return a; // ? $$"
    )
    metadata = cluster.metadata.keyspaces[keyspace]
    assert f"{name}_type" in metadata.user_types
    assert f"{name}_index" in metadata.tables[name].indexes
    assert f"{name}_f(int)" in metadata.functions
    await session.execute(f"CREATE KEYSPACE {keyspace}_x WITH replication = {REPLICATION}")
    assert f"{keyspace}_x" in cluster.metadata.keyspaces
    await session.execute(f"DROP KEYSPACE {keyspace}_x")
    assert f"{keyspace}_x" not in cluster.metadata.keyspaces
    await session.execute(f"DROP FUNCTION {keyspace}.{name}_f")
    assert f"{name}_f(int)" not in cluster.metadata.keyspaces[keyspace].functions


async def test_ddl_by_other_client_reaches_metadata(
    own_session: AsyncCassandraSession, plain_session: Any, cassandra_keyspace: str
) -> None:
    table = f"{cassandra_keyspace}.by_other_{id(own_session)}"
    async with SchemaListener(own_session) as listener:
        await asyncio.to_thread(plain_session.execute, f"CREATE TABLE {table} (id int PRIMARY KEY)")
        while table_metadata(own_session.cluster, table) is None:
            await listener.changed()


async def test_table_that_exists_is_already_exists(
    session: AsyncCassandraSession, new_table: NewTable
) -> None:
    table = await new_table("id int PRIMARY KEY")
    keyspace, name = table.split(".")
    with pytest.raises(cassandra.AlreadyExists) as failure:
        await session.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
    assert isinstance(failure.value, QueryError)
    assert (failure.value.keyspace, failure.value.table) == (keyspace, name)


async def test_many_ddl_at_once_are_executed(
    session: AsyncCassandraSession, cluster: AsyncCluster, cassandra_keyspace: str
) -> None:
    names = [f"{cassandra_keyspace}.at_once_{id(cluster)}_{number}" for number in range(5)]
    await asyncio.gather(
        *(session.execute(f"CREATE TABLE {name} (id int PRIMARY KEY)") for name in names)
    )
    assert all(table_metadata(cluster, name) is not None for name in names)
    for name in names:
        assert len(await session.execute(f"SELECT * FROM {name} WHERE id = ?", [1])) == 0


async def test_truncate_empties_table(session: AsyncCassandraSession, new_table: NewTable) -> None:
    table = await new_table("id int PRIMARY KEY")
    await session.execute(f"INSERT INTO {table} (id) VALUES (1)")
    await session.execute(f"TRUNCATE {table}", timeout=60)
    assert len(await session.execute(f"SELECT * FROM {table}")) == 0


# Keyspaces


@pytest.fixture(scope="module")
async def keyspaces(
    session: AsyncCassandraSession, cassandra_keyspace: str
) -> AsyncIterator[list[str]]:
    """Two keyspaces with a table each; the second's name has upper case and needs quotes."""
    names = [f"{cassandra_keyspace}_a", f"{cassandra_keyspace}_Bc"]
    for name in names:
        quoted = '"' + name.replace('"', '""') + '"'
        await session.execute(f"CREATE KEYSPACE {quoted} WITH replication = {REPLICATION}")
        await session.execute(
            f"CREATE TABLE IF NOT EXISTS {quoted}.where_am_i (id int PRIMARY KEY, v text)"
        )
        await session.execute(f"INSERT INTO {quoted}.where_am_i (id, v) VALUES (?, ?)", (1, name))
    yield names
    for name in names:
        quoted = '"' + name.replace('"', '""') + '"'
        await session.execute(f"DROP KEYSPACE {quoted}")


WHERE = "SELECT v FROM where_am_i"
WHERE_MARKED = "SELECT v FROM where_am_i WHERE id = ?"


async def where(session: AsyncCassandraSession) -> set[str]:
    """What the session's keyspace is to statements of every kind."""
    prepared = await session.prepare(WHERE_MARKED)
    batch = BatchStatement()
    batch.add("INSERT INTO where_am_i (id) VALUES (1)")
    batch.add("INSERT INTO where_am_i (id) VALUES (?)", (1,))
    await session.execute(batch)
    stream = await session.execute_stream(WHERE)
    return {
        (await session.execute(WHERE)).one().v,
        (await session.execute(WHERE_MARKED, (1,))).one().v,
        (await session.execute(prepared, (1,))).one().v,
        *[row.v async for row in stream],
    }


@pytest.mark.parametrize(
    "way", ["set_keyspace", "set_keyspace quoted", "USE", "USE prepared style"]
)
async def test_keyspace_is_changed(
    own_session: AsyncCassandraSession, keyspaces: list[str], way: str
) -> None:
    for name in [*keyspaces, *keyspaces]:
        quoted = '"' + name.replace('"', '""') + '"'
        if way == "set_keyspace":
            await own_session.set_keyspace(name)
        elif way == "set_keyspace quoted":
            await own_session.set_keyspace(quoted)
        elif way == "USE":
            await own_session.execute(f"USE {quoted}")
        else:
            await own_session.execute(f"  uSe\n{quoted} ;")
        assert own_session.keyspace == name
        assert await where(own_session) == {name}


@pytest.mark.parametrize("quoted", [False, True])
async def test_connect_takes_quoted_keyspace(
    cluster: AsyncCluster, keyspaces: list[str], quoted: bool
) -> None:
    for name in keyspaces:
        given = '"' + name.replace('"', '""') + '"' if quoted else name
        async with cluster.connect(given) as session:
            assert session.keyspace == name
            assert await where(session) == {name}


async def test_missing_keyspace_is_refused_and_old_one_stays(
    own_session: AsyncCassandraSession, keyspaces: list[str]
) -> None:
    await own_session.set_keyspace(keyspaces[0])
    for action in (
        own_session.set_keyspace("int_no_such_keyspace"),
        own_session.execute("USE int_no_such_keyspace"),
    ):
        with pytest.raises(QueryError, match="int_no_such_keyspace") as failure:
            await action
        assert isinstance(failure.value, cassandra.InvalidRequest)
    assert own_session.keyspace == keyspaces[0]
    assert await where(own_session) == {keyspaces[0]}
    for name in ("", None, 5):
        with pytest.raises(ConfigurationError, match="keyspace"):
            await own_session.set_keyspace(name)  # type: ignore[arg-type]


async def test_prepared_statement_keeps_its_keyspace(
    own_session: AsyncCassandraSession, keyspaces: list[str]
) -> None:
    await own_session.set_keyspace(keyspaces[0])
    first = await own_session.prepare(WHERE_MARKED)
    await own_session.set_keyspace(keyspaces[1])
    second = await own_session.prepare(WHERE_MARKED)
    for _ in range(2):
        assert (await own_session.execute(first, (1,))).one().v == keyspaces[0]
        assert (await own_session.execute(second, (1,))).one().v == keyspaces[1]


async def test_keyspace_is_changed_on_every_connection(
    settings: dict[str, Any], keyspaces: list[str]
) -> None:
    from async_cassandra import ClientOptions

    options = ClientOptions(connections_per_node=4)
    async with AsyncCluster(**settings, client_options=options) as cluster:
        session = await cluster.connect(keyspaces[0])
        for name in (*keyspaces, *keyspaces):
            await session.set_keyspace(name)
            results = await asyncio.gather(*(session.execute(WHERE) for _ in range(40)))
            assert {result.one().v for result in results} == {name}


async def test_keyspace_of_other_session_stays(cluster: AsyncCluster, keyspaces: list[str]) -> None:
    async with cluster.connect(keyspaces[0]) as first, cluster.connect(keyspaces[1]) as second:
        await first.set_keyspace(keyspaces[1])
        await second.set_keyspace(keyspaces[0])
        assert await where(first) == {keyspaces[1]}
        assert await where(second) == {keyspaces[0]}


# Changes by others under statements in use


@pytest.fixture(params=[5, 4], ids=["v5", "v4"])
async def versioned(
    anyio_backend: Backend,
    settings: dict[str, Any],
    cassandra_keyspace: str,
    request: pytest.FixtureRequest,
) -> AsyncIterator[AsyncCassandraSession]:
    cluster = AsyncCluster(
        **settings, protocol_version=request.param, schema_event_refresh_window=0
    )
    async with cluster, cluster.connect(cassandra_keyspace) as session:
        yield session


def alter_table(plain_session: Any, table: str, rounds: int) -> None:
    """Add columns before, between and after the others, fill them, and drop them again."""
    for number in range(rounds):
        names = [f"a{number}", f"n{number}", f"z{number}"]
        plain_session.execute(f"ALTER TABLE {table} ADD ({names[0]} int, {names[1]} text)")
        plain_session.execute(f"ALTER TABLE {table} ADD {names[2]} list<bigint>")
        for key in range(10):
            plain_session.execute(
                f"UPDATE {table} SET {names[0]} = {key}, {names[1]} = '{key}', "
                f"{names[2]} = [{key}] WHERE p = 0 AND c = {key}"
            )
        plain_session.execute(f"ALTER TABLE {table} DROP ({names[0]}, {names[2]})")
        plain_session.execute(f"ALTER TABLE {table} DROP {names[1]}")


def check_row(row: Any) -> None:
    """Every value is its own column's, whatever columns there were when it was read."""
    expected: dict[str, Any] = {"a": row.c, "n": str(row.c), "z": [row.c]}
    for name, value in zip(row._fields, row, strict=True):
        if name == "p":
            assert value == 0
        elif name == "m":
            assert value == f"m{row.c}"
        elif name == "x":
            assert value == row.c * 1000
        elif name != "c":
            assert value is None or value == expected[name[0]], f"{name}: {value!r}"


async def read_while(
    altering: asyncio.Task[None],
    session: AsyncCassandraSession,
    statements: tuple[Any, Any],
    worker: int,
) -> tuple[int, set[tuple[str, ...]]]:
    """Read rows, pages and streams until the table is no longer altered; check each row."""
    one, every = statements
    reads = 0
    seen = set()
    while not altering.done():
        if worker % 4:
            rows = (await session.execute(one, (worker % 10,))).all()
        elif worker % 8:
            rows = (await session.execute(every)).all()
        else:
            rows = [row async for row in await session.execute_stream(every)]
        assert len(rows) == (1 if worker % 4 else 10)
        for row in rows:
            check_row(row)
            seen.add(row._fields)
        reads += 1
    return reads, seen


@pytest.mark.timeout(60)
async def test_prepared_select_decodes_right_while_table_is_altered(
    versioned: AsyncCassandraSession, plain_session: Any, new_table: NewTable
) -> None:
    table = await new_table("p int, c int, m text, x bigint, PRIMARY KEY (p, c)")
    insert = await versioned.prepare(f"INSERT INTO {table} (p, c, m, x) VALUES (0, ?, ?, ?)")
    for key in range(10):
        await versioned.execute(insert, (key, f"m{key}", key * 1000))
    one = await versioned.prepare(f"SELECT * FROM {table} WHERE p = 0 AND c = ?")
    every = await versioned.prepare(f"SELECT * FROM {table}")
    every.fetch_size = 3
    altering = asyncio.create_task(asyncio.to_thread(alter_table, plain_session, table, 6))
    workers = [
        asyncio.create_task(read_while(altering, versioned, (one, every), worker))
        for worker in range(WORKERS)
    ]
    try:
        outcomes = await asyncio.gather(*workers)
    finally:
        await asyncio.wait([altering, *workers])
    await altering
    assert min(reads for reads, _ in outcomes) > 3
    # The tables of several rounds were read, with their columns and without.
    assert len(set().union(*(seen for _, seen in outcomes))) >= 6


async def test_statement_sees_columns_that_others_add_and_drop(
    versioned: AsyncCassandraSession, plain_session: Any, new_table: NewTable
) -> None:
    table = await new_table("id int PRIMARY KEY, m text")
    await versioned.execute(f"INSERT INTO {table} (id, m) VALUES (1, 'm')")
    select = await versioned.prepare(f"SELECT * FROM {table}")
    assert (await versioned.execute(select)).one()._fields == ("id", "m")
    await asyncio.to_thread(plain_session.execute, f"ALTER TABLE {table} ADD a int")
    for _ in range(3):
        row = (await versioned.execute(select)).one()
        assert (row._fields, tuple(row)) == (("id", "a", "m"), (1, None, "m"))
    await asyncio.to_thread(plain_session.execute, f"ALTER TABLE {table} DROP m")
    for _ in range(3):
        assert tuple((await versioned.execute(select)).one()) == (1, None)


def recreate(plain_session: Any, table: str, columns: str) -> None:
    plain_session.execute(f"DROP TABLE {table}")
    plain_session.execute(f"CREATE TABLE {table} ({columns})")


async def test_string_fits_table_that_was_created_again_by_itself(
    versioned: AsyncCassandraSession, new_table: NewTable
) -> None:
    table = await new_table("id int PRIMARY KEY, v int")
    insert = f"INSERT INTO {table} (id, v) VALUES (?, ?)"
    select = f"SELECT v FROM {table} WHERE id = ?"
    values = [("int", 1), ("text", "a"), ("bigint", 2**40), ("list<int>", [1]), ("int", 2)]
    for cql_type, value in values:
        await versioned.execute(f"DROP TABLE {table}")
        await versioned.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, v {cql_type})")
        await versioned.execute(insert, (1, value))
        assert (await versioned.execute(select, (1,))).one().v == value


async def test_string_fits_table_that_others_created_again(
    versioned: AsyncCassandraSession, plain_session: Any, new_table: NewTable
) -> None:
    table = await new_table("id int PRIMARY KEY, v int")
    insert = f"INSERT INTO {table} (id, v) VALUES (?, ?)"
    select = f"SELECT v FROM {table} WHERE id = ?"
    for cql_type in ("int", "bigint", "varint", "smallint", "bigint"):
        await asyncio.to_thread(recreate, plain_session, table, f"id int PRIMARY KEY, v {cql_type}")
        # At once: the other client's change may not have been heard of.
        await versioned.execute(insert, (1, 77))
        assert (await versioned.execute(select, (1,))).one().v == 77
        await versioned.execute(f"INSERT INTO {table} (id, v) VALUES (2, 78)")
        assert (await versioned.execute(select, (2,))).one().v == 78


async def test_string_fits_table_that_others_created_again_with_other_python_type(
    versioned: AsyncCassandraSession, plain_session: Any, new_table: NewTable
) -> None:
    table = await new_table("id int PRIMARY KEY, v int")
    insert = f"INSERT INTO {table} (id, v) VALUES (?, ?)"
    await versioned.execute(insert, (1, 5))
    async with SchemaListener(versioned) as listener:
        await asyncio.to_thread(recreate, plain_session, table, "id int PRIMARY KEY, v text")
        while True:
            metadata = table_metadata(versioned.cluster, table)
            if metadata is not None and str(metadata.columns["v"].cql_type) == "text":
                break
            await listener.changed()
    await asyncio.sleep(0)
    await versioned.execute(insert, (1, "text"))
    select = f"SELECT v FROM {table} WHERE id = ?"
    assert (await versioned.execute(select, (1,))).one().v == "text"


async def test_string_fits_other_python_type_before_the_change_is_heard_of(
    versioned: AsyncCassandraSession, plain_session: Any, new_table: NewTable
) -> None:
    table = await new_table("id int PRIMARY KEY, v int")
    insert = f"INSERT INTO {table} (id, v) VALUES (?, ?)"
    await versioned.execute(insert, (1, 5))
    await asyncio.to_thread(recreate, plain_session, table, "id int PRIMARY KEY, v text")
    await versioned.execute(insert, (1, "text"))
    batch = BatchStatement()
    batch.add(insert, (2, "text"))
    await versioned.execute(batch)
    result = await versioned.execute(f"SELECT v FROM {table}")
    assert [row.v for row in result] == ["text", "text"]


async def test_string_whose_parameters_never_fit_is_prepared_again_once(
    versioned: AsyncCassandraSession, new_table: NewTable
) -> None:
    table = await new_table("id int PRIMARY KEY, v int")
    insert = f"INSERT INTO {table} (id, v) VALUES (?, ?)"
    await versioned.execute(insert, (1, 5))
    before = versioned._core.executor.requests
    for _ in range(10):
        with pytest.raises(ParameterTypeError, match="v"):
            await versioned.execute(insert, (1, "text"))
    # The late event of the table's own creation may have it prepared once more.
    assert before + 1 <= versioned._core.executor.requests <= before + 2


async def test_prepared_select_decodes_right_after_table_was_created_again(
    versioned: AsyncCassandraSession, plain_session: Any, new_table: NewTable
) -> None:
    table = await new_table("id int PRIMARY KEY, v int")
    select = await versioned.prepare(f"SELECT * FROM {table} WHERE id = ?")
    await versioned.execute(f"INSERT INTO {table} (id, v) VALUES (1, 5)")
    assert (await versioned.execute(select, (1,))).one().v == 5
    await asyncio.to_thread(recreate, plain_session, table, "id int PRIMARY KEY, u text, v text")
    await versioned.execute(f"INSERT INTO {table} (id, u, v) VALUES (1, 'u', 'v')")
    for _ in range(3):
        assert tuple((await versioned.execute(select, (1,))).one()) == (1, "u", "v")


async def test_prepared_statement_that_no_longer_fits_says_so(
    versioned: AsyncCassandraSession, plain_session: Any, new_table: NewTable
) -> None:
    table = await new_table("id int PRIMARY KEY, v int")
    insert = await versioned.prepare(f"INSERT INTO {table} (id, v) VALUES (?, ?)")
    await versioned.execute(insert, (1, 5))
    await asyncio.to_thread(recreate, plain_session, table, "id int PRIMARY KEY, v text")
    with pytest.raises(StatementChangedError, match="Prepare it again"):
        await versioned.execute(insert, (1, 6))
    assert len(await versioned.execute(f"SELECT * FROM {table}")) == 0
    again = await versioned.prepare(f"INSERT INTO {table} (id, v) VALUES (?, ?)")
    await versioned.execute(again, (1, "six"))


async def test_dropped_table_is_invalid_request_and_comes_back(
    versioned: AsyncCassandraSession, plain_session: Any, new_table: NewTable
) -> None:
    table = await new_table("id int PRIMARY KEY, v int")
    select = await versioned.prepare(f"SELECT * FROM {table} WHERE id = ?")
    await asyncio.to_thread(plain_session.execute, f"DROP TABLE {table}")
    for query in (select, f"SELECT v FROM {table} WHERE id = ?"):
        with pytest.raises(cassandra.InvalidRequest):
            await versioned.execute(query, (1,))
    await asyncio.to_thread(
        plain_session.execute, f"CREATE TABLE {table} (id int PRIMARY KEY, v int)"
    )
    for query in (select, f"SELECT v FROM {table} WHERE id = ?"):
        assert (await versioned.execute(query, (1,))).one() is None


class Address:
    """A registered class, which has the new field before the type has."""

    def __init__(self, street: str, zip: int | None = None) -> None:
        self.street = street
        self.zip = zip


@pytest.mark.parametrize("way", ["bound", "ours", "ours, bound", "the driver's"])
async def test_value_bound_after_a_change_was_heard_has_the_new_field(
    session: AsyncCassandraSession, cassandra_keyspace: str, new_table: NewTable, way: str
) -> None:
    kind = f"address_{abs(hash(way)) % 10**8}_{id(session)}"
    await session.execute(f"CREATE TYPE {kind} (street text)")
    table = await new_table(f"k int PRIMARY KEY, a frozen<{kind}>")
    session.cluster.register_user_type(cassandra_keyspace, kind, Address)
    insert = await session.prepare(f"INSERT INTO {table} (k, a) VALUES (?, ?)")
    await session.execute(insert, (0, Address("first")))
    await session.execute(f"ALTER TYPE {kind} ADD zip int")
    values = (1, Address("second", 100))
    statement: Any
    match way:
        case "bound":
            statement = insert.bind(values)
        case "ours":
            statement = BatchStatement().add(insert, values)
        case "ours, bound":
            statement = BatchStatement().add(insert.bind(values))
        case _:
            statement = DriverBatchStatement()
            statement.add(insert, values)
    await session.execute(statement)
    stored = (await session.execute(f"SELECT a FROM {table} WHERE k = 1")).one()
    assert stored is not None
    assert (stored.a.street, stored.a.zip) == ("second", 100)


async def test_values_are_read_once_where_no_type_has_changed(
    session: AsyncCassandraSession, new_table: NewTable
) -> None:
    class Draining(list[Any]):
        def __iter__(self) -> Any:
            while self:
                yield self.pop(0)

    table = await new_table("k int PRIMARY KEY, l list<int>")
    insert = f"INSERT INTO {table} (k, l) VALUES (?, ?)"
    await session.execute(insert, (1, [1]))
    with pytest.raises((ParameterTypeError, ParameterValueError)):
        await session.execute(insert, (1, Draining([1, 2, "bad", 4])))
    row = (await session.execute(f"SELECT l FROM {table} WHERE k = 1")).one()
    assert row is not None
    assert row.l == [1]
