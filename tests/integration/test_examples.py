"""Every example, run as its reader would, on a real Cassandra."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from async_cassandra.server import RunningServer
from examples.aiohttp_app import create_app
from tests.support.http_servers import aiohttp_serving
from tests.support.servers import cluster_options

EXAMPLES = Path(__file__).parents[2] / "examples"
# What each prints, as a pattern; those with arguments and the servers have tests of their own.
SHOWN = {
    "count_requests.py": r'As intended: Inval(.|\n)*202 requests(.|\n)*"failure"} 1.0',
    "event_loops.py": r"(loop \d: 200 answers\s*){3}From a thread(.|\n)*On another loop: This sess",
    "first_program.py": r"Connected to Row\(.*(.|\n)*\ncolumns\n",
    "responsive_loop.py": r"async-cassandra: 20,000 rows",
    "retries.py": r"3 replicas wanted, 1 alive(.|\n)*With it: Ada\nPaid once: True",
    "tenants.py": r"tenant_acme: acme's note(.|\n)*Refused: not a tenant",
    "vector_search.py": r"bicycle tyres:\n .*icycle.*\n .*icycle.*\nsourdough bread:\n .*ourdough",
}
ELSEWHERE = {"aiohttp_app.py", "demo.py", "export_csv.py", "sliding_window.py"}

pytestmark = pytest.mark.timeout(120)


def run(server: RunningServer, name: str, *arguments: object) -> str:
    """Run an example; returns what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name, *map(str, arguments)],
        env={
            **os.environ,
            "CASSANDRA_CONTACT_POINTS": ",".join(server.contact_points),
            "CASSANDRA_PORT": str(server.port),
        },
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_run() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == {*SHOWN, *ELSEWHERE}
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert [name for name in (*SHOWN, *ELSEWHERE) if f"({name})" not in readme] == []


@pytest.mark.parametrize("name", SHOWN)
def test_example_shows_what_it_promises(cassandra_server: RunningServer, name: str) -> None:
    shown = run(cassandra_server, name)
    assert re.search(SHOWN[name], shown), shown


def test_export_has_every_row_once(cassandra_server: RunningServer, tmp_path: Path) -> None:
    cassandra_server.execute("DROP KEYSPACE IF EXISTS export_csv")
    output = tmp_path / "export.csv"
    run(cassandra_server, "export_csv.py", "--rows", 2500, "--page-size", 100, "--output", output)
    with output.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    numbers = [int(row["sensor"]) * 1000 + int(row["number"]) for row in rows]
    assert sorted(numbers) == [*range(2500)]
    assert rows[0]["note"] == f'row "{numbers[0]}", as text'


def test_monitoring_app_prints_what_the_session_did(
    cassandra_server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("READS", "200")
    monkeypatch.setenv("METRICS_PORT", "0")
    shown = run(cassandra_server, "monitoring/app.py")
    assert re.search(r"keyspace \(none\): 20\d requests, 0 in flight(.|\n)*latency: p50", shown)


def test_sliding_window_sees_every_reading(cassandra_server: RunningServer) -> None:
    shown = run(cassandra_server, "sliding_window.py", "--readings", 100)
    assert "200 of 200 readings were in a window" in shown


@pytest.mark.anyio
async def test_aiohttp_app_keeps_a_guest_book(
    cassandra_server: RunningServer, anyio_backend: Any
) -> None:
    options = cluster_options(cassandra_server)
    app = create_app(options.pop("contact_points"), options.pop("port"), **options)
    async with aiohttp_serving(app) as address, aiohttp.ClientSession(address) as http:
        async with http.post("/entries", json={"guest": "Ada", "text": "Lovely"}) as answer:
            assert answer.status == 201
            entry = (await answer.json())["id"]
        async with http.get("/entries") as answer:
            entries = [json.loads(line) async for line in answer.content]
        assert {"id": entry, "guest": "Ada", "text": "Lovely"} in entries
        for body in ({"guest": "Ada"}, {"guest": 7, "text": "a number"}):
            async with http.post("/entries", json=body) as answer:
                assert answer.status == 400
        async with http.get("/health/ready") as answer:
            assert answer.status == 200
