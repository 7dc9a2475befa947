"""Metadata, rows and pages."""

import copy
import gc
import pickle
import re
import struct
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import pytest
from cassandra.query import named_tuple_factory
from hypothesis import given
from hypothesis import strategies as st

from async_cassandra._driver.types import PYTHON_TYPES
from async_cassandra._wire.codecs import CodecRegistry
from async_cassandra._wire.cqltypes import CqlType, TypeCode, parse_class_name
from async_cassandra._wire.errors import ColumnDecodeError, ProtocolError
from async_cassandra._wire.row import Row, field_names, row_type
from async_cassandra._wire.rows import Column, Page, PageCursor, RowPlan, decode_metadata

REGISTRY = CodecRegistry(PYTHON_TYPES)


def columns(**types: str) -> list[Column]:
    return [Column("ks", "t", name, parse_class_name(kind)) for name, kind in types.items()]


def plan(row_type: Literal["row", "tuple"] = "row", **types: str) -> RowPlan:
    return RowPlan(columns(**types), REGISTRY, row_type)


def value(data: bytes | None) -> bytes:
    return struct.pack(">i", -1) if data is None else struct.pack(">i", len(data)) + data


def payload(*rows: list[bytes | None]) -> bytes:
    return struct.pack(">i", len(rows)) + b"".join(value(item) for row in rows for item in row)


def int_bytes(number: int) -> bytes:
    return struct.pack(">i", number)


def decode_all(page: Page) -> list[Row]:
    return PageCursor(page).decode_next(len(page))


PERSON = plan(id="Int32Type", name="UTF8Type")
PEOPLE = payload([int_bytes(1), b"Ann"], [int_bytes(2), None], [int_bytes(3), b""])


def test_page_is_a_sequence_of_rows() -> None:
    page = Page(PEOPLE, 0, PERSON)
    assert len(page) == 3
    assert page[0] == (1, "Ann")
    assert page[-1] == (3, "")
    assert page[1:] == [(2, None), (3, "")]
    assert page[::-2] == [(3, ""), (1, "Ann")]
    assert list(page) == list(page) == [(1, "Ann"), (2, None), (3, "")]
    assert page.decode_slice(1, 99) == [(2, None), (3, "")]
    with pytest.raises(IndexError, match="no row 3: the page has 3 rows"):
        page[3]
    with pytest.raises(IndexError):
        page[-4]


def test_page_of_one_row_and_of_none() -> None:
    assert list(Page(payload([int_bytes(1), b"Ann"]), 0, PERSON)) == [(1, "Ann")]
    assert list(Page(payload(), 0, PERSON)) == []


def test_page_starts_at_its_offset() -> None:
    assert Page(b"metadata" + PEOPLE, 8, PERSON)[0].name == "Ann"
    with pytest.raises(ValueError, match="offset"):
        Page(PEOPLE, len(PEOPLE) + 1, PERSON)


def test_rows_are_plain_tuples_where_wanted() -> None:
    rows = list(Page(PEOPLE, 0, plan("tuple", id="Int32Type", name="UTF8Type")))
    assert {type(row) for row in rows} == {tuple}
    assert rows[0] == (1, "Ann")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00\x00\x00",
        PEOPLE[:-1],
        PEOPLE + b"\x00",
        b"\xff\xff\xff\xff",
        b"\x7f\xff\xff\xff",
        b"\x00\x00\x00\x04" + PEOPLE[4:],
        b"\x00\x00\x00\x02" + PEOPLE[4:],
        payload([int_bytes(1)]) + b"\x7f\xff\xff\xffAnn",
    ],
)
def test_page_with_wrong_lengths_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        Page(data, 0, PERSON)
    with pytest.raises(ProtocolError):
        list(Page(data, 0, PERSON, at_once=False))


