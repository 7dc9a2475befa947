"""Python values of any kind from bytes, also such as lie about themselves, for binding."""

import array
import datetime
import ipaddress
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from cassandra.query import UNSET_VALUE
from cassandra.util import Date, Duration, SortedSet, Time

__all__ = ["Interruption", "Source", "draw_value", "draw_values"]

_DEPTH = 5


class Source:
    """Takes numbers and bytes from an input; zeros where it has ended."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def remaining(self) -> int:
        return len(self._data) - self._at

    def byte(self) -> int:
        return self.number(1)

    def number(self, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(size).ljust(size, b"\0"), signed=signed)

    def take(self, size: int) -> bytes:
        """Up to ``size`` bytes."""
        taken = self._data[self._at : self._at + size]
        self._at += len(taken)
        return taken

    def sized(self, size: int) -> bytes:
        """Bytes after their own length, which is itself ``size`` bytes long."""
        return self.take(self.number(size))

    def rest(self) -> bytes:
        return self.take(self.remaining)


class Interruption(BaseException):
    """Passes through whatever it meets, as Ctrl-C does."""


class LyingLength(list[Any]):
    """Tells another number of items than it yields."""

    claimed = 0

    def __len__(self) -> int:
        return self.claimed


class Endless:
    """Tells more items than a value can have, and has none."""

    def __len__(self) -> int:
        return 2**31

    def items(self) -> Any:
        return ()

    def __iter__(self) -> Any:
        raise TypeError("nothing to iterate over")


class OtherMoment(datetime.datetime):
    """A datetime whose offset is none."""

    def utcoffset(self) -> Any:
        return 3600


class Shrinking:
    """Empties the list it is in when it is looked at."""

    def __init__(self, items: list[Any]) -> None:
        self._items = items

    def __index__(self) -> int:
        self._items.clear()
        return 1

    def __float__(self) -> float:
        return float(self.__index__())


class Raising:
    """Fails wherever it is used."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def _fail(self, *_: Any) -> Any:
        raise self._error

    __index__ = __float__ = __len__ = __iter__ = __getitem__ = __bytes__ = _fail
    __eq__ = _fail
    __hash__ = None  # type: ignore[assignment]

    def __getattr__(self, name: str) -> Any:
        raise self._error


class OtherText(str):
    """A str whose ``encode`` gives no bytes."""

    def encode(self, *_: Any, **__: Any) -> Any:
        return "text"


class OtherNumber(int):
    """An int whose methods give what they please."""

    def to_bytes(self, *_: Any, **__: Any) -> Any:
        return "text"

    def bit_length(self) -> int:
        return 8

    def __neg__(self) -> int:
        return 3

    def __invert__(self) -> int:
        return 3


class OtherAddress(ipaddress.IPv4Address):
    """An address whose ``packed`` is no bytes."""

    @property
    def packed(self) -> Any:
        return "text"


class OtherDecimal(Decimal):
    """A Decimal with parts that no Decimal has."""

    claimed: Any = (0, (1,), 0)

    def as_tuple(self) -> Any:
        return self.claimed


class OtherUuid:
    """Has the attribute that a UUID has."""

    def __init__(self, data: Any) -> None:
        self.bytes = data


class OtherCalendar:
    """Looks like a datetime."""

    def __init__(self, parts: Any) -> None:
        self._parts = parts
        self.microsecond = parts

    def timetuple(self) -> Any:
        return self._parts


