"""What an input is given to, and what may come out: the documented errors and nothing else.

Each target takes any bytes at all and returns; what it raises is a finding.
"""

import copy
import pickle
import random
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import lz4.block

from async_cassandra._driver.types import PYTHON_TYPES
from async_cassandra._wire.binding import BindPlan, token_of
from async_cassandra._wire.codecs import Codec, CodecRegistry
from async_cassandra._wire.cqltypes import CqlType, parse_class_name
from async_cassandra._wire.errors import ColumnDecodeError, ParameterError, ProtocolError
from async_cassandra._wire.framing import EnvelopeList, FrameReader, Framing
from async_cassandra._wire.responses import Response, RowPlans, decode, decode_pushed
from async_cassandra._wire.rows import Column, Page, PageCursor, RowPlan, decode_metadata
from tests.fuzz.hostile_values import Interruption, Source, draw_value, draw_values
from tests.fuzz.object_target import objects
from tests.fuzz.request_target import requests
from tests.support.native_protocol import (
    Compression,
    Flag,
    crc24,
    encode_envelope,
    encode_segment,
    split_payload,
)

__all__ = ["DEFAULT_LIMITS", "LIMITS", "PLAN_TYPES", "TARGETS", "Limits", "Target"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What an input of ``n`` bytes may take: ``least + per_byte * n``.

    Memory is the highest sum of live allocations while the input is handled; work is counted in
    basic blocks of the compiled core, where the build counts them.
    """

    least_memory: int = 400_000
    memory_per_byte: int = 4_000
    least_work: int = 400_000
    work_per_byte: int = 6_000


Target = Callable[[bytes], None]

Envelope = tuple[int, int, int, bytes]

# Of the rows whose metadata the server left out.
PLAN_TYPES = (
    ("Int32Type",),
    ("Int32Type", "UTF8Type", "MapType(UTF8Type,Int32Type)"),
    ("UserType(ks,75,6964:Int32Type,61:UTF8Type)", "VectorType(UTF8Type , 2)"),
    ("SetType(FrozenType(ListType(Int32Type)))", "DecimalType", "DurationType"),
)


def compress(data: memoryview) -> bytes:
    block: bytes = lz4.block.compress(data, store_size=False)
    return block


def decompress(data: memoryview, size: int) -> bytes:
    plain: bytes = lz4.block.decompress(data, uncompressed_size=size)
    return plain


def short_of(data: memoryview, size: int) -> bytes:
    """A decompression that gives less than it should."""
    return decompress(data, size)[1:]


class Point:
    """A registered class of a user-defined type."""

    def __init__(self, id: Any = None, a: Any = None) -> None:
        self.id, self.a = id, a


VECTORS = ("list", "array", "memoryview")


def registry(vectors: str = "list") -> CodecRegistry:
    return CodecRegistry(replace(PYTHON_TYPES, vectors=vectors), {("ks", "point"): Point})


def columns_of(types: tuple[str, ...]) -> list[Column]:
    return [
        Column("ks", "t", name, parse_class_name(kind))
        for name, kind in zip(("id", "a", "b"), types, strict=False)
    ]


# Streams: bytes as they arrive, in pieces


def repaired(data: bytes, width: int) -> bytes:
    """The same segments with the right checksums, as far as their lengths make sense."""
    out = bytearray(data)
    at = 0
    while at + width + 3 <= len(out):
        header = bytes(out[at : at + width])
        out[at + width : at + width + 3] = crc24(header).to_bytes(3, "little")
        start = at + width + 3
        end = start + (int.from_bytes(header, "little") & 0x1FFFF)
        if end + 4 > len(out):
            break
        checksum = zlib.crc32(bytes(out[start:end]), zlib.crc32(bytes.fromhex("fa2d55ca")))
        out[end : end + 4] = checksum.to_bytes(4, "little")
        at = end + 4
    return bytes(out)


def read_pieces(reader: FrameReader, pieces: list[bytes]) -> tuple[list[Envelope], bool]:
    """The envelopes in the pieces, and whether they ended with a protocol error."""
    sink = EnvelopeList()
    pending = b""
    for piece in pieces:
        pending += piece
        try:
            used = reader.feed(pending, sink)
        except ProtocolError:
            return sink.envelopes, True
        assert 0 <= used <= len(pending)
        pending = pending[used:]
    return sink.envelopes, False


def streams(data: bytes) -> None:
    """Bytes of a connection: whole and in pieces they give the same envelopes, or the same error."""
    source = Source(data)
    mode, seed = source.byte(), source.byte()
    framing = (Framing.ENVELOPES, Framing.SEGMENTS, Framing.COMPRESSED_SEGMENTS)[(mode & 3) % 3]
    version = 4 if mode & 4 else 5
    limit = 500 if mode & 16 else 1 << 28
    codec = None if mode & 32 else decompress if not mode & 64 else short_of
    stream = source.rest()
    if mode & 8 and framing is not Framing.ENVELOPES:
        stream = repaired(stream, 3 if framing is Framing.SEGMENTS else 5)
    rng = random.Random(seed)
    cuts = sorted(rng.randrange(len(stream) + 1) for _ in range(rng.choice((1, 3, 9))))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    outcomes = []
    for parts in ([stream], pieces):
        reader = FrameReader(version, codec, limit)
        reader.framing = framing
        outcomes.append(read_pieces(reader, parts))
    assert outcomes[0] == outcomes[1]
    for flags, _, opcode, body in outcomes[0][0]:
        assert len(body) <= max(limit, 500)
        with suppress(ProtocolError):
            walk_response(decode(version, flags, opcode, body, None, RowPlans(registry())))


# Responses: bodies behind right checksums


def responses(data: bytes) -> None:
    """An envelope's body: read through a framing with right checksums, decoded, looked at whole."""
    source = Source(data)
    mode, flags, opcode = source.byte(), source.byte() & 0x0E, source.byte()
    version = 4 if mode & 1 else 5
    body = source.rest()
    plans = RowPlans(registry(VECTORS[(mode >> 6) % 3]))
    plan = RowPlan(columns_of(PLAN_TYPES[mode >> 4 & 3]), plans.registry) if mode & 8 else None
    received = through_framing(version, opcode, flags, body, compressed=bool(mode & 4))
    assert received == [(flags, 7, opcode, body)]
    as_tuples = bool(mode & 2)
    with suppress(ProtocolError):
        repr(decode_pushed(flags, opcode, body))
    try:
        response = decode(version, flags, opcode, body, plan, plans, as_tuples)
    except ProtocolError:
        return
    walk_response(response)
    if response.prepared is not None:
        bind_to_prepared(response, plans.registry)


def through_framing(
    version: int, opcode: int, flags: int, body: bytes, *, compressed: bool
) -> list[Envelope]:
    compression = Compression.LZ4 if compressed else Compression.NONE
    reader = FrameReader(version, decompress)
    sink = EnvelopeList()
    if version == 4:
        stream = encode_envelope(4, opcode, 7, body, Flag(flags), compression=compression)
    else:
        reader.framing = Framing.COMPRESSED_SEGMENTS if compressed else Framing.SEGMENTS
        envelope = encode_envelope(5, opcode, 7, body, Flag(flags))
        parts = list(split_payload(envelope))
        stream = b"".join(
            encode_segment(part, self_contained=len(parts) == 1, compression=compression)
            for part in parts
        )
    assert reader.feed(stream, sink) == len(stream)
    return sink.envelopes


def look(thing: object) -> None:
    """Read every attribute, and the ``repr``."""
    repr(thing)
    for name in dir(type(thing)):
        if not name.startswith("_"):
            getattr(thing, name)


def walk_response(response: Response) -> None:
    """Look at everything that a response has."""
    look(response)
    if response.error is not None:
        look(response.error)
    if response.prepared is not None:
        look(response.prepared)
    assert response.paging_state is None or response.metadata is not None
    if response.schema_change is not None:
        look(response.schema_change)
    prepared = response.prepared
    for metadata in (response.metadata, None if prepared is None else prepared.bind_metadata):
        if metadata is not None:
            look(metadata)
            assert metadata.has_more_pages in (True, False)
            assert metadata.columns is None or len(metadata.columns) == metadata.column_count
    if response.page is not None:
        walk_page(response.page)


def row_or_none(read: Callable[[], Any]) -> Any:
    """A row, or ``None`` where its value cannot be held; both errors are documented."""
    try:
        return read()
    except (ColumnDecodeError, ProtocolError) as error:
        pickle.loads(pickle.dumps(error))
        return None


def walk_page(page: Page) -> None:
    """Read every row in each of the ways there are; they agree on which rows can be read."""
    look(page)
    look(page.plan)
    by_index = [row_or_none(partial(page.__getitem__, at)) is not None for at in range(len(page))]
    cursor = iter(page)
    by_cursor = [row_or_none(cursor.__next__) is not None for _ in range(len(page))]
    assert next(cursor, None) is None
    assert by_index == by_cursor
    slices = iter(page)
    read = 0
    while slices.__length_hint__():
        rows = row_or_none(lambda: slices.decode_next(3))
        read += len(rows or ())
    assert read == sum(by_index)
    row_or_none(lambda: page.decode_slice(-1, 2))
    row_or_none(lambda: page[-1] if len(page) else None)
    row_or_none(lambda: page[::-2])
    with suppress(IndexError):
        page[len(page)]
    for at in range(min(len(page), 2)):
        row = row_or_none(partial(page.__getitem__, at))
        if row is not None:
            walk_row(page, row)


def walk_row(page: Page, row: Any) -> None:
    """A row's columns by position and name; a row sent back is what it was, or refused."""
    names = page.plan.column_names
    assert len(row) == len(names)
    if page.plan.row_type is not tuple:
        assert row[names[0]] is row[row.__class__._positions[names[0]]]
        assert row._asdict().keys() == set(row._fields)
        assert len(row._replace(**{row._fields[0]: 1})) == len(row)
        with suppress(ValueError):
            row._replace(no_such_field=1)
        repr(row)
        with suppress(KeyError, IndexError):
            row["no such column"], row[len(row)]
        assert type(row)(*row) == type(row)(**row._asdict()) == row
        kind, arguments = row.__reduce__()
        assert type(kind(*arguments)) is type(row)
    with suppress(ParameterError):
        BindPlan(page.plan.columns, registry()).bind(list(row))


def bind_to_prepared(response: Response, codecs: CodecRegistry) -> None:
    prepared = response.prepared
    assert prepared is not None
    columns = prepared.bind_metadata.columns
    if columns is None or len(columns) > 0xFFFF:
        return
    try:
        plan = BindPlan(columns, codecs, prepared.bind_metadata.partition_key_indexes)
    except ProtocolError:
        return
    look(plan)
    with suppress(ParameterError):
        bound = plan.bind([None] * len(columns))
        assert len(bound.encoded_values()) == len(columns)
    for column in columns:
        look(column)
        assert column != 1
        assert copy.copy(column) == column
        assert pickle.loads(pickle.dumps(column)) == column


# Values: a type, and bytes of it


def draw_type(source: Source) -> CqlType:
    """A type described as the protocol or as Cassandra's class names do."""
    described = source.sized(2)
    if source.byte() & 1:
        return parse_class_name(described.decode("utf-8", "replace"))
    one_column = bytes.fromhex("00000001 00000001 0002 6b73 0001 74 0001 76")
    metadata, used = decode_metadata(one_column + described)
    assert used <= len(one_column) + len(described)
    assert metadata.columns is not None
    return metadata.columns[0].type


def values(data: bytes) -> None:
    """A described type, then bytes as its value; what can be read can be written and read again."""
    source = Source(data)
    try:
        cql_type = draw_type(source)
    except ProtocolError:
        return
    walk_type(cql_type)
    body = source.rest()
    for vectors in VECTORS:
        try:
            codec = registry(vectors).codec(cql_type)
        except ProtocolError:
            return
        look(codec)
        walk_value(codec, body)


def walk_value(codec: Codec, body: bytes) -> None:
    try:
        value = codec.decode(body)
    except (ProtocolError, ValueError, OverflowError, TypeError):
        return
    if value is not None:
        # The driver's ordered maps look up their own keys, and may fail to.
        with suppress(TypeError, ValueError, OverflowError, LookupError):
            codec.decode(codec.encode(value))


def walk_type(cql_type: CqlType) -> None:
    str(cql_type)
    look(cql_type)
    again = pickle.loads(pickle.dumps(cql_type))
    assert again == cql_type
    assert hash(again) == hash(cql_type)
    assert cql_type != 1


# Parameters: a type, and Python values of any kind


def parameters(data: bytes) -> None:
    """Values of any kind for a described type: written, or refused as a parameter error."""
    source = Source(data)
    first = source.byte()
    key = (None, (0,), (0, 1), (1, 0))[first % 4]
    codecs = registry(VECTORS[(first >> 2) % 3])
    try:
        cql_type = draw_type(source)
        columns = [Column("ks", "t", name, cql_type) for name in ("id", "a", "b")]
        plan = BindPlan(columns, codecs, key)
        codec = codecs.codec(cql_type)
    except ProtocolError:
        return
    whole = source.byte()
    given: Any = draw_value(source) if whole % 8 == 0 else list(draw_values(source))[:4]
    bind(plan, codec, given)
    if whole % 4 == 1 and isinstance(given, list):
        bind(plan, codec, dict(zip(("id", "a", "b", "c"), given, strict=False)))


# Parameters and values of columns that the client encrypts


class Reversing:
    """An encryption of columns: all but ``b``, and ``bad``, of which it cannot say how."""

    def __init__(self, cql_type: CqlType) -> None:
        self.cql_type = cql_type

    def described(self, keyspace: str, table: str, name: str) -> str:
        return name

    def value_type(self, keyspace: str, table: str, name: str) -> CqlType | None:
        if name == "bad":
            raise ValueError("it cannot say how")
        return None if name in ("b", "in(a)") else self.cql_type

    def check_plain(
        self, keyspace: str, table: str, name: str, cql_type: CqlType, is_marker: bool
    ) -> None:
        if is_marker:
            raise ValueError("it may be one to encrypt")

    def encrypt(self, described: str, plain: bytes) -> bytes:
        return b"?" + plain[::-1]

    def decrypt(self, described: str, data: bytes) -> bytes:
        if data[:1] != b"?":
            raise ValueError("it is not encrypted")
        return data[:0:-1]


BLOB = parse_class_name("BytesType")


def encrypted(data: bytes) -> None:
    """Values of any kind for columns of blobs that hold an encrypted type, and any bytes as what came of them."""
    source = Source(data)
    first = source.byte()
    try:
        cql_type = draw_type(source)
        codecs = CodecRegistry(PYTHON_TYPES, None, Reversing(cql_type))
        columns = [
            Column("ks", "t", name, kind)
            for name, kind in (
                ("id", BLOB),
                ("in(a)", parse_class_name("ListType(BytesType)")),
                ("b", BLOB),
                ("bad", BLOB),
            )
        ][: 1 + first % 4]
        codec = codecs.column_codec("ks", "t", "id", BLOB)
        for is_named in (False, True):
            plan = BindPlan(columns, codecs, (0,) if first & 4 else None, is_named)
            # What Python cannot hold is written, and refused as another session's bytes: it cannot be looked at.
            with suppress(ParameterError):
                bind(plan, codec, list(draw_values(source))[: len(columns)])
        body = source.rest()
        for bytes_of_it in (body, b"?" + body):
            with suppress(ParameterError):
                plan.bind_encoded([bytes_of_it])
            walk_value(codec, bytes_of_it)
    except ProtocolError:
        return


def bind(plan: BindPlan, codec: Codec, given: Any) -> None:
    """Bind by value and as bytes; the encoded values are as many as the parameters."""
    try:
        bound = plan.bind(given)
    except ParameterError as error:
        pickle.loads(pickle.dumps(error))
        return
    except Interruption:
        return
    encoded = bound.encoded_values()
    assert len(encoded) == len(plan.columns)
    key = bound.routing_key
    assert bound.token == (None if key is None else token_of(key))
    viewed = [memoryview(value) if isinstance(value, bytes) else value for value in encoded]
    for again in (plan.bind_encoded(encoded), plan.bind_encoded(viewed)):
        assert (again.payload, again.token) == (bound.payload, bound.token)
    look(bound)
    for value in encoded:
        if isinstance(value, bytes):
            with suppress(ValueError, OverflowError, TypeError):
                codec.decode(value)


# The parts themselves, with arguments of any kind


def parts(data: bytes) -> None:
    """Plans, pages, cursors and registries with numbers that do not fit them: refused, or bounded."""
    source = Source(data)
    types = PLAN_TYPES[source.byte() % len(PLAN_TYPES)]
    columns = columns_of(types) * (1 + 22_000 * (source.byte() == 7))
    codecs = registry()
    codecs.register_user_type("ks", "u", (None, Point)[source.byte() & 1])
    with suppress(ValueError):
        BindPlan(columns, codecs, [source.byte() % 4])
    kind = ("row", "tuple", "other")[source.byte() % 3]
    try:
        plan = RowPlan(columns[: source.byte() % 4], codecs, kind)  # type: ignore[arg-type]
    except ValueError:
        return
    codecs.register_user_type("ks", "u", (Point, None)[source.byte() & 1])
    start, stop, step = (source.number(2, signed=True) for _ in range(3))
    offset = source.number(1, signed=True)
    at_once = bool(source.byte() & 1)
    try:
        page = Page(source.rest(), offset, plan, at_once)
    except (ValueError, ProtocolError):
        return
    walk_page(page)
    row_or_none(lambda: page.decode_slice(start, stop))
    row_or_none(lambda: page[start : stop : step or 1])
    with suppress(IndexError):
        row_or_none(lambda: page[start])
    cursor = PageCursor(page, start)
    assert cursor.__length_hint__() >= 0
    row_or_none(lambda: cursor.decode_next(stop))
    look(cursor)
    with suppress(RuntimeError):
        page.__init__(b"", 0, plan)


TARGETS: Mapping[str, Target] = {
    "streams": streams,
    "responses": responses,
    "values": values,
    "parameters": parameters,
    "requests": requests,
    "parts": parts,
    "objects": objects,
    "encrypted": encrypted,
}

DEFAULT_LIMITS = Limits()
# Bytes are given 300 times over, as lists and sets too, each item of which is a value to write.
# Requests are written at sizes around that of a segment, and lists of up to 65,535 strings, whatever the input's own.
LIMITS: Mapping[str, Limits] = dict.fromkeys(TARGETS, DEFAULT_LIMITS) | {
    "parameters": Limits(memory_per_byte=60_000, work_per_byte=300_000),
    "encrypted": Limits(memory_per_byte=60_000, work_per_byte=300_000),
    "requests": Limits(500_000_000, 400_000, 12_000_000, 60_000),
    "parts": Limits(64_000_000, 4_000, 40_000_000, 6_000),
    # Each input makes a registry, classes of its own and up to 400 calls from within.
    "objects": Limits(4_000_000, 6_000, 4_000_000, 30_000),
}
