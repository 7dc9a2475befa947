"""The plots of a run: throughput, CPU, latency against load, loop lag."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks import clients
from benchmarks.clients import FLOOR, LIBRARY
from benchmarks.results import FIGURES, Figure, Key, Results
from benchmarks.svg import Drawing
from benchmarks.workloads import IN_FLIGHT, WORKLOADS

__all__ = ["Curve", "Panel", "Row", "bars", "curves", "lags", "plots"]

CLIENT_COLOURS: Final = {
    FLOOR: "grey",
    LIBRARY: "blue",
    clients.ACSYLLA: "orange",
    clients.SCYLLAPY: "green",
    clients.DRIVER: "purple",
    clients.SCYLLA_DRIVER: "pink",
    clients.OLDER: "yellow",
}
LOADS: Final = {"lone-read": 1} | {f"read-{load}": load for load in IN_FLIGHT}
BARS: Final = (
    "lone-read",
    "read-128",
    "write-128",
    "partition",
    "batch",
    "scan",
    "rich-read",
    "vector-read",
    "sessions",
    "three-nodes",
)
LAGS: Final = ("read-128", "read-8192", "scan", "partition", "vector-read")

_WIDTH: Final = 980
_COLUMNS: Final = 2
_PANEL_WIDTH: Final = 474
_NAME_WIDTH: Final = 138
_BARS_WIDTH: Final = 212
_ROW: Final = 20
_TOP: Final = 58


@dataclass(frozen=True)
class Row:
    """What a panel shows of a client.

    :ivar values: a bar each; none for a client that failed
    :ivar mark: a value to mark beyond the bars
    """

    client: str
    values: tuple[float, ...]
    label: str
    mark: float | None = None


@dataclass(frozen=True)
class Panel:
    title: str
    rows: tuple[Row, ...]

    @property
    def longest(self) -> float:
        values = [value for row in self.rows for value in (*row.values, row.mark or 0.0)]
        return max(values, default=0.0) or 1.0


@dataclass(frozen=True)
class Curve:
    """A client's figure by the number of requests in flight."""

    client: str
    points: tuple[tuple[int, float], ...]


def _short(value: float) -> str:
    """Return three significant digits, at least."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}"


def bars(results: Results, workload: str, figure: Figure) -> Panel:
    """Return the medians of every client, a bar for each loop."""
    rows = []
    for client in results.clients:
        keys = [Key(workload, client, loop) for loop in results.loops]
        values = [results.median(key, figure) for key in keys]
        if all(value is None for value in values) and not results.failed.keys() & set(keys):
            continue
        label = " / ".join("failed" if value is None else _short(value) for value in values)
        found = tuple(value or 0.0 for value in values)
        rows.append(Row(client, found, "failed" if not any(found) else label))
    return Panel(WORKLOADS[workload].title, tuple(rows))


def lags(results: Results, workload: str, loop: str) -> Panel:
    """Return the loop lag of every client: p99, and the longest as a mark."""
    rows = []
    for client in results.clients:
        key = Key(workload, client, loop)
        p99 = results.median(key, FIGURES["lag_p99_ms"])
        longest = results.median(key, FIGURES["lag_max_ms"])
        if p99 is not None and longest is not None:
            label = f"{_short(p99)}, max {_short(longest)}"
            rows.append(Row(client, (p99,), label, longest))
        elif key in results.failed:
            rows.append(Row(client, (), "failed"))
    return Panel(f"{WORKLOADS[workload].title} ({loop})", tuple(rows))


def curves(results: Results, figure: Figure, loop: str) -> list[Curve]:
    """Return each client's figure of point reads against the load, where it was measured."""
    found = []
    for client in results.clients:
        points = tuple(
            (load, value)
            for workload, load in LOADS.items()
            if (value := results.median(Key(workload, client, loop), figure))
        )
        if points:
            found.append(Curve(client, points))
    return found


def plots(results: Results) -> dict[str, str]:
    """Return the SVG documents of a run by the names of their files."""
    loops = " / ".join(results.loops)
    made = {}
    for name, title, figure in (
        ("throughput", "Requests or rows per second (more is better)", FIGURES["rate"]),
        ("cpu", "Client CPU per request or row, µs (less is better)", FIGURES["cpu_us"]),
    ):
        panels = [bars(results, workload, figure) for workload in BARS]
        made[f"benchmark-{name}.svg"] = _panels(title, f"Medians; bars: {loops}", panels)
    panels = [lags(results, workload, loop) for workload in LAGS for loop in results.loops]
    note = "How late a timer of 2 ms fired; bar: p99, line: the longest"
    made["benchmark-lag.svg"] = _panels("Loop lag, ms (less is better)", note, panels)
    if any(curves(results, FIGURES["p50_ms"], loop) for loop in results.loops):
        made["benchmark-latency.svg"] = _latency(results)
    return made


