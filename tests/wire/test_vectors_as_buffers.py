"""Vectors of numbers as arrays and as views of what the server sent."""

import array
import gc
import struct
from dataclasses import replace
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from async_cassandra import ClientOptions
from async_cassandra._driver.types import PYTHON_TYPES, driver_type
from async_cassandra._wire.codecs import Codec, CodecRegistry
from async_cassandra._wire.cqltypes import parse_class_name
from async_cassandra._wire.errors import ColumnDecodeError, ProtocolError
from async_cassandra._wire.rows import Column, Page, RowPlan
from async_cassandra.exceptions import ConfigurationError

REGISTRIES = {
    kind: CodecRegistry(replace(PYTHON_TYPES, vectors=kind))
    for kind in ("list", "array", "memoryview")
}
NUMBERS = {
    "FloatType": ("f", st.floats(width=32, allow_nan=False)),
    "DoubleType": ("d", st.floats(allow_nan=False)),
    "Int32Type": ("i", st.integers(-(2**31), 2**31 - 1)),
    "LongType": ("q", st.integers(-(2**63), 2**63 - 1)),
}


def codec(kind: str, class_name: str) -> Codec:
    return REGISTRIES[kind].codec(parse_class_name(class_name))


def page_of(kind: str, class_name: str, *values: bytes | None) -> Page:
    column = Column("ks", "t", "v", parse_class_name(class_name))
    body = struct.pack(">i", len(values))
    for value in values:
        body += struct.pack(">i", -1 if value is None else len(value)) + (value or b"")
    return Page(body, 0, RowPlan([column], REGISTRIES[kind]))


@given(data=st.data(), name=st.sampled_from(sorted(NUMBERS)))
def test_vectors_hold_what_the_driver_reads(data: st.DataObject, name: str) -> None:
    typecode, numbers = NUMBERS[name]
    values = data.draw(st.lists(numbers, min_size=1, max_size=40))
    class_name = f"VectorType({name} , {len(values)})"
    sent = codec("list", class_name).encode(values)
    expected = driver_type(parse_class_name(class_name)).deserialize(sent, 5)
    assert page_of("list", class_name, sent)[0].v == expected
    assert page_of("array", class_name, sent)[0].v == array.array(typecode, expected)
    view = page_of("memoryview", class_name, sent)[0].v
    assert numpy.frombuffer(view, f">{typecode}").tolist() == expected


@pytest.mark.parametrize("kind", REGISTRIES)
@pytest.mark.parametrize("name", NUMBERS)
def test_vector_that_was_read_can_be_written(kind: str, name: str) -> None:
    both = codec(kind, f"VectorType({name} , 3)")
    sent = both.encode([1, -2, 3])
    assert both.encode(both.decode(sent)) == sent


def test_view_is_of_the_page_itself_and_keeps_it() -> None:
    page = page_of("memoryview", "VectorType(FloatType , 2)", struct.pack(">ff", 1.5, -2.0))
    row: Any = page[0]
    assert row.v.obj is page.payload
    assert row.v.readonly
    del page
    gc.collect()
    assert numpy.frombuffer(row.v, ">f4").tolist() == [1.5, -2.0]
    assert hash(row) == hash(tuple(row))


@pytest.mark.parametrize("kind", REGISTRIES)
def test_vector_may_be_null_or_empty(kind: str) -> None:
    page = page_of(kind, "VectorType(FloatType , 2)", None, b"")
    assert [row.v for row in page] == [None, None]


@pytest.mark.parametrize("kind", REGISTRIES)
def test_vector_of_a_wrong_size_is_an_error_of_its_row(kind: str) -> None:
    page = page_of(kind, "VectorType(FloatType , 2)", bytes(7), bytes(8))
    with pytest.raises((ColumnDecodeError, ProtocolError)):
        page[0]
    assert page[1].v is not None


@pytest.mark.parametrize("kind", REGISTRIES)
@pytest.mark.parametrize("value", [memoryview(bytes(7)), memoryview(bytes(12)), [1.0]])
def test_vector_of_a_wrong_size_is_refused(kind: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        codec(kind, "VectorType(FloatType , 2)").encode(value)


@pytest.mark.parametrize("kind", REGISTRIES)
def test_vectors_of_other_types_are_lists(kind: str) -> None:
    texts = codec(kind, "VectorType(UTF8Type , 2)")
    assert texts.decode(texts.encode(["a", "b"])) == ["a", "b"]
    nested = codec(kind, "VectorType(VectorType(ShortType,2),1)")
    assert nested.decode(nested.encode([[1, 2]])) == [[1, 2]]


@pytest.mark.parametrize(("kind", "expected"), [("array", array.array), ("memoryview", memoryview)])
def test_vectors_inside_collections_are_what_was_asked_for(kind: str, expected: type) -> None:
    listed = codec(kind, "ListType(VectorType(FloatType , 2))")
    values = listed.decode(listed.encode([[1.5, 2.5]]))
    assert [type(value) for value in values] == [expected]


def test_vectors_option_is_checked() -> None:
    for kind in REGISTRIES:
        assert ClientOptions(vectors=kind).vectors == kind  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="vectors"):
        ClientOptions(vectors="numpy")  # type: ignore[arg-type]
