"""Every CQL type through the server, both ways, with the plain driver as oracle.

Each value is written by this library (prepared, string with ``?``, string with ``%s``) and by the
plain driver, and each of those rows is read by both, by prepared and by simple statements.
"""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import itertools
import uuid
from collections import OrderedDict, namedtuple
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from cassandra.query import UNSET_VALUE
from cassandra.util import (
    Date,
    Duration,
    OrderedMapSerializedKey,
    SortedSet,
    Time,
    uuid_from_time,
)

from async_cassandra import AsyncCassandraSession, AsyncCluster, QueryError
from async_cassandra.exceptions import ColumnDecodeError
from tests.integration.conftest import Backend, NewTable
from tests.support.same import assert_same

pytestmark = pytest.mark.anyio

UTC = datetime.UTC
MOMENT = datetime.datetime(2024, 2, 29, 12, 34, 56, 789000)
SOME_UUID = uuid.UUID("6b1f1c5e-9c0e-4b0a-8a33-5f0f2a7d1e4c")
TIME_UUID = uuid_from_time(1_700_000_000.5, node=0x123456789ABC, clock_seq=0x123)
LARGE = 3**400

# Each type with values that the plain driver takes as parameters of a prepared statement.
VALUES: dict[str, list[Any]] = {
    "ascii": ["", "plain", "~" * 300],
    "bigint": [0, -1, 2**63 - 1, -(2**63)],
    "blob": [b"", b"\x00\xff", bytes(range(256)) * 20],
    "boolean": [True, False],
    "date": [Date(0), Date(-719162), Date(2**31 - 1), Date(-(2**31)), datetime.date(2024, 2, 29)],
    "decimal": [
        Decimal("0"),
        Decimal("-0.001"),
        Decimal("1E+30"),
        Decimal(f"{LARGE}.5"),
        Decimal("-12345678901234567890.123456789"),
    ],
    "double": [0.0, -0.0, 1.5, 5e-324, 1.7976931348623157e308, float("inf"), float("nan")],
    "duration": [Duration(0, 0, 0), Duration(14, 3, 5_000_000_001), Duration(-1, -2, -3)],
    "float": [0.0, 1.5, -3.25, float("-inf"), float("nan")],
    "inet": ["127.0.0.1", "255.255.255.255", "::1", "2001:db8::8a2e:370:7334"],
    "int": [0, 2**31 - 1, -(2**31)],
    "smallint": [0, 2**15 - 1, -(2**15)],
    "text": ["", "naïve ☃ 𝄞", "quote ' and ? and :name and %s", "x" * 70_000],
    "time": [Time(0), Time(86_399_999_999_999), datetime.time(12, 34, 56, 789)],
    "timestamp": [
        MOMENT,
        datetime.datetime(1970, 1, 1),
        datetime.datetime(1, 1, 1),
        datetime.datetime(9999, 12, 31, 23, 59, 59),
        datetime.datetime(2024, 6, 1, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=5))),
        1_700_000_000_123,
    ],
    "timeuuid": [TIME_UUID],
    "tinyint": [0, 127, -128],
    "uuid": [SOME_UUID, uuid.UUID(int=0)],
    "varchar": ["text by another name"],
    "varint": [0, -1, 127, 128, -128, -129, LARGE, -LARGE],
    "list<int>": [[1, 2, 3], [5]],
    "list<text>": [["", "a"], ("a", "tuple")],
    "set<int>": [{3, 1, 2}, SortedSet([9, 8])],
    "set<text>": [{"b", "a", ""}, frozenset({"x"})],
    "set<timeuuid>": [{TIME_UUID}],
    "map<text, int>": [{"b": 1, "a": 2}, OrderedDict([("z", 0)])],
    "map<int, text>": [{3: "c", -1: "a"}],
    "map<uuid, timestamp>": [{SOME_UUID: MOMENT}],
    "frozen<list<int>>": [[1], []],
    "frozen<set<date>>": [{Date(1), Date(-1)}, set()],
    "frozen<map<text, int>>": [{"a": 1}, {}],
    "map<text, frozen<list<int>>>": [{"a": [1, 2], "b": []}],
    "map<frozen<list<int>>, text>": [{(1, 2): "a", (): "b"}],
    "list<frozen<map<text, frozen<set<int>>>>>": [[{"a": {1, 2}}, {}]],
    "set<frozen<list<text>>>": [SortedSet([["b"], ["a", "c"]])],
    "tuple<int, text>": [(1, "a"), (None, "b"), (2, None), (None, None)],
    "frozen<tuple<int, frozen<tuple<text, double>>>>": [(1, ("a", 0.5)), (1, None)],
    "list<frozen<tuple<inet, boolean>>>": [[("::1", True), ("10.0.0.1", None)]],
    "vector<float, 3>": [[1.0, -2.5, 0.0]],
    "vector<double, 2>": [[1.0, 1e300]],
    "vector<int, 4>": [[1, -1, 2**31 - 1, 0]],
    "vector<bigint, 2>": [[2**63 - 1, -5]],
    "vector<boolean, 2>": [[True, False]],
    "vector<uuid, 2>": [[SOME_UUID, uuid.UUID(int=1)]],
    "vector<text, 2>": [["", "naïve"], ["a" * 200, "b"]],
    "vector<varint, 2>": [[LARGE, -1]],
    "vector<frozen<list<int>>, 2>": [[[1, 2], [3]]],
    "vector<vector<float, 2>, 2>": [[[1.0, 2.0], [3.0, 4.0]]],
}


