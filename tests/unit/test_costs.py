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


def files_with(word: str) -> set[str]:
    """The files of the package in which a word occurs, by their paths in it."""
    found = re.compile(rf"\b{word}\b")
    return {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*")
        if path.suffix in (".py", ".pyx", ".pxd", ".pyi") and found.search(path.read_text())
    }


def listed(heading: str) -> str:
    """What CONTRIBUTING.md says under a heading."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    return text.partition(f"### {heading}\n")[2].partition("\n### ")[0]


# An option of a call


def test_option_that_goes_into_the_message_is_in_two_files() -> None:
    assert files_with("execute_as") == {"session.py", "_session/calls.py"}


def test_option_that_acts_on_a_request_is_in_five_files() -> None:
    files = files_with("is_stream")
    assert files == {
        "session.py",
        "_session/calls.py",
        "_request/call.pxd",
        "_request/call.pyi",
        "_request/request.pyx",
    }
    text = listed("To add an option of a call")
    assert all(f"`{name}`" in text for name in files if not name.endswith(".pyi"))


GUIDE = (ROOT / "CONTRIBUTING.md").read_text()


def files_of(heading: str) -> set[str]:
    """The files below ``src`` that a list of CONTRIBUTING.md names."""
    (steps,) = re.findall(rf"^### {heading}\n\n(1\..*?)\n\n", GUIDE, re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`(_\w+/\w+\.(?:py|pyx|pyi|pxd))`", steps))
    assert named
    return named


# Counters


@pytest.mark.parametrize("attribute", ["speculative_wins", "connections_opened"])
def test_counter_costs_the_files_of_the_guide(attribute: str) -> None:
    """Two counters whose names mean nothing else."""
    word = re.compile(rf"\b{attribute}\b")
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*")
        if path.suffix in (".py", ".pyx", ".pxd", ".pyi") and word.search(path.read_text())
    }
    assert found == files_of("To add a counter")
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
