"""Encrypted columns on a real server: this library, the driver with the same policy, and one without.

The driver cannot read a null of an encrypted column; such rows it is not asked for.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, TypedDict

import cassandra
import msgspec
import pydantic
import pytest
from cassandra.policies import ColDesc
from cassandra.query import UNSET_VALUE, dict_factory
from cassandra.query import BatchStatement as DriverBatchStatement
from cassandra.query import BoundStatement as DriverBoundStatement

from async_cassandra import (
    AsyncCassandraSession,
    AsyncCluster,
    BatchStatement,
    ConfigurationError,
    StreamConfig,
)
from async_cassandra.exceptions import (
    ColumnDecodeError,
    ParameterTypeError,
    ParameterValueError,
    RowTypeError,
)
from tests.integration.conftest import NewTable
from tests.integration.test_types import VALUES
from tests.support.encryption import OTHER_KEY, AnyType, aes
from tests.support.same import assert_same

pytestmark = pytest.mark.anyio

_keys = itertools.count(1)
PEOPLE = "k blob PRIMARY KEY, name blob, age blob, note text"
PEOPLE_TYPES = {"k": "Int32Type", "name": "UTF8Type", "age": "Int32Type"}


@pytest.fixture(scope="module")
def policy() -> AnyType:
    """The policy of the encrypting clients; each test adds the columns of its tables."""
    return AnyType()


@pytest.fixture(scope="module")
async def encrypting(
    session: AsyncCassandraSession,
    settings: dict[str, Any],
    cassandra_keyspace: str,
    policy: AnyType,
) -> AsyncIterator[AsyncCassandraSession]:
    cluster = AsyncCluster(**settings, column_encryption_policy=policy)
    async with cluster, cluster.connect(cassandra_keyspace) as opened:
        yield opened


@pytest.fixture(scope="module")
def encrypting_driver(
    settings: dict[str, Any], cassandra_keyspace: str, policy: AnyType
) -> Iterator[Any]:
    from cassandra.cluster import Cluster

    theirs = Cluster(**settings, protocol_version=5, column_encryption_policy=policy)
    try:
        yield theirs.connect(cassandra_keyspace)
    finally:
        theirs.shutdown()


def encrypt(policy: AnyType, table: str, types: dict[str, str]) -> None:
    keyspace, name = table.split(".")
    for column, kind in types.items():
        policy.add(keyspace, name, column, kind)


@pytest.fixture
async def people(new_table: NewTable, policy: AnyType) -> str:
    """A table whose key and some other columns are encrypted."""
    table = await new_table(PEOPLE)
    encrypt(policy, table, PEOPLE_TYPES)
    return table


async def in_thread(session: Any, query: Any, parameters: Any = None) -> list[Any]:
    """What the driver's session reads."""
    return await asyncio.to_thread(lambda: list(session.execute(query, parameters)))


async def filled(encrypting: AsyncCassandraSession, people: str, count: int = 5) -> None:
    insert = await encrypting.prepare(
        f"INSERT INTO {people} (k, name, age, note) VALUES (?, ?, ?, ?)"
    )
    for key in range(count):
        await encrypting.execute(insert, (key, f"name {key}", 20 + key, f"note {key}"))


def descriptions(table: str, *columns: str) -> list[ColDesc]:
    keyspace, name = table.split(".")
    return [ColDesc(keyspace, name, column) for column in columns]


# Every type


@pytest.fixture(scope="module")
async def all_types(
    session: AsyncCassandraSession, new_table: NewTable, policy: AnyType
) -> tuple[str, dict[str, str]]:
    """A table of blobs, and its column for each type."""
    columns = {cql_type: f"c{number}" for number, cql_type in enumerate(VALUES)}
    clear = await new_table(
        "id int PRIMARY KEY, " + ", ".join(f"{column} {kind}" for kind, column in columns.items())
    )
    table = await new_table(
        "id int PRIMARY KEY, " + ", ".join(f"{column} blob" for column in columns.values())
    )
    statement = await session.prepare(f"SELECT * FROM {clear}")
    types = {column.name: column.type for column in statement.result_metadata}
    for column, description in zip(
        columns.values(), descriptions(table, *columns.values()), strict=True
    ):
        encrypt(policy, table, {column: "BytesType"})
        policy.types[description] = types[column]
    return table, columns


