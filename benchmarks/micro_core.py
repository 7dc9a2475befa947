"""How long does the compiled core take for one value, one row, one set of parameters, without a socket?

Compares with the driver's own compiled code. A value that is encoded is one of ten that a statement
binds; one that is decoded belongs to a page of 1,000 rows with one column, row objects included.
Nanoseconds, the best of several repetitions.

usage: python -m benchmarks.micro_core [--seconds 0.05] [--document]
"""

import argparse
import array
import datetime
import struct
import timeit
import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from cassandra.metadata import Murmur3Token
from cassandra.protocol import ColumnMetadata, ProtocolHandler
from cassandra.query import PreparedStatement, named_tuple_factory
from cassandra.util import Date, Duration, Time

from async_cassandra._driver.types import PYTHON_TYPES, driver_type
from async_cassandra._wire.binding import BindPlan, token_of
from async_cassandra._wire.codecs import CodecRegistry
from async_cassandra._wire.cqltypes import parse_class_name
from async_cassandra._wire.rows import Column, Page, RowPlan
from benchmarks.document import markdown, replaced
from benchmarks.environments import ROOT

REGISTRY = CodecRegistry(PYTHON_TYPES)

VALUES: dict[str, Any] = {
    "BooleanType": True,
    "Int32Type": 123_456,
    "LongType": 2**40,
    "IntegerType": 2**70,
    "DoubleType": 1.5,
    "FloatType": 1.5,
    "DecimalType": Decimal("1234.56"),
    "UTF8Type": "Amsterdam Schiphol",
    "BytesType": bytes(100),
    "UUIDType": uuid.uuid4(),
    "TimestampType": datetime.datetime(2024, 2, 29, 12, 30),
    "SimpleDateType": Date(19_782),
    "TimeType": Time(3_600_000_000_000),
    "DurationType": Duration(1, 2, 3),
    "InetAddressType": "127.0.0.1",
    "ListType(Int32Type)": list(range(10)),
    "SetType(UTF8Type)": ["a", "b", "c", "d", "e"],
    "MapType(UTF8Type,Int32Type)": {"a": 1, "b": 2, "c": 3},
    "TupleType(Int32Type,UTF8Type)": (1, "a"),
    "VectorType(FloatType , 384)": array.array("f", range(384)),
}

ROW = {
    "id": ("UUIDType", uuid.uuid4()),
    "name": ("UTF8Type", "Amsterdam Schiphol"),
    "count": ("Int32Type", 123_456),
    "at": ("TimestampType", datetime.datetime(2024, 2, 29, 12, 30)),
    "delay": ("DoubleType", 1.5),
}
ROW_COUNT = 1000
BOUND = 10


def nanoseconds(function: Callable[[], Any], seconds: float) -> float:
    """The time of one call, the best of five measurements of about ``seconds`` each."""
    timer = timeit.Timer(function)
    once = max(timer.timeit(10) / 10, 1e-8)
    number = max(int(seconds / once), 1)
    return min(timer.repeat(5, number)) / number * 1e9


