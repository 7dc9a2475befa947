"""What the CQL of a write says about applying it twice: proven by its grammar, or doubted."""

from itertools import product

import pytest
from cassandra.encoder import Encoder
from cassandra.query import bind_params
from hypothesis import given, settings
from hypothesis import strategies as st

from async_cassandra._cql.analysis import Repetition, analyze
from async_cassandra._cql.literals import LiteralEncoder
from async_cassandra._statements.resolver import formatted_info
from tests.support.cql_writes import WRITES, Write, spaced

NAMES = st.sampled_from(["t", "values", "json", "ks.values", '"ks"."IF"', "ttl", "key.timestamp"])


@settings(max_examples=300)
@given(WRITES, NAMES, st.integers(0, 2**32))
def test_repetition_of_any_write_is_what_is_true_of_it(write: Write, table: str, seed: int) -> None:
    text = spaced(write, {"table": table, "counters": table, "key": "1"}, seed)
    found = analyze(text).repetition

    if write.counts or write.is_conditional:
        assert found is Repetition.NEVER, text
    elif write.repeats:
        assert found is Repetition.UNKNOWN, text
    elif write.is_plain:
        assert found is Repetition.HARMLESS, text
    else:
        assert found in (Repetition.UNKNOWN, Repetition.HARMLESS), text


# Counters


COLUMNS = ["n", '"N n"', "count"]
OPERANDS = [
    *("1", "-1", "(1)", "((1))", "(int) 1", "(bigint)(1)", "1 + 1", "f(1)", "ks.f(?)", "- -1"),
    *("(int) ?", "? + 1", "(? * 2)", "-?", "abs(?)", "cast(1 as bigint)", "0x01", "nan", "null"),
    *("(1, 2)", "system.abs(1)", "/* [ */ 1 /* ] */", "-- {\n 1", "n", "(ks.money) 1", "'a' + 1"),
]
FORMS = [
    *("{c} = {c} + {v}", "{c} = {c} - {v}", "{c} += {v}", "{c} -= {v}", "{c} = {v} + {c}"),
    *("{c}={c}+{v}", "a = 1, {c} = {c} + {v}", "{c} = {c} + {v}, a = 1", "m['k'] = 1, {c} += {v}"),
]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE t SET {} WHERE k = 1",
        "UPDATE set_.t USING TTL 5 SET {} WHERE k IN (1, 2) ;",
        "BEGIN UNLOGGED BATCH UPDATE t SET {} WHERE k = 1 APPLY BATCH",
        "BEGIN BATCH INSERT INTO t (a) VALUES (1); UPDATE t SET {} WHERE k = 1; DELETE FROM t"
        " WHERE k = 1 APPLY BATCH",
        # Not what the grammar of Cassandra 5 knows, but what another may.
        "UPDATE t SET {} RETURNING a WHERE k = 1",
        "UPDATE t SET {}",
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_what_may_add_to_a_counter_is_never_repeated(form: str, statement: str) -> None:
    for column, operand in product(COLUMNS, OPERANDS):
        text = statement.format(form.format(c=column, v=operand))
        assert analyze(text).repetition is Repetition.NEVER, text


@pytest.mark.parametrize(
    "assignment",
    [
        *("n = n 1", "n = n -1", "n++", "n = 1 - n", "n = n", "n[0] += 1", "n[0] = n[0] + 1"),
        *("n.x += 1", "n = n.x + 1", "n = o + 1", "n = (n) + 1", "n = (n + 1)", "n = f(n) + 1"),
        *("n = n + [1] + 1", "n = CASE 1", "n = n || 1", "n = -n", "SET n = 1", ""),
    ],
)
def test_update_that_is_not_understood_may_be_of_a_counter(assignment: str) -> None:
    assert analyze(f"UPDATE t SET {assignment} WHERE k = 1").repetition is Repetition.NEVER


@pytest.mark.parametrize("operand", ["{1}", "[1]", "([1])", "{}", "{'a': n()}", "'x'", "$$x$$"])
@pytest.mark.parametrize("form", ["c = c + {}", "c -= {}", "c = {} + c", "c += (({}))"])
def test_collection_or_text_is_not_added_to_a_counter(form: str, operand: str) -> None:
    text = "UPDATE t SET " + form.replace("{}", operand) + " WHERE k = 1"

    assert analyze(text).repetition is Repetition.UNKNOWN


@pytest.mark.parametrize("marker", ["?", ":n", ':"N"', "(?)", "((:n))", "%s", "%(n)s", "( %s )"])
@pytest.mark.parametrize("form", ["c = c + {}", "c -= {}", "c = {} + c"])
def test_type_of_an_added_marker_decides(form: str, marker: str) -> None:
    """Preparing tells it, and formatting shows it."""
    text = "UPDATE t SET " + form.replace("{}", marker) + " WHERE k = 1"

    assert analyze(text).repetition is Repetition.UNKNOWN


# What a place in the text does not prove


