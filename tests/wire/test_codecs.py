"""Every CQL type against the driver's own codec, and what the driver has no test for."""

import array
import contextlib
import datetime
import ipaddress
import math
import pickle
import struct
import uuid
from collections import deque, namedtuple
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
from cassandra.util import Date, Duration, OrderedMapSerializedKey, SortedSet, Time
from hypothesis import given, settings
from hypothesis import strategies as st

from async_cassandra._driver.types import PYTHON_TYPES, driver_type
from async_cassandra._wire.codecs import Codec, CodecRegistry
from async_cassandra._wire.cqltypes import parse_class_name
from async_cassandra._wire.errors import ProtocolError

from .value_strategies import ALSO_ACCEPTED, ANY_DATETIME, SCALARS, nested, same

REGISTRY = CodecRegistry(PYTHON_TYPES)


def codec(class_name: str) -> Codec:
    return REGISTRY.codec(parse_class_name(class_name))


def check_against_driver(class_name: str, value: Any) -> None:
    """Encode and decode with both; bytes, values and Python types must be the same."""
    ours = codec(class_name)
    driver = driver_type(ours.cql_type)
    data = ours.encode(value)
    assert data == driver.serialize(value, 5)
    assert same(ours.decode(data), driver.from_binary(data, 5))


@pytest.mark.parametrize("class_name", SCALARS)
@given(data=st.data())
def test_scalar_equals_the_drivers(class_name: str, data: st.DataObject) -> None:
    value = data.draw(SCALARS[class_name])
    check_against_driver(class_name, value)
    assert codec(class_name).decode(codec(class_name).encode(value)) == value


@pytest.mark.parametrize("class_name", ALSO_ACCEPTED)
@given(data=st.data())
def test_other_python_types_are_accepted_as_by_the_driver(
    class_name: str, data: st.DataObject
) -> None:
    check_against_driver(class_name, data.draw(ALSO_ACCEPTED[class_name]))


NESTED = {
    name: strategy
    for element in SCALARS
    for name, strategy in nested(element, SCALARS[element]).items()
}
DEEP = {
    name: strategy
    for element in ("ListType(Int32Type)", "SetType(UTF8Type)", "MapType(UTF8Type,Int32Type)")
    for name, strategy in nested(element, NESTED[element]).items()
}


@pytest.mark.parametrize("class_name", NESTED)
@settings(max_examples=10)
@given(data=st.data())
def test_collection_equals_the_drivers(class_name: str, data: st.DataObject) -> None:
    check_against_driver(class_name, data.draw(NESTED[class_name]))


@pytest.mark.parametrize("class_name", DEEP)
@settings(max_examples=10)
@given(data=st.data())
def test_nested_collection_equals_the_drivers(class_name: str, data: st.DataObject) -> None:
    check_against_driver(class_name, data.draw(DEEP[class_name]))


@pytest.mark.parametrize("class_name", [*SCALARS, *NESTED])
def test_empty_value_is_what_the_driver_gives(class_name: str) -> None:
    ours = codec(class_name)
    assert same(ours.decode(b""), driver_type(ours.cql_type).from_binary(b"", 5))


@pytest.mark.parametrize("class_name", [*SCALARS, *NESTED, *DEEP])
@settings(max_examples=15)
@given(data=st.binary(max_size=40))
def test_arbitrary_bytes_decode_or_raise(class_name: str, data: bytes) -> None:
    with contextlib.suppress(ProtocolError, ValueError, OverflowError, ArithmeticError):
        codec(class_name).decode(data)


