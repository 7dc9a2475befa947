"""The model-based test, short; ``python -m tests.model`` goes on for as long as it is told to."""

import asyncio
import os
import random
from collections.abc import Callable

import pytest

from tests.model.search import LOOPS, search

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize("loop", LOOPS)
def test_any_order_of_events_keeps_what_callers_meant(
    loop: str, record_property: Callable[[str, object], None]
) -> None:
    seed = int(os.environ.get("MODEL_SEED", random.SystemRandom().randrange(2**32)))
    record_property("seed", seed)
    print(f"MODEL_SEED={seed}; shorter orders: python -m tests.model --loop {loop} --seed {seed}")
    search(loop, seed, examples=25, steps=40, shrinks=False)
    assert asyncio._get_running_loop() is None
