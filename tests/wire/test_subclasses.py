"""Values of subclasses say what they are by their own methods, or are refused; their fields are never read.

Every class here has other content in the fields of its base than its methods tell, as pandas.NaT has.
"""

import datetime
import enum
import math
import uuid
from decimal import Decimal
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from async_cassandra._driver.types import PYTHON_TYPES
from async_cassandra._wire.codecs import Codec, CodecRegistry
from async_cassandra._wire.cqltypes import parse_class_name

from .value_strategies import SCALARS, nested

REGISTRY = CodecRegistry(PYTHON_TYPES)
INTEGERS = ("ByteType", "ShortType", "Int32Type", "LongType", "CounterColumnType", "IntegerType")
REFUSALS = (TypeError, ValueError, OverflowError)


def codec(class_name: str) -> Codec:
    return REGISTRY.codec(parse_class_name(class_name))


class OwnInt(int):
    meant = 0

    def __index__(self) -> int:
        return self.meant


class OwnFloat(float):
    meant = 0.0

    def __float__(self) -> float:
        return self.meant


class OwnText(str):
    meant = ""

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return self.meant.encode(encoding, errors)


class OwnBytes(bytes):
    meant = b""

    def __bytes__(self) -> bytes:
        return self.meant


class OwnDecimal(Decimal):
    meant = Decimal(0)

    def as_tuple(self) -> Any:
        return self.meant.as_tuple()


class OwnUuid(uuid.UUID):
    @property
    def bytes(self) -> bytes:
        return MEANT_UUID.bytes


MEANT_UUID = uuid.uuid4()


class OwnOffset(datetime.timedelta):
    meant = datetime.timedelta()
    days = property(lambda self: self.meant.days)
    seconds = property(lambda self: self.meant.seconds)
    microseconds = property(lambda self: self.meant.microseconds)


def told(name: str) -> Any:
    return property(lambda self: getattr(self.meant, name))


class OwnDatetime(datetime.datetime):
    meant: datetime.datetime
    year, month, day = told("year"), told("month"), told("day")
    hour, minute, second = told("hour"), told("minute"), told("second")
    microsecond = told("microsecond")

    def utcoffset(self) -> datetime.timedelta | None:
        offset = self.meant.utcoffset()
        if offset is None:
            return None
        own = OwnOffset(days=400)
        own.meant = offset
        return own


class OwnDate(datetime.date):
    meant: datetime.date
    year, month, day = told("year"), told("month"), told("day")


class OwnTime(datetime.time):
    meant: datetime.time
    hour, minute, second = told("hour"), told("minute"), told("second")
    microsecond, tzinfo = told("microsecond"), told("tzinfo")


def own(instance: Any, meant: Any) -> Any:
    instance.meant = meant
    return instance


@pytest.mark.parametrize("class_name", INTEGERS)
@given(st.integers(-128, 127), st.integers(-128, 127))
def test_int_of_a_subclass_is_its_index(class_name: str, field: int, meant: int) -> None:
    assert codec(class_name).encode(own(OwnInt(field), meant)) == codec(class_name).encode(meant)


@given(st.integers(), st.integers())
def test_long_int_of_a_subclass_is_its_index(field: int, meant: int) -> None:
    for class_name in ("IntegerType", "DecimalType"):
        value = own(OwnInt(field), meant)
        assert codec(class_name).encode(value) == codec(class_name).encode(meant)


@pytest.mark.parametrize(
    "class_name", ["FloatType", "DoubleType", "DecimalType", "VectorType(FloatType,1)"]
)
@given(st.floats(-1e30, 1e30), st.floats(-1e30, 1e30))
def test_float_of_a_subclass_is_its_float(class_name: str, field: float, meant: float) -> None:
    value, plain = own(OwnFloat(field), meant), meant
    if class_name.startswith("Vector"):
        value, plain = [value], [meant]  # type: ignore[assignment]
    assert codec(class_name).encode(value) == codec(class_name).encode(plain)


@pytest.mark.parametrize(
    ("class_name", "meant"),
    [
        ("UTF8Type", "naïve"),
        ("AsciiType", "plain"),
        ("SimpleDateType", "2024-02-29"),
        ("TimeType", "12:34:56.789"),
        ("DecimalType", "1.10"),
    ],
)
def test_text_of_a_subclass_is_what_it_encodes(class_name: str, meant: str) -> None:
    value = own(OwnText("1970-01-01"), meant)
    assert codec(class_name).encode(value) == codec(class_name).encode(meant)