@pytest.mark.parametrize("cql_type", VALUES)
async def test_value_of_each_type_is_as_the_drivers(
    encrypting: AsyncCassandraSession,
    encrypting_driver: Any,
    plain_session: Any,
    policy: AnyType,
    all_types: tuple[str, dict[str, str]],
    cql_type: str,
) -> None:
    table, columns = all_types
    column = columns[cql_type]
    insert = f"INSERT INTO {table} (id, {column}) VALUES (?, ?)"
    ours = await encrypting.prepare(insert)
    theirs = await asyncio.to_thread(encrypting_driver.prepare, insert)
    (described,) = descriptions(table, column)
    for value in VALUES[cql_type]:
        first, second, third = next(_keys), next(_keys), next(_keys)
        await encrypting.execute(ours, (first, value))
        await encrypting.execute(insert, (second, value))
        await in_thread(encrypting_driver, theirs, (third, value))
        query = f"SELECT {column} FROM {table} WHERE id IN ({first}, {second}, {third})"
        stored = {row[0] for row in await in_thread(plain_session, query)}
        bound = theirs.bind((third, value)).values[1]
        assert stored == {bound}
        clear = theirs.column_metadata[1].type
        assert clear.typename == "blob"
        assert policy.decrypt(described, bound) == policy.column_type(described).serialize(value, 5)
        assert policy.decrypt(described, bound) not in (bound, bound[16:])
        expected = [row[0] for row in await in_thread(encrypting_driver, query)]
        prepared = await encrypting.prepare(query)
        for result in (await encrypting.execute(query), await encrypting.execute(prepared)):
            assert_same([row[0] for row in result], expected)


# Where a value is found


async def test_encrypted_partition_key_is_found_and_routed(
    encrypting: AsyncCassandraSession, encrypting_driver: Any, people: str
) -> None:
    await filled(encrypting, people)
    query = f"SELECT name, age FROM {people} WHERE k = ?"
    ours = await encrypting.prepare(query)
    theirs = await asyncio.to_thread(encrypting_driver.prepare, query)
    for key in range(5):
        bound = theirs.bind((key,))
        assert ours.bind((key,)).values == bound.values
        assert ours.bind({"k": key}).routing_key == bound.routing_key
        for result in (
            await encrypting.execute(ours, (key,)),
            await encrypting.execute(query, {"k": key}),
            await encrypting.execute(ours.bind((key,))),
            await in_thread(encrypting_driver, theirs, (key,)),
        ):
            assert [tuple(row) for row in result] == [(f"name {key}", 20 + key)]


async def test_composite_key_of_clear_and_encrypted_parts(
    encrypting: AsyncCassandraSession, encrypting_driver: Any, new_table: NewTable, policy: AnyType
) -> None:
    table = await new_table("a int, b blob, c blob, v int, PRIMARY KEY ((a, b), c)")
    encrypt(policy, table, {"b": "UTF8Type", "c": "TimestampType"})
    insert = f"INSERT INTO {table} (a, b, c, v) VALUES (?, ?, ?, ?)"
    ours = await encrypting.prepare(insert)
    theirs = await asyncio.to_thread(encrypting_driver.prepare, insert)
    values = (1, "part", 1_700_000_000_000, 7)
    assert ours.bind(values).routing_key == theirs.bind(values).routing_key
    await encrypting.execute(ours, values)
    query = f"SELECT v FROM {table} WHERE a = ? AND b = ? AND c = ?"
    assert (await encrypting.execute(query, values[:3])).all() == [(7,)]
    statement = await asyncio.to_thread(encrypting_driver.prepare, query)
    assert await in_thread(encrypting_driver, statement, values[:3]) == [(7,)]


async def once_built(session: AsyncCassandraSession, query: str, values: Any) -> list[Any]:
    """The rows of a query whose index the server may still be building."""
    while True:
        try:
            return list(await session.execute(query, values))
        except cassandra.ReadFailure:
            await asyncio.sleep(0)


