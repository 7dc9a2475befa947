"""The inputs that the search begins with: every kind of response, of type and of value, all valid."""

import random
import struct
import uuid
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from tests.support.cql_values import CqlTypeName, UserType, encode_value, write_type
from tests.support.native_protocol import (
    Compression,
    Opcode,
    Writer,
    encode_envelope,
    encode_segment,
    split_payload,
)
from tests.support.peer_replies import (
    ErrorCode,
    Extras,
    error_body,
    extras_prefix,
    prepared_body,
    rows_body,
    schema_change_event_body,
    schema_change_fields,
)

__all__ = ["RECORDED", "corpus"]

# What tests/fuzz/record.py wrote.
RECORDED = Path(__file__).with_name("recorded.txt")

_UUID = uuid.UUID("8f7e3d1c-0b5a-11ef-9262-0242ac120002")
_DURATION = bytes.fromhex("02 04 06")
_DECIMAL = bytes.fromhex("00000002 04d2")
_POINT = UserType("ks", "point", (("id", "int"), ("a", "text")))
_ADDRESS = UserType("ks", "address", (("street", "text"), ("class", "frozen<list<inet>>")))

VALUES: tuple[tuple[CqlTypeName, Any], ...] = (
    ("ascii", "abc"),
    ("bigint", -(2**62)),
    ("blob", b"\x00\xff"),
    ("boolean", True),
    ("counter", 7),
    ("decimal", _DECIMAL),
    ("decimal", bytes.fromhex("7fffffff") + b"\x7f" * 12),
    ("double", -1.5),
    ("float", 0.25),
    ("int", 7),
    ("timestamp", 1_700_000_000_123),
    ("timestamp", 2**62),
    ("timestamp", -62_135_596_800_001),
    ("uuid", _UUID),
    ("text", "Grüße, 世界"),
    ("varint", 2**70),
    ("varint", -1),
    ("timeuuid", _UUID),
    ("inet", "127.0.0.1"),
    ("inet", "2001:db8::1"),
    ("date", 2**31 + 19_000),
    ("time", 86_399_999_999_999),
    ("time", 86_400_000_000_000),
    ("smallint", -2),
    ("tinyint", -3),
    ("duration", _DURATION),
    ("duration", b"\xff" + b"\xff" * 8 + b"\xfe" + b"\xff" * 7 + b"\x01"),
    ("list<int>", [1, 2, 3]),
    ("set<text>", ["b", "a"]),
    ("set<int>", [1, 1]),
    ("set<frozen<list<int>>>", [[2], [1, None]]),
    ("set<frozen<map<int, text>>>", [{1: "a"}, {}]),
    ("map<text, frozen<list<int>>>", {"a": [1], "b": []}),
    ("map<frozen<set<int>>, double>", {(1, 2): 0.5}),
    ("list<frozen<map<int, frozen<tuple<int, text>>>>>", [{1: (1, "x")}]),
    ("tuple<int, text, blob>", (1, None)),
    ("vector<float, 3>", (1.0, 2.0, 3.0)),
    ("vector<double, 2>", (1.0, 2.0)),
    ("vector<int, 4>", (1, 2, 3, 4)),
    (_POINT, (1, "x")),
    (_ADDRESS, ("road", ["10.0.0.1"])),
    ("org.apache.cassandra.db.marshal.CompositeType(Int32Type,UTF8Type)", b"\0\1a\0"),
    ("com.example.Custom", b"anything"),
)