COLUMNS = {cql_type: f"c{number}" for number, cql_type in enumerate(VALUES)}

_keys = itertools.count(1)


@pytest.fixture(scope="module")
async def table(new_table: NewTable) -> str:
    """A table with a column of each type."""
    columns = ", ".join(f"{column} {cql_type}" for cql_type, column in COLUMNS.items())
    return await new_table(f"id int PRIMARY KEY, {columns}")


async def read(
    session: AsyncCassandraSession, plain_session: Any, table: str, column: str, keys: list[int]
) -> list[Any]:
    """Read some rows' column by prepared and simple statement and with the plain driver, alike."""
    query = f"SELECT id, {column} FROM {table} WHERE id IN"
    simple = f"{query} ({', '.join(map(str, keys))})"
    prepared = await session.prepare(f"{query} ?")
    by_prepared = {row.id: row[1] for row in await session.execute(prepared, [keys])}
    by_simple = {row.id: row[1] for row in await session.execute(simple)}
    rows = await asyncio.to_thread(lambda: plain_session.execute(simple).all())
    theirs = {row.id: row[1] for row in rows}
    assert_same(by_simple, by_prepared)
    assert_same(by_prepared, theirs)
    return [by_prepared[key] for key in keys]


async def read_one(
    session: AsyncCassandraSession, plain_session: Any, table: str, column: str, key: int
) -> Any:
    return (await read(session, plain_session, table, column, [key]))[0]


@pytest.mark.parametrize("cql_type", VALUES)
async def test_value_is_as_plain_drivers(
    session: AsyncCassandraSession, plain_session: Any, table: str, cql_type: str
) -> None:
    column, values = COLUMNS[cql_type], VALUES[cql_type]
    insert = f"INSERT INTO {table} (id, {column}) VALUES (?, ?)"
    statement = await session.prepare(insert)
    by_plain, by_prepared, by_marker, by_bound = ([next(_keys) for _ in values] for _ in range(4))

    def write_plain() -> None:
        plain_statement = plain_session.prepare(insert)
        for key, value in zip(by_plain, values, strict=True):
            plain_session.execute(plain_statement, (key, value))

    await asyncio.to_thread(write_plain)
    for number, value in enumerate(values):
        await session.execute(statement, (by_prepared[number], value))
        await session.execute(insert, (by_marker[number], value))
        await session.execute(statement.bind({"id": by_bound[number], column: value}))
    expected = await read(session, plain_session, table, column, by_plain)
    for keys in (by_prepared, by_marker, by_bound):
        assert_same(await read(session, plain_session, table, column, keys), expected)


