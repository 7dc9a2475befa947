"""What hostile bytes and hostile values did once: each is refused now, with its documented error."""

import datetime
import ipaddress
import tracemalloc
import uuid
from decimal import Decimal
from typing import Any

import pytest

from async_cassandra._driver.types import PYTHON_TYPES
from async_cassandra._wire.binding import BindPlan
from async_cassandra._wire.codecs import CodecRegistry
from async_cassandra._wire.cqltypes import parse_class_name
from async_cassandra._wire.errors import ParameterError, ParameterValueError
from async_cassandra._wire.requests import Batch, Execute, Register, Startup
from async_cassandra._wire.responses import RowPlans, decode
from async_cassandra._wire.row import field_names, row_type
from async_cassandra._wire.rows import Column
from tests.support.native_protocol import Opcode, Writer

REGISTRY = CodecRegistry(PYTHON_TYPES)


def bind(class_name: str, value: Any) -> bytes:
    columns = [Column("ks", "t", "v", parse_class_name(class_name))]
    return BindPlan(columns, REGISTRY, (0,)).bind([value]).payload


def decoded(body: bytes) -> Any:
    return decode(5, 0, Opcode.RESULT, body, None, RowPlans(CodecRegistry(PYTHON_TYPES)))


# Bytes


def test_user_type_that_no_python_class_can_be_named_after_is_read() -> None:
    body = bytes.fromhex("00000002 00000001 00000001 00026b73 000174 000176")
    body += bytes.fromhex("0030 00026b73 0003610062 0001 000178 0009") + bytes(4)
    assert decoded(body).page.plan.columns[0].type.name == "a\0b"


def test_many_columns_of_one_name_take_little_memory() -> None:
    count = 10_000
    body = bytes.fromhex("00000002 00000001") + count.to_bytes(4) + bytes.fromhex("00026b73 000174")
    body += bytes.fromhex("000176 0009") * count + bytes(4)
    tracemalloc.start()
    response = decoded(body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000 * count
    assert len(set(response.page.plan.row_type._fields)) == count


def test_names_of_columns_with_one_name() -> None:
    names = field_names(("v",) * 19)
    assert names[:3] == ("v", "v_", "v__")
    assert names[15:] == ("v" + "_" * 15, "field_16_", "field_17_", "field_18_")


@pytest.mark.parametrize("element", ["ListType(Int32Type)", "MapType(Int32Type,Int32Type)"])
def test_large_set_without_an_order_stays_in_the_servers(element: str) -> None:
    codec = REGISTRY.codec(parse_class_name(f"SetType({element})"))
    pairs = "MapType" in element
    count = 50_000
    out = Writer().write_int(count)
    for number in range(count, 0, -1):
        entry = Writer().write_int(1).write_bytes(number.to_bytes(4))
        if pairs:
            entry.write_bytes(bytes(4))
        out.write_bytes(entry.getvalue())
    items = list(codec.decode(out.getvalue()))
    first = next(iter(items[0].items()))[0] if pairs else items[0][0]
    assert (len(items), first) == (count, count)


def test_large_set_with_nulls_stays_in_the_servers_order() -> None:
    codec = REGISTRY.codec(parse_class_name("SetType(Int32Type)"))
    count = 50_000
    out = Writer().write_int(count + 1).write_bytes(None)
    for number in range(count):
        out.write_bytes(number.to_bytes(4))
    items = list(codec.decode(out.getvalue()))
    assert items == [None, *range(count)]


# Values


class OtherText(str):
    def encode(self, *_: Any, **__: Any) -> Any:
        return 7


class OtherNumber(int):
    def to_bytes(self, *_: Any, **__: Any) -> Any:
        return 7

    def bit_length(self) -> int:
        return 1


class OtherAddress(ipaddress.IPv4Address):
    @property
    def packed(self) -> Any:
        return 7


class OtherMoment(datetime.datetime):
    def utcoffset(self) -> Any:
        return 7


class OtherDecimal(Decimal):
    def as_tuple(self) -> Any:
        return 0, (10**18,) * 18, 0


class LyingLength(list[Any]):
    def __len__(self) -> int:
        return 3


class Unreadable(list[Any]):
    def __len__(self) -> int:
        raise LookupError("no length")


@pytest.mark.parametrize("class_name", ["AsciiType", "UTF8Type"])
def test_text_of_a_class_that_does_not_encode_is_refused(class_name: str) -> None:
    with pytest.raises(ParameterError, match=r"encode\(\) returned int, not bytes"):
        bind(class_name, OtherText("abc"))


def test_number_is_encoded_without_asking_its_class() -> None:
    assert bind("IntegerType", OtherNumber(2**64)) == bind("IntegerType", 2**64)


@pytest.mark.parametrize(
    ("class_name", "value"),
    [
        ("InetAddressType", OtherAddress("127.0.0.1")),
        ("TimestampType", OtherMoment(2000, 1, 1, tzinfo=datetime.UTC)),
        ("DecimalType", OtherDecimal(1)),
    ],
)
def test_values_that_their_class_makes_something_else_are_refused(
    class_name: str, value: Any
) -> None:
    with pytest.raises(ParameterError):
        bind(class_name, value)


def test_encoded_values_count_as_many_as_there_are() -> None:
    columns = [Column("ks", "t", name, parse_class_name("Int32Type")) for name in "abc"]
    bound = BindPlan(columns, REGISTRY, (2,)).bind_encoded(LyingLength([b"a"]))
    assert bound.encoded_values() == [b"a", *[PYTHON_TYPES.unset] * 2]
    assert bound.token is None


def test_parameters_that_cannot_be_read_are_a_parameter_error() -> None:
    plan = BindPlan([], REGISTRY)
    with pytest.raises(ParameterValueError, match="cannot be read: LookupError"):
        plan.bind(Unreadable())


def test_row_cannot_be_made_too_short() -> None:
    kind: Any = row_type(("a", "b"))
    with pytest.raises(TypeError):
        tuple.__new__(kind, (1,))


# Requests


def test_request_without_its_parts_is_refused() -> None:
    with pytest.raises(TypeError):
        Execute().encode(5)
    batch = Batch()
    batch.entries = [("q", None)]  # type: ignore[list-item]
    with pytest.raises(TypeError):
        batch.encode(5)


def test_counts_that_no_short_holds_are_refused() -> None:
    batch = Batch()
    batch.entries = [("q", b"\0\0")] * 65536
    for message in (batch, Register(["E"] * 65536), Startup({str(n): "" for n in range(65536)})):
        with pytest.raises(ValueError, match="65535"):
            message.encode(5)


def test_uuid_with_other_bytes_is_refused() -> None:
    class OtherUuid:
        bytes = uuid.UUID(int=1).bytes + b"\0"

    with pytest.raises(ParameterError, match="16 bytes"):
        bind("UUIDType", OtherUuid())