def test_page_checked_as_it_is_read_is_the_same_sequence_of_rows() -> None:
    rows = [(1, "Ann"), (2, None), (3, "")]
    assert list(Page(PEOPLE, 0, PERSON, at_once=False)) == rows
    assert decode_all(Page(PEOPLE, 0, PERSON, at_once=False)) == rows
    for start in range(4):
        assert Page(PEOPLE, 0, PERSON, at_once=False).decode_slice(start, 9) == rows[start:]
    backwards = Page(PEOPLE, 0, PERSON, at_once=False)
    assert [backwards[index] for index in (2, 1, 0, 2)] == [*rows[::-1], rows[2]]
    single = payload([int_bytes(1), b"Ann"])
    assert decode_all(Page(single, 0, PERSON, at_once=False)) == rows[:1]


BROKEN_PAGES = [
    (PEOPLE[:-1], 2, "column 'name' (text) of row 2: 4 bytes announced, 3 left"),
    (PEOPLE + b"\x00", 2, "column 'name' (text) of row 2: 1 bytes after the last row"),
    (
        PEOPLE[:19] + b"\x7f\xff\xff\xff" + PEOPLE[23:],
        1,
        "column 'id' (int) of row 1: 2147483647 bytes announced, 20 left",
    ),
]


@pytest.mark.parametrize(("data", "whole", "message"), BROKEN_PAGES)
def test_page_checked_as_it_is_read_gives_the_rows_before_a_wrong_length(
    data: bytes, whole: int, message: str
) -> None:
    cursor = PageCursor(Page(data, 0, PERSON, at_once=False))
    assert cursor.decode_next(9) == [(1, "Ann"), (2, None)][:whole]
    with pytest.raises(ProtocolError, match=re.escape(message)):
        cursor.decode_next(9)


@pytest.mark.parametrize("row", [1, 2])
def test_rows_behind_a_wrong_length_cannot_be_read(row: int) -> None:
    data, whole, _ = BROKEN_PAGES[-1]
    page = Page(data, 0, PERSON, at_once=False)
    assert whole <= row
    for _ in range(2):
        with pytest.raises(ProtocolError):
            page[row]
    with pytest.raises(ProtocolError):
        page.decode_slice(row, 9)
    assert page[0] == (1, "Ann")


@given(st.binary(max_size=80), st.booleans())
def test_page_of_arbitrary_bytes_reads_or_raises(data: bytes, at_once: bool) -> None:
    try:
        page = Page(data, 0, PERSON, at_once)
    except ProtocolError:
        return
    cursor = iter(page)
    seen = 0
    while True:
        try:
            next(cursor)
        except StopIteration:
            break
        except (ColumnDecodeError, ProtocolError):
            pass
        seen += 1
    assert seen == len(page)


FAR = struct.pack(">q", 1_700_000_000_000_000)
EVENTS = plan(id="Int32Type", at="TimestampType")
WITH_BAD_ROW = payload(
    [int_bytes(1), struct.pack(">q", 0)],
    [int_bytes(2), FAR],
    [int_bytes(3), None],
    [int_bytes(4), FAR],
)


def test_value_outside_python_raises_from_its_row_only() -> None:
    page = Page(WITH_BAD_ROW, 0, EVENTS)
    assert page[2] == (3, None)
    with pytest.raises(ColumnDecodeError) as caught:
        page[1]
    assert (caught.value.column, caught.value.row, caught.value.value) == ("at", 1, FAR)
    assert "column 'at' (timestamp) of row 1: 1700000000000000 ms" in str(caught.value)


@pytest.mark.parametrize("at_once", [True, False])
def test_iteration_goes_on_behind_a_bad_row(at_once: bool) -> None:
    cursor = iter(Page(WITH_BAD_ROW, 0, EVENTS, at_once))
    assert next(cursor).id == 1
    with pytest.raises(ColumnDecodeError):
        next(cursor)
    assert next(cursor).id == 3
    with pytest.raises(ColumnDecodeError):
        next(cursor)
    with pytest.raises(StopIteration):
        next(cursor)


@pytest.mark.parametrize("at_once", [True, False])
def test_decode_next_stops_before_a_bad_row(at_once: bool) -> None:
    cursor = PageCursor(Page(WITH_BAD_ROW, 0, EVENTS, at_once))
    assert [row.id for row in cursor.decode_next(10)] == [1]
    assert cursor.position == 1
    with pytest.raises(ColumnDecodeError):
        cursor.decode_next(10)
    assert [row.id for row in cursor.decode_next(1)] == [3]
    with pytest.raises(ColumnDecodeError):
        cursor.decode_next(1)
    assert cursor.decode_next(1) == []


