"""Parameters of strings, and parameters that do not fit."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from typing import Any

import pytest
from cassandra.encoder import Encoder
from cassandra.query import UNSET_VALUE, SimpleStatement, ValueSequence

from async_cassandra import AsyncCassandraSession, AsyncCluster, QueryError
from async_cassandra.exceptions import ParameterTypeError, ParameterValueError
from async_cassandra.observers import Observer, Request, facts_of
from async_cassandra.statements import BatchStatement
from tests.integration.conftest import Backend, NewTable

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def table(session: AsyncCassandraSession, new_table: NewTable) -> str:
    name = await new_table('id int PRIMARY KEY, v text, n bigint, "Mixed ?" text')
    for key in range(5):
        await session.execute(
            f'INSERT INTO {name} (id, v, n, "Mixed ?") VALUES (?, ?, ?, ?)',
            (key, f"v{key}", key, "m"),
        )
    return name


class Sent(Observer):
    """Counts the requests of a session, and the PREPAREs apart.

    A refusal may ask for the types of a string's parameters once more after any change of the schema, of which the
    driver's refresh tells seconds later.
    """

    def __init__(self) -> None:
        self.statements = 0
        self.prepares = 0

    def on_started(self, request: Request) -> None:
        if facts_of(request).operation == "PREPARE":
            self.prepares += 1
        else:
            self.statements += 1


@pytest.fixture(scope="module")
def sent() -> Sent:
    """What the module's session has sent so far."""
    return Sent()


@pytest.fixture(scope="module")
async def cluster(
    anyio_backend: Backend, settings: dict[str, Any], sent: Sent
) -> AsyncIterator[AsyncCluster]:
    """A cluster whose session is watched."""
    async with AsyncCluster(**settings, observers=[sent]) as watched:
        yield watched


# What stands for a parameter in a string


@pytest.mark.parametrize(
    ("condition", "parameters"),
    [
        ("id = ?", (3,)),
        ("id = ?", [3]),
        ("id = :id", {"id": 3}),
        ("id=:id", {"id": 3, "not used": 5}),
        ("id = :Id", {"id": 3}),
        ('id = :"Id"', {"Id": 3}),
        ("id = ?", {"id": 3}),
        ("id = :id", (3,)),
        ("id IN ?", ([3],)),
        ("id IN (?, ?)", (3, 77)),
        ("id = %s", (3,)),
        ("id = %(id)s", {"id": 3}),
        ("id IN %s", (ValueSequence([3, 77]),)),
        ("id = 3 /* ? */", None),
        ("id = ? -- and :this ?\n", (3,)),
        ("id = ? // and :this ?\n", (3,)),
        ("id = ? /* ? :no %s */", (3,)),
        ("id = ? AND v = 'v3' ALLOW FILTERING", (3,)),
        ("id = 3 AND v = 'v3' ALLOW FILTERING", ()),
        ("id = 3 AND v = 'v3' ALLOW FILTERING", {}),
    ],
)
async def test_marker_of_string_is_found(
    session: AsyncCassandraSession, table: str, condition: str, parameters: Any
) -> None:
    query = f"SELECT v FROM {table} WHERE {condition}"
    for statement in (query, SimpleStatement(query)):
        assert (await session.execute(statement, parameters)).one().v == "v3"
    stream = await session.execute_stream(query, parameters)
    assert [row.v async for row in stream] == ["v3"]


@pytest.mark.parametrize(
    "literal", ["'?'", "'it''s :name ?'", "$$ ? :name 'quoted' $$", "'%%'", "'-- ?'", "'/* ?'"]
)
async def test_marker_in_literal_is_text(
    session: AsyncCassandraSession, table: str, literal: str
) -> None:
    insert = f"INSERT INTO {table} (id, v) VALUES (?, {literal})"
    await session.execute(insert, (100,))
    stored = (await session.execute(f"SELECT v FROM {table} WHERE id = 100")).one().v
    await session.execute(f"INSERT INTO {table} (id, v) VALUES (101, {literal})")
    assert (await session.execute(f"SELECT v FROM {table} WHERE id = 101")).one().v == stored
    assert stored in literal.replace("''", "'")


