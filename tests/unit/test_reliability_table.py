"""The table of docs/reliability.md: what a run of the fault tests changes in it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from scripts.reliability import BEGIN, DOCUMENT, END, Row, named, read_figures, read_table, updated

HUNG = "tests/faults/test_hung_node.py::test_hang_fails_nothing[uvloop-long-1]"
EMPTY = f"before\n\n{BEGIN}\n{END}\n\nafter\n"


def row(figure: str, day: str = "2026-01-02") -> Row:
    return Row("2", "hang fails nothing, long-1", figure, "uvloop", day)


def test_test_id_is_shown_in_words() -> None:
    assert named(HUNG) == ("hang fails nothing, long-1", "uvloop")
    assert named("a.py::test_a[asyncio-debug-half_open]") == ("a, half open", "asyncio-debug")
    assert named("a.py::test_a[long-asyncio]") == ("a, long", "asyncio")
    assert named("a.py::test_a[uvloop]") == ("a", "uvloop")
    assert named("mutated payloads") == ("mutated payloads", "")


def test_row_is_replaced_and_others_stay() -> None:
    other = Row("8", "mutated payloads", "1,000 inputs", "", "2026-01-01")
    text = updated(EMPTY, [row("1 failed"), other], [HUNG], "one")
    text = updated(text, [row("none | failed", "2026-01-03")], [HUNG], "two")
    rows, versions = read_table(text)
    assert rows == [row("none | failed", "2026-01-03"), other]
    assert versions == {"2026-01-01": "one", "2026-01-03": "two"}
    assert text.partition(BEGIN)[0] == "before\n\n"
    assert text.partition(END)[2] == "\n\nafter\n"


def test_tests_of_a_module_that_hold_share_a_row() -> None:
    failed = Row("6", "a", "**failed**", "uvloop", "2026-01-02", "tests/net/test_times.py")
    others = [replace(failed, test=test, figure="holds") for test in ("b", "c")]
    ids = [f"tests/net/test_times.py::test_{name}[uvloop]" for name in "abc"]
    text = updated(EMPTY, [failed, *others], ids, "one")
    shared = Row("6", "net/test_times.py", "2 tests hold", "", "2026-01-02")
    assert read_table(text)[0] == [shared, failed]
    text = updated(text, [replace(failed, figure="holds"), *others], ids, "two")
    assert read_table(text)[0] == [replace(shared, figure="3 tests hold")]


def test_row_of_a_removed_test_goes() -> None:
    text = updated(EMPTY, [row("none")], [HUNG], "one")
    assert read_table(updated(text, [], ["a.py::test_a[uvloop]"], "two"))[0] == []


def test_rows_are_in_the_order_of_the_promises() -> None:
    rows = [Row(str(item), "a", "1", "", "2026-01-02") for item in (10, 9, 1)]
    found, _ = read_table(updated(EMPTY, rows, [], "one"))
    assert [row.item for row in found] == ["1", "9", "10"]


def test_figures_are_read(tmp_path: Path) -> None:
    figure = {"item": "2", "test": HUNG, "figure": "none", "date": "2026-01-02"}
    (tmp_path / "a.json").write_text(json.dumps(figure))
    assert read_figures(tmp_path) == [row("none")]


def test_document_has_its_table() -> None:
    text = DOCUMENT.read_text()
    rows, versions = read_table(text)
    assert text.index(BEGIN) < text.index(END)
    assert {row.day for row in rows} == set(versions)