class Table:
    """What was measured, shown as it comes."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.rows: list[tuple[str, float, float]] = []
        print(f"{'nanoseconds':44} {'ours':>10} {'driver':>10} {'ratio':>8}")

    def compare(
        self, name: str, ours: Callable[[], Any], driver: Callable[[], Any], each: int = 1
    ) -> None:
        """Measure two functions.

        :param each: what a call does so many times
        """
        mine = nanoseconds(ours, self._seconds) / each
        theirs = nanoseconds(driver, self._seconds) / each
        self.rows.append((name, mine, theirs))
        print(f"{name:44} {mine:10,.0f} {theirs:10,.0f} {theirs / mine:7.1f}x")

    def markdown(self) -> str:
        rows = [
            (name, f"{mine:,.0f}", f"{theirs:,.0f}", f"{theirs / mine:.1f}")
            for name, mine, theirs in self.rows
        ]
        return markdown(("nanoseconds", "ours", "driver", "ratio"), rows)


def columns_of(types: Mapping[str, str]) -> tuple[Column, ...]:
    return tuple(Column("ks", "t", name, parse_class_name(types[name])) for name in types)


def rows_of(columns: Sequence[Column], values: Sequence[Any], row_count: int) -> bytes:
    """Return the rows of a RESULT, their number first."""
    encoded = [REGISTRY.codec(c.type).encode(v) for c, v in zip(columns, values, strict=True)]
    row = b"".join(struct.pack(">i", len(data)) + data for data in encoded)
    return struct.pack(">i", row_count) + row * row_count


def decoders(
    columns: tuple[Column, ...], rows: bytes
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Return what decodes the rows here, and what does so in the driver."""
    plan = RowPlan(columns, REGISTRY)
    described = [(c.keyspace, c.table, c.name, driver_type(c.type)) for c in columns]
    body = struct.pack(">iii", 2, 4, len(columns)) + rows

    def ours() -> Any:
        return list(Page(rows, 0, plan))

    def driver() -> Any:
        decoded = ProtocolHandler.decode_message(5, {}, 0, 0, 8, body, None, described)
        return named_tuple_factory(decoded.column_names, decoded.parsed_rows)

    assert ours() == driver(), [column.type for column in columns]
    return ours, driver


def binders(
    columns: tuple[Column, ...], values: Sequence[Any], key: Sequence[int]
) -> tuple[BindPlan, PreparedStatement]:
    """Return what binds values here, and what does so in the driver."""
    metadata = [ColumnMetadata("ks", "t", c.name, driver_type(c.type)) for c in columns]
    statement = PreparedStatement(metadata, b"", list(key), "", "ks", 5, None, None)
    plan = BindPlan(columns, REGISTRY, tuple(key))
    assert len(statement.bind(values).values) == len(values)
    return plan, statement


def measure_values(table: Table) -> None:
    for class_name, value in VALUES.items():
        columns = columns_of({f"value_{number}": class_name for number in range(BOUND)})
        cql_type = REGISTRY.codec(columns[0].type).cql_type
        values = [value] * BOUND
        plan, statement = binders(columns, values, ())
        ours, driver = partial(plan.bind, values), partial(statement.bind, values)
        table.compare(f"encode {cql_type}", ours, driver, each=BOUND)
        rows = rows_of(columns[:1], [value], ROW_COUNT)
        table.compare(f"decode {cql_type}", *decoders(columns[:1], rows), each=ROW_COUNT)


def measure_rows(table: Table) -> None:
    columns = columns_of({name: class_name for name, (class_name, _) in ROW.items()})
    values = [value for _, value in ROW.values()]
    for row_count in (1, ROW_COUNT):
        rows = rows_of(columns, values, row_count)
        title = f"decode a row of {len(ROW)} columns, of {row_count:,}"
        table.compare(title, *decoders(columns, rows), each=row_count)


def measure_binding(table: Table) -> None:
    columns = columns_of({name: class_name for name, (class_name, _) in ROW.items()})
    values = [value for _, value in ROW.values()]
    plan, statement = binders(columns, values, (0,))
    table.compare(
        f"bind {len(values)} values, routing token",
        lambda: plan.bind(values).token,
        lambda: Murmur3Token.hash_fn(statement.bind(values).routing_key),
    )
    key = bytes(16)
    table.compare("token", lambda: token_of(key), lambda: Murmur3Token.hash_fn(key))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.05, help="of each measurement")
    parser.add_argument("--document", action="store_true", help="write the table into docs")
    arguments = parser.parse_args()
    table = Table(arguments.seconds)
    measure_values(table)
    measure_rows(table)
    measure_binding(table)
    if arguments.document:
        page = ROOT / "docs" / "performance-measurements.md"
        page.write_text(replaced(page.read_text(), "core", table.markdown()))


if __name__ == "__main__":
    main()
