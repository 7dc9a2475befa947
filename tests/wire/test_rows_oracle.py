"""Whole results, decoded by the driver's message decoder and by ours."""

import struct
from typing import Any

from cassandra.protocol import ProtocolHandler
from hypothesis import given
from hypothesis import strategies as st

from async_cassandra._driver.types import PYTHON_TYPES
from async_cassandra._wire.codecs import CodecRegistry
from async_cassandra._wire.cqltypes import parse_class_name
from async_cassandra._wire.rows import Column, Page, RowPlan, decode_metadata

from .value_strategies import SCALARS, nested, same

REGISTRY = CodecRegistry(PYTHON_TYPES)
STRATEGIES = SCALARS | nested("UTF8Type", SCALARS["UTF8Type"])
OPTIONS = {
    "AsciiType": b"\x00\x01",
    "LongType": b"\x00\x02",
    "BytesType": b"\x00\x03",
    "BooleanType": b"\x00\x04",
    "CounterColumnType": b"\x00\x05",
    "DecimalType": b"\x00\x06",
    "DoubleType": b"\x00\x07",
    "FloatType": b"\x00\x08",
    "Int32Type": b"\x00\x09",
    "UTF8Type": b"\x00\x0a",
    "TimestampType": b"\x00\x0b",
    "UUIDType": b"\x00\x0c",
    "IntegerType": b"\x00\x0e",
    "TimeUUIDType": b"\x00\x0f",
    "InetAddressType": b"\x00\x10",
    "SimpleDateType": b"\x00\x11",
    "TimeType": b"\x00\x12",
    "ShortType": b"\x00\x13",
    "ByteType": b"\x00\x14",
    "DurationType": b"\x00\x15",
    "ListType(UTF8Type)": b"\x00\x20\x00\x0a",
    "SetType(UTF8Type)": b"\x00\x22\x00\x0a",
    "MapType(UTF8Type,UTF8Type)": b"\x00\x21\x00\x0a\x00\x0a",
    "TupleType(UTF8Type,Int32Type)": b"\x00\x31\x00\x02\x00\x0a\x00\x09",
}


def string(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


def option(class_name: str) -> bytes:
    return OPTIONS.get(class_name) or b"\x00\x00" + string(class_name)


@st.composite
def results(draw: st.DrawFn) -> bytes:
    """The body of a RESULT of kind Rows, after its kind."""
    kinds = draw(st.lists(st.sampled_from(sorted(STRATEGIES)), min_size=1, max_size=5))
    body = struct.pack(">ii", 1, len(kinds)) + string("ks") + string("t")
    for position, kind in enumerate(kinds):
        body += string(f"c{position}") + option(kind)
    codecs = [REGISTRY.codec(parse_class_name(kind)) for kind in kinds]
    row_count = draw(st.integers(0, 3))
    body += struct.pack(">i", row_count)
    for _ in range(row_count):
        for kind, codec in zip(kinds, codecs, strict=True):
            value = draw(st.none() | STRATEGIES[kind])
            data = b"" if value is None else codec.encode(value)
            body += struct.pack(">i", -1 if value is None else len(data)) + data
    return body


@given(results())
def test_rows_equal_the_drivers(body: bytes) -> None:
    message: Any = ProtocolHandler.decode_message(
        5, {}, 0, 0, 0x08, struct.pack(">i", 2) + body, None, None
    )
    metadata, offset = decode_metadata(body)
    plan = RowPlan(metadata.columns or (), REGISTRY, "tuple")
    page = Page(body, offset, plan)
    assert list(plan.column_names) == message.column_names
    assert same([tuple(row) for row in message.parsed_rows], list(page))


def test_columns_of_a_golden_result() -> None:
    body = struct.pack(">ii", 1, 1) + string("ks") + string("t") + string("id") + b"\x00\x09"
    metadata, offset = decode_metadata(body)
    assert offset == len(body)
    assert metadata.columns == (Column("ks", "t", "id", parse_class_name("Int32Type")),)
