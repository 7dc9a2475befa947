"""What tests measured: shown at the end, and kept for the table of docs/reliability.md.

The mark ``promise`` says to which promise of that table a test belongs; see scripts/reliability.py.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path

import pytest

type Report = Callable[[str], None]

# Only a run that says where wants them kept.
FOLDER = os.environ.get("FIGURES")
REPORTED = pytest.StashKey[list[str]]()

_shown: list[str] = []


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Report:
    """Show a figure at the end of the run, and put it into the table."""
    figures: list[str] = []
    request.node.stash[REPORTED] = figures

    def add(figure: str) -> None:
        figures.append(figure)
        _shown.append(f"{request.node.name}: {figure}")

    return add


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    result = yield
    promise = item.get_closest_marker("promise")
    ended = result.failed or (result.when == "call" and result.passed)
    if FOLDER is not None and promise is not None and ended:
        keep(Path(FOLDER), str(promise.args[0]), item, result.failed)
    return result


def keep(folder: Path, promise: str, item: pytest.Item, failed: bool) -> None:
    """Replace the test's file of figures."""
    figures = item.stash.get(REPORTED, [])
    figure = {
        "item": promise,
        "test": item.nodeid,
        "figure": "; ".join(["**failed**", *figures] if failed else figures or ["holds"]),
        "date": datetime.now(UTC).date().isoformat(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"\W+", "-", item.nodeid).strip("-")
    (folder / f"{name}.json").write_text(json.dumps(figure) + "\n")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _shown:
        terminalreporter.section("figures")
        for figure in _shown:
            terminalreporter.line(figure)
