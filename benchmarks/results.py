"""The measurements of a run: kept line by line while it goes on, put in relation afterwards."""

import json
import os
import platform
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from async_cassandra.server.distribution import DEFAULT_VERSION
from benchmarks.clients import ENTRANTS, LOOPS
from benchmarks.measure import Measurement
from benchmarks.workloads import WORKLOADS

__all__ = [
    "FIGURES",
    "Figure",
    "Key",
    "Results",
    "Slice",
    "forget",
    "machine",
    "short",
    "spread",
    "summary",
]


class Key(NamedTuple):
    """Whose figures."""

    workload: str
    client: str
    loop: str


class Slice(NamedTuple):
    """One slice of time: a round of one client on one loop; round 0 is for warming up."""

    key: Key
    round: int


@dataclass(frozen=True)
class Figure:
    """A number made of each measurement."""

    name: str
    title: str
    of: Callable[[Measurement], float]
    format: str


def _each(count: Callable[[Measurement], float]) -> Callable[[Measurement], float]:
    return lambda measured: count(measured) / max(measured.operations, 1)


FIGURES: Final = {
    figure.name: figure
    for figure in (
        Figure("rate", "per second", lambda m: m.operations / m.seconds, ",.0f"),
        Figure("cpu_us", "CPU µs", _each(lambda m: m.cpu_seconds * 1e6), ",.2f"),
        Figure("p50_ms", "p50 ms", lambda m: m.p50 * 1e3, ",.3f"),
        Figure("p99_ms", "p99 ms", lambda m: m.p99 * 1e3, ",.2f"),
        Figure("p999_ms", "p99.9 ms", lambda m: m.p999 * 1e3, ",.2f"),
        Figure("waits", "waits", _each(lambda m: m.voluntary_switches), ",.2f"),
        Figure("preemptions", "preempted", _each(lambda m: m.involuntary_switches), ",.2f"),
        Figure("lag_p99_ms", "lag p99", lambda m: m.lag_p99 * 1e3, ",.2f"),
        Figure("lag_p999_ms", "lag p99.9", lambda m: m.lag_p999 * 1e3, ",.2f"),
        Figure("lag_max_ms", "lag max", lambda m: m.lag_max * 1e3, ",.1f"),
    )
}


def short(value: float) -> str:
    """Return a figure in as many digits as it is worth: three significant ones, at least."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Return the smallest and the largest."""
    return min(values), max(values)


def machine() -> dict[str, str]:
    """Say what a run was made on."""
    return {
        "day": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "uvloop": version("uvloop"),
        "cassandra": DEFAULT_VERSION,
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": str(os.cpu_count()),
    }


def forget(path: Path, workloads: Iterable[str]) -> None:
    """Drop all lines of some workloads from a run's file, so that they are measured anew."""
    dropped = set(workloads)
    lines = path.read_text().splitlines(keepends=True) if path.exists() else ()
    path.write_text("".join(line for line in lines if json.loads(line)["workload"] not in dropped))


