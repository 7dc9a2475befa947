"""The alert rules and the dashboard ask for series that there are."""

import json
import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from async_cassandra.metrics import PrometheusMetricsCollector

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "monitoring"
SERIES = re.compile(r"\bcassandra_\w+")
LABELS = re.compile(r"by \(([\w, ]+)\)|\{(\w+)!?=\"|\{\{(?: \$labels\.)?(\w+) ?\}\}")


def series() -> set[str]:
    """The name of every series that a collector has, whether it has a value by now or not."""
    registry = CollectorRegistry()
    PrometheusMetricsCollector(registry)
    names: set[str] = set()
    for family in registry.collect():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}
        names |= {family.name + suffix for suffix in suffixes.get(family.type, [""])}
    return names


def dashboard_texts() -> str:
    board = json.loads((EXAMPLE / "dashboard.json").read_text())
    return "\n".join(
        f"{target['expr']} {target['legendFormat']}"
        for panel in board["panels"]
        for target in panel["targets"]
    )


@pytest.mark.parametrize("source", ["dashboard.json", "alerts.yml"])
def test_example_asks_for_real_series(source: str) -> None:
    text = dashboard_texts() if source.endswith("json") else (EXAMPLE / source).read_text()
    asked = set(SERIES.findall(text))
    assert len(asked) > 5
    assert asked <= series()


@pytest.mark.parametrize("source", ["dashboard.json", "alerts.yml"])
def test_example_asks_for_real_labels(source: str) -> None:
    text = dashboard_texts() if source.endswith("json") else (EXAMPLE / source).read_text()
    asked = {name.strip() for found in LABELS.findall(text) for name in ",".join(found).split(",")}
    asked -= {""}
    assert asked
    assert asked <= {"host", "query_type", "success", "error_type", "reason", "le"}


def test_dashboard_shows_every_series() -> None:
    shown = set(SERIES.findall(dashboard_texts()))
    names = {re.sub(r"_(bucket|count|sum)$", "_bucket", name) for name in series()}
    assert names <= shown


def test_documentation_lists_every_series() -> None:
    text = (ROOT / "docs" / "metrics-monitoring.md").read_text()
    names = {re.sub(r"_(bucket|count|sum)$", "", name) for name in series()}
    assert names <= set(SERIES.findall(text))
