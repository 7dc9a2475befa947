"""Parameters: what is written, what is refused, and where the request goes."""

from collections import OrderedDict, UserDict, deque
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from cassandra.metadata import Murmur3Token
from cassandra.protocol import ColumnMetadata
from cassandra.query import UNSET_VALUE, BoundStatement, PreparedStatement
from cassandra.util import SortedSet
from hypothesis import given
from hypothesis import strategies as st

from async_cassandra._driver.types import PYTHON_TYPES, driver_type
from async_cassandra._wire.binding import BindPlan, token_of
from async_cassandra._wire.codecs import CodecRegistry
from async_cassandra._wire.cqltypes import parse_class_name
from async_cassandra._wire.errors import ParameterError, ParameterTypeError, ParameterValueError
from async_cassandra._wire.rows import Column

REGISTRY = CodecRegistry(PYTHON_TYPES)
TYPES = {"id": "Int32Type", "name": "UTF8Type", "price": "DecimalType"}
COLUMNS = [Column("ks", "t", name, parse_class_name(kind)) for name, kind in TYPES.items()]
PLAN = BindPlan(COLUMNS, REGISTRY, (0,))
NULL = b"\xff\xff\xff\xff"
UNSET = b"\xff\xff\xff\xfe"
ID_7 = b"\x00\x00\x00\x04\x00\x00\x00\x07"
NAME_A = b"\x00\x00\x00\x01a"
PRICE_1 = b"\x00\x00\x00\x05\x00\x00\x00\x00\x01"


def bind_with_driver(values: Any, key: list[int] | None) -> BoundStatement:
    metadata = [ColumnMetadata(c.keyspace, c.table, c.name, driver_type(c.type)) for c in COLUMNS]
    return PreparedStatement(metadata, b"id", key, "q", "ks", 5, None, None).bind(values)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((7, "a", Decimal(1)), ID_7 + NAME_A + PRICE_1),
        ([7, None, UNSET_VALUE], ID_7 + NULL + UNSET),
        ({"id": 7, "price": Decimal(1)}, ID_7 + UNSET + PRICE_1),
        ({"price": None, "id": 7, "name": "a", "other": 1}, ID_7 + NAME_A + NULL),
        (OrderedDict(name="a", id=7), ID_7 + NAME_A + UNSET),
        (UserDict(id=7), ID_7 + UNSET + UNSET),
        (deque((7, "a", None)), ID_7 + NAME_A + NULL),
    ],
)
def test_bind_writes_the_values_section(values: Any, expected: bytes) -> None:
    bound = PLAN.bind(values)
    assert bound.payload == b"\x00\x03" + expected
    assert bound.token == token_of(b"\x00\x00\x00\x07")
    assert bound.routing_key == b"\x00\x00\x00\x07"


@pytest.mark.parametrize("count", [0, 1, 2])
@pytest.mark.parametrize("kind", [list, tuple, deque])
def test_missing_positions_are_refused_unless_that_is_asked_for(kind: Any, count: int) -> None:
    given = kind((7, "a")[:count])
    missing = ("id", "name", "price")[count]
    message = f"too few parameters: {count} given, the statement has 3; '{missing}' is missing"
    with pytest.raises(ParameterValueError, match=message) as caught:
        PLAN.bind(given)
    assert caught.value.index == -1
    if count:
        expected = [*(ID_7, NAME_A)[:count], *[UNSET] * (3 - count)]
        assert PLAN.bind(given, True).payload == b"\x00\x03" + b"".join(expected)


@pytest.mark.parametrize(
    "values",
    [
        {"id": 7, "nmae": "a", "price": None},
        {"id": 7, "NAME": "a"},
        UserDict(id=7, nmae="a"),
        {"id": 7, 1: "a"},
    ],
)
def test_unknown_name_beside_a_missing_one_is_refused_naming_both(values: Any) -> None:
    (unknown,) = {*values} - {"id", "price"}
    for partial in (False, True):
        with pytest.raises(ParameterValueError, match=f"'name'.*no {unknown!r}"):
            PLAN.bind(values, partial)


def test_bind_without_parameters() -> None:
    plan = BindPlan([], REGISTRY)
    empty: list[Any] = [None, (), [], {}]
    for values in empty:
        bound = plan.bind(values)
        assert (bound.payload, bound.token, bound.routing_key) == (b"\x00\x00", None, None)


def test_wrong_type_names_the_parameter() -> None:
    message = r"parameter 'name' \(position 2, text\): a str is required, not int"
    with pytest.raises(ParameterTypeError, match=message) as caught:
        PLAN.bind((1, 2, None))
    assert isinstance(caught.value, TypeError)
    assert (caught.value.parameter, caught.value.index) == ("name", 1)
    assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize(
    ("values", "parameter", "index"),
    [
        ((2**31, "a", None), "id", 0),
        ((1, "\ud800", None), "name", 1),
        ((1, "a", Decimal("NaN")), "price", 2),
        ((1, "a", "12,5"), "price", 2),
        ({"id": -(2**31) - 1}, "id", 0),
        ((UNSET_VALUE, "a", None), "id", 0),
        ({}, "id", 0),
    ],
)
def test_value_that_cannot_be_sent_names_the_parameter(
    values: Any, parameter: str, index: int
) -> None:
    with pytest.raises(ParameterValueError, match=f"'{parameter}'") as caught:
        PLAN.bind(values)
    assert isinstance(caught.value, ValueError)
    assert (caught.value.parameter, caught.value.index) == (parameter, index)


