"""A value of its type's own Python class is stored alike by ``?``, by ``%s`` and by the plain driver.

Values of every type, drawn anew in each run, are written in the three ways and read back. A failure names the seed.
"""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from cassandra.concurrent import execute_concurrent_with_args
from cassandra.util import Date, Duration, OrderedMap, SortedSet, Time
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from async_cassandra import AsyncCassandraSession, AsyncCluster
from async_cassandra.exceptions import ColumnDecodeError
from tests.integration.conftest import NewTable
from tests.support.same import assert_same
from tests.wire.value_strategies import DAY_NS, INT32, INT64, IPV4, IPV6, SCALARS

pytestmark = [
    pytest.mark.anyio,
    # The driver's threads draw random numbers while a value is drawn here, which hypothesis takes for a strategy's.
    pytest.mark.filterwarnings("ignore:Do not use the .random. module inside strategies"),
]

# One seed a run, so that a failure can be repeated.
SEED = random.SystemRandom().randrange(2**32)
COUNT = 25

DURATION = st.tuples(
    st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1)
)
SIGNED_DURATION = st.builds(
    lambda parts, sign: Duration(*(sign * part for part in parts)),
    DURATION,
    st.sampled_from([1, -1]),
)
DECIMAL = st.decimals(-(10**40), 10**40, allow_nan=False, allow_infinity=False) | st.builds(
    lambda number, exponent: Decimal(
        (number < 0, Decimal(abs(number)).as_tuple().digits, exponent)
    ),
    st.integers(),
    st.integers(-3000, 250),
)
# What a milliseconds' column holds of any datetime, with a zone or without.
TIMESTAMP = st.datetimes(timezones=st.none() | st.timezones() | st.just(datetime.UTC)).filter(
    lambda at: at.tzinfo is None or 2 < at.year < 9998
)


def is_no_mapped_address(address: Any) -> bool:
    """Java makes 1.2.3.4 of the text ::ffff:1.2.3.4."""
    return getattr(ipaddress.ip_address(address), "ipv4_mapped", None) is None


# CQL type -> its values' natural Python classes.
PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "ascii": SCALARS["AsciiType"],
    "bigint": INT64,
    "blob": st.binary(max_size=60) | st.binary(max_size=20).map(bytearray),
    "boolean": st.booleans(),
    "date": st.builds(Date, INT32) | st.dates(),
    "decimal": DECIMAL,
    "double": st.floats(),
    "duration": SIGNED_DURATION,
    "float": st.floats(width=32),
    "inet": (IPV4 | IPV6 | st.ip_addresses()).filter(is_no_mapped_address),
    "int": INT32,
    "smallint": SCALARS["ShortType"],
    "text": st.text(max_size=20),
    "time": st.builds(Time, st.integers(0, DAY_NS - 1)) | st.times(),
    "timestamp": TIMESTAMP,
    "timeuuid": st.uuids(version=1),
    "tinyint": SCALARS["ByteType"],
    "uuid": st.uuids(),
    "varint": st.integers() | st.integers(-(10**60), 10**60),
}
# Values that equal themselves and can be members of a set.
HASHABLE = {
    name: values.filter(lambda value: value == value and type(value) is not bytearray)
    for name, values in PLAIN.items()
    if name != "duration"
}


def around(element: str) -> dict[str, st.SearchStrategy[Any]]:
    """Types around one element's, to the depth at which all of them hold each other."""
    values = PLAIN[element]
    lists = st.lists(values, max_size=3)
    types = {
        f"frozen<list<{element}>>": lists,
        f"frozen<map<int, {element}>>": st.dictionaries(INT32, values, max_size=3),
        f"frozen<tuple<{element}, int>>": st.tuples(values | st.none(), INT32 | st.none()),
        f"vector<{element}, 2>": st.lists(values, min_size=2, max_size=2),
        f"frozen<list<map<text, tuple<{element}, list<{element}>>>>>": st.lists(
            st.dictionaries(st.text(max_size=2), st.tuples(values | st.none(), lists), max_size=2),
            max_size=2,
        ),
    }
    if element in HASHABLE:
        members = HASHABLE[element]
        types |= {
            f"frozen<set<{element}>>": st.sets(members, max_size=3)
            | st.frozensets(members, max_size=3),
            f"frozen<map<{element}, text>>": st.dictionaries(
                members, st.text(max_size=3), max_size=3
            ),
            f"frozen<map<list<{element}>, int>>": st.lists(
                st.tuples(st.lists(members, max_size=2), INT32), max_size=2
            ).map(OrderedMap),
            f"frozen<set<list<{element}>>>": st.lists(
                st.lists(members, min_size=1, max_size=2), max_size=1
            ).map(SortedSet),
        }
    return types


