"""What an addition costs: the files in which one named thing occurs are those that CONTRIBUTING.md lists."""

import re
from pathlib import Path

import pytest

from async_cassandra._session.counters import SERIES, Kind
from async_cassandra._session.picture import NodeStats, SessionStats
from async_cassandra._session.request_stats import RequestStats
from async_cassandra.metrics import ConnectionMetrics

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "async_cassandra"


def listed_files(heading: str) -> set[str]:
    """The files of the package that a section of CONTRIBUTING.md names."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.partition(f"### {heading}\n")[2].partition("\n### ")[0]
    return {name for name in re.findall(r"`([\w./]+)`", section) if (PACKAGE / name).is_file()}


def files_with(names: str | re.Pattern[str]) -> set[str]:
    """The files of the package in which a word occurs, or what a pattern finds."""
    found = re.compile(rf"\b{names}\b") if isinstance(names, str) else names
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*")
        if path.suffix in (".py", ".pyi", ".pyx", ".pxd")
        and found.search(path.read_text(encoding="utf-8"))
    }


# An option of a call


def test_option_that_goes_into_the_message_is_in_two_files() -> None:
    assert files_with("execute_as") == {"session.py", "_session/calls.py"}


def test_option_that_acts_on_a_request_is_in_five_files() -> None:
    found = files_with("is_stream")
    assert found <= listed_files("To add an option of a call")
    assert len(found) == 5


# Counters


@pytest.mark.parametrize("attribute", ["speculative_wins", "connections_opened"])
def test_counter_costs_the_listed_files(attribute: str) -> None:
    """Two counters whose names mean nothing else."""
    found = files_with(attribute)
    assert found <= listed_files("To add a counter")
    assert len(found) <= 4


def test_series_show_figures_that_there_are() -> None:
    owners = {
        Kind.COUNT: RequestStats,
        Kind.COUNTS: RequestStats,
        Kind.REQUESTS: SessionStats,
        Kind.NODES: NodeStats,
        Kind.CHECKS: ConnectionMetrics,
    }
    assert [each.name for each in SERIES if not hasattr(owners[each.kind], each.attribute)] == []


def test_every_count_of_requests_is_a_series() -> None:
    """``started`` and ``finished`` are the durations' own count, and what is in flight."""
    stats = RequestStats()
    counts = {
        name
        for name in dir(stats)
        if not name.startswith("_") and type(getattr(stats, name)) is int
    }
    assert counts - {"started", "finished"} == {
        series.attribute for series in SERIES if series.kind is Kind.COUNT
    }


# Types

# What a type is called by; elsewhere than in these layers, the word is also what requests take.
DURATION = re.compile(r"""\b_?DURATION\b|\bDuration(Type|Codec)?\b(?! of)|["'|]duration["'|]""")
ANY_DURATION = re.compile("duration", re.IGNORECASE)
OF_VALUES = ("_wire/", "_driver/", "_cql/")


def test_type_costs_the_listed_files() -> None:
    listed = listed_files("To add a CQL type")
    of_values = {name for name in files_with(ANY_DURATION) if name.startswith(OF_VALUES)}
    assert files_with(DURATION) | of_values == listed
    assert len(listed) <= 5