async def test_marker_in_quoted_name_is_a_name(session: AsyncCassandraSession, table: str) -> None:
    query = f'SELECT "Mixed ?" FROM {table} WHERE id = ?'
    row = (await session.execute(query, (3,))).one()
    assert row["Mixed ?"] == "m"
    assert row[0] == "m"


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        ("id = ? AND n = :n", {"n": 1}),
        ("id = ? AND n = %s", (1, 2)),
        ("id = :id AND n = %(n)s", {"id": 1, "n": 2}),
    ],
)
async def test_mixed_markers_are_refused(
    session: AsyncCassandraSession, sent: Sent, table: str, query: str, parameters: Any
) -> None:
    before = sent.statements
    with pytest.raises((QueryError, ValueError)) as failure:
        await session.execute(f"SELECT * FROM {table} WHERE {query}", parameters)
    assert isinstance(failure.value, QueryError)
    assert isinstance(failure.value, ValueError)
    assert sent.statements == before


async def test_string_is_prepared_once(
    session: AsyncCassandraSession, sent: Sent, table: str
) -> None:
    query = f"SELECT v FROM {table} WHERE id = ? AND n >= ? ALLOW FILTERING"
    await session.execute(query, (3, 0))
    before = sent.statements, sent.prepares
    for _ in range(10):
        await session.execute(query, (3, 0))
    assert (sent.statements, sent.prepares) == (before[0] + 10, before[1])


async def test_string_with_marker_and_no_parameters_is_refused_by_server(
    session: AsyncCassandraSession, table: str
) -> None:
    with pytest.raises(QueryError, match="bind variable"):
        await session.execute(f"SELECT v FROM {table} WHERE id = ?")


@pytest.mark.parametrize(
    "value",
    [
        "it's",
        "%s and %(v)s and ? and :v",
        "$$",
        "",
        None,
        "naïve ☃",
    ],
)
async def test_text_in_parameter_is_not_interpreted(
    session: AsyncCassandraSession, table: str, value: str | None
) -> None:
    for marker in ("?", "%s"):
        await session.execute(
            f"INSERT INTO {table} (id, v) VALUES ({marker}, {marker})", (200, value)
        )
        assert (await session.execute(f"SELECT v FROM {table} WHERE id = 200")).one().v == value


async def test_formatted_values_are_as_plain_drivers_encoder_writes_them(
    session: AsyncCassandraSession, new_table: NewTable
) -> None:
    table = await new_table("id int PRIMARY KEY, a list<text>, b map<text, int>, c uuid, d date")
    values = (
        ["a", "b'c"],
        {"k": 1},
        uuid.UUID("6b1f1c5e-9c0e-4b0a-8a33-5f0f2a7d1e4c"),
        datetime.date(2024, 2, 29),
    )
    await session.execute(
        f"INSERT INTO {table} (id, a, b, c, d) VALUES (%s, %s, %s, %s, %s)", (1, *values)
    )
    encoded = ", ".join(Encoder().cql_encode_all_types(value) for value in values)
    await session.execute(f"INSERT INTO {table} (id, a, b, c, d) VALUES (2, {encoded})")
    rows = {row.id: row[1:] for row in await session.execute(f"SELECT * FROM {table}")}
    assert rows[1] == rows[2]


# Parameters that do not fit


@pytest.fixture(scope="module")
async def typed(new_table: NewTable) -> str:
    return await new_table(
        "id int PRIMARY KEY, tiny tinyint, small smallint, big bigint, txt text, plain ascii, "
        "bin blob, flag boolean, real double, at timestamp, day date, clock time, uid uuid, "
        "net inet, items list<int>, names map<text, int>, pair tuple<int, text>, "
        "vec vector<float, 2>, num varint, dec decimal, span duration"
    )


