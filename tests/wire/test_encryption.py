"""Encrypted columns: the same bytes and values as the driver's, and nothing in clear by accident."""

import struct
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from cassandra.cqltypes import Int32Type, IntegerType, ListType, UTF8Type, lookup_casstype
from cassandra.policies import ColDesc, ColumnEncryptionPolicy
from cassandra.protocol import ColumnMetadata, ProtocolHandler
from cassandra.query import UNSET_VALUE, PreparedStatement
from hypothesis import given
from hypothesis import strategies as st

from async_cassandra._driver.column_encryption import ColumnEncryption
from async_cassandra._driver.types import PYTHON_TYPES, cql_type_of, driver_type
from async_cassandra._wire.binding import BindPlan
from async_cassandra._wire.codecs import CodecRegistry
from async_cassandra._wire.cqltypes import CqlType, TypeCode, parse_class_name
from async_cassandra._wire.errors import (
    ColumnDecodeError,
    ParameterError,
    ParameterTypeError,
    ParameterValueError,
)
from async_cassandra._wire.responses import RowPlans, decode
from async_cassandra._wire.rows import Column, Page, RowPlan
from async_cassandra.exceptions import ConfigurationError
from tests.support.encryption import IV, OTHER_KEY, AnyType, Reversing

from .value_strategies import SCALARS, nested, same

BLOB = parse_class_name("BytesType")
STRATEGIES = SCALARS | nested("UTF8Type", SCALARS["UTF8Type"])
STRATEGIES |= nested("ListType(Int32Type)", st.lists(SCALARS["Int32Type"], max_size=3))
SECRET = "the secret"


def blobs(*names: str) -> tuple[Column, ...]:
    return tuple(Column("ks", "t", name, BLOB) for name in names)


def registry(
    policy: Any, columns_of: Callable[[str, str], Mapping[str, str] | None] = lambda ks, table: None
) -> CodecRegistry:
    return CodecRegistry(PYTHON_TYPES, None, ColumnEncryption(policy, columns_of))


def page(plan: RowPlan, *rows: tuple[bytes | None, ...]) -> Page:
    body = struct.pack(">i", len(rows))
    for value in (value for row in rows for value in row):
        body += struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value
    return Page(body, 0, plan)


def rows_message(columns: tuple[Column, ...], *rows: tuple[bytes | None, ...]) -> bytes:
    """A RESULT of kind Rows with blobs."""
    body = struct.pack(">iii", 2, 0, len(columns))
    for column in columns:
        for text in (column.keyspace, column.table, column.name):
            body += struct.pack(">H", len(text)) + text.encode()
        body += struct.pack(">H", 3)
    return body + page(RowPlan(columns, CodecRegistry(PYTHON_TYPES)), *rows).payload


def driver_bound(policy: Any, columns: tuple[Column, ...], values: Any) -> list[Any]:
    metadata = [ColumnMetadata(c.keyspace, c.table, c.name, driver_type(c.type)) for c in columns]
    statement = PreparedStatement(
        metadata, b"id", None, "q", "ks", 5, None, None, column_encryption_policy=policy
    )
    return list(statement.bind(values).values)


def everything_shown(error: BaseException) -> str:
    """What logs, crash reports and pickles could have of an error."""
    shown = ""
    current: BaseException | None = error
    while current is not None:
        shown += f"{current} {current!r} {current.args!r} {vars(current)!r}"
        current = current.__cause__ or current.__context__
    # Without the lines of source, which show the test's own literals.
    return shown + "".join(traceback.format_exception_only(error))


