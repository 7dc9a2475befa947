"""The plots of a run: throughput, CPU, latency against load, loop lag."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from benchmarks import clients
from benchmarks.clients import FLOOR, LIBRARY
from benchmarks.results import FIGURES, Figure, Key, Results, short
from benchmarks.workloads import IN_FLIGHT, WORKLOADS

__all__ = ["CLIENT_COLOURS", "DARK", "Row", "bars", "curves", "lags", "plots"]

type Curves = dict[str, list[tuple[int, float]]]

PAPER, INK, MUTED, GRID = "#ffffff", "#1f2328", "#59636e", "#d8dee4"
CLIENT_COLOURS: Final = {
    FLOOR: "#8c959f",
    LIBRARY: "#0969da",
    clients.ACSYLLA: "#bc4c00",
    clients.SCYLLAPY: "#1a7f37",
    clients.DRIVER: "#8250df",
    clients.SCYLLA_DRIVER: "#bf3989",
    clients.OLDER: "#7d6200",
}
#: each colour's stand-in on a dark page
DARK: Final = {
    PAPER: "#0d1117",
    INK: "#e6edf3",
    MUTED: "#9198a1",
    GRID: "#30363d",
    "#8c959f": "#7d8590",
    "#0969da": "#58a6ff",
    "#bc4c00": "#f0883e",
    "#1a7f37": "#3fb950",
    "#8250df": "#bc8cff",
    "#bf3989": "#f778ba",
    "#7d6200": "#d4a72c",
}
STYLE: Final[dict[Any, Any]] = {
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.12,
    "figure.facecolor": PAPER,
    "figure.titlesize": 12,
    "figure.titleweight": "bold",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "grid.color": GRID,
    "legend.frameon": False,
    "text.color": INK,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": INK,
    # Text stays text, and the same results give the same bytes.
    "svg.fonttype": "none",
    "svg.hashsalt": "async-cassandra",
}

LOADS: Final = {"lone-read": 1} | {f"read-{load}": load for load in IN_FLIGHT}
BARS: Final = (
    *("lone-read", "read-128", "write-128", "partition", "batch"),
    *("scan", "rich-read", "vector-read", "sessions", "three-nodes"),
)
LAGS: Final = ("read-128", "read-8192", "scan", "partition", "vector-read")

_INCHES: Final = 9.8
_COLUMNS: Final = 2
_FAINT: Final = 0.55
_BAR_HEIGHT: Final = 0.7


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

    @property
    def end(self) -> float:
        return max((*self.values, self.mark or 0.0))


def bars(results: Results, workload: str, figure: Figure) -> list[Row]:
    """Return the medians of every client, a bar for each loop."""
    rows = []
    for client in results.clients:
        keys = [Key(workload, client, loop) for loop in results.loops]
        values = [results.median(key, figure) for key in keys]
        if all(value is None for value in values) and not results.failed.keys() & set(keys):
            continue
        label = " / ".join("failed" if value is None else short(value) for value in values)
        found = tuple(value or 0.0 for value in values)
        rows.append(Row(client, found, label if any(found) else "failed"))
    return rows


def lags(results: Results, workload: str, loop: str) -> list[Row]:
    """Return the loop lag of every client: p99, and the longest as a mark."""
    rows = []
    for client in results.clients:
        key = Key(workload, client, loop)
        p99 = results.median(key, FIGURES["lag_p99_ms"])
        longest = results.median(key, FIGURES["lag_max_ms"])
        if p99 is not None and longest is not None:
            rows.append(Row(client, (p99,), f"{short(p99)}, max {short(longest)}", longest))
        elif key in results.failed:
            rows.append(Row(client, (), "failed"))
    return rows


def curves(results: Results, figure: Figure, loop: str) -> Curves:
    """Return each client's figure of point reads by the load, where it was measured."""
    found: Curves = {}
    for client in results.clients:
        for workload, load in LOADS.items():
            if value := results.median(Key(workload, client, loop), figure):
                found.setdefault(client, []).append((load, value))
    return found


def plots(results: Results) -> dict[str, str]:
    """Return the SVG documents of a run by the names of their files; none of what was not measured."""
    loops: list[Artist] = [
        Patch(facecolor=MUTED, alpha=_FAINT if number else 1, label=loop)
        for number, loop in enumerate(results.loops)
    ]
    made = {}
    for name, title, figure in (
        ("throughput", "Requests or rows per second (more is better)", FIGURES["rate"]),
        ("cpu", "Client CPU per request or row, µs (less is better)", FIGURES["cpu_us"]),
    ):
        panels = {WORKLOADS[name].title: bars(results, name, figure) for name in BARS}
        made[name] = _bars(title, panels, loops)
    panels = {
        f"{WORKLOADS[workload].title} ({loop})": lags(results, workload, loop)
        for workload in LAGS
        for loop in results.loops
    }
    shown = [Patch(facecolor=MUTED, label="p99"), Line2D([], [], color=MUTED, label="longest")]
    made["lag"] = _bars("Loop lag, how late a timer fired, ms (less is better)", panels, shown)
    made["latency"] = _latency(results)
    return {f"benchmark-{name}.svg": svg for name, svg in made.items() if svg}