UNFIT: list[tuple[str, Any, type[ParameterTypeError | ParameterValueError]]] = [
    ("tiny", 128, ParameterValueError),
    ("tiny", -129, ParameterValueError),
    ("small", 2**15, ParameterValueError),
    ("big", 2**63, ParameterValueError),
    ("big", "5", ParameterTypeError),
    ("big", 1.5, ParameterTypeError),
    ("txt", 5, ParameterTypeError),
    ("plain", "ü", ParameterValueError),
    ("bin", "text", ParameterTypeError),
    ("real", "1.0", ParameterTypeError),
    ("at", "yesterday", ParameterTypeError),
    ("day", "2024-02-31", ParameterValueError),
    ("clock", -1, ParameterValueError),
    ("uid", "not a uuid", ParameterTypeError),
    ("net", "300.1.1.1", ParameterValueError),
    ("items", [1, "2"], ParameterTypeError),
    ("items", [2**31], ParameterValueError),
    ("items", 5, ParameterTypeError),
    ("names", {"a": "b"}, ParameterTypeError),
    ("names", [1], ParameterTypeError),
    ("pair", (1, "a", 2), ParameterValueError),
    ("pair", (1,), ParameterValueError),
    ("items", ["a", None], ParameterTypeError),
    ("items", [1, None], ParameterValueError),
    ("items", {1, 2}, ParameterTypeError),
    ("names", {"a": None}, ParameterValueError),
    ("names", {None: 1}, ParameterValueError),
    ("net", "1.2.3", ParameterValueError),
    ("flag", 2, ParameterValueError),
    ("vec", [1.0], ParameterValueError),
    ("vec", [1.0, "a"], ParameterTypeError),
    ("num", "1", ParameterTypeError),
    ("dec", "x", ParameterValueError),
    ("span", 5, ParameterTypeError),
]


@pytest.mark.parametrize(("column", "value", "kind"), UNFIT, ids=lambda part: repr(part)[:24])
async def test_parameter_that_does_not_fit_is_named_and_nothing_sent(
    session: AsyncCassandraSession,
    sent: Sent,
    typed: str,
    column: str,
    value: Any,
    kind: type[ParameterTypeError | ParameterValueError],
) -> None:
    query = f"INSERT INTO {typed} (id, {column}) VALUES (?, ?)"
    statement = await session.prepare(query)
    await session.execute(query, (0, None))
    # Before a string's first refusal its types are asked for once more: they may have changed.
    with pytest.raises((ParameterTypeError, ParameterValueError)):
        await session.execute(query, (1, value))
    before = sent.statements
    for action in (
        lambda: session.execute(statement, (1, value)),
        lambda: session.execute(statement, {"id": 1, column: value}),
        lambda: session.execute(query, (1, value)),
        lambda: session.execute_stream(statement, (1, value)),
    ):
        with pytest.raises((ParameterTypeError, ParameterValueError), match=column) as failure:
            await action()
        refusal: Any = failure.value
        assert (refusal.parameter, refusal.index) == (column, 1)
        assert isinstance(failure.value, TypeError | ValueError)
    with pytest.raises((TypeError, ValueError), match=column):
        statement.bind((1, value))
    with pytest.raises((TypeError, ValueError), match=column):
        BatchStatement().add(statement, (1, value))
    assert sent.statements == before
    assert isinstance(failure.value, kind)


async def test_too_many_parameters_are_refused(
    session: AsyncCassandraSession, sent: Sent, typed: str
) -> None:
    query = f"INSERT INTO {typed} (id, txt) VALUES (?, ?)"
    statement = await session.prepare(query)
    await session.execute(query, (0, None))
    before = sent.statements
    for each in (statement, query):
        with pytest.raises(ParameterValueError, match="3 given"):
            await session.execute(each, (1, "a", "b"))
    with pytest.raises(ParameterValueError):
        statement.bind((1, "a", "b"))
    assert sent.statements == before