@pytest.mark.parametrize(
    ("class_name", "value", "golden"),
    [
        ("Int32Type", -2, "fffffffe"),
        ("LongType", 2**63 - 1, "7fffffffffffffff"),
        ("ByteType", -128, "80"),
        ("ShortType", 258, "0102"),
        ("BooleanType", True, "01"),
        ("FloatType", 1.5, "3fc00000"),
        ("DoubleType", -2.0, "c000000000000000"),
        ("IntegerType", 0, "00"),
        ("IntegerType", 127, "7f"),
        ("IntegerType", 128, "0080"),
        ("IntegerType", -128, "80"),
        ("IntegerType", -129, "ff7f"),
        ("IntegerType", 4095, "0fff"),
        ("IntegerType", 4096, "1000"),
        ("IntegerType", 2**62 + 1, "4000000000000001"),
        ("IntegerType", 2**64, "010000000000000000"),
        ("IntegerType", -(2**63), "8000000000000000"),
        ("IntegerType", -(2**63) - 1, "ff7fffffffffffffff"),
        ("DecimalType", Decimal("-1.28"), "0000000280"),
        ("DecimalType", Decimal("1E+3"), "fffffffd01"),
        ("UTF8Type", "é", "c3a9"),
        ("TimestampType", datetime.datetime(1969, 12, 31, 23, 59, 59, 999000), "f" * 16),
        ("SimpleDateType", datetime.date(1970, 1, 1), "80000000"),
        ("TimeType", Time(1), "0000000000000001"),
        ("DurationType", Duration(1, -2, 300), "0203" + "8258"),
        ("DurationType", Duration(0, 0, -(2**63)), "0000" + "ff" * 9),
        ("InetAddressType", "1.2.3.4", "01020304"),
        ("UUIDType", uuid.UUID(int=258), "0" * 28 + "0102"),
        ("ListType(Int32Type)", [1], "000000010000000400000001"),
        ("MapType(ByteType,UTF8Type)", {1: "a"}, "0000000100000001010000000161"),
        ("TupleType(ByteType,UTF8Type)", (None, ""), "ffffffff00000000"),
        ("VectorType(FloatType , 2)", [1.5, -2.0], "3fc00000c0000000"),
        ("VectorType(ByteType , 2)", [1, 2], "01010102"),
        ("VectorType(UTF8Type,1)", ["x" * 128], "8080" + "78" * 128),
        ("VectorType(VectorType(Int32Type,2),1)", [[1, 2]], "0000000100000002"),
    ],
)
def test_golden_bytes(class_name: str, value: Any, golden: str) -> None:
    assert codec(class_name).encode(value).hex() == golden
    check_against_driver(class_name, value)


# Refused values


