"""The search: change inputs, keep those that take a new way, report those that break a promise."""

import random
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.fuzz.edges import Edges
from tests.fuzz.mutation import mutated
from tests.fuzz.targets import DEFAULT_LIMITS, Limits, Target

__all__ = ["Finding", "Search"]


class Finding(Exception):
    """An input that broke a promise; the message says which."""

    def __init__(self, target: str, data: bytes, reason: str) -> None:
        super().__init__(f"{target}: {reason}\ninput of {len(data)} bytes: {data.hex()}")
        self.data = data


@dataclass(slots=True)
class Search:
    """One target's search; the same seed and inputs make the same one where no edges are counted.

    :ivar corpus: grows by inputs that took a new edge
    :ivar edges: ``None`` to search without looking where inputs go
    """

    name: str
    target: Target
    corpus: list[bytes]
    seed: int
    edges: Edges | None = None
    limits: Limits = DEFAULT_LIMITS
    before: Callable[[bytes], None] | None = None
    runs: int = 0
    most_work: float = 0.0
    most_memory: float = 0.0

    def start(self) -> None:
        """Run the corpus as it is."""
        for data in list(self.corpus):
            self.run(data)

    def random(self, rng: random.Random, known: Sequence[bytes]) -> Iterator[bytes]:
        """Inputs without end; half of them from what was found last."""
        while True:
            recent = known[-(1 + len(known) // 8) :]
            yield mutated(rng, rng.choice(rng.choice((recent, known))), known)

    def search(self, count: int | None = None, seconds: float = 0.0) -> None:
        """Try ``count`` inputs, or for some time.

        :raises Finding: at the first input that breaks a promise
        """
        until = time.monotonic() + seconds
        for tried, data in enumerate(self.random(random.Random(self.seed), self.corpus)):
            if tried == count or (count is None and time.monotonic() > until):
                return
            if self.run(data):
                self.corpus.append(data)

    def run(self, data: bytes) -> bool:
        """Give one input to the target; whether it took a new edge."""
        if self.before is not None:
            self.before(data)
        if self.edges is not None:
            self.edges.start_input()
        tracemalloc.reset_peak()
        held = tracemalloc.get_traced_memory()[0]
        try:
            self.target(data)
        except Exception as error:
            raise Finding(self.name, data, f"{type(error).__name__}: {error}") from error
        self.runs += 1
        self.check_memory(data, tracemalloc.get_traced_memory()[1] - held)
        if self.edges is None:
            return False
        self.check_work(data, self.edges.blocks_run())
        return self.edges.keep_new() > 0

    def check_memory(self, data: bytes, taken: int) -> None:
        limit = self.limits.least_memory + self.limits.memory_per_byte * len(data)
        self.most_memory = max(self.most_memory, taken / limit)
        if taken > limit:
            raise Finding(self.name, data, f"took {taken} bytes of memory, {limit} are allowed")

    def check_work(self, data: bytes, blocks: int) -> None:
        limit = self.limits.least_work + self.limits.work_per_byte * len(data)
        self.most_work = max(self.most_work, blocks / limit)
        if blocks > limit:
            raise Finding(self.name, data, f"took {blocks} blocks of work, {limit} are allowed")