class Results:
    """The measurements of a run, appended to a file as they come.

    :param path: lines of JSON; what is there already is kept and not measured again
    """

    def __init__(self, path: Path | None = None) -> None:
        self.measured: dict[Slice, Measurement] = {}
        self.failed: dict[Key, str] = {}
        self.digests: dict[Key, str] = {}
        self.routed: dict[Key, float] = {}
        self.machines: dict[Key, dict[str, str]] = {}
        self._path = path
        if path is not None and path.exists():
            for line in path.read_text().splitlines():
                self._take(json.loads(line))

    def _take(self, line: dict[str, Any]) -> None:
        key = Key(line["workload"], line["client"], line["loop"])
        match line["kind"]:
            case "measured":
                self.measured[Slice(key, line["round"])] = Measurement(**line["value"])
            case "failed":
                self.failed[key] = line["value"]
            case "digest":
                self.digests[key] = line["value"]
            case "routed":
                self.routed[key] = line["value"]
            case "machine":
                self.machines[key] = line["value"]

    def _append(self, kind: str, key: Key, value: Any, **more: int) -> None:
        line = {"kind": kind, **key._asdict(), **more, "value": value}
        self._take(line)
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps(line) + "\n")

    def measure(self, key: Key, number: int, measurement: Measurement) -> None:
        self._append("measured", key, asdict(measurement), round=number)

    def fail(self, key: Key, error: str) -> None:
        self._append("failed", key, error)

    def verify(self, key: Key, digest: str) -> None:
        self._append("digest", key, digest)

    def route(self, key: Key, share: float) -> None:
        self._append("routed", key, share)

    def begin(self, key: Key) -> None:
        """Note on what and when a client was measured."""
        self._append("machine", key, machine())

    def has(self, key: Key, number: int) -> bool:
        """Whether a slice needs no measuring (any more)."""
        return key in self.failed or Slice(key, number) in self.measured

    def rounds(self, key: Key) -> dict[int, Measurement]:
        """Return the rounds that count; nothing for a client that failed."""
        if key in self.failed:
            return {}
        return {at.round: m for at, m in self.measured.items() if at.key == key and at.round > 0}

    def values(self, key: Key, figure: Figure) -> list[float]:
        return [figure.of(measured) for measured in self.rounds(key).values()]

    def median(self, key: Key, figure: Figure) -> float | None:
        values = self.values(key, figure)
        return median(values) if values else None

    def ratio(self, key: Key, other: Key, figure: Figure) -> float | None:
        """Return the median of the ratios of two clients in the same rounds."""
        mine, theirs = self.rounds(key), self.rounds(other)
        ratios = [
            figure.of(mine[number]) / below
            for number in mine.keys() & theirs.keys()
            if (below := figure.of(theirs[number]))
        ]
        return median(ratios) if ratios else None

    def memory_growth(self, key: Key) -> int | None:
        """Return the largest growth of all rounds, that for warming up too.

        In the others the process has allocated before the slice what it reuses there.
        """
        if key in self.failed:
            return None
        found = [m.memory_growth for at, m in self.measured.items() if at.key == key]
        return max(found) if found else None

    def keys(self) -> list[Key]:
        """Return all keys in the order of the workloads, the clients and the loops."""
        known = {at.key for at in self.measured} | self.failed.keys()
        return [
            key
            for workload in WORKLOADS
            for client in ENTRANTS
            for loop in LOOPS
            if (key := Key(workload, client, loop)) in known
        ]

    @property
    def workloads(self) -> list[str]:
        return list(dict.fromkeys(key.workload for key in self.keys()))

    @property
    def clients(self) -> list[str]:
        known = {key.client for key in self.keys()}
        return [client for client in ENTRANTS if client in known]

    @property
    def loops(self) -> list[str]:
        known = {key.loop for key in self.keys()}
        return [loop for loop in LOOPS if loop in known]

    def wrong(self, reference: str) -> Iterator[tuple[Key, str]]:
        """Yield whose rows differ from those of the reference client, with what it had."""
        for key, digest in self.digests.items():
            wanted = self.digests.get(key._replace(client=reference))
            if wanted is not None and digest != wanted:
                yield key, f"other rows than {reference}: {digest}, not {wanted}"


def summary(results: Results) -> list[dict[str, Any]]:
    """Return each key's medians, spreads and ratios, ready for JSON."""
    entries = []
    for key in results.keys():  # noqa: SIM118 - it is no mapping
        entry: dict[str, Any] = dict(key._asdict())
        if key in results.failed:
            entries.append(entry | {"failed": results.failed[key]})
            continue
        for figure in FIGURES.values():
            values = results.values(key, figure)
            if values:
                low, high = spread(values)
                entry[figure.name] = {"median": median(values), "min": low, "max": high}
        entry["rounds"] = len(results.rounds(key))
        entry["memory_growth_bytes"] = results.memory_growth(key)
        entry["digest"] = results.digests.get(key)
        entry["share_to_owner"] = results.routed.get(key)
        entry["machine"] = results.machines.get(key)
        entries.append(entry | {"ratios": _ratios(results, key)})
    return entries


def _ratios(results: Results, key: Key) -> dict[str, dict[str, float]]:
    """Return each figure's ratio to that of every other client, by client and figure."""
    ratios: dict[str, dict[str, float]] = defaultdict(dict)
    for name in results.clients:
        for figure in FIGURES.values():
            ratio = results.ratio(key, key._replace(client=name), figure)
            if name != key.client and ratio is not None:
                ratios[name][figure.name] = ratio
    return ratios