@pytest.mark.parametrize("index", ["", "CREATE INDEX ON {table} (age)"])
async def test_encrypted_regular_column_is_found(
    encrypting: AsyncCassandraSession, people: str, index: str
) -> None:
    await filled(encrypting, people)
    if index:
        await encrypting.execute(index.format(table=people))
    filtering = "" if index else " ALLOW FILTERING"
    query = f"SELECT k FROM {people} WHERE age = ?{filtering}"
    assert await once_built(encrypting, query, (23,)) == [(3,)]
    assert (await encrypting.execute(query, (99,))).all() == []


async def test_elements_of_in_are_found(encrypting: AsyncCassandraSession, people: str) -> None:
    await filled(encrypting, people)
    for query in (
        f"SELECT k FROM {people} WHERE k IN ?",
        f"SELECT k FROM {people} WHERE k IN (?, ?)",
    ):
        keys = ([1, 3],) if query.endswith("?") else (1, 3)
        assert sorted(await encrypting.execute(query, keys)) == [(1,), (3,)]


async def test_condition_of_a_lightweight_transaction(
    encrypting: AsyncCassandraSession, people: str
) -> None:
    await filled(encrypting, people)
    update = f"UPDATE {people} SET age = ? WHERE k = ? IF age = ?"
    refused = await encrypting.execute(update, (50, 1, 99))
    assert (refused.was_applied, refused.one().age) == (False, 21)
    assert (await encrypting.execute(update, (50, 1, 21))).was_applied
    assert (await encrypting.execute(f"SELECT age FROM {people} WHERE k = ?", (1,))).one() == (50,)


# All forms of rows


@dataclass
class Person:
    k: int
    name: str
    age: int | None
    note: str | None


class Model(pydantic.BaseModel):
    k: int
    name: str
    age: int | None
    note: str | None


class Struct(msgspec.Struct):
    k: int
    name: str
    age: int | None
    note: str | None


class Named(NamedTuple):
    k: int
    name: str
    age: int | None
    note: str | None


class Typed(TypedDict):
    k: int
    name: str
    age: int | None
    note: str | None


@pytest.mark.parametrize(
    "kind", [Person, Model, Struct, Named, Typed, dict, tuple[int, str, int, str]]
)
async def test_rows_as_a_type_of_the_application(
    encrypting: AsyncCassandraSession, people: str, kind: Any
) -> None:
    await filled(encrypting, people)
    query = f"SELECT k, name, age, note FROM {people}"
    makes = (lambda *row: row) if kind == tuple[int, str, int, str] else kind
    names = ("k", "name", "age", "note")
    rows = [(key, f"name {key}", 20 + key, f"note {key}") for key in range(5)]
    if kind == tuple[int, str, int, str]:
        expected = rows
    else:
        expected = [makes(**dict(zip(names, row, strict=True))) for row in rows]
    result = await encrypting.execute(query, row=kind)
    assert sorted(result, key=repr) == sorted(expected, key=repr)
    stream = await encrypting.execute_stream(
        query, row=kind, stream_config=StreamConfig(fetch_size=2)
    )
    async with stream:
        assert sorted([row async for row in stream], key=repr) == sorted(expected, key=repr)


async def test_row_type_is_checked_against_the_encrypted_type(
    encrypting: AsyncCassandraSession, people: str
) -> None:
    await filled(encrypting, people, 1)
    query = f"SELECT age FROM {people}"
    assert (await encrypting.execute(query, row=int)).all() == [20]
    with pytest.raises(RowTypeError, match="age"):
        await encrypting.execute(query, row=bytes)