def drawn(values: st.SearchStrategy[Any], count: int = COUNT) -> list[Any]:
    """So many values of a strategy, by the run's seed."""
    found: list[Any] = []

    @seed(SEED)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(values)
    def take(value: Any) -> None:
        found.append(value)

    take()
    return found


@pytest.fixture(scope="module")
async def tuples_session(
    cluster: AsyncCluster, cassandra_keyspace: str
) -> AsyncIterator[AsyncCassandraSession]:
    """A session that writes tuples as such."""
    async with cluster.connect(cassandra_keyspace) as session:
        session.encoder.mapping[tuple] = session.encoder.cql_encode_tuple
        yield session


async def stored(session: AsyncCassandraSession, table: str, way: str) -> dict[int, Any]:
    rows = await session.execute(f"SELECT id, v FROM {table} WHERE way = ?", [way])
    return {row.id: row.v for row in rows}


async def check_alike(
    session: AsyncCassandraSession,
    plain_session: Any,
    table: str,
    values: list[Any],
    is_drivers: bool,
) -> None:
    """Write values by ``?`` and ``%s``, and with the driver where it can, and compare what is read."""
    insert = f"INSERT INTO {table} (way, id, v) VALUES (?, ?, ?)"
    prepared = await session.prepare(insert)
    formatted = f"INSERT INTO {table} (way, id, v) VALUES (%s, %s, %s)"
    await asyncio.gather(
        *(session.execute(prepared, ("bound", key, value)) for key, value in enumerate(values)),
        *(session.execute(formatted, ("written", key, value)) for key, value in enumerate(values)),
    )
    bound, written = await stored(session, table, "bound"), await stored(session, table, "written")
    for key, value in enumerate(values):
        assert_same(written[key], bound[key], f"{value!r}, by %s and by ?, seed {SEED}")
    if not is_drivers:
        return

    def write_plain() -> list[tuple[bool, Any]]:
        statement = plain_session.prepare(insert)
        rows = [("plain", key, value) for key, value in enumerate(values)]
        return list(
            execute_concurrent_with_args(plain_session, statement, rows, raise_on_first_error=False)
        )

    outcomes = await asyncio.to_thread(write_plain)
    plain = await stored(session, table, "plain")
    taken = [key for key, (success, _) in enumerate(outcomes) if success]
    assert taken
    for key in taken:
        assert_same(bound[key], plain[key], f"{values[key]!r}, by ? and the driver, seed {SEED}")


@pytest.mark.parametrize("element", PLAIN)
async def test_value_is_stored_alike_by_question_mark_percent_and_driver(
    tuples_session: AsyncCassandraSession, plain_session: Any, new_table: NewTable, element: str
) -> None:
    table = await new_table(f"way text, id int, v {element}, PRIMARY KEY (way, id)")
    values = drawn(PLAIN[element], 120)
    if element != "timestamp":
        await check_alike(tuples_session, plain_session, table, values, is_drivers=True)
        return
    await check_alike(tuples_session, plain_session, table, values, is_drivers=False)
    moments = [at.replace(microsecond=0) for at in values if 1900 < at.year < 2200]
    await tuples_session.execute(f"TRUNCATE {table}")
    await check_alike(tuples_session, plain_session, table, moments, is_drivers=True)


@pytest.mark.parametrize("element", PLAIN)
async def test_nested_value_is_stored_alike_by_question_mark_percent_and_driver(
    tuples_session: AsyncCassandraSession, plain_session: Any, new_table: NewTable, element: str
) -> None:
    for cql_type, values in around(element).items():
        table = await new_table(f"way text, id int, v {cql_type}, PRIMARY KEY (way, id)")
        # The driver's milliseconds go by way of a float.
        is_drivers = element != "timestamp"
        await check_alike(tuples_session, plain_session, table, drawn(values), is_drivers)


