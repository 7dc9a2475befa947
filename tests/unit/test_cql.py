"""The CQL tokenizer: what is code and what is text."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from async_cassandra._cql.analysis import (
    MarkerStyle,
    MixedMarkersError,
    Repetition,
    StatementKind,
    analyze,
)
from async_cassandra._cql.tokens import TokenKind, read_tokens

NONE = MarkerStyle.NONE
POSITIONAL = MarkerStyle.POSITIONAL
NAMED = MarkerStyle.NAMED
PERCENT_POSITIONAL = MarkerStyle.PERCENT_POSITIONAL
PERCENT_NAMED = MarkerStyle.PERCENT_NAMED


def names_of_markers(query: str) -> tuple[str, ...]:
    """The markers of a query in their order; ``?`` has no name."""
    return tuple(
        token.text.removeprefix(":")
        for token in read_tokens(query)
        if token.kind is TokenKind.MARKER
    )


@pytest.mark.parametrize(
    ("query", "style", "names", "count"),
    [
        ("", NONE, (), 0),
        ("SELECT a FROM t", NONE, (), 0),
        ("SELECT a FROM t WHERE k = ?", POSITIONAL, (), 1),
        ("SELECT a FROM t WHERE k=? AND c IN (?,?)", POSITIONAL, (), 3),
        ("SELECT a FROM t WHERE k = 'what?'", NONE, (), 0),
        ("SELECT a FROM t WHERE k = 'it''s ?' AND c = ?", POSITIONAL, (), 1),
        ("SELECT a FROM t WHERE k = $$it's ? $ :x$$ AND c = ?", POSITIONAL, (), 1),
        ('SELECT "a?", ":b" FROM t WHERE "say ""?""" = :c', NAMED, ("c",), 1),
        ("SELECT a -- why?\n FROM t // :x\r WHERE k = ? /* ? 'open */", POSITIONAL, (), 1),
        ("/* ? */ SELECT a FROM t /* ' */ WHERE k = :k /* ' */", NAMED, ("k",), 1),
        (
            'SELECT a FROM t WHERE k = :Key AND c = :"Key" AND d = : d',
            NAMED,
            ("key", "Key", "d"),
            3,
        ),
        ("SELECT a FROM t WHERE k = :k OR k = :k", NAMED, ("k", "k"), 2),
        ("SELECT a FROM t LIMIT :limit", NAMED, ("limit",), 1),
        ("INSERT INTO t (m) VALUES ({'a': :b})", NAMED, ("b",), 1),
        ("INSERT INTO t (m) VALUES ({'a'::b, 'c'::d})", NAMED, ("b", "d"), 2),
        ("INSERT INTO t (m) VALUES ({:k : :v, :k2::v2})", NAMED, ("k", "v", "k2", "v2"), 4),
        ("INSERT INTO t (m) VALUES ({:s1, :s2})", NAMED, ("s1", "s2"), 2),
        ("INSERT INTO t (m) VALUES ({?: ?, ?:?})", POSITIONAL, (), 4),
        ("INSERT INTO t (m) VALUES ({'a':now(), 'b':true, 'c':null})", NONE, (), 0),
        ("INSERT INTO t (u) VALUES ({street: :street, zip: {code:true}})", NAMED, ("street",), 1),
        ("INSERT INTO t (m) VALUES ({'a':[:x, {1 : :y}], 'b': {:z}})", NAMED, ("x", "y", "z"), 3),
        ("INSERT INTO t (m) VALUES ({('a', 1): :v, [1]:false, {2}:true})", NAMED, ("v",), 1),
        ("INSERT INTO t (d) VALUES (P0001-02-03T04:05:06)", NONE, (), 0),
        (
            "INSERT INTO t (d) VALUES (12h30m, 550e8400-e29b-41d4-a716-446655440000, 0xfF, ?)",
            POSITIONAL,
            (),
            1,
        ),
        ("INSERT INTO t (d) VALUES ('10:20:30', '2024-01-01 10:20:30+01:00')", NONE, (), 0),
        ("INSERT INTO t (v) VALUES ([?, ?])", POSITIONAL, (), 2),
        ("INSERT INTO t JSON ?", POSITIONAL, (), 1),
        ('INSERT INTO t JSON \'{"a": "?", "b": :c}\'', NONE, (), 0),
        ("INSERT INTO t JSON :row DEFAULT UNSET", NAMED, ("row",), 1),
        ("UPDATE t USING TTL ? AND TIMESTAMP ? SET m[?] = ? WHERE k = ?", POSITIONAL, (), 5),
        ("SELECT (int)? FROM t WHERE k = (text)?", POSITIONAL, (), 2),
        ("SELECT l[:from..:to] FROM t", NAMED, ("from", "to"), 2),
        ("SELECT a % 2 FROM t WHERE k = ?", POSITIONAL, (), 1),
        ("SELECT a % s FROM t", NONE, (), 0),
        ("SELECT a FROM t WHERE k LIKE '%x'", NONE, (), 0),
        ("SELECT a FROM t WHERE k LIKE '%s' AND c = ?", POSITIONAL, (), 1),
        ("SELECT a FROM t WHERE k LIKE '%%s'", NONE, (), 0),
        ("SELECT 'unterminated ? :x", NONE, (), 0),
        ('SELECT "unterminated ? :x', NONE, (), 0),
        ("SELECT $$unterminated ? :x", NONE, (), 0),
        ("SELECT /* unterminated ? :x", NONE, (), 0),
        ("SELECT : , ?", POSITIONAL, (), 1),
        ("SELECT a FROM t WHERE k = :", NONE, (), 0),
        ("}])>=: :x", NAMED, ("x",), 1),
    ],
)
def test_markers_are_found_only_in_code(
    query: str, style: MarkerStyle, names: tuple[str, ...], count: int
) -> None:
    assert analyze(query).markers is style
    assert names_of_markers(query) == (names or ("?",) * count)
    assert len(names_of_markers(query)) == count