async def test_pages_streams_and_row_factories(
    encrypting: AsyncCassandraSession, encrypting_driver: Any, people: str
) -> None:
    await filled(encrypting, people, 20)
    statement = await encrypting.prepare(f"SELECT k, name FROM {people}")
    statement.fetch_size = 3
    expected = sorted((key, f"name {key}") for key in range(20))
    result = await encrypting.execute(statement)
    assert sorted(tuple(row) for row in result) == expected
    assert result.column_names == ["k", "name"]
    theirs = await asyncio.to_thread(lambda: encrypting_driver.execute(statement.query_string))
    assert list(result.column_types) == theirs.column_types
    async with await encrypting.execute_stream(statement) as stream:
        assert sorted([tuple(row) async for row in stream]) == expected
    page = await encrypting.execute(statement, paging_state=b"")
    pages = [*page]
    while page.has_more_pages:
        page = await encrypting.execute(statement, paging_state=page.paging_state)
        pages += page
    assert sorted(tuple(row) for row in pages) == expected


async def test_rows_as_dicts_of_a_profile(
    settings: dict[str, Any], encrypting: AsyncCassandraSession, policy: AnyType, people: str
) -> None:
    from cassandra.cluster import ExecutionProfile

    await filled(encrypting, people, 1)
    cluster = AsyncCluster(
        **settings,
        column_encryption_policy=policy,
        execution_profiles={"dicts": ExecutionProfile(row_factory=dict_factory)},
    )
    async with cluster, cluster.connect() as session:
        result = await session.execute(f"SELECT k, age FROM {people}", execution_profile="dicts")
        assert result.all() == [{"k": 0, "age": 20}]


# All ways to write


async def test_null_and_unset(
    encrypting: AsyncCassandraSession, plain_session: Any, people: str
) -> None:
    insert = await encrypting.prepare(f"INSERT INTO {people} (k, name, age) VALUES (?, ?, ?)")
    await encrypting.execute(insert, (1, "name", 20))
    await encrypting.execute(insert, (1, UNSET_VALUE, None))
    assert (await encrypting.execute(f"SELECT name, age FROM {people}")).all() == [("name", None)]
    assert insert.bind((1, UNSET_VALUE, None)).values[1:] == [UNSET_VALUE, None]
    (row,) = await in_thread(plain_session, f"SELECT name, age FROM {people}")
    assert row.name not in (None, b"name")
    assert row.age is None


@pytest.mark.parametrize("batch_class", [BatchStatement, DriverBatchStatement])
async def test_batches(
    encrypting: AsyncCassandraSession,
    encrypting_driver: Any,
    people: str,
    batch_class: type[Any],
) -> None:
    insert = f"INSERT INTO {people} (k, name, age) VALUES (?, ?, ?)"
    ours = await encrypting.prepare(insert)
    theirs = await asyncio.to_thread(encrypting_driver.prepare, insert)
    batch = batch_class()
    batch.add(ours, (1, "ours", 1))
    batch.add(ours.bind((2, "ours, bound", 2)))
    batch.add(DriverBoundStatement(ours).bind((3, "ours, bound by the driver's class", 3)))
    if batch_class is BatchStatement:
        batch.add(theirs, (4, "the driver's", 4))
        batch.add(theirs.bind((5, "the driver's, bound", 5)))
        batch.add(insert, (6, "string", 6))
    await encrypting.execute(batch)
    query = f"SELECT k, name, age FROM {people}"
    expected = sorted(tuple(row) for row in await in_thread(encrypting_driver, query))
    assert len(expected) == (6 if batch_class is BatchStatement else 3)
    assert [age for _, _, age in expected] == [key for key, _, _ in expected]
    assert sorted(tuple(row) for row in await encrypting.execute(query)) == expected


async def test_statements_of_a_session_without_the_policy(
    encrypting: AsyncCassandraSession, plain_session: Any, people: str
) -> None:
    insert = f"INSERT INTO {people} (k, name) VALUES (?, ?)"
    foreign = await asyncio.to_thread(plain_session.prepare, insert)
    await encrypting.execute(foreign, (1, "encrypted here"))
    assert (await encrypting.execute(f"SELECT k, name FROM {people}")).all() == [
        (1, "encrypted here")
    ]
    clear = foreign.bind((b"\0\0\0\2", b"in clear"))
    batch = BatchStatement()
    batch.add(foreign, (b"\0\0\0\2", b"in clear"))
    for statement in (clear, batch):
        with pytest.raises(ParameterValueError, match=r"'k'.*not encrypted"):
            await encrypting.execute(statement)
    assert len(await encrypting.execute(f"SELECT k FROM {people}")) == 1


