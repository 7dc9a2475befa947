"""The page on migration names every setting and member of the driver's ``Cluster`` and ``Session``."""

import inspect
import re
from pathlib import Path

import pytest
from cassandra.cluster import Cluster, Session

from async_cassandra import AsyncCassandraSession, AsyncCluster
from async_cassandra._driver.cluster_settings import SETTINGS as KNOWN
from async_cassandra._driver.counterparts import (
    ASSIGNED_ON_CLUSTER,
    ASSIGNED_ON_SESSION,
    CLUSTER,
    SESSION,
)

PAGE = (Path(__file__).parents[2] / "docs" / "migration.md").read_text()
SETTINGS = set(inspect.signature(Cluster.__init__).parameters) - {"self"}


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def tabled(section: str) -> dict[str, str]:
    """What a section's tables say of each name in their first columns."""
    text = re.split(rf"^### {section}$", PAGE, flags=re.M)[1]
    rows = re.findall(r"^\| (`.*?) \| (.*) \|$", re.split(r"^##", text, flags=re.M)[0], re.M)
    return {name: words for names, words in rows for name in re.findall(r"`(\w+)`", names)}


def test_settings_of_cluster_are_all_there() -> None:
    said = tabled("Settings of Cluster")
    assert set(said) == SETTINGS
    for name, setting in KNOWN.items():
        assert said[name].startswith("refused") == bool(setting.refused), name
        assert said[name].startswith("`False` only") == bool(setting.refused_if_on), name


def test_every_setting_is_known() -> None:
    assert set(KNOWN) == SETTINGS


def test_members_of_session_and_cluster_are_all_there() -> None:
    rest = tabled("What else Cluster and Session have")
    attributes = tabled("Attributes of Session")
    assert public(Session) <= {*attributes, *rest}
    assert public(Cluster) <= {*tabled("Settings of Cluster"), *rest}


@pytest.mark.parametrize(
    ("kind", "ours", "counterparts", "assigned"),
    [
        (Cluster, AsyncCluster, CLUSTER, ASSIGNED_ON_CLUSTER),
        (Session, AsyncCassandraSession, SESSION, ASSIGNED_ON_SESSION),
    ],
)
def test_what_is_missing_has_a_word_of_advice(
    kind: type, ours: type, counterparts: dict[str, str], assigned: frozenset[str]
) -> None:
    # The encoder is an attribute of each session.
    assert public(kind) - {"encoder"} <= public(ours) | set(counterparts)
    assert assigned <= set(counterparts)
