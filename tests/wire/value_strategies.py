"""Values of every CQL type for tests: hypothesis strategies by marshal class name."""

import datetime
import socket
from typing import Any

from cassandra import cqltypes
from cassandra.util import Date, Duration, Time
from hypothesis import strategies as st

INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
# Where the driver's float arithmetic keeps milliseconds exact.
EXACT = st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2200, 1, 1))
# Where both cut microseconds off towards the past.
SINCE_1970 = st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(2200, 1, 1))
ANY_DATETIME = st.datetimes().map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000))
IPV4 = st.ip_addresses(v=4).map(str)
# As the operating system spells it: Python 3.12 and 3.13 differ in mapped addresses.
IPV6 = st.ip_addresses(v=6).map(lambda address: socket.inet_ntop(socket.AF_INET6, address.packed))
DAY_NS = 86_400_000_000_000

SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "AsciiType": st.text(st.characters(max_codepoint=127), max_size=20),
    "BooleanType": st.booleans(),
    "ByteType": st.integers(-128, 127),
    "BytesType": st.binary(max_size=40),
    "CounterColumnType": INT64,
    "DecimalType": st.decimals(allow_nan=False, allow_infinity=False),
    "DoubleType": st.floats(allow_nan=False),
    "DurationType": st.builds(Duration, INT32, INT32, INT64),
    "FloatType": st.floats(width=32, allow_nan=False),
    "InetAddressType": IPV4 | IPV6,
    "Int32Type": INT32,
    "IntegerType": st.integers() | INT64,
    "LongType": INT64,
    "ShortType": st.integers(-(2**15), 2**15 - 1),
    "SimpleDateType": st.builds(Date, INT32),
    "TimeType": st.builds(Time, st.integers(0, DAY_NS - 1)),
    "TimeUUIDType": st.uuids(version=1),
    "TimestampType": EXACT.map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)),
    "UTF8Type": st.text(max_size=20),
    "UUIDType": st.uuids(),
}

# What else the driver accepts for a type, not given back as it was.
ALSO_ACCEPTED: dict[str, st.SearchStrategy[Any]] = {
    "BooleanType": st.integers(0, 1),
    "ByteType": st.booleans(),
    "BytesType": st.binary().map(bytearray)
    | st.binary().map(lambda data: memoryview(data))
    | st.lists(st.integers(0, 255)),
    "DecimalType": st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(allow_nan=False, allow_infinity=False).map(str),
    "DoubleType": INT64 | st.booleans() | st.decimals(-1000, 1000),
    "FloatType": INT32 | st.floats(-1e38, 1e38) | st.decimals(-1000, 1000),
    "InetAddressType": st.ip_addresses(),
    "Int32Type": st.booleans(),
    "IntegerType": st.booleans(),
    "SimpleDateType": st.dates() | st.datetimes() | st.dates().map(str) | st.integers(0, 2**32 - 1),
    "TimeType": st.times() | st.integers(0, DAY_NS - 1) | st.times().map(str),
    "TimestampType": SINCE_1970
    | st.dates()
    | st.integers(-(10**12), 7 * 10**12)
    | st.floats(-1e12, 7e12)
    | st.datetimes(
        datetime.datetime(1970, 1, 3),
        datetime.datetime(2200, 1, 1),
        timezones=st.timezones() | st.just(datetime.UTC),
    ),
}


def same(left: Any, right: Any) -> bool:
    """Equal values of equal Python types, all the way down."""
    if type(left) is not type(right):
        return False
    if isinstance(left, cqltypes.util.OrderedMap):
        return (
            same(left._items, right._items)
            and left._index == right._index
            and left.cass_key_type == right.cass_key_type
        )
    if isinstance(left, list | tuple | cqltypes.util.SortedSet):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float):
        return left == right or (left != left and right != right)
    return bool(left == right)


def nested(element: str, strategy: st.SearchStrategy[Any]) -> dict[str, st.SearchStrategy[Any]]:
    """Types one level around ``element``."""
    return {
        f"ListType({element})": st.lists(strategy, max_size=4),
        f"SetType({element})": st.lists(strategy, max_size=4),
        f"MapType({element},Int32Type)": st.lists(st.tuples(strategy, INT32), max_size=4).map(
            AssociationList
        ),
        f"MapType(UTF8Type,{element})": st.dictionaries(st.text(max_size=3), strategy, max_size=4),
        f"TupleType({element},Int32Type)": st.tuples(strategy, INT32 | st.none()),
        f"FrozenType(ListType({element}))": st.lists(strategy, max_size=4),
        f"VectorType({element} , 3)": st.lists(strategy, min_size=3, max_size=3),
    }


class AssociationList:
    """A mapping by its pairs, whose keys need no hash."""

    def __init__(self, pairs: list[tuple[Any, Any]]) -> None:
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __repr__(self) -> str:
        return f"AssociationList({self.pairs})"

    def items(self) -> list[tuple[Any, Any]]:
        return self.pairs