async def test_too_few_parameters_are_refused(
    session: AsyncCassandraSession, sent: Sent, typed: str
) -> None:
    """In every call that executes; ``bind`` leaves what is missing unset, as the driver's does."""
    query = f"INSERT INTO {typed} (id, txt) VALUES (?, ?)"
    statement = await session.prepare(query)
    await session.execute(query, (7, "kept"))
    before = sent.statements
    batch = BatchStatement()
    batch.add(query, (7,))
    for attempt in (
        lambda: session.execute(statement, (7,)),
        lambda: session.execute(statement, [7]),
        lambda: session.execute(query, (7,)),
        lambda: session.execute(SimpleStatement(query), (7,)),
        lambda: session.execute_stream(statement, (7,)),
        lambda: session.execute_stream(query, (7,)),
        lambda: session.execute(batch),
    ):
        with pytest.raises(ParameterValueError, match="1 given, the statement has 2; 'txt'"):
            await attempt()
    with pytest.raises(ParameterValueError, match="'txt' is missing"):
        BatchStatement().add(statement, (7,))
    assert sent.statements == before
    await session.execute(statement.bind((7,)))
    await session.execute(statement, (7, UNSET_VALUE))
    row = (await session.execute(f"SELECT txt FROM {typed} WHERE id = 7")).one()
    assert row.txt == "kept"


async def test_misspelt_name_is_refused_and_a_missing_one_is_unset(
    session: AsyncCassandraSession, sent: Sent, typed: str
) -> None:
    query = f"INSERT INTO {typed} (id, txt) VALUES (?, ?)"
    statement = await session.prepare(query)
    await session.execute(query, {"id": 8, "txt": "kept", "other": 1})
    before = sent.statements
    for attempt in (
        lambda: session.execute(statement, {"id": 8, "text": "lost"}),
        lambda: session.execute(query, {"id": 8, "text": "lost"}),
        lambda: session.execute_stream(statement, {"id": 8, "text": "lost"}),
    ):
        with pytest.raises(ParameterValueError, match=r"'txt' is missing.*no 'text'"):
            await attempt()
    with pytest.raises(ParameterValueError, match=r"'txt' is missing.*no 'text'"):
        statement.bind({"id": 8, "text": "lost"})
    assert sent.statements == before
    await session.execute(statement, {"id": 8})
    row = (await session.execute(f"SELECT txt FROM {typed} WHERE id = 8")).one()
    assert row.txt == "kept"


async def test_formatted_entries_of_a_batch_have_the_sessions_literals(
    session: AsyncCassandraSession, typed: str
) -> None:
    exact = Decimal("123456789012345678901234567890.123")
    batch = BatchStatement()
    batch.add(
        f"INSERT INTO {typed} (id, dec, at) VALUES (%s, %s, %s)", (9, exact, datetime.datetime.max)
    )
    batch.add(
        SimpleStatement(f"INSERT INTO {typed} (id, txt) VALUES (%(id)s, %(t)s)"),
        {"id": 9, "t": "a"},
    )
    await session.execute(batch)
    row = (await session.execute(f"SELECT dec, at, txt FROM {typed} WHERE id = 9")).one()
    assert row == (exact, datetime.datetime(9999, 12, 31, 23, 59, 59, 999000), "a")
    batch.add(f"INSERT INTO {typed} (id, txt) VALUES (%s, %s)", (9,))
    with pytest.raises(ParameterValueError, match="not enough"):
        await session.execute(batch)
    with pytest.raises(ParameterValueError, match="without markers"):
        BatchStatement().add(f"INSERT INTO {typed} (id) VALUES (1)", (1,))


