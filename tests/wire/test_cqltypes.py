"""CQL types: read from metadata and from class names, written as CQL."""

import contextlib
import pickle
import struct

import pytest
from cassandra import cqltypes
from hypothesis import given
from hypothesis import strategies as st

from async_cassandra._driver.types import PYTHON_TYPES, driver_type
from async_cassandra._wire.codecs import CodecRegistry, value_classes
from async_cassandra._wire.cqltypes import CqlType, TypeCode, parse_class_name
from async_cassandra._wire.errors import ProtocolError
from async_cassandra._wire.rows import decode_metadata

MARSHAL = "org.apache.cassandra.db.marshal."


def string(text: str) -> bytes:
    return struct.pack(">H", len(text.encode())) + text.encode()


def read_option(option: bytes) -> CqlType:
    data = struct.pack(">ii", 1, 1) + string("ks") + string("t") + string("c") + option
    metadata, size = decode_metadata(data)
    assert size == len(data)
    assert metadata.columns is not None
    return metadata.columns[0].type


def option(code: int, *parts: bytes) -> bytes:
    return struct.pack(">H", code) + b"".join(parts)


INT = option(0x09)
TEXT = option(0x0A)
UDT = option(
    0x30, string("ks"), string("addr"), option(2), string("street"), TEXT, string("zip"), INT
)


@pytest.mark.parametrize("code", range(1, 0x16))
def test_scalar_options_have_the_drivers_class(code: int) -> None:
    from cassandra.protocol import ResultMessage

    cql_type = read_option(option(code))
    assert driver_type(cql_type) is ResultMessage.type_codes[code]
    assert str(cql_type) == ResultMessage.type_codes[code].typename
    assert cql_type is read_option(option(code))


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (option(0x20, INT), "list<int>"),
        (option(0x22, option(0x20, TEXT)), "set<list<text>>"),
        (option(0x21, TEXT, INT), "map<text, int>"),
        (option(0x31, option(3), INT, TEXT, INT), "tuple<int, text, int>"),
        (UDT, "addr"),
        (option(0x20, UDT), "list<addr>"),
        (option(0, string(f"{MARSHAL}VectorType({MARSHAL}FloatType , 3)")), "vector<float, 3>"),
        (option(0, string(f"{MARSHAL}DurationType")), "duration"),
        (option(0, string("com.example.Colour")), "'com.example.Colour'"),
    ],
)
def test_options_are_read_and_written_as_cql(data: bytes, text: str) -> None:
    cql_type = read_option(data)
    assert str(cql_type) == text
    assert cql_type == read_option(data)
    assert hash(cql_type) == hash(read_option(data))
    assert pickle.loads(pickle.dumps(cql_type)) == cql_type
    driver_type(cql_type)


def test_user_type_has_its_fields() -> None:
    cql_type = read_option(UDT)
    assert (cql_type.keyspace, cql_type.name) == ("ks", "addr")
    assert cql_type.field_names == ("street", "zip")
    assert [str(subtype) for subtype in cql_type.subtypes] == ["text", "int"]


@pytest.mark.parametrize(
    ("class_name", "text"),
    [
        ("Int32Type", "int"),
        (MARSHAL + "UTF8Type", "text"),
        ("DateType", "timestamp"),
        ("ReversedType(TimestampType)", "timestamp"),
        ("FrozenType(ListType(Int32Type))", "list<int>"),
        ("MapType(UTF8Type,SetType(UUIDType))", "map<text, set<uuid>>"),
        (
            f"{MARSHAL}VectorType({MARSHAL}VectorType(FloatType , 2) , 3)",
            "vector<vector<float, 2>, 3>",
        ),
        ("CompositeType(Int32Type,UTF8Type)", "'CompositeType(Int32Type,UTF8Type)'"),
        (
            "DynamicCompositeType(a=>AsciiType,b=>LongType)",
            "'DynamicCompositeType(a=>AsciiType,b=>LongType)'",
        ),
        ("TupleType()", "tuple"),
        ("com.example.Colour", "'com.example.Colour'"),
    ],
)
def test_class_names_are_read(class_name: str, text: str) -> None:
    assert str(parse_class_name(class_name)) == text


@pytest.mark.parametrize(
    ("class_name", "size"),
    [
        ("Int32Type", 4),
        ("UUIDType", 16),
        ("UTF8Type", -1),
        ("ShortType", -1),
        ("SimpleDateType", -1),
        ("VectorType(FloatType,3)", 12),
        ("VectorType(VectorType(BooleanType,2),3)", 6),
        ("VectorType(UTF8Type,3)", -1),
    ],
)
def test_fixed_size_equals_the_drivers(class_name: str, size: int) -> None:
    cql_type = parse_class_name(class_name)
    assert cql_type.fixed_size == size
    assert (driver_type(cql_type).serial_size() or -1) == size


def test_user_type_class_names_are_hexadecimal() -> None:
    name = f"UserType(ks,{'größe'.encode().hex()},{b'a'.hex()}:Int32Type)"
    cql_type = parse_class_name(name)
    assert (cql_type.keyspace, cql_type.name, cql_type.field_names) == ("ks", "größe", ("a",))


def test_user_type_class_names_that_are_not_utf8_are_latin1() -> None:
    cql_type = parse_class_name("UserType(ks,6772f6df65,ff:Int32Type)")
    assert (cql_type.name, cql_type.field_names) == ("größe", ("ÿ",))