@given(st.data())
def test_values_equal_the_drivers_both_ways(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(sorted(STRATEGIES)), min_size=1, max_size=4))
    policy = AnyType()
    for index, kind in enumerate(kinds):
        policy.add("ks", "t", f"c{index}", kind)
    columns = blobs("clear", *(f"c{index}" for index in range(len(kinds))))
    values = [b"in clear", *(data.draw(st.none() | STRATEGIES[kind]) for kind in kinds)]
    codecs = registry(policy)
    encrypted = BindPlan(columns, codecs).bind(values).encoded_values()
    assert encrypted[0] == b"in clear"
    for index, kind in enumerate(kinds, 1):
        plain = codecs.codec(parse_class_name(kind))
        if values[index] is None:
            assert encrypted[index] is None
        else:
            clear = plain.encode(values[index])
            assert encrypted[index] == policy.encrypt(ColDesc("ks", "t", f"c{index - 1}"), clear)
            assert clear == b"" or encrypted[index] != clear
    assert encrypted == driver_bound(policy, columns, values)
    handler: Any = type("Handler", (ProtocolHandler,), {"column_encryption_policy": policy})
    # The driver cannot read a null of an encrypted column.
    known = [index for index, value in enumerate(encrypted) if value is not None]
    message = rows_message(
        tuple(columns[index] for index in known), tuple(encrypted[index] for index in known)
    )
    theirs: Any = handler.decode_message(5, {}, 0, 0, 0x08, message, None, None)
    ours = decode(5, 0, 0x08, message, None, RowPlans(codecs)).page
    assert ours is not None
    assert same([tuple(row) for row in theirs.parsed_rows], [tuple(row) for row in ours])


@given(st.sampled_from(sorted(STRATEGIES)))
def test_type_of_a_driver_class_is_the_type_it_was_made_of(kind: str) -> None:
    cql_type = parse_class_name(kind)
    assert cql_type_of(driver_type(cql_type)) == cql_type
    assert cql_type_of(lookup_casstype(kind)) == cql_type


def test_type_of_the_drivers_class_of_a_user_type() -> None:
    fields = (parse_class_name("Int32Type"), parse_class_name("ListType(UTF8Type)"))
    point = CqlType(TypeCode.UDT, "größe", fields, "ks", ("a", "B c"))
    assert cql_type_of(driver_type(point)) == point
    nested_type = CqlType(TypeCode.LIST, "list", (point,))
    assert cql_type_of(driver_type(nested_type)) == nested_type


# The driver's classes are found by their names from then on, but for those that begin with "_".
class _Shouting(Int32Type):  # type: ignore[misc]
    """Encodes in a way of its own."""


@pytest.mark.parametrize(
    "kind", ["int", int, None, ListType, _Shouting, lookup_casstype("PointType"), 7]
)
def test_type_that_cannot_be_encoded_is_refused(kind: Any) -> None:
    plan = BindPlan(blobs("c"), registry(Reversing(c=kind)))
    with pytest.raises(ParameterValueError, match=r"'c'.*column_encryption_policy\.column_type"):
        plan.bind([1])


def test_null_and_unset_stay_what_they_are() -> None:
    plan = BindPlan(blobs("k", "a", "b"), registry(Reversing(k=Int32Type, a=UTF8Type)), [0])
    bound = plan.bind({"k": 1, "a": None})
    assert bound.encoded_values() == [b"?\1\0\0\0", None, UNSET_VALUE]
    assert bound.routing_key == b"?\1\0\0\0"
    rows = page(
        RowPlan(blobs("k", "a"), registry(Reversing(k=Int32Type, a=UTF8Type))), (None, b"?")
    )
    assert rows[0] == (None, "")


def test_column_that_is_added_later_is_encrypted_by_plans_that_exist() -> None:
    policy = AnyType()
    codecs = registry(policy)
    plan, plans = BindPlan(blobs("c"), codecs), RowPlans(codecs)
    assert plan.bind([b"\0\0\0\1"]).encoded_values() == [b"\0\0\0\1"]
    message = rows_message(blobs("c"), (b"\0\0\0\1",))
    before = decode(5, 0, 0x08, message, None, plans).page
    policy.add("ks", "t", "c", "Int32Type")
    first = plan.bind([7]).encoded_values()[0]
    assert first == policy.encrypt(ColDesc("ks", "t", "c"), b"\0\0\0\7")
    assert before is not None
    assert before[0] == (b"\0\0\0\1",)
    after = decode(5, 0, 0x08, rows_message(blobs("c"), (first,)), None, plans).page
    assert after is not None
    assert after[0] == (7,)
    assert after.plan.value_types == (parse_class_name("Int32Type"),)
    assert after.plan.column_types == (BLOB,)
    policy.add("ks", "t", "c", "UTF8Type", OTHER_KEY)
    assert plan.bind(["text"]).encoded_values() == [
        policy.encrypt(ColDesc("ks", "t", "c"), b"text")
    ]
    with pytest.raises(ColumnDecodeError, match=r"'c' \(encrypted text\)"):
        decode(5, 0, 0x08, rows_message(blobs("c"), (first,)), None, plans).page[0]  # type: ignore[index]