@pytest.mark.parametrize("decode", [lambda page: page.decode_slice(0, 9), decode_all])
def test_row_takes_equal_values_from_the_row_before(decode: Callable[[Page], list[Row]]) -> None:
    carriers = plan(
        carrier="UTF8Type", number="Int32Type", distance="IntegerType", tail="BytesType"
    )
    rows: list[list[bytes | None]] = [
        [b"United", int_bytes(1545), b"\x05\x78", None],
        [b"United", int_bytes(1545), b"\x00\x05\x78", None],
        [None, int_bytes(1546), b"", b"N14228"],
        [b"United", int_bytes(1546), b"", b"N14229"],
    ]
    first, second, third, fourth = decode(Page(payload(*rows), 0, carriers))
    assert first == second == ("United", 1545, 1400, None)
    assert first[0] is second[0]
    assert first[1] is second[1]
    assert third == (None, 1546, None, b"N14228")
    assert fourth == ("United", 1546, None, b"N14229")
    assert third[1] is fourth[1]


def test_row_shares_no_mutable_value_with_the_row_before() -> None:
    python_types = replace(PYTHON_TYPES, vectors="array")
    vectors = RowPlan(columns(v="VectorType(FloatType , 2)"), CodecRegistry(python_types))
    first, second = Page(payload([bytes(8)], [bytes(8)]), 0, vectors).decode_slice(0, 2)
    assert first == second
    assert first[0] is not second[0]


def test_text_that_is_not_utf8_names_its_column() -> None:
    with pytest.raises(ColumnDecodeError, match=r"column 'name' \(text\) of row 0") as caught:
        Page(payload([int_bytes(1), b"\xff"]), 0, PERSON)[0]
    assert caught.value.value == b"\xff"
    assert isinstance(caught.value.__cause__, UnicodeDecodeError)


def test_value_of_wrong_size_is_a_protocol_error_that_names_its_column() -> None:
    with pytest.raises(ProtocolError, match=r"column 'id' \(int\) of row 0: 3 bytes"):
        Page(payload([b"abc", None]), 0, PERSON)[0]


def test_users_class_that_refuses_its_fields_fails_its_row_only() -> None:
    class Picky:
        def __init__(self, a: int) -> None:
            if a < 0:
                raise KeyError(a)

    registry = CodecRegistry(PYTHON_TYPES, {("ks", "picky"): Picky})
    kind = parse_class_name(f"UserType(ks,{b'picky'.hex()},{b'a'.hex()}:Int32Type)")
    column = Column("ks", "t", "p", kind)
    refused, taken = (b"\x00\x00\x00\x04" + int_bytes(number) for number in (-1, 1))
    page = Page(payload([refused], [taken]), 0, RowPlan([column], registry))
    with pytest.raises(ColumnDecodeError, match=r"column 'p' \(picky\) of row 0"):
        page[0]
    assert isinstance(page[1].p, Picky)


def test_rows_of_plain_values_need_no_garbage_collection() -> None:
    page = Page(payload([int_bytes(1), bytes(16)]), 0, plan(a="Int32Type", b="UUIDType"))
    assert not gc.is_tracked(page[0])
    assert not gc.is_tracked(page[0].b)
    lists = Page(payload([b"\x00\x00\x00\x00"]), 0, plan(a="ListType(Int32Type)"))
    assert gc.is_tracked(lists[0])


def test_page_can_be_filled_once_only() -> None:
    page = Page(PEOPLE, 0, PERSON)
    with pytest.raises(RuntimeError):
        page.__init__(PEOPLE, 0, PERSON)


# Rows