@pytest.mark.parametrize(
    ("class_name", "value", "error"),
    [
        ("Int32Type", 2**31, OverflowError),
        ("Int32Type", -(2**31) - 1, OverflowError),
        ("Int32Type", 1.0, TypeError),
        ("Int32Type", "1", TypeError),
        ("LongType", 2**63, OverflowError),
        ("LongType", -(2**70), OverflowError),
        ("ShortType", 2**15, OverflowError),
        ("ByteType", 128, OverflowError),
        ("BooleanType", "yes", TypeError),
        ("BooleanType", 2, OverflowError),
        ("BooleanType", -1, OverflowError),
        ("CounterColumnType", 2**63, OverflowError),
        ("IntegerType", 1.5, TypeError),
        ("FloatType", 1e39, OverflowError),
        ("FloatType", "1", TypeError),
        ("DoubleType", "1", TypeError),
        ("DoubleType", 10**400, OverflowError),
        ("DecimalType", Decimal("NaN"), ValueError),
        ("DecimalType", Decimal("Infinity"), ValueError),
        ("DecimalType", Decimal((0, (1,), 2**31 + 1)), OverflowError),
        ("DecimalType", "1,5", ValueError),
        ("DecimalType", [1], TypeError),
        ("DecimalType", object(), TypeError),
        ("UTF8Type", b"abc", TypeError),
        ("UTF8Type", 1, TypeError),
        ("UTF8Type", "\ud800", ValueError),
        ("AsciiType", "é", ValueError),
        ("AsciiType", b"abc", TypeError),
        ("BytesType", "abc", TypeError),
        ("BytesType", 5, TypeError),
        ("BytesType", numpy.int64(5), TypeError),
        ("BytesType", numpy.array(5), TypeError),
        ("BytesType", {1, 2}, TypeError),
        ("BytesType", {1: 2}, TypeError),
        ("BytesType", iter(b"12"), TypeError),
        ("BytesType", [256], ValueError),
        ("UUIDType", "12345678-1234-5678-1234-567812345678", TypeError),
        ("UUIDType", SimpleNamespace(bytes=b"short"), ValueError),
        ("TimeUUIDType", 1, TypeError),
        ("InetAddressType", "1.2.3.256", ValueError),
        ("InetAddressType", "::g", ValueError),
        ("InetAddressType", "1.2.3", ValueError),
        ("InetAddressType", "127.1", ValueError),
        ("InetAddressType", "10", ValueError),
        ("InetAddressType", "0x7f.1", ValueError),
        ("InetAddressType", "", ValueError),
        ("InetAddressType", " 1.2.3.4", ValueError),
        ("InetAddressType", "1.2.3.4\0", ValueError),
        ("InetAddressType", ipaddress.ip_address("fe80::1%eth0"), ValueError),
        ("InetAddressType", 1, TypeError),
        ("TimestampType", "2024-01-01", TypeError),
        ("TimestampType", True, TypeError),
        ("TimestampType", 2**63, OverflowError),
        ("TimestampType", math.nan, ValueError),
        ("TimestampType", math.inf, OverflowError),
        ("SimpleDateType", "yesterday", ValueError),
        ("SimpleDateType", "", ValueError),
        ("SimpleDateType", 2**32, OverflowError),
        ("SimpleDateType", -1, OverflowError),
        ("SimpleDateType", Date(2**31), OverflowError),
        ("SimpleDateType", 1.5, TypeError),
        ("TimeType", 86_400_000_000_000, OverflowError),
        ("TimeType", -1, OverflowError),
        ("TimeType", "25:00:00", ValueError),
        ("TimeType", 1.5, TypeError),
        ("TimeType", "12:34:56.1234567891", ValueError),
        ("TimeType", "12:34:60", ValueError),
        ("TimeType", "12:34:56.+5", ValueError),
        ("TimeType", "12:34:56.1.2", ValueError),
        ("TimeType", datetime.time(12, tzinfo=datetime.UTC), ValueError),
        ("DurationType", 5, TypeError),
        ("DurationType", Duration(1.5, 0, 0), TypeError),
        ("DurationType", Duration(0, "1", 0), TypeError),
        ("DurationType", Duration(2**31, 0, 0), OverflowError),
        ("DurationType", Duration(0, -(2**31) - 1, 0), OverflowError),
        ("DurationType", Duration(0, 0, 2**63), OverflowError),
        ("ListType(Int32Type)", "12", TypeError),
        ("ListType(Int32Type)", 5, TypeError),
        ("ListType(Int32Type)", b"12", TypeError),
        ("ListType(Int32Type)", {1, 2}, TypeError),
        ("ListType(Int32Type)", frozenset({1, 2}), TypeError),
        ("ListType(Int32Type)", {1: 2}, TypeError),
        ("SetType(Int32Type)", {1: 2}, TypeError),
        ("SetType(Int32Type)", b"12", TypeError),
        ("ListType(Int32Type)", iter([1]), TypeError),
        ("ListType(Int32Type)", ["a"], TypeError),
        ("ListType(Int32Type)", [2**31], OverflowError),
        ("SetType(UTF8Type)", "ab", TypeError),
        ("MapType(UTF8Type,Int32Type)", [("a", 1)], TypeError),
        ("MapType(UTF8Type,Int32Type)", {1: 1}, TypeError),
        ("TupleType(Int32Type,Int32Type)", (1, 2, 3), ValueError),
        ("TupleType(Int32Type,Int32Type)", (1,), ValueError),
        ("TupleType(Int32Type,Int32Type)", (), ValueError),
        ("TupleType(UTF8Type,UTF8Type)", "ab", TypeError),
        ("TupleType(Int32Type,Int32Type)", b"ab", TypeError),
        ("TupleType(Int32Type,Int32Type)", {1, 2}, TypeError),
        ("TupleType(Int32Type,Int32Type)", {1: 1, 2: 2}, TypeError),
        ("TupleType(Int32Type,Int32Type)", 1, TypeError),
        ("VectorType(FloatType,2)", [1.0], ValueError),
        ("VectorType(UTF8Type,2)", "ab", TypeError),
        ("VectorType(FloatType,2)", {1.0, 2.0}, TypeError),
        ("VectorType(FloatType,2)", [1.0, None], TypeError),
        ("VectorType(FloatType,2)", array.array("f", [1.0]), ValueError),
        ("VectorType(FloatType,2)", [1.0, 1e39], OverflowError),
        ("VectorType(UTF8Type,2)", ["a"], ValueError),
        ("VectorType(Int32Type,1)", 1, TypeError),
    ],
)
def test_value_is_refused(class_name: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        codec(class_name).encode(value)


# Numbers and text


def test_float_keeps_not_a_number_and_infinity() -> None:
    for class_name in ("FloatType", "DoubleType"):
        ours = codec(class_name)
        assert math.isnan(ours.decode(ours.encode(math.nan)))
        assert ours.decode(ours.encode(-math.inf)) == -math.inf
        assert math.copysign(1, ours.decode(ours.encode(-0.0))) == -1


def test_numpy_scalars_are_numbers() -> None:
    assert codec("LongType").encode(numpy.int64(5)) == codec("LongType").encode(5)
    assert codec("DoubleType").encode(numpy.float32(0.5)) == codec("DoubleType").encode(0.5)


def test_decimal_scale_and_sign_survive() -> None:
    ours = codec("DecimalType")
    for text in ("0", "0.000", "-0.5", "1E-2147483647", "12345678901234567890.123", "-1E+10"):
        assert ours.decode(ours.encode(Decimal(text))).as_tuple() == Decimal(text).as_tuple()


def test_text_that_is_no_text_raises() -> None:
    with pytest.raises(UnicodeDecodeError):
        codec("UTF8Type").decode(b"\xff")
    with pytest.raises(UnicodeDecodeError):
        codec("AsciiType").decode(b"\x80")


def test_uuid_is_whole() -> None:
    made = codec("UUIDType").decode(bytes(range(16)))
    expected = uuid.UUID(bytes=bytes(range(16)))
    assert (made, hash(made), str(made), made.is_safe) == (
        expected,
        hash(expected),
        str(expected),
        expected.is_safe,
    )
    assert pickle.loads(pickle.dumps(made)) == expected


@pytest.mark.parametrize(
    ("class_name", "sizes"),
    [
        ("Int32Type", (1, 3, 5, 8)),
        ("LongType", (4, 7, 9)),
        ("CounterColumnType", (4,)),
        ("ShortType", (1, 3)),
        ("ByteType", (2,)),
        ("BooleanType", (2,)),
        ("FloatType", (3, 8)),
        ("DoubleType", (4, 9)),
        ("UUIDType", (15, 17)),
        ("TimeUUIDType", (15, 17)),
        ("TimestampType", (4, 9)),
        ("SimpleDateType", (3, 5)),
        ("TimeType", (4, 9)),
        ("InetAddressType", (3, 5, 15, 17)),
        ("DecimalType", (1, 4)),
        ("DurationType", (1, 2, 4)),
        ("VectorType(FloatType,2)", (4, 7, 12)),
    ],
)
def test_wrong_size_is_a_protocol_error(class_name: str, sizes: tuple[int, ...]) -> None:
    for size in sizes:
        with pytest.raises(ProtocolError):
            codec(class_name).decode(b"\x01" * size)


# Dates and times


@given(ANY_DATETIME)
def test_timestamp_is_exact_over_all_years(at: datetime.datetime) -> None:
    ours = codec("TimestampType")
    milliseconds = (at - datetime.datetime(1970, 1, 1)) // datetime.timedelta(milliseconds=1)
    assert ours.encode(at) == struct.pack(">q", milliseconds)
    assert ours.decode(ours.encode(at)) == at


@pytest.mark.parametrize(
    "milliseconds", [253_402_300_800_000, -62_135_596_800_001, 2**63 - 1, -(2**63)]
)
def test_timestamp_outside_datetime_raises(milliseconds: int) -> None:
    with pytest.raises(OverflowError, match="years 1 to 9999"):
        codec("TimestampType").decode(struct.pack(">q", milliseconds))


@given(st.integers(-(2**63), 2**63 - 1))
def test_timestamp_takes_any_milliseconds(milliseconds: int) -> None:
    assert codec("TimestampType").encode(milliseconds) == struct.pack(">q", milliseconds)


def test_timestamp_takes_what_looks_like_a_datetime() -> None:
    class Moment:
        microsecond = 5000

        def utctimetuple(self) -> Any:
            return datetime.datetime(2024, 2, 29, 1, 2, 3).timetuple()

    check_against_driver("TimestampType", Moment())


def test_date_holds_days_that_datetime_does_not() -> None:
    for days in (-(2**31), 2**31 - 1):
        assert codec("SimpleDateType").decode(codec("SimpleDateType").encode(Date(days))) == days


def test_time_outside_the_day_raises() -> None:
    with pytest.raises(ValueError, match="nanoseconds in a day"):
        codec("TimeType").decode(struct.pack(">q", 86_400_000_000_000))


# Collections


@pytest.mark.parametrize(
    ("class_name", "value", "where"),
    [
        ("ListType(Int32Type)", [1, None], "element 1"),
        ("ListType(UTF8Type)", (None,), "element 0"),
        ("ListType(UTF8Type)", deque(["a", None]), "element 1"),
        ("SetType(UTF8Type)", ["a", None], "element 1"),
        ("SetType(UTF8Type)", {None}, "element 0"),
        ("MapType(UTF8Type,Int32Type)", {"a": None}, "the value of key 'a'"),
        ("MapType(UTF8Type,Int32Type)", {None: 1}, "a key"),
        ("ListType(FrozenType(ListType(Int32Type)))", [[1], [2, None]], "element 1"),
        ("TupleType(Int32Type,ListType(Int32Type))", (None, [None]), "element 0"),
        ("VectorType(ListType(Int32Type) , 1)", [[None]], "element 0"),
    ],
)
def test_null_in_a_collection_is_refused_naming_the_element(
    class_name: str, value: Any, where: str
) -> None:
    with pytest.raises(ValueError, match=f"cannot hold null, and {where} is None"):
        codec(class_name).encode(value)


def test_null_from_a_collection_is_none() -> None:
    null = b"\xff\xff\xff\xff"
    for class_name, data in (
        ("ListType(Int32Type)", b"\x00\x00\x00\x02" + null * 2),
        ("SetType(Int32Type)", b"\x00\x00\x00\x02" + null * 2),
        ("MapType(Int32Type,UTF8Type)", b"\x00\x00\x00\x01" + null * 2),
        ("TupleType(Int32Type,UTF8Type)", null),
    ):
        ours = codec(class_name)
        assert same(ours.decode(data), driver_type(ours.cql_type).from_binary(data, 5))


def test_set_of_floats_with_not_a_number_equals_the_drivers() -> None:
    check_against_driver("SetType(DoubleType)", [2.0, math.nan, 1.0, 2.0])


def test_map_finds_and_pickles() -> None:
    ours = codec("MapType(FrozenType(ListType(Int32Type)),UTF8Type)")
    found = ours.decode(ours.encode(OrderedMapOfLists()))
    assert isinstance(found, OrderedMapSerializedKey)
    assert found[[1, 2]] == "a"
    plain = codec("MapType(UTF8Type,Int32Type)")
    value = plain.decode(plain.encode({"b": 1, "a": 2}))
    assert (list(value), value["a"]) == (["b", "a"], 2)
    assert pickle.loads(pickle.dumps(value)) == value


class OrderedMapOfLists:
    def __len__(self) -> int:
        return 1

    def items(self) -> list[tuple[list[int], str]]:
        return [([1, 2], "a")]


@pytest.mark.parametrize("class_name", ["ListType(Int32Type)", "SetType(Int32Type)"])
@pytest.mark.parametrize(
    "data",
    [
        b"\x7f\xff\xff\xff",
        b"\xff\xff\xff\xff",
        b"\x00\x00",
        b"\x00\x00\x00\x01",
        b"\x00\x00\x00\x01\x7f\xff\xff\xff",
        b"\x00\x00\x00\x00\x00",
        b"\x00\x00\x00\x01\x00\x00\x00\x05\x00\x00\x00\x00",
    ],
)
def test_count_beyond_the_bytes_is_a_protocol_error(class_name: str, data: bytes) -> None:
    with pytest.raises(ProtocolError):
        codec(class_name).decode(data)
    with pytest.raises(ProtocolError):
        codec("MapType(Int32Type,Int32Type)").decode(data)


def test_collection_whose_length_lies_is_refused() -> None:
    class Lying(list[int]):
        def __len__(self) -> int:
            return 3

    class LyingMap(dict[str, int]):
        def __len__(self) -> int:
            return 3

    with pytest.raises(ValueError, match="len"):
        codec("ListType(Int32Type)").encode(Lying([1]))
    with pytest.raises(ValueError, match="len"):
        codec("MapType(UTF8Type,Int32Type)").encode(LyingMap(a=1))
    with pytest.raises(ValueError, match="len"):
        codec("VectorType(Int32Type,3)").encode(Lying([1]))
    with pytest.raises(ValueError, match="len"):
        codec("VectorType(Int32Type,3)").encode(Lying([1, 2, 3, 4]))


def test_list_that_changes_while_it_is_sent_is_refused() -> None:
    class Shrinking:
        def __index__(self) -> int:
            values.clear()
            return 1

    values: list[Any] = [Shrinking(), 2]
    with pytest.raises(ValueError, match="1 elements came"):
        codec("ListType(Int32Type)").encode(values)


# Tuples and user-defined types

HEX = {"street": b"street".hex(), "zip": b"zip".hex(), "tags": b"tags".hex()}
ADDRESS = (
    f"UserType(ks,{b'address'.hex()},{HEX['street']}:UTF8Type,{HEX['zip']}:Int32Type,"
    f"{HEX['tags']}:SetType(UTF8Type))"
)
ADDRESS_TYPE = parse_class_name(ADDRESS)


def test_tuple_shorter_than_its_type_is_refused_naming_the_position() -> None:
    ours = codec("TupleType(Int32Type,UTF8Type,BooleanType)")
    for count in range(3):
        with pytest.raises(ValueError, match=f"has 3 elements, and element {count} is missing"):
            ours.encode((1, "a")[:count])
    check_against_driver("TupleType(Int32Type,UTF8Type,BooleanType)", (1, None, None))


def test_tuple_whose_length_lies_is_refused() -> None:
    class Lying(tuple[int, ...]):
        def __len__(self) -> int:
            return 2

    for items in ((1,), (1, 2, 3)):
        with pytest.raises(ValueError, match="element"):
            codec("TupleType(Int32Type,Int32Type)").encode(Lying(items))


def test_user_type_equals_the_drivers() -> None:
    for value in (
        ("Main St", 1, {"a", "b"}),
        ["Main St", None, None],
        SimpleNamespace(street="Main St", zip=1, tags=None),
    ):
        check_against_driver(ADDRESS, value)


def test_user_type_becomes_the_drivers_named_tuple() -> None:
    ours = codec(ADDRESS)
    value = ours.decode(ours.encode(("Main St", 1, ["b", "a"])))
    assert type(value) is driver_type(ADDRESS_TYPE).tuple_type
    assert value._asdict() == {"street": "Main St", "zip": 1, "tags": SortedSet(["a", "b"])}


def test_user_type_with_fewer_fields_is_filled_with_nulls() -> None:
    """ALTER TYPE ADD: old values, and programs that do not know the field yet."""
    ours = codec(ADDRESS)
    old = codec(ADDRESS.replace(f",{HEX['tags']}:SetType(UTF8Type)", ""))
    assert ours.decode(old.encode(("a", 1))) == ("a", 1, None)
    assert old.decode(ours.encode(("a", 1, {"x"}))) == ("a", 1)
    assert ours.decode(ours.encode(("a",))) == ("a", None, None)


@pytest.mark.parametrize("kind", [tuple, list, deque, numpy.array], ids=lambda kind: kind.__name__)
def test_user_type_refuses_more_items_than_it_has_fields(kind: Any) -> None:
    with pytest.raises(ValueError, match="has 3 fields, got 4"):
        codec(ADDRESS).encode(kind(["a", None, None, "b"]))


Swapped = namedtuple("Swapped", "zip street")
Renamed = namedtuple("Renamed", "road number")


def test_user_type_from_a_named_tuple_goes_by_its_names() -> None:
    ours = codec(ADDRESS)
    assert ours.decode(ours.encode(Swapped(1, "a"))) == ("a", 1, None)
    assert ours.decode(ours.encode(Renamed("a", 1))) == ("a", 1, None)


def test_user_type_from_a_mapping() -> None:
    ours = codec(ADDRESS)
    assert ours.decode(ours.encode({"zip": 1, "street": "a"})) == ("a", 1, None)
    with pytest.raises(ValueError, match="no field 'city'"):
        ours.encode({"city": "b"})


def test_user_type_refuses_what_has_none_of_its_fields() -> None:
    for value in ("Main St", b"Main St", 5, object(), SimpleNamespace(city="b")):
        with pytest.raises(TypeError, match="address"):
            codec(ADDRESS).encode(value)


class Address:
    def __init__(self, street: str, zip: int, tags: Any) -> None:
        self.street, self.zip, self.tags = street, zip, tags


def test_registered_class_is_used_in_codecs_that_exist() -> None:
    registry = CodecRegistry(PYTHON_TYPES, {("other", "address"): dict})
    whole = registry.codec(parse_class_name(f"ListType({ADDRESS})"))
    data = whole.encode([("a", 1, None)])
    assert whole.decode(data) == [("a", 1, None)]
    registry.register_user_type("ks", "address", Address)
    (made,) = whole.decode(data)
    assert isinstance(made, Address)
    assert (made.street, made.zip, made.tags) == ("a", 1, None)
    assert whole.encode([made]) == data
    registry.register_user_type("ks", "address", dict)
    assert whole.decode(data) == [{"street": "a", "zip": 1, "tags": None}]
    registry.register_user_type("ks", "address", None)
    assert type(whole.decode(data)[0]) is driver_type(ADDRESS_TYPE).tuple_type


def test_registered_class_is_used_in_codecs_built_later() -> None:
    registry = CodecRegistry(PYTHON_TYPES, {("ks", "address"): Address})
    ours = registry.codec(ADDRESS_TYPE)
    assert isinstance(ours.decode(ours.encode(("a", 1, None))), Address)


def test_user_type_whose_fields_are_no_identifiers() -> None:
    odd = f"UserType(ks,{b'odd'.hex()},{b'class'.hex()}:Int32Type,{b'a b'.hex()}:Int32Type)"
    ours = codec(odd)
    value = ours.decode(ours.encode((1, 2)))
    assert value == (1, 2)
    assert type(value) is driver_type(ours.cql_type).tuple_type
    nameless = f"UserType(ks,{b'a-b'.hex()},{b'x'.hex()}:Int32Type)"
    assert type(codec(nameless).decode(codec(nameless).encode((1,)))) is tuple


def test_composite_is_read_as_by_the_driver() -> None:
    ours = codec("CompositeType(Int32Type,UTF8Type)")
    data = b"\x00\x04\x00\x00\x00\x05\x00" + b"\x00\x02hi\x00"
    for cut in (data, data[:7]):
        assert same(ours.decode(cut), driver_type(ours.cql_type).from_binary(cut, 5))
    with pytest.raises(ProtocolError):
        ours.decode(data[:-1])
    with pytest.raises(TypeError):
        ours.encode((1, "a"))


def test_unknown_type_stays_bytes() -> None:
    ours = codec("com.example.Colour")
    assert ours.decode(b"abc") == b"abc"
    assert ours.decode(b"") is None
    assert ours.encode(b"abc") == b"abc"
    with pytest.raises(TypeError):
        ours.encode("abc")


# Vectors


@pytest.mark.parametrize(
    ("class_name", "typecode", "values"),
    [
        ("VectorType(FloatType,3)", "f", [1.5, -2.0, 0.1]),
        ("VectorType(DoubleType,3)", "d", [1.5, -2.0, 0.1]),
        ("VectorType(Int32Type,3)", "i", [1, -2, 2**31 - 1]),
        ("VectorType(LongType,3)", "q", [1, -2, 2**63 - 1]),
        ("VectorType(FloatType,3)", "d", [1.5, -2.0, 0.1]),
        ("VectorType(DoubleType,3)", "f", [1.5, -2.0, 0.5]),
        ("VectorType(LongType,3)", "i", [1, -2, 3]),
        ("VectorType(FloatType,3)", "i", [1, -2, 3]),
        ("VectorType(ShortType,3)", "h", [1, -2, 3]),
    ],
)
def test_vector_from_arrays(class_name: str, typecode: str, values: list[Any]) -> None:
    ours = codec(class_name)
    expected = ours.encode(values)
    assert ours.encode(array.array(typecode, values)) == expected
    ndarray = numpy.array(values, dtype=typecode)
    assert ours.encode(ndarray) == expected
    assert ours.encode(ndarray.astype(ndarray.dtype.newbyteorder())) == expected
    strided = numpy.repeat(ndarray, 2)[::2]
    assert not strided.flags.c_contiguous
    assert ours.encode(strided) == expected
    assert ours.encode(memoryview(ndarray)) == expected


def test_vector_refuses_arrays_of_other_shapes() -> None:
    for value in (numpy.zeros((3, 1), "f"), numpy.zeros((1, 3), "f"), numpy.array(1.0, "f")):
        with pytest.raises((TypeError, ValueError)):
            codec("VectorType(FloatType,3)").encode(value)


@pytest.mark.parametrize(
    "data",
    [b"\x01", b"\x01a\x02b", b"\x01a\x01bc", b"\xff" * 12, b"\x01a\xff", b"\x01a" * 3],
)
def test_vector_of_texts_with_wrong_lengths_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        codec("VectorType(UTF8Type,2)").decode(data)


def test_vector_of_huge_dimension_allocates_nothing() -> None:
    for class_name in ("VectorType(UTF8Type,2147483647)", "VectorType(FloatType,536870911)"):
        with pytest.raises(ProtocolError):
            codec(class_name).decode(b"\x01a")
