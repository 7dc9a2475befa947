"""Rows as values of the application's types: which column fills which field, and how."""

import datetime
from collections import namedtuple
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import InitVar, dataclass, field, make_dataclass
from decimal import Decimal
from enum import Enum
from types import SimpleNamespace
from typing import Annotated, Any, NamedTuple, NotRequired, TypedDict
from uuid import UUID

import msgspec
import pydantic
import pytest
from cassandra.util import Date, SortedSet, Time

from async_cassandra._driver.types import PYTHON_TYPES
from async_cassandra._results.records import MAX_READERS, record_type
from async_cassandra._wire.codecs import CodecRegistry
from async_cassandra._wire.cqltypes import CqlType, TypeCode
from async_cassandra._wire.rows import Column, RowPlan
from async_cassandra.exceptions import ConfigurationError, RowTypeError

INT = CqlType(TypeCode.INT, "int")
TEXT = CqlType(TypeCode.TEXT, "text")
DATE = CqlType(TypeCode.DATE, "date")
TIME = CqlType(TypeCode.TIME, "time")
DECIMAL = CqlType(TypeCode.DECIMAL, "decimal")
DATES = CqlType(TypeCode.LIST, "list", (DATE,))
TEXTS = CqlType(TypeCode.SET, "set", (TEXT,))
PRICES = CqlType(TypeCode.MAP, "map", (TEXT, DATE))
PAIR = CqlType(TypeCode.TUPLE, "tuple", (INT, DATE))
ADDRESS = CqlType(TypeCode.UDT, "address", (TEXT, DATE), "ks", ("street", "since"))

DAY = datetime.date(2024, 2, 29)


def made(kind: Any, row: tuple[Any, ...], **columns: CqlType) -> Any:
    """One row with these columns as a value of ``kind``."""
    return record_type(kind).compiled(tuple(columns), tuple(columns.values()))(row)


def unfit(kind: Any, **columns: CqlType) -> RowTypeError:
    with pytest.raises(RowTypeError) as caught:
        record_type(kind).compiled(tuple(columns), tuple(columns.values()))
    return caught.value


@dataclass
class Plain:
    id: int
    name: str | None = None


@dataclass(slots=True, frozen=True)
class Frozen:
    id: int
    name: str


@dataclass(kw_only=True)
class Named:
    id: int
    name: str = ""


class Model(pydantic.BaseModel):
    id: int
    name: str = ""


class Struct(msgspec.Struct):
    id: int
    name: str = ""


