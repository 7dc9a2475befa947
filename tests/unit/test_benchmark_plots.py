"""The plots, tables and documents that are made of a benchmark's results."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from benchmarks.clients import ACSYLLA, ENTRANTS, FLOOR, LIBRARY, LOOPS, SCYLLAPY
from benchmarks.document import (
    replaced,
    result_tables,
    summary_table,
    target_table,
    write_documents,
)
from benchmarks.environments import ROOT
from benchmarks.plots import CLIENT_COLOURS, DARK, bars, curves, lags, plots
from benchmarks.report import as_json
from benchmarks.results import FIGURES, Key, Results

from tests.unit.test_benchmark_results import PLAIN

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def results() -> Results:
    """Three clients on both loops; scyllapy fails the scan."""
    found = Results()
    for loop in LOOPS:
        for client, factor in ((FLOOR, 1), (LIBRARY, 2), (SCYLLAPY, 10)):
            for workload in ("lone-read", "read-128", "read-8192", "write-128", "scan"):
                of = replace(PLAIN, cpu_seconds=PLAIN.cpu_seconds * factor, p50=0.001 * factor)
                found.measure(Key(workload, client, loop), 1, of)
        found.fail(Key("scan", SCYLLAPY, loop), "RuntimeError: <none> | never")
        found.begin(Key("scan", LIBRARY, loop))
    return found


@pytest.fixture(scope="module")
def pictures(results: Results) -> dict[str, str]:
    return plots(results)


def test_bars_are_the_medians_of_both_loops(results: Results) -> None:
    rows = bars(results, "read-128", FIGURES["cpu_us"])
    assert [row.client for row in rows] == [FLOOR, LIBRARY, SCYLLAPY]
    assert rows[1].values == pytest.approx((40.0, 40.0))
    assert rows[1].label == "40.0 / 40.0"
    assert rows[2].end == pytest.approx(200.0)


def test_client_that_failed_is_shown_so(results: Results, pictures: dict[str, str]) -> None:
    last = bars(results, "scan", FIGURES["rate"])[-1]
    assert (last.client, last.label, last.end) == (SCYLLAPY, "failed", 0.0)
    assert lags(results, "scan", "asyncio")[-1].label == "failed"
    assert ">failed</text>" in pictures["benchmark-throughput.svg"]


def test_workload_that_was_not_measured_has_no_rows(results: Results) -> None:
    assert bars(results, "batch", FIGURES["rate"]) == []
    assert lags(results, "batch", "asyncio") == []


def test_lag_is_its_p99_and_the_longest(results: Results) -> None:
    row = lags(results, "scan", "uvloop")[0]
    assert row.values == pytest.approx((1.0,))
    assert row.mark == row.end == pytest.approx(3.0)
    assert row.label == "1.00, max 3.00"


def test_curves_go_over_the_loads_that_were_measured(results: Results) -> None:
    found = curves(results, FIGURES["p50_ms"], "asyncio")
    assert list(found) == [FLOOR, LIBRARY, SCYLLAPY]
    assert found[LIBRARY] == [(1, 2.0), (128, 2.0), (8192, 2.0)]


def test_plots_are_the_same_bytes_each_time(results: Results, pictures: dict[str, str]) -> None:
    names = ("throughput", "cpu", "lag", "latency")
    assert sorted(pictures) == sorted(f"benchmark-{name}.svg" for name in names)
    assert plots(results) == pictures


def test_plots_name_every_client_in_text_inside_of_the_picture(pictures: dict[str, str]) -> None:
    for picture in pictures.values():
        root = ElementTree.fromstring(picture)
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        texts = list(root.iter(f"{SVG}text"))
        assert {FLOOR, LIBRARY, SCYLLAPY} <= {text.text for text in texts}
        for text in texts:
            assert 0 <= float(text.attrib["x"]) <= width
            assert 0 <= float(text.attrib["y"]) <= height


def test_plots_of_nothing_are_none() -> None:
    assert plots(Results()) == {}


def test_every_colour_has_a_stand_in_on_dark_pages(pictures: dict[str, str]) -> None:
    for picture in pictures.values():
        style, _, drawn = picture.partition("</style>")
        for part, colour in set(re.findall(r"(fill|stroke): (#\w+)", drawn)):
            rule = f'[style*="{part}: {colour}"]{{{part}:{DARK[colour]}!important}}'
            assert rule in style.partition("prefers-color-scheme:dark")[2]


def test_every_client_has_a_colour_of_its_own() -> None:
    assert set(CLIENT_COLOURS) == set(ENTRANTS)
    assert len(set(CLIENT_COLOURS.values())) == len(ENTRANTS)


def test_content_is_replaced_between_its_marks_only() -> None:
    begin, end = "<!-- table: make bench, x -->", "<!-- end of the table, x -->"
    text = f"before\n{begin}\nold\n{end}\nafter\n"
    once = replaced(text, "x", "new")
    assert once == f"before\n{begin}\n\nnew\n\n{end}\nafter\n"
    assert replaced(once, "x", "new") == once
    with pytest.raises(ValueError, match="'y'"):
        replaced(text, "y", "new")


def test_tables_have_a_column_for_each_client_and_name_what_failed(results: Results) -> None:
    text = result_tables(results)
    assert f"| Requests or rows per second, on uvloop | floor | **{LIBRARY}** | scyllapy |" in text
    assert "| point reads, 128 in flight | 2,000 | 2,000 | 2,000 |" in text
    assert "scyllapy failed scan of 336,776 flights (asyncio, uvloop): `RuntimeError" in text
    assert text.count("RuntimeError") == 1
    assert "medians of 1 rounds" in text


def test_target_table_says_met_or_missed(results: Results) -> None:
    lines = target_table(results).splitlines()
    assert lines[0] == "| target | wanted | asyncio | uvloop |"
    missed = "| point reads, 128 in flight: CPU µs, of floor's | <= 1.50 | **2.00 missed** |"
    assert any(line.startswith(missed) for line in lines)
    assert "| scan: loop lag p99.9, ms | <= 5.00 | 2.00 met | 2.00 met |" in lines


def test_summary_ends_with_the_floor(results: Results) -> None:
    lines = summary_table(results).splitlines()
    assert lines[2].startswith(f"| **{LIBRARY}** | 2,000 / 2,000 | 40.0 / 40.0 |")
    assert lines[-1].startswith("| floor |")


def test_documents_get_what_they_have_marks_for(
    results: Results, pictures: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "docs" / "assets").mkdir(parents=True)
    for name in ("docs/performance-measurements.md", "docs/comparison.md", "README.md"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    write_documents(results, pictures, tmp_path)
    page = (tmp_path / "docs" / "performance-measurements.md").read_text()
    assert target_table(results) in page
    for picture in (tmp_path / "docs" / "assets").iterdir():
        assert f"assets/{picture.name}" in page
    for name in ("docs/comparison.md", "README.md"):
        assert summary_table(results) in (tmp_path / name).read_text()


def test_json_has_every_ratio_and_measurement(results: Results) -> None:
    text = as_json(results)
    assert '"measurements"' in text
    assert as_json(results) == text
    assert ACSYLLA not in text.partition('"targets"')[0]