MALFORMED_CLASS_NAMES = pytest.mark.parametrize(
    "class_name",
    [
        "",
        "(",
        "ListType(",
        "ListType(Int32Type",
        "ListType(Int32Type))",
        "ListType(Int32Type Int32Type)",
        "MapType(,)",
        "VectorType(FloatType)",
        "VectorType(FloatType, -1)",
        "VectorType(FloatType, x)",
        "VectorType(FloatType, 99999999999)",
        "VectorType(UUIDType, 2147483647)",
        "UserType(ks)",
        "UserType(ks,zz)",
        "UserType(ks,61,61)",
        "Int32Type, Int32Type",
        "ListType(" * 100 + "Int32Type" + ")" * 100,
    ],
)


@MALFORMED_CLASS_NAMES
def test_malformed_class_name_is_a_protocol_error(class_name: str) -> None:
    with pytest.raises(ProtocolError):
        parse_class_name(class_name)


@MALFORMED_CLASS_NAMES
def test_type_of_malformed_class_name_is_a_custom_one(class_name: str) -> None:
    cql_type = read_option(option(0, string(class_name)))
    assert (cql_type.code, cql_type.name) == (TypeCode.CUSTOM, class_name)


@pytest.mark.parametrize(
    "data",
    [
        option(0x7F),
        option(0x20),
        option(0x31, b"\xff\xff", INT),
        option(0x30, string("ks"), string("addr"), b"\xff\xff"),
        option(0x20) * 4000 + INT,
        option(0x21) * 4000,
    ],
)
def test_malformed_option_is_a_protocol_error(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_option(data)


@given(st.binary(max_size=60))
def test_arbitrary_metadata_reads_or_is_a_protocol_error(data: bytes) -> None:
    for prepared in (False, True):
        with contextlib.suppress(ProtocolError):
            decode_metadata(data, prepared=prepared)


@given(st.text(alphabet="ListTypeUserVcof(),: =>0123456789ab", max_size=40))
def test_arbitrary_class_name_reads_or_is_a_protocol_error(text: str) -> None:
    with contextlib.suppress(ProtocolError):
        parse_class_name(text)


def test_types_compare_by_what_they_are() -> None:
    int_type = CqlType(TypeCode.INT, "int")
    assert int_type == parse_class_name("Int32Type")
    assert CqlType(TypeCode.LIST, "list", (int_type,)) == parse_class_name("ListType(Int32Type)")
    assert parse_class_name("ListType(Int32Type)") != parse_class_name("SetType(Int32Type)")
    assert parse_class_name("VectorType(Int32Type,2)") != parse_class_name(
        "VectorType(Int32Type,3)"
    )
    assert int_type != "int"
    assert repr(int_type) == "<CqlType int>"


def test_driver_type_of_a_user_type_is_the_drivers_own() -> None:
    cql_type = read_option(UDT)
    expected = cqltypes.UserType.make_udt_class(
        "ks", "addr", ("street", "zip"), (cqltypes.UTF8Type, cqltypes.Int32Type)
    )
    assert driver_type(cql_type) is expected


@pytest.mark.parametrize("name", ["Foo(3)", "Foo(a:b=>c,3)", ""])
def test_class_name_that_the_driver_cannot_read_is_of_opaque_bytes(name: str) -> None:
    found = driver_type(CqlType(TypeCode.CUSTOM, name=name))
    assert found.cass_parameterized_type() == name
    assert found.deserialize(b"\1\2", 5) == b"\1\2"


@pytest.mark.parametrize("name", ["9", "-1", "", "()", "9(9)", "a:b", "\0"])
def test_custom_type_of_any_name_has_a_class_of_the_drivers(name: str) -> None:
    custom = CqlType(TypeCode.CUSTOM, name)
    for kind in (
        custom,
        CqlType(TypeCode.LIST, "list", (custom,)),
        CqlType(TypeCode.MAP, "map", (CqlType(TypeCode.SET, "set", (custom,)), custom)),
    ):
        assert isinstance(driver_type(kind), type)
        CodecRegistry(PYTHON_TYPES).codec(kind)


# Codes of types that have parts, or are known by the name of their class only.
NESTED = {TypeCode.LIST, TypeCode.SET, TypeCode.MAP, TypeCode.TUPLE, TypeCode.UDT}
NAMED = {TypeCode.CUSTOM, TypeCode.VECTOR, TypeCode.COMPOSITE}


@pytest.mark.parametrize("code", sorted(set(TypeCode) - NESTED - NAMED))
def test_code_of_a_scalar_has_a_name_a_codec_and_a_class(code: TypeCode) -> None:
    registry = CodecRegistry(PYTHON_TYPES)
    cql_type = read_option(option(code))
    assert (cql_type.code, cql_type.name) == (code, code.name.lower())
    custom = registry.codec(CqlType(TypeCode.CUSTOM, "no.such.Class"))
    assert type(registry.codec(cql_type)) is not type(custom)
    assert (code in value_classes()) is not (code in PYTHON_TYPES.classes)


def test_custom_type_needs_no_codec_of_its_arguments() -> None:
    unreadable = CqlType(TypeCode.UDT, "u\0", (), "ks")
    custom = CqlType(TypeCode.CUSTOM, "no.such.Class", (unreadable,))
    assert CodecRegistry(PYTHON_TYPES).codec(custom).decode(b"ab") == b"ab"
