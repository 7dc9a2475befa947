"""Which statements a change of the schema concerns."""

from typing import Any

import pytest

from async_cassandra._driver.control_plane import schema_event
from async_cassandra._request.schema_events import concerns
from async_cassandra._wire.cqltypes import CqlType, TypeCode
from async_cassandra._wire.rows import Column

INT = CqlType(TypeCode.INT, "int")
ADDRESS = CqlType(TypeCode.UDT, "address", (INT,), "shop", ("number",))
PERSON = CqlType(TypeCode.UDT, "person", (ADDRESS,), "shop", ("home",))
PEOPLE = CqlType(TypeCode.LIST, "list", (PERSON,))
QUERY = "SELECT shop.price_of(id) FROM orders WHERE id = ? AND buyers = ?"
COLUMNS = [
    Column("shop", "orders", "id", INT),
    Column("shop", "orders", "buyers", PEOPLE),
    Column("shop", "Items", "id", INT),
]


@pytest.mark.parametrize(
    ("target", "keyspace", "name", "concerned"),
    [
        ("TABLE", "shop", "orders", True),
        ("TABLE", "shop", "Items", True),
        ("TABLE", "shop", "items", False),
        ("TABLE", "other", "orders", False),
        ("TYPE", "shop", "person", True),
        ("TYPE", "shop", "address", True),
        ("TYPE", "shop", "orders", False),
        ("TYPE", "other", "person", False),
        ("KEYSPACE", "shop", None, True),
        ("KEYSPACE", "other", None, False),
        ("FUNCTION", "shop", "price_of", True),
        ("FUNCTION", "shop", "price", True),
        ("FUNCTION", "shop", "weight_of", False),
        ("AGGREGATE", "shop", "Price_Of", True),
        ("AGGREGATE", "shop", "total", False),
    ],
)
@pytest.mark.parametrize("change", ["UPDATED", "DROPPED"])
def test_change_concerns_what_uses_the_changed(
    change: str, target: str, keyspace: str, name: str | None, concerned: bool
) -> None:
    event = schema_event(change, target, keyspace, name, ("int",))
    assert concerns(event, QUERY, COLUMNS) is concerned


@pytest.mark.parametrize(
    ("target", "name"), [("TABLE", "orders"), ("TYPE", "person"), ("KEYSPACE", None)]
)
def test_creation_concerns_nothing_that_was_prepared_before(target: str, name: str | None) -> None:
    assert not concerns(schema_event("CREATED", target, "shop", name), QUERY, COLUMNS)


def test_created_function_may_be_another_of_that_name() -> None:
    event = schema_event("CREATED", "FUNCTION", "shop", "price_of", ("bigint",))
    assert concerns(event, QUERY, COLUMNS)


@pytest.mark.parametrize(
    "event", [{}, {"target_type": "TRIGGER", "change_type": "CREATED", "keyspace": "other"}]
)
def test_change_of_unknown_extent_concerns_everything(event: dict[str, Any]) -> None:
    assert concerns(event, QUERY, COLUMNS)
