"""Runs of the machine: a seed, a loop, a number of examples."""

import sys

from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as seeded
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import machine_on

__all__ = ["LOOPS", "search"]

LOOPS = ("asyncio", "uvloop") if sys.platform != "win32" else ("asyncio",)


def search(loop: str, seed: int, *, examples: int, steps: int, shrinks: bool = True) -> None:
    """Try orders of events until one fails or all are tried.

    :param seed: the same one tries the same orders
    :param shrinks: whether a failing order is made short, which takes minutes
    """
    machine = seeded(seed)(machine_on(loop))
    phases = [Phase.explicit, Phase.generate]
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            print_blob=True,
            phases=[*phases, Phase.shrink] if shrinks else phases,
            suppress_health_check=list(HealthCheck),
        ),
    )