@pytest.mark.parametrize("cql_type", VALUES)
async def test_value_written_into_string_is_as_plain_drivers(
    session: AsyncCassandraSession, plain_session: Any, table: str, cql_type: str
) -> None:
    column = COLUMNS[cql_type]
    insert = f"INSERT INTO {table} (id, {column}) VALUES (%s, %s)"
    written = []
    for value in VALUES[cql_type]:
        by_plain, by_us = next(_keys), next(_keys)
        refused = False
        try:
            await asyncio.to_thread(plain_session.execute, insert, (by_plain, value))
        except Exception:  # noqa: BLE001  whatever the driver or the server has against the value
            refused = True
        if refused:
            with pytest.raises(QueryError):
                await session.execute(insert, (by_us, value))
        else:
            await session.execute(insert, (by_us, value))
            written.append((by_us, by_plain))
    if written:
        mine, theirs = map(list, zip(*written, strict=True))
        expected = await read(session, plain_session, table, column, theirs)
        if cql_type == "decimal":
            # The driver writes them as floats.
            expected = VALUES[cql_type]
        assert_same(await read(session, plain_session, table, column, mine), expected)


@pytest.mark.parametrize("cql_type", VALUES)
async def test_null_and_unset_are_as_plain_drivers(
    session: AsyncCassandraSession, plain_session: Any, table: str, cql_type: str
) -> None:
    column, value = COLUMNS[cql_type], VALUES[cql_type][0]
    nulled, unset, named = (next(_keys) for _ in range(3))
    insert = await session.prepare(f"INSERT INTO {table} (id, {column}) VALUES (?, ?)")
    for key in (nulled, unset, named):
        await session.execute(insert, (key, value))
    await session.execute(insert, (nulled, None))
    await session.execute(insert, (unset, UNSET_VALUE))
    await session.execute(insert, {"id": named})
    nothing, kept, kept_too = await read(
        session, plain_session, table, column, [nulled, unset, named]
    )
    assert nothing is None
    assert kept is not None
    assert_same(kept, kept_too)


@pytest.mark.parametrize(
    "function",
    [
        "bigint",
        "boolean",
        "double",
        "float",
        "inet",
        "int",
        "timestamp",
        "uuid",
        "varint",
        "decimal",
    ],
)
async def test_empty_value_is_as_plain_drivers(
    session: AsyncCassandraSession, plain_session: Any, table: str, function: str
) -> None:
    column, key = COLUMNS[function], next(_keys)
    await session.execute(
        f"INSERT INTO {table} (id, {column}) VALUES ({key}, blob_as_{function}(0x))"
    )
    await read_one(session, plain_session, table, column, key)


@pytest.mark.parametrize("cql_type", ["list<int>", "set<int>", "map<text, int>"])
async def test_empty_collection_reads_as_null(
    session: AsyncCassandraSession, plain_session: Any, table: str, cql_type: str
) -> None:
    column, key = COLUMNS[cql_type], next(_keys)
    value: Any = {"l": [], "s": set(), "m": {}}[cql_type[0]]
    await session.execute(f"INSERT INTO {table} (id, {column}) VALUES (?, ?)", (key, value))
    assert await read_one(session, plain_session, table, column, key) is None


