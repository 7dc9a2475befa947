"""The policy that speculates by the percentile of recent latencies."""

from __future__ import annotations

import math
from typing import Any

import pytest
from cassandra.policies import SpeculativeExecutionPolicy
from hypothesis import given
from hypothesis import strategies as st

from async_cassandra import PercentileSpeculativeExecutionPolicy
from async_cassandra._watch.latencies import LatencyTracker
from async_cassandra.exceptions import ConfigurationError

HOST = "a host"
OTHER = "another host"


def tracker(share: float = 0.99, **settings: Any) -> LatencyTracker:
    defaults: dict[str, Any] = {
        "per_host": False,
        "min_samples": 1,
        "window": 60.0,
        "min_delay": 0.0,
        "max_delay": math.inf,
        "warm_up_delay": -1.0,
    }
    return LatencyTracker(share, **(defaults | settings))


def feed(
    latencies: LatencyTracker, seconds: list[float], *, host: str = HOST, now: float = 0.0
) -> float:
    """Record latencies, each a second after the one before; gives when the last one was."""
    for value in seconds:
        latencies.record(host, value, now)
        now += 1.0
    return now - 1.0


@given(
    st.lists(st.floats(1e-6, 100.0), min_size=1, max_size=300),
    st.floats(0.01, 0.999),
)
def test_delay_is_the_percentile_within_a_thirtysecond(values: list[float], share: float) -> None:
    latencies = tracker(share, window=math.inf)
    feed(latencies, values)
    rank = len(values) - math.ceil(len(values) * (1.0 - share))
    # Where the share falls between two values, rounding may choose either.
    low, high = sorted(values)[max(rank - 1, 0)], sorted(values)[min(rank + 1, len(values) - 1)]
    assert low <= latencies.delay(HOST) <= high * (1 + 1 / 32) + 2e-6


def test_delay_leaves_one_in_a_hundred_above() -> None:
    latencies = tracker(0.99, window=math.inf)
    feed(latencies, [number / 1000 for number in range(1, 1001)])
    late = sum(number / 1000 > latencies.delay(HOST) for number in range(1, 1001))
    assert 0 <= late <= 10
    assert latencies.delay(HOST) == pytest.approx(0.99, rel=1 / 32)


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.nan, 1e-9, 200.0, math.inf, 1e300])
def test_any_latency_has_a_bucket(seconds: float) -> None:
    latencies = tracker()
    latencies.record(HOST, seconds, 0.0)
    assert 0.0 < latencies.delay(HOST) < 135.0


def test_too_few_samples_give_the_warm_up_delay() -> None:
    latencies = tracker(min_samples=3, warm_up_delay=0.5)
    now = feed(latencies, [0.01, 0.01])
    assert latencies.delay(HOST) == 0.5
    latencies.record(HOST, 0.01, now)
    assert latencies.delay(HOST) == pytest.approx(0.01, rel=1 / 32)


def test_old_latencies_are_forgotten_when_there_are_younger_ones() -> None:
    latencies = tracker(0.5, min_samples=10, window=60.0)
    now = feed(latencies, [1.0] * 100)
    assert latencies.delay(HOST) >= 1.0
    feed(latencies, [0.01] * 100, now=now + 1.0)
    assert latencies.delay(HOST) < 0.02


def test_quiet_time_forgets_nothing() -> None:
    latencies = tracker(min_samples=10)
    feed(latencies, [0.01] * 10)
    latencies.record(HOST, 0.01, 1e6)
    latencies.record(HOST, 0.01, 2e6)
    assert latencies.delay(HOST) < 0.02


def test_delay_stays_within_its_bounds() -> None:
    assert feed(low := tracker(min_delay=0.05), [0.001]) == 0.0
    assert low.delay(HOST) == 0.05
    feed(high := tracker(max_delay=0.2), [5.0])
    assert high.delay(HOST) == 0.2


def test_hosts_are_kept_apart_on_demand() -> None:
    together, apart = tracker(), tracker(per_host=True)
    for latencies in (together, apart):
        feed(latencies, [0.01])
    assert together.delay(OTHER) == together.delay(HOST)
    assert apart.delay(OTHER) < 0 < apart.delay(HOST)


def test_hosts_that_come_and_go_are_bounded() -> None:
    latencies = tracker(per_host=True)
    for number in range(1025):
        latencies.record(number, 0.01, 0.0)
    assert latencies.delay(0) < 0 < latencies.delay(1024)


def test_policy_speculates_as_often_as_it_may() -> None:
    policy = PercentileSpeculativeExecutionPolicy(max_executions=2, warm_up_delay=0.3)
    assert isinstance(policy, SpeculativeExecutionPolicy)
    plan = policy.new_plan(None, None)
    assert [plan.next_execution(HOST) for _ in range(3)] == [0.3, 0.3, -1.0]
    assert policy.new_plan(None, None).next_execution(HOST) == 0.3


def test_policy_waits_for_samples_by_default() -> None:
    policy = PercentileSpeculativeExecutionPolicy()
    assert policy.delay() is None
    assert policy.new_plan(None, None).next_execution(HOST) < 0
    assert repr(policy) == "PercentileSpeculativeExecutionPolicy(95.0, max_executions=1)"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("percentile", 0.0),
        ("percentile", 100.0),
        ("max_executions", 0),
        ("min_samples", 0),
        ("warm_up_delay", -0.1),
        ("window", 0.0),
        ("min_delay", -1.0),
        ("max_delay", 0.0),
    ],
)
def test_policy_refuses_what_is_out_of_range(name: str, value: float) -> None:
    settings: dict[str, Any] = {name: value}
    with pytest.raises(ConfigurationError, match=f"{name} takes"):
        PercentileSpeculativeExecutionPolicy(**settings)