def test_too_many_values_are_refused() -> None:
    with pytest.raises(ParameterValueError, match="4 given, the statement has 3"):
        PLAN.bind((1, "a", None, 4))


@pytest.mark.parametrize(
    "values",
    [
        "abc",
        b"abc",
        bytearray(b"abc"),
        memoryview(b"abc"),
        7,
        0,
        iter([1, "a", None]),
        (value for value in (1, "a", None)),
        {1, "a", None},
        frozenset({1, "a", None}),
        dict.fromkeys((1, "a", None)).keys(),
        {1: 1, 2: "a", 3: None}.values(),
        {1: 1, 2: "a", 3: None}.items(),
        SortedSet([1, 2, 3]),
        object(),
    ],
    ids=lambda values: type(values).__name__,
)
def test_parameters_must_be_a_sequence_or_a_mapping(values: Any) -> None:
    with pytest.raises(ParameterTypeError, match=r"are a sequence .* or a mapping"):
        PLAN.bind(values)


def test_error_of_a_users_object_is_a_parameter_error() -> None:
    class Broken:
        def __index__(self) -> int:
            raise LookupError("no number")

    with pytest.raises(ParameterValueError, match=r"'id'.*raised LookupError") as caught:
        PLAN.bind([Broken(), "a", None])
    assert caught.value.__cause__ is None  # what it says may quote a secret
    assert caught.value.__context__ is None


def test_interrupt_passes_through_binding() -> None:
    class Interrupting:
        def __index__(self) -> int:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PLAN.bind([Interrupting(), "a", None])


@pytest.mark.parametrize("change", [list.clear, list.pop, lambda values: values.append(1)])
def test_list_that_changes_while_it_is_bound_is_refused(change: Callable[[Any], object]) -> None:
    class Changing:
        def __index__(self) -> int:
            change(values)
            return 7

    values: list[Any] = [Changing(), "a", Decimal(1)]
    with pytest.raises(ParameterValueError, match="list of parameters had 3 values"):
        PLAN.bind(values)
    values[:] = [Changing(), "a", Decimal(1)]
    with pytest.raises(ParameterValueError, match="list of parameters had 3 values"):
        PLAN.bind(values, True)


def test_bind_encoded_takes_the_drivers_bound_values() -> None:
    bound = PLAN.bind_encoded(bind_with_driver((7, "a"), [0]).values)
    assert bound.payload == b"\x00\x03" + ID_7 + NAME_A + UNSET
    assert bound.token == token_of(b"\x00\x00\x00\x07")
    with pytest.raises(ParameterValueError):
        PLAN.bind_encoded([None] * 4)


VALUES = st.tuples(
    st.integers(-(2**31), 2**31 - 1),
    st.text(max_size=20),
    st.decimals(allow_nan=False, allow_infinity=False),
)


@given(VALUES, st.permutations([0, 1, 2]), st.integers(1, 3))
def test_routing_key_equals_the_drivers(
    values: tuple[int, str, Decimal], order: list[int], parts: int
) -> None:
    key = order[:parts]
    bound = BindPlan(COLUMNS, REGISTRY, key).bind(values)
    expected = bind_with_driver(values, key).routing_key
    assert bound.routing_key == expected
    assert bound.token == Murmur3Token.hash_fn(expected)


def test_null_in_the_partition_key_has_no_token() -> None:
    for key in ([0], [0, 1]):
        bound = BindPlan(COLUMNS, REGISTRY, key).bind((None, "a", None))
        assert bound.token is None
        assert bound.routing_key is None


def test_part_of_a_key_has_at_most_65535_bytes() -> None:
    plan = BindPlan(COLUMNS, REGISTRY, (0, 1))
    assert plan.bind((1, "a" * 65535, None)).token is not None
    with pytest.raises(ParameterValueError, match=r"'name'.*65536") as caught:
        plan.bind((1, "a" * 65536, None))
    assert isinstance(caught.value, ParameterError)


@given(st.binary(max_size=100))
def test_token_equals_the_drivers(data: bytes) -> None:
    assert token_of(data) == Murmur3Token.hash_fn(data)


def test_tokens_are_cassandras() -> None:
    """Golden: ``SELECT token(id)`` of int and text keys."""
    assert token_of(b"\x00\x00\x00\x01") == -4069959284402364209
    assert token_of(b"\x00\x00\x00\x02") == -3248873570005575792


def test_plan_refuses_key_positions_it_does_not_have() -> None:
    with pytest.raises(ValueError, match="no parameter 3"):
        BindPlan(COLUMNS, REGISTRY, (3,))