def _picture(title: str, height: float, legend: Sequence[Artist]) -> Picture:
    picture = Picture(figsize=(_INCHES, height), layout="constrained")
    picture.suptitle(title, x=0.01, horizontalalignment="left")
    picture.legend(handles=legend, loc="outside lower center", ncols=len(legend))
    return picture


def _svg(picture: Picture, title: str) -> str:
    """Return the document, with the colours of a dark page for who prefers one."""
    written = io.StringIO()
    about = {"Title": title, "Date": None, "Creator": None}
    picture.savefig(written, format="svg", metadata=about)
    rules = "".join(
        f'[style*="{part}: {light}"]{{{part}:{dark}!important}}'
        for light, dark in DARK.items()
        for part in ("fill", "stroke")
    )
    dark_page = f"@media(prefers-color-scheme:dark){{{rules}}}</style>"
    return written.getvalue().replace("</style>", dark_page, 1)


@rc_context(STYLE)
def _bars(title: str, panels: Mapping[str, Sequence[Row]], legend: Sequence[Artist]) -> str:
    """Draw the panels that have rows, two beside each other; without any there is no picture."""
    found = [(name, rows) for name, rows in panels.items() if rows]
    if not found:
        return ""
    lines = [found[at : at + _COLUMNS] for at in range(0, len(found), _COLUMNS)]
    counts = [max(len(rows) for _, rows in line) for line in lines]
    picture = _picture(title, 0.8 + sum(0.4 + 0.2 * count for count in counts), legend)
    grid = picture.add_gridspec(len(lines), _COLUMNS, height_ratios=counts)
    for number, (line, count) in enumerate(zip(lines, counts, strict=True)):
        for column, (name, rows) in enumerate(line):
            axes = picture.add_subplot(grid[number, column])
            axes.set_title(name)
            axes.set_ylim(count - 0.5, -0.5)
            _draw_rows(axes, rows)
    return _svg(picture, title)


def _draw_rows(axes: Axes, rows: Sequence[Row]) -> None:
    axes.spines[:].set_visible(False)
    axes.set_xticks([])
    axes.set_yticks(range(len(rows)), [row.client for row in rows])
    axes.tick_params(length=0)
    # The labels behind the bars need room.
    axes.set_xlim(0, max(row.end for row in rows) * 1.6 or 1)
    for place, (row, name) in enumerate(zip(rows, axes.get_yticklabels(), strict=True)):
        colour = CLIENT_COLOURS[row.client]
        name.set_fontweight("bold" if row.client == LIBRARY else "normal")
        height = _BAR_HEIGHT / max(len(row.values), 1)
        for number, value in enumerate(row.values):
            top = place - _BAR_HEIGHT / 2 + number * height
            alpha = _FAINT if number else 1
            axes.barh(top, value, height * 0.95, align="edge", color=colour, alpha=alpha)
        if row.mark is not None:
            axes.plot([0, row.mark], [place, place], color=colour, marker="|", markevery=[1], lw=1)
        at = (row.end, place)
        axes.annotate(
            row.label, at, (4, 0), textcoords="offset points", va="center_baseline", color=MUTED
        )


@rc_context(STYLE)
def _latency(results: Results) -> str:
    loops = [loop for loop in results.loops if curves(results, FIGURES["p50_ms"], loop)]
    if not loops:
        return ""
    title = "Latency of point reads by requests in flight, ms (less is better)"
    names = [Line2D([], [], label=name, **_line(name)) for name in results.clients]
    picture = _picture(title, 0.8 + 3 * len(loops), names)
    charts = picture.subplots(len(loops), 2, sharex=True, sharey=True, squeeze=False)
    for loop, line in zip(loops, charts, strict=True):
        for axes, percentile in zip(line, ("p50", "p99"), strict=True):
            axes.set_title(f"{percentile} ({loop})")
            _draw_curves(axes, curves(results, FIGURES[f"{percentile}_ms"], loop))
    return _svg(picture, title)


def _draw_curves(axes: Axes, found: Curves) -> None:
    for client, points in found.items():
        axes.loglog(*zip(*points, strict=True), **_line(client))
    axes.spines[:].set_visible(False)
    axes.grid(axis="y")
    axes.set_xticks(list(LOADS.values()), [f"{load:,}" for load in LOADS.values()])
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.tick_params(length=0, labelleft=True, labelbottom=True)
    axes.minorticks_off()


def _line(client: str) -> dict[str, Any]:
    """Return how a client's line looks: this library's is thick and above the others."""
    ours = client == LIBRARY
    return {
        "color": CLIENT_COLOURS[client],
        "linestyle": "--" if client == FLOOR else "-",
        "linewidth": 2.6 if ours else 1.5,
        "marker": "o",
        "markersize": 3,
        "zorder": 3 if ours else 2,
    }