@pytest.mark.parametrize(
    ("query", "style"),
    [
        ("SELECT a FROM t WHERE k = %s", PERCENT_POSITIONAL),
        ("SELECT a FROM t WHERE k = '%s'", PERCENT_POSITIONAL),
        ("SELECT a FROM t WHERE k LIKE '100%%' AND c = %s", PERCENT_POSITIONAL),
        ("SELECT a FROM t WHERE k = %(Key)s AND c = %(c d)s", PERCENT_NAMED),
        ("INSERT INTO t (a) VALUES (%s); -- '", PERCENT_POSITIONAL),
        ("SELECT a FROM t WHERE k = '?' AND c = %s", PERCENT_POSITIONAL),
    ],
)
def test_markers_of_formatting_are_found_in_text_too(query: str, style: MarkerStyle) -> None:
    assert analyze(query).markers is style


@pytest.mark.parametrize(
    ("query", "positions"),
    [
        ("SELECT ? :x", (7, 9)),
        ("SELECT :x, ?", (7, 11)),
        ("SELECT a FROM t WHERE k = ? AND c = %s", (26, 36)),
        ("SELECT a FROM t WHERE k = :k AND c = %(c)s", (26, 37)),
        ("SELECT %s, %(a)s", (7, 11)),
    ],
)
def test_mixed_markers_are_an_error_with_both_positions(
    query: str, positions: tuple[int, int]
) -> None:
    with pytest.raises(MixedMarkersError) as caught:
        analyze(query)

    for position in positions:
        assert f"position {position})" in str(caught.value)


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("select a from t", StatementKind.SELECT),
        ("-- first\n/* second */ SeLeCt a FROM t", StatementKind.SELECT),
        ("INSERT INTO t (a) VALUES (1)", StatementKind.INSERT),
        ("UPDATE t SET a = 1 WHERE k = 1", StatementKind.UPDATE),
        ("DELETE FROM t WHERE k = 1", StatementKind.DELETE),
        ("BEGIN BATCH INSERT INTO t (a) VALUES (1) APPLY BATCH", StatementKind.BATCH),
        ("begin unlogged batch apply batch", StatementKind.BATCH),
        ("BEGIN TRANSACTION COMMIT TRANSACTION", StatementKind.OTHER),
        ("USE ks", StatementKind.USE),
        ("CREATE TABLE IF NOT EXISTS t (k int PRIMARY KEY)", StatementKind.DDL),
        ("ALTER TABLE t ADD a int", StatementKind.DDL),
        ("DROP TABLE t", StatementKind.DDL),
        ("TRUNCATE t", StatementKind.DDL),
        ("GRANT SELECT ON t TO x", StatementKind.OTHER),
        ("'SELECT'", StatementKind.OTHER),
        ('"select" a', StatementKind.OTHER),
        ("batch", StatementKind.OTHER),
        ("", StatementKind.OTHER),
    ],
)
def test_kind_is_the_first_word(query: str, kind: StatementKind) -> None:
    assert analyze(query).kind is kind