# Classes of user-defined types


@dataclass
class Inner:
    number: int | None = None
    words: Any = None
    Mixed: str | None = None
    at: datetime.datetime | None = None


@dataclass
class Outer:
    one: Inner | None = None
    many: Any = None
    named: Any = None
    pair: Any = None


def in_servers_order(values: dict[str, Any]) -> dict[str, Any]:
    return dict(sorted(values.items(), key=lambda entry: entry[0].encode()))


WORDS = st.lists(st.text(max_size=3), max_size=3)
INNER = st.builds(
    Inner,
    number=st.none() | st.integers(),
    words=st.none() | WORDS,
    Mixed=st.none() | st.text(max_size=3),
    at=st.none() | st.datetimes().map(lambda at: at.replace(microsecond=0)),
)
OUTER = st.builds(
    Outer,
    one=st.none() | INNER,
    many=st.none() | st.lists(INNER, max_size=2),
    # By ? a map inside another value keeps its order, which is the server's here.
    named=st.none() | st.dictionaries(st.text(max_size=2), INNER, max_size=2).map(in_servers_order),
    pair=st.none() | st.tuples(st.none() | INNER, st.none() | st.integers(0, 9)),
)


@pytest.fixture(scope="module")
async def user_types(
    tuples_session: AsyncCassandraSession, cluster: AsyncCluster, cassandra_keyspace: str
) -> None:
    """Two user-defined types, one around the other, with their classes; the session was there before."""
    await tuples_session.execute(
        'CREATE TYPE inner (number varint, words list<text>, "Mixed" text, at timestamp)'
    )
    await tuples_session.execute(
        "CREATE TYPE outer (one frozen<inner>, many list<frozen<inner>>, "
        "named map<text, frozen<inner>>, pair tuple<inner, int>)"
    )
    cluster.register_user_type(cassandra_keyspace, "inner", Inner)
    cluster.register_user_type(cassandra_keyspace, "outer", Outer)


@pytest.mark.usefixtures("user_types")
@pytest.mark.parametrize(
    ("cql_type", "values"),
    [
        ("frozen<inner>", INNER),
        ("frozen<outer>", OUTER),
        ("frozen<list<frozen<outer>>>", st.lists(OUTER, max_size=2)),
        ("frozen<map<text, outer>>", st.dictionaries(st.text(max_size=2), OUTER, max_size=2)),
        ("frozen<tuple<outer, inner>>", st.tuples(OUTER, st.none() | INNER)),
    ],
)
async def test_class_of_a_user_type_is_stored_alike_at_any_depth(
    tuples_session: AsyncCassandraSession,
    plain_session: Any,
    new_table: NewTable,
    cql_type: str,
    values: Any,
) -> None:
    table = await new_table(f"way text, id int, v {cql_type}, PRIMARY KEY (way, id)")
    await check_alike(tuples_session, plain_session, table, drawn(values), is_drivers=False)


@pytest.mark.usefixtures("user_types")
async def test_field_that_was_added_is_written_into_strings_and_refused_by_an_old_class(
    tuples_session: AsyncCassandraSession,
    cluster: AsyncCluster,
    cassandra_keyspace: str,
    new_table: NewTable,
) -> None:
    @dataclass
    class Place:
        name: str

    @dataclass
    class WiderPlace:
        name: str
        floor: int | None = None

    session = tuples_session
    await session.execute("CREATE TYPE place (name text)")
    cluster.register_user_type(cassandra_keyspace, "place", Place)
    table = await new_table("id int PRIMARY KEY, v frozen<place>")
    insert = f"INSERT INTO {table} (id, v) VALUES (%s, %s)"
    await session.execute(insert, (1, Place("before")))
    await session.execute("ALTER TYPE place ADD floor int")
    with pytest.raises(ColumnDecodeError, match=r"Place.*does not accept the field 'floor'"):
        (await session.execute(f"SELECT v FROM {table}")).one()
    cluster.register_user_type(cassandra_keyspace, "place", WiderPlace)
    await session.execute(insert, (2, WiderPlace("after", 3)))
    rows = await session.execute(f"SELECT id, v FROM {table}")
    assert {row.id: row.v for row in rows} == {1: WiderPlace("before"), 2: WiderPlace("after", 3)}