def _panels(title: str, note: str, panels: Sequence[Panel]) -> str:
    panels = [panel for panel in panels if panel.rows]
    lines = [panels[at : at + _COLUMNS] for at in range(0, len(panels), _COLUMNS)]
    heights = [max(len(panel.rows) for panel in line) * _ROW + 34 for line in lines]
    drawing = Drawing(_WIDTH, _TOP + sum(heights) + 8, title)
    drawing.text((16, 46), note, "muted")
    y = float(_TOP)
    for line, height in zip(lines, heights, strict=True):
        for column, panel in enumerate(line):
            _panel(drawing, 16 + column * _PANEL_WIDTH, y, panel)
        y += height
    return str(drawing)


def _panel(drawing: Drawing, x: float, y: float, panel: Panel) -> None:
    drawing.text((x, y + 16), panel.title, "ink strong")
    scale = _BARS_WIDTH / panel.longest
    left = x + _NAME_WIDTH
    for number, row in enumerate(panel.rows):
        top = y + 24 + number * _ROW
        weight = "ink strong" if row.client == LIBRARY else "ink"
        drawing.text((left - 8, top + 12), row.client, f"{weight} small", "end")
        thickness = 14 / max(len(row.values), 1)
        for at, value in enumerate(row.values):
            style = CLIENT_COLOURS[row.client] + (" faint" if at else "")
            width = max(value * scale, 0.5 if value else 0.0)
            drawing.bar((left, top + 1 + at * thickness), width, thickness - 0.5, style)
        end = max((*row.values, row.mark or 0.0)) * scale
        if row.mark is not None:
            at_mark = left + row.mark * scale
            line = f"{CLIENT_COLOURS[row.client]}-line"
            drawing.line([(left, top + 8), (at_mark, top + 8)], f"{line} thin")
            drawing.line([(at_mark, top + 3), (at_mark, top + 13)], line)
        drawing.text((left + end + 6, top + 12), row.label, "muted small")


# Latency against load

_CHART_WIDTH: Final = 400
_CHART_HEIGHT: Final = 220


def _latency(results: Results) -> str:
    charts = [
        (f"{title} ({loop})", found)
        for loop in results.loops
        for title, figure in (("p50, ms", "p50_ms"), ("p99, ms", "p99_ms"))
        if (found := curves(results, FIGURES[figure], loop))
    ]
    lines = (len(charts) + 1) // _COLUMNS
    drawing = Drawing(
        _WIDTH, _TOP + lines * (_CHART_HEIGHT + 70) + 34, "Latency of point reads against load"
    )
    drawing.text((16, 46), "By requests in flight; both axes logarithmic; less is better", "muted")
    every = [value for _, found in charts for curve in found for _, value in curve.points]
    low, high = math.floor(math.log10(min(every))), math.ceil(math.log10(max(every)))
    for number, (title, found) in enumerate(charts):
        x = 64 + number % _COLUMNS * _PANEL_WIDTH
        y = _TOP + number // _COLUMNS * (_CHART_HEIGHT + 70)
        _chart(drawing, x, y, title, found, (low, max(high, low + 1)))
    _legend(drawing, _TOP + lines * (_CHART_HEIGHT + 70) + 14, results.clients)
    return str(drawing)


def _chart(
    drawing: Drawing,
    x: float,
    y: float,
    title: str,
    found: Sequence[Curve],
    decades: tuple[int, int],
) -> None:
    drawing.text((x, y + 16), title, "ink strong")
    low, high = decades
    bottom = y + 28 + _CHART_HEIGHT
    loads = list(LOADS.values())

    def across(load: float) -> float:
        return x + math.log(load) / math.log(loads[-1]) * _CHART_WIDTH

    def up(value: float) -> float:
        return bottom - (math.log10(value) - low) / (high - low) * _CHART_HEIGHT

    for decade in range(low, high + 1):
        at = up(10.0**decade)
        drawing.line([(x, at), (x + _CHART_WIDTH, at)], "grid-line thin")
        drawing.text((x - 8, at + 4), f"{10.0**decade:g}", "muted small", "end")
    for load in loads:
        drawing.text((across(load), bottom + 18), f"{load:,}", "muted small", "middle")
    for curve in _library_last(found):
        _curve(drawing, curve, across, up)


def _library_last(found: Sequence[Curve]) -> Iterator[Curve]:
    """Draw this library above the others."""
    yield from sorted(found, key=lambda curve: curve.client == LIBRARY)


def _curve(
    drawing: Drawing,
    curve: Curve,
    across: Callable[[float], float],
    up: Callable[[float], float],
) -> None:
    colour = CLIENT_COLOURS[curve.client]
    points = [(across(load), up(value)) for load, value in curve.points]
    dashed = " dashed" if curve.client == FLOOR else ""
    thick = " thick" if curve.client == LIBRARY else ""
    drawing.line(points, f"{colour}-line{thick}{dashed}")
    for point in points:
        drawing.dot(point, colour)


def _legend(drawing: Drawing, y: float, names: Sequence[str]) -> None:
    x = 24.0
    for name in names:
        drawing.bar((x, y - 8), 18, 4, CLIENT_COLOURS[name])
        drawing.text((x + 24, y), name, "ink strong small" if name == LIBRARY else "ink small")
        x += 44 + len(name) * 6.4