def test_is_read_is_true_of_what_changes_nothing() -> None:
    assert analyze("SELECT now() FROM t").is_read
    assert analyze("DESCRIBE TABLES").is_read
    assert not analyze("INSERT INTO t (a) VALUES (1)").is_read
    assert not analyze("CREATE TABLE t (k int PRIMARY KEY)").is_read


@pytest.mark.parametrize(
    ("query", "keyspace"),
    [
        ("USE Ks", "ks"),
        ("use ks;", "ks"),
        ('USE "Ks"', "Ks"),
        ('USE "a""b" -- c', 'a"b'),
        ("/* x */ USE /* y */ ks", "ks"),
        ("USE", None),
        ("SELECT a FROM ks.t", None),
    ],
)
def test_keyspace_change_is_spelled_as_the_server_does(query: str, keyspace: str | None) -> None:
    assert analyze(query).keyspace_change == keyspace


@pytest.mark.parametrize(
    "query",
    [
        "SELECT a, now() FROM t",
        "USE ks",
        "INSERT INTO t (a, b) VALUES (?, ?)",
        "INSERT INTO ks.t (a, b) VALUES (?, ?) USING TTL ? AND TIMESTAMP 5",
        "INSERT INTO t (a) VALUES ('now()')",
        "INSERT INTO t (a) VALUES (-1)",
        "INSERT INTO t (a) VALUES (system.toTimestamp(?))",
        "INSERT INTO t (a) VALUES (system.textAsBlob('x'))",
        "UPDATE t SET v = 1 + 2 WHERE k = 1",
        "INSERT INTO t (a) VALUES ($$now() ' IF$$)",
        "INSERT INTO t (a) /* now() [1] */ VALUES (1) -- IF NOT EXISTS",
        'INSERT INTO t ("now", "if") VALUES (:now, :if)',
        "INSERT INTO values (values) VALUES ({'a': 1, 'b': ?})",
        "UPDATE t SET \"l + [1]\" = 'l + [1]' WHERE k = 1",
        "UPDATE t SET \"m\"['k'] = 1 WHERE k = 1",
        "UPDATE t USING TIMESTAMP 5 SET s = {1, 2} WHERE k = 1",
        "UPDATE t SET a = ?, b = -5, c = {'k': 'v'} WHERE k IN (?, ?) AND (c, d) > (?, ?)",
        "UPDATE t SET m['k'] = ? WHERE k = 1",
        "UPDATE t SET u = 550e8400-e29b-41d4-a716-446655440000 WHERE k = 1",
        "UPDATE t SET a = ? WHERE token(k) = ?",
        "DELETE FROM t WHERE k = ?",
        "DELETE a, m['k'] FROM t USING TIMESTAMP ? WHERE k = ?",
        "BEGIN BATCH INSERT INTO t (a) VALUES (1); UPDATE t SET a = 1 WHERE k = 1; APPLY BATCH",
        "BEGIN UNLOGGED BATCH USING TIMESTAMP 1 DELETE FROM t WHERE k = 1 APPLY BATCH",
    ],
)
def test_idempotence_is_inferred(query: str) -> None:
    assert analyze(query).repetition >= Repetition.HARMLESS


