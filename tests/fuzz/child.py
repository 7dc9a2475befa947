"""One target's search in a process of its own, for a core built with ``SANITIZE=1 COVERAGE=1``.

usage: python -m tests.fuzz.child TARGET EDGES CURRENT SEED SECONDS FOUND [INPUT ...]

``CURRENT`` is a file that holds the input in work: what was it if the process dies of it. In the
folder ``FOUND`` are inputs of earlier searches. With inputs only these are run, without a search.
"""

import hashlib
import json
import mmap
import signal
import sys
import tracemalloc
from pathlib import Path

from tests.fuzz.edges import Edges

# No input takes longer than this many seconds, unless it hangs.
HANG_SECONDS = 60


class Current:
    """Keeps the input in work where the parent finds it."""

    def __init__(self, path: str, size: int) -> None:
        Path(path).write_bytes(bytes(size + 8))
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), size + 8)
        self._count = 0

    def __call__(self, data: bytes) -> None:
        self._map[:8] = len(data).to_bytes(8)
        self._map[8 : 8 + len(data)] = data
        if self._count % 100 == 0:
            signal.setitimer(signal.ITIMER_REAL, HANG_SECONDS)
        self._count += 1


def keep_found(folder: Path, inputs: list[bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for data in inputs:
        path = folder / hashlib.sha256(data).hexdigest()[:16]
        if not path.exists():
            path.write_bytes(data)


def main(
    name: str, library: str, current: str, seed: str, seconds: str, found: str, *inputs: str
) -> dict[str, float]:
    edges = Edges(library)
    from tests.fuzz.corpus import corpus
    from tests.fuzz.search import Search
    from tests.fuzz.targets import LIMITS, TARGETS

    first = [Path(path).read_bytes() for path in inputs]
    if not inputs:
        first = corpus()[name] + [path.read_bytes() for path in sorted(Path(found).glob("*"))]
    tracemalloc.start()
    keep = Current(current, max(65536, *map(len, first)))
    search = Search(name, TARGETS[name], first, int(seed), edges, LIMITS[name], keep)
    search.start()
    if not inputs:
        search.search(seconds=float(seconds))
        keep_found(Path(found), search.corpus)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return {
        "inputs": search.runs,
        "corpus": len(search.corpus),
        "most work": round(search.most_work, 2),
        "most memory": round(search.most_memory, 2),
    }


if __name__ == "__main__":
    json.dump(main(*sys.argv[1:]), sys.stdout)
    print()