async def test_literals_are_the_callers_to_encrypt(
    settings: dict[str, Any], session: AsyncCassandraSession, new_table: NewTable
) -> None:
    table = await new_table(PEOPLE)
    policy = aes(*table.split("."), k="int", name="text")
    key_column, name_column = descriptions(table, "k", "name")
    insert = f"INSERT INTO {table} (k, name) VALUES (%s, %s)"
    key = policy.encode_and_encrypt(key_column, 1)
    cluster = AsyncCluster(**settings, column_encryption_policy=policy)
    async with cluster, cluster.connect() as own:
        await own.execute(insert, (key, policy.encode_and_encrypt(name_column, "by hand")))
        query = f"SELECT name FROM {table} WHERE k = ?"
        assert (await own.execute(query, (1,))).all() == [("by hand",)]
        with pytest.raises(cassandra.InvalidRequest, match="Invalid STRING constant"):
            await own.execute(insert, (key, "text"))
        # Bytes are a blob's literal, whoever made them.
        await own.execute(insert, (key, b"not encrypted"))
    assert (await session.execute(f"SELECT name FROM {table}")).one() == (b"not encrypted",)


@pytest.mark.parametrize("made_by", ["itself", "another client"])
async def test_marker_with_another_name_is_refused(
    encrypting: AsyncCassandraSession, new_table: NewTable, policy: AnyType, made_by: str
) -> None:
    """The schema metadata has a table that another client has made only after a while."""
    table = await new_table(PEOPLE)
    if made_by == "itself":
        await encrypting.execute(f"DROP TABLE {table}")
        await encrypting.execute(f"CREATE TABLE {table} ({PEOPLE})")
    encrypt(policy, table, PEOPLE_TYPES)
    named = f"INSERT INTO {table} (k, name) VALUES (:k, :name)"
    await encrypting.execute(named, {"k": 1, "name": "as the columns"})
    assert (await encrypting.execute(f"SELECT name FROM {table}")).one() == ("as the columns",)
    for query in (
        f"INSERT INTO {table} (k, name) VALUES (:k, :other)",
        f"UPDATE {table} SET name = :other WHERE k = :k",
    ):
        with pytest.raises(ParameterValueError, match=r"'other'.*would be sent in clear"):
            await encrypting.execute(query, {"k": 1, "other": b"clear"})
    with pytest.raises(ParameterValueError, match=r"an encrypted column|the encrypted column"):
        await encrypting.execute(
            f"SELECT name FROM {table} WHERE token(k) = token(?)", (b"\0\0\0\1",)
        )


async def test_column_added_after_the_statement_was_prepared(
    encrypting: AsyncCassandraSession, plain_session: Any, policy: AnyType, people: str
) -> None:
    table = people
    (photo,) = descriptions(table, "photo")
    await encrypting.execute(f"ALTER TABLE {table} ADD photo blob")
    insert = await encrypting.prepare(f"INSERT INTO {table} (k, photo) VALUES (?, ?)")
    select = await encrypting.prepare(f"SELECT photo FROM {table} WHERE k = ?")
    await encrypting.execute(insert, (1, b"in clear"))
    assert (await encrypting.execute(select, (1,))).one() == (b"in clear",)
    encrypt(policy, table, {"photo": "BytesType"})
    await encrypting.execute(insert, (2, b"not any more"))
    assert (await encrypting.execute(select, (2,))).one() == (b"not any more",)
    with pytest.raises(ColumnDecodeError, match="'photo'"):
        (await encrypting.execute(select, (1,))).one()
    rows = await in_thread(plain_session, f"SELECT photo FROM {table}")
    stored = {row.photo for row in rows}
    assert stored == {b"in clear", policy.encrypt(photo, b"not any more")}