@pytest.mark.parametrize(
    "query",
    [
        "",
        "garbage",
        "CREATE TABLE t (k int PRIMARY KEY)",
        "TRUNCATE t",
        "UPDATE t SET c = c + ? WHERE k = 1",
        "UPDATE t SET c=c-1 WHERE k = 1",
        "UPDATE t SET c += 1 WHERE k = 1",
        "UPDATE t SET c -= ? WHERE k = 1",
        "UPDATE t SET l = ? + l WHERE k = 1",
        "UPDATE t SET l = [1] + l WHERE k = 1",
        "UPDATE t SET l = l + :more WHERE k = 1",
        "UPDATE t SET l[?] = 1 WHERE k = 1",
        "UPDATE t SET l[0] = 1 WHERE k = 1",
        "UPDATE t SET a = now() WHERE k = 1",
        "UPDATE t SET a = 1 WHERE k = currentTimeUUID()",
        "DELETE l[0] FROM t WHERE k = 1",
        "DELETE FROM t WHERE k < current_timestamp()",
        "INSERT INTO t (a) VALUES (uuid())",
        "INSERT INTO t (a) VALUES (NoW ( ))",
        "INSERT INTO t (a) VALUES (now/* x */())",
        "INSERT INTO t (a) VALUES (now--\n())",
        'INSERT INTO t (a) VALUES ("now"())',
        "INSERT INTO t (a) VALUES (system.now())",
        "INSERT INTO t (a) VALUES (currentTimestamp())",
        "INSERT INTO t (a) VALUES (current_date())",
        "INSERT INTO t (a) VALUES (textAsBlob(now()))",
        "INSERT INTO t (a) VALUES (randomAsBlob())",
        "INSERT INTO values (a) VALUES (now())",
        "UPDATE t SET m['k'] = uuid() WHERE k = 1",
        "DELETE FROM t WHERE k = ks.f(1)",
        "UPDATE t SET a = 1 WHERE k = 1 /* */ iF /* */ EXISTS",
        "UPDATE t SET s = s + {1} WHERE k = 1",
        "UPDATE t SET m = m - {'k'} WHERE k = 1",
        "UPDATE t SET l /**/ = /**/ l /**/ + /**/ ? WHERE k = 1",
        "DELETE m[:key] FROM t WHERE k = 1",
        "DELETE m[?] FROM t WHERE k = 1",
        # What writes a whole list, or may: its repetition has the same timestamp and adds to it.
        "INSERT INTO t (l) VALUES ([1, 2])",
        "INSERT INTO t (l) VALUES (['a'])",
        "INSERT INTO t (l) VALUES ((list<text>)['a'])",
        "INSERT INTO t (l) VALUES (fromJson('[1]'))",
        "INSERT INTO t JSON '{\"l\": [1]}'",
        "INSERT INTO t JSON ?",
        "UPDATE t SET l = ['a'] WHERE k = 1",
        "UPDATE t SET l = (list<text>)['a'] WHERE k = 1",
        "UPDATE t SET l = from_json(?) WHERE k = 1",
        "INSERT INTO t (a) VALUES (toTimestamp(now()))",
        "INSERT INTO t (a) VALUES (ks.token(1))",
        'INSERT INTO t (a) VALUES ("myFunction"(1))',
        "INSERT INTO t (a) VALUES (1) IF NOT EXISTS",
        "UPDATE t SET a = 1 WHERE k = 1 IF a = 2",
        "DELETE FROM t WHERE k = 1 IF EXISTS",
        "BEGIN COUNTER BATCH UPDATE t SET a = 1 WHERE k = 1 APPLY BATCH",
        "BEGIN BATCH INSERT INTO t (a) VALUES (1); INSERT INTO t (a) VALUES (now()) APPLY BATCH",
        "BEGIN BATCH APPLY BATCH",
    ],
)
def test_idempotence_is_not_inferred_when_unsure(query: str) -> None:
    assert analyze(query).repetition < Repetition.HARMLESS