class FrozenStruct(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    name: str = ""
    id: int


class Typed(TypedDict):
    id: int
    name: NotRequired[str]


class Pair(NamedTuple):
    id: int
    name: str = ""


Old = namedtuple("Old", ["id", "name"], defaults=[""])

RECORDS = [Plain, Frozen, Named, Model, Struct, FrozenStruct, Typed, Pair, Old]


@pytest.mark.parametrize("kind", RECORDS)
def test_record_takes_columns_by_name_in_any_order(kind: Any) -> None:
    expected = kind(id=7, name="Ada")
    assert made(kind, (7, "Ada"), id=INT, name=TEXT) == expected
    assert made(kind, ("Ada", 7), name=TEXT, id=INT) == expected
    assert type(made(kind, ("Ada", 7), name=TEXT, id=INT)) is type(expected)


@pytest.mark.parametrize("kind", [kind for kind in RECORDS if kind is not Frozen])
def test_record_leaves_fields_with_defaults_out(kind: Any) -> None:
    assert made(kind, (7,), id=INT) == kind(id=7)


@pytest.mark.parametrize("kind", RECORDS)
def test_record_names_what_does_not_fit(kind: Any) -> None:
    missing = unfit(kind, name=TEXT)
    assert (missing.field, missing.column) == ("id", None)
    assert "needs a column for the field 'id'" in str(missing)
    surplus = unfit(kind, id=INT, name=TEXT, age=INT)
    assert (surplus.field, surplus.column) == (None, "age")
    assert f"row={kind.__name__} has no field for the column 'age'" in str(surplus)


def test_column_fills_field_by_the_attribute_that_rows_have_for_it() -> None:
    @dataclass
    class Outcome:
        applied: bool

    boolean = CqlType(TypeCode.BOOLEAN, "boolean")
    assert made(Outcome, (True,), **{"[applied]": boolean}) == Outcome(True)


def test_two_columns_for_one_field_are_refused() -> None:
    with pytest.raises(RowTypeError, match="gets 'id' from two columns"):
        record_type(Plain).compiled(("id", "id"), (INT, INT))


def test_dataclass_gets_what_its_constructor_takes() -> None:
    @dataclass
    class Account:
        id: int
        cents: InitVar[int]
        euros: float = field(init=False)

        def __post_init__(self, cents: int) -> None:
            self.euros = cents / 100

    assert made(Account, (250, 1), cents=INT, id=INT).euros == 2.5
    assert unfit(Account, id=INT, cents=INT, euros=INT).column == "euros"


def test_class_with_keyword_arguments_takes_every_column() -> None:
    @dataclass(init=False)
    class Open:
        id: int
        others: dict[str, Any]

        def __init__(self, id: int, **others: Any) -> None:
            self.id = id
            self.others = others

    loose = made(Open, (1, "x"), **{"id": INT, "a b": TEXT})
    assert (loose.id, loose.others) == (1, {"a b": "x"})


def test_model_takes_aliases_and_its_configuration() -> None:
    class Aliased(pydantic.BaseModel):
        user_id: int = pydantic.Field(alias="id")
        label: str = pydantic.Field("", validation_alias=pydantic.AliasChoices("name", "title"))

    class Loose(Aliased):
        model_config = pydantic.ConfigDict(extra="allow", populate_by_name=True)

    assert made(Aliased, (1, "x"), id=INT, title=TEXT).label == "x"
    assert unfit(Aliased, user_id=INT).column == "user_id"
    loose = made(Loose, (1, 2), user_id=INT, age=INT)
    assert (loose.user_id, loose.model_extra) == (1, {"age": 2})


def test_model_validates_and_converts() -> None:
    class Checked(pydantic.BaseModel):
        joined: datetime.date
        tags: set[str]
        price: float

    row = (Date(DAY), SortedSet(["a"]), Decimal("1.5"))
    checked = made(Checked, row, joined=DATE, tags=TEXTS, price=DECIMAL)
    assert (checked.joined, checked.tags, checked.price) == (DAY, {"a"}, 1.5)
    with pytest.raises(pydantic.ValidationError, match="id"):
        made(Model, ("no number",), id=TEXT)


def test_values_become_what_annotations_name() -> None:
    class Colour(Enum):
        RED = "red"

    @dataclass
    class Everything:
        day: datetime.date
        hour: datetime.time | None
        days: tuple[datetime.date, ...]
        tags: frozenset[str]
        prices: dict[str, datetime.date | None]
        pair: tuple[int, Annotated[datetime.date, "since"]]
        colour: Colour

    row = (
        Date(DAY),
        Time("01:02:03"),
        [Date(DAY)],
        SortedSet(["b", "a"]),
        {"x": Date(DAY), "y": None},
        (1, Date(DAY)),
        "red",
    )
    types = {"day": DATE, "hour": TIME, "days": DATES, "tags": TEXTS, "prices": PRICES}
    made_row = made(Everything, row, **types, pair=PAIR, colour=TEXT)
    assert made_row == Everything(
        DAY,
        datetime.time(1, 2, 3),
        (DAY,),
        frozenset({"a", "b"}),
        {"x": DAY, "y": None},
        (1, DAY),
        Colour.RED,
    )
    nulls = made(Everything, (None,) * 7, **types, pair=PAIR, colour=TEXT)
    assert nulls == Everything(*[None] * 7)  # type: ignore[arg-type]


def test_values_stay_where_annotations_leave_room() -> None:
    @dataclass
    class Roomy:
        day: Any
        days: Sequence[Date]
        tags: AbstractSet[str]
        prices: Mapping[str, Any]
        choice: int | str

    row = (Date(DAY), [Date(DAY)], SortedSet(["a"]), {"x": Date(DAY)}, 5)
    roomy = made(Roomy, row, day=DATE, days=DATES, tags=TEXTS, prices=PRICES, choice=INT)
    assert all(kept is given for kept, given in zip(vars(roomy).values(), row, strict=True))


def test_annotation_that_values_cannot_have_is_refused() -> None:
    @dataclass
    class Order:
        price: float

    error = unfit(Order, price=DECIMAL)
    assert (error.column, error.field) == ("price", "price")
    assert "row=Order cannot hold the column 'price': decimal gives Decimal, not float" in str(
        error
    )
    assert made(Order, (1,), price=INT).price == 1


def test_names_that_only_a_type_checker_knows_leave_values_as_they_are() -> None:
    @dataclass
    class Late:
        id: "Unknown"  # type: ignore[name-defined]  # noqa: F821

    assert made(Late, (1,), id=INT).id == 1


class Place(NamedTuple):
    street: str
    since: datetime.date


@pytest.mark.parametrize("kind", [Place, dict])
def test_user_type_becomes_the_type_of_its_field(kind: Any) -> None:
    home_type = make_dataclass("Home", [("place", list[kind])])
    places = CqlType(TypeCode.LIST, "list", (ADDRESS,))
    value = ("High Street", Date(DAY))
    home = made(home_type, ([value, None],), place=places)
    assert home.place == [value if kind is dict else kind("High Street", DAY), None]


def test_user_type_of_a_registered_class_stays() -> None:
    @dataclass
    class Home:
        place: Place

    registered = SimpleNamespace(street="High Street")
    assert made(Home, (registered,), place=ADDRESS).place is registered
    assert made(Home, (("x", Date(DAY)),), place=ADDRESS).place == Place("x", DAY)
    without = CqlType(TypeCode.UDT, "address", (TEXT,), "ks", ("street",))
    with pytest.raises(RowTypeError, match=r"column 'place': row=Place needs .* 'since'"):
        made(Home, (("x",),), place=without)


def test_scalar_takes_the_only_column() -> None:
    assert made(int, (5,), count=INT) == 5
    assert made(datetime.date, (Date(DAY),), day=DATE) == DAY
    assert made(list[datetime.date], ([Date(DAY)],), days=DATES) == [DAY]
    assert made(int, (None,), count=INT) is None
    assert unfit(int, count=INT, name=TEXT).column == "name"
    assert "text gives str, not int" in str(unfit(int, name=TEXT))
    assert "uuid" in str(unfit(UUID, name=TEXT)).lower()


def test_dict_and_tuple_take_every_column() -> None:
    columns = {"id": INT, "day": DATE}
    row = (1, Date(DAY))
    assert made(dict, row, **columns) == {"id": 1, "day": Date(DAY)}
    assert made(dict[str, Any], row, **columns) == {"id": 1, "day": Date(DAY)}
    assert made(tuple, row, **columns) == row
    assert made(tuple[int, datetime.date], row, **columns) == (1, DAY)
    assert made(tuple[datetime.date, ...], row[1:], day=DATE) == (DAY,)
    assert unfit(tuple[int], **columns).column == "day"
    assert "needs 3 columns, there are 2" in str(unfit(tuple[int, int, int], **columns))


@pytest.mark.parametrize("kind", [object, SimpleNamespace, 5, "User", Any, int | str])
def test_type_without_fields_is_refused(kind: Any) -> None:
    with pytest.raises(ConfigurationError, match="row takes a dataclass"):
        record_type(kind)


def test_reader_is_compiled_once_for_a_plan_and_a_type() -> None:
    columns = [Column("ks", "t", "id", INT)]
    plan = RowPlan(columns, CodecRegistry(PYTHON_TYPES), "tuple")
    reader = record_type(Plain).reader(plan)
    assert record_type(Plain).reader(plan) is reader
    assert record_type(Typed).reader(plan) is not reader
    for index in range(2 * MAX_READERS):
        record_type(namedtuple(f"Row{index}", ["id"])).reader(plan)
    assert len(plan.readers) <= MAX_READERS
