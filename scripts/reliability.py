"""Write the figures of the last `make faults` into the table of docs/reliability.md.

usage: python scripts/reliability.py

The document is the store: a row stays until its test runs again or is no more. The files with the
figures are deleted once they are in it.
"""

import json
import os
import platform
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from async_cassandra.server.distribution import DEFAULT_VERSION

ROOT = Path(__file__).resolve().parent.parent
FIGURES = ROOT / "build" / "figures"
DOCUMENT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- table: make faults -->", "<!-- end of the table -->"
HEAD = "| what holds | test | figures | loop | date |\n|---|---|---|---|---|\n"

PROMISES = {
    "1": "A node killed",
    "2": "A node that hangs",
    "3": "A network that lies",
    "4": "Overload",
    "5": "Cancellation",
    "6": "Deadlines",
    "7": "Lifecycle",
    "8": "Hostile bytes",
    "9": "Security",
    "10": "Idempotence",
}
# What tests/support/figures.py says of a test without a figure.
HOLDS = "holds"
LOOPS = ("asyncio-debug", "asyncio", "uvloop")


@dataclass(frozen=True, slots=True)
class Row:
    """One test's last result.

    :ivar item: a key of :data:`PROMISES`
    :ivar day: when it ran, as ``2026-01-31``
    :ivar module: the test's file, where it is known
    """

    item: str
    test: str
    figure: str
    loop: str
    day: str
    module: str = field(default="", compare=False)

    def __str__(self) -> str:
        promise = f"{self.item}. {PROMISES[self.item]}"
        cells = (promise, self.test, self.figure, self.loop, self.day)
        return f"| {' | '.join(' '.join(cell.replace('|', '\\|').split()) for cell in cells)} |"


def named(test: str) -> tuple[str, str]:
    """A test's id in words, and its loop; the name that another program gave stays as it is."""
    _, found, name = test.partition("::test_")
    if not found:
        return test, ""
    function, _, variant = name.removesuffix("]").partition("[")
    loop = next((loop for loop in LOOPS if re.search(rf"(^|-){loop}(-|$)", variant)), "")
    words = [function, "-".join(part for part in variant.replace(loop, "", 1).split("-") if part)]
    return ", ".join(word.replace("_", " ") for word in words if word), loop


def read_figures(folder: Path) -> list[Row]:
    """The results of the tests that ran since the table was last written."""
    rows = []
    for path in sorted(folder.glob("*.json")):
        figure = json.loads(path.read_text())
        test, loop = named(figure["test"])
        module = figure["test"].partition("::")[0]
        rows.append(Row(str(figure["item"]), test, figure["figure"], loop, figure["date"], module))
    return rows


def together(rows: Iterable[Row]) -> list[Row]:
    """One row for those tests of a module that hold and have no figure."""
    modules = Counter((row.item, row.module, row.day) for row in rows if row.figure == HOLDS)
    return [
        Row(item, module.removeprefix("tests/"), f"{count} tests hold", "", day)
        for (item, module, day), count in modules.items()
    ]


def read_table(text: str) -> tuple[list[Row], dict[str, str]]:
    """The rows of the document, and the versions of each day on which one of them was measured."""
    table = text.partition(BEGIN)[2].partition(END)[0]
    versions = dict(re.findall(r"^- ([\d-]{10}): (.+)$", table, re.MULTILINE))
    rows = []
    for line in table.splitlines():
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        item = cells[0].partition(".")[0] if cells else ""
        if item in PROMISES:
            rows.append(Row(item, *cells[1:]))
    return rows, versions


def updated(text: str, measured: list[Row], tests: list[str], versions: str) -> str:
    """The document's text with ``measured`` in its table.

    :param tests: the ids of all tests of a promise, in their order; rows of others are dropped
    :param versions: what ``measured`` ran with
    """
    rows, known = read_table(text)
    table = {(row.item, row.test, row.loop): row for row in rows}
    for row in measured:
        table[row.item, row.test, row.loop] = row
        known[row.day] = versions
    table = {key: row for key, row in table.items() if row.figure != HOLDS}
    table |= {(row.item, row.test, row.loop): row for row in together(measured)}
    present = list(dict.fromkeys(named(test)[0] for test in tests))
    functions = [test.partition(",")[0] for test in present]
    kept = [row for row in table.values() if not row.loop or row.test in present]

    def place(row: Row) -> tuple[int, int, str, str]:
        at = functions.index(row.test.partition(",")[0]) if row.loop else -1
        return int(row.item), at, row.test, row.loop

    kept.sort(key=place)
    days = sorted({row.day for row in kept})
    head = "".join(f"- {day}: {known.get(day, versions)}\n" for day in days)
    body = "".join(f"{row}\n" for row in kept)
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{head}\n{HEAD}{body}\n{END}{rest.partition(END)[2]}"


def all_tests() -> list[str]:
    """The ids of all tests of a promise."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "promise", "tests"]
    shown = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return [line for line in shown.stdout.splitlines() if "::" in line]


def main() -> None:
    measured = read_figures(FIGURES)
    if not measured:
        print("No figures since the table was written.")
        return
    versions = (
        f"async-cassandra {version('async-cassandra')}, "
        f"cassandra-driver {version('cassandra-driver')}, Cassandra {DEFAULT_VERSION}, "
        f"{platform.python_implementation()} {platform.python_version()}, "
        f"uvloop {version('uvloop')}, {os.cpu_count()} cores"
    )
    DOCUMENT.write_text(updated(DOCUMENT.read_text(), measured, all_tests(), versions))
    for path in FIGURES.glob("*.json"):
        path.unlink()
    print(f"{len(measured)} rows written into {DOCUMENT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