COUNTED = [
    "UPDATE t SET c = c + 1 WHERE k = ?",
    "UPDATE t SET a = 1, c=c-1 WHERE k = 1",
    "UPDATE t SET c = c + -1 WHERE k = 1",
    "UPDATE t SET c += 1 WHERE k = 1",
    "UPDATE t SET c -= -1 WHERE k = 1",
    'UPDATE t SET "C" = "C" /* */ + /* */ 1 WHERE k = 1',
    "BEGIN COUNTER BATCH UPDATE t SET c = c + ? WHERE k = 1 APPLY BATCH",
    "BEGIN UNLOGGED BATCH UPDATE t SET c = C + 1 WHERE k = 1 APPLY BATCH",
]
LIGHTWEIGHT = [
    "INSERT INTO t (a) VALUES (1) IF NOT EXISTS",
    "BEGIN BATCH UPDATE t SET a = 1 WHERE k = 1 IF a = 2 APPLY BATCH",
]
UNKNOWN = [
    "UPDATE t SET c = c + ? WHERE k = 1",
    "UPDATE t SET l = l + [1] WHERE k = 1",
    "UPDATE t SET s = s - {1} WHERE k = 1",
]


@pytest.mark.parametrize("query", COUNTED + LIGHTWEIGHT)
def test_counter_and_lightweight_transaction_are_never_repeated(query: str) -> None:
    assert analyze(query).repetition is Repetition.NEVER


@pytest.mark.parametrize("query", UNKNOWN)
def test_what_may_be_marked_is_not_ruled_out(query: str) -> None:
    assert analyze(query).repetition is Repetition.UNKNOWN


@pytest.mark.parametrize(
    ("query", "is_conditional"),
    [
        ("INSERT INTO t (a) VALUES (1) IF NOT EXISTS", True),
        ("UPDATE t SET a = 1 WHERE k = 1 if a = :if", True),
        ("DELETE FROM t WHERE k = 1 IF EXISTS", True),
        (
            "BEGIN BATCH DELETE FROM t WHERE k = 1; DELETE FROM t WHERE k = 2 IF EXISTS;"
            "APPLY BATCH",
            True,
        ),
        ("UPDATE t SET a = 'if' WHERE k = :if", False),
        ('UPDATE t SET "if" = 1 WHERE k = 1 -- if', False),
        ("CREATE TABLE IF NOT EXISTS t (k int PRIMARY KEY)", False),
        ("SELECT a FROM t", False),
    ],
)
def test_is_conditional_means_a_lightweight_transaction(query: str, is_conditional: bool) -> None:
    assert analyze(query).is_conditional is is_conditional


_LITERAL = st.text(max_size=12).map(lambda text: "'" + text.replace("'", "''") + "'")
_QUOTED_NAME = st.text(max_size=12).map(lambda text: '"' + text.replace('"', '""') + '"')
_DOLLARS = st.text(max_size=12).filter(lambda text: "$" not in text).map("$${}$$".format)
_LINE_COMMENT = (
    st.text(max_size=12).filter(lambda text: not {"\n", "\r"} & set(text)).map("--{}\n".format)
)
_COMMENT = st.text(max_size=12).filter(lambda text: "*" not in text).map("/*{}*/".format)
_TEXT = st.lists(
    st.one_of(
        _LITERAL, _QUOTED_NAME, _DOLLARS, _LINE_COMMENT, _COMMENT, st.sampled_from(["a", "= ", "1"])
    ),
    max_size=4,
).map(" ".join)


_SPACE = st.sampled_from([" ", "\n", "\t", "/* IF */", "-- now()\n", "// +\n"])
_FORBIDDEN = st.sampled_from(
    [
        ("now", "(", ")"),
        ("UUID", "(", ")"),
        ("currentTimestamp", "(", ")"),
        ("current_timeuuid", "(", ")"),
        ('"now"', "(", ")"),
        ("ks", ".", "f", "(", "1", ")"),
        ("[", "1", "]"),
        ("c", "+", "1"),
        ("l", "+", "?"),
        ("?", "+", "l"),
        ("l", "-", "[", "1", "]"),
    ]
)
_WRITES = st.sampled_from(
    [
        "UPDATE t SET a = 1 , b = {} WHERE k = 1",
        "BEGIN BATCH DELETE FROM t WHERE k = 1 UPDATE t SET b = {} WHERE k = 1 APPLY BATCH",
    ]
)
_INSERT = "INSERT INTO t ( a ) VALUES ( 1 , {} )"


