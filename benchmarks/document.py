"""The tables and plots of a run in docs/performance-measurements.md, docs/comparison.md and README.md."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.clients import FLOOR, LIBRARY
from benchmarks.environments import ROOT
from benchmarks.results import FIGURES, Figure, Key, Results, short
from benchmarks.targets import Outcome, outcomes
from benchmarks.workloads import WORKLOADS

__all__ = [
    "markdown",
    "replaced",
    "result_tables",
    "summary_table",
    "target_table",
    "write_documents",
]

SUMMARY: Final = ("read-128", "write-128", "lone-read", "scan")

_BEGIN, _END = "<!-- table: make bench, {} -->", "<!-- end of the table, {} -->"
_TABLES: Final = (
    ("Requests or rows per second", ("rate",)),
    ("Client CPU per request or row, µs", ("cpu_us",)),
    ("Latency p50 / p99 / p99.9, ms (of a scan: of a page)", ("p50_ms", "p99_ms", "p999_ms")),
    ("Loop lag p99 / p99.9 / max, ms", ("lag_p99_ms", "lag_p999_ms", "lag_max_ms")),
    ("Context switches per request or row, voluntary / involuntary", ("waits", "preemptions")),
)


def replaced(text: str, name: str, content: str) -> str:
    """Return a document with other content between the marks of that name.

    :raises ValueError: if it has no such marks
    """
    begin, end = _BEGIN.format(name), _END.format(name)
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise ValueError(f"no marks of a table {name!r}")
    return f"{before}{begin}\n\n{content.strip()}\n\n{end}{after}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose first column is text and the others are figures."""
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def _name(client: str) -> str:
    return f"**{client}**" if client == LIBRARY else client


def _cell(results: Results, key: Key, figures: Sequence[Figure]) -> str:
    if key in results.failed:
        return "failed"
    medians = [results.median(key, figure) for figure in figures]
    return " / ".join("-" if value is None else short(value) for value in medians)


def _memory_cell(results: Results, key: Key) -> str:
    growth = results.memory_growth(key)
    return "failed" if key in results.failed else "-" if growth is None else f"{growth / 2**20:.1f}"


def result_tables(results: Results) -> str:
    """Return a table for each figure and loop: a line each workload, a column each client."""
    parts = [_made_on(results)]
    for loop in results.loops:
        for title, names in _TABLES:
            figures = [FIGURES[name] for name in names]

            def cell(key: Key, figures: Sequence[Figure] = figures) -> str:
                return _cell(results, key, figures)

            parts.append(_table(results, f"{title}, on {loop}", loop, cell))

        def memory(key: Key) -> str:
            return _memory_cell(results, key)

        parts.append(_table(results, f"Growth of the resident size, MiB, on {loop}", loop, memory))
    parts.append(_failures(results))
    return "\n\n".join(filter(None, parts))


def _table(results: Results, title: str, loop: str, cell: Callable[[Key], str]) -> str:
    head = [title, *map(_name, results.clients)]
    rows = [
        [WORKLOADS[name].title, *(cell(Key(name, client, loop)) for client in results.clients)]
        for name in results.workloads
    ]
    return markdown(head, rows)


def _made_on(results: Results) -> str:
    """Say what the figures are of: each day's machine and versions once."""
    made = {
        f"{of['day']}: Cassandra {of['cassandra']}, CPython {of['python']}, uvloop {of['uvloop']}, "
        f"{of['system']}, {of['cpus']} cores for client and server"
        for of in results.machines.values()
    }
    rounds = {len(results.rounds(key)) for key in results.keys() if key not in results.failed}  # noqa: SIM118
    counted = " to ".join(map(str, sorted({min(rounds), max(rounds)}))) if rounds else "no"
    return "\n".join(f"- {line}; medians of {counted} rounds" for line in sorted(made))


def _failures(results: Results) -> str:
    """Name what failed, once for both loops if the error is the same."""
    loops: dict[tuple[str, str, str], list[str]] = {}
    for key, error in sorted(results.failed.items()):
        loops.setdefault((key.workload, key.client, error), []).append(key.loop)
    return "\n".join(
        f"- {client} failed {WORKLOADS[workload].title} ({', '.join(where)}): `{error}`"
        for (workload, client, error), where in loops.items()
    )


def target_table(results: Results) -> str:
    """Return each target with what was measured on each loop, and whether it is met."""
    found: dict[str, dict[str, Outcome]] = {}
    for loop in results.loops:
        for outcome in outcomes(results, loop):
            found.setdefault(outcome.title, {})[loop] = outcome
    rows = []
    for title, by_loop in found.items():
        first = next(iter(by_loop.values()))
        wanted = f"{'>=' if first.at_least else '<='} {first.wanted:,.2f}"
        rows.append([title, wanted, *_measured(by_loop, results.loops)])
    return markdown(["target", "wanted", *results.loops], rows)


def _measured(by_loop: dict[str, Outcome], loops: Sequence[str]) -> Iterator[str]:
    for loop in loops:
        outcome = by_loop.get(loop)
        if outcome is None:
            yield "-"
        else:
            measured = f"{outcome.measured:,.2f}"
            yield f"{measured} met" if outcome.is_met else f"**{measured} missed**"


def summary_table(results: Results) -> str:
    """Return a line for each client with what the README shows, both loops in a cell."""
    names = [name for name in SUMMARY if name in results.workloads]
    wanted = {
        "read-128": ("rate", "reads/s"),
        "write-128": ("rate", "writes/s"),
        "lone-read": ("p50_ms", "p50 of a lone read, ms"),
        "scan": ("cpu_us", "scan: CPU per row, µs"),
    }
    columns = [(name, *wanted[name]) for name in names]
    if "read-128" in names:
        columns.insert(1, ("read-128", "cpu_us", "CPU per read, µs"))
    clients = sorted(results.clients, key=lambda client: client == FLOOR)
    rows = [
        [
            _name(client),
            *(_both_loops(results, workload, client, figure) for workload, figure, _ in columns),
        ]
        for client in clients
    ]
    return markdown(["client", *(title for _, _, title in columns)], rows)


def _both_loops(results: Results, workload: str, client: str, figure: str) -> str:
    cells = (
        _cell(results, Key(workload, client, loop), (FIGURES[figure],)) for loop in results.loops
    )
    return " / ".join(cells)


def write_documents(results: Results, pictures: Mapping[str, str], root: Path = ROOT) -> None:
    """Put the run's tables and plots where readers find them.

    :param pictures: the plots by the names of their files
    """
    for name, picture in pictures.items():
        (root / "docs" / "assets" / name).write_text(picture)
    page = root / "docs" / "performance-measurements.md"
    text = replaced(page.read_text(), "targets", target_table(results))
    page.write_text(replaced(text, "results", result_tables(results)))
    for page in (root / "README.md", root / "docs" / "comparison.md"):
        page.write_text(replaced(page.read_text(), "summary", summary_table(results)))