async def test_too_few_parameters_for_format_are_refused(
    session: AsyncCassandraSession, sent: Sent, typed: str
) -> None:
    before = sent.statements
    for query, parameters in (
        (f"INSERT INTO {typed} (id, txt) VALUES (%s, %s)", (1,)),
        (f"INSERT INTO {typed} (id, txt) VALUES (%s, %s)", (1, "a", "b")),
        (f"INSERT INTO {typed} (id, txt) VALUES (%(id)s, %(txt)s)", {"id": 1}),
        (f"SELECT * FROM {typed} WHERE id = %s", ()),
        (f"SELECT * FROM {typed}", (1,)),
    ):
        with pytest.raises(ParameterValueError):
            await session.execute(query, parameters)
    assert sent.statements == before


@pytest.mark.parametrize("parameters", [(), {}, (UNSET_VALUE, "a"), {"txt": "a"}], ids=repr)
async def test_missing_partition_key_is_refused(
    session: AsyncCassandraSession, sent: Sent, typed: str, parameters: Any
) -> None:
    statement = await session.prepare(f"INSERT INTO {typed} (id, txt) VALUES (?, ?)")
    before = sent.statements
    with pytest.raises(ParameterValueError, match="id"):
        await session.execute(statement, parameters)
    assert sent.statements == before


@pytest.mark.parametrize(
    "parameters",
    ["te", b"by", 5, 0, "", set(), {1, "a"}, {1: 1, "a": 2}.keys(), iter([1, "a"]), object()],
    ids=lambda value: type(value).__name__,
)
async def test_parameters_of_wrong_kind_are_refused(
    session: AsyncCassandraSession, sent: Sent, typed: str, parameters: Any
) -> None:
    query = f"INSERT INTO {typed} (id, txt) VALUES (?, ?)"
    statement = await session.prepare(query)
    await session.execute(query, (1, None))
    before = sent.statements
    for each in (statement, query, query.replace("?", "%s"), f"SELECT * FROM {typed}"):
        with pytest.raises(ParameterTypeError, match="are a sequence"):
            await session.execute(each, parameters)
        with pytest.raises(ParameterTypeError, match="are a sequence"):
            BatchStatement().add(each, parameters)
    with pytest.raises(ParameterTypeError, match="are a sequence"):
        statement.bind(parameters)
    assert sent.statements == before


async def test_parameters_with_bound_statement_or_batch_are_refused(
    session: AsyncCassandraSession, typed: str
) -> None:
    statement = await session.prepare(f"INSERT INTO {typed} (id) VALUES (?)")
    batch = BatchStatement()
    batch.add(statement, (1,))
    for query in (statement.bind((1,)), batch):
        with pytest.raises(ParameterValueError, match="parameters"):
            await session.execute(query, (2,))


async def test_null_in_partition_key_is_refused_by_server(
    session: AsyncCassandraSession, typed: str
) -> None:
    with pytest.raises(QueryError, match="id"):
        await session.execute(f"INSERT INTO {typed} (id) VALUES (?)", (None,))


class Named(Mapping[str, Any]):
    """A mapping that is no dict."""

    def __getitem__(self, name: str) -> Any:
        return {"id": 300, "v": "from a mapping"}[name]

    def __iter__(self) -> Any:
        return iter(("id", "v"))

    def __len__(self) -> int:
        return 2


async def test_any_mapping_gives_names(session: AsyncCassandraSession, table: str) -> None:
    await session.execute(f"INSERT INTO {table} (id, v) VALUES (:id, :v)", Named())
    await session.execute(f"INSERT INTO {table} (id, v) VALUES (?, ?)", Named())
    row = (await session.execute(f"SELECT v FROM {table} WHERE id = 300")).one()
    assert row.v == "from a mapping"


async def test_row_gives_positions(session: AsyncCassandraSession, table: str) -> None:
    row = (await session.execute(f"SELECT id, v FROM {table} WHERE id = 3")).one()
    await session.execute(f"INSERT INTO {table} (id, v) VALUES (?, ?)", row)
    prepared = await session.prepare(f"INSERT INTO {table} (id, v) VALUES (?, ?)")
    await session.execute(prepared, row)