def test_bytes_decimal_and_uuid_of_a_subclass_are_what_they_say() -> None:
    for class_name, value, meant in (
        ("BytesType", own(OwnBytes(b"field"), b"meant"), b"meant"),
        ("DecimalType", own(OwnDecimal("9"), Decimal("1.10")), Decimal("1.10")),
        ("UUIDType", OwnUuid(int=1), MEANT_UUID),
    ):
        assert codec(class_name).encode(value) == codec(class_name).encode(meant)


ZONES = st.none() | st.timezones() | st.just(datetime.UTC)


@given(st.datetimes(), st.datetimes(timezones=ZONES))
def test_datetime_of_a_subclass_is_what_its_attributes_say(
    field: datetime.datetime, meant: datetime.datetime
) -> None:
    value = own(OwnDatetime.fromisoformat(field.isoformat()), meant)
    for class_name in ("TimestampType", "SimpleDateType"):
        assert codec(class_name).encode(value) == codec(class_name).encode(meant)


@given(st.dates(), st.dates(), st.times(), st.times())
def test_date_and_time_of_a_subclass_are_what_their_attributes_say(
    date: datetime.date, meant: datetime.date, time: datetime.time, meant_time: datetime.time
) -> None:
    value = own(OwnDate(date.year, date.month, date.day), meant)
    for class_name in ("TimestampType", "SimpleDateType"):
        assert codec(class_name).encode(value) == codec(class_name).encode(meant)
    value = own(OwnTime(time.hour, time.minute, time.second, time.microsecond), meant_time)
    assert codec("TimeType").encode(value) == codec("TimeType").encode(meant_time)


# What is no value


class Nothing(datetime.datetime):
    """As pandas.NaT: fields of 0001-01-01, attributes that are no numbers."""

    year = month = day = hour = minute = second = microsecond = math.nan  # type: ignore[assignment]

    def utcoffset(self) -> datetime.timedelta | None:
        raise ValueError("NaTType does not support utcoffset")

    timetuple = utctimetuple = utcoffset  # type: ignore[assignment]


class NoDate(datetime.date):
    year = month = day = math.nan  # type: ignore[assignment]


class NoTime(datetime.time):
    hour = minute = second = microsecond = math.nan  # type: ignore[assignment]


NOTHINGS: dict[str, list[Any]] = {
    "TimestampType": [Nothing(1, 1, 1), NoDate(1, 1, 1)],
    "SimpleDateType": [Nothing(1, 1, 1), NoDate(1, 1, 1)],
    "TimeType": [NoTime(0), Nothing(1, 1, 1)],
}
AROUND = [name for name in nested("{}", st.none()) if "{}" in name]


def wrapped(class_name: str, value: Any) -> Any:
    """A value of a type of :func:`nested` with ``value`` as its element."""
    if class_name.startswith("MapType({}"):
        return {value: 1}
    if class_name.startswith("MapType"):
        return {"a": value}
    if class_name.startswith("TupleType"):
        return (value, None)
    return [value] * 3


@pytest.mark.parametrize("around", ["{}", *AROUND])
@pytest.mark.parametrize("element", NOTHINGS)
def test_what_is_no_point_in_time_is_refused_at_any_depth(element: str, around: str) -> None:
    for nothing in NOTHINGS[element]:
        value = nothing if around == "{}" else wrapped(around, nothing)
        with pytest.raises(REFUSALS):
            codec(around.format(element)).encode(value)


# Enumerations and NumPy


class Number(enum.IntEnum):
    SEVEN = 7


class Flag(enum.IntFlag):
    BOTH = 3


class Word(enum.StrEnum):
    RED = "red"


class OlderWord(str, enum.Enum):  # noqa: UP042  its str() is not its text
    RED = "red"


@pytest.mark.parametrize("member", [Number.SEVEN, Flag.BOTH])
@pytest.mark.parametrize("class_name", [*INTEGERS, "DecimalType", "DoubleType", "FloatType"])
def test_member_of_an_int_enumeration_is_its_number(class_name: str, member: int) -> None:
    assert codec(class_name).encode(member) == codec(class_name).encode(int(member))


@pytest.mark.parametrize("member", [Word.RED, OlderWord.RED])
@pytest.mark.parametrize("class_name", ["UTF8Type", "AsciiType"])
def test_member_of_a_text_enumeration_is_its_text(class_name: str, member: str) -> None:
    assert codec(class_name).encode(member) == b"red"


