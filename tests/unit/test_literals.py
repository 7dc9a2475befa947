"""Literals of values: what a bound parameter would be, or refused by name."""

import datetime
import enum
import ipaddress
import uuid
from array import array
from collections import Counter, OrderedDict, UserDict, deque, namedtuple
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy
import pytest
from cassandra.query import UNSET_VALUE, ValueSequence
from cassandra.util import Date, Duration, OrderedMap, SortedSet, Time

from async_cassandra._cql.analysis import MarkerStyle
from async_cassandra._cql.literals import LiteralEncoder, write_parameters
from async_cassandra.exceptions import ParameterTypeError, ParameterValueError
from tests.wire.test_subclasses import Nothing, OlderWord, OwnText, Word, own

SOME_UUID = uuid.UUID(int=258)
UTC = datetime.UTC


class Colour(enum.IntEnum):
    RED = 1


class Markup(str):
    """As markupsafe's: its str() is itself."""

    def __str__(self) -> str:
        return self


@dataclass
class Address:
    street: str | None = None
    Zip: Any = None


Pair = namedtuple("Pair", "Zip street")


class Other:
    street = "attribute"


def literal(value: Any) -> str:
    encoder = LiteralEncoder()
    for klass in (Address, Pair, UserDict, Other, dict, tuple):
        encoder.register(klass, "ks.address", lambda: ["street", "Zip"])
    return encoder.cql_encode_all_types(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "NULL"),
        (True, "true"),
        (numpy.bool_(False), "false"),
        (Colour.RED, "1"),
        (numpy.int64(-5), "-5"),
        (10**5000, "1" + "0" * 5000),
        (numpy.float32(0.1), "0.10000000149011612"),
        (numpy.float64("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (-0.0, "-0.0"),
        (Decimal("1.10"), "1.10"),
        (Decimal("123456789012345678901234567890.1"), "123456789012345678901234567890.1"),
        (Decimal("1E+30"), "1E+30"),
        (Decimal(f"{10**400}"), str(10**400)),
        ("it's", "'it''s'"),
        (Word.RED, "'red'"),
        (OlderWord.RED, "'red'"),
        (Markup("a'b"), "'a''b'"),
        (own(OwnText("field"), "me'ant"), "'me''ant'"),
        (numpy.str_("a'b"), "'a''b'"),
        (b"\x00\xff", "0x00ff"),
        (bytearray(b"a"), "0x61"),
        (memoryview(b"abcd")[::2], "0x6163"),
        (SOME_UUID, str(SOME_UUID)),
        (ipaddress.ip_address("10.0.0.1"), "'10.0.0.1'"),
        (datetime.datetime.max, "253402300799999"),
        (datetime.datetime.min, "-62135596800000"),
        (datetime.datetime(1969, 12, 31, 23, 59, 59, 999_999), "-1"),
        (datetime.datetime(1970, 1, 1, 0, 0, 0, 1999), "1"),
        (datetime.datetime(1970, 1, 1, 5, 30, tzinfo=datetime.timezone(datetime.timedelta(hours=5))), "1800000"),
        (datetime.date(1, 2, 3), "'0001-02-03'"),
        (datetime.date.max, "'9999-12-31'"),
        (Date(0), "'1970-01-01'"),
        (Date(2**31 - 1), str(2**32 - 1)),
        (Date(-(2**31)), "0"),
        (datetime.time(1, 2, 3, 4), "'01:02:03.000004000'"),
        (Time(86_399_999_999_999), "'23:59:59.999999999'"),
        (Duration(-1, 0, -3), "-1mo0d3ns"),
        ([1, "a"], "[1, 'a']"),
        ((1, "a"), "[1, 'a']"),
        (array("d", [1.5]), "[1.5]"),
        ({3}, "{3}"),
        (SortedSet([2, 1]), "{1, 2}"),
        ({"a": [1]}, "{'a': [1]}"),
        (OrderedDict(a=1), "{'a': 1}"),
        (Counter("a"), "{'a': 1}"),
        (OrderedMap([([1], "a")]), "{[1]: 'a'}"),
        (ValueSequence([1, "a"]), "(1, 'a')"),
        (Address("M'ain", 1), "{\"street\": 'M''ain', \"Zip\": 1}"),
        ([Address("a")], "[{\"street\": 'a', \"Zip\": NULL}]"),
        ({"k": {"l": Address(Zip=Address("b"))}},
         "{'k': {'l': {\"street\": NULL, \"Zip\": {\"street\": 'b', \"Zip\": NULL}}}}"),
        (Pair(1, "a"), "{\"street\": 'a', \"Zip\": 1}"),
        (UserDict(street="a"), "{\"street\": 'a', \"Zip\": NULL}"),
        (Other(), "{\"street\": 'attribute', \"Zip\": NULL}"),
        ({"street": "a"}, "{'street': 'a'}"),
    ],
    ids=lambda part: type(part).__name__,
)  # fmt: skip
def test_literal_is_what_a_bound_value_would_be(value: Any, expected: str) -> None:
    assert literal(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        object(),
        Address,
        UNSET_VALUE,
        Fraction(1, 3),
        1j,
        numpy.complex128(1),
        numpy.datetime64("2024-02-29"),
        numpy.timedelta64(5, "s"),
        numpy.array([1]),
        datetime.timedelta(1),
        datetime.time(1, tzinfo=UTC),
        Time(-1),
        Nothing(1, 1, 1),
        [Nothing(1, 1, 1)],
        {"a": Nothing(1, 1, 1)},
        Duration(1, -1, 0),
        Duration(0, 0, 2**63),
        Date(2**31),
        Decimal("NaN"),
        Decimal("-Infinity"),
        Decimal("1E+400"),
        ipaddress.ip_address("::ffff:1.2.3.4"),
        ipaddress.ip_address("fe80::1%eth0"),
        [1, None],
        {None},
        {"a": None},
        {None: "a"},
        [[None]],
        Address([None]),  # type: ignore[arg-type]
        UserDict(city="a"),
        deque([1]),
        range(3),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_no_literal_carries_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError, OverflowError)):
        literal(value)