def test_same_columns_have_the_same_plan() -> None:
    plans = RowPlans(registry(Reversing(c=Int32Type)))
    message = rows_message(blobs("c"), (b"?\1\0\0\0",))
    first, second = (decode(5, 0, 0x08, message, None, plans).page for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.plan is second.plan


def test_elements_of_in_are_encrypted() -> None:
    column = Column("ks", "t", "in(c)", parse_class_name("ListType(BytesType)"))
    plan = BindPlan([column], registry(Reversing(c=Int32Type)))
    expected = struct.pack(">ii5si5s", 2, 5, b"?\1\0\0\0", 5, b"?\2\0\0\0")
    assert plan.bind([[1, 2]]).encoded_values() == [expected]


TABLE = {"k": "int", "c": "blob", "photo": "blob", "m": "map<text, blob>", "note": "text"}


def parameter(name: str, kind: str) -> BindPlan:
    codecs = registry(Reversing(c=Int32Type), lambda ks, table: TABLE)
    return BindPlan([Column("ks", "t", name, parse_class_name(kind))], codecs)


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("marker", "BytesType", b"a"),
        ("arg0(system.token)", "BytesType", b"a"),
        ("(c)", "TupleType(BytesType)", (b"a",)),
        ("in(k,c)", "ListType(TupleType(Int32Type,BytesType))", [(1, b"a")]),
        ("[selection]", "BytesType", b"a"),
    ],
)
def test_parameter_that_could_be_an_encrypted_columns_is_refused(
    name: str, kind: str, value: Any
) -> None:
    with pytest.raises(ParameterValueError, match="may be meant for the encrypted column 'c'"):
        parameter(name, kind).bind([value])


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("photo", "BytesType", b"a"),
        ("in(photo)", "ListType(BytesType)", [b"a"]),
        ("value(m)", "BytesType", b"a"),
        ("m", "MapType(UTF8Type,BytesType)", {"a": b"a"}),
        ("[limit]", "Int32Type", 1),
        ("marker", "UTF8Type", "a"),
    ],
)
def test_parameter_of_another_column_stays_clear(name: str, kind: str, value: Any) -> None:
    plain = BindPlan([Column("ks", "t", name, parse_class_name(kind))], CodecRegistry(PYTHON_TYPES))
    assert parameter(name, kind).bind([value]).payload == plain.bind([value]).payload


def unknown(policy: Any, name: str, kind: str, *, named: bool) -> BindPlan:
    """A parameter of a table of which there is no metadata."""
    column = Column("ks", "t", name, parse_class_name(kind))
    return BindPlan([column], registry(policy), markers_named=named)


@pytest.mark.parametrize(
    ("name", "kind", "named"),
    [
        ("marker", "BytesType", True),
        ("in(c)", "ListType(BytesType)", True),
        ("(a,b)", "TupleType(Int32Type,BytesType)", False),
        ("arg0(system.token)", "BytesType", False),
    ],
)
def test_parameter_of_an_unknown_table_that_could_be_an_encrypted_columns(
    name: str, kind: str, named: bool
) -> None:
    value = [b"a"] if kind.startswith("List") else (1, b"a") if "," in kind else b"a"
    aes = AnyType()
    aes.add("ks", "t", "c", "UTF8Type")
    for policy in (Reversing(c=UTF8Type), aes):
        with pytest.raises(ParameterValueError, match="whose columns are not known"):
            unknown(policy, name, kind, named=named).bind([value])
    elsewhere = AnyType()
    elsewhere.add("ks", "other", "c", "UTF8Type")
    unknown(elsewhere, name, kind, named=named).bind([value])


@pytest.mark.parametrize(
    ("name", "kind", "value", "named"),
    [
        ("photo", "BytesType", b"a", False),
        ("in(photo)", "ListType(BytesType)", [b"a"], False),
        ("[limit]", "Int32Type", 1, False),
        ("marker", "UTF8Type", "a", True),
    ],
)
def test_parameter_of_an_unknown_table_that_is_of_another_column(
    name: str, kind: str, value: Any, named: bool
) -> None:
    assert unknown(Reversing(c=UTF8Type), name, kind, named=named).bind([value])