def test_row_is_found_by_position_attribute_and_column_name() -> None:
    row: Any = Page(PEOPLE, 0, PERSON)[0]
    assert isinstance(row, tuple)
    assert isinstance(row, Row)
    assert (row[0], row.id, row["id"]) == (1, 1, 1)
    assert (row[-1], row.name, row["name"]) == ("Ann", "Ann", "Ann")
    assert row[:1] == (1,)
    identifier, name = row
    assert (identifier, name) == (1, "Ann")
    assert row._fields == ("id", "name")
    assert repr(row) == "Row(id=1, name='Ann')"
    match row:
        case Row(id=1, name=found):
            assert found == "Ann"
        case _:
            pytest.fail("a row matches by its fields")


def test_row_without_such_a_column_says_which_there_are() -> None:
    row: Any = Page(PEOPLE, 0, PERSON)[0]
    with pytest.raises(KeyError, match="no column 'age', there are: id, name"):
        row["age"]
    with pytest.raises(IndexError, match="no column 2: the row has 2 columns"):
        row[2]
    with pytest.raises(AttributeError):
        row.age  # noqa: B018
    with pytest.raises(TypeError):
        row[1.5]
    with pytest.raises(AttributeError):
        row.id = 2


def test_row_equals_and_hashes_like_the_drivers_named_tuple() -> None:
    row: Any = Page(PEOPLE, 0, PERSON)[0]
    (other,) = named_tuple_factory(["id", "name"], [(1, "Ann")])
    assert row == other == (1, "Ann")
    assert hash(row) == hash(other)
    assert row < (2, "")
    assert row._asdict() == other._asdict()
    assert row._replace(name="Bob") == (1, "Bob")
    assert type(row._replace(name="Bob")) is type(row)
    assert type(row)(1, name="Ann") == row
    assert type(row)._make([1, "Ann"]) == row
    with pytest.raises(ValueError, match="age"):
        row._replace(age=1)
    with pytest.raises(TypeError):
        type(row)(1)
    with pytest.raises(TypeError):
        type(row)(1, id=1)
    with pytest.raises(TypeError):
        type(row)._make([1])


def test_row_has_all_of_its_items() -> None:
    row: Any = Page(PEOPLE, 0, PERSON)[0]
    for values in ((), (1,), (1, "Ann", 2)):
        with pytest.raises(TypeError):
            tuple.__new__(type(row), values)
        with pytest.raises(TypeError):
            type(row)._make(values)


def test_row_fields_cannot_be_set() -> None:
    row: Any = Page(PEOPLE, 0, PERSON)[0]
    with pytest.raises(AttributeError):
        row.name = "Bob"
    with pytest.raises(AttributeError):
        del row.name
    assert row.name == "Ann"


def test_row_fields_live_as_long_as_a_row() -> None:
    uncached: Any = row_type
    row = uncached.__wrapped__(("id", "name"))._make([1, "Ann"])
    gc.collect()
    assert (row.id, row.name) == (1, "Ann")
    assert type(row).name.__doc__ == "Column 'name'"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_row_pickles_and_copies(protocol: int) -> None:
    row: Any = Page(PEOPLE, 0, PERSON)[0]
    for twin in (pickle.loads(pickle.dumps(row, protocol)), copy.copy(row), copy.deepcopy(row)):
        assert twin == row
        assert type(twin) is type(row)
        assert twin["name"] == "Ann"


def test_row_with_cyclic_values_is_collected() -> None:
    class Node:
        row: Any

    kind = row_type(("a",))
    node = Node()
    node.row = kind(node)
    gone = weakref.ref(node)
    del node
    gc.collect()
    assert gone() is None


NAMES = [
    ("id", "name"),
    ("count",),
    ("system.count(*)", "writetime(a)"),
    ("a b", "a_b"),
    ("class", "x"),
    ("x", "x", "x"),
    ("1st", "_private", "", "ünï", "[json]", "__"),
    ("a", "a_", "a"),
    ("index", "count", "keys"),
    ("def", "def"),
]


@pytest.mark.parametrize("names", NAMES)
def test_field_names_equal_the_drivers(names: tuple[str, ...]) -> None:
    (other,) = named_tuple_factory(list(names), [tuple(range(len(names)))])
    assert field_names(names) == other._fields