class Fields:
    """A user-defined type's value by attributes."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)


def _number(source: Source, _: int) -> Any:
    wide = source.byte()
    number = int.from_bytes(source.take(wide % 40), signed=True)
    return (number, bool(number), float(number % 2**80), OtherNumber(number), -number)[wide % 5]


def _extreme(source: Source, _: int) -> Any:
    power = (7, 8, 15, 16, 31, 32, 63, 64, 127, 20000)[source.byte() % 10]
    return (2**power, 2**power - 1, -(2**power), -(2**power) - 1)[source.byte() % 4]


def _float(source: Source, _: int) -> Any:
    made = (0.0, -0.0, 1e300, -1e39, 3.5e38, float("inf"), float("-inf"), float("nan"), 0.1)
    return made[source.byte() % len(made)]


def _text(source: Source, _: int) -> Any:
    text = source.sized(1).decode("utf-8", "surrogateescape")
    return (text, text, OtherText(text), text + "\ud800", text + "\0")[source.byte() % 5]


def _known_text(source: Source, _: int) -> Any:
    made = (
        "127.0.0.1", "::1", "1", "1e999999999", "-1.5E-2147483648", "NaN", "2020-02-30",
        "2020-02-29", "00:00:00.5", "24:00:00", "", "infinity", "1" * 5000, ":::",
    )  # fmt: skip
    return made[source.byte() % len(made)]


def _bytes(source: Source, _: int) -> Any:
    data = source.sized(1)
    released = memoryview(data)
    released.release()
    made = (data, bytearray(data), memoryview(data), memoryview(data)[::2], released, data * 300)
    return made[source.byte() % len(made)]


def _array(source: Source, _: int) -> Any:
    code = "bBhHiIlLqQfd"[source.byte() % 12]
    made = array.array(code)
    data = source.sized(1)
    made.frombytes(data[: len(data) // made.itemsize * made.itemsize])
    view = memoryview(made)
    return (made, view, view[::2], view.cast("B"))[source.byte() % 4]


def _moment(source: Source, _: int) -> Any:
    odd = datetime.timezone(datetime.timedelta(hours=-23, seconds=1))
    made = (
        datetime.datetime.min, datetime.datetime.max, datetime.datetime(1969, 12, 31, 23, 59, 59, 1),
        datetime.datetime.max.replace(tzinfo=odd), datetime.datetime.min.replace(tzinfo=odd),
        datetime.date.min, datetime.date.max, datetime.date(2000, 2, 29), datetime.time.max,
        datetime.timedelta(1), Date(2**31 - 1), Date(-(2**31)), Date(2**40), Time(0),
        OtherCalendar(datetime.datetime(2000, 1, 1).timetuple()), OtherCalendar((10**8, 1, 1, 0, 0, 0)),
        OtherCalendar(None), OtherCalendar(()), Fields(days_from_epoch=2**40), Fields(nanosecond_time=-1),
        Fields(days_from_epoch="x"), OtherMoment(2000, 1, 1, tzinfo=odd),
    )  # fmt: skip
    return made[source.byte() % len(made)]


def _duration(source: Source, _: int) -> Any:
    parts = [source.number(5, signed=True), source.number(5, signed=True)]
    nanoseconds = source.number(9, signed=True)
    return (
        Duration(*parts, nanoseconds),
        Duration(parts[0] % 2**31, -(parts[1] % 2**31), nanoseconds % 2**63),
        Fields(months=1.5, days="x", nanoseconds=None),
        Fields(months=float("inf"), days=1, nanoseconds=1),
    )[source.byte() % 4]


def _decimal(source: Source, _: int) -> Any:
    made = (
        Decimal(source.number(8, signed=True)).scaleb(source.number(2, signed=True)),
        Decimal("NaN"), Decimal("-Infinity"), Decimal("1E-2147483648"), Decimal("1E2147483649"),
        Decimal("9" * 5000), Decimal("-0.000"), Decimal(2**64), Decimal("sNaN"),
    )  # fmt: skip
    chosen = made[source.byte() % len(made)]
    odd = OtherDecimal(1)
    odd.claimed = (
        (0, (10**18,) * 18, 0), (0, ("x",), 0), (0, (), 0), (), (0, None, 0), (1, (-5,), True),
    )[source.byte() % 6]  # fmt: skip
    return odd if source.byte() % 4 == 0 else chosen


def _identity(source: Source, _: int) -> Any:
    made: tuple[Any, ...] = (
        uuid.UUID(int=2**128 - 1), uuid.UUID(int=source.number(16)), OtherUuid(b"short"), OtherUuid(7),
        OtherUuid(bytes(16)), ipaddress.ip_address("255.0.0.1"), ipaddress.ip_address("::ffff:1.2.3.4"),
        OtherAddress("127.0.0.1"), object(), type, UNSET_VALUE, None,
    )  # fmt: skip
    return made[source.byte() % len(made)]


def _raising(source: Source, _: int) -> Any:
    made: tuple[BaseException, ...] = (
        TypeError("odd"), ValueError("odd"), OverflowError("odd"), LookupError("odd"),
        AttributeError("odd"), ZeroDivisionError("odd"), Interruption(),
    )  # fmt: skip
    return Raising(made[source.byte() % len(made)])


def _items(source: Source, depth: int) -> list[Any]:
    return [draw_value(source, depth) for _ in range(source.byte() % 6)]


def _sequence(source: Source, depth: int) -> Any:
    items = _items(source, depth)
    lying = LyingLength(items)
    lying.claimed = (0, 1, 2, 3, 9, 5000)[source.byte() % 6]
    if source.byte() % 5 == 0:
        items.insert(0, Shrinking(items))
    made = (items, tuple(items), lying, items, iter(items), Endless())
    return made[source.byte() % len(made)]


def _set(source: Source, depth: int) -> Any:
    numbers = {source.number(2) for _ in range(source.byte() % 6)}
    return (numbers, frozenset(numbers), SortedSet(numbers))[source.byte() % 3]


def _mapping(source: Source, depth: int) -> Any:
    names = ("id", "a", "b", "name", "x")
    pairs = {name: draw_value(source, depth) for name in names[: source.byte() % 6]}
    by_number = {source.number(2): draw_value(source, depth) for _ in range(source.byte() % 4)}
    return (pairs, by_number, Fields(**pairs))[source.byte() % 3]


_KINDS: tuple[Callable[[Source, int], Any], ...] = (
    _number, _extreme, _float, _text, _known_text, _bytes, _array, _moment, _duration, _decimal,
    _identity, _raising, _sequence, _set, _mapping, _sequence,
)  # fmt: skip


def draw_value(source: Source, depth: int = _DEPTH) -> Any:
    """A value that the bytes of ``source`` decide."""
    kind = source.byte() % len(_KINDS)
    if depth == 0:
        kind %= 12
    return _KINDS[kind](source, depth - 1)


def draw_values(source: Source) -> Iterator[Any]:
    """Values until the bytes end."""
    while source.remaining:
        yield draw_value(source)