# Class names in the forms that Cassandra writes, with bytes of a value.
CLASS_NAMES: Mapping[str, bytes] = {
    "org.apache.cassandra.db.marshal.VectorType(org.apache.cassandra.db.marshal.UTF8Type , 2)": b"\1a\2bc",
    "VectorType(VectorType(Int32Type,2),2)": bytes(range(16)),
    "VectorType(VarintType(), 1)": b"\3abc",
    "VectorType(UUIDType,1)": bytes(16),
    "FrozenType(MapType(UTF8Type,SetType(Int32Type)))": bytes.fromhex(
        "00000001 00000001 61 0000000c 00000001 00000004 00000005"
    ),
    "UserType(ks,706f696e74,6964:Int32Type,61:UTF8Type)": bytes.fromhex(
        "00000004 00000009 ffffffff"
    ),
    "CompositeType(Int32Type,UTF8Type)": bytes.fromhex("0004 00000001 00 0001 61 00"),
    "ReversedType(TimestampType)": bytes(8),
    "TupleType(Int32Type,TupleType())": bytes.fromhex("00000004 00000001 00000000"),
    "DynamicCompositeType(a=>BytesType,b=>LongType)": b"abc",
    "SetType(UserType(ks,75,6964:Int32Type))": bytes.fromhex("00000001 00000008 00000004 00000001"),
    "ListType(Custom(x.Y))": bytes.fromhex("00000001 00000001 61"),
    "EmptyType": b"",
    "VectorType(DoubleType, 2147483647)": b"",
    "VectorType(UTF8Type, 5)": b"\0",
    "VectorType(Int32Type, 99999999999)": b"",
    "VectorType(VectorType(VectorType(LongType,65536),65536),65536)": b"",
    "ListType(" * 70: b"",
    "UserType(ks,zz)": b"",
    "UserType(ks,61,62=Int32Type)": b"",
    "TupleType(Int32Type": b"",
}


def option(kind: CqlTypeName) -> bytes:
    out = Writer()
    write_type(out, kind)
    return out.getvalue()


def bodies(version: int) -> Iterator[tuple[int, bytes]]:
    """A body of every kind of response, with its opcode."""
    schema = (("KEYSPACE", "", ()), ("TABLE", "t", ()), ("FUNCTION", "f", ("int", "text")))
    all_types = [(f"c{at}", kind) for at, (kind, _) in enumerate(VALUES)]
    yield (
        Opcode.RESULT,
        bytes.fromhex("00000002 00000001 00000001 00026b73 000174 000176") + b"\0\x20" * 80,
    )
    unusual = UserType("ks", "a\0b", (("x", "int"), ("x", "int")))
    few = [("k", "int"), ("v", "text"), ("m", "map<text, int>")]
    yield Opcode.READY, b""
    yield Opcode.AUTHENTICATE, Writer().write_string("org.apache.PasswordAuthenticator").getvalue()
    supported = {"CQL_VERSION": ["3.4.7"], "COMPRESSION": ["snappy", "lz4"]}
    yield Opcode.SUPPORTED, Writer().write_string_multimap(supported).getvalue()
    yield Opcode.AUTH_CHALLENGE, Writer().write_bytes(b"token").getvalue()
    yield Opcode.AUTH_SUCCESS, Writer().write_bytes(None).getvalue()
    yield Opcode.EVENT, schema_change_event_body("CREATED", "TABLE", "ks", "t")
    yield (
        Opcode.EVENT,
        Writer()
        .write_string("STATUS_CHANGE")
        .write_string("UP")
        .write_inet("127.0.0.1", 9042)
        .getvalue(),
    )
    yield Opcode.RESULT, bytes.fromhex("00000001")
    yield Opcode.RESULT, bytes.fromhex("00000003 0002 6b73")
    for target, name, arguments in schema:
        fields = schema_change_fields("UPDATED", target, "ks", name, arguments).getvalue()
        yield Opcode.RESULT, bytes.fromhex("00000005") + fields
    yield Opcode.RESULT, prepared_body(version, b"id", few, few, pk_indexes=[1, 0])
    yield Opcode.RESULT, prepared_body(version, b"id", all_types, None)
    yield Opcode.RESULT, rows_body(few, [(1, "a", {"x": 1}), (2, None, None)], paging_state=b"p")
    yield Opcode.RESULT, rows_body(few, [(1, "a", {})], new_metadata_id=b"m", table=None)
    yield Opcode.RESULT, rows_body(few, [(1, "a", {"x": 1})] * 3, metadata=False)
    yield (
        Opcode.RESULT,
        rows_body([("count(*)", "bigint"), ("class", "int"), ("class", "int")], [(1, 2, 3)]),
    )
    yield (
        Opcode.RESULT,
        rows_body(all_types, [[value for _, value in VALUES], [None] * len(VALUES)]),
    )
    for kind, value in (*VALUES, (unusual, (1, 2))):
        yield Opcode.RESULT, rows_body([("v", kind)], [[value], [b""], [None]])
    yield from errors(version)


