"""What is believed of a schema change: names that Cassandra garbles are taken for no other."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from async_cassandra._driver.schema_changes import believed, schema_event
from tests.support.wire_names import as_cassandra_writes, as_read

changes = st.sampled_from(["CREATED", "UPDATED", "DROPPED"])
targets = st.sampled_from(["KEYSPACE", "TABLE", "TYPE", "FUNCTION", "AGGREGATE"])
# Those that differ in how they are written, and those that look alike then.
names = st.text(st.one_of(st.characters(), st.sampled_from("aä?ÃÂ¤¶ß名前\0\x7f\x80ÿĀ")), max_size=6)


def seen(name: str) -> str:
    return as_read(as_cassandra_writes(name))


@given(changes, targets, names, names, st.lists(names, max_size=2))
def test_what_is_believed_is_true(
    change: str, target: str, keyspace: str, name: str, arguments: list[str]
) -> None:
    event = schema_event(change, target, seen(keyspace), seen(name), tuple(map(seen, arguments)))
    if not event:
        assert not keyspace.isascii() or "?" in keyspace
        return
    assert event["keyspace"] == keyspace
    if event["target_type"] == target == "KEYSPACE":
        assert event["change_type"] == change
    elif event["target_type"] == "KEYSPACE":
        assert event["change_type"] == "UPDATED"
        assert any(not each.isascii() or "?" in each for each in (name, *arguments))
    else:
        named = event[target.lower()]
        assert (event["target_type"], event["change_type"]) == (target, change)
        if target in ("FUNCTION", "AGGREGATE"):
            assert (named.name, named.argument_types) == (name, arguments)
        else:
            assert named == name


@pytest.mark.parametrize(
    ("name", "doubtful"),
    [
        ("größe", True),
        ("Ã¤", True),
        ("名前", True),
        ("😀", True),
        ("a?b", True),
        ("a b", False),
        ('q"q', False),
        ("", False),
    ],
)
def test_doubtful_name_stands_for_its_whole_keyspace(name: str, doubtful: bool) -> None:
    whole = {"target_type": "KEYSPACE", "change_type": "UPDATED", "keyspace": "shop"}
    for target in ("TABLE", "TYPE", "FUNCTION", "AGGREGATE"):
        event = schema_event("DROPPED", target, "shop", seen(name))
        assert (event == whole) is doubtful
    assert schema_event("CREATED", "KEYSPACE", seen(name)) == (
        {} if doubtful else {"target_type": "KEYSPACE", "change_type": "CREATED", "keyspace": name}
    )


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"target_type": "ROLE", "change_type": "CREATED", "keyspace": "ks", "role": "r"},
        {"target_type": "größe", "change_type": "CREATED", "keyspace": "ks", "größe": "r"},
        {"target_type": "TABLE", "change_type": "CREATED"},
    ],
)
def test_change_of_unknown_kind_stands_for_all_of_the_schema(event: dict[str, Any]) -> None:
    assert believed(event) == {}
