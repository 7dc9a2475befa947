"""What this library wants to reach, in ratios within one run."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from benchmarks import clients
from benchmarks.clients import FLOOR, LIBRARY
from benchmarks.results import FIGURES, Key, Results
from benchmarks.workloads import IN_FLIGHT, WORKLOADS

__all__ = ["Outcome", "outcomes"]

MEMORY_BYTES: Final = 4096


@dataclass(frozen=True)
class Outcome:
    """A target and what became of it.

    :ivar at_least: whether ``wanted`` is a lower bound
    """

    title: str
    loop: str
    measured: float
    wanted: float
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        return self.measured >= self.wanted if self.at_least else self.measured <= self.wanted


# workload, figure, compared with, wanted, at least
_RATIOS: Final = (
    ("read-128", "rate", clients.OLDER, 20.0, True),
    ("read-128", "rate", clients.ACSYLLA, 1.3, True),
    ("read-128", "rate", clients.SCYLLAPY, 3.0, True),
    ("read-128", "cpu_us", clients.ACSYLLA, 0.5, False),
    ("read-128", "cpu_us", FLOOR, 1.5, False),
    ("write-128", "rate", clients.OLDER, 12.0, True),
    ("write-128", "rate", clients.ACSYLLA, 1.2, True),
    ("write-128", "cpu_us", clients.ACSYLLA, 0.6, False),
    ("write-128", "cpu_us", FLOOR, 1.5, False),
    ("lone-read", "p50_ms", clients.ACSYLLA, 0.9, False),
    ("lone-read", "p50_ms", clients.OLDER, 0.45, False),
    ("lone-read", "p50_ms", FLOOR, 1.15, False),
    ("lone-read", "cpu_us", FLOOR, 1.5, False),
    ("scan", "cpu_us", clients.ACSYLLA, 0.4, False),
    ("scan", "cpu_us", clients.DRIVER, 0.33, False),
    *((f"read-{load}", "cpu_us", FLOOR, 1.5, False) for load in IN_FLIGHT if load != 128),
    ("vector-read", "cpu_us", clients.DRIVER, 0.1, False),
    ("vector-write", "cpu_us", clients.DRIVER, 0.1, False),
    ("three-nodes", "cpu_us", FLOOR, 1.5, False),
)


def outcomes(results: Results, loop: str) -> Iterator[Outcome]:
    """Yield each target of which all figures were measured on a loop."""
    for workload, figure, other, wanted, at_least in _RATIOS:
        mine = Key(workload, LIBRARY, loop)
        ratio = results.ratio(mine, mine._replace(client=other), FIGURES[figure])
        if ratio is not None:
            title = f"{WORKLOADS[workload].title}: {FIGURES[figure].title}, of {other}'s"
            yield Outcome(title, loop, ratio, wanted, at_least)
    yield from _absolute(results, loop)
    yield from _loads(results, loop)


def _median(results: Results, workload: str, figure: str, loop: str, client: str) -> float | None:
    return results.median(Key(workload, client, loop), FIGURES[figure])


def _absolute(results: Results, loop: str) -> Iterator[Outcome]:
    waits = _median(results, "lone-read", "waits", loop, LIBRARY)
    if waits is not None:
        yield Outcome("lone read: voluntary context switches", loop, waits, 1.1)
    lag = _median(results, "scan", "lag_p999_ms", loop, LIBRARY)
    if lag is not None:
        yield Outcome("scan: loop lag p99.9, ms", loop, lag, 5.0)
    longest = _median(results, "scan", "lag_max_ms", loop, LIBRARY)
    floor = _median(results, "scan", "lag_max_ms", loop, FLOOR)
    if longest is not None and floor is not None:
        yield Outcome("scan: longest loop lag over the floor's, ms", loop, longest - floor, 5.0)
    share = results.routed.get(Key("three-nodes", LIBRARY, loop))
    if share is not None:
        yield Outcome("three nodes: share of reads to the owner", loop, share, 0.99, at_least=True)


def _loads(results: Results, loop: str) -> Iterator[Outcome]:
    """Yield what is wanted of the range from 128 to 8,192 in flight."""
    rates = [
        rate
        for load in IN_FLIGHT
        if load >= 128
        and (rate := _median(results, f"read-{load}", "rate", loop, LIBRARY)) is not None
    ]
    if len(rates) > 1:
        title = "point reads, 128 to 8,192 in flight: best throughput over the worst"
        yield Outcome(title, loop, max(rates) / min(rates), 1.3)
    for load in IN_FLIGHT:
        growth = results.memory_growth(Key(f"read-{load}", LIBRARY, loop))
        if growth is not None and load >= 1024:
            title = f"point reads, {load:,} in flight: bytes of memory a request"
            yield Outcome(title, loop, growth / load, MEMORY_BYTES)