def errors(version: int) -> Iterator[tuple[int, bytes]]:
    for code in ErrorCode:
        yield Opcode.ERROR, error_body(version, code, "why", {"prepared_id": b"id"})
    cas = {"write_type": "CAS", "contentions": 3}
    yield Opcode.ERROR, error_body(version, ErrorCode.WRITE_TIMEOUT, "why", cas)
    failures = {"failures": {"127.0.0.1": 1, "::1": 2}}
    yield Opcode.ERROR, error_body(version, ErrorCode.READ_FAILURE, "why", failures)


def responses() -> Iterator[bytes]:
    """For the target of the same name: mode, flags, opcode, body."""
    for version, mode in ((5, 0), (4, 1)):
        for at, (opcode, body) in enumerate(bodies(version)):
            yield bytes((mode | (at % 4) << 1, 0, opcode)) + body
    extras: Extras = {
        "warnings": ["careful", ""],
        "custom_payload": {"a": b"1", "b": None},
        "tracing_id": _UUID,
    }
    flags, prefix = extras_prefix(extras)
    yield bytes((0, flags, Opcode.RESULT)) + prefix + bytes.fromhex("00000001")
    for version, sent, opcode, body in recorded():
        yield bytes((version == 4, sent, opcode)) + body
    without = rows_body(
        [("id", "int"), ("a", "text"), ("b", "int")], [(1, "x", b"\0\0\0\0")], metadata=False
    )
    yield bytes((0x18, 0, Opcode.RESULT)) + without
    yield bytes((0x08, 0, Opcode.RESULT)) + rows_body([("id", "int")], [(1,)] * 5, metadata=False)


def recorded() -> Iterator[tuple[int, int, int, bytes]]:
    """Protocol version, flags, opcode and body of what was recorded."""
    for line in RECORDED.read_text().splitlines():
        version, flags, opcode, body = line.split(" ")
        yield int(version), int(flags, 16), int(opcode, 16), bytes.fromhex(body)


def streams() -> Iterator[bytes]:
    """For the target of the same name: mode, seed of the cuts, bytes."""
    envelopes = {
        version: [
            encode_envelope(version, opcode, at, body)
            for at, (opcode, body) in enumerate(bodies(version))
            if len(body) < 120
        ][::3]
        for version in (4, 5)
    }
    plain = encode_envelope(4, Opcode.RESULT, 1, b"\0\0\0\1")
    lz4 = encode_envelope(4, Opcode.RESULT, 1, b"\0\0\0\1" * 9, compression=Compression.LZ4)
    for mode in (4, 36, 68):
        yield bytes((mode, 1)) + plain + lz4
        yield bytes((mode, 1, 0x84, 1, 0, 1, 8, 0, 0, 0, 2, 0, 0))
        yield bytes((mode, 1, 0x84, 1, 0, 1, 8, 0, 0, 0, 5, 0x7F, 0xFF, 0xFF, 0xFF, 0))
    packed = [
        encode_envelope(
            4, Opcode.RESULT, 1, b"\0\0\0\3\0\4" + b"k" * 90, compression=Compression.LZ4
        )
    ]
    yield bytes((4, 1)) + b"".join(envelopes[4][:4] + packed)
    yield bytes((4, 2)) + encode_envelope(
        3, Opcode.ERROR, 0, error_body(4, ErrorCode.PROTOCOL, "why", {})
    )
    yield bytes((0, 3)) + b"".join(envelopes[5][:4])
    yield bytes((16, 3)) + encode_envelope(5, Opcode.RESULT, 0, bytes(501))
    for mode, compression in ((1, Compression.NONE), (2, Compression.LZ4)):
        for part in (envelopes[5][:5], envelopes[5][5:10]):
            whole = encode_segment(b"".join(part), self_contained=True, compression=compression)
            split = b"".join(
                encode_segment(piece, self_contained=False, compression=compression)
                for piece in split_payload(part[0] + bytes(0), 7)
            )
            for repair in (0, 8):
                yield bytes((mode | repair, 5)) + whole + split
                yield bytes((mode | repair | 16, 6)) + split + split


def values() -> Iterator[bytes]:
    """For the target of the same name: type's length, type, form of the type, value."""
    for kind, value in VALUES:
        described = option(kind)
        encoded = encode_value(kind, value) or b""
        yield struct.pack(">H", len(described)) + described + b"\0" + encoded
    for name, encoded in CLASS_NAMES.items():
        yield struct.pack(">H", len(name)) + name.encode() + b"\1" + encoded


