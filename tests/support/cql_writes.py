"""Writes of every form that the grammar has, with the truth about applying each of them twice.

They fit the tables below, so that a real server takes them. Names are keywords where the grammar
allows that; texts look like CQL; comments and odd spaces are everywhere.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from hypothesis import strategies as st

__all__ = ["COUNTERS", "TABLE", "TYPE", "WRITES", "Write", "spaced"]

TYPE: Final = "street text, zip int"
TABLE: Final = (
    'key int, ttl int, json text, values text, timestamp int, "if" text, "set = 1 + \'x" int,'
    " b blob, t timestamp, u uuid, d duration, l list<int>, s set<int>, m map<text, int>,"
    " i map<int, text>, f frozen<list<int>>, tu tuple<int, text>, a {type}, PRIMARY KEY (key, ttl)"
)
COUNTERS: Final = 'key int, ttl int, count counter, "set n = 1" counter, PRIMARY KEY (key, ttl)'


# Spaces in a literal belong to it.
_TOKEN = re.compile(r"(?:'[^']*'|[^\s'])+")


def _tokens(text: str) -> tuple[str, ...]:
    return tuple(_TOKEN.findall(text))


@dataclass(frozen=True)
class Write:
    """A write, as tokens.

    :ivar tokens: ``{table}`` and ``{counters}`` stand for the tables, ``{key}`` for the key
    :ivar counts: whether it adds to a counter
    :ivar is_conditional: whether it is a lightweight transaction
    :ivar repeats: whether each application leaves something else
    :ivar is_plain: whether nothing in it needs more than its grammar to be seen through
    """

    tokens: tuple[str, ...]
    counts: bool = False
    is_conditional: bool = False
    repeats: bool = False
    is_plain: bool = True

    def __add__(self, other: "Write | str") -> "Write":
        if isinstance(other, str):
            return self + Write(_tokens(other))
        return Write(
            self.tokens + other.tokens,
            self.counts or other.counts,
            self.is_conditional or other.is_conditional,
            self.repeats or other.repeats,
            self.is_plain and other.is_plain,
        )

    @property
    def is_harmless(self) -> bool:
        return not (self.counts or self.is_conditional or self.repeats)


def _plain(*texts: str) -> st.SearchStrategy[Write]:
    """One of some values, each a single token or tokens with spaces between."""
    return st.sampled_from([Write(_tokens(text)) for text in texts])


def _opaque(*texts: str) -> st.SearchStrategy[Write]:
    """The same of what has no harm in it but could have by its grammar."""
    return st.sampled_from([Write(_tokens(text), is_plain=False) for text in texts])


def _impure(*texts: str) -> st.SearchStrategy[Write]:
    return st.sampled_from([Write(_tokens(text), repeats=True, is_plain=False) for text in texts])


_LOOKALIKES: Final = (
    *(
        "now()",
        "IF NOT EXISTS",
        "; APPLY BATCH",
        "[1]",
        "l = l + [1]",
        "n = n + 1",
        "/*",
        "--",
        "?",
    ),
    *('"', ":x", "{", "(", "USING TIMESTAMP 1", "VALUES (", "SET"),
)
_TEXTS: Final = (
    st.sampled_from(_LOOKALIKES)
    .flatmap(lambda text: st.sampled_from([f"'{text}'", f"$${text}$$", "'it''s " + text + "'"]))
    .map(lambda text: Write((text,)))
)
_INTS: Final = _plain(
    *("1", "-5", "0", "( 7 )", "( int ) 3", "1 + 2", "2 * - 3", "( ( 1 ) )", "null", "NULL"),
    *("6 % 4", "system . abs ( -3 )", "( int ) ( 3 )", "1 - - 1"),
)
_BY_TYPE: Final = {
    "json": _TEXTS,
    "values": _TEXTS,
    '"if"': _TEXTS,
    "timestamp": _INTS | _opaque("abs ( -3 )", 'System . "abs" ( 3 )'),
    '"set = 1 + \'x"': _INTS,
    "b": _plain("0xAb", "0X", "( blob ) 0x01", "system . textAsBlob ( 'IF' )")
    | _opaque("textAsBlob ( 'x' )", "int_as_blob ( 5 )"),
    "t": _plain("'2024-02-03 10:20:30+0000'", "5", "system . toTimestamp ( 5 )")
    | _impure("toTimestamp ( now ( ) )", "current_timestamp ( )"),
    "u": _plain("550e8400-e29b-41d4-a716-446655440000") | _impure("uuid ( )", "NOW ( )"),
    "d": _plain("1h30m", "-2mo", "P1Y2M", "P0001-02-03T04:05:06", "PT5M", "3d4ns"),
    "l": _plain("null") | _impure("[ 1 , 2 ]", "[ -1 ]", "( list < int > ) [ 3 ]", "( [ 4 ] )"),
    "s": _plain("{ 1 , 2 }", "{ }", "( set < int > ) { 3 }", "( { 1 + 1 } )", "null"),
    "m": _plain("{ 'IF' : 1 , $$[1]$$ : 2 }", "{ }", "( map < text , int > ) { 'x' : -1 }"),
    "i": _plain("{ 1 : 'now()' }", "{ -1 : 'a' , 2 : 'b' }"),
    "f": _opaque("[ 1 , 2 ]", "( frozen < list < int > > ) [ 3 ]"),
    "tu": _plain("( 1 , 'IF' )", "( ( 1 ) , null )"),
    "a": _plain("{ street : 'SET' , zip : 5 }", "{ ZIP : -1 }"),
}
_COLUMNS: Final = st.sampled_from(sorted(_BY_TYPE))


@st.composite
def _using(draw: st.DrawFn, allows_ttl: bool = True) -> Write:
    parts = ["TIMESTAMP 2000", "TTL 90000"] if allows_ttl else ["TIMESTAMP 2000"]
    parts = draw(st.permutations(parts))[: draw(st.integers(0, len(parts)))]
    return Write(("USING", *" AND ".join(parts).split())) if parts else Write(())


_USING: Final = _using()
_USING_TIMESTAMP: Final = _using(allows_ttl=False)
_ONE_OF_FOUR: Final = st.integers(0, 3).map(lambda number: number == 3)


@st.composite
def _inserts(draw: st.DrawFn) -> Write:
    names = draw(st.lists(_COLUMNS, unique=True, max_size=4))
    columns = Write(("key", ",", "ttl"))
    values = Write(("{key}", ",", "1"))
    for name in names:
        columns += Write((",", name))
        values = values + "," + draw(_BY_TYPE[name])
    body = Write(("INSERT", "INTO", "{table}", "(")) + columns + ") VALUES (" + values + ")"
    return body + draw(_AT_INSERT)


@st.composite
def _end(draw: st.DrawFn, is_insert: bool) -> Write:
    if draw(_ONE_OF_FOUR):
        condition = "IF NOT EXISTS" if is_insert else "IF EXISTS"
        return Write(_tokens(condition), is_conditional=True)
    return draw(_USING) if is_insert else Write(())


_JSON: Final = st.sampled_from(
    [('"values": "VALUES (1)"', False), ('"l": [1]', True), ('"l": "[1]"', True)]
)
_DEFAULTS: Final = st.sampled_from(["", "DEFAULT UNSET", "DEFAULT NULL"])
_AT_INSERT: Final = _end(True)
_AT_OTHERS: Final = _end(False)


@st.composite
def _json_inserts(draw: st.DrawFn) -> Write:
    value, repeats = draw(_JSON)
    literal = '\'{"key": {key}, "ttl": 1, ' + value + "}'"
    default = draw(_DEFAULTS)
    return (
        Write(("INSERT", "INTO", "{table}", "JSON", literal), repeats=repeats, is_plain=False)
        + default
        + draw(_AT_INSERT)
    )


_PARTS: Final = {
    "m": _plain("m [ 'IF' ] = 5", "m [ $$[1]$$ ] = null")
    | _opaque("m = m - { 'a' }", "m += { 'b' : 1 }"),
    "a": _plain("a . street = 'x'", "a . ZIP = 3"),
    "i": _opaque("i [ 1 ] = 'x'", "i -= { 1 }"),
    "s": _opaque("s = s + { 1 }", "s += { 2 }", "s = s - ( set < int > ) { 4 }"),
    "l": _opaque("l [ 0 ] = 7", "l -= [ 1 ]", "l = l - [ 9 ]")
    | _impure("l = l + [ 1 ]", "l += [ 2 ]", "l = [ 3 ] + l", "L = l + ( [ 1 ] )")
    | _impure("l += ( list < int > ) [ 2 ]", "l = ( [ 3 ] ) + L"),
}


@st.composite
def _assignments(draw: st.DrawFn) -> Write:
    """One or more to different columns."""
    names = draw(st.lists(_COLUMNS, unique=True, min_size=1, max_size=3))
    whole = Write(())
    for name in names:
        value = Write((name, "=")) + draw(_BY_TYPE[name])
        if name in _PARTS and draw(st.booleans()):
            value = draw(_PARTS[name])
        whole = whole + "," + value if whole.tokens else value
    return whole


_ASSIGNMENTS: Final = _assignments()
_WHERE: Final = st.sampled_from(
    [
        "WHERE key = {key} AND ttl = 1",
        "WHERE ttl = ( int ) 1 AND key = ( {key} )",
        "WHERE key IN ( {key} ) AND ttl IN ( 1 , 2 )",
        "WHERE key = {key} AND ( ttl ) = ( 1 )",
        "WHERE key = {key} AND ( ttl ) IN ( ( 1 ) , ( 2 ) )",
    ]
).map(lambda text: Write(_tokens(text)))


@st.composite
def _updates(draw: st.DrawFn) -> Write:
    body = Write(("UPDATE", "{table}")) + draw(_USING) + "SET" + draw(_ASSIGNMENTS)
    return body + draw(_WHERE) + draw(_AT_OTHERS)


_DELETED: Final = (
    _plain("", "json", "values , timestamp", "m [ 'IF' ]", "a . street", "l", '"if" , t')
    | _opaque("i [ 1 ]", "s [ 1 ]")
    | _impure("l [ 0 ]")
)
_RANGES: Final = _WHERE | _plain(
    *("WHERE key = {key}", "WHERE key = {key} AND ttl < 5"),
    "WHERE key = {key} AND ( ttl ) > ( 0 )",
)


@st.composite
def _deletes(draw: st.DrawFn) -> Write:
    what = draw(_DELETED)
    what = replace(what, tokens=tuple(filter(None, what.tokens)))
    body = Write(("DELETE",)) + what + "FROM {table}" + draw(_USING_TIMESTAMP)
    return body + draw(_WHERE if what.tokens else _RANGES) + draw(_AT_OTHERS)


_QUOTED: Final = '"set_n_=_1"'
_COUNTS: Final = st.sampled_from(
    [
        *(
            "count = count + 1",
            "count = count - 1",
            "count += 1",
            "count -= 2",
            "count = COUNT + ( 1 )",
        ),
        *("count = count - - 1", "count = count + -1", "count += ( ( 3 ) )", "count = count -1"),
        *("count = count 1", "count += ( bigint ) 4", "count = count + ( counter ) 5"),
        *("count = count + 2 * 3", "count += 1 + 1", "count += system . abs ( -3 )"),
        *(
            "count = count + ks . f ( 1 )",
            "count += f ( )",
            "count = 1 + count",
            "count = ( 1 ) + count",
        ),
        *("count += ( bigint ) ?", "count = count + ( ? + 1 )", "count -= abs ( ? )"),
        *(
            '"count" = count + 1',
            f"{_QUOTED} = {_QUOTED} + 1",
            f"{_QUOTED} += 1",
            'count = "count" -1',
        ),
        *(
            "count += 0x01",
            "count += 1h",
            "count += null",
            "count += nan",
            "count -= cast ( 1 as bigint )",
        ),
    ]
).map(
    lambda text: Write(
        tuple(w.replace("_", " ") if w == _QUOTED else w for w in text.split()), counts=True
    )
)


@st.composite
def _counter_updates(draw: st.DrawFn) -> Write:
    body = Write(("UPDATE", "{counters}", "SET")) + draw(_COUNTS)
    return body + draw(_WHERE)


_INSERTS: Final = _inserts()
_COUNTER_UPDATES: Final = _counter_updates()
_SINGLES: Final = _INSERTS | _json_inserts() | _updates() | _deletes()
_HEADS: Final = st.sampled_from(["BEGIN BATCH", "BEGIN UNLOGGED BATCH", "BEGIN COUNTER BATCH"])
_SEVERAL: Final = st.lists(_SINGLES, min_size=1, max_size=3)
_SEVERAL_COUNTS: Final = st.lists(_COUNTER_UPDATES, min_size=1, max_size=2)


@st.composite
def _batches(draw: st.DrawFn) -> Write:
    head = draw(_HEADS)
    whole = Write(_tokens(head))
    for write in draw(_SEVERAL_COUNTS if "COUNTER" in head else _SEVERAL):
        whole = whole + write + draw(_SEPARATORS)
    return whole + "APPLY BATCH"


_SEPARATORS: Final = st.sampled_from(["", ";"])
_SPACES: Final = (
    *(" ", " ", " ", "\n", "\t ", "/* IF */", "-- now() [1]\n", "// n = n + 1\n", " /* ' */ "),
)


_ENDS: Final = ("", " ", ";", " ; ;")


def _may_touch(left: str, right: str) -> bool:
    """Whether two tokens need nothing between them."""
    edge = left[-1] + right[0]
    if edge in ("--", "//", "/*", "$$") or (edge[0] == edge[1] and edge[0] in "'\""):
        return False
    if right == "IF" and left.isdigit():
        return True
    return not (edge[0].isalnum() or edge[0] == "_") or not (edge[1].isalnum() or edge[1] in "_.")


def spaced(write: Write, names: Mapping[str, str], seed: int) -> str:
    """A write's text, with anything between its tokens that the grammar allows.

    :param names: what the names in braces stand for
    """
    choices = Random(seed)
    text, before = "", " "
    for token in write.tokens:
        for name, meaning in names.items():
            token = token.replace(f"{{{name}}}", meaning)
        touches = _may_touch(before, token) and choices.random() < 0.5
        space = "" if touches else choices.choice(_SPACES)
        # A sign that touches a comment would be a part of it: "---", "-//", "/" and "/*".
        text += (" " if before[-1] in "-/" else "") + space + token
        before = token
    return text + choices.choice(_ENDS)


WRITES: Final = _SINGLES | _COUNTER_UPDATES | _batches()
"""Any of them, alone and in batches."""
