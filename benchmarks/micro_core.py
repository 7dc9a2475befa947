"""How long does the compiled core take for one value, one row, one set of parameters?

Compares with the driver: its Python codecs for single values, its Cython message decoder for
results. Prints nanoseconds, the best of several repetitions.

    python benchmarks/micro_core.py [--seconds 0.05]
"""

import argparse
import array
import datetime
import struct
import timeit
import uuid
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

from cassandra.metadata import Murmur3Token
from cassandra.protocol import ColumnMetadata, ProtocolHandler
from cassandra.query import PreparedStatement, named_tuple_factory
from cassandra.util import Date, Duration, Time

from async_cassandra._driver.types import PYTHON_TYPES, driver_type
from async_cassandra._wire.binding import BindPlan
from async_cassandra._wire.codecs import CodecRegistry
from async_cassandra._wire.cqltypes import parse_class_name
from async_cassandra._wire.murmur3 import token_of
from async_cassandra._wire.rows import Column, Page, RowPlan, decode_metadata

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
    "id": ("UUIDType", b"\x00\x0c", uuid.uuid4()),
    "name": ("UTF8Type", b"\x00\x0a", "Amsterdam Schiphol"),
    "count": ("Int32Type", b"\x00\x09", 123_456),
    "at": ("TimestampType", b"\x00\x0b", datetime.datetime(2024, 2, 29, 12, 30)),
    "delay": ("DoubleType", b"\x00\x07", 1.5),
}
ROW_COUNTS = (1, 1000)


def nanoseconds(function: Callable[[], Any], seconds: float) -> float:
    """The time of one call, the best of five measurements of about ``seconds`` each."""
    timer = timeit.Timer(function)
    once = max(timer.timeit(10) / 10, 1e-8)
    number = max(int(seconds / once), 1)
    return min(timer.repeat(5, number)) / number * 1e9


def report(name: str, ours: float, driver: float) -> None:
    print(f"{name:36} {ours:12,.0f} {driver:12,.0f} {driver / ours:8.1f}x")


def measure_values(seconds: float) -> None:
    for class_name, value in VALUES.items():
        codec = REGISTRY.codec(parse_class_name(class_name))
        driver = driver_type(codec.cql_type)
        data = codec.encode(value)
        report(
            f"encode {codec.cql_type}",
            nanoseconds(partial(codec.encode, value), seconds),
            nanoseconds(partial(driver.serialize, value, 5), seconds),
        )
        report(
            f"decode {codec.cql_type}",
            nanoseconds(partial(codec.decode, data), seconds),
            nanoseconds(partial(driver.deserialize, data, 5), seconds),
        )


def string(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


def result_body(row_count: int) -> bytes:
    """Metadata and rows of a RESULT."""
    body = struct.pack(">ii", 1, len(ROW)) + string("ks") + string("t")
    row = b""
    for name, (class_name, option, value) in ROW.items():
        body += string(name) + option
        data = REGISTRY.codec(parse_class_name(class_name)).encode(value)
        row += struct.pack(">i", len(data)) + data
    return body + struct.pack(">i", row_count) + row * row_count


def measure_rows(seconds: float) -> None:
    for row_count in ROW_COUNTS:
        body = result_body(row_count)
        metadata, offset = decode_metadata(body)
        plan = RowPlan(metadata.columns or (), REGISTRY)

        def ours(body: bytes = body, offset: int = offset, plan: RowPlan = plan) -> Any:
            return list(Page(body, offset, plan))

        described = metadata.columns or ()
        skipped = [(c.keyspace, c.table, c.name, driver_type(c.type)) for c in described]
        without = struct.pack(">iii", 2, 4, len(ROW)) + body[offset:]

        def driver(without: bytes = without, skipped: Any = skipped) -> Any:
            decoded = ProtocolHandler.decode_message(5, {}, 0, 0, 8, without, None, skipped)
            return named_tuple_factory(decoded.column_names, decoded.parsed_rows)

        assert ours() == driver()
        report(f"{row_count} rows of {len(ROW)} columns", *both(ours, driver, seconds))


def both(ours: Callable[[], Any], driver: Callable[[], Any], seconds: float) -> tuple[float, float]:
    return nanoseconds(ours, seconds), nanoseconds(driver, seconds)


def measure_binding(seconds: float) -> None:
    columns = [
        Column("ks", "t", name, parse_class_name(class_name))
        for name, (class_name, _, _) in ROW.items()
    ]
    plan = BindPlan(columns, REGISTRY, (0,))
    metadata = [ColumnMetadata("ks", "t", c.name, driver_type(c.type)) for c in columns]
    statement = PreparedStatement(metadata, b"", [0], "", "ks", 5, None, None)
    values = [value for _, _, value in ROW.values()]
    report(
        f"bind {len(values)} values, routing token",
        *both(
            lambda: plan.bind(values).token,
            lambda: Murmur3Token.hash_fn(statement.bind(values).routing_key),
            seconds,
        ),
    )
    key = bytes(16)
    report("token", *both(lambda: token_of(key), lambda: Murmur3Token.hash_fn(key), seconds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.05, help="of each measurement")
    seconds = parser.parse_args().seconds
    print(f"{'nanoseconds':36} {'ours':>12} {'driver':>12} {'ratio':>9}")
    measure_values(seconds)
    measure_rows(seconds)
    measure_binding(seconds)


if __name__ == "__main__":
    main()