def parameters() -> Iterator[bytes]:
    """For the target of the same name: key, type's length, type, form, bytes that choose values."""
    for key, (kind, _) in enumerate(VALUES):
        described = option(kind)
        for choice in range(16):
            program = bytes((1 + key % 3, choice, 3, 1, 2, 3, choice + 1, 5, 0, 1, 0, 2, 9, 4))
            yield bytes((key,)) + struct.pack(">H", len(described)) + described + b"\0" + program
    for key, name in enumerate(CLASS_NAMES):
        head = bytes((key,)) + struct.pack(">H", len(name)) + name.encode() + b"\1"
        yield head + bytes((1, 12, 2, 0, 1, 7, 0, 1, 5, 1, 0))


def chosen_values() -> Iterator[bytes]:
    """Parameters of the kinds that only one type takes, each of their forms."""
    fitting: tuple[tuple[str, int, int], ...] = (
        ("timestamp", 7, 22), ("date", 7, 22), ("time", 7, 22), ("date", 4, 14), ("time", 4, 14),
        ("inet", 4, 14), ("decimal", 4, 14), ("inet", 10, 12), ("uuid", 10, 12), ("duration", 8, 40),
        ("varint", 1, 10), ("blob", 5, 12), ("ascii", 3, 12),
    )  # fmt: skip
    for kind, choice, forms in fitting:
        described = struct.pack(">H", len(option(kind))) + option(kind) + b"\0"
        for form in range(forms):
            rest = (
                bytes((form, form // 2)) * 12
                if choice in (4, 7, 10)
                else bytes(19) + bytes((form,) * 3)
            )
            yield b"\0" + described + bytes((1, choice)) + rest
    for vector, code, size in (("float", 10, 4), ("double", 11, 8), ("int", 4, 4), ("int", 6, 8)):
        described = struct.pack(">H", len(option(f"vector<{vector}, 2>"))) + option(
            f"vector<{vector}, 2>"
        )
        for form in range(4):
            for count in (2, 3):
                array = bytes((1, 6, code, size * count)) + bytes(size * count) + bytes((form,))
                yield b"\0" + described + b"\0" + array


def parts() -> Iterator[bytes]:
    """For the target of the same name: types, classes, forms, positions, rows."""
    rows = bytes.fromhex("00000003" + "00000004 00000007" * 3)
    for form in range(6):
        yield bytes((0, form + 2, form, form, form, form, form, 0, 1, 0, 2, 0, 1, 0)) + rows
        yield bytes((2, 0, form, 0, form, form, form, 0xFF, 0xFE, 0, 9, 0xFF, 0xFF, form)) + rows


def requests() -> Iterator[bytes]:
    """For the target of the same name: mode, then bytes that choose messages."""
    for mode in range(4):
        for kind in range(9):
            chosen = bytes((2, 1, 97, 1, 98, 1, 99, 2, 98, 98, 0, kind, 0x2F, 3, 49, 50, 51))
            yield bytes((mode,)) + chosen + bytes((1, 2, 3, 1, 1, 1, 1, 0x3F, 3, 3, 3, kind, 1)) * 3
    for kind in (1, 4, 6, 7, 8):
        yield bytes((0, 0, 0, kind, 255)) + bytes(b"x" * 255) + bytes((255,)) + bytes(b"y" * 255)
    for kind in (2, 4, 8):
        yield bytes((0, 0, 253, kind, 255, 1, 1, 1))
    yield bytes((0, 0, 0, 8, 0, 1, 0, 1, 97, 1, 1, 98, 254, 0, 0))


def objects() -> Iterator[bytes]:
    """What is drawn from any bytes is a value of any type, with traps."""
    rng = random.Random(7)
    for number in range(60):
        yield rng.randbytes(60 + 3 * number)


def corpus() -> dict[str, list[bytes]]:
    """The first inputs of each target, without repetitions."""
    made = {
        "streams": streams(),
        "responses": responses(),
        "values": values(),
        "parameters": chain(parameters(), chosen_values(), values()),
        "encrypted": chain(parameters(), chosen_values(), values()),
        "requests": requests(),
        "parts": parts(),
        "objects": objects(),
    }
    return {name: list(dict.fromkeys(inputs)) for name, inputs in made.items()}