@pytest.mark.parametrize(
    "text",
    [
        'INSERT INTO values JSON \'{"k": 1, "l": [1]}\'',
        "INSERT INTO values JSON ?",
        "INSERT INTO ks.values JSON :values DEFAULT UNSET USING TTL 5",
        "INSERT INTO json JSON 'VALUES (1)'",
        "INSERT INTO t (a) VALUES (abs(1))",
        "INSERT INTO t (a) VALUES (textAsBlob('x'))",
        'INSERT INTO t (a) VALUES ("token".abs(1))',
        "INSERT INTO t (a) VALUES (ks.token(1))",
        "INSERT INTO t (a) VALUES (system.now())",
        "INSERT INTO t (a) VALUES (system.fromJson('[1]'))",
        "INSERT INTO t (a) VALUES (system.abs(f(1)))",
        "INSERT INTO t (a) VALUES ({set(1)})",
        "INSERT INTO t (a) VALUES (values(1))",
        "INSERT INTO t (a) VALUES ((key(1)))",
        "UPDATE t SET a = where_(1) WHERE k = 1",
        "UPDATE t SET m['k'] = timestamp(1) WHERE k = 1",
        "UPDATE t SET a = contains(1) WHERE k = 1",
        "DELETE FROM t WHERE k = ttl(1)",
        "INSERT INTO t (l) VALUES ((list<int>) [1])",
        "UPDATE t SET i[(text) 'x'] = 1 WHERE k = 1",
        "INSERT INTO t (a) VALUES (1) RETURNING a",
        "INSERT INTO t (a) VALUES (1); INSERT INTO t (a) VALUES (1)",
        "BEGIN BATCH INSERT INTO t (a) VALUES (1) SELECT a FROM t APPLY BATCH",
        "BEGIN BATCH INSERT INTO t (a) VALUES (1)",
        "BEGIN LOGGED BATCH INSERT INTO t (a) VALUES (1) APPLY BATCH",
        "DELETE FROM t",
        "INSERT INTO t (a) VALUES (" + "(" * 200 + "1" + ")" * 200 + ")",
        "INSERT INTO t (a) VALUES (" + "{" * 20_000,
        "DELETE FROM t WHERE " + "(" * 20_000,
        "INSERT INTO t (a) VALUES ((" + "frozen<" * 20_000,
    ],
)
def test_what_is_not_proven_is_not_inferred(text: str) -> None:
    assert analyze(text).repetition is Repetition.UNKNOWN


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE t SET a = 1 WHERE k = 1IF a = 2",
        "UPDATE t SET a = 1 WHERE k = 1.5IF a = 2",
        "UPDATE t SET a = 1 WHERE k = 1e5IF EXISTS",
        "UPDATE t SET a = 1 WHERE k = 1hIF EXISTS",
        "UPDATE t SET a = 1 WHERE k = 2msIF EXISTS",
        "UPDATE t SET a = 1 WHERE k = 0xaIF EXISTS",
        "UPDATE t SET a = 1 WHERE k = 550e8400-e29b-41d4-a716-446655440000IF EXISTS",
        "DELETE FROM t WHERE k = 1if exists",
        "DELETE FROM t WHERE k = ?if exists",
        "DELETE FROM t WHERE k = 'x'IF EXISTS",
        "INSERT INTO t (a) VALUES (1)IF NOT EXISTS",
        "BEGIN TRANSACTION UPDATE t SET a = 1 WHERE k = 1; COMMIT TRANSACTION",
    ],
)
def test_condition_is_seen_where_the_servers_lexer_sees_it(text: str) -> None:
    assert analyze(text).repetition is Repetition.NEVER


@pytest.mark.parametrize(
    ("template", "joins"),
    [
        ("INSERT INTO t (a, b) VALUES (%s, %s)", False),
        ("INSERT INTO t (a) VALUES ( %(a)s );", False),
        ("UPDATE t SET a=%s, m = {'k' : %s} WHERE k IN (%s) AND c >%s", False),
        ("INSERT INTO t (a) VALUES ('%s')", True),
        ("INSERT INTO t (a) VALUES (%s) -- %s", True),
        ("INSERT INTO t (a) VALUES (-%s)", True),
        ("UPDATE t SET a = %s-%s WHERE k = 1", True),
        ("UPDATE t SET a%s = 1 WHERE k = 1", True),
        ("UPDATE t SET a = 1 WHERE k = %sIF EXISTS", True),
        ("/* %s */ SELECT a FROM t", True),
        ("SELECT a FROM t WHERE k = 'what?'", False),
        ("INSERT INTO t (a) VALUES (?)", False),
    ],
)
def test_template_says_whether_its_parameters_may_change_its_tokens(
    template: str, joins: bool
) -> None:
    assert analyze(template).joins_text is joins


@pytest.mark.parametrize(
    ("template", "values"),
    [
        ("INSERT INTO t (a, b, c) VALUES ('%s')", (", now(), ",)),
        ("/* %s */ SELECT a FROM t", ("*/ UPDATE t SET n = n + 1 WHERE k = 1 --",)),
        ("UPDATE t SET a = 1 WHERE k = %sIF a = 2", (1,)),
        ("INSERT INTO t (a) VALUES (1) -- %s", ("\n IF NOT EXISTS --",)),
        ("UPDATE t SET n = n -%s WHERE k = 1", (-1,)),
        ("UPDATE t SET n = n + (%s) WHERE k = 1", (1,)),
        ("INSERT INTO t (l) VALUES (%s)", ([1],)),
        ("UPDATE t SET l = l + %s WHERE k = 1", ([1],)),
    ],
)
def test_formatted_text_decides_where_its_template_does_not(
    template: str, values: tuple[object, ...]
) -> None:
    formatted = bind_params(template, values, Encoder())
    found = formatted_info(analyze(template), values, formatted, LiteralEncoder())

    assert found.repetition == analyze(formatted).repetition
    assert found.repetition < Repetition.HARMLESS


@pytest.mark.parametrize("call", ["token(5)", '"token"(5)', "TOKEN ( 5 )", "ks.token(5)"])
def test_function_that_may_be_a_users_proves_nothing(call: str) -> None:
    assert analyze(f"INSERT INTO t (k, l) VALUES (1, {call})").repetition is Repetition.UNKNOWN