async def test_row_of_another_key_fails_alone(
    encrypting: AsyncCassandraSession, policy: AnyType, new_table: NewTable
) -> None:
    table = await new_table("p int, k int, v blob, PRIMARY KEY (p, k)")
    keyspace, name = table.split(".")
    encrypt(policy, table, {"v": "UTF8Type"})
    insert = f"INSERT INTO {table} (p, k, v) VALUES (0, ?, ?)"
    await encrypting.execute(insert, (1, "first"))
    await encrypting.execute(insert, (3, "third"))
    policy.add(keyspace, name, "v", "UTF8Type", OTHER_KEY)
    await encrypting.execute(insert, (2, "second"))
    policy.add(keyspace, name, "v", "UTF8Type")
    query = f"SELECT k, v FROM {table} WHERE p = 0"
    result = await encrypting.execute(query)
    assert (result[0], result[2]) == ((1, "first"), (3, "third"))
    with pytest.raises(ColumnDecodeError, match=r"'v' \(encrypted text\) of row 1") as caught:
        result[1]
    assert (caught.value.column, caught.value.value) == ("v", b"")
    seen: list[Any] = []
    async with await encrypting.execute_stream(query) as stream:
        while len(seen) < 3:
            try:
                seen.append(tuple(await anext(stream)))
            except ColumnDecodeError as error:
                seen.append(error.column)
    assert seen == [(1, "first"), "v", (3, "third")]


async def test_value_that_does_not_fit_is_refused_before_it_is_sent(
    encrypting: AsyncCassandraSession, people: str
) -> None:
    insert = f"INSERT INTO {people} (k, name) VALUES (?, ?)"
    with pytest.raises(ParameterTypeError, match=r"'k' \(position 1, encrypted int\)") as caught:
        await encrypting.execute(insert, ("a secret", "name"))
    assert "secret" not in repr(caught.value)


async def test_prepared_metadata_is_as_the_drivers(
    encrypting: AsyncCassandraSession, encrypting_driver: Any, policy: AnyType, people: str
) -> None:
    query = f"SELECT name, age FROM {people} WHERE k = ?"
    ours = await encrypting.prepare(query)
    theirs = await asyncio.to_thread(encrypting_driver.prepare, query)
    assert ours.column_metadata == theirs.column_metadata
    assert [column[3] for column in theirs.result_metadata] == [
        column.type for column in ours.result_metadata
    ]
    assert ours.column_encryption_policy is theirs.column_encryption_policy is policy


# Settings


async def test_protocol_v4(
    settings: dict[str, Any], policy: AnyType, encrypting: AsyncCassandraSession, people: str
) -> None:
    cluster = AsyncCluster(**settings, protocol_version=4, column_encryption_policy=policy)
    async with cluster, cluster.connect() as session:
        await filled(session, people, 2)
        statement = await session.prepare(f"SELECT name, age FROM {people} WHERE k = ?")
        assert (await session.execute(statement, (1,))).all() == [("name 1", 21)]


async def test_user_type_as_the_type_of_an_encrypted_column(
    encrypting: AsyncCassandraSession,
    encrypting_driver: Any,
    new_table: NewTable,
    policy: AnyType,
    cassandra_keyspace: str,
) -> None:
    name = f"point{next(_keys)}"
    await encrypting.execute(f"CREATE TYPE {name} (x int, label text)")
    clear = await new_table(f"k int PRIMARY KEY, v frozen<list<frozen<{name}>>>")
    table = await new_table("k int PRIMARY KEY, v blob")
    statement = await encrypting.prepare(f"SELECT v FROM {clear}")
    encrypt(policy, table, {"v": "BytesType"})
    (described,) = descriptions(table, "v")
    policy.types[described] = statement.result_metadata[0].type
    insert = f"INSERT INTO {table} (k, v) VALUES (?, ?)"
    await encrypting.execute(insert, (1, [(1, "one"), (2, None)]))
    theirs = await asyncio.to_thread(encrypting_driver.prepare, insert)
    await in_thread(encrypting_driver, theirs, (2, [(1, "one"), (2, None)]))
    query = f"SELECT v FROM {table}"
    first, second = await encrypting.execute(query)
    assert first == second == ([(1, "one"), (2, None)],)
    assert_same([first.v, second.v], [row.v for row in await in_thread(encrypting_driver, query)])


def test_policy_that_lacks_a_method_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="column_encryption_policy: object has no method"):
        AsyncCluster(column_encryption_policy=object())