async def test_row_of_every_type_is_as_plain_drivers(
    session: AsyncCassandraSession, plain_session: Any, table: str
) -> None:
    columns = {COLUMNS[cql_type]: values[-1] for cql_type, values in VALUES.items()}
    key = next(_keys)
    names = ["id", *columns]
    markers = ", ".join("?" * len(names))
    insert = await session.prepare(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({markers})")
    await session.execute(insert, {"id": key, **columns})
    mine = (await session.execute(f"SELECT * FROM {table} WHERE id = ?", [key])).one()

    def read() -> Any:
        return plain_session.execute(f"SELECT * FROM {table} WHERE id = {key}").one()

    theirs = await asyncio.to_thread(read)
    assert mine._fields == theirs._fields
    for name in theirs._fields:
        assert_same(getattr(mine, name), getattr(theirs, name), name)


@pytest.mark.parametrize("digits", [4301, 12_000])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("marker", ["?", "%s"])
async def test_number_of_thousands_of_digits_is_stored_exactly(
    session: AsyncCassandraSession, table: str, digits: int, sign: int, marker: str
) -> None:
    number = sign * (10**digits - 7)
    key = next(_keys)
    varint, decimal = COLUMNS["varint"], COLUMNS["decimal"]
    insert = f"INSERT INTO {table} (id, {varint}, {decimal}) VALUES ({marker}, {marker}, {marker})"
    await session.execute(insert, (key, number, Decimal(number)))
    query = f"SELECT {varint}, {decimal} FROM {table} WHERE id = ?"
    row = (await session.execute(query, [key])).one()
    assert row[0] == number
    assert row[1].as_tuple() == Decimal(number).as_tuple()
    (streamed,) = [row async for row in await session.execute_stream(query, [key])]
    assert streamed == row


async def test_map_has_no_key_that_its_type_cannot_hold(
    session: AsyncCassandraSession, table: str
) -> None:
    column, key = COLUMNS["map<int, text>"], next(_keys)
    await session.execute(f"INSERT INTO {table} (id, {column}) VALUES (?, ?)", (key, {1: "a"}))
    value = (await session.execute(f"SELECT {column} FROM {table} WHERE id = ?", [key])).one()[0]
    for missing in (None, "1", 2, 2**40, object()):
        assert missing not in value
        assert value.get(missing) is None
        with pytest.raises(KeyError):
            value[missing]
    assert value[1] == "a"


@pytest.mark.parametrize(
    "address", [ipaddress.ip_address("10.1.2.3"), ipaddress.ip_address("2001:db8::1")], ids=str
)
async def test_address_object_is_written(
    session: AsyncCassandraSession, plain_session: Any, table: str, address: Any
) -> None:
    column, key = COLUMNS["inet"], next(_keys)
    await session.execute(f"INSERT INTO {table} (id, {column}) VALUES (?, ?)", (key, address))
    assert await read_one(session, plain_session, table, column, key) == str(address)


async def test_map_with_collection_keys_is_as_plain_drivers(
    session: AsyncCassandraSession, plain_session: Any, table: str
) -> None:
    column, key = COLUMNS["map<frozen<list<int>>, text>"], next(_keys)
    await session.execute(
        f"INSERT INTO {table} (id, {column}) VALUES ({key}, {{[1, 2]: 'a', []: 'b'}})"
    )
    value = await read_one(session, plain_session, table, column, key)
    assert type(value) is OrderedMapSerializedKey
    copy = next(_keys)
    await session.execute(f"INSERT INTO {table} (id, {column}) VALUES (?, ?)", (copy, value))
    assert_same(await read_one(session, plain_session, table, column, copy), value)


async def test_counter_counts(
    session: AsyncCassandraSession, plain_session: Any, new_table: NewTable
) -> None:
    table = await new_table("id int PRIMARY KEY, v counter")
    update = await session.prepare(f"UPDATE {table} SET v = v + ? WHERE id = ?")
    for step in (5, -7, 2**40):
        await session.execute(update, (step, 1))
    assert await read_one(session, plain_session, table, "v", 1) == 2**40 - 2


async def test_static_and_clustering_columns_are_as_plain_drivers(
    session: AsyncCassandraSession, plain_session: Any, new_table: NewTable
) -> None:
    table = await new_table(
        "p text, c timeuuid, s set<int> static, v int, PRIMARY KEY (p, c)"
        ") WITH CLUSTERING ORDER BY (c DESC"
    )
    insert = await session.prepare(f"INSERT INTO {table} (p, c, s, v) VALUES (?, ?, ?, ?)")
    ids = [uuid_from_time(second, node=1, clock_seq=1) for second in range(3)]
    for number, time_uuid in enumerate(ids):
        await session.execute(insert, ("p", time_uuid, {number}, number))
    await session.execute(f"INSERT INTO {table} (p, s) VALUES ('only static', {{1}})")
    mine = (await session.execute(f"SELECT * FROM {table}")).all()
    theirs = await asyncio.to_thread(lambda: plain_session.execute(f"SELECT * FROM {table}").all())
    assert_same([tuple(row) for row in mine], [tuple(row) for row in theirs])
    assert [row.v for row in mine if row.p == "p"] == [2, 1, 0]


async def test_functions_and_aggregates_are_as_plain_drivers(
    session: AsyncCassandraSession, plain_session: Any, new_table: NewTable
) -> None:
    table = await new_table("id int PRIMARY KEY, v text, t timestamp")
    for key in range(4):
        await session.execute(
            f"INSERT INTO {table} (id, v, t) VALUES (?, ?, ?) USING TTL 86400", (key, "v", MOMENT)
        )
    for selection in (
        "count(*), max(id), avg(id), sum(id)",
        "v, WRITETIME(v) AS written, CAST(id AS text)",
        'to_date(t), to_unix_timestamp(t), token(id), (int) 5, v AS "Mixed Case"',
        "JSON id, v",
        "DISTINCT id",
    ):
        query = f"SELECT {selection} FROM {table}"
        mine = await session.execute(query)
        theirs = await asyncio.to_thread(plain_session.execute, query)
        rows = theirs.all()
        assert_same([tuple(row) for row in mine], [tuple(row) for row in rows])
        assert mine[0]._fields == rows[0]._fields
        assert list(mine.column_names) == list(theirs.column_names)


async def test_timestamp_is_exact_to_the_millisecond(
    session: AsyncCassandraSession, table: str
) -> None:
    """The plain driver computes with floats: to it this is 23:59:59.998993."""
    column, key = COLUMNS["timestamp"], next(_keys)
    last = datetime.datetime(9999, 12, 31, 23, 59, 59, 999000)
    await session.execute(f"INSERT INTO {table} (id, {column}) VALUES (?, ?)", (key, last))
    result = await session.execute(f"SELECT {column} FROM {table} WHERE id = ?", [key])
    assert result.one()[0] == last


# A value that Python cannot hold

FAR_FUTURE = "1700000000000000"  # milliseconds: the year 55840


@pytest.fixture(scope="module")
async def far_table(session: AsyncCassandraSession, new_table: NewTable) -> str:
    """Three rows of one partition, of which the second has a timestamp past the year 9999."""
    table = await new_table("p int, c int, moment timestamp, v text, PRIMARY KEY (p, c)")
    for key, moment in ((1, "0"), (2, FAR_FUTURE), (3, "1000")):
        await session.execute(
            f"INSERT INTO {table} (p, c, moment, v) VALUES (0, {key}, {moment}, 'v{key}')"
        )
    return table


async def test_undecodable_value_raises_for_its_row_only(
    session: AsyncCassandraSession, far_table: str
) -> None:
    result = await session.execute(f"SELECT * FROM {far_table} WHERE p = ?", [0])
    assert len(result) == 3
    assert result[0].v == "v1"
    with pytest.raises(ColumnDecodeError, match="moment") as failure:
        result[1]
    assert failure.value.column == "moment"
    assert failure.value.row == 1
    assert int.from_bytes(failure.value.value) == int(FAR_FUTURE)
    assert result[2].v == "v3"
    assert (await session.execute(f"SELECT v FROM {far_table} WHERE p = 0")).all()[1].v == "v2"


async def test_undecodable_value_raises_from_stream_and_next_row_follows(
    session: AsyncCassandraSession, far_table: str
) -> None:
    stream = await session.execute_stream(f"SELECT * FROM {far_table} WHERE p = ?", [0])
    rows = []
    failures = []
    reader = aiter(stream)
    while True:
        try:
            rows.append((await anext(reader)).v)
        except ColumnDecodeError as failure:
            failures.append(failure)
        except StopAsyncIteration:
            break
    assert rows == ["v1", "v3"]
    assert [failure.column for failure in failures] == ["moment"]


@pytest.mark.parametrize("size", [3, 700])
async def test_undecodable_value_raises_once_however_the_result_is_read(
    session: AsyncCassandraSession, new_table: NewTable, size: int
) -> None:
    """``for``, ``async for``, positions and a stream give the same rows, and an error at the same ones."""
    table = await new_table("p int, c int, moment timestamp, PRIMARY KEY (p, c)")
    insert = await session.prepare(f"INSERT INTO {table} (p, c, moment) VALUES (0, ?, ?)")
    broken = {0, 1, size // 2, 255, 256, size - 1} & set(range(size))
    rows = [(key, int(FAR_FUTURE) if key in broken else 0) for key in range(size)]
    await asyncio.gather(*(session.execute(insert, row) for row in rows))
    expected = ["error" if key in broken else key for key in range(size)]
    query = f"SELECT c, moment FROM {table} WHERE p = 0"
    result = await session.execute(query)
    by_position: list[Any] = []
    for key in range(size):
        try:
            by_position.append(result[key].c)
        except ColumnDecodeError:
            by_position.append("error")
    assert by_position == expected
    assert read_on(iter(result)) == expected
    for source in (result, result, await session.execute_stream(query)):
        assert await read_on_asynchronously(aiter(source)) == expected


def read_on(rows: Any) -> list[Any]:
    """What an iterator gives, errors included, until it is over."""
    found: list[Any] = []
    while True:
        try:
            found.append(next(rows).c)
        except ColumnDecodeError:
            found.append("error")
        except StopIteration:
            return found


async def read_on_asynchronously(rows: Any) -> list[Any]:
    found: list[Any] = []
    while True:
        try:
            found.append((await anext(rows)).c)
        except ColumnDecodeError:
            found.append("error")
        except StopAsyncIteration:
            return found


async def test_async_for_lets_other_tasks_run(
    session: AsyncCassandraSession, new_table: NewTable
) -> None:
    table = await new_table("p int, c int, PRIMARY KEY (p, c)")
    insert = await session.prepare(f"INSERT INTO {table} (p, c) VALUES (0, ?)")
    await asyncio.gather(*(session.execute(insert, (key,)) for key in range(600)))
    result = await session.execute(f"SELECT c FROM {table}")
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    seen = [(row.c, turns) async for row in result]
    counting.cancel()
    assert [number for number, _ in seen] == list(range(600))
    assert seen[0][1] < seen[300][1] < seen[599][1]


async def test_undecodable_value_can_be_selected_otherwise(
    session: AsyncCassandraSession, far_table: str
) -> None:
    result = await session.execute(
        f"SELECT to_unix_timestamp(moment) AS ms FROM {far_table} WHERE p = 0 AND c = 2"
    )
    assert result.one().ms == int(FAR_FUTURE)


# User-defined types


@dataclass
class Address:
    street: str
    number: int | None = None
    tags: Any = None


AddressTuple = namedtuple("AddressTuple", ["street", "number", "tags"])


@pytest.fixture(scope="module")
async def udt_table(session: AsyncCassandraSession, new_table: NewTable) -> str:
    """A table with a user-defined type: plain, frozen, nested and in collections."""
    await session.execute(
        "CREATE TYPE IF NOT EXISTS address (street text, number int, tags frozen<set<text>>)"
    )
    await session.execute("CREATE TYPE IF NOT EXISTS person (name text, home frozen<address>)")
    return await new_table(
        "id int PRIMARY KEY, a address, f frozen<address>, p person, l list<frozen<address>>, "
        "m map<text, frozen<address>>, t tuple<int, frozen<address>>"
    )


async def test_unregistered_udt_is_as_plain_drivers(
    session: AsyncCassandraSession, plain_session: Any, udt_table: str
) -> None:
    key = next(_keys)
    await session.execute(
        f"INSERT INTO {udt_table} (id, a, p, l, m, t) VALUES ({key}, "
        "{street: 'Main', number: 1, tags: {'x', 'y'}}, {name: 'Ann', home: {street: 'Low'}}, "
        "[{street: 'A'}, {number: 2}], {'k': {street: 'B'}}, (1, {street: 'C'}))"
    )
    value = await read_one(session, plain_session, udt_table, "a", key)
    assert (value.street, value.number, type(value.tags)) == ("Main", 1, SortedSet)
    assert type(value).__name__ == "address"
    for column in ("f", "p", "l", "m", "t"):
        await read_one(session, plain_session, udt_table, column, key)


@pytest.mark.parametrize(
    "value",
    [
        AddressTuple("Main", 5, {"a"}),
        ("Main", 5, {"a"}),
        ("Main", None, None),
        Address("Main", 5, {"a"}),
    ],
    ids=["named tuple", "tuple", "nulls", "object"],
)
@pytest.mark.parametrize("column", ["a", "f"])
async def test_udt_is_written_from_what_plain_driver_takes(
    session: AsyncCassandraSession, plain_session: Any, udt_table: str, value: Any, column: str
) -> None:
    insert = f"INSERT INTO {udt_table} (id, {column}) VALUES (?, ?)"
    by_us, by_plain = next(_keys), next(_keys)

    def write_plain() -> None:
        plain_session.execute(plain_session.prepare(insert), (by_plain, value))

    await asyncio.to_thread(write_plain)
    await session.execute(await session.prepare(insert), (by_us, value))
    mine = await read_one(session, plain_session, udt_table, column, by_us)
    assert_same(mine, await read_one(session, plain_session, udt_table, column, by_plain))


async def test_udt_read_can_be_written_back(
    session: AsyncCassandraSession, plain_session: Any, udt_table: str
) -> None:
    first, second = next(_keys), next(_keys)
    insert = await session.prepare(f"INSERT INTO {udt_table} (id, p, l) VALUES (?, ?, ?)")
    await session.execute(insert, (first, ("Bo", ("High", 3, None)), [("A", 1, {"t"})]))
    read = (await session.execute(f"SELECT p, l FROM {udt_table} WHERE id = ?", [first])).one()
    await session.execute(insert, (second, read.p, read.l))
    for column in ("p", "l"):
        mine = await read_one(session, plain_session, udt_table, column, second)
        assert_same(mine, read[column])


@pytest.fixture
async def registering(
    anyio_backend: Backend, settings: dict[str, Any]
) -> AsyncIterator[AsyncCluster]:
    """A cluster in which types can be registered without other tests seeing it."""
    async with AsyncCluster(**settings) as cluster:
        yield cluster


@pytest.mark.parametrize("when", ["before connect", "after connect", "after prepare"])
async def test_registered_udt_is_of_its_class(
    registering: AsyncCluster, udt_table: str, cassandra_keyspace: str, when: str
) -> None:
    key = next(_keys)
    if when == "before connect":
        registering.register_user_type(cassandra_keyspace, "address", Address)
    session = await registering.connect(cassandra_keyspace)
    if when == "after connect":
        registering.register_user_type(cassandra_keyspace, "address", Address)
    insert = await session.prepare(f"INSERT INTO {udt_table} (id, a, l) VALUES (?, ?, ?)")
    select = await session.prepare(f"SELECT a, l FROM {udt_table} WHERE id = ?")
    if when == "after prepare":
        assert (await session.execute(select, [key])).one() is None
        registering.register_user_type(cassandra_keyspace, "address", Address)
        await settle(registering)
    value = Address("Main", 7, SortedSet(["t"]))
    await session.execute(insert, (key, value, [value, Address("Low")]))
    for query, parameters in (
        (select, [key]),
        (f"SELECT a, l FROM {udt_table} WHERE id = {key}", None),
    ):
        row = (await session.execute(query, parameters)).one()
        assert row.a == value
        assert type(row.a) is Address
        assert row.l == [value, Address("Low")]


async def settle(cluster: AsyncCluster) -> None:
    """Let what the control plane has posted to the loop so far happen."""
    await cluster._control.run(lambda: None)
    await asyncio.sleep(0)
