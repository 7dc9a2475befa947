"""Objects whose own code runs while they are written or read cannot take away what is in use."""

import gc
import struct
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from async_cassandra._driver.types import PYTHON_TYPES
from async_cassandra._wire.binding import BindPlan
from async_cassandra._wire.codecs import CodecRegistry
from async_cassandra._wire.cqltypes import CqlType, TypeCode, parse_class_name
from async_cassandra._wire.errors import ColumnDecodeError, ParameterError
from async_cassandra._wire.requests import Batch, Options
from async_cassandra._wire.row import Row, row_type
from async_cassandra._wire.rows import Column, Page, RowPlan

INT = "Int32Type"


def plan(kind: str) -> BindPlan:
    return BindPlan([Column("ks", "t", "v", parse_class_name(kind))], CodecRegistry(PYTHON_TYPES))


class Clearing:
    """Empties the list it is in, whatever it is asked for."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def clear(self) -> list[Any]:
        self.items.clear()
        gc.collect(0)
        return [1]

    def __index__(self) -> int:
        return self.clear()[0]  # type: ignore[no-any-return]

    def __float__(self) -> float:
        return float(self.__index__())

    def __len__(self) -> int:
        return len(self.clear())

    def __iter__(self) -> Iterator[Any]:
        return iter(self.clear())

    def __bytes__(self) -> bytes:
        return bytes(self.clear())


@pytest.mark.parametrize("element", [
    INT, "LongType", "ShortType", "ByteType", "IntegerType", "BooleanType", "FloatType", "DoubleType",
    "BytesType", f"ListType({INT})", f"SetType({INT})", f"TupleType({INT})", f"VectorType({INT} , 1)",
])  # fmt: skip
@pytest.mark.parametrize(
    "outer", ["ListType({})", "SetType({})", "VectorType({} , 3)", "TupleType({},{},{})"]
)
def test_element_that_clears_its_list_is_refused(outer: str, element: str) -> None:
    kind = outer.format(element, element, element)
    for _ in range(20):
        items: list[Any] = []
        items.extend((Clearing(items), 1, 2))
        with pytest.raises(ParameterError):
            plan(kind).bind([items])


def test_rows_that_are_being_filled_are_not_found_through_gc() -> None:
    class Looking:
        def __init__(self, a: int, b: int) -> None:
            for found in gc.get_objects(0):
                if isinstance(found, list | tuple):
                    [id(item) for item in found]

    codecs = CodecRegistry(PYTHON_TYPES, {("ks", "u"): Looking})
    user_type = f"UserType(ks,75,61:{INT},62:{INT})"
    value = struct.pack(">iiii", 4, 1, 4, 2)
    cells = [
        value,
        struct.pack(">ii", 1, len(value)) + value,
        struct.pack(">i", len(value)) + value,
    ]
    kinds = [user_type, f"ListType({user_type})", f"TupleType({user_type},{INT})"]
    body = struct.pack(">i", 1) + b"".join(struct.pack(">i", len(cell)) + cell for cell in cells)
    columns = [Column("ks", "t", f"v{at}", parse_class_name(kind)) for at, kind in enumerate(kinds)]
    for form in ("row", "tuple"):
        row = Page(body, 0, RowPlan(columns, codecs, form))[0]
        assert isinstance(row[0], Looking)
        assert gc.is_tracked(row)
        assert gc.is_tracked(row[1])
        assert gc.is_tracked(row[2])


def test_empty_tuple_stays_out_of_gc() -> None:
    codec = CodecRegistry(PYTHON_TYPES).codec(CqlType(TypeCode.TUPLE, "tuple"))
    assert codec.decode(b"surplus") == ()
    assert not gc.is_tracked(())


def test_error_of_a_registered_class_is_a_column_error_with_its_cause() -> None:
    class Failing:
        def __init__(self, **_: Any) -> None:
            raise RuntimeError("no such thing")

    codecs = CodecRegistry(PYTHON_TYPES, {("ks", "u"): Failing})
    column = Column("ks", "t", "v", parse_class_name(f"UserType(ks,75,61:{INT})"))
    body = struct.pack(">iiii", 1, 8, 4, 1)
    with pytest.raises(ColumnDecodeError) as caught:
        Page(body, 0, RowPlan([column], codecs))[0]
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_error_of_an_instance_check_is_no_mapping() -> None:
    class Odd:
        @property  # type: ignore[misc]
        def __class__(self) -> Any:
            raise LookupError("no class")

    with pytest.raises(ParameterError, match="LookupError"):
        plan(INT).bind(Odd())  # type: ignore[arg-type]


def test_error_of_any_class_is_a_parameter_error_that_names_it() -> None:
    class Stopping:
        def __index__(self) -> int:
            raise StopIteration

    with pytest.raises(ParameterError, match="raised StopIteration") as caught:
        plan(INT).bind([Stopping()])
    # What a value's own code says may show the value.
    assert caught.value.__cause__ is None


KIND = row_type(("a", "b"))
CHANGES: list[Callable[[], object]] = [
    lambda: type("Fewer", (KIND,), {"_fields": ()}),
    lambda: setattr(KIND, "_fields", ()),
    lambda: delattr(KIND, "_slots"),
    lambda: setattr(KIND(1, 2), "__class__", row_type(("a", "b", "c"))),
    lambda: KIND._make([]),
    lambda: Row.__new__(KIND),
    lambda: tuple.__new__(KIND, ()),
]


@pytest.mark.parametrize("change", CHANGES)
def test_no_row_has_fewer_items_than_its_class_reads(change: Callable[[], object]) -> None:
    with pytest.raises(TypeError):
        change()


def test_own_row_class_with_odd_positions_reads_nothing_beyond() -> None:
    class Odd(Row):
        _positions: ClassVar = {"far": 2**40, "before": -3}

    for name in Odd._positions:
        with pytest.raises(IndexError, match=name):
            Odd()[name]


@pytest.mark.parametrize("make", [
    lambda: CqlType(TypeCode.LIST, "list"), lambda: CqlType(TypeCode.VECTOR, "vector"),
    lambda: CqlType(TypeCode.MAP, "map", (parse_class_name(INT),)),
    lambda: CqlType(TypeCode.UDT, "u", (parse_class_name(INT),), "ks", ()),
])  # fmt: skip
def test_type_without_its_parts_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="types"):
        make()


def test_no_code_of_others_runs_while_a_request_is_written() -> None:
    class Running(bytes):
        def __buffer__(self, flags: int) -> memoryview:
            raise AssertionError("ran")

    options = Options()
    options.custom_payload = {"key": Running(b"value")}
    with pytest.raises(TypeError, match="holds bytes, not Running"):
        options.encode(5)
    batch = Batch()
    batch.entries = [iter(("SELECT", b"\0\0"))]  # type: ignore[list-item]
    with pytest.raises(TypeError, match="tuple"):
        batch.encode(5)
