"""The token bucket that bounds what is sent beside first attempts."""

import math

import pytest

from async_cassandra._request.budget import Allowance

START = 1000.0


def granted_at(allowance: Allowance, requests: int, now: float) -> int:
    """How many tokens there are at that moment."""
    count = 0
    while allowance.take(requests, now):
        count += 1
    return count


def test_fresh_bucket_holds_what_ten_quiet_seconds_earn() -> None:
    assert granted_at(Allowance(0.2, 10.0), 0, START) == 100


def test_each_request_earns_its_share() -> None:
    allowance = Allowance(0.25, 0.0)
    assert granted_at(allowance, 100, START) == 25
    assert granted_at(allowance, 108, START) == 2
    assert (allowance.granted, allowance.refused) == (27, 2)


def test_bucket_holds_the_last_ten_seconds_and_not_the_last_hour() -> None:
    allowance = Allowance(0.2, 10.0)
    assert granted_at(allowance, 0, START) == 100
    requests = 100 * 3600
    # A hundred requests a second earn 20 tokens, and each second 10.
    assert granted_at(allowance, requests, START + 3600) == pytest.approx(300, abs=1)


@pytest.mark.parametrize("step", [0.001, 0.1, 5.0])
@pytest.mark.parametrize("rate", [1, 50, 20_000])
def test_retries_never_exceed_their_share_for_long(rate: int, step: float) -> None:
    allowance = Allowance(0.2, 10.0)
    seconds, requests, granted = 60, 0, 0
    for turn in range(1, int(seconds / step) + 1):
        requests = int(turn * step * rate)
        granted += granted_at(allowance, requests, START + turn * step)
    bound = 0.2 * requests + 10.0 * seconds + 100
    assert 0.5 * (bound - 100) < granted <= bound


def test_quiet_time_forgets_what_was_earned() -> None:
    allowance = Allowance(0.5, 0.0)
    assert allowance.take(1000, START)
    assert not allowance.take(1000, START + 100)


def test_boundless_bucket_grants_everything() -> None:
    allowance = Allowance(math.inf, 0.0)
    assert all(allowance.take(0, START) for _ in range(1000))


def test_empty_bucket_of_no_income_grants_nothing() -> None:
    allowance = Allowance(0.0, 0.0)
    assert not any(allowance.take(10**6, START + second) for second in range(10))
