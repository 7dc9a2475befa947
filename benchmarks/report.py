"""The results for people and for programs."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.clients import FLOOR, LIBRARY
from benchmarks.results import FIGURES, Figure, Key, Results, spread, summary
from benchmarks.targets import outcomes
from benchmarks.workloads import WORKLOADS, Workload

__all__ = ["as_json", "show"]

_SHOWN = ("p50_ms", "p99_ms", "p999_ms", "waits", "lag_p99_ms", "lag_max_ms")


def show(results: Results, console: Console) -> None:
    """Print a table for each workload and loop, then the targets."""
    for name in results.workloads:
        for loop in results.loops:
            keys = [Key(name, client, loop) for client in results.clients]
            if any(results.rounds(key) or key in results.failed for key in keys):
                console.print(_table(results, WORKLOADS[name], keys))
    console.print(
        "Medians; ± is half of the range over the rounds. 'of floor' is the ratio to the floor's, "
        f"'ours' that of {LIBRARY} to this client's, in the same rounds.",
        highlight=False,
    )
    console.print(_targets(results))
    for key, difference in results.wrong(LIBRARY):
        console.print(f"[red]{' '.join(key)}: {difference}[/]")


def _table(results: Results, workload: Workload, keys: Sequence[Key]) -> Table:
    title = f"{workload.title} ({keys[0].loop}), each is a {workload.unit}"
    table = Table(title=title, caption_justify="left")
    table.add_column("client", no_wrap=True)
    for figure in (FIGURES["rate"], FIGURES["cpu_us"]):
        for title in (figure.title, "of floor", "ours"):
            table.add_column(title, justify="right", no_wrap=True)
    for name in _SHOWN:
        table.add_column(FIGURES[name].title, justify="right", overflow="fold")
    table.add_column("memory MiB", justify="right", overflow="fold")
    if workload.nodes > 1:
        table.add_column("to owner", justify="right", overflow="fold")
    for key in keys:
        if key in results.failed:
            table.add_row(key.client, "[red]failed[/]")
        elif results.rounds(key):
            table.add_row(*_cells(results, workload, key))
    failures = [f"{key.client}: {results.failed[key]}" for key in keys if key in results.failed]
    table.caption = "\n".join(failures)
    return table


def _cells(results: Results, workload: Workload, key: Key) -> Iterable[str]:
    yield f"[bold]{key.client}[/]" if key.client == LIBRARY else key.client
    for figure in (FIGURES["rate"], FIGURES["cpu_us"]):
        low, high = spread(results.values(key, figure))
        yield f"{_shown(results, key, figure)} ±{format((high - low) / 2, figure.format)}"
        yield _ratio(results, key, key._replace(client=FLOOR), figure)
        yield _ratio(results, key._replace(client=LIBRARY), key, figure)
    for name in _SHOWN:
        yield _shown(results, key, FIGURES[name])
    yield f"{(results.memory_growth(key) or 0) / 2**20:.1f}"
    if workload.nodes > 1:
        share = results.routed.get(key)
        yield "-" if share is None else f"{share:.1%}"


def _shown(results: Results, key: Key, figure: Figure) -> str:
    value = results.median(key, figure)
    return "-" if value is None else format(value, figure.format)


def _ratio(results: Results, key: Key, other: Key, figure: Figure) -> str:
    ratio = results.ratio(key, other, figure)
    return "-" if ratio is None else f"{ratio:.2f}"


def _targets(results: Results) -> Table:
    table = Table(title=f"targets of {LIBRARY}")
    for title in ("target", "loop", "measured", "wanted", ""):
        table.add_column(title, justify="left" if title == "target" else "right")
    for loop in results.loops:
        for outcome in outcomes(results, loop):
            verdict = "[green]met[/]" if outcome.is_met else "[red]missed[/]"
            sign = ">=" if outcome.at_least else "<="
            wanted = f"{sign} {outcome.wanted:,.2f}"
            table.add_row(outcome.title, loop, f"{outcome.measured:,.2f}", wanted, verdict)
    return table


def as_json(results: Results) -> str:
    """Return the medians, spreads and ratios, the targets, and every measurement."""
    report: dict[str, Any] = {
        "workloads": {name: WORKLOADS[name].title for name in results.workloads},
        "results": summary(results),
        "targets": [
            asdict(outcome) | {"is_met": outcome.is_met}
            for loop in results.loops
            for outcome in outcomes(results, loop)
        ],
        "wrong_rows": {" ".join(key): text for key, text in results.wrong(LIBRARY)},
        "measurements": [
            {**at.key._asdict(), "round": at.round, **asdict(measured)}
            for at, measured in results.measured.items()
        ],
    }
    return json.dumps(report, indent=1)