def test_bytes_bound_elsewhere_must_be_encrypted() -> None:
    policy = AnyType()
    policy.add("ks", "t", "c", "UTF8Type")
    plan = BindPlan(blobs("c", "d"), registry(policy))
    encrypted = driver_bound(policy, blobs("c", "d"), ["text", b"in clear"])
    assert plan.bind_encoded(encrypted).encoded_values() == encrypted
    viewed = [memoryview(value) for value in encrypted]
    assert plan.bind_encoded(viewed).encoded_values() == encrypted
    assert plan.bind_encoded([None, UNSET_VALUE]).encoded_values() == [None, UNSET_VALUE]
    for clear in (b"", SECRET.encode(), b"16 bytes of text", bytes(range(48))):
        with pytest.raises(ParameterValueError, match=r"'c'.*not encrypted by this") as caught:
            plan.bind_encoded([clear])
        assert SECRET not in everything_shown(caught.value)


# Policies that fail


class Failing(Reversing):
    """Raises where it is told to, and tells what it should not."""

    def __init__(self, method: str, error: Exception) -> None:
        super().__init__(c=UTF8Type)
        self.method = method
        self.error = error

    def __getattribute__(self, name: str) -> Any:
        if name != "method" and name == self.method:

            def fail(*arguments: Any) -> Any:
                raise self.error

            return fail
        return super().__getattribute__(name)


ERRORS = [ValueError(SECRET), TypeError(SECRET), KeyError(SECRET), RuntimeError(SECRET), OSError()]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("method", ["contains_column", "column_type", "encrypt", "decrypt"])
def test_error_of_a_policy_names_the_column_and_tells_no_secret(
    method: str, error: Exception
) -> None:
    text = rf"'c'.*column_encryption_policy\.{method}\(\) raised {type(error).__name__}"
    codecs = registry(Failing(method, error))
    if method != "decrypt":
        with pytest.raises(ParameterError, match=text) as refused:
            BindPlan(blobs("c"), codecs).bind([SECRET])
        assert SECRET not in everything_shown(refused.value)
    if method != "encrypt":
        with pytest.raises(ColumnDecodeError, match=text) as caught:
            page(RowPlan(blobs("c"), codecs), (f"?{SECRET}".encode(),))[0]
        assert SECRET not in everything_shown(caught.value)
        assert caught.value.column == "c"
        assert caught.value.value == b""


class Giving(Reversing):
    def __init__(self, made: Any) -> None:
        super().__init__(c=UTF8Type)
        self.made = made

    def encrypt(self, coldesc: Any, obj_bytes: bytes) -> Any:
        return self.made

    def decrypt(self, coldesc: Any, encrypted_bytes: bytes) -> Any:
        return self.made


@pytest.mark.parametrize("made", [None, "text", 7, [1]])
def test_policy_that_gives_no_bytes_is_refused(made: Any) -> None:
    codecs = registry(Giving(made))
    with pytest.raises(ParameterValueError, match=r"'c'.*encrypt\(\) returned .* instead of bytes"):
        BindPlan(blobs("c"), codecs).bind(["a"])
    with pytest.raises(ColumnDecodeError, match=r"'c'.*decrypt\(\) returned .* instead of bytes"):
        page(RowPlan(blobs("c"), codecs), (b"a",))[0]


@pytest.mark.parametrize("made", [bytearray(b"ab"), memoryview(b"ab")])
def test_policy_may_give_other_kinds_of_bytes(made: Any) -> None:
    codecs = registry(Giving(made))
    assert BindPlan(blobs("c"), codecs).bind(["a"]).encoded_values() == [b"ab"]
    assert page(RowPlan(blobs("c"), codecs), (b"a",))[0] == ("ab",)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (Int32Type, SECRET, ParameterTypeError),
        (UTF8Type, 4_242_424, ParameterTypeError),
        (Int32Type, 4_242_424_242_424, ParameterValueError),
        (lookup_casstype("InetAddressType"), SECRET, ParameterValueError),
        (lookup_casstype("ListType(UTF8Type)"), [f"{SECRET}\ud800"], ParameterValueError),
    ],
)
def test_value_that_does_not_fit_is_not_shown(
    kind: Any, value: Any, expected: type[Exception]
) -> None:
    with pytest.raises(expected, match=r"'c' \(position 1, encrypted \w+") as caught:
        BindPlan(blobs("c"), registry(Reversing(c=kind))).bind([value])
    shown = everything_shown(caught.value)
    assert SECRET not in shown
    assert "4242" not in shown