NUMPY_SCALARS = [
    *(numpy.dtype(code).type(1) for code in "?bBhHiIlLqQefdgFDG"),
    numpy.float64("nan"),
    numpy.float32("inf"),
    numpy.datetime64("2024-02-29"),
    numpy.datetime64("2024-02-29T01:02:03", "ns"),
    numpy.datetime64("NaT", "s"),
    numpy.timedelta64(5, "ns"),
    numpy.timedelta64("NaT", "s"),
    numpy.str_("red"),
    numpy.bytes_(b"red"),
    numpy.void(b"red"),
]


@pytest.mark.parametrize("class_name", SCALARS)
@pytest.mark.parametrize("scalar", NUMPY_SCALARS, ids=lambda scalar: scalar.dtype.str)
def test_numpy_scalar_is_what_its_item_is_or_refused(class_name: str, scalar: Any) -> None:
    ours = codec(class_name)
    try:
        data = ours.encode(scalar)
    except REFUSALS:
        return
    if scalar.dtype.char == "g":
        # Its item is the scalar itself.
        assert data == ours.encode(float(scalar))
    else:
        assert data == ours.encode(scalar.item())


@pytest.mark.parametrize(
    ("class_name", "scalar"),
    [
        ("Int32Type", numpy.int64(5)),
        ("DoubleType", numpy.float32(0.1)),
        ("DoubleType", numpy.int16(3)),
        ("BooleanType", numpy.bool_(True)),
        ("BooleanType", numpy.bool_(False)),
        ("UTF8Type", numpy.str_("naïve")),
        ("BytesType", numpy.bytes_(b"abc")),
    ],
)
def test_numpy_scalar_of_a_types_own_kind_is_taken(class_name: str, scalar: Any) -> None:
    assert codec(class_name).encode(scalar) == codec(class_name).encode(scalar.item())


# Decimals and ints longer than int() and str() take


@pytest.mark.parametrize("digits", [18, 19, 640, 641, 4300, 4301, 20_000])
@pytest.mark.parametrize("sign", [1, -1])
def test_number_of_any_length_is_exact(digits: int, sign: int) -> None:
    number = sign * (10**digits - 7)
    varint, decimal = codec("IntegerType"), codec("DecimalType")
    assert varint.decode(varint.encode(number)) == number
    for exponent in (0, -5, 3000):
        value = Decimal((sign < 0, Decimal(abs(number)).as_tuple().digits, exponent))
        data = decimal.encode(value)
        assert int.from_bytes(data[:4], signed=True) == -exponent
        assert int.from_bytes(data[4:], signed=True) == number
        assert decimal.decode(data).as_tuple() == value.as_tuple()


@given(st.integers(300, 3000).flatmap(lambda size: st.binary(min_size=size, max_size=size)))
def test_long_decimal_is_the_number_of_its_bytes(data: bytes) -> None:
    value = codec("DecimalType").decode(b"\x00\x00\x00\x00" + data)
    assert int(value) == int.from_bytes(data, signed=True)


# Microseconds


@given(st.datetimes())
def test_microseconds_are_cut_towards_the_past(at: datetime.datetime) -> None:
    ours = codec("TimestampType")
    kept = at.replace(microsecond=at.microsecond // 1000 * 1000)
    assert ours.decode(ours.encode(at)) == kept


def test_cut_is_the_same_for_what_only_looks_like_a_datetime() -> None:
    class Moment:
        microsecond = 999_999

        def utctimetuple(self) -> Any:
            return datetime.datetime(1969, 12, 31, 23, 59, 59).timetuple()

    assert codec("TimestampType").encode(Moment()) == b"\xff" * 8


@pytest.mark.parametrize(
    ("kind", "masked"),
    [
        ("VectorType(FloatType , 2)", numpy.ma.array([1.0, 2.0], "f4", mask=[True, False])),
        ("VectorType(DoubleType , 2)", numpy.ma.array([1.0, 2.0], mask=[True, False])),
        ("VectorType(Int32Type , 2)", numpy.ma.array([1, 2], "i4", mask=[True, False])),
        ("ListType(FloatType)", numpy.ma.array([1.0, 2.0], mask=[True, False])),
        ("BytesType", numpy.ma.array([1, 2], "u1", mask=[True, False])),
    ],
)
def test_masked_array_is_refused(kind: str, masked: Any) -> None:
    cql_type = parse_class_name(kind)
    codec = CodecRegistry(PYTHON_TYPES).codec(cql_type)
    with pytest.raises(TypeError, match="filled"):
        codec.encode(masked)
