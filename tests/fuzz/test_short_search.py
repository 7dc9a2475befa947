"""A short search without sanitizers and edges; ``make fuzz`` is the long one."""

import random
import tracemalloc
from collections.abc import Iterator

import pytest

from tests.fuzz.corpus import corpus
from tests.fuzz.search import Search
from tests.fuzz.targets import LIMITS, TARGETS

pytestmark = [pytest.mark.promise(8), pytest.mark.timeout(120)]

INPUTS = 600
CORPUS = corpus()

targets = pytest.mark.parametrize("name", TARGETS)


@pytest.fixture(autouse=True)
def traced_memory() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def search(name: str, seed: int) -> Search:
    return Search(name, TARGETS[name], list(CORPUS[name]), seed, limits=LIMITS[name])


@targets
def test_first_inputs_keep_every_promise(name: str) -> None:
    started = search(name, 0)
    started.start()
    assert started.runs == len(CORPUS[name])


@targets
def test_changed_inputs_keep_every_promise(name: str) -> None:
    seed = random.randrange(2**32)
    print(f"{name}: {INPUTS} inputs of seed {seed}")
    search(name, seed).search(count=INPUTS)


def test_first_inputs_are_small() -> None:
    assert sum(len(data) for inputs in CORPUS.values() for data in inputs) < 300_000