@given(st.lists(st.text(alphabet="aAß1_ *()-fieldx", max_size=6), min_size=1, max_size=5))
def test_field_names_equal_the_drivers_for_any_text(names: list[str]) -> None:
    (other,) = named_tuple_factory(names, [tuple(range(len(names)))])
    assert field_names(tuple(names)) == other._fields


def test_column_names_find_columns_whose_attributes_are_renamed() -> None:
    row: Any = row_type(("count(*)", "class", "x", "x"))(1, 2, 3, 4)
    assert row._fields == ("count", "field_1_", "x", "x_")
    assert (row["count(*)"], row["class"], row["x"]) == (1, 2, 3)
    assert (row.count, row["field_1_"], row.x_) == (1, 2, 4)


# Metadata


def string(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()


INT = CqlType(TypeCode.INT, "int")
TEXT = CqlType(TypeCode.TEXT, "text")


def test_metadata_of_one_table() -> None:
    data = struct.pack(">ii", 1, 2) + string("ks") + string("t")
    data += string("a") + b"\x00\x09" + string("b") + b"\x00\x20\x00\x0a"
    metadata, size = decode_metadata(data + b"rest")
    assert size == len(data)
    assert metadata.columns == (
        Column("ks", "t", "a", INT),
        Column("ks", "t", "b", CqlType(TypeCode.LIST, "list", (TEXT,))),
    )
    assert metadata.paging_state is None
    assert not metadata.has_more_pages
    assert metadata.new_metadata_id is None
    assert metadata.partition_key_indexes is None


def test_metadata_with_every_flag() -> None:
    data = struct.pack(">ii", 2 | 8, 1) + struct.pack(">i", 3) + b"abc" + string("id")
    data += string("ks") + string("t") + string("a") + b"\x00\x09"
    metadata, size = decode_metadata(data)
    assert size == len(data)
    assert metadata.has_more_pages
    assert metadata.paging_state == b"abc"
    assert metadata.new_metadata_id == b"id"
    assert metadata.columns == (Column("ks", "t", "a", INT),)


def test_metadata_without_columns_has_their_number() -> None:
    metadata, size = decode_metadata(struct.pack(">ii", 4, 7))
    assert (metadata.columns, metadata.column_count, size) == (None, 7, 8)


def test_metadata_of_parameters_has_the_partition_key() -> None:
    data = struct.pack(">iiiHH", 1, 2, 2, 1, 0) + string("ks") + string("t")
    data += string("a") + b"\x00\x09" + string("b") + b"\x00\x0a"
    metadata, size = decode_metadata(data, prepared=True)
    assert size == len(data)
    assert metadata.partition_key_indexes == (1, 0)
    assert [column.name for column in metadata.columns or ()] == ["a", "b"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        struct.pack(">ii", 0, -1),
        struct.pack(">ii", 4, -1),
        struct.pack(">ii", 0, 0x7FFFFFFF),
        struct.pack(">ii", 1, 1) + string("ks"),
        struct.pack(">ii", 2, 1) + struct.pack(">i", 1000),
    ],
)
def test_metadata_cut_short_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        decode_metadata(data)


@pytest.mark.parametrize("keys", [-1, 0x7FFFFFFF, 3])
def test_metadata_with_a_wrong_partition_key_is_a_protocol_error(keys: int) -> None:
    data = struct.pack(">iiiHH", 1, 2, keys, 1, 0)
    with pytest.raises(ProtocolError):
        decode_metadata(data, prepared=True)


def test_column_is_a_value() -> None:
    (column,) = columns(a="Int32Type")
    assert column == Column("ks", "t", "a", INT)
    assert hash(column) == hash(Column("ks", "t", "a", INT))
    assert column != Column("ks", "t", "b", INT)
    assert pickle.loads(pickle.dumps(column)) == column
    assert PERSON.column_names == ("id", "name")
    assert PERSON.column_types == (INT, TEXT)


def test_plan_needs_columns_and_a_known_row_type() -> None:
    with pytest.raises(ValueError, match="at least one"):
        RowPlan([], REGISTRY)
    with pytest.raises(ValueError, match="row_type"):
        plan("dict", id="Int32Type")  # type: ignore[arg-type]