@given(st.data())
def test_forbidden_tokens_among_code_are_never_inferred(data: st.DataObject) -> None:
    forbidden = data.draw(_FORBIDDEN)
    is_operator = forbidden[1] in ("+", "-")
    write = data.draw(_WRITES if is_operator else st.one_of(_WRITES, st.just(_INSERT)))
    words = write.format(" ".join(forbidden)).split()
    words = [data.draw(st.sampled_from([w, w.upper()])) if '"' not in w else w for w in words]
    query = "".join(word + data.draw(_SPACE) for word in words)

    assert analyze(query).repetition < Repetition.HARMLESS, query


@given(st.data())
def test_if_among_code_is_never_repeated(data: st.DataObject) -> None:
    condition = data.draw(st.sampled_from(["IF NOT EXISTS", "if exists", "If a = 1"]))
    write = data.draw(st.sampled_from(["INSERT INTO t (a) VALUES (1)", "DELETE FROM t WHERE k=1"]))
    query = data.draw(_COMMENT) + write + data.draw(_SPACE) + condition

    assert analyze(query).repetition is Repetition.NEVER, query


@given(st.lists(_LITERAL | _DOLLARS | _COMMENT | _LINE_COMMENT, min_size=1, max_size=4))
def test_text_never_hides_that_a_write_is_harmless(texts: list[str]) -> None:
    parts = (text if text[0] in "-/" else f", b = {text} " for text in texts)
    query = "UPDATE t SET a = 1 " + " ".join(parts)

    assert analyze(query + " WHERE k = 1").repetition is Repetition.HARMLESS


@given(st.lists(_TEXT, min_size=2, max_size=6))
def test_positional_markers_are_counted_between_any_text(texts: list[str]) -> None:
    query = " ? ".join(texts)

    assert analyze(query).markers is POSITIONAL
    assert names_of_markers(query) == ("?",) * (len(texts) - 1)


@given(st.lists(_TEXT, min_size=2, max_size=6))
def test_named_markers_are_named_between_any_text(texts: list[str]) -> None:
    query = " :n ".join(texts)

    assert analyze(query).markers is NAMED
    assert names_of_markers(query) == ("n",) * (len(texts) - 1)


@given(
    st.text(), st.sampled_from(["", "INSERT ", "UPDATE t SET ", "DELETE ", "BEGIN BATCH ", "USE "])
)
def test_analyze_accepts_any_text(text: str, prefix: str) -> None:
    with suppress(MixedMarkersError):
        analyze(prefix + text)


@given(st.text(alphabet="?:'\"$/*-{}[](),a1 %s\n+=", max_size=60))
def test_analyze_accepts_any_garbage_of_special_characters(text: str) -> None:
    with suppress(MixedMarkersError):
        analyze(text)


@pytest.mark.parametrize(
    "unit",
    ["'", '"', "$", "$$", "/*", "--", "%(", ":", "{", "{:a:", "a", "0", "12345678-1234-", " "],
)
def test_analyze_ends_for_long_texts(unit: str) -> None:
    """Steps in the square of this length would take far longer than a test may."""
    analyze(unit * 30_000)


@pytest.mark.parametrize(
    "text",
    [
        "USE kr; INSERT INTO t (k) VALUES (1)",
        "USE ka.t",
        "USE kb kb",
        'USE "ka',
        "USE ?",
        "USE :ka",
        "USE 1ka",
        "USE 'kb'",
        "USE",
        "USE ;",
    ],
)
def test_text_that_only_begins_like_a_use_changes_no_keyspace(text: str) -> None:
    assert analyze(text).keyspace_change is None


@pytest.mark.parametrize("text", ["USE ks", "use KS ;", "-- a\n USE/**/ks;;", 'USE "ks"'])
def test_use_names_its_keyspace(text: str) -> None:
    assert analyze(text).keyspace_change == "ks"