def test_mapping_of_the_encoder_can_be_changed() -> None:
    encoder = LiteralEncoder()
    assert encoder.is_plain("a")
    encoder.mapping[tuple] = encoder.cql_encode_tuple
    encoder.mapping[Fraction] = lambda value: f"{float(value)}"
    encoder.mapping[str] = lambda value: f"upper({value!r})"
    assert encoder.cql_encode_all_types([(1, Fraction(1, 2))]) == "[(1, 0.5)]"
    assert encoder.cql_encode_all_types({"a": 1}) == "{upper('a'): 1}"
    assert not encoder.is_plain("a")
    assert encoder.is_plain(1)
    assert not encoder.is_plain((1,))


NOT_PARAMETERS = [5, 0, "text", "", b"bytes", {1}, set(), iter(()), {1: 2}.keys(), object()]


@pytest.mark.parametrize("style", MarkerStyle)
@pytest.mark.parametrize("parameters", NOT_PARAMETERS, ids=lambda value: repr(value)[:20])
def test_parameters_that_have_neither_order_nor_names_are_a_type_error(
    style: MarkerStyle, parameters: Any
) -> None:
    with pytest.raises(ParameterTypeError, match="sequence"):
        write_parameters("SELECT %s", parameters, style, LiteralEncoder())


@pytest.mark.parametrize(
    ("text", "parameters", "kind", "message"),
    [
        ("%s, %s", (1,), ParameterValueError, "not enough"),
        ("%s", (1, 2), ParameterValueError, "not all"),
        ("%s", (), ParameterValueError, "not enough"),
        ("%s", {"a": 1}, ParameterTypeError, "a sequence, not dict"),
        ("%(a)s", (1,), ParameterTypeError, "a mapping, not tuple"),
        ("%(a)s, %(b)s", {"a": 1, "c": 2}, ParameterValueError, "'b' is missing; given are 'a', 'c'"),
        ("%s, %s", (1, object()), ParameterTypeError, "parameter 2: object has no CQL literal"),
        ("%(a)s", {"a": [None]}, ParameterValueError, "parameter 'a': a list cannot hold null"),
        ("%s, %d", (1, 2), ParameterValueError, "do not fit"),
    ],
)  # fmt: skip
def test_parameters_that_do_not_fit_are_named(
    text: str, parameters: Any, kind: type[Exception], message: str
) -> None:
    is_named = "%(" in text
    style = MarkerStyle.PERCENT_NAMED if is_named else MarkerStyle.PERCENT_POSITIONAL
    with pytest.raises(kind, match=message):
        write_parameters(text, parameters, style, LiteralEncoder())


def test_names_that_are_not_asked_for_need_no_literal() -> None:
    parameters = UserDict({"a": 1, "unused": object()})
    style = MarkerStyle.PERCENT_NAMED
    assert write_parameters("%(a)s %%", parameters, style, LiteralEncoder()) == "1 %"