def test_row_that_does_not_decrypt_fails_alone() -> None:
    plan = RowPlan(blobs("c"), registry(Reversing(c=Int32Type)))
    rows = page(plan, (b"?\1\0\0\0",), (SECRET.encode(),), (b"?\1\0\0",), (b"?\4\0\0\0",))
    cursor = iter(rows)
    assert cursor.decode_next(9) == [(1,)]
    for row, reason in ((1, "raised ValueError"), (2, "not a value of that type")):
        with pytest.raises(ColumnDecodeError, match=reason) as caught:
            cursor.decode_next(9)
        assert (caught.value.column, caught.value.row) == ("c", row)
        assert SECRET not in everything_shown(caught.value)
    assert cursor.decode_next(9) == [(4,)]


def test_interrupt_and_lack_of_memory_pass_through() -> None:
    for error in (KeyboardInterrupt(), MemoryError()):
        codecs = registry(Failing("encrypt", error))  # type: ignore[arg-type]
        with pytest.raises(type(error)):
            BindPlan(blobs("c"), codecs).bind(["a"])
        codecs = registry(Failing("decrypt", error))  # type: ignore[arg-type]
        with pytest.raises(type(error)):
            page(RowPlan(blobs("c"), codecs), (b"a",))[0]


def test_policy_may_bind_again_in_the_middle() -> None:
    class Entering(Reversing):
        def encrypt(self, coldesc: Any, obj_bytes: bytes) -> Any:
            if not large_one:
                large_one.append(True)
                large = plan.bind(["x" * 100_000, "y", "z"])
                assert [len(value) for value in large.encoded_values()] == [100_001, 2, 2]
            return super().encrypt(coldesc, obj_bytes)

    policy = Entering(a=UTF8Type, b=UTF8Type, c=UTF8Type)
    plan = BindPlan(blobs("a", "b", "c"), registry(policy))
    large_one: list[bool] = []
    assert plan.bind(["one", "two", "three"]).encoded_values() == [b"?eno", b"?owt", b"?eerht"]


def test_policy_may_decode_again_in_the_middle() -> None:
    class Entering(Reversing):
        def decrypt(self, coldesc: Any, encrypted_bytes: bytes) -> Any:
            if coldesc.col == "b":
                assert [row.a for row in rows[1:]] == ["eerht"]
                self.columns["a"] = IntegerType
            return super().decrypt(coldesc, encrypted_bytes)

    rows = page(
        RowPlan(blobs("a", "b"), registry(Entering(a=UTF8Type, b=UTF8Type))),
        (b"?one", b"?two"),
        (b"?three", None),
    )
    assert rows.decode_slice(0, 2) == [("eno", "owt"), ("eerht", None)]


# What is refused as a policy


class OnlyEncrypts(ColumnEncryptionPolicy):
    def contains_column(self, coldesc: Any) -> bool:
        return True

    def column_type(self, coldesc: Any) -> Any:
        return Int32Type

    def encrypt(self, coldesc: Any, obj_bytes: bytes) -> bytes:
        return obj_bytes


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (OnlyEncrypts(), "OnlyEncrypts has no method decrypt$"),
        (ColumnEncryptionPolicy(), "contains_column, column_type, encrypt, decrypt"),
        (object(), "object has no method contains_column"),
        ("aes", "str has no method"),
        (AnyType, "an instance, not the class AnyType"),
    ],
)
def test_policy_that_cannot_work_is_refused(policy: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"column_encryption_policy.*{message}"):
        registry(policy)


def test_iv_is_the_policys() -> None:
    policy = AnyType()
    policy.add("ks", "t", "c", "Int32Type")
    assert BindPlan(blobs("c"), registry(policy)).bind([1]).encoded_values()[0][:16] == IV
